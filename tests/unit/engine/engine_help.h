/* engine_help.h: what the engine's tests share: a fresh directory, short forms of writes and searches. */
#ifndef FR_ENGINE_HELP_H
#define FR_ENGINE_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/engine/engine.h"

#define DIM 4u

static char test_dir[128];

static inline int make_test_dir(void **state)
{
    (void)state;
    const char *root = getenv("TMPDIR");
    snprintf(test_dir, sizeof test_dir, "%s/fr_engine_XXXXXX", root != NULL ? root : "/tmp");
    return mkdtemp(test_dir) == NULL;
}

static inline int remove_test_dir(void **state)
{
    (void)state;
    char command[192];
    snprintf(command, sizeof command, "rm -rf '%s'", test_dir);
    return system(command) != 0;
}

static inline fr_db *open_with(const fr_options *options)
{
    fr_db *db = NULL;
    fr_err err = {0};
    fr_code code = fr_open(test_dir, options, &db, &err);
    if (code != FR_OK) fail_msg("open: %s: %s", fr_strcode(code), err.text);
    return db;
}

static inline fr_db *open_db(void) { return open_with(NULL); }

#define must(db_call)                                                                                                  \
    do {                                                                                                               \
        fr_err must_err_ = {0};                                                                                        \
        fr_err *err = &must_err_;                                                                                      \
        fr_code must_code_ = (db_call);                                                                                \
        if (must_code_ != FR_OK) fail_msg("%s: %s: [%s] %s", #db_call, fr_strcode(must_code_), err->field, err->text); \
    } while (0)

static inline fr_code create_collection(fr_db *db, const char *name, uint32_t partitions, fr_metric metric,
                                        fr_id *id_out, fr_err *err)
{
    fr_collection_def *def = calloc(1, sizeof *def);
    snprintf(def->name, sizeof def->name, "%s", name);
    def->dimension = DIM;
    def->metric = metric;
    def->partitions = partitions;
    fr_write w = {.kind = FR_WRITE_COLLECTION_CREATE, .def = def};
    fr_code code = fr_submit_wait(db, &w, err);
    if (id_out != NULL) *id_out = w.id;
    free(def);
    return code;
}

/* A vector that tells key and version: {key, version, 1, 0}. */
static inline void vector_of(float out[DIM], float key, float version)
{
    out[0] = key, out[1] = version, out[2] = 1, out[3] = 0;
}

static inline fr_code put_event(fr_batch *b, const char *key, float a, float v, const char *event_id,
                                int64_t source_time, fr_err *err)
{
    float vector[DIM];
    vector_of(vector, a, v);
    fr_doc_builder doc = {0};
    fr_doc_begin_object(&doc);
    fr_doc_put_key(&doc, "v", 1);
    fr_doc_put_int(&doc, (int64_t)v);
    fr_doc_end_object(&doc);
    fr_span bytes;
    fr_code code = fr_doc_finish(&doc, &bytes);
    fr_value values[] = {{FR_FIELD_VECTOR, FR_TYPE_VECTOR_F32, {vector, sizeof vector}},
                         {FR_FIELD_DYNAMIC, FR_TYPE_JSON, bytes}};
    fr_event event = {.key = fr_span_text(key), .values = values, .value_count = 2, .source_time_ms = source_time};
    if (event_id != NULL) event.event_id = fr_span_text(event_id);
    if (code == FR_OK) code = fr_batch_put(b, &event, err);
    fr_doc_free(&doc);
    return code;
}

static inline fr_code remove_event(fr_batch *b, const char *key, fr_err *err)
{
    fr_event event = {.key = fr_span_text(key), .remove = true, .source_time_ms = FR_TIME_NONE};
    return fr_batch_put(b, &event, err);
}

static inline fr_code write_batch(fr_db *db, fr_id id, const fr_batch *b, fr_write *out, fr_err *err)
{
    fr_write w = {.kind = FR_WRITE_EVENTS, .id = id, .batch = b};
    fr_code code = fr_submit_wait(db, &w, err);
    if (out != NULL) *out = w;
    return code;
}

static inline fr_code upsert(fr_db *db, fr_id id, const char *key, float a, float v, fr_write *out, fr_err *err)
{
    fr_batch b = {0};
    fr_code code = put_event(&b, key, a, v, NULL, FR_TIME_NONE, err);
    if (code == FR_OK) code = write_batch(db, id, &b, out, err);
    fr_batch_free(&b);
    return code;
}

static inline fr_code delete_key(fr_db *db, fr_id id, const char *key, fr_write *out, fr_err *err)
{
    fr_batch b = {0};
    fr_code code = remove_event(&b, key, err);
    if (code == FR_OK) code = write_batch(db, id, &b, out, err);
    fr_batch_free(&b);
    return code;
}

static inline uint64_t count_of(fr_db *db, fr_id id, const char *filter)
{
    fr_searcher *s;
    uint64_t count = 0;
    must(fr_searcher_create(db, &s));
    must(fr_count(s, id, &(fr_condition){.filter = filter}, &count, err));
    fr_searcher_free(s);
    return count;
}

/* The version of a key, or -1. */
static inline float version_of(fr_db *db, fr_id id, const char *key)
{
    fr_searcher *s;
    fr_hit hit;
    uint32_t count = 0;
    fr_span span = fr_span_text(key);
    must(fr_searcher_create(db, &s));
    must(fr_get(s, id, &span, 1, &(fr_wanted){.vector = true}, &hit, &count, err));
    float version = count == 1 ? hit.vector[1] : -1;
    fr_searcher_free(s);
    return version;
}

#endif
