/* io.h: the seam. Every file, clock, wait and random number of log and engine goes through an fr_io, so that tests/sim
 * can run the real engine over a simulated disk with power cuts. log/io_posix.c is the real one, tests/sim/io_sim.c the other.
 *
 * Paths are relative to nothing: the caller joins them. All functions may fail with IO, DISK_FULL (ENOSPC, EDQUOT) or
 * NOT_FOUND; a failed sync is final for that file: its caller never retries it.
 * Durability model (what a power cut may do): written bytes are safe only after sync(file); a created, renamed or removed
 * name is safe only after sync_dir(parent); file size changes are safe after sync(file).
 */
#ifndef FR_IO_H
#define FR_IO_H

#include "api/read_batch.h"

typedef struct fr_io fr_io;
typedef struct fr_file fr_file;

enum { FR_OPEN_READ = 1, FR_OPEN_WRITE = 2, FR_OPEN_CREATE = 4 /* with WRITE; fails with EXISTS when there */,
       FR_OPEN_RANDOM = 8 /* a hint: what follows a read will not be wanted */ };

typedef struct fr_io_read {
    fr_file *file;
    uint64_t at;
    void *data;
    size_t size;
} fr_io_read;

typedef struct fr_io_map {
    void *data; /* private, writable copy-on-write image */
    size_t size;
    void *owner[2];
} fr_io_map;

struct fr_io {
    fr_code (*open)(fr_io *io, const char *path, int flags, fr_file **file_out, fr_err *err);
    void (*close)(fr_io *io, fr_file *file); /* accepts NULL */
    fr_code (*size)(fr_io *io, fr_file *file, uint64_t *size_out, fr_err *err);
    fr_code (*read)(fr_io *io, fr_file *file, uint64_t at, void *data, size_t size, size_t *got_out, fr_err *err); /* short only at EOF */
    fr_code (*write)(fr_io *io, fr_file *file, uint64_t at, const void *data, size_t size, fr_err *err); /* all or error */
    fr_code (*sync)(fr_io *io, fr_file *file, fr_err *err);                     /* fdatasync */
    fr_code (*allocate)(fr_io *io, fr_file *file, uint64_t size, fr_err *err);  /* extend to size, zeroed */
    fr_code (*truncate)(fr_io *io, fr_file *file, uint64_t size, fr_err *err);
    fr_code (*map)(fr_io *io, fr_file *file, uint64_t at, size_t size, fr_io_map *map_out, fr_err *err); /* page-aligned at */
    void (*unmap)(fr_io *io, fr_io_map *map);
    /* A private image of whole pages of the file in place of the pages at `to`, which stay the caller's. NULL: there is none. */
    fr_code (*map_over)(fr_io *io, fr_file *file, uint64_t at, size_t size, void *to, fr_err *err);
    fr_code (*make_dir)(fr_io *io, const char *path, fr_err *err);              /* an existing one is fine */
    fr_code (*sync_dir)(fr_io *io, const char *path, fr_err *err);
    fr_code (*rename)(fr_io *io, const char *from, const char *to, fr_err *err); /* replaces */
    fr_code (*remove)(fr_io *io, const char *path, fr_err *err);                /* file or empty directory */
    fr_code (*list)(fr_io *io, const char *path, void (*each)(void *user, const char *name), void *user, fr_err *err);
    fr_code (*free_bytes)(fr_io *io, const char *path, uint64_t *bytes_out, fr_err *err);
    fr_code (*lock)(fr_io *io, const char *path, fr_file **file_out, fr_err *err); /* LOCKED when another process holds it */
    /* A descriptor of one's own for sendfile, -1 when there is none (NULL: never); drop closes it. */
    int (*descriptor)(fr_io *io, fr_file *file);
    void (*drop_descriptor)(fr_io *io, int descriptor);
    /* All of the reads, whole, at most FR_READ_BATCH_MAX, as one submit; NULL: whoever wants them calls read (fr_io_read_many). */
    fr_code (*read_many)(fr_io *io, fr_read_ring *ring, const fr_io_read *reads, uint32_t count);
    int64_t (*now_ms)(fr_io *io);   /* wall clock, that never goes back: api/wall.h */
    int64_t (*mono_us)(fr_io *io);  /* monotonic */
    uint64_t (*random)(fr_io *io);
    void (*sleep_ms)(fr_io *io, int64_t ms);
};

fr_io *fr_io_posix(void); /* shared, never freed */

/* IO when a read fails or meets the file's end. */
static inline fr_code fr_io_read_many(fr_io *io, fr_read_ring *ring, const fr_io_read *reads, uint32_t count)
{
    if (io->read_many != NULL) return io->read_many(io, ring, reads, count);
    for (uint32_t i = 0; i < count; i++) {
        size_t got = 0;
        FR_TRY(io->read(io, reads[i].file, reads[i].at, reads[i].data, reads[i].size, &got, NULL));
        if (got != reads[i].size) return FR_ERR_IO;
    }
    return FR_OK;
}

#endif
