/* topic_change.c: topics are made and changed: what the writer plans becomes records of the catalog (catalog.c). */
#include "server/engine/engine.h"

#include <stdio.h>

static fr_code refuse(fr_err *err, fr_reason *reason_out, fr_reason reason, fr_code code, const char *field,
                      const char *text)
{
    *reason_out = reason;
    return fr_fail(err, code, field, "%s", text);
}

void fr_engine_new_uuid(fr_db *db, uint8_t uuid[16])
{
    fr_store_le64(uuid, db->io->random(db->io));
    fr_store_le64(uuid + 8, db->io->random(db->io));
    uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40); /* RFC 4122, version 4 */
    uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
}

static fr_code check_name(const fr_topic_change *topic, fr_reason *reason, fr_err *err)
{
    const char *name = topic->name != NULL ? topic->name : "";
    bool internal = (topic->kind == FR_TOPIC_INTERNAL && strncmp(name, "__", 2) == 0) || strcmp(name, FR_TOPIC_AUDIT) == 0;
    fr_code code = fr_name_check("name", internal ? name + 2 : name, strlen(internal ? name + 2 : name), err);
    if (code != FR_OK) *reason = FR_REASON_INVALID_TOPIC;
    return code;
}

static fr_code check_create(const fr_map *map, const fr_topic_change *topic, fr_configs *configs, fr_reason *reason,
                            fr_err *err)
{
    static const fr_configs none = {.text = NULL};
    *configs = none;
    if (topic->kind != FR_TOPIC_PLAIN && topic->kind != FR_TOPIC_INTERNAL)
        return refuse(err, reason, FR_REASON_INVALID_REQUEST, FR_ERR_INVALID, "kind", "a topic is plain or internal");
    FR_TRY(check_name(topic, reason, err));
    if (fr_map_by_topic(map, topic->name) != NULL || fr_map_alias(map, "", topic->name) != NULL)
        return refuse(err, reason, FR_REASON_TOPIC_EXISTS, FR_ERR_EXISTS, "name", "a topic of this name exists already");
    if (map->count >= FR_COLLECTIONS_MAX)
        return refuse(err, reason, FR_REASON_POLICY_VIOLATION, FR_ERR_TOO_LARGE, "name", "there are 65536 topics: the limit");
    if (topic->partitions > FR_PARTITIONS_MAX)
        return refuse(err, reason, FR_REASON_INVALID_PARTITIONS, FR_ERR_INVALID, "partitions",
                      "a topic has 1 to 64 partitions");
    FR_TRY(fr_configs_apply(&none, topic, configs, reason, err));
    return fr_configs_parse(topic->kind, configs, NULL, reason, err);
}

fr_code fr_engine_first_configs(fr_write *write, fr_topic_spec *spec, fr_err *err)
{
    static const fr_configs none = {.text = NULL};
    FR_TRY(fr_configs_apply(&none, write->topic, &spec->configs, &write->reason, err));
    return fr_configs_parse(spec->kind, &spec->configs, NULL, &write->reason, err);
}

static fr_code plan_create(fr_db *db, const fr_map *map, fr_write *write, fr_batch *batch, fr_err *err)
{
    fr_topic_spec spec = {.kind = write->topic->kind};
    fr_code code = check_create(map, write->topic, &spec.configs, &write->reason, err);
    fr_schema *schema = code == FR_OK ? fr_schema_new(NULL) : NULL;
    if (code == FR_OK && schema == NULL) code = fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory");
    if (code == FR_OK) {
        snprintf(schema->def.name, sizeof schema->def.name, "%s", write->topic->name);
        fr_engine_new_uuid(db, spec.uuid);
        write->id = map->next_id;
        code = fr_engine_put_topic(batch, map->next_id, schema, &spec, FR_MAX(write->topic->partitions, 1u),
                                   db->io->now_ms(db->io), err);
    }
    if (code == FR_OK) code = fr_engine_put_next_id(batch, map->next_id + 1, err);
    fr_schema_free(schema);
    fr_topic_spec_free(&spec);
    return code;
}

static fr_code plan_partitions(fr_collection *c, fr_write *write, fr_batch *batch, fr_err *err)
{
    uint32_t now = atomic_load(&c->shard_count), wanted = write->topic->partitions;
    if (c->kind != FR_TOPIC_PLAIN)
        return refuse(err, &write->reason, FR_REASON_POLICY_VIOLATION, FR_ERR_INVALID, "partitions",
                      "a key's partition follows from the count: replay into a new collection instead");
    if (wanted <= now || wanted > c->shard_capacity)
        return refuse(err, &write->reason, FR_REASON_INVALID_PARTITIONS, FR_ERR_INVALID, "partitions",
                      wanted <= now ? "the new count must be larger than the old" : "a topic has 1 to 64 partitions");
    return fr_engine_put_again(batch, c, fr_schema_of(c), &c->configs, wanted, err); /* only one catalog change is in flight: nobody else writes them */
}

/* What JSON records mean must not change under a log that is replayed. */
static fr_code keeps_meaning(const fr_collection *c, const fr_configs *configs, fr_reason *reason, fr_err *err)
{
    static const char *const names[] = {"freshet.envelope", "freshet.field.metadata", "freshet.field.model_version",
                                        "freshet.field.timestamp", "freshet.field.vector"};
    bool holds = false;
    for (uint32_t i = 0; i < atomic_load(&c->shard_count); i++)
        holds = holds || (fr_shard_log(&c->shards[i]) != NULL && fr_log_end(fr_shard_log(&c->shards[i])) != 0);
    for (size_t i = 0; i < FR_COUNT_OF(names) && holds && c->kind == FR_TOPIC_COLLECTION; i++)
        if (strcmp(fr_configs_effective(c->kind, &c->configs, names[i]), fr_configs_effective(c->kind, configs, names[i])) != 0)
            return refuse(err, reason, FR_REASON_POLICY_VIOLATION, FR_ERR_INVALID, names[i],
                          "the log holds records already, and they would be read anew with it: replay into a new collection");
    return FR_OK;
}

static fr_code plan_configs(fr_collection *c, fr_write *write, fr_batch *batch, fr_err *err)
{
    fr_configs configs;
    FR_TRY(fr_configs_apply(&c->configs, write->topic, &configs, &write->reason, err));
    fr_code code = fr_configs_parse(c->kind, &configs, NULL, &write->reason, err);
    if (code == FR_OK) code = keeps_meaning(c, &configs, &write->reason, err);
    if (code == FR_OK) code = fr_engine_put_again(batch, c, fr_schema_of(c), &configs, atomic_load(&c->shard_count), err);
    fr_configs_free(&configs);
    return code;
}

static fr_code plan_delete_records(fr_collection *c, fr_write *write, fr_batch *batch, fr_err *err)
{
    if (c->kind == FR_TOPIC_COLLECTION)
        return refuse(err, &write->reason, FR_REASON_POLICY_VIOLATION, FR_ERR_INVALID, "offset",
                      "a collection's topic is its database: delete entities instead");
    if (write->partition < 0 || (uint32_t)write->partition >= atomic_load(&c->shard_count))
        return refuse(err, &write->reason, FR_REASON_UNKNOWN_PARTITION, FR_ERR_NOT_FOUND, "partition",
                      "there is no such partition");
    const fr_shard *shard = &c->shards[write->partition];
    fr_offset end = fr_engine_durable(shard) + 1, start = fr_engine_start(shard);
    fr_offset before = write->before == -1 ? end : write->before;
    if (before < 0 || before > end)
        return refuse(err, &write->reason, FR_REASON_OFFSET_OUT_OF_RANGE, FR_ERR_INVALID, "offset",
                      "beyond the last record");
    before = FR_MAX(before, start);
    write->before = before;
    return fr_engine_put_start(batch, c->id, (uint32_t)write->partition, before, err);
}

fr_code fr_engine_plan_topic(fr_db *db, const fr_map *map, fr_write *write, fr_batch *batch, fr_err *err)
{
    bool needs_change = write->kind != FR_WRITE_DELETE_RECORDS;
    if (needs_change && write->topic == NULL) return fr_fail(err, FR_ERR_INVALID, "topic", "a change is needed");
    if (write->kind == FR_WRITE_TOPIC_CREATE) return plan_create(db, map, write, batch, err);
    fr_collection *c = fr_map_by_id(map, write->id);
    if (c == NULL || atomic_load(&c->dropped))
        return refuse(err, &write->reason, FR_REASON_UNKNOWN_PARTITION, FR_ERR_NOT_FOUND, "topic", "there is no such topic");
    switch (write->kind) {
    case FR_WRITE_TOPIC_PARTITIONS: return plan_partitions(c, write, batch, err);
    case FR_WRITE_TOPIC_CONFIGS: return plan_configs(c, write, batch, err);
    case FR_WRITE_DELETE_RECORDS: return plan_delete_records(c, write, batch, err);
    default: return fr_fail(err, FR_ERR_INVALID, NULL, "no such kind of write");
    }
}

fr_code fr_topic_validate(fr_db *db, const fr_topic_change *topic, fr_reason *reason_out, fr_err *err)
{
    fr_configs configs;
    *reason_out = FR_REASON_NONE;
    uint32_t pin = fr_engine_pin(db);
    fr_code code = check_create(atomic_load(&db->map), topic, &configs, reason_out, err);
    fr_engine_unpin(db, pin);
    fr_configs_free(&configs);
    return code;
}
