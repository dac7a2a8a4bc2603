/* fuzz_segment.c: a segment file, opened, read, walked by time, verified, cut and appended to. Checksums are put right first, so that what
 * lies behind them is reached. Any error will do; what opens must be consistent. */
#include "log/log.h"
#include "simd/simd.h"
#include "tests/sim/io_sim.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SEGMENT "db/log/00000000000000000000.log"

static void put_right(uint8_t *data, size_t size)
{
    if (size < 4096) return;
    fr_store_le32(data + 508, fr_simd_crc32c(0, data, 508));
    for (size_t slot = 512; slot <= 1024; slot += 512) fr_store_le32(data + slot + 36, fr_simd_crc32c(0, data + slot, 36));
    for (size_t at = 4096; at + 61 <= size;) {
        uint64_t whole = 12 + (uint64_t)fr_load_be32(data + at + 8);
        if (whole < 61 || whole > size - at) break;
        fr_store_be32(data + at + 17, fr_simd_crc32c(0, data + at + 21, (size_t)whole - 21));
        at += (size_t)whole;
    }
}

static void put_file(fr_io *io, const char *path, const uint8_t *data, size_t size)
{
    fr_file *file;
    if (io->open(io, path, FR_OPEN_READ | FR_OPEN_WRITE | FR_OPEN_CREATE, &file, NULL) != FR_OK) return;
    FR_ASSERT(io->write(io, file, 0, data, size, NULL) == FR_OK);
    io->close(io, file);
}

static void read_all(fr_log *log)
{
    fr_batch_reader *reader = NULL;
    for (fr_offset at = fr_log_start(log); at < fr_log_end(log);) {
        fr_view view;
        if (fr_log_read(log, at, -1, 1u << 16, &view, NULL) != FR_OK || view.size == 0) break;
        FR_ASSERT(view.next > at);
        for (size_t position = 0, one = 0; position < view.size; position += one) {
            fr_batch_header header;
            fr_log_record record;
            FR_ASSERT(fr_batch_check(view.data + position, view.size - position, &header, &one, NULL) == FR_OK);
            if (header.recordCount == 0 || fr_batch_reader_open(view.data + position, one, &reader, NULL) != FR_OK) continue;
            uint64_t sum = 0;
            while (fr_batch_reader_next(reader, &record)) sum += fr_hash(record.value.data, record.value.size, 0) + record.key.size;
            FR_ASSERT(sum != 1);
        }
        at = view.next;
        fr_view_release(&view);
    }
    fr_batch_reader_close(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1u << 18) return 0;
    fr_note_level((fr_level)-1);
    io_sim *sim = io_sim_create(1);
    fr_io *io = io_sim_io(sim);
    fr_log *log = NULL;
    fr_offset found;
    fr_log_options options = {.segment_bytes = 1 << 20, .segment_ms = -1, .retention_ms = -1, .index_interval_bytes = 256, .first_allocation = 8192};
    uint8_t *copy = fr_alloc(FR_MEM_TEST, FR_MAX(size, (size_t)1));
    if (size != 0) memcpy(copy, data, size);
    put_right(copy, size);
    FR_ASSERT(io->make_dir(io, "db", NULL) == FR_OK && io->make_dir(io, "db/log", NULL) == FR_OK);
    put_file(io, SEGMENT, copy, size);
    (void)!fr_log_verify(io, "db/log", NULL, NULL, NULL);
    if (fr_log_open(io, "db/log", &options, &log, NULL) == FR_OK) {
        FR_ASSERT(fr_log_start(log) <= fr_log_durable(log) && fr_log_durable(log) <= fr_log_end(log));
        read_all(log);
        (void)!fr_log_seek(log, 1700000000000, &found, NULL);
        if (fr_log_end(log) > fr_log_start(log)) (void)!fr_log_cut(log, fr_log_end(log) - 1, NULL);
        read_all(log);
        fr_log_close(log);
    }
    fr_free(FR_MEM_TEST, copy);
    io_sim_free(sim);
    return 0;
}
