/* half.h: one f16 or bf16 number to f32 and back, in integer arithmetic: what F16C does, bit for bit.
 *
 * f32 to f16 and bf16 round to nearest, ties to even; a NaN stays a NaN (made quiet where the hardware does).
 * Source: IEEE 754-2008 section 3.6 (binary16); bf16 is the upper half of a binary32.
 */
#ifndef FR_HALF_H
#define FR_HALF_H

#include "api/base.h"

static inline uint32_t fr_simd_float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float fr_simd_float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline float fr_simd_f16_to_f32(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16, exponent = (half >> 10) & 31u, mantissa = half & 0x3ffu;
    if (exponent == 31) return fr_simd_float_of(sign | 0x7f800000u | mantissa << 13 | (mantissa ? 0x400000u : 0));
    if (exponent == 0) return fr_simd_float_of(sign | fr_simd_float_bits((float)mantissa * 0x1p-24f));
    return fr_simd_float_of(sign | (exponent + 112) << 23 | mantissa << 13);
}

static inline uint16_t fr_simd_f32_to_f16(float value)
{
    uint32_t bits = fr_simd_float_bits(value), sign = bits >> 16 & 0x8000u, size = bits & 0x7fffffffu;
    if (size > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | (size >> 13 & 0x3ffu));
    if (size >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* 65520 and more round to infinity */
    if (size < 0x38800000u) { /* below 2^-14: the sum's last place is 2^-24, so the addition does the rounding */
        uint32_t sum = fr_simd_float_bits(fr_simd_float_of(size) + 0.5f);
        return (uint16_t)(sign | (sum - 0x3f000000u));
    }
    size += 0xfffu + (size >> 13 & 1u);
    return (uint16_t)(sign | (size - 0x38000000u) >> 13);
}

static inline float fr_simd_bf16_to_f32(uint16_t half) { return fr_simd_float_of((uint32_t)half << 16); }

static inline uint16_t fr_simd_f32_to_bf16(float value)
{
    uint32_t bits = fr_simd_float_bits(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

#endif
