/* log_private.h: the inside of one partition's log. Formats and invariants: log/README.md.
 *
 * Order of locks: files_lock, then sync_lock, then lock. `lock` is short and never held across I/O. sync_lock is held
 * across fdatasync on purpose: the kernel reports a failed write-back to one caller only, so two syncs of a file must
 * not race.
 */
#ifndef FR_LOG_PRIVATE_H
#define FR_LOG_PRIVATE_H

#include "log/batch_private.h"
#include "log/log.h"

#include <pthread.h>

#define FR_SEGMENT_VERSION   1u
#define FR_SEGMENT_HEADER    4096u /* sector 0 identity, sectors 1 and 2 the round slots */
#define FR_SEGMENT_SECTOR    512u
#define FR_SEGMENT_BYTES_MAX 0x7fffffffu
#define FR_INDEX_BLOCK       4096u
#define FR_INDEX_ENTRIES     254u /* per block: 16 + 254 * 16 + 12 spare + 4 */
#define FR_SEGMENTS_OPEN_MAX 4u   /* closed segments kept open for reading, per log */
#define FR_LOG_PATH_BYTES    4096u
#define FR_LOG_DIR_BYTES_MAX 4000u

/* One point of the sparse index: a batch, and the newest timestamp of all batches before it in the segment. */
typedef struct fr_segment_index_entry {
    uint32_t offset_delta, position;
    int64_t max_before;
} fr_segment_index_entry;

typedef struct fr_segment_index {
    fr_segment_index_entry *entries;
    uint32_t count, capacity;
} fr_segment_index;

/* What one round slot says. */
typedef struct fr_slot {
    uint64_t round, durable_bytes;
    fr_offset durable_offset;
    int64_t max_timestamp;
    bool sealed;
    bool valid;
} fr_slot;

typedef struct fr_segment {
    atomic_uint refs;
    fr_io *io;
    fr_offset base;
    uint64_t generation; /* tells this file from another one of the same name */
    int64_t created_ms;
    fr_offset end;         /* sealed: final; else writer thread only */
    uint64_t bytes;        /* likewise */
    int64_t max_timestamp; /* likewise */
    /* under lock */
    bool sealed;
    bool pinned; /* never closed while cached: its name is about to change */
    fr_file *file;
    uint32_t users; /* readers inside file and index */
    uint64_t used_at;
    bool index_loaded;
    fr_segment_index index;
} fr_segment;

typedef struct fr_segment_list { /* immutable once published */
    atomic_uint refs;
    uint32_t count;
    fr_segment *items[];
} fr_segment_list;

struct fr_log {
    fr_io *io;
    char *dir;
    fr_log_options options; /* defaults filled in */
    pthread_mutex_t lock, sync_lock, files_lock;
    fr_segment_list *list; /* lock */
    uint64_t clock;        /* lock: for the choice of what to close */
    _Atomic int64_t start, end, durable;
    _Atomic uint64_t bytes;
    atomic_int state;
    /* writer thread; the active segment is exchanged under sync_lock and lock */
    fr_segment *active;
    uint64_t allocated;     /* size of the active file */
    uint64_t last_indexed;  /* position of the active segment's last index entry */
    uint32_t index_flushed; /* entries on disk, whole blocks */
    uint64_t marked_bytes;  /* durable_bytes of the newest slot written */
    bool tail_dirty;        /* a failed append left bytes behind the end */
    bool tail_unsure;       /* what recovery found above the mark may be in the page cache only: the disk was full */
    int64_t first_append_ms;
    /* under lock: the round protocol. durable_bytes moves with `durable` */
    uint64_t round;         /* newest slot known to be on disk */
    uint64_t durable_bytes; /* of the active segment */
    int64_t durable_max_timestamp;
    bool slot_pending; /* slot round + 1 is written, not synced */
    struct {
        uint64_t bytes;
        fr_offset offset;
        int64_t max_timestamp;
    } synced; /* what is on disk: as far as durable, unless fr_log_publish went ahead */
    struct {
        fr_segment *segment;
        uint64_t bytes;
        fr_offset end;
        int64_t max_timestamp;
    } flight; /* set by sync_begin, used by sync */
};

/* ---- segment.c: one file's header, slots and batches ---- */
typedef enum fr_suffix {
    FR_SUFFIX_LOG,
    FR_SUFFIX_INDEX,
    FR_SUFFIX_NEW,
    FR_SUFFIX_CLEAN,
    FR_SUFFIX_SWAP,
    FR_SUFFIX_INDEX_NEW,
    FR_SUFFIX_COUNT
} fr_suffix;
void fr_segment_path(char path[FR_LOG_PATH_BYTES], const char *dir, fr_offset base, fr_suffix suffix);
bool fr_segment_name_parse(const char *name, fr_offset *base_out, fr_suffix *suffix_out);
fr_code fr_segment_header_write(fr_io *io, fr_file *file, fr_segment *segment, const fr_slot *slot, fr_err *err);
fr_code fr_segment_slot_write(fr_io *io, fr_file *file, const fr_slot *slot, fr_err *err);
/* Fills base, generation, created_ms of *segment, and the newest valid slot. base_expected comes from the file's name.
 */
fr_code fr_segment_header_read(fr_io *io, fr_file *file, const char *path, fr_offset base_expected, fr_segment *segment,
                               fr_slot *slot_out, fr_err *err);
fr_segment *fr_segment_create(fr_io *io, fr_offset base);
void fr_segment_ref(fr_segment *segment);
void fr_segment_unref(fr_segment *segment); /* closes and frees with the last one */

/* Walk of the batches of one file; every checksum is checked, and that each batch begins where the last one ended. */
typedef struct fr_cursor {
    fr_io *io;
    fr_file *file;
    const char *path;         /* for messages */
    uint64_t position, bound; /* next batch; nothing is read at or above bound */
    fr_offset expected;       /* base offset that the next batch must have */
    uint8_t *buffer;
    size_t capacity, filled;
    uint64_t buffer_at; /* position of buffer[0] */
} fr_cursor;
void fr_cursor_open(fr_cursor *cursor, fr_io *io, fr_file *file, const char *path, uint64_t position, uint64_t bound,
                    fr_offset expected);
/* *batch_out is borrowed until the next call; NULL at bound. CORRUPT leaves position at the bad batch. */
fr_code fr_cursor_next(fr_cursor *cursor, const uint8_t **batch_out, size_t *size_out, fr_batch_header *header_out,
                       fr_err *err);
bool fr_cursor_buffered(const fr_cursor *cursor,
                        size_t *size_out); /* the next batch's header (and size) is in the buffer */
void fr_cursor_close(fr_cursor *cursor);

/* ---- segment_index.c ---- */
fr_code fr_segment_index_reserve(fr_segment_index *index, uint32_t more);
void fr_segment_index_free(fr_segment_index *index);
uint32_t fr_segment_index_by_offset(const fr_segment_index *index, uint32_t offset_delta); /* entry to start at; count > 0 */
uint32_t fr_segment_index_by_timestamp(const fr_segment_index *index, int64_t timestamp_ms);
/* Read .index; entries that cannot be trusted end it. *complete_out: it ends with a last, short block (a closed
 * segment). */
fr_code fr_segment_index_load(fr_io *io, const char *dir, const fr_segment *segment, fr_segment_index *index_out,
                       bool *complete_out);
fr_code fr_segment_index_write(fr_io *io, const char *dir, const fr_segment *segment, const fr_segment_index *index,
                        uint32_t from, bool last, fr_err *err);
/* Walk from the last entry to bound, adding entries. */
fr_code fr_segment_index_extend(fr_io *io, fr_file *file, const char *path, const fr_segment *segment, uint64_t bound,
                         uint32_t interval, fr_segment_index *index, fr_offset *end_out, int64_t *max_timestamp_out,
                         fr_err *err);
/* Load, or rebuild and write when missing or bad. */
fr_code fr_segment_index_get(fr_log *log, const fr_segment *segment, fr_file *file, fr_segment_index *index_out, fr_err *err);

/* ---- log.c, log_open.c ---- */
fr_code fr_log_settle_tail(fr_log *log, fr_err *err); /* writer: before anything is changed while tail_unsure */
fr_code fr_log_sticky(fr_log *log, fr_err *err, const char *what); /* READ_ONLY from now on */
fr_code fr_log_check(const fr_log *log, fr_err *err);
fr_code fr_log_segment_new(fr_log *log, fr_offset base, fr_segment **segment_out, fr_err *err);
void fr_log_flush_index(fr_log *log, bool last);
fr_segment_list *fr_log_list_ref(const fr_log *log);
void fr_log_list_unref(fr_segment_list *list);
/* Under lock: replace items [from, from + removed) by `added` (may be NULL). Returns the old list for the caller to
 * unref. */
fr_segment_list *fr_log_list_splice(fr_log *log, fr_segment_list *prepared, uint32_t from, uint32_t removed,
                                    fr_segment *added);
fr_segment_list *fr_log_list_alloc(uint32_t count);
uint32_t fr_log_segment_count(fr_log *log);
fr_code fr_log_scan_dir(fr_io *io, const char *dir, fr_suffix suffix, fr_offset **bases_out, uint32_t *count_out,
                        fr_err *err);

/* ---- log_read.c ---- */
/* Open (or find open) a segment's file with its index; NOT_FOUND: the list is out of date. Release when done. */
fr_code fr_log_segment_acquire(fr_log *log, fr_segment *segment, fr_file **file_out, fr_err *err);
void fr_log_segment_release(fr_log *log, fr_segment *segment);

#endif
