/* batch_write.c: encode Kafka RecordBatch v2.
 *
 * While a batch is built, the header's bytes hold nothing but lastOffsetDelta (at its place); everything else is
 * written by fr_batch_writer_end. The first error stays in writer->code and every later call is a no-op until begin.
 * Source: org.apache.kafka.common.record.DefaultRecordBatch (byte table in log/README.md).
 */
#include "log/batch_private.h"
#include "simd/simd.h"

#include <lz4frame.h>

uint8_t *fr_varint_put(uint8_t *at, int64_t value)
{
    uint64_t bits = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
    while (bits >= 0x80) {
        *at++ = (uint8_t)(bits | 0x80);
        bits >>= 7;
    }
    *at++ = (uint8_t)bits;
    return at;
}

size_t fr_varint_size(int64_t value)
{
    uint64_t bits = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
    size_t size = 1;
    while (bits >= 0x80) {
        bits >>= 7;
        size++;
    }
    return size;
}

void fr_batch_header_put(uint8_t *data, size_t size, fr_batch_header *header)
{
    header->batchLength = (int32_t)(size - FR_BATCH_OVERHEAD);
    fr_store_be64(data, (uint64_t)header->baseOffset);
    fr_store_be32(data + 8, (uint32_t)header->batchLength);
    fr_store_be32(data + 12, (uint32_t)header->partitionLeaderEpoch);
    data[16] = (uint8_t)header->magic;
    fr_store_be16(data + 21, (uint16_t)header->attributes);
    fr_store_be32(data + 23, (uint32_t)header->lastOffsetDelta);
    fr_store_be64(data + 27, (uint64_t)header->baseTimestamp);
    fr_store_be64(data + 35, (uint64_t)header->maxTimestamp);
    fr_store_be64(data + 43, (uint64_t)header->producerId);
    fr_store_be16(data + 51, (uint16_t)header->producerEpoch);
    fr_store_be32(data + 53, (uint32_t)header->baseSequence);
    fr_store_be32(data + 57, (uint32_t)header->recordCount);
    header->crc = fr_simd_crc32c(0, data + 21, size - 21);
    fr_store_be32(data + 17, header->crc);
}

/* Room for `more` bytes behind size; false sets code. */
static bool reserve(fr_batch_writer *w, size_t more)
{
    if (more > FR_BATCH_BYTES_MAX || w->size + more > FR_BATCH_BYTES_MAX) {
        w->code = FR_ERR_TOO_LARGE;
        return false;
    }
    size_t need = w->size + more;
    if (need <= w->capacity) return true;
    size_t capacity = FR_MAX(need, FR_MIN(w->capacity * 2, (size_t)FR_BATCH_BYTES_MAX));
    capacity = FR_MAX(capacity, (size_t)1024);
    uint8_t *data = fr_realloc(FR_MEM_LOG, w->data, capacity);
    if (!data) {
        w->code = FR_ERR_NO_MEMORY;
        return false;
    }
    w->data = data;
    w->capacity = capacity;
    return true;
}

void fr_batch_writer_begin(fr_batch_writer *w, fr_codec codec)
{
    w->size = 0;
    w->baseTimestamp = 0;
    w->maxTimestamp = -1;
    w->recordCount = 0;
    w->code = FR_OK;
    w->codec = codec;
    if (codec != FR_CODEC_NONE && codec != FR_CODEC_LZ4) {
        w->code = FR_ERR_UNSUPPORTED;
        return;
    }
    if (!reserve(w, FR_BATCH_HEADER)) return;
    memset(w->data, 0, FR_BATCH_HEADER);
    fr_store_be32(w->data + 23, UINT32_MAX); /* lastOffsetDelta of no records: -1 */
    w->size = FR_BATCH_HEADER;
}

static uint8_t *put_bytes(uint8_t *at, fr_span span, bool nullable)
{
    if (nullable && !span.data) return fr_varint_put(at, -1);
    at = fr_varint_put(at, (int64_t)span.size);
    if (span.size) memcpy(at, span.data, span.size);
    return at + span.size;
}

static size_t bytes_size(fr_span span, bool nullable)
{
    return nullable && !span.data ? 1 : fr_varint_size((int64_t)span.size) + span.size;
}

void fr_batch_writer_add_at(fr_batch_writer *w, int32_t offset_delta, int64_t timestamp_ms, fr_span key, fr_span value,
                            const fr_log_header *headers, uint32_t header_count)
{
    if (w->code) return;
    int32_t last = (int32_t)fr_load_be32(w->data + 23);
    if (offset_delta <= last || header_count > FR_LOG_HEADERS_MAX) {
        w->code = FR_ERR_INVALID;
        return;
    }
    if (key.size > FR_BATCH_BYTES_MAX || value.size > FR_BATCH_BYTES_MAX) {
        w->code = FR_ERR_TOO_LARGE;
        return;
    }
    if (w->recordCount == 0) w->baseTimestamp = w->maxTimestamp = timestamp_ms;
    /* Deltas wrap, as Java's do; the reader's sum wraps back. */
    int64_t delta = (int64_t)((uint64_t)timestamp_ms - (uint64_t)w->baseTimestamp);
    size_t body = 1 + fr_varint_size(delta) + fr_varint_size(offset_delta) + bytes_size(key, true) +
                  bytes_size(value, true) + fr_varint_size((int64_t)header_count);
    for (uint32_t i = 0; i < header_count; i++) {
        if (headers[i].key.size > FR_BATCH_BYTES_MAX || headers[i].value.size > FR_BATCH_BYTES_MAX) {
            w->code = FR_ERR_TOO_LARGE;
            return;
        }
        body += bytes_size(headers[i].key, false) + bytes_size(headers[i].value, true);
    }
    if (!reserve(w, body + 10)) return;
    uint8_t *at = w->data + w->size;
    at = fr_varint_put(at, (int64_t)body);
    *at++ = 0;
    at = fr_varint_put(at, delta);
    at = fr_varint_put(at, offset_delta);
    at = put_bytes(at, key, true);
    at = put_bytes(at, value, true);
    at = fr_varint_put(at, (int64_t)header_count);
    for (uint32_t i = 0; i < header_count; i++) {
        at = put_bytes(at, headers[i].key, false);
        at = put_bytes(at, headers[i].value, true);
    }
    w->size = (size_t)(at - w->data);
    w->maxTimestamp = FR_MAX(w->maxTimestamp, timestamp_ms);
    w->recordCount++;
    fr_store_be32(w->data + 23, (uint32_t)offset_delta);
}

void fr_batch_writer_add(fr_batch_writer *w, int64_t timestamp_ms, fr_span key, fr_span value,
                         const fr_log_header *headers, uint32_t header_count)
{
    if (w->code) return;
    int32_t last = (int32_t)fr_load_be32(w->data + 23);
    if (last == INT32_MAX) {
        w->code = FR_ERR_TOO_LARGE;
        return;
    }
    fr_batch_writer_add_at(w, last + 1, timestamp_ms, key, value, headers, header_count);
}

fr_code fr_batch_compress(const uint8_t *records, size_t size, size_t room, uint8_t **buffer_io, size_t *capacity_io,
                          size_t *size_out)
{
    LZ4F_preferences_t preferences = {.frameInfo = {.blockSizeID = LZ4F_max64KB, .blockMode = LZ4F_blockIndependent}};
    size_t bound = LZ4F_compressFrameBound(size, &preferences);
    *size_out = 0;
    if (*capacity_io < room + bound) {
        uint8_t *grown = fr_realloc(FR_MEM_LOG, *buffer_io, room + bound);
        if (!grown) return FR_ERR_NO_MEMORY;
        *buffer_io = grown;
        *capacity_io = room + bound;
    }
    size_t got = LZ4F_compressFrame(*buffer_io + room, bound, records, size, &preferences);
    if (LZ4F_isError(got)) return FR_ERR_NO_MEMORY; /* the bound is right, so only its own allocation can have failed */
    if (got < size && got <= size - size / 10) *size_out = got;
    return FR_OK;
}

fr_code fr_batch_writer_end(fr_batch_writer *w, uint8_t **batch_out, size_t *size_out)
{
    if (w->code) return w->code;
    if (w->recordCount == 0) return w->code = FR_ERR_INVALID;
    uint8_t *data = w->data;
    size_t size = w->size, packed = 0;
    int32_t last = (int32_t)fr_load_be32(w->data + 23);
    if (w->codec == FR_CODEC_LZ4) {
        w->code = fr_batch_compress(data + FR_BATCH_HEADER, size - FR_BATCH_HEADER, FR_BATCH_HEADER, &w->scratch,
                                    &w->scratch_capacity, &packed);
        if (w->code) return w->code;
        if (packed) {
            data = w->scratch;
            size = FR_BATCH_HEADER + packed;
        }
    }
    fr_batch_header header = {.magic = 2,
                              .attributes = packed ? FR_CODEC_LZ4 : FR_CODEC_NONE,
                              .lastOffsetDelta = last,
                              .baseTimestamp = w->baseTimestamp,
                              .maxTimestamp = w->maxTimestamp,
                              .producerId = -1,
                              .producerEpoch = -1,
                              .baseSequence = -1,
                              .recordCount = w->recordCount};
    fr_batch_header_put(data, size, &header);
    *batch_out = data;
    *size_out = size;
    return FR_OK;
}

void fr_batch_writer_free(fr_batch_writer *w)
{
    fr_free(FR_MEM_LOG, w->data);
    fr_free(FR_MEM_LOG, w->scratch);
    *w = (fr_batch_writer){0};
}

static void seal(uint8_t *batch, size_t size) { fr_store_be32(batch + 17, fr_simd_crc32c(0, batch + 21, size - 21)); }

void fr_batch_own(uint8_t *batch, size_t size, int64_t producer_id, int16_t epoch, int32_t sequence, int16_t attributes)
{
    fr_store_be16(batch + 21, (uint16_t)(fr_load_be16(batch + 21) | (uint16_t)attributes));
    fr_store_be64(batch + 43, (uint64_t)producer_id);
    fr_store_be16(batch + 51, (uint16_t)epoch);
    fr_store_be32(batch + 53, (uint32_t)sequence);
    seal(batch, size);
}

void fr_batch_stamp(uint8_t *batch, size_t size, int64_t timestamp_ms)
{
    fr_store_be16(batch + 21, (uint16_t)(fr_load_be16(batch + 21) | 8u));
    fr_store_be64(batch + 35, (uint64_t)timestamp_ms);
    seal(batch, size);
}

void fr_batch_newest(uint8_t *batch, size_t size, int64_t timestamp_ms)
{
    fr_store_be64(batch + 35, (uint64_t)timestamp_ms);
    seal(batch, size);
}
