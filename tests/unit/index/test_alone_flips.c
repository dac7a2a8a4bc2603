/* Bits that turn in the file of an index, and files that are cut: it is refused, or it answers as it did. FRESHET_FLIPS=10000 tries longer,
 * FRESHET_SEED begins elsewhere. */
#include "api/base.h"
#include "api/freshet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define ROWS  150
#define DIM   8
#define BITS  64
#define WHOLE ((size_t)1 << 20)

typedef struct answers {
    uint64_t size;
    bool present[ROWS];
    float vectors[ROWS * DIM]; /* of the binary index: the first bytes */
    int64_t nearest[ROWS];
    float distances[ROWS];
} answers;

static char path[128];
static uint8_t file[WHOLE];
static size_t file_size;

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}
static uint64_t random_state;
static uint64_t some(uint64_t bound) { return fr_mix64(random_state += 0x9e3779b97f4a7c15u) % bound; }

static void vector_of(int64_t id, bool binary, float *out)
{
    uint8_t *bytes = (uint8_t *)out;
    for (uint32_t i = 0; i < DIM; i++) {
        uint64_t mixed = fr_mix64((uint64_t)id * 1000 + i);
        if (binary) bytes[i] = (uint8_t)mixed;
        else out[i] = (float)(mixed % 20001) / 100.0f - 100.0f;
    }
}

static void ask(fr_index *index, bool binary, answers *out)
{
    memset(out, 0, sizeof *out);
    out->size = fr_index_size(index);
    int64_t ids[ROWS];
    for (int64_t i = 0; i < ROWS; i++) ids[i] = i;
    assert_int_equal(fr_index_get(index, ids, ROWS, out->vectors, out->present), FR_OK);
    for (int64_t i = 0; i < ROWS; i++) {
        float query[DIM] = {0};
        vector_of(i, binary, query);
        assert_int_equal(fr_index_search_many(index, query, 1, 1, 64, 1, &out->nearest[i], &out->distances[i], NULL), FR_OK);
    }
}

static void make(const fr_index_options *options, answers *out)
{
    fr_index *index;
    fr_err err = {0};
    uint64_t removed;
    bool binary = options->type == FR_TYPE_VECTOR_BINARY;
    assert_int_equal(fr_index_create(options, &index, &err), FR_OK);
    for (int64_t i = 0; i < ROWS; i++) {
        float vector[DIM] = {0};
        vector_of(i, binary, vector);
        assert_int_equal(fr_index_add(index, &i, vector, 1, 1, &err), FR_OK);
    }
    for (int64_t i = 3; i < ROWS; i += 10) assert_int_equal(fr_index_remove(index, &i, 1, &removed), FR_OK);
    ask(index, binary, out);
    assert_int_equal(fr_index_save_file(index, path, &err), FR_OK);
    fr_index_free(index);
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    file_size = fread(file, 1, sizeof file, in);
    fclose(in);
    assert_true(file_size > 1000 && file_size < sizeof file);
}

/* True: it opened, and answered as it did. */
static bool try_file(size_t size, bool binary, const answers *wanted, const char *what)
{
    static answers have;
    fr_err err = {0};
    fr_index *index = NULL;
    FILE *to = fopen(path, "wb");
    assert_true(to != NULL && fwrite(file, 1, size, to) == size && fclose(to) == 0);
    fr_code code = fr_index_open_file(path, &index, &err);
    if (code != FR_OK) {
        if (code != FR_ERR_CORRUPT && code != FR_ERR_VERSION && code != FR_ERR_INVALID) fail_msg("%s: %s: %s", what, fr_strcode(code), err.text);
        return false;
    }
    ask(index, binary, &have);
    fr_index_free(index);
    if (memcmp(&have, wanted, sizeof have) != 0) fail_msg("%s: other answers (FRESHET_SEED %llu)", what, (unsigned long long)number_of("FRESHET_SEED", 1));
    return true;
}

static void flip_and_cut(const fr_index_options *options, uint64_t flips)
{
    static answers wanted;
    bool binary = options->type == FR_TYPE_VECTOR_BINARY;
    char what[80];
    uint64_t harmless = 0;
    make(options, &wanted);
    assert_true(try_file(file_size, binary, &wanted, "as it was saved"));
    for (uint64_t n = 0; n < flips; n++) {
        uint64_t places[8], bits[8], count = 1 + some(8), byte = some(file_size);
        for (uint32_t i = 0; i < 100 && file[byte] == 0; i++) byte = some(file_size); /* not padding */
        for (uint64_t i = 0; i < count; i++) {
            places[i] = byte + some(16), bits[i] = some(8);
            if (places[i] >= file_size) places[i] = byte;
            file[places[i]] ^= (uint8_t)(1u << bits[i]);
        }
        snprintf(what, sizeof what, "byte %llu, %llu bits", (unsigned long long)byte, (unsigned long long)count);
        harmless += try_file(file_size, binary, &wanted, what);
        for (uint64_t i = 0; i < count; i++) file[places[i]] ^= (uint8_t)(1u << bits[i]);
    }
    for (uint64_t n = 0; n < flips / 10; n++) {
        size_t size = (size_t)some(file_size);
        snprintf(what, sizeof what, "cut to %zu bytes", size);
        assert_false(try_file(size, binary, &wanted, what));
    }
    print_message("%llu flips: %llu refused, %llu harmless, 0 wrong; %llu cuts refused\n", (unsigned long long)flips,
                  (unsigned long long)(flips - harmless), (unsigned long long)harmless, (unsigned long long)(flips / 10));
}

static void a_damaged_file_never_answers_wrong(void **state)
{
    (void)state;
    fr_note_level((fr_level)-1);
    const char *root = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/fr_flips_%d.index", root != NULL ? root : "/tmp", (int)getpid());
    random_state = number_of("FRESHET_SEED", 1) * 3000017;
    uint64_t flips = number_of("FRESHET_FLIPS", 400);
    flip_and_cut(&(fr_index_options){.dimension = DIM, .metric = FR_METRIC_L2, .m = 8, .ef_construction = 40}, flips / 4);
    flip_and_cut(&(fr_index_options){.dimension = DIM, .metric = FR_METRIC_IP, .m = 8, .ef_construction = 40, .profile = FR_PROFILE_COMPACT}, flips / 4);
    flip_and_cut(&(fr_index_options){.dimension = DIM, .metric = FR_METRIC_L2, .m = 8, .ef_construction = 40, .codes = FR_CODES_NONE}, flips / 4);
    flip_and_cut(&(fr_index_options){.dimension = BITS, .metric = FR_METRIC_HAMMING, .m = 8, .ef_construction = 40, .type = FR_TYPE_VECTOR_BINARY}, flips / 4);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_damaged_file_never_answers_wrong)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
