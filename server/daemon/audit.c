/* audit.c: records of __audit go through THE write path, durable like any other; nobody waits for them. */
#include "server/daemon/audit.h"

#include "api/wall.h"
#include "server/daemon/pool.h"

#include <pthread.h>
#include <stdio.h>

#define SLOTS 1024u /* principals share a place when their hashes do */
#define PENDING_MAX 4096u

struct fr_audit {
    fr_db *db;
    fr_id topic;
    pthread_mutex_t lock;
    struct {
        int64_t at_ns;
        double left;
        uint64_t dropped;
    } places[SLOTS];
    _Atomic uint64_t written, dropped, failed;
    _Atomic uint32_t pending;
};

typedef struct pending {
    fr_write write;
    fr_topic_record record;
    fr_audit *audit;
    fr_out out;
    char key[FR_USER_BYTES_MAX + 1];
} pending;

fr_code fr_audit_open(fr_db *db, fr_audit **audit_out, fr_err *err)
{
    fr_audit *self = fr_zalloc(FR_MEM_DAEMON, sizeof *self);
    if (!self) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for the audit topic");
    self->db = db;
    pthread_mutex_init(&self->lock, NULL);
    for (uint32_t i = 0; i < SLOTS; i++) self->places[i].left = FR_AUDIT_BURST;
    if (fr_topic_resolve(db, FR_TOPIC_AUDIT, &self->topic) != FR_OK) {
        static const fr_topic_config configs[] = {{"retention.ms", "2592000000"}};
        fr_topic_change change = {.name = FR_TOPIC_AUDIT, .kind = FR_TOPIC_PLAIN, .partitions = 1, .configs = configs, .config_count = 1};
        fr_write write = {.kind = FR_WRITE_TOPIC_CREATE, .topic = &change};
        fr_err why = {0};
        if (fr_submit_wait(db, &write, &why) == FR_OK) self->topic = write.id;
        else fr_note(FR_NOTE_WARN, "event=no_audit_topic code=%s why=\"%s\"", fr_strcode(write.code), why.text);
    }
    *audit_out = self;
    return FR_OK;
}

void fr_audit_free(fr_audit *audit)
{
    if (audit) pthread_mutex_destroy(&audit->lock);
    fr_free(FR_MEM_DAEMON, audit);
}

/* false: over what the principal may write; else how many were dropped since the last one. */
static bool take_place(fr_audit *audit, const char *who, uint64_t *dropped_out)
{
    uint64_t hash = fr_hash(who, strlen(who), 7) % SLOTS;
    int64_t now_ns = fr_now_ns();
    pthread_mutex_lock(&audit->lock);
    double seconds = (double)(now_ns - audit->places[hash].at_ns) / 1e9;
    audit->places[hash].left = FR_MIN((double)FR_AUDIT_BURST, audit->places[hash].left + seconds * FR_AUDIT_PER_SECOND);
    audit->places[hash].at_ns = now_ns;
    bool fine = audit->places[hash].left >= 1 && atomic_load(&audit->pending) < PENDING_MAX;
    *dropped_out = audit->places[hash].dropped;
    if (fine) audit->places[hash].left -= 1, audit->places[hash].dropped = 0;
    else audit->places[hash].dropped++;
    pthread_mutex_unlock(&audit->lock);
    return fine;
}

static void written(fr_write *write)
{
    pending *one = write->user; /* an engine thread */
    fr_audit *audit = one->audit;
    atomic_fetch_add_explicit(write->code == FR_OK ? &audit->written : &audit->failed, 1, memory_order_relaxed);
    atomic_fetch_sub(&audit->pending, 1);
    fr_out_free(&one->out);
    fr_free(FR_MEM_DAEMON, one);
}

static void text(fr_out *out, const char *key, const char *value)
{
    fr_out_key(out, key);
    fr_out_cstring(out, value && fr_utf8_valid(value, strlen(value)) ? value : "");
}

static void compose(pending *one, const fr_audit_entry *entry, uint64_t dropped)
{
    fr_out *out = &one->out;
    fr_out_begin(out, '{');
    fr_out_key(out, "time");
    fr_out_int(out, fr_wall_ms());
    text(out, "principal", entry->principal->user);
    if (entry->principal->key[0]) text(out, "key", entry->principal->key);
    text(out, "door", entry->door);
    text(out, "action", entry->action);
    text(out, "object", entry->object);
    text(out, "verdict", entry->verdict);
    text(out, "reason", entry->reason);
    if (dropped) {
        fr_out_key(out, "dropped_before");
        fr_out_uint(out, dropped);
    }
    fr_out_end(out, '}');
}

void fr_audit_put(fr_audit *audit, const fr_audit_entry *entry)
{
    uint64_t dropped;
    if (!audit || audit->topic == 0) return;
    if (!take_place(audit, entry->principal->user, &dropped)) {
        atomic_fetch_add_explicit(&audit->dropped, 1, memory_order_relaxed);
        return;
    }
    pending *one = fr_zalloc(FR_MEM_DAEMON, sizeof *one);
    if (one) compose(one, entry, dropped);
    if (!one || one->out.code != FR_OK) {
        if (one) fr_out_free(&one->out);
        fr_free(FR_MEM_DAEMON, one);
        atomic_fetch_add_explicit(&audit->failed, 1, memory_order_relaxed);
        return;
    }
    one->audit = audit;
    snprintf(one->key, sizeof one->key, "%s", entry->principal->user);
    one->record = (fr_topic_record){.key = fr_span_text(one->key), .value = fr_span_of(one->out.data, one->out.size)};
    one->write = (fr_write){.kind = FR_WRITE_RECORDS, .ack = FR_ACK_DURABLE, .id = audit->topic, .record_list = &one->record, .record_count = 1,
                            .done = written, .user = one};
    atomic_fetch_add(&audit->pending, 1);
    fr_err err;
    fr_code code = fr_submit(audit->db, &one->write, &err);
    if (code == FR_OK) return; /* it may be gone already */
    one->write.code = code;
    written(&one->write);
}

void fr_audit_metrics(const fr_audit *audit, fr_out *out)
{
    char lines[512];
    snprintf(lines, sizeof lines,
             "# HELP freshet_audit_records_total Records of the audit topic, by what became of them.\n"
             "# TYPE freshet_audit_records_total counter\n"
             "freshet_audit_records_total{state=\"written\"} %llu\nfreshet_audit_records_total{state=\"dropped\"} %llu\n"
             "freshet_audit_records_total{state=\"failed\"} %llu\n",
             (unsigned long long)atomic_load(&audit->written), (unsigned long long)atomic_load(&audit->dropped),
             (unsigned long long)atomic_load(&audit->failed));
    fr_out_text(out, lines);
}
