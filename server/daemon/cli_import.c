/* cli_import.c: freshet import. One thread reads the file, N threads send batches over their own connections.
 *
 * Invariants: 1. records of one id always take the same connection, so their order in the file is their order in the
 * log;
 * 2. the checkpoint names a row before which everything is acknowledged; 3. every record carries an event_id made of
 * the run's name and its row, so what is sent again after an interruption changes nothing; 4. the checkpoint is gone
 * when the import is complete: the next import of the same file is a new run. */
#include "server/daemon/cli.h"
#include "server/daemon/import.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 64
#define BATCH_BYTES_MAX ((size_t)8 << 20) /* well under the server's limit of one request */
#define STDIN_BYTES_MAX ((size_t)4 << 30)

typedef enum progress_kind { PROGRESS_AUTO, PROGRESS_BAR, PROGRESS_JSON, PROGRESS_NONE } progress_kind;

typedef struct arguments {
    const char *file, *collection, *url, *state_folder, *metric, *embedder, *ack, *codes, *profile, *vectors, *vector_type;
    fr_import_options import;
    bool create, restart;
    uint32_t dimension, batch_records, connections;
    int64_t patience_ms;
    progress_kind progress;
} arguments;

typedef struct row_place {
    uint64_t line, row;
    uint32_t part;
} row_place;

typedef struct record_batch {
    fr_text body;
    row_place *places;
    uint32_t count;
    uint64_t first_row;
} record_batch;

typedef struct sender {
    struct import_job *load;
    pthread_t thread;
    bool started;
    record_batch filling; /* reading thread only, but first_row and count also under the lock */
    record_batch sending; /* the worker's while busy */
    bool busy;            /* under the lock, as below */
} sender;

/* Everything of one import; one per process. */
typedef struct import_job {
    arguments args;
    fr_import import;
    fr_import_part parts[FR_IMPORT_PARTS_MAX];
    char part_names[FR_IMPORT_PARTS_MAX][512];
    bool mapped[FR_IMPORT_PARTS_MAX];
    struct stat identity;
    char real_path[4096], checkpoint[4600], run[17], collection_id[64];
    bool resumable;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    sender workers[CONNECTIONS_MAX];
    bool finishing, failed;
    fr_err err;
    uint64_t acknowledged, duplicates, resumed_row;
    int64_t started_us, shown_us, saved_us;
    char upsert_path[1024];
} import_job;

static atomic_bool stop_requested;

static void request_stop(int signal_number)
{
    (void)signal_number;
    atomic_store_explicit(&stop_requested, true, memory_order_relaxed);
}

/* ---- input ---- */

static fr_code map_file(import_job *load, const char *path, uint32_t part, fr_err *err)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return fr_fail(err, FR_ERR_NOT_FOUND, NULL, "%s: %s", path, strerror(errno));
    struct stat status;
    if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(file);
        return fr_fail(err, FR_ERR_INVALID, NULL, "%s is not a regular file; use - to read standard input", path);
    }
    load->parts[part].name = load->part_names[part];
    snprintf(load->part_names[part], sizeof load->part_names[part], "%s", path);
    if (part == 0) load->identity = status;
    else load->identity.st_size += status.st_size;
    if (status.st_size > 0) {
        void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
        if (bytes == MAP_FAILED) {
            close(file);
            return fr_fail(err, FR_ERR_IO, NULL, "%s: %s", path, strerror(errno));
        }
        madvise(bytes, (size_t)status.st_size, MADV_SEQUENTIAL);
        load->parts[part].bytes = fr_span_of(bytes, (size_t)status.st_size);
        load->mapped[part] = true;
    }
    close(file);
    return FR_OK;
}

static fr_code read_standard_input(import_job *load, fr_err *err)
{
    fr_text all = {0};
    char chunk[65536];
    for (size_t size; (size = fread(chunk, 1, sizeof chunk, stdin)) > 0;) {
        fr_text_add(&all, chunk, size);
        if (all.failed || all.size > STDIN_BYTES_MAX) {
            fr_text_free(&all);
            return fr_fail(err, FR_ERR_TOO_LARGE, NULL,
                           "standard input is held in memory, at most %zu bytes: import a file", STDIN_BYTES_MAX);
        }
    }
    load->parts[0] = (fr_import_part){.bytes = fr_span_of(all.data, all.size), .name = "standard input"};
    return FR_OK;
}

static fr_code open_input(import_job *load, uint32_t *part_count_out, fr_err *err)
{
    static const char *const wordnet[] = {"data.noun", "data.verb", "data.adj", "data.adv"};
    const char *path = load->args.file;
    *part_count_out = 1;
    if (strcmp(path, "-") == 0) return read_standard_input(load, err);
    if (!realpath(path, load->real_path)) return fr_fail(err, FR_ERR_NOT_FOUND, NULL, "%s: %s", path, strerror(errno));
    load->resumable = true;
    struct stat status;
    if (stat(path, &status) != 0 || !S_ISDIR(status.st_mode)) return map_file(load, path, 0, err);
    if (load->args.import.format != FR_IMPORT_AUTO && load->args.import.format != FR_IMPORT_WORDNET) {
        return fr_fail(err, FR_ERR_INVALID, NULL, "%s is a folder; only wordnet is read from one", path);
    }
    load->args.import.format = FR_IMPORT_WORDNET;
    for (uint32_t part = 0; part < FR_COUNT_OF(wordnet); part++) {
        char name[512];
        snprintf(name, sizeof name, "%.480s/%s", path, wordnet[part]);
        FR_TRY(map_file(load, name, part, err));
    }
    *part_count_out = FR_COUNT_OF(wordnet);
    return FR_OK;
}

static void close_input(import_job *load)
{
    for (uint32_t part = 0; part < FR_IMPORT_PARTS_MAX; part++) {
        fr_span bytes = load->parts[part].bytes;
        if (load->mapped[part]) munmap((void *)(uintptr_t)bytes.data, bytes.size);
        else fr_free(FR_MEM_DAEMON, (void *)(uintptr_t)bytes.data);
    }
}

/* ---- checkpoint ---- */

static void name_checkpoint(import_job *load)
{
    const char *folder = load->args.state_folder;
    size_t size = sizeof load->checkpoint;
    uint64_t hash = fr_hash(load->real_path, strlen(load->real_path), 1);
    struct stat status;
    bool is_folder = stat(load->real_path, &status) == 0 && S_ISDIR(status.st_mode);
    if (folder) {
        snprintf(load->checkpoint, size, "%.3800s/%016llx-%.249s.freshet-import", folder, (unsigned long long)hash,
                 load->args.collection);
    } else {
        snprintf(load->checkpoint, size, "%s%s.%.249s.freshet-import", load->real_path, is_folder ? "/" : "",
                 load->args.collection);
    }
}

static void new_run(import_job *load)
{
    uint64_t number = (uint64_t)fr_cli_now_us();
    if (getrandom(&number, sizeof number, 0) != sizeof number) number = fr_mix64(number ^ (uint64_t)getpid());
    snprintf(load->run, sizeof load->run, "%016llx", (unsigned long long)number);
}

static int64_t mtime_ns(const struct stat *status)
{
    return (int64_t)status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec;
}

/* The row to go on from: 0 when there is no checkpoint, or one of another state of the file or of the collection. */
static uint64_t read_checkpoint(import_job *load)
{
    new_run(load);
    if (!load->resumable || load->args.restart) return 0;
    json_t *root = json_load_file(load->checkpoint, 0, NULL);
    const char *run = json_string_value(json_object_get(root, "run")),
               *file = json_string_value(json_object_get(root, "file"));
    const char *id = json_string_value(json_object_get(root, "collection_id"));
    uint64_t row = 0;
    if (run && file && id && strlen(run) == 16 && strcmp(file, load->real_path) == 0 &&
        strcmp(id, load->collection_id) == 0 &&
        json_integer_value(json_object_get(root, "bytes")) == load->identity.st_size &&
        json_integer_value(json_object_get(root, "mtime_ns")) == mtime_ns(&load->identity)) {
        row = (uint64_t)json_integer_value(json_object_get(root, "row"));
        memcpy(load->run, run, 16);
    }
    json_decref(root);
    return row;
}

/* tmp and rename: a checkpoint is whole or the one before. Losing it costs sending rows again, so it is not synced. */
static void save_checkpoint(import_job *load, uint64_t row)
{
    if (!load->resumable) return;
    char temporary[4700];
    snprintf(temporary, sizeof temporary, "%s.tmp", load->checkpoint);
    json_t *root =
        json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:I}", "file", load->real_path, "collection", load->args.collection,
                  "collection_id", load->collection_id, "run", load->run, "bytes", (json_int_t)load->identity.st_size,
                  "mtime_ns", (json_int_t)mtime_ns(&load->identity), "row", (json_int_t)row);
    if (!root || json_dump_file(root, temporary, JSON_COMPACT) != 0 || rename(temporary, load->checkpoint) != 0) {
        fprintf(
            stderr,
            "freshet import: %s cannot be written (%s); this import will not resume. --state DIR puts it elsewhere.\n",
            load->checkpoint, strerror(errno));
        load->resumable = false;
    }
    json_decref(root);
}

/* ---- sending ---- */

/* "records[17].vector" -> the 18th record's place in the file. */
static void place_error(const import_job *load, const record_batch *batch, fr_err *err)
{
    if (strncmp(err->field, "records[", 8) != 0) return;
    char *end;
    unsigned long index = strtoul(err->field + 8, &end, 10);
    if (end == err->field + 8 || *end != ']' || index >= batch->count) return;
    const row_place *from = &batch->places[index];
    char where[160], message[sizeof err->text];
    fr_import_place(&load->import, from->part, from->line, from->row, where, sizeof where);
    memcpy(message, err->text, sizeof message);
    fr_fail(err, err->code, NULL, "%s: %.180s", where, message);
}

static void *send_batches(void *user)
{
    sender *worker = user;
    import_job *load = worker->load;
    fr_client *client = NULL;
    fr_reply reply = {0};
    fr_err err = {0};
    fr_code code = fr_client_open(load->args.url, &client, &err);
    pthread_mutex_lock(&load->lock);
    for (;;) {
        while (!worker->busy && !load->finishing) pthread_cond_wait(&load->changed, &load->lock);
        if (!worker->busy) break;
        if (!load->failed && code == FR_OK) {
            pthread_mutex_unlock(&load->lock);
            code = fr_client_call_patiently(client, "POST", load->upsert_path, &worker->sending.body,
                                            load->args.patience_ms, &stop_requested, &reply, &err);
            json_t *answer = code == FR_OK ? fr_reply_json(&reply, &err) : NULL;
            json_int_t duplicates = json_integer_value(json_object_get(answer, "duplicates"));
            json_decref(answer);
            if (code != FR_OK) place_error(load, &worker->sending, &err);
            pthread_mutex_lock(&load->lock);
            if (code == FR_OK) {
                load->acknowledged += worker->sending.count;
                load->duplicates += (uint64_t)duplicates;
                worker->sending.count =
                    0; /* what stays unacknowledged keeps its count: the checkpoint stays before it */
            }
        }
        if (code != FR_OK && !load->failed) {
            load->failed = true;
            load->err = err;
        }
        worker->busy = false;
        pthread_cond_broadcast(&load->changed);
    }
    pthread_mutex_unlock(&load->lock);
    fr_reply_free(&reply);
    fr_client_close(client);
    return NULL;
}

/* Under the lock. Everything before this row is acknowledged. */
static uint64_t safe_row(const import_job *load)
{
    uint64_t row = load->import.row;
    for (uint32_t index = 0; index < load->args.connections; index++) {
        const sender *worker = &load->workers[index];
        if (worker->filling.count) row = FR_MIN(row, worker->filling.first_row);
        if (worker->sending.count) row = FR_MIN(row, worker->sending.first_row);
    }
    return row;
}

/* ---- progress ---- */

static void format_seconds(double seconds, char *out, size_t size)
{
    long whole = (long)(seconds + 0.5);
    if (whole >= 3600) snprintf(out, size, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
    else snprintf(out, size, "%ld:%02ld", whole / 60, whole % 60);
}

static void show_bar(double fraction, uint64_t rows, double rate, double eta_s, double elapsed_s, bool last)
{
    char bar[41], time_text[32];
    size_t full = (size_t)(fraction * 40);
    for (size_t at = 0; at < 40; at++) bar[at] = at < full ? '#' : '-';
    bar[40] = 0;
    format_seconds(last ? elapsed_s : eta_s, time_text, sizeof time_text);
    fprintf(stderr, "\r\033[K[%s] %5.1f %%  %llu records  %.0f/s  %s %s%s", bar, fraction * 100,
            (unsigned long long)rows, rate, last ? "took" : "ETA", time_text, last ? "\n" : "");
    fflush(stderr);
}

/* Reading thread. Rates count acknowledged records. */
static void show_progress(import_job *load, bool last)
{
    int64_t now_us = fr_cli_now_us();
    progress_kind kind = load->args.progress;
    if (!last && now_us - load->shown_us < (kind == PROGRESS_BAR ? 100000 : 1000000)) return;
    load->shown_us = now_us;
    pthread_mutex_lock(&load->lock);
    uint64_t acknowledged = load->acknowledged, duplicates = load->duplicates, row = safe_row(load);
    bool save = now_us - load->saved_us > 1000000;
    pthread_mutex_unlock(&load->lock);
    if (save && !last) {
        load->saved_us = now_us;
        save_checkpoint(load, row);
    }
    double elapsed_s = (double)(now_us - load->started_us) / 1e6;
    double rate = elapsed_s > 0 ? (double)acknowledged / elapsed_s : 0;
    uint64_t done = load->resumed_row + acknowledged;
    double fraction =
        load->import.byte_total ? (double)fr_import_bytes_done(&load->import) / (double)load->import.byte_total : 1;
    if (load->import.row_total) fraction = (double)done / (double)load->import.row_total;
    fraction = FR_MIN(fraction, 1.0);
    double start = load->import.row_total ? (double)load->resumed_row / (double)load->import.row_total : 0;
    double eta_s = fraction > start ? elapsed_s * (1 - fraction) / (fraction - start) : 0;
    if (kind == PROGRESS_BAR) {
        show_bar(fraction, done, rate, eta_s, elapsed_s, last);
    } else if (kind == PROGRESS_JSON) {
        printf("{\"records\":%llu,\"acknowledged\":%llu,\"duplicates\":%llu,\"fraction\":%.4f,\"records_per_s\":%.0f,"
               "\"seconds\":%.2f,"
               "\"eta_s\":%.1f,\"done\":%s}\n",
               (unsigned long long)done, (unsigned long long)acknowledged, (unsigned long long)duplicates, fraction,
               rate, elapsed_s, last ? 0 : eta_s,
               last && !load->failed && !atomic_load(&stop_requested) ? "true" : "false");
        fflush(stdout);
    }
}

/* ---- reading ---- */

static void wait_changed(import_job *load) /* under the lock; at most 100 ms, so that the bar moves */
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += 100000000;
    if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
    pthread_cond_timedwait(&load->changed, &load->lock, &until);
}

/* Hand the filled batch to its thread, once that is free. False when the import must end. */
static bool hand_over(import_job *load, sender *worker)
{
    if (worker->filling.count == 0) return true;
    fr_text_puts(&worker->filling.body, "]");
    if (load->args.ack) fr_text_format(&worker->filling.body, ",\"ack\":\"%.32s\"", load->args.ack);
    fr_text_puts(&worker->filling.body, "}");
    pthread_mutex_lock(&load->lock);
    while (worker->busy && !load->failed) {
        wait_changed(load);
        pthread_mutex_unlock(&load->lock);
        show_progress(load, false);
        pthread_mutex_lock(&load->lock);
    }
    bool go = !load->failed;
    if (go) {
        record_batch sent = worker->sending;
        worker->sending = worker->filling;
        worker->filling = sent;
        worker->filling.count = 0;
        fr_text_reset(&worker->filling.body);
        worker->busy = true;
        pthread_cond_broadcast(&load->changed);
    }
    pthread_mutex_unlock(&load->lock);
    show_progress(load, false);
    return go;
}

static fr_code add_record(import_job *load, sender *worker, const fr_text *record, const row_place *from, fr_err *err)
{
    record_batch *batch = &worker->filling;
    if (!batch->places) {
        batch->places = fr_alloc(FR_MEM_DAEMON, load->args.batch_records * sizeof *batch->places);
        if (!batch->places) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a batch");
    }
    if (batch->count == 0) fr_text_puts(&batch->body, "{\"records\":[");
    else fr_text_puts(&batch->body, ",");
    fr_text_add(&batch->body, record->data, record->size);
    if (batch->body.failed) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a batch");
    batch->places[batch->count] = *from;
    pthread_mutex_lock(&load->lock);
    if (batch->count == 0) batch->first_row = from->row;
    batch->count++;
    pthread_mutex_unlock(&load->lock);
    return FR_OK;
}

static fr_code read_all(import_job *load, fr_err *err)
{
    fr_text record = {0};
    fr_code code = FR_OK;
    bool going = true;
    while (going && !atomic_load_explicit(&stop_requested, memory_order_relaxed)) {
        char event_id[48];
        int size = snprintf(event_id, sizeof event_id, "%s-%llu", load->run, (unsigned long long)load->import.row);
        row_place from = {.row = load->import.row};
        uint64_t key_hash;
        bool end;
        fr_text_reset(&record);
        code = fr_import_next(&load->import, fr_span_of(event_id, (size_t)size), &record, &key_hash, &end, err);
        if (code != FR_OK || end) break;
        from.line = load->import.line;
        from.part = load->import.part;
        sender *worker = &load->workers[fr_mix64(key_hash) % load->args.connections];
        if (worker->filling.count > 0 && worker->filling.body.size + record.size > BATCH_BYTES_MAX)
            going = hand_over(load, worker);
        if (going) code = add_record(load, worker, &record, &from, err);
        if (code != FR_OK) break;
        if (going && worker->filling.count == load->args.batch_records) going = hand_over(load, worker);
    }
    fr_text_free(&record);
    return code;
}

static fr_code run_load(import_job *load, fr_err *err)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&load->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&load->lock, NULL);
    fr_code code = FR_OK;
    for (uint32_t index = 0; code == FR_OK && index < load->args.connections; index++) {
        load->workers[index].load = load;
        load->workers[index].started =
            pthread_create(&load->workers[index].thread, NULL, send_batches, &load->workers[index]) == 0;
        if (!load->workers[index].started)
            code = fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no thread for connection %u", index);
    }
    load->started_us = load->saved_us = load->shown_us = fr_cli_now_us();
    save_checkpoint(load, load->import.row); /* before the first record: its run's name must survive */
    if (code == FR_OK) code = read_all(load, err);
    /* What was read before a bad record is still sent: the checkpoint then stands right at that record. */
    for (uint32_t index = 0; index < load->args.connections && load->workers[index].started; index++)
        hand_over(load, &load->workers[index]);
    pthread_mutex_lock(&load->lock);
    for (uint32_t index = 0; index < load->args.connections; index++) {
        while (load->workers[index].busy) {
            wait_changed(load);
            pthread_mutex_unlock(&load->lock);
            show_progress(load, false);
            pthread_mutex_lock(&load->lock);
        }
    }
    load->finishing = true;
    pthread_cond_broadcast(&load->changed);
    pthread_mutex_unlock(&load->lock);
    for (uint32_t index = 0; index < load->args.connections; index++) {
        if (load->workers[index].started) pthread_join(load->workers[index].thread, NULL);
    }
    if (load->failed && code == FR_OK) {
        *err = load->err;
        code = load->err.code;
    }
    return code;
}

/* ---- the collection ---- */

/* Vectors or text, and which dimension: from the head of the file, or from its first record. */
static fr_code look_ahead(import_job *load, uint32_t part_count, fr_err *err)
{
    fr_import first;
    fr_text record = {0};
    uint64_t key_hash;
    bool end = false;
    fr_code code = fr_import_begin(&first, load->parts, part_count, &load->args.import, err);
    if (code == FR_OK && first.dimension == 0 && !first.is_text) {
        code = fr_import_next(&first, (fr_span){0}, &record, &key_hash, &end, err);
        if (code == FR_OK && !end) first.is_text = first.dimension == 0;
    }
    if (code == FR_OK) {
        bool binary = load->args.vector_type && strcmp(load->args.vector_type, "binary") == 0; /* its numbers are bytes */
        if (load->args.dimension == 0) load->args.dimension = first.dimension ? first.dimension * (binary ? 8 : 1) : 256;
        if (!load->args.embedder && first.is_text) load->args.embedder = "hash";
        if (!load->args.metric) load->args.metric = binary ? "hamming" : first.is_text ? "cosine" : "l2";
    }
    fr_text_free(&record);
    fr_import_end(&first);
    return code;
}

static fr_code create_collection(import_job *load, fr_client *client, fr_err *err)
{
    fr_text body = {0};
    fr_reply reply = {0};
    json_t *root = json_pack("{s:s,s:i,s:s}", "name", load->args.collection, "dimension", (int)load->args.dimension,
                             "metric", load->args.metric);
    if (load->args.codes) json_object_set_new(root, "codes", json_string(load->args.codes));
    if (load->args.profile) json_object_set_new(root, "profile", json_string(load->args.profile));
    if (load->args.vectors) json_object_set_new(root, "vectors", json_string(load->args.vectors));
    if (load->args.vector_type) json_object_set_new(root, "vector_type", json_string(load->args.vector_type));
    if (load->args.embedder) {
        json_object_set_new(
            root, "embedder",
            json_pack("{s:s,s:i}", "type", load->args.embedder, "dimension", (int)load->args.dimension));
    }
    fr_text_json(&body, root);
    fr_code code = fr_client_call_patiently(client, "POST", "/v1/collections", &body, load->args.patience_ms,
                                            &stop_requested, &reply, err);
    if (code == FR_ERR_EXISTS) code = FR_OK;
    json_decref(root);
    fr_text_free(&body);
    fr_reply_free(&reply);
    return code;
}

/* The collection must be there; its id tells a later collection of the same name from this one. */
static fr_code find_collection(import_job *load, fr_client *client, fr_err *err)
{
    fr_text path = {0};
    fr_reply reply = {0};
    fr_text_puts(&path, "/v1/collections");
    fr_text_path(&path, load->args.collection);
    fr_text_add(&path, "", 1);
    fr_code code = path.failed ? fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory")
                               : fr_client_call_patiently(client, "GET", path.data, NULL, load->args.patience_ms,
                                                          &stop_requested, &reply, err);
    json_t *root = code == FR_OK ? fr_reply_json(&reply, err) : NULL;
    json_t *id = json_object_get(root, "id");
    json_t *created = json_object_get(root, "created");
    if (json_is_string(id)) snprintf(load->collection_id, sizeof load->collection_id, "%.60s", json_string_value(id));
    else
        snprintf(load->collection_id, sizeof load->collection_id, "%lld.%lld", (long long)json_integer_value(id),
                 (long long)json_integer_value(created));
    snprintf(load->upsert_path, sizeof load->upsert_path, "%s/upsert", path.data ? path.data : "");
    json_decref(root);
    fr_text_free(&path);
    fr_reply_free(&reply);
    return code;
}

static fr_code prepare(import_job *load, uint32_t part_count, fr_err *err)
{
    fr_client *client = NULL;
    fr_code code = fr_client_open(load->args.url, &client, err);
    if (code == FR_OK && load->args.create) code = look_ahead(load, part_count, err);
    if (code == FR_OK && load->args.create) code = create_collection(load, client, err);
    if (code == FR_OK) code = find_collection(load, client, err);
    fr_client_close(client);
    if (code == FR_OK) code = fr_import_begin(&load->import, load->parts, part_count, &load->args.import, err);
    if (code == FR_OK) {
        name_checkpoint(load);
        load->resumed_row = read_checkpoint(load);
        if (load->resumed_row) {
            fprintf(stderr, "freshet import: going on at row %llu (%s)\n", (unsigned long long)load->resumed_row,
                    load->checkpoint);
            code = fr_import_skip(&load->import, load->resumed_row, err);
        }
    }
    return code;
}

/* ---- arguments ---- */

static void print_help(void)
{
    printf("usage: freshet import FILE --collection NAME [OPTION...]\n\n"
           "FILE is jsonl, csv, npy, fvecs, bvecs, fbin, u8bin or i8bin; a WordNet folder or one of its data files; or "
           "- for\n"
           "standard input. An interrupted import goes on where it stopped when the same command is given again.\n\n"
           "  --collection NAME      where the records go\n"
           "  --create               create the collection first when it is not there\n"
           "  --dimension N          with --create: default the file's, or 256 for texts\n"
           "  --metric METRIC        with --create: l2, ip or cosine (default l2, for texts cosine)\n"
           "  --embedder hash        with --create: how texts become vectors (default for texts)\n"
           "  --codes sq8|none       with --create\n"
           "  --profile balanced|speed|compact  --vectors memory|disk   with --create\n"
           "  --vector-type f32|f16|bf16|int8|binary  with --create: what vectors are kept as (default f32)\n"
           "  --format FORMAT        auto (default), jsonl, csv, wordnet, npy, fvecs, bvecs, fbin, u8bin, i8bin\n"
           "  --id-field NAME        jsonl, csv: default id\n"
           "  --vector-field NAME    jsonl, csv: default vector\n"
           "  --text-field NAME      jsonl, csv: default text\n"
           "  --first-id N           formats without ids: the first row's id (default 0)\n"
           "  --strings              csv: keep metadata as text\n"
           "  --batch N              records per request (default 500)\n"
           "  --connections N        requests at the same time (default 4)\n"
           "  --ack durable|searchable\n"
           "  --patience SECONDS     keep trying while the server is busy or away (default 60)\n"
           "  --state DIR            where the checkpoint is kept (default: beside the file)\n"
           "  --restart              ignore a checkpoint\n"
           "  --progress bar|json|none  default: bar on a terminal, JSON lines otherwise\n"
           "  --url URL\n");
}

static int parse(int argc, char **argv, arguments *args)
{
    enum {
        CREATE = 256,
        DIMENSION,
        METRIC,
        EMBEDDER,
        CODES,
        PROFILE,
        VECTORS,
        VECTOR_TYPE,
        FORMAT,
        ID,
        VECTOR,
        TEXT,
        FIRST,
        STRINGS,
        BATCH,
        CONNECTIONS,
        ACK,
        PATIENCE,
        STATE,
        RESTART,
        PROGRESS
    };
    static const struct option options[] = {{"collection", required_argument, NULL, 'c'},
                                            {"create", no_argument, NULL, CREATE},
                                            {"dimension", required_argument, NULL, DIMENSION},
                                            {"metric", required_argument, NULL, METRIC},
                                            {"embedder", required_argument, NULL, EMBEDDER},
                                            {"codes", required_argument, NULL, CODES},
                                            {"profile", required_argument, NULL, PROFILE},
                                            {"vectors", required_argument, NULL, VECTORS},
                                            {"vector-type", required_argument, NULL, VECTOR_TYPE},
                                            {"format", required_argument, NULL, FORMAT},
                                            {"id-field", required_argument, NULL, ID},
                                            {"vector-field", required_argument, NULL, VECTOR},
                                            {"text-field", required_argument, NULL, TEXT},
                                            {"first-id", required_argument, NULL, FIRST},
                                            {"strings", no_argument, NULL, STRINGS},
                                            {"batch", required_argument, NULL, BATCH},
                                            {"connections", required_argument, NULL, CONNECTIONS},
                                            {"ack", required_argument, NULL, ACK},
                                            {"patience", required_argument, NULL, PATIENCE},
                                            {"state", required_argument, NULL, STATE},
                                            {"restart", no_argument, NULL, RESTART},
                                            {"progress", required_argument, NULL, PROGRESS},
                                            FR_CLI_OPTION_URL,
                                            FR_CLI_OPTION_HELP,
                                            {0}};
    *args = (arguments){.batch_records = 500, .connections = 4, .patience_ms = 60000};
    for (int option; (option = getopt_long(argc, argv, "c:", options, NULL)) != -1;) {
        switch (option) {
        case 'c': args->collection = optarg; break;
        case 'u': args->url = optarg; break;
        case CREATE: args->create = true; break;
        case DIMENSION:
            args->dimension = (uint32_t)fr_cli_number("import", "dimension", optarg, 1, FR_DIMENSION_BITS_MAX);
            break;
        case METRIC: args->metric = optarg; break;
        case EMBEDDER: args->embedder = optarg; break;
        case CODES: args->codes = optarg; break;
        case PROFILE: args->profile = optarg; break;
        case VECTORS: args->vectors = optarg; break;
        case VECTOR_TYPE: args->vector_type = optarg; break;
        case FORMAT: args->import.format = fr_import_format_named(optarg); break;
        case ID: args->import.id_field = optarg; break;
        case VECTOR: args->import.vector_field = optarg; break;
        case TEXT: args->import.text_field = optarg; break;
        case FIRST:
            args->import.first_id = fr_cli_number("import", "first-id", optarg, INT64_MIN / 2, INT64_MAX / 2);
            break;
        case STRINGS: args->import.csv_strings = true; break;
        case BATCH: args->batch_records = (uint32_t)fr_cli_number("import", "batch", optarg, 1, FR_RECORDS_MAX); break;
        case CONNECTIONS:
            args->connections = (uint32_t)fr_cli_number("import", "connections", optarg, 1, CONNECTIONS_MAX);
            break;
        case ACK: args->ack = optarg; break;
        case PATIENCE: args->patience_ms = fr_cli_number("import", "patience", optarg, 0, 86400) * 1000; break;
        case STATE: args->state_folder = optarg; break;
        case RESTART: args->restart = true; break;
        case PROGRESS:
            args->progress = !strcmp(optarg, "bar")    ? PROGRESS_BAR
                             : !strcmp(optarg, "json") ? PROGRESS_JSON
                                                       : PROGRESS_NONE;
            if (args->progress == PROGRESS_NONE && strcmp(optarg, "none") != 0)
                return fr_cli_usage("import", "--progress is bar, json or none");
            break;
        case 'h': print_help(); exit(0);
        default: return 2;
        }
    }
    if (optind + 1 != argc) return fr_cli_usage("import", "one FILE expected");
    args->file = argv[optind];
    if (!args->collection) return fr_cli_usage("import", "--collection NAME is missing");
    if (args->import.format == FR_IMPORT_FORMAT_COUNT) return fr_cli_usage("import", "no such format");
    if (args->ack && strcmp(args->ack, "durable") != 0 && strcmp(args->ack, "searchable") != 0) {
        return fr_cli_usage("import", "--ack is durable or searchable");
    }
    args->url = fr_cli_url(args->url);
    if (args->progress == PROGRESS_AUTO) args->progress = isatty(STDERR_FILENO) ? PROGRESS_BAR : PROGRESS_JSON;
    return 0;
}

int fr_cli_import_main(int argc, char **argv)
{
    import_job *load = fr_zalloc(FR_MEM_DAEMON, sizeof *load);
    if (!load) return 1;
    int status = parse(argc, argv, &load->args);
    if (status) {
        fr_free(FR_MEM_DAEMON, load);
        return status;
    }
    struct sigaction action = {.sa_handler = request_stop, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);

    fr_err err = {0};
    uint32_t part_count = 0;
    fr_code code = open_input(load, &part_count, &err);
    if (code == FR_OK) code = prepare(load, part_count, &err);
    if (code == FR_OK) {
        code = run_load(load, &err);
        show_progress(load, true);
        bool complete = code == FR_OK && !atomic_load(&stop_requested);
        if (!complete) save_checkpoint(load, safe_row(load));
        else if (load->resumable) unlink(load->checkpoint);
        if (code == FR_OK && !complete) {
            fprintf(stderr, "freshet import: stopped at row %llu; the same command goes on from there\n",
                    (unsigned long long)safe_row(load));
            status = 130;
        }
    }
    if (code != FR_OK) status = fr_cli_fail("import", &err);
    for (uint32_t index = 0; index < load->args.connections; index++) {
        record_batch *batches[] = {&load->workers[index].filling, &load->workers[index].sending};
        for (int at = 0; at < 2; at++) {
            fr_text_free(&batches[at]->body);
            fr_free(FR_MEM_DAEMON, batches[at]->places);
        }
    }
    fr_import_end(&load->import);
    close_input(load);
    fr_free(FR_MEM_DAEMON, load);
    return status;
}
