/* codes.h: 8-bit codes of vectors and the distances the walk computes on them.
 *
 * code c of dimension j: u8. NATIVE u8: x = c; native i8: x = c - 128; SQ8: x' = scale (c - 128) + centre_j, where x' is the
 * rotated vector (cosine: the normalised one). Dot products c . q with an i8 query give every distance:
 *     d = K + cm * cst[row] + a * dot(c, q)        cst: one i32 per row
 * BIT: c is eight bits of a binary vector; distances by counting bits; cst: how many are set.
 * Source of the layout: prototypes (VN, VH): integers that need no rerank when the data are bytes. */
#ifndef FR_CODES_H
#define FR_CODES_H

#include "index/extent.h"
#include "simd/simd.h"

typedef enum fr_code_kind { FR_CODE_NONE = 0, FR_CODE_U8 = 1, FR_CODE_I8 = 2, FR_CODE_SQ8 = 3, FR_CODE_BIT = 4 } fr_code_kind;
/* Codes that are the originals. */
static inline bool fr_code_native(fr_code_kind kind) { return kind == FR_CODE_U8 || kind == FR_CODE_I8 || kind == FR_CODE_BIT; }

/* One generation of codes: immutable parameters; rows are added by the applier. Swapped whole (epoch) when retrained. */
typedef struct fr_codeset {
    fr_code_kind kind;
    fr_metric metric;
    uint32_t dimension, padded; /* padded to 64; BIT: dimension counts bits, padded bytes */
    float scale;
    float *centre;      /* SQ8: padded floats, rotated space */
    int8_t *signs;      /* SQ8: ROTATION_ROUNDS x padded */
    uint64_t trained_rows, encoded, clipped; /* clipped: dimensions cut off; applier only */
    fr_extents code;    /* padded bytes a row */
    fr_extents cst;     /* i32; empty where constants are computed (fr_codeset_computes) */
    const fr_dot_kernel *kernel;
    const fr_pool_kernel *pool;
    const fr_kernel *bits; /* BIT */
    bool has_fine;      /* second-level codes (fine.c): padded / 2 bytes a row */
    fr_extents fine;
    const fr_fine_kernel *fine_kernel;
} fr_codeset;

/* Whether distances are of dot products of codes: there are codes, and not of bits. */
static inline bool fr_codeset_dots(const fr_codeset *s) { return s->kind != FR_CODE_NONE && s->kind != FR_CODE_BIT; }

#define FR_CONSTANT_PADDED_MAX 256u
/* Constants of short rows are computed from the code: its lines are there, that of the constant is another miss. */
static inline bool fr_codeset_computes(const fr_codeset *s)
{
    return s->kind != FR_CODE_BIT && s->metric != FR_METRIC_IP && s->padded <= FR_CONSTANT_PADDED_MAX && s->kernel->gather_constant != NULL;
}

/* Whether distances read the array of constants: of inner products only those of plain u8 codes do. */
static inline bool fr_codeset_constant_read(const fr_codeset *s)
{
    if (s->kind == FR_CODE_BIT) return false;
    return s->metric == FR_METRIC_IP ? s->kind == FR_CODE_U8 : !fr_codeset_computes(s);
}

static inline int32_t fr_codeset_constant(const fr_codeset *s, uint32_t row)
{
    if (!fr_codeset_computes(s)) return *(const int32_t *)fr_extent_at(&s->cst, row);
    const uint8_t *code = fr_extent_at(&s->code, row);
    int32_t dot, constant; /* any query will do: the code itself is at hand */
    s->kernel->gather_constant((const int8_t *)code, &code, 1, s->padded, &dot, &constant);
    return constant;
}

/* A prepared query. */
typedef struct fr_code_query {
    int8_t *q; /* padded, 64-byte aligned, owned by the scratch */
    float *rotated; /* padded scratch */
    double k, a, cm;
    bool exact; /* integers only: d is the true distance, no rerank needed */
    bool positive; /* L2: clamp rounding below zero */
    double length; /* SQ8, inner products: of the query as rounded; else not set */
} fr_code_query;

/* In place; orthonormal. signs: FR_ROTATION_ROUNDS x padded of 1 or -1. */
#define FR_ROTATION_ROUNDS 4u
void fr_rotate(const int8_t *signs, uint32_t padded, float *x);
int8_t *fr_rotation_signs(uint32_t padded, uint64_t seed); /* FR_MEM_CODES; NULL: no memory */
fr_codeset *fr_codeset_create(fr_code_kind kind, fr_metric metric, uint32_t dimension, uint64_t seed);
void fr_codeset_free(fr_codeset *set);
bool fr_codeset_reserve(fr_codeset *set, uint32_t rows);
/* SQ8: centre and scale from sampled vectors (as given). */
fr_code fr_codeset_train(fr_codeset *set, const float *const *samples, uint32_t count);
/* Vectors are floats; BIT: dimension / 8 bytes. */
void fr_codeset_encode(fr_codeset *set, const void *vector, uint32_t row, float *scratch /* 2 x padded */);
void fr_codeset_decode(const fr_codeset *set, uint32_t row, void *out); /* native kinds only: exact */
void fr_codeset_query(const fr_codeset *set, const void *vector, fr_code_query *query);
void fr_codeset_query_row(const fr_codeset *set, uint32_t row, fr_code_query *query); /* the row itself as the query */
/* rows[i]: code addresses (fr_extent_at(&set->code, id)) */
void fr_codeset_distances(const fr_codeset *set, const fr_code_query *query, const uint32_t *ids, const uint8_t *const *rows,
                          uint32_t count, float *out);
int32_t fr_codeset_constant_of(const fr_codeset *set, const uint8_t *code); /* what `cst` holds for such a code */
/* The same where the constants are held already: of a few rows that are compared again and again. At most 64 rows. */
void fr_codeset_constants(const fr_codeset *set, const uint32_t *ids, const uint8_t *const *rows, uint32_t count, int32_t *out);
void fr_codeset_distances_held(const fr_codeset *set, const fr_code_query *query, const uint8_t *const *rows, const int32_t *constants,
                               uint32_t count, float *out);
/* The same of count codes that lie side by side, with their constants. */
void fr_codeset_distances_of(const fr_codeset *set, const fr_code_query *query, const uint8_t *code, const int32_t *constants,
                             uint32_t count, float *out);

#endif
