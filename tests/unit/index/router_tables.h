/* router_tables.h: tables that are walked (not scanned) though they are small, for the tests of routers: wide rows of few degrees of freedom. */
#ifndef FR_ROUTER_TABLES_H
#define FR_ROUTER_TABLES_H

#include "tests/unit/index/table_model.h"

#define WIDTH   256u /* dimensions; bytes of bits */
#define FREEDOM 12u

typedef enum row_kind { ROW_U8, ROW_SQ8, ROW_PLAIN, ROW_COSINE, ROW_IP, ROW_BIT, ROW_KINDS } row_kind;

static float axes[8 * WIDTH][FREEDOM]; /* lived_create fills them, before there are threads */

/* ROW_BIT: WIDTH bytes. */
static inline void row_vector(row_kind kind, uint64_t seed, void *out)
{
    float *v = out, z[FREEDOM], square = 0;
    rng r = {fr_mix64(seed)};
    for (uint32_t f = 0; f < FREEDOM; f++) z[f] = rng_float(&r);
    if (kind == ROW_BIT) {
        memset(out, 0, WIDTH);
        for (uint32_t i = 0; i < 8 * WIDTH; i++) {
            float sum = 0;
            for (uint32_t f = 0; f < FREEDOM; f++) sum += z[f] * axes[i][f];
            if (sum > 0) ((uint8_t *)out)[i / 8] |= (uint8_t)(1u << i % 8);
        }
        return;
    }
    for (uint32_t i = 0; i < WIDTH; i++) {
        v[i] = 0;
        for (uint32_t f = 0; f < FREEDOM; f++) v[i] += z[f] * axes[i][f];
        if (kind == ROW_U8) v[i] = fminf(fmaxf(rintf(128 + 40 * v[i]), 0), 255);
        square += v[i] * v[i];
    }
    for (uint32_t i = 0; kind == ROW_IP && i < WIDTH; i++) v[i] /= sqrtf(square); /* one length: a row is nearest to itself */
}

static inline fr_table_options row_options(row_kind kind)
{
    fr_table_options o = {.dimension = WIDTH, .metric = FR_METRIC_L2, .seed = 11, .ef_construction = 32};
    if (kind == ROW_PLAIN) o.codes = FR_CODES_NONE;
    if (kind == ROW_COSINE) o.metric = FR_METRIC_COSINE;
    if (kind == ROW_IP) o.metric = FR_METRIC_IP;
    if (kind == ROW_BIT) o.metric = FR_METRIC_HAMMING, o.type = FR_TYPE_VECTOR_BINARY, o.dimension = 8 * WIDTH;
    return o;
}

typedef struct lived {
    fr_table *table;
    model *m;
    row_kind kind;
    fr_scratch *s;
    uint64_t commit;
} lived;

static inline void lived_put(lived *l, uint32_t key, uint64_t seed)
{
    row_vector(l->kind, seed, model_vector(l->m, key));
    l->commit++;
    assert_int_equal(table_put(l->table, l->m, key, (fr_offset)l->commit, l->commit), FR_OK);
}
static inline void lived_remove(lived *l, uint32_t key)
{
    l->commit++;
    table_remove(l->table, l->m, key, (fr_offset)l->commit, l->commit);
}
static inline void lived_link(lived *l) { while (fr_table_link_step(l->table)) {} }
static inline void lived_maintain(lived *l)
{
    fr_table_stats stats = {.dead = 1};
    for (uint32_t i = 0; i < 3 || (stats.dead != 0 && i < 20); i++) { /* repaired, swept, seen by nobody, freed */
        fr_table_maintain(l->table, l->commit);
        lived_link(l);
        fr_table_stats_get(l->table, &stats);
    }
}
static inline lived lived_create(row_kind kind, uint32_t rows)
{
    lived l = {.kind = kind, .m = model_create(WIDTH)};
    fr_table_options options = row_options(kind);
    for (uint32_t i = 0; i < 8 * WIDTH; i++)
        for (uint32_t f = 0; f < FREEDOM; f++) axes[i][f] = (float)(fr_mix64((uint64_t)f * 4096 + i + 1) >> 40) * 0x1p-23f - 1.0f;
    assert_int_equal(fr_table_create(&options, &l.table, NULL), FR_OK);
    assert_int_equal(fr_scratch_create(&l.s), FR_OK);
    l.table->bulk_min = 200;
    for (uint32_t key = 0; key < rows; key++) {
        lived_put(&l, key, key);
        if (key % 256 == 255) fr_table_maintain(l.table, l.commit); /* codes are trained */
    }
    lived_link(&l);
    return l;
}
static inline void lived_free(lived *l)
{
    fr_scratch_free(l->s);
    fr_table_free(l->table);
    model_free(l->m);
}
static inline fr_router_map *lived_map(const lived *l) { return atomic_load(&l->table->routers); }

/* Nothing makes another map of this table until it is let. */
static inline void map_stays(const lived *l) { lived_map(l)->rows_then = UINT64_MAX / 2; }

#endif
