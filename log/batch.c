/* batch.c: check and decode Kafka RecordBatch v2.
 *
 * Nothing here trusts a length: every field is compared with what is left. Decompression stops when its output would
 * pass FR_BATCH_BYTES_MAX. baseOffset, partitionLeaderEpoch and (by its effect) batchLength lie outside the checksum:
 * the log compares them with the position they stand at. Source: org.apache.kafka.common.record.DefaultRecordBatch and
 * DefaultRecord (byte table in log/README.md).
 */
#include "log/batch_private.h"
#include "log/unpack.h"
#include "simd/simd.h"


struct fr_batch_reader {
    fr_batch_header header;
    const uint8_t *at, *end; /* records not read yet; in the caller's bytes, or in buffer when compressed */
    int32_t left, last_delta;
    fr_code code;
    fr_span raw;
    uint8_t raw_attributes;
    fr_unpacker unpacker;
    fr_log_header headers[FR_LOG_HEADERS_MAX];
};

void fr_batch_header_get(const uint8_t *data, fr_batch_header *h)
{
    h->baseOffset = (int64_t)fr_load_be64(data);
    h->batchLength = (int32_t)fr_load_be32(data + 8);
    h->partitionLeaderEpoch = (int32_t)fr_load_be32(data + 12);
    h->magic = (int8_t)data[16];
    h->crc = fr_load_be32(data + 17);
    h->attributes = (int16_t)fr_load_be16(data + 21);
    h->lastOffsetDelta = (int32_t)fr_load_be32(data + 23);
    h->baseTimestamp = (int64_t)fr_load_be64(data + 27);
    h->maxTimestamp = (int64_t)fr_load_be64(data + 35);
    h->producerId = (int64_t)fr_load_be64(data + 43);
    h->producerEpoch = (int16_t)fr_load_be16(data + 51);
    h->baseSequence = (int32_t)fr_load_be32(data + 53);
    h->recordCount = (int32_t)fr_load_be32(data + 57);
}

fr_code fr_batch_check(const uint8_t *data, size_t size, fr_batch_header *header_out, size_t *batch_size_out,
                       fr_err *err)
{
    if (!data || size < FR_BATCH_HEADER)
        return fr_fail(err, FR_ERR_CORRUPT, "batchLength", "batch is cut: %zu bytes, the header alone has %u", size,
                       FR_BATCH_HEADER);
    fr_batch_header h;
    fr_batch_header_get(data, &h);
    if (h.batchLength < (int32_t)(FR_BATCH_HEADER - FR_BATCH_OVERHEAD))
        return fr_fail(err, FR_ERR_CORRUPT, "batchLength", "batchLength %d is below %u", h.batchLength,
                       FR_BATCH_HEADER - FR_BATCH_OVERHEAD);
    if ((uint32_t)h.batchLength > FR_BATCH_BYTES_MAX - FR_BATCH_OVERHEAD)
        return fr_fail(err, FR_ERR_TOO_LARGE, "batchLength", "batchLength %d is over the limit of %u bytes per batch",
                       h.batchLength, FR_BATCH_BYTES_MAX);
    if (h.magic != 2)
        return fr_fail(err, FR_ERR_CORRUPT, "magic", "magic %d, only record batches of magic 2 are read", h.magic);
    size_t whole = FR_BATCH_OVERHEAD + (size_t)h.batchLength;
    if (whole > size) return fr_fail(err, FR_ERR_CORRUPT, "batchLength", "batch is cut: %zu bytes of %zu", size, whole);
    uint32_t crc = fr_simd_crc32c(0, data + 21, whole - 21);
    if (crc != h.crc) return fr_fail(err, FR_ERR_CORRUPT, "crc", "checksum %08x, computed %08x", h.crc, crc);
    if (h.attributes & ~0x7f)
        return fr_fail(err, FR_ERR_UNSUPPORTED, "attributes", "unknown bits in attributes 0x%04x",
                       (unsigned)(uint16_t)h.attributes);
    int codec = h.attributes & 7;
    if (codec > FR_CODEC_ZSTD)
        return fr_fail(err, FR_ERR_UNSUPPORTED, "attributes", "unknown compression codec %d", codec);
    if (h.baseOffset < 0 || h.lastOffsetDelta < 0 || h.baseOffset > INT64_MAX - 1 - h.lastOffsetDelta)
        return fr_fail(err, FR_ERR_INVALID, "lastOffsetDelta", "offsets %lld + %d", (long long)h.baseOffset,
                       h.lastOffsetDelta);
    if (h.recordCount < 0 || (int64_t)h.recordCount > (int64_t)h.lastOffsetDelta + 1)
        return fr_fail(err, FR_ERR_INVALID, "recordCount", "recordCount %d with lastOffsetDelta %d", h.recordCount,
                       h.lastOffsetDelta);
    if (codec == FR_CODEC_NONE && (uint64_t)h.recordCount * FR_BATCH_RECORD_MIN > whole - FR_BATCH_HEADER)
        return fr_fail(err, FR_ERR_INVALID, "recordCount", "recordCount %d does not fit %zu bytes", h.recordCount,
                       whole - FR_BATCH_HEADER);
    if (header_out) *header_out = h;
    if (batch_size_out) *batch_size_out = whole;
    return FR_OK;
}

fr_code fr_batch_reader_open(const uint8_t *data, size_t size, fr_batch_reader **reader_io, fr_err *err)
{
    if (!*reader_io && !(*reader_io = fr_zalloc(FR_MEM_LOG, sizeof **reader_io)))
        return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "batch reader");
    fr_batch_reader *r = *reader_io;
    r->at = r->end = NULL;
    r->left = 0;
    r->last_delta = -1;
    r->code = FR_OK;
    r->raw = (fr_span){0};
    if (size < FR_BATCH_HEADER) return fr_fail(err, FR_ERR_CORRUPT, "batchLength", "batch is cut: %zu bytes", size);
    fr_batch_header_get(data, &r->header);
    if (r->header.batchLength < (int32_t)(FR_BATCH_HEADER - FR_BATCH_OVERHEAD) ||
        FR_BATCH_OVERHEAD + (size_t)r->header.batchLength > size)
        return fr_fail(err, FR_ERR_CORRUPT, "batchLength", "batch is cut: %zu bytes", size);
    if (r->header.recordCount < 0)
        return fr_fail(err, FR_ERR_CORRUPT, "recordCount", "recordCount %d", r->header.recordCount);
    const uint8_t *records = data + FR_BATCH_HEADER;
    size_t records_size = FR_BATCH_OVERHEAD + (size_t)r->header.batchLength - FR_BATCH_HEADER;
    int codec = r->header.attributes & 7;
    if (codec != FR_CODEC_NONE && records_size > 0) {
        FR_TRY(fr_unpack(&r->unpacker, (fr_codec)codec, records, records_size, &records_size, err));
        records = r->unpacker.buffer;
    }
    r->at = records;
    r->end = records + records_size;
    r->left = r->header.recordCount;
    return FR_OK;
}

static bool get_long_varint(const uint8_t **at, const uint8_t *end, int64_t *value_out)
{
    uint64_t bits = 0;
    for (uint32_t shift = 0; shift < 70 && *at < end; shift += 7) {
        uint8_t byte = *(*at)++;
        if (shift == 63 && byte > 1) return false; /* over 64 bits */
        bits |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *value_out = (int64_t)(bits >> 1) ^ -(int64_t)(bits & 1);
            return true;
        }
    }
    return false;
}

/* Deltas and sizes have one or two bytes nearly always, and there are seven of them in a record. */
static inline bool get_varint(const uint8_t **at, const uint8_t *end, int64_t *value_out)
{
    const uint8_t *bytes = *at;
    if (end - bytes < 2 || (bytes[0] & bytes[1] & 0x80)) return get_long_varint(at, end, value_out);
    bool two = bytes[0] & 0x80;
    uint32_t bits = (bytes[0] & 0x7fu) | (two ? (uint32_t)bytes[1] << 7 : 0);
    *at = bytes + 1 + two;
    *value_out = (int64_t)(bits >> 1) ^ -(int64_t)(bits & 1);
    return true;
}

static inline bool get_bytes(const uint8_t **at, const uint8_t *end, bool nullable, fr_span *span_out)
{
    int64_t size;
    if (!get_varint(at, end, &size)) return false;
    if (size == -1 && nullable) {
        *span_out = (fr_span){NULL, 0};
        return true;
    }
    if (size < 0 || size > end - *at) return false;
    *span_out = (fr_span){*at, (size_t)size};
    *at += size;
    return true;
}

static bool get_record(fr_batch_reader *r, fr_log_record *record)
{
    int64_t size, timestamp_delta, offset_delta, count;
    if (!get_varint(&r->at, r->end, &size) || size < (int64_t)FR_BATCH_RECORD_MIN - 1 || size > r->end - r->at)
        return false;
    const uint8_t *at = r->at, *end = r->at + size;
    r->raw_attributes = *at++;
    if (!get_varint(&at, end, &timestamp_delta)) return false;
    r->raw = (fr_span){at, (size_t)(end - at)};
    if (!get_varint(&at, end, &offset_delta) || offset_delta <= r->last_delta ||
        offset_delta > r->header.lastOffsetDelta)
        return false;
    if (!get_bytes(&at, end, true, &record->key) || !get_bytes(&at, end, true, &record->value)) return false;
    if (!get_varint(&at, end, &count) || count < 0 || count > (end - at) / 2) return false;
    record->header_count = (uint32_t)FR_MIN(count, (int64_t)FR_LOG_HEADERS_MAX);
    for (int64_t i = 0; i < count; i++) {
        fr_log_header beyond, *header = i < (int64_t)FR_LOG_HEADERS_MAX ? &r->headers[i] : &beyond;
        if (!get_bytes(&at, end, false, &header->key) || !get_bytes(&at, end, true, &header->value)) return false;
    }
    if (at != end) return false;
    record->headers = r->headers;
    record->offset = r->header.baseOffset + offset_delta;
    record->timestamp_ms = r->header.attributes & 8
                               ? r->header.maxTimestamp
                               : (int64_t)((uint64_t)r->header.baseTimestamp + (uint64_t)timestamp_delta);
    r->last_delta = (int32_t)offset_delta;
    r->at = end;
    return true;
}

bool fr_batch_reader_next(fr_batch_reader *r, fr_log_record *record_out)
{
    if (r->code) return false;
    if (r->left == 0) {
        if (r->at != r->end) r->code = FR_ERR_CORRUPT; /* bytes behind the last record */
        return false;
    }
    if (!get_record(r, record_out)) {
        r->code = FR_ERR_CORRUPT;
        return false;
    }
    r->left--;
    return true;
}

fr_code fr_batch_reader_code(const fr_batch_reader *reader) { return reader->code; }
const fr_batch_header *fr_batch_reader_header(const fr_batch_reader *reader) { return &reader->header; }

fr_span fr_batch_reader_raw(const fr_batch_reader *reader, uint8_t *attributes_out)
{
    *attributes_out = reader->raw_attributes;
    return reader->raw;
}

void fr_batch_reader_close(fr_batch_reader *reader)
{
    if (!reader) return;
    fr_unpacker_free(&reader->unpacker);
    fr_free(FR_MEM_LOG, reader);
}

fr_code fr_batch_check_records(const uint8_t *data, size_t size, fr_err *err)
{
    fr_batch_header header;
    size_t whole;
    FR_TRY(fr_batch_check(data, size, &header, &whole, err));
    fr_batch_reader *reader = NULL;
    fr_code code = fr_batch_reader_open(data, whole, &reader, err);
    fr_log_record record;
    int32_t count = 0;
    while (!code && fr_batch_reader_next(reader, &record)) count++;
    if (!code && reader->code)
        code = fr_fail(err, reader->code, "records", "record %d of %d is malformed", count, header.recordCount);
    fr_batch_reader_close(reader);
    return code;
}
