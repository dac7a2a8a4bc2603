/* keys_help.h: a small database on a simulated disk, and what its keys must say. */
#ifndef FR_KEYS_HELP_H
#define FR_KEYS_HELP_H

#include "engine_help.h"

#include "tests/sim/io_sim.c"

#define KEYS 40

typedef struct state_of_keys {
    int versions[KEYS]; /* -1: not there */
} state_of_keys;

static fr_id the_id;
static inline const fr_options *options_of(io_sim *sim)
{
    static fr_options options;
    options = (fr_options){.no_threads = true, .io = io_sim_io(sim), .memory_limit = UINT64_MAX, .no_snapshot_on_close = true};
    return &options;
}

static inline void key_of(int key, char out[16]) { snprintf(out, 16, "k%d", key); }

/* Versions v for the keys from..to; every seventh goes instead. */
static inline fr_code write_keys(fr_db *db, int from, int to, int v, state_of_keys *state, fr_err *err)
{
    fr_batch b = {0};
    fr_code code = FR_OK;
    for (int i = from; i < to && code == FR_OK; i++) {
        char key[16];
        key_of(i, key);
        bool gone = (i + v) % 7 == 0;
        code = gone ? remove_event(&b, key, err) : put_event(&b, key, (float)i, (float)v, NULL, FR_TIME_NONE, err);
        if (state != NULL) state->versions[i] = gone ? -1 : v;
    }
    if (code == FR_OK) code = write_batch(db, the_id, &b, NULL, err);
    fr_batch_free(&b);
    return code;
}

static inline void read_state(fr_db *db, state_of_keys *out)
{
    fr_searcher *s;
    fr_hit hits[KEYS + 8];
    uint32_t count;
    for (int i = 0; i < KEYS; i++) out->versions[i] = -1;
    must(fr_searcher_create(db, &s));
    must(fr_scroll(s, the_id, NULL, fr_span_text(""), KEYS + 8, &(fr_wanted){.vector = true}, hits, &count, err));
    for (uint32_t i = 0; i < count; i++) {
        char text[16] = "";
        int key = -1;
        memcpy(text, hits[i].key.data, FR_MIN(hits[i].key.size, sizeof text - 1));
        if (sscanf(text, "k%d", &key) != 1 || key < 0 || key >= KEYS) continue;
        assert_int_equal(out->versions[key], -1); /* once */
        out->versions[key] = (int)hits[i].vector[1];
    }
    float query[DIM];
    vector_of(query, 20, 2);
    fr_query q = {.id = the_id, .vectors = query, .query_count = 1, .dimension = DIM, .k = KEYS + 8, .exact = true};
    uint32_t found = 0;
    must(fr_search(s, &q, hits, &found, NULL, err));
    assert_int_equal(found, count);
    fr_searcher_free(s);
}

/* A collection whose files could not be read when it was opened is closed, and says so; the others go on. */
static inline bool closed_by_recovery(fr_db *db)
{
    fr_collection_info *info = calloc(1, sizeof *info);
    must(fr_collection_get(db, the_id, info));
    bool closed = info->state != FR_OK;
    free(info);
    return closed;
}

static inline bool same(const state_of_keys *a, const state_of_keys *b) { return memcmp(a, b, sizeof *a) == 0; }

static inline io_sim *prepare(state_of_keys *state)
{
    io_sim *sim = io_sim_create(5);
    fr_db *db;
    for (int i = 0; i < KEYS; i++) state->versions[i] = -1;
    must(fr_open("/d", options_of(sim), &db, err));
    must(create_collection(db, "c", 2, FR_METRIC_L2, &the_id, err));
    for (int v = 1; v <= 3; v++) {
        must(write_keys(db, v == 3 ? 20 : 0, KEYS, v == 3 ? 3 : v, state, err));
        if (v < 3) must(fr_snapshot(db, err));
        if (v == 1) io_sim_advance(sim, 26 * 3600 * 1000); /* the first tombstones may go */
    }
    io_sim_kill(sim);
    fr_engine_abandon(db);
    io_sim_restart(sim);
    return sim;
}

#endif
