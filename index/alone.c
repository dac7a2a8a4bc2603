/* alone.c: part 2 of freshet.h, a table by itself: int64 ids, no log. The caller's thread is the applier; linking threads live
 * for one call of add. Files: index/README.md, section Files. */
#include "index/alone_store.h"
#include "index/table_private.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct fr_index {
    fr_table *table;
    fr_vector_store *store; /* originals on disk */
    uint64_t commit;          /* the adding thread's */
    _Atomic uint64_t visible;
    fr_offset next_offset;
    _Atomic bool stop_linking;
};

#define HELP_UNLINKED 16384u /* from here on the adding thread links too */
#define HELP_DEAD     4096u  /* and repairs; small tables earlier, so that dead rows stay a small share */

fr_code fr_index_create(const fr_index_options *options, fr_index **index_out, fr_err *err)
{
    if (options->type != FR_TYPE_NONE && fr_vector_bytes(options->type, 1) == 0)
        return fr_fail(err, FR_ERR_INVALID, "type", "type must be one of dense or binary vectors, got %d", (int)options->type);
    fr_index *index = fr_zalloc(FR_MEM_ROWS, sizeof *index);
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
    fr_table_free(index->table);
    fr_alone_store_free(index->store);
    fr_free(FR_MEM_ROWS, index);
}

static fr_span key_of(int64_t id, char room[24])
{
    int size = snprintf(room, 24, "%lld", (long long)id);
    return fr_span_of(room, (size_t)size);
}

static uint64_t unlinked(const fr_table *t)
{
    return atomic_load_explicit(&t->ring_tail, memory_order_acquire) - atomic_load_explicit(&t->ring_low, memory_order_acquire);
}

static bool many_dead(const fr_table *t)
{
    uint64_t live = atomic_load_explicit(&t->live, memory_order_relaxed);
    return fr_table_dead(t) > FR_MIN((uint64_t)HELP_DEAD, FR_MAX((uint64_t)256, live / 64));
}

static void *link_until_stopped(void *argument)
{
    fr_index *index = argument;
    while (!atomic_load_explicit(&index->stop_linking, memory_order_acquire))
        if (!fr_table_link_step(index->table)) usleep(50);
    return NULL;
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

static fr_code check_vector(const fr_index *index, const void *vector, uint64_t i, fr_err *err)
{
    const fr_table_options *o = fr_table_settings(index->table);
    if (fr_table_is_binary(o)) return FR_OK;
    if (!fr_simd_all_finite(vector, o->dimension))
        return fr_fail(err, FR_ERR_INVALID, "vectors", "vector %llu holds a value that is not finite", (unsigned long long)i);
    if (o->metric == FR_METRIC_COSINE && !(fr_simd_norm_squared(vector, o->dimension) > 0))
        return fr_fail(err, FR_ERR_INVALID, "vectors", "vector %llu is zero: cosine is not defined for it", (unsigned long long)i);
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

fr_code fr_index_add(fr_index *index, const int64_t *ids, const void *vectors, uint64_t count, uint32_t threads, fr_err *err)
{
    size_t bytes = given_bytes(index);
    const uint8_t *given = vectors;
    uint32_t started = 0;
    for (uint64_t i = 0; i < count; i++) {
        FR_TRY(check_vector(index, given + i * bytes, i, err));
        FR_TRY(check_type(index, given + i * bytes, i, err));
    }
    pthread_t workers[64];
    threads = threads == 0 ? 1 : FR_MIN(threads, 64u);
    atomic_store(&index->stop_linking, false);
    while (started + 1 < threads && pthread_create(&workers[started], NULL, link_until_stopped, index) == 0) started++;
    fr_code code = FR_OK;
    for (uint64_t i = 0; i < count && code == FR_OK; i++) {
        code = add_one(index, ids[i], given + i * bytes, err);
        if (i % 256 == 0) fr_table_maintain(index->table, index->commit);
        /* many rows are linked faster in bulk, once all of them are there */
        bool help = count < index->table->bulk_min && unlinked(index->table) > HELP_UNLINKED;
        if (help || many_dead(index->table)) fr_table_help_step(index->table);
    }
    while (unlinked(index->table) != 0)
        if (!fr_table_link_step(index->table)) usleep(20);
    while (fr_table_link_step(index->table)) {}
    atomic_store(&index->stop_linking, true);
    while (started > 0) pthread_join(workers[--started], NULL);
    fr_table_maintain(index->table, index->commit);
    return code;
}

fr_code fr_index_remove(fr_index *index, const int64_t *ids, uint64_t count, uint64_t *removed_out)
{
    uint64_t removed = 0;
    for (uint64_t i = 0; i < count; i++) {
        char room[24];
        bool existed;
        FR_TRY(fr_table_remove(index->table, key_of(ids[i], room), index->next_offset++, ++index->commit, &existed));
        removed += existed;
        atomic_store_explicit(&index->visible, index->commit, memory_order_release);
        if (i % 256 == 0) fr_table_maintain(index->table, index->commit);
        if (many_dead(index->table)) fr_table_link_step(index->table);
    }
    while (fr_table_link_step(index->table)) fr_table_maintain(index->table, index->commit);
    fr_table_maintain(index->table, index->commit);
    if (removed_out != NULL) *removed_out = removed;
    return FR_OK;
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
static void take_ids(const fr_search_job *job, uint64_t from, uint32_t count, const fr_row_hit *hits, const uint32_t *found)
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
        int64_t *ids = job->ids + (from + i) * job->k;
        float *distances = job->distances + (from + i) * job->k;
        for (uint32_t j = 0; j < job->k; j++) {
            fr_blob blob;
            if (j < found[i]) fr_row_blob(t, mine[j].row, &blob);
            ids[j] = j < found[i] ? id_of(blob.key) : -1;
            distances[j] = j < found[i] ? mine[j].distance : INFINITY;
        }
    }
}

#define BATCH_QUERIES 32u /* under one epoch: a few milliseconds at most */

static void *search_range(void *argument)
{
    fr_search_job *job = argument;
    fr_index *index = job->index;
    size_t bytes = given_bytes(index);
    uint32_t lanes = 0, found[BATCH_QUERIES];
    uint32_t want = job->count > 1 ? FR_FLIGHT : 1, batch = job->ef > 1024 ? 4 : BATCH_QUERIES;
    fr_table_query queries[BATCH_QUERIES];
    fr_scratch *scratches[FR_FLIGHT_MAX];
    while (lanes < want && (scratches[lanes] = fr_scratch_borrow()) != NULL) lanes++;
    fr_row_hit *hits = fr_alloc(FR_MEM_SEARCH, (size_t)batch * job->k * sizeof *hits);
    job->code = lanes != 0 && hits != NULL ? FR_OK : fr_fail(&job->err, FR_ERR_NO_MEMORY, NULL, "no memory to search");
    for (uint64_t at = 0; at < job->count && job->code == FR_OK; at += batch) {
        uint32_t count = (uint32_t)FR_MIN(job->count - at, (uint64_t)batch);
        fr_table_enter(index->table, scratches[0]);
        uint64_t visible = atomic_load_explicit(&index->visible, memory_order_acquire);
        for (uint32_t i = 0; i < count; i++)
            queries[i] = (fr_table_query){.vector = job->queries + (at + i) * bytes, .k = job->k, .ef = job->ef, .visible = visible};
        job->code = fr_table_search_many(index->table, scratches, lanes, queries, count, hits, found, &job->err);
        if (job->code == FR_OK) take_ids(job, at, count, hits, found);
        fr_table_leave(index->table, scratches[0]);
    }
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
    for (uint64_t i = 0; i < query_count; i++) FR_TRY(check_vector(index, given + i * bytes, i, err));
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
    for (uint64_t i = 0; i < count; i++) {
        char room[24];
        uint8_t *vector = vectors_out == NULL ? NULL : (uint8_t *)vectors_out + i * bytes;
        fr_table_enter(index->table, s);
        uint32_t row = fr_table_find(index->table, key_of(ids[i], room), atomic_load_explicit(&index->visible, memory_order_acquire));
        present_out[i] = row != FR_ROW_NONE;
        if (vector != NULL && row != FR_ROW_NONE) fr_table_vector(index->table, row, vector);
        else if (vector != NULL) memset(vector, 0, bytes);
        fr_table_leave(index->table, s);
    }
    fr_scratch_return(s);
    return FR_OK;
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
    uint64_t visible = atomic_load_explicit(&index->visible, memory_order_acquire);
    fr_code code = fr_table_ef_for(index->table, s, visible, recall, k, ef_out, measured_out, err);
    fr_scratch_return(s);
    return code;
}

uint64_t fr_index_size(const fr_index *index) { return atomic_load_explicit(&index->table->live, memory_order_relaxed); }

uint64_t fr_index_memory(const fr_index *index)
{
    fr_table_stats stats;
    fr_table_stats_get(index->table, &stats);
    return stats.bytes;
}

/* ==== files: header, then {id u64, size u64, crc32c u32, zero u32, data padded to 64} per chunk, then an end mark ==== */

#define FILE_MAGIC 0x5844494646525446ull /* "FTRFFIDX" */
#define FILE_VERSION 1u
#define END_ID UINT64_MAX

typedef struct fr_file_header {
    uint64_t magic;
    uint32_t version, dimension, metric, codes, m, ef_construction;
    int64_t at;
    uint32_t crc, zero;
} fr_file_header;
_Static_assert(sizeof(fr_file_header) == 48, "48 bytes");

typedef struct fr_file_chunk {
    uint64_t id, size;
    uint32_t crc, zero;
} fr_file_chunk;

static fr_code put_bytes(FILE *file, const void *data, size_t size, fr_err *err)
{
    if (fwrite(data, 1, size, file) == size) return FR_OK;
    return fr_fail(err, errno == ENOSPC ? FR_ERR_DISK_FULL : FR_ERR_IO, NULL, "write failed: %s", strerror(errno));
}

static fr_code file_chunk(fr_sink *sink, uint64_t id, const void *data, size_t size, fr_err *err)
{
    fr_file_chunk head = {id, size, fr_simd_crc32c(0, data, size), 0};
    FR_TRY(put_bytes(sink->user, &head, sizeof head, err));
    return put_bytes(sink->user, data, size, err);
}

static fr_code file_keep(fr_sink *sink, uint64_t id, fr_err *err)
{
    (void)sink, (void)id;
    return fr_fail(err, FR_ERR_INTERNAL, NULL, "a full save keeps nothing");
}

fr_code fr_index_save_file(fr_index *index, const char *path, fr_err *err)
{
    char temporary[4096];
    if (snprintf(temporary, sizeof temporary, "%s.tmp", path) >= (int)sizeof temporary)
        return fr_fail(err, FR_ERR_INVALID, "path", "path is too long");
    FILE *file = fopen(temporary, "wb");
    if (file == NULL) return fr_fail(err, FR_ERR_IO, "path", "cannot create %s: %s", temporary, strerror(errno));
    const fr_table_options *o = fr_table_settings(index->table);
    fr_offset at = index->next_offset - 1;
    uint32_t kinds = o->codes | (uint32_t)o->profile << 8 | (uint32_t)o->vectors << 16 | (uint32_t)o->type << 24;
    fr_file_header header = {.magic = FILE_MAGIC, .version = FILE_VERSION, .dimension = o->dimension, .metric = o->metric,
                             .codes = kinds, .m = o->m, .ef_construction = o->ef_construction, .at = at};
    header.crc = fr_simd_crc32c(0, &header, offsetof(fr_file_header, crc));
    fr_sink sink = {.chunk = file_chunk, .keep = file_keep, .user = file};
    fr_code code = put_bytes(file, &header, sizeof header, err);
    if (code == FR_OK) code = fr_table_save_begin(index->table, at, true, err);
    if (code == FR_OK) {
        code = fr_table_save(index->table, &sink, err);
        fr_table_save_end(index->table, code == FR_OK);
    }
    if (code == FR_OK) code = file_chunk(&sink, END_ID, "", 0, err);
    if (fflush(file) != 0 || fdatasync(fileno(file)) != 0)
        code = code != FR_OK ? code : fr_fail(err, FR_ERR_IO, "path", "cannot write %s: %s", temporary, strerror(errno));
    fclose(file);
    if (code == FR_OK && rename(temporary, path) != 0)
        code = fr_fail(err, FR_ERR_IO, "path", "cannot rename %s: %s", temporary, strerror(errno));
    if (code != FR_OK) unlink(temporary);
    return code;
}

typedef struct fr_file_place {
    uint64_t id, at, size;
    uint32_t crc;
} fr_file_place;

/* A file being loaded: where its chunks are, and the bytes of one chunk at a time. */
typedef struct fr_file_source {
    FILE *in;
    uint64_t size;
    fr_file_place *places;
    size_t count, capacity, next; /* next: chunks are mostly asked for in file order */
    uint8_t *room;
    size_t room_size;
} fr_file_source;

static bool read_at(fr_file_source *file, uint64_t at, void *to, size_t size)
{
    return fseeko(file->in, (off_t)at, SEEK_SET) == 0 && fread(to, 1, size, file->in) == size;
}

static fr_code file_read(fr_file_source *file, const fr_file_place *place, fr_err *err)
{
    if (place->size > file->room_size) {
        fr_free(FR_MEM_ROWS, file->room);
        file->room_size = 0;
        file->room = fr_alloc_aligned(FR_MEM_ROWS, 64, place->size);
        if (file->room == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory to load an index");
        file->room_size = place->size;
    }
    if (!read_at(file, place->at, file->room, place->size))
        return fr_fail(err, FR_ERR_IO, "path", "cannot read the chunk at byte %llu", (unsigned long long)place->at);
    if (fr_simd_crc32c(0, file->room, place->size) == place->crc) return FR_OK;
    return fr_fail(err, FR_ERR_CORRUPT, NULL, "checksum of the chunk at byte %llu is wrong", (unsigned long long)place->at);
}

/* The bytes stay until the next chunk is asked for: a table copies what it loads. */
static fr_code file_find(fr_source *source, uint64_t id, void **data_out, size_t *size_out, fr_err *err)
{
    fr_file_source *file = source->user;
    for (size_t i = 0; i < file->count; i++) {
        size_t at = (file->next + i) % file->count;
        if (file->places[at].id != id) continue;
        FR_TRY(file_read(file, &file->places[at], err));
        file->next = at + 1;
        *data_out = file->room;
        *size_out = file->places[at].size;
        return FR_OK;
    }
    return FR_ERR_NOT_FOUND;
}

static fr_code add_place(fr_file_source *file, const fr_file_place *place)
{
    if (file->count == file->capacity) {
        size_t capacity = FR_MAX((size_t)64, file->capacity * 2);
        fr_file_place *more = fr_alloc(FR_MEM_ROWS, capacity * sizeof *more);
        if (more == NULL) return FR_ERR_NO_MEMORY;
        if (file->count != 0) memcpy(more, file->places, file->count * sizeof *more);
        fr_free(FR_MEM_ROWS, file->places);
        file->places = more;
        file->capacity = capacity;
    }
    file->places[file->count++] = *place;
    return FR_OK;
}

static fr_code list_chunks(fr_file_source *file, fr_err *err)
{
    for (uint64_t at = sizeof(fr_file_header); at + sizeof(fr_file_chunk) <= file->size;) {
        fr_file_chunk head;
        if (!read_at(file, at, &head, sizeof head)) return fr_fail(err, FR_ERR_IO, "path", "cannot read byte %llu", (unsigned long long)at);
        at += sizeof head;
        if (head.id == END_ID) return FR_OK;
        if (head.size > file->size - at) break;
        fr_file_place place = {.id = head.id, .at = at, .size = head.size, .crc = head.crc};
        if (add_place(file, &place) != FR_OK) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory to load an index");
        at += head.size;
    }
    return fr_fail(err, FR_ERR_CORRUPT, NULL, "the file is cut off at byte %llu", (unsigned long long)file->size);
}

static fr_code open_source(const char *path, fr_file_source *file, fr_file_header *header, fr_err *err)
{
    file->in = fopen(path, "rb");
    if (file->in == NULL)
        return fr_fail(err, errno == ENOENT ? FR_ERR_NOT_FOUND : FR_ERR_IO, "path", "cannot open %s: %s", path, strerror(errno));
    off_t size = fseeko(file->in, 0, SEEK_END) == 0 ? ftello(file->in) : -1;
    if (size < (off_t)sizeof *header) return fr_fail(err, FR_ERR_CORRUPT, "path", "%s is too short for an index", path);
    file->size = (uint64_t)size;
    if (!read_at(file, 0, header, sizeof *header)) return fr_fail(err, FR_ERR_IO, "path", "cannot read %s", path);
    if (header->magic != FILE_MAGIC || header->crc != fr_simd_crc32c(0, header, offsetof(fr_file_header, crc)))
        return fr_fail(err, FR_ERR_CORRUPT, "path", "%s is not a freshet index", path);
    if (header->version > FILE_VERSION)
        return fr_fail(err, FR_ERR_VERSION, "path", "%s has format %u, this freshet reads up to %u", path, header->version, FILE_VERSION);
    return list_chunks(file, err);
}

fr_code fr_index_open_file(const char *path, fr_index **index_out, fr_err *err)
{
    fr_file_source file = {0};
    fr_index *index = NULL;
    fr_file_header header = {0};
    fr_code code = open_source(path, &file, &header, err);
    if (code != FR_OK) goto out;
    index = fr_zalloc(FR_MEM_ROWS, sizeof *index);
    if (index == NULL) {
        code = fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for an index");
        goto out;
    }
    fr_table_options options = {.dimension = header.dimension, .metric = (fr_metric)header.metric, .codes = (fr_codes)(header.codes & 255),
                                .profile = (fr_profile)(header.codes >> 8 & 255), .vectors = (fr_vectors_at)(header.codes >> 16 & 255),
                                .type = (fr_type)(header.codes >> 24),
                                .m = header.m, .ef_construction = header.ef_construction, .seed = 42, .id_type = FR_ID_INT64};
    options.store = index->store = fr_alone_store_create(NULL);
    fr_source source = {.chunk = file_find, .user = &file};
    bool keeps;
    code = fr_table_load(&options, &source, header.at, &index->table, &keeps, err);
    if (code == FR_OK) {
        index->next_offset = header.at + 1;
        while (fr_table_link_step(index->table)) {}
        *index_out = index;
        index = NULL;
    }
out:
    fr_index_free(index);
    if (file.in != NULL) fclose(file.in);
    fr_free(FR_MEM_ROWS, file.places);
    fr_free(FR_MEM_ROWS, file.room);
    return code;
}
