/* reach.c: how far a walk looks. It ends when the nearest candidate that was not expanded lies a factor beyond the k-th found so far, not when
 * ef candidates are nearer: a query among many near rows keeps more of them, one that stands apart with its k keeps fewer, and the same recall
 * takes fewer distances. The rule: adaptive beam search (Al-Jazzazi and others, arXiv 2505.15636). What is ours: the factor comes of ef and of how
 * distances grow with rank, which the table measures on some of its rows; so an ef means about as much work as ever. */
#include "index/routers.h"
#include "index/table_private.h"

#include <math.h>
#include <stdlib.h>

#define SAMPLES    96u
#define POOL       96u
#define WITHIN     40u   /* rows within the factor that is measured, on average */
#define LONGEST_MAX 4.0f /* of the mean length */
#define GROWTH_MAX 3.0f  /* rows on a curve have 2; more is no measure of anything */

/* Added to distances before they are compared by factors. What rounding to codes adds to a squared distance: to look for factors below it is
 * to look for noise. Of inner products |q| M, M the longest row: |q| M - q x is half a squared distance where all rows are of one length (others
 * seen as completed to M by one dimension more), of a query brought to that length, which changes no order. */
static float blur_of(const fr_space *space, float longest)
{
    const fr_codeset *s = space->codes;
    if (s->metric == FR_METRIC_IP) return (float)space->code_query.length * longest;
    if (s->kind != FR_CODE_SQ8) return 0;
    double step = (double)s->scale, turn = space->code_query.a / (2 * step); /* of the query's rounding */
    return (float)((double)s->padded * (step * step + turn * turn) / 12);
}

uint32_t fr_reach_room(uint32_t ef) { return ef + ef / FR_REACH_MORE; }

static float growth_known(const fr_router_map *map, const fr_codeset *codes)
{
    return map != NULL && map->codes == codes ? atomic_load_explicit(&map->growth, memory_order_acquire) : 0;
}

bool fr_reach_known(const fr_table *t, const fr_space *space)
{
    return growth_known(atomic_load_explicit(&t->routers, memory_order_acquire), space->codes) > 0;
}

bool fr_walk_reach(fr_walk *w, uint32_t place, uint32_t ef)
{
    const fr_router_map *map = atomic_load_explicit(&w->table->routers, memory_order_acquire);
    float growth = growth_known(map, w->space->codes);
    place = FR_MAX(place, FR_REACH_PLACE);
    if (ef <= place || growth == 0) return false;
    w->ef = fr_reach_room(ef);
    w->place = place - 1;
    w->reach = expm1f(growth * logf((float)ef / (float)place));
    w->blur = blur_of(w->space, atomic_load_explicit(&map->longest, memory_order_relaxed));
    return true;
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* By what factor each of the nearest of a row is farther than the one at FR_REACH_PLACE; how many, all of POOL or none. */
static uint32_t factors_of(const fr_table *t, fr_scratch *s, uint32_t row, float longest, float *out)
{
    fr_space space;
    uint64_t hops = 0, distances = 0;
    fr_space_of_row(&space, t, fr_codes_of(t), row, s->q, s->vector, s->rotated);
    fr_visited_clear(s);
    fr_visit(s, row); /* as if it were not there */
    uint32_t size = fr_walk_start(t, s, &space, POOL, &distances);
    size = fr_walk_whole(t, s, &space, size, POOL, false, &hops, &distances);
    fr_visited_clear(s);
    if (size < POOL) return 0;
    float blur = blur_of(&space, longest), base = s->pool[FR_REACH_PLACE - 1].distance + blur;
    if (!(base > 0)) return 0; /* so many equals: they say nothing of the others */
    for (uint32_t i = 0; i < POOL; i++) out[i] = (s->pool[i].distance + blur) / base;
    return POOL;
}

static bool usable(const fr_table *t, const fr_scratch *s, uint32_t row) { return row < s->row_limit && fr_row_linked(fr_row_at(t, row)); }

/* 0: some are much longer than most; then it is them that all queries find, and factors gain nothing (lengths of lognormal sigma 1: 1.5 x the time). */
static float longest_of(const fr_table *t, fr_scratch *s, const uint32_t *rows, uint32_t count)
{
    float longest = 0, sum = 0;
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; i++) {
        fr_space space;
        if (!usable(t, s, rows[i])) continue;
        fr_space_of_row(&space, t, fr_codes_of(t), rows[i], s->q, s->vector, s->rotated);
        longest = fmaxf(longest, (float)space.code_query.length);
        sum += (float)space.code_query.length, n++;
    }
    return longest * (float)n <= LONGEST_MAX * sum ? longest : 0;
}

/* log(factor) a log(rank): the factor within which WITHIN rows lie on average, no more than POOL of a sample counted, as a walk's pool is no larger. */
static float growth_of(const fr_table *t, fr_scratch *s, const fr_router_map *map, uint32_t count)
{
    float factors[SAMPLES * POOL], longest = atomic_load_explicit(&map->longest, memory_order_relaxed);
    uint32_t n = 0, want = FR_MIN(SAMPLES, count);
    for (uint32_t i = 0; i < want; i++) {
        uint32_t row = map->rows[(uint64_t)i * count / want];
        if (usable(t, s, row)) n += factors_of(t, s, row, longest, factors + n);
    }
    if (n < SAMPLES / 2 * POOL) return 0;
    qsort(factors, n, sizeof *factors, by_value);
    float growth = logf(factors[(uint64_t)n * WITHIN / POOL]) / logf((float)WITHIN / (float)FR_REACH_PLACE);
    return growth > 0 && growth <= GROWTH_MAX ? growth : 0;
}

void fr_reach_measure(const fr_table *t, fr_router_map *map, uint32_t count)
{
    bool ip = fr_codes_of(t)->metric == FR_METRIC_IP;
    fr_scratch *s;
    if ((ip && fr_codes_of(t)->kind != FR_CODE_SQ8) || (s = fr_scratch_borrow()) == NULL) return; /* of whole numbers lengths are not at hand */
    float growth = 0;
    fr_table_enter(t, s);
    if (fr_scratch_fit(s, t, POOL)) {
        float longest = ip ? longest_of(t, s, map->rows, count) : 0;
        atomic_store_explicit(&map->longest, longest, memory_order_relaxed);
        if (!ip || longest > 0) growth = growth_of(t, s, map, count);
    }
    fr_table_leave(t, s);
    fr_scratch_return(s);
    atomic_store_explicit(&map->growth, growth, memory_order_release);
}

void fr_reach_keep(fr_router_map *map, const fr_router_map *old)
{
    map->measured_then = old->measured_then;
    atomic_store_explicit(&map->longest, atomic_load_explicit(&old->longest, memory_order_relaxed), memory_order_relaxed);
    atomic_store_explicit(&map->growth, atomic_load_explicit(&old->growth, memory_order_relaxed), memory_order_relaxed);
}
