/* kern_fine.h: distances on 12-bit codes: 8 bits of a walk's code and 4 more, w = 16 code + nibble, against an f32 query.
 * Blocks of 64: byte j of a block's 32 bytes of nibbles holds value j (low) and j + 32 (high). n is a multiple of 64.
 * GCC's vector types become the instructions that the including file is compiled for. */
#ifndef FR_KERN_FINE_H
#define FR_KERN_FINE_H

#include "simd/kern.h"

typedef uint8_t fine_u8 __attribute__((vector_size(16)));
typedef int32_t fine_i32 __attribute__((vector_size(64)));
typedef float fine_f32 __attribute__((vector_size(64)));

#ifndef FINE_WIDEN /* GCC 12 does this one by one: vector tiers say how */
#define FINE_WIDEN(bytes) __builtin_convertvector(bytes, fine_i32)
#endif

/* squares: sum (q - w)^2, else sum q w; four sums of sixteen lanes */
FR_INLINE float fine_sum(bool squares, const float *query, const uint8_t *code, const uint8_t *nibbles, uint32_t n)
{
    fine_f32 sum[4] = {{0}, {0}, {0}, {0}};
    for (uint32_t i = 0; i < n; i += 64) {
        fine_u8 packed[2];
        memcpy(packed, nibbles + i / 2, sizeof packed);
        for (uint32_t part = 0; part < 4; part++) {
            fine_u8 c, extra = part < 2 ? packed[part] & 15 : packed[part - 2] >> 4;
            fine_f32 q;
            memcpy(&c, code + i + 16 * part, sizeof c);
            memcpy(&q, query + i + 16 * part, sizeof q);
            fine_i32 w = FINE_WIDEN(c) * 16 + FINE_WIDEN(extra);
            fine_f32 value = __builtin_convertvector(w, fine_f32), difference = q - value;
            sum[part] += squares ? difference * difference : q * value;
        }
    }
    fine_f32 all = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    float total = 0;
    for (uint32_t i = 0; i < 16; i++) total += all[i];
    return total;
}

static float fine_l2(const float *query, const uint8_t *code, const uint8_t *nibbles, uint32_t n)
{
    return fine_sum(true, query, code, nibbles, n);
}

static float fine_dot(const float *query, const uint8_t *code, const uint8_t *nibbles, uint32_t n)
{
    return fine_sum(false, query, code, nibbles, n);
}

#endif
