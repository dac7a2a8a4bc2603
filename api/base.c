/* base.c: memory with tags, arenas, hashes, names, notes. The only file that calls the C library's allocator. */
#include "api/base.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* ==== memory ==== */

static _Atomic int64_t mem_used[FR_MEM_COUNT];
static _Atomic uint64_t mem_calls;
static _Atomic int64_t mem_fail_countdown; /* 0 = off; counts down to the failing call */

static bool refuse(void)
{
    atomic_fetch_add_explicit(&mem_calls, 1, memory_order_relaxed);
    if (FR_LIKELY(atomic_load_explicit(&mem_fail_countdown, memory_order_relaxed) == 0)) return false;
    return atomic_fetch_sub_explicit(&mem_fail_countdown, 1, memory_order_relaxed) == 1;
}

void fr_mem_account(fr_mem tag, int64_t bytes)
{
    atomic_fetch_add_explicit(&mem_used[tag], bytes, memory_order_relaxed);
}

static void *account(fr_mem tag, void *memory)
{
    if (memory != NULL) fr_mem_account(tag, (int64_t)malloc_usable_size(memory));
    return memory;
}

void *fr_alloc(fr_mem tag, size_t size)
{
    return refuse() ? NULL : account(tag, malloc(size ? size : 1));
}

void *fr_zalloc(fr_mem tag, size_t size)
{
    return refuse() ? NULL : account(tag, calloc(1, size ? size : 1));
}

void *fr_realloc(fr_mem tag, void *memory, size_t size)
{
    if (refuse()) return NULL;
    int64_t before = memory != NULL ? (int64_t)malloc_usable_size(memory) : 0;
    void *moved = realloc(memory, size ? size : 1);
    if (moved != NULL) fr_mem_account(tag, (int64_t)malloc_usable_size(moved) - before);
    return moved;
}

void *fr_alloc_aligned(fr_mem tag, size_t alignment, size_t size)
{
    if (refuse()) return NULL;
    return account(tag, aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment));
}

void fr_free(fr_mem tag, void *memory)
{
    if (memory == NULL) return;
    fr_mem_account(tag, -(int64_t)malloc_usable_size(memory));
    free(memory);
}

char *fr_strdup(fr_mem tag, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = fr_alloc(tag, size);
    if (copy != NULL) memcpy(copy, text, size);
    return copy;
}

static size_t pages_size(size_t size)
{
    size_t unit = size >= FR_HUGE_PAGE ? FR_HUGE_PAGE : 4096;
    return (size + unit - 1) / unit * unit;
}

void *fr_alloc_pages(fr_mem tag, size_t size)
{
    if (refuse()) return NULL;
    size_t need = pages_size(size), slack = need >= FR_HUGE_PAGE ? FR_HUGE_PAGE : 0;
    uint8_t *memory = mmap(NULL, need + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return NULL;
    if (slack != 0) { /* cut to a 2 MiB boundary, so that the kernel can use huge pages */
        uint8_t *aligned = (uint8_t *)(((uintptr_t)memory + FR_HUGE_PAGE - 1) & ~(uintptr_t)(FR_HUGE_PAGE - 1));
        size_t before = (size_t)(aligned - memory);
        if (before != 0) munmap(memory, before);
        if (slack - before != 0) munmap(aligned + need, slack - before);
        memory = aligned;
        madvise(memory, need, MADV_HUGEPAGE);
    }
    fr_mem_account(tag, (int64_t)need);
    return memory;
}

bool fr_pages_own(void *at)
{
    if (refuse()) return false;
    uint8_t *memory = mmap(NULL, 2 * FR_HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return false;
    uint8_t *page = (uint8_t *)(((uintptr_t)memory + FR_HUGE_PAGE - 1) & ~(uintptr_t)(FR_HUGE_PAGE - 1)), *end = memory + 2 * FR_HUGE_PAGE;
    if (page != memory) munmap(memory, (size_t)(page - memory));
    if (page + FR_HUGE_PAGE != end) munmap(page + FR_HUGE_PAGE, (size_t)(end - page) - FR_HUGE_PAGE);
    madvise(page, FR_HUGE_PAGE, MADV_HUGEPAGE);
    memcpy(page, at, FR_HUGE_PAGE);
    if (mremap(page, FR_HUGE_PAGE, FR_HUGE_PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at) == at) return true;
    munmap(page, FR_HUGE_PAGE);
    return false;
}

void fr_free_pages(fr_mem tag, void *memory, size_t size)
{
    if (memory == NULL) return;
    munmap(memory, pages_size(size));
    fr_mem_account(tag, -(int64_t)pages_size(size));
}

uint64_t fr_mem_used(fr_mem tag)
{
    int64_t used = atomic_load_explicit(&mem_used[tag], memory_order_relaxed);
    return used > 0 ? (uint64_t)used : 0;
}

/* Where the program runs on another allocator this does nothing: that one gives back by itself, after a while. */
void fr_mem_trim(void) { malloc_trim(0); }

uint64_t fr_mem_calls(void) { return atomic_load_explicit(&mem_calls, memory_order_relaxed); }

void fr_mem_fail_at(uint64_t nth) { atomic_store_explicit(&mem_fail_countdown, (int64_t)nth, memory_order_relaxed); }

/* ==== arena ==== */

struct fr_arena_block {
    struct fr_arena_block *next;
    size_t size, used; /* of data[] */
    _Alignas(16) uint8_t data[];
};
#define ARENA_BLOCK ((size_t)64 << 10)

void fr_arena_init(fr_arena *arena, fr_mem tag, size_t limit)
{
    *arena = (fr_arena){.head = NULL, .limit = limit, .used = 0, .tag = tag};
}

void *fr_arena_alloc(fr_arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2) return NULL;
    size = (size + 15) & ~(size_t)15;
    if (arena->limit != 0 && size > arena->limit - FR_MIN(arena->used, arena->limit)) return NULL;
    struct fr_arena_block *block = arena->head;
    if (block == NULL || block->size - block->used < size) {
        size_t room = FR_MAX(ARENA_BLOCK, size);
        block = fr_alloc(arena->tag, sizeof *block + room);
        if (block == NULL) return NULL;
        *block = (struct fr_arena_block){.next = arena->head, .size = room, .used = 0};
        arena->head = block;
    }
    void *memory = block->data + block->used;
    block->used += size;
    arena->used += size;
    return memory;
}

void *fr_arena_copy(fr_arena *arena, const void *data, size_t size)
{
    void *copy = fr_arena_alloc(arena, size);
    if (copy != NULL && size != 0) memcpy(copy, data, size);
    return copy;
}

static void arena_drop(fr_arena *arena, struct fr_arena_block *block)
{
    while (block != NULL) {
        struct fr_arena_block *next = block->next;
        fr_free(arena->tag, block);
        block = next;
    }
}

void fr_arena_reset(fr_arena *arena)
{
    struct fr_arena_block *keep = arena->head;
    if (keep != NULL) {
        arena_drop(arena, keep->next);
        keep->next = NULL;
        keep->used = 0;
        if (keep->size > ARENA_BLOCK * 64) { /* one huge request must not pin its memory */
            fr_free(arena->tag, keep);
            arena->head = NULL;
        }
    }
    arena->used = 0;
}

void fr_arena_free(fr_arena *arena)
{
    arena_drop(arena, arena->head);
    arena->head = NULL;
    arena->used = 0;
}

/* ==== errors ==== */

fr_code fr_fail(fr_err *err, fr_code code, const char *field, const char *format, ...)
{
    if (err == NULL) return code;
    err->code = code;
    snprintf(err->field, sizeof err->field, "%s", field != NULL ? field : "");
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(err->text, sizeof err->text, format, arguments);
    va_end(arguments);
    return code;
}

void fr_assert_failed(const char *expression, const char *file, int line)
{
    fprintf(stderr, "freshet: assertion failed: %s (%s:%d)\n", expression, file, line);
    abort();
}

/* ==== bytes ==== */

int fr_span_compare(fr_span a, fr_span b)
{
    size_t size = FR_MIN(a.size, b.size);
    int order = size != 0 ? memcmp(a.data, b.data, size) : 0;
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

/* Multiply-fold over 16-byte steps, in the manner of wyhash (Wang Yi, public domain): 64 x 64 -> 128, xor of the halves. */
static uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t fr_hash(const void *data, size_t size, uint64_t seed)
{
    const uint8_t *at = data;
    uint64_t h = seed ^ 0x9e3779b97f4a7c15u, a = 0, b = 0;
    size_t left = size;
    while (left > 16) {
        h = fold(fr_load_le64(at) ^ 0xa0761d6478bd642fu, fr_load_le64(at + 8) ^ h);
        at += 16, left -= 16;
    }
    if (left >= 8) {
        a = fr_load_le64(at);
        b = fr_load_le64(at + left - 8);
    } else if (left >= 4) {
        a = fr_load_le32(at);
        b = fr_load_le32(at + left - 4);
    } else if (left > 0) {
        a = (uint64_t)at[0] << 16 | (uint64_t)at[left / 2] << 8 | at[left - 1];
    }
    return fold(fold(a ^ 0xe7037ed1a0b428dbu, b ^ h) ^ size, 0x8ebc6af09c88c6e3u);
}

uint32_t fr_murmur2(const void *data, size_t size) /* Appleby's MurmurHash2 with Kafka's seed; sign bit cleared */
{
    const uint32_t m = 0x5bd1e995u;
    const uint8_t *at = data;
    uint32_t h = 0x9747b28cu ^ (uint32_t)size;
    for (; size >= 4; at += 4, size -= 4) {
        uint32_t k = fr_load_le32(at) * m;
        k = (k ^ (k >> 24)) * m;
        h = (h * m) ^ k;
    }
    if (size >= 3) h ^= (uint32_t)at[2] << 16;
    if (size >= 2) h ^= (uint32_t)at[1] << 8;
    if (size >= 1) h = (h ^ at[0]) * m;
    h = (h ^ (h >> 13)) * m;
    return (h ^ (h >> 15)) & 0x7fffffffu;
}

bool fr_utf8_valid(const void *data, size_t size)
{
    const uint8_t *at = data, *end = at + size;
    while (at < end) {
        uint8_t lead = *at++;
        if (lead < 0x80) continue;
        unsigned more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
        if (lead < 0xc2 || lead > 0xf4 || (size_t)(end - at) < more) return false;
        uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
        uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
        for (unsigned i = 0; i < more; i++, low = 0x80, high = 0xbf)
            if (at[i] < low || at[i] > high) return false;
        at += more;
    }
    return true;
}

fr_code fr_name_check(const char *field, const char *name, size_t size, fr_err *err)
{
    if (size == 0 || size > FR_NAME_BYTES_MAX)
        return fr_fail(err, FR_ERR_INVALID, field, "%s must have 1 to %u bytes, got %zu", field, FR_NAME_BYTES_MAX, size);
    for (size_t i = 0; i < size; i++) {
        char c = name[i];
        bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
        if (!fine) return fr_fail(err, FR_ERR_INVALID, field, "%s may only hold letters, digits, '.', '_' and '-'", field);
    }
    if ((size == 1 && name[0] == '.') || (size == 2 && name[0] == '.' && name[1] == '.'))
        return fr_fail(err, FR_ERR_INVALID, field, "%s must not be '.' or '..'", field);
    if (size >= 2 && name[0] == '_' && name[1] == '_')
        return fr_fail(err, FR_ERR_INVALID, field, "%s must not begin with '__': such names are reserved", field);
    return FR_OK;
}

/* ==== notes ==== */

static _Atomic int note_level = FR_NOTE_INFO;

void fr_note_level(fr_level most_verbose) { atomic_store_explicit(&note_level, (int)most_verbose, memory_order_relaxed); }

void fr_note(fr_level level, const char *format, ...)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    if ((int)level > atomic_load_explicit(&note_level, memory_order_relaxed)) return;
    char line[1024];
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t at = strftime(line, sizeof line, "time=%Y-%m-%dT%H:%M:%S", &utc);
    at += (size_t)snprintf(line + at, sizeof line - at, ".%03ldZ level=%s ", now.tv_nsec / 1000000, names[level]);
    va_list arguments;
    va_start(arguments, format);
    int wrote = vsnprintf(line + at, sizeof line - at - 1, format, arguments);
    va_end(arguments);
    at = FR_MIN(at + (size_t)FR_MAX(wrote, 0), sizeof line - 2);
    line[at++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, line, at); /* one write: lines of threads do not mix */
    (void)ignored;
}
