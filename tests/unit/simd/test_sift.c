/* fr_simd_sift: every tier gives what a plain loop gives, at any count, and writes no further than it may. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "simd/simd.h"

static void every_tier_gives_the_same(void **state)
{
    (void)state;
    enum { COUNT = 150, WORDS = 40 };
    const char *names[8];
    uint32_t tiers = fr_simd_tiers(names, 8);
    for (uint32_t t = 0; t < tiers; t++) {
        assert_true(fr_simd_force(names[t]));
        for (uint64_t round = 0; round < 300; round++) {
            uint64_t bits[WORDS];
            uint32_t ids[COUNT], out[COUNT + 17], want[COUNT], n = 0, count = (uint32_t)(fr_mix64(round) % (COUNT + 1)), limit = WORDS * 64 - (uint32_t)(round % 70);
            for (uint32_t i = 0; i < WORDS; i++) bits[i] = fr_mix64(round * 977 + i) & (round % 3 == 0 ? fr_mix64(i) : UINT64_MAX);
            for (uint32_t i = 0; i < count; i++) {
                ids[i] = (uint32_t)(fr_mix64(round << 20 | i) % (WORDS * 64 + 100));
                if (i % 50 == 49) ids[i] = UINT32_MAX;
                if (ids[i] < limit && bits[ids[i] / 64] >> (ids[i] % 64) & 1) want[n++] = ids[i];
            }
            out[count + 16] = 12345;
            assert_int_equal(fr_simd_sift(bits, limit, ids, count, out), n);
            if (n != 0) assert_memory_equal(out, want, n * sizeof *want);
            assert_int_equal(out[count + 16], 12345);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_tier_gives_the_same)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
