/* milvus_guest.c: calls of the HTTP door whose path is Milvus's REST, carried to the Milvus door and back. A REST call lives from the
 * first step of its HTTP call to that one's reset. */
#include "server/daemon/milvus_guest.h"

#include "api/milvus/milvus_rest.h"

static void on_wake(fr_milvus_call *call)
{
    fr_http_call *http = call->carrier; /* an engine thread */
    http->wake(http);
}

static fr_milvus_rest *rest_of(fr_http_call *call)
{
    fr_milvus_rest *rest = call->guest_call;
    if (rest) return rest;
    rest = fr_zalloc(FR_MEM_DAEMON, sizeof *rest);
    if (!rest) return NULL;
    fr_milvus_rest_init(rest);
    rest->call.wake = on_wake;
    rest->call.carrier = call;
    rest->path = call->path;
    rest->body = call->body.text;
    rest->int64_numbers = call->int64_numbers;
    if (!fr_milvus_rest_authorization(call->authorization, rest->call.authorization, sizeof rest->call.authorization))
        rest->call.authorization[0] = 0; /* nobody */
    call->guest_call = rest;
    return rest;
}

static fr_http_next answered(const fr_milvus *door, fr_http_call *call, fr_milvus_rest *rest)
{
    if (rest->status == 503 || rest->status == 429) call->retry_after_s = 1;
    call->status = rest->status;
    call->content_type = "application/json";
    fr_out_reset(&call->out);
    fr_out_raw(&call->out, rest->out.data, rest->out.size);
    fr_milvus_account(door, &rest->call, rest->out.size);
    if (call->out.code == FR_OK) return FR_HTTP_REPLY;
    fr_out_free(&call->out);
    fr_http_refuse(call, 503, fr_strcode(FR_ERR_TOO_LARGE), NULL, "the answer is too large: ask for less");
    return FR_HTTP_REPLY;
}

static fr_http_next step(void *user, fr_http_call *call, fr_http_worker *worker)
{
    fr_milvus *door = user;
    fr_milvus_rest *rest = rest_of(call);
    if (!rest) {
        fr_http_refuse(call, 503, fr_strcode(FR_ERR_NO_MEMORY), NULL, "no memory for the call");
        return FR_HTTP_REPLY;
    }
    fr_milvus_worker with = {.searcher = worker->searcher, .dom = worker->dom, .loop = worker->loop};
    switch (fr_milvus_rest_step(door, rest, &with)) {
    case FR_MILVUS_REPLY: return answered(door, call, rest);
    case FR_MILVUS_SEARCHER: return FR_HTTP_SEARCHER;
    case FR_MILVUS_WORKER: return FR_HTTP_WORKER;
    case FR_MILVUS_CHORE: return FR_HTTP_CHORE;
    case FR_MILVUS_SUBMITTED: break;
    }
    return FR_HTTP_SUBMITTED;
}

static void reset(void *user, fr_http_call *call)
{
    fr_milvus_rest *rest = call->guest_call;
    if (rest) fr_milvus_rest_free(user, rest);
    fr_free(FR_MEM_DAEMON, rest);
    call->guest_call = NULL;
}

bool fr_milvus_guest_count(const fr_http_call *call, int64_t ns, fr_rpc_counters *counters)
{
    const fr_milvus_rest *rest = call->guest_call;
    if (!rest) return false;
    /* What the carrier refuses by itself has no code of Milvus's. */
    size_t answer = rest->status == call->status ? fr_milvus_answer_milvus(rest->code) : fr_milvus_answer_count() - 1;
    fr_counters_rpc(counters, fr_milvus_rest_index(rest), answer, ns, call->body.text.size, call->out.size);
    return true;
}

const fr_http_guest *fr_milvus_guest(fr_milvus *door)
{
    static fr_http_guest guest = {.prefix = FR_MILVUS_REST_PREFIX, .step = step, .reset = reset};
    guest.user = door;
    return &guest;
}
