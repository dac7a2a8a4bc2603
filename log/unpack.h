/* unpack.h: the records of a compressed batch: gzip, snappy (raw and xerial's framing), lz4 frames, zstd. Room-internal. */
#ifndef FR_UNPACK_H
#define FR_UNPACK_H

#include "log/batch.h"

typedef struct fr_unpacker { /* zero-initialise; reused from batch to batch */
    uint8_t *buffer;
    size_t capacity;
    void *lz4, *zstd;
} fr_unpacker;
/* Into unpacker->buffer; over FR_BATCH_BYTES_MAX is TOO_LARGE, whatever the source claims. */
fr_code fr_unpack(fr_unpacker *unpacker, fr_codec codec, const uint8_t *source, size_t size, size_t *size_out, fr_err *err);
void fr_unpacker_free(fr_unpacker *unpacker);

#endif
