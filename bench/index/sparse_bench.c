/* sparse_bench.c: sparse vectors of WordNet's texts (term frequencies of hashed words) in one table: build, memory, queries by posting
 * lists against the scan of stored vectors, in turns; every answer of the lists is compared with the scan's.
 *   sparse_bench [FOLDER] [--metric ip|bm25] [--queries N]     FOLDER: /usr/share/wordnet (Debian's wordnet-base) */
#include "bench/index/bench_data.h"
#include "index/table.h"

#include <ctype.h>

#define QUERY_EVERY 117u /* every so many texts is a query, and not stored */
#define WORDS_MAX 512u
#define K 10u

typedef struct pair {
    uint32_t index;
    float value;
} pair;

typedef struct text {
    pair *pairs;
    uint32_t count;
} text;

static int by_index(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Words of a line's gloss, behind " | ". */
static text text_of(const char *line)
{
    uint32_t words[WORDS_MAX], count = 0, kept = 0;
    const char *at = strstr(line, " | ");
    while (at != NULL && *at != 0 && count < WORDS_MAX) {
        uint64_t hash = 0;
        while (*at != 0 && !isalnum((unsigned char)*at)) at++;
        for (; isalnum((unsigned char)*at); at++) hash = fr_mix64(hash + (uint64_t)tolower((unsigned char)*at) + 1);
        if (hash != 0) words[count++] = (uint32_t)hash;
    }
    qsort(words, count, sizeof *words, by_index);
    text out = {fr_alloc(FR_MEM_TEST, (count + 1) * sizeof(pair)), 0};
    for (uint32_t i = 0; i < count; i = kept) {
        while (kept < count && words[kept] == words[i]) kept++;
        out.pairs[out.count++] = (pair){words[i], (float)(kept - i)};
    }
    return out;
}

static uint32_t read_texts(const char *folder, text *texts, uint32_t max)
{
    static const char *const files[] = {"data.noun", "data.verb", "data.adj", "data.adv"};
    static char line[65536];
    uint32_t count = 0;
    for (size_t i = 0; i < FR_COUNT_OF(files); i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        FILE *f = fopen(path, "r");
        if (f == NULL) fprintf(stderr, "cannot read %s\n", path), exit(2);
        while (count < max && fgets(line, sizeof line, f) != NULL)
            if (line[0] != ' ') texts[count++] = text_of(line);
        fclose(f);
    }
    return count;
}

static double ask(const fr_table *t, fr_scratch *s, const text *query, bool exact, fr_row_hit *hits, uint32_t *count_out, uint64_t *seen_io)
{
    fr_search_info info;
    fr_table_query q = {.vector = query->pairs, .vector_size = query->count * sizeof(pair), .k = K, .visible = FR_VISIBLE_ALL, .exact = exact};
    double began = clock_s(CLOCK_THREAD_CPUTIME_ID);
    fr_table_enter(t, s);
    if (fr_table_search(t, s, &q, hits, count_out, &info, NULL) != FR_OK) exit(1);
    fr_table_leave(t, s);
    *seen_io += info.distances;
    return clock_s(CLOCK_THREAD_CPUTIME_ID) - began;
}

int main(int argc, char **argv)
{
    enum { TEXTS_MAX = 200000 };
    const char *folder = "/usr/share/wordnet";
    fr_metric metric = FR_METRIC_BM25;
    uint32_t wanted = 300, stored = 0, asked = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--metric") == 0 && i + 1 < argc) metric = strcmp(argv[++i], "ip") == 0 ? FR_METRIC_IP : FR_METRIC_BM25;
        else if (strcmp(argv[i], "--queries") == 0 && i + 1 < argc) wanted = (uint32_t)strtoul(argv[++i], NULL, 10);
        else folder = argv[i];
    }
    text *texts = fr_alloc(FR_MEM_TEST, TEXTS_MAX * sizeof *texts);
    uint32_t count = read_texts(folder, texts, TEXTS_MAX);
    fr_table_options options = {.type = FR_TYPE_VECTOR_SPARSE, .metric = metric, .seed = 1};
    fr_table *t;
    fr_scratch *s;
    if (fr_table_create(&options, &t, NULL) != FR_OK || fr_scratch_create(&s) != FR_OK) return 1;
    double began = clock_s(CLOCK_THREAD_CPUTIME_ID), lists = 0, scans = 0;
    uint64_t pairs = 0, by_lists = 0, by_scan = 0, wrong = 0;
    for (uint32_t i = 0; i < count; i++) {
        char key[16];
        fr_put_result result;
        if (i % QUERY_EVERY == 0) continue;
        fr_row_data row = {.key = fr_span_of(key, (size_t)snprintf(key, sizeof key, "%u", i)), .vector = texts[i].pairs,
                           .vector_size = texts[i].count * sizeof(pair), .source_time_ms = FR_TIME_NONE, .offset = i};
        if (fr_table_put(t, &row, i + 1, &result, NULL) != FR_OK) return 1;
        if (++stored % 256 == 0) fr_table_maintain(t, i + 1);
        pairs += texts[i].count;
    }
    double built = clock_s(CLOCK_THREAD_CPUTIME_ID) - began;
    fr_table_stats stats;
    fr_table_maintain(t, count);
    fr_table_stats_get(t, &stats);
    for (uint32_t i = 0; i < count && asked < wanted; i += QUERY_EVERY, asked++) {
        fr_row_hit hits[K], truth[K];
        uint32_t found, want;
        lists += ask(t, s, &texts[i], false, hits, &found, &by_lists);
        scans += ask(t, s, &texts[i], true, truth, &want, &by_scan);
        wrong += found != want || memcmp(hits, truth, found * sizeof *hits) != 0;
    }
    printf("{\"metric\":\"%s\",\"rows\":%u,\"pairs\":%llu,\"put_rows_per_cpu_s\":%.0f,\"mb\":%.1f,\"mb_postings\":%.1f,\"queries\":%u,"
           "\"lists_us\":%.1f,\"scan_us\":%.1f,\"times\":%.1f,\"entries_per_query\":%llu,\"answers_that_differ\":%llu}\n",
           metric == FR_METRIC_IP ? "ip" : "bm25", stored, (unsigned long long)pairs, stored / built, (double)stats.bytes / 1e6,
           (double)stats.bytes_postings / 1e6, asked, lists / asked * 1e6, scans / asked * 1e6, scans / lists,
           (unsigned long long)(by_lists / asked), (unsigned long long)wrong);
    fr_scratch_free(s);
    fr_table_free(t);
    return wrong != 0;
}
