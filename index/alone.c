/* alone.c: part 2 of freshet.h, a table by itself: int64 ids, no log. Whoever writes is the applier, one at a time; who links, and when:
 * alone_link.c. Files: index/README.md, section Files. */
#include "index/alone_private.h"
#include "index/bulk.h"

#include <math.h>
#include <pthread.h>
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

typedef struct fr_search_job {
    fr_index *index;
    const uint8_t *queries;
    uint64_t count;
    uint32_t k, ef;
    int64_t *ids;
    float *distances;
    fr_code code;
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

#define BATCH_QUERIES  32u   /* under one epoch: a few milliseconds at most */
#define WINDOW_QUERIES 4096u /* that are put in order */
#define ORDERED_FROM   128u  /* fewer are served as they come; */
#define ORDERED_LONG   512u  /* so are those of fewer dimensions: their order gained nothing (index/README.md) */

/* Which queries come one after the other: `count` of them in the order of their lists. */
static void order_queries(const fr_search_job *job, fr_scratch *s, uint64_t from, uint32_t count, uint8_t *lists, uint32_t *order)
{
    const fr_table *t = job->index->table;
    uint32_t first[FR_TABLE_LISTS + 1] = {0};
    size_t bytes = given_bytes(job->index);
    fr_table_enter(t, s);
    for (uint32_t i = 0; i < count; i++) {
        lists[i] = (uint8_t)fr_table_list(t, s, job->queries + (from + i) * bytes);
        first[lists[i] + 1]++;
    }
    fr_table_leave(t, s);
    for (uint32_t l = 0; l < FR_TABLE_LISTS; l++) first[l + 1] += first[l];
    for (uint32_t i = 0; i < count; i++) order[first[lists[i]]++] = (uint32_t)from + i;
}

static void search_batch(fr_search_job *job, fr_scratch *const *scratches, uint32_t lanes, const uint32_t *at, uint32_t count, fr_row_hit *hits)
{
    fr_table_query queries[BATCH_QUERIES];
    uint32_t found[BATCH_QUERIES];
    const fr_table *t = job->index->table;
    size_t bytes = given_bytes(job->index);
    fr_table_enter(t, scratches[0]);
    uint64_t visible = atomic_load_explicit(&job->index->visible, memory_order_acquire);
    for (uint32_t i = 0; i < count; i++)
        queries[i] = (fr_table_query){.vector = job->queries + at[i] * bytes, .k = job->k, .ef = job->ef, .visible = visible};
    job->code = fr_table_search_many(t, scratches, lanes, queries, count, hits, found, &job->err);
    if (job->code == FR_OK) take_ids(job, at, count, hits, found);
    fr_table_leave(t, scratches[0]);
}

static void *search_range(void *argument)
{
    fr_search_job *job = argument;
    uint32_t lanes = 0, want = job->count > 1 ? FR_FLIGHT : 1, batch = job->ef > 1024 ? 4 : BATCH_QUERIES;
    bool ordered = fr_table_width(fr_table_settings(job->index->table)) >= ORDERED_LONG;
    uint32_t window = (uint32_t)FR_MIN(job->count, (uint64_t)WINDOW_QUERIES);
    fr_scratch *scratches[FR_FLIGHT_MAX];
    while (lanes < want && (scratches[lanes] = fr_scratch_borrow()) != NULL) lanes++;
    fr_row_hit *hits = fr_alloc(FR_MEM_SEARCH, (size_t)batch * job->k * sizeof *hits);
    uint32_t *order = fr_alloc(FR_MEM_SEARCH, window * (sizeof *order + 1));
    job->code = lanes != 0 && hits != NULL && order != NULL ? FR_OK : fr_fail(&job->err, FR_ERR_NO_MEMORY, NULL, "no memory to search");
    for (uint64_t from = 0; from < job->count && job->code == FR_OK; from += window) {
        uint32_t count = (uint32_t)FR_MIN(job->count - from, (uint64_t)window);
        for (uint32_t i = 0; i < count; i++) order[i] = (uint32_t)from + i;
        if (ordered && count >= ORDERED_FROM) order_queries(job, scratches[0], from, count, (uint8_t *)(order + window), order);
        for (uint32_t at = 0; at < count && job->code == FR_OK; at += batch) search_batch(job, scratches, lanes, order + at, FR_MIN(batch, count - at), hits);
    }
    fr_free(FR_MEM_SEARCH, order);
    fr_free(FR_MEM_SEARCH, hits);
    while (lanes > 0) fr_scratch_return(scratches[--lanes]);
    return NULL;
}

fr_code fr_index_search_many(fr_index *index, const void *queries, uint64_t query_count, uint32_t k, uint32_t ef, uint32_t threads,
                             int64_t *ids_out, float *distances_out, fr_err *err)
{
    if (k == 0 || k > FR_K_MAX) return fr_fail(err, FR_ERR_INVALID, "k", "k must be 1 to %u, got %u", FR_K_MAX, k);
    if (ef > FR_EF_MAX) return fr_fail(err, FR_ERR_INVALID, "ef", "ef must be 0 to %u, got %u", FR_EF_MAX, ef);
    size_t bytes = given_bytes(index);
    const uint8_t *given = queries;
    for (uint64_t i = 0; i < query_count; i++) FR_TRY(check_vector(index, "queries", given + i * bytes, i, err));
    fr_search_job jobs[64];
    pthread_t workers[64];
    uint32_t parts = (uint32_t)FR_MIN((uint64_t)FR_MAX(1u, FR_MIN(threads, 64u)), FR_MAX(query_count, 1u)), started = 0;
    for (uint32_t p = 0; p < parts; p++) {
        uint64_t from = query_count * p / parts, to = query_count * (p + 1) / parts;
        jobs[p] = (fr_search_job){.index = index, .queries = given + from * bytes, .count = to - from, .k = k, .ef = ef,
                                  .ids = ids_out + from * k, .distances = distances_out + from * k};
        if (p + 1 == parts || pthread_create(&workers[started], NULL, search_range, &jobs[p]) != 0) search_range(&jobs[p]);
        else started++;
    }
    while (started > 0) pthread_join(workers[--started], NULL);
    for (uint32_t p = 0; p < parts; p++) {
        if (jobs[p].code == FR_OK) continue;
        if (err != NULL) *err = jobs[p].err;
        return jobs[p].code;
    }
    return FR_OK;
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
