/* test_simd.c: every kernel of every tier this CPU has; the cases are in simd_cases.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <unistd.h>

#include "simd_cases.h"

static void finish(const char *name)
{
    printf("  %s: %llu checks passed, %llu failed\n", name, (unsigned long long)passed, (unsigned long long)failed);
    uint64_t failures = failed;
    passed = failed = 0;
    assert_int_equal(failures, 0);
}

#define TEST(name, call)                                                                                               \
    static void name(void **state)                                                                                     \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        call;                                                                                                          \
        finish(#name);                                                                                                 \
    }

TEST(f32_distances_are_within_the_bound, case_distances(FR_SCALAR_F32, false))
TEST(f16_distances_are_within_the_bound, case_distances(FR_SCALAR_F16, false))
TEST(bf16_distances_are_within_the_bound, case_distances(FR_SCALAR_BF16, false))
TEST(i8_distances_are_exact, case_distances(FR_SCALAR_I8, false))
TEST(u8_distances_are_exact, case_distances(FR_SCALAR_U8, false))
TEST(mixed_f32_distances_are_within_the_bound, case_distances(FR_SCALAR_F32, true))
TEST(mixed_f16_distances_are_within_the_bound, case_distances(FR_SCALAR_F16, true))
TEST(mixed_bf16_distances_are_within_the_bound, case_distances(FR_SCALAR_BF16, true))
TEST(mixed_i8_distances_are_within_the_bound, case_distances(FR_SCALAR_I8, true))
TEST(mixed_u8_distances_are_within_the_bound, case_distances(FR_SCALAR_U8, true))
TEST(vector_tiers_give_the_same_bits_everywhere, case_same_bits_on_every_machine())
TEST(integer_sums_hold_the_extremes, case_integer_extremes())
TEST(finite_floats_never_give_nan, case_float_range())
TEST(dot_u8i8_is_exact_in_every_form, case_dot_u8i8())
TEST(blocks_are_exact_in_every_tier, case_blocks())
TEST(distances_of_bits_are_exact_and_ignore_the_tail, case_bits())
TEST(every_half_converts_both_ways, case_halves())
TEST(rounding_is_to_nearest_even_in_every_tier, case_rounding())
TEST(conversions_stay_inside_their_arrays, case_conversion_counts())
TEST(narrowest_finds_the_smallest_exact_type, case_narrowest())
TEST(finite_and_norm_agree_in_every_tier, case_finite_and_norm())
TEST(crc32c_matches_the_standard, case_crc32c())
TEST(the_table_has_every_meaningful_pair, case_selection())

/* A fresh process with FRESHET_ISA set runs that tier, whatever the name's rank; an unknown name runs the best. */
static void freshet_isa_forces_a_tier(void **state)
{
    (void)state;
    const char *tiers[TIERS_MAX];
    char self[512], command[700], answer[64];
    uint32_t count = fr_simd_tiers(tiers, TIERS_MAX);
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(size > 0);
    self[size] = '\0';
    for (uint32_t t = 0; t <= count; t++) {
        snprintf(command, sizeof command, "FRESHET_ISA=%s '%s' --isa 2>/dev/null", t < count ? tiers[t] : "sse9", self);
        FILE *child = popen(command, "r");
        assert_non_null(child);
        assert_non_null(fgets(answer, sizeof answer, child));
        pclose(child);
        assert_string_equal(answer, t < count ? tiers[t] : tiers[count - 1]);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--isa") == 0) {
        printf("%s", fr_simd_isa());
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f32_distances_are_within_the_bound),
        cmocka_unit_test(f16_distances_are_within_the_bound),
        cmocka_unit_test(bf16_distances_are_within_the_bound),
        cmocka_unit_test(i8_distances_are_exact),
        cmocka_unit_test(u8_distances_are_exact),
        cmocka_unit_test(mixed_f32_distances_are_within_the_bound),
        cmocka_unit_test(mixed_f16_distances_are_within_the_bound),
        cmocka_unit_test(mixed_bf16_distances_are_within_the_bound),
        cmocka_unit_test(mixed_i8_distances_are_within_the_bound),
        cmocka_unit_test(mixed_u8_distances_are_within_the_bound),
        cmocka_unit_test(vector_tiers_give_the_same_bits_everywhere),
        cmocka_unit_test(integer_sums_hold_the_extremes),
        cmocka_unit_test(finite_floats_never_give_nan),
        cmocka_unit_test(dot_u8i8_is_exact_in_every_form),
        cmocka_unit_test(blocks_are_exact_in_every_tier),
        cmocka_unit_test(distances_of_bits_are_exact_and_ignore_the_tail),
        cmocka_unit_test(every_half_converts_both_ways),
        cmocka_unit_test(rounding_is_to_nearest_even_in_every_tier),
        cmocka_unit_test(conversions_stay_inside_their_arrays),
        cmocka_unit_test(narrowest_finds_the_smallest_exact_type),
        cmocka_unit_test(finite_and_norm_agree_in_every_tier),
        cmocka_unit_test(crc32c_matches_the_standard),
        cmocka_unit_test(the_table_has_every_meaningful_pair),
        cmocka_unit_test(freshet_isa_forces_a_tier),
    };
    int result = cmocka_run_group_tests(tests, NULL, NULL);
    printf("largest error of a vector kernel: %.0f %% of the bound\n", worst_share * 100);
    return result;
}
