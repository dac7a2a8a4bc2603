/* transcode.c: record batches with every binary value replaced by text that the caller makes: how a collection's topic is given to
 * Kafka consumers. Offsets, timestamps, keys, headers and the producer stay; a batch without binary values is passed on as it is. */
#include "server/engine/engine.h"

#define BINARY 0x01
#define PIECE_BYTES (16u << 20) /* of text: a larger batch is given as several */

typedef struct transcoding {
    fr_code (*text)(void *user, const fr_record *record, fr_span *text_out);
    fr_code (*put)(void *user, const void *data, size_t size);
    void *user;
    fr_batch_reader *reader;
    fr_batch_writer writer;
} transcoding;

static bool has_binary(transcoding *self, const uint8_t *batch, size_t size, const fr_batch_header *header)
{
    fr_log_record record;
    if (header->attributes & 0x20) return false; /* a control batch */
    if (fr_batch_reader_open(batch, size, &self->reader, NULL) != FR_OK) return false;
    while (fr_batch_reader_next(self->reader, &record))
        if (record.value.size && *(const uint8_t *)record.value.data == BINARY) return true;
    return false;
}

/* What the writer holds, as a batch of its own: base, and the last offset that it covers. */
static fr_code piece_put(transcoding *self, const fr_batch_header *header, fr_offset base, fr_offset last)
{
    uint8_t *out;
    size_t size;
    FR_TRY(fr_batch_writer_end(&self->writer, &out, &size));
    int32_t sequence = base == header->baseOffset ? header->baseSequence : -1;
    fr_store_be64(out, (uint64_t)base);
    fr_store_be32(out + 12, (uint32_t)header->partitionLeaderEpoch);
    fr_store_be32(out + 23, (uint32_t)(last - base)); /* compaction may have taken the last record */
    fr_batch_own(out, size, header->producerId, header->producerEpoch, sequence, (int16_t)(header->attributes & 0x18));
    return self->put(self->user, out, size);
}

static fr_code batch_text(transcoding *self, const uint8_t *batch, size_t size, const fr_batch_header *header, fr_err *err)
{
    fr_log_record record;
    fr_offset base = header->baseOffset, last = header->baseOffset + header->lastOffsetDelta;
    FR_TRY(fr_batch_reader_open(batch, size, &self->reader, err));
    fr_batch_writer_begin(&self->writer, FR_CODEC_NONE);
    while (fr_batch_reader_next(self->reader, &record)) {
        fr_span value = record.value;
        if (self->writer.size >= PIECE_BYTES) {
            FR_TRY(piece_put(self, header, base, record.offset - 1));
            base = record.offset;
            fr_batch_writer_begin(&self->writer, FR_CODEC_NONE);
        }
        if (value.size && *(const uint8_t *)value.data == BINARY) {
            fr_record decoded;
            fr_engine_record(&record, &decoded);
            FR_TRY(self->text(self->user, &decoded, &value));
        }
        fr_batch_writer_add_at(&self->writer, (int32_t)(record.offset - base), record.timestamp_ms, record.key, value, record.headers,
                               record.header_count);
    }
    FR_TRY(fr_batch_reader_code(self->reader));
    return piece_put(self, header, base, last);
}

fr_code fr_view_transcode(const fr_view *view, fr_code (*text)(void *user, const fr_record *record, fr_span *text_out),
                          fr_code (*put)(void *user, const void *data, size_t size), void *user, fr_err *err)
{
    transcoding self = {.text = text, .put = put, .user = user};
    fr_code code = FR_OK;
    for (size_t at = 0; code == FR_OK && at < view->size;) {
        fr_batch_header header;
        size_t size;
        code = fr_batch_check(view->data + at, view->size - at, &header, &size, err);
        if (code != FR_OK) break;
        code = has_binary(&self, view->data + at, size, &header) ? batch_text(&self, view->data + at, size, &header, err)
                                                                 : put(user, view->data + at, size);
        at += size;
    }
    fr_batch_reader_close(self.reader);
    fr_batch_writer_free(&self.writer);
    return code;
}
