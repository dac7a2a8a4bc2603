/* json_dom.h: simdjson's document, callable from C. Leaf: the C library only. A value is valid until the next parse. */
#ifndef FR_JSON_DOM_H
#define FR_JSON_DOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FR_JSON_PADDING 64u /* bytes after the text that may be read */

typedef struct fr_json_dom fr_json_dom; /* one thread at a time */
fr_json_dom *fr_json_dom_create(void);  /* NULL: no memory */
void fr_json_dom_free(fr_json_dom *dom); /* accepts NULL */

typedef struct fr_json_value {
    uint64_t opaque[2];
} fr_json_value;

typedef enum fr_json_type {
    FR_JSON_NULL, FR_JSON_BOOL, FR_JSON_INT, FR_JSON_UINT, FR_JSON_DOUBLE, FR_JSON_STRING, FR_JSON_ARRAY, FR_JSON_OBJECT
} fr_json_type; /* UINT: above INT64_MAX */

typedef enum fr_json_outcome { FR_JSON_FINE = 0, FR_JSON_BAD, FR_JSON_TOO_DEEP, FR_JSON_NO_MEMORY } fr_json_outcome;

/* Parses the whole text: structure, UTF-8, numbers. size + FR_JSON_PADDING bytes must be readable. message: why not. */
fr_json_outcome fr_json_parse(fr_json_dom *dom, const void *text, size_t size, uint32_t depth_max, fr_json_value *root_out,
                              const char **message_out);
void fr_json_dom_trim(fr_json_dom *dom); /* gives large buffers back; values die */

fr_json_type fr_json_type_of(fr_json_value value);
bool fr_json_bool(fr_json_value value);
int64_t fr_json_int(fr_json_value value);
uint64_t fr_json_uint(fr_json_value value);
double fr_json_number(fr_json_value value); /* INT, UINT, DOUBLE */
const char *fr_json_string(fr_json_value value, size_t *size_out); /* unescaped, borrowed */

typedef struct fr_json_iter {
    uint64_t opaque[4];
    bool object;
} fr_json_iter;
fr_json_iter fr_json_begin(fr_json_value container);
bool fr_json_next(fr_json_iter *iter, const char **key_out, size_t *key_size_out, fr_json_value *value_out);

uint32_t fr_json_elements(fr_json_value container); /* of an array or an object */

/* An array of numbers to f32. Returns how many elements it has, or -1: *bad_out is then the index of the first element that is
 * not a number or not finite as f32 (*number_out says which). Writes the first `max` only. */
int64_t fr_json_floats(fr_json_value array, float *out, size_t max, size_t *bad_out, bool *number_out);

#ifdef __cplusplus
}
#endif
#endif
