/* The log against a model: power cuts at random moments, the nth operation failing, the nth allocation failing. */
#include "tests/unit/log/log_model.h"

#include <stdio.h>

static fr_log_options random_options(model *m)
{
    fr_log_options o = {.segment_bytes = 9000 + model_draw(m) % 20000,
                        .segment_ms = -1,
                        .retention_ms = -1,
                        .retention_bytes = model_draw(m) % 2 ? 60000 : -1,
                        .index_interval_bytes = 256 + (uint32_t)model_draw(m) % 4096,
                        .first_allocation = 8192};
    return o;
}

static bool keep_some(void *user, fr_span key, fr_offset offset, bool tombstone)
{
    (void)tombstone;
    return (fr_mix64((uint64_t)offset ^ fr_hash(key.data, key.size, 0)) + *(uint64_t *)user) % 4 != 0;
}

/* One step of a life; compacted: the model's records below it may be gone. */
static fr_code step_once(model *m, fr_log *log, fr_offset *compacted, fr_err *err)
{
    uint64_t dice = model_draw(m) % 100, user = model_draw(m);
    if (dice < 55)
        return model_append(m, log, 1 + (uint32_t)model_draw(m) % 5, 30, model_draw(m) % 10 == 0 ? 3000 : 150, err);
    if (dice < 92) return model_sync(m, log, err);
    if (dice < 94) return fr_log_roll(log, err);
    if (dice < 97) {
        *compacted = FR_MAX(*compacted, fr_log_durable(log));
        return fr_log_compact(log, NULL, INT64_MAX, (int64_t)(model_draw(m) % 3000000), keep_some, &user, NULL, err);
    }
    if (dice < 98) return fr_log_retain(log, fr_log_end(log), 0, NULL, err);
    if (dice < 99 && m->base_count > 3 &&
        m->bases[m->base_count - 1] >= m->acknowledged) { /* undo what nobody was told of */
        fr_offset from = m->bases[m->base_count - 1];
        if (from < *compacted || from < fr_log_start(log)) return FR_OK;
        FR_TRY(fr_log_cut(log, from, err));
        m->count = m->acknowledged = from;
        m->base_count--;
        return FR_OK;
    }
    fr_offset next;
    return model_read(m, log, fr_log_start(log), 2000, NULL, &next, err);
}

static void check_life(model *m, const fr_log *log, fr_offset compacted, uint64_t seed)
{
    fr_err err = {0};
    bool *seen = fr_zalloc(FR_MEM_TEST, MODEL_MAX);
    fr_offset next;
    fr_code code = model_read(m, log, fr_log_start(log), 5000, seen, &next, &err);
    if (code) fail_msg("seed %" PRIu64 ": %s: %s", seed, fr_strcode(code), err.text);
    assert_int_equal(next, fr_log_durable(log));
    for (fr_offset i = FR_MAX(compacted, fr_log_start(log)); i < next; i++)
        if (!seen[i]) fail_msg("seed %" PRIu64 ": offset %" PRId64 " of %" PRId64 " is lost", seed, i, next);
    fr_free(FR_MEM_TEST, seen);
}

static fr_log *open_or_fail(io_sim *sim, const fr_log_options *options, uint64_t seed)
{
    fr_err err = {0};
    fr_log *log = NULL;
    fr_code code = fr_log_open(io_sim_io(sim), LOG_DIR, options, &log, &err);
    if (code) fail_msg("seed %" PRIu64 ": open: %s: %s", seed, fr_strcode(code), err.text);
    return log;
}

static uint64_t power_cut_life(uint64_t seed)
{
    io_sim *sim = sim_with_dir(seed);
    model *m = model_new(seed);
    fr_log_options options = random_options(m);
    fr_offset compacted = 0;
    for (int life = 0; life < 5; life++) {
        fr_err err = {0};
        fr_log *log = open_or_fail(sim, &options, seed);
        model_take_end(m, log);
        check_life(m, log, FR_MIN(compacted, fr_log_end(log)), seed);
        uint64_t killed_in = model_draw(m) % 3 == 0 ? model_draw(m) % 60 : UINT64_MAX; /* steps until kill -9 */
        io_sim_cut_at(sim, killed_in == UINT64_MAX ? 1 + model_draw(m) % 400 : 0, seed + (uint64_t)life);
        /* The model learns of a failed step only by what recovery finds: a cut may come after the effect. */
        while (!io_sim_is_down(sim) && m->count < MODEL_MAX - 10 && killed_in-- > 0) {
            fr_code code = step_once(m, log, &compacted, &err);
            if (code && !io_sim_is_down(sim)) fail_msg("seed %" PRIu64 ": %s: %s", seed, fr_strcode(code), err.text);
        }
        if (!io_sim_is_down(sim)) io_sim_kill(sim);
        fr_log_close(log);
        for (int cut = 0; cut < 2; cut++) { /* cut recovery too */
            io_sim_restart(sim);
            io_sim_cut_at(sim, 1 + model_draw(m) % 40, seed * 7 + (uint64_t)cut);
            if (fr_log_open(io_sim_io(sim), LOG_DIR, &options, &log, &err) == FR_OK) {
                if (!io_sim_is_down(sim)) model_take_end(m, log); /* what recovery has shown must stay */
                fr_log_close(log);
            }
            if (!io_sim_is_down(sim)) io_sim_power_cut(sim, seed * 3 + (uint64_t)cut);
        }
        io_sim_restart(sim);
    }
    fr_log *log = open_or_fail(sim, &options, seed);
    model_take_end(m, log);
    check_life(m, log, FR_MIN(compacted, fr_log_end(log)), seed);
    fr_log_close(log);
    fr_err err = {0};
    if (fr_log_verify(io_sim_io(sim), LOG_DIR, NULL, NULL, &err))
        fail_msg("seed %" PRIu64 ": verify: %s", seed, err.text);
    uint64_t hash = io_sim_hash(sim);
    model_free(m);
    io_sim_free(sim);
    return hash;
}

static uint64_t seeds(void)
{
    const char *text = getenv("FRESHET_SEEDS");
    return text ? strtoull(text, NULL, 10) : 300;
}

static void power_cuts(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= seeds(); seed++) power_cut_life(seed);
}

static void the_same_seed_is_the_same_run(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) assert_int_equal(power_cut_life(seed), power_cut_life(seed));
}

/* A fixed little story; returns the first error. *log_out stays open for the judge. */
static fr_code story(io_sim *sim, model *m, const fr_log_options *options, fr_log **log_out, fr_offset *compacted,
                     fr_err *err)
{
    uint64_t user = 1;
    FR_TRY(fr_log_open(io_sim_io(sim), LOG_DIR, options, log_out, err));
    for (int i = 0; i < 25; i++) {
        FR_TRY(model_append(m, *log_out, 1 + (uint32_t)i % 4, 20, 400, err));
        if (i % 3 == 0) FR_TRY(model_sync(m, *log_out, err));
    }
    FR_TRY(model_sync(m, *log_out, err));
    fr_offset next, found;
    FR_TRY(model_read(m, *log_out, 0, 1000, NULL, &next, err));
    FR_TRY(fr_log_seek(*log_out, 1000100, &found, err));
    FR_TRY(fr_log_roll(*log_out, err));
    *compacted = fr_log_end(*log_out);
    FR_TRY(fr_log_compact(*log_out, NULL, INT64_MAX, 0, keep_some, &user, NULL, err));
    FR_TRY(model_append(m, *log_out, 2, 20, 400, err));
    FR_TRY(model_append(m, *log_out, 2, 20, 400, err));
    FR_TRY(model_sync(m, *log_out, err));
    FR_TRY(model_append(m, *log_out, 2, 20, 400, err));
    FR_TRY(fr_log_cut(*log_out, m->bases[m->base_count - 1], err));
    m->count = m->bases[--m->base_count];
    FR_TRY(model_append(m, *log_out, 2, 20, 400, err));
    return model_sync(m, *log_out, err);
}

static void every_operation_fails_once(void **state)
{
    (void)state;
    static const fr_code codes[] = {FR_ERR_IO, FR_ERR_DISK_FULL};
    fr_log_options options = {
        .segment_bytes = 9000, .segment_ms = -1, .index_interval_bytes = 512, .first_allocation = 8192};
    for (size_t c = 0; c < FR_COUNT_OF(codes); c++) {
        bool failed = true;
        for (uint64_t n = 1; failed; n++) {
            io_sim *sim = sim_with_dir(n);
            model *m = model_new(77);
            fr_log *log = NULL;
            fr_err err = {0};
            fr_offset compacted = 0;
            uint64_t operations = io_sim_operations(sim);
            io_sim_fail_at(sim, n, 1, codes[c]);
            fr_code code = story(sim, m, &options, &log, &compacted, &err);
            failed = io_sim_operations(sim) - operations >= n; /* else the story ended before */
            io_sim_fail_at(sim, 0, 0, FR_OK);
            if (log && code) {
                assert_true(code == codes[c] || code == FR_ERR_READ_ONLY || code == FR_ERR_NOT_FOUND);
                if (codes[c] == FR_ERR_DISK_FULL && fr_log_state(log))
                    fail_msg("operation %" PRIu64 ": %s", n, err.text);
                fr_offset next;
                assert_int_equal(model_read(m, log, fr_log_start(log), 1000, NULL, &next, &err),
                                 FR_OK); /* reads go on */
            }
            if (log && codes[c] == FR_ERR_DISK_FULL) { /* space is back */
                if (fr_log_end(log) < m->count) m->count = fr_log_end(log);
                assert_int_equal(model_append(m, log, 1, 20, 100, &err), FR_OK);
                assert_int_equal(model_sync(m, log, &err), FR_OK);
            }
            fr_log_close(log);
            io_sim_power_cut(sim, n);
            io_sim_restart(sim);
            log = open_or_fail(sim, &options, n);
            model_take_end(m, log);
            check_life(m, log, FR_MIN(compacted, fr_log_end(log)), n);
            fr_log_close(log);
            model_free(m);
            io_sim_free(sim);
        }
    }
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    fr_log_options options = {
        .segment_bytes = 9000, .segment_ms = -1, .index_interval_bytes = 512, .first_allocation = 8192};
    io_sim *sim = sim_with_dir(1);
    model *m = model_new(77);
    fr_log *log = NULL;
    fr_err err = {0};
    fr_offset compacted = 0;
    uint64_t calls = fr_mem_calls();
    assert_int_equal(story(sim, m, &options, &log, &compacted, &err), FR_OK);
    calls = fr_mem_calls() - calls;
    fr_log_close(log);
    model_free(m);
    io_sim_free(sim);
    uint64_t hit = 0, base_memory = fr_mem_used(FR_MEM_LOG);
    for (uint64_t n = 1; n <= calls; n++) {
        sim = sim_with_dir(1);
        m = model_new(77);
        log = NULL;
        compacted = 0;
        fr_mem_fail_at(n);
        fr_code code = story(sim, m, &options, &log, &compacted, &err);
        fr_mem_fail_at(0);
        if (code) {
            hit++;
            assert_true(code == FR_ERR_NO_MEMORY || code == FR_ERR_READ_ONLY);
        }
        if (log && fr_log_state(log) == FR_OK) {
            if (fr_log_end(log) < m->count) m->count = fr_log_end(log);
            assert_int_equal(model_append(m, log, 1, 20, 100, &err), FR_OK);
            assert_int_equal(model_sync(m, log, &err), FR_OK);
        }
        fr_log_close(log);
        log = open_or_fail(sim, &options, n);
        model_take_end(m, log);
        check_life(m, log, FR_MIN(compacted, fr_log_end(log)), n);
        fr_log_close(log);
        model_free(m);
        io_sim_free(sim);
        assert_int_equal(fr_mem_used(FR_MEM_LOG), base_memory);
    }
    assert_true(hit > 50);
}

int main(void)
{
    fr_note_level(FR_NOTE_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_cuts),
        cmocka_unit_test(the_same_seed_is_the_same_run),
        cmocka_unit_test(every_operation_fails_once),
        cmocka_unit_test(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
