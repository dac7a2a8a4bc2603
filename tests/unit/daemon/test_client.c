/* test_client.c: the text buffer that requests and exports are made with: what it writes reads back as the same value. */
#include "server/daemon/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void expect(fr_text *text, const char *wanted)
{
    fr_text_add(text, "", 1);
    assert_false(text->failed);
    assert_string_equal(text->data, wanted);
    fr_text_free(text);
}

static void strings_are_escaped(void **state)
{
    (void)state;
    fr_text text = {0};
    fr_text_json_string(&text, "a\"b\\c\n\x01\xc3\xa9\0z", 11);
    expect(&text, "\"a\\\"b\\\\c\\u000a\\u0001\xc3\xa9\\u0000z\"");
    fr_text_json_string(&text, "", 0);
    expect(&text, "\"\"");
}

static void paths_are_percent_encoded(void **state)
{
    (void)state;
    fr_text text = {0};
    fr_text_path(&text, "a.b_c-d/\xc3\xa9 %?#");
    expect(&text, "/a.b_c-d%2F%C3%A9%20%25%3F%23");
}

static void floats_read_back_as_themselves(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (int turn = 0; turn < 100000; turn++) {
        random = fr_mix64(random + 0x9e3779b97f4a7c15u);
        uint32_t bits = (uint32_t)random;
        float value;
        memcpy(&value, &bits, sizeof value);
        if ((bits & 0x7f800000u) == 0x7f800000u) continue; /* not finite */
        fr_text text = {0};
        fr_text_float(&text, value);
        fr_text_add(&text, "", 1);
        float back = strtof(text.data, NULL);
        if (back != value) fail_msg("%a became %s", (double)value, text.data);
        fr_text_free(&text);
    }
}

static void json_keeps_the_form_of_numbers(void **state)
{
    (void)state;
    static const char source[] = "{\"a\":[0.1,1e300,-2.5,3,1.0,9223372036854775807],\"b\":{\"x\":null,\"y\":[true,false]},\"c\":\"\\u00e9\"}";
    json_t *value = json_loads(source, 0, NULL);
    assert_non_null(value);
    fr_text text = {0};
    fr_text_json(&text, value);
    expect(&text, "{\"a\":[0.1,1e+300,-2.5,3,1.0,9223372036854775807],\"b\":{\"x\":null,\"y\":[true,false]},\"c\":\"\xc3\xa9\"}");
    json_decref(value);
}

static void a_failed_allocation_is_sticky(void **state)
{
    (void)state;
    fr_text text = {0};
    fr_mem_fail_at(1);
    fr_text_puts(&text, "lost");
    fr_mem_fail_at(0);
    assert_true(text.failed);
    fr_text_puts(&text, "also lost");
    assert_int_equal(text.size, 0);
    fr_text_free(&text);
}

static void a_server_that_is_not_there_is_an_error(void **state)
{
    (void)state;
    fr_client *client;
    fr_err err = {0};
    fr_reply reply = {0};
    assert_int_equal(fr_client_open("http://127.0.0.1:1/", &client, &err), FR_OK);
    assert_int_equal(fr_client_call(client, "GET", "/livez", NULL, &reply, &err), FR_ERR_IO);
    assert_non_null(strstr(err.text, "127.0.0.1:1"));
    fr_reply_free(&reply);
    fr_client_close(client);
    assert_int_equal(fr_client_open("", &client, &err), FR_ERR_INVALID);
    fr_client_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_escaped),
        cmocka_unit_test(paths_are_percent_encoded),
        cmocka_unit_test(floats_read_back_as_themselves),
        cmocka_unit_test(json_keeps_the_form_of_numbers),
        cmocka_unit_test(a_failed_allocation_is_sticky),
        cmocka_unit_test(a_server_that_is_not_there_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
