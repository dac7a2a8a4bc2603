/* bulk.c: the course of a bulk. Fresh rows, and the linked ones while they are few, are grouped twice around random pivots, each row in three
 * groups; in a group the distances of all fresh rows to all members are computed by blocks; the nearest of all groups are a row's
 * candidates; then rows near each other look together at who is near those that are near them (bulk_graph.c), or, where there are more
 * linked rows, walk the graph together (bulk_reach.c); out of what was found links are chosen by the same rule as one by one; links back
 * are gathered per row and pruned once.
 *
 * Rows stay in the fresh ring until all that is done: searches find them by the scan meanwhile. Writers go on: a row is looked
 * at only after its life was checked inside the epoch of the piece, so a slot that was freed or reused since is passed by, or
 * taken for what it is now. A fresh row's own slot cannot be freed before it is linked or skipped (link.c, claim_dead).
 * Source: overlapping pivot partitions as in PiPNN and SPANN; figures: index/README.md. */
#include "index/bulk.h"

#define ROUNDS 2u

enum { MEM_MEMBERS, MEM_ASSIGNED, MEM_GROUP, MEM_ORDER, MEM_NEAR, MEM_NEAR_COUNT, MEM_HEAD, MEM_NEXT, MEM_TARGETS };

static void *hold(fr_bulk *b, int what, size_t size)
{
    b->bytes[what] = size;
    return fr_alloc_pages(FR_MEM_LINKS, size);
}

static void drop(fr_bulk *b, int what, void *memory)
{
    if (memory != NULL) fr_free_pages(FR_MEM_LINKS, memory, b->bytes[what]);
}

void fr_bulk_free(fr_bulk *b)
{
    if (b == NULL) return;
    drop(b, MEM_MEMBERS, b->members);
    drop(b, MEM_ASSIGNED, b->assigned);
    drop(b, MEM_GROUP, b->group);
    drop(b, MEM_ORDER, b->order);
    drop(b, MEM_NEAR, b->near);
    drop(b, MEM_NEAR_COUNT, b->near_count);
    drop(b, MEM_HEAD, b->back_head);
    drop(b, MEM_NEXT, b->back_next);
    drop(b, MEM_TARGETS, b->targets);
    fr_bulk_pivots_free(b);
    fr_bulk_rooms_free(b);
    fr_free(FR_MEM_LINKS, b);
}

static uint32_t pieces_by(uint32_t count, uint32_t rows) { return (count + rows - 1) / rows; }
static uint32_t pieces_of(uint32_t count) { return pieces_by(count, FR_PIECE_ROWS); }

bool fr_bulk_possible(const fr_table *t)
{
    return t->bulk_min != 0 && t->options.codes != FR_CODES_NONE && !fr_table_is_binary(&t->options); /* its blocks are of dot products */
}

/* Worth it? And how many. */
static uint32_t due(const fr_table *t)
{
    if (!fr_bulk_possible(t) || !fr_codeset_dots(fr_codes_of(t))) return 0;
    uint64_t tail = atomic_load_explicit(&t->ring_tail, memory_order_acquire);
    uint64_t fresh = tail - atomic_load_explicit(&t->ring_head, memory_order_acquire);
    uint64_t live = atomic_load_explicit(&t->live, memory_order_relaxed), linked = live > fresh ? live - fresh : 0;
    uint64_t seed = FR_MIN((uint64_t)FR_MIN(t->bulk_min, FR_BULK_SEED), fresh / 4);
    if (fresh < t->bulk_min || linked < seed) return 0;
    return (uint32_t)FR_MIN(fresh, FR_BULK_MAX);
}

static bool reserve(const fr_table *t, fr_bulk *b, uint32_t want, uint32_t rows)
{
    size_t members = b->reach ? want : FR_MIN((size_t)rows, (FR_BULK_LINKED + 1) * (size_t)want);
    b->members = hold(b, MEM_MEMBERS, members * sizeof(uint32_t));
    b->assigned = hold(b, MEM_ASSIGNED, members * FR_FANOUT * sizeof(uint32_t));
    b->group = hold(b, MEM_GROUP, members * FR_FANOUT * sizeof(uint32_t));
    b->order = hold(b, MEM_ORDER, members * sizeof(uint32_t));
    b->near = hold(b, MEM_NEAR, (size_t)want * FR_NEAR_MAX * sizeof(fr_near));
    b->near_count = hold(b, MEM_NEAR_COUNT, want);
    b->back_head = hold(b, MEM_HEAD, (size_t)rows * sizeof(uint32_t));
    b->edges = FR_MAX(fr_bulk_links_max(t), FR_AROUND);
    b->back_next = hold(b, MEM_NEXT, (size_t)want * b->edges * sizeof(uint32_t));
    b->around = b->back_next;
    b->row_at = b->assigned;
    b->targets = hold(b, MEM_TARGETS, FR_MIN((size_t)rows, (size_t)want * b->edges) * sizeof(uint32_t));
    return b->targets && b->members && b->assigned && b->group && b->order && b->near && b->near_count && b->back_head && b->back_next;
}

/* Takes the oldest fresh rows off the ring's head; they stay in it until they are done. */
static void claim(fr_table *t, fr_bulk *b, uint32_t want)
{
    fr_spin_lock(&t->list_lock);
    uint64_t head = atomic_load_explicit(&t->ring_head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&t->ring_tail, memory_order_acquire);
    fr_ring *ring = atomic_load_explicit(&t->ring, memory_order_acquire);
    b->place = head;
    for (; head < tail && b->count < want; head++) {
        uint32_t row = atomic_load_explicit(&ring->rows[head & ring->mask], memory_order_acquire);
        if (row >= b->row_limit) break;
        b->members[b->count++] = row;
    }
    atomic_store_explicit(&t->ring_head, head, memory_order_relaxed);
    fr_spin_unlock(&t->list_lock);
    b->member_count = b->count;
    if (b->reach) return;
    uint32_t room = (uint32_t)FR_MIN((uint64_t)b->row_limit, (FR_BULK_LINKED + 1) * (uint64_t)want);
    for (uint32_t row = 0; row < b->row_limit && b->member_count < room; row++)
        if (fr_row_linked(fr_row_at(t, row))) b->members[b->member_count++] = row;
    b->look_rows = b->count >= b->member_count - b->member_count / 4 ? FR_PIECE_ROWS : FR_LOOK_FEW;
}

/* How the linked rows are met: as members of the groups while they are few, else through the graph. */
static void plan(const fr_table *t, fr_bulk *b, uint32_t want)
{
    uint64_t live = atomic_load_explicit(&t->live, memory_order_relaxed), linked = live > want ? live - want : 0;
    b->reach = linked > FR_BULK_LINKED * (uint64_t)want;
    b->rounds = b->reach ? 1 : ROUNDS;
    b->look_rows = FR_PIECE_ROWS;
}

bool fr_bulk_begin(fr_table *t, fr_scratch *s)
{
    uint32_t want = due(t);
    if (want == 0) return false;
    fr_spin_lock(&t->bulk_lock);
    bool mine = t->bulk == NULL && !t->bulk_beginning;
    if (mine) t->bulk_beginning = true;
    fr_spin_unlock(&t->bulk_lock);
    if (!mine) return true;
    fr_bulk *b = fr_zalloc(FR_MEM_LINKS, sizeof *b);
    if (b != NULL) plan(t, b, want);
    if (b != NULL && reserve(t, b, want, s->row_limit)) {
        b->row_limit = s->row_limit;
        claim(t, b, want);
        if (b->count == 0) { /* others were faster: nothing is left of what was due */
            fr_bulk_free(b);
            b = NULL;
        } else if (!fr_bulk_partition(t, b)) { /* without candidates each row is linked by a walk */
            for (uint32_t i = 0; i < b->count; i++) b->order[i] = i;
            b->phase = FR_BULK_LINK;
        }
        if (b != NULL) b->pieces = pieces_of(b->phase == FR_BULK_LINK ? b->count : b->member_count);
    } else {
        fr_bulk_free(b);
        b = NULL;
    }
    fr_spin_lock(&t->bulk_lock);
    t->bulk = b;
    t->bulk_beginning = false;
    fr_spin_unlock(&t->bulk_lock);
    return b != NULL;
}

/* The next phase, prepared by one thread while nobody else works on the bulk. */
static void advance(fr_table *t, fr_bulk *b)
{
    uint32_t pieces = 0;
    fr_bulk_phase next = b->phase + 1;
    if (b->phase == FR_BULK_ASSIGN) {
        fr_bulk_group(b);
        pieces = b->pivot_count;
    } else if (b->phase == FR_BULK_LEAVES && ++b->round < b->rounds && fr_bulk_partition(t, b)) {
        next = FR_BULK_ASSIGN;
        pieces = pieces_of(b->member_count);
    } else if (b->phase == FR_BULK_LEAVES) {
        fr_bulk_order(b);
        pieces = pieces_by(b->count, b->look_rows);
    } else if (b->phase == FR_BULK_AROUND) {
        fr_bulk_ordered(b);
        pieces = pieces_of(b->count);
    } else if (next == FR_BULK_BACK) {
        pieces = pieces_of(atomic_load(&b->target_count));
    } else {
        fr_ring_finish(t, b->place, b->count);
    }
    fr_spin_lock(&t->bulk_lock);
    b->phase = next;
    b->next = 0;
    b->pieces = pieces;
    b->running = 0;
    if (next == FR_BULK_DONE) t->bulk = NULL;
    fr_spin_unlock(&t->bulk_lock);
    if (next == FR_BULK_DONE) fr_bulk_free(b);
}

bool fr_bulk_step(fr_table *t, fr_scratch *s, bool brief)
{
    fr_spin_lock(&t->bulk_lock);
    fr_bulk *b = t->bulk;
    bool piece = b != NULL && b->next < b->pieces, turn = b != NULL && !piece && b->running == 0;
    if (brief && (turn || (piece && b->phase == FR_BULK_LEAVES))) piece = turn = false;
    uint32_t at = piece ? b->next++ : 0;
    if (piece || turn) b->running++;
    fr_bulk_phase phase = b != NULL ? b->phase : FR_BULK_DONE;
    fr_spin_unlock(&t->bulk_lock);
    if (turn) {
        advance(t, b);
        return true;
    }
    if (!piece) return false;
    switch (phase) {
    case FR_BULK_ASSIGN: fr_bulk_assign(t, s, b, at); break;
    case FR_BULK_LEAVES: fr_bulk_leaf(t, s, b, at); break;
    case FR_BULK_AROUND: (b->reach ? fr_bulk_reach : fr_bulk_around)(t, s, b, at); break;
    case FR_BULK_LINK: fr_bulk_link(t, s, b, at); break;
    case FR_BULK_BACK: fr_bulk_back(t, s, b, at); break;
    case FR_BULK_DONE: break;
    }
    fr_spin_lock(&t->bulk_lock);
    b->running--;
    fr_spin_unlock(&t->bulk_lock);
    return true;
}
