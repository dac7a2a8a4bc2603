/* config.h: settings from four places, weakest first: built-in, file, environment (FRESHET_NAME), flags (--name value).
 * Generic: a program brings its own table. In the file and on the command line '-' and '_' in names are the same.
 * The file is lines of `name = value`; # and ; begin comments; [serve] begins our section, other sections are passed over;
 * values may be in double quotes. Numbers may hold '_'; sizes end in k, m or g (powers of 1,024). */
#ifndef FR_CONFIG_H
#define FR_CONFIG_H

#include "api/base.h"

#include <stdio.h>

#define FR_CONFIG_TEXT_BYTES 1024u
#define FR_CONFIG_FILE_BYTES_MAX (64u << 10)

typedef enum fr_config_type { FR_CONFIG_TEXT, FR_CONFIG_INT, FR_CONFIG_BYTES, FR_CONFIG_SWITCH } fr_config_type;

typedef struct fr_config_option {
    const char *name; /* with '-' */
    fr_config_type type;
    const char *otherwise; /* the built-in value, as text; NULL = none */
    int64_t min, max;      /* INT, BYTES */
    const char *choices;   /* TEXT: "a|b"; NULL = any */
    const char *about;
} fr_config_option;

typedef struct fr_config_value {
    bool given;
    int64_t number; /* INT, BYTES, SWITCH */
    char text[FR_CONFIG_TEXT_BYTES];
    const char *origin; /* "built-in", "file", "environment", "flag" */
} fr_config_value;

/* values: one per option. The option named "config" (if any) names the file. help_out: --help was asked for.
 * errors: INVALID naming the option (and the line of the file); NOT_FOUND, TOO_LARGE the file */
fr_code fr_config_load(const fr_config_option *options, fr_config_value *values, size_t count, int argc, char **argv,
                       bool *help_out, fr_err *err);
const fr_config_value *fr_config_get(const fr_config_option *options, const fr_config_value *values, size_t count,
                                     const char *name);
void fr_config_usage(const fr_config_option *options, size_t count, FILE *to);
/* One layer alone: for tests. */
fr_code fr_config_file(const fr_config_option *options, fr_config_value *values, size_t count, const char *text, size_t size,
                       fr_err *err);

#endif
