/* milvus_wire.c: protobuf messages from bytes and to bytes.
 *
 * protobuf-c recurses as deep as the bytes say, keeps texts only up to their first NUL and does not look at UTF-8. So the bytes are
 * walked first: structure, depth, texts. Unpacking then takes its memory from an arena with a limit, so a small request cannot
 * become a large one. */
#include "api/milvus/milvus_private.h"

#define UNPACKED_SPARE ((size_t)64 << 10)

/* ---- the walk ---- */

typedef struct cursor {
    const uint8_t *at, *end;
} cursor;

static bool varint(cursor *in, uint64_t *out)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (in->at == in->end) return false;
        uint8_t byte = *in->at++;
        if (shift < 64) value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = value;
            return true;
        }
    }
    return false;
}

static fr_code broken(fr_err *err, const ProtobufCMessageDescriptor *in)
{
    return fr_fail(err, FR_ERR_INVALID, NULL, "the bytes are no message of type %s", in->short_name);
}

static fr_code walk(const ProtobufCMessageDescriptor *descriptor, cursor in, uint32_t depth, fr_err *err);

static fr_code walk_bytes(const ProtobufCMessageDescriptor *descriptor, uint32_t number, cursor part, uint32_t depth, fr_err *err)
{
    const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field(descriptor, number);
    size_t size = (size_t)(part.end - part.at);
    if (!field) return FR_OK;
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) return walk(field->descriptor, part, depth + 1, err);
    if (field->type != PROTOBUF_C_TYPE_STRING) return FR_OK;
    if (memchr(part.at, 0, size) || !fr_utf8_valid(part.at, size))
        return fr_fail(err, FR_ERR_INVALID, field->name, "must be UTF-8 without a NUL");
    return FR_OK;
}

static fr_code walk(const ProtobufCMessageDescriptor *descriptor, cursor in, uint32_t depth, fr_err *err)
{
    if (depth > FR_MILVUS_DEPTH_MAX) return fr_fail(err, FR_ERR_INVALID, NULL, "messages are nested deeper than %u", FR_MILVUS_DEPTH_MAX);
    while (in.at != in.end) {
        uint64_t key, value;
        if (!varint(&in, &key) || key >> 3 == 0 || key >> 32) return broken(err, descriptor);
        size_t left = (size_t)(in.end - in.at), size = 0;
        switch (key & 7) {
        case 0:
            if (!varint(&in, &value)) return broken(err, descriptor);
            continue;
        case 1: size = 8; break;
        case 5: size = 4; break;
        case 2:
            if (!varint(&in, &value)) return broken(err, descriptor);
            left = (size_t)(in.end - in.at);
            if (value > left) return broken(err, descriptor);
            size = (size_t)value;
            FR_TRY(walk_bytes(descriptor, (uint32_t)(key >> 3), (cursor){in.at, in.at + size}, depth, err));
            break;
        default: return broken(err, descriptor);
        }
        if (size > left) return broken(err, descriptor);
        in.at += size;
    }
    return FR_OK;
}

/* ---- in ---- */

static void *take(void *arena, size_t size) { return fr_arena_alloc(arena, FR_MAX(size, (size_t)1)); }
static void leave(void *arena, void *memory) { (void)arena, (void)memory; } /* all at once, with the arena */

void *fr_milvus_unpack(const ProtobufCMessageDescriptor *descriptor, fr_span bytes, fr_arena *arena, fr_err *err)
{
    const uint8_t *data = bytes.size ? bytes.data : (const uint8_t *)"";
    if (walk(descriptor, (cursor){data, data + bytes.size}, 0, err) != FR_OK) return NULL;
    size_t limit = FR_MIN(bytes.size * FR_MILVUS_UNPACKED_TIMES + UNPACKED_SPARE, FR_MILVUS_UNPACKED_BYTES_MAX);
    if (arena->limit == 0 || arena->limit > arena->used + limit) arena->limit = arena->used + limit;
    ProtobufCAllocator allocator = {.alloc = take, .free = leave, .allocator_data = arena};
    void *message = protobuf_c_message_unpack(descriptor, &allocator, bytes.size, data);
    if (message) return message;
    fr_fail(err, FR_ERR_TOO_LARGE, NULL, "the bytes are no message of type %s, or one that takes more than %zu bytes when unpacked",
            descriptor->short_name, limit);
    return NULL;
}

/* ---- out ---- */

void *fr_milvus_message(fr_arena *arena, const ProtobufCMessageDescriptor *descriptor)
{
    ProtobufCMessage *message = fr_arena_alloc(arena, descriptor->sizeof_message);
    if (message) protobuf_c_message_init(descriptor, message);
    return message;
}

bool fr_milvus_pack(const ProtobufCMessage *message, fr_milvus_out *out)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    if (size > FR_MILVUS_MESSAGE_BYTES_MAX) return false;
    if (out->capacity < size + 5) {
        uint8_t *data = fr_alloc(FR_MEM_DOOR, size + 5);
        if (!data) return false;
        fr_free(FR_MEM_DOOR, out->data);
        out->data = data, out->capacity = size + 5;
    }
    out->data[0] = 0; /* not compressed */
    fr_store_be32(out->data + 1, (uint32_t)size);
    protobuf_c_message_pack(message, out->data + 5);
    out->size = size + 5;
    return true;
}
