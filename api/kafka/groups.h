/* groups.h: the coordinator: all groups, their offsets, what transactions hold back; inside the room but for open and close. */
#ifndef FR_KAFKA_GROUPS_H
#define FR_KAFKA_GROUPS_H

#include "api/kafka/group.h"
#include "api/kafka/group_offsets.h"
#include "api/kafka/kafka.h"

#include <pthread.h>

#define FR_GROUPS_MAX 10000u
#define FR_GROUPS_BYTES_MAX (256ull << 20) /* of the members of all groups: protocols and assignments */
#define FR_GROUPS_TOPIC "__consumer_offsets" /* internal, one partition */

typedef struct fr_group_row {
    struct fr_group_row *next; /* of its bucket */
    char *name;
    fr_group group;
    fr_offsets offsets;
    uint32_t writes;  /* under way */
    uint32_t pending; /* offsets of undecided transactions */
} fr_group_row;

/* One offset of a transaction that is not decided, or whose record is not durable yet. */
typedef struct fr_offset_pending {
    struct fr_offset_pending *next, **link;
    fr_group_row *row;
    int64_t producer_id;
    fr_committed one; /* at = -1: its record is under way */
    enum { FR_PENDING_OPEN, FR_PENDING_COMMIT, FR_PENDING_ABORT } decided;
} fr_offset_pending;

typedef struct fr_kafka_groups {
    pthread_mutex_t lock; /* everything below; taken inside of the engine's watch, so nobody calls the engine with it held but to look */
    fr_db *db;
    fr_id topic;
    int64_t (*now_ms)(void);
    uint64_t seed, made;
    int64_t swept_ms;
    fr_group_row *buckets[1024];
    uint32_t count;
    fr_group_budget budget;
    fr_offset_pending *pending;
    uint64_t ends; /* transactions ended so far */
} fr_kafka_groups;

/* Blocks: makes the topic when it is not there, and reads it. now_ms: a clock that does not go back. seed: of member ids. */
fr_code fr_kafka_groups_open(fr_db *db, int64_t (*now_ms)(void), uint64_t seed, fr_kafka_groups **out, fr_err *err);
void fr_kafka_groups_close(fr_kafka_groups *groups); /* NULL is fine; no call is under way; before fr_close */

/* With the lock held. */
fr_group_row *fr_groups_find(fr_kafka_groups *groups, fr_span name);
fr_group_row *fr_groups_make(fr_kafka_groups *groups, fr_span name); /* NULL: too many, or no memory */
bool fr_groups_known(const fr_group_row *row);                      /* has members or offsets: is listed */
void fr_groups_sweep(fr_kafka_groups *groups, bool now);
void fr_groups_purge(fr_group_row *row); /* forget deleted offsets, unless an older commit may still come */
fr_offset_pending *fr_groups_pending_add(fr_kafka_groups *groups, fr_group_row *row, int64_t producer_id, const fr_committed *one);
void fr_groups_pending_drop(fr_offset_pending *one);
void fr_groups_pending_durable(fr_offset_pending *one, fr_offset at);
bool fr_groups_pending_has(const fr_kafka_groups *groups, const fr_group_row *row, fr_id topic, int32_t partition);

#endif
