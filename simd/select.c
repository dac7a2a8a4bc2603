/* select.c: which tier runs: the CPU and the operating system are asked once, at the first call.
 *
 * A tier needs its instructions (CPUID) and its registers saved by the system (XGETBV): a CPU may have AVX-512 that
 * the kernel does not keep across task switches. FRESHET_ISA names a lower tier; an unknown name or a tier that this
 * CPU lacks is noted and the best tier is used. No ifunc: two threads that probe at once find and store the same.
 * Source: Intel SDM volume 1, sections 13.3 and 15.2 to 15.4.
 * What no tier has of its own stands here, too: kern_ files export nothing (scripts/check-isa).
 */
#include "simd/kern.h"

#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

typedef struct features {
    bool avx2, avx512, avx512vnni, crc32c;
} features;

#if defined(__x86_64__)
static features probe(void)
{
    unsigned eax, ebx, ecx, edx, one_ecx, seven_ebx = 0, seven_ecx = 0;
    features has = {0};
    if (!__get_cpuid(1, &eax, &ebx, &one_ecx, &edx)) return has;
    has.crc32c = (one_ecx & bit_SSE4_2) && (one_ecx & bit_PCLMUL);
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) seven_ebx = ebx, seven_ecx = ecx;
    unsigned extended_ecx = 0;
    if (__get_cpuid(0x80000001u, &eax, &ebx, &ecx, &edx)) extended_ecx = ecx;
    if (!(one_ecx & bit_OSXSAVE)) return has;
    unsigned saved, high;
    __asm__ volatile("xgetbv" : "=a"(saved), "=d"(high) : "c"(0));
    const unsigned ymm_state = 0x06, zmm_state = 0xe6; /* SSE and AVX; and opmask, upper ZMM 0-15, ZMM 16-31 */
    const unsigned one = bit_AVX | bit_FMA | bit_F16C | bit_POPCNT, seven = bit_AVX2 | bit_BMI | bit_BMI2;
    has.avx2 = (saved & ymm_state) == ymm_state && (one_ecx & one) == one && (seven_ebx & seven) == seven &&
               (extended_ecx & bit_LZCNT);
    const unsigned wide = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    has.avx512 = has.avx2 && (saved & zmm_state) == zmm_state && (seven_ebx & wide) == wide;
    const unsigned late = bit_AVX512VNNI | bit_AVX512VPOPCNTDQ;
    has.avx512vnni = has.avx512 && (seven_ecx & late) == late;
    return has;
}
#elif defined(__aarch64__)
static features probe(void)
{
    const unsigned long hwcap_crc32 = 1ul << 7; /* asm/hwcap.h; Advanced SIMD itself is part of the baseline */
    return (features){.avx2 = true, .crc32c = (getauxval(AT_HWCAP) & hwcap_crc32) != 0};
}
#else
static features probe(void) { return (features){0}; }
#endif

static _Atomic(const fr_simd_tier *) active; /* NULL until the first call */
static _Atomic int crc32c_state;             /* 0 unknown, 1 table, 2 hardware */

/* All tiers this CPU can run, lowest first. */
static uint32_t list(const fr_simd_tier **tiers)
{
    features has = probe();
    uint32_t count = 0;
    tiers[count++] = &fr_simd_scalar;
#if defined(__x86_64__) || defined(__aarch64__)
    if (has.avx2) tiers[count++] = &fr_simd_avx2;
#endif
#if defined(__x86_64__)
    if (has.avx512) tiers[count++] = &fr_simd_avx512;
    if (has.avx512vnni) tiers[count++] = &fr_simd_avx512vnni;
#endif
    return count;
}

enum { TIERS_MAX = 4 };

static const fr_simd_tier *find(const char *isa)
{
    const fr_simd_tier *tiers[TIERS_MAX];
    uint32_t count = list(tiers);
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(tiers[i]->isa, isa) == 0) return tiers[i];
    return NULL;
}

static const fr_simd_tier *choose(void)
{
    const fr_simd_tier *tiers[TIERS_MAX], *tier = NULL;
    uint32_t count = list(tiers);
    const char *wanted = getenv("FRESHET_ISA");
    if (wanted != NULL && wanted[0] != '\0') {
        tier = find(wanted);
        if (tier == NULL) fr_note(FR_NOTE_WARN, "FRESHET_ISA=%.32s is not available here, using=%s", wanted,
                                  tiers[count - 1]->isa);
    }
    return tier != NULL ? tier : tiers[count - 1];
}

const fr_simd_tier *fr_simd_active(void)
{
    const fr_simd_tier *tier = atomic_load_explicit(&active, memory_order_relaxed); /* points to constants only */
    if (FR_LIKELY(tier != NULL)) return tier;
    tier = choose();
    const fr_simd_tier *none = NULL; /* keep what another thread or fr_simd_force stored meanwhile */
    return atomic_compare_exchange_strong_explicit(&active, &none, tier, memory_order_relaxed, memory_order_relaxed)
               ? tier
               : none;
}

/* FRESHET_ISA=scalar turns the instruction off as well, so that a forced run is one without special hardware. */
bool fr_simd_has_crc32c(void)
{
    int state = atomic_load_explicit(&crc32c_state, memory_order_relaxed);
    if (FR_UNLIKELY(state == 0)) {
        state = probe().crc32c && fr_simd_active() != &fr_simd_scalar ? 2 : 1;
        atomic_store_explicit(&crc32c_state, state, memory_order_relaxed);
    }
    return state == 2;
}

bool fr_simd_force(const char *isa)
{
    const fr_simd_tier *tier = find(isa);
    if (tier == NULL) return false;
    atomic_store_explicit(&active, tier, memory_order_relaxed);
    atomic_store_explicit(&crc32c_state, 0, memory_order_relaxed);
    return true;
}

const char *fr_simd_isa(void) { return fr_simd_active()->isa; }

uint32_t fr_simd_tiers(const char **names, uint32_t max)
{
    const fr_simd_tier *tiers[TIERS_MAX];
    uint32_t count = FR_MIN(list(tiers), max);
    for (uint32_t i = 0; i < count; i++) names[i] = tiers[i]->isa;
    return count;
}

const fr_kernel *fr_simd_kernel(fr_simd_metric metric, fr_scalar scalar)
{
    if ((unsigned)metric >= FR_SIMD_METRIC_COUNT || (unsigned)scalar >= FR_SCALAR_COUNT) return NULL;
    for (const fr_simd_tier *tier = fr_simd_active(); tier != NULL; tier = tier->below)
        if (tier->same[metric][scalar].one != NULL) return &tier->same[metric][scalar];
    return NULL;
}

const fr_kernel *fr_simd_mixed(fr_simd_metric metric, fr_scalar row_scalar)
{
    if ((unsigned)metric >= FR_SIMD_METRIC_COUNT || (unsigned)row_scalar >= FR_SCALAR_COUNT) return NULL;
    for (const fr_simd_tier *tier = fr_simd_active(); tier != NULL; tier = tier->below)
        if (tier->mixed[metric][row_scalar].one != NULL) return &tier->mixed[metric][row_scalar];
    return NULL;
}

const fr_fine_kernel *fr_simd_fine(void)
{
    const fr_simd_tier *tier = fr_simd_active();
    while (tier->fine.l2 == NULL) tier = tier->below;
    return &tier->fine;
}

const fr_encode_kernel *fr_simd_encode(void)
{
    const fr_simd_tier *tier = fr_simd_active();
    while (tier->encode.rotate == NULL) tier = tier->below;
    return &tier->encode;
}

const fr_pool_kernel *fr_simd_pool(void)
{
    const fr_simd_tier *tier = fr_simd_active();
    while (tier->pool.merge == NULL) tier = tier->below;
    return &tier->pool;
}

void fr_simd_in_range(const void *codes, bool wide, uint32_t count, uint32_t low, uint32_t high, uint64_t *bits)
{
#if defined(__SANITIZE_THREAD__) /* it cannot know that wide loads of bytes are whole bytes */
    fr_simd_scalar.in_range(codes, wide, count, low, high, bits);
#else
    const fr_simd_tier *tier = fr_simd_active();
    while (tier->in_range == NULL) tier = tier->below;
    tier->in_range(codes, wide, count, low, high, bits);
#endif
}

uint32_t fr_simd_sift(const uint64_t *bits, uint32_t limit, const uint32_t *ids, uint32_t count, uint32_t *out)
{
    const fr_simd_tier *tier = fr_simd_active();
    while (tier->sift == NULL) tier = tier->below;
    return tier->sift(bits, limit, ids, count, out);
}

static const fr_signs_kernel *signs_kernel(void)
{
    const fr_simd_tier *tier = fr_simd_active();
    while (tier->signs == NULL) tier = tier->below;
    return tier->signs;
}

void fr_simd_sign_sums(const uint8_t *tables, const uint8_t *bits, uint32_t bytes, uint32_t sums[FR_SIGN_ROWS])
{
    signs_kernel()->sums(tables, bits, bytes, sums);
}

uint64_t fr_simd_signs_below(const fr_simd_bound *bound) { return signs_kernel()->below(bound); }
uint32_t fr_simd_signs_near(const fr_simd_near *near, uint32_t *out) { return signs_kernel()->near(near, out); }

const fr_dot_kernel *fr_simd_dot_u8i8(void)
{
    const fr_simd_tier *tier = fr_simd_active();
    while (tier->dot_u8i8.gather == NULL) tier = tier->below;
    return &tier->dot_u8i8;
}

const fr_block_kernel *fr_simd_block(void)
{
    const fr_simd_tier *tier = fr_simd_active();
    while (tier->block.dots == NULL) tier = tier->below;
    return &tier->block;
}

uint32_t fr_pool_insert(fr_candidate *pool, uint32_t *size, uint32_t capacity, float distance, uint32_t row)
{
    uint32_t n = *size;
    if (n == capacity && distance >= pool[n - 1].distance) return capacity;
    uint32_t low = 0;
    for (uint32_t left = n, half; left > 1; left -= half) { /* no branches on distances: they cannot be predicted */
        half = left / 2;
        low += half & -(uint32_t)(pool[low + half - 1].distance <= distance);
    }
    low += n != 0 && pool[low].distance <= distance;
    uint32_t moved = (n < capacity ? n : capacity - 1) - low;
    memmove(&pool[low + 1], &pool[low], moved * sizeof *pool);
    pool[low] = (fr_candidate){distance, row};
    *size = n < capacity ? n + 1 : n;
    return low;
}
