/* json_out.h: writes JSON text into a growing buffer with a limit. Separators are set by themselves: before a key or an
 * element a comma appears unless the container was just opened, so callers never count. Errors are sticky: write on, and
 * look at `code` once at the end. Numbers are the shortest text that reads back as the same bits. */
#ifndef FR_JSON_OUT_H
#define FR_JSON_OUT_H

#include "api/doc.h"

typedef struct fr_out {
    char *data;
    size_t size, capacity;
    size_t limit; /* 0 = none; beyond it code becomes TOO_LARGE */
    fr_code code; /* OK, TOO_LARGE, NO_MEMORY: sticky */
} fr_out;         /* zero-initialise; fr_out_free when done; fr_out_reset to reuse */

void fr_out_reset(fr_out *out);
void fr_out_free(fr_out *out);
void fr_out_raw(fr_out *out, const void *data, size_t size);
void fr_out_text(fr_out *out, const char *text);
void fr_out_format(fr_out *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

void fr_out_begin(fr_out *out, char bracket); /* '{' or '[' with the comma before it when needed */
void fr_out_end(fr_out *out, char bracket);
void fr_out_key(fr_out *out, const char *key); /* keys of ours: never escaped */
void fr_out_key_span(fr_out *out, fr_span key);
void fr_out_string(fr_out *out, fr_span text); /* valid UTF-8; control characters, quote and backslash are escaped */
void fr_out_cstring(fr_out *out, const char *text);
void fr_out_int(fr_out *out, int64_t value);
void fr_out_uint(fr_out *out, uint64_t value);
void fr_out_bool(fr_out *out, bool value);
void fr_out_null(fr_out *out);
void fr_out_float(fr_out *out, float value);   /* not finite: null */
void fr_out_double(fr_out *out, double value); /* not finite: null */
void fr_out_floats(fr_out *out, const float *values, size_t count); /* an array */
void fr_out_pairs(fr_out *out, fr_span pairs); /* a sparse vector's {u32, f32}, unaligned: {"7":0.5} */
void fr_out_bytes(fr_out *out, fr_span bytes); /* an array of numbers 0 to 255 */
void fr_out_doc(fr_out *out, fr_doc value); /* absent: null; floats keep a point or an exponent */

#endif
