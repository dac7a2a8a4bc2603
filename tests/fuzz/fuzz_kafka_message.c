/* Any message of the tables: byte 0 chooses API and side, byte 1 the version. What decodes is written, read and written again: the
 * two texts must be equal. */
#include "api/kafka/kafka_messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    const fr_kafka_pair *pair = &fr_kafka_pairs[(data[0] >> 1) % fr_kafka_pair_count];
    const fr_kafka_message *message = data[0] & 1 ? pair->response : pair->request;
    int version = message->first + data[1] % (message->last - message->first + 1);
    fr_arena arena;
    fr_kafka_out first = {0}, second = {0};
    void *one = NULL, *two = NULL;
    fr_arena_init(&arena, FR_MEM_TEST, 64u << 20);
    if (fr_kafka_decode(message, version, fr_span_of(data + 2, size - 2), &arena, &one, NULL) == FR_OK &&
        fr_kafka_encode(message, version, one, &first) == FR_OK && first.spliced == 0) {
        FR_ASSERT(fr_kafka_decode(message, version, fr_span_of(first.data ? first.data : data, first.size), &arena, &two, NULL) == FR_OK);
        FR_ASSERT(fr_kafka_encode(message, version, two, &second) == FR_OK);
        FR_ASSERT(first.size == second.size && (first.size == 0 || memcmp(first.data, second.data, first.size) == 0));
    }
    fr_kafka_out_free(&first);
    fr_kafka_out_free(&second);
    fr_arena_free(&arena);
    return 0;
}
