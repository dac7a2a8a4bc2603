/* vector_store.h: how index/ reaches original vectors on disk: it never touches files, whoever owns the table does. The file is
 * derived state: what a table wrote is read only by that table; after a restart it is written anew from snapshot and log. */
#ifndef FR_VECTOR_STORE_H
#define FR_VECTOR_STORE_H

#include "api/read_batch.h"

#define FR_VECTOR_READS_MAX FR_READ_BATCH_MAX /* reads of one batch: one submit */

typedef struct fr_vector_read {
    uint64_t at;
    void *to;
    uint32_t size, file; /* file 0: the store's own */
} fr_vector_read;

typedef struct fr_vector_store {
    /* Applier: bytes into the own file, which it creates when needed. A crash may lose them. */
    fr_code (*write)(struct fr_vector_store *store, uint64_t at, const void *data, size_t size);
    /* Any thread: all of the reads, at most FR_VECTOR_READS_MAX, as one batch through the thread's ring (NULL: it has none). */
    fr_code (*read)(struct fr_vector_store *store, fr_read_ring *ring, const fr_vector_read *reads, uint32_t count);
    void *user;
} fr_vector_store;

#endif
