/* schema_help.h: field lists, and records of them, for the tests of schemas. */
#ifndef FR_SCHEMA_HELP_H
#define FR_SCHEMA_HELP_H

#include "engine_help.h"

static inline fr_field_def *add_def(fr_collection_def *def, const char *name, fr_type type)
{
    fr_field_def *f = &def->fields[def->field_count++];
    *f = (fr_field_def){.type = type};
    snprintf(f->name, sizeof f->name, "%s", name);
    return f;
}

static inline fr_collection_def *new_def(const char *name, fr_type key)
{
    fr_collection_def *def = calloc(1, sizeof *def);
    snprintf(def->name, sizeof def->name, "%s", name);
    add_def(def, "key", key)->primary = true;
    return def;
}

static inline fr_code create_def(fr_db *db, fr_collection_def *def, fr_id *id_out, fr_err *err)
{
    fr_write w = {.kind = FR_WRITE_COLLECTION_CREATE, .def = def};
    fr_code code = fr_submit_wait(db, &w, err);
    *id_out = w.id;
    return code;
}

static inline fr_code alter(fr_db *db, fr_id id, const fr_collection_change *change, fr_err *err)
{
    fr_write w = {.kind = FR_WRITE_COLLECTION_ALTER, .id = id, .change = change};
    return fr_submit_wait(db, &w, err);
}

/* {"name": number} as a document's bytes, in `doc`. */
static inline fr_span one_int(fr_doc_builder *doc, const char *name, int64_t value)
{
    fr_span bytes;
    fr_doc_reset(doc);
    fr_doc_begin_object(doc);
    fr_doc_put_key(doc, name, strlen(name));
    fr_doc_put_int(doc, value);
    fr_doc_end_object(doc);
    assert_int_equal(fr_doc_finish(doc, &bytes), FR_OK);
    return bytes;
}

static inline fr_code put_values(fr_db *db, fr_id id, const char *key, const fr_value *values, uint32_t count, bool partial, fr_err *err)
{
    fr_batch b = {0};
    fr_event event = {.key = fr_span_text(key), .source_time_ms = FR_TIME_NONE, .values = values, .value_count = count, .partial = partial};
    fr_code code = fr_batch_put(&b, &event, err);
    if (code == FR_OK) code = write_batch(db, id, &b, NULL, err);
    fr_batch_free(&b);
    return code;
}

/* A vector of DIM numbers in field 2, and a document. */
static inline fr_code put_doc(fr_db *db, fr_id id, const char *key, float a, fr_span document, fr_err *err)
{
    float vector[DIM];
    vector_of(vector, a, 1);
    fr_value values[] = {{FR_FIELD_VECTOR, FR_TYPE_VECTOR_F32, {vector, sizeof vector}}, {FR_FIELD_DYNAMIC, FR_TYPE_JSON, document}};
    return put_values(db, id, key, values, 2, false, err);
}

#endif
