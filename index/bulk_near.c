/* bulk_near.c: who is near whom in a bulk: blocks of codes, some rows of a block against all of it, and the candidates that each fresh row
 * keeps of what was found.
 * Keys instead of distances: d = K + unit * key with key = constant[row] - factor * dot(row, query), where K is the query's
 * (codes.h). All of it is 32-bit integers, so that blocks are compared and sorted without a float. */
#include "index/bulk.h"

#define ROOM_ROWS 4096u
#define FAR_FROM  24u /* what is farther than so many that a row has already is not looked at */
#define GUESS_MAX ((int64_t)1 << 48)
#define STRIP     FR_BLOCK_STRIP

/* ==== rooms ==== */

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

bool fr_block_room_make(fr_block_room *room, uint32_t rows, const fr_codeset *codeset, bool pack)
{
    size_t n = fr_tile_rows(rows), padded = codeset->padded;
    *room = (fr_block_room){.capacity = rows, .codeset = codeset, .padded = codeset->padded};
    if (pack) {
        room->packed = fr_alloc_aligned(FR_MEM_LINKS, 64, n * padded);
        room->constants = fr_alloc(FR_MEM_LINKS, n * sizeof(int32_t));
        room->codes = fr_alloc(FR_MEM_LINKS, n * sizeof *room->codes);
        room->rows = fr_alloc(FR_MEM_LINKS, n * sizeof(uint32_t));
    }
    room->queries = fr_alloc_aligned(FR_MEM_LINKS, 64, STRIP * padded);
    room->dots = fr_alloc_aligned(FR_MEM_LINKS, 64, STRIP * (n + 16) * sizeof(int32_t));
    room->keys = fr_alloc_aligned(FR_MEM_LINKS, 64, (n + 16) * sizeof(int32_t));
    room->places = fr_alloc_aligned(FR_MEM_LINKS, 64, (n + 16) * sizeof(uint32_t));
    if (room->queries && room->dots && room->keys && room->places && (!pack || (room->packed && room->constants && room->codes && room->rows)))
        return true;
    fr_block_room_free(room);
    return false;
}

fr_block_room *fr_bulk_room_take(fr_table *t, fr_bulk *b, const fr_codeset *codeset)
{
    fr_spin_lock(&t->bulk_lock);
    fr_block_room *room = b->rooms;
    if (room != NULL) b->rooms = room->next;
    fr_spin_unlock(&t->bulk_lock);
    uint32_t rows = FR_MIN(ROOM_ROWS, FR_MAX(512u, FR_LEAF_BYTES / codeset->padded / 32 * 32));
    bool fits = room != NULL && room->padded == codeset->padded;
    if (room != NULL && !fits) fr_block_room_free(room);
    if (room == NULL) room = fr_alloc(FR_MEM_LINKS, sizeof *room);
    if (room == NULL || !(fits || fr_block_room_make(room, rows, codeset, true))) {
        fr_free(FR_MEM_LINKS, room);
        return NULL;
    }
    room->codeset = codeset;
    room->columns = 0;
    return room;
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
        fr_block_room_free(room);
        fr_free(FR_MEM_LINKS, room);
    }
}

/* ==== candidates of a row ==== */

_Static_assert(FAR_FROM <= FR_LEAF_NEAREST && FR_LEAF_NEAREST <= FR_NEAR_MAX && FR_WIDE_MAX + 1 <= FR_ORDER_MAX,
               "what a query keeps fits its room, and is sorted in one go");

uint32_t fr_bulk_candidates(fr_bulk *b, uint32_t place, fr_candidates_of which, uint32_t max, uint32_t *rows)
{
    const fr_near *near = b->near + (size_t)place * FR_NEAR_MAX;
    const uint32_t *alone = (const uint32_t *)near;
    fr_spin_lock(&b->near_locks[place % 256]);
    uint32_t held = b->near_count[place] & ~FR_NEAR_ROWS, count = FR_MIN(max, held), first = which == FR_NEAREST ? count : count / 2;
    uint32_t step = first != count ? ((held - first) << 16) / (count - first) : 0;
    bool keys = !(b->near_count[place] & FR_NEAR_ROWS);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = i < first ? i : first + ((i - first) * step >> 16);
        rows[i] = keys ? fr_near_row(near[at]) : alone[at];
    }
    fr_spin_unlock(&b->near_locks[place % 256]);
    return count;
}

/* What was found, with room for one more behind it, joins the candidates of the row; both are sorted, what is in both is taken once.
 * The last time more rows stay, without their keys, in the same memory. gcc makes a branch of the keys; without one leaves took longer. */
static void join(fr_bulk *b, uint32_t place, fr_near *found, uint32_t count, bool last)
{
    fr_near *own = b->near + (size_t)place * FR_NEAR_MAX, held_now[FR_NEAR_MAX + 1];
    const fr_near *left = held_now, *right = found;
    uint32_t n = 0, most = last ? FR_WIDE_MAX : FR_NEAR_MAX, *rows = (uint32_t *)own;
    found[count] = UINT64_MAX;
    fr_spin_lock(&b->near_locks[place % 256]);
    uint32_t held = b->near_count[place];
    while (!last && n < held && own[n] < found[0]) n++; /* these stay where they are */
    memcpy(held_now, own + n, (held - n) * sizeof *own);
    held_now[held - n] = UINT64_MAX;
    while (n < most) {
        fr_near x = *left, y = *right, next = x < y ? x : y;
        if (next == UINT64_MAX) break;
        left += x <= y;
        right += y <= x;
        if (last) rows[n++] = fr_near_row(next);
        else own[n++] = next;
    }
    b->near_count[place] = (uint8_t)(last ? n | FR_NEAR_ROWS : n);
    fr_spin_unlock(&b->near_locks[place % 256]);
}

/* What is farther need not be looked at: than all that the row has; the last time, than where about FR_WIDE_MAX are nearer: as far behind
 * the last of those that are held as half of them lie apart. */
static int32_t cap_of(fr_bulk *b, uint32_t place, bool last)
{
    const fr_near *near = b->near + (size_t)place * FR_NEAR_MAX;
    int64_t cap = INT32_MAX;
    fr_spin_lock(&b->near_locks[place % 256]);
    uint32_t held = b->near_count[place];
    if (last && held >= FR_NEAR_MAX) {
        int64_t farthest = fr_near_key(near[FR_NEAR_MAX - 1]), half = fr_near_key(near[FR_NEAR_MAX / 2 - 1]);
        cap = FR_MIN(farthest + (farthest - half) / 2, (int64_t)INT32_MAX - 1);
    } else if (!last && held >= FR_LEAF_NEAREST) {
        cap = fr_near_key(near[FAR_FROM - 1]);
    }
    fr_spin_unlock(&b->near_locks[place % 256]);
    return (int32_t)cap;
}

/* ==== blocks ==== */

typedef struct block {
    const fr_block_kernel *kernel;
    fr_block_room *room;
    const uint32_t *places; /* of the queries, which are the first columns */
    uint32_t factor, want;
    uint32_t stride;        /* of the dots of a query */
    int64_t guess;          /* the distance of the last one, kept from query to query, because neighbours lie in neighbourhoods of like density */
    int64_t shift[STRIP];   /* K / unit, which makes keys of different queries comparable */
} block;

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

/* The nearest `want` of query q below `cap`, sorted, into the room's keys and places. */
static uint32_t nearest(block *k, uint32_t q, int32_t cap)
{
    fr_block_room *room = k->room;
    const int32_t *dots = room->dots + (size_t)q * k->stride;
    uint32_t found = 0, want = k->want;
    int64_t reach = k->guess, shift = k->shift[q];
    bool capped = cap != INT32_MAX; /* what the row has already says more than its neighbours' density */
    for (uint32_t tries = 0;; tries++) {
        int64_t bound = capped || k->guess == INT64_MAX || tries == 6 ? cap : FR_MIN((int64_t)cap, reach - shift);
        if (bound < INT32_MIN) bound = INT32_MIN;
        found = k->kernel->below(dots, room->constants, k->factor, room->columns, (int32_t)bound, room->keys, room->places);
        if (found >= FR_MAX(1u, want * 2 / 3) || bound == cap) break; /* nearly so many will do: another pass costs more */
        reach += (reach < 0 ? -reach : reach) / 4 + 16;
    }
    if (found > FR_ORDER_MAX) {
        int32_t last = k->kernel->bound(room->keys, found, want);
        if (last != INT32_MAX) found = k->kernel->below(dots, room->constants, k->factor, room->columns, last + 1, room->keys, room->places);
    }
    if (found > FR_ORDER_MAX) { /* there are many equal ones */
        smallest(room->keys, room->places, found, want);
        found = want;
    }
    k->kernel->order(room->keys, room->places, found);
    if (capped) return FR_MIN(found, want);
    if (found >= want) {
        int64_t last = shift + room->keys[want - 1];
        k->guess = last + (last < 0 ? -last : last) / 32 + 1;
        return want;
    }
    if (k->guess != INT64_MAX) reach += (reach < 0 ? -reach : reach) / 16 + 1;
    k->guess = reach < GUESS_MAX ? reach : INT64_MAX; /* one that only grows says nothing */
    return found;
}

/* Packs the columns, a tile at a time, while the codes of those behind it are on their way. */
static void pack(const block *k)
{
    fr_block_room *room = k->room;
    const fr_codeset *codes = room->codeset;
    uint32_t columns = room->columns;
    bool constant = fr_codeset_constant_read(codes);
    for (uint32_t i = 0; i < FR_MIN(2 * FR_TILE_ROWS, columns); i++) room->codes[i] = fr_code_touch(codes, room->rows[i], constant);
    for (uint32_t at = 0; at < columns; at += FR_TILE_ROWS) {
        uint32_t n = FR_MIN(FR_TILE_ROWS, columns - at), ahead = at + 2 * FR_TILE_ROWS;
        for (uint32_t i = ahead; i < FR_MIN(ahead + FR_TILE_ROWS, columns); i++) room->codes[i] = fr_code_touch(codes, room->rows[i], constant);
        fr_codeset_constants(codes, room->rows + at, room->codes + at, n, room->constants + at);
        k->kernel->pack(room->codes + at, n, codes->padded, room->packed + (size_t)at * codes->padded);
    }
}

void fr_bulk_query(const fr_codeset *codes, uint32_t row, int8_t *restrict q)
{
    const uint8_t *code = fr_extent_at(&codes->code, row);
    for (uint32_t j = 0, n = codes->padded; j < n; j++) q[j] = (int8_t)(code[j] ^ 0x80);
}

/* The dots of the queries from column i on, and their shifts; their candidates are on the way. */
static void ask(block *k, const fr_bulk *b, uint32_t i, uint32_t n)
{
    fr_block_room *room = k->room;
    const fr_codeset *codes = room->codeset;
    bool inner = codes->metric == FR_METRIC_IP;
    for (uint32_t q = 0; q < n; q++) {
        __builtin_prefetch(&b->near_count[k->places[i + q]]);
        fr_near_touch(b, k->places[i + q]);
    }
    for (uint32_t q = 0; q < n; q++) {
        fr_code_query query = {.q = room->queries + (size_t)q * codes->padded};
        if (inner) fr_codeset_query_row(codes, room->rows[i + q], &query);
        else fr_bulk_query(codes, room->rows[i + q], query.q);
        if (inner) k->shift[q] = (int64_t)(query.k / query.cm);
    }
    k->kernel->dots(room->queries, n, room->packed, room->columns, codes->padded, room->dots, k->stride);
    for (uint32_t q = 0; q < n && !inner; q++) /* K of the row is in what it has to itself: |c|^2 = 2 dot - constant */
        k->shift[q] = 2 * (int64_t)room->dots[(size_t)q * k->stride + i + q] - room->constants[i + q];
}

void fr_bulk_meet(fr_bulk *b, fr_block_room *room, const uint32_t *places, uint32_t count, uint32_t want)
{
    bool last = want > FR_NEAR_MAX;
    /* stride: an odd number of cache lines: the queries' rows do not fall on each other in the cache; want: with itself */
    block k = {.kernel = fr_simd_block(), .room = room, .places = places, .factor = fr_block_factor(room->codeset), .want = want + 1,
               .stride = fr_tile_rows(room->columns) + 16, .guess = INT64_MAX};
    pack(&k);
    for (uint32_t i = 0; i < count; i += STRIP) {
        uint32_t n = FR_MIN(STRIP, count - i);
        ask(&k, b, i, n);
        for (uint32_t q = 0; q < n; q++) {
            fr_near found[FR_WIDE_MAX + 2];
            uint32_t place = places[i + q], kept = 0, some = nearest(&k, q, cap_of(b, place, last));
            for (uint32_t c = 0; c < some; c++) {
                fr_near next = fr_near_make(room->keys[c], room->rows[room->places[c]]);
                uint32_t j = kept;
                if (room->places[c] == i + q) continue;
                for (kept++; j > 0 && found[j - 1] > next; j--) found[j] = found[j - 1]; /* equal keys by row */
                found[j] = next;
            }
            join(b, place, found, kept, last);
        }
    }
}
