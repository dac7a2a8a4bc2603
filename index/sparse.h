/* sparse.h: sparse vectors of a table: posting lists, one for each index that occurs, and what BM25 counts.
 *
 * A vector is kept with its row's key and metadata (heap.h), as pairs {u32 index, f32 value}, ascending; the lists are made from these,
 * also when a table is loaded. One writer (the applier); searchers read without locks, inside an epoch.
 * A list is a block that grows by being copied. Entries are only appended; those of dead rows are passed over by visibility until a sweep
 * has written every list anew without them: only then, an epoch later, is the slot of a dead row used again. */
#ifndef FR_SPARSE_H
#define FR_SPARSE_H

#include "index/epoch.h"
#include "index/extent.h"

struct fr_table;
struct fr_run;
struct fr_scratch;

typedef struct fr_posting {
    uint32_t row;
    float value;
} fr_posting;

typedef struct fr_posting_block {
    uint32_t capacity;
    _Atomic uint32_t count;
    fr_posting entries[];
} fr_posting_block;

typedef struct fr_postings { /* of one index; never freed before the table */
    uint32_t index;
    _Atomic uint32_t live; /* rows alive that have it: the document frequency */
    _Atomic(fr_posting_block *) block; /* NULL: empty */
} fr_postings;

typedef struct fr_term_map { /* open addressing */
    uint32_t mask;
    _Atomic(fr_postings *) slots[];
} fr_term_map;

typedef struct fr_posting_lists {
    _Atomic(fr_term_map *) map;
    fr_postings **lists;      /* applier: all of them, as they came up */
    uint32_t list_count, list_capacity;
    fr_extents lengths;       /* f32 a row: the sum of its values */
    _Atomic uint64_t documents; /* rows alive that have a vector */
    _Atomic uint64_t length_bits; /* of a double: the sum of their lengths */
    uint64_t bytes;
    uint32_t cursor, sweep_end; /* of the sweep under way: lists */
    uint64_t sweep_stamp; /* no list changes before the searches that see its rows have ended */
    float k1, b;
} fr_posting_lists;

/* A searching thread's room: scores are zero between searches. */
typedef struct fr_postings_term {
    const fr_postings *list;
    uint32_t index;
    float weight;
} fr_postings_term;
typedef struct fr_postings_room {
    float *scores;
    uint32_t rows, term_capacity;
    fr_postings_term *terms;
} fr_postings_room;

static inline uint32_t fr_pair_index(const void *pairs, uint32_t i) { return fr_load_le32((const uint8_t *)pairs + 8 * (size_t)i); }
static inline float fr_pair_value(const void *pairs, uint32_t i)
{
    float value;
    memcpy(&value, (const uint8_t *)pairs + 8 * (size_t)i + 4, 4);
    return value;
}

void fr_postings_init(fr_posting_lists *sparse, float k1, float b);
void fr_postings_free(fr_posting_lists *sparse);
fr_postings *fr_postings_find(const fr_posting_lists *sparse, uint32_t index); /* NULL: it never occurred */
/* Applier. reserve: room for a row's entries, so that put cannot fail. */
bool fr_postings_reserve(struct fr_table *t, uint32_t row, fr_span pairs);
void fr_postings_put(struct fr_table *t, uint32_t row, fr_span pairs); /* before the row is published */
void fr_postings_end(struct fr_table *t, uint32_t row); /* it has died */
void fr_postings_sweep(struct fr_table *t, uint64_t oldest_visible); /* a part of it */
fr_code fr_postings_load(struct fr_table *t, fr_err *err); /* the lists of all live rows */
fr_code fr_postings_verify(const struct fr_table *t, fr_err *err); /* quiescent: invariant 12 */
/* sparse_search.c */
fr_code fr_postings_run(struct fr_run *run, fr_err *err);
void fr_postings_room_free(fr_postings_room *room);

#endif
