/* test_candidates.c: a walk's pool: every tier merges as the scalar one does, and that one as a stable sort; distances keep their bound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "simd/simd.h"

#define LARGEST 1100u
#define EDGE    16u /* candidates on both sides that nobody may touch */
#define ROUNDS  6000u
#define MARK    0xabadcafeu

typedef struct pool_case {
    fr_candidate pool[LARGEST + FR_MERGE_MAX];
    uint32_t size, capacity, count;
    float distances[FR_MERGE_MAX];
    uint32_t rows[FR_MERGE_MAX];
    float bound;
} pool_case;

static uint64_t state = 5;
static uint32_t below(uint32_t n)
{
    state += 0x9e3779b97f4a7c15u;
    return (uint32_t)(fr_mix64(state) % n);
}

enum { FLOATS, TIES, INFINITE, WORSE, BETTER, STYLES };

static float distance_of(uint32_t style)
{
    static const float ends[] = {INFINITY, -INFINITY, 0.0f, -0.0f, 3.4e38f, 1.0f};
    if (style == TIES) return (float)below(6);
    if (style == INFINITE) return ends[below(FR_COUNT_OF(ends))];
    return (float)below(1u << 20) / 1024.0f - 512.0f;
}

/* Stable: equal ones stay in order. */
static void sort(fr_candidate *all, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        fr_candidate one = all[i];
        uint32_t at = i;
        for (; at > 0 && all[at - 1].distance > one.distance; at--) all[at] = all[at - 1];
        all[at] = one;
    }
}

static int order(const void *a, const void *b)
{
    const fr_candidate *x = a, *y = b;
    return (x->distance > y->distance) - (x->distance < y->distance);
}

static void draw(pool_case *c)
{
    uint32_t style = below(STYLES), largest = below(16) == 0 ? LARGEST : 70;
    c->capacity = 1 + below(largest);
    c->size = below(3) == 0 ? c->capacity : below(c->capacity + 1);
    c->count = below(4) == 0 ? FR_MERGE_MAX : below(FR_MERGE_MAX + 1);
    for (uint32_t i = 0; i < c->size; i++) c->pool[i] = (fr_candidate){distance_of(style), i | (below(2) << 31)};
    qsort(c->pool, c->size, sizeof *c->pool, order);
    c->bound = below(2) ? INFINITY : distance_of(style);
    for (uint32_t i = 0; i < c->count; i++) {
        c->distances[i] = style == WORSE ? 1000.0f + (float)below(9) : style == BETTER ? -1000.0f - (float)below(9) : distance_of(style);
        c->rows[i] = 1000000u + i;
    }
}

/* All of them but those at the bound and beyond, sorted, cut to the capacity; first: where the first new one stands. */
static uint32_t model_merge(const pool_case *c, fr_candidate *all, uint32_t *first_out)
{
    uint32_t size = c->size;
    memcpy(all, c->pool, size * sizeof *all);
    for (uint32_t i = 0; i < c->count; i++)
        if (c->distances[i] < c->bound) all[size++] = (fr_candidate){c->distances[i], c->rows[i]};
    sort(all, size);
    size = FR_MIN(size, c->capacity);
    *first_out = c->capacity;
    for (uint32_t i = size; i-- > 0;)
        if (all[i].row >= 1000000u && all[i].row < 2000000u) *first_out = i;
    return size;
}

static bool same(const fr_candidate *a, const fr_candidate *b, uint32_t count) { return memcmp(a, b, count * sizeof *a) == 0; }

static void every_tier_merges_as_a_stable_sort(void **unused)
{
    (void)unused;
    static pool_case c;
    static fr_candidate wanted[LARGEST + FR_MERGE_MAX], room[LARGEST + 2 * EDGE];
    fr_candidate *found = room + EDGE;
    const char *names[8];
    uint32_t tiers = fr_simd_tiers(names, 8), full = 0, pushed_out = 0, untouched = 0, bounded = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t first, first_found;
        draw(&c);
        uint32_t size = model_merge(&c, wanted, &first);
        full += c.size == c.capacity, pushed_out += size < c.size + c.count, untouched += first == c.capacity;
        for (uint32_t i = 0; i < c.count; i++) bounded += c.distances[i] >= c.bound && c.size < c.capacity;
        for (uint32_t t = 0; t < tiers; t++) {
            assert_true(fr_simd_force(names[t]));
            for (uint32_t i = 0; i < c.capacity + 2 * EDGE; i++) room[i] = (fr_candidate){-7.0f, MARK};
            memcpy(found, c.pool, c.size * sizeof *found);
            assert_int_equal(fr_simd_pool()->merge(found, c.size, c.capacity, c.bound, c.distances, c.rows, c.count, &first_found), size);
            assert_int_equal(first_found, first);
            assert_true(same(found, wanted, size));
            for (uint32_t i = 0; i < EDGE; i++) assert_true(room[i].row == MARK && found[c.capacity + i].row == MARK);
        }
    }
    assert_true(full > 500 && pushed_out > 500 && untouched > 300 && bounded > 1000);
}

/* The sum in doubles of whichever order, rounded once to a float. */
static void distances_are_within_the_bound(void **unused)
{
    (void)unused;
    const char *names[8];
    uint32_t tiers = fr_simd_tiers(names, 8);
    int32_t dots[FR_MERGE_MAX], constants[FR_MERGE_MAX];
    float found[FR_MERGE_MAX + 1];
    uint32_t cut = 0;
    for (uint32_t round = 0; round < 4000; round++) {
        uint32_t count = below(FR_MERGE_MAX + 1);
        bool whole = below(2) == 0;
        double unit = whole ? 1 : 1 / 3.0, k = (double)below(1u << 22) * unit, cm = whole ? 1 : 1e-3 * (double)below(100), a = -2 * unit;
        double low = below(2) == 0 ? 0 : -(double)INFINITY;
        for (uint32_t i = 0; i < count; i++) {
            dots[i] = (int32_t)below(1u << 23) - (1 << 21);
            constants[i] = (int32_t)below(1u << 22);
        }
        for (uint32_t t = 0; t < tiers; t++) {
            assert_true(fr_simd_force(names[t]));
            for (uint32_t i = 0; i <= FR_MERGE_MAX; i++) found[i] = -7.0f;
            fr_simd_pool()->distances(dots, constants, count, k, cm, a, low, found);
            for (uint32_t i = 0; i < count; i++) {
                double d = k + cm * constants[i] + a * dots[i], size = k + cm * constants[i] + fabs(a * dots[i]);
                cut += d < low;
                if (whole) assert_true(found[i] == (float)fmax(d, low)); /* below 2^53: no order rounds */
                else assert_true(fabs((double)found[i] - fmax(d, low)) <= 0x1p-24 * fabs(d) + 0x1p-51 * size);
            }
            for (uint32_t i = count; i <= FR_MERGE_MAX; i++) assert_true(found[i] == -7.0f);
        }
    }
    assert_true(cut > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_tier_merges_as_a_stable_sort), cmocka_unit_test(distances_are_within_the_bound)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
