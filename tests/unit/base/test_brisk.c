/* A thread that wakes others' work asks for short slices, and keeps everything else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/brisk.h"

static void slices_get_short_and_the_niceness_stays(void **state)
{
    (void)state;
    uint64_t words[6] = {0}; /* size and policy, flags, niceness and priority, slice, two more */
    int before = nice(3);
    if (before < 0 || !fr_thread_brisk()) skip(); /* an older kernel */
    assert_int_equal(getpriority(PRIO_PROCESS, 0), before);
    assert_int_equal(syscall(SYS_sched_getattr, 0, words, sizeof words, 0), 0);
    assert_int_equal((int32_t)(uint32_t)words[2], before);
    if (words[3] == 0) skip(); /* it takes the wish and does not keep it: before 6.12 */
    assert_int_equal(words[3], FR_BRISK_SLICE_NS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(slices_get_short_and_the_niceness_stays)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
