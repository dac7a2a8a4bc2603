/* recall.h: what a table knows of its own recall@10; see recall.c. */
#ifndef FR_RECALL_H
#define FR_RECALL_H

#include "index/table_private.h"

#define FR_RECALL_STEPS 16u

typedef struct fr_recall {
    _Atomic bool busy;        /* one thread measures */
    _Atomic uint32_t samples; /* 0: never measured */
    _Atomic uint64_t changes; /* of the table when it was measured */
    _Atomic uint32_t near[FR_RECALL_STEPS], strict[FR_RECALL_STEPS]; /* millionths */
} fr_recall;

fr_recall *fr_recall_create(void);
void fr_recall_free(fr_recall *recall);

#endif
