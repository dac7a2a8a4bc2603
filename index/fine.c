/* fine.c: second-level codes. The walk's 8-bit code of a dimension is the upper, a nibble the lower part of a 12-bit code: near
 * rows are told apart in memory, and the originals, on disk, are read for little more than the k that are returned. Levels as in
 * LVQ-4x8 (Aguerrebere et al. 2023) and SVS, with the first level the long one, for it is what the walk reads. */
#include "index/table_private.h"

#include <math.h>

#define MARGIN 6.0 /* standard deviations of a distance's error that two rows may be apart and still change places */
#define MARGIN_CODES 4.0 /* the same where only the codes are there: at 3 the recall is the same, too */
#define MIDDLE 2055.5f /* the 12-bit code of the centre: 16 * 128 + 7.5 */

/* The rotated query in units of 12-bit codes. */
static void prepare(const fr_space *space, float *out)
{
    const fr_codeset *s = space->codes;
    const float *u = space->code_query.rotated; /* minus the centre */
    bool ip = s->metric == FR_METRIC_IP;
    float unit = 16.0f / s->scale;
    for (uint32_t j = 0; j < s->padded; j++) out[j] = ip ? u[j] : u[j] * unit + MIDDLE;
}

/* By the 8-bit codes alone. The row's rounding and the query's are independent; what the query's adds to all rows alike does not
 * order them. Of inner products the second depends on the row's length, which is not known here: all are compared. */
float fr_fine_limit(const fr_space *space, float kth)
{
    const fr_codeset *s = space->codes;
    if (s->kind != FR_CODE_SQ8 || s->metric == FR_METRIC_IP) return INFINITY;
    double step = (double)s->scale, turn = -space->code_query.a / (2 * step), nearest = fmax((double)kth, 0); /* a = -2 step turn */
    return (float)(nearest + MARGIN_CODES * 2 * sqrt(nearest) * sqrt((step * step + turn * turn) / 12));
}

static uint32_t needed_by_codes(const fr_space *space, const fr_candidate *candidates, uint32_t count, uint32_t k)
{
    float limit = fr_fine_limit(space, candidates[k - 1].distance);
    uint32_t needed = k;
    while (needed < count && candidates[needed].distance <= limit) needed++;
    return needed;
}

uint32_t fr_fine_refine(const fr_space *space, fr_scratch *scratch, fr_candidate *candidates, uint32_t count, uint32_t k)
{
    const fr_codeset *s = space->codes;
    if (count <= k) return count;
    if (!s->has_fine) return needed_by_codes(space, candidates, count, k);
    float *query = scratch->vector;
    prepare(space, query);
    bool ip = s->metric == FR_METRIC_IP;
    double step = (double)s->scale / 16, sum = 0, square = 0;
    for (uint32_t j = 0; ip && j < s->padded; j++) sum += (double)query[j], square += (double)query[j] * (double)query[j];
    for (uint32_t i = 0; i < count; i++) {
        __builtin_prefetch(fr_extent_at(&s->fine, candidates[i].row));
        if (s->padded > 128) __builtin_prefetch((const char *)fr_extent_at(&s->fine, candidates[i].row) + 64);
    }
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *code = fr_extent_at(&s->code, candidates[i].row), *fine = fr_extent_at(&s->fine, candidates[i].row);
        double w = (double)(ip ? s->fine_kernel->dot : s->fine_kernel->l2)(query, code, fine, s->padded);
        candidates[i].distance = (float)(ip ? -step * (w - (double)MIDDLE * sum) : step * step * w);
    }
    fr_sort_candidates(candidates, count);
    /* the rounding is uniform in a step: its deviation is step / sqrt(12) a dimension, along q - x or along q */
    double length = ip ? sqrt(square) : 2 * sqrt(fmax((double)candidates[k - 1].distance, 0));
    double limit = (double)candidates[k - 1].distance + MARGIN * length * step / sqrt(12);
    uint32_t needed = k;
    while (needed < count && (double)candidates[needed].distance <= limit) needed++;
    return needed;
}
