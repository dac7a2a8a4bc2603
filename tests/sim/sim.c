/* sim.c: the real engine, in one thread, over a simulated disk, in an order given by a seed, against a model.
 * What must hold after every power cut, kill, failed sync, full disk and clean stop
 *   1. acknowledged = there once with its last value; an acknowledged delete stays deleted;
 *   2. a request that was not acknowledged is there whole or not at all, over all its partitions; a refused one is not
 * there;
 *   3. a retry with the same event ids changes nothing when the first attempt is there, and counts once when it is not;
 *   4. offsets ascend, without a gap as long as nothing was compacted;
 *   5. the exact search equals the model; every search gives k live hits when there are k; the tables pass their own
 * check;
 *   6. at the end: the same state without any snapshot, and again after everything was compacted.
 * A failure prints the command that repeats it. Same seed, same run. */
#include "server/engine/engine.h"
#include "tests/sim/io_sim.h"
#include "tests/sim/sim_fields.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DIM         8u
#define KEYS        48u
#define COLLECTIONS 2u
#define OPS_MAX     96u
#define EVENTS_MAX  12u
#define TAGS_MAX    8192u

typedef struct op {
    fr_write write;
    fr_batch batch;
    uint32_t collection, tag, count;
    bool submitted, done, erase;
    uint32_t group; /* erase: version % 3 */
    struct {
        uint32_t key, version;
        bool remove;
    } events[EVENTS_MAX];
} op;

typedef struct model {
    uint32_t versions[COLLECTIONS][KEYS]; /* 0 = not there */
} model;

typedef struct world {
    uint64_t seed, random;
    io_sim *sim;
    fr_db *db;
    sim_topics *topics;
    sim_fields *fields;
    fr_id ids[COLLECTIONS];
    model model;
    op ops[OPS_MAX];
    uint32_t op_count, next_tag, next_version, acked, cuts, steps;
    uint8_t seen[TAGS_MAX]; /* records of a tag in the logs */
    bool compacted;
    bool ids_unsure;  /* the window may have gone: a snapshot was damaged, or a day has passed */
    bool jumps;       /* this seed lets days pass */
    bool damaged;     /* a bit was turned: nothing else may cost a snapshot */
    int extra, alias; /* a collection that comes and goes: 0, 1; a name that moves: -1, 0, 1; UNKNOWN: found out after
                         the restart */
    const char *phase;
} world;

#define UNKNOWN 99

static const char *program;
static bool verbose;

static _Noreturn void broken(const world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static _Noreturn void broken(const world *w, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "seed %llu, %s: ", (unsigned long long)w->seed, w->phase);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\nrepeat: %s --seeds 1 --start %llu\n", program, (unsigned long long)w->seed);
    fflush(stderr);
    _exit(1); /* the leaks of a broken run are not the news */
}

static uint64_t next_random(world *w) { return fr_mix64(w->random += 0x9e3779b97f4a7c15u); }
static uint32_t below(world *w, uint32_t bound) { return (uint32_t)(next_random(w) % bound); }
static bool chance(world *w, uint32_t percent) { return below(w, 100) < percent; }

/* ==== values ==== */

static void vector_of(uint32_t key, uint32_t version, float out[DIM])
{
    for (uint32_t i = 0; i < DIM; i++)
        out[i] = (float)((int)(fr_mix64(key * 1000003u + version * 77u + i) % 201) - 100);
}

static uint32_t key_text(uint32_t key, char out[16]) { return (uint32_t)snprintf(out, 16, "key%u", key); }

static void put_event(world *w, op *o, uint32_t index)
{
    float vector[DIM];
    char key[16], event_id[32];
    fr_doc_builder doc = {0};
    fr_span bytes;
    uint32_t k = o->events[index].key, version = o->events[index].version;
    vector_of(k, version, vector);
    fr_doc_begin_object(&doc);
    fr_doc_put_key(&doc, "version", 7);
    fr_doc_put_int(&doc, version);
    fr_doc_put_key(&doc, "group", 5);
    fr_doc_put_int(&doc, version % 3);
    fr_doc_end_object(&doc);
    if (fr_doc_finish(&doc, &bytes) != FR_OK) broken(w, "no document");
    fr_value values[] = {{FR_FIELD_VECTOR, FR_TYPE_VECTOR_F32, {vector, sizeof vector}},
                         {FR_FIELD_DYNAMIC, FR_TYPE_JSON, bytes}};
    fr_event event = {
        .remove = o->events[index].remove, .values = values, .value_count = 2, .source_time_ms = FR_TIME_NONE};
    event.key = fr_span_of(key, key_text(k, key));
    event.event_id = fr_span_of(event_id, (size_t)snprintf(event_id, sizeof event_id, "t%u.%u", o->tag, index));
    if (fr_batch_put(&o->batch, &event, NULL) != FR_OK) broken(w, "no batch");
    fr_doc_free(&doc);
}

/* ==== operations ==== */

static void finished(fr_write *write)
{
    op *o = write->user;
    o->done = true;
}

static void submit(world *w, op *o)
{
    o->write = (fr_write){.kind = o->erase ? FR_WRITE_DELETE_MATCHING : FR_WRITE_EVENTS,
                          .id = w->ids[o->collection],
                          .done = finished,
                          .user = o};
    char filter[64];
    snprintf(filter, sizeof filter, "group == %u", o->group);
    if (o->erase) o->write.filter = filter;
    else o->write.batch = &o->batch;
    if (!o->erase && chance(w, 20)) o->write.ack = FR_ACK_DURABLE;
    o->done = false;
    fr_err err = {0};
    fr_code code = fr_submit(w->db, &o->write, &err);
    if (code == FR_OK) return;
    o->done = true;
    o->write.code = code;
    if (code != FR_ERR_READ_ONLY && code != FR_ERR_BUSY) broken(w, "submit: %s: %s", fr_strcode(code), err.text);
}

static void new_op(world *w)
{
    if (w->op_count == OPS_MAX || w->next_tag == TAGS_MAX - 1) return;
    uint32_t collection = below(w, COLLECTIONS);
    for (uint32_t i = 0; i < w->op_count; i++) /* behind an erasure nothing, so that its outcome can be told */
        if (w->ops[i].erase && w->ops[i].collection == collection) return;
    op *o = &w->ops[w->op_count++];
    *o = (op){.collection = collection, .tag = w->next_tag++};
    if (chance(w, 4)) {
        o->erase = true;
        o->group = below(w, 3);
    } else {
        o->count = 1 + below(w, EVENTS_MAX);
        if (chance(w, 50)) o->count = 1;
        for (uint32_t i = 0; i < o->count; i++) {
            o->events[i].key = below(w, KEYS);
            o->events[i].version = ++w->next_version;
            o->events[i].remove = chance(w, 25);
            put_event(w, o, i);
        }
    }
    submit(w, o);
}

static void apply_to_model(model *m, const op *o)
{
    uint32_t *versions = m->versions[o->collection];
    for (uint32_t i = 0; i < o->count; i++) versions[o->events[i].key] = o->events[i].remove ? 0 : o->events[i].version;
    for (uint32_t k = 0; o->erase && k < KEYS; k++)
        if (versions[k] != 0 && versions[k] % 3 == o->group) versions[k] = 0;
}

static bool refused(fr_code code)
{
    return code == FR_ERR_DISK_FULL || code == FR_ERR_BUSY || code == FR_ERR_NO_MEMORY;
}

static void remove_op(world *w, uint32_t at)
{
    fr_batch_free(&w->ops[at].batch);
    memmove(&w->ops[at], &w->ops[at + 1], (w->op_count - at - 1) * sizeof(op));
    w->op_count--;
    for (uint32_t i = at; i < w->op_count; i++) w->ops[i].write.user = &w->ops[i];
}

/* Answers in the order of submission. Only when nothing is in flight: writes are pinned. */
static void settle(world *w)
{
    for (uint32_t i = 0; i < w->op_count; i++)
        if (!w->ops[i].done) return;
    while (w->op_count != 0) {
        op *o = &w->ops[0];
        if (o->write.code == FR_OK) {
            apply_to_model(&w->model, o);
            w->acked++;
        } else if (!refused(o->write.code)) {
            return; /* read-only: whether it is there is found out after the restart */
        } else if (o->erase) {
            return; /* a chunk of it may be there */
        }
        remove_op(w, 0);
    }
}

/* ==== what is there ==== */

static void read_logs(world *w)
{
    memset(w->seen, 0, sizeof w->seen);
    for (uint32_t c = 0; c < COLLECTIONS; c++) {
        fr_collection_info *info = calloc(1, sizeof *info);
        if (fr_collection_get(w->db, w->ids[c], info) != FR_OK) broken(w, "no collection %u", c);
        if (info->state != FR_OK) broken(w, "collection %u is %s", c, fr_strcode(info->state));
        for (uint32_t p = 0; p < info->partition_count; p++) {
            fr_offset expected = 0;
            for (fr_offset at = 0; at < info->partitions[p].end;) {
                fr_view view;
                fr_err err = {0};
                fr_record_iter *iter;
                fr_record record;
                if (fr_read(w->db, w->ids[c], (int32_t)p, at, 1u << 16, &view, &err) != FR_OK)
                    broken(w, "read: %s", err.text);
                if (view.size == 0) break;
                if (fr_records_begin(&view, &iter) != FR_OK) broken(w, "no memory");
                while (fr_records_next(iter, &record)) {
                    if (record.offset < expected || (!w->compacted && record.offset != expected))
                        broken(w, "collection %u partition %u: offset %lld where %lld was due", c, p,
                               (long long)record.offset, (long long)expected);
                    expected = record.offset + 1;
                    char text[32] = "";
                    unsigned tag;
                    memcpy(text, record.event.event_id.data != NULL ? record.event.event_id.data : "",
                           FR_MIN(record.event.event_id.size, sizeof text - 1));
                    if (sscanf(text, "t%u.", &tag) == 1 && tag < TAGS_MAX) w->seen[tag]++;
                }
                fr_records_end(iter);
                at = view.next;
                fr_view_release(&view);
            }
            if (info->partitions[p].applied != info->partitions[p].end - 1) broken(w, "not everything was applied");
        }
        free(info);
    }
}

static void read_state(world *w, uint32_t c, uint32_t versions[KEYS])
{
    fr_searcher *s;
    fr_hit hits[10];
    uint32_t count;
    char after[16] = "";
    memset(versions, 0, KEYS * sizeof *versions);
    if (fr_searcher_create(w->db, &s) != FR_OK) broken(w, "no searcher");
    do {
        fr_err err = {0};
        if (fr_scroll(s, w->ids[c], NULL, fr_span_text(after), 10, &(fr_wanted){.vector = true}, hits, &count, &err) != FR_OK)
            broken(w, "scroll: %s", err.text);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t key = 0,
                     version = (uint32_t)fr_doc_int(fr_doc_get(fr_doc_root(hits[i].metadata), fr_span_text("version")));
            memcpy(after, hits[i].key.data, hits[i].key.size);
            after[hits[i].key.size] = 0;
            float vector[DIM];
            if (sscanf(after, "key%u", &key) != 1 || key >= KEYS || versions[key] != 0)
                broken(w, "scroll gave '%s', perhaps twice", after);
            vector_of(key, version, vector);
            if (memcmp(vector, hits[i].vector, sizeof vector) != 0)
                broken(w, "%s has a vector that is not its version's %u", after, version);
            versions[key] = version;
        }
    } while (count == 10);
    fr_searcher_free(s);
}

static void check_search(world *w, uint32_t c, const uint32_t versions[KEYS])
{
    fr_searcher *s;
    float query[DIM], best[KEYS], vector[DIM];
    uint32_t live = 0, count = 0;
    vector_of(below(w, KEYS), 5000 + below(w, 1000), query);
    for (uint32_t k = 0; k < KEYS; k++) {
        if (versions[k] == 0) continue;
        float distance = 0;
        vector_of(k, versions[k], vector);
        for (uint32_t i = 0; i < DIM; i++) distance += (query[i] - vector[i]) * (query[i] - vector[i]);
        uint32_t at = live++;
        for (; at > 0 && best[at - 1] > distance; at--) best[at] = best[at - 1];
        best[at] = distance;
    }
    if (fr_searcher_create(w->db, &s) != FR_OK) broken(w, "no searcher");
    for (uint32_t exact = 0; exact < 2; exact++) {
        fr_hit hits[10];
        fr_err err = {0};
        fr_query q = {.id = w->ids[c],
                      .vectors = query,
                      .query_count = 1,
                      .dimension = DIM,
                      .k = 10,
                      .exact = exact != 0,
                      .with_metadata = true};
        if (fr_search(s, &q, hits, &count, NULL, &err) != FR_OK) broken(w, "search: %s", err.text);
        if (count != FR_MIN(live, 10u))
            broken(w, "%s search gave %u hits of %u live", exact ? "exact" : "normal", count, live);
        for (uint32_t i = 0; i < count; i++) {
            char key[16] = "";
            uint32_t k;
            memcpy(key, hits[i].key.data, FR_MIN(hits[i].key.size, sizeof key - 1));
            if (sscanf(key, "key%u", &k) != 1 || k >= KEYS || versions[k] == 0)
                broken(w, "a search gave '%s', which is not there", key);
            if (exact && fabsf(hits[i].distance - best[i]) > 1e-3f * (best[i] + 1))
                broken(w, "exact hit %u: distance %g, not %g", i, (double)hits[i].distance, (double)best[i]);
        }
    }
    uint64_t total = 0;
    if (fr_count(s, w->ids[c], NULL, &total, NULL) != FR_OK || total != live)
        broken(w, "count is %llu, not %u", (unsigned long long)total, live);
    fr_searcher_free(s);
}

static void check_tables(world *w)
{
    for (uint32_t c = 0; c < COLLECTIONS; c++) {
        fr_collection *collection = fr_engine_collection_ref(w->db, w->ids[c]);
        for (uint32_t i = 0; i < collection->shard_count; i++) {
            fr_err err = {0};
            fr_table *table = fr_shard_table(&collection->shards[i]);
            if (table != NULL && fr_table_check(table, &err) != FR_OK)
                broken(w, "table of collection %u, partition %u: %s", c, i, err.text);
        }
        fr_engine_unref(collection);
    }
}

static void compare(world *w, const uint32_t have[COLLECTIONS][KEYS], const model *m)
{
    for (uint32_t c = 0; c < COLLECTIONS; c++)
        for (uint32_t k = 0; k < KEYS; k++)
            if (have[c][k] != m->versions[c][k])
                broken(w, "collection %u, key%u has version %u, the model says %u", c, k, have[c][k],
                       m->versions[c][k]);
}

static void check_all(world *w)
{
    uint32_t have[COLLECTIONS][KEYS];
    fr_engine_drain(w->db); /* an early answer is durable, not applied yet */
    if (io_sim_is_down(w->sim)) return;
    for (uint32_t c = 0; c < COLLECTIONS; c++) read_state(w, c, have[c]);
    compare(w, (const uint32_t(*)[KEYS])have, &w->model);
    for (uint32_t c = 0; c < COLLECTIONS; c++) check_search(w, c, have[c]);
    check_tables(w);
}

/* ==== after a restart ==== */

static void open_again(world *w);

/* What was under way: acknowledged counts; refused must not be there; the rest is there whole or not at all. */
static void settle_after_restart(world *w, op *retries, uint32_t *retry_count)
{
    *retry_count = 0;
    read_logs(w);
    uint32_t have[COLLECTIONS][KEYS];
    for (uint32_t c = 0; c < COLLECTIONS; c++) read_state(w, c, have[c]);
    for (uint32_t i = 0; i < w->op_count; i++) {
        op *o = &w->ops[i];
        bool acknowledged = o->done && o->write.code == FR_OK;
        if (o->erase) { /* the last of its collection: the state tells */
            model with = w->model;
            apply_to_model(&with, o);
            bool there = memcmp(with.versions[o->collection], have[o->collection], sizeof have[0]) == 0;
            if (acknowledged || there) w->model = with;
            continue;
        }
        uint32_t seen = w->seen[o->tag];
        if (acknowledged || (seen == o->count)) {
            apply_to_model(&w->model, o);
            if (acknowledged) w->acked++;
        } else if (seen != 0) {
            broken(w, "request t%u is torn: %u of %u records", o->tag, seen, o->count);
        }
        if (o->done && refused(o->write.code) && seen != 0)
            broken(w, "request t%u was refused (%s) and is there", o->tag, fr_strcode(o->write.code));
        if (!acknowledged && !w->ids_unsure && chance(w, 50)) {
            retries[*retry_count] = *o;
            o->batch = (fr_batch){0};
            ++*retry_count;
        }
    }
    while (w->op_count != 0) remove_op(w, w->op_count - 1);
    compare(w, (const uint32_t(*)[KEYS])have, &w->model);
}

static void drain(world *w)
{
    for (uint32_t i = 0; i < 100000; i++) {
        bool waiting = false;
        for (uint32_t o = 0; o < w->op_count; o++) waiting = waiting || !w->ops[o].done;
        if (!waiting || io_sim_is_down(w->sim)) return;
        fr_engine_step_all(w->db);
    }
    broken(w, "writes are never answered");
}

static void retry(world *w, op *retries, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        op *o = &w->ops[w->op_count++];
        *o = retries[i];
        bool there = w->seen[o->tag] != 0;
        submit(w, o);
        drain(w);
        if (!o->done || o->write.code != FR_OK) continue; /* the power went, or the disk is full */
        if (there && (o->write.records != 0 || o->write.duplicates != o->count))
            broken(w, "retry of t%u: %u records, %u duplicates of %u", o->tag, o->write.records, o->write.duplicates,
                   o->count);
        if (there) o->count = 0; /* no effect of its own */
        else if (o->write.duplicates != 0) broken(w, "retry of t%u: duplicates of something that is not there", o->tag);
    }
}

static uint32_t dice_for_topics(void *user, uint32_t bound) { return below(user, bound); }
static void broken_topics(void *user, const char *text) { broken(user, "%s", text); }

static void create_collections(world *w)
{
    for (uint32_t c = 0; c < COLLECTIONS; c++) {
        char name[16];
        snprintf(name, sizeof name, "c%u", c);
        if (fr_resolve(w->db, name, &w->ids[c]) == FR_OK) continue;
        fr_collection_def *def = calloc(1, sizeof *def);
        snprintf(def->name, sizeof def->name, "%s", name);
        def->dimension = DIM;
        def->partitions = c == 0 ? 1 : 3;
        def->codes = c == 0 ? FR_CODES_SQ8 : FR_CODES_NONE;
        fr_write write = {.kind = FR_WRITE_COLLECTION_CREATE, .def = def};
        fr_err err = {0};
        if (fr_submit_wait(w->db, &write, &err) != FR_OK) broken(w, "create: %s", err.text);
        w->ids[c] = write.id;
        free(def);
    }
}

static void open_again(world *w)
{
    fr_options options = {.no_threads = true,
                          .io = io_sim_io(w->sim),
                          .snapshot_ms = 20000,
                          .no_snapshot_on_close = chance(w, 50),
                          .memory_limit = UINT64_MAX};
    for (uint32_t attempt = 0;; attempt++) {
        fr_err err = {0};
        if (attempt < 3 && chance(w, 30))
            io_sim_cut_at(w->sim, 1 + below(w, 60), next_random(w)); /* also during recovery */
        fr_code code = fr_open("/data", &options, &w->db, &err);
        if (io_sim_is_down(w->sim)) {
            if (code == FR_OK) fr_engine_abandon(w->db);
            w->cuts++;
            io_sim_restart(w->sim);
            continue;
        }
        io_sim_cut_at(w->sim, 0, 0);
        if (code != FR_OK) broken(w, "open: %s: %s", fr_strcode(code), err.text);
        fr_stats stats;
        fr_stats_get(w->db, &stats);
        if (stats.snapshot_fallbacks != 0 && !w->damaged) broken(w, "a snapshot or a producers' state on disk is not whole");
        return;
    }
}

static void check_catalog(world *w);

typedef struct path_list {
    char paths[512][256];
    uint32_t count;
} path_list;

static void collect_snapshot(void *user, const char *path, uint64_t size)
{
    path_list *list = user;
    (void)size;
    if (list->count < 512) snprintf(list->paths[list->count++], 256, "%s", path);
}

/* A bit of a snapshot turns: the other manifest, or the log alone, must give the same state. */
static void damage_a_snapshot(world *w)
{
    path_list *list = calloc(1, sizeof *list);
    io_sim_list(w->sim, "/data/snap", collect_snapshot, list);
    uint64_t size = 0;
    const char *path = list->count != 0 ? list->paths[below(w, list->count)] : "";
    if (io_sim_file_size(w->sim, path, &size) && size != 0) {
        uint64_t byte = next_random(w) % size;
        for (uint32_t i = 0; i < 200 && io_sim_byte(w->sim, path, byte) == 0; i++) byte = next_random(w) % size; /* not padding */
        io_sim_flip(w->sim, path, byte, below(w, 8));
        w->ids_unsure = w->damaged = true;
    }
    free(list);
}

static void recover(world *w)
{
    op retries[OPS_MAX];
    uint32_t retry_count;
    w->phase = "recovery";
    if (w->jumps && chance(w, 30)) damage_a_snapshot(w);
    open_again(w);
    check_catalog(w);
    settle_after_restart(w, retries, &retry_count);
    w->phase = "retry";
    retry(w, retries, retry_count);
    w->phase = "after recovery";
    settle(w);
    check_all(w);
    w->phase = "topics after recovery";
    if (w->ids_unsure) sim_topics_forget(w->topics);
    if (!io_sim_is_down(w->sim)) sim_topics_recover(w->topics, w->db);
    w->phase = "fields after recovery";
    if (!io_sim_is_down(w->sim)) sim_fields_check(w->fields, w->db);
}

/* ==== the catalog ==== */

static fr_code change(world *w, fr_write *write)
{
    fr_err err = {0};
    fr_code code = fr_submit_wait(w->db, write, &err);
    bool may_fail = refused(code) || code == FR_ERR_READ_ONLY || code == FR_ERR_IO || io_sim_is_down(w->sim);
    if (code != FR_OK && !may_fail) broken(w, "catalog: %s: %s", fr_strcode(code), err.text);
    return code;
}

static void toggle_extra(world *w)
{
    fr_code code;
    int wanted = !w->extra;
    fr_id id = 0;
    if (w->extra == UNKNOWN) return;
    if (wanted) {
        fr_collection_def *def = calloc(1, sizeof *def);
        snprintf(def->name, sizeof def->name, "extra");
        def->dimension = DIM;
        fr_write write = {.kind = FR_WRITE_COLLECTION_CREATE, .def = def};
        code = change(w, &write);
        free(def);
        if (code == FR_OK) { /* so that it has files */
            op o = {.tag = TAGS_MAX - 1, .count = 1, .events = {{.key = 1, .version = 1}}};
            put_event(w, &o, 0);
            write = (fr_write){.kind = FR_WRITE_EVENTS, .id = write.id, .batch = &o.batch};
            (void)!change(w, &write);
            fr_batch_free(&o.batch);
        }
    } else {
        if (fr_resolve(w->db, "extra", &id) != FR_OK) broken(w, "the extra collection is gone");
        fr_write write = {.kind = FR_WRITE_COLLECTION_DROP, .id = id};
        code = change(w, &write);
    }
    if (code == FR_OK) w->extra = wanted;
    else if (!refused(code)) w->extra = UNKNOWN;
}

static void move_alias(world *w)
{
    char target[16];
    int wanted = (int)below(w, COLLECTIONS);
    if (w->alias == UNKNOWN) return;
    snprintf(target, sizeof target, "c%d", wanted);
    fr_write write = {.kind = FR_WRITE_ALIAS_PUT, .name = "alias", .target = target};
    fr_code code = change(w, &write);
    if (code == FR_OK) w->alias = wanted;
    else if (!refused(code)) w->alias = UNKNOWN;
}

static void check_catalog(world *w)
{
    fr_id id;
    int extra = fr_resolve(w->db, "extra", &id) == FR_OK, alias = -1;
    if (fr_resolve(w->db, "alias", &id) == FR_OK) alias = id == w->ids[0] ? 0 : 1;
    if (w->extra != UNKNOWN && w->extra != extra) broken(w, "the extra collection: %d, not %d", extra, w->extra);
    if (w->alias != UNKNOWN && w->alias != alias) broken(w, "the alias leads to %d, not %d", alias, w->alias);
    w->extra = extra;
    w->alias = alias;
    for (int c = 0; c < (int)COLLECTIONS; c++) {
        char name[16];
        snprintf(name, sizeof name, "c%d", c);
        if (fr_resolve(w->db, name, &id) != FR_OK || id != w->ids[c]) broken(w, "%s is gone", name);
    }
}

/* ==== one life: from an open to a stop ==== */

static void one_step(world *w)
{
    uint32_t dice = below(w, 1000);
    fr_err err = {0};
    if (dice < 220) new_op(w);
    else if (dice < 225) (void)!fr_snapshot(w->db, &err);
    else if (dice < 230) {
        w->compacted = true;
        (void)!fr_compact(w->db, chance(w, 50) ? 0 : w->ids[below(w, COLLECTIONS)], &err);
    } else if (dice < 240) io_sim_advance(w->sim, below(w, 5000));
    else if (dice == 240 && w->jumps && chance(w, 30)) {
        io_sim_advance(w->sim, 25 * 3600 * 1000);
        w->ids_unsure = true;
    } else if (dice < 243) toggle_extra(w);
    else if (dice < 246) move_alias(w);
    else if (dice < 300) sim_topics_step(w->topics, w->db);
    else if (dice < 320) sim_fields_step(w->fields, w->db);
    else fr_engine_step(w->db, (fr_role)below(w, FR_ROLE_COUNT));
    settle(w);
}

static void one_life(world *w)
{
    w->phase = "running";
    uint32_t steps = 200 + below(w, 1500);
    bool cut = chance(w, 70), full = chance(w, 30), bad_sync = chance(w, 8);
    if (cut) io_sim_cut_at(w->sim, 1 + below(w, 400), next_random(w));
    if (full) io_sim_fail_at(w->sim, 1 + below(w, 200), 1 + below(w, 6), FR_ERR_DISK_FULL);
    if (bad_sync) io_sim_fail_sync_at(w->sim, 1 + below(w, 30));
    for (uint32_t i = 0; i < steps && !io_sim_is_down(w->sim); i++, w->steps++) one_step(w);
    io_sim_fail_at(w->sim, 0, 0, FR_OK);
    io_sim_fail_sync_at(w->sim, 0);
    if (io_sim_is_down(w->sim)) {
        w->cuts++;
        fr_engine_abandon(w->db);
    } else if (chance(w, 30)) {
        io_sim_power_cut(w->sim, next_random(w));
        w->cuts++;
        fr_engine_abandon(w->db);
    } else if (chance(w, 30)) {
        io_sim_kill(w->sim);
        fr_engine_abandon(w->db);
    } else {
        drain(w);
        settle(w);
        if (w->op_count == 0 && !io_sim_is_down(w->sim)) check_all(w);
        fr_close(w->db);
        if (io_sim_is_down(w->sim)) w->cuts++;
    }
    w->db = NULL;
    if (io_sim_is_down(w->sim)) io_sim_restart(w->sim);
    io_sim_cut_at(w->sim, 0, 0);
}

/* ==== the end: live = recovered = replayed without snapshots = compacted ==== */

static void delete_snapshots(world *w)
{
    path_list *list = calloc(1, sizeof *list);
    io_sim_list(w->sim, "/data/snap", collect_snapshot, list);
    for (uint32_t i = 0; i < list->count; i++) io_sim_delete(w->sim, list->paths[i]);
    free(list);
}

static void same_answers(world *w)
{
    w->phase = "without snapshots";
    fr_close(w->db);
    delete_snapshots(w);
    fr_options options = {
        .no_threads = true, .io = io_sim_io(w->sim), .no_snapshot_on_close = true, .memory_limit = UINT64_MAX};
    fr_err err = {0};
    if (fr_open("/data", &options, &w->db, &err) != FR_OK) broken(w, "open: %s", err.text);
    check_all(w);
    sim_topics_check(w->topics, w->db);
    sim_fields_check(w->fields, w->db);
    w->phase = "compacted";
    if (fr_compact(w->db, 0, &err) != FR_OK) broken(w, "compact: %s", err.text);
    check_all(w);
    sim_topics_check(w->topics, w->db);
    sim_fields_check(w->fields, w->db);
    io_sim_advance(w->sim, 30 * 3600 * 1000); /* tombstones may go now */
    if (fr_compact(w->db, 0, &err) != FR_OK) broken(w, "compact: %s", err.text);
    for (uint32_t round = 0; round < 2; round++) {
        fr_close(w->db);
        if (round == 1) delete_snapshots(w);
        w->phase = round == 0 ? "compacted, reopened" : "compacted, without snapshots";
        if (fr_open("/data", &options, &w->db, &err) != FR_OK) broken(w, "open: %s", err.text);
        check_all(w);
        sim_topics_check(w->topics, w->db);
        sim_fields_check(w->fields, w->db);
    }
}

static void run_seed(uint64_t seed, uint64_t totals[3])
{
    world *w = calloc(1, sizeof *w);
    w->seed = seed;
    w->random = fr_mix64(seed + 1);
    w->sim = io_sim_create(fr_mix64(seed ^ 0xabcdef));
    w->phase = "creation";
    w->alias = -1;
    w->jumps = chance(w, 40);
    fr_options options = {.no_threads = true, .io = io_sim_io(w->sim), .memory_limit = UINT64_MAX};
    fr_err err = {0};
    if (fr_open("/data", &options, &w->db, &err) != FR_OK) broken(w, "open: %s", err.text);
    create_collections(w);
    const sim_host host = {w, dice_for_topics, broken_topics, w->sim};
    w->topics = sim_topics_create(&host, w->db);
    w->fields = sim_fields_create(&host, w->db);
    uint32_t lives = 3 + below(w, 4);
    for (uint32_t i = 0; i < lives; i++) {
        one_life(w);
        recover(w);
    }
    drain(w);
    settle(w);
    if (io_sim_is_down(w->sim)) broken(w, "the power is down at the end");
    same_answers(w);
    fr_close(w->db);
    if (verbose)
        printf("seed %llu: %u steps, %u acknowledged, %u cuts, hash %016llx\n", (unsigned long long)seed, w->steps,
               w->acked, w->cuts, (unsigned long long)io_sim_hash(w->sim));
    totals[0] += w->steps, totals[1] += w->acked, totals[2] += w->cuts;
    while (w->op_count != 0) remove_op(w, w->op_count - 1);
    sim_topics_free(w->topics);
    sim_fields_free(w->fields);
    io_sim_free(w->sim);
    free(w);
}

/* Slices of the seeds in processes of their own; the totals come back through pipes. */
static bool run_slices(uint64_t start, uint64_t seeds, uint64_t jobs, uint64_t totals[3])
{
    int pipes[64][2];
    pid_t children[64];
    bool good = true;
    fflush(stdout);
    for (uint64_t j = 0; j < jobs; j++) {
        if (pipe(pipes[j]) != 0 || (children[j] = fork()) < 0) return false;
        if (children[j] != 0) continue;
        uint64_t mine[3] = {0};
        for (uint64_t i = j; i < seeds; i += jobs) run_seed(start + i, mine);
        fflush(stdout);
        _exit(write(pipes[j][1], mine, sizeof mine) == (ssize_t)sizeof mine ? 0 : 1);
    }
    for (uint64_t j = 0; j < jobs; j++) {
        uint64_t theirs[3] = {0};
        int status = 0;
        close(pipes[j][1]);
        if (read(pipes[j][0], theirs, sizeof theirs) != (ssize_t)sizeof theirs) good = false;
        close(pipes[j][0]);
        if (waitpid(children[j], &status, 0) < 0 || status != 0) good = false;
        for (int i = 0; i < 3; i++) totals[i] += theirs[i];
    }
    return good;
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    uint64_t seeds = 100, start = 1, jobs = 1, totals[3] = {0};
    program = argv[0];
    fr_note_level((fr_level)-1); /* faults are made on purpose: quiet */
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc) seeds = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--start") == 0 && i + 1 < argc) start = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--jobs") == 0 && i + 1 < argc) jobs = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--verbose") == 0) verbose = true, fr_note_level(FR_NOTE_INFO);
        else {
            fprintf(stderr, "usage: %s [--seeds N] [--start S] [--jobs N] [--verbose]\n", argv[0]);
            return 2;
        }
    }
    double begun = seconds_now();
    jobs = FR_MIN(FR_MAX(jobs, (uint64_t)1), FR_MIN(FR_MAX(seeds, (uint64_t)1), (uint64_t)64));
    if (!run_slices(start, seeds, jobs, totals)) return 1; /* the broken seed has said so */
    printf("%llu seeds from %llu: %llu steps, %llu acknowledged writes, %llu power cuts: nothing lost, nothing twice, "
           "nothing back; %.1f seeds a second\n",
           (unsigned long long)seeds, (unsigned long long)start, (unsigned long long)totals[0],
           (unsigned long long)totals[1], (unsigned long long)totals[2], (double)seeds / (seconds_now() - begun));
    return 0;
}
