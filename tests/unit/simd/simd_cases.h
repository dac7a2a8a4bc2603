/* simd_cases.h: the cases of the simd room, without a test framework: cmocka runs them on x86-64, a static program
 * runs them under an emulator on aarch64. Each case returns; CHECK counts.
 *
 * The reference is written here, in long double (double on aarch64, where long double is software; its error is
 * 2^29 times below the bound), with conversions of its own.
 */
#ifndef SIMD_CASES_H
#define SIMD_CASES_H

#include "simd/simd.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#if defined(__aarch64__)
typedef double real;
#else
typedef long double real;
#endif

static uint64_t passed, failed;
#define CHECK(condition, ...)                                                                                          \
    do {                                                                                                               \
        if (condition) {                                                                                               \
            passed++;                                                                                                  \
        } else if (failed++ < 20) {                                                                                    \
            printf("FAILED %s:%d %s: ", __FILE__, __LINE__, #condition);                                               \
            printf(__VA_ARGS__);                                                                                       \
            printf("\n");                                                                                              \
        }                                                                                                              \
    } while (0)

/* ==== memory that ends at a page nobody may touch ==== */

enum { AREA_BYTES = 2 << 20, TIERS_MAX = 8, ROWS_MAX = 9 };
typedef struct area {
    char *start, *end; /* end is the guard page */
} area;
static area row_area, query_area, target_area;

static area area_make(void)
{
    char *memory = mmap(NULL, AREA_BYTES + 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory + AREA_BYTES, 65536, PROT_NONE) != 0) abort();
    return (area){memory, memory + AREA_BYTES};
}

static void cases_begin(void)
{
    if (row_area.start != NULL) return;
    row_area = area_make();
    query_area = area_make();
    target_area = area_make();
}

/* ==== random numbers ==== */

static uint64_t seed_state = 42;
static uint64_t random64(void) { return fr_mix64(seed_state += 0x9e3779b97f4a7c15u); }
static float random_unit(void) { return (float)(random64() >> 40) * 0x1p-23f - 1.0f; }

/* The styles of a row: ordinary, wide exponents, extremes of the type, small whole numbers. */
enum { ORDINARY, WIDE, EXTREME, WHOLE, STYLES };

static float random_value(int style)
{
    static const float extremes[] = {0.0f, -0.0f, 1.0f, -1.0f, 60000.0f, -60000.0f, 0x1p-24f, 1e-6f};
    int exponent = (int)(random64() % 24) - 12; /* drawn first: the order of arguments is the compiler's */
    switch (style) {
    case WIDE: return ldexpf(random_unit(), exponent);
    case EXTREME: return extremes[random64() % FR_COUNT_OF(extremes)];
    case WHOLE: return (float)(random64() % 19) - 9.0f;
    default: return random_unit();
    }
}

static void fill(fr_scalar type, int style, void *target, uint32_t count)
{
    uint8_t *bytes = target;
    for (uint32_t i = 0; i < count; i++) {
        float value = random_value(style);
        if (type == FR_SCALAR_F32)
            memcpy(bytes + 4 * (size_t)i, &value, 4);
        else if (type == FR_SCALAR_BF16) {
            uint32_t bits;
            memcpy(&bits, &value, 4);
            fr_store_le16(bytes + 2 * (size_t)i, (uint16_t)(bits >> 16));
        } else if (type == FR_SCALAR_F16) /* any finite pattern, denormals too */
            fr_store_le16(bytes + 2 * (size_t)i,
                          (uint16_t)(style == WHOLE ? 0x4000 + random64() % 1024 : random64() & 0xbbff));
        else if (style == EXTREME)
            bytes[i] = (uint8_t)(type == FR_SCALAR_U8 ? (random64() % 4 ? 255 : 0) : (random64() % 4 ? 0x80 : 0x7f));
        else
            bytes[i] = (uint8_t)random64();
    }
}

static real decode(fr_scalar type, const void *array, uint32_t i)
{
    const uint8_t *bytes = array;
    float value;
    uint32_t bits;
    switch (type) {
    case FR_SCALAR_F16: {
        uint32_t half = fr_load_le16(bytes + 2 * (size_t)i), exponent = half >> 10 & 31;
        double size = exponent == 0 ? ldexp(half & 1023, -24) : ldexp((double)((half & 1023) + 1024), (int)exponent - 25);
        return (real)(half & 0x8000 ? -size : size);
    }
    case FR_SCALAR_BF16:
        bits = (uint32_t)fr_load_le16(bytes + 2 * (size_t)i) << 16;
        memcpy(&value, &bits, 4);
        return (real)value;
    case FR_SCALAR_I8: return (real)(int8_t)bytes[i];
    case FR_SCALAR_U8: return (real)bytes[i];
    default: memcpy(&value, bytes + 4 * (size_t)i, 4); return (real)value;
    }
}

/* ==== distances of floats and integers ==== */

static const uint32_t large_dimensions[] = {384, 512, 768, 960, 1024, 1536, 3072, 4096, 32768};

static uint32_t dimension_at(uint32_t index) { return index < 300 ? index + 1 : large_dimensions[index - 300]; }
enum { DIMENSIONS = 309 };

static double worst_share; /* of the bound, over all checks */

/* The bound of simd/README.md: k units of 2^-24 of the sum of the terms' sizes; for a cosine of one. */
static void check_float(float got, fr_simd_metric metric, fr_scalar query_type, fr_scalar row_type, const void *query,
                        const void *row, uint32_t n, bool integers, const char *tier)
{
    real sum = 0, size = 0, query_norm = 0, row_norm = 0;
    for (uint32_t i = 0; i < n; i++) {
        real a = decode(query_type, query, i), b = decode(row_type, row, i);
        real term = metric == FR_SIMD_L2 ? (a - b) * (a - b) : a * b;
        sum += term, size += term < 0 ? -term : term;
        query_norm += a * a, row_norm += b * b;
    }
    bool scalar = strcmp(tier, "scalar") == 0;
    double steps = scalar || integers ? 1.0 : metric == FR_SIMD_COSINE ? 2.0 * ((n + 31) / 32) + 16 : (n + 31) / 32 + 8;
    real exact = metric == FR_SIMD_DOT ? -sum : sum;
    if (metric == FR_SIMD_COSINE) {
        exact = query_norm > 0 && row_norm > 0 ? 1 - sum / (real)sqrt((double)(query_norm)*(double)(row_norm)) : 1;
        size = 1;
        if (scalar || integers) steps = 2;
    }
    double bound = steps * 0x1p-24 * (double)size + n * 0x1p-149;
    double error = fabs((double)((real)got - exact));
    if (!scalar && !integers && bound > 0) worst_share = FR_MAX(worst_share, error / bound);
    CHECK(error <= bound, "%s metric %d query %d row %d n %u: %.9g, exact %.17g, bound %g", tier, metric, query_type,
          row_type, n, (double)got, (double)exact, bound);
}

typedef struct pair {
    fr_simd_metric metric;
    fr_scalar query_type, row_type;
    bool mixed;
} pair;

static const fr_kernel *kernel_of(const pair *p)
{
    return p->mixed ? fr_simd_mixed(p->metric, p->row_type) : fr_simd_kernel(p->metric, p->row_type);
}

static bool same_bits(float a, float b) { return memcmp(&a, &b, sizeof a) == 0; }

/* One pair, one dimension, every tier: one against the reference, many and gather and the other tiers against one. */
static void check_pair(const pair *p, uint32_t n, int style)
{
    uint32_t count = n > 1024 ? 5 : n % (ROWS_MAX + 1);
    size_t size = fr_scalar_size(p->row_type, n), stride = size + n % 5;
    if (count == 0) count = 1;
    char *rows = row_area.end - (stride * (count - 1) + size);
    char *query = query_area.end - fr_scalar_size(p->query_type, n);
    const void *pointers[ROWS_MAX];
    for (uint32_t i = 0; i < count; i++) {
        pointers[i] = rows + (size_t)((i * 7) % count) * stride;
        if (count == 7) pointers[i] = rows + i * stride;
        fill(p->row_type, style, rows + i * stride, n);
    }
    fill(p->query_type, style, query, n);
    bool integers = !p->mixed && (p->row_type == FR_SCALAR_I8 || p->row_type == FR_SCALAR_U8);
    const char *tiers[TIERS_MAX];
    uint32_t tier_count = fr_simd_tiers(tiers, TIERS_MAX);
    float first[ROWS_MAX] = {0}, many[ROWS_MAX], gather[ROWS_MAX];
    for (uint32_t t = 0; t < tier_count; t++) {
        fr_simd_force(tiers[t]);
        const fr_kernel *kernel = kernel_of(p);
        kernel->many(query, rows, stride, count, n, many);
        kernel->gather(query, pointers, count, n, gather);
        for (uint32_t i = 0; i < count; i++) {
            const char *row = rows + i * stride;
            float one = kernel->one(query, row, n);
            if (t == 0 || (t == 1 && !integers))
                check_float(one, p->metric, p->query_type, p->row_type, query, row, n, integers, tiers[t]);
            if (t == 0 || (t == 1 && !integers)) first[i] = one;
            CHECK(same_bits(one, first[i]), "%s differs: metric %d types %d %d n %u", tiers[t], p->metric,
                  p->query_type, p->row_type, n);
            CHECK(same_bits(one, many[i]), "%s many: metric %d types %d %d n %u row %u", tiers[t], p->metric,
                  p->query_type, p->row_type, n, i);
            for (uint32_t j = 0; j < count; j++)
                if (pointers[j] == row)
                    CHECK(same_bits(one, gather[j]), "%s gather: metric %d types %d %d n %u row %u", tiers[t],
                          p->metric, p->query_type, p->row_type, n, i);
        }
    }
}

static void case_distances(fr_scalar row_type, bool mixed)
{
    cases_begin();
    for (uint32_t d = 0; d < DIMENSIONS; d++)
        for (int metric = FR_SIMD_L2; metric <= FR_SIMD_COSINE; metric++) {
            pair p = {(fr_simd_metric)metric, mixed ? FR_SCALAR_F32 : row_type, row_type, mixed};
            uint32_t n = dimension_at(d);
            check_pair(&p, n, (int)((d + (uint32_t)metric) % STYLES));
            if (n == 32768 && (row_type == FR_SCALAR_I8 || row_type == FR_SCALAR_U8)) check_pair(&p, n, EXTREME);
        }
}

/* Vector tiers round alike on every machine: the same answers, down to the bit, hash to the same number. The number
 * changes when the order of a sum changes; then say so where results are compared across versions. */
static void case_same_bits_on_every_machine(void)
{
    static const uint64_t expected = 0x34af8282031a6530u;
    static char rows[4 * 320], query[4 * 320];
    const char *tiers[TIERS_MAX];
    uint32_t tier_count = fr_simd_tiers(tiers, TIERS_MAX);
    uint64_t keep = seed_state;
    for (uint32_t t = 1; t < tier_count; t++) {
        uint64_t hash = 0;
        fr_simd_force(tiers[t]);
        seed_state = 7;
        for (int mixed = 0; mixed < 2; mixed++)
            for (int type = FR_SCALAR_F32; type <= FR_SCALAR_U8; type++)
                for (int metric = FR_SIMD_L2; metric <= FR_SIMD_COSINE; metric++)
                    for (uint32_t n = 1; n <= 320; n += 3) {
                        pair p = {(fr_simd_metric)metric, mixed ? FR_SCALAR_F32 : (fr_scalar)type, (fr_scalar)type,
                                  mixed != 0};
                        fill(p.query_type, ORDINARY, query, n);
                        fill(p.row_type, WIDE, rows, n);
                        float distance = kernel_of(&p)->one(query, rows, n);
                        uint32_t bits;
                        memcpy(&bits, &distance, 4);
                        hash = fr_mix64(hash ^ bits);
                    }
        CHECK(hash == expected, "%s: 0x%llx", tiers[t], (unsigned long long)hash);
    }
    seed_state = keep;
}

/* All bytes at the ends of their ranges, at the largest dimension: the sums come nearest to 2^31. */
static void case_integer_extremes(void)
{
    cases_begin();
    const uint32_t n = 32768;
    const char *tiers[TIERS_MAX];
    uint32_t tier_count = fr_simd_tiers(tiers, TIERS_MAX);
    static const int values[][2] = {{255, 0}, {0, 255}, {255, 255}, {0x80, 0x7f}, {0x80, 0x80}, {0x7f, 0x7f}, {0, 0}};
    char *query = query_area.end - n, *row = row_area.end - n;
    for (size_t v = 0; v < FR_COUNT_OF(values); v++) {
        memset(query, values[v][0], n);
        memset(row, values[v][1], n);
        for (uint32_t t = 0; t < tier_count; t++) {
            fr_simd_force(tiers[t]);
            for (int type = FR_SCALAR_I8; type <= FR_SCALAR_U8; type++) {
                int64_t a = type == FR_SCALAR_I8 ? (int8_t)values[v][0] : values[v][0];
                int64_t b = type == FR_SCALAR_I8 ? (int8_t)values[v][1] : values[v][1];
                float l2 = fr_simd_kernel(FR_SIMD_L2, (fr_scalar)type)->one(query, row, n);
                float dot = fr_simd_kernel(FR_SIMD_DOT, (fr_scalar)type)->one(query, row, n);
                CHECK(same_bits(l2, (float)((a - b) * (a - b) * n)), "%s type %d l2 %g", tiers[t], type, (double)l2);
                CHECK(same_bits(dot, (float)(-a * b * n)), "%s type %d dot %g", tiers[t], type, (double)dot);
            }
            const uint8_t *rows[1] = {(const uint8_t *)row};
            int32_t out = 0, want = (int32_t)n * values[v][1] * (int8_t)values[v][0];
            fr_simd_dot_u8i8()->gather_padded((const int8_t *)query, rows, 1, n, &out);
            CHECK(out == want, "%s dot_u8i8 %d, exact %d", tiers[t], out, want);
        }
    }
}

/* Values whose squares overflow or underflow single precision; never NaN from finite numbers. */
static void case_float_range(void)
{
    cases_begin();
    const char *tiers[TIERS_MAX];
    uint32_t tier_count = fr_simd_tiers(tiers, TIERS_MAX);
    for (uint32_t t = 0; t < tier_count; t++) {
        fr_simd_force(tiers[t]);
        const fr_kernel *l2 = fr_simd_kernel(FR_SIMD_L2, FR_SCALAR_F32);
        const fr_kernel *dot = fr_simd_kernel(FR_SIMD_DOT, FR_SCALAR_F32);
        const fr_kernel *cosine = fr_simd_kernel(FR_SIMD_COSINE, FR_SCALAR_F32);
        for (uint32_t n = 2; n <= 130; n += 2) {
            static const float sizes[] = {3e38f, 1e30f, 1e-15f, 1e-20f, 1e-40f, 0x1p-149f};
            for (size_t s = 0; s < FR_COUNT_OF(sizes); s++) {
                float a[130], b[130], plus[130];
                for (uint32_t i = 0; i < n; i++) plus[i] = a[i] = sizes[s], b[i] = i % 2 ? sizes[s] : -sizes[s];
                float d = dot->one(a, b, n), same = cosine->one(a, plus, n), right = cosine->one(a, b, n);
                CHECK(d == 0.0f, "%s n %u size %g: dot %g", tiers[t], n, (double)sizes[s], (double)d);
                CHECK(fabsf(same) < 1e-6f, "%s n %u size %g: cosine %g", tiers[t], n, (double)sizes[s], (double)same);
                CHECK(fabsf(right - 1) < 1e-6f, "%s n %u size %g: cosine %g", tiers[t], n, (double)sizes[s],
                      (double)right);
                float far = l2->one(a, b, n);
                CHECK(s < 2 ? isinf(far) : !isnan(far), "%s n %u size %g: l2 %g", tiers[t], n, (double)sizes[s],
                      (double)far);
                const void *rows[5] = {a, b, plus, a, b};
                float out[5];
                dot->gather(a, rows, 5, n, out);
                CHECK(out[1] == 0.0f && out[4] == 0.0f && out[0] < 0 + 0x1p-100f, "%s gather %g", tiers[t],
                      (double)out[1]);
                a[n / 2] = (float)NAN;
                CHECK(isnan(l2->one(a, b, n)) && isnan(dot->one(b, a, n)), "%s n %u: NaN lost", tiers[t], n);
            }
            float zero[130] = {0}, one[130] = {1};
            CHECK(cosine->one(zero, one, n) == 1.0f && cosine->one(one, zero, n) == 1.0f &&
                      cosine->one(zero, zero, n) == 1.0f,
                  "%s n %u: a zero vector is at 1", tiers[t], n);
            CHECK(!signbit(dot->one(zero, one, n)), "%s n %u: -0", tiers[t], n);
        }
    }
}

/* ==== the walk's dot product ==== */

static void check_dots(const char *tier, const int8_t *query, const uint8_t *const *rows, const int32_t *got,
                       uint32_t count, uint32_t n, const char *form)
{
    for (uint32_t i = 0; i < count; i++) {
        int64_t exact = 0;
        for (uint32_t j = 0; j < n; j++) exact += rows[i][j] * query[j];
        CHECK(got[i] == exact, "%s %s n %u count %u row %u: %d, exact %lld", tier, form, n, count, i, got[i],
              (long long)exact);
    }
}

static void case_dot_u8i8(void)
{
    cases_begin();
    const char *tiers[TIERS_MAX];
    uint32_t tier_count = fr_simd_tiers(tiers, TIERS_MAX);
    for (uint32_t d = 0; d < DIMENSIONS; d++) {
        uint32_t n = dimension_at(d), count = n > 1024 ? 5 : n % 64 == 0 ? 9 : n % 10;
        for (int padded = 0; padded <= (n % 64 == 0); padded++) {
            size_t stride = padded ? n : n + n % 3;
            size_t size = stride * (count > 0 ? count - 1 : 0) + (count > 0 ? n : 0);
            uint8_t *first = (uint8_t *)row_area.end - size;
            int8_t *query = (int8_t *)query_area.end - n;
            const uint8_t *rows[ROWS_MAX], *in_order[ROWS_MAX];
            fill(FR_SCALAR_U8, d % 3 == 0 ? EXTREME : ORDINARY, first, (uint32_t)size);
            fill(FR_SCALAR_I8, d % 2 == 0 ? EXTREME : ORDINARY, query, n);
            for (uint32_t i = 0; i < count; i++) {
                in_order[i] = first + i * stride;
                rows[i] = first + (count - 1 - i) * stride;
            }
            for (uint32_t t = 0; t < tier_count; t++) {
                fr_simd_force(tiers[t]);
                const fr_dot_kernel *kernel = fr_simd_dot_u8i8();
                for (uint32_t some = n > 1024 ? count : 0; some <= count; some++) {
                    int32_t out[ROWS_MAX + 1];
                    out[some] = 12345;
                    (padded ? kernel->gather_padded : kernel->gather)(query, rows, some, n, out);
                    check_dots(tiers[t], query, rows, out, some, n, padded ? "gather_padded" : "gather");
                    (padded ? kernel->many_padded : kernel->many)(query, first, stride, some, n, out);
                    check_dots(tiers[t], query, in_order, out, some, n, padded ? "many_padded" : "many");
                    CHECK(out[some] == 12345, "%s wrote past the answer", tiers[t]);
                }
            }
        }
    }
}

/* ==== blocks ==== */

static void case_blocks(void)
{
    cases_begin();
    const char *tiers[TIERS_MAX];
    uint32_t tier_count = fr_simd_tiers(tiers, TIERS_MAX);
    enum { ROWS = 75, QUERIES = 19, N = 192, BROAD = 96 };
    static uint8_t codes[ROWS * N];
    static _Alignas(64) uint8_t packed[BROAD * N];
    static int8_t queries[QUERIES * N];
    static int32_t dots[QUERIES * BROAD], constants[BROAD], keys[BROAD + 16];
    static uint32_t places[BROAD + 16], whose[FR_ORDER_MAX];
    static int32_t ordered[FR_ORDER_MAX];
    const uint8_t *rows[ROWS];
    for (uint32_t round = 0; round < 60; round++) {
        uint32_t n = 64 * (1 + round % 3), count = 1 + (uint32_t)(random64() % ROWS), asked = 1 + (uint32_t)(random64() % QUERIES);
        fill(FR_SCALAR_U8, round % 4 == 0 ? EXTREME : ORDINARY, codes, sizeof codes);
        fill(FR_SCALAR_I8, round % 5 == 0 ? EXTREME : ORDINARY, queries, sizeof queries);
        for (uint32_t i = 0; i < count; i++) rows[i] = codes + (count - 1 - i) * (size_t)n;
        for (uint32_t i = 0; i < BROAD; i++) constants[i] = (int32_t)(random64() % 4000000) - 2000000;
        for (uint32_t t = 0; t < tier_count; t++) {
            fr_simd_force(tiers[t]);
            const fr_block_kernel *kernel = fr_simd_block();
            kernel->pack(rows, count, n, packed);
            kernel->dots(queries, asked, packed, count, n, dots, BROAD);
            for (uint32_t q = 0; q < asked; q++) {
                check_dots(tiers[t], queries + q * (size_t)n, rows, dots + q * BROAD, count, n, "block");
                uint32_t factor = 1 + q % 2, want = 0;
                int32_t bound = q % 7 == 0 ? INT32_MAX : (int32_t)(random64() % 2000000) - 1000000;
                uint32_t found = kernel->below(dots + q * BROAD, constants, factor, count, bound, keys, places);
                for (uint32_t i = 0; i < count; i++) {
                    int32_t key = (int32_t)((uint32_t)constants[i] - factor * (uint32_t)dots[q * BROAD + i]);
                    if (key >= bound) continue;
                    CHECK(want < found && keys[want] == key && places[want] == i, "%s below: place %u", tiers[t], i);
                    want++;
                }
                CHECK(want == found, "%s below: %u found, %u are", tiers[t], found, want);
                for (uint32_t i = 0; i < count && round % 3 == 0; i++) /* few distinct keys, so that some are equal */
                    constants[i] = (int32_t)(factor * (uint32_t)dots[q * BROAD + i] + (uint32_t)(random64() % (2 + round / 4)));
                uint32_t few = 1 + (uint32_t)(random64() % FR_FEW_MAX), got = kernel->few(dots + q * BROAD, constants, factor, count, few, keys, places);
                CHECK(got == (few < count ? few : count), "%s few: %u of %u, %u wanted", tiers[t], got, count, few);
                for (uint32_t f = 0; f < got; f++) { /* as many come before it as stand before it */
                    uint32_t before = 0;
                    for (uint32_t i = 0; i < count; i++) {
                        int32_t key = (int32_t)((uint32_t)constants[i] - factor * (uint32_t)dots[q * BROAD + i]);
                        before += key < keys[f] || (key == keys[f] && i < places[f]);
                        CHECK(i != places[f] || key == keys[f], "%s few: another key at place %u", tiers[t], i);
                    }
                    CHECK(before == f && places[f] < count, "%s few: number %u of %u has %u before it", tiers[t], f, got, before);
                }
                uint32_t some = (uint32_t)(random64() % (FR_ORDER_MAX + 1)); /* few distinct keys: equal ones stay in order */
                for (uint32_t i = 0; i < some; i++) ordered[i] = (int32_t)(random64() % (1 + round)) - 20, whose[i] = i;
                int64_t sum = 0;
                for (uint32_t i = 0; i < some; i++) sum += ordered[i];
                kernel->order(ordered, whose, some);
                for (uint32_t i = 0; i < some; i++) {
                    sum -= ordered[i];
                    CHECK(i == 0 || ordered[i - 1] < ordered[i] || (ordered[i - 1] == ordered[i] && whose[i - 1] < whose[i]), "%s order: place %u of %u",
                          tiers[t], i, some);
                }
                CHECK(sum == 0, "%s order: other keys come out", tiers[t]);
                for (uint32_t i = 0; i < some; i++) ordered[i] = (int32_t)random64() >> round % 28;
                uint32_t wanted = 1 + (uint32_t)(random64() % FR_BOUND_GROUPS), below = 0, upto = 0;
                int32_t last = kernel->bound(ordered, some, wanted);
                for (uint32_t g = 0; g < FR_BOUND_GROUPS; g++) {
                    int32_t least = INT32_MAX;
                    for (uint32_t i = g; i < some; i += FR_BOUND_GROUPS) least = ordered[i] < least ? ordered[i] : least;
                    below += least < last, upto += least <= last;
                }
                CHECK(below < wanted && wanted <= upto, "%s bound: %u groups below, %u up to it, %u wanted", tiers[t], below, upto, wanted);
            }
        }
    }
}

/* ==== bits ==== */

static void case_bits(void)
{
    cases_begin();
    const char *tiers[TIERS_MAX];
    uint32_t tier_count = fr_simd_tiers(tiers, TIERS_MAX);
    for (uint32_t d = 0; d < DIMENSIONS + 300; d++) {
        uint32_t n = d < DIMENSIONS ? dimension_at(d) : 301 + (d - DIMENSIONS) * 5, count = 1 + n % 5;
        size_t size = fr_scalar_size(FR_SCALAR_BIT, n), stride = size + n % 3;
        uint8_t *rows = (uint8_t *)row_area.end - (stride * (count - 1) + size);
        uint8_t *query = (uint8_t *)query_area.end - size;
        const void *pointers[ROWS_MAX];
        uint32_t differ[ROWS_MAX] = {0}, either[ROWS_MAX] = {0};
        for (size_t i = 0; i < size; i++) query[i] = d % 11 == 0 ? 0 : (uint8_t)random64();
        for (uint32_t r = 0; r < count; r++) {
            uint8_t *row = rows + r * stride;
            pointers[r] = row;
            for (size_t i = 0; i < size; i++) row[i] = d % 7 == 0 ? (uint8_t)~query[i] : d % 11 == 0 && r == 0 ? 0 : (uint8_t)random64();
            for (uint32_t bit = 0; bit < n; bit++) {
                uint32_t a = (uint32_t)query[bit / 8] >> (7 - bit % 8) & 1u, b = (uint32_t)row[bit / 8] >> (7 - bit % 8) & 1u;
                differ[r] += a != b, either[r] += a | b;
            }
        }
        for (uint32_t t = 0; t < tier_count; t++) {
            fr_simd_force(tiers[t]);
            for (int metric = FR_SIMD_HAMMING; metric <= FR_SIMD_JACCARD; metric++) {
                const fr_kernel *kernel = fr_simd_kernel((fr_simd_metric)metric, FR_SCALAR_BIT);
                float many[ROWS_MAX], gather[ROWS_MAX];
                kernel->many(query, rows, stride, count, n, many);
                kernel->gather(query, pointers, count, n, gather);
                for (uint32_t r = 0; r < count; r++) {
                    float one = kernel->one(query, pointers[r], n), want = (float)differ[r];
                    if (metric == FR_SIMD_JACCARD) want = either[r] == 0 ? 0 : (float)((double)differ[r] / (double)either[r]);
                    CHECK(one == want && many[r] == one && gather[r] == one, "%s metric %d n %u: %g %g %g, exact %g", tiers[t],
                          metric, n, (double)one, (double)many[r], (double)gather[r], (double)want);
                }
            }
        }
    }
}

/* ==== conversions ==== */

static uint32_t bits_of(const float *array, uint32_t i)
{
    uint32_t bits;
    memcpy(&bits, (const char *)array + 4 * (size_t)i, 4);
    return bits;
}

/* Every f16 and bf16 pattern becomes the number it stands for; going back gives the pattern. */
static void case_halves(void)
{
    cases_begin();
    static uint16_t halves[65536], back[65536];
    static float values[65536];
    const char *tiers[TIERS_MAX];
    uint32_t tier_count = fr_simd_tiers(tiers, TIERS_MAX);
    for (uint32_t i = 0; i < 65536; i++) halves[i] = (uint16_t)i;
    for (uint32_t t = 0; t < tier_count; t++)
        for (int type = FR_SCALAR_F16; type <= FR_SCALAR_BF16; type++) {
            fr_simd_force(tiers[t]);
            fr_simd_to_f32((fr_scalar)type, halves, 65536, values);
            fr_simd_from_f32((fr_scalar)type, values, 65536, back);
            for (uint32_t i = 0; i < 65536; i++) {
                bool special = type == FR_SCALAR_F16 ? (i >> 10 & 31) == 31 : (i >> 7 & 255) == 255;
                bool nan = special && (type == FR_SCALAR_F16 ? (i & 1023) != 0 : (i & 127) != 0);
                uint32_t quiet = nan ? (type == FR_SCALAR_F16 ? 0x200 : 0x40) : 0;
                if (nan)
                    CHECK(isnan(values[i]), "%s type %d %x", tiers[t], type, i);
                else if (special)
                    CHECK(isinf(values[i]) && (values[i] < 0) == (i >> 15 == 1), "%s type %d %x", tiers[t], type, i);
                else
                    CHECK((real)values[i] == decode((fr_scalar)type, halves, i), "%s type %d %x", tiers[t], type, i);
                CHECK(back[i] == (i | quiet), "%s type %d: %x came back as %x", tiers[t], type, i, back[i]);
            }
        }
}

/* Rounding of f32, all tiers alike and right: the nearest, ties to even; integers clamped. */
static void case_rounding(void)
{
    cases_begin();
    enum { COUNT = 200000 };
    static float source[COUNT];
    static uint16_t first16[COUNT], next16[COUNT];
    static uint8_t first8[COUNT], next8[COUNT];
    const char *tiers[TIERS_MAX];
    uint32_t tier_count = fr_simd_tiers(tiers, TIERS_MAX);
    for (uint32_t i = 0; i < COUNT; i++) {
        uint32_t bits = (uint32_t)random64();
        if (i % 3 == 1) bits = (bits & 0x8fffe000u) + 0x33000000u + (i % 2 ? 0x1000u : 0xfffu); /* ties of f16 */
        memcpy(source + i, &bits, 4);
        if (i % 3 == 2) source[i] = (float)((int)(bits % 1200) - 600) * 0.5f;
    }
    source[0] = 65519.996f, source[1] = 65520.0f, source[2] = -65520.0f, source[3] = 0x1p-25f, source[4] = 0x1.8p-25f;
    for (int type = FR_SCALAR_F16; type <= FR_SCALAR_BF16; type++)
        for (uint32_t t = 0; t < tier_count; t++) {
            fr_simd_force(tiers[t]);
            fr_simd_from_f32((fr_scalar)type, source, COUNT, t == 0 ? first16 : next16);
            if (t > 0) CHECK(memcmp(first16, next16, sizeof first16) == 0, "%s type %d differs", tiers[t], type);
            for (uint32_t i = 0; t == 0 && i < COUNT; i++) {
                uint32_t half = first16[i];
                uint32_t infinity = type == FR_SCALAR_F16 ? 0x7c00 : 0x7f80, size = half & 0x7fff;
                if (!isfinite(source[i]) || size >= infinity || size == 0) continue;
                uint16_t around[3] = {(uint16_t)half, (uint16_t)(half - 1), (uint16_t)(half + 1)};
                double error = fabs((double)(decode((fr_scalar)type, around, 0) - (real)source[i]));
                for (uint32_t j = 1; j < 3; j++) {
                    if ((around[j] & 0x7fff) >= infinity) continue;
                    double other = fabs((double)(decode((fr_scalar)type, around, j) - (real)source[i]));
                    CHECK(error < other || (error <= other && half % 2 == 0), "type %d %a became %x", type,
                          (double)source[i], half);
                }
            }
        }
    for (int type = FR_SCALAR_I8; type <= FR_SCALAR_U8; type++)
        for (uint32_t t = 0; t < tier_count; t++) {
            fr_simd_force(tiers[t]);
            fr_simd_from_f32((fr_scalar)type, source, COUNT, t == 0 ? first8 : next8);
            if (t > 0) CHECK(memcmp(first8, next8, sizeof first8) == 0, "%s type %d differs", tiers[t], type);
            for (uint32_t i = 0; t == 0 && i < COUNT; i++) {
                double low = type == FR_SCALAR_I8 ? -128 : 0, high = type == FR_SCALAR_I8 ? 127 : 255;
                double want = isnan(source[i]) ? low : nearbyint(fmin(fmax((double)source[i], low), high));
                int got = type == FR_SCALAR_I8 ? (int8_t)first8[i] : first8[i];
                CHECK(got == (int)want, "type %d %g became %d", type, (double)source[i], got);
            }
        }
}

/* Every count, between guard pages: to f32 and back, for all types and tiers. */
static void case_conversion_counts(void)
{
    cases_begin();
    const char *tiers[TIERS_MAX];
    uint32_t tier_count = fr_simd_tiers(tiers, TIERS_MAX);
    for (uint32_t t = 0; t < tier_count; t++)
        for (int type = 0; type <= FR_SCALAR_BIT; type++)
            for (uint32_t n = 0; n <= 100; n++) {
                fr_simd_force(tiers[t]);
                size_t size = fr_scalar_size((fr_scalar)type, n);
                char *source = row_area.end - size, *back = query_area.end - size;
                float *values = (float *)(void *)(target_area.end - 4 * (size_t)n);
                fill(type == FR_SCALAR_BIT ? FR_SCALAR_U8 : (fr_scalar)type, ORDINARY, source,
                     type == FR_SCALAR_BIT ? (uint32_t)size : n);
                if (type == FR_SCALAR_BIT && n % 8 != 0) source[size - 1] = (char)(source[size - 1] & (0xff00 >> n % 8));
                fr_simd_to_f32((fr_scalar)type, source, n, values);
                memset(back, 0x55, size);
                fr_simd_from_f32((fr_scalar)type, values, n, back);
                CHECK(size == 0 || memcmp(source, back, size) == 0, "%s type %d n %u", tiers[t], type, n);
                for (uint32_t i = 0; type != FR_SCALAR_BIT && i < n; i++)
                    CHECK((real)values[i] == decode((fr_scalar)type, source, i), "%s type %d", tiers[t], type);
            }
}

static void case_narrowest(void)
{
    cases_begin();
    static const struct {
        float value;
        fr_scalar narrowest; /* of a vector of 7s with this one in it */
    } samples[] = {
        {0.0f, FR_SCALAR_U8},      {255.0f, FR_SCALAR_U8},    {-1.0f, FR_SCALAR_I8},   {-128.0f, FR_SCALAR_I8},
        {256.0f, FR_SCALAR_F16},   {-129.0f, FR_SCALAR_F16},  {0.5f, FR_SCALAR_F16},   {-0.0f, FR_SCALAR_F16},
        {65504.0f, FR_SCALAR_F16}, {65520.0f, FR_SCALAR_F32}, {0x1p-24f, FR_SCALAR_F16}, {0x1p-25f, FR_SCALAR_BF16},
        {65536.0f, FR_SCALAR_BF16}, {1e-40f, FR_SCALAR_F32},  {0x1p-126f, FR_SCALAR_BF16}, {0.1f, FR_SCALAR_F32},
        {2049.0f, FR_SCALAR_F32},  {0x1p127f, FR_SCALAR_BF16}, {0x1.002p0f, FR_SCALAR_F32}, {0x1.004p0f, FR_SCALAR_F16},
        {2147483648.0f, FR_SCALAR_BF16}, {-2147483648.0f, FR_SCALAR_BF16}, {4294967296.0f, FR_SCALAR_BF16},
    };
    const char *tiers[TIERS_MAX];
    uint32_t tier_count = fr_simd_tiers(tiers, TIERS_MAX);
    for (uint32_t t = 0; t < tier_count; t++) {
        fr_simd_force(tiers[t]);
        for (uint32_t n = 1; n <= 70; n++) {
            float *values = (float *)(void *)(row_area.end - 4 * (size_t)n);
            for (uint32_t at = 0; at < n; at++)
                for (size_t s = 0; s < FR_COUNT_OF(samples); s++) {
                    for (uint32_t i = 0; i < n; i++) values[i] = 7;
                    values[at] = samples[s].value;
                    fr_scalar got = fr_simd_narrowest(values, n);
                    CHECK(got == samples[s].narrowest, "%s n %u at %u: %a gave %d", tiers[t], n, at,
                          (double)samples[s].value, got);
                }
            for (uint32_t i = 0; i < n; i++) values[i] = i == 0 ? -3.0f : 200.0f;
            CHECK(fr_simd_narrowest(values, n) == (n == 1 ? FR_SCALAR_I8 : FR_SCALAR_F16), "%s both signs", tiers[t]);
            values[n - 1] = (float)NAN;
            fr_scalar with_nan = fr_simd_narrowest(values, n);
            CHECK(with_nan == FR_SCALAR_F16 || with_nan == FR_SCALAR_BF16, "%s NaN gave %d", tiers[t], with_nan);
        }
        CHECK(fr_simd_narrowest(NULL, 0) == FR_SCALAR_U8, "%s empty", tiers[t]);
    }
}

static void case_finite_and_norm(void)
{
    cases_begin();
    static const uint32_t bad_bits[] = {0x7f800000u, 0xff800000u, 0x7fc00000u, 0xff800001u, 0x7fffffffu};
    const char *tiers[TIERS_MAX];
    uint32_t tier_count = fr_simd_tiers(tiers, TIERS_MAX);
    for (uint32_t n = 0; n <= 200; n++) {
        float *values = (float *)(void *)(row_area.end - 4 * (size_t)n);
        fill(FR_SCALAR_F32, n % 2 ? WIDE : ORDINARY, values, n);
        if (n > 3) values[0] = 3.4e38f, values[1] = 1e-45f, values[2] = -3.4e38f;
        real exact = 0;
        for (uint32_t i = 0; i < n; i++) exact += (real)values[i] * (real)values[i];
        double first = 0;
        for (uint32_t t = 0; t < tier_count; t++) {
            fr_simd_force(tiers[t]);
            CHECK(fr_simd_all_finite(values, n), "%s n %u: finite", tiers[t], n);
            double norm = fr_simd_norm_squared(values, n);
            if (t == 0) first = norm;
            CHECK(norm >= first && norm <= first, "%s n %u: the norm differs", tiers[t], n);
            CHECK(fabs((double)((real)norm - exact)) <= (double)exact * 0x1p-45, "%s n %u: norm", tiers[t], n);
            for (uint32_t at = 0; at < n; at++) {
                uint32_t keep = bits_of(values, at);
                memcpy(values + at, &bad_bits[(at + n) % FR_COUNT_OF(bad_bits)], 4);
                CHECK(!fr_simd_all_finite(values, n), "%s n %u at %u: not finite", tiers[t], n, at);
                memcpy(values + at, &keep, 4);
            }
        }
    }
}

/* ==== crc32c ==== */

static uint32_t crc_bitwise(uint32_t crc, const uint8_t *data, size_t size)
{
    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
    }
    return ~crc;
}

static void case_crc32c(void)
{
    cases_begin();
    uint8_t zeros[32] = {0}, ones[32], rising[32];
    memset(ones, 255, sizeof ones);
    for (uint8_t i = 0; i < 32; i++) rising[i] = i;
    enum { BYTES = 8192 };
    static uint8_t data[BYTES];
    static uint32_t want[BYTES + 1];
    for (size_t i = 0; i < BYTES; i++) data[i] = (uint8_t)random64();
    for (size_t i = 0; i < BYTES; i++) want[i + 1] = crc_bitwise(want[i], data + i, 1);
    const char *tiers[TIERS_MAX];
    uint32_t tier_count = fr_simd_tiers(tiers, TIERS_MAX);
    for (uint32_t t = 0; t < tier_count; t++) {
        fr_simd_force(tiers[t]);
        CHECK(fr_simd_crc32c(0, "123456789", 9) == 0xe3069283u, "%s check value", tiers[t]);
        CHECK(fr_simd_crc32c(0, zeros, 32) == 0x8a9136aau, "%s RFC 3720 zeros", tiers[t]);
        CHECK(fr_simd_crc32c(0, ones, 32) == 0x62a8ab43u, "%s RFC 3720 ones", tiers[t]);
        CHECK(fr_simd_crc32c(0, rising, 32) == 0x46dd794eu, "%s RFC 3720 rising", tiers[t]);
        CHECK(fr_simd_crc32c(7, NULL, 0) == 7u, "%s empty", tiers[t]);
        for (size_t size = 0; size <= BYTES; size += size < 1000 ? 1 : 37) {
            uint8_t *end = (uint8_t *)row_area.end - size;
            memcpy(end, data, size);
            CHECK(fr_simd_crc32c(0, end, size) == want[size], "%s size %zu", tiers[t], size);
            size_t cut = size > 0 ? random64() % size : 0;
            uint32_t crc = fr_simd_crc32c(fr_simd_crc32c(0, end, cut), end + cut, size - cut);
            CHECK(crc == want[size], "%s size %zu cut at %zu", tiers[t], size, cut);
        }
    }
}

/* ==== the table ==== */

static void case_selection(void)
{
    const char *tiers[TIERS_MAX];
    uint32_t tier_count = fr_simd_tiers(tiers, TIERS_MAX);
    CHECK(tier_count >= 1 && strcmp(tiers[0], "scalar") == 0, "scalar comes first");
    CHECK(fr_simd_tiers(tiers, 1) == 1, "max is kept");
    tier_count = fr_simd_tiers(tiers, TIERS_MAX);
    CHECK(!fr_simd_force("sse9"), "an unknown tier");
    for (uint32_t t = 0; t < tier_count; t++) {
        CHECK(fr_simd_force(tiers[t]) && strcmp(fr_simd_isa(), tiers[t]) == 0, "force %s", tiers[t]);
        CHECK(strcmp(fr_simd_dot_u8i8()->isa, tiers[t]) == 0, "%s has its own walk kernel", tiers[t]);
        for (int metric = 0; metric < FR_SIMD_METRIC_COUNT; metric++)
            for (int type = 0; type < FR_SCALAR_COUNT; type++) {
                bool bits = type == FR_SCALAR_BIT, of_bits = metric == FR_SIMD_HAMMING || metric == FR_SIMD_JACCARD;
                const fr_kernel *same = fr_simd_kernel((fr_simd_metric)metric, (fr_scalar)type);
                const fr_kernel *mixed = fr_simd_mixed((fr_simd_metric)metric, (fr_scalar)type);
                CHECK((same != NULL) == (bits == of_bits), "%s metric %d type %d", tiers[t], metric, type);
                CHECK((mixed != NULL) == (!bits && !of_bits), "%s mixed metric %d type %d", tiers[t], metric, type);
                CHECK(same == NULL || (same->one && same->many && same->gather && same->isa), "%s forms", tiers[t]);
                CHECK(mixed == NULL || (mixed->one && mixed->many && mixed->gather), "%s mixed forms", tiers[t]);
            }
    }
    CHECK(fr_simd_kernel(FR_SIMD_METRIC_COUNT, FR_SCALAR_F32) == NULL, "no such metric");
    CHECK(fr_simd_mixed(FR_SIMD_L2, FR_SCALAR_COUNT) == NULL, "no such type");
}

#endif
