/* alone_link.c: when the rows of an index of its own are linked. Adding leaves them fresh, where every search finds them, until so many wait
 * that they are linked together: a row of a bulk costs a fraction of one by itself. What waits when changes pause is linked by a thread
 * that lives until nothing waits.
 * Invariants: (1) `writer` is the applier's role. The thread takes it to tidy up, and to end: whoever holds it and sees `behind_runs` may
 * leave rows to the thread. (2) The thread begins only after a pause, and stops when the next change comes: what it began of a
 * bulk, anybody ends. While somebody searches it never works beside a call that holds `writer`: a call links with as many threads as it was
 * given, and one more takes the core of who searches. (3) It is gone when fr_index_free returns. */
#include "index/alone_private.h"
#include "index/bulk.h"

#include <unistd.h>

#define PAUSE_MS    50u    /* without a change */
#define NAP_US      10000u /* of the thread: so long free may have to wait */
#define DEAD_MAX    4096u  /* rows; a small share in small tables */
#define SEED_ROWS   2048u  /* up to here rows are linked at once: later ones are linked to them together */
#define WAIT_LEAST  4096u

fr_index *fr_index_new(void)
{
    fr_index *index = fr_zalloc(FR_MEM_ROWS, sizeof *index);
    if (index == NULL || pthread_mutex_init(&index->writer, NULL) != 0) {
        fr_free(FR_MEM_ROWS, index);
        return NULL;
    }
    index->wait_max = FR_INDEX_WAIT_MAX;
    index->seed_rows = SEED_ROWS;
    index->pause_ms = PAUSE_MS;
    return index;
}

uint64_t fr_index_waiting(const fr_index *index)
{
    const fr_table *t = index->table;
    uint64_t low = atomic_load_explicit(&t->ring_low, memory_order_acquire); /* first: the tail does not fall behind it */
    return atomic_load_explicit(&t->ring_tail, memory_order_acquire) - low;
}

bool fr_index_many_dead(const fr_index *index)
{
    uint64_t live = fr_index_size(index);
    return fr_table_dead(index->table) > FR_MIN((uint64_t)DEAD_MAX, FR_MAX((uint64_t)256, live / 64));
}

static bool searched(const fr_index *index) { return atomic_load_explicit(&index->table->fresh.searched, memory_order_relaxed); }

/* A search looks at all that waits, the longer the longer a row is. While nobody searches a larger bulk is cheaper. */
static uint64_t wait_max(const fr_index *index)
{
    uint32_t padded = (index->table->options.dimension + 63) / 64 * 64;
    uint64_t most = FR_MIN((uint64_t)index->wait_max, FR_MAX((uint64_t)WAIT_LEAST, (uint64_t)FR_INDEX_WAIT_MAX * 128 / padded));
    return searched(index) ? most : 2 * most;
}

bool fr_index_links_at_once(const fr_index *index, uint64_t more)
{
    uint64_t waits = fr_index_waiting(index), live = fr_index_size(index), linked = live > waits ? live - waits : 0;
    if (waits + more == 0) return false;
    return !fr_bulk_possible(index->table) || waits + more >= wait_max(index) || linked < index->seed_rows ||
           fr_table_dead(index->table) > FR_MIN((uint64_t)DEAD_MAX, live / 64);
}

static void *help(void *argument)
{
    fr_index *index = argument;
    while (!atomic_load_explicit(&index->stop_helping, memory_order_acquire))
        if (!fr_table_link_step(index->table)) usleep(50);
    return NULL;
}

/* Dead rows are repaired, swept and freed in turns, a batch at a time: all that is due is done here, so that the next call finds their
 * slots free. The last steps may also have been another thread's, that was told to stop. */
static void finish_dead(fr_index *index)
{
    fr_table_stats stats = {.dead = UINT64_MAX};
    for (uint64_t before = 0; stats.dead != before;) {
        before = stats.dead;
        for (uint32_t i = 0; i < 2; i++) fr_table_maintain(index->table, index->commit); /* first nobody may see them, then they are freed */
        while (fr_table_link_step(index->table)) {}
        fr_table_stats_get(index->table, &stats);
    }
}

static void link_all(fr_index *index)
{
    bool many = index->table->bulk_min != 0 && fr_index_waiting(index) >= index->table->bulk_min;
    while (fr_index_waiting(index) != 0)
        if (!fr_fresh_asked(index->table) && !fr_table_link_step(index->table)) usleep(20);
    while (fr_table_link_step(index->table)) {}
    atomic_store_explicit(&index->table->fresh.searched, false, memory_order_relaxed);
    finish_dead(index);
    if (many) fr_mem_trim(); /* what a bulk took from the C library's heap */
}

void fr_index_helpers_start(fr_index *index, fr_helpers *helpers)
{
    atomic_store(&index->stop_helping, false);
    while (helpers->started + 1 < helpers->threads && pthread_create(&helpers->at[helpers->started], NULL, help, index) == 0) helpers->started++;
}

static void helpers_stop(fr_index *index, fr_helpers *helpers)
{
    atomic_store(&index->stop_helping, true);
    while (helpers->started > 0) pthread_join(helpers->at[--helpers->started], NULL);
}

/* ==== behind ==== */

/* Is it over? What was put since the last look was put by somebody who saw this thread, so it looks under his lock. */
static bool end_behind(fr_index *index)
{
    pthread_mutex_lock(&index->writer);
    bool done = fr_index_waiting(index) == 0;
    if (done) finish_dead(index);
    if (done) index->behind_runs = false;
    pthread_mutex_unlock(&index->writer);
    return done;
}

bool fr_index_pace(fr_pace *pace, uint64_t tail, uint64_t wait_max)
{
    uint64_t recent = pace->recent - (pace->recent + FR_PACE_NAPS - 1) / FR_PACE_NAPS + (tail - pace->tail);
    pace->recent = FR_MIN(recent, wait_max / 4);
    pace->tail = tail;
    return pace->recent > wait_max / 8;
}

static bool somebody_writes(fr_index *index)
{
    if (pthread_mutex_trylock(&index->writer) != 0) return true;
    pthread_mutex_unlock(&index->writer);
    return false;
}

static void *link_behind(void *argument)
{
    fr_index *index = argument;
    const fr_table *t = index->table;
    uint64_t seen = 0;
    uint32_t naps = index->pause_ms * 1000 / NAP_US;
    bool fast = false;
    fr_pace pace = {.tail = atomic_load_explicit(&t->ring_low, memory_order_acquire)};
    for (uint32_t quiet = 0; !atomic_load_explicit(&index->stop_behind, memory_order_acquire); quiet++) {
        uint64_t changes = atomic_load_explicit(&index->changes, memory_order_acquire);
        bool in_call = somebody_writes(index), beside = in_call && !searched(index);
        if (changes != seen || (in_call && !beside)) quiet = 0;
        seen = changes;
        if (quiet < naps || (fast && !beside)) {
            usleep(NAP_US);
            fast = fr_index_pace(&pace, atomic_load_explicit(&t->ring_tail, memory_order_acquire), wait_max(index));
            continue;
        }
        if (fr_index_waiting(index) == 0 && end_behind(index)) return NULL;
        if (!fr_table_link_step(index->table)) usleep(NAP_US);
    }
    return NULL;
}

static void leave_behind(fr_index *index)
{
    if (index->behind_runs) return;
    if (index->behind_made) pthread_join(index->behind, NULL); /* it has ended */
    atomic_store(&index->stop_behind, false);
    index->behind_made = index->behind_runs = pthread_create(&index->behind, NULL, link_behind, index) == 0;
    if (!index->behind_made) link_all(index);
}

void fr_index_link_stop(fr_index *index)
{
    atomic_store_explicit(&index->stop_behind, true, memory_order_release);
    if (index->behind_made) pthread_join(index->behind, NULL);
    index->behind_made = index->behind_runs = false;
    pthread_mutex_destroy(&index->writer);
}

/* ==== under `writer` ==== */

void fr_index_changed(fr_index *index, fr_helpers *helpers)
{
    bool now = fr_index_links_at_once(index, 0);
    if (now && helpers->started == 0) fr_index_helpers_start(index, helpers);
    if (now) link_all(index);
    helpers_stop(index, helpers);
    if (fr_index_waiting(index) != 0) leave_behind(index);
    else finish_dead(index);
    atomic_fetch_add_explicit(&index->changes, 1, memory_order_release);
}

void fr_index_link_waiting(fr_index *index, uint32_t threads)
{
    fr_helpers helpers = {.threads = FR_MAX(1u, FR_MIN(threads, FR_HELPERS_MAX))};
    if (fr_index_waiting(index) != 0) fr_index_helpers_start(index, &helpers);
    link_all(index); /* also when nothing waits: searches may have kept dead rows from being freed */
    helpers_stop(index, &helpers);
}

void fr_index_link_try(fr_index *index)
{
    if (fr_index_waiting(index) == 0 || pthread_mutex_trylock(&index->writer) != 0) return;
    fr_index_link_waiting(index, 1);
    pthread_mutex_unlock(&index->writer);
}

void fr_index_link(fr_index *index, uint32_t threads)
{
    pthread_mutex_lock(&index->writer);
    fr_index_link_waiting(index, threads);
    pthread_mutex_unlock(&index->writer);
}
