/* epoch.c: see epoch.h. */
#include "index/epoch.h"

static struct {
    _Alignas(64) _Atomic uint64_t epoch; /* 0 = outside; a reader's own line: readers share nothing they write */
    _Atomic bool used;
} slots[FR_EPOCH_READERS_MAX];
static _Atomic uint64_t now = 1;
static _Atomic uint32_t slot_end; /* slots ever used: the scan's bound */

uint32_t fr_epoch_claim(void)
{
    for (uint32_t i = 0; i < FR_EPOCH_READERS_MAX; i++) {
        if (atomic_exchange(&slots[i].used, true)) continue;
        uint32_t end = atomic_load(&slot_end);
        while (end < i + 1 && !atomic_compare_exchange_weak(&slot_end, &end, i + 1)) {}
        return i;
    }
    return FR_EPOCH_READERS_MAX;
}

void fr_epoch_release(uint32_t slot)
{
    atomic_store(&slots[slot].epoch, 0);
    atomic_store(&slots[slot].used, false);
}

void fr_epoch_enter(uint32_t slot)
{
    /* Sequentially consistent exchange: either a reclaimer's scan sees this slot, or our later loads see what it unlinked. */
    atomic_exchange(&slots[slot].epoch, atomic_load(&now));
}

void fr_epoch_leave(uint32_t slot) { atomic_store_explicit(&slots[slot].epoch, 0, memory_order_release); }

uint64_t fr_epoch_stamp(void) { return atomic_fetch_add(&now, 1); }

bool fr_epoch_passed(uint64_t stamp)
{
    uint32_t end = atomic_load(&slot_end);
    for (uint32_t i = 0; i < end; i++) {
        uint64_t epoch = atomic_load(&slots[i].epoch);
        if (epoch != 0 && epoch <= stamp) return false;
    }
    return true;
}

bool fr_retired_reserve(fr_retired *list, uint32_t more)
{
    if (list->count + more <= list->capacity) return true;
    uint32_t capacity = FR_MAX(list->capacity * 2, list->count + more + 8);
    void *grown = fr_realloc(FR_MEM_ROWS, list->blocks, capacity * sizeof *list->blocks);
    if (grown == NULL) return false;
    list->blocks = grown;
    list->capacity = capacity;
    return true;
}

void fr_retired_push(fr_retired *list, fr_mem tag, void *memory, size_t pages)
{
    FR_ASSERT(list->count < list->capacity);
    list->blocks[list->count++] = (struct fr_retired_block){fr_epoch_stamp(), memory, pages, tag, NULL};
}

void fr_retired_push_object(fr_retired *list, void *object, void (*destroy)(void *object))
{
    FR_ASSERT(list->count < list->capacity);
    list->blocks[list->count++] = (struct fr_retired_block){fr_epoch_stamp(), object, 0, FR_MEM_BASE, destroy};
}

void fr_retired_free(fr_retired *list, bool all)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < list->count; i++) {
        struct fr_retired_block *b = &list->blocks[i];
        if (!all && !fr_epoch_passed(b->stamp)) list->blocks[kept++] = *b;
        else if (b->destroy != NULL) b->destroy(b->memory);
        else if (b->pages != 0) fr_free_pages(b->tag, b->memory, b->pages);
        else fr_free(b->tag, b->memory);
    }
    list->count = kept;
    if (all) {
        fr_free(FR_MEM_ROWS, list->blocks);
        *list = (fr_retired){0};
    }
}
