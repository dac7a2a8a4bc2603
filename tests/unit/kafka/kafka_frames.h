/* kafka_frames.h: requests as frames, replies as structs. After cmocka.h. */
#ifndef FR_KAFKA_FRAMES_H
#define FR_KAFKA_FRAMES_H

#include "kafka_help.h"

/* A whole frame, without its length: header and body. */
static uint8_t frame[1 << 16];
static inline fr_span frame_of(const fr_kafka_message *message, int16_t version, const void *request)
{
    fr_kafka_out out = {0};
    fr_kafka_out_be16(&out, (uint16_t)message->key);
    fr_kafka_out_be16(&out, (uint16_t)version);
    fr_kafka_out_be32(&out, 77);
    fr_kafka_out_be16(&out, 4);
    fr_kafka_out_put(&out, "test", 4);
    if (fr_kafka_flexible(message, version)) fr_kafka_out_byte(&out, 0);
    assert_int_equal(fr_kafka_encode(message, version, request, &out), FR_OK);
    size_t size = 0, from = 0;
    for (uint32_t i = 0; i < out.splice_count; i++) { /* records lie in the frame */
        memcpy(frame + size, out.data + from, out.splices[i].at - from);
        size += out.splices[i].at - from;
        from = out.splices[i].at;
        memcpy(frame + size, out.splices[i].records.data, out.splices[i].records.size);
        size += out.splices[i].records.size;
    }
    memcpy(frame + size, out.data + from, out.size - from);
    size += out.size - from;
    fr_kafka_out_free(&out);
    return fr_span_of(frame, size);
}

/* The reply's struct, decoded from its bytes; records come from the splices. */
static inline void *reply_of(carried *self, const fr_kafka_message *message, int version, fr_arena *arena)
{
    static uint8_t bytes[1 << 16];
    const fr_kafka_out *out = &self->call.out;
    size_t size = 0, from = 0;
    void *response = NULL;
    fr_err err = {0};
    assert_int_equal(self->next, FR_KAFKA_REPLY);
    for (uint32_t i = 0; i < out->splice_count; i++) {
        memcpy(bytes + size, out->data + from, out->splices[i].at - from);
        size += out->splices[i].at - from;
        from = out->splices[i].at;
        assert_non_null(out->splices[i].records.data);
        memcpy(bytes + size, out->splices[i].records.data, out->splices[i].records.size);
        size += out->splices[i].records.size;
    }
    memcpy(bytes + size, out->data + from, out->size - from);
    size += out->size - from;
    assert_int_equal(fr_load_be32(bytes), size - 4);
    assert_int_equal(fr_load_be32(bytes + 4), 77);
    size_t header = message->key != 18 && fr_kafka_flexible(message, version) ? 9 : 8;
    fr_code code = fr_kafka_decode(message, version, fr_span_of(bytes + header, size - header), arena, &response, &err);
    if (code != FR_OK) fail_msg("%s: %s: %s", message->shape->name, err.field, err.text);
    return response;
}

#endif
