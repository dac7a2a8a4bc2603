/* milvus_rest.h: Milvus's REST interface, version 2: POST /v2/vectordb/..., JSON in, JSON out, over the same handlers as gRPC.
 *
 * A carrier fills a call and steps it as a fr_milvus_call: fr_milvus_rest_step until FR_MILVUS_REPLY; then status and out are the answer. */
#ifndef FR_MILVUS_REST_H
#define FR_MILVUS_REST_H

#include "api/http/json_out.h"
#include "api/milvus/milvus.h"

#define FR_MILVUS_REST_PREFIX "/v2/vectordb/"

typedef struct fr_milvus_rest fr_milvus_rest;
struct fr_milvus_rest {
    /* the carrier's */
    fr_span path, body;
    bool int64_numbers; /* Accept-Type-Allow-Int64: true */
    /* out */
    int status, code; /* HTTP's; Milvus's */
    fr_out out;
    /* the door's */
    fr_milvus_call call; /* wake and carrier are the carrier's; authorization: as gRPC's metadata */
    const struct fr_milvus_rest_route *route;
    fr_doc_builder builder;
    fr_doc root;
    const struct fr_milvus_schema *schema;
    bool parsed, running;
};

void fr_milvus_rest_init(fr_milvus_rest *rest);
fr_milvus_next fr_milvus_rest_step(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker);
void fr_milvus_rest_reset(fr_milvus *door, fr_milvus_rest *rest); /* keeps call.wake and call.carrier */
void fr_milvus_rest_free(fr_milvus *door, fr_milvus_rest *rest);
/* The table of routes, for metrics. */
size_t fr_milvus_rest_count(void);
const char *fr_milvus_rest_name(size_t index); /* "entities/search"; "other" at the count */
size_t fr_milvus_rest_index(const fr_milvus_rest *rest);
/* The value of an Authorization header ("Bearer user:password", "Bearer KEY", "Basic ...") as gRPC's metadata; false: not understood. */
bool fr_milvus_rest_authorization(fr_span header, char *out, size_t room);

#endif
