/* Guards whose absence nothing else would show: the slots' and the header's checksums, and the tail that a failed append leaves. */
#include "tests/unit/log/log_model.h"

#include <stdio.h>

#define PATH_BYTES 256u

static const fr_log_options small = {
    .segment_bytes = 9000, .segment_ms = -1, .retention_ms = -1, .index_interval_bytes = 512, .first_allocation = 8192};

static void path_of_first(void *user, const char *path, uint64_t size)
{
    (void)size;
    if (((char *)user)[0] == 0 && strstr(path, ".log")) snprintf(user, PATH_BYTES, "%s", path);
}

static io_sim *written(model *m, char path[PATH_BYTES])
{
    io_sim *sim = sim_with_dir(31);
    fr_err err = {0};
    fr_log *log = must_open(sim, &small);
    for (int i = 0; i < 12; i++) {
        assert_int_equal(model_append(m, log, 2, 9, 60, &err), FR_OK);
        assert_int_equal(model_sync(m, log, &err), FR_OK);
    }
    fr_log_close(log);
    path[0] = 0;
    io_sim_list(sim, LOG_DIR, path_of_first, path);
    return sim;
}

/* One damaged slot of two costs nothing, whichever bit it is: the other one tells, and what lies above its mark is whole. */
static void any_bit_of_one_slot(void **state)
{
    (void)state;
    model *m = model_new(32);
    char path[PATH_BYTES];
    io_sim *sim = written(m, path);
    for (uint64_t byte = 512; byte < 1024 + 40; byte++) {
        if (byte == 512 + 40) byte = 1024;
        for (unsigned bit = 0; bit < 8; bit++) {
            io_sim *bad = io_sim_clone(sim);
            assert_true(io_sim_flip(bad, path, byte, bit));
            fr_log *log = must_open(bad, &small);
            assert_int_equal(fr_log_end(log), m->count);
            model_check_all(m, log, 1000);
            fr_log_close(log);
            io_sim_free(bad);
        }
    }
    model_free(m);
    io_sim_free(sim);
}

static void any_bit_of_the_header(void **state)
{
    (void)state;
    model *m = model_new(33);
    char path[PATH_BYTES];
    io_sim *sim = written(m, path);
    for (uint64_t byte = 0; byte < 512; byte++) {
        io_sim *bad = io_sim_clone(sim);
        assert_true(io_sim_flip(bad, path, byte, (unsigned)byte % 8));
        fr_err err = {0};
        fr_log *log = NULL;
        assert_int_equal(fr_log_open(io_sim_io(bad), LOG_DIR, &small, &log, &err), FR_ERR_CORRUPT);
        io_sim_free(bad);
    }
    model_free(m);
    io_sim_free(sim);
}

/* The front of a large batch reaches the file, then the disk is full. In that front, just where the next and shorter batch will
 * end, stands a client's value that looks like a whole batch with the right offset. It must never be taken for one. */
static void a_failed_append_leaves_nothing(void **state)
{
    (void)state;
    io_sim *sim = sim_with_dir(34);
    fr_log *log = must_open(sim, &small);
    fr_batch_writer w = {0};
    fr_err err = {0};
    uint8_t shorter[512], forged[512], *data;
    size_t shorter_size, forged_size, large_size, at = 0;
    fr_offset base, end;
    fr_batch_writer_begin(&w, FR_CODEC_NONE);
    fr_batch_writer_add(&w, 5, fr_span_text("a key that is long enough"), fr_span_text("a value that is long enough to leave room before"), NULL, 0);
    assert_int_equal(fr_batch_writer_end(&w, &data, &shorter_size), FR_OK);
    memcpy(shorter, data, shorter_size);
    fr_batch_writer_begin(&w, FR_CODEC_NONE);
    fr_batch_writer_add(&w, 6, fr_span_text("forged"), fr_span_text("forged"), NULL, 0);
    assert_int_equal(fr_batch_writer_end(&w, &data, &forged_size), FR_OK);
    memcpy(forged, data, forged_size);
    fr_store_be64(forged, 1); /* the offset behind the shorter batch */
    fr_store_be32(forged + 12, 0);
    uint8_t *value = fr_zalloc(FR_MEM_TEST, 4000);
    for (size_t pad = 0; pad < 200 && at != shorter_size; pad++) {
        memset(value, 7, 4000);
        memcpy(value + pad, forged, forged_size);
        fr_batch_writer_begin(&w, FR_CODEC_NONE);
        fr_batch_writer_add(&w, 7, fr_span_text("k"), fr_span_of(value, 4000), NULL, 0);
        assert_int_equal(fr_batch_writer_end(&w, &data, &large_size), FR_OK);
        at = (size_t)((uint8_t *)memmem(data, large_size, forged, forged_size) - data);
    }
    assert_int_equal(at, shorter_size);
    io_sim_fail_at(sim, 2, 1, FR_ERR_DISK_FULL); /* allocate passes, write does not */
    assert_int_equal(fr_log_append(log, data, large_size, &base, &err), FR_ERR_DISK_FULL);
    io_sim_fail_at(sim, 0, 0, FR_OK);
    assert_int_equal(fr_log_append(log, shorter, shorter_size, &base, &err), FR_OK);
    assert_int_equal(fr_log_sync_begin(log, &end, &err), FR_OK);
    assert_int_equal(fr_log_sync(log, end, &err), FR_OK);
    fr_log_close(log);
    log = must_open(sim, &small);
    assert_int_equal(fr_log_end(log), 1);
    fr_log_close(log);
    fr_free(FR_MEM_TEST, value);
    fr_batch_writer_free(&w);
    io_sim_free(sim);
}

/* A roll met a full disk after its seal, and the disk is still full at the next start: the log opens, reads, and takes appends again
 * when there is space. */
static void opens_on_a_full_disk(void **state)
{
    (void)state;
    io_sim *sim = sim_with_dir(35);
    model *m = model_new(35);
    fr_log *log = must_open(sim, &small);
    fr_err err = {0};
    for (int i = 0; i < 6; i++) {
        assert_int_equal(model_append(m, log, 2, 9, 60, &err), FR_OK);
        assert_int_equal(model_sync(m, log, &err), FR_OK);
    }
    io_sim_set_capacity(sim, 1);
    assert_int_equal(fr_log_roll(log, &err), FR_ERR_DISK_FULL);
    fr_log_close(log);
    for (int start = 0; start < 2; start++) {
        log = must_open(sim, &small);
        assert_int_equal(fr_log_end(log), m->count);
        model_check_all(m, log, 1000);
        assert_int_equal(model_append(m, log, 1, 9, 60, &err), FR_ERR_DISK_FULL);
        model_check_all(m, log, 1000);
        if (start == 1) io_sim_set_capacity(sim, 0);
        if (start == 1) assert_int_equal(model_append(m, log, 1, 9, 60, &err), FR_OK);
        if (start == 1) assert_int_equal(model_sync(m, log, &err), FR_OK);
        fr_log_close(log);
    }
    log = must_open(sim, &small);
    model_check_all(m, log, 1000);
    assert_int_equal(fr_log_end(log), 13);
    fr_log_close(log);
    model_free(m);
    io_sim_free(sim);
}

int main(void)
{
    fr_note_level((fr_level)-1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_bit_of_one_slot),
        cmocka_unit_test(any_bit_of_the_header),
        cmocka_unit_test(a_failed_append_leaves_nothing),
        cmocka_unit_test(opens_on_a_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
