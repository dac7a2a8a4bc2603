/* test_encode.c: vectors and queries to codes: every tier gives the bits of the scalar one, and the rotation keeps lengths and angles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>

#include "simd/simd.h"

#define LONGEST 1600u
#define ROUNDS 4u

typedef struct encoded {
    float rotated[LONGEST], scaled[LONGEST];
    uint8_t code[LONGEST], nibbles[LONGEST / 2];
    uint32_t outside;
} encoded;

static int8_t signs[ROUNDS * LONGEST];
static float centre[LONGEST];

/* Whole numbers and halves, also beyond both ends of the codes. */
static float value_of(uint64_t seed) { return (float)((int64_t)(fr_mix64(seed) % 601) - 300) / 2.0f; }

static void encode(uint32_t n, uint64_t seed, encoded *out)
{
    memset(out, 0, sizeof *out);
    for (uint32_t i = 0; i < n; i++) out->rotated[i] = value_of(seed + i), out->scaled[i] = value_of(seed + i) + centre[i];
    fr_simd_encode()->rotate(signs, ROUNDS, n, out->rotated);
    out->outside = fr_simd_encode()->bytes(out->scaled, centre, 1.0f, n, out->code);
    fr_simd_encode()->nibbles(out->scaled, out->code, n, out->nibbles);
}

static void every_tier_is_the_scalar_one(void **state)
{
    (void)state;
    static encoded wanted, found;
    const char *names[8];
    uint32_t tiers = fr_simd_tiers(names, 8), outside = 0;
    for (uint32_t n = 64; n <= LONGEST; n += 64) {
        assert_true(fr_simd_force("scalar"));
        encode(n, n, &wanted);
        outside += wanted.outside;
        for (uint32_t t = 0; t < tiers; t++) {
            assert_true(fr_simd_force(names[t]));
            encode(n, n, &found);
            assert_memory_equal(found.rotated, wanted.rotated, sizeof wanted.rotated);
            assert_memory_equal(found.scaled, wanted.scaled, sizeof wanted.scaled);
            assert_memory_equal(found.code, wanted.code, sizeof wanted.code);
            assert_memory_equal(found.nibbles, wanted.nibbles, sizeof wanted.nibbles);
            assert_int_equal(found.outside, wanted.outside);
        }
    }
    assert_true(outside > 1000);
}

/* A code of 12 bits is within half of its step of the value, unless that was cut off. */
static void codes_are_near(void **state)
{
    (void)state;
    static encoded e;
    assert_true(fr_simd_force("scalar"));
    encode(LONGEST, 5, &e);
    for (uint32_t i = 0; i < LONGEST; i++) {
        float v = value_of(5 + i), cut = fminf(fmaxf(v, -128.0f), 127.0f);
        uint8_t pair = e.nibbles[i / 64 * 32 + i % 32], nibble = i % 64 < 32 ? pair & 15 : pair >> 4;
        assert_true(fabsf((float)e.code[i] - 128.0f - cut) <= 0.5f);
        assert_true(fabsf((float)e.code[i] + (float)nibble / 16.0f - 128.5f + 1.0f / 32 - cut) <= 1.0f / 16);
    }
}

static double dot(const float *a, const float *b, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

static void rotation_keeps_products(void **state)
{
    (void)state;
    static float a[LONGEST], b[LONGEST];
    for (uint32_t n = 64; n <= LONGEST; n += 64) {
        for (uint32_t i = 0; i < n; i++) a[i] = value_of(i), b[i] = value_of(i + n);
        double square = dot(a, a, n), product = dot(a, b, n);
        fr_simd_encode()->rotate(signs, ROUNDS, n, a);
        fr_simd_encode()->rotate(signs, ROUNDS, n, b);
        assert_true(fabs(dot(a, a, n) - square) <= 1e-5 * square);
        assert_true(fabs(dot(a, b, n) - product) <= 1e-5 * square);
    }
}

/* ==== queries ==== */

typedef struct asked {
    float shifted[LONGEST], largest;
    int8_t q[LONGEST];
    int32_t sum, square;
    bool whole;
} asked;

static void ask(const float *x, const float *around, float flat, float low, float inverse, uint32_t n, asked *out)
{
    memset(out, 0, sizeof *out);
    memcpy(out->shifted, x, n * sizeof *x);
    out->largest = fr_simd_encode()->shift(out->shifted, around, flat, n);
    out->whole = fr_simd_encode()->query(x, inverse, flat, low, n, out->q, &out->sum, &out->square);
}

/* What simd.h says, number by number. */
static void check_asked(const float *x, const float *around, float flat, float low, float inverse, uint32_t n, const asked *a)
{
    float largest = 0;
    int64_t sum = 0, square = 0;
    bool whole = true;
    for (uint32_t i = 0; i < n; i++) {
        float shifted = x[i] - (around != NULL ? around[i] : flat), wanted = x[i] * inverse;
        double q = fmin(fmax(rint((double)wanted), (double)(low + flat)), 127.0 + (double)flat) - (double)flat;
        assert_true(a->shifted[i] == shifted);
        assert_true((double)a->q[i] == q);
        largest = fmaxf(largest, fabsf(shifted));
        whole &= q + (double)flat == (double)wanted;
        sum += (int64_t)q, square += (int64_t)(q * q);
    }
    assert_true(a->largest == largest && a->sum == sum && a->square == square && a->whole == whole);
}

static void queries_are_the_same_in_every_tier(void **state)
{
    (void)state;
    static const float flats[] = {128.0f, 0.0f}, lows[] = {-128.0f, -127.0f}, inverses[] = {1.0f, 0.7f};
    static asked found, wanted;
    static float x[LONGEST];
    const char *names[8];
    uint32_t tiers = fr_simd_tiers(names, 8);
    for (uint32_t n = 64; n <= LONGEST; n += 64)
        for (uint32_t c = 0; c < 16; c++) {
            float flat = flats[c & 1], low = lows[c >> 1 & 1], inverse = inverses[c >> 2 & 1];
            for (uint32_t i = 0; i < n; i++) x[i] = value_of(n + i + c) + flat;
            const float *around = c & 8 ? centre : NULL;
            assert_true(fr_simd_force("scalar"));
            ask(x, around, flat, low, inverse, n, &wanted);
            check_asked(x, around, flat, low, inverse, n, &wanted);
            for (uint32_t t = 0; t < tiers; t++) {
                assert_true(fr_simd_force(names[t]));
                ask(x, around, flat, low, inverse, n, &found);
                assert_memory_equal(found.shifted, wanted.shifted, sizeof wanted.shifted);
                assert_memory_equal(found.q, wanted.q, sizeof wanted.q);
                assert_true(found.largest == wanted.largest && found.sum == wanted.sum && found.square == wanted.square && found.whole == wanted.whole);
            }
        }
}

/* One number that is a half, or one step outside, at any place: no. The ends of the range themselves: yes. */
static void only_whole_numbers_within_are_whole(void **state)
{
    (void)state;
    enum { N = 128 };
    static asked a;
    float x[N];
    const char *names[8];
    uint32_t tiers = fr_simd_tiers(names, 8);
    for (uint32_t t = 0; t < tiers; t++) {
        assert_true(fr_simd_force(names[t]));
        for (uint32_t c = 0; c < 4; c++) {
            float flat = c & 1 ? 128.0f : 0.0f, low = c & 2 ? -127.0f : -128.0f;
            const float others[] = {0.5f + flat, low + flat - 1.0f, 128.0f + flat, low + flat - 0.5f, 127.5f + flat, 1e9f, -3e38f, 0x1p-20f};
            for (uint32_t i = 0; i < N; i++) x[i] = (i % 3 == 0 ? low : i % 3 == 1 ? 127.0f : (float)i - 64.0f) + flat;
            ask(x, NULL, flat, low, 1.0f, N, &a);
            check_asked(x, NULL, flat, low, 1.0f, N, &a);
            assert_true(a.whole);
            for (uint32_t i = 0; i < N; i++) {
                float before = x[i];
                x[i] = others[i % FR_COUNT_OF(others)];
                ask(x, NULL, flat, low, 1.0f, N, &a);
                check_asked(x, NULL, flat, low, 1.0f, N, &a);
                assert_false(a.whole);
                x[i] = before;
            }
        }
    }
}

int main(void)
{
    for (uint32_t i = 0; i < ROUNDS * LONGEST; i++) signs[i] = fr_mix64(i) & 1 ? 1 : -1;
    for (uint32_t i = 0; i < LONGEST; i++) centre[i] = (float)(fr_mix64(i + 3) % 64);
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_tier_is_the_scalar_one), cmocka_unit_test(codes_are_near),
                                       cmocka_unit_test(rotation_keeps_products), cmocka_unit_test(queries_are_the_same_in_every_tier),
                                       cmocka_unit_test(only_whole_numbers_within_are_whole)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
