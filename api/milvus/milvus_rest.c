/* milvus_rest.c: a REST call's life: route, body, the RPC behind it, errors. HTTP's status is 200 but for authentication. */
#include "api/milvus/milvus_rest_private.h"

#include <stdio.h>

#define KEPT_BYTES ((size_t)256 << 10)

/* ---- life ---- */

void fr_milvus_rest_init(fr_milvus_rest *rest)
{
    *rest = (fr_milvus_rest){.out.limit = FR_MILVUS_MESSAGE_BYTES_MAX};
    fr_milvus_call_init(&rest->call);
}

void fr_milvus_rest_reset(fr_milvus *door, fr_milvus_rest *rest)
{
    fr_milvus_call_reset(door, &rest->call);
    if (rest->builder.capacity > KEPT_BYTES) fr_doc_free(&rest->builder);
    else fr_doc_reset(&rest->builder);
    if (rest->out.capacity > KEPT_BYTES) fr_out_free(&rest->out);
    else fr_out_reset(&rest->out);
    rest->status = rest->code = 0, rest->route = NULL, rest->root = (fr_doc){NULL}, rest->schema = NULL;
    rest->parsed = rest->running = rest->int64_numbers = false;
}

void fr_milvus_rest_free(fr_milvus *door, fr_milvus_rest *rest)
{
    fr_milvus_rest_reset(door, rest);
    fr_milvus_call_free(door, &rest->call);
    fr_doc_free(&rest->builder);
    fr_out_free(&rest->out);
}

/* ---- answers ---- */

static fr_milvus_next say(fr_milvus_rest *rest, int status, int code, const char *words)
{
    rest->status = status, rest->code = code;
    fr_out_reset(&rest->out);
    fr_out_begin(&rest->out, '{');
    fr_out_key(&rest->out, "code");
    fr_out_int(&rest->out, code);
    fr_out_key(&rest->out, "message");
    fr_out_cstring(&rest->out, fr_utf8_valid(words, strlen(words)) ? words : "the request was refused");
    fr_out_end(&rest->out, '}');
    return FR_MILVUS_REPLY;
}

fr_milvus_next fr_milvus_rest_fail(fr_milvus_rest *rest, int code, const char *format, ...)
{
    char words[512];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    return say(rest, 200, code, words);
}

fr_milvus_next fr_milvus_rest_error(fr_milvus_rest *rest)
{
    fr_milvus_call *call = &rest->call;
    switch (call->status) {
    case FR_GRPC_OK: break;
    case FR_GRPC_UNAUTHENTICATED: return say(rest, 401, MILVUS_REST_NEED_AUTH, "user hasn't authenticated");
    case FR_GRPC_PERMISSION_DENIED: return say(rest, 403, MILVUS_NOT_PERMITTED, call->words);
    case FR_GRPC_RESOURCE_EXHAUSTED: return say(rest, 429, MILVUS_RATE_LIMIT, call->words);
    case FR_GRPC_UNAVAILABLE: return say(rest, 503, MILVUS_UNAVAILABLE, call->words);
    default: return say(rest, 200, MILVUS_UNEXPECTED, call->words);
    }
    const Milvus__Status *status = call->reply ? fr_milvus_status_of(call) : NULL;
    if (!status) return say(rest, 200, MILVUS_MEMORY, "no memory for the answer");
    return say(rest, 200, status->code, status->reason);
}

void fr_milvus_rest_begin(fr_milvus_rest *rest)
{
    rest->status = 200, rest->code = MILVUS_OK;
    fr_out_reset(&rest->out);
    fr_out_begin(&rest->out, '{');
    fr_out_key(&rest->out, "code");
    fr_out_int(&rest->out, 0);
    fr_out_key(&rest->out, "data");
}

fr_milvus_next fr_milvus_rest_end(fr_milvus_rest *rest)
{
    fr_out_end(&rest->out, '}');
    if (rest->out.code == FR_OK) return FR_MILVUS_REPLY;
    fr_code code = rest->out.code;
    fr_out_free(&rest->out);
    return say(rest, 200, code == FR_ERR_TOO_LARGE ? MILVUS_TOO_LARGE : MILVUS_MEMORY, "the answer is too large: ask for less");
}

fr_milvus_next fr_milvus_rest_empty(fr_milvus_rest *rest)
{
    fr_milvus_rest_begin(rest);
    fr_out_begin(&rest->out, '{');
    fr_out_end(&rest->out, '}');
    return fr_milvus_rest_end(rest);
}

void fr_milvus_rest_int64_out(fr_milvus_rest *rest, int64_t value)
{
    char text[24];
    if (rest->int64_numbers) {
        fr_out_int(&rest->out, value);
        return;
    }
    snprintf(text, sizeof text, "%lld", (long long)value);
    fr_out_cstring(&rest->out, text);
}

/* ---- the body ---- */

fr_doc fr_milvus_rest_get(const fr_milvus_rest *rest, const char *key)
{
    fr_doc value = fr_doc_get(rest->root, fr_span_text(key));
    return value.data && fr_doc_type(value) == FR_DOC_NULL ? (fr_doc){NULL} : value;
}

static char *value_text(fr_milvus_rest *rest, fr_doc value)
{
    fr_milvus_call *call = &rest->call;
    static char none[] = "";
    char *text = none;
    size_t size;
    switch (value.data ? fr_doc_type(value) : FR_DOC_NULL) {
    case FR_DOC_NULL: break;
    case FR_DOC_TRUE: text = fr_milvus_text(call, "true"); break;
    case FR_DOC_FALSE: text = fr_milvus_text(call, "false"); break;
    case FR_DOC_INT: text = fr_milvus_text(call, "%lld", (long long)fr_doc_int(value)); break;
    case FR_DOC_FLOAT: text = fr_milvus_text(call, "%.17g", fr_doc_number(value)); break;
    case FR_DOC_STRING: {
        fr_span span = fr_doc_string(value);
        if (memchr(span.data, 0, span.size)) break;
        text = fr_arena_alloc(&call->arena, span.size + 1);
        if (text) memcpy(text, span.data, span.size), text[span.size] = 0;
        break;
    }
    default: text = fr_milvus_rest_json(rest, value, &size); break;
    }
    return text ? text : none;
}

char *fr_milvus_rest_text(fr_milvus_rest *rest, fr_doc object, const char *key) { return value_text(rest, fr_doc_get(object, fr_span_text(key))); }

int64_t fr_milvus_rest_int(fr_doc object, const char *key, int64_t otherwise)
{
    fr_doc value = fr_doc_get(object, fr_span_text(key));
    char text[24];
    int64_t number;
    if (!value.data) return otherwise;
    if (fr_doc_type(value) == FR_DOC_INT) return fr_doc_int(value);
    if (fr_doc_type(value) != FR_DOC_STRING) return otherwise;
    fr_span span = fr_doc_string(value);
    if (span.size >= sizeof text) return otherwise;
    memcpy(text, span.data, span.size), text[span.size] = 0;
    return fr_milvus_int(text, &number) ? number : otherwise;
}

bool fr_milvus_rest_bool(fr_doc object, const char *key, bool otherwise)
{
    fr_doc value = fr_doc_get(object, fr_span_text(key));
    if (!value.data) return otherwise;
    if (fr_doc_type(value) == FR_DOC_STRING) return fr_doc_string(value).size == 4 && strncasecmp(fr_doc_string(value).data, "true", 4) == 0;
    return fr_doc_type(value) == FR_DOC_TRUE;
}

char **fr_milvus_rest_texts(fr_milvus_rest *rest, fr_doc object, const char *key, size_t *count_out)
{
    fr_doc list = fr_doc_get(object, fr_span_text(key)), value;
    uint32_t count = list.data && fr_doc_type(list) == FR_DOC_ARRAY ? fr_doc_count(list) : 0;
    char **out = fr_milvus_alloc(&rest->call, count * sizeof *out);
    *count_out = 0;
    if (!out || !count) return out;
    fr_doc_iter iter = fr_doc_begin(list);
    while (fr_doc_next(&iter, NULL, &value)) out[(*count_out)++] = value_text(rest, value);
    return out;
}

Milvus__KeyValuePair **fr_milvus_rest_pairs(fr_milvus_rest *rest, fr_doc object, size_t *count_out)
{
    uint32_t count = object.data && fr_doc_type(object) == FR_DOC_OBJECT ? fr_doc_count(object) : 0;
    Milvus__KeyValuePair **out = fr_milvus_alloc(&rest->call, count * sizeof *out);
    fr_span key;
    fr_doc value;
    *count_out = 0;
    if (!out || !count) return out;
    fr_doc_iter iter = fr_doc_begin(object);
    while (fr_doc_next(&iter, &key, &value)) {
        Milvus__KeyValuePair *one = fr_milvus_message(&rest->call.arena, &milvus__key_value_pair__descriptor);
        if (!one) break;
        one->key = fr_milvus_text(&rest->call, "%.*s", (int)FR_MIN(key.size, 1024u), (const char *)key.data);
        one->value = value_text(rest, value);
        if (!one->key) break;
        out[(*count_out)++] = one;
    }
    return out;
}

char *fr_milvus_rest_json(fr_milvus_rest *rest, fr_doc value, size_t *size_out)
{
    fr_out text = {0};
    fr_out_doc(&text, value);
    char *copy = text.code == FR_OK ? fr_arena_alloc(&rest->call.arena, text.size + 1) : NULL;
    *size_out = copy ? text.size : 0;
    if (copy) memcpy(copy, text.data, text.size), copy[text.size] = 0;
    fr_out_free(&text);
    return copy;
}

/* ---- RPCs ---- */

static void text_set(void *request, const ProtobufCMessageDescriptor *descriptor, const char *const *names, size_t count, char *text)
{
    for (size_t i = 0; i < count; i++) {
        const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field_by_name(descriptor, names[i]);
        if (!field || field->type != PROTOBUF_C_TYPE_STRING || field->label == PROTOBUF_C_LABEL_REPEATED) continue;
        *(char **)((uint8_t *)request + field->offset) = text;
        return;
    }
}

void *fr_milvus_rest_request(fr_milvus_rest *rest, const char *rpc)
{
    static const char *const collections[] = {"collection_name", "collectionName"}, *const databases[] = {"db_name", "dbName"};
    const ProtobufCMessageDescriptor *descriptor = fr_milvus_rpc_find(rpc)->request;
    void *request = fr_milvus_message(&rest->call.arena, descriptor);
    if (!request) return NULL;
    text_set(request, descriptor, collections, FR_COUNT_OF(collections), fr_milvus_rest_text(rest, rest->root, "collectionName"));
    text_set(request, descriptor, databases, FR_COUNT_OF(databases), fr_milvus_rest_text(rest, rest->root, "dbName"));
    return request;
}

bool fr_milvus_rest_run(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker, const char *rpc, void *request)
{
    fr_milvus_call *call = &rest->call;
    call->rpc = fr_milvus_rpc_find(rpc);
    call->request = request, call->reply = NULL, call->resume = NULL;
    call->known = false; /* each RPC asks for its own privilege */
    if (!request) {
        fr_milvus_rest_fail(rest, MILVUS_MEMORY, "no memory for the request");
        return false;
    }
    if (fr_milvus_admit(door, call, worker) == FR_MILVUS_SUBMITTED) call->rpc->handler(door, call, worker);
    return fr_milvus_rest_good(rest);
}

/* An RPC that may wait: call->rpc and call->request are set. REPLY: it has ended, well or not. */
fr_milvus_next fr_milvus_rest_go_on(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    fr_milvus_call *call = &rest->call;
    if (!call->known) {
        fr_milvus_next next = fr_milvus_admit(door, call, worker);
        if (next != FR_MILVUS_SUBMITTED) return next;
    }
    fr_milvus_handler *handler = call->resume ? call->resume : call->rpc->handler;
    return handler(door, call, worker);
}

bool fr_milvus_rest_good(fr_milvus_rest *rest)
{
    const Milvus__Status *status = rest->call.status == FR_GRPC_OK && rest->call.reply ? fr_milvus_status_of(&rest->call) : NULL;
    if (status && status->code == 0 && status->error_code == 0) return true;
    fr_milvus_rest_error(rest);
    return false;
}

/* ---- stepping ---- */

static const fr_milvus_rest_route *route_of(fr_span path)
{
    size_t skip = sizeof FR_MILVUS_REST_PREFIX - 1;
    if (path.size <= skip || memcmp(path.data, FR_MILVUS_REST_PREFIX, skip) != 0) return NULL;
    fr_span rest = fr_span_of((const char *)path.data + skip, path.size - skip);
    for (size_t i = 0; i < fr_milvus_rest_route_count; i++)
        if (fr_span_equal(fr_span_text(fr_milvus_rest_routes[i].path), rest)) return &fr_milvus_rest_routes[i];
    return NULL;
}

size_t fr_milvus_rest_count(void) { return fr_milvus_rest_route_count; }
const char *fr_milvus_rest_name(size_t index) { return index < fr_milvus_rest_route_count ? fr_milvus_rest_routes[index].path : "other"; }
size_t fr_milvus_rest_index(const fr_milvus_rest *rest)
{
    return rest->route ? (size_t)(rest->route - fr_milvus_rest_routes) : fr_milvus_rest_route_count;
}

static bool required_there(fr_milvus_rest *rest)
{
    const char *at = rest->route->required;
    char key[40];
    for (; at && *at; at += strspn(at, " ")) {
        size_t size = strcspn(at, " ");
        snprintf(key, sizeof key, "%.*s", (int)size, at);
        fr_doc value = fr_milvus_rest_get(rest, key);
        bool there = value.data && !(fr_doc_type(value) == FR_DOC_STRING && fr_doc_string(value).size == 0);
        if (!there) {
            fr_milvus_rest_fail(rest, MILVUS_REST_MISSING, "missing required parameters, error: %s is required", key);
            return false;
        }
        at += size;
    }
    return true;
}

static bool body_in(fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    fr_milvus_call *call = &rest->call;
    fr_span bytes;
    if (rest->body.size == 0) {
        fr_milvus_rest_fail(rest, MILVUS_REST_BAD_JSON, "can only accept json format request, error: the body is empty");
        return false;
    }
    fr_span body = rest->body;
    if (fr_span_equal(body, fr_span_text("null"))) body = fr_span_text("{}"); /* what a client sends that has nothing to say */
    rest->builder.limit = 5 * body.size + 4096; /* a number of two characters takes nine bytes; the body itself is bounded */
    fr_code code = fr_milvus_json_in(worker, body, &call->request_arena, &rest->builder, &call->err);
    if (code == FR_OK && (code = fr_doc_finish(&rest->builder, &bytes)) != FR_OK)
        fr_fail(&call->err, code, NULL, "a key twice, or objects nested too deep");
    if (code == FR_OK && fr_doc_type(fr_doc_root(bytes)) != FR_DOC_OBJECT) code = fr_fail(&call->err, FR_ERR_INVALID, NULL, "the body is no object");
    if (code != FR_OK) {
        fr_milvus_rest_fail(rest, MILVUS_REST_BAD_JSON, "can only accept json format request, error: %s", call->err.text);
        return false;
    }
    rest->root = fr_doc_root(bytes);
    fr_doc database = fr_milvus_rest_get(rest, "dbName");
    if (database.data && fr_doc_type(database) == FR_DOC_STRING && fr_doc_string(database).size <= FR_MILVUS_NAME_BYTES_MAX)
        snprintf(call->database, sizeof call->database, "%.*s", (int)fr_doc_string(database).size, (const char *)fr_doc_string(database).data);
    return required_there(rest);
}

/* Handlers of entities read the schema and say what they find in it: they are asked for after their RPC's rights. */
static fr_milvus_next guard(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    fr_milvus_call *call = &rest->call;
    call->rpc = fr_milvus_rpc_find(rest->route->rpc);
    call->request = fr_milvus_rest_request(rest, rest->route->rpc);
    if (!call->request) return fr_milvus_rest_fail(rest, MILVUS_MEMORY, "no memory for the request");
    fr_milvus_next next = fr_milvus_admit(door, call, worker);
    return next == FR_MILVUS_REPLY ? fr_milvus_rest_error(rest) : next;
}

fr_milvus_next fr_milvus_rest_step(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    fr_milvus_call *call = &rest->call;
    if (!rest->parsed) {
        if (!rest->route) rest->route = route_of(rest->path);
        if (!rest->route) return say(rest, 404, MILVUS_UNEXPECTED, "there is no such path");
        if (worker->loop && (rest->route->where == FR_MILVUS_WORKER || rest->body.size > FR_MILVUS_LOOP_BYTES_MAX))
            return rest->route->where == FR_MILVUS_REPLY ? FR_MILVUS_WORKER : rest->route->where;
        call->db = atomic_load_explicit(&door->db, memory_order_acquire); /* pairs with the release when the database is open */
        call->rest = true;
        if (!call->db) return say(rest, 503, MILVUS_NOT_READY, "the server is recovering");
        if (!body_in(rest, worker)) return FR_MILVUS_REPLY;
        call->message = rest->body; /* what his limits count */
        rest->parsed = true;
    }
    if (rest->route->handler && rest->route->rpc && !call->known) {
        fr_milvus_next next = guard(door, rest, worker);
        if (next != FR_MILVUS_SUBMITTED) return next;
    }
    if (rest->route->handler) return rest->route->handler(door, rest, worker);
    if (!fr_milvus_rest_run(door, rest, worker, rest->route->rpc, fr_milvus_rest_request(rest, rest->route->rpc))) return FR_MILVUS_REPLY;
    return fr_milvus_rest_empty(rest);
}

bool fr_milvus_rest_authorization(fr_span header, char *out, size_t room)
{
    static const char bearer[] = "Bearer ", basic[] = "Basic ";
    const char *text = header.data ? header.data : "";
    if (header.size > sizeof bearer - 1 && strncasecmp(text, bearer, sizeof bearer - 1) == 0) {
        size_t size = header.size - (sizeof bearer - 1);
        if (4 * ((size + 2) / 3) + 1 > room) return false;
        (void)fr_base64_encode(fr_span_of((const uint8_t *)text + sizeof bearer - 1, size), out);
        return true;
    }
    if (header.size <= sizeof basic - 1 || strncasecmp(text, basic, sizeof basic - 1) != 0) return false;
    size_t size = header.size - (sizeof basic - 1);
    if (size + 1 > room || memchr(text + sizeof basic - 1, 0, size)) return false;
    memcpy(out, text + sizeof basic - 1, size);
    out[size] = 0;
    return true;
}
