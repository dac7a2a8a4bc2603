/* batch_private.h: what compaction needs of the batch codec beside log/batch.h. Room-internal. */
#ifndef FR_BATCH_PRIVATE_H
#define FR_BATCH_PRIVATE_H

#include "log/batch.h"

#define FR_BATCH_OVERHEAD   12u  /* baseOffset and batchLength: the bytes that batchLength does not count */
#define FR_BATCH_RECORD_MIN 7u   /* seven fields of one byte each */
#define FR_BATCH_HORIZON    0x40 /* attributes bit 6: baseTimestamp is the delete horizon */
#define FR_BATCH_CONTROL    0x20

/* Write the header; batchLength and crc are computed from size (whole batch, records in place). */
void fr_batch_header_put(uint8_t *data, size_t size, fr_batch_header *header);

/* The record that fr_batch_reader_next gave last: its attributes byte and the bytes from offsetDelta on, as stored. */
fr_span fr_batch_reader_raw(const fr_batch_reader *reader, uint8_t *attributes_out);
const fr_batch_header *fr_batch_reader_header(const fr_batch_reader *reader);

uint8_t *fr_varint_put(uint8_t *at, int64_t value); /* zig-zag; at most 10 bytes */
size_t fr_varint_size(int64_t value);

/* Compress records as one lz4 frame (64 KiB independent blocks) behind a header of room bytes in *buffer_io, which
 * grows. *size_out is 0 when the frame is not at least 10 % smaller. */
fr_code fr_batch_compress(const uint8_t *records, size_t size, size_t room, uint8_t **buffer_io, size_t *capacity_io,
                          size_t *size_out);

#endif
