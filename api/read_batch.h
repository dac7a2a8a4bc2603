/* read_batch.h: many reads of files as one submit (io_uring), or one after the other (pread) where the kernel or a sandbox
 * refuses that. Both give the same bytes and the same errors. For index/ and log/, which must not know each other. */
#ifndef FR_READ_BATCH_H
#define FR_READ_BATCH_H

#include "api/base.h"

#define FR_READ_BATCH_MAX 128u /* reads of one submit; more are cut into several */

typedef struct fr_file_read {
    uint64_t at;
    void *to;
    uint32_t size;
    int fd;
} fr_file_read;

/* One thread at a time; the kernel's part is created by the first batch of two or more. */
typedef struct fr_read_ring fr_read_ring;

fr_read_ring *fr_read_ring_create(void); /* NULL: no memory */
void fr_read_ring_free(fr_read_ring *ring); /* accepts NULL */
void fr_read_ring_refuse(fr_read_ring *ring); /* pread from now on */
uint64_t fr_read_ring_submits(const fr_read_ring *ring); /* batches that went through the kernel's ring */
/* IO: a read failed or met the file's end; what the places then hold is not defined. ring NULL: one after the other. */
fr_code fr_read_batch(fr_read_ring *ring, const fr_file_read *reads, uint32_t count);

#endif
