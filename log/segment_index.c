/* segment_index.c: the sparse offset and time index of a segment.
 *
 * The .index file is a hint: blocks of 4 KiB with a checksum each, written without a sync, never for batches above the
 * durable mark (those may be cut). The segment's generation in its first block ties it to one file. Whatever is missing
 * or bad is rebuilt from the segment.
 */
#include "log/log_private.h"
#include "simd/simd.h"

static const char magic[8] = {'f', 'r', 's', 'i', 'n', 'd', 'e', 'x'};
enum { INDEX_VERSION = 1, CRC_AT = FR_INDEX_BLOCK - 4 };

fr_code fr_segment_index_reserve(fr_segment_index *index, uint32_t more)
{
    if (index->count + more <= index->capacity) return FR_OK;
    uint32_t capacity = FR_MAX(FR_MAX(index->capacity * 2, index->count + more), 16u);
    fr_segment_index_entry *entries = fr_realloc(FR_MEM_LOG, index->entries, capacity * sizeof *entries);
    if (!entries) return FR_ERR_NO_MEMORY;
    index->entries = entries;
    index->capacity = capacity;
    return FR_OK;
}

void fr_segment_index_free(fr_segment_index *index)
{
    fr_free(FR_MEM_LOG, index->entries);
    *index = (fr_segment_index){0};
}

uint32_t fr_segment_index_by_offset(const fr_segment_index *index, uint32_t offset_delta)
{
    uint32_t low = 0, high = index->count; /* the last entry at or below offset_delta */
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (index->entries[middle].offset_delta <= offset_delta) low = middle;
        else high = middle;
    }
    return low;
}

uint32_t fr_segment_index_by_timestamp(const fr_segment_index *index, int64_t timestamp_ms)
{
    uint32_t low = 0, high = index->count; /* the last entry before which everything is older */
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (index->entries[middle].max_before < timestamp_ms) low = middle;
        else high = middle;
    }
    return low;
}

static bool block_read(fr_io *io, fr_file *file, uint32_t number, uint8_t block[FR_INDEX_BLOCK])
{
    size_t got;
    if (io->read(io, file, (uint64_t)number * FR_INDEX_BLOCK, block, FR_INDEX_BLOCK, &got, NULL) != FR_OK) return false;
    return got == FR_INDEX_BLOCK && fr_load_le32(block + CRC_AT) == fr_simd_crc32c(0, block, CRC_AT);
}

static bool head_holds(const uint8_t *block, const fr_segment *segment)
{
    return memcmp(block, magic, sizeof magic) == 0 && fr_load_le32(block + 8) == INDEX_VERSION &&
           fr_load_le64(block + 16) == (uint64_t)segment->base && fr_load_le64(block + 24) == segment->generation;
}

/* False: the block does not continue the index. */
static bool block_entries(const uint8_t *block, uint32_t number, fr_segment_index *index)
{
    uint32_t count = fr_load_le32(block);
    if (count == 0 || count > FR_INDEX_ENTRIES || fr_load_le32(block + 4) != number) return false;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *at = block + 16 + i * 16;
        fr_segment_index_entry entry = {fr_load_le32(at), fr_load_le32(at + 4), (int64_t)fr_load_le64(at + 8)};
        const fr_segment_index_entry *last = index->count ? &index->entries[index->count - 1] : NULL;
        if (last ? entry.position <= last->position || entry.offset_delta <= last->offset_delta ||
                       entry.max_before < last->max_before
                 : entry.position != FR_SEGMENT_HEADER || entry.offset_delta != 0)
            return false;
        index->entries[index->count++] = entry;
    }
    return true;
}

fr_code fr_segment_index_load(fr_io *io, const char *dir, const fr_segment *segment, fr_segment_index *index,
                       bool *complete_out)
{
    char path[FR_LOG_PATH_BYTES];
    fr_segment_path(path, dir, segment->base, FR_SUFFIX_INDEX);
    *complete_out = false;
    fr_file *file;
    if (io->open(io, path, FR_OPEN_READ, &file, NULL) != FR_OK) return FR_OK;
    uint8_t *block = fr_alloc(FR_MEM_LOG, FR_INDEX_BLOCK);
    fr_code code = block ? FR_OK : FR_ERR_NO_MEMORY;
    if (!code && block_read(io, file, 0, block) && head_holds(block, segment)) {
        for (uint32_t number = 1; block_read(io, file, number, block); number++) {
            code = fr_segment_index_reserve(index, FR_INDEX_ENTRIES);
            uint32_t before = index->count;
            if (code) break;
            if (!block_entries(block, number, index)) {
                index->count = before;
                break;
            }
            if (fr_load_le32(block + 8) & 1) {
                *complete_out = true;
                break;
            }
        }
    }
    fr_free(FR_MEM_LOG, block);
    io->close(io, file);
    return code;
}

static void head_put(uint8_t *block, const fr_segment *segment)
{
    memset(block, 0, FR_INDEX_BLOCK);
    memcpy(block, magic, sizeof magic);
    fr_store_le32(block + 8, INDEX_VERSION);
    fr_store_le64(block + 16, (uint64_t)segment->base);
    fr_store_le64(block + 24, segment->generation);
    fr_store_le32(block + CRC_AT, fr_simd_crc32c(0, block, CRC_AT));
}

static void block_put(uint8_t *block, uint32_t number, const fr_segment_index_entry *entries, uint32_t count, bool last)
{
    memset(block, 0, FR_INDEX_BLOCK);
    fr_store_le32(block, count);
    fr_store_le32(block + 4, number);
    fr_store_le32(block + 8, last ? 1 : 0);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *at = block + 16 + i * 16;
        fr_store_le32(at, entries[i].offset_delta);
        fr_store_le32(at + 4, entries[i].position);
        fr_store_le64(at + 8, (uint64_t)entries[i].max_before);
    }
    fr_store_le32(block + CRC_AT, fr_simd_crc32c(0, block, CRC_AT));
}

/* Whole blocks from entry `from` on (a multiple of FR_INDEX_ENTRIES); with `last` also the short one that ends the
 * file. */
fr_code fr_segment_index_write(fr_io *io, const char *dir, const fr_segment *segment, const fr_segment_index *index,
                        uint32_t from, bool last, fr_err *err)
{
    char path[FR_LOG_PATH_BYTES];
    fr_segment_path(path, dir, segment->base, FR_SUFFIX_INDEX);
    fr_file *file = NULL;
    uint8_t *block = fr_alloc(FR_MEM_LOG, FR_INDEX_BLOCK);
    if (!block) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "writing %s", path);
    fr_code code = io->open(io, path, FR_OPEN_READ | FR_OPEN_WRITE, &file, err);
    if (code == FR_ERR_NOT_FOUND) code = io->open(io, path, FR_OPEN_WRITE | FR_OPEN_CREATE, &file, err);
    if (!code && from == 0) {
        code = io->truncate(io, file, 0, err);
        head_put(block, segment);
        if (!code) code = io->write(io, file, 0, block, FR_INDEX_BLOCK, err);
    }
    while (!code && from < index->count) {
        uint32_t count = FR_MIN(index->count - from, FR_INDEX_ENTRIES);
        bool ends = last && from + count == index->count;
        if (from + count == index->count && !ends) break; /* the last block waits for the end, full or not */
        uint32_t number = 1 + from / FR_INDEX_ENTRIES;
        block_put(block, number, index->entries + from, count, ends);
        code = io->write(io, file, (uint64_t)number * FR_INDEX_BLOCK, block, FR_INDEX_BLOCK, err);
        from += count;
    }
    io->close(io, file);
    fr_free(FR_MEM_LOG, block);
    return code;
}

fr_code fr_segment_index_extend(fr_io *io, fr_file *file, const char *path, const fr_segment *segment, uint64_t bound,
                         uint32_t interval, fr_segment_index *index, fr_offset *end_out, int64_t *max_timestamp_out,
                         fr_err *err)
{
    while (index->count && index->entries[index->count - 1].position >= bound) index->count--;
    const fr_segment_index_entry *last = index->count ? &index->entries[index->count - 1] : NULL;
    uint64_t last_position = last ? last->position : 0;
    int64_t max_timestamp = last ? last->max_before : INT64_MIN;
    fr_cursor cursor;
    fr_cursor_open(&cursor, io, file, path, last ? last->position : FR_SEGMENT_HEADER, bound,
                   segment->base + (last ? last->offset_delta : 0));
    fr_code code;
    for (;;) {
        const uint8_t *batch;
        size_t size;
        fr_batch_header header;
        uint64_t position = cursor.position;
        fr_offset base = cursor.expected;
        code = fr_cursor_next(&cursor, &batch, &size, &header, err);
        if (code || !batch) break;
        if (position - last_position >= interval || last_position == 0) {
            if (position > UINT32_MAX || base - segment->base > UINT32_MAX) continue;
            code = fr_segment_index_reserve(index, 1);
            if (code) break;
            index->entries[index->count++] =
                (fr_segment_index_entry){(uint32_t)(base - segment->base), (uint32_t)position, max_timestamp};
            last_position = position;
        }
        max_timestamp = FR_MAX(max_timestamp, header.maxTimestamp);
    }
    *end_out = cursor.expected;
    *max_timestamp_out = max_timestamp;
    fr_cursor_close(&cursor);
    return code;
}

fr_code fr_segment_index_get(fr_log *log, const fr_segment *segment, fr_file *file, fr_segment_index *index, fr_err *err)
{
    bool complete;
    FR_TRY(fr_segment_index_load(log->io, log->dir, segment, index, &complete));
    if (complete || segment->bytes <= FR_SEGMENT_HEADER) return FR_OK;
    char path[FR_LOG_PATH_BYTES];
    fr_segment_path(path, log->dir, segment->base, FR_SUFFIX_LOG);
    fr_offset end;
    int64_t max_timestamp;
    FR_TRY(fr_segment_index_extend(log->io, file, path, segment, segment->bytes, log->options.index_interval_bytes, index,
                            &end, &max_timestamp, err));
    if (atomic_load_explicit(&log->state, memory_order_relaxed) == FR_OK) {
        pthread_mutex_lock(&log->files_lock);
        (void)!fr_segment_index_write(log->io, log->dir, segment, index, 0, true,
                               NULL); /* a hint: the next reader may write it */
        pthread_mutex_unlock(&log->files_lock);
    }
    return FR_OK;
}
