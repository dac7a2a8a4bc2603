/* schema.h: what a collection is, as the catalog says: part of engine.h. Immutable: a change makes a new one, swapped whole; the old one
 * goes after the grace period of the catalog's maps, so a reader pins (fr_engine_pin) as long as it looks at one. The writer pins,
 * too; the applier, who swaps them, need not. */
#ifndef FR_SCHEMA_H
#define FR_SCHEMA_H

#include "api/doc.h"
#include "index/filter.h"
#include "server/engine/topic.h"

#define FR_FIELD_ATTRIBUTES 0xFF05u /* in catalog records: what a door keeps there */
#define FR_FIELD_FIRST_FREE 3u
#define FR_LIVES_MAX        1024u /* fields ever added or dropped by changes */
#define FR_TOPIC_NAME_SIZE  (2 * FR_NAME_BYTES_MAX + 2)

/* A field that came or went by a change: records before these offsets know nothing of it, or know it still. The verdict on a record
 * thereby depends on the record and its place alone, live and in replay. */
typedef struct fr_field_life {
    char name[64];
    bool dropped;
    fr_offset *at; /* per partition */
} fr_field_life;

typedef struct fr_schema {
    fr_collection_def def; /* database "" = default */
    char topic[FR_TOPIC_NAME_SIZE]; /* what Kafka calls it: name, or database.name */
    fr_filter_schema filter;
    uint64_t version; /* grows with every change, of attributes, too */
    uint32_t vector_count;
    const fr_field_def *vectors[FR_VECTOR_FIELDS_MAX]; /* inside def, in its order */
    uint8_t builds[FR_VECTOR_FIELDS_MAX];              /* how often each index was ordered anew */
    uint16_t next_field;
    bool typed; /* scalar fields are declared, or only those are taken: documents are to be judged */
    uint32_t life_count;
    fr_field_life *lives;
    fr_span attributes;
    fr_arena arena; /* of lives and attributes */
    struct fr_schema *garbage_next;
} fr_schema;

fr_schema *fr_schema_new(const fr_collection_def *def); /* NULL: empty; NULL returned: no memory */
fr_schema *fr_schema_copy(const fr_schema *from);
void fr_schema_free(fr_schema *schema); /* accepts NULL */
void fr_schema_free_list(fr_schema *schemas); /* by garbage_next */
void fr_schema_json(const fr_schema *schema, fr_json_map *map); /* the vector fields, where there are several */
void fr_schema_derive(fr_schema *schema); /* after def, or the order of its fields, was changed */
fr_code fr_schema_add_life(fr_schema *schema, const char *name, bool dropped, const fr_offset *at, uint32_t partitions);
fr_code fr_schema_set_attributes(fr_schema *schema, fr_span attributes);
const fr_field_def *fr_schema_field(const fr_schema *schema, fr_span name); /* NULL: not declared */
/* The field's offsets in `lives`; NULL: none. */
const fr_offset *fr_schema_since(const fr_schema *schema, const char *name);
const fr_offset *fr_schema_until(const fr_schema *schema, fr_span name);
static inline bool fr_type_is_vector(fr_type type) { return type >= FR_TYPE_VECTOR_BINARY; }
/* A declared field whose value stands in the document. */
static inline bool fr_field_is_scalar(const fr_field_def *f)
{
    return !f->primary && !fr_type_is_vector(f->type) && f->id != FR_FIELD_DYNAMIC;
}
/* "name", or "database.name"; an unusable pair gives a name that is too long for a topic. */
void fr_schema_topic(const char *database, const char *name, char out[FR_TOPIC_NAME_SIZE]);
static inline const char *fr_database_name(const char *database) /* "" = default */
{
    return database == NULL || strcmp(database, "default") == 0 ? "" : database;
}

/* define.c: definitions, and changes of them, checked */
fr_code fr_engine_expand(const fr_collection_def *def, fr_collection_def *out, fr_err *err); /* checked, simple form expanded */
fr_code fr_engine_change(fr_schema *schema, const fr_collection_change *change, const fr_offset *ends, fr_err *err);
fr_code fr_engine_check_attributes(fr_span attributes, fr_err *err);

/* catalog_codec.c: the catalog's documents */
void fr_codec_put_collection(fr_doc_builder *b, fr_id id, const fr_schema *schema, const fr_topic_spec *spec, uint32_t partitions,
                             int64_t created_ms);
fr_code fr_codec_attributes(fr_span value, fr_span *out);
fr_code fr_codec_collection(fr_span value, fr_schema **schema_out, int64_t *created_ms_out, fr_err *err);
fr_code fr_codec_spec(fr_span value, fr_topic_spec *spec_out, fr_err *err); /* fr_topic_spec_free it */
bool fr_codec_int(fr_doc object, const char *key, int64_t low, int64_t high, int64_t *out);
bool fr_codec_text(fr_doc object, const char *key, char *out, size_t size);

#endif
