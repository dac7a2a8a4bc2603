/* jobs.h: what lives beside the doors: replays, and the lag of consumer groups, as JSON and as metrics. */
#ifndef FR_JOBS_H
#define FR_JOBS_H

#include "server/connect/replay.h"
#include "server/daemon/daemon.h"

/* Before the database is shown to the door. Without replays (a database that refuses writes) the routes answer 501. */
void fr_jobs_start(fr_daemon *daemon, fr_db *db);
void fr_jobs_stop(fr_daemon *daemon); /* no call is under way; before fr_close */
void fr_jobs_metrics(fr_daemon *daemon, fr_out *out);

#endif
