/* call_admin.c: snapshots, health, metrics. Health answers from atomics: it never waits for anything. */
#include "api/http/http_private.h"

#define LOOP_COLLECTIONS_MAX 64u /* metrics of more are gathered by a worker */

fr_http_next fr_http_on_snapshot(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    (void)door;
    if (worker->loop) return FR_HTTP_CHORE;
    fr_code code = fr_snapshot(call->db, &call->err);
    if (code != FR_OK) return fr_http_fail(call, &call->err, code);
    fr_stats *stats = fr_arena_alloc(&call->arena, sizeof *stats);
    if (!stats) return fr_http_fail(call, &call->err, FR_ERR_NO_MEMORY);
    fr_stats_get(call->db, stats);
    fr_out *out = &call->out;
    fr_out_begin(out, '{');
    fr_out_key(out, "snapshot");
    fr_out_cstring(out, "written");
    fr_out_key(out, "took_ms");
    fr_out_double(out, stats->last_snapshot_ms);
    fr_out_key(out, "time");
    fr_out_int(out, stats->last_snapshot_time_ms);
    fr_out_end(out, '}');
    return fr_http_done(call, 200);
}

fr_http_next fr_http_on_compact(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    (void)door;
    if (worker->loop) return FR_HTTP_CHORE;
    fr_code code = fr_http_collection(call);
    if (code == FR_OK) code = fr_compact(call->db, call->info->id, &call->err);
    if (code == FR_OK) code = fr_http_collection(call); /* the sizes behind it */
    if (code != FR_OK) return fr_http_fail(call, &call->err, code);
    fr_http_collection_out(&call->out, call->info);
    return fr_http_done(call, 200);
}

fr_http_next fr_http_on_livez(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    (void)door, (void)worker;
    fr_out_text(&call->out, "{\"live\":true}");
    return fr_http_done(call, 200);
}

static fr_http_next not_ready(fr_http_call *call, int status)
{
    call->retry_after_s = 1;
    fr_out_end(&call->out, '}');
    return fr_http_done(call, status);
}

static void recovering_out(fr_http *door, fr_out *out)
{
    const char *phase = atomic_load_explicit(&door->phase, memory_order_relaxed);
    fr_out_cstring(out, "recovering");
    fr_out_key(out, "phase");
    fr_out_cstring(out, phase ? phase : "opening");
    fr_out_key(out, "done");
    fr_out_uint(out, atomic_load_explicit(&door->phase_done, memory_order_relaxed));
    fr_out_key(out, "total");
    fr_out_uint(out, atomic_load_explicit(&door->phase_total, memory_order_relaxed));
}

fr_http_next fr_http_on_readyz(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    (void)worker;
    fr_out *out = &call->out;
    fr_http_state state = (fr_http_state)atomic_load_explicit(&door->state, memory_order_acquire);
    fr_stats stats = {.state = FR_OK};
    if (state == FR_HTTP_SERVING && call->db) fr_stats_get(call->db, &stats);
    bool ready = state == FR_HTTP_SERVING && call->db && stats.state == FR_OK;
    fr_out_begin(out, '{');
    fr_out_key(out, "ready");
    fr_out_bool(out, ready);
    fr_out_key(out, "reason");
    if (state == FR_HTTP_STARTING || (state == FR_HTTP_SERVING && !call->db)) {
        recovering_out(door, out);
        return not_ready(call, 503);
    }
    if (state == FR_HTTP_DRAINING) {
        fr_out_cstring(out, "stopping");
        return not_ready(call, 503);
    }
    fr_out_cstring(out, fr_strcode(stats.state));
    if (!ready) {
        fr_out_key(out, "message");
        fr_out_cstring(out, stats.state_text);
        return not_ready(call, 503);
    }
    fr_out_key(out, "recovery_ms");
    fr_out_double(out, stats.recovery_ms);
    fr_out_end(out, '}');
    return fr_http_done(call, 200);
}

fr_http_next fr_http_on_metrics(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    if (worker->loop && call->db && fr_collection_list(call->db, NULL, 0) > LOOP_COLLECTIONS_MAX) return FR_HTTP_WORKER;
    if (door->metrics) door->metrics(door->metrics_user, &call->out);
    if (call->out.code != FR_OK) return fr_http_done(call, 200);
    call->status = 200;
    call->content_type = "text/plain; version=0.0.4; charset=utf-8";
    return FR_HTTP_REPLY;
}
