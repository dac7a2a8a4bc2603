/* Batches in every codec give the records they were made of; cut, damaged and boasting ones are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

#include "log/batch.h"
#include "simd/simd.h"

enum { RECORDS = 500, XERIAL = 8 /* "codec" of this test: snappy in xerial's frames */ };

static size_t pack_gzip(const uint8_t *from, size_t size, uint8_t *to, size_t room)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)from, .avail_in = (uInt)size, .next_out = to, .avail_out = (uInt)room};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return z.total_out;
}

static size_t pack_xerial(const uint8_t *from, size_t size, uint8_t *to, size_t room)
{
    static const uint8_t head[16] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1};
    memcpy(to, head, sizeof head);
    size_t at = sizeof head;
    for (size_t done = 0; done < size;) {
        size_t piece = FR_MIN(size - done, (size_t)1000), got = room - at - 4;
        assert_int_equal(snappy_compress((const char *)from + done, piece, (char *)to + at + 4, &got), SNAPPY_OK);
        fr_store_be32(to + at, (uint32_t)got);
        at += 4 + got;
        done += piece;
    }
    return at;
}

static size_t pack(int codec, const uint8_t *from, size_t size, uint8_t *to, size_t room)
{
    size_t got = room;
    if (codec == FR_CODEC_GZIP) return pack_gzip(from, size, to, room);
    if (codec == XERIAL) return pack_xerial(from, size, to, room);
    if (codec == FR_CODEC_ZSTD) return ZSTD_compress(to, room, from, size, 3);
    assert_int_equal(snappy_compress((const char *)from, size, (char *)to, &got), SNAPPY_OK);
    return got;
}

static void seal(uint8_t *batch, size_t size, int codec)
{
    batch[22] = (uint8_t)(codec == XERIAL ? FR_CODEC_SNAPPY : codec);
    fr_store_be32(batch + 8, (uint32_t)size - 12);
    fr_store_be32(batch + 17, fr_simd_crc32c(0, batch + 21, size - 21));
}

static uint8_t *make(int codec, size_t *size_out)
{
    fr_batch_writer w = {0};
    uint8_t *plain, *out = malloc(1 << 20);
    size_t size;
    char value[64];
    fr_batch_writer_begin(&w, FR_CODEC_NONE);
    for (int i = 0; i < RECORDS; i++) {
        snprintf(value, sizeof value, "value %d of a batch that is to be packed", i);
        fr_batch_writer_add(&w, 1000 + i, fr_span_of(&i, 4), fr_span_text(value), NULL, 0);
    }
    assert_int_equal(fr_batch_writer_end(&w, &plain, &size), FR_OK);
    memcpy(out, plain, FR_BATCH_HEADER);
    *size_out = FR_BATCH_HEADER +
                pack(codec, plain + FR_BATCH_HEADER, size - FR_BATCH_HEADER, out + FR_BATCH_HEADER, (1 << 20) - FR_BATCH_HEADER);
    seal(out, *size_out, codec);
    fr_batch_writer_free(&w);
    return out;
}

static const int codecs[] = {FR_CODEC_GZIP, FR_CODEC_SNAPPY, XERIAL, FR_CODEC_ZSTD};

static void every_codec_gives_its_records(void **state)
{
    (void)state;
    fr_batch_reader *reader = NULL; /* one for all: its buffers are reused */
    for (size_t c = 0; c < FR_COUNT_OF(codecs); c++) {
        size_t size;
        uint8_t *batch = make(codecs[c], &size);
        fr_log_record record;
        int count = 0;
        assert_int_equal(fr_batch_check_records(batch, size, NULL), FR_OK);
        assert_int_equal(fr_batch_reader_open(batch, size, &reader, NULL), FR_OK);
        for (; fr_batch_reader_next(reader, &record); count++) {
            assert_int_equal(record.offset, count);
            assert_memory_equal(record.key.data, &count, 4);
        }
        assert_int_equal(count, RECORDS);
        free(batch);
    }
    fr_batch_reader_close(reader);
}

static void cut_and_damaged_batches_are_corrupt(void **state)
{
    (void)state;
    for (size_t c = 0; c < FR_COUNT_OF(codecs); c++) {
        size_t size;
        uint8_t *batch = make(codecs[c], &size), *copy = malloc(size + 1);
        for (size_t cut = FR_BATCH_HEADER + 1; cut < size; cut += 37) {
            uint8_t *exact = malloc(cut); /* so that a read behind the end is seen */
            memcpy(exact, batch, cut);
            seal(exact, cut, codecs[c]);
            assert_int_not_equal(fr_batch_check_records(exact, cut, NULL), FR_OK);
            free(exact);
        }
        for (size_t at = FR_BATCH_HEADER; at < size; at += 11) { /* any answer, but no crash and no endless loop */
            memcpy(copy, batch, size);
            copy[at] ^= 0x55;
            seal(copy, size, codecs[c]);
            (void)!fr_batch_check_records(copy, size, NULL);
        }
        free(copy);
        free(batch);
    }
}

static void a_bomb_is_stopped_at_the_limit(void **state)
{
    (void)state;
    size_t plain = (size_t)FR_BATCH_BYTES_MAX + (1 << 20), room = plain / 500 + (1 << 16);
    uint8_t *zeros = calloc(1, plain), *batch = calloc(1, room), header[FR_BATCH_HEADER];
    size_t size;
    uint8_t *small = make(FR_CODEC_ZSTD, &size);
    memcpy(header, small, sizeof header);
    memcpy(batch, header, sizeof header);
    size = sizeof header + pack(FR_CODEC_ZSTD, zeros, plain, batch + sizeof header, room - sizeof header);
    seal(batch, size, FR_CODEC_ZSTD);
    uint64_t before = fr_mem_used(FR_MEM_LOG);
    assert_int_equal(fr_batch_check_records(batch, size, NULL), FR_ERR_TOO_LARGE);
    assert_int_equal(fr_mem_used(FR_MEM_LOG), before);
    static const uint8_t boast[] = {0xff, 0xff, 0xff, 0xff, 0x0f, 0}; /* snappy: 4 GiB in one byte */
    memcpy(batch + sizeof header, boast, sizeof boast);
    seal(batch, sizeof header + sizeof boast, FR_CODEC_SNAPPY);
    assert_int_equal(fr_batch_check_records(batch, sizeof header + sizeof boast, NULL), FR_ERR_TOO_LARGE);
    free(small);
    free(batch);
    free(zeros);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_codec_gives_its_records),
        cmocka_unit_test(cut_and_damaged_batches_are_corrupt),
        cmocka_unit_test(a_bomb_is_stopped_at_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
