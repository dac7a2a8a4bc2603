/* apply.c: THE apply path: one record of the log becomes a row, or the end of one. Live traffic, recovery and replay
 * come through fr_engine_apply_record. It reads no clock and looks at nothing but the shard and the record; what it
 * cannot read it skips and counts, so that a bad record never keeps a database from starting. */
#include "server/engine/engine.h"

#include "simd/simd.h"

fr_code fr_engine_table_options(fr_shard *shard, uint32_t index, fr_table_options *out)
{
    const fr_collection *c = shard->collection;
    const fr_schema *schema = fr_schema_of(c);
    const fr_field_def *field = schema->vectors[index];
    fr_shard_index *at = &shard->indexes[index];
    if (at->originals == NULL) at->originals = fr_originals_create(shard, index, schema->builds[index]);
    if (at->originals == NULL) return FR_ERR_NO_MEMORY;
    *out = (fr_table_options){
        .dimension = field->dimension,
        .metric = field->metric,
        .codes = field->codes,
        .m = field->m,
        .ef_construction = field->ef_construction,
        .profile = field->profile,
        .vectors = field->vectors,
        .type = field->type,
        .bm25_k1 = field->bm25_k1,
        .bm25_b = field->bm25_b,
        .store = fr_originals_store(at->originals),
        .seed = fr_mix64((c->id * FR_PARTITIONS_MAX + (uint64_t)shard->partition + 1) ^ ((uint64_t)index << 56)),
        .id_type = schema->def.id_type,
        .drop_stale = schema->def.drop_stale,
        .indexed_count = schema->def.indexed_count,
    };
    memcpy(out->indexed, schema->def.indexed, sizeof out->indexed);
    return FR_OK;
}

/* The first field's last: who sees it sees all. */
static fr_code make_tables(fr_shard *shard)
{
    if (fr_shard_table(shard) != NULL) return FR_OK;
    for (uint32_t i = shard->index_count; i-- > 0;) {
        fr_table_options options;
        fr_table *table;
        if (fr_shard_table_of(shard, i) != NULL) continue; /* of an attempt that ran out of memory */
        shard->indexes[i].build = fr_schema_of(shard->collection)->builds[i];
        FR_TRY(fr_engine_table_options(shard, i, &options));
        FR_TRY(fr_table_create(&options, &table, NULL));
        atomic_store_explicit(&shard->indexes[i].table, table, memory_order_release);
    }
    return FR_OK;
}

/* The vector as its table takes it: numbers, those that the field's type holds; or the bytes of its bits. NULL: none. */
static fr_code row_vector(fr_shard *shard, const fr_field_def *field, const fr_decoded *decoded, const void **out, size_t *size_out)
{
    fr_type given;
    fr_span bytes;
    *out = NULL;
    *size_out = 0;
    if (!fr_decoded_vector(decoded, field->id, &given, &bytes)) return FR_OK;
    *out = bytes.data;
    *size_out = bytes.size;
    if (given == FR_TYPE_VECTOR_SPARSE) return FR_OK;
    if (given == field->type && (given == FR_TYPE_VECTOR_BINARY || (given == FR_TYPE_VECTOR_F32 && ((uintptr_t)bytes.data & 3u) == 0)))
        return FR_OK;
    if (shard->vector_scratch_size < field->dimension) {
        void *grown = fr_realloc(FR_MEM_ENGINE, shard->vector_scratch, 2 * (size_t)field->dimension * sizeof(float));
        if (grown == NULL) return FR_ERR_NO_MEMORY;
        shard->vector_scratch = grown;
        shard->vector_scratch_size = field->dimension;
    }
    float *numbers = shard->vector_scratch, *packed = numbers + field->dimension;
    *out = numbers;
    if (field->type == FR_TYPE_VECTOR_BINARY) { /* numbers that stand for bits; the bytes may not be aligned */
        *out = packed;
        memcpy(numbers, bytes.data, bytes.size);
        return fr_vector_pack_bits(numbers, (uint32_t)(bytes.size / sizeof(float)), field->dimension, packed, NULL, NULL);
    }
    fr_vector_unpack(given, bytes.data, field->dimension, numbers);
    if (given != field->type) {
        FR_TRY(fr_vector_pack(field->type, numbers, field->dimension, packed, NULL, NULL));
        fr_vector_unpack(field->type, packed, field->dimension, numbers);
    }
    return FR_OK;
}

static fr_code skip(fr_shard *shard, const fr_apply_record *record, const fr_err *err)
{
    uint64_t skipped = atomic_fetch_add_explicit(&shard->skipped, 1, memory_order_relaxed);
    if (skipped < 10)
        fr_note(FR_NOTE_WARN, "event=record_skipped collection=%llu partition=%d offset=%lld text=\"%s\"",
                (unsigned long long)shard->collection->id, shard->partition, (long long)record->offset, err->text);
    return FR_OK;
}

/* fr_submit refuses them. */
bool fr_engine_lacks_direction(const fr_table_options *options, const void *vector)
{
    bool dense = options->type != FR_TYPE_VECTOR_BINARY && options->type != FR_TYPE_VECTOR_SPARSE;
    return dense && options->metric == FR_METRIC_COSINE && fr_simd_norm_squared(vector, options->dimension) < 1e-30;
}

/* Into every table under one commit number; the first field's last: it tells what was there, also when memory ran out before. */
static fr_code put_row(fr_shard *shard, const fr_schema *schema, const fr_decoded *decoded, fr_row_data *row, uint64_t commit,
                       fr_put_result *result_out, fr_err *err)
{
    for (uint32_t i = shard->index_count; i-- > 0;) {
        fr_table *tables[] = {fr_shard_next_of(shard, i), fr_shard_table_of(shard, i)};
        FR_TRY(row_vector(shard, schema->vectors[i], decoded, &row->vector, &row->vector_size));
        const void *vector = row->vector;
        for (uint32_t t = 0; t < FR_COUNT_OF(tables); t++) { /* the one that is made anew, and the one in place: it tells */
            if (tables[t] == NULL) continue;
            row->vector = vector;
            if (schema->builds[i] != 0 && vector != NULL && fr_engine_lacks_direction(fr_table_settings(tables[t]), vector)) row->vector = NULL;
            FR_TRY(fr_table_put(tables[t], row, commit, result_out, err));
        }
    }
    return FR_OK;
}

static fr_code put(fr_shard *shard, const fr_apply_record *record, fr_span value, uint64_t commit, fr_apply_tally *tally)
{
    fr_err err = {0};
    fr_decoded decoded;
    fr_put_result result = FR_PUT_STALE;
    const fr_schema *schema = fr_schema_of(shard->collection);
    fr_code code = fr_engine_decode(value, &decoded, NULL, &err);
    if (code == FR_OK && !record->judged) { /* else by fr_submit, with the same functions */
        code = fr_engine_judge_key(&schema->def, record->key, decoded.key_is_int, 0, &err);
        if (code == FR_OK) code = fr_engine_judge(schema, &decoded, (fr_place){0, (uint32_t)shard->partition, record->offset}, &err);
        if (code == FR_ERR_NO_MEMORY) return code;
    }
    if (code != FR_OK) return skip(shard, record, &err);
    FR_TRY(make_tables(shard));
    fr_row_data row = {
        .key = record->key,
        .key_is_int = decoded.key_is_int || schema->def.id_type == FR_ID_INT64,
        .metadata = decoded.metadata,
        .source_time_ms = decoded.source_time_ms,
        .model_version = decoded.model_version,
        .offset = record->offset,
    };
    code = put_row(shard, schema, &decoded, &row, commit, &result, &err);
    if (code == FR_ERR_NO_MEMORY) return code;
    if (code != FR_OK) return skip(shard, record, &err);
    if (result == FR_PUT_NEW) tally->count_delta++;
    tally->rows++;
    return FR_OK;
}

/* A JSON value becomes an event by the door's pure function (fr_options.parse_json); it may also say that the entity ends. */
static fr_code unwrap(const fr_db *db, const fr_json_map *map, fr_span key, fr_span json, fr_batch *scratch,
                      fr_span *value_out, fr_err *err)
{
    fr_stored_event event;
    size_t at = 0;
    fr_batch_reset(scratch);
    if (db->options.parse_json == NULL)
        return fr_fail(err, FR_ERR_UNSUPPORTED, "value", "JSON record values are not read here");
    FR_TRY(db->options.parse_json(map, key, json, scratch, err));
    if (!fr_engine_event_next(scratch, &at, &event))
        return fr_fail(err, FR_ERR_INVALID, "value", "a JSON record without an event");
    *value_out = event.value; /* data NULL: a delete */
    return FR_OK;
}

static bool is_json(fr_span value) { return value.size != 0 && *(const char *)value.data == '{'; }
static bool is_key(fr_span key) { return key.data != NULL && key.size != 0 && key.size <= FR_KEY_BYTES_MAX; }

/* Under a pin. */
fr_code fr_engine_judge_produced(const fr_collection *c, const fr_json_map *map, fr_span key, fr_span value,
                                 fr_batch *scratch, fr_err *err)
{
    fr_decoded decoded;
    const fr_schema *schema = fr_schema_of(c);
    fr_batch_reset(scratch);
    if (!is_key(key)) return fr_fail(err, FR_ERR_INVALID, "id", "a record without a usable key");
    if (is_json(value)) FR_TRY(unwrap(c->db, map, key, value, scratch, &value, err));
    if (value.data == NULL) return FR_OK;
    FR_TRY(fr_engine_decode(value, &decoded, NULL, err));
    FR_TRY(fr_engine_judge_key(&schema->def, key, decoded.key_is_int, 0, err));
    return fr_engine_judge(schema, &decoded, (fr_place){0, 0, FR_PLACE_NEW}, err);
}

static fr_code end(fr_shard *shard, const fr_apply_record *record, uint64_t commit, fr_apply_tally *tally)
{
    bool existed = false;
    for (uint32_t i = shard->index_count; i-- > 0;) {
        fr_table *tables[] = {fr_shard_next_of(shard, i), fr_shard_table_of(shard, i)};
        for (uint32_t t = 0; t < FR_COUNT_OF(tables); t++)
            if (tables[t] != NULL && fr_table_remove(tables[t], record->key, record->offset, commit, &existed) == FR_ERR_NO_MEMORY)
                return FR_ERR_NO_MEMORY;
    }
    if (existed) {
        tally->existed++;
        tally->count_delta--;
    }
    return FR_OK;
}

fr_code fr_engine_apply_record(fr_shard *shard, const fr_apply_record *record, uint64_t commit, fr_apply_mode mode,
                               fr_apply_tally *tally)
{
    fr_db *db = shard->collection->db;
    if (shard->collection->id == FR_CATALOG_ID) {
        fr_code code = fr_engine_catalog_apply(db, record, mode == FR_APPLY_LIVE);
        if (code == FR_ERR_NO_MEMORY || mode == FR_APPLY_REPLAY) return code;
        return FR_OK;
    }
    if (mode == FR_APPLY_REPLAY && record->event_id.size != 0)
        FR_TRY(fr_event_ids_add(&shard->ids, record->event_id, record->offset, record->timestamp_ms));
    fr_err err = {0};
    if (!is_key(record->key)) {
        fr_fail(&err, FR_ERR_INVALID, "id", "a record without a usable key");
        return skip(shard, record, &err);
    }
    fr_span value = record->value;
    if (is_json(value)) {
        fr_topic_limits limits;
        fr_engine_limits(shard->collection, &limits);
        fr_code code = unwrap(db, &limits.json, record->key, value, &db->json_event, &value, &err);
        if (code != FR_OK) return code == FR_ERR_NO_MEMORY ? code : skip(shard, record, &err);
    }
    return value.data != NULL ? put(shard, record, value, commit, tally) : end(shard, record, commit, tally);
}

/* The records of one batch; the reader is the applier's. */
static fr_code apply_batch(fr_shard *shard, const uint8_t *batch, size_t size, fr_offset from, fr_offset to,
                           uint64_t commit, fr_apply_mode mode, fr_apply_tally *tally, fr_err *err)
{
    fr_db *db = shard->collection->db;
    fr_log_record record;
    FR_TRY(fr_batch_reader_open(batch, size, &db->apply_reader, err));
    while (fr_batch_reader_next(db->apply_reader, &record)) {
        if (record.offset < from || record.offset > to) continue;
        fr_apply_record one = {
            .offset = record.offset, .timestamp_ms = record.timestamp_ms, .key = record.key, .value = record.value};
        for (uint32_t i = 0; i < record.header_count; i++)
            if (fr_span_equal(record.headers[i].key, fr_span_text(FR_HEADER_EVENT_ID)) &&
                record.headers[i].value.size <= FR_EVENT_ID_BYTES_MAX)
                one.event_id = record.headers[i].value;
        fr_code code = fr_engine_apply_record(shard, &one, commit, mode, tally);
        if (code != FR_OK)
            return fr_fail(err, code, NULL, "partition %d, offset %lld: %s", shard->partition, (long long)record.offset,
                           fr_strcode(code));
    }
    return fr_batch_reader_code(db->apply_reader);
}

/* ==== transactions: their records wait in the log for the marker ==== */

static struct fr_waiting_txn *find_waiting(fr_shard *shard, int64_t producer_id)
{
    for (uint32_t i = 0; i < shard->waiting_count; i++)
        if (shard->waiting[i].producer_id == producer_id) return &shard->waiting[i];
    return NULL;
}

static fr_code set_aside(fr_shard *shard, const fr_batch_header *h)
{
    if (find_waiting(shard, h->producerId) != NULL) return FR_OK;
    if (shard->waiting_count == shard->waiting_capacity) {
        uint32_t capacity = FR_MAX(4u, shard->waiting_capacity * 2);
        struct fr_waiting_txn *grown = fr_realloc(FR_MEM_ENGINE, shard->waiting, capacity * sizeof *grown);
        if (grown == NULL) return FR_ERR_NO_MEMORY;
        shard->waiting = grown;
        shard->waiting_capacity = capacity;
    }
    shard->waiting[shard->waiting_count++] = (struct fr_waiting_txn){h->producerId, h->baseOffset};
    return FR_OK;
}

/* All batches of this producer from first to the marker. Offsets that are applied already do nothing. */
static fr_code apply_transaction(fr_shard *shard, int64_t producer_id, fr_offset first, fr_offset marker, uint64_t commit,
                                 fr_apply_mode mode, fr_apply_tally *tally, fr_err *err)
{
    while (first < marker) {
        fr_view view;
        FR_TRY(fr_log_read(fr_shard_log(shard), first, marker, 4u << 20, &view, err));
        fr_code code = view.size != 0 ? FR_OK : fr_fail(err, FR_ERR_CORRUPT, NULL, "a transaction's records are missing");
        for (size_t at = 0, size; at < view.size && code == FR_OK; at += size) {
            fr_batch_header h;
            code = fr_batch_check(view.data + at, view.size - at, &h, &size, err);
            if (code != FR_OK || h.producerId != producer_id || (h.attributes & 0x30) != 0x10) continue;
            code = apply_batch(shard, view.data + at, size, first, marker, commit, mode, tally, err);
        }
        first = FR_MAX(view.next, first + 1);
        fr_view_release(&view);
        FR_TRY(code);
    }
    return FR_OK;
}

static fr_code apply_marker(fr_shard *shard, const uint8_t *batch, size_t size, const fr_batch_header *h, uint64_t commit,
                            fr_apply_mode mode, fr_apply_tally *tally, fr_err *err)
{
    bool marker, commits = false;
    FR_TRY(fr_engine_marker(batch, size, &shard->collection->db->apply_reader, &marker, &commits, err));
    struct fr_waiting_txn *waiting = marker ? find_waiting(shard, h->producerId) : NULL;
    if (waiting == NULL) return FR_OK;
    if (commits) FR_TRY(apply_transaction(shard, h->producerId, waiting->first, h->baseOffset, commit, mode, tally, err));
    *waiting = shard->waiting[--shard->waiting_count];
    return FR_OK;
}

fr_code fr_engine_apply(fr_shard *shard, const fr_view *view, fr_offset from, fr_offset to, uint64_t commit,
                        fr_apply_mode mode, fr_apply_tally *tally, fr_err *err)
{
    for (size_t at = 0, size; at < view->size; at += size) {
        fr_batch_header h;
        const uint8_t *batch = view->data + at;
        FR_TRY(fr_batch_check(batch, view->size - at, &h, &size, err));
        if (h.baseOffset + h.lastOffsetDelta < from || h.baseOffset > to) continue;
        if (h.attributes & 0x20) FR_TRY(apply_marker(shard, batch, size, &h, commit, mode, tally, err));
        else if (h.attributes & 0x10) FR_TRY(set_aside(shard, &h));
        else FR_TRY(apply_batch(shard, batch, size, from, to, commit, mode, tally, err));
    }
    return FR_OK;
}
