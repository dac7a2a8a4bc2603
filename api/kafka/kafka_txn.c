/* kafka_txn.c: InitProducerId, AddPartitionsToTxn, EndTxn: the coordinator is the engine's. */
#include "api/kafka/kafka_private.h"

static fr_txn *txn_of(fr_kafka_call *call, fr_span transactional_id)
{
    fr_txn *txn = fr_arena_alloc(&call->arena, sizeof *txn);
    if (!txn || !fr_kafka_writes(call, 1)) return NULL;
    *txn = (fr_txn){.producer_id = -1, .producer_epoch = -1};
    if (transactional_id.data) txn->transactional_id = fr_kafka_text(call, transactional_id);
    call->writes[0].txn = txn;
    return txn;
}

static bool id_ok(fr_span id) { return !id.data || (id.size && id.size <= FR_TRANSACTIONAL_ID_BYTES_MAX && !memchr(id.data, 0, id.size)); }

/* Before InitProducerId 4 (and AddPartitionsToTxn 2, EndTxn 2) clients do not know PRODUCER_FENCED. */
static int16_t error_of(const fr_kafka_call *call, int16_t fenced_from)
{
    int16_t error = fr_kafka_coordinator_error(&call->writes[0]);
    return error == KAFKA_PRODUCER_FENCED && call->header.version < fenced_from ? KAFKA_INVALID_PRODUCER_EPOCH : error;
}

static fr_kafka_next init_answer(fr_kafka_call *call, int16_t error)
{
    fr_kafka_InitProducerIdResponse *response = FR_KAFKA_RESPONSE(call, InitProducerIdResponse);
    if (!response) return FR_KAFKA_CLOSE;
    response->errorCode = error;
    response->producerId = error ? -1 : call->writes[0].txn->producer_id;
    response->producerEpoch = error ? -1 : call->writes[0].txn->producer_epoch;
    return fr_kafka_reply(call, response);
}

static fr_kafka_next init_done(fr_kafka *door, fr_kafka_call *call)
{
    (void)door;
    return init_answer(call, error_of(call, 4));
}

fr_kafka_next fr_kafka_init_producer_id(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_InitProducerIdRequest *request = call->request;
    if (!id_ok(request->transactionalId)) return init_answer(call, KAFKA_INVALID_REQUEST);
    int16_t denied = fr_kafka_txn_error(door, call, request->transactionalId);
    if (denied) return init_answer(call, denied);
    fr_txn *txn = txn_of(call, request->transactionalId);
    if (!txn) return FR_KAFKA_CLOSE;
    if (txn->transactional_id && (request->transactionTimeoutMs <= 0 || request->transactionTimeoutMs > FR_TRANSACTION_MS_MAX))
        return init_answer(call, KAFKA_INVALID_TRANSACTION_TIMEOUT);
    txn->timeout_ms = request->transactionTimeoutMs;
    txn->producer_id = request->producerId;
    txn->producer_epoch = request->producerEpoch;
    call->writes[0].kind = FR_WRITE_PRODUCER_INIT;
    return fr_kafka_submit(door, call, init_done);
}

static fr_kafka_next added_answer(fr_kafka_call *call, int16_t error)
{
    const fr_kafka_AddPartitionsToTxnRequest *request = call->request;
    const int16_t *before = call->state;
    fr_kafka_AddPartitionsToTxnResponse *response = FR_KAFKA_RESPONSE(call, AddPartitionsToTxnResponse);
    int32_t count = FR_MAX(request->v3AndBelowTopics.count, 0);
    if (!response || !FR_KAFKA_ITEMS(&call->arena, &response->resultsByTopicV3AndBelow, AddPartitionsToTxnTopicResult, count))
        return FR_KAFKA_CLOSE;
    for (int32_t i = 0; i < count; i++) {
        const fr_kafka_AddPartitionsToTxnTopic *topic = &request->v3AndBelowTopics.items[i];
        fr_kafka_AddPartitionsToTxnTopicResult *row = &response->resultsByTopicV3AndBelow.items[i];
        row->name = topic->name;
        int32_t parts = FR_MAX(topic->partitions.count, 0);
        if (!FR_KAFKA_ITEMS(&call->arena, &row->resultsByPartition, AddPartitionsToTxnPartitionResult, parts)) return FR_KAFKA_CLOSE;
        for (int32_t j = 0; j < parts; j++, before++) {
            row->resultsByPartition.items[j].partitionIndex = topic->partitions.items[j];
            row->resultsByPartition.items[j].partitionErrorCode = *before ? *before : error;
        }
    }
    return fr_kafka_reply(call, response);
}

static fr_kafka_next added(fr_kafka *door, fr_kafka_call *call)
{
    (void)door;
    return added_answer(call, error_of(call, 2));
}

fr_kafka_next fr_kafka_add_partitions_to_txn(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_AddPartitionsToTxnRequest *request = call->request;
    int64_t count = 0;
    for (int32_t i = 0; i < request->v3AndBelowTopics.count; i++) count += FR_MAX(request->v3AndBelowTopics.items[i].partitions.count, 0);
    if (count > (int64_t)FR_KAFKA_PARTITIONS_ASKED_MAX) return FR_KAFKA_CLOSE;
    struct fr_txn_part *parts = fr_arena_alloc(&call->arena, FR_MAX((size_t)count, 1u) * sizeof *parts);
    int16_t *before = fr_arena_alloc(&call->arena, FR_MAX((size_t)count, 1u) * sizeof *before);
    fr_txn *txn = txn_of(call, request->v3AndBelowTransactionalId);
    if (!parts || !before || !txn) return FR_KAFKA_CLOSE;
    uint32_t at = 0;
    bool bad = false;
    for (int32_t i = 0; i < request->v3AndBelowTopics.count; i++) {
        const fr_kafka_AddPartitionsToTxnTopic *topic = &request->v3AndBelowTopics.items[i];
        fr_topic_info info;
        int16_t error = fr_kafka_topic(door, call, topic->name, &info);
        for (int32_t j = 0; j < topic->partitions.count; j++, at++) {
            int32_t partition = topic->partitions.items[j];
            before[at] = error;
            if (!error && (partition < 0 || (uint32_t)partition >= info.partition_count)) before[at] = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
            bad = bad || before[at];
            parts[at] = (struct fr_txn_part){.id = error ? 0 : info.id, .partition = partition};
        }
    }
    call->state = before;
    int16_t denied = fr_kafka_txn_error(door, call, request->v3AndBelowTransactionalId);
    if (denied) return added_answer(call, denied);
    if (bad) return added_answer(call, KAFKA_OPERATION_NOT_ATTEMPTED);
    if (!txn->transactional_id || !id_ok(request->v3AndBelowTransactionalId)) return added_answer(call, KAFKA_INVALID_REQUEST);
    txn->producer_id = request->v3AndBelowProducerId;
    txn->producer_epoch = request->v3AndBelowProducerEpoch;
    txn->parts = parts;
    txn->part_count = at;
    call->writes[0].kind = FR_WRITE_TXN_PARTITIONS;
    return fr_kafka_submit(door, call, added);
}

static fr_kafka_next end_answer(fr_kafka_call *call, int16_t error)
{
    fr_kafka_EndTxnResponse *response = FR_KAFKA_RESPONSE(call, EndTxnResponse);
    if (response) response->errorCode = error;
    return fr_kafka_reply(call, response);
}

static fr_kafka_next ended(fr_kafka *door, fr_kafka_call *call)
{
    (void)door;
    return end_answer(call, error_of(call, 2));
}

fr_kafka_next fr_kafka_end_txn(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_EndTxnRequest *request = call->request;
    if (!id_ok(request->transactionalId)) return end_answer(call, KAFKA_INVALID_REQUEST);
    int16_t denied = fr_kafka_txn_error(door, call, request->transactionalId);
    if (denied) return end_answer(call, denied);
    fr_txn *txn = txn_of(call, request->transactionalId);
    if (!txn || !txn->transactional_id) return FR_KAFKA_CLOSE;
    txn->producer_id = request->producerId;
    txn->producer_epoch = request->producerEpoch;
    txn->commit = request->committed;
    call->writes[0].kind = FR_WRITE_TXN_END;
    return fr_kafka_submit(door, call, ended);
}
