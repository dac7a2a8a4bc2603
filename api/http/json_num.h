/* json_num.h: shortest decimal text of a float: the one thing C's library does not have. */
#ifndef FR_JSON_NUM_H
#define FR_JSON_NUM_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif
#define FR_JSON_NUM_BYTES 32u
/* Finite values only; room for FR_JSON_NUM_BYTES; returns how many were written, no NUL. */
size_t fr_json_float(char *text, float value);
size_t fr_json_double(char *text, double value);
#ifdef __cplusplus
}
#endif
#endif
