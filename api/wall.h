/* wall.h: the wall clock, without steps back. */
#ifndef FR_WALL_H
#define FR_WALL_H

#include <stdint.h>

/* Milliseconds since 1970. When somebody sets the clock back, time goes on from where it was, as fast as ever, until the clock has caught up or the
 * process has started again; set forward, it follows. What was written later has no smaller time, what was too old stays so, and what is measured
 * between two of these (retention, a transaction's timeout, snapshots) ends when it should. */
int64_t fr_wall_ms(void);

#endif
