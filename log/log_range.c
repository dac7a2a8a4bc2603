/* log_range.c: durable batches as a range of a segment file, for sendfile: positions come from the sparse index and a few
 * batch headers; nothing else is read. The range ends at a batch: where the index knows one, at most one interval below
 * what was asked for. Readers beside a switch of compaction: as in log_read.c. */
#include "log/log_private.h"

#include <inttypes.h>

enum { LIST_ATTEMPTS = 100 };

typedef struct place {
    uint64_t position;
    fr_offset base;
} place;

/* Under lock. The last indexed batch at or below offset, and below bound. */
static place by_offset(const fr_segment *segment, fr_offset offset, uint64_t bound)
{
    const fr_segment_index *index = &segment->index;
    place at = {FR_SEGMENT_HEADER, segment->base};
    if (index->count == 0) return at;
    uint32_t delta = (uint32_t)FR_MIN(FR_MAX(offset - segment->base, (int64_t)0), (int64_t)UINT32_MAX);
    fr_segment_index_entry entry = index->entries[fr_segment_index_by_offset(index, delta)];
    if (entry.position < bound) at = (place){entry.position, segment->base + entry.offset_delta};
    return at;
}

/* Under lock. The last indexed batch at or below a position. */
static place by_position(const fr_segment *segment, uint64_t position)
{
    const fr_segment_index *index = &segment->index;
    uint32_t low = 0, high = index->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (index->entries[middle].position <= position) low = middle + 1;
        else high = middle;
    }
    if (low == 0) return (place){FR_SEGMENT_HEADER, segment->base};
    return (place){index->entries[low - 1].position, segment->base + index->entries[low - 1].offset_delta};
}

/* Batch headers from `at` on until the one that holds `offset` (it becomes *at, its end *end_out), or bound. */
static fr_code walk(fr_log *log, fr_file *file, uint64_t bound, fr_offset offset, place *at, place *end_out, fr_err *err)
{
    for (;;) {
        uint8_t head[FR_BATCH_HEADER];
        size_t got = 0;
        fr_batch_header header;
        *end_out = *at;
        if (at->position >= bound) return FR_OK;
        FR_TRY(log->io->read(log->io, file, at->position, head, sizeof head, &got, err));
        if (got == sizeof head) fr_batch_header_get(head, &header);
        if (got != sizeof head || header.baseOffset != at->base || header.lastOffsetDelta < 0 || header.batchLength < 49 ||
            at->position + FR_BATCH_OVERHEAD + (uint64_t)header.batchLength > bound)
            return fr_fail(err, FR_ERR_CORRUPT, NULL, "%s: no batch of offset %" PRId64 " at byte %" PRIu64, log->dir,
                           at->base, at->position);
        *end_out = (place){at->position + FR_BATCH_OVERHEAD + (uint64_t)header.batchLength,
                           at->base + header.lastOffsetDelta + 1};
        if (offset < end_out->base) return FR_OK;
        *at = *end_out;
    }
}

static fr_code range_of(fr_log *log, fr_segment *segment, fr_offset from, fr_offset limit, uint32_t bytes_max,
                        fr_log_range *range, fr_err *err)
{
    fr_file *file;
    FR_TRY(fr_log_segment_acquire(log, segment, &file, err));
    pthread_mutex_lock(&log->lock);
    uint64_t bound = segment->sealed          ? segment->bytes
                     : segment == log->active ? log->durable_bytes
                                              : FR_SEGMENT_HEADER;
    fr_offset bound_offset = segment->sealed ? segment->end : atomic_load_explicit(&log->durable, memory_order_relaxed);
    place start = by_offset(segment, from, bound), cut = by_offset(segment, limit, bound);
    pthread_mutex_unlock(&log->lock);
    place first_end, end = {bound, bound_offset}, ignored;
    fr_code code = FR_OK;
    if (limit < bound_offset) {
        code = walk(log, file, bound, limit, &cut, &ignored, err);
        end = cut;
    }
    if (!code) code = walk(log, file, end.position, from, &start, &first_end, err);
    if (!code && end.position - start.position > bytes_max) {
        pthread_mutex_lock(&log->lock);
        end = by_position(segment, start.position + bytes_max);
        pthread_mutex_unlock(&log->lock);
        if (end.position < first_end.position) end = first_end; /* at least one batch */
    }
    if (!code && start.position < end.position) {
        *range = (fr_log_range){.descriptor = log->io->descriptor ? log->io->descriptor(log->io, file) : -1,
                                .position = start.position,
                                .size = end.position - start.position,
                                .first = start.base,
                                .next = end.base};
        if (range->descriptor < 0)
            code = fr_fail(err, FR_ERR_UNSUPPORTED, NULL, "%s: no descriptor to be had", log->dir);
    }
    fr_log_segment_release(log, segment);
    return code;
}

fr_code fr_log_range_get(const fr_log *log_const, fr_offset from, fr_offset limit, uint32_t bytes_max,
                         fr_log_range *range, fr_err *err)
{
    fr_log *log = (fr_log *)log_const;
    for (int attempt = 0;; attempt++) {
        *range = (fr_log_range){.descriptor = -1, .first = from, .next = from};
        fr_offset durable = fr_log_durable(log);
        fr_offset end = limit >= 0 && limit < durable ? limit : durable;
        fr_segment_list *list = fr_log_list_ref(log);
        fr_offset start = list->items[0]->base;
        fr_code code = FR_OK;
        if (from < start || from > fr_log_end(log))
            code = fr_fail(err, FR_ERR_INVALID, "offset", "offset %" PRId64 " is out of range %" PRId64 "..%" PRId64,
                           from, start, fr_log_end(log));
        for (uint32_t i = list->count; !code && from < end && i > 0; i--) {
            if (list->items[i - 1]->base > from) continue;
            code = range_of(log, list->items[i - 1], from, end, bytes_max, range, err);
            break;
        }
        fr_log_list_unref(list);
        if (code != FR_ERR_NOT_FOUND || attempt >= LIST_ATTEMPTS) return code;
    }
}

int64_t fr_log_newest(const fr_log *log_const)
{
    fr_log *log = (fr_log *)log_const;
    int64_t newest = INT64_MIN;
    pthread_mutex_lock(&log->lock);
    for (uint32_t i = 0; i < log->list->count; i++) {
        const fr_segment *segment = log->list->items[i];
        newest = FR_MAX(newest, segment->sealed ? segment->max_timestamp : log->durable_max_timestamp);
    }
    pthread_mutex_unlock(&log->lock);
    return newest;
}

void fr_log_set_options(fr_log *log, const fr_log_options *options)
{
    pthread_mutex_lock(&log->lock);
    if (options->segment_bytes) log->options.segment_bytes = FR_MIN(options->segment_bytes, (uint64_t)FR_SEGMENT_BYTES_MAX);
    if (options->segment_ms) log->options.segment_ms = options->segment_ms;
    log->options.retention_ms = options->retention_ms;
    log->options.retention_bytes = options->retention_bytes;
    log->options.compact = options->compact;
    if (options->delete_retention_ms) log->options.delete_retention_ms = options->delete_retention_ms;
    pthread_mutex_unlock(&log->lock);
}

fr_offset fr_log_open_base(const fr_log *log_const)
{
    fr_log *log = (fr_log *)log_const;
    pthread_mutex_lock(&log->lock);
    fr_offset base = log->list->items[log->list->count - 1]->base;
    pthread_mutex_unlock(&log->lock);
    return base;
}

uint64_t fr_log_closed(const fr_log *log_const, fr_offset from, fr_offset until, fr_offset *end_out)
{
    fr_log *log = (fr_log *)log_const;
    uint64_t bytes = 0;
    *end_out = from;
    pthread_mutex_lock(&log->lock);
    for (uint32_t i = 0; i + 1 < log->list->count; i++) {
        const fr_segment *segment = log->list->items[i];
        if (segment->base < from || segment->end > until) continue;
        bytes += segment->bytes;
        *end_out = segment->end;
    }
    pthread_mutex_unlock(&log->lock);
    return bytes;
}
