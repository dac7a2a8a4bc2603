/* topic.h: a topic's kind, configs and the records of a producer: what plain topics and collections have in common. Part of
 * engine.h. A topic is an fr_collection; a plain one is a collection without rows. */
#ifndef FR_TOPIC_H
#define FR_TOPIC_H

#include "log/log.h"
#include "log/producers.h"

#define FR_TXN_TOPIC_ID        2u /* internal topic of transactions and producer ids: records of the writer */
#define FR_PRODUCER_IDS_BLOCK  1000u
#define FR_PRODUCER_EXPIRY_MS  (24 * 3600 * 1000LL) /* producer.id.expiration.ms */
#define FR_TRANSACTIONAL_ID_MS (7 * 24 * 3600 * 1000LL) /* transactional.id.expiration.ms */
#define FR_PRODUCER_STATE_BYTES (64ull << 20)       /* log bytes between two saves of a partition's producer state */
#define FR_MESSAGE_BYTES_DEFAULT 1048588u
#define FR_HEADER_DLQ_REASON "freshet.reason"
#define FR_HEADER_DLQ_TOPIC "freshet.topic"
#define FR_HEADER_DLQ_PARTITION "freshet.partition"
#define FR_HEADER_DLQ_OFFSET "freshet.offset"
#define FR_DLQ_SUFFIX        ".dlq"

/* Overridden configs: name, 0, value, 0, ... ordered by name. */
typedef struct fr_configs {
    char *text;
    size_t size;
} fr_configs;
const char *fr_configs_get(const fr_configs *configs, const char *name); /* NULL: not overridden */
fr_code fr_configs_set(fr_configs *configs, const char *name, const char *value); /* NULL: removes */
const char *fr_configs_effective(fr_topic_kind kind, const fr_configs *configs, const char *name); /* with the defaults; a known name */
fr_code fr_configs_copy(const fr_configs *from, fr_configs *to);
void fr_configs_free(fr_configs *configs);
bool fr_configs_next(const fr_configs *configs, size_t *at_io, const char **name_out, const char **value_out);

typedef struct fr_topic_limits { /* the configs that mean something here, parsed */
    int64_t retention_ms, retention_bytes, segment_bytes, segment_ms, delete_retention_ms, min_compaction_lag_ms,
        max_compaction_lag_ms, before_max_ms, after_max_ms;
    double dirty_ratio;
    uint32_t message_bytes;
    bool compact, expires, append_time, fetch_raw;
    fr_durability durability;
    uint64_t version; /* counts changes: who judged by other ones judges again */
    fr_json_map json;
} fr_topic_limits;
/* Is each name known to this kind of topic, each value in range? Fills limits when it is not NULL. */
fr_code fr_configs_parse(fr_topic_kind kind, const fr_configs *configs, fr_topic_limits *limits_out, fr_reason *reason_out,
                         fr_err *err);
/* `old` with the changes of a call; *out is the caller's. */
fr_code fr_configs_apply(const fr_configs *old, const fr_topic_change *change, fr_configs *out, fr_reason *reason_out,
                         fr_err *err);

typedef struct fr_topic_spec { /* what a catalog record says beside the collection's definition */
    fr_topic_kind kind;
    uint8_t uuid[16];
    fr_configs configs;
} fr_topic_spec;
void fr_topic_spec_free(fr_topic_spec *spec);

#endif
