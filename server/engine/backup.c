/* backup.c: a copy of a data directory, also while a server has it open, by reading files only.
 * Why that is enough
 *  1. Files of a log only grow, and a segment's header is read before its batches: the mark in the copy never names what is not in it.
 *     What lies above the mark is taken or cut as after a power cut, requests over several partitions whole or not at all.
 *  2. Catalog and transactions are copied first: what they decided is in the partitions that are copied later, markers included.
 *  3. Of a partition the snapshot goes before the log, so the log reaches beyond it. The server's own compaction makes both manifests equal
 *     and writes them before it touches the log, and never drops what they need: a partition whose manifests did not change while it
 *     was copied, and whose files did not vanish under the copy, is one state. Else it is copied again. */
#include "server/engine/engine.h"

#include <stdio.h>
#include <stdlib.h>

#define ATTEMPTS   50
#define COPY_BYTES (1u << 20)

typedef struct copying {
    fr_io *io;
    const char *from, *to;
    uint8_t *buffer;
    uint64_t files, bytes;
} copying;

typedef struct name_list {
    char (*names)[64];
    uint32_t count, capacity;
    bool failed;
} name_list;

static void take_name(void *user, const char *name)
{
    name_list *list = user;
    if (name[0] == '.' || strlen(name) >= sizeof list->names[0]) return;
    if (list->count == list->capacity) {
        uint32_t capacity = FR_MAX(64u, list->capacity * 2);
        void *grown = fr_realloc(FR_MEM_ENGINE, list->names, capacity * sizeof list->names[0]);
        if (grown == NULL) {
            list->failed = true;
            return;
        }
        list->names = grown;
        list->capacity = capacity;
    }
    snprintf(list->names[list->count++], sizeof list->names[0], "%s", name);
}

static fr_code list_names(copying *x, const char *path, name_list *list, fr_err *err)
{
    *list = (name_list){.count = 0};
    FR_TRY(x->io->list(x->io, path, take_name, list, err));
    return list->failed ? fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory") : FR_OK;
}

/* The first 4 KiB by themselves: a segment's marks are older than all that follows. */
static fr_code copy_bytes(copying *x, fr_file *from, fr_file *to, fr_err *err)
{
    for (uint64_t at = 0;;) {
        size_t got = 0;
        FR_TRY(x->io->read(x->io, from, at, x->buffer, at == 0 ? 4096 : COPY_BYTES, &got, err));
        if (got == 0) return x->io->sync(x->io, to, err);
        FR_TRY(x->io->write(x->io, to, at, x->buffer, got, err));
        at += got;
        x->bytes += got;
    }
}

static fr_code copy_file(copying *x, const char *from_dir, const char *to_dir, const char *name, fr_err *err)
{
    char from[FR_PATH_MAX + 160], to[FR_PATH_MAX + 160];
    fr_file *source = NULL, *target = NULL;
    snprintf(from, sizeof from, "%s/%s", from_dir, name);
    snprintf(to, sizeof to, "%s/%s", to_dir, name);
    FR_TRY(x->io->open(x->io, from, FR_OPEN_READ, &source, err));
    fr_code code = x->io->open(x->io, to, FR_OPEN_READ | FR_OPEN_WRITE | FR_OPEN_CREATE, &target, err);
    if (code == FR_OK) code = copy_bytes(x, source, target, err);
    x->io->close(x->io, source);
    if (target != NULL) x->io->close(x->io, target);
    x->files += code == FR_OK;
    return code;
}

static bool ends_with(const char *name, const char *suffix)
{
    size_t size = strlen(name), end = strlen(suffix);
    return size >= end && strcmp(name + size - end, suffix) == 0;
}

static bool wanted(const char *name, bool log)
{
    if (log) return ends_with(name, ".log") && !ends_with(name, ".new"); /* index files are made again */
    return ends_with(name, ".chunks") || strcmp(name, "MANIFEST-0") == 0 || strcmp(name, "MANIFEST-1") == 0 ||
           strcmp(name, "PRODUCERS-0") == 0 || strcmp(name, "PRODUCERS-1") == 0;
}

/* *moved_out: compaction is switching files. */
static fr_code copy_dir(copying *x, const char *kind, const char *name, bool *moved_out, fr_err *err)
{
    char from[FR_PATH_MAX + 80], to[FR_PATH_MAX + 80];
    name_list list;
    bool log = strcmp(kind, "log") == 0;
    snprintf(from, sizeof from, "%s/%s/%s", x->from, kind, name);
    snprintf(to, sizeof to, "%s/%s/%s", x->to, kind, name);
    (void)!fr_engine_remove_dir(x->io, to, NULL); /* an attempt that something moved under */
    fr_code code = list_names(x, from, &list, err);
    if (code == FR_OK) code = x->io->make_dir(x->io, to, err);
    for (uint32_t i = 0; i < list.count && code == FR_OK; i++) {
        if (log && ends_with(list.names[i], ".swap")) *moved_out = true;
        if (wanted(list.names[i], log)) code = copy_file(x, from, to, list.names[i], err);
    }
    fr_free(FR_MEM_ENGINE, list.names);
    if (code == FR_OK) code = x->io->sync_dir(x->io, to, err);
    return code;
}

static uint64_t generation_of(copying *x, const char *name)
{
    char path[FR_PATH_MAX + 80];
    fr_manifest *found[2];
    uint32_t count = 0, bad = 0;
    snprintf(path, sizeof path, "%s/snap/%s", x->from, name);
    if (fr_manifest_load_all(x->io, path, found, &count, &bad, NULL) != FR_OK) return 0;
    uint64_t generation = count != 0 ? found[0]->generation : 0;
    for (uint32_t i = 0; i < count; i++) fr_manifest_free(found[i]);
    return generation;
}

static bool is_dir(copying *x, const char *kind, const char *name)
{
    char path[FR_PATH_MAX + 80];
    name_list list;
    snprintf(path, sizeof path, "%s/%s/%s", x->from, kind, name);
    bool there = list_names(x, path, &list, NULL) == FR_OK;
    fr_free(FR_MEM_ENGINE, list.names);
    return there;
}

static fr_code copy_partition(copying *x, const char *name, fr_err *err)
{
    fr_err why = {0};
    for (uint32_t attempt = 0; attempt < ATTEMPTS; attempt++) {
        bool moved = false;
        uint64_t generation = generation_of(x, name);
        why = (fr_err){.code = FR_OK};
        fr_code code = is_dir(x, "snap", name) ? copy_dir(x, "snap", name, &moved, &why) : FR_OK;
        if (code == FR_OK) code = copy_dir(x, "log", name, &moved, &why);
        if (code == FR_OK && !moved && generation_of(x, name) == generation) return FR_OK;
        if (code != FR_OK && code != FR_ERR_NOT_FOUND) return fr_fail(err, code, NULL, "%s", why.text);
        if (!is_dir(x, "log", name)) return FR_OK; /* dropped meanwhile */
        x->io->sleep_ms(x->io, 20);
    }
    return fr_fail(err, FR_ERR_BUSY, NULL, "partition %s changed under each of %d copies", name, ATTEMPTS);
}

static fr_code copy_all(copying *x, fr_err *err)
{
    char path[FR_PATH_MAX + 16];
    name_list logs;
    snprintf(path, sizeof path, "%s/log", x->from);
    fr_code code = list_names(x, path, &logs, err);
    for (uint32_t own = 0; own < 2; own++) /* the catalog and the transactions, then the others */
        for (uint32_t i = 0; i < logs.count && code == FR_OK; i++)
            if ((strtoull(logs.names[i], NULL, 10) < FR_FIRST_ID) == (own == 0)) code = copy_partition(x, logs.names[i], err);
    fr_free(FR_MEM_ENGINE, logs.names);
    static const char *const kinds[] = {"log", "snap"};
    for (uint32_t i = 0; i < FR_COUNT_OF(kinds) && code == FR_OK; i++) {
        snprintf(path, sizeof path, "%s/%s", x->to, kinds[i]);
        code = x->io->sync_dir(x->io, path, err);
    }
    return code == FR_OK ? x->io->sync_dir(x->io, x->to, err) : code;
}

fr_code fr_backup(const char *from, const char *to, uint64_t *files_out, uint64_t *bytes_out, fr_err *err)
{
    copying x = {.io = fr_io_posix(), .from = from, .to = to};
    char path[FR_PATH_MAX + 16];
    name_list list;
    if (strlen(from) > FR_PATH_MAX - 64 || strlen(to) > FR_PATH_MAX - 64)
        return fr_fail(err, FR_ERR_INVALID, "data", "a directory's path is too long");
    snprintf(path, sizeof path, "%s/log", from);
    fr_code code = list_names(&x, path, &list, err);
    fr_free(FR_MEM_ENGINE, list.names);
    if (code == FR_ERR_NOT_FOUND) return fr_fail(err, code, "data", "%s is not a data directory", from);
    FR_TRY(code);
    FR_TRY(x.io->make_dir(x.io, to, err));
    code = list_names(&x, to, &list, err);
    if (code == FR_OK && list.count != 0) code = fr_fail(err, FR_ERR_EXISTS, "to", "%s is not empty", to);
    fr_free(FR_MEM_ENGINE, list.names);
    static const char *const kinds[] = {"log", "snap"};
    for (uint32_t i = 0; i < FR_COUNT_OF(kinds) && code == FR_OK; i++) {
        snprintf(path, sizeof path, "%s/%s", to, kinds[i]);
        code = x.io->make_dir(x.io, path, err);
    }
    if (code == FR_OK && (x.buffer = fr_alloc(FR_MEM_ENGINE, COPY_BYTES)) == NULL) code = fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory");
    if (code == FR_OK) code = copy_all(&x, err);
    fr_free(FR_MEM_ENGINE, x.buffer);
    *files_out = x.files;
    *bytes_out = x.bytes;
    return code;
}
