/* milvus_call.c: a call's life: finding its RPC, unpacking, stepping, packing; and helpers of handlers. */
#include "api/milvus/milvus_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define ARENA_BYTES_MAX ((size_t)512 << 20)
#define KEPT_BYTES ((size_t)256 << 10) /* buffers above this are given back after a call */

/* ---- life ---- */

fr_code fr_milvus_init(fr_milvus *door)
{
    *door = (fr_milvus){.cache = fr_milvus_cache_create()};
    return door->cache ? FR_OK : FR_ERR_NO_MEMORY;
}

void fr_milvus_free(fr_milvus *door)
{
    fr_milvus_cache_free(door->cache);
    door->cache = NULL;
}

void fr_milvus_call_init(fr_milvus_call *call)
{
    *call = (fr_milvus_call){0};
    fr_arena_init(&call->request_arena, FR_MEM_DOOR, 0);
    fr_arena_init(&call->arena, FR_MEM_DOOR, ARENA_BYTES_MAX);
}

static void arena_give(fr_arena *arena)
{
    if (arena->used > KEPT_BYTES) fr_arena_free(arena);
    else fr_arena_reset(arena);
}

void fr_milvus_call_reset(fr_milvus *door, fr_milvus_call *call)
{
    if (call->release) call->release(call);
    for (uint32_t i = 0; i < call->schema_count; i++) fr_milvus_schema_drop(door->cache, call->schemas[i]);
    arena_give(&call->request_arena);
    arena_give(&call->arena);
    if (call->batch.capacity > KEPT_BYTES) fr_batch_free(&call->batch);
    else fr_batch_reset(&call->batch);
    if (call->out.capacity > KEPT_BYTES) {
        fr_free(FR_MEM_DOOR, call->out.data);
        call->out = (fr_milvus_out){0};
    }
    call->out.size = 0;
    fr_milvus_call kept = *call;
    *call = (fr_milvus_call){.request_arena = kept.request_arena, .arena = kept.arena, .batch = kept.batch, .out = kept.out,
                             .wake = kept.wake, .carrier = kept.carrier};
    call->request_arena.limit = 0;
    call->arena.limit = ARENA_BYTES_MAX; /* unpacking into it may have lowered it */
}

void fr_milvus_call_free(fr_milvus *door, fr_milvus_call *call)
{
    fr_milvus_call_reset(door, call);
    fr_arena_free(&call->request_arena);
    fr_arena_free(&call->arena);
    fr_batch_free(&call->batch);
    fr_free(FR_MEM_DOOR, call->out.data);
    call->out = (fr_milvus_out){0};
}

void fr_milvus_refuse(fr_milvus_call *call, fr_grpc_status status, const char *words)
{
    call->status = status;
    snprintf(call->words, sizeof call->words, "%.*s", (int)sizeof call->words - 1, words);
    call->out.size = 0;
}

/* ---- stepping ---- */

static fr_milvus_next unimplemented(fr_milvus_call *call)
{
    char words[160];
    snprintf(words, sizeof words, "unknown method %.*s", (int)FR_MIN(call->path.size, 120u), (const char *)call->path.data);
    fr_milvus_refuse(call, FR_GRPC_UNIMPLEMENTED, words);
    return FR_MILVUS_REPLY;
}

static const fr_milvus_rpc *rpc_of(fr_span path)
{
    static const char service[] = "/milvus.proto.milvus.MilvusService/", health[] = "/grpc.health.v1.Health/Check";
    char name[64];
    if (fr_span_equal(path, fr_span_text(health))) return fr_milvus_rpc_find("grpc.health.v1.Health/Check");
    size_t skip = sizeof service - 1;
    if (path.size <= skip || path.size - skip >= sizeof name || memcmp(path.data, service, skip) != 0) return NULL;
    memcpy(name, (const char *)path.data + skip, path.size - skip);
    name[path.size - skip] = 0;
    return strchr(name, '/') ? NULL : fr_milvus_rpc_find(name);
}

/* The reply as bytes, when a handler has ended. */
static fr_milvus_next packed(fr_milvus_call *call, fr_milvus_next next)
{
    if (next != FR_MILVUS_REPLY || call->rest || call->status != FR_GRPC_OK) return next;
    if (!call->reply || !fr_milvus_pack(call->reply, &call->out)) {
        char words[96];
        snprintf(words, sizeof words, "the answer is over the limit of %u bytes, or there is no memory for it", FR_MILVUS_MESSAGE_BYTES_MAX);
        fr_milvus_refuse(call, FR_GRPC_RESOURCE_EXHAUSTED, words);
    }
    return next;
}

static fr_milvus_next handle(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    if (!call->request) {
        call->request = fr_milvus_unpack(call->rpc->request, call->message, &call->request_arena, &call->err);
        if (!call->request) {
            fr_milvus_refuse(call, call->err.code == FR_ERR_TOO_LARGE ? FR_GRPC_RESOURCE_EXHAUSTED : FR_GRPC_INVALID_ARGUMENT, call->err.text);
            return FR_MILVUS_REPLY;
        }
    }
    if (!call->known && !call->rpc->open) {
        fr_milvus_next next = fr_milvus_admit(door, call, worker);
        if (next != FR_MILVUS_SUBMITTED) return packed(call, next);
    }
    fr_milvus_handler *handler = call->resume ? call->resume : call->rpc->handler;
    return packed(call, handler(door, call, worker));
}

fr_milvus_next fr_milvus_begin(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    const fr_milvus_rpc *rpc = call->rpc = rpc_of(call->path);
    if (!rpc) return unimplemented(call);
    call->db = atomic_load_explicit(&door->db, memory_order_acquire); /* pairs with the release when the database is open */
    if (!call->db && !rpc->open) {
        fr_milvus_refuse(call, FR_GRPC_UNAVAILABLE, "the server is recovering");
        return FR_MILVUS_REPLY;
    }
    if (worker->loop && call->message.size > FR_MILVUS_LOOP_BYTES_MAX)
        return rpc->where == FR_MILVUS_REPLY ? FR_MILVUS_WORKER : rpc->where;
    if (worker->loop && (rpc->where == FR_MILVUS_WORKER || rpc->where == FR_MILVUS_CHORE)) return rpc->where;
    return handle(door, call, worker);
}

fr_milvus_next fr_milvus_step(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker) { return handle(door, call, worker); }

/* ---- helpers ---- */

void *fr_milvus_alloc(fr_milvus_call *call, size_t size)
{
    void *memory = fr_arena_alloc(&call->arena, FR_MAX(size, (size_t)1));
    if (memory) memset(memory, 0, size);
    return memory;
}

char *fr_milvus_text(fr_milvus_call *call, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = size < 0 ? NULL : fr_arena_alloc(&call->arena, (size_t)size + 1);
    if (text) vsnprintf(text, (size_t)size + 1, format, again);
    va_end(again);
    return text;
}

const char *fr_milvus_database(const fr_milvus_call *call)
{
    static const char *const names[] = {"db_name", "dbName"};
    for (size_t i = 0; call->request && i < FR_COUNT_OF(names); i++) {
        const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field_by_name(call->rpc->request, names[i]);
        if (!field || field->type != PROTOBUF_C_TYPE_STRING) continue;
        const char *name = *(char *const *)((const uint8_t *)call->request + field->offset);
        if (name && *name) return name;
    }
    return call->database[0] ? call->database : "default";
}

const fr_milvus_schema *fr_milvus_schema_in(fr_milvus *door, fr_milvus_call *call, const char *name)
{
    return fr_milvus_schema_at(door, call, fr_milvus_database(call), name);
}

const fr_milvus_schema *fr_milvus_schema_at(fr_milvus *door, fr_milvus_call *call, const char *database, const char *name)
{
    fr_milvus_schema *schema = NULL;
    if (call->schema_count == FR_COUNT_OF(call->schemas)) {
        fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "too many collections in one request");
        return NULL;
    }
    fr_code code = fr_milvus_cache_get(door->cache, call->db, database, name, &schema, &call->err);
    if (code != FR_OK) {
        fr_milvus_fail_missing(call, code, database, name);
        return NULL;
    }
    call->schemas[call->schema_count++] = schema;
    return schema;
}

static void write_done(fr_write *write)
{
    fr_milvus_call *call = write->user; /* an engine thread */
    call->wake(call);
}

fr_milvus_next fr_milvus_submit(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker, fr_milvus_handler *resume)
{
    call->resume = resume;
    call->write.done = write_done;
    call->write.user = call;
    fr_code code = fr_submit(call->db, &call->write, &call->write.err);
    if (code == FR_OK) return FR_MILVUS_SUBMITTED;
    call->write.code = code;
    return resume(door, call, worker);
}

const char *fr_milvus_param(Milvus__KeyValuePair *const *pairs, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(pairs[i]->key, key) == 0) return pairs[i]->value;
    return NULL;
}

bool fr_milvus_int(const char *text, int64_t *out)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end) return false;
    *out = value;
    return true;
}
