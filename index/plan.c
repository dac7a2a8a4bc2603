/* plan.c: which way a query goes. Without a filter: a scan of small tables, else the graph. With one, by the number of rows
 * that pass, which columns count (sieve.c) and documents are sampled for:
 *   many pass        the walk of all rows, results filtered, as deep as the k-th that passes
 *   fewer            the walk among the rows that pass (filter_walk.c)
 *   few              the rows that pass are scanned
 * Whatever was estimated: when fewer than k were found, all rows that pass are looked at. */
#include "index/routers.h"
#include "index/search_private.h"

#include <math.h>

#define SAMPLE_ROWS 256u
#define SAMPLE_FEW 128u /* for a walk that finds out by itself how deep it must go */
#define SIEVE_SAMPLE_ROWS 512u
#define SAMPLE_AHEAD 16u
#define SHARE_SPARSE 0.06
#define SHARE_POST 0.45 /* from this share on the walk goes over all rows */

/* Microseconds, measured on one core of 2026 (bench/README.md); only their ratios matter. */
#define COST_ROW 0.0105        /* a scattered row of a scan, where others are on their way beside it */
#define COST_WORD 0.001        /* 64 rows of which hardly one passes */
#define COST_JUDGE 0.00009     /* a row's code in a column, when all rows are judged in turn */
#define COST_TEST 0.00015      /* an entry of a cell */
#define COST_CELLS 8.0         /* the distances to all pivots, and their order */
#define COST_CODE_BYTE 0.00003 /* of it */
#define COST_SKETCH 0.0015       /* the bits of an entry of 128 dimensions */
#define COST_SURVIVORS 12.0      /* of those that the bits leave over */
#define COST_DOCUMENT 0.4
#define DOCUMENTS 30.0           /* of those that codes leave open so many are asked, the nearest and a sample */
#define COST_HOP 2.2           /* an expansion of the walk among passing rows */
#define COST_DEEP 0.28         /* a candidate of the walk of all rows, */
#define COST_DEEP_BYTE 0.0005  /* and for each byte of a code */
#define COST_PLACE 0.35        /* a row as near as the k-th that passes: it is expanded, however many lie behind it, and asked whether it passes */
#define COST_SCAN_FINE 60.0    /* a scan that is no dearer is taken: it is exact */
#define EF_AMONG_MIN 48u       /* the walk among passing rows is not made narrower than this */

static uint32_t rerank_of(const fr_table_query *q, uint32_t ef) { return FR_MAX(FR_MAX(2 * q->k, 32u), ef / 4); }

/* Room for a wider pool, in the middle of a query. */
static fr_code widen(fr_run *run, uint32_t ef, fr_err *err)
{
    uint32_t limit = run->s->row_limit;
    if (!fr_scratch_fit(run->s, run->t, FR_MAX(fr_reach_room(ef), run->rerank))) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory to search");
    run->s->row_limit = limit; /* later rows are not visible, and s->match does not cover them */
    return FR_OK;
}

fr_code fr_run_fit(fr_run *run, uint32_t ef, fr_err *err)
{
    uint32_t limit = run->s->row_limit;
    bool again = run->again = run->ef != 0;
    run->ef = ef;
    run->rerank = rerank_of(run->query, ef);
    if (!fr_scratch_fit(run->s, run->t, FR_MAX(FR_MAX(fr_reach_room(ef), run->rerank), run->query->k)) ||
        (run->query->filter != NULL && !again && !fr_scratch_fit_filter(run->s)))
        return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory to search");
    if (again) run->s->row_limit = limit; /* later rows are not visible, and s->match does not cover them */
    const fr_codeset *codes = fr_codes_of(run->t);
    fr_space_of_vector(&run->space, run->t, codes, run->query->vector, run->s->q, run->s->rotated);
    return FR_OK;
}

/* ==== how many rows pass? ==== */

/* The share of visible rows that pass the filter, from a sample. */
static double sample_filter(fr_run *run, uint32_t want)
{
    uint32_t rows = run->s->row_limit, seen = 0, passed = 0;
    for (uint32_t i = 0; i < want * 2 && seen < want; i++) {
        uint32_t row = (uint32_t)(fr_mix64(i + 1) % rows);
        if (i % SAMPLE_AHEAD == 0) { /* misses are waited for together */
            for (uint32_t j = i + 1; j <= i + SAMPLE_AHEAD; j++) fr_run_send_for(run, (uint32_t)(fr_mix64(j) % rows));
            for (uint32_t j = i + 1; j <= i + SAMPLE_AHEAD; j++) fr_run_send_for_document(run, (uint32_t)(fr_mix64(j) % rows));
        }
        if (!fr_row_visible(fr_row_at(run->t, row), run->query->visible)) continue;
        seen++;
        passed += fr_run_passes(run, row);
    }
    return seen == 0 ? 0 : (double)passed / seen;
}

/* The sieve's verdict on every row. */
static void match_all(fr_run *run)
{
    fr_kept_match(run->verdicts, run->t, run->s, run->s->sieve);
    run->s->match = run->verdicts->match;
    run->match_count = run->verdicts->count;
    run->matched = true;
    run->info->matches = run->match_count;
    run->info->matches_exact = run->certain = fr_sieve_certain(run->s->sieve);
}

/* Sieves the filter and says how many rows pass it. */
static fr_code count_matches(fr_run *run, fr_cell_view *view, double *matches_out, fr_err *err)
{
    fr_search_info *info = run->info;
    uint64_t live = atomic_load_explicit(&run->t->live, memory_order_relaxed), least, most;
    fr_columns *columns = (fr_columns *)(uintptr_t)&run->t->columns; /* what searchers may change of it is atomic */
    run->sieved = fr_sieve_make(run->s->sieve, columns, run->query->filter, true);
    info->columns = run->s->sieve->leaf_count;
    if (!run->sieved) {
        *matches_out = sample_filter(run, fr_reach_known(run->t, &run->space) ? SAMPLE_FEW : SAMPLE_ROWS) * (double)live;
        return FR_OK;
    }
    run->verdicts = fr_kept_of(run->s, run->t, run->s->sieve);
    if (run->verdicts == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a filter");
    bool viewed = fr_run_look_at_cells(run, view);
    fr_sieve_count(run->s->sieve, live, &least, &most);
    info->matches_exact = least == most;
    double counted = (double)(least + most) / 2;
    if (most - least > live / 256 && (viewed || (double)most >= 0.02 * (double)live)) {
        if (run->verdicts->judged && fr_sieve_certain(run->s->sieve)) counted = (double)run->verdicts->count; /* the bits count MAYBE, too */
        else counted = viewed ? fr_run_estimate(run, view) : sample_filter(run, SIEVE_SAMPLE_ROWS) * (double)live;
    }
    *matches_out = fmin((double)most, fmax((double)least, counted));
    return FR_OK;
}

/* ==== the plans ==== */

static void scan_all(fr_run *run)
{
    if (run->query->has_low || run->query->has_high) fr_run_scan_originals(run); /* a range asks for all, not for the nearest codes */
    else if (run->matched) fr_run_scan_matches(run);
    else fr_run_scan_codes(run);
}

/* Fewer than k: dead rows, a filter or a range in the way. Look wider, then at everything. */
static fr_code look_further(fr_run *run, uint32_t ef, fr_err *err)
{
    const fr_table_query *q = run->query;
    for (uint32_t wider = run->ef * 4; wider <= 4096 && run->found < q->k && !run->beyond && !run->matched; wider *= 4) {
        FR_TRY(fr_run_fit(run, wider, err));
        fr_run_walk(run, false);
    }
    if (run->found == q->k) return FR_OK;
    if (run->beyond && !q->has_low) return FR_OK;
    uint64_t live = atomic_load_explicit(&run->t->live, memory_order_relaxed), bare = atomic_load_explicit(&run->t->bare, memory_order_relaxed);
    if (run->found + bare >= live) return FR_OK;
    run->info->plan = !run->matched ? "graph, then scan" : run->in_cells ? "filtered cells, then scan" : "filtered graph, then scan";
    run->found = 0;
    FR_TRY(fr_run_fit(run, ef, err));
    scan_all(run);
    return FR_OK;
}

static fr_code run_graph(fr_run *run, uint32_t ef, uint32_t wide, fr_err *err)
{
    if (wide != ef) FR_TRY(fr_run_fit(run, FR_MIN(wide, FR_EF_MAX), err));
    run->info->plan = "graph";
    fr_run_walk(run, false);
    return run->found == run->query->k ? FR_OK : look_further(run, ef, err);
}

/* ==== the walk of all rows, as deep as the k-th that passes ==== */

#define DEEP_POWER 0.2  /* the k-th of wider results is found with less beyond it: recall 0.96 to 0.99 from 50 % to 10 % (FILTERS.md) */
#define DEEP_MORE 1.3   /* of the place, at least */
#define DEEP_MAX 4096u  /* places; beyond, all rows are scanned */
#define DEEPER 8u       /* times the place that was expected: there is room for it, where a filter is opposed to the query */

uint32_t fr_ef_deep(const fr_run *run, uint32_t place)
{
    double deeper = fmax((double)place / FR_MAX(run->query->k, FR_REACH_PLACE), 1);
    return (uint32_t)fmin(fmax(run->asked * pow(deeper, DEEP_POWER), DEEP_MORE * place), FR_EF_MAX);
}

static uint32_t place_of(const fr_run *run, double share) { return (uint32_t)fmin(ceil(run->query->k / fmax(share, 1e-6)), FR_EF_MAX); }

/* Microseconds. INFINITY: the table has not measured how its distances grow. */
static double cost_deep(const fr_run *run, double share)
{
    uint32_t place = place_of(run, share), padded = run->space.codes->padded;
    if (!fr_reach_known(run->t, &run->space) || place == FR_EF_MAX) return INFINITY;
    double documents = run->sieved && fr_sieve_certain(run->s->sieve) ? 0 : DOCUMENTS * COST_DOCUMENT;
    return fr_ef_deep(run, place) * (COST_DEEP + COST_DEEP_BYTE * padded) + place * COST_PLACE + documents;
}

static fr_code run_deep(fr_run *run, double share, fr_err *err)
{
    uint32_t k = run->query->k;
    run->deferred = false;
    run->place = place_of(run, share);
    FR_TRY(widen(run, fr_ef_deep(run, FR_MIN(DEEPER * run->place, FR_EF_MAX)), err));
    run->ef = fr_ef_deep(run, run->place);
    run->rerank = k + FR_MAX(4u, (uint32_t)((run->rerank - k) * fmin(2 * share, 1))); /* passing rows lie farther apart: codes leave fewer in doubt */
    return run_graph(run, run->ef, run->ef, err);
}

/* How wide the walk among passing rows must be for the recall of an unfiltered one: it sees up to 2m passing rows a step, more than the
 * graph would have; but where few pass there are fewer ways from row to row. */
static uint32_t ef_among(const fr_run *run, uint32_t ef, double share)
{
    double factor = share < SHARE_SPARSE ? fmin(1 + 0.03 / fmax(share, 1e-3), 4) : fmin(1, 0.8 * pow(0.3 / fmin(share, 0.3), 0.2));
    uint32_t least = FR_MAX(FR_MIN(ef, EF_AMONG_MIN), run->query->k);
    return FR_MIN(FR_MAX((uint32_t)(ef * factor), least), FR_EF_MAX);
}

/* A filter that columns know: look into the cells near the query; or judge all rows, and scan what passes, or walk among it. */
static fr_code run_sieved(fr_run *run, const fr_cell_view *view, uint32_t ef, double share, fr_err *err)
{
    fr_search_info *info = run->info;
    uint32_t plan = run->query->plan, rows = run->s->row_limit, leaves = run->s->sieve->leaf_count, among = ef_among(run, ef, share);
    bool range = run->query->has_low || run->query->has_high;
    uint64_t estimate = run->match_count = info->matches;
    double documents = fr_sieve_certain(run->s->sieve) ? 0 : DOCUMENTS * COST_DOCUMENT, judge = run->verdicts->judged ? 0 : rows * COST_JUDGE * leaves;
    double scan_fine = (double)run->match_count * (COST_ROW + COST_CODE_BYTE * run->space.codes->padded), words = rows * (COST_WORD / 64) + documents;
    double part = fr_cells_part(run->t, share, ef), among_cells = part * rows * COST_TEST * leaves + COST_CELLS, wide = run->space.codes->padded / 128.0;
    double direct = (run->verdicts->cells != 0 ? COST_CELLS : among_cells) + part * scan_fine; /* lists that are kept need no test */
    double sketched = among_cells + COST_SURVIVORS + part * rows * COST_SKETCH * wide;
    if (share * FR_SKETCH_ROWS < FR_SKETCH_LEAST) sketched = INFINITY; /* groups would be passed by */
    double cost_cells = fmin(direct, sketched) + documents;
    info->cost_scan = scan_fine + words + judge;
    info->cost_walk = among * COST_HOP + judge;
    double scan = run->verdicts->uses > 1 ? scan_fine + words : info->cost_scan; /* a filter that comes again is worth its judgement: a scan is exact */
    double deep = range || plan != FR_PLAN_ANY ? INFINITY : cost_deep(run, share);
    bool deep_first = deep < fmin(info->cost_walk, info->cost_scan); /* before what needs all rows judged */
    if (deep_first) info->cost_walk = deep;
    if (deep_first && deep < cost_cells) return run_deep(run, share, err);
    bool cheap = cost_cells < info->cost_walk && cost_cells < 0.7 * info->cost_scan && scan > COST_SCAN_FINE;
    bool in_cells = !range && (plan == FR_PLAN_CELLS || (plan == FR_PLAN_ANY && cheap));
    if (in_cells && fr_run_wish_cells(run, view, plan == FR_PLAN_ANY && sketched < direct)) {
        info->plan = "filtered cells";
        run->in_cells = true;
        fr_run_scan_cells(run, view, part);
        if (run->found == run->query->k) return FR_OK;
        run->deferred = false;
        match_all(run);
        return look_further(run, ef, err);
    }
    if (deep_first) return run_deep(run, share, err);
    match_all(run);
    info->cost_scan += ((double)run->match_count - (double)estimate) * (scan_fine / (double)FR_MAX(estimate, 1u));
    if (range || plan == FR_PLAN_SCAN || (plan == FR_PLAN_ANY && info->cost_scan <= info->cost_walk) || run->match_count <= run->query->k) {
        info->plan = "filtered scan";
        scan_all(run);
        return FR_OK;
    }
    info->plan = "filtered graph";
    run->bridges = (uint32_t)FR_MIN(run->t->lanes, rows / (run->match_count + 1) + 1);
    if (among != ef) FR_TRY(fr_run_fit(run, among, err));
    fr_run_walk(run, true);
    if (run->cut) run->found = 0;
    return run->found == run->query->k ? FR_OK : look_further(run, ef, err);
}

static fr_code run_filtered(fr_run *run, uint32_t ef, fr_err *err)
{
    const fr_table_query *q = run->query;
    uint64_t live = atomic_load_explicit(&run->t->live, memory_order_relaxed);
    double matches = 0;
    fr_cell_view view; /* large: not cleared */
    view.cells = NULL;
    FR_TRY(count_matches(run, &view, &matches, err));
    double share = matches / (double)FR_MAX(live, 1u);
    run->info->matches = (uint64_t)matches;
    bool range = q->has_low || q->has_high;
    bool among = q->plan == FR_PLAN_ANY ? share < SHARE_POST : q->plan != FR_PLAN_WALK;
    if (run->sieved && among && !(range && share > 0.02)) return run_sieved(run, &view, ef, share, err);
    double thought = share; /* of documents less: a walk too deep is better than one that must go on, or than all documents */
    if (!run->sieved) thought = fmax(share - sqrt(share / SAMPLE_FEW), 0.5 / SAMPLE_FEW);
    bool deep = !range && (q->plan == FR_PLAN_ANY || q->plan == FR_PLAN_WALK) && fr_reach_known(run->t, &run->space);
    if (deep && place_of(run, thought) <= DEEP_MAX) return run_deep(run, thought, err);
    uint32_t wide = share > 0 ? (uint32_t)fmin((double)ef / share, 1e9) : UINT32_MAX;
    if (share >= SHARE_POST && wide > ef) wide = ef + (uint32_t)(0.6 * (wide - ef)); /* the k-th that passes is deeper, but the deeper are found as well */
    if (q->plan == FR_PLAN_SCAN || (wide > 4096 && wide > 2 * ef)) { /* too few pass: look at them all */
        run->info->plan = "filtered scan";
        scan_all(run);
        return FR_OK;
    }
    return run_graph(run, ef, wide, err);
}

bool fr_run_scan_is_cheaper(const fr_run *run)
{
    uint32_t rows = run->s->row_limit;
    return (uint64_t)rows * run->space.codes->padded <= FR_SCAN_CODE_BYTES || (uint64_t)run->ef * 8 >= rows;
}

static fr_code run_query(fr_run *run, fr_err *err)
{
    const fr_table_query *q = run->query;
    uint32_t ef = run->asked = FR_MAX(q->ef != 0 ? q->ef : FR_EF_DEFAULT, q->k);
    FR_TRY(fr_run_fit(run, ef, err));
    uint32_t rows = run->s->row_limit;
    const fr_span *keys;
    uint32_t key_count = fr_filter_keys(q->filter, &keys);
    if (rows == 0) {
        run->info->plan = "empty";
        return FR_OK;
    }
    if (key_count != 0) {
        run->info->plan = "keys";
        fr_run_scan_keys(run, keys, key_count);
        return FR_OK;
    }
    if (q->exact) {
        run->info->plan = "exact scan";
        fr_run_scan_originals(run);
        return FR_OK;
    }
    if (fr_run_scan_is_cheaper(run) || (q->filter == NULL && q->plan == FR_PLAN_SCAN)) {
        run->info->plan = q->filter != NULL ? "filtered scan" : "scan";
        scan_all(run);
        return FR_OK;
    }
    return q->filter != NULL ? run_filtered(run, ef, err) : run_graph(run, ef, ef, err);
}

static void forget_verdicts(fr_scratch *s)
{
    for (uint32_t i = 0; i < s->judged_count; i++) s->judged[2 * (size_t)s->judged_at[i]] = 0;
    s->judged_count = 0;
}

fr_code fr_table_search(const fr_table *t, fr_scratch *s, const fr_table_query *query, fr_row_hit *hits, uint32_t *count_out,
                        fr_search_info *info, fr_err *err)
{
    fr_search_info own = {0};
    fr_run run = {.t = t, .s = s, .query = query, .info = info != NULL ? info : &own};
    FR_ASSERT(query->k >= 1);
    *run.info = own;
    *count_out = 0;
    fr_code code = fr_table_is_sparse(&t->options) ? fr_postings_run(&run, err) : run_query(&run, err);
    forget_verdicts(s);
    if (code != FR_OK) return code;
    if (run.failed) return fr_fail(err, FR_ERR_IO, NULL, "original vectors on disk cannot be read");
    memcpy(hits, s->found, run.found * sizeof *hits);
    *count_out = run.found;
    return FR_OK;
}
