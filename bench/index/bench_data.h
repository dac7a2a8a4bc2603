/* bench_data.h: what the programs of this folder share: clocks, resident memory, and data sets as the makers write them. */
#ifndef FR_BENCH_DATA_H
#define FR_BENCH_DATA_H

#include "api/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

typedef struct matrix {
    uint32_t rows, dimension;
    float *data; /* fr_alloc_pages; the program's until its end */
} matrix;

static inline double clock_s(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static inline double now_s(void) { return clock_s(CLOCK_MONOTONIC); }

static inline double resident_mb(void)
{
    long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f != NULL && fscanf(f, "%ld %ld", &pages, &resident) != 2) resident = 0;
    if (f != NULL) fclose(f);
    return (double)resident * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

/* PREFIX.PART.u8bin or .fbin as floats, at most `limit` rows (0 = all); ends the program when it cannot be read. */
static inline matrix read_matrix(const char *prefix, const char *part, uint32_t limit)
{
    char path[4096];
    uint32_t head[2];
    snprintf(path, sizeof path, "%s.%s.u8bin", prefix, part);
    FILE *f = fopen(path, "rb");
    bool bytes = f != NULL;
    if (!bytes) snprintf(path, sizeof path, "%s.%s.fbin", prefix, part), f = fopen(path, "rb");
    if (f == NULL || fread(head, 4, 2, f) != 2) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(2);
    }
    matrix m = {limit != 0 && limit < head[0] ? limit : head[0], head[1], NULL};
    size_t width = bytes ? m.dimension : m.dimension * sizeof(float);
    m.data = fr_alloc_pages(FR_MEM_TEST, (size_t)m.rows * m.dimension * sizeof(float));
    uint8_t *row = fr_alloc(FR_MEM_TEST, width);
    for (uint32_t i = 0; i < m.rows; i++) {
        if (fread(row, 1, width, f) != width) exit(2);
        float *to = m.data + (size_t)i * m.dimension;
        if (!bytes) memcpy(to, row, width);
        for (uint32_t j = 0; bytes && j < m.dimension; j++) to[j] = row[j];
    }
    fr_free(FR_MEM_TEST, row);
    fclose(f);
    return m;
}

#endif
