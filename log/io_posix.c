/* io_posix.c: the real fr_io, over POSIX files.
 *
 * EINTR and short transfers are retried here; every other errno becomes IO, DISK_FULL, NOT_FOUND or EXISTS. A failed
 * fdatasync is reported once by the kernel (errseq) and the pages are then clean: the caller must not retry it.
 */
#include "log/io.h"

#include "api/wall.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

struct fr_file {
    int fd;
};

static fr_code fail_errno(fr_err *err, const char *what, const char *path)
{
    int number = errno;
    fr_code code = number == ENOSPC || number == EDQUOT ? FR_ERR_DISK_FULL
                   : number == ENOENT                   ? FR_ERR_NOT_FOUND
                   : number == EEXIST                   ? FR_ERR_EXISTS
                   : number == ENOMEM                   ? FR_ERR_NO_MEMORY
                                                        : FR_ERR_IO;
    char text[128];
    const char *message = strerror_r(number, text, sizeof text);
    return fr_fail(err, code, NULL, "%s %s: %s", what, path ? path : "file", message);
}

static fr_code posix_open(fr_io *io, const char *path, int flags, fr_file **file_out, fr_err *err)
{
    (void)io;
    int mode = O_CLOEXEC | (flags & FR_OPEN_WRITE ? O_RDWR : O_RDONLY);
    if (flags & FR_OPEN_CREATE) mode |= O_CREAT | O_EXCL;
    fr_file *file = fr_alloc(FR_MEM_LOG, sizeof *file);
    if (!file) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "opening %s", path);
    do file->fd = open(path, mode, 0640);
    while (file->fd < 0 && errno == EINTR);
    if (file->fd < 0) {
        fr_code code = fail_errno(err, "open", path);
        fr_free(FR_MEM_LOG, file);
        return code;
    }
    if (flags & FR_OPEN_RANDOM) (void)posix_fadvise(file->fd, 0, 0, POSIX_FADV_RANDOM);
    *file_out = file;
    return FR_OK;
}

static void posix_close(fr_io *io, fr_file *file)
{
    (void)io;
    if (!file) return;
    close(file->fd);
    fr_free(FR_MEM_LOG, file);
}

static fr_code posix_size(fr_io *io, fr_file *file, uint64_t *size_out, fr_err *err)
{
    (void)io;
    struct stat st;
    if (fstat(file->fd, &st) < 0) return fail_errno(err, "fstat", NULL);
    *size_out = (uint64_t)st.st_size;
    return FR_OK;
}

static fr_code posix_read(fr_io *io, fr_file *file, uint64_t at, void *data, size_t size, size_t *got_out, fr_err *err)
{
    (void)io;
    size_t got = 0;
    while (got < size) {
        ssize_t n = pread(file->fd, (char *)data + got, size - got, (off_t)(at + got));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_errno(err, "pread", NULL);
        if (n == 0) break;
        got += (size_t)n;
    }
    *got_out = got;
    return FR_OK;
}

static fr_code posix_read_many(fr_io *io, fr_read_ring *ring, const fr_io_read *reads, uint32_t count)
{
    (void)io;
    fr_file_read batch[FR_READ_BATCH_MAX];
    FR_ASSERT(count <= FR_READ_BATCH_MAX);
    for (uint32_t i = 0; i < count; i++)
        batch[i] = (fr_file_read){.at = reads[i].at, .to = reads[i].data, .size = (uint32_t)reads[i].size, .fd = reads[i].file->fd};
    return fr_read_batch(ring, batch, count);
}

static fr_code posix_write(fr_io *io, fr_file *file, uint64_t at, const void *data, size_t size, fr_err *err)
{
    (void)io;
    size_t put = 0;
    while (put < size) {
        ssize_t n = pwrite(file->fd, (const char *)data + put, size - put, (off_t)(at + put));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_errno(err, "pwrite", NULL);
        put += (size_t)n;
    }
    return FR_OK;
}

static fr_code posix_sync(fr_io *io, fr_file *file, fr_err *err)
{
    (void)io;
    /* EINTR leaves it open what was reported: it counts as a failure. */
    return fdatasync(file->fd) < 0 ? fail_errno(err, "fdatasync", NULL) : FR_OK;
}

static fr_code posix_allocate(fr_io *io, fr_file *file, uint64_t size, fr_err *err)
{
    uint64_t now = 0;
    FR_TRY(posix_size(io, file, &now, err));
    if (size <= now) return FR_OK;
    int failed;
    do failed = fallocate(file->fd, 0, (off_t)now, (off_t)(size - now));
    while (failed && errno == EINTR);
    /* A file system without fallocate gets a sparse file: a later write may then meet DISK_FULL. */
    if (failed && (errno == EOPNOTSUPP || errno == ENOSYS)) failed = ftruncate(file->fd, (off_t)size);
    if (!failed) return FR_OK;
    fr_code code = fail_errno(err, "fallocate", NULL);
    (void)!ftruncate(file->fd, (off_t)now); /* a partial allocation is given back */
    return code;
}

static fr_code posix_truncate(fr_io *io, fr_file *file, uint64_t size, fr_err *err)
{
    (void)io;
    int failed;
    do failed = ftruncate(file->fd, (off_t)size);
    while (failed && errno == EINTR);
    return failed ? fail_errno(err, "ftruncate", NULL) : FR_OK;
}

static fr_code posix_map(fr_io *io, fr_file *file, uint64_t at, size_t size, fr_io_map *map_out, fr_err *err)
{
    (void)io;
    void *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, file->fd, (off_t)at);
    if (data == MAP_FAILED) return fail_errno(err, "mmap", NULL);
    *map_out = (fr_io_map){.data = data, .size = size};
    return FR_OK;
}

static void posix_unmap(fr_io *io, fr_io_map *map)
{
    (void)io;
    if (map->data) munmap(map->data, map->size);
    *map = (fr_io_map){0};
}

static fr_code posix_map_over(fr_io *io, fr_file *file, uint64_t at, size_t size, void *to, fr_err *err)
{
    (void)io;
    if (mmap(to, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, file->fd, (off_t)at) == to) return FR_OK;
    return fail_errno(err, "mmap", NULL);
}

static fr_code posix_make_dir(fr_io *io, const char *path, fr_err *err)
{
    (void)io;
    if (mkdir(path, 0750) < 0 && errno != EEXIST) return fail_errno(err, "mkdir", path);
    return FR_OK;
}

static fr_code posix_sync_dir(fr_io *io, const char *path, fr_err *err)
{
    (void)io;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return fail_errno(err, "open", path);
    fr_code code = fsync(fd) < 0 ? fail_errno(err, "fsync", path) : FR_OK;
    close(fd);
    return code;
}

static fr_code posix_rename(fr_io *io, const char *from, const char *to, fr_err *err)
{
    (void)io;
    return rename(from, to) < 0 ? fail_errno(err, "rename", from) : FR_OK;
}

static fr_code posix_remove(fr_io *io, const char *path, fr_err *err)
{
    (void)io;
    if (unlink(path) == 0) return FR_OK;
    if ((errno == EISDIR || errno == EPERM) && rmdir(path) == 0) return FR_OK;
    return fail_errno(err, "remove", path);
}

static fr_code posix_list(fr_io *io, const char *path, void (*each)(void *user, const char *name), void *user,
                          fr_err *err)
{
    (void)io;
    DIR *dir = opendir(path);
    if (!dir) return fail_errno(err, "opendir", path);
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (!entry) break;
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) each(user, entry->d_name);
    }
    fr_code code = errno ? fail_errno(err, "readdir", path) : FR_OK;
    closedir(dir);
    return code;
}

static fr_code posix_free_bytes(fr_io *io, const char *path, uint64_t *bytes_out, fr_err *err)
{
    (void)io;
    struct statvfs st;
    if (statvfs(path, &st) < 0) return fail_errno(err, "statvfs", path);
    *bytes_out = (uint64_t)st.f_bavail * st.f_frsize;
    return FR_OK;
}

static fr_code posix_lock(fr_io *io, const char *path, fr_file **file_out, fr_err *err)
{
    (void)io;
    fr_file *file = fr_alloc(FR_MEM_LOG, sizeof *file);
    if (!file) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "locking %s", path);
    file->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    fr_code code = FR_OK;
    if (file->fd < 0) code = fail_errno(err, "open", path);
    else if (flock(file->fd, LOCK_EX | LOCK_NB) < 0)
        code = errno == EWOULDBLOCK ? fr_fail(err, FR_ERR_LOCKED, NULL, "%s is held by another process", path)
                                    : fail_errno(err, "flock", path);
    if (code) {
        if (file->fd >= 0) close(file->fd);
        fr_free(FR_MEM_LOG, file);
        return code;
    }
    *file_out = file;
    return FR_OK;
}

static int64_t posix_now_ms(fr_io *io)
{
    (void)io;
    return fr_wall_ms();
}

static int64_t posix_mono_us(fr_io *io)
{
    (void)io;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static uint64_t posix_random(fr_io *io)
{
    uint64_t value;
    if (getrandom(&value, sizeof value, 0) == (ssize_t)sizeof value) return value;
    return fr_mix64((uint64_t)posix_mono_us(io) ^ (uint64_t)getpid()
                                                      << 40); /* unique enough: used for names, not for secrets */
}

static void posix_sleep_ms(fr_io *io, int64_t ms)
{
    (void)io;
    if (ms <= 0) return;
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (nanosleep(&left, &left) < 0 && errno == EINTR) continue;
}

static int posix_descriptor(fr_io *io, fr_file *file)
{
    (void)io;
    return fcntl(file->fd, F_DUPFD_CLOEXEC, 0);
}

static void posix_drop_descriptor(fr_io *io, int descriptor)
{
    (void)io;
    close(descriptor);
}

fr_io *fr_io_posix(void)
{
    static fr_io io = {.open = posix_open,
                       .close = posix_close,
                       .size = posix_size,
                       .read = posix_read,
                       .read_many = posix_read_many,
                       .write = posix_write,
                       .sync = posix_sync,
                       .allocate = posix_allocate,
                       .truncate = posix_truncate,
                       .map = posix_map,
                       .unmap = posix_unmap,
                       .map_over = posix_map_over,
                       .make_dir = posix_make_dir,
                       .sync_dir = posix_sync_dir,
                       .rename = posix_rename,
                       .remove = posix_remove,
                       .list = posix_list,
                       .free_bytes = posix_free_bytes,
                       .lock = posix_lock,
                       .descriptor = posix_descriptor,
                       .drop_descriptor = posix_drop_descriptor,
                       .now_ms = posix_now_ms,
                       .mono_us = posix_mono_us,
                       .random = posix_random,
                       .sleep_ms = posix_sleep_ms};
    return &io;
}
