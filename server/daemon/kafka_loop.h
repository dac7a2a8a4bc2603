/* kafka_loop.h: Kafka's connections on one thread's h2o loop. loop.c accepts and counts them; all else is here. Loop's thread only. */
#ifndef FR_KAFKA_LOOP_H
#define FR_KAFKA_LOOP_H

#include "api/kafka/kafka.h"
#include "server/daemon/h2o_wrap.h"
#include "server/daemon/pool.h"

#define FR_DAEMON_KAFKA_IDLE_MS 600000 /* connections.max.idle.ms */
#define FR_DAEMON_KAFKA_FRAME_MS 60000 /* a request that has begun must go on */
#define FR_DAEMON_KAFKA_PIPELINE_MAX 64u /* requests of one connection under way */
#define FR_DAEMON_KAFKA_INPUT_MAX (256u << 20) /* bytes of requests under way of one connection; one larger request still goes */

#define FR_DAEMON_KAFKA_OUTPUT_MAX (8u << 20) /* bytes in memory of replies not sent yet: over it no further request starts */

struct fr_daemon;
typedef struct fr_kafka_loop fr_kafka_loop;

/* gone(owner, slot): a connection ended. */
fr_kafka_loop *fr_kafka_loop_create(struct fr_daemon *daemon, h2o_loop_t *loop, h2o_multithread_queue_t *queue, void *owner,
                                    void (*gone)(void *owner, uint32_t slot));
/* sock: made with H2O_SOCKET_FLAG_DONT_READ, or with its TLS handshake done. asks: whoever comes must log in. second: it came to the
 * listener of its own address. */
void fr_kafka_loop_adopt(fr_kafka_loop *self, h2o_socket_t *sock, uint32_t slot, bool asks, bool second);
void fr_kafka_loop_drain(fr_kafka_loop *self);
void fr_kafka_loop_cut(fr_kafka_loop *self);
bool fr_kafka_loop_empty(const fr_kafka_loop *self);
void fr_kafka_loop_dispose(fr_kafka_loop *self); /* when empty */

#endif
