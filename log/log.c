/* log.c: the write path of one partition: append, roll, rounds.
 *
 * A round: sync_begin writes into a slot of the active segment how far the previous round reached; sync makes that slot
 * and all appended batches durable with one fdatasync. The slot of round r overwrites that of r - 2 only after r - 1 is
 * on disk. A roll syncs the old segment whole and seals it before the new one gets its name, so only the last segment
 * is ever torn.
 */
#include "log/log_private.h"

#include <inttypes.h>

/* ---- state ---- */

fr_code fr_log_check(const fr_log *log, fr_err *err)
{
    if (atomic_load_explicit(&log->state, memory_order_acquire) == FR_OK) return FR_OK; /* pairs with fr_log_sticky */
    return fr_fail(err, FR_ERR_READ_ONLY, NULL,
                   "%s is read-only since a write or sync failed; reopen it after checking the disk", log->dir);
}

fr_code fr_log_sticky(fr_log *log, fr_err *err, const char *what)
{
    fr_err why = {0};
    if (err) why = *err;
    atomic_store_explicit(&log->state, FR_ERR_READ_ONLY, memory_order_release); /* pairs with fr_log_check */
    fr_note(FR_NOTE_ERROR, "event=log_read_only log=%s what=%s why=\"%s\"", log->dir, what, why.text);
    return fr_fail(err, FR_ERR_READ_ONLY, NULL, "%s failed, the log is read-only: %.160s", what, why.text);
}

/* A failed write: full disks and full memory pass, everything else is final. */
static fr_code write_failed(fr_log *log, fr_code code, fr_err *err, const char *what)
{
    return code == FR_ERR_DISK_FULL || code == FR_ERR_NO_MEMORY ? code : fr_log_sticky(log, err, what);
}

fr_offset fr_log_start(const fr_log *log) { return atomic_load_explicit(&log->start, memory_order_acquire); }
fr_offset fr_log_end(const fr_log *log) { return atomic_load_explicit(&log->end, memory_order_acquire); }
fr_offset fr_log_durable(const fr_log *log) { return atomic_load_explicit(&log->durable, memory_order_acquire); }
uint64_t fr_log_bytes(const fr_log *log) { return atomic_load_explicit(&log->bytes, memory_order_relaxed); }
fr_code fr_log_state(const fr_log *log) { return (fr_code)atomic_load_explicit(&log->state, memory_order_acquire); }

/* ---- the list of segments ---- */

fr_segment_list *fr_log_list_alloc(uint32_t count)
{
    fr_segment_list *list = fr_zalloc(FR_MEM_LOG, sizeof *list + count * sizeof list->items[0]);
    if (list) atomic_init(&list->refs, 1);
    return list;
}

fr_segment_list *fr_log_list_ref(const fr_log *log)
{
    fr_log *self = (fr_log *)log;
    pthread_mutex_lock(&self->lock);
    fr_segment_list *list = self->list;
    atomic_fetch_add_explicit(&list->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&self->lock);
    return list;
}

void fr_log_list_unref(fr_segment_list *list)
{
    /* acq_rel: pairs with the other holders' releases */
    if (!list || atomic_fetch_sub_explicit(&list->refs, 1, memory_order_acq_rel) != 1) return;
    for (uint32_t i = 0; i < list->count; i++) fr_segment_unref(list->items[i]);
    fr_free(FR_MEM_LOG, list);
}

fr_segment_list *fr_log_list_splice(fr_log *log, fr_segment_list *prepared, uint32_t from, uint32_t removed,
                                    fr_segment *added)
{
    fr_segment_list *old = log->list;
    uint32_t count = 0;
    for (uint32_t i = 0; i <= old->count; i++) {
        if (i == from && added) prepared->items[count++] = added;
        if (i == old->count || (i >= from && i < from + removed)) continue;
        fr_segment_ref(old->items[i]);
        prepared->items[count++] = old->items[i];
    }
    prepared->count = count;
    log->list = prepared;
    return old;
}

uint32_t fr_log_segment_count(fr_log *log)
{
    pthread_mutex_lock(&log->lock);
    uint32_t count = log->list->count;
    pthread_mutex_unlock(&log->lock);
    return count;
}

/* ---- segments come and go ---- */

fr_code fr_log_segment_new(fr_log *log, fr_offset base, fr_segment **segment_out, fr_err *err)
{
    fr_io *io = log->io;
    char made[FR_LOG_PATH_BYTES], final[FR_LOG_PATH_BYTES];
    fr_segment_path(made, log->dir, base, FR_SUFFIX_NEW);
    fr_segment_path(final, log->dir, base, FR_SUFFIX_LOG);
    fr_segment *segment = fr_segment_create(io, base);
    if (!segment) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "a segment of %s", log->dir);
    segment->generation = io->random(io);
    segment->created_ms = io->now_ms(io);
    fr_slot slot = {.round = 1, .durable_bytes = FR_SEGMENT_HEADER, .durable_offset = base, .max_timestamp = INT64_MIN};
    fr_code code = io->open(io, made, FR_OPEN_READ | FR_OPEN_WRITE | FR_OPEN_CREATE, &segment->file, err);
    if (code == FR_ERR_EXISTS) { /* left by a roll that met a full disk */
        code = io->remove(io, made, err);
        if (!code) code = io->open(io, made, FR_OPEN_READ | FR_OPEN_WRITE | FR_OPEN_CREATE, &segment->file, err);
    }
    if (!code) code = fr_segment_header_write(io, segment->file, segment, &slot, err);
    if (!code) code = io->sync(io, segment->file, err);
    if (!code) code = io->rename(io, made, final, err);
    if (!code) code = io->sync_dir(io, log->dir, err);
    if (code) {
        bool opened = segment->file != NULL;
        fr_segment_unref(segment);
        if (opened) (void)!io->remove(io, made, NULL); /* opening the log removes it otherwise */
        return code;
    }
    segment->index_loaded = true;
    *segment_out = segment;
    return FR_OK;
}

/* Blocks of the index whose batches are durable; with `last` all of it. A failure only costs a rebuild. */
void fr_log_flush_index(fr_log *log, bool last)
{
    fr_segment_index *index = &log->active->index;
    if (!last && index->count < log->index_flushed + FR_INDEX_ENTRIES + 1) return;
    fr_segment_index view = *index;
    pthread_mutex_lock(&log->lock);
    uint64_t durable_bytes = log->durable_bytes;
    pthread_mutex_unlock(&log->lock);
    while (!last && view.count && view.entries[view.count - 1].position >= durable_bytes) view.count--;
    if (!last && view.count < log->index_flushed + FR_INDEX_ENTRIES + 1) return;
    if (fr_segment_index_write(log->io, log->dir, log->active, &view, log->index_flushed, last, NULL) != FR_OK) return;
    log->index_flushed += (view.count - log->index_flushed - 1) / FR_INDEX_ENTRIES * FR_INDEX_ENTRIES;
}

/* Under sync_lock. The active segment's batches and then its seal reach the disk. */
static fr_code seal(fr_log *log, fr_err *err)
{
    fr_io *io = log->io;
    fr_segment *segment = log->active;
    fr_code code = FR_OK;
    if (log->allocated > segment->bytes) code = io->truncate(io, segment->file, segment->bytes, err);
    if (code) return fr_log_sticky(log, err, "cutting a segment to its size");
    log->allocated = segment->bytes;
    if (io->sync(io, segment->file, err) != FR_OK) return fr_log_sticky(log, err, "fdatasync");
    pthread_mutex_lock(&log->lock);
    if (log->slot_pending) log->round++;
    log->slot_pending = false;
    uint64_t round = log->round;
    pthread_mutex_unlock(&log->lock);
    fr_slot slot = {.round = round + 1,
                    .durable_bytes = segment->bytes,
                    .durable_offset = segment->end,
                    .max_timestamp = segment->max_timestamp,
                    .sealed = true};
    code = fr_segment_slot_write(io, segment->file, &slot, err);
    if (code) return write_failed(log, code, err, "writing a round slot");
    if (io->sync(io, segment->file, err) != FR_OK) return fr_log_sticky(log, err, "fdatasync");
    slot.round++; /* a second copy, so that one bad sector does not unseal it; needs no sync */
    (void)!fr_segment_slot_write(io, segment->file, &slot, NULL);
    fr_log_flush_index(log, true);
    pthread_mutex_lock(&log->lock);
    log->round++;
    segment->sealed = true;
    pthread_mutex_unlock(&log->lock);
    return FR_OK;
}

static fr_code roll_locked(fr_log *log, fr_err *err)
{
    if (!log->active->sealed) FR_TRY(seal(log, err));
    fr_segment *segment = NULL;
    /* Compaction may shrink the list meanwhile, nobody else grows it. */
    fr_segment_list *prepared = fr_log_list_alloc(fr_log_segment_count(log) + 1);
    if (!prepared) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "rolling %s", log->dir);
    fr_code code = fr_log_segment_new(log, log->active->end, &segment, err);
    if (code) {
        fr_free(FR_MEM_LOG, prepared);
        return write_failed(log, code, err, "creating a segment");
    }
    pthread_mutex_lock(&log->lock);
    fr_segment_list *old = fr_log_list_splice(log, prepared, log->list->count, 0, segment);
    log->active = segment;
    log->round = 1;
    log->slot_pending = false;
    log->durable_bytes = log->synced.bytes = FR_SEGMENT_HEADER;
    log->durable_max_timestamp = log->synced.max_timestamp = INT64_MIN;
    log->synced.offset = segment->base;
    pthread_mutex_unlock(&log->lock);
    fr_log_list_unref(old);
    log->allocated = log->marked_bytes = FR_SEGMENT_HEADER;
    log->last_indexed = 0;
    log->index_flushed = 0;
    atomic_fetch_add_explicit(&log->bytes, FR_SEGMENT_HEADER, memory_order_relaxed);
    return FR_OK;
}

fr_code fr_log_roll(fr_log *log, fr_err *err)
{
    FR_TRY(fr_log_check(log, err));
    if (log->active->end == log->active->base) return FR_OK;
    if (log->tail_unsure) FR_TRY(fr_log_settle_tail(log, err));
    pthread_mutex_lock(&log->sync_lock);
    fr_code code = roll_locked(log, err);
    pthread_mutex_unlock(&log->sync_lock);
    return code;
}

/* ---- append ---- */

static bool roll_due(const fr_log *log, const fr_log_options *options, size_t size, int32_t last_offset_delta)
{
    const fr_segment *segment = log->active;
    if (segment->sealed) return true; /* a roll that met a full disk */
    if (segment->end == segment->base) return false;
    if (segment->bytes + size > options->segment_bytes) return true;
    if (segment->end - segment->base > INT32_MAX - 1 - (int64_t)last_offset_delta) return true;
    return options->segment_ms > 0 && log->io->now_ms(log->io) - log->first_append_ms >= options->segment_ms;
}

/* File space for `need` bytes in all: doubling steps of 64 KiB to 16 MiB, or just enough when the disk is nearly full.
 */
static fr_code make_room(fr_log *log, uint64_t segment_bytes, uint64_t need, fr_err *err)
{
    if (need <= log->allocated) return FR_OK;
    uint64_t step = FR_MIN(FR_MAX(log->allocated, (uint64_t)log->options.first_allocation), (uint64_t)16 << 20);
    uint64_t space = 0; /* never more than an eighth of what is free: others want to write, too */
    if (step > log->options.first_allocation && log->io->free_bytes(log->io, log->dir, &space, NULL) == FR_OK)
        step = FR_MIN(step, FR_MAX(space / 8, (uint64_t)log->options.first_allocation));
    uint64_t wanted = log->allocated <= FR_SEGMENT_HEADER ? log->options.first_allocation : log->allocated + step;
    if (wanted > segment_bytes) wanted = segment_bytes;
    wanted = FR_MAX(wanted, need);
    fr_code code = log->io->allocate(log->io, log->active->file, wanted, err);
    if (code == FR_ERR_DISK_FULL && wanted > need) {
        wanted = need;
        code = log->io->allocate(log->io, log->active->file, wanted, err);
    }
    if (!code) log->allocated = wanted;
    return code;
}

/* The bytes of a failed append are taken back, so that nothing stale follows the next, shorter batch. */
static fr_code clean_tail(fr_log *log, fr_err *err)
{
    FR_TRY(log->io->truncate(log->io, log->active->file, log->active->bytes, err));
    log->allocated = log->active->bytes;
    log->tail_dirty = false;
    return FR_OK;
}

fr_code fr_log_append(fr_log *log, uint8_t *batch, size_t size, fr_offset *base_out, fr_err *err)
{
    FR_TRY(fr_log_check(log, err));
    fr_batch_header header;
    size_t whole;
    FR_TRY(fr_batch_check(batch, size, &header, &whole, err));
    if (whole != size)
        return fr_fail(err, FR_ERR_INVALID, "batchLength", "%zu bytes given, the batch has %zu", size, whole);
    if (header.recordCount < 1) return fr_fail(err, FR_ERR_INVALID, "recordCount", "an empty batch");
    pthread_mutex_lock(&log->lock);
    fr_log_options options = log->options; /* they may be changed at any time */
    pthread_mutex_unlock(&log->lock);
    if (log->tail_unsure) {
        fr_code unsettled = fr_log_settle_tail(log, err);
        if (unsettled) return write_failed(log, unsettled, err, "writing a recovered tail again");
    }
    if (roll_due(log, &options, size, header.lastOffsetDelta)) FR_TRY(fr_log_roll(log, err));
    fr_segment *segment = log->active;
    if (segment->end > INT64_MAX - 2 - header.lastOffsetDelta)
        return fr_fail(err, FR_ERR_TOO_LARGE, NULL, "offsets are used up");
    bool indexed = log->last_indexed == 0 || segment->bytes - log->last_indexed >= log->options.index_interval_bytes;
    fr_code code = FR_OK;
    if (indexed) {
        pthread_mutex_lock(&log->lock); /* readers search the entries that may move */
        code = fr_segment_index_reserve(&segment->index, 1);
        pthread_mutex_unlock(&log->lock);
        if (code) return fr_fail(err, code, NULL, "index of %s", log->dir);
    }
    if (log->tail_dirty) code = clean_tail(log, err);
    if (!code) code = make_room(log, options.segment_bytes, segment->bytes + size, err);
    if (code) return write_failed(log, code, err, "allocating log space");
    fr_store_be64(batch, (uint64_t)segment->end);
    fr_store_be32(batch + 12, 0);
    code = log->io->write(log->io, segment->file, segment->bytes, batch, size, err);
    if (code) {
        log->tail_dirty = true;
        return write_failed(log, code, err, "writing to the log");
    }
    if (segment->end == segment->base) log->first_append_ms = log->io->now_ms(log->io);
    if (indexed) {
        pthread_mutex_lock(&log->lock);
        segment->index.entries[segment->index.count++] = (fr_segment_index_entry){
            (uint32_t)(segment->end - segment->base), (uint32_t)segment->bytes, segment->max_timestamp};
        pthread_mutex_unlock(&log->lock);
        log->last_indexed = segment->bytes;
    }
    *base_out = segment->end;
    segment->bytes += size;
    segment->end += (int64_t)header.lastOffsetDelta + 1;
    segment->max_timestamp = FR_MAX(segment->max_timestamp, header.maxTimestamp);
    atomic_fetch_add_explicit(&log->bytes, size, memory_order_relaxed);
    atomic_store_explicit(&log->end, segment->end, memory_order_release);
    return FR_OK;
}

/* ---- rounds ---- */

fr_code fr_log_sync_begin(fr_log *log, fr_offset *end_out, fr_err *err)
{
    FR_TRY(fr_log_check(log, err));
    fr_segment *segment = log->active;
    fr_offset end = segment->end, durable = fr_log_durable(log);
    *end_out = end;
    if (end == durable && !fr_log_unsynced(log)) return FR_OK;
    pthread_mutex_lock(&log->lock);
    fr_slot slot = {.round = log->round + 1,
                    .durable_bytes = log->synced.bytes,
                    .durable_offset = FR_MAX(log->synced.offset, segment->base),
                    .max_timestamp = log->synced.max_timestamp};
    log->flight.segment = segment;
    log->flight.bytes = segment->bytes;
    log->flight.end = end;
    log->flight.max_timestamp = segment->max_timestamp;
    pthread_mutex_unlock(&log->lock);
    if (segment->sealed) return FR_OK; /* synced whole already */
    fr_code code = fr_segment_slot_write(log->io, segment->file, &slot, err);
    if (code) return write_failed(log, code, err, "writing a round slot");
    log->marked_bytes = slot.durable_bytes;
    pthread_mutex_lock(&log->lock);
    log->slot_pending = true;
    pthread_mutex_unlock(&log->lock);
    fr_log_flush_index(log, false);
    return FR_OK;
}

static fr_code sync_locked(fr_log *log, fr_offset end, fr_err *err)
{
    FR_TRY(fr_log_check(log, err));
    if (end <= fr_log_durable(log) && !fr_log_unsynced(log)) return FR_OK;
    if (end > log->flight.end) return fr_fail(err, FR_ERR_INVALID, NULL, "sync to %" PRId64 " without sync_begin", end);
    bool in_active = log->flight.segment == log->active; /* else a roll has synced it */
    if (in_active && log->io->sync(log->io, log->active->file, err) != FR_OK)
        return fr_log_sticky(log, err, "fdatasync");
    pthread_mutex_lock(&log->lock);
    if (in_active && !log->active->sealed) {
        log->durable_bytes = log->synced.bytes = log->flight.bytes;
        log->durable_max_timestamp = log->synced.max_timestamp = log->flight.max_timestamp;
        log->synced.offset = log->flight.end;
        if (log->slot_pending) log->round++;
        log->slot_pending = false;
    }
    atomic_store_explicit(&log->durable, log->flight.end, memory_order_release);
    pthread_mutex_unlock(&log->lock);
    return FR_OK;
}

fr_code fr_log_sync(fr_log *log, fr_offset end, fr_err *err)
{
    pthread_mutex_lock(&log->sync_lock);
    fr_code code = sync_locked(log, end, err);
    pthread_mutex_unlock(&log->sync_lock);
    return code;
}

bool fr_log_unsynced(fr_log *log)
{
    pthread_mutex_lock(&log->lock);
    bool behind = log->synced.offset < fr_log_durable(log);
    pthread_mutex_unlock(&log->lock);
    return behind;
}

fr_code fr_log_publish(fr_log *log, fr_offset *end_out, fr_err *err)
{
    FR_TRY(fr_log_check(log, err));
    const fr_segment *segment = log->active;
    pthread_mutex_lock(&log->lock);
    if (!segment->sealed) {
        log->durable_bytes = segment->bytes;
        log->durable_max_timestamp = segment->max_timestamp;
    }
    atomic_store_explicit(&log->durable, segment->end, memory_order_release);
    pthread_mutex_unlock(&log->lock);
    *end_out = segment->end;
    fr_log_flush_index(log, false);
    return FR_OK;
}

fr_code fr_log_flush(fr_log *log, fr_err *err)
{
    fr_code code = FR_OK;
    pthread_mutex_lock(&log->sync_lock); /* nobody rolls meanwhile */
    pthread_mutex_lock(&log->lock);
    fr_offset offset = fr_log_durable(log);
    uint64_t bytes = log->durable_bytes;
    int64_t newest = log->durable_max_timestamp;
    bool behind = log->synced.offset < offset && !log->active->sealed;
    pthread_mutex_unlock(&log->lock);
    if (behind) code = fr_log_check(log, err);
    if (behind && code == FR_OK && log->io->sync(log->io, log->active->file, err) != FR_OK) code = fr_log_sticky(log, err, "fdatasync");
    pthread_mutex_lock(&log->lock);
    if (behind && code == FR_OK) {
        log->synced.bytes = bytes;
        log->synced.offset = offset;
        log->synced.max_timestamp = newest;
    }
    pthread_mutex_unlock(&log->lock);
    pthread_mutex_unlock(&log->sync_lock);
    return code;
}

void fr_log_close(fr_log *log)
{
    if (!log) return;
    if (log->active && !log->active->sealed && !log->tail_unsure && log->synced.bytes > log->marked_bytes && fr_log_state(log) == FR_OK) {
        /* Without a sync: after a clean end no round is ambiguous. Same slot as the next round's, so a torn one harms
         * nothing. */
        fr_slot slot = {.round = log->round + 1,
                        .durable_bytes = log->synced.bytes,
                        .durable_offset = log->synced.offset,
                        .max_timestamp = log->synced.max_timestamp};
        (void)!fr_segment_slot_write(log->io, log->active->file, &slot, NULL);
    }
    fr_log_list_unref(log->list);
    pthread_mutex_destroy(&log->lock);
    pthread_mutex_destroy(&log->sync_lock);
    pthread_mutex_destroy(&log->files_lock);
    fr_free(FR_MEM_LOG, log->dir);
    fr_free(FR_MEM_LOG, log);
}
