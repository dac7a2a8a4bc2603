/* openapi.c: /openapi.json, made from the route table and the field tables, so that it cannot fall behind the code. */
#include "api/http/http_private.h"

static void text_pair(fr_out *out, const char *key, const char *text)
{
    fr_out_key(out, key);
    fr_out_cstring(out, text);
}

static void choices_out(fr_out *out, const char *choices)
{
    fr_out_key(out, "enum");
    fr_out_begin(out, '[');
    for (const char *at = choices; *at;) {
        size_t size = strcspn(at, "|");
        fr_out_string(out, fr_span_of(at, size));
        at += size + (at[size] == '|');
    }
    fr_out_end(out, ']');
}

static void types_out(fr_out *out, unsigned kinds)
{
    static const struct { unsigned kind; const char *name; } types[] = {
        {FR_IN_INT, "integer"}, {FR_IN_NUMBER, "number"}, {FR_IN_STRING, "string"},
        {FR_IN_BOOL, "boolean"}, {FR_IN_ARRAY, "array"}, {FR_IN_OBJECT, "object"}};
    bool several = (kinds & (kinds - 1)) != 0;
    if (several) {
        fr_out_key(out, "oneOf");
        fr_out_begin(out, '[');
    }
    for (size_t i = 0; i < FR_COUNT_OF(types); i++) {
        if (!(kinds & types[i].kind)) continue;
        if (several) fr_out_begin(out, '{');
        text_pair(out, "type", types[i].name);
        if (types[i].kind == FR_IN_ARRAY) fr_out_key(out, "items"), fr_out_text(out, "{}");
        if (several) fr_out_end(out, '}');
    }
    if (several) fr_out_end(out, ']');
}

static void fields_out(fr_out *out, const fr_in_field *fields, size_t count);

static void field_out(fr_out *out, const fr_in_field *field)
{
    fr_out_begin(out, '{');
    if (field->about) text_pair(out, "description", field->about);
    if (field->kinds & FR_IN_VECTOR) {
        fr_out_text(out, ",\"oneOf\":[{\"type\":\"array\",\"items\":{\"type\":\"number\"}},{\"type\":\"string\",\"format\":\"byte\"}]");
    } else if (field->kinds & FR_IN_VECTORS) {
        fr_out_text(out, ",\"type\":\"array\",\"items\":{\"oneOf\":[{\"type\":\"array\",\"items\":{\"type\":\"number\"}},"
                         "{\"type\":\"string\",\"format\":\"byte\"}]}");
    } else if (field->kinds & FR_IN_RECORDS) {
        fr_out_text(out, ",\"type\":\"array\",\"items\":");
        fields_out(out, fr_in_record, fr_in_record_count);
    } else if (field->kinds & FR_IN_SCHEMA) {
        fr_out_text(out, ",\"type\":\"array\",\"items\":");
        fields_out(out, fr_in_schema, fr_in_schema_count);
    } else {
        types_out(out, field->kinds);
    }
    if ((field->kinds & FR_IN_INT) && field->max) {
        fr_out_key(out, "minimum");
        fr_out_int(out, field->min);
        fr_out_key(out, "maximum");
        fr_out_int(out, field->max);
    }
    if (field->choices) choices_out(out, field->choices);
    fr_out_end(out, '}');
}

static void fields_out(fr_out *out, const fr_in_field *fields, size_t count)
{
    bool some = false;
    fr_out_begin(out, '{');
    text_pair(out, "type", "object");
    fr_out_key(out, "additionalProperties");
    fr_out_bool(out, false);
    fr_out_key(out, "properties");
    fr_out_begin(out, '{');
    for (size_t i = 0; i < count; i++) {
        fr_out_key(out, fields[i].name);
        field_out(out, &fields[i]);
        some |= fields[i].required;
    }
    fr_out_end(out, '}');
    if (some) {
        fr_out_key(out, "required");
        fr_out_begin(out, '[');
        for (size_t i = 0; i < count; i++)
            if (fields[i].required) fr_out_cstring(out, fields[i].name);
        fr_out_end(out, ']');
    }
    fr_out_end(out, '}');
}

static void parameter_out(fr_out *out, fr_span name, const char *place, const fr_in_field *field)
{
    fr_out_begin(out, '{');
    fr_out_key(out, "name");
    fr_out_string(out, name);
    text_pair(out, "in", place);
    fr_out_key(out, "required");
    fr_out_bool(out, !field || field->required);
    fr_out_key(out, "schema");
    if (field) field_out(out, field);
    else fr_out_text(out, "{\"type\":\"string\",\"pattern\":\"^[A-Za-z0-9._-]{1,249}$\"}");
    fr_out_end(out, '}');
}

static void parameters_out(fr_out *out, const fr_http_route *route)
{
    fr_out_key(out, "parameters");
    fr_out_begin(out, '[');
    for (const char *at = strchr(route->path, '{'); at; at = strchr(at + 1, '{'))
        parameter_out(out, fr_span_of(at + 1, strcspn(at + 1, "}")), "path", NULL);
    for (size_t i = 0; i < route->query_count; i++)
        parameter_out(out, fr_span_text(route->query[i].name), "query", &route->query[i]);
    fr_out_end(out, ']');
}

static void answers_out(fr_out *out, const fr_http_route *route)
{
    fr_out_key(out, "responses");
    fr_out_begin(out, '{');
    fr_out_key(out, "200");
    fr_out_begin(out, '{');
    text_pair(out, "description", "done");
    if (route->answer) {
        fr_out_text(out, ",\"content\":{\"application/json\":{\"example\":");
        fr_out_text(out, route->answer);
        fr_out_text(out, "}}");
    }
    fr_out_end(out, '}');
    fr_out_key(out, "default");
    fr_out_text(out, "{\"$ref\":\"#/components/responses/Error\"}");
    fr_out_end(out, '}');
}

static void method_key(fr_out *out, const char *method)
{
    char name[8];
    size_t size = 0;
    for (; method[size] && size + 1 < sizeof name; size++) name[size] = (char)(method[size] | 0x20);
    name[size] = 0;
    fr_out_key(out, name);
}

static void route_out(fr_out *out, const fr_http_route *route)
{
    method_key(out, route->method);
    fr_out_begin(out, '{');
    text_pair(out, "operationId", route->op);
    text_pair(out, "summary", route->about);
    text_pair(out, "x-access", route->policy->name);
    parameters_out(out, route);
    if (route->body) {
        fr_out_key(out, "requestBody");
        fr_out_text(out, "{\"content\":{\"application/json\":{\"schema\":");
        fields_out(out, route->body, route->body_count);
        fr_out_text(out, "}}}");
    }
    answers_out(out, route);
    fr_out_end(out, '}');
}

/* Routes of one path stand together in the table or not: each path is written where it first appears. */
static void paths_out(fr_out *out)
{
    size_t count = fr_http_route_count();
    for (size_t i = 0; i < count; i++) {
        bool first = true;
        for (size_t k = 0; k < i; k++) first &= strcmp(fr_http_routes[k].path, fr_http_routes[i].path) != 0;
        if (!first) continue;
        fr_out_key(out, fr_http_routes[i].path);
        fr_out_begin(out, '{');
        for (size_t k = i; k < count; k++)
            if (strcmp(fr_http_routes[k].path, fr_http_routes[i].path) == 0) route_out(out, &fr_http_routes[k]);
        fr_out_end(out, '}');
    }
}

fr_http_next fr_http_on_openapi(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    (void)door, (void)worker;
    fr_out *out = &call->out;
    fr_out_begin(out, '{');
    text_pair(out, "openapi", "3.0.3");
    fr_out_text(out, ",\"info\":{\"title\":\"freshet\",\"version\":\"" FR_VERSION "\",\"description\":\"Vector search that is fresh: "
                     "acknowledged means on disk and searchable.\"}");
    fr_out_key(out, "paths");
    fr_out_begin(out, '{');
    paths_out(out);
    fr_out_end(out, '}');
    fr_out_text(out, ",\"components\":{\"responses\":{\"Error\":{\"description\":\"400 and 404, 409, 413: the caller's; 429 and 503: "
                     "try again after Retry-After\",\"content\":{\"application/json\":{\"schema\":{\"type\":\"object\","
                     "\"properties\":{\"error\":{\"type\":\"object\",\"properties\":{\"code\":{\"type\":\"string\"},\"message\":{"
                     "\"type\":\"string\"},\"field\":{\"type\":\"string\",\"nullable\":true}}}}}}}}}}");
    fr_out_end(out, '}');
    return fr_http_done(call, 200);
}
