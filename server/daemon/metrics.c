/* metrics.c: Prometheus text. Names and units: prefix freshet_, base units, _total for counters; no label is ever an id, a
 * query or a user; collections beyond the first 1,000 are summed up under "other". */
#include "server/daemon/metrics.h"

#include "api/milvus/milvus_rest.h"

#include <dirent.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#define LABELLED_COLLECTIONS_MAX 1000u

static const int statuses[FR_STATUS_SLOTS] = {200, 201, 400, 401, 403, 404, 405, 409, 413, 417, 429, 431, 500, 501, 503, 0};

static size_t status_slot(int status)
{
    size_t slot = 0;
    while (slot < FR_STATUS_OTHER && statuses[slot] != status) slot++;
    return slot;
}

static size_t bucket_of(int64_t ns)
{
    size_t bucket = 0;
    while (bucket < FR_METRICS_BUCKETS && ns > (int64_t)250000 << bucket) bucket++;
    return bucket;
}

void fr_metrics_add(fr_metrics_histogram *histogram, int64_t ns)
{
    fr_tally(&histogram->buckets[bucket_of(ns)], 1);
    fr_tally(&histogram->sum_ns, (uint64_t)FR_MAX(ns, (int64_t)0));
}

void fr_metrics_add_shared(fr_metrics_histogram *histogram, int64_t ns)
{
    atomic_fetch_add_explicit(&histogram->buckets[bucket_of(ns)], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->sum_ns, (uint64_t)FR_MAX(ns, (int64_t)0), memory_order_relaxed);
}

void fr_counters_reply(fr_counters *counters, size_t op, int status, int64_t ns, size_t bytes_in, size_t bytes_out)
{
    if (op >= FR_METRICS_OPS_MAX) op = FR_METRICS_OPS_MAX - 1;
    fr_tally(&counters->requests[op][status_slot(status)], 1);
    fr_metrics_add(&counters->durations[op], ns);
    fr_tally(&counters->bytes_in, bytes_in);
    fr_tally(&counters->bytes_out, bytes_out);
}

void fr_counters_rpc(fr_rpc_counters *counters, size_t rpc, size_t answer, int64_t ns, size_t bytes_in, size_t bytes_out)
{
    rpc = FR_MIN(rpc, (size_t)FR_METRICS_RPCS_MAX - 1), answer = FR_MIN(answer, (size_t)FR_METRICS_ANSWERS_MAX - 1);
    fr_tally(&counters->answers[rpc][answer], 1);
    fr_metrics_add(&counters->durations[rpc], ns);
    fr_tally(&counters->bytes_in, bytes_in);
    fr_tally(&counters->bytes_out, bytes_out);
}

/* ---- text ---- */

static void head(fr_out *out, const char *name, const char *type, const char *help)
{
    fr_out_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void gauge(fr_out *out, const char *name, const char *help, double value)
{
    head(out, name, "gauge", help);
    fr_out_format(out, "%s %.17g\n", name, value);
}

static void counter(fr_out *out, const char *name, const char *help, uint64_t value)
{
    head(out, name, "counter", help);
    fr_out_format(out, "%s %llu\n", name, (unsigned long long)value);
}

static uint64_t read_counter(const _Atomic uint64_t *counter_in) { return atomic_load_explicit(counter_in, memory_order_relaxed); }

/* The sum of one field over all loops. */
#define SUM(source, field)                                                                                             \
    ({                                                                                                                 \
        uint64_t sum_ = 0;                                                                                             \
        for (size_t l_ = 0; l_ < (source)->counter_count; l_++) sum_ += read_counter(&(source)->counters[l_]->field);  \
        sum_;                                                                                                          \
    })

static void histogram_lines(fr_out *out, const char *name, const char *labels, const uint64_t *buckets, uint64_t sum_ns)
{
    uint64_t total = 0;
    for (size_t i = 0; i < FR_METRICS_BUCKETS; i++) {
        total += buckets[i];
        fr_out_format(out, "%s_bucket{%s,le=\"%g\"} %llu\n", name, labels, 0.00025 * (double)(1u << i), (unsigned long long)total);
    }
    total += buckets[FR_METRICS_BUCKETS];
    fr_out_format(out, "%s_bucket{%s,le=\"+Inf\"} %llu\n", name, labels, (unsigned long long)total);
    fr_out_format(out, "%s_sum{%s} %.9g\n", name, labels, (double)sum_ns / 1e9);
    fr_out_format(out, "%s_count{%s} %llu\n", name, labels, (unsigned long long)total);
}

/* HTTP, gRPC and REST have their own counters and share the families. */
typedef struct protocol {
    const char *name;
    size_t ops;
    const char *(*op_name)(size_t op);
    size_t offset; /* of its fr_rpc_counters in fr_counters */
} protocol;

static const fr_rpc_counters *rpc_counters(const fr_metrics_source *source, const protocol *by, size_t loop)
{
    return (const fr_rpc_counters *)((const char *)source->counters[loop] + by->offset);
}

/* The sum of one field of a protocol's counters over all loops. */
#define RPC_SUM(source, by, field)                                                                                                      \
    ({                                                                                                                                  \
        uint64_t sum_ = 0;                                                                                                              \
        for (size_t l_ = 0; l_ < (source)->counter_count; l_++) sum_ += read_counter(&rpc_counters(source, by, l_)->field);             \
        sum_;                                                                                                                           \
    })

static void http_counts_out(const fr_metrics_source *source, size_t ops, fr_out *out)
{
    for (size_t op = 0; op < ops; op++) {
        for (size_t slot = 0; slot < FR_STATUS_SLOTS; slot++) {
            uint64_t value = SUM(source, requests[op][slot]);
            if (!value) continue;
            char code[8] = "other";
            if (statuses[slot]) snprintf(code, sizeof code, "%d", statuses[slot]);
            fr_out_format(out, "freshet_requests_total{proto=\"http\",op=\"%s\",code=\"%s\"} %llu\n", fr_http_route_op(op), code,
                          (unsigned long long)value);
        }
    }
}

static void rpc_counts_out(const fr_metrics_source *source, const protocol *by, fr_out *out)
{
    size_t answers = FR_MIN(fr_milvus_answer_count(), (size_t)FR_METRICS_ANSWERS_MAX);
    for (size_t op = 0; op < by->ops; op++) {
        for (size_t slot = 0; slot < answers; slot++) {
            uint64_t value = RPC_SUM(source, by, answers[op][slot]);
            if (!value) continue;
            fr_out_format(out, "freshet_requests_total{proto=\"%s\",op=\"%s\",code=\"%s\"} %llu\n", by->name, by->op_name(op),
                          fr_milvus_answer_name(slot), (unsigned long long)value);
        }
    }
}

static void duration_out(fr_out *out, const char *proto, const char *op, const uint64_t *buckets, uint64_t sum_ns)
{
    char labels[112];
    snprintf(labels, sizeof labels, "proto=\"%s\",op=\"%s\"", proto, op);
    histogram_lines(out, "freshet_request_duration_seconds", labels, buckets, sum_ns);
}

static void durations_out(const fr_metrics_source *source, size_t ops, const protocol *rpcs, size_t rpc_count, fr_out *out)
{
    uint64_t buckets[FR_METRICS_BUCKETS + 1];
    for (size_t op = 0; op < ops; op++) {
        uint64_t seen = 0;
        for (size_t i = 0; i <= FR_METRICS_BUCKETS; i++) seen += buckets[i] = SUM(source, durations[op].buckets[i]);
        if (seen) duration_out(out, "http", fr_http_route_op(op), buckets, SUM(source, durations[op].sum_ns));
    }
    for (const protocol *by = rpcs; by < rpcs + rpc_count; by++) {
        for (size_t op = 0; op < by->ops; op++) {
            uint64_t seen = 0;
            for (size_t i = 0; i <= FR_METRICS_BUCKETS; i++) seen += buckets[i] = RPC_SUM(source, by, durations[op].buckets[i]);
            if (seen) duration_out(out, by->name, by->op_name(op), buckets, RPC_SUM(source, by, durations[op].sum_ns));
        }
    }
}

static void bytes_out(fr_out *out, const char *proto, uint64_t in, uint64_t sent)
{
    fr_out_format(out, "freshet_request_bytes_total{proto=\"%s\",direction=\"in\"} %llu\n", proto, (unsigned long long)in);
    fr_out_format(out, "freshet_request_bytes_total{proto=\"%s\",direction=\"out\"} %llu\n", proto, (unsigned long long)sent);
}

static void requests_out(const fr_metrics_source *source, fr_out *out)
{
    size_t ops = FR_MIN(fr_http_route_count() + 1, (size_t)FR_METRICS_OPS_MAX);
    const protocol rpcs[] = {
        {"grpc", FR_MIN(fr_milvus_rpc_count() + 1, (size_t)FR_METRICS_RPCS_MAX), fr_milvus_rpc_name, offsetof(fr_counters, grpc)},
        {"rest", FR_MIN(fr_milvus_rest_count() + 1, (size_t)FR_METRICS_RPCS_MAX), fr_milvus_rest_name, offsetof(fr_counters, rest)}};
    head(out, "freshet_requests_total", "counter", "Requests answered, by operation and status; of Milvus's by its code, or gRPC's status.");
    http_counts_out(source, ops, out);
    for (size_t i = 0; i < FR_COUNT_OF(rpcs); i++) rpc_counts_out(source, &rpcs[i], out);
    head(out, "freshet_request_duration_seconds", "histogram", "From the whole request read to the answer handed to the socket.");
    durations_out(source, ops, rpcs, FR_COUNT_OF(rpcs), out);
    head(out, "freshet_request_bytes_total", "counter", "Bodies in and out.");
    bytes_out(out, "http", SUM(source, bytes_in), SUM(source, bytes_out));
    for (size_t i = 0; i < FR_COUNT_OF(rpcs); i++) bytes_out(out, rpcs[i].name, RPC_SUM(source, &rpcs[i], bytes_in), RPC_SUM(source, &rpcs[i], bytes_out));
    head(out, "freshet_requests_in_flight", "gauge", "Requests being worked on.");
    fr_out_format(out, "freshet_requests_in_flight{proto=\"http\"} %llu\n", (unsigned long long)SUM(source, in_flight)); /* REST's too */
    fr_out_format(out, "freshet_requests_in_flight{proto=\"grpc\"} %llu\n", (unsigned long long)RPC_SUM(source, &rpcs[0], in_flight));
}

static void connections_out(const fr_metrics_source *source, fr_out *out)
{
    head(out, "freshet_connections", "gauge", "Open connections.");
    fr_out_format(out, "freshet_connections{proto=\"http\"} %llu\n", (unsigned long long)source->connections);
    const struct { const char *reason; uint64_t value; } rejected[] = {
        {"total", SUM(source, rejected_total)}, {"address", SUM(source, rejected_address)},
        {"stalled", SUM(source, stalled)},      {"head", SUM(source, refused_heads)}};
    head(out, "freshet_connections_rejected_total", "counter", "Connections refused or cut: caps, no progress, ambiguous requests.");
    for (size_t i = 0; i < FR_COUNT_OF(rejected); i++)
        fr_out_format(out, "freshet_connections_rejected_total{proto=\"http\",reason=\"%s\"} %llu\n", rejected[i].reason,
                      (unsigned long long)rejected[i].value);
    head(out, "freshet_shed_total", "counter", "Requests refused with 429 because a queue was full.");
    fr_out_format(out, "freshet_shed_total{proto=\"http\",reason=\"queue\"} %llu\n", (unsigned long long)SUM(source, shed_queue));
    fr_out_format(out, "freshet_shed_total{proto=\"http\",reason=\"engine\"} %llu\n", (unsigned long long)SUM(source, shed_busy));
}

static void queues_out(const fr_metrics_source *source, fr_out *out)
{
    head(out, "freshet_queue_depth", "gauge", "Requests waiting for a thread.");
    for (size_t i = 0; i < source->queue_count; i++)
        fr_out_format(out, "freshet_queue_depth{queue=\"%s\"} %llu\n", source->queues[i].name,
                      (unsigned long long)source->queues[i].depth);
    head(out, "freshet_threads", "gauge", "Threads per pool.");
    for (size_t i = 0; i < source->queue_count; i++)
        fr_out_format(out, "freshet_threads{pool=\"%s\"} %llu\n", source->queues[i].name,
                      (unsigned long long)source->queues[i].threads);
    fr_out_format(out, "freshet_threads{pool=\"loop\"} %zu\n", source->counter_count);
    head(out, "freshet_queue_wait_seconds", "histogram", "Time in a queue.");
    for (size_t i = 0; i < source->queue_count; i++) {
        if (!source->queues[i].waits) continue;
        uint64_t buckets[FR_METRICS_BUCKETS + 1];
        for (size_t k = 0; k <= FR_METRICS_BUCKETS; k++) buckets[k] = read_counter(&source->queues[i].waits->buckets[k]);
        char labels[48];
        snprintf(labels, sizeof labels, "queue=\"%s\"", source->queues[i].name);
        histogram_lines(out, "freshet_queue_wait_seconds", labels, buckets, read_counter(&source->queues[i].waits->sum_ns));
    }
}

/* ---- the process ---- */

static uint64_t open_files(void)
{
    uint64_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (folder && readdir(folder)) count++;
    if (folder) closedir(folder);
    return count > 3 ? count - 3 : 0; /* . and .. and the folder itself */
}

static void process_out(const fr_metrics_source *source, fr_out *out)
{
    struct rusage usage;
    struct rlimit files = {0};
    unsigned long long pages_virtual = 0, pages_resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file) {
        if (fscanf(file, "%llu %llu", &pages_virtual, &pages_resident) != 2) pages_virtual = pages_resident = 0;
        fclose(file);
    }
    getrusage(RUSAGE_SELF, &usage);
    getrlimit(RLIMIT_NOFILE, &files);
    double page = (double)sysconf(_SC_PAGESIZE);
    double cpu = (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    head(out, "process_cpu_seconds_total", "counter", "User and system time.");
    fr_out_format(out, "process_cpu_seconds_total %.6f\n", cpu);
    gauge(out, "process_resident_memory_bytes", "Resident memory.", (double)pages_resident * page);
    gauge(out, "process_virtual_memory_bytes", "Address space.", (double)pages_virtual * page);
    gauge(out, "process_open_fds", "Open files.", (double)open_files());
    gauge(out, "process_max_fds", "Limit of open files.", (double)files.rlim_cur);
    gauge(out, "process_start_time_seconds", "Start, seconds since 1970.", (double)source->started_ms / 1e3);
    gauge(out, "freshet_start_time_seconds", "Start, seconds since 1970.", (double)source->started_ms / 1e3);
}

/* ---- the engine ---- */

static const char *memory_kind(size_t tag)
{
    static const char *const kinds[FR_MEM_COUNT] = {
        [FR_MEM_BASE] = "base",   [FR_MEM_LOG] = "log_cache", [FR_MEM_ROWS] = "payload", [FR_MEM_VECTORS] = "vectors",
        [FR_MEM_CODES] = "codes", [FR_MEM_LINKS] = "index",   [FR_MEM_SEARCH] = "search", [FR_MEM_ENGINE] = "engine",
        [FR_MEM_DOOR] = "door",   [FR_MEM_DAEMON] = "daemon", [FR_MEM_TEST] = "test"};
    return tag < FR_MEM_COUNT && kinds[tag] ? kinds[tag] : "other";
}

static void memory_out(const fr_metrics_source *source, const fr_stats *stats, fr_out *out)
{
    head(out, "freshet_memory_bytes", "gauge", "Memory held, by what holds it.");
    fr_out_format(out, "freshet_memory_bytes{kind=\"allocated\"} %llu\n", (unsigned long long)stats->memory_allocated);
    for (size_t tag = 0; tag < FR_MEM_COUNT; tag++)
        if (tag != FR_MEM_TEST)
            fr_out_format(out, "freshet_memory_bytes{kind=\"%s\"} %llu\n", memory_kind(tag), (unsigned long long)fr_mem_used((fr_mem)tag));
    gauge(out, "freshet_memory_limit_bytes", "The configured limit; 0 = 80 percent of the machine or its cgroup.",
          (double)source->memory_limit);
}

static void engine_out(const fr_stats *stats, fr_out *out)
{
    counter(out, "freshet_log_appended_records_total", "Records appended.", stats->appended_records);
    counter(out, "freshet_log_appended_bytes_total", "Bytes appended.", stats->appended_bytes);
    counter(out, "freshet_log_sync_rounds_total", "Group commits.", stats->sync_rounds);
    counter(out, "freshet_log_fsync_errors_total", "Failed syncs; the first one makes the process read-only.", stats->sync_errors);
    head(out, "freshet_log_fsync_duration_seconds", "summary", "Recent syncs.");
    fr_out_format(out, "freshet_log_fsync_duration_seconds{quantile=\"0.5\"} %.9g\n", stats->sync_p50_ms / 1e3);
    fr_out_format(out, "freshet_log_fsync_duration_seconds{quantile=\"0.99\"} %.9g\n", stats->sync_p99_ms / 1e3);
    fr_out_format(out, "freshet_log_fsync_duration_seconds_count %llu\n", (unsigned long long)stats->sync_rounds);
    counter(out, "freshet_log_dedup_total", "Events answered by an earlier event_id.", stats->duplicates);
    counter(out, "freshet_dead_letters_total", "Records that could not be used, copied to <topic>.dlq.",
            stats->dead_letters);
    counter(out, "freshet_log_compaction_runs_total", "Compactions.", stats->compactions);
    counter(out, "freshet_index_applied_records_total", "Records applied.", stats->applied_records);
    counter(out, "freshet_searches_total", "Searches.", stats->searches);
    counter(out, "freshet_search_distance_computations_total", "Distances computed by searches.", stats->distances);
    head(out, "freshet_write_queue_depth", "gauge", "Writes waiting for the writer.");
    fr_out_format(out, "freshet_write_queue_depth %llu\n", (unsigned long long)stats->queue_depth);
    counter(out, "freshet_snapshots_total", "Snapshots written.", stats->snapshots);
    counter(out, "freshet_snapshot_failures_total", "Snapshots that failed.", stats->snapshot_failures);
    counter(out, "freshet_snapshot_fallbacks_total", "Damaged manifests, snapshots and producer states that recovery went without.",
            stats->snapshot_fallbacks);
    gauge(out, "freshet_snapshot_duration_seconds", "The last snapshot.", stats->last_snapshot_ms / 1e3);
    gauge(out, "freshet_snapshot_last_success_timestamp_seconds", "When the last snapshot was written.",
          (double)stats->last_snapshot_time_ms / 1e3);
    gauge(out, "freshet_recovery_duration_seconds", "How long the start took.", stats->recovery_ms / 1e3);
}

/* ---- collections ---- */

enum { SERIES_VALUES = 14, FIRST_RECALL = 12 };
typedef struct series {
    const char *name, *labels, *type, *help;
} series;

static const series collection_series[SERIES_VALUES] = {
    {"freshet_vectors", ",state=\"live\"", "gauge", "Rows, by state."},
    {"freshet_vectors", ",state=\"deleted\"", "gauge", NULL},
    {"freshet_vectors", ",state=\"tail\"", "gauge", NULL},
    {"freshet_index_bytes", "", "gauge", "Bytes of the index."},
    {"freshet_log_size_bytes", "", "gauge", "Bytes of the log."},
    {"freshet_snapshot_bytes", "", "gauge", "Bytes of the newest snapshot."},
    {"freshet_log_end_offset", "", "gauge", "Next offset, summed over partitions."},
    {"freshet_log_start_offset", "", "gauge", "First offset, summed over partitions."},
    {"freshet_apply_lag_records", "", "gauge", "Durable but not yet applied."},
    {"freshet_freshness_seconds", ",stage=\"total\",quantile=\"0.5\"", "summary", "Submit to searchable, recent window."},
    {"freshet_freshness_seconds", ",stage=\"total\",quantile=\"0.99\"", "summary", NULL},
    {"freshet_collection_writable", "", "gauge", "1 unless writes are refused."},
    {"freshet_recall_measured", "", "gauge",
     "Recall@10 at the default ef, as the collection measured it, by a tolerance of 1e-3 of the distance; 0: never asked for."},
    {"freshet_recall_measured_strict", "", "gauge", "The same by a tolerance of 1e-6."},
};

static void collection_values(const fr_collection_info *info, double values[SERIES_VALUES])
{
    double end = 0, start = 0, lag = 0;
    for (uint32_t i = 0; i < info->partition_count && i < FR_PARTITIONS_MAX; i++) {
        end += (double)info->partitions[i].end;
        start += (double)info->partitions[i].start;
        lag += (double)(info->partitions[i].durable - info->partitions[i].applied);
    }
    const double all[SERIES_VALUES] = {(double)info->count, (double)info->deleted_unreclaimed, (double)info->unlinked,
                                       (double)info->index_bytes, (double)info->log_bytes, (double)info->snapshot_bytes, end, start,
                                       lag, info->freshness_p50_ms / 1e3, info->freshness_p99_ms / 1e3, info->state == FR_OK,
                                       (double)info->recall_measured, (double)info->recall_measured_strict};
    memcpy(values, all, sizeof all);
}

typedef struct collected {
    char name[FR_NAME_BYTES_MAX + 1];
    double values[SERIES_VALUES];
} collected;

static uint32_t collections_in(fr_db *db, collected *all, double others[SERIES_VALUES], uint32_t *count_out)
{
    uint32_t count = fr_collection_list(db, NULL, 0), kept = 0;
    *count_out = count;
    fr_id *ids = fr_alloc(FR_MEM_DAEMON, FR_MAX(1u, count) * sizeof *ids);
    fr_collection_info *info = fr_alloc(FR_MEM_DAEMON, sizeof *info);
    if (ids && info) {
        count = FR_MIN(count, fr_collection_list(db, ids, count));
        for (uint32_t i = 0; i < count; i++) {
            double values[SERIES_VALUES];
            if (fr_collection_get(db, ids[i], info) != FR_OK) continue;
            collection_values(info, values);
            if (kept < LABELLED_COLLECTIONS_MAX) {
                memcpy(all[kept].name, info->def.name, sizeof all[kept].name);
                memcpy(all[kept++].values, values, sizeof values);
                continue;
            }
            for (size_t k = 0; k < FIRST_RECALL; k++) others[k] += values[k];
            for (size_t k = FIRST_RECALL; k < SERIES_VALUES; k++) /* recalls do not add up: the lowest that was measured */
                if (others[k] == 0 || (values[k] > 0 && values[k] < others[k])) others[k] = values[k];
        }
    }
    fr_free(FR_MEM_DAEMON, ids);
    fr_free(FR_MEM_DAEMON, info);
    return kept;
}

static void collections_out(fr_db *db, fr_out *out)
{
    uint32_t count = 0;
    double others[SERIES_VALUES] = {0};
    collected *all = fr_alloc(FR_MEM_DAEMON, LABELLED_COLLECTIONS_MAX * sizeof *all);
    if (!all) return;
    uint32_t kept = collections_in(db, all, others, &count);
    gauge(out, "freshet_collections", "Collections.", count);
    for (size_t s = 0; s < SERIES_VALUES; s++) {
        const series *one = &collection_series[s];
        if (one->help) head(out, one->name, one->type, one->help);
        for (uint32_t i = 0; i < kept; i++) {
            fr_out_format(out, "%s{collection=\"%s\"%s} ", one->name, all[i].name, one->labels);
            fr_out_format(out, "%.17g\n", all[i].values[s]);
        }
        bool summed = count > kept && strcmp(one->type, "gauge") == 0;
        if (summed) fr_out_format(out, "%s{collection=\"other\"%s} %.17g\n", one->name, one->labels, others[s]);
    }
    fr_free(FR_MEM_DAEMON, all);
}

static void state_out(const fr_metrics_source *source, const fr_stats *stats, fr_out *out)
{
    static const char *const names[] = {"recovering", "ready", "stopping", "degraded", "readonly"};
    size_t now = source->state == FR_HTTP_DRAINING ? 2 : !source->db ? 0 : 1;
    if (now == 1 && stats->state == FR_ERR_READ_ONLY) now = 4;
    else if (now == 1 && stats->state != FR_OK) now = 3;
    head(out, "freshet_state", "gauge", "1 for the state that holds.");
    for (size_t i = 0; i < FR_COUNT_OF(names); i++) fr_out_format(out, "freshet_state{state=\"%s\"} %d\n", names[i], i == now);
}

void fr_metrics_write(const fr_metrics_source *source, fr_out *out)
{
    fr_stats *stats = fr_zalloc(FR_MEM_DAEMON, sizeof *stats);
    if (!stats) return;
    if (source->db) fr_stats_get(source->db, stats);
    head(out, "freshet_build_info", "gauge", "The version.");
    fr_out_format(out, "freshet_build_info{version=\"%s\"} 1\n", FR_VERSION);
    state_out(source, stats, out);
    requests_out(source, out);
    connections_out(source, out);
    queues_out(source, out);
    process_out(source, out);
    memory_out(source, stats, out);
    if (source->db) {
        engine_out(stats, out);
        collections_out(source->db, out);
    }
    fr_free(FR_MEM_DAEMON, stats);
}
