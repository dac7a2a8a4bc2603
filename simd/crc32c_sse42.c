/* crc32c_sse42.c: CRC-32C with the crc32 instruction, three blocks side by side.
 *
 * The instruction answers after three cycles but can start every cycle: three neighbouring blocks are summed at once,
 * then joined. A register moves over n zero bytes by a carry-less product with x^(8n - 33) mod P, which the crc32
 * instruction reduces. Source: Gopal and others, "Fast CRC Computation for iSCSI Polynomial Using CRC32
 * Instruction", Intel 2011.
 */
#if defined(__x86_64__)
#include "simd/kern.h"

#include <nmmintrin.h>
#include <wmmintrin.h>

enum { LONG_BYTES = 1024, SHORT_BYTES = 128 };
/* x^(8n - 33) mod P, reflected, for n = one and two blocks */
static const uint32_t long_one = 0x170076fau, long_two = 0xa51b6135u;
static const uint32_t short_one = 0x0d3b6092u, short_two = 0xb9e02b86u;

static inline uint64_t move(uint64_t crc, uint32_t power)
{
    __m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)crc), _mm_cvtsi32_si128((int)power), 0);
    return _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

static inline uint64_t three(uint64_t crc, const uint8_t *data, size_t block, uint32_t one, uint32_t two)
{
    uint64_t second = 0, third = 0;
    for (size_t i = 0; i < block; i += 8) {
        __builtin_prefetch(data + 6 * block + 3 * i);
        crc = _mm_crc32_u64(crc, fr_load_le64(data + i));
        second = _mm_crc32_u64(second, fr_load_le64(data + block + i));
        third = _mm_crc32_u64(third, fr_load_le64(data + 2 * block + i));
    }
    return move(crc, two) ^ move(second, one) ^ third;
}

uint32_t fr_simd_crc32c_hardware(uint32_t start, const uint8_t *data, size_t size)
{
    uint64_t crc = start;
    for (; size >= 3 * LONG_BYTES; size -= 3 * LONG_BYTES, data += 3 * LONG_BYTES)
        crc = three(crc, data, LONG_BYTES, long_one, long_two);
    for (; size >= 3 * SHORT_BYTES; size -= 3 * SHORT_BYTES, data += 3 * SHORT_BYTES)
        crc = three(crc, data, SHORT_BYTES, short_one, short_two);
    for (; size >= 8; size -= 8, data += 8) crc = _mm_crc32_u64(crc, fr_load_le64(data));
    for (; size > 0; size--, data++) crc = _mm_crc32_u8((uint32_t)crc, *data);
    return (uint32_t)crc;
}
#endif
