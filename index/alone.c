/* alone.c: part 2 of freshet.h, a table by itself: int64 ids, no log. Whoever writes is the applier, one at a time; who links, and when:
 * alone_link.c. Files: index/README.md, section Files. */
#include "index/alone_private.h"
#include "index/bulk.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

fr_code fr_index_create(const fr_index_options *options, fr_index **index_out, fr_err *err)
{
    if (options->type != FR_TYPE_NONE && fr_vector_bytes(options->type, 1) == 0)
        return fr_fail(err, FR_ERR_INVALID, "type", "type must be one of dense or binary vectors, got %d", (int)options->type);
    if (options->folder != NULL) FR_TRY(fr_alone_folder_check(options->folder, err)); /* not when the first chunk is to be written there */
    fr_index *index = fr_index_new();
    if (index == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for an index");
    fr_table_options own = {.dimension = options->dimension, .metric = options->metric, .codes = options->codes, .m = options->m,
                            .profile = options->profile, .vectors = options->vectors, .type = options->type,
                            .ef_construction = options->ef_construction, .seed = 42, .id_type = FR_ID_INT64};
    own.store = index->store = fr_alone_store_create(options->folder);
    fr_code code = fr_table_create(&own, &index->table, err);
    if (code == FR_OK) *index_out = index;
    else fr_index_free(index);
    return code;
}

void fr_index_free(fr_index *index)
{
    if (index == NULL) return;
    fr_index_link_stop(index);
    fr_index_settle_stop(index);
    fr_table_free(index->table);
    fr_alone_store_free(index->store);
    fr_free(FR_MEM_ROWS, index);
}

static fr_span key_of(int64_t id, char room[24])
{
    uint64_t value = id < 0 ? 0 - (uint64_t)id : (uint64_t)id;
    char *end = room + 24, *at = end;
    do *--at = (char)('0' + value % 10);
    while ((value /= 10) != 0);
    if (id < 0) *--at = '-';
    return fr_span_of(at, (size_t)(end - at));
}

static bool exact_in(fr_type type, const float *vector, uint32_t dimension)
{
    float packed[256], back[256];
    for (uint32_t at = 0; at < dimension; at += FR_COUNT_OF(back)) {
        uint32_t count = FR_MIN(dimension - at, (uint32_t)FR_COUNT_OF(back));
        if (fr_vector_pack(type, vector + at, count, packed, NULL, NULL) != FR_OK) return false;
        fr_vector_unpack(type, packed, count, back);
        if (memcmp(back, vector + at, count * sizeof(float)) != 0) return false;
    }
    return true;
}

/* Bytes of a vector as callers give it. */
static size_t given_bytes(const fr_index *index)
{
    const fr_table_options *o = fr_table_settings(index->table);
    return fr_table_is_binary(o) ? o->dimension / 8 : o->dimension * sizeof(float);
}

static fr_code check_vector(const fr_index *index, const char *field, const void *vector, uint64_t i, fr_err *err)
{
    const fr_table_options *o = fr_table_settings(index->table);
    if (fr_table_is_binary(o)) return FR_OK;
    if (!fr_simd_all_finite(vector, o->dimension))
        return fr_fail(err, FR_ERR_INVALID, field, "vector %llu holds a value that is not finite", (unsigned long long)i);
    if (o->metric == FR_METRIC_COSINE && !(fr_simd_norm_squared(vector, o->dimension) > 0))
        return fr_fail(err, FR_ERR_INVALID, field, "vector %llu is zero: cosine is not defined for it", (unsigned long long)i);
    return FR_OK;
}

static fr_code check_type(const fr_index *index, const void *vector, uint64_t i, fr_err *err)
{
    const fr_table_options *o = fr_table_settings(index->table);
    if (o->type == FR_TYPE_NONE || o->type == FR_TYPE_VECTOR_F32 || fr_table_is_binary(o) || exact_in(o->type, vector, o->dimension)) return FR_OK;
    return fr_fail(err, FR_ERR_INVALID, "vectors", "vector %llu holds a number that the index's type has not", (unsigned long long)i);
}

static fr_code add_one(fr_index *index, int64_t id, const void *vector, fr_err *err)
{
    char room[24];
    fr_put_result result;
    fr_row_data row = {.key = key_of(id, room), .key_is_int = true, .vector = vector, .source_time_ms = FR_TIME_NONE, .offset = index->next_offset};
    FR_TRY(fr_table_put(index->table, &row, ++index->commit, &result, err));
    index->next_offset++;
    atomic_store_explicit(&index->visible, index->commit, memory_order_release);
    return FR_OK;
}

static void maintain_often(fr_index *index)
{
    if (index->puts++ % 256 == 0) fr_table_maintain(index->table, index->commit);
}

/* Is a bulk of all of them worth waiting for? Rows that are replaced give their slots back only while somebody links: a load beside as many rows
 * does not wait. */
static bool waits_for_all(const fr_index *index, uint64_t count)
{
    return fr_bulk_possible(index->table) && count >= index->table->bulk_min && count >= 2 * fr_index_size(index);
}

fr_code fr_index_add(fr_index *index, const int64_t *ids, const void *vectors, uint64_t count, uint32_t threads, fr_err *err)
{
    size_t bytes = given_bytes(index);
    const uint8_t *given = vectors;
    for (uint64_t i = 0; i < count; i++) {
        FR_TRY(check_vector(index, "vectors", given + i * bytes, i, err));
        FR_TRY(check_type(index, given + i * bytes, i, err));
    }
    fr_helpers helpers;
    helpers.threads = threads == 0 ? 1 : FR_MIN(threads, FR_HELPERS_MAX);
    helpers.started = 0;
    pthread_mutex_lock(&index->writer);
    /* A bulk is the cheaper and the better the larger it is: its linkers wait for the rows. */
    bool now = fr_index_links_at_once(index, count), bulk = now && waits_for_all(index, count);
    uint64_t begin = bulk ? FR_BULK_MAX : 0;
    if (bulk) fr_fresh_hold_back(index->table, true);
    fr_code code = FR_OK;
    for (uint64_t i = 0; i < count && code == FR_OK; i++) {
        char room[24];
        if (now && i == begin) fr_index_helpers_start(index, &helpers);
        code = add_one(index, ids[i], given + i * bytes, err);
        if (i + 8 < count) fr_keymap_prefetch(&index->table->keys, key_of(ids[i + 8], room));
        maintain_often(index);
        if (fr_index_many_dead(index)) fr_table_help_step(index->table, true);
    }
    fr_index_changed(index, &helpers);
    if (bulk) fr_fresh_hold_back(index->table, false), fr_fresh_seal(index->table);
    pthread_mutex_unlock(&index->writer);
    return code;
}

fr_code fr_index_remove(fr_index *index, const int64_t *ids, uint64_t count, uint64_t *removed_out)
{
    uint64_t removed = 0;
    fr_code code = FR_OK;
    fr_helpers helpers;
    helpers.threads = 1;
    helpers.started = 0;
    pthread_mutex_lock(&index->writer);
    for (uint64_t i = 0; i < count && code == FR_OK; i++) {
        char room[24];
        bool existed = false;
        code = fr_table_remove(index->table, key_of(ids[i], room), index->next_offset++, ++index->commit, &existed);
        removed += existed;
        atomic_store_explicit(&index->visible, index->commit, memory_order_release);
        maintain_often(index);
        if (fr_index_many_dead(index)) fr_table_help_step(index->table, true);
    }
    fr_index_changed(index, &helpers);
    pthread_mutex_unlock(&index->writer);
    if (removed_out != NULL) *removed_out = removed;
    return code;
}

/* ==== search ==== */

#define SEARCH_THREADS_MAX 64u
#define BATCH_QUERIES  128u   /* under one epoch: a few milliseconds at most, so fewer */
#define BATCH_WORK     16384u /* where ef is more than so many / BATCH_QUERIES */
#define BATCH_LEAST    8u
#define IDS_AT_ONCE    16u    /* queries: what is sent for stays in the first cache */
#define WINDOW_QUERIES 16384u /* that are put in order */
#define ORDERED_FROM   128u   /* fewer are served as they come; */
#define ORDERED_LONG   512u   /* so are those of fewer dimensions: their order gained nothing (index/README.md) */
#define LISTED_AT_ONCE 32u

/* One call's queries, or a window of them, and the threads at work on it. */
typedef struct fr_search_job {
    fr_index *index;
    const uint8_t *queries;
    uint32_t count, k, ef, parts; /* a part of `order` is one thread's, who then helps the others */
    int64_t *ids;
    float *distances;
    uint32_t *order;  /* which query comes when */
    uint8_t *lists;   /* of each query; NULL: they are served as they come */
    _Atomic uint32_t entered, listed, lists_done, cursors[SEARCH_THREADS_MAX];
    _Atomic bool ready; /* order is written */
    _Atomic uint32_t failed; /* an fr_code: who sets it writes err */
    fr_err err;
} fr_search_job;

static int64_t id_of(fr_span key)
{
    const char *at = key.data, *end = at + key.size;
    bool minus = *at == '-';
    uint64_t value = 0;
    for (at += minus; at < end; at++) value = value * 10 + (uint64_t)(*at - '0');
    return (int64_t)(minus ? 0 - value : value);
}

/* The ids of the hits: first all rows are on their way, then all keys, then they are read. */
static void take_ids(const fr_search_job *job, const uint32_t *at, uint32_t count, const fr_row_hit *hits, const uint32_t *found)
{
    const fr_table *t = job->index->table;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < found[i]; j++) __builtin_prefetch(&fr_row_at(t, hits[i * job->k + j].row)->blob);
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < found[i]; j++) {
            uint64_t blob = atomic_load_explicit(&fr_row_at(t, hits[i * job->k + j].row)->blob, memory_order_acquire);
            __builtin_prefetch(fr_heap_at(&t->heap, blob));
        }
    for (uint32_t i = 0; i < count; i++) {
        const fr_row_hit *mine = hits + (size_t)i * job->k;
        int64_t *ids = job->ids + at[i] * (size_t)job->k;
        float *distances = job->distances + at[i] * (size_t)job->k;
        for (uint32_t j = 0; j < job->k; j++) {
            fr_blob blob;
            if (j < found[i]) fr_row_blob(t, mine[j].row, &blob);
            ids[j] = j < found[i] ? id_of(blob.key) : -1;
            distances[j] = j < found[i] ? mine[j].distance : INFINITY;
        }
    }
}

/* Which queries come one after the other: those of one list together. The last thread to have found lists puts them in order. */
static void order_queries(fr_search_job *job, fr_scratch *s)
{
    const fr_table *t = job->index->table;
    size_t bytes = given_bytes(job->index);
    uint32_t from, n;
    while ((from = atomic_fetch_add(&job->listed, LISTED_AT_ONCE)) < job->count) {
        n = FR_MIN(job->count - from, LISTED_AT_ONCE);
        fr_table_enter(t, s);
        for (uint32_t i = from; i < from + n; i++) job->lists[i] = (uint8_t)fr_table_list(t, s, job->queries + i * bytes);
        fr_table_leave(t, s);
        if (atomic_fetch_add(&job->lists_done, n) + n < job->count) continue;
        uint32_t first[FR_TABLE_LISTS + 1] = {0};
        for (uint32_t i = 0; i < job->count; i++) first[job->lists[i] + 1]++;
        for (uint32_t l = 0; l < FR_TABLE_LISTS; l++) first[l + 1] += first[l];
        for (uint32_t i = 0; i < job->count; i++) job->order[first[job->lists[i]]++] = i;
        atomic_store_explicit(&job->ready, true, memory_order_release);
    }
    while (!atomic_load_explicit(&job->ready, memory_order_acquire)) sched_yield(); /* some microseconds: others find their last lists */
}

static uint32_t batch_of(const fr_search_job *job) { return FR_MAX(4u, FR_MIN(BATCH_QUERIES, BATCH_WORK / FR_MAX(1u, FR_MAX(job->ef, job->k)))); }

/* The next few of a part; fewer as it ends, so that threads end together. */
static uint32_t claim(fr_search_job *job, uint32_t part, uint32_t *at_out)
{
    uint32_t end = (uint32_t)((uint64_t)job->count * (part + 1) / job->parts), most = batch_of(job), n;
    uint32_t at = atomic_load_explicit(&job->cursors[part], memory_order_relaxed);
    do {
        if (at == end) return 0;
        n = job->parts == 1 ? most : FR_MAX((end - at) / 4, BATCH_LEAST);
        n = FR_MIN(FR_MIN(n, most), end - at);
    } while (!atomic_compare_exchange_weak_explicit(&job->cursors[part], &at, at + n, memory_order_relaxed, memory_order_relaxed));
    *at_out = at;
    return n;
}

static void fail(fr_search_job *job, fr_code code, const fr_err *err)
{
    uint32_t none = FR_OK;
    if (atomic_compare_exchange_strong(&job->failed, &none, (uint32_t)code)) job->err = *err; /* read when all threads have ended */
}

static bool search_batch(fr_search_job *job, fr_scratch *const *scratches, uint32_t lanes, const uint32_t *at, uint32_t count, fr_row_hit *hits)
{
    fr_table_query queries[BATCH_QUERIES];
    uint32_t found[BATCH_QUERIES];
    fr_err err = {0};
    const fr_table *t = job->index->table;
    size_t bytes = given_bytes(job->index);
    fr_table_enter(t, scratches[0]);
    uint64_t visible = atomic_load_explicit(&job->index->visible, memory_order_acquire);
    for (uint32_t i = 0; i < count; i++)
        queries[i] = (fr_table_query){.vector = job->queries + at[i] * bytes, .k = job->k, .ef = job->ef, .visible = visible};
    fr_code code = fr_table_search_many(t, scratches, lanes, queries, count, hits, found, &err);
    for (uint32_t i = 0; i < count && code == FR_OK; i += IDS_AT_ONCE)
        take_ids(job, at + i, FR_MIN(IDS_AT_ONCE, count - i), hits + (size_t)i * job->k, found + i);
    if (code != FR_OK) fail(job, code, &err);
    fr_table_leave(t, scratches[0]);
    return code == FR_OK;
}

/* False: there is no memory to do anything. */
static bool search_parts(fr_search_job *job)
{
    uint32_t lanes = 0, want = job->count > 1 ? FR_FLIGHT : 1, own = atomic_fetch_add(&job->entered, 1), at, n;
    fr_scratch *scratches[FR_FLIGHT_MAX];
    while (lanes < want && (scratches[lanes] = fr_scratch_borrow()) != NULL) lanes++;
    fr_row_hit *hits = fr_alloc(FR_MEM_SEARCH, (size_t)batch_of(job) * job->k * sizeof *hits);
    bool able = lanes != 0 && hits != NULL, fine = able;
    if (able && job->lists != NULL) order_queries(job, scratches[0]);
    for (uint32_t p = 0; p < job->parts && fine; p++) {
        uint32_t part = (own + p) % job->parts;
        while (fine && (n = claim(job, part, &at)) != 0)
            fine = atomic_load_explicit(&job->failed, memory_order_relaxed) == FR_OK && search_batch(job, scratches, lanes, job->order + at, n, hits);
    }
    fr_free(FR_MEM_SEARCH, hits);
    while (lanes > 0) fr_scratch_return(scratches[--lanes]);
    return able;
}

static void *help_search(void *job)
{
    (void)search_parts(job); /* without memory the others do its part */
    return NULL;
}

static fr_code search_window(fr_search_job *job, fr_err *err)
{
    pthread_t workers[SEARCH_THREADS_MAX];
    uint32_t started = 0;
    for (uint32_t i = 0; i < job->count; i++) job->order[i] = i;
    for (uint32_t p = 0; p < job->parts; p++) job->cursors[p] = (uint32_t)((uint64_t)job->count * p / job->parts);
    while (started + 1 < job->parts && pthread_create(&workers[started], NULL, help_search, job) == 0) started++;
    bool able = search_parts(job); /* and what threads that did not come would have done */
    while (started > 0) pthread_join(workers[--started], NULL);
    if (!able) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory to search");
    if (job->failed == FR_OK) return FR_OK;
    if (err != NULL) *err = job->err;
    return (fr_code)job->failed;
}

fr_code fr_index_search_many(fr_index *index, const void *queries, uint64_t query_count, uint32_t k, uint32_t ef, uint32_t threads,
                             int64_t *ids_out, float *distances_out, fr_err *err)
{
    if (k == 0 || k > FR_K_MAX) return fr_fail(err, FR_ERR_INVALID, "k", "k must be 1 to %u, got %u", FR_K_MAX, k);
    if (ef > FR_EF_MAX) return fr_fail(err, FR_ERR_INVALID, "ef", "ef must be 0 to %u, got %u", FR_EF_MAX, ef);
    size_t bytes = given_bytes(index);
    const uint8_t *given = queries;
    for (uint64_t i = 0; i < query_count; i++) FR_TRY(check_vector(index, "queries", given + i * bytes, i, err));
    uint32_t window = (uint32_t)FR_MIN(query_count, (uint64_t)WINDOW_QUERIES);
    uint32_t *order = fr_alloc(FR_MEM_SEARCH, FR_MAX(window, 1u) * (sizeof *order + 1));
    if (order == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory to search");
    bool ordered = fr_table_width(fr_table_settings(index->table)) >= ORDERED_LONG;
    fr_code code = FR_OK;
    for (uint64_t from = 0; from < query_count && code == FR_OK; from += window) {
        uint32_t count = (uint32_t)FR_MIN(query_count - from, (uint64_t)window);
        fr_search_job job = {.index = index, .queries = given + from * bytes, .count = count, .k = k, .ef = ef, .order = order,
                             .ids = ids_out + from * k, .distances = distances_out + from * k};
        job.lists = ordered && count >= ORDERED_FROM ? (uint8_t *)(order + window) : NULL;
        job.parts = FR_MIN(FR_MAX(1u, FR_MIN(threads, SEARCH_THREADS_MAX)), count);
        code = search_window(&job, err);
    }
    fr_free(FR_MEM_SEARCH, order);
    return code;
}

fr_code fr_index_get(fr_index *index, const int64_t *ids, uint64_t count, void *vectors_out, bool *present_out)
{
    size_t bytes = given_bytes(index);
    fr_scratch *s = fr_scratch_borrow();
    if (s == NULL) return FR_ERR_NO_MEMORY;
    fr_code code = FR_OK;
    for (uint64_t i = 0; i < count && code == FR_OK; i++) {
        char room[24];
        uint8_t *vector = vectors_out == NULL ? NULL : (uint8_t *)vectors_out + i * bytes;
        fr_table_enter(index->table, s);
        uint32_t row = fr_table_find(index->table, key_of(ids[i], room), atomic_load_explicit(&index->visible, memory_order_acquire));
        present_out[i] = row != FR_ROW_NONE;
        if (vector != NULL && row == FR_ROW_NONE) memset(vector, 0, bytes);
        else if (vector != NULL && !fr_table_vector(index->table, row, vector)) code = FR_ERR_IO;
        fr_table_leave(index->table, s);
    }
    fr_scratch_return(s);
    return code;
}

void fr_index_settings(const fr_index *index, fr_index_options *options_out)
{
    const fr_table_options *o = fr_table_settings(index->table);
    *options_out = (fr_index_options){.dimension = o->dimension, .metric = o->metric, .codes = o->codes, .m = o->m,
                                      .ef_construction = o->ef_construction, .profile = o->profile, .vectors = o->vectors,
                                      .type = o->type == FR_TYPE_NONE ? FR_TYPE_VECTOR_F32 : o->type};
}

fr_code fr_index_ef_for(fr_index *index, float recall, uint32_t k, uint32_t *ef_out, float *measured_out, fr_err *err)
{
    if (!(recall > 0 && recall < 1)) return fr_fail(err, FR_ERR_INVALID, "recall", "recall must lie between 0 and 1");
    if (k == 0 || k > FR_K_MAX) return fr_fail(err, FR_ERR_INVALID, "k", "k must be 1 to %u, got %u", FR_K_MAX, k);
    fr_scratch *s = fr_scratch_borrow();
    if (s == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory to measure recall");
    fr_index_link_try(index); /* what is scanned says nothing about the graph */
    uint64_t visible = atomic_load_explicit(&index->visible, memory_order_acquire);
    fr_code code = fr_table_ef_for(index->table, s, visible, recall, k, ef_out, measured_out, err);
    fr_scratch_return(s);
    return code;
}

uint64_t fr_index_size(const fr_index *index) { return atomic_load_explicit(&index->table->live, memory_order_relaxed); }

uint64_t fr_index_memory(const fr_index *index)
{
    fr_table_stats stats;
    pthread_mutex_t *writer = (pthread_mutex_t *)(uintptr_t)&index->writer; /* reading counts takes it */
    pthread_mutex_lock(writer);
    fr_table_stats_get(index->table, &stats);
    pthread_mutex_unlock(writer);
    return stats.bytes;
}
