/* Every operation of the engine, broken at every place: the power goes, a file operation fails, the disk is full, a sync fails, an
 * allocation fails, for the n-th of each until the operation ends before it. What was answered is there, what was refused is not,
 * searches go on, a full disk or a lack of memory passes, and no snapshot is lost on the way. */
#include "keys_help.h"

/* ==== the operations ==== */

static fr_code act_upsert(fr_db *db, state_of_keys *state, fr_err *err) { return write_keys(db, 10, 25, 4, state, err); }

static fr_code act_erase(fr_db *db, state_of_keys *state, fr_err *err)
{
    fr_write w = {.kind = FR_WRITE_DELETE_MATCHING, .id = the_id, .filter = "v == 2"};
    for (int i = 0; i < KEYS; i++)
        if (state->versions[i] == 2) state->versions[i] = -1;
    return fr_submit_wait(db, &w, err);
}

static fr_code act_catalog(fr_db *db, state_of_keys *state, fr_err *err)
{
    fr_id id;
    (void)state;
    FR_TRY(create_collection(db, "another", 2, FR_METRIC_L2, &id, err));
    fr_write alias = {.kind = FR_WRITE_ALIAS_PUT, .name = "name", .target = "another"};
    FR_TRY(fr_submit_wait(db, &alias, err));
    fr_write drop = {.kind = FR_WRITE_COLLECTION_DROP, .id = id};
    return fr_submit_wait(db, &drop, err);
}

static fr_code act_search(fr_db *db, state_of_keys *state, fr_err *err)
{
    fr_searcher *s;
    fr_hit hits[KEYS];
    uint32_t count;
    uint64_t total;
    float query[DIM];
    (void)state;
    vector_of(query, 1, 1);
    fr_query q = {.id = the_id, .vectors = query, .query_count = 1, .dimension = DIM, .k = 5, .filter = "v > 1 and v < 9"};
    fr_code code = fr_searcher_create(db, &s);
    if (code != FR_OK) return code;
    code = fr_search(s, &q, hits, &count, NULL, err);
    if (code == FR_OK) code = fr_count(s, the_id, &(fr_condition){.filter = "v != 2"}, &total, err);
    if (code == FR_OK) code = fr_scroll(s, the_id, &(fr_condition){.filter = "v != 2"}, fr_span_text(""), 10, &(fr_wanted){.vector = true}, hits, &count, err);
    fr_searcher_free(s);
    return code;
}

static fr_code act_snapshot(fr_db *db, state_of_keys *state, fr_err *err)
{
    (void)state;
    return fr_snapshot(db, err);
}

static fr_code act_compact(fr_db *db, state_of_keys *state, fr_err *err)
{
    (void)state;
    return fr_compact(db, the_id, err);
}

static fr_code act_recover(fr_db *db, state_of_keys *state, fr_err *err) /* the opening is the operation */
{
    (void)db, (void)state, (void)err;
    return FR_OK;
}

typedef struct act {
    const char *name;
    fr_code (*run)(fr_db *db, state_of_keys *state, fr_err *err);
} act;

static const act acts[] = {{"upsert", act_upsert}, {"erase", act_erase}, {"catalog", act_catalog}, {"search", act_search},
                           {"snapshot", act_snapshot}, {"compact", act_compact}, {"recover", act_recover}};

enum { CUT, FAIL, FULL, BAD_SYNC, MEMORY };
static const char *const fault_names[] = {"power cut", "EIO", "ENOSPC", "failed sync", "no memory"};

static void arm(io_sim *sim, int fault, uint64_t n, uint64_t seed)
{
    if (fault == CUT) io_sim_cut_at(sim, n, seed);
    else if (fault == FAIL) io_sim_fail_at(sim, n, 1, FR_ERR_IO);
    else if (fault == FULL) io_sim_fail_at(sim, n, 1, FR_ERR_DISK_FULL);
    else if (fault == BAD_SYNC) io_sim_fail_sync_at(sim, n);
    else fr_mem_fail_at(n);
}

static void disarm(io_sim *sim)
{
    io_sim_cut_at(sim, 0, 0);
    io_sim_fail_at(sim, 0, 0, FR_OK);
    io_sim_fail_sync_at(sim, 0);
    fr_mem_fail_at(0);
}

static void expect(const act *a, int fault, uint64_t n, const char *when, bool good)
{
    if (!good) fail_msg("%s, %s at %llu: %s", a->name, fault_names[fault], (unsigned long long)n, when);
}

/* Lived through: what is seen is what was answered; memory and space come back by themselves. */
static void judge_live(fr_db *db, const act *a, int fault, uint64_t n, fr_code code, state_of_keys *before, const state_of_keys *after)
{
    state_of_keys seen;
    fr_engine_drain(db);
    read_state(db, &seen);
    expect(a, fault, n, "the live state is wrong", same(&seen, code == FR_OK ? after : before) || (a->run == act_erase && code != FR_OK));
    if (fault != FULL && fault != MEMORY) return;
    fr_stats stats;
    fr_stats_get(db, &stats);
    expect(a, fault, n, "it is final", stats.state != FR_ERR_READ_ONLY);
    must(upsert(db, the_id, "after", 1, 1, NULL, err));
    fr_stats_get(db, &stats);
    expect(a, fault, n, "it does not pass", stats.state == FR_OK);
}

/* true: the fault lay within the operation. */
static bool trial(io_sim *base, const act *a, int fault, uint64_t n, uint64_t seed, const state_of_keys *base_state)
{
    io_sim *sim = io_sim_clone(base);
    fr_db *db = NULL;
    fr_err why = {0};
    state_of_keys before = *base_state, after = before, seen;
    bool recovering = a->run == act_recover;
    if (!recovering) must(fr_open("/d", options_of(sim), &db, err));
    uint64_t operations = io_sim_operations(sim), calls = fr_mem_calls();
    arm(sim, fault, n, seed);
    fr_code code = recovering ? fr_open("/d", options_of(sim), &db, &why) : a->run(db, &after, &why);
    bool fired = fault == MEMORY ? fr_mem_calls() - calls >= n : io_sim_operations(sim) - operations >= n;
    bool down = io_sim_is_down(sim);
    disarm(sim);
    if (code != FR_OK && !down)
        expect(a, fault, n, fr_strcode(code), code == FR_ERR_IO || code == FR_ERR_DISK_FULL || code == FR_ERR_READ_ONLY ||
               code == FR_ERR_NO_MEMORY || code == FR_ERR_BUSY);
    bool closed = recovering && db != NULL && !down && closed_by_recovery(db);
    if (closed) expect(a, fault, n, "a full disk closes a collection", fault == FAIL || fault == BAD_SYNC);
    else if (db != NULL && !down) judge_live(db, a, fault, n, code, &before, &after);
    if (!down && seed % 2 == 0) io_sim_power_cut(sim, seed);
    else if (!down) io_sim_kill(sim);
    if (db != NULL) fr_engine_abandon(db);
    io_sim_restart(sim);
    if (fr_open("/d", options_of(sim), &db, &why) != FR_OK)
        fail_msg("%s, %s at %llu: it does not open again: %s", a->name, fault_names[fault], (unsigned long long)n, why.text);
    fr_stats stats;
    fr_stats_get(db, &stats);
    expect(a, fault, n, "a snapshot is lost", stats.snapshot_fallbacks == 0);
    read_state(db, &seen);
    bool good = same(&seen, &after) || (code != FR_OK && same(&seen, &before));
    expect(a, fault, n, "the state after the restart is wrong", good || (a->run == act_erase && code != FR_OK));
    must(upsert(db, the_id, "after", 1, 2, NULL, err));
    fr_close(db);
    io_sim_free(sim);
    return fired;
}

static void broken_at_every_place(int fault, uint64_t seeds)
{
    fr_note_level((fr_level)-1);
    state_of_keys state;
    io_sim *base = prepare(&state);
    uint64_t trials = 0;
    for (size_t i = 0; i < FR_COUNT_OF(acts); i++) {
        bool fired = true;
        uint64_t times = fault == CUT && acts[i].run == act_snapshot ? 8 * seeds : seeds; /* of its names any one may be lost alone */
        for (uint64_t n = 1; fired; n += fault == MEMORY ? 1 + n / 100 : 1)
            for (uint64_t seed = 0; seed < times; seed++, trials++) fired = trial(base, &acts[i], fault, n, n * 64 + seed, &state);
    }
    print_message("%llu places\n", (unsigned long long)trials);
    io_sim_free(base);
}

static void power_cuts(void **state) { (void)state; broken_at_every_place(CUT, 8); }
static void failed_operations(void **state) { (void)state; broken_at_every_place(FAIL, 1); }
static void full_disks(void **state) { (void)state; broken_at_every_place(FULL, 1); }
static void failed_syncs(void **state) { (void)state; broken_at_every_place(BAD_SYNC, 2); }
static void failed_allocations(void **state) { (void)state; broken_at_every_place(MEMORY, 1); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_cuts),   cmocka_unit_test(failed_operations),  cmocka_unit_test(full_disks),
        cmocka_unit_test(failed_syncs), cmocka_unit_test(failed_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
