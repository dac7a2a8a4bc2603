/* base64.h: bytes as text in JSON: cursors, binary vectors. */
#ifndef FR_BASE64_H
#define FR_BASE64_H

#include "api/base.h"

size_t fr_base64_encode(fr_span bytes, char *text_out); /* room: (4 x size + 2) / 3; returns how many letters */
/* How many bytes the text stands for, -1: it is not base64. Writes the first `max` only. */
int64_t fr_base64_decode(fr_span text, uint8_t *out, size_t max);

#endif
