/* keymap.c: see keymap.h. Linear probing from the place that the hash has in [0, count): places are in the order of hashes, so a table
 * that is three quarters full is copied into a larger one from front to end. Small steps (a quarter more) keep it 0.6 to 0.75 full. */
#include "index/keymap.h"

struct fr_keymap_table {
    uint64_t count;
    size_t pages; /* bytes from fr_alloc_pages, 0 = fr_alloc */
    _Atomic uint64_t slots[];
};

#define EMPTY 0u
#define REMOVED 0xffffffffu /* as row + 1 */
#define FIRST_SLOTS 64u
#define PAGED_FROM ((size_t)64 << 10)

void fr_keymap_init(fr_keymap *map, uint64_t seed)
{
    *map = (fr_keymap){.seed = seed};
    atomic_init(&map->table, NULL);
}

static struct fr_keymap_table *load(const fr_keymap *map) { return atomic_load_explicit(&map->table, memory_order_acquire); }

void fr_keymap_free(fr_keymap *map)
{
    struct fr_keymap_table *t = load(map);
    if (t != NULL && t->pages != 0) fr_free_pages(FR_MEM_ROWS, t, t->pages);
    else fr_free(FR_MEM_ROWS, t);
    fr_keymap_init(map, map->seed);
}

uint64_t fr_keymap_bytes(const fr_keymap *map)
{
    struct fr_keymap_table *t = load(map);
    return t == NULL ? 0 : sizeof *t + t->count * 8;
}

static uint32_t hash_of(const fr_keymap *map, fr_span key)
{
    return (uint32_t)(fr_hash(key.data, key.size, map->seed) >> 32);
}

/* Of 32 bits of hash and at most 2^32 places. */
static uint64_t place_of(const struct fr_keymap_table *t, uint32_t hash) { return hash * t->count >> 32; }
static uint64_t after(const struct fr_keymap_table *t, uint64_t place) { return place + 1 < t->count ? place + 1 : 0; }

uint32_t fr_keymap_find(const fr_keymap *map, fr_span key, fr_keymap_same same, const void *context)
{
    struct fr_keymap_table *t = load(map);
    if (t == NULL) return FR_KEYMAP_NONE;
    uint32_t hash = hash_of(map, key);
    for (uint64_t i = place_of(t, hash);; i = after(t, i)) {
        uint64_t slot = atomic_load_explicit(&t->slots[i], memory_order_acquire);
        uint32_t row = (uint32_t)slot;
        if (row == EMPTY) return FR_KEYMAP_NONE;
        if (row != REMOVED && (uint32_t)(slot >> 32) == hash && same(context, row - 1, key)) return row - 1;
    }
}

bool fr_keymap_reserve(fr_keymap *map, fr_retired *retired) { return fr_keymap_fill(map, map->live + 1, retired); }

void fr_keymap_prefetch(const fr_keymap *map, fr_span key)
{
    struct fr_keymap_table *t = load(map);
    if (t != NULL) __builtin_prefetch(&t->slots[place_of(t, hash_of(map, key))]);
}

bool fr_keymap_fill(fr_keymap *map, uint64_t keys, fr_retired *retired)
{
    struct fr_keymap_table *t = load(map);
    uint64_t more = keys - map->live; /* removed entries take room until the next table */
    if (t != NULL && (map->filled + more) * 4 <= t->count * 3) return true;
    uint64_t slots = FR_MAX((uint64_t)FIRST_SLOTS, keys + keys * 2 / 3 + 1);
    size_t size = sizeof *t + slots * 8;
    if (!fr_retired_reserve(retired, 1)) return false;
    bool paged = size >= PAGED_FROM;
    if (paged) { /* pages are taken whole: all of them hold slots */
        size_t unit = size >= FR_HUGE_PAGE ? FR_HUGE_PAGE : 4096;
        size = (size + unit - 1) / unit * unit;
        slots = (size - sizeof *t) / 8;
    }
    struct fr_keymap_table *grown = paged ? fr_alloc_pages(FR_MEM_ROWS, size) : fr_zalloc(FR_MEM_ROWS, size);
    if (grown == NULL) return false;
    grown->count = slots;
    grown->pages = paged ? size : 0;
    for (uint64_t i = 0; t != NULL && i < t->count; i++) {
        uint64_t slot = atomic_load_explicit(&t->slots[i], memory_order_relaxed);
        if ((uint32_t)slot == EMPTY || (uint32_t)slot == REMOVED) continue;
        uint64_t at = place_of(grown, (uint32_t)(slot >> 32));
        while (atomic_load_explicit(&grown->slots[at], memory_order_relaxed) != 0) at = after(grown, at);
        atomic_store_explicit(&grown->slots[at], slot, memory_order_relaxed);
    }
    map->filled = map->live;
    atomic_store_explicit(&map->table, grown, memory_order_release);
    if (t != NULL) fr_retired_push(retired, FR_MEM_ROWS, t, t->pages);
    return true;
}

void fr_keymap_set(fr_keymap *map, fr_span key, uint32_t row, fr_keymap_same same, const void *context)
{
    struct fr_keymap_table *t = load(map);
    uint32_t hash = hash_of(map, key);
    uint64_t value = (uint64_t)hash << 32 | (row + 1);
    for (uint64_t i = place_of(t, hash);; i = after(t, i)) {
        uint64_t slot = atomic_load_explicit(&t->slots[i], memory_order_relaxed);
        uint32_t held = (uint32_t)slot;
        bool empty = held == EMPTY;
        if (empty || (held != REMOVED && (uint32_t)(slot >> 32) == hash && same(context, held - 1, key))) {
            atomic_store_explicit(&t->slots[i], value, memory_order_release);
            map->live += empty;
            map->filled += empty;
            return;
        }
    }
}

void fr_keymap_remove(fr_keymap *map, fr_span key, uint32_t row)
{
    struct fr_keymap_table *t = load(map);
    if (t == NULL) return;
    uint64_t value = (uint64_t)hash_of(map, key) << 32 | (row + 1);
    for (uint64_t i = place_of(t, (uint32_t)(value >> 32));; i = after(t, i)) {
        uint64_t slot = atomic_load_explicit(&t->slots[i], memory_order_relaxed);
        if ((uint32_t)slot == EMPTY) return;
        if (slot != value) continue;
        atomic_store_explicit(&t->slots[i], (uint64_t)REMOVED, memory_order_release);
        map->live--;
        return;
    }
}
