/* configs.c: the configs of a topic: which there are, what they may be, what they mean. Names, defaults and ranges are
 * Apache Kafka's (org.apache.kafka.common.config.TopicConfig); freshet.* are ours. What a single node has no use for is
 * accepted and told back, so that tools that set it go on. */
#include "server/engine/engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { PLAIN = 1, COLLECTION = 2, BOTH = 3 };

typedef struct config_row {
    const char *name;
    fr_topic_config_type type;
    uint8_t kinds;
    const char *value; /* the default of a plain topic */
    int64_t low, high; /* numbers */
    const char *choices; /* texts: '|' between; NULL = any */
    const char *documentation;
} config_row;

static const config_row rows[] = {
    {"cleanup.policy", FR_TOPIC_CONFIG_LIST, BOTH, "delete", 0, 0, "delete|compact", "what happens to old records"},
    {"compression.type", FR_TOPIC_CONFIG_STRING, BOTH, "producer", 0, 0, "producer|uncompressed|gzip|snappy|lz4|zstd",
     "batches are stored as they were sent"},
    {"delete.retention.ms", FR_TOPIC_CONFIG_LONG, BOTH, "86400000", 0, INT64_MAX, NULL, "how long tombstones stay"},
    {"file.delete.delay.ms", FR_TOPIC_CONFIG_LONG, PLAIN, "60000", 0, INT64_MAX, NULL, "files are removed at once"},
    {"flush.messages", FR_TOPIC_CONFIG_LONG, PLAIN, "1", 1, INT64_MAX, NULL, "every acknowledged record is on disk"},
    {"flush.ms", FR_TOPIC_CONFIG_LONG, PLAIN, "0", 0, INT64_MAX, NULL, "every acknowledged record is on disk"},
    {"freshet.durability", FR_TOPIC_CONFIG_STRING, PLAIN, "sync", 0, 0, "sync|interval|none",
     "acknowledged means: on disk; in memory, on disk within about a second; in memory"},
    {"freshet.envelope", FR_TOPIC_CONFIG_STRING, COLLECTION, "none", 0, 0, "none|debezium", "what wraps a JSON record"},
    {"freshet.fetch", FR_TOPIC_CONFIG_STRING, BOTH, "json", 0, 0, "json|raw", "how stored binary records are given"},
    {"freshet.field.metadata", FR_TOPIC_CONFIG_STRING, COLLECTION, "metadata", 0, 0, NULL, "a JSON record's metadata"},
    {"freshet.field.model_version", FR_TOPIC_CONFIG_STRING, COLLECTION, "model_version", 0, 0, NULL,
     "a JSON record's model version"},
    {"freshet.field.timestamp", FR_TOPIC_CONFIG_STRING, COLLECTION, "timestamp", 0, 0, NULL,
     "a JSON record's source time"},
    {"freshet.field.vector", FR_TOPIC_CONFIG_STRING, COLLECTION, "vector", 0, 0, NULL, "a JSON record's vector"},
    {"index.interval.bytes", FR_TOPIC_CONFIG_INT, PLAIN, "4096", 0, INT32_MAX, NULL, "distance of index entries"},
    {"max.compaction.lag.ms", FR_TOPIC_CONFIG_LONG, BOTH, "9223372036854775807", 1, INT64_MAX, NULL,
     "compaction comes at the latest after this"},
    {"max.message.bytes", FR_TOPIC_CONFIG_INT, BOTH, "1048588", 0, INT32_MAX, NULL, "largest record batch"},
    {"message.timestamp.after.max.ms", FR_TOPIC_CONFIG_LONG, BOTH, "3600000", 0, INT64_MAX, NULL,
     "how far in the future a record's time may lie"},
    {"message.timestamp.before.max.ms", FR_TOPIC_CONFIG_LONG, BOTH, "9223372036854775807", 0, INT64_MAX, NULL,
     "how far in the past a record's time may lie"},
    {"message.timestamp.type", FR_TOPIC_CONFIG_STRING, BOTH, "CreateTime", 0, 0, "CreateTime|LogAppendTime",
     "whose clock records carry"},
    {"min.cleanable.dirty.ratio", FR_TOPIC_CONFIG_DOUBLE, PLAIN, "0.5", 0, 1, NULL, "when compaction is worth it"},
    {"min.compaction.lag.ms", FR_TOPIC_CONFIG_LONG, PLAIN, "0", 0, INT64_MAX, NULL, "compaction leaves younger records"},
    {"min.insync.replicas", FR_TOPIC_CONFIG_INT, BOTH, "1", 1, INT32_MAX, NULL, "there is one replica"},
    {"preallocate", FR_TOPIC_CONFIG_BOOLEAN, PLAIN, "false", 0, 0, "true|false", "segments grow in steps"},
    {"retention.bytes", FR_TOPIC_CONFIG_LONG, PLAIN, "-1", -1, INT64_MAX, NULL, "size at which old segments go"},
    {"retention.ms", FR_TOPIC_CONFIG_LONG, PLAIN, "604800000", -1, INT64_MAX, NULL, "age at which old segments go"},
    {"segment.bytes", FR_TOPIC_CONFIG_INT, PLAIN, "1073741824", 14, INT32_MAX, NULL, "size of a log segment"},
    {"segment.index.bytes", FR_TOPIC_CONFIG_INT, PLAIN, "10485760", 4, INT32_MAX, NULL, "the index grows as needed"},
    {"segment.jitter.ms", FR_TOPIC_CONFIG_LONG, PLAIN, "0", 0, INT64_MAX, NULL, "not used"},
    {"segment.ms", FR_TOPIC_CONFIG_LONG, PLAIN, "604800000", 1, INT64_MAX, NULL, "age at which a segment is closed"},
    {"unclean.leader.election.enable", FR_TOPIC_CONFIG_BOOLEAN, PLAIN, "false", 0, 0, "true|false", "there is one replica"},
};

/* ==== the list of overrides ==== */

bool fr_configs_next(const fr_configs *configs, size_t *at_io, const char **name_out, const char **value_out)
{
    if (*at_io >= configs->size) return false;
    *name_out = configs->text + *at_io;
    *value_out = *name_out + strlen(*name_out) + 1;
    *at_io += strlen(*name_out) + strlen(*value_out) + 2;
    return true;
}

const char *fr_configs_get(const fr_configs *configs, const char *wanted)
{
    const char *name, *value;
    for (size_t at = 0; fr_configs_next(configs, &at, &name, &value);)
        if (strcmp(name, wanted) == 0) return value;
    return NULL;
}

fr_code fr_configs_set(fr_configs *configs, const char *wanted, const char *new_value)
{
    size_t more = new_value != NULL ? strlen(wanted) + strlen(new_value) + 2 : 0, at = 0, size = 0;
    char *text = fr_alloc(FR_MEM_ENGINE, configs->size + more + 1);
    const char *name, *value;
    bool done = new_value == NULL;
    if (text == NULL) return FR_ERR_NO_MEMORY;
    for (;;) {
        bool there = fr_configs_next(configs, &at, &name, &value);
        int order = there ? strcmp(name, wanted) : 1;
        if (!done && order >= 0) {
            memcpy(text + size, wanted, strlen(wanted) + 1);
            size += strlen(wanted) + 1;
            memcpy(text + size, new_value, strlen(new_value) + 1);
            size += strlen(new_value) + 1;
            done = true;
        }
        if (!there) break;
        if (order == 0) continue;
        size_t bytes = strlen(name) + strlen(value) + 2;
        memcpy(text + size, name, bytes);
        size += bytes;
    }
    fr_free(FR_MEM_ENGINE, configs->text);
    *configs = (fr_configs){text, size};
    return FR_OK;
}

fr_code fr_configs_copy(const fr_configs *from, fr_configs *to)
{
    *to = (fr_configs){.text = NULL};
    if (from->size == 0) return FR_OK;
    to->text = fr_alloc(FR_MEM_ENGINE, from->size);
    if (to->text == NULL) return FR_ERR_NO_MEMORY;
    memcpy(to->text, from->text, from->size);
    to->size = from->size;
    return FR_OK;
}

void fr_configs_free(fr_configs *configs)
{
    fr_free(FR_MEM_ENGINE, configs->text);
    *configs = (fr_configs){.text = NULL};
}

void fr_topic_spec_free(fr_topic_spec *spec) { fr_configs_free(&spec->configs); }

/* ==== what they may be ==== */

static const config_row *row_of(const char *name)
{
    for (size_t i = 0; i < FR_COUNT_OF(rows); i++)
        if (strcmp(rows[i].name, name) == 0) return &rows[i];
    return NULL;
}

static fr_code refuse(fr_err *err, fr_reason *reason, fr_reason why, const char *name, const char *text)
{
    *reason = why;
    return fr_fail(err, FR_ERR_INVALID, name, "%s: %s", name, text);
}

static bool is_choice(const char *choices, const char *value, size_t size)
{
    for (const char *at = choices; at != NULL; at = strchr(at, '|') != NULL ? strchr(at, '|') + 1 : NULL) {
        size_t length = strcspn(at, "|");
        if (length == size && memcmp(at, value, size) == 0) return true;
    }
    return false;
}

static fr_code check_value(const config_row *row, const char *value, fr_reason *reason, fr_err *err)
{
    char *end = NULL;
    char text[160];
    errno = 0;
    if (strlen(value) > FR_CONFIG_VALUE_BYTES_MAX)
        return refuse(err, reason, FR_REASON_INVALID_CONFIG, row->name, "a value has at most 1024 bytes");
    if (row->type == FR_TOPIC_CONFIG_LIST) {
        for (const char *at = value;; at += strcspn(at, ",") + 1) {
            if (!is_choice(row->choices, at, strcspn(at, ",")))
                return refuse(err, reason, FR_REASON_INVALID_CONFIG, row->name, "must be of delete, compact");
            if (at[strcspn(at, ",")] == 0) return FR_OK;
        }
    }
    if (row->choices != NULL)
        return is_choice(row->choices, value, strlen(value))
                   ? FR_OK
                   : refuse(err, reason, FR_REASON_INVALID_CONFIG, row->name, row->choices);
    if (row->type == FR_TOPIC_CONFIG_STRING) /* names of fields */
        return value[0] != 0 && strlen(value) < 64 && fr_utf8_valid(value, strlen(value))
                   ? FR_OK
                   : refuse(err, reason, FR_REASON_INVALID_CONFIG, row->name, "a field's name has 1 to 63 bytes");
    if (row->type == FR_TOPIC_CONFIG_DOUBLE) {
        double number = strtod(value, &end);
        return end != value && *end == 0 && number >= (double)row->low && number <= (double)row->high
                   ? FR_OK
                   : refuse(err, reason, FR_REASON_INVALID_CONFIG, row->name, "must be 0 to 1");
    }
    long long number = strtoll(value, &end, 10);
    if (end != value && *end == 0 && errno == 0 && number >= row->low && number <= row->high) return FR_OK;
    snprintf(text, sizeof text, "must be a number from %lld to %lld", (long long)row->low, (long long)row->high);
    return refuse(err, reason, FR_REASON_INVALID_CONFIG, row->name, text);
}

static fr_code check(fr_topic_kind kind, const char *name, const char *value, fr_reason *reason, fr_err *err)
{
    const config_row *row = row_of(name);
    if (row == NULL) return refuse(err, reason, FR_REASON_INVALID_CONFIG, name, "there is no such config");
    FR_TRY(check_value(row, value, reason, err));
    if (!(row->kinds & (kind == FR_TOPIC_COLLECTION ? COLLECTION : PLAIN)))
        return refuse(err, reason, kind == FR_TOPIC_COLLECTION ? FR_REASON_POLICY_VIOLATION : FR_REASON_INVALID_CONFIG, name,
                      strcmp(name, "freshet.durability") == 0 ? "acknowledged is on disk: only a topic without rows may ask for less"
                      : kind == FR_TOPIC_COLLECTION
                          ? "a collection's topic is its database: it is compacted, and nothing else removes its records"
                          : "only the topic of a collection has this");
    if (kind != FR_TOPIC_PLAIN && strcmp(name, "cleanup.policy") == 0 && strcmp(value, "compact") != 0)
        return refuse(err, reason, FR_REASON_POLICY_VIOLATION, name, "this topic is compacted only: its records are state");
    return FR_OK;
}

static const char *default_of(fr_topic_kind kind, const config_row *row)
{
    FR_ASSERT(row != NULL); /* names are our own */
    if (kind != FR_TOPIC_PLAIN && strcmp(row->name, "cleanup.policy") == 0) return "compact";
    return row->value;
}

const char *fr_configs_effective(fr_topic_kind kind, const fr_configs *configs, const char *name)
{
    const char *value = fr_configs_get(configs, name);
    return value != NULL ? value : default_of(kind, row_of(name));
}

static int64_t number(fr_topic_kind kind, const fr_configs *configs, const char *name)
{
    return strtoll(fr_configs_effective(kind, configs, name), NULL, 10);
}

static void take_text(fr_topic_kind kind, const fr_configs *configs, const char *name, char out[64])
{
    snprintf(out, 64, "%s", fr_configs_effective(kind, configs, name));
}

static fr_durability durability_of(const char *text)
{
    return text[0] == 'n' ? FR_DURABILITY_NONE : text[0] == 'i' ? FR_DURABILITY_INTERVAL : FR_DURABILITY_SYNC;
}

fr_code fr_configs_parse(fr_topic_kind kind, const fr_configs *c, fr_topic_limits *limits, fr_reason *reason, fr_err *err)
{
    const char *name, *value;
    uint32_t count = 0;
    *reason = FR_REASON_NONE;
    for (size_t at = 0; fr_configs_next(c, &at, &name, &value); count++) FR_TRY(check(kind, name, value, reason, err));
    if (count > FR_CONFIGS_MAX)
        return refuse(err, reason, FR_REASON_INVALID_CONFIG, "configs", "a topic has at most 64 configs of its own");
    if (limits == NULL) return FR_OK;
    const char *policy = fr_configs_effective(kind, c, "cleanup.policy");
    *limits = (fr_topic_limits){
        .retention_ms = number(kind, c, "retention.ms"),
        .retention_bytes = number(kind, c, "retention.bytes"),
        .segment_bytes = number(kind, c, "segment.bytes"),
        .segment_ms = number(kind, c, "segment.ms"),
        .delete_retention_ms = number(kind, c, "delete.retention.ms"),
        .min_compaction_lag_ms = number(kind, c, "min.compaction.lag.ms"),
        .max_compaction_lag_ms = number(kind, c, "max.compaction.lag.ms"),
        .before_max_ms = number(kind, c, "message.timestamp.before.max.ms"),
        .after_max_ms = number(kind, c, "message.timestamp.after.max.ms"),
        .dirty_ratio = strtod(fr_configs_effective(kind, c, "min.cleanable.dirty.ratio"), NULL),
        .message_bytes = (uint32_t)number(kind, c, "max.message.bytes"),
        .compact = strstr(policy, "compact") != NULL,
        .expires = strstr(policy, "delete") != NULL,
        .append_time = strcmp(fr_configs_effective(kind, c, "message.timestamp.type"), "LogAppendTime") == 0,
        .durability = durability_of(fr_configs_effective(kind, c, "freshet.durability")),
        .fetch_raw = strcmp(fr_configs_effective(kind, c, "freshet.fetch"), "raw") == 0,
        .json = {.debezium = strcmp(fr_configs_effective(kind, c, "freshet.envelope"), "debezium") == 0},
    };
    take_text(kind, c, "freshet.field.vector", limits->json.vector);
    take_text(kind, c, "freshet.field.metadata", limits->json.metadata);
    take_text(kind, c, "freshet.field.timestamp", limits->json.timestamp);
    take_text(kind, c, "freshet.field.model_version", limits->json.model_version);
    return FR_OK;
}

fr_code fr_configs_apply(const fr_configs *old, const fr_topic_change *change, fr_configs *out, fr_reason *reason,
                         fr_err *err)
{
    static const fr_configs none = {.text = NULL};
    *reason = FR_REASON_NONE;
    fr_code code = fr_configs_copy(change->replace_configs ? &none : old, out);
    for (uint32_t i = 0; i < change->config_count && code == FR_OK; i++) {
        const fr_topic_config *config = &change->configs[i];
        if (config->name == NULL || strlen(config->name) >= 64 || row_of(config->name) == NULL)
            code = refuse(err, reason, FR_REASON_INVALID_CONFIG, "configs", "there is no such config");
        else code = fr_configs_set(out, config->name, config->value);
    }
    if (code != FR_OK) fr_configs_free(out);
    return code;
}

fr_code fr_topic_configs(fr_db *db, fr_id id, void (*each)(void *user, const fr_topic_config_info *config), void *user)
{
    fr_collection *c = fr_engine_topic_ref(db, id);
    fr_configs configs;
    if (c == NULL) return FR_ERR_NOT_FOUND;
    pthread_mutex_lock(&c->config_lock);
    fr_code code = fr_configs_copy(&c->configs, &configs);
    pthread_mutex_unlock(&c->config_lock);
    for (size_t i = 0; i < FR_COUNT_OF(rows) && code == FR_OK; i++) {
        const config_row *row = &rows[i];
        if (!(row->kinds & (c->kind == FR_TOPIC_COLLECTION ? COLLECTION : PLAIN))) continue;
        const char *own = fr_configs_get(&configs, row->name);
        fr_topic_config_info info = {.name = row->name,
                                     .value = own != NULL ? own : default_of(c->kind, row),
                                     .default_value = default_of(c->kind, row),
                                     .documentation = row->documentation,
                                     .type = row->type,
                                     .is_default = own == NULL};
        each(user, &info);
    }
    fr_configs_free(&configs);
    fr_engine_unref(c);
    return code;
}

fr_code fr_topic_json_map(fr_db *db, fr_id id, fr_json_map *out)
{
    fr_topic_limits limits;
    fr_collection *c = fr_engine_topic_ref(db, id);
    if (c == NULL) return FR_ERR_NOT_FOUND;
    fr_engine_limits(c, &limits);
    *out = limits.json;
    fr_engine_unref(c);
    return FR_OK;
}
