/* kafka_configs.c: DescribeConfigs, AlterConfigs, IncrementalAlterConfigs: topics' configs are the engine's; the broker's are shown only. */
#include "api/kafka/kafka_private.h"

#include <stdio.h>
#include <stdlib.h>

enum { RESOURCE_TOPIC = 2, RESOURCE_BROKER = 4 };
enum { SOURCE_TOPIC = 1, SOURCE_STATIC_BROKER = 4, SOURCE_DEFAULT = 5 };

/* ---- describing ---- */

typedef struct describing {
    fr_kafka_call *call;
    const fr_kafka_DescribeConfigsResource *wanted;
    fr_kafka_DescribeConfigsResourceResult *items;
    int32_t count, capacity;
} describing;

static bool asked_for(const fr_kafka_DescribeConfigsResource *wanted, const char *name)
{
    if (wanted->configurationKeys.count < 0) return true;
    for (int32_t i = 0; i < wanted->configurationKeys.count; i++)
        if (fr_span_equal(wanted->configurationKeys.items[i], fr_span_text(name))) return true;
    return false;
}

static void describe(void *user, const fr_topic_config_info *config)
{
    describing *self = user;
    const fr_kafka_DescribeConfigsRequest *request = self->call->request;
    if (!asked_for(self->wanted, config->name)) return;
    int32_t at = self->count++;
    if (!self->items || at >= self->capacity) return; /* counting, or one was added meanwhile */
    fr_kafka_DescribeConfigsResourceResult *row = &self->items[at];
    bool broker = self->wanted->resourceType == RESOURCE_BROKER;
    row->name = fr_kafka_words(self->call, "%s", config->name);
    row->value = fr_kafka_words(self->call, "%s", config->value);
    row->readOnly = config->read_only;
    row->configSource = broker ? SOURCE_STATIC_BROKER : config->is_default ? SOURCE_DEFAULT : SOURCE_TOPIC;
    row->configType = (int8_t)config->type;
    if (request->includeDocumentation && config->documentation) row->documentation = fr_kafka_words(self->call, "%s", config->documentation);
    row->synonyms.count = 0;
    if (!request->includeSynonyms) return;
    int32_t synonyms = config->is_default || broker ? 1 : 2;
    if (!FR_KAFKA_ITEMS(&self->call->arena, &row->synonyms, DescribeConfigsSynonym, synonyms)) return;
    row->synonyms.items[0].name = row->name;
    row->synonyms.items[0].value = row->value;
    row->synonyms.items[0].source = row->configSource;
    if (synonyms < 2) return;
    row->synonyms.items[1].name = row->name;
    row->synonyms.items[1].value = fr_kafka_words(self->call, "%s", config->default_value ? config->default_value : "");
    row->synonyms.items[1].source = SOURCE_DEFAULT;
}

static void describe_broker(const fr_kafka *door, describing *self)
{
    char partitions[16], node[16], frame[16], limit[16];
    snprintf(partitions, sizeof partitions, "%u", door->partitions_default);
    snprintf(node, sizeof node, "%d", (int)door->node_id);
    snprintf(frame, sizeof frame, "%u", FR_KAFKA_FRAME_BYTES_MAX);
    snprintf(limit, sizeof limit, "%u", (unsigned)FR_TRANSACTION_MS_MAX);
    const fr_kafka_call *call = self->call;
    char listener[128]; /* where this caller finds the server */
    snprintf(listener, sizeof listener, "%s://%s:%d", call->peer && call->peer->asks ? "SASL_PLAINTEXT" : "PLAINTEXT", fr_kafka_host(door, call),
             (int)fr_kafka_port(door, call));
    const fr_topic_config_info rows[] = {
        {"advertised.listeners", listener, NULL, NULL, FR_TOPIC_CONFIG_STRING, false, true},
        {"auto.create.topics.enable", door->auto_create ? "true" : "false", NULL, NULL, FR_TOPIC_CONFIG_BOOLEAN, false, true},
        {"broker.id", node, NULL, NULL, FR_TOPIC_CONFIG_INT, false, true},
        {"compression.type", "producer", NULL, NULL, FR_TOPIC_CONFIG_STRING, false, true},
        {"default.replication.factor", "1", NULL, NULL, FR_TOPIC_CONFIG_INT, false, true},
        {"delete.topic.enable", "true", NULL, NULL, FR_TOPIC_CONFIG_BOOLEAN, false, true},
        {"group.initial.rebalance.delay.ms", "0", NULL, NULL, FR_TOPIC_CONFIG_INT, false, true},
        {"log.cleanup.policy", "delete", NULL, NULL, FR_TOPIC_CONFIG_LIST, false, true},
        {"log.retention.ms", "604800000", NULL, NULL, FR_TOPIC_CONFIG_LONG, false, true},
        {"min.insync.replicas", "1", NULL, NULL, FR_TOPIC_CONFIG_INT, false, true},
        {"num.partitions", partitions, NULL, NULL, FR_TOPIC_CONFIG_INT, false, true},
        {"socket.request.max.bytes", frame, NULL, NULL, FR_TOPIC_CONFIG_INT, false, true},
        {"transaction.max.timeout.ms", limit, NULL, NULL, FR_TOPIC_CONFIG_INT, false, true},
    };
    for (size_t i = 0; i < FR_COUNT_OF(rows); i++) describe(self, &rows[i]);
}

static bool our_node(const fr_kafka *door, fr_kafka_call *call, fr_span name)
{
    char *end;
    const char *text = fr_kafka_text(call, name);
    return text && (!*text || (strtol(text, &end, 10) == door->node_id && !*end));
}

static int16_t describe_one(fr_kafka *door, describing *self, fr_id id)
{
    if (self->wanted->resourceType == RESOURCE_BROKER) describe_broker(door, self);
    else return fr_kafka_error(fr_topic_configs(door->db, id, describe, self));
    return KAFKA_NONE;
}

static bool resource(fr_kafka *door, fr_kafka_call *call, const fr_kafka_DescribeConfigsResource *wanted, fr_kafka_DescribeConfigsResult *row)
{
    fr_topic_info info = {0};
    describing self = {.call = call, .wanted = wanted};
    row->resourceType = wanted->resourceType;
    row->resourceName = wanted->resourceName;
    row->configs.count = 0;
    if (wanted->resourceType == RESOURCE_TOPIC) row->errorCode = fr_kafka_topic(door, call, wanted->resourceName, &info);
    else if (wanted->resourceType == RESOURCE_BROKER && !fr_kafka_may(door, call, FR_ACTION_ADMIN, FR_OBJECT_ALL, (fr_span){NULL, 0}, false))
        row->errorCode = KAFKA_CLUSTER_AUTHORIZATION_FAILED;
    else if (wanted->resourceType != RESOURCE_BROKER || !our_node(door, call, wanted->resourceName)) row->errorCode = KAFKA_INVALID_REQUEST;
    if (!row->errorCode) row->errorCode = describe_one(door, &self, info.id);
    if (row->errorCode || self.count == 0) return true;
    self.capacity = self.count;
    self.count = 0;
    self.items = fr_kafka_make(&call->arena, &fr_kafka_DescribeConfigsResourceResult_shape, self.capacity);
    if (!self.items) return false;
    row->errorCode = describe_one(door, &self, info.id);
    row->configs.items = self.items;
    row->configs.count = row->errorCode ? 0 : FR_MIN(self.count, self.capacity);
    return true;
}

fr_kafka_next fr_kafka_describe_configs(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_DescribeConfigsRequest *request = call->request;
    fr_kafka_DescribeConfigsResponse *response = FR_KAFKA_RESPONSE(call, DescribeConfigsResponse);
    if (!response || !FR_KAFKA_ITEMS(&call->arena, &response->results, DescribeConfigsResult, FR_MAX(request->resources.count, 0)))
        return FR_KAFKA_CLOSE;
    for (int32_t i = 0; i < response->results.count; i++)
        if (!resource(door, call, &request->resources.items[i], &response->results.items[i])) return FR_KAFKA_CLOSE;
    return fr_kafka_reply(call, response);
}

/* ---- altering ---- */

typedef struct alteration {
    int16_t error;
    const char *text;
    int8_t type;
    fr_span name;
    fr_topic_change change;
} alteration;

static fr_kafka_next incremental_altered(fr_kafka *door, fr_kafka_call *call)
{
    (void)door;
    const alteration *ones = call->state;
    fr_kafka_IncrementalAlterConfigsResponse *response = FR_KAFKA_RESPONSE(call, IncrementalAlterConfigsResponse);
    if (!response || !FR_KAFKA_ITEMS(&call->arena, &response->responses, IncrementalAlterConfigsResponse_AlterConfigsResourceResponse,
                                     (int32_t)call->write_count))
        return FR_KAFKA_CLOSE;
    for (uint32_t i = 0; i < call->write_count; i++) {
        const fr_write *write = &call->writes[i];
        fr_kafka_IncrementalAlterConfigsResponse_AlterConfigsResourceResponse *row = &response->responses.items[i];
        bool sent = write->kind != FR_KAFKA_SKIP;
        row->resourceType = ones[i].type;
        row->resourceName = ones[i].name;
        row->errorCode = sent ? fr_kafka_reason(write->reason, write->code) : ones[i].error;
        const char *text = sent ? write->err.text : ones[i].text;
        row->errorMessage = row->errorCode && text ? fr_kafka_words(call, "%s", text) : (fr_span){NULL, 0};
    }
    return fr_kafka_reply(call, response);
}

static fr_kafka_next altered(fr_kafka *door, fr_kafka_call *call)
{
    (void)door;
    const alteration *ones = call->state;
    fr_kafka_AlterConfigsResponse *response = FR_KAFKA_RESPONSE(call, AlterConfigsResponse);
    if (!response ||
        !FR_KAFKA_ITEMS(&call->arena, &response->responses, AlterConfigsResponse_AlterConfigsResourceResponse, (int32_t)call->write_count))
        return FR_KAFKA_CLOSE;
    for (uint32_t i = 0; i < call->write_count; i++) {
        const fr_write *write = &call->writes[i];
        fr_kafka_AlterConfigsResponse_AlterConfigsResourceResponse *row = &response->responses.items[i];
        bool sent = write->kind != FR_KAFKA_SKIP;
        row->resourceType = ones[i].type;
        row->resourceName = ones[i].name;
        row->errorCode = sent ? fr_kafka_reason(write->reason, write->code) : ones[i].error;
        const char *text = sent ? write->err.text : ones[i].text;
        row->errorMessage = row->errorCode && text ? fr_kafka_words(call, "%s", text) : (fr_span){NULL, 0};
    }
    return fr_kafka_reply(call, response);
}

/* The value of one config now, copied into the arena. */
typedef struct looking {
    fr_kafka_call *call;
    const char *name, *value;
    bool is_list;
} looking;

static void look_at(void *user, const fr_topic_config_info *config)
{
    looking *self = user;
    if (strcmp(config->name, self->name) != 0) return;
    self->value = fr_arena_copy(&self->call->arena, config->value, strlen(config->value) + 1);
    self->is_list = config->type == FR_TOPIC_CONFIG_LIST;
}

static bool in_list(const char *list, const char *word, size_t size)
{
    for (const char *at = list; *at;) {
        size_t length = strcspn(at, ",");
        if (length == size && memcmp(at, word, size) == 0) return true;
        at += length + (at[length] == ',');
    }
    return false;
}

static void append_word(char *to, size_t room, const char *word, size_t size)
{
    size_t used = strlen(to);
    snprintf(to + used, room - used, "%s%.*s", used ? "," : "", (int)size, word);
}

/* APPEND and SUBTRACT on a list config: the whole new value. NULL: not a list, or no memory. */
static const char *list_changed(fr_kafka *door, fr_kafka_call *call, fr_id id, const char *name, const char *words, bool append)
{
    looking now = {.call = call, .name = name};
    if (fr_topic_configs(door->db, id, look_at, &now) != FR_OK || !now.value || !now.is_list) return NULL;
    size_t room = strlen(now.value) + strlen(words) + 2;
    char *to = fr_arena_alloc(&call->arena, room);
    if (!to) return NULL;
    *to = 0;
    for (const char *at = now.value; *at;) {
        size_t length = strcspn(at, ",");
        if (append || !in_list(words, at, length)) append_word(to, room, at, length);
        at += length + (at[length] == ',');
    }
    for (const char *at = words; append && *at;) {
        size_t length = strcspn(at, ",");
        if (!in_list(to, at, length)) append_word(to, room, at, length);
        at += length + (at[length] == ',');
    }
    return to;
}

static int16_t refuse(alteration *one, int16_t error, const char *text)
{
    one->error = error;
    one->text = text;
    return error;
}

static int16_t alteration_begin(fr_kafka *door, fr_kafka_call *call, alteration *one, fr_topic_info *info)
{
    if (one->type == RESOURCE_BROKER) return refuse(one, KAFKA_INVALID_REQUEST, "the server's settings are its flags");
    if (one->type != RESOURCE_TOPIC) return refuse(one, KAFKA_INVALID_REQUEST, "this kind of resource has no configs here");
    return one->error = fr_kafka_topic(door, call, one->name, info);
}

static void alteration_send(fr_kafka_call *call, uint32_t at, alteration *one, const fr_topic_info *info, const fr_topic_config *configs,
                            int32_t count, bool replace)
{
    one->change = (fr_topic_change){.name = fr_kafka_text(call, one->name), .kind = info->kind, .configs = configs,
                                    .config_count = (uint32_t)count, .replace_configs = replace};
    call->writes[at].kind = FR_WRITE_TOPIC_CONFIGS;
    call->writes[at].id = info->id;
    call->writes[at].topic = &one->change;
}

static int16_t incremental_read(fr_kafka *door, fr_kafka_call *call, fr_id id,
                                const fr_kafka_IncrementalAlterConfigsRequest_AlterableConfig *wanted, alteration *one, fr_topic_config *to)
{
    enum { SET, DELETE, APPEND, SUBTRACT };
    const char *name = fr_kafka_text(call, wanted->name), *value = fr_kafka_text(call, wanted->value);
    if (!name || wanted->configOperation < SET || wanted->configOperation > SUBTRACT)
        return refuse(one, KAFKA_INVALID_REQUEST, "a config needs a name and a known operation");
    if (wanted->configOperation != DELETE && !value) return refuse(one, KAFKA_INVALID_REQUEST, "a config needs a value");
    if (wanted->configOperation == DELETE) value = NULL;
    if (wanted->configOperation >= APPEND) {
        value = list_changed(door, call, id, name, value, wanted->configOperation == APPEND);
        if (!value) return refuse(one, KAFKA_INVALID_CONFIG, "only a list can be appended to or subtracted from");
    }
    *to = (fr_topic_config){name, value};
    return KAFKA_NONE;
}

fr_kafka_next fr_kafka_incremental_alter_configs(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_IncrementalAlterConfigsRequest *request = call->request;
    int32_t count = FR_MAX(request->resources.count, 0);
    alteration *ones = fr_arena_alloc(&call->arena, FR_MAX((size_t)count, 1u) * sizeof *ones);
    if (!ones || !fr_kafka_writes(call, (uint32_t)count)) return FR_KAFKA_CLOSE;
    call->state = ones;
    for (int32_t i = 0; i < count; i++) {
        const fr_kafka_IncrementalAlterConfigsRequest_AlterConfigsResource *asked = &request->resources.items[i];
        fr_topic_info info;
        ones[i] = (alteration){.type = asked->resourceType, .name = asked->resourceName};
        if (alteration_begin(door, call, &ones[i], &info) != KAFKA_NONE) continue;
        int32_t configs_count = FR_MAX(asked->configs.count, 0);
        fr_topic_config *configs = fr_arena_alloc(&call->arena, FR_MAX((size_t)configs_count, 1u) * sizeof *configs);
        if (!configs) return FR_KAFKA_CLOSE;
        for (int32_t j = 0; j < configs_count && !ones[i].error; j++)
            (void)incremental_read(door, call, info.id, &asked->configs.items[j], &ones[i], &configs[j]);
        if (!ones[i].error && !request->validateOnly)
            alteration_send(call, (uint32_t)i, &ones[i], &info, configs, configs_count, false);
    }
    return fr_kafka_submit(door, call, incremental_altered);
}

fr_kafka_next fr_kafka_alter_configs(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_AlterConfigsRequest *request = call->request;
    int32_t count = FR_MAX(request->resources.count, 0);
    alteration *ones = fr_arena_alloc(&call->arena, FR_MAX((size_t)count, 1u) * sizeof *ones);
    if (!ones || !fr_kafka_writes(call, (uint32_t)count)) return FR_KAFKA_CLOSE;
    call->state = ones;
    for (int32_t i = 0; i < count; i++) {
        const fr_kafka_AlterConfigsRequest_AlterConfigsResource *asked = &request->resources.items[i];
        fr_topic_info info;
        ones[i] = (alteration){.type = asked->resourceType, .name = asked->resourceName};
        if (alteration_begin(door, call, &ones[i], &info) != KAFKA_NONE) continue;
        int32_t configs_count = FR_MAX(asked->configs.count, 0);
        fr_topic_config *configs = fr_arena_alloc(&call->arena, FR_MAX((size_t)configs_count, 1u) * sizeof *configs);
        if (!configs) return FR_KAFKA_CLOSE;
        for (int32_t j = 0; j < configs_count; j++) {
            configs[j] = (fr_topic_config){fr_kafka_text(call, asked->configs.items[j].name), fr_kafka_text(call, asked->configs.items[j].value)};
            if (!configs[j].name) (void)refuse(&ones[i], KAFKA_INVALID_REQUEST, "a config needs a name");
        }
        if (!ones[i].error && !request->validateOnly) alteration_send(call, (uint32_t)i, &ones[i], &info, configs, configs_count, true);
    }
    return fr_kafka_submit(door, call, altered);
}
