/* cli_bench.c: freshet bench. A closed loop over HTTP against a running server: every connection sends its next request
 * when the last one is answered. It speaks HTTP itself over plain sockets, because client and server share the machine
 * and a heavier client would measure itself. Prints one JSON object.
 *
 * Vectors: two half vectors drawn from a pool of 8,192 halves, so that requests are put together by copying and yet the
 * rows are distinct; halves are scattered around 256 centres, as embeddings are. */
#include "server/daemon/cli.h"

#include <math.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HALVES       8192u
#define CENTRES      256u
#define THREADS_MAX  256
#define LINK_WAIT_US 600000000

typedef struct bench_arguments {
    const char *url, *collection, *metric, *codes;
    int64_t rows, dimension, batch, writers, searchers, seconds, k, ef;
    uint64_t seed;
    bool keep, no_ingest, durable;
} bench_arguments;

typedef struct half {
    uint32_t at, size;
} half;

typedef struct bench_run {
    bench_arguments args;
    char host[256], port[16];
    fr_text pool;
    half halves[HALVES];
    atomic_int_fast64_t next_row;
    int64_t until_us;
    atomic_bool failed;
} bench_run;

typedef struct bench_peer {
    bench_run *bench;
    pthread_t thread;
    uint64_t random;
    bool is_writer,
        is_filling; /* filling: rows in order until all are written; else random rows until the time is over */
    int socket;
    fr_text request, body;
    char *reply;
    size_t reply_capacity;
    uint32_t *latencies_us;
    size_t count, capacity;
    uint64_t refused; /* 429 and 503 */
    char why[200];
} bench_peer;

static uint64_t draw(uint64_t *state) { return fr_mix64(*state += 0x9e3779b97f4a7c15u); }
static double draw_unit(uint64_t *state) { return (double)(draw(state) >> 11) * 0x1p-53; }

/* ---- vectors ---- */

static void make_pool(bench_run *bench)
{
    uint64_t random = bench->args.seed;
    uint32_t size = (uint32_t)bench->args.dimension / 2 + (uint32_t)bench->args.dimension % 2;
    float *centres = fr_alloc(FR_MEM_DAEMON, (size_t)CENTRES * size * sizeof *centres);
    FR_ASSERT(centres);
    for (size_t index = 0; index < (size_t)CENTRES * size; index++)
        centres[index] = (float)(draw_unit(&random) * 2 - 1);
    for (uint32_t which = 0; which < HALVES; which++) {
        const float *centre = &centres[(draw(&random) % CENTRES) * size];
        bench->halves[which].at = (uint32_t)bench->pool.size;
        for (uint32_t index = 0; index < size; index++) {
            double noise = draw_unit(&random) + draw_unit(&random) + draw_unit(&random) - 1.5;
            fr_text_format(&bench->pool, "%s%.6f", index ? "," : "", (double)centre[index] + noise * 0.5);
        }
        bench->halves[which].size = (uint32_t)bench->pool.size - bench->halves[which].at;
    }
    FR_ASSERT(!bench->pool.failed);
    fr_free(FR_MEM_DAEMON, centres);
}

static void put_vector(const bench_run *bench, uint64_t *random, fr_text *out)
{
    const half *first = &bench->halves[draw(random) % HALVES], *second = &bench->halves[draw(random) % HALVES];
    fr_text_puts(out, "[");
    fr_text_add(out, bench->pool.data + first->at, first->size);
    if (bench->args.dimension > 1) {
        size_t size = second->size;
        if (bench->args.dimension % 2) { /* the second half has one value less */
            const char *comma = memrchr(bench->pool.data + second->at, ',', second->size);
            size = comma ? (size_t)(comma - (bench->pool.data + second->at)) : 0;
        }
        fr_text_puts(out, ",");
        fr_text_add(out, bench->pool.data + second->at, size);
    }
    fr_text_puts(out, "]");
}

/* ---- HTTP over one socket ---- */

static bool fail(bench_peer *peer, const char *why)
{
    snprintf(peer->why, sizeof peer->why, "%s", why);
    atomic_store(&peer->bench->failed, true);
    return false;
}

static bool connect_peer(bench_peer *peer)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    if (getaddrinfo(peer->bench->host, peer->bench->port, &hints, &found) != 0)
        return fail(peer, "the host has no address");
    peer->socket = -1;
    for (const struct addrinfo *at = found; at && peer->socket < 0; at = at->ai_next) {
        peer->socket = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
        if (peer->socket >= 0 && connect(peer->socket, at->ai_addr, at->ai_addrlen) != 0) {
            close(peer->socket);
            peer->socket = -1;
        }
    }
    freeaddrinfo(found);
    if (peer->socket < 0) return fail(peer, "no connection to the server");
    int on = 1;
    setsockopt(peer->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct timeval patience = {.tv_sec = 120};
    setsockopt(peer->socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return true;
}

static bool send_all(bench_peer *peer)
{
    size_t sent = 0;
    while (sent < peer->request.size) {
        ssize_t size = send(peer->socket, peer->request.data + sent, peer->request.size - sent, MSG_NOSIGNAL);
        if (size <= 0) return fail(peer, "the connection broke while sending");
        sent += (size_t)size;
    }
    return true;
}

/* Value of Content-Length in a head that ends with NUL, or -1. */
static long long content_length(const char *head)
{
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, "content-length:", 15) == 0) return strtoll(line + 17, NULL, 10);
    }
    return -1;
}

/* Reads one answer; its status, or 0 when there is none. */
static int read_reply(bench_peer *peer)
{
    size_t have = 0, want = 0;
    int status = 0;
    for (;;) {
        if (have + 65536 > peer->reply_capacity) {
            size_t capacity = FR_MAX(peer->reply_capacity * 2, (size_t)262144);
            char *grown = fr_realloc(FR_MEM_DAEMON, peer->reply, capacity);
            if (!grown) return fail(peer, "no memory for an answer");
            peer->reply = grown;
            peer->reply_capacity = capacity;
        }
        ssize_t size = recv(peer->socket, peer->reply + have, peer->reply_capacity - have - 1, 0);
        if (size <= 0) return fail(peer, "the connection broke while waiting for an answer");
        have += (size_t)size;
        peer->reply[have] = 0;
        if (want == 0) {
            char *end = memmem(peer->reply, have, "\r\n\r\n", 4);
            if (!end) continue;
            *end = 0;
            long long length = content_length(peer->reply);
            if (have < 12 || strncmp(peer->reply, "HTTP/1.1 ", 9) != 0 || length < 0)
                return fail(peer, "an answer without Content-Length");
            status = (int)strtol(peer->reply + 9, NULL, 10);
            want = (size_t)(end - peer->reply) + 4 + (size_t)length;
        }
        if (have >= want) return status;
    }
}

/* Send peer->body to POST /v1/collections/NAME/<what> and note how long the answer took. */
static bool exchange(bench_peer *peer, const char *what)
{
    const bench_run *bench = peer->bench;
    fr_text_reset(&peer->request);
    fr_text_format(&peer->request, "POST /v1/collections/%.249s/%s HTTP/1.1\r\nHost: %.120s\r\nContent-Length: %zu\r\n",
                   bench->args.collection, what, bench->host, peer->body.size);
    fr_text_puts(&peer->request, "Content-Type: application/json\r\n\r\n");
    fr_text_add(&peer->request, peer->body.data, peer->body.size);
    if (peer->request.failed || peer->body.failed) return fail(peer, "no memory for a request");
    for (int64_t pause_ms = 5;;) {
        int64_t start_us = fr_cli_now_us();
        if (!send_all(peer)) return false;
        int status = read_reply(peer);
        if (status == 0) return false;
        if (status == 200) {
            if (peer->count == peer->capacity) {
                size_t capacity = FR_MAX(peer->capacity * 2, (size_t)4096);
                uint32_t *grown = fr_realloc(FR_MEM_DAEMON, peer->latencies_us, capacity * sizeof *grown);
                if (!grown) return fail(peer, "no memory for latencies");
                peer->latencies_us = grown;
                peer->capacity = capacity;
            }
            peer->latencies_us[peer->count++] = (uint32_t)FR_MIN(fr_cli_now_us() - start_us, (int64_t)UINT32_MAX);
            return true;
        }
        if (status != 429 && status != 503) {
            const char *body = peer->reply + strlen(peer->reply) + 4; /* the head's end was cut by a NUL */
            snprintf(peer->why, sizeof peer->why, "status %d: %.150s", status, body);
            atomic_store(&peer->bench->failed, true);
            return false;
        }
        peer->refused++;
        struct timespec pause = {.tv_nsec = pause_ms * 1000000};
        nanosleep(&pause, NULL);
        pause_ms = FR_MIN(pause_ms * 2, 500);
    }
}

static bool write_once(bench_peer *peer)
{
    bench_run *bench = peer->bench;
    int64_t count = bench->args.batch, row = 0;
    if (peer->is_filling) {
        row = atomic_fetch_add_explicit(&bench->next_row, count, memory_order_relaxed);
        if (row >= bench->args.rows) return false;
        count = FR_MIN(count, bench->args.rows - row);
    }
    fr_text_reset(&peer->body);
    fr_text_puts(&peer->body, "{\"records\":[");
    for (int64_t index = 0; index < count; index++) {
        int64_t id = peer->is_filling ? row + index : (int64_t)(draw(&peer->random) % (uint64_t)bench->args.rows);
        fr_text_format(&peer->body, "%s{\"id\":%lld,\"vector\":", index ? "," : "", (long long)id);
        put_vector(bench, &peer->random, &peer->body);
        fr_text_puts(&peer->body, "}");
    }
    fr_text_puts(&peer->body, bench->args.durable ? "],\"ack\":\"durable\"}" : "]}");
    return exchange(peer, "upsert");
}

static bool search_once(bench_peer *peer)
{
    fr_text_reset(&peer->body);
    fr_text_puts(&peer->body, "{\"vector\":");
    put_vector(peer->bench, &peer->random, &peer->body);
    fr_text_format(&peer->body, ",\"k\":%lld", (long long)peer->bench->args.k);
    if (peer->bench->args.ef) fr_text_format(&peer->body, ",\"ef\":%lld", (long long)peer->bench->args.ef);
    fr_text_puts(&peer->body, "}");
    return exchange(peer, "search");
}

static void *run_peer(void *user)
{
    bench_peer *peer = user;
    if (!connect_peer(peer)) return NULL;
    while (!atomic_load_explicit(&peer->bench->failed, memory_order_relaxed)) {
        if (!peer->is_filling && fr_cli_now_us() >= peer->bench->until_us) break;
        if (!(peer->is_writer ? write_once(peer) : search_once(peer))) break;
    }
    close(peer->socket);
    return NULL;
}

/* ---- phases ---- */

static int compare_latency(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

/* Rates and percentiles of all peers of one kind. */
static json_t *figures(bench_peer *peers, int peer_count, bool writers, double seconds, int64_t records_each)
{
    size_t count = 0;
    uint64_t refused = 0;
    for (int index = 0; index < peer_count; index++) {
        if (peers[index].is_writer == writers) count += peers[index].count, refused += peers[index].refused;
    }
    uint32_t *all = fr_alloc(FR_MEM_DAEMON, (count + 1) * sizeof *all);
    FR_ASSERT(all);
    size_t at = 0;
    for (int index = 0; index < peer_count; index++) {
        if (peers[index].is_writer != writers || peers[index].count == 0) continue;
        memcpy(all + at, peers[index].latencies_us, peers[index].count * sizeof *all);
        at += peers[index].count;
    }
    qsort(all, count, sizeof *all, compare_latency);
    json_t *out = json_pack("{s:I,s:f,s:f,s:I}", "requests", (json_int_t)count, "seconds", seconds, "requests_per_s",
                            (double)count / seconds, "refused", (json_int_t)refused);
    if (records_each)
        json_object_set_new(out, "records_per_s", json_real((double)count * (double)records_each / seconds));
    static const struct {
        const char *name;
        double share;
    } percentiles[] = {{"p50_ms", 0.5}, {"p90_ms", 0.9}, {"p99_ms", 0.99}, {"p999_ms", 0.999}, {"max_ms", 1}};
    for (size_t index = 0; count && index < FR_COUNT_OF(percentiles); index++) {
        size_t rank = (size_t)ceil(percentiles[index].share * (double)count);
        json_object_set_new(out, percentiles[index].name, json_real((double)all[FR_MAX(rank, (size_t)1) - 1] / 1000));
    }
    fr_free(FR_MEM_DAEMON, all);
    return out;
}

static bool run_phase(bench_run *bench, const char *name, int64_t writers, int64_t searchers, bool filling,
                      json_t *result)
{
    int count = (int)(writers + searchers), started = 0;
    bench_peer *peers = fr_zalloc(FR_MEM_DAEMON, (size_t)count * sizeof *peers);
    FR_ASSERT(peers);
    int64_t start_us = fr_cli_now_us();
    bench->until_us = start_us + bench->args.seconds * 1000000;
    for (; started < count; started++) {
        bench_peer *one = &peers[started];
        *one = (bench_peer){.bench = bench, .is_writer = started < writers, .is_filling = filling};
        one->random =
            fr_mix64(bench->args.seed + (uint64_t)started * 7919 + (filling ? 1 : 0) + (writers && searchers ? 2 : 0));
        if (pthread_create(&one->thread, NULL, run_peer, one) != 0) {
            atomic_store(&bench->failed, true);
            break;
        }
    }
    for (int index = 0; index < started; index++) pthread_join(peers[index].thread, NULL);
    double seconds = (double)(fr_cli_now_us() - start_us) / 1e6;
    json_t *phase = json_object();
    if (writers) json_object_set_new(phase, "write", figures(peers, count, true, seconds, bench->args.batch));
    if (filling) { /* the last batch may be short */
        json_object_set_new(json_object_get(phase, "write"), "records_per_s",
                            json_real((double)bench->args.rows / seconds));
    }
    if (searchers) json_object_set_new(phase, "search", figures(peers, count, false, seconds, 0));
    json_object_set_new(result, name, phase);
    for (int index = 0; index < count; index++) {
        if (peers[index].why[0]) fprintf(stderr, "freshet bench: %s: %s\n", name, peers[index].why);
        fr_text_free(&peers[index].request);
        fr_text_free(&peers[index].body);
        fr_free(FR_MEM_DAEMON, peers[index].reply);
        fr_free(FR_MEM_DAEMON, peers[index].latencies_us);
    }
    fr_free(FR_MEM_DAEMON, peers);
    return !atomic_load(&bench->failed);
}

static int parse(int argc, char **argv, bench_arguments *args)
{
    enum {
        ROWS = 256,
        DIMENSION,
        BATCH,
        WRITERS,
        SEARCHERS,
        SECONDS,
        K,
        EF,
        SEED,
        KEEP,
        NO_INGEST,
        METRIC,
        CODES,
        ACK
    };
    static const struct option options[] = {{"collection", required_argument, NULL, 'c'},
                                            {"rows", required_argument, NULL, ROWS},
                                            {"dimension", required_argument, NULL, DIMENSION},
                                            {"batch", required_argument, NULL, BATCH},
                                            {"connections", required_argument, NULL, WRITERS},
                                            {"searchers", required_argument, NULL, SEARCHERS},
                                            {"seconds", required_argument, NULL, SECONDS},
                                            {"k", required_argument, NULL, K},
                                            {"ef", required_argument, NULL, EF},
                                            {"seed", required_argument, NULL, SEED},
                                            {"keep", no_argument, NULL, KEEP},
                                            {"no-ingest", no_argument, NULL, NO_INGEST},
                                            {"metric", required_argument, NULL, METRIC},
                                            {"codes", required_argument, NULL, CODES},
                                            {"ack", required_argument, NULL, ACK},
                                            FR_CLI_OPTION_URL,
                                            FR_CLI_OPTION_HELP,
                                            {0}};
    *args = (bench_arguments){.collection = "freshet-bench",
                              .metric = "l2",
                              .rows = 100000,
                              .dimension = 128,
                              .batch = 100,
                              .writers = 4,
                              .searchers = 2,
                              .seconds = 10,
                              .k = 10,
                              .seed = 1};
    for (int option; (option = getopt_long(argc, argv, "c:", options, NULL)) != -1;) {
        switch (option) {
        case 'c': args->collection = optarg; break;
        case 'u': args->url = optarg; break;
        case ROWS: args->rows = fr_cli_number("bench", "rows", optarg, 1, 1000000000); break;
        case DIMENSION: args->dimension = fr_cli_number("bench", "dimension", optarg, 1, FR_DIMENSION_MAX); break;
        case BATCH: args->batch = fr_cli_number("bench", "batch", optarg, 1, FR_RECORDS_MAX); break;
        case WRITERS: args->writers = fr_cli_number("bench", "connections", optarg, 1, THREADS_MAX); break;
        case SEARCHERS: args->searchers = fr_cli_number("bench", "searchers", optarg, 0, THREADS_MAX); break;
        case SECONDS: args->seconds = fr_cli_number("bench", "seconds", optarg, 1, 86400); break;
        case K: args->k = fr_cli_number("bench", "k", optarg, 1, FR_K_MAX); break;
        case EF: args->ef = fr_cli_number("bench", "ef", optarg, 1, FR_EF_MAX); break;
        case SEED: args->seed = (uint64_t)fr_cli_number("bench", "seed", optarg, 0, INT64_MAX); break;
        case KEEP: args->keep = true; break;
        case NO_INGEST: args->no_ingest = true; break;
        case METRIC: args->metric = optarg; break;
        case CODES: args->codes = optarg; break;
        case ACK: args->durable = strcmp(optarg, "durable") == 0; break;
        case 'h':
            printf("usage: freshet bench [OPTION...]     against a running server; prints one JSON object\n\n"
                   "Three phases: ingest of --rows records; searches alone; searches during writing at full speed.\n\n"
                   "  --rows N (100000)  --dimension N (128)  --batch N (100)  --connections N (4)  --searchers N (2)\n"
                   "  --seconds N (10)   of each search phase  --k N (10)  --ef N  --metric l2  --codes sq8|none\n"
                   "  --ack durable      instead of searchable --seed N (1)\n"
                   "  --collection NAME (freshet-bench)        created, and dropped afterwards unless --keep\n"
                   "  --no-ingest        the collection is there already\n  --url URL\n");
            exit(0);
        default: return 2;
        }
    }
    return optind == argc ? 0 : fr_cli_usage("bench", "no argument expected");
}

/* http://host[:port] only: the bench's own sockets speak no TLS. */
static bool split_url(const char *url, bench_run *bench)
{
    if (strncmp(url, "http://", 7) != 0) return false;
    const char *host = url + 7, *end = strchrnul(host, '/'), *colon = memrchr(host, ':', (size_t)(end - host));
    size_t host_size = (size_t)((colon ? colon : end) - host), port_size = colon ? (size_t)(end - colon) - 1 : 0;
    if (host_size == 0 || host_size >= sizeof bench->host || port_size >= sizeof bench->port) return false;
    memcpy(bench->host, host, host_size);
    if (port_size) memcpy(bench->port, colon + 1, port_size);
    else memcpy(bench->port, "80", 3);
    return true;
}

static fr_code manage(const bench_run *bench, bool create, fr_err *err)
{
    fr_client *client = NULL;
    fr_text path = {0}, body = {0};
    fr_reply reply = {0};
    fr_text_puts(&path, "/v1/collections");
    if (!create) fr_text_path(&path, bench->args.collection);
    fr_text_add(&path, "", 1);
    fr_text_format(&body, "{\"name\":\"%.249s\",\"dimension\":%lld,\"metric\":\"%.16s\"", bench->args.collection,
                   (long long)bench->args.dimension, bench->args.metric);
    if (bench->args.codes) fr_text_format(&body, ",\"codes\":\"%.16s\"", bench->args.codes);
    fr_text_puts(&body, "}");
    fr_code code = fr_client_open(fr_cli_url(bench->args.url), &client, err);
    if (code == FR_OK)
        code = fr_client_call(client, create ? "POST" : "DELETE", path.data, create ? &body : NULL, &reply, err);
    fr_client_close(client);
    fr_text_free(&path);
    fr_text_free(&body);
    fr_reply_free(&reply);
    return code;
}

/* Until every row has its links, so that the next phase measures searches alone. Seconds waited. */
static double wait_linked(const bench_run *bench)
{
    int64_t start_us = fr_cli_now_us();
    fr_client *client = NULL;
    fr_text path = {0};
    fr_reply reply = {0};
    fr_text_puts(&path, "/v1/collections");
    fr_text_path(&path, bench->args.collection);
    fr_text_add(&path, "", 1);
    fr_code code = fr_client_open(fr_cli_url(bench->args.url), &client, NULL);
    json_int_t unlinked = 1;
    while (code == FR_OK && unlinked > 0 && fr_cli_now_us() - start_us < LINK_WAIT_US) {
        code = fr_client_call(client, "GET", path.data, NULL, &reply, NULL);
        json_t *info = code == FR_OK ? fr_reply_json(&reply, NULL) : NULL;
        unlinked = json_integer_value(json_object_get(info, "unlinked"));
        json_decref(info);
        struct timespec pause = {.tv_nsec = 50000000};
        if (unlinked > 0) nanosleep(&pause, NULL);
    }
    fr_client_close(client);
    fr_text_free(&path);
    fr_reply_free(&reply);
    return (double)(fr_cli_now_us() - start_us) / 1e6;
}

int fr_cli_bench_main(int argc, char **argv)
{
    bench_run *bench = fr_zalloc(FR_MEM_DAEMON, sizeof *bench);
    if (!bench) return 1;
    int status = parse(argc, argv, &bench->args);
    fr_err err = {0};
    if (status == 0 && !split_url(fr_cli_url(bench->args.url), bench))
        status = fr_cli_usage("bench", "--url must be http://host:port");
    if (status == 0) {
        make_pool(bench);
        if (!bench->args.no_ingest && manage(bench, true, &err) != FR_OK) status = fr_cli_fail("bench", &err);
    }
    if (status == 0) {
        json_t *result =
            json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:s}", "bench", "http", "rows", (json_int_t)bench->args.rows,
                      "dimension", (json_int_t)bench->args.dimension, "batch", (json_int_t)bench->args.batch,
                      "connections", (json_int_t)bench->args.writers, "searchers", (json_int_t)bench->args.searchers,
                      "k", (json_int_t)bench->args.k, "ack", bench->args.durable ? "durable" : "searchable");
        bool good = bench->args.no_ingest || run_phase(bench, "ingest", bench->args.writers, 0, true, result);
        if (bench->args.searchers) {
            if (good) json_object_set_new(result, "linked_after_s", json_real(wait_linked(bench)));
            good = good && run_phase(bench, "search_alone", 0, bench->args.searchers, false, result);
            good = good &&
                   run_phase(bench, "search_during_ingest", bench->args.writers, bench->args.searchers, false, result);
        }
        json_dumpf(result, stdout,
                   JSON_REAL_PRECISION(6) | (isatty(STDOUT_FILENO) ? (size_t)JSON_INDENT(2) : (size_t)JSON_COMPACT));
        putchar('\n');
        json_decref(result);
        if (!bench->args.keep && !bench->args.no_ingest && manage(bench, false, &err) != FR_OK)
            good = fr_cli_fail("bench", &err) == 0;
        status = good ? 0 : 1;
    }
    fr_text_free(&bench->pool);
    fr_free(FR_MEM_DAEMON, bench);
    return status;
}
