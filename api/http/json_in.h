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

/* "vector" or "vectors" of a search, taken out of the body. */
typedef struct fr_json_vectors {
    bool binary;           /* in: vectors are bits, `dimension` of them; out: in `bytes` */
    uint32_t dimension;    /* in: what each must have; 0 = any, then out: what they have */
    bool refuse_zero;      /* in: cosine has no direction for it */
    float *data;           /* out: count x dimension, in the arena; NULL: neither key was given */
    fr_span *bytes;        /* binary: count x dimension / 8 bytes */
    uint32_t count;
    bool many;             /* "vectors" */
} fr_json_vectors;

/* The body's object as a document in `rest` (finish it with fr_doc_finish); when `vectors` is not NULL, the keys "vector"
 * and "vectors" go there instead. errors: INVALID with the field, TOO_LARGE, NO_MEMORY */
fr_code fr_json_in_body(fr_json_dom *dom, fr_json_body body, fr_arena *arena, fr_doc_builder *rest, fr_json_vectors *vectors,
                        fr_err *err);

/* What records must look like. */
typedef struct fr_json_schema {
    uint32_t dimension;
    fr_metric metric;
    fr_type vector_type; /* 0 = VECTOR_F32 */
    fr_id_type id_type;
    /* Text to `dimension` floats; NULL: the collection has no embedder. */
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
