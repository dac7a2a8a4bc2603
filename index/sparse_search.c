/* sparse_search.c: one query over posting lists, term at a time: every list of the query adds to the scores of its rows; then the rows that
 * were met are judged by score, visibility and filter. Exact: the same sums, in the same order, as a scan of the stored vectors gives.
 *   IP    score = sum q d
 *   BM25  score = sum q idf d (k1 + 1) / (d + k1 (1 - b + b |d| / mean)), idf = ln(1 + (N - n + 0.5) / (n + 0.5))
 * (Robertson and Zaragoza, The Probabilistic Relevance Framework, 2009), with N, n and the mean of the rows alive now. A row that shares no
 * index with the query is no hit. distance = -score. */
#include "index/search_private.h"
#include "index/sparse.h"

#include <math.h>

typedef struct fr_bm25 {
    bool on;
    float k1, constant, slope; /* k1 (1 - b), k1 b / mean */
} fr_bm25;

void fr_postings_room_free(fr_postings_room *room)
{
    if (room == NULL) return;
    fr_free(FR_MEM_SEARCH, room->scores);
    fr_free(FR_MEM_SEARCH, room->terms);
    fr_free(FR_MEM_SEARCH, room);
}

/* Grows with the scratch, outside of the search. */
static bool fit_room(fr_scratch *s, uint32_t terms)
{
    fr_postings_room *room = s->sparse;
    if (room == NULL) room = s->sparse = fr_zalloc(FR_MEM_SEARCH, sizeof *room);
    if (room == NULL) return false;
    if (room->rows < s->visited_rows) {
        fr_free(FR_MEM_SEARCH, room->scores);
        room->rows = 0;
        room->scores = fr_zalloc(FR_MEM_SEARCH, s->visited_rows * sizeof *room->scores);
        if (room->scores == NULL) return false;
        room->rows = s->visited_rows;
    }
    if (room->term_capacity < terms) {
        uint32_t capacity = FR_MAX(64u, terms + terms / 2);
        fr_free(FR_MEM_SEARCH, room->terms);
        room->term_capacity = 0;
        room->terms = fr_alloc(FR_MEM_SEARCH, capacity * sizeof *room->terms);
        if (room->terms == NULL) return false;
        room->term_capacity = capacity;
    }
    return true;
}

static fr_bm25 statistics(const fr_table *t, uint64_t *documents_out)
{
    const fr_posting_lists *x = &t->sparse;
    uint64_t bits = atomic_load_explicit(&x->length_bits, memory_order_relaxed);
    double sum;
    memcpy(&sum, &bits, sizeof sum);
    *documents_out = atomic_load_explicit(&x->documents, memory_order_relaxed);
    double mean = *documents_out != 0 && sum > 0 ? sum / (double)*documents_out : 1;
    return (fr_bm25){.on = t->options.metric == FR_METRIC_BM25, .k1 = x->k1, .constant = x->k1 * (1 - x->b), .slope = (float)((double)(x->k1 * x->b) / mean)};
}

/* The query's indices that occur, with their weights. */
static uint32_t take_terms(const fr_table *t, const fr_table_query *q, const fr_bm25 *bm25, uint64_t documents, fr_postings_term *terms)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < q->vector_size / 8; i++) {
        fr_postings_term term = {.index = fr_pair_index(q->vector, i), .weight = fr_pair_value(q->vector, i)};
        term.list = fr_postings_find(&t->sparse, term.index);
        if (term.list == NULL || term.weight == 0.0f) continue;
        double n = atomic_load_explicit(&term.list->live, memory_order_relaxed), all = fmax((double)documents, n);
        if (bm25->on) term.weight *= (float)log(1 + (all - n + 0.5) / (n + 0.5));
        terms[count++] = term;
    }
    return count;
}

static inline float part(const fr_bm25 *bm25, float weight, float value, float length)
{
    return bm25->on ? weight * (value * (bm25->k1 + 1) / (value + (bm25->constant + bm25->slope * length))) : weight * value;
}

static void add_list(fr_run *run, const fr_postings_term *term, const fr_bm25 *bm25)
{
    fr_scratch *s = run->s;
    const fr_posting_block *block = atomic_load_explicit(&term->list->block, memory_order_acquire);
    uint32_t count = block == NULL ? 0 : atomic_load_explicit(&block->count, memory_order_acquire), limit = s->row_limit;
    float *scores = s->sparse->scores;
    for (uint32_t i = 0; i < count; i++) {
        fr_posting entry = block->entries[i];
        if (entry.row >= limit) continue; /* younger than this search */
        float length = bm25->on ? *(const float *)fr_extent_at(&run->t->sparse.lengths, entry.row) : 0;
        uint64_t *word = &s->visited[entry.row >> 6];
        if (*word == 0) s->touched[s->touched_count++] = entry.row >> 6;
        *word |= 1ull << (entry.row & 63);
        scores[entry.row] += part(bm25, term->weight, entry.value, length);
    }
    run->info->distances += count;
}

/* Rows by score; the cheap tests first. */
static void offer_touched(fr_run *run)
{
    fr_scratch *s = run->s;
    float *scores = s->sparse->scores;
    uint32_t k = run->query->k;
    for (uint32_t w = 0; w < s->touched_count; w++) {
        for (uint64_t left = s->visited[s->touched[w]]; left != 0; left &= left - 1) {
            uint32_t row = s->touched[w] * 64 + (uint32_t)__builtin_ctzll(left);
            float distance = 0.0f - scores[row];
            scores[row] = 0;
            if (run->found == k && distance > s->found[k - 1].distance) continue;
            if (!fr_row_visible(fr_row_at(run->t, row), run->query->visible) || !fr_run_passes(run, row)) continue;
            fr_run_offer(run, row, distance);
        }
    }
    run->info->visited = s->touched_count;
}

/* The oracle: every visible row's stored vector against the query, without a list. */
static void scan_vectors(fr_run *run, const fr_postings_term *terms, uint32_t count, const fr_bm25 *bm25)
{
    for (uint32_t row = 0; row < run->s->row_limit; row++) {
        if (!fr_row_visible(fr_row_at(run->t, row), run->query->visible) || !fr_run_passes(run, row)) continue;
        fr_blob blob;
        fr_row_blob(run->t, row, &blob);
        float score = 0, length = blob.vector.data != NULL ? *(const float *)fr_extent_at(&run->t->sparse.lengths, row) : 0;
        bool met = false;
        for (uint32_t i = 0, j = 0; i < blob.vector.size / 8 && j < count;) {
            uint32_t index = fr_pair_index(blob.vector.data, i);
            if (index < terms[j].index) i++;
            else if (index > terms[j].index) j++;
            else {
                float value = fr_pair_value(blob.vector.data, i++);
                if (value != 0.0f) score += part(bm25, terms[j].weight, value, length), met = true;
                j++;
            }
        }
        run->info->distances++;
        if (met) fr_run_offer(run, row, 0.0f - score);
    }
}

fr_code fr_postings_run(fr_run *run, fr_err *err)
{
    const fr_table_query *q = run->query;
    const fr_table *t = run->t;
    fr_scratch *s = run->s;
    FR_TRY(fr_vector_sparse_check(fr_span_of(q->vector, q->vector_size), t->options.metric, "vector", err));
    if (!fr_scratch_fit(s, t, q->k) || (q->filter != NULL && !fr_scratch_fit_filter(s)) || !fit_room(s, (uint32_t)(q->vector_size / 8)))
        return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory to search");
    if (q->filter != NULL) {
        run->sieved = fr_sieve_make(s->sieve, (fr_columns *)(uintptr_t)&t->columns, q->filter, true); /* what it may change of them is atomic */
        run->info->columns = s->sieve->leaf_count;
    }
    uint64_t documents;
    fr_bm25 bm25 = statistics(t, &documents);
    uint32_t count = take_terms(t, q, &bm25, documents, s->sparse->terms);
    run->info->plan = q->exact ? "exact scan" : q->filter != NULL ? "filtered postings" : "postings";
    if (q->exact) {
        scan_vectors(run, s->sparse->terms, count, &bm25);
        return FR_OK;
    }
    fr_visited_clear(s);
    for (uint32_t i = 0; i < count; i++) add_list(run, &s->sparse->terms[i], &bm25);
    offer_touched(run);
    fr_visited_clear(s);
    return FR_OK;
}
