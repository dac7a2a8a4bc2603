/* brisk.h: threads that somebody waits for. */
#ifndef FR_BRISK_H
#define FR_BRISK_H

#include <stdbool.h>

#define FR_BRISK_SLICE_NS 200000 /* such a thread runs for some microseconds at a time, and then sleeps */

/* The calling thread asks the scheduler for short slices (Linux 6.12 and later: a thread that wakes goes before those with longer ones). It gets no
 * more of the processor than before, but gets it sooner. false: this kernel does not know of it; nothing is changed. */
bool fr_thread_brisk(void);

#endif
