/* sim_fields.c: a collection of two vector fields (one may be null) that is altered, renamed and truncated; whole and partial records; databases;
 * users and grants. Each write goes from one state of the model to the next. What must hold over every power cut, kill and full disk
 *   1. an acknowledged write: the state is the next one; a refused one: it is the one before;
 *   2. a write that was not answered: one of the two, whole, and it stays so;
 *   3. a partial record whose entity is missing is NOT_FOUND and changes nothing, also for the others of its request. */
#include "tests/sim/sim_fields.h"

#include <stdio.h>
#include <stdlib.h>

#define WIDE_DIM   4u
#define WIDE_KEYS  6u
#define USERS      3u
#define ADDED_MAX  4u
#define NULL_VALUE (-1)

typedef struct row {
    int32_t there; /* no padding: states are compared by their bytes */
    int32_t first, second, x, y; /* second, x, y: NULL_VALUE = null or missing */
} row;

typedef struct truth {
    row rows[WIDE_KEYS];
    uint32_t added, attributes, database; /* fields added; a number, 0 = none */
    uint32_t renamed;
    uint32_t users[USERS], grants[USERS]; /* a number kept with it, 0 = not there; the actions */
} truth;

struct sim_fields {
    sim_host host;
    fr_id id;
    uint16_t second_id;
    uint32_t next; /* a number that nothing had before */
    truth now, then;
    bool unsure; /* `then` was asked for, and no answer came */
};

static void broken(sim_fields *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void broken(sim_fields *f, const char *format, ...)
{
    char text[300];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    f->host.broken(f->host.world, text);
}

static uint32_t below(sim_fields *f, uint32_t bound) { return f->host.below(f->host.world, bound); }

/* ==== writing: `then` is what the write makes of `now` ==== */

/* expected: what the answer must be when nothing fails; OK or NOT_FOUND. */
static void ask(sim_fields *f, fr_db *db, fr_write *write, fr_code expected, const char *what)
{
    fr_err err = {0};
    fr_code code = fr_submit_wait(db, write, &err);
    bool whole = write->kind != FR_WRITE_COLLECTION_TRUNCATE; /* a chunk of it may be there */
    if (code == FR_OK && expected == FR_OK) f->now = f->then;
    else if (code == expected) return;
    else if (whole && (code == FR_ERR_DISK_FULL || code == FR_ERR_BUSY || code == FR_ERR_NO_MEMORY)) return;
    else if (code == FR_ERR_READ_ONLY || code == FR_ERR_IO || code == FR_ERR_DISK_FULL || io_sim_is_down(f->host.sim)) f->unsure = expected == FR_OK;
    else broken(f, "%s: %s: %s", what, fr_strcode(code), err.text);
}

static fr_span document(fr_doc_builder *doc, const char *const *names, const int32_t *numbers, uint32_t count)
{
    fr_span bytes = {NULL, 0};
    fr_doc_begin_object(doc);
    for (uint32_t i = 0; i < count; i++) {
        if (names[i] == NULL) continue;
        fr_doc_put_key(doc, names[i], strlen(names[i]));
        if (numbers[i] == NULL_VALUE) fr_doc_put_null(doc);
        else fr_doc_put_int(doc, numbers[i]);
    }
    fr_doc_end_object(doc);
    (void)!fr_doc_finish(doc, &bytes);
    return bytes;
}

/* One event for a key; what it says of the row goes into `then`. */
static void put_row(sim_fields *f, fr_batch *batch, uint32_t key, bool partial)
{
    row *r = &f->then.rows[key];
    char text[8];
    float first[WIDE_DIM], second[2];
    fr_value values[3];
    fr_event event = {.partial = partial, .source_time_ms = FR_TIME_NONE, .values = values};
    event.key = fr_span_of(text, (size_t)snprintf(text, sizeof text, "k%u", key));
    fr_doc_builder doc = {0};
    const char *names[2] = {NULL, NULL};
    int32_t number = (int32_t)(++f->next % 1000), numbers[2] = {NULL_VALUE, NULL_VALUE};
    bool gives_first = !partial || (f->now.rows[key].there && below(f, 2) == 0);
    if (!partial) *r = (row){.there = true, .second = NULL_VALUE, .x = NULL_VALUE, .y = NULL_VALUE};
    if (gives_first) {
        r->first = number;
        for (uint32_t i = 0; i < WIDE_DIM; i++) first[i] = (float)number + (float)i;
        values[event.value_count++] = (fr_value){FR_FIELD_VECTOR, FR_TYPE_VECTOR_F32, {first, sizeof first}};
    }
    uint32_t dice = below(f, 3);
    if (dice == 0) {
        r->second = number;
        second[0] = (float)number, second[1] = 1;
        values[event.value_count++] = (fr_value){f->second_id, FR_TYPE_VECTOR_F32, {second, sizeof second}};
    } else if (dice == 1 && partial) {
        r->second = NULL_VALUE;
        values[event.value_count++] = (fr_value){f->second_id, FR_TYPE_VECTOR_F16, {NULL, 0}};
    }
    if (below(f, 2) == 0) names[0] = "x", numbers[0] = r->x = below(f, 4) == 0 && partial ? NULL_VALUE : number;
    if (below(f, 2) == 0 || event.value_count == 0) names[1] = "y", numbers[1] = r->y = number;
    fr_span bytes = document(&doc, names, numbers, 2);
    values[event.value_count++] = (fr_value){FR_FIELD_DYNAMIC, FR_TYPE_JSON, bytes};
    if (fr_batch_put(batch, &event, NULL) != FR_OK) broken(f, "no batch");
    fr_doc_free(&doc);
}

static void write_rows(sim_fields *f, fr_db *db)
{
    fr_batch batch = {0};
    uint32_t first = below(f, WIDE_KEYS), count = 1 + below(f, 3);
    bool partial = below(f, 100) < 60, missing = false;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t key = (first + i) % WIDE_KEYS;
        if (partial && below(f, 4) != 0 && !f->now.rows[key].there) continue; /* mostly those that are there */
        missing = missing || (partial && !f->now.rows[key].there);
        put_row(f, &batch, key, partial);
    }
    fr_write w = {.kind = FR_WRITE_EVENTS, .id = f->id, .batch = &batch};
    if (batch.count != 0) ask(f, db, &w, missing ? FR_ERR_NOT_FOUND : FR_OK, partial ? "partial records" : "records");
    fr_batch_free(&batch);
}

static void remove_row(sim_fields *f, fr_db *db)
{
    fr_batch batch = {0};
    char text[8];
    uint32_t key = below(f, WIDE_KEYS);
    fr_event event = {.remove = true, .source_time_ms = FR_TIME_NONE};
    event.key = fr_span_of(text, (size_t)snprintf(text, sizeof text, "k%u", key));
    if (fr_batch_put(&batch, &event, NULL) != FR_OK) broken(f, "no batch");
    f->then.rows[key] = (row){.there = false};
    fr_write w = {.kind = FR_WRITE_EVENTS, .id = f->id, .batch = &batch};
    ask(f, db, &w, FR_OK, "delete");
    fr_batch_free(&batch);
}

static void truncate_all(sim_fields *f, fr_db *db)
{
    memset(f->then.rows, 0, sizeof f->then.rows);
    fr_write w = {.kind = FR_WRITE_COLLECTION_TRUNCATE, .id = f->id};
    ask(f, db, &w, FR_OK, "truncate");
}

static void alter(sim_fields *f, fr_db *db)
{
    static const char *const name = "n";
    fr_collection_change change = {0};
    fr_field_def field = {.type = FR_TYPE_INT64, .nullable = true};
    fr_doc_builder doc = {0};
    uint32_t dice = below(f, 3);
    if (dice == 0 && f->now.added < ADDED_MAX) {
        snprintf(field.name, sizeof field.name, "added%u", f->then.added++);
        change.add = &field, change.add_count = 1;
    } else if (dice == 1) {
        f->then.attributes = ++f->next;
        change.attributes = document(&doc, &name, &(int32_t){(int32_t)f->next}, 1), change.set_attributes = true;
    } else {
        f->then.renamed = !f->now.renamed;
        change.name = f->then.renamed ? "broad" : "wide";
    }
    fr_write w = {.kind = FR_WRITE_COLLECTION_ALTER, .id = f->id, .change = &change};
    ask(f, db, &w, FR_OK, "alter");
    fr_doc_free(&doc);
}

static void change_database(sim_fields *f, fr_db *db)
{
    static const char *const name = "n";
    fr_doc_builder doc = {0};
    bool drop = f->now.database != 0 && below(f, 2) == 0;
    f->then.database = drop ? 0 : ++f->next;
    fr_write w = {.kind = drop ? FR_WRITE_DATABASE_DROP : FR_WRITE_DATABASE_PUT, .name = "side"};
    if (!drop) w.attributes = document(&doc, &name, &(int32_t){(int32_t)f->next}, 1);
    ask(f, db, &w, FR_OK, "database");
    fr_doc_free(&doc);
}

static void user_name(uint32_t user, char *out, size_t size) { snprintf(out, size, "u%u", user); }

/* A grant of a user that is not there is NOT_FOUND; a user goes with his grants. */
static void change_access(sim_fields *f, fr_db *db)
{
    uint32_t u = below(f, USERS), dice = below(f, 4);
    fr_access a = {.kind = dice < 2 ? FR_ACCESS_USER : FR_ACCESS_GRANT};
    fr_code expected = FR_OK;
    user_name(u, a.name, sizeof a.name);
    if (dice == 0 && f->now.users[u] != 0) {
        f->then.users[u] = f->then.grants[u] = 0;
    } else if (dice < 2) {
        f->then.users[u] = a.sha256.iterations = 4096 + ++f->next;
    } else {
        snprintf(a.object_name, sizeof a.object_name, "wide");
        a.actions = 1 + below(f, 7);
        if (f->now.users[u] == 0) expected = FR_ERR_NOT_FOUND;
        else f->then.grants[u] = dice == 3 && f->now.grants[u] != 0 ? 0 : a.actions;
    }
    bool drops = (dice == 0 && f->now.users[u] != 0) || (dice == 3 && f->now.users[u] != 0 && f->now.grants[u] != 0);
    fr_write w = {.kind = drops ? FR_WRITE_ACCESS_DROP : FR_WRITE_ACCESS_PUT, .access = &a};
    ask(f, db, &w, expected, "access");
}

void sim_fields_step(sim_fields *f, fr_db *db)
{
    if (f->unsure) return; /* until it is known what became of it */
    f->then = f->now;
    uint32_t dice = below(f, 100);
    if (dice < 60) write_rows(f, db);
    else if (dice < 72) remove_row(f, db);
    else if (dice < 75) truncate_all(f, db);
    else if (dice < 83) alter(f, db);
    else if (dice < 90) change_database(f, db);
    else change_access(f, db);
}

/* ==== what is there ==== */

static int32_t number_in(fr_span bytes, const char *name)
{
    fr_doc value = bytes.size != 0 ? fr_doc_get(fr_doc_root(bytes), fr_span_text(name)) : (fr_doc){NULL};
    return value.data != NULL && fr_doc_type(value) == FR_DOC_INT ? (int32_t)fr_doc_int(value) : NULL_VALUE;
}

static void read_row(sim_fields *f, fr_searcher *s, uint32_t key, row *out)
{
    char text[8];
    fr_hit hit;
    uint32_t count = 0;
    float second[2];
    fr_span span = fr_span_of(text, (size_t)snprintf(text, sizeof text, "k%u", key));
    if (fr_get(s, f->id, &span, 1, &(fr_wanted){.vector = true, .vector_fields = 3}, &hit, &count, NULL) != FR_OK) broken(f, "no answer");
    memset(out, 0, sizeof *out);
    if (count == 0) return;
    out->there = true;
    out->first = (int32_t)hit.vector[0];
    for (uint32_t i = 0; i < WIDE_DIM; i++)
        if (hit.vector[i] != hit.vector[0] + (float)i) broken(f, "%s: a vector that nobody wrote", text);
    out->second = NULL_VALUE;
    if (hit.vectors[1].size != 0) {
        fr_vector_unpack(FR_TYPE_VECTOR_F16, hit.vectors[1].data, 2, second);
        out->second = (int32_t)second[0];
    }
    out->x = number_in(hit.metadata, "x");
    out->y = number_in(hit.metadata, "y");
}

static void read_database(void *user, const char *name, fr_id id, fr_span attributes)
{
    (void)id;
    if (strcmp(name, "side") == 0) ((truth *)user)->database = (uint32_t)number_in(attributes, "n");
}

static void read_truth(sim_fields *f, fr_db *db, truth *out)
{
    fr_searcher *s;
    fr_collection_info *info = calloc(1, sizeof *info);
    fr_span attributes = {NULL, 0};
    memset(out, 0, sizeof *out);
    if (fr_collection_get(db, f->id, info) != FR_OK || info->state != FR_OK) broken(f, "the collection of fields is gone");
    out->renamed = strcmp(info->def.name, "broad") == 0;
    for (uint32_t i = 0; i < info->def.field_count; i++) out->added += strncmp(info->def.fields[i].name, "added", 5) == 0;
    free(info);
    if (fr_collection_attributes(db, f->id, &attributes) != FR_OK) broken(f, "no attributes");
    if (attributes.size != 0) out->attributes = (uint32_t)number_in(attributes, "n");
    fr_bytes_free(attributes);
    (void)fr_database_list(db, read_database, out);
    for (uint32_t u = 0; u < USERS; u++) {
        fr_access a = {.kind = FR_ACCESS_USER}, grant = {.kind = FR_ACCESS_GRANT};
        user_name(u, a.name, sizeof a.name);
        user_name(u, grant.name, sizeof grant.name);
        snprintf(grant.object_name, sizeof grant.object_name, "wide");
        if (fr_access_get(db, &a) == FR_OK) out->users[u] = a.sha256.iterations;
        if (fr_access_get(db, &grant) == FR_OK) out->grants[u] = grant.actions;
    }
    if (fr_searcher_create(db, &s) != FR_OK) broken(f, "no searcher");
    for (uint32_t k = 0; k < WIDE_KEYS; k++) read_row(f, s, k, &out->rows[k]);
    fr_searcher_free(s);
}

/* The first thing that differs, for the report. */
static void tell(sim_fields *f, const truth *have, const truth *wanted)
{
    for (uint32_t k = 0; k < WIDE_KEYS; k++) {
        const row *h = &have->rows[k], *w = &wanted->rows[k];
        if (memcmp(h, w, sizeof *h) == 0) continue;
        broken(f, "fields: k%u has %d: %d %d %d %d, the model says %d: %d %d %d %d", k, h->there, h->first, h->second, h->x, h->y, w->there, w->first,
               w->second, w->x, w->y);
    }
    for (uint32_t u = 0; u < USERS; u++)
        if (have->users[u] != wanted->users[u] || have->grants[u] != wanted->grants[u])
            broken(f, "fields: user %u is %u and may %u, the model says %u and %u", u, have->users[u], have->grants[u], wanted->users[u], wanted->grants[u]);
    broken(f, "fields: %u added, attributes %u, database %u, renamed %u; the model says %u, %u, %u, %u", have->added, have->attributes, have->database,
           have->renamed, wanted->added, wanted->attributes, wanted->database, wanted->renamed);
}

/* A truncate goes by chunks of thousands of keys: here all or nothing, too. */
void sim_fields_check(sim_fields *f, fr_db *db)
{
    truth *have = calloc(1, sizeof *have);
    fr_engine_drain(db);
    if (!io_sim_is_down(f->host.sim)) {
        read_truth(f, db, have);
        if (f->unsure && memcmp(have, &f->then, sizeof *have) == 0) f->now = f->then;
        else if (memcmp(have, &f->now, sizeof *have) != 0) tell(f, have, &f->now);
        f->unsure = false;
    }
    free(have);
}

/* ==== beginning and end ==== */

sim_fields *sim_fields_create(const sim_host *host, fr_db *db)
{
    sim_fields *f = calloc(1, sizeof *f);
    fr_collection_def *def = calloc(1, sizeof *def);
    fr_collection_info *info = calloc(1, sizeof *info);
    f->host = *host;
    snprintf(def->name, sizeof def->name, "wide");
    def->partitions = 2;
    def->field_count = 3;
    def->fields[0] = (fr_field_def){.name = "key", .type = FR_TYPE_VARCHAR, .primary = true};
    def->fields[1] = (fr_field_def){.name = "first", .type = FR_TYPE_VECTOR_F32, .dimension = WIDE_DIM};
    def->fields[2] = (fr_field_def){.name = "second", .type = FR_TYPE_VECTOR_F16, .dimension = 2, .nullable = true};
    fr_write w = {.kind = FR_WRITE_COLLECTION_CREATE, .def = def};
    fr_err err = {0};
    if (fr_submit_wait(db, &w, &err) != FR_OK || fr_collection_get(db, w.id, info) != FR_OK) broken(f, "create wide: %s", err.text);
    f->id = w.id;
    f->second_id = info->def.fields[2].id;
    free(info);
    free(def);
    return f;
}

void sim_fields_free(sim_fields *f) { free(f); }
