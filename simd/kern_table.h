/* kern_table.h: the distances that every tier has, of the forms that the including file defines (FLOAT_KERNEL, INTEGER_KERNEL; hamming_one and
 * so on, jaccard_one and so on stand there), and their places in its table: DISTANCES. TIER_ISA: its name. */
#ifndef FR_KERN_TABLE_H
#define FR_KERN_TABLE_H

#define FLOAT_KERNELS(name, query_kind, row_kind)                                                                      \
    FLOAT_KERNEL(name##_l2, FR_SIMD_L2, query_kind, row_kind)                                                          \
    FLOAT_KERNEL(name##_dot, FR_SIMD_DOT, query_kind, row_kind)                                                        \
    FLOAT_KERNEL(name##_cosine, FR_SIMD_COSINE, query_kind, row_kind)
#define INTEGER_KERNELS(name, kind)                                                                                    \
    INTEGER_KERNEL(name##_l2, FR_SIMD_L2, kind)                                                                        \
    INTEGER_KERNEL(name##_dot, FR_SIMD_DOT, kind)                                                                      \
    INTEGER_KERNEL(name##_cosine, FR_SIMD_COSINE, kind)

FLOAT_KERNELS(f32, FR_SCALAR_F32, FR_SCALAR_F32)
FLOAT_KERNELS(f16, FR_SCALAR_F16, FR_SCALAR_F16)
FLOAT_KERNELS(bf16, FR_SCALAR_BF16, FR_SCALAR_BF16)
FLOAT_KERNELS(f32_f16, FR_SCALAR_F32, FR_SCALAR_F16)
FLOAT_KERNELS(f32_bf16, FR_SCALAR_F32, FR_SCALAR_BF16)
FLOAT_KERNELS(f32_i8, FR_SCALAR_F32, FR_SCALAR_I8)
FLOAT_KERNELS(f32_u8, FR_SCALAR_F32, FR_SCALAR_U8)
INTEGER_KERNELS(i8, FR_SCALAR_I8)
INTEGER_KERNELS(u8, FR_SCALAR_U8)

#define ENTRY(name) {name##_one, name##_many, name##_gather, TIER_ISA}
#define SAME(metric)                                                                                                   \
    {                                                                                                                  \
        [FR_SCALAR_F32] = ENTRY(f32_##metric), [FR_SCALAR_F16] = ENTRY(f16_##metric),                                  \
        [FR_SCALAR_BF16] = ENTRY(bf16_##metric), [FR_SCALAR_I8] = ENTRY(i8_##metric),                                  \
        [FR_SCALAR_U8] = ENTRY(u8_##metric)                                                                            \
    }
#define MIXED(metric)                                                                                                  \
    {                                                                                                                  \
        [FR_SCALAR_F32] = ENTRY(f32_##metric), [FR_SCALAR_F16] = ENTRY(f32_f16_##metric),                              \
        [FR_SCALAR_BF16] = ENTRY(f32_bf16_##metric), [FR_SCALAR_I8] = ENTRY(f32_i8_##metric),                          \
        [FR_SCALAR_U8] = ENTRY(f32_u8_##metric)                                                                        \
    }
#define DISTANCES                                                                                                      \
    .same = {[FR_SIMD_L2] = SAME(l2), [FR_SIMD_DOT] = SAME(dot), [FR_SIMD_COSINE] = SAME(cosine),                      \
             [FR_SIMD_HAMMING] = {[FR_SCALAR_BIT] = ENTRY(hamming)}, [FR_SIMD_JACCARD] = {[FR_SCALAR_BIT] = ENTRY(jaccard)}}, \
    .mixed = {[FR_SIMD_L2] = MIXED(l2), [FR_SIMD_DOT] = MIXED(dot), [FR_SIMD_COSINE] = MIXED(cosine)}

#endif
