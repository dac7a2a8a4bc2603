/* kafka_codec.c: the interpreter of Kafka's message tables. Source: Kafka protocol guide; KIP-482 (compact types, tags). */
#include "api/kafka/kafka_codec.h"

#define OUT_FIRST 512u
#define SPLICES_FIRST 8u

typedef struct any_list {
    void *items;
    int32_t count;
} any_list;

/* ---- structs ---- */

static size_t size_of(const fr_kafka_field *field)
{
    switch ((fr_kafka_type)field->type) {
    case FR_KAFKA_BOOL: return sizeof(bool);
    case FR_KAFKA_INT8: return 1;
    case FR_KAFKA_INT16:
    case FR_KAFKA_UINT16: return 2;
    case FR_KAFKA_INT32:
    case FR_KAFKA_UINT32: return 4;
    case FR_KAFKA_INT64:
    case FR_KAFKA_FLOAT64: return 8;
    case FR_KAFKA_UUID: return sizeof(fr_kafka_uuid);
    case FR_KAFKA_STRING:
    case FR_KAFKA_BYTES: return sizeof(fr_span);
    case FR_KAFKA_RECORDS: return sizeof(fr_kafka_records);
    case FR_KAFKA_STRUCT: return field->child->size;
    }
    return 0;
}

static void number_set(const fr_kafka_field *field, void *at, int64_t number)
{
    switch ((fr_kafka_type)field->type) {
    case FR_KAFKA_BOOL: *(bool *)at = number != 0; break;
    case FR_KAFKA_INT8: *(int8_t *)at = (int8_t)number; break;
    case FR_KAFKA_INT16:
    case FR_KAFKA_UINT16: *(int16_t *)at = (int16_t)number; break;
    case FR_KAFKA_INT32:
    case FR_KAFKA_UINT32: *(int32_t *)at = (int32_t)number; break;
    case FR_KAFKA_INT64: *(int64_t *)at = number; break;
    case FR_KAFKA_FLOAT64: memcpy(at, &number, sizeof number); break; /* its bits */
    default: break;
    }
}

static int64_t number_get(const fr_kafka_field *field, const void *at)
{
    int64_t bits;
    switch ((fr_kafka_type)field->type) {
    case FR_KAFKA_BOOL: return *(const bool *)at;
    case FR_KAFKA_INT8: return *(const int8_t *)at;
    case FR_KAFKA_INT16: return *(const int16_t *)at;
    case FR_KAFKA_UINT16: return *(const uint16_t *)at;
    case FR_KAFKA_INT32: return *(const int32_t *)at;
    case FR_KAFKA_UINT32: return *(const uint32_t *)at;
    case FR_KAFKA_INT64: return *(const int64_t *)at;
    case FR_KAFKA_FLOAT64: memcpy(&bits, at, sizeof bits); return bits;
    default: return 0;
    }
}

static void defaults(const fr_kafka_shape *shape, void *to)
{
    memset(to, 0, shape->size);
    for (size_t i = 0; i < shape->field_count; i++) {
        const fr_kafka_field *field = &shape->fields[i];
        void *at = (char *)to + field->offset;
        if (field->many) {
            if (field->number) ((any_list *)at)->count = -1;
        } else if (field->type == FR_KAFKA_STRUCT) {
            defaults(field->child, at);
        } else if (field->type == FR_KAFKA_STRING || field->type == FR_KAFKA_BYTES) {
            if (!field->number) *(fr_span *)at = fr_span_of("", 0);
        } else {
            number_set(field, at, field->number);
        }
    }
}

void *fr_kafka_make(fr_arena *arena, const fr_kafka_shape *shape, int32_t count)
{
    size_t size = FR_MAX((size_t)count, 1u) * shape->size;
    char *items = fr_arena_alloc(arena, size);
    for (int32_t i = 0; items && i < count; i++) defaults(shape, items + (size_t)i * shape->size);
    return items;
}

/* ---- reading ---- */

typedef struct reader {
    const uint8_t *at, *end;
    fr_arena *arena;
    int version;
    bool flexible;
    fr_err *err;
} reader;

static size_t left(const reader *r) { return (size_t)(r->end - r->at); }

static __attribute__((cold)) fr_code cut(reader *r, const char *field)
{
    return fr_fail(r->err, FR_ERR_INVALID, field, "the message ends inside of this field");
}

static fr_code read_varint(reader *r, const char *field, uint32_t *out)
{
    uint32_t number = 0;
    *out = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        if (r->at == r->end) return cut(r, field);
        uint8_t byte = *r->at++;
        if (shift == 28 && byte > 15) break;
        number |= (uint32_t)(byte & 127) << shift;
        if (byte < 128) {
            *out = number;
            return FR_OK;
        }
    }
    return fr_fail(r->err, FR_ERR_INVALID, field, "a length has more than 32 bits");
}

static fr_code read_number(reader *r, const fr_kafka_field *field, void *at)
{
    static const uint8_t sizes[] = {1, 1, 2, 2, 4, 4, 8, 8};
    size_t size = sizes[field->type];
    if (left(r) < size) return cut(r, field->name);
    int64_t number = size == 1 ? (int8_t)*r->at : size == 2 ? (int16_t)fr_load_be16(r->at)
                     : size == 4 ? (int32_t)fr_load_be32(r->at) : (int64_t)fr_load_be64(r->at);
    number_set(field, at, number);
    r->at += size;
    return FR_OK;
}

/* A length: -1 = null. width: bytes of the fixed form. */
static fr_code read_length(reader *r, const fr_kafka_field *field, size_t width, int64_t *out)
{
    *out = -1;
    if (r->flexible) {
        uint32_t number;
        FR_TRY(read_varint(r, field->name, &number));
        *out = (int64_t)number - 1;
    } else {
        if (left(r) < width) return cut(r, field->name);
        *out = width == 2 ? (int16_t)fr_load_be16(r->at) : (int32_t)fr_load_be32(r->at);
        r->at += width;
    }
    if (*out < -1) return fr_fail(r->err, FR_ERR_INVALID, field->name, "the length %lld is negative", (long long)*out);
    if (*out == -1 && r->version < field->nullable_from)
        return fr_fail(r->err, FR_ERR_INVALID, field->name, "must not be null in version %d", r->version);
    return FR_OK;
}

static fr_code read_span(reader *r, const fr_kafka_field *field, void *at)
{
    int64_t size;
    FR_TRY(read_length(r, field, field->type == FR_KAFKA_STRING ? 2 : 4, &size));
    if (size > (int64_t)left(r)) return cut(r, field->name);
    if (field->type == FR_KAFKA_STRING && size > INT16_MAX) /* compact ones, too: as in Kafka's generated readers */
        return fr_fail(r->err, FR_ERR_INVALID, field->name, "a string has at most %d bytes", INT16_MAX);
    const uint8_t *data = r->at;
    if (size > 0) r->at += size;
    if (field->type == FR_KAFKA_RECORDS) {
        *(fr_kafka_records *)at = (fr_kafka_records){.data = size < 0 ? NULL : data, .size = size < 0 ? 0 : (size_t)size,
                                                     .fd = -1, .null = size < 0};
    } else {
        *(fr_span *)at = size < 0 ? (fr_span){NULL, 0} : fr_span_of(data, (size_t)size);
    }
    return FR_OK;
}

static fr_code read_struct(reader *r, const fr_kafka_shape *shape, void *to);

static fr_code read_one(reader *r, const fr_kafka_field *field, void *at)
{
    switch ((fr_kafka_type)field->type) {
    case FR_KAFKA_STRING:
    case FR_KAFKA_BYTES:
    case FR_KAFKA_RECORDS: return read_span(r, field, at);
    case FR_KAFKA_STRUCT: return read_struct(r, field->child, at);
    case FR_KAFKA_UUID:
        if (left(r) < sizeof(fr_kafka_uuid)) return cut(r, field->name);
        memcpy(at, r->at, sizeof(fr_kafka_uuid));
        r->at += sizeof(fr_kafka_uuid);
        return FR_OK;
    default: return read_number(r, field, at);
    }
}

/* The fewest bytes that one element takes on the wire: what bounds a count before anything is allocated. */
static size_t bytes_min(const fr_kafka_field *field, int version, bool flexible)
{
    static const uint8_t sizes[] = {1, 1, 2, 2, 4, 4, 8, 8, 16};
    if (field->type < FR_COUNT_OF(sizes)) return sizes[field->type];
    if (field->type != FR_KAFKA_STRUCT) return flexible ? 1 : field->type == FR_KAFKA_STRING ? 2 : 4;
    size_t size = flexible;
    for (size_t i = 0; i < field->child->field_count; i++) {
        const fr_kafka_field *inner = &field->child->fields[i];
        if (version < inner->first || version > inner->last || version >= inner->tagged_from) continue;
        size += inner->many ? (flexible ? 1 : 4) : bytes_min(inner, version, flexible);
    }
    return FR_MAX(size, 1u);
}

static fr_code read_list(reader *r, const fr_kafka_field *field, any_list *list)
{
    int64_t count;
    FR_TRY(read_length(r, field, 4, &count));
    list->items = NULL;
    list->count = (int32_t)FR_MAX(count, -1);
    if (count <= 0) return FR_OK;
    if ((uint64_t)count > left(r) / bytes_min(field, r->version, r->flexible))
        return fr_fail(r->err, FR_ERR_INVALID, field->name, "%lld elements cannot be in the %zu bytes that are left",
                       (long long)count, left(r));
    size_t size = size_of(field);
    char *items = fr_arena_alloc(r->arena, (size_t)count * size);
    if (!items) return fr_fail(r->err, FR_ERR_NO_MEMORY, field->name, "no memory for %lld elements", (long long)count);
    for (int64_t i = 0; i < count; i++) FR_TRY(read_one(r, field, items + (size_t)i * size));
    list->items = items;
    return FR_OK;
}

static fr_code read_field(reader *r, const fr_kafka_field *field, void *to)
{
    void *at = (char *)to + field->offset;
    return field->many ? read_list(r, field, at) : read_one(r, field, at);
}

static fr_code read_tags(reader *r, const fr_kafka_shape *shape, void *to)
{
    uint32_t count, tag, size;
    FR_TRY(read_varint(r, shape->name, &count));
    while (count-- > 0) {
        FR_TRY(read_varint(r, shape->name, &tag));
        FR_TRY(read_varint(r, shape->name, &size));
        if (size > left(r)) return cut(r, shape->name);
        const uint8_t *end = r->end, *next = r->at + size;
        r->end = next;
        for (size_t i = 0; i < shape->field_count; i++) {
            const fr_kafka_field *field = &shape->fields[i];
            if (r->version < field->tagged_from || r->version > field->last || field->tag != tag) continue;
            FR_TRY(read_field(r, field, to));
            break;
        }
        r->at = next, r->end = end;
    }
    return FR_OK;
}

static fr_code read_struct(reader *r, const fr_kafka_shape *shape, void *to)
{
    defaults(shape, to);
    for (size_t i = 0; i < shape->field_count; i++) {
        const fr_kafka_field *field = &shape->fields[i];
        if (r->version < field->first || r->version > field->last || r->version >= field->tagged_from) continue;
        FR_TRY(read_field(r, field, to));
    }
    return r->flexible ? read_tags(r, shape, to) : FR_OK;
}

fr_code fr_kafka_decode(const fr_kafka_message *message, int version, fr_span bytes, fr_arena *arena, void **struct_out, fr_err *err)
{
    reader r = {.at = bytes.data, .end = (const uint8_t *)bytes.data + bytes.size, .arena = arena, .version = version,
                .flexible = fr_kafka_flexible(message, version), .err = err};
    void *root = fr_arena_alloc(arena, message->shape->size);
    if (!root) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a request");
    FR_TRY(read_struct(&r, message->shape, root));
    *struct_out = root;
    return FR_OK;
}

fr_code fr_kafka_header_decode(fr_span frame, bool (*flexible)(int16_t key, int16_t version), fr_kafka_header *header_out,
                               fr_span *body_out, fr_err *err)
{
    static const fr_kafka_field client = {"client_id", FR_KAFKA_STRING, 0, 0, 127, 0, 127, 0, 0, NULL, 1};
    static const fr_kafka_shape tags = {"header", NULL, 0, 0};
    reader r = {.at = frame.data, .end = (const uint8_t *)frame.data + frame.size, .err = err};
    if (frame.size < 8) return cut(&r, "header");
    header_out->key = (int16_t)fr_load_be16(r.at);
    header_out->version = (int16_t)fr_load_be16(r.at + 2);
    header_out->correlation = (int32_t)fr_load_be32(r.at + 4);
    header_out->client_id = (fr_span){NULL, 0};
    r.at += 8;
    FR_TRY(read_span(&r, &client, &header_out->client_id));
    if (flexible(header_out->key, header_out->version)) {
        r.flexible = true;
        FR_TRY(read_tags(&r, &tags, NULL));
    }
    *body_out = fr_span_of(r.at, left(&r));
    return FR_OK;
}

/* ---- writing ---- */

void fr_kafka_out_reset(fr_kafka_out *out)
{
    out->size = 0, out->splice_count = 0, out->spliced = 0, out->code = FR_OK;
}

void fr_kafka_out_free(fr_kafka_out *out)
{
    fr_free(FR_MEM_DOOR, out->data);
    fr_free(FR_MEM_DOOR, out->splices);
    *out = (fr_kafka_out){.limit = out->limit};
}

static uint8_t *room(fr_kafka_out *out, size_t size)
{
    if (out->code != FR_OK) return NULL;
    if (out->limit && size > out->limit - FR_MIN(out->size, out->limit)) {
        out->code = FR_ERR_TOO_LARGE;
        return NULL;
    }
    if (size > out->capacity - out->size) {
        size_t capacity = FR_MAX(FR_MAX(out->capacity * 2, out->size + size), OUT_FIRST);
        uint8_t *data = fr_realloc(FR_MEM_DOOR, out->data, capacity);
        if (!data) {
            out->code = FR_ERR_NO_MEMORY;
            return NULL;
        }
        out->data = data, out->capacity = capacity;
    }
    uint8_t *at = out->data + out->size;
    out->size += size;
    return at;
}

void fr_kafka_out_put(fr_kafka_out *out, const void *data, size_t size)
{
    uint8_t *at = size ? room(out, size) : NULL;
    if (at) memcpy(at, data, size);
}

void fr_kafka_out_byte(fr_kafka_out *out, uint8_t byte) { fr_kafka_out_put(out, &byte, 1); }

void fr_kafka_out_be16(fr_kafka_out *out, uint16_t number)
{
    uint8_t *at = room(out, 2);
    if (at) fr_store_be16(at, number);
}

void fr_kafka_out_be32(fr_kafka_out *out, uint32_t number)
{
    uint8_t *at = room(out, 4);
    if (at) fr_store_be32(at, number);
}

static void put_varint(fr_kafka_out *out, uint32_t number)
{
    for (; number > 127; number >>= 7) fr_kafka_out_byte(out, (uint8_t)(number | 128));
    fr_kafka_out_byte(out, (uint8_t)number);
}

static void put_splice(fr_kafka_out *out, const fr_kafka_records *records)
{
    if (records->size == 0 || out->code != FR_OK) return;
    if (out->splice_count == out->splice_capacity) {
        uint32_t capacity = FR_MAX(out->splice_capacity * 2, SPLICES_FIRST);
        fr_kafka_splice *splices = fr_realloc(FR_MEM_DOOR, out->splices, capacity * sizeof *splices);
        if (!splices) {
            out->code = FR_ERR_NO_MEMORY;
            return;
        }
        out->splices = splices, out->splice_capacity = capacity;
    }
    out->splices[out->splice_count++] = (fr_kafka_splice){.at = out->size, .records = *records};
    out->spliced += records->size;
}

typedef struct writer {
    fr_kafka_out *out;
    int version;
    bool flexible;
} writer;

/* count -1 = null */
static void put_length(writer *w, int64_t count, size_t width)
{
    if (w->flexible) put_varint(w->out, (uint32_t)(count + 1));
    else if (width == 2) fr_kafka_out_be16(w->out, (uint16_t)count);
    else fr_kafka_out_be32(w->out, (uint32_t)count);
}

static void put_number(writer *w, const fr_kafka_field *field, const void *at)
{
    int64_t number = number_get(field, at);
    switch ((fr_kafka_type)field->type) {
    case FR_KAFKA_BOOL:
    case FR_KAFKA_INT8: fr_kafka_out_byte(w->out, (uint8_t)number); break;
    case FR_KAFKA_INT16:
    case FR_KAFKA_UINT16: fr_kafka_out_be16(w->out, (uint16_t)number); break;
    case FR_KAFKA_INT64:
    case FR_KAFKA_FLOAT64: fr_kafka_out_be32(w->out, (uint32_t)((uint64_t)number >> 32)); /* fall through */
    default: fr_kafka_out_be32(w->out, (uint32_t)number); break;
    }
}

static void put_struct(writer *w, const fr_kafka_shape *shape, const void *from);

static void put_one(writer *w, const fr_kafka_field *field, const void *at)
{
    const fr_span *span = at;
    const fr_kafka_records *records = at;
    switch ((fr_kafka_type)field->type) {
    case FR_KAFKA_STRING:
    case FR_KAFKA_BYTES: {
        bool null = span->data == NULL && w->version >= field->nullable_from;
        put_length(w, null ? -1 : (int64_t)span->size, field->type == FR_KAFKA_STRING ? 2 : 4);
        fr_kafka_out_put(w->out, span->data, span->size);
        break;
    }
    case FR_KAFKA_RECORDS:
        put_length(w, records->null ? -1 : (int64_t)records->size, 4);
        put_splice(w->out, records);
        break;
    case FR_KAFKA_STRUCT: put_struct(w, field->child, at); break;
    case FR_KAFKA_UUID: fr_kafka_out_put(w->out, at, sizeof(fr_kafka_uuid)); break;
    default: put_number(w, field, at); break;
    }
}

static void put_field(writer *w, const fr_kafka_field *field, const void *from)
{
    const char *at = (const char *)from + field->offset;
    if (!field->many) {
        put_one(w, field, at);
        return;
    }
    const any_list *list = (const void *)at;
    size_t size = size_of(field);
    put_length(w, list->count < 0 && w->version < field->nullable_from ? 0 : list->count, 4);
    for (int32_t i = 0; i < list->count; i++) put_one(w, field, (const char *)list->items + (size_t)i * size);
}

static bool is_default(const fr_kafka_field *field, const void *from);

static bool all_default(const fr_kafka_shape *shape, const void *from)
{
    for (size_t i = 0; i < shape->field_count; i++)
        if (!is_default(&shape->fields[i], from)) return false;
    return true;
}

static bool is_default(const fr_kafka_field *field, const void *from)
{
    const void *at = (const char *)from + field->offset;
    if (field->many) return ((const any_list *)at)->count == (field->number ? -1 : 0);
    switch ((fr_kafka_type)field->type) {
    case FR_KAFKA_STRUCT: return all_default(field->child, at);
    case FR_KAFKA_STRING:
    case FR_KAFKA_BYTES: return field->number ? ((const fr_span *)at)->data == NULL : ((const fr_span *)at)->size == 0;
    case FR_KAFKA_RECORDS: return ((const fr_kafka_records *)at)->size == 0;
    case FR_KAFKA_UUID: return memcmp(at, &(fr_kafka_uuid){0}, sizeof(fr_kafka_uuid)) == 0;
    default: return number_get(field, at) == field->number;
    }
}

static bool tagged_now(const writer *w, const fr_kafka_field *field, const void *from)
{
    return w->version >= field->tagged_from && w->version <= field->last && !is_default(field, from);
}

/* Tags ascend in every table. The size of a tagged field stands before it, so it is written aside first. */
static void put_tags(writer *w, const fr_kafka_shape *shape, const void *from)
{
    uint32_t count = 0;
    for (size_t i = 0; i < shape->field_count; i++) count += tagged_now(w, &shape->fields[i], from);
    put_varint(w->out, count);
    for (size_t i = 0; i < shape->field_count && count; i++) {
        if (!tagged_now(w, &shape->fields[i], from)) continue;
        fr_kafka_out aside = {.limit = w->out->limit};
        writer inner = {.out = &aside, .version = w->version, .flexible = true};
        put_field(&inner, &shape->fields[i], from);
        if (aside.code != FR_OK) w->out->code = aside.code;
        put_varint(w->out, shape->fields[i].tag);
        put_varint(w->out, (uint32_t)aside.size);
        fr_kafka_out_put(w->out, aside.data, aside.size);
        fr_kafka_out_free(&aside);
    }
}

static void put_struct(writer *w, const fr_kafka_shape *shape, const void *from)
{
    for (size_t i = 0; i < shape->field_count; i++) {
        const fr_kafka_field *field = &shape->fields[i];
        if (w->version < field->first || w->version > field->last || w->version >= field->tagged_from) continue;
        put_field(w, field, from);
    }
    if (w->flexible) put_tags(w, shape, from);
}

fr_code fr_kafka_encode(const fr_kafka_message *message, int version, const void *from, fr_kafka_out *out)
{
    writer w = {.out = out, .version = version, .flexible = fr_kafka_flexible(message, version)};
    put_struct(&w, message->shape, from);
    return out->code;
}
