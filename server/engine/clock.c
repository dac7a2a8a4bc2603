/* clock.c: the clock that doors stamp with: hybrid (S. Kulkarni and others, "Logical physical clocks", 2014): milliseconds << 18 | count.
 * What was given never comes again: the catalog holds a bound in the future (key "t"), below which stamps are given; the writer moves it
 * on while stamps are asked for. After a restart they begin at the old bound. */
#include "server/engine/engine.h"

#define AHEAD_MS 10000u
#define RENEW_MS 5000u
#define COUNT_BITS 18
#define SPARE (1ull << 26) /* stamps that are left when the bound is not moved in time */

void fr_engine_clock_set(fr_db *db, uint64_t until_ms)
{
    uint64_t until = until_ms << COUNT_BITS, last = atomic_load(&db->clock.last);
    if (until <= atomic_load(&db->clock.until)) return;
    /* Of an earlier run: it may have given all of them. */
    while (last < until && !db->clock.open && !atomic_compare_exchange_weak(&db->clock.last, &last, until)) {}
    atomic_store(&db->clock.until, until);
    atomic_store(&db->clock.wanted, false);
}

bool fr_engine_clock_step(fr_db *db)
{
    fr_err err = {0};
    fr_commit *commit = NULL;
    if (!atomic_load(&db->clock.wanted) || atomic_load(&db->ddl_busy) || atomic_load(&db->state) == FR_ERR_READ_ONLY) return false;
    uint64_t now_ms = (uint64_t)FR_MAX(db->io->now_ms(db->io), 0), last_ms = atomic_load(&db->clock.last) >> COUNT_BITS;
    fr_batch_reset(&db->ddl_batch);
    fr_code code = fr_engine_put_clock(&db->ddl_batch, FR_MAX(now_ms, last_ms) + AHEAD_MS, &err);
    if (code == FR_OK) code = fr_engine_append(db, db->catalog, &db->ddl_batch, NULL, &commit, &err);
    if (code != FR_OK) return false; /* again a little later */
    atomic_store(&db->ddl_busy, true);
    fr_engine_round_add(db, commit);
    return true;
}

void fr_engine_clock_ask(fr_db *db)
{
    if (!atomic_exchange(&db->clock.wanted, true)) fr_engine_wake(db, FR_ROLE_WRITER);
}

/* The first stamp waits for a bound, if it must; a database that cannot write any more counts on without one. */
static void wait_for_bound(fr_db *db)
{
    while (atomic_load(&db->clock.until) <= atomic_load(&db->clock.last) + 1 && atomic_load(&db->state) != FR_ERR_READ_ONLY &&
           !atomic_load(&db->stopping)) {
        uint64_t seen = fr_bell_read(&db->done_bell);
        fr_engine_clock_ask(db);
        if (db->options.no_threads) fr_engine_step_all(db);
        else fr_bell_wait(&db->done_bell, seen, 1);
    }
}

uint64_t fr_timestamp(fr_db *db)
{
    uint64_t last = atomic_load_explicit(&db->clock.last, memory_order_relaxed), next;
    uint64_t now = (uint64_t)FR_MAX(db->io->now_ms(db->io), 0) << COUNT_BITS;
    if (atomic_load(&db->clock.until) <= last + 1) wait_for_bound(db);
    uint64_t until = atomic_load(&db->clock.until);
    do {
        uint64_t base = until > SPARE ? FR_MIN(now, until - SPARE) : 0;
        next = FR_MAX(last + 1, base);
    } while (!atomic_compare_exchange_weak(&db->clock.last, &last, next));
    if (until < FR_MAX(now, next) + ((uint64_t)RENEW_MS << COUNT_BITS)) fr_engine_clock_ask(db);
    return next;
}
