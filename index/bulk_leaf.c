/* bulk_leaf.c: candidates of the rows of a bulk: groups around pivots, and the nearest within each group.
 * Keys instead of distances: d = K + unit * key with key = constant[row] - factor * dot(row, query), where K is the query's
 * (codes.h). All of it is 32-bit integers, so that leaves are compared and sorted without a float. */
#include "index/bulk.h"

#define LEAF_ROWS   2048u
#define LEAF_BYTES  (2u << 20)
#define GROUP_ROWS  900u /* the average aimed at; cells of random pivots differ a lot in size */
#define PIVOTS_MAX  16384u
#define LEADERS_FROM 64u /* pivots: from here on they stand in lists around leaders */
#define LEADS        32u /* pivots of a leader, on average */
#define LISTS       6u    /* so many are looked at for a row */
#define NEAREST     24u  /* of one leaf */
#define GUESS_MAX   ((int64_t)1 << 48)
#define STRIP       16u  /* queries at a time */

void fr_block_room_free(fr_block_room *room)
{
    fr_free(FR_MEM_LINKS, room->packed);
    fr_free(FR_MEM_LINKS, room->queries);
    fr_free(FR_MEM_LINKS, room->constants);
    fr_free(FR_MEM_LINKS, room->dots);
    fr_free(FR_MEM_LINKS, room->keys);
    fr_free(FR_MEM_LINKS, room->places);
    fr_free(FR_MEM_LINKS, room->rows);
    fr_free(FR_MEM_LINKS, room->codes);
}

bool fr_block_room_make(fr_block_room *room, uint32_t rows, uint32_t padded, bool pack)
{
    size_t n = fr_tile_rows(rows);
    *room = (fr_block_room){0};
    if (pack) {
        room->packed = fr_alloc_aligned(FR_MEM_LINKS, 64, n * padded);
        room->constants = fr_alloc(FR_MEM_LINKS, n * sizeof(int32_t));
        room->codes = fr_alloc(FR_MEM_LINKS, n * sizeof *room->codes);
        room->rows = fr_alloc(FR_MEM_LINKS, n * sizeof(uint32_t));
    }
    room->queries = fr_alloc_aligned(FR_MEM_LINKS, 64, (size_t)STRIP * padded);
    room->dots = fr_alloc_aligned(FR_MEM_LINKS, 64, STRIP * n * sizeof(int32_t));
    room->keys = fr_alloc_aligned(FR_MEM_LINKS, 64, (n + 16) * sizeof(int32_t));
    room->places = fr_alloc_aligned(FR_MEM_LINKS, 64, (n + 16) * sizeof(uint32_t));
    if (room->queries && room->dots && room->keys && room->places && (!pack || (room->packed && room->constants && room->codes && room->rows)))
        return true;
    fr_block_room_free(room);
    return false;
}

static uint32_t factor_of(const fr_table *t) { return t->options.metric == FR_METRIC_IP ? 1 : 2; }
static uint32_t leaf_rows(uint32_t padded) { return FR_MAX(256u, FR_MIN(LEAF_ROWS, LEAF_BYTES / padded / 32 * 32)); }

/* The row as a query; returns K / unit, which makes keys of different queries comparable. */
static int64_t query_of(const fr_codeset *codes, uint32_t row, int8_t *q)
{
    fr_code_query query = {.q = q};
    fr_codeset_query_row(codes, row, &query);
    return (int64_t)(query.k / query.cm);
}

/* Is the row one that this bulk may look at? Only what is found alive inside the epoch is read. */
static bool member_alive(const fr_table *t, uint32_t row) { return fr_row_alive(fr_row_at(t, row)); }

/* The `want` smallest keys to the front, in any order (Hoare's FIND, in Wirth's form). */
static void smallest(int32_t *keys, uint32_t *places, uint32_t count, uint32_t want)
{
    int64_t low = 0, high = (int64_t)count - 1, last = (int64_t)want - 1;
    while (low < high) {
        int32_t pivot = keys[last];
        int64_t i = low, j = high;
        while (i <= j) {
            while (keys[i] < pivot) i++;
            while (pivot < keys[j]) j--;
            if (i > j) break;
            int32_t key = keys[i];
            uint32_t place = places[i];
            keys[i] = keys[j], places[i++] = places[j];
            keys[j] = key, places[j--] = place;
        }
        if (j < last) low = i;
        if (last < i) high = j;
    }
}

_Static_assert(NEAREST <= FR_NEAR_MAX && FR_NEAR_MAX + 1 <= FR_ORDER_MAX, "what a query keeps fits its room, and is sorted in one go");

/* The nearest `want` below `cap`, sorted, into room->keys and places; *guess: the distance of the last one, kept from query
 * to query, because neighbours lie in neighbourhoods of like density. */
static uint32_t nearest(const fr_block_kernel *kernel, const fr_block_room *room, const int32_t *dots, const int32_t *constants,
                        uint32_t factor, uint32_t count, uint32_t want, int32_t cap, int64_t shift, int64_t *guess)
{
    uint32_t found = 0;
    int64_t reach = *guess;
    for (uint32_t tries = 0;; tries++) {
        int64_t bound = *guess == INT64_MAX || tries == 6 ? cap : FR_MIN((int64_t)cap, reach - shift);
        if (bound < INT32_MIN) bound = INT32_MIN;
        found = kernel->below(dots, constants, factor, count, (int32_t)bound, room->keys, room->places);
        if (found >= FR_MAX(1u, want * 2 / 3) || bound == cap) break; /* nearly so many will do: another pass costs more */
        reach += (reach < 0 ? -reach : reach) / 4 + 16;
    }
    if (found > FR_ORDER_MAX) {
        smallest(room->keys, room->places, found, want);
        found = want;
    }
    kernel->order(room->keys, room->places, found);
    if (found >= want) {
        int64_t last = shift + room->keys[want - 1];
        *guess = last + (last < 0 ? -last : last) / 32 + 1;
        return want;
    }
    if (*guess != INT64_MAX) reach += (reach < 0 ? -reach : reach) / 16 + 1;
    *guess = reach < GUESS_MAX ? reach : INT64_MAX; /* one that only grows says nothing */
    return found;
}

/* ==== groups ==== */

/* The nearest of the first n so far, in order; what comes later in keys must be nearer. */
static uint32_t keep_few(int32_t *best_keys, uint32_t *best, uint32_t n, uint32_t want, const int32_t *keys, const uint32_t *places,
                         uint32_t found, uint32_t base)
{
    for (uint32_t i = 0; i < found; i++) {
        if (n == want && keys[i] >= best_keys[n - 1]) continue;
        uint32_t at = n < want ? n++ : n - 1;
        for (; at > 0 && best_keys[at - 1] > keys[i]; at--) best_keys[at] = best_keys[at - 1], best[at] = best[at - 1];
        best_keys[at] = keys[i], best[at] = base + places[i];
    }
    return n;
}

/* The nearest few of packed rows, from..to of a packing that begins at a multiple of a tile. */
static uint32_t few_of(const fr_block_kernel *kernel, const fr_block_room *room, const int32_t *dots, const int32_t *constants,
                       uint32_t factor, uint32_t from, uint32_t to, uint32_t want, int32_t *best_keys, uint32_t *best, uint32_t n)
{
    int32_t bound = n == want ? best_keys[n - 1] : INT32_MAX;
    uint32_t found = kernel->below(dots, constants, factor, to - from, bound, room->keys, room->places);
    return keep_few(best_keys, best, n, want, room->keys, room->places, found, from);
}

/* Random members; those of the second level stand in the lists of the first, of which they are nearest to. */
bool fr_bulk_partition(fr_table *t, fr_bulk *b)
{
    const fr_codeset *codes = fr_codes_of(t);
    const fr_block_kernel *kernel = fr_simd_block();
    uint64_t wanted = (uint64_t)b->member_count * FR_FANOUT / FR_MIN(GROUP_ROWS, leaf_rows(codes->padded) / 2);
    uint32_t count = (uint32_t)FR_MAX(FR_FANOUT + 1ull, FR_MIN(wanted, PIVOTS_MAX)), chosen = 0, padded = codes->padded;
    uint32_t leaders = count < LEADERS_FROM ? 1 : count / LEADS, size = fr_tile_rows(count) + leaders * FR_TILE_ROWS;
    fr_bulk_pivots_free(b);
    b->pivots = fr_alloc_aligned(FR_MEM_LINKS, 64, (size_t)size * padded);
    b->pivot_constants = fr_zalloc(FR_MEM_LINKS, size * sizeof(int32_t));
    b->leaders = fr_alloc_aligned(FR_MEM_LINKS, 64, (size_t)fr_tile_rows(leaders) * padded);
    b->leader_constants = fr_zalloc(FR_MEM_LINKS, fr_tile_rows(leaders) * sizeof(int32_t));
    b->list_start = fr_zalloc(FR_MEM_LINKS, (leaders + 1) * sizeof(uint32_t));
    b->list_count = fr_zalloc(FR_MEM_LINKS, leaders * sizeof(uint32_t));
    b->group_start = fr_zalloc(FR_MEM_LINKS, (size + 2) * sizeof(uint32_t));
    uint32_t *rows = fr_alloc(FR_MEM_LINKS, count * sizeof *rows), *list = fr_zalloc(FR_MEM_LINKS, count * sizeof *list);
    const uint8_t **where = fr_alloc(FR_MEM_LINKS, size * sizeof *where);
    fr_block_room room = {0};
    bool fine = b->pivots && b->pivot_constants && b->leaders && b->leader_constants && b->list_start && b->list_count && b->group_start &&
                rows && list && where && codes->kind != FR_CODE_NONE && fr_block_room_make(&room, leaders, padded, false);
    for (uint64_t i = 0; fine && i < 4ull * count && chosen < count; i++) {
        uint32_t row = b->members[fr_mix64(i * 2 + 1 + b->round * 0x10000ull + t->options.seed) % b->member_count];
        if (member_alive(t, row)) rows[chosen++] = row;
    }
    fine = fine && chosen > FR_FANOUT && chosen >= leaders;
    if (fine) {
        b->leader_count = leaders;
        for (uint32_t i = 0; i < leaders; i++) {
            where[i] = fr_extent_at(&codes->code, rows[i]);
            b->leader_constants[i] = fr_codeset_constant(codes, rows[i]);
        }
        kernel->pack(where, leaders, padded, b->leaders);
        for (uint32_t i = 0; i < chosen; i++) {
            int32_t key;
            if (leaders > 1) {
                query_of(codes, rows[i], room.queries);
                kernel->dots(room.queries, 1, b->leaders, leaders, padded, room.dots, fr_tile_rows(leaders));
                few_of(kernel, &room, room.dots, b->leader_constants, factor_of(t), 0, leaders, 1, &key, &list[i], 0);
            }
            b->list_count[list[i]]++;
        }
        b->list_max = 0;
        for (uint32_t l = 0; l < leaders; l++) {
            b->list_start[l + 1] = b->list_start[l] + fr_tile_rows(b->list_count[l]);
            b->list_max = FR_MAX(b->list_max, b->list_count[l]);
        }
        memset(b->list_count, 0, leaders * sizeof(uint32_t));
        for (uint32_t i = 0; i < chosen; i++) {
            uint32_t at = b->list_start[list[i]] + b->list_count[list[i]]++;
            where[at] = fr_extent_at(&codes->code, rows[i]);
            b->pivot_constants[at] = fr_codeset_constant(codes, rows[i]);
        }
        for (uint32_t l = 0; l < leaders; l++)
            kernel->pack(where + b->list_start[l], b->list_count[l], padded, b->pivots + (size_t)b->list_start[l] * padded);
    }
    b->pivot_count = fine ? b->list_start[leaders] : 0;
    fr_block_room_free(&room);
    fr_free(FR_MEM_LINKS, rows);
    fr_free(FR_MEM_LINKS, list);
    fr_free(FR_MEM_LINKS, where);
    return fine;
}

void fr_bulk_pivots_free(fr_bulk *b)
{
    fr_free(FR_MEM_LINKS, b->pivots);
    fr_free(FR_MEM_LINKS, b->pivot_constants);
    fr_free(FR_MEM_LINKS, b->leaders);
    fr_free(FR_MEM_LINKS, b->leader_constants);
    fr_free(FR_MEM_LINKS, b->list_start);
    fr_free(FR_MEM_LINKS, b->list_count);
    fr_free(FR_MEM_LINKS, b->group_start);
    b->pivots = b->leaders = NULL;
    b->pivot_constants = b->leader_constants = NULL;
    b->list_start = b->list_count = b->group_start = NULL;
}

/* The nearest pivots of one member, out of the lists of the leaders nearest to it. */
static void assign_one(const fr_table *t, const fr_bulk *b, const fr_block_room *room, uint32_t padded, const int8_t *query,
                       const int32_t *leader_dots, uint32_t *assigned)
{
    const fr_block_kernel *kernel = fr_simd_block();
    int32_t keys[LISTS], best_keys[FR_FANOUT];
    uint32_t lists[LISTS] = {0}, best[FR_FANOUT], n = 0, count = 1;
    if (b->leader_count > 1)
        count = few_of(kernel, room, leader_dots, b->leader_constants, factor_of(t), 0, b->leader_count, LISTS, keys, lists, 0);
    for (uint32_t l = 0; l < count; l++) {
        uint32_t from = b->list_start[lists[l]], size = b->list_count[lists[l]];
        if (size == 0) continue;
        kernel->dots(query, 1, b->pivots + (size_t)from * padded, size, padded, room->dots, fr_tile_rows(size));
        n = few_of(kernel, room, room->dots, b->pivot_constants + from, factor_of(t), from, from + size, FR_FANOUT, best_keys, best, n);
    }
    memcpy(assigned, best, n * sizeof *best);
}

void fr_bulk_assign(fr_table *t, fr_scratch *s, fr_bulk *b, uint32_t piece)
{
    (void)s;
    const fr_codeset *codes = fr_codes_of(t);
    const fr_block_kernel *kernel = fr_simd_block();
    fr_block_room room;
    uint32_t from = piece * FR_PIECE_ROWS, to = FR_MIN(from + FR_PIECE_ROWS, b->member_count), padded = codes->padded;
    uint32_t stride = fr_tile_rows(b->leader_count), who[STRIP];
    for (uint32_t i = from; i < to; i++)
        for (uint32_t f = 0; f < FR_FANOUT; f++) b->assigned[(size_t)i * FR_FANOUT + f] = b->pivot_count; /* none */
    int32_t *leader_dots = fr_alloc_aligned(FR_MEM_LINKS, 64, (size_t)STRIP * stride * sizeof *leader_dots);
    if (leader_dots == NULL || codes->kind == FR_CODE_NONE || !fr_block_room_make(&room, FR_MAX(b->list_max, stride), padded, false)) {
        fr_free(FR_MEM_LINKS, leader_dots);
        return;
    }
    for (uint32_t i = from; i < to;) {
        uint32_t n = 0;
        for (; i < to && n < STRIP; i++) {
            if (!member_alive(t, b->members[i])) continue;
            query_of(codes, b->members[i], room.queries + (size_t)n * padded);
            who[n++] = i;
        }
        if (b->leader_count > 1) kernel->dots(room.queries, n, b->leaders, b->leader_count, padded, leader_dots, stride);
        for (uint32_t q = 0; q < n; q++)
            assign_one(t, b, &room, padded, room.queries + (size_t)q * padded, leader_dots + (size_t)q * stride,
                       b->assigned + (size_t)who[q] * FR_FANOUT);
    }
    fr_free(FR_MEM_LINKS, leader_dots);
    fr_block_room_free(&room);
}

/* Counting sort by group; the order of the first round, by nearest pivot, is kept: it puts neighbours together. */
void fr_bulk_group(fr_bulk *b)
{
    uint32_t groups = b->pivot_count + 1, *start = b->group_start;
    uint32_t fan = b->round == 0 ? 1 : FR_FANOUT;
    for (; fan <= FR_FANOUT; fan += FR_FANOUT - 1) {
        uint32_t *out = fan == 1 ? b->order : b->group;
        memset(start, 0, (groups + 1) * sizeof *start);
        for (uint32_t i = 0; i < b->member_count; i++)
            for (uint32_t f = 0; f < fan; f++) start[b->assigned[(size_t)i * FR_FANOUT + f] + 1]++;
        for (uint32_t g = 0; g < groups; g++) start[g + 1] += start[g];
        for (uint32_t i = 0; i < b->member_count; i++)
            for (uint32_t f = 0; f < fan; f++) out[start[b->assigned[(size_t)i * FR_FANOUT + f]]++] = i;
        for (uint32_t g = groups; g > 0; g--) start[g] = start[g - 1];
        start[0] = 0;
    }
}

/* ==== leaves ==== */

/* The new candidates join the row's own; both are sorted, what is in both is the same pair. True: there is a new one. */
static bool merge(fr_bulk *b, uint32_t place, const fr_near *fresh, uint32_t count)
{
    fr_near *own = b->near + (size_t)place * FR_NEAR_MAX, merged[FR_NEAR_MAX];
    uint32_t n = 0, i = 0, j = 0;
    if (count == 0) return false;
    fr_spin_lock(&b->near_locks[place % 256]);
    uint32_t held = b->near_count[place];
    while (n < held && own[n].key < fresh[0].key) n++; /* these stay where they are */
    memcpy(merged, own, n * sizeof *own);
    i = n;
    while (n < FR_NEAR_MAX && (i < held || j < count)) {
        const fr_near *next = j == count || (i < held && (own[i].key < fresh[j].key || (own[i].key == fresh[j].key && own[i].row <= fresh[j].row)))
                                  ? &own[i++] : &fresh[j++];
        if (n == 0 || merged[n - 1].row != next->row || merged[n - 1].key != next->key) merged[n++] = *next;
    }
    bool changed = n != held || memcmp(own, merged, n * sizeof *own) != 0;
    memcpy(own, merged, n * sizeof *own);
    b->near_count[place] = (uint8_t)n;
    fr_spin_unlock(&b->near_locks[place % 256]);
    return changed;
}

/* What is farther than all that a row has need not be looked at. */
static int32_t cap_of(fr_bulk *b, uint32_t place)
{
    fr_spin_lock(&b->near_locks[place % 256]);
    uint32_t held = b->near_count[place];
    int32_t cap = held >= NEAREST ? b->near[(size_t)place * FR_NEAR_MAX + FR_MIN(held, 32u) - 1].key : INT32_MAX;
    fr_spin_unlock(&b->near_locks[place % 256]);
    return cap;
}

void fr_bulk_take(fr_block_room *room, const fr_codeset *codes, uint32_t column, uint32_t row)
{
    room->codes[column] = fr_extent_at(&codes->code, row);
    room->constants[column] = fr_codeset_constant(codes, row);
    room->rows[column] = row;
}

uint64_t fr_bulk_meet(fr_table *t, fr_bulk *b, const fr_codeset *codes, fr_block_room *room, uint32_t columns, const uint32_t *places,
                      uint32_t count, uint32_t want)
{
    const fr_block_kernel *kernel = fr_simd_block();
    uint32_t padded = codes->padded, factor = factor_of(t), stride = fr_tile_rows(columns);
    int64_t guess = INT64_MAX, shift[STRIP];
    uint64_t changed = 0;
    kernel->pack(room->codes, columns, padded, room->packed);
    for (uint32_t i = 0; i < count; i += STRIP) {
        uint32_t n = FR_MIN(STRIP, count - i);
        for (uint32_t q = 0; q < n; q++) {
            __builtin_prefetch(&b->near_count[places[i + q]]);
            for (uint32_t at = 0; at < FR_NEAR_MAX; at += 64 / sizeof(fr_near)) __builtin_prefetch(b->near + (size_t)places[i + q] * FR_NEAR_MAX + at);
        }
        for (uint32_t q = 0; q < n; q++) shift[q] = query_of(codes, b->members[places[i + q]], room->queries + (size_t)q * padded);
        kernel->dots(room->queries, n, room->packed, columns, padded, room->dots, stride);
        for (uint32_t q = 0; q < n; q++) {
            fr_near found[FR_NEAR_MAX + 1];
            uint32_t place = places[i + q], own = b->members[place], kept = 0;
            uint32_t some = nearest(kernel, room, room->dots + (size_t)q * stride, room->constants, factor, columns, want + 1,
                                    cap_of(b, place), shift[q], &guess);
            for (uint32_t c = 0; c < some; c++) {
                uint32_t row = room->rows[room->places[c]];
                if (row != own) found[kept++] = (fr_near){room->keys[c], row};
            }
            for (uint32_t c = 1; c < kept; c++) /* equal keys by row, as the merge expects */
                for (uint32_t j = c; j > 0 && found[j - 1].key == found[j].key && found[j - 1].row > found[j].row; j--) {
                    fr_near swap = found[j];
                    found[j] = found[j - 1], found[j - 1] = swap;
                }
            bool nearer = merge(b, place, found, kept);
            changed |= (uint64_t)nearer << (i + q) % 64;
        }
    }
    return changed;
}

static void leaf(fr_table *t, fr_bulk *b, const fr_codeset *codes, fr_block_room *room, uint32_t *places, uint32_t count)
{
    uint32_t columns = 0, fresh = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = b->members[places[i]];
        if (!member_alive(t, row)) continue;
        fr_bulk_take(room, codes, columns, row);
        uint32_t swap = places[columns]; /* what is alive to the front, in order: fresh rows come first */
        places[columns] = places[i], places[i] = swap;
        fresh += places[columns++] < b->count;
    }
    fr_bulk_meet(t, b, codes, room, columns, places, fresh, NEAREST);
}

/* A group that is too large is divided once more, around pivots of its own; what is still too large is cut. */
static void divide(fr_table *t, fr_bulk *b, const fr_codeset *codes, fr_block_room *room, uint32_t *places, uint32_t count, uint32_t max)
{
    const fr_block_kernel *kernel = fr_simd_block();
    uint32_t parts = FR_MIN(count / (max * 9 / 20) + 1, max), padded = codes->padded, stride, pivots = 0;
    uint32_t *part = fr_alloc(FR_MEM_LINKS, count * sizeof *part), *sorted = fr_alloc(FR_MEM_LINKS, count * sizeof *sorted);
    uint32_t *start = fr_zalloc(FR_MEM_LINKS, (parts + 2) * sizeof *start);
    if (part == NULL || sorted == NULL || start == NULL) goto out;
    for (uint32_t p = 0; p < parts; p++) {
        uint32_t row = b->members[places[(uint64_t)p * count / parts]];
        if (!member_alive(t, row)) continue;
        room->codes[pivots] = fr_extent_at(&codes->code, row);
        room->constants[pivots++] = fr_codeset_constant(codes, row);
    }
    kernel->pack(room->codes, pivots, padded, room->packed);
    stride = fr_tile_rows(pivots);
    int64_t guess = INT64_MAX;
    for (uint32_t i = 0; i < count; i++) {
        part[i] = parts; /* in none: dead. Decided once, for rows die meanwhile and the two passes must agree. */
        if (!member_alive(t, b->members[places[i]])) continue;
        part[i] = 0;
        int64_t shift = query_of(codes, b->members[places[i]], room->queries);
        kernel->dots(room->queries, 1, room->packed, pivots, padded, room->dots, stride);
        if (nearest(kernel, room, room->dots, room->constants, factor_of(t), pivots, 1, INT32_MAX, shift, &guess) == 1) part[i] = room->places[0];
        start[part[i] + 1]++;
    }
    for (uint32_t p = 0; p < parts; p++) start[p + 1] += start[p];
    for (uint32_t i = 0; i < count; i++)
        if (part[i] < parts) sorted[start[part[i]]++] = places[i];
    for (uint32_t p = 0, from = 0; p < parts; p++)
        for (uint32_t end = start[p]; from < end; from += FR_MIN(max, end - from)) leaf(t, b, codes, room, sorted + from, FR_MIN(max, end - from));
out:
    fr_free(FR_MEM_LINKS, part);
    fr_free(FR_MEM_LINKS, sorted);
    fr_free(FR_MEM_LINKS, start);
}

void fr_bulk_leaf(fr_table *t, fr_scratch *s, fr_bulk *b, uint32_t group)
{
    (void)s;
    const fr_codeset *codes = fr_codes_of(t);
    uint32_t *places = b->group + b->group_start[group], count = b->group_start[group + 1] - b->group_start[group];
    if (codes->kind == FR_CODE_NONE || count < 2) return;
    uint32_t max = leaf_rows(codes->padded);
    fr_block_room room;
    if (!fr_block_room_make(&room, FR_MIN(count, max), codes->padded, true)) return; /* fewer candidates */
    if (count <= max) leaf(t, b, codes, &room, places, count);
    else divide(t, b, codes, &room, places, count, max);
    fr_block_room_free(&room);
}
