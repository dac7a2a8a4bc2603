/* test_fine.c: the 12-bit kernels of every tier against sums in double. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>

#include "simd/simd.h"

#define LONGEST 1024u

static void every_tier(void **state)
{
    (void)state;
    const char *names[8];
    uint32_t tiers = fr_simd_tiers(names, 8);
    float query[LONGEST];
    uint8_t code[LONGEST], nibbles[LONGEST / 2];
    for (uint32_t i = 0; i < LONGEST; i++) {
        query[i] = (float)(fr_mix64(i) % 65536) / 16.0f;
        code[i] = (uint8_t)fr_mix64(i + 5000);
        nibbles[i / 2] = (uint8_t)fr_mix64(i + 9000);
    }
    for (uint32_t t = 0; t < tiers; t++) {
        assert_true(fr_simd_force(names[t]));
        for (uint32_t n = 64; n <= LONGEST; n += 64) {
            double l2 = 0, dot = 0;
            for (uint32_t i = 0; i < n; i++) {
                uint8_t pair = nibbles[i / 64 * 32 + i % 32];
                double w = 16 * code[i] + (i % 64 < 32 ? pair & 15 : pair >> 4), q = (double)query[i];
                l2 += (q - w) * (q - w), dot += q * w;
            }
            assert_true(fabs((double)fr_simd_fine()->l2(query, code, nibbles, n) - l2) <= 1e-5 * l2);
            assert_true(fabs((double)fr_simd_fine()->dot(query, code, nibbles, n) - dot) <= 1e-5 * dot);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_tier)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
