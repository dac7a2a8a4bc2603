/* json_in.h: JSON request bodies in, on top of json_dom.h (simdjson behind a C door).
 *
 * Invariants
 *   1. A body is parsed whole before anything of it is used: UTF-8, structure, every number; then every value is visited.
 *   2. No key is taken twice; no key is passed over in silence (the caller checks names against its table).
 *   3. Numbers of vectors are finite as f32 (1e39 is refused); other numbers are 64-bit integers or finite doubles.
 * The DOM form is used, not on-demand: it checks the document before the first value is handed out, and under the
 * x86-64 baseline it is the faster one, being dispatched at run time whole (api/http/README.md has the figures). */
#ifndef FR_JSON_IN_H
#define FR_JSON_IN_H

#include "api/doc.h"
#include "api/http/json_dom.h"

/* A body: `readable` counts the bytes that may be read from data on; less than size + FR_JSON_PADDING: it is copied. */
typedef struct fr_json_body {
    fr_span text;
    size_t readable;
} fr_json_body;

/* What a vector of JSON must be: dense, an array of `dimension` numbers; binary, the three forms of README.md; sparse, {"7":0.5} or
 * {"indices":[7],"values":[0.5]}. */
typedef struct fr_json_form {
    fr_type type;
    fr_metric metric; /* COSINE: zero is refused; BM25: negative numbers are */
    uint32_t dimension;
} fr_json_form;

/* Where one vector is made. numbers, packed: `dimension` floats each, not needed for sparse vectors. */
typedef struct fr_json_room {
    float *numbers;
    void *packed, *pairs;
    uint32_t pair_capacity;
    fr_arena *arena;
} fr_json_room;

/* field: named in errors. errors: INVALID, TOO_LARGE, NO_MEMORY */
fr_code fr_json_dense_in(fr_json_value value, const fr_json_form *form, float *out, const char *field, fr_err *err);
fr_code fr_json_bits_in(fr_json_value value, uint32_t dimension, uint8_t *out, float *room, const char *field, fr_err *err);
fr_code fr_json_sparse_in(fr_json_value value, fr_metric metric, fr_json_room *room, fr_span *out, const char *field, fr_err *err);
/* Elements of the form's type, in `room` until it is used again; numbers_pack: of room->numbers. */
fr_code fr_json_vector_in(fr_json_value value, const fr_json_form *form, fr_json_room *room, fr_span *out, const char *field, fr_err *err);
fr_code fr_json_numbers_pack(const fr_json_form *form, fr_json_room *room, fr_span *out, const char *field, fr_err *err);

/* "vector" or "vectors" of a search, taken out of the body. */
typedef struct fr_json_vectors {
    fr_json_form form; /* in: of each; dimension 0 = any, then out: what they have */
    /* in: when the body names a "field", its form instead; NULL: the key is no business of ours */
    fr_code (*pick)(void *user, fr_span name, fr_json_form *form_out, fr_err *err);
    void *user;
    const char *name; /* in: the only key, of one vector; NULL: the two keys above */
    float *data;    /* out: count x dimension, in the arena; NULL: neither key was given */
    fr_span *bytes; /* binary, sparse: count vectors */
    uint32_t count;
    bool many;      /* "vectors" */
} fr_json_vectors;

/* The body's object as a document in `rest` (finish it with fr_doc_finish); when `vectors` is not NULL, the keys "vector"
 * and "vectors", or the one it names, go there instead. errors: INVALID with the field, TOO_LARGE, NO_MEMORY */
fr_code fr_json_in_body(fr_json_dom *dom, fr_json_body body, fr_arena *arena, fr_doc_builder *rest, fr_json_vectors *vectors,
                        fr_err *err);

/* A vector field of records. */
typedef struct fr_json_field {
    const char *name;
    uint16_t id;
    bool nullable;
    fr_json_form form;
} fr_json_field;

/* What records must look like: "vector" is the first field's, "vectors" is {name: vector} of any. */
typedef struct fr_json_schema {
    uint32_t field_count; /* 1 .. FR_VECTOR_FIELDS_MAX */
    fr_json_field fields[FR_VECTOR_FIELDS_MAX];
    fr_id_type id_type;
    /* Text to the first field's numbers; NULL: the collection has no embedder. */
    fr_code (*embed)(void *user, fr_span text, float *out, fr_err *err);
    void *embed_user;
} fr_json_schema;

/* {"records":[..], other keys}: records straight into `batch`, the other keys into `rest`. `scratch`: two builders that each
 * record's metadata uses in turn. On failure the batch holds a part and is to be reset. */
fr_code fr_json_in_upsert(fr_json_dom *dom, fr_json_body body, const fr_json_schema *schema, fr_arena *arena, fr_doc_builder *rest,
                          fr_doc_builder *scratch, fr_batch *batch, fr_err *err);

/* RFC 3339 (2026-11-20T21:44:14.123Z, any offset) to milliseconds since 1970. */
bool fr_time_parse(fr_span text, int64_t *ms_out);

#endif
