/* What operators' tools ask for: log directories, producers, transactions, quotas, from the real state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kafka_frames.h"
#include "log/batch.h"

static fr_kafka door;
static fr_db *db;
static carried one;
static fr_arena arena;

static int set_up(void **state)
{
    (void)state;
    db = kafka_open(&door);
    carried_init(&one);
    fr_arena_init(&arena, FR_MEM_TEST, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    carried_free(&door, &one);
    fr_arena_free(&arena);
    kafka_close(db);
    return 0;
}

#define MAKE(name) ((fr_kafka_##name *)fr_kafka_make(&arena, &fr_kafka_##name##_shape, 1))
/* One request to its response. */
#define ASK(name, version, request)                                                                                    \
    (carried_begin(&door, &one, frame_of(&fr_kafka_##name##Request_message, version, request)),                        \
     (const fr_kafka_##name##Response *)reply_of(&one, &fr_kafka_##name##Response_message, version, &arena))

static void make_topic(const char *name, int32_t partitions)
{
    fr_kafka_CreateTopicsRequest *request = MAKE(CreateTopicsRequest);
    assert_true(FR_KAFKA_ITEMS(&arena, &request->topics, CreatableTopic, 1));
    request->topics.items[0] = (fr_kafka_CreatableTopic){.name = fr_span_text(name), .numPartitions = partitions, .replicationFactor = 1};
    assert_int_equal(ASK(CreateTopics, 7, request)->topics.items[0].errorCode, KAFKA_NONE);
}

static int16_t produce(const char *topic, int32_t partition, fr_span batch)
{
    fr_kafka_ProduceRequest *request = MAKE(ProduceRequest);
    assert_true(FR_KAFKA_ITEMS(&arena, &request->topicData, TopicProduceData, 1));
    assert_true(FR_KAFKA_ITEMS(&arena, &request->topicData.items[0].partitionData, PartitionProduceData, 1));
    request->acks = -1;
    request->transactionalId = fr_span_text("mover");
    request->topicData.items[0].name = fr_span_text(topic);
    request->topicData.items[0].partitionData.items[0].index = partition;
    request->topicData.items[0].partitionData.items[0].records = (fr_kafka_records){.data = batch.data, .size = batch.size, .fd = -1};
    return ASK(Produce, 9, request)->responses.items[0].partitionResponses.items[0].errorCode;
}

/* A transaction of "mover" with partition 1 of "moved", one batch of three records in it. */
static void begin_transaction(int64_t *producer_out, int16_t *epoch_out)
{
    fr_kafka_InitProducerIdRequest *init = MAKE(InitProducerIdRequest);
    init->transactionalId = fr_span_text("mover");
    init->transactionTimeoutMs = 50000;
    init->producerId = init->producerEpoch = -1;
    const fr_kafka_InitProducerIdResponse *given = ASK(InitProducerId, 4, init);
    assert_int_equal(given->errorCode, KAFKA_NONE);
    *producer_out = given->producerId, *epoch_out = given->producerEpoch;
    fr_kafka_AddPartitionsToTxnRequest *add = MAKE(AddPartitionsToTxnRequest);
    int32_t partition = 1;
    assert_true(FR_KAFKA_ITEMS(&arena, &add->v3AndBelowTopics, AddPartitionsToTxnTopic, 1));
    add->v3AndBelowTransactionalId = fr_span_text("mover");
    add->v3AndBelowProducerId = *producer_out, add->v3AndBelowProducerEpoch = *epoch_out;
    add->v3AndBelowTopics.items[0].name = fr_span_text("moved");
    add->v3AndBelowTopics.items[0].partitions.items = &partition;
    add->v3AndBelowTopics.items[0].partitions.count = 1;
    assert_int_equal(ASK(AddPartitionsToTxn, 3, add)->resultsByTopicV3AndBelow.items[0].resultsByPartition.items[0].partitionErrorCode, KAFKA_NONE);
    fr_batch_writer writer = {0};
    uint8_t *batch = NULL;
    size_t size = 0;
    fr_batch_writer_begin(&writer, FR_CODEC_NONE);
    for (int i = 0; i < 3; i++) fr_batch_writer_add(&writer, 1700000000000 + i, fr_span_text("key"), fr_span_text("value"), NULL, 0);
    assert_int_equal(fr_batch_writer_end(&writer, &batch, &size), FR_OK);
    fr_batch_own(batch, size, *producer_out, *epoch_out, 0, 0x10);
    assert_int_equal(produce("moved", 1, fr_span_of(batch, size)), KAFKA_NONE);
    fr_batch_writer_free(&writer);
}

static void end_transaction(int64_t producer, int16_t epoch)
{
    fr_kafka_EndTxnRequest *end = MAKE(EndTxnRequest);
    end->transactionalId = fr_span_text("mover");
    end->producerId = producer, end->producerEpoch = epoch;
    end->committed = true;
    assert_int_equal(ASK(EndTxn, 3, end)->errorCode, KAFKA_NONE);
}

static const fr_kafka_PartitionResponse *producers_of(const char *topic, int32_t partition)
{
    fr_kafka_DescribeProducersRequest *request = MAKE(DescribeProducersRequest);
    static int32_t asked;
    asked = partition;
    assert_true(FR_KAFKA_ITEMS(&arena, &request->topics, TopicRequest, 1));
    request->topics.items[0].name = fr_span_text(topic);
    request->topics.items[0].partitionIndexes.items = &asked;
    request->topics.items[0].partitionIndexes.count = 1;
    const fr_kafka_DescribeProducersResponse *response = ASK(DescribeProducers, 0, request);
    assert_int_equal(response->topics.count, 1);
    return &response->topics.items[0].partitions.items[0];
}

static const fr_kafka_ListTransactionsResponse *transactions(const char *state, int64_t longer_than_ms)
{
    fr_kafka_ListTransactionsRequest *request = MAKE(ListTransactionsRequest);
    static fr_span filter;
    filter = fr_span_text(state ? state : "");
    request->durationFilter = longer_than_ms;
    request->stateFilters.items = &filter;
    request->stateFilters.count = state ? 1 : 0;
    const fr_kafka_ListTransactionsResponse *response = ASK(ListTransactions, 1, request);
    assert_int_equal(response->errorCode, KAFKA_NONE);
    return response;
}

static const fr_kafka_DescribeTransactionsResponse *described(const char *id)
{
    fr_kafka_DescribeTransactionsRequest *request = MAKE(DescribeTransactionsRequest);
    static fr_span name;
    name = fr_span_text(id);
    request->transactionalIds.items = &name;
    request->transactionalIds.count = 1;
    return ASK(DescribeTransactions, 0, request);
}

static void test_transactions_and_producers(void **state)
{
    (void)state;
    int64_t producer;
    int16_t epoch;
    make_topic("moved", 2);
    assert_int_equal(transactions(NULL, -1)->transactionStates.count, 0);
    assert_int_equal(producers_of("moved", 1)->activeProducers.count, 0);
    begin_transaction(&producer, &epoch);

    const fr_kafka_PartitionResponse *part = producers_of("moved", 1);
    assert_int_equal(part->errorCode, KAFKA_NONE);
    assert_int_equal(part->activeProducers.count, 1);
    assert_int_equal(part->activeProducers.items[0].producerId, producer);
    assert_int_equal(part->activeProducers.items[0].producerEpoch, epoch);
    assert_int_equal(part->activeProducers.items[0].lastSequence, 2);
    assert_int_equal(part->activeProducers.items[0].currentTxnStartOffset, 0);
    assert_int_equal(producers_of("moved", 0)->activeProducers.count, 0);
    assert_int_equal(producers_of("moved", 7)->errorCode, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(producers_of("nowhere", 0)->errorCode, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);

    const fr_kafka_ListTransactionsResponse *list = transactions("Ongoing", -1);
    assert_int_equal(list->transactionStates.count, 1);
    assert_true(fr_span_equal(list->transactionStates.items[0].transactionalId, fr_span_text("mover")));
    assert_int_equal(list->transactionStates.items[0].producerId, producer);
    assert_int_equal(transactions("Empty", -1)->transactionStates.count, 0);
    assert_int_equal(transactions(NULL, 3600000)->transactionStates.count, 0);
    list = transactions("Sleeping", -1);
    assert_int_equal(list->unknownStateFilters.count, 1);
    assert_int_equal(list->transactionStates.count, 0);

    const fr_kafka_DescribeTransactionsResponse *about = described("mover");
    assert_int_equal(about->transactionStates.items[0].errorCode, KAFKA_NONE);
    assert_true(fr_span_equal(about->transactionStates.items[0].transactionState, fr_span_text("Ongoing")));
    assert_int_equal(about->transactionStates.items[0].transactionTimeoutMs, 50000);
    assert_true(about->transactionStates.items[0].transactionStartTimeMs > 1700000000000);
    assert_int_equal(about->transactionStates.items[0].topics.count, 1);
    assert_true(fr_span_equal(about->transactionStates.items[0].topics.items[0].topic, fr_span_text("moved")));
    assert_int_equal(about->transactionStates.items[0].topics.items[0].partitions.count, 1);
    assert_int_equal(about->transactionStates.items[0].topics.items[0].partitions.items[0], 1);
    assert_int_equal(described("nobody")->transactionStates.items[0].errorCode, KAFKA_TRANSACTIONAL_ID_NOT_FOUND);
    assert_int_equal(described("")->transactionStates.items[0].errorCode, KAFKA_INVALID_REQUEST);

    end_transaction(producer, epoch);
    about = described("mover");
    assert_true(fr_span_equal(about->transactionStates.items[0].transactionState, fr_span_text("CompleteCommit")));
    assert_int_equal(about->transactionStates.items[0].transactionStartTimeMs, -1);
    assert_int_equal(about->transactionStates.items[0].topics.count, 0);
    assert_int_equal(producers_of("moved", 1)->activeProducers.items[0].currentTxnStartOffset, -1);
}

static void test_log_directories(void **state)
{
    (void)state;
    int64_t producer;
    int16_t epoch;
    make_topic("moved", 2);
    begin_transaction(&producer, &epoch);
    snprintf(door.log_dir, sizeof door.log_dir, "/data/here");
    fr_kafka_DescribeLogDirsRequest *request = MAKE(DescribeLogDirsRequest);
    request->topics.count = -1;
    const fr_kafka_DescribeLogDirsResult *dir = &ASK(DescribeLogDirs, 4, request)->results.items[0];
    assert_true(fr_span_equal(dir->logDir, fr_span_text("/data/here")));
    bool found = false;
    for (int32_t i = 0; i < dir->topics.count; i++) {
        if (!fr_span_equal(dir->topics.items[i].name, fr_span_text("moved"))) continue;
        found = true;
        assert_int_equal(dir->topics.items[i].partitions.count, 2);
        assert_int_equal(dir->topics.items[i].partitions.items[0].partitionSize, 0);
        assert_true(dir->topics.items[i].partitions.items[1].partitionSize > 100);
    }
    assert_true(found);
    static int32_t wanted[] = {1, 5};
    assert_true(FR_KAFKA_ITEMS(&arena, &request->topics, DescribableLogDirTopic, 2));
    request->topics.items[0].topic = fr_span_text("moved");
    request->topics.items[0].partitions.items = wanted;
    request->topics.items[0].partitions.count = 2;
    request->topics.items[1].topic = fr_span_text("nowhere");
    dir = &ASK(DescribeLogDirs, 1, request)->results.items[0];
    assert_int_equal(dir->topics.count, 1);
    assert_int_equal(dir->topics.items[0].partitions.count, 1);
    fr_kafka_ListPartitionReassignmentsRequest *moving = MAKE(ListPartitionReassignmentsRequest);
    moving->topics.count = -1;
    const fr_kafka_ListPartitionReassignmentsResponse *none = ASK(ListPartitionReassignments, 0, moving);
    assert_int_equal(none->errorCode, KAFKA_NONE);
    assert_int_equal(none->topics.count, 0);
}

/* user NULL: not named; "": the default one. The same for the client id. */
static const fr_kafka_AlterClientQuotasResponse_EntryData *alter(const char *user, const char *client, const char *key, double value)
{
    fr_kafka_AlterClientQuotasRequest *request = MAKE(AlterClientQuotasRequest);
    assert_true(FR_KAFKA_ITEMS(&arena, &request->entries, AlterClientQuotasRequest_EntryData, 1));
    fr_kafka_AlterClientQuotasRequest_EntryData *entry = &request->entries.items[0];
    assert_true(FR_KAFKA_ITEMS(&arena, &entry->entity, AlterClientQuotasRequest_EntityData, 2) && FR_KAFKA_ITEMS(&arena, &entry->ops, OpData, 1));
    entry->entity.count = 0;
    const char *names[] = {user, client}, *types[] = {"user", "client-id"};
    for (int i = 0; i < 2; i++) {
        if (!names[i]) continue;
        entry->entity.items[entry->entity.count].entityType = fr_span_text(types[i]);
        entry->entity.items[entry->entity.count++].entityName = names[i][0] ? fr_span_text(names[i]) : (fr_span){NULL, 0};
    }
    entry->ops.items[0] = (fr_kafka_OpData){.key = fr_span_text(key), .value = value, .remove = value == 0};
    return &ASK(AlterClientQuotas, 1, request)->entries.items[0];
}

static const fr_kafka_DescribeClientQuotasResponse *quotas(const char *type, int8_t match, const char *name, bool strict)
{
    fr_kafka_DescribeClientQuotasRequest *request = MAKE(DescribeClientQuotasRequest);
    assert_true(FR_KAFKA_ITEMS(&arena, &request->components, ComponentData, type ? 1 : 0));
    if (type) request->components.items[0] = (fr_kafka_ComponentData){fr_span_text(type), match, name ? fr_span_text(name) : (fr_span){NULL, 0}};
    request->strict = strict;
    return ASK(DescribeClientQuotas, 1, request);
}

static void told(void *user, const fr_principal *principal, const char *action, const char *object, const char *verdict, const char *reason)
{
    (void)user, (void)principal, (void)action, (void)object, (void)verdict, (void)reason;
}

static void test_quotas_are_the_limits(void **state)
{
    (void)state;
    const fr_kafka_sasl sasl = {.told = told}; /* this listener asks nobody */
    door.sasl = &sasl;
    fr_access ann = {.kind = FR_ACCESS_USER, .name = "ann"};
    fr_err err = {0};
    fr_write write = {.kind = FR_WRITE_ACCESS_PUT, .access = &ann};
    assert_int_equal(fr_submit_wait(db, &write, &err), FR_OK);
    assert_int_equal(alter("ann", NULL, "producer_byte_rate", 2500000)->errorCode, KAFKA_NONE);
    assert_int_equal(alter("ann", NULL, "consumer_byte_rate", 1000)->errorCode, KAFKA_NONE);
    assert_int_equal(alter("ann", "app", "request_rate", 10)->errorCode, KAFKA_NONE);
    assert_int_equal(alter("", NULL, "producer_byte_rate", 7)->errorCode, KAFKA_NONE);
    assert_int_equal(alter(NULL, "app", "consumer_byte_rate", 9)->errorCode, KAFKA_NONE);
    fr_access limit = {.kind = FR_ACCESS_LIMIT, .name = "ann"};
    assert_int_equal(fr_access_get(db, &limit), FR_OK);
    assert_int_equal(limit.bytes_in, 2500000);
    assert_int_equal(limit.bytes_out, 1000);

    assert_int_equal(quotas(NULL, 0, NULL, false)->entries.count, 4);
    const fr_kafka_DescribeClientQuotasResponse *found = quotas("user", 0, "ann", true);
    assert_int_equal(found->entries.count, 1);
    assert_int_equal(found->entries.items[0].values.count, 2);
    assert_true(fr_span_equal(found->entries.items[0].values.items[0].key, fr_span_text("producer_byte_rate")));
    assert_true(found->entries.items[0].values.items[0].value == 2500000.0);
    assert_int_equal(quotas("user", 0, "ann", false)->entries.count, 2);
    assert_int_equal(quotas("user", 2, NULL, true)->entries.count, 2);
    found = quotas("user", 1, NULL, true);
    assert_int_equal(found->entries.count, 1);
    assert_null(found->entries.items[0].entity.items[0].entityName.data);
    found = quotas("client-id", 0, "app", true);
    assert_int_equal(found->entries.count, 1);
    assert_true(found->entries.items[0].values.items[0].value == 9.0);

    assert_int_equal(alter("ann", NULL, "consumer_byte_rate", 0)->errorCode, KAFKA_NONE);
    assert_int_equal(alter("ann", NULL, "producer_byte_rate", 0)->errorCode, KAFKA_NONE);
    assert_int_equal(quotas("user", 0, "ann", true)->entries.count, 0);
    assert_int_equal(alter("ann", NULL, "request_percentage", 50)->errorCode, KAFKA_INVALID_REQUEST);
    assert_int_equal(alter("ann", NULL, "producer_byte_rate", 0.5)->errorCode, KAFKA_INVALID_REQUEST);
    assert_int_equal(alter(NULL, "", "producer_byte_rate", 5)->errorCode, KAFKA_INVALID_REQUEST);
    assert_int_equal(alter(NULL, NULL, "producer_byte_rate", 5)->errorCode, KAFKA_INVALID_REQUEST);
    const fr_kafka_AlterClientQuotasResponse_EntryData *nobody = alter("nobody", NULL, "producer_byte_rate", 5);
    assert_int_equal(nobody->errorCode, KAFKA_INVALID_REQUEST);
    assert_true(nobody->errorMessage.size > 0);
}

int main(void)
{
    fr_note_level(FR_NOTE_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_transactions_and_producers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_log_directories, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_quotas_are_the_limits, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
