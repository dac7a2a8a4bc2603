/* crc32c.c: CRC-32C (Castagnoli, reflected 0x82f63b78), as Kafka's batches and our files carry it.
 *
 * The table form reads eight bytes at a time (slicing by 8: Kounavis and Berry 2005). Every entry of a table is the
 * exclusive or of the entries of its index's bits, so eight constants and a macro make 256 entries.
 */
#include "simd/kern.h"

#if defined(__aarch64__)
#include <arm_acle.h>
#endif

#define BIT(n, b, value) (((n) >> (b)&1u) ? (value) : 0u)
#define ENTRY(n, c0, c1, c2, c3, c4, c5, c6, c7)                                                                       \
    (BIT(n, 0, c0) ^ BIT(n, 1, c1) ^ BIT(n, 2, c2) ^ BIT(n, 3, c3) ^ BIT(n, 4, c4) ^ BIT(n, 5, c5) ^ BIT(n, 6, c6) ^   \
     BIT(n, 7, c7))
#define ENTRIES_4(n, ...)                                                                                              \
    ENTRY(n, __VA_ARGS__), ENTRY((n) + 1u, __VA_ARGS__), ENTRY((n) + 2u, __VA_ARGS__), ENTRY((n) + 3u, __VA_ARGS__)
#define ENTRIES_16(n, ...)                                                                                             \
    ENTRIES_4(n, __VA_ARGS__), ENTRIES_4((n) + 4u, __VA_ARGS__), ENTRIES_4((n) + 8u, __VA_ARGS__),                     \
        ENTRIES_4((n) + 12u, __VA_ARGS__)
#define ENTRIES_64(n, ...)                                                                                             \
    ENTRIES_16(n, __VA_ARGS__), ENTRIES_16((n) + 16u, __VA_ARGS__), ENTRIES_16((n) + 32u, __VA_ARGS__),                \
        ENTRIES_16((n) + 48u, __VA_ARGS__)
#define CRC_TABLE(...)                                                                                                 \
    {                                                                                                                  \
        ENTRIES_64(0u, __VA_ARGS__), ENTRIES_64(64u, __VA_ARGS__), ENTRIES_64(128u, __VA_ARGS__),                      \
            ENTRIES_64(192u, __VA_ARGS__)                                                                              \
    }

/* slice[k][n]: byte n, then k zero bytes, run through the register. */
static const uint32_t slice[8][256] = {
    CRC_TABLE(0xf26b8303u, 0xe13b70f7u, 0xc79a971fu, 0x8ad958cfu, 0x105ec76fu, 0x20bd8edeu, 0x417b1dbcu, 0x82f63b78u),
    CRC_TABLE(0x13a29877u, 0x274530eeu, 0x4e8a61dcu, 0x9d14c3b8u, 0x3fc5f181u, 0x7f8be302u, 0xff17c604u, 0xfbc3faf9u),
    CRC_TABLE(0xa541927eu, 0x4f6f520du, 0x9edea41au, 0x38513ec5u, 0x70a27d8au, 0xe144fb14u, 0xc76580d9u, 0x8b277743u),
    CRC_TABLE(0xdd45aab8u, 0xbf672381u, 0x7b2231f3u, 0xf64463e6u, 0xe964b13du, 0xd725148bu, 0xaba65fe7u, 0x52a0c93fu),
    CRC_TABLE(0x38116facu, 0x7022df58u, 0xe045beb0u, 0xc5670b91u, 0x8f2261d3u, 0x1ba8b557u, 0x37516aaeu, 0x6ea2d55cu),
    CRC_TABLE(0xef306b19u, 0xdb8ca0c3u, 0xb2f53777u, 0x6006181fu, 0xc00c303eu, 0x85f4168du, 0x0e045bebu, 0x1c08b7d6u),
    CRC_TABLE(0x68032cc8u, 0xd0065990u, 0xa5e0c5d1u, 0x4e2dfd53u, 0x9c5bfaa6u, 0x3d5b83bdu, 0x7ab7077au, 0xf56e0ef4u),
    CRC_TABLE(0x493c7d27u, 0x9278fa4eu, 0x211d826du, 0x423b04dau, 0x847609b4u, 0x0d006599u, 0x1a00cb32u, 0x34019664u),
};

uint32_t fr_simd_crc32c_table(uint32_t crc, const uint8_t *data, size_t size)
{
    for (; size >= 8; size -= 8, data += 8) {
        uint64_t word = fr_load_le64(data) ^ crc;
        crc = slice[7][word & 255] ^ slice[6][word >> 8 & 255] ^ slice[5][word >> 16 & 255] ^
              slice[4][word >> 24 & 255] ^ slice[3][word >> 32 & 255] ^ slice[2][word >> 40 & 255] ^
              slice[1][word >> 48 & 255] ^ slice[0][word >> 56];
    }
    for (; size > 0; size--, data++) crc = crc >> 8 ^ slice[0][(crc ^ *data) & 255];
    return crc;
}

#if defined(__aarch64__)
__attribute__((target("+crc"))) uint32_t fr_simd_crc32c_hardware(uint32_t crc, const uint8_t *data, size_t size)
{
    for (; size >= 8; size -= 8, data += 8) crc = __builtin_aarch64_crc32cx(crc, fr_load_le64(data));
    for (; size > 0; size--, data++) crc = __builtin_aarch64_crc32cb(crc, *data);
    return crc;
}
#endif

uint32_t fr_simd_crc32c(uint32_t crc, const void *data, size_t size)
{
    return ~(fr_simd_has_crc32c() ? fr_simd_crc32c_hardware : fr_simd_crc32c_table)(~crc, data, size);
}
