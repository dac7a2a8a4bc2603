/* steady.c: h2o measures its timers by gettimeofday(): when somebody sets the clock forward by a minute, every idle connection is closed and
 * every wait is over; when he sets it back, no time limit holds until the clock has come again. A program's own function stands before the C
 * library's when a shared library looks for it, so this one answers h2o: the time of the start plus what has passed since. */
#include "server/daemon/steady.h"

#include "server/daemon/pool.h"

#include <sys/time.h>
#include <time.h>

static _Atomic int64_t began_ns; /* wall clock minus the steady one, at the start; 0 = not begun */

static int64_t wall_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void fr_steady_begin(void) { atomic_store(&began_ns, wall_ns() - fr_now_ns()); }

__attribute__((visibility("default"), used)) int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
    int64_t began = atomic_load_explicit(&began_ns, memory_order_relaxed);
    int64_t ns = began ? began + fr_now_ns() : wall_ns();
    (void)zone;
    *time = (struct timeval){.tv_sec = ns / 1000000000, .tv_usec = ns % 1000000000 / 1000};
    return 0;
}
