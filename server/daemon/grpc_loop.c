/* grpc_loop.c: gRPC over HTTP/2: nghttp2 on h2o's sockets; streams to calls, calls to replies with trailers.
 *
 * Invariants
 *   1. A stream belongs to the loop's thread, except between being handed to a pool or the engine and its message back. It lives until
 *      nghttp2 has closed it and no such message is outstanding; then it is freed, once.
 *   2. A connection lives until its socket is closed and its last stream is freed. nghttp2's session is never deleted, and no
 *      connection shut, inside of one of its callbacks.
 *   3. PING is acknowledged by nghttp2 whenever the loop turns: nothing here waits.
 *   4. Every stream that is answered gets trailers with grpc-status; a failed one gets them alone. */
#include "server/daemon/grpc_loop.h"

#include "server/daemon/conns.h"
#include "server/daemon/daemon.h"

#include <nghttp2/nghttp2.h>

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define OUT_BYTES (64u << 10)
#define OUT_FRAME_MAX (32u << 10) /* nghttp2 makes frames of at most 16 KiB */
#define FREE_CALLS_MAX 16u
#define PREFIX_BYTES 5u
#define FIRST_BODY_BYTES (16u << 10)
#define STREAM_WINDOW (8 << 20)
#define CONNECTION_WINDOW (64 << 20)
#define FRAME_BYTES (1u << 20)
#define PATH_BYTES_MAX 128u
#define TICK_MS 10

typedef struct grpc_connection grpc_connection;

/* A call and what carries it; kept for the next request when its stream is over. */
typedef struct stream {
    fr_milvus_call call;
    h2o_multithread_message_t message;
    fr_pool_job work;
    h2o_linklist_t link, timed; /* of the connection; of the loop, with a deadline */
    struct stream *free_next;
    /* What other threads write while the loop may look at the flags below: never in one word with them. */
    _Alignas(8) struct {
        fr_milvus_next next;
        bool woken; /* the message is a wake() */
    } told;
    grpc_connection *from;
    int32_t id;
    bool in_flight;      /* a message will come */
    bool closed;         /* nghttp2 has forgotten the stream */
    bool answered;       /* a response was submitted */
    bool begun;          /* all of the request is there, or it was refused */
    bool post, grpc, compressed;
    char path[PATH_BYTES_MAX + 1];
    size_t header_bytes;
    uint8_t *body;
    size_t body_size, body_capacity;
    size_t sent, counted; /* of call.out; in output_bytes */
    int64_t deadline_ms, progress_ms;
    int64_t start_ns; /* 0: not begun, or answered */
} stream;

struct grpc_connection {
    fr_conn net;
    fr_grpc_loop *loop;
    nghttp2_session *session;
    h2o_linklist_t streams;
    uint32_t stream_count;
    uint8_t *out; /* what is being written */
    bool ending, inside; /* inside: one of nghttp2's callbacks may be running */
    size_t input_bytes, output_bytes;
    uint32_t control_left;
    int64_t control_ms;
};

struct fr_grpc_loop {
    fr_conns conns;
    fr_daemon *daemon;
    h2o_linklist_t timed;
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    const fr_http_worker *worker; /* the loop's */
    fr_rpc_counters *counters;
    stream *free_streams;
    uint32_t free_count;
};

static int64_t now_ms(const fr_grpc_loop *self) { return fr_conns_ms(&self->conns); }

static void flush(grpc_connection *self);

/* ---- streams ---- */

static void on_wake(fr_milvus_call *call)
{
    stream *self = call->carrier; /* any thread */
    self->told.woken = true;
    h2o_multithread_send_message(&self->from->loop->conns.receiver, &self->message);
}

static stream *stream_take(grpc_connection *from, int32_t id)
{
    fr_grpc_loop *loop = from->loop;
    stream *self = loop->free_streams;
    if (self) {
        loop->free_streams = self->free_next;
        loop->free_count--;
    } else {
        self = fr_zalloc(FR_MEM_DAEMON, sizeof *self);
        if (!self) return NULL;
        fr_milvus_call_init(&self->call);
        self->call.wake = on_wake;
        self->call.carrier = self;
    }
    self->from = from, self->id = id;
    self->told.woken = self->in_flight = self->closed = self->answered = self->begun = self->post = self->grpc = self->compressed = false;
    self->path[0] = 0, self->header_bytes = 0, self->sent = self->counted = 0, self->deadline_ms = self->start_ns = 0;
    self->progress_ms = now_ms(loop);
    h2o_linklist_insert(&from->streams, &self->link);
    from->stream_count++;
    return self;
}

static void body_free(stream *self)
{
    self->from->input_bytes -= self->body_capacity;
    fr_free(FR_MEM_DAEMON, self->body);
    self->body = NULL, self->body_size = self->body_capacity = 0;
}

/* Once for a stream: when it is answered, or nobody waits any more. */
static void count(stream *self, size_t answer, size_t bytes_in, size_t bytes_out)
{
    fr_rpc_counters *counters = self->from->loop->counters;
    if (self->start_ns) fr_tally(&counters->in_flight, (uint64_t)-1);
    fr_counters_rpc(counters, fr_milvus_rpc_index(&self->call), answer, self->start_ns ? fr_now_ns() - self->start_ns : 0, bytes_in, bytes_out);
    self->start_ns = 0;
}

static void connection_free_if_over(grpc_connection *self)
{
    if (self->net.sock || self->stream_count || self->inside) return;
    if (self->session) nghttp2_session_del(self->session);
    self->loop->conns.alive--;
    fr_free(FR_MEM_DAEMON, self->out);
    fr_free(FR_MEM_DAEMON, self);
}

/* When nobody wants it any more. */
static void stream_free_if_over(stream *self)
{
    grpc_connection *from = self->from;
    fr_grpc_loop *loop = from->loop;
    if (!self->closed || self->in_flight) return;
    if (!self->answered) count(self, fr_milvus_answer_grpc(FR_GRPC_CANCELLED), self->body_size, 0);
    body_free(self);
    from->output_bytes -= self->counted;
    if (h2o_linklist_is_linked(&self->timed)) h2o_linklist_unlink(&self->timed);
    h2o_linklist_unlink(&self->link);
    from->stream_count--;
    fr_milvus_call_reset(&loop->daemon->milvus, &self->call);
    if (loop->free_count >= FREE_CALLS_MAX) {
        fr_milvus_call_free(&loop->daemon->milvus, &self->call);
        fr_free(FR_MEM_DAEMON, self);
    } else {
        self->free_next = loop->free_streams;
        loop->free_streams = self;
        loop->free_count++;
    }
    connection_free_if_over(from);
}

/* ---- connections ---- */

/* The socket goes at once; streams that the engine or a pool holds end by their messages. */
static void shut(grpc_connection *self)
{
    if (!self->net.sock || self->inside) return;
    self->inside = true; /* stays until every stream was looked at */
    fr_conn_close(&self->net);
    for (h2o_linklist_t *node = self->streams.next, *next; node != &self->streams; node = next) {
        next = node->next;
        stream *one = H2O_STRUCT_FROM_MEMBER(stream, link, node);
        one->closed = true;
        stream_free_if_over(one);
    }
    self->inside = false;
    connection_free_if_over(self);
}

/* ---- answers ---- */

static nghttp2_nv header(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE};
}

/* grpc-message: percent-encoded. */
static void words_encode(const char *words, char *out, size_t size)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t at = 0;
    for (const unsigned char *in = (const unsigned char *)words; *in && at + 4 < size; in++) {
        if (*in >= 0x20 && *in <= 0x7e && *in != '%') {
            out[at++] = (char)*in;
        } else {
            out[at++] = '%';
            out[at++] = hex[*in >> 4];
            out[at++] = hex[*in & 15];
        }
    }
    out[at] = 0;
}

static ssize_t on_send_data(nghttp2_session *session, int32_t id, uint8_t *buffer, size_t size, uint32_t *flags, nghttp2_data_source *source,
                            void *user)
{
    stream *self = source->ptr;
    size_t count = FR_MIN(size, self->call.out.size - self->sent);
    (void)user;
    memcpy(buffer, self->call.out.data + self->sent, count);
    self->sent += count;
    self->progress_ms = now_ms(self->from->loop);
    if (self->sent < self->call.out.size) return (ssize_t)count;
    nghttp2_nv trailer = header("grpc-status", "0");
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    if (nghttp2_submit_trailer(session, id, &trailer, 1) != 0) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    return (ssize_t)count;
}

/* Trailers alone. */
static void answer_status(stream *self, int status, const char *words)
{
    char number[12], text[640];
    snprintf(number, sizeof number, "%d", status);
    words_encode(words, text, sizeof text);
    nghttp2_nv headers[] = {header(":status", "200"), header("content-type", "application/grpc"), header("grpc-accept-encoding", "identity"),
                            header("grpc-status", number), header("grpc-message", text)};
    count(self, fr_milvus_answer_grpc(status), self->body_size, 0); /* the call may be in another thread's hands: only its RPC is looked at */
    self->answered = self->begun = true;
    nghttp2_submit_response(self->from->session, self->id, headers, FR_COUNT_OF(headers), NULL);
}

/* A peer that is no gRPC client: a status of HTTP. */
static void answer_http(stream *self, const char *status)
{
    nghttp2_nv headers[] = {header(":status", status)};
    count(self, fr_milvus_answer_count() - 1, self->body_size, 0);
    self->answered = self->begun = true;
    nghttp2_submit_response(self->from->session, self->id, headers, FR_COUNT_OF(headers), NULL);
}

/* The call has ended. */
static void answer(stream *self)
{
    fr_milvus_call *call = &self->call;
    grpc_connection *from = self->from;
    if (self->answered || self->closed || !from->net.sock) {
        body_free(self);
        return;
    }
    if (call->status == FR_GRPC_OK && from->output_bytes > FR_DAEMON_GRPC_OUTPUT_MAX)
        fr_milvus_refuse(call, FR_GRPC_RESOURCE_EXHAUSTED, "too many bytes of replies of this connection have not been taken");
    if (call->status != FR_GRPC_OK) {
        answer_status(self, call->status, call->words);
        body_free(self);
        return;
    }
    count(self, fr_milvus_answer(call), self->body_size, call->out.size);
    fr_milvus_account(&from->loop->daemon->milvus, call, call->out.size);
    body_free(self);
    nghttp2_nv headers[] = {header(":status", "200"), header("content-type", "application/grpc"), header("grpc-accept-encoding", "identity")};
    nghttp2_data_provider data = {.source.ptr = self, .read_callback = on_send_data};
    self->answered = true;
    self->counted = call->out.size;
    from->output_bytes += self->counted;
    self->progress_ms = now_ms(from->loop);
    nghttp2_submit_response(from->session, self->id, headers, FR_COUNT_OF(headers), &data);
}

/* ---- stepping ---- */

static void on_work(fr_pool_job *work, fr_http_worker *worker)
{
    stream *self = H2O_STRUCT_FROM_MEMBER(stream, work, work); /* a pool's thread */
    fr_grpc_loop *loop = self->from->loop;
    fr_milvus_worker with = {.searcher = worker->searcher, .dom = worker->dom};
    fr_milvus_next next = fr_milvus_step(&loop->daemon->milvus, &self->call, &with);
    if (next == FR_MILVUS_SUBMITTED) return; /* not ours any more */
    self->told.next = next;
    self->told.woken = false;
    h2o_multithread_send_message(&loop->conns.receiver, &self->message);
}

static const char queue_is_full[] = "the queue is full: try again";

static void on_late(fr_pool_job *work)
{
    stream *self = H2O_STRUCT_FROM_MEMBER(stream, work, work); /* a pool's thread */
    fr_milvus_refuse(&self->call, FR_GRPC_UNAVAILABLE, queue_is_full);
    self->told.next = FR_MILVUS_REPLY;
    self->told.woken = false;
    h2o_multithread_send_message(&self->from->loop->conns.receiver, &self->message);
}

static void push(stream *self, fr_pool *pool)
{
    self->work.run = on_work;
    self->work.refuse = on_late;
    self->in_flight = true;
    if (pool && fr_pool_push(pool, &self->work)) return;
    self->in_flight = false;
    fr_milvus_refuse(&self->call, FR_GRPC_UNAVAILABLE, queue_is_full);
    answer(self);
}

static void advance(stream *self, fr_milvus_next next)
{
    fr_daemon *daemon = self->from->loop->daemon;
    self->in_flight = false;
    if (next != FR_MILVUS_SUBMITTED && (self->closed || self->answered)) next = FR_MILVUS_REPLY; /* nobody waits; the pools may be gone */
    switch (next) {
    case FR_MILVUS_REPLY: answer(self); return;
    case FR_MILVUS_SEARCHER: push(self, daemon->searchers); return;
    case FR_MILVUS_WORKER: push(self, daemon->workers); return;
    case FR_MILVUS_CHORE: push(self, daemon->chores); return;
    case FR_MILVUS_SUBMITTED: self->in_flight = true; return;
    }
}

static fr_milvus_worker loop_worker(const fr_grpc_loop *loop)
{
    return (fr_milvus_worker){.searcher = loop->worker->searcher, .dom = loop->worker->dom, .loop = true};
}

static void on_messages(h2o_multithread_receiver_t *receiver, h2o_linklist_t *messages)
{
    fr_grpc_loop *loop = H2O_STRUCT_FROM_MEMBER(fr_grpc_loop, conns.receiver, receiver);
    while (!h2o_linklist_is_empty(messages)) {
        stream *self = H2O_STRUCT_FROM_MEMBER(stream, message.link, messages->next);
        grpc_connection *from = self->from;
        h2o_linklist_unlink(&self->message.link);
        fr_milvus_next next = self->told.next;
        if (self->told.woken && !atomic_load(&loop->daemon->closing)) {
            fr_milvus_worker worker = loop_worker(loop);
            next = fr_milvus_step(&loop->daemon->milvus, &self->call, &worker);
        } else if (self->told.woken) {
            fr_milvus_refuse(&self->call, FR_GRPC_UNAVAILABLE, "the server is stopping");
            next = FR_MILVUS_REPLY;
        }
        from->inside = true; /* the stream may be the last thing that holds the connection */
        advance(self, next);
        stream_free_if_over(self);
        from->inside = false;
        if (from->net.sock) flush(from);
        else connection_free_if_over(from);
    }
}

/* ---- requests ---- */

static void begin(stream *self)
{
    fr_grpc_loop *loop = self->from->loop;
    fr_milvus_worker worker = loop_worker(loop);
    self->begun = true;
    self->start_ns = fr_now_ns();
    fr_tally(&loop->counters->in_flight, 1);
    if (self->body_size < PREFIX_BYTES || fr_load_be32(self->body + 1) != self->body_size - PREFIX_BYTES) {
        answer_status(self, FR_GRPC_INVALID_ARGUMENT, "a request is one message with five bytes before it");
        return;
    }
    if (self->body[0] != 0) { /* grpc-accept-encoding says what is understood */
        answer_status(self, FR_GRPC_UNIMPLEMENTED, "compressed requests are not taken: only identity");
        return;
    }
    if (loop->conns.draining) {
        answer_status(self, FR_GRPC_UNAVAILABLE, "the server is stopping");
        return;
    }
    self->call.path = fr_span_text(self->path);
    self->call.message = fr_span_of(self->body + PREFIX_BYTES, self->body_size - PREFIX_BYTES);
    advance(self, fr_milvus_begin(&loop->daemon->milvus, &self->call, &worker));
}

/* "10S", "500m": at most 8 digits and a unit; 0 = not understood. */
static int64_t timeout_ms(const char *text, size_t size)
{
    int64_t value = 0;
    if (size < 2 || size > 9) return 0;
    for (size_t i = 0; i + 1 < size; i++) {
        if (text[i] < '0' || text[i] > '9') return 0;
        value = value * 10 + (text[i] - '0');
    }
    switch (text[size - 1]) {
    case 'H': return value * 3600000;
    case 'M': return value * 60000;
    case 'S': return value * 1000;
    case 'm': return FR_MAX(value, (int64_t)1);
    case 'u': return FR_MAX(value / 1000, (int64_t)1);
    case 'n': return FR_MAX(value / 1000000, (int64_t)1);
    default: return 0;
    }
}

static bool is(const uint8_t *name, size_t size, const char *text) { return size == strlen(text) && memcmp(name, text, size) == 0; }

static bool keep(char *out, size_t capacity, const uint8_t *value, size_t size)
{
    if (size >= capacity || memchr(value, 0, size)) return false;
    memcpy(out, value, size);
    out[size] = 0;
    return true;
}

static void header_in(stream *self, const uint8_t *name, size_t name_size, const uint8_t *value, size_t size)
{
    fr_grpc_loop *loop = self->from->loop;
    static const char type[] = "application/grpc";
    if (is(name, name_size, ":method")) {
        self->post = is(value, size, "POST");
    } else if (is(name, name_size, ":path")) {
        if (!keep(self->path, sizeof self->path, value, size)) self->path[0] = 0;
    } else if (is(name, name_size, "content-type")) {
        self->grpc = size >= sizeof type - 1 && memcmp(value, type, sizeof type - 1) == 0;
    } else if (is(name, name_size, "dbname")) {
        if (!keep(self->call.database, sizeof self->call.database, value, size)) self->call.database[0] = 0;
    } else if (is(name, name_size, "authorization")) {
        if (!keep(self->call.authorization, sizeof self->call.authorization, value, size)) self->call.authorization[0] = 0;
    } else if (is(name, name_size, "grpc-timeout")) {
        int64_t wait = timeout_ms((const char *)value, size);
        if (!wait || h2o_linklist_is_linked(&self->timed)) return;
        self->deadline_ms = now_ms(loop) + wait;
        h2o_linklist_insert(&loop->timed, &self->timed);
        fr_conns_tick(&loop->conns);
    }
}

static void headers_end(stream *self)
{
    if (self->header_bytes > FR_DAEMON_GRPC_HEADERS_MAX) answer_status(self, FR_GRPC_RESOURCE_EXHAUSTED, "headers are over the limit of 16384 bytes");
    else if (!self->post) answer_http(self, "405");
    else if (!self->grpc) answer_http(self, "415");
}

/* ---- nghttp2's callbacks ---- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    grpc_connection *self = user;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    stream *one = stream_take(self, frame->hd.stream_id);
    if (!one) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, one);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_size, const uint8_t *value,
                     size_t size, uint8_t flags, void *user)
{
    (void)flags, (void)user;
    stream *self = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (!self || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    self->header_bytes += name_size + size + 32;
    if (self->header_bytes <= FR_DAEMON_GRPC_HEADERS_MAX) header_in(self, name, name_size, value, size);
    return 0;
}

/* Whether a peer sends so many frames that cost us and not it. */
static bool calm(grpc_connection *self)
{
    int64_t now = now_ms(self->loop), passed = now - self->control_ms;
    uint64_t more = (uint64_t)passed * FR_DAEMON_GRPC_CONTROL_PER_S / 1000;
    if (more) {
        self->control_left = (uint32_t)FR_MIN(self->control_left + more, (uint64_t)FR_DAEMON_GRPC_CONTROL_BURST);
        self->control_ms = now;
    }
    if (!self->control_left) return false;
    self->control_left--;
    return true;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    grpc_connection *self = user;
    uint8_t type = frame->hd.type;
    bool control = type == NGHTTP2_PING || type == NGHTTP2_SETTINGS || type == NGHTTP2_RST_STREAM || type == NGHTTP2_PRIORITY ||
                   (type == NGHTTP2_DATA && frame->hd.length == 0 && !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM));
    if (control && !calm(self)) {
        nghttp2_session_terminate_session(session, NGHTTP2_ENHANCE_YOUR_CALM);
        return 0;
    }
    if (type != NGHTTP2_HEADERS && type != NGHTTP2_DATA) return 0;
    stream *one = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (!one) return 0;
    if (type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) headers_end(one);
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) && !one->begun) begin(one);
    return 0;
}

/* Room for what comes, in steps that follow what came. */
static bool body_room(stream *self, size_t more)
{
    grpc_connection *from = self->from;
    size_t need = self->body_size + more;
    if (need <= self->body_capacity) return true;
    size_t capacity = FR_MAX(FR_MAX(self->body_capacity * 2, need), (size_t)FIRST_BODY_BYTES);
    capacity = FR_MIN(capacity, (size_t)FR_MILVUS_MESSAGE_BYTES_MAX + PREFIX_BYTES);
    if (from->input_bytes + (capacity - self->body_capacity) > FR_DAEMON_GRPC_INPUT_MAX) return false;
    uint8_t *body = fr_realloc(FR_MEM_DAEMON, self->body, capacity);
    if (!body) return false;
    from->input_bytes += capacity - self->body_capacity;
    self->body = body, self->body_capacity = capacity;
    return true;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t size, void *user)
{
    (void)flags, (void)user;
    stream *self = nghttp2_session_get_stream_user_data(session, id);
    if (!self || self->begun) return 0; /* the rest of what was refused */
    self->progress_ms = now_ms(self->from->loop);
    if (self->body_size + size > FR_MILVUS_MESSAGE_BYTES_MAX + PREFIX_BYTES) {
        char words[80];
        snprintf(words, sizeof words, "the request is over the limit of %u bytes", FR_MILVUS_MESSAGE_BYTES_MAX);
        answer_status(self, FR_GRPC_RESOURCE_EXHAUSTED, words);
        return 0;
    }
    if (!body_room(self, size)) {
        answer_status(self, FR_GRPC_RESOURCE_EXHAUSTED, "too many bytes of requests of this connection are held");
        return 0;
    }
    memcpy(self->body + self->body_size, data, size);
    self->body_size += size;
    return 0;
}

/* An answer before the end of the request: the peer is told to send no more. */
static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    (void)user;
    if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) || frame->hd.stream_id == 0) return 0;
    if (!nghttp2_session_get_stream_remote_close(session, frame->hd.stream_id))
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
    (void)error, (void)user;
    stream *self = nghttp2_session_get_stream_user_data(session, id);
    if (!self) return 0;
    nghttp2_session_set_stream_user_data(session, id, NULL);
    self->closed = true;
    stream_free_if_over(self);
    return 0;
}

/* ---- the socket ---- */

static void on_written(h2o_socket_t *sock, const char *err)
{
    grpc_connection *self = sock->data;
    self->net.writing = false;
    self->net.active_ms = now_ms(self->loop);
    if (err) shut(self);
    else flush(self);
}

/* Gather what is to be sent, as much as fits; the rest comes when that is written. May shut the connection. */
static void flush(grpc_connection *self)
{
    size_t size = 0;
    if (!self->net.sock || self->net.writing) return;
    self->inside = true;
    while (size < OUT_BYTES) {
        const uint8_t *data;
        ssize_t count = nghttp2_session_mem_send(self->session, &data);
        if (count <= 0) {
            if (count < 0) self->ending = true;
            break;
        }
        if ((size_t)count > OUT_FRAME_MAX) {
            self->ending = true;
            break;
        }
        memcpy(self->out + size, data, (size_t)count);
        size += (size_t)count;
    }
    self->inside = false;
    if (size) {
        h2o_iovec_t vector = h2o_iovec_init(self->out, size);
        self->net.writing = true;
        h2o_socket_write(self->net.sock, &vector, 1, on_written);
        return;
    }
    bool over = !nghttp2_session_want_read(self->session) && !nghttp2_session_want_write(self->session);
    if (self->ending || over) shut(self);
}

static void on_readable(h2o_socket_t *sock, const char *err)
{
    grpc_connection *self = sock->data;
    if (err) {
        shut(self);
        return;
    }
    self->net.active_ms = now_ms(self->loop);
    self->inside = true;
    ssize_t count = nghttp2_session_mem_recv(self->session, (const uint8_t *)sock->input->bytes, sock->input->size);
    self->inside = false;
    if (count < 0) {
        uint32_t why = count == NGHTTP2_ERR_FLOODED ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_PROTOCOL_ERROR;
        if (nghttp2_session_terminate_session(self->session, why) != 0) self->ending = true;
        count = (ssize_t)sock->input->size;
    }
    h2o_buffer_consume(&sock->input, (size_t)count);
    flush(self);
}

/* ---- time ---- */

static bool on_tick(fr_conns *conns)
{
    fr_grpc_loop *loop = H2O_STRUCT_FROM_MEMBER(fr_grpc_loop, conns, conns);
    int64_t now = now_ms(loop);
    for (h2o_linklist_t *node = loop->timed.next, *next; node != &loop->timed; node = next) {
        next = node->next;
        stream *self = H2O_STRUCT_FROM_MEMBER(stream, timed, node);
        if (self->deadline_ms > now) continue;
        h2o_linklist_unlink(node);
        if (self->answered || self->closed) continue;
        answer_status(self, FR_GRPC_DEADLINE_EXCEEDED, "the time that the client gave is over");
        flush(self->from);
        next = loop->timed.next; /* a flush may have closed others */
    }
    return !h2o_linklist_is_empty(&loop->timed);
}

/* Requests that stop in the middle, replies that nobody takes. */
static void streams_sweep(grpc_connection *self, int64_t now)
{
    for (h2o_linklist_t *node = self->streams.next; node != &self->streams; node = node->next) {
        stream *one = H2O_STRUCT_FROM_MEMBER(stream, link, node);
        if (one->closed || one->in_flight || now - one->progress_ms <= FR_DAEMON_GRPC_REQUEST_MS) continue;
        if (one->begun && !one->answered) continue;
        nghttp2_submit_rst_stream(self->session, NGHTTP2_FLAG_NONE, one->id, NGHTTP2_CANCEL);
    }
}

static void look(fr_conns *conns, fr_conn *net, int64_t now)
{
    grpc_connection *self = H2O_STRUCT_FROM_MEMBER(grpc_connection, net, net);
    bool idle = !net->writing && !self->stream_count && now - net->active_ms > FR_DAEMON_GRPC_IDLE_MS;
    (void)conns;
    if (idle || fr_conn_stalled(net, now)) {
        shut(self);
        return;
    }
    streams_sweep(self, now);
    flush(self);
}

/* ---- life ---- */

static bool nghttp2_prepare(fr_grpc_loop *self)
{
    if (nghttp2_session_callbacks_new(&self->callbacks) != 0 || nghttp2_option_new(&self->option) != 0) return false;
    nghttp2_session_callbacks_set_on_begin_headers_callback(self->callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(self->callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(self->callbacks, on_frame);
    nghttp2_session_callbacks_set_on_frame_send_callback(self->callbacks, on_frame_sent);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(self->callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(self->callbacks, on_stream_close);
    nghttp2_option_set_no_closed_streams(self->option, 1);
    nghttp2_option_set_max_outbound_ack(self->option, FR_DAEMON_GRPC_CONTROL_BURST);
    return true;
}

fr_grpc_loop *fr_grpc_loop_create(struct fr_daemon *daemon, h2o_loop_t *loop, h2o_multithread_queue_t *queue, const fr_http_worker *worker,
                                  fr_rpc_counters *counters)
{
    fr_grpc_loop *self = fr_zalloc(FR_MEM_DAEMON, sizeof *self);
    if (!self) return NULL;
    if (!nghttp2_prepare(self)) {
        nghttp2_session_callbacks_del(self->callbacks);
        nghttp2_option_del(self->option);
        fr_free(FR_MEM_DAEMON, self);
        return NULL;
    }
    self->daemon = daemon, self->worker = worker, self->counters = counters;
    h2o_linklist_init_anchor(&self->timed);
    fr_conns_init(&self->conns, loop, queue, on_messages, TICK_MS);
    self->conns.on_tick = on_tick, self->conns.look = look;
    return self;
}

static bool session_begin(grpc_connection *self)
{
    static const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, FR_DAEMON_GRPC_STREAMS_MAX},
                                                      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
                                                      {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, FRAME_BYTES},
                                                      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, FR_DAEMON_GRPC_HEADERS_MAX}};
    self->out = fr_alloc(FR_MEM_DAEMON, OUT_BYTES + OUT_FRAME_MAX);
    return self->out && nghttp2_session_server_new2(&self->session, self->loop->callbacks, self, self->loop->option) == 0 &&
           nghttp2_submit_settings(self->session, NGHTTP2_FLAG_NONE, settings, FR_COUNT_OF(settings)) == 0 &&
           nghttp2_session_set_local_window_size(self->session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW) == 0;
}

void fr_grpc_loop_adopt(fr_grpc_loop *self, h2o_socket_t *sock)
{
    grpc_connection *one = self->conns.draining ? NULL : fr_zalloc(FR_MEM_DAEMON, sizeof *one);
    if (!one) {
        h2o_socket_close(sock);
        return;
    }
    one->loop = self;
    one->control_ms = now_ms(self);
    one->control_left = FR_DAEMON_GRPC_CONTROL_BURST;
    h2o_linklist_init_anchor(&one->streams);
    fr_conns_add(&self->conns, &one->net, sock);
    if (!session_begin(one)) {
        shut(one);
        return;
    }
    h2o_socket_read_start(sock, on_readable);
    on_readable(sock, NULL); /* what is there already */
}

/* GOAWAY after the streams that were begun; those are answered. */
static void finish(fr_conn *net)
{
    grpc_connection *one = H2O_STRUCT_FROM_MEMBER(grpc_connection, net, net);
    nghttp2_submit_goaway(one->session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(one->session), NGHTTP2_NO_ERROR, NULL, 0);
    flush(one);
}

static void cut(fr_conn *net) { shut(H2O_STRUCT_FROM_MEMBER(grpc_connection, net, net)); }

void fr_grpc_loop_drain(fr_grpc_loop *self)
{
    if (self->conns.draining) return;
    self->conns.draining = true;
    fr_conns_each(&self->conns, finish);
}

void fr_grpc_loop_cut(fr_grpc_loop *self) { fr_conns_each(&self->conns, cut); }
bool fr_grpc_loop_empty(const fr_grpc_loop *self) { return !self || self->conns.alive == 0; }

void fr_grpc_loop_dispose(fr_grpc_loop *self)
{
    if (!self || self->conns.alive) return;
    while (self->free_streams) {
        stream *one = self->free_streams;
        self->free_streams = one->free_next;
        fr_milvus_call_free(&self->daemon->milvus, &one->call);
        fr_free(FR_MEM_DAEMON, one);
    }
    fr_conns_dispose(&self->conns);
    nghttp2_session_callbacks_del(self->callbacks);
    nghttp2_option_del(self->option);
    fr_free(FR_MEM_DAEMON, self);
}
