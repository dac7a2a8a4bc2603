/* log.h: one partition of an append-only, replayable log of Kafka RecordBatch v2. Formats: log/README.md.
 *
 * Threads: append, sync_begin, retain, roll and compact_swap belong to the writer; sync may run on another thread (one at a
 * time); read, seek and the getters on any thread. The published offsets are atomics.
 * Errors: the first failed write or sync makes the log sticky READ_ONLY until it is opened again; DISK_FULL is not sticky.
 */
#ifndef FR_LOG_H
#define FR_LOG_H

#include "log/batch.h"
#include "log/io.h"
#include "log/producers.h"

typedef struct fr_log fr_log;

typedef struct fr_log_options {
    uint64_t segment_bytes;        /* roll; 0 = 1 GiB */
    int64_t segment_ms;            /* roll; 0 = 7 days; -1 = never */
    int64_t retention_ms;          /* -1 = none (0 = 7 days) */
    int64_t retention_bytes;       /* -1 or 0 = none */
    bool compact;                  /* compaction instead of deletion */
    int64_t delete_retention_ms;   /* tombstones are kept this long after compaction first sees them clean; 0 = 24 h */
    uint32_t index_interval_bytes; /* 0 = 4096 */
    uint32_t first_allocation;     /* 0 = 64 KiB, doubling to 16 MiB */
} fr_log_options;

/* Opens or creates dir. Cuts a torn round; damage below the durable mark is CORRUPT with its exact offset in err (the log is
 * then not opened). Costs a read of each segment's tail only; a missing or bad index file is rebuilt. */
fr_code fr_log_open(fr_io *io, const char *dir, const fr_log_options *options, fr_log **log_out, fr_err *err);
void fr_log_close(fr_log *log); /* syncs nothing; accepts NULL */

/* Append one encoded batch (log/batch.h), base offset assigned here and patched in the caller's buffer. Not durable yet.
 * Also rejects a batch that fails fr_batch_check_header. */
fr_code fr_log_append(fr_log *log, uint8_t *batch, size_t size, fr_offset *base_out, fr_err *err);
/* One round: writer thread calls sync_begin after its appends (writes the round header), then sync anywhere. After sync, every
 * offset below the `end` taken at sync_begin is durable. */
fr_code fr_log_sync_begin(fr_log *log, fr_offset *end_out, fr_err *err);
fr_code fr_log_sync(fr_log *log, fr_offset end, fr_err *err); /* fdatasync; then publishes durable = end */
/* Instead of both, writer thread: all that was appended is published as durable, though it is in the page cache only: a topic that asked
 * for it. What the segment's slots say stays as far as it was synced. */
fr_code fr_log_publish(fr_log *log, fr_offset *end_out, fr_err *err);
fr_code fr_log_flush(fr_log *log, fr_err *err); /* fdatasync of what was published; any thread */
bool fr_log_unsynced(fr_log *log);

/* Forget every record from `from` on, from >= durable offsets that anybody was told of; `from` must be the base offset of a batch
 * (or the end: nothing happens). Writer thread, no sync in flight; durable when it returns. The engine uses it to undo the parts of
 * a request that could not be appended whole (disk full), and in recovery for a request that a power cut tore between partitions. */
fr_code fr_log_cut(fr_log *log, fr_offset from, fr_err *err);

fr_offset fr_log_start(const fr_log *log);   /* first offset kept */
fr_offset fr_log_end(const fr_log *log);     /* next to be assigned */
fr_offset fr_log_durable(const fr_log *log); /* next after the last durable one */
uint64_t fr_log_bytes(const fr_log *log);
fr_code fr_log_state(const fr_log *log);     /* OK, or the sticky error */

/* Whole batches from the one holding `from` (or the next kept one: compaction leaves gaps), checksums checked, up to bytes_max
 * but at least one, never beyond durable (or `limit` when lower and >= 0). Empty view at the end. Buffers are the view's. */
fr_code fr_log_read(const fr_log *log, fr_offset from, fr_offset limit, uint32_t bytes_max, fr_view *view_out, fr_err *err);
/* The same as a range of a segment file, checksums not looked at: *descriptor_out is the caller's (io->drop_descriptor), -1 when
 * the io gives none. Whole batches; size 0 at the end. */
typedef struct fr_log_range {
    int descriptor;
    uint64_t position, size;
    fr_offset first, next;
} fr_log_range;
fr_code fr_log_range_get(const fr_log *log, fr_offset from, fr_offset limit, uint32_t bytes_max, fr_log_range *range_out, fr_err *err);
/* First offset whose timestamp >= timestamp_ms; fr_log_durable when none. */
fr_code fr_log_seek(const fr_log *log, int64_t timestamp_ms, fr_offset *offset_out, fr_err *err);
/* The newest timestamp of all durable records (INT64_MIN: none), from the segments' bounds. */
int64_t fr_log_newest(const fr_log *log);

/* Retention by time and bytes: drops whole closed segments, never past keep_from. */
fr_code fr_log_retain(fr_log *log, fr_offset keep_from, int64_t now_ms, uint32_t *segments_out, fr_err *err);

/* Drops whole closed segments that end at or below keep_from, whatever the options say. Offsets between the new start and
 * keep_from stay readable: the caller keeps its own start for them. */
fr_code fr_log_drop_before(fr_log *log, fr_offset keep_from, uint32_t *segments_out, fr_err *err);
/* New limits for retention and rolling; any thread. */
void fr_log_set_options(fr_log *log, const fr_log_options *options);
/* Where the open segment begins: only what is before it can be dropped or compacted. */
fr_offset fr_log_open_base(const fr_log *log);
/* Bytes of the closed segments that lie in [from, until]; *end_out: where the last of them ends (`from`: none). */
uint64_t fr_log_closed(const fr_log *log, fr_offset from, fr_offset until, fr_offset *end_out);

/* Compaction of the closed segments (force: the active one is rolled first), never past clean_until. For each record with a key
 * asks keep(): false drops it. Tombstones are kept for delete_retention_ms (Kafka's delete horizon in the batch) then dropped
 * even if keep() says true. Offsets never change; a batch keeps base offset and last offset even when records go. The engine's
 * keep() says whether the record is the latest of its key. Crash-safe: new files, sync, one atomic switch; readers go on.
 * compact: may run on another thread beside append and read; one at a time. */
typedef bool (*fr_log_keep)(void *user, fr_span key, fr_offset offset, bool tombstone);
typedef struct fr_log_compacted { uint64_t bytes_before, bytes_after, records_before, records_after; } fr_log_compacted;
fr_code fr_log_roll(fr_log *log, fr_err *err);
/* producers (may be NULL): the last batch of each stays, if need be without records; records of aborted transactions go. */
fr_code fr_log_compact(fr_log *log, fr_producers *producers, fr_offset clean_until, int64_t now_ms, fr_log_keep keep,
                       void *user, fr_log_compacted *out, fr_err *err);

/* Every checksum of a partition's files; report() gets one line per finding. */
fr_code fr_log_verify(fr_io *io, const char *dir, void (*report)(void *user, bool bad, const char *line), void *user, fr_err *err);
/* Tells a segment's file (`path` ends in its base offset and .log) from another one of the same name: compaction writes new ones. */
fr_code fr_log_file_generation(fr_io *io, const char *path, uint64_t *generation_out, fr_err *err);
/* Remove a partition's files. */
fr_code fr_log_destroy(fr_io *io, const char *dir, fr_err *err);

#endif
