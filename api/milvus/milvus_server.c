/* milvus_server.c: what a client asks of the server as a whole: connecting, versions, health, time. */
#include "api/milvus/milvus_private.h"

#include <time.h>

/* Clients choose what they offer by the version: the interface is that of Milvus 2.6. */
static char version[] = "v2.6.4-freshet." FR_VERSION;
static char deploy_mode[] = "STANDALONE", unknown[] = "unknown", build_time[] = "1970-01-01T00:00:00Z", c_language[] = "none: C";

fr_milvus_next fr_milvus_on_connect(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    struct timespec now;
    Milvus__ConnectResponse *reply = call->reply = fr_milvus_message(&call->arena, call->rpc->reply);
    Milvus__ServerInfo *info = reply ? fr_milvus_message(&call->arena, &milvus__server_info__descriptor) : NULL;
    if (!info) return fr_milvus_done(call);
    clock_gettime(CLOCK_REALTIME, &now);
    info->build_tags = version, info->build_time = build_time, info->git_commit = unknown;
    info->go_version = c_language, info->deploy_mode = deploy_mode;
    reply->server_info = info;
    /* Clients only echo it. */
    reply->identifier = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
    return fr_milvus_done(call);
}

fr_milvus_next fr_milvus_on_version(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    Milvus__GetVersionResponse *reply = call->reply = fr_milvus_message(&call->arena, call->rpc->reply);
    if (reply) reply->version = version;
    return fr_milvus_done(call);
}

static const char *state_text(fr_milvus_call *call)
{
    if (!call->db) return "the server is recovering";
    fr_stats *stats = fr_milvus_alloc(call, sizeof *stats);
    if (!stats) return "no memory";
    fr_stats_get(call->db, stats);
    return stats->state == FR_OK ? NULL : fr_strcode(stats->state);
}

fr_milvus_next fr_milvus_on_health(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    Milvus__CheckHealthResponse *reply = call->reply = fr_milvus_message(&call->arena, call->rpc->reply);
    if (!reply) return fr_milvus_done(call);
    const char *why = state_text(call);
    reply->ishealthy = !why;
    if (!why) return fr_milvus_done(call);
    reply->reasons = fr_milvus_alloc(call, sizeof *reply->reasons);
    if (reply->reasons) reply->reasons[reply->n_reasons++] = fr_milvus_text(call, "%s", why);
    return fr_milvus_done(call);
}

/* grpc.health.v1: one answer for every service; its reply has no Status. */
fr_milvus_next fr_milvus_on_grpc_health(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    enum { SERVING = 1, NOT_SERVING = 2 };
    Milvus__HealthCheckResponse *reply = call->reply = fr_milvus_message(&call->arena, call->rpc->reply);
    if (reply) reply->status = call->db ? SERVING : NOT_SERVING;
    else fr_milvus_refuse(call, FR_GRPC_RESOURCE_EXHAUSTED, "no memory");
    return FR_MILVUS_REPLY;
}

fr_milvus_next fr_milvus_on_alloc_timestamp(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    Milvus__AllocTimestampResponse *reply = call->reply = fr_milvus_message(&call->arena, call->rpc->reply);
    if (reply) reply->timestamp = fr_timestamp(call->db);
    return fr_milvus_done(call);
}
