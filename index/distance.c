/* distance.c: distances from a query to rows: on 8-bit codes, or on the originals where there are no codes. */
#include "index/table_private.h"

#include <math.h>

static const fr_simd_metric simd_metric[] = {[FR_METRIC_L2] = FR_SIMD_L2, [FR_METRIC_IP] = FR_SIMD_DOT, [FR_METRIC_COSINE] = FR_SIMD_COSINE};

static void take_kernels(fr_space *space)
{
    for (fr_scalar type = FR_SCALAR_F32; type < FR_SCALAR_BIT && space->codes->kind != FR_CODE_BIT; type++)
        space->mixed[type] = fr_simd_mixed(simd_metric[space->table->options.metric], type);
}

void fr_space_of_vector(fr_space *space, const fr_table *t, const fr_codeset *codes, const void *vector, int8_t *q, float *rotated)
{
    space->table = t;
    space->codes = codes;
    space->vector = vector;
    space->code_query = (fr_code_query){.q = q, .rotated = rotated};
    take_kernels(space);
    if (codes->kind != FR_CODE_NONE) fr_codeset_query(codes, vector, &space->code_query);
}

void fr_space_of_row(fr_space *space, const fr_table *t, const fr_codeset *codes, uint32_t row, int8_t *q, float *vector_room, float *rotated)
{
    space->table = t;
    space->codes = codes;
    space->code_query = (fr_code_query){.q = q, .rotated = rotated};
    space->vector = NULL;
    if (codes->kind != FR_CODE_NONE) {
        fr_codeset_query_row(codes, row, &space->code_query);
        return;
    }
    take_kernels(space);
    if (!fr_row_original(t, codes, row, vector_room)) memset(vector_room, 0, t->options.dimension * sizeof(float));
    space->vector = vector_room;
}

/* NAN: it is on disk and the read failed. room: dimension floats */
static float on_original(const fr_space *space, uint32_t row, float *room)
{
    fr_scalar type;
    const void *data = fr_vectors_row(&space->table->vectors, row, room, &type);
    return data == NULL ? NAN : space->mixed[type]->one(space->vector, data, space->table->options.dimension);
}

void fr_space_distances(const fr_space *space, const uint32_t *ids, uint32_t count, float *out)
{
    if (space->codes->kind == FR_CODE_NONE) {
        for (uint32_t i = 0; i < count; i++) { /* on disk only when codes came since this walk began */
            float d = on_original(space, ids[i], space->code_query.rotated);
            out[i] = isnan(d) ? INFINITY : d;
        }
        return;
    }
    const uint8_t *rows[FR_LANES_MAX];
    for (uint32_t at = 0; at < count; at += FR_LANES_MAX) {
        uint32_t n = FR_MIN(FR_LANES_MAX, count - at);
        for (uint32_t i = 0; i < n; i++) rows[i] = fr_extent_at(&space->codes->code, ids[at + i]);
        fr_codeset_distances(space->codes, &space->code_query, ids + at, rows, n, out + at);
    }
}

float fr_space_exact(const fr_space *space, uint32_t row, float *decoded)
{
    const fr_codeset *codes = space->codes;
    uint32_t dimension = space->table->options.dimension;
    if (codes->kind == FR_CODE_BIT)
        return codes->bits->one(space->code_query.q, fr_extent_at(&codes->code, row), codes->padded * 8);
    if (codes->kind == FR_CODE_U8)
        return space->mixed[FR_SCALAR_U8]->one(space->vector, fr_extent_at(&codes->code, row), dimension);
    if (codes->kind == FR_CODE_I8) {
        fr_codeset_decode(codes, row, decoded);
        return space->mixed[FR_SCALAR_F32]->one(space->vector, decoded, dimension);
    }
    return on_original(space, row, decoded);
}
