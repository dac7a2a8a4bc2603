/* replay.h: jobs that apply a collection's log again, into the same or another collection. They know only freshet.h. A job's state is a
 * record of the internal topic __replays, so it goes on after a restart. One thread runs all jobs in turn, slower than their rate limits,
 * and stands back while the engine's queue is long. */
#ifndef FR_REPLAY_H
#define FR_REPLAY_H

#include "api/base.h"

#define FR_REPLAYS_MAX 64u           /* jobs, ended ones included */
#define FR_REPLAY_RATE_DEFAULT 5000u /* records a second */
#define FR_REPLAY_RATE_MAX 1000000u
#define FR_REPLAYS_TOPIC "__replays"

typedef enum fr_replay_state {
    FR_REPLAY_RUNNING,
    FR_REPLAY_PAUSED,
    FR_REPLAY_DONE,
    FR_REPLAY_CANCELLED,
    FR_REPLAY_FAILED
} fr_replay_state; /* numbers are on disk */
const char *fr_replay_state_name(fr_replay_state state);

/* Where it begins: one of offset (>= 0, of every partition), since_ms, model_version (the first record that has it); none = the start. */
typedef struct fr_replay_request {
    const char *source;
    const char *target; /* NULL or the source: in place. Else made like the source when it is not there */
    fr_offset offset;   /* -1 = not said */
    int64_t since_ms;   /* FR_TIME_NONE = not said */
    const char *model_version;
    uint32_t rate; /* records a second; 0 = default */
    bool follow;   /* go on with what is written meanwhile, until it is cancelled; not in place */
} fr_replay_request;

typedef struct fr_replay_info {
    uint64_t id;
    char source[FR_NAME_BYTES_MAX + 1], target[FR_NAME_BYTES_MAX + 1];
    fr_id source_id, target_id;
    fr_replay_state state;
    uint32_t rate;
    bool follow;
    char model_version[FR_MODEL_VERSION_BYTES_MAX + 1]; /* empty = none */
    uint64_t replayed, deletes;
    uint64_t superseded; /* in place: a newer record stands already */
    uint64_t unusable;   /* the target refuses them */
    int64_t started_ms, changed_ms;
    char error[160];
    uint32_t partition_count;
    struct fr_replay_part {
        fr_offset next, until;
        bool found; /* the model version was met */
    } parts[FR_PARTITIONS_MAX];
} fr_replay_info;

typedef struct fr_replays fr_replays;
/* Reads the jobs and starts the thread. parse_json: as fr_options.parse_json. now_ms: the wall clock. */
fr_code fr_replays_open(fr_db *db, fr_code (*parse_json)(const fr_json_map *map, fr_span key, fr_span value, fr_batch *event_out, fr_err *err),
                        int64_t (*now_ms)(void), fr_replays **out, fr_err *err);
void fr_replays_close(fr_replays *replays); /* accepts NULL; before fr_close */

/* All block. Errors: INVALID, NOT_FOUND, EXISTS ..., BUSY (too many jobs). */
fr_code fr_replay_start(fr_replays *replays, const fr_replay_request *request, fr_replay_info *info_out, fr_err *err);
typedef enum fr_replay_order { FR_REPLAY_PAUSE, FR_REPLAY_RESUME, FR_REPLAY_CANCEL, FR_REPLAY_FORGET } fr_replay_order;
fr_code fr_replay_control(fr_replays *replays, uint64_t id, fr_replay_order order, fr_replay_info *info_out, fr_err *err);
fr_code fr_replay_get(fr_replays *replays, uint64_t id, fr_replay_info *info_out);
/* Copies of all; the caller frees with fr_free(FR_MEM_DAEMON, ...). */
fr_code fr_replay_list(fr_replays *replays, fr_replay_info **list_out, uint32_t *count_out);

#endif
