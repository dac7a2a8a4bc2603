/* conns.c: a list of connections on one thread's h2o loop. */
#include "server/daemon/conns.h"

#include "server/daemon/daemon.h"
#include "server/daemon/peer.h"

#define SWEEP_MS 1000

static void on_tick(h2o_timeout_entry_t *entry)
{
    fr_conns *self = H2O_STRUCT_FROM_MEMBER(fr_conns, tick, entry);
    if (self->on_tick(self)) fr_conns_tick(self);
}

static void sweep_on(fr_conns *self)
{
    if (!h2o_timeout_is_linked(&self->sweep)) h2o_timeout_link(self->loop, &self->sweep_timeout, &self->sweep);
}

static void on_sweep(h2o_timeout_entry_t *entry)
{
    fr_conns *self = H2O_STRUCT_FROM_MEMBER(fr_conns, sweep, entry);
    for (h2o_linklist_t *node = self->list.next, *next; node != &self->list; node = next) {
        next = node->next;
        self->look(self, H2O_STRUCT_FROM_MEMBER(fr_conn, link, node), fr_conns_ms(self));
    }
    if (!h2o_linklist_is_empty(&self->list)) sweep_on(self);
}

void fr_conns_init(fr_conns *self, h2o_loop_t *loop, h2o_multithread_queue_t *queue, h2o_multithread_receiver_cb on_messages, uint64_t tick_ms)
{
    self->loop = loop, self->queue = queue;
    h2o_linklist_init_anchor(&self->list);
    h2o_multithread_register_receiver(queue, &self->receiver, on_messages);
    h2o_timeout_init(loop, &self->tick_timeout, tick_ms);
    h2o_timeout_init(loop, &self->sweep_timeout, SWEEP_MS);
    self->tick.cb = on_tick;
    self->sweep.cb = on_sweep;
}

void fr_conns_tick(fr_conns *self)
{
    if (!h2o_timeout_is_linked(&self->tick)) h2o_timeout_link(self->loop, &self->tick_timeout, &self->tick);
}

void fr_conns_add(fr_conns *self, fr_conn *one, h2o_socket_t *sock)
{
    one->sock = sock;
    one->active_ms = fr_conns_ms(self);
    sock->data = one;
    self->alive++;
    h2o_linklist_insert(&self->list, &one->link);
    sweep_on(self);
}

void fr_conn_close(fr_conn *self)
{
    h2o_linklist_unlink(&self->link);
    h2o_socket_close(self->sock);
    self->sock = NULL;
    self->writing = false;
}

bool fr_conn_untaken(int fd, uint64_t *acked_io, int64_t *active_ms_io, int64_t now_ms)
{
    uint64_t acked; /* h2o has no timeout for writing; what the peer has acknowledged tells whether it takes anything */
    if (fr_peer_acked(fd, &acked) && acked != *acked_io) *acked_io = acked, *active_ms_io = now_ms;
    return now_ms - *active_ms_io > FR_DAEMON_STALL_MS;
}

bool fr_conn_stalled(fr_conn *self, int64_t now_ms)
{
    return self->writing && fr_conn_untaken(h2o_socket_get_fd(self->sock), &self->acked, &self->active_ms, now_ms);
}

void fr_conns_each(fr_conns *self, void (*act)(fr_conn *one))
{
    for (h2o_linklist_t *node = self->list.next, *next; node != &self->list; node = next) {
        next = node->next;
        act(H2O_STRUCT_FROM_MEMBER(fr_conn, link, node));
    }
}

void fr_conns_dispose(fr_conns *self)
{
    h2o_timeout_unlink(&self->tick);
    h2o_timeout_unlink(&self->sweep);
    h2o_multithread_unregister_receiver(self->queue, &self->receiver);
    h2o_timeout_dispose(self->loop, &self->tick_timeout);
    h2o_timeout_dispose(self->loop, &self->sweep_timeout);
}
