/* inspect.c: fr_verify: every checksum of a closed directory: logs, catalog, manifests, chunks. */
#include "server/engine/engine.h"

#include "simd/simd.h"

#include <stdio.h>

typedef struct inspection {
    fr_io *io;
    const char *dir;
    void (*report)(void *user, bool bad, const char *line);
    void *user;
    bool bad;
} inspection;

static void say(inspection *x, bool bad, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void say(inspection *x, bool bad, const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    x->bad = x->bad || bad;
    if (x->report != NULL) x->report(x->user, bad, line);
}

static void pass_on(void *user, bool bad, const char *line) { say(user, bad, "%s", line); }

typedef struct entries {
    fr_arena arena;
    struct entry {
        struct entry *next;
        char name[256];
    } * head;
} entries;

static void collect(void *user, const char *name)
{
    entries *list = user;
    if (name[0] == '.') return;
    struct entry *item = fr_arena_alloc(&list->arena, sizeof *item), **link = &list->head;
    if (item == NULL) return;
    snprintf(item->name, sizeof item->name, "%s", name);
    while (*link != NULL && strcmp((*link)->name, item->name) < 0) link = &(*link)->next;
    item->next = *link;
    *link = item;
}

static void verify_chunk(inspection *x, const char *dir, const fr_chunk_ref *c, uint64_t *checked)
{
    char path[FR_PATH_MAX + 400];
    fr_file *file = NULL;
    fr_err err = {0};
    static const size_t step = 1u << 20;
    snprintf(path, sizeof path, "%s/%llu.chunks", dir, (unsigned long long)c->generation);
    if (x->io->open(x->io, path, FR_OPEN_READ, &file, &err) != FR_OK) {
        say(x, true, "%s: %s", path, err.text);
        return;
    }
    uint8_t *buffer = fr_alloc(FR_MEM_ENGINE, step);
    uint32_t crc = 0;
    uint64_t at = 0;
    while (buffer != NULL && at < c->size) {
        size_t got = 0, want = (size_t)FR_MIN((uint64_t)step, c->size - at);
        if (x->io->read(x->io, file, c->position + at, buffer, want, &got, &err) != FR_OK || got == 0) break;
        crc = fr_simd_crc32c(crc, buffer, got);
        at += got;
    }
    if (at < c->size || crc != c->crc32c)
        say(x, true, "%s: chunk %llx at %llu, %llu bytes: %s", path, (unsigned long long)c->id,
            (unsigned long long)c->position, (unsigned long long)c->size,
            at < c->size ? "cut short" : "the checksum is wrong");
    else *checked += c->size;
    fr_free(FR_MEM_ENGINE, buffer);
    x->io->close(x->io, file);
}

static void verify_snapshot(inspection *x, const char *dir)
{
    for (uint32_t slot = 0; slot < 2; slot++) {
        char path[FR_PATH_MAX + 400];
        fr_manifest *m;
        fr_err err = {0};
        snprintf(path, sizeof path, "%s/MANIFEST-%u", dir, slot);
        fr_code code = fr_manifest_read(x->io, path, &m, &err);
        if (code == FR_ERR_NOT_FOUND) continue;
        if (code != FR_OK) {
            say(x, true, "%s: %s", path, err.text);
            continue;
        }
        uint64_t checked = 0;
        for (uint32_t i = 0; i < m->count; i++) verify_chunk(x, dir, &m->chunks[i], &checked);
        say(x, false, "%s: generation %llu, offset %lld, %u chunks, %llu bytes", path,
            (unsigned long long)m->generation, (long long)m->at, m->count, (unsigned long long)checked);
        fr_manifest_free(m);
    }
}

static void verify_dirs(inspection *x, const char *kind)
{
    char path[FR_PATH_MAX + 16];
    fr_err err = {0};
    entries list = {.head = NULL};
    fr_arena_init(&list.arena, FR_MEM_ENGINE, 0);
    snprintf(path, sizeof path, "%s/%s", x->dir, kind);
    fr_code code = x->io->list(x->io, path, collect, &list, &err);
    if (code != FR_OK && code != FR_ERR_NOT_FOUND) say(x, true, "%s: %s", path, err.text);
    for (struct entry *item = list.head; item != NULL; item = item->next) {
        char inner[FR_PATH_MAX + 280];
        err = (fr_err){.code = FR_OK};
        snprintf(inner, sizeof inner, "%s/%s", path, item->name);
        if (strcmp(kind, "snap") == 0) verify_snapshot(x, inner);
        else if (fr_log_verify(x->io, inner, pass_on, x, &err) != FR_OK && !x->bad)
            say(x, true, "%s: %s", inner, err.text);
    }
    fr_arena_free(&list.arena);
}

static void verify_catalog_record(inspection *x, const fr_log_record *record)
{
    fr_err err = {0};
    const char *key = record->key.data;
    if (record->key.size < 3 || key[0] != 'c' || record->value.data == NULL) return;
    fr_schema *schema = NULL;
    int64_t created_ms;
    if (fr_codec_collection(record->value, &schema, &created_ms, &err) != FR_OK)
        say(x, true, "catalog: offset %lld: %s", (long long)record->offset, err.text);
    fr_schema_free(schema);
}

static void verify_catalog(inspection *x)
{
    char path[FR_PATH_MAX + 32];
    fr_err err = {0};
    fr_log *log = NULL;
    fr_log_options options = {.segment_bytes = FR_SEGMENT_BYTES,
                              .segment_ms = -1,
                              .retention_ms = -1,
                              .retention_bytes = -1,
                              .compact = true};
    snprintf(path, sizeof path, "%s/log/%u-0", x->dir, FR_CATALOG_ID);
    if (x->bad || fr_log_open(x->io, path, &options, &log, &err) != FR_OK) {
        if (!x->bad) say(x, true, "catalog: %s", err.text);
        return;
    }
    fr_batch_reader *reader = NULL;
    for (fr_offset at = fr_log_start(log); at < fr_log_durable(log);) {
        fr_view view;
        if (fr_log_read(log, at, -1, 1u << 20, &view, &err) != FR_OK) {
            say(x, true, "catalog: offset %lld: %s", (long long)at, err.text);
            break;
        }
        fr_offset next = view.next;
        for (size_t position = 0, size; position < view.size; position += size) {
            fr_batch_header header;
            fr_log_record record;
            if (fr_batch_check(view.data + position, view.size - position, &header, &size, &err) != FR_OK ||
                fr_batch_reader_open(view.data + position, size, &reader, &err) != FR_OK) {
                say(x, true, "catalog: %s", err.text);
                break;
            }
            while (fr_batch_reader_next(reader, &record)) verify_catalog_record(x, &record);
        }
        bool empty = view.size == 0;
        fr_view_release(&view);
        if (empty || next <= at) break;
        at = next;
    }
    fr_batch_reader_close(reader);
    fr_log_close(log);
}

fr_code fr_verify(const char *dir, void (*report)(void *user, bool bad, const char *line), void *user, fr_err *err)
{
    inspection x = {.io = fr_io_posix(), .dir = dir, .report = report, .user = user};
    char path[FR_PATH_MAX + 16];
    fr_file *lock = NULL;
    if (strlen(dir) > FR_PATH_MAX - 64) return fr_fail(err, FR_ERR_INVALID, "data", "the directory's path is too long");
    snprintf(path, sizeof path, "%s/log", dir);
    entries none = {.head = NULL};
    fr_arena_init(&none.arena, FR_MEM_ENGINE, 0);
    fr_code code =
        x.io->list(x.io, path, collect, &none, err); /* before the lock file would be made in a stranger's directory */
    fr_arena_free(&none.arena);
    if (code == FR_ERR_NOT_FOUND) return fr_fail(err, FR_ERR_NOT_FOUND, "data", "%s is not a data directory", dir);
    FR_TRY(code);
    snprintf(path, sizeof path, "%s/lock", dir);
    FR_TRY(x.io->lock(x.io, path, &lock, err));
    verify_dirs(&x, "log");
    verify_catalog(&x);
    verify_dirs(&x, "snap");
    x.io->close(x.io, lock);
    return x.bad ? fr_fail(err, FR_ERR_CORRUPT, NULL, "something is wrong in %s", dir) : FR_OK;
}
