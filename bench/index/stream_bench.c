/* stream_bench: what streaming does to an index.
 *
 * usage: stream_bench churn PREFIX [--rows N] [--rounds N] [--threads N] [--ef N] [--check]
 *        stream_bench fresh PREFIX [--rows N] [--fresh N] [--ef N]
 *        stream_bench open  PREFIX [--rows N] [--file PATH] [--keep] [--cold]
 * churn: builds, then per round gives every id another vector of the set (replace), and deletes and inserts all of it in tenths;
 *        prints recall@10 by distance at a fixed ef, and the memory held. The set of vectors stays the same, so the ground
 *        truth does. --check: status 1 when the last recall is more than 0.01 below the fresh build's, or memory grew by 10 %.
 * fresh: the latency of a search alone, and with N rows just inserted and not linked (nobody links), interleaved; and
 *        whether each fresh row is the first hit of its own vector.
 * open:  saves to a file, opens it again: time to the first answer, and whether it is the same. --keep: the file stays, and one
 *        that is there is only opened. --cold: its pages are dropped from the page cache before each opening. */
#include "bench/index/bench_data.h"
#include "index/table.h"
#include "simd/simd.h"

#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#define K 10u

typedef struct setup {
    const char *prefix, *file;
    uint32_t rows, rounds, threads, ef, fresh, queries;
    bool check, keep, cold;
    matrix base, query;
    double *limit; /* squared distance of the 10th nearest, per query */
} setup;

static void must(fr_code code, const fr_err *err)
{
    if (code == FR_OK) return;
    fprintf(stderr, "stream_bench: %s: %s\n", fr_strcode(code), err->text);
    exit(1);
}

static double *limits_of(const matrix *base, const matrix *query)
{
    double *limit = fr_alloc(FR_MEM_TEST, query->rows * sizeof *limit);
    const fr_kernel *kernel = fr_simd_kernel(FR_SIMD_L2, FR_SCALAR_F32);
    for (uint32_t q = 0; q < query->rows; q++) {
        float best[K];
        uint32_t n = 0;
        for (uint32_t i = 0; i < base->rows; i++) {
            float v = kernel->one(query->data + (size_t)q * base->dimension, base->data + (size_t)i * base->dimension, base->dimension);
            if (n == K && v >= best[K - 1]) continue;
            uint32_t at = n < K ? n++ : K - 1;
            for (; at > 0 && best[at - 1] > v; at--) best[at] = best[at - 1];
            best[at] = v;
        }
        limit[q] = (double)best[n - 1];
    }
    return limit;
}

/* Recall@10 by distance, relative tolerance 1e-3. */
static double recall_of(fr_index *index, const setup *s, double *qps_out)
{
    size_t count = (size_t)s->query.rows * K;
    int64_t *ids = fr_alloc(FR_MEM_TEST, count * sizeof *ids);
    float *distances = fr_alloc(FR_MEM_TEST, count * sizeof *distances);
    fr_err err;
    uint64_t hits = 0;
    double start = now_s();
    must(fr_index_search_many(index, s->query.data, s->query.rows, K, s->ef, 1, ids, distances, &err), &err);
    *qps_out = s->query.rows / (now_s() - start);
    for (size_t i = 0; i < count; i++) hits += ids[i] >= 0 && (double)distances[i] <= s->limit[i / K] * (1 + 1e-3) + 1e-6;
    fr_free(FR_MEM_TEST, ids);
    fr_free(FR_MEM_TEST, distances);
    return (double)hits / (double)count;
}

static void report(fr_index *index, const setup *s, const char *what, uint32_t round, double seconds, double *recall, double *mb)
{
    double qps;
    *recall = recall_of(index, s, &qps);
    *mb = (double)fr_index_memory(index) / 1e6;
    printf("%-8s %2u  recall@10 %.4f  %.0f queries/s  %.1f MB  %.1f s\n", what, round, *recall, qps, *mb, seconds);
    fflush(stdout);
}

static int churn(setup *s)
{
    fr_index *index;
    fr_err err;
    fr_index_options options = {.dimension = s->base.dimension, .metric = FR_METRIC_L2};
    uint32_t rows = s->base.rows, tenth = (rows + 9) / 10;
    size_t d = s->base.dimension;
    int64_t *ids = fr_alloc(FR_MEM_TEST, rows * sizeof *ids);
    for (uint32_t i = 0; i < rows; i++) ids[i] = i;
    double first, first_mb, last = 0, mb = 0, start = now_s();
    s->limit = limits_of(&s->base, &s->query);
    printf("ground truth %.1f s\n", now_s() - start);
    must(fr_index_create(&options, &index, &err), &err);
    start = now_s();
    must(fr_index_add(index, ids, s->base.data, rows, s->threads, &err), &err);
    report(index, s, "build", 0, now_s() - start, &first, &first_mb);
    uint32_t shift = 0;
    for (uint32_t round = 1; round <= s->rounds; round++) {
        uint32_t step = rows / 3 + 7 * round;
        start = now_s();
        shift = (shift + step) % rows; /* id i gets the vector (i + shift) mod rows */
        must(fr_index_add(index, ids, s->base.data + shift * d, rows - shift, s->threads, &err), &err);
        if (shift != 0) must(fr_index_add(index, ids + (rows - shift), s->base.data, shift, s->threads, &err), &err);
        report(index, s, "replaced", round, now_s() - start, &last, &mb);
        start = now_s();
        for (uint32_t from = 0; from < rows; from += tenth) {
            uint32_t count = FR_MIN(tenth, rows - from), whole = from + shift < rows ? FR_MIN(count, rows - shift - from) : 0;
            uint64_t removed;
            must(fr_index_remove(index, ids + from, count, &removed), &err);
            if (whole != 0) must(fr_index_add(index, ids + from, s->base.data + (from + shift) * d, whole, s->threads, &err), &err);
            if (whole < count)
                must(fr_index_add(index, ids + from + whole, s->base.data + (from + whole + shift - rows) * d, count - whole, s->threads, &err), &err);
        }
        report(index, s, "renewed", round, now_s() - start, &last, &mb);
    }
    printf("recall %.4f -> %.4f, memory %.1f -> %.1f MB\n", first, last, first_mb, mb);
    fr_index_free(index);
    fr_free(FR_MEM_TEST, ids);
    return s->check && (last < first - 0.01 || mb > first_mb * 1.1);
}

/* ==== fresh ==== */

typedef struct linker {
    fr_table *table;
    _Atomic bool stop;
} linker;

static void *link_until_stopped(void *argument)
{
    linker *self = argument;
    while (!atomic_load(&self->stop))
        if (!fr_table_link_step(self->table)) usleep(50);
    return NULL;
}

static void put(fr_table *table, const setup *s, uint32_t row, uint64_t commit)
{
    char key[16];
    fr_err err;
    fr_put_result result;
    int size = snprintf(key, sizeof key, "%u", row);
    fr_row_data data = {.key = fr_span_of(key, (size_t)size), .key_is_int = true, .vector = s->base.data + (size_t)row * s->base.dimension,
                        .source_time_ms = FR_TIME_NONE, .offset = (int64_t)commit};
    must(fr_table_put(table, &data, commit, &result, &err), &err);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Latencies of all queries, the least of five turns each: p50 and p99 in microseconds. */
static void latencies(const fr_table *table, fr_scratch *scratch, const setup *s, double *p50, double *p99, uint64_t *distances)
{
    fr_search_info info;
    *distances = 0;
    double *best = fr_alloc(FR_MEM_TEST, s->query.rows * sizeof *best);
    fr_row_hit hits[K];
    uint32_t count;
    fr_err err;
    for (uint32_t turn = 0; turn < 5; turn++)
        for (uint32_t q = 0; q < s->query.rows; q++) {
            fr_table_query query = {.vector = s->query.data + (size_t)q * s->query.dimension, .k = K, .ef = s->ef, .visible = FR_VISIBLE_ALL};
            double start = now_s();
            fr_table_enter(table, scratch);
            must(fr_table_search(table, scratch, &query, hits, &count, &info, &err), &err);
            fr_table_leave(table, scratch);
            *distances += info.distances;
            double took = (now_s() - start) * 1e6;
            if (turn == 0 || took < best[q]) best[q] = took;
        }
    qsort(best, s->query.rows, sizeof *best, by_value);
    *p50 = best[s->query.rows / 2];
    *p99 = best[s->query.rows * 99 / 100];
    *distances /= 5 * s->query.rows;
    fr_free(FR_MEM_TEST, best);
}

static uint32_t misses_of(const fr_table *table, fr_scratch *scratch, const setup *s, uint32_t from)
{
    uint32_t missed = 0, count;
    fr_row_hit hits[K];
    fr_err err;
    for (uint32_t row = from; row < s->base.rows; row++) {
        fr_table_query query = {.vector = s->base.data + (size_t)row * s->base.dimension, .k = K, .ef = s->ef, .visible = FR_VISIBLE_ALL};
        bool found = false;
        fr_table_enter(table, scratch);
        must(fr_table_search(table, scratch, &query, hits, &count, NULL, &err), &err);
        for (uint32_t i = 0; i < count && !found && hits[i].distance <= 0; i++) { /* equal vectors share the first place */
            fr_row_view view;
            char key[16];
            int size = snprintf(key, sizeof key, "%u", row);
            fr_table_row(table, hits[i].row, &view);
            found = fr_span_equal(view.key, fr_span_of(key, (size_t)size));
        }
        fr_table_leave(table, scratch);
        missed += !found;
    }
    return missed;
}

static int fresh(setup *s)
{
    fr_table *table;
    fr_scratch *scratch;
    fr_err err;
    fr_table_options options = {.dimension = s->base.dimension, .metric = FR_METRIC_L2, .seed = 42, .id_type = FR_ID_INT64};
    uint32_t linked = s->base.rows > s->fresh ? s->base.rows - s->fresh : 0;
    must(fr_table_create(&options, &table, &err), &err);
    must(fr_scratch_create(&scratch), &err);
    linker second = {.table = table};
    pthread_t thread;
    if (pthread_create(&thread, NULL, link_until_stopped, &second) != 0) return 2;
    for (uint32_t row = 0; row < linked; row++) {
        put(table, s, row, row + 1);
        if (row > 1000) fr_table_link_step(table);
        if (row % 256 == 0) fr_table_maintain(table, row + 1);
    }
    fr_table_stats stats = {.unlinked = 1};
    while (fr_table_link_step(table) || (fr_table_stats_get(table, &stats), stats.unlinked != 0)) {}
    atomic_store(&second.stop, true);
    pthread_join(thread, NULL);
    fr_table_maintain(table, linked);
    double alone, alone_99, with, with_99;
    uint64_t distances;
    latencies(table, scratch, s, &alone, &alone_99, &distances);
    printf("%u rows linked, 0 fresh: p50 %.1f us, p99 %.1f us, %lu distances\n", linked, alone, alone_99, (unsigned long)distances);
    for (uint32_t done = linked, part = (s->base.rows - linked + 3) / 4; done < s->base.rows;) {
        uint32_t end = FR_MIN(s->base.rows, done + part);
        for (; done < end; done++) put(table, s, done, done + 1);
        latencies(table, scratch, s, &with, &with_99, &distances);
        printf("%u fresh: p50 %.1f us (%.2f x), p99 %.1f us (%.2f x), %lu distances\n", done - linked, with, with / alone, with_99,
               with_99 / alone_99, (unsigned long)distances);
    }
    uint32_t missed = misses_of(table, scratch, s, linked);
    printf("%u of %u fresh rows are not among the first hits of their own vector\n", missed, s->base.rows - linked);
    fr_scratch_free(scratch);
    fr_table_free(table);
    return s->check && (missed != 0 || with > alone * 1.5);
}

/* ==== open ==== */

static void build_file(const setup *s)
{
    fr_index *index;
    fr_err err;
    fr_index_options options = {.dimension = s->base.dimension, .metric = FR_METRIC_L2};
    int64_t *ids = fr_alloc(FR_MEM_TEST, s->base.rows * sizeof *ids);
    for (uint32_t i = 0; i < s->base.rows; i++) ids[i] = i;
    must(fr_index_create(&options, &index, &err), &err);
    must(fr_index_add(index, ids, s->base.data, s->base.rows, s->threads, &err), &err);
    must(fr_index_save_file(index, s->file, &err), &err);
    fr_index_free(index);
    fr_free(FR_MEM_TEST, ids);
}

/* Out of the page cache; returns how many MB of the file are in it still. */
static double drop_pages(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    off_t size = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
    if (fd < 0 || fdatasync(fd) != 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0) perror(path), exit(1);
    size_t pages = ((size_t)size + 4095) / 4096, held = 0;
    uint8_t *there = fr_zalloc(FR_MEM_TEST, pages);
    void *bytes = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, fd, 0);
    if (bytes == MAP_FAILED || mincore(bytes, (size_t)size, there) != 0) perror(path), exit(1);
    for (size_t i = 0; i < pages; i++) held += there[i] & 1;
    munmap(bytes, (size_t)size);
    close(fd);
    fr_free(FR_MEM_TEST, there);
    return (double)held * 4096 / 1e6;
}

/* The first answer must be right by itself: its recall@10 against a scan. Then, timed apart: the first look-up of an id. */
static int open_again(setup *s)
{
    fr_index *index;
    fr_err err;
    float distances[K], *vector = fr_alloc(FR_MEM_TEST, s->base.dimension * sizeof *vector);
    int64_t ids[K], id = s->base.rows / 2;
    uint32_t wrong = 0;
    s->query.rows = 1;
    s->limit = limits_of(&s->base, &s->query);
    if (!s->keep || access(s->file, R_OK) != 0) build_file(s);
    for (uint32_t turn = 0; turn < 5; turn++) {
        bool present;
        if (s->cold) printf("%.1f MB of the file are in the page cache\n", drop_pages(s->file));
        double start = now_s();
        must(fr_index_open_file(s->file, &index, &err), &err);
        double opened = now_s();
        must(fr_index_search_many(index, s->query.data, 1, K, s->ef, 1, ids, distances, &err), &err);
        double searched = now_s(), hits = 0;
        must(fr_index_get(index, &id, 1, vector, &present), &err);
        double got = now_s();
        for (uint32_t i = 0; i < K; i++) hits += ids[i] >= 0 && (double)distances[i] <= s->limit[0] * (1 + 1e-3);
        bool same = present && memcmp(vector, s->base.data + (size_t)id * s->base.dimension, s->base.dimension * sizeof *vector) == 0;
        wrong += hits < 9 || !same || fr_index_size(index) != s->base.rows;
        printf("%u rows: opened in %.1f ms, first answer after %.1f ms (recall %.1f), first look-up of an id after %.1f ms\n", s->base.rows,
               (opened - start) * 1e3, (searched - start) * 1e3, hits / K, (got - start) * 1e3);
        fr_index_free(index);
    }
    printf("%u of 5 first answers are wrong\n", wrong);
    fr_free(FR_MEM_TEST, vector);
    if (!s->keep) unlink(s->file);
    return s->check && wrong != 0;
}

int main(int argc, char **argv)
{
    setup s = {.rounds = 10, .threads = 2, .ef = 96, .fresh = 20000, .queries = 1000, .file = "stream_bench.index"};
    static const struct option options[] = {{"rows", 1, 0, 'r'}, {"rounds", 1, 0, 'n'}, {"threads", 1, 0, 't'}, {"ef", 1, 0, 'e'},
                                            {"fresh", 1, 0, 'f'}, {"file", 1, 0, 'o'}, {"check", 0, 0, 'k'}, {"keep", 0, 0, 'p'}, {"cold", 0, 0, 'c'}, {0, 0, 0, 0}};
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        uint32_t number = optarg != NULL ? (uint32_t)strtoul(optarg, NULL, 10) : 0;
        if (o == 'r') s.rows = number;
        else if (o == 'n') s.rounds = number;
        else if (o == 't') s.threads = number;
        else if (o == 'e') s.ef = number;
        else if (o == 'f') s.fresh = number;
        else if (o == 'o') s.file = optarg;
        else if (o == 'k') s.check = true;
        else if (o == 'p') s.keep = true;
        else if (o == 'c') s.cold = true;
        else return 2;
    }
    if (optind + 2 != argc) {
        fprintf(stderr, "usage: stream_bench churn|fresh|open PREFIX [--rows N] [--rounds N] [--fresh N] [--ef N] [--check]\n");
        return 2;
    }
    s.prefix = argv[optind + 1];
    s.base = read_matrix(s.prefix, "base", s.rows);
    s.query = read_matrix(s.prefix, "query", s.queries);
    const char *mode = argv[optind];
    int status = strcmp(mode, "churn") == 0 ? churn(&s) : strcmp(mode, "fresh") == 0 ? fresh(&s)
               : strcmp(mode, "open") == 0 ? open_again(&s) : 2;
    fr_free(FR_MEM_TEST, s.limit);
    fr_free_pages(FR_MEM_TEST, s.base.data, (size_t)s.base.rows * s.base.dimension * sizeof(float));
    fr_free_pages(FR_MEM_TEST, s.query.data, (size_t)s.query.rows * s.query.dimension * sizeof(float));
    return status;
}
