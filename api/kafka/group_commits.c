/* group_commits.c: OffsetCommit, TxnOffsetCommit, AddOffsetsToTxn, OffsetFetch, OffsetDelete, DeleteGroups. A commit is one write of
 * records to the offsets' topic, answered when it is durable; memory follows, so that what is answered survives a crash. */
#include "api/kafka/groups.h"
#include "api/kafka/kafka_private.h"

/* One named partition of a request, in its order. */
typedef struct item {
    fr_span topic;
    fr_committed one;
    int16_t error;
    uint32_t record; /* of the write; when error is NONE */
    fr_offset_pending *pending;
} item;

typedef struct commit {
    fr_group_row *row; /* counted in row->writes while the write is under way */
    item *items;
    uint32_t count;
    fr_span name; /* of the topic that was looked up last */
    fr_topic_info info;
    int16_t found;
} commit;

static bool group_id_ok(fr_span id) { return id.data && id.size && id.size <= FR_GROUP_ID_BYTES_MAX && !memchr(id.data, 0, id.size); }

static commit *commit_new(fr_kafka_call *call, int64_t count)
{
    if (count > (int64_t)FR_RECORDS_MAX) return NULL;
    commit *self = fr_arena_alloc(&call->arena, sizeof *self);
    item *items = fr_arena_alloc(&call->arena, FR_MAX((size_t)count, 1u) * sizeof *items);
    if (!self || !items) return NULL;
    memset(self, 0, sizeof *self);
    self->items = items;
    call->state = self;
    return self;
}

static item *item_add(fr_kafka *door, fr_kafka_call *call, commit *self, fr_span topic, int32_t partition)
{
    item *one = &self->items[self->count++];
    if (!self->name.data || !fr_span_equal(self->name, topic)) {
        self->found = fr_kafka_topic(door, call, topic, &self->info);
        self->name = topic;
    }
    *one = (item){.topic = topic, .error = self->found, .one = {.at = -1, .partition = partition}};
    if (!one->error && (partition < 0 || (uint32_t)partition >= self->info.partition_count)) one->error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (!one->error) one->one.topic = self->info.id;
    return one;
}

static void item_offset(item *one, int64_t offset, int32_t leader_epoch, fr_span metadata, int64_t now_ms)
{
    one->one.offset = offset;
    one->one.leader_epoch = leader_epoch;
    one->one.time_ms = now_ms;
    if (metadata.size > FR_OFFSET_METADATA_BYTES_MAX && !one->error) one->error = KAFKA_OFFSET_METADATA_TOO_LARGE;
    if (one->error) return;
    one->one.metadata_size = (uint32_t)metadata.size;
    one->one.metadata = (char *)(uintptr_t)metadata.data;
}

/* Records of what has no error; tombstones when `remove`. -1: no memory; else how many. */
static int64_t records_make(fr_kafka_call *call, fr_write *write, fr_id topic, fr_span group, item *items, uint32_t count, bool remove)
{
    fr_topic_record *records = fr_arena_alloc(&call->arena, FR_MAX(count, 1u) * sizeof *records);
    uint32_t made = 0;
    if (!records) return -1;
    for (uint32_t i = 0; i < count; i++) {
        item *one = &items[i];
        if (one->error) continue;
        size_t key_size = FR_OFFSET_KEY_BYTES(group.size), value_size = remove ? 0 : FR_OFFSET_VALUE_BYTES(one->one.metadata_size);
        uint8_t *bytes = fr_arena_alloc(&call->arena, key_size + value_size);
        if (!bytes) return -1;
        fr_offset_key_write(bytes, group, one->one.topic, one->one.partition);
        if (!remove) fr_offset_value_write(bytes + key_size, &one->one);
        one->record = made;
        records[made++] = (fr_topic_record){.key = fr_span_of(bytes, key_size),
                                            .value = remove ? (fr_span){NULL, 0} : fr_span_of(bytes + key_size, value_size)};
    }
    write->kind = made ? FR_WRITE_RECORDS : FR_KAFKA_SKIP;
    write->ack = FR_ACK_DURABLE;
    write->id = topic;
    write->record_list = records;
    write->record_count = made;
    return made;
}

/* ---- OffsetCommit ---- */

static fr_kafka_next commit_answer(fr_kafka_call *call, const commit *self, int16_t all)
{
    const fr_kafka_OffsetCommitRequest *request = call->request;
    fr_kafka_OffsetCommitResponse *response = FR_KAFKA_RESPONSE(call, OffsetCommitResponse);
    int32_t count = FR_MAX(request->topics.count, 0);
    if (!response || !FR_KAFKA_ITEMS(&call->arena, &response->topics, OffsetCommitResponseTopic, count)) return FR_KAFKA_CLOSE;
    const item *one = self->items;
    for (int32_t i = 0; i < count; i++) {
        const fr_kafka_OffsetCommitRequestTopic *topic = &request->topics.items[i];
        fr_kafka_OffsetCommitResponseTopic *row = &response->topics.items[i];
        row->name = topic->name;
        int32_t parts = FR_MAX(topic->partitions.count, 0);
        if (!FR_KAFKA_ITEMS(&call->arena, &row->partitions, OffsetCommitResponsePartition, parts)) return FR_KAFKA_CLOSE;
        for (int32_t j = 0; j < parts; j++, one++) {
            row->partitions.items[j].partitionIndex = topic->partitions.items[j].partitionIndex;
            row->partitions.items[j].errorCode = all ? all : one->error;
        }
    }
    return fr_kafka_reply(call, response);
}

/* What is durable is put into memory. */
static int16_t commit_end(fr_kafka *door, fr_kafka_call *call, commit *self)
{
    const fr_write *write = &call->writes[0];
    int16_t error = write->kind == FR_KAFKA_SKIP ? KAFKA_NONE : fr_kafka_coordinator_error(write);
    pthread_mutex_lock(&door->groups->lock);
    for (uint32_t i = 0; i < self->count; i++) {
        item *one = &self->items[i];
        if (one->error) continue;
        fr_offset at = error ? -1 : write->written[0].first + (fr_offset)one->record;
        one->one.at = at;
        if (one->pending) {
            if (error) fr_groups_pending_drop(one->pending);
            else fr_groups_pending_durable(one->pending, at);
        } else if (!error && fr_offsets_put(&self->row->offsets, &one->one) != FR_OK) {
            one->error = KAFKA_COORDINATOR_NOT_AVAILABLE;
        }
    }
    self->row->writes--;
    fr_groups_purge(self->row);
    pthread_mutex_unlock(&door->groups->lock);
    return error;
}

static fr_kafka_next committed(fr_kafka *door, fr_kafka_call *call)
{
    commit *self = call->state;
    return commit_answer(call, self, commit_end(door, call, self));
}

fr_kafka_next fr_kafka_offset_commit(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_OffsetCommitRequest *request = call->request;
    fr_kafka_groups *groups = door->groups;
    int64_t count = 0, now_ms = groups->now_ms();
    for (int32_t i = 0; i < request->topics.count; i++) count += FR_MAX(request->topics.items[i].partitions.count, 0);
    commit *self = commit_new(call, count);
    if (!self || !fr_kafka_writes(call, 1)) return FR_KAFKA_CLOSE;
    for (int32_t i = 0; i < request->topics.count; i++)
        for (int32_t j = 0; j < request->topics.items[i].partitions.count; j++) {
            const fr_kafka_OffsetCommitRequestPartition *from = &request->topics.items[i].partitions.items[j];
            item *one = item_add(door, call, self, request->topics.items[i].name, from->partitionIndex);
            item_offset(one, from->committedOffset, from->committedLeaderEpoch, from->committedMetadata, now_ms);
        }
    int16_t denied = fr_kafka_group_error(door, call, FR_ACTION_READ, request->groupId);
    if (denied) return commit_answer(call, self, denied);
    if (records_make(call, &call->writes[0], groups->topic, request->groupId, self->items, self->count, false) < 0) return FR_KAFKA_CLOSE;
    int32_t generation = request->generationIdOrMemberEpoch;
    pthread_mutex_lock(&groups->lock);
    fr_group_row *row = fr_groups_find(groups, request->groupId);
    int16_t error = KAFKA_NONE;
    if (!row && generation >= 0) error = KAFKA_ILLEGAL_GENERATION;
    else if (!row && !(row = fr_groups_make(groups, request->groupId))) error = KAFKA_COORDINATOR_NOT_AVAILABLE;
    else error = fr_group_may_commit(&row->group, now_ms, request->memberId, request->groupInstanceId, generation, false);
    if (!error) {
        self->row = row;
        row->writes++;
    }
    pthread_mutex_unlock(&groups->lock);
    return error ? commit_answer(call, self, error) : fr_kafka_submit(door, call, committed);
}

/* ---- transactions ---- */

static fr_txn *txn_make(fr_kafka_call *call, fr_span transactional_id, int64_t producer_id, int16_t epoch)
{
    fr_txn *txn = fr_arena_alloc(&call->arena, sizeof *txn);
    const char *text = fr_kafka_text(call, transactional_id);
    if (!txn || !text || !transactional_id.size || transactional_id.size > FR_TRANSACTIONAL_ID_BYTES_MAX) return NULL;
    *txn = (fr_txn){.transactional_id = text, .producer_id = producer_id, .producer_epoch = epoch};
    return txn;
}

static fr_kafka_next added_answer(fr_kafka_call *call, int16_t error)
{
    fr_kafka_AddOffsetsToTxnResponse *response = FR_KAFKA_RESPONSE(call, AddOffsetsToTxnResponse);
    if (response) response->errorCode = error;
    return fr_kafka_reply(call, response);
}

static int16_t fenced(const fr_kafka_call *call, int16_t error, int16_t from)
{
    return error == KAFKA_PRODUCER_FENCED && call->header.version < from ? KAFKA_INVALID_PRODUCER_EPOCH : error;
}

static fr_kafka_next added(fr_kafka *door, fr_kafka_call *call)
{
    (void)door;
    return added_answer(call, fenced(call, fr_kafka_coordinator_error(&call->writes[0]), 2));
}

/* The offsets' topic becomes a partition of the transaction. */
fr_kafka_next fr_kafka_add_offsets_to_txn(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_AddOffsetsToTxnRequest *request = call->request;
    struct fr_txn_part *part = fr_arena_alloc(&call->arena, sizeof *part);
    if (!part || !fr_kafka_writes(call, 1)) return FR_KAFKA_CLOSE;
    fr_txn *txn = txn_make(call, request->transactionalId, request->producerId, request->producerEpoch);
    if (!txn) return added_answer(call, KAFKA_INVALID_REQUEST);
    int16_t denied = fr_kafka_group_error(door, call, FR_ACTION_READ, request->groupId);
    if (!denied) denied = fr_kafka_txn_error(door, call, request->transactionalId);
    if (denied) return added_answer(call, denied);
    *part = (struct fr_txn_part){.id = door->groups->topic, .partition = 0};
    txn->parts = part;
    txn->part_count = 1;
    call->writes[0].kind = FR_WRITE_TXN_PARTITIONS;
    call->writes[0].txn = txn;
    return fr_kafka_submit(door, call, added);
}

static fr_kafka_next txn_answer(fr_kafka_call *call, const commit *self, int16_t all)
{
    const fr_kafka_TxnOffsetCommitRequest *request = call->request;
    fr_kafka_TxnOffsetCommitResponse *response = FR_KAFKA_RESPONSE(call, TxnOffsetCommitResponse);
    int32_t count = FR_MAX(request->topics.count, 0);
    if (!response || !FR_KAFKA_ITEMS(&call->arena, &response->topics, TxnOffsetCommitResponseTopic, count)) return FR_KAFKA_CLOSE;
    const item *one = self->items;
    for (int32_t i = 0; i < count; i++) {
        const fr_kafka_TxnOffsetCommitRequestTopic *topic = &request->topics.items[i];
        fr_kafka_TxnOffsetCommitResponseTopic *row = &response->topics.items[i];
        row->name = topic->name;
        int32_t parts = FR_MAX(topic->partitions.count, 0);
        if (!FR_KAFKA_ITEMS(&call->arena, &row->partitions, TxnOffsetCommitResponsePartition, parts)) return FR_KAFKA_CLOSE;
        for (int32_t j = 0; j < parts; j++, one++) {
            row->partitions.items[j].partitionIndex = topic->partitions.items[j].partitionIndex;
            row->partitions.items[j].errorCode = all ? all : one->error;
        }
    }
    return fr_kafka_reply(call, response);
}

/* Clients of this request know INVALID_PRODUCER_EPOCH only. */
static fr_kafka_next txn_committed(fr_kafka *door, fr_kafka_call *call)
{
    commit *self = call->state;
    int16_t error = commit_end(door, call, self);
    return txn_answer(call, self, error == KAFKA_PRODUCER_FENCED ? KAFKA_INVALID_PRODUCER_EPOCH : error);
}

/* Before its record is written: the transaction may end before we are told that it was. */
static bool pending_make(fr_kafka_groups *groups, commit *self, int64_t producer_id)
{
    for (uint32_t i = 0; i < self->count; i++) {
        item *one = &self->items[i];
        if (one->error) continue;
        one->pending = fr_groups_pending_add(groups, self->row, producer_id, &one->one);
        if (one->pending) continue;
        while (i-- > 0)
            if (self->items[i].pending) fr_groups_pending_drop(self->items[i].pending);
        return false;
    }
    return true;
}

fr_kafka_next fr_kafka_txn_offset_commit(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_TxnOffsetCommitRequest *request = call->request;
    fr_kafka_groups *groups = door->groups;
    int64_t count = 0, now_ms = groups->now_ms();
    for (int32_t i = 0; i < request->topics.count; i++) count += FR_MAX(request->topics.items[i].partitions.count, 0);
    commit *self = commit_new(call, count);
    if (!self || !fr_kafka_writes(call, 1)) return FR_KAFKA_CLOSE;
    for (int32_t i = 0; i < request->topics.count; i++)
        for (int32_t j = 0; j < request->topics.items[i].partitions.count; j++) {
            const fr_kafka_TxnOffsetCommitRequestPartition *from = &request->topics.items[i].partitions.items[j];
            item *one = item_add(door, call, self, request->topics.items[i].name, from->partitionIndex);
            item_offset(one, from->committedOffset, from->committedLeaderEpoch, from->committedMetadata, now_ms);
        }
    fr_txn *txn = txn_make(call, request->transactionalId, request->producerId, request->producerEpoch);
    if (!txn) return txn_answer(call, self, KAFKA_INVALID_REQUEST);
    int16_t denied = fr_kafka_group_error(door, call, FR_ACTION_READ, request->groupId);
    if (!denied) denied = fr_kafka_txn_error(door, call, request->transactionalId);
    if (denied) return txn_answer(call, self, denied);
    if (records_make(call, &call->writes[0], groups->topic, request->groupId, self->items, self->count, false) < 0) return FR_KAFKA_CLOSE;
    call->writes[0].txn = txn;
    pthread_mutex_lock(&groups->lock);
    fr_group_row *row = self->row = fr_groups_find(groups, request->groupId);
    int16_t error = KAFKA_NONE;
    if (!row && request->generationId >= 0) error = KAFKA_ILLEGAL_GENERATION;
    else if (!row && !(row = self->row = fr_groups_make(groups, request->groupId))) error = KAFKA_COORDINATOR_NOT_AVAILABLE;
    else error = fr_group_may_commit(&row->group, now_ms, request->memberId, request->groupInstanceId, request->generationId, true);
    if (!error && !pending_make(groups, self, request->producerId)) error = KAFKA_COORDINATOR_NOT_AVAILABLE;
    if (!error) row->writes++;
    pthread_mutex_unlock(&groups->lock);
    return error ? txn_answer(call, self, error) : fr_kafka_submit(door, call, txn_committed);
}

/* ---- OffsetFetch: one shape for both layouts, which differ in names only ---- */

typedef struct fetched {
    fr_kafka_groups *groups;
    fr_group_row *row;
    bool stable;
} fetched;

static void fetch_one(fr_kafka_call *call, const fetched *from, fr_id topic, int32_t partition, fr_kafka_OffsetFetchResponsePartitions *out)
{
    const fr_committed *one = topic && from->row ? fr_offsets_find(&from->row->offsets, topic, partition) : NULL;
    (void)call;
    out->partitionIndex = partition;
    out->committedOffset = -1;
    out->committedLeaderEpoch = -1;
    out->metadata = fr_span_of("", 0);
    if (from->stable && topic && from->row && fr_groups_pending_has(from->groups, from->row, topic, partition)) {
        out->errorCode = KAFKA_UNSTABLE_OFFSET_COMMIT;
        return;
    }
    if (!one) return;
    out->committedOffset = one->offset;
    out->committedLeaderEpoch = one->leader_epoch;
    if (one->metadata_size) out->metadata = fr_span_of(one->metadata, one->metadata_size);
}

/* Every topic of which the group has offsets; those that were dropped are left out. */
static bool fetch_all(fr_kafka *door, fr_kafka_call *call, const fetched *from, fr_kafka_OffsetFetchResponseGroup *out)
{
    const fr_offsets *set = from->row ? &from->row->offsets : &(fr_offsets){0};
    int32_t topics = 0;
    for (uint32_t i = 0; i < set->count; i++) topics += i == 0 || set->list[i].topic != set->list[i - 1].topic;
    if (!FR_KAFKA_ITEMS(&call->arena, &out->topics, OffsetFetchResponseTopics, topics)) return false;
    topics = 0;
    for (uint32_t i = 0, end; i < set->count; i = end) {
        fr_topic_info info;
        fr_id topic = set->list[i].topic;
        int32_t count = 0;
        for (end = i; end < set->count && set->list[end].topic == topic; end++) count++;
        if (fr_topic_get(door->db, topic, &info) != FR_OK) continue;
        fr_kafka_OffsetFetchResponseTopics *row = &out->topics.items[topics++];
        row->name = fr_kafka_words(call, "%s", info.name);
        if (!FR_KAFKA_ITEMS(&call->arena, &row->partitions, OffsetFetchResponsePartitions, count)) return false;
        count = 0;
        for (uint32_t j = i; j < end; j++)
            if (!set->list[j].gone) fetch_one(call, from, topic, set->list[j].partition, &row->partitions.items[count++]);
        row->partitions.count = count;
        if (count == 0) topics--;
    }
    out->topics.count = topics;
    return true;
}

/* Before version 2 a group's error has no place but at its partitions. */
static bool fetch_denied(fr_kafka_call *call, const fr_kafka_OffsetFetchRequestGroup *wanted, fr_kafka_OffsetFetchResponseGroup *out)
{
    int32_t count = call->header.version < 2 ? FR_MAX(wanted->topics.count, 0) : 0;
    if (!FR_KAFKA_ITEMS(&call->arena, &out->topics, OffsetFetchResponseTopics, count)) return false;
    for (int32_t i = 0; i < count; i++) {
        const fr_kafka_OffsetFetchRequestTopics *topic = &wanted->topics.items[i];
        fr_kafka_OffsetFetchResponseTopics *row = &out->topics.items[i];
        row->name = topic->name;
        if (!FR_KAFKA_ITEMS(&call->arena, &row->partitions, OffsetFetchResponsePartitions, FR_MAX(topic->partitionIndexes.count, 0))) return false;
        for (int32_t j = 0; j < row->partitions.count; j++) {
            row->partitions.items[j].partitionIndex = topic->partitionIndexes.items[j];
            row->partitions.items[j].committedOffset = -1;
            row->partitions.items[j].metadata = fr_span_of("", 0);
            row->partitions.items[j].errorCode = out->errorCode;
        }
    }
    return true;
}

static bool fetch_group(fr_kafka *door, fr_kafka_call *call, const fr_kafka_OffsetFetchRequestGroup *wanted, bool stable,
                        fr_kafka_OffsetFetchResponseGroup *out)
{
    fetched from = {.groups = door->groups, .row = fr_groups_find(door->groups, wanted->groupId), .stable = stable};
    out->groupId = wanted->groupId;
    if (!group_id_ok(wanted->groupId)) out->errorCode = KAFKA_INVALID_GROUP_ID;
    else if (!fr_kafka_may(door, call, FR_ACTION_READ, FR_OBJECT_GROUP, wanted->groupId, false)) {
        out->errorCode = KAFKA_GROUP_AUTHORIZATION_FAILED;
        return fetch_denied(call, wanted, out);
    }
    if (wanted->topics.count < 0) return fetch_all(door, call, &from, out);
    if (!FR_KAFKA_ITEMS(&call->arena, &out->topics, OffsetFetchResponseTopics, wanted->topics.count)) return false;
    for (int32_t i = 0; i < out->topics.count; i++) {
        const fr_kafka_OffsetFetchRequestTopics *topic = &wanted->topics.items[i];
        fr_kafka_OffsetFetchResponseTopics *row = &out->topics.items[i];
        fr_topic_info info;
        fr_id id = fr_kafka_topic(door, call, topic->name, &info) ? 0 : info.id;
        row->name = topic->name;
        if (!FR_KAFKA_ITEMS(&call->arena, &row->partitions, OffsetFetchResponsePartitions, FR_MAX(topic->partitionIndexes.count, 0))) return false;
        for (int32_t j = 0; j < row->partitions.count; j++)
            fetch_one(call, &from, id, topic->partitionIndexes.items[j], &row->partitions.items[j]);
    }
    return true;
}

/* The layout before version 8: one group, the same fields under other names. */

static bool fetch_old(fr_kafka *door, fr_kafka_call *call, const fr_kafka_OffsetFetchRequest *request, fr_kafka_OffsetFetchResponse *response)
{
    fr_kafka_OffsetFetchRequestGroup wanted = {.groupId = request->groupId};
    fr_kafka_OffsetFetchResponseGroup *out = fr_kafka_make(&call->arena, &fr_kafka_OffsetFetchResponseGroup_shape, 1);
    if (!out) return false;
    wanted.topics.count = request->topics.count;
    if (wanted.topics.count > 0) {
        wanted.topics.items = fr_kafka_make(&call->arena, &fr_kafka_OffsetFetchRequestTopics_shape, wanted.topics.count);
        if (!wanted.topics.items) return false;
    }
    for (int32_t i = 0; i < wanted.topics.count; i++) {
        wanted.topics.items[i].name = request->topics.items[i].name;
        wanted.topics.items[i].partitionIndexes.items = request->topics.items[i].partitionIndexes.items;
        wanted.topics.items[i].partitionIndexes.count = request->topics.items[i].partitionIndexes.count;
    }
    if (!fetch_group(door, call, &wanted, request->requireStable, out)) return false;
    response->errorCode = out->errorCode;
    if (!FR_KAFKA_ITEMS(&call->arena, &response->topics, OffsetFetchResponseTopic, out->topics.count)) return false;
    for (int32_t i = 0; i < out->topics.count; i++) {
        fr_kafka_OffsetFetchResponseTopic *row = &response->topics.items[i];
        row->name = out->topics.items[i].name;
        int32_t count = out->topics.items[i].partitions.count;
        if (!FR_KAFKA_ITEMS(&call->arena, &row->partitions, OffsetFetchResponsePartition, count)) return false;
        for (int32_t j = 0; j < count; j++) {
            const fr_kafka_OffsetFetchResponsePartitions *from = &out->topics.items[i].partitions.items[j];
            row->partitions.items[j] = (fr_kafka_OffsetFetchResponsePartition){
                .partitionIndex = from->partitionIndex, .committedOffset = from->committedOffset,
                .committedLeaderEpoch = from->committedLeaderEpoch, .metadata = from->metadata, .errorCode = from->errorCode};
        }
    }
    return true;
}

/* Partitions that are named; a group counts as one, too. */
static int64_t asked(const fr_kafka_OffsetFetchRequest *request)
{
    int64_t count = 0;
    for (int32_t i = 0; i < request->topics.count; i++) count += 1 + FR_MAX(request->topics.items[i].partitionIndexes.count, 0);
    for (int32_t g = 0; g < request->groups.count; g++) {
        const fr_kafka_OffsetFetchRequestGroup *group = &request->groups.items[g];
        count++;
        for (int32_t i = 0; i < group->topics.count; i++) count += 1 + FR_MAX(group->topics.items[i].partitionIndexes.count, 0);
    }
    return count;
}

fr_kafka_next fr_kafka_offset_fetch(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_OffsetFetchRequest *request = call->request;
    fr_kafka_OffsetFetchResponse *response = FR_KAFKA_RESPONSE(call, OffsetFetchResponse);
    if (!response || asked(request) > (int64_t)FR_KAFKA_PARTITIONS_ASKED_MAX) return FR_KAFKA_CLOSE;
    bool enough = true;
    pthread_mutex_lock(&door->groups->lock);
    if (call->header.version < 8) {
        enough = fetch_old(door, call, request, response);
    } else {
        enough = FR_KAFKA_ITEMS(&call->arena, &response->groups, OffsetFetchResponseGroup, FR_MAX(request->groups.count, 0));
        for (int32_t i = 0; enough && i < response->groups.count; i++)
            enough = fetch_group(door, call, &request->groups.items[i], request->requireStable, &response->groups.items[i]);
    }
    fr_kafka_next next = enough ? fr_kafka_reply(call, response) : FR_KAFKA_CLOSE; /* metadata is borrowed */
    pthread_mutex_unlock(&door->groups->lock);
    return next;
}

/* ---- OffsetDelete ---- */

static fr_kafka_next delete_answer(fr_kafka_call *call, const commit *self, int16_t top, int16_t all)
{
    const fr_kafka_OffsetDeleteRequest *request = call->request;
    fr_kafka_OffsetDeleteResponse *response = FR_KAFKA_RESPONSE(call, OffsetDeleteResponse);
    int32_t count = top ? 0 : FR_MAX(request->topics.count, 0);
    if (!response || !FR_KAFKA_ITEMS(&call->arena, &response->topics, OffsetDeleteResponseTopic, count)) return FR_KAFKA_CLOSE;
    response->errorCode = top;
    const item *one = self->items;
    for (int32_t i = 0; i < count; i++) {
        const fr_kafka_OffsetDeleteRequestTopic *topic = &request->topics.items[i];
        fr_kafka_OffsetDeleteResponseTopic *row = &response->topics.items[i];
        row->name = topic->name;
        int32_t parts = FR_MAX(topic->partitions.count, 0);
        if (!FR_KAFKA_ITEMS(&call->arena, &row->partitions, OffsetDeleteResponsePartition, parts)) return FR_KAFKA_CLOSE;
        for (int32_t j = 0; j < parts; j++, one++) {
            row->partitions.items[j].partitionIndex = topic->partitions.items[j].partitionIndex;
            row->partitions.items[j].errorCode = one->error ? one->error : all;
        }
    }
    return fr_kafka_reply(call, response);
}

static int16_t removal_end(fr_kafka *door, const fr_write *write, fr_group_row *row, const item *items, uint32_t count)
{
    int16_t error = write->kind == FR_KAFKA_SKIP ? KAFKA_NONE : fr_kafka_coordinator_error(write);
    pthread_mutex_lock(&door->groups->lock);
    for (uint32_t i = 0; i < count && !error; i++)
        if (!items[i].error)
            fr_offsets_remove(&row->offsets, items[i].one.topic, items[i].one.partition, write->written[0].first + (fr_offset)items[i].record);
    row->writes--;
    fr_groups_purge(row);
    pthread_mutex_unlock(&door->groups->lock);
    return error;
}

static fr_kafka_next deleted(fr_kafka *door, fr_kafka_call *call)
{
    commit *self = call->state;
    return delete_answer(call, self, KAFKA_NONE, removal_end(door, &call->writes[0], self->row, self->items, self->count));
}

fr_kafka_next fr_kafka_offset_delete(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_OffsetDeleteRequest *request = call->request;
    fr_kafka_groups *groups = door->groups;
    int64_t count = 0;
    for (int32_t i = 0; i < request->topics.count; i++) count += FR_MAX(request->topics.items[i].partitions.count, 0);
    commit *self = commit_new(call, count);
    if (!self || !fr_kafka_writes(call, 1)) return FR_KAFKA_CLOSE;
    for (int32_t i = 0; i < request->topics.count; i++)
        for (int32_t j = 0; j < request->topics.items[i].partitions.count; j++)
            item_add(door, call, self, request->topics.items[i].name, request->topics.items[i].partitions.items[j].partitionIndex);
    int16_t denied = fr_kafka_group_error(door, call, FR_ACTION_ADMIN, request->groupId);
    if (denied) return delete_answer(call, self, denied, 0);
    pthread_mutex_lock(&groups->lock);
    fr_group_row *row = self->row = fr_groups_find(groups, request->groupId);
    if (row) fr_group_tick(&row->group, groups->now_ms());
    int16_t error = row && fr_groups_known(row) ? KAFKA_NONE : KAFKA_GROUP_ID_NOT_FOUND;
    if (!error && row->group.state != FR_GROUP_EMPTY && row->group.protocol_type && strcmp(row->group.protocol_type, "consumer") != 0)
        error = KAFKA_NON_EMPTY_GROUP;
    for (uint32_t i = 0; !error && i < self->count; i++)
        if (!self->items[i].error && fr_group_subscribed(&row->group, self->items[i].topic)) self->items[i].error = KAFKA_GROUP_SUBSCRIBED_TO_TOPIC;
    if (!error) row->writes++;
    pthread_mutex_unlock(&groups->lock);
    if (error) return delete_answer(call, self, error, 0);
    if (records_make(call, &call->writes[0], groups->topic, request->groupId, self->items, self->count, true) < 0)
        return removal_end(door, &call->writes[0], self->row, NULL, 0), FR_KAFKA_CLOSE;
    return fr_kafka_submit(door, call, deleted);
}

/* ---- DeleteGroups: one write per group ---- */

static fr_kafka_next groups_deleted(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_DeleteGroupsRequest *request = call->request;
    commit *list = call->state;
    fr_kafka_DeleteGroupsResponse *response = FR_KAFKA_RESPONSE(call, DeleteGroupsResponse);
    int32_t count = FR_MAX(request->groupsNames.count, 0);
    bool enough = response && FR_KAFKA_ITEMS(&call->arena, &response->results, DeletableGroupResult, count);
    for (int32_t i = 0; i < count; i++) {
        int16_t error = list[i].found;
        if (list[i].row) error = removal_end(door, &call->writes[i], list[i].row, list[i].items, list[i].count);
        if (!enough) continue;
        response->results.items[i].groupId = request->groupsNames.items[i];
        response->results.items[i].errorCode = error;
    }
    pthread_mutex_lock(&door->groups->lock);
    fr_groups_sweep(door->groups, true);
    pthread_mutex_unlock(&door->groups->lock);
    return enough ? fr_kafka_reply(call, response) : FR_KAFKA_CLOSE;
}

/* Its items: all that the group has. With the lock held. */
static int16_t group_delete(fr_kafka *door, fr_kafka_call *call, fr_span name, fr_write *write, commit *out)
{
    fr_kafka_groups *groups = door->groups;
    if (!group_id_ok(name)) return KAFKA_INVALID_GROUP_ID;
    if (!fr_kafka_may(door, call, FR_ACTION_ADMIN, FR_OBJECT_GROUP, name, false)) return KAFKA_GROUP_AUTHORIZATION_FAILED;
    fr_group_row *row = fr_groups_find(groups, name);
    if (row) fr_group_tick(&row->group, groups->now_ms());
    if (!row || !fr_groups_known(row)) return KAFKA_GROUP_ID_NOT_FOUND;
    if (row->group.state != FR_GROUP_EMPTY || row->pending || row->offsets.count > FR_RECORDS_MAX) return KAFKA_NON_EMPTY_GROUP;
    out->items = fr_arena_alloc(&call->arena, FR_MAX(row->offsets.count, 1u) * sizeof *out->items);
    if (!out->items) return KAFKA_COORDINATOR_NOT_AVAILABLE;
    for (uint32_t i = 0; i < row->offsets.count; i++)
        if (!row->offsets.list[i].gone)
            out->items[out->count++] = (item){.one = {.topic = row->offsets.list[i].topic, .partition = row->offsets.list[i].partition}};
    if (records_make(call, write, groups->topic, name, out->items, out->count, true) < 0) return KAFKA_COORDINATOR_NOT_AVAILABLE;
    out->row = row;
    row->writes++;
    return KAFKA_NONE;
}

fr_kafka_next fr_kafka_delete_groups(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_DeleteGroupsRequest *request = call->request;
    int32_t count = FR_MAX(request->groupsNames.count, 0);
    if (count > (int32_t)FR_GROUPS_MAX || !fr_kafka_writes(call, (uint32_t)count)) return FR_KAFKA_CLOSE;
    commit *list = fr_arena_alloc(&call->arena, FR_MAX((size_t)count, 1u) * sizeof *list);
    if (!list) return FR_KAFKA_CLOSE;
    call->state = list;
    pthread_mutex_lock(&door->groups->lock);
    for (int32_t i = 0; i < count; i++) {
        memset(&list[i], 0, sizeof list[i]);
        list[i].found = group_delete(door, call, request->groupsNames.items[i], &call->writes[i], &list[i]);
    }
    pthread_mutex_unlock(&door->groups->lock);
    return fr_kafka_submit(door, call, groups_deleted);
}
