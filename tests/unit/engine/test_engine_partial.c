/* test_engine_partial.c: records that give a part of their entity: merged with what is there, whole or not at all; live and replay agree. */
#include "schema_help.h"

#include <pthread.h>

#include "tests/sim/io_sim.c"

#define ABSENT (-1000)
#define NULLED (-1001)

static uint16_t second_id;

/* first f32 x DIM, second f16 x 2 (nullable), and documents. */
static fr_id create_two(fr_db *db, const char *name, uint32_t partitions, bool drop_stale)
{
    fr_id id;
    fr_collection_def *def = new_def(name, FR_TYPE_VARCHAR);
    def->partitions = partitions;
    def->drop_stale = drop_stale;
    add_def(def, "first", FR_TYPE_VECTOR_F32)->dimension = DIM;
    fr_field_def *second = add_def(def, "second", FR_TYPE_VECTOR_F16);
    second->dimension = 2, second->nullable = true;
    must(create_def(db, def, &id, err));
    fr_collection_info *info = calloc(1, sizeof *info);
    must(fr_collection_get(db, id, info));
    second_id = info->def.fields[2].id;
    free(info);
    free(def);
    return id;
}

typedef struct part { /* what one event says; 0: nothing of it */
    const char *key, *event_id, *model;
    float first, second;
    bool whole, removes, no_second; /* no_second: given as null */
    int64_t time;
    struct {
        const char *name;
        int64_t value; /* NULLED */
    } keys[3];
} part;

static fr_code add_part(fr_batch *b, const part *p, fr_err *err)
{
    float first[DIM], second[2] = {p->second, 1};
    fr_value values[3];
    fr_event event = {.key = fr_span_text(p->key),
                      .partial = !p->whole,
                      .remove = p->removes,
                      .source_time_ms = p->time != 0 ? p->time : FR_TIME_NONE,
                      .values = values};
    fr_doc_builder doc = {0};
    fr_span bytes;
    vector_of(first, p->first, 1);
    if (p->event_id != NULL) event.event_id = fr_span_text(p->event_id);
    if (p->model != NULL) event.model_version = fr_span_text(p->model);
    if (p->first != 0) values[event.value_count++] = (fr_value){FR_FIELD_VECTOR, FR_TYPE_VECTOR_F32, {first, sizeof first}};
    if (p->second != 0) values[event.value_count++] = (fr_value){second_id, FR_TYPE_VECTOR_F32, {second, sizeof second}};
    if (p->no_second) values[event.value_count++] = (fr_value){second_id, FR_TYPE_VECTOR_F16, {NULL, 0}};
    fr_doc_begin_object(&doc);
    for (uint32_t i = 0; i < 3 && p->keys[i].name != NULL; i++) {
        fr_doc_put_key(&doc, p->keys[i].name, strlen(p->keys[i].name));
        if (p->keys[i].value == NULLED) fr_doc_put_null(&doc);
        else fr_doc_put_int(&doc, p->keys[i].value);
    }
    fr_doc_end_object(&doc);
    assert_int_equal(fr_doc_finish(&doc, &bytes), FR_OK);
    if (p->keys[0].name != NULL) values[event.value_count++] = (fr_value){FR_FIELD_DYNAMIC, FR_TYPE_JSON, bytes};
    fr_code code = fr_batch_put(b, &event, err);
    fr_doc_free(&doc);
    return code;
}

static fr_code write_parts(fr_db *db, fr_id id, const part *parts, uint32_t count, fr_write *out, fr_err *err)
{
    fr_batch b = {0};
    fr_code code = FR_OK;
    for (uint32_t i = 0; i < count && code == FR_OK; i++) code = add_part(&b, &parts[i], err);
    if (code == FR_OK) code = write_batch(db, id, &b, out, err);
    fr_batch_free(&b);
    return code;
}

static fr_code write_one(fr_db *db, fr_id id, part one, fr_err *err) { return write_parts(db, id, &one, 1, NULL, err); }

/* first's first number; second's, ABSENT; the document's keys in the order written, "a=1 b=null". */
static void expect(fr_db *db, fr_id id, const char *key, float first, float second, const char *document)
{
    fr_searcher *s;
    fr_hit hit;
    uint32_t count = 0;
    char text[160] = "";
    fr_span span = fr_span_text(key), name;
    fr_doc value;
    must(fr_searcher_create(db, &s));
    must(fr_get(s, id, &span, 1, &(fr_wanted){.vector = true, .vector_fields = 3}, &hit, &count, err));
    assert_int_equal(count, 1);
    assert_true(hit.vector != NULL && hit.vector[0] == first && hit.vector[2] == 1);
    if (second == ABSENT) {
        assert_int_equal(hit.vectors[1].size, 0);
    } else {
        float numbers[2];
        assert_int_equal(hit.vectors[1].size, 4);
        fr_vector_unpack(FR_TYPE_VECTOR_F16, hit.vectors[1].data, 2, numbers);
        assert_true(numbers[0] == second && numbers[1] == 1);
    }
    if (hit.metadata.size != 0)
        for (fr_doc_iter iter = fr_doc_begin(fr_doc_root(hit.metadata)); fr_doc_next(&iter, &name, &value);) {
            size_t at = strlen(text);
            if (fr_doc_type(value) == FR_DOC_NULL)
                snprintf(text + at, sizeof text - at, "%s%.*s=null", at != 0 ? " " : "", (int)name.size, (const char *)name.data);
            else
                snprintf(text + at, sizeof text - at, "%s%.*s=%d", at != 0 ? " " : "", (int)name.size, (const char *)name.data,
                         (int)fr_doc_int(value));
        }
    assert_string_equal(text, document);
    fr_searcher_free(s);
}

static void expect_no(fr_db *db, fr_id id, const char *key)
{
    fr_searcher *s;
    fr_hit hit;
    uint32_t count = 0;
    fr_span span = fr_span_text(key);
    must(fr_searcher_create(db, &s));
    must(fr_get(s, id, &span, 1, NULL, &hit, &count, err));
    assert_int_equal(count, 0);
    fr_searcher_free(s);
}

static void expect_origin(fr_db *db, fr_id id, const char *key, const char *model, int64_t time)
{
    fr_searcher *s;
    fr_hit hit;
    uint32_t count = 0;
    fr_span span = fr_span_text(key);
    must(fr_searcher_create(db, &s));
    must(fr_get(s, id, &span, 1, NULL, &hit, &count, err));
    assert_int_equal(count, 1);
    assert_true(fr_span_equal(hit.model_version, fr_span_text(model)));
    assert_int_equal(hit.source_time_ms, time);
    fr_searcher_free(s);
}

static fr_db *again(fr_db *db, bool without_snapshot)
{
    char command[192];
    fr_close(db);
    snprintf(command, sizeof command, "rm -rf '%s'/snap", test_dir);
    if (without_snapshot) assert_int_equal(system(command), 0);
    return open_db();
}

static void check_merged(fr_db *db, fr_id id)
{
    assert_int_equal(count_of(db, id, NULL), 4);
    expect(db, id, "doc", 1, 5, "a=1 b=null c=3");
    expect(db, id, "first", 9, 5, "a=1 b=2");
    expect(db, id, "second", 1, 8, "a=1 b=2");
    expect(db, id, "null", 1, ABSENT, "a=1 b=2");
    expect_origin(db, id, "doc", "m1", 70);
    expect_origin(db, id, "first", "m2", 80);
}

static void what_is_not_given_stays(void **state)
{
    (void)state;
    const char *all[] = {"doc", "first", "second", "null"};
    for (uint32_t partitions = 1; partitions <= 3; partitions += 2) {
        fr_db *db = open_db();
        fr_id id = create_two(db, "merged", partitions, false);
        for (uint32_t i = 0; i < 4; i++)
            must(write_one(db, id,
                           (part){.key = all[i], .whole = true, .first = 1, .second = 5, .model = "m1", .time = 70,
                                  .keys = {{"a", 1}, {"b", 2}}},
                           err));
        must(write_one(db, id, (part){.key = "doc", .keys = {{"c", 3}, {"b", NULLED}}}, err));
        must(write_one(db, id, (part){.key = "first", .first = 9, .model = "m2", .time = 80}, err));
        must(write_one(db, id, (part){.key = "second", .second = 8}, err));
        must(write_one(db, id, (part){.key = "null", .no_second = true}, err));
        check_merged(db, id);
        for (uint32_t round = 0; round < 3; round++) { /* with a snapshot, without one, from a compacted log */
            db = again(db, round != 0);
            check_merged(db, id);
            must(fr_compact(db, id, err));
        }
        must(write_one(db, id, (part){.key = "doc", .keys = {{"a", 7}}}, err)); /* from what a restart has loaded */
        expect(db, id, "doc", 1, 5, "a=7 b=null c=3");
        fr_write drop = {.kind = FR_WRITE_COLLECTION_DROP, .id = id};
        must(fr_submit_wait(db, &drop, err));
        fr_close(db);
    }
}

static void no_entity_is_not_found_and_nothing_is_written(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id = create_two(db, "missing", 3, false);
    fr_err why = {0};
    fr_write w;
    assert_int_equal(write_one(db, id, (part){.key = "k", .keys = {{"a", 1}}}, &why), FR_ERR_NOT_FOUND);
    assert_string_equal(why.field, "records[0].id");
    must(write_one(db, id, (part){.key = "k", .first = 2}, err)); /* whole enough */
    expect(db, id, "k", 2, ABSENT, "");
    part mixed[6] = {{.key = "k", .keys = {{"a", 1}}}, {.key = "n", .whole = true, .first = 3}, {.key = "absent", .second = 1}};
    assert_int_equal(write_parts(db, id, mixed, 3, &w, &why), FR_ERR_NOT_FOUND);
    assert_string_equal(why.field, "records[2].id");
    assert_int_equal(w.written_count, 0);
    expect(db, id, "k", 2, ABSENT, "");
    expect_no(db, id, "n");
    must(delete_key(db, id, "k", NULL, err));
    assert_int_equal(write_one(db, id, (part){.key = "k", .keys = {{"a", 1}}}, &why), FR_ERR_NOT_FOUND);
    db = again(db, true);
    assert_int_equal(count_of(db, id, NULL), 0);
    must(write_one(db, id, (part){.key = "k", .whole = true, .first = 4}, err)); /* the barrier is gone */
    fr_close(db);
}

static void later_events_see_earlier_ones(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id = create_two(db, "order", 4, false);
    fr_err why = {0};
    fr_write w;
    must(write_one(db, id, (part){.key = "old", .whole = true, .first = 1, .second = 2, .keys = {{"a", 1}}}, err));
    part parts[] = {{.key = "new", .whole = true, .first = 3, .keys = {{"a", 1}}},
                    {.key = "old", .keys = {{"b", 2}}},
                    {.key = "new", .second = 4},
                    {.key = "old", .first = 5},
                    {.key = "gone", .whole = true, .first = 6},
                    {.key = "new", .keys = {{"a", 9}, {"c", 3}}},
                    {.key = "gone", .removes = true},
                    {.key = "old", .whole = true, .first = 7, .keys = {{"z", 1}}},
                    {.key = "old", .second = 8}};
    must(write_parts(db, id, parts, FR_COUNT_OF(parts), &w, err));
    assert_int_equal(w.records, FR_COUNT_OF(parts));
    assert_int_equal(w.duplicates, 0);
    assert_int_equal(w.existed, 1);
    for (uint32_t round = 0; round < 2; round++) {
        expect(db, id, "new", 3, 4, "a=9 c=3");
        expect(db, id, "old", 7, 8, "z=1");
        expect_no(db, id, "gone");
        db = again(db, true);
    }
    part undone[] = {{.key = "old", .removes = true}, {.key = "old", .keys = {{"y", 1}}}};
    assert_int_equal(write_parts(db, id, undone, 2, NULL, &why), FR_ERR_NOT_FOUND);
    expect(db, id, "old", 7, 8, "z=1");
    fr_close(db);
}

static void event_ids_answer_partial_records(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id = create_two(db, "ids", 2, false);
    fr_write first, w;
    part one = {.key = "k", .event_id = "e1", .keys = {{"a", 2}}}, later = {.key = "k", .event_id = "e2", .keys = {{"b", 3}}};
    must(write_one(db, id, (part){.key = "k", .whole = true, .first = 1, .keys = {{"a", 1}}}, err));
    must(write_parts(db, id, &one, 1, &first, err));
    must(write_one(db, id, (part){.key = "k", .keys = {{"a", 5}}}, err));
    for (uint32_t round = 0; round < 2; round++) {
        must(write_parts(db, id, &one, 1, &w, err));
        assert_int_equal(w.duplicates, 1);
        assert_int_equal(w.records, 0);
        assert_int_equal(w.written[0].first, first.written[0].first);
        expect(db, id, "k", 1, ABSENT, "a=5");
        db = again(db, true);
    }
    part twice[] = {later, one, {.key = "k", .event_id = "e2", .keys = {{"b", 4}}}, {.key = "k", .keys = {{"c", 1}}}};
    must(write_parts(db, id, twice, 4, &w, err));
    assert_int_equal(w.records, 2);
    assert_int_equal(w.duplicates, 2);
    expect(db, id, "k", 1, ABSENT, "a=5 b=3 c=1");
    must(delete_key(db, id, "k", NULL, err));
    must(write_parts(db, id, &one, 1, &w, err)); /* it was done, though there is no entity any more */
    assert_int_equal(w.duplicates, 1);
    fr_err why = {0};
    later.event_id = "e3"; /* a refused one leaves no id */
    for (uint32_t i = 0; i < 2; i++) assert_int_equal(write_parts(db, id, &later, 1, NULL, &why), FR_ERR_NOT_FOUND);
    fr_close(db);
}

static void the_stale_rule_holds(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id = create_two(db, "stale", 1, true);
    must(write_one(db, id, (part){.key = "k", .whole = true, .first = 1, .time = 100, .keys = {{"a", 1}}}, err));
    part parts[] = {{.key = "k", .time = 50, .keys = {{"a", 2}}},  /* dropped: nobody sees it */
                    {.key = "k", .whole = true, .time = 60, .first = 9},
                    {.key = "k", .time = 200, .keys = {{"b", 2}}},
                    {.key = "k", .keys = {{"c", 3}}}};             /* its time stays */
    must(write_parts(db, id, parts, 4, NULL, err));
    must(write_one(db, id, (part){.key = "k", .time = 150, .keys = {{"a", 7}}}, err));
    for (uint32_t round = 0; round < 2; round++) {
        expect(db, id, "k", 1, ABSENT, "a=1 b=2 c=3");
        expect_origin(db, id, "k", "", 200);
        db = again(db, true);
    }
    fr_close(db);
}

static void what_is_merged_is_judged(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id;
    fr_err why = {0};
    fr_collection_def *def = new_def("typed", FR_TYPE_VARCHAR);
    add_def(def, "first", FR_TYPE_VECTOR_F32)->dimension = DIM;
    add_def(def, "year", FR_TYPE_INT32);
    add_def(def, "gone", FR_TYPE_INT32)->nullable = true;
    def->no_dynamic = true;
    must(create_def(db, def, &id, err));
    free(def);
    must(write_one(db, id, (part){.key = "k", .whole = true, .first = 1, .keys = {{"gone", 4}, {"year", 3}}}, err));
    assert_int_equal(write_one(db, id, (part){.key = "k", .keys = {{"year", NULLED}}}, &why), FR_ERR_INVALID);
    assert_string_equal(why.field, "records[0].year");
    assert_int_equal(write_one(db, id, (part){.key = "k", .keys = {{"other", 1}}}, &why), FR_ERR_INVALID);
    must(write_one(db, id, (part){.key = "k", .keys = {{"gone", NULLED}}}, err));
    expect(db, id, "k", 1, ABSENT, "gone=null year=3");
    must(write_one(db, id, (part){.key = "k", .keys = {{"gone", 6}}}, err));
    fr_collection_change change = {.drop = "gone"};
    must(alter(db, id, &change, err));
    must(write_one(db, id, (part){.key = "k", .keys = {{"year", 5}}}, err)); /* what was dropped does not come back */
    expect(db, id, "k", 1, ABSENT, "year=5");
    float longer[DIM + 1] = {1};
    fr_value value = {FR_FIELD_VECTOR, FR_TYPE_VECTOR_F32, {longer, sizeof longer}};
    assert_int_equal(put_values(db, id, "k", &value, 1, true, &why), FR_ERR_INVALID);
    value = (fr_value){FR_FIELD_DYNAMIC, FR_TYPE_JSON, {"\1\1", 2}};
    assert_int_equal(put_values(db, id, "k", &value, 1, true, &why), FR_ERR_INVALID);
    fr_batch b = {0};
    fr_offset at = 0;
    must(add_part(&b, &(part){.key = "k", .first = 1}, err));
    fr_write w = {.kind = FR_WRITE_EVENTS, .id = id, .batch = &b, .only_at = &at};
    assert_int_equal(fr_submit_wait(db, &w, &why), FR_ERR_INVALID);
    fr_batch_free(&b);
    expect(db, id, "k", 1, ABSENT, "year=5");
    fr_close(db);
}

static void take_answer(fr_write *write) { *(uint32_t *)write->user += 1; }

/* All are submitted before the first is applied. */
static void what_was_submitted_before_is_seen(void **state)
{
    (void)state;
    fr_options options = {.no_threads = true};
    fr_db *db = open_with(&options);
    fr_id id = create_two(db, "waits", 2, false);
    part parts[] = {{.key = "k", .whole = true, .first = 1, .keys = {{"a", 1}}},
                    {.key = "k", .keys = {{"b", 2}}},
                    {.key = "k", .second = 3},
                    {.key = "k", .whole = true, .first = 4, .keys = {{"c", 1}}},
                    {.key = "k", .keys = {{"d", 2}}}};
    fr_write writes[FR_COUNT_OF(parts)];
    fr_batch batches[FR_COUNT_OF(parts)] = {{0}};
    uint32_t answered = 0;
    for (uint32_t i = 0; i < FR_COUNT_OF(parts); i++) {
        must(add_part(&batches[i], &parts[i], err));
        writes[i] = (fr_write){.kind = FR_WRITE_EVENTS, .id = id, .batch = &batches[i], .done = take_answer, .user = &answered};
        if (i % 2 == 0) writes[i].ack = FR_ACK_DURABLE;
        must(fr_submit(db, &writes[i], err));
    }
    for (uint32_t i = 0; i < 5; i++) (void)!fr_engine_step(db, FR_ROLE_WRITER); /* nobody applies meanwhile */
    assert_int_equal(answered, 0);
    fr_engine_drain(db);
    assert_int_equal(answered, FR_COUNT_OF(parts));
    for (uint32_t i = 0; i < FR_COUNT_OF(parts); i++) {
        assert_int_equal(writes[i].code, FR_OK);
        assert_int_equal(writes[i].written[0].first, i);
        fr_batch_free(&batches[i]);
    }
    expect(db, id, "k", 4, ABSENT, "c=1 d=2");
    fr_close(db);
}

/* Whatever allocation fails: the request is there whole or not at all, and the collection takes writes again. */
static void every_allocation_fails_in_turn(void **state)
{
    (void)state;
    uint32_t refused = 0;
    for (uint64_t nth = 1; nth < 90; nth++) {
        io_sim *sim = io_sim_create(nth);
        const fr_options options = {.no_threads = true, .io = io_sim_io(sim), .memory_limit = UINT64_MAX};
        fr_db *db = NULL;
        fr_batch b = {0};
        must(fr_open("/d", &options, &db, err));
        fr_id id = create_two(db, "small", 2, false);
        must(write_one(db, id, (part){.key = "k", .whole = true, .first = 1, .second = 2, .keys = {{"a", 1}}}, err));
        must(add_part(&b, &(part){.key = "k", .event_id = "e", .keys = {{"b", 2}}}, err));
        must(add_part(&b, &(part){.key = "new", .whole = true, .first = 5}, err));
        must(add_part(&b, &(part){.key = "k", .first = 3}, err));
        fr_mem_fail_at(nth);
        fr_code code = write_batch(db, id, &b, NULL, NULL);
        fr_mem_fail_at(0);
        for (uint32_t round = 0; round < 2; round++) {
            if (code == FR_OK) {
                expect(db, id, "k", 3, 2, "a=1 b=2");
                expect(db, id, "new", 5, ABSENT, "");
            } else {
                assert_int_equal(code, FR_ERR_NO_MEMORY);
                expect(db, id, "k", 1, 2, "a=1");
                expect_no(db, id, "new");
                refused++;
            }
            fr_engine_abandon(db);
            must(fr_open("/d", &options, &db, err));
        }
        must(write_batch(db, id, &b, NULL, err)); /* a refused one has left no event id */
        expect(db, id, "k", 3, 2, "a=1 b=2");
        fr_close(db);
        fr_batch_free(&b);
        io_sim_free(sim);
    }
    assert_true(refused > 10);
}

/* ==== many writers of one entity: no key is lost ==== */

#define WRITERS 4
#define ROUNDS  60

typedef struct caller {
    fr_db *db;
    fr_id id;
    uint32_t me;
} caller;

static void *write_own_keys(void *argument)
{
    const caller *c = argument;
    char name[8], own[8];
    snprintf(name, sizeof name, "w%u", c->me);
    snprintf(own, sizeof own, "own%u", c->me);
    for (uint32_t i = 1; i <= ROUNDS; i++) {
        part parts[] = {{.key = "shared", .keys = {{name, i}}}, {.key = own, .whole = true, .first = (float)i}, {.key = "other", .keys = {{name, i}}}};
        must(write_parts(c->db, c->id, parts, 3, NULL, err));
        must(write_one(c->db, c->id, (part){.key = own, .whole = true, .first = (float)i, .second = 2}, err));
        if (i % 20 == 0 && c->me == 0) must(fr_snapshot(c->db, err));
    }
    return NULL;
}

static void writers_at_once_lose_nothing(void **state)
{
    (void)state;
    pthread_t threads[WRITERS];
    caller callers[WRITERS];
    fr_db *db = open_db();
    fr_id id = create_two(db, "busy", 3, false);
    part base[] = {{.key = "shared", .whole = true, .first = 1}, {.key = "other", .whole = true, .first = 2}};
    must(write_parts(db, id, base, 2, NULL, err));
    for (uint32_t i = 0; i < WRITERS; i++) {
        callers[i] = (caller){db, id, i};
        assert_int_equal(pthread_create(&threads[i], NULL, write_own_keys, &callers[i]), 0);
    }
    for (uint32_t i = 0; i < WRITERS; i++) pthread_join(threads[i], NULL);
    for (uint32_t round = 0; round < 2; round++) {
        assert_int_equal(count_of(db, id, "w0 == 60 and w1 == 60 and w2 == 60 and w3 == 60"), 2);
        for (uint32_t i = 0; i < WRITERS; i++) {
            char own[8];
            snprintf(own, sizeof own, "own%u", i);
            expect(db, id, own, ROUNDS, 2, "");
        }
        db = again(db, true);
    }
    fr_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_not_given_stays, make_test_dir, remove_test_dir),
        cmocka_unit_test_setup_teardown(no_entity_is_not_found_and_nothing_is_written, make_test_dir, remove_test_dir),
        cmocka_unit_test_setup_teardown(later_events_see_earlier_ones, make_test_dir, remove_test_dir),
        cmocka_unit_test_setup_teardown(event_ids_answer_partial_records, make_test_dir, remove_test_dir),
        cmocka_unit_test_setup_teardown(the_stale_rule_holds, make_test_dir, remove_test_dir),
        cmocka_unit_test_setup_teardown(what_is_merged_is_judged, make_test_dir, remove_test_dir),
        cmocka_unit_test_setup_teardown(what_was_submitted_before_is_seen, make_test_dir, remove_test_dir),
        cmocka_unit_test(every_allocation_fails_in_turn),
        cmocka_unit_test_setup_teardown(writers_at_once_lose_nothing, make_test_dir, remove_test_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
