/* convert.c: conversions between f32 and the stored types: the doors, and the scalar reference of each.
 *
 * f32 to I8 and U8 rounds to nearest, ties to even, and clamps; a NaN becomes the lowest value (-128 or 0).
 */
#include "simd/half.h"
#include "simd/kern.h"

#include <math.h>

static float load_f32(const float *source, uint32_t i)
{
    float value; /* the array may be unaligned */
    memcpy(&value, (const char *)source + 4 * (size_t)i, sizeof value);
    return value;
}

static uint16_t load_u16(const void *source, uint32_t i) { return fr_load_le16((const char *)source + 2 * (size_t)i); }

static void store_f32(float *target, uint32_t i, float value)
{
    memcpy((char *)target + 4 * (size_t)i, &value, sizeof value);
}

static float clamp(float value, float low, float high)
{
    value = value > low ? value : low; /* also for a NaN */
    return rintf(value < high ? value : high);
}

void fr_simd_scalar_to_f32(fr_scalar from, const void *source, uint32_t count, float *target)
{
    switch (from) {
    case FR_SCALAR_F32: memcpy(target, source, 4 * (size_t)count); break;
    case FR_SCALAR_F16:
        for (uint32_t i = 0; i < count; i++) store_f32(target, i, fr_simd_f16_to_f32(load_u16(source, i)));
        break;
    case FR_SCALAR_BF16:
        for (uint32_t i = 0; i < count; i++) store_f32(target, i, fr_simd_bf16_to_f32(load_u16(source, i)));
        break;
    case FR_SCALAR_I8:
        for (uint32_t i = 0; i < count; i++) store_f32(target, i, ((const int8_t *)source)[i]);
        break;
    case FR_SCALAR_U8:
        for (uint32_t i = 0; i < count; i++) store_f32(target, i, ((const uint8_t *)source)[i]);
        break;
    case FR_SCALAR_BIT:
        for (uint32_t i = 0; i < count; i++)
            store_f32(target, i, (float)(((const uint8_t *)source)[i / 8] >> (7 - i % 8) & 1));
        break;
    case FR_SCALAR_COUNT: break;
    }
}

void fr_simd_scalar_from_f32(fr_scalar to, const float *source, uint32_t count, void *target)
{
    uint8_t *bytes = target;
    switch (to) {
    case FR_SCALAR_F32: memcpy(target, source, 4 * (size_t)count); break;
    case FR_SCALAR_F16:
        for (uint32_t i = 0; i < count; i++)
            fr_store_le16(bytes + 2 * (size_t)i, fr_simd_f32_to_f16(load_f32(source, i)));
        break;
    case FR_SCALAR_BF16:
        for (uint32_t i = 0; i < count; i++)
            fr_store_le16(bytes + 2 * (size_t)i, fr_simd_f32_to_bf16(load_f32(source, i)));
        break;
    case FR_SCALAR_I8:
        for (uint32_t i = 0; i < count; i++) ((int8_t *)target)[i] = (int8_t)clamp(load_f32(source, i), -128, 127);
        break;
    case FR_SCALAR_U8:
        for (uint32_t i = 0; i < count; i++) bytes[i] = (uint8_t)clamp(load_f32(source, i), 0, 255);
        break;
    case FR_SCALAR_BIT: /* a bit is set where the value is above zero */
        memset(bytes, 0, ((size_t)count + 7) / 8);
        for (uint32_t i = 0; i < count; i++)
            if (load_f32(source, i) > 0) bytes[i / 8] = (uint8_t)(bytes[i / 8] | 0x80u >> (i % 8));
        break;
    case FR_SCALAR_COUNT: break;
    }
}

fr_scalar fr_simd_scalar_narrowest(const float *source, uint32_t count)
{
    unsigned fits = FR_FITS_ALL;
    for (uint32_t i = 0; i < count && fits != 0; i++) {
        float value = load_f32(source, i);
        uint32_t bits = fr_simd_float_bits(value);
        if (!(value >= -128 && value <= 255) || fr_simd_float_bits((float)(int)value) != bits)
            fits &= ~(unsigned)(FR_FITS_U8 | FR_FITS_I8);
        else if (value < 0)
            fits &= ~(unsigned)FR_FITS_U8;
        else if (value > 127)
            fits &= ~(unsigned)FR_FITS_I8;
        if (fr_simd_float_bits(fr_simd_f16_to_f32(fr_simd_f32_to_f16(value))) != bits) fits &= ~(unsigned)FR_FITS_F16;
        if ((bits & 0xffffu) != 0) fits &= ~(unsigned)FR_FITS_BF16;
    }
    return fr_simd_fits_scalar(fits);
}

bool fr_simd_scalar_all_finite(const float *source, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if ((fr_simd_float_bits(load_f32(source, i)) & 0x7f800000u) == 0x7f800000u) return false;
    return true;
}

double fr_simd_scalar_norm_squared(const float *source, uint32_t count)
{
    double sum[16] = {0};
    for (uint32_t i = 0; i < count; i++) {
        double value = load_f32(source, i);
        sum[i & 15] += value * value;
    }
    return fr_simd_add16(sum);
}

/* ==== the doors ==== */

void fr_simd_to_f32(fr_scalar from, const void *source, uint32_t count, float *target)
{
    const fr_simd_tier *tier = fr_simd_active();
    while (tier->to_f32 == NULL) tier = tier->below;
    tier->to_f32(from, source, count, target);
}

void fr_simd_from_f32(fr_scalar to, const float *source, uint32_t count, void *target)
{
    const fr_simd_tier *tier = fr_simd_active();
    while (tier->from_f32 == NULL) tier = tier->below;
    tier->from_f32(to, source, count, target);
}

fr_scalar fr_simd_narrowest(const float *source, uint32_t count)
{
    const fr_simd_tier *tier = fr_simd_active();
    while (tier->narrowest == NULL) tier = tier->below;
    return tier->narrowest(source, count);
}

bool fr_simd_all_finite(const float *source, uint32_t count)
{
    const fr_simd_tier *tier = fr_simd_active();
    while (tier->all_finite == NULL) tier = tier->below;
    return tier->all_finite(source, count);
}

double fr_simd_norm_squared(const float *source, uint32_t count)
{
    const fr_simd_tier *tier = fr_simd_active();
    while (tier->norm_squared == NULL) tier = tier->below;
    return tier->norm_squared(source, count);
}
