/* test_base64.c: the vectors of RFC 4648, both alphabets, what is refused, and every length there and back. */
#include "api/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void known_texts(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{"", ""},         {"f", "Zg=="},         {"fo", "Zm8="},
                                          {"foo", "Zm9v"},  {"foob", "Zm9vYg=="},  {"\xfb\xff", "+/8="}};
    char text[16];
    uint8_t out[8];
    for (size_t i = 0; i < FR_COUNT_OF(rows); i++) {
        assert_int_equal(fr_base64_encode(fr_span_text(rows[i][0]), text), strlen(rows[i][1]));
        assert_string_equal(text, rows[i][1]);
        assert_int_equal(fr_base64_decode(fr_span_text(text), out, sizeof out), strlen(rows[i][0]));
        assert_memory_equal(out, rows[i][0], strlen(rows[i][0]));
    }
    assert_int_equal(fr_base64_url_encode(fr_span_text("\xfb\xff"), text), 3);
    assert_memory_equal(text, "-_8", 3);
    assert_int_equal(fr_base64_decode(fr_span_text("-_8"), out, sizeof out), 2);
    assert_memory_equal(out, "\xfb\xff", 2);
}

static void what_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"Z", "Zm9vY", "Zg=", "Zg===", "====", "Zm 9", "Z*==", "=Zg="};
    uint8_t out[8];
    for (size_t i = 0; i < FR_COUNT_OF(bad); i++) assert_int_equal(fr_base64_decode(fr_span_text(bad[i]), out, sizeof out), -1);
    out[2] = 7;
    assert_int_equal(fr_base64_decode(fr_span_text("Zm9vYg=="), out, 2), 4); /* how many there are, not how many fit */
    assert_int_equal(out[2], 7);
}

static void every_length(void **state)
{
    (void)state;
    uint8_t bytes[64], out[64];
    char text[92];
    for (size_t size = 0; size <= sizeof bytes; size++) {
        for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)fr_mix64(size * 64 + i);
        assert_int_equal(fr_base64_encode(fr_span_of(bytes, size), text), (size + 2) / 3 * 4);
        assert_int_equal(fr_base64_decode(fr_span_text(text), out, sizeof out), size);
        assert_memory_equal(out, bytes, size);
        size_t letters = fr_base64_url_encode(fr_span_of(bytes, size), text);
        assert_int_equal(letters, (4 * size + 2) / 3);
        assert_int_equal(fr_base64_decode(fr_span_of(text, letters), out, sizeof out), size);
        assert_memory_equal(out, bytes, size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(known_texts), cmocka_unit_test(what_is_refused), cmocka_unit_test(every_length)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
