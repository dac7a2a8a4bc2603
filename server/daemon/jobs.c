/* jobs.c: the door's hooks: replays of server/connect as JSON, the lag of api/kafka as JSON and metrics. */
#include "server/daemon/jobs.h"

#include "api/wall.h"
#include "server/daemon/kafka_json.h"

#include <stdio.h>

#define LAG_SERIES_MAX 10000u /* of one scrape */

/* ---- replays ---- */

static void int_out(fr_out *out, const char *key, int64_t number)
{
    fr_out_key(out, key);
    fr_out_int(out, number);
}

static void text_out(fr_out *out, const char *key, const char *text)
{
    fr_out_key(out, key);
    if (text[0]) fr_out_cstring(out, text);
    else fr_out_null(out);
}

static double progress(const fr_replay_info *info)
{
    int64_t left = 0;
    for (uint32_t i = 0; i < info->partition_count; i++) left += info->parts[i].until - info->parts[i].next;
    double did = (double)(info->replayed + info->superseded + info->unusable);
    return left <= 0 ? 1 : did / (did + (double)left);
}

static void replay_out(fr_out *out, const fr_replay_info *info)
{
    fr_out_begin(out, '{');
    int_out(out, "id", (int64_t)info->id);
    text_out(out, "state", fr_replay_state_name(info->state));
    text_out(out, "source", info->source);
    text_out(out, "target", info->target);
    int_out(out, "rate", info->rate);
    fr_out_key(out, "follow");
    fr_out_bool(out, info->follow);
    int_out(out, "replayed", (int64_t)info->replayed);
    int_out(out, "deletes", (int64_t)info->deletes);
    int_out(out, "superseded", (int64_t)info->superseded);
    int_out(out, "unusable", (int64_t)info->unusable);
    fr_out_key(out, "progress");
    fr_out_double(out, progress(info));
    int_out(out, "started", info->started_ms);
    int_out(out, "changed", info->changed_ms);
    text_out(out, "error", info->error);
    text_out(out, "model_version", info->model_version);
    fr_out_key(out, "partitions");
    fr_out_begin(out, '[');
    for (uint32_t i = 0; i < info->partition_count; i++) {
        fr_out_begin(out, '{');
        int_out(out, "partition", i);
        int_out(out, "next", info->parts[i].next);
        int_out(out, "until", info->parts[i].until);
        fr_out_end(out, '}');
    }
    fr_out_end(out, ']');
    fr_out_end(out, '}');
}

static fr_code replay_start(void *user, const fr_http_replay *asked, fr_out *out, fr_err *err)
{
    const fr_daemon *daemon = user;
    fr_replay_request request = {.source = asked->source, .target = asked->target, .offset = asked->offset, .since_ms = asked->since_ms,
                                 .model_version = asked->model_version, .rate = asked->rate, .follow = asked->follow};
    fr_replay_info info;
    FR_TRY(fr_replay_start(daemon->replays, &request, &info, err));
    replay_out(out, &info);
    return FR_OK;
}

static fr_code replay_order(void *user, uint64_t id, const char *order, fr_out *out, fr_err *err)
{
    static const char *const names[] = {"pause", "resume", "cancel", "forget"}; /* of fr_replay_order */
    const fr_daemon *daemon = user;
    fr_replay_info info;
    fr_code code = FR_ERR_NOT_FOUND;
    for (size_t i = 0; i < FR_COUNT_OF(names); i++)
        if (strcmp(order, names[i]) == 0) code = fr_replay_control(daemon->replays, id, (fr_replay_order)i, &info, err);
    if (strcmp(order, "show") == 0) {
        code = fr_replay_get(daemon->replays, id, &info);
        if (code != FR_OK) fr_fail(err, code, "replay", "there is no replay %llu", (unsigned long long)id);
    }
    if (code == FR_OK) replay_out(out, &info);
    return code;
}

static fr_code replay_list(void *user, fr_out *out, fr_err *err)
{
    const fr_daemon *daemon = user;
    fr_replay_info *list;
    uint32_t count;
    if (fr_replay_list(daemon->replays, &list, &count) != FR_OK) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for the list");
    fr_out_begin(out, '{');
    fr_out_key(out, "replays");
    fr_out_begin(out, '[');
    for (uint32_t i = 0; i < count; i++) replay_out(out, &list[i]);
    fr_out_end(out, ']');
    fr_out_end(out, '}');
    fr_free(FR_MEM_DAEMON, list);
    return FR_OK;
}

/* ---- lag ---- */

typedef struct lag_page {
    fr_out *out;
    char group[1032];
    bool open; /* a group's object and its list */
    int64_t lag;
} lag_page;

static void group_end(lag_page *self)
{
    if (!self->open) return;
    fr_out_end(self->out, ']');
    int_out(self->out, "lag", self->lag);
    fr_out_end(self->out, '}');
    self->open = false;
}

static bool lag_out(void *user, const fr_kafka_lag *one)
{
    lag_page *self = user;
    fr_out *out = self->out;
    if (self->open && strcmp(self->group, one->group) != 0) group_end(self);
    if (!self->open) {
        snprintf(self->group, sizeof self->group, "%s", one->group);
        self->open = true, self->lag = 0;
        fr_out_begin(out, '{');
        fr_out_key(out, "group");
        if (fr_utf8_valid(one->group, strlen(one->group))) fr_out_cstring(out, one->group);
        else fr_out_null(out);
        text_out(out, "state", one->state);
        int_out(out, "members", one->members);
        fr_out_key(out, "partitions");
        fr_out_begin(out, '[');
    }
    if (!one->topic) return true;
    fr_out_begin(out, '{');
    text_out(out, "topic", one->topic);
    int_out(out, "partition", one->partition);
    int_out(out, "committed", one->committed);
    int_out(out, "end", one->end);
    int_out(out, "lag", one->lag);
    fr_out_end(out, '}');
    self->lag += one->lag;
    return out->code == FR_OK;
}

static fr_code lag(void *user, const char *group, fr_out *out, fr_err *err)
{
    fr_daemon *daemon = user;
    lag_page page = {.out = out};
    fr_out_begin(out, '{');
    fr_out_key(out, "groups");
    fr_out_begin(out, '[');
    fr_kafka_lags(&daemon->kafka, group, lag_out, &page);
    group_end(&page);
    fr_out_end(out, ']');
    fr_out_end(out, '}');
    return out->code == FR_OK ? FR_OK : fr_fail(err, out->code, "group", "the answer is too large: ask for one group");
}

typedef struct lag_series {
    fr_out *out;
    uint32_t count;
} lag_series;

/* Prometheus: backslash, quote and newline are escaped; what is not text is left out. */
static bool lag_metric(void *user, const fr_kafka_lag *one)
{
    lag_series *self = user;
    if (!one->topic || !fr_utf8_valid(one->group, strlen(one->group))) return true;
    if (self->count++ >= LAG_SERIES_MAX) return false;
    fr_out_text(self->out, "freshet_group_lag{group=\"");
    for (const char *at = one->group; *at; at++) {
        if (*at == '\\' || *at == '"') fr_out_format(self->out, "\\%c", *at);
        else if (*at == '\n') fr_out_text(self->out, "\\n");
        else fr_out_raw(self->out, at, 1);
    }
    fr_out_format(self->out, "\",topic=\"%s\",partition=\"%d\"} %lld\n", one->topic, one->partition, (long long)one->lag);
    return true;
}

/* Topics whose acknowledged records may not be on disk. */
static void durability_metrics(fr_db *db, fr_out *out)
{
    static const char *const names[] = {"sync", "interval", "none"};
    uint32_t count = fr_topic_list(db, NULL, 0);
    fr_id *ids = fr_alloc(FR_MEM_DAEMON, FR_MAX(count, 1u) * sizeof *ids);
    if (!ids) return;
    count = FR_MIN(count, fr_topic_list(db, ids, count));
    fr_out_text(out, "# HELP freshet_topic_durability What acknowledged means on topics that asked for less than sync.\n"
                     "# TYPE freshet_topic_durability gauge\n");
    for (uint32_t i = 0; i < count; i++) {
        fr_topic_info info;
        if (fr_topic_get(db, ids[i], &info) != FR_OK || info.durability == FR_DURABILITY_SYNC) continue;
        fr_out_format(out, "freshet_topic_durability{topic=\"%s\",durability=\"%s\"} 1\n", info.name, names[info.durability]);
    }
    fr_free(FR_MEM_DAEMON, ids);
}

void fr_jobs_metrics(fr_daemon *daemon, fr_out *out)
{
    durability_metrics(daemon->kafka.db, out);
    lag_series series = {.out = out};
    fr_out_text(out, "# HELP freshet_group_lag Records that a consumer group has not committed yet.\n# TYPE freshet_group_lag gauge\n");
    fr_kafka_lags(&daemon->kafka, NULL, lag_metric, &series);
    if (!daemon->replays) return;
    fr_replay_info *list;
    uint32_t count;
    if (fr_replay_list(daemon->replays, &list, &count) != FR_OK) return;
    fr_out_text(out, "# HELP freshet_replay_records_total Records that a replay has written.\n# TYPE freshet_replay_records_total counter\n");
    for (uint32_t i = 0; i < count; i++)
        fr_out_format(out, "freshet_replay_records_total{replay=\"%llu\",state=\"%s\"} %llu\n", (unsigned long long)list[i].id,
                      fr_replay_state_name(list[i].state), (unsigned long long)list[i].replayed);
    fr_free(FR_MEM_DAEMON, list);
}

/* ---- start, stop ---- */

void fr_jobs_start(fr_daemon *daemon, fr_db *db)
{
    fr_err err = {0};
    fr_http_jobs *jobs = &daemon->door.jobs;
    jobs->user = daemon;
    jobs->lag = lag;
    jobs->parse_json = fr_kafka_json_in;
    if (fr_replays_open(db, fr_kafka_json_in, fr_wall_ms, &daemon->replays, &err) != FR_OK) {
        fr_note(FR_NOTE_WARN, "event=no_replays code=%s why=\"%s\"", fr_strcode(err.code), err.text);
        return;
    }
    jobs->replay_start = replay_start;
    jobs->replay_order = replay_order;
    jobs->replay_list = replay_list;
}

void fr_jobs_stop(fr_daemon *daemon)
{
    fr_replays_close(daemon->replays);
    daemon->replays = NULL;
}
