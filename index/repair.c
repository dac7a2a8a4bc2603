/* repair.c: mending the graph around a dead row, and the sweep that drops the last links to it.
 *
 * Repair follows IP-DiskANN (arXiv 2502.13826, in-place delete): search for the dead row p; every expanded row z that links to p gets
 * the c of the k nearest found that are nearest to z instead; every row w that p linked to gets in-links from c of them. What still
 * points at p afterwards is dropped by the sweep, one pass over all lists; only then, an epoch later, may the slot be reused. */
#include "index/table_private.h"

#define REPAIR_EF 64u
#define REPAIR_NEAREST 32u
#define REPAIR_LINKS 3u
#define SWEEP_ROWS 2048u /* of one step */

/* The `want` nearest to row among the candidates, nearest first; not row itself. */
static uint32_t nearest_to(const fr_table *t, fr_scratch *s, const fr_codeset *codes, uint32_t row, const uint32_t *ids, uint32_t count,
                           uint32_t want, uint32_t *chosen)
{
    float distances[REPAIR_NEAREST];
    fr_candidate best[REPAIR_LINKS + 1];
    uint32_t n = 0;
    fr_space space;
    if (row >= s->row_limit) return 0;
    fr_space_of_row(&space, t, codes, row, s->q2, s->decoded, s->rotated);
    fr_space_distances(&space, ids, count, distances);
    for (uint32_t i = 0; i < count; i++)
        if (ids[i] != row) fr_pool_insert(best, &n, want, distances[i], ids[i]);
    for (uint32_t i = 0; i < n; i++) chosen[i] = best[i].row;
    return n;
}

static void replace_entry(fr_table *t, uint32_t dead)
{
    uint32_t held = atomic_load_explicit(&t->entry, memory_order_acquire);
    while (held == dead + 1) {
        uint32_t rows = atomic_load_explicit(&t->row_count, memory_order_acquire), found = 0;
        for (uint32_t row = 0; row < rows && found == 0; row++) /* rare: one row in a million is the entry */
            if (fr_row_linked(fr_row_at(t, row))) found = row + 1;
        if (atomic_compare_exchange_strong(&t->entry, &held, found)) return;
    }
}

void fr_repair_row(fr_table *t, fr_scratch *s, uint32_t p)
{
    const fr_codeset *codes = fr_codes_of(t);
    fr_tree_bury(t, s, codes, p);
    replace_entry(t, p);
    fr_space space;
    uint64_t hops = 0, distances = 0;
    fr_space_of_row(&space, t, codes, p, s->q, s->vector, s->rotated);
    fr_visited_clear(s);
    s->expanded_count = 0;
    uint32_t size = fr_walk_start(t, s, &space, REPAIR_EF, &distances);
    size = fr_walk_whole(t, s, &space, size, REPAIR_EF, true, &hops, &distances);
    fr_visited_clear(s);
    uint32_t near[REPAIR_NEAREST], n = 0, chosen[REPAIR_LINKS], out[FR_LANES_MAX];
    for (uint32_t i = 0; i < size && n < REPAIR_NEAREST; i++)
        if (s->pool[i].row != p && fr_row_alive(fr_row_at(t, s->pool[i].row))) near[n++] = s->pool[i].row;
    for (uint32_t i = 0; i < s->expanded_count; i++) {
        uint32_t z = s->expanded[i].row;
        if (z == p || !fr_row_alive(fr_row_at(t, z)) || !fr_unlink_lane(t, z, p)) continue;
        uint32_t picked = nearest_to(t, s, codes, z, near, n, REPAIR_LINKS, chosen);
        for (uint32_t j = 0; j < picked; j++) fr_link_back(t, s, codes, z, chosen[j]);
    }
    uint32_t count = fr_row_lanes(t, p, out);
    for (uint32_t i = 0; i < count; i++) {
        if (out[i] >= s->row_limit || !fr_row_alive(fr_row_at(t, out[i]))) continue;
        uint32_t picked = nearest_to(t, s, codes, out[i], near, n, REPAIR_LINKS, chosen);
        for (uint32_t j = 0; j < picked; j++) fr_link_back(t, s, codes, chosen[j], out[i]);
    }
}

/* ==== the sweep ==== */

static bool gone(const fr_table *t, uint32_t row)
{
    uint8_t linked = atomic_load_explicit(&fr_row_at(t, row)->linked, memory_order_acquire);
    /* skipped: a row that was to be linked again after a load may still have links from before */
    return (linked == FR_REPAIRED || linked == FR_SKIPPED) && !fr_row_alive(fr_row_at(t, row));
}

static void sweep_row(fr_table *t, uint32_t row)
{
    uint32_t ids[FR_LANES_MAX], count = fr_row_lanes(t, row, ids);
    for (uint32_t i = 0; i < count; i++)
        if (gone(t, ids[i])) fr_unlink_lane(t, row, ids[i]);
}

/* Start when enough rows wait: one pass costs about 50 ns a row of the table. */
static bool sweep_begin(fr_table *t)
{
    uint32_t rows = atomic_load_explicit(&t->row_count, memory_order_relaxed);
    if (t->sweeping.count == 0 && t->pending.count >= FR_MAX(16u, rows / 64)) {
        t->sweeping = t->pending;
        t->sweeping_death = t->pending_death;
        t->pending = (fr_list){0};
        t->pending_death = 0;
        t->sweep_stamp = fr_epoch_stamp(); /* linkers that still hold these rows as candidates leave first */
        t->sweep_cursor = 0;
    }
    return t->sweeping.count != 0 && t->swept.count == 0 && fr_epoch_passed(t->sweep_stamp);
}

/* The entry point may have been given to a row that was dying at that moment; whoever did so has left by now. */
static void sweep_way_in(fr_table *t)
{
    uint32_t entry = atomic_load_explicit(&t->entry, memory_order_acquire);
    if (entry != 0 && gone(t, entry - 1)) replace_entry(t, entry - 1);
}

bool fr_sweep_step(fr_table *t)
{
    fr_spin_lock(&t->list_lock);
    bool mine = !t->sweep_busy && sweep_begin(t);
    if (mine) t->sweep_busy = true;
    uint32_t row = t->sweep_cursor;
    fr_spin_unlock(&t->list_lock);
    if (!mine) return false;
    uint32_t rows = atomic_load_explicit(&t->row_count, memory_order_acquire), end = FR_MIN(rows, row + SWEEP_ROWS);
    fr_scratch *s = fr_scratch_borrow(); /* NULL: no memory; another step goes on where this one began */
    if (s != NULL) fr_epoch_enter(s->epoch_slot);
    if (s != NULL && row == 0) sweep_way_in(t);
    /* Whatever the state: a dead row of a later batch, or one that waits to be linked again, can still be reached, and must
     * not lead on to a slot that is reused. A free slot has no lanes. */
    for (; s != NULL && row < end; row++) sweep_row(t, row);
    if (s != NULL) fr_epoch_leave(s->epoch_slot), fr_scratch_return(s);
    fr_spin_lock(&t->list_lock);
    t->sweep_cursor = row;
    if (row >= rows) {
        t->swept = t->sweeping;
        t->swept_death = t->sweeping_death;
        t->swept_stamp = fr_epoch_stamp();
        t->sweeping = (fr_list){0};
    }
    t->sweep_busy = false;
    fr_spin_unlock(&t->list_lock);
    return s != NULL;
}
