/* replay_record.c: a job as a record of __replays: key "r/<id>", value one document (api/doc.h); null = forgotten. */
#include "server/connect/replay_private.h"

#include <stdio.h>
#include <stdlib.h>

static void put_int(fr_doc_builder *b, const char *key, int64_t number)
{
    fr_doc_put_key(b, key, strlen(key));
    fr_doc_put_int(b, number);
}

static void put_text(fr_doc_builder *b, const char *key, const char *text)
{
    fr_doc_put_key(b, key, strlen(key));
    fr_doc_put_string(b, text, strlen(text));
}

static fr_code encode(const fr_replay_info *job, fr_doc_builder *b, fr_span *out)
{
    fr_doc_begin_object(b);
    put_text(b, "source", job->source);
    put_text(b, "target", job->target);
    put_text(b, "model_version", job->model_version);
    put_text(b, "error", job->error);
    put_int(b, "source_id", (int64_t)job->source_id);
    put_int(b, "target_id", (int64_t)job->target_id);
    put_int(b, "state", job->state);
    put_int(b, "rate", job->rate);
    put_int(b, "follow", job->follow);
    put_int(b, "replayed", (int64_t)job->replayed);
    put_int(b, "deletes", (int64_t)job->deletes);
    put_int(b, "superseded", (int64_t)job->superseded);
    put_int(b, "unusable", (int64_t)job->unusable);
    put_int(b, "started", job->started_ms);
    put_int(b, "changed", job->changed_ms);
    fr_doc_put_key(b, "parts", 5);
    fr_doc_begin_array(b);
    for (uint32_t i = 0; i < job->partition_count; i++) {
        fr_doc_put_int(b, job->parts[i].next);
        fr_doc_put_int(b, job->parts[i].until);
        fr_doc_put_int(b, job->parts[i].found);
    }
    fr_doc_end_array(b);
    fr_doc_end_object(b);
    return fr_doc_finish(b, out);
}

static int64_t get_int(fr_doc root, const char *key)
{
    fr_doc value = fr_doc_get(root, fr_span_text(key));
    return value.data && fr_doc_type(value) == FR_DOC_INT ? fr_doc_int(value) : 0;
}

static void get_text(fr_doc root, const char *key, char *out, size_t size)
{
    fr_doc value = fr_doc_get(root, fr_span_text(key));
    fr_span text = value.data && fr_doc_type(value) == FR_DOC_STRING ? fr_doc_string(value) : fr_span_of("", 0);
    snprintf(out, size, "%.*s", (int)FR_MIN(text.size, size - 1), (const char *)text.data);
}

/* false: not a job of this version. */
bool fr_replay_decode(fr_span key, fr_span value, fr_replay_info *job)
{
    char number[24];
    if (key.size < 3 || key.size > 22 || memcmp(key.data, "r/", 2) != 0) return false;
    *job = (fr_replay_info){.id = 0};
    snprintf(number, sizeof number, "%.*s", (int)(key.size - 2), (const char *)key.data + 2);
    job->id = strtoull(number, NULL, 10);
    if (!value.data) return job->id != 0;
    if (fr_doc_check(value, NULL) != FR_OK) return false;
    fr_doc root = fr_doc_root(value), parts = fr_doc_get(root, fr_span_text("parts"));
    get_text(root, "source", job->source, sizeof job->source);
    get_text(root, "target", job->target, sizeof job->target);
    get_text(root, "model_version", job->model_version, sizeof job->model_version);
    get_text(root, "error", job->error, sizeof job->error);
    job->source_id = (fr_id)get_int(root, "source_id");
    job->target_id = (fr_id)get_int(root, "target_id");
    job->state = (fr_replay_state)get_int(root, "state");
    job->rate = (uint32_t)get_int(root, "rate");
    job->follow = get_int(root, "follow") != 0;
    job->replayed = (uint64_t)get_int(root, "replayed");
    job->deletes = (uint64_t)get_int(root, "deletes");
    job->superseded = (uint64_t)get_int(root, "superseded");
    job->unusable = (uint64_t)get_int(root, "unusable");
    job->started_ms = get_int(root, "started");
    job->changed_ms = get_int(root, "changed");
    uint32_t count = fr_doc_count(parts);
    if (job->id == 0 || (unsigned)job->state > FR_REPLAY_FAILED || count % 3 != 0 || count / 3 > FR_PARTITIONS_MAX || job->rate == 0 ||
        job->rate > FR_REPLAY_RATE_MAX)
        return false;
    job->partition_count = count / 3;
    for (uint32_t i = 0; i < job->partition_count; i++) {
        job->parts[i].next = fr_doc_int(fr_doc_at(parts, i * 3));
        job->parts[i].until = fr_doc_int(fr_doc_at(parts, i * 3 + 1));
        job->parts[i].found = fr_doc_int(fr_doc_at(parts, i * 3 + 2)) != 0;
    }
    return true;
}

fr_code fr_replay_save(fr_db *db, fr_id topic, const fr_replay_info *job, bool gone, fr_err *err)
{
    char key[32];
    fr_doc_builder builder = {0};
    fr_span value = {NULL, 0};
    fr_code code = gone ? FR_OK : encode(job, &builder, &value);
    int size = snprintf(key, sizeof key, "r/%llu", (unsigned long long)job->id);
    fr_topic_record record = {.key = fr_span_of(key, (size_t)size), .value = value};
    fr_write *write = code == FR_OK ? fr_zalloc(FR_MEM_DAEMON, sizeof *write) : NULL;
    if (write) {
        write->kind = FR_WRITE_RECORDS;
        write->id = topic;
        write->record_list = &record;
        write->record_count = 1;
        write->ack = FR_ACK_DURABLE;
        code = fr_submit_wait(db, write, err);
    } else {
        code = fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for the job's record");
    }
    fr_free(FR_MEM_DAEMON, write);
    fr_doc_free(&builder);
    return code;
}
