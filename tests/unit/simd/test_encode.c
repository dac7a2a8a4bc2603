/* test_encode.c: vectors to codes: every tier gives the bits of the scalar one, and the rotation keeps lengths and angles. */
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

int main(void)
{
    for (uint32_t i = 0; i < ROUNDS * LONGEST; i++) signs[i] = fr_mix64(i) & 1 ? 1 : -1;
    for (uint32_t i = 0; i < LONGEST; i++) centre[i] = (float)(fr_mix64(i + 3) % 64);
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_tier_is_the_scalar_one), cmocka_unit_test(codes_are_near),
                                       cmocka_unit_test(rotation_keeps_products)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
