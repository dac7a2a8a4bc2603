/* fresh.h: rows that are not linked yet: the ring that linkers take them from, and sealed blocks that searches scan.
 *
 * Every 256 rows that wait in the ring become a block: one sign bit a dimension of the rotated vector relative to a centre
 * (the mean of the block, or that of the block before where it is near), and 9 bytes that bound the distance from those
 * bits (RaBitQ: Gao and Long, SIGMOD 2024). A search looks at blocks, and at the rows of the ring behind the last of
 * them, after its walk, when the k-th distance is known: only rows whose bound is below that are compared. A block is
 * immutable; it goes, an epoch later, when all its rows are linked. */
#ifndef FR_FRESH_H
#define FR_FRESH_H

#include "index/codes.h"
#include "index/epoch.h"

struct fr_table;

#define FR_BLOCK_ROWS 256u
/* The bound holds with so many standard deviations of the estimate. 4: one of 31,000 true neighbours is passed over, far fewer
 * than a walk misses. A row's own vector is estimated exactly. */
#define FR_FRESH_SIGMAS 4.0

typedef struct fr_fresh_block {
    _Atomic(struct fr_fresh_block *) next;
    uint64_t end;      /* of the ring positions it covers */
    float *centre;     /* padded floats, rotated; shared with the blocks next to it */
    float spreads[FR_BLOCK_ROWS / 16], inverse; /* of sqrt(1 - x^2), x the cosine of a row and its sign vector: the largest of 16 rows; 1 / the least */
    uint8_t *groups;   /* as fr_simd_signs_near has them: distance = at_query + base + gain * S, S = sum of sign * (query - centre) */
    uint32_t rows[FR_BLOCK_ROWS]; /* rising spread */
} fr_fresh_block;

typedef struct fr_fresh {
    _Atomic(fr_fresh_block *) first;
    fr_fresh_block *last; /* applier */
    _Atomic uint64_t sealed; /* ring positions before this one are linked, or in a block */
    int8_t *signs;           /* of the rotation; made with the first block, never changed */
    bool held_back;          /* applier: blocks are made only once a search has looked: the rows are about to be linked in bulk */
    _Atomic bool looked;     /* a search met so many rows outside of blocks that they would have made one */
    _Atomic bool searched;   /* a search met rows that wait; whoever links clears it */
} fr_fresh;

#define FR_FRESH_LEVELS 31u /* of fr_sign_tables; 5 bits: eight of them added up are a byte */
#define FR_FRESH_FEWER 15u  /* of a query of blocks; 4 bits: sixteen of them */

/* The query as seen from one centre, as small integers: step * (u - FEWER / 2). With the other sign it is FEWER - u. */
typedef struct fr_fresh_query {
    const float *rotated; /* padded */
    const float *centre;  /* of what follows; NULL: not rounded yet */
    float step;
    double at_query;
    float error, rounding; /* standard deviations of a sum: for a spread of 1, for rounded values */
    float bend;            /* 1 / (2 D |q|^2), or 0 */
    uint8_t *tables; /* of four dimensions 16 bytes: as many bytes as padded floats */
} fr_fresh_query;

/* What a search may see, taken before its walk. */
typedef struct fr_fresh_view {
    const fr_fresh_block *first;
    uint64_t from, tail; /* ring positions to look at on codes */
} fr_fresh_view;

void fr_fresh_free(struct fr_table *t);
void fr_fresh_seal(struct fr_table *t); /* applier: seal what is full, drop what is linked; does nothing without memory */
/* A load that is linked in bulk at once holds blocks back, and makes those that searches ask for, one a call; true: it made one. */
void fr_fresh_hold_back(struct fr_table *t, bool held_back); /* applier */
bool fr_fresh_asked(struct fr_table *t);                     /* applier */
fr_fresh_view fr_fresh_look(const struct fr_table *t);
/* A vector in the space of the blocks: `rotated` has room for the padded dimension. */
void fr_fresh_enter(const struct fr_table *t, const float *vector, float *rotated);
/* Rows of a block whose distance may be below the bound: FR_BLOCK_ROWS places. query->rotated and tables are set, the rest is kept
 * from block to block. */
uint32_t fr_fresh_near(const struct fr_table *t, const fr_fresh_block *block, fr_fresh_query *query, float bound, uint32_t *rows);
/* Tables (padded floats' room) of sums over the signs of a row: each value rounded to step * (u - LEVELS / 2). Returns the step. */
float fr_sign_tables(const float *v, uint32_t padded, uint8_t *tables);

#endif
