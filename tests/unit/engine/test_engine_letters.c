/* Records of producers that a collection cannot use: stored, skipped, and copied to <topic>.dlq with headers that say why. */
#include "tests/unit/engine/topic_help.h"

typedef struct letters {
    uint32_t count, reasons;
    char key[16], value[16], topic[32], partition[8], offset[8];
} letters;

static void take(char *out, size_t size, fr_span from)
{
    memset(out, 0, size);
    memcpy(out, from.data, FR_MIN(from.size, size - 1));
}

static bool each_letter(void *user, const fr_scanned *record)
{
    letters *out = user;
    out->count++;
    take(out->key, sizeof out->key, record->key);
    take(out->value, sizeof out->value, record->value);
    for (uint32_t i = 0; i < record->header_count; i++) {
        const fr_record_header *h = &record->headers[i];
        if (fr_span_equal(h->key, fr_span_text("freshet.reason"))) out->reasons += h->value.size != 0;
        if (fr_span_equal(h->key, fr_span_text("freshet.topic"))) take(out->topic, sizeof out->topic, h->value);
        if (fr_span_equal(h->key, fr_span_text("freshet.partition"))) take(out->partition, sizeof out->partition, h->value);
        if (fr_span_equal(h->key, fr_span_text("freshet.offset"))) take(out->offset, sizeof out->offset, h->value);
    }
    return true;
}

static letters letters_of(fr_db *db, const char *topic)
{
    letters out = {.count = 0};
    fr_id id;
    must(fr_topic_resolve(db, topic, &id));
    must(fr_topic_scan(db, id, 0, 0, each_letter, &out, err));
    return out;
}

static void what_cannot_be_used_is_copied(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id, found;
    fr_stats stats;
    producer p = {.id = 7};
    must(create_collection(db, "vectors", 1, FR_METRIC_L2, &id, err));
    assert_int_equal(produce(db, id, 0, &p, 0, 2, NULL).base_offset, 0); /* deletes are fine */
    assert_int_equal(fr_topic_resolve(db, "vectors.dlq", &found), FR_ERR_NOT_FOUND);
    assert_int_equal(produce(db, id, 0, &p, 2, 2, "junk").base_offset, 2);
    letters seen = letters_of(db, "vectors.dlq");
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.reasons, 2);
    assert_string_equal(seen.key, "key3");
    assert_string_equal(seen.value, "junk");
    assert_string_equal(seen.topic, "vectors");
    assert_string_equal(seen.partition, "0");
    assert_string_equal(seen.offset, "3");
    assert_int_equal(produce(db, id, 0, &p, 2, 2, "junk").reason, FR_REASON_DUPLICATE); /* not copied twice */
    assert_int_equal(produce(db, id, 0, &p, 4, 1, "{\"vector\":[1]}").base_offset, 4);
    fr_stats_get(db, &stats);
    assert_int_equal(stats.dead_letters, 3);
    fr_close(db);
    db = open_db();
    assert_int_equal(letters_of(db, "vectors.dlq").count, 3);
    assert_int_equal(produce(db, id, 0, &p, 5, 1, "junk").base_offset, 5);
    assert_int_equal(letters_of(db, "vectors.dlq").count, 4);
    assert_int_equal(consume(db, id, 0, 0, true).records, 6); /* the collection's own log has all of it */
    fr_close(db);
}

static _Atomic uint32_t answered;
static void count_answer(fr_write *write)
{
    (void)write;
    atomic_fetch_add(&answered, 1);
}

/* The first bad record makes the topic; what was written behind it stays behind it. */
static void writes_keep_their_order_while_the_topic_is_made(void **state)
{
    (void)state;
    fr_options options = {.no_threads = true};
    fr_db *db = open_with(&options);
    fr_id ids[2];
    fr_write writes[2][6];
    fr_produce parts[2][6];
    uint8_t *data[2][6];
    producer p = {.id = 7};
    must(create_collection(db, "a", 1, FR_METRIC_L2, &ids[0], err));
    must(create_collection(db, "b", 1, FR_METRIC_L2, &ids[1], err));
    atomic_store(&answered, 0);
    for (int i = 0; i < 6; i++)
        for (int c = 0; c < 2; c++) {
            size_t size;
            data[c][i] = make_batch(&p, i, 1, 1700000000000, i % 2 == 0 ? "junk" : NULL, &size);
            parts[c][i] = (fr_produce){.data = data[c][i], .size = size};
            writes[c][i] = (fr_write){
                .kind = FR_WRITE_BATCHES, .id = ids[c], .produce = &parts[c][i], .produce_count = 1, .done = count_answer};
            must(fr_submit(db, &writes[c][i], err));
        }
    for (int i = 0; i < 10000 && atomic_load(&answered) < 12; i++) fr_engine_step_all(db);
    assert_int_equal(atomic_load(&answered), 12);
    for (int i = 0; i < 6; i++)
        for (int c = 0; c < 2; c++) {
            assert_int_equal(parts[c][i].reason, FR_REASON_NONE);
            assert_int_equal(parts[c][i].base_offset, i);
            free(data[c][i]);
        }
    assert_int_equal(letters_of(db, "a.dlq").count, 3);
    assert_int_equal(letters_of(db, "b.dlq").count, 3);
    fr_close(db);
}

static void a_taken_name_costs_the_copies_only(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id;
    fr_stats stats;
    must(create_collection(db, "vectors", 1, FR_METRIC_L2, &id, err));
    must(create_collection(db, "vectors.dlq", 1, FR_METRIC_L2, NULL, err));
    assert_int_equal(produce(db, id, 0, NULL, 0, 2, "junk").base_offset, 0);
    fr_stats_get(db, &stats);
    assert_int_equal(stats.dead_letters, 0);
    fr_close(db);
}

#define one(test) cmocka_unit_test_setup_teardown(test, make_test_dir, remove_test_dir)
int main(void)
{
    const struct CMUnitTest tests[] = {
        one(what_cannot_be_used_is_copied),
        one(writes_keep_their_order_while_the_topic_is_made),
        one(a_taken_name_costs_the_copies_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
