/* batch.h: Kafka RecordBatch v2 (magic 2), encode and decode. Byte table: log/README.md. Field names are Kafka's. */
#ifndef FR_BATCH_H
#define FR_BATCH_H

#include "api/base.h"

#define FR_BATCH_HEADER 61u
#define FR_BATCH_BYTES_MAX (96u << 20)

typedef enum fr_codec { FR_CODEC_NONE = 0, FR_CODEC_GZIP = 1, FR_CODEC_SNAPPY = 2, FR_CODEC_LZ4 = 3, FR_CODEC_ZSTD = 4 } fr_codec;

typedef struct fr_batch_header { /* parsed, host order */
    int64_t baseOffset;
    int32_t batchLength; /* bytes after this field */
    int32_t partitionLeaderEpoch;
    int8_t magic;
    uint32_t crc;
    int16_t attributes;
    int32_t lastOffsetDelta;
    int64_t baseTimestamp, maxTimestamp, producerId;
    int16_t producerEpoch;
    int32_t baseSequence, recordCount;
} fr_batch_header;

/* One record inside a batch. */
typedef struct fr_log_header { fr_span key, value; } fr_log_header;
typedef struct fr_log_record {
    int64_t offset, timestamp_ms;
    fr_span key;    /* data == NULL: null key */
    fr_span value;  /* data == NULL: null value = tombstone */
    uint32_t header_count;
    const fr_log_header *headers; /* decode: borrowed until the next call; at most FR_LOG_HEADERS_MAX */
} fr_log_record;
#define FR_LOG_HEADERS_MAX 32u

/* Parse the 61 bytes of a header without judging them. */
void fr_batch_header_get(const uint8_t *data, fr_batch_header *header_out);

/* Encode: begin, add records, end. The buffer grows and is reused. Base offset 0, CRC filled. Codec LZ4 (frame) is used only
 * when it makes the records at least 10 % smaller; NONE otherwise. */
typedef struct fr_batch_writer {
    uint8_t *data;
    size_t size, capacity;
    uint8_t *scratch;
    size_t scratch_capacity;
    int64_t baseTimestamp, maxTimestamp;
    int32_t recordCount;
    fr_code code;
    fr_codec codec;
} fr_batch_writer; /* zero-initialise */
void fr_batch_writer_begin(fr_batch_writer *w, fr_codec codec);
void fr_batch_writer_add(fr_batch_writer *w, int64_t timestamp_ms, fr_span key, fr_span value, const fr_log_header *headers, uint32_t header_count);
/* Record offsets other than 0..n-1 (compaction): relative to base_offset. */
void fr_batch_writer_add_at(fr_batch_writer *w, int32_t offset_delta, int64_t timestamp_ms, fr_span key, fr_span value,
                            const fr_log_header *headers, uint32_t header_count);
fr_code fr_batch_writer_end(fr_batch_writer *w, uint8_t **batch_out, size_t *size_out); /* borrowed from the writer */
void fr_batch_writer_free(fr_batch_writer *w);

/* Make an encoded batch a producer's: id, epoch, sequence; attributes are or-ed. The CRC is made anew. */
void fr_batch_own(uint8_t *batch, size_t size, int64_t producer_id, int16_t epoch, int32_t sequence, int16_t attributes);
/* LogAppendTime: attributes bit 3 and maxTimestamp; the CRC is made anew. */
void fr_batch_stamp(uint8_t *batch, size_t size, int64_t timestamp_ms);
/* maxTimestamp as the records say; the CRC is made anew. */
void fr_batch_newest(uint8_t *batch, size_t size, int64_t timestamp_ms);

/* Header fields, lengths, magic, CRC. size may be larger than the batch (trailing bytes are not looked at). */
fr_code fr_batch_check(const uint8_t *data, size_t size, fr_batch_header *header_out, size_t *batch_size_out, fr_err *err);
/* Also every record: framing, offset deltas inside 0..lastOffsetDelta and ascending, count. Decompresses. */
fr_code fr_batch_check_records(const uint8_t *data, size_t size, fr_err *err);

/* Iterate the records of one checked batch; decompresses into its own buffer (bounded). */
typedef struct fr_batch_reader fr_batch_reader;
fr_code fr_batch_reader_open(const uint8_t *data, size_t size, fr_batch_reader **reader_io, fr_err *err); /* reuses *reader_io */
bool fr_batch_reader_next(fr_batch_reader *reader, fr_log_record *record_out); /* false: end, or CORRUPT in reader_code */
fr_code fr_batch_reader_code(const fr_batch_reader *reader);
void fr_batch_reader_close(fr_batch_reader *reader); /* accepts NULL */

#endif
