/* flight.c: several queries under way on one thread. A walk waits for memory most of its time: while one waits, the others compute. */
#include "index/search_private.h"

typedef struct fr_flight {
    const fr_table *t;
    const fr_table_query *queries;
    uint32_t count, started;
    fr_row_hit *hits;
    uint32_t *counts;
} fr_flight;

/* The next step of a lane. What it reads was sent for in the one before it, while the other lanes worked. */
typedef enum fr_lane_step { FR_LANE_BEGIN, FR_LANE_EXPAND, FR_LANE_WEIGH, FR_LANE_END } fr_lane_step;

typedef struct fr_lane {
    fr_run run;
    fr_search_info info;
    uint32_t at; /* its query; flight->count: none */
    fr_lane_step step;
} fr_lane;

/* A query flies when its plan is the plain walk. */
static fr_code start(fr_run *run, bool *flies_out, fr_err *err)
{
    const fr_table_query *q = run->query;
    *flies_out = false;
    if (fr_table_is_sparse(&run->t->options) || q->filter != NULL || q->exact || q->plan != FR_PLAN_ANY || q->has_low || q->has_high) return FR_OK;
    FR_TRY(fr_run_fit(run, FR_MAX(q->ef != 0 ? q->ef : FR_EF_DEFAULT, q->k), err));
    if (run->s->row_limit == 0 || fr_run_scan_is_cheaper(run)) return FR_OK;
    fr_run_walk_seek(run);
    *flies_out = true;
    return FR_OK;
}

/* What did not fly, or did not find k, is answered the usual way. */
static fr_code land(const fr_flight *f, fr_lane *lane, bool flew, fr_err *err)
{
    fr_run *run = &lane->run;
    fr_row_hit *hits = f->hits + (size_t)lane->at * run->query->k;
    if (flew) fr_run_walk_end(run);
    if (!flew || run->failed || run->found < run->query->k)
        return fr_table_search(f->t, run->s, run->query, hits, &f->counts[lane->at], NULL, err);
    memcpy(hits, run->s->found, run->found * sizeof *hits);
    f->counts[lane->at] = run->found;
    return FR_OK;
}

/* The next query that flies. */
static fr_code board(fr_flight *f, fr_lane *lane, fr_err *err)
{
    fr_scratch *s = lane->run.s;
    while (f->started < f->count) {
        bool flies;
        lane->at = f->started++;
        lane->info = (fr_search_info){0};
        lane->run = (fr_run){.t = f->t, .s = s, .query = &f->queries[lane->at], .info = &lane->info};
        FR_TRY(start(&lane->run, &flies, err));
        lane->step = FR_LANE_BEGIN;
        if (flies) return FR_OK;
        FR_TRY(land(f, lane, false, err));
    }
    lane->at = f->count;
    return FR_OK;
}

/* There is a row to expand, or the walk ends. */
static void look_ahead(fr_lane *lane)
{
    if (fr_walk_next(&lane->run.walk)) {
        lane->step = FR_LANE_EXPAND;
        return;
    }
    fr_run_walk_foresee(&lane->run);
    lane->step = FR_LANE_END;
}

static fr_code step(fr_flight *f, fr_lane *lane, fr_err *err)
{
    switch (lane->step) {
    case FR_LANE_BEGIN:
        fr_run_walk_begin(&lane->run);
        look_ahead(lane);
        return FR_OK;
    case FR_LANE_EXPAND:
        fr_walk_expand(&lane->run.walk);
        lane->step = FR_LANE_WEIGH;
        return FR_OK;
    case FR_LANE_WEIGH:
        fr_walk_weigh(&lane->run.walk);
        look_ahead(lane);
        return FR_OK;
    default:
        FR_TRY(land(f, lane, true, err));
        return board(f, lane, err);
    }
}

fr_code fr_table_search_many(const fr_table *t, fr_scratch *const *scratches, uint32_t lane_count, const fr_table_query *queries,
                             uint32_t count, fr_row_hit *hits, uint32_t *counts_out, fr_err *err)
{
    fr_lane lanes[FR_FLIGHT_MAX];
    fr_flight flight = {.t = t, .queries = queries, .count = count, .hits = hits, .counts = counts_out};
    uint32_t busy = 0;
    FR_ASSERT(lane_count >= 1 && lane_count <= FR_FLIGHT_MAX);
    for (uint32_t i = 0; i < lane_count; i++) {
        lanes[i].run.s = scratches[i];
        FR_TRY(board(&flight, &lanes[i], err));
        busy += lanes[i].at != count;
    }
    for (uint32_t i = 0; busy != 0; i = i + 1 == lane_count ? 0 : i + 1) {
        fr_lane *lane = &lanes[i];
        if (lane->at == count) continue;
        FR_TRY(step(&flight, lane, err));
        busy -= lane->at == count;
    }
    return FR_OK;
}
