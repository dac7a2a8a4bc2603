/* figures.c: latency histograms and fr_stats. Buckets are fixed: four per doubling of microseconds, so a quantile is
 * right within a fifth; two windows, so that it speaks of the recent past. */
#include "server/engine/engine.h"

#include <math.h>
#include <stdio.h>

static uint32_t bucket_of(int64_t us)
{
    if (us < 4) return us < 0 ? 0 : (uint32_t)us;
    uint32_t log2 = 63u - (uint32_t)__builtin_clzll((uint64_t)us);
    uint32_t bucket = log2 * 4 + (uint32_t)(((uint64_t)us >> (log2 - 2)) & 3u) - 4;
    return FR_MIN(bucket, FR_HISTOGRAM_BUCKETS - 1);
}

static double bucket_us(uint32_t bucket) /* the middle */
{
    if (bucket < 4) return bucket;
    uint32_t log2 = (bucket + 4) / 4, quarter = (bucket + 4) % 4;
    return ldexp(1.0 + ((double)quarter + 0.5) / 4.0, (int)log2);
}

void fr_histogram_add(fr_histogram *histogram, int64_t us)
{
    uint32_t window = atomic_load_explicit(&histogram->active, memory_order_relaxed) & 1u;
    atomic_fetch_add_explicit(&histogram->buckets[window][bucket_of(us)], 1, memory_order_relaxed);
}

void fr_histogram_rotate(fr_histogram *histogram)
{
    uint32_t next = (atomic_load_explicit(&histogram->active, memory_order_relaxed) + 1) & 1u;
    for (uint32_t i = 0; i < FR_HISTOGRAM_BUCKETS; i++)
        atomic_store_explicit(&histogram->buckets[next][i], 0, memory_order_relaxed);
    atomic_store_explicit(&histogram->active, next, memory_order_relaxed);
}

double fr_histogram_ms(const fr_histogram *histogram, double quantile)
{
    uint64_t counts[FR_HISTOGRAM_BUCKETS], total = 0;
    for (uint32_t i = 0; i < FR_HISTOGRAM_BUCKETS; i++) {
        counts[i] = atomic_load_explicit(&histogram->buckets[0][i], memory_order_relaxed) +
                    (uint64_t)atomic_load_explicit(&histogram->buckets[1][i], memory_order_relaxed);
        total += counts[i];
    }
    if (total == 0) return 0;
    double rank = quantile * (double)total;
    uint64_t below = 0;
    for (uint32_t i = 0; i < FR_HISTOGRAM_BUCKETS; i++) {
        below += counts[i];
        if ((double)below >= rank) return bucket_us(i) / 1000.0;
    }
    return bucket_us(FR_HISTOGRAM_BUCKETS - 1) / 1000.0;
}

void fr_stats_get(fr_db *db, fr_stats *stats_out)
{
    *stats_out = (fr_stats){
        .appended_records = atomic_load_explicit(&db->appended_records, memory_order_relaxed),
        .appended_bytes = atomic_load_explicit(&db->appended_bytes, memory_order_relaxed),
        .sync_rounds = atomic_load_explicit(&db->sync_rounds, memory_order_relaxed),
        .sync_errors = atomic_load_explicit(&db->sync_errors, memory_order_relaxed),
        .applied_records = atomic_load_explicit(&db->applied_records, memory_order_relaxed),
        .searches = atomic_load_explicit(&db->searches, memory_order_relaxed),
        .distances = atomic_load_explicit(&db->distances, memory_order_relaxed),
        .queue_depth = atomic_load_explicit(&db->queue_count, memory_order_relaxed),
        .queue_max = FR_QUEUE_WRITES_MAX,
        .snapshots = atomic_load_explicit(&db->snapshots, memory_order_relaxed),
        .snapshot_failures = atomic_load_explicit(&db->snapshot_failures, memory_order_relaxed),
        .snapshot_fallbacks = atomic_load_explicit(&db->snapshot_fallbacks, memory_order_relaxed),
        .compactions = atomic_load_explicit(&db->compactions, memory_order_relaxed),
        .duplicates = atomic_load_explicit(&db->duplicates, memory_order_relaxed),
        .dead_letters = atomic_load_explicit(&db->dead_letters, memory_order_relaxed),
        .sync_p50_ms = fr_histogram_ms(&db->sync_time, 0.50),
        .sync_p99_ms = fr_histogram_ms(&db->sync_time, 0.99),
        .recovery_ms = db->recovery_ms,
        .last_snapshot_ms = (double)atomic_load_explicit(&db->last_snapshot_us, memory_order_relaxed) / 1000.0,
        .last_snapshot_time_ms = atomic_load_explicit(&db->last_snapshot_time_ms, memory_order_relaxed),
    };
    for (uint32_t tag = 0; tag < FR_MEM_COUNT; tag++) {
        stats_out->memory_by_tag[tag] = fr_mem_used((fr_mem)tag);
        stats_out->memory_allocated += stats_out->memory_by_tag[tag];
    }
    _Static_assert(FR_MEM_COUNT <= FR_COUNT_OF(((fr_stats *)0)->memory_by_tag), "a figure for each tag");
    pthread_mutex_lock(&db->state_lock);
    stats_out->state = (fr_code)atomic_load(&db->state);
    snprintf(stats_out->state_text, sizeof stats_out->state_text, "%s", db->state_text);
    pthread_mutex_unlock(&db->state_lock);
}
