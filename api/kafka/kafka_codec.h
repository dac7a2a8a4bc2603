/* kafka_codec.h: Kafka's wire types, one interpreter over the tables of kafka_messages.c.
 *
 * A message is a C struct, allocated in an arena. A table row says where a field lies in its struct, its wire type, and in which
 * versions it is there, may be null, or is a tagged field. Decoding borrows: strings, bytes and records point into the frame.
 * Every length and count is checked against the bytes that are left before anything is allocated for it.
 */
#ifndef FR_KAFKA_CODEC_H
#define FR_KAFKA_CODEC_H

#include "api/base.h"

typedef enum fr_kafka_type {
    FR_KAFKA_BOOL,
    FR_KAFKA_INT8,
    FR_KAFKA_INT16,
    FR_KAFKA_UINT16,
    FR_KAFKA_INT32,
    FR_KAFKA_UINT32,
    FR_KAFKA_INT64,
    FR_KAFKA_FLOAT64, /* double */
    FR_KAFKA_UUID,
    FR_KAFKA_STRING,  /* fr_span; data NULL = null */
    FR_KAFKA_BYTES,   /* fr_span; data NULL = null */
    FR_KAFKA_RECORDS, /* fr_kafka_records */
    FR_KAFKA_STRUCT
} fr_kafka_type;

typedef struct fr_kafka_uuid {
    uint8_t bytes[16];
} fr_kafka_uuid;

/* Record batches. In a reply they are sent from where they are: from memory, or (data NULL, size > 0) from a file. */
typedef struct fr_kafka_records {
    const void *data;
    size_t size;
    int fd;
    int64_t position;
    bool null;
} fr_kafka_records;

/* count -1 = null */
#define FR_KAFKA_LIST(type)                                                                                            \
    struct {                                                                                                           \
        type *items;                                                                                                   \
        int32_t count;                                                                                                 \
    }

typedef struct fr_kafka_shape fr_kafka_shape;
typedef struct fr_kafka_field {
    const char *name;
    uint8_t type; /* fr_kafka_type */
    uint8_t many; /* an array of it */
    int8_t first, last, nullable_from, tagged_from; /* versions; 127 = never */
    uint16_t tag;
    size_t offset;
    const fr_kafka_shape *child;
    int32_t number; /* default; 1 = null for strings, bytes, arrays */
} fr_kafka_field;

struct fr_kafka_shape {
    const char *name;
    const fr_kafka_field *fields;
    size_t field_count, size;
};

typedef struct fr_kafka_message {
    int16_t key;
    bool request;
    int8_t first, last, flexible_from;
    const fr_kafka_shape *shape;
} fr_kafka_message;

static inline bool fr_kafka_flexible(const fr_kafka_message *message, int version) { return version >= message->flexible_from; }

/* count structs with their defaults; NULL: no memory (or over the arena's limit). count 0 answers a non-null pointer. */
void *fr_kafka_make(fr_arena *arena, const fr_kafka_shape *shape, int32_t count);
/* (list)->items = count structs of `name` with defaults; evaluates to false when there is no memory. */
#define FR_KAFKA_ITEMS(arena, list, name, n)                                                                           \
    (((list)->items = fr_kafka_make(arena, &fr_kafka_##name##_shape, n)) != NULL && (((list)->count = (n)), true))

/* Errors: INVALID (err.field names the field), NO_MEMORY. Bytes behind the message are not looked at, as in Kafka. */
fr_code fr_kafka_decode(const fr_kafka_message *message, int version, fr_span bytes, fr_arena *arena, void **struct_out, fr_err *err);

/* Growing output. Records are not copied: a splice stands at `at`, between two pieces of data. */
typedef struct fr_kafka_splice {
    size_t at;
    fr_kafka_records records;
} fr_kafka_splice;
typedef struct fr_kafka_out {
    uint8_t *data;
    size_t size, capacity;
    fr_kafka_splice *splices;
    uint32_t splice_count, splice_capacity;
    uint64_t spliced; /* bytes of all splices */
    size_t limit;     /* of size; 0 = none; stays over a reset */
    fr_code code;     /* NO_MEMORY and TOO_LARGE stick */
} fr_kafka_out; /* zero-initialise */
void fr_kafka_out_reset(fr_kafka_out *out);
void fr_kafka_out_free(fr_kafka_out *out);
void fr_kafka_out_put(fr_kafka_out *out, const void *data, size_t size);
void fr_kafka_out_be32(fr_kafka_out *out, uint32_t number);
void fr_kafka_out_be16(fr_kafka_out *out, uint16_t number);
void fr_kafka_out_byte(fr_kafka_out *out, uint8_t byte);

fr_code fr_kafka_encode(const fr_kafka_message *message, int version, const void *from, fr_kafka_out *out);

/* The request's header: key, version, correlation id, client id (null = size 0), tagged fields when the version is flexible. */
typedef struct fr_kafka_header {
    int16_t key, version;
    int32_t correlation;
    fr_span client_id;
} fr_kafka_header;
/* flexible: does this key and version have tagged fields in its header? *body_out: what follows. */
fr_code fr_kafka_header_decode(fr_span frame, bool (*flexible)(int16_t key, int16_t version), fr_kafka_header *header_out,
                               fr_span *body_out, fr_err *err);

#endif
