/* walk.c: the graph walk: greedy descent through the upper levels, then a sorted candidate pool on level 0.
 * Source: Malkov and Yashunin, HNSW, algorithms 2 and 5; the linear pool and the two-pass loop (collect and prefetch, then
 * distances) as in pyglass and SVS. Lanes are read by acquire loads of whole words: a torn list is a list of valid rows. */
#include "index/table_private.h"

uint32_t fr_level0_lanes(const fr_table *t, uint32_t row, uint32_t *ids)
{
    const _Atomic uint32_t *lanes = fr_links_at(t, row);
    uint32_t count = 0;
    for (uint32_t i = 0; i < t->lanes; i++) {
        uint32_t id = atomic_load_explicit(&lanes[i], memory_order_acquire);
        if (id == 0) break; /* lanes are filled from the front */
        ids[count++] = id - 1;
    }
    return count;
}

bool fr_leads_to(const fr_table *t, uint32_t row, uint32_t to)
{
    const _Atomic uint32_t *lanes = fr_links_at(t, row);
    for (uint32_t i = 0; i < t->lanes; i++) {
        uint32_t id = atomic_load_explicit(&lanes[i], memory_order_relaxed);
        if (id == to + 1) return true;
        if (id == 0) return false;
    }
    return false;
}

fr_upper *fr_upper_unit(const fr_table *t, uint32_t row, uint32_t level)
{
    uint32_t unit = atomic_load_explicit((_Atomic uint32_t *)fr_extent_at(&t->upper_of, row), memory_order_acquire);
    fr_upper *u = NULL;
    for (uint32_t l = 1; unit != 0; l++) {
        u = fr_extent_at(&t->uppers, unit - 1);
        if (l == level) return u;
        unit = u->above;
    }
    return NULL;
}

uint32_t fr_upper_lanes(const fr_table *t, uint32_t row, uint32_t level, uint32_t *ids)
{
    const fr_upper *u = fr_upper_unit(t, row, level);
    uint32_t count = 0;
    for (uint32_t i = 0; u != NULL && i < t->m; i++) {
        uint32_t id = atomic_load_explicit(&u->lanes[i], memory_order_acquire);
        if (id == 0) break;
        ids[count++] = id - 1;
    }
    return count;
}

/* Insert into the sorted pool. Returns the place, or capacity when it is too far. */
uint32_t fr_pool_insert(fr_candidate *pool, uint32_t *size, uint32_t capacity, float distance, uint32_t row)
{
    uint32_t n = *size;
    if (n == capacity && distance >= pool[n - 1].distance) return capacity;
    uint32_t low = 0, high = n;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (pool[middle].distance <= distance) low = middle + 1;
        else high = middle;
    }
    uint32_t moved = (n < capacity ? n : capacity - 1) - low;
    memmove(&pool[low + 1], &pool[low], moved * sizeof *pool);
    pool[low] = (fr_candidate){distance, row};
    *size = n < capacity ? n + 1 : n;
    return low;
}

uint32_t fr_walk_descend(const fr_table *t, const fr_scratch *s, const fr_space *space, uint32_t to_level, float *distance_out,
                         uint64_t *distances)
{
    uint64_t entry = atomic_load_explicit(&t->entry, memory_order_acquire);
    if (entry == 0 || (uint32_t)entry - 1 >= s->row_limit) return FR_ROW_NONE;
    uint32_t row = (uint32_t)entry - 1, ids[FR_LANES_MAX];
    float best, found[FR_LANES_MAX];
    fr_space_distances(space, &row, 1, &best);
    for (uint32_t level = (uint32_t)(entry >> 32); level > to_level; level--) {
        for (bool nearer = true; nearer;) {
            nearer = false;
            uint32_t all = fr_upper_lanes(t, row, level, ids), count = 0;
            for (uint32_t i = 0; i < all; i++)
                if (ids[i] < s->row_limit) ids[count++] = ids[i];
            for (uint32_t i = 0; i < count; i++) fr_space_touch(space->codes, ids[i]);
            fr_space_distances(space, ids, count, found);
            *distances += count;
            for (uint32_t i = 0; i < count; i++)
                if (found[i] < best) best = found[i], row = ids[i], nearer = true;
        }
    }
    *distance_out = best;
    return row;
}

/* Reservoir sampling over the rows as they are linked. */
void fr_router_offer(fr_table *t, uint32_t row)
{
    uint64_t n = atomic_fetch_add_explicit(&t->linked_ever, 1, memory_order_relaxed);
    uint64_t place = n < FR_ROUTERS ? n : fr_mix64(n ^ t->options.seed) % (n + 1);
    if (place < FR_ROUTERS) atomic_store_explicit(&t->routers[place], row + 1, memory_order_release);
}

/* A dead router gives its place to its parent in the tree: near, and alive or soon passed on itself. */
void fr_router_drop(fr_table *t, uint32_t row)
{
    uint32_t parent = atomic_load_explicit(&fr_row_at(t, row)->parent, memory_order_relaxed);
    for (uint32_t i = 0; i < FR_ROUTERS; i++) {
        uint32_t held = row + 1;
        atomic_compare_exchange_strong(&t->routers[i], &held, parent != FR_ROW_NONE && fr_row_alive(fr_row_at(t, parent)) ? parent + 1 : 0);
    }
}

uint32_t fr_walk_start(const fr_table *t, fr_scratch *s, const fr_space *space, uint32_t ef, uint64_t *distances)
{
    uint32_t size = 0, count = 0, ids[FR_LANES_MAX], starts = FR_MIN(FR_STARTS, ef);
    float found[FR_LANES_MAX], distance;
    for (uint32_t i = 0; i < FR_ROUTERS; i++) {
        uint32_t row = atomic_load_explicit(&t->routers[i], memory_order_acquire);
        if (row != 0 && row - 1 < s->row_limit) ids[count++] = row - 1;
        if (count != FR_LANES_MAX && (i + 1 < FR_ROUTERS || count == 0)) continue;
        fr_space_distances(space, ids, count, found);
        *distances += count;
        for (uint32_t j = 0; j < count; j++)
            if (size < starts || found[j] < s->pool[size - 1].distance) fr_pool_insert(s->pool, &size, starts, found[j], ids[j]);
        count = 0;
    }
    uint32_t kept = 0; /* a row may stand in two places */
    for (uint32_t i = 0; i < size; i++)
        if (fr_visit(s, s->pool[i].row)) s->pool[kept++] = s->pool[i];
    size = kept;
    uint32_t start = fr_walk_descend(t, s, space, 0, &distance, distances);
    if (start != FR_ROW_NONE && fr_visit(s, start)) fr_pool_insert(s->pool, &size, ef, distance, start);
    return size;
}

uint32_t fr_walk_level(const fr_table *t, fr_scratch *s, const fr_space *space, uint32_t level, uint32_t size, uint32_t ef, bool record,
                       uint64_t *hops, uint64_t *distances)
{
    fr_candidate *pool = s->pool;
    const fr_codeset *codes = space->codes->kind != FR_CODE_NONE ? space->codes : NULL;
    uint64_t *visited = s->visited;
    uint32_t next = 0, ids[FR_LANES_MAX], fresh[FR_LANES_MAX], limit = s->row_limit;
    const uint8_t *rows[FR_LANES_MAX];
    float found[FR_LANES_MAX];
    while (next < size) {
        uint32_t row = pool[next].row;
        if (row & FR_CHECKED) {
            next++;
            continue;
        }
        pool[next].row |= FR_CHECKED;
        ++*hops;
        if (record && s->expanded_count < s->expanded_capacity) s->expanded[s->expanded_count++] = (fr_candidate){pool[next].distance, row};
        uint32_t count = level == 0 ? fr_level0_lanes(t, row, ids) : fr_upper_lanes(t, row, level, ids), n = 0;
        /* two passes: the bits of all neighbours are on their way before the first is tested */
        for (uint32_t i = 0; i < count; i++) __builtin_prefetch(&visited[FR_MIN(ids[i], limit - 1) >> 6]);
        for (uint32_t i = 0; i < count; i++) {
            if (ids[i] >= limit || !fr_visit(s, ids[i])) continue;
            rows[n] = fr_space_touch(space->codes, ids[i]);
            fresh[n++] = ids[i];
        }
        /* the likeliest next hops: their lanes are read while the distances are computed */
        if (level == 0 && next + 1 < size) fr_links_prefetch(t, pool[next + 1].row & ~FR_CHECKED);
        if (codes != NULL) fr_codeset_distances(codes, &space->code_query, fresh, rows, n, found);
        else fr_space_distances(space, fresh, n, found);
        *distances += n;
        next++;
        float worst = size == ef ? pool[size - 1].distance : 0;
        for (uint32_t i = 0; i < n; i++) {
            if (size == ef && found[i] >= worst) continue;
            uint32_t place = fr_pool_insert(pool, &size, ef, found[i], fresh[i]);
            worst = pool[size - 1].distance;
            if (place >= next) continue;
            next = place;
            if (level == 0) fr_links_prefetch(t, fresh[i]);
        }
    }
    for (uint32_t i = 0; i < size; i++) pool[i].row &= ~FR_CHECKED;
    return size;
}
