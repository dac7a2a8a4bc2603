/* call_letters.c: dead letters of a collection (<topic>.dlq): what they are, and trying them again. A letter whose entity has a newer
 * record than the letter's own is superseded: it is not written, so that trying twice changes nothing. */
#include "api/http/http_private.h"

#include <stdio.h>
#include <stdlib.h>

#define PAGE_BYTES ((size_t)4 << 20)
#define VALUE_BYTES_SHOWN ((size_t)4096)
#define CHUNK_LETTERS 500u
#define CHUNK_BYTES ((size_t)4 << 20)

static fr_code letters_topic(fr_http_call *call, fr_id *id_out)
{
    char name[FR_NAME_BYTES_MAX + 8];
    FR_TRY(fr_http_collection(call));
    snprintf(name, sizeof name, "%s.dlq", call->info->def.name);
    if (fr_topic_resolve(call->db, name, id_out) != FR_OK) *id_out = 0; /* no letter was ever written */
    return FR_OK;
}

static fr_span header_of(const fr_scanned *letter, const char *name)
{
    for (uint32_t i = 0; i < letter->header_count; i++)
        if (letter->headers[i].value.data && letter->headers[i].key.size == strlen(name) &&
            memcmp(letter->headers[i].key.data, name, strlen(name)) == 0)
            return letter->headers[i].value;
    return fr_span_of("", 0);
}

static int64_t number_of(const fr_scanned *letter, const char *name)
{
    char text[24];
    fr_span value = header_of(letter, name);
    snprintf(text, sizeof text, "%.*s", (int)FR_MIN(value.size, sizeof text - 1), (const char *)value.data);
    return strtoll(text, NULL, 10);
}

/* ---- list ---- */

typedef struct listing {
    fr_out *out;
    uint32_t left;
    fr_offset next;
} listing;

static void text_out(fr_out *out, fr_span text)
{
    if (text.data && fr_utf8_valid(text.data, text.size)) fr_out_string(out, text);
    else fr_out_null(out);
}

static bool list_one(void *user, const fr_scanned *letter)
{
    listing *self = user;
    fr_out *out = self->out;
    if (!self->left || out->size > PAGE_BYTES) return false;
    fr_out_begin(out, '{');
    fr_out_key(out, "offset");
    fr_out_int(out, letter->offset);
    fr_out_key(out, "timestamp");
    fr_out_int(out, letter->timestamp_ms);
    fr_out_key(out, "key");
    text_out(out, letter->key);
    fr_out_key(out, "value"); /* null: it has other bytes than text, or many */
    text_out(out, letter->value.size <= VALUE_BYTES_SHOWN ? letter->value : (fr_span){NULL, 0});
    fr_out_key(out, "bytes");
    fr_out_uint(out, letter->value.size);
    fr_out_key(out, "reason");
    text_out(out, header_of(letter, "freshet.reason"));
    fr_out_key(out, "partition");
    fr_out_int(out, number_of(letter, "freshet.partition"));
    fr_out_key(out, "record");
    fr_out_int(out, number_of(letter, "freshet.offset"));
    fr_out_end(out, '}');
    self->next = letter->offset + 1;
    self->left--;
    return true;
}

fr_http_next fr_http_on_letters(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    (void)door;
    if (worker->loop) return FR_HTTP_WORKER;
    fr_doc query;
    fr_id id = 0;
    fr_partition_state state = {.start = 0};
    fr_code code = fr_http_query_in(call, call->route->query, call->route->query_count, &query, &call->err);
    if (code == FR_OK) code = letters_topic(call, &id);
    if (code == FR_OK && id) code = fr_partition_get(call->db, id, 0, &state);
    if (code != FR_OK) return fr_http_fail(call, &call->err, code);
    listing self = {.out = &call->out, .left = (uint32_t)fr_http_field_int(query, "limit", 100)};
    self.next = FR_MAX(fr_http_field_int(query, "offset", 0), state.start);
    fr_out_begin(&call->out, '{');
    fr_out_key(&call->out, "letters");
    fr_out_begin(&call->out, '[');
    if (id && self.next < state.end) code = fr_topic_scan(call->db, id, 0, self.next, list_one, &self, &call->err);
    if (code != FR_OK) return fr_http_fail(call, &call->err, code);
    fr_out_end(&call->out, ']');
    fr_out_key(&call->out, "next");
    fr_out_int(&call->out, self.next);
    fr_out_key(&call->out, "end");
    fr_out_int(&call->out, state.end);
    fr_out_end(&call->out, '}');
    return fr_http_done(call, 200);
}

/* ---- replay ---- */

typedef struct letter {
    fr_offset offset, record; /* its place, and that of the record it copies */
    int32_t partition;
    fr_span key, value;
    bool is_null;
} letter;

typedef struct trying {
    fr_http *door;
    fr_http_call *call;
    fr_id topic;
    fr_json_map map;
    fr_searcher *searcher;
    fr_arena arena; /* of one chunk */
    letter letters[CHUNK_LETTERS];
    uint32_t count;
    size_t bytes;
    fr_offset next, first_unusable; /* -1 = none */
    uint64_t replayed, superseded, unusable;
    fr_code code;
} trying;

static bool take_letter(void *user, const fr_scanned *from)
{
    trying *self = user;
    if (self->count == CHUNK_LETTERS || self->bytes > CHUNK_BYTES) return false;
    letter *one = &self->letters[self->count];
    *one = (letter){.offset = from->offset,
                    .record = number_of(from, "freshet.offset"),
                    .partition = (int32_t)number_of(from, "freshet.partition"),
                    .key = {fr_arena_copy(&self->arena, from->key.data ? from->key.data : "", from->key.size), from->key.size},
                    .value = {fr_arena_copy(&self->arena, from->value.data ? from->value.data : "", from->value.size), from->value.size},
                    .is_null = from->value.data == NULL};
    if (!one->key.data || !one->value.data) {
        self->code = FR_ERR_NO_MEMORY;
        return false;
    }
    self->bytes += from->key.size + from->value.size;
    self->next = from->offset + 1;
    self->count++;
    return true;
}

static fr_code superseded(trying *self, const letter *one, bool *out)
{
    fr_hit hit;
    uint32_t count = 0;
    *out = false;
    if (one->key.size == 0 || one->key.size > FR_KEY_BYTES_MAX) return FR_OK;
    FR_TRY(fr_get(self->searcher, self->call->info->id, &one->key, 1, NULL, &hit, &count, &self->call->err));
    *out = count == 1 && hit.partition == one->partition && hit.offset > one->record;
    return FR_OK;
}

static fr_code event_of(trying *self, const letter *one, fr_batch *batch, fr_err *err)
{
    fr_record *record = fr_arena_alloc(&self->arena, sizeof *record);
    fr_scanned stored = {.key = one->key, .value = one->is_null ? (fr_span){NULL, 0} : one->value};
    if (!record) return FR_ERR_NO_MEMORY;
    if (one->value.size && *(const char *)one->value.data == '{')
        return self->door->jobs.parse_json ? self->door->jobs.parse_json(&self->map, one->key, one->value, batch, err) : FR_ERR_UNSUPPORTED;
    fr_scanned_decode(&stored, record);
    if (!record->event.remove && record->event.value_count == 0) return fr_fail(err, FR_ERR_INVALID, "value", "not a record value");
    return fr_batch_put(batch, &record->event, err);
}

/* One letter, one write: letters are few, and one must not refuse another. */
static fr_code try_letter(trying *self, const letter *one)
{
    bool old;
    fr_batch batch = {0};
    fr_err err = {0};
    FR_TRY(superseded(self, one, &old));
    if (old) {
        self->superseded++;
        return FR_OK;
    }
    fr_code code = event_of(self, one, &batch, &err);
    fr_write *write = &self->call->write;
    if (code == FR_OK) {
        *write = (fr_write){.kind = FR_WRITE_EVENTS, .id = self->call->info->id, .batch = &batch};
        code = fr_submit_wait(self->call->db, write, &err);
    }
    fr_batch_free(&batch);
    if (code == FR_OK) self->replayed++;
    if (code == FR_ERR_INVALID || code == FR_ERR_TOO_LARGE || code == FR_ERR_UNSUPPORTED) {
        self->unusable++;
        if (self->first_unusable < 0) self->first_unusable = one->offset;
        return FR_OK;
    }
    if (code != FR_OK) self->call->err = err;
    return code;
}

static fr_code try_all(trying *self)
{
    do {
        self->count = 0, self->bytes = 0;
        fr_arena_reset(&self->arena);
        FR_TRY(fr_topic_scan(self->call->db, self->topic, 0, self->next, take_letter, self, &self->call->err));
        FR_TRY(self->code);
        for (uint32_t i = 0; i < self->count; i++) FR_TRY(try_letter(self, &self->letters[i]));
    } while (self->count);
    return FR_OK;
}

/* Those that are done go, when nothing before them is left. */
static fr_code remove_done(trying *self, fr_offset start, fr_offset from, uint64_t *removed_out)
{
    fr_offset before = self->first_unusable >= 0 ? self->first_unusable : self->next;
    if (from > start || before <= start) return FR_OK;
    fr_write *write = &self->call->write;
    *write = (fr_write){.kind = FR_WRITE_DELETE_RECORDS, .id = self->topic, .before = before};
    FR_TRY(fr_submit_wait(self->call->db, write, &self->call->err));
    *removed_out = (uint64_t)(before - start);
    return FR_OK;
}

static void counts_out(fr_out *out, const trying *self, uint64_t removed)
{
    fr_out_begin(out, '{');
    fr_out_key(out, "replayed");
    fr_out_uint(out, self->replayed);
    fr_out_key(out, "superseded");
    fr_out_uint(out, self->superseded);
    fr_out_key(out, "unusable");
    fr_out_uint(out, self->unusable);
    fr_out_key(out, "removed");
    fr_out_uint(out, removed);
    fr_out_end(out, '}');
}

fr_http_next fr_http_on_letters_replay(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    if (worker->loop) return FR_HTTP_CHORE;
    fr_partition_state state = {.start = 0};
    uint64_t removed = 0;
    fr_code code = fr_http_body_in(call, worker);
    trying *self = code == FR_OK ? fr_zalloc(FR_MEM_DOOR, sizeof *self) : NULL;
    if (code == FR_OK && !self) code = FR_ERR_NO_MEMORY;
    if (code != FR_OK) return fr_http_fail(call, &call->err, code);
    self->door = door, self->call = call, self->first_unusable = -1;
    fr_arena_init(&self->arena, FR_MEM_DOOR, 0);
    code = letters_topic(call, &self->topic);
    if (code == FR_OK && self->topic) code = fr_partition_get(call->db, self->topic, 0, &state);
    fr_offset from = self->next = FR_MAX(fr_http_field_int(call->rest, "offset", 0), state.start);
    if (code == FR_OK) code = fr_topic_json_map(call->db, call->info->id, &self->map);
    if (code == FR_OK) code = fr_searcher_create(call->db, &self->searcher);
    if (code == FR_OK && self->topic && from < state.end) {
        code = try_all(self);
        if (code == FR_OK && !fr_http_field_bool(call->rest, "keep", false)) code = remove_done(self, state.start, from, &removed);
    }
    if (code == FR_OK) counts_out(&call->out, self, removed);
    fr_searcher_free(self->searcher);
    fr_arena_free(&self->arena);
    fr_free(FR_MEM_DOOR, self);
    return code == FR_OK ? fr_http_done(call, 200) : fr_http_fail(call, &call->err, code);
}
