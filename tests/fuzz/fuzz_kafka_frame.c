/* One connection's bytes as frames (16-bit lengths, so that small inputs hold several) through the whole door over a real database. */
#include "api/kafka/groups.h"
#include "tests/unit/kafka/kafka_help.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static fr_kafka door;
static carried one;

static int64_t now_ms(void)
{
    static int64_t clock;
    return clock += 500; /* each look is later */
}

static void close_all(void)
{
    carried_free(&door, &one);
    fr_kafka_groups_close(door.groups);
    kafka_close(door.db);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!door.db) {
        fr_err err;
        FR_ASSERT(fr_kafka_groups_open(kafka_open(&door), now_ms, 1, &door.groups, &err) == FR_OK);
        carried_init(&one);
        atexit(close_all);
    }
    for (int frames = 0; size >= 2 && frames < 8; frames++) {
        size_t length = FR_MIN((size_t)fr_load_be16(data), size - 2);
        uint8_t *frame = fr_alloc(FR_MEM_TEST, FR_MAX(length, 1u));
        memcpy(frame, data + 2, length);
        if (length > 1) frame[0] = 0; /* keys are below 256 */
        carried_begin(&door, &one, fr_span_of(frame, length));
        carried_expire(&door, &one);
        fr_kafka_call_reset(&door, &one.call);
        fr_free(FR_MEM_TEST, frame);
        data += 2 + length, size -= 2 + length;
    }
    return 0;
}
