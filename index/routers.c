/* routers.c: see routers.h. Source: the idea of many ways in, a prototype's (random routers); the lists are those of an inverted file
 * (Jegou and others 2011) with one level. */
#include "index/routers.h"
#include "index/table_private.h"

#include <math.h>

#define LEADERS_MAX FR_TABLE_LISTS
#define LISTS       3u  /* that a query looks into; */
#define LISTS_LONG  2u  /* where rows are long */
#define LONG_FROM   512u
#define SCANNED_MAX 512u /* routers of one query: lists of clustered data may be long */
#define SHARE       4u  /* linked rows of which one is a router */

static fr_router_map *map_of(const fr_table *t) { return atomic_load_explicit(&t->routers, memory_order_acquire); }

void fr_router_map_free(fr_router_map *map)
{
    if (map == NULL) return;
    fr_free(FR_MEM_LINKS, map->rows);
    fr_free(FR_MEM_LINKS, map->from);
    fr_free(FR_MEM_LINKS, map->constants);
    if (map->code != NULL) fr_free_pages(FR_MEM_LINKS, map->code, map->code_size);
    fr_free(FR_MEM_LINKS, map);
}

static void destroy(void *map) { fr_router_map_free(map); }

uint64_t fr_routers_bytes(const fr_table *t)
{
    const fr_router_map *map = map_of(t);
    return map == NULL ? 0 : sizeof *map + map->code_size + (2 * (uint64_t)map->count + 2 * (uint64_t)map->leaders + 1) * 4;
}

/* ==== making it ==== */

static uint32_t wanted(const fr_codeset *codes, uint64_t rows)
{
    if (codes->kind == FR_CODE_NONE) return (uint32_t)FR_MIN(rows / SHARE, (uint64_t)FR_ROUTERS_PLAIN);
    return (uint32_t)FR_MIN(FR_MIN(rows / SHARE, (uint64_t)FR_ROUTERS_MAX), FR_ROUTER_BYTES_MAX / codes->padded);
}

/* Every row that was linked since, or ended, changes what a sample should be. */
static uint64_t changes_of(const fr_table *t) { return atomic_load_explicit(&t->linked_ever, memory_order_relaxed) + t->ended_ever; }

static uint64_t linked_about(const fr_table *t)
{
    uint64_t waiting = atomic_load_explicit(&t->ring_tail, memory_order_relaxed) - atomic_load_explicit(&t->ring_low, memory_order_relaxed);
    uint64_t others = atomic_load_explicit(&t->bare, memory_order_relaxed) + waiting, live = atomic_load_explicit(&t->live, memory_order_relaxed);
    return live > others ? live - others : 0;
}

bool fr_routers_wait(const fr_table *t)
{
    const fr_router_map *map = map_of(t);
    const fr_codeset *codes = fr_codes_of(t);
    if (fr_table_is_sparse(&t->options) || linked_about(t) < FR_ROUTERS_FROM) return false;
    return map == NULL || map->codes != codes || changes_of(t) - map->changes_then > map->rows_then / 8;
}

static fr_router_map *create(const fr_codeset *codes, uint32_t want)
{
    fr_router_map *map = fr_zalloc(FR_MEM_LINKS, sizeof *map);
    if (map == NULL) return NULL;
    bool plain = codes->kind == FR_CODE_NONE;
    map->codes = codes;
    map->leaders = plain ? 1 : FR_MIN(LEADERS_MAX, (uint32_t)sqrt(2.5 * want) + 1);
    map->code_size = plain ? 64 : ((size_t)want + map->leaders) * codes->padded;
    map->rows = fr_alloc(FR_MEM_LINKS, want * sizeof *map->rows);
    map->from = fr_zalloc(FR_MEM_LINKS, (map->leaders + 1) * sizeof *map->from);
    map->constants = fr_alloc(FR_MEM_LINKS, (want + map->leaders) * sizeof *map->constants);
    map->code = fr_alloc_pages(FR_MEM_LINKS, map->code_size);
    if (map->rows != NULL && map->from != NULL && map->constants != NULL && map->code != NULL) return map;
    fr_router_map_free(map);
    return NULL;
}

/* A linked row of each of `want` equal parts of the table, where chance or the next few rows have one. */
static uint32_t sample(const fr_table *t, uint32_t want, uint32_t *rows_out)
{
    uint64_t rows = atomic_load_explicit(&t->row_count, memory_order_relaxed);
    uint32_t count = 0;
    for (uint64_t p = 0; p < want; p++) {
        uint64_t from = rows * p / want, to = rows * (p + 1) / want, row = from + fr_mix64(t->options.seed + p) % (to - from);
        for (uint64_t i = 0; i < FR_MIN(to - from, 64u) && !fr_row_linked(fr_row_at(t, (uint32_t)row)); i++) row = row + 1 < to ? row + 1 : from;
        if (fr_row_linked(fr_row_at(t, (uint32_t)row))) rows_out[count++] = (uint32_t)row;
    }
    return count;
}

static void put(const fr_router_map *map, uint32_t at, uint32_t row)
{
    const fr_codeset *codes = map->codes;
    memcpy(map->code + (size_t)at * codes->padded, fr_extent_at(&codes->code, row), codes->padded);
    map->constants[at] = fr_codeset_constant(codes, row);
}

/* The nearest leaders, at most LISTS, in one pass. */
static uint32_t nearest_few(const float *found, uint32_t count, uint32_t want, uint32_t *few)
{
    uint32_t n = 0;
    for (uint32_t l = 0; l < count; l++) {
        if (n == want && !(found[l] < found[few[n - 1]])) continue;
        uint32_t at = n < want ? n++ : n - 1;
        for (; at > 0 && found[l] < found[few[at - 1]]; at--) few[at] = few[at - 1];
        few[at] = l;
    }
    return n;
}

static void leader_distances(const fr_router_map *map, const fr_code_query *query, float found[LEADERS_MAX])
{
    fr_codeset_distances_of(map->codes, query, map->code, map->constants, map->leaders, found);
}

static uint32_t nearest_leader(const fr_router_map *map, const fr_code_query *query)
{
    float found[LEADERS_MAX];
    uint32_t best = 0;
    leader_distances(map, query, found);
    nearest_few(found, map->leaders, 1, &best);
    return best;
}

/* Leaders are routers, too: every so many of them. */
static void into_lists(fr_router_map *map, const uint32_t *sampled, uint32_t count, uint8_t *home)
{
    _Alignas(64) int8_t q[FR_DIMENSION_MAX];
    map->count = count;
    if (map->codes->kind == FR_CODE_NONE) {
        memcpy(map->rows, sampled, count * sizeof *sampled);
        map->from[1] = count;
        return;
    }
    for (uint32_t l = 0; l < map->leaders; l++) put(map, l, sampled[(uint64_t)l * count / map->leaders]);
    for (uint32_t i = 0; i < count; i++) {
        fr_code_query query = {.q = q};
        fr_codeset_query_row(map->codes, sampled[i], &query);
        home[i] = (uint8_t)nearest_leader(map, &query);
        map->from[1 + home[i]]++;
    }
    for (uint32_t l = 0; l < map->leaders; l++) map->from[l + 1] += map->from[l];
    uint32_t fill[LEADERS_MAX] = {0};
    memcpy(fill, map->from, map->leaders * sizeof *fill);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = fill[home[i]]++;
        map->rows[at] = sampled[i];
        put(map, map->leaders + at, sampled[i]);
    }
}

void fr_routers_step(fr_table *t)
{
    if (!fr_routers_wait(t) || !fr_retired_reserve(&t->retired, 1)) return;
    const fr_codeset *codes = fr_codes_of(t);
    uint64_t rows = linked_about(t), changes = changes_of(t);
    uint32_t want = FR_MAX(wanted(codes, rows), 1u), count = 0;
    fr_router_map *map = create(codes, want), *old = map_of(t);
    uint32_t *sampled = fr_alloc(FR_MEM_LINKS, want * sizeof *sampled);
    uint8_t *home = fr_alloc(FR_MEM_LINKS, want);
    if (map != NULL && sampled != NULL && home != NULL && (count = sample(t, want, sampled)) != 0) {
        map->leaders = FR_MIN(map->leaders, count);
        map->rows_then = rows, map->changes_then = changes;
        into_lists(map, sampled, count, home);
        bool known = old != NULL && old->codes == codes && old->measured_then != 0 && changes - old->measured_then <= rows / 2;
        if (known) fr_reach_keep(map, old);
        atomic_store_explicit(&t->routers, map, memory_order_release);
        if (!known) {
            map->measured_then = changes;
            fr_reach_measure(t, map, count);
        }
        if (old != NULL) fr_retired_push_object(&t->retired, old, destroy);
        map = NULL;
    }
    fr_router_map_free(map);
    fr_free(FR_MEM_LINKS, sampled);
    fr_free(FR_MEM_LINKS, home);
}

void fr_routers_drop(fr_table *t)
{
    fr_router_map *map = atomic_exchange_explicit(&t->routers, NULL, memory_order_acq_rel);
    if (map != NULL) fr_retired_push_object(&t->retired, map, destroy);
}

/* ==== using it ==== */

static void scan(const fr_router_map *map, const fr_code_query *query, uint32_t from, uint32_t to, uint32_t starts, fr_candidate *pool, uint32_t *size)
{
    float found[FR_LANES_MAX];
    for (uint32_t at = from; at < to; at += FR_LANES_MAX) {
        uint32_t n = FR_MIN(FR_LANES_MAX, to - at), place = map->leaders + at;
        fr_codeset_distances_of(map->codes, query, map->code + (size_t)place * map->codes->padded, map->constants + place, n, found);
        for (uint32_t j = 0; j < n; j++)
            if (*size < starts || found[j] < pool[*size - 1].distance) fr_pool_insert(pool, size, starts, found[j], map->rows[at + j]);
    }
}

static bool is_linked_now(const fr_table *t, const fr_scratch *s, uint32_t row)
{
    return row < s->row_limit && fr_taken(t, row) && atomic_load_explicit(&fr_row_at(t, row)->linked, memory_order_acquire) == FR_LINKED;
}

/* Who stands there now: its code may be read and is what distances are of. */
uint32_t fr_routers_keep(const fr_table *t, const fr_scratch *s, const fr_space *space, uint32_t size)
{
    uint32_t ids[FR_STARTS], kept = 0, count = 0;
    float found[FR_STARTS];
    fr_candidate *pool = s->pool;
    if (space->codes->kind == FR_CODE_NONE) return size; /* they were looked at where they stand */
    for (uint32_t i = 0; i < size; i++) {
        uint32_t row = pool[i].row;
        if (is_linked_now(t, s, row)) ids[count++] = row;
    }
    if (count == 0) return 0;
    fr_space_distances(space, ids, count, found);
    for (uint32_t i = 0; i < count; i++) fr_pool_insert(pool, &kept, FR_STARTS, found[i], ids[i]);
    return kept;
}

static uint32_t nearest_plain(const fr_table *t, const fr_scratch *s, const fr_space *space, const fr_router_map *map, uint32_t starts)
{
    uint32_t size = 0;
    for (uint32_t i = 0; i < map->count; i++) {
        float found;
        if (!is_linked_now(t, s, map->rows[i])) continue;
        fr_space_distances(space, &map->rows[i], 1, &found);
        fr_pool_insert(s->pool, &size, starts, found, map->rows[i]);
    }
    return size;
}

uint32_t fr_table_list(const fr_table *t, fr_scratch *s, const void *vector)
{
    const fr_router_map *map = map_of(t);
    fr_space space;
    if (map == NULL || map->codes != fr_codes_of(t) || map->codes->kind == FR_CODE_NONE || !fr_scratch_fit(s, t, 1)) return 0;
    fr_space_of_vector(&space, t, map->codes, vector, s->q, s->rotated);
    return nearest_leader(map, &space.code_query);
}

uint32_t fr_routers_seek(const fr_table *t, const fr_scratch *s, const fr_space *space, uint32_t starts)
{
    const fr_router_map *map = map_of(t);
    if (map == NULL || map->codes != space->codes) return 0;
    if (map->codes->kind == FR_CODE_NONE) return nearest_plain(t, s, space, map, starts);
    float found[LEADERS_MAX];
    uint32_t few[LISTS], size = 0, scanned = 0, lists = map->codes->padded >= LONG_FROM ? LISTS_LONG : LISTS;
    leader_distances(map, &space->code_query, found);
    lists = nearest_few(found, map->leaders, lists, few);
    for (uint32_t i = 0; i < lists && scanned < SCANNED_MAX; i++) {
        uint32_t best = few[i], from = map->from[best], to = FR_MIN(map->from[best + 1], from + SCANNED_MAX - scanned);
        scan(map, &space->code_query, from, to, starts, s->pool, &size);
        scanned += to - from;
    }
    for (uint32_t i = 0; i < size; i++) {
        uint32_t row = s->pool[i].row;
        if (row >= s->row_limit) continue;
        __builtin_prefetch(&fr_row_at(t, row)->linked);
        __builtin_prefetch(fr_row_at(t, row));
        fr_space_touch(space->codes, row);
        if (i == 0) fr_links_prefetch(t, row); /* it is expanded first */
    }
    return size;
}

uint32_t fr_routers_nearest(const fr_table *t, const fr_scratch *s, const fr_space *space, uint32_t starts)
{
    return fr_routers_keep(t, s, space, fr_routers_seek(t, s, space, starts));
}
