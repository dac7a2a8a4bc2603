/* codes.c: see codes.h. Rotation: random signs and fast Hadamard transforms (Ailon and Chazelle 2006; the windowed form for
 * lengths that are no power of two follows RaBitQ's rotator notes). */
#include "index/codes.h"

#include <math.h>

#define BATCH 64u

fr_codeset *fr_codeset_create(fr_code_kind kind, fr_metric metric, uint32_t dimension, uint64_t seed)
{
    fr_codeset *s = fr_zalloc(FR_MEM_CODES, sizeof *s);
    if (s == NULL) return NULL;
    uint32_t width = kind == FR_CODE_BIT ? dimension / 8 : dimension;
    *s = (fr_codeset){.kind = kind, .metric = metric, .dimension = dimension, .padded = (width + 63) / 64 * 64, .scale = 1.0f};
    s->bits = fr_simd_kernel(metric == FR_METRIC_JACCARD ? FR_SIMD_JACCARD : FR_SIMD_HAMMING, FR_SCALAR_BIT);
    s->kernel = fr_simd_dot_u8i8();
    s->pool = fr_simd_pool();
    fr_extents_init(&s->code, s->padded, FR_MEM_CODES);
    s->fine_kernel = fr_simd_fine();
    fr_extents_init(&s->fine, s->padded / 2, FR_MEM_CODES);
    fr_extents_init(&s->cst, sizeof(int32_t), FR_MEM_CODES);
    if (kind != FR_CODE_SQ8) return s;
    s->centre = fr_zalloc(FR_MEM_CODES, s->padded * sizeof(float));
    s->signs = fr_rotation_signs(s->padded, seed);
    if (s->centre == NULL || s->signs == NULL) {
        fr_codeset_free(s);
        return NULL;
    }
    return s;
}

void fr_codeset_free(fr_codeset *s)
{
    if (s == NULL) return;
    fr_extents_free(&s->code);
    fr_extents_free(&s->cst);
    fr_extents_free(&s->fine);
    fr_free(FR_MEM_CODES, s->centre);
    fr_free(FR_MEM_CODES, s->signs);
    fr_free(FR_MEM_CODES, s);
}

bool fr_codeset_reserve(fr_codeset *s, uint32_t rows)
{
    return s->kind == FR_CODE_NONE || (fr_extents_reserve(&s->code, rows) && (fr_codeset_computes(s) || fr_extents_reserve(&s->cst, rows)) &&
                                       (!s->has_fine || fr_extents_reserve(&s->fine, rows)));
}

int8_t *fr_rotation_signs(uint32_t padded, uint64_t seed)
{
    uint32_t count = FR_ROTATION_ROUNDS * padded;
    int8_t *signs = fr_alloc(FR_MEM_CODES, count);
    for (uint32_t i = 0; i < count && signs != NULL; i++) signs[i] = fr_mix64(seed + 1 + i) & 1 ? 1 : -1;
    return signs;
}

void fr_rotate(const int8_t *signs, uint32_t padded, float *x) { fr_simd_encode()->rotate(signs, FR_ROTATION_ROUNDS, padded, x); }

/* The vector in the space of the codes: normalised for cosine, padded, rotated. */
static void enter_space(const fr_codeset *s, const float *vector, float *out)
{
    float norm = 1.0f;
    if (s->metric == FR_METRIC_COSINE) {
        double square = fr_simd_norm_squared(vector, s->dimension);
        norm = square > 0 ? (float)(1.0 / sqrt(square)) : 0.0f;
    }
    for (uint32_t i = 0; i < s->dimension; i++) out[i] = vector[i] * norm;
    memset(out + s->dimension, 0, (s->padded - s->dimension) * sizeof(float));
    fr_rotate(s->signs, s->padded, out);
}

/* Of up to a million values the scale looks at the one that one in 100,000 lies above: only the largest few are kept, falling. */
#define SAMPLE_MAX (1u << 20)
#define TOP_ROOM 16u
_Static_assert(SAMPLE_MAX / 100000u + 2 <= TOP_ROOM, "the wanted one is among them");

static void top_put(float *top, uint32_t *count, float value)
{
    if (*count == TOP_ROOM && value <= top[TOP_ROOM - 1]) return;
    uint32_t at = *count < TOP_ROOM ? (*count)++ : TOP_ROOM - 1;
    for (; at > 0 && top[at - 1] < value; at--) top[at] = top[at - 1];
    top[at] = value;
}

fr_code fr_codeset_train(fr_codeset *s, const float *const *samples, uint32_t count)
{
    FR_ASSERT(s->kind == FR_CODE_SQ8);
    uint32_t kept_max = FR_MIN(count * s->padded, SAMPLE_MAX), kept = 0, top_count = 0;
    float top[TOP_ROOM] = {0};
    size_t size = s->padded * sizeof(float);
    float *x = fr_alloc_pages(FR_MEM_CODES, size);
    double *sum = fr_zalloc(FR_MEM_CODES, s->padded * sizeof(double));
    if (x == NULL || sum == NULL) {
        if (x != NULL) fr_free_pages(FR_MEM_CODES, x, size);
        fr_free(FR_MEM_CODES, sum);
        return FR_ERR_NO_MEMORY;
    }
    if (s->metric != FR_METRIC_IP) { /* inner products are not invariant to a shift: no centre there */
        for (uint32_t i = 0; i < count; i++) {
            enter_space(s, samples[i], x);
            for (uint32_t j = 0; j < s->padded; j++) sum[j] += (double)x[j];
        }
        for (uint32_t j = 0; j < s->padded; j++) s->centre[j] = (float)(sum[j] / (double)FR_MAX(count, 1u));
    }
    uint64_t every = ((uint64_t)count * s->padded + kept_max - 1) / FR_MAX(kept_max, 1u), seen = 0;
    for (uint32_t i = 0; i < count; i++) {
        enter_space(s, samples[i], x);
        for (uint32_t j = 0; j < s->padded; j++)
            if (seen++ % every == 0 && kept < kept_max) {
                top_put(top, &top_count, fabsf(x[j] - s->centre[j]));
                kept++;
            }
    }
    float largest = kept != 0 ? top[kept - 1 - (uint64_t)(kept - 1) * 99999 / 100000] : 1.0f;
    s->scale = largest > 1e-30f ? largest / 127.0f : 1e-30f;
    s->trained_rows = count;
    fr_free_pages(FR_MEM_CODES, x, size);
    fr_free(FR_MEM_CODES, sum);
    return FR_OK;
}

int32_t fr_codeset_constant_of(const fr_codeset *s, const uint8_t *c)
{
    uint32_t square = 0, sum = 0;
    for (uint32_t j = 0; j < s->padded; j++) square += (uint32_t)c[j] * c[j], sum += c[j];
    if (s->metric != FR_METRIC_IP) return (int32_t)(square - 256u * sum); /* within i32: c (c - 256) >= -16384 a dimension */
    return s->kind == FR_CODE_U8 ? -(int32_t)(128u * sum) : 0;
}

static void set_constant(fr_codeset *s, uint32_t row)
{
    if (!fr_codeset_computes(s)) *(int32_t *)fr_extent_at(&s->cst, row) = fr_codeset_constant_of(s, fr_extent_at(&s->code, row));
}

/* Bits as they are, and zeros up to 64 bytes: those differ nowhere and are set in neither. */
static void encode_bits(fr_codeset *s, const void *vector, uint32_t row)
{
    uint8_t *c = fr_extent_at(&s->code, row);
    int32_t set = 0;
    memcpy(c, vector, s->dimension / 8);
    memset(c + s->dimension / 8, 0, s->padded - s->dimension / 8);
    for (uint32_t i = 0; i < s->padded; i += 8) set += __builtin_popcountll(fr_load_le64(c + i));
    *(int32_t *)fr_extent_at(&s->cst, row) = set;
}

void fr_codeset_encode(fr_codeset *s, const void *numbers, uint32_t row, float *scratch)
{
    if (s->kind == FR_CODE_BIT) {
        encode_bits(s, numbers, row);
        return;
    }
    uint8_t *c = fr_extent_at(&s->code, row);
    const float *vector = numbers;
    if (s->kind == FR_CODE_SQ8) {
        enter_space(s, vector, scratch);
        s->clipped += fr_simd_encode()->bytes(scratch, s->centre, 1.0f / s->scale, s->padded, c);
        s->encoded += s->padded;
        if (s->has_fine) fr_simd_encode()->nibbles(scratch, c, s->padded, fr_extent_at(&s->fine, row));
    } else {
        float shift = s->kind == FR_CODE_I8 ? 128.0f : 0.0f;
        for (uint32_t j = 0; j < s->dimension; j++) c[j] = (uint8_t)(vector[j] + shift);
        memset(c + s->dimension, s->kind == FR_CODE_I8 ? 128 : 0, s->padded - s->dimension);
    }
    set_constant(s, row);
}

void fr_codeset_decode(const fr_codeset *s, uint32_t row, void *vector)
{
    const uint8_t *c = fr_extent_at(&s->code, row);
    float *out = vector;
    if (s->kind == FR_CODE_BIT) {
        memcpy(vector, c, s->dimension / 8);
        return;
    }
    float shift = s->kind == FR_CODE_I8 ? 128.0f : 0.0f;
    for (uint32_t j = 0; j < s->dimension; j++) out[j] = (float)c[j] - shift;
}

/* Numbers as they are, and zeros: those are the values of the padding in every kind of code. */
static void pad_query(const fr_codeset *s, const float *v, float *u)
{
    memcpy(u, v, s->dimension * sizeof(float));
    memset(u + s->dimension, 0, (s->padded - s->dimension) * sizeof(float));
}

/* Integers of the native kinds: exact when every query value is one too. */
static bool query_native(const fr_codeset *s, fr_code_query *query)
{
    int32_t sum, square;
    if (!fr_simd_encode()->query(query->rotated, 1.0f, s->kind == FR_CODE_U8 ? 128.0f : 0.0f, -128.0f, s->padded, query->q, &sum, &square)) return false;
    query->exact = true;
    if (s->metric == FR_METRIC_IP) {
        query->k = s->kind == FR_CODE_U8 ? 0.0 : 128.0 * (double)sum;
        query->a = -1.0, query->cm = 1.0;
    } else { /* of the query as a code, q + 128 */
        query->k = (double)square + 256.0 * (double)sum + 16384.0 * (double)s->padded;
        query->a = -2.0, query->cm = 1.0;
    }
    return true;
}

void fr_codeset_query(const fr_codeset *s, const void *numbers, fr_code_query *query)
{
    if (s->kind == FR_CODE_BIT) {
        memcpy(query->q, numbers, s->dimension / 8);
        memset(query->q + s->dimension / 8, 0, s->padded - s->dimension / 8);
        query->exact = query->positive = true;
        return;
    }
    bool ip = s->metric == FR_METRIC_IP;
    float *u = query->rotated, scale = s->scale;
    query->exact = false;
    query->positive = !ip;
    if (s->kind == FR_CODE_SQ8) {
        enter_space(s, numbers, u);
    } else {
        pad_query(s, numbers, u);
        if (query_native(s, query)) return;
    }
    /* u = query - centre; SQ8: centre_j; native u8: x = (c - 128) + 128, i8: x = (c - 128) */
    float largest = fr_simd_encode()->shift(u, s->kind == FR_CODE_SQ8 && !ip ? s->centre : NULL, s->kind == FR_CODE_U8 && !ip ? 128.0f : 0.0f, s->padded);
    double t = largest > 0 ? (double)largest / 127.0 : 1.0;
    int32_t sum, square;
    fr_simd_encode()->query(u, (float)(1.0 / t), 0.0f, -127.0f, s->padded, query->q, &sum, &square);
    if (ip) {
        query->a = -(double)scale * t;
        query->cm = 0;
        query->length = t * sqrt((double)square);
        /* x = scale (c - 128), or c for native u8 */
        query->k = s->kind == FR_CODE_U8 ? 0.0 : (double)scale * t * 128.0 * (double)sum;
    } else {
        /* of the rounded query: |q - x|^2 of two codes is never negative, and what the rounding adds is the same for all rows */
        double flat = 128.0 * (double)scale;
        query->k = t * t * (double)square + 2 * t * flat * (double)sum + flat * flat * (double)s->padded;
        query->cm = (double)scale * (double)scale;
        query->a = -2.0 * (double)scale * t;
    }
}

void fr_codeset_query_row(const fr_codeset *s, uint32_t row, fr_code_query *query)
{
    const uint8_t *c = fr_extent_at(&s->code, row);
    if (s->kind == FR_CODE_BIT) {
        memcpy(query->q, c, s->padded);
        query->exact = query->positive = true;
        return;
    }
    int8_t *restrict q = query->q; /* not read again for each byte */
    for (uint32_t j = 0, n = s->padded; j < n; j++) q[j] = (int8_t)(c[j] ^ 0x80);
    double unit = s->kind == FR_CODE_SQ8 ? (double)s->scale * (double)s->scale : 1.0;
    query->exact = s->kind != FR_CODE_SQ8;
    query->positive = s->metric != FR_METRIC_IP;
    if (s->metric != FR_METRIC_IP) {
        int32_t dot, constant;
        if (fr_codeset_computes(s)) {
            s->kernel->gather_constant(query->q, &c, 1, s->padded, &dot, &constant);
        } else {
            s->kernel->gather_padded(query->q, &c, 1, s->padded, &dot);
            constant = *(const int32_t *)fr_extent_at(&s->cst, row);
        }
        query->k = unit * (2.0 * (double)dot - (double)constant); /* |c|^2 = 2 dot(c, c - 128) - (|c|^2 - 256 sum) */
        query->a = -2.0 * unit, query->cm = unit;
    } else {
        int64_t sum = 0, square = 0;
        for (uint32_t j = 0; j < s->padded; j++) sum += query->q[j], square += query->q[j] * query->q[j];
        query->length = sqrt(unit * (double)square);
        /* U8: x.y = dot(c, q') + 128 sum(c) (in cst); else (c - 128).(d - 128) = dot(c, q') - 128 sum(q') */
        query->k = s->kind == FR_CODE_U8 ? 0.0 : unit * 128.0 * (double)sum;
        query->a = -unit, query->cm = unit;
    }
}

static void finish_distances(const fr_codeset *s, const fr_code_query *query, const int32_t *dots, const int32_t *constants, uint32_t n, float *out)
{
    s->pool->distances(dots, constants, n, query->k, query->cm, query->a, query->positive ? 0 : -INFINITY, out);
}

void fr_codeset_distances(const fr_codeset *s, const fr_code_query *query, const uint32_t *ids, const uint8_t *const *rows,
                          uint32_t count, float *out)
{
    int32_t dots[BATCH], constants[BATCH];
    if (s->kind == FR_CODE_BIT) {
        s->bits->gather(query->q, (const void *const *)rows, count, s->padded * 8, out);
        return;
    }
    for (uint32_t at = 0; at < count; at += BATCH) {
        uint32_t n = FR_MIN(BATCH, count - at);
        if (fr_codeset_computes(s)) {
            s->kernel->gather_constant(query->q, rows + at, n, s->padded, dots, constants);
        } else {
            s->kernel->gather_padded(query->q, rows + at, n, s->padded, dots);
            for (uint32_t i = 0; i < n; i++) constants[i] = query->cm == 0 ? 0 : *(const int32_t *)fr_extent_at(&s->cst, ids[at + i]);
        }
        finish_distances(s, query, dots, constants, n, out + at);
    }
}

void fr_codeset_constants(const fr_codeset *s, const uint32_t *ids, const uint8_t *const *rows, uint32_t count, int32_t *out)
{
    int32_t dots[BATCH];
    if (fr_codeset_computes(s)) { /* any query will do; that of the first row is at hand */
        s->kernel->gather_constant((const int8_t *)rows[0], rows, count, s->padded, dots, out);
        return;
    }
    for (uint32_t i = 0; i < count; i++) out[i] = *(const int32_t *)fr_extent_at(&s->cst, ids[i]);
}

void fr_codeset_distances_held(const fr_codeset *s, const fr_code_query *query, const uint8_t *const *rows, const int32_t *constants,
                               uint32_t count, float *out)
{
    int32_t dots[BATCH];
    s->kernel->gather_padded(query->q, rows, count, s->padded, dots);
    finish_distances(s, query, dots, constants, count, out);
}

void fr_codeset_distances_of(const fr_codeset *s, const fr_code_query *query, const uint8_t *code, const int32_t *constants,
                             uint32_t count, float *out)
{
    int32_t dots[BATCH];
    if (s->kind == FR_CODE_BIT) {
        s->bits->many(query->q, code, s->padded, count, s->padded * 8, out);
        return;
    }
    for (uint32_t at = 0; at < count; at += BATCH) {
        uint32_t n = FR_MIN(BATCH, count - at);
        s->kernel->many_padded(query->q, code + (size_t)at * s->padded, s->padded, n, s->padded, dots);
        finish_distances(s, query, dots, constants + at, n, out + at);
    }
}
