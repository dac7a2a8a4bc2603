/* kafka_fetch.c: Fetch. Durable batches as they lie in the log, by range of a file or from memory; long poll on *durable*.
 * Sessions (KIP-227) are declined: a request that wants one gets session 0 and sends whole requests, which is always legal. */
#include "api/kafka/kafka_private.h"

#include <stdlib.h>

typedef struct asked {
    fr_fetch fetch;
    int16_t error;
    bool live; /* fetch holds something to be released */
    uint32_t limit; /* partitionMaxBytes */
    fr_kafka_out text; /* transcoded batches */
    bool done;         /* transcoded: text counts, also when it is empty */
} asked;

typedef struct fetching {
    asked *parts;
    int32_t count;
    int64_t bytes;
    uint32_t files; /* descriptors held */
    bool decided; /* an error: answered at once */
} fetching;

static void let_go(fr_kafka *door, fr_kafka_call *call)
{
    (void)door;
    fetching *self = call->state;
    for (int32_t i = 0; self && i < self->count; i++) {
        if (self->parts[i].live) fr_fetch_release(&self->parts[i].fetch);
        fr_kafka_out_free(&self->parts[i].text);
        self->parts[i].live = false;
    }
}

static int64_t size_of(const asked *part)
{
    if (!part->live) return 0;
    return part->fetch.descriptor >= 0 ? (int64_t)part->fetch.size : (int64_t)part->fetch.view.size;
}

/* KIP-74: the first batch of the first partition that has one is given whole, whatever its size; the rest within the limits. */
static void part_read(fr_kafka *door, const fr_kafka_FetchRequest *request, const fr_kafka_FetchPartition *wanted, asked *part,
                      fetching *self)
{
    int64_t limit = FR_MIN((int64_t)request->maxBytes, (int64_t)FR_KAFKA_FETCH_BYTES_MAX);
    int64_t rest = limit - self->bytes;
    if (part->error != KAFKA_NONE) return;
    fr_fetch *fetch = &part->fetch;
    fetch->from = wanted->fetchOffset;
    fetch->bytes_max = (uint32_t)FR_MAX(FR_MIN((int64_t)wanted->partitionMaxBytes, rest), 1);
    fetch->committed = request->isolationLevel == 1;
    fetch->want_file = door->file_ranges && self->files < FR_KAFKA_FETCH_FILES_MAX;
    fetch->descriptor = -1;
    fr_err err = {0};
    fr_code code = fr_fetch_get(door->db, fetch, &err);
    if (code != FR_OK) {
        part->error = code == FR_ERR_INVALID ? KAFKA_OFFSET_OUT_OF_RANGE : fr_kafka_error(code);
        self->decided = true;
        return;
    }
    part->live = true;
    if (self->bytes > 0 && size_of(part) > FR_MAX(FR_MIN((int64_t)wanted->partitionMaxBytes, rest), 0)) {
        fr_partition_state state = fetch->state;
        fr_fetch_release(fetch);
        part->live = false;
        fetch->state = state;
        return;
    }
    self->bytes += size_of(part);
    self->files += part->fetch.descriptor >= 0;
}

static void read_all(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_FetchRequest *request = call->request;
    fetching *self = call->state;
    self->bytes = 0;
    self->files = 0;
    asked *part = self->parts;
    for (int32_t i = 0; i < request->topics.count; i++)
        for (int32_t j = 0; j < request->topics.items[i].partitions.count; j++)
            part_read(door, request, &request->topics.items[i].partitions.items[j], part++, self);
}

static bool part_answer(fr_kafka_call *call, const asked *part, fr_kafka_PartitionData *row)
{
    const fr_fetch *fetch = &part->fetch;
    row->errorCode = part->error;
    row->highWatermark = row->lastStableOffset = row->logStartOffset = -1;
    row->abortedTransactions.count = call->header.version >= 4 && fetch->committed ? 0 : -1;
    if (part->error == KAFKA_UNKNOWN_TOPIC_OR_PARTITION || part->error == KAFKA_UNKNOWN_TOPIC_ID) return true;
    row->highWatermark = fetch->state.end;
    row->lastStableOffset = fetch->state.stable;
    row->logStartOffset = fetch->state.start;
    if (!part->live) return true;
    if (part->fetch.transcode && part->done)
        row->records = (fr_kafka_records){.data = part->text.data, .size = part->text.size, .fd = -1};
    else if (fetch->descriptor >= 0)
        row->records = (fr_kafka_records){.fd = fetch->descriptor, .position = (int64_t)fetch->position, .size = fetch->size};
    else row->records = (fr_kafka_records){.data = fetch->view.data, .size = fetch->view.size, .fd = -1};
    if (!fetch->committed || !fetch->aborted_count) return true;
    if (!FR_KAFKA_ITEMS(&call->arena, &row->abortedTransactions, AbortedTransaction, (int32_t)fetch->aborted_count)) return false;
    for (uint32_t i = 0; i < fetch->aborted_count; i++) {
        row->abortedTransactions.items[i].producerId = fetch->aborted[i].producer_id;
        row->abortedTransactions.items[i].firstOffset = fetch->aborted[i].first_offset;
    }
    return true;
}

static fr_kafka_next answer(fr_kafka_call *call)
{
    const fr_kafka_FetchRequest *request = call->request;
    const fetching *self = call->state;
    const asked *part = self->parts;
    fr_kafka_FetchResponse *response = FR_KAFKA_RESPONSE(call, FetchResponse);
    if (!response || !FR_KAFKA_ITEMS(&call->arena, &response->responses, FetchableTopicResponse, FR_MAX(request->topics.count, 0)))
        return FR_KAFKA_CLOSE;
    for (int32_t i = 0; i < response->responses.count; i++) {
        const fr_kafka_FetchTopic *topic = &request->topics.items[i];
        fr_kafka_FetchableTopicResponse *row = &response->responses.items[i];
        row->topic = topic->topic;
        row->topicId = topic->topicId;
        int32_t count = FR_MAX(topic->partitions.count, 0);
        if (!FR_KAFKA_ITEMS(&call->arena, &row->partitions, PartitionData, count)) return FR_KAFKA_CLOSE;
        for (int32_t j = 0; j < count; j++) {
            row->partitions.items[j].partitionIndex = topic->partitions.items[j].partition;
            if (!part_answer(call, part++, &row->partitions.items[j])) return FR_KAFKA_CLOSE;
        }
    }
    return fr_kafka_reply(call, response);
}

/* ---- a collection's topic is given as JSON ---- */

typedef struct texting {
    fr_kafka *door;
    fr_json_map names;
    fr_kafka_out value, *batches;
    fr_offset from;
    uint64_t limit; /* of batches */
    bool must;      /* the reply has nothing yet: its first batch is given whatever its size (KIP-74) */
    bool full;
} texting;

static fr_code value_text(void *user, const fr_record *record, fr_span *text_out)
{
    texting *self = user;
    fr_kafka_out_reset(&self->value);
    FR_TRY(self->door->json_out(&self->names, record, &self->value));
    *text_out = fr_span_of(self->value.data, self->value.size);
    return FR_OK;
}

static fr_code batch_put(void *user, const void *data, size_t size)
{
    texting *self = user;
    const uint8_t *batch = data; /* a piece of a large batch may end before what is asked for */
    if ((fr_offset)fr_load_be64(batch) + (fr_offset)fr_load_be32(batch + 23) < self->from) return FR_OK;
    if (self->batches->size + size > self->limit && !(self->must && self->batches->size == 0)) {
        self->full = true;
        return FR_ERR_TOO_LARGE;
    }
    fr_kafka_out_put(self->batches, data, size);
    return self->batches->code;
}

static fr_kafka_next transcode(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_FetchRequest *request = call->request;
    fetching *self = call->state;
    uint64_t total = 0, most = (uint64_t)FR_MIN(FR_MAX(request->maxBytes, 0), (int64_t)FR_KAFKA_FETCH_BYTES_MAX);
    for (int32_t i = 0; i < self->count; i++) {
        asked *part = &self->parts[i];
        if (!part->live || !part->fetch.transcode) {
            total += (uint64_t)size_of(part);
            continue;
        }
        texting text = {.door = door, .batches = &part->text, .from = part->fetch.from, .must = total == 0,
                        .limit = FR_MIN(part->limit, most - FR_MIN(total, most))};
        fr_code code = fr_topic_json_map(door->db, part->fetch.id, &text.names);
        if (code == FR_OK) code = fr_view_transcode(&part->fetch.view, value_text, batch_put, &text, NULL);
        fr_kafka_out_free(&text.value);
        total += part->text.size;
        part->done = true;
        if (code == FR_OK || text.full) continue; /* full: the client asks for the rest */
        fr_fetch_release(&part->fetch);
        part->live = false;
        part->error = fr_kafka_error(code);
    }
    return answer(call);
}

/* Making text is too long for a loop. */
static fr_kafka_next give(fr_kafka *door, fr_kafka_call *call)
{
    const fetching *self = call->state;
    for (int32_t i = 0; i < self->count; i++) {
        if (!self->parts[i].live || !self->parts[i].fetch.transcode || !door->json_out || !self->parts[i].fetch.view.size) continue;
        call->resume = transcode;
        return FR_KAFKA_WORKER;
    }
    return answer(call);
}

static fr_kafka_next look(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_FetchRequest *request = call->request;
    fetching *self = call->state;
    read_all(door, call);
    if (self->decided || self->count == 0 || call->expired || request->maxWaitMs <= 0 || self->bytes >= request->minBytes)
        return give(door, call);
    let_go(door, call);
    if (!fr_kafka_waits(call, (uint32_t)self->count)) return FR_KAFKA_CLOSE;
    for (int32_t i = 0; i < self->count; i++) {
        fr_waiter *waiter = &call->waits[i].waiter;
        waiter->id = self->parts[i].fetch.id;
        waiter->partition = self->parts[i].fetch.partition;
        waiter->offset = self->parts[i].fetch.state.end;
        waiter->durable_only = true;
    }
    return fr_kafka_arm(door, call, FR_MIN(request->maxWaitMs, FR_KAFKA_FETCH_WAIT_MS_MAX), look);
}

static void part_begin(const fr_kafka_FetchPartition *wanted, const fr_topic_info *info, int16_t error, asked *part)
{
    memset(part, 0, sizeof *part);
    part->fetch.descriptor = -1;
    part->error = error;
    if (error) return;
    if (wanted->partition < 0 || (uint32_t)wanted->partition >= info->partition_count) part->error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    else if (wanted->currentLeaderEpoch > 0) part->error = KAFKA_UNKNOWN_LEADER_EPOCH; /* the epoch here is always 0 */
    part->fetch.id = info->id;
    part->fetch.partition = wanted->partition;
    part->limit = (uint32_t)FR_MAX(wanted->partitionMaxBytes, 0);
}

static int by_partition(const void *a, const void *b)
{
    const asked *x = *(asked *const *)a, *y = *(asked *const *)b;
    if (x->fetch.id != y->fetch.id) return x->fetch.id < y->fetch.id ? -1 : 1;
    if (x->fetch.partition != y->fetch.partition) return x->fetch.partition < y->fetch.partition ? -1 : 1;
    return (x > y) - (x < y);
}

/* A partition named again would hold another descriptor and another waiter. false: no memory. */
static bool repeats_refuse(fr_kafka_call *call, fetching *self)
{
    asked **order = fr_arena_alloc(&call->arena, FR_MAX((size_t)self->count, 1u) * sizeof *order);
    if (!order) return false;
    for (int32_t i = 0; i < self->count; i++) order[i] = &self->parts[i];
    if (self->count > 1) qsort(order, (size_t)self->count, sizeof *order, by_partition);
    for (int32_t i = 1; i < self->count; i++) {
        if (order[i]->error || order[i]->fetch.id != order[i - 1]->fetch.id || order[i]->fetch.partition != order[i - 1]->fetch.partition)
            continue;
        order[i]->error = KAFKA_INVALID_REQUEST;
        self->decided = true;
    }
    return true;
}

static fr_kafka_next session_refused(fr_kafka_call *call)
{
    fr_kafka_FetchResponse *response = FR_KAFKA_RESPONSE(call, FetchResponse);
    if (response) response->errorCode = KAFKA_FETCH_SESSION_ID_NOT_FOUND;
    return fr_kafka_reply(call, response);
}

fr_kafka_next fr_kafka_fetch(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_FetchRequest *request = call->request;
    if (request->sessionId != 0 && request->sessionEpoch > 0) return session_refused(call);
    int64_t count = 0;
    for (int32_t i = 0; i < request->topics.count; i++) count += FR_MAX(request->topics.items[i].partitions.count, 0);
    if (count > (int64_t)FR_KAFKA_PARTITIONS_ASKED_MAX) return FR_KAFKA_CLOSE;
    fetching *self = fr_arena_alloc(&call->arena, sizeof *self);
    if (!self) return FR_KAFKA_CLOSE;
    *self = (fetching){.parts = fr_arena_alloc(&call->arena, FR_MAX((size_t)count, 1u) * sizeof(asked))};
    if (!self->parts) return FR_KAFKA_CLOSE;
    for (int32_t i = 0; i < request->topics.count; i++) {
        const fr_kafka_FetchTopic *topic = &request->topics.items[i];
        fr_topic_info info = {0};
        int16_t error = call->header.version >= 13 ? fr_kafka_topic_by_id(door, call, &topic->topicId, &info)
                                                   : fr_kafka_topic(door, call, topic->topic, &info);
        for (int32_t j = 0; j < topic->partitions.count; j++) {
            asked *part = &self->parts[self->count++];
            part_begin(&topic->partitions.items[j], &info, error, part);
            self->decided = self->decided || part->error != KAFKA_NONE;
        }
    }
    if (!repeats_refuse(call, self)) return FR_KAFKA_CLOSE;
    call->state = self;
    call->release = let_go;
    return look(door, call);
}
