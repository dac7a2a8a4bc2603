/* bulk_leaf.c: the groups of a bulk: pivots, the members around each of them, and all that is fresh in a group against all of the group. */
#include "index/bulk.h"

#define LEAF_ROWS   2048u
#define GROUP_ROWS  900u /* the average aimed at; cells of random pivots differ a lot in size */
#define GROUP_FEW   300u /* beside many linked rows fewer of the nearest are fresh */
#define PIVOTS_MAX  16384u
#define LEADERS_FROM 64u /* pivots: from here on they stand in lists around leaders */
#define LEADS        32u /* pivots of a leader, on average */
#define LISTS       6u    /* so many are looked at for a row */
#define STRIP       FR_BLOCK_STRIP

_Static_assert(LISTS <= FR_FEW_MAX && FR_FANOUT <= FR_FEW_MAX && LISTS <= STRIP, "in one go, side by side in a room");

static uint32_t leaf_rows(uint32_t padded) { return FR_MAX(256u, FR_MIN(LEAF_ROWS, FR_LEAF_BYTES / padded / 32 * 32)); }
static bool member_alive(const fr_table *t, uint32_t row) { return fr_row_alive(fr_row_at(t, row)); } /* only what is alive is read */

/* ==== groups ==== */

/* Of some packed rows the one nearest to this row. */
static uint32_t nearest_of(const fr_block_room *room, const uint8_t *packed, const int32_t *constants, uint32_t count, uint32_t row)
{
    const fr_block_kernel *kernel = fr_simd_block();
    fr_bulk_query(room->codeset, row, room->queries);
    kernel->dots(room->queries, 1, packed, count, room->padded, room->dots, fr_tile_rows(count));
    kernel->few(room->dots, constants, fr_block_factor(room->codeset), count, 1, room->keys, room->places);
    return room->places[0];
}

static bool pivots_make(fr_bulk *b, uint32_t padded, uint32_t size, uint32_t leaders)
{
    fr_bulk_pivots_free(b);
    b->leader_count = leaders;
    b->pivots = fr_alloc_aligned(FR_MEM_LINKS, 64, (size_t)size * padded);
    b->pivot_constants = fr_zalloc(FR_MEM_LINKS, size * sizeof(int32_t));
    b->leaders = fr_alloc_aligned(FR_MEM_LINKS, 64, (size_t)fr_tile_rows(leaders) * padded);
    b->leader_constants = fr_zalloc(FR_MEM_LINKS, fr_tile_rows(leaders) * sizeof(int32_t));
    b->list_start = fr_zalloc(FR_MEM_LINKS, (leaders + 1) * sizeof(uint32_t));
    b->list_count = fr_zalloc(FR_MEM_LINKS, leaders * sizeof(uint32_t));
    b->group_start = fr_zalloc(FR_MEM_LINKS, (size + 2) * sizeof(uint32_t));
    return b->pivots && b->pivot_constants && b->leaders && b->leader_constants && b->list_start && b->list_count && b->group_start;
}

static uint32_t choose_pivots(const fr_table *t, const fr_bulk *b, uint32_t count, uint32_t *rows)
{
    uint32_t chosen = 0;
    for (uint64_t i = 0; i < 4ull * count && chosen < count; i++) {
        uint32_t row = b->members[fr_mix64(i * 2 + 1 + b->round * 0x10000ull + t->options.seed) % b->member_count];
        if (member_alive(t, row)) rows[chosen++] = row;
    }
    return chosen;
}

static void pack_leaders(fr_bulk *b, const fr_codeset *codes, const uint32_t *rows, const uint8_t **where)
{
    for (uint32_t i = 0; i < b->leader_count; i++) {
        where[i] = fr_extent_at(&codes->code, rows[i]);
        b->leader_constants[i] = fr_codeset_constant(codes, rows[i]);
    }
    fr_simd_block()->pack(where, b->leader_count, codes->padded, b->leaders);
}

/* list: of each pivot. Lists begin at whole tiles. */
static void pack_lists(fr_bulk *b, const fr_codeset *codes, const uint32_t *rows, const uint32_t *list, uint32_t count, const uint8_t **where)
{
    uint32_t leaders = b->leader_count;
    b->list_max = 0;
    for (uint32_t i = 0; i < count; i++) b->list_count[list[i]]++;
    for (uint32_t l = 0; l < leaders; l++) {
        b->list_start[l + 1] = b->list_start[l] + fr_tile_rows(b->list_count[l]);
        b->list_max = FR_MAX(b->list_max, b->list_count[l]);
    }
    memset(b->list_count, 0, leaders * sizeof(uint32_t));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = b->list_start[list[i]] + b->list_count[list[i]]++;
        where[at] = fr_extent_at(&codes->code, rows[i]);
        b->pivot_constants[at] = fr_codeset_constant(codes, rows[i]);
    }
    for (uint32_t l = 0; l < leaders; l++)
        fr_simd_block()->pack(where + b->list_start[l], b->list_count[l], codes->padded, b->pivots + (size_t)b->list_start[l] * codes->padded);
}

/* Random members; the first of them are leaders, and every pivot stands in the list of the leader it is nearest to. */
bool fr_bulk_partition(fr_table *t, fr_bulk *b)
{
    const fr_codeset *codes = fr_codes_of(t);
    uint64_t wanted = (uint64_t)b->member_count * FR_FANOUT / FR_MIN(b->reach ? GROUP_FEW : GROUP_ROWS, leaf_rows(codes->padded) / 2);
    uint32_t count = (uint32_t)FR_MAX(FR_FANOUT + 1ull, FR_MIN(wanted, PIVOTS_MAX)), chosen = 0;
    uint32_t leaders = count < LEADERS_FROM ? 1 : count / LEADS, size = fr_tile_rows(count) + leaders * FR_TILE_ROWS;
    uint32_t *rows = fr_alloc(FR_MEM_LINKS, count * sizeof *rows), *list = fr_zalloc(FR_MEM_LINKS, count * sizeof *list);
    const uint8_t **where = fr_alloc(FR_MEM_LINKS, size * sizeof *where);
    fr_block_room room = {0};
    bool fine = pivots_make(b, codes->padded, size, leaders) && rows && list && where && fr_codeset_dots(codes) &&
                fr_block_room_make(&room, leaders, codes, false);
    if (fine) chosen = choose_pivots(t, b, count, rows);
    fine = fine && chosen > FR_FANOUT && chosen >= leaders;
    if (fine) {
        pack_leaders(b, codes, rows, where);
        for (uint32_t i = 0; i < chosen && leaders > 1; i++) list[i] = nearest_of(&room, b->leaders, b->leader_constants, leaders, rows[i]);
        pack_lists(b, codes, rows, list, chosen, where);
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

/* The nearest pivots of one member, out of the lists of the leaders nearest to it. constants: room for those of the lists. */
static void assign_one(const fr_bulk *b, const fr_block_room *room, const int8_t *query, const int32_t *leader_dots, int32_t *constants, uint32_t *assigned)
{
    const fr_block_kernel *kernel = fr_simd_block();
    uint32_t lists[LISTS] = {0}, ends[LISTS] = {0}, count = 1, columns = 0, padded = room->padded, factor = fr_block_factor(room->codeset);
    if (b->leader_count > 1) {
        count = kernel->few(leader_dots, b->leader_constants, factor, b->leader_count, LISTS, room->keys, room->places);
        memcpy(lists, room->places, count * sizeof *lists);
    }
    for (uint32_t l = 0; l < count; l++) { /* one list behind the other: what dots gives past the end of one goes under the next */
        uint32_t from = b->list_start[lists[l]], size = b->list_count[lists[l]];
        if (size != 0) kernel->dots(query, 1, b->pivots + (size_t)from * padded, size, padded, room->dots + columns, fr_tile_rows(size));
        memcpy(constants + columns, b->pivot_constants + from, size * sizeof *constants);
        ends[l] = columns += size;
    }
    uint32_t n = kernel->few(room->dots, constants, factor, columns, FR_FANOUT, room->keys, room->places);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t place = room->places[i], l = 0;
        while (place >= ends[l]) l++;
        assigned[i] = b->list_start[lists[l]] + place - (l != 0 ? ends[l - 1] : 0);
    }
}

void fr_bulk_assign(fr_table *t, fr_scratch *s, fr_bulk *b, uint32_t piece)
{
    (void)s;
    const fr_codeset *codes = fr_codes_of(t);
    const fr_block_kernel *kernel = fr_simd_block();
    fr_block_room own = {0}, *room = fr_bulk_room_take(t, b, codes), *kept = room;
    uint32_t from = piece * FR_PIECE_ROWS, to = FR_MIN(from + FR_PIECE_ROWS, b->member_count), padded = codes->padded;
    uint32_t stride = fr_tile_rows(b->leader_count), who[STRIP];
    for (uint32_t i = from; i < to; i++)
        for (uint32_t f = 0; f < FR_FANOUT; f++) b->assigned[(size_t)i * FR_FANOUT + f] = b->pivot_count; /* none */
    uint32_t columns = FR_MAX(LISTS * b->list_max, stride);
    int32_t *leader_dots = fr_alloc_aligned(FR_MEM_LINKS, 64, ((size_t)STRIP * stride + columns) * sizeof *leader_dots);
    if (room == NULL || columns > room->capacity) room = fr_block_room_make(&own, columns, codes, false) ? &own : NULL;
    if (leader_dots == NULL || !fr_codeset_dots(codes) || room == NULL) to = from;
    for (uint32_t i = from; i < to;) {
        uint32_t n = 0;
        for (; i < to && n < STRIP; i++) {
            if (!member_alive(t, b->members[i])) continue;
            fr_bulk_query(codes, b->members[i], room->queries + (size_t)n * padded);
            who[n++] = i;
        }
        if (b->leader_count > 1) kernel->dots(room->queries, n, b->leaders, b->leader_count, padded, leader_dots, stride);
        for (uint32_t q = 0; q < n; q++)
            assign_one(b, room, room->queries + (size_t)q * padded, leader_dots + (size_t)q * stride, leader_dots + (size_t)STRIP * stride,
                       b->assigned + (size_t)who[q] * FR_FANOUT);
    }
    fr_free(FR_MEM_LINKS, leader_dots);
    fr_block_room_free(&own);
    if (kept != NULL) fr_bulk_room_return(t, b, kept);
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

static void leaf(const fr_table *t, fr_bulk *b, fr_block_room *room, uint32_t *places, uint32_t count)
{
    uint32_t columns = 0, fresh = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = b->members[places[i]];
        if (!member_alive(t, row)) continue;
        room->rows[columns] = row;
        uint32_t swap = places[columns]; /* what is alive to the front, in order: fresh rows come first */
        places[columns] = places[i], places[i] = swap;
        fresh += places[columns++] < b->count;
    }
    room->columns = columns;
    fr_bulk_meet(b, room, places, fresh, FR_LEAF_NEAREST);
}

/* Which part each of these members belongs to, by the nearest of `parts` of them; `parts`: dead. Decided once: rows die meanwhile. */
static void parts_of(const fr_table *t, const fr_bulk *b, fr_block_room *room, const uint32_t *places, uint32_t count, uint32_t parts, uint32_t *part)
{
    const fr_codeset *codes = room->codeset;
    uint32_t pivots = 0;
    for (uint32_t p = 0; p < parts; p++) {
        uint32_t row = b->members[places[(uint64_t)p * count / parts]];
        if (!member_alive(t, row)) continue;
        room->codes[pivots] = fr_extent_at(&codes->code, row);
        room->constants[pivots++] = fr_codeset_constant(codes, row);
    }
    fr_simd_block()->pack(room->codes, pivots, codes->padded, room->packed);
    for (uint32_t i = 0; i < count; i++) {
        part[i] = parts;
        if (!member_alive(t, b->members[places[i]])) continue;
        part[i] = pivots != 0 ? nearest_of(room, room->packed, room->constants, pivots, b->members[places[i]]) : 0;
    }
}

/* A group that is too large is divided once more, around pivots of its own; what is still too large is cut. */
static void divide(const fr_table *t, fr_bulk *b, fr_block_room *room, const uint32_t *places, uint32_t count, uint32_t max)
{
    uint32_t parts = FR_MIN(count / (max * 9 / 20) + 1, max);
    uint32_t *part = fr_alloc(FR_MEM_LINKS, count * sizeof *part), *sorted = fr_alloc(FR_MEM_LINKS, count * sizeof *sorted);
    uint32_t *start = fr_zalloc(FR_MEM_LINKS, (parts + 2) * sizeof *start);
    if (part != NULL && sorted != NULL && start != NULL) {
        parts_of(t, b, room, places, count, parts, part);
        for (uint32_t i = 0; i < count; i++) start[part[i] + 1]++;
        for (uint32_t p = 0; p < parts; p++) start[p + 1] += start[p];
        for (uint32_t i = 0; i < count; i++)
            if (part[i] < parts) sorted[start[part[i]]++] = places[i];
        for (uint32_t p = 0, from = 0; p < parts; p++)
            for (uint32_t end = start[p]; from < end; from += FR_MIN(max, end - from)) leaf(t, b, room, sorted + from, FR_MIN(max, end - from));
    }
    fr_free(FR_MEM_LINKS, part);
    fr_free(FR_MEM_LINKS, sorted);
    fr_free(FR_MEM_LINKS, start);
}

void fr_bulk_leaf(fr_table *t, fr_scratch *s, fr_bulk *b, uint32_t group)
{
    (void)s;
    const fr_codeset *codes = fr_codes_of(t);
    uint32_t *places = b->group + b->group_start[group], count = b->group_start[group + 1] - b->group_start[group];
    if (!fr_codeset_dots(codes) || count < 2) return;
    uint32_t max = leaf_rows(codes->padded);
    fr_block_room *room = fr_bulk_room_take(t, b, codes);
    if (room == NULL) return; /* fewer candidates */
    if (count <= max) leaf(t, b, room, places, count);
    else divide(t, b, room, places, count, max);
    fr_bulk_room_return(t, b, room);
}
