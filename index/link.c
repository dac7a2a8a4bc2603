/* link.c: linking fresh rows into the graph.
 *
 * Insertion as in HNSW (Malkov and Yashunin, algorithm 1), on codes: a beam of ef_construction, m links for the new row
 * chosen by the diversity rule (choose.c), back edges appended and pruned only when a list is full. A prune never drops a link
 * of the tree (tree.c), so that no row gets lost among near-duplicates. */
#include "index/bulk.h"

#include <math.h>
#include <stdlib.h>

#define SWEEP_TURN 64u /* every so many steps the sweep goes first, by 2,048 rows: about 2 % of the time */

/* ==== lists of neighbours ==== */

static int by_distance(const void *a, const void *b)
{
    const fr_candidate *x = a, *y = b;
    if (x->distance != y->distance) return x->distance < y->distance ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

void fr_sort_candidates(fr_candidate *candidates, uint32_t count)
{
    uint32_t sorted = 1;
    while (sorted < count && candidates[sorted - 1].distance <= candidates[sorted].distance) sorted++;
    if (sorted >= count) return;
    if (count > 64) {
        qsort(candidates, count, sizeof *candidates, by_distance);
        return;
    }
    for (uint32_t i = 1; i < count; i++) {
        fr_candidate moved = candidates[i];
        uint32_t j = i;
        for (; j > 0 && candidates[j - 1].distance > moved.distance; j--) candidates[j] = candidates[j - 1];
        candidates[j] = moved;
    }
}

/* Under the row's lock. */
void fr_store_lanes(fr_table *t, uint32_t row, const uint32_t *ids, uint32_t count)
{
    _Atomic uint32_t *lanes = fr_links_at(t, row);
    for (uint32_t i = 0; i < t->lanes; i++) {
        uint32_t old = atomic_load_explicit(&lanes[i], memory_order_relaxed), value = i < count ? ids[i] + 1 : 0;
        if (old == value) continue;
        atomic_store_explicit(&lanes[i], value, memory_order_release);
    }
    fr_mark(t, FR_CHUNK_LINKS, row);
}

bool fr_force_lane(fr_table *t, uint32_t row, uint32_t to)
{
    _Atomic uint32_t *lanes = fr_links_at(t, row);
    uint32_t place = t->lanes;
    fr_spin_lock(fr_row_lock(t, row));
    for (uint32_t i = 0; i < t->lanes; i++) {
        uint32_t id = atomic_load_explicit(&lanes[i], memory_order_relaxed);
        if (id == to + 1) {
            fr_spin_unlock(fr_row_lock(t, row));
            return true;
        }
        if (id == 0 || !fr_tree_link(t, row, id - 1)) place = i;
        if (id == 0) break;
    }
    if (place < t->lanes) {
        atomic_store_explicit(&lanes[place], to + 1, memory_order_release);
        fr_mark(t, FR_CHUNK_LINKS, row);
    }
    fr_spin_unlock(fr_row_lock(t, row));
    return place < t->lanes;
}

void fr_add_lane(fr_table *t, fr_scratch *s, const fr_codeset *codes, uint32_t row, uint32_t to)
{
    uint32_t max = t->lanes, count = 0, ids[FR_LANES_MAX + 1];
    _Atomic uint32_t *lanes = fr_links_at(t, row);
    for (; count < max; count++) {
        uint32_t id = atomic_load_explicit(&lanes[count], memory_order_relaxed);
        if (id == 0) break;
        if (id - 1 == to) return;
        ids[count] = id - 1;
    }
    if (count < max) {
        atomic_store_explicit(&lanes[count], to + 1, memory_order_release);
        fr_mark(t, FR_CHUNK_LINKS, row);
        return;
    }
    fr_candidate candidates[FR_LANES_MAX + 1];
    float distances[FR_LANES_MAX + 1];
    uint32_t chosen[FR_LANES_MAX], known = 0, n = 0;
    fr_space space;
    ids[count++] = to;
    /* Rows younger than these codes have no place in them: only tree links to such rows stay, in front. */
    for (uint32_t i = 0; i < count; i++) {
        if (ids[i] < s->row_limit) ids[known++] = ids[i];
        else if (fr_tree_link(t, row, ids[i])) candidates[n++] = (fr_candidate){-INFINITY, ids[i]};
    }
    for (uint32_t i = 0; i < known; i++) __builtin_prefetch(fr_row_at(t, ids[i])), fr_space_touch(codes, ids[i]);
    fr_space_of_row(&space, t, codes, row, s->q, s->vector, s->rotated);
    fr_space_distances(&space, ids, known, distances);
    for (uint32_t i = 0; i < known; i++) candidates[n++] = (fr_candidate){distances[i], ids[i]};
    fr_sort_candidates(candidates, n);
    uint32_t kept = fr_select(t, s, codes, row, candidates, n, max, chosen);
    fr_store_lanes(t, row, chosen, kept);
}

void fr_link_back(fr_table *t, fr_scratch *s, const fr_codeset *codes, uint32_t row, uint32_t to)
{
    if (row == to) return;
    fr_spin_lock(fr_row_lock(t, row));
    if (fr_row_alive(fr_row_at(t, row)) && fr_row_alive(fr_row_at(t, to))) fr_add_lane(t, s, codes, row, to);
    fr_spin_unlock(fr_row_lock(t, row));
}

bool fr_unlink_lane(fr_table *t, uint32_t row, uint32_t to)
{
    uint32_t ids[FR_LANES_MAX], count = 0;
    bool found = false;
    fr_spin_lock(fr_row_lock(t, row));
    const _Atomic uint32_t *lanes = fr_links_at(t, row);
    for (uint32_t i = 0; i < t->lanes; i++) {
        uint32_t id = atomic_load_explicit(&lanes[i], memory_order_relaxed);
        if (id == 0) break;
        if (id - 1 == to) found = true;
        else ids[count++] = id - 1;
    }
    if (found) fr_store_lanes(t, row, ids, count);
    fr_spin_unlock(fr_row_lock(t, row));
    return found;
}

/* ==== linking one row ==== */

/* Keep the alive ones of the pool, as candidates for links. */
uint32_t fr_keep_alive(const fr_table *t, fr_candidate *pool, uint32_t size)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < size; i++)
        if (fr_row_alive(fr_row_at(t, pool[i].row))) pool[n++] = pool[i];
    return n;
}

/* The beam met only dead rows: take any linked ones, so that the row is never out of reach. */
static uint32_t any_linked(const fr_table *t, const fr_scratch *s, const fr_space *space, uint32_t row,
                           fr_candidate *pool, uint32_t max)
{
    uint32_t n = 0;
    for (uint32_t i = 1; i < s->row_limit && n < max; i++) {
        uint32_t other = (uint32_t)(((uint64_t)row + i) % s->row_limit);
        if (!fr_row_linked(fr_row_at(t, other))) continue;
        pool[n].row = other;
        fr_space_distances(space, &other, 1, &pool[n++].distance);
    }
    fr_sort_candidates(pool, n);
    return n;
}

/* Links of the row and back; one of its neighbours becomes its parent. */
static void link_to(fr_table *t, fr_scratch *s, const fr_codeset *codes, uint32_t row, const fr_candidate *pool, uint32_t size)
{
    uint32_t chosen[FR_LANES_MAX], adopted = FR_ROW_NONE;
    uint32_t count = fr_select(t, s, codes, FR_ROW_NONE, pool, size, t->m, chosen);
    fr_spin_lock(fr_row_lock(t, row));
    fr_store_lanes(t, row, chosen, count);
    fr_spin_unlock(fr_row_lock(t, row));
    for (uint32_t i = 0; i < count && adopted == FR_ROW_NONE; i++)
        if (fr_tree_adopt(t, s, codes, chosen[i], row)) adopted = chosen[i];
    if (adopted == FR_ROW_NONE && count != 0) fr_tree_adopt_below(t, s, codes, chosen[0], row);
    for (uint32_t i = 0; i < count; i++)
        if (chosen[i] != adopted) fr_link_back(t, s, codes, chosen[i], row);
}

void fr_link_row(fr_table *t, fr_scratch *s, uint32_t row)
{
    const fr_codeset *codes = fr_codes_of(t);
    uint64_t hops = 0, distances = 0;
    uint32_t empty = 0;
    if (atomic_load_explicit(&t->entry, memory_order_acquire) == 0 && atomic_compare_exchange_strong(&t->entry, &empty, row + 1)) {
        fr_tree_settle(t, s, codes, row);
        return;
    }
    fr_space space;
    fr_space_of_row(&space, t, codes, row, s->q, s->vector, s->rotated);
    fr_visited_clear(s);
    fr_visit(s, row); /* never its own neighbour */
    uint32_t ef = t->ef_construction, size = fr_walk_start(t, s, &space, ef, &distances);
    size = fr_walk_whole(t, s, &space, size, ef, false, &hops, &distances);
    uint32_t nearest = size != 0 ? s->pool[0].row : FR_ROW_NONE, usable = fr_keep_alive(t, s->pool, size);
    if (usable == 0) usable = any_linked(t, s, &space, row, s->pool, t->m);
    /* only dead rows are left: one of them takes it in until its repair passes it on */
    if (usable == 0 && nearest != FR_ROW_NONE) fr_tree_adopt_below(t, s, codes, nearest, row);
    link_to(t, s, codes, row, s->pool, usable);
    fr_visited_clear(s);
    fr_tree_settle(t, s, codes, row);
    empty = 0;
    atomic_compare_exchange_strong(&t->entry, &empty, row + 1);
}

/* ==== the step ==== */

/* Only rows that existed when the scratch was fitted: a younger one waits for the next step. */
static bool claim_fresh(fr_table *t, const fr_scratch *s, uint64_t *place_out, uint32_t *row_out)
{
    fr_spin_lock(&t->list_lock);
    uint64_t head = atomic_load_explicit(&t->ring_head, memory_order_relaxed);
    bool any = head < atomic_load_explicit(&t->ring_tail, memory_order_acquire);
    if (any) {
        fr_ring *ring = atomic_load_explicit(&t->ring, memory_order_acquire);
        *place_out = head;
        *row_out = atomic_load_explicit(&ring->rows[head & ring->mask], memory_order_acquire);
        any = *row_out < s->row_limit;
        if (any) atomic_store_explicit(&t->ring_head, head + 1, memory_order_relaxed);
    }
    fr_spin_unlock(&t->list_lock);
    return any;
}

void fr_ring_finish(fr_table *t, uint64_t place, uint32_t count)
{
    fr_spin_lock(&t->list_lock);
    fr_ring *ring = atomic_load_explicit(&t->ring, memory_order_acquire);
    for (uint64_t i = place; i < place + count; i++)
        atomic_fetch_or_explicit(&ring->rows[i & ring->mask], FR_RING_DONE, memory_order_release);
    uint64_t low = atomic_load_explicit(&t->ring_low, memory_order_relaxed),
             head = atomic_load_explicit(&t->ring_head, memory_order_relaxed);
    while (low < head && (atomic_load_explicit(&ring->rows[low & ring->mask], memory_order_relaxed) & FR_RING_DONE))
        low++;
    atomic_store_explicit(&t->ring_low, low, memory_order_release);
    fr_spin_unlock(&t->list_lock);
}

static uint32_t claim_dead(fr_table *t, const fr_scratch *s)
{
    fr_spin_lock(&t->list_lock);
    uint32_t row = fr_list_pop(t, &t->dead);
    if (row != FR_ROW_NONE && (row >= s->row_limit ||
                               atomic_load_explicit(&fr_row_at(t, row)->linked, memory_order_acquire) == FR_UNLINKED)) {
        fr_list_push(t, &t->dead, row); /* somebody is linking it at this moment, or will skip it */
        row = FR_ROW_NONE;
    }
    fr_spin_unlock(&t->list_lock);
    return row;
}

static bool link_fresh(fr_table *t, fr_scratch *s)
{
    uint64_t place;
    uint32_t row;
    if (!claim_fresh(t, s, &place, &row)) return false;
    fr_row *r = fr_row_at(t, row);
    enum fr_link_state state = FR_SKIPPED;
    if (fr_row_alive(r)) {
        fr_link_row(t, s, row);
        atomic_fetch_add_explicit(&t->linked_ever, 1, memory_order_relaxed);
        state = FR_LINKED;
    }
    atomic_store_explicit(&r->linked, (uint8_t)state, memory_order_release);
    fr_mark(t, FR_CHUNK_ROWS_OF, row);
    fr_ring_finish(t, place, 1);
    return true;
}

static bool repair_dead(fr_table *t, fr_scratch *s)
{
    uint32_t row = claim_dead(t, s);
    if (row == FR_ROW_NONE) return false;
    fr_row *r = fr_row_at(t, row);
    if (atomic_load_explicit(&r->linked, memory_order_acquire) == FR_LINKED) {
        fr_repair_row(t, s, row);
        atomic_store_explicit(&r->linked, FR_REPAIRED, memory_order_release);
    }
    uint64_t death = atomic_load_explicit(&r->death, memory_order_relaxed);
    fr_spin_lock(&t->list_lock);
    fr_list_push(t, &t->pending, row);
    t->pending_death = FR_MAX(t->pending_death, death);
    fr_spin_unlock(&t->list_lock);
    return true;
}

/* What a step may take on: everything; a piece of a bulk, but no group and no turn of a phase; single rows only. */
typedef enum effort { EFFORT_WHOLE, EFFORT_PIECE, EFFORT_ROW } effort;

#define PIECE_WORTH (FR_PIECE_ROWS / 4u) /* of the four times that a bulk touches its rows, one */

/* About how many rows' work was done. */
static uint32_t link_step(fr_table *t, effort most)
{
    if (atomic_load_explicit(&t->row_count, memory_order_acquire) == 0 || fr_table_is_sparse(&t->options)) return 0;
    uint32_t turn = atomic_fetch_add_explicit(&t->step_turn, 1, memory_order_relaxed), worked = 0;
    if (turn % SWEEP_TURN == 0 && fr_sweep_step(t)) return 1; /* also when there is always a row to link */
    fr_scratch *s = fr_scratch_borrow();
    if (s == NULL) return 0;
    fr_epoch_enter(s->epoch_slot);
    if (fr_scratch_fit(s, t, FR_MAX(t->ef_construction, 128u))) {
        bool repair_first = turn % 2 != 0, whole = most == EFFORT_WHOLE;
        if (repair_first && repair_dead(t, s)) worked = 1;
        else if (most != EFFORT_ROW && fr_bulk_step(t, s, !whole)) worked = PIECE_WORTH;
        else if ((whole && fr_bulk_begin(t, s)) || link_fresh(t, s)) worked = 1;
        else if (!repair_first && repair_dead(t, s)) worked = 1;
    }
    fr_epoch_leave(s->epoch_slot);
    fr_scratch_return(s);
    return worked != 0 ? worked : fr_sweep_step(t);
}

bool fr_table_link_step(fr_table *t)
{
    if (fr_table_settle_step(t)) return true;
    bool gated = fr_gate_enter(t), worked = link_step(t, EFFORT_WHOLE) != 0;
    if (gated) fr_gate_leave(t);
    return worked;
}

uint32_t fr_table_help_step(fr_table *t, bool pieces)
{
    bool gated = fr_gate_enter(t);
    uint32_t worked = link_step(t, pieces ? EFFORT_PIECE : EFFORT_ROW);
    if (gated) fr_gate_leave(t);
    return worked;
}
