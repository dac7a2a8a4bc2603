/* reserve.c: a file whose only use is its size. When the disk is full it is emptied, so that deletes, drops, snapshots and compaction,
 * which give space back, can still be written. While it is empty nothing else is: growth would eat what it left. It is
 * filled again as soon as twice its size is free. DIR/reserve; no reader ever looks inside. */
#include "server/engine/engine.h"

#include <stdio.h>

#define LOOK_US 500000 /* how often an empty reserve looks for space */
#define BYTES_MIN (64ull << 10)

void fr_engine_reserve_init(fr_db *db)
{
    pthread_mutex_init(&db->reserve.lock, NULL);
    atomic_store(&db->reserve.held, true); /* none wanted: never in the way */
}

void fr_engine_reserve_open(fr_db *db)
{
    fr_reserve *r = &db->reserve;
    char path[FR_PATH_MAX + 16];
    uint64_t space = 0, size = 0;
    if (db->options.reserve_bytes == 0) return;
    snprintf(path, sizeof path, "%s/reserve", db->dir);
    fr_code code = db->io->open(db->io, path, FR_OPEN_READ | FR_OPEN_WRITE, &r->file, NULL);
    if (code == FR_ERR_NOT_FOUND) code = db->io->open(db->io, path, FR_OPEN_READ | FR_OPEN_WRITE | FR_OPEN_CREATE, &r->file, NULL);
    if (code == FR_OK) code = db->io->free_bytes(db->io, db->dir, &space, NULL);
    if (code == FR_OK) code = db->io->size(db->io, r->file, &size, NULL);
    r->bytes = size != 0 ? size : FR_MIN(db->options.reserve_bytes, space / 16);
    if (code != FR_OK || r->bytes < BYTES_MIN) {
        r->bytes = FR_MAX(FR_MIN(db->options.reserve_bytes, (uint64_t)1 << 20), BYTES_MIN);
        atomic_store(&r->held, code != FR_OK); /* a disk that is full already; without a file there is no reserve */
        if (code != FR_OK) fr_note(FR_NOTE_WARN, "event=no_disk_reserve path=%s code=%s", path, fr_strcode(code));
    } else if (size == 0) {
        atomic_store(&r->held, db->io->allocate(db->io, r->file, r->bytes, NULL) == FR_OK);
    }
}

void fr_engine_reserve_close(fr_db *db)
{
    if (db->reserve.file != NULL) db->io->close(db->io, db->reserve.file);
    pthread_mutex_destroy(&db->reserve.lock);
}

bool fr_engine_reserve_release(fr_db *db)
{
    fr_reserve *r = &db->reserve;
    bool released = false;
    pthread_mutex_lock(&r->lock);
    if (r->file != NULL && atomic_load(&r->held)) {
        released = db->io->truncate(db->io, r->file, 0, NULL) == FR_OK;
        if (released) atomic_store(&r->held, false);
    }
    pthread_mutex_unlock(&r->lock);
    if (released) fr_note(FR_NOTE_WARN, "event=disk_reserve_released bytes=%llu", (unsigned long long)r->bytes);
    return released;
}

fr_code fr_engine_reserve_gate(fr_db *db, fr_err *err)
{
    fr_reserve *r = &db->reserve;
    if (atomic_load_explicit(&r->held, memory_order_relaxed)) return FR_OK;
    uint64_t space = 0;
    pthread_mutex_lock(&r->lock);
    int64_t now_us = db->io->mono_us(db->io);
    if (r->looked_us == 0 || now_us - r->looked_us >= LOOK_US) {
        r->looked_us = now_us;
        if (db->io->free_bytes(db->io, db->dir, &space, NULL) == FR_OK && space >= r->bytes * 2 &&
            db->io->allocate(db->io, r->file, r->bytes, NULL) == FR_OK)
            atomic_store(&r->held, true);
    }
    pthread_mutex_unlock(&r->lock);
    if (atomic_load(&r->held)) {
        fr_note(FR_NOTE_INFO, "event=disk_reserve_held bytes=%llu", (unsigned long long)r->bytes);
        return FR_OK;
    }
    return fr_fail(err, FR_ERR_DISK_FULL, NULL,
                   "the disk of %.100s is full: only deletes are taken until %llu MiB are free", db->dir,
                   (unsigned long long)((r->bytes * 2 + (1u << 20) - 1) >> 20));
}
