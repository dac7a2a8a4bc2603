/* replay_private.h: inside the room. */
#ifndef FR_REPLAY_PRIVATE_H
#define FR_REPLAY_PRIVATE_H

#include "api/doc.h"
#include "server/connect/replay.h"

bool fr_replay_decode(fr_span key, fr_span value, fr_replay_info *job); /* value NULL: only the id */
fr_code fr_replay_save(fr_db *db, fr_id topic, const fr_replay_info *job, bool gone, fr_err *err); /* blocks until it is durable */

#endif
