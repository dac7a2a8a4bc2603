/* test_engine_scroll.c: pages of a walk against a model, with and without writes between them; pages that go on cost no scan. */
#include "engine_help.h"

#include "server/engine/query.h"

#define KEYS 600

static float model[KEYS]; /* version; -1: not there */
static uint32_t seed = 7;

static uint32_t random_below(uint32_t limit)
{
    seed = seed * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)seed * limit >> 32);
}

/* In the order of keys: number i, or a text of which the first eight bytes tell nothing. */
static const char *key_of(bool numbers, int i)
{
    static char text[32];
    if (numbers) snprintf(text, sizeof text, "%d", (i - KEYS / 2) * 7);
    else snprintf(text, sizeof text, "the same %04d", i);
    return text;
}

static void write_one(fr_db *db, fr_id id, bool numbers, int i, int version)
{
    if (version < 0) must(delete_key(db, id, key_of(numbers, i), NULL, err));
    else must(upsert(db, id, key_of(numbers, i), (float)i, (float)version, NULL, err));
    model[i] = (float)version;
}

/* One page behind `after` (an ordinal, -1: from the start) as the model has it; answers the last ordinal, KEYS at the end. */
static int page(fr_searcher *s, fr_id id, bool numbers, const char *filter, int after, uint32_t limit)
{
    fr_hit hits[16];
    uint32_t count = 0, expected = 0;
    fr_condition condition = {.filter = filter};
    char key[32] = "";
    if (after >= 0) snprintf(key, sizeof key, "%s", key_of(numbers, after));
    must(fr_scroll(s, id, filter ? &condition : NULL, fr_span_text(key), limit, NULL, hits, &count, err));
    for (int i = after + 1; i < KEYS && expected < limit; i++) {
        if (model[i] < 0 || (filter && model[i] != 1)) continue;
        assert_true(expected < count);
        const char *wanted = key_of(numbers, i);
        assert_int_equal(hits[expected].key.size, strlen(wanted));
        assert_memory_equal(hits[expected].key.data, wanted, strlen(wanted));
        assert_int_equal(fr_doc_int(fr_doc_get(fr_doc_root(hits[expected].metadata), fr_span_text("v"))), (int64_t)model[i]);
        expected++;
        after = i;
    }
    assert_int_equal(count, expected);
    return count < limit ? KEYS : after;
}

static void walks(bool numbers, uint32_t partitions)
{
    fr_db *db = open_db();
    fr_id id;
    fr_collection_def *def = calloc(1, sizeof *def);
    snprintf(def->name, sizeof def->name, "walk");
    def->dimension = DIM, def->metric = FR_METRIC_L2, def->partitions = partitions;
    def->id_type = numbers ? FR_ID_INT64 : FR_ID_STRING;
    fr_write w = {.kind = FR_WRITE_COLLECTION_CREATE, .def = def};
    must(fr_submit_wait(db, &w, err));
    id = w.id;
    free(def);
    for (int i = 0; i < KEYS; i++) model[i] = -1;
    for (int i = 0; i < KEYS; i++)
        if (i % 10) write_one(db, id, numbers, (i * 7) % KEYS, i % 3);
    fr_searcher *s;
    must(fr_searcher_create(db, &s));
    for (int round = 0; round < 12; round++) {
        const char *filter = round % 3 == 2 ? "v == 1" : NULL;
        int at = page(s, id, numbers, filter, -1, 10);
        for (int n = 0; at < KEYS; n++) {
            if (round % 4 == 1 && n % 3 == 0) write_one(db, id, numbers, (int)random_below(KEYS), (int)random_below(4) - 1);
            if (round % 4 == 2 && n % 2 == 0) write_one(db, id, numbers, (int)random_below(KEYS), -1); /* a delete leaves a run as it is */
            if (round % 4 == 3 && n == 4) at = (int)random_below((uint32_t)at); /* a walk that goes back */
            at = page(s, id, numbers, filter, at, 10);
        }
        if (round == 0) assert_true(s->run.served > 40); /* of some 54 pages: one run behind the first, read by the others */
    }
    fr_searcher_free(s);
    fr_close(db);
}

static void texts(void **state) { (void)state; walks(false, 1); }
static void numbers_over_partitions(void **state) { (void)state; walks(true, 3); }

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(texts, make_test_dir, remove_test_dir),
                                       cmocka_unit_test_setup_teardown(numbers_over_partitions, make_test_dir, remove_test_dir)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
