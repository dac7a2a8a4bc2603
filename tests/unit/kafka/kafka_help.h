/* kafka_help.h: a door over a database in a fresh directory, and calls carried without sockets. */
#ifndef FR_KAFKA_HELP_H
#define FR_KAFKA_HELP_H

#include "api/kafka/kafka_private.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct carried {
    fr_kafka_call call;
    sem_t woken;
    fr_kafka_peer peer;
    fr_kafka_next next;
} carried;

static char kafka_dir[128];

static inline fr_db *kafka_open(fr_kafka *door)
{
    const char *root = getenv("TMPDIR");
    fr_options options = {.linkers = 1, .no_snapshot_on_close = true};
    fr_db *db = NULL;
    fr_err err = {0};
    snprintf(kafka_dir, sizeof kafka_dir, "%s/fr_kafka_XXXXXX", root ? root : "/tmp");
    FR_ASSERT(mkdtemp(kafka_dir) != NULL);
    FR_ASSERT(fr_open(kafka_dir, &options, &db, &err) == FR_OK);
    fr_kafka_init(door);
    door->db = db;
    return db;
}

static inline void kafka_close(fr_db *db)
{
    char command[192];
    fr_close(db);
    snprintf(command, sizeof command, "rm -rf '%s'", kafka_dir);
    FR_ASSERT(system(command) == 0);
}

static void carried_wake(fr_kafka_call *call) { sem_post(&((carried *)call->carrier)->woken); }

static inline void carried_init(carried *self)
{
    memset(self, 0, sizeof *self);
    fr_kafka_call_init(&self->call);
    self->call.carrier = self;
    self->call.wake = carried_wake;
    self->peer = (fr_kafka_peer){.host = "127.0.0.1", .port = 9092};
    sem_init(&self->woken, 0, 0);
}

static inline void carried_free(fr_kafka *door, carried *self)
{
    fr_kafka_call_free(door, &self->call);
    sem_destroy(&self->woken);
}

/* Until it has an answer, or waits for data. */
static inline void carried_go(fr_kafka *door, carried *self, fr_kafka_next next)
{
    while (next == FR_KAFKA_SUBMITTED || next == FR_KAFKA_WORKER) {
        if (next == FR_KAFKA_SUBMITTED)
            while (sem_wait(&self->woken) != 0) continue;
        next = fr_kafka_step(door, &self->call);
    }
    self->next = next;
}

static inline void carried_begin(fr_kafka *door, carried *self, fr_span frame)
{
    fr_kafka_call_reset(door, &self->call);
    self->call.peer = &self->peer;
    self->call.frame = frame;
    carried_go(door, self, fr_kafka_begin(door, &self->call));
}

/* The time is up. */
static inline void carried_expire(fr_kafka *door, carried *self)
{
    while (self->next == FR_KAFKA_WAIT) {
        fr_kafka_next next = fr_kafka_expire(door, &self->call, false);
        if (next == FR_KAFKA_WAIT) {
            while (sem_wait(&self->woken) != 0) continue;
            next = fr_kafka_step(door, &self->call);
        }
        carried_go(door, self, next);
    }
}

/* A whole frame, without its length: header and body. */
static uint8_t frame[1 << 16];
static inline fr_span frame_of(const fr_kafka_message *message, int16_t version, const void *request)
{
    fr_kafka_out out = {0};
    fr_kafka_out_be16(&out, (uint16_t)message->key);
    fr_kafka_out_be16(&out, (uint16_t)version);
    fr_kafka_out_be32(&out, 77);
    fr_kafka_out_be16(&out, 4);
    fr_kafka_out_put(&out, "test", 4);
    if (fr_kafka_flexible(message, version)) fr_kafka_out_byte(&out, 0);
    assert_int_equal(fr_kafka_encode(message, version, request, &out), FR_OK);
    size_t size = 0, from = 0;
    for (uint32_t i = 0; i < out.splice_count; i++) { /* records lie in the frame */
        memcpy(frame + size, out.data + from, out.splices[i].at - from);
        size += out.splices[i].at - from;
        from = out.splices[i].at;
        memcpy(frame + size, out.splices[i].records.data, out.splices[i].records.size);
        size += out.splices[i].records.size;
    }
    memcpy(frame + size, out.data + from, out.size - from);
    size += out.size - from;
    fr_kafka_out_free(&out);
    return fr_span_of(frame, size);
}

/* The reply's struct, decoded from its bytes; records come from the splices. */
static inline void *reply_of(carried *self, const fr_kafka_message *message, int version, fr_arena *arena)
{
    static uint8_t bytes[1 << 16];
    const fr_kafka_out *out = &self->call.out;
    size_t size = 0, from = 0;
    void *response = NULL;
    fr_err err = {0};
    assert_int_equal(self->next, FR_KAFKA_REPLY);
    for (uint32_t i = 0; i < out->splice_count; i++) {
        memcpy(bytes + size, out->data + from, out->splices[i].at - from);
        size += out->splices[i].at - from;
        from = out->splices[i].at;
        assert_non_null(out->splices[i].records.data);
        memcpy(bytes + size, out->splices[i].records.data, out->splices[i].records.size);
        size += out->splices[i].records.size;
    }
    memcpy(bytes + size, out->data + from, out->size - from);
    size += out->size - from;
    assert_int_equal(fr_load_be32(bytes), size - 4);
    assert_int_equal(fr_load_be32(bytes + 4), 77);
    size_t header = message->key != 18 && fr_kafka_flexible(message, version) ? 9 : 8;
    fr_code code = fr_kafka_decode(message, version, fr_span_of(bytes + header, size - header), arena, &response, &err);
    if (code != FR_OK) fail_msg("%s: %s: %s", message->shape->name, err.field, err.text);
    return response;
}

#endif
