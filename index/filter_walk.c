/* filter_walk.c: the walk among the rows that pass a filter. The pool holds only such rows; rows that fail are gone
 * through, once each, to the ones behind them, so that the walk's graph is the rows that pass, joined over one bridge.
 * It begins at the nearest routers that pass, at the end of the descent, and at a few matches from all over the table: a
 * filter that leaves out the query's whole neighbourhood needs those.
 * Source: ACORN (Patel and others 2024), two hops; RACORN (2026), failing rows kept as bridges. */
#include "index/search_private.h"

#define SEED_MATCHES 48u
#define SEED_ROUTERS 512u /* so many are asked whether they pass */
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

#define AT_ONCE 2u /* candidates of a step: the misses of one are under way while the other's lanes are looked at */
#define BATCH (2 * AT_ONCE * FR_LANES_MAX)

typedef struct batch {
    uint32_t ids[BATCH + 1]; /* one more: it may be written in vain */
    const uint8_t *rows[BATCH];
    uint32_t count;
} batch;

static inline uint32_t bit_of(const uint64_t *bits, uint32_t row) { return (uint32_t)(bits[row >> 6] >> (row & 63)) & 1; }

static void add(fr_run *run, batch *b, uint32_t row)
{
    if (b->count == BATCH || bit_of(run->s->visited, row) || !(run->certain || fr_run_passes(run, row)) || !fr_visit(run->s, row)) return;
    b->rows[b->count] = fr_space_touch(run->space.codes, row);
    b->ids[b->count++] = row;
}

/* Of rows that match those met for the first time. Without branches: which they are is a matter of chance. */
static void add_all(fr_run *run, batch *b, const uint32_t *ids, uint32_t count)
{
    fr_scratch *s = run->s;
    if (!run->certain) {
        for (uint32_t i = 0; i < count; i++) add(run, b, ids[i]);
        return;
    }
    uint32_t n = b->count, touched = s->touched_count;
    count = FR_MIN(count, BATCH - n);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = ids[i] >> 6;
        uint64_t word = s->visited[at], bit = 1ull << (ids[i] & 63);
        b->ids[n] = ids[i];
        n += (word & bit) == 0;
        s->touched[touched] = at; /* one word more than there are: the last may be written in vain */
        touched += word == 0;
        s->visited[at] = word | bit;
    }
    for (uint32_t i = b->count; i < n; i++) b->rows[i] = fr_space_touch(run->space.codes, b->ids[i]);
    b->count = n;
    s->touched_count = touched;
}

/* A row's lanes, rows that are younger than the search as well. */
static uint32_t lanes_of(const fr_run *run, uint32_t row, uint32_t *ids)
{
    const _Atomic uint32_t *lanes = fr_links_at(run->t, row);
    uint32_t count = 0;
    for (uint32_t id; count < run->t->lanes && (id = atomic_load_explicit(&lanes[count], memory_order_acquire)) != 0; count++) ids[count] = id - 1;
    return count;
}

/* The passing rows next to each of `from`, and next to the failing ones next to it, until there are as many as a row has lanes; the ones
 * that were measured before count. */
static void gather(fr_run *run, const uint32_t *from, uint32_t count, batch *b)
{
    const fr_table *t = run->t;
    fr_scratch *s = run->s;
    uint32_t ids[FR_LANES_MAX], found[FR_LANES_MAX + 16], failing[AT_ONCE * FR_LANES_MAX + 1] = {0}, start[AT_ONCE + 1] = {0}, seen[AT_ONCE], bridges = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t all = lanes_of(run, from[i], ids), at = 0;
        seen[i] = fr_simd_sift(s->match, s->row_limit, ids, all, found);
        for (uint32_t j = 0; j < all; j++) { /* what is left over and was not gone through */
            uint32_t match = at < seen[i] && found[at] == ids[j];
            at += match;
            if (ids[j] >= s->row_limit) continue; /* younger than the search */
            failing[bridges] = ids[j];
            bridges += (match | bit_of(s->opened, ids[j])) ^ 1;
        }
        add_all(run, b, found, seen[i]);
        start[i + 1] = bridges;
        for (uint32_t j = start[i]; j < bridges && j < start[i] + run->bridges && seen[i] < t->lanes; j++) fr_links_prefetch(t, failing[j]);
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t ahead = FR_MIN(start[i] + run->bridges, start[i + 1]);
        for (uint32_t j = start[i]; j < start[i + 1] && seen[i] < t->lanes; j++) {
            if (ahead < start[i + 1] && j + 2 >= ahead) fr_links_prefetch(t, failing[ahead++]);
            if (bit_of(s->opened, failing[j])) continue; /* by the candidate before */
            open_row(s, failing[j]);
            uint32_t n = fr_simd_sift(s->match, s->row_limit, ids, lanes_of(run, failing[j], ids), found);
            seen[i] += n;
            add_all(run, b, found, n);
        }
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
    float found[BATCH];
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

/* The nearest rows, whether they pass or not: what a walk of all rows would begin with. */
static uint32_t nearest_rows(const fr_run *run, uint32_t rows[FR_STARTS])
{
    float distance;
    uint32_t count = fr_routers_nearest(run->t, run->s, &run->space, FR_STARTS);
    for (uint32_t i = 0; i < count; i++) rows[i] = run->s->pool[i].row;
    if (count != 0) return count;
    rows[0] = fr_walk_entry(run->t, run->s, &run->space, &distance);
    return rows[0] != FR_ROW_NONE;
}

static uint32_t start(fr_run *run)
{
    batch b;
    b.count = 0;
    uint32_t size = 0, limit = run->s->row_limit, nearest[FR_STARTS] = {0}, near_count = nearest_rows(run, nearest);
    const fr_router_map *map = atomic_load_explicit(&run->t->routers, memory_order_acquire);
    uint32_t routers = map != NULL ? map->count : 0, asked = FR_MIN(routers, SEED_ROUTERS);
    for (uint32_t i = 0; i < asked; i++) {
        uint32_t row = map->rows[(uint64_t)i * routers / asked];
        if (row >= limit || !fr_run_matches(run, row)) continue;
        add(run, &b, row);
        if (b.count == BATCH) seed(run, &b, &size);
    }
    for (uint32_t i = 0; i < SEED_MATCHES; i++) {
        if (b.count == BATCH) seed(run, &b, &size);
        seed_match(run, &b, fr_mix64(i + run->match_count));
    }
    if (b.count != 0) seed(run, &b, &size);
    for (uint32_t i = 0; i < near_count; i++) {
        if (fr_run_matches(run, nearest[i])) add(run, &b, nearest[i]);
        gather(run, &nearest[i], 1, &b);
        if (b.count != 0) seed(run, &b, &size);
    }
    return size;
}

bool fr_run_walk_filtered(fr_run *run, uint32_t *size_out)
{
    fr_scratch *s = run->s;
    fr_candidate *pool = s->pool;
    uint64_t budget = run->info->distances + run->match_count;
    uint32_t size = start(run), next = 0, ef = run->ef;
    float found[BATCH];
    batch b; /* large: not cleared */
    while (run->info->distances < budget) {
        uint32_t from[AT_ONCE], count = 0;
        for (; next < size && count < AT_ONCE; next++) {
            if (pool[next].row & FR_CHECKED) continue;
            from[count++] = pool[next].row;
            pool[next].row |= FR_CHECKED;
        }
        if (count == 0) break;
        run->info->visited += count;
        b.count = 0;
        gather(run, from, count, &b);
        for (uint32_t i = next; i < size && i < next + AT_ONCE; i++) fr_links_prefetch(run->t, pool[i].row & ~FR_CHECKED);
        measure(run, &b, found);
        for (uint32_t i = 0; i < b.count; i++) {
            if (size == ef && found[i] >= pool[size - 1].distance) continue;
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
