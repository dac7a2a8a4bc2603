/* log_read.c: reading by offset and by time, on any thread, beside append, roll, retention and a compaction's switch.
 *
 * A reader holds the list of segments as it was; a segment's file stays readable while it is held open, whatever
 * happens to its name. Only when a file must be opened by name can the list turn out to be old (NOT_FOUND): the newest
 * one is taken then.
 */
#include "log/log_private.h"

#include <inttypes.h>

enum { LIST_ATTEMPTS = 100, SEEK_CHUNK = 256 << 10 };

/* ---- files of closed segments are opened when read ---- */

/* Under lock: the closed segment unused for longest, when more than FR_SEGMENTS_OPEN_MAX are open. */
static fr_file *evict(fr_log *log, fr_segment_index *index_out)
{
    fr_segment *oldest = NULL;
    uint32_t open = 0;
    for (uint32_t i = 0; i < log->list->count; i++) {
        fr_segment *s = log->list->items[i];
        if (!s->file || !s->sealed || s == log->active) continue;
        open++;
        if (!s->users && !s->pinned && (!oldest || s->used_at < oldest->used_at)) oldest = s;
    }
    if (open <= FR_SEGMENTS_OPEN_MAX || !oldest) return NULL;
    fr_file *file = oldest->file;
    *index_out = oldest->index;
    oldest->file = NULL;
    oldest->index = (fr_segment_index){0};
    oldest->index_loaded = false;
    return file;
}

static fr_code open_closed(fr_log *log, const fr_segment *segment, fr_file **file_out, fr_segment_index *index_out,
                           fr_err *err)
{
    fr_io *io = log->io;
    char path[FR_LOG_PATH_BYTES];
    fr_segment_path(path, log->dir, segment->base, FR_SUFFIX_LOG);
    fr_segment found = {0};
    fr_slot slot;
    FR_TRY(io->open(io, path, FR_OPEN_READ, file_out, err));
    fr_code code = fr_segment_header_read(io, *file_out, path, segment->base, &found, &slot, err);
    if (!code && found.generation != segment->generation)
        code = fr_fail(err, FR_ERR_NOT_FOUND, NULL, "%s was replaced", path);
    if (!code) code = fr_segment_index_get(log, segment, *file_out, index_out, err);
    if (code) {
        io->close(io, *file_out);
        fr_segment_index_free(index_out);
    }
    return code;
}

fr_code fr_log_segment_acquire(fr_log *log, fr_segment *segment, fr_file **file_out, fr_err *err)
{
    pthread_mutex_lock(&log->lock);
    bool here = segment->file && segment->index_loaded;
    if (here) {
        segment->users++;
        segment->used_at = ++log->clock;
        *file_out = segment->file;
    }
    pthread_mutex_unlock(&log->lock);
    if (here) return FR_OK;

    fr_file *file = NULL, *spare = NULL;
    fr_segment_index index = {0}, spare_index = {0};
    FR_TRY(open_closed(log, segment, &file, &index, err));
    pthread_mutex_lock(&log->lock);
    if (segment->file) { /* another reader was faster */
        spare = file;
        spare_index = index;
    } else {
        segment->file = file;
        segment->index = index;
        segment->index_loaded = true;
    }
    segment->users++;
    segment->used_at = ++log->clock;
    *file_out = segment->file;
    if (!spare) spare = evict(log, &spare_index);
    pthread_mutex_unlock(&log->lock);
    log->io->close(log->io, spare);
    fr_segment_index_free(&spare_index);
    return FR_OK;
}

void fr_log_segment_release(fr_log *log, fr_segment *segment)
{
    pthread_mutex_lock(&log->lock);
    segment->users--;
    pthread_mutex_unlock(&log->lock);
}

/* Where to start walking, and the bound: nothing at or above it may be looked at. */
static void start_point(fr_log *log, fr_segment *segment, bool by_time, int64_t target, uint64_t *position_out,
                        fr_offset *base_out, uint64_t *bound_out)
{
    pthread_mutex_lock(&log->lock);
    const fr_segment_index *index = &segment->index;
    *bound_out = segment->sealed ? segment->bytes : segment == log->active ? log->durable_bytes : FR_SEGMENT_HEADER;
    *position_out = FR_SEGMENT_HEADER;
    *base_out = segment->base;
    if (index->count) {
        uint32_t delta = (uint32_t)FR_MIN(FR_MAX(target - segment->base, (int64_t)0), (int64_t)UINT32_MAX);
        fr_segment_index_entry entry =
            index->entries[by_time ? fr_segment_index_by_timestamp(index, target) : fr_segment_index_by_offset(index, delta)];
        if (entry.position < *bound_out) {
            *position_out = entry.position;
            *base_out = segment->base + entry.offset_delta;
        }
    }
    pthread_mutex_unlock(&log->lock);
}

/* ---- by offset ---- */

static fr_code read_segment(fr_log *log, fr_segment *segment, fr_offset from, fr_offset limit, uint32_t bytes_max,
                            fr_view *view, fr_err *err)
{
    fr_file *file;
    FR_TRY(fr_log_segment_acquire(log, segment, &file, err));
    char path[FR_LOG_PATH_BYTES];
    fr_segment_path(path, log->dir, segment->base, FR_SUFFIX_LOG);
    uint64_t position, bound;
    fr_offset base;
    start_point(log, segment, false, from, &position, &base, &bound);
    fr_cursor cursor;
    fr_cursor_open(&cursor, log->io, file, path, position, bound, base);
    cursor.capacity = (size_t)FR_MIN((uint64_t)bytes_max + log->options.index_interval_bytes, bound - position);
    const uint8_t *batch = NULL, *first = NULL;
    size_t size, total = 0;
    fr_batch_header header;
    fr_code code = FR_OK;
    while (!code && cursor.expected < limit) {
        if (first && (!fr_cursor_buffered(&cursor, &size) || total + size > bytes_max))
            break; /* no refill: first must stay */
        fr_offset last_good = cursor.expected;
        code = fr_cursor_next(&cursor, &batch, &size, &header, err);
        if (code && first) { /* what was read is good; the next read says what is wrong */
            code = FR_OK;
            cursor.expected = last_good;
            break;
        }
        if (code || !batch) break;
        if (cursor.expected <= from) continue;
        if (cursor.expected > limit) { /* a batch that the limit splits is not given */
            cursor.expected = header.baseOffset;
            break;
        }
        if (!first) {
            first = batch;
            view->first = header.baseOffset;
        }
        total += size;
    }
    if (!code && first) {
        view->data = first;
        view->size = total;
        view->next = cursor.expected;
        view->owner = cursor.buffer;
        cursor.buffer = NULL;
    }
    fr_cursor_close(&cursor);
    fr_log_segment_release(log, segment);
    return code;
}

fr_code fr_log_read(const fr_log *log_const, fr_offset from, fr_offset limit, uint32_t bytes_max, fr_view *view,
                    fr_err *err)
{
    fr_log *log = (fr_log *)log_const;
    for (int attempt = 0;; attempt++) {
        *view = (fr_view){.first = from, .next = from};
        fr_offset durable = fr_log_durable(log);
        fr_offset end = limit >= 0 && limit < durable ? limit : durable;
        fr_segment_list *list = fr_log_list_ref(log);
        fr_offset start = list->items[0]->base;
        if (from < start || from > fr_log_end(log)) {
            fr_log_list_unref(list);
            return fr_fail(err, FR_ERR_INVALID, "offset", "offset %" PRId64 " is out of range %" PRId64 "..%" PRId64,
                           from, start, fr_log_end(log));
        }
        fr_code code = FR_OK;
        if (from < end) {
            uint32_t low = 0, high = list->count; /* the last segment that begins at or below from */
            while (high - low > 1) {
                uint32_t middle = low + (high - low) / 2;
                if (list->items[middle]->base <= from) low = middle;
                else high = middle;
            }
            code = read_segment(log, list->items[low], from, end, bytes_max, view, err);
        }
        fr_log_list_unref(list);
        if (code != FR_ERR_NOT_FOUND || attempt >= LIST_ATTEMPTS) return code;
    }
}

void fr_view_release(fr_view *view)
{
    fr_free(FR_MEM_LOG, view->owner);
    *view = (fr_view){.first = view->first, .next = view->next};
}

/* ---- by time ---- */

/* The first record of the batch at or after timestamp_ms; the batch's base when it cannot be unpacked. */
static fr_code seek_batch(const uint8_t *batch, size_t size, int64_t timestamp_ms, fr_batch_reader **reader_io,
                          fr_offset *offset_io, fr_err *err)
{
    fr_code code = fr_batch_reader_open(batch, size, reader_io, err);
    if (code == FR_ERR_UNSUPPORTED) return FR_OK;
    if (code) return code;
    fr_log_record record;
    while (fr_batch_reader_next(*reader_io, &record)) {
        if (record.timestamp_ms < timestamp_ms) continue;
        *offset_io = record.offset;
        return FR_OK;
    }
    return fr_batch_reader_code(*reader_io)
               ? fr_fail(err, FR_ERR_CORRUPT, NULL, "offset %" PRId64 ": malformed records", *offset_io)
               : FR_OK;
}

static fr_code seek_segment(fr_log *log, fr_segment *segment, int64_t timestamp_ms, fr_offset durable, bool *found_out,
                            fr_offset *offset_out, fr_err *err)
{
    fr_file *file;
    FR_TRY(fr_log_segment_acquire(log, segment, &file, err));
    char path[FR_LOG_PATH_BYTES];
    fr_segment_path(path, log->dir, segment->base, FR_SUFFIX_LOG);
    uint64_t position, bound;
    fr_offset base;
    start_point(log, segment, true, timestamp_ms, &position, &base, &bound);
    fr_cursor cursor;
    fr_cursor_open(&cursor, log->io, file, path, position, bound, base);
    cursor.capacity = (size_t)FR_MIN((uint64_t)SEEK_CHUNK, bound - position);
    fr_batch_reader *reader = NULL;
    fr_code code = FR_OK;
    while (!code && !*found_out && cursor.expected < durable) {
        const uint8_t *batch;
        size_t size;
        fr_batch_header header;
        code = fr_cursor_next(&cursor, &batch, &size, &header, err);
        if (code || !batch) break;
        if (header.recordCount == 0 || header.maxTimestamp < timestamp_ms) continue;
        *found_out = true;
        *offset_out = header.baseOffset;
        code = seek_batch(batch, size, timestamp_ms, &reader, offset_out, err);
    }
    fr_batch_reader_close(reader);
    fr_cursor_close(&cursor);
    fr_log_segment_release(log, segment);
    return code;
}

fr_code fr_log_seek(const fr_log *log_const, int64_t timestamp_ms, fr_offset *offset_out, fr_err *err)
{
    fr_log *log = (fr_log *)log_const;
    for (int attempt = 0;; attempt++) {
        fr_offset durable = fr_log_durable(log);
        fr_segment_list *list = fr_log_list_ref(log);
        bool found = false;
        fr_code code = FR_OK;
        for (uint32_t i = 0; !code && !found && i < list->count; i++) {
            fr_segment *segment = list->items[i];
            pthread_mutex_lock(&log->lock);
            bool older = segment->sealed && segment->max_timestamp < timestamp_ms;
            pthread_mutex_unlock(&log->lock);
            if (!older) code = seek_segment(log, segment, timestamp_ms, durable, &found, offset_out, err);
        }
        fr_log_list_unref(list);
        if (!code && !found) *offset_out = durable;
        if (code != FR_ERR_NOT_FOUND || attempt >= LIST_ATTEMPTS) return code;
    }
}
