/* kafka_json.c: a stored record as JSON text: what was produced as JSON comes back in the same form whatever door wrote it. */
#include "server/daemon/kafka_json.h"

#include "api/http/json_out.h"

static void vector_out(fr_out *out, const fr_value *value)
{
    fr_out_begin(out, '[');
    for (size_t i = 0; value->type == FR_TYPE_VECTOR_F32 && i < value->bytes.size / 4; i++) {
        float number; /* the record's bytes have no alignment */
        memcpy(&number, (const char *)value->bytes.data + i * 4, 4);
        fr_out_float(out, number);
    }
    for (size_t i = 0; value->type == FR_TYPE_VECTOR_I8 && i < value->bytes.size; i++)
        fr_out_int(out, ((const int8_t *)value->bytes.data)[i]);
    fr_out_end(out, ']');
}

fr_code fr_kafka_json_out(const fr_json_map *names, const fr_record *record, fr_kafka_out *to)
{
    fr_out out = {.limit = FR_REQUEST_BYTES_MAX};
    const fr_event *event = &record->event;
    fr_out_begin(&out, '{');
    for (uint32_t i = 0; i < event->value_count; i++) {
        const fr_value *value = &event->values[i];
        if (value->field == FR_FIELD_VECTOR) {
            fr_out_key(&out, names->vector);
            vector_out(&out, value);
        } else if (value->field == FR_FIELD_DYNAMIC) {
            fr_out_key(&out, names->metadata);
            fr_out_doc(&out, fr_doc_root(value->bytes));
        }
    }
    if (event->source_time_ms != FR_TIME_NONE) {
        fr_out_key(&out, names->timestamp);
        fr_out_int(&out, event->source_time_ms);
    }
    if (event->model_version.size) {
        fr_out_key(&out, names->model_version);
        fr_out_string(&out, event->model_version);
    }
    fr_out_end(&out, '}');
    if (out.code == FR_OK) fr_kafka_out_put(to, out.data, out.size);
    fr_code code = out.code != FR_OK ? out.code : to->code;
    fr_out_free(&out);
    return code;
}
