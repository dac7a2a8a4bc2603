/* groups.c: all groups; the offsets' topic read at the start; ends of transactions. */
#include "api/kafka/groups.h"

#define SWEEP_MS 60000

/* ---- the table ---- */

static fr_group_row **bucket_of(fr_kafka_groups *groups, fr_span name)
{
    return &groups->buckets[fr_hash(name.data, name.size, groups->seed) % FR_COUNT_OF(groups->buckets)];
}

fr_group_row *fr_groups_find(fr_kafka_groups *groups, fr_span name)
{
    if (!name.data) return NULL;
    for (fr_group_row *row = *bucket_of(groups, name); row; row = row->next)
        if (fr_span_equal(fr_span_text(row->name), name)) return row;
    return NULL;
}

fr_group_row *fr_groups_make(fr_kafka_groups *groups, fr_span name)
{
    fr_groups_sweep(groups, false);
    fr_group_row *row = fr_groups_find(groups, name);
    if (row) return row;
    if (groups->count >= FR_GROUPS_MAX) fr_groups_sweep(groups, true);
    if (groups->count >= FR_GROUPS_MAX) return NULL;
    row = fr_zalloc(FR_MEM_DOOR, sizeof *row);
    if (row) row->name = fr_alloc(FR_MEM_DOOR, name.size + 1);
    if (!row || !row->name) {
        fr_free(FR_MEM_DOOR, row);
        return NULL;
    }
    memcpy(row->name, name.data, name.size);
    row->name[name.size] = 0;
    row->group.budget = &groups->budget;
    fr_group_row **bucket = bucket_of(groups, name);
    row->next = *bucket;
    *bucket = row;
    groups->count++;
    return row;
}

bool fr_groups_known(const fr_group_row *row) { return row->group.member_count || row->offsets.count > row->offsets.gone || row->pending; }

static void row_free(fr_group_row *row)
{
    fr_group_free(&row->group);
    fr_offsets_free(&row->offsets);
    fr_free(FR_MEM_DOOR, row->name);
    fr_free(FR_MEM_DOOR, row);
}

/* A commit under way, or an offset of an open transaction, may stand before the tombstone in the log: it must stay the older one. */
void fr_groups_purge(fr_group_row *row)
{
    if (!row->writes && !row->pending) fr_offsets_purge(&row->offsets);
}

/* Times that are over; groups that hold nothing go. */
void fr_groups_sweep(fr_kafka_groups *groups, bool now)
{
    int64_t now_ms = groups->now_ms();
    if (!now && now_ms - groups->swept_ms < SWEEP_MS) return;
    groups->swept_ms = now_ms;
    for (size_t i = 0; i < FR_COUNT_OF(groups->buckets); i++)
        for (fr_group_row **at = &groups->buckets[i]; *at;) {
            fr_group_row *row = *at;
            fr_group_tick(&row->group, now_ms);
            fr_groups_purge(row);
            if (fr_groups_known(row) || row->writes || row->group.members) {
                at = &row->next;
                continue;
            }
            *at = row->next;
            groups->count--;
            row_free(row);
        }
}

/* ---- lag ---- */

static bool lag_of(fr_kafka *door, const fr_group_row *row, bool (*each)(void *user, const fr_kafka_lag *one), void *user)
{
    fr_kafka_lag one = {.group = row->name, .state = fr_group_state_name(row->group.state), .members = row->group.member_count};
    bool any = false;
    for (uint32_t i = 0; i < row->offsets.count; i++) {
        const fr_committed *committed = &row->offsets.list[i];
        fr_topic_info info;
        fr_partition_state state;
        if (committed->gone || fr_topic_get(door->db, committed->topic, &info) != FR_OK) continue;
        if (fr_partition_get(door->db, committed->topic, committed->partition, &state) != FR_OK) continue;
        one.topic = info.name, one.partition = committed->partition;
        one.committed = committed->offset, one.end = state.end;
        one.lag = FR_MAX(state.end - FR_MAX(committed->offset, state.start), 0);
        any = true;
        if (!each(user, &one)) return false;
    }
    one.topic = NULL;
    return any || each(user, &one);
}

void fr_kafka_lags(fr_kafka *door, const char *group, bool (*each)(void *user, const fr_kafka_lag *one), void *user)
{
    fr_kafka_groups *groups = door->groups;
    bool more = true;
    if (!groups) return;
    pthread_mutex_lock(&groups->lock);
    for (size_t i = 0; i < FR_COUNT_OF(groups->buckets) && more; i++)
        for (const fr_group_row *row = groups->buckets[i]; row && more; row = row->next)
            if (fr_groups_known(row) && (!group || strcmp(group, row->name) == 0)) more = lag_of(door, row, each, user);
    pthread_mutex_unlock(&groups->lock);
}

/* ---- transactions ---- */

fr_offset_pending *fr_groups_pending_add(fr_kafka_groups *groups, fr_group_row *row, int64_t producer_id, const fr_committed *one)
{
    fr_offset_pending *self = fr_zalloc(FR_MEM_DOOR, sizeof *self);
    if (self && one->metadata_size) self->one.metadata = fr_alloc(FR_MEM_DOOR, one->metadata_size);
    if (!self || (one->metadata_size && !self->one.metadata)) {
        fr_free(FR_MEM_DOOR, self);
        return NULL;
    }
    char *metadata = self->one.metadata;
    self->one = *one;
    self->one.metadata = metadata;
    if (one->metadata_size) memcpy(metadata, one->metadata, one->metadata_size);
    self->row = row;
    self->producer_id = producer_id;
    self->next = groups->pending;
    self->link = &groups->pending;
    if (self->next) self->next->link = &self->next;
    groups->pending = self;
    row->pending++;
    return self;
}

void fr_groups_pending_drop(fr_offset_pending *one)
{
    *one->link = one->next;
    if (one->next) one->next->link = one->link;
    one->row->pending--;
    fr_free(FR_MEM_DOOR, one->one.metadata);
    fr_free(FR_MEM_DOOR, one);
}

static void decide(fr_offset_pending *one)
{
    if (one->decided == FR_PENDING_OPEN || one->one.at < 0) return;
    if (one->decided == FR_PENDING_COMMIT && fr_offsets_put(&one->row->offsets, &one->one) != FR_OK)
        fr_note(FR_NOTE_ERROR, "event=offset_lost group=\"%s\" why=\"no memory; read again at the next start\"", one->row->name);
    fr_groups_pending_drop(one);
}

void fr_groups_pending_durable(fr_offset_pending *one, fr_offset at)
{
    one->one.at = at;
    decide(one);
}

bool fr_groups_pending_has(const fr_kafka_groups *groups, const fr_group_row *row, fr_id topic, int32_t partition)
{
    if (!row->pending) return false;
    for (const fr_offset_pending *one = groups->pending; one; one = one->next)
        if (one->row == row && one->one.topic == topic && one->one.partition == partition) return true;
    return false;
}

/* An engine thread. Told before EndTxn is answered, so a producer's next transaction has no offsets here yet. */
static void on_end(void *user, int64_t producer_id, int16_t epoch, bool committed)
{
    fr_kafka_groups *groups = user;
    (void)epoch;
    pthread_mutex_lock(&groups->lock);
    groups->ends++;
    for (fr_offset_pending *one = groups->pending, *next; one; one = next) {
        next = one->next;
        if (one->producer_id != producer_id) continue;
        one->decided = committed ? FR_PENDING_COMMIT : FR_PENDING_ABORT;
        decide(one);
    }
    pthread_mutex_unlock(&groups->lock);
}

/* ---- start ---- */

static bool on_record(void *user, const fr_scanned *record)
{
    fr_kafka_groups *groups = user;
    fr_span name;
    fr_committed one = {.at = record->offset};
    if (!fr_offset_key_read(record->key, &name, &one.topic, &one.partition)) return true; /* of a newer version */
    fr_group_row *row = fr_groups_make(groups, name);
    if (!row) return false;
    if (record->pending) {
        if (!fr_offset_value_read(record->value, &one)) return true;
        return fr_groups_pending_add(groups, row, record->producer_id, &one) != NULL;
    }
    if (!record->value.data) fr_offsets_remove(&row->offsets, one.topic, one.partition, record->offset);
    else if (fr_offset_value_read(record->value, &one)) return fr_offsets_put(&row->offsets, &one) == FR_OK;
    return true;
}

static void clear(fr_kafka_groups *groups)
{
    while (groups->pending) fr_groups_pending_drop(groups->pending);
    for (size_t i = 0; i < FR_COUNT_OF(groups->buckets); i++)
        while (groups->buckets[i]) {
            fr_group_row *row = groups->buckets[i];
            groups->buckets[i] = row->next;
            row_free(row);
        }
    groups->count = 0;
}

typedef struct scan_state {
    fr_kafka_groups *groups;
    bool full;
} scan_state;

static bool on_scanned(void *user, const fr_scanned *record)
{
    scan_state *state = user;
    pthread_mutex_lock(&state->groups->lock);
    state->full = !on_record(state->groups, record);
    pthread_mutex_unlock(&state->groups->lock);
    return !state->full;
}

/* A transaction that ends during the reading may have been read as open: read again. */
static fr_code read_all(fr_kafka_groups *groups, fr_err *err)
{
    for (;;) {
        scan_state state = {.groups = groups};
        pthread_mutex_lock(&groups->lock);
        uint64_t ends = groups->ends;
        clear(groups);
        pthread_mutex_unlock(&groups->lock);
        FR_TRY(fr_topic_scan(groups->db, groups->topic, 0, 0, on_scanned, &state, err));
        if (state.full) return fr_fail(err, FR_ERR_NO_MEMORY, "groups", "no memory, or more than %u groups", FR_GROUPS_MAX);
        pthread_mutex_lock(&groups->lock);
        bool calm = ends == groups->ends;
        fr_groups_sweep(groups, true);
        pthread_mutex_unlock(&groups->lock);
        if (calm) return FR_OK;
    }
}

static fr_code topic_make(fr_kafka_groups *groups, fr_err *err)
{
    fr_topic_change change = {.name = FR_GROUPS_TOPIC, .kind = FR_TOPIC_INTERNAL, .partitions = 1};
    if (fr_topic_resolve(groups->db, FR_GROUPS_TOPIC, &groups->topic) == FR_OK) return FR_OK;
    fr_write *write = fr_zalloc(FR_MEM_DOOR, sizeof *write);
    if (!write) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a write");
    write->kind = FR_WRITE_TOPIC_CREATE;
    write->topic = &change;
    fr_code code = fr_submit_wait(groups->db, write, err);
    groups->topic = write->id;
    fr_free(FR_MEM_DOOR, write);
    return code;
}

fr_code fr_kafka_groups_open(fr_db *db, int64_t (*now_ms)(void), uint64_t seed, fr_kafka_groups **out, fr_err *err)
{
    fr_kafka_groups *groups = fr_zalloc(FR_MEM_DOOR, sizeof *groups);
    if (!groups) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for the groups");
    groups->db = db, groups->now_ms = now_ms, groups->seed = seed;
    groups->swept_ms = now_ms();
    groups->budget.max = FR_GROUPS_BYTES_MAX;
    pthread_mutex_init(&groups->lock, NULL);
    fr_txn_watch(db, on_end, groups);
    fr_code code = topic_make(groups, err);
    if (code == FR_OK) code = read_all(groups, err);
    if (code == FR_OK) *out = groups;
    else fr_kafka_groups_close(groups);
    return code;
}

void fr_kafka_groups_close(fr_kafka_groups *groups)
{
    if (!groups) return;
    fr_txn_watch(groups->db, NULL, NULL);
    clear(groups);
    pthread_mutex_destroy(&groups->lock);
    fr_free(FR_MEM_DOOR, groups);
}
