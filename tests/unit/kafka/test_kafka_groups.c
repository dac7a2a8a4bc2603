/* Groups behind the door, over a real database: offsets survive, transactions hold them back, a parked join is woken by another call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "api/kafka/groups.h"
#include "kafka_frames.h"

static fr_kafka door;
static fr_db *db;
static carried one, two;
static fr_arena arena;
static _Atomic int64_t clock_ms;

static int64_t now_ms(void) { return atomic_load(&clock_ms); }

static void groups_open(void)
{
    fr_err err = {0};
    assert_int_equal(fr_kafka_groups_open(db, now_ms, 7, &door.groups, &err), FR_OK);
}

static int set_up(void **state)
{
    (void)state;
    db = kafka_open(&door);
    atomic_store(&clock_ms, 1000);
    groups_open();
    carried_init(&one);
    carried_init(&two);
    fr_arena_init(&arena, FR_MEM_DOOR, 0);
    fr_topic_change change = {.name = "t", .kind = FR_TOPIC_PLAIN, .partitions = 2};
    fr_write write = {.kind = FR_WRITE_TOPIC_CREATE, .topic = &change};
    fr_err err = {0};
    assert_int_equal(fr_submit_wait(db, &write, &err), FR_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    carried_free(&door, &one);
    carried_free(&door, &two);
    fr_arena_free(&arena);
    fr_kafka_groups_close(door.groups);
    kafka_close(db);
    return 0;
}

/* What a restart does to the coordinator. */
static void restart(void)
{
    carried_free(&door, &one);
    carried_init(&one);
    fr_kafka_groups_close(door.groups);
    groups_open();
}

#define ASK(who, name, version, request) (carried_begin(&door, who, frame_of(&fr_kafka_##name##Request_message, version, request)))
#define REPLY(who, name, version) ((fr_kafka_##name##Response *)reply_of(who, &fr_kafka_##name##Response_message, version, &arena))

static int16_t commit(const char *group, int32_t partition, int64_t offset, const char *about)
{
    fr_kafka_OffsetCommitRequestPartition part = {.partitionIndex = partition, .committedOffset = offset, .committedLeaderEpoch = 0,
                                                  .committedMetadata = fr_span_text(about)};
    fr_kafka_OffsetCommitRequestTopic topic = {.name = fr_span_text("t"), .partitions = {&part, 1}};
    fr_kafka_OffsetCommitRequest request = {.groupId = fr_span_text(group), .generationIdOrMemberEpoch = -1, .memberId = fr_span_text(""),
                                            .topics = {&topic, 1}};
    ASK(&one, OffsetCommit, 8, &request);
    return REPLY(&one, OffsetCommit, 8)->topics.items[0].partitions.items[0].errorCode;
}

static int64_t fetch(const char *group, bool stable, int16_t *error_out)
{
    int32_t zero = 0;
    fr_kafka_OffsetFetchRequestTopics topic = {.name = fr_span_text("t"), .partitionIndexes = {&zero, 1}};
    fr_kafka_OffsetFetchRequestGroup wanted = {.groupId = fr_span_text(group), .topics = {&topic, 1}};
    fr_kafka_OffsetFetchRequest request = {.groups = {&wanted, 1}, .requireStable = stable};
    ASK(&one, OffsetFetch, 8, &request);
    fr_kafka_OffsetFetchResponsePartitions *part = REPLY(&one, OffsetFetch, 8)->groups.items[0].topics.items[0].partitions.items;
    *error_out = part->errorCode;
    return part->committedOffset;
}

static void test_offsets_survive(void **state)
{
    (void)state;
    int16_t error;
    assert_int_equal(commit("g", 0, 41, "m"), KAFKA_NONE);
    assert_int_equal(commit("g", 0, 42, "mm"), KAFKA_NONE);
    assert_int_equal(commit("g", 1, 7, ""), KAFKA_NONE);
    assert_int_equal(commit("g", 2, 7, ""), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(commit("", 0, 7, ""), KAFKA_INVALID_GROUP_ID);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fetch("g", true, &error), 42);
        assert_int_equal(error, KAFKA_NONE);
        restart();
    }
    fr_kafka_OffsetFetchRequest all = {.groupId = fr_span_text("g"), .topics = {NULL, -1}};
    ASK(&one, OffsetFetch, 7, &all);
    fr_kafka_OffsetFetchResponse *got = REPLY(&one, OffsetFetch, 7);
    assert_int_equal(got->topics.count, 1);
    assert_int_equal(got->topics.items[0].partitions.count, 2);
    assert_true(fr_span_equal(got->topics.items[0].partitions.items[0].metadata, fr_span_text("mm")));
    fr_span name = fr_span_text("g");
    fr_kafka_DeleteGroupsRequest drop = {.groupsNames = {&name, 1}};
    for (int i = 0; i < 2; i++) {
        ASK(&one, DeleteGroups, 1, &drop);
        assert_int_equal(REPLY(&one, DeleteGroups, 1)->results.items[0].errorCode, i ? KAFKA_GROUP_ID_NOT_FOUND : KAFKA_NONE);
        restart();
        assert_int_equal(fetch("g", false, &error), -1);
    }
}

static void test_offsets_in_a_transaction(void **state)
{
    (void)state;
    int16_t error;
    fr_err err = {0};
    fr_txn txn = {.transactional_id = "x", .producer_id = -1, .producer_epoch = -1, .timeout_ms = 60000};
    fr_write write = {.kind = FR_WRITE_PRODUCER_INIT, .txn = &txn};
    assert_int_equal(fr_submit_wait(db, &write, &err), FR_OK);
    assert_int_equal(commit("g", 0, 1, ""), KAFKA_NONE);
    for (int round = 0; round < 2; round++) { /* aborted, then committed; each with a restart in between */
        fr_kafka_AddOffsetsToTxnRequest add = {.transactionalId = fr_span_text("x"), .producerId = txn.producer_id,
                                               .producerEpoch = txn.producer_epoch, .groupId = fr_span_text("g")};
        ASK(&one, AddOffsetsToTxn, 1, &add);
        assert_int_equal(REPLY(&one, AddOffsetsToTxn, 1)->errorCode, KAFKA_NONE);
        fr_kafka_TxnOffsetCommitRequestPartition part = {.committedOffset = 50 + round, .committedMetadata = fr_span_text("in")};
        fr_kafka_TxnOffsetCommitRequestTopic topic = {.name = fr_span_text("t"), .partitions = {&part, 1}};
        fr_kafka_TxnOffsetCommitRequest request = {.transactionalId = add.transactionalId, .groupId = add.groupId, .producerId = add.producerId,
                                                   .producerEpoch = add.producerEpoch, .generationId = -1, .memberId = fr_span_text(""),
                                                   .topics = {&topic, 1}};
        ASK(&one, TxnOffsetCommit, 3, &request);
        assert_int_equal(REPLY(&one, TxnOffsetCommit, 3)->topics.items[0].partitions.items[0].errorCode, KAFKA_NONE);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(fetch("g", true, &error), -1);
            assert_int_equal(error, KAFKA_UNSTABLE_OFFSET_COMMIT);
            assert_int_equal(fetch("g", false, &error), 1);
            restart();
        }
        fr_kafka_EndTxnRequest end = {.transactionalId = add.transactionalId, .producerId = add.producerId, .producerEpoch = add.producerEpoch,
                                      .committed = round == 1};
        ASK(&one, EndTxn, 1, &end);
        assert_int_equal(REPLY(&one, EndTxn, 1)->errorCode, KAFKA_NONE);
        assert_int_equal(fetch("g", true, &error), round ? 51 : 1);
        assert_int_equal(error, KAFKA_NONE);
        restart();
        assert_int_equal(fetch("g", true, &error), round ? 51 : 1);
    }
}

static int16_t offset_delete(const char *group)
{
    fr_kafka_OffsetDeleteRequestPartition part = {.partitionIndex = 0};
    fr_kafka_OffsetDeleteRequestTopic topic = {.name = fr_span_text("t"), .partitions = {&part, 1}};
    fr_kafka_OffsetDeleteRequest request = {.groupId = fr_span_text(group), .topics = {&topic, 1}};
    ASK(&one, OffsetDelete, 0, &request);
    const fr_kafka_OffsetDeleteResponse *got = REPLY(&one, OffsetDelete, 0);
    return got->errorCode ? got->errorCode : got->topics.items[0].partitions.items[0].errorCode;
}

/* The transaction's record stands before the tombstone in the log: memory and replay agree that the tombstone wins. */
static void test_offset_delete_beside_a_transaction(void **state)
{
    (void)state;
    int16_t error;
    fr_err err = {0};
    fr_txn txn = {.transactional_id = "x", .producer_id = -1, .producer_epoch = -1, .timeout_ms = 60000};
    fr_write write = {.kind = FR_WRITE_PRODUCER_INIT, .txn = &txn};
    assert_int_equal(fr_submit_wait(db, &write, &err), FR_OK);
    fr_kafka_AddOffsetsToTxnRequest add = {.transactionalId = fr_span_text("x"), .producerId = txn.producer_id,
                                           .producerEpoch = txn.producer_epoch, .groupId = fr_span_text("g")};
    ASK(&one, AddOffsetsToTxn, 1, &add);
    assert_int_equal(REPLY(&one, AddOffsetsToTxn, 1)->errorCode, KAFKA_NONE);
    fr_kafka_TxnOffsetCommitRequestPartition part = {.committedOffset = 50, .committedMetadata = fr_span_text("in")};
    fr_kafka_TxnOffsetCommitRequestTopic topic = {.name = fr_span_text("t"), .partitions = {&part, 1}};
    fr_kafka_TxnOffsetCommitRequest request = {.transactionalId = add.transactionalId, .groupId = add.groupId, .producerId = add.producerId,
                                               .producerEpoch = add.producerEpoch, .generationId = -1, .memberId = fr_span_text(""),
                                               .topics = {&topic, 1}};
    ASK(&one, TxnOffsetCommit, 3, &request);
    assert_int_equal(REPLY(&one, TxnOffsetCommit, 3)->topics.items[0].partitions.items[0].errorCode, KAFKA_NONE);
    assert_int_equal(offset_delete("g"), KAFKA_NONE);
    fr_kafka_EndTxnRequest end = {.transactionalId = add.transactionalId, .producerId = add.producerId, .producerEpoch = add.producerEpoch,
                                  .committed = true};
    ASK(&one, EndTxn, 1, &end);
    assert_int_equal(REPLY(&one, EndTxn, 1)->errorCode, KAFKA_NONE);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fetch("g", true, &error), -1);
        assert_int_equal(error, KAFKA_NONE);
        restart();
    }
}

/* Too many partitions named: the connection is closed before the lock is taken. */
static void test_too_much_asked(void **state)
{
    (void)state;
    static int32_t many[FR_KAFKA_PARTITIONS_ASKED_MAX];
    fr_kafka_OffsetFetchRequestTopics topic = {.name = fr_span_text("t"), .partitionIndexes = {many, FR_COUNT_OF(many)}};
    fr_kafka_OffsetFetchRequestGroup wanted = {.groupId = fr_span_text("g"), .topics = {&topic, 1}};
    fr_kafka_OffsetFetchRequest request = {.groups = {&wanted, 1}};
    fr_kafka_out out = {0};
    for (int i = 0; i < 10; i++) fr_kafka_out_byte(&out, (uint8_t)"\0\11\0\10\0\0\0\115\0\0"[i]);
    fr_kafka_out_byte(&out, 0);
    assert_int_equal(fr_kafka_encode(&fr_kafka_OffsetFetchRequest_message, 8, &request, &out), FR_OK);
    carried_begin(&door, &one, fr_span_of(out.data, out.size));
    assert_int_equal(one.next, FR_KAFKA_CLOSE);
    fr_kafka_out_free(&out);
}

static void ask_join(carried *who, const char *id)
{
    fr_kafka_JoinGroupRequestProtocol protocol = {.name = fr_span_text("range"), .metadata = fr_span_text("")};
    fr_kafka_JoinGroupRequest request = {.groupId = fr_span_text("g"), .sessionTimeoutMs = 10000, .rebalanceTimeoutMs = 30000,
                                         .memberId = fr_span_text(id), .protocolType = fr_span_text("consumer"), .protocols = {&protocol, 1}};
    ASK(who, JoinGroup, 3, &request);
}

static void test_a_parked_join(void **state)
{
    (void)state;
    char first[320];
    ask_join(&one, "");
    fr_kafka_JoinGroupResponse *got = REPLY(&one, JoinGroup, 3);
    assert_int_equal(got->errorCode, KAFKA_NONE);
    assert_int_equal(got->members.count, 1);
    snprintf(first, sizeof first, "%.*s", (int)got->memberId.size, (const char *)got->memberId.data);
    ask_join(&two, "");
    assert_int_equal(two.next, FR_KAFKA_WAIT);
    assert_int_equal(fr_kafka_expire(&door, &two.call, false), FR_KAFKA_WAIT); /* it looked: nothing is over */
    ask_join(&one, first);
    got = REPLY(&one, JoinGroup, 3);
    assert_int_equal(got->generationId, 2);
    assert_int_equal(got->members.count, 2);
    assert_int_equal(sem_wait(&two.woken), 0);
    two.next = fr_kafka_step(&door, &two.call);
    got = REPLY(&two, JoinGroup, 3);
    assert_int_equal(got->generationId, 2);
    assert_int_equal(got->members.count, 0);
    ask_join(&two, ""); /* a third, whose connection goes */
    assert_int_equal(two.next, FR_KAFKA_WAIT);
    assert_int_equal(fr_kafka_expire(&door, &two.call, true), FR_KAFKA_NO_REPLY);
    fr_kafka_call_reset(&door, &two.call);
    ask_join(&two, "");
    assert_int_equal(two.next, FR_KAFKA_WAIT);
    atomic_fetch_add(&clock_ms, 31000); /* everybody else is over */
    assert_int_equal(fr_kafka_expire(&door, &two.call, false), FR_KAFKA_REPLY);
    two.next = FR_KAFKA_REPLY;
    got = REPLY(&two, JoinGroup, 3);
    assert_int_equal(got->generationId, 3);
    assert_int_equal(got->members.count, 1);
}

static void test_records(void **state)
{
    (void)state;
    uint8_t key[FR_OFFSET_KEY_BYTES(3)], value[FR_OFFSET_VALUE_BYTES(2)];
    fr_span group;
    fr_id topic;
    int32_t partition;
    fr_committed in = {.offset = 5, .leader_epoch = -1, .time_ms = 9, .metadata = (char[]){'h', 'i'}, .metadata_size = 2}, out = {0};
    fr_offset_key_write(key, fr_span_text("abc"), 77, 3);
    fr_offset_value_write(value, &in);
    for (size_t size = 0; size < sizeof key; size++) assert_false(fr_offset_key_read(fr_span_of(key, size), &group, &topic, &partition));
    for (size_t size = 0; size < sizeof value; size++) assert_false(fr_offset_value_read(fr_span_of(value, size), &out));
    assert_true(fr_offset_key_read(fr_span_of(key, sizeof key), &group, &topic, &partition));
    assert_true(fr_offset_value_read(fr_span_of(value, sizeof value), &out));
    assert_true(topic == 77 && partition == 3 && group.size == 3 && out.offset == 5 && out.metadata_size == 2 && out.leader_epoch == -1);
}

static void test_newer_in_the_log_wins(void **state)
{
    (void)state;
    fr_offsets set = {0};
    for (int32_t i = 99; i >= 0; i--) assert_int_equal(fr_offsets_put(&set, &(fr_committed){.topic = 1 + (fr_id)i % 3, .partition = i, .offset = i, .at = 10}), FR_OK);
    assert_int_equal(set.count, 100);
    assert_int_equal(fr_offsets_put(&set, &(fr_committed){.topic = 1, .partition = 0, .offset = 500, .at = 9}), FR_OK);
    assert_int_equal(fr_offsets_find(&set, 1, 0)->offset, 0);
    fr_offsets_remove(&set, 1, 0, 12);
    assert_null(fr_offsets_find(&set, 1, 0));
    assert_int_equal(fr_offsets_put(&set, &(fr_committed){.topic = 1, .partition = 0, .offset = 500, .at = 11}), FR_OK);
    assert_null(fr_offsets_find(&set, 1, 0)); /* its answer came late */
    fr_offsets_remove(&set, 9, 9, 14); /* not there yet: an older commit may still be answered */
    assert_int_equal(fr_offsets_put(&set, &(fr_committed){.topic = 9, .partition = 9, .offset = 1, .at = 13}), FR_OK);
    assert_null(fr_offsets_find(&set, 9, 9));
    assert_int_equal(fr_offsets_put(&set, &(fr_committed){.topic = 1, .partition = 0, .offset = 501, .at = 13}), FR_OK);
    assert_int_equal(fr_offsets_find(&set, 1, 0)->offset, 501);
    fr_offsets_remove(&set, 2, 1, 12);
    fr_offsets_purge(&set);
    assert_int_equal(set.count, 99);
    fr_offsets_free(&set);
}

#define each(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {each(test_offsets_survive), each(test_offsets_in_a_transaction), each(test_offset_delete_beside_a_transaction),
                                       each(test_too_much_asked), each(test_a_parked_join),
                                       cmocka_unit_test(test_records), cmocka_unit_test(test_newer_in_the_log_wins)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
