/* dead_letters.c: records of producers that apply cannot use, copied to <topic>.dlq in the round that stores them, with headers that say
 * why and where they stand. The batch itself is stored as it was sent. Judged by the functions of apply.c. The topic is made with
 * the first such record; until it stands the writes of that collection wait, in their order. Writer thread. */
#include "server/engine/engine.h"

#include <stdio.h>

/* NULL: there is none (yet). Else a reference. */
static fr_collection *letters_of(fr_db *db, const fr_collection *c, bool *taken_out)
{
    char topic[FR_TOPIC_NAME_SIZE], name[sizeof topic + sizeof FR_DLQ_SUFFIX];
    snprintf(name, sizeof name, "%s%s", fr_engine_topic_name(c, topic), FR_DLQ_SUFFIX);
    uint32_t pin = fr_engine_pin(db);
    fr_collection *found = fr_map_by_topic(atomic_load(&db->map), name);
    *taken_out = found != NULL && found->kind != FR_TOPIC_PLAIN;
    if (found != NULL && (found->kind != FR_TOPIC_PLAIN || atomic_load(&found->dropped))) found = NULL;
    if (found != NULL) fr_engine_ref(found);
    fr_engine_unpin(db, pin);
    return found;
}

static void refuse(fr_collection *c, const char *why)
{
    c->letters_refused = true; /* until the next start */
    char topic[FR_TOPIC_NAME_SIZE];
    fr_note(FR_NOTE_WARN, "event=no_dead_letters topic=%s text=\"%s\"", fr_engine_topic_name(c, topic), why);
}

bool fr_engine_letters_wait(fr_db *db, fr_write *write)
{
    fr_collection *c = fr_ticket_of(write)->collection;
    bool bad = false, taken;
    char topic[FR_TOPIC_NAME_SIZE];
    if (write->kind != FR_WRITE_BATCHES || c->kind != FR_TOPIC_COLLECTION || c->letters_refused ||
        atomic_load(&c->dropped))
        return false;
    for (uint32_t i = 0; i < write->produce_count; i++) bad = bad || write->produce[i].opaque[0] != 0;
    if (!bad) return false;
    fr_collection *letters = letters_of(db, c, &taken);
    if (letters != NULL) {
        fr_engine_unref(letters);
        return false;
    }
    if (taken || strlen(fr_engine_topic_name(c, topic)) + strlen(FR_DLQ_SUFFIX) > FR_NAME_BYTES_MAX) {
        refuse(c, taken ? "the name is a collection's" : "the name is too long");
        return false;
    }
    c->letters_wanted = true;
    fr_engine_ref(c);
    c->letters_next = db->letters.waiting;
    db->letters.waiting = c;
    return true;
}

/* ==== the topic is made ==== */

static void made(fr_write *write)
{
    fr_db *db = write->user;
    atomic_store(&db->letters.done, true);
    fr_engine_wake(db, FR_ROLE_WRITER);
}

void fr_engine_unpark(fr_db *db, fr_collection *c)
{
    if (c->parked_head == NULL) return; /* they go before everything that came later */
    if (db->ready_tail != NULL) fr_ticket_of(db->ready_tail)->next = c->parked_head;
    else db->ready_head = c->parked_head;
    db->ready_tail = c->parked_tail;
    c->parked_head = c->parked_tail = NULL;
}

static void let_go(fr_db *db)
{
    fr_collection *c = db->letters.waiting;
    db->letters.waiting = c->letters_next;
    db->letters.asked = false;
    c->letters_wanted = false;
    fr_engine_unpark(db, c);
    fr_engine_unref(c);
}

bool fr_engine_letters_step(fr_db *db)
{
    fr_collection *c = db->letters.waiting;
    fr_write *write = &db->letters.write;
    if (c == NULL) return false;
    if (!db->letters.asked) {
        if (atomic_load(&db->ddl_busy)) return false;
        char topic[FR_TOPIC_NAME_SIZE];
        snprintf(db->letters.name, sizeof db->letters.name, "%s%s", fr_engine_topic_name(c, topic), FR_DLQ_SUFFIX);
        db->letters.change = (fr_topic_change){.name = db->letters.name, .kind = FR_TOPIC_PLAIN, .partitions = 1};
        *write = (fr_write){.kind = FR_WRITE_TOPIC_CREATE, .topic = &db->letters.change, .done = made, .user = db};
        *fr_ticket_of(write) = (fr_ticket){.submitted_us = db->io->mono_us(db->io)};
        atomic_store(&db->letters.done, false);
        db->letters.asked = true;
        atomic_fetch_add(&db->queue_count, 1);
        fr_engine_ddl(db, write);
        return true;
    }
    if (!atomic_load(&db->letters.done)) return false;
    if (write->code != FR_OK && write->code != FR_ERR_EXISTS) refuse(c, write->err.text);
    let_go(db);
    return true;
}

void fr_engine_letters_stop(fr_db *db)
{
    while (db->letters.waiting != NULL) let_go(db);
}

/* ==== one write's records ==== */

typedef struct letter_call {
    fr_db *db;
    fr_collection *c;
    char topic[FR_TOPIC_NAME_SIZE];
    fr_topic_limits limits;
    fr_batch scratch; /* of a JSON record */
    fr_batch_reader *reader;
    uint32_t count;
} letter_call;

static fr_code add_letter(letter_call *call, const fr_produce *part, const fr_log_record *record, const fr_err *why)
{
    fr_log_header headers[FR_LOG_HEADERS_MAX];
    char partition[16], offset[24];
    uint32_t count = 0;
    int partition_size = snprintf(partition, sizeof partition, "%d", part->partition);
    int offset_size = snprintf(offset, sizeof offset, "%lld", (long long)part->base_offset + record->offset);
    headers[count++] = (fr_log_header){fr_span_text(FR_HEADER_DLQ_REASON), fr_span_text(why->text)};
    headers[count++] = (fr_log_header){fr_span_text(FR_HEADER_DLQ_TOPIC), fr_span_text(call->topic)};
    headers[count++] = (fr_log_header){fr_span_text(FR_HEADER_DLQ_PARTITION), fr_span_of(partition, (size_t)partition_size)};
    headers[count++] = (fr_log_header){fr_span_text(FR_HEADER_DLQ_OFFSET), fr_span_of(offset, (size_t)offset_size)};
    for (uint32_t i = 0; i < record->header_count && count < FR_LOG_HEADERS_MAX; i++) /* the last ones are left out: the letter counts */
        headers[count++] = record->headers[i];
    fr_batch_writer_add(&call->db->encoder, call->db->io->now_ms(call->db->io), record->key, record->value, headers, count);
    call->count++;
    return FR_OK;
}

static fr_code add_part(letter_call *call, const fr_produce *part)
{
    fr_log_record record;
    fr_err err = {0};
    fr_offset first = -1; /* the stored batch has its base offset by now */
    FR_TRY(fr_batch_reader_open(part->data, part->size, &call->reader, &err));
    while (fr_batch_reader_next(call->reader, &record)) {
        fr_err why = {0};
        if (first < 0) first = record.offset;
        fr_code code =
            fr_engine_judge_produced(call->c, &call->limits.json, record.key, record.value, &call->scratch, &why);
        record.offset -= first;
        if (code == FR_ERR_NO_MEMORY) return code;
        if (code != FR_OK) FR_TRY(add_letter(call, part, &record, &why));
    }
    return fr_batch_reader_code(call->reader);
}

static fr_code append_letters(fr_db *db, fr_collection *letters, const letter_call *call, fr_err *err)
{
    fr_commit *commit;
    FR_TRY(fr_engine_append_encoded(db, letters, call->count, &commit, err));
    fr_engine_round_add(db, commit);
    return FR_OK;
}

void fr_engine_letters(fr_db *db, fr_collection *c, const fr_write *write)
{
    letter_call call = {.db = db, .c = c};
    fr_err err = {0};
    fr_code code = FR_OK;
    bool taken;
    uint64_t bad = 0;
    for (uint32_t i = 0; i < write->produce_count; i++)
        if (write->produce[i].reason == FR_REASON_NONE) bad += write->produce[i].opaque[0];
    if (bad == 0) return;
    uint32_t pin = fr_engine_pin(db); /* records are judged by the schema */
    fr_collection *letters = letters_of(db, c, &taken);
    fr_engine_topic_name(c, call.topic);
    fr_engine_limits(c, &call.limits);
    fr_batch_writer_begin(&db->encoder, FR_CODEC_LZ4);
    for (uint32_t i = 0; i < write->produce_count && code == FR_OK && letters != NULL; i++)
        if (write->produce[i].reason == FR_REASON_NONE && write->produce[i].opaque[0] != 0)
            code = add_part(&call, &write->produce[i]);
    if (code == FR_OK && call.count != 0) code = append_letters(db, letters, &call, &err);
    if (code != FR_OK) /* they stand in the collection's own log, and apply says so, too */
        fr_note(FR_NOTE_WARN, "event=dead_letters_lost topic=%s count=%llu text=\"%s\"", call.topic,
                (unsigned long long)bad, err.text);
    if (code == FR_OK) atomic_fetch_add_explicit(&db->dead_letters, call.count, memory_order_relaxed);
    fr_engine_unpin(db, pin);
    fr_batch_free(&call.scratch);
    fr_batch_reader_close(call.reader);
    if (letters != NULL) fr_engine_unref(letters);
}
