/* expiry.c: once in a while, what has expired is deleted. */
#include "server/daemon/expiry.h"

#include <pthread.h>
#include <time.h>

struct fr_expiry {
    fr_milvus *door;
    fr_searcher *searcher;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool stop; /* guarded by mutex */
};

/* false: stop. */
static bool pause_ms(fr_expiry *self, int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(ms / 1000);
    pthread_mutex_lock(&self->mutex);
    while (!self->stop && pthread_cond_timedwait(&self->wake, &self->mutex, &until) == 0) continue;
    bool stop = self->stop;
    pthread_mutex_unlock(&self->mutex);
    return !stop;
}

static void *run(void *user)
{
    fr_expiry *self = user;
    while (pause_ms(self, FR_DAEMON_EXPIRY_MS)) {
        uint64_t gone = fr_milvus_expire(self->door, self->searcher);
        if (gone) fr_note(FR_NOTE_DEBUG, "event=expired entities=%llu", (unsigned long long)gone);
    }
    return NULL;
}

fr_expiry *fr_expiry_start(fr_milvus *door, fr_db *db)
{
    fr_expiry *self = fr_zalloc(FR_MEM_DAEMON, sizeof *self);
    pthread_condattr_t attributes;
    if (!self) return NULL;
    self->door = door;
    pthread_mutex_init(&self->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&self->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    if (fr_searcher_create(db, &self->searcher) == FR_OK && pthread_create(&self->thread, NULL, run, self) == 0) {
        pthread_setname_np(self->thread, "expiry");
        return self;
    }
    fr_searcher_free(self->searcher);
    pthread_cond_destroy(&self->wake);
    pthread_mutex_destroy(&self->mutex);
    fr_free(FR_MEM_DAEMON, self);
    return NULL;
}

void fr_expiry_stop(fr_expiry *self)
{
    if (!self) return;
    pthread_mutex_lock(&self->mutex);
    self->stop = true;
    pthread_cond_signal(&self->wake);
    pthread_mutex_unlock(&self->mutex);
    pthread_join(self->thread, NULL);
    fr_searcher_free(self->searcher);
    pthread_cond_destroy(&self->wake);
    pthread_mutex_destroy(&self->mutex);
    fr_free(FR_MEM_DAEMON, self);
}
