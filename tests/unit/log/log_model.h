/* log_model.h: what the log's tests share: batches of known content, and a model of what the log must hold. */
#ifndef FR_LOG_MODEL_H
#define FR_LOG_MODEL_H

#include "log/log.h"
#include "tests/sim/io_sim.c"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define LOG_DIR   "db/log"
#define MODEL_MAX 20000

typedef struct model_record {
    uint32_t key, value_seed, value_size;
    bool tombstone, gone; /* gone: compaction may or must have removed it */
    int64_t timestamp_ms;
} model_record;

typedef struct model {
    fr_offset count;   /* records appended: the next offset */
    fr_offset attempt; /* records of an append that failed: a power cut may come after its effect */
    fr_offset acknowledged;
    fr_offset bases[MODEL_MAX];
    uint32_t base_count;
    model_record records[MODEL_MAX];
    fr_batch_writer writer;
    uint64_t random;
} model;

static inline uint64_t model_draw(model *m) { return draw(&m->random); }

static inline model *model_new(uint64_t seed)
{
    model *m = fr_zalloc(FR_MEM_TEST, sizeof *m);
    m->random = fr_mix64(seed ^ 0x10adu);
    return m;
}

static inline void model_free(model *m)
{
    fr_batch_writer_free(&m->writer);
    fr_free(FR_MEM_TEST, m);
}

static inline void value_fill(uint8_t *value, uint32_t seed, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++) value[i] = (uint8_t)(seed % 3 == 0 ? seed : fr_mix64((uint64_t)seed << 20 | i));
}

/* Append one batch of `count` records with keys below `keys`; on success the model has it too. */
static inline fr_code model_append(model *m, fr_log *log, uint32_t count, uint32_t keys, uint32_t value_max,
                                   fr_err *err)
{
    fr_batch_writer_begin(&m->writer, model_draw(m) % 2 ? FR_CODEC_LZ4 : FR_CODEC_NONE);
    uint8_t *value = take(NULL, value_max + 1);
    for (uint32_t i = 0; i < count; i++) {
        model_record *r = &m->records[m->count + i];
        *r = (model_record){.key = (uint32_t)(model_draw(m) % keys),
                            .value_seed = (uint32_t)model_draw(m),
                            .value_size = (uint32_t)(model_draw(m) % (value_max + 1)),
                            .tombstone = model_draw(m) % 8 == 0,
                            .timestamp_ms = 1000000 + (m->count + i) * 10 - (int64_t)(model_draw(m) % 25)};
        char key[16];
        snprintf(key, sizeof key, "key-%u", r->key);
        value_fill(value, r->value_seed, r->value_size);
        fr_span span = r->tombstone ? (fr_span){0} : fr_span_of(value, r->value_size);
        fr_batch_writer_add(&m->writer, r->timestamp_ms, fr_span_text(key), span, NULL, 0);
    }
    fr_free(FR_MEM_TEST, value);
    uint8_t *batch;
    size_t size;
    FR_TRY(fr_batch_writer_end(&m->writer, &batch, &size));
    fr_offset base;
    m->attempt = count;
    FR_TRY(fr_log_append(log, batch, size, &base, err));
    m->attempt = 0;
    assert_int_equal(base, m->count);
    m->bases[m->base_count++] = base;
    m->count += count;
    return FR_OK;
}

static inline fr_code model_sync(model *m, fr_log *log, fr_err *err)
{
    fr_offset end;
    FR_TRY(fr_log_sync_begin(log, &end, err));
    FR_TRY(fr_log_sync(log, end, err));
    assert_int_equal(fr_log_durable(log), end);
    m->acknowledged = end;
    return FR_OK;
}

static inline void model_check_record(const model *m, const fr_log_record *record)
{
    const model_record *r = &m->records[record->offset];
    char key[16];
    snprintf(key, sizeof key, "key-%u", r->key);
    assert_true(fr_span_equal(record->key, fr_span_text(key)));
    assert_int_equal(record->timestamp_ms, r->timestamp_ms);
    assert_int_equal(record->value.data == NULL, r->tombstone);
    if (r->tombstone) return;
    assert_int_equal(record->value.size, r->value_size);
    uint8_t *value = take(NULL, r->value_size + 1);
    value_fill(value, r->value_seed, r->value_size);
    assert_memory_equal(record->value.data, value, r->value_size);
    fr_free(FR_MEM_TEST, value);
}

/* Read everything from `from`; seen[offset] (may be NULL) is set; every record must be as appended. Returns the next
 * offset. */
static inline fr_code model_read(const model *m, const fr_log *log, fr_offset from, uint32_t bytes_max, bool *seen,
                                 fr_offset *next_out, fr_err *err)
{
    fr_batch_reader *reader = NULL;
    fr_code code = FR_OK;
    fr_offset last = from - 1;
    for (;;) {
        fr_view view;
        code = fr_log_read(log, from, -1, bytes_max, &view, err);
        if (code || view.size == 0) break;
        assert_true(view.first <= from && view.next > from);
        for (size_t at = 0; at < view.size;) {
            fr_batch_header header;
            size_t size;
            assert_int_equal(fr_batch_check(view.data + at, view.size - at, &header, &size, err), FR_OK);
            code = header.recordCount ? fr_batch_reader_open(view.data + at, size, &reader, err) : FR_OK;
            if (code) break;
            fr_log_record record;
            while (header.recordCount && fr_batch_reader_next(reader, &record)) {
                if (record.offset < from) continue;
                assert_true(record.offset > last && record.offset < m->count);
                last = record.offset;
                model_check_record(m, &record);
                if (seen) seen[record.offset] = true;
            }
            at += size;
        }
        from = view.next;
        fr_view_release(&view);
        if (code) break;
    }
    fr_batch_reader_close(reader);
    *next_out = from;
    return code;
}

/* All records [start, end) are there. */
static inline void model_check_all(const model *m, const fr_log *log, uint32_t bytes_max)
{
    fr_err err = {0};
    bool *seen = fr_zalloc(FR_MEM_TEST, MODEL_MAX);
    fr_offset next;
    assert_int_equal(model_read(m, log, fr_log_start(log), bytes_max, seen, &next, &err), FR_OK);
    assert_int_equal(next, fr_log_durable(log));
    for (fr_offset i = fr_log_start(log); i < next; i++)
        if (!seen[i]) fail_msg("offset %" PRId64 " is missing", i);
    fr_free(FR_MEM_TEST, seen);
}

/* After a recovery the log may hold more or less than the model has past what was acknowledged: it is the judge. */
static inline void model_take_end(model *m, const fr_log *log)
{
    fr_offset end = fr_log_end(log);
    assert_true(end >= m->acknowledged);
    if (m->attempt && end == m->count + m->attempt) {
        m->bases[m->base_count++] = m->count;
        m->count = end;
    }
    m->attempt = 0;
    assert_true(end <= m->count);
    assert_int_equal(fr_log_durable(log), end);
    bool boundary = end == m->count;
    for (uint32_t i = 0; i < m->base_count; i++) boundary |= m->bases[i] == end;
    assert_true(boundary); /* a batch is whole or not there */
    while (m->base_count && m->bases[m->base_count - 1] >= end) m->base_count--;
    m->count = m->acknowledged = end;
}

static inline io_sim *sim_with_dir(uint64_t seed)
{
    io_sim *sim = io_sim_create(seed);
    fr_io *io = io_sim_io(sim);
    assert_int_equal(io->make_dir(io, "db", NULL), FR_OK);
    assert_int_equal(io->sync_dir(io, "", NULL), FR_OK);
    return sim;
}

static inline fr_log *must_open(io_sim *sim, const fr_log_options *options)
{
    fr_err err = {0};
    fr_log *log = NULL;
    fr_code code = fr_log_open(io_sim_io(sim), LOG_DIR, options, &log, &err);
    if (code) fail_msg("open: %s: %s", fr_strcode(code), err.text);
    return log;
}

#endif
