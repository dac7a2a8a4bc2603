/* config.c: settings from built-in values, a file, the environment and flags. Every input is bounded and refused by name. */
#include "server/daemon/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#define NAME_BYTES_MAX 64u

static bool name_equal(const char *name, const char *text, size_t size)
{
    if (strlen(name) != size) return false;
    for (size_t i = 0; i < size; i++) {
        char a = name[i] == '_' ? '-' : name[i], b = text[i] == '_' ? '-' : text[i];
        if (a != b) return false;
    }
    return true;
}

static size_t find(const fr_config_option *options, size_t count, const char *name, size_t size)
{
    size_t at = 0;
    while (at < count && !name_equal(options[at].name, name, size)) at++;
    return at;
}

static bool number_of(const char *text, bool bytes, int64_t *out)
{
    bool negative = *text == '-';
    uint64_t value = 0;
    const char *at = text + negative;
    if (!isdigit((unsigned char)*at)) return false;
    for (; isdigit((unsigned char)*at) || *at == '_'; at++) {
        if (*at == '_') continue;
        if (value > (uint64_t)INT64_MAX / 10 - 1) return false;
        value = value * 10 + (uint64_t)(*at - '0');
    }
    unsigned shift = 0;
    if (bytes && *at) shift = *at == 'k' || *at == 'K' ? 10 : *at == 'm' || *at == 'M' ? 20 : *at == 'g' || *at == 'G' ? 30 : 0;
    if (shift) {
        at++;
        if (value > (uint64_t)INT64_MAX >> shift) return false;
        value <<= shift;
        if (*at == 'i') at++;
        if (*at == 'B') at++;
    }
    if (*at) return false;
    *out = negative ? -(int64_t)value : (int64_t)value;
    return true;
}

static bool chosen(const char *choices, const char *text)
{
    size_t wanted = strlen(text);
    for (const char *at = choices; *at;) {
        size_t size = strcspn(at, "|");
        if (size == wanted && memcmp(at, text, size) == 0) return true;
        at += size + (at[size] == '|');
    }
    return false;
}

static fr_code set(const fr_config_option *option, fr_config_value *value, const char *text, const char *origin, fr_err *err)
{
    size_t size = strlen(text);
    if (size >= sizeof value->text)
        return fr_fail(err, FR_ERR_INVALID, option->name, "is longer than %zu bytes (%s)", sizeof value->text - 1, origin);
    if (option->type == FR_CONFIG_SWITCH) {
        bool on = !strcmp(text, "true") || !strcmp(text, "1") || !strcmp(text, "yes") || !strcmp(text, "on");
        bool off = !strcmp(text, "false") || !strcmp(text, "0") || !strcmp(text, "no") || !strcmp(text, "off");
        if (!on && !off) return fr_fail(err, FR_ERR_INVALID, option->name, "must be true or false (%s)", origin);
        value->number = on;
    } else if (option->type != FR_CONFIG_TEXT) {
        int64_t number;
        if (!number_of(text, option->type == FR_CONFIG_BYTES, &number) || number < option->min || number > option->max)
            return fr_fail(err, FR_ERR_INVALID, option->name, "must be a number between %lld and %lld, not \"%.64s\" (%s)",
                           (long long)option->min, (long long)option->max, text, origin);
        value->number = number;
    } else if (option->choices && !chosen(option->choices, text)) {
        return fr_fail(err, FR_ERR_INVALID, option->name, "must be one of %s (%s)", option->choices, origin);
    }
    memcpy(value->text, text, size + 1);
    value->given = true;
    value->origin = origin;
    return FR_OK;
}

/* ---- file ---- */

/* The value of a line into out: quoted with \" and \\, or bare up to a comment. */
static bool value_of(const char *at, const char *end, char *out, size_t capacity)
{
    size_t size = 0;
    while (at < end && (*at == ' ' || *at == '\t')) at++;
    if (at < end && *at == '"') {
        for (at++; at < end && *at != '"'; at++) {
            if (*at == '\\' && at + 1 < end && (at[1] == '"' || at[1] == '\\')) at++;
            if (size + 1 >= capacity) return false;
            out[size++] = *at;
        }
        if (at++ == end) return false;
        while (at < end && (*at == ' ' || *at == '\t')) at++;
        out[size] = 0;
        return at == end || *at == '#' || *at == ';';
    }
    const char *stop = at;
    while (stop < end && *stop != '#' && *stop != ';') stop++;
    while (stop > at && (stop[-1] == ' ' || stop[-1] == '\t')) stop--;
    size = (size_t)(stop - at);
    if (size >= capacity) return false;
    memcpy(out, at, size);
    out[size] = 0;
    return true;
}

typedef struct reading {
    const fr_config_option *options;
    fr_config_value *values;
    size_t count;
    bool ours; /* in our section */
    unsigned line;
    fr_err *err;
} reading;

static fr_code line_in(reading *in, const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t')) at++;
    while (end > at && (end[-1] == '\r' || end[-1] == ' ' || end[-1] == '\t')) end--;
    if (at == end || *at == '#' || *at == ';') return FR_OK;
    if (*at == '[') {
        const char *close = memchr(at, ']', (size_t)(end - at));
        if (!close) return fr_fail(in->err, FR_ERR_INVALID, "config", "line %u: the section has no ]", in->line);
        in->ours = name_equal("serve", at + 1, (size_t)(close - at - 1));
        return FR_OK;
    }
    if (!in->ours) return FR_OK;
    const char *equals = memchr(at, '=', (size_t)(end - at));
    if (!equals) return fr_fail(in->err, FR_ERR_INVALID, "config", "line %u: must be name = value", in->line);
    const char *stop = equals;
    while (stop > at && (stop[-1] == ' ' || stop[-1] == '\t')) stop--;
    size_t index = find(in->options, in->count, at, (size_t)(stop - at));
    if (index == in->count)
        return fr_fail(in->err, FR_ERR_INVALID, "config", "line %u: there is no option \"%.*s\"", in->line,
                       (int)FR_MIN((size_t)(stop - at), (size_t)NAME_BYTES_MAX), at);
    char text[FR_CONFIG_TEXT_BYTES];
    if (!value_of(equals + 1, end, text, sizeof text))
        return fr_fail(in->err, FR_ERR_INVALID, in->options[index].name, "line %u: the value is broken or too long", in->line);
    return set(&in->options[index], &in->values[index], text, "file", in->err);
}

fr_code fr_config_file(const fr_config_option *options, fr_config_value *values, size_t count, const char *text, size_t size,
                       fr_err *err)
{
    reading in = {.options = options, .values = values, .count = count, .ours = true, .err = err};
    if (size && memchr(text, 0, size)) return fr_fail(err, FR_ERR_INVALID, "config", "the file holds a NUL byte");
    const char *at = text, *end = text + size;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) stop = end;
        in.line++;
        FR_TRY(line_in(&in, at, stop));
        at = stop + 1;
    }
    return FR_OK;
}

static fr_code file_in(const fr_config_option *options, fr_config_value *values, size_t count, const char *path, fr_err *err)
{
    FILE *file = fopen(path, "rb");
    if (!file) return fr_fail(err, FR_ERR_NOT_FOUND, "config", "%.180s: %s", path, strerror(errno));
    char *text = fr_alloc(FR_MEM_DAEMON, FR_CONFIG_FILE_BYTES_MAX + 1);
    size_t size = text ? fread(text, 1, FR_CONFIG_FILE_BYTES_MAX + 1, file) : 0;
    int failed = ferror(file) ? errno : 0; /* a directory opens, but is not read */
    fclose(file);
    fr_code code = FR_OK;
    if (failed) code = fr_fail(err, FR_ERR_IO, "config", "%.180s: %s", path, strerror(failed));
    else if (!text) code = fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for the file");
    else if (size > FR_CONFIG_FILE_BYTES_MAX)
        code = fr_fail(err, FR_ERR_TOO_LARGE, "config", "%.180s is larger than %u bytes", path, FR_CONFIG_FILE_BYTES_MAX);
    else code = fr_config_file(options, values, count, text, size, err);
    fr_free(FR_MEM_DAEMON, text);
    return code;
}

/* ---- environment and flags ---- */

static const char *environment_of(const fr_config_option *option)
{
    char name[NAME_BYTES_MAX + 16];
    int size = snprintf(name, sizeof name, "FRESHET_%s", option->name);
    for (int i = 8; i < size && i < (int)sizeof name; i++)
        name[i] = name[i] == '-' ? '_' : (char)toupper((unsigned char)name[i]);
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* --name value, --name=value; a switch needs no value. only: look for this option alone (NULL = all). */
static fr_code flags_in(const fr_config_option *options, fr_config_value *values, size_t count, int argc, char **argv,
                        const char *only, bool *help_out, fr_err *err)
{
    for (int i = 1; i < argc; i++) {
        const char *flag = argv[i];
        if (!strcmp(flag, "--help") || !strcmp(flag, "-h")) {
            *help_out = true;
            continue;
        }
        if (strncmp(flag, "--", 2) != 0) return fr_fail(err, FR_ERR_INVALID, NULL, "\"%.64s\" is not an option", flag);
        size_t size = strcspn(flag + 2, "=");
        size_t index = find(options, count, flag + 2, size);
        if (index == count) return fr_fail(err, FR_ERR_INVALID, NULL, "there is no option %.64s", flag);
        const char *value = flag[2 + size] == '=' ? flag + 3 + size : NULL;
        if (!value && options[index].type == FR_CONFIG_SWITCH) value = "true";
        else if (!value && ++i < argc) value = argv[i];
        if (!value) return fr_fail(err, FR_ERR_INVALID, options[index].name, "needs a value");
        if (!only || !strcmp(only, options[index].name)) FR_TRY(set(&options[index], &values[index], value, "flag", err));
    }
    return FR_OK;
}

fr_code fr_config_load(const fr_config_option *options, fr_config_value *values, size_t count, int argc, char **argv,
                       bool *help_out, fr_err *err)
{
    *help_out = false;
    memset(values, 0, count * sizeof *values);
    for (size_t i = 0; i < count; i++)
        if (options[i].otherwise) FR_TRY(set(&options[i], &values[i], options[i].otherwise, "built-in", err));
    size_t file = find(options, count, "config", 6);
    if (file < count) {
        const char *named = environment_of(&options[file]);
        if (named) FR_TRY(set(&options[file], &values[file], named, "environment", err));
        FR_TRY(flags_in(options, values, count, argc, argv, "config", help_out, err));
        if (values[file].text[0]) {
            char path[FR_CONFIG_TEXT_BYTES];
            memcpy(path, values[file].text, sizeof path);
            FR_TRY(file_in(options, values, count, path, err));
        }
    }
    for (size_t i = 0; i < count; i++) {
        const char *text = environment_of(&options[i]);
        if (text) FR_TRY(set(&options[i], &values[i], text, "environment", err));
    }
    return flags_in(options, values, count, argc, argv, NULL, help_out, err);
}

const fr_config_value *fr_config_get(const fr_config_option *options, const fr_config_value *values, size_t count,
                                     const char *name)
{
    size_t at = find(options, count, name, strlen(name));
    FR_ASSERT(at < count);
    return &values[at];
}

void fr_config_usage(const fr_config_option *options, size_t count, FILE *to)
{
    for (size_t i = 0; i < count; i++) {
        fprintf(to, "  --%-20s %s", options[i].name, options[i].about);
        if (options[i].otherwise && options[i].otherwise[0]) fprintf(to, " (default %s)", options[i].otherwise);
        fputc('\n', to);
    }
}
