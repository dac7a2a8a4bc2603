/* alone_private.h: what alone.c, alone_link.c and alone_file.c share about an index of its own. */
#ifndef FR_ALONE_PRIVATE_H
#define FR_ALONE_PRIVATE_H

#include "index/alone_store.h"
#include "index/table_private.h"

#define FR_HELPERS_MAX 64u /* threads of one call */

struct fr_index {
    fr_table *table;
    fr_vector_store *store; /* originals on disk */
    pthread_mutex_t writer; /* the applier's role: add, remove, save, and the thread behind them */
    uint64_t commit, puts;
    _Atomic uint64_t visible;
    fr_offset next_offset;
    /* linking (alone_link.c) */
    uint32_t wait_max, seed_rows, pause_ms; /* FR_INDEX_WAIT_MAX, 2,048, 50; tests: others, before the first row */
    _Atomic bool stop_helping, stop_behind;
    _Atomic uint64_t changes; /* calls of add and remove */
    pthread_t behind;
    bool behind_made, behind_runs; /* made: to be joined */
    /* a file that was opened: settles behind the first searches (alone_file.c) */
    pthread_t settler;
    bool settles;
    _Atomic bool stop_settling;
    void *opened; /* the file's bytes as they were mapped for opening: the settler lets go of them first */
    size_t opened_size;
};

void fr_index_settle_stop(fr_index *index); /* before the table goes */

/* alone_link.c */
typedef struct fr_helpers { /* other threads that link beside a call */
    uint32_t threads, started;
    pthread_t at[FR_HELPERS_MAX];
} fr_helpers;
fr_index *fr_index_new(void);
void fr_index_link_stop(fr_index *index); /* before the table goes; nobody else uses the index any more */
/* How fast rows come, counted by the naps of the thread behind: in a stream that soon is a bulk a gap is no pause, for rows that are linked one
 * by one cost much more. */
#define FR_PACE_NAPS 32u
typedef struct fr_pace {
    uint64_t tail, recent; /* of the ring; rows of about the last FR_PACE_NAPS naps, at most a quarter of what may wait */
} fr_pace;
bool fr_index_pace(fr_pace *pace, uint64_t tail, uint64_t wait_max); /* once a nap; true: more than an eighth of what may wait came lately */
bool fr_index_many_dead(const fr_index *index);
void fr_index_link_try(fr_index *index); /* links what waits, unless somebody writes now */
/* The rest under `writer`. Would so many rows more be linked by the call that adds them? */
bool fr_index_links_at_once(const fr_index *index, uint64_t count);
void fr_index_helpers_start(fr_index *index, fr_helpers *helpers);
void fr_index_changed(fr_index *index, fr_helpers *helpers); /* links what waits, or leaves it; helpers end */
void fr_index_link_waiting(fr_index *index, uint32_t threads);

#endif
