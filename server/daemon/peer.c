/* peer.c: TCP_INFO. Its own file because the kernel's header, which has the byte counts, excludes the C library's. */
#include "server/daemon/peer.h"

#include <linux/tcp.h>
#include <string.h>
#include <sys/socket.h>

#define LEVEL_TCP 6 /* IPPROTO_TCP */

bool fr_peer_acked(int fd, uint64_t *bytes_out)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    memset(&info, 0, sizeof info);
    if (getsockopt(fd, LEVEL_TCP, TCP_INFO, &info, &size) != 0) return false;
    *bytes_out = info.tcpi_bytes_acked;
    return true;
}
