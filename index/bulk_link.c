/* bulk_link.c: links out of the candidates of a bulk, and links back.
 * The rules of one-by-one linking hold: a row is linked once it has a parent that is in the tree (tree.c), prunes keep tree
 * links, stores are release stores under the row's lock. Rows are taken in an order that puts neighbours together, so that
 * codes and lanes are met in the nearer caches. */
#include "index/bulk.h"

#include <math.h>

#define FEW_LINKS   10u /* a row of a cluster that finds fewer among the nearest FR_NEAR_MAX looks at all that it has */
#define BACK_MAX    96u /* links that are added to one row at a time */

/* The fresh rows of a piece, neighbours together. */
static uint32_t piece_of(const fr_bulk *b, uint32_t piece, const uint32_t **from_out)
{
    uint32_t from = piece * FR_PIECE_ROWS;
    *from_out = b->order + from;
    return FR_MIN(FR_PIECE_ROWS, b->count - from);
}

/* Remember that `to` shall lead back to the fresh row at this place of the order: edges of neighbours are neighbours. */
static void back_later(fr_bulk *b, uint32_t at_order, uint32_t edge, uint32_t to)
{
    if (to >= b->row_limit) return; /* a younger row is no member; its own links will do */
    uint32_t at = at_order * b->edges + edge;
    uint32_t before = atomic_exchange_explicit(&b->back_head[to], at + 1, memory_order_acq_rel);
    b->back_next[at] = before;
    if (before == 0) b->targets[atomic_fetch_add_explicit(&b->target_count, 1, memory_order_relaxed)] = to;
}

/* ==== links out ==== */

/* Stores what was chosen; tree links that came meanwhile, or were not chosen, take the place of the farthest. */
static void store_chosen(fr_table *t, uint32_t row, uint32_t *chosen, uint32_t count)
{
    uint32_t ids[FR_LANES_MAX], held, tree = 0, kept[FR_LANES_MAX], n = 0;
    fr_spin_lock(fr_row_lock(t, row));
    held = fr_row_lanes(t, row, ids);
    for (uint32_t i = 0; i < held; i++)
        if (fr_tree_link(t, row, ids[i])) kept[tree++] = ids[i];
    n = tree;
    for (uint32_t i = 0; i < count && n < t->lanes; i++) {
        bool there = false;
        for (uint32_t j = 0; j < tree && !there; j++) there = kept[j] == chosen[i];
        if (!there) kept[n++] = chosen[i];
    }
    fr_store_lanes(t, row, kept, n);
    fr_spin_unlock(fr_row_lock(t, row));
}

/* The candidates that live, by distance on today's codes. A slot that was reused, and what was found by codes of before, may stand twice:
 * such two are equally far. */
static uint32_t candidates_of(const fr_table *t, fr_scratch *s, const fr_codeset *codes, fr_bulk *b, uint32_t place, uint32_t max)
{
    uint32_t row = b->members[place], ids[FR_WIDE_MAX], held = fr_bulk_candidates(b, place, FR_NEAREST, max, ids), count = 0, n = 0;
    float distances[FR_WIDE_MAX];
    for (uint32_t i = 0; i < held; i++) {
        uint32_t other = ids[i];
        ids[count] = other;
        count += other != row && fr_row_alive(fr_row_at(t, other));
    }
    fr_space space;
    fr_space_of_row(&space, t, codes, row, s->q, s->vector, s->rotated);
    fr_space_distances(&space, ids, count, distances);
    for (uint32_t i = 0; i < count; i++) s->pool[i] = (fr_candidate){distances[i], ids[i]};
    fr_sort_candidates(s->pool, count);
    for (uint32_t i = 0; i < count; i++) {
        fr_candidate next = s->pool[i];
        bool twice = false;
        for (uint32_t j = n; j > 0 && s->pool[j - 1].distance >= next.distance; j--) twice |= s->pool[j - 1].row == next.row;
        if (!twice) s->pool[n++] = next;
    }
    return n;
}

static void link_one(fr_table *t, fr_scratch *s, const fr_codeset *codes, fr_bulk *b, uint32_t at_order)
{
    uint32_t place = b->order[at_order], row = b->members[place], chosen[FR_LANES_MAX], adopted = FR_ROW_NONE;
    fr_row *r = fr_row_at(t, row);
    b->row_at[at_order] = row;
    uint32_t held = codes->kind != FR_CODE_NONE ? b->near_count[place] & ~FR_NEAR_ROWS : 0, size = 0, count = 0;
    for (uint32_t max = FR_NEAR_MAX;; max = FR_WIDE_MAX) {
        if (held != 0) size = candidates_of(t, s, codes, b, place, max);
        count = fr_select(t, s, codes, FR_ROW_NONE, s->pool, size, fr_bulk_links_max(t), chosen);
        if (held <= max || count >= FEW_LINKS) break;
    }
    for (uint32_t i = 0; i < count; i++) /* for back_later: an exchange waits for its line, one after the other */
        if (chosen[i] < b->row_limit) __builtin_prefetch(&b->back_head[chosen[i]], 1);
    fr_candidate candidates[FR_WIDE_MAX];
    memcpy(candidates, s->pool, size * sizeof *candidates);
    fr_spin_lock(fr_row_lock(t, row));
    if (count != 0) fr_store_lanes(t, row, chosen, count);
    fr_spin_unlock(fr_row_lock(t, row));
    for (uint32_t i = 0; i < count && adopted == FR_ROW_NONE; i++)
        if (fr_tree_adopt(t, s, codes, chosen[i], row)) adopted = chosen[i];
    for (uint32_t i = 0; i < size && adopted == FR_ROW_NONE; i++)
        if (fr_tree_adopt(t, s, codes, candidates[i].row, row)) adopted = candidates[i].row;
    if (adopted == FR_ROW_NONE) { /* nobody near is linked yet: a walk finds who is */
        fr_link_row(t, s, row);
        if (count != 0) store_chosen(t, row, chosen, count);
    }
    for (uint32_t i = 0; i < count; i++)
        if (chosen[i] != adopted) back_later(b, at_order, i, chosen[i]);
    atomic_fetch_add_explicit(&t->linked_ever, 1, memory_order_relaxed);
    atomic_store_explicit(&r->linked, FR_LINKED, memory_order_release);
    fr_mark(t, FR_CHUNK_ROWS_OF, row);
}

/* The candidates of a row that comes soon, and whose they are; its own lanes, and those of the nearest, which is likely to adopt it. */
static void send_for(const fr_table *t, const fr_codeset *codes, fr_bulk *b, const uint32_t *places, uint32_t i, uint32_t count)
{
    if (i + 2 < count) {
        fr_near_touch(b, places[i + 2]);
        __builtin_prefetch(fr_row_at(t, b->members[places[i + 2]]));
        fr_space_touch(codes, b->members[places[i + 2]]);
    }
    if (i + 1 >= count) return;
    uint32_t rows[FR_NEAR_MAX], held = fr_bulk_candidates(b, places[i + 1], FR_NEAREST, FR_NEAR_MAX, rows);
    fr_links_prefetch(t, b->members[places[i + 1]]);
    if (held != 0) fr_links_prefetch(t, rows[0]);
    for (uint32_t n = 0; n < held; n++) {
        __builtin_prefetch(fr_row_at(t, rows[n]));
        fr_space_touch(codes, rows[n]);
    }
}

void fr_bulk_link(fr_table *t, fr_scratch *s, fr_bulk *b, uint32_t piece)
{
    const fr_codeset *codes = fr_codes_of(t);
    const uint32_t *places;
    uint32_t count = piece_of(b, piece, &places);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = b->members[places[i]];
        send_for(t, codes, b, places, i, count);
        if (fr_row_alive(fr_row_at(t, row))) {
            link_one(t, s, codes, b, piece * FR_PIECE_ROWS + i);
        } else {
            atomic_store_explicit(&fr_row_at(t, row)->linked, FR_SKIPPED, memory_order_release);
            fr_mark(t, FR_CHUNK_ROWS_OF, row);
        }
    }
}

/* ==== links back ==== */

/* Adds links to a row: appended while there is room, else all are weighed once. Under the row's lock. */
static void add_lanes(fr_table *t, fr_scratch *s, const fr_codeset *codes, uint32_t row, const uint32_t *more, uint32_t more_count)
{
    uint32_t ids[FR_LANES_MAX + BACK_MAX], chosen[FR_LANES_MAX], held = fr_row_lanes(t, row, ids), count = held;
    _Atomic uint32_t *lanes = fr_links_at(t, row);
    for (uint32_t i = 0; i < more_count; i++) {
        uint32_t there = more[i] == row;
        for (uint32_t j = 0; j < count; j++) there |= ids[j] == more[i];
        ids[count] = more[i];
        count += !there;
    }
    if (count == held) return;
    if (count <= t->lanes) {
        for (uint32_t i = held; i < count; i++) atomic_store_explicit(&lanes[i], ids[i] + 1, memory_order_release);
        fr_mark(t, FR_CHUNK_LINKS, row);
        return;
    }
    fr_candidate candidates[FR_LANES_MAX + BACK_MAX];
    float distances[FR_LANES_MAX + BACK_MAX];
    uint32_t known = 0, n = 0;
    for (uint32_t i = 0; i < count; i++) { /* as in fr_add_lane: of rows that are too young only tree links stay */
        if (ids[i] < s->row_limit) ids[known++] = ids[i];
        else if (fr_tree_link(t, row, ids[i])) candidates[n++] = (fr_candidate){-INFINITY, ids[i]};
    }
    fr_space space;
    for (uint32_t i = 0; i < known; i++) fr_space_touch(codes, ids[i]);
    fr_space_of_row(&space, t, codes, row, s->q, s->vector, s->rotated);
    fr_space_distances(&space, ids, known, distances);
    for (uint32_t i = 0; i < known; i++) candidates[n++] = (fr_candidate){distances[i], ids[i]};
    fr_sort_candidates(candidates, n);
    uint32_t kept = fr_select(t, s, codes, row, candidates, n, t->lanes, chosen);
    fr_store_lanes(t, row, chosen, kept);
}

#define BACK_AHEAD 8u /* chains that are followed side by side: each step of one waits for memory */

typedef struct fr_chain {
    uint32_t row, edge, count; /* edge: where it goes on; 0: at its end */
    uint32_t from[BACK_MAX];
} fr_chain;

/* Up to BACK_MAX rows off each chain; their lives are on the way. */
static void unchain(const fr_table *t, const fr_bulk *b, fr_chain *chains, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) chains[i].count = 0;
    for (bool more = true; more;) {
        more = false;
        for (uint32_t i = 0; i < n; i++) {
            fr_chain *c = &chains[i];
            if (c->edge == 0 || c->count == BACK_MAX) continue;
            c->from[c->count++] = b->row_at[(c->edge - 1) / b->edges];
            c->edge = b->back_next[c->edge - 1];
            if (c->edge != 0) __builtin_prefetch(&b->back_next[c->edge - 1]);
            more = true;
        }
    }
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < chains[i].count; j++) __builtin_prefetch(fr_row_at(t, chains[i].from[j]));
}

/* A full list is chosen anew: the codes and headers of its rows and of those that come are on their way while the list before it is chosen.
 * A header lies on two lines as often as not, and the choice reads both ends. */
static void send_for_chain(const fr_table *t, const fr_codeset *codes, const fr_chain *c, uint32_t row_limit)
{
    uint32_t ids[FR_LANES_MAX], held = fr_row_lanes(t, c->row, ids);
    if (held + c->count <= t->lanes) return;
    for (uint32_t i = 0; i < held + c->count; i++) {
        uint32_t row = i < held ? ids[i] : c->from[i - held];
        if (row >= row_limit) continue;
        const char *header = (const char *)fr_row_at(t, row);
        fr_space_touch(codes, row);
        __builtin_prefetch(header);
        __builtin_prefetch(header + sizeof(fr_row) - 1);
    }
}

static void back_to(fr_table *t, fr_scratch *s, const fr_codeset *codes, fr_chain *c)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->count; i++)
        if (c->from[i] != c->row && fr_row_linked(fr_row_at(t, c->from[i]))) c->from[n++] = c->from[i];
    fr_spin_lock(fr_row_lock(t, c->row));
    if (fr_row_linked(fr_row_at(t, c->row)) && n != 0) add_lanes(t, s, codes, c->row, c->from, n);
    fr_spin_unlock(fr_row_lock(t, c->row));
}

void fr_bulk_back(fr_table *t, fr_scratch *s, fr_bulk *b, uint32_t piece)
{
    const fr_codeset *codes = fr_codes_of(t);
    uint32_t from = piece * FR_PIECE_ROWS, to = FR_MIN(from + FR_PIECE_ROWS, atomic_load(&b->target_count));
    fr_chain chains[BACK_AHEAD];
    for (uint32_t at = from; at < to; at += BACK_AHEAD) {
        uint32_t n = FR_MIN(BACK_AHEAD, to - at);
        for (uint32_t i = 0; i < n; i++) {
            uint32_t row = chains[i].row = b->targets[at + i];
            fr_links_prefetch(t, row);
            __builtin_prefetch(fr_row_at(t, row));
            chains[i].edge = atomic_exchange_explicit(&b->back_head[row], 0, memory_order_acq_rel);
        }
        unchain(t, b, chains, n);
        for (uint32_t i = 0; i < n; i++) {
            if (i == 0) send_for_chain(t, codes, &chains[i], s->row_limit);
            if (i + 1 < n) send_for_chain(t, codes, &chains[i + 1], s->row_limit);
            back_to(t, s, codes, &chains[i]);
            while (chains[i].edge != 0) {
                unchain(t, b, &chains[i], 1);
                back_to(t, s, codes, &chains[i]);
            }
        }
    }
}
