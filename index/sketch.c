/* sketch.c: see sketch.h; the estimate and its error: fresh.c. Here all cells share the rounded query, and each has its own centre: with p the pivot, o the
 * row less p, s its signs: <s, q - p> = <s, q> - <s, p>, and the last is a number of the row's.
 *     L2, cosine   |q - x|^2 = |q - p|^2 + |o|^2 - 2 f (<s, q> - <s, p>)      f = |o|^2 / sum |o|
 *     IP           -<q, x>   = -<q, p> - f <s, q> */
#include "index/sketch.h"

#include "index/fresh.h"

#include <math.h>

size_t fr_sketch_bytes(const fr_codeset *codes, uint32_t count)
{
    return sizeof(fr_sketch) + (count + FR_SKETCH_ROWS - 1) / FR_SKETCH_ROWS * fr_sketch_group_bytes(codes->padded);
}

static void enter(const fr_codeset *codes, const int8_t *signs, float *x)
{
    if (codes->kind != FR_CODE_SQ8) fr_rotate(signs, codes->padded, x);
}

/* centre: the pivot in the space of signs. */
static void seal(const fr_codeset *codes, const int8_t *signs, const uint8_t *code, const uint8_t *pivot, const float *centre, uint8_t *group,
                 uint32_t at, float *o)
{
    uint32_t padded = codes->padded;
    for (uint32_t j = 0; j < padded; j++) o[j] = codes->scale * (float)(code[j] - pivot[j]);
    enter(codes, signs, o);
    float sums[8] = {0}, squares[8] = {0}, with_centre[8] = {0};
    for (uint32_t j = 0; j < padded; j += 8) {
        uint8_t byte = 0;
        for (uint32_t i = 0; i < 8; i++) {
            float v = o[j + i], size = fabsf(v);
            sums[i] += size, squares[i] += v * v;
            with_centre[i] += v >= 0 ? centre[j + i] : -centre[j + i];
            byte |= (uint8_t)((v >= 0) << i);
        }
        group[(size_t)j / 8 * FR_SKETCH_ROWS + at] = byte;
    }
    double sum = 0, square = 0, product = 0;
    for (uint32_t i = 0; i < 8; i++) sum += (double)sums[i], square += (double)squares[i], product += (double)with_centre[i];
    bool ip = codes->metric == FR_METRIC_IP;
    double cosine = square > 0 ? FR_MIN(sum / sqrt(square * padded), 1.0) : 1.0, gain = sum > 0 ? -square / sum : 0;
    if (!ip) gain *= 2;
    float base = ip ? 0 : (float)(square - gain * product), narrow = (float)gain;
    uint8_t *numbers = group + (size_t)padded / 8 * FR_SKETCH_ROWS;
    memcpy(numbers + at * sizeof base, &base, sizeof base);
    memcpy(numbers + (FR_SKETCH_ROWS + at) * sizeof narrow, &narrow, sizeof narrow);
    numbers[2 * FR_SKETCH_ROWS * sizeof(float) + at] = (uint8_t)ceil(255 * sqrt(1 - cosine * cosine));
}

fr_sketch *fr_sketch_make(const fr_codeset *codes, const int8_t *signs, const uint8_t *pivot, const fr_sketch *old, const uint32_t *rows, uint32_t count,
                          float *room)
{
    size_t size = fr_sketch_bytes(codes, count);
    fr_sketch *sketch = fr_alloc_aligned(FR_MEM_CODES, 64, size);
    if (sketch == NULL) return NULL;
    uint32_t padded = codes->padded, whole = old != NULL ? old->count / FR_SKETCH_ROWS : 0;
    float *centre = room, *o = room + padded;
    memset(sketch, 0, size);
    sketch->count = count;
    if (whole != 0) memcpy(sketch->groups, old->groups, whole * fr_sketch_group_bytes(padded));
    for (uint32_t j = 0; j < padded; j++) centre[j] = codes->scale * (float)(pivot[j] - 128);
    enter(codes, signs, centre);
    for (uint32_t i = whole * FR_SKETCH_ROWS; i < count; i++) {
        uint8_t *group = sketch->groups + i / FR_SKETCH_ROWS * fr_sketch_group_bytes(padded);
        seal(codes, signs, fr_extent_at(&codes->code, rows[i]), pivot, centre, group, i % FR_SKETCH_ROWS, o);
    }
    return sketch;
}

void fr_sketch_ask(const fr_codeset *codes, const int8_t *signs, const fr_code_query *query, uint8_t *tables, float *room, fr_sketch_query *out)
{
    bool ip = codes->metric == FR_METRIC_IP;
    double unit = query->exact ? 1.0 : -query->a / ((ip ? 1.0 : 2.0) * (double)codes->scale);
    float shift = ip && codes->kind == FR_CODE_U8 && query->exact ? 128.0f : 0.0f; /* codes.c, query_native */
    for (uint32_t j = 0; j < codes->padded; j++) room[j] = (float)unit * (float)query->q[j] + shift;
    enter(codes, signs, room);
    *out = (fr_sketch_query){.tables = tables, .padded = codes->padded};
    for (uint32_t j = 0; j < codes->padded && ip; j++) out->square += (double)room[j] * (double)room[j];
    out->step = fr_sign_tables(room, codes->padded, tables);
}

void fr_sketch_turn(fr_sketch_query *q, float at_pivot)
{
    double d = q->padded, rounding = d * (double)q->step * (double)q->step / 12, square = q->square != 0 ? q->square : (double)fmaxf(at_pivot, 0);
    double least = FR_SKETCH_SIGMAS * sqrt(rounding), most = FR_SKETCH_SIGMAS * sqrt(rounding + square * d / (d - 1)); /* at a spread of 0, of 1 */
    q->at_pivot = at_pivot;
    q->slope = (float)((most - least) / 255);
    q->offset = (float)(least - (double)q->step * d * FR_FRESH_LEVELS / 2);
}

uint64_t fr_sketch_near(const fr_sketch *sketch, const fr_sketch_query *q, uint32_t group, float bound)
{
    const uint8_t *at = fr_sketch_group(sketch, q->padded, group);
    const float *numbers = (const float *)(const void *)(at + (size_t)q->padded / 8 * FR_SKETCH_ROWS);
    fr_simd_bound below = {.tables = q->tables, .bits = at, .bytes = q->padded / 8, .base = numbers, .gain = numbers + FR_SKETCH_ROWS,
                           .spread = (const uint8_t *)(numbers + 2 * FR_SKETCH_ROWS), .scale = q->step, .slope = q->slope,
                           .offset = q->offset, .limit = bound - q->at_pivot + 1e-5f * fabsf(bound)};
    return fr_simd_signs_below(&below);
}
