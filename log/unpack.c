/* unpack.c: see unpack.h. No length of the source is believed: the buffer grows with what comes out, to the limit.
 * Framing of snappy: Java writes xerial's blocks (magic 0x82 "SNAPPY" 0, i32 version, i32 compatible, then i32 length and
 * raw snappy each), librdkafka and others raw snappy. */
#include "log/unpack.h"

#include <lz4frame.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

static fr_code grow(fr_unpacker *u, size_t need, fr_err *err)
{
    if (need <= u->capacity) return FR_OK;
    if (need > FR_BATCH_BYTES_MAX)
        return fr_fail(err, FR_ERR_TOO_LARGE, "records", "records unpack to more than %u bytes", FR_BATCH_BYTES_MAX);
    size_t capacity = FR_MIN(FR_MAX(FR_MAX(u->capacity * 2, need), (size_t)16384), (size_t)FR_BATCH_BYTES_MAX);
    uint8_t *grown = fr_realloc(FR_MEM_LOG, u->buffer, capacity);
    if (grown == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "unpacking %zu bytes", capacity);
    u->buffer = grown;
    u->capacity = capacity;
    return FR_OK;
}

static fr_code bad(fr_err *err, const char *codec, const char *why)
{
    return fr_fail(err, FR_ERR_CORRUPT, "records", "%s: %s", codec, why);
}

static fr_code unpack_lz4(fr_unpacker *u, const uint8_t *source, size_t size, size_t *size_out, fr_err *err)
{
    LZ4F_dctx *context = u->lz4;
    if (context == NULL && LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)))
        return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "lz4 context");
    u->lz4 = context;
    LZ4F_resetDecompressionContext(context);
    size_t written = 0, hint = 1;
    FR_TRY(grow(u, FR_MIN(size * 4, (size_t)FR_BATCH_BYTES_MAX), err));
    while (hint != 0) {
        if (written == u->capacity) FR_TRY(grow(u, written + 1, err));
        size_t room = u->capacity - written, eaten = size;
        hint = LZ4F_decompress(context, u->buffer + written, &room, source, &eaten, NULL);
        if (LZ4F_isError(hint)) return bad(err, "lz4", LZ4F_getErrorName(hint));
        written += room;
        source += eaten;
        size -= eaten;
        if (hint != 0 && room == 0 && eaten == 0 && written < u->capacity) return bad(err, "lz4", "the frame is cut");
    }
    if (size != 0) return bad(err, "lz4", "bytes behind the frame");
    *size_out = written;
    return FR_OK;
}

static fr_code unpack_gzip(fr_unpacker *u, const uint8_t *source, size_t size, size_t *size_out, fr_err *err)
{
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)source, .avail_in = (uInt)size};
    if (inflateInit2(&stream, 15 + 16) != Z_OK) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "gzip context");
    size_t written = 0;
    int state = Z_OK;
    fr_code code = grow(u, FR_MIN(size * 4, (size_t)FR_BATCH_BYTES_MAX), err);
    while (code == FR_OK && state != Z_STREAM_END) {
        if (written == u->capacity && (code = grow(u, written + 1, err)) != FR_OK) break;
        stream.next_out = u->buffer + written;
        stream.avail_out = (uInt)(u->capacity - written);
        state = inflate(&stream, Z_NO_FLUSH);
        written = u->capacity - stream.avail_out;
        if (state == Z_MEM_ERROR) code = fr_fail(err, FR_ERR_NO_MEMORY, NULL, "gzip");
        else if (state == Z_BUF_ERROR && stream.avail_out == 0) state = Z_OK;
        else if (state != Z_OK && state != Z_STREAM_END) code = bad(err, "gzip", "the stream is cut or damaged");
    }
    if (code == FR_OK && stream.avail_in != 0) code = bad(err, "gzip", "bytes behind the stream");
    inflateEnd(&stream);
    *size_out = written;
    return code;
}

static fr_code snappy_block(fr_unpacker *u, const uint8_t *source, size_t size, size_t *written_io, fr_err *err)
{
    size_t length;
    if (snappy_uncompressed_length((const char *)source, size, &length) != SNAPPY_OK)
        return bad(err, "snappy", "a block without a length");
    if (length > FR_BATCH_BYTES_MAX || length / 64 > size) /* at best 64 bytes of output for 3 of input */
        return fr_fail(err, FR_ERR_TOO_LARGE, "records", "snappy: a block that claims %zu bytes", length);
    FR_TRY(grow(u, *written_io + length, err));
    if (snappy_uncompress((const char *)source, size, (char *)u->buffer + *written_io, &length) != SNAPPY_OK)
        return bad(err, "snappy", "a damaged block");
    *written_io += length;
    return FR_OK;
}

static fr_code unpack_snappy(fr_unpacker *u, const uint8_t *source, size_t size, size_t *size_out, fr_err *err)
{
    static const uint8_t xerial[8] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};
    *size_out = 0;
    FR_TRY(grow(u, 1, err));
    if (size < 16 || memcmp(source, xerial, sizeof xerial) != 0) return snappy_block(u, source, size, size_out, err);
    source += 16;
    size -= 16;
    while (size != 0) {
        uint32_t block = size >= 4 ? fr_load_be32(source) : UINT32_MAX;
        if (block > size - 4 || size < 4) return bad(err, "snappy", "a cut block");
        FR_TRY(snappy_block(u, source + 4, block, size_out, err));
        source += 4 + block;
        size -= 4 + block;
    }
    return FR_OK;
}

static fr_code unpack_zstd(fr_unpacker *u, const uint8_t *source, size_t size, size_t *size_out, fr_err *err)
{
    if (u->zstd == NULL) u->zstd = ZSTD_createDCtx();
    if (u->zstd == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "zstd context");
    ZSTD_DCtx_reset(u->zstd, ZSTD_reset_session_only);
    ZSTD_inBuffer in = {source, size, 0};
    size_t written = 0, hint = 1;
    FR_TRY(grow(u, FR_MIN(size * 4, (size_t)FR_BATCH_BYTES_MAX), err));
    while (hint != 0 || in.pos < in.size) {
        if (written == u->capacity) FR_TRY(grow(u, written + 1, err));
        ZSTD_outBuffer out = {u->buffer, u->capacity, written};
        size_t before = in.pos;
        hint = ZSTD_decompressStream(u->zstd, &out, &in);
        if (ZSTD_isError(hint)) return bad(err, "zstd", ZSTD_getErrorName(hint));
        bool stuck = in.pos == before && out.pos == written && out.pos < out.size;
        written = out.pos;
        if (stuck) return bad(err, "zstd", "the frame is cut");
    }
    *size_out = written;
    return FR_OK;
}

fr_code fr_unpack(fr_unpacker *u, fr_codec codec, const uint8_t *source, size_t size, size_t *size_out, fr_err *err)
{
    switch (codec) {
    case FR_CODEC_LZ4: return unpack_lz4(u, source, size, size_out, err);
    case FR_CODEC_GZIP: return unpack_gzip(u, source, size, size_out, err);
    case FR_CODEC_SNAPPY: return unpack_snappy(u, source, size, size_out, err);
    case FR_CODEC_ZSTD: return unpack_zstd(u, source, size, size_out, err);
    default: return fr_fail(err, FR_ERR_UNSUPPORTED, "attributes", "unknown compression codec %d", (int)codec);
    }
}

void fr_unpacker_free(fr_unpacker *u)
{
    if (u->lz4 != NULL) LZ4F_freeDecompressionContext(u->lz4);
    ZSTD_freeDCtx(u->zstd);
    fr_free(FR_MEM_LOG, u->buffer);
    *u = (fr_unpacker){.buffer = NULL};
}
