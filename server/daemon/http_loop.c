/* http_loop.c: HTTP/1's connections on one thread's h2o loop: first bytes, requests to calls, calls to replies.
 *
 * Invariants
 *   1. A daemon call belongs to the loop's thread, except between being handed to a pool or to the engine and its message back.
 *   2. A call lives as long as its h2o request: h2o reads nothing and runs no timeout while it processes a request, so a request
 *      with a call in flight cannot vanish; if it did, the call would be orphaned and freed by its message.
 * Limits of h2o 2.2.5 and what is done about each: server/daemon/README.md. */
#include "server/daemon/http_loop.h"

#include "server/daemon/conns.h"
#include "server/daemon/daemon.h"
#include "server/daemon/headscan.h"
#include "server/daemon/milvus_guest.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define FREE_CALLS_MAX 16u
#define LINGER_MS 3000
#define LINGERING_MAX 256u
#define TICK_MS 50
#define SWEEP_MS 1000
#define ROUND_NS 10000000LL

/* ---- types ---- */

typedef struct connection {
    h2o_linklist_t link;
    fr_http_loop *loop;
    h2o_socket_t *sock;
    h2o_timeout_entry_t first_byte;
    uint32_t address_slot;
    bool handed; /* to HTTP/1 */
    bool grpc;   /* given to grpc_loop.c */
    bool busy;   /* a call is in flight */
    bool ours;   /* the answer being sent was made by a handler of ours */
    int linger_fd; /* a second descriptor, to be drained after the close; -1 = none */
    uint64_t acked;
    int64_t progress_ms;
} connection;

typedef struct daemon_call {
    fr_http_call call;
    h2o_multithread_message_t message;
    fr_pool_job job;
    h2o_linklist_t waiting; /* for an offset */
    h2o_generator_t generator;
    fr_http_loop *loop;
    connection *from;
    h2o_req_t *req; /* NULL: orphaned */
    int64_t start_ns, expires_ms;
    fr_http_next next; /* of a message */
    bool woken;        /* the message is a wake(): step again */
    bool late;         /* the message is a pool's refusal */
    bool in_flight, close_after;
    struct daemon_call *free_next;
} daemon_call;

typedef struct lingering {
    h2o_linklist_t link;
    h2o_timeout_entry_t timeout;
    h2o_socket_t *sock;
    fr_http_loop *loop;
} lingering;

struct fr_http_loop {
    fr_daemon *daemon;
    h2o_loop_t *loop;
    h2o_multithread_queue_t *queue;
    h2o_context_t context;
    h2o_accept_ctx_t accept;
    h2o_multithread_receiver_t calls;
    h2o_timeout_t first_byte_timeout, linger_timeout, tick_timeout, sweep_timeout;
    h2o_timeout_entry_t tick, sweep;
    h2o_linklist_t connections, waiting, lingering;
    uint32_t lingering_count, free_count;
    daemon_call *free_calls;
    fr_http_worker *worker, tired; /* the loop's; tired: without a searcher */
    int64_t round_ms, round_begin_ns; /* the wait for sockets that returned last */
    bool draining, stopped;
    fr_counters *counters; /* the loop's */
    fr_grpc_loop *grpc;
    void *owner;
    void (*gone)(void *owner, uint32_t slot);
};

static h2o_globalconf_t globals;
static h2o_hostconf_t *host;

static int64_t loop_ms(const fr_http_loop *loop) { return (int64_t)h2o_now(loop->loop); }

static fr_http_loop *loop_of(h2o_context_t *context) { return H2O_STRUCT_FROM_MEMBER(fr_http_loop, context, context); }

static connection *connection_of(h2o_req_t *req) { return req->conn->callbacks->get_socket(req->conn)->on_close.data; }

/* ---- lingering close: the rest of a refused body is read and dropped, so that the client sees the answer, not a reset ---- */

static void linger_end(lingering *self)
{
    h2o_timeout_unlink(&self->timeout);
    h2o_linklist_unlink(&self->link);
    self->loop->lingering_count--;
    h2o_socket_close(self->sock);
    fr_free(FR_MEM_DAEMON, self);
}

static void on_linger_timeout(h2o_timeout_entry_t *entry) { linger_end(H2O_STRUCT_FROM_MEMBER(lingering, timeout, entry)); }

static void on_linger_read(h2o_socket_t *sock, const char *err)
{
    lingering *self = sock->data;
    h2o_buffer_consume(&sock->input, sock->input->size);
    if (err) linger_end(self);
}

static void linger(fr_http_loop *loop, int fd)
{
    lingering *self = loop->stopped || loop->lingering_count >= LINGERING_MAX ? NULL : fr_zalloc(FR_MEM_DAEMON, sizeof *self);
    shutdown(fd, SHUT_WR);
    if (!self) {
        close(fd);
        return;
    }
    self->loop = loop;
    loop->lingering_count++;
    h2o_linklist_insert(&loop->lingering, &self->link);
    self->sock = h2o_evloop_socket_create(loop->loop, fd, 0);
    self->sock->data = self;
    self->timeout.cb = on_linger_timeout;
    h2o_timeout_link(loop->loop, &loop->linger_timeout, &self->timeout);
    h2o_socket_read_start(self->sock, on_linger_read);
}

static void linger_after(connection *from)
{
    if (from->linger_fd < 0) from->linger_fd = fcntl(h2o_socket_get_fd(from->sock), F_DUPFD_CLOEXEC, 0);
}

/* ---- calls ---- */

static void on_wake(fr_http_call *call)
{
    daemon_call *self = call->carrier; /* any thread */
    self->woken = true;
    h2o_multithread_send_message(&self->loop->calls, &self->message);
}

static daemon_call *call_take(fr_http_loop *loop)
{
    daemon_call *self = loop->free_calls;
    if (self) {
        loop->free_calls = self->free_next;
        loop->free_count--;
        return self;
    }
    self = fr_zalloc(FR_MEM_DAEMON, sizeof *self);
    if (!self) return NULL;
    fr_http_call_init(&self->call);
    self->call.carrier = self;
    self->call.wake = on_wake;
    self->loop = loop;
    return self;
}

static void call_give(daemon_call *self)
{
    fr_http_loop *loop = self->loop;
    fr_http_call_reset(&self->call);
    if (loop->free_count >= FREE_CALLS_MAX) {
        fr_http_call_free(&self->call);
        fr_free(FR_MEM_DAEMON, self);
        return;
    }
    self->free_next = loop->free_calls;
    loop->free_calls = self;
    loop->free_count++;
}

/* The request's pool is being cleared: the answer is out, or the connection is gone. */
static void on_request_end(void *slot)
{
    daemon_call *self = *(daemon_call **)slot;
    self->req = NULL;
    self->from = NULL;
    if (!self->in_flight) call_give(self);
}

/* ---- answers ---- */

static const char *reason_of(int status)
{
    switch (status) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 409: return "Conflict";
    case 413: return "Content Too Large";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 505: return "HTTP Version Not Supported";
    default: return "Internal Server Error";
    }
}

static void headers_set(h2o_req_t *req, const fr_http_call *call)
{
    req->res.status = call->status;
    req->res.reason = reason_of(call->status);
    req->res.content_length = call->out.size;
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, call->content_type, strlen(call->content_type));
    if (call->allow) h2o_add_header_by_str(&req->pool, &req->res.headers, "allow", 5, 0, NULL, call->allow, strlen(call->allow));
    if (call->authenticate) h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_WWW_AUTHENTICATE, NULL, call->authenticate, strlen(call->authenticate));
    if (!call->retry_after_s) return;
    char *text = h2o_mem_alloc_pool(&req->pool, 16);
    int size = snprintf(text, 16, "%d", call->retry_after_s);
    h2o_add_header_by_str(&req->pool, &req->res.headers, "retry-after", 11, 0, NULL, text, (size_t)size);
}

static void answer(daemon_call *self)
{
    fr_http_loop *loop = self->loop;
    fr_http_call *call = &self->call;
    h2o_req_t *req = self->req;
    connection *from = self->from;
    self->in_flight = false;
    fr_tally(&loop->counters->in_flight, (uint64_t)-1);
    int64_t took_ns = fr_now_ns() - self->start_ns;
    if (!fr_milvus_guest_count(call, took_ns, &loop->counters->rest))
        fr_counters_reply(loop->counters, fr_http_route_index(call->route), call->status, took_ns, call->body.text.size, call->out.size);
    fr_http_account(&loop->daemon->door, call);
    if (call->status == 429) fr_tally(&loop->counters->shed_busy, 1);
    if (!req) {
        call_give(self);
        return;
    }
    from->busy = false, from->ours = true;
    from->progress_ms = loop_ms(loop);
    if (self->close_after || loop->draining) req->http1_is_persistent = 0;
    headers_set(req, call);
    h2o_start_response(req, &self->generator);
    h2o_iovec_t body = h2o_iovec_init(call->out.data, call->out.size);
    h2o_send(req, &body, call->head || !body.len ? 0 : 1, H2O_SEND_STATE_FINAL);
}

/* ---- stepping ---- */

static void on_job(fr_pool_job *job, fr_http_worker *worker)
{
    daemon_call *self = H2O_STRUCT_FROM_MEMBER(daemon_call, job, job); /* a pool's thread */
    fr_http_loop *loop = self->loop;
    fr_http_next next = fr_http_step(&loop->daemon->door, &self->call, worker);
    if (next == FR_HTTP_SUBMITTED) return; /* not ours any more */
    self->next = next;
    self->woken = false;
    h2o_multithread_send_message(&loop->calls, &self->message);
}

static void shed(daemon_call *self)
{
    fr_tally(&self->loop->counters->shed_queue, 1);
    fr_http_refuse(&self->call, 429, fr_strcode(FR_ERR_BUSY), NULL, "the queue is full: try again");
    answer(self);
}

static void on_late(fr_pool_job *job)
{
    daemon_call *self = H2O_STRUCT_FROM_MEMBER(daemon_call, job, job); /* a pool's thread */
    self->late = true;
    self->woken = false;
    h2o_multithread_send_message(&self->loop->calls, &self->message);
}

static void push(daemon_call *self, fr_pool *pool)
{
    self->job.run = on_job;
    self->job.refuse = on_late;
    if (!pool || !fr_pool_push(pool, &self->job)) shed(self);
}

static void tick_on(fr_http_loop *loop)
{
    if (!h2o_timeout_is_linked(&loop->tick)) h2o_timeout_link(loop->loop, &loop->tick_timeout, &loop->tick);
}

static void wait_begin(daemon_call *self)
{
    fr_http_loop *loop = self->loop;
    self->expires_ms = loop_ms(loop) + self->call.wait_ms;
    h2o_linklist_insert(&loop->waiting, &self->waiting);
    tick_on(loop);
    if (fr_http_arm(&loop->daemon->door, &self->call) != FR_HTTP_REPLY) return;
    h2o_linklist_unlink(&self->waiting);
    answer(self);
}

/* The loop's thread decides where a call goes on. */
static void advance(daemon_call *self, fr_http_next next)
{
    fr_daemon *daemon = self->loop->daemon;
    switch (next) {
    case FR_HTTP_REPLY: answer(self); return;
    case FR_HTTP_SEARCHER: push(self, daemon->searchers); return;
    case FR_HTTP_WORKER: push(self, daemon->workers); return;
    case FR_HTTP_CHORE: push(self, daemon->chores); return;
    case FR_HTTP_SUBMITTED: return;
    case FR_HTTP_LOOP: advance(self, fr_http_step(&daemon->door, &self->call, self->loop->worker)); return;
    case FR_HTTP_WAIT: wait_begin(self); return;
    }
}

static void on_calls(h2o_multithread_receiver_t *receiver, h2o_linklist_t *messages)
{
    fr_http_loop *loop = H2O_STRUCT_FROM_MEMBER(fr_http_loop, calls, receiver);
    while (!h2o_linklist_is_empty(messages)) {
        daemon_call *self = H2O_STRUCT_FROM_MEMBER(daemon_call, message.link, messages->next);
        h2o_linklist_unlink(&self->message.link);
        if (h2o_linklist_is_linked(&self->waiting)) h2o_linklist_unlink(&self->waiting);
        if (self->late) {
            self->late = false;
            shed(self);
        } else if (!self->woken) {
            advance(self, self->next);
        } else if (atomic_load(&loop->daemon->closing)) {
            fr_http_refuse(&self->call, 503, fr_strcode(FR_ERR_CLOSED), NULL, "the server is stopping");
            answer(self);
        } else {
            advance(self, fr_http_step(&loop->daemon->door, &self->call, loop->worker));
        }
    }
}

static void expire(fr_http_loop *loop, bool all)
{
    for (h2o_linklist_t *node = loop->waiting.next, *next; node != &loop->waiting; node = next) {
        next = node->next;
        daemon_call *self = H2O_STRUCT_FROM_MEMBER(daemon_call, waiting, node);
        if (!all && self->expires_ms > loop_ms(loop)) continue;
        h2o_linklist_unlink(node);
        if (fr_http_expire(&loop->daemon->door, &self->call) == FR_HTTP_REPLY) answer(self);
    }
}

static void on_tick(h2o_timeout_entry_t *entry)
{
    fr_http_loop *loop = H2O_STRUCT_FROM_MEMBER(fr_http_loop, tick, entry);
    expire(loop, false);
    if (!h2o_linklist_is_empty(&loop->waiting)) tick_on(loop);
}

/* ---- requests ---- */

static void refuse(daemon_call *self, const fr_head *head)
{
    fr_tally(&self->loop->counters->refused_heads, 1);
    self->close_after = true;
    linger_after(self->from);
    fr_http_refuse(&self->call, head->status, head->status == 501 ? "unsupported" : "invalid_argument", "request", head->reason);
    answer(self);
}

/* Bytes that may be read from the body on: the input buffer's allocation goes on behind it. */
static size_t readable(const h2o_buffer_t *input, h2o_iovec_t entity)
{
    if (!entity.base || input->_fd != -1) return entity.len;
    const char *end = input->_buf + input->capacity;
    return entity.base >= input->_buf && entity.base <= end ? (size_t)(end - entity.base) : entity.len;
}

static void request_in(daemon_call *self, const h2o_buffer_t *input)
{
    h2o_req_t *req = self->req;
    fr_http_call *call = &self->call;
    h2o_iovec_t path = req->input.path;
    const char *mark = memchr(path.base, '?', path.len);
    size_t size = mark ? (size_t)(mark - path.base) : path.len;
    ssize_t authorization = h2o_find_header(&req->headers, H2O_TOKEN_AUTHORIZATION, -1);
    if (authorization >= 0) {
        h2o_iovec_t value = req->headers.entries[authorization].value;
        call->authorization = fr_span_of(value.base, value.len);
    }
    call->method = fr_span_of(req->input.method.base, req->input.method.len);
    call->path = fr_span_of(path.base, size);
    call->query = mark ? fr_span_of(mark + 1, path.len - size - 1) : fr_span_of("", 0);
    ssize_t int64 = h2o_find_header_by_str(&req->headers, "accept-type-allow-int64", 23, -1);
    call->int64_numbers = int64 >= 0 && h2o_lcstris(req->headers.entries[int64].value.base, req->headers.entries[int64].value.len, "true", 4);
    call->body = (fr_json_body){{req->entity.base, req->entity.len}, readable(input, req->entity)};
}

/* Hundreds of sockets can be readable at once. Past a while a loop leaves searches to the pool, which knows what is too much: health and
 * metrics wait behind parsing and refusing, not behind searching. */
static fr_http_worker *worker_for(fr_http_loop *loop, int64_t now_ns)
{
    if (loop->round_ms != loop_ms(loop)) loop->round_ms = loop_ms(loop), loop->round_begin_ns = now_ns;
    return now_ns - loop->round_begin_ns < ROUND_NS ? loop->worker : &loop->tired;
}

static int on_request(h2o_handler_t *handler, h2o_req_t *req)
{
    (void)handler;
    fr_http_loop *loop = loop_of(req->conn->ctx);
    connection *from = connection_of(req);
    daemon_call *self = call_take(loop);
    if (!self) {
        req->http1_is_persistent = 0;
        h2o_send_error_503(req, "Service Unavailable", "no memory", 0);
        return 0;
    }
    daemon_call **slot = h2o_mem_alloc_shared(&req->pool, sizeof *slot, on_request_end);
    *slot = self;
    self->req = req, self->from = from;
    self->start_ns = fr_now_ns();
    self->in_flight = true, self->close_after = false;
    from->busy = true;
    fr_tally(&loop->counters->in_flight, 1);
    request_in(self, from->sock->input);
    fr_head head = fr_head_scan(from->sock->input->bytes, from->sock->input->size);
    if (head.status) {
        refuse(self, &head);
        return 0;
    }
    self->close_after = head.chunked; /* chunk framing is read leniently: nothing may follow it */
    advance(self, fr_http_begin(&loop->daemon->door, &self->call, worker_for(loop, self->start_ns)));
    return 0;
}

/* ---- errors that h2o makes itself: the same JSON as ours ---- */

typedef struct error_stream {
    h2o_ostream_t super;
    h2o_iovec_t body;
} error_stream;

static void error_send(h2o_ostream_t *super, h2o_req_t *req, h2o_iovec_t *bufs, size_t count, h2o_send_state_t state)
{
    (void)bufs;
    error_stream *self = (error_stream *)super;
    h2o_ostream_send_next(super, req, &self->body, count ? 1 : 0, state);
}

static h2o_iovec_t error_text(h2o_req_t *req)
{
    int status = req->res.status;
    const char *code = status == 413 ? "too_large" : status == 417 || status == 400 ? "invalid_argument"
                       : status == 503 ? "no_memory" : "internal";
    const char *text = status == 413   ? "the body is larger than the limit of 67108864 bytes"
                       : status == 417 ? "this expectation is not known"
                       : status == 400 ? "the request's framing is broken" : "the request was refused";
    char *out = h2o_mem_alloc_pool(&req->pool, 256);
    int size = snprintf(out, 256, "{\"error\":{\"code\":\"%s\",\"message\":\"%s\",\"field\":\"%s\"}}\n", code, text,
                        status == 413 ? "body" : "request");
    return h2o_iovec_init(out, (size_t)size);
}

static void on_setup(h2o_filter_t *filter, h2o_req_t *req, h2o_ostream_t **slot)
{
    (void)filter;
    connection *from = connection_of(req);
    if (!from->ours && req->res.status >= 400) {
        error_stream *stream = (error_stream *)h2o_add_ostream(req, sizeof *stream, slot);
        stream->super.do_send = error_send;
        stream->body = error_text(req);
        slot = &stream->super.next;
        req->res.content_length = stream->body.len;
        req->res.headers.size = 0;
        h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, "application/json", 16);
        fr_counters_reply(from->loop->counters, fr_http_route_count(), req->res.status, 0, 0, stream->body.len);
        from->progress_ms = loop_ms(from->loop);
        linger_after(from);
    }
    from->ours = false;
    h2o_setup_next_ostream(req, slot);
}

/* ---- connections ---- */

static void on_connection_end(void *data)
{
    connection *self = data;
    fr_http_loop *loop = self->loop;
    h2o_timeout_unlink(&self->first_byte);
    h2o_linklist_unlink(&self->link);
    loop->gone(loop->owner, self->address_slot);
    if (self->linger_fd >= 0) linger(loop, self->linger_fd);
    fr_free(FR_MEM_DAEMON, self);
}

/* What the first bytes say: HTTP/2's preface, that is gRPC, is told from HTTP/1 here, and nowhere else. */
typedef enum protocol { PROTOCOL_MORE, PROTOCOL_HTTP1, PROTOCOL_HTTP2 } protocol;

static protocol sniff(const char *bytes, size_t size)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    size_t shared = FR_MIN(size, sizeof preface - 1);
    if (memcmp(bytes, preface, shared) != 0) return PROTOCOL_HTTP1;
    return shared == sizeof preface - 1 ? PROTOCOL_HTTP2 : PROTOCOL_MORE;
}

static void on_first_bytes(h2o_socket_t *sock, const char *err)
{
    connection *self = sock->data;
    if (err) {
        h2o_socket_close(sock);
        return;
    }
    protocol spoken = sniff(sock->input->bytes, sock->input->size);
    if (spoken == PROTOCOL_MORE) return;
    h2o_timeout_unlink(&self->first_byte);
    h2o_socket_read_stop(sock);
    sock->data = NULL;
    if (spoken == PROTOCOL_HTTP2 && self->loop->grpc) {
        self->grpc = true;
        fr_grpc_loop_adopt(self->loop->grpc, sock);
        return;
    }
    self->handed = true;
    h2o_http1_accept(&self->loop->accept, sock, *h2o_get_timestamp(&self->loop->context, NULL, NULL));
}

static void on_first_byte_timeout(h2o_timeout_entry_t *entry)
{
    h2o_socket_close(H2O_STRUCT_FROM_MEMBER(connection, first_byte, entry)->sock);
}

static void sweep_on(fr_http_loop *loop)
{
    if (!h2o_timeout_is_linked(&loop->sweep)) h2o_timeout_link(loop->loop, &loop->sweep_timeout, &loop->sweep);
}

bool fr_http_loop_adopt(fr_http_loop *loop, h2o_socket_t *sock, uint32_t slot)
{
    connection *self = loop->draining ? NULL : fr_zalloc(FR_MEM_DAEMON, sizeof *self);
    if (!self) return false;
    self->loop = loop, self->sock = sock, self->address_slot = slot, self->linger_fd = -1;
    h2o_linklist_insert(&loop->connections, &self->link);
    sock->data = self;
    sock->on_close.cb = on_connection_end;
    sock->on_close.data = self;
    self->first_byte.cb = on_first_byte_timeout;
    h2o_timeout_link(loop->loop, &loop->first_byte_timeout, &self->first_byte);
    sweep_on(loop);
    h2o_socket_read_start(sock, on_first_bytes);
    if (sock->ssl && sock->input->size) on_first_bytes(sock, NULL); /* came with the end of the handshake */
    return true;
}

/* ---- the sweep: answers that nobody takes ---- */

static void on_sweep(h2o_timeout_entry_t *entry)
{
    fr_http_loop *loop = H2O_STRUCT_FROM_MEMBER(fr_http_loop, sweep, entry);
    int64_t now_ms = loop_ms(loop);
    for (h2o_linklist_t *node = loop->connections.next; node != &loop->connections; node = node->next) {
        connection *self = H2O_STRUCT_FROM_MEMBER(connection, link, node);
        if (self->grpc || !h2o_socket_is_writing(self->sock)) continue;
        if (!fr_conn_untaken(h2o_socket_get_fd(self->sock), &self->acked, &self->progress_ms, now_ms)) continue;
        fr_tally(&loop->counters->stalled, 1);
        self->progress_ms = now_ms;
        shutdown(h2o_socket_get_fd(self->sock), SHUT_RDWR); /* the write fails, h2o closes */
    }
    if (!h2o_linklist_is_empty(&loop->connections)) sweep_on(loop);
}

/* ---- life ---- */

void fr_http_loop_globals_init(void)
{
    h2o_socket_buffer_mmap_settings.threshold = SIZE_MAX; /* bodies stay in memory, never in files under /tmp */
    h2o_config_init(&globals);
    globals.server_name = h2o_iovec_init("freshet", 7);
    globals.http1.req_timeout = FR_DAEMON_REQUEST_MS;
    globals.http1.upgrade_to_http2 = 0;
    globals.max_request_entity_size = FR_REQUEST_BYTES_MAX;
    host = h2o_config_register_host(&globals, h2o_iovec_init("default", 7), 65535);
    h2o_pathconf_t *paths[] = {h2o_config_register_path(host, "/", 0), &host->fallback_path};
    for (size_t i = 0; i < FR_COUNT_OF(paths); i++) {
        h2o_create_handler(paths[i], sizeof(h2o_handler_t))->on_req = on_request;
        h2o_create_filter(paths[i], sizeof(h2o_filter_t))->on_setup_ostream = on_setup;
    }
}

fr_http_loop *fr_http_loop_create(fr_daemon *daemon, h2o_loop_t *loop, h2o_multithread_queue_t *queue, fr_http_worker *worker,
                                  fr_counters *counters, fr_grpc_loop *grpc, void *owner, void (*gone)(void *owner, uint32_t slot))
{
    fr_http_loop *self = fr_zalloc(FR_MEM_DAEMON, sizeof *self);
    if (!self) return NULL;
    self->daemon = daemon, self->loop = loop, self->queue = queue, self->worker = worker, self->counters = counters, self->grpc = grpc;
    self->owner = owner, self->gone = gone;
    self->tired = (fr_http_worker){.dom = worker->dom, .loop = true};
    h2o_linklist_init_anchor(&self->connections);
    h2o_linklist_init_anchor(&self->waiting);
    h2o_linklist_init_anchor(&self->lingering);
    h2o_context_init(&self->context, loop, &globals);
    self->accept = (h2o_accept_ctx_t){.ctx = &self->context, .hosts = globals.hosts};
    h2o_multithread_register_receiver(queue, &self->calls, on_calls);
    h2o_timeout_init(loop, &self->first_byte_timeout, FR_DAEMON_FIRST_BYTE_MS);
    h2o_timeout_init(loop, &self->linger_timeout, LINGER_MS);
    h2o_timeout_init(loop, &self->tick_timeout, TICK_MS);
    h2o_timeout_init(loop, &self->sweep_timeout, SWEEP_MS);
    self->tick.cb = on_tick;
    self->sweep.cb = on_sweep;
    return self;
}

void fr_http_loop_drain(fr_http_loop *self)
{
    self->draining = true;
    self->context.shutdown_requested = 1; /* h2o_context_request_shutdown would start a timer of HTTP/2 */
    expire(self, true);
    for (h2o_linklist_t *node = self->connections.next; node != &self->connections; node = node->next) {
        connection *one = H2O_STRUCT_FROM_MEMBER(connection, link, node);
        bool idle = !one->grpc && !one->busy && !h2o_socket_is_writing(one->sock) && one->sock->input->size == 0;
        if (idle) shutdown(h2o_socket_get_fd(one->sock), SHUT_RD); /* reads end-of-file, closes */
    }
}

void fr_http_loop_cut(fr_http_loop *self)
{
    for (h2o_linklist_t *node = self->connections.next; node != &self->connections; node = node->next) {
        connection *one = H2O_STRUCT_FROM_MEMBER(connection, link, node);
        if (!one->grpc) shutdown(h2o_socket_get_fd(one->sock), SHUT_RDWR);
    }
}

void fr_http_loop_end(fr_http_loop *self)
{
    self->stopped = true;
    while (!h2o_linklist_is_empty(&self->lingering)) linger_end(H2O_STRUCT_FROM_MEMBER(lingering, link, self->lingering.next));
    h2o_timeout_unlink(&self->tick);
    h2o_timeout_unlink(&self->sweep);
}

bool fr_http_loop_empty(const fr_http_loop *self)
{
    return self->connections.next == &self->connections && self->waiting.next == &self->waiting;
}

void fr_http_loop_dispose(fr_http_loop *self)
{
    h2o_multithread_unregister_receiver(self->queue, &self->calls);
    h2o_context_dispose(&self->context);
    h2o_timeout_t *const timeouts[] = {&self->first_byte_timeout, &self->linger_timeout, &self->tick_timeout, &self->sweep_timeout};
    for (size_t i = 0; i < FR_COUNT_OF(timeouts); i++) h2o_timeout_dispose(self->loop, timeouts[i]);
    while (self->free_calls) {
        daemon_call *one = self->free_calls;
        self->free_calls = one->free_next;
        fr_http_call_free(&one->call);
        fr_free(FR_MEM_DAEMON, one);
    }
    fr_free(FR_MEM_DAEMON, self);
}
