/* alone_store.c: see alone_store.h. /var/tmp and not /tmp, which is memory on many machines. */
#include "index/alone_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct alone_file {
    fr_vector_store store;
    _Atomic int fd; /* -1: not created yet */
    int attached;   /* -1: none; before the table is used */
    char folder[];
} alone_file;

/* Unnamed where the file system can, else named and unlinked at once. */
static int create_unnamed(const char *folder)
{
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0) return fd;
    char path[4096];
    if (snprintf(path, sizeof path, "%s/freshet-vectors-XXXXXX", folder) >= (int)sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0) (void)!unlink(path);
    return fd;
}

static fr_code store_write(fr_vector_store *store, uint64_t at, const void *data, size_t size)
{
    alone_file *file = store->user;
    int fd = atomic_load(&file->fd);
    if (fd < 0) {
        fd = create_unnamed(file->folder);
        if (fd < 0) return FR_ERR_IO;
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM); /* a row is wanted, not what follows it */
        atomic_store(&file->fd, fd);
    }
    const uint8_t *from = data;
    while (size != 0) {
        ssize_t done = pwrite(fd, from, size, (off_t)at);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return errno == ENOSPC ? FR_ERR_DISK_FULL : FR_ERR_IO;
        from += done, at += (uint64_t)done, size -= (size_t)done;
    }
    return FR_OK;
}

static fr_code store_read(fr_vector_store *store, fr_read_ring *ring, const fr_vector_read *reads, uint32_t count)
{
    alone_file *file = store->user;
    fr_file_read batch[FR_VECTOR_READS_MAX];
    int fd = atomic_load_explicit(&file->fd, memory_order_acquire);
    FR_ASSERT(count <= FR_VECTOR_READS_MAX);
    for (uint32_t i = 0; i < count; i++)
        batch[i] = (fr_file_read){.at = reads[i].at, .to = reads[i].to, .size = reads[i].size,
                                   .fd = reads[i].file == FR_ALONE_FILE_ATTACHED ? file->attached : fd};
    return fr_read_batch(ring, batch, count);
}

fr_code fr_alone_folder_check(const char *folder, fr_err *err)
{
    int fd = create_unnamed(folder);
    if (fd < 0)
        return fr_fail(err, errno == ENOENT ? FR_ERR_NOT_FOUND : FR_ERR_IO, "folder", "cannot write into %s: %s", folder, strerror(errno));
    close(fd);
    return FR_OK;
}

fr_vector_store *fr_alone_store_create(const char *folder)
{
    if (folder == NULL) folder = getenv("TMPDIR");
    if (folder == NULL || *folder == 0) folder = "/var/tmp";
    alone_file *file = fr_zalloc(FR_MEM_VECTORS, sizeof *file + strlen(folder) + 1);
    if (file == NULL) return NULL;
    memcpy(file->folder, folder, strlen(folder) + 1);
    atomic_init(&file->fd, -1);
    file->attached = -1;
    file->store = (fr_vector_store){.write = store_write, .read = store_read, .user = file};
    return &file->store;
}

bool fr_alone_store_attach(fr_vector_store *store, int descriptor)
{
    alone_file *file = store->user;
    file->attached = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
    if (file->attached >= 0) (void)posix_fadvise(file->attached, 0, 0, POSIX_FADV_RANDOM);
    return file->attached >= 0;
}

void fr_alone_store_free(fr_vector_store *store)
{
    if (store == NULL) return;
    alone_file *file = store->user;
    if (file->fd >= 0) close(file->fd);
    if (file->attached >= 0) close(file->attached);
    fr_free(FR_MEM_VECTORS, file);
}
