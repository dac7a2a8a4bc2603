/* bulk_leaf.c: candidates of the rows of a bulk: groups around pivots, and the nearest within each group.
 * Keys instead of distances: d = K + unit * key with key = constant[row] - factor * dot(row, query), where K is the query's
 * (codes.h). All of it is 32-bit integers, so that leaves are compared and sorted without a float. */
#include "index/bulk.h"

#define LEAF_ROWS   2048u
#define LEAF_BYTES  (2u << 20)
#define ROOM_ROWS   4096u
#define GROUP_ROWS  900u /* the average aimed at; cells of random pivots differ a lot in size */
#define GROUP_FEW   300u /* beside many linked rows fewer of the nearest are fresh */
#define PIVOTS_MAX  16384u
#define LEADERS_FROM 64u /* pivots: from here on they stand in lists around leaders */
#define LEADS        32u /* pivots of a leader, on average */
#define LISTS       6u    /* so many are looked at for a row */
#define NEAREST     30u  /* of one leaf */
#define FAR_FROM    24u  /* what is farther than so many that a row has already is not looked at */
#define GUESS_MAX   ((int64_t)1 << 48)
#define STRIP       16u  /* queries at a time */

static void room_free(fr_block_room *room)
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

static bool room_make(fr_block_room *room, uint32_t rows, uint32_t padded, bool pack)
{
    size_t n = fr_tile_rows(rows);
    *room = (fr_block_room){.capacity = rows, .padded = padded};
    if (pack) {
        room->packed = fr_alloc_aligned(FR_MEM_LINKS, 64, n * padded);
        room->constants = fr_alloc(FR_MEM_LINKS, n * sizeof(int32_t));
        room->codes = fr_alloc(FR_MEM_LINKS, n * sizeof *room->codes);
        room->rows = fr_alloc(FR_MEM_LINKS, n * sizeof(uint32_t));
    }
    room->queries = fr_alloc_aligned(FR_MEM_LINKS, 64, (size_t)STRIP * padded);
    room->dots = fr_alloc_aligned(FR_MEM_LINKS, 64, STRIP * (n + 16) * sizeof(int32_t));
    room->keys = fr_alloc_aligned(FR_MEM_LINKS, 64, (n + 16) * sizeof(int32_t));
    room->places = fr_alloc_aligned(FR_MEM_LINKS, 64, (n + 16) * sizeof(uint32_t));
    if (room->queries && room->dots && room->keys && room->places && (!pack || (room->packed && room->constants && room->codes && room->rows)))
        return true;
    room_free(room);
    return false;
}

fr_block_room *fr_bulk_room_take(fr_table *t, fr_bulk *b, uint32_t padded)
{
    fr_spin_lock(&t->bulk_lock);
    fr_block_room *room = b->rooms;
    if (room != NULL) b->rooms = room->next;
    fr_spin_unlock(&t->bulk_lock);
    if (room != NULL && room->padded == padded) return room;
    if (room != NULL) room_free(room);
    else room = fr_alloc(FR_MEM_LINKS, sizeof *room);
    if (room != NULL && room_make(room, FR_MIN(ROOM_ROWS, FR_MAX(512u, LEAF_BYTES / padded / 32 * 32)), padded, true)) return room;
    fr_free(FR_MEM_LINKS, room);
    return NULL;
}

void fr_bulk_room_return(fr_table *t, fr_bulk *b, fr_block_room *room)
{
    fr_spin_lock(&t->bulk_lock);
    room->next = b->rooms;
    b->rooms = room;
    fr_spin_unlock(&t->bulk_lock);
}

void fr_bulk_rooms_free(fr_bulk *b)
{
    for (fr_block_room *room = b->rooms, *next; room != NULL; room = next) {
        next = room->next;
        room_free(room);
        fr_free(FR_MEM_LINKS, room);
    }
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

/* The same without its K. */
static void as_query(const fr_codeset *codes, uint32_t row, int8_t *restrict q)
{
    const uint8_t *code = fr_extent_at(&codes->code, row);
    for (uint32_t j = 0, n = codes->padded; j < n; j++) q[j] = (int8_t)(code[j] ^ 0x80);
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

_Static_assert(LISTS <= FR_FEW_MAX && FR_FANOUT <= FR_FEW_MAX && LISTS <= STRIP, "in one go, side by side in a room");
_Static_assert(FAR_FROM <= NEAREST && NEAREST <= FR_NEAR_MAX && FR_WIDE_MAX + 1 <= FR_ORDER_MAX, "what a query keeps fits its room, and is sorted in one go");

/* The nearest `want` below `cap`, sorted, into room->keys and places; *guess: the distance of the last one, kept from query
 * to query, because neighbours lie in neighbourhoods of like density. */
static uint32_t nearest(const fr_block_kernel *kernel, const fr_block_room *room, const int32_t *dots, const int32_t *constants,
                        uint32_t factor, uint32_t count, uint32_t want, int32_t cap, int64_t shift, int64_t *guess)
{
    uint32_t found = 0;
    int64_t reach = *guess;
    bool capped = cap != INT32_MAX; /* what the row has already says more than its neighbours' density */
    for (uint32_t tries = 0;; tries++) {
        int64_t bound = capped || *guess == INT64_MAX || tries == 6 ? cap : FR_MIN((int64_t)cap, reach - shift);
        if (bound < INT32_MIN) bound = INT32_MIN;
        found = kernel->below(dots, constants, factor, count, (int32_t)bound, room->keys, room->places);
        if (found >= FR_MAX(1u, want * 2 / 3) || bound == cap) break; /* nearly so many will do: another pass costs more */
        reach += (reach < 0 ? -reach : reach) / 4 + 16;
    }
    if (found > FR_ORDER_MAX) {
        int32_t last = kernel->bound(room->keys, found, want);
        if (last != INT32_MAX) found = kernel->below(dots, constants, factor, count, last + 1, room->keys, room->places);
    }
    if (found > FR_ORDER_MAX) { /* there are many equal ones */
        smallest(room->keys, room->places, found, want);
        found = want;
    }
    kernel->order(room->keys, room->places, found);
    if (capped) return FR_MIN(found, want);
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

/* Random members; those of the second level stand in the lists of the first, of which they are nearest to. */
bool fr_bulk_partition(fr_table *t, fr_bulk *b)
{
    const fr_codeset *codes = fr_codes_of(t);
    const fr_block_kernel *kernel = fr_simd_block();
    uint64_t wanted = (uint64_t)b->member_count * FR_FANOUT / FR_MIN(b->reach ? GROUP_FEW : GROUP_ROWS, leaf_rows(codes->padded) / 2);
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
                rows && list && where && codes->kind != FR_CODE_NONE && room_make(&room, leaders, padded, false);
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
            if (leaders > 1) {
                as_query(codes, rows[i], room.queries);
                kernel->dots(room.queries, 1, b->leaders, leaders, padded, room.dots, fr_tile_rows(leaders));
                kernel->few(room.dots, b->leader_constants, factor_of(t), leaders, 1, room.keys, room.places);
                list[i] = room.places[0];
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
    room_free(&room);
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
static void assign_one(const fr_table *t, const fr_bulk *b, const fr_block_room *room, uint32_t padded, const int8_t *query,
                       const int32_t *leader_dots, int32_t *constants, uint32_t *assigned)
{
    const fr_block_kernel *kernel = fr_simd_block();
    uint32_t lists[LISTS] = {0}, ends[LISTS] = {0}, count = 1, columns = 0;
    if (b->leader_count > 1) {
        count = kernel->few(leader_dots, b->leader_constants, factor_of(t), b->leader_count, LISTS, room->keys, room->places);
        memcpy(lists, room->places, count * sizeof *lists);
    }
    for (uint32_t l = 0; l < count; l++) { /* one list behind the other: what dots gives past the end of one goes under the next */
        uint32_t from = b->list_start[lists[l]], size = b->list_count[lists[l]];
        if (size != 0) kernel->dots(query, 1, b->pivots + (size_t)from * padded, size, padded, room->dots + columns, fr_tile_rows(size));
        memcpy(constants + columns, b->pivot_constants + from, size * sizeof *constants);
        ends[l] = columns += size;
    }
    uint32_t n = kernel->few(room->dots, constants, factor_of(t), columns, FR_FANOUT, room->keys, room->places);
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
    fr_block_room own = {0}, *room = fr_bulk_room_take(t, b, codes->padded), *kept = room;
    uint32_t from = piece * FR_PIECE_ROWS, to = FR_MIN(from + FR_PIECE_ROWS, b->member_count), padded = codes->padded;
    uint32_t stride = fr_tile_rows(b->leader_count), who[STRIP];
    for (uint32_t i = from; i < to; i++)
        for (uint32_t f = 0; f < FR_FANOUT; f++) b->assigned[(size_t)i * FR_FANOUT + f] = b->pivot_count; /* none */
    uint32_t columns = FR_MAX(LISTS * b->list_max, stride);
    int32_t *leader_dots = fr_alloc_aligned(FR_MEM_LINKS, 64, ((size_t)STRIP * stride + columns) * sizeof *leader_dots);
    if (room == NULL || columns > room->capacity) room = room_make(&own, columns, padded, false) ? &own : NULL;
    if (leader_dots == NULL || codes->kind == FR_CODE_NONE || room == NULL) to = from;
    for (uint32_t i = from; i < to;) {
        uint32_t n = 0;
        for (; i < to && n < STRIP; i++) {
            if (!member_alive(t, b->members[i])) continue;
            as_query(codes, b->members[i], room->queries + (size_t)n * padded);
            who[n++] = i;
        }
        if (b->leader_count > 1) kernel->dots(room->queries, n, b->leaders, b->leader_count, padded, leader_dots, stride);
        for (uint32_t q = 0; q < n; q++)
            assign_one(t, b, room, padded, room->queries + (size_t)q * padded, leader_dots + (size_t)q * stride, leader_dots + (size_t)STRIP * stride,
                       b->assigned + (size_t)who[q] * FR_FANOUT);
    }
    fr_free(FR_MEM_LINKS, leader_dots);
    room_free(&own);
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

/* The new candidates, with room for one more behind them, join the row's own; both are sorted, what is in both is taken once. No branch
 * on a key: none could be foretold. */
static void merge(fr_bulk *b, uint32_t place, fr_near *fresh, uint32_t count)
{
    fr_near *own = b->near + (size_t)place * FR_NEAR_MAX, held_now[FR_NEAR_MAX + 1];
    const fr_near *left = held_now, *right = fresh;
    if (count == 0) return;
    fresh[count] = UINT64_MAX;
    fr_spin_lock(&b->near_locks[place % 256]);
    uint32_t held = b->near_count[place], n = 0;
    while (n < held && own[n] < fresh[0]) n++; /* these stay where they are */
    memcpy(held_now, own + n, (held - n) * sizeof *own);
    held_now[held - n] = UINT64_MAX;
    while (n < FR_NEAR_MAX) {
        fr_near x = *left, y = *right, next = x < y ? x : y;
        if (next == UINT64_MAX) break;
        left += x <= y;
        right += y <= x;
        own[n++] = next;
    }
    b->near_count[place] = (uint8_t)n;
    fr_spin_unlock(&b->near_locks[place % 256]);
}

/* The same for the last time: of what both have the nearest rows stay, more of them and without their keys, in the same memory. */
static void merge_rows(fr_bulk *b, uint32_t place, fr_near *fresh, uint32_t count)
{
    fr_near held_now[FR_NEAR_MAX + 1];
    const fr_near *left = held_now, *right = fresh;
    uint32_t held = b->near_count[place], n = 0, *rows = (uint32_t *)(b->near + (size_t)place * FR_NEAR_MAX);
    memcpy(held_now, rows, held * sizeof *held_now);
    held_now[held] = fresh[count] = UINT64_MAX;
    while (n < FR_WIDE_MAX) {
        fr_near x = *left, y = *right, next = x < y ? x : y;
        if (next == UINT64_MAX) break;
        left += x <= y;
        right += y <= x;
        rows[n++] = fr_near_row(next);
    }
    b->near_count[place] = (uint8_t)(n | FR_NEAR_ROWS);
}

/* Where about FR_WIDE_MAX are nearer: as far behind the last of those that are held as half of them lie apart. */
static int32_t cap_wide(const fr_bulk *b, uint32_t place)
{
    const fr_near *near = b->near + (size_t)place * FR_NEAR_MAX;
    if (b->near_count[place] < FR_NEAR_MAX) return INT32_MAX;
    int64_t last = fr_near_key(near[FR_NEAR_MAX - 1]), half = fr_near_key(near[FR_NEAR_MAX / 2 - 1]);
    return (int32_t)FR_MIN(last + (last - half) / 2, (int64_t)INT32_MAX - 1);
}

/* What is farther than all that a row has need not be looked at. */
static int32_t cap_of(fr_bulk *b, uint32_t place)
{
    fr_spin_lock(&b->near_locks[place % 256]);
    uint32_t held = b->near_count[place];
    int32_t cap = held >= NEAREST ? fr_near_key(b->near[(size_t)place * FR_NEAR_MAX + FAR_FROM - 1]) : INT32_MAX;
    fr_spin_unlock(&b->near_locks[place % 256]);
    return cap;
}

uint32_t fr_bulk_near_of(fr_bulk *b, uint32_t place, uint32_t max, uint32_t *rows)
{
    const fr_near *near = b->near + (size_t)place * FR_NEAR_MAX;
    fr_spin_lock(&b->near_locks[place % 256]);
    uint32_t held = b->near_count[place], count = FR_MIN(max, held), first = count / 2; /* half of them the nearest; the rest leads out of a cluster */
    uint32_t step = count != 0 ? ((held - first) << 16) / (count - first) : 0;
    for (uint32_t i = 0; i < first; i++) rows[i] = fr_near_row(near[i]);
    for (uint32_t i = first; i < count; i++) rows[i] = fr_near_row(near[first + ((i - first) * step >> 16)]);
    fr_spin_unlock(&b->near_locks[place % 256]);
    return count;
}

/* Packs the columns, a tile at a time, while the codes of those behind it are on their way. */
static void pack(const fr_codeset *codes, fr_block_room *room, uint32_t columns)
{
    const fr_block_kernel *kernel = fr_simd_block();
    bool constant = fr_codeset_constant_read(codes);
    for (uint32_t i = 0; i < FR_MIN(2 * FR_TILE_ROWS, columns); i++) room->codes[i] = fr_code_touch(codes, room->rows[i], constant);
    for (uint32_t at = 0; at < columns; at += FR_TILE_ROWS) {
        uint32_t n = FR_MIN(FR_TILE_ROWS, columns - at), ahead = at + 2 * FR_TILE_ROWS;
        for (uint32_t i = ahead; i < FR_MIN(ahead + FR_TILE_ROWS, columns); i++) room->codes[i] = fr_code_touch(codes, room->rows[i], constant);
        fr_codeset_constants(codes, room->rows + at, room->codes + at, n, room->constants + at);
        kernel->pack(room->codes + at, n, codes->padded, room->packed + (size_t)at * codes->padded);
    }
}

void fr_bulk_meet(fr_table *t, fr_bulk *b, const fr_codeset *codes, fr_block_room *room, uint32_t columns, const uint32_t *places,
                  uint32_t count, uint32_t want)
{
    const fr_block_kernel *kernel = fr_simd_block();
    uint32_t padded = codes->padded, factor = factor_of(t);
    bool last = want > FR_NEAR_MAX;
    uint32_t stride = fr_tile_rows(columns) + 16; /* an odd number of cache lines: the queries' rows do not fall on each other in the cache */
    int64_t guess = INT64_MAX, shift[STRIP];
    bool inner = t->options.metric == FR_METRIC_IP;
    pack(codes, room, columns);
    for (uint32_t i = 0; i < count; i += STRIP) {
        uint32_t n = FR_MIN(STRIP, count - i);
        for (uint32_t q = 0; q < n; q++) {
            __builtin_prefetch(&b->near_count[places[i + q]]);
            for (uint32_t at = 0; at < FR_NEAR_MAX; at += 64 / sizeof(fr_near)) __builtin_prefetch(b->near + (size_t)places[i + q] * FR_NEAR_MAX + at);
        }
        for (uint32_t q = 0; q < n; q++) {
            int8_t *query = room->queries + (size_t)q * padded;
            if (inner) shift[q] = query_of(codes, room->rows[i + q], query);
            else as_query(codes, room->rows[i + q], query);
        }
        kernel->dots(room->queries, n, room->packed, columns, padded, room->dots, stride);
        for (uint32_t q = 0; q < n && !inner; q++) /* K of the row is in what it has to itself: |c|^2 = 2 dot - constant */
            shift[q] = 2 * (int64_t)room->dots[(size_t)q * stride + i + q] - room->constants[i + q];
        for (uint32_t q = 0; q < n; q++) {
            fr_near found[FR_WIDE_MAX + 2];
            uint32_t place = places[i + q], kept = 0;
            uint32_t some = nearest(kernel, room, room->dots + (size_t)q * stride, room->constants, factor, columns, want + 1,
                                    last ? cap_wide(b, place) : cap_of(b, place), shift[q], &guess);
            for (uint32_t c = 0; c < some; c++) {
                fr_near next = fr_near_make(room->keys[c], room->rows[room->places[c]]);
                uint32_t j = kept;
                if (room->places[c] == i + q) continue;
                for (kept++; j > 0 && found[j - 1] > next; j--) found[j] = found[j - 1]; /* equal keys by row */
                found[j] = next;
            }
            (last ? merge_rows : merge)(b, place, found, kept);
        }
    }
}

static void leaf(fr_table *t, fr_bulk *b, const fr_codeset *codes, fr_block_room *room, uint32_t *places, uint32_t count)
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
    if (codes->kind == FR_CODE_NONE || codes->kind == FR_CODE_BIT || count < 2) return;
    uint32_t max = leaf_rows(codes->padded);
    fr_block_room *room = fr_bulk_room_take(t, b, codes->padded);
    if (room == NULL) return; /* fewer candidates */
    if (count <= max) leaf(t, b, codes, room, places, count);
    else divide(t, b, codes, room, places, count, max);
    fr_bulk_room_return(t, b, room);
}
