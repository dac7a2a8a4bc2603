/* base64.h: bytes as text: cursors, binary vectors, passwords. RFC 4648. */
#ifndef FR_BASE64_H
#define FR_BASE64_H

#include "api/base.h"

size_t fr_base64_encode(fr_span bytes, char *text_out);    /* padded, with a NUL: 4 * ((size + 2) / 3) + 1 bytes; returns the letters */
size_t fr_base64_url_encode(fr_span bytes, char *text_out); /* for URLs: no padding, no NUL: (4 x size + 2) / 3; returns the letters */
/* Either alphabet, padded or not. How many bytes the text stands for, -1: it is not base64. Writes the first `max` only. */
int64_t fr_base64_decode(fr_span text, uint8_t *out, size_t max);

#endif
