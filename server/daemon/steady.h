/* steady.h: the clock that h2o's timers see. */
#ifndef FR_STEADY_H
#define FR_STEADY_H

void fr_steady_begin(void); /* once, before the first loop: from here on gettimeofday() of this process does not jump */

#endif
