/* producer_state.c: the producers of a partition across restarts. Two files take turns, PRODUCERS-0 and -1 beside the snapshots;
 * each holds the state of a log that reaches `at`, and is written only when all up to there is applied (so every round that it
 * belongs to is durable): what it says was written can never be lost. Behind `at` the log's batch headers tell the rest. Without a file all of them do. For a
 * collection that has a snapshot but no such file there were no producers up to the snapshot: saving one saves the other. */
#include "server/engine/engine.h"

#include <stdio.h>

#define READ_BYTES (4u << 20)

static void state_path(const fr_shard *shard, uint32_t slot, char path[FR_PATH_MAX + 16])
{
    char dir[FR_PATH_MAX];
    if (fr_engine_shard_path(shard, "snap", dir) != FR_OK) dir[0] = 0;
    snprintf(path, FR_PATH_MAX + 16, "%s/PRODUCERS-%u", dir, slot);
}

static fr_code read_file(fr_io *io, const char *path, uint8_t **data_out, size_t *size_out, fr_err *err)
{
    fr_file *file;
    uint64_t size = 0;
    *data_out = NULL;
    FR_TRY(io->open(io, path, FR_OPEN_READ, &file, err));
    fr_code code = io->size(io, file, &size, err);
    if (code == FR_OK && size > FR_REQUEST_BYTES_MAX * 4ull) code = fr_fail(err, FR_ERR_CORRUPT, NULL, "%s is too large", path);
    if (code == FR_OK) *data_out = fr_alloc(FR_MEM_ENGINE, size + 1);
    if (code == FR_OK && *data_out == NULL) code = fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory");
    if (code == FR_OK) code = io->read(io, file, 0, *data_out, size, size_out, err);
    io->close(io, file);
    return code;
}

static fr_code load_slots(fr_shard *shard, fr_offset *at_out, bool *damaged_out, fr_err *err)
{
    fr_io *io = shard->collection->db->io;
    fr_producers *best = NULL;
    *at_out = -1;
    *damaged_out = false;
    for (uint32_t slot = 0; slot < 2; slot++) {
        char path[FR_PATH_MAX + 16];
        uint8_t *data;
        size_t size = 0;
        fr_producers *one = NULL;
        fr_offset at = -1;
        state_path(shard, slot, path);
        fr_code code = read_file(io, path, &data, &size, err);
        bool there = code != FR_ERR_NOT_FOUND;
        if (code == FR_OK) code = fr_producers_load(data, size, &one, &at, err);
        fr_free(FR_MEM_ENGINE, data);
        if (code == FR_ERR_NO_MEMORY || code == FR_ERR_VERSION) {
            fr_producers_free(best);
            return code;
        }
        bool bad = code != FR_OK ? there : at > fr_log_end(fr_shard_log(shard));
        if (bad) {
            *damaged_out = true;
            atomic_fetch_add_explicit(&shard->collection->db->snapshot_fallbacks, 1, memory_order_relaxed);
            fr_note(FR_NOTE_WARN, "event=producer_state_damaged path=%s text=\"%s\"", path, err->text);
        }
        if (code != FR_OK || bad || at <= *at_out) {
            fr_producers_free(one);
            continue;
        }
        fr_producers_free(best);
        best = one;
        *at_out = at;
        shard->producers_slot = slot;
    }
    atomic_store_explicit(&shard->producers, best, memory_order_release);
    return FR_OK;
}

/* A control batch's only record says whether it commits. */
fr_code fr_engine_marker(const uint8_t *batch, size_t size, fr_batch_reader **reader_io, bool *marker_out,
                         bool *commit_out, fr_err *err)
{
    fr_log_record record;
    *marker_out = false;
    FR_TRY(fr_batch_reader_open(batch, size, reader_io, err));
    if (!fr_batch_reader_next(*reader_io, &record) || record.key.size < 4) return FR_OK;
    uint16_t type = fr_load_be16((const uint8_t *)record.key.data + 2);
    *marker_out = type <= 1;
    *commit_out = type == 1;
    return FR_OK;
}

static fr_code follow(fr_shard *shard, const fr_view *view, fr_batch_reader **reader_io, fr_err *err)
{
    int64_t now_ms = shard->collection->db->io->now_ms(shard->collection->db->io);
    for (size_t at = 0, size; at < view->size; at += size) {
        fr_batch_header header;
        bool marker = false, commit = false;
        FR_TRY(fr_batch_check(view->data + at, view->size - at, &header, &size, err));
        if (header.producerId < 0) continue;
        fr_producers *producers;
        FR_TRY(fr_engine_producers_of(shard, &producers));
        FR_TRY(fr_producers_reserve(producers, 1));
        if (header.attributes & 0x20) FR_TRY(fr_engine_marker(view->data + at, size, reader_io, &marker, &commit, err));
        if (marker) fr_producers_end(producers, &header, commit, now_ms);
        else if (!(header.attributes & 0x20)) fr_producers_add(producers, &header, now_ms);
    }
    return FR_OK;
}

fr_code fr_engine_load_producers(fr_shard *shard, bool has_state, fr_err *err)
{
    fr_log *log = fr_shard_log(shard);
    fr_offset from = -1;
    fr_err ignored = {0};
    bool damaged = false;
    if (has_state) FR_TRY(load_slots(shard, &from, &damaged, &ignored));
    shard->producers_saved = from;
    /* No file: no producers up to the snapshot (plain topics have none: 0). A damaged one, and no other: all headers tell. */
    if (from < 0) from = damaged ? 0 : atomic_load(&shard->snapshot) + 1;
    from = FR_MAX(from, fr_log_start(log));
    fr_batch_reader *reader = NULL;
    fr_code code = FR_OK;
    fr_offset end = fr_log_end(log);
    while (code == FR_OK && from < end) {
        fr_view view;
        code = fr_log_read(log, from, -1, READ_BYTES, &view, err);
        bool empty = code == FR_OK && view.size == 0;
        if (code == FR_OK) code = follow(shard, &view, &reader, err);
        from = FR_MAX(view.next, from + 1);
        fr_view_release(&view);
        if (empty) break;
    }
    fr_batch_reader_close(reader);
    shard->producers_saved_bytes = shard->producers_saved >= 0 ? fr_log_bytes(log) : 0;
    return code;
}

/* ==== saving: keeper ==== */

bool fr_engine_wants_producers(const fr_shard *shard, bool forced)
{
    fr_log *log = fr_shard_log(shard);
    if (log == NULL || fr_shard_producers(shard) == NULL || fr_log_end(log) <= shard->producers_saved) return false;
    uint64_t bytes = fr_log_bytes(log);
    return forced || bytes - FR_MIN(shard->producers_saved_bytes, bytes) >= FR_PRODUCER_STATE_BYTES;
}

static fr_code write_state(fr_shard *shard, uint32_t slot, const uint8_t *data, size_t size, fr_err *err)
{
    fr_db *db = shard->collection->db;
    char dir[FR_PATH_MAX], path[FR_PATH_MAX + 16], made[FR_PATH_MAX + 24];
    fr_file *file;
    FR_TRY(fr_engine_shard_path(shard, "snap", dir));
    state_path(shard, slot, path);
    snprintf(made, sizeof made, "%s.new", path);
    FR_TRY(db->io->make_dir(db->io, dir, err));
    fr_code code = db->io->remove(db->io, made, err);
    if (code != FR_OK && code != FR_ERR_NOT_FOUND) return code;
    FR_TRY(db->io->open(db->io, made, FR_OPEN_READ | FR_OPEN_WRITE | FR_OPEN_CREATE, &file, err));
    code = db->io->write(db->io, file, 0, data, size, err);
    if (code == FR_OK) code = db->io->sync(db->io, file, err);
    db->io->close(db->io, file);
    if (code == FR_OK) code = db->io->rename(db->io, made, path, err);
    if (code == FR_OK) code = db->io->sync_dir(db->io, dir, err);
    char parent[FR_PATH_MAX + 8];
    snprintf(parent, sizeof parent, "%s/snap", db->dir);
    if (code == FR_OK) code = db->io->sync_dir(db->io, parent, err);
    return code;
}

fr_code fr_engine_save_producers(fr_shard *shard, fr_err *err)
{
    fr_log *log = fr_shard_log(shard);
    uint8_t *data;
    size_t size;
    /* What is durable was told to the producers before; a state taken between the two reads may know more than `before`, never
     * more than `after`; and batches that it has already change nothing when they are read again. */
    fr_io *io = shard->collection->db->io;
    fr_offset before = atomic_load(&shard->applied) + 1; /* applied: its whole round is durable, no torn request will be cut below it */
    fr_producers_expire(fr_shard_producers(shard), fr_log_start(log),
                        io->now_ms(io) - FR_PRODUCER_EXPIRY_MS);
    FR_TRY(fr_producers_save(fr_shard_producers(shard), before, &data, &size));
    fr_offset after = fr_log_end(log);
    for (uint32_t i = 0; i < 50 && atomic_load(&shard->applied) + 1 < after && !shard->collection->db->options.no_threads; i++)
        io->sleep_ms(io, 2);
    fr_code code = atomic_load(&shard->applied) + 1 >= after ? FR_OK : FR_ERR_BUSY;
    uint32_t slot = shard->producers_saved < 0 ? 0 : 1 - shard->producers_slot;
    if (code == FR_OK) code = write_state(shard, slot, data, size, err);
    fr_free(FR_MEM_LOG, data);
    FR_TRY(code);
    shard->producers_slot = slot;
    shard->producers_saved = before;
    shard->producers_saved_bytes = fr_log_bytes(log);
    return FR_OK;
}
