/* serve.c: the verb "serve": settings, listening, opening the database, running until a signal, going down in order.
 *
 * Order of going down: 1. stop accepting, answer what is in flight, close connections; 2. pools; 3. the engine (drains its
 * queue, snapshots); 4. loops. A second signal ends the process at once; the log makes that harmless. */
#include "server/daemon/serve.h"

#include "api/kafka/groups.h"
#include "server/daemon/config.h"
#include "server/daemon/daemon.h"
#include "server/daemon/jobs.h"
#include "server/daemon/kafka_json.h"
#include "server/daemon/expiry.h"
#include "server/daemon/milvus_guest.h"
#include "server/daemon/sasl.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DRAIN_MS 10000
#define SEARCH_QUEUE_MAX 1024u
#define WORK_QUEUE_MAX 256u
#define CHORE_QUEUE_MAX 4u
#define LISTEN_BACKLOG 1024
#define OTHER_FILES 512 /* descriptors besides connections, roughly */

static const fr_config_option options[] = {
    {"data", FR_CONFIG_TEXT, "", 0, 0, NULL, "the data directory; made when missing"},
    {"listen", FR_CONFIG_TEXT, "127.0.0.1:19530", 0, 0, NULL, "address:port for HTTP; port 0 = any free one"},
    {"kafka-listen", FR_CONFIG_TEXT, "", 0, 0, NULL, "address:port for Kafka clients, e.g. 127.0.0.1:9092; empty = not spoken"},
    {"kafka-advertised", FR_CONFIG_TEXT, "", 0, 0, NULL, "address:port that Kafka clients are told; empty = the one they came to"},
    {"kafka-auto-create", FR_CONFIG_TEXT, "true", 0, 0, "true|false", "make topics that a Kafka client asks for"},
    {"kafka-partitions", FR_CONFIG_INT, "1", 1, FR_PARTITIONS_MAX, NULL, "partitions of a topic that does not say"},
    {"kafka-sasl-listen", FR_CONFIG_TEXT, "", 0, 0, NULL, "a second address:port for Kafka clients, where they must log in whatever --auth says"},
    {"auth", FR_CONFIG_SWITCH, "false", 0, 0, NULL, "ask every client who he is, and what he may"},
    {"root-password-file", FR_CONFIG_TEXT, "", 0, 0, NULL, "password of user root at the first start; else FRESHET_ROOT_PASSWORD, else random"},
    {"tls-cert", FR_CONFIG_TEXT, "", 0, 0, NULL, "PEM file of the certificate and its chain: the listeners speak TLS; SIGHUP reads it again"},
    {"tls-key", FR_CONFIG_TEXT, "", 0, 0, NULL, "PEM file of its key"},
    {"tls-client-ca", FR_CONFIG_TEXT, "", 0, 0, NULL, "PEM file: clients must show a certificate that one of these has signed"},
    {"kafka-tls", FR_CONFIG_SWITCH, "true", 0, 0, NULL, "with --tls-cert: Kafka's listeners speak TLS, too"},
    {"metrics-open", FR_CONFIG_SWITCH, "false", 0, 0, NULL, "with --auth: /metrics asks nobody"},
    {"insecure", FR_CONFIG_SWITCH, "false", 0, 0, NULL, "listen beyond this machine without --auth"},
    {"threads", FR_CONFIG_INT, "0", 0, FR_DAEMON_LOOPS_MAX, NULL, "event loops; 0 = one per core"},
    {"searchers", FR_CONFIG_INT, "0", 0, 256, NULL, "searching threads; 0 = one per core"},
    {"linkers", FR_CONFIG_INT, "0", 0, 256, NULL, "index-building threads; 0 = half the cores"},
    {"config", FR_CONFIG_TEXT, "", 0, 0, NULL, "file of name = value lines"},
    {"log-level", FR_CONFIG_TEXT, "info", 0, 0, "error|warn|info|debug", "notes on standard error"},
    {"max-connections", FR_CONFIG_INT, "4096", 1, 1000000, NULL, "open connections"},
    {"max-connections-per-address", FR_CONFIG_INT, "0", 0, 1000000, NULL, "of one address; 0 = half of max-connections"},
    {"snapshot-interval", FR_CONFIG_INT, "300", 1, 31536000, NULL, "seconds between snapshots while there are changes"},
    {"disk-reserve", FR_CONFIG_BYTES, "64m", 0, INT64_MAX, NULL, 
     "space kept for deletes and compaction on a full disk, at most a sixteenth of what is free; 0 = none"},
    {"memory-limit", FR_CONFIG_BYTES, "0", 0, INT64_MAX, NULL, "bytes (k, m, g); 0 = 80 percent of the machine or its cgroup"},
};
#define OPTION_COUNT FR_COUNT_OF(options)

static fr_config_value values[OPTION_COUNT];

static const fr_config_value *option(const char *name) { return fr_config_get(options, values, OPTION_COUNT, name); }

/* One server per process: the signal thread and the metrics hook reach it here. */
static fr_daemon server;
static sem_t stop_wanted;

static int fail(const fr_err *err)
{
    fprintf(stderr, "freshet serve: %s%s%s\n", err->field, err->field[0] ? ": " : "", err->text);
    return 1;
}

/* ---- small things of the process ---- */

static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    if (before < limit.rlim_max && setrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_cur = before;
    if (limit.rlim_cur < (rlim_t)option("max-connections")->number + OTHER_FILES)
        fr_note(FR_NOTE_WARN, "event=file_limit files=%llu max_connections=%lld", (unsigned long long)limit.rlim_cur,
                (long long)option("max-connections")->number);
}

static void log_level(void)
{
    const char *name = option("log-level")->text;
    fr_note_level(*name == 'e' ? FR_NOTE_ERROR : *name == 'w' ? FR_NOTE_WARN : *name == 'd' ? FR_NOTE_DEBUG : FR_NOTE_INFO);
}

/* Those that this process may use: a container or taskset may have given it fewer than the machine has. */
static uint32_t cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return (uint32_t)FR_MIN(FR_MAX(CPU_COUNT(&set), 1), 256);
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : (uint32_t)FR_MIN(count, 256L);
}

static uint32_t number_or(const char *name, uint32_t otherwise)
{
    uint32_t number = (uint32_t)option(name)->number;
    return number ? number : otherwise;
}

/* ---- signals ---- */

/* New connections get the new certificate; those that stand keep theirs. */
static void certificate_again(void)
{
    fr_err err = {0};
    if (!server.tls) return;
    if (fr_tls_reload(server.tls, &err) == FR_OK) fr_note(FR_NOTE_INFO, "event=certificate_reloaded");
    else fr_note(FR_NOTE_ERROR, "event=certificate_kept field=%s why=\"%s\"", err.field, err.text);
}

static void *signals(void *context)
{
    const sigset_t *set = context;
    int number, count = 0;
    while (sigwait(set, &number) == 0) {
        if (number == SIGHUP) {
            certificate_again();
            continue;
        }
        if (++count > 1) _exit(1); /* at once */
        fr_note(FR_NOTE_INFO, "event=stopping signal=%d", number);
        if (atomic_load(&server.door.state) == FR_HTTP_STARTING) _exit(0); /* nothing was acknowledged: nothing to drain */
        atomic_store(&server.door.state, FR_HTTP_DRAINING);
        sem_post(&stop_wanted);
    }
    return NULL;
}

static fr_code signals_start(fr_err *err)
{
    static sigset_t set;
    static pthread_t thread;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    sem_init(&stop_wanted, 0, 0);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0 || pthread_create(&thread, NULL, signals, &set) != 0)
        return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no thread for signals");
    pthread_setname_np(thread, "signals");
    return FR_OK;
}

/* ---- listening ---- */

/* "host:port", "[v6]:port", ":port". */
static fr_code address_split(const char *text, char *name, size_t size, char port[8], fr_err *err)
{
    const char *colon = strrchr(text, ':');
    size_t length = colon ? (size_t)(colon - text) : 0;
    if (!colon || length >= size || strlen(colon + 1) < 1 || strlen(colon + 1) > 5 || colon[1 + strspn(colon + 1, "0123456789")])
        return fr_fail(err, FR_ERR_INVALID, "listen", "must be address:port, not \"%.100s\"", text);
    bool six = length >= 2 && text[0] == '[' && text[length - 1] == ']';
    if (six) text++, length -= 2;
    memcpy(name, text, length);
    name[length] = 0;
    memcpy(port, colon + 1, strlen(colon + 1) + 1);
    return FR_OK;
}

static int bound_socket(const struct addrinfo *found)
{
    int fd = socket(found->ai_family, found->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, found->ai_protocol);
    int on = 1;
    if (fd < 0) return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on); /* not SO_REUSEPORT: a second server must fail */
    if (bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, LISTEN_BACKLOG) == 0) return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static bool loopback(const struct sockaddr_storage *name)
{
    if (name->ss_family == AF_INET6) {
        const struct in6_addr *six = &((const struct sockaddr_in6 *)name)->sin6_addr;
        return IN6_IS_ADDR_LOOPBACK(six) || (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == 127);
    }
    return name->ss_family == AF_INET && ntohl(((const struct sockaddr_in *)name)->sin_addr.s_addr) >> 24 == 127;
}

/* asks: whoever comes must log in. */
static fr_code listen_on(const char *text, bool asks, int *fd_out, char *shown, size_t shown_size, fr_err *err)
{
    char name[256], port[8];
    FR_TRY(address_split(text, name, sizeof name, port, err));
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    int failed = getaddrinfo(name[0] ? name : NULL, port, &hints, &found);
    if (failed) return fr_fail(err, FR_ERR_INVALID, "listen", "%.100s: %s", text, gai_strerror(failed));
    *fd_out = bound_socket(found);
    int error = errno;
    freeaddrinfo(found);
    if (*fd_out < 0) return fr_fail(err, FR_ERR_IO, "listen", "%.100s: %s", text, strerror(error));
    struct sockaddr_storage bound;
    socklen_t size = sizeof bound;
    char host_text[64], port_text[8];
    getsockname(*fd_out, (struct sockaddr *)&bound, &size);
    if (!asks && !loopback(&bound) && !option("insecure")->number)
        return fr_fail(err, FR_ERR_INVALID, "listen",
                       "%.60s can be reached from other machines, and nobody would be asked who he is: use --auth, or say --insecure", text);
    getnameinfo((struct sockaddr *)&bound, size, host_text, sizeof host_text, port_text, sizeof port_text,
                NI_NUMERICHOST | NI_NUMERICSERV);
    bool six = bound.ss_family == AF_INET6;
    snprintf(shown, shown_size, "%s%s%s:%s", six ? "[" : "", host_text, six ? "]" : "", port_text);
    return FR_OK;
}

/* ---- hooks of the door ---- */

static void progress(void *user, const char *phase, uint64_t done, uint64_t total)
{
    fr_http *door = user;
    atomic_store_explicit(&door->phase, phase, memory_order_relaxed);
    atomic_store_explicit(&door->phase_done, done, memory_order_relaxed);
    atomic_store_explicit(&door->phase_total, total, memory_order_relaxed);
}

static void metrics(void *user, fr_out *out)
{
    fr_daemon *daemon = user;
    const fr_counters *counters[FR_DAEMON_LOOPS_MAX];
    fr_metrics_source source = {.counters = counters, .counter_count = daemon->loop_count, .started_ms = daemon->started_ms,
                                .db = atomic_load_explicit(&daemon->door.db, memory_order_acquire),
                                .state = atomic_load(&daemon->door.state), .connections = atomic_load(&daemon->connections),
                                .memory_limit = daemon->memory_limit};
    for (uint32_t i = 0; i < daemon->loop_count; i++) counters[i] = fr_loop_counters(daemon->loops[i]);
    if (source.db) { /* the pools stand before the database is shown */
        source.queues[0] = fr_pool_figures(daemon->searchers);
        source.queues[1] = fr_pool_figures(daemon->workers);
        source.queues[2] = fr_pool_figures(daemon->chores);
        source.queue_count = 3;
    }
    fr_metrics_write(&source, out);
    fr_door_access_metrics(&daemon->access, out);
    if (source.db) fr_jobs_metrics(daemon, out);
}

/* ---- up and down ---- */

static fr_code loops_start(fr_daemon *daemon, const int fds[FR_LISTENERS], fr_err *err)
{
    uint32_t count = number_or("threads", FR_MIN(cores(), FR_DAEMON_LOOPS_MAX));
    fr_loop_globals_init();
    for (uint32_t i = 0; i < count; i++) {
        FR_TRY(fr_loop_create(daemon, i, fds, &daemon->loops[i], err));
        daemon->loop_count = i + 1;
    }
    for (uint32_t i = 0; i < count; i++) FR_TRY(fr_loop_start(daemon->loops[i], err));
    for (uint32_t i = 0; i < count; i++) fr_loop_accept(daemon->loops[i]);
    return FR_OK;
}

static fr_code database_open(fr_daemon *daemon, fr_db **db_out, fr_err *err)
{
    fr_options engine = {.linkers = (uint32_t)option("linkers")->number, .snapshot_ms = option("snapshot-interval")->number * 1000,
                         .memory_limit = (uint64_t)option("memory-limit")->number,
                         .reserve_bytes = (uint64_t)option("disk-reserve")->number, .progress = progress, .parse_json = fr_kafka_json_in,
                         .progress_user = &daemon->door};
    fr_code code = fr_open(option("data")->text, &engine, db_out, err);
    if (code == FR_ERR_LOCKED)
        return fr_fail(err, code, "data", "another server has the directory %.150s open: stop it first, or use another directory",
                       option("data")->text);
    return code;
}

static fr_code pools_start(fr_daemon *daemon, fr_db *db, fr_searcher *searchers[FR_DAEMON_LOOPS_MAX], fr_err *err)
{
    FR_TRY(fr_pool_create("search", number_or("searchers", cores()), SEARCH_QUEUE_MAX, db, &daemon->searchers, err));
    FR_TRY(fr_pool_create("work", FR_MAX(1u, cores() / 2), WORK_QUEUE_MAX, NULL, &daemon->workers, err));
    FR_TRY(fr_pool_create("chore", 1, CHORE_QUEUE_MAX, NULL, &daemon->chores, err));
    for (uint32_t i = 0; i < daemon->loop_count; i++) {
        if (fr_searcher_create(db, &searchers[i]) != FR_OK) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a searcher");
        fr_loop_searcher(daemon->loops[i], searchers[i]);
    }
    return FR_OK;
}

static bool all_empty(const fr_daemon *daemon)
{
    for (uint32_t i = 0; i < daemon->loop_count; i++)
        if (!fr_loop_empty(daemon->loops[i])) return false;
    return true;
}

static void wait_empty(const fr_daemon *daemon, int64_t wait_ms)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    int64_t until = fr_now_ns() + wait_ms * 1000000;
    while (!all_empty(daemon) && fr_now_ns() < until) nanosleep(&pause, NULL);
}

static void go_down(fr_daemon *daemon, fr_db *db, fr_searcher *searchers[FR_DAEMON_LOOPS_MAX])
{
    for (uint32_t i = 0; i < daemon->loop_count; i++) fr_loop_drain(daemon->loops[i]);
    wait_empty(daemon, DRAIN_MS);
    for (uint32_t i = 0; i < daemon->loop_count; i++) fr_loop_cut(daemon->loops[i]);
    wait_empty(daemon, 1000);
    fr_pool_free(daemon->searchers);
    fr_pool_free(daemon->workers);
    fr_pool_free(daemon->chores);
    fr_jobs_stop(daemon);
    fr_expiry_stop(daemon->expiry);
    atomic_store(&daemon->closing, true);
    for (uint32_t i = 0; i < daemon->loop_count && all_empty(daemon); i++) fr_searcher_free(searchers[i]); /* else one may be in use */
    if (all_empty(daemon)) fr_kafka_groups_close(daemon->kafka.groups); /* else a call may be in it */
    fr_close(db);
    if (all_empty(daemon)) fr_door_access_free(&daemon->access);
    for (uint32_t i = 0; i < daemon->loop_count; i++) fr_loop_stop(daemon->loops[i]);
    for (uint32_t i = 0; i < daemon->loop_count; i++) fr_loop_free(daemon->loops[i]);
    fr_milvus_free(&daemon->milvus);
}

/* What Kafka clients are told, and whether they are listened to. */
static fr_code kafka_start(fr_daemon *daemon, int fds[FR_LISTENERS], char shown[FR_LISTENERS][96], fr_err *err)
{
    char port[8];
    fr_kafka *kafka = &daemon->kafka;
    fr_kafka_init(kafka);
    kafka->auto_create = option("kafka-auto-create")->text[0] == 't';
    kafka->partitions_default = (uint32_t)option("kafka-partitions")->number;
    kafka->file_ranges = true;
    kafka->json_out = fr_kafka_json_out;
    bool auth = option("auth")->number != 0;
    daemon->kafka_asks = auth;
    daemon->kafka_tls = option("kafka-tls")->number != 0;
    fr_sasl_init(&daemon->sasl, &daemon->access);
    if (auth || option("kafka-sasl-listen")->text[0]) kafka->sasl = &daemon->sasl;
    const char *advertised = option("kafka-advertised")->text;
    if (advertised[0]) {
        FR_TRY(address_split(advertised, kafka->host, sizeof kafka->host, port, err));
        kafka->port = (int32_t)strtol(port, NULL, 10);
    }
    if (option("kafka-listen")->text[0])
        FR_TRY(listen_on(option("kafka-listen")->text, auth, &fds[FR_LISTEN_KAFKA], shown[FR_LISTEN_KAFKA], 96, err));
    if (!option("kafka-sasl-listen")->text[0]) return FR_OK;
    return listen_on(option("kafka-sasl-listen")->text, true, &fds[FR_LISTEN_KAFKA_SASL], shown[FR_LISTEN_KAFKA_SASL], 96, err);
}

static int64_t now_ms(void) { return fr_now_ns() / 1000000; }

/* Without its topic (a database that refuses writes) there are no consumer groups, but everything else. */
static void groups_start(fr_daemon *daemon, fr_db *db)
{
    fr_err err = {0};
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed) seed = fr_mix64((uint64_t)fr_now_ns());
    if (fr_kafka_groups_open(db, now_ms, seed, &daemon->kafka.groups, &err) != FR_OK)
        fr_note(FR_NOTE_WARN, "event=no_consumer_groups code=%s why=\"%s\"", fr_strcode(err.code), err.text);
}

static int serve(fr_daemon *daemon)
{
    fr_err err = {0};
    static const char *const words[FR_LISTENERS] = {"listening", "kafka", "kafka-sasl"};
    int fds[FR_LISTENERS] = {-1, -1, -1};
    char shown[FR_LISTENERS][96];
    static fr_searcher *searchers[FR_DAEMON_LOOPS_MAX];
    fr_db *db = NULL;
    const char *cert = option("tls-cert")->text;
    if (cert[0] && fr_tls_create(cert, option("tls-key")->text, option("tls-client-ca")->text, &daemon->tls, &err) != FR_OK) return fail(&err);
    if (signals_start(&err) != FR_OK) return fail(&err);
    if (fr_door_access_init(&daemon->access, option("auth")->number != 0, option("metrics-open")->number != 0, &err) != FR_OK) return fail(&err);
    daemon->door.access = &daemon->access.http;
    if (listen_on(option("listen")->text, option("auth")->number != 0, &fds[FR_LISTEN_HTTP], shown[FR_LISTEN_HTTP], 96, &err) != FR_OK) return fail(&err);
    if (kafka_start(daemon, fds, shown, &err) != FR_OK) return fail(&err);
    if (fr_milvus_init(&daemon->milvus) != FR_OK) {
        fr_fail(&err, FR_ERR_NO_MEMORY, NULL, "no memory for the Milvus door");
        return fail(&err);
    }
    daemon->milvus.access = &daemon->access.milvus;
    if (loops_start(daemon, fds, &err) != FR_OK) return fail(&err);
    for (int i = 0; i < FR_LISTENERS; i++) {
        if (fds[i] < 0) continue;
        printf("%s %s\n", words[i], shown[i]);
        close(fds[i]); /* each loop has its own descriptor */
    }
    fflush(stdout);
    int64_t begin = fr_now_ns();
    if (database_open(daemon, &db, &err) != FR_OK) return fail(&err);
    if (pools_start(daemon, db, searchers, &err) != FR_OK) return fail(&err);
    bool asked = option("auth")->number || option("kafka-sasl-listen")->text[0];
    if (fr_door_access_open(&daemon->access, db, asked, option("root-password-file")->text, &err) != FR_OK) return fail(&err);
    if (!realpath(option("data")->text, daemon->kafka.log_dir)) daemon->kafka.log_dir[0] = 0;
    daemon->kafka.db = db; /* the orders below pass a mutex */
    if (option("kafka-listen")->text[0] || option("kafka-sasl-listen")->text[0]) groups_start(daemon, db);
    fr_jobs_start(daemon, db);
    atomic_store_explicit(&daemon->door.db, db, memory_order_release); /* pairs with the acquire in fr_http_begin */
    int starting = FR_HTTP_STARTING;
    atomic_compare_exchange_strong(&daemon->door.state, &starting, FR_HTTP_SERVING);
    atomic_store_explicit(&daemon->milvus.db, db, memory_order_release); /* pairs with the acquire in fr_milvus_begin */
    if (!(daemon->expiry = fr_expiry_start(&daemon->milvus, db))) fr_note(FR_NOTE_WARN, "event=expiry_off reason=\"no memory, or no thread\"");
    for (uint32_t i = 0; i < daemon->loop_count; i++) fr_loop_accept_kafka(daemon->loops[i]);
    fr_note(FR_NOTE_INFO, "event=ready address=%s data=\"%s\" open_ms=%.1f", shown[FR_LISTEN_HTTP], option("data")->text,
            (double)(fr_now_ns() - begin) / 1e6);
    while (sem_wait(&stop_wanted) != 0) continue;
    go_down(daemon, db, searchers);
    fr_note(FR_NOTE_INFO, "event=stopped");
    return 0;
}

int fr_serve_main(int argc, char **argv)
{
    bool help = false;
    fr_err err = {0};
    fr_code code = fr_config_load(options, values, OPTION_COUNT, argc, argv, &help, &err);
    if (help) {
        printf("usage: freshet serve --data DIR [options]\n\nStrength: flag, then FRESHET_NAME in the environment, then file.\n\n");
        fr_config_usage(options, OPTION_COUNT, stdout);
        return 0;
    }
    if (code == FR_OK && !option("data")->text[0]) code = fr_fail(&err, FR_ERR_INVALID, "data", "is missing: --data DIR");
    if (code != FR_OK) {
        fail(&err);
        return 2;
    }
    log_level();
    raise_file_limit();
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    server.started_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    if (getrandom(&server.address_seed, sizeof server.address_seed, 0) < 0) server.address_seed = (uint64_t)now.tv_nsec;
    server.connections_max = (uint32_t)option("max-connections")->number;
    server.connections_per_address_max = number_or("max-connections-per-address", FR_MAX(1u, server.connections_max / 2));
    server.memory_limit = (uint64_t)option("memory-limit")->number;
    server.door.guest = fr_milvus_guest(&server.milvus);
    server.door.metrics = metrics;
    server.door.metrics_user = &server;
    return serve(&server);
}
