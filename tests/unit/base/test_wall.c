/* test_wall.c: the wall clock follows when it is set forward, and goes on at its own pace when it is set back. */
#include "api/wall.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <time.h>

static int64_t wall_ms = 1800000000000, steady_ms = 5000;

/* The program's own clock, which the linker finds before the C library's. */
int clock_gettime(clockid_t clock, struct timespec *now)
{
    int64_t ms = clock == CLOCK_REALTIME ? wall_ms : steady_ms;
    *now = (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    return 0;
}

static void pass(int64_t ms) { wall_ms += ms, steady_ms += ms; }

static void it_never_goes_back(void **state)
{
    (void)state;
    int64_t begin = fr_wall_ms();
    assert_int_equal(begin, 1800000000000);
    pass(1500);
    assert_int_equal(fr_wall_ms(), begin + 1500);
    wall_ms += 7200000; /* set forward: it follows */
    assert_int_equal(fr_wall_ms(), begin + 7201500);
    wall_ms -= 7200000; /* set back: it stays, and goes on */
    assert_int_equal(fr_wall_ms(), begin + 7201500);
    pass(60000);
    assert_int_equal(fr_wall_ms(), begin + 7261500);
    wall_ms += 3600000; /* still behind */
    assert_int_equal(fr_wall_ms(), begin + 7261500);
    wall_ms += 3600000 + 1; /* caught up */
    assert_int_equal(fr_wall_ms(), begin + 7261501);
    pass(10);
    assert_int_equal(fr_wall_ms(), begin + 7261511);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(it_never_goes_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
