/* filtered: search with filters of falling selectivity, on real vectors with made-up attributes: recall@10, queries per second,
 * beside the unfiltered search of the same process.
 *
 * usage: filtered PREFIX [--rows N] [--queries N] [--ef N[,N...]] [--threads N] [--table FILE] [--json FILE] [--check] [--plans] [--cold] [--only NAME] [--rounds N]
 *        [--metric l2|ip]
 * PREFIX as of index_bench. --table: the built table is kept there and opened the next time, the truth of each case beside it. --plans: every plan of every filter.
 * --cold: every query brings a filter that no query before had, so that nothing kept in the scratch serves it; else a case's filter comes
 * again and again (`near` and `opposed`: one of 100). --ef: of the filtered searches; the unfiltered ones run at the default.
 * --check: status 1 when a recall is below 0.95, fewer than k hits come, or a filter runs at less than half the unfiltered rate
 * (and its scan is not what was taken).
 * Attributes of row i, from a hash: color 10 values, flag, shop 100, user 1,000, price a float in [0, 1000); cluster: the nearest of
 * 100 rows, so that it goes with the vector. `opposed` asks for the cluster farthest from the query, `near` for its own. */
#include "bench/index/bench_data.h"
#include "index/table.h"
#include "api/doc.h"
#include "simd/simd.h"

#include <getopt.h>
#include <math.h>
#include <pthread.h>
#include <unistd.h>

#define K 10u
#define CLUSTERS 100u
#define EFS_MAX 8u

typedef struct setup {
    const char *prefix, *json, *table, *only;
    uint32_t rows, queries, ef, efs[EFS_MAX], ef_count, threads, rounds;
    bool check, plans, cold, inner;
    uint32_t failed;
} setup;

/* Of this thread: a search waits for nothing, and the machine may have other work. */
static double busy_s(void) { return clock_s(CLOCK_THREAD_CPUTIME_ID); }

static void must(fr_code code, const fr_err *err)
{
    if (code == FR_OK) return;
    fprintf(stderr, "filtered: %s: %s\n", fr_strcode(code), err->text);
    exit(2);
}

/* The nearest (or farthest) of the rows that stand for clusters. */
static uint32_t cluster_of(const matrix *base, const float *v, bool farthest)
{
    const fr_kernel *squared = fr_simd_kernel(FR_SIMD_L2, FR_SCALAR_F32);
    uint32_t best = 0;
    float best_distance = farthest ? -1.0f : INFINITY;
    for (uint32_t c = 0; c < CLUSTERS; c++) {
        float d = squared->one(v, base->data + (size_t)(fr_mix64(c + 999) % base->rows) * base->dimension, base->dimension);
        if (farthest ? d > best_distance : d < best_distance) best = c, best_distance = d;
    }
    return best;
}

static uint32_t part_of(uint32_t row, uint32_t field, uint32_t values) { return (uint32_t)(fr_mix64((uint64_t)row * 16 + field) % values); }

static void put_int(fr_doc_builder *b, const char *key, int64_t value)
{
    fr_doc_put_key(b, key, strlen(key));
    fr_doc_put_int(b, value);
}

static void attributes(fr_doc_builder *b, const matrix *base, uint32_t row)
{
    static const char *const colors[] = {"red", "orange", "yellow", "green", "blue", "indigo", "violet", "black", "white", "grey"};
    const char *color = colors[part_of(row, 0, 10)];
    fr_doc_reset(b);
    fr_doc_begin_object(b);
    fr_doc_put_key(b, "color", 5);
    fr_doc_put_string(b, color, strlen(color));
    fr_doc_put_key(b, "flag", 4);
    fr_doc_put_bool(b, part_of(row, 1, 2) == 0);
    put_int(b, "shop", part_of(row, 2, 100));
    put_int(b, "user", part_of(row, 3, 1000));
    fr_doc_put_key(b, "price", 5);
    fr_doc_put_float(b, (double)fr_mix64(row * 16ull + 4) / 18446744073709551616.0 * 1000);
    put_int(b, "cluster", cluster_of(base, base->data + (size_t)row * base->dimension, false));
    fr_doc_end_object(b);
}

/* ==== the table: built, or read from the file of an earlier run ==== */

static _Atomic bool stop_linking;
static void *link_rows(void *table)
{
    while (!atomic_load(&stop_linking))
        if (!fr_table_link_step(table)) usleep(50);
    return NULL;
}

static fr_table *build_table(const fr_table_options *options, const matrix *base, uint32_t threads)
{
    fr_table *t;
    fr_err err = {0};
    fr_doc_builder b = {0};
    pthread_t workers[64];
    must(fr_table_create(options, &t, &err), &err);
    for (uint32_t i = 0; i < base->rows; i++) { /* linked behind, in bulk */
        char key[24];
        fr_put_result result;
        int size = snprintf(key, sizeof key, "%u", i);
        attributes(&b, base, i);
        fr_row_data row = {.key = fr_span_of(key, (size_t)size), .key_is_int = true, .vector = base->data + (size_t)i * base->dimension,
                           .source_time_ms = FR_TIME_NONE, .offset = i};
        must(fr_doc_finish(&b, &row.metadata), &err);
        must(fr_table_put(t, &row, i + 1, &result, &err), &err);
        if (i % 256 == 0) fr_table_maintain(t, i + 1);
    }
    for (uint32_t i = 1; i < threads; i++) pthread_create(&workers[i], NULL, link_rows, t);
    while (fr_table_link_step(t)) {}
    atomic_store(&stop_linking, true);
    for (uint32_t i = 1; i < threads; i++) pthread_join(workers[i], NULL);
    while (fr_table_link_step(t)) {} /* what they had taken when this thread found nothing */
    for (uint32_t i = 0; i < 1000; i++) fr_table_maintain(t, base->rows); /* what was read while it was fresh goes */
    fr_doc_free(&b);
    return t;
}

static fr_code write_chunk(fr_sink *sink, uint64_t id, const void *data, size_t size, fr_err *err)
{
    uint64_t head[2] = {id, size};
    FILE *f = sink->user;
    if (fwrite(head, sizeof head, 1, f) != 1 || (size != 0 && fwrite(data, size, 1, f) != 1)) return fr_fail(err, FR_ERR_IO, NULL, "cannot write");
    return FR_OK;
}

typedef struct chunk_file {
    uint8_t *data;
    size_t size;
} chunk_file;

static fr_code read_chunk(fr_source *source, uint64_t id, void **data_out, size_t *size_out, fr_err *err)
{
    (void)err;
    const chunk_file *file = source->user;
    for (size_t at = 0; at + 16 <= file->size;) {
        uint64_t head[2];
        memcpy(head, file->data + at, sizeof head);
        if (head[0] == id) {
            *data_out = fr_alloc_aligned(FR_MEM_TEST, 64, head[1] + 1); /* for the whole run: a bench */
            memcpy(*data_out, file->data + at + 16, head[1]);
            *size_out = head[1];
            return FR_OK;
        }
        at += 16 + head[1];
    }
    return FR_ERR_NOT_FOUND;
}

static fr_table *open_table(const setup *s, const fr_table_options *options, const matrix *base)
{
    fr_err err = {0};
    FILE *f = s->table != NULL ? fopen(s->table, "rb") : NULL;
    fr_table *t;
    if (f != NULL) {
        chunk_file file = {0};
        fseek(f, 0, SEEK_END);
        file.size = (size_t)ftell(f);
        rewind(f);
        file.data = fr_alloc_pages(FR_MEM_TEST, file.size);
        if (fread(file.data, 1, file.size, f) != file.size) exit(2);
        fclose(f);
        fr_source source = {.chunk = read_chunk, .user = &file};
        bool keeps;
        must(fr_table_load(options, &source, (fr_offset)base->rows - 1, &t, &keeps, &err), &err);
        fr_free_pages(FR_MEM_TEST, file.data, file.size);
        while (fr_table_settle_step(t)) {}
        return t;
    }
    t = build_table(options, base, s->threads);
    f = s->table != NULL ? fopen(s->table, "wb") : NULL;
    if (f == NULL) return t;
    fr_sink sink = {.chunk = write_chunk, .user = f};
    must(fr_table_save_begin(t, (fr_offset)base->rows - 1, true, &err), &err);
    must(fr_table_save(t, &sink, &err), &err);
    fr_table_save_end(t, true);
    fclose(f);
    return t;
}

/* ==== the filters ==== */

static const struct {
    const char *name, *text; /* %u: the cluster */
    enum { SAME, OWN, FARTHEST } cluster;
} cases[] = {
    {"none", "", SAME},
    {"100 %", "price >= 0", SAME},
    {"50 %", "flag == true", SAME},
    {"30 %", "color in [\"red\", \"blue\", \"black\"]", SAME},
    {"10 %", "color == \"red\"", SAME},
    {"10 % by range", "price >= 400 and price < 500", SAME},
    {"5 %, two fields", "flag == true and color == \"red\"", SAME},
    {"3 %", "shop < 3", SAME},
    {"1 %", "shop == 7", SAME},
    {"1 % by range", "price < 10", SAME},
    {"0.1 %", "user == 77", SAME},
    {"0.1 % by range", "price < 1", SAME},
    {"0.1 %, two fields", "shop == 7 and color == \"red\"", SAME},
    {"10 % without column", "color like \"re_\" and price * 2 >= 0", SAME},
    {"10 % by documents", "price * 2 < 200", SAME},
    {"near", "cluster == %u", OWN},
    {"opposed", "cluster == %u", FARTHEST},
};

/* only: a part of the name, or names that end in ; each. */
static bool is_wanted(const char *only, const char *name)
{
    if (strchr(only, ';') == NULL) return strstr(name, only) != NULL;
    size_t size = strlen(name);
    for (const char *at = only; (at = strstr(at, name)) != NULL; at++)
        if ((at == only || at[-1] == ';') && at[size] == ';') return true;
    return false;
}

typedef struct result {
    double recall, us;
    uint64_t short_answers;
    fr_search_info info;
} result;

/* Beside the table's file the truth of each case is kept, too. */
static FILE *truth_file(const setup *s, const char *name, const char *mode)
{
    char path[4096];
    int at = snprintf(path, sizeof path, "%s.%u.", s->table != NULL ? s->table : "", s->queries);
    if (s->table == NULL || at < 0 || (size_t)at + strlen(name) + 8 > sizeof path) return NULL;
    for (; *name != 0; name++) path[at++] = *name == ' ' || *name == '%' ? '_' : *name;
    memcpy(path + at, ".truth", 7);
    return fopen(path, mode);
}

static float *truth_of(const fr_table *t, fr_scratch *s, const setup *up, const char *name, const matrix *query, fr_filter *const *filters,
                       uint64_t visible, uint32_t *counts)
{
    uint32_t queries = up->queries;
    size_t numbers = (size_t)queries * K;
    float *truth = fr_alloc(FR_MEM_TEST, numbers * sizeof *truth);
    fr_row_hit hits[K];
    FILE *f = truth_file(up, name, "rb");
    bool held = f != NULL && fread(truth, sizeof *truth, numbers, f) == numbers && fread(counts, sizeof *counts, queries, f) == queries;
    if (f != NULL) fclose(f);
    if (held) return truth;
    for (uint32_t i = 0; i < queries; i++) {
        fr_table_query q = {.vector = query->data + (size_t)i * query->dimension, .k = K, .filter = filters[i], .visible = visible, .exact = true};
        fr_table_enter(t, s);
        must(fr_table_search(t, s, &q, hits, &counts[i], NULL, NULL), &(fr_err){0});
        fr_table_leave(t, s);
        for (uint32_t j = 0; j < K; j++) truth[i * K + j] = j < counts[i] ? hits[j].distance : 0;
    }
    f = truth_file(up, name, "wb");
    if (f != NULL && (fwrite(truth, sizeof *truth, numbers, f) != numbers || fwrite(counts, sizeof *counts, queries, f) != queries)) exit(2);
    if (f != NULL) fclose(f);
    return truth;
}

static void measure(const fr_table *t, fr_scratch *s, const setup *up, const matrix *query, fr_filter *const *filters, uint64_t visible,
                    const float *truth, const uint32_t *counts, uint32_t plan, result *r)
{
    fr_row_hit hits[K];
    uint64_t good = 0, asked = 0;
    double begin = busy_s();
    r->short_answers = 0;
    for (uint32_t i = 0; i < up->queries; i++) {
        uint32_t count;
        fr_table_query q = {.vector = query->data + (size_t)i * query->dimension, .k = K, .ef = up->ef, .filter = filters[i], .visible = visible, .plan = plan};
        if (up->cold) fr_scratch_forget(s);
        fr_table_enter(t, s);
        must(fr_table_search(t, s, &q, hits, &count, &r->info, NULL), &(fr_err){0});
        fr_table_leave(t, s);
        r->short_answers += count < counts[i];
        asked += counts[i];
        for (uint32_t j = 0; j < count && j < counts[i]; j++) good += hits[j].distance <= truth[i * K + counts[i] - 1] + 0.001f * fabsf(truth[i * K + counts[i] - 1]) + 1e-6f;
    }
    r->us = fmin(r->us, (busy_s() - begin) * 1e6 / up->queries);
    r->recall = asked == 0 ? 1 : (double)good / (double)asked;
}

/* ==== a run ==== */

typedef struct run {
    setup *s;
    fr_table *t;
    fr_scratch *scratch;
    matrix base, query;
    fr_filter **none, **filters; /* one a query */
    float *unfiltered;           /* the truth without a filter, */
    uint32_t *all, *counts;      /* and how many there are; counts: with the filter */
    FILE *json;
    uint32_t reported;
} run;

/* What a filter wishes for, it gets. */
static void make_columns(run *r)
{
    while (fr_table_columns_wait(r->t)) fr_table_maintain(r->t, r->base.rows);
}

static double column_mb(const run *r, fr_table_stats *stats)
{
    fr_table_stats_get(r->t, stats);
    return (double)stats->bytes_columns / 1e6;
}

static void compile_filters(run *r, uint32_t c)
{
    fr_filter_schema schema = {.key_name = "id", .id_type = FR_ID_INT64};
    const char *mark = strstr(cases[c].text, "%u");
    for (uint32_t i = 0; i < r->s->queries; i++) {
        char text[256];
        const float *v = r->query.data + (size_t)i * r->query.dimension;
        if (mark == NULL) snprintf(text, sizeof text, "%s", cases[c].text);
        else snprintf(text, sizeof text, "%.*s%u", (int)(mark - cases[c].text), cases[c].text, cluster_of(&r->base, v, cases[c].cluster == FARTHEST));
        must(fr_filter_compile(fr_span_text(text), &schema, (fr_span){NULL, 0}, &r->filters[i], &(fr_err){0}), &(fr_err){0});
    }
}

/* Cells, then copies of the filter's columns in them. */
static void grant_wishes(run *r)
{
    setup one = *r->s;
    one.queries = 1;
    double made = busy_s();
    for (int wishes = 0, granted = 1; wishes < 3 && granted; wishes++) {
        result first = {.us = 1e9};
        measure(r->t, r->scratch, &one, &r->query, r->filters, r->base.rows, r->unfiltered, r->all, FR_PLAN_ANY, &first);
        granted = fr_table_columns_wait(r->t);
        make_columns(r);
    }
    fr_table_stats stats;
    made = busy_s() - made;
    if (made > 0.02) printf("cells made in %.2f s of CPU time; columns and cells %.1f MB\n", made, column_mb(r, &stats));
}

static void report(run *r, const char *name, uint32_t plan, const result *plain, const result *found)
{
    double ratio = plain->us / found->us;
    const fr_search_info *info = &found->info;
    printf("%-22s recall %.4f %8.0f/s  %.2f x unfiltered (%.0f/s)  %-26s matches %llu%s, %llu distances, %llu documents, scan %.0f us, walk %.0f us%s\n",
           name, found->recall, 1e6 / found->us, ratio, 1e6 / plain->us, info->plan, (unsigned long long)info->matches,
           info->matches_exact ? "" : " (about)", (unsigned long long)info->distances, (unsigned long long)info->filter_checked,
           info->cost_scan, info->cost_walk, found->short_answers != 0 ? "  SHORT ANSWERS" : "");
    fflush(stdout);
    bool slow = ratio < 0.5 && strstr(info->plan, "scan") == NULL;
    r->s->failed += plan == FR_PLAN_ANY && (found->recall < 0.95 || found->short_answers != 0 || slow);
    if (r->json != NULL)
        fprintf(r->json, "%s{\"filter\":\"%s\",\"plan\":\"%s\",\"recall\":%.4f,\"qps\":%.0f,\"unfiltered_qps\":%.0f,\"short\":%llu}",
                r->reported++ == 0 ? "" : ",", name, info->plan, found->recall, 1e6 / found->us, 1e6 / plain->us, (unsigned long long)found->short_answers);
}

/* One case by every plan and ef that was asked for. */
static void run_case(run *r, uint32_t c)
{
    const setup *s = r->s;
    uint32_t efs = FR_MAX(s->ef_count, 1u);
    compile_filters(r, c);
    grant_wishes(r);
    float *truth = truth_of(r->t, r->scratch, s, cases[c].name, &r->query, r->filters, r->base.rows, r->counts);
    for (uint32_t way = 0; way < efs * (s->plans ? FR_PLAN_CELLS + 1 : 1); way++) {
        uint32_t plan = way / efs;
        if (plan == FR_PLAN_SCAN && way % efs != 0) continue; /* whatever the ef */
        setup at_ef = *s;
        if (s->ef_count != 0) at_ef.ef = s->efs[way % efs], printf("ef %4u  ", at_ef.ef);
        result plain = {.us = 1e9}, found = {.us = 1e9};
        for (uint32_t round = 0; round < s->rounds; round++) { /* in turns: the machine has other work, too */
            measure(r->t, r->scratch, s, &r->query, r->none, r->base.rows, r->unfiltered, r->all, FR_PLAN_ANY, &plain);
            measure(r->t, r->scratch, &at_ef, &r->query, r->filters, r->base.rows, truth, r->counts, plan, &found);
        }
        report(r, cases[c].name, plan, &plain, &found);
    }
    fr_free(FR_MEM_TEST, truth);
    for (uint32_t i = 0; i < s->queries; i++) fr_filter_free(r->filters[i]);
}

static bool options_in(int argc, char **argv, setup *s)
{
    static const struct option options[] = {{"rows", 1, 0, 'r'}, {"queries", 1, 0, 'q'}, {"ef", 1, 0, 'e'}, {"threads", 1, 0, 't'}, {"table", 1, 0, 's'},
                                            {"json", 1, 0, 'j'}, {"check", 0, 0, 'k'}, {"plans", 0, 0, 'p'}, {"cold", 0, 0, 'c'}, {"only", 1, 0, 'o'}, {"rounds", 1, 0, 'n'}, {"metric", 1, 0, 'm'}, {0, 0, 0, 0}};
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        uint32_t number = optarg != NULL ? (uint32_t)strtoul(optarg, NULL, 10) : 0;
        if (o == 'r') s->rows = number;
        else if (o == 'q') s->queries = number;
        else if (o == 'e')
            for (char *at = optarg; s->ef_count < EFS_MAX && *at != 0; at += *at == ',') s->efs[s->ef_count++] = (uint32_t)strtoul(at, &at, 10);
        else if (o == 't') s->threads = FR_MIN(FR_MAX(number, 1u), 64u);
        else if (o == 's') s->table = optarg;
        else if (o == 'j') s->json = optarg;
        else if (o == 'k') s->check = true;
        else if (o == 'p') s->plans = true;
        else if (o == 'c') s->cold = true;
        else if (o == 'o') s->only = optarg;
        else if (o == 'n') s->rounds = number;
        else if (o == 'm' && (strcmp(optarg, "l2") == 0 || strcmp(optarg, "ip") == 0)) s->inner = optarg[0] == 'i';
        else return false;
    }
    s->prefix = argv[argc - 1];
    return optind + 1 == argc;
}

int main(int argc, char **argv)
{
    setup s = {.queries = 200, .threads = 2, .rounds = 5};
    if (!options_in(argc, argv, &s)) return 2;
    run r = {.s = &s, .base = read_matrix(s.prefix, "base", s.rows), .query = read_matrix(s.prefix, "query", s.queries)};
    s.queries = r.query.rows;
    fr_table_options table_options = {.dimension = r.base.dimension, .metric = s.inner ? FR_METRIC_IP : FR_METRIC_L2, .seed = 7, .id_type = FR_ID_INT64,
                                      .indexed_count = 6, .indexed = {"color", "flag", "shop", "user", "price", "cluster"}};
    double begin = now_s();
    r.t = open_table(&s, &table_options, &r.base);
    printf("%u rows, table %.1f s, ", r.base.rows, now_s() - begin);
    begin = now_s();
    make_columns(&r);
    begin = now_s() - begin;
    fr_table_stats stats;
    double mb = column_mb(&r, &stats);
    printf("%u columns %.2f s, %.1f MB of %.1f\n", stats.columns, begin, mb, (double)stats.bytes / 1e6);
    if (fr_scratch_create(&r.scratch) != FR_OK) return 2;
    r.json = s.json != NULL ? fopen(s.json, "w") : NULL;
    if (r.json != NULL) fprintf(r.json, "{\"data\":\"%s\",\"rows\":%u,\"queries\":%u,\"cases\":[", s.prefix, r.base.rows, s.queries);
    r.filters = fr_alloc(FR_MEM_TEST, s.queries * sizeof *r.filters);
    r.none = fr_zalloc(FR_MEM_TEST, s.queries * sizeof *r.none);
    r.counts = fr_alloc(FR_MEM_TEST, s.queries * sizeof *r.counts);
    r.all = fr_alloc(FR_MEM_TEST, s.queries * sizeof *r.all);
    r.unfiltered = truth_of(r.t, r.scratch, &s, "unfiltered", &r.query, r.none, r.base.rows, r.all);
    for (uint32_t c = 0; c < FR_COUNT_OF(cases); c++)
        if (s.only == NULL || is_wanted(s.only, cases[c].name)) run_case(&r, c);
    if (r.json != NULL) {
        fprintf(r.json, "]}\n");
        fclose(r.json);
    }
    fr_scratch_free(r.scratch);
    fr_table_free(r.t);
    return s.check && s.failed != 0;
}
