/* test_engine_schema.c: field lists, changes of collections, databases, aliases, attributes, the clock; across restarts. */
#include "schema_help.h"

static void types_are_judged(void **state)
{
    (void)state;
    static const struct {
        fr_type type;
        int64_t good, bad;
    } cases[] = {{FR_TYPE_INT8, 127, 128}, {FR_TYPE_INT16, -32768, -32769}, {FR_TYPE_INT32, 2147483647, 2147483648}};
    fr_db *db = open_db();
    fr_doc_builder doc = {0};
    for (size_t i = 0; i < FR_COUNT_OF(cases); i++) {
        char name[16];
        fr_id id;
        snprintf(name, sizeof name, "c%zu", i);
        fr_collection_def *def = new_def(name, FR_TYPE_INT64);
        add_def(def, "v", FR_TYPE_VECTOR_F32)->dimension = DIM;
        add_def(def, "n", cases[i].type);
        must(create_def(db, def, &id, err));
        fr_err e = {0};
        must(put_doc(db, id, "1", 1, one_int(&doc, "n", cases[i].good), err));
        assert_int_equal(put_doc(db, id, "2", 1, one_int(&doc, "n", cases[i].bad), &e), FR_ERR_INVALID);
        assert_string_equal(e.field, "records[0].n");
        assert_int_equal(put_doc(db, id, "2", 1, one_int(&doc, "other", 1), &e), FR_ERR_INVALID); /* n is missing */
        assert_int_equal(count_of(db, id, "n in [127, -32768, 2147483647]"), 1);
        free(def);
    }
    fr_doc_free(&doc);
    fr_close(db);
}

static void texts_and_arrays_have_limits(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id;
    fr_collection_def *def = new_def("t", FR_TYPE_VARCHAR);
    add_def(def, "v", FR_TYPE_VECTOR_F32)->dimension = DIM;
    fr_field_def *text = add_def(def, "text", FR_TYPE_VARCHAR), *list = add_def(def, "list", FR_TYPE_ARRAY);
    text->max_length = 3, text->nullable = true;
    list->element_type = FR_TYPE_INT64, list->max_capacity = 2, list->nullable = true;
    def->no_dynamic = true;
    must(create_def(db, def, &id, err));
    for (uint32_t size = 1; size <= 4; size++) {
        fr_doc_builder doc = {0};
        fr_span bytes;
        fr_err e = {0};
        fr_doc_begin_object(&doc);
        fr_doc_put_key(&doc, "text", 4);
        fr_doc_put_string(&doc, "abcd", size);
        fr_doc_put_key(&doc, "list", 4);
        fr_doc_begin_array(&doc);
        for (uint32_t i = 0; i + 1 < size; i++) fr_doc_put_int(&doc, i);
        fr_doc_end_array(&doc);
        fr_doc_put_key(&doc, "$door", 5);
        fr_doc_put_int(&doc, 1);
        fr_doc_end_object(&doc);
        assert_int_equal(fr_doc_finish(&doc, &bytes), FR_OK);
        assert_int_equal(put_doc(db, id, "k", 1, bytes, &e), size <= 3 ? FR_OK : FR_ERR_INVALID);
        fr_doc_free(&doc);
    }
    fr_doc_builder doc = {0};
    fr_err e = {0};
    assert_int_equal(put_doc(db, id, "k", 1, one_int(&doc, "stranger", 1), &e), FR_ERR_INVALID);
    assert_string_equal(e.field, "records[0].stranger");
    must(put_doc(db, id, "k", 1, one_int(&doc, "text", 0).size != 0 ? fr_span_of(NULL, 0) : fr_span_of(NULL, 0), err));
    fr_doc_free(&doc);
    free(def);
    fr_close(db);
}

static void definitions_are_judged(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_err e = {0};
    fr_id id;
    fr_collection_def *def = new_def("d", FR_TYPE_INT64);
    assert_int_equal(create_def(db, def, &id, &e), FR_ERR_INVALID); /* no vector */
    add_def(def, "v", FR_TYPE_VECTOR_F32)->dimension = DIM;
    add_def(def, "$n", FR_TYPE_INT8);
    assert_int_equal(create_def(db, def, &id, &e), FR_ERR_INVALID);
    snprintf(def->fields[2].name, sizeof def->fields[2].name, "v");
    assert_int_equal(create_def(db, def, &id, &e), FR_ERR_INVALID); /* twice */
    snprintf(def->fields[2].name, sizeof def->fields[2].name, "n");
    def->fields[2].type = FR_TYPE_ARRAY; /* of what? */
    assert_int_equal(create_def(db, def, &id, &e), FR_ERR_INVALID);
    def->fields[2].element_type = FR_TYPE_BOOL;
    snprintf(def->database, sizeof def->database, "nowhere");
    assert_int_equal(create_def(db, def, &id, &e), FR_ERR_NOT_FOUND);
    assert_string_equal(e.field, "database");
    def->database[0] = 0;
    must(create_def(db, def, &id, err));
    free(def);
    fr_close(db);
}

static void put_database(fr_db *db, const char *name, bool create_only, fr_code expected, fr_span attributes)
{
    fr_err e = {0};
    fr_write w = {.kind = FR_WRITE_DATABASE_PUT, .name = name, .create_only = create_only, .attributes = attributes};
    if (fr_submit_wait(db, &w, &e) != expected) fail_msg("%s: %s", name, e.text);
}

static void one_database(void *user, const char *name, fr_id id, fr_span attributes)
{
    assert_string_equal(name, "shop");
    assert_true(id >= FR_FIRST_ID && attributes.size != 0);
    ++*(uint32_t *)user;
}

static void databases_hold_names(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_doc_builder doc = {0};
    fr_id here, there, found;
    fr_err e = {0};
    uint64_t version;
    put_database(db, "shop", true, FR_OK, one_int(&doc, "limit", 7));
    put_database(db, "shop", true, FR_ERR_EXISTS, one_int(&doc, "limit", 7));
    put_database(db, "default", true, FR_ERR_EXISTS, (fr_span){NULL, 0});
    fr_collection_def *def = new_def("x", FR_TYPE_INT64);
    add_def(def, "v", FR_TYPE_VECTOR_F32)->dimension = DIM;
    must(create_def(db, def, &here, err));
    snprintf(def->database, sizeof def->database, "shop");
    must(create_def(db, def, &there, err));
    assert_int_equal(create_def(db, def, &found, &e), FR_ERR_EXISTS);
    fr_write alias = {.kind = FR_WRITE_ALIAS_PUT, .name = "y", .target = "x", .database = "shop"};
    must(fr_submit_wait(db, &alias, err));
    for (int round = 0; round < 2; round++) { /* the same after a restart, and a compaction of the catalog */
        must(fr_resolve_in(db, "", "x", &found, &version, err));
        assert_int_equal(found, here);
        must(fr_resolve_in(db, "shop", "y", &found, &version, err));
        assert_int_equal(found, there);
        assert_int_equal(fr_resolve_in(db, "shop", "z", &found, NULL, &e), FR_ERR_NOT_FOUND);
        assert_string_equal(e.field, "collection");
        assert_int_equal(fr_resolve_in(db, "bar", "x", &found, NULL, &e), FR_ERR_NOT_FOUND);
        assert_string_equal(e.field, "database");
        assert_int_equal(fr_resolve(db, "y", &found), FR_ERR_NOT_FOUND);
        assert_int_equal(fr_topic_resolve(db, "shop.x", &found), FR_OK);
        assert_int_equal(found, there);
        assert_int_equal(fr_resolve(db, "shop.x", &found), FR_ERR_NOT_FOUND); /* a name is never taken apart */
        uint32_t count = 0;
        assert_int_equal(fr_database_list(db, one_database, &count), 1);
        assert_int_equal(count, 1);
        assert_int_equal(fr_alias_list(db, NULL, NULL), 0);
        assert_int_equal(fr_alias_list_in(db, "shop", NULL, NULL), 1);
        assert_int_equal(fr_collection_list(db, NULL, 0), 2);
        must(fr_compact(db, 0, err));
        fr_close(db);
        db = open_db();
    }
    def->database[0] = 0;
    snprintf(def->name, sizeof def->name, "shop.x"); /* Kafka could not tell them apart */
    assert_int_equal(create_def(db, def, &found, &e), FR_ERR_EXISTS);
    fr_write drop = {.kind = FR_WRITE_DATABASE_DROP, .name = "shop"};
    assert_int_equal(fr_submit_wait(db, &drop, &e), FR_ERR_INVALID);
    fr_collection_change move = {.database = "default", .name = "z"};
    assert_int_equal(alter(db, there, &move, &e), FR_ERR_INVALID); /* the alias */
    alias = (fr_write){.kind = FR_WRITE_ALIAS_DROP, .name = "y", .database = "shop"};
    must(fr_submit_wait(db, &alias, err));
    must(alter(db, there, &move, err));
    must(fr_resolve_in(db, NULL, "z", &found, NULL, err));
    assert_int_equal(found, there);
    must(fr_submit_wait(db, &drop, err));
    free(def);
    fr_doc_free(&doc);
    fr_close(db);
}

static void changes_of_a_collection(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_doc_builder doc = {0};
    fr_err e = {0};
    fr_id id, found;
    uint64_t first, second;
    fr_collection_def *def = new_def("a", FR_TYPE_INT64);
    add_def(def, "v", FR_TYPE_VECTOR_F32)->dimension = DIM;
    add_def(def, "text", FR_TYPE_VARCHAR)->max_length = 5;
    def->fields[2].nullable = true;
    def->no_dynamic = true;
    must(create_def(db, def, &id, err));
    must(put_doc(db, id, "1", 1, (fr_span){NULL, 0}, err));
    must(fr_resolve_in(db, NULL, "a", &found, &first, err));
    fr_field_def field = {.name = "n", .type = FR_TYPE_INT64, .nullable = true}, wide = def->fields[2];
    fr_collection_change change = {.name = "b", .add = &field, .add_count = 1, .if_version = first};
    must(alter(db, id, &change, err));
    assert_int_equal(alter(db, id, &change, &e), FR_ERR_BUSY); /* another version by now */
    change.if_version = 0;
    assert_int_equal(alter(db, id, &change, &e), FR_ERR_EXISTS); /* the field */
    assert_int_equal(fr_resolve(db, "a", &found), FR_ERR_NOT_FOUND);
    must(fr_resolve_in(db, NULL, "b", &found, &second, err));
    assert_true(second > first && found == id);
    must(put_doc(db, id, "2", 1, one_int(&doc, "n", 5), err));
    wide.max_length = 4;
    change = (fr_collection_change){.set = &wide, .set_count = 1};
    assert_int_equal(alter(db, id, &change, &e), FR_ERR_INVALID);
    wide.max_length = 50;
    must(alter(db, id, &change, err));
    change = (fr_collection_change){.set_attributes = true, .attributes = one_int(&doc, "loaded", 1)};
    must(alter(db, id, &change, err));
    must(alter(db, id, &(fr_collection_change){.drop = "n"}, err));
    assert_int_equal(put_doc(db, id, "3", 1, one_int(&doc, "n", 5), &e), FR_ERR_INVALID);
    change = (fr_collection_change){.add = &field, .add_count = 1};
    assert_int_equal(alter(db, id, &change, &e), FR_ERR_EXISTS); /* its old values would come back */
    fr_close(db);
    for (int round = 0; round < 2; round++) { /* the log replays: what was judged by an older schema stays */
        char command[192];
        snprintf(command, sizeof command, "rm -rf '%s'/snap", test_dir);
        assert_int_equal(system(command), 0);
        db = open_db();
        assert_int_equal(count_of(db, id, NULL), 2);
        fr_collection_info *info = calloc(1, sizeof *info);
        must(fr_collection_get(db, id, info));
        assert_int_equal(info->def.field_count, 3);
        assert_int_equal(info->def.fields[2].max_length, 50);
        assert_string_equal(info->def.name, "b");
        free(info);
        fr_span attributes;
        must(fr_collection_attributes(db, id, &attributes));
        assert_true(fr_span_equal(attributes, one_int(&doc, "loaded", 1)));
        fr_bytes_free(attributes);
        must(fr_compact(db, 0, err));
        fr_close(db);
    }
    fr_doc_free(&doc);
    free(def);
}

static void truncate_ends_all(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id;
    char key[16];
    must(create_collection(db, "t", 3, FR_METRIC_L2, &id, err));
    for (uint32_t i = 0; i < 50; i++) {
        snprintf(key, sizeof key, "k%u", i);
        must(upsert(db, id, key, (float)i, 1, NULL, err));
    }
    fr_write w = {.kind = FR_WRITE_COLLECTION_TRUNCATE, .id = id};
    must(fr_submit_wait(db, &w, err));
    assert_int_equal(w.existed, 50);
    assert_int_equal(count_of(db, id, NULL), 0);
    must(upsert(db, id, "k1", 1, 2, NULL, err));
    fr_close(db);
    db = open_db();
    assert_int_equal(count_of(db, id, NULL), 1);
    fr_close(db);
}

static void stamps_never_come_again(void **state)
{
    (void)state;
    uint64_t last = 0;
    for (int round = 0; round < 4; round++) {
        fr_db *db = open_db();
        for (int i = 0; i < 1000; i++) {
            uint64_t stamp = fr_timestamp(db);
            if (stamp <= last) fail_msg("round %d: %llu after %llu", round, (unsigned long long)stamp, (unsigned long long)last);
            last = stamp;
        }
        if (round % 2 == 0) fr_close(db);
        else fr_engine_abandon(db);
    }
    last >>= 18;
    uint64_t now = (uint64_t)fr_io_posix()->now_ms(fr_io_posix());
    assert_true(last + 1000 > now && last < now + 60000);
}

static void scroll_in_order_of_numbers(void **state)
{
    (void)state;
    static const char *const expected[] = {"-100", "-20", "-3", "0", "3", "20", "100"};
    fr_db *db = open_db();
    fr_id id;
    fr_collection_def *def = new_def("s", FR_TYPE_INT64);
    add_def(def, "v", FR_TYPE_VECTOR_F32)->dimension = DIM;
    must(create_def(db, def, &id, err));
    for (size_t i = 0; i < FR_COUNT_OF(expected); i++)
        must(put_doc(db, id, expected[(i * 3) % FR_COUNT_OF(expected)], 1, (fr_span){NULL, 0}, err));
    fr_searcher *s;
    fr_hit hits[2];
    char after[16] = "";
    uint32_t count, total = 0;
    must(fr_searcher_create(db, &s));
    do {
        must(fr_scroll(s, id, NULL, fr_span_text(after), 2, NULL, hits, &count, err));
        for (uint32_t i = 0; i < count; i++, total++) {
            snprintf(after, sizeof after, "%.*s", (int)hits[i].key.size, (const char *)hits[i].key.data);
            assert_string_equal(after, expected[total]);
        }
    } while (count != 0);
    assert_int_equal(total, FR_COUNT_OF(expected));
    fr_searcher_free(s);
    free(def);
    fr_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(types_are_judged, make_test_dir, remove_test_dir),
        cmocka_unit_test_setup_teardown(texts_and_arrays_have_limits, make_test_dir, remove_test_dir),
        cmocka_unit_test_setup_teardown(definitions_are_judged, make_test_dir, remove_test_dir),
        cmocka_unit_test_setup_teardown(databases_hold_names, make_test_dir, remove_test_dir),
        cmocka_unit_test_setup_teardown(changes_of_a_collection, make_test_dir, remove_test_dir),
        cmocka_unit_test_setup_teardown(truncate_ends_all, make_test_dir, remove_test_dir),
        cmocka_unit_test_setup_teardown(stamps_never_come_again, make_test_dir, remove_test_dir),
        cmocka_unit_test_setup_teardown(scroll_in_order_of_numbers, make_test_dir, remove_test_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
