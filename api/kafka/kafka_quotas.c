/* kafka_quotas.c: DescribeClientQuotas, AlterClientQuotas over the limits that every door keeps.
 *
 * Kafka's {user U}, {user U, client-id C}, {user <default>} are the limits of U, of U with C, of "*". {client-id C} is that of "*" with C,
 * and so is {user <default>, client-id C}. There are no limits of a default client id, and none by address. */
#include "api/kafka/kafka_private.h"

#include <math.h>

#define ANYBODY "*"

typedef struct rate {
    const char *key;
    size_t offset; /* of an int64_t in fr_access */
} rate;
static const rate rates[] = {{"producer_byte_rate", offsetof(fr_access, bytes_in)},
                             {"consumer_byte_rate", offsetof(fr_access, bytes_out)},
                             {"request_rate", offsetof(fr_access, requests)}}; /* requests a second: ours; Kafka has shares of a thread */
#define RATES FR_COUNT_OF(rates)

static int64_t rate_get(const fr_access *limit, size_t i)
{
    int64_t value;
    memcpy(&value, (const char *)limit + rates[i].offset, sizeof value);
    return value;
}

static void rate_set(fr_access *limit, size_t i, int64_t value) { memcpy((char *)limit + rates[i].offset, &value, sizeof value); }

static bool limit_empty(const fr_access *limit) { return !limit->requests && !limit->bytes_in && !limit->bytes_out; }

static int16_t quotas_error(fr_kafka *door, fr_kafka_call *call)
{
    return fr_kafka_may(door, call, FR_ACTION_ADMIN, FR_OBJECT_ALL, (fr_span){NULL, 0}, false) ? KAFKA_NONE : KAFKA_CLUSTER_AUTHORIZATION_FAILED;
}

/* ---- described ---- */

typedef struct limits {
    fr_arena *arena;
    fr_access *items;
    uint32_t count, capacity;
} limits;

static void limit_copy(void *user, const fr_access *access)
{
    limits *self = user;
    if (self->count < self->capacity) self->items[self->count++] = *access;
}

static bool has_user(const fr_access *limit) { return strcmp(limit->name, ANYBODY) != 0 || !limit->client[0]; }

/* name NULL: the default one */
static bool component_fits(const fr_kafka_ComponentData *asked, bool present, const char *name)
{
    if (!present) return false;
    if (asked->matchType == 2) return true;
    if (asked->matchType == 1) return !name;
    return name && asked->match.data && fr_span_equal(asked->match, fr_span_text(name));
}

static bool limit_fits(const fr_kafka_DescribeClientQuotasRequest *request, const fr_access *limit)
{
    bool user = has_user(limit), client = limit->client[0] != 0;
    for (int32_t i = 0; i < request->components.count; i++) {
        const fr_kafka_ComponentData *one = &request->components.items[i];
        bool fits = false;
        if (fr_span_equal(one->entityType, fr_span_text("user"))) fits = component_fits(one, user, strcmp(limit->name, ANYBODY) ? limit->name : NULL);
        if (fr_span_equal(one->entityType, fr_span_text("client-id"))) fits = component_fits(one, client, limit->client);
        if (!fits) return false;
    }
    return !request->strict || request->components.count == (int32_t)user + client;
}

static bool entry_fill(fr_arena *arena, const fr_access *limit, fr_kafka_DescribeClientQuotasResponse_EntryData *entry)
{
    if (!FR_KAFKA_ITEMS(arena, &entry->entity, DescribeClientQuotasResponse_EntityData, 2) || !FR_KAFKA_ITEMS(arena, &entry->values, ValueData, (int32_t)RATES))
        return false;
    entry->entity.count = entry->values.count = 0;
    if (has_user(limit)) {
        fr_kafka_DescribeClientQuotasResponse_EntityData *one = &entry->entity.items[entry->entity.count++];
        one->entityType = fr_span_text("user");
        one->entityName = strcmp(limit->name, ANYBODY) ? fr_span_text(limit->name) : (fr_span){NULL, 0};
    }
    if (limit->client[0]) {
        fr_kafka_DescribeClientQuotasResponse_EntityData *one = &entry->entity.items[entry->entity.count++];
        one->entityType = fr_span_text("client-id");
        one->entityName = fr_span_text(limit->client);
    }
    for (size_t i = 0; i < RATES; i++) {
        if (!rate_get(limit, i)) continue;
        fr_kafka_ValueData *value = &entry->values.items[entry->values.count++];
        value->key = fr_span_text(rates[i].key);
        value->value = (double)rate_get(limit, i);
    }
    return true;
}

static fr_kafka_next describe_refused(fr_kafka_call *call, fr_kafka_DescribeClientQuotasResponse *response, int16_t error, const char *text)
{
    response->errorCode = error;
    response->errorMessage = fr_span_text(text);
    response->entries.count = -1;
    return fr_kafka_reply(call, response);
}

fr_kafka_next fr_kafka_describe_client_quotas(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_DescribeClientQuotasRequest *request = call->request;
    fr_kafka_DescribeClientQuotasResponse *response = FR_KAFKA_RESPONSE(call, DescribeClientQuotasResponse);
    if (!response) return FR_KAFKA_CLOSE;
    int16_t error = quotas_error(door, call);
    if (error) return describe_refused(call, response, error, "describing quotas needs admin on everything");
    if (request->components.count > 3) return describe_refused(call, response, KAFKA_INVALID_REQUEST, "a kind of entity is named twice");
    limits all = {.arena = &call->arena, .capacity = fr_access_list(door->db, FR_ACCESS_LIMIT, NULL, limit_copy, &(limits){0})};
    all.items = fr_arena_alloc(&call->arena, FR_MAX(all.capacity, 1u) * sizeof *all.items);
    if (!all.items) return FR_KAFKA_CLOSE;
    (void)fr_access_list(door->db, FR_ACCESS_LIMIT, NULL, limit_copy, &all);
    if (!FR_KAFKA_ITEMS(&call->arena, &response->entries, DescribeClientQuotasResponse_EntryData, (int32_t)all.count)) return FR_KAFKA_CLOSE;
    response->entries.count = 0;
    for (uint32_t i = 0; i < all.count; i++)
        if (limit_fits(request, &all.items[i]) && !entry_fill(&call->arena, &all.items[i], &response->entries.items[response->entries.count++]))
            return FR_KAFKA_CLOSE;
    return fr_kafka_reply(call, response);
}

/* ---- altered ---- */

typedef struct alteration {
    int16_t error;
    const char *text;
} alteration;

static bool name_take(fr_span from, char *to, size_t size)
{
    if (!from.size || from.size >= size || memchr(from.data, 0, from.size)) return false;
    memcpy(to, from.data, from.size);
    to[from.size] = 0;
    return true;
}

/* Whose limit is meant. The text of what is wrong; NULL = nothing. */
static const char *entity_read(const fr_kafka_AlterClientQuotasRequest_EntryData *entry, fr_access *limit)
{
    bool user = false, client = false;
    for (int32_t i = 0; i < entry->entity.count; i++) {
        const fr_kafka_AlterClientQuotasRequest_EntityData *one = &entry->entity.items[i];
        if (!user && fr_span_equal(one->entityType, fr_span_text("user"))) {
            user = true;
            if (!one->entityName.data) (void)name_take(fr_span_text(ANYBODY), limit->name, sizeof limit->name);
            else if (!name_take(one->entityName, limit->name, sizeof limit->name) || !strcmp(limit->name, ANYBODY)) return "no such user name";
        } else if (!client && fr_span_equal(one->entityType, fr_span_text("client-id"))) {
            client = true;
            if (!one->entityName.data) return "there is no limit of a default client id: set that of the default user";
            if (!name_take(one->entityName, limit->client, sizeof limit->client)) return "a client id has 1 to 255 bytes";
        } else {
            return "an entity is a user, a client-id, or both, each once";
        }
    }
    if (!user && !client) return "an entity is a user, a client-id, or both, each once";
    if (!user) (void)name_take(fr_span_text(ANYBODY), limit->name, sizeof limit->name);
    return NULL;
}

static const char *ops_apply(const fr_kafka_AlterClientQuotasRequest_EntryData *entry, fr_access *limit)
{
    for (int32_t i = 0; i < entry->ops.count; i++) {
        const fr_kafka_OpData *op = &entry->ops.items[i];
        size_t at = 0;
        while (at < RATES && !fr_span_equal(op->key, fr_span_text(rates[at].key))) at++;
        if (at == RATES) return "limits are producer_byte_rate, consumer_byte_rate and request_rate";
        if (!op->remove && !(op->value >= 1 && op->value < 9e15)) return "a rate is a number from 1 to 9e15 a second";
        rate_set(limit, at, op->remove ? 0 : (int64_t)op->value);
    }
    return NULL;
}

static fr_kafka_next altered(fr_kafka *door, fr_kafka_call *call)
{
    (void)door;
    const fr_kafka_AlterClientQuotasRequest *request = call->request;
    const alteration *one = call->state;
    fr_kafka_AlterClientQuotasResponse *response = FR_KAFKA_RESPONSE(call, AlterClientQuotasResponse);
    int32_t count = FR_MAX(request->entries.count, 0);
    if (!response || !FR_KAFKA_ITEMS(&call->arena, &response->entries, AlterClientQuotasResponse_EntryData, count)) return FR_KAFKA_CLOSE;
    for (int32_t i = 0; i < count; i++, one++) {
        const fr_kafka_AlterClientQuotasRequest_EntryData *entry = &request->entries.items[i];
        const fr_write *write = &call->writes[i];
        fr_kafka_AlterClientQuotasResponse_EntryData *row = &response->entries.items[i];
        int32_t parts = FR_MAX(entry->entity.count, 0);
        row->errorCode = one->error;
        if (one->error) row->errorMessage = fr_span_text(one->text);
        bool written = write->kind != FR_KAFKA_SKIP && write->code != FR_OK;
        if (written) {
            row->errorCode = write->code == FR_ERR_NOT_FOUND ? KAFKA_INVALID_REQUEST : fr_kafka_error(write->code);
            row->errorMessage = fr_span_text(write->err.text);
        }
        if (!FR_KAFKA_ITEMS(&call->arena, &row->entity, AlterClientQuotasResponse_EntityData, parts)) return FR_KAFKA_CLOSE;
        for (int32_t j = 0; j < parts; j++) {
            row->entity.items[j].entityType = entry->entity.items[j].entityType;
            row->entity.items[j].entityName = entry->entity.items[j].entityName;
        }
    }
    return fr_kafka_reply(call, response);
}

/* One entry to a write, or to what is wrong with it. False: no memory. */
static bool entry_prepare(fr_kafka *door, fr_kafka_call *call, const fr_kafka_AlterClientQuotasRequest_EntryData *entry, alteration *one, fr_write *write)
{
    const fr_kafka_AlterClientQuotasRequest *request = call->request;
    fr_access *limit = fr_arena_alloc(&call->arena, sizeof *limit);
    if (!limit) return false;
    *limit = (fr_access){.kind = FR_ACCESS_LIMIT};
    one->text = entity_read(entry, limit);
    bool known = !one->text && fr_access_get(door->db, limit) == FR_OK;
    if (!one->text) one->text = ops_apply(entry, limit);
    if (one->text) one->error = KAFKA_INVALID_REQUEST;
    if (one->error || request->validateOnly || (!known && limit_empty(limit))) return true;
    write->kind = limit_empty(limit) ? FR_WRITE_ACCESS_DROP : FR_WRITE_ACCESS_PUT;
    write->access = limit;
    return true;
}

fr_kafka_next fr_kafka_alter_client_quotas(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_AlterClientQuotasRequest *request = call->request;
    int32_t count = FR_MAX(request->entries.count, 0);
    if (count > (int32_t)FR_KAFKA_QUOTAS_ASKED_MAX) return FR_KAFKA_CLOSE;
    alteration *all = fr_arena_alloc(&call->arena, (size_t)FR_MAX(count, 1) * sizeof *all);
    if (!all || !fr_kafka_writes(call, (uint32_t)count)) return FR_KAFKA_CLOSE;
    call->state = all;
    int16_t error = quotas_error(door, call);
    for (int32_t i = 0; i < count; i++) {
        all[i] = (alteration){.error = error, .text = error ? "altering quotas needs admin on everything" : NULL};
        if (!error && !entry_prepare(door, call, &request->entries.items[i], &all[i], &call->writes[i])) return FR_KAFKA_CLOSE;
    }
    return fr_kafka_submit(door, call, altered);
}
