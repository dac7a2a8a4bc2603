/* filter_walk.c: the walk of level 0 among the rows that pass a filter. The pool holds only such rows; rows that fail are gone
 * through, once each, to the ones behind them, so that the walk's graph is the rows that pass, joined over one bridge.
 * It begins at the nearest routers that pass, at the end of the descent, and at a few matches from all over the table: a
 * filter that leaves out the query's whole neighbourhood needs those.
 * Source: ACORN (Patel and others 2024), two hops; RACORN (2026), failing rows kept as bridges. */
#include "index/search_private.h"

#define SEED_MATCHES 24u
#define SEED_STARTS 12u /* of all seeds, the nearest so many */
#define SEED_WORDS 64u  /* of s->match that are looked through for one of them */

static void open_row(fr_scratch *s, uint32_t row)
{
    uint64_t *word = &s->opened[row >> 6];
    if (*word == 0) s->opened_at[s->opened_count++] = row >> 6;
    *word |= 1ull << (row & 63);
}

static void forget_opened(fr_scratch *s)
{
    for (uint32_t i = 0; i < s->opened_count; i++) s->opened[s->opened_at[i]] = 0;
    s->opened_count = 0;
}

typedef struct batch {
    uint32_t ids[FR_LANES_MAX];
    const uint8_t *rows[FR_LANES_MAX];
    uint32_t count;
} batch;

static inline uint32_t bit_of(const uint64_t *bits, uint32_t row) { return (uint32_t)(bits[row >> 6] >> (row & 63)) & 1; }

static void add(fr_run *run, batch *b, uint32_t row)
{
    if (b->count == FR_LANES_MAX || bit_of(run->s->visited, row) || !(run->certain || fr_run_passes(run, row)) || !fr_visit(run->s, row)) return;
    b->rows[b->count] = fr_space_touch(run->space.codes, row);
    b->ids[b->count++] = row;
}

/* Of a row's lanes those that match. Without branches: which they are is a matter of chance. */
static uint32_t matching(const fr_run *run, uint32_t row, uint32_t *out)
{
    const fr_scratch *s = run->s;
    const _Atomic uint32_t *lanes = fr_links_at(run->t, row);
    uint32_t limit = s->row_limit, count = 0;
    for (uint32_t i = 0; i < run->t->lanes; i++) {
        uint32_t id = atomic_load_explicit(&lanes[i], memory_order_acquire) - 1; /* an empty one becomes UINT32_MAX */
        if (id >= limit) {
            if (id == UINT32_MAX) break;
            continue;
        }
        out[count] = id;
        count += bit_of(s->match, id);
    }
    return count;
}

/* The passing rows next to `row`, and next to the failing ones next to it, until there are as many as a row has lanes; the ones
 * that were measured before count. */
static void gather(fr_run *run, uint32_t row, batch *b)
{
    const fr_table *t = run->t;
    fr_scratch *s = run->s;
    uint32_t ids[FR_LANES_MAX], found[FR_LANES_MAX], failing[FR_LANES_MAX + 1], bridges = 0, seen = 0, limit = s->row_limit;
    uint32_t count = fr_level0_lanes(t, row, ids);
    for (uint32_t i = 0; i < count; i++) __builtin_prefetch(&s->match[FR_MIN(ids[i], limit - 1) >> 6]);
    for (uint32_t i = 0; i < count; i++) {
        if (ids[i] >= limit) continue;
        if (fr_run_matches(run, ids[i])) {
            seen++;
            add(run, b, ids[i]);
        } else {
            failing[bridges] = ids[i];
            bridges += bit_of(s->opened, ids[i]) ^ 1;
        }
    }
    uint32_t ahead = FR_MIN(bridges, run->bridges);
    for (uint32_t i = 0; i < ahead; i++) fr_links_prefetch(t, failing[i]);
    for (uint32_t i = 0; i < bridges && seen < t->lanes; i++) {
        if (ahead < bridges && i + 2 >= ahead) fr_links_prefetch(t, failing[ahead++]);
        open_row(s, failing[i]);
        uint32_t n = matching(run, failing[i], found);
        seen += n;
        for (uint32_t j = 0; j < n; j++) add(run, b, found[j]);
    }
}

static void measure(fr_run *run, batch *b, float *found)
{
    if (run->space.codes->kind != FR_CODE_NONE) fr_codeset_distances(run->space.codes, &run->space.code_query, b->ids, b->rows, b->count, found);
    else fr_space_distances(&run->space, b->ids, b->count, found);
    run->info->distances += b->count;
}

static void seed(fr_run *run, batch *b, uint32_t *size)
{
    float found[FR_LANES_MAX];
    measure(run, b, found);
    for (uint32_t i = 0; i < b->count; i++) fr_pool_insert(run->s->pool, size, FR_MIN(SEED_STARTS, run->ef), found[i], b->ids[i]);
    b->count = 0;
}

/* A match somewhere: the first at or after a random word. */
static void seed_match(fr_run *run, batch *b, uint64_t random)
{
    uint32_t words = (run->s->row_limit + 63) / 64, at = (uint32_t)(random % words);
    for (uint32_t i = 0; i < SEED_WORDS; i++, at = at + 1 < words ? at + 1 : 0) {
        uint64_t word = run->s->match[at];
        if (word == 0) continue;
        uint32_t row = at * 64 + (uint32_t)__builtin_ctzll(word);
        const fr_row *r = fr_row_at(run->t, row);
        if (fr_row_visible(r, run->query->visible) && atomic_load_explicit(&r->linked, memory_order_acquire) == FR_LINKED) add(run, b, row);
        return;
    }
}

static uint32_t start(fr_run *run)
{
    const fr_table *t = run->t;
    batch b;
    b.count = 0;
    uint32_t size = 0, limit = run->s->row_limit;
    float distance;
    for (uint32_t i = 0; i < FR_ROUTERS; i++) {
        uint32_t row = atomic_load_explicit(&t->routers[i], memory_order_acquire);
        if (row == 0 || row - 1 >= limit || !fr_run_matches(run, row - 1)) continue;
        add(run, &b, row - 1);
        if (b.count == FR_LANES_MAX) seed(run, &b, &size);
    }
    for (uint32_t i = 0; i < SEED_MATCHES; i++) {
        if (b.count == FR_LANES_MAX) seed(run, &b, &size);
        seed_match(run, &b, fr_mix64(i + run->match_count));
    }
    if (b.count != 0) seed(run, &b, &size);
    uint32_t nearest = fr_walk_descend(t, run->s, &run->space, 0, &distance, &run->info->distances);
    if (nearest == FR_ROW_NONE) return size;
    if (fr_run_matches(run, nearest)) add(run, &b, nearest);
    gather(run, nearest, &b);
    if (b.count != 0) seed(run, &b, &size);
    return size;
}

bool fr_run_walk_filtered(fr_run *run, uint32_t *size_out)
{
    fr_scratch *s = run->s;
    fr_candidate *pool = s->pool;
    uint64_t budget = run->info->distances + run->match_count;
    uint32_t size = start(run), next = 0, ef = run->ef;
    float found[FR_LANES_MAX];
    batch b; /* large: not cleared */
    while (next < size && run->info->distances < budget) {
        uint32_t row = pool[next].row;
        if (row & FR_CHECKED) {
            next++;
            continue;
        }
        pool[next].row |= FR_CHECKED;
        run->info->visited++;
        b.count = 0;
        gather(run, row, &b);
        if (next + 1 < size) fr_links_prefetch(run->t, pool[next + 1].row & ~FR_CHECKED);
        measure(run, &b, found);
        next++;
        for (uint32_t i = 0; i < b.count; i++) {
            uint32_t place = fr_pool_insert(pool, &size, ef, found[i], b.ids[i]);
            if (place >= next) continue;
            next = place;
            fr_links_prefetch(run->t, b.ids[i]);
        }
    }
    bool whole = next >= size;
    for (uint32_t i = 0; i < size; i++) pool[i].row &= ~FR_CHECKED;
    forget_opened(s);
    *size_out = size;
    return whole;
}
