/* simd_bench.c: nanoseconds per row of every kernel and tier, with 24 rows that stay in the first-level cache where
 * they fit. Usage: simd_bench [milliseconds per figure, default 20]. One line per figure, tab-separated:
 * tier, isa, kernel, form, dimension, ns/row.
 */
#include "api/base.h"
#include "simd/simd.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROWS = 24, DIMENSION_MAX = 1536 };

static _Alignas(64) uint8_t store[ROWS * DIMENSION_MAX * 4], query[DIMENSION_MAX * 4];
static const void *rows[ROWS];
static float distances[ROWS];
static int32_t dots[ROWS];
static double budget_ms = 20;

static double now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

typedef struct work {
    const fr_kernel *kernel;
    fr_dot_u8i8_gather dot;
    fr_dot_u8i8_many dot_many;
    uint32_t dimension;
    size_t stride;
    int form; /* 0 one, 1 many, 2 gather */
} work;

static void run(const work *w)
{
    if (w->dot != NULL)
        w->dot((const int8_t *)query, (const uint8_t *const *)rows, ROWS, w->dimension, dots);
    else if (w->dot_many != NULL)
        w->dot_many((const int8_t *)query, store, w->stride, ROWS, w->dimension, dots);
    else if (w->form == 1)
        w->kernel->many(query, store, w->stride, ROWS, w->dimension, distances);
    else if (w->form == 2)
        w->kernel->gather(query, rows, ROWS, w->dimension, distances);
    else
        for (int i = 0; i < ROWS; i++) distances[i] = w->kernel->one(query, rows[i], w->dimension);
}

/* The best of many short rounds: other programs share the machine. */
static double measure(const work *w)
{
    double best = 1e30, start = now_ns();
    while (now_ns() - start < budget_ms * 1e6) {
        double begin = now_ns();
        for (int i = 0; i < 20; i++) run(w);
        best = FR_MIN(best, (now_ns() - begin) / 20 / ROWS);
    }
    return best;
}

/* Random values between -100 and 100 (0 and 100 for u8), and the rows' addresses out of order. */
static void fill(fr_scalar type, void *target, uint32_t count)
{
    for (uint32_t i = 0; i < count; i += 64) {
        float values[64];
        for (uint32_t j = 0; j < 64; j++) values[j] = (float)(fr_mix64(i + j) % 200) - 100.0f;
        fr_simd_from_f32(type, values, 64, (char *)target + fr_scalar_size(type, i));
    }
}

static void place_rows(size_t stride)
{
    for (size_t i = 0; i < ROWS; i++) rows[(i * 37) % ROWS] = store + i * stride;
}

static void report(const char *tier, const char *isa, const char *name, const char *form, const work *w)
{
    printf("%s\t%s\t%s\t%s\t%" PRIu32 "\t%.2f\n", tier, isa, name, form, w->dimension, measure(w));
    fflush(stdout);
}

static void bench_dot(const char *tier)
{
    static const uint32_t dimensions[] = {128, 256, 832, 1536};
    const fr_dot_kernel *kernel = fr_simd_dot_u8i8();
    for (size_t d = 0; d < FR_COUNT_OF(dimensions); d++) {
        place_rows(dimensions[d]);
        fill(FR_SCALAR_U8, store, ROWS * dimensions[d]);
        fill(FR_SCALAR_I8, query, dimensions[d]);
        work w = {.dimension = dimensions[d], .stride = dimensions[d], .dot = kernel->gather_padded};
        report(tier, kernel->isa, "dot_u8i8", "gather_padded", &w);
        w.dot = kernel->gather;
        report(tier, kernel->isa, "dot_u8i8", "gather", &w);
        w.dot = NULL, w.dot_many = kernel->many_padded;
        report(tier, kernel->isa, "dot_u8i8", "many_padded", &w);
    }
}

static void bench_kernel(const char *tier, const char *name, const fr_kernel *kernel, fr_scalar scalar,
                         fr_scalar query_scalar)
{
    static const uint32_t dimensions[] = {128, 768};
    static const char *const forms[] = {"one", "many", "gather"};
    if (kernel == NULL) return;
    for (size_t d = 0; d < FR_COUNT_OF(dimensions); d++) {
        size_t stride = fr_scalar_size(scalar, dimensions[d]);
        place_rows(stride);
        fill(scalar, store, ROWS * dimensions[d]);
        fill(query_scalar, query, dimensions[d]);
        for (int form = 0; form < 3; form++) {
            work w = {.kernel = kernel, .dimension = dimensions[d], .stride = stride, .form = form};
            report(tier, kernel->isa, name, forms[form], &w);
        }
    }
}

static void bench_crc(const char *tier)
{
    double best = 1e30;
    uint32_t crc = 0;
    for (int i = 0; i < 50; i++) {
        double begin = now_ns();
        for (int j = 0; j < 10; j++) crc = fr_simd_crc32c(crc, store, 65536);
        best = FR_MIN(best, (now_ns() - begin) / 10);
    }
    printf("%s\t-\tcrc32c of 64 KiB\tGB/s\t%u\t%.2f\n", tier, (unsigned)(crc & 1), 65536 / best);
}

int main(int argc, char **argv)
{
    static const char *const metrics[] = {"l2", "dot", "cosine", "hamming", "jaccard"};
    static const char *const scalars[] = {"f32", "f16", "bf16", "i8", "u8", "bit"};
    const char *tiers[8];
    char name[64];
    if (argc > 1) budget_ms = strtod(argv[1], NULL);
    uint32_t count = fr_simd_tiers(tiers, 8);
    for (uint32_t t = 0; t < count; t++) {
        if (!fr_simd_force(tiers[t])) return 1;
        bench_dot(tiers[t]);
        for (int m = 0; m < FR_SIMD_METRIC_COUNT; m++)
            for (int s = 0; s < FR_SCALAR_COUNT; s++) {
                snprintf(name, sizeof name, "%s_%s", scalars[s], metrics[m]);
                bench_kernel(tiers[t], name, fr_simd_kernel((fr_simd_metric)m, (fr_scalar)s), (fr_scalar)s, (fr_scalar)s);
                if (s == FR_SCALAR_F32) continue;
                snprintf(name, sizeof name, "f32x%s_%s", scalars[s], metrics[m]);
                bench_kernel(tiers[t], name, fr_simd_mixed((fr_simd_metric)m, (fr_scalar)s), (fr_scalar)s, FR_SCALAR_F32);
            }
        bench_crc(tiers[t]);
    }
    return 0;
}
