/* milvus_guest.h: Milvus's REST as a guest of the HTTP door. */
#ifndef FR_MILVUS_GUEST_H
#define FR_MILVUS_GUEST_H

#include "api/http/http.h"
#include "api/milvus/milvus.h"

const fr_http_guest *fr_milvus_guest(fr_milvus *door); /* one per process */

#endif
