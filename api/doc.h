/* doc.h: a JSON value in binary form, made once at the door and read without parsing afterwards. Leaf.
 *
 * Bytes (little endian), one value:
 *   tag u8: 0 null | 1 false | 2 true | 3 int i64 | 4 float f64 | 5 string {u32 size, bytes}
 *           6 array  {u32 bytes_after, u32 count, values}
 *           7 object {u32 bytes_after, u32 count, {u16 key_size, key, value} x count}  keys in the order given, unique
 * bytes_after counts what follows the size field, so a reader can skip a value in one step.
 * A document that comes from disk or wire goes through fr_doc_check once; the readers below then trust it.
 */
#ifndef FR_DOC_H
#define FR_DOC_H

#include "api/base.h"

#define FR_DOC_DEPTH_MAX 64u

typedef enum fr_doc_tag {
    FR_DOC_NULL = 0, FR_DOC_FALSE = 1, FR_DOC_TRUE = 2, FR_DOC_INT = 3, FR_DOC_FLOAT = 4,
    FR_DOC_STRING = 5, FR_DOC_ARRAY = 6, FR_DOC_OBJECT = 7
} fr_doc_tag;

/* A value inside a document: borrowed. data == NULL: absent. */
typedef struct fr_doc {
    const uint8_t *data;
} fr_doc;

/* Structure, sizes, depth, UTF-8, unique keys, finite floats. size must be exactly one value. */
fr_code fr_doc_check(fr_span bytes, fr_err *err);

static inline fr_doc fr_doc_root(fr_span bytes) { return (fr_doc){bytes.size ? bytes.data : NULL}; }
fr_doc_tag fr_doc_type(fr_doc value);
size_t fr_doc_size(fr_doc value);           /* whole encoded size */
int64_t fr_doc_int(fr_doc value);           /* tag INT */
double fr_doc_number(fr_doc value);         /* tag INT or FLOAT */
fr_span fr_doc_string(fr_doc value);        /* tag STRING */
uint32_t fr_doc_count(fr_doc value);        /* ARRAY, OBJECT: elements; else 0 */
fr_doc fr_doc_get(fr_doc object, fr_span key);     /* absent when not an object or no such key */
fr_doc fr_doc_at(fr_doc array, uint32_t index);    /* absent when out of range */
typedef struct fr_doc_iter {
    const uint8_t *at;
    uint32_t left;
    bool object;
} fr_doc_iter;
fr_doc_iter fr_doc_begin(fr_doc container);
bool fr_doc_next(fr_doc_iter *iter, fr_span *key_out, fr_doc *value_out); /* key_out may be NULL */
bool fr_doc_equal(fr_doc a, fr_doc b);      /* numbers by value, objects regardless of key order */
int fr_doc_compare_mixed(int64_t a, double b); /* -1, 0, 1: exact over the whole range; b is not NaN */

/* Builder: writes into a growing buffer. Begin/end nest. Any failure is sticky and reported by fr_doc_finish. */
typedef struct fr_doc_builder {
    uint8_t *data;
    size_t size, capacity;
    uint32_t depth;
    struct { size_t at; uint32_t count; } open[FR_DOC_DEPTH_MAX];
    fr_code code;
    bool key_open; /* a key waits for its value */
    size_t limit; /* bytes; 0 = 4 x FR_METADATA_BYTES_MAX, what a request's lists may have more is set by who bounds them */
} fr_doc_builder; /* zero-initialise; fr_doc_free when done; fr_doc_reset to reuse */
void fr_doc_put_null(fr_doc_builder *b);
void fr_doc_put_bool(fr_doc_builder *b, bool v);
void fr_doc_put_int(fr_doc_builder *b, int64_t v);
void fr_doc_put_float(fr_doc_builder *b, double v);
void fr_doc_put_string(fr_doc_builder *b, const void *data, size_t size);
void fr_doc_put_value(fr_doc_builder *b, fr_doc value); /* a copy */
void fr_doc_put_key(fr_doc_builder *b, const void *data, size_t size); /* inside an object, before its value */
void fr_doc_begin_array(fr_doc_builder *b);
void fr_doc_end_array(fr_doc_builder *b);
void fr_doc_begin_object(fr_doc_builder *b);
void fr_doc_end_object(fr_doc_builder *b);
fr_code fr_doc_finish(fr_doc_builder *b, fr_span *bytes_out); /* borrowed from the builder */
void fr_doc_reset(fr_doc_builder *b);
void fr_doc_free(fr_doc_builder *b);

#endif
