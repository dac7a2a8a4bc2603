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
        if (next == FR_KAFKA_WAIT && !atomic_load(&self->call.fired)) next = fr_kafka_expire(door, &self->call, true); /* nobody decides it */
        if (next == FR_KAFKA_WAIT) {
            while (sem_wait(&self->woken) != 0) continue;
            next = fr_kafka_step(door, &self->call);
        }
        carried_go(door, self, next);
    }
}

#endif
