/* Record batches: round trips, bytes made by hand, every bit flipped, every length cut. */
#include "log/log.h"
#include "simd/simd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <lz4frame.h>
#include <cmocka.h>

static fr_span text(const char *s) { return fr_span_text(s); }

static void build(fr_batch_writer *w, fr_codec codec, uint8_t **batch, size_t *size)
{
    static char long_value[3000];
    memset(long_value, 'v', sizeof long_value);
    fr_log_header headers[2] = {{text("trace"), text("abc")}, {text("none"), {NULL, 0}}};
    fr_batch_writer_begin(w, codec);
    fr_batch_writer_add(w, 1700000000000, text("a"), text("one"), headers, 2);
    fr_batch_writer_add(w, 1699999999000, text("b"), (fr_span){0}, NULL,
                        0); /* earlier than the first: a negative delta */
    fr_batch_writer_add(w, 1700000005000, (fr_span){0}, text("no key"), NULL, 0);
    fr_batch_writer_add(w, 1700000001000, fr_span_of("", 0), fr_span_of("", 0), NULL, 0); /* empty is not null */
    fr_batch_writer_add(w, 0, text("long"), fr_span_of(long_value, sizeof long_value), headers, 1);
    assert_int_equal(fr_batch_writer_end(w, batch, size), FR_OK);
}

static void check_built(const uint8_t *batch, size_t size)
{
    fr_batch_header h;
    size_t whole;
    assert_int_equal(fr_batch_check(batch, size, &h, &whole, NULL), FR_OK);
    assert_int_equal(whole, size);
    assert_int_equal(h.recordCount, 5);
    assert_int_equal(h.lastOffsetDelta, 4);
    assert_int_equal(h.baseTimestamp, 1700000000000);
    assert_int_equal(h.maxTimestamp, 1700000005000);
    assert_int_equal(fr_batch_check_records(batch, size, NULL), FR_OK);
    fr_batch_reader *r = NULL;
    assert_int_equal(fr_batch_reader_open(batch, size, &r, NULL), FR_OK);
    fr_log_record rec;
    assert_true(fr_batch_reader_next(r, &rec));
    assert_int_equal(rec.offset, 0);
    assert_true(fr_span_equal(rec.key, text("a")) && fr_span_equal(rec.value, text("one")));
    assert_int_equal(rec.header_count, 2);
    assert_true(fr_span_equal(rec.headers[0].key, text("trace")) && fr_span_equal(rec.headers[0].value, text("abc")));
    assert_null(rec.headers[1].value.data);
    assert_true(fr_batch_reader_next(r, &rec));
    assert_int_equal(rec.timestamp_ms, 1699999999000);
    assert_null(rec.value.data);
    assert_true(fr_batch_reader_next(r, &rec));
    assert_null(rec.key.data);
    assert_true(fr_batch_reader_next(r, &rec));
    assert_non_null(rec.key.data);
    assert_non_null(rec.value.data);
    assert_int_equal(rec.key.size + rec.value.size, 0);
    assert_true(fr_batch_reader_next(r, &rec));
    assert_int_equal(rec.timestamp_ms, 0);
    assert_int_equal(rec.value.size, 3000);
    assert_false(fr_batch_reader_next(r, &rec));
    assert_int_equal(fr_batch_reader_code(r), FR_OK);
    fr_batch_reader_close(r);
}

static void round_trip(void **state)
{
    (void)state;
    fr_batch_writer w = {0};
    uint8_t *batch;
    size_t plain, packed;
    build(&w, FR_CODEC_NONE, &batch, &plain);
    check_built(batch, plain);
    assert_int_equal(batch[22] & 7, FR_CODEC_NONE);
    build(&w, FR_CODEC_LZ4, &batch, &packed);
    check_built(batch, packed);
    assert_int_equal(batch[22] & 7, FR_CODEC_LZ4);
    assert_true(packed < plain / 4);
    fr_batch_writer_free(&w);
}

static void lz4_only_when_it_helps(void **state)
{
    (void)state;
    fr_batch_writer w = {0};
    uint8_t noise[500], *batch;
    size_t size;
    for (size_t i = 0; i < sizeof noise; i++) noise[i] = (uint8_t)fr_mix64(i);
    fr_batch_writer_begin(&w, FR_CODEC_LZ4);
    fr_batch_writer_add(&w, 5, text("k"), fr_span_of(noise, sizeof noise), NULL, 0);
    assert_int_equal(fr_batch_writer_end(&w, &batch, &size), FR_OK);
    assert_int_equal(batch[22] & 7, FR_CODEC_NONE);
    fr_batch_writer_free(&w);
}

/* Written by hand from the protocol's description; the checksum by a bitwise CRC-32C. */
static const uint8_t golden[] = {
    0,   0,   0,   0,   0,   0,   0,    0,    /* baseOffset 0 */
    0,   0,   0,   68,                        /* batchLength: 49 + 9 + 10 */
    0,   0,   0,   0,                         /* partitionLeaderEpoch */
    2,                                        /* magic */
    0,   0,   0,   0,                         /* crc: filled in below */
    0,   0,                                   /* attributes */
    0,   0,   0,   1,                         /* lastOffsetDelta */
    0,   0,   0,   0,   0,   0,   0x03, 0xe8, /* baseTimestamp 1000 */
    0,   0,   0,   0,   0,   0,   0x03, 0xe9, /* maxTimestamp 1001 */
    255, 255, 255, 255, 255, 255, 255,  255,  /* producerId -1 */
    255, 255,                                 /* producerEpoch -1 */
    255, 255, 255, 255,                       /* baseSequence -1 */
    0,   0,   0,   2,                         /* recordCount */
    16,  0,   0,   0,   2,   'k', 2,    'v',
    0, /* length 8, attributes, +0 ms, offset 0, key "k", value "v", no headers */
    18,  0,   2,   2,   1,   1,   2,    2,
    'h', 1, /* length 9, attributes, +1 ms, offset 1, null key, null value, header h: null */
};

static uint32_t crc_bitwise(const uint8_t *data, size_t size)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
    }
    return ~crc;
}

static void golden_bytes(void **state)
{
    (void)state;
    uint8_t expected[sizeof golden];
    memcpy(expected, golden, sizeof golden);
    fr_store_be32(expected + 17, crc_bitwise(expected + 21, sizeof golden - 21));
    fr_batch_writer w = {0};
    fr_log_header header = {text("h"), {NULL, 0}};
    fr_batch_writer_begin(&w, FR_CODEC_NONE);
    fr_batch_writer_add(&w, 1000, text("k"), text("v"), NULL, 0);
    fr_batch_writer_add(&w, 1001, (fr_span){0}, (fr_span){0}, &header, 1);
    uint8_t *batch;
    size_t size;
    assert_int_equal(fr_batch_writer_end(&w, &batch, &size), FR_OK);
    assert_int_equal(size, sizeof expected);
    assert_memory_equal(batch, expected, size);
    assert_int_equal(fr_batch_check_records(expected, sizeof expected, NULL), FR_OK);
    fr_batch_writer_free(&w);
}

/* Built by kafka-python 3.0.12: keys k0..k2, timestamps falling by 1 ms, k1 a tombstone, a header on k2. */
static const uint8_t kafka_python_plain[] = {
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xb0, 0x00, 0x00, 0x00, 0x00, 0x02, 0xc5, 0xe9,
    0x46, 0xd8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x00, 0x00, 0x00, 0x01,
    0x8b, 0xcf, 0xe5, 0x68, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0x00, 0x00, 0x00, 0x03, 0x70, 0x00, 0x00, 0x00, 0x04, 0x6b, 0x30, 0x60, 0x76, 0x61, 0x6c, 0x75, 0x65, 0x20, 0x76,
    0x61, 0x6c, 0x75, 0x65, 0x20, 0x76, 0x61, 0x6c, 0x75, 0x65, 0x20, 0x76, 0x61, 0x6c, 0x75, 0x65, 0x20, 0x76, 0x61,
    0x6c, 0x75, 0x65, 0x20, 0x76, 0x61, 0x6c, 0x75, 0x65, 0x20, 0x76, 0x61, 0x6c, 0x75, 0x65, 0x20, 0x76, 0x61, 0x6c,
    0x75, 0x65, 0x20, 0x00, 0x10, 0x00, 0x01, 0x02, 0x04, 0x6b, 0x31, 0x01, 0x00, 0x78, 0x00, 0x03, 0x04, 0x04, 0x6b,
    0x32, 0x60, 0x76, 0x61, 0x6c, 0x75, 0x65, 0x20, 0x76, 0x61, 0x6c, 0x75, 0x65, 0x20, 0x76, 0x61, 0x6c, 0x75, 0x65,
    0x20, 0x76, 0x61, 0x6c, 0x75, 0x65, 0x20, 0x76, 0x61, 0x6c, 0x75, 0x65, 0x20, 0x76, 0x61, 0x6c, 0x75, 0x65, 0x20,
    0x76, 0x61, 0x6c, 0x75, 0x65, 0x20, 0x76, 0x61, 0x6c, 0x75, 0x65, 0x20, 0x02, 0x02, 0x61, 0x02, 0x62,
};
static const uint8_t kafka_python_lz4[] = {
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x76, 0x00, 0x00, 0x00, 0x00, 0x02, 0x0a, 0xd6,
    0x8d, 0x1d, 0x00, 0x03, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x00, 0x00, 0x00, 0x01,
    0x8b, 0xcf, 0xe5, 0x68, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0x00, 0x00, 0x00, 0x03, 0x04, 0x22, 0x4d, 0x18, 0x68, 0x40, 0x7f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x40,
    0x2e, 0x00, 0x00, 0x00, 0xef, 0x70, 0x00, 0x00, 0x00, 0x04, 0x6b, 0x30, 0x60, 0x76, 0x61, 0x6c, 0x75, 0x65, 0x20,
    0x06, 0x00, 0x17, 0xff, 0x02, 0x00, 0x10, 0x00, 0x01, 0x02, 0x04, 0x6b, 0x31, 0x01, 0x00, 0x78, 0x00, 0x03, 0x04,
    0x04, 0x6b, 0x32, 0x42, 0x00, 0x1e, 0x50, 0x02, 0x02, 0x61, 0x02, 0x62, 0x00, 0x00, 0x00, 0x00,
};

static void batches_of_another_implementation(void **state)
{
    (void)state;
    fr_span batches[2] = {fr_span_of(kafka_python_plain, sizeof kafka_python_plain),
                          fr_span_of(kafka_python_lz4, sizeof kafka_python_lz4)};
    fr_batch_reader *r = NULL;
    for (int b = 0; b < 2; b++) {
        const uint8_t *data = batches[b].data;
        assert_int_equal(fr_batch_check_records(data, batches[b].size, NULL), FR_OK);
        assert_int_equal(data[22] & 7, b ? FR_CODEC_LZ4 : FR_CODEC_NONE);
        assert_int_equal(fr_batch_reader_open(data, batches[b].size, &r, NULL), FR_OK);
        fr_log_record rec;
        for (int i = 0; i < 3; i++) {
            const char key[3] = {'k', (char)('0' + i), 0};
            assert_true(fr_batch_reader_next(r, &rec));
            assert_int_equal(rec.offset, i);
            assert_int_equal(rec.timestamp_ms, 1700000000000 - i);
            assert_true(fr_span_equal(rec.key, text(key)));
            if (i == 1) assert_null(rec.value.data);
            else assert_true(fr_span_equal(rec.value, text("value value value value value value value value ")));
            assert_int_equal(rec.header_count, i == 2);
        }
        assert_true(fr_span_equal(rec.headers[0].key, text("a")) && fr_span_equal(rec.headers[0].value, text("b")));
        assert_false(fr_batch_reader_next(r, &rec));
        assert_int_equal(fr_batch_reader_code(r), FR_OK);
    }
    fr_batch_reader_close(r);
}

static void every_bit_flip(void **state)
{
    (void)state;
    fr_batch_writer w = {0};
    uint8_t *batch;
    size_t size;
    for (int packed = 0; packed < 2; packed++) {
        build(&w, packed ? FR_CODEC_LZ4 : FR_CODEC_NONE, &batch, &size);
        uint8_t *copy = fr_alloc(FR_MEM_TEST, size);
        for (size_t bit = 0; bit < size * 8; bit++) {
            memcpy(copy, batch, size);
            copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
            fr_err err = {0};
            fr_batch_header h;
            size_t whole;
            fr_code code = fr_batch_check(copy, size, &h, &whole, &err);
            bool outside =
                bit / 8 < 8 || (bit / 8 >= 12 &&
                                bit / 8 < 16); /* base offset (bit 7: its sign) and leader epoch: the log checks them */
            if (outside && bit != 7) assert_int_equal(code, FR_OK);
            else assert_int_not_equal(code, FR_OK);
        }
        fr_free(FR_MEM_TEST, copy);
    }
    fr_batch_writer_free(&w);
}

static void truncation_at_every_byte(void **state)
{
    (void)state;
    fr_batch_writer w = {0};
    uint8_t *batch;
    size_t size;
    build(&w, FR_CODEC_LZ4, &batch, &size);
    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *copy = fr_alloc(FR_MEM_TEST, cut + 1); /* of its own, so that ASan sees a read past the cut */
        memcpy(copy, batch, cut);
        uint8_t *exact = fr_realloc(FR_MEM_TEST, copy, cut ? cut : 1);
        fr_batch_header h;
        size_t whole;
        assert_int_equal(fr_batch_check(exact, cut, &h, &whole, NULL), FR_ERR_CORRUPT);
        fr_batch_reader *r = NULL;
        assert_int_equal(fr_batch_reader_open(exact, cut, &r, NULL), FR_ERR_CORRUPT);
        fr_batch_reader_close(r);
        fr_free(FR_MEM_TEST, exact);
    }
    fr_batch_writer_free(&w);
}

/* Wrong records behind a right checksum: never a crash, and never accepted when the framing lies. */
static void lying_records(void **state)
{
    (void)state;
    uint8_t batch[sizeof golden];
    for (size_t at = 61; at < sizeof golden; at++) {
        for (int value = 0; value < 256; value++) {
            memcpy(batch, golden, sizeof golden);
            batch[at] = (uint8_t)value;
            fr_store_be32(batch + 17, fr_simd_crc32c(0, batch + 21, sizeof golden - 21));
            fr_err err = {0};
            fr_code code = fr_batch_check_records(batch, sizeof batch, &err);
            assert_true(code == FR_OK || code == FR_ERR_CORRUPT);
            if ((at == 61 || at == 70) && value != golden[at])
                assert_int_equal(code, FR_ERR_CORRUPT); /* record lengths */
        }
    }
    struct {
        size_t at;
        uint8_t value;
    } lies[] = {{60, 3}, {60, 1}, {64, 2}, {64, 4}, {73, 0}, {73, 6}, {26, 0}};
    for (size_t i = 0; i < FR_COUNT_OF(lies); i++) {
        memcpy(batch, golden, sizeof golden);
        batch[lies[i].at] = lies[i].value;
        fr_store_be32(batch + 17, fr_simd_crc32c(0, batch + 21, sizeof golden - 21));
        if (fr_batch_check_records(batch, sizeof batch, NULL) == FR_OK) fail_msg("lie %zu is believed", i);
    }
}

static size_t pack(uint8_t *batch, size_t room, const void *frame, size_t frame_size, int32_t count)
{
    assert_true(room >= 61 + frame_size);
    memcpy(batch, golden, 61);
    memcpy(batch + 61, frame, frame_size);
    fr_store_be32(batch + 8, (uint32_t)(49 + frame_size));
    batch[22] = FR_CODEC_LZ4;
    fr_store_be32(batch + 23, (uint32_t)(count - 1));
    fr_store_be32(batch + 57, (uint32_t)count);
    fr_store_be32(batch + 17, fr_simd_crc32c(0, batch + 21, 40 + frame_size));
    return 61 + frame_size;
}

static void lz4_bomb_and_cut_frames(void **state)
{
    (void)state;
    size_t big = (size_t)FR_BATCH_BYTES_MAX + (1u << 20);
    uint8_t *zeros = fr_zalloc(FR_MEM_TEST, big);
    size_t bound = LZ4F_compressFrameBound(big, NULL);
    uint8_t *frame = fr_alloc(FR_MEM_TEST, bound), *batch = fr_alloc(FR_MEM_TEST, bound + 61);
    size_t packed = LZ4F_compressFrame(frame, bound, zeros, big, NULL);
    assert_false(LZ4F_isError(packed));
    size_t size = pack(batch, bound + 61, frame, packed, 1);
    assert_int_equal(fr_batch_check_records(batch, size, NULL), FR_ERR_TOO_LARGE);
    packed = LZ4F_compressFrame(frame, bound, golden + 61, sizeof golden - 61, NULL);
    size = pack(batch, bound + 61, frame, packed, 2);
    assert_int_equal(fr_batch_check_records(batch, size, NULL), FR_OK);
    for (size_t cut = 1; cut < packed; cut++) {
        size = pack(batch, bound + 61, frame, packed - cut, 2);
        assert_int_equal(fr_batch_check_records(batch, size, NULL), FR_ERR_CORRUPT);
    }
    memcpy(frame + packed, "tail", 4);
    size = pack(batch, bound + 61, frame, packed + 4, 2);
    assert_int_equal(fr_batch_check_records(batch, size, NULL), FR_ERR_CORRUPT);
    fr_free(FR_MEM_TEST, zeros);
    fr_free(FR_MEM_TEST, frame);
    fr_free(FR_MEM_TEST, batch);
}

static void a_wrong_codec_is_corrupt_an_unknown_one_unsupported(void **state)
{
    (void)state;
    uint8_t batch[sizeof golden];
    for (int codec = 1; codec < 8; codec++) {
        if (codec == FR_CODEC_LZ4) continue;
        memcpy(batch, golden, sizeof golden);
        batch[22] = (uint8_t)codec;
        fr_store_be32(batch + 17, fr_simd_crc32c(0, batch + 21, sizeof golden - 21));
        fr_batch_header h;
        size_t whole;
        assert_int_equal(fr_batch_check(batch, sizeof batch, &h, &whole, NULL),
                         codec <= 4 ? FR_OK : FR_ERR_UNSUPPORTED);
        assert_int_equal(fr_batch_check_records(batch, sizeof batch, NULL), codec <= 4 ? FR_ERR_CORRUPT : FR_ERR_UNSUPPORTED);
    }
    fr_batch_writer w = {0};
    uint8_t *out;
    size_t size;
    fr_batch_writer_begin(&w, FR_CODEC_ZSTD);
    fr_batch_writer_add(&w, 1, text("k"), text("v"), NULL, 0);
    assert_int_equal(fr_batch_writer_end(&w, &out, &size), FR_ERR_UNSUPPORTED);
    fr_batch_writer_free(&w);
}

static void offsets_with_gaps(void **state)
{
    (void)state;
    fr_batch_writer w = {0};
    uint8_t *batch;
    size_t size;
    fr_batch_writer_begin(&w, FR_CODEC_NONE);
    fr_batch_writer_add_at(&w, 3, 10, text("k"), text("v"), NULL, 0);
    fr_batch_writer_add_at(&w, 70000, 11, text("k"), text("v"), NULL, 0);
    assert_int_equal(fr_batch_writer_end(&w, &batch, &size), FR_OK);
    fr_batch_reader *r = NULL;
    fr_log_record rec;
    assert_int_equal(fr_batch_reader_open(batch, size, &r, NULL), FR_OK);
    assert_true(fr_batch_reader_next(r, &rec));
    assert_int_equal(rec.offset, 3);
    assert_true(fr_batch_reader_next(r, &rec));
    assert_int_equal(rec.offset, 70000);
    fr_batch_reader_close(r);
    fr_batch_writer_begin(&w, FR_CODEC_NONE);
    fr_batch_writer_add_at(&w, 3, 10, text("k"), text("v"), NULL, 0);
    fr_batch_writer_add_at(&w, 3, 10, text("k"), text("v"), NULL, 0);
    assert_int_equal(fr_batch_writer_end(&w, &batch, &size), FR_ERR_INVALID);
    fr_batch_writer_begin(&w, FR_CODEC_NONE);
    assert_int_equal(fr_batch_writer_end(&w, &batch, &size), FR_ERR_INVALID); /* no records */
    fr_batch_writer_free(&w);
}

static void failing_allocations(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        uint64_t before = fr_mem_used(FR_MEM_LOG);
        fr_batch_writer w = {0};
        fr_batch_reader *r = NULL;
        uint8_t *batch;
        size_t size;
        fr_mem_fail_at(n);
        fr_batch_writer_begin(&w, FR_CODEC_LZ4);
        for (int i = 0; i < 300; i++)
            fr_batch_writer_add(&w, i, text("same key"), text("same value every time"), NULL, 0);
        fr_code code = fr_batch_writer_end(&w, &batch, &size);
        if (!code) code = fr_batch_reader_open(batch, size, &r, NULL);
        fr_mem_fail_at(0);
        fr_batch_reader_close(r);
        fr_batch_writer_free(&w);
        assert_int_equal(fr_mem_used(FR_MEM_LOG), before);
        if (code == FR_OK) {
            assert_true(n > 5);
            return;
        }
        assert_int_equal(code, FR_ERR_NO_MEMORY);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(lz4_only_when_it_helps),
        cmocka_unit_test(golden_bytes),
        cmocka_unit_test(batches_of_another_implementation),
        cmocka_unit_test(every_bit_flip),
        cmocka_unit_test(truncation_at_every_byte),
        cmocka_unit_test(lying_records),
        cmocka_unit_test(lz4_bomb_and_cut_frames),
        cmocka_unit_test(a_wrong_codec_is_corrupt_an_unknown_one_unsupported),
        cmocka_unit_test(offsets_with_gaps),
        cmocka_unit_test(failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
