/* milvus_schema.h: a collection as Milvus sees it: what the engine's definition says, and what stands in the collection's attributes.
 *
 * Immutable once it is in the cache, counted by references, shared by all threads; a change makes another version.
 * Texts end with NUL and, like all else, live in the schema's arena. */
#ifndef FR_MILVUS_SCHEMA_H
#define FR_MILVUS_SCHEMA_H

#include "api/doc.h"

#define FR_MILVUS_FIRST_FIELD_ID 100
#define FR_MILVUS_PARTITION_KEY "$p"   /* of an entity's document: the id of its partition; absent = _default */
#define FR_MILVUS_WRITTEN_KEY "$t"     /* of an entity's document: when it was written, seconds since 1970; where the collection has a TTL */
#define FR_MILVUS_TTL_PROPERTY "collection.ttl.seconds"
#define FR_MILVUS_TTL_MAX 3155760000   /* a hundred years */
#define FR_MILVUS_DEFAULT_PARTITION "_default"
#define FR_MILVUS_PARTITIONS_MAX 1024u
#define FR_MILVUS_SHARDS_MAX 16
#define FR_MILVUS_DYNAMIC UINT32_MAX
#define FR_MILVUS_KEY_PARTITIONS 16u   /* of a collection with a partition key, unless said */

typedef struct fr_milvus_pair {
    const char *key, *value;
} fr_milvus_pair;
typedef struct fr_milvus_pairs {
    fr_milvus_pair *items;
    uint32_t count;
} fr_milvus_pairs;

typedef struct fr_milvus_field {
    int64_t id; /* 100, 101, ...: never reused */
    const char *name, *description;
    int32_t type, element_type; /* schema.DataType = fr_type */
    uint32_t dimension;         /* vectors; binary: bits; sparse: 0 */
    uint32_t max_length, max_capacity; /* 0 = none */
    bool primary, auto_id, nullable, partition_key, clustering_key, function_output;
    fr_doc default_value; /* data NULL = none; a scalar of the field's type */
    fr_milvus_pairs params; /* type_params as given */
    uint16_t engine_field;  /* id in the engine's definition; 0 = none of its own (a value of the document) */
    int32_t vector;         /* the i-th vector field of the definition; -1 = not a vector */
    fr_metric metric;       /* vectors: what the engine measures by */
} fr_milvus_field;

typedef struct fr_milvus_function {
    int64_t id;
    const char *name, *description;
    int32_t type; /* 1 = BM25 */
    uint32_t *inputs, *outputs; /* of fields[] */
    uint32_t input_count, output_count;
    fr_milvus_pairs params;
} fr_milvus_function;

typedef struct fr_milvus_index {
    int64_t id;
    const char *name;
    uint32_t field; /* of fields[]; FR_MILVUS_DYNAMIC = a key of the dynamic field */
    const char *field_name; /* as it was given */
    fr_milvus_pairs params; /* as given: index_type, metric_type, M, ... */
} fr_milvus_index;

typedef struct fr_milvus_partition {
    int64_t id; /* 0 = _default */
    const char *name;
    int64_t created_ms;
    bool loaded;
} fr_milvus_partition;

typedef struct fr_milvus_schema {
    fr_id id;
    uint64_t version; /* of the engine's definition and attributes */
    const char *database, *name, *description;
    bool auto_id, dynamic, loaded;
    bool foreign; /* no attributes of this door: derived from the definition */
    int32_t consistency; /* common.ConsistencyLevel */
    int32_t shards;
    int64_t created_ms;
    uint64_t updated; /* hybrid time of the last change of the schema */
    fr_milvus_field *fields; /* in the order of creation; $meta is not among them */
    uint32_t field_count, primary; /* primary: of fields[] */
    int32_t partition_key;         /* of fields[]; -1 = none */
    uint32_t vector_count;
    fr_milvus_function *functions;
    uint32_t function_count;
    fr_milvus_index *indexes;
    uint32_t index_count;
    fr_milvus_partition *partitions; /* [0] = _default, unless there is a partition key: then _default_0 ... and id = place */
    uint32_t partition_count;
    fr_milvus_pairs properties;
    int64_t ttl_s; /* of the properties; 0 = entities stay */
    int64_t next_field_id, next_index_id, next_partition_id;
    fr_span attributes; /* as they were read */
    _Atomic uint32_t refs;
    fr_arena arena;
} fr_milvus_schema;

struct fr_milvus_cache;
struct fr_milvus_cache *fr_milvus_cache_create(void);
void fr_milvus_cache_free(struct fr_milvus_cache *cache); /* accepts NULL */
/* By a collection's name or an alias; a reference of the caller's. Any thread. NOT_FOUND: err.field is "database" or "collection". */
fr_code fr_milvus_cache_get(struct fr_milvus_cache *cache, fr_db *db, const char *database, const char *name, fr_milvus_schema **out,
                            fr_err *err);
void fr_milvus_schema_drop(struct fr_milvus_cache *cache, fr_milvus_schema *schema); /* gives a reference back */

/* A fresh copy of the caller's own, to be changed and written; fr_milvus_schema_free it. */
fr_code fr_milvus_schema_load(fr_db *db, const char *database, const char *name, fr_milvus_schema **out, fr_err *err);
fr_milvus_schema *fr_milvus_schema_new(void); /* empty; NULL: no memory */
void fr_milvus_schema_free(fr_milvus_schema *schema); /* accepts NULL */
/* The attributes that say what the schema says; keys of other doors in `attributes` stay. */
fr_code fr_milvus_schema_write(const fr_milvus_schema *schema, fr_doc_builder *b, fr_span *bytes_out);
/* Room for one more in an array of the schema: the old items are copied. NULL: no memory. */
void *fr_milvus_grown(fr_milvus_schema *schema, const void *items, uint32_t count, size_t size);
const char *fr_milvus_kept(fr_milvus_schema *schema, const char *text); /* a copy in the schema's arena; NULL text: "" */
fr_code fr_milvus_pairs_set(fr_milvus_schema *schema, fr_milvus_pairs *pairs, const char *key, const char *value); /* NULL: removed */

const fr_milvus_field *fr_milvus_field_of(const fr_milvus_schema *schema, const char *name); /* NULL = none */
const fr_milvus_index *fr_milvus_index_of(const fr_milvus_schema *schema, const fr_milvus_field *field); /* NULL = none */
const fr_milvus_partition *fr_milvus_partition_of(const fr_milvus_schema *schema, const char *name); /* NULL = none */
const char *fr_milvus_pairs_get(const fr_milvus_pairs *pairs, const char *key); /* NULL = not there */

#endif
