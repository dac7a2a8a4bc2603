/* http_loop.h: HTTP/1's connections on one thread's h2o loop; those that begin with HTTP/2's preface go on to grpc_loop.c. loop.c accepts and
 * counts them. Loop's thread only. */
#ifndef FR_HTTP_LOOP_H
#define FR_HTTP_LOOP_H

#include "server/daemon/grpc_loop.h"

typedef struct fr_http_loop fr_http_loop;

void fr_http_loop_globals_init(void); /* once, before any: what h2o keeps for the process */
/* gone(owner, slot): a connection ended, gRPC's too. */
fr_http_loop *fr_http_loop_create(struct fr_daemon *daemon, h2o_loop_t *loop, h2o_multithread_queue_t *queue, fr_http_worker *worker,
                                  fr_counters *counters, fr_grpc_loop *grpc, void *owner, void (*gone)(void *owner, uint32_t slot));
bool fr_http_loop_adopt(fr_http_loop *self, h2o_socket_t *sock, uint32_t slot); /* false: not taken, the socket is the caller's */
void fr_http_loop_drain(fr_http_loop *self); /* close what is idle; what is asked is answered, then closed */
void fr_http_loop_cut(fr_http_loop *self);
void fr_http_loop_end(fr_http_loop *self); /* no timer runs any more */
bool fr_http_loop_empty(const fr_http_loop *self);
void fr_http_loop_dispose(fr_http_loop *self); /* when empty, behind fr_http_loop_end and a turn of the loop */

#endif
