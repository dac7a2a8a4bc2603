/* milvus_errors.c: the one table of errors: an engine's code to Milvus's code, its legacy code, and whether to try again. */
#include "api/milvus/milvus_private.h"

#include <stdio.h>

/* ---- codes ---- */

static const struct {
    int code, legacy;
    bool retriable;
} codes[] = {
    {MILVUS_NOT_READY, 1, true},
    {MILVUS_UNAVAILABLE, 1, true},
    {MILVUS_MEMORY, 53, true},     /* memory quota exhausted: clients say so at once */
    {MILVUS_RATE_LIMIT, 49, true}, /* clients wait and try again */
    {MILVUS_COLLECTION_NOT_FOUND, 4, false},
    {MILVUS_SCHEMA_MISMATCH, 62, false},
    {MILVUS_PARTITION_NOT_FOUND, 15, false},
    {MILVUS_INDEX_NOT_FOUND, 25, false},
    {MILVUS_INVALID_PARAMETER, 5, false},
    {MILVUS_MISSING_PARAMETER, 5, false},
    {MILVUS_TOO_LARGE, 5, false},
    {MILVUS_NOT_PERMITTED, 3, false},
};

/* field: of the engine's error; says what was not found. */
int fr_milvus_code_of(fr_code code, const char *field)
{
    switch (code) {
    case FR_OK: return MILVUS_OK;
    case FR_ERR_NOT_FOUND:
        if (field && strcmp(field, "database") == 0) return MILVUS_DATABASE_NOT_FOUND;
        if (field && strcmp(field, "alias") == 0) return MILVUS_ALIAS_NOT_FOUND;
        if (field && *field && strcmp(field, "collection") != 0) return MILVUS_INVALID_PARAMETER;
        return MILVUS_COLLECTION_NOT_FOUND;
    case FR_ERR_INVALID:
    case FR_ERR_EXISTS: return MILVUS_INVALID_PARAMETER;
    case FR_ERR_TOO_LARGE: return MILVUS_TOO_LARGE;
    case FR_ERR_BUSY:
    case FR_ERR_BEHIND:
    case FR_ERR_TIMEOUT: return MILVUS_RATE_LIMIT;
    case FR_ERR_DISK_FULL: return MILVUS_DISK;
    case FR_ERR_NO_MEMORY: return MILVUS_MEMORY;
    case FR_ERR_READ_ONLY:
    case FR_ERR_CLOSED: return MILVUS_UNAVAILABLE;
    case FR_ERR_UNSUPPORTED: return MILVUS_UNSUPPORTED;
    case FR_ERR_DENIED: return MILVUS_NOT_PERMITTED;
    case FR_ERR_UNAUTHENTICATED: return MILVUS_NOT_AUTHENTICATED;
    case FR_ERR_CORRUPT:
    case FR_ERR_IO:
    case FR_ERR_LOCKED:
    case FR_ERR_VERSION:
    case FR_ERR_INTERNAL:
    case FR_CODE_COUNT: break;
    }
    return MILVUS_INTERNAL;
}

/* ---- answers by name ---- */

#define ANSWER(code) {code, false, #code}
static const struct {
    int code;
    bool grpc;
    const char *name;
} answers[] = {
    {0, false, "0"}, {1, false, "1"}, {2, false, "2"}, {3, false, "3"}, {5, false, "5"}, {7, false, "7"}, {8, false, "8"},
    ANSWER(100), ANSWER(101), ANSWER(104), ANSWER(105), ANSWER(109), ANSWER(200), ANSWER(201), ANSWER(700), ANSWER(702), ANSWER(800), ANSWER(802),
    ANSWER(1100), ANSWER(1101), ANSWER(1102), ANSWER(1400), ANSWER(1401), ANSWER(1600), ANSWER(1601), ANSWER(1602), ANSWER(1700), ANSWER(1701),
    ANSWER(1800), ANSWER(1801), ANSWER(1802), ANSWER(1804), ANSWER(3000), ANSWER(65535),
    {FR_GRPC_CANCELLED, true, "CANCELLED"}, {FR_GRPC_INVALID_ARGUMENT, true, "INVALID_ARGUMENT"},
    {FR_GRPC_DEADLINE_EXCEEDED, true, "DEADLINE_EXCEEDED"}, {FR_GRPC_PERMISSION_DENIED, true, "PERMISSION_DENIED"},
    {FR_GRPC_RESOURCE_EXHAUSTED, true, "RESOURCE_EXHAUSTED"}, {FR_GRPC_UNIMPLEMENTED, true, "UNIMPLEMENTED"},
    {FR_GRPC_UNAVAILABLE, true, "UNAVAILABLE"}, {FR_GRPC_UNAUTHENTICATED, true, "UNAUTHENTICATED"},
};

static size_t answer_of(int code, bool grpc)
{
    size_t i = 0;
    while (i < FR_COUNT_OF(answers) && (answers[i].code != code || answers[i].grpc != grpc)) i++;
    return i; /* the count is "other" */
}

size_t fr_milvus_answer_count(void) { return FR_COUNT_OF(answers) + 1; }
const char *fr_milvus_answer_name(size_t index) { return index < FR_COUNT_OF(answers) ? answers[index].name : "other"; }
size_t fr_milvus_answer_milvus(int code) { return answer_of(code, false); }
size_t fr_milvus_answer_grpc(int status) { return answer_of(status, status != FR_GRPC_OK); }

size_t fr_milvus_answer(const fr_milvus_call *call)
{
    if (call->status != FR_GRPC_OK || !call->rpc || !call->reply) return fr_milvus_answer_grpc(call->status);
    const ProtobufCMessageDescriptor *descriptor = call->rpc->reply;
    const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field(descriptor, 1);
    const Milvus__Status *status = NULL; /* none: success */
    if (descriptor == &milvus__status__descriptor) status = call->reply;
    else if (field && field->descriptor == &milvus__status__descriptor)
        status = *(Milvus__Status *const *)((const uint8_t *)call->reply + field->offset);
    return fr_milvus_answer_milvus(status ? status->code : MILVUS_OK);
}

/* ---- statuses ---- */

/* Every reply is a Status, or has one as its field 1. */
Milvus__Status *fr_milvus_status_of(fr_milvus_call *call)
{
    const ProtobufCMessageDescriptor *descriptor = call->rpc->reply;
    if (!call->reply) call->reply = fr_milvus_message(&call->arena, descriptor);
    if (!call->reply || descriptor == &milvus__status__descriptor) return call->reply;
    const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field(descriptor, 1);
    if (!field || field->descriptor != &milvus__status__descriptor) return NULL;
    Milvus__Status **slot = (Milvus__Status **)((uint8_t *)call->reply + field->offset);
    if (!*slot) *slot = fr_milvus_message(&call->arena, &milvus__status__descriptor);
    return *slot;
}

static fr_milvus_next no_memory(fr_milvus_call *call)
{
    fr_milvus_refuse(call, FR_GRPC_RESOURCE_EXHAUSTED, "no memory for the answer");
    return FR_MILVUS_REPLY;
}

fr_milvus_next fr_milvus_done(fr_milvus_call *call) { return fr_milvus_status_of(call) ? FR_MILVUS_REPLY : no_memory(call); }

static fr_milvus_next fail(fr_milvus_call *call, int code, bool input, const char *words)
{
    call->reply = NULL; /* what a handler has begun is not sent */
    Milvus__Status *status = fr_milvus_status_of(call);
    size_t size = strlen(words);
    char *reason = status ? fr_arena_copy(&call->arena, words, size + 1) : NULL;
    if (!reason) return no_memory(call);
    if (!fr_utf8_valid(reason, size)) /* text of a request may have been cut inside of a character */
        for (size_t i = 0; i < size; i++)
            if ((unsigned char)reason[i] >= 0x80) reason[i] = '?';
    status->code = code;
    status->error_code = 1; /* UnexpectedError */
    for (size_t i = 0; i < FR_COUNT_OF(codes); i++)
        if (codes[i].code == code) status->error_code = codes[i].legacy, status->retriable = codes[i].retriable;
    status->reason = status->detail = reason;
    if (!input) return FR_MILVUS_REPLY;
    Milvus__KeyValuePair *extra = fr_milvus_message(&call->arena, &milvus__key_value_pair__descriptor);
    Milvus__KeyValuePair **list = fr_milvus_alloc(call, sizeof *list);
    if (!extra || !list) return no_memory(call);
    static char key[] = "is_input_error", value[] = "true";
    extra->key = key, extra->value = value;
    list[0] = extra;
    status->extra_info = list, status->n_extra_info = 1;
    return FR_MILVUS_REPLY;
}

fr_milvus_next fr_milvus_fail(fr_milvus_call *call, int code, const char *format, ...)
{
    char words[2048]; /* a name, said twice, fits */
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    return fail(call, code, code >= MILVUS_COLLECTION_NOT_FOUND && code != MILVUS_UNEXPECTED, words);
}

bool fr_milvus_bad(fr_milvus_call *call, const char *format, ...)
{
    char words[512];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "%s: invalid parameter", words);
    return false;
}

/* A name that no collection of Milvus's could have is told as such; other doors' collections may have it. */
fr_milvus_next fr_milvus_fail_missing(fr_milvus_call *call, fr_code code, const char *database, const char *name)
{
    static const char *const unasked[] = {"CreateIndex", "Alter", "AddCollectionField", "Search", "Truncate", "Rename"}; /* they do not look at it before */
    bool collection = code == FR_ERR_NOT_FOUND && fr_milvus_code_of(code, call->err.field) == MILVUS_COLLECTION_NOT_FOUND;
    for (size_t i = 0; i < FR_COUNT_OF(unasked); i++) collection &= strstr(call->rpc->name, unasked[i]) == NULL;
    if (collection && !fr_milvus_name_ok(call, MILVUS_NAMED_COLLECTION, name)) return FR_MILVUS_REPLY;
    return fr_milvus_fail_fr(call, code, &call->err, database, name);
}

fr_milvus_next fr_milvus_fail_fr(fr_milvus_call *call, fr_code code, const fr_err *err, const char *database, const char *name)
{
    int number = fr_milvus_code_of(code, err->field);
    switch (number) {
    case MILVUS_DATABASE_NOT_FOUND: return fr_milvus_fail(call, number, "database not found[database=%s]", database ? database : "");
    case MILVUS_COLLECTION_NOT_FOUND:
        return fr_milvus_fail(call, number, "collection not found[database=%s][collection=%s]", database ? database : "", name ? name : "");
    case MILVUS_ALIAS_NOT_FOUND:
        return fr_milvus_fail(call, number, "alias not found[database=%s][alias=%s]", database ? database : "", name ? name : "");
    case MILVUS_INVALID_PARAMETER:
        return fr_milvus_fail(call, number, "%s%s%s: invalid parameter", err->field, err->field[0] ? ": " : "", err->text);
    default:
        return fr_milvus_fail(call, number, "%s%s%s", err->field, err->field[0] ? ": " : "", err->text[0] ? err->text : fr_strcode(code));
    }
}
