/* log_open.c: open, recover and remove a partition's files.
 *
 * Every step may be cut by a power failure and is then simply taken again. Order: leftovers of unfinished work go, a
 * compaction's switch is finished, the segments must tile the offsets without a hole, and the last one's torn round is
 * cut. Damage below the durable mark is never cut: it fails the open with file, byte and offset.
 */
#include "log/log_private.h"

#include <inttypes.h>
#include <stdlib.h>

/* ---- the directory ---- */

typedef struct name_list {
    struct {
        fr_offset base;
        fr_suffix suffix;
    } * items;
    uint32_t count, capacity;
    fr_code code;
} name_list;

static void add_name(void *user, const char *name)
{
    name_list *names = user;
    fr_offset base;
    fr_suffix suffix;
    if (names->code || strlen(name) > 64 || !fr_segment_name_parse(name, &base, &suffix)) return;
    if (names->count == names->capacity) {
        uint32_t capacity = FR_MAX(names->capacity * 2, 8u);
        void *grown = fr_realloc(FR_MEM_LOG, names->items, capacity * sizeof names->items[0]);
        if (!grown) {
            names->code = FR_ERR_NO_MEMORY;
            return;
        }
        names->items = grown;
        names->capacity = capacity;
    }
    names->items[names->count].base = base;
    names->items[names->count++].suffix = suffix;
}

static int by_base(const void *a, const void *b)
{
    fr_offset x = *(const fr_offset *)a, y = *(const fr_offset *)b;
    return (x > y) - (x < y);
}

/* Base offsets of the files with one suffix, ascending. */
fr_code fr_log_scan_dir(fr_io *io, const char *dir, fr_suffix suffix, fr_offset **bases_out, uint32_t *count_out,
                        fr_err *err)
{
    name_list names = {0};
    *bases_out = NULL;
    *count_out = 0;
    fr_code code = io->list(io, dir, add_name, &names, err);
    if (!code && names.code) code = fr_fail(err, names.code, NULL, "listing %s", dir);
    fr_offset *bases = NULL;
    if (!code) {
        bases = fr_alloc(FR_MEM_LOG, (names.count + 1) * sizeof *bases);
        if (!bases) code = fr_fail(err, FR_ERR_NO_MEMORY, NULL, "listing %s", dir);
    }
    uint32_t count = 0;
    for (uint32_t i = 0; !code && i < names.count; i++)
        if (names.items[i].suffix == suffix) bases[count++] = names.items[i].base;
    fr_free(FR_MEM_LOG, names.items);
    if (code) return code;
    if (count) qsort(bases, count, sizeof *bases, by_base);
    *bases_out = bases;
    *count_out = count;
    return FR_OK;
}

static fr_code sync_parent(fr_io *io, const char *dir, fr_err *err)
{
    char parent[FR_LOG_PATH_BYTES];
    size_t size = strlen(dir);
    while (size > 1 && dir[size - 1] == '/') size--;
    while (size > 0 && dir[size - 1] != '/') size--;
    if (size == 0) return io->sync_dir(io, ".", err);
    while (size > 1 && dir[size - 1] == '/') size--;
    memcpy(parent, dir, size);
    parent[size] = 0;
    return io->sync_dir(io, parent, err);
}

static fr_code remove_all(fr_io *io, const char *dir, fr_suffix suffix, fr_err *err)
{
    fr_offset *bases;
    uint32_t count;
    FR_TRY(fr_log_scan_dir(io, dir, suffix, &bases, &count, err));
    fr_code code = FR_OK;
    char path[FR_LOG_PATH_BYTES];
    for (uint32_t i = 0; !code && i < count; i++) {
        fr_segment_path(path, dir, bases[i], suffix);
        code = io->remove(io, path, err);
        if (code == FR_ERR_NOT_FOUND) code = FR_OK;
    }
    fr_free(FR_MEM_LOG, bases);
    return code;
}

/* A .swap is a compacted segment that was whole on disk before it got this name: it replaces every segment in its
 * range. */
static fr_code finish_switch(fr_io *io, const char *dir, fr_offset base, const fr_offset *logs, uint32_t count,
                             fr_err *err)
{
    char swap[FR_LOG_PATH_BYTES], path[FR_LOG_PATH_BYTES];
    fr_segment_path(swap, dir, base, FR_SUFFIX_SWAP);
    fr_segment segment = {0};
    fr_slot slot;
    fr_file *file;
    FR_TRY(io->open(io, swap, FR_OPEN_READ, &file, err));
    fr_code code = fr_segment_header_read(io, file, swap, base, &segment, &slot, err);
    io->close(io, file);
    if (code) return code;
    for (uint32_t i = 0; i < count; i++) {
        if (logs[i] <= base || logs[i] >= slot.durable_offset) continue;
        fr_segment_path(path, dir, logs[i], FR_SUFFIX_LOG);
        FR_TRY(io->remove(io, path, err));
    }
    FR_TRY(io->sync_dir(io, dir, err)); /* before the rename: a partly replaced range must still have its .swap */
    fr_segment_path(path, dir, base, FR_SUFFIX_LOG);
    FR_TRY(io->rename(io, swap, path, err));
    return io->sync_dir(io, dir, err);
}

static fr_code tidy(fr_io *io, const char *dir, fr_err *err)
{
    static const fr_suffix leftovers[] = {FR_SUFFIX_NEW, FR_SUFFIX_CLEAN, FR_SUFFIX_INDEX_NEW};
    for (size_t i = 0; i < FR_COUNT_OF(leftovers); i++) FR_TRY(remove_all(io, dir, leftovers[i], err));
    fr_offset *swaps = NULL, *logs = NULL, *indexes = NULL;
    uint32_t swap_count = 0, log_count = 0, index_count = 0;
    fr_code code = fr_log_scan_dir(io, dir, FR_SUFFIX_SWAP, &swaps, &swap_count, err);
    for (uint32_t i = 0; !code && i < swap_count; i++) {
        fr_free(FR_MEM_LOG, logs);
        code = fr_log_scan_dir(io, dir, FR_SUFFIX_LOG, &logs, &log_count, err);
        if (!code) code = finish_switch(io, dir, swaps[i], logs, log_count, err);
    }
    fr_free(FR_MEM_LOG, logs);
    logs = NULL;
    if (!code) code = fr_log_scan_dir(io, dir, FR_SUFFIX_LOG, &logs, &log_count, err);
    if (!code) code = fr_log_scan_dir(io, dir, FR_SUFFIX_INDEX, &indexes, &index_count, err);
    for (uint32_t i = 0; !code && i < index_count; i++) {
        char path[FR_LOG_PATH_BYTES];
        fr_segment_path(path, dir, indexes[i], FR_SUFFIX_INDEX);
        if (log_count && bsearch(&indexes[i], logs, log_count, sizeof *logs, by_base)) continue;
        code = io->remove(io, path, err);
    }
    fr_free(FR_MEM_LOG, swaps);
    fr_free(FR_MEM_LOG, logs);
    fr_free(FR_MEM_LOG, indexes);
    return code;
}

/* ---- the last segment ---- */

/* The index up to the durable mark. An index file that leads astray is rebuilt before anything is called damaged. */
static fr_code index_below_mark(fr_log *log, fr_segment *segment, const char *path, const fr_slot *slot, fr_err *err)
{
    bool complete;
    FR_TRY(fr_segment_index_load(log->io, log->dir, segment, &segment->index, &complete));
    log->index_flushed = segment->index.count / FR_INDEX_ENTRIES * FR_INDEX_ENTRIES;
    for (int attempt = 0;; attempt++) {
        fr_code code = fr_segment_index_extend(log->io, segment->file, path, segment, slot->durable_bytes,
                                        log->options.index_interval_bytes, &segment->index, &segment->end,
                                        &segment->max_timestamp, err);
        if (!code && segment->end != slot->durable_offset)
            code = fr_fail(err, FR_ERR_CORRUPT, NULL,
                           "%s: byte %" PRIu64 ": batches end at offset %" PRId64 ", the round slot says %" PRId64,
                           path, slot->durable_bytes, segment->end, slot->durable_offset);
        if (code != FR_ERR_CORRUPT || attempt > 0) return code;
        segment->index.count = 0;
        log->index_flushed = 0;
    }
}

/* Take what is whole above the mark; *end_bytes_out is where the first bad batch, or nothing, begins. */
static fr_code scan_above_mark(fr_log *log, fr_segment *segment, const char *path, uint64_t mark, uint64_t file_bytes,
                               uint64_t *end_bytes_out, fr_err *err)
{
    uint32_t count = segment->index.count;
    uint64_t last_indexed = count ? segment->index.entries[count - 1].position : 0;
    fr_cursor cursor;
    fr_cursor_open(&cursor, log->io, segment->file, path, mark, FR_MIN(file_bytes, (uint64_t)UINT32_MAX), segment->end);
    fr_code code;
    for (;;) {
        const uint8_t *batch;
        size_t size;
        fr_batch_header header;
        uint64_t position = cursor.position;
        code = fr_cursor_next(&cursor, &batch, &size, &header, NULL);
        if (code || !batch) break;
        if (last_indexed == 0 || position - last_indexed >= log->options.index_interval_bytes) {
            code = fr_segment_index_reserve(&segment->index, 1);
            if (code) break;
            segment->index.entries[segment->index.count++] = (fr_segment_index_entry){
                (uint32_t)(header.baseOffset - segment->base), (uint32_t)position, segment->max_timestamp};
            last_indexed = position;
        }
        segment->max_timestamp = FR_MAX(segment->max_timestamp, header.maxTimestamp);
        segment->end = cursor.expected;
    }
    *end_bytes_out = cursor.position;
    log->last_indexed = last_indexed;
    fr_cursor_close(&cursor);
    if (code && code != FR_ERR_CORRUPT) return fr_fail(err, code, NULL, "reading the tail of %s", path);
    return FR_OK;
}

static fr_code all_zero(fr_io *io, fr_file *file, uint64_t at, uint64_t end, bool *zero_out, fr_err *err)
{
    enum { CHUNK = 64 << 10 };
    uint8_t *bytes = fr_alloc(FR_MEM_LOG, CHUNK);
    if (!bytes) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "reading a tail");
    fr_code code = FR_OK;
    bool zero = true;
    while (!code && zero && at < end) {
        size_t got = 0;
        code = io->read(io, file, at, bytes, (size_t)FR_MIN(end - at, (uint64_t)CHUNK), &got, err);
        if (code || got == 0) break;
        zero = bytes[0] == 0 && (got == 1 || memcmp(bytes, bytes + 1, got - 1) == 0);
        at += got;
    }
    fr_free(FR_MEM_LOG, bytes);
    *zero_out = zero;
    return code;
}

/* Write the bytes again that stand there already. After a failed sync the kernel may hold pages that look written and
 * are clean: a process that starts again would read them, build on them, and lose them at the next power cut. Written
 * again they are dirty. */
static fr_code write_again(fr_io *io, fr_file *file, uint64_t at, uint64_t end, fr_err *err)
{
    enum { CHUNK = 1 << 20 };
    if (at == end) return FR_OK;
    uint8_t *bytes = fr_alloc(FR_MEM_LOG, CHUNK);
    if (!bytes) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "rewriting a tail");
    fr_code code = FR_OK;
    while (!code && at < end) {
        size_t got = 0;
        code = io->read(io, file, at, bytes, (size_t)FR_MIN(end - at, (uint64_t)CHUNK), &got, err);
        if (!code && got == 0) code = fr_fail(err, FR_ERR_IO, NULL, "a tail became shorter while it was read");
        if (!code) code = io->write(io, file, at, bytes, got, err);
        at += got;
    }
    fr_free(FR_MEM_LOG, bytes);
    return code;
}

/* The last segment, not sealed: everything up to the first bad batch lives, what is behind it is wiped. */
static fr_code recover_tail(fr_log *log, fr_segment *segment, const char *path, const fr_slot *slot,
                            uint64_t file_bytes, fr_err *err)
{
    fr_io *io = log->io;
    FR_TRY(index_below_mark(log, segment, path, slot, err));
    if (slot->max_timestamp > segment->max_timestamp) segment->max_timestamp = slot->max_timestamp;
    uint64_t end_bytes;
    FR_TRY(scan_above_mark(log, segment, path, slot->durable_bytes, file_bytes, &end_bytes, err));
    bool zero = true, above = end_bytes > slot->durable_bytes;
    FR_TRY(all_zero(io, segment->file, end_bytes, file_bytes, &zero, err));
    if (!zero) {
        /* Whole batches of the torn round may stand behind the hole: they must be gone for good before a new batch of
         * the same size fills it. */
        fr_note(FR_NOTE_WARN, "event=torn_round_cut file=%s byte=%" PRIu64 " offset=%" PRId64, path, end_bytes,
                segment->end);
        FR_TRY(io->truncate(io, segment->file, end_bytes, err));
        file_bytes = end_bytes;
    }
    if (above) {
        fr_code code = write_again(io, segment->file, slot->durable_bytes, end_bytes, err);
        if (code && code != FR_ERR_DISK_FULL) return code;
        log->tail_unsure = code != FR_OK; /* reads go on; the next change tries again (fr_log_settle_tail) */
    }
    if (!zero || (above && !log->tail_unsure))
        FR_TRY(io->sync(io, segment->file, err)); /* after kill -9 the tail may be in the page cache only */
    segment->bytes = end_bytes;
    segment->index_loaded = true;
    log->active = segment;
    log->allocated = file_bytes;
    log->round = slot->round;
    log->durable_bytes = end_bytes;
    log->marked_bytes = slot->durable_bytes;
    log->durable_max_timestamp = log->synced.max_timestamp = segment->max_timestamp;
    log->synced.bytes = end_bytes;
    log->synced.offset = segment->end;
    log->first_append_ms = segment->created_ms;
    if (above && !log->tail_unsure) { /* unsynced: the next round writes the same slot again */
        fr_slot mark = {.round = slot->round + 1,
                        .durable_bytes = end_bytes,
                        .durable_offset = segment->end,
                        .max_timestamp = segment->max_timestamp};
        fr_code code = fr_segment_slot_write(io, segment->file, &mark, err);
        if (code && code != FR_ERR_DISK_FULL) return code; /* a full disk: the mark comes with the next round */
        if (!code) {
            log->marked_bytes = end_bytes;
            log->slot_pending = true;
        }
    }
    return FR_OK;
}

fr_code fr_log_settle_tail(fr_log *log, fr_err *err)
{
    if (!log->tail_unsure) return FR_OK;
    FR_TRY(write_again(log->io, log->active->file, log->marked_bytes, log->active->bytes, err));
    if (log->io->sync(log->io, log->active->file, err) != FR_OK) return fr_log_sticky(log, err, "fdatasync");
    log->tail_unsure = false;
    return FR_OK;
}

/* ---- all segments ---- */

static fr_code open_segment(fr_log *log, fr_offset base, bool last, fr_segment **segment_out, fr_err *err)
{
    fr_io *io = log->io;
    char path[FR_LOG_PATH_BYTES];
    fr_segment_path(path, log->dir, base, FR_SUFFIX_LOG);
    fr_segment *segment = fr_segment_create(io, base);
    if (!segment) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "opening %s", path);
    fr_slot slot = {0};
    uint64_t file_bytes = 0;
    fr_code code = io->open(io, path, last ? FR_OPEN_READ | FR_OPEN_WRITE : FR_OPEN_READ, &segment->file, err);
    if (!code) code = fr_segment_header_read(io, segment->file, path, base, segment, &slot, err);
    if (!code) code = io->size(io, segment->file, &file_bytes, err);
    if (!code && file_bytes < slot.durable_bytes)
        code = fr_fail(err, FR_ERR_CORRUPT, NULL,
                       "%s: cut at byte %" PRIu64 ", %" PRIu64 " bytes were durable (offsets below %" PRId64 ")", path,
                       file_bytes, slot.durable_bytes, slot.durable_offset);
    if (!code && !slot.sealed && !last)
        code = fr_fail(err, FR_ERR_CORRUPT, NULL, "%s: byte 512: a segment that is not the last is not sealed", path);
    if (!code && slot.sealed) {
        segment->end = slot.durable_offset;
        segment->bytes = slot.durable_bytes;
        segment->max_timestamp = slot.max_timestamp;
        segment->sealed = true;
        if (last) { /* a roll that came no further: its sync may have failed, and the seal be in the page cache only */
            code = write_again(io, segment->file, 0, segment->bytes, err);
            if (!code) code = io->sync(io, segment->file, err);
        }
        io->close(io, segment->file);
        segment->file = NULL;
    } else if (!code) {
        code = recover_tail(log, segment, path, &slot, file_bytes, err);
    }
    if (code) {
        fr_segment_unref(segment);
        log->active = NULL;
        return code;
    }
    *segment_out = segment;
    return FR_OK;
}

static fr_code open_segments(fr_log *log, const fr_offset *bases, uint32_t count, fr_err *err)
{
    log->list = fr_log_list_alloc(count + 1);
    if (!log->list) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "opening %s", log->dir);
    uint64_t bytes = 0;
    fr_offset expected = count ? bases[0] : 0;
    for (uint32_t i = 0; i < count; i++) {
        if (bases[i] != expected)
            return fr_fail(err, FR_ERR_CORRUPT, NULL, "%s: offsets %" PRId64 "..%" PRId64 " are missing or there twice",
                           log->dir, FR_MIN(expected, bases[i]), FR_MAX(expected, bases[i]) - 1);
        fr_segment *segment = NULL;
        FR_TRY(open_segment(log, bases[i], i + 1 == count, &segment, err));
        log->list->items[log->list->count++] = segment;
        expected = segment->end;
        bytes += segment->bytes;
    }
    if (!log->active) { /* a new log, or a roll that came no further than the seal */
        if (count == 0) FR_TRY(sync_parent(log->io, log->dir, err));
        fr_segment *segment = NULL;
        fr_code code = fr_log_segment_new(log, expected, &segment, err);
        if (code == FR_ERR_DISK_FULL && count) segment = log->list->items[count - 1]; /* sealed: the next append makes the new one */
        else if (code) return code;
        else bytes += (log->list->items[log->list->count++] = segment)->bytes;
        log->active = segment;
        log->round = 1;
        log->allocated = log->durable_bytes = log->marked_bytes = log->synced.bytes = segment->bytes;
        log->durable_max_timestamp = log->synced.max_timestamp = segment->max_timestamp;
        log->synced.offset = segment->end;
    }
    atomic_store_explicit(&log->start, log->list->items[0]->base, memory_order_relaxed);
    atomic_store_explicit(&log->end, log->active->end, memory_order_relaxed);
    atomic_store_explicit(&log->durable, log->active->end, memory_order_relaxed);
    atomic_store_explicit(&log->bytes, bytes, memory_order_relaxed);
    return FR_OK;
}

static void fill_options(fr_log_options *o)
{
    if (o->segment_bytes == 0) o->segment_bytes = 1u << 30;
    o->segment_bytes =
        FR_MIN(FR_MAX(o->segment_bytes, (uint64_t)2 * FR_SEGMENT_HEADER), (uint64_t)FR_SEGMENT_BYTES_MAX);
    if (o->segment_ms == 0) o->segment_ms = 7 * 24 * 3600 * 1000LL;
    if (o->retention_ms == 0) o->retention_ms = 7 * 24 * 3600 * 1000LL;
    if (o->delete_retention_ms == 0) o->delete_retention_ms = 24 * 3600 * 1000LL;
    if (o->index_interval_bytes == 0) o->index_interval_bytes = 4096;
    if (o->first_allocation == 0) o->first_allocation = 64 << 10;
    o->first_allocation = FR_MAX(o->first_allocation, 2 * FR_SEGMENT_HEADER);
}

fr_code fr_log_open(fr_io *io, const char *dir, const fr_log_options *options, fr_log **log_out, fr_err *err)
{
    *log_out = NULL;
    if (strlen(dir) > FR_LOG_DIR_BYTES_MAX)
        return fr_fail(err, FR_ERR_INVALID, "dir", "the path is longer than %u bytes", FR_LOG_DIR_BYTES_MAX);
    fr_log *log = fr_zalloc(FR_MEM_LOG, sizeof *log);
    if (!log) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "opening %s", dir);
    log->io = io;
    if (options) log->options = *options;
    fill_options(&log->options);
    pthread_mutex_init(&log->lock, NULL);
    pthread_mutex_init(&log->sync_lock, NULL);
    pthread_mutex_init(&log->files_lock, NULL);
    fr_offset *bases = NULL;
    uint32_t count = 0;
    log->dir = fr_strdup(FR_MEM_LOG, dir);
    fr_code code = log->dir ? tidy(io, dir, err) : fr_fail(err, FR_ERR_NO_MEMORY, NULL, "opening %s", dir);
    if (code == FR_ERR_NOT_FOUND) code = io->make_dir(io, dir, err);
    if (!code) code = fr_log_scan_dir(io, dir, FR_SUFFIX_LOG, &bases, &count, err);
    if (!code) code = open_segments(log, bases, count, err);
    fr_free(FR_MEM_LOG, bases);
    if (code) {
        log->active = NULL;
        fr_log_close(log);
        return code;
    }
    if (err) *err = (fr_err){0};
    *log_out = log;
    return FR_OK;
}

fr_code fr_log_destroy(fr_io *io, const char *dir, fr_err *err)
{
    for (fr_suffix suffix = 0; suffix < FR_SUFFIX_COUNT; suffix++) {
        fr_code code = remove_all(io, dir, suffix, err);
        if (code == FR_ERR_NOT_FOUND) return FR_OK;
        if (code) return code;
    }
    FR_TRY(io->remove(io, dir, err));
    return sync_parent(io, dir, err);
}
