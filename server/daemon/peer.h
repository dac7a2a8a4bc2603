/* peer.h: what the kernel knows of a connection's other end. */
#ifndef FR_PEER_H
#define FR_PEER_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes that the other end has acknowledged so far. false: not a TCP socket. */
bool fr_peer_acked(int fd, uint64_t *bytes_out);

#endif
