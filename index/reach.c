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
#define GROWTH_MAX 3.0f  /* rows on a curve have 2; more is no measure of anything */

/* What rounding to codes adds to a squared distance: to look for factors below it is to look for noise. */
static float blur_of(const fr_space *space)
{
    const fr_codeset *s = space->codes;
    if (s->kind != FR_CODE_SQ8 || s->metric == FR_METRIC_IP) return 0;
    double step = (double)s->scale, turn = space->code_query.a / (2 * step); /* of the query's rounding */
    return (float)((double)s->padded * (step * step + turn * turn) / 12);
}

uint32_t fr_reach_room(uint32_t ef) { return FR_REACH_ROOM * ef; }

bool fr_walk_reach(fr_walk *w, uint32_t k, uint32_t ef)
{
    const fr_router_map *map = atomic_load_explicit(&w->table->routers, memory_order_acquire);
    uint32_t place = FR_MAX(k, FR_REACH_PLACE);
    float growth = map != NULL && map->codes == w->space->codes ? atomic_load_explicit(&map->growth, memory_order_relaxed) : 0;
    if (ef <= place || growth == 0) return false;
    w->ef = fr_reach_room(ef);
    w->place = place - 1;
    w->reach = expm1f(growth * logf((float)ef / (float)place));
    w->blur = blur_of(w->space);
    return true;
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* By what factor each of the nearest of a row is farther than the one at FR_REACH_PLACE; how many, all of POOL or none. */
static uint32_t factors_of(const fr_table *t, fr_scratch *s, uint32_t row, float *out)
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
    float blur = blur_of(&space), base = s->pool[FR_REACH_PLACE - 1].distance + blur;
    if (!(base > 0)) return 0; /* so many equals: they say nothing of the others */
    for (uint32_t i = 0; i < POOL; i++) out[i] = (s->pool[i].distance + blur) / base;
    return POOL;
}

/* log(factor) a log(rank): the factor within which WITHIN rows lie on average, no more than POOL of a sample counted, as a walk's pool is no larger. */
float fr_reach_measure(const fr_table *t, const uint32_t *rows, uint32_t count)
{
    fr_scratch *s;
    if (fr_codes_of(t)->metric == FR_METRIC_IP || (s = fr_scratch_borrow()) == NULL) return 0; /* inner products are no distances */
    float factors[SAMPLES * POOL], growth = 0;
    uint32_t n = 0, want = FR_MIN(SAMPLES, count);
    fr_table_enter(t, s);
    if (fr_scratch_fit(s, t, POOL))
        for (uint32_t i = 0; i < want; i++) {
            uint32_t row = rows[(uint64_t)i * count / want];
            if (row < s->row_limit && fr_row_linked(fr_row_at(t, row))) n += factors_of(t, s, row, factors + n);
        }
    fr_table_leave(t, s);
    fr_scratch_return(s);
    if (n < SAMPLES / 2 * POOL) return 0;
    qsort(factors, n, sizeof *factors, by_value);
    growth = logf(factors[(uint64_t)n * WITHIN / POOL]) / logf((float)WITHIN / (float)FR_REACH_PLACE);
    return growth > 0 && growth <= GROWTH_MAX ? growth : 0;
}
