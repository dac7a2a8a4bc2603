/* kafka_offsets.c: ListOffsets, OffsetForLeaderEpoch, DeleteRecords. The leader epoch is 0 for ever: nothing acknowledged is cut. */
#include "api/kafka/kafka_private.h"

#define LATEST (-1)
#define EARLIEST (-2)
#define NEWEST (-3)
#define EARLIEST_LOCAL (-4)
#define LATEST_TIERED (-5)

static int16_t partition_state(fr_kafka *door, const fr_topic_info *info, int32_t partition, fr_partition_state *state)
{
    if (partition < 0 || (uint32_t)partition >= info->partition_count) return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    return fr_kafka_error(fr_partition_get(door->db, info->id, partition, state));
}

static int16_t find(fr_kafka *door, const fr_topic_info *info, const fr_kafka_ListOffsetsPartition *wanted, bool committed,
                    fr_kafka_ListOffsetsPartitionResponse *row)
{
    fr_partition_state state;
    int16_t error = partition_state(door, info, wanted->partitionIndex, &state);
    if (error) return error;
    if (wanted->currentLeaderEpoch > 0) return KAFKA_UNKNOWN_LEADER_EPOCH;
    fr_err err;
    fr_code code = FR_OK;
    switch (wanted->timestamp) {
    case LATEST: row->offset = committed ? state.stable : state.end; break;
    case EARLIEST:
    case EARLIEST_LOCAL: row->offset = state.start; break;
    case LATEST_TIERED: break;
    case NEWEST: code = fr_seek_newest(door->db, info->id, wanted->partitionIndex, &row->offset, &row->timestamp, &err); break;
    default:
        if (wanted->timestamp < 0) return KAFKA_INVALID_REQUEST;
        code = fr_seek_record(door->db, info->id, wanted->partitionIndex, wanted->timestamp, committed, &row->offset, &row->timestamp, &err);
    }
    if (row->offset >= 0) row->leaderEpoch = 0;
    return fr_kafka_error(code);
}

/* Named twice: refused, as in Apache Kafka. */
static bool repeated(const fr_kafka_ListOffsetsTopic *topic, int32_t at, uint8_t *seen, uint32_t count)
{
    uint32_t partition = (uint32_t)topic->partitions.items[at].partitionIndex;
    if (partition >= count) return false;
    bool before = seen[partition];
    seen[partition] = 1;
    return before;
}

static fr_kafka_next list_answer(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_ListOffsetsRequest *request = call->request;
    fr_kafka_ListOffsetsResponse *response = FR_KAFKA_RESPONSE(call, ListOffsetsResponse);
    if (!response || !FR_KAFKA_ITEMS(&call->arena, &response->topics, ListOffsetsTopicResponse, FR_MAX(request->topics.count, 0)))
        return FR_KAFKA_CLOSE;
    for (int32_t i = 0; i < response->topics.count; i++) {
        const fr_kafka_ListOffsetsTopic *topic = &request->topics.items[i];
        fr_kafka_ListOffsetsTopicResponse *row = &response->topics.items[i];
        fr_topic_info info;
        int16_t error = fr_kafka_topic(door, call, topic->name, &info);
        row->name = topic->name;
        uint32_t known = error ? 0 : info.partition_count;
        uint8_t *seen = fr_arena_alloc(&call->arena, FR_MAX(known, 1u));
        if (!seen) return FR_KAFKA_CLOSE;
        memset(seen, 0, FR_MAX(known, 1u));
        if (!FR_KAFKA_ITEMS(&call->arena, &row->partitions, ListOffsetsPartitionResponse, FR_MAX(topic->partitions.count, 0)))
            return FR_KAFKA_CLOSE;
        for (int32_t j = 0; j < row->partitions.count; j++) {
            fr_kafka_ListOffsetsPartitionResponse *part = &row->partitions.items[j];
            part->partitionIndex = topic->partitions.items[j].partitionIndex;
            if (repeated(topic, j, seen, known)) part->errorCode = KAFKA_INVALID_REQUEST;
            else part->errorCode = error ? error : find(door, &info, &topic->partitions.items[j], request->isolationLevel == 1, part);
        }
    }
    return fr_kafka_reply(call, response);
}

/* Searching by time reads the disk: not on a loop. */
fr_kafka_next fr_kafka_list_offsets(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_ListOffsetsRequest *request = call->request;
    bool reads = false;
    int64_t count = 0;
    for (int32_t i = 0; i < request->topics.count; i++) count += FR_MAX(request->topics.items[i].partitions.count, 0);
    if (count > (int64_t)FR_KAFKA_PARTITIONS_ASKED_MAX) return FR_KAFKA_CLOSE;
    for (int32_t i = 0; i < request->topics.count; i++)
        for (int32_t j = 0; j < request->topics.items[i].partitions.count; j++) {
            int64_t timestamp = request->topics.items[i].partitions.items[j].timestamp;
            reads = reads || timestamp >= 0 || timestamp == NEWEST;
        }
    if (!reads) return list_answer(door, call);
    call->resume = list_answer;
    return FR_KAFKA_WORKER;
}

fr_kafka_next fr_kafka_offset_for_leader_epoch(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_OffsetForLeaderEpochRequest *request = call->request;
    fr_kafka_OffsetForLeaderEpochResponse *response = FR_KAFKA_RESPONSE(call, OffsetForLeaderEpochResponse);
    int64_t asked = 0;
    for (int32_t i = 0; i < request->topics.count; i++) asked += FR_MAX(request->topics.items[i].partitions.count, 0);
    if (asked > (int64_t)FR_KAFKA_PARTITIONS_ASKED_MAX) return FR_KAFKA_CLOSE;
    if (!response || !FR_KAFKA_ITEMS(&call->arena, &response->topics, OffsetForLeaderTopicResult, FR_MAX(request->topics.count, 0)))
        return FR_KAFKA_CLOSE;
    for (int32_t i = 0; i < response->topics.count; i++) {
        const fr_kafka_OffsetForLeaderTopic *topic = &request->topics.items[i];
        fr_kafka_OffsetForLeaderTopicResult *row = &response->topics.items[i];
        fr_topic_info info;
        int16_t error = fr_kafka_topic(door, call, topic->topic, &info);
        row->topic = topic->topic;
        int32_t count = FR_MAX(topic->partitions.count, 0);
        if (!FR_KAFKA_ITEMS(&call->arena, &row->partitions, OffsetForLeaderEpochResponse_EpochEndOffset, count)) return FR_KAFKA_CLOSE;
        for (int32_t j = 0; j < count; j++) {
            const fr_kafka_OffsetForLeaderPartition *wanted = &topic->partitions.items[j];
            fr_kafka_OffsetForLeaderEpochResponse_EpochEndOffset *part = &row->partitions.items[j];
            fr_partition_state state;
            part->partition = wanted->partition;
            part->errorCode = error ? error : partition_state(door, &info, wanted->partition, &state);
            if (part->errorCode == KAFKA_NONE && wanted->currentLeaderEpoch > 0) part->errorCode = KAFKA_UNKNOWN_LEADER_EPOCH;
            if (part->errorCode != KAFKA_NONE || wanted->leaderEpoch != 0) continue;
            part->leaderEpoch = 0;
            part->endOffset = state.end;
        }
    }
    return fr_kafka_reply(call, response);
}

/* ---- DeleteRecords: one write per partition ---- */

static int16_t deleted_error(const fr_write *write, int16_t before)
{
    if (write->kind == FR_KAFKA_SKIP) return before;
    return fr_kafka_reason(write->reason, write->code);
}

static fr_kafka_next deleted(fr_kafka *door, fr_kafka_call *call)
{
    (void)door;
    const fr_kafka_DeleteRecordsRequest *request = call->request;
    const int16_t *before = call->state;
    fr_kafka_DeleteRecordsResponse *response = FR_KAFKA_RESPONSE(call, DeleteRecordsResponse);
    if (!response || !FR_KAFKA_ITEMS(&call->arena, &response->topics, DeleteRecordsTopicResult, FR_MAX(request->topics.count, 0)))
        return FR_KAFKA_CLOSE;
    uint32_t at = 0;
    for (int32_t i = 0; i < response->topics.count; i++) {
        const fr_kafka_DeleteRecordsTopic *topic = &request->topics.items[i];
        fr_kafka_DeleteRecordsTopicResult *row = &response->topics.items[i];
        row->name = topic->name;
        if (!FR_KAFKA_ITEMS(&call->arena, &row->partitions, DeleteRecordsPartitionResult, FR_MAX(topic->partitions.count, 0)))
            return FR_KAFKA_CLOSE;
        for (int32_t j = 0; j < row->partitions.count; j++, at++) {
            const fr_write *write = &call->writes[at];
            fr_kafka_DeleteRecordsPartitionResult *part = &row->partitions.items[j];
            part->partitionIndex = topic->partitions.items[j].partitionIndex;
            part->errorCode = deleted_error(write, before[at]);
            part->lowWatermark = part->errorCode == KAFKA_NONE ? write->before : -1;
        }
    }
    return fr_kafka_reply(call, response);
}

fr_kafka_next fr_kafka_delete_records(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_DeleteRecordsRequest *request = call->request;
    int64_t count = 0;
    for (int32_t i = 0; i < request->topics.count; i++) count += FR_MAX(request->topics.items[i].partitions.count, 0);
    if (count > (int64_t)FR_KAFKA_PARTITIONS_ASKED_MAX || !fr_kafka_writes(call, (uint32_t)count)) return FR_KAFKA_CLOSE;
    int16_t *before = fr_arena_alloc(&call->arena, FR_MAX((size_t)count, 1u) * sizeof *before);
    if (!before) return FR_KAFKA_CLOSE;
    call->state = before;
    uint32_t at = 0;
    for (int32_t i = 0; i < request->topics.count; i++) {
        const fr_kafka_DeleteRecordsTopic *topic = &request->topics.items[i];
        fr_topic_info info;
        int16_t error = fr_kafka_topic(door, call, topic->name, &info);
        for (int32_t j = 0; j < topic->partitions.count; j++, at++) {
            const fr_kafka_DeleteRecordsPartition *wanted = &topic->partitions.items[j];
            fr_partition_state state;
            before[at] = error ? error : partition_state(door, &info, wanted->partitionIndex, &state);
            if (!before[at] && (wanted->offset < -1 || wanted->offset > state.end)) before[at] = KAFKA_OFFSET_OUT_OF_RANGE;
            if (before[at]) continue;
            fr_write *write = &call->writes[at];
            write->kind = FR_WRITE_DELETE_RECORDS;
            write->id = info.id;
            write->partition = wanted->partitionIndex;
            write->before = wanted->offset;
        }
    }
    return fr_kafka_submit(door, call, deleted);
}
