/* kern.h: what the files of this room share: the table one tier fills, and the helpers every kernel file uses.
 *
 * A tier may leave an entry NULL: the tier below it answers then (fr_simd_avx512vnni only overrides what VNNI and
 * VPOPCNTDQ change). The scalar tier fills every entry that has a meaning, so the search always ends.
 * Nothing here may emit AVX code by itself: only static inline functions, compiled into each file with its own flags.
 */
#ifndef FR_KERN_H
#define FR_KERN_H

#include "simd/simd.h"

#define FR_INLINE static inline __attribute__((always_inline))

typedef struct fr_signs_kernel {
    void (*sums)(const uint8_t *tables, const uint8_t *bits, uint32_t bytes, uint32_t sums[FR_SIGN_ROWS]);
    uint64_t (*below)(const fr_simd_bound *bound);
    uint32_t (*near)(const fr_simd_near *near, uint32_t *out);
} fr_signs_kernel;
/* signs.c: the reference; a tier may have its own sums only. kern_signs.c */
extern const fr_signs_kernel fr_signs_scalar, fr_signs_avx512;
uint64_t fr_simd_below_by_sums(const fr_simd_bound *bound);
uint32_t fr_simd_near_by_sums(const fr_simd_near *near, uint32_t *out);

typedef struct fr_simd_tier {
    const char *isa;
    const struct fr_simd_tier *below;
    fr_kernel same[FR_SIMD_METRIC_COUNT][FR_SCALAR_COUNT];
    fr_kernel mixed[FR_SIMD_METRIC_COUNT][FR_SCALAR_COUNT];
    fr_dot_kernel dot_u8i8;
    fr_fine_kernel fine;
    fr_encode_kernel encode;
    fr_block_kernel block;
    fr_pool_kernel pool;
    const fr_signs_kernel *signs;
    void (*to_f32)(fr_scalar from, const void *source, uint32_t count, float *target);
    void (*from_f32)(fr_scalar to, const float *source, uint32_t count, void *target);
    fr_scalar (*narrowest)(const float *source, uint32_t count);
    bool (*all_finite)(const float *source, uint32_t count);
    double (*norm_squared)(const float *source, uint32_t count);
    fr_in_range in_range;
    fr_sift sift; /* NULL: the scalar one */
} fr_simd_tier;

extern const fr_simd_tier fr_simd_scalar, fr_simd_avx2;
#if defined(__x86_64__)
extern const fr_simd_tier fr_simd_avx512, fr_simd_avx512vnni;
#endif

const fr_simd_tier *fr_simd_active(void); /* the tier in use; probes the CPU at the first call */
bool fr_simd_has_crc32c(void);            /* the CPU has SSE4.2 and PCLMULQDQ, or Arm's CRC32 */

/* convert.c: the scalar reference of the conversions */
void fr_simd_scalar_to_f32(fr_scalar from, const void *source, uint32_t count, float *target);
void fr_simd_scalar_from_f32(fr_scalar to, const float *source, uint32_t count, void *target);
fr_scalar fr_simd_scalar_narrowest(const float *source, uint32_t count);
bool fr_simd_scalar_all_finite(const float *source, uint32_t count);
double fr_simd_scalar_norm_squared(const float *source, uint32_t count);

/* crc32c.c, crc32c_sse42.c: the register value, neither inverted before nor after */
uint32_t fr_simd_crc32c_table(uint32_t crc, const uint8_t *data, size_t size);
uint32_t fr_simd_crc32c_hardware(uint32_t crc, const uint8_t *data, size_t size);

/* Which types still hold every value seen so far; the narrowest is the lowest bit. */
enum { FR_FITS_U8 = 1, FR_FITS_I8 = 2, FR_FITS_F16 = 4, FR_FITS_BF16 = 8, FR_FITS_ALL = 15 };

FR_INLINE fr_scalar fr_simd_fits_scalar(unsigned fits)
{
    return fits & FR_FITS_U8    ? FR_SCALAR_U8
           : fits & FR_FITS_I8  ? FR_SCALAR_I8
           : fits & FR_FITS_F16 ? FR_SCALAR_F16
           : fits & FR_FITS_BF16 ? FR_SCALAR_BF16
                                : FR_SCALAR_F32;
}

/* The tiers without one of their own: by insertion. */
FR_INLINE void block_order_each(int32_t *keys, uint32_t *places, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        int32_t key = keys[i];
        uint32_t place = places[i], j = i;
        for (; j > 0 && keys[j - 1] > key; j--) keys[j] = keys[j - 1], places[j] = places[j - 1];
        keys[j] = key, places[j] = place;
    }
}

FR_INLINE uint32_t block_few_each(const int32_t *dots, const int32_t *constants, uint32_t factor, uint32_t count, uint32_t want,
                                  int32_t *keys, uint32_t *places)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; i++) {
        int32_t key = (int32_t)((uint32_t)constants[i] - factor * (uint32_t)dots[i]);
        if (n == want && key >= keys[n - 1]) continue;
        uint32_t at = n < want ? n++ : n - 1;
        for (; at > 0 && keys[at - 1] > key; at--) keys[at] = keys[at - 1], places[at] = places[at - 1];
        keys[at] = key, places[at] = i;
    }
    return n;
}

/* Each file has its own flags for the loop, and its own order. */
FR_INLINE int32_t block_bound_by(void (*order)(int32_t *, uint32_t *, uint32_t), const int32_t *keys, uint32_t count, uint32_t want)
{
    int32_t least[FR_BOUND_GROUPS];
    uint32_t groups[FR_BOUND_GROUPS], i = 0;
    for (uint32_t g = 0; g < FR_BOUND_GROUPS; g++) least[g] = INT32_MAX, groups[g] = g;
    for (; i + FR_BOUND_GROUPS <= count; i += FR_BOUND_GROUPS)
        for (uint32_t g = 0; g < FR_BOUND_GROUPS; g++) least[g] = keys[i + g] < least[g] ? keys[i + g] : least[g];
    for (uint32_t g = 0; i + g < count; g++) least[g] = keys[i + g] < least[g] ? keys[i + g] : least[g];
    order(least, groups, FR_BOUND_GROUPS);
    return want <= FR_BOUND_GROUPS ? least[want - 1] : INT32_MAX;
}

/* Every tier keeps 16 sums of squares (element i goes to sum i % 16) and adds them in this order: the same bits
 * everywhere. A product of two floats is exact in double, so a fused and a separate addition agree too. */
FR_INLINE double fr_simd_add16(const double sum[16])
{
    double half[8], quarter[4];
    for (int i = 0; i < 8; i++) half[i] = sum[i] + sum[i + 8];
    for (int i = 0; i < 4; i++) quarter[i] = half[i] + half[i + 4];
    return (quarter[0] + quarter[2]) + (quarter[1] + quarter[3]);
}

/* 1 - cos from the three sums, all finite and not negative where they are squares. */
FR_INLINE float fr_simd_cosine(double dot, double query_norm, double row_norm)
{
    if (!(query_norm > 0) || !(row_norm > 0)) return 1.0f;
    double cosine = dot / __builtin_sqrt(query_norm * row_norm);
    return (float)(1.0 - (cosine > 1.0 ? 1.0 : cosine < -1.0 ? -1.0 : cosine));
}

/* From how many bits differ, and how many are set in both. */
FR_INLINE float fr_simd_bits_distance(int metric, uint64_t differ, uint64_t both)
{
    if (metric == FR_SIMD_HAMMING || differ == 0) return (float)differ;
    return (float)((double)differ / (double)(differ + both));
}

/* The bits of the last byte that count. Bit i of a vector is bit 7 - i % 8 of byte i / 8, as numpy.packbits has it. */
FR_INLINE uint8_t fr_simd_last_bits(uint32_t dimension) { return (uint8_t)(0xff00u >> (dimension & 7u)); }

/* Vectors add up even and odd rows in 16 bits each: so many bytes of a row are at most 256 x 248. */
#define FR_SIGN_PART_BYTES 256u
#endif
