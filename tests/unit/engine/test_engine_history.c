/* test_engine_history.c: what several writers were told and several readers saw, while snapshots, compaction, linking and growth go on, is
 * explained by one order of all writes (history_help.h): answered = visible to every later read, requests whole, deletes for good. */
#include "engine_help.h"

#include <pthread.h>

#include "history_help.h"

#define WRITERS    3u
#define READERS    3u
#define WRITES     220u /* of each writer */
#define READS_MAX  6000u
#define FILLERS    40u /* rows of a write that only make the table grow */

static fr_db *db;
static fr_id id;
static _Atomic uint64_t clock_now; /* relaxed: tickets must not order what the engine has to order itself */
static _Atomic bool over;
static _Atomic uint32_t next_version, write_count, read_count, misses;
static char names[GROUPS][MEMBERS][24];
static history seen;

static uint64_t ticket(void) { return atomic_fetch_add_explicit(&clock_now, 1, memory_order_relaxed); }
static uint64_t pick(uint64_t *state, uint64_t bound) { return fr_mix64(*state += 0x9e3779b97f4a7c15u) % bound; }

static void put_member(fr_batch *b, const char *key, float number, int32_t version, int32_t group)
{
    float vector[DIM];
    vector_of(vector, number, (float)version);
    fr_doc_builder doc = {0};
    fr_doc_begin_object(&doc);
    fr_doc_put_key(&doc, "g", 1);
    fr_doc_put_int(&doc, group);
    fr_doc_end_object(&doc);
    fr_span bytes;
    must(fr_doc_finish(&doc, &bytes));
    fr_value values[] = {{FR_FIELD_VECTOR, FR_TYPE_VECTOR_F32, {vector, sizeof vector}}, {FR_FIELD_DYNAMIC, FR_TYPE_JSON, bytes}};
    fr_event event = {.key = fr_span_text(key), .values = values, .value_count = 2, .source_time_ms = FR_TIME_NONE};
    must(fr_batch_put(b, &event, err));
    fr_doc_free(&doc);
}

/* Half of each group's keys in either partition: then a write's offsets tell its place among all writes. */
static void find_names(void)
{
    for (uint32_t g = 0; g < GROUPS; g++) {
        uint32_t in[2] = {0, 0};
        for (uint32_t n = 0; in[0] + in[1] < MEMBERS; n++) {
            fr_write w = {0};
            char *name = names[g][in[0] + in[1]];
            snprintf(name, sizeof names[g][0], "g%u-%u", g, n);
            must(upsert(db, id, name, 0, 0, &w, err));
            if (in[w.written[0].partition] < MEMBERS / 2) in[w.written[0].partition]++;
            must(delete_key(db, id, name, NULL, err));
        }
    }
}

static void note_write(const fr_write *w, uint64_t began, uint64_t answered, int32_t group, int32_t version)
{
    assert_int_equal(w->written_count, 2);
    const fr_written *first = &w->written[w->written[0].partition != 0], *other = &w->written[w->written[0].partition == 0];
    history_write *out = &seen.writes[atomic_fetch_add_explicit(&write_count, 1, memory_order_relaxed)];
    *out = (history_write){.began = began, .answered = answered, .at = first->first, .other_at = other->first, .group = group, .version = version,
                           .existed = version == NOTHING ? (int32_t)w->existed : -1};
}

static void note_read(const history_read *r)
{
    uint32_t at = atomic_fetch_add_explicit(&read_count, 1, memory_order_relaxed);
    if (at < READS_MAX) seen.reads[at] = *r;
}

/* A delete by filter that found nothing wrote nothing: it is a read. */
static void note_nothing(uint64_t began, uint64_t answered, int32_t group)
{
    history_read r = {.began = began, .ended = answered, .how = "delete by filter"};
    for (uint32_t g = 0; g < GROUPS; g++) r.saw[g] = (int32_t)g == group ? NOTHING : NOT_SEEN;
    note_read(&r);
}

static void write_group(uint64_t *random, int32_t group)
{
    fr_batch b = {0};
    char filter[24];
    uint64_t what = pick(random, 10);
    int32_t version = what < 7 ? (int32_t)atomic_fetch_add_explicit(&next_version, 1, memory_order_relaxed) : NOTHING;
    for (uint32_t m = 0; m < MEMBERS; m++) {
        if (version != NOTHING) put_member(&b, names[group][m], (float)((uint32_t)group * MEMBERS + m), version, group);
        else must(remove_event(&b, names[group][m], err));
    }
    fr_write w = {.kind = FR_WRITE_EVENTS, .id = id, .batch = &b, .ack = what == 0 ? FR_ACK_DURABLE : FR_ACK_APPLIED};
    if (what == 9) {
        snprintf(filter, sizeof filter, "g == %d", group);
        w = (fr_write){.kind = FR_WRITE_DELETE_MATCHING, .id = id, .filter = filter};
    }
    uint64_t began = ticket();
    must(fr_submit_wait(db, &w, err));
    uint64_t answered = ticket();
    if (w.written_count == 0) note_nothing(began, answered, group);
    else note_write(&w, began, what == 0 ? UINT64_MAX : answered, group, version); /* durable: no promise when it is seen */
    fr_batch_free(&b);
}

static void *writer(void *argument)
{
    uint32_t me = (uint32_t)(uintptr_t)argument;
    uint64_t random = me * 1000003 + 1;
    for (uint32_t i = 0; i < WRITES; i++) {
        write_group(&random, (int32_t)pick(&random, GROUPS));
        if (me == 0 && i % 3 == 0) { /* growth, and slots that are used again */
            fr_batch b = {0};
            char key[24];
            for (uint32_t n = 0; n < FILLERS; n++) {
                snprintf(key, sizeof key, "f%u", i * FILLERS + n);
                put_member(&b, key, -100, (int32_t)n, -1);
                snprintf(key, sizeof key, "f%u", (i - 3) * FILLERS + n);
                if (i >= 3 && n % 2 == 0) must(remove_event(&b, key, err));
            }
            must(write_batch(db, id, &b, NULL, err));
            fr_batch_free(&b);
        }
    }
    return NULL;
}

/* What the hits say of each group; whole: a group without a hit has no key. */
static void fold(history_read *r, const fr_hit *hits, uint32_t count, bool whole, int32_t only)
{
    uint32_t met[GROUPS] = {0};
    for (uint32_t g = 0; g < GROUPS; g++) r->saw[g] = whole && (only < 0 || only == (int32_t)g) ? NOTHING : NOT_SEEN;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t g = (uint32_t)hits[i].vector[0] / MEMBERS;
        int32_t version = (int32_t)hits[i].vector[1];
        if (hits[i].vector[0] < 0) continue; /* a filler */
        assert_true(g < GROUPS);
        r->saw[g] = met[g]++ == 0 || r->saw[g] == version ? version : HALF;
    }
    for (uint32_t g = 0; g < GROUPS; g++) {
        if (met[g] == 0 || met[g] == MEMBERS) continue;
        if (whole) r->saw[g] = HALF;
        else atomic_fetch_add_explicit(&misses, 1, memory_order_relaxed); /* a graph may miss some, but shows none of another moment */
    }
}

static void read_once(fr_searcher *s, uint64_t *random, fr_hit *hits)
{
    static const char *const how[] = {"get", "exact search", "search with filter", "search"};
    uint64_t what = pick(random, 4);
    int32_t group = what == 0 || what == 2 ? (int32_t)pick(random, GROUPS) : -1;
    uint32_t count = 0;
    float query[DIM];
    char filter[24];
    history_read r = {.how = how[what]};
    vector_of(query, (float)pick(random, GROUPS * MEMBERS), (float)atomic_load_explicit(&next_version, memory_order_relaxed));
    fr_query q = {.id = id, .vectors = query, .query_count = 1, .dimension = DIM, .k = GROUPS * MEMBERS, .ef = 200, .with_vector = true, .filter = "g >= 0"};
    if (what == 1) q.exact = true;
    if (what == 2) {
        snprintf(filter, sizeof filter, "g == %d", group);
        q.filter = filter;
        q.exact = pick(random, 2) == 0;
    }
    r.began = ticket();
    if (what == 0) {
        fr_span keys[MEMBERS];
        for (uint32_t m = 0; m < MEMBERS; m++) keys[m] = fr_span_text(names[group][m]);
        must(fr_get(s, id, keys, MEMBERS, &(fr_wanted){.vector = true}, hits, &count, err));
    } else {
        must(fr_search(s, &q, hits, &count, NULL, err));
    }
    r.ended = ticket();
    fold(&r, hits, count, what < 2 || q.exact, group);
    note_read(&r);
}

static void *reader(void *argument)
{
    uint64_t random = (uintptr_t)argument * 7777777 + 5;
    fr_hit *hits = fr_alloc(FR_MEM_TEST, GROUPS * MEMBERS * sizeof *hits);
    fr_searcher *s;
    must(fr_searcher_create(db, &s));
    while (!atomic_load_explicit(&over, memory_order_relaxed)) {
        uint32_t due = 100 + atomic_load_explicit(&write_count, memory_order_relaxed) * (READS_MAX / (WRITERS * WRITES));
        if (atomic_load_explicit(&read_count, memory_order_relaxed) < due) read_once(s, &random, hits);
        else usleep(100); /* reads are spread over all writes */
    }
    fr_searcher_free(s);
    fr_free(FR_MEM_TEST, hits);
    return NULL;
}

static void *caretaker(void *argument)
{
    (void)argument;
    for (uint32_t i = 0; !atomic_load_explicit(&over, memory_order_relaxed); i++) {
        if (i % 3 == 0) must(fr_compact(db, id, err));
        else must(fr_snapshot(db, err));
        usleep(5000);
    }
    return NULL;
}

static void check_last(const int32_t last[GROUPS])
{
    for (uint32_t g = 0; g < GROUPS; g++)
        for (uint32_t m = 0; m < MEMBERS; m++)
            if ((int32_t)version_of(db, id, names[g][m]) != last[g]) fail_msg("%s has not version %d after a restart", names[g][m], last[g]);
}

static void one_order_explains_all(void **state)
{
    (void)state;
    pthread_t writers[WRITERS], readers[READERS], care;
    int32_t last[GROUPS];
    seen.writes = fr_zalloc(FR_MEM_TEST, WRITERS * WRITES * sizeof *seen.writes);
    seen.reads = fr_zalloc(FR_MEM_TEST, READS_MAX * sizeof *seen.reads);
    db = open_with(&(fr_options){.linkers = 2, .snapshot_bytes = 50000});
    must(create_collection(db, "h", 2, FR_METRIC_L2, &id, err));
    find_names();
    for (uintptr_t i = 0; i < READERS; i++) pthread_create(&readers[i], NULL, reader, (void *)i);
    pthread_create(&care, NULL, caretaker, NULL);
    for (uintptr_t i = 0; i < WRITERS; i++) pthread_create(&writers[i], NULL, writer, (void *)i);
    for (uint32_t i = 0; i < WRITERS; i++) pthread_join(writers[i], NULL);
    atomic_store_explicit(&over, true, memory_order_relaxed);
    for (uint32_t i = 0; i < READERS; i++) pthread_join(readers[i], NULL);
    pthread_join(care, NULL);
    seen.write_count = atomic_load(&write_count);
    seen.read_count = FR_MIN(atomic_load(&read_count), READS_MAX);
    bool holds = history_holds(&seen, last);
    print_message("%u writes, %u reads, %u groups that a graph showed in part\n", seen.write_count, seen.read_count, atomic_load(&misses));
    if (!holds) fail_msg("%s", seen.why);
    assert_true(seen.read_count > 100);
    fr_close(db);
    db = open_db();
    check_last(last);
    fr_close(db);
    fr_free(FR_MEM_TEST, seen.writes);
    fr_free(FR_MEM_TEST, seen.reads);
}

/* ==== the checker is checked ==== */

#define SET(from, to, place, g, v) {.began = from, .answered = to, .at = place, .other_at = place, .group = g, .version = v, .existed = -1}

static bool holds(history_write *writes, uint32_t write_n, history_read *reads, uint32_t read_n)
{
    history h = {.writes = writes, .write_count = write_n, .reads = reads, .read_count = read_n};
    return history_holds(&h, NULL);
}

static history_read saw(uint64_t began, uint64_t ended, int32_t first, int32_t second)
{
    history_read r = {.began = began, .ended = ended, .how = "made up", .saw = {first, second}};
    for (uint32_t g = 2; g < GROUPS; g++) r.saw[g] = NOT_SEEN;
    return r;
}

static void the_checker_fails_what_is_wrong(void **state)
{
    (void)state;
    history_write w[] = {SET(10, 20, 0, 0, 1), SET(30, 40, 1, 1, 2), SET(50, 60, 2, 0, NOTHING)};
    assert_true(holds(w, 3, (history_read[]){saw(1, 2, NOTHING, NOTHING), saw(11, 12, 1, NOTHING), saw(31, 61, 1, 2), saw(70, 71, NOTHING, 2)}, 4));
    assert_true(holds(w, 3, (history_read[]){saw(11, 12, NOTHING, NOTHING), saw(11, 13, 1, NOTHING)}, 2)); /* side by side: either is right */
    assert_false(holds(w, 3, (history_read[]){saw(21, 22, NOTHING, NOTHING)}, 1));                      /* answered, not seen */
    assert_false(holds(w, 3, (history_read[]){saw(5, 6, 1, NOTHING)}, 1));                              /* seen before it was asked for */
    assert_false(holds(w, 3, (history_read[]){saw(70, 71, 1, 2)}, 1));                                  /* back from the dead */
    assert_false(holds(w, 3, (history_read[]){saw(11, 12, HALF, NOTHING)}, 1));
    assert_false(holds(w, 3, (history_read[]){saw(11, 12, 7, NOTHING)}, 1));                            /* nobody wrote that */
    assert_false(holds(w, 3, (history_read[]){saw(11, 12, 1, NOTHING), saw(13, 14, NOTHING, NOTHING)}, 2)); /* seen, then unseen */
    assert_false(holds(w, 3, (history_read[]){saw(31, 61, NOTHING, NOTHING)}, 1));
    history_write two[] = {SET(10, 40, 0, 0, 1), SET(10, 40, 1, 1, 2)}; /* the second is never seen without the first */
    assert_false(holds(two, 2, (history_read[]){saw(11, 12, NOTHING, 2)}, 1));
    history_write late[] = {SET(30, 40, 0, 0, 1), SET(10, 20, 1, 0, 2)}; /* ordered against the clock */
    assert_false(holds(late, 2, NULL, 0));
    history_write other[] = {SET(10, 40, 0, 0, 1), {.began = 10, .answered = 40, .at = 1, .other_at = -1, .group = 0, .version = 2, .existed = -1}};
    assert_false(holds(other, 2, NULL, 0)); /* partition 1 has another order */
    history_write gone[] = {SET(10, 20, 0, 0, 1), {.began = 30, .answered = 40, .at = 1, .other_at = 1, .group = 0, .version = NOTHING, .existed = 2}};
    assert_false(holds(gone, 2, NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_checker_fails_what_is_wrong),
        cmocka_unit_test_setup_teardown(one_order_explains_all, make_test_dir, remove_test_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
