/* replay.c: see replay.h. Invariants
 *  1. A job's position in its record is never ahead of what the target has: the batch is answered first, then the record follows (at least
 *     once a second). After a crash the last second is replayed again: into another collection the same state, in place nothing (the
 *     entity's newest record is then the replayed one).
 *  2. In place only what still is its entity's newest record is written again, judged by the writer behind a barrier of the collection
 *     (fr_write.only_at): a record that came meanwhile is never overwritten.
 *  3. Records of transactions are replayed once they are committed, in the order of their offsets; one that is not decided is waited for.
 *  4. The list is under the lock; what a job reads and writes happens outside of it, by the one thread. */
#include "server/connect/replay_private.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#define BATCH_RECORDS_MAX 1000u
#define BATCH_BYTES_MAX (4u << 20)
#define BATCHES_PER_SECOND 10u
#define SAVE_MS 1000
#define IDLE_MS 100
#define BUSY_MS 50
#define QUEUE_LONG 256u /* writes in the engine's queue: live traffic goes first */

typedef struct job {
    fr_replay_info info;
    int64_t due_ms, saved_ms; /* of the clock that does not go back */
    uint32_t at;              /* the partition whose turn it is */
    bool gone;
} job;

struct fr_replays {
    fr_db *db;
    fr_id topic;
    fr_code (*parse_json)(const fr_json_map *map, fr_span key, fr_span value, fr_batch *event_out, fr_err *err);
    int64_t (*now_ms)(void);
    pthread_mutex_t save_lock; /* one record after the other, each of what is true then; taken before `lock` */
    pthread_mutex_t lock;
    pthread_cond_t told;
    pthread_t thread;
    bool started, stopping;
    job *jobs[FR_REPLAYS_MAX];
    uint32_t count;
    uint64_t last_id;
};

const char *fr_replay_state_name(fr_replay_state state)
{
    static const char *const names[] = {"running", "paused", "done", "cancelled", "failed"};
    return names[state];
}

static int64_t steady_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- one batch ---- */

typedef struct gathering {
    const fr_replays *replays;
    fr_json_map map;
    fr_replay_info *job;
    struct fr_replay_part *part;
    bool in_place, full, waits;
    fr_batch batch;
    fr_offset at[BATCH_RECORDS_MAX]; /* of each event */
    fr_offset next;                  /* where to read on */
    uint32_t wanted, passed, deletes, unusable;
    fr_record record;
    fr_code code;
} gathering;

static bool is_model(const gathering *self)
{
    return fr_span_equal(self->record.event.model_version, fr_span_text(self->job->model_version));
}

static fr_code take_event(gathering *self, const fr_scanned *from, fr_err *err)
{
    fr_event event = self->record.event;
    if (self->in_place) event.event_id = (fr_span){NULL, 0}; /* it would be answered by the first */
    if (event.remove || event.value_count) return fr_batch_put(&self->batch, &event, err);
    if (!self->replays->parse_json || from->value.size == 0 || *(const char *)from->value.data != '{')
        return fr_fail(err, FR_ERR_INVALID, "value", "not a record value");
    return self->replays->parse_json(&self->map, from->key, from->value, &self->batch, err);
}

static bool each(void *user, const fr_scanned *from)
{
    gathering *self = user;
    fr_err err = {0};
    if (from->offset >= self->part->until || from->pending) {
        self->waits = from->offset < self->part->until;
        if (!self->waits) self->next = self->part->until; /* compaction took what was before it */
        self->full = true;
        return false;
    }
    fr_scanned_decode(from, &self->record);
    if (self->job->model_version[0] && !self->part->found) self->part->found = is_model(self);
    bool wanted = !self->job->model_version[0] || self->part->found;
    if (wanted && self->in_place && !from->value.data) wanted = false; /* it is gone already, or something newer stands */
    if (wanted) {
        uint32_t before = self->batch.count;
        fr_code code = take_event(self, from, &err);
        if (code == FR_ERR_NO_MEMORY) {
            self->code = code;
            return false;
        }
        if (code != FR_OK) self->unusable++;
        if (self->batch.count > before) self->at[before] = from->offset;
        if (code == FR_OK && !from->value.data) self->deletes++;
    }
    self->passed++;
    self->next = from->offset + 1;
    self->full = self->batch.count >= self->wanted || self->batch.size >= BATCH_BYTES_MAX || self->passed >= 20 * BATCH_RECORDS_MAX;
    return !self->full;
}

static fr_code write_events(gathering *self, const fr_batch *batch, const fr_offset *at, uint32_t *written_out, fr_err *err)
{
    fr_write *write = fr_zalloc(FR_MEM_DAEMON, sizeof *write);
    *written_out = 0;
    if (!write) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a write");
    write->kind = FR_WRITE_EVENTS;
    write->id = self->job->target_id;
    write->batch = batch;
    write->only_at = self->in_place ? at : NULL;
    fr_code code = fr_submit_wait(self->replays->db, write, err);
    *written_out = write->records;
    fr_free(FR_MEM_DAEMON, write);
    return code;
}

/* The target refuses the batch: which records of it? They are read once more, one by one. */
typedef struct single {
    gathering *from;
    fr_offset offset;
    fr_code code;
} single;

static bool take_single(void *user, const fr_scanned *record)
{
    single *self = user;
    fr_err err = {0};
    if (record->offset != self->offset) return false;
    fr_scanned_decode(record, &self->from->record);
    self->code = take_event(self->from, record, &err);
    return false;
}

static fr_code write_singly(gathering *self, int32_t partition, uint32_t *written_out, fr_err *err)
{
    uint32_t count = self->batch.count;
    *written_out = 0;
    for (uint32_t i = 0; i < count; i++) {
        single one = {.from = self, .offset = self->at[i], .code = FR_ERR_INVALID};
        uint32_t written = 0;
        fr_batch_reset(&self->batch);
        FR_TRY(fr_topic_scan(self->replays->db, self->job->source_id, partition, one.offset, take_single, &one, err));
        fr_code code = one.code == FR_OK ? write_events(self, &self->batch, &one.offset, &written, err) : one.code;
        *written_out += written;
        if (code == FR_ERR_INVALID || code == FR_ERR_TOO_LARGE) self->unusable++;
        else if (code != FR_OK) return code;
    }
    return FR_OK;
}

/* From the partition's next record on. *waits: nothing to do there now. */
static fr_code advance(fr_replays *replays, fr_replay_info *info, uint32_t partition, gathering *self, fr_err *err)
{
    struct fr_replay_part *part = &info->parts[partition];
    fr_partition_state state;
    uint32_t written = 0;
    memset(self, 0, offsetof(gathering, at));
    self->replays = replays, self->job = info, self->part = part, self->code = FR_OK;
    self->in_place = info->source_id == info->target_id;
    self->wanted = FR_MAX(FR_MIN(info->rate / BATCHES_PER_SECOND, BATCH_RECORDS_MAX), 1u);
    self->next = part->next;
    self->passed = self->deletes = self->unusable = 0;
    FR_TRY(fr_partition_get(replays->db, info->source_id, (int32_t)partition, &state));
    FR_TRY(fr_topic_json_map(replays->db, info->source_id, &self->map));
    if (info->follow) part->until = state.end;
    if (part->next < state.start) part->next = self->next = state.start;
    if (part->next >= part->until) return FR_OK;
    fr_code code = fr_topic_scan(replays->db, info->source_id, (int32_t)partition, part->next, each, self, err);
    if (code == FR_OK) code = self->code;
    uint32_t count = self->batch.count;
    if (code == FR_OK && count) {
        code = write_events(self, &self->batch, self->at, &written, err);
        if (code == FR_ERR_INVALID || code == FR_ERR_TOO_LARGE) code = write_singly(self, (int32_t)partition, &written, err);
    }
    fr_batch_free(&self->batch);
    FR_TRY(code);
    info->replayed += written;
    info->deletes += self->deletes;
    info->unusable += self->unusable;
    if (self->in_place) info->superseded += count - FR_MIN(count, written);
    part->next = self->full ? self->next : part->until; /* the scan reached the end: what compaction took is passed */
    return FR_OK;
}

/* ---- jobs ---- */

static bool over(const fr_replay_info *info)
{
    for (uint32_t i = 0; i < info->partition_count; i++)
        if (info->parts[i].next < info->parts[i].until) return false;
    return !info->follow;
}

static job *find(fr_replays *replays, uint64_t id)
{
    for (uint32_t i = 0; i < replays->count; i++)
        if (replays->jobs[i]->info.id == id && !replays->jobs[i]->gone) return replays->jobs[i];
    return NULL;
}

/* What is known of the job now; a tombstone when it is forgotten. */
static fr_code save(fr_replays *replays, uint64_t id, fr_err *err)
{
    fr_replay_info info = {.id = id};
    pthread_mutex_lock(&replays->save_lock);
    pthread_mutex_lock(&replays->lock);
    const job *one = find(replays, id);
    if (one) info = one->info;
    pthread_mutex_unlock(&replays->lock);
    fr_code code = fr_replay_save(replays->db, replays->topic, &info, one == NULL, err);
    pthread_mutex_unlock(&replays->save_lock);
    return code;
}

/* With the lock held: the copy goes back, unless somebody gave an order meanwhile. */
static void take_back(fr_replays *replays, job *one, const fr_replay_info *worked)
{
    fr_replay_state ordered = one->info.state;
    one->info = *worked;
    if (ordered != FR_REPLAY_RUNNING) one->info.state = ordered;
    one->info.changed_ms = replays->now_ms();
}

static void step(fr_replays *replays, job *one, gathering *scratch)
{
    fr_err err = {0};
    fr_stats stats;
    int64_t begin = steady_ms();
    pthread_mutex_lock(&replays->lock);
    fr_replay_info info = one->info;
    pthread_mutex_unlock(&replays->lock);
    fr_stats_get(replays->db, &stats);
    if (stats.queue_depth > QUEUE_LONG) {
        one->due_ms = begin + BUSY_MS;
        return;
    }
    uint32_t partition = one->at++ % info.partition_count;
    uint64_t before = info.replayed + info.superseded;
    fr_code code = advance(replays, &info, partition, scratch, &err);
    uint64_t did = info.replayed + info.superseded - before;
    one->due_ms = begin + (int64_t)(did * 1000 / info.rate);
    if (did == 0) one->due_ms += over(&info) || scratch->full ? 0 : scratch->waits || info.follow ? IDLE_MS : 0;
    if (scratch->waits) one->due_ms = begin + IDLE_MS;
    if (code == FR_ERR_CLOSED) return;
    if (code == FR_ERR_BUSY || code == FR_ERR_NO_MEMORY || code == FR_ERR_DISK_FULL || code == FR_ERR_BEHIND) {
        one->due_ms = begin + (code == FR_ERR_DISK_FULL ? SAVE_MS : BUSY_MS);
        return;
    }
    if (code != FR_OK) {
        info.state = FR_REPLAY_FAILED;
        snprintf(info.error, sizeof info.error, "%.140s", err.text[0] ? err.text : fr_strcode(code));
    } else if (over(&info)) {
        info.state = FR_REPLAY_DONE;
    }
    pthread_mutex_lock(&replays->lock);
    bool gone = one->gone;
    take_back(replays, one, &info);
    info = one->info;
    pthread_mutex_unlock(&replays->lock);
    if (gone || (info.state == FR_REPLAY_RUNNING && begin - one->saved_ms < SAVE_MS)) return;
    one->saved_ms = begin;
    if (save(replays, info.id, &err) != FR_OK)
        fr_note(FR_NOTE_WARN, "event=replay_not_saved id=%llu text=\"%s\"", (unsigned long long)info.id, err.text);
}

static void bury(fr_replays *replays) /* with the lock held */
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < replays->count; i++) {
        if (replays->jobs[i]->gone) fr_free(FR_MEM_DAEMON, replays->jobs[i]);
        else replays->jobs[kept++] = replays->jobs[i];
    }
    replays->count = kept;
}

/* The job that is due first; NULL and *wait_ms otherwise. */
static job *next_job(fr_replays *replays, int64_t now_ms, int64_t *wait_ms)
{
    job *first = NULL;
    for (uint32_t i = 0; i < replays->count; i++) {
        job *one = replays->jobs[i];
        if (one->info.state == FR_REPLAY_RUNNING && (!first || one->due_ms < first->due_ms)) first = one;
    }
    *wait_ms = first ? FR_MAX(first->due_ms - now_ms, 0) : SAVE_MS;
    return *wait_ms ? NULL : first;
}

static void *run(void *context)
{
    fr_replays *replays = context;
    gathering *scratch = fr_zalloc(FR_MEM_DAEMON, sizeof *scratch);
    pthread_mutex_lock(&replays->lock);
    while (!replays->stopping && scratch) {
        int64_t wait_ms;
        bury(replays);
        job *one = next_job(replays, steady_ms(), &wait_ms);
        if (one) {
            pthread_mutex_unlock(&replays->lock);
            step(replays, one, scratch);
            pthread_mutex_lock(&replays->lock);
            continue;
        }
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
        until.tv_sec += wait_ms / 1000 + until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&replays->told, &replays->lock, &until);
    }
    pthread_mutex_unlock(&replays->lock);
    fr_free(FR_MEM_DAEMON, scratch);
    return NULL;
}

/* ---- start ---- */

static fr_code target_make(fr_replays *replays, const fr_replay_request *request, const fr_collection_info *source, fr_id *id_out, fr_err *err)
{
    if (fr_resolve(replays->db, request->target, id_out) == FR_OK) return FR_OK;
    fr_collection_def *def = fr_alloc(FR_MEM_DAEMON, sizeof *def);
    fr_write *write = fr_zalloc(FR_MEM_DAEMON, sizeof *write);
    fr_code code = def && write ? FR_OK : fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a collection");
    if (code == FR_OK) {
        *def = source->def;
        snprintf(def->name, sizeof def->name, "%s", request->target);
        write->kind = FR_WRITE_COLLECTION_CREATE;
        write->def = def;
        code = fr_submit_wait(replays->db, write, err);
        *id_out = write->id;
    }
    fr_free(FR_MEM_DAEMON, def);
    fr_free(FR_MEM_DAEMON, write);
    return code;
}

static fr_code parts_begin(fr_replays *replays, const fr_replay_request *request, fr_replay_info *info, fr_err *err)
{
    for (uint32_t i = 0; i < info->partition_count; i++) {
        struct fr_replay_part *part = &info->parts[i];
        fr_partition_state state;
        FR_TRY(fr_partition_get(replays->db, info->source_id, (int32_t)i, &state));
        part->next = state.start;
        part->until = state.end;
        if (request->offset > state.end)
            return fr_fail(err, FR_ERR_INVALID, "offset", "partition %u ends at %lld", i, (long long)state.end);
        if (request->offset >= 0) part->next = FR_MAX(request->offset, state.start);
        if (request->since_ms != FR_TIME_NONE && state.end > state.start)
            FR_TRY(fr_seek(replays->db, info->source_id, (int32_t)i, request->since_ms, &part->next, err));
    }
    return FR_OK;
}

static fr_code info_make(fr_replays *replays, const fr_replay_request *request, fr_replay_info *info, fr_err *err)
{
    fr_collection_info *source = fr_alloc(FR_MEM_DAEMON, sizeof *source);
    if (!source) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a job");
    fr_code code = fr_resolve(replays->db, request->source, &info->source_id);
    if (code == FR_OK) code = fr_collection_get(replays->db, info->source_id, source);
    if (code != FR_OK) fr_fail(err, code, "collection", "there is no collection %s", request->source);
    if (code == FR_OK) {
        snprintf(info->source, sizeof info->source, "%s", source->def.name);
        snprintf(info->target, sizeof info->target, "%s", request->target ? request->target : source->def.name);
        info->partition_count = source->partition_count;
        info->target_id = info->source_id;
        code = parts_begin(replays, request, info, err);
    }
    if (code == FR_OK && request->target) code = target_make(replays, request, source, &info->target_id, err);
    fr_free(FR_MEM_DAEMON, source);
    if (code == FR_OK && request->follow && info->target_id == info->source_id)
        return fr_fail(err, FR_ERR_INVALID, "follow", "a replay in place would follow itself");
    return code;
}

fr_code fr_replay_start(fr_replays *replays, const fr_replay_request *request, fr_replay_info *info_out, fr_err *err)
{
    int said = (request->offset >= 0) + (request->since_ms != FR_TIME_NONE) + (request->model_version != NULL);
    if (said > 1) return fr_fail(err, FR_ERR_INVALID, "offset", "give one of offset, timestamp and model_version");
    if (request->rate > FR_REPLAY_RATE_MAX) return fr_fail(err, FR_ERR_INVALID, "rate", "must be 1 to %u records a second", FR_REPLAY_RATE_MAX);
    job *one = fr_zalloc(FR_MEM_DAEMON, sizeof *one);
    if (!one) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a job");
    fr_code code = info_make(replays, request, &one->info, err);
    one->info.state = FR_REPLAY_RUNNING;
    one->info.rate = request->rate ? request->rate : FR_REPLAY_RATE_DEFAULT;
    one->info.follow = request->follow;
    if (request->model_version) snprintf(one->info.model_version, sizeof one->info.model_version, "%s", request->model_version);
    one->info.started_ms = one->info.changed_ms = replays->now_ms();
    if (code == FR_OK) {
        pthread_mutex_lock(&replays->lock);
        one->info.id = ++replays->last_id;
        if (replays->count == FR_REPLAYS_MAX) code = fr_fail(err, FR_ERR_BUSY, "replays", "there are %u jobs: forget ended ones", FR_REPLAYS_MAX);
        pthread_mutex_unlock(&replays->lock);
    }
    if (code == FR_OK) code = fr_replay_save(replays->db, replays->topic, &one->info, false, err);
    if (code != FR_OK) {
        fr_free(FR_MEM_DAEMON, one);
        return code;
    }
    *info_out = one->info;
    pthread_mutex_lock(&replays->lock);
    if (replays->count < FR_REPLAYS_MAX) replays->jobs[replays->count++] = one;
    else fr_free(FR_MEM_DAEMON, one); /* its record starts it with the next start */
    pthread_cond_signal(&replays->told);
    pthread_mutex_unlock(&replays->lock);
    return FR_OK;
}

/* ---- orders ---- */

static fr_code order_take(job *one, fr_replay_order order, fr_err *err)
{
    fr_replay_state now = one->info.state;
    bool live = now == FR_REPLAY_RUNNING || now == FR_REPLAY_PAUSED;
    if (order == FR_REPLAY_FORGET ? live : !live)
        return fr_fail(err, FR_ERR_INVALID, "replay", order == FR_REPLAY_FORGET ? "is %s: cancel it first" : "is %s already", fr_replay_state_name(now));
    if (order == FR_REPLAY_PAUSE) one->info.state = FR_REPLAY_PAUSED;
    else if (order == FR_REPLAY_RESUME) one->info.state = FR_REPLAY_RUNNING;
    else if (order == FR_REPLAY_CANCEL) one->info.state = FR_REPLAY_CANCELLED;
    else one->gone = true;
    return FR_OK;
}

fr_code fr_replay_control(fr_replays *replays, uint64_t id, fr_replay_order order, fr_replay_info *info_out, fr_err *err)
{
    pthread_mutex_lock(&replays->lock);
    job *one = find(replays, id);
    fr_code code = one ? order_take(one, order, err) : fr_fail(err, FR_ERR_NOT_FOUND, "replay", "there is no replay %llu", (unsigned long long)id);
    if (code == FR_OK) {
        one->info.changed_ms = replays->now_ms();
        *info_out = one->info;
    }
    pthread_cond_signal(&replays->told);
    pthread_mutex_unlock(&replays->lock);
    return code == FR_OK ? save(replays, id, err) : code;
}

fr_code fr_replay_get(fr_replays *replays, uint64_t id, fr_replay_info *info_out)
{
    pthread_mutex_lock(&replays->lock);
    const job *one = find(replays, id);
    if (one) *info_out = one->info;
    pthread_mutex_unlock(&replays->lock);
    return one ? FR_OK : FR_ERR_NOT_FOUND;
}

fr_code fr_replay_list(fr_replays *replays, fr_replay_info **list_out, uint32_t *count_out)
{
    pthread_mutex_lock(&replays->lock);
    *count_out = 0;
    *list_out = fr_alloc(FR_MEM_DAEMON, FR_MAX(replays->count, 1u) * sizeof **list_out);
    for (uint32_t i = 0; *list_out && i < replays->count; i++)
        if (!replays->jobs[i]->gone) (*list_out)[(*count_out)++] = replays->jobs[i]->info;
    pthread_mutex_unlock(&replays->lock);
    return *list_out ? FR_OK : FR_ERR_NO_MEMORY;
}

/* ---- open, close ---- */

static bool on_record(void *user, const fr_scanned *record)
{
    fr_replays *replays = user;
    job *one = fr_zalloc(FR_MEM_DAEMON, sizeof *one);
    if (!one) return false;
    if (!fr_replay_decode(record->key, record->value, &one->info)) {
        fr_free(FR_MEM_DAEMON, one);
        return true;
    }
    replays->last_id = FR_MAX(replays->last_id, one->info.id);
    job *known = find(replays, one->info.id);
    if (known && record->value.data) known->info = one->info;
    else if (known) known->gone = true;
    else if (record->value.data && replays->count < FR_REPLAYS_MAX) {
        replays->jobs[replays->count++] = one;
        return true;
    }
    fr_free(FR_MEM_DAEMON, one);
    bury(replays);
    return true;
}

static fr_code topic_make(fr_replays *replays, fr_err *err)
{
    fr_topic_change change = {.name = FR_REPLAYS_TOPIC, .kind = FR_TOPIC_INTERNAL, .partitions = 1};
    if (fr_topic_resolve(replays->db, FR_REPLAYS_TOPIC, &replays->topic) == FR_OK) return FR_OK;
    fr_write *write = fr_zalloc(FR_MEM_DAEMON, sizeof *write);
    if (!write) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a write");
    write->kind = FR_WRITE_TOPIC_CREATE;
    write->topic = &change;
    fr_code code = fr_submit_wait(replays->db, write, err);
    replays->topic = write->id;
    fr_free(FR_MEM_DAEMON, write);
    return code;
}

fr_code fr_replays_open(fr_db *db, fr_code (*parse_json)(const fr_json_map *map, fr_span key, fr_span value, fr_batch *event_out, fr_err *err),
                        int64_t (*now_ms)(void), fr_replays **out, fr_err *err)
{
    fr_replays *replays = fr_zalloc(FR_MEM_DAEMON, sizeof *replays);
    if (!replays) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for replays");
    replays->db = db, replays->parse_json = parse_json, replays->now_ms = now_ms;
    pthread_mutex_init(&replays->lock, NULL);
    pthread_mutex_init(&replays->save_lock, NULL);
    pthread_condattr_t steady; /* a wait must not become longer when the wall clock is set back */
    pthread_condattr_init(&steady);
    pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
    pthread_cond_init(&replays->told, &steady);
    pthread_condattr_destroy(&steady);
    fr_code code = topic_make(replays, err);
    if (code == FR_OK) code = fr_topic_scan(db, replays->topic, 0, 0, on_record, replays, err);
    if (code == FR_OK && pthread_create(&replays->thread, NULL, run, replays) != 0) code = fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no thread");
    replays->started = code == FR_OK;
    if (code == FR_OK) *out = replays;
    else fr_replays_close(replays);
    return code;
}

void fr_replays_close(fr_replays *replays)
{
    if (!replays) return;
    pthread_mutex_lock(&replays->lock);
    replays->stopping = true;
    pthread_cond_signal(&replays->told);
    pthread_mutex_unlock(&replays->lock);
    if (replays->started) pthread_join(replays->thread, NULL);
    for (uint32_t i = 0; i < replays->count; i++) {
        fr_err err = {0};
        const fr_replay_info *info = &replays->jobs[i]->info;
        if (replays->started && info->state == FR_REPLAY_RUNNING && !replays->jobs[i]->gone)
            (void)!fr_replay_save(replays->db, replays->topic, info, false, &err); /* else its last second comes again */
        fr_free(FR_MEM_DAEMON, replays->jobs[i]);
    }
    pthread_mutex_destroy(&replays->save_lock);
    pthread_mutex_destroy(&replays->lock);
    pthread_cond_destroy(&replays->told);
    fr_free(FR_MEM_DAEMON, replays);
}
