/* kern_encode.h: vectors on their way to codes: rotation by signs and Walsh-Hadamard transforms, rounding to 8 bits, the next 4 bits.
 * Every number goes through the same operations in the same order as in the scalar tier, so all tiers give the same bits. n is a
 * multiple of 64. GCC's vector types become the instructions that the including file is compiled for; it widens bytes by vf_load, which GCC 12
 * does one by one. */
#ifndef FR_KERN_ENCODE_H
#define FR_KERN_ENCODE_H

#include "simd/kern.h"

typedef uint8_t encode_u8 __attribute__((vector_size(VF_LANES)));
typedef int8_t encode_i8 __attribute__((vector_size(VF_LANES)));
typedef int32_t encode_i32 __attribute__((vector_size(4 * VF_LANES)));
typedef float encode_f32 __attribute__((vector_size(4 * VF_LANES)));

FR_INLINE encode_f32 encode_load(const float *from)
{
    encode_f32 x;
    memcpy(&x, from, sizeof x);
    return x;
}

FR_INLINE void encode_store(float *to, encode_f32 x) { memcpy(to, &x, sizeof x); }

FR_INLINE encode_f32 encode_choose(encode_i32 which, encode_f32 yes, encode_f32 no) /* which: -1 or 0 a lane */
{
    return (encode_f32)((which & (encode_i32)yes) | (~which & (encode_i32)no));
}

FR_INLINE encode_f32 encode_widen(int kind, const void *from)
{
    vf value = vf_load(kind, from, 0);
    encode_f32 x;
    memcpy(&x, &value, sizeof x);
    return x;
}

FR_INLINE encode_f32 encode_sign(const int8_t *signs, encode_f32 x) { return x * encode_widen(FR_SCALAR_I8, signs); }

#if VF_LANES == 16
#define ENCODE_SWAP(x, h)                                                                                              \
    __builtin_shufflevector(x, x, 0 ^ (h), 1 ^ (h), 2 ^ (h), 3 ^ (h), 4 ^ (h), 5 ^ (h), 6 ^ (h), 7 ^ (h), 8 ^ (h),      \
                            9 ^ (h), 10 ^ (h), 11 ^ (h), 12 ^ (h), 13 ^ (h), 14 ^ (h), 15 ^ (h))
#else
#define ENCODE_SWAP(x, h)                                                                                              \
    __builtin_shufflevector(x, x, 0 ^ (h), 1 ^ (h), 2 ^ (h), 3 ^ (h), 4 ^ (h), 5 ^ (h), 6 ^ (h), 7 ^ (h))
#endif

/* Lanes h apart, a constant: their sum in the lower, their difference in the upper one. */
#define ENCODE_WITHIN(x, h) encode_within(x, ENCODE_SWAP(x, h), h)
FR_INLINE encode_f32 encode_within(encode_f32 x, encode_f32 other, int32_t h)
{
    encode_f32 sign;
    for (int32_t i = 0; i < (int32_t)VF_LANES; i++) sign[i] = i & h ? -1.0f : 1.0f;
    return other + x * sign;
}

FR_INLINE void encode_pairs(float *x, uint32_t n, uint32_t h, float factor)
{
    for (uint32_t i = 0; i < n; i += 2 * h)
        for (uint32_t j = i; j < i + h; j += VF_LANES) {
            encode_f32 a = encode_load(x + j), b = encode_load(x + j + h);
            encode_store(x + j, (a + b) * factor);
            encode_store(x + j + h, (a - b) * factor);
        }
}

/* Two stages, h and 2h, in one pass. */
FR_INLINE void encode_fours(float *x, uint32_t n, uint32_t h, float factor)
{
    for (uint32_t i = 0; i < n; i += 4 * h)
        for (uint32_t j = i; j < i + h; j += VF_LANES) {
            encode_f32 a = encode_load(x + j), b = encode_load(x + j + h), c = encode_load(x + j + 2 * h), d = encode_load(x + j + 3 * h);
            encode_f32 sum = a + b, difference = a - b, sum2 = c + d, difference2 = c - d;
            encode_store(x + j, (sum + sum2) * factor);
            encode_store(x + j + h, (difference + difference2) * factor);
            encode_store(x + j + 2 * h, (sum - sum2) * factor);
            encode_store(x + j + 3 * h, (difference - difference2) * factor);
        }
}

/* Signs, then the transform of a window of n, a power of two from 64 on. */
FR_INLINE void encode_window(const int8_t *signs, float *x, uint32_t n)
{
    for (uint32_t i = 0; i < n; i += VF_LANES) {
        encode_f32 v = encode_sign(signs + i, encode_load(x + i));
        v = ENCODE_WITHIN(v, 1);
        v = ENCODE_WITHIN(v, 2);
        v = ENCODE_WITHIN(v, 4);
#if VF_LANES == 16
        v = ENCODE_WITHIN(v, 8);
#endif
        encode_store(x + i, v);
    }
    float norm = 1.0f / __builtin_sqrtf((float)n);
    for (uint32_t h = VF_LANES, next; h < n; h = next) {
        next = 4 * h <= n ? 4 * h : 2 * h;
        float factor = next == n ? norm : 1.0f;
        if (next == 4 * h) encode_fours(x, n, h, factor);
        else encode_pairs(x, n, h, factor);
    }
}

static void encode_rotate(const int8_t *signs, uint32_t rounds, uint32_t n, float *x)
{
    uint32_t window = 1u << (31 - __builtin_clz(n)), rest = n - window;
    if (rest == 0) rounds = FR_MIN(rounds, 2u);
    for (uint32_t round = 0; round < rounds; round++, signs += n) {
        uint32_t at = round % 2 == 0 ? 0 : rest, outside = round % 2 == 0 ? window : 0;
        for (uint32_t i = outside; i < outside + rest; i += VF_LANES) encode_store(x + i, encode_sign(signs + i, encode_load(x + i)));
        encode_window(signs + at, x + at, window);
    }
}

static uint32_t encode_bytes(float *x, const float *centre, float inverse, uint32_t n, uint8_t *code)
{
    encode_i32 outside = {0};
    for (uint32_t i = 0; i < n; i += VF_LANES) {
        const encode_f32 high = (encode_f32){0} + 127.0f, low = (encode_f32){0} - 128.0f;
        encode_f32 v = (encode_load(x + i) - encode_load(centre + i)) * inverse;
        outside -= (v > 127.5f) | (v < -128.5f); /* true is -1 */
        v = encode_choose(v > high, high, encode_choose(v < low, low, v));
        encode_store(x + i, v);
        encode_f32 whole = v + 12582912.0f; /* 1.5 x 2^23: the addition rounds to a whole number, to nearest even */
        encode_u8 c = __builtin_convertvector(__builtin_convertvector(whole - 12582912.0f, encode_i32) + 128, encode_u8);
        memcpy(code + i, &c, sizeof c);
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < VF_LANES; i++) count += (uint32_t)outside[i];
    return count;
}

static float encode_shift(float *x, const float *centre, float flat, uint32_t n)
{
    encode_f32 largest = {0};
    for (uint32_t i = 0; i < n; i += VF_LANES) {
        encode_f32 v = encode_load(x + i) - (centre != NULL ? encode_load(centre + i) : (encode_f32){0} + flat);
        encode_f32 size = encode_choose(v < 0.0f, -v, v);
        largest = encode_choose(size > largest, size, largest);
        encode_store(x + i, v);
    }
    float most = 0;
    for (uint32_t i = 0; i < VF_LANES; i++) most = largest[i] > most ? largest[i] : most;
    return most;
}

static bool encode_query(const float *x, float inverse, float flat, float low, uint32_t n, int8_t *q, int32_t *sum_out, int32_t *square_out)
{
    const encode_f32 least = (encode_f32){0} + (low + flat), most = (encode_f32){0} + (127.0f + flat);
    encode_i32 sum = {0}, square = {0}, differs = {0};
    for (uint32_t i = 0; i < n; i += VF_LANES) {
        encode_f32 wanted = encode_load(x + i) * inverse;
        encode_f32 v = encode_choose(wanted > most, most, encode_choose(wanted < least, least, wanted));
        encode_f32 whole = v + 12582912.0f; /* rounds, as above */
        whole -= 12582912.0f;
        differs |= whole != wanted;
        encode_i32 number = __builtin_convertvector(whole - flat, encode_i32);
        sum += number;
        square += number * number;
        encode_i8 byte = __builtin_convertvector(number, encode_i8);
        memcpy(q + i, &byte, sizeof byte);
    }
    int32_t all = 0;
    *sum_out = *square_out = 0;
    for (uint32_t i = 0; i < VF_LANES; i++) *sum_out += sum[i], *square_out += square[i], all |= differs[i];
    return all == 0;
}

FR_INLINE encode_i32 encode_rest(const float *scaled, const uint8_t *code)
{
    const encode_f32 zero = {0}, most = zero + 15.0f;
    encode_f32 rest = (encode_load(scaled) + 128.5f - encode_widen(FR_SCALAR_U8, code)) * 16.0f; /* 0 to 16, unless it was cut off */
    rest = encode_choose(rest > most, most, encode_choose(rest > zero, rest, zero));
    return __builtin_convertvector(rest, encode_i32);
}

static void encode_nibbles(const float *scaled, const uint8_t *code, uint32_t n, uint8_t *nibbles)
{
    for (uint32_t i = 0; i < n; i += 64)
        for (uint32_t j = i; j < i + 32; j += VF_LANES) {
            encode_i32 both = encode_rest(scaled + j, code + j) | encode_rest(scaled + j + 32, code + j + 32) << 4;
            encode_u8 packed = __builtin_convertvector(both, encode_u8);
            memcpy(nibbles + i / 2 + j % 64, &packed, sizeof packed);
        }
}

#endif
