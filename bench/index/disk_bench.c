/* disk_bench: vectors larger than memory. Adds PREFIX.base.fbin piece by piece to an fr_index whose originals are on disk, then
 * searches: recall@10 by distance (1e-3 and strict), queries/s, p50, p99, resident memory against the raw size of the vectors.
 *
 * usage: disk_bench PREFIX [--profile balanced|compact] [--metric l2|ip|cosine] [--threads N] [--rows N] [--file FILE]
 * --file: the index is kept there and opened the next time; its codes are then mapped, so that the kernel may take their pages, too.
 * Run it inside a memory control group to see what a limit does: bench/README.md. */
#include "bench/index/bench_data.h"

#include <fcntl.h>
#include <getopt.h>
#include <math.h>

#define PIECE 2048u
#define K 10u

typedef struct rows {
    int fd;
    uint32_t count, dimension;
} rows;

static rows open_rows(const char *prefix, const char *part)
{
    char path[4096];
    uint32_t head[2];
    snprintf(path, sizeof path, "%s.%s", prefix, part);
    rows r = {.fd = open(path, O_RDONLY | O_CLOEXEC)};
    if (r.fd < 0 || pread(r.fd, head, sizeof head, 0) != sizeof head) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(2);
    }
    r.count = head[0], r.dimension = head[1];
    return r;
}

static void read_rows(const rows *r, uint32_t first, uint32_t count, void *out)
{
    size_t size = (size_t)count * r->dimension * 4;
    if (pread(r->fd, out, size, (off_t)(8 + (uint64_t)first * r->dimension * 4)) != (ssize_t)size) exit(2);
}

static void must(fr_code code, const fr_err *err)
{
    if (code == FR_OK) return;
    fprintf(stderr, "disk_bench: %s: %s\n", fr_strcode(code), err->text);
    exit(1);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void add_all(fr_index *index, const rows *base, uint32_t count, uint32_t threads)
{
    fr_err err;
    int64_t ids[PIECE];
    float *piece = fr_alloc(FR_MEM_TEST, (size_t)PIECE * base->dimension * sizeof(float));
    for (uint32_t first = 0; first < count; first += PIECE) {
        uint32_t n = FR_MIN(PIECE, count - first);
        read_rows(base, first, n, piece);
        for (uint32_t i = 0; i < n; i++) ids[i] = first + i;
        must(fr_index_add(index, ids, piece, n, threads, &err), &err);
        (void)posix_fadvise(base->fd, 0, 0, POSIX_FADV_DONTNEED);
    }
    fr_free(FR_MEM_TEST, piece);
}

/* The distances that the index returns are exact: the 10th of the truth is that of its row, returned or computed alike. */
static void search_all(fr_index *index, const rows *query, const rows *truth, const rows *base, fr_metric metric, uint32_t ef)
{
    uint32_t d = query->dimension, near[K];
    float *q = fr_alloc(FR_MEM_TEST, d * sizeof(float)), *x = fr_alloc(FR_MEM_TEST, d * sizeof(float)), distances[K];
    double *took = fr_alloc(FR_MEM_TEST, query->count * sizeof(double)), total = 0;
    uint64_t hits = 0, strict = 0;
    int64_t ids[K];
    fr_err err;
    for (uint32_t i = 0; i < query->count; i++) {
        read_rows(query, i, 1, q);
        double start = now_s();
        must(fr_index_search_many(index, q, 1, K, ef, 1, ids, distances, &err), &err);
        took[i] = now_s() - start;
        total += took[i];
        if (pread(truth->fd, near, sizeof near, (off_t)(8 + (uint64_t)i * truth->dimension * 4)) != sizeof near) exit(2);
        double limit = -INFINITY;
        for (uint32_t j = 0; j < K; j++) {
            double l2 = 0, dot = 0, qq = 0, xx = 0;
            read_rows(base, near[j], 1, x);
            for (uint32_t e = 0; e < d; e++) {
                double a = (double)q[e], b = (double)x[e];
                l2 += (a - b) * (a - b), dot += a * b, qq += a * a, xx += b * b;
            }
            limit = fmax(limit, metric == FR_METRIC_L2 ? l2 : metric == FR_METRIC_IP ? -dot : 1 - dot / sqrt(qq * xx));
        }
        for (uint32_t j = 0; j < K; j++) {
            hits += (double)distances[j] <= limit + 1e-3 * fabs(limit) + 1e-6;
            strict += (double)distances[j] <= limit + 1e-6;
        }
    }
    qsort(took, query->count, sizeof *took, by_value);
    printf("ef %u recall@10 %.4f (strict %.4f) %.0f queries/s p50 %.0f us p99 %.0f us\n", ef, (double)hits / (K * query->count),
           (double)strict / (K * query->count), query->count / total, took[query->count / 2] * 1e6, took[query->count * 99 / 100] * 1e6);
    fflush(stdout);
    fr_free(FR_MEM_TEST, q);
    fr_free(FR_MEM_TEST, x);
    fr_free(FR_MEM_TEST, took);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"profile", 1, 0, 'p'}, {"metric", 1, 0, 'm'}, {"threads", 1, 0, 't'}, {"rows", 1, 0, 'r'}, {"file", 1, 0, 'f'}, {0, 0, 0, 0}};
    fr_index_options own = {.vectors = FR_VECTORS_DISK};
    uint32_t threads = 2, limit = 0;
    const char *file = NULL;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 'p') own.profile = optarg[0] == 'c' ? FR_PROFILE_COMPACT : FR_PROFILE_BALANCED;
        else if (o == 'm') own.metric = optarg[0] == 'i' ? FR_METRIC_IP : optarg[0] == 'c' ? FR_METRIC_COSINE : FR_METRIC_L2;
        else if (o == 't') threads = (uint32_t)strtoul(optarg, NULL, 10);
        else if (o == 'f') file = optarg;
        else if (o == 'r') limit = (uint32_t)strtoul(optarg, NULL, 10);
        else return 2;
    }
    if (optind >= argc) {
        fprintf(stderr, "usage: disk_bench PREFIX [--profile balanced|compact] [--metric l2|ip|cosine] [--threads N] [--rows N] [--file FILE]\n");
        return 2;
    }
    rows base = open_rows(argv[optind], "base.fbin"), query = open_rows(argv[optind], "query.fbin"), truth = open_rows(argv[optind], "gt.i32bin");
    uint32_t count = limit != 0 ? FR_MIN(limit, base.count) : base.count;
    own.dimension = base.dimension;
    fr_index *index;
    fr_err err;
    double before = resident_mb(), start = now_s(), raw = (double)count * base.dimension * 4 / 1e6;
    bool opened = file != NULL && access(file, R_OK) == 0;
    if (opened) {
        must(fr_index_open_file(file, &index, &err), &err);
    } else {
        must(fr_index_create(&own, &index, &err), &err);
        add_all(index, &base, count, threads);
        if (file != NULL) must(fr_index_save_file(index, file, &err), &err);
    }
    printf("%u x %u, %.0f MB raw: %s in %.0f s, held %.0f MB, resident %.0f MB = raw / %.2f\n", count, base.dimension, raw, opened ? "opened" : "added", now_s() - start,
           (double)fr_index_memory(index) / 1e6, resident_mb() - before, raw / (resident_mb() - before));
    fflush(stdout);
    static const uint32_t efs[] = {32, 64, 128, 256};
    for (uint32_t e = 0; e < FR_COUNT_OF(efs); e++) search_all(index, &query, &truth, &base, own.metric, efs[e]);
    printf("after the searches: resident %.0f MB = raw / %.2f\n", resident_mb() - before, raw / (resident_mb() - before));
    fr_index_free(index);
    return 0;
}
