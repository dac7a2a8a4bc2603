/* persist.h: the byte forms that saving (persist.c) and loading (load.c) share, and what a loaded table still has to do (settle.c). */
#ifndef FR_PERSIST_H
#define FR_PERSIST_H

#include "index/table_private.h"

typedef struct fr_chunk_header {
    uint32_t version, dimension, m, metric, codes, kind;
    uint32_t rows, zero, heap_segments, vector_chunks, vector_log2, fine;
    uint64_t seed, entry;
    int64_t at;
} fr_chunk_header;
_Static_assert(sizeof(fr_chunk_header) == 72, "72 bytes");
#define FR_CHUNK_VERSION 3u /* 1 and 2: header.zero and two kinds of chunks were of upper levels, which are passed over */

/* A row of version 2 on is an fr_row as a table holds it: birth 0, death FR_NEVER or, where the row has ended, the offset that ended
 * it. Version 1: */
typedef struct fr_chunk_row_1 {
    int64_t made, ended;
    uint64_t blob;
    uint8_t level, linked, zero[2]; /* level: of an upper one, which nothing reads any more */
    uint32_t parent; /* FR_ROW_NONE: the root or none */
} fr_chunk_row_1;
_Static_assert(sizeof(fr_chunk_row_1) == 32, "32 bytes");

static inline uint64_t fr_chunk_id(fr_chunk_kind kind, uint32_t index) { return (uint64_t)kind << 32 | index; }

/* Pages of an array that lie over a file: they become memory of our own, piece by piece. */
typedef struct fr_load_range {
    uint8_t *at;
    size_t size;
    const fr_codeset *codes; /* NULL: an array of the table itself */
} fr_load_range;

struct fr_loaded {
    uint64_t *linked, *good; /* a bit a row: linked and alive; climbs to the root */
    size_t words;
    fr_load_range *ranges;
    uint32_t range_count, range_capacity;
    size_t range_done; /* bytes of the last range */
};

#endif
