/* call_jobs.c: replays and the lag of consumer groups: what lives beside the door, asked through its hooks. */
#include "api/http/http_private.h"

#include <stdlib.h>

static fr_http_next answer(fr_http_call *call, fr_code code)
{
    return code == FR_OK ? fr_http_done(call, 200) : fr_http_fail(call, &call->err, code);
}

static fr_http_next missing(fr_http_call *call)
{
    fr_fail(&call->err, FR_ERR_UNSUPPORTED, NULL, "this server does not run replays or consumer groups");
    return fr_http_fail(call, &call->err, FR_ERR_UNSUPPORTED);
}

static fr_code replay_in(fr_http_call *call, fr_http_replay *replay)
{
    fr_doc body = call->rest, since = fr_http_field(body, "timestamp");
    *replay = (fr_http_replay){.source = call->params[0],
                               .offset = fr_http_field_int(body, "offset", -1),
                               .since_ms = FR_TIME_NONE,
                               .rate = (uint32_t)fr_http_field_int(body, "rate", 0),
                               .follow = fr_http_field_bool(body, "follow", false)};
    FR_TRY(fr_http_field_text(call, body, "target", FR_NAME_BYTES_MAX, &replay->target, &call->err));
    FR_TRY(fr_http_field_text(call, body, "model_version", FR_MODEL_VERSION_BYTES_MAX, &replay->model_version, &call->err));
    if (since.data && fr_doc_type(since) == FR_DOC_INT) replay->since_ms = fr_doc_int(since);
    else if (since.data && !fr_time_parse(fr_doc_string(since), &replay->since_ms))
        return fr_fail(&call->err, FR_ERR_INVALID, "timestamp", "must be milliseconds since 1970 or RFC 3339 text");
    return FR_OK;
}

fr_http_next fr_http_on_replay_start(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    if (worker->loop) return FR_HTTP_CHORE;
    if (!door->jobs.replay_start) return missing(call);
    fr_http_replay replay;
    fr_code code = fr_http_body_in(call, worker);
    if (code == FR_OK) code = replay_in(call, &replay);
    if (code == FR_OK) code = door->jobs.replay_start(door->jobs.user, &replay, &call->out, &call->err);
    return answer(call, code);
}

fr_http_next fr_http_on_replay_list(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    if (worker->loop) return FR_HTTP_WORKER;
    if (!door->jobs.replay_list) return missing(call);
    return answer(call, door->jobs.replay_list(door->jobs.user, &call->out, &call->err));
}

static fr_http_next order(fr_http *door, fr_http_call *call, const char *name)
{
    char *end;
    if (!door->jobs.replay_order) return missing(call);
    unsigned long long id = strtoull(call->params[0], &end, 10);
    fr_code code = FR_OK;
    if (*end) code = fr_fail(&call->err, FR_ERR_NOT_FOUND, "replay", "there is no replay %s", call->params[0]);
    else code = door->jobs.replay_order(door->jobs.user, id, name, &call->out, &call->err);
    return answer(call, code);
}

fr_http_next fr_http_on_replay_get(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    return worker->loop ? FR_HTTP_WORKER : order(door, call, "show");
}

fr_http_next fr_http_on_replay_forget(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    return worker->loop ? FR_HTTP_CHORE : order(door, call, "forget");
}

/* pause, resume, cancel: the last word of the path. */
fr_http_next fr_http_on_replay_order(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    return worker->loop ? FR_HTTP_CHORE : order(door, call, strrchr(call->route->path, '/') + 1);
}

fr_http_next fr_http_on_lag(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    if (worker->loop) return FR_HTTP_WORKER;
    if (!door->jobs.lag) return missing(call);
    fr_doc query;
    const char *group = NULL;
    fr_code code = fr_http_query_in(call, call->route->query, call->route->query_count, &query, &call->err);
    if (code == FR_OK) code = fr_http_field_text(call, query, "group", 1024, &group, &call->err);
    if (code == FR_OK) code = door->jobs.lag(door->jobs.user, group, &call->out, &call->err);
    return answer(call, code);
}
