/* The log over real files and over the simulated disk: append, rounds, reopen, torn tails, damage, retention, cut,
 * verify. */
#include "tests/unit/log/log_model.h"
#include "simd/simd.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static const fr_log_options small = {.segment_bytes = 16 << 10, .segment_ms = -1, .index_interval_bytes = 512};

/* ---- real files ---- */

static void posix_append_reopen_seek(void **state)
{
    (void)state;
    char dir[] = "/tmp/freshet-test-log-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char path[64];
    snprintf(path, sizeof path, "%s/p", dir);
    fr_log *log;
    fr_err err = {0};
    model *m = model_new(1);
    for (int open = 0; open < 4; open++) {
        assert_int_equal(fr_log_open(fr_io_posix(), path, &small, &log, &err), FR_OK);
        assert_int_equal(fr_log_end(log), m->count);
        model_check_all(m, log, 3000);
        for (int round = 0; round < 40; round++) {
            for (int b = 0; b < 3; b++)
                assert_int_equal(model_append(m, log, 1 + (uint32_t)model_draw(m) % 5, 50, 300, &err), FR_OK);
            assert_true(fr_log_durable(log) < fr_log_end(log));
            assert_int_equal(model_sync(m, log, &err), FR_OK);
        }
        model_check_all(m, log, 100);
        model_check_all(m, log, 1 << 20);
        for (fr_offset i = 0; i < m->count; i += 3) { /* the first record that is not older */
            fr_offset at, expected = 0;
            while (m->records[expected].timestamp_ms < m->records[i].timestamp_ms) expected++;
            assert_int_equal(fr_log_seek(log, m->records[i].timestamp_ms, &at, &err), FR_OK);
            assert_int_equal(at, expected);
        }
        fr_offset at;
        assert_int_equal(fr_log_seek(log, INT64_MAX, &at, &err), FR_OK);
        assert_int_equal(at, fr_log_durable(log));
        assert_int_equal(fr_log_seek(log, INT64_MIN, &at, &err), FR_OK);
        assert_int_equal(at, 0);
        fr_log_close(log);
    }
    assert_int_equal(fr_log_verify(fr_io_posix(), path, NULL, NULL, &err), FR_OK);
    assert_int_equal(fr_log_destroy(fr_io_posix(), path, &err), FR_OK);
    assert_int_equal(fr_log_destroy(fr_io_posix(), path, &err), FR_OK); /* again: nothing to do */
    model_free(m);
    assert_int_equal(rmdir(dir), 0);
}

static uint32_t open_files(void)
{
    uint32_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (readdir(dir)) count++;
    closedir(dir);
    return count;
}

static void idle_logs_are_cheap(void **state)
{
    (void)state;
    char dir[] = "/tmp/freshet-test-idle-XXXXXX";
    assert_non_null(mkdtemp(dir));
    enum { LOGS = 50 };
    fr_log *logs[LOGS];
    model *m = model_new(2);
    fr_err err = {0};
    uint32_t fds = open_files();
    uint64_t memory = fr_mem_used(FR_MEM_LOG);
    for (int i = 0; i < LOGS; i++) {
        char path[64];
        snprintf(path, sizeof path, "%s/%d", dir, i);
        assert_int_equal(fr_log_open(fr_io_posix(), path, NULL, &logs[i], &err), FR_OK);
        m->count = m->base_count = 0;
        assert_int_equal(model_append(m, logs[i], 3, 9, 100, &err), FR_OK);
        assert_int_equal(model_sync(m, logs[i], &err), FR_OK);
    }
    assert_true(open_files() <= fds + LOGS);
    assert_true((fr_mem_used(FR_MEM_LOG) - memory) / LOGS < 4096);
    for (int i = 0; i < LOGS; i++) {
        char path[64];
        snprintf(path, sizeof path, "%s/%d", dir, i);
        fr_log_close(logs[i]);
        assert_int_equal(fr_log_destroy(fr_io_posix(), path, &err), FR_OK);
    }
    model_free(m);
    assert_int_equal(rmdir(dir), 0);
}

static void posix_io(void **state)
{
    (void)state;
    char dir[] = "/tmp/freshet-test-io-XXXXXX";
    assert_non_null(mkdtemp(dir));
    fr_io *io = fr_io_posix();
    fr_file *file, *second;
    char path[64];
    fr_err err = {0};
    snprintf(path, sizeof path, "%s/f", dir);
    assert_int_equal(io->open(io, path, FR_OPEN_READ, &file, &err), FR_ERR_NOT_FOUND);
    assert_int_equal(io->open(io, path, FR_OPEN_WRITE | FR_OPEN_CREATE, &file, &err), FR_OK);
    assert_int_equal(io->open(io, path, FR_OPEN_WRITE | FR_OPEN_CREATE, &second, &err), FR_ERR_EXISTS);
    assert_int_equal(io->allocate(io, file, 10000, &err), FR_OK);
    assert_int_equal(io->allocate(io, file, 100, &err), FR_OK); /* never shrinks */
    uint64_t size;
    assert_int_equal(io->size(io, file, &size, &err), FR_OK);
    assert_int_equal(size, 10000);
    assert_int_equal(io->write(io, file, 9998, "abcd", 4, &err), FR_OK);
    char bytes[8] = {0};
    size_t got;
    assert_int_equal(io->read(io, file, 9996, bytes, 8, &got, &err), FR_OK);
    assert_int_equal(got, 6);
    assert_memory_equal(bytes, "\0\0abcd", 6);
    fr_io_map map;
    assert_int_equal(io->map(io, file, 8192, 1810, &map, &err), FR_OK);
    assert_memory_equal((char *)map.data + 1806, "abcd", 4);
    ((char *)map.data)[1806] = 'X'; /* private */
    io->unmap(io, &map);
    assert_int_equal(io->read(io, file, 9998, bytes, 1, &got, &err), FR_OK);
    assert_int_equal(bytes[0], 'a');
    assert_int_equal(io->sync(io, file, &err), FR_OK);
    io->close(io, file);
    assert_int_equal(io->remove(io, path, &err), FR_OK);
    assert_int_equal(io->remove(io, path, &err), FR_ERR_NOT_FOUND);
    snprintf(path, sizeof path, "%s/lock", dir);
    assert_int_equal(io->lock(io, path, &file, &err), FR_OK);
    assert_int_equal(io->lock(io, path, &second, &err), FR_ERR_LOCKED);
    io->close(io, file);
    assert_int_equal(io->lock(io, path, &second, &err), FR_OK);
    io->close(io, second);
    assert_int_equal(io->remove(io, path, &err), FR_OK);
    assert_int_equal(io->free_bytes(io, dir, &size, &err), FR_OK);
    assert_int_equal(io->remove(io, dir, &err), FR_OK);
}

/* ---- the simulated disk ---- */

static void fill(model *m, fr_log *log, int rounds)
{
    fr_err err = {0};
    for (int i = 0; i < rounds; i++) {
        assert_int_equal(model_append(m, log, 1 + (uint32_t)model_draw(m) % 4, 40, 200, &err), FR_OK);
        assert_int_equal(model_sync(m, log, &err), FR_OK);
    }
}

typedef struct file_list {
    char paths[64][128];
    uint64_t sizes[64];
    uint32_t count;
    const char *suffix;
} file_list;

static void list_file(void *user, const char *path, uint64_t size)
{
    file_list *list = user;
    size_t length = strlen(path), suffix = strlen(list->suffix);
    if (length < suffix || strcmp(path + length - suffix, list->suffix) != 0) return;
    snprintf(list->paths[list->count], sizeof list->paths[0], "%.120s", path);
    list->sizes[list->count++] = size;
    for (uint32_t i = list->count - 1; i > 0 && strcmp(list->paths[i], list->paths[i - 1]) < 0; i--) {
        char swap[128];
        memcpy(swap, list->paths[i], sizeof swap);
        memcpy(list->paths[i], list->paths[i - 1], sizeof swap);
        memcpy(list->paths[i - 1], swap, sizeof swap);
        uint64_t bytes = list->sizes[i];
        list->sizes[i] = list->sizes[i - 1];
        list->sizes[i - 1] = bytes;
    }
}

static file_list segments(io_sim *sim)
{
    file_list list = {.suffix = ".log"};
    io_sim_list(sim, LOG_DIR, list_file, &list);
    return list;
}

/* The last two batches lie above the durable mark (the process was killed before the next round): cut at every byte,
 * the log keeps what is whole. */
static void torn_tail_at_every_byte(void **state)
{
    (void)state;
    io_sim *sim = sim_with_dir(1);
    model *m = model_new(3);
    fr_log *log = must_open(sim, &small);
    fill(m, log, 10);
    fr_err err = {0};
    uint64_t at[3];
    for (int i = 0; i < 2; i++) {
        at[i] = fr_log_bytes(log);
        assert_int_equal(model_append(m, log, 2, 40, 60, &err), FR_OK);
    }
    at[2] = fr_log_bytes(log);
    io_sim_kill(sim);
    fr_log_close(log);
    file_list files = segments(sim);
    assert_int_equal(files.count, 1);
    for (uint64_t cut = at[0]; cut <= at[2]; cut++) {
        io_sim *copy = io_sim_clone(sim);
        assert_true(io_sim_cut_file(copy, files.paths[0], cut));
        log = must_open(copy, &small);
        fr_offset expected = cut >= at[2] ? m->count : cut >= at[1] ? m->count - 2 : m->count - 4;
        assert_int_equal(fr_log_end(log), expected);
        model_check_all(m, log, 1 << 16);
        fr_log_close(log);
        log = must_open(copy, &small); /* and again the same */
        assert_int_equal(fr_log_end(log), expected);
        fr_log_close(log);
        io_sim_free(copy);
    }
    model_free(m);
    io_sim_free(sim);
}

/* A hole in the torn round, a whole batch behind it: once cut, the batch must not come back when the hole is filled
 * anew. */
static void batches_behind_a_hole_stay_dead(void **state)
{
    (void)state;
    io_sim *sim = sim_with_dir(2);
    model *m = model_new(4);
    fr_log *log = must_open(sim, &small);
    fill(m, log, 5);
    fr_err err = {0};
    uint8_t *batch, copy[512];
    size_t size;
    fr_offset base, end;
    uint64_t hole = fr_log_bytes(log);
    fr_batch_writer_begin(&m->writer, FR_CODEC_NONE);
    fr_batch_writer_add(&m->writer, 5, fr_span_text("key"), fr_span_text("value"), NULL, 0);
    assert_int_equal(fr_batch_writer_end(&m->writer, &batch, &size), FR_OK);
    memcpy(copy, batch, size);
    assert_int_equal(fr_log_append(log, batch, size, &base, &err), FR_OK);
    assert_int_equal(fr_log_append(log, batch, size, &base, &err), FR_OK);
    io_sim_kill(sim);
    fr_log_close(log);
    io_sim_restart(sim);
    assert_true(io_sim_flip(sim, segments(sim).paths[0], hole + 63, 0));
    log = must_open(sim, &small);
    assert_int_equal(fr_log_end(log), m->count);
    assert_int_equal(fr_log_append(log, copy, size, &base, &err), FR_OK); /* the same size as the hole */
    assert_int_equal(fr_log_sync_begin(log, &end, &err), FR_OK);
    assert_int_equal(fr_log_sync(log, end, &err), FR_OK);
    io_sim_power_cut(sim, 7);
    fr_log_close(log);
    io_sim_restart(sim);
    log = must_open(sim, &small);
    assert_int_equal(fr_log_end(log), m->count + 1);
    fr_log_close(log);
    model_free(m);
    io_sim_free(sim);
}

static void expect_corrupt(io_sim *sim, const model *m, uint64_t byte, const char *what)
{
    fr_err err = {0};
    fr_log *log = NULL;
    fr_code code = fr_log_open(io_sim_io(sim), LOG_DIR, &small, &log, &err);
    fr_offset next = 0;
    if (!code) code = model_read(m, log, fr_log_start(log), 1000, NULL, &next, &err);
    if (code != FR_ERR_CORRUPT) fail_msg("%s at byte %" PRIu64 ": %s instead of corrupt", what, byte, fr_strcode(code));
    char name[64];
    snprintf(name, sizeof name, "byte %" PRIu64, byte);
    if (byte && !strstr(err.text, name)) fail_msg("%s: \"%s\" does not name byte %" PRIu64, what, err.text, byte);
    fr_log_close(log);
}

/* Damage below the durable mark is reported with file, byte and offset, in closed segments and in the open one. */
static void damage_is_corrupt_with_its_place(void **state)
{
    (void)state;
    io_sim *sim = sim_with_dir(3);
    model *m = model_new(5);
    fr_log *log = must_open(sim, &small);
    fill(m, log, 400);
    fr_log_close(log);
    file_list files = segments(sim);
    assert_true(files.count >= 3);
    for (uint32_t f = 0; f < files.count; f++) {
        /* positions of the batches of this file */
        io_sim *copy = io_sim_clone(sim);
        fr_io *io = io_sim_io(copy);
        fr_file *file;
        assert_int_equal(io->open(io, files.paths[f], FR_OPEN_READ, &file, NULL), FR_OK);
        for (uint64_t position = 4096, n = 0;; n++) {
            uint8_t head[12];
            size_t got;
            assert_int_equal(io->read(io, file, position, head, sizeof head, &got, NULL), FR_OK);
            if (got < sizeof head || fr_load_be32(head + 8) == 0) break;
            uint64_t size = 12 + fr_load_be32(head + 8);
            if (n % 7 == 0) {
                io_sim *bad = io_sim_clone(sim);
                assert_true(
                    io_sim_flip(bad, files.paths[f], position + model_draw(m) % size, (unsigned)model_draw(m) % 8));
                expect_corrupt(bad, m, position, "flip");
                fr_err err = {0};
                assert_int_equal(fr_log_verify(io_sim_io(bad), LOG_DIR, NULL, NULL, &err), FR_ERR_CORRUPT);
                io_sim_free(bad);
            }
            position += size;
        }
        io->close(io, file);
        io_sim_free(copy);
    }
    io_sim *bad = io_sim_clone(sim); /* a middle segment is missing */
    assert_true(io_sim_delete(bad, files.paths[1]));
    expect_corrupt(bad, m, 0, "missing segment");
    io_sim_free(bad);
    bad = io_sim_clone(sim);
    assert_true(io_sim_cut_file(bad, files.paths[1], files.sizes[1] - 1));
    expect_corrupt(bad, m, files.sizes[1] - 1, "short segment");
    io_sim_free(bad);
    model_free(m);
    io_sim_free(sim);
}

/* Any flip anywhere in any file: the log opens and reads exactly what was appended (a prefix of the ambiguous last
 * round may be missing), or says CORRUPT. */
static void random_flips_never_lie(void **state)
{
    (void)state;
    io_sim *sim = sim_with_dir(4);
    model *m = model_new(6);
    fr_log *log = must_open(sim, &small);
    fill(m, log, 150);
    io_sim_kill(sim); /* no mark by close: the last round is the ambiguous one */
    fr_log_close(log);
    io_sim_restart(sim);
    file_list files = {.suffix = ""};
    io_sim_list(sim, LOG_DIR, list_file, &files);
    int corrupt = 0;
    for (int i = 0; i < 1500; i++) {
        io_sim *bad = io_sim_clone(sim);
        uint32_t f = (uint32_t)model_draw(m) % files.count;
        uint64_t reach =
            model_draw(m) % 4 ? FR_MIN(files.sizes[f], (uint64_t)16384) : FR_MIN(files.sizes[f], (uint64_t)2048);
        assert_true(io_sim_flip(bad, files.paths[f], model_draw(m) % reach, (unsigned)model_draw(m) % 8));
        fr_err err = {0};
        fr_log *opened = NULL;
        fr_offset next = 0;
        bool *seen = fr_zalloc(FR_MEM_TEST, MODEL_MAX);
        fr_code code = fr_log_open(io_sim_io(bad), LOG_DIR, &small, &opened, &err);
        if (!code) code = model_read(m, opened, 0, 4000, seen, &next, &err);
        if (code) {
            if (code != FR_ERR_CORRUPT && code != FR_ERR_VERSION) fail_msg("%s: %s", fr_strcode(code), err.text);
            corrupt++;
        } else {
            if (next < m->bases[m->base_count - 1])
                fail_msg("flip in %s: only %" PRId64 " of %" PRId64, files.paths[f], next, m->count);
            for (fr_offset o = 0; o < next; o++) assert_true(seen[o]);
        }
        fr_free(FR_MEM_TEST, seen);
        fr_log_close(opened);
        io_sim_free(bad);
    }
    assert_true(corrupt > 100);
    model_free(m);
    io_sim_free(sim);
}

static void newer_format_is_refused(void **state)
{
    (void)state;
    io_sim *sim = sim_with_dir(5);
    fr_log_close(must_open(sim, NULL));
    fr_io *io = io_sim_io(sim);
    fr_file *file;
    uint8_t sector[512];
    size_t got;
    file_list files = segments(sim);
    assert_int_equal(io->open(io, files.paths[0], FR_OPEN_READ | FR_OPEN_WRITE, &file, NULL), FR_OK);
    assert_int_equal(io->read(io, file, 0, sector, sizeof sector, &got, NULL), FR_OK);
    fr_store_le32(sector + 8, 7);
    fr_store_le32(sector + 508, fr_simd_crc32c(0, sector, 508));
    assert_int_equal(io->write(io, file, 0, sector, sizeof sector, NULL), FR_OK);
    io->close(io, file);
    fr_log *log;
    fr_err err = {0};
    assert_int_equal(fr_log_open(io, LOG_DIR, NULL, &log, &err), FR_ERR_VERSION);
    assert_non_null(strstr(err.text, "7"));
    assert_non_null(strstr(err.text, "1"));
    io_sim_free(sim);
}

static void lost_index_is_rebuilt(void **state)
{
    (void)state;
    io_sim *sim = sim_with_dir(6);
    model *m = model_new(7);
    fr_log *log = must_open(sim, &small);
    fill(m, log, 300);
    fr_log_close(log);
    file_list files = {.suffix = ".index"};
    io_sim_list(sim, LOG_DIR, list_file, &files);
    assert_true(files.count >= 2);
    for (uint32_t i = 0; i < files.count; i++) {
        if (i % 2) assert_true(io_sim_delete(sim, files.paths[i]));
        else assert_true(io_sim_flip(sim, files.paths[i], 4100, 3));
    }
    log = must_open(sim, &small);
    model_check_all(m, log, 500);
    for (fr_offset from = 0; from < m->count; from += 11) {
        fr_view view;
        assert_int_equal(fr_log_read(log, from, -1, 1, &view, NULL), FR_OK);
        assert_true(view.first <= from && from < view.next);
        fr_view_release(&view);
    }
    fr_log_close(log);
    file_list again = {.suffix = ".index"};
    io_sim_list(sim, LOG_DIR, list_file, &again);
    assert_int_equal(again.count, files.count); /* and written */
    model_free(m);
    io_sim_free(sim);
}

static void read_bounds(void **state)
{
    (void)state;
    io_sim *sim = sim_with_dir(7);
    model *m = model_new(8);
    fr_log *log = must_open(sim, &small);
    fr_view view;
    fr_err err = {0};
    assert_int_equal(fr_log_read(log, 0, -1, 1000, &view, &err), FR_OK);
    assert_int_equal(view.size, 0);
    assert_int_equal(fr_log_read(log, 1, -1, 1000, &view, &err), FR_ERR_INVALID);
    assert_int_equal(fr_log_read(log, -1, -1, 1000, &view, &err), FR_ERR_INVALID);
    fill(m, log, 20);
    fr_offset durable = fr_log_durable(log);
    assert_int_equal(model_append(m, log, 3, 9, 50, &err), FR_OK);
    assert_int_equal(fr_log_read(log, durable, -1, 1000, &view, &err), FR_OK); /* appended, not durable: not shown */
    assert_int_equal(view.size, 0);
    assert_int_equal(view.next, durable);
    fr_offset limit = m->bases[10];
    assert_int_equal(fr_log_read(log, 0, limit, 1 << 20, &view, &err), FR_OK);
    assert_int_equal(view.next, limit);
    fr_view_release(&view);
    assert_int_equal(fr_log_read(log, m->bases[3], -1, 0, &view, &err), FR_OK); /* at least one batch */
    assert_int_equal(view.first, m->bases[3]);
    assert_int_equal(view.next, m->bases[4]);
    fr_view_release(&view);
    fr_log_close(log);
    model_free(m);
    io_sim_free(sim);
}

static void append_refuses_bad_batches(void **state)
{
    (void)state;
    io_sim *sim = sim_with_dir(8);
    model *m = model_new(9);
    fr_log *log = must_open(sim, &small);
    fr_err err = {0};
    fr_offset base;
    uint8_t *batch;
    size_t size;
    fr_batch_writer_begin(&m->writer, FR_CODEC_NONE);
    fr_batch_writer_add(&m->writer, 5, fr_span_text("key"), fr_span_text("value"), NULL, 0);
    assert_int_equal(fr_batch_writer_end(&m->writer, &batch, &size), FR_OK);
    batch[size - 1] ^= 1;
    assert_int_equal(fr_log_append(log, batch, size, &base, &err), FR_ERR_CORRUPT);
    batch[size - 1] ^= 1;
    assert_int_equal(fr_log_append(log, batch, size - 1, &base, &err), FR_ERR_CORRUPT);
    assert_int_equal(fr_log_end(log), 0);
    assert_int_equal(fr_log_append(log, batch, size, &base, &err), FR_OK);
    assert_int_equal(fr_log_append(log, batch, size, &base, &err), FR_OK); /* the base offset is patched each time */
    assert_int_equal(base, 1);
    fr_log_close(log);
    model_free(m);
    io_sim_free(sim);
}

static void rolls_by_age(void **state)
{
    (void)state;
    io_sim *sim = sim_with_dir(9);
    model *m = model_new(10);
    fr_log_options options = {.segment_ms = 1000};
    fr_log *log = must_open(sim, &options);
    fill(m, log, 3);
    io_sim_advance(sim, 999);
    fill(m, log, 1);
    assert_int_equal(segments(sim).count, 1);
    io_sim_advance(sim, 1);
    fill(m, log, 1);
    assert_int_equal(segments(sim).count, 2);
    model_check_all(m, log, 1000);
    fr_log_close(log);
    model_free(m);
    io_sim_free(sim);
}

static struct {
    fr_log *log;
    fr_code (*remove)(fr_io *io, const char *path, fr_err *err);
    fr_offset start[2]; /* the least and the greatest start that a removal saw */
    int removals;
} spied;

static fr_code spied_remove(fr_io *io, const char *path, fr_err *err)
{
    fr_offset start = fr_log_start(spied.log);
    spied.start[0] = spied.removals ? FR_MIN(spied.start[0], start) : start;
    spied.start[1] = FR_MAX(spied.start[1], start);
    spied.removals++;
    return spied.remove(io, path, err);
}

/* A log of 600 records that may keep so many bytes. */
static fr_log *limited_log(io_sim *sim, model *m, int64_t retention_bytes)
{
    fr_log_options options = small;
    options.retention_ms = -1;
    options.retention_bytes = retention_bytes;
    fr_log *log = must_open(sim, &options);
    fill(m, log, 600);
    return log;
}

/* A reader that asks for the start between two removals gets the one that holds after the last. */
static void the_start_moves_once(void **state)
{
    (void)state;
    io_sim *sim = sim_with_dir(23);
    model *m = model_new(24);
    fr_log *log = limited_log(sim, m, 20 << 10);
    fr_io *io = io_sim_io(sim);
    spied.log = log;
    spied.remove = io->remove;
    io->remove = spied_remove;
    fr_err err = {0};
    uint32_t dropped;
    assert_int_equal(fr_log_retain(log, INT64_MAX, 0, &dropped, &err), FR_OK);
    io->remove = spied.remove;
    assert_true(dropped > 2 && spied.removals >= (int)dropped);
    assert_int_equal(spied.start[0], fr_log_start(log));
    assert_int_equal(spied.start[1], fr_log_start(log));
    model_check_all(m, log, 1000);
    fr_log_close(log);
    model_free(m);
    io_sim_free(sim);
}

static void retention(void **state)
{
    (void)state;
    io_sim *sim = sim_with_dir(10);
    model *m = model_new(11);
    fr_log *log = limited_log(sim, m, 40 << 10);
    fr_err err = {0};
    uint32_t before = segments(sim).count, dropped;
    assert_true(fr_log_bytes(log) > 80 << 10);
    assert_int_equal(fr_log_retain(log, 5, 0, &dropped, &err), FR_OK); /* something still needs offset 5 */
    assert_int_equal(dropped, 0);
    fr_view view;
    assert_int_equal(fr_log_read(log, 0, -1, 100, &view, &err), FR_OK);
    assert_int_equal(fr_log_retain(log, INT64_MAX, 0, &dropped, &err), FR_OK);
    assert_true(dropped > 2);
    assert_int_equal(segments(sim).count, before - dropped);
    assert_true(fr_log_bytes(log) >= 40 << 10 && fr_log_bytes(log) < 60 << 10);
    assert_true(view.size > 0); /* a view outlives its segment */
    fr_view_release(&view);
    assert_true(fr_log_start(log) > 0);
    assert_int_equal(fr_log_read(log, fr_log_start(log) - 1, -1, 100, &view, &err), FR_ERR_INVALID);
    model_check_all(m, log, 1000);
    fr_log_close(log);
    fr_log_options options = small;
    options.retention_bytes = -1;
    options.retention_ms = 1000;
    log = must_open(sim, &options);
    model_check_all(m, log, 1000);
    int64_t now = m->records[m->count - 1].timestamp_ms + 2000;
    assert_int_equal(fr_log_retain(log, INT64_MAX, now, &dropped, &err), FR_OK);
    assert_int_equal(segments(sim).count, 1); /* the active one stays */
    model_check_all(m, log, 1000);
    fr_offset end = fr_log_end(log);
    fr_log_close(log);
    log = must_open(sim, &options);
    assert_int_equal(fr_log_end(log), end);
    fr_log_close(log);
    model_free(m);
    io_sim_free(sim);
}

static void cut_anywhere(void **state)
{
    (void)state;
    io_sim *sim = sim_with_dir(11);
    model *m = model_new(12);
    fr_err err = {0};
    fr_log *log = must_open(sim, &small);
    for (int i = 0; i < 60; i++) {
        fill(m, log, 30);
        if (i % 3 == 0) assert_int_equal(model_append(m, log, 2, 9, 50, &err), FR_OK); /* appended, no round yet */
        fr_offset from = m->bases[m->base_count - 1 - model_draw(m) % FR_MIN(m->base_count, i % 5 == 0 ? 200u : 10u)];
        if (m->count - 1 > m->bases[m->base_count - 1])
            assert_int_equal(fr_log_cut(log, m->count - 1, &err), FR_ERR_INVALID);
        assert_int_equal(fr_log_cut(log, m->count, &err), FR_OK);
        if (fr_log_cut(log, from, &err)) fail_msg("cut: %s", err.text);
        assert_int_equal(fr_log_end(log), from);
        m->acknowledged = from;
        model_take_end(m, log);
        model_check_all(m, log, 1000);
        if (i % 2) { /* durable at once */
            io_sim_power_cut(sim, model_draw(m));
            fr_log_close(log);
            io_sim_restart(sim);
            log = must_open(sim, &small);
            assert_int_equal(fr_log_end(log), from);
            model_check_all(m, log, 1000);
        }
    }
    fill(m, log, 30);
    model_check_all(m, log, 1000);
    fr_log_close(log);
    assert_int_equal(fr_log_verify(io_sim_io(sim), LOG_DIR, NULL, NULL, &err), FR_OK);
    model_free(m);
    io_sim_free(sim);
}

static void one_failed_sync_is_final(void **state)
{
    (void)state;
    io_sim *sim = sim_with_dir(12);
    model *m = model_new(13);
    fr_log *log = must_open(sim, &small);
    fill(m, log, 5);
    fr_err err = {0};
    fr_offset durable = fr_log_durable(log);
    assert_int_equal(model_append(m, log, 1, 9, 50, &err), FR_OK);
    io_sim_fail_sync_at(sim, 1);
    assert_int_equal(model_sync(m, log, &err), FR_ERR_READ_ONLY);
    assert_int_equal(fr_log_state(log), FR_ERR_READ_ONLY);
    assert_int_equal(model_append(m, log, 1, 9, 50, &err), FR_ERR_READ_ONLY);
    assert_int_equal(model_sync(m, log, &err), FR_ERR_READ_ONLY);
    assert_int_equal(fr_log_durable(log), durable);
    fr_offset next; /* reads go on */
    assert_int_equal(model_read(m, log, 0, 1000, NULL, &next, &err), FR_OK);
    assert_int_equal(next, durable);
    fr_log_close(log);
    model_free(m);
    io_sim_free(sim);
}

static void full_disk_is_not_final(void **state)
{
    (void)state;
    io_sim *sim = sim_with_dir(13);
    model *m = model_new(14);
    fr_log *log = must_open(sim, &small);
    fill(m, log, 5);
    fr_err err = {0};
    int full = 0;
    for (int i = 0; i < 40; i++) {
        io_sim_set_capacity(sim, fr_log_bytes(log) + 2000 + 200 * (uint64_t)i);
        for (;;) {
            fr_offset end = fr_log_end(log);
            fr_code code = model_append(m, log, 1 + (uint32_t)i % 3, 40, 300, &err);
            if (!code) continue;
            assert_int_equal(code, FR_ERR_DISK_FULL);
            assert_int_equal(fr_log_end(log), end);
            assert_int_equal(fr_log_state(log), FR_OK);
            full++;
            break;
        }
        if (i % 2) assert_int_equal(model_sync(m, log, &err), FR_OK);
        io_sim_set_capacity(sim, 0);
        fill(m, log, 3);
        model_check_all(m, log, 1000);
    }
    assert_int_equal(full, 40);
    fr_log_close(log);
    log = must_open(sim, &small);
    assert_int_equal(fr_log_end(log), m->count);
    model_check_all(m, log, 1000);
    fr_log_close(log);
    model_free(m);
    io_sim_free(sim);
}

/* ---- threads ---- */

typedef struct shared {
    fr_log *log;
    const model *m;
    atomic_bool stop;
    atomic_uint reads;
    _Atomic fr_offset round_end; /* -1: no round in flight */
} shared;

static void *reader_thread(void *user)
{
    shared *s = user;
    uint64_t random = 5;
    while (!atomic_load(&s->stop)) {
        fr_offset start = fr_log_start(s->log), durable = fr_log_durable(s->log);
        fr_offset from = start + (fr_offset)(draw(&random) % (uint64_t)(durable - start + 1));
        fr_view view;
        fr_err err = {0};
        fr_code code = fr_log_read(s->log, from, -1, 2000, &view, &err);
        if (code == FR_ERR_INVALID) continue; /* retention was faster */
        if (code) fail_msg("read %" PRId64 ": %s: %s", from, fr_strcode(code), err.text);
        if (view.size == 0 && from < durable) fail_msg("nothing at %" PRId64 " below %" PRId64, from, durable);
        for (size_t at = 0, size; at < view.size; at += size)
            if (fr_batch_check(view.data + at, view.size - at, &(fr_batch_header){0}, &size, &err))
                fail_msg("bad batch");
        fr_view_release(&view);
        fr_offset found;
        code = fr_log_seek(s->log, (int64_t)(draw(&random) % 2000000), &found, &err);
        if (code) fail_msg("seek: %s: %s", fr_strcode(code), err.text);
        atomic_fetch_add(&s->reads, 1);
    }
    return NULL;
}

static bool keep_half(void *user, fr_span key, fr_offset offset, bool tombstone)
{
    (void)user, (void)key, (void)tombstone;
    return offset % 2 == 0;
}

static void *compact_thread(void *user)
{
    shared *s = user;
    while (!atomic_load(&s->stop)) {
        fr_err err = {0};
        fr_code code = fr_log_compact(s->log, NULL, INT64_MAX, 5000000, keep_half, NULL, NULL, &err);
        if (code && code != FR_ERR_BUSY && code != FR_ERR_NOT_FOUND)
            fail_msg("compact: %s: %s", fr_strcode(code), err.text);
        usleep(2000);
    }
    return NULL;
}

/* The engine's syncer: one round at a time, beside the writer's next appends. */
static void *sync_thread(void *user)
{
    shared *s = user;
    while (!atomic_load(&s->stop)) {
        fr_offset end = atomic_load(&s->round_end);
        if (end < 0) {
            sched_yield();
            continue;
        }
        fr_err err = {0};
        fr_code code = fr_log_sync(s->log, end, &err);
        if (code) fail_msg("sync: %s: %s", fr_strcode(code), err.text);
        if (fr_log_durable(s->log) < end) fail_msg("durable is behind its round");
        atomic_store(&s->round_end, -1);
    }
    return NULL;
}

/* Append, roll and retention beside readers, a syncing thread and compaction. Under the tsan preset this is the race
 * test. */
static void readers_beside_everything(void **state)
{
    (void)state;
    char dir[] = "/tmp/freshet-test-threads-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char path[64];
    snprintf(path, sizeof path, "%s/p", dir);
    fr_log_options options = small;
    options.retention_bytes = 100 << 10;
    options.retention_ms = -1;
    model *m = model_new(15);
    shared s = {.m = m, .round_end = -1};
    fr_err err = {0};
    assert_int_equal(fr_log_open(fr_io_posix(), path, &options, &s.log, &err), FR_OK);
    fill(m, s.log, 20);
    pthread_t threads[5];
    for (int i = 0; i < 3; i++) assert_int_equal(pthread_create(&threads[i], NULL, reader_thread, &s), 0);
    assert_int_equal(pthread_create(&threads[3], NULL, compact_thread, &s), 0);
    assert_int_equal(pthread_create(&threads[4], NULL, sync_thread, &s), 0);
    for (int i = 0; i < 1200 || (atomic_load(&s.reads) < 300 && i < 4000); i++) {
        assert_int_equal(model_append(m, s.log, 1 + (uint32_t)i % 4, 40, 200, &err), FR_OK);
        if (atomic_load(&s.round_end) < 0) {
            fr_offset end;
            assert_int_equal(fr_log_sync_begin(s.log, &end, &err), FR_OK);
            atomic_store(&s.round_end, end);
        }
        if (i % 50 == 0) assert_int_equal(fr_log_retain(s.log, INT64_MAX, 0, NULL, &err), FR_OK);
    }
    while (atomic_load(&s.round_end) >= 0) sched_yield();
    assert_int_equal(model_sync(m, s.log, &err), FR_OK);
    atomic_store(&s.stop, true);
    for (int i = 0; i < 5; i++) pthread_join(threads[i], NULL);
    fr_log_close(s.log);
    assert_int_equal(fr_log_verify(fr_io_posix(), path, NULL, NULL, &err), FR_OK);
    assert_int_equal(fr_log_open(fr_io_posix(), path, &options, &s.log, &err), FR_OK);
    assert_int_equal(fr_log_end(s.log), m->count);
    fr_log_close(s.log);
    assert_int_equal(fr_log_destroy(fr_io_posix(), path, &err), FR_OK);
    assert_int_equal(rmdir(dir), 0);
    model_free(m);
}

int main(void)
{
    fr_note_level(FR_NOTE_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(posix_io),
        cmocka_unit_test(posix_append_reopen_seek),
        cmocka_unit_test(idle_logs_are_cheap),
        cmocka_unit_test(torn_tail_at_every_byte),
        cmocka_unit_test(batches_behind_a_hole_stay_dead),
        cmocka_unit_test(damage_is_corrupt_with_its_place),
        cmocka_unit_test(random_flips_never_lie),
        cmocka_unit_test(newer_format_is_refused),
        cmocka_unit_test(lost_index_is_rebuilt),
        cmocka_unit_test(read_bounds),
        cmocka_unit_test(append_refuses_bad_batches),
        cmocka_unit_test(rolls_by_age),
        cmocka_unit_test(retention),
        cmocka_unit_test(the_start_moves_once),
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(one_failed_sync_is_final),
        cmocka_unit_test(full_disk_is_not_final),
        cmocka_unit_test(readers_beside_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
