/* simd.h: numbers in, numbers out. No malloc, no files, no threads, no state but one table filled once.
 *
 * Tiers: scalar (the reference) < avx2 (AVX2+FMA+F16C, written through SIMDe: the same source is NEON on aarch64)
 *        < avx512 (F+BW+DQ+VL) < avx512vnni (+ VNNI, VPOPCNTDQ; BF16 when there).
 * The CPU is probed once, at the first call; FRESHET_ISA=scalar|avx2|avx512|avx512vnni forces a lower tier.
 * Contract: integer kernels equal the scalar reference exactly. Float kernels stay within the bound stated in
 * simd/README.md. Rows need no alignment; nothing is read past row + dimension elements.
 */
#ifndef FR_SIMD_H
#define FR_SIMD_H

#include "api/base.h"

typedef enum fr_scalar {
    FR_SCALAR_F32 = 0, FR_SCALAR_F16 = 1, FR_SCALAR_BF16 = 2, FR_SCALAR_I8 = 3, FR_SCALAR_U8 = 4, FR_SCALAR_BIT = 5,
    FR_SCALAR_COUNT
} fr_scalar;
/* What a kernel returns. COSINE: 1 - cos; a zero vector gives 1. DOT: -dot. Of bits (dimension = bits): HAMMING: those that differ;
 * JACCARD: those that differ over those set in either; 0 when none is. */
typedef enum fr_simd_metric {
    FR_SIMD_L2 = 0, FR_SIMD_DOT = 1, FR_SIMD_COSINE = 2, FR_SIMD_HAMMING = 3, FR_SIMD_JACCARD = 4, FR_SIMD_METRIC_COUNT
} fr_simd_metric;

static inline size_t fr_scalar_size(fr_scalar s, uint32_t dimension) { /* bytes of a row */
    return s == FR_SCALAR_F32 ? 4u * (size_t)dimension
         : s == FR_SCALAR_F16 || s == FR_SCALAR_BF16 ? 2u * (size_t)dimension
         : s == FR_SCALAR_BIT ? ((size_t)dimension + 7) / 8 : dimension;
}

typedef float (*fr_dist_one)(const void *query, const void *row, uint32_t dimension);
/* rows are `stride` bytes apart */
typedef void (*fr_dist_many)(const void *query, const void *rows, size_t stride, uint32_t count, uint32_t dimension, float *out);
typedef void (*fr_dist_gather)(const void *query, const void *const *rows, uint32_t count, uint32_t dimension, float *out);

typedef struct fr_kernel {
    fr_dist_one one;
    fr_dist_many many;
    fr_dist_gather gather;
    const char *isa;
} fr_kernel;
/* Query and rows of one scalar type. NULL for a pair that has no meaning (HAMMING and JACCARD are of BIT only, and BIT of them). */
const fr_kernel *fr_simd_kernel(fr_simd_metric metric, fr_scalar scalar);
/* Query f32, rows of the scalar type (F32, F16, BF16, I8, U8; L2, DOT, COSINE). */
const fr_kernel *fr_simd_mixed(fr_simd_metric metric, fr_scalar row_scalar);

/* The walk's kernel: exact 32-bit dot products of u8 codes with an i8 query.
 *   out[i] = sum_j rows[i][j] * query[j];   |out| <= 255 * 128 * 32768 fits.
 *   _padded forms: dimension is a multiple of 64, rows and query are 64-byte aligned: no tail, the fastest form. */
typedef void (*fr_dot_u8i8_gather)(const int8_t *query, const uint8_t *const *rows, uint32_t count, uint32_t dimension, int32_t *out);
typedef void (*fr_dot_u8i8_many)(const int8_t *query, const uint8_t *rows, size_t stride, uint32_t count, uint32_t dimension, int32_t *out);
typedef void (*fr_dot_u8i8_constant)(const int8_t *query, const uint8_t *const *rows, uint32_t count, uint32_t dimension, int32_t *dots,
                                     int32_t *constants);
typedef struct fr_dot_kernel {
    fr_dot_u8i8_gather gather_padded, gather;
    fr_dot_u8i8_many many_padded, many;
    const char *isa;
    /* gather_padded that also gives sum c (c - 256) of every row: cheaper than a cache miss for it. NULL where it is not. */
    fr_dot_u8i8_constant gather_constant;
} fr_dot_kernel;
const fr_dot_kernel *fr_simd_dot_u8i8(void);

/* A walk's pool: sorted, nearest first; the highest bit of a row is its owner's.
 *   distances  k + cm * constants[i] + a * dots[i], not below low.
 *   merge      takes in those that are nearer than the bound, and than the last of a full pool, behind equal ones; rows[i] at distances[i], at most
 *              FR_MERGE_MAX, none of them there. Returns the new size; first_out: the first place that changed, or capacity. */
typedef struct fr_candidate {
    float distance;
    uint32_t row;
} fr_candidate;
/* Takes in one, behind equal ones; returns its place, or capacity when it is too far. The same code in every tier. */
uint32_t fr_pool_insert(fr_candidate *pool, uint32_t *size, uint32_t capacity, float distance, uint32_t row);
#define FR_MERGE_MAX 64u
typedef struct fr_pool_kernel {
    void (*distances)(const int32_t *dots, const int32_t *constants, uint32_t count, double k, double cm, double a, double low, float *out);
    uint32_t (*merge)(fr_candidate *pool, uint32_t size, uint32_t capacity, float bound, const float *distances, const uint32_t *rows,
                      uint32_t count, uint32_t *first_out);
} fr_pool_kernel;
const fr_pool_kernel *fr_simd_pool(void);

/* 12-bit codes w = 16 code + nibble (layout: kern_fine.h) against an f32 query: sum (q - w)^2, sum q w. n is a multiple of 64. */
typedef float (*fr_fine_one)(const float *query, const uint8_t *code, const uint8_t *nibbles, uint32_t n);
typedef struct fr_fine_kernel {
    fr_fine_one l2, dot;
} fr_fine_kernel;
const fr_fine_kernel *fr_simd_fine(void);

/* Vectors on their way to codes; n is a multiple of 64; the same bits in every tier.
 *   rotate   in place, orthonormal: in each round signs (n of 1 or -1 a round), then a Walsh-Hadamard transform of the largest power of two that
 *            fits, over the first values in even rounds, the last in odd ones. Where n is that power only two rounds are done.
 *   bytes    x becomes v = (x - centre) * inverse, cut to -128..127, and code v rounded + 128; returns how many were rounded from outside.
 *   nibbles  the next 4 bits of such v (index/fine.c), n / 2 bytes.
 *   shift    x -= centre, or `flat` where centre is NULL; returns the largest |x|.
 *   query    q = x * inverse - flat, rounded to nearest even and cut to low..127; sum and square of q. True: nothing was rounded or cut.
 *            |flat| <= 128, low -128 or -127. */
typedef struct fr_encode_kernel {
    void (*rotate)(const int8_t *signs, uint32_t rounds, uint32_t n, float *x);
    uint32_t (*bytes)(float *x, const float *centre, float inverse, uint32_t n, uint8_t *code);
    void (*nibbles)(const float *scaled, const uint8_t *code, uint32_t n, uint8_t *nibbles);
    float (*shift)(float *x, const float *centre, float flat, uint32_t n);
    bool (*query)(const float *x, float inverse, float flat, float low, uint32_t n, int8_t *q, int32_t *sum_out, int32_t *square_out);
} fr_encode_kernel;
const fr_encode_kernel *fr_simd_encode(void);

/* Rows of sign bits, in groups of FR_SIGN_ROWS, byte by byte: byte b of row i of a group is bits[b * FR_SIGN_ROWS + i]; the lowest bit is
 * the first. Every four bits have a table of 16 bytes, each at most FR_SIGN_TABLE_MAX. sums[i]: what the tables have for row i's bits,
 * added up. Exact. */
#define FR_SIGN_ROWS 64u
#define FR_SIGN_TABLE_MAX 124u
void fr_simd_sign_sums(const uint8_t *tables, const uint8_t *bits, uint32_t bytes, uint32_t sums[FR_SIGN_ROWS]);
/* Which rows of a group pass a bound: bit i where base[i] + gain[i] * (scale * sum(i) + slope * spread[i] + offset) <= limit. */
typedef struct fr_simd_bound {
    const uint8_t *tables, *bits;
    const float *base, *gain;
    const uint8_t *spread;
    uint32_t bytes;
    float scale, slope, offset, limit;
} fr_simd_bound;
uint64_t fr_simd_signs_below(const fr_simd_bound *bound);

/* The same of many groups that lie for one look: the ids of the rows that pass go to out, which has room for count; returns how many. A group is
 * its bits and behind them 64 u32, the upper halves of two floats a row: base in the upper half, gain (not above 0) in the lower. A row passes
 * where base + gain * max(0, S + error * (1 - bend * S * S)) <= limit, S = scale * sum + offset; 16 rows share an error. count is a multiple of
 * FR_SIGN_ROWS. Tables: at most FR_SIGN_NEAR_MAX. ahead: what is looked at next, as many bytes, sent for meanwhile. */
#define FR_SIGN_NEAR_MAX 60u
static inline size_t fr_sign_group_bytes(uint32_t bytes) { return (size_t)(bytes + 4) * FR_SIGN_ROWS; }
typedef struct fr_simd_near {
    const uint8_t *tables, *groups, *ahead;
    uint32_t bytes, count;
    const float *error; /* count / 16 */
    const uint32_t *ids;
    float scale, offset, bend, limit;
} fr_simd_near;
uint32_t fr_simd_signs_near(const fr_simd_near *near, uint32_t *out);

/* Blocks: many rows against many rows, for building graphs. Rows are packed once and then met by tiles of queries.
 *   pack    count rows of `dimension` codes (a multiple of 64) into `packed`, which has room for
 *           fr_tile_rows(count) * dimension bytes and is 64-byte aligned. The layout is the tier's own.
 *   dots    out[q * stride + i] = packed row i . query q, exact, for i < fr_tile_rows(count); rows past count give anything.
 *           Queries lie one after the other, `dimension` bytes each.
 *   below   the places with key = constants[i] - factor * dots[i] < bound, in order; returns how many. Room for
 *           fr_tile_rows(count) + 16 in both outputs. Keys wrap like unsigned numbers; callers know that theirs fit. factor: 1 or 2.
 *   few     the `want` (at most FR_FEW_MAX) least of such keys, as order has them: equal ones by place; returns how many: all where there are
 *           fewer. Room as for below.
 *   order   sorts up to FR_ORDER_MAX keys, their places with them; equal keys stay in order.
 *   bound   a key that at least `want` of the keys are not above, and not many more: the want-th of the least keys of FR_BOUND_GROUPS groups
 *           (key i is of group i % FR_BOUND_GROUPS); INT32_MAX where there are not so many groups. */
#define FR_TILE_ROWS 32u
#define FR_ORDER_MAX 128u
#define FR_FEW_MAX 16u
#define FR_BOUND_GROUPS 64u
static inline uint32_t fr_tile_rows(uint32_t count) { return (count + FR_TILE_ROWS - 1) / FR_TILE_ROWS * FR_TILE_ROWS; }
typedef struct fr_block_kernel {
    void (*pack)(const uint8_t *const *rows, uint32_t count, uint32_t dimension, uint8_t *packed);
    void (*dots)(const int8_t *queries, uint32_t query_count, const uint8_t *packed, uint32_t count, uint32_t dimension,
                 int32_t *out, size_t stride);
    uint32_t (*below)(const int32_t *dots, const int32_t *constants, uint32_t factor, uint32_t count, int32_t bound,
                      int32_t *keys, uint32_t *places);
    uint32_t (*few)(const int32_t *dots, const int32_t *constants, uint32_t factor, uint32_t count, uint32_t want,
                    int32_t *keys, uint32_t *places);
    void (*order)(int32_t *keys, uint32_t *places, uint32_t count);
    int32_t (*bound)(const int32_t *keys, uint32_t count, uint32_t want);
    const char *isa;
} fr_block_kernel;
const fr_block_kernel *fr_simd_block(void);

/* Conversions, count elements. f32 -> f16/bf16 round to nearest even; to_f32 is exact. */
void fr_simd_to_f32(fr_scalar from, const void *source, uint32_t count, float *target);
void fr_simd_from_f32(fr_scalar to, const float *source, uint32_t count, void *target); /* I8/U8: rounded, clamped */
/* The narrowest scalar type (of U8, I8, F16, BF16, F32, in this order) that holds every value exactly; -0.0 counts as not
 * exact for integers. */
fr_scalar fr_simd_narrowest(const float *source, uint32_t count);
bool fr_simd_all_finite(const float *source, uint32_t count);
double fr_simd_norm_squared(const float *source, uint32_t count);

/* Sets bit i where low <= codes[i] <= high (wide: u16, else u8); other bits stay. Reads whole groups of 64 codes: so many there are. */
typedef void (*fr_in_range)(const void *codes, bool wide, uint32_t count, uint32_t low, uint32_t high, uint64_t *bits);
void fr_simd_in_range(const void *codes, bool wide, uint32_t count, uint32_t low, uint32_t high, uint64_t *bits);

/* The ids below `limit` whose bit is set, in order; returns how many. out: room for count + 16. */
typedef uint32_t (*fr_sift)(const uint64_t *bits, uint32_t limit, const uint32_t *ids, uint32_t count, uint32_t *out);
uint32_t fr_simd_sift(const uint64_t *bits, uint32_t limit, const uint32_t *ids, uint32_t count, uint32_t *out);

/* vector_type.c: do they go together, and is the dimension in its limits? prefix: of the field in errors. Type 0 is VECTOR_F32. */
fr_code fr_vector_type_check(fr_type type, uint32_t dimension, fr_metric metric, const char *prefix, fr_err *err);

uint32_t fr_simd_crc32c(uint32_t crc, const void *data, size_t size); /* start with 0; chainable */

/* "scalar", "avx2", ...: the tier in use; all tiers this CPU can run, for tests that loop over them. */
const char *fr_simd_isa(void);
uint32_t fr_simd_tiers(const char **names, uint32_t max);
bool fr_simd_force(const char *isa); /* tests only, before other threads run; false when the CPU lacks it */

#endif
