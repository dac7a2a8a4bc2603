/* expiry.h: a thread that deletes what is older than its collection allows (the Milvus door's collection.ttl.seconds). */
#ifndef FR_EXPIRY_H
#define FR_EXPIRY_H

#include "api/milvus/milvus.h"

#define FR_DAEMON_EXPIRY_MS 10000 /* between two rounds */

typedef struct fr_expiry fr_expiry;
/* After the door has its database. NULL: no memory, or no thread; expired entities are still not shown by the door. */
fr_expiry *fr_expiry_start(fr_milvus *door, fr_db *db);
void fr_expiry_stop(fr_expiry *self); /* before the database is closed; accepts NULL */

#endif
