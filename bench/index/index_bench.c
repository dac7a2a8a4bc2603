/* index_bench: build an index from a u8bin or fbin file through freshet.h, then search it: recall@10 by distance, queries per second.
 *
 * usage: index_bench PREFIX [--rows N] [--threads N] [--metric l2|ip|cosine] [--codes sq8|none] [--profile balanced|speed|compact]
 *        [--vectors memory|disk] [--json FILE] [--churn] [--save FILE] [--open FILE]
 *        [--ef N] [--queries N] [--links M] [--check]
 * --check: only the default ef and 256, and status 1 when recall is below 0.95 and 0.99; with --churn also after it.
 * PREFIX.base.u8bin, PREFIX.query.u8bin, PREFIX.gt.i32bin (or .fbin), as ../shared/data/make.sh makes them; with --rows, ground truth is
 * computed here. Recall counts a hit by distance with 1e-3 relative tolerance, strict with none (as shared/bench/peers.py does). */
#include "bench/index/bench_data.h"

#include <getopt.h>
#include <math.h>
#include <unistd.h>

/* A squared one is added up until it is seen to be no less than `enough`. */
static double distance(fr_metric metric, const float *a, const float *b, uint32_t n, double enough)
{
    double l2 = 0, dot = 0, aa = 0, bb = 0;
    for (uint32_t from = 0; metric == FR_METRIC_L2 && from < n && l2 < enough; from += 64) {
        double lanes[4] = {0};
        for (uint32_t i = from; i < FR_MIN(n, from + 64); i++) lanes[i % 4] += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        l2 += lanes[0] + lanes[1] + lanes[2] + lanes[3];
    }
    if (metric == FR_METRIC_L2) return l2;
    for (uint32_t i = 0; i < n; i++) {
        double x = (double)a[i], y = (double)b[i];
        dot += x * y, aa += x * x, bb += y * y;
    }
    return metric == FR_METRIC_IP ? -dot : 1 - dot / sqrt(aa * bb);
}

/* The distance of the 10th nearest, per query. */
static double *limits_of(const char *prefix, const matrix *base, const matrix *query, fr_metric metric, bool computed)
{
    double *limit = fr_alloc(FR_MEM_TEST, query->rows * sizeof(double));
    char path[4096];
    uint32_t head[2] = {0, 0}, d = base->dimension;
    snprintf(path, sizeof path, "%s.gt.i32bin", prefix);
    FILE *f = computed ? NULL : fopen(path, "rb");
    if (f != NULL && fread(head, 4, 2, f) != 2) exit(2);
    int32_t *ids = fr_alloc(FR_MEM_TEST, (head[1] + 1) * sizeof(int32_t));
    for (uint32_t q = 0; q < query->rows; q++) {
        double best[10];
        uint32_t n = 0, count = base->rows;
        if (f != NULL && fread(ids, 4, head[1], f) != head[1]) exit(2);
        if (f != NULL) count = head[1];
        for (uint32_t i = 0; i < count; i++) {
            uint32_t row = f != NULL ? (uint32_t)ids[i] : i;
            double v = distance(metric, query->data + (size_t)q * d, base->data + (size_t)row * d, d, n == 10 ? best[9] : INFINITY);
            if (n == 10 && v >= best[9]) continue;
            uint32_t at = n < 10 ? n++ : 9;
            for (; at > 0 && best[at - 1] > v; at--) best[at] = best[at - 1];
            best[at] = v;
        }
        limit[q] = best[n - 1];
    }
    if (f != NULL) fclose(f);
    fr_free(FR_MEM_TEST, ids);
    return limit;
}

static double recall(const matrix *base, const matrix *query, fr_metric metric, const double *limit, const int64_t *ids, double tolerance,
                     uint32_t shift)
{
    uint64_t hits = 0;
    uint32_t d = base->dimension;
    for (uint32_t q = 0; q < query->rows; q++)
        for (uint32_t i = 0; i < 10; i++) {
            int64_t id = ids[q * 10 + i];
            if (id < 0) continue;
            double v = distance(metric, query->data + (size_t)q * d, base->data + (size_t)(((uint64_t)id + shift) % base->rows) * d, d, INFINITY);
            hits += v <= limit[q] + tolerance * fabs(limit[q]) + 1e-6;
        }
    return (double)hits / (10.0 * query->rows);
}

typedef struct setup {
    const char *prefix, *json, *save, *open;
    uint32_t rows, threads, only_ef, queries, links;
    fr_metric metric;
    fr_codes codes;
    fr_profile profile;
    fr_vectors_at vectors;
    bool churn, check;
    uint32_t shift;   /* id i holds row (i + shift) mod rows */
    uint32_t failed;  /* --check */
} setup;

static void must(fr_code code, const fr_err *err)
{
    if (code == FR_OK) return;
    fprintf(stderr, "index_bench: %s: %s\n", fr_strcode(code), err->text);
    exit(1);
}

static void curve(fr_index *index, setup *s, const matrix *base, const matrix *query, const double *limit, FILE *json)
{
    static const uint32_t efs[] = {0, 10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512}; /* 0: the default */
    int64_t *ids = fr_alloc(FR_MEM_TEST, (size_t)query->rows * 10 * sizeof *ids);
    float *distances = fr_alloc(FR_MEM_TEST, (size_t)query->rows * 10 * sizeof *distances);
    fr_err err;
    for (uint32_t e = 0; e < FR_COUNT_OF(efs); e++) {
        double best = 1e9;
        if (s->only_ef != 0 && efs[e] != s->only_ef) continue;
        if (s->check && efs[e] != 0 && efs[e] != 256) continue;
        for (int run = 0; run < 3; run++) {
            double start = now_s();
            must(fr_index_search_many(index, query->data, query->rows, 10, efs[e], 1, ids, distances, &err), &err);
            best = fmin(best, now_s() - start);
        }
        double r = recall(base, query, s->metric, limit, ids, 1e-3, s->shift);
        double strict = recall(base, query, s->metric, limit, ids, 0, s->shift), need = efs[e] == 256 ? 0.99 : 0.95;
        printf("freshet ef %u recall@10 %.4f (strict %.4f) %.0f queries/s\n", efs[e], r, strict, query->rows / best);
        fflush(stdout);
        if (json != NULL)
            fprintf(json, "%s{\"ef\":%u,\"recall\":%.4f,\"strict\":%.4f,\"qps\":%.0f}", e == 0 ? "" : ",", efs[e], r, strict, query->rows / best);
        if (s->check && r < need) {
            printf("recall@10 at ef %u is %.4f, %.2f is demanded\n", efs[e], r, need);
            s->failed++;
        }
        if (!s->check && r > 0.9985) break;
    }
    fr_free(FR_MEM_TEST, ids);
    fr_free(FR_MEM_TEST, distances);
}

/* Replace every row once (each id takes the vector of another), then delete a random half; the curve after each. */
static void churn(fr_index *index, setup *s, matrix *base, const matrix *query, const double *limit)
{
    fr_err err;
    int64_t *ids = fr_alloc(FR_MEM_TEST, base->rows * sizeof *ids);
    for (uint32_t i = 0; i < base->rows; i++) ids[i] = i;
    uint32_t half = base->rows / 2, rest = base->rows - half;
    double start = now_s();
    must(fr_index_add(index, ids, base->data + (size_t)half * base->dimension, rest, s->threads, &err), &err);
    must(fr_index_add(index, ids + rest, base->data, half, s->threads, &err), &err);
    s->shift = half;
    printf("replaced every row: %.0f rows/s\n", base->rows / (now_s() - start));
    curve(index, s, base, query, limit, NULL);
    uint32_t gone = 0, kept = 0, d = base->dimension;
    uint64_t removed;
    int64_t *live = fr_alloc(FR_MEM_TEST, base->rows * sizeof *live);
    for (uint32_t i = 0; i < base->rows; i++) {
        if (fr_mix64(i + 12345) & 1) ids[gone++] = i;
        else live[kept++] = i;
    }
    start = now_s();
    must(fr_index_remove(index, ids, gone, &removed), &err);
    printf("deleted a random half (%lu): %.0f rows/s\n", (unsigned long)removed, gone / (now_s() - start));
    /* the survivors are copied together, so that ids are mapped for the recall */
    matrix survivors = {kept, d, fr_alloc_pages(FR_MEM_TEST, (size_t)kept * d * sizeof(float))};
    for (uint32_t i = 0; i < kept; i++) memcpy(survivors.data + (size_t)i * d, base->data + ((size_t)live[i] + half) % base->rows * d, d * sizeof(float));
    double *survivors_limit = limits_of(s->prefix, &survivors, query, s->metric, true);
    curve(index, s, base, query, survivors_limit, NULL);
    fr_free_pages(FR_MEM_TEST, survivors.data, (size_t)kept * d * sizeof(float));
    fr_free(FR_MEM_TEST, survivors_limit);
    fr_free(FR_MEM_TEST, live);
    fr_free(FR_MEM_TEST, ids);
}

static bool options_in(int argc, char **argv, setup *s)
{
    static const struct option options[] = {{"rows", 1, 0, 'r'}, {"threads", 1, 0, 't'}, {"metric", 1, 0, 'm'}, {"codes", 1, 0, 'c'}, {"profile", 1, 0, 'p'}, {"vectors", 1, 0, 'v'},
                                            {"json", 1, 0, 'j'}, {"churn", 0, 0, 'x'}, {"save", 1, 0, 's'}, {"ef", 1, 0, 'e'}, {"open", 1, 0, 'o'}, {"check", 0, 0, 'k'}, {"links", 1, 0, 'l'}, {"queries", 1, 0, 'q'}, {0, 0, 0, 0}};
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        uint32_t number = optarg != NULL ? (uint32_t)strtoul(optarg, NULL, 10) : 0;
        if (o == 'r') s->rows = number;
        else if (o == 't') s->threads = number;
        else if (o == 'm') s->metric = optarg[0] == 'i' ? FR_METRIC_IP : optarg[0] == 'c' ? FR_METRIC_COSINE : FR_METRIC_L2;
        else if (o == 'c') s->codes = optarg[0] == 'n' ? FR_CODES_NONE : FR_CODES_SQ8;
        else if (o == 'p') s->profile = optarg[0] == 's' ? FR_PROFILE_SPEED : optarg[0] == 'c' ? FR_PROFILE_COMPACT : FR_PROFILE_BALANCED;
        else if (o == 'v') s->vectors = optarg[0] == 'm' ? FR_VECTORS_MEMORY : FR_VECTORS_DISK;
        else if (o == 'j') s->json = optarg;
        else if (o == 's') s->save = optarg;
        else if (o == 'o') s->open = optarg;
        else if (o == 'k') s->check = true;
        else if (o == 'q') s->queries = number;
        else if (o == 'e') s->only_ef = number;
        else if (o == 'l') s->links = number;
        else if (o == 'x') s->churn = true;
        else return false;
    }
    if (optind >= argc) fprintf(stderr, "usage: index_bench PREFIX [--rows N] [--threads N] [--metric l2|ip|cosine] [--codes sq8|none] [--json FILE] [--churn]\n");
    else s->prefix = argv[optind];
    return optind < argc;
}

/* Built, or opened; what that took, and the resident memory that came by it. */
static fr_index *make_index(const setup *s, const matrix *base, double *build_s_out, double *resident_mb_out)
{
    fr_index *index;
    fr_err err;
    int64_t *ids = fr_alloc(FR_MEM_TEST, base->rows * sizeof *ids);
    for (uint32_t i = 0; i < base->rows; i++) ids[i] = i;
    fr_index_options options = {.dimension = base->dimension, .metric = s->metric, .codes = s->codes, .profile = s->profile, .vectors = s->vectors, .m = s->links};
    double before = resident_mb(), start = now_s(), cpu = clock_s(CLOCK_PROCESS_CPUTIME_ID);
    if (s->open != NULL) {
        must(fr_index_open_file(s->open, &index, &err), &err);
    } else {
        must(fr_index_create(&options, &index, &err), &err);
        must(fr_index_add(index, ids, base->data, base->rows, s->threads, &err), &err);
    }
    *build_s_out = now_s() - start;
    *resident_mb_out = resident_mb() - before;
    printf("freshet %s build %.1f s (cpu %.1f s, %u threads), resident %.0f MB, held %.0f MB\n", s->prefix, *build_s_out,
           clock_s(CLOCK_PROCESS_CPUTIME_ID) - cpu, s->threads, *resident_mb_out, (double)fr_index_memory(index) / 1e6);
    fr_free(FR_MEM_TEST, ids);
    return index;
}

static void save_and_open(fr_index *index, setup *s, const matrix *base, const matrix *query, const double *limit)
{
    fr_err err;
    fr_index *again;
    double start = now_s();
    must(fr_index_save_file(index, s->save, &err), &err);
    printf("save %.2f s\n", now_s() - start);
    start = now_s();
    must(fr_index_open_file(s->save, &again, &err), &err);
    printf("open %.2f s, %lu rows\n", now_s() - start, (unsigned long)fr_index_size(again));
    curve(again, s, base, query, limit, NULL);
    fr_index_free(again);
}

int main(int argc, char **argv)
{
    setup s = {.threads = 2, .queries = 1000, .metric = FR_METRIC_L2};
    if (!options_in(argc, argv, &s)) return 2;
    matrix base = read_matrix(s.prefix, "base", s.rows), query = read_matrix(s.prefix, "query", s.queries);
    double *limit = limits_of(s.prefix, &base, &query, s.metric, s.rows != 0 || s.metric != FR_METRIC_L2), build, resident;
    fr_index *index = make_index(&s, &base, &build, &resident);
    FILE *json = s.json != NULL ? fopen(s.json, "w") : NULL;
    if (json != NULL)
        fprintf(json, "{\"peer\":\"freshet\",\"data\":\"%s\",\"build_s\":%.2f,\"rss_mb\":%.1f,\"curve\":[", s.prefix, build, resident);
    curve(index, &s, &base, &query, limit, json);
    if (json != NULL) {
        fprintf(json, "]}\n");
        fclose(json);
    }
    if (s.save != NULL) save_and_open(index, &s, &base, &query, limit);
    if (s.churn) churn(index, &s, &base, &query, limit);
    fr_index_free(index);
    fr_free(FR_MEM_TEST, limit);
    fr_free_pages(FR_MEM_TEST, base.data, (size_t)base.rows * base.dimension * sizeof(float));
    fr_free_pages(FR_MEM_TEST, query.data, (size_t)query.rows * query.dimension * sizeof(float));
    return s.failed != 0;
}
