/* segment.c: one segment file: identity, round slots, and the walk over its batches.
 *
 * The two slots lie in sectors of their own, and a slot is written again only after the other one is known to be on
 * disk: one torn write never takes both. Byte tables: log/README.md.
 */
#include "log/log_private.h"
#include "simd/simd.h"

#include <inttypes.h>
#include <stdio.h>

static const char magic[8] = {'f', 'r', 's', 'e', 'g', 'm', 'n', 't'};
static const char *const suffixes[FR_SUFFIX_COUNT] = {".log", ".index", ".new", ".clean", ".swap", ".index.new"};

enum { SLOT_BYTES = 40, CURSOR_CHUNK = 64 << 10 };

void fr_segment_path(char path[FR_LOG_PATH_BYTES], const char *dir, fr_offset base, fr_suffix suffix)
{
    snprintf(path, FR_LOG_PATH_BYTES, "%s/%020" PRId64 "%s", dir, base, suffixes[suffix]);
}

bool fr_segment_name_parse(const char *name, fr_offset *base_out, fr_suffix *suffix_out)
{
    int64_t base = 0;
    for (int i = 0; i < 20; i++) {
        if (name[i] < '0' || name[i] > '9') return false;
        int digit = name[i] - '0';
        if (base > (INT64_MAX - digit) / 10) return false;
        base = base * 10 + digit;
    }
    for (fr_suffix s = 0; s < FR_SUFFIX_COUNT; s++) {
        if (strcmp(name + 20, suffixes[s]) != 0) continue;
        *base_out = base;
        *suffix_out = s;
        return true;
    }
    return false;
}

static void slot_put(uint8_t *at, const fr_slot *slot)
{
    memset(at, 0, SLOT_BYTES);
    fr_store_le64(at, slot->round);
    fr_store_le64(at + 8, slot->durable_bytes);
    fr_store_le64(at + 16, (uint64_t)slot->durable_offset);
    fr_store_le64(at + 24, (uint64_t)slot->max_timestamp);
    fr_store_le32(at + 32, slot->sealed ? 1 : 0);
    fr_store_le32(at + 36, fr_simd_crc32c(0, at, 36));
}

static fr_slot slot_get(const uint8_t *at, unsigned place)
{
    fr_slot slot = {0};
    if (fr_load_le32(at + 36) != fr_simd_crc32c(0, at, 36)) return slot;
    slot.round = fr_load_le64(at);
    slot.durable_bytes = fr_load_le64(at + 8);
    slot.durable_offset = (fr_offset)fr_load_le64(at + 16);
    slot.max_timestamp = (int64_t)fr_load_le64(at + 24);
    slot.sealed = fr_load_le32(at + 32) & 1;
    slot.valid = slot.round > 0 && slot.round % 2 == place && slot.durable_bytes >= FR_SEGMENT_HEADER;
    return slot;
}

fr_code fr_segment_slot_write(fr_io *io, fr_file *file, const fr_slot *slot, fr_err *err)
{
    uint8_t bytes[SLOT_BYTES];
    slot_put(bytes, slot);
    return io->write(io, file, FR_SEGMENT_SECTOR * (1 + slot->round % 2), bytes, sizeof bytes, err);
}

fr_code fr_segment_header_write(fr_io *io, fr_file *file, fr_segment *segment, const fr_slot *slot, fr_err *err)
{
    uint8_t page[FR_SEGMENT_HEADER] = {0};
    memcpy(page, magic, sizeof magic);
    fr_store_le32(page + 8, FR_SEGMENT_VERSION);
    fr_store_le64(page + 16, (uint64_t)segment->base);
    fr_store_le64(page + 24, (uint64_t)segment->created_ms);
    fr_store_le64(page + 32, segment->generation);
    fr_store_le32(page + 508, fr_simd_crc32c(0, page, 508));
    slot_put(page + FR_SEGMENT_SECTOR * (1 + slot->round % 2), slot);
    return io->write(io, file, 0, page, sizeof page, err);
}

fr_code fr_segment_header_read(fr_io *io, fr_file *file, const char *path, fr_offset base_expected, fr_segment *segment,
                               fr_slot *slot_out, fr_err *err)
{
    uint8_t page[FR_SEGMENT_SECTOR * 3];
    size_t got;
    FR_TRY(io->read(io, file, 0, page, sizeof page, &got, err));
    if (got < sizeof page)
        return fr_fail(err, FR_ERR_CORRUPT, NULL, "%s: cut inside its header at byte %zu", path, got);
    if (memcmp(page, magic, sizeof magic) != 0)
        return fr_fail(err, FR_ERR_CORRUPT, NULL, "%s: byte 0: not a segment file", path);
    if (fr_load_le32(page + 508) != fr_simd_crc32c(0, page, 508))
        return fr_fail(err, FR_ERR_CORRUPT, NULL, "%s: byte 0: header checksum is wrong", path);
    uint32_t version = fr_load_le32(page + 8);
    if (version > FR_SEGMENT_VERSION)
        return fr_fail(err, FR_ERR_VERSION, NULL, "%s: segment format %u, this build reads up to %u", path, version,
                       FR_SEGMENT_VERSION);
    segment->base = (fr_offset)fr_load_le64(page + 16);
    segment->created_ms = (int64_t)fr_load_le64(page + 24);
    segment->generation = fr_load_le64(page + 32);
    if (segment->base != base_expected)
        return fr_fail(err, FR_ERR_CORRUPT, NULL, "%s: byte 16: header says base offset %" PRId64, path, segment->base);
    fr_slot slots[2] = {slot_get(page + FR_SEGMENT_SECTOR, 0), slot_get(page + FR_SEGMENT_SECTOR * 2, 1)};
    if (!slots[0].valid && !slots[1].valid)
        return fr_fail(err, FR_ERR_CORRUPT, NULL, "%s: byte 512: both round slots are damaged", path);
    *slot_out = slots[1].valid && (!slots[0].valid || slots[1].round > slots[0].round) ? slots[1] : slots[0];
    if (slot_out->durable_offset < segment->base)
        return fr_fail(err, FR_ERR_CORRUPT, NULL, "%s: byte 512: round slot names offset %" PRId64, path,
                       slot_out->durable_offset);
    return FR_OK;
}

fr_code fr_log_file_generation(fr_io *io, const char *path, uint64_t *generation_out, fr_err *err)
{
    const char *name = strrchr(path, '/');
    fr_segment segment;
    fr_suffix suffix;
    fr_offset base;
    fr_slot slot;
    fr_file *file = NULL;
    if (!fr_segment_name_parse(name != NULL ? name + 1 : path, &base, &suffix) || suffix != FR_SUFFIX_LOG)
        return fr_fail(err, FR_ERR_INVALID, "path", "%s is no segment's name", path);
    FR_TRY(io->open(io, path, FR_OPEN_READ, &file, err));
    fr_code code = fr_segment_header_read(io, file, path, base, &segment, &slot, err);
    io->close(io, file);
    if (code == FR_OK) *generation_out = segment.generation;
    return code;
}

fr_segment *fr_segment_create(fr_io *io, fr_offset base)
{
    fr_segment *segment = fr_zalloc(FR_MEM_LOG, sizeof *segment);
    if (!segment) return NULL;
    atomic_init(&segment->refs, 1);
    segment->io = io;
    segment->base = segment->end = base;
    segment->bytes = FR_SEGMENT_HEADER;
    segment->max_timestamp = INT64_MIN;
    return segment;
}

void fr_segment_ref(fr_segment *segment) { atomic_fetch_add_explicit(&segment->refs, 1, memory_order_relaxed); }

void fr_segment_unref(fr_segment *segment)
{
    /* acq_rel: pairs with the other holders' releases, so that the last one sees all their writes */
    if (!segment || atomic_fetch_sub_explicit(&segment->refs, 1, memory_order_acq_rel) != 1) return;
    segment->io->close(segment->io, segment->file);
    fr_segment_index_free(&segment->index);
    fr_free(FR_MEM_LOG, segment);
}

/* ---- the walk ---- */

void fr_cursor_open(fr_cursor *cursor, fr_io *io, fr_file *file, const char *path, uint64_t position, uint64_t bound,
                    fr_offset expected)
{
    *cursor = (fr_cursor){.io = io,
                          .file = file,
                          .path = path,
                          .position = position,
                          .bound = bound,
                          .expected = expected,
                          .buffer_at = position};
}

void fr_cursor_close(fr_cursor *cursor)
{
    fr_free(FR_MEM_LOG, cursor->buffer);
    cursor->buffer = NULL;
}

/* At least `need` bytes from position into the buffer, or what is left below bound (filled tells). */
static fr_code refill(fr_cursor *c, size_t need, fr_err *err)
{
    uint64_t left = c->bound - c->position;
    size_t want = (size_t)FR_MIN((uint64_t)FR_MAX(need, FR_MAX(c->capacity, (size_t)CURSOR_CHUNK)), left);
    if (want > c->capacity || !c->buffer) {
        fr_free(FR_MEM_LOG, c->buffer); /* its bytes are read again */
        c->capacity = c->filled = 0;
        c->buffer = fr_alloc(FR_MEM_LOG, FR_MAX(want, (size_t)1));
        if (!c->buffer) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "reading %zu bytes of %s", want, c->path);
        c->capacity = want;
    }
    c->buffer_at = c->position;
    c->filled = 0;
    return c->io->read(c->io, c->file, c->position, c->buffer, want, &c->filled, err);
}

bool fr_cursor_buffered(const fr_cursor *c, size_t *size_out)
{
    size_t skip = (size_t)(c->position - c->buffer_at);
    if (c->position >= c->bound || skip > c->filled || c->filled - skip < FR_BATCH_HEADER) return false;
    int32_t length = (int32_t)fr_load_be32(c->buffer + skip + 8);
    *size_out = FR_BATCH_OVERHEAD + (size_t)FR_MAX(length, 0);
    return *size_out <= c->filled - skip;
}

static fr_code bad_batch(const fr_cursor *c, fr_err *err, const char *why)
{
    return fr_fail(err, FR_ERR_CORRUPT, NULL, "%s: byte %" PRIu64 ", offset %" PRId64 ": %s", c->path, c->position,
                   c->expected, why);
}

fr_code fr_cursor_next(fr_cursor *c, const uint8_t **batch_out, size_t *size_out, fr_batch_header *header_out,
                       fr_err *err)
{
    *batch_out = NULL;
    *size_out = 0;
    if (c->position >= c->bound) return FR_OK;
    size_t size;
    if (!c->buffer || !fr_cursor_buffered(c, &size)) {
        FR_TRY(refill(c, FR_BATCH_HEADER, err));
        if (c->filled < FR_BATCH_HEADER) return bad_batch(c, err, "cut inside a batch header");
        int32_t length = (int32_t)fr_load_be32(c->buffer + 8);
        if (length < 0 || (uint32_t)length > FR_BATCH_BYTES_MAX - FR_BATCH_OVERHEAD)
            return bad_batch(c, err, "impossible batch length");
        size = FR_BATCH_OVERHEAD + (size_t)length;
        if (size > c->bound - c->position) return bad_batch(c, err, "cut inside a batch");
        if (size > c->filled) FR_TRY(refill(c, size, err));
    }
    size_t skip = (size_t)(c->position - c->buffer_at);
    fr_err why = {0};
    fr_code code = fr_batch_check(c->buffer + skip, c->filled - skip, header_out, &size, &why);
    if (code) return bad_batch(c, err, why.text);
    if (header_out->baseOffset != c->expected || header_out->partitionLeaderEpoch != 0)
        return bad_batch(c, err, "base offset or leader epoch is not what the position demands");
    *batch_out = c->buffer + skip;
    *size_out = size;
    c->position += size;
    c->expected = header_out->baseOffset + header_out->lastOffsetDelta + 1;
    return FR_OK;
}
