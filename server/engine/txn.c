/* txn.c: the coordinator of producer ids and transactions. */
#include "server/engine/engine.h"

fr_reason fr_txn_check(fr_db *db, const fr_shard *shard, const fr_batch_header *header)
{
    (void)db, (void)shard, (void)header;
    return FR_REASON_NONE;
}

void fr_txn_watch(fr_db *db, void (*ended)(void *user, int64_t producer_id, int16_t epoch, bool committed), void *user)
{
    (void)db, (void)ended, (void)user;
}
