/* milvus_filter.c: a request's expression, template values and partitions as one filter with params.
 *
 * The engine's limit of a filter's text is 64 KiB; clients write thousands of keys into `id in [..]`. So a list of plain constants behind
 * `in` is taken out of the text and given as a value. Everything else of the language is the engine's (index/FILTERS.md). */
#include "api/milvus/milvus_entities.h"

#include "api/wall.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define LIST_NAME "__l" /* {__l0}, {__l1}, ... */

/* ==== constants ==== */

static size_t skip(const char *text, size_t size, size_t at)
{
    while (at < size && (text[at] == ' ' || text[at] == '\t' || text[at] == '\n' || text[at] == '\r')) at++;
    return at;
}

/* The end of the string that begins at `at`; size when it has none. */
static size_t string_end(const char *text, size_t size, size_t at, bool raw)
{
    char quote = text[at++];
    while (at < size && text[at] != quote) at += text[at] == '\\' && !raw ? 2 : 1;
    return at < size ? at + 1 : size;
}

static size_t put_string(fr_milvus_call *call, const char *text, size_t size, size_t at, fr_doc_builder *b)
{
    static const char names[] = "\\'\"/nrtbf", bytes[] = "\\'\"/\n\r\t\b\f";
    size_t end = string_end(text, size, at, false), out = 0;
    if (end >= size || text[end - 1] != text[at]) return 0; /* a list goes on behind it */
    const char *from = text + at + 1;
    size_t length = end - at - 2;
    if (memchr(from, '\\', length)) {
        char *copy = fr_arena_alloc(&call->arena, length + 1);
        if (!copy) return 0;
        for (size_t i = 0; i < length; i++) {
            if (from[i] != '\\') {
                copy[out++] = from[i];
                continue;
            }
            const char *name = ++i < length && from[i] ? strchr(names, from[i]) : NULL;
            if (!name) return 0; /* the rarer escapes: left in the text */
            copy[out++] = bytes[name - names];
        }
        from = copy, length = out;
    }
    if (!fr_utf8_valid(from, length)) return 0;
    if (b) fr_doc_put_string(b, from, length);
    return end;
}

static size_t put_number(const char *text, size_t size, size_t at, fr_doc_builder *b)
{
    char copy[64], *end;
    size_t length = 0;
    bool real = false;
    for (; at + length < size && length < sizeof copy - 1; length++) {
        char c = text[at + length];
        bool digit = c >= '0' && c <= '9', sign = (c == '-' || c == '+') && (length == 0 || copy[length - 1] == 'e' || copy[length - 1] == 'E');
        if (!digit && !sign && c != '.' && c != 'e' && c != 'E') break;
        real = real || c == '.' || c == 'e' || c == 'E';
        copy[length] = c;
    }
    copy[length] = 0;
    size_t sign = copy[0] == '-' || copy[0] == '+';
    if (length == sign || (copy[sign] == '0' && length > sign + 1 && !real)) return 0; /* none, or octal */
    int64_t integer;
    if (!real) {
        if (!fr_milvus_int(copy, &integer)) return 0;
        if (b) fr_doc_put_int(b, integer);
        return at + length;
    }
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* glibc's own static object: no memory */
    if (c_locale == (locale_t)0) return 0;
    double number = strtod_l(copy, &end, c_locale);
    freelocale(c_locale);
    if (*end || !isfinite(number)) return 0;
    if (b) fr_doc_put_float(b, number);
    return at + length;
}

static bool word_at(const char *text, size_t size, size_t at, const char *word)
{
    return size - at >= strlen(word) && memcmp(text + at, word, strlen(word)) == 0;
}

static size_t put_constant(fr_milvus_call *call, const char *text, size_t size, size_t at, fr_doc_builder *b)
{
    static const char *const words[] = {"true", "True", "TRUE", "false", "False", "FALSE"};
    if (at >= size) return 0;
    if (text[at] == '\'' || text[at] == '"') return put_string(call, text, size, at, b);
    for (size_t i = 0; i < FR_COUNT_OF(words); i++) {
        if (!word_at(text, size, at, words[i])) continue;
        if (b) fr_doc_put_bool(b, i < 3);
        return at + strlen(words[i]);
    }
    return put_number(text, size, at, b);
}

/* A list of constants at '['; its end, or 0: something else stands in it. */
static size_t put_list(fr_milvus_call *call, const char *text, size_t size, size_t at, fr_doc_builder *b)
{
    if (b) fr_doc_begin_array(b);
    at = skip(text, size, at + 1);
    while (at < size && text[at] != ']') {
        at = put_constant(call, text, size, at, b);
        if (at == 0) return 0;
        at = skip(text, size, at);
        if (at < size && text[at] == ',') at = skip(text, size, at + 1);
        else if (at < size && text[at] != ']') return 0;
    }
    if (at >= size) return 0;
    if (b) fr_doc_end_array(b);
    return at + 1;
}

/* ==== the text ==== */

static bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }

static bool after_in(const char *text, size_t at)
{
    while (at > 0 && (text[at - 1] == ' ' || text[at - 1] == '\t' || text[at - 1] == '\n' || text[at - 1] == '\r')) at--;
    bool in = at >= 2 && (memcmp(text + at - 2, "in", 2) == 0 || memcmp(text + at - 2, "IN", 2) == 0);
    return in && (at == 2 || (!letter(text[at - 3]) && text[at - 3] != '.'));
}

/* The expression with its lists taken out, into `out`; the lists into the open object of `b`. */
static void take_lists(fr_milvus_call *call, const char *text, fr_milvus_json_text *out, fr_doc_builder *b)
{
    size_t size = strlen(text), from = 0;
    uint32_t lists = 0;
    for (size_t at = 0; at < size;) {
        if (text[at] == '\'' || text[at] == '"') {
            at = string_end(text, size, at, at > 0 && (text[at - 1] == 'r' || text[at - 1] == 'R') && (at == 1 || !letter(text[at - 2])));
            continue;
        }
        size_t end = text[at] == '[' && after_in(text, at) ? put_list(call, text, size, at, NULL) : 0;
        if (end == 0) {
            at++;
            continue;
        }
        char name[32];
        snprintf(name, sizeof name, LIST_NAME "%u", lists++);
        fr_doc_put_key(b, name, strlen(name));
        (void)put_list(call, text, size, at, b);
        fr_milvus_json_bytes(out, text + from, at - from);
        fr_milvus_json_bytes(out, "{", 1);
        fr_milvus_json_bytes(out, name, strlen(name));
        fr_milvus_json_bytes(out, "}", 1);
        from = at = end;
    }
    fr_milvus_json_bytes(out, text + from, size - from);
}

/* ==== template values ==== */

static fr_code put_array(fr_milvus_call *call, fr_milvus_worker *worker, const Milvus__TemplateArrayValue *array, fr_doc_builder *b, uint32_t depth)
{
    if (depth > 16) return fr_fail(&call->err, FR_ERR_INVALID, NULL, "lists are nested deeper than 16");
    fr_doc_begin_array(b);
    switch (array ? (int)array->data_case : 0) {
    case MILVUS__TEMPLATE_ARRAY_VALUE__DATA_BOOL_DATA:
        for (size_t i = 0; i < array->bool_data->n_data; i++) fr_doc_put_bool(b, array->bool_data->data[i] != 0);
        break;
    case MILVUS__TEMPLATE_ARRAY_VALUE__DATA_LONG_DATA:
        for (size_t i = 0; i < array->long_data->n_data; i++) fr_doc_put_int(b, array->long_data->data[i]);
        break;
    case MILVUS__TEMPLATE_ARRAY_VALUE__DATA_DOUBLE_DATA:
        for (size_t i = 0; i < array->double_data->n_data; i++) fr_doc_put_float(b, array->double_data->data[i]);
        break;
    case MILVUS__TEMPLATE_ARRAY_VALUE__DATA_STRING_DATA:
        for (size_t i = 0; i < array->string_data->n_data; i++) fr_doc_put_string(b, array->string_data->data[i].data, array->string_data->data[i].len);
        break;
    case MILVUS__TEMPLATE_ARRAY_VALUE__DATA_ARRAY_DATA:
        for (size_t i = 0; i < array->array_data->n_data; i++) FR_TRY(put_array(call, worker, array->array_data->data[i], b, depth + 1));
        break;
    case MILVUS__TEMPLATE_ARRAY_VALUE__DATA_JSON_DATA:
        for (size_t i = 0; i < array->json_data->n_data; i++)
            FR_TRY(fr_milvus_json_in(worker, (fr_span){array->json_data->data[i].data, array->json_data->data[i].len}, &call->arena, b, &call->err));
        break;
    default: break;
    }
    fr_doc_end_array(b);
    return FR_OK;
}

static fr_code put_value(fr_milvus_call *call, fr_milvus_worker *worker, const Milvus__TemplateEntry *entry, fr_doc_builder *b)
{
    const Milvus__TemplateValue *v = entry->value;
    if (strncmp(entry->key, LIST_NAME, strlen(LIST_NAME)) == 0 || entry->key[0] == '$')
        return fr_fail(&call->err, FR_ERR_INVALID, NULL, "a template variable may not be named %.64s", entry->key);
    fr_doc_put_key(b, entry->key, strlen(entry->key));
    switch (v ? (int)v->val_case : 0) {
    case MILVUS__TEMPLATE_VALUE__VAL_BOOL_VAL: fr_doc_put_bool(b, v->bool_val != 0); return FR_OK;
    case MILVUS__TEMPLATE_VALUE__VAL_INT64_VAL: fr_doc_put_int(b, v->int64_val); return FR_OK;
    case MILVUS__TEMPLATE_VALUE__VAL_FLOAT_VAL: fr_doc_put_float(b, v->float_val); return FR_OK;
    case MILVUS__TEMPLATE_VALUE__VAL_STRING_VAL: fr_doc_put_string(b, v->string_val.data, v->string_val.len); return FR_OK;
    case MILVUS__TEMPLATE_VALUE__VAL_ARRAY_VAL: return put_array(call, worker, v->array_val, b, 0);
    default: return fr_fail(&call->err, FR_ERR_INVALID, NULL, "the template variable %.64s has no value that is known", entry->key);
    }
}

static bool is_true(const char *text) { return text && (strcmp(text, "true") == 0 || strcmp(text, "True") == 0); }

/* The fields whose text may be matched, with their analyzers. */
static fr_code put_analyzers(fr_milvus_call *call, fr_milvus_worker *worker, const fr_milvus_schema *schema, fr_doc_builder *b)
{
    fr_doc_put_key(b, "$analyzers", strlen("$analyzers"));
    fr_doc_begin_object(b);
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const fr_milvus_field *field = &schema->fields[i];
        if (!is_true(fr_milvus_pairs_get(&field->params, "enable_match"))) continue;
        const char *params = fr_milvus_pairs_get(&field->params, "analyzer_params");
        fr_doc_put_key(b, field->name, strlen(field->name));
        if (params && *params) {
            FR_TRY(fr_milvus_json_in(worker, fr_span_text(params), &call->arena, b, &call->err));
            continue;
        }
        fr_doc_begin_object(b);
        fr_doc_end_object(b);
    }
    fr_doc_end_object(b);
    return FR_OK;
}

/* ==== partitions ==== */

static bool put_partitions(fr_milvus_call *call, const fr_milvus_schema *schema, char *const *names, size_t count, fr_milvus_json_text *out)
{
    if (count == 0) return true;
    if (schema->partition_key >= 0) {
        fr_milvus_fail(call, MILVUS_INVALID_PARAMETER,
                       "not support manually specifying the partition names if partition key mode is used: invalid parameter");
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        char text[64];
        const fr_milvus_partition *partition = fr_milvus_partition_of(schema, names[i]);
        if (!partition) {
            fr_milvus_fail(call, MILVUS_PARTITION_NOT_FOUND, "partition not found[partition=%.200s]", names[i]);
            return false;
        }
        if (partition->id == 0) snprintf(text, sizeof text, "%s$meta[\"" FR_MILVUS_PARTITION_KEY "\"] is null", i ? " or " : "");
        else snprintf(text, sizeof text, "%s$meta[\"" FR_MILVUS_PARTITION_KEY "\"] == %lld", i ? " or " : "", (long long)partition->id);
        fr_milvus_json_bytes(out, text, strlen(text));
    }
    return true;
}

/* ==== age ==== */

int64_t fr_milvus_seconds(void) { return fr_wall_ms() / 1000; }

/* In whole seconds, so that the filter is the same for all of one. */
static void put_age(const fr_milvus_schema *schema, fr_milvus_json_text *out)
{
    char text[96];
    snprintf(text, sizeof text, "($meta[\"" FR_MILVUS_WRITTEN_KEY "\"] is null or $meta[\"" FR_MILVUS_WRITTEN_KEY "\"] >= %lld)",
             (long long)(fr_milvus_seconds() - schema->ttl_s));
    fr_milvus_json_bytes(out, text, strlen(text));
}

/* ==== doors ==== */

static bool blank(const char *text) { return !text || !text[skip(text, strlen(text), 0)]; }

/* A name alone is a condition only where it is a Bool: to the engine it would be a key that nobody has. */
static bool lone_name_ok(fr_milvus_call *call, const fr_milvus_schema *schema, const char *expression)
{
    size_t size = strlen(expression), from = skip(expression, size, 0), end = from;
    while (end < size && letter(expression[end])) end++;
    bool alone = end > from && end - from < 64 && (expression[from] < '0' || expression[from] > '9') && skip(expression, size, end) == size;
    char *name = alone ? fr_milvus_text(call, "%.*s", (int)(end - from), expression + from) : NULL;
    if (!name || schema->foreign || strcasecmp(name, "true") == 0 || strcasecmp(name, "false") == 0) return true;
    const fr_milvus_field *field = fr_milvus_field_of(schema, name);
    if ((field && field->type == FR_TYPE_BOOL) || (!field && !schema->dynamic)) return true; /* the engine says that it is not there */
    fr_milvus_fail(call, MILVUS_INVALID_PARAMETER,
                   "failed to create %s plan: predicate is not a boolean expression: %s, data type: %s: invalid parameter",
                   strcmp(call->rpc->name, "Delete") == 0 ? "delete" : "query", name, fr_milvus_type_name(field ? field->type : FR_TYPE_JSON));
    return false;
}

bool fr_milvus_filter(fr_milvus_call *call, fr_milvus_worker *worker, const fr_milvus_schema *schema, const char *expression,
                      Milvus__TemplateEntry *const *values, size_t value_count, char *const *partitions, size_t partition_count,
                      fr_condition *condition_out)
{
    *condition_out = (fr_condition){NULL, {NULL, 0}};
    bool none = blank(expression);
    if (none && partition_count == 0 && !schema->ttl_s) return true;
    if (!none && !lone_name_ok(call, schema, expression)) return false;
    fr_milvus_json_text text = {.arena = &call->arena};
    fr_doc_builder b = {.limit = FR_MILVUS_MESSAGE_BYTES_MAX};
    fr_span params;
    fr_doc_begin_object(&b);
    fr_code code = FR_OK;
    if (!none) {
        bool more = partition_count || schema->ttl_s;
        if (more) fr_milvus_json_bytes(&text, "(", 1);
        take_lists(call, expression, &text, &b);
        if (more) fr_milvus_json_bytes(&text, ") and ", 6);
        for (size_t i = 0; code == FR_OK && i < value_count; i++) code = put_value(call, worker, values[i], &b);
        bool match = strstr(expression, "_match") || strstr(expression, "_MATCH");
        if (code == FR_OK && match && !schema->foreign) code = put_analyzers(call, worker, schema, &b);
    }
    if (partition_count) fr_milvus_json_bytes(&text, "(", 1);
    bool fine = code == FR_OK && put_partitions(call, schema, partitions, partition_count, &text);
    if (code == FR_OK && !fine) {
        fr_doc_free(&b);
        return false;
    }
    if (partition_count) fr_milvus_json_bytes(&text, schema->ttl_s ? ") and " : ")", schema->ttl_s ? 6 : 1);
    if (schema->ttl_s) put_age(schema, &text);
    fr_milvus_json_bytes(&text, "", 1);
    fr_doc_end_object(&b);
    if (code == FR_OK && (code = fr_doc_finish(&b, &params)) != FR_OK)
        fr_fail(&call->err, code, NULL, "the values of the filter are too large, not UTF-8 or not finite");
    if (code == FR_OK && fr_doc_count(fr_doc_root(params)) != 0) {
        condition_out->params.data = fr_arena_copy(&call->arena, params.data, params.size);
        condition_out->params.size = params.size;
    }
    condition_out->filter = text.data;
    bool memory = !text.failed && (!condition_out->params.size || condition_out->params.data);
    fr_doc_free(&b);
    if (code == FR_OK && memory) return true;
    if (code == FR_OK) fr_milvus_fail(call, MILVUS_MEMORY, "no memory for the filter");
    else fr_milvus_fail_filter(call, expression, code, &call->err);
    return false;
}

fr_milvus_next fr_milvus_fail_filter(fr_milvus_call *call, const char *expression, fr_code code, const fr_err *err)
{
    if (code != FR_ERR_INVALID && code != FR_ERR_TOO_LARGE && code != FR_ERR_UNSUPPORTED) return fr_milvus_fail_fr(call, code, err, NULL, NULL);
    const char *plan = strcmp(call->rpc->name, "Delete") == 0 ? "delete" : "query";
    return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "failed to create %s plan: cannot parse expression: %.400s, error: %s: invalid parameter", plan,
                          expression ? expression : "", err->text);
}

fr_doc fr_milvus_filter_keys(const fr_milvus_schema *schema, const fr_condition *condition)
{
    const fr_doc none = {NULL};
    const char *text = condition->filter;
    if (!text || !condition->params.size) return none;
    size_t size = strlen(text), open = 0, at = skip(text, size, 0);
    for (; at < size && text[at] == '('; open++) at = skip(text, size, at + 1);
    const char *key = schema->fields[schema->primary].name;
    if (!word_at(text, size, at, key) || letter(text[at + strlen(key)])) return none;
    at = skip(text, size, at + strlen(key));
    if ((!word_at(text, size, at, "in") && !word_at(text, size, at, "IN")) || letter(text[at + 2])) return none;
    at = skip(text, size, at + 2);
    if (at >= size || text[at] != '{') return none;
    size_t name = skip(text, size, at + 1), end = name;
    while (end < size && letter(text[end])) end++;
    at = skip(text, size, end);
    if (at >= size || text[at] != '}') return none;
    for (at = skip(text, size, at + 1); at < size && text[at] == ')' && open; open--) at = skip(text, size, at + 1);
    if (at != size || open) return none;
    fr_doc list = fr_doc_get(fr_doc_root(condition->params), (fr_span){text + name, end - name});
    return list.data && fr_doc_type(list) == FR_DOC_ARRAY ? list : none;
}

/* ==== cursors ==== */

/* `> 17` or `> "text"` at *at, which moves behind it. Texts with escapes are left to the filter. */
static bool bound_in(fr_milvus_call *call, bool text, const char **at, fr_span *key_out)
{
    const char *p = *at;
    if (strncmp(p, " > ", 3) != 0) return false;
    p += 3;
    if (text) {
        size_t size = *p == '"' ? strcspn(p + 1, "\"\\") : 0;
        if (*p != '"' || p[size + 1] != '"') return false;
        *key_out = fr_span_of(p + 1, size);
        *at = p + size + 2;
        return true;
    }
    char digits[24];
    size_t size = (size_t)(*p == '-') + strspn(p + (*p == '-'), "0123456789");
    int64_t number;
    if (size >= sizeof digits) return false;
    memcpy(digits, p, size), digits[size] = 0;
    if (!fr_milvus_int(digits, &number)) return false;
    const char *canonical = fr_milvus_text(call, "%lld", (long long)number);
    if (!canonical) return false;
    *key_out = fr_span_text(canonical);
    *at = p + size;
    return true;
}

/* The end of what begins with '(' at `at`; NULL: it does not end. */
static const char *closing(const char *at)
{
    size_t depth = 0;
    for (char quote = 0; *at; at++) {
        if (quote) {
            if (*at == '\\' && at[1]) at++;
            else if (*at == quote) quote = 0;
        } else if (*at == '"' || *at == '\'') quote = *at;
        else if (*at == '(') depth++;
        else if (*at == ')' && --depth == 0) return at;
    }
    return NULL;
}

static const char *inside(fr_milvus_call *call, const char *open, const char *close)
{
    return fr_milvus_text(call, "%.*s", (int)(close - open - 1), open + 1);
}

/* The forms that clients' iterators write. */
bool fr_milvus_filter_cursor(fr_milvus_call *call, const fr_milvus_schema *schema, const char *expression, const char **rest_out, fr_span *after_out)
{
    const fr_milvus_field *primary = &schema->fields[schema->primary];
    bool text = primary->type == FR_TYPE_VARCHAR;
    size_t name = strlen(primary->name);
    const char *at = expression, *close;
    if (schema->foreign || strlen(expression) > FR_FILTER_BYTES_MAX) return false;
    if (*at == '(') { /* (...) and id > last */
        if (!(close = closing(at)) || strncmp(close + 1, " and ", 5) != 0 || strncmp(close + 6, primary->name, name) != 0) return false;
        const char *behind = close + 6 + name;
        return bound_in(call, text, &behind, after_out) && !*behind && (*rest_out = inside(call, at, close)) && !blank(*rest_out);
    }
    if (strncmp(at, primary->name, name) != 0) return false;
    at += name;
    if (!bound_in(call, text, &at, after_out)) return false;
    *rest_out = "";
    if (!*at) return true;
    if (strncmp(at, " and (", 6) != 0 || !(close = closing(at + 5)) || close[1]) return false;
    return (*rest_out = inside(call, at + 5, close)) && !blank(*rest_out);
}

/* ==== keys ==== */

bool fr_milvus_key_of(const fr_milvus_schema *schema, fr_doc value, char *text, fr_span *key_out)
{
    bool string = schema->fields[schema->primary].type == FR_TYPE_VARCHAR;
    if (fr_doc_type(value) != (string ? FR_DOC_STRING : FR_DOC_INT)) return false;
    if (string) *key_out = fr_doc_string(value);
    else *key_out = (fr_span){text, (size_t)snprintf(text, 24, "%lld", (long long)fr_doc_int(value))};
    return true;
}

bool fr_milvus_keys_in(fr_milvus_call *call, const fr_milvus_schema *schema, const Milvus__IDs *ids, fr_span **keys_out, uint32_t *count_out)
{
    bool text = schema->fields[schema->primary].type == FR_TYPE_VARCHAR;
    int want = text ? MILVUS__IDS__ID_FIELD_STR_ID : MILVUS__IDS__ID_FIELD_INT_ID;
    if (!ids || (int)ids->id_field_case != want) {
        fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "ids must be of the primary key's type: invalid parameter");
        return false;
    }
    size_t count = text ? ids->str_id->n_data : ids->int_id->n_data;
    fr_span *keys = count <= FR_MILVUS_QUERIES_MAX ? fr_milvus_alloc(call, count * sizeof *keys) : NULL;
    if (!keys) {
        fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "%zu ids, a request takes up to %u: invalid parameter", count, FR_MILVUS_QUERIES_MAX);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (text) {
            keys[i] = (fr_span){ids->str_id->data[i].data, ids->str_id->data[i].len};
            continue;
        }
        char *digits = fr_milvus_text(call, "%lld", (long long)ids->int_id->data[i]);
        keys[i] = fr_span_text(digits ? digits : "");
    }
    *keys_out = keys;
    *count_out = (uint32_t)count;
    return true;
}
