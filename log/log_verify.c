/* log_verify.c: read every byte of a closed partition and say exactly what is wrong. */
#include "log/log_private.h"

#include <inttypes.h>
#include <stdio.h>

typedef struct verifier {
    fr_io *io;
    const char *dir;
    void (*report)(void *user, bool bad, const char *line);
    void *user;
    bool bad;
    fr_offset expected; /* base of the next segment; -1 before the first */
} verifier;

static void say(verifier *v, bool bad, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void say(verifier *v, bool bad, const char *format, ...)
{
    char line[FR_LOG_PATH_BYTES + 256];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    v->bad |= bad;
    if (v->report) v->report(v->user, bad, line);
}

typedef struct tally {
    uint64_t batches, records, position;
    fr_offset end;
} tally;

/* Batches from position to bound, records too. CORRUPT: the message is in err. */
static fr_code walk(verifier *v, fr_file *file, const char *path, uint64_t bound, tally *t, fr_err *err)
{
    fr_cursor cursor;
    fr_cursor_open(&cursor, v->io, file, path, t->position, bound, t->end);
    fr_code code;
    for (;;) {
        const uint8_t *batch;
        size_t size;
        fr_batch_header header;
        code = fr_cursor_next(&cursor, &batch, &size, &header, err);
        if (code || !batch) break;
        fr_err why = {0};
        fr_code records = header.recordCount ? fr_batch_check_records(batch, size, &why) : FR_OK;
        if (records == FR_ERR_NO_MEMORY) {
            code = records;
            break;
        }
        if (records && records != FR_ERR_UNSUPPORTED)
            say(v, true, "%s: byte %" PRIu64 ", offset %" PRId64 ": %s", path, t->position, header.baseOffset,
                why.text);
        t->batches++;
        t->records += (uint64_t)header.recordCount;
        t->position = cursor.position;
        t->end = cursor.expected;
    }
    fr_cursor_close(&cursor);
    return code;
}

static fr_code verify_index(verifier *v, const fr_segment *segment, uint64_t bound)
{
    fr_segment_index index = {0};
    bool complete;
    fr_code code = fr_segment_index_load(v->io, v->dir, segment, &index, &complete);
    if (!code && segment->sealed && bound > FR_SEGMENT_HEADER && !complete)
        say(v, false, "%s/%020" PRId64 ".index: missing or bad; it is rebuilt when needed", v->dir, segment->base);
    fr_segment_index_free(&index);
    return code;
}

static fr_code verify_open_segment(verifier *v, fr_file *file, const char *path, fr_offset base, bool last, fr_err *err)
{
    fr_segment segment = {.io = v->io, .base = base};
    fr_slot slot;
    uint64_t file_bytes;
    fr_err why = {0};
    fr_code code = fr_segment_header_read(v->io, file, path, base, &segment, &slot, &why);
    if (code == FR_ERR_CORRUPT || code == FR_ERR_VERSION) {
        say(v, true, "%s", why.text);
        v->expected = -1;
        return FR_OK;
    }
    if (code) return fr_fail(err, code, NULL, "%s", why.text);
    FR_TRY(v->io->size(v->io, file, &file_bytes, err));
    v->expected = slot.durable_offset;
    segment.sealed = slot.sealed;
    tally t = {.position = FR_SEGMENT_HEADER, .end = base};
    if (file_bytes < slot.durable_bytes)
        say(v, true, "%s: cut at byte %" PRIu64 ", %" PRIu64 " bytes were durable", path, file_bytes,
            slot.durable_bytes);
    if (!slot.sealed && !last) say(v, true, "%s: byte 512: a segment that is not the last is not sealed", path);
    code = walk(v, file, path, FR_MIN(slot.durable_bytes, file_bytes), &t, &why);
    if (code == FR_ERR_CORRUPT) say(v, true, "%s", why.text);
    else if (code) return fr_fail(err, code, NULL, "%s", why.text);
    else if (t.end != slot.durable_offset && file_bytes >= slot.durable_bytes)
        say(v, true, "%s: byte %" PRIu64 ": batches end at offset %" PRId64 ", the round slot says %" PRId64, path,
            t.position, t.end, slot.durable_offset);
    if (!code && !slot.sealed && file_bytes > slot.durable_bytes) {
        code = walk(v, file, path, file_bytes, &t, &why);
        if (code && code != FR_ERR_CORRUPT) return fr_fail(err, code, NULL, "%s", why.text);
        v->expected = t.end;
    }
    FR_TRY(verify_index(v, &segment, slot.durable_bytes));
    say(v, false, "%s: %" PRIu64 " batches, %" PRIu64 " records, offsets %" PRId64 "..%" PRId64 ", %" PRIu64 " bytes%s",
        path, t.batches, t.records, base, t.end - 1, t.position, slot.sealed ? "" : ", open");
    return FR_OK;
}

static fr_code verify_segment(verifier *v, fr_offset base, bool last, fr_err *err)
{
    char path[FR_LOG_PATH_BYTES];
    fr_segment_path(path, v->dir, base, FR_SUFFIX_LOG);
    if (v->expected >= 0 && base != v->expected)
        say(v, true, "%s: offsets %" PRId64 "..%" PRId64 " are missing or there twice", v->dir,
            FR_MIN(base, v->expected), FR_MAX(base, v->expected) - 1);
    fr_file *file;
    FR_TRY(v->io->open(v->io, path, FR_OPEN_READ, &file, err));
    fr_code code = verify_open_segment(v, file, path, base, last, err);
    v->io->close(v->io, file);
    return code;
}

fr_code fr_log_verify(fr_io *io, const char *dir, void (*report)(void *user, bool bad, const char *line), void *user,
                      fr_err *err)
{
    if (strlen(dir) > FR_LOG_DIR_BYTES_MAX)
        return fr_fail(err, FR_ERR_INVALID, "dir", "the path is longer than %u bytes", FR_LOG_DIR_BYTES_MAX);
    verifier v = {.io = io, .dir = dir, .report = report, .user = user, .expected = -1};
    fr_offset *bases, *swaps;
    uint32_t count, swap_count;
    FR_TRY(fr_log_scan_dir(io, dir, FR_SUFFIX_LOG, &bases, &count, err));
    fr_code code = fr_log_scan_dir(io, dir, FR_SUFFIX_SWAP, &swaps, &swap_count, err);
    if (!code && swap_count)
        say(&v, false, "%s: a compaction's switch is unfinished; opening the log finishes it", dir);
    fr_free(FR_MEM_LOG, swaps);
    for (uint32_t i = 0; !code && i < count; i++) {
        if (swap_count) v.expected = -1;
        code = verify_segment(&v, bases[i], i + 1 == count, err);
    }
    fr_free(FR_MEM_LOG, bases);
    if (code) return code;
    return v.bad ? fr_fail(err, FR_ERR_CORRUPT, NULL, "%s is damaged", dir) : FR_OK;
}
