/* grpc_loop.h: HTTP/2 connections of gRPC clients on one thread's h2o loop. loop.c accepts, counts and tells them apart; all else is
 * here. Loop's thread only. */
#ifndef FR_GRPC_LOOP_H
#define FR_GRPC_LOOP_H

#include "api/milvus/milvus.h"
#include "server/daemon/h2o_wrap.h"
#include "server/daemon/pool.h"

#define FR_DAEMON_GRPC_STREAMS_MAX 128u            /* requests of one connection under way */
#define FR_DAEMON_GRPC_HEADERS_MAX (16u << 10)     /* bytes of one header list */
#define FR_DAEMON_GRPC_INPUT_MAX (256u << 20)      /* bytes of requests of one connection that are held */
#define FR_DAEMON_GRPC_OUTPUT_MAX (256u << 20)     /* bytes of replies of one connection that are held; one more still goes */
#define FR_DAEMON_GRPC_IDLE_MS 600000              /* a connection without a byte */
#define FR_DAEMON_GRPC_REQUEST_MS 60000            /* a request that has begun must go on */
#define FR_DAEMON_GRPC_CONTROL_BURST 1000u         /* PING, SETTINGS, RST_STREAM, PRIORITY, empty DATA: at once ... */
#define FR_DAEMON_GRPC_CONTROL_PER_S 200u          /* ... and a second; above: GOAWAY ENHANCE_YOUR_CALM */

struct fr_daemon;
typedef struct fr_grpc_loop fr_grpc_loop;

fr_grpc_loop *fr_grpc_loop_create(struct fr_daemon *daemon, h2o_loop_t *loop, h2o_multithread_queue_t *queue, const fr_http_worker *worker,
                                  fr_rpc_counters *counters);
/* A connection that has begun with HTTP/2's preface, which is still in its input. Who counts it does so by sock->on_close. */
void fr_grpc_loop_adopt(fr_grpc_loop *self, h2o_socket_t *sock);
void fr_grpc_loop_drain(fr_grpc_loop *self);
void fr_grpc_loop_cut(fr_grpc_loop *self);
bool fr_grpc_loop_empty(const fr_grpc_loop *self);
void fr_grpc_loop_dispose(fr_grpc_loop *self); /* when empty */

#endif
