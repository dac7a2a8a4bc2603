/* snapshot.c: a shard's table on disk: DIR/snap/<id>-<partition>/<generation>.chunks and two manifests.
 * Invariants
 *  1. A snapshot is the state at S exactly; replay goes on at S + 1.
 *  2. A chunk is never rewritten in place: changed ones go to the new generation's file, the others are named where
 * they are.
 *  3. Order on disk: chunks, fdatasync, directory, manifest.tmp, fdatasync, rename, directory. Until the rename the old
 * one holds.
 *  4. Every chunk's checksum is checked before a byte of it is used, and all of them before the table serves. Newest
 * snapshot bad: the older one; that one bad: the whole log.
 *  5. A file goes when neither of the two manifests names it. */
#include "server/engine/engine.h"

#include "simd/simd.h"

#include <stdio.h>
#include <stdlib.h>

#define ALIGNMENT   4096u
#define WRITE_BYTES (1u << 20)

void fr_snapshot_source_free(fr_snapshot_source *source)
{
    if (source == NULL) return;
    for (uint32_t i = 0; i < source->map_count; i++) {
        if (source->maps[i].map.data == NULL) continue;
        fr_mem_account(FR_MEM_ROWS, -(int64_t)source->maps[i].size);
        source->io->unmap(source->io, &source->maps[i].map);
    }
    fr_free(FR_MEM_ENGINE, source->maps);
    fr_free(FR_MEM_ENGINE, source->checked);
    fr_free(FR_MEM_ENGINE, source);
}

static void chunks_path(char *path, size_t size, const char *dir, uint64_t generation)
{
    snprintf(path, size, "%s/%llu.chunks", dir, (unsigned long long)generation);
}

/* ==== loading ==== */

static int order_by_place(const void *a, const void *b)
{
    const fr_chunk_ref *x = a, *y = b;
    if (x->generation != y->generation) return x->generation > y->generation ? 1 : -1;
    return (x->position > y->position) - (x->position < y->position);
}

static uint64_t padded(uint64_t size) { return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

/* Neighbours in a file become one run, one map. */
static fr_code plan_runs(fr_snapshot_source *source, fr_manifest *m)
{
    fr_chunk_ref *sorted = fr_alloc(FR_MEM_ENGINE, FR_MAX(m->count, 1u) * sizeof *sorted);
    source->maps = fr_zalloc(FR_MEM_ENGINE, FR_MAX(m->count, 1u) * sizeof *source->maps);
    source->checked = fr_zalloc(FR_MEM_ENGINE, FR_MAX(m->count, 1u));
    if (sorted == NULL || source->maps == NULL || source->checked == NULL) {
        fr_free(FR_MEM_ENGINE, sorted);
        return FR_ERR_NO_MEMORY;
    }
    if (m->count != 0) memcpy(sorted, m->chunks, m->count * sizeof *sorted);
    qsort(sorted, m->count, sizeof *sorted, order_by_place);
    for (uint32_t i = 0; i < m->count; i++) {
        if (sorted[i].size == 0) continue;
        struct fr_snapshot_run *last = source->map_count > 0 ? &source->maps[source->map_count - 1] : NULL;
        if (last != NULL && last->generation == sorted[i].generation &&
            last->position + padded(last->size) >= sorted[i].position) {
            last->size = FR_MAX(last->size, sorted[i].position + sorted[i].size - last->position);
        } else {
            source->maps[source->map_count++] = (struct fr_snapshot_run){
                .generation = sorted[i].generation, .position = sorted[i].position, .size = sorted[i].size};
        }
    }
    fr_free(FR_MEM_ENGINE, sorted);
    return FR_OK;
}

static fr_code map_runs(fr_snapshot_source *source, const char *dir, fr_err *err)
{
    fr_io *io = source->io;
    for (uint32_t i = 0; i < source->map_count; i++) {
        struct fr_snapshot_run *run = &source->maps[i];
        char path[FR_PATH_MAX + 32];
        fr_file *file = NULL;
        uint64_t size = 0;
        chunks_path(path, sizeof path, dir, run->generation);
        FR_TRY(io->open(io, path, FR_OPEN_READ, &file, err));
        fr_code code = io->size(io, file, &size, err);
        if (code == FR_OK && size < run->position + run->size)
            code = fr_fail(err, FR_ERR_CORRUPT, NULL, "%s is cut short", path);
        if (code == FR_OK) code = io->map(io, file, run->position, run->size, &run->map, err);
        io->close(io, file);
        if (code != FR_OK) {
            run->map = (fr_io_map){.data = NULL};
            return code;
        }
        fr_mem_account(FR_MEM_ROWS, (int64_t)run->size);
    }
    return FR_OK;
}

static void *chunk_data(const fr_snapshot_source *source, const fr_chunk_ref *c)
{
    for (uint32_t low = 0, high = source->map_count; low < high;) {
        uint32_t middle = low + (high - low) / 2;
        const struct fr_snapshot_run *run = &source->maps[middle];
        if (run->generation < c->generation ||
            (run->generation == c->generation && run->position + run->size <= c->position))
            low = middle + 1;
        else if (run->generation > c->generation || run->position > c->position) high = middle;
        else return (uint8_t *)run->map.data + (c->position - run->position);
    }
    return NULL;
}

static fr_code check_chunk(const fr_snapshot_source *source, const fr_chunk_ref *c, const void *data, fr_err *err)
{
    uint8_t *checked = &source->checked[c - source->manifest->chunks];
    if (*checked == 0 && c->size != 0 && (data == NULL || fr_simd_crc32c(0, data, c->size) != c->crc32c))
        return fr_fail(err, FR_ERR_CORRUPT, NULL, "chunk %llx in %llu.chunks at %llu: the checksum is wrong",
                       (unsigned long long)c->id, (unsigned long long)c->generation, (unsigned long long)c->position);
    *checked = 1;
    return FR_OK;
}

/* What the table did not ask for. */
static fr_code check_rest(const fr_snapshot_source *source, fr_err *err)
{
    for (uint32_t i = 0; i < source->manifest->count; i++) {
        const fr_chunk_ref *c = &source->manifest->chunks[i];
        if (source->checked[i] == 0) FR_TRY(check_chunk(source, c, chunk_data(source, c), err));
    }
    return FR_OK;
}

typedef struct giving { /* the chunks of one of the shard's tables */
    const fr_snapshot_source *from;
    uint32_t index;
} giving;

static fr_code give_chunk(fr_source *source, uint64_t id, void **data_out, size_t *size_out, fr_err *err)
{
    const giving *g = source->user;
    const fr_chunk_ref *c = fr_manifest_find(g->from->manifest, id | (uint64_t)g->index << FR_CHUNK_INDEX_SHIFT);
    if (c == NULL || c->id == FR_CHUNK_EVENT_IDS)
        return fr_fail(err, FR_ERR_NOT_FOUND, NULL, "no chunk %llx", (unsigned long long)id);
    *data_out = c->size != 0 ? chunk_data(g->from, c) : NULL;
    *size_out = c->size;
    return check_chunk(g->from, c, *data_out, err);
}

static fr_code map_pages(const fr_snapshot_source *from, const fr_chunk_ref *c, size_t size, void *to, fr_err *err)
{
    char dir[FR_PATH_MAX], path[FR_PATH_MAX + 32];
    fr_file *file = NULL;
    FR_TRY(fr_engine_shard_path(from->shard, "snap", dir));
    chunks_path(path, sizeof path, dir, c->generation);
    FR_TRY(from->io->open(from->io, path, FR_OPEN_READ, &file, err));
    fr_code code = from->io->map_over(from->io, file, c->position, size, to, err);
    from->io->close(from->io, file);
    return code;
}

/* Chunks that follow each other in a file, as one mapping. Checksums are taken of the bytes where they will be used. */
static fr_code give_over(fr_source *source, uint64_t first, uint32_t count, void *to, size_t size, uint32_t *done_out, fr_err *err)
{
    const giving *g = source->user;
    const fr_snapshot_source *from = g->from;
    first |= (uint64_t)g->index << FR_CHUNK_INDEX_SHIFT;
    const fr_chunk_ref *c = fr_manifest_find(from->manifest, first);
    *done_out = 0;
    if (c == NULL || c->size != size || c->position % ALIGNMENT != 0 || size < ALIGNMENT) return FR_OK;
    uint32_t left = from->manifest->count - (uint32_t)(c - from->manifest->chunks), n = 1;
    while (n < FR_MIN(left, count) && c[n].id == first + n && c[n].size == size && c[n].generation == c->generation &&
           c[n].position == c->position + n * size)
        n++;
    size_t whole = n * size / ALIGNMENT * ALIGNMENT;
    FR_TRY(map_pages(from, c, whole, to, err));
    if (whole < n * size) memcpy((uint8_t *)to + whole, (uint8_t *)chunk_data(from, c) + whole, n * size - whole);
    for (uint32_t i = 0; i < n; i++) FR_TRY(check_chunk(from, &c[i], (uint8_t *)to + i * size, err));
    *done_out = n;
    return FR_OK;
}

static bool give_place(fr_source *source, uint64_t id, uint32_t *file_out, uint64_t *at_out)
{
    const giving *g = source->user;
    const fr_chunk_ref *c = fr_manifest_find(g->from->manifest, id | (uint64_t)g->index << FR_CHUNK_INDEX_SHIFT);
    char dir[FR_PATH_MAX], path[FR_PATH_MAX + 32];
    if (c == NULL || fr_engine_shard_path(g->from->shard, "snap", dir) != FR_OK) return false;
    chunks_path(path, sizeof path, dir, c->generation);
    *at_out = c->position;
    return fr_originals_attach(g->from->shard->indexes[g->index].originals, path, c->generation, file_out);
}

static fr_code load_tables(const fr_snapshot_source *source, fr_table *tables[FR_VECTOR_FIELDS_MAX], bool *keeps_out, fr_err *err)
{
    fr_shard *shard = source->shard;
    fr_manifest *m = source->manifest;
    for (uint32_t i = 0; i < shard->index_count; i++) {
        fr_table_options options;
        bool keeps = false;
        giving g = {.from = source, .index = i};
        fr_source give = {.chunk = give_chunk, .place = give_place, .over = source->io->map_over != NULL ? give_over : NULL, .user = &g};
        FR_TRY(fr_engine_table_options(shard, i, &options));
        if (i == 0 && m->dimension != options.dimension)
            return fr_fail(err, FR_ERR_CORRUPT, NULL, "the snapshot is of another dimension");
        if (m->builds[i] != fr_schema_of(shard->collection)->builds[i])
            return fr_fail(err, FR_ERR_CORRUPT, NULL, "the snapshot is of before an index was ordered anew");
        FR_TRY(fr_table_load(&options, &give, m->at, &tables[i], &keeps, err));
        *keeps_out = *keeps_out || keeps;
    }
    return FR_OK;
}

static fr_code load_event_ids(const fr_snapshot_source *source, fr_event_ids *ids, fr_err *err)
{
    const fr_chunk_ref *c = fr_manifest_find(source->manifest, FR_CHUNK_EVENT_IDS);
    if (c == NULL || c->size == 0) return FR_OK;
    if (c->size % sizeof(fr_event_id) != 0 || c->size / sizeof(fr_event_id) > FR_EVENT_IDS_KEPT)
        return fr_fail(err, FR_ERR_CORRUPT, NULL, "the event ids of a snapshot have a wrong size");
    return fr_event_ids_load(ids, chunk_data(source, c), (uint32_t)(c->size / sizeof(fr_event_id)));
}

static fr_code load_one(fr_shard *shard, const char *dir, fr_manifest *m, fr_event_ids *ids, fr_err *err)
{
    fr_table *tables[FR_VECTOR_FIELDS_MAX] = {NULL};
    bool keeps = false;
    fr_snapshot_source *source = fr_zalloc(FR_MEM_ENGINE, sizeof *source);
    if (source == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory");
    source->io = shard->collection->db->io;
    source->manifest = m;
    source->shard = shard;
    fr_code code = plan_runs(source, m);
    if (code == FR_OK) code = map_runs(source, dir, err);
    if (code == FR_OK) code = load_tables(source, tables, &keeps, err);
    if (code == FR_OK) code = check_rest(source, err);
    if (code == FR_OK) code = load_event_ids(source, ids, err);
    for (uint32_t i = 0; i < shard->index_count && code != FR_OK; i++) fr_table_free(tables[i]);
    if (code != FR_OK || !keeps) {
        fr_snapshot_source_free(source);
        source = NULL;
    }
    FR_TRY(code);
    shard->source = source;
    for (uint32_t i = shard->index_count; i-- > 0;) {
        shard->indexes[i].build = m->builds[i];
        atomic_store_explicit(&shard->indexes[i].table, tables[i], memory_order_release);
    }
    atomic_store(&shard->snapshot, m->at);
    atomic_store(&shard->applied, m->at);
    atomic_store(&shard->log_records, m->log_records);
    shard->compacted_bytes = m->compacted_bytes;
    return FR_OK;
}

static uint64_t bytes_named(const fr_manifest *m)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < m->count; i++) bytes += m->chunks[i].size;
    return bytes;
}

fr_code fr_snapshot_load(fr_shard *shard, fr_event_ids *ids, fr_err *err)
{
    fr_db *db = shard->collection->db;
    char dir[FR_PATH_MAX];
    fr_manifest *found[2];
    uint32_t count, bad, good = 2;
    FR_TRY(fr_engine_shard_path(shard, "snap", dir));
    FR_TRY(fr_manifest_load_all(db->io, dir, found, &count, &bad, err));
    atomic_fetch_add_explicit(&db->snapshot_fallbacks, bad, memory_order_relaxed);
    for (uint32_t i = 0; i < count && good == 2; i++) {
        fr_err why = {0};
        fr_code code = load_one(shard, dir, found[i], ids, &why);
        if (code == FR_OK) good = i;
        else if (code == FR_ERR_NO_MEMORY || code == FR_ERR_VERSION) {
            for (uint32_t j = 0; j < count; j++) fr_manifest_free(found[j]);
            return fr_fail(err, code, why.field, "%s", why.text);
        } else {
            atomic_fetch_add_explicit(&db->snapshot_fallbacks, 1, memory_order_relaxed);
            fr_note(FR_NOTE_WARN, "event=bad_snapshot collection=%llu partition=%d generation=%llu text=\"%s\"",
                    (unsigned long long)shard->collection->id, shard->partition,
                    (unsigned long long)found[i]->generation, why.text);
        }
    }
    /* The next generation must be above every one that was used, and go to the slot that holds nothing good. */
    for (uint32_t i = 0; i < count; i++) shard->generation = FR_MAX(shard->generation, found[i]->generation);
    shard->save_full = good != 0 || bad != 0;
    if (bad != 0) shard->generation += 2;
    if (good < 2) {
        shard->newest = found[good];
        shard->oldest_at = found[count - 1]->at;
        atomic_store(&shard->snapshot_bytes, bytes_named(found[good]));
        if (((shard->generation + 1) & 1u) == (found[good]->generation & 1u)) shard->generation++;
    }
    for (uint32_t i = 0; i < count; i++)
        if (i != good) fr_manifest_free(found[i]);
    return FR_OK;
}

/* ==== writing ==== */

typedef struct writing {
    fr_shard *shard;
    fr_io *io;
    fr_file *file;
    uint64_t position;
    fr_manifest *m;
    uint32_t index; /* whose table is written */
} writing;

static fr_chunk_ref *add_entry(fr_manifest *m)
{
    if (m->count == m->capacity) {
        uint32_t capacity = FR_MAX(64u, m->capacity * 2);
        fr_chunk_ref *grown = fr_realloc(FR_MEM_ENGINE, m->chunks, capacity * sizeof *grown);
        if (grown == NULL) return NULL;
        m->chunks = grown;
        m->capacity = capacity;
    }
    return &m->chunks[m->count++];
}

static fr_code put_chunk(fr_sink *sink, uint64_t id, const void *data, size_t size, fr_err *err)
{
    writing *w = sink->user;
    fr_chunk_ref *entry = add_entry(w->m);
    if (entry == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a manifest");
    /* What is written may change under us (links are hints, read again as such): checksum and bytes must be of one
     * reading. */
    uint8_t *copy = fr_alloc(FR_MEM_ENGINE, FR_MIN(size, WRITE_BYTES));
    if (copy == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a snapshot");
    uint32_t crc = 0;
    fr_code code = FR_OK;
    for (size_t at = 0, part; at < size && code == FR_OK; at += part) {
        part = FR_MIN(size - at, (size_t)WRITE_BYTES);
        memcpy(copy, (const uint8_t *)data + at, part);
        crc = fr_simd_crc32c(crc, copy, part);
        code = w->io->write(w->io, w->file, w->position + at, copy, part, err);
    }
    fr_free(FR_MEM_ENGINE, copy);
    if (id != FR_CHUNK_EVENT_IDS) id |= (uint64_t)w->index << FR_CHUNK_INDEX_SHIFT;
    *entry = (fr_chunk_ref){id, w->m->generation, w->position, size, crc};
    w->position += padded(size);
    return code;
}

static fr_code keep_chunk(fr_sink *sink, uint64_t id, fr_err *err)
{
    writing *w = sink->user;
    id |= (uint64_t)w->index << FR_CHUNK_INDEX_SHIFT;
    const fr_chunk_ref *before = w->shard->newest != NULL ? fr_manifest_find(w->shard->newest, id) : NULL;
    if (before == NULL)
        return fr_fail(err, FR_ERR_INTERNAL, NULL, "chunk %llx is in no snapshot", (unsigned long long)id);
    fr_chunk_ref *entry = add_entry(w->m);
    if (entry == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a manifest");
    *entry = *before;
    return FR_OK;
}

static fr_code put_event_ids(writing *w, fr_offset at, fr_err *err)
{
    fr_event_id *entries;
    uint32_t count;
    fr_sink sink = {.user = w};
    FR_TRY(fr_event_ids_copy(&w->shard->ids, at, &entries, &count));
    fr_code code = count != 0 ? put_chunk(&sink, FR_CHUNK_EVENT_IDS, entries, count * sizeof *entries, err) : FR_OK;
    fr_free(FR_MEM_ENGINE, entries);
    return code;
}

static int order_by_id(const void *a, const void *b)
{
    uint64_t x = ((const fr_chunk_ref *)a)->id, y = ((const fr_chunk_ref *)b)->id;
    return (x > y) - (x < y);
}

static fr_code write_chunks(writing *w, const char *dir, fr_offset at, fr_err *err)
{
    char path[FR_PATH_MAX + 32];
    chunks_path(path, sizeof path, dir, w->m->generation);
    fr_code code = w->io->remove(w->io, path, NULL); /* an attempt that did not end */
    if (code != FR_OK && code != FR_ERR_NOT_FOUND) return fr_fail(err, code, NULL, "cannot remove %s", path);
    FR_TRY(w->io->open(w->io, path, FR_OPEN_READ | FR_OPEN_WRITE | FR_OPEN_CREATE, &w->file, err));
    fr_sink sink = {.chunk = put_chunk, .keep = keep_chunk, .user = w};
    for (; w->index < w->shard->index_count && code != FR_ERR_NO_MEMORY; w->index++) {
        code = fr_table_save(fr_shard_table_of(w->shard, w->index), &sink, err);
        if (code != FR_OK) break;
    }
    if (code == FR_OK) code = put_event_ids(w, at, err);
    if (code == FR_OK) code = w->io->sync(w->io, w->file, err);
    w->io->close(w->io, w->file);
    if (code == FR_OK) code = w->io->sync_dir(w->io, dir, err);
    return code;
}

/* Garbage: bytes in the files that this manifest names, beyond those it names. Above half, the next snapshot is a full
 * one. */
static bool mostly_garbage(const writing *w, const char *dir)
{
    uint64_t held = 0, named = bytes_named(w->m), seen[64];
    uint32_t seen_count = 0;
    for (uint32_t i = 0; i < w->m->count; i++) {
        uint64_t generation = w->m->chunks[i].generation, size = 0;
        uint32_t s = 0;
        while (s < seen_count && seen[s] != generation) s++;
        if (s < seen_count) continue;
        if (seen_count == FR_COUNT_OF(seen)) return true; /* too many files: each costs a map when opening */
        seen[seen_count++] = generation;
        char path[FR_PATH_MAX + 32];
        fr_file *file = NULL;
        chunks_path(path, sizeof path, dir, generation);
        if (w->io->open(w->io, path, FR_OPEN_READ, &file, NULL) == FR_OK) {
            if (w->io->size(w->io, file, &size, NULL) == FR_OK) held += size;
            w->io->close(w->io, file);
        }
    }
    return held > named * 2 + (1u << 20);
}

fr_code fr_snapshot_write(fr_db *db, fr_shard *shard, fr_err *err)
{
    char dir[FR_PATH_MAX], parent[FR_PATH_MAX + 8];
    FR_TRY(fr_engine_shard_path(shard, "snap", dir));
    snprintf(parent, sizeof parent, "%s/snap", db->dir);
    FR_TRY(db->io->make_dir(db->io, dir, err));
    FR_TRY(db->io->sync_dir(db->io, parent, err));
    fr_manifest *m = fr_zalloc(FR_MEM_ENGINE, sizeof *m);
    if (m == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory");
    writing w = {.shard = shard, .io = db->io, .m = m};
    m->generation = shard->generation + 1;
    m->at = db->save.at;
    m->created_ms = db->io->now_ms(db->io);
    m->log_records = db->save.log_records;
    m->compacted_bytes = shard->compacted_bytes;
    m->dimension = fr_table_settings(fr_shard_table(shard))->dimension;
    for (uint32_t i = 0; i < shard->index_count; i++) m->builds[i] = shard->indexes[i].build; /* no swap while a save is on */
    bool reshaped = atomic_exchange(&shard->reshaped, false);
    fr_code code = write_chunks(&w, dir, m->at, err);
    if (code == FR_OK) {
        qsort(m->chunks, m->count, sizeof *m->chunks, order_by_id);
        code = fr_manifest_write(db->io, dir, m, err);
    }
    if (code != FR_OK) {
        char path[FR_PATH_MAX + 32]; /* half a snapshot must not keep a full disk full */
        chunks_path(path, sizeof path, dir, m->generation);
        if (code == FR_ERR_DISK_FULL) (void)!db->io->remove(db->io, path, NULL);
        fr_manifest_free(m);
        if (reshaped) atomic_store(&shard->reshaped, true);
        shard->save_full = true; /* what the failed attempt wrote counts for nothing */
        return code;
    }
    shard->oldest_at = shard->newest != NULL ? shard->newest->at : m->at;
    if (shard->newest == NULL) shard->oldest_at = FR_MIN(shard->oldest_at, m->at);
    shard->save_full = mostly_garbage(&w, dir);
    fr_manifest_free(shard->newest);
    shard->newest = m;
    shard->generation = m->generation;
    atomic_store(&shard->snapshot_bytes, bytes_named(m));
    atomic_store(&shard->snapshot, m->at);
    fr_snapshot_tidy(shard);
    return FR_OK;
}

fr_code fr_snapshot_equalise(fr_shard *shard, fr_err *err)
{
    fr_db *db = shard->collection->db;
    char dir[FR_PATH_MAX];
    if (shard->newest == NULL || shard->oldest_at == shard->newest->at) return FR_OK;
    FR_TRY(fr_engine_shard_path(shard, "snap", dir));
    uint64_t generation = shard->newest->generation;
    shard->newest->generation = shard->generation + 1;
    fr_code code = fr_manifest_write(db->io, dir, shard->newest, err);
    if (code != FR_OK) {
        shard->newest->generation = generation;
        return code;
    }
    shard->generation++;
    shard->oldest_at = shard->newest->at;
    fr_snapshot_tidy(shard);
    return FR_OK;
}

/* ==== files that nobody names ==== */

typedef struct tidy_state {
    fr_shard *shard;
    fr_manifest *manifests[2];
    uint32_t count;
    uint64_t *gone;
    uint32_t gone_count, gone_capacity;
} tidy_state;

static void look_at_file(void *user, const char *name)
{
    tidy_state *state = user;
    unsigned long long generation;
    int used = 0;
    if (sscanf(name, "%20llu.chunks%n", &generation, &used) != 1 || used == 0 || name[used] != 0) return;
    for (uint32_t i = 0; i < state->count; i++)
        for (uint32_t c = 0; c < state->manifests[i]->count; c++)
            if (state->manifests[i]->chunks[c].generation == generation) return;
    if (state->gone_count == state->gone_capacity) {
        uint32_t capacity = FR_MAX(16u, state->gone_capacity * 2);
        uint64_t *grown = fr_realloc(FR_MEM_ENGINE, state->gone, capacity * sizeof *grown);
        if (grown == NULL) return;
        state->gone = grown;
        state->gone_capacity = capacity;
    }
    state->gone[state->gone_count++] = generation;
}

void fr_snapshot_tidy(fr_shard *shard)
{
    fr_io *io = shard->collection->db->io;
    char dir[FR_PATH_MAX];
    tidy_state state = {.shard = shard};
    uint32_t bad;
    if (fr_engine_shard_path(shard, "snap", dir) != FR_OK) return;
    if (fr_manifest_load_all(io, dir, state.manifests, &state.count, &bad, NULL) != FR_OK) return;
    if (bad == 0 && io->list(io, dir, look_at_file, &state, NULL) == FR_OK)
        for (uint32_t i = 0; i < state.gone_count; i++) {
            char path[FR_PATH_MAX + 32];
            chunks_path(path, sizeof path, dir, state.gone[i]);
            (void)!io->remove(
                io, path, NULL); /* a mapped file lives on until it is unmapped; a failure is tried again next time */
        }
    for (uint32_t i = 0; i < state.count; i++) fr_manifest_free(state.manifests[i]);
    fr_free(FR_MEM_ENGINE, state.gone);
}

bool fr_engine_wants_snapshot(const fr_shard *shard, int64_t now_ms)
{
    const fr_options *options = &shard->collection->db->options;
    if (fr_shard_table(shard) == NULL) return false;
    if (atomic_load(&shard->reshaped)) return true; /* until then a start replays the whole log */
    if (atomic_load(&shard->applied) <= atomic_load(&shard->snapshot)) return false;
    int64_t changed_ms = atomic_load_explicit(&shard->changed_ms, memory_order_relaxed);
    uint64_t bytes = fr_log_bytes(fr_shard_log(shard));
    return bytes - FR_MIN(shard->log_bytes_at_snapshot, bytes) >= options->snapshot_bytes ||
           (changed_ms != 0 && now_ms - changed_ms >= options->snapshot_ms);
}
