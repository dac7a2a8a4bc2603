/* build_bench: what building and inserting cost, in CPU seconds, and what the graph is worth, in distances per query.
 *
 * usage: build_bench PREFIX [--rows N] [--threads N] [--one-by-one] [--ef-construction N] [--metric l2|ip|cosine] [--bulk-min N] [--check] [--stages]
 *        build_bench PREFIX --grow BATCH [--base N] [--rows N] [--stages]
 *        build_bench PREFIX --insert one|BATCH [--library] [--base N] [--rows N]
 * PREFIX.base.u8bin or .fbin and PREFIX.query.*; the truth is computed on the rows used. Distances and hops per query at recall@10 0.90,
 * 0.95 and 0.99 are interpolated; those to routers are not counted. --one-by-one: never in
 * bulk. --grow: the rows behind the first N come in batches, each put and then linked, while nobody searches. --insert: puts the rows
 * behind the first N (one by one: each is put and linked; a batch is put, then linked) while
 * another thread searches at recall 0.95, and prints rows per second of wall time and of the inserting side's CPU time, until all are linked.
 * --library: through fr_index_add, which decides itself when rows are linked. --stages: CPU time of each phase of the bulks, of one thread. */
#include "bench/index/bench_data.h"
#include "index/alone_private.h"
#include "index/bulk.h"

#include <getopt.h>
#include <math.h>
#include <pthread.h>
#include <unistd.h>

#define QUERIES 500u

typedef struct run {
    fr_table *table;
    fr_index *index; /* --library: whose table it is */
    matrix base, query;
    fr_metric metric;
    uint32_t threads, ef;
    double *limits;
    _Atomic bool stop;
    _Atomic uint64_t visible;
    uint64_t commit;
    double *latency, search_cpu;
    uint32_t latency_count;
    bool stages;
    double spent[FR_BULK_DONE + 1]; /* by phase; the last one: row by row */
} run;

static void put(run *r, uint32_t i)
{
    char room[24];
    fr_err err = {0};
    fr_put_result result;
    int size = snprintf(room, sizeof room, "%u", i);
    fr_row_data row = {.key = fr_span_of(room, (size_t)size), .vector = r->base.data + (size_t)i * r->base.dimension, .source_time_ms = FR_TIME_NONE, .offset = i};
    if (fr_table_put(r->table, &row, ++r->commit, &result, &err) != FR_OK) {
        fprintf(stderr, "build_bench: %s\n", err.text);
        exit(1);
    }
    atomic_store(&r->visible, r->commit);
    if (i % 256 == 0) fr_table_maintain(r->table, r->commit);
}

static void add(run *r, uint32_t from, uint32_t to)
{
    fr_err err = {0};
    int64_t *ids = fr_alloc(FR_MEM_TEST, (size_t)(to - from) * sizeof *ids);
    for (uint32_t i = from; i < to; i++) ids[i - from] = i;
    if (fr_index_add(r->index, ids, r->base.data + (size_t)from * r->base.dimension, to - from, r->threads, &err) != FR_OK) {
        fprintf(stderr, "build_bench: %s\n", err.text);
        exit(1);
    }
    fr_free(FR_MEM_TEST, ids);
    atomic_store(&r->visible, atomic_load(&r->index->visible));
}

static uint64_t waiting(const run *r)
{
    return atomic_load(&r->table->ring_tail) - atomic_load(&r->table->ring_low);
}

/* One thread: the phase a step is of is the one it begins in. */
static void link_timed(run *r)
{
    while (waiting(r) != 0) {
        fr_bulk_phase phase = r->table->bulk != NULL ? r->table->bulk->phase : FR_BULK_DONE;
        double start = clock_s(CLOCK_THREAD_CPUTIME_ID);
        fr_table_link_step(r->table);
        r->spent[phase] += clock_s(CLOCK_THREAD_CPUTIME_ID) - start;
    }
}

static void print_stages(const run *r, uint32_t rows)
{
    static const char *const names[] = FR_BULK_PHASE_NAMES;
    printf("us a row:");
    for (uint32_t i = 0; i <= FR_BULK_DONE; i++) printf(" %s %.2f", names[i], r->spent[i] / rows * 1e6);
    printf("\n");
}

static void *link_rows(void *argument)
{
    run *r = argument;
    if (r->stages) link_timed(r);
    while (!atomic_load(&r->stop) && waiting(r) != 0)
        if (!fr_table_link_step(r->table)) usleep(20);
    return NULL;
}

static void link_all(run *r)
{
    pthread_t threads[16];
    for (uint32_t i = 1; i < r->threads; i++) pthread_create(&threads[i], NULL, link_rows, r);
    link_rows(r);
    for (uint32_t i = 1; i < r->threads; i++) pthread_join(threads[i], NULL);
    while (fr_table_link_step(r->table)) {}
    fr_table_maintain(r->table, r->commit); /* blocks of rows that were fresh go */
}

/* The exact distance of the 10th nearest, per query, and a little more: the usual tolerance of 1e-3. */
static void find_limits(run *r)
{
    fr_scratch *s;
    if (fr_scratch_create(&s) != FR_OK) exit(1);
    r->limits = fr_alloc(FR_MEM_TEST, r->query.rows * sizeof(double));
    for (uint32_t q = 0; q < r->query.rows; q++) {
        fr_row_hit hits[10];
        uint32_t count = 0;
        fr_table_query query = {.vector = r->query.data + (size_t)q * r->query.dimension, .k = 10, .visible = FR_VISIBLE_ALL, .exact = true};
        fr_table_enter(r->table, s);
        if (fr_table_search(r->table, s, &query, hits, &count, NULL, NULL) != FR_OK || count == 0) exit(1);
        fr_table_leave(r->table, s);
        double d = (double)hits[count - 1].distance;
        r->limits[q] = d + 1e-3 * fabs(d) + 1e-6;
    }
    fr_scratch_free(s);
}

static double recall_at(run *r, uint32_t ef, double *distances_out, double *hops_out)
{
    fr_scratch *s;
    uint64_t good = 0, distances = 0, hops = 0;
    if (fr_scratch_create(&s) != FR_OK) exit(1);
    for (uint32_t q = 0; q < r->query.rows; q++) {
        fr_row_hit hits[10];
        uint32_t count = 0;
        fr_search_info info;
        fr_table_query query = {.vector = r->query.data + (size_t)q * r->query.dimension, .k = 10, .ef = ef, .visible = FR_VISIBLE_ALL};
        fr_table_enter(r->table, s);
        if (fr_table_search(r->table, s, &query, hits, &count, &info, NULL) != FR_OK) exit(1);
        fr_table_leave(r->table, s);
        for (uint32_t i = 0; i < count; i++) good += (double)hits[i].distance <= r->limits[q];
        distances += info.distances;
        hops += info.visited;
    }
    fr_scratch_free(s);
    *distances_out = (double)distances / r->query.rows;
    *hops_out = (double)hops / r->query.rows;
    return (double)good / (10.0 * r->query.rows);
}

static void print_worth(run *r)
{
    static const double wanted[] = {0.90, 0.95, 0.99};
    double last_recall = 0, last_distances = 0, last_hops = 0;
    uint32_t at = 0;
    printf("distances (hops) a query at recall .90/.95/.99:");
    for (uint32_t ef = 10; ef <= 1000 && at < 3; ef += ef / 4) {
        double distances, hops, recall = recall_at(r, ef, &distances, &hops);
        for (; at < 3 && recall >= wanted[at]; at++) {
            double part = last_recall > 0 ? (wanted[at] - last_recall) / (recall - last_recall) : 1;
            printf(" %s%.0f (%.0f)", last_recall > 0 ? "" : "<", last_distances + part * (distances - last_distances), last_hops + part * (hops - last_hops));
            if (at == 1) r->ef = ef;
        }
        last_recall = recall, last_distances = distances, last_hops = hops;
    }
    double d40, d100, h40, h100, r40 = recall_at(r, 40, &d40, &h40), r100 = recall_at(r, 100, &d100, &h100);
    printf("; ef 40: %.4f %.0f (%.0f), ef 100: %.4f %.0f (%.0f)\n", r40, d40, h40, r100, d100, h100);
}

static void print_graph(const run *r, bool check)
{
    uint64_t lanes = 0, linked = 0;
    for (uint32_t row = 0; row < r->table->row_count; row++) {
        uint32_t ids[FR_LANES_MAX];
        if (!fr_row_alive(fr_row_at(r->table, row))) continue;
        lanes += fr_row_lanes(r->table, row, ids);
        linked++;
    }
    fr_err err = {0};
    fr_code code = check ? fr_table_check(r->table, &err) : FR_OK;
    printf("links a row %.1f, unreachable %lu, check %s %s\n", (double)lanes / (double)linked, (unsigned long)fr_table_unreachable(r->table),
           check ? fr_strcode(code) : "not asked", err.text);
}

/* ==== inserting beside searches ==== */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void *search_on(void *argument)
{
    run *r = argument;
    fr_scratch *s;
    if (fr_scratch_create(&s) != FR_OK) exit(1);
    for (uint32_t q = 0; !atomic_load(&r->stop); q = (q + 1) % r->query.rows) {
        fr_row_hit hits[10];
        uint32_t count = 0;
        double start = clock_s(CLOCK_MONOTONIC);
        fr_table_enter(r->table, s);
        fr_table_query query = {.vector = r->query.data + (size_t)q * r->query.dimension, .k = 10, .ef = r->ef, .visible = atomic_load(&r->visible)};
        if (fr_table_search(r->table, s, &query, hits, &count, NULL, NULL) != FR_OK) exit(1);
        fr_table_leave(r->table, s);
        if (r->latency_count < 1u << 20) r->latency[r->latency_count++] = clock_s(CLOCK_MONOTONIC) - start;
    }
    fr_scratch_free(s);
    r->search_cpu = clock_s(CLOCK_THREAD_CPUTIME_ID);
    return NULL;
}

static void print_latency(run *r, const char *when)
{
    qsort(r->latency, r->latency_count, sizeof(double), by_value);
    uint32_t n = r->latency_count;
    printf("search %s: %u, p50 %.0f us, p99 %.0f us\n", when, n, r->latency[n / 2] * 1e6, r->latency[(uint64_t)n * 99 / 100] * 1e6);
}

/* rate 0: as fast as it goes. Returns rows per second of CPU time of all but the searching thread, until all rows are linked. */
static double insert_beside(run *r, uint32_t from, uint32_t to, uint32_t batch, double rate, const char *when)
{
    pthread_t searcher;
    r->latency_count = 0;
    atomic_store(&r->stop, false);
    double start = clock_s(CLOCK_MONOTONIC), cpu = clock_s(CLOCK_PROCESS_CPUTIME_ID);
    pthread_create(&searcher, NULL, search_on, r);
    for (uint32_t i = from; i < to;) {
        uint32_t end = FR_MIN(to, i + batch);
        if (r->index != NULL) add(r, i, end);
        for (; i < end; i++)
            if (r->index == NULL) put(r, i);
        while (r->index == NULL && waiting(r) != 0 && fr_table_link_step(r->table)) {}
        while (rate > 0 && clock_s(CLOCK_MONOTONIC) - start < (i - from) / rate) usleep(100);
    }
    if (r->index != NULL) fr_index_link(r->index, r->threads);
    if (to == from) sleep(3);
    double wall = clock_s(CLOCK_MONOTONIC) - start;
    atomic_store(&r->stop, true);
    pthread_join(searcher, NULL);
    cpu = clock_s(CLOCK_PROCESS_CPUTIME_ID) - cpu - r->search_cpu;
    if (to != from) printf("inserted %u %s: %.0f rows/s of wall, %.0f rows/s of CPU time\n", to - from, when, (to - from) / wall, (to - from) / cpu);
    print_latency(r, when);
    fflush(stdout);
    return to != from ? (to - from) / cpu : 0;
}

static void grow(run *r, uint32_t from, uint32_t batch)
{
    double cpu = clock_s(CLOCK_PROCESS_CPUTIME_ID);
    memset(r->spent, 0, sizeof r->spent);
    for (uint32_t i = from; i < r->base.rows;) {
        for (uint32_t n = 0; n < batch && i < r->base.rows; n++) put(r, i++);
        link_all(r);
    }
    printf("grown by %u in batches of %u: %.1f us of CPU a row\n", r->base.rows - from, batch, (clock_s(CLOCK_PROCESS_CPUTIME_ID) - cpu) / (r->base.rows - from) * 1e6);
    if (r->stages) print_stages(r, r->base.rows - from);
    fflush(stdout);
}

typedef struct wanted {
    uint32_t rows, ef_construction, bulk_min, batch, base_rows, grown;
    bool check, library;
} wanted;

static bool options_in(int argc, char **argv, run *r, wanted *w)
{
    static const struct option options[] = {{"rows", 1, 0, 'r'}, {"threads", 1, 0, 't'}, {"one-by-one", 0, 0, 'o'}, {"ef-construction", 1, 0, 'e'},
                                            {"metric", 1, 0, 'm'}, {"bulk-min", 1, 0, 'b'}, {"check", 0, 0, 'c'}, {"insert", 1, 0, 'i'}, {"base", 1, 0, 'a'}, {"stages", 0, 0, 's'},
                                            {"library", 0, 0, 'l'}, {"grow", 1, 0, 'g'}, {0, 0, 0, 0}};
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == '?') return false;
        uint32_t number = optarg != NULL ? (uint32_t)strtoul(optarg, NULL, 10) : 0;
        if (o == 'r') w->rows = number;
        else if (o == 't') r->threads = FR_MIN(16u, FR_MAX(1u, number));
        else if (o == 'o') w->bulk_min = 0;
        else if (o == 'e') w->ef_construction = number;
        else if (o == 'b') w->bulk_min = number;
        else if (o == 'c') w->check = true;
        else if (o == 'm') r->metric = optarg[0] == 'i' ? FR_METRIC_IP : optarg[0] == 'c' ? FR_METRIC_COSINE : FR_METRIC_L2;
        else if (o == 'i') w->batch = FR_MAX(1u, number);
        else if (o == 'a') w->base_rows = number;
        else if (o == 's') r->stages = true;
        else if (o == 'l') w->library = true;
        else if (o == 'g') w->grown = FR_MAX(1u, number);
    }
    if (optind >= argc) fprintf(stderr, "usage: build_bench PREFIX [--rows N] [--threads N] [--one-by-one] [--insert one|BATCH [--library] [--base N]] [--check]\n");
    return optind < argc;
}

static bool make_table(run *r, const wanted *w)
{
    fr_err err = {0};
    fr_table_options own = {.dimension = r->base.dimension, .metric = r->metric, .ef_construction = w->ef_construction, .seed = 42};
    fr_index_options alone = {.dimension = r->base.dimension, .metric = r->metric, .ef_construction = w->ef_construction};
    if (w->library && fr_index_create(&alone, &r->index, &err) == FR_OK) r->table = r->index->table;
    if (!w->library && fr_table_create(&own, &r->table, &err) != FR_OK) r->table = NULL;
    if (r->table != NULL && w->bulk_min != UINT32_MAX) r->table->bulk_min = w->bulk_min;
    return r->table != NULL;
}

static void build(run *r, const wanted *w, const char *prefix, uint32_t count)
{
    double start = clock_s(CLOCK_MONOTONIC), cpu = clock_s(CLOCK_PROCESS_CPUTIME_ID);
    fr_fresh_hold_back(r->table, !w->library && w->batch + w->grown == 0 && w->bulk_min != 0); /* as fr_index_add does */
    if (w->library) add(r, 0, count);
    for (uint32_t i = 0; i < count && !w->library; i++) put(r, i);
    double put_cpu = clock_s(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    if (w->library) fr_index_link(r->index, r->threads);
    else link_all(r);
    fr_fresh_hold_back(r->table, false);
    cpu = clock_s(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("%s: %u rows, %u threads, %s: %.1f s, CPU %.2f s, %.1f us a row (put %.1f)\n", prefix, count, r->threads,
           w->bulk_min == 0 ? "one by one" : "bulk", clock_s(CLOCK_MONOTONIC) - start, cpu, cpu / count * 1e6, put_cpu / count * 1e6);
    if (r->stages) print_stages(r, count);
    fflush(stdout);
}

static void judge(run *r, bool check)
{
    find_limits(r);
    print_worth(r);
    print_graph(r, check);
}

/* The truth does not hold while rows come in: recall is judged before and after. */
static void insert_the_rest(run *r, const wanted *w, uint32_t first)
{
    uint32_t rest = r->base.rows - first, full = rest * 7 / 10;
    char name[64];
    snprintf(name, sizeof name, "in batches of %u", w->batch);
    insert_beside(r, first, first, 1, 0, "alone");
    double rate = insert_beside(r, first, first + full, w->batch, 0, name);
    insert_beside(r, first + full, r->base.rows, w->batch, rate * 0.7, "at 70 % of that");
    if (!w->library) fr_table_maintain(r->table, r->commit);
    fr_free(FR_MEM_TEST, r->limits);
    judge(r, w->check);
}

int main(int argc, char **argv)
{
    run r = {.threads = 1, .metric = FR_METRIC_L2};
    wanted w = {.bulk_min = UINT32_MAX};
    if (!options_in(argc, argv, &r, &w)) return 2;
    const char *prefix = argv[optind];
    r.base = read_matrix(prefix, "base", w.rows);
    r.query = read_matrix(prefix, "query", QUERIES);
    r.latency = fr_alloc(FR_MEM_TEST, sizeof(double) << 20);
    if (!make_table(&r, &w)) return 1;
    uint32_t first = w.batch + w.grown == 0 ? r.base.rows : w.base_rows != 0 ? FR_MIN(w.base_rows, r.base.rows) : r.base.rows / 2;
    build(&r, &w, prefix, first);
    if (w.grown != 0) grow(&r, first, w.grown);
    judge(&r, w.check);
    if (w.batch != 0) insert_the_rest(&r, &w, first);
    if (w.library) fr_index_free(r.index);
    else fr_table_free(r.table);
    return 0;
}
