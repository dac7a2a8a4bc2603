/* Compaction: latest record per key, tombstones and their horizon, offsets that never move, merging, cuts of power
 * within. */
#include "tests/unit/log/log_model.h"
#include "log/log_private.h"

#include <stdio.h>

static const fr_log_options small = {.segment_bytes = 16 << 10,
                                     .segment_ms = -1,
                                     .index_interval_bytes = 512,
                                     .compact = true,
                                     .delete_retention_ms = 1000};

/* keep(): the model knows the latest offset of each key. */
typedef struct latest {
    fr_offset of[64];
    uint32_t asked;
} latest;

static latest find_latest(const model *m, fr_offset until)
{
    latest l = {0};
    for (int i = 0; i < 64; i++) l.of[i] = -1;
    for (fr_offset i = 0; i < until; i++) l.of[m->records[i].key] = i;
    return l;
}

static bool keep_latest(void *user, fr_span key, fr_offset offset, bool tombstone)
{
    latest *l = user;
    (void)tombstone;
    char text[16];
    snprintf(text, sizeof text, "%.*s", (int)key.size, (const char *)key.data);
    l->asked++;
    return l->of[strtol(text + 4, NULL, 10)] == offset;
}

static void fill(model *m, fr_log *log, int rounds)
{
    fr_err err = {0};
    for (int i = 0; i < rounds; i++) {
        assert_int_equal(model_append(m, log, 1 + (uint32_t)model_draw(m) % 6, 40, 200, &err), FR_OK);
        assert_int_equal(model_sync(m, log, &err), FR_OK);
    }
}

static bool *read_seen(const model *m, const fr_log *log)
{
    bool *seen = fr_zalloc(FR_MEM_TEST, MODEL_MAX);
    fr_offset next;
    fr_err err = {0};
    assert_int_equal(model_read(m, log, fr_log_start(log), 3000, seen, &next, &err), FR_OK);
    assert_int_equal(next, fr_log_durable(log));
    return seen;
}

/* Below `cleaned`: latest values all there, nothing superseded; tombstones as told. Above: everything. */
static void check_compacted(const model *m, const fr_log *log, fr_offset cleaned, bool tombstones)
{
    latest l = find_latest(m, m->count);
    bool *seen = read_seen(m, log);
    for (fr_offset i = 0; i < fr_log_end(log); i++) {
        bool expected = i >= cleaned || (l.of[m->records[i].key] == i && (tombstones || !m->records[i].tombstone));
        if (seen[i] != expected) fail_msg("offset %" PRId64 ": %s", i, expected ? "is missing" : "should be gone");
    }
    fr_free(FR_MEM_TEST, seen);
}

static fr_offset active_base(const fr_log *log) { return log->active->base; }

static void latest_per_key(void **state)
{
    (void)state;
    io_sim *sim = sim_with_dir(1);
    model *m = model_new(1);
    fr_log *log = must_open(sim, &small);
    fr_err err = {0};
    fill(m, log, 500);
    assert_int_equal(fr_log_roll(log, &err), FR_OK);
    assert_int_equal(fr_log_roll(log, &err), FR_OK); /* an empty segment is not rolled again */
    fr_offset cleaned = fr_log_end(log);
    latest l = find_latest(m, m->count);
    fr_log_compacted done;
    uint64_t before = fr_log_bytes(log);
    assert_int_equal(fr_log_compact(log, NULL, INT64_MAX, 10000, keep_latest, &l, &done, &err), FR_OK);
    assert_int_equal(done.records_before, cleaned);
    assert_int_equal(l.asked, cleaned);
    assert_true(done.records_after <= 40 && done.records_after > 20);
    assert_true(done.bytes_after < done.bytes_before / 2);
    assert_int_equal(before - fr_log_bytes(log), done.bytes_before - done.bytes_after);
    check_compacted(m, log, cleaned, true); /* tombstones wait for their horizon */
    assert_int_equal(fr_log_start(log), 0);
    assert_int_equal(fr_log_end(log), cleaned);
    /* every offset, also one in a gap, can be read from and leads on */
    for (fr_offset from = 0; from < cleaned; from++) {
        fr_view view;
        assert_int_equal(fr_log_read(log, from, -1, 1, &view, &err), FR_OK);
        assert_true(view.first <= from && from < view.next);
        fr_view_release(&view);
    }
    fr_log_close(log);
    log = must_open(sim, &small);
    check_compacted(m, log, cleaned, true);
    /* again before the horizon: nothing changes; after it: the tombstones go */
    fill(m, log, 3);
    l = find_latest(m, m->count);
    assert_int_equal(fr_log_compact(log, NULL, INT64_MAX, 10999, keep_latest, &l, &done, &err), FR_OK);
    check_compacted(m, log, active_base(log), true);
    assert_int_equal(fr_log_compact(log, NULL, INT64_MAX, 11000, keep_latest, &l, &done, &err), FR_OK);
    check_compacted(m, log, active_base(log), false);
    assert_int_equal(fr_log_verify(io_sim_io(sim), LOG_DIR, NULL, NULL, &err), FR_OK);
    fr_log_close(log);
    log = must_open(sim, &small);
    check_compacted(m, log, active_base(log), false);
    fr_log_close(log);
    model_free(m);
    io_sim_free(sim);
}

static void never_past_clean_until(void **state)
{
    (void)state;
    io_sim *sim = sim_with_dir(2);
    model *m = model_new(2);
    fr_log *log = must_open(sim, &small);
    fr_err err = {0};
    fill(m, log, 500);
    latest l = find_latest(m, m->count);
    fr_offset until = m->count / 2, cleaned = 0;
    for (uint32_t i = 0; i < log->list->count; i++)
        if (log->list->items[i]->end <= until) cleaned = log->list->items[i]->end;
    assert_true(cleaned > 0);
    assert_int_equal(fr_log_compact(log, NULL, until, 0, keep_latest, &l, NULL, &err), FR_OK);
    check_compacted(m, log, cleaned, true);
    fr_log_close(log);
    model_free(m);
    io_sim_free(sim);
}

static uint32_t count_logs(io_sim *sim);
static void count_file(void *user, const char *path, uint64_t size)
{
    (void)size;
    size_t length = strlen(path);
    if (length > 4 && strcmp(path + length - 4, ".log") == 0) ++*(uint32_t *)user;
}
static uint32_t count_logs(io_sim *sim)
{
    uint32_t count = 0;
    io_sim_list(sim, LOG_DIR, count_file, &count);
    return count;
}

static void small_segments_are_merged(void **state)
{
    (void)state;
    io_sim *sim = sim_with_dir(3);
    model *m = model_new(3);
    fr_log *log = must_open(sim, &small);
    fr_err err = {0};
    fill(m, log, 800);
    assert_int_equal(fr_log_roll(log, &err), FR_OK);
    assert_true(count_logs(sim) > 8);
    latest l = find_latest(m, m->count);
    for (int i = 0; i < 3; i++) assert_int_equal(fr_log_compact(log, NULL, INT64_MAX, 0, keep_latest, &l, NULL, &err), FR_OK);
    assert_true(count_logs(sim) <= 3);
    check_compacted(m, log, m->count, true);
    /* seek finds what is left */
    for (fr_offset i = 0; i < m->count; i += 17) {
        fr_offset at, expected = 0;
        bool *seen = read_seen(m, log);
        while (expected < m->count &&
               (!seen[expected] || m->records[expected].timestamp_ms < m->records[i].timestamp_ms))
            expected++;
        fr_free(FR_MEM_TEST, seen);
        assert_int_equal(fr_log_seek(log, m->records[i].timestamp_ms, &at, &err), FR_OK);
        assert_int_equal(at, expected);
    }
    fr_offset cleaned = fr_log_end(log);
    fill(m, log, 20); /* and appends go on */
    l = find_latest(m, m->count);
    bool *seen = read_seen(m, log);
    for (int k = 0; k < 40; k++) assert_true(l.of[k] < 0 || seen[l.of[k]]);
    for (fr_offset i = cleaned; i < m->count; i++) assert_true(seen[i]);
    fr_free(FR_MEM_TEST, seen);
    fr_log_close(log);
    model_free(m);
    io_sim_free(sim);
}

static void keyless_records_and_headers_stay(void **state)
{
    (void)state;
    io_sim *sim = sim_with_dir(4);
    fr_log *log = must_open(sim, &small);
    fr_err err = {0};
    fr_batch_writer w = {0};
    fr_log_header headers[2] = {{fr_span_text("h1"), fr_span_text("x")}, {fr_span_text("h2"), {NULL, 0}}};
    fr_batch_writer_begin(&w, FR_CODEC_NONE);
    fr_batch_writer_add(&w, 10, fr_span_text("key-1"), fr_span_text("old"), headers, 2);
    fr_batch_writer_add(&w, 20, (fr_span){0}, fr_span_text("no key"), NULL, 0);
    fr_batch_writer_add(&w, 5, fr_span_text("key-2"), (fr_span){0}, headers, 1);
    fr_batch_writer_add(&w, 30, fr_span_text("key-1"), fr_span_text("new"), headers, 2);
    uint8_t *batch;
    size_t size;
    fr_offset base, end;
    assert_int_equal(fr_batch_writer_end(&w, &batch, &size), FR_OK);
    assert_int_equal(fr_log_append(log, batch, size, &base, &err), FR_OK);
    assert_int_equal(fr_log_sync_begin(log, &end, &err), FR_OK);
    assert_int_equal(fr_log_sync(log, end, &err), FR_OK);
    assert_int_equal(fr_log_roll(log, &err), FR_OK);
    latest l = {.of = {[1] = 3, [2] = 2}};
    assert_int_equal(fr_log_compact(log, NULL, INT64_MAX, 5000, keep_latest, &l, NULL, &err), FR_OK);
    fr_view view;
    assert_int_equal(fr_log_read(log, 0, -1, 1000, &view, &err), FR_OK);
    fr_batch_header h;
    assert_int_equal(fr_batch_check(view.data, view.size, &h, &size, &err), FR_OK);
    assert_int_equal(h.recordCount, 3);
    assert_int_equal(h.lastOffsetDelta, 3);
    assert_int_equal(h.attributes & 0x40, 0x40); /* delete horizon */
    assert_int_equal(h.baseTimestamp, 6000);
    assert_int_equal(h.maxTimestamp, 30);
    fr_batch_reader *r = NULL;
    fr_log_record rec;
    assert_int_equal(fr_batch_reader_open(view.data, view.size, &r, &err), FR_OK);
    assert_true(fr_batch_reader_next(r, &rec));
    assert_int_equal(rec.offset, 1);
    assert_null(rec.key.data);
    assert_int_equal(rec.timestamp_ms, 20);
    assert_true(fr_batch_reader_next(r, &rec));
    assert_int_equal(rec.offset, 2);
    assert_null(rec.value.data);
    assert_int_equal(rec.timestamp_ms, 5);
    assert_int_equal(rec.header_count, 1);
    assert_true(fr_batch_reader_next(r, &rec));
    assert_int_equal(rec.offset, 3);
    assert_true(fr_span_equal(rec.value, fr_span_text("new")));
    assert_int_equal(rec.header_count, 2);
    assert_null(rec.headers[1].value.data);
    assert_false(fr_batch_reader_next(r, &rec));
    fr_batch_reader_close(r);
    fr_view_release(&view);
    fr_batch_writer_free(&w);
    fr_log_close(log);
    io_sim_free(sim);
}

/* A reader that was in the middle goes on: offsets do not move. */
static void a_reader_goes_on_across_the_switch(void **state)
{
    (void)state;
    io_sim *sim = sim_with_dir(5);
    model *m = model_new(5);
    fr_log *log = must_open(sim, &small);
    fr_err err = {0};
    fill(m, log, 500);
    assert_int_equal(fr_log_roll(log, &err), FR_OK);
    fr_segment_list *old = fr_log_list_ref(log); /* as a reader on another thread holds it */
    latest l = find_latest(m, m->count);
    assert_int_equal(fr_log_compact(log, NULL, INT64_MAX, 0, keep_latest, &l, NULL, &err), FR_OK);
    for (uint32_t i = 0; i + 1 < old->count; i++) {
        fr_file *file;
        fr_code code = fr_log_segment_acquire(log, old->items[i], &file, &err);
        if (code == FR_OK) fr_log_segment_release(log, old->items[i]);
        else assert_int_equal(code, FR_ERR_NOT_FOUND); /* the sign to take the new list */
    }
    fr_log_list_unref(old);
    check_compacted(m, log, m->count, true);
    fr_log_close(log);
    model_free(m);
    io_sim_free(sim);
}

/* Power is cut at every operation of a compaction; after each the log holds either the old or the new segments. */
static void power_cut_at_every_operation(void **state)
{
    (void)state;
    fr_note_level((fr_level)-1); /* a note per cut */
    io_sim *sim = sim_with_dir(6);
    model *m = model_new(6);
    fr_log *log = must_open(sim, &small);
    fr_err err = {0};
    fill(m, log, 60);
    for (int i = 0; i < 12; i++) { /* small ones, so that several become one: files go, and the order of names matters */
        assert_int_equal(fr_log_roll(log, &err), FR_OK);
        fill(m, log, 5);
    }
    assert_int_equal(fr_log_roll(log, &err), FR_OK);
    fr_log_close(log);
    io_sim_power_cut(sim, 0);
    io_sim_restart(sim);
    log = must_open(sim, &small);
    assert_int_equal(fr_log_end(log), m->count);
    fr_log_close(log);
    bool finished = false;
    for (uint64_t n = 1; !finished; n++) {
        for (uint64_t seed = 0; seed < 12; seed++) { /* an order that is not kept shows in few of them */
            io_sim *copy = io_sim_clone(sim);
            log = must_open(copy, &small);
            latest l = find_latest(m, m->count);
            io_sim_cut_at(copy, n, seed);
            fr_code code = fr_log_compact(log, NULL, INT64_MAX, 0, keep_latest, &l, NULL, &err);
            finished = code == FR_OK && !io_sim_is_down(copy);
            if (!io_sim_is_down(copy)) io_sim_power_cut(copy, seed);
            fr_log_close(log);
            io_sim_restart(copy);
            io_sim_cut_at(copy, 1 + (n + seed) % 11, seed); /* recovery may be cut as well */
            if (fr_log_open(io_sim_io(copy), LOG_DIR, &small, &log, &err) == FR_OK) fr_log_close(log);
            if (!io_sim_is_down(copy)) io_sim_power_cut(copy, seed + 1);
            io_sim_restart(copy);
            log = must_open(copy, &small);
            assert_int_equal(fr_log_end(log), m->count);
            bool *seen = read_seen(m, log);
            for (int k = 0; k < 40; k++)
                if (l.of[k] >= 0 && !seen[l.of[k]])
                    fail_msg("operation %" PRIu64 " seed %" PRIu64 ": the latest of key %d is lost", n, seed, k);
            fr_free(FR_MEM_TEST, seen);
            assert_int_equal(fr_log_compact(log, NULL, INT64_MAX, 0, keep_latest, &l, NULL, &err), FR_OK);
            check_compacted(m, log, m->count, true);
            fr_log_close(log);
            io_sim_free(copy);
        }
    }
    model_free(m);
    io_sim_free(sim);
}

int main(void)
{
    fr_note_level(FR_NOTE_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(latest_per_key),
        cmocka_unit_test(never_past_clean_until),
        cmocka_unit_test(small_segments_are_merged),
        cmocka_unit_test(keyless_records_and_headers_stay),
        cmocka_unit_test(a_reader_goes_on_across_the_switch),
        cmocka_unit_test(power_cut_at_every_operation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
