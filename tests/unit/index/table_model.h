/* table_model.h: what the table's tests share: seeded vectors, a linear model of live keys, an exact answer. */
#ifndef FR_TABLE_MODEL_H
#define FR_TABLE_MODEL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "index/table_private.h"

/* Sanitizers are 5 to 30 times slower: the same lives, shorter. */
#if defined(__SANITIZE_THREAD__)
#define LESS 8u
#elif defined(__SANITIZE_ADDRESS__)
#define LESS 4u
#else
#define LESS 1u
#endif

typedef struct rng { uint64_t state; } rng;
static inline uint64_t rng_next(rng *r) { return fr_mix64(r->state += 0x9e3779b97f4a7c15u); }
static inline uint32_t rng_below(rng *r, uint32_t n) { return (uint32_t)(rng_next(r) % n); }
static inline float rng_float(rng *r) { return (float)(rng_next(r) >> 40) / 16777216.0f * 2.0f - 1.0f; }

enum vector_kind { KIND_F32, KIND_U8, KIND_I8, KIND_CLUSTERED };
static inline void rng_vector(rng *r, enum vector_kind kind, uint32_t dimension, float *out)
{
    rng centre = {rng_below(r, 50) + 77};
    for (uint32_t i = 0; i < dimension; i++) {
        if (kind == KIND_U8) out[i] = (float)rng_below(r, 256);
        else if (kind == KIND_I8) out[i] = (float)rng_below(r, 256) - 128.0f;
        else if (kind == KIND_CLUSTERED) out[i] = rng_float(&centre) + 0.05f * rng_float(r);
        else out[i] = rng_float(r);
    }
}

static inline double true_distance(fr_metric metric, const float *a, const float *b, uint32_t n)
{
    double l2 = 0, dot = 0, aa = 0, bb = 0;
    for (uint32_t i = 0; i < n; i++) {
        double x = (double)a[i], y = (double)b[i];
        l2 += (x - y) * (x - y), dot += x * y, aa += x * x, bb += y * y;
    }
    return metric == FR_METRIC_L2 ? l2 : metric == FR_METRIC_IP ? -dot : aa > 0 && bb > 0 ? 1 - dot / sqrt(aa * bb) : 1;
}

/* A file of originals in memory, which can be told to fail. */
typedef struct disk_model {
    fr_vector_store store;
    uint8_t *data;
    size_t size;
    _Atomic uint32_t writes, reads;
    _Atomic bool writes_fail, reads_fail;
    _Atomic uint32_t lock; /* a saver reads chunks whose rows the applier overwrites: a real file allows that */
} disk_model;
static inline fr_code disk_write(fr_vector_store *store, uint64_t at, const void *data, size_t size)
{
    disk_model *disk = store->user;
    disk->writes++;
    if (disk->writes_fail) return FR_ERR_DISK_FULL;
    assert_true(at + size <= disk->size);
    fr_spin_lock(&disk->lock);
    memcpy(disk->data + at, data, size);
    fr_spin_unlock(&disk->lock);
    return FR_OK;
}
static inline fr_code disk_read(fr_vector_store *store, fr_read_ring *ring, const fr_vector_read *reads, uint32_t count)
{
    (void)ring;
    disk_model *disk = store->user;
    assert_true(count >= 1 && count <= FR_VECTOR_READS_MAX);
    disk->reads++;
    if (disk->reads_fail) return FR_ERR_IO;
    for (uint32_t i = 0; i < count; i++) {
        assert_true(reads[i].at + reads[i].size <= disk->size && reads[i].file == 0);
        fr_spin_lock(&disk->lock);
        memcpy(reads[i].to, disk->data + reads[i].at, reads[i].size);
        fr_spin_unlock(&disk->lock);
    }
    return FR_OK;
}
static inline disk_model *disk_create(size_t size)
{
    disk_model *disk = fr_zalloc(FR_MEM_TEST, sizeof *disk);
    disk->data = fr_alloc_pages(FR_MEM_TEST, size);
    disk->size = size;
    disk->store = (fr_vector_store){.write = disk_write, .read = disk_read, .user = disk};
    return disk;
}
static inline void disk_free(disk_model *disk)
{
    fr_free_pages(FR_MEM_TEST, disk->data, disk->size);
    fr_free(FR_MEM_TEST, disk);
}

#define MODEL_KEYS 20000u
typedef struct model {
    uint32_t dimension;
    bool live[MODEL_KEYS];
    float *vectors; /* MODEL_KEYS x dimension */
    fr_offset offset[MODEL_KEYS];
    uint64_t live_count;
} model;
static inline model *model_create(uint32_t dimension)
{
    model *m = fr_zalloc(FR_MEM_TEST, sizeof *m);
    m->dimension = dimension;
    m->vectors = fr_zalloc(FR_MEM_TEST, (size_t)MODEL_KEYS * dimension * sizeof(float));
    return m;
}
static inline void model_free(model *m)
{
    fr_free(FR_MEM_TEST, m->vectors);
    fr_free(FR_MEM_TEST, m);
}
static inline fr_span key_span(uint32_t key, char room[24])
{
    int size = snprintf(room, 24, "k%u", key);
    return fr_span_of(room, (size_t)size);
}
static inline uint32_t span_key(fr_span key)
{
    char text[24] = {0};
    memcpy(text, (const char *)key.data + 1, key.size - 1 < 22 ? key.size - 1 : 22);
    return (uint32_t)strtoul(text, NULL, 10);
}
static inline float *model_vector(const model *m, uint32_t key) { return m->vectors + (size_t)key * m->dimension; }

static inline fr_code table_put(fr_table *t, model *m, uint32_t key, fr_offset offset, uint64_t commit)
{
    char room[24];
    fr_put_result result;
    fr_row_data row = {.key = key_span(key, room), .vector = model_vector(m, key), .source_time_ms = FR_TIME_NONE, .offset = offset};
    fr_code code = fr_table_put(t, &row, commit, &result, NULL);
    if (code != FR_OK) return code;
    assert_int_equal(result, m->live[key] ? FR_PUT_REPLACED : FR_PUT_NEW);
    if (!m->live[key]) m->live_count++;
    m->live[key] = true;
    m->offset[key] = offset;
    return FR_OK;
}
static inline void table_remove(fr_table *t, model *m, uint32_t key, fr_offset offset, uint64_t commit)
{
    char room[24];
    bool existed;
    assert_int_equal(fr_table_remove(t, key_span(key, room), offset, commit, &existed), FR_OK);
    assert_int_equal(existed, m->live[key]);
    if (m->live[key]) m->live_count--;
    m->live[key] = false;
}

/* Compare with the model's answer: distances must agree (ties may swap keys). Returns how many of the k are among the true k. */
static inline uint32_t check_search(const fr_table *t, fr_scratch *s, const model *m, const float *query, uint32_t k, bool exact, uint64_t visible)
{
    fr_row_hit hits[128];
    uint32_t count = 0, good = 0, want = (uint32_t)FR_MIN((uint64_t)k, m->live_count);
    fr_metric metric = fr_table_settings(t)->metric;
    fr_table_query q = {.vector = query, .k = k, .visible = visible, .exact = exact};
    double best[128];
    uint32_t n = 0;
    for (uint32_t key = 0; key < MODEL_KEYS; key++) {
        if (!m->live[key]) continue;
        double d = true_distance(metric, query, model_vector(m, key), m->dimension);
        if (n == k && d >= best[n - 1]) continue;
        uint32_t at = n < k ? n++ : k - 1;
        for (; at > 0 && best[at - 1] > d; at--) best[at] = best[at - 1];
        best[at] = d;
    }
    fr_table_enter(t, s);
    assert_int_equal(fr_table_search(t, s, &q, hits, &count, NULL, NULL), FR_OK);
    assert_int_equal(count, want);
    for (uint32_t i = 0; i < count; i++) {
        fr_row_view view;
        fr_table_row(t, hits[i].row, &view);
        uint32_t key = span_key(view.key);
        assert_true(m->live[key]);
        assert_int_equal(view.offset, m->offset[key]);
        double d = true_distance(metric, query, model_vector(m, key), m->dimension);
        double near = 1e-4 * (1 + fabs(d));
        assert_true(fabs(d - (double)hits[i].distance) <= near);
        if (i > 0) assert_true(hits[i].distance >= hits[i - 1].distance);
        good += d <= best[want - 1] + near;
        if (exact) assert_true(fabs(d - best[i]) <= near);
        for (uint32_t j = 0; j < i; j++) assert_int_not_equal(hits[j].row, hits[i].row);
    }
    fr_table_leave(t, s);
    return good;
}

#endif
