/* db.c: opening and closing a database; its threads; pins (how readers of the catalog's map hold it without a lock).
 *
 * Pins are sleepable RCU in the manner of P. McKenney ("Sleepable read-copy update", 2006): a reader counts itself in
 * one of two phases, the keeper frees what was unlinked after both phases were seen empty in turn (keeper.c). */
#include "server/engine/engine.h"

#include "api/brisk.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define OPEN_WAIT_MS 30000

/* ==== bells ==== */

void fr_bell_init(fr_bell *bell)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&bell->lock, NULL);
    pthread_cond_init(&bell->cond, &attributes);
    pthread_condattr_destroy(&attributes);
    bell->rings = 0;
}

void fr_bell_free(fr_bell *bell)
{
    pthread_cond_destroy(&bell->cond);
    pthread_mutex_destroy(&bell->lock);
}

void fr_bell_ring(fr_bell *bell)
{
    pthread_mutex_lock(&bell->lock);
    bell->rings++;
    pthread_mutex_unlock(&bell->lock);
    pthread_cond_broadcast(&bell->cond); /* behind the lock: who wakes finds it free */
}

uint64_t fr_bell_read(fr_bell *bell)
{
    pthread_mutex_lock(&bell->lock);
    uint64_t rings = bell->rings;
    pthread_mutex_unlock(&bell->lock);
    return rings;
}

void fr_bell_wait(fr_bell *bell, uint64_t seen, int64_t timeout_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
    pthread_mutex_lock(&bell->lock);
    while (bell->rings == seen && pthread_cond_timedwait(&bell->cond, &bell->lock, &until) == 0) {}
    pthread_mutex_unlock(&bell->lock);
}

/* ==== pins and references ==== */

uint32_t fr_engine_pin(fr_db *db)
{
    static _Atomic uint32_t next_stripe;
    static _Thread_local uint32_t stripe = UINT32_MAX;
    if (stripe == UINT32_MAX) stripe = atomic_fetch_add(&next_stripe, 1) % FR_PIN_STRIPES;
    uint32_t phase = atomic_load(&db->pin_phase) & 1u;
    atomic_fetch_add(&db->pins[stripe].readers[phase], 1);
    return stripe * 2 + phase;
}

void fr_engine_unpin(fr_db *db, uint32_t token) { atomic_fetch_sub(&db->pins[token / 2].readers[token % 2], 1); }

void fr_engine_ref(fr_collection *collection) { atomic_fetch_add_explicit(&collection->refs, 1, memory_order_relaxed); }

void fr_engine_unref(fr_collection *collection)
{
    uint32_t before =
        atomic_fetch_sub_explicit(&collection->refs, 1, memory_order_acq_rel); /* pairs with the keeper's acquire */
    FR_ASSERT(before != 0);
}

fr_collection *fr_engine_collection_ref(fr_db *db, fr_id id)
{
    uint32_t pin = fr_engine_pin(db);
    fr_collection *collection = fr_map_by_id(atomic_load(&db->map), id);
    if (collection != NULL && collection->kind != FR_TOPIC_COLLECTION) collection = NULL;
    if (collection != NULL) fr_engine_ref(collection);
    fr_engine_unpin(db, pin);
    return collection;
}

fr_collection *fr_engine_topic_ref(fr_db *db, fr_id id)
{
    uint32_t pin = fr_engine_pin(db);
    fr_collection *topic = fr_map_by_id(atomic_load(&db->map), id);
    if (topic != NULL) fr_engine_ref(topic);
    fr_engine_unpin(db, pin);
    return topic;
}

/* ==== state ==== */

void fr_engine_set_state(fr_db *db, fr_code code, const char *text)
{
    pthread_mutex_lock(&db->state_lock);
    int before = atomic_load(&db->state);
    bool change = before != FR_ERR_READ_ONLY && before != (int)code; /* the first failure is final */
    if (change) {
        snprintf(db->state_text, sizeof db->state_text, "%s", text);
        atomic_store_explicit(&db->state, (int)code, memory_order_release);
    }
    pthread_mutex_unlock(&db->state_lock);
    if (change)
        fr_note(code == FR_OK ? FR_NOTE_INFO : FR_NOTE_ERROR, "event=state state=%s text=\"%s\"", fr_strcode(code),
                text);
}

fr_code fr_engine_state_fail(fr_db *db, fr_err *err)
{
    pthread_mutex_lock(&db->state_lock);
    fr_code code = (fr_code)atomic_load(&db->state);
    fr_fail(err, code, NULL, "the database refuses writes: %s", db->state_text);
    pthread_mutex_unlock(&db->state_lock);
    return code;
}

void fr_engine_release(fr_db *db, uint64_t bytes)
{
    atomic_fetch_sub(&db->queue_bytes, bytes);
    if (atomic_fetch_sub(&db->queue_count, 1) == 1) fr_bell_ring(&db->done_bell);
}

/* ==== threads ==== */

bool fr_engine_step(fr_db *db, fr_role role)
{
    switch (role) {
    case FR_ROLE_WRITER: return fr_engine_writer_step(db);
    case FR_ROLE_SYNCER: return fr_engine_syncer_step(db);
    case FR_ROLE_APPLIER: return fr_engine_applier_step(db);
    case FR_ROLE_LINKER: return fr_engine_linker_step(db);
    case FR_ROLE_KEEPER: return fr_engine_keeper_step(db);
    default: return false;
    }
}

void fr_engine_step_all(fr_db *db)
{
    for (int role = 0; role < FR_ROLE_COUNT; role++) fr_engine_step(db, (fr_role)role);
}

void fr_engine_drain(fr_db *db)
{
    bool worked;
    do {
        worked = false;
        for (int role = 0; role < FR_ROLE_COUNT; role++) worked = fr_engine_step(db, (fr_role)role) || worked;
    } while (worked);
}

void fr_engine_wake(fr_db *db, fr_role role) { fr_bell_ring(&db->bells[role]); }

static const struct {
    const char *name; /* NULL: the writer's thread plays it */
    int64_t idle_ms; /* look again after so long even if nobody rings */
} roles[FR_ROLE_COUNT] = {
    [FR_ROLE_WRITER] = {"fr-writer", 100},  [FR_ROLE_SYNCER] = {NULL, 0},
    [FR_ROLE_APPLIER] = {"fr-applier", 50}, [FR_ROLE_LINKER] = {"fr-linker", 500},
    [FR_ROLE_KEEPER] = {"fr-keeper", 200},
};

/* What comes while a round is synced gathers in the intake and makes the next one: nobody is woken for it, and no thread for the sync. */
static bool turn(fr_db *db, fr_role role)
{
    bool worked = fr_engine_step(db, role);
    return (role == FR_ROLE_WRITER && fr_engine_step(db, FR_ROLE_SYNCER)) || worked;
}

typedef struct thread_start {
    fr_db *db;
    fr_role role;
} thread_start;

static void *run(void *argument)
{
    thread_start start = *(thread_start *)argument;
    fr_free(FR_MEM_ENGINE, argument);
    fr_db *db = start.db;
    pthread_setname_np(pthread_self(), roles[start.role].name);
    if (start.role == FR_ROLE_LINKER &&
        nice(5) == -1) { /* per thread on Linux; without it the linker is only less polite */
    }
    if (start.role == FR_ROLE_WRITER || start.role == FR_ROLE_APPLIER) (void)fr_thread_brisk();
    while (!atomic_load(&db->stopping)) {
        uint64_t seen = fr_bell_read(&db->bells[start.role]);
        while (!atomic_load(&db->stopping) && turn(db, start.role)) {}
        if (!atomic_load(&db->stopping)) fr_bell_wait(&db->bells[start.role], seen, roles[start.role].idle_ms);
    }
    return NULL;
}

static fr_code start_thread(fr_db *db, fr_role role)
{
    thread_start *start = fr_alloc(FR_MEM_ENGINE, sizeof *start);
    if (start == NULL) return FR_ERR_NO_MEMORY;
    *start = (thread_start){db, role};
    if (pthread_create(&db->threads[db->thread_count], NULL, run, start) != 0) {
        fr_free(FR_MEM_ENGINE, start);
        return FR_ERR_NO_MEMORY;
    }
    db->thread_count++;
    return FR_OK;
}

static fr_code start_threads(fr_db *db)
{
    uint32_t linkers = db->options.linkers;
    if (linkers == 0) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        linkers = cores > 2 ? (uint32_t)cores / 2 : 1;
    }
    linkers = FR_MIN(linkers, 256u);
    db->threads = fr_alloc(FR_MEM_ENGINE, (FR_ROLE_COUNT + linkers) * sizeof *db->threads);
    if (db->threads == NULL) return FR_ERR_NO_MEMORY;
    for (int role = 0; role < FR_ROLE_COUNT; role++)
        for (uint32_t i = 0; i < (role == FR_ROLE_LINKER ? linkers : 1) && roles[role].name != NULL; i++)
            FR_TRY(start_thread(db, (fr_role)role));
    return FR_OK;
}

static void stop_threads(fr_db *db)
{
    atomic_store(&db->stopping, true);
    for (int role = 0; role < FR_ROLE_COUNT; role++) fr_engine_wake(db, (fr_role)role);
    for (uint32_t i = 0; i < db->thread_count; i++) pthread_join(db->threads[i], NULL);
    db->thread_count = 0;
}

/* ==== open ==== */

static uint64_t memory_of_machine(void)
{
    uint64_t bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    FILE *file = fopen("/sys/fs/cgroup/memory.max", "re");
    unsigned long long limit;
    if (file != NULL) {
        if (fscanf(file, "%llu", &limit) == 1 && limit < bytes) bytes = limit;
        fclose(file);
    }
    return bytes;
}

static fr_code init(fr_db *db, const char *dir, const fr_options *options, fr_err *err)
{
    if (options != NULL) db->options = *options;
    db->io = db->options.io != NULL ? db->options.io : fr_io_posix();
    if (db->options.snapshot_bytes == 0) db->options.snapshot_bytes = 256ull << 20;
    if (db->options.snapshot_ms == 0) db->options.snapshot_ms = 300000;
    db->memory_limit = db->options.memory_limit != 0 ? db->options.memory_limit : memory_of_machine() / 5 * 4;
    for (int role = 0; role < FR_ROLE_COUNT; role++) fr_bell_init(&db->bells[role]);
    fr_bell_init(&db->done_bell);
    pthread_mutex_init(&db->intake_lock, NULL);
    pthread_mutex_init(&db->apply_lock, NULL);
    pthread_mutex_init(&db->keeper_lock, NULL);
    pthread_mutex_init(&db->garbage_lock, NULL);
    pthread_mutex_init(&db->state_lock, NULL);
    db->names.next_id = FR_FIRST_ID;
    db->names.next_id_offset = db->names.clock_offset = -1;
    db->prepared = &db->rounds[0];
    db->opened_ms = db->io->now_ms(db->io);
    size_t size = strlen(dir);
    while (size > 1 && dir[size - 1] == '/') size--;
    if (size == 0 || size > FR_PATH_MAX - 64)
        return fr_fail(err, FR_ERR_INVALID, "data", "the directory's path must have 1 to %u bytes", FR_PATH_MAX - 64);
    memcpy(db->dir, dir, size);
    db->routes = fr_alloc(FR_MEM_ENGINE, FR_RECORDS_MAX);
    db->catalog = fr_engine_collection_new(db, FR_CATALOG_ID, NULL, NULL, 0);
    if (fr_txns_init(db) != FR_OK || db->routes == NULL || db->catalog == NULL || fr_scratch_create(&db->writer_scratch) != FR_OK)
        return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory");
    return FR_OK;
}

static fr_code make_dirs(fr_db *db, fr_err *err)
{
    char path[FR_PATH_MAX + 16];
    FR_TRY(db->io->make_dir(db->io, db->dir, err));
    snprintf(path, sizeof path, "%s", db->dir); /* the directory's own name lives in its parent */
    char *slash = strrchr(path, '/');
    if (slash == NULL) snprintf(path, sizeof path, ".");
    else slash[slash == path ? 1 : 0] = 0;
    FR_TRY(db->io->sync_dir(db->io, path, err));
    snprintf(path, sizeof path, "%s/lock", db->dir);
    FR_TRY(db->io->lock(db->io, path, &db->lock_file, err));
    static const char *const names[] = {"log", "snap"};
    for (uint32_t i = 0; i < FR_COUNT_OF(names); i++) {
        snprintf(path, sizeof path, "%s/%s", db->dir, names[i]);
        FR_TRY(db->io->make_dir(db->io, path, err));
    }
    return db->io->sync_dir(db->io, db->dir, err);
}

static void free_db(fr_db *db)
{
    fr_commit *commit;
    int save = atomic_load(&db->save.state);
    for (uint32_t i = 0; (save == FR_SAVE_BEGUN || save == FR_SAVE_WRITTEN) && i < db->save.shard->index_count; i++)
        fr_table_save_end(fr_shard_table_of(db->save.shard, i), false);
    fr_engine_reshape_room_free(db);
    fr_engine_retired_free(db->garbage_tables); /* before what their chunks are mapped from */
    fr_engine_retired_free(db->leaving_tables);
    if (db->stalled != NULL) fr_engine_refuse(db, db->stalled, FR_ERR_CLOSED, NULL);
    while ((commit = fr_commits_pop(&db->to_apply)) != NULL) fr_engine_refuse(db, commit, FR_ERR_CLOSED, NULL);
    for (uint32_t i = 0; i < 2; i++) {
        while ((commit = fr_commits_pop(&db->rounds[i].commits)) != NULL)
            fr_engine_refuse(db, commit, FR_ERR_CLOSED, NULL);
        fr_free(FR_MEM_ENGINE, db->rounds[i].touched);
    }
    while (db->erasures != NULL) fr_engine_erase_end(db, db->erasures, FR_ERR_CLOSED, NULL);
    fr_engine_letters_stop(db);
    fr_write **lists[] = {&db->ready_head, &db->ddl_head, &db->intake_head};
    for (uint32_t i = 0; i < FR_COUNT_OF(lists); i++)
        while (*lists[i] != NULL) {
            fr_write *write = *lists[i];
            uint64_t bytes = fr_ticket_of(write)->bytes;
            *lists[i] = fr_ticket_of(write)->next;
            fr_engine_finish(db, write, FR_ERR_CLOSED, NULL);
            fr_engine_release(db, bytes);
        }
    for (uint32_t i = 0; i < db->names.count; i++) {
        fr_engine_waiters_fire(db->names.collections[i], FR_ERR_CLOSED);
        fr_engine_collection_free(db->names.collections[i], false);
    }
    fr_collection *gone[] = {db->names.dropped, db->garbage_collections, db->leaving_collections, db->left_collections};
    for (uint32_t i = 0; i < FR_COUNT_OF(gone); i++)
        for (fr_collection *c = gone[i], *next; c != NULL; c = next) {
            next = c->garbage_next;
            fr_engine_collection_free(c, false); /* the next start removes their files */
        }
    fr_map *maps[] = {atomic_load(&db->map), db->garbage_maps, db->leaving_maps};
    for (uint32_t i = 0; i < FR_COUNT_OF(maps); i++)
        for (fr_map *map = maps[i], *next; map != NULL; map = next) {
            next = map->garbage_next;
            fr_engine_map_free(map);
        }
    fr_txns_free(db);
    fr_engine_collection_free(db->catalog, false);
    fr_free(FR_MEM_ENGINE, db->names.collections);
    fr_free(FR_MEM_ENGINE, db->names.aliases);
    fr_engine_access_free(db);
    for (uint32_t i = 0; i < db->names.database_count; i++) fr_bytes_free(db->names.databases[i].attributes);
    fr_free(FR_MEM_ENGINE, db->names.databases);
    fr_schema *schemas[] = {db->names.replaced, db->garbage_schemas, db->leaving_schemas};
    for (uint32_t i = 0; i < FR_COUNT_OF(schemas); i++) fr_schema_free_list(schemas[i]);
    fr_free(FR_MEM_ENGINE, db->sweep.list);
    fr_free(FR_MEM_ENGINE, db->routes);
    fr_free(FR_MEM_ENGINE, db->threads);
    fr_batch_free(&db->ddl_batch);
    fr_batch_free(&db->json_event);
    fr_batch_writer_free(&db->encoder);
    fr_batch_reader_close(db->apply_reader);
    if (db->writer_scratch != NULL) fr_scratch_free(db->writer_scratch);
    fr_engine_reserve_close(db);
    if (db->lock_file != NULL) db->io->close(db->io, db->lock_file);
    for (int role = 0; role < FR_ROLE_COUNT; role++) fr_bell_free(&db->bells[role]);
    fr_bell_free(&db->done_bell);
    pthread_mutex_destroy(&db->intake_lock);
    pthread_mutex_destroy(&db->apply_lock);
    pthread_mutex_destroy(&db->keeper_lock);
    pthread_mutex_destroy(&db->garbage_lock);
    pthread_mutex_destroy(&db->state_lock);
    fr_free(FR_MEM_ENGINE, db);
}

/* A crash between the markers of a transaction left it applied in one partition only: nobody searches before the others have
 * theirs. A full disk is not waited for: reads go on. */
static void end_transactions(fr_db *db)
{
    if (atomic_load(&db->txns.recovered) == 0) return;
    if (db->options.no_threads) fr_engine_drain(db);
    for (uint32_t i = 0; i < OPEN_WAIT_MS && !db->options.no_threads && atomic_load(&db->txns.recovered) != 0; i++) {
        if (atomic_load(&db->state) != FR_OK) break;
        db->io->sleep_ms(db->io, 1);
    }
    if (atomic_load(&db->txns.recovered) != 0)
        fr_note(FR_NOTE_WARN, "event=transactions_unended count=%u", atomic_load(&db->txns.recovered));
}

fr_code fr_open(const char *dir, const fr_options *options, fr_db **db_out, fr_err *err)
{
    *db_out = NULL;
    fr_db *db = fr_alloc_aligned(FR_MEM_ENGINE, 64, sizeof *db);
    if (db == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory");
    memset(db, 0, sizeof *db);
    fr_engine_reserve_init(db);
    fr_code code = init(db, dir, options, err);
    if (code == FR_OK) code = make_dirs(db, err);
    if (code == FR_OK) fr_engine_reserve_open(db);
    int64_t start = db->io->mono_us(db->io);
    if (code == FR_OK) code = fr_engine_recover(db, err);
    db->clock.open = true;
    db->recovery_ms = (double)(db->io->mono_us(db->io) - start) / 1000.0;
    if (code == FR_OK && !db->options.no_threads && (code = start_threads(db)) != FR_OK)
        fr_fail(err, code, NULL, "threads could not be started");
    if (code == FR_OK) end_transactions(db);
    if (code != FR_OK) {
        stop_threads(db);
        free_db(db);
        return code;
    }
    if (atomic_load(&db->clock.until) != 0) fr_engine_clock_ask(db); /* stamps were given: they will be again */
    *db_out = db;
    return FR_OK;
}

/* ==== close ==== */

static void refuse_new_writes(fr_db *db)
{
    pthread_mutex_lock(&db->intake_lock);
    db->closed = true;
    pthread_mutex_unlock(&db->intake_lock);
}

static void drain(fr_db *db)
{
    if (db->options.no_threads) {
        fr_engine_drain(db);
        return;
    }
    for (;;) {
        uint64_t seen = fr_bell_read(&db->done_bell);
        if (atomic_load(&db->queue_count) == 0) return;
        if (atomic_load(&db->state) == FR_ERR_DISK_FULL) return; /* what is left answers CLOSED */
        fr_bell_wait(&db->done_bell, seen, 100);
    }
}

static uint32_t count_changed(fr_db *db)
{
    const fr_map *map = atomic_load(&db->map);
    uint32_t changed = 0;
    for (uint32_t i = 0; i < map->count; i++)
        for (uint32_t s = 0; s < map->by_id[i]->shard_count; s++) {
            const fr_shard *shard = &map->by_id[i]->shards[s];
            if ((atomic_load(&shard->applied) > atomic_load(&shard->snapshot) || atomic_load(&shard->reshaped)) &&
                fr_shard_table(shard) != NULL)
                changed++;
        }
    return changed;
}

/* All threads are gone: this one plays their parts. */
static void last_snapshot(fr_db *db)
{
    uint32_t changed = count_changed(db);
    if (db->options.no_snapshot_on_close || db->stalled != NULL || changed == 0) return;
    db->closing_many = changed > FR_CLOSE_MANY;
    pthread_mutex_lock(&db->keeper_lock);
    uint64_t ticket = ++db->requests;
    db->request_snapshot = true;
    pthread_mutex_unlock(&db->keeper_lock);
    while (db->request_done < ticket) {
        fr_engine_keeper_step(db);
        fr_engine_applier_step(db);
        fr_engine_writer_step(db);
    }
}

void fr_close(fr_db *db)
{
    if (db == NULL) return;
    refuse_new_writes(db);
    drain(db);
    stop_threads(db);
    fr_engine_flush(db, true); /* what asked for less than sync is on disk after a clean end */
    last_snapshot(db);
    free_db(db);
}

void fr_engine_abandon(fr_db *db)
{
    refuse_new_writes(db);
    stop_threads(db);
    free_db(db);
}
