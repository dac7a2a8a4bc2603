/* alone_private.h: what alone.c and alone_file.c share about an index of its own. */
#ifndef FR_ALONE_PRIVATE_H
#define FR_ALONE_PRIVATE_H

#include "index/alone_store.h"
#include "index/table_private.h"

struct fr_index {
    fr_table *table;
    fr_vector_store *store; /* originals on disk */
    uint64_t commit;          /* the adding thread's */
    _Atomic uint64_t visible;
    fr_offset next_offset;
    _Atomic bool stop_linking;
    /* a file that was opened: settles behind the first searches (alone_file.c) */
    pthread_t settler;
    bool settles;
    _Atomic bool stop_settling;
};

void fr_index_settle_stop(fr_index *index); /* before the table goes */

#endif
