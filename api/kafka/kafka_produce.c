/* kafka_produce.c: Produce. One engine write per topic; batches stay in the receive buffer and are patched there. */
#include "api/kafka/kafka_private.h"

typedef struct share {
    int16_t error; /* decided before the engine */
    const char *text;
    fr_produce *produce; /* NULL when decided */
} share;

static int32_t shares_of(const fr_kafka_ProduceRequest *request)
{
    int64_t count = 0;
    for (int32_t i = 0; i < request->topicData.count; i++) count += FR_MAX(request->topicData.items[i].partitionData.count, 0);
    return count > (int64_t)FR_KAFKA_PARTITIONS_ASKED_MAX ? -1 : (int32_t)count;
}

static fr_kafka_next answer(fr_kafka_call *call)
{
    const fr_kafka_ProduceRequest *request = call->request;
    const share *one = call->state;
    fr_kafka_ProduceResponse *response = FR_KAFKA_RESPONSE(call, ProduceResponse);
    if (!response || !FR_KAFKA_ITEMS(&call->arena, &response->responses, TopicProduceResponse, FR_MAX(request->topicData.count, 0)))
        return FR_KAFKA_CLOSE;
    for (int32_t i = 0; i < response->responses.count; i++) {
        const fr_kafka_TopicProduceData *topic = &request->topicData.items[i];
        fr_kafka_TopicProduceResponse *row = &response->responses.items[i];
        row->name = topic->name;
        int32_t count = FR_MAX(topic->partitionData.count, 0);
        if (!FR_KAFKA_ITEMS(&call->arena, &row->partitionResponses, PartitionProduceResponse, count)) return FR_KAFKA_CLOSE;
        for (int32_t j = 0; j < count; j++, one++) {
            fr_kafka_PartitionProduceResponse *part = &row->partitionResponses.items[j];
            const fr_produce *produce = one->produce;
            part->index = topic->partitionData.items[j].index;
            part->errorCode = produce ? fr_kafka_reason(produce->reason, produce->code) : one->error;
            part->baseOffset = -1;
            if (part->errorCode != KAFKA_NONE || !produce) {
                const char *text = produce ? produce->text : one->text;
                if (text && text[0]) part->errorMessage = fr_span_text(text);
                if (!produce || produce->bad_record < 0 || part->errorCode != KAFKA_INVALID_RECORD) continue;
                if (!FR_KAFKA_ITEMS(&call->arena, &part->recordErrors, BatchIndexAndErrorMessage, 1)) return FR_KAFKA_CLOSE;
                part->recordErrors.items[0].batchIndex = produce->bad_record;
                continue;
            }
            part->baseOffset = produce->base_offset;
            part->logAppendTimeMs = produce->append_time_ms;
            part->logStartOffset = produce->log_start;
        }
    }
    return fr_kafka_reply(call, response);
}

/* acks = 0: nothing is answered, so an error closes the connection: the client looks at the topics anew, as with Apache Kafka. */
static fr_kafka_next quiet(const fr_kafka_call *call)
{
    const fr_kafka_ProduceRequest *request = call->request;
    const share *one = call->state;
    for (int32_t i = 0; i < request->topicData.count; i++)
        for (int32_t j = 0; j < request->topicData.items[i].partitionData.count; j++, one++)
            if (one->produce ? fr_kafka_reason(one->produce->reason, one->produce->code) : one->error) return FR_KAFKA_CLOSE;
    return FR_KAFKA_NO_REPLY;
}

static fr_kafka_next finished(fr_kafka *door, fr_kafka_call *call)
{
    (void)door;
    const fr_kafka_ProduceRequest *request = call->request;
    for (uint32_t i = 0; i < call->write_count; i++) {
        const fr_write *write = &call->writes[i];
        if (write->kind == FR_KAFKA_SKIP || write->code == FR_OK) continue;
        for (uint32_t j = 0; j < write->produce_count; j++) { /* refused as a whole */
            fr_produce *produce = &write->produce[j];
            if (produce->code != FR_OK || produce->reason != FR_REASON_NONE) continue;
            produce->code = write->code;
            produce->reason = write->reason;
        }
    }
    if (request->acks != 0) return answer(call);
    fr_kafka_charge(call, 1, call->frame.size, 0);
    return quiet(call);
}

/* One topic's shares; *next is advanced. */
static void topic_prepare(fr_kafka *door, fr_kafka_call *call, const fr_kafka_TopicProduceData *topic, fr_write *write, share **next)
{
    fr_topic_info info;
    int32_t count = FR_MAX(topic->partitionData.count, 0);
    int16_t error = fr_kafka_topic(door, call, topic->name, &info);
    if (!error && strncmp(info.name, "__", 2) == 0) error = KAFKA_TOPIC_AUTHORIZATION_FAILED; /* the server's own */
    fr_produce *produce = error ? NULL : fr_arena_alloc(&call->arena, FR_MAX((size_t)count, 1u) * sizeof *produce);
    if (!error && !produce) error = KAFKA_UNKNOWN_SERVER_ERROR;
    uint32_t used = 0;
    for (int32_t i = 0; i < count; i++) {
        const fr_kafka_PartitionProduceData *part = &topic->partitionData.items[i];
        share *one = (*next)++;
        *one = (share){.error = error};
        if (error) continue;
        if (part->index < 0 || (uint32_t)part->index >= info.partition_count) {
            one->error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        } else if (!part->records.data || part->records.size == 0) {
            one->error = KAFKA_INVALID_RECORD;
            one->text = "exactly one record batch per partition is expected";
        } else {
            one->produce = &produce[used++];
            memset(one->produce, 0, sizeof *one->produce);
            one->produce->partition = part->index;
            one->produce->data = (uint8_t *)(uintptr_t)part->records.data; /* the call's frame is writable */
            one->produce->size = part->records.size;
            one->produce->base_offset = one->produce->append_time_ms = one->produce->log_start = -1;
            one->produce->bad_record = -1;
        }
    }
    if (!used) return;
    write->kind = FR_WRITE_BATCHES;
    write->id = info.id;
    write->produce = produce;
    write->produce_count = used;
}

/* Records of a transaction are its owner's: producer ids can be guessed, so whoever sends such records must name a transaction that he may
 * write. */
static int16_t txn_denied(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_ProduceRequest *request = call->request;
    if (request->transactionalId.size) return fr_kafka_txn_error(door, call, request->transactionalId);
    for (int32_t i = 0; i < request->topicData.count; i++)
        for (int32_t j = 0; j < request->topicData.items[i].partitionData.count; j++) {
            const fr_kafka_records *records = &request->topicData.items[i].partitionData.items[j].records;
            bool in_one = records->data && records->size >= 23 && ((const uint8_t *)records->data)[22] & 0x10; /* the batch's attributes */
            if (in_one && !fr_kafka_may(door, call, FR_ACTION_WRITE, FR_OBJECT_TXN, fr_span_text(""), false))
                return KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
        }
    return KAFKA_NONE;
}

fr_kafka_next fr_kafka_produce(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_ProduceRequest *request = call->request;
    int32_t topics = FR_MAX(request->topicData.count, 0), count = shares_of(request);
    share *shares = count < 0 ? NULL : fr_arena_alloc(&call->arena, FR_MAX((size_t)count, 1u) * sizeof *shares);
    if (!shares || !fr_kafka_writes(call, (uint32_t)topics)) return FR_KAFKA_CLOSE;
    call->state = shares;
    if (request->acks < -1 || request->acks > 1) {
        for (int32_t i = 0; i < count; i++) shares[i] = (share){.error = KAFKA_INVALID_REQUIRED_ACKS};
        return answer(call);
    }
    int16_t denied = txn_denied(door, call);
    if (denied) {
        for (int32_t i = 0; i < count; i++) shares[i] = (share){.error = denied};
        return request->acks ? answer(call) : FR_KAFKA_CLOSE;
    }
    for (int32_t i = 0; i < topics; i++) topic_prepare(door, call, &request->topicData.items[i], &call->writes[i], &shares);
    return fr_kafka_submit(door, call, finished);
}
