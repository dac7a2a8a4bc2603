/* bulk.h: a large backlog of fresh rows is linked together (bulk.c says how). The state belongs to the table and the work comes
 * in pieces, so that any number of linkers join in, and stop, by calling fr_table_link_step as always. */
#ifndef FR_BULK_H
#define FR_BULK_H

#include "index/table_private.h"

#define FR_BULK_MIN   2048u /* fresh rows: from here on bulk beats row by row */
#define FR_BULK_SEED  2048u /* rows that are linked one by one before the first bulk, or a quarter of it */
#define FR_BULK_MAX   1048576u /* of one bulk: about 530 bytes each are held meanwhile */
#define FR_BULK_LINKED 3u   /* so many linked rows a fresh one are members of its groups; where there are more the graph leads to them */
#define FR_NEAR_MAX   48u    /* candidates kept of a row */
#define FR_WIDE_MAX   96u    /* after the second look: rows without keys, in the same memory */
#define FR_NEAR_ROWS  0x80u  /* a bit of near_count: it counts such rows */
#define FR_FANOUT     3u     /* groups a row belongs to, of one partitioning */
#define FR_PIECE_ROWS 64u
#define FR_LEAF_BYTES (2u << 20)
#define FR_LEAF_NEAREST 30u  /* of one leaf */
#define FR_BLOCK_STRIP 16u   /* queries at a time */
#define FR_AROUND     16u    /* candidates of a row that lead on, in the second look: one cache line */
#define FR_LOOK_FEW   32u /* rows of a piece of the second look where many members are linked: the fresh ones lie farther apart */

/* Key and row: a key grows with the distance, those of one row compare. Its sign is flipped: the order is that of unsigned numbers. */
typedef uint64_t fr_near;
static inline fr_near fr_near_make(int32_t key, uint32_t row) { return (uint64_t)((uint32_t)key ^ 0x80000000u) << 32 | row; }
static inline uint32_t fr_near_row(fr_near near) { return (uint32_t)near; }
typedef enum fr_candidates_of {
    FR_NEAREST, FR_SPREAD /* half of them the nearest; the rest leads out of a cluster */
} fr_candidates_of;
static inline int32_t fr_near_key(fr_near near) { return (int32_t)((uint32_t)(near >> 32) ^ 0x80000000u); }

_Static_assert(FR_WIDE_MAX * sizeof(uint32_t) <= FR_NEAR_MAX * sizeof(fr_near) && FR_WIDE_MAX < FR_NEAR_ROWS, "the same memory");

typedef enum fr_bulk_phase {
    FR_BULK_ASSIGN, FR_BULK_LEAVES, FR_BULK_AROUND, FR_BULK_LINK, FR_BULK_BACK, FR_BULK_DONE
} fr_bulk_phase;
#define FR_BULK_PHASE_NAMES {"groups", "leaves", "around", "links", "back", "one by one"}

/* What one thread needs for blocks of up to `capacity` rows; a column is a packed row, of these codes. */
typedef struct fr_block_room {
    const fr_codeset *codeset; /* as it was when the room was taken */
    uint32_t columns;          /* of the next block: rows[] */
    uint8_t *packed;
    int8_t *queries;
    int32_t *constants, *dots, *keys;
    uint32_t *places, *rows;
    const uint8_t **codes;
    uint32_t capacity, padded;
    struct fr_block_room *next; /* of those at rest */
} fr_block_room;

typedef struct fr_bulk {
    /* under the table's bulk_lock */
    fr_bulk_phase phase;
    uint32_t next, pieces, running;
    /* fixed at the beginning */
    uint64_t place;         /* in the ring, of the first fresh row */
    uint32_t count;         /* fresh rows */
    uint32_t member_count;  /* and, without `reach`, linked ones behind them */
    bool reach;             /* no linked row is a member: they are found through the graph (bulk_reach.c) */
    uint32_t rounds;        /* partitionings */
    uint32_t look_rows;     /* of a piece of the second look */
    uint32_t row_limit;
    uint32_t *members;
    /* one partitioning after the other */
    uint32_t round, leader_count, pivot_count; /* pivots: places in the packing, some of them empty */
    uint8_t *pivots, *leaders; /* packed; the pivots in lists, one a leader */
    int32_t *pivot_constants, *leader_constants;
    uint32_t *list_start, *list_count, list_max;
    uint32_t *assigned;     /* members x FR_FANOUT: groups */
    uint32_t *group_start, *group; /* places in members, by group */
    uint32_t *order;        /* all members, neighbours together; after the leaves: the fresh ones, in pieces of neighbours */
    /* fresh rows */
    fr_near *near;          /* count x FR_NEAR_MAX, sorted, distinct; with FR_NEAR_ROWS: u32 rows, up to FR_WIDE_MAX, nearest first */
    uint8_t *near_count;
    _Atomic uint32_t near_locks[256];
    /* links back, chained by the row they are to be added to */
    _Atomic uint32_t *back_head; /* per row: edge + 1; during the second look: a fresh row's place + 1 */
    uint32_t *back_next;         /* per edge: place in order x edges: neighbours together */
    uint32_t edges;              /* new links of a row, at most; at least FR_AROUND */
    uint32_t *around;            /* in the same memory, during the second look: FR_AROUND candidates a fresh row, as the groups left them */
    uint32_t *row_at;            /* by place in order; in the memory of `assigned`, from the choice of links on */
    uint32_t *targets;           /* rows that have such a chain, as they came up: neighbours together */
    _Atomic uint32_t target_count;
    fr_block_room *rooms;        /* at rest, under bulk_lock: as many as threads worked at a time */
    size_t bytes[10];
} fr_bulk;

/* bulk.c */
bool fr_bulk_possible(const fr_table *t); /* by the codes that it has, or will have when it has enough rows */
bool fr_bulk_begin(fr_table *t, fr_scratch *s); /* true: there is a bulk now */
bool fr_bulk_step(fr_table *t, fr_scratch *s, bool brief); /* one piece; brief: nothing that takes over about 10 ms */
void fr_bulk_free(fr_bulk *b);
/* bulk_leaf.c: groups around pivots */
bool fr_bulk_partition(fr_table *t, fr_bulk *b); /* chooses pivots */
void fr_bulk_pivots_free(fr_bulk *b);
void fr_bulk_assign(fr_table *t, fr_scratch *s, fr_bulk *b, uint32_t piece);
void fr_bulk_group(fr_bulk *b);
void fr_bulk_leaf(fr_table *t, fr_scratch *s, fr_bulk *b, uint32_t group);
/* bulk_near.c: who is near whom, by blocks of codes */
bool fr_block_room_make(fr_block_room *room, uint32_t rows, const fr_codeset *codeset, bool pack); /* pack: columns, not queries alone */
void fr_block_room_free(fr_block_room *room);
/* A room for the largest blocks, kept from piece to piece: its pages are faulted in once. NULL: no memory. */
fr_block_room *fr_bulk_room_take(fr_table *t, fr_bulk *b, const fr_codeset *codeset);
void fr_bulk_room_return(fr_table *t, fr_bulk *b, fr_block_room *room);
void fr_bulk_rooms_free(fr_bulk *b);
static inline uint32_t fr_block_factor(const fr_codeset *codes) { return codes->metric == FR_METRIC_IP ? 1 : 2; } /* of the dots, in keys */
void fr_bulk_query(const fr_codeset *codes, uint32_t row, int8_t *query); /* the row as a query, without its K */
/* The nearest `want` of the room's columns join the candidates of the fresh rows at these places, which are the first columns.
 * More than FR_NEAR_MAX: the last time; the candidates are rows alone from here on. */
void fr_bulk_meet(fr_bulk *b, fr_block_room *room, const uint32_t *places, uint32_t count, uint32_t want);
/* Up to `max` of a fresh row's candidates so far, nearest first; returns how many. */
uint32_t fr_bulk_candidates(fr_bulk *b, uint32_t place, fr_candidates_of which, uint32_t max, uint32_t *rows);
static inline void fr_near_touch(const fr_bulk *b, uint32_t place)
{
    for (uint32_t at = 0; at < FR_NEAR_MAX; at += 64 / sizeof(fr_near)) __builtin_prefetch(b->near + (size_t)place * FR_NEAR_MAX + at);
}
/* bulk_graph.c: who is near whom, by who is near those */
void fr_bulk_order(fr_bulk *b);   /* pieces of neighbours */
void fr_bulk_ordered(fr_bulk *b); /* after the second look */
void fr_bulk_around(fr_table *t, fr_scratch *s, fr_bulk *b, uint32_t piece);
#define FR_PLACE_TAKEN 0x80000000u /* of back_head during the second look: it stands in a piece */
static inline uint32_t fr_bulk_place(const fr_bulk *b, uint32_t row) /* of a fresh row, + 1; 0: it is none */
{
    return row < b->row_limit ? atomic_load_explicit(&b->back_head[row], memory_order_relaxed) & ~FR_PLACE_TAKEN : 0;
}
/* bulk_reach.c: the same, and the linked rows near them */
void fr_bulk_reach(fr_table *t, fr_scratch *s, fr_bulk *b, uint32_t piece);
/* bulk_link.c: links of what is near */
static inline uint32_t fr_bulk_links_max(const fr_table *t) { return FR_MIN(t->lanes * 3 / 4, FR_LANES_MAX / 2); }
void fr_bulk_link(fr_table *t, fr_scratch *s, fr_bulk *b, uint32_t piece);
void fr_bulk_back(fr_table *t, fr_scratch *s, fr_bulk *b, uint32_t piece);

#endif
