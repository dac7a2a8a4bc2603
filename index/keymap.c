/* keymap.c: see keymap.h. Linear probing, load <= 0.7, rebuilt into a new table when fuller; the old one is retired. */
#include "index/keymap.h"

struct fr_keymap_table {
    uint64_t mask;
    size_t pages; /* bytes from fr_alloc_pages, 0 = fr_alloc */
    _Atomic uint64_t slots[];
};

#define EMPTY 0u
#define REMOVED 0xffffffffu /* as row + 1 */
#define FIRST_SLOTS 64u

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
    return t == NULL ? 0 : sizeof *t + (t->mask + 1) * 8;
}

static uint32_t hash_of(const fr_keymap *map, fr_span key)
{
    return (uint32_t)(fr_hash(key.data, key.size, map->seed) >> 32);
}

uint32_t fr_keymap_find(const fr_keymap *map, fr_span key, fr_keymap_same same, const void *context)
{
    struct fr_keymap_table *t = load(map);
    if (t == NULL) return FR_KEYMAP_NONE;
    uint32_t hash = hash_of(map, key);
    for (uint64_t i = hash & t->mask;; i = (i + 1) & t->mask) {
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
    if (t != NULL) __builtin_prefetch(&t->slots[hash_of(map, key) & t->mask]);
}

bool fr_keymap_fill(fr_keymap *map, uint64_t keys, fr_retired *retired)
{
    struct fr_keymap_table *t = load(map);
    uint64_t more = keys - map->live; /* removed entries take room until the next table */
    if (t != NULL && (map->filled + more) * 10 <= (t->mask + 1) * 7) return true;
    uint64_t slots = FIRST_SLOTS;
    while (keys * 10 > slots * 5) slots *= 2;
    size_t size = sizeof *t + slots * 8;
    if (!fr_retired_reserve(retired, 1)) return false;
    bool paged = size >= (64u << 10);
    struct fr_keymap_table *grown = paged ? fr_alloc_pages(FR_MEM_ROWS, size) : fr_zalloc(FR_MEM_ROWS, size);
    if (grown == NULL) return false;
    grown->mask = slots - 1;
    grown->pages = paged ? size : 0;
    for (uint64_t i = 0; t != NULL && i <= t->mask; i++) {
        uint64_t slot = atomic_load_explicit(&t->slots[i], memory_order_relaxed);
        if ((uint32_t)slot == EMPTY || (uint32_t)slot == REMOVED) continue;
        uint64_t at = (slot >> 32) & grown->mask;
        while (atomic_load_explicit(&grown->slots[at], memory_order_relaxed) != 0) at = (at + 1) & grown->mask;
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
    for (uint64_t i = hash & t->mask;; i = (i + 1) & t->mask) {
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
    for (uint64_t i = (value >> 32) & t->mask;; i = (i + 1) & t->mask) {
        uint64_t slot = atomic_load_explicit(&t->slots[i], memory_order_relaxed);
        if ((uint32_t)slot == EMPTY) return;
        if (slot != value) continue;
        atomic_store_explicit(&t->slots[i], (uint64_t)REMOVED, memory_order_release);
        map->live--;
        return;
    }
}
