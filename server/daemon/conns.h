/* conns.h: what the carriers of connections on one thread's h2o loop have in common (kafka_loop.c, grpc_loop.c): their list, the messages
 * to them, a tick while something waits, a look at each connection every second, going down. Loop's thread only. */
#ifndef FR_CONNS_H
#define FR_CONNS_H

#include "api/base.h"
#include "server/daemon/h2o_wrap.h"

typedef struct fr_conn { /* the first member of a carrier's connection */
    h2o_linklist_t link;
    h2o_socket_t *sock; /* NULL: gone */
    bool writing;       /* a write is under way */
    int64_t active_ms;  /* last byte in, or last progress out */
    uint64_t acked;
} fr_conn;

typedef struct fr_conns fr_conns;
struct fr_conns {
    h2o_loop_t *loop;
    h2o_multithread_queue_t *queue;
    h2o_multithread_receiver_t receiver;
    h2o_timeout_t tick_timeout, sweep_timeout;
    h2o_timeout_entry_t tick, sweep;
    h2o_linklist_t list;
    uint32_t alive; /* connections that the carrier has not freed yet; it counts down */
    bool draining;
    bool (*on_tick)(fr_conns *self);                /* false: no further tick */
    void (*look)(fr_conns *self, fr_conn *one, int64_t now_ms); /* once a second at each; may close it, and no other */
};

void fr_conns_init(fr_conns *self, h2o_loop_t *loop, h2o_multithread_queue_t *queue, h2o_multithread_receiver_cb on_messages, uint64_t tick_ms);
static inline int64_t fr_conns_ms(const fr_conns *self) { return (int64_t)h2o_now(self->loop); }
void fr_conns_tick(fr_conns *self); /* on_tick will be called */
void fr_conns_add(fr_conns *self, fr_conn *one, h2o_socket_t *sock); /* sock->data is `one` */
void fr_conn_close(fr_conn *self); /* the socket goes at once, and the connection out of the list */
bool fr_conn_stalled(fr_conn *self, int64_t now_ms); /* a write is under way of which nothing was taken for too long */
void fr_conns_each(fr_conns *self, void (*act)(fr_conn *one)); /* act may close it, and no other */
void fr_conns_dispose(fr_conns *self); /* when none is left */

/* The same of a socket whose owner is somebody else: *acked_io and *active_ms_io remember. */
bool fr_conn_untaken(int fd, uint64_t *acked_io, int64_t *active_ms_io, int64_t now_ms);

#endif
