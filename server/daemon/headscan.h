/* headscan.h: a strict second look at the raw head of a request. h2o's parser takes what two readers may understand in two
 * ways (request smuggling); what is ambiguous is refused here and its connection closed. Pure: bytes in, verdict out. */
#ifndef FR_HEADSCAN_H
#define FR_HEADSCAN_H

#include "api/base.h"

#define FR_HEAD_BYTES_MAX (32u << 10)

typedef struct fr_head {
    int status;         /* 0 = fine; else refuse with it and close */
    const char *reason; /* static */
    size_t size;        /* of the head with its empty line */
    bool chunked;
} fr_head;

/* data: what the connection received, from the request's first byte on. */
fr_head fr_head_scan(const char *data, size_t size);

#endif
