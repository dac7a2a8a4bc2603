/* filter_bench.c: how long one row takes a compiled filter, and how long compiling takes. One thread, documents in the cache:
 * the time of the evaluation itself, best of 7 runs of a million rows. Run it by hand: filter_bench. */
#include "index/filter.h"

#include <stdio.h>
#include <time.h>

#define ROWS 1000000u

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Five keys: title, color, price, tags, stock. */
static fr_span make_document(fr_doc_builder *b, const char *color, int64_t price)
{
    fr_span bytes;
    fr_doc_begin_object(b);
    fr_doc_put_key(b, "title", 5), fr_doc_put_string(b, "a long enough title", 19);
    fr_doc_put_key(b, "color", 5), fr_doc_put_string(b, color, strlen(color));
    fr_doc_put_key(b, "price", 5), fr_doc_put_int(b, price);
    fr_doc_put_key(b, "tags", 4);
    fr_doc_begin_array(b);
    fr_doc_put_string(b, "a", 1), fr_doc_put_string(b, "b", 1);
    fr_doc_end_array(b);
    fr_doc_put_key(b, "stock", 5), fr_doc_put_int(b, 12);
    fr_doc_end_object(b);
    FR_ASSERT(fr_doc_finish(b, &bytes) == FR_OK);
    return bytes;
}

int main(void)
{
    static const char *const filters[] = {
        "price < 10 and color == \"red\"", "price < 10", "stock >= 10", "color in ['red', 'blue', 'green']", "title like '%enough%'",
        "json_contains(tags, 'b')", "id % 2 == 0", "price * 2 + 1 < 20",
    };
    static const fr_filter_schema schema = {.key_name = "id", .id_type = FR_ID_ANY};
    static const struct {
        const char *color;
        int64_t price;
    } rows[] = {{"red", 7}, {"blue", 7}, {"red", 70}}; /* a match, one that fails late, one that fails early */
    static fr_doc_builder builders[3];
    fr_filter_row row[3];
    for (size_t i = 0; i < FR_COUNT_OF(rows); i++)
        row[i] = (fr_filter_row){fr_span_text("42"), true,
                                 fr_doc_root(make_document(&builders[i], rows[i].color, rows[i].price))};
    for (size_t f = 0; f < FR_COUNT_OF(filters); f++) {
        fr_filter *filter = NULL;
        double compile = now_ns();
        for (int i = 0; i < 1000; i++) {
            fr_filter_free(filter);
            if (fr_filter_compile(fr_span_text(filters[f]), &schema, (fr_span){NULL, 0}, &filter, NULL) != FR_OK) return 1;
        }
        compile = (now_ns() - compile) / 1000;
        double best = 1e18;
        unsigned matches = 0;
        for (int run = 0; run < 7; run++) {
            double start = now_ns();
            matches = 0;
            for (unsigned i = 0; i < ROWS; i++) matches += fr_filter_match(filter, &row[i % 3]);
            best = FR_MIN(best, (now_ns() - start) / ROWS);
        }
        printf("%6.1f ns/row  compile %5.0f ns  %4.1f %% match  %s\n", best, compile, matches * 100.0 / ROWS, filters[f]);
        fr_filter_free(filter);
    }
    for (size_t i = 0; i < FR_COUNT_OF(builders); i++) fr_doc_free(&builders[i]);
    return 0;
}
