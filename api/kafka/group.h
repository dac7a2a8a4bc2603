/* group.h: one consumer group of the classic protocol: a state machine. No clock, no threads, no I/O: time is passed in, and requests
 * that must wait are parked as fr_group_waiter and told by ready(). The owner holds one lock around every call.
 * Source: Apache Kafka's ClassicGroup and GroupMetadataManager, KIP-345 (static members), KIP-394 (member id required). */
#ifndef FR_KAFKA_GROUP_H
#define FR_KAFKA_GROUP_H

#include "api/base.h"

#define FR_GROUP_ID_BYTES_MAX 1024u
#define FR_GROUP_MEMBERS_MAX 1000u
#define FR_GROUP_PROTOCOLS_MAX 64u
#define FR_GROUP_METADATA_BYTES_MAX (1u << 20) /* protocols of one member; one assignment */
#define FR_GROUP_SESSION_MS_MIN 6000           /* group.min.session.timeout.ms */
#define FR_GROUP_SESSION_MS_MAX 1800000        /* group.max.session.timeout.ms */
#define FR_GROUP_REBALANCE_MS_MAX 86400000     /* a longer one is cut to a day */

typedef enum fr_group_state {
    FR_GROUP_EMPTY,
    FR_GROUP_PREPARING,  /* waits for all members to join again */
    FR_GROUP_COMPLETING, /* waits for the leader's assignments */
    FR_GROUP_STABLE
} fr_group_state;
const char *fr_group_state_name(fr_group_state state);

typedef struct fr_group_protocol {
    fr_span name, metadata;
} fr_group_protocol;

/* A request that may wait. The caller's; it stays until done, or fr_group_forget. */
typedef struct fr_group_waiter {
    void (*ready)(struct fr_group_waiter *waiter); /* only when it was parked; once, inside of the call that decided it */
    bool parked, done;
    int16_t error;
    int32_t generation;
    bool skip_assignment; /* a static leader came back: it must not assign anew */
    char member_id[FR_NAME_BYTES_MAX + 48]; /* out; also of MEMBER_ID_REQUIRED */
    char leader[FR_NAME_BYTES_MAX + 48];
    struct fr_group *group; /* while parked */
} fr_group_waiter;

typedef struct fr_group_member {
    struct fr_group_member *next;
    char id[FR_NAME_BYTES_MAX + 48];
    char *instance; /* static membership; NULL = dynamic */
    char client_id[128], client_host[72];
    bool pending; /* was told its id, has not joined with it yet */
    int32_t session_ms, rebalance_ms;
    int64_t deadline_ms; /* of its session */
    fr_group_protocol *protocols; /* one allocation, with the bytes behind */
    uint32_t protocol_count;
    void *assignment;
    size_t assignment_size;
    size_t protocols_size;
    bool synced;
    bool in_round; /* joined this round: it must sync in time, also when it is static */
    fr_group_waiter *join, *sync;
} fr_group_member;

/* Bytes of the members of all groups that share it. */
typedef struct fr_group_budget {
    uint64_t used, max;
} fr_group_budget;

typedef struct fr_group {
    fr_group_state state;
    int32_t generation;
    char *protocol_type; /* NULL = none yet */
    char protocol[FR_NAME_BYTES_MAX + 1];
    char leader[FR_NAME_BYTES_MAX + 48];
    fr_group_member *members; /* in the order they came */
    uint32_t member_count;    /* without pending ones */
    int64_t rebalance_deadline_ms, sync_deadline_ms;
    fr_group_budget *budget; /* NULL = no limit */
} fr_group; /* zero-initialise */

typedef struct fr_group_join {
    fr_span member_id, instance, client_id, client_host; /* instance.data NULL = dynamic */
    int32_t session_ms, rebalance_ms;
    fr_span protocol_type;
    const fr_group_protocol *protocols;
    uint32_t protocol_count;
    bool id_required;   /* JoinGroup 4: a new member is told its id first */
    bool can_skip;      /* JoinGroup 9 */
    uint64_t random[2]; /* for a new member's id */
} fr_group_join_request;

typedef struct fr_group_assigned {
    fr_span member_id, assignment;
} fr_group_assigned;

/* Both: waiter->done with error (Kafka's number), or parked. */
void fr_group_join(fr_group *group, int64_t now_ms, const fr_group_join_request *request, fr_group_waiter *waiter);
void fr_group_sync(fr_group *group, int64_t now_ms, fr_span member_id, fr_span instance, int32_t generation, fr_span protocol_type,
                   fr_span protocol, const fr_group_assigned *assigned, uint32_t count, fr_group_waiter *waiter);
int16_t fr_group_heartbeat(fr_group *group, int64_t now_ms, fr_span member_id, fr_span instance, int32_t generation);
int16_t fr_group_leave(fr_group *group, int64_t now_ms, fr_span member_id, fr_span instance);
/* May this member commit? transactional: as TxnOffsetCommit asks. A heartbeat, too. */
int16_t fr_group_may_commit(fr_group *group, int64_t now_ms, fr_span member_id, fr_span instance, int32_t generation, bool transactional);
/* A parked request's connection is gone: its member has one session more. */
void fr_group_forget(int64_t now_ms, fr_group_waiter *waiter);
/* Sessions and rebalances whose time is over. */
void fr_group_tick(fr_group *group, int64_t now_ms);
int64_t fr_group_deadline(const fr_group *group); /* when tick has something to do; INT64_MAX = never */
void fr_group_free(fr_group *group); /* nobody is parked */

fr_group_member *fr_group_member_of(const fr_group *group, fr_span member_id); /* NULL; pending ones are not members */
/* Its metadata under the group's protocol; empty when there is none. */
fr_span fr_group_metadata(const fr_group *group, const fr_group_member *member);
bool fr_group_subscribed(const fr_group *group, fr_span topic); /* of protocol type "consumer" */

#endif
