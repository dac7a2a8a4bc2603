/* The door over a real database, without sockets: what is produced is fetched back, errors are Kafka's, nothing cut hurts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kafka_frames.h"
#include "log/batch.h"

static fr_kafka door;
static fr_db *db;
static carried one, two;

static int set_up(void **state)
{
    (void)state;
    db = kafka_open(&door);
    carried_init(&one);
    carried_init(&two);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    carried_free(&door, &one);
    carried_free(&door, &two);
    kafka_close(db);
    return 0;
}

#define MAKE(arena, name) ((fr_kafka_##name *)fr_kafka_make(arena, &fr_kafka_##name##_shape, 1))

static void make_topic(fr_arena *arena, const char *name, int32_t partitions)
{
    fr_kafka_CreateTopicsRequest *request = MAKE(arena, CreateTopicsRequest);
    assert_true(FR_KAFKA_ITEMS(arena, &request->topics, CreatableTopic, 1));
    request->topics.items[0].name = fr_span_text(name);
    request->topics.items[0].numPartitions = partitions;
    request->topics.items[0].replicationFactor = 1;
    carried_begin(&door, &one, frame_of(&fr_kafka_CreateTopicsRequest_message, 7, request));
    const fr_kafka_CreateTopicsResponse *response = reply_of(&one, &fr_kafka_CreateTopicsResponse_message, 7, arena);
    assert_int_equal(response->topics.items[0].errorCode, KAFKA_NONE);
    assert_int_equal(response->topics.items[0].numPartitions, partitions);
}

static fr_kafka_ProduceRequest *produce_request(fr_arena *arena, const char *topic, int32_t partition, fr_span batch)
{
    fr_kafka_ProduceRequest *request = MAKE(arena, ProduceRequest);
    assert_true(FR_KAFKA_ITEMS(arena, &request->topicData, TopicProduceData, 1));
    assert_true(FR_KAFKA_ITEMS(arena, &request->topicData.items[0].partitionData, PartitionProduceData, 1));
    request->acks = -1;
    request->topicData.items[0].name = fr_span_text(topic);
    request->topicData.items[0].partitionData.items[0].index = partition;
    request->topicData.items[0].partitionData.items[0].records = (fr_kafka_records){.data = batch.data, .size = batch.size, .fd = -1};
    return request;
}

static fr_kafka_FetchRequest *fetch_request(fr_arena *arena, const char *topic, int64_t offset, int32_t wait_ms)
{
    fr_kafka_FetchRequest *request = MAKE(arena, FetchRequest);
    assert_true(FR_KAFKA_ITEMS(arena, &request->topics, FetchTopic, 1));
    assert_true(FR_KAFKA_ITEMS(arena, &request->topics.items[0].partitions, FetchPartition, 1));
    request->maxWaitMs = wait_ms, request->minBytes = 1, request->maxBytes = 1 << 20;
    request->topics.items[0].topic = fr_span_text(topic);
    request->topics.items[0].partitions.items[0].fetchOffset = offset;
    request->topics.items[0].partitions.items[0].partitionMaxBytes = 1 << 20;
    return request;
}

static fr_span batch_of(fr_batch_writer *writer, int count)
{
    uint8_t *batch = NULL;
    size_t size = 0;
    fr_batch_writer_begin(writer, FR_CODEC_NONE);
    for (int i = 0; i < count; i++) fr_batch_writer_add(writer, 1700000000000 + i, fr_span_text("key"), fr_span_text("value"), NULL, 0);
    assert_int_equal(fr_batch_writer_end(writer, &batch, &size), FR_OK);
    return fr_span_of(batch, size);
}

static int16_t produced(fr_arena *arena, const char *topic, int32_t partition, int16_t acks, fr_span batch, int64_t *offset_out)
{
    fr_kafka_ProduceRequest *request = produce_request(arena, topic, partition, batch);
    request->acks = acks;
    carried_begin(&door, &one, frame_of(&fr_kafka_ProduceRequest_message, 9, request));
    const fr_kafka_ProduceResponse *response = reply_of(&one, &fr_kafka_ProduceResponse_message, 9, arena);
    *offset_out = response->responses.items[0].partitionResponses.items[0].baseOffset;
    return response->responses.items[0].partitionResponses.items[0].errorCode;
}

static void test_api_versions(void **state)
{
    (void)state;
    static const uint8_t v0[] = {0, 18, 0, 0, 0, 0, 0, 77, 255, 255}, v9[] = {0, 18, 0, 9, 0, 0, 0, 77, 255, 255, 0, 1, 1, 0};
    fr_arena arena;
    fr_arena_init(&arena, FR_MEM_TEST, 0);
    carried_begin(&door, &one, fr_span_of(v0, sizeof v0));
    const fr_kafka_ApiVersionsResponse *response = reply_of(&one, &fr_kafka_ApiVersionsResponse_message, 0, &arena);
    assert_int_equal(response->errorCode, KAFKA_NONE);
    assert_true(response->apiKeys.count >= 18);
    assert_int_equal(response->apiKeys.items[0].apiKey, 0);
    assert_int_equal(response->apiKeys.items[0].minVersion, 0); /* KAFKA-18659 */
    carried_begin(&door, &one, fr_span_of(v9, sizeof v9));
    response = reply_of(&one, &fr_kafka_ApiVersionsResponse_message, 0, &arena);
    assert_int_equal(response->errorCode, KAFKA_UNSUPPORTED_VERSION);
    assert_true(response->apiKeys.count >= 18);
    fr_arena_free(&arena);
}

static void test_outside_of_what_is_offered(void **state)
{
    (void)state;
    static const uint8_t frames[][10] = {{0, 0, 0, 2, 0, 0, 0, 1, 255, 255}, {0, 3, 0, 99, 0, 0, 0, 1, 255, 255},
                                         {3, 231, 0, 0, 0, 0, 0, 1, 255, 255}, {0, 3, 255, 255, 0, 0, 0, 1, 255, 255}};
    for (size_t i = 0; i < FR_COUNT_OF(frames); i++) {
        carried_begin(&door, &one, fr_span_of(frames[i], sizeof frames[i]));
        assert_int_equal(one.next, FR_KAFKA_CLOSE);
    }
}

static void test_produced_is_fetched(void **state)
{
    (void)state;
    fr_arena arena;
    fr_batch_writer writer = {0};
    int64_t offset;
    fr_arena_init(&arena, FR_MEM_TEST, 0);
    make_topic(&arena, "there", 2);
    fr_span batch = batch_of(&writer, 3);
    assert_int_equal(produced(&arena, "there", 1, -1, batch, &offset), KAFKA_NONE);
    assert_int_equal(offset, 0);
    assert_int_equal(produced(&arena, "there", 1, 1, batch, &offset), KAFKA_NONE);
    assert_int_equal(offset, 3);
    fr_kafka_FetchRequest *request = fetch_request(&arena, "there", 4, 0);
    request->topics.items[0].partitions.items[0].partition = 1;
    carried_begin(&door, &two, frame_of(&fr_kafka_FetchRequest_message, 12, request));
    const fr_kafka_FetchResponse *response = reply_of(&two, &fr_kafka_FetchResponse_message, 12, &arena);
    const fr_kafka_PartitionData *part = &response->responses.items[0].partitions.items[0];
    assert_int_equal(part->highWatermark, 6);
    assert_int_equal(part->records.size, batch.size); /* the whole batch that holds offset 4 */
    assert_int_equal(fr_load_be64(part->records.data), 3);
    assert_memory_equal((const uint8_t *)part->records.data + 17, (const uint8_t *)batch.data + 17, batch.size - 17);
    fr_batch_writer_free(&writer);
    fr_arena_free(&arena);
}

static void test_long_poll(void **state)
{
    (void)state;
    fr_arena arena;
    fr_batch_writer writer = {0};
    int64_t offset;
    fr_arena_init(&arena, FR_MEM_TEST, 0);
    make_topic(&arena, "poll", 1);
    carried_begin(&door, &two, frame_of(&fr_kafka_FetchRequest_message, 12, fetch_request(&arena, "poll", 0, 60000)));
    assert_int_equal(two.next, FR_KAFKA_WAIT);
    carried_expire(&door, &two); /* the time is up: an empty reply, not a null one */
    const fr_kafka_FetchResponse *response = reply_of(&two, &fr_kafka_FetchResponse_message, 12, &arena);
    assert_false(response->responses.items[0].partitions.items[0].records.null);
    assert_int_equal(response->responses.items[0].partitions.items[0].records.size, 0);
    for (int i = 0; i < 50; i++) {
        carried_begin(&door, &two, frame_of(&fr_kafka_FetchRequest_message, 12, fetch_request(&arena, "poll", i, 60000)));
        assert_int_equal(two.next, FR_KAFKA_WAIT);
        assert_int_equal(produced(&arena, "poll", 0, -1, batch_of(&writer, 1), &offset), KAFKA_NONE);
        while (sem_wait(&two.woken) != 0) continue;
        carried_go(&door, &two, fr_kafka_step(&door, &two.call));
        response = reply_of(&two, &fr_kafka_FetchResponse_message, 12, &arena);
        assert_int_equal(response->responses.items[0].partitions.items[0].highWatermark, i + 1);
        fr_arena_reset(&arena);
    }
    carried_begin(&door, &two, frame_of(&fr_kafka_FetchRequest_message, 12, fetch_request(&arena, "poll", 50, 60000)));
    assert_int_equal(fr_kafka_expire(&door, &two.call, true), FR_KAFKA_NO_REPLY); /* the peer is gone */
    fr_batch_writer_free(&writer);
    fr_arena_free(&arena);
}

static void test_errors(void **state)
{
    (void)state;
    fr_arena arena;
    fr_batch_writer writer = {0};
    int64_t offset;
    fr_arena_init(&arena, FR_MEM_TEST, 0);
    make_topic(&arena, "errors", 1);
    fr_span batch = batch_of(&writer, 2);
    assert_int_equal(produced(&arena, "nowhere", 0, -1, batch, &offset), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(produced(&arena, "errors", 7, -1, batch, &offset), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(produced(&arena, "errors", 0, 5, batch, &offset), KAFKA_INVALID_REQUIRED_ACKS);
    assert_int_equal(produced(&arena, "errors", 0, -1, fr_span_of(batch.data, 0), &offset), KAFKA_INVALID_RECORD);
    uint8_t *bad = fr_arena_copy(&arena, batch.data, batch.size);
    bad[batch.size - 1] ^= 1;
    assert_int_equal(produced(&arena, "errors", 0, -1, fr_span_of(bad, batch.size), &offset), KAFKA_CORRUPT_MESSAGE);
    const struct {
        int64_t offset;
        int32_t partition, epoch;
        int16_t error;
    } cases[] = {{99, 0, -1, KAFKA_OFFSET_OUT_OF_RANGE}, {0, 3, -1, KAFKA_UNKNOWN_TOPIC_OR_PARTITION}, {0, 0, 5, KAFKA_UNKNOWN_LEADER_EPOCH}};
    for (size_t i = 0; i < FR_COUNT_OF(cases); i++) {
        fr_kafka_FetchRequest *request = fetch_request(&arena, "errors", cases[i].offset, 60000);
        request->topics.items[0].partitions.items[0].partition = cases[i].partition;
        request->topics.items[0].partitions.items[0].currentLeaderEpoch = cases[i].epoch;
        carried_begin(&door, &two, frame_of(&fr_kafka_FetchRequest_message, 12, request));
        const fr_kafka_FetchResponse *response = reply_of(&two, &fr_kafka_FetchResponse_message, 12, &arena);
        assert_int_equal(response->responses.items[0].partitions.items[0].errorCode, cases[i].error);
    }
    fr_batch_writer_free(&writer);
    fr_arena_free(&arena);
}

/* acks = 0: stored, and nothing is answered; an error ends the connection. */
static void test_no_acks(void **state)
{
    (void)state;
    fr_arena arena;
    fr_batch_writer writer = {0};
    fr_arena_init(&arena, FR_MEM_TEST, 0);
    make_topic(&arena, "silent", 1);
    fr_kafka_ProduceRequest *request = produce_request(&arena, "silent", 0, batch_of(&writer, 2));
    request->acks = 0;
    carried_begin(&door, &one, frame_of(&fr_kafka_ProduceRequest_message, 9, request));
    assert_int_equal(one.next, FR_KAFKA_NO_REPLY);
    carried_begin(&door, &two, frame_of(&fr_kafka_FetchRequest_message, 12, fetch_request(&arena, "silent", 0, 0)));
    const fr_kafka_FetchResponse *response = reply_of(&two, &fr_kafka_FetchResponse_message, 12, &arena);
    assert_int_equal(response->responses.items[0].partitions.items[0].highWatermark, 2);
    request = produce_request(&arena, "silent", 9, batch_of(&writer, 2));
    request->acks = 0;
    carried_begin(&door, &one, frame_of(&fr_kafka_ProduceRequest_message, 9, request));
    assert_int_equal(one.next, FR_KAFKA_CLOSE);
    fr_batch_writer_free(&writer);
    fr_arena_free(&arena);
}

static void test_named_twice(void **state)
{
    (void)state;
    fr_arena arena;
    fr_arena_init(&arena, FR_MEM_TEST, 0);
    make_topic(&arena, "twice", 2);
    fr_kafka_FetchRequest *request = fetch_request(&arena, "twice", 0, 60000);
    assert_true(FR_KAFKA_ITEMS(&arena, &request->topics.items[0].partitions, FetchPartition, 3));
    request->topics.items[0].partitions.items[1].partition = 1;
    carried_begin(&door, &two, frame_of(&fr_kafka_FetchRequest_message, 12, request));
    const fr_kafka_FetchResponse *response = reply_of(&two, &fr_kafka_FetchResponse_message, 12, &arena);
    const fr_kafka_PartitionData *parts = response->responses.items[0].partitions.items;
    assert_int_equal(parts[0].errorCode, KAFKA_NONE);
    assert_int_equal(parts[1].errorCode, KAFKA_NONE);
    assert_int_equal(parts[2].errorCode, KAFKA_INVALID_REQUEST);
    fr_kafka_ListOffsetsRequest *list = MAKE(&arena, ListOffsetsRequest);
    assert_true(FR_KAFKA_ITEMS(&arena, &list->topics, ListOffsetsTopic, 1));
    list->topics.items[0].name = fr_span_text("twice");
    assert_true(FR_KAFKA_ITEMS(&arena, &list->topics.items[0].partitions, ListOffsetsPartition, 2));
    for (int i = 0; i < 2; i++) list->topics.items[0].partitions.items[i].timestamp = -1;
    carried_begin(&door, &two, frame_of(&fr_kafka_ListOffsetsRequest_message, 7, list));
    const fr_kafka_ListOffsetsResponse *listed = reply_of(&two, &fr_kafka_ListOffsetsResponse_message, 7, &arena);
    assert_int_equal(listed->topics.items[0].partitions.items[0].errorCode, KAFKA_NONE);
    assert_int_equal(listed->topics.items[0].partitions.items[1].errorCode, KAFKA_INVALID_REQUEST);
    fr_arena_free(&arena);
}

/* A reply over the limit ends the connection instead of the memory. */
static void test_reply_limit(void **state)
{
    (void)state;
    static const uint8_t v0[] = {0, 18, 0, 0, 0, 0, 0, 77, 255, 255};
    size_t limit = two.call.out.limit;
    assert_int_equal(limit, FR_KAFKA_REPLY_BYTES_MAX);
    two.call.out.limit = 64;
    carried_begin(&door, &two, fr_span_of(v0, sizeof v0));
    assert_int_equal(two.next, FR_KAFKA_CLOSE);
    assert_true(two.call.out.size <= 64);
    two.call.out.limit = limit;
    carried_begin(&door, &two, fr_span_of(v0, sizeof v0));
    assert_int_equal(two.next, FR_KAFKA_REPLY);
}

static fr_code long_text(const fr_json_map *names, const fr_record *record, fr_kafka_out *out)
{
    static const char text[3000];
    (void)names, (void)record;
    fr_kafka_out_put(out, text, sizeof text);
    return out->code;
}

/* A collection's records as text are many times their stored size: the reply keeps the client's limits, batch by batch. */
static void test_text_within_limits(void **state)
{
    (void)state;
    fr_arena arena;
    fr_err err = {0};
    fr_arena_init(&arena, FR_MEM_TEST, 0);
    fr_collection_def *def = fr_arena_alloc(&arena, sizeof *def);
    *def = (fr_collection_def){.name = "words", .dimension = 2, .partitions = 1};
    fr_write write = {.kind = FR_WRITE_COLLECTION_CREATE, .def = def};
    assert_int_equal(fr_submit_wait(db, &write, &err), FR_OK);
    fr_id id = write.id;
    float numbers[2] = {1, 2};
    fr_value value = {.field = FR_FIELD_VECTOR, .type = FR_TYPE_VECTOR_F32, .bytes = fr_span_of(numbers, sizeof numbers)};
    for (int i = 0; i < 20; i++) {
        char key[16];
        fr_batch batch = {0};
        snprintf(key, sizeof key, "k%d", i);
        fr_event event = {.key = fr_span_text(key), .source_time_ms = FR_TIME_NONE, .values = &value, .value_count = 1};
        assert_int_equal(fr_batch_put(&batch, &event, &err), FR_OK);
        write = (fr_write){.kind = FR_WRITE_EVENTS, .id = id, .batch = &batch};
        assert_int_equal(fr_submit_wait(db, &write, &err), FR_OK);
        fr_batch_free(&batch);
    }
    door.json_out = long_text;
    fr_offset next = 0;
    for (int round = 0; round < 30 && next < 20; round++) {
        fr_kafka_FetchRequest *request = fetch_request(&arena, "words", next, 0);
        request->topics.items[0].partitions.items[0].partitionMaxBytes = round ? 10000 : 100;
        carried_begin(&door, &two, frame_of(&fr_kafka_FetchRequest_message, 12, request));
        const fr_kafka_FetchResponse *response = reply_of(&two, &fr_kafka_FetchResponse_message, 12, &arena);
        const fr_kafka_PartitionData *part = &response->responses.items[0].partitions.items[0];
        assert_true(part->records.size > 3000 && part->records.size <= (round ? 10000u : 3200u));
        for (size_t at = 0; at < part->records.size; at += 12 + fr_load_be32((const uint8_t *)part->records.data + at + 8))
            next = (fr_offset)fr_load_be64((const uint8_t *)part->records.data + at) + 1;
        fr_arena_reset(&arena);
    }
    assert_int_equal(next, 20);
    door.json_out = NULL;
    fr_arena_free(&arena);
}

static void test_coordinator_errors(void **state)
{
    (void)state;
    fr_write busy = {.code = FR_ERR_BUSY}, fenced = {.code = FR_ERR_INVALID, .reason = FR_REASON_PRODUCER_FENCED};
    assert_int_equal(fr_kafka_coordinator_error(&busy), KAFKA_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(fr_kafka_coordinator_error(&fenced), KAFKA_PRODUCER_FENCED);
}

/* Every request cut at every byte, and with turned bytes: a reply or the end of the connection. */
static void test_cut_requests(void **state)
{
    (void)state;
    fr_arena arena;
    fr_batch_writer writer = {0};
    uint64_t seed = 7;
    fr_arena_init(&arena, FR_MEM_TEST, 0);
    make_topic(&arena, "cut", 1);
    fr_span whole[2];
    for (int which = 0; which < 2; which++) {
        fr_span made = which ? frame_of(&fr_kafka_FetchRequest_message, 12, fetch_request(&arena, "cut", 0, 1))
                             : frame_of(&fr_kafka_ProduceRequest_message, 9, produce_request(&arena, "cut", 0, batch_of(&writer, 2)));
        whole[which] = fr_span_of(fr_arena_copy(&arena, made.data, made.size), made.size);
    }
    for (size_t i = 0; i < 400; i++) {
        fr_span from = whole[i & 1];
        seed = fr_mix64(seed + i);
        size_t size = i < 200 ? i * from.size / 200 : from.size;
        uint8_t *copy = fr_alloc(FR_MEM_TEST, FR_MAX(size, 1u));
        memcpy(copy, from.data, size);
        if (size > 2 && i >= 200) copy[2 + seed % (size - 2)] ^= (uint8_t)(1u << (seed >> 40 & 7));
        carried_begin(&door, &two, fr_span_of(copy, size));
        carried_expire(&door, &two);
        fr_kafka_call_reset(&door, &two.call);
        fr_free(FR_MEM_TEST, copy);
    }
    fr_batch_writer_free(&writer);
    fr_arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_api_versions), cmocka_unit_test(test_outside_of_what_is_offered), cmocka_unit_test(test_produced_is_fetched),
        cmocka_unit_test(test_long_poll),    cmocka_unit_test(test_errors),                     cmocka_unit_test(test_no_acks),
        cmocka_unit_test(test_cut_requests), cmocka_unit_test(test_named_twice), cmocka_unit_test(test_reply_limit),
        cmocka_unit_test(test_text_within_limits), cmocka_unit_test(test_coordinator_errors),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
