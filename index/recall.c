/* recall.c: a table measures its own recall, so that a search can ask for a recall instead of an ef.
 *
 * Live rows are the queries, as if they were not in the table: the truth leaves the row out, and the walk never steps on it. That is
 * a little harder than a query from outside, whose neighbours never lost a link to it. One thread measures at a time; what it
 * found is published number by number, and is used until more than a tenth of the rows has changed. */
#include "index/recall.h"

#include <math.h>

static const uint16_t ladder[FR_RECALL_STEPS] = {12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048};

#define SAMPLE_QUERIES 64u
#define SAMPLE_K 10u
#define TRUTH_EF 1024u /* its quarter is compared on the originals */
#define MILLION 1000000u

fr_recall *fr_recall_create(void) { return fr_zalloc(FR_MEM_ROWS, sizeof(fr_recall)); }
void fr_recall_free(fr_recall *recall) { fr_free(FR_MEM_ROWS, recall); }

static uint64_t changes_of(const fr_table *t) /* rows linked, and rows that died */
{
    uint64_t linked = atomic_load_explicit(&t->linked_ever, memory_order_relaxed);
    return 2 * linked - FR_MIN(atomic_load_explicit(&t->live, memory_order_relaxed), linked);
}

static bool is_stale(const fr_table *t)
{
    uint64_t now = changes_of(t), then = atomic_load_explicit(&t->recall->changes, memory_order_acquire);
    return (now > then ? now - then : then - now) * 10 > atomic_load_explicit(&t->live, memory_order_relaxed);
}

static bool is_measured(const fr_table *t) { return atomic_load_explicit(&t->recall->samples, memory_order_acquire) != 0; }

typedef struct measuring {
    const fr_table *t;
    fr_scratch *s;
    float *vector; /* its own: a search writes into all of the scratch */
    uint64_t visible;
    uint32_t asked, found[FR_RECALL_STEPS], strict[FR_RECALL_STEPS];
} measuring;

/* How many hits are as near as the true ones: within 1e-3 of the distance, and strictly within 1e-6. */
static void count_hits(const fr_row_hit *hits, uint32_t count, float worst, uint32_t *near_out, uint32_t *strict_out)
{
    float size = fabsf(worst);
    *near_out = *strict_out = 0;
    for (uint32_t i = 0; i < count; i++) {
        *near_out += hits[i].distance <= worst + 1e-3f * size;
        *strict_out += hits[i].distance <= worst + 1e-6f * size;
    }
}

static fr_code measure_row(measuring *m, uint32_t row, fr_err *err)
{
    fr_row_hit truth[SAMPLE_K], hits[SAMPLE_K];
    uint32_t want, count, near, strict;
    if (!fr_table_vector(m->t, row, m->vector)) return fr_fail(err, FR_ERR_IO, NULL, "an original vector cannot be read");
    fr_table_query query = {.vector = m->vector, .k = SAMPLE_K, .ef = TRUTH_EF, .visible = m->visible, .plan = FR_PLAN_SCAN, .except = row + 1};
    FR_TRY(fr_table_search(m->t, m->s, &query, truth, &want, NULL, err));
    if (want == 0) return FR_OK;
    query.plan = FR_PLAN_ANY;
    m->asked += want;
    for (uint32_t step = 0; step < FR_RECALL_STEPS; step++) {
        query.ef = ladder[step];
        FR_TRY(fr_table_search(m->t, m->s, &query, hits, &count, NULL, err));
        count_hits(hits, FR_MIN(count, want), truth[want - 1].distance, &near, &strict);
        for (uint32_t wider = step; wider < (strict == want ? FR_RECALL_STEPS : step + 1); wider++)
            m->found[wider] += near, m->strict[wider] += strict;
        if (strict == want) break; /* a wider walk finds them, too */
    }
    return FR_OK;
}

static void publish(const measuring *m, uint64_t changes)
{
    fr_recall *r = m->t->recall;
    for (uint32_t i = 0; i < FR_RECALL_STEPS && m->asked != 0; i++) {
        atomic_store_explicit(&r->near[i], (uint32_t)((uint64_t)m->found[i] * MILLION / m->asked), memory_order_relaxed);
        atomic_store_explicit(&r->strict[i], (uint32_t)((uint64_t)m->strict[i] * MILLION / m->asked), memory_order_relaxed);
    }
    atomic_store_explicit(&r->changes, changes, memory_order_release);
    atomic_store_explicit(&r->samples, m->asked / SAMPLE_K, memory_order_release);
}

static fr_code measure(const fr_table *t, fr_scratch *s, uint64_t visible, fr_err *err)
{
    measuring m = {.t = t, .s = s, .visible = visible};
    uint64_t changes = changes_of(t);
    m.vector = fr_alloc(FR_MEM_SEARCH, t->options.dimension * sizeof *m.vector);
    fr_code code = m.vector != NULL ? FR_OK : fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory to measure recall");
    for (uint32_t i = 0, tried = 0; i < SAMPLE_QUERIES && tried < 8 * SAMPLE_QUERIES && code == FR_OK; tried++) {
        fr_table_enter(t, s);
        if (!fr_scratch_fit(s, t, TRUTH_EF)) code = fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory to measure recall");
        if (code == FR_OK && s->row_limit != 0) {
            uint32_t row = (uint32_t)(fr_mix64(changes ^ fr_mix64(tried + 1)) % s->row_limit);
            const fr_row *r = fr_row_at(t, row);
            if (fr_row_visible(r, visible) && atomic_load_explicit(&r->linked, memory_order_acquire) == FR_LINKED) {
                code = measure_row(&m, row, err);
                i++;
            }
        }
        fr_table_leave(t, s);
    }
    if (code == FR_OK) publish(&m, changes);
    fr_free(FR_MEM_SEARCH, m.vector);
    return code;
}

/* Before the first measure: more than most data need. */
static uint32_t guess(float recall) { return recall <= 0.9f ? 64 : recall <= 0.95f ? 128 : recall <= 0.98f ? 256 : 512; }

static uint32_t pick(const fr_recall *r, float recall, float *measured_out)
{
    float want = recall + FR_MIN((1.0f - recall) * 0.2f, 0.01f), below = 0;
    for (uint32_t i = 0; i < FR_RECALL_STEPS; i++) {
        float here = (float)atomic_load_explicit(&r->near[i], memory_order_relaxed) / (float)MILLION;
        *measured_out = here;
        if (here < want) {
            below = here;
            continue;
        }
        if (i == 0) return ladder[0];
        float part = (want - below) / (here - below); /* between two steps of the ladder, rounded up */
        *measured_out = want;
        return ladder[i - 1] + (uint32_t)ceilf(part * (float)(ladder[i] - ladder[i - 1]));
    }
    return ladder[FR_RECALL_STEPS - 1];
}

fr_code fr_table_ef_for(const fr_table *t, fr_scratch *s, uint64_t visible, float recall, uint32_t k, uint32_t *ef_out,
                        float *measured_out, fr_err *err)
{
    fr_recall *r = t->recall;
    if (fr_table_is_sparse(&t->options)) { /* always exact */
        *ef_out = FR_EF_DEFAULT, *measured_out = 1;
        return FR_OK;
    }
    if ((!is_measured(t) || is_stale(t)) && !atomic_exchange_explicit(&r->busy, true, memory_order_acquire)) {
        fr_code code = !is_measured(t) || is_stale(t) ? measure(t, s, visible, err) : FR_OK;
        atomic_store_explicit(&r->busy, false, memory_order_release);
        FR_TRY(code);
    }
    *measured_out = 0;
    uint32_t ef = is_measured(t) ? pick(r, recall, measured_out) : guess(recall);
    uint64_t wide = k > SAMPLE_K ? ((uint64_t)ef * k + SAMPLE_K - 1) / SAMPLE_K : ef;
    *ef_out = (uint32_t)FR_MIN(wide, (uint64_t)FR_EF_MAX);
    return FR_OK;
}

bool fr_table_recall_measured(const fr_table *t, uint32_t ef, float *near_out, float *strict_out)
{
    if (!is_measured(t)) return false;
    uint32_t step = 0;
    while (step + 1 < FR_RECALL_STEPS && ladder[step + 1] <= ef) step++;
    *near_out = (float)atomic_load_explicit(&t->recall->near[step], memory_order_relaxed) / (float)MILLION;
    *strict_out = (float)atomic_load_explicit(&t->recall->strict[step], memory_order_relaxed) / (float)MILLION;
    return true;
}
