/* txn.h: the coordinator's state: one entry for each transactional id. Writer thread, but for `prepared`. Part of engine.h. */
#ifndef FR_TXN_H
#define FR_TXN_H

#include "log/number_map.h"

#include <pthread.h>

typedef enum fr_txn_state {
    FR_TXN_EMPTY = 0,
    FR_TXN_ONGOING = 1,
    FR_TXN_PREPARE_COMMIT = 2,
    FR_TXN_PREPARE_ABORT = 3,
    FR_TXN_COMMITTED = 4,
    FR_TXN_ABORTED = 5
} fr_txn_state; /* numbers are on disk */

typedef struct fr_txn_entry {
    char *name;
    uint32_t at; /* in the list */
    int64_t producer_id, started_ms;
    int64_t changed_ms; /* of its newest record */
    int16_t epoch;
    int32_t timeout_ms;
    fr_txn_state state;
    struct fr_txn_share {
        fr_id id;
        int32_t partition;
        bool marked;
        fr_offset record; /* that put it into the transaction */
    } * parts;
    uint32_t part_count, part_capacity;
    fr_offset record; /* of its newest record in the topic of transactions */
    fr_write *ender;  /* waits for the markers; NULL: nobody */
    bool ending, recovered;
    bool marking;          /* the markers are on their way */
    bool stuck;            /* a log is read-only: no markers before a restart */
    _Atomic bool marked;   /* they are durable and applied: Complete may be written */
    _Atomic bool prepared; /* the Prepare record is durable: markers may be written */
} fr_txn_entry;

typedef struct fr_txns {
    fr_txn_entry **list;
    uint32_t count, capacity, ending;
    fr_number_map by_name, by_producer; /* by_name: hash of the name; of two with one hash the first */
    int64_t next_producer, block_end;
    fr_offset block_record;
    int64_t looked_ms, expired_ms;
    _Atomic uint32_t recovered; /* ends that a restart found: fr_open waits for them */
    pthread_mutex_t watch_lock;
    void (*ended)(void *user, int64_t producer_id, int16_t epoch, bool committed);
    void *user;
} fr_txns;

#endif
