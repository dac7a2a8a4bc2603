/* Every message of the tables in every version: what is written is read back the same, and no cut or turned byte hurts. */
#include "api/kafka/kafka_messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static uint64_t seed = 1;
static uint32_t dice(uint32_t sides)
{
    seed = fr_mix64(seed + 0x9e3779b97f4a7c15u);
    return (uint32_t)(seed % sides);
}

static void fill(fr_arena *arena, const fr_kafka_shape *shape, void *to, int version, bool flexible);

typedef struct any_list {
    void *items;
    int32_t count;
} any_list;

static void fill_one(fr_arena *arena, const fr_kafka_field *field, void *at, int version, bool flexible, bool may_be_null)
{
    static const char text[] = "abcdefghijklmnopqrstuvwxyz";
    fr_span span = dice(4) == 0 && may_be_null ? (fr_span){NULL, 0} : fr_span_of(text, dice(sizeof text));
    switch ((fr_kafka_type)field->type) {
    case FR_KAFKA_BOOL: *(bool *)at = dice(2); break;
    case FR_KAFKA_INT8: *(int8_t *)at = (int8_t)dice(256); break;
    case FR_KAFKA_INT16:
    case FR_KAFKA_UINT16: *(uint16_t *)at = (uint16_t)dice(65536); break;
    case FR_KAFKA_INT32:
    case FR_KAFKA_UINT32: *(uint32_t *)at = dice(UINT32_MAX); break;
    case FR_KAFKA_FLOAT64: *(double *)at = (double)dice(UINT32_MAX) / 7; break;
    case FR_KAFKA_INT64: *(int64_t *)at = (int64_t)((uint64_t)dice(UINT32_MAX) << 32 | dice(UINT32_MAX)); break;
    case FR_KAFKA_UUID: for (int i = 0; i < 16; i++) ((fr_kafka_uuid *)at)->bytes[i] = (uint8_t)dice(256); break;
    case FR_KAFKA_STRING:
    case FR_KAFKA_BYTES: *(fr_span *)at = span; break;
    case FR_KAFKA_RECORDS: *(fr_kafka_records *)at = (fr_kafka_records){.fd = -1}; break; /* spliced: below */
    case FR_KAFKA_STRUCT: fill(arena, field->child, at, version, flexible); break;
    }
}

static size_t element_size(const fr_kafka_field *field)
{
    static const size_t sizes[] = {sizeof(bool), 1, 2, 2, 4, 4, 8, 8, 16, sizeof(fr_span), sizeof(fr_span), sizeof(fr_kafka_records)};
    return field->type == FR_KAFKA_STRUCT ? field->child->size : sizes[field->type];
}

static void fill(fr_arena *arena, const fr_kafka_shape *shape, void *to, int version, bool flexible)
{
    void *plain = fr_kafka_make(arena, shape, 1);
    memcpy(to, plain, shape->size);
    for (size_t i = 0; i < shape->field_count; i++) {
        const fr_kafka_field *field = &shape->fields[i];
        void *at = (char *)to + field->offset;
        if (version < field->first || version > field->last || (version >= field->tagged_from && dice(2))) continue;
        if (!field->many) {
            fill_one(arena, field, at, version, flexible, version >= field->nullable_from);
            continue;
        }
        any_list *list = at;
        list->count = version >= field->nullable_from && dice(5) == 0 ? -1 : (int32_t)dice(4);
        if (list->count <= 0) continue;
        list->items = fr_arena_alloc(arena, (size_t)list->count * element_size(field));
        for (int32_t j = 0; j < list->count; j++)
            fill_one(arena, field, (char *)list->items + (size_t)j * element_size(field), version, flexible, false);
    }
}

static void each_version(void (*act)(const fr_kafka_message *message, int version))
{
    for (size_t i = 0; i < fr_kafka_pair_count; i++)
        for (int version = fr_kafka_pairs[i].request->first; version <= fr_kafka_pairs[i].request->last; version++) {
            act(fr_kafka_pairs[i].request, version);
            act(fr_kafka_pairs[i].response, version);
        }
}

static void there_and_back(const fr_kafka_message *message, int version)
{
    fr_arena arena;
    fr_kafka_out first = {0}, second = {0};
    fr_err err = {0};
    fr_arena_init(&arena, FR_MEM_TEST, 0);
    for (int round = 0; round < 8; round++) {
        void *from = fr_arena_alloc(&arena, message->shape->size), *back = NULL;
        fill(&arena, message->shape, from, version, fr_kafka_flexible(message, version));
        fr_kafka_out_reset(&first);
        fr_kafka_out_reset(&second);
        assert_int_equal(fr_kafka_encode(message, version, from, &first), FR_OK);
        fr_code code = fr_kafka_decode(message, version, fr_span_of(first.data, first.size), &arena, &back, &err);
        if (code != FR_OK) fail_msg("%s v%d: %s: %s", message->shape->name, version, err.field, err.text);
        assert_int_equal(fr_kafka_encode(message, version, back, &second), FR_OK);
        assert_int_equal(first.size, second.size);
        if (first.size) assert_memory_equal(first.data, second.data, first.size);
        for (int cut = 0; cut < 4 && first.size; cut++) { /* shorter, or with a turned byte: an error or not, never more */
            uint8_t *copy = fr_arena_copy(&arena, first.data, first.size);
            size_t size = dice(2) ? first.size : dice((uint32_t)first.size);
            if (size == first.size) copy[dice((uint32_t)size)] ^= (uint8_t)(1u << dice(8));
            uint8_t *exact = fr_alloc(FR_MEM_TEST, FR_MAX(size, 1u));
            memcpy(exact, copy, size);
            code = fr_kafka_decode(message, version, fr_span_of(exact, size), &arena, &back, &err);
            if (code != FR_OK) assert_int_equal(code, FR_ERR_INVALID);
            fr_free(FR_MEM_TEST, exact);
        }
    }
    fr_kafka_out_free(&first);
    fr_kafka_out_free(&second);
    fr_arena_free(&arena);
}

static void test_every_message(void **state)
{
    (void)state;
    each_version(there_and_back);
}

/* Bytes written down from the protocol's definition. */
static void test_known_bytes(void **state)
{
    (void)state;
    static const uint8_t metadata_9[] = {2, 3, 'a', 'b', 0, 1, 0, 0, 0}; /* one topic "ab", auto creation, two false, no tags */
    fr_arena arena;
    fr_err err;
    void *back = NULL;
    fr_arena_init(&arena, FR_MEM_TEST, 0);
    assert_int_equal(fr_kafka_decode(&fr_kafka_MetadataRequest_message, 9, fr_span_of(metadata_9, sizeof metadata_9), &arena, &back, &err),
                     FR_OK);
    const fr_kafka_MetadataRequest *request = back;
    assert_int_equal(request->topics.count, 1);
    assert_true(fr_span_equal(request->topics.items[0].name, fr_span_text("ab")));
    assert_true(request->allowAutoTopicCreation);
    static const uint8_t fetch_4[] = {255, 255, 255, 255, 0, 0, 1, 244, 0, 0, 0, 1, 0, 16, 0, 0, 1, 0, 0, 0, 0};
    assert_int_equal(fr_kafka_decode(&fr_kafka_FetchRequest_message, 4, fr_span_of(fetch_4, sizeof fetch_4), &arena, &back, &err), FR_OK);
    const fr_kafka_FetchRequest *fetch = back;
    assert_int_equal(fetch->maxWaitMs, 500);
    assert_int_equal(fetch->maxBytes, 1 << 20);
    assert_int_equal(fetch->isolationLevel, 1);
    assert_int_equal(fetch->sessionEpoch, -1); /* a default */
    fr_arena_free(&arena);
}

/* A count that the bytes cannot hold is refused before memory is taken for it. */
static void test_lying_counts(void **state)
{
    (void)state;
    static const uint8_t many[] = {0x7f, 0xff, 0xff, 0xff, 0, 1, 'a'}, negative[] = {0xff, 0xff, 0xff, 0xf0};
    static const uint8_t compact[] = {0xff, 0xff, 0xff, 0xff, 0x0f, 0}, endless[] = {0xff, 0xff, 0xff, 0xff, 0xff, 1};
    const struct {
        int version;
        fr_span bytes;
    } cases[] = {{1, fr_span_of(many, sizeof many)}, {1, fr_span_of(negative, sizeof negative)},
                 {9, fr_span_of(compact, sizeof compact)}, {9, fr_span_of(endless, sizeof endless)}, {1, fr_span_of(many, 3)}};
    for (size_t i = 0; i < FR_COUNT_OF(cases); i++) {
        fr_arena arena;
        fr_err err = {0};
        void *back = NULL;
        fr_arena_init(&arena, FR_MEM_TEST, 4096);
        assert_int_equal(fr_kafka_decode(&fr_kafka_MetadataRequest_message, cases[i].version, cases[i].bytes, &arena, &back, &err),
                         FR_ERR_INVALID);
        assert_string_equal(err.field, "topics");
        fr_arena_free(&arena);
    }
}

static void test_records_are_spliced(void **state)
{
    (void)state;
    fr_arena arena;
    fr_kafka_out out = {0};
    fr_arena_init(&arena, FR_MEM_TEST, 0);
    fr_kafka_FetchResponse *response = fr_kafka_make(&arena, &fr_kafka_FetchResponse_shape, 1);
    assert_true(FR_KAFKA_ITEMS(&arena, &response->responses, FetchableTopicResponse, 1));
    assert_true(FR_KAFKA_ITEMS(&arena, &response->responses.items[0].partitions, PartitionData, 2));
    response->responses.items[0].partitions.items[0].records = (fr_kafka_records){.fd = 7, .position = 100, .size = 1000};
    response->responses.items[0].partitions.items[1].records = (fr_kafka_records){.data = "xyz", .size = 3, .fd = -1};
    assert_int_equal(fr_kafka_encode(&fr_kafka_FetchResponse_message, 4, response, &out), FR_OK);
    assert_int_equal(out.splice_count, 2);
    assert_int_equal(out.spliced, 1003);
    assert_int_equal(fr_load_be32(out.data + out.splices[0].at - 4), 1000);
    assert_int_equal(fr_load_be32(out.data + out.splices[1].at - 4), 3);
    assert_int_equal(out.splices[1].at, out.size);
    fr_kafka_out_free(&out);
    fr_arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_message),
        cmocka_unit_test(test_known_bytes),
        cmocka_unit_test(test_lying_counts),
        cmocka_unit_test(test_records_are_spliced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
