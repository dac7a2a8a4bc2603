/* freshet.h: the only installed header of freshet.
 *
 * Part 1 is the database: open a directory, submit writes, search, read the log back.
 * Part 2 is fr_index alone: a vector index in memory without a log.
 *
 * Ownership: spans are borrowed bytes. What a function returns inside its result is borrowed until the call that the
 * function's comment names. Handles are opaque; every fr_*_close / fr_*_free accepts NULL.
 * Threads: fr_db and fr_index are shared by all threads; fr_searcher belongs to one thread at a time.
 * Errors: every fallible function returns fr_code; detail goes to a caller-owned fr_err, which may be NULL.
 */
#ifndef FRESHET_H
#define FRESHET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FR_API __attribute__((visibility("default")))
#define FR_MUST_CHECK __attribute__((warn_unused_result))

#define FR_VERSION "0.1.0"

/* ---- limits: each has a name, and an error that states it -------------------------------------------------------- */
#define FR_DIMENSION_MAX 32768u
#define FR_DIMENSION_BITS_MAX 262144u /* binary vectors: a multiple of 8 */
#define FR_SPARSE_NONZERO_MAX 16384u  /* pairs of one sparse vector */
#define FR_VECTOR_FIELDS_MAX 8u       /* vector fields of a collection */
#define FR_K_MAX 16384u /* also the largest offset + k */
#define FR_EF_MAX 32768u
#define FR_QUERIES_MAX 1024u       /* vectors of one search */
#define FR_RECORDS_MAX 10000u      /* records of one write */
#define FR_REQUEST_BYTES_MAX (64u << 20)
#define FR_METADATA_BYTES_MAX (64u << 10)
#define FR_FILTER_BYTES_MAX (64u << 10)
#define FR_FILTER_DEPTH_MAX 64u
#define FR_FIELDS_MAX 64u
#define FR_INDEXED_MAX 16u       /* metadata fields of a collection declared as indexed */
#define FR_INDEXED_BYTES_MAX 63u /* the path of one */
#define FR_ATTRIBUTES_BYTES_MAX (256u << 10) /* what a door keeps with a collection or a database */
#define FR_DATABASES_MAX 1024u
#define FR_KEY_BYTES_MAX 512u
#define FR_NAME_BYTES_MAX 249u
#define FR_EVENT_ID_BYTES_MAX 256u
#define FR_MODEL_VERSION_BYTES_MAX 256u
#define FR_PARTITIONS_MAX 64u
#define FR_COLLECTIONS_MAX 65536u
#define FR_TRANSACTIONAL_ID_BYTES_MAX 1024u
#define FR_TRANSACTION_MS_MAX 900000   /* transaction.max.timeout.ms */
#define FR_CONFIGS_MAX 64u             /* overridden configs of one topic */
#define FR_CONFIG_VALUE_BYTES_MAX 1024u
#define FR_USER_BYTES_MAX 64u  /* names of users, roles and databases in grants; ids of keys; a door's text of a grant */
#define FR_ROLES_BYTES_MAX 511u /* of one user, with their commas */
#define FR_ACCESS_MAX 16384u   /* users, keys, roles, grants and limits together */
#define FR_EVENT_IDS_KEPT 1048576u          /* idempotency window per partition: the last so many ids ... */
#define FR_EVENT_ID_MS_KEPT (24 * 3600 * 1000LL) /* ... or this long, the shorter */

/* ---- codes -------------------------------------------------------------------------------------------------------- */
typedef enum fr_code {
    FR_OK = 0,
    FR_ERR_INVALID = 1,    /* the caller's input; err.field names it, err.text states the limit */
    FR_ERR_NOT_FOUND = 2,
    FR_ERR_EXISTS = 3,
    FR_ERR_TOO_LARGE = 4,
    FR_ERR_BUSY = 5,       /* retriable: a queue is full */
    FR_ERR_BEHIND = 6,     /* retriable: min_offset is not applied yet */
    FR_ERR_DISK_FULL = 7,  /* retriable: resumes by itself when space returns */
    FR_ERR_READ_ONLY = 8,  /* a failed sync or a corrupt partition: not retriable until an operator acts */
    FR_ERR_CORRUPT = 9,    /* bytes on disk are wrong; the text says where */
    FR_ERR_IO = 10,
    FR_ERR_NO_MEMORY = 11, /* retriable */
    FR_ERR_CLOSED = 12,    /* shutting down */
    FR_ERR_LOCKED = 13,    /* another process holds the directory */
    FR_ERR_VERSION = 14,   /* a file of a newer format */
    FR_ERR_TIMEOUT = 15,
    FR_ERR_UNSUPPORTED = 16,
    FR_ERR_INTERNAL = 17,
    FR_ERR_DENIED = 18,          /* the text names the privilege that is missing */
    FR_ERR_UNAUTHENTICATED = 19, /* nobody, or a wrong password or key */
    FR_CODE_COUNT
} fr_code;

typedef struct fr_err {
    fr_code code;
    char field[64];  /* the offending input field, e.g. "records[3].vector"; empty when none */
    char text[252];
} fr_err;

FR_API const char *fr_strcode(fr_code code); /* "invalid_argument", "not_found", ... : stable, lower case */
FR_API bool fr_code_retriable(fr_code code);

typedef int64_t fr_offset; /* record position in one partition; -1 = none */
typedef uint64_t fr_id;    /* collection (= topic) id, never reused; 0 = none */

typedef struct fr_span {
    const void *data;
    size_t size;
} fr_span;

/* ---- schema ------------------------------------------------------------------------------------------------------- */
/* Numbers are those of Milvus' schema.DataType, so that doors need no second table. */
typedef enum fr_type {
    FR_TYPE_NONE = 0,
    FR_TYPE_BOOL = 1,
    FR_TYPE_INT8 = 2,
    FR_TYPE_INT16 = 3,
    FR_TYPE_INT32 = 4,
    FR_TYPE_INT64 = 5,
    FR_TYPE_FLOAT = 10,
    FR_TYPE_DOUBLE = 11,
    FR_TYPE_VARCHAR = 21,
    FR_TYPE_ARRAY = 22,
    FR_TYPE_JSON = 23, /* bytes are a binary document: api/doc.h */
    FR_TYPE_VECTOR_BINARY = 100,
    FR_TYPE_VECTOR_F32 = 101,
    FR_TYPE_VECTOR_F16 = 102,
    FR_TYPE_VECTOR_BF16 = 103,
    FR_TYPE_VECTOR_SPARSE = 104,
    FR_TYPE_VECTOR_I8 = 105
} fr_type;

typedef enum fr_metric {
    FR_METRIC_L2 = 0,
    FR_METRIC_IP = 1, /* sparse vectors, too */
    FR_METRIC_COSINE = 2,
    FR_METRIC_HAMMING = 3, /* binary vectors: bits that differ */
    FR_METRIC_JACCARD = 4, /* binary vectors: 1 - |a and b| / |a or b| */
    FR_METRIC_BM25 = 5     /* sparse vectors of term frequencies */
} fr_metric;
typedef enum fr_codes { FR_CODES_SQ8 = 0, FR_CODES_NONE = 1 } fr_codes; /* what the walk reads: 8-bit codes, or originals */
/* What a collection is built for (index/README.md, Profiles): where original vectors live, second-level codes, default m. */
typedef enum fr_profile { FR_PROFILE_BALANCED = 0, FR_PROFILE_SPEED = 1, FR_PROFILE_COMPACT = 2 } fr_profile;
/* Where originals live that are not codes themselves (byte vectors are): AUTO = in memory for speed, else on disk. */
typedef enum fr_vectors_at { FR_VECTORS_AUTO = 0, FR_VECTORS_MEMORY = 1, FR_VECTORS_DISK = 2 } fr_vectors_at;
typedef enum fr_id_type { FR_ID_ANY = 0, FR_ID_INT64 = 1, FR_ID_STRING = 2 } fr_id_type;

/* Field ids: 1..65279 are the schema's and never reused. The rest are the record's own. */
/* The key is field 1. Vector fields have values of their own in a record; declared scalar fields and any other key stand together
 * in the document of FR_FIELD_DYNAMIC, under their names. Keys that begin with '$' belong to doors and are not shown by others. */
#define FR_FIELD_KEY 1u          /* the simple collection: id */
#define FR_FIELD_VECTOR 2u       /* the simple collection: vector */
#define FR_FIELD_DYNAMIC 0xFF00u /* metadata: one JSON document */
#define FR_FIELD_EVENT_ID 0xFF01u
#define FR_FIELD_SOURCE_TIME 0xFF02u
#define FR_FIELD_MODEL_VERSION 0xFF03u
#define FR_FIELD_KEY_IS_INT 0xFF04u

typedef struct fr_field_def {
    uint16_t id; /* 0 = assigned at creation */
    char name[64];
    fr_type type;
    uint32_t dimension;  /* vectors */
    uint32_t max_length; /* VARCHAR, and VARCHAR elements of an ARRAY: bytes; 0 = no limit of its own */
    fr_type element_type;  /* ARRAY: a scalar type */
    uint32_t max_capacity; /* ARRAY: elements; 0 = no limit of its own */
    bool primary, nullable;
    fr_metric metric; /* vectors */
    float bm25_k1, bm25_b; /* BM25; 0 = 1.2 and 0.75 */
    fr_codes codes;
    uint32_t m, ef_construction;
    fr_profile profile;
    fr_vectors_at vectors;
} fr_field_def;

typedef struct fr_collection_def {
    char database[FR_NAME_BYTES_MAX + 1]; /* "" = default */
    char name[FR_NAME_BYTES_MAX + 1];
    fr_id_type id_type;
    uint32_t partitions; /* 0 = 1 */
    bool drop_stale;     /* the stale rule: an older source time does nothing */
    bool no_dynamic;     /* only declared fields are taken */
    uint32_t indexed_count; /* metadata fields that filters will name: paths as in filters, "price" or "a.b[0]" */
    char indexed[FR_INDEXED_MAX][FR_INDEXED_BYTES_MAX + 1];
    char embedder[16];   /* "" or "hash": how text becomes the vector */
    uint32_t field_count; /* 0 = the simple form below is expanded to {id, vector, dynamic} */
    fr_field_def fields[FR_FIELDS_MAX];
    /* the simple form */
    uint32_t dimension;
    fr_metric metric;
    fr_codes codes;
    uint32_t m, ef_construction; /* 0 = 16 (compact: 10), 100 */
    fr_profile profile;
    fr_vectors_at vectors;
    fr_type vector_type; /* 0 = VECTOR_F32; or VECTOR_F16, VECTOR_BF16, VECTOR_I8, VECTOR_BINARY */
} fr_collection_def;

/* Vectors of numbers to the elements of a type and back. F16, BF16: rounded to nearest, ties to even; I8: whole numbers, -128 to 127;
 * BINARY: 0 or 1, eight a byte, the first in the highest bit (as numpy.packbits).
 *   bytes_out  fr_vector_bytes(type, dimension) bytes, any alignment
 *   field      of the error; may be NULL
 *   errors     INVALID: a number that the type cannot hold, or not a type of dense vectors
 * Unpacking is exact. */
FR_API size_t fr_vector_bytes(fr_type type, uint32_t dimension); /* 0 = not a type of dense vectors */
FR_API fr_code fr_vector_pack(fr_type type, const float *numbers, uint32_t dimension, void *bytes_out, const char *field,
                              fr_err *err) FR_MUST_CHECK;
FR_API void fr_vector_unpack(fr_type type, const void *bytes, uint32_t dimension, float *numbers_out);
/* A sparse vector: pairs {u32 index, f32 value}, little endian, indices ascending and distinct, values finite (BM25: not negative), at most
 * FR_SPARSE_NONZERO_MAX; none is legal. INVALID says what is wrong. */
FR_API fr_code fr_vector_sparse_check(fr_span pairs, fr_metric metric, const char *field, fr_err *err) FR_MUST_CHECK;
/* A binary vector from `count` numbers: `dimension` of 0 and 1, or dimension / 8 bytes as whole numbers of 0 to 255 (-128 to -1 are bytes,
 * too). bytes_out: dimension / 8; numbers: floats of any alignment. INVALID: neither. */
FR_API fr_code fr_vector_pack_bits(const void *numbers, uint32_t count, uint32_t dimension, void *bytes_out, const char *field,
                                   fr_err *err) FR_MUST_CHECK;

/* ---- the database ------------------------------------------------------------------------------------------------- */
typedef struct fr_db fr_db;
typedef struct fr_searcher fr_searcher;

/* Names of the fields of a collection's JSON records; configs freshet.field.* of its topic. */
typedef struct fr_json_map {
    char vector[64], metadata[64], timestamp[64], model_version[64];
    bool debezium; /* {"op", "before", "after"}, perhaps inside {"payload"}: "after" is the record, op "d" a delete */
    struct fr_json_vector { /* {"vectors": {name: [..]}}; `vector` is the first of them */
        char name[64];
        uint16_t field;
        fr_type type;
    } vectors[FR_VECTOR_FIELDS_MAX];
    uint32_t vector_count; /* 0: the collection has one vector, FR_FIELD_VECTOR, and no names are needed */
} fr_json_map;
struct fr_batch;

typedef struct fr_options {
    uint32_t linkers;            /* 0 = half the cores, at least 1 */
    uint64_t snapshot_bytes;     /* snapshot after so many log bytes; 0 = 256 MiB */
    int64_t snapshot_ms;         /* ... or after this long with changes; 0 = 300,000 */
    uint64_t memory_limit;       /* above it upserts are NO_MEMORY; 0 = 80 % of RAM or cgroup */
    uint64_t reserve_bytes;      /* disk space held back for deletes and compaction, at most a sixteenth of what is free; 0 = none */
    bool no_snapshot_on_close;
    bool no_threads;             /* simulation: the caller drives fr_engine_step() */
    void *io;                    /* simulation: a fr_io of log/io.h; NULL = the real one */
    /* How JSON record values (Kafka) become events; NULL: they are refused, and a collection that holds some is closed. */
    fr_code (*parse_json)(const struct fr_json_map *map, fr_span key, fr_span value, struct fr_batch *event_out, fr_err *err);
    /* long start-up: called from fr_open's thread */
    void (*progress)(void *user, const char *phase, uint64_t done, uint64_t total);
    void *progress_user;
} fr_options;

/* Open a data directory: newest good snapshot + log tail, then ready. Creates it when missing.
 *   errors  LOCKED (another process), CORRUPT (the catalog), VERSION, IO, NO_MEMORY.
 *   A corrupt data partition does not fail the open: that collection alone answers READ_ONLY / CORRUPT.       */
FR_API fr_code fr_open(const char *dir, const fr_options *options, fr_db **db_out, fr_err *err) FR_MUST_CHECK;
FR_API void fr_close(fr_db *db); /* drains, snapshots, stops; every pending done() is called first */

/* -- names -- */
typedef struct fr_collection_info {
    fr_id id;
    fr_collection_def def; /* expanded: fields are filled */
    uint64_t count;        /* live entities */
    uint64_t unlinked, deleted_unreclaimed;
    uint64_t index_bytes, log_bytes, snapshot_bytes;
    int64_t created_ms;
    double freshness_p50_ms, freshness_p99_ms; /* submit to searchable, recent window */
    /* recall@10 at the default ef, the lowest of its partitions: a hit may be farther than the true one by 1e-3 of its distance, strictly
     * by 1e-6; both 0: no search ever asked for a recall */
    float recall_measured, recall_measured_strict;
    fr_code state; /* OK, or why writes are refused */
    uint32_t partition_count;
    struct fr_partition_info {
        fr_offset start, end, durable, applied, snapshot; /* durable, applied, snapshot: last offset included, -1 = none */
    } partitions[FR_PARTITIONS_MAX];
} fr_collection_info;

FR_API fr_code fr_resolve(fr_db *db, const char *name, fr_id *id_out); /* a collection's name or an alias, in the default database */
/* The same in a database ("" or "default" = the default one); NOT_FOUND with err.field "database" or "collection". version_out (may
 * be NULL) changes whenever the collection's definition or attributes do: what a door may cache by. */
FR_API fr_code fr_resolve_in(fr_db *db, const char *database, const char *name, fr_id *id_out, uint64_t *version_out, fr_err *err);
/* What FR_WRITE_COLLECTION_CREATE and _ALTER were given as attributes: a copy, fr_bytes_free it. Size 0 = none. */
FR_API fr_code fr_collection_attributes(fr_db *db, fr_id id, fr_span *bytes_out);
FR_API void fr_bytes_free(fr_span bytes);
/* Databases beside "default" (which is always there, and last to be listed is not promised). */
FR_API uint32_t fr_database_list(fr_db *db, void (*each)(void *user, const char *name, fr_id id, fr_span attributes), void *user);
/* A clock that never goes back and never gives a number twice, across restarts too: ms since 1970 << 18 | count. Cheap, any thread. */
FR_API uint64_t fr_timestamp(fr_db *db);
FR_API fr_code fr_collection_get(fr_db *db, fr_id id, fr_collection_info *info_out);
FR_API uint32_t fr_collection_list(fr_db *db, fr_id *ids, uint32_t max); /* by name; returns how many there are */
FR_API fr_code fr_alias_get(fr_db *db, const char *alias, char *name_out, size_t size);
FR_API uint32_t fr_alias_list(fr_db *db, void (*each)(void *user, const char *alias, const char *collection), void *user);
FR_API uint32_t fr_alias_list_in(fr_db *db, const char *database, void (*each)(void *user, const char *alias, fr_id collection), void *user);

/* -- events: what a write holds -- */
typedef struct fr_value {
    uint16_t field;
    uint8_t type; /* fr_type */
    fr_span bytes; /* little endian; vectors: dimension x element (of the field's type, or F32: rounded to it; F32 of a BINARY field:
                    * fr_vector_pack_bits); JSON: api/doc.h */
} fr_value;

#define FR_TIME_NONE INT64_MIN
typedef struct fr_event {
    fr_span key; /* 1..512 bytes UTF-8; integers in canonical decimal */
    bool key_is_int;
    bool remove;              /* tombstone: values are ignored */
    bool partial;             /* what is not given stays: vector fields, keys of the document (null = made null; a vector of no bytes,
                                 too), source time, model version; the writer merges behind a barrier of the collection. NOT_FOUND,
                                 and nothing is written, where a key has no entity and what is given is no whole record. Not with only_at */
    fr_span event_id;         /* size 0 = none */
    int64_t source_time_ms;   /* FR_TIME_NONE = none */
    fr_span model_version;    /* size 0 = none */
    const fr_value *values;
    uint32_t value_count;
} fr_event;

/* A growing list of events, owned by the caller. Zero-initialise; fr_batch_free when done; fr_batch_reset to reuse. */
typedef struct fr_batch {
    uint8_t *data;
    size_t size, capacity;
    uint32_t count;
} fr_batch;
/* Errors: TOO_LARGE over FR_REQUEST_BYTES_MAX or FR_RECORDS_MAX, INVALID key size, NO_MEMORY; the batch is then unchanged. */
FR_API fr_code fr_batch_put(fr_batch *batch, const fr_event *event, fr_err *err) FR_MUST_CHECK;
FR_API void fr_batch_reset(fr_batch *batch);
FR_API void fr_batch_free(fr_batch *batch);

/* -- the only write -- */
typedef enum fr_write_kind {
    FR_WRITE_EVENTS = 0,        /* batch; all or nothing */
    FR_WRITE_DELETE_MATCHING,   /* filter; resolved behind a barrier of the collection; chunks of 10,000 ids */
    FR_WRITE_COLLECTION_CREATE, /* def; topic: configs of its topic, or NULL; out: id */
    FR_WRITE_COLLECTION_DROP,   /* id */
    FR_WRITE_ALIAS_PUT,         /* name -> target collection name */
    FR_WRITE_ALIAS_DROP,        /* name */
    FR_WRITE_COLLECTION_ALTER,  /* id, change */
    FR_WRITE_COLLECTION_TRUNCATE, /* id: every entity goes, as by a filter that all match */
    FR_WRITE_DATABASE_PUT,      /* name, attributes: made, or its attributes replaced; EXISTS with create_only */
    FR_WRITE_DATABASE_DROP,     /* name; INVALID while it holds collections */
    /* topics (below); a topic is dropped by COLLECTION_DROP */
    FR_WRITE_TOPIC_CREATE,      /* topic: name, kind, partitions, configs; out: id */
    FR_WRITE_TOPIC_PARTITIONS,  /* id, topic: partitions = the new count */
    FR_WRITE_TOPIC_CONFIGS,     /* id, topic: configs, replace_configs */
    FR_WRITE_BATCHES,           /* id, produce: RecordBatches as a producer made them */
    FR_WRITE_RECORDS,           /* id, partition, records: keys and values to a topic that is not a collection's; txn or NULL */
    FR_WRITE_DELETE_RECORDS,    /* id, partition, before (-1 = all); out: before = the new start */
    FR_WRITE_PRODUCER_INIT,     /* txn: transactional_id or NULL, timeout_ms, producer_id and _epoch or -1; out: both */
    FR_WRITE_TXN_PARTITIONS,    /* txn: parts */
    FR_WRITE_TXN_END,           /* txn: commit; answered when every marker is durable and applied */
    FR_WRITE_TXN_LIST,          /* txn: each, user; changes nothing, but the writer alone knows */
    /* access (below); access: what and whose */
    FR_WRITE_ACCESS_PUT,        /* NOT_FOUND: a grant, key or limit of nobody; BUSY: changed since access->offset */
    FR_WRITE_ACCESS_DROP        /* a user goes with his keys, grants and limits; a role that somebody has stays (EXISTS) */
} fr_write_kind;
typedef enum fr_ack { FR_ACK_APPLIED = 0, FR_ACK_DURABLE = 1 } fr_ack;

typedef struct fr_written {
    int32_t partition;
    fr_offset first, last;
} fr_written;

/* -- topics: every collection is one; plain ones are logs without an index; internal ones are compacted plain ones -- */
#define FR_TOPIC_AUDIT "__audit" /* plain, made by the server: refusals and admin acts; no door lets others write to it */
typedef enum fr_topic_kind { FR_TOPIC_COLLECTION = 0, FR_TOPIC_PLAIN = 1, FR_TOPIC_INTERNAL = 2 } fr_topic_kind;

/* Why a write was refused, in Kafka's words; each is one error of Kafka's protocol. */
typedef enum fr_reason {
    FR_REASON_NONE = 0,
    FR_REASON_DUPLICATE,             /* not an error: base_offset is the original one */
    FR_REASON_CORRUPT_MESSAGE,       /* 2 */
    FR_REASON_UNKNOWN_PARTITION,     /* 3 */
    FR_REASON_OFFSET_OUT_OF_RANGE,   /* 1 */
    FR_REASON_MESSAGE_TOO_LARGE,     /* 10 */
    FR_REASON_INVALID_TOPIC,         /* 17 */
    FR_REASON_INVALID_TIMESTAMP,     /* 32 */
    FR_REASON_TOPIC_EXISTS,          /* 36 */
    FR_REASON_INVALID_PARTITIONS,    /* 37 */
    FR_REASON_INVALID_CONFIG,        /* 40 */
    FR_REASON_INVALID_REQUEST,       /* 42 */
    FR_REASON_POLICY_VIOLATION,      /* 44: what would break "the log is the database" */
    FR_REASON_OUT_OF_ORDER_SEQUENCE, /* 45 */
    FR_REASON_INVALID_PRODUCER_EPOCH, /* 47 */
    FR_REASON_INVALID_TXN_STATE,     /* 48 */
    FR_REASON_INVALID_PID_MAPPING,   /* 49 */
    FR_REASON_INVALID_TXN_TIMEOUT,   /* 50 */
    FR_REASON_CONCURRENT_TRANSACTIONS, /* 51: retriable */
    FR_REASON_STORAGE,               /* 56: the disk; see code */
    FR_REASON_UNSUPPORTED_COMPRESSION, /* -1 as measured for codec 5 */
    FR_REASON_INVALID_RECORD,        /* 87 */
    FR_REASON_PRODUCER_FENCED,       /* 90 */
    FR_REASON_COUNT
} fr_reason;

typedef struct fr_topic_config {
    const char *name, *value; /* value NULL (FR_WRITE_TOPIC_CONFIGS): back to the default */
} fr_topic_config;

typedef struct fr_topic_change {
    const char *name;
    fr_topic_kind kind; /* PLAIN or INTERNAL; collections are made by COLLECTION_CREATE */
    uint32_t partitions; /* 0 = 1 */
    const fr_topic_config *configs;
    uint32_t config_count;
    bool replace_configs; /* what is not named goes back to its default (Kafka's old AlterConfigs) */
} fr_topic_change;

/* One partition's share of FR_WRITE_BATCHES. data is the producer's RecordBatch, exactly one; base offset and leader epoch are
 * patched in place (LogAppendTime: also attributes, maxTimestamp and CRC). Each partition succeeds or fails alone. */
typedef struct fr_produce {
    int32_t partition;
    uint8_t *data;
    size_t size;
    /* out, valid in done() */
    fr_reason reason;      /* NONE and DUPLICATE are success */
    fr_code code;
    int32_t bad_record;    /* index in the batch of what was refused; -1 */
    fr_offset base_offset; /* -1 */
    fr_offset log_start;
    int64_t append_time_ms; /* LogAppendTime; -1 = the producer's timestamps stay */
    char text[120];
    uint64_t opaque[10]; /* the engine's */
} fr_produce;

typedef struct fr_record_header {
    fr_span key, value; /* value.data NULL = null */
} fr_record_header;
typedef struct fr_topic_record {
    fr_span key, value; /* data NULL = null; a null value is a tombstone */
    const fr_record_header *headers;
    uint32_t header_count;
} fr_topic_record;

struct fr_txn_info;
typedef struct fr_txn {
    const char *transactional_id; /* NULL: an idempotent producer (INIT only) */
    int64_t producer_id;          /* INIT: -1 = new, else the caller's (its epoch is bumped); out */
    int16_t producer_epoch;
    int32_t timeout_ms;
    const struct fr_txn_part {
        fr_id id;
        int32_t partition;
    } *parts;
    uint32_t part_count;
    bool commit;
    void (*each)(void *user, const struct fr_txn_info *info); /* LIST: the writer's thread, before done() */
    void *user;
} fr_txn;

typedef struct fr_txn_info { /* borrowed during the call */
    const char *transactional_id;
    const char *state; /* Kafka's word: Empty, Ongoing, PrepareCommit, PrepareAbort, CompleteCommit, CompleteAbort */
    int64_t producer_id, started_ms, running_ms; /* -1, 0: no transaction runs */
    int16_t producer_epoch;
    int32_t timeout_ms;
    const struct fr_txn_part *parts; /* that have no marker yet */
    uint32_t part_count;
} fr_txn_info;

/* FR_WRITE_COLLECTION_ALTER: what is NULL or 0 stays. All or nothing. */
typedef struct fr_collection_change {
    uint64_t if_version;          /* refused with BUSY when the collection has another version by now; 0 = any */
    const char *database, *name;  /* renamed, moved; the id stays. EXISTS when taken */
    const fr_field_def *add;      /* scalar fields, nullable: rows of before have null; EXISTS when the name is taken */
    uint32_t add_count;
    const char *drop;             /* a scalar field: its values are not shown any more */
    const fr_field_def *set;      /* by name: a wider max_length or max_capacity; of a vector field also metric, m, ef_construction,
                                     codes, profile, vectors, bm25_*: its index is built anew from the rows, searches go on meanwhile */
    uint32_t set_count;
    bool set_attributes;
    fr_span attributes;
} fr_collection_change;

/* -- access: users, API keys, roles, grants and limits are records of the catalog; every door asks fr_access_check -- */
#define FR_USER_ROOT "root"     /* cannot be dropped, may do everything */
#define FR_ROLE_ADMIN "admin"   /* built in: may do everything */
#define FR_ROLE_PUBLIC "public" /* built in: every user has it; may be granted more */

typedef enum fr_action { FR_ACTION_READ = 1, FR_ACTION_WRITE = 2, FR_ACTION_ADMIN = 4 } fr_action; /* admin includes both */
#define FR_ACTIONS_ALL 7u
typedef enum fr_object {
    FR_OBJECT_TOPIC = 0,    /* a collection or topic of a database */
    FR_OBJECT_GROUP = 1,    /* a consumer group */
    FR_OBJECT_TXN = 2,      /* a transactional id */
    FR_OBJECT_DATABASE = 3, /* and every topic in it */
    FR_OBJECT_ALL = 4,      /* everything; asked for: the server itself (users, snapshots) */
    FR_OBJECT_COUNT
} fr_object;

/* What a password is checked against: SCRAM's keys (RFC 5802). SHA-256 uses the first 32 bytes of a key. The password is not stored. */
typedef struct fr_verifier {
    uint8_t salt[16];
    uint32_t iterations; /* 0 = there is none */
    uint8_t stored_key[64], server_key[64];
} fr_verifier;

typedef enum fr_access_kind { FR_ACCESS_USER, FR_ACCESS_KEY, FR_ACCESS_ROLE, FR_ACCESS_GRANT, FR_ACCESS_LIMIT, FR_ACCESS_KIND_COUNT } fr_access_kind;
typedef enum fr_access_must { FR_ACCESS_ANY, FR_ACCESS_NEW, FR_ACCESS_OLD } fr_access_must; /* PUT: EXISTS, NOT_FOUND */
typedef struct fr_access {
    fr_access_kind kind;
    fr_access_must must;
    /* Identity. USER, ROLE: name; KEY: its id; GRANT: whose, with to_role, object, database, object_name, door; LIMIT: user ("*" = each
     * that has none of his own), client. */
    char name[FR_USER_BYTES_MAX + 1];
    fr_offset offset;   /* of its record; PUT: as it was read, so that nobody's change is lost; 0 = do not look */
    int64_t created_ms; /* out */
    /* USER */
    bool superuser;
    fr_verifier sha256, sha512;
    char roles[FR_ROLES_BYTES_MAX + 1]; /* "a,b" */
    /* KEY */
    char user[FR_USER_BYTES_MAX + 1]; /* whom it acts for */
    uint8_t digest[32];               /* SHA-256 of the whole key; the key is not stored */
    int64_t expires_ms;               /* 0 = never */
    /* GRANT; KEY: what it may do at most */
    uint32_t actions; /* fr_action, or-ed */
    bool to_role;
    fr_object object;
    char database[FR_USER_BYTES_MAX + 1];      /* "" = default */
    char object_name[FR_NAME_BYTES_MAX + 1];   /* a trailing * = every name that begins so; names with "__" are not meant by it */
    char door[FR_USER_BYTES_MAX + 1];          /* a door's own word for the privilege; not looked at */
    /* LIMIT: a second; 0 = none */
    char client[FR_USER_BYTES_MAX + 1]; /* Kafka's client id; "" = any */
    int64_t requests, bytes_in, bytes_out;
} fr_access;

/* Pinned, owned by the caller from fr_submit until done(). One fr_write is in flight once. */
typedef struct fr_write {
    fr_write_kind kind;
    fr_ack ack;
    fr_id id;                     /* collection; out for CREATE */
    const fr_batch *batch;        /* EVENTS; routed to partitions by key */
    /* EVENTS, NULL = no condition: an offset for each event; it is written only while its entity's newest record is that one. Behind a
     * barrier of the collection, as DELETE_MATCHING. */
    const fr_offset *only_at;
    const fr_collection_def *def; /* CREATE */
    const char *name, *target;    /* aliases, databases */
    const char *database;         /* aliases; NULL = default */
    const fr_collection_change *change; /* COLLECTION_ALTER */
    fr_span attributes;           /* COLLECTION_CREATE, DATABASE_PUT: a binary document (api/doc.h) that is given back as it is */
    bool create_only;             /* DATABASE_PUT */
    const char *filter;           /* DELETE_MATCHING */
    fr_span filter_params;        /* of fr_query */
    const fr_topic_change *topic; /* TOPIC_* */
    fr_produce *produce;          /* BATCHES */
    uint32_t produce_count;
    int32_t partition;            /* RECORDS, DELETE_RECORDS */
    fr_offset before;             /* DELETE_RECORDS */
    const fr_topic_record *record_list; /* RECORDS */
    uint32_t record_count;
    fr_txn *txn;                  /* PRODUCER_INIT, TXN_*; RECORDS inside a transaction */
    const fr_access *access;      /* ACCESS_* */
    void (*done)(struct fr_write *write); /* called once, on an engine thread; must not block */
    void *user;
    /* out, valid in done() */
    fr_code code;
    fr_err err;
    fr_reason reason;    /* topics, producers and transactions: why it was refused */
    uint32_t records;    /* events in the request that took effect in the log (duplicates not counted) */
    uint32_t duplicates; /* events answered by an earlier event_id */
    uint32_t existed;    /* removes whose key was live (ack APPLIED) */
    uint32_t written_count;
    fr_written written[FR_PARTITIONS_MAX];
    uint64_t opaque[24]; /* the engine's */
} fr_write;

/* Validate and queue. Returns non-OK when refused at once: then done() is not called. */
FR_API fr_code fr_submit(fr_db *db, fr_write *write, fr_err *err) FR_MUST_CHECK;
FR_API fr_code fr_submit_wait(fr_db *db, fr_write *write, fr_err *err) FR_MUST_CHECK; /* done is ours; blocks */

/* -- waiting for an offset -- */
typedef struct fr_waiter {
    fr_id id;
    int32_t partition;
    fr_offset offset;     /* inclusive */
    bool durable_only;    /* else applied */
    void (*done)(struct fr_waiter *waiter); /* once, on an engine thread */
    void *user;
    fr_code code;
    uint64_t opaque[8];
} fr_waiter;
FR_API fr_code fr_when(fr_db *db, fr_waiter *waiter) FR_MUST_CHECK; /* done() may be called before this returns */
FR_API bool fr_when_cancel(fr_db *db, fr_waiter *waiter); /* true: done() will not be called */

/* -- searching -- */
FR_API fr_code fr_searcher_create(fr_db *db, fr_searcher **out) FR_MUST_CHECK; /* scratch of one searching thread */
FR_API void fr_searcher_free(fr_searcher *searcher);

typedef struct fr_query {
    fr_id id;
    uint16_t field;       /* the vector field that is searched; 0 = the first */
    const float *vectors; /* query_count x dimension, host order; need not be normalised for COSINE */
    const fr_span *vector_bytes; /* or, instead: query_count vectors in elements of the field's type (the only way for binary and sparse) */
    uint32_t query_count, dimension;
    uint32_t k, offset; /* the first `offset` hits are skipped; offset + k <= FR_K_MAX */
    uint32_t ef;        /* 0 = the collection's default */
    float recall;       /* > 0 instead of ef: the smallest ef that reaches this recall@10 by the collection's own measure */
    const char *filter; /* NULL or "" = none; the Milvus expression language: index/README.md */
    fr_span filter_params; /* binary document, an object: the values of {name} in the filter; size 0 = none */
    bool has_radius, has_range_filter;
    float radius, range_filter; /* L2, HAMMING, JACCARD: range_filter <= d < radius; IP, COSINE, BM25 on score: radius < s <= range_filter */
    const char *group_by;       /* metadata path; NULL = none: at most group_size hits with an equal value */
    uint32_t group_size;        /* 0 = 1 */
    bool exact;                 /* the oracle: scan everything */
    bool with_metadata, with_vector;
    uint32_t vector_fields; /* bit i: hits[].vectors[i] is wanted, of the i-th vector field of the definition */
    uint32_t min_offset_count; /* read your writes: BEHIND when one is not applied */
    struct fr_min_offset {
        int32_t partition;
        fr_offset offset;
    } min_offsets[FR_PARTITIONS_MAX];
} fr_query;

typedef struct fr_hit {
    fr_span key;
    bool key_is_int;
    float distance; /* squared L2 | -dot | 1 - cos | bits that differ | 1 - Jaccard; smaller is nearer */
    float score;    /* -distance | dot | cos */
    int32_t partition;
    fr_offset offset;
    int64_t source_time_ms;
    fr_span model_version;
    fr_span metadata;    /* binary document (api/doc.h); size 0 = none or not asked */
    const float *vector; /* of the first vector field, when dense: dimension floats; NULL unless asked */
    fr_span vectors[FR_VECTOR_FIELDS_MAX]; /* elements of the field's type; size 0 = not asked, or null */
} fr_hit;

typedef struct fr_explain {
    const char *plan; /* "graph", "filtered graph", "scan", "filtered scan", "graph, then scan", ...: static string */
    uint64_t rows, fresh, visited, distances, reranked, filter_checked, filter_passed; /* filter_checked: documents looked at */
    uint64_t filter_matches;   /* rows that pass the filter, of all partitions */
    bool filter_matches_exact; /* a count; else an estimate */
    uint32_t filter_columns;   /* conditions of the filter answered by columns */
    double cost_scan_us, cost_walk_us; /* what was weighed; 0 = there was no choice */
    uint32_t ef;           /* as given or picked; 0 = the default */
    float recall_measured; /* where a recall was asked for: as measured at that ef; 0 = not measured yet */
} fr_explain;

/* Find the k nearest entities of one collection, for each query vector.
 *   hits        room for query_count x k, caller-owned; query i's hits start at hits[i * k]; spans borrowed until the
 *               searcher's next call
 *   hit_counts  out, query_count values: 0..k, nearest first, ties by key
 *   explain     may be NULL
 *   threads     one thread per searcher; never waits for writers
 *   errors      INVALID (dimension, k, ef, filter ...), NOT_FOUND, BEHIND (retriable)                              */
FR_API fr_code fr_search(fr_searcher *searcher, const fr_query *query, fr_hit *hits, uint32_t *hit_counts, fr_explain *explain,
                         fr_err *err) FR_MUST_CHECK;

typedef struct fr_condition { /* NULL: every entity */
    const char *filter;
    fr_span params; /* filter_params of fr_query */
} fr_condition;
typedef struct fr_wanted { /* NULL: keys and metadata */
    bool vector;            /* hits[].vector */
    uint32_t vector_fields; /* hits[].vectors, bits as in fr_query */
} fr_wanted;

/* Entities by key, in the order asked; missing ones are left out. hits: room for key_count. */
FR_API fr_code fr_get(fr_searcher *searcher, fr_id id, const fr_span *keys, uint32_t key_count, const fr_wanted *wanted, fr_hit *hits,
                      uint32_t *hit_count, fr_err *err) FR_MUST_CHECK;
FR_API fr_code fr_count(fr_searcher *searcher, fr_id id, const fr_condition *condition, uint64_t *count_out, fr_err *err) FR_MUST_CHECK;
/* Entities in key order (bytes; numbers where id_type is INT64), keys > after (size 0 = from the start): each that stays exactly once. */
FR_API fr_code fr_scroll(fr_searcher *searcher, fr_id id, const fr_condition *condition, fr_span after, uint32_t limit,
                         const fr_wanted *wanted, fr_hit *hits, uint32_t *hit_count, fr_err *err) FR_MUST_CHECK;

/* -- access: asking -- */
/* Who asks, as a door has found out. Zeroed = nobody, who may do nothing. */
typedef struct fr_principal {
    char user[FR_USER_BYTES_MAX + 1];
    char key[FR_USER_BYTES_MAX + 1]; /* the API key's id; "" = a password */
    bool trusted; /* the server does not ask (--auth off): may do everything */
} fr_principal;
/* THE check. A name that is an alias stands for its collection. DENIED names what is missing. No lock, no memory; any thread. What was
 * revoked is gone with the answer to its write. database: NULL or "" = default; name: NULL with FR_OBJECT_ALL. */
FR_API fr_code fr_access_check(fr_db *db, const fr_principal *principal, fr_action action, fr_object object, const char *database,
                               const char *name, fr_err *err) FR_MUST_CHECK;
FR_API fr_code fr_access_get(fr_db *db, fr_access *access_io); /* in: kind and identity. NOT_FOUND */
/* By identity; owner NULL = of everybody. each() must not call the database. Returns how many. */
FR_API uint32_t fr_access_list(fr_db *db, fr_access_kind kind, const char *owner, void (*each)(void *user, const fr_access *access), void *user);
/* The limit that holds for a user and a client id ("" = none): his own with this client, his own, that of "*" with this client, of "*". */
FR_API bool fr_access_limit(fr_db *db, const char *user, const char *client, fr_access *limit_out);

/* -- text -- */
/* Text to the collection's vector by its embedder; out: dimension floats. UNSUPPORTED when it has none. */
FR_API fr_code fr_embed(fr_db *db, fr_id id, fr_span text, float *out, fr_err *err) FR_MUST_CHECK;

/* -- the log -- */
typedef struct fr_view {
    const uint8_t *data; /* whole record batches (Kafka v2), checked */
    size_t size;
    fr_offset first, next; /* offsets covered; next = where to read on */
    void *owner;
} fr_view;
/* Durable batches from the one that holds `from`; at least one batch when there is one. INVALID when out of range. */
FR_API fr_code fr_read(fr_db *db, fr_id id, int32_t partition, fr_offset from, uint32_t bytes_max, fr_view *view_out,
                       fr_err *err) FR_MUST_CHECK;
FR_API void fr_view_release(fr_view *view);
/* The first offset whose record timestamp is >= timestamp_ms; the end offset when none. */
FR_API fr_code fr_seek(fr_db *db, fr_id id, int32_t partition, int64_t timestamp_ms, fr_offset *offset_out, fr_err *err) FR_MUST_CHECK;

/* -- topics: reading -- */
/* Config freshet.durability of a plain topic: what acknowledged means there. A collection's is always SYNC: its topic is its database. */
typedef enum fr_durability {
    FR_DURABILITY_SYNC = 0, /* on disk */
    FR_DURABILITY_INTERVAL, /* in the page cache; on disk about a second later. A power cut may lose that second, kill -9 nothing */
    FR_DURABILITY_NONE      /* in the page cache; the kernel writes it when it likes */
} fr_durability;
typedef struct fr_topic_info {
    fr_id id;
    uint8_t uuid[16]; /* Kafka's topic id: never that of another topic, also after drop and create */
    char name[FR_NAME_BYTES_MAX + 1];
    fr_topic_kind kind;
    uint32_t partition_count;
    int64_t created_ms;
    fr_code state; /* OK, or why writes are refused */
    fr_durability durability;
} fr_topic_info;
/* Names of topics of every kind; aliases are not topics. fr_resolve and fr_collection_* know collections only. */
FR_API fr_code fr_topic_resolve(fr_db *db, const char *name, fr_id *id_out);
FR_API fr_code fr_topic_by_uuid(fr_db *db, const uint8_t uuid[16], fr_id *id_out);
FR_API fr_code fr_topic_get(fr_db *db, fr_id id, fr_topic_info *info_out);
FR_API uint32_t fr_topic_list(fr_db *db, fr_id *ids, uint32_t max); /* by name, internal ones too; returns how many there are */

typedef enum fr_topic_config_type {
    FR_TOPIC_CONFIG_BOOLEAN = 1,
    FR_TOPIC_CONFIG_STRING = 2,
    FR_TOPIC_CONFIG_INT = 3,
    FR_TOPIC_CONFIG_LONG = 5,
    FR_TOPIC_CONFIG_DOUBLE = 6,
    FR_TOPIC_CONFIG_LIST = 7
} fr_topic_config_type; /* Kafka's numbers */
typedef struct fr_topic_config_info {
    const char *name, *value, *default_value, *documentation;
    fr_topic_config_type type;
    bool is_default, read_only;
} fr_topic_config_info; /* borrowed during the call */
/* Every config that a topic of this kind has, by name. */
FR_API fr_code fr_topic_configs(fr_db *db, fr_id id, void (*each)(void *user, const fr_topic_config_info *config), void *user);
/* What CreateTopics with validate_only needs: would this be accepted? */
FR_API fr_code fr_topic_validate(fr_db *db, const fr_topic_change *topic, fr_reason *reason_out, fr_err *err);

typedef struct fr_partition_state {
    fr_offset start;  /* first offset kept */
    fr_offset end;    /* high watermark: next after the last durable one */
    fr_offset stable; /* LSO: next after the last one whose transaction is decided, at most `end` */
    uint64_t bytes;
} fr_partition_state;
FR_API fr_code fr_partition_get(fr_db *db, fr_id id, int32_t partition, fr_partition_state *out);

typedef struct fr_producer_info {
    int64_t producer_id, timestamp_ms; /* when it was heard of last */
    fr_offset txn_first; /* -1: no open transaction */
    int32_t last_sequence; /* -1 */
    int16_t epoch;
} fr_producer_info;
/* each() is called with the partition's lock held: it must not call the database. */
FR_API fr_code fr_partition_producers(fr_db *db, fr_id id, int32_t partition, void (*each)(void *user, const fr_producer_info *producer), void *user);

typedef struct fr_aborted {
    int64_t producer_id;
    fr_offset first_offset;
} fr_aborted;
/* Durable batches for a consumer. in: id .. want_file. Wait for more with fr_when {durable_only, offset = state.end}. */
typedef struct fr_fetch {
    fr_id id;
    int32_t partition;
    fr_offset from;
    uint32_t bytes_max; /* the first batch is given whole even when it is larger */
    bool committed;     /* read_committed: nothing at or above state.stable, and the aborted list */
    bool want_file;     /* a range of a file (sendfile), when the log can give one; else bytes */
    /* out */
    fr_partition_state state;
    fr_view view;           /* bytes; or, with descriptor >= 0, only first, next (next may be below what the range holds) */
    int descriptor;         /* -1 = none; the fetch owns it until fr_fetch_release */
    uint64_t position, size; /* of the range; whole batches */
    uint32_t aborted_count;
    fr_aborted *aborted;    /* by first_offset */
    bool transcode;         /* a collection's topic without freshet.fetch=raw: binary values are to be given as JSON; never a file */
} fr_fetch;
/* INVALID with err.field "offset": out of range (state is filled). NOT_FOUND: no such topic or partition. */
FR_API fr_code fr_fetch_get(fr_db *db, fr_fetch *fetch, fr_err *err) FR_MUST_CHECK;
FR_API void fr_fetch_release(fr_fetch *fetch);

/* ListOffsets: the first record whose timestamp is >= timestamp_ms, with its own timestamp; (-1, -1) when there is none. */
FR_API fr_code fr_seek_record(fr_db *db, fr_id id, int32_t partition, int64_t timestamp_ms, bool committed, fr_offset *offset_out,
                              int64_t *timestamp_out, fr_err *err) FR_MUST_CHECK;
/* The record with the newest timestamp (the first of equals); (-1, -1) when empty. */
FR_API fr_code fr_seek_newest(fr_db *db, fr_id id, int32_t partition, fr_offset *offset_out, int64_t *timestamp_out,
                              fr_err *err) FR_MUST_CHECK;

/* All durable records of a partition in order, headers included: what a coordinator reads at its start. Records of aborted
 * transactions are left out; those of open ones come with pending = true. Blocks; each() must not call the database. */
struct fr_record;
typedef struct fr_scanned {
    fr_offset offset;
    int64_t timestamp_ms, producer_id; /* -1 = none */
    bool pending;
    fr_span key, value; /* data NULL = null */
    const fr_record_header *headers;
    uint32_t header_count;
} fr_scanned;
FR_API fr_code fr_topic_scan(fr_db *db, fr_id id, int32_t partition, fr_offset from, bool (*each)(void *user, const fr_scanned *record),
                             void *user, fr_err *err) FR_MUST_CHECK; /* each: false = stop */
/* A scanned record decoded as fr_records_next does; spans borrowed from it. */
FR_API void fr_scanned_decode(const fr_scanned *from, struct fr_record *record_out);
/* How JSON records of this collection are named: its configs freshet.field.*, freshet.envelope. */
FR_API fr_code fr_topic_json_map(fr_db *db, fr_id id, fr_json_map *out);
/* Told of every transaction that ended, also by its timeout, when its markers are durable: on an engine thread, must not block. */
FR_API void fr_txn_watch(fr_db *db, void (*ended)(void *user, int64_t producer_id, int16_t epoch, bool committed), void *user);

/* One record decoded. Values of compressed batches are borrowed from the iterator. */
typedef struct fr_record {
    fr_offset offset;
    int64_t timestamp_ms; /* append time or the producer's */
    fr_event event;       /* value fields decoded; event.remove for a null value */
    fr_value values[FR_FIELDS_MAX];
} fr_record;
typedef struct fr_record_iter fr_record_iter;
FR_API fr_code fr_records_begin(const fr_view *view, fr_record_iter **out) FR_MUST_CHECK;
FR_API bool fr_records_next(fr_record_iter *iter, fr_record *record_out); /* false = end */
FR_API void fr_records_end(fr_record_iter *iter);
/* The batches of a view with every binary value replaced by text(); offsets, keys, headers, producers stay. put() takes the bytes. */
FR_API fr_code fr_view_transcode(const fr_view *view, fr_code (*text)(void *user, const fr_record *record, fr_span *text_out),
                                 fr_code (*put)(void *user, const void *data, size_t size), void *user, fr_err *err) FR_MUST_CHECK;

/* -- care -- */
FR_API fr_code fr_snapshot(fr_db *db, fr_err *err) FR_MUST_CHECK;                 /* now; blocks until it is on disk */
FR_API fr_code fr_compact(fr_db *db, fr_id id, fr_err *err) FR_MUST_CHECK;         /* now; blocks; 0 = all */
/* Copy a data directory into a new one, also while a server has it open: what was answered before the call is in the copy, whole requests only.
 * Check the copy with fr_verify.   errors  EXISTS (not empty), NOT_FOUND (no data directory), BUSY (it changed under every attempt), IO, DISK_FULL */
FR_API fr_code fr_backup(const char *from, const char *to, uint64_t *files_out, uint64_t *bytes_out, fr_err *err) FR_MUST_CHECK;
/* Check every checksum of a closed directory; each finding is one line. CORRUPT when something is wrong. */
FR_API fr_code fr_verify(const char *dir, void (*report)(void *user, bool bad, const char *line), void *user, fr_err *err) FR_MUST_CHECK;

typedef struct fr_stats {
    uint64_t appended_records, appended_bytes, sync_rounds, sync_errors, applied_records, searches, distances;
    uint64_t queue_depth, queue_max, snapshots, snapshot_failures, compactions, duplicates,
        snapshot_fallbacks, /* damaged manifests, snapshots and producer states that recovery went without */
        dead_letters; /* records that apply cannot use, copied to <topic>.dlq */
    uint64_t memory_allocated, memory_by_tag[16];
    double sync_p50_ms, sync_p99_ms, recovery_ms, last_snapshot_ms;
    int64_t last_snapshot_time_ms;
    fr_code state; /* OK, DISK_FULL, READ_ONLY */
    char state_text[128];
} fr_stats;
FR_API void fr_stats_get(fr_db *db, fr_stats *stats_out);

/* ---- part 2: an index alone, in memory, without a log -------------------------------------------------------------- */
typedef struct fr_index fr_index;
typedef struct fr_index_options {
    uint32_t dimension;
    fr_metric metric;
    fr_codes codes;
    uint32_t m, ef_construction; /* 0 = 16 (compact: 10), 100 */
    fr_profile profile;
    fr_vectors_at vectors;
    const char *folder; /* of the unnamed file that holds originals on disk; NULL = $TMPDIR or /var/tmp */
    fr_type type;       /* what every vector is exact in, and kept in: VECTOR_F16, BF16, I8; 0 or VECTOR_F32 = any numbers.
                         * VECTOR_BINARY (HAMMING, JACCARD): where a function below takes or gives floats, it is dimension / 8 bytes a vector */
} fr_index_options;
FR_API fr_code fr_index_create(const fr_index_options *options, fr_index **index_out, fr_err *err) FR_MUST_CHECK;
FR_API void fr_index_free(fr_index *index);
/* Add or replace many: ids[count], vectors[count x dimension] (floats; VECTOR_BINARY: bytes). Returns when all are searchable. Rows that
 * are not linked into the graph yet wait, up to FR_INDEX_WAIT_MAX of 128 dimensions, fewer of more, and twice as many until a search comes:
 * every search looks at them one by one. The call that reaches that number links all of them together, by `threads` threads; what waits
 * without a change for 50 ms is linked by a thread of the index, which then ends. The first 2,048 rows, and binary vectors, are linked by
 * the call that adds them. Calls of add, remove, link and save take turns.
 * INVALID, and nothing is added, when the index has a type and a vector is not exact in it. */
FR_API fr_code fr_index_add(fr_index *index, const int64_t *ids, const void *vectors, uint64_t count, uint32_t threads,
                            fr_err *err) FR_MUST_CHECK;
/* Rows that wait, and linking them now. save_file and ef_for do it, too; free does not: it drops them. */
#define FR_INDEX_WAIT_MAX 8192u
FR_API uint64_t fr_index_waiting(const fr_index *index); /* any thread */
FR_API void fr_index_link(fr_index *index, uint32_t threads);
FR_API fr_code fr_index_remove(fr_index *index, const int64_t *ids, uint64_t count, uint64_t *removed_out) FR_MUST_CHECK;
/* ids_out, distances_out: query_count x k; missing hits: id -1, distance +inf. Any thread, also during add and remove. */
FR_API fr_code fr_index_search_many(fr_index *index, const void *queries, uint64_t query_count, uint32_t k, uint32_t ef,
                                    uint32_t threads, int64_t *ids_out, float *distances_out, fr_err *err) FR_MUST_CHECK;
/* Are these ids there, and with which vectors (as they were given)? vectors_out: count x dimension or NULL; rows of missing ids are
 * zeros. Any thread, also during add and remove. */
FR_API fr_code fr_index_get(fr_index *index, const int64_t *ids, uint64_t count, void *vectors_out, bool *present_out) FR_MUST_CHECK;
FR_API void fr_index_settings(const fr_index *index, fr_index_options *options_out); /* also of an index that was opened */
/* The smallest ef that reaches this recall@10 (0 < recall < 1) with a margin, by the index's own measure: taken at the first call
 * and when a tenth of the rows has changed. measured_out: the recall measured there; 0 = a guess, another thread measures. */
FR_API fr_code fr_index_ef_for(fr_index *index, float recall, uint32_t k, uint32_t *ef_out, float *measured_out, fr_err *err) FR_MUST_CHECK;
FR_API uint64_t fr_index_size(const fr_index *index);
FR_API uint64_t fr_index_memory(const fr_index *index); /* bytes held */
FR_API fr_code fr_index_save_file(fr_index *index, const char *path, fr_err *err) FR_MUST_CHECK;
FR_API fr_code fr_index_open_file(const char *path, fr_index **index_out, fr_err *err) FR_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
