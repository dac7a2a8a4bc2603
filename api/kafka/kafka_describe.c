/* kafka_describe.c: what the tools of operators ask for: DescribeLogDirs, ListPartitionReassignments, DescribeProducers,
 * DescribeTransactions, ListTransactions. */
#include "api/kafka/kafka_private.h"

static int16_t server_error(fr_kafka *door, fr_kafka_call *call)
{
    return fr_kafka_may(door, call, FR_ACTION_ADMIN, FR_OBJECT_ALL, (fr_span){NULL, 0}, false) ? KAFKA_NONE : KAFKA_CLUSTER_AUTHORIZATION_FAILED;
}

/* ---- DescribeLogDirs: one directory, every partition whole in it ---- */

static void dir_partition(fr_kafka *door, fr_id id, int32_t partition, fr_kafka_DescribeLogDirsTopic *topic)
{
    fr_partition_state state;
    if (fr_partition_get(door->db, id, partition, &state) != FR_OK) return;
    fr_kafka_DescribeLogDirsPartition *row = &topic->partitions.items[topic->partitions.count++];
    row->partitionIndex = partition;
    row->partitionSize = (int64_t)state.bytes;
}

/* wanted NULL: every partition. False: no memory. */
static bool dir_topic(fr_kafka *door, fr_kafka_call *call, const fr_topic_info *info, const fr_kafka_DescribableLogDirTopic *wanted,
                      fr_kafka_DescribeLogDirsResult *result)
{
    fr_kafka_DescribeLogDirsTopic *topic = &result->topics.items[result->topics.count++];
    int32_t count = wanted ? FR_MAX(wanted->partitions.count, 0) : (int32_t)info->partition_count;
    topic->name = fr_span_of(fr_arena_copy(&call->arena, info->name, strlen(info->name)), strlen(info->name));
    if (!topic->name.data || !FR_KAFKA_ITEMS(&call->arena, &topic->partitions, DescribeLogDirsPartition, count)) return false;
    topic->partitions.count = 0;
    for (int32_t i = 0; i < count; i++) dir_partition(door, info->id, wanted ? wanted->partitions.items[i] : i, topic);
    return true;
}

static bool dir_all(fr_kafka *door, fr_kafka_call *call, fr_kafka_DescribeLogDirsResult *result)
{
    uint32_t count = fr_topic_list(door->db, NULL, 0);
    fr_id *ids = fr_arena_alloc(&call->arena, FR_MAX(count, 1u) * sizeof *ids);
    if (!ids || !FR_KAFKA_ITEMS(&call->arena, &result->topics, DescribeLogDirsTopic, (int32_t)count)) return false;
    count = FR_MIN(count, fr_topic_list(door->db, ids, count));
    result->topics.count = 0;
    for (uint32_t i = 0; i < count; i++) {
        fr_topic_info info;
        if (fr_topic_get(door->db, ids[i], &info) == FR_OK && !dir_topic(door, call, &info, NULL, result)) return false;
    }
    return true;
}

static bool dir_some(fr_kafka *door, fr_kafka_call *call, fr_kafka_DescribeLogDirsResult *result)
{
    const fr_kafka_DescribeLogDirsRequest *request = call->request;
    if (!FR_KAFKA_ITEMS(&call->arena, &result->topics, DescribeLogDirsTopic, request->topics.count)) return false;
    result->topics.count = 0;
    for (int32_t i = 0; i < request->topics.count; i++) { /* what does not exist is not in the directory */
        fr_topic_info info;
        const fr_kafka_DescribableLogDirTopic *wanted = &request->topics.items[i];
        if (fr_kafka_topic(door, call, wanted->topic, &info) == KAFKA_NONE && !dir_topic(door, call, &info, wanted, result)) return false;
    }
    return true;
}

fr_kafka_next fr_kafka_describe_log_dirs(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_DescribeLogDirsRequest *request = call->request;
    fr_kafka_DescribeLogDirsResponse *response = FR_KAFKA_RESPONSE(call, DescribeLogDirsResponse);
    if (!response) return FR_KAFKA_CLOSE;
    response->errorCode = server_error(door, call);
    if (response->errorCode) return fr_kafka_reply(call, response);
    if (!FR_KAFKA_ITEMS(&call->arena, &response->results, DescribeLogDirsResult, 1)) return FR_KAFKA_CLOSE;
    response->results.items[0].logDir = fr_span_text(door->log_dir[0] ? door->log_dir : "/");
    bool fine = request->topics.count < 0 ? dir_all(door, call, response->results.items) : dir_some(door, call, response->results.items);
    return fine ? fr_kafka_reply(call, response) : FR_KAFKA_CLOSE;
}

/* ---- ListPartitionReassignments: on one node nothing moves ---- */

fr_kafka_next fr_kafka_list_partition_reassignments(fr_kafka *door, fr_kafka_call *call)
{
    fr_kafka_ListPartitionReassignmentsResponse *response = FR_KAFKA_RESPONSE(call, ListPartitionReassignmentsResponse);
    if (response) response->errorCode = server_error(door, call);
    return fr_kafka_reply(call, response);
}

/* ---- DescribeProducers ---- */

typedef struct producers {
    fr_kafka_ProducerState *items;
    int32_t count, capacity;
} producers;

static void producer_count(void *user, const fr_producer_info *one)
{
    (void)one;
    ((producers *)user)->capacity++;
}

static void producer_add(void *user, const fr_producer_info *one)
{
    producers *self = user;
    if (self->count == self->capacity) return; /* it came between the two looks */
    fr_kafka_ProducerState *row = &self->items[self->count++];
    row->producerId = one->producer_id;
    row->producerEpoch = one->epoch;
    row->lastSequence = one->last_sequence;
    row->lastTimestamp = one->timestamp_ms;
    row->currentTxnStartOffset = one->txn_first;
}

static int16_t producers_of(fr_kafka *door, fr_kafka_call *call, fr_id id, int32_t partition, fr_kafka_PartitionResponse *row)
{
    producers found = {0};
    if (fr_partition_producers(door->db, id, partition, producer_count, &found) != FR_OK) return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (!FR_KAFKA_ITEMS(&call->arena, &row->activeProducers, ProducerState, found.capacity)) return KAFKA_UNKNOWN_SERVER_ERROR;
    found.items = row->activeProducers.items;
    row->activeProducers.count = 0;
    if (fr_partition_producers(door->db, id, partition, producer_add, &found) != FR_OK) return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    row->activeProducers.count = found.count;
    return KAFKA_NONE;
}

fr_kafka_next fr_kafka_describe_producers(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_DescribeProducersRequest *request = call->request;
    fr_kafka_DescribeProducersResponse *response = FR_KAFKA_RESPONSE(call, DescribeProducersResponse);
    int32_t topics = FR_MAX(request->topics.count, 0);
    if (!response || !FR_KAFKA_ITEMS(&call->arena, &response->topics, TopicResponse, topics)) return FR_KAFKA_CLOSE;
    for (int32_t i = 0; i < topics; i++) {
        const fr_kafka_TopicRequest *wanted = &request->topics.items[i];
        fr_topic_info info = {0};
        int16_t error = fr_kafka_topic(door, call, wanted->name, &info);
        int32_t count = FR_MAX(wanted->partitionIndexes.count, 0);
        fr_kafka_TopicResponse *row = &response->topics.items[i];
        row->name = wanted->name;
        if (!FR_KAFKA_ITEMS(&call->arena, &row->partitions, PartitionResponse, count)) return FR_KAFKA_CLOSE;
        for (int32_t j = 0; j < count; j++) {
            row->partitions.items[j].partitionIndex = wanted->partitionIndexes.items[j];
            row->partitions.items[j].errorCode =
                error ? error : producers_of(door, call, info.id, wanted->partitionIndexes.items[j], &row->partitions.items[j]);
        }
    }
    return fr_kafka_reply(call, response);
}

/* ---- DescribeTransactions, ListTransactions: the writer tells all of them, into the call's arena ---- */

typedef struct txn_row {
    struct txn_row *next;
    fr_txn_info info;
} txn_row;

typedef struct txn_rows {
    fr_arena *arena;
    txn_row *first, **end;
    int32_t count;
    bool full; /* no memory */
} txn_rows;

static void txn_add(void *user, const fr_txn_info *info)
{
    txn_rows *self = user; /* the writer's thread; the call's own waits for it */
    txn_row *row = fr_arena_alloc(self->arena, sizeof *row);
    char *name = fr_arena_copy(self->arena, info->transactional_id, strlen(info->transactional_id) + 1);
    void *parts = fr_arena_copy(self->arena, info->parts, info->part_count * sizeof *info->parts);
    if (!row || !name || (info->part_count && !parts)) {
        self->full = true;
        return;
    }
    *row = (txn_row){.info = *info};
    row->info.transactional_id = name;
    row->info.parts = parts;
    *self->end = row;
    self->end = &row->next;
    self->count++;
}

static fr_kafka_next txns_ask(fr_kafka *door, fr_kafka_call *call, fr_kafka_next (*resume)(fr_kafka *door, fr_kafka_call *call))
{
    txn_rows *rows = fr_arena_alloc(&call->arena, sizeof *rows);
    fr_txn *txn = fr_arena_alloc(&call->arena, sizeof *txn);
    if (!rows || !txn || !fr_kafka_writes(call, 1)) return FR_KAFKA_CLOSE;
    *rows = (txn_rows){.arena = &call->arena, .end = &rows->first};
    *txn = (fr_txn){.each = txn_add, .user = rows};
    call->state = rows;
    call->writes[0].txn = txn;
    call->writes[0].kind = FR_WRITE_TXN_LIST;
    return fr_kafka_submit(door, call, resume);
}

static int16_t txns_error(const fr_kafka_call *call)
{
    const txn_rows *rows = call->state;
    int16_t error = fr_kafka_coordinator_error(&call->writes[0]);
    return !error && rows->full ? KAFKA_UNKNOWN_SERVER_ERROR : error;
}

static const txn_row *txn_find(const txn_rows *rows, fr_span name)
{
    for (const txn_row *row = rows->first; row; row = row->next)
        if (fr_span_equal(fr_span_text(row->info.transactional_id), name)) return row;
    return NULL;
}

/* Its topics that the caller may read, partitions of one topic side by side as they were added. False: no memory. */
static bool txn_topics(fr_kafka *door, fr_kafka_call *call, const fr_txn_info *info, fr_kafka_DescribeTransactionsResponse_TransactionState *state)
{
    int32_t count = (int32_t)info->part_count;
    fr_id of = 0;
    fr_kafka_TopicData *topic = NULL;
    if (!FR_KAFKA_ITEMS(&call->arena, &state->topics, TopicData, count)) return false;
    state->topics.count = 0;
    for (int32_t i = 0; i < count; i++) {
        fr_topic_info about;
        if (info->parts[i].id != of || !topic) {
            of = info->parts[i].id;
            topic = NULL;
            if (fr_topic_get(door->db, of, &about) != FR_OK) continue;
            if (!fr_kafka_may(door, call, FR_ACTION_READ, FR_OBJECT_TOPIC, fr_span_text(about.name), true)) continue;
            topic = &state->topics.items[state->topics.count++];
            topic->topic = fr_span_of(fr_arena_copy(&call->arena, about.name, strlen(about.name)), strlen(about.name));
            topic->partitions.items = fr_arena_alloc(&call->arena, (size_t)count * sizeof *topic->partitions.items);
            if (!topic->topic.data || !topic->partitions.items) return false;
            topic->partitions.count = 0;
        }
        topic->partitions.items[topic->partitions.count++] = info->parts[i].partition;
    }
    return true;
}

static fr_kafka_next described(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_DescribeTransactionsRequest *request = call->request;
    fr_kafka_DescribeTransactionsResponse *response = FR_KAFKA_RESPONSE(call, DescribeTransactionsResponse);
    int32_t count = FR_MAX(request->transactionalIds.count, 0);
    int16_t error = txns_error(call);
    if (!response || !FR_KAFKA_ITEMS(&call->arena, &response->transactionStates, DescribeTransactionsResponse_TransactionState, count))
        return FR_KAFKA_CLOSE;
    for (int32_t i = 0; i < count; i++) {
        fr_kafka_DescribeTransactionsResponse_TransactionState *state = &response->transactionStates.items[i];
        fr_span name = request->transactionalIds.items[i];
        const txn_row *row = txn_find(call->state, name);
        state->transactionalId = name;
        state->producerId = state->producerEpoch = -1;
        state->transactionStartTimeMs = -1;
        state->transactionState = fr_span_text("");
        state->errorCode = error;
        if (!error && !name.size) state->errorCode = KAFKA_INVALID_REQUEST;
        if (!state->errorCode) state->errorCode = fr_kafka_txn_error(door, call, name);
        if (!state->errorCode && !row) state->errorCode = KAFKA_TRANSACTIONAL_ID_NOT_FOUND;
        if (state->errorCode) continue;
        state->transactionState = fr_span_text(row->info.state);
        state->transactionTimeoutMs = row->info.timeout_ms;
        state->transactionStartTimeMs = row->info.started_ms;
        state->producerId = row->info.producer_id;
        state->producerEpoch = row->info.producer_epoch;
        if (!txn_topics(door, call, &row->info, state)) return FR_KAFKA_CLOSE;
    }
    return fr_kafka_reply(call, response);
}

fr_kafka_next fr_kafka_describe_transactions(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_DescribeTransactionsRequest *request = call->request;
    return request->transactionalIds.count > (int32_t)FR_KAFKA_TXNS_ASKED_MAX ? FR_KAFKA_CLOSE : txns_ask(door, call, described);
}

static const char *const txn_states[] = {"Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort",
                                         "Dead", "PrepareEpochFence"}; /* the last two: words of Kafka's that never come here */

static bool txn_wanted(const fr_kafka_ListTransactionsRequest *request, const fr_txn_info *info)
{
    bool state = request->stateFilters.count <= 0, producer = request->producerIdFilters.count <= 0;
    for (int32_t i = 0; i < request->stateFilters.count; i++) state |= fr_span_equal(request->stateFilters.items[i], fr_span_text(info->state));
    for (int32_t i = 0; i < request->producerIdFilters.count; i++) producer |= request->producerIdFilters.items[i] == info->producer_id;
    return state && producer && (request->durationFilter < 0 || (info->started_ms >= 0 && info->running_ms > request->durationFilter));
}

static fr_kafka_next listed(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_ListTransactionsRequest *request = call->request;
    const txn_rows *rows = call->state;
    fr_kafka_ListTransactionsResponse *response = FR_KAFKA_RESPONSE(call, ListTransactionsResponse);
    if (!response) return FR_KAFKA_CLOSE;
    response->errorCode = txns_error(call);
    if (response->errorCode) return fr_kafka_reply(call, response);
    fr_span *unknown = fr_arena_alloc(&call->arena, (size_t)FR_MAX(request->stateFilters.count, 1) * sizeof *unknown);
    if (!unknown || !FR_KAFKA_ITEMS(&call->arena, &response->transactionStates, ListTransactionsResponse_TransactionState, rows->count))
        return FR_KAFKA_CLOSE;
    response->unknownStateFilters.items = unknown;
    for (int32_t i = 0; i < request->stateFilters.count; i++) {
        bool known = false;
        for (size_t word = 0; word < FR_COUNT_OF(txn_states); word++) known |= fr_span_equal(request->stateFilters.items[i], fr_span_text(txn_states[word]));
        if (!known) unknown[response->unknownStateFilters.count++] = request->stateFilters.items[i];
    }
    response->transactionStates.count = 0;
    for (const txn_row *row = rows->first; row; row = row->next) {
        fr_span name = fr_span_text(row->info.transactional_id);
        if (!txn_wanted(request, &row->info) || !fr_kafka_may(door, call, FR_ACTION_WRITE, FR_OBJECT_TXN, name, true)) continue;
        fr_kafka_ListTransactionsResponse_TransactionState *state = &response->transactionStates.items[response->transactionStates.count++];
        state->transactionalId = name;
        state->producerId = row->info.producer_id;
        state->transactionState = fr_span_text(row->info.state);
    }
    return fr_kafka_reply(call, response);
}

fr_kafka_next fr_kafka_list_transactions(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_ListTransactionsRequest *request = call->request;
    bool many = request->stateFilters.count > (int32_t)FR_COUNT_OF(txn_states) * 4 || request->producerIdFilters.count > (int32_t)FR_KAFKA_TXNS_ASKED_MAX;
    return many ? FR_KAFKA_CLOSE : txns_ask(door, call, listed);
}
