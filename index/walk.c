/* walk.c: the graph walk: a sorted pool of candidates, the nearest of which that was not expanded yet is next.
 * Source: Malkov and Yashunin, HNSW, algorithm 2, without its upper levels (routers.c); the linear pool and the two-pass loop (collect and prefetch, then
 * distances) as in pyglass and SVS. Lanes are read by acquire loads of whole words: a torn list is a list of valid rows. */
#include "index/table_private.h"

#include <math.h>

uint32_t fr_row_lanes(const fr_table *t, uint32_t row, uint32_t *ids)
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

uint32_t fr_walk_entry(const fr_table *t, const fr_scratch *s, const fr_space *space, float *distance_out)
{
    uint32_t entry = atomic_load_explicit(&t->entry, memory_order_acquire), row = entry - 1;
    if (entry == 0 || row >= s->row_limit) return FR_ROW_NONE;
    fr_space_distances(space, &row, 1, distance_out);
    return row;
}

uint32_t fr_walk_seek(const fr_table *t, fr_scratch *s, const fr_space *space, uint32_t ef)
{
    return fr_routers_seek(t, s, space, FR_MIN(FR_STARTS, ef));
}

uint32_t fr_walk_enter(const fr_table *t, fr_scratch *s, const fr_space *space, uint32_t found, uint64_t *distances)
{
    uint32_t size = fr_routers_keep(t, s, space, found), kept = 0;
    for (uint32_t i = 0; i < size; i++)
        if (fr_visit(s, s->pool[i].row)) s->pool[kept++] = s->pool[i];
    if (kept != 0) return kept;
    float distance;
    uint32_t start = fr_walk_entry(t, s, space, &distance);
    *distances += start != FR_ROW_NONE;
    if (start == FR_ROW_NONE || !fr_visit(s, start)) return 0;
    s->pool[0] = (fr_candidate){distance, start};
    return 1;
}

uint32_t fr_walk_start(const fr_table *t, fr_scratch *s, const fr_space *space, uint32_t ef, uint64_t *distances)
{
    return fr_walk_enter(t, s, space, fr_walk_seek(t, s, space, ef), distances);
}

void fr_walk_begin(fr_walk *w, const fr_table *t, fr_scratch *s, const fr_space *space, uint32_t size, uint32_t ef)
{
    w->table = t, w->scratch = s, w->space = space;
    w->size = size, w->ef = ef;
    w->next = w->count = 0;
    w->place = UINT32_MAX;
    w->reach = w->blur = 0;
    w->keep = 1;
    w->hops = w->distances = 0;
    w->record = false;
    w->merge = fr_simd_pool()->merge;
}

_Static_assert(FR_LANES_MAX <= FR_MERGE_MAX, "a hop's neighbours are merged at once");

/* The lanes of a row, less rows that are younger than this search; the bits of all of them are on their way. */
static uint32_t lanes_read(const fr_table *t, const fr_scratch *s, uint32_t row, uint32_t *ids)
{
    const _Atomic uint32_t *lanes = fr_links_at(t, row);
    uint32_t count = t->lanes, limit = s->row_limit, n = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t id = atomic_load_explicit(&lanes[i], memory_order_acquire);
        if (id == 0) break; /* lanes are filled from the front */
        if (id > limit) continue;
        __builtin_prefetch(&s->visited[(id - 1) >> 6]);
        ids[n++] = id - 1;
    }
    return n;
}

/* Those met for the first time. No branches: whether a row was met cannot be predicted. */
static uint32_t visit_all(fr_scratch *s, const uint32_t *ids, uint32_t count, uint32_t *fresh)
{
    uint64_t *visited = s->visited;
    uint32_t n = 0, touched = s->touched_count;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = ids[i] >> 6;
        uint64_t word = visited[at], bit = 1ull << (ids[i] & 63);
        fresh[n] = ids[i];
        n += (word & bit) == 0;
        s->touched[touched] = at; /* one word more than there are: the last may be written in vain */
        touched += word == 0;
        visited[at] = word | bit;
    }
    s->touched_count = touched;
    return n;
}

/* Who is farther is not expanded; times 1, or times `keep`: does not enter the pool. */
static float bound_of(const fr_walk *w, float times)
{
    if (w->size <= w->place) return INFINITY;
    float kth = w->scratch->pool[w->place].distance, base = kth + w->blur;
    return base < 0 ? INFINITY : kth + times * w->reach * base; /* below 0: an inner product greater than any that was measured */
}

/* The nearest that was not expanded is at `next`: does the walk end here? */
static bool ends(const fr_walk *w, uint32_t next)
{
    return next == w->size || (next > w->place && w->scratch->pool[next].distance > bound_of(w, 1));
}

bool fr_walk_next(fr_walk *w)
{
    const fr_candidate *pool = w->scratch->pool;
    uint32_t next = w->next;
    while (next < w->size && pool[next].row & FR_CHECKED) next++;
    w->next = next;
    if (ends(w, next)) return false;
    fr_links_prefetch(w->table, pool[next].row);
    return true;
}

bool fr_walk_expand(fr_walk *w)
{
    fr_scratch *s = w->scratch;
    fr_candidate *pool = s->pool;
    uint32_t next = w->next, size = w->size;
    while (next < size && pool[next].row & FR_CHECKED) next++;
    w->next = next;
    if (ends(w, next)) return false;
    const fr_table *t = w->table;
    const fr_codeset *codes = w->space->codes;
    uint32_t row = pool[next].row, ids[FR_LANES_MAX];
    pool[next].row |= FR_CHECKED;
    w->hops++;
    if (w->record && s->expanded_count < s->expanded_capacity)
        s->expanded[s->expanded_count++] = (fr_candidate){pool[next].distance, row};
    uint32_t count = lanes_read(t, s, row, ids), n = visit_all(s, ids, count, w->ids);
    bool constant = fr_codeset_constant_read(codes);
    for (uint32_t i = 0; i < n; i++) w->rows[i] = fr_code_touch(codes, w->ids[i], constant);
    w->count = n;
    /* the likeliest next hop: its lanes are read while the distances are computed */
    if (next + 1 < size) fr_links_prefetch(t, pool[next + 1].row & ~FR_CHECKED);
    w->next = next + 1;
    return true;
}

void fr_walk_weigh(fr_walk *w)
{
    const fr_codeset *codes = w->space->codes;
    fr_candidate *pool = w->scratch->pool;
    uint32_t n = w->count, size = w->size, ef = w->ef, next = w->next;
    float found[FR_LANES_MAX];
    if (codes->kind != FR_CODE_NONE) fr_codeset_distances(codes, &w->space->code_query, w->ids, w->rows, n, found);
    else fr_space_distances(w->space, w->ids, n, found);
    w->distances += n;
    uint32_t first;
    w->size = w->merge(pool, size, ef, bound_of(w, w->keep), found, w->ids, n, &first);
    if (first < next) {
        next = first;
        fr_links_prefetch(w->table, pool[first].row);
    }
    w->next = next;
    w->count = 0;
}

uint32_t fr_walk_end(fr_walk *w, uint64_t *hops, uint64_t *distances)
{
    fr_candidate *pool = w->scratch->pool;
    for (uint32_t i = 0; i < w->size; i++) pool[i].row &= ~FR_CHECKED;
    *hops += w->hops;
    *distances += w->distances;
    return w->size;
}

uint32_t fr_walk_whole(const fr_table *t, fr_scratch *s, const fr_space *space, uint32_t size, uint32_t ef, bool record,
                       uint64_t *hops, uint64_t *distances)
{
    fr_walk w;
    fr_walk_begin(&w, t, s, space, size, ef);
    w.record = record;
    while (fr_walk_expand(&w)) fr_walk_weigh(&w);
    return fr_walk_end(&w, hops, distances);
}
