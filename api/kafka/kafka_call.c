/* kafka_call.c: a call's life: header, table, handler, reply; writes and waiting on behalf of handlers; ApiVersions.
 *
 * A call is stepped by one thread at a time. outstanding counts the engine's callbacks that may still touch it; nobody resets a
 * call before it is 0. */
#include "api/kafka/kafka_private.h"

#include <sched.h>
#include <stdio.h>

/* ---- the table: what is handled is what is offered ---- */

static bool with_sasl(const fr_kafka *door) { return door->sasl != NULL; }
static bool with_groups(const fr_kafka *door) { return door->groups != NULL; }

/* asks has no default: a row without it does not compile. */
#define API(key, first, name, handler, offered, asks)                                                                  \
    {key, first, #name, &fr_kafka_##name##Request_message, &fr_kafka_##name##Response_message, handler, offered, asks}
#define NOTHING FR_KAFKA_ASKS_NOTHING
#define LOGIN FR_KAFKA_ASKS_LOGIN
#define TOPIC_READ FR_KAFKA_ASKS_TOPIC_READ
#define TOPIC_WRITE FR_KAFKA_ASKS_TOPIC_WRITE
#define TOPIC_ADMIN FR_KAFKA_ASKS_TOPIC_ADMIN
#define GROUP_READ FR_KAFKA_ASKS_GROUP_READ
#define GROUP_ADMIN FR_KAFKA_ASKS_GROUP_ADMIN
#define TXN FR_KAFKA_ASKS_TXN
#define SERVER FR_KAFKA_ASKS_SERVER
const fr_kafka_api fr_kafka_apis[] = {
    /* Older librdkafka compresses only when Produce version 0 is advertised (KAFKA-18659); versions below 3 are refused all the same. */
    API(0, 0, Produce, fr_kafka_produce, NULL, TOPIC_WRITE | TXN),
    API(1, -1, Fetch, fr_kafka_fetch, NULL, TOPIC_READ),
    API(2, -1, ListOffsets, fr_kafka_list_offsets, NULL, TOPIC_READ),
    API(3, -1, Metadata, fr_kafka_metadata, NULL, TOPIC_READ | TOPIC_WRITE),
    API(8, -1, OffsetCommit, fr_kafka_offset_commit, with_groups, GROUP_READ | TOPIC_READ),
    API(9, -1, OffsetFetch, fr_kafka_offset_fetch, with_groups, GROUP_READ | TOPIC_READ),
    API(10, -1, FindCoordinator, fr_kafka_find_coordinator, NULL, LOGIN),
    API(11, -1, JoinGroup, fr_kafka_join_group, with_groups, GROUP_READ),
    API(12, -1, Heartbeat, fr_kafka_heartbeat, with_groups, GROUP_READ),
    API(13, -1, LeaveGroup, fr_kafka_leave_group, with_groups, GROUP_READ),
    API(14, -1, SyncGroup, fr_kafka_sync_group, with_groups, GROUP_READ),
    API(15, -1, DescribeGroups, fr_kafka_describe_groups, with_groups, GROUP_READ),
    API(16, -1, ListGroups, fr_kafka_list_groups, with_groups, LOGIN),
    API(17, -1, SaslHandshake, fr_kafka_sasl_handshake, with_sasl, NOTHING),
    API(18, -1, ApiVersions, fr_kafka_api_versions, NULL, NOTHING),
    API(19, -1, CreateTopics, fr_kafka_create_topics, NULL, TOPIC_ADMIN),
    API(20, -1, DeleteTopics, fr_kafka_delete_topics, NULL, TOPIC_ADMIN),
    API(21, -1, DeleteRecords, fr_kafka_delete_records, NULL, TOPIC_ADMIN),
    API(22, -1, InitProducerId, fr_kafka_init_producer_id, NULL, TXN),
    API(23, -1, OffsetForLeaderEpoch, fr_kafka_offset_for_leader_epoch, NULL, TOPIC_READ),
    API(24, -1, AddPartitionsToTxn, fr_kafka_add_partitions_to_txn, NULL, TXN | TOPIC_WRITE),
    API(25, -1, AddOffsetsToTxn, fr_kafka_add_offsets_to_txn, with_groups, TXN | GROUP_READ),
    API(26, -1, EndTxn, fr_kafka_end_txn, NULL, TXN),
    API(28, -1, TxnOffsetCommit, fr_kafka_txn_offset_commit, with_groups, TXN | GROUP_READ | TOPIC_READ),
    API(32, -1, DescribeConfigs, fr_kafka_describe_configs, NULL, TOPIC_READ | SERVER),
    API(33, -1, AlterConfigs, fr_kafka_alter_configs, NULL, TOPIC_ADMIN),
    API(35, -1, DescribeLogDirs, fr_kafka_describe_log_dirs, NULL, SERVER),
    API(36, -1, SaslAuthenticate, fr_kafka_sasl_authenticate, with_sasl, NOTHING),
    API(37, -1, CreatePartitions, fr_kafka_create_partitions, NULL, TOPIC_ADMIN),
    API(42, -1, DeleteGroups, fr_kafka_delete_groups, with_groups, GROUP_ADMIN),
    API(44, -1, IncrementalAlterConfigs, fr_kafka_incremental_alter_configs, NULL, TOPIC_ADMIN),
    API(46, -1, ListPartitionReassignments, fr_kafka_list_partition_reassignments, NULL, SERVER),
    API(47, -1, OffsetDelete, fr_kafka_offset_delete, with_groups, GROUP_ADMIN | TOPIC_READ),
    API(48, -1, DescribeClientQuotas, fr_kafka_describe_client_quotas, with_sasl, SERVER),
    API(49, -1, AlterClientQuotas, fr_kafka_alter_client_quotas, with_sasl, SERVER),
    API(60, -1, DescribeCluster, fr_kafka_describe_cluster, NULL, LOGIN),
    API(61, -1, DescribeProducers, fr_kafka_describe_producers, NULL, TOPIC_READ),
    API(65, -1, DescribeTransactions, fr_kafka_describe_transactions, NULL, TXN | TOPIC_READ),
    API(66, -1, ListTransactions, fr_kafka_list_transactions, NULL, LOGIN),
};
const size_t fr_kafka_apis_count = FR_COUNT_OF(fr_kafka_apis);

const fr_kafka_api *fr_kafka_api_of(int16_t key)
{
    for (size_t i = 0; i < fr_kafka_apis_count; i++)
        if (fr_kafka_apis[i].key == key) return &fr_kafka_apis[i];
    return NULL;
}

bool fr_kafka_offered(const fr_kafka *door, const fr_kafka_api *api)
{
    return api->offered == NULL || api->offered(door);
}

size_t fr_kafka_api_count(void) { return fr_kafka_apis_count; }
const char *fr_kafka_api_name(size_t index) { return fr_kafka_apis[index].name; }
size_t fr_kafka_api_index(const fr_kafka_call *call) { return call->api ? (size_t)(call->api - fr_kafka_apis) : fr_kafka_apis_count; }

void fr_kafka_init(fr_kafka *door)
{
    *door = (fr_kafka){.node_id = 1, .auto_create = true, .partitions_default = 1};
    snprintf(door->cluster_id, sizeof door->cluster_id, "freshet");
}

/* ---- replies ---- */

static fr_kafka_next encode(fr_kafka_call *call, const void *response)
{
    fr_kafka_out *out = &call->out;
    const fr_kafka_message *message = call->api->response;
    fr_kafka_out_reset(out);
    fr_kafka_out_be32(out, 0);
    fr_kafka_out_be32(out, (uint32_t)call->header.correlation);
    /* ApiVersions is answered with the old header in every version: the client cannot know yet what is spoken here. */
    if (message->key != 18 && fr_kafka_flexible(message, call->header.version)) fr_kafka_out_byte(out, 0);
    if (fr_kafka_encode(message, call->header.version, response, out) != FR_OK) {
        if (out->code == FR_ERR_TOO_LARGE)
            fr_note(FR_NOTE_WARN, "event=kafka_reply_too_large api=%s limit=%u", call->api->name, FR_KAFKA_REPLY_BYTES_MAX);
        return FR_KAFKA_CLOSE;
    }
    uint64_t size = out->size - 4 + out->spliced;
    if (size > INT32_MAX) return FR_KAFKA_CLOSE;
    fr_store_be32(out->data, (uint32_t)size);
    return FR_KAFKA_REPLY;
}

/* throttle_time_ms, where this version has one. */
static void throttle_set(const fr_kafka_call *call, void *response)
{
    const fr_kafka_message *message = call->api->response;
    for (size_t i = 0; i < message->shape->field_count; i++) {
        const fr_kafka_field *field = &message->shape->fields[i];
        if (strcmp(field->name, "throttleTimeMs") == 0) memcpy((uint8_t *)response + field->offset, &call->throttle_ms, sizeof call->throttle_ms);
    }
}

/* Encoded again when the reply's own size is what slows the client down. */
fr_kafka_next fr_kafka_reply(fr_kafka_call *call, void *response)
{
    if (!response) return FR_KAFKA_CLOSE;
    fr_kafka_charge(call, 1, call->frame.size, 0);
    int32_t before = call->throttle_ms;
    if (before) throttle_set(call, response);
    fr_kafka_next next = encode(call, response);
    if (next != FR_KAFKA_REPLY) return next;
    fr_kafka_charge(call, 0, 0, call->out.size + call->out.spliced);
    if (call->throttle_ms == before) return next;
    throttle_set(call, response);
    return encode(call, response);
}

static bool response_fill(fr_kafka *door, fr_kafka_ApiVersionsResponse *response, fr_arena *arena)
{
    if (!FR_KAFKA_ITEMS(arena, &response->apiKeys, ApiVersion, (int32_t)fr_kafka_apis_count)) return false;
    int32_t count = 0;
    for (size_t i = 0; i < fr_kafka_apis_count; i++) {
        const fr_kafka_api *api = &fr_kafka_apis[i];
        if (!fr_kafka_offered(door, api)) continue;
        fr_kafka_ApiVersion *row = &response->apiKeys.items[count++];
        row->apiKey = api->key;
        row->minVersion = api->advertised_first >= 0 ? api->advertised_first : api->request->first;
        row->maxVersion = (uint8_t)api->request->last;
    }
    response->apiKeys.count = count;
    return true;
}

/* KIP-511: [a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])? */
static bool software_name_ok(fr_span name)
{
    const unsigned char *text = name.data;
    for (size_t i = 0; i < name.size; i++) {
        bool alnum = (text[i] >= '0' && text[i] <= '9') || ((text[i] | 32) >= 'a' && (text[i] | 32) <= 'z');
        if (!alnum && (i == 0 || i == name.size - 1 || (text[i] != '-' && text[i] != '.'))) return false;
    }
    return name.size > 0;
}

fr_kafka_next fr_kafka_api_versions(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_ApiVersionsRequest *request = call->request;
    fr_kafka_ApiVersionsResponse *response = FR_KAFKA_RESPONSE(call, ApiVersionsResponse);
    if (!response || !response_fill(door, response, &call->arena)) return FR_KAFKA_CLOSE;
    if (call->header.version >= 3 &&
        (!software_name_ok(request->clientSoftwareName) || !software_name_ok(request->clientSoftwareVersion))) {
        response->errorCode = KAFKA_INVALID_REQUEST;
        response->apiKeys.count = 0;
    }
    return fr_kafka_reply(call, response);
}

/* A version of ApiVersions that is newer than ours: error 35 in the layout of version 0, with the whole list. */
static fr_kafka_next api_versions_too_new(fr_kafka *door, fr_kafka_call *call)
{
    fr_kafka_ApiVersionsResponse *response = FR_KAFKA_RESPONSE(call, ApiVersionsResponse);
    if (!response || !response_fill(door, response, &call->arena)) return FR_KAFKA_CLOSE;
    response->errorCode = KAFKA_UNSUPPORTED_VERSION;
    call->header.version = 0;
    return fr_kafka_reply(call, response);
}

/* ---- begin, step, end ---- */

static bool header_flexible(int16_t key, int16_t version)
{
    const fr_kafka_api *api = fr_kafka_api_of(key);
    return api && version <= api->request->last && fr_kafka_flexible(api->request, version);
}

void fr_kafka_call_init(fr_kafka_call *call)
{
    *call = (fr_kafka_call){.out = {.limit = FR_KAFKA_REPLY_BYTES_MAX}};
    fr_arena_init(&call->arena, FR_MEM_DOOR, FR_KAFKA_STRUCT_BYTES_MAX);
}

bool fr_kafka_pipelines(const fr_kafka_call *call, fr_span next_frame)
{
    const uint8_t *next = next_frame.data;
    return call->api && call->api->key == 0 && next_frame.size >= 2 && next[0] == 0 && next[1] == 0;
}

/* When it is over, its verdicts are written down: here no lock is held. */
static fr_kafka_next ending(fr_kafka *door, fr_kafka_call *call, fr_kafka_next next)
{
    if (next == FR_KAFKA_REPLY || next == FR_KAFKA_NO_REPLY || next == FR_KAFKA_CLOSE) fr_kafka_tell(door, call);
    return next;
}

fr_kafka_next fr_kafka_begin(fr_kafka *door, fr_kafka_call *call)
{
    fr_span body;
    fr_err err;
    call->door = door;
    if (call->frame.size > FR_KAFKA_FRAME_BYTES_MAX) return FR_KAFKA_CLOSE;
    if (door->sasl && call->peer->asks && !call->peer->authenticated) {
        if (call->peer->closing || call->frame.size > FR_KAFKA_LOGIN_BYTES_MAX) return FR_KAFKA_CLOSE;
        if (call->peer->raw) return fr_kafka_raw_login(door, call);
    }
    if (fr_kafka_header_decode(call->frame, header_flexible, &call->header, &body, &err) != FR_OK) return FR_KAFKA_CLOSE;
    const fr_kafka_api *api = call->api = fr_kafka_api_of(call->header.key);
    if (!api || !fr_kafka_offered(door, api)) return FR_KAFKA_CLOSE;
    if (api->key != 0 && call->frame.size > FR_KAFKA_CONTROL_BYTES_MAX) return FR_KAFKA_CLOSE;
    int version = call->header.version;
    if (api->key == 18 && version > api->request->last) return api_versions_too_new(door, call);
    if (version < api->request->first || version > api->request->last) return FR_KAFKA_CLOSE;
    if (door->sasl && call->peer->asks && !call->peer->authenticated && !(api->asks & FR_KAFKA_ASKS_NOTHING)) {
        fr_kafka_refused(door, call, "nobody has logged in");
        return FR_KAFKA_CLOSE;
    }
    if (fr_kafka_decode(api->request, version, body, &call->arena, &call->request, &err) != FR_OK) {
        fr_note(FR_NOTE_DEBUG, "event=kafka_bad_request api=%s version=%d field=%s why=\"%s\"", api->name, version, err.field, err.text);
        return FR_KAFKA_CLOSE;
    }
    return ending(door, call, api->handle(door, call));
}

/* Whoever's done() has begun ends soon: it only sends a message. */
static void waits_end(fr_kafka *door, fr_kafka_call *call)
{
    for (uint32_t i = 0; i < call->wait_count; i++) {
        fr_kafka_wait *wait = &call->waits[i];
        if (!wait->armed) continue;
        wait->armed = false;
        if (fr_when_cancel(door->db, &wait->waiter)) atomic_fetch_sub(&call->outstanding, 1);
    }
    while (atomic_load(&call->outstanding)) sched_yield();
    call->wait_count = 0;
}

fr_kafka_next fr_kafka_step(fr_kafka *door, fr_kafka_call *call)
{
    if (call->wait_count) waits_end(door, call);
    return ending(door, call, call->resume(door, call));
}

fr_kafka_next fr_kafka_expire(fr_kafka *door, fr_kafka_call *call, bool abandon)
{
    if (atomic_exchange(&call->fired, true)) return FR_KAFKA_WAIT;
    waits_end(door, call);
    call->expired = true;
    return ending(door, call, abandon ? FR_KAFKA_NO_REPLY : call->resume(door, call));
}

void fr_kafka_call_reset(fr_kafka *door, fr_kafka_call *call)
{
    FR_ASSERT(atomic_load(&call->outstanding) == 0);
    if (call->release) call->release(door, call);
    fr_kafka_out_reset(&call->out);
    fr_arena_reset(&call->arena);
    fr_arena arena = call->arena;
    fr_kafka_out out = call->out;
    void (*wake)(fr_kafka_call *) = call->wake;
    void *carrier = call->carrier;
    *call = (fr_kafka_call){.arena = arena, .out = out, .wake = wake, .carrier = carrier};
}

void fr_kafka_call_free(fr_kafka *door, fr_kafka_call *call)
{
    fr_kafka_call_reset(door, call);
    fr_kafka_out_free(&call->out);
    fr_arena_free(&call->arena);
}

void fr_kafka_peer_end(fr_kafka *door, fr_kafka_peer *peer)
{
    if (door->sasl && peer->exchange) door->sasl->end(door->sasl->user, peer);
}

/* ---- writes ---- */

bool fr_kafka_writes(fr_kafka_call *call, uint32_t count)
{
    call->writes = fr_arena_alloc(&call->arena, FR_MAX(count, 1u) * sizeof *call->writes);
    call->write_count = call->writes ? count : 0;
    for (uint32_t i = 0; i < call->write_count; i++) {
        memset(&call->writes[i], 0, sizeof call->writes[i]);
        call->writes[i].kind = FR_KAFKA_SKIP;
    }
    return call->writes != NULL;
}

static void write_done(fr_write *write)
{
    fr_kafka_call *call = write->user; /* an engine thread */
    if (atomic_fetch_sub(&call->outstanding, 1) == 1) call->wake(call);
}

fr_kafka_next fr_kafka_submit(fr_kafka *door, fr_kafka_call *call, fr_kafka_next (*resume)(fr_kafka *door, fr_kafka_call *call))
{
    call->resume = resume;
    atomic_store(&call->outstanding, 1); /* ours: nothing wakes before all are submitted */
    for (uint32_t i = 0; i < call->write_count; i++) {
        fr_write *write = &call->writes[i];
        if (write->kind == FR_KAFKA_SKIP) continue;
        write->done = write_done;
        write->user = call;
        atomic_fetch_add(&call->outstanding, 1);
        fr_code code = fr_submit(door->db, write, &write->err);
        if (code == FR_OK) continue;
        write->code = code;
        atomic_fetch_sub(&call->outstanding, 1);
    }
    return atomic_fetch_sub(&call->outstanding, 1) == 1 ? resume(door, call) : FR_KAFKA_SUBMITTED;
}

/* ---- waiting ---- */

bool fr_kafka_waits(fr_kafka_call *call, uint32_t count)
{
    if (!call->waits || call->wait_capacity < count) {
        call->waits = fr_arena_alloc(&call->arena, FR_MAX(count, 1u) * sizeof *call->waits);
        call->wait_capacity = count;
    }
    call->wait_count = call->waits ? count : 0;
    for (uint32_t i = 0; i < call->wait_count; i++) memset(&call->waits[i], 0, sizeof call->waits[i]);
    return call->waits != NULL;
}

/* The wake comes before the count: nobody resets the call in between. */
static void wait_done(fr_waiter *waiter)
{
    fr_kafka_wait *wait = waiter->user; /* an engine thread, or inside of fr_when */
    fr_kafka_call *call = wait->call;
    if (!atomic_exchange(&call->fired, true)) call->wake(call);
    atomic_fetch_sub(&call->outstanding, 1);
}

fr_kafka_next fr_kafka_arm(fr_kafka *door, fr_kafka_call *call, int32_t wait_ms,
                           fr_kafka_next (*resume)(fr_kafka *door, fr_kafka_call *call))
{
    call->resume = resume;
    call->wait_ms = wait_ms;
    atomic_store(&call->fired, false);
    atomic_store(&call->outstanding, 0);
    for (uint32_t i = 0; i < call->wait_count; i++) {
        fr_kafka_wait *wait = &call->waits[i];
        wait->call = call;
        wait->waiter.done = wait_done;
        wait->waiter.user = wait;
        atomic_fetch_add(&call->outstanding, 1);
        wait->armed = true;
        if (fr_when(door->db, &wait->waiter) == FR_OK) continue;
        wait->armed = false; /* dropped or stopping: look again at once */
        atomic_fetch_sub(&call->outstanding, 1);
        if (!atomic_exchange(&call->fired, true)) call->wake(call);
    }
    return FR_KAFKA_WAIT;
}

/* ---- names ---- */

const char *fr_kafka_text(fr_kafka_call *call, fr_span span)
{
    if (!span.data || memchr(span.data, 0, span.size)) return NULL;
    char *text = fr_arena_alloc(&call->arena, span.size + 1);
    if (!text) return NULL;
    if (span.size) memcpy(text, span.data, span.size);
    text[span.size] = 0;
    return text;
}

fr_span fr_kafka_words(fr_kafka_call *call, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t kept = FR_MIN((size_t)FR_MAX(size, 0), sizeof text - 1);
    void *copy = fr_arena_copy(&call->arena, text, kept);
    return copy ? fr_span_of(copy, kept) : fr_span_of("", 0);
}

static int16_t topic_info(fr_kafka *door, fr_id id, fr_topic_info *info_out)
{
    if (fr_topic_get(door->db, id, info_out) != FR_OK) return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    return info_out->kind == FR_TOPIC_INTERNAL ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION : KAFKA_NONE;
}

int16_t fr_kafka_topic(fr_kafka *door, fr_kafka_call *call, fr_span name, fr_topic_info *info_out)
{
    char text[FR_NAME_BYTES_MAX + 1];
    fr_id id;
    if (name.data && !fr_kafka_may_topic(door, call, name)) return KAFKA_TOPIC_AUTHORIZATION_FAILED;
    if (!name.data || name.size > FR_NAME_BYTES_MAX || memchr(name.data, 0, name.size)) return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    memcpy(text, name.data, name.size);
    text[name.size] = 0;
    if (fr_topic_resolve(door->db, text, &id) != FR_OK) return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    return topic_info(door, id, info_out);
}

bool fr_kafka_uuid_null(const fr_kafka_uuid *uuid) { return memcmp(uuid, &(fr_kafka_uuid){0}, sizeof *uuid) == 0; }

int16_t fr_kafka_topic_by_id(fr_kafka *door, fr_kafka_call *call, const fr_kafka_uuid *uuid, fr_topic_info *info_out)
{
    fr_id id;
    if (fr_topic_by_uuid(door->db, uuid->bytes, &id) != FR_OK || topic_info(door, id, info_out) != KAFKA_NONE) return KAFKA_UNKNOWN_TOPIC_ID;
    return fr_kafka_may_topic(door, call, fr_span_text(info_out->name)) ? KAFKA_NONE : KAFKA_TOPIC_AUTHORIZATION_FAILED;
}

const char *fr_kafka_host(const fr_kafka *door, const fr_kafka_call *call) { return door->host[0] && !call->peer->own_address ? door->host : call->peer->host; }
int32_t fr_kafka_port(const fr_kafka *door, const fr_kafka_call *call) { return door->host[0] && !call->peer->own_address ? door->port : call->peer->port; }
