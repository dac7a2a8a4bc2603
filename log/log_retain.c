/* log_retain.c: segments that go: retention at the front, fr_log_cut at the end.
 *
 * Files are removed one by one, each removal synced before the next, so that a power cut never leaves a hole: the front
 * is removed oldest first, the end newest first.
 */
#include "log/log_private.h"

#include <inttypes.h>

/* Under files_lock. The files of a segment that the list no longer holds. */
static fr_code remove_segment(fr_log *log, fr_offset base, fr_err *err)
{
    char path[FR_LOG_PATH_BYTES];
    fr_segment_path(path, log->dir, base, FR_SUFFIX_INDEX);
    fr_code code = log->io->remove(log->io, path, err);
    if (code && code != FR_ERR_NOT_FOUND) return code;
    fr_segment_path(path, log->dir, base, FR_SUFFIX_LOG);
    FR_TRY(log->io->remove(log->io, path, err));
    return log->io->sync_dir(log->io, log->dir, err);
}

/* Under lock. How many segments at the front may go; their bytes. */
static uint32_t expired(const fr_log *log, fr_offset keep_from, int64_t now_ms, bool forced, uint64_t *bytes_out)
{
    const fr_log_options *o = &log->options;
    fr_offset until = FR_MIN(keep_from, atomic_load_explicit(&log->durable, memory_order_relaxed));
    uint64_t bytes = atomic_load_explicit(&log->bytes, memory_order_relaxed);
    uint32_t count = 0;
    *bytes_out = 0;
    while (count + 1 < log->list->count) {
        const fr_segment *first = log->list->items[count];
        if (!first->sealed || first->end > until) break;
        bool old = o->retention_ms > 0 && first->max_timestamp < now_ms - o->retention_ms;
        bool large = o->retention_bytes > 0 && bytes - *bytes_out - first->bytes >= (uint64_t)o->retention_bytes;
        if (!forced && !old && !large) break;
        *bytes_out += first->bytes;
        count++;
    }
    return count;
}

/* What may go leaves the list at once, so that the start moves once and no reader meets a place between, then the disk. */
static fr_code drop_segments(fr_log *log, fr_offset keep_from, int64_t now_ms, bool forced, uint32_t *segments_out,
                             fr_err *err)
{
    if (segments_out) *segments_out = 0;
    FR_TRY(fr_log_check(log, err));
    pthread_mutex_lock(&log->files_lock);
    uint32_t room = fr_log_segment_count(log) + 8, count = 0; /* the writer may roll meanwhile */
    fr_segment_list *prepared = fr_log_list_alloc(room), *old = NULL;
    fr_code code = prepared ? FR_OK : fr_fail(err, FR_ERR_NO_MEMORY, NULL, "retention of %s", log->dir);
    uint64_t bytes = 0;
    pthread_mutex_lock(&log->lock);
    if (prepared && log->list->count <= room) count = expired(log, keep_from, now_ms, forced, &bytes);
    if (count) {
        old = fr_log_list_splice(log, prepared, 0, count, NULL);
        atomic_store_explicit(&log->start, old->items[count - 1]->end, memory_order_release);
    }
    pthread_mutex_unlock(&log->lock);
    if (!old) fr_free(FR_MEM_LOG, prepared);
    atomic_fetch_sub_explicit(&log->bytes, bytes, memory_order_relaxed);
    for (uint32_t i = 0; i < count && !code; i++) {
        code = remove_segment(log, old->items[i]->base, err);
        if (code) code = fr_log_sticky(log, err, "removing an expired segment");
        else if (segments_out) ++*segments_out;
    }
    fr_log_list_unref(old);
    pthread_mutex_unlock(&log->files_lock);
    return code;
}

fr_code fr_log_retain(fr_log *log, fr_offset keep_from, int64_t now_ms, uint32_t *segments_out, fr_err *err)
{
    if (segments_out) *segments_out = 0;
    pthread_mutex_lock(&log->lock);
    bool limited = log->options.retention_ms > 0 || log->options.retention_bytes > 0, compacts = log->options.compact;
    pthread_mutex_unlock(&log->lock);
    if (compacts || !limited) return FR_OK; /* old values go by compaction */
    return drop_segments(log, keep_from, now_ms, false, segments_out, err);
}

fr_code fr_log_drop_before(fr_log *log, fr_offset keep_from, uint32_t *segments_out, fr_err *err)
{
    return drop_segments(log, keep_from, 0, true, segments_out, err);
}

/* ---- cut ---- */

typedef struct cut_point {
    fr_segment *segment; /* holds `from`; a reference */
    uint32_t number;     /* in the list */
    uint64_t position;
    int64_t max_timestamp; /* of what stays in it */
} cut_point;

/* Walk to `from`, the base of a batch, in the acquired segment. */
static fr_code walk_to(fr_log *log, fr_file *file, fr_offset from, cut_point *point, fr_err *err)
{
    fr_segment *segment = point->segment;
    char path[FR_LOG_PATH_BYTES];
    fr_segment_path(path, log->dir, segment->base, FR_SUFFIX_LOG);
    fr_offset base = segment->base;
    if (segment->index.count) {
        fr_segment_index_entry entry = segment->index.entries[fr_segment_index_by_offset(&segment->index, (uint32_t)(from - base))];
        point->position = entry.position;
        point->max_timestamp = entry.max_before;
        base += entry.offset_delta;
    }
    fr_cursor cursor;
    fr_cursor_open(&cursor, log->io, file, path, point->position, segment->bytes, base);
    fr_code code = FR_OK;
    while (!code && cursor.expected < from) {
        const uint8_t *batch;
        size_t size;
        fr_batch_header header;
        code = fr_cursor_next(&cursor, &batch, &size, &header, err);
        if (code || !batch) break;
        point->max_timestamp = FR_MAX(point->max_timestamp, header.maxTimestamp);
    }
    if (!code && cursor.expected != from)
        code = fr_fail(err, FR_ERR_INVALID, "from", "offset %" PRId64 " is inside the batch that ends at %" PRId64,
                       from, cursor.expected - 1);
    point->position = cursor.position;
    fr_cursor_close(&cursor);
    return code;
}

/* Fills the point; its segment is acquired (file and index stay) when the code is OK. */
static fr_code find_cut(fr_log *log, fr_offset from, cut_point *point, fr_err *err)
{
    fr_segment_list *list = fr_log_list_ref(log);
    uint32_t i = list->count - 1;
    while (i > 0 && list->items[i]->base > from) i--;
    *point =
        (cut_point){.segment = list->items[i], .number = i, .position = FR_SEGMENT_HEADER, .max_timestamp = INT64_MIN};
    fr_segment_ref(point->segment);
    fr_log_list_unref(list);
    fr_file *file;
    fr_code code = fr_log_segment_acquire(log, point->segment, &file, err);
    if (code) return code;
    if (from > point->segment->base) code = walk_to(log, file, from, point, err);
    if (code) fr_log_segment_release(log, point->segment);
    return code;
}

/* Drop the segments behind number, newest first. */
static fr_code drop_behind(fr_log *log, uint32_t number, fr_err *err)
{
    for (;;) {
        uint32_t count = fr_log_segment_count(log);
        if (count <= number + 1) return FR_OK;
        fr_segment_list *prepared = fr_log_list_alloc(count);
        if (!prepared) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "cutting %s", log->dir);
        pthread_mutex_lock(&log->lock);
        fr_segment *last = log->list->items[count - 1];
        fr_offset base = last->base;
        atomic_fetch_sub_explicit(&log->bytes, last->bytes, memory_order_relaxed);
        fr_segment_list *old = fr_log_list_splice(log, prepared, count - 1, 1, NULL);
        log->active = prepared->items[count - 2];
        pthread_mutex_unlock(&log->lock);
        fr_log_list_unref(old);
        FR_TRY(remove_segment(log, base, err));
    }
}

/* The last segment's file ends at point->position and takes appends again. First the slot, then the size: the other
 * order would look like a segment cut below its durable mark. */
static fr_code shorten(fr_log *log, fr_offset from, const cut_point *point, fr_segment *fresh, bool *begun_out,
                       fr_err *err)
{
    fr_io *io = log->io;
    char path[FR_LOG_PATH_BYTES];
    fr_segment_path(path, log->dir, point->segment->base, FR_SUFFIX_LOG);
    FR_TRY(io->open(io, path, FR_OPEN_READ | FR_OPEN_WRITE, &fresh->file, err));
    fr_slot slot;
    FR_TRY(fr_segment_header_read(io, fresh->file, path, point->segment->base, fresh, &slot, err));
    if (io->sync(io, fresh->file, err) != FR_OK) return fr_log_sticky(log, err, "fdatasync");
    pthread_mutex_lock(&log->lock); /* that slot is on disk: now the other one may be written */
    log->round = slot.round;
    log->slot_pending = false;
    pthread_mutex_unlock(&log->lock);
    slot = (fr_slot){.round = slot.round + 1,
                     .durable_bytes = point->position,
                     .durable_offset = from,
                     .max_timestamp = point->max_timestamp};
    FR_TRY(fr_segment_slot_write(io, fresh->file, &slot, err));
    *begun_out = true;
    FR_TRY(io->sync(io, fresh->file, err));
    FR_TRY(io->truncate(io, fresh->file, point->position, err));
    FR_TRY(io->sync(io, fresh->file, err));
    fr_segment_path(path, log->dir, point->segment->base, FR_SUFFIX_INDEX);
    fr_code code = io->remove(io, path, err); /* it may name batches that are gone */
    if (!code) code = io->sync_dir(io, log->dir, err);
    if (code && code != FR_ERR_NOT_FOUND) return code;
    log->round = slot.round;
    return FR_OK;
}

static void publish_cut(fr_log *log, fr_offset from, const cut_point *point, fr_segment *fresh,
                        fr_segment_list *prepared)
{
    fresh->end = from;
    fresh->bytes = point->position;
    fresh->max_timestamp = point->max_timestamp;
    fresh->index_loaded = true;
    while (fresh->index.count && fresh->index.entries[fresh->index.count - 1].position >= point->position)
        fresh->index.count--;
    pthread_mutex_lock(&log->lock);
    atomic_fetch_sub_explicit(&log->bytes, point->segment->bytes - point->position, memory_order_relaxed);
    fr_segment_list *old = fr_log_list_splice(log, prepared, point->number, 1, fresh);
    log->active = fresh;
    log->flight.segment = NULL;
    log->flight.end = 0;
    log->slot_pending = false;
    log->durable_bytes = point->position;
    log->durable_max_timestamp = point->max_timestamp;
    log->synced.bytes = point->position;
    log->synced.offset = from;
    log->synced.max_timestamp = point->max_timestamp;
    atomic_store_explicit(&log->end, from, memory_order_release);
    atomic_store_explicit(&log->durable, from, memory_order_release);
    pthread_mutex_unlock(&log->lock);
    fr_log_list_unref(old);
    log->allocated = log->marked_bytes = point->position;
    log->last_indexed = fresh->index.count ? fresh->index.entries[fresh->index.count - 1].position : 0;
    log->index_flushed = 0;
    log->tail_dirty = false;
    log->first_append_ms = fresh->created_ms;
}

/* Once files changed, a failure is final until the log is opened again; before, a full disk or memory leaves it as it
 * was. */
static fr_code cut_at(fr_log *log, fr_offset from, const cut_point *point, fr_err *err)
{
    fr_segment *fresh = fr_segment_create(log->io, point->segment->base);
    fr_segment_list *prepared = fr_log_list_alloc(point->number + 1);
    fr_code code = fresh && prepared ? FR_OK : fr_fail(err, FR_ERR_NO_MEMORY, NULL, "cutting %s", log->dir);
    if (!code) code = fr_segment_index_reserve(&fresh->index, point->segment->index.count);
    if (!code) {
        const fr_segment_index *index = &point->segment->index;
        if (index->count) memcpy(fresh->index.entries, index->entries, index->count * sizeof index->entries[0]);
        fresh->index.count = index->count;
        bool begun = point->number + 1 < fr_log_segment_count(log);
        code = drop_behind(log, point->number, err);
        if (!code) code = shorten(log, from, point, fresh, &begun, err);
        bool harmless = !begun && (code == FR_ERR_DISK_FULL || code == FR_ERR_NO_MEMORY);
        if (code && !harmless && fr_log_state(log) == FR_OK) code = fr_log_sticky(log, err, "cutting the log");
    }
    if (code) {
        fr_segment_unref(fresh);
        fr_free(FR_MEM_LOG, prepared);
        return code;
    }
    publish_cut(log, from, point, fresh, prepared);
    return FR_OK;
}

fr_code fr_log_cut(fr_log *log, fr_offset from, fr_err *err)
{
    FR_TRY(fr_log_check(log, err));
    if (from == fr_log_end(log)) return FR_OK;
    if (from < fr_log_start(log) || from > fr_log_end(log))
        return fr_fail(err, FR_ERR_INVALID, "from", "offset %" PRId64 " is out of range %" PRId64 "..%" PRId64, from,
                       fr_log_start(log), fr_log_end(log));
    FR_TRY(fr_log_settle_tail(log, err));
    cut_point point = {0};
    fr_code code = find_cut(log, from, &point, err); /* before files_lock, which a rebuilt index takes */
    if (!code) {
        pthread_mutex_lock(&log->files_lock);
        pthread_mutex_lock(&log->sync_lock);
        uint32_t count = fr_log_segment_count(log);
        point.number = 0;
        while (point.number < count && log->list->items[point.number] != point.segment) point.number++;
        if (point.number == count)
            code = fr_fail(err, FR_ERR_BUSY, NULL, "compaction replaced the segment of offset %" PRId64, from);
        else code = cut_at(log, from, &point, err);
        pthread_mutex_unlock(&log->sync_lock);
        pthread_mutex_unlock(&log->files_lock);
        fr_log_segment_release(log, point.segment);
    }
    fr_segment_unref(point.segment);
    return code;
}
