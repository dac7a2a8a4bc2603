/* milvus_guest.h: Milvus's REST as a guest of the HTTP door. */
#ifndef FR_MILVUS_GUEST_H
#define FR_MILVUS_GUEST_H

#include "api/http/http.h"
#include "api/milvus/milvus.h"
#include "server/daemon/metrics.h"

const fr_http_guest *fr_milvus_guest(fr_milvus *door); /* one per process */
/* An answered call of the guest; false: it did not get as far as there. */
bool fr_milvus_guest_count(const fr_http_call *call, int64_t ns, fr_rpc_counters *counters);

#endif
