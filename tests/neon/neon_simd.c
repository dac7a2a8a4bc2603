/* neon_simd.c: the cases of the simd room as one static program for aarch64, run under an emulator (scripts/neon-test).
 * Prints one line per case and exits 1 when a check failed.
 */
#include "../unit/simd/simd_cases.h"

#define RUN(call)                                                                                                      \
    do {                                                                                                               \
        uint64_t before_passed = passed, before_failed = failed;                                                       \
        call;                                                                                                          \
        printf("%-46s %llu passed, %llu failed\n", #call, (unsigned long long)(passed - before_passed),                \
               (unsigned long long)(failed - before_failed));                                                          \
        fflush(stdout);                                                                                                \
    } while (0)

int main(void)
{
    printf("tier %s\n", fr_simd_isa());
    RUN(case_selection());
    RUN(case_distances(FR_SCALAR_F32, false));
    RUN(case_distances(FR_SCALAR_F16, false));
    RUN(case_distances(FR_SCALAR_BF16, false));
    RUN(case_distances(FR_SCALAR_I8, false));
    RUN(case_distances(FR_SCALAR_U8, false));
    RUN(case_distances(FR_SCALAR_F16, true));
    RUN(case_distances(FR_SCALAR_BF16, true));
    RUN(case_distances(FR_SCALAR_I8, true));
    RUN(case_distances(FR_SCALAR_U8, true));
    RUN(case_same_bits_on_every_machine());
    RUN(case_integer_extremes());
    RUN(case_float_range());
    RUN(case_dot_u8i8());
    RUN(case_blocks());
    RUN(case_bits());
    RUN(case_halves());
    RUN(case_rounding());
    RUN(case_conversion_counts());
    RUN(case_narrowest());
    RUN(case_finite_and_norm());
    RUN(case_crc32c());
    printf("largest error of a vector kernel: %.0f %% of the bound\n", worst_share * 100);
    printf("%llu passed, %llu failed\n", (unsigned long long)passed, (unsigned long long)failed);
    return failed == 0 && passed > 0 ? 0 : 1;
}
