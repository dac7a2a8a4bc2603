/* log_compact.c: keep the latest record of each key in closed segments.
 *
 * Offsets never move. A batch that keeps records keeps its base and last offset; a run of batches that keep none
 * becomes one empty batch over its offsets, so that batches tile a segment without holes and a wrong base offset is
 * always seen. The switch: X.clean is written and synced; rename to X.swap and a synced directory is the commit; the
 * replaced segments are removed, the directory synced, X.swap renamed to X.log. fr_log_open finishes it from any state
 * between. Tombstones: Kafka's delete horizon (KIP-534) in the batch: attributes bit 6, baseTimestamp = the time they
 * may go.
 */
#include "log/log_private.h"

#include <inttypes.h>

enum { OUT_BYTES = 256 << 10 };

typedef struct compaction {
    fr_log *log;
    int64_t now_ms, delete_retention_ms; /* the options may change meanwhile: as they were at the start */
    uint64_t segment_bytes;
    fr_log_keep keep;
    void *user;
    fr_producers *producers;
    fr_log_compacted counts; /* of the group in hand */
    /* the new segment */
    fr_segment *segment;
    fr_offset filled_to; /* batches up to here are in it */
    uint64_t last_indexed;
    uint8_t *out; /* bytes not written yet: segment->bytes counts them */
    size_t out_size;
    bool changed;
    /* scratch */
    fr_batch_reader *reader;
    uint8_t *verdicts;
    uint32_t verdict_capacity;
    uint8_t *batch, *packed;
    size_t batch_size, batch_capacity, packed_capacity;
} compaction;

/* ---- writing the new segment ---- */

static fr_code flush_out(compaction *c, fr_err *err)
{
    fr_code code = FR_OK;
    if (c->out_size)
        code =
            c->log->io->write(c->log->io, c->segment->file, c->segment->bytes - c->out_size, c->out, c->out_size, err);
    c->out_size = 0;
    return code;
}

static fr_code put_batch(compaction *c, const uint8_t *batch, size_t size, const fr_batch_header *header, fr_err *err)
{
    fr_segment *segment = c->segment;
    if (c->last_indexed == 0 || segment->bytes - c->last_indexed >= c->log->options.index_interval_bytes) {
        if (fr_segment_index_reserve(&segment->index, 1) != FR_OK) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "compacting");
        segment->index.entries[segment->index.count++] = (fr_segment_index_entry){
            (uint32_t)(header->baseOffset - segment->base), (uint32_t)segment->bytes, segment->max_timestamp};
        c->last_indexed = segment->bytes;
    }
    if (c->out_size + size > OUT_BYTES) FR_TRY(flush_out(c, err));
    if (size > OUT_BYTES) {
        FR_TRY(c->log->io->write(c->log->io, segment->file, segment->bytes, batch, size, err));
    } else {
        memcpy(c->out + c->out_size, batch, size);
        c->out_size += size;
    }
    segment->bytes += size;
    segment->max_timestamp = FR_MAX(segment->max_timestamp, header->maxTimestamp);
    c->filled_to = header->baseOffset + header->lastOffsetDelta + 1;
    return FR_OK;
}

/* One empty batch over the offsets whose records all went. */
static fr_code fill_gap(compaction *c, fr_offset to, fr_err *err)
{
    if (c->filled_to == to) return FR_OK;
    uint8_t empty[FR_BATCH_HEADER];
    fr_batch_header header = {.baseOffset = c->filled_to,
                              .magic = 2,
                              .lastOffsetDelta = (int32_t)(to - c->filled_to - 1),
                              .baseTimestamp = -1,
                              .maxTimestamp = -1,
                              .producerId = -1,
                              .producerEpoch = -1,
                              .baseSequence = -1};
    fr_batch_header_put(empty, sizeof empty, &header);
    return put_batch(c, empty, sizeof empty, &header, err);
}

/* ---- deciding ---- */

enum { DROP = 0, KEEP = 1, KEEP_TOMBSTONE = 2 };

typedef struct batch_verdict {
    uint32_t count, kept, tombstones;
    int64_t max_timestamp; /* of the kept */
} batch_verdict;

static fr_code judge(compaction *c, const fr_batch_header *header, batch_verdict *verdict, fr_err *err)
{
    fr_log_record record;
    *verdict = (batch_verdict){.max_timestamp = INT64_MIN};
    bool horizon_passed = (header->attributes & FR_BATCH_HORIZON) && c->now_ms >= header->baseTimestamp;
    while (fr_batch_reader_next(c->reader, &record)) {
        if (verdict->count == c->verdict_capacity) {
            uint32_t capacity = FR_MAX(c->verdict_capacity * 2, 1024u);
            uint8_t *grown = fr_realloc(FR_MEM_LOG, c->verdicts, capacity);
            if (!grown) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "compacting");
            c->verdicts = grown;
            c->verdict_capacity = capacity;
        }
        bool tombstone = record.key.data && !record.value.data;
        uint8_t answer = KEEP; /* a record without a key has no newer one */
        if (record.key.data && !c->keep(c->user, record.key, record.offset, tombstone)) answer = DROP;
        else if (tombstone) answer = horizon_passed ? DROP : KEEP_TOMBSTONE;
        c->verdicts[verdict->count++] = answer;
        if (answer == DROP) continue;
        verdict->kept++;
        if (answer == KEEP_TOMBSTONE) verdict->tombstones++;
        verdict->max_timestamp = FR_MAX(verdict->max_timestamp, record.timestamp_ms);
    }
    if (fr_batch_reader_code(c->reader))
        return fr_fail(err, FR_ERR_CORRUPT, NULL, "batch at offset %" PRId64 ": record %u is malformed",
                       header->baseOffset, verdict->count);
    return FR_OK;
}

static fr_code grow_batch(compaction *c, size_t more, fr_err *err)
{
    if (c->batch_size + more <= c->batch_capacity) return FR_OK;
    size_t capacity = FR_MAX(c->batch_capacity * 2, c->batch_size + more);
    uint8_t *grown = fr_realloc(FR_MEM_LOG, c->batch, capacity);
    if (!grown) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "compacting");
    c->batch = grown;
    c->batch_capacity = capacity;
    return FR_OK;
}

/* The kept records behind a new header; everything but length and timestamp delta is copied as it was. */
static fr_code rebuild(compaction *c, const uint8_t *batch, size_t size, const fr_batch_header *old,
                       const batch_verdict *verdict, fr_err *err)
{
    fr_batch_header header = *old;
    header.recordCount = (int32_t)verdict->kept;
    if (!(old->attributes & 8)) header.maxTimestamp = verdict->max_timestamp; /* else it is every record's timestamp */
    bool fresh_horizon = verdict->tombstones > 0 && !(old->attributes & FR_BATCH_HORIZON);
    if (fresh_horizon) header.baseTimestamp = c->now_ms + c->delete_retention_ms;
    header.attributes =
        (int16_t)(verdict->tombstones ? old->attributes | FR_BATCH_HORIZON : old->attributes & ~FR_BATCH_HORIZON);
    FR_TRY(fr_batch_reader_open(batch, size, &c->reader, err));
    c->batch_size = 0;
    FR_TRY(grow_batch(c, FR_BATCH_HEADER, err));
    c->batch_size = FR_BATCH_HEADER;
    fr_log_record record;
    for (uint32_t i = 0; fr_batch_reader_next(c->reader, &record); i++) {
        if (c->verdicts[i] == DROP) continue;
        uint8_t attributes;
        fr_span raw = fr_batch_reader_raw(c->reader, &attributes);
        int64_t delta = (int64_t)((uint64_t)record.timestamp_ms - (uint64_t)header.baseTimestamp);
        size_t body = 1 + fr_varint_size(delta) + raw.size;
        FR_TRY(grow_batch(c, body + 10, err));
        uint8_t *at = fr_varint_put(c->batch + c->batch_size, (int64_t)body);
        *at++ = attributes;
        at = fr_varint_put(at, delta);
        memcpy(at, raw.data, raw.size);
        c->batch_size = (size_t)(at + raw.size - c->batch);
    }
    uint8_t *data = c->batch;
    size_t packed = 0;
    if ((old->attributes & 7) != FR_CODEC_NONE) { /* the other codecs are unpacked and stored as lz4 */
        fr_code code = fr_batch_compress(c->batch + FR_BATCH_HEADER, c->batch_size - FR_BATCH_HEADER, FR_BATCH_HEADER,
                                         &c->packed, &c->packed_capacity, &packed);
        if (code) return fr_fail(err, code, NULL, "compacting");
        header.attributes = (int16_t)((header.attributes & ~7) | (packed ? FR_CODEC_LZ4 : FR_CODEC_NONE));
        if (packed) data = c->packed;
    }
    size_t new_size = packed ? FR_BATCH_HEADER + packed : c->batch_size;
    fr_batch_header_put(data, new_size, &header);
    FR_TRY(fill_gap(c, header.baseOffset, err));
    return put_batch(c, data, new_size, &header, err);
}

/* Its last batch tells a producer's last sequence: it stays, if need be without records (Kafka: LogCleaner). */
static fr_code keep_last(compaction *c, const fr_batch_header *old, fr_err *err)
{
    bool last = c->producers && old->producerId >= 0 && !(old->attributes & FR_BATCH_CONTROL) &&
                fr_producers_is_last(c->producers, old->producerId, old->baseOffset + old->lastOffsetDelta);
    if (!last) return FR_OK; /* becomes part of the next gap */
    uint8_t empty[FR_BATCH_HEADER];
    fr_batch_header header = *old;
    header.recordCount = 0;
    header.attributes = (int16_t)(old->attributes & ~(7 | FR_BATCH_HORIZON));
    if (old->attributes & FR_BATCH_HORIZON) header.baseTimestamp = old->maxTimestamp;
    FR_TRY(fill_gap(c, header.baseOffset, err));
    fr_batch_header_put(empty, sizeof empty, &header);
    return put_batch(c, empty, sizeof empty, &header, err);
}

static bool was_aborted(const compaction *c, const fr_batch_header *header)
{
    return c->producers && (header->attributes & (FR_BATCH_CONTROL | 0x10)) == 0x10 &&
           fr_producers_is_aborted(c->producers, header->producerId, header->baseOffset);
}

static fr_code copy_batch(compaction *c, const uint8_t *batch, size_t size, const fr_batch_header *header, fr_err *err)
{
    c->counts.records_before += (uint64_t)header->recordCount;
    if (header->recordCount == 0) return keep_last(c, header, err);
    if (was_aborted(c, header)) {
        c->changed = true;
        return keep_last(c, header, err);
    }
    fr_code code =
        header->attributes & FR_BATCH_CONTROL ? FR_ERR_UNSUPPORTED : fr_batch_reader_open(batch, size, &c->reader, err);
    batch_verdict verdict = {.kept = (uint32_t)header->recordCount};
    bool as_is = code == FR_ERR_UNSUPPORTED; /* a marker, or a codec that is not decoded: kept whole */
    if (!as_is) {
        FR_TRY(code);
        FR_TRY(judge(c, header, &verdict, err));
        bool fresh_horizon = verdict.tombstones > 0 && !(header->attributes & FR_BATCH_HORIZON);
        as_is = verdict.kept == (uint32_t)header->recordCount && !fresh_horizon;
    }
    c->counts.records_after += verdict.kept;
    if (as_is) {
        FR_TRY(fill_gap(c, header->baseOffset, err));
        return put_batch(c, batch, size, header, err);
    }
    c->changed = true;
    return verdict.kept ? rebuild(c, batch, size, header, &verdict, err) : keep_last(c, header, err);
}

/* ---- one group of neighbours becomes one segment ---- */

static fr_code copy_segment(compaction *c, const fr_segment *segment, fr_err *err)
{
    fr_io *io = c->log->io;
    char path[FR_LOG_PATH_BYTES];
    fr_segment_path(path, c->log->dir, segment->base, FR_SUFFIX_LOG);
    fr_file *file;
    FR_TRY(io->open(io, path, FR_OPEN_READ, &file, err));
    fr_cursor cursor;
    fr_cursor_open(&cursor, io, file, path, FR_SEGMENT_HEADER, segment->bytes, segment->base);
    cursor.capacity = (size_t)FR_MIN((uint64_t)OUT_BYTES, segment->bytes - FR_SEGMENT_HEADER);
    fr_code code = FR_OK;
    while (!code) {
        const uint8_t *batch;
        size_t size;
        fr_batch_header header;
        code = fr_cursor_next(&cursor, &batch, &size, &header, err);
        if (code || !batch) break;
        code = copy_batch(c, batch, size, &header, err);
    }
    fr_cursor_close(&cursor);
    io->close(io, file);
    c->counts.bytes_before += segment->bytes;
    return code;
}

/* X.clean, whole and synced; *needed_out false when it would only repeat the one segment it is made of. */
static fr_code write_clean(compaction *c, fr_segment *const *group, uint32_t count, bool *needed_out, fr_err *err)
{
    fr_io *io = c->log->io;
    char path[FR_LOG_PATH_BYTES];
    fr_segment *segment = c->segment;
    fr_segment_path(path, c->log->dir, segment->base, FR_SUFFIX_CLEAN);
    fr_code code = io->open(io, path, FR_OPEN_READ | FR_OPEN_WRITE | FR_OPEN_CREATE, &segment->file, err);
    if (code == FR_ERR_EXISTS) {
        FR_TRY(io->remove(io, path, err));
        code = io->open(io, path, FR_OPEN_READ | FR_OPEN_WRITE | FR_OPEN_CREATE, &segment->file, err);
    }
    for (uint32_t i = 0; !code && i < count; i++) code = copy_segment(c, group[i], err);
    segment->end = group[count - 1]->end;
    if (!code) code = fill_gap(c, segment->end, err);
    if (!code) code = flush_out(c, err);
    c->counts.bytes_after = segment->bytes;
    *needed_out = c->changed || count > 1;
    if (code || !*needed_out) return code;
    fr_slot slot = {.round = 1,
                    .durable_bytes = segment->bytes,
                    .durable_offset = segment->end,
                    .max_timestamp = segment->max_timestamp,
                    .sealed = true};
    FR_TRY(fr_segment_header_write(io, segment->file, segment, &slot, err));
    slot.round = 2;
    FR_TRY(fr_segment_slot_write(io, segment->file, &slot, err));
    return io->sync(io, segment->file, err);
}

/* After the commit: the replaced files go and the new one takes the name. */
static fr_code clear_old(compaction *c, fr_segment *const *group, uint32_t count, fr_err *err)
{
    fr_io *io = c->log->io;
    char path[FR_LOG_PATH_BYTES], swap[FR_LOG_PATH_BYTES];
    for (uint32_t i = 0; i < count; i++) {
        fr_segment_path(path, c->log->dir, group[i]->base, FR_SUFFIX_INDEX);
        fr_code code = io->remove(io, path, err);
        if (code && code != FR_ERR_NOT_FOUND) return code;
        if (i == 0) continue;
        fr_segment_path(path, c->log->dir, group[i]->base, FR_SUFFIX_LOG);
        FR_TRY(io->remove(io, path, err));
    }
    FR_TRY(io->sync_dir(io, c->log->dir, err));
    fr_segment_path(swap, c->log->dir, group[0]->base, FR_SUFFIX_SWAP);
    fr_segment_path(path, c->log->dir, group[0]->base, FR_SUFFIX_LOG);
    FR_TRY(io->rename(io, swap, path, err));
    return io->sync_dir(io, c->log->dir, err);
}

/* The new segment in the place of `count` old ones. NULL: no memory. Returns the old list. */
static fr_segment_list *publish(compaction *c, uint32_t at, uint32_t count)
{
    fr_log *log = c->log;
    for (;;) {
        uint32_t room = fr_log_segment_count(log) + 1;
        fr_segment_list *old = NULL, *prepared = fr_log_list_alloc(room);
        if (!prepared) return NULL;
        pthread_mutex_lock(&log->lock);
        if (log->list->count < room) { /* else the writer rolled several times meanwhile */
            fr_segment_ref(c->segment);
            old = fr_log_list_splice(log, prepared, at, count, c->segment);
        }
        pthread_mutex_unlock(&log->lock);
        if (old) return old;
        fr_free(FR_MEM_LOG, prepared);
    }
}

/* Under files_lock. */
static fr_code switch_group(compaction *c, fr_segment *const *group, uint32_t count, fr_err *err)
{
    fr_log *log = c->log;
    fr_io *io = log->io;
    FR_TRY(fr_log_check(log, err));
    uint32_t at = 0;
    pthread_mutex_lock(&log->lock);
    while (at < log->list->count && log->list->items[at] != group[0]) at++;
    bool whole = at + count <= log->list->count;
    for (uint32_t i = 0; whole && i < count; i++) whole = log->list->items[at + i] == group[i];
    pthread_mutex_unlock(&log->lock);
    fr_code code =
        whole ? FR_OK : fr_fail(err, FR_ERR_BUSY, NULL, "retention removed a segment that was being compacted");
    char clean[FR_LOG_PATH_BYTES], swap[FR_LOG_PATH_BYTES];
    fr_segment_path(clean, log->dir, c->segment->base, FR_SUFFIX_CLEAN);
    fr_segment_path(swap, log->dir, c->segment->base, FR_SUFFIX_SWAP);
    if (!code) code = io->rename(io, clean, swap, err);
    if (code) return code;
    if (io->sync_dir(io, log->dir, err) != FR_OK)
        return fr_log_sticky(log, err, "syncing a compaction's switch"); /* which side of it we are on is not known */
    c->segment->sealed = c->segment->index_loaded = c->segment->pinned = true;
    uint64_t gone = 0;
    for (uint32_t i = 0; i < count; i++) gone += group[i]->bytes;
    fr_segment_list *old = publish(c, at, count);
    if (!old) {
        (void)fr_fail(err, FR_ERR_NO_MEMORY, NULL, "list of segments");
        return fr_log_sticky(log, err, "switching to a compacted segment");
    }
    atomic_fetch_add_explicit(&log->bytes, c->segment->bytes - gone, memory_order_relaxed);
    code = clear_old(c, group, count, err);
    fr_log_list_unref(old);
    if (code) return fr_log_sticky(log, err, "finishing a compaction's switch");
    pthread_mutex_lock(&log->lock);
    c->segment->pinned = false;
    pthread_mutex_unlock(&log->lock);
    (void)!fr_segment_index_write(io, log->dir, c->segment, &c->segment->index, 0, true, NULL);
    return FR_OK;
}

static fr_code compact_group(compaction *c, fr_segment *const *group, uint32_t count, fr_err *err)
{
    fr_log *log = c->log;
    c->counts = (fr_log_compacted){0};
    c->changed = false;
    c->out_size = 0;
    c->last_indexed = 0;
    c->filled_to = group[0]->base;
    c->segment = fr_segment_create(log->io, group[0]->base);
    if (!c->segment) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "compacting");
    c->segment->generation = log->io->random(log->io);
    c->segment->created_ms = group[0]->created_ms;
    bool needed = false;
    fr_code code = write_clean(c, group, count, &needed, err);
    if (!code && needed) {
        pthread_mutex_lock(&log->files_lock);
        code = switch_group(c, group, count, err);
        pthread_mutex_unlock(&log->files_lock);
    }
    if ((code || !needed) && fr_log_state(log) == FR_OK) {
        char path[FR_LOG_PATH_BYTES];
        fr_segment_path(path, log->dir, c->segment->base, FR_SUFFIX_CLEAN);
        (void)!log->io->remove(log->io, path, NULL);
    }
    fr_segment_unref(c->segment);
    c->segment = NULL;
    return code;
}

/* How many segments from `first` on may become one. */
static uint32_t group_size(uint64_t segment_bytes, const fr_segment_list *list, uint32_t first, fr_offset clean_until)
{
    uint64_t bytes = 0;
    uint32_t count = 0;
    for (uint32_t i = first; i + 1 < list->count; i++) { /* never the active one */
        const fr_segment *segment = list->items[i];
        uint64_t more = segment->bytes - (count ? FR_SEGMENT_HEADER : 0);
        if (segment->end > clean_until) break;
        if (count && (bytes + more > segment_bytes || segment->end - list->items[first]->base > INT32_MAX))
            break;
        bytes += more;
        count++;
    }
    return count;
}

fr_code fr_log_compact(fr_log *log, fr_producers *producers, fr_offset clean_until, int64_t now_ms, fr_log_keep keep,
                       void *user, fr_log_compacted *out, fr_err *err)
{
    if (out) *out = (fr_log_compacted){0};
    FR_TRY(fr_log_check(log, err));
    clean_until = FR_MIN(clean_until, fr_log_durable(log));
    compaction c = {.log = log, .now_ms = now_ms, .keep = keep, .user = user, .producers = producers};
    pthread_mutex_lock(&log->lock);
    c.delete_retention_ms = log->options.delete_retention_ms;
    c.segment_bytes = log->options.segment_bytes;
    pthread_mutex_unlock(&log->lock);
    c.out = fr_alloc(FR_MEM_LOG, OUT_BYTES);
    if (!c.out) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "compacting");
    fr_segment_list *list = fr_log_list_ref(log);
    fr_code code = FR_OK;
    for (uint32_t first = 0, count; !code && (count = group_size(c.segment_bytes, list, first, clean_until)) > 0; first += count) {
        code = compact_group(&c, list->items + first, count, err);
        if (code || !out) continue;
        out->bytes_before += c.counts.bytes_before;
        out->bytes_after += c.counts.bytes_after;
        out->records_before += c.counts.records_before;
        out->records_after += c.counts.records_after;
    }
    fr_log_list_unref(list);
    fr_batch_reader_close(c.reader);
    fr_free(FR_MEM_LOG, c.verdicts);
    fr_free(FR_MEM_LOG, c.batch);
    fr_free(FR_MEM_LOG, c.packed);
    fr_free(FR_MEM_LOG, c.out);
    return code;
}
