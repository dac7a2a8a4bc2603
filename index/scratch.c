/* scratch.c: what one searching or linking thread needs, sized before the walk so that the walk never allocates. */
#include "index/sieve.h"
#include "index/table_private.h"

fr_code fr_scratch_create(fr_scratch **out)
{
    fr_scratch *s = fr_zalloc(FR_MEM_SEARCH, sizeof *s);
    if (s == NULL) return FR_ERR_NO_MEMORY;
    s->epoch_slot = fr_epoch_claim();
    if (s->epoch_slot == FR_EPOCH_READERS_MAX) {
        fr_free(FR_MEM_SEARCH, s);
        return FR_ERR_BUSY;
    }
    *out = s;
    return FR_OK;
}

void fr_scratch_free(fr_scratch *s)
{
    if (s == NULL) return;
    fr_epoch_release(s->epoch_slot);
    fr_free(FR_MEM_SEARCH, s->visited);
    fr_free(FR_MEM_SEARCH, s->touched);
    fr_free(FR_MEM_SEARCH, s->pool);
    fr_free(FR_MEM_SEARCH, s->vector);
    fr_free(FR_MEM_SEARCH, s->read_room);
    fr_read_ring_free(s->read_ring);
    fr_free(FR_MEM_SEARCH, s->q);
    fr_free(FR_MEM_SEARCH, s->found);
    fr_free(FR_MEM_SEARCH, s->expanded);
    for (uint32_t i = 0; i < FR_KEPT_MAX; i++) fr_kept_free(&s->kept[i]);
    fr_free(FR_MEM_SEARCH, s->sieve_image);
    fr_free(FR_MEM_SEARCH, s->judged);
    fr_free(FR_MEM_SEARCH, s->opened);
    fr_free(FR_MEM_SEARCH, s->judged_at);
    fr_free(FR_MEM_SEARCH, s->opened_at);
    fr_sieve_free(s->sieve);
    fr_postings_room_free(s->sparse);
    fr_free(FR_MEM_SEARCH, s);
}

void fr_scratch_forget(fr_scratch *s)
{
    for (uint32_t i = 0; i < FR_KEPT_MAX; i++) s->kept[i].table = 0;
}

static bool grow(void **memory, size_t size)
{
    void *fresh = fr_alloc_aligned(FR_MEM_SEARCH, 64, size);
    if (fresh == NULL) return false;
    fr_free(FR_MEM_SEARCH, *memory);
    *memory = fresh;
    return true;
}

/* Room for a table of this size and a pool of ef. Grows in powers of two: a stream of inserts does not reallocate each time. */
bool fr_scratch_fit(fr_scratch *s, const fr_table *t, uint32_t ef)
{
    s->row_limit = atomic_load_explicit(&t->row_count, memory_order_acquire);
    uint32_t rows = s->row_limit;
    if (rows > s->visited_rows) {
        uint32_t words = 64;
        while ((uint64_t)words * 64 < rows) words *= 2;
        if (!grow((void **)&s->visited, (size_t)words * 8) || !grow((void **)&s->touched, ((size_t)words + 1) * 4)) return false;
        memset(s->visited, 0, (size_t)words * 8);
        s->touched_count = 0;
        s->visited_rows = words * 64;
    }
    if (ef > s->pool_capacity) {
        uint32_t capacity = FR_MAX(256u, ef + ef / 2);
        if (!grow((void **)&s->pool, (capacity + 1) * sizeof *s->pool)) return false;
        if (!grow((void **)&s->found, (capacity + 1) * sizeof *s->found)) return false;
        if (!grow((void **)&s->expanded, (capacity * 4) * sizeof *s->expanded)) return false;
        s->expanded_capacity = capacity * 4;
        s->pool_capacity = capacity; /* last: it stands for all three */
    }
    uint32_t padded = (fr_table_width(&t->options) + 63) / 64 * 64;
    if (padded > s->dimension_capacity) {
        if (!grow((void **)&s->vector, 3 * (size_t)padded * sizeof(float)) || !grow((void **)&s->q, 2 * (size_t)padded)) return false;
        s->dimension_capacity = padded;
    }
    if (t->vectors.store != NULL && s->read_room == NULL && !grow((void **)&s->read_room, FR_READ_ROOM)) return false;
    if (t->vectors.store != NULL && s->read_ring == NULL) s->read_ring = fr_read_ring_create(); /* NULL: one read after the other */
    s->rotated = s->vector + s->dimension_capacity;
    s->decoded = s->rotated + s->dimension_capacity;
    s->q2 = s->q + s->dimension_capacity;
    return true;
}

/* What a filtered query needs beside it, for as many rows as `visited` has. */
bool fr_scratch_fit_filter(fr_scratch *s)
{
    if (s->sieve == NULL) s->sieve = fr_zalloc(FR_MEM_SEARCH, sizeof *s->sieve);
    if (s->sieve == NULL) return false;
    if (s->match_rows >= s->visited_rows) return true;
    size_t words = s->visited_rows / 64;
    s->match_rows = 0;
    if (!grow((void **)&s->judged, words * 16) || !grow((void **)&s->opened, words * 8) ||
        !grow((void **)&s->judged_at, words * 4) || !grow((void **)&s->opened_at, words * 4))
        return false;
    memset(s->judged, 0, words * 16);
    memset(s->opened, 0, words * 8);
    s->judged_count = s->opened_count = 0;
    s->match_rows = s->visited_rows;
    return true;
}

void fr_visited_clear(fr_scratch *s)
{
    for (uint32_t i = 0; i < s->touched_count; i++) s->visited[s->touched[i]] = 0;
    s->touched_count = 0;
}

void fr_table_enter(const fr_table *t, fr_scratch *s)
{
    (void)t;
    fr_epoch_enter(s->epoch_slot);
}

void fr_table_leave(const fr_table *t, fr_scratch *s)
{
    (void)t;
    fr_epoch_leave(s->epoch_slot);
}

/* Linking threads come and go between tables: they borrow scratch from one pool of the process. */
static _Atomic uint32_t pool_lock;
static fr_scratch *pool_head;
static uint32_t pool_count;
#define POOL_KEPT_MAX 8u

fr_scratch *fr_scratch_borrow(void)
{
    fr_spin_lock(&pool_lock);
    fr_scratch *s = pool_head;
    if (s != NULL) pool_head = s->next_free, pool_count--;
    fr_spin_unlock(&pool_lock);
    if (s == NULL && fr_scratch_create(&s) != FR_OK) return NULL;
    return s;
}

void fr_scratch_return(fr_scratch *s)
{
    fr_spin_lock(&pool_lock);
    bool keep = pool_count < POOL_KEPT_MAX;
    if (keep) s->next_free = pool_head, pool_head = s, pool_count++;
    fr_spin_unlock(&pool_lock);
    if (!keep) fr_scratch_free(s);
}

__attribute__((destructor)) static void drop_pool(void)
{
    while (pool_head != NULL) {
        fr_scratch *s = pool_head;
        pool_head = s->next_free;
        fr_scratch_free(s);
    }
    pool_count = 0;
}
