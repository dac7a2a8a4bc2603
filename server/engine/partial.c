/* partial.c: records that say less than all of their entity (fr_event.partial). The log holds whole records only: behind a barrier of the
 * collection the writer takes what is not given from the row, or from an earlier event of the same request, and appends the request whole.
 * What an earlier event id answers is passed on as it came: make_plan (writer.c) leaves it out, and lets nothing else that is
 * partial into the log. */
#include "server/engine/query.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct held { /* what there is of an entity; the arena's */
    bool there;
    fr_offset offset; /* FR_PLACE_NEW: of this request */
    int64_t source_time_ms;
    fr_span model_version, metadata;
    uint32_t vector_count;
    fr_value vectors[FR_VECTOR_FIELDS_MAX];
} held;

typedef struct merger {
    fr_db *db;
    fr_collection *collection;
    const fr_schema *schema;
    fr_batch *out;
    fr_arena arena; /* of one event */
    fr_doc_builder doc;
    size_t *places;       /* of the events in `out` */
    uint32_t *keys, *ids; /* hash tables: number of the last event of a key, of the event with an id; + 1 */
    uint32_t mask;
    int64_t now_ms;
} merger;

static uint32_t partition_of(const fr_collection *c, fr_span key)
{
    return c->shard_count == 1 ? 0 : fr_murmur2(key.data, key.size) % c->shard_count;
}

static void event_at(const merger *m, uint32_t number, fr_stored_event *out)
{
    size_t at = m->places[number];
    FR_ASSERT(fr_engine_event_next(m->out, &at, out)); /* it was put there by us */
}

/* ==== what this request has said already ==== */

static uint32_t *seek_key(const merger *m, fr_span key)
{
    uint32_t slot = (uint32_t)fr_hash(key.data, key.size, (uintptr_t)m->keys) & m->mask;
    for (; m->keys[slot] != 0; slot = (slot + 1) & m->mask) {
        fr_stored_event event;
        event_at(m, m->keys[slot] - 1, &event);
        if (fr_span_equal(event.key, key)) break;
    }
    return &m->keys[slot];
}

static uint32_t *seek_id(const merger *m, fr_span id, uint32_t partition)
{
    uint32_t slot = (uint32_t)fr_hash(id.data, id.size, (uintptr_t)m->ids + partition) & m->mask;
    for (; m->ids[slot] != 0; slot = (slot + 1) & m->mask) {
        fr_stored_event event;
        event_at(m, m->ids[slot] - 1, &event);
        if (fr_span_equal(event.event_id, id) && partition_of(m->collection, event.key) == partition) break;
    }
    return &m->ids[slot];
}

/* As make_plan will find it: of an earlier request, or of this one. */
static bool is_repeated(const merger *m, const fr_stored_event *event, uint32_t partition)
{
    fr_offset earlier;
    return event->event_id.size != 0 && (*seek_id(m, event->event_id, partition) != 0 ||
                                         fr_event_ids_find(&m->collection->shards[partition].ids, event->event_id, m->now_ms, &earlier));
}

/* ==== what there is ==== */

static bool keep_span(merger *m, fr_span *span)
{
    if (span->size == 0) {
        *span = (fr_span){NULL, 0};
        return true;
    }
    span->data = fr_arena_copy(&m->arena, span->data, span->size);
    return span->data != NULL;
}

static bool gives_field(const fr_decoded *given, uint16_t field)
{
    for (uint32_t i = 0; i < given->vector_count; i++)
        if (given->vectors[i].field == field) return true;
    return false;
}

/* The entity's vectors that are not given. Nothing is newer than what is visible, so the newest row is the one; a table that
 * is made anew (reshape.c) beside us has the same. */
static fr_code hold_vectors(merger *m, const fr_shard *shard, fr_span key, const fr_decoded *given, held *out)
{
    for (uint32_t i = 0; i < m->schema->vector_count; i++) {
        const fr_field_def *field = m->schema->vectors[i];
        const fr_table *table = fr_shard_table_of(shard, i);
        fr_span bytes = {NULL, 0};
        if (table == NULL || gives_field(given, field->id)) continue;
        FR_TRY(fr_query_vector(&m->arena, field, table, fr_table_find(table, key, FR_VISIBLE_ALL), &bytes));
        if (bytes.size != 0) out->vectors[out->vector_count++] = (fr_value){field->id, (uint8_t)field->type, bytes};
    }
    return FR_OK;
}

static fr_code hold_row(merger *m, const fr_shard *shard, fr_span key, const fr_decoded *given, held *out)
{
    fr_table *table = fr_shard_table(shard);
    if (table == NULL) return FR_OK;
    fr_table_enter(table, m->db->writer_scratch);
    table = fr_shard_table(shard); /* what was put in its place before we were inside may be freed: look again */
    uint32_t row = fr_table_find(table, key, FR_VISIBLE_ALL);
    fr_code code = FR_OK;
    if (row != FR_ROW_NONE) {
        fr_row_view view;
        fr_table_row(table, row, &view);
        *out = (held){.there = true, .offset = view.offset, .source_time_ms = view.source_time_ms,
                      .model_version = view.model_version, .metadata = view.metadata};
        if (!keep_span(m, &out->model_version) || !keep_span(m, &out->metadata)) code = FR_ERR_NO_MEMORY;
        else if (given != NULL) code = hold_vectors(m, shard, key, given, out);
    }
    fr_table_leave(table, m->db->writer_scratch);
    return code;
}

static fr_code hold_event(merger *m, const fr_stored_event *event, const fr_decoded *given, held *out, fr_err *err)
{
    fr_decoded whole;
    if (event->flags & FR_EVENT_REMOVE) return FR_OK;
    FR_TRY(fr_engine_decode(event->value, &whole, NULL, err));
    *out = (held){.there = true, .offset = FR_PLACE_NEW, .source_time_ms = whole.source_time_ms,
                  .model_version = whole.model_version, .metadata = whole.metadata};
    if (!keep_span(m, &out->model_version) || !keep_span(m, &out->metadata)) return FR_ERR_NO_MEMORY; /* `out` grows */
    for (uint32_t i = 0; given != NULL && i < whole.vector_count; i++) {
        fr_value *value = &out->vectors[out->vector_count];
        *value = whole.vectors[i];
        if (value->bytes.size == 0 || gives_field(given, value->field)) continue;
        if (!keep_span(m, &value->bytes)) return FR_ERR_NO_MEMORY;
        out->vector_count++;
    }
    return FR_OK;
}

/* given NULL: its vectors are not needed. */
static fr_code hold(merger *m, fr_span key, const fr_decoded *given, held *out, fr_err *err)
{
    *out = (held){.there = false, .source_time_ms = FR_TIME_NONE};
    uint32_t number = *seek_key(m, key);
    fr_stored_event event;
    fr_arena_reset(&m->arena);
    if (number != 0) event_at(m, number - 1, &event);
    fr_code code = number != 0 ? hold_event(m, &event, given, out, err)
                               : hold_row(m, &m->collection->shards[partition_of(m->collection, key)], key, given, out);
    if (code == FR_ERR_NO_MEMORY) return fr_fail(err, code, NULL, "no memory");
    return code == FR_ERR_IO ? fr_fail(err, code, NULL, "a vector that stays could not be read") : code;
}

/* Apply drops it under the stale rule (is_stale in index/rows.c): later events do not see it. */
static bool is_stale(const merger *m, const held *before, int64_t source_time_ms)
{
    return m->schema->def.drop_stale && before->there && source_time_ms != FR_TIME_NONE && before->source_time_ms != FR_TIME_NONE &&
           source_time_ms < before->source_time_ms;
}

/* ==== documents ==== */

typedef struct given_key {
    fr_span key;
    fr_doc value;
    bool used;
} given_key;

static int compare_keys(const void *a, const void *b)
{
    return fr_span_compare((*(given_key *const *)a)->key, (*(given_key *const *)b)->key);
}

static given_key *find_key(given_key **sorted, uint32_t count, fr_span key)
{
    given_key wanted = {.key = key}, *at = &wanted;
    given_key **found = count != 0 ? bsearch(&at, sorted, count, sizeof *sorted, compare_keys) : NULL;
    return found != NULL ? *found : NULL;
}

static void put_pair(merger *m, fr_span key, fr_doc value)
{
    fr_doc_put_key(&m->doc, key.data, key.size);
    fr_doc_put_value(&m->doc, value);
}

/* The keys of before in their order, each with the value given for it or its own; then what is new. Values of fields that were dropped end. */
static fr_code merge_documents(merger *m, const held *before, uint32_t partition, fr_span given, fr_span *out)
{
    fr_doc root = fr_doc_root(given), value;
    fr_span key;
    uint32_t count = given.size != 0 ? fr_doc_count(root) : 0, i = 0;
    given_key *keys = fr_arena_alloc(&m->arena, (count + 1) * sizeof *keys);
    given_key **sorted = fr_arena_alloc(&m->arena, (count + 1) * sizeof *sorted);
    if (keys == NULL || sorted == NULL) return FR_ERR_NO_MEMORY;
    if (count != 0)
        for (fr_doc_iter iter = fr_doc_begin(root); fr_doc_next(&iter, &key, &value); i++) {
            keys[i] = (given_key){.key = key, .value = value};
            sorted[i] = &keys[i];
        }
    qsort(sorted, i, sizeof *sorted, compare_keys);
    fr_doc_reset(&m->doc);
    fr_doc_begin_object(&m->doc);
    if (before->metadata.size != 0)
        for (fr_doc_iter iter = fr_doc_begin(fr_doc_root(before->metadata)); fr_doc_next(&iter, &key, &value);) {
            given_key *found = find_key(sorted, i, key);
            const fr_offset *until = fr_schema_until(m->schema, key);
            if (found != NULL) found->used = true, put_pair(m, key, found->value);
            else if (until == NULL || before->offset >= until[partition]) put_pair(m, key, value);
        }
    for (uint32_t n = 0; n < i; n++)
        if (!keys[n].used) put_pair(m, keys[n].key, keys[n].value);
    fr_doc_end_object(&m->doc);
    return fr_doc_finish(&m->doc, out);
}

/* ==== one event ==== */

static fr_code no_entity(const merger *m, const fr_stored_event *event, const fr_decoded *given, uint32_t index, fr_err *err)
{
    char field[48];
    fr_err why = {0};
    fr_code code = fr_engine_judge(m->schema, given, (fr_place){index, 0, FR_PLACE_NEW}, &why);
    if (code == FR_OK || code == FR_ERR_NO_MEMORY) return code;
    snprintf(field, sizeof field, "records[%u].id", index);
    return fr_fail(err, FR_ERR_NOT_FOUND, field, "there is no entity '%.*s', and what is given is no whole record: %.80s",
                   (int)FR_MIN(event->key.size, 40u), (const char *)event->key.data, why.text);
}

static fr_code put_merged(merger *m, const fr_stored_event *event, uint32_t partition, const fr_decoded *given, const held *before, fr_err *err)
{
    fr_value values[2 * FR_VECTOR_FIELDS_MAX + 1];
    fr_event whole = {.key = event->key,
                      .key_is_int = (event->flags & FR_EVENT_KEY_IS_INT) != 0,
                      .event_id = event->event_id,
                      .source_time_ms = given->source_time_ms != FR_TIME_NONE ? given->source_time_ms : before->source_time_ms,
                      .model_version = given->model_version.size != 0 ? given->model_version : before->model_version,
                      .values = values};
    for (uint32_t i = 0; i < given->vector_count; i++)
        if (given->vectors[i].bytes.size != 0) values[whole.value_count++] = given->vectors[i];
    for (uint32_t i = 0; i < before->vector_count; i++) values[whole.value_count++] = before->vectors[i];
    if (given->metadata.size != 0 || before->metadata.size != 0) {
        fr_span document;
        fr_code code = merge_documents(m, before, partition, given->metadata, &document);
        if (code != FR_OK) return fr_fail(err, code, "records", "two documents could not be merged: %s", fr_strcode(code));
        values[whole.value_count++] = (fr_value){FR_FIELD_DYNAMIC, FR_TYPE_JSON, document};
    }
    return fr_batch_put(m->out, &whole, err);
}

static fr_code take_event(merger *m, const fr_batch *from, size_t start, size_t end, const fr_stored_event *event, uint32_t index, fr_err *err)
{
    held before;
    fr_decoded given = {.source_time_ms = FR_TIME_NONE};
    uint32_t partition = partition_of(m->collection, event->key);
    bool seen = true;
    m->places[index] = m->out->size;
    if (is_repeated(m, event, partition)) return fr_engine_batch_copy(m->out, from, start, end, err);
    if (!(event->flags & FR_EVENT_REMOVE)) FR_TRY(fr_engine_decode(event->value, &given, NULL, err));
    if (event->flags & FR_EVENT_PARTIAL) {
        FR_TRY(hold(m, event->key, &given, &before, err));
        if (!before.there) FR_TRY(no_entity(m, event, &given, index, err));
        FR_TRY(put_merged(m, event, partition, &given, &before, err));
        seen = !is_stale(m, &before, given.source_time_ms);
    } else {
        FR_TRY(fr_engine_batch_copy(m->out, from, start, end, err));
        if (m->schema->def.drop_stale && given.source_time_ms != FR_TIME_NONE) {
            FR_TRY(hold(m, event->key, NULL, &before, err));
            seen = !is_stale(m, &before, given.source_time_ms);
        }
    }
    if (seen) *seek_key(m, event->key) = index + 1;
    if (event->event_id.size != 0) *seek_id(m, event->event_id, partition) = index + 1;
    return FR_OK;
}

static fr_code merge_all(merger *m, const fr_batch *from, fr_err *err)
{
    uint32_t slots = 16, index = 0;
    while (slots < 2 * from->count) slots *= 2;
    m->mask = slots - 1;
    m->keys = fr_zalloc(FR_MEM_ENGINE, slots * sizeof *m->keys);
    m->ids = fr_zalloc(FR_MEM_ENGINE, slots * sizeof *m->ids);
    m->places = fr_alloc(FR_MEM_ENGINE, from->count * sizeof *m->places);
    if (m->keys == NULL || m->ids == NULL || m->places == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory");
    fr_stored_event event;
    for (size_t at = 0, start = 0; fr_engine_event_next(from, &at, &event); start = at)
        FR_TRY(take_event(m, from, start, at, &event, index++, err));
    return fr_engine_check_events(m->db, m->schema, m->out, err);
}

/* Nothing of the collection is under way. */
fr_code fr_engine_merge(fr_db *db, fr_erasure *e, fr_err *err)
{
    uint32_t pin = fr_engine_pin(db);
    merger m = {.db = db, .collection = e->collection, .schema = fr_schema_of(e->collection), .out = &e->batch,
                .now_ms = db->io->now_ms(db->io)};
    fr_arena_init(&m.arena, FR_MEM_ENGINE, 0);
    fr_code code = merge_all(&m, e->write->batch, err);
    e->scanned = true;
    fr_engine_unpin(db, pin);
    fr_arena_free(&m.arena);
    fr_doc_free(&m.doc);
    fr_free(FR_MEM_ENGINE, m.keys);
    fr_free(FR_MEM_ENGINE, m.ids);
    fr_free(FR_MEM_ENGINE, m.places);
    return code;
}
