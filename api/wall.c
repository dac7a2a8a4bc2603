/* wall.c: the largest difference between the wall clock and the steady one that was seen, added to the steady one. */
#include "api/wall.h"

#include <stdatomic.h>
#include <time.h>

static int64_t now_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t fr_wall_ms(void)
{
    static _Atomic int64_t largest_ns;
    /* In this order: a thread that loses the processor between the two sees a smaller difference, and changes nothing. */
    int64_t wall_ns = now_ns(CLOCK_REALTIME), steady_ns = now_ns(CLOCK_MONOTONIC);
    int64_t ahead_ns = wall_ns - steady_ns, largest = atomic_load_explicit(&largest_ns, memory_order_acquire);
    while (ahead_ns > largest && !atomic_compare_exchange_weak(&largest_ns, &largest, ahead_ns)) {}
    return ((ahead_ns > largest ? ahead_ns : largest) + steady_ns) / 1000000;
}
