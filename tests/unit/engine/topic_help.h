/* topic_help.h: what the tests of topics, producers and transactions share. */
#ifndef FR_TOPIC_HELP_H
#define FR_TOPIC_HELP_H

#include "tests/unit/engine/engine_help.h"

static inline fr_code make_topic(fr_db *db, const char *name, uint32_t partitions, const fr_topic_config *configs,
                                 uint32_t config_count, fr_id *id_out, fr_reason *reason_out)
{
    static const fr_topic_config kept[] = {{"retention.ms", "-1"}}; /* the tests' records are years old */
    if (config_count == 0 && name[0] != '_') configs = kept, config_count = 1;
    fr_topic_change change = {.name = name,
                              .kind = name[0] == '_' ? FR_TOPIC_INTERNAL : FR_TOPIC_PLAIN,
                              .partitions = partitions,
                              .configs = configs,
                              .config_count = config_count};
    fr_write w = {.kind = FR_WRITE_TOPIC_CREATE, .topic = &change};
    fr_err err = {0};
    fr_code code = fr_submit_wait(db, &w, &err);
    if (id_out != NULL) *id_out = w.id;
    if (reason_out != NULL) *reason_out = w.reason;
    return code;
}

typedef struct producer {
    int64_t id;
    int16_t epoch;
    bool transactional;
} producer;

/* `count` records "key<n>" -> value, first sequence `sequence`, timestamps from `timestamp_ms` on. The caller frees. */
static inline uint8_t *make_batch(const producer *p, int32_t sequence, uint32_t count, int64_t timestamp_ms,
                                  const char *value, size_t *size_out)
{
    fr_batch_writer w = {0};
    uint8_t *data, *copy;
    char key[32];
    fr_batch_writer_begin(&w, FR_CODEC_NONE);
    for (uint32_t i = 0; i < count; i++) {
        snprintf(key, sizeof key, "key%u", (uint32_t)sequence + i);
        fr_batch_writer_add(&w, timestamp_ms + i, fr_span_text(key), value != NULL ? fr_span_text(value) : (fr_span){NULL, 0},
                            NULL, 0);
    }
    assert_int_equal(fr_batch_writer_end(&w, &data, size_out), FR_OK);
    if (p != NULL) fr_batch_own(data, *size_out, p->id, p->epoch, sequence, p->transactional ? 0x10 : 0);
    copy = malloc(*size_out);
    memcpy(copy, data, *size_out);
    fr_batch_writer_free(&w);
    return copy;
}

static inline fr_produce produce_bytes(fr_db *db, fr_id id, int32_t partition, uint8_t *data, size_t size)
{
    fr_produce part = {.partition = partition, .data = data, .size = size};
    fr_write w = {.kind = FR_WRITE_BATCHES, .id = id, .produce = &part, .produce_count = 1};
    must(fr_submit_wait(db, &w, err));
    return part;
}

static inline fr_produce produce(fr_db *db, fr_id id, int32_t partition, const producer *p, int32_t sequence,
                                 uint32_t count, const char *value)
{
    size_t size;
    uint8_t *data = make_batch(p, sequence, count, 1700000000000, value, &size);
    fr_produce part = produce_bytes(db, id, partition, data, size);
    free(data);
    return part;
}

typedef struct consumed {
    uint32_t records, markers, aborted;
    fr_offset next, stable, end;
} consumed;

/* Everything from `from` on, as a consumer sees it that drops what the aborted list says. */
static inline consumed consume(fr_db *db, fr_id id, int32_t partition, fr_offset from, bool committed)
{
    consumed out = {.next = from};
    for (;;) {
        fr_fetch f = {.id = id, .partition = partition, .from = out.next, .bytes_max = 1 << 20, .committed = committed};
        must(fr_fetch_get(db, &f, err));
        out.stable = f.state.stable, out.end = f.state.end;
        out.aborted += f.aborted_count;
        fr_batch_reader *reader = NULL;
        for (size_t at = 0, size; at < f.view.size; at += size) {
            fr_batch_header h;
            fr_log_record record;
            must(fr_batch_check(f.view.data + at, f.view.size - at, &h, &size, err));
            bool dropped = false;
            for (uint32_t i = 0; i < f.aborted_count; i++)
                dropped = dropped || ((h.attributes & 0x10) && f.aborted[i].producer_id == h.producerId &&
                                      f.aborted[i].first_offset <= h.baseOffset);
            for (uint32_t i = 0; i < f.aborted_count && (h.attributes & 0x20); i++) /* a marker ends it */
                if (f.aborted[i].producer_id == h.producerId && f.aborted[i].first_offset <= h.baseOffset)
                    f.aborted[i].producer_id = -1;
            if (h.attributes & 0x20) out.markers++;
            must(fr_batch_reader_open(f.view.data + at, size, &reader, err));
            while (fr_batch_reader_next(reader, &record)) out.records += !dropped && !(h.attributes & 0x20);
        }
        fr_batch_reader_close(reader);
        bool end = f.view.next == out.next;
        out.next = f.view.next;
        fr_fetch_release(&f);
        if (end) return out;
    }
}

static inline fr_reason init(fr_db *db, const char *name, int32_t timeout_ms, producer *out)
{
    fr_txn txn = {.transactional_id = name, .producer_id = -1, .producer_epoch = -1, .timeout_ms = timeout_ms};
    fr_write w = {.kind = FR_WRITE_PRODUCER_INIT, .txn = &txn};
    fr_reason reason = FR_REASON_NONE;
    for (int i = 0; i < 100; i++) {
        fr_code code = fr_submit_wait(db, &w, NULL);
        reason = w.reason;
        if (code == FR_OK || reason != FR_REASON_CONCURRENT_TRANSACTIONS) break;
        usleep(2000); /* as clients do */
    }
    *out = (producer){txn.producer_id, txn.producer_epoch, name != NULL};
    return reason;
}

static inline fr_reason add_partition(fr_db *db, const char *name, const producer *p, fr_id id, int32_t partition)
{
    struct fr_txn_part part = {id, partition};
    fr_txn txn = {.transactional_id = name, .producer_id = p->id, .producer_epoch = p->epoch, .parts = &part, .part_count = 1};
    fr_write w = {.kind = FR_WRITE_TXN_PARTITIONS, .txn = &txn};
    return fr_submit_wait(db, &w, NULL) == FR_OK ? FR_REASON_NONE : w.reason;
}

static inline fr_reason end(fr_db *db, const char *name, const producer *p, bool commit)
{
    fr_txn txn = {.transactional_id = name, .producer_id = p->id, .producer_epoch = p->epoch, .commit = commit};
    fr_write w = {.kind = FR_WRITE_TXN_END, .txn = &txn};
    return fr_submit_wait(db, &w, NULL) == FR_OK ? FR_REASON_NONE : w.reason;
}

#endif
