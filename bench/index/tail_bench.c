/* tail_bench: what makes the slow searches beside inserts slow.
 *
 * usage: tail_bench PREFIX [--rows N] [--base N] [--insert BATCH] [--rate ROWS_A_SECOND] [--ef N] [--file PATH]
 * An index of the first `base` rows (--file: kept there, and opened the next time), then the rest through fr_index_add in batches, at full speed
 * and at 70 % of the rate by CPU time that this gave, or at --rate, while one thread searches. Each search is measured by the clock and by its
 * thread's CPU time, with what was under way when it began and ended: the phase of a bulk, fresh rows, page faults, switches. Printed: quantiles
 * against those of the index alone, the same for each phase, and what the slowest hundredth have in common. */
#include "bench/index/bench_data.h"
#include "index/alone_private.h"
#include "index/bulk.h"

#include <getopt.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#define QUERIES 500u
#define RECORDS_MAX (1u << 20)
#define PHASES  (FR_BULK_DONE + 2) /* the last but one: puts, or one by one; the last: nothing */

typedef struct record {
    float wall, cpu; /* us */
    uint32_t query, fresh, distances;
    uint16_t faults, switches;
    uint8_t phase;
} record;

typedef struct run {
    fr_index *index;
    matrix base, query;
    uint32_t ef, count;
    record *records;
    float *values;
    double search_cpu;
    _Atomic bool stop, adding;
} run;

static void must(fr_code code, const fr_err *err)
{
    if (code == FR_OK) return;
    fprintf(stderr, "tail_bench: %s: %s\n", fr_strcode(code), err->text);
    exit(1);
}

static void add(run *r, uint32_t from, uint32_t to)
{
    fr_err err = {0};
    int64_t *ids = fr_alloc(FR_MEM_TEST, (size_t)(to - from) * sizeof *ids);
    for (uint32_t i = from; i < to; i++) ids[i - from] = i;
    atomic_store(&r->adding, true);
    must(fr_index_add(r->index, ids, r->base.data + (size_t)from * r->base.dimension, to - from, 1, &err), &err);
    atomic_store(&r->adding, false);
    fr_free(FR_MEM_TEST, ids);
}

static uint8_t phase_now(run *r)
{
    fr_table *t = r->index->table;
    fr_spin_lock(&t->bulk_lock);
    uint8_t phase = t->bulk != NULL ? (uint8_t)t->bulk->phase : atomic_load(&r->adding) ? FR_BULK_DONE : FR_BULK_DONE + 1;
    fr_spin_unlock(&t->bulk_lock);
    return phase;
}

static void *search_on(void *argument)
{
    run *r = argument;
    const fr_table *t = r->index->table;
    fr_scratch *s;
    fr_row_hit hits[10];
    if (fr_scratch_create(&s) != FR_OK) exit(1);
    for (uint32_t q = 0; !atomic_load(&r->stop); q = (q + 1) % r->query.rows) {
        struct rusage before, after;
        uint32_t count = 0;
        fr_search_info info;
        fr_err err;
        record one = {.query = q, .phase = phase_now(r)};
        getrusage(RUSAGE_THREAD, &before);
        double start = now_s(), cpu = clock_s(CLOCK_THREAD_CPUTIME_ID);
        fr_table_enter(t, s);
        fr_table_query query = {.vector = r->query.data + (size_t)q * r->query.dimension, .k = 10, .ef = r->ef, .visible = atomic_load(&r->index->visible)};
        must(fr_table_search(t, s, &query, hits, &count, &info, &err), &err);
        fr_table_leave(t, s);
        one.cpu = (float)((clock_s(CLOCK_THREAD_CPUTIME_ID) - cpu) * 1e6);
        one.wall = (float)((now_s() - start) * 1e6);
        getrusage(RUSAGE_THREAD, &after);
        one.faults = (uint16_t)(after.ru_minflt - before.ru_minflt);
        one.switches = (uint16_t)(after.ru_nivcsw - before.ru_nivcsw + after.ru_nvcsw - before.ru_nvcsw);
        one.fresh = (uint32_t)info.fresh, one.distances = (uint32_t)info.distances;
        if (r->count < RECORDS_MAX) r->records[r->count++] = one;
    }
    fr_scratch_free(s);
    r->search_cpu = clock_s(CLOCK_THREAD_CPUTIME_ID);
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Quantiles of the clock or of CPU time, of one phase or all (PHASES). */
static uint32_t quantiles(run *r, bool cpu, uint32_t phase, double out[4])
{
    static const double wanted[] = {0.5, 0.9, 0.99, 0.999};
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->count; i++)
        if (phase == PHASES || r->records[i].phase == phase) r->values[n++] = cpu ? r->records[i].cpu : r->records[i].wall;
    qsort(r->values, n, sizeof(float), by_value);
    for (uint32_t i = 0; i < 4; i++) out[i] = n != 0 ? (double)r->values[(uint64_t)((double)(n - 1) * wanted[i])] : 0;
    return n;
}

static void print_slowest(run *r, bool cpu)
{
    double q[4];
    quantiles(r, cpu, PHASES, q);
    uint32_t n = 0, switched = 0, faulted = 0, phases[PHASES] = {0};
    double fresh = 0, distances = 0, all_fresh = 0, all_distances = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        const record *one = &r->records[i];
        all_fresh += one->fresh, all_distances += one->distances;
        if ((double)(cpu ? one->cpu : one->wall) < q[2]) continue;
        n++, switched += one->switches != 0, faulted += one->faults != 0, phases[one->phase]++;
        fresh += one->fresh, distances += one->distances;
    }
    printf("  slowest 1 %% by %s: switched %.0f %%, faulted %.0f %%, fresh %.0f (all %.0f), distances %.0f (all %.0f); phases", cpu ? "CPU" : "clock",
           100.0 * switched / n, 100.0 * faulted / n, fresh / n, all_fresh / r->count, distances / n, all_distances / r->count);
    for (uint32_t p = 0; p < PHASES; p++) printf(" %.0f", 100.0 * phases[p] / n);
    printf(" %%\n");
}

static void print(run *r, const char *when, double alone[2][4])
{
    static const char *const names[] = {"groups", "leaves", "around", "links", "back", "adding", "nothing"};
    bool first = alone[0][0] <= 0;
    printf("%s: %u searches\n", when, r->count);
    for (uint32_t cpu = 0; cpu < 2; cpu++) {
        double q[4];
        quantiles(r, cpu, PHASES, q);
        if (first) memcpy(alone[cpu], q, sizeof q);
        printf("  by %s p50 %.1f p90 %.1f p99 %.1f p99.9 %.1f us: %.2f %.2f %.2f %.2f x\n", cpu ? "CPU  " : "clock", q[0], q[1], q[2], q[3], q[0] / alone[cpu][0],
               q[1] / alone[cpu][1], q[2] / alone[cpu][2], q[3] / alone[cpu][3]);
    }
    for (uint32_t p = 0; p < PHASES && !first; p++) {
        double wall[4], cpu[4];
        uint32_t n = quantiles(r, false, p, wall);
        quantiles(r, true, p, cpu);
        if (n > 99) printf("    %-8s %5.1f %% of them: clock p50 %.2f p99 %.2f x, CPU p50 %.2f p99 %.2f x\n", names[p], 100.0 * n / r->count, wall[0] / alone[0][0], wall[2] / alone[0][2], cpu[0] / alone[1][0], cpu[2] / alone[1][2]);
    }
    print_slowest(r, false);
    print_slowest(r, true);
    fflush(stdout);
}

static double beside(run *r, uint32_t from, uint32_t to, uint32_t batch, double rate)
{
    pthread_t searcher;
    r->count = 0;
    atomic_store(&r->stop, false);
    double start = now_s(), cpu = clock_s(CLOCK_PROCESS_CPUTIME_ID);
    pthread_create(&searcher, NULL, search_on, r);
    for (uint32_t i = from; i < to;) {
        uint32_t end = FR_MIN(to, i + batch);
        add(r, i, end);
        i = end;
        while (rate > 0 && now_s() - start < (i - from) / rate) usleep(100);
    }
    fr_index_link(r->index, 1);
    if (to == from) sleep(3);
    double wall = now_s() - start;
    atomic_store(&r->stop, true);
    pthread_join(searcher, NULL);
    cpu = clock_s(CLOCK_PROCESS_CPUTIME_ID) - cpu - r->search_cpu;
    if (to != from) printf("inserted %u: %.0f rows/s of wall, %.0f of CPU time, %.1f us a row\n", to - from, (to - from) / wall, (to - from) / cpu, cpu / (to - from) * 1e6);
    return to != from ? (to - from) / cpu : 0;
}

int main(int argc, char **argv)
{
    run r = {.ef = 96};
    uint32_t rows = 0, base = 0, batch = 1000;
    double rate = 0, alone[2][4] = {{0}};
    const char *file = NULL;
    static const struct option options[] = {{"rows", 1, 0, 'r'}, {"base", 1, 0, 'b'}, {"insert", 1, 0, 'i'}, {"rate", 1, 0, 'a'}, {"ef", 1, 0, 'e'}, {"file", 1, 0, 'f'}, {0, 0, 0, 0}};
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        uint32_t number = optarg != NULL ? (uint32_t)strtoul(optarg, NULL, 10) : 0;
        if (o == 'r') rows = number;
        else if (o == 'b') base = number;
        else if (o == 'i') batch = FR_MAX(1u, number);
        else if (o == 'a') rate = number;
        else if (o == 'e') r.ef = number;
        else if (o == 'f') file = optarg;
        else return 2;
    }
    if (optind >= argc) return fprintf(stderr, "usage: tail_bench PREFIX [--rows N] [--base N] [--insert BATCH] [--rate N] [--ef N] [--file PATH]\n"), 2;
    fr_err err = {0};
    r.base = read_matrix(argv[optind], "base", rows);
    r.query = read_matrix(argv[optind], "query", QUERIES);
    r.records = fr_alloc_pages(FR_MEM_TEST, RECORDS_MAX * sizeof *r.records);
    r.values = fr_alloc_pages(FR_MEM_TEST, RECORDS_MAX * sizeof *r.values);
    if (base == 0 || base > r.base.rows) base = r.base.rows / 2;
    if (file != NULL && access(file, R_OK) == 0) {
        must(fr_index_open_file(file, &r.index, &err), &err);
    } else {
        fr_index_options alone_options = {.dimension = r.base.dimension, .metric = FR_METRIC_L2};
        must(fr_index_create(&alone_options, &r.index, &err), &err);
        add(&r, 0, base);
        if (file != NULL) must(fr_index_save_file(r.index, file, &err), &err);
    }
    fr_index_link(r.index, 1);
    while (fr_table_link_step(r.index->table)) {}
    beside(&r, base, base, 1, 0);
    print(&r, "alone", alone);
    uint32_t full = rate > 0 ? 0 : (r.base.rows - base) / 2;
    double speed = 0;
    if (full != 0) {
        speed = beside(&r, base, base + full, batch, 0);
        print(&r, "at full speed", alone);
    }
    beside(&r, base + full, r.base.rows, batch, rate > 0 ? rate : speed * 0.7);
    print(&r, rate > 0 ? "at the rate" : "at 70 %", alone);
    beside(&r, base, base, 1, 0);
    print(&r, "alone again", alone);
    fr_index_free(r.index);
    return 0;
}
