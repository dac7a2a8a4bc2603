/* base.h: what every room may use, and nothing else: errors, memory, bytes, asserts. Leaf: includes the C library only. */
#ifndef FR_BASE_H
#define FR_BASE_H

#include "api/freshet.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>

/* ---- errors ---- */
/* Fill err (may be NULL) and return code. field may be NULL. */
fr_code fr_fail(fr_err *err, fr_code code, const char *field, const char *format, ...) __attribute__((format(printf, 4, 5)));

#define FR_TRY(expression)                                                                                             \
    do {                                                                                                               \
        fr_code fr_try_code_ = (expression);                                                                           \
        if (fr_try_code_ != FR_OK) return fr_try_code_;                                                                \
    } while (0)

/* ---- asserts: for our own mistakes only; bytes from disk or wire are checked, never asserted ---- */
_Noreturn void fr_assert_failed(const char *expression, const char *file, int line);
#define FR_ASSERT(expression) ((expression) ? (void)0 : fr_assert_failed(#expression, __FILE__, __LINE__))
#ifdef FR_DEBUG
#define FR_DASSERT(expression) FR_ASSERT(expression)
#else
#define FR_DASSERT(expression) ((void)sizeof(expression))
#endif

#define FR_LIKELY(x) __builtin_expect(!!(x), 1)
#define FR_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define FR_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define FR_MIN(a, b) ((a) < (b) ? (a) : (b))
#define FR_MAX(a, b) ((a) > (b) ? (a) : (b))

/* ---- memory: every byte carries a tag; scripts/tidy.py bans malloc and friends elsewhere ---- */
typedef enum fr_mem {
    FR_MEM_BASE,
    FR_MEM_LOG,
    FR_MEM_ROWS,     /* row arrays, keys, metadata */
    FR_MEM_VECTORS,  /* originals */
    FR_MEM_CODES,
    FR_MEM_LINKS,
    FR_MEM_SEARCH,   /* scratch */
    FR_MEM_ENGINE,
    FR_MEM_DOOR,
    FR_MEM_DAEMON,
    FR_MEM_TEST,
    FR_MEM_COUNT
} fr_mem;
void *fr_alloc(fr_mem tag, size_t size);                      /* NULL on failure; uninitialised */
void *fr_zalloc(fr_mem tag, size_t size);                     /* zeroed */
void *fr_realloc(fr_mem tag, void *memory, size_t size);      /* on failure the old block stays valid */
void *fr_alloc_aligned(fr_mem tag, size_t alignment, size_t size);
void fr_free(fr_mem tag, void *memory);                       /* accepts NULL; same tag as the allocation */
char *fr_strdup(fr_mem tag, const char *text);
#define FR_HUGE_PAGE ((size_t)2 << 20)
/* Large, page-backed, zeroed, 64-byte aligned; huge pages (MADV_HUGEPAGE) from 2 MiB on. */
void *fr_alloc_pages(fr_mem tag, size_t size);
void fr_free_pages(fr_mem tag, void *memory, size_t size);
/* The huge page at `at`, inside such pages, where others may read but nobody writes meanwhile: whatever was mapped over it becomes
 * anonymous memory with the same bytes, in one step. False: no memory, nothing changed. */
bool fr_pages_own(void *at);
void fr_mem_account(fr_mem tag, int64_t bytes);               /* memory we hold by other means, e.g. a private file mapping */
uint64_t fr_mem_used(fr_mem tag);                             /* bytes now */
void fr_mem_trim(void);                                       /* what the C library holds free goes back to the system; after large work */
uint64_t fr_mem_calls(void);                                  /* allocations so far: a test demands 0 during searches */
void fr_mem_fail_at(uint64_t nth);                            /* tests: the nth allocation from now fails; 0 = never */

/* ---- arena: bump allocation, freed at once ---- */
typedef struct fr_arena {
    struct fr_arena_block *head;
    size_t limit, used; /* limit 0 = none; over it fr_arena_alloc answers NULL */
    fr_mem tag;
} fr_arena;
void fr_arena_init(fr_arena *arena, fr_mem tag, size_t limit);
void *fr_arena_alloc(fr_arena *arena, size_t size); /* 16-byte aligned, uninitialised; NULL on failure */
void *fr_arena_copy(fr_arena *arena, const void *data, size_t size);
void fr_arena_reset(fr_arena *arena); /* keeps one block */
void fr_arena_free(fr_arena *arena);

/* ---- bytes ---- */
static inline fr_span fr_span_of(const void *data, size_t size) { return (fr_span){data, size}; }
static inline fr_span fr_span_text(const char *text) { return (fr_span){text, strlen(text)}; }
static inline bool fr_span_equal(fr_span a, fr_span b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}
int fr_span_compare(fr_span a, fr_span b); /* memcmp order, shorter first */

#define FR_DEFINE_LOAD_STORE(bits)                                                                                     \
    static inline uint##bits##_t fr_load_le##bits(const void *p) {                                                     \
        uint##bits##_t v;                                                                                              \
        memcpy(&v, p, sizeof v);                                                                                       \
        return v;                                                                                                      \
    }                                                                                                                  \
    static inline void fr_store_le##bits(void *p, uint##bits##_t v) { memcpy(p, &v, sizeof v); }                       \
    static inline uint##bits##_t fr_load_be##bits(const void *p) {                                                     \
        uint##bits##_t v;                                                                                              \
        memcpy(&v, p, sizeof v);                                                                                       \
        return (uint##bits##_t)__builtin_bswap##bits(v);                                                               \
    }                                                                                                                  \
    static inline void fr_store_be##bits(void *p, uint##bits##_t v) {                                                  \
        v = (uint##bits##_t)__builtin_bswap##bits(v);                                                                  \
        memcpy(p, &v, sizeof v);                                                                                       \
    }
FR_DEFINE_LOAD_STORE(16)
FR_DEFINE_LOAD_STORE(32)
FR_DEFINE_LOAD_STORE(64)
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "freshet runs on little-endian machines");

uint64_t fr_hash(const void *data, size_t size, uint64_t seed); /* fast, not cryptographic */
static inline uint64_t fr_mix64(uint64_t x) { /* splitmix64's finaliser (Steele, Lea, Flood 2014) */
    x ^= x >> 30, x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27, x *= 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}
uint32_t fr_murmur2(const void *data, size_t size); /* Kafka's Java partitioner: positive murmur2 of the key */
bool fr_utf8_valid(const void *data, size_t size);  /* Unicode table 3-7: no overlong forms, no surrogates */
/* Kafka's rule: 1..249 of [A-Za-z0-9._-], not . or .., no leading "__". Fills err with `field`. */
fr_code fr_name_check(const char *field, const char *name, size_t size, fr_err *err);

/* ---- notes: diagnostics, one line of key=value on stderr ---- */
typedef enum fr_level { FR_NOTE_ERROR, FR_NOTE_WARN, FR_NOTE_INFO, FR_NOTE_DEBUG } fr_level;
void fr_note(fr_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
void fr_note_level(fr_level most_verbose);

#endif
