/* kafka_loop.c: Kafka's connections: bytes to frames, frames to calls, replies out in order.
 *
 * Invariants
 *   1. Bytes are received into blocks that calls hold references to: a frame neither moves nor is copied while its call lives, and
 *      the engine patches batches in it.
 *   2. Replies leave in the order of the requests. A request starts when all before it are finished; Produces start while only
 *      Produces are before them.
 *   3. A job belongs to the loop's thread, except between being handed to a pool or the engine and its message back. A connection
 *      lives until its last job has ended. */
#include "server/daemon/kafka_loop.h"

#include "server/daemon/conns.h"
#include "server/daemon/daemon.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#define BLOCK_BYTES (256u << 10)
#define READ_BYTES_PER_TURN (1u << 20)
#define SEND_BYTES_PER_TURN (1u << 20)
#define FREE_JOBS_MAX 16u
#define OUT_KEPT_MAX (64u << 10)
#define VECTORS_MAX 64u
#define PLAIN_BYTES (256u << 10)
#define TICK_MS 20
#define SLOW_MS 1000
#define LOWAT_BYTES (1u << 20)
#define LARGE_BYTES (64u << 10) /* of a frame: behind it the next one begins in a block of its own, where it need not move */
#define SPARES_MAX 4u /* blocks of a loop that are kept for the next frames: fresh pages cost more than receiving into them */
#define SPARE_BYTES_MAX (2u << 20)
#define GROWTH 8u /* a block is at most so many times what of its frame has come */

typedef struct block {
    uint32_t refs;
    size_t capacity, used;
    uint8_t data[];
} block;

typedef enum job_state { JOB_RUNNING, JOB_WAITING, JOB_READY, JOB_DONE } job_state;

typedef struct kafka_connection kafka_connection;
typedef struct job {
    fr_kafka_call call;
    h2o_multithread_message_t message;
    fr_pool_job work;
    h2o_linklist_t waiting;
    struct job *next; /* of the connection, in order; or free */
    kafka_connection *from;
    block *block;
    job_state state;
    bool woken;         /* the message is a wake() */
    fr_kafka_next told; /* else: what the pool's thread was told */
    int64_t deadline_ms; /* 0 = never waited */
    uint32_t splice;     /* sent up to here */
    size_t sent;         /* of out.data */
} job;

struct kafka_connection {
    fr_conn net;
    h2o_linklist_t muted; /* over a limit, no request is started before muted_until_ms */
    int64_t muted_until_ms;
    fr_kafka_loop *loop;
    fr_kafka_peer peer;
    uint32_t slot;
    block *block;
    size_t at; /* of block: the next frame */
    job *head, *tail;
    uint32_t jobs;
    size_t bytes; /* of their frames */
    bool reading, ending; /* ending: close when all replies are out */
    uint32_t lowat;       /* SO_RCVLOWAT */
    size_t missing;       /* of the frame that is coming in */
    size_t usual;         /* the last frame, and a little more: the next block has room for such a one */
    uint64_t file_done; /* of the splice being sent from a file */
};

struct fr_kafka_loop {
    fr_conns conns;
    fr_daemon *daemon;
    h2o_linklist_t waiting, muted;
    uint8_t *plain; /* for ranges of files over TLS */
    job *free_jobs;
    uint32_t free_count, spare_count;
    block *spares[SPARES_MAX];
    void *owner;
    void (*gone)(void *owner, uint32_t slot);
};

static int64_t now_ms(const fr_kafka_loop *self) { return fr_conns_ms(&self->conns); }

static void advance(job *self, fr_kafka_next next);
static void pump(kafka_connection *self);
static void take_frames(kafka_connection *self);

/* ---- blocks ---- */

static block *block_new(fr_kafka_loop *loop, size_t capacity)
{
    block *self = NULL;
    for (uint32_t i = 0; i < loop->spare_count && !self; i++) {
        if (loop->spares[i]->capacity < capacity) continue;
        self = loop->spares[i];
        loop->spares[i] = loop->spares[--loop->spare_count];
        capacity = self->capacity;
    }
    if (!self) self = fr_alloc(FR_MEM_DAEMON, sizeof *self + capacity);
    if (self) *self = (block){.refs = 1, .capacity = capacity};
    return self;
}

static void block_drop(fr_kafka_loop *loop, block *self)
{
    if (!self || --self->refs) return;
    if (self->capacity <= SPARE_BYTES_MAX && loop->spare_count < SPARES_MAX) loop->spares[loop->spare_count++] = self;
    else fr_free(FR_MEM_DAEMON, self);
}

static void spares_free(fr_kafka_loop *loop)
{
    while (loop->spare_count) fr_free(FR_MEM_DAEMON, loop->spares[--loop->spare_count]);
}

/* ---- jobs ---- */

static void on_wake(fr_kafka_call *call)
{
    job *self = call->carrier; /* any thread */
    self->woken = true;
    h2o_multithread_send_message(&self->from->loop->conns.receiver, &self->message);
}

static job *job_take(fr_kafka_loop *loop)
{
    job *self = loop->free_jobs;
    if (self) {
        loop->free_jobs = self->next;
        loop->free_count--;
    } else {
        self = fr_zalloc(FR_MEM_DAEMON, sizeof *self);
        if (!self) return NULL;
        fr_kafka_call_init(&self->call);
        self->call.wake = on_wake;
        self->call.carrier = self;
    }
    self->next = NULL, self->state = JOB_RUNNING, self->woken = false, self->deadline_ms = 0, self->splice = 0, self->sent = 0;
    return self;
}

static void job_give(fr_kafka_loop *loop, job *self)
{
    fr_kafka *door = &loop->daemon->kafka;
    fr_kafka_call_reset(door, &self->call);
    block_drop(loop, self->block);
    self->block = NULL;
    if (loop->free_count >= FREE_JOBS_MAX || self->call.out.capacity > OUT_KEPT_MAX) {
        fr_kafka_call_free(door, &self->call);
        fr_free(FR_MEM_DAEMON, self);
        return;
    }
    self->next = loop->free_jobs;
    loop->free_jobs = self;
    loop->free_count++;
}

/* ---- connections ---- */

static void connection_free_if_over(kafka_connection *self)
{
    fr_kafka_loop *loop = self->loop;
    if (self->net.sock || self->jobs) return;
    fr_kafka_peer_end(&loop->daemon->kafka, &self->peer);
    block_drop(loop, self->block);
    if (--loop->conns.alive == 0) spares_free(loop); /* an idle server holds no buffers */
    loop->gone(loop->owner, self->slot);
    fr_free(FR_MEM_DAEMON, self);
}

static void pop(kafka_connection *self)
{
    job *first = self->head;
    self->head = first->next;
    if (!self->head) self->tail = NULL;
    self->jobs--;
    self->bytes -= first->call.frame.size;
    job_give(self->loop, first);
}

/* The socket goes at once; jobs that the engine or a pool holds end by their messages. */
static void shut(kafka_connection *self)
{
    fr_kafka *door = &self->loop->daemon->kafka;
    if (!self->net.sock) return;
    if (h2o_linklist_is_linked(&self->muted)) h2o_linklist_unlink(&self->muted);
    fr_conn_close(&self->net);
    self->reading = false;
    for (job *one = self->head; one; one = one->next) {
        if (one->state != JOB_WAITING) continue;
        if (fr_kafka_expire(door, &one->call, true) == FR_KAFKA_WAIT) continue; /* its wake is on the way */
        h2o_linklist_unlink(&one->waiting);
        one->state = JOB_DONE;
    }
    while (self->head && self->head->state >= JOB_READY) pop(self);
    connection_free_if_over(self);
}

/* ---- out ---- */

static void on_written(h2o_socket_t *sock, const char *err)
{
    kafka_connection *self = sock->data;
    self->net.writing = false;
    self->net.active_ms = now_ms(self->loop);
    if (err) shut(self);
    else pump(self);
}

/* Whether all of a job's reply is on its way. *count grows; a range of a file stops it. */
static bool pieces(job *self, h2o_iovec_t *vectors, size_t *count)
{
    const fr_kafka_out *out = &self->call.out;
    while (self->splice < out->splice_count && *count + 2 <= VECTORS_MAX) {
        const fr_kafka_splice *splice = &out->splices[self->splice];
        if (self->sent < splice->at) vectors[(*count)++] = h2o_iovec_init(out->data + self->sent, splice->at - self->sent);
        self->sent = splice->at;
        if (!splice->records.data) return false;
        vectors[(*count)++] = h2o_iovec_init(splice->records.data, splice->records.size);
        self->splice++;
    }
    if (self->splice < out->splice_count || *count == VECTORS_MAX) return false;
    if (self->sent < out->size) vectors[(*count)++] = h2o_iovec_init(out->data + self->sent, out->size - self->sent);
    self->sent = out->size;
    return true;
}

static bool all_sent(const job *self)
{
    return self->state == JOB_DONE ||
           (self->state == JOB_READY && self->sent == self->call.out.size && self->splice == self->call.out.splice_count);
}

/* TLS: a piece of the file is read, encrypted, and on its way when this returns. */
static ssize_t send_piece(kafka_connection *self, const fr_kafka_records *range, off_t at, size_t left)
{
    if (!self->loop->plain) self->loop->plain = fr_alloc(FR_MEM_DAEMON, PLAIN_BYTES);
    ssize_t count = self->loop->plain ? pread(range->fd, self->loop->plain, FR_MIN(left, (size_t)PLAIN_BYTES), at) : 0;
    if (count <= 0) return 0;
    h2o_iovec_t vector = h2o_iovec_init(self->loop->plain, (size_t)count);
    self->net.writing = true;
    h2o_socket_write(self->net.sock, &vector, 1, on_written);
    return count;
}

/* false: the connection is shut (*over; it may be freed), or waits for the socket. */
static bool send_range(kafka_connection *self, job *first, bool *over)
{
    const fr_kafka_records *range = &first->call.out.splices[first->splice].records;
    off_t at = (off_t)(range->position + (int64_t)self->file_done);
    size_t left = range->size - self->file_done;
    bool tls = self->net.sock->ssl != NULL;
    ssize_t count = tls ? send_piece(self, range, at, left)
                        : sendfile(h2o_socket_get_fd(self->net.sock), range->fd, &at, FR_MIN(left, SEND_BYTES_PER_TURN));
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) {
        shut(self); /* the peer is gone, or the file is shorter than it was */
        *over = true;
        return false;
    }
    if (count > 0) self->file_done += (uint64_t)count;
    if (self->file_done == range->size) {
        self->file_done = 0;
        first->splice++;
        return true;
    }
    if (tls) return true; /* on_written goes on */
    self->net.writing = true;
    h2o_socket_notify_write(self->net.sock, on_written);
    return false;
}

/* Send what is ready, as far as the socket takes it. false: the connection was shut, and may be freed. */
static bool send_ready(kafka_connection *self)
{
    h2o_iovec_t vectors[VECTORS_MAX];
    while (self->net.sock && !self->net.writing) {
        size_t count = 0;
        while (self->head && all_sent(self->head)) pop(self);
        for (job *one = self->head; one && one->state >= JOB_READY; one = one->next)
            if (one->state == JOB_READY && !pieces(one, vectors, &count)) break;
        if (count) {
            self->net.writing = true;
            h2o_socket_write(self->net.sock, vectors, count, on_written);
        } else if (!self->head || self->head->state != JOB_READY) {
            return true;
        } else {
            bool over = false;
            if (!send_range(self, self->head, &over)) return !over;
        }
    }
    return true;
}

static void pump(kafka_connection *self)
{
    for (;;) {
        if (!send_ready(self) || !self->net.sock) return;
        if (!self->head && (self->ending || self->loop->conns.draining)) {
            shut(self);
            return;
        }
        if (self->reading || self->ending || self->loop->conns.draining) return;
        take_frames(self);
        if (self->net.writing || !self->head || self->head->state < JOB_READY) return;
    }
}

/* ---- in ---- */

static void on_readable(h2o_socket_t *sock, const char *err);

static void reading_set(kafka_connection *self, bool on)
{
    if (self->reading == on || !self->net.sock) return;
    self->reading = on;
    if (on) h2o_socket_read_start(self->net.sock, on_readable);
    else h2o_socket_read_stop(self->net.sock);
}

static bool may_start(const kafka_connection *self, fr_span frame)
{
    if (self->jobs >= FR_DAEMON_KAFKA_PIPELINE_MAX) return false;
    if (self->jobs && self->bytes + frame.size > FR_DAEMON_KAFKA_INPUT_MAX) return false;
    uint64_t waiting = 0;
    for (const job *one = self->head; one; one = one->next) {
        if (one->state < JOB_READY && !fr_kafka_pipelines(&one->call, frame)) return false;
        if (one->state == JOB_READY) waiting += one->call.out.size + one->call.out.spliced;
    }
    return waiting < FR_DAEMON_KAFKA_OUTPUT_MAX;
}

static bool start(kafka_connection *self, fr_span frame)
{
    job *one = job_take(self->loop);
    if (!one) return false;
    one->from = self;
    one->block = self->block;
    self->block->refs++;
    one->call.peer = &self->peer;
    one->call.frame = frame;
    if (self->tail) self->tail->next = one;
    else self->head = one;
    self->tail = one;
    self->jobs++;
    self->bytes += frame.size;
    advance(one, fr_kafka_begin(&self->loop->daemon->kafka, &one->call));
    return true;
}

/* While the rest of a large frame comes, the loop is woken for every megabyte instead of every segment. */
static void lowat_set(kafka_connection *self, size_t missing)
{
    int bytes = missing < LARGE_BYTES || self->net.sock->ssl ? 1 : (int)FR_MIN(missing, (size_t)LOWAT_BYTES);
    if ((uint32_t)bytes == FR_MAX(self->lowat, 1u)) return;
    if (setsockopt(h2o_socket_get_fd(self->net.sock), SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes) == 0) self->lowat = (uint32_t)bytes;
}

/* Room behind what was received: the frame that began at `at` and is `size` long must fit, in steps that follow what came. */
static bool room_make(kafka_connection *self, size_t size)
{
    block *old = self->block;
    size_t kept = old ? old->used - self->at : 0;
    if (old && old->refs == 1 && kept == 0) {
        old->used = self->at = 0;
        if (old->capacity >= BLOCK_BYTES) return true;
    }
    size_t capacity = FR_MAX(FR_MAX(FR_MIN(size, kept * GROWTH), kept + 1), (size_t)BLOCK_BYTES);
    capacity = FR_MAX(capacity, FR_MIN(self->usual, (size_t)SPARE_BYTES_MAX));
    block *fresh = block_new(self->loop, capacity);
    if (!fresh) return false;
    if (kept) memcpy(fresh->data, old->data + self->at, kept);
    fresh->used = kept;
    self->block = fresh, self->at = 0;
    block_drop(self->loop, old);
    return true;
}

/* Start what can be started. Reading goes on only when the bytes at hand are used up. */
static void take_frames(kafka_connection *self)
{
    size_t missing = 0;
    while (!self->loop->conns.draining) {
        if (self->muted_until_ms > now_ms(self->loop)) {
            reading_set(self, false);
            return;
        }
        size_t have = self->block ? self->block->used - self->at : 0;
        if (have < 4) break;
        const uint8_t *data = self->block->data + self->at;
        uint32_t size = fr_load_be32(data);
        bool unknown = self->peer.asks && !self->jobs && !self->peer.authenticated; /* a login under way is a job */
        if (size > (unknown ? FR_KAFKA_LOGIN_BYTES_MAX : FR_KAFKA_FRAME_BYTES_MAX) || size == 0) {
            self->ending = true;
            break;
        }
        if (have - 4 < size) {
            if (self->block->capacity - self->at < size + 4 && self->block->used == self->block->capacity && !room_make(self, size + 4))
                self->ending = true;
            missing = size + 4 - have;
            break;
        }
        fr_span frame = fr_span_of(data + 4, size);
        if (!may_start(self, frame)) {
            reading_set(self, false);
            return;
        }
        self->at += 4 + (size_t)size;
        self->usual = 4 + (size_t)size + size / 8;
        if (!start(self, frame)) self->ending = true;
        if (self->ending) break;
    }
    self->missing = missing;
    if (self->net.sock) lowat_set(self, missing);
    reading_set(self, !self->ending && !self->loop->conns.draining);
}

/* TLS: h2o has received and decrypted; all of it is taken, for nothing would call again for what is left. */
static bool take_plain(kafka_connection *self, h2o_socket_t *sock)
{
    while (sock->input->size) {
        if ((!self->block || self->block->used == self->block->capacity) && !room_make(self, 0)) return false;
        size_t count = FR_MIN(self->block->capacity - self->block->used, sock->input->size);
        memcpy(self->block->data + self->block->used, sock->input->bytes, count);
        self->block->used += count;
        h2o_buffer_consume(&sock->input, count);
        take_frames(self);
    }
    return true;
}

static bool room_ready(kafka_connection *self)
{
    const block *at = self->block;
    bool full = !at || at->used == at->capacity;
    bool tight = !full && self->at == at->used && at->refs > 1 && self->usual >= LARGE_BYTES && at->capacity - at->used < self->usual;
    return (!full && !tight) || room_make(self, 0);
}

static void on_readable(h2o_socket_t *sock, const char *err)
{
    kafka_connection *self = sock->data;
    size_t budget = sock->ssl ? 0 : READ_BYTES_PER_TURN;
    bool ended = err != NULL;
    self->net.active_ms = now_ms(self->loop);
    if (!ended && sock->ssl) ended = !take_plain(self, sock);
    while (!ended && budget && self->reading) {
        ended = !room_ready(self);
        if (ended) break;
        size_t space = FR_MIN(self->block->capacity - self->block->used, budget);
        if (self->missing >= LARGE_BYTES) space = FR_MIN(space, self->missing);
        ssize_t count = recv(h2o_socket_get_fd(sock), self->block->data + self->block->used, space, MSG_DONTWAIT);
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) break;
        ended = count <= 0;
        if (ended) break;
        self->block->used += (size_t)count;
        budget -= (size_t)count;
        take_frames(self);
        if ((size_t)count < space) break;
    }
    if (ended) {
        shut(self);
        return;
    }
    if (!self->jobs && self->block && self->block->used == self->at && self->block->refs == 1) { /* an idle connection holds no buffer */
        block_drop(self->loop, self->block);
        self->block = NULL;
        self->at = 0;
    }
    pump(self);
}

/* ---- stepping ---- */

static void on_work(fr_pool_job *work, fr_http_worker *worker)
{
    (void)worker;
    job *self = H2O_STRUCT_FROM_MEMBER(job, work, work); /* a pool's thread */
    fr_kafka_loop *loop = self->from->loop;
    fr_kafka_next next = fr_kafka_step(&loop->daemon->kafka, &self->call);
    if (next == FR_KAFKA_SUBMITTED) return;
    self->told = next;
    self->woken = false;
    h2o_multithread_send_message(&loop->conns.receiver, &self->message);
}

static void wait_begin(job *self)
{
    fr_kafka_loop *loop = self->from->loop;
    self->state = JOB_WAITING;
    if (!self->deadline_ms) self->deadline_ms = now_ms(loop) + self->call.wait_ms;
    if (!h2o_linklist_is_linked(&self->waiting)) h2o_linklist_insert(&loop->waiting, &self->waiting);
    fr_conns_tick(&loop->conns);
}

/* Over a limit, or the login failed. */
static void after_reply(job *self)
{
    kafka_connection *from = self->from;
    fr_kafka_loop *loop = from->loop;
    if (from->peer.closing) from->ending = true;
    if (self->call.throttle_ms <= 0 || !from->net.sock) return;
    from->muted_until_ms = FR_MAX(from->muted_until_ms, now_ms(loop) + self->call.throttle_ms);
    if (!h2o_linklist_is_linked(&from->muted)) h2o_linklist_insert(&loop->muted, &from->muted);
    fr_conns_tick(&loop->conns);
}

static void ended(job *self, job_state state)
{
    self->state = state;
    after_reply(self);
    if (h2o_linklist_is_linked(&self->waiting)) h2o_linklist_unlink(&self->waiting);
}

static void advance(job *self, fr_kafka_next next)
{
    kafka_connection *from = self->from;
    fr_kafka_loop *loop = from->loop;
    if (next == FR_KAFKA_WAIT && (!from->net.sock || loop->conns.draining)) next = fr_kafka_expire(&loop->daemon->kafka, &self->call, true);
    switch (next) {
    case FR_KAFKA_REPLY: ended(self, JOB_READY); return;
    case FR_KAFKA_CLOSE: from->ending = true; /* fall through */
    case FR_KAFKA_NO_REPLY: ended(self, JOB_DONE); return;
    case FR_KAFKA_SUBMITTED: self->state = JOB_RUNNING; return;
    case FR_KAFKA_WAIT: wait_begin(self); return;
    case FR_KAFKA_WORKER:
        self->state = JOB_RUNNING;
        self->work.run = on_work;
        self->work.refuse = NULL; /* a refusal costs the connection: none while it waits */
        if (fr_pool_push(loop->daemon->workers, &self->work)) return;
        from->ending = true; /* the queue is full: the client connects again */
        ended(self, JOB_DONE);
        return;
    }
}

/* After a job has moved on: send, or bury the dead. */
static void settle(kafka_connection *from)
{
    if (from->net.sock) {
        pump(from);
        return;
    }
    while (from->head && from->head->state >= JOB_READY) pop(from);
    connection_free_if_over(from);
}

static void on_messages(h2o_multithread_receiver_t *receiver, h2o_linklist_t *messages)
{
    fr_kafka_loop *loop = H2O_STRUCT_FROM_MEMBER(fr_kafka_loop, conns.receiver, receiver);
    while (!h2o_linklist_is_empty(messages)) {
        job *self = H2O_STRUCT_FROM_MEMBER(job, message.link, messages->next);
        kafka_connection *from = self->from;
        h2o_linklist_unlink(&self->message.link);
        if (!self->woken) {
            advance(self, self->told);
        } else {
            if (h2o_linklist_is_linked(&self->waiting)) h2o_linklist_unlink(&self->waiting);
            self->state = JOB_RUNNING;
            advance(self, fr_kafka_step(&loop->daemon->kafka, &self->call));
        }
        settle(from);
    }
}

static void expire(fr_kafka_loop *loop, bool all)
{
    for (h2o_linklist_t *node = loop->waiting.next, *next; node != &loop->waiting; node = next) {
        next = node->next;
        job *self = H2O_STRUCT_FROM_MEMBER(job, waiting, node);
        if (!all && self->deadline_ms > now_ms(loop)) continue;
        fr_kafka_next told = fr_kafka_expire(&loop->daemon->kafka, &self->call, all);
        if (told == FR_KAFKA_WAIT) { /* its wake is on the way: the deadline stays; or it has looked and waits on */
            if (!atomic_load(&self->call.fired)) self->deadline_ms = now_ms(loop) + self->call.wait_ms;
            continue;
        }
        advance(self, told);
        settle(self->from);
        if (h2o_linklist_is_empty(&loop->waiting)) break;
    }
}

static bool on_tick(fr_conns *conns)
{
    fr_kafka_loop *loop = H2O_STRUCT_FROM_MEMBER(fr_kafka_loop, conns, conns);
    expire(loop, false);
    for (h2o_linklist_t *node = loop->muted.next, *next; node != &loop->muted; node = next) {
        kafka_connection *one = H2O_STRUCT_FROM_MEMBER(kafka_connection, muted, node);
        next = node->next;
        if (one->muted_until_ms > now_ms(loop)) continue;
        h2o_linklist_unlink(node);
        pump(one); /* may shut it, and no other */
    }
    return !h2o_linklist_is_empty(&loop->waiting) || !h2o_linklist_is_empty(&loop->muted);
}

/* ---- the sweep: connections that do nothing, requests that never end, replies that nobody takes ---- */

static bool overdue(kafka_connection *self, int64_t now)
{
    if (self->net.writing) return fr_conn_stalled(&self->net, now);
    if (self->jobs) return false;
    bool partial = self->block && self->block->used > self->at;
    return now - self->net.active_ms > (partial ? FR_DAEMON_KAFKA_FRAME_MS : FR_DAEMON_KAFKA_IDLE_MS);
}

static void look(fr_conns *conns, fr_conn *one, int64_t now)
{
    kafka_connection *self = H2O_STRUCT_FROM_MEMBER(kafka_connection, net, one);
    (void)conns;
    if (overdue(self, now)) shut(self);
    else if (self->lowat > 1 && now - self->net.active_ms > SLOW_MS) lowat_set(self, 0); /* a slow one: what has come counts */
}

/* ---- life ---- */

static void local_name(h2o_socket_t *sock, fr_kafka_peer *peer)
{
    struct sockaddr_storage name;
    socklen_t size = sizeof name;
    char port[8] = "0";
    memset(&name, 0, sizeof name);
    if (getpeername(h2o_socket_get_fd(sock), (struct sockaddr *)&name, &size) == 0)
        getnameinfo((struct sockaddr *)&name, size, peer->remote, sizeof peer->remote, NULL, 0, NI_NUMERICHOST);
    size = sizeof name;
    if (getsockname(h2o_socket_get_fd(sock), (struct sockaddr *)&name, &size) != 0) return;
    getnameinfo((struct sockaddr *)&name, size, peer->host, sizeof peer->host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
    peer->port = ntohs(name.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&name)->sin6_port : ((struct sockaddr_in *)&name)->sin_port);
}

fr_kafka_loop *fr_kafka_loop_create(struct fr_daemon *daemon, h2o_loop_t *loop, h2o_multithread_queue_t *queue, void *owner,
                                    void (*gone)(void *owner, uint32_t slot))
{
    fr_kafka_loop *self = fr_zalloc(FR_MEM_DAEMON, sizeof *self);
    if (!self) return NULL;
    self->daemon = daemon, self->owner = owner, self->gone = gone;
    h2o_linklist_init_anchor(&self->waiting);
    h2o_linklist_init_anchor(&self->muted);
    fr_conns_init(&self->conns, loop, queue, on_messages, TICK_MS);
    self->conns.on_tick = on_tick, self->conns.look = look;
    return self;
}

void fr_kafka_loop_adopt(fr_kafka_loop *self, h2o_socket_t *sock, uint32_t slot, bool asks, bool second)
{
    kafka_connection *one = self->conns.draining ? NULL : fr_zalloc(FR_MEM_DAEMON, sizeof *one);
    if (!one) {
        h2o_socket_close(sock);
        self->gone(self->owner, slot);
        return;
    }
    one->loop = self, one->slot = slot;
    local_name(sock, &one->peer);
    one->peer.asks = asks, one->peer.own_address = second;
    fr_conns_add(&self->conns, &one->net, sock);
    reading_set(one, true);
    if (sock->ssl && sock->input->size) on_readable(sock, NULL); /* came with the end of the handshake */
}

static void finish(fr_conn *net)
{
    kafka_connection *one = H2O_STRUCT_FROM_MEMBER(kafka_connection, net, net);
    reading_set(one, false);
    one->ending = true;
    if (!one->net.writing) pump(one);
}

static void cut(fr_conn *net) { shut(H2O_STRUCT_FROM_MEMBER(kafka_connection, net, net)); }

void fr_kafka_loop_drain(fr_kafka_loop *self)
{
    if (self->conns.draining) return;
    self->conns.draining = true;
    expire(self, true);
    fr_conns_each(&self->conns, finish);
}

void fr_kafka_loop_cut(fr_kafka_loop *self) { fr_conns_each(&self->conns, cut); }
bool fr_kafka_loop_empty(const fr_kafka_loop *self) { return !self || self->conns.alive == 0; }

void fr_kafka_loop_dispose(fr_kafka_loop *self)
{
    if (!self || self->conns.alive) return;
    fr_free(FR_MEM_DAEMON, self->plain);
    while (self->free_jobs) {
        job *one = self->free_jobs;
        self->free_jobs = one->next;
        fr_kafka_call_free(&self->daemon->kafka, &one->call);
        fr_free(FR_MEM_DAEMON, one);
    }
    fr_conns_dispose(&self->conns);
    fr_free(FR_MEM_DAEMON, self);
}
