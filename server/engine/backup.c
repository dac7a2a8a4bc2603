/* backup.c: a copy of a data directory, also while a server has it open, by reading files only.
 * Why that is enough
 *  1. Files of a log only grow, and a segment's header is read before its batches: the mark in the copy never names what is not in it.
 *     What lies above the mark is taken or cut as after a power cut, requests over several partitions whole or not at all.
 *  2. Catalog and transactions are copied first: what they decided is in the partitions that are copied later, markers included.
 *  3. Of a collection all snapshots go before all logs, so each log reaches beyond every snapshot: a request that a snapshot holds is whole
 *     in the logs, and recovery can cut what is not. Of a snapshot the newest manifest is taken with the files that it names, all of them open before
 *     the first is copied: newer snapshots may come and go. The server's own compaction never drops from a log what a manifest of that moment needs;
 *     so a log whose segments are still the same files when all is copied has what the snapshot needs. Else all is copied again, which a
 *     compaction makes necessary, but neither writes nor snapshots. */
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

static fr_code copy_open(copying *x, fr_file *source, const char *to_dir, const char *name, fr_err *err)
{
    char to[FR_PATH_MAX + 160];
    fr_file *target = NULL;
    snprintf(to, sizeof to, "%s/%s", to_dir, name);
    FR_TRY(x->io->open(x->io, to, FR_OPEN_READ | FR_OPEN_WRITE | FR_OPEN_CREATE, &target, err));
    fr_code code = copy_bytes(x, source, target, err);
    x->io->close(x->io, target);
    x->files += code == FR_OK;
    return code;
}

static fr_code open_in(copying *x, const char *dir, const char *name, fr_file **file_out, fr_err *err)
{
    char path[FR_PATH_MAX + 160];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return x->io->open(x->io, path, FR_OPEN_READ, file_out, err);
}

static fr_code copy_file(copying *x, const char *from_dir, const char *to_dir, const char *name, fr_err *err)
{
    fr_file *source = NULL;
    FR_TRY(open_in(x, from_dir, name, &source, err));
    fr_code code = copy_open(x, source, to_dir, name, err);
    x->io->close(x->io, source);
    return code;
}

static bool ends_with(const char *name, const char *suffix)
{
    size_t size = strlen(name), end = strlen(suffix);
    return size >= end && strcmp(name + size - end, suffix) == 0;
}

static bool is_segment(const char *name) { return ends_with(name, ".log"); } /* index files are made again */

static void dirs_of(const copying *x, const char *kind, const char *name, char from[FR_PATH_MAX + 80], char to[FR_PATH_MAX + 80])
{
    snprintf(from, FR_PATH_MAX + 80, "%s/%s/%s", x->from, kind, name);
    snprintf(to, FR_PATH_MAX + 80, "%s/%s/%s", x->to, kind, name);
}

static fr_code copy_log(copying *x, const char *name, fr_err *err)
{
    char from[FR_PATH_MAX + 80], to[FR_PATH_MAX + 80];
    name_list list;
    dirs_of(x, "log", name, from, to);
    (void)!fr_engine_remove_dir(x->io, to, NULL); /* an attempt that something moved under */
    fr_code code = list_names(x, from, &list, err);
    if (code == FR_OK) code = x->io->make_dir(x->io, to, err);
    for (uint32_t i = 0; i < list.count && code == FR_OK; i++)
        if (is_segment(list.names[i])) code = copy_file(x, from, to, list.names[i], err);
    fr_free(FR_MEM_ENGINE, list.names);
    if (code == FR_OK) code = x->io->sync_dir(x->io, to, err);
    return code;
}

/* ==== snapshots ==== */

/* The files that a manifest names, by generation. */
static void chunk_files(const fr_manifest *m, name_list *list)
{
    uint64_t last = UINT64_MAX;
    *list = (name_list){.count = 0};
    for (uint32_t i = 0; i < m->count; i++) {
        char name[64];
        uint32_t seen = 0;
        if (m->chunks[i].generation == last) continue;
        last = m->chunks[i].generation;
        snprintf(name, sizeof name, "%llu.chunks", (unsigned long long)last);
        while (seen < list->count && strcmp(list->names[seen], name) != 0) seen++;
        if (seen == list->count) take_name(list, name);
    }
}

static fr_code copy_manifest(copying *x, const fr_manifest *m, const char *from, const char *to, fr_err *err)
{
    name_list list;
    chunk_files(m, &list);
    fr_file **files = fr_zalloc(FR_MEM_ENGINE, FR_MAX(list.count, 1u) * sizeof(fr_file *));
    fr_code code = files == NULL || list.failed ? fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory") : FR_OK;
    for (uint32_t i = 0; i < list.count && code == FR_OK; i++) code = open_in(x, from, list.names[i], &files[i], err);
    for (uint32_t i = 0; i < list.count && code == FR_OK; i++) code = copy_open(x, files[i], to, list.names[i], err);
    for (uint32_t i = 0; i < list.count && files != NULL; i++)
        if (files[i] != NULL) x->io->close(x->io, files[i]);
    fr_free(FR_MEM_ENGINE, files);
    fr_free(FR_MEM_ENGINE, list.names);
    FR_TRY(code);
    x->files++;
    return fr_manifest_write(x->io, to, m, err);
}

static fr_code copy_snapshot(copying *x, const char *name, fr_err *err)
{
    static const char *const producers[] = {"PRODUCERS-0", "PRODUCERS-1"};
    char from[FR_PATH_MAX + 80], to[FR_PATH_MAX + 80];
    fr_manifest *found[2];
    uint32_t count = 0, bad = 0;
    dirs_of(x, "snap", name, from, to);
    (void)!fr_engine_remove_dir(x->io, to, NULL);
    FR_TRY(x->io->make_dir(x->io, to, err));
    FR_TRY(fr_manifest_load_all(x->io, from, found, &count, &bad, err));
    fr_code code = count != 0 ? copy_manifest(x, found[0], from, to, err) : FR_OK;
    for (uint32_t i = 0; i < count; i++) fr_manifest_free(found[i]);
    for (uint32_t i = 0; i < FR_COUNT_OF(producers) && code == FR_OK; i++) { /* after the manifest: not older than it */
        code = copy_file(x, from, to, producers[i], err);
        if (code == FR_ERR_NOT_FOUND) code = FR_OK;
    }
    return code == FR_OK ? x->io->sync_dir(x->io, to, err) : code;
}

/* ==== which files a log consists of ==== */

typedef struct segment_file {
    uint32_t log;
    char name[64];
    uint64_t generation;
} segment_file;

typedef struct segment_files {
    segment_file *items;
    uint32_t count;
} segment_files;

static uint64_t id_of(const char *name) { return strtoull(name, NULL, 10); }

/* NOT_FOUND: compaction or retention is at it. */
static fr_code note_log(copying *x, uint32_t log, const char *name, segment_files *files, fr_err *err)
{
    char from[FR_PATH_MAX + 80], path[FR_PATH_MAX + 160];
    name_list list;
    snprintf(from, sizeof from, "%s/log/%s", x->from, name);
    fr_code code = list_names(x, from, &list, err);
    segment_file *grown = code == FR_OK ? fr_realloc(FR_MEM_ENGINE, files->items, (files->count + list.count + 1) * sizeof *grown) : NULL;
    if (code == FR_OK && grown == NULL) code = fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory");
    if (grown != NULL) files->items = grown;
    for (uint32_t i = 0; i < list.count && code == FR_OK; i++) {
        segment_file *file = &files->items[files->count];
        if (ends_with(list.names[i], ".swap")) code = fr_fail(err, FR_ERR_NOT_FOUND, NULL, "%s: compaction switches files", name);
        if (code != FR_OK || !is_segment(list.names[i])) continue;
        file->log = log;
        memcpy(file->name, list.names[i], sizeof file->name);
        snprintf(path, sizeof path, "%s/%s", from, file->name);
        code = fr_log_file_generation(x->io, path, &file->generation, err);
        files->count++;
    }
    fr_free(FR_MEM_ENGINE, list.names);
    return code;
}

static fr_code note_logs(copying *x, const name_list *logs, uint64_t id, segment_files *files, fr_err *err)
{
    *files = (segment_files){.count = 0};
    for (uint32_t i = 0; i < logs->count; i++)
        if (id_of(logs->names[i]) == id) FR_TRY(note_log(x, i, logs->names[i], files, err));
    return FR_OK;
}

/* Segments may have come, and the first of a log may have gone by retention; whatever else is missing or another file was compacted. */
static bool still_there(const segment_files *before, const segment_files *now)
{
    for (uint32_t i = 0; i < before->count; i++) {
        const segment_file *was = &before->items[i], *is = NULL;
        bool first = true;
        for (uint32_t j = 0; j < now->count && is == NULL; j++) {
            if (now->items[j].log != was->log) continue;
            int order = strcmp(now->items[j].name, was->name);
            if (order == 0) is = &now->items[j];
            first = first && order > 0;
        }
        if (is != NULL ? is->generation != was->generation : !first) return false;
    }
    return true;
}

/* ==== a collection ==== */

static bool is_dir(copying *x, const char *kind, const char *name)
{
    char path[FR_PATH_MAX + 80];
    name_list list;
    snprintf(path, sizeof path, "%s/%s/%s", x->from, kind, name);
    bool there = list_names(x, path, &list, NULL) == FR_OK;
    fr_free(FR_MEM_ENGINE, list.names);
    return there;
}

/* All snapshots, then all logs: what a snapshot holds is whole in every log. */
static fr_code try_collection(copying *x, const name_list *logs, uint64_t id, bool *moved_out, fr_err *err)
{
    segment_files before, after = {.count = 0};
    fr_code code = note_logs(x, logs, id, &before, err);
    for (uint32_t i = 0; i < logs->count && code == FR_OK; i++)
        if (id_of(logs->names[i]) == id && is_dir(x, "snap", logs->names[i])) code = copy_snapshot(x, logs->names[i], err);
    for (uint32_t i = 0; i < logs->count && code == FR_OK; i++)
        if (id_of(logs->names[i]) == id) code = copy_log(x, logs->names[i], err);
    if (code == FR_OK) code = note_logs(x, logs, id, &after, err);
    *moved_out = code == FR_OK && !still_there(&before, &after);
    fr_free(FR_MEM_ENGINE, before.items);
    fr_free(FR_MEM_ENGINE, after.items);
    return code;
}

static fr_code copy_collection(copying *x, const name_list *logs, uint32_t first, fr_err *err)
{
    fr_err why = {0};
    for (uint32_t attempt = 0; attempt < ATTEMPTS; attempt++) {
        bool moved = false;
        why = (fr_err){.code = FR_OK};
        fr_code code = try_collection(x, logs, id_of(logs->names[first]), &moved, &why);
        if (code == FR_OK && !moved) return FR_OK;
        if (code != FR_OK && code != FR_ERR_NOT_FOUND) return fr_fail(err, code, NULL, "%s", why.text);
        if (!is_dir(x, "log", logs->names[first])) return FR_OK; /* dropped meanwhile */
        x->io->sleep_ms(x->io, 20);
    }
    return fr_fail(err, FR_ERR_BUSY, NULL, "log/%s changed under each of %d copies", logs->names[first], ATTEMPTS);
}

static bool seen_before(const name_list *logs, uint32_t index)
{
    for (uint32_t i = 0; i < index; i++)
        if (id_of(logs->names[i]) == id_of(logs->names[index])) return true;
    return false;
}

static fr_code copy_all(copying *x, fr_err *err)
{
    char path[FR_PATH_MAX + 16];
    name_list logs;
    snprintf(path, sizeof path, "%s/log", x->from);
    fr_code code = list_names(x, path, &logs, err);
    for (uint32_t own = 0; own < 2; own++) /* the catalog and the transactions, then the others */
        for (uint32_t i = 0; i < logs.count && code == FR_OK; i++)
            if ((id_of(logs.names[i]) < FR_FIRST_ID) == (own == 0) && !seen_before(&logs, i)) code = copy_collection(x, &logs, i, err);
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
