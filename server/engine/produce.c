/* produce.c: batches as producers made them: judged on the caller's thread, appended as they are by the writer. Each partition's
 * batch succeeds or fails alone; errors are those that Apache Kafka 4.3.1 was seen to give. */
#include "server/engine/engine.h"

#include <stdio.h>

static fr_code refuse(fr_produce *part, fr_reason reason, fr_code code, int32_t record, const char *text)
{
    part->reason = reason;
    part->code = code;
    part->bad_record = record;
    snprintf(part->text, sizeof part->text, "%.110s", text);
    return code;
}

/* ==== judged on the caller's thread ==== */

static fr_code check_header(const fr_topic_limits *limits, fr_produce *part, fr_batch_header *header)
{
    size_t size;
    fr_err err = {0};
    if (part->size < FR_BATCH_HEADER) return refuse(part, FR_REASON_INVALID_RECORD, FR_ERR_INVALID, -1, "the batch is cut");
    if (part->data[16] != 2)
        return refuse(part, FR_REASON_INVALID_RECORD, FR_ERR_INVALID, -1, "only batches of magic 2 are taken");
    uint64_t whole = 12u + (uint64_t)fr_load_be32(part->data + 8);
    if (whole != part->size)
        return refuse(part, FR_REASON_INVALID_RECORD, FR_ERR_INVALID, -1,
                      whole > part->size ? "the batch is cut" : "one batch for each partition, and nothing behind it");
    if (part->size > limits->message_bytes) {
        refuse(part, FR_REASON_MESSAGE_TOO_LARGE, FR_ERR_TOO_LARGE, -1, "");
        snprintf(part->text, sizeof part->text, "the batch has %zu bytes, max.message.bytes is %u", part->size,
                 limits->message_bytes);
        return part->code;
    }
    if (fr_load_be64(part->data) != 0)
        return refuse(part, FR_REASON_INVALID_RECORD, FR_ERR_INVALID, -1, "the base offset must be 0");
    fr_code code = fr_batch_check(part->data, part->size, header, &size, &err);
    if (code == FR_OK) return FR_OK;
    fr_reason reason = strcmp(err.field, "crc") == 0             ? FR_REASON_CORRUPT_MESSAGE
                       : (fr_load_be16(part->data + 21) & 7) > 4 ? FR_REASON_UNSUPPORTED_COMPRESSION
                                                                 : FR_REASON_INVALID_RECORD;
    return refuse(part, reason, code, -1, err.text);
}

static fr_code check_fields(fr_produce *part, const fr_batch_header *h)
{
    const char *wrong = NULL;
    if (h->attributes & 0x60) wrong = "control batches and delete horizons are the broker's";
    else if (h->recordCount < 1 || h->lastOffsetDelta != h->recordCount - 1)
        wrong = "recordCount and lastOffsetDelta do not fit together";
    else if (h->producerId >= 0 && (h->producerEpoch < 0 || h->baseSequence < 0))
        wrong = "a producer id needs an epoch and a sequence";
    else if ((h->attributes & 0x10) && h->producerId < 0) wrong = "a transaction needs a producer id";
    return wrong == NULL ? FR_OK : refuse(part, FR_REASON_INVALID_RECORD, FR_ERR_INVALID, -1, wrong);
}

typedef struct record_rules {
    int64_t oldest_ms, newest_ms; /* INT64_MIN, INT64_MAX: the broker's clock is used */
    bool keyed;
    uint32_t partitions; /* of a collection: a key belongs to one; 1 = any */
    const fr_collection *collection; /* NULL: a topic without rows */
    const fr_json_map *json;
    fr_batch *scratch, *found; /* found: all records as events; NULL when they are too many, or one is not usable */
    bool grows; /* out: a collection gets something to hold */
} record_rules;

/* Records of a collection: is it one of its, and what is it as an event? */
static void judge_record(fr_produce *part, record_rules *rules, const fr_log_record *record)
{
    fr_err why = {0};
    fr_code code = fr_engine_judge_produced(rules->collection, rules->json, record->key, record->value, rules->scratch, &why);
    if (record->value.data != NULL) rules->grows = true;
    if (code != FR_OK) part->opaque[0]++; /* stored, not used: dead_letters.c */
    if (rules->found == NULL) return;
    if (code == FR_OK && rules->found->size > FR_FOUND_BYTES_MAX) code = FR_ERR_TOO_LARGE;
    if (code == FR_OK && rules->scratch->count != 0) code = fr_engine_batch_copy(rules->found, rules->scratch, 0, rules->scratch->size, NULL);
    else if (code == FR_OK) code = fr_engine_batch_put_value(rules->found, record->key, record->value, NULL);
    if (code != FR_OK) rules->found = NULL; /* apply reads this batch again */
}

static fr_code check_records(fr_produce *part, record_rules *rules, fr_batch_reader **reader_io)
{
    fr_log_record record;
    fr_err err = {0};
    int32_t index = 0;
    int64_t newest_ms = INT64_MIN;
    fr_code code = fr_batch_reader_open(part->data, part->size, reader_io, &err);
    if (code == FR_ERR_NO_MEMORY) return refuse(part, FR_REASON_STORAGE, code, -1, err.text);
    if (code == FR_ERR_TOO_LARGE) return refuse(part, FR_REASON_MESSAGE_TOO_LARGE, code, -1, err.text);
    if (code != FR_OK) return refuse(part, FR_REASON_INVALID_RECORD, code, -1, err.text);
    for (; fr_batch_reader_next(*reader_io, &record); index++) {
        if (rules->keyed && record.key.data == NULL)
            return refuse(part, FR_REASON_INVALID_RECORD, FR_ERR_INVALID, index, "a compacted topic needs keys");
        if (record.timestamp_ms < rules->oldest_ms || record.timestamp_ms > rules->newest_ms)
            return refuse(part, FR_REASON_INVALID_TIMESTAMP, FR_ERR_INVALID, index,
                          "outside of message.timestamp.before.max.ms and message.timestamp.after.max.ms");
        newest_ms = FR_MAX(newest_ms, record.timestamp_ms);
        for (uint32_t h = 0; rules->collection != NULL && h < record.header_count; h++) {
            if (fr_span_equal(record.headers[h].key, fr_span_text(FR_HEADER_PARTS)))
                return refuse(part, FR_REASON_INVALID_RECORD, FR_ERR_INVALID, index, "the header " FR_HEADER_PARTS " is the engine's own");
            part->opaque[1] += fr_span_equal(record.headers[h].key, fr_span_text(FR_HEADER_EVENT_ID));
        }
        if (rules->partitions > 1 &&
            fr_murmur2(record.key.data, record.key.size) % rules->partitions != (uint32_t)part->partition)
            return refuse(part, FR_REASON_INVALID_RECORD, FR_ERR_INVALID, index,
                          "the key belongs to another partition: murmur2(key) mod partitions (partitioner=murmur2_random)");
        if (rules->collection != NULL) judge_record(part, rules, &record);
    }
    if (fr_batch_reader_code(*reader_io) != FR_OK)
        return refuse(part, FR_REASON_INVALID_RECORD, FR_ERR_INVALID, index, "malformed records");
    if ((int64_t)fr_load_be64(part->data + 35) != newest_ms) fr_batch_newest(part->data, part->size, newest_ms); /* as Apache Kafka does */
    return FR_OK;
}

static void check_part(fr_produce *part, const fr_topic_limits *limits, uint32_t partitions, record_rules *rules, fr_batch *found,
                       fr_batch_reader **reader_io)
{
    fr_batch_header header;
    size_t begin = found->size;
    part->reason = FR_REASON_NONE;
    part->code = FR_OK;
    part->bad_record = -1;
    part->base_offset = part->append_time_ms = -1;
    part->log_start = 0;
    part->text[0] = 0;
    memset(part->opaque, 0, sizeof part->opaque);
    if (part->partition < 0 || (uint32_t)part->partition >= partitions) {
        refuse(part, FR_REASON_UNKNOWN_PARTITION, FR_ERR_NOT_FOUND, -1, "there is no such partition");
        return;
    }
    if (check_header(limits, part, &header) != FR_OK || check_fields(part, &header) != FR_OK) return;
    rules->found = rules->collection != NULL && !(header.attributes & 0x10) ? found : NULL; /* a transaction's wait in the log for its marker */
    if (check_records(part, rules, reader_io) == FR_OK && rules->found != NULL) {
        part->opaque[2] = begin;
        part->opaque[3] = found->size;
    } else {
        found->size = begin;
    }
}

fr_code fr_engine_check_batches(fr_db *db, fr_collection *topic, fr_write *write, uint64_t *bytes_out, fr_err *err)
{
    fr_topic_limits limits;
    fr_batch_reader *reader = NULL;
    if (write->produce == NULL || write->produce_count == 0 || write->produce_count > FR_PARTITIONS_MAX)
        return fr_fail(err, FR_ERR_INVALID, "produce", "a write has 1 to %u partitions", FR_PARTITIONS_MAX);
    if (topic->kind == FR_TOPIC_INTERNAL)
        return fr_fail(err, FR_ERR_INVALID, "topic", "internal topics are not written by producers");
    fr_engine_limits(topic, &limits);
    int64_t now_ms = db->io->now_ms(db->io);
    uint32_t partitions = atomic_load(&topic->shard_count);
    record_rules rules = {.oldest_ms = INT64_MIN, .newest_ms = INT64_MAX, .keyed = limits.compact};
    if (!limits.append_time) {
        if (limits.before_max_ms != INT64_MAX) rules.oldest_ms = now_ms - limits.before_max_ms;
        if (limits.after_max_ms < INT64_MAX - now_ms) rules.newest_ms = now_ms + limits.after_max_ms;
    }
    fr_batch scratch = {0};
    fr_ticket *ticket = fr_ticket_of(write);
    ticket->limits_version = limits.version;
    fr_batch_reset(&ticket->found); /* it may be judged again */
    if (topic->kind == FR_TOPIC_COLLECTION) {
        rules.partitions = partitions;
        rules.collection = topic;
        rules.json = &limits.json;
        rules.scratch = &scratch;
    }
    for (uint32_t i = 0; i < write->produce_count; i++) {
        *bytes_out += write->produce[i].size;
        check_part(&write->produce[i], &limits, partitions, &rules, &ticket->found, &reader);
    }
    *bytes_out += ticket->found.size;
    fr_batch_reader_close(reader);
    fr_batch_free(&scratch);
    return rules.grows ? fr_engine_room(db, err) : FR_OK;
}

/* ==== appended by the writer ==== */

fr_code fr_engine_producers_of(fr_shard *shard, fr_producers **out)
{
    *out = fr_shard_producers(shard);
    if (*out != NULL) return FR_OK;
    FR_TRY(fr_producers_create(out));
    atomic_store_explicit(&shard->producers, *out, memory_order_release);
    return FR_OK;
}

/* NONE: go on. DUPLICATE: part->base_offset is filled. */
static fr_reason check_producer(fr_db *db, fr_shard *shard, const fr_batch_header *h, fr_produce *part)
{
    fr_producers *producers;
    if (h->producerId < 0) return FR_REASON_NONE;
    fr_reason reason = fr_txn_check(db, shard, h);
    if (reason != FR_REASON_NONE) return reason;
    if (fr_engine_producers_of(shard, &producers) != FR_OK || fr_producers_reserve(producers, 1) != FR_OK)
        return FR_REASON_STORAGE;
    switch (fr_producers_check(producers, h, &part->base_offset)) {
    case FR_PRODUCER_OK: return FR_REASON_NONE;
    case FR_PRODUCER_DUPLICATE: return FR_REASON_DUPLICATE;
    case FR_PRODUCER_OLD_EPOCH: return FR_REASON_INVALID_PRODUCER_EPOCH;
    case FR_PRODUCER_TXN_STATE: return FR_REASON_INVALID_TXN_STATE;
    default: return FR_REASON_OUT_OF_ORDER_SEQUENCE;
    }
}

static const char *const reason_texts[FR_REASON_COUNT] = {
    [FR_REASON_INVALID_PRODUCER_EPOCH] = "the producer's epoch is older than the newest one",
    [FR_REASON_INVALID_TXN_STATE] = "the producer has no open transaction with this partition",
    [FR_REASON_OUT_OF_ORDER_SEQUENCE] = "the sequence does not follow the last one",
    [FR_REASON_STORAGE] = "no memory for producer state",
    [FR_REASON_INVALID_PID_MAPPING] = "the producer id is not that of the transactional id",
};

/* The broker's clock instead of the producer's: attributes bit 3, maxTimestamp; the checksum covers both. */
static void stamp(fr_produce *part, fr_batch_header *h, int64_t now_ms)
{
    h->attributes = (int16_t)(h->attributes | 8);
    h->maxTimestamp = now_ms;
    part->append_time_ms = now_ms;
    fr_batch_stamp(part->data, part->size, now_ms);
}

/* Event ids of a producer's records are known from now on, as after a replay; inside of a transaction the replay tells. */
static void take_event_ids(fr_db *db, fr_shard *shard, const fr_produce *part, const fr_batch_header *h)
{
    fr_batch_reader *reader = NULL;
    fr_log_record record;
    if (part->opaque[1] == 0 || (h->attributes & 0x10) || fr_batch_reader_open(part->data, part->size, &reader, NULL) != FR_OK) return;
    while (fr_batch_reader_next(reader, &record))
        for (uint32_t i = 0; i < record.header_count; i++)
            if (fr_span_equal(record.headers[i].key, fr_span_text(FR_HEADER_EVENT_ID)) && record.headers[i].value.size != 0 &&
                record.headers[i].value.size <= FR_EVENT_ID_BYTES_MAX)
                (void)!fr_event_ids_add(&shard->ids, record.headers[i].value, record.offset, db->io->now_ms(db->io));
    fr_batch_reader_close(reader);
}

static fr_code append_one(fr_db *db, fr_shard *shard, const fr_topic_limits *limits, fr_produce *part, fr_commit *commit)
{
    fr_batch_header header;
    fr_err err = {0};
    fr_code code = FR_OK;
    fr_batch_header_get(part->data, &header); /* judged by the caller's thread; fr_log_append looks at the checksum once more */
    fr_reason reason = check_producer(db, shard, &header, part);
    if (reason == FR_REASON_DUPLICATE) {
        part->reason = reason;
        atomic_fetch_add_explicit(&db->duplicates, (uint64_t)header.recordCount, memory_order_relaxed);
        return FR_OK;
    }
    if (reason != FR_REASON_NONE)
        return refuse(part, reason, reason == FR_REASON_STORAGE ? FR_ERR_NO_MEMORY : FR_ERR_INVALID, -1,
                      reason_texts[reason] != NULL ? reason_texts[reason] : "");
    if (limits->append_time) stamp(part, &header, db->io->now_ms(db->io));
    if (fr_shard_log(shard) == NULL) code = fr_engine_shard_open_log(shard, &err);
    if (code == FR_OK) code = fr_log_append(fr_shard_log(shard), part->data, part->size, &header.baseOffset, &err);
    if (code != FR_OK) {
        fr_engine_append_failed(db, shard, code, &err);
        bool changed = code == FR_ERR_CORRUPT && strcmp(err.field, "crc") == 0; /* since it was judged */
        return refuse(part, changed ? FR_REASON_CORRUPT_MESSAGE : FR_REASON_STORAGE, code, -1, err.text);
    }
    if (header.producerId >= 0) fr_producers_add(fr_shard_producers(shard), &header, db->io->now_ms(db->io));
    part->base_offset = header.baseOffset;
    if (shard->collection->kind == FR_TOPIC_COLLECTION) take_event_ids(db, shard, part, &header);
    commit->parts[commit->part_count++] =
        (fr_written){shard->partition, header.baseOffset, header.baseOffset + header.lastOffsetDelta};
    atomic_fetch_add_explicit(&db->appended_bytes, part->size, memory_order_relaxed);
    atomic_fetch_add_explicit(&db->appended_records, (uint64_t)header.recordCount, memory_order_relaxed);
    return FR_OK;
}

fr_commit *fr_engine_commit_new(fr_db *db, fr_collection *c, uint32_t parts)
{
    fr_commit *commit = fr_alloc(FR_MEM_ENGINE, sizeof *commit + parts * sizeof(fr_written));
    if (commit == NULL || !fr_engine_round_reserve(db, parts)) {
        fr_free(FR_MEM_ENGINE, commit);
        return NULL;
    }
    *commit = (fr_commit){.collection = c};
    fr_engine_ref(c);
    return commit;
}

static void take_write(fr_commit *commit, fr_write *write)
{
    commit->write = write;
    commit->bytes = fr_ticket_of(write)->bytes;
    commit->submitted_us = fr_ticket_of(write)->submitted_us;
    commit->counted = true;
}

fr_code fr_engine_append_batches(fr_db *db, fr_collection *topic, fr_write *write, fr_err *err)
{
    fr_topic_limits limits;
    fr_engine_limits(topic, &limits);
    fr_commit *commit = fr_engine_commit_new(db, topic, write->produce_count);
    if (commit == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory");
    for (uint32_t i = 0; i < write->produce_count; i++) {
        fr_produce *part = &write->produce[i];
        if (part->reason != FR_REASON_NONE) continue;
        fr_shard *shard = &topic->shards[part->partition];
        fr_err full = {0};
        if (fr_engine_reserve_gate(db, &full) != FR_OK) (void)!refuse(part, FR_REASON_STORAGE, FR_ERR_DISK_FULL, -1, full.text);
        else (void)!append_one(db, shard, &limits, part, commit);
        part->log_start = fr_engine_start(shard);
    }
    if (commit->part_count != 0 && atomic_load_explicit(&db->state, memory_order_relaxed) == FR_ERR_DISK_FULL)
        fr_engine_set_state(db, FR_OK, "");
    take_write(commit, write);
    commit->number = ++topic->commit_last;
    fr_engine_round_add(db, commit);
    fr_engine_letters(db, topic, write); /* behind it: the round's room is reserved commit by commit */
    return FR_OK;
}

/* ==== keys and values of our own, to topics that are not collections ==== */

static fr_code encode_records(fr_db *db, const fr_write *write, uint8_t **data_out, size_t *size_out)
{
    int64_t now_ms = db->io->now_ms(db->io);
    fr_batch_writer_begin(&db->encoder, FR_CODEC_NONE);
    for (uint32_t i = 0; i < write->record_count; i++) {
        const fr_topic_record *record = &write->record_list[i];
        fr_batch_writer_add(&db->encoder, now_ms, record->key, record->value, (const fr_log_header *)record->headers,
                            record->header_count);
    }
    FR_TRY(fr_batch_writer_end(&db->encoder, data_out, size_out));
    if (write->txn != NULL) fr_batch_own(*data_out, *size_out, write->txn->producer_id, write->txn->producer_epoch, -1, 0x10);
    return FR_OK;
}

fr_code fr_engine_append_records(fr_db *db, fr_collection *topic, fr_write *write, fr_commit **commit_out, fr_err *err)
{
    fr_topic_limits limits;
    fr_engine_limits(topic, &limits);
    limits.append_time = false; /* they carry our clock already */
    fr_commit *commit = fr_engine_commit_new(db, topic, 1);
    if (commit == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory");
    fr_produce part = {.partition = write->partition, .base_offset = -1};
    fr_code code = encode_records(db, write, &part.data, &part.size);
    if (code != FR_OK) refuse(&part, FR_REASON_STORAGE, code, -1, "the records could not be encoded");
    if (code == FR_OK) code = append_one(db, &topic->shards[write->partition], &limits, &part, commit);
    if (code != FR_OK) {
        write->reason = part.reason;
        fr_engine_commit_free(db, commit);
        return fr_fail(err, code, "records", "%s", part.text);
    }
    write->records = write->record_count;
    write->written_count = 1;
    write->written[0] = commit->parts[0];
    take_write(commit, write);
    commit->number = ++topic->commit_last;
    *commit_out = commit;
    return FR_OK;
}

fr_code fr_engine_check_record_list(fr_collection *topic, fr_write *write, uint64_t *bytes_out, fr_err *err)
{
    if (topic->kind == FR_TOPIC_COLLECTION)
        return fr_fail(err, FR_ERR_INVALID, "topic", "a collection's records are written as events or as batches");
    if (write->partition < 0 || (uint32_t)write->partition >= atomic_load(&topic->shard_count))
        return fr_fail(err, FR_ERR_NOT_FOUND, "partition", "there is no partition %d", write->partition);
    if (write->record_count == 0 || write->record_count > FR_RECORDS_MAX)
        return fr_fail(err, FR_ERR_TOO_LARGE, "records", "a write has 1 to %u records", FR_RECORDS_MAX);
    for (uint32_t i = 0; i < write->record_count; i++) {
        const fr_topic_record *record = &write->record_list[i];
        *bytes_out += record->key.size + record->value.size;
        for (uint32_t h = 0; h < record->header_count; h++)
            *bytes_out += record->headers[h].key.size + record->headers[h].value.size;
    }
    return *bytes_out <= FR_REQUEST_BYTES_MAX
               ? FR_OK
               : fr_fail(err, FR_ERR_TOO_LARGE, "records", "a write has at most %u bytes", FR_REQUEST_BYTES_MAX);
}
