/* kafka_metadata.c: Metadata (and making unknown topics), DescribeCluster, FindCoordinator: one node, which leads everything. */
#include "api/kafka/kafka_private.h"

#define TOPICS_SHOWN_MAX FR_COLLECTIONS_MAX

typedef struct wanted {
    fr_span name;
    fr_kafka_uuid uuid;
    fr_topic_info info;
    int16_t error;
} wanted;

typedef struct listing {
    wanted *topics;
    int32_t count;
} listing;

static bool topic_answer(const fr_kafka *door, fr_kafka_call *call, const wanted *topic, fr_kafka_MetadataResponseTopic *row)
{
    row->errorCode = topic->error;
    row->name = topic->name;
    row->topicId = topic->uuid;
    row->topicAuthorizedOperations = INT32_MIN;
    row->partitions.items = NULL;
    if (topic->error) return true;
    size_t size = strlen(topic->info.name);
    char *name = fr_arena_copy(&call->arena, topic->info.name, size + 1);
    if (!name) return false;
    row->name = fr_span_of(name, size);
    memcpy(row->topicId.bytes, topic->info.uuid, sizeof row->topicId.bytes);
    int32_t count = (int32_t)topic->info.partition_count;
    if (!FR_KAFKA_ITEMS(&call->arena, &row->partitions, MetadataResponsePartition, count)) return false;
    for (int32_t i = 0; i < count; i++) {
        fr_kafka_MetadataResponsePartition *part = &row->partitions.items[i];
        int32_t *node = fr_arena_alloc(&call->arena, sizeof *node);
        if (!node) return false;
        *node = door->node_id;
        part->partitionIndex = i;
        part->leaderId = door->node_id;
        part->leaderEpoch = 0;
        part->replicaNodes.items = part->isrNodes.items = node;
        part->replicaNodes.count = part->isrNodes.count = 1;
    }
    return true;
}

static fr_kafka_next answer(fr_kafka *door, fr_kafka_call *call)
{
    const listing *self = call->state;
    fr_kafka_MetadataResponse *response = FR_KAFKA_RESPONSE(call, MetadataResponse);
    if (!response || !FR_KAFKA_ITEMS(&call->arena, &response->brokers, MetadataResponseBroker, 1) ||
        !FR_KAFKA_ITEMS(&call->arena, &response->topics, MetadataResponseTopic, self->count))
        return FR_KAFKA_CLOSE;
    response->brokers.items[0].nodeId = response->controllerId = door->node_id;
    response->brokers.items[0].host = fr_span_text(fr_kafka_host(door, call));
    response->brokers.items[0].port = fr_kafka_port(door, call);
    response->clusterId = fr_span_text(door->cluster_id);
    response->clusterAuthorizedOperations = INT32_MIN;
    for (int32_t i = 0; i < self->count; i++)
        if (!topic_answer(door, call, &self->topics[i], &response->topics.items[i])) return FR_KAFKA_CLOSE;
    return fr_kafka_reply(call, response);
}

static fr_kafka_next made(fr_kafka *door, fr_kafka_call *call)
{
    listing *self = call->state;
    for (int32_t i = 0; i < self->count; i++) {
        const fr_write *write = &call->writes[i];
        if (write->kind == FR_KAFKA_SKIP) continue;
        wanted *topic = &self->topics[i];
        topic->error = fr_kafka_topic(door, call, topic->name, &topic->info); /* somebody else may have made it meanwhile */
        if (topic->error && write->code != FR_OK) topic->error = fr_kafka_reason(write->reason, write->code);
    }
    return answer(door, call);
}

static bool name_ok(fr_span name)
{
    fr_err err;
    return name.data && fr_name_check("topic", name.data, name.size, &err) == FR_OK;
}

static fr_kafka_next make_unknown(fr_kafka *door, fr_kafka_call *call)
{
    listing *self = call->state;
    if (!fr_kafka_writes(call, (uint32_t)self->count)) return FR_KAFKA_CLOSE;
    for (int32_t i = 0; i < self->count; i++) {
        wanted *topic = &self->topics[i];
        if (topic->error != KAFKA_UNKNOWN_TOPIC_OR_PARTITION || !topic->name.data) continue;
        if (!fr_kafka_may(door, call, FR_ACTION_ADMIN, FR_OBJECT_TOPIC, topic->name, false)) {
            topic->error = KAFKA_TOPIC_AUTHORIZATION_FAILED; /* to make it */
            continue;
        }
        fr_topic_change *change = fr_arena_alloc(&call->arena, sizeof *change);
        if (!change) return FR_KAFKA_CLOSE;
        *change = (fr_topic_change){.name = fr_kafka_text(call, topic->name), .kind = FR_TOPIC_PLAIN,
                                    .partitions = door->partitions_default};
        call->writes[i].kind = FR_WRITE_TOPIC_CREATE;
        call->writes[i].topic = change;
    }
    return fr_kafka_submit(door, call, made);
}

static bool list_all(fr_kafka *door, fr_kafka_call *call, listing *self)
{
    uint32_t count = FR_MIN(fr_topic_list(door->db, NULL, 0) + 16, TOPICS_SHOWN_MAX);
    fr_id *ids = fr_arena_alloc(&call->arena, count * sizeof *ids);
    if (!ids) return false;
    count = FR_MIN(fr_topic_list(door->db, ids, count), count);
    self->topics = fr_arena_alloc(&call->arena, FR_MAX(count, 1u) * sizeof *self->topics);
    for (uint32_t i = 0; self->topics && i < count; i++) {
        wanted *topic = &self->topics[self->count];
        *topic = (wanted){0};
        if (fr_topic_get(door->db, ids[i], &topic->info) != FR_OK || topic->info.kind == FR_TOPIC_INTERNAL) continue;
        fr_span name = fr_span_text(topic->info.name);
        if (fr_kafka_may(door, call, FR_ACTION_READ, FR_OBJECT_TOPIC, name, true) ||
            fr_kafka_may(door, call, FR_ACTION_WRITE, FR_OBJECT_TOPIC, name, true))
            self->count++;
    }
    return self->topics != NULL;
}

static bool list_named(fr_kafka *door, fr_kafka_call *call, const fr_kafka_MetadataRequest *request, listing *self)
{
    self->count = request->topics.count;
    self->topics = fr_arena_alloc(&call->arena, FR_MAX((size_t)self->count, 1u) * sizeof *self->topics);
    for (int32_t i = 0; self->topics && i < self->count; i++) {
        const fr_kafka_MetadataRequestTopic *asked = &request->topics.items[i];
        wanted *topic = &self->topics[i];
        *topic = (wanted){.name = asked->name, .uuid = asked->topicId};
        if (!fr_kafka_uuid_null(&asked->topicId)) {
            topic->name = (fr_span){NULL, 0};
            topic->error = fr_kafka_topic_by_id(door, call, &asked->topicId, &topic->info);
        } else {
            topic->error = fr_kafka_topic(door, call, asked->name, &topic->info);
            if (topic->error && !name_ok(asked->name)) topic->error = KAFKA_INVALID_TOPIC_EXCEPTION;
        }
    }
    return self->topics != NULL;
}

fr_kafka_next fr_kafka_metadata(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_MetadataRequest *request = call->request;
    listing *self = fr_arena_alloc(&call->arena, sizeof *self);
    bool all = request->topics.count < 0 || (request->topics.count == 0 && call->header.version == 0);
    if (!self || request->topics.count > (int32_t)FR_KAFKA_PARTITIONS_ASKED_MAX) return FR_KAFKA_CLOSE;
    *self = (listing){0};
    call->state = self;
    if (!(all ? list_all(door, call, self) : list_named(door, call, request, self))) return FR_KAFKA_CLOSE;
    bool make = false;
    for (int32_t i = 0; i < self->count; i++) make = make || self->topics[i].error == KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (make && door->auto_create && (call->header.version < 4 || request->allowAutoTopicCreation)) return make_unknown(door, call);
    return answer(door, call);
}

fr_kafka_next fr_kafka_describe_cluster(fr_kafka *door, fr_kafka_call *call)
{
    fr_kafka_DescribeClusterResponse *response = FR_KAFKA_RESPONSE(call, DescribeClusterResponse);
    if (!response || !FR_KAFKA_ITEMS(&call->arena, &response->brokers, DescribeClusterBroker, 1)) return FR_KAFKA_CLOSE;
    response->clusterId = fr_span_text(door->cluster_id);
    response->controllerId = response->brokers.items[0].brokerId = door->node_id;
    response->brokers.items[0].host = fr_span_text(fr_kafka_host(door, call));
    response->brokers.items[0].port = fr_kafka_port(door, call);
    response->clusterAuthorizedOperations = INT32_MIN;
    return fr_kafka_reply(call, response);
}

fr_kafka_next fr_kafka_find_coordinator(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_FindCoordinatorRequest *request = call->request;
    fr_kafka_FindCoordinatorResponse *response = FR_KAFKA_RESPONSE(call, FindCoordinatorResponse);
    bool known = request->keyType == 1 || (request->keyType == 0 && door->groups);
    fr_span host = fr_span_text(fr_kafka_host(door, call));
    int32_t port = fr_kafka_port(door, call);
    int16_t error = known ? KAFKA_NONE : request->keyType == 0 ? KAFKA_COORDINATOR_NOT_AVAILABLE : KAFKA_INVALID_REQUEST;
    if (!response) return FR_KAFKA_CLOSE;
    if (call->header.version < 4) {
        response->errorCode = error;
        response->nodeId = error ? -1 : door->node_id;
        response->host = error ? fr_span_of("", 0) : host;
        response->port = error ? -1 : port;
        return fr_kafka_reply(call, response);
    }
    if (!FR_KAFKA_ITEMS(&call->arena, &response->coordinators, Coordinator, FR_MAX(request->coordinatorKeys.count, 0))) return FR_KAFKA_CLOSE;
    for (int32_t i = 0; i < response->coordinators.count; i++) {
        fr_kafka_Coordinator *row = &response->coordinators.items[i];
        row->key = request->coordinatorKeys.items[i];
        row->errorCode = error;
        row->nodeId = error ? -1 : door->node_id;
        row->host = error ? fr_span_of("", 0) : host;
        row->port = error ? -1 : port;
    }
    return fr_kafka_reply(call, response);
}
