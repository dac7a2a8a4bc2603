/* query.h: what query.c and scroll.c share. */
#ifndef FR_QUERY_H
#define FR_QUERY_H

#include "server/engine/engine.h"
#include "simd/simd.h"

typedef struct fr_merged {
    float distance;
    uint32_t row, shard;
} fr_merged;

typedef struct fr_group {
    fr_doc value; /* inside a row; absent is a group too */
    uint32_t count;
} fr_group;

/* What the pages of one walk through a collection share (scroll.c): keys behind a page, in order. */
typedef struct fr_scroll_run {
    fr_id id; /* 0: nothing is kept */
    uint64_t schema_version, visible;
    uint64_t serials[FR_PARTITIONS_MAX]; /* of the tables, 0 = none */
    char *condition; /* filter, NUL, params */
    size_t condition_size;
    char *keys; /* `count` keys one behind the other */
    uint32_t *ends;
    uint32_t count, served, unserved; /* pages made of it; runs in a row that made none */
    fr_span from; /* in `condition`: keys behind this one */
    bool whole;   /* nothing matches behind the last key */
} fr_scroll_run;

struct fr_searcher { /* one thread at a time */
    fr_db *db;
    fr_scratch *scratch;
    const fr_table *entered;
    const fr_table *tables[FR_PARTITIONS_MAX]; /* of the searched field, as they were when it entered */
    uint32_t index;                            /* the field */
    uint64_t visible;
    float *unpacked;
    uint32_t unpacked_capacity;
    uint32_t shards_explained; /* of this search */
    uint32_t pin;
    fr_arena arena; /* what the last answer's spans point to */
    size_t arena_room;
    fr_row_hit *found;
    fr_merged *merged;
    fr_group *groups;
    uint32_t found_capacity, merged_capacity, group_capacity;
    uint64_t distances;
    fr_scroll_run run;
};
void fr_scroll_run_free(fr_scroll_run *run);

void fr_query_reset(fr_searcher *s);
fr_code fr_query_begin(fr_searcher *s, fr_id id, fr_collection **out, fr_err *err); /* pins; fr_query_end when OK */
void fr_query_end(fr_searcher *s);
uint64_t fr_query_enter(fr_searcher *s, const fr_collection *c, uint32_t index); /* visible */
void fr_query_leave(fr_searcher *s);
fr_code fr_query_copy(fr_searcher *s, const fr_collection *c, uint32_t partition, uint32_t row, bool with_metadata,
                      const fr_wanted *wanted, fr_hit *hit);
/* A row's vector, elements of the field's type, into the arena; empty: it has none. Between enter and leave. */
fr_code fr_query_vector(fr_arena *arena, const fr_field_def *field, const fr_table *table, uint32_t row, fr_span *out);
fr_code fr_query_filter(const fr_collection *c, const char *text, fr_span params, fr_filter **out, fr_err *err);

#endif
