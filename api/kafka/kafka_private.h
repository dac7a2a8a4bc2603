/* kafka_private.h: inside the room: the handler table, errors, helpers of handlers. */
#ifndef FR_KAFKA_PRIVATE_H
#define FR_KAFKA_PRIVATE_H

#include "api/kafka/kafka.h"
#include "api/kafka/kafka_messages.h"

/* Kafka's error numbers that this door answers. */
enum {
    KAFKA_UNKNOWN_SERVER_ERROR = -1,
    KAFKA_NONE = 0,
    KAFKA_OFFSET_OUT_OF_RANGE = 1,
    KAFKA_CORRUPT_MESSAGE = 2,
    KAFKA_UNKNOWN_TOPIC_OR_PARTITION = 3,
    KAFKA_LEADER_NOT_AVAILABLE = 5,
    KAFKA_NOT_LEADER_OR_FOLLOWER = 6,
    KAFKA_REQUEST_TIMED_OUT = 7,
    KAFKA_MESSAGE_TOO_LARGE = 10,
    KAFKA_OFFSET_METADATA_TOO_LARGE = 12,
    KAFKA_COORDINATOR_NOT_AVAILABLE = 15,
    KAFKA_INVALID_TOPIC_EXCEPTION = 17,
    KAFKA_INVALID_REQUIRED_ACKS = 21,
    KAFKA_ILLEGAL_GENERATION = 22,
    KAFKA_INCONSISTENT_GROUP_PROTOCOL = 23,
    KAFKA_INVALID_GROUP_ID = 24,
    KAFKA_UNKNOWN_MEMBER_ID = 25,
    KAFKA_INVALID_SESSION_TIMEOUT = 26,
    KAFKA_REBALANCE_IN_PROGRESS = 27,
    KAFKA_TOPIC_AUTHORIZATION_FAILED = 29,
    KAFKA_GROUP_AUTHORIZATION_FAILED = 30,
    KAFKA_CLUSTER_AUTHORIZATION_FAILED = 31,
    KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 53,
    KAFKA_UNSUPPORTED_SASL_MECHANISM = 33,
    KAFKA_ILLEGAL_SASL_STATE = 34,
    KAFKA_UNSUPPORTED_VERSION = 35,
    KAFKA_INVALID_TIMESTAMP = 32,
    KAFKA_TOPIC_ALREADY_EXISTS = 36,
    KAFKA_INVALID_PARTITIONS = 37,
    KAFKA_INVALID_REPLICATION_FACTOR = 38,
    KAFKA_INVALID_REPLICA_ASSIGNMENT = 39,
    KAFKA_INVALID_CONFIG = 40,
    KAFKA_INVALID_REQUEST = 42,
    KAFKA_POLICY_VIOLATION = 44,
    KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER = 45,
    KAFKA_INVALID_PRODUCER_EPOCH = 47,
    KAFKA_INVALID_TXN_STATE = 48,
    KAFKA_INVALID_PRODUCER_ID_MAPPING = 49,
    KAFKA_INVALID_TRANSACTION_TIMEOUT = 50,
    KAFKA_CONCURRENT_TRANSACTIONS = 51,
    KAFKA_OPERATION_NOT_ATTEMPTED = 55,
    KAFKA_STORAGE_ERROR = 56,
    KAFKA_SASL_AUTHENTICATION_FAILED = 58,
    KAFKA_NON_EMPTY_GROUP = 68,
    KAFKA_GROUP_ID_NOT_FOUND = 69,
    KAFKA_FETCH_SESSION_ID_NOT_FOUND = 70,
    KAFKA_UNKNOWN_LEADER_EPOCH = 75,
    KAFKA_MEMBER_ID_REQUIRED = 79,
    KAFKA_GROUP_MAX_SIZE_REACHED = 81,
    KAFKA_FENCED_INSTANCE_ID = 82,
    KAFKA_GROUP_SUBSCRIBED_TO_TOPIC = 86,
    KAFKA_INVALID_RECORD = 87,
    KAFKA_UNSTABLE_OFFSET_COMMIT = 88,
    KAFKA_THROTTLING_QUOTA_EXCEEDED = 89,
    KAFKA_PRODUCER_FENCED = 90,
    KAFKA_UNKNOWN_TOPIC_ID = 100,
    KAFKA_TRANSACTIONAL_ID_NOT_FOUND = 105
};
int16_t fr_kafka_error(fr_code code);                          /* kafka_errors.c: the one table */
int16_t fr_kafka_reason(fr_reason reason, fr_code code);       /* the reason when there is one, else the code */

int16_t fr_kafka_coordinator_error(const fr_write *write); /* "again later" as clients of a coordinator know it */

/* What an API asks about its caller: every row of the table says it. Several: each for the objects that it names. */
enum {
    FR_KAFKA_ASKS_NOTHING = 1,      /* answered before the login, too */
    FR_KAFKA_ASKS_LOGIN = 2,        /* any user; lists show what he may read */
    FR_KAFKA_ASKS_TOPIC_READ = 4,
    FR_KAFKA_ASKS_TOPIC_WRITE = 8,  /* with TOPIC_READ: either will do */
    FR_KAFKA_ASKS_TOPIC_ADMIN = 16,
    FR_KAFKA_ASKS_GROUP_READ = 32,
    FR_KAFKA_ASKS_GROUP_ADMIN = 64,
    FR_KAFKA_ASKS_TXN = 128,
    FR_KAFKA_ASKS_SERVER = 256
};
struct fr_kafka_api {
    int16_t key;
    int16_t advertised_first; /* of ApiVersions; -1 = what the messages say */
    const char *name;
    const fr_kafka_message *request, *response;
    fr_kafka_next (*handle)(fr_kafka *door, fr_kafka_call *call);
    bool (*offered)(const fr_kafka *door); /* NULL = always */
    unsigned asks; /* FR_KAFKA_ASKS_ */
};
extern const fr_kafka_api fr_kafka_apis[];
extern const size_t fr_kafka_apis_count;
const fr_kafka_api *fr_kafka_api_of(int16_t key);
bool fr_kafka_offered(const fr_kafka *door, const fr_kafka_api *api);

typedef struct fr_kafka_wait {
    fr_waiter waiter;
    fr_kafka_call *call;
    bool armed;
} fr_kafka_wait;

/* Handlers' helpers. */
#define FR_KAFKA_RESPONSE(call, name) ((fr_kafka_##name *)fr_kafka_make(&(call)->arena, &fr_kafka_##name##_shape, 1))
fr_kafka_next fr_kafka_reply(fr_kafka_call *call, void *response); /* NULL: no memory, CLOSE */
const char *fr_kafka_text(fr_kafka_call *call, fr_span span); /* NUL-ended copy; NULL: null, holds a NUL, or no memory */
fr_span fr_kafka_words(fr_kafka_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline bool fr_kafka_is_null(fr_span span) { return span.data == NULL; }

/* A topic that clients may see. The error: NONE, UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID. */
int16_t fr_kafka_topic(fr_kafka *door, fr_kafka_call *call, fr_span name, fr_topic_info *info_out);
int16_t fr_kafka_topic_by_id(fr_kafka *door, fr_kafka_call *call, const fr_kafka_uuid *uuid, fr_topic_info *info_out);
/* kafka_sasl.c: may the caller? fr_kafka_topic has asked already, with what the API does to topics. A refusal, and an admin's act, is
 * written down when the call ends (a lock may be held now), unless quiet: a list leaves out what may not be seen. name: a null span with
 * FR_OBJECT_ALL. */
bool fr_kafka_may(fr_kafka *door, fr_kafka_call *call, fr_action action, fr_object object, fr_span name, bool quiet);
void fr_kafka_refused(fr_kafka *door, fr_kafka_call *call, const char *reason); /* who has not logged in; at once */
void fr_kafka_tell(fr_kafka *door, fr_kafka_call *call);                        /* what was kept; no lock is held */
bool fr_kafka_may_topic(fr_kafka *door, fr_kafka_call *call, fr_span name);
int16_t fr_kafka_group_error(fr_kafka *door, fr_kafka_call *call, fr_action action, fr_span group); /* NONE, INVALID_GROUP_ID, 30 */
int16_t fr_kafka_txn_error(fr_kafka *door, fr_kafka_call *call, fr_span transactional_id);           /* NONE, 53 */
void fr_kafka_charge(fr_kafka_call *call, uint32_t requests, uint64_t bytes_in, uint64_t bytes_out);
fr_kafka_next fr_kafka_raw_login(fr_kafka *door, fr_kafka_call *call);
bool fr_kafka_uuid_null(const fr_kafka_uuid *uuid);

/* writes[count] in the arena, zeroed; then submit them all: resume is called once every one is done. A write with kind
 * FR_KAFKA_SKIP is left alone. */
#define FR_KAFKA_SKIP ((fr_write_kind)-1)
bool fr_kafka_writes(fr_kafka_call *call, uint32_t count);
fr_kafka_next fr_kafka_submit(fr_kafka *door, fr_kafka_call *call, fr_kafka_next (*resume)(fr_kafka *door, fr_kafka_call *call));
/* waits[count] in the arena; each armed with fr_when; resume is called once one fires, or it is expired. */
bool fr_kafka_waits(fr_kafka_call *call, uint32_t count);
fr_kafka_next fr_kafka_arm(fr_kafka *door, fr_kafka_call *call, int32_t wait_ms,
                           fr_kafka_next (*resume)(fr_kafka *door, fr_kafka_call *call));

/* Where clients are told to connect. */
const char *fr_kafka_host(const fr_kafka *door, const fr_kafka_call *call);
int32_t fr_kafka_port(const fr_kafka *door, const fr_kafka_call *call);

/* Handlers, by file. */
#define FR_KAFKA_HANDLER(name) fr_kafka_next fr_kafka_##name(fr_kafka *door, fr_kafka_call *call)
FR_KAFKA_HANDLER(api_versions); /* kafka_call.c */
FR_KAFKA_HANDLER(sasl_handshake); /* kafka_sasl.c */
FR_KAFKA_HANDLER(sasl_authenticate);
FR_KAFKA_HANDLER(produce);
FR_KAFKA_HANDLER(fetch);
FR_KAFKA_HANDLER(list_offsets); /* kafka_offsets.c */
FR_KAFKA_HANDLER(offset_for_leader_epoch);
FR_KAFKA_HANDLER(delete_records);
FR_KAFKA_HANDLER(metadata); /* kafka_metadata.c */
FR_KAFKA_HANDLER(describe_cluster);
FR_KAFKA_HANDLER(find_coordinator);
FR_KAFKA_HANDLER(create_topics); /* kafka_topics.c */
FR_KAFKA_HANDLER(delete_topics);
FR_KAFKA_HANDLER(create_partitions);
FR_KAFKA_HANDLER(describe_configs); /* kafka_configs.c */
FR_KAFKA_HANDLER(alter_configs);
FR_KAFKA_HANDLER(incremental_alter_configs);
FR_KAFKA_HANDLER(describe_log_dirs); /* kafka_describe.c */
FR_KAFKA_HANDLER(list_partition_reassignments);
FR_KAFKA_HANDLER(describe_producers);
FR_KAFKA_HANDLER(describe_transactions);
FR_KAFKA_HANDLER(list_transactions);
FR_KAFKA_HANDLER(describe_client_quotas); /* kafka_quotas.c */
FR_KAFKA_HANDLER(alter_client_quotas);
FR_KAFKA_HANDLER(init_producer_id); /* kafka_txn.c */
FR_KAFKA_HANDLER(add_partitions_to_txn);
FR_KAFKA_HANDLER(end_txn);
FR_KAFKA_HANDLER(join_group); /* group_calls.c */
FR_KAFKA_HANDLER(sync_group);
FR_KAFKA_HANDLER(heartbeat);
FR_KAFKA_HANDLER(leave_group);
FR_KAFKA_HANDLER(describe_groups);
FR_KAFKA_HANDLER(list_groups);
FR_KAFKA_HANDLER(offset_commit); /* group_commits.c */
FR_KAFKA_HANDLER(offset_fetch);
FR_KAFKA_HANDLER(offset_delete);
FR_KAFKA_HANDLER(delete_groups);
FR_KAFKA_HANDLER(add_offsets_to_txn);
FR_KAFKA_HANDLER(txn_offset_commit);

#endif
