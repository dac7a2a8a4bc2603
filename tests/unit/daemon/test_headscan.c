/* test_headscan.c: one row per way to write a head. */
#include "server/daemon/headscan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct { const char *head; int status; bool chunked; } rows[] = {
    {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 0, false},
    {"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", 0, false},
    {"GET / HTTP/1.0\r\n\r\n", 0, false},
    {"POST /a?b=c HTTP/1.1\r\nHOST: x\r\nContent-Length: 5\r\n\r\nhello", 0, false},
    {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 0, true},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\ncontent-length: 5\r\n\r\n", 400, false},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400, false},
    {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400, false},
    {"POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 400, false},
    {"GET / HTTP/1.1\r\n\r\n", 400, false},
    {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, false},
    {"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n", 400, false},
    {"GET / HTTP/1.1\r\nHost: a\r\n\tX: 1\r\n\r\n", 400, false},
    {"GET / HTTP/1.1\nHost: a\n\n", 400, false},
    {"GET / HTTP/1.1\r\nHost: a\n\r\n", 400, false},
    {"GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", 400, false},
    {"GET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n", 400, false},
    {"GET / HTTP/1.1\r\nHost: a\r\n: 1\r\n\r\n", 400, false},
    {"GET / HTTP/1.1\r\nHost: a\r\nnocolon\r\n\r\n", 400, false},
    {"GET http://evil/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, false},
    {"GET x HTTP/1.1\r\nHost: a\r\n\r\n", 400, false},
    {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400, false},
    {"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501, false},
    {"get / HTTP/1.1\r\nHost: a\r\n\r\n", 501, false},
    {"GET / HTTP/1.9\r\nHost: a\r\n\r\n", 505, false},
    {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 400, false},
    {"GET /\r\nHost: a\r\n\r\n", 400, false},
    {"\r\n\r\n", 400, false},
};

static void every_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < FR_COUNT_OF(rows); i++) {
        fr_head head = fr_head_scan(rows[i].head, strlen(rows[i].head));
        if (head.status != rows[i].status) print_error("%s -> %d %s\n", rows[i].head, head.status, head.reason);
        assert_int_equal(head.status, rows[i].status);
        if (head.status) assert_non_null(head.reason);
        else assert_int_equal(head.chunked, rows[i].chunked);
    }
}

static void size_is_that_of_the_head(void **state)
{
    (void)state;
    const char *text = "POST / HTTP/1.1\r\nHost: x\r\n\r\nbody";
    assert_int_equal(fr_head_scan(text, strlen(text)).size, strlen(text) - 4);
}

static void large_heads_are_refused(void **state)
{
    (void)state;
    static char text[FR_HEAD_BYTES_MAX + 100];
    const char *start = "GET / HTTP/1.1\r\nHost: x\r\nX: ";
    for (size_t size = FR_HEAD_BYTES_MAX - 4; size < FR_HEAD_BYTES_MAX + 8; size += 4) {
        memset(text, 'v', sizeof text);
        memcpy(text, start, strlen(start));
        memcpy(text + size - 4, "\r\n\r\n", 4);
        assert_int_equal(fr_head_scan(text, size).status, size > FR_HEAD_BYTES_MAX + 2 ? 431 : 0);
    }
}

/* Cut anywhere, nothing is read behind the end (ASan watches) and nothing incomplete is taken. */
static void every_prefix_is_refused(void **state)
{
    (void)state;
    const char *text = "POST /v1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n";
    for (size_t size = 0; size < strlen(text); size++) {
        char *copy = fr_alloc(FR_MEM_TEST, size + 1);
        memcpy(copy, text, size);
        assert_int_not_equal(fr_head_scan(copy, size).status, 0);
        fr_free(FR_MEM_TEST, copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row),
        cmocka_unit_test(size_is_that_of_the_head),
        cmocka_unit_test(large_heads_are_refused),
        cmocka_unit_test(every_prefix_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
