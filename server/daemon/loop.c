/* loop.c: one thread's h2o loop: listeners, connections accepted, counted, placed and handed to who speaks their protocol (http_loop.c,
 * grpc_loop.c, kafka_loop.c); orders from outside. Every connection is counted (total and per address) from accept to the socket's end. */
#include "api/brisk.h"
#include "server/daemon/daemon.h"
#include "server/daemon/http_loop.h"
#include "server/daemon/kafka_loop.h"
#include "server/daemon/steady.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_PER_TURN 16
#define PAUSE_MS 50

typedef struct shaking { /* a TLS handshake under way */
    h2o_linklist_t link;
    h2o_timeout_entry_t timeout;
    h2o_socket_t *sock;
    SSL_CTX *context; /* h2o makes its SSL from it when the first bytes are there, and holds nothing until then */
    fr_loop *loop;
    uint32_t slot;
    fr_listener kind;
} shaking;

enum { ORDER_DRAIN = 1, ORDER_CUT = 2, ORDER_STOP = 4, ORDER_ACCEPT = 8, ORDER_KAFKA = 16 };

struct fr_loop {
    fr_daemon *daemon;
    pthread_t thread;
    sem_t standing; /* posted when orders may come */
    bool started, failed;
    char name[16];
    int fds[FR_LISTENERS];
    fr_http_loop *http;
    fr_kafka_loop *kafka; /* NULL: Kafka is not spoken */
    fr_grpc_loop *grpc;
    h2o_evloop_t *loop;
    h2o_multithread_queue_t *queue;
    h2o_multithread_receiver_t orders, arrivals;
    h2o_multithread_message_t order; /* unlinked = may be sent */
    pthread_mutex_t order_mutex;
    unsigned order_bits; /* guarded by order_mutex */
    h2o_socket_t *listeners[FR_LISTENERS]; /* NULL: not spoken */
    h2o_timeout_t shaking_timeout, pause_timeout;
    h2o_timeout_entry_t pause; /* linked: no descriptor was left, nothing is accepted */
    h2o_linklist_t shaking;
    _Atomic uint32_t connection_count; /* also those on their way to this loop */
    fr_http_worker worker;
    bool draining, stop;
    fr_counters counters;
};

/* ---- connections ---- */

static uint32_t address_slot(const fr_daemon *daemon, h2o_socket_t *sock)
{
    struct sockaddr_storage name;
    memset(&name, 0, sizeof name);
    h2o_socket_getpeername(sock, (struct sockaddr *)&name);
    uint64_t hash;
    if (name.ss_family == AF_INET6) hash = fr_hash(&((struct sockaddr_in6 *)&name)->sin6_addr, 8, daemon->address_seed); /* a /64 */
    else hash = fr_hash(&((struct sockaddr_in *)&name)->sin_addr, 4, daemon->address_seed);
    return (uint32_t)(hash % FR_DAEMON_ADDRESS_SLOTS);
}

/* Over a cap: a short answer, without reading. */
static void turn_away(h2o_socket_t *sock, bool tls)
{
    static const char text[] = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\n"
                               "Content-Type: application/json\r\nContent-Length: 84\r\n\r\n"
                               "{\"error\":{\"code\":\"busy\",\"message\":\"too many connections: try again\",\"field\":null}} \n";
    int fd = h2o_socket_get_fd(sock);
    if (!tls && send(fd, text, sizeof text - 1, MSG_NOSIGNAL | MSG_DONTWAIT) > 0) shutdown(fd, SHUT_WR);
    h2o_socket_close(sock);
}

static bool speaks_tls(const fr_daemon *daemon, fr_listener kind) { return daemon->tls && (kind == FR_LISTEN_HTTP || daemon->kafka_tls); }

static void uncount(void *owner, uint32_t slot)
{
    fr_loop *loop = owner;
    atomic_fetch_sub(&loop->daemon->connections, 1);
    atomic_fetch_sub(&loop->daemon->per_address[slot], 1);
    atomic_fetch_sub(&loop->connection_count, 1);
}

/* Counted, its handshake done when there is one: whoever speaks its protocol takes it. */
static void welcome(fr_loop *loop, h2o_socket_t *sock, uint32_t slot, fr_listener kind)
{
    if (kind != FR_LISTEN_HTTP) {
        bool second = kind == FR_LISTEN_KAFKA_SASL;
        fr_kafka_loop_adopt(loop->kafka, sock, slot, second || loop->daemon->kafka_asks, second);
        return;
    }
    if (fr_http_loop_adopt(loop->http, sock, slot)) return;
    uncount(loop, slot);
    fr_tally(&loop->counters.rejected_total, 1);
    turn_away(sock, sock->ssl != NULL);
}

static void shaking_end(shaking *self, bool well)
{
    h2o_socket_t *sock = self->sock;
    fr_loop *loop = self->loop;
    SSL_CTX *context = self->context;
    uint32_t slot = self->slot;
    fr_listener kind = self->kind;
    h2o_timeout_unlink(&self->timeout);
    h2o_linklist_unlink(&self->link);
    fr_free(FR_MEM_DAEMON, self);
    sock->data = NULL;
    if (well) {
        welcome(loop, sock, slot, kind);
    } else {
        h2o_socket_close(sock);
        uncount(loop, slot);
    }
    SSL_CTX_free(context);
}

static void on_shaken(h2o_socket_t *sock, const char *err)
{
    if (err) fr_note(FR_NOTE_DEBUG, "event=tls_handshake why=\"%s\"", err);
    shaking_end(sock->data, err == NULL);
}

static void on_shaking_timeout(h2o_timeout_entry_t *entry) { shaking_end(H2O_STRUCT_FROM_MEMBER(shaking, timeout, entry), false); }

static void shake(fr_loop *loop, h2o_socket_t *sock, uint32_t slot, fr_listener kind)
{
    shaking *self = fr_zalloc(FR_MEM_DAEMON, sizeof *self);
    if (!self) {
        h2o_socket_close(sock);
        uncount(loop, slot);
        return;
    }
    self->loop = loop, self->sock = sock, self->slot = slot, self->kind = kind;
    sock->data = self;
    h2o_linklist_insert(&loop->shaking, &self->link);
    self->timeout.cb = on_shaking_timeout;
    h2o_timeout_link(loop->loop, &loop->shaking_timeout, &self->timeout);
    self->context = fr_tls_take(loop->daemon->tls);
    h2o_socket_ssl_handshake(sock, self->context, NULL, on_shaken); /* the callback comes later */
}

/* A connection that was counted for this loop when it was accepted. */
static void adopt(fr_loop *loop, int fd, fr_listener kind)
{
    fr_daemon *daemon = loop->daemon;
    int on = 1;
    bool tls = speaks_tls(daemon, kind);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    int flags = H2O_SOCKET_FLAG_IS_ACCEPTED_CONNECTION | (kind != FR_LISTEN_HTTP && !tls ? H2O_SOCKET_FLAG_DONT_READ : 0);
    h2o_socket_t *sock = h2o_evloop_socket_create(loop->loop, fd, flags);
    uint32_t slot = address_slot(daemon, sock);
    bool full = atomic_fetch_add(&daemon->connections, 1) >= daemon->connections_max;
    bool crowded = atomic_fetch_add(&daemon->per_address[slot], 1) >= daemon->connections_per_address_max;
    if (full || crowded || loop->draining) {
        uncount(loop, slot);
        fr_tally(full || !crowded ? &loop->counters.rejected_total : &loop->counters.rejected_address, 1);
        if (kind != FR_LISTEN_HTTP) h2o_socket_close(sock);
        else turn_away(sock, tls);
    } else if (tls) {
        shake(loop, sock, slot, kind);
    } else {
        welcome(loop, sock, slot, kind);
    }
}

typedef struct arrival {
    h2o_multithread_message_t message;
    int fd;
    fr_listener kind;
} arrival;

static void on_arrivals(h2o_multithread_receiver_t *receiver, h2o_linklist_t *messages)
{
    fr_loop *loop = H2O_STRUCT_FROM_MEMBER(fr_loop, arrivals, receiver);
    while (!h2o_linklist_is_empty(messages)) {
        arrival *one = H2O_STRUCT_FROM_MEMBER(arrival, message.link, messages->next);
        h2o_linklist_unlink(&one->message.link);
        adopt(loop, one->fd, one->kind);
        fr_free(FR_MEM_DAEMON, one);
    }
}

/* Whichever loop is awake accepts, so it would take all of a burst: each connection goes to the loop that has the fewest. */
static fr_loop *least_loaded(fr_loop *self)
{
    fr_loop *best = self;
    uint32_t fewest = atomic_load_explicit(&self->connection_count, memory_order_relaxed);
    for (uint32_t i = 0; i < self->daemon->loop_count && fewest; i++) {
        uint32_t count = atomic_load_explicit(&self->daemon->loops[i]->connection_count, memory_order_relaxed);
        if (count < fewest) fewest = count, best = self->daemon->loops[i];
    }
    return best;
}

static void place(fr_loop *self, int fd, fr_listener kind)
{
    fr_loop *target = least_loaded(self);
    arrival *one = target == self ? NULL : fr_zalloc(FR_MEM_DAEMON, sizeof *one);
    if (!one) target = self;
    atomic_fetch_add(&target->connection_count, 1);
    if (!one) {
        adopt(self, fd, kind);
        return;
    }
    one->fd = fd, one->kind = kind;
    h2o_multithread_send_message(&target->arrivals, &one->message);
}

static void on_accept(h2o_socket_t *listener, const char *err)
{
    fr_loop *loop = listener->data;
    if (err) return;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd = accept4(h2o_socket_get_fd(listener), NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            /* Out of descriptors: the listener would stay ready and the loop would spin. Try again at the next tick. */
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                h2o_socket_read_stop(listener);
                if (!h2o_timeout_is_linked(&loop->pause)) h2o_timeout_link(loop->loop, &loop->pause_timeout, &loop->pause);
            }
            return;
        }
        fr_listener kind = FR_LISTEN_HTTP;
        while (kind < FR_LISTEN_KAFKA_SASL && loop->listeners[kind] != listener) kind++;
        place(loop, fd, kind);
    }
}

static void on_pause_end(h2o_timeout_entry_t *entry)
{
    fr_loop *loop = H2O_STRUCT_FROM_MEMBER(fr_loop, pause, entry);
    for (int i = 0; i < FR_LISTENERS; i++)
        if (loop->listeners[i]) h2o_socket_read_start(loop->listeners[i], on_accept);
}

/* ---- orders from outside ---- */

static void drain(fr_loop *loop)
{
    if (loop->draining) return;
    loop->draining = true;
    for (int i = 0; i < FR_LISTENERS; i++) {
        if (loop->listeners[i]) h2o_socket_close(loop->listeners[i]);
        loop->listeners[i] = NULL;
    }
    while (!h2o_linklist_is_empty(&loop->shaking)) shaking_end(H2O_STRUCT_FROM_MEMBER(shaking, link, loop->shaking.next), false);
    fr_http_loop_drain(loop->http);
    if (loop->kafka) fr_kafka_loop_drain(loop->kafka);
    if (loop->grpc) fr_grpc_loop_drain(loop->grpc);
}

static void on_orders(h2o_multithread_receiver_t *receiver, h2o_linklist_t *messages)
{
    fr_loop *loop = H2O_STRUCT_FROM_MEMBER(fr_loop, orders, receiver);
    pthread_mutex_lock(&loop->order_mutex);
    while (!h2o_linklist_is_empty(messages)) h2o_linklist_unlink(messages->next);
    unsigned bits = loop->order_bits;
    loop->order_bits = 0;
    pthread_mutex_unlock(&loop->order_mutex);
    if (bits & ORDER_ACCEPT) h2o_socket_read_start(loop->listeners[FR_LISTEN_HTTP], on_accept);
    for (int i = FR_LISTEN_KAFKA; (bits & ORDER_KAFKA) && i < FR_LISTENERS; i++)
        if (loop->listeners[i]) h2o_socket_read_start(loop->listeners[i], on_accept);
    if (bits & ORDER_DRAIN) drain(loop);
    if (bits & ORDER_CUT) {
        if (loop->kafka) fr_kafka_loop_cut(loop->kafka);
        if (loop->grpc) fr_grpc_loop_cut(loop->grpc);
        fr_http_loop_cut(loop->http);
    }
    if (bits & ORDER_STOP) loop->stop = true;
}

static void order(fr_loop *loop, unsigned bit)
{
    pthread_mutex_lock(&loop->order_mutex);
    bool idle = loop->order_bits == 0;
    loop->order_bits |= bit;
    if (idle) h2o_multithread_send_message(&loop->orders, &loop->order);
    pthread_mutex_unlock(&loop->order_mutex);
}

void fr_loop_accept(fr_loop *loop) { order(loop, ORDER_ACCEPT); }
void fr_loop_accept_kafka(fr_loop *loop) { order(loop, ORDER_KAFKA); }
void fr_loop_drain(fr_loop *loop) { order(loop, ORDER_DRAIN); }
void fr_loop_cut(fr_loop *loop) { order(loop, ORDER_CUT); }
bool fr_loop_empty(const fr_loop *loop) { return atomic_load(&loop->connection_count) == 0; }
const fr_counters *fr_loop_counters(const fr_loop *loop) { return &loop->counters; }
void fr_loop_searcher(fr_loop *loop, fr_searcher *searcher) { loop->worker.searcher = searcher; }

#ifdef __SANITIZE_ADDRESS__
/* What h2o 2.2.5 keeps per thread for reuse and has no call to give back; nothing of ours is allocated there. */
__attribute__((visibility("default"), used)) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:h2o_mem_alloc_recycle\nleak:h2o_multithread_create_queue\n"; }
#endif

/* ---- life ---- */

void fr_loop_globals_init(void)
{
    fr_steady_begin();
    fr_http_loop_globals_init();
}

/* On the loop's thread: every h2o buffer points into the free list of the thread that made it. */
static bool set_up(fr_loop *loop)
{
    loop->loop = h2o_evloop_create();
    loop->queue = h2o_multithread_create_queue(loop->loop);
    h2o_multithread_register_receiver(loop->queue, &loop->orders, on_orders);
    h2o_multithread_register_receiver(loop->queue, &loop->arrivals, on_arrivals);
    h2o_timeout_init(loop->loop, &loop->shaking_timeout, FR_DAEMON_FIRST_BYTE_MS);
    h2o_timeout_init(loop->loop, &loop->pause_timeout, PAUSE_MS);
    loop->pause.cb = on_pause_end;
    loop->grpc = fr_grpc_loop_create(loop->daemon, loop->loop, loop->queue, &loop->worker, &loop->counters.grpc);
    loop->http = fr_http_loop_create(loop->daemon, loop->loop, loop->queue, &loop->worker, &loop->counters, loop->grpc, loop, uncount);
    if (loop->fds[FR_LISTEN_KAFKA] >= 0 || loop->fds[FR_LISTEN_KAFKA_SASL] >= 0)
        loop->kafka = fr_kafka_loop_create(loop->daemon, loop->loop, loop->queue, loop, uncount);
    for (int i = 0; i < FR_LISTENERS; i++) {
        if (loop->fds[i] < 0 || (i != FR_LISTEN_HTTP && !loop->kafka)) continue;
        loop->listeners[i] = h2o_evloop_socket_create(loop->loop, loop->fds[i], H2O_SOCKET_FLAG_DONT_READ);
        loop->listeners[i]->data = loop;
    }
    return loop->http != NULL;
}

fr_code fr_loop_create(fr_daemon *daemon, uint32_t index, const int fds[FR_LISTENERS], fr_loop **loop_out, fr_err *err)
{
    fr_loop *loop = fr_zalloc(FR_MEM_DAEMON, sizeof *loop);
    int fd = fcntl(fds[FR_LISTEN_HTTP], F_DUPFD_CLOEXEC, 0);
    if (loop) loop->worker = (fr_http_worker){.dom = fr_json_dom_create(), .loop = true};
    if (!loop || fd < 0 || !loop->worker.dom) {
        if (fd >= 0) close(fd);
        if (loop) fr_json_dom_free(loop->worker.dom);
        fr_free(FR_MEM_DAEMON, loop);
        return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory or file for a loop: %s", strerror(errno));
    }
    loop->daemon = daemon;
    snprintf(loop->name, sizeof loop->name, "loop-%u", index);
    pthread_mutex_init(&loop->order_mutex, NULL);
    h2o_linklist_init_anchor(&loop->shaking);
    for (int i = 0; i < FR_LISTENERS; i++) loop->fds[i] = i == FR_LISTEN_HTTP ? fd : fds[i] < 0 ? -1 : fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
    sem_init(&loop->standing, 0, 0);
    *loop_out = loop;
    return FR_OK;
}

/* On the loop's thread, for h2o recycles memory per thread. When a connection is left (the drain timed out) all stays as it
 * is: the process is about to end. */
static void dispose(fr_loop *loop)
{
    for (int i = 0; i < FR_LISTENERS; i++)
        if (loop->listeners[i]) h2o_socket_close(loop->listeners[i]);
    h2o_timeout_unlink(&loop->pause);
    fr_http_loop_end(loop->http);
    for (int i = 0; i < 3; i++) h2o_evloop_run(loop->loop, 0); /* closed sockets are freed at the next turn */
    if (!fr_http_loop_empty(loop->http) || !fr_kafka_loop_empty(loop->kafka) || !fr_grpc_loop_empty(loop->grpc)) return;
    fr_kafka_loop_dispose(loop->kafka);
    fr_grpc_loop_dispose(loop->grpc);
    fr_http_loop_dispose(loop->http);
    h2o_multithread_unregister_receiver(loop->queue, &loop->orders);
    h2o_multithread_unregister_receiver(loop->queue, &loop->arrivals);
    h2o_multithread_destroy_queue(loop->queue);
    h2o_timeout_dispose(loop->loop, &loop->shaking_timeout);
    h2o_timeout_dispose(loop->loop, &loop->pause_timeout);
    h2o_evloop_run(loop->loop, 0);
    h2o_evloop_destroy(loop->loop);
    loop->loop = NULL;
}

static void *run(void *context)
{
    fr_loop *loop = context;
    bool stands = set_up(loop);
    (void)fr_thread_brisk();
    loop->failed = !stands;
    sem_post(&loop->standing);
    if (!stands) return NULL;
    while (!loop->stop) h2o_evloop_run(loop->loop, INT32_MAX);
    dispose(loop);
    return NULL;
}

fr_code fr_loop_start(fr_loop *loop, fr_err *err)
{
    if (pthread_create(&loop->thread, NULL, run, loop) != 0) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no thread for a loop");
    loop->started = true;
    pthread_setname_np(loop->thread, loop->name);
    while (sem_wait(&loop->standing) != 0) continue;
    if (!loop->failed) return FR_OK;
    pthread_join(loop->thread, NULL);
    loop->started = false;
    return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a loop");
}

void fr_loop_stop(fr_loop *loop)
{
    if (!loop->started) return;
    order(loop, ORDER_STOP);
    pthread_join(loop->thread, NULL);
    loop->started = false;
}

void fr_loop_free(fr_loop *loop)
{
    if (!loop || loop->loop) return; /* connections were left: h2o's structures point into this */
    fr_json_dom_free(loop->worker.dom);
    pthread_mutex_destroy(&loop->order_mutex);
    sem_destroy(&loop->standing);
    fr_free(FR_MEM_DAEMON, loop);
}
