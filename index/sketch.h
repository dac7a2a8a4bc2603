/* sketch.h: the entries of a cell as sign bits: one bit a dimension of the row less the cell's pivot, and nine bytes that bound its distance from
 * them (RaBitQ, as in fresh.h). 64 entries are a group; where several of a group pass a filter, its bits are looked at first, in a stream of memory,
 * and only those that may be near are measured.
 *
 * A sketch is immutable: of the first `count` entries of its cell. The applier makes it anew when 64 more have come. It is of the codes of
 * one code set, and says what each row was when it was made: of a slot that was used again the later entry is the right one, as in cells.h. */
#ifndef FR_SKETCH_H
#define FR_SKETCH_H

#include "index/codes.h"

#define FR_SKETCH_ROWS FR_SIGN_ROWS /* of a group */
/* Matches of a group, from which on its bits are looked at: its 25 lines (of 128 dimensions) cost as much as so many rows' own. */
#define FR_SKETCH_LEAST 8u
/* The bound holds with so many standard deviations. Fewer than fresh.h's, for which cells are looked at is a guess as well: at 2.5 recall was the
 * same within 0.003 (photosift1m, shares of 30 % to 3 %), and more rows were measured. */
#define FR_SKETCH_SIGMAS 1.8

typedef struct fr_sketch {
    uint32_t count; /* entries: the first ones of the cell */
    _Alignas(64) uint8_t groups[]; /* each: bits as fr_simd_signs_below has them, 64 of base, gain, spread */
} fr_sketch;

/* The query, for all cells of a table. */
typedef struct fr_sketch_query {
    const uint8_t *tables; /* of four dimensions 16 bytes */
    uint32_t padded;
    float step;
    double square; /* of the query: inner products; else 0 */
    float at_pivot, slope, offset; /* as seen from one cell */
} fr_sketch_query;

/* signs: of the rotation, FR_ROTATION_ROUNDS x padded; codes that are rotated already need none. */
size_t fr_sketch_bytes(const fr_codeset *codes, uint32_t count);
/* Of rows[0..count - 1], all of them below the table's; `old`, of fewer of the same, is used again. room: 2 x padded floats. NULL: no memory. */
fr_sketch *fr_sketch_make(const fr_codeset *codes, const int8_t *signs, const uint8_t *pivot, const fr_sketch *old, const uint32_t *rows, uint32_t count,
                          float *room);
/* tables and room: padded floats each. */
void fr_sketch_ask(const fr_codeset *codes, const int8_t *signs, const fr_code_query *query, uint8_t *tables, float *room, fr_sketch_query *out);
void fr_sketch_turn(fr_sketch_query *query, float at_pivot); /* to the cell whose pivot is so far away */
/* A bit for each entry of a group that may be nearer than `bound`. */
uint64_t fr_sketch_near(const fr_sketch *sketch, const fr_sketch_query *query, uint32_t group, float bound);
static inline size_t fr_sketch_group_bytes(uint32_t padded) { return FR_SKETCH_ROWS * ((size_t)padded / 8 + 9); }
static inline const uint8_t *fr_sketch_group(const fr_sketch *sketch, uint32_t padded, uint32_t group)
{
    return sketch->groups + group * fr_sketch_group_bytes(padded);
}

#endif
