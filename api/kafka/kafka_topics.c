/* kafka_topics.c: CreateTopics, DeleteTopics, CreatePartitions. A topic with the config freshet.dimension is a collection. */
#include "api/kafka/kafka_private.h"

#include <stdlib.h>

/* ---- CreateTopics ---- */

typedef struct creation {
    int16_t error;
    fr_span text;
    fr_topic_change change;
    fr_collection_def *def; /* a collection */
} creation;

static int16_t refuse(fr_kafka_call *call, creation *one, int16_t error, const char *text)
{
    one->error = error;
    one->text = fr_kafka_words(call, "%s", text);
    return error;
}

static bool number_in(const char *text, long low, long high, long *out)
{
    char *end;
    *out = strtol(text, &end, 10);
    return *text && !*end && *out >= low && *out <= high;
}

/* freshet.dimension, freshet.metric, freshet.id_type: what makes the topic a collection; other configs stay the topic's. */
static int16_t collection_config(fr_kafka_call *call, creation *one, const char *name, const char *value, bool *taken)
{
    static const char *const metrics[] = {"l2", "ip", "cosine"}, *const id_types[] = {"any", "int64", "string"};
    *taken = true;
    if (strcmp(name, "freshet.dimension") == 0) {
        long number;
        if (!number_in(value, 1, FR_DIMENSION_MAX, &number)) return refuse(call, one, KAFKA_INVALID_CONFIG, "freshet.dimension must be 1..32768");
        one->def->dimension = (uint32_t)number;
        return KAFKA_NONE;
    }
    for (unsigned i = 0; i < 3; i++) {
        if (strcmp(name, "freshet.metric") == 0 && strcmp(value, metrics[i]) == 0) {
            one->def->metric = (fr_metric)i;
            return KAFKA_NONE;
        }
        if (strcmp(name, "freshet.id_type") == 0 && strcmp(value, id_types[i]) == 0) {
            one->def->id_type = (fr_id_type)i;
            return KAFKA_NONE;
        }
    }
    if (strcmp(name, "freshet.metric") == 0) return refuse(call, one, KAFKA_INVALID_CONFIG, "freshet.metric must be l2, ip or cosine");
    if (strcmp(name, "freshet.id_type") == 0) return refuse(call, one, KAFKA_INVALID_CONFIG, "freshet.id_type must be any, int64 or string");
    *taken = false;
    return KAFKA_NONE;
}

static int16_t configs_read(fr_kafka_call *call, const fr_kafka_CreatableTopic *topic, creation *one)
{
    int32_t count = FR_MAX(topic->configs.count, 0);
    fr_topic_config *configs = fr_arena_alloc(&call->arena, FR_MAX((size_t)count, 1u) * sizeof *configs);
    one->def = fr_arena_alloc(&call->arena, sizeof *one->def);
    if (!configs || !one->def) return refuse(call, one, KAFKA_UNKNOWN_SERVER_ERROR, "no memory");
    memset(one->def, 0, sizeof *one->def);
    one->def->metric = FR_METRIC_COSINE;
    for (int32_t i = 0; i < count; i++) {
        const char *name = fr_kafka_text(call, topic->configs.items[i].name);
        const char *value = fr_kafka_text(call, topic->configs.items[i].value);
        bool taken;
        if (!name || !value) return refuse(call, one, KAFKA_INVALID_CONFIG, "a config needs a name and a value");
        if (collection_config(call, one, name, value, &taken) != KAFKA_NONE) return one->error;
        if (!taken) configs[one->change.config_count++] = (fr_topic_config){name, value};
    }
    one->change.configs = configs;
    if (one->def->dimension == 0) {
        one->def = NULL;
        return KAFKA_NONE;
    }
    one->def->partitions = one->change.partitions;
    memcpy(one->def->name, one->change.name, strlen(one->change.name) + 1);
    return KAFKA_NONE;
}

static int16_t partitions_read(const fr_kafka *door, fr_kafka_call *call, const fr_kafka_CreatableTopic *topic, creation *one)
{
    int32_t partitions = topic->numPartitions;
    if (topic->assignments.count > 0) {
        if (partitions != -1 || topic->replicationFactor != -1)
            return refuse(call, one, KAFKA_INVALID_REQUEST, "assignments and numbers of partitions or replicas exclude each other");
        for (int32_t i = 0; i < topic->assignments.count; i++) {
            const fr_kafka_CreatableReplicaAssignment *row = &topic->assignments.items[i];
            if (row->brokerIds.count != 1 || row->brokerIds.items[0] != door->node_id || row->partitionIndex != i)
                return refuse(call, one, KAFKA_INVALID_REPLICA_ASSIGNMENT, "there is one node");
        }
        partitions = topic->assignments.count;
    } else if (topic->replicationFactor != -1 && topic->replicationFactor != 1) {
        return refuse(call, one, KAFKA_INVALID_REPLICATION_FACTOR, "there is one node: the replication factor must be 1 or -1");
    }
    if (partitions == -1) partitions = (int32_t)door->partitions_default;
    if (partitions < 1 || partitions > (int32_t)FR_PARTITIONS_MAX)
        return refuse(call, one, KAFKA_INVALID_PARTITIONS, "the number of partitions must be 1..64, or -1 for the default");
    one->change.partitions = (uint32_t)partitions;
    return KAFKA_NONE;
}

static bool named_twice(const fr_kafka_CreateTopicsRequest *request, int32_t at)
{
    for (int32_t i = 0; i < request->topics.count; i++)
        if (i != at && fr_span_equal(request->topics.items[i].name, request->topics.items[at].name)) return true;
    return false;
}

static int16_t creation_read(fr_kafka *door, fr_kafka_call *call, int32_t at, creation *one)
{
    const fr_kafka_CreateTopicsRequest *request = call->request;
    const fr_kafka_CreatableTopic *topic = &request->topics.items[at];
    fr_topic_info info;
    fr_err err = {0};
    *one = (creation){.change = {.kind = FR_TOPIC_PLAIN}};
    if (named_twice(request, at)) return refuse(call, one, KAFKA_INVALID_REQUEST, "the request names this topic twice");
    if (!topic->name.data || fr_name_check("topic", topic->name.data, topic->name.size, &err) != FR_OK)
        return refuse(call, one, KAFKA_INVALID_TOPIC_EXCEPTION, err.text[0] ? err.text : "a topic needs a name");
    one->change.name = fr_kafka_text(call, topic->name);
    if (!one->change.name) return refuse(call, one, KAFKA_UNKNOWN_SERVER_ERROR, "no memory");
    if (!fr_kafka_may_topic(door, call, topic->name)) return refuse(call, one, KAFKA_TOPIC_AUTHORIZATION_FAILED, "admin on the topic's name is needed");
    if (fr_kafka_topic(door, call, topic->name, &info) == KAFKA_NONE) return refuse(call, one, KAFKA_TOPIC_ALREADY_EXISTS, "this topic exists");
    if (partitions_read(door, call, topic, one) != KAFKA_NONE || configs_read(call, topic, one) != KAFKA_NONE) return one->error;
    if (!request->validateOnly || one->def) return KAFKA_NONE;
    fr_reason reason = FR_REASON_NONE;
    fr_code code = fr_topic_validate(door->db, &one->change, &reason, &err);
    return code == FR_OK ? KAFKA_NONE : refuse(call, one, fr_kafka_reason(reason, code), err.text);
}

typedef struct config_list {
    fr_kafka_call *call;
    fr_kafka_CreatableTopicConfigs *items;
    int32_t count, capacity;
} config_list;

static void config_add(void *user, const fr_topic_config_info *config)
{
    config_list *list = user;
    if (list->items && list->count < list->capacity) {
        fr_kafka_CreatableTopicConfigs *row = &list->items[list->count];
        row->name = fr_kafka_words(list->call, "%s", config->name);
        row->value = fr_kafka_words(list->call, "%s", config->value);
        row->readOnly = config->read_only;
        row->configSource = config->is_default ? 5 : 1;
    }
    list->count++;
}

static bool created_row(fr_kafka *door, fr_kafka_call *call, const creation *one, fr_kafka_CreatableTopicResult *row)
{
    fr_topic_info info;
    if (fr_kafka_topic(door, call, row->name, &info) != KAFKA_NONE) { /* validate only */
        row->numPartitions = (int32_t)one->change.partitions;
        row->replicationFactor = 1;
        row->configs.count = 0;
        return true;
    }
    memcpy(row->topicId.bytes, info.uuid, sizeof row->topicId.bytes);
    row->numPartitions = (int32_t)info.partition_count;
    row->replicationFactor = 1;
    row->configs.count = 0;
    if (call->header.version < 5) return true;
    config_list list = {.call = call};
    if (fr_topic_configs(door->db, info.id, config_add, &list) != FR_OK || list.count == 0) return true;
    list.capacity = list.count;
    list.count = 0;
    list.items = fr_kafka_make(&call->arena, &fr_kafka_CreatableTopicConfigs_shape, list.capacity);
    if (!list.items || fr_topic_configs(door->db, info.id, config_add, &list) != FR_OK) return false;
    row->configs.items = list.items;
    row->configs.count = FR_MIN(list.count, list.capacity);
    return true;
}

static fr_kafka_next created(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_CreateTopicsRequest *request = call->request;
    const creation *ones = call->state;
    fr_kafka_CreateTopicsResponse *response = FR_KAFKA_RESPONSE(call, CreateTopicsResponse);
    if (!response || !FR_KAFKA_ITEMS(&call->arena, &response->topics, CreatableTopicResult, FR_MAX(request->topics.count, 0)))
        return FR_KAFKA_CLOSE;
    for (int32_t i = 0; i < response->topics.count; i++) {
        const fr_write *write = &call->writes[i];
        fr_kafka_CreatableTopicResult *row = &response->topics.items[i];
        row->name = request->topics.items[i].name;
        row->errorCode = ones[i].error;
        row->errorMessage = ones[i].text;
        row->configs.count = -1;
        if (!row->errorCode && write->kind != FR_KAFKA_SKIP && write->code != FR_OK) {
            row->errorCode = write->kind == FR_WRITE_COLLECTION_CREATE && write->code == FR_ERR_INVALID && write->reason == FR_REASON_NONE
                                 ? KAFKA_INVALID_CONFIG : fr_kafka_reason(write->reason, write->code);
            row->errorMessage = fr_kafka_words(call, "%s", write->err.text);
        }
        if (!row->errorCode && !created_row(door, call, &ones[i], row)) return FR_KAFKA_CLOSE;
        if (!row->errorCode) row->errorMessage = (fr_span){NULL, 0};
    }
    return fr_kafka_reply(call, response);
}

fr_kafka_next fr_kafka_create_topics(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_CreateTopicsRequest *request = call->request;
    int32_t count = FR_MAX(request->topics.count, 0);
    creation *ones = fr_arena_alloc(&call->arena, FR_MAX((size_t)count, 1u) * sizeof *ones);
    if (!ones || !fr_kafka_writes(call, (uint32_t)count)) return FR_KAFKA_CLOSE;
    call->state = ones;
    for (int32_t i = 0; i < count; i++) {
        if (creation_read(door, call, i, &ones[i]) != KAFKA_NONE || request->validateOnly) continue;
        call->writes[i].kind = ones[i].def ? FR_WRITE_COLLECTION_CREATE : FR_WRITE_TOPIC_CREATE;
        call->writes[i].topic = &ones[i].change;
        call->writes[i].def = ones[i].def;
    }
    return fr_kafka_submit(door, call, created);
}

/* ---- DeleteTopics ---- */

typedef struct deletion {
    fr_span name;
    fr_kafka_uuid uuid;
    int16_t error;
} deletion;

static fr_kafka_next dropped(fr_kafka *door, fr_kafka_call *call)
{
    (void)door;
    const deletion *ones = call->state;
    fr_kafka_DeleteTopicsResponse *response = FR_KAFKA_RESPONSE(call, DeleteTopicsResponse);
    if (!response || !FR_KAFKA_ITEMS(&call->arena, &response->responses, DeletableTopicResult, (int32_t)call->write_count)) return FR_KAFKA_CLOSE;
    for (uint32_t i = 0; i < call->write_count; i++) {
        const fr_write *write = &call->writes[i];
        fr_kafka_DeletableTopicResult *row = &response->responses.items[i];
        row->name = ones[i].name;
        row->topicId = ones[i].uuid;
        row->errorCode = write->kind == FR_KAFKA_SKIP ? ones[i].error : fr_kafka_reason(write->reason, write->code);
        if (write->kind != FR_KAFKA_SKIP && row->errorCode) row->errorMessage = fr_kafka_words(call, "%s", write->err.text);
    }
    return fr_kafka_reply(call, response);
}

fr_kafka_next fr_kafka_delete_topics(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_DeleteTopicsRequest *request = call->request;
    bool by_state = call->header.version >= 6;
    int32_t count = FR_MAX(by_state ? request->topics.count : request->topicNames.count, 0);
    deletion *ones = fr_arena_alloc(&call->arena, FR_MAX((size_t)count, 1u) * sizeof *ones);
    if (!ones || !fr_kafka_writes(call, (uint32_t)count)) return FR_KAFKA_CLOSE;
    call->state = ones;
    for (int32_t i = 0; i < count; i++) {
        fr_topic_info info;
        ones[i] = by_state ? (deletion){.name = request->topics.items[i].name, .uuid = request->topics.items[i].topicId}
                           : (deletion){.name = request->topicNames.items[i]};
        bool by_id = by_state && fr_kafka_is_null(ones[i].name);
        ones[i].error = by_id ? fr_kafka_topic_by_id(door, call, &ones[i].uuid, &info) : fr_kafka_topic(door, call, ones[i].name, &info);
        if (ones[i].error) continue;
        memcpy(ones[i].uuid.bytes, info.uuid, sizeof info.uuid);
        if (by_id) ones[i].name = fr_kafka_words(call, "%s", info.name);
        call->writes[i].kind = FR_WRITE_COLLECTION_DROP;
        call->writes[i].id = info.id;
    }
    return fr_kafka_submit(door, call, dropped);
}

/* ---- CreatePartitions ---- */

static fr_kafka_next widened(fr_kafka *door, fr_kafka_call *call)
{
    (void)door;
    const fr_kafka_CreatePartitionsRequest *request = call->request;
    const creation *ones = call->state;
    fr_kafka_CreatePartitionsResponse *response = FR_KAFKA_RESPONSE(call, CreatePartitionsResponse);
    if (!response || !FR_KAFKA_ITEMS(&call->arena, &response->results, CreatePartitionsTopicResult, (int32_t)call->write_count))
        return FR_KAFKA_CLOSE;
    for (uint32_t i = 0; i < call->write_count; i++) {
        const fr_write *write = &call->writes[i];
        fr_kafka_CreatePartitionsTopicResult *row = &response->results.items[i];
        row->name = request->topics.items[i].name;
        row->errorCode = ones[i].error;
        row->errorMessage = ones[i].text;
        if (write->kind == FR_KAFKA_SKIP || write->code == FR_OK) continue;
        row->errorCode = fr_kafka_reason(write->reason, write->code);
        row->errorMessage = fr_kafka_words(call, "%s", write->err.text);
    }
    return fr_kafka_reply(call, response);
}

fr_kafka_next fr_kafka_create_partitions(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_CreatePartitionsRequest *request = call->request;
    int32_t count = FR_MAX(request->topics.count, 0);
    creation *ones = fr_arena_alloc(&call->arena, FR_MAX((size_t)count, 1u) * sizeof *ones);
    if (!ones || !fr_kafka_writes(call, (uint32_t)count)) return FR_KAFKA_CLOSE;
    call->state = ones;
    for (int32_t i = 0; i < count; i++) {
        const fr_kafka_CreatePartitionsTopic *topic = &request->topics.items[i];
        creation *one = &ones[i];
        fr_topic_info info;
        *one = (creation){0};
        one->error = fr_kafka_topic(door, call, topic->name, &info);
        if (one->error) continue;
        if (topic->count <= (int32_t)info.partition_count || topic->count > (int32_t)FR_PARTITIONS_MAX)
            (void)refuse(call, one, KAFKA_INVALID_PARTITIONS, "the number of partitions can only grow, up to 64");
        else if (info.kind == FR_TOPIC_COLLECTION)
            (void)refuse(call, one, KAFKA_POLICY_VIOLATION, "keys of a collection would move: replay it into a new one instead");
        if (one->error || request->validateOnly) continue;
        one->change = (fr_topic_change){.name = fr_kafka_text(call, topic->name), .kind = info.kind, .partitions = (uint32_t)topic->count};
        call->writes[i].kind = FR_WRITE_TOPIC_PARTITIONS;
        call->writes[i].id = info.id;
        call->writes[i].topic = &one->change;
    }
    return fr_kafka_submit(door, call, widened);
}
