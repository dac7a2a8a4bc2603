/* bulk_leaf.c: candidates of the rows of a bulk: groups around pivots, and the nearest within each group.
 * Keys instead of distances: d = K + unit * key with key = constant[row] - factor * dot(row, query), where K is the query's
 * (codes.h). All of it is 32-bit integers, so that leaves are compared and sorted without a float. */
#include "index/bulk.h"

#define LEAF_ROWS   2048u
#define LEAF_BYTES  (2u << 20)
#define GROUP_ROWS  900u /* the average aimed at; cells of random pivots differ a lot in size */
#define PIVOTS_MAX  4096u
#define NEAREST     24u  /* of one leaf */
#define STRIP       16u  /* queries at a time */

/* What one thread needs for blocks of up to `rows` rows. */
typedef struct fr_block_room {
    uint8_t *packed;
    int8_t *queries;
    int32_t *constants, *dots, *keys;
    uint32_t *places, *ids;
    const uint8_t **codes;
} fr_block_room;

static void room_free(fr_block_room *room)
{
    fr_free(FR_MEM_LINKS, room->packed);
    fr_free(FR_MEM_LINKS, room->queries);
    fr_free(FR_MEM_LINKS, room->constants);
    fr_free(FR_MEM_LINKS, room->dots);
    fr_free(FR_MEM_LINKS, room->keys);
    fr_free(FR_MEM_LINKS, room->places);
    fr_free(FR_MEM_LINKS, room->ids);
    fr_free(FR_MEM_LINKS, room->codes);
}

static bool room_make(fr_block_room *room, uint32_t rows, uint32_t padded, bool pack)
{
    size_t n = fr_tile_rows(rows);
    *room = (fr_block_room){0};
    if (pack) {
        room->packed = fr_alloc_aligned(FR_MEM_LINKS, 64, n * padded);
        room->constants = fr_alloc(FR_MEM_LINKS, n * sizeof(int32_t));
        room->codes = fr_alloc(FR_MEM_LINKS, n * sizeof *room->codes);
        room->ids = fr_alloc(FR_MEM_LINKS, n * sizeof(uint32_t));
    }
    room->queries = fr_alloc_aligned(FR_MEM_LINKS, 64, (size_t)STRIP * padded);
    room->dots = fr_alloc_aligned(FR_MEM_LINKS, 64, STRIP * n * sizeof(int32_t));
    room->keys = fr_alloc_aligned(FR_MEM_LINKS, 64, (n + 16) * sizeof(int32_t));
    room->places = fr_alloc_aligned(FR_MEM_LINKS, 64, (n + 16) * sizeof(uint32_t));
    if (room->queries && room->dots && room->keys && room->places && (!pack || (room->packed && room->constants && room->codes && room->ids)))
        return true;
    room_free(room);
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
        if (found >= want || bound == cap) break;
        reach += (reach < 0 ? -reach : reach) / 4 + 16;
    }
    if (found > want) {
        smallest(room->keys, room->places, found, want);
        found = want;
    }
    for (uint32_t i = 1; i < found; i++) {
        int32_t key = room->keys[i];
        uint32_t place = room->places[i], j = i;
        for (; j > 0 && room->keys[j - 1] > key; j--) room->keys[j] = room->keys[j - 1], room->places[j] = room->places[j - 1];
        room->keys[j] = key, room->places[j] = place;
    }
    if (found == want) {
        int64_t last = shift + room->keys[want - 1];
        *guess = last + (last < 0 ? -last : last) / 32 + 1;
    }
    return found;
}

/* ==== groups ==== */

bool fr_bulk_partition(fr_table *t, fr_bulk *b)
{
    const fr_codeset *codes = fr_codes_of(t);
    uint64_t wanted = (uint64_t)b->member_count * FR_FANOUT / FR_MIN(GROUP_ROWS, leaf_rows(codes->padded) / 2);
    uint32_t count = (uint32_t)FR_MAX(FR_FANOUT + 1ull, FR_MIN(wanted, PIVOTS_MAX)), n = fr_tile_rows(count), chosen = 0;
    fr_free(FR_MEM_LINKS, b->pivots);
    fr_free(FR_MEM_LINKS, b->pivot_constants);
    fr_free(FR_MEM_LINKS, b->group_start);
    b->pivots = fr_alloc_aligned(FR_MEM_LINKS, 64, (size_t)n * codes->padded);
    b->pivot_constants = fr_zalloc(FR_MEM_LINKS, n * sizeof(int32_t));
    b->group_start = fr_zalloc(FR_MEM_LINKS, (PIVOTS_MAX + 2) * sizeof(uint32_t));
    const uint8_t **rows = fr_alloc(FR_MEM_LINKS, count * sizeof *rows);
    if (b->pivots != NULL && b->pivot_constants != NULL && b->group_start != NULL && rows != NULL && codes->kind != FR_CODE_NONE) {
        for (uint64_t i = 0; i < 4ull * count && chosen < count; i++) {
            uint32_t row = b->members[fr_mix64(i * 2 + 1 + b->round * 0x10000ull + t->options.seed) % b->member_count];
            if (!member_alive(t, row)) continue;
            rows[chosen] = fr_extent_at(&codes->code, row);
            b->pivot_constants[chosen++] = *(const int32_t *)fr_extent_at(&codes->cst, row);
        }
        fr_simd_block()->pack(rows, chosen, codes->padded, b->pivots);
    }
    fr_free(FR_MEM_LINKS, rows);
    b->pivot_count = chosen;
    return chosen > FR_FANOUT;
}

void fr_bulk_assign(fr_table *t, fr_scratch *s, fr_bulk *b, uint32_t piece)
{
    (void)s;
    const fr_codeset *codes = fr_codes_of(t);
    const fr_block_kernel *kernel = fr_simd_block();
    fr_block_room room;
    uint32_t from = piece * FR_PIECE_ROWS, to = FR_MIN(from + FR_PIECE_ROWS, b->member_count), stride = fr_tile_rows(b->pivot_count);
    for (uint32_t i = from; i < to; i++)
        for (uint32_t f = 0; f < FR_FANOUT; f++) b->assigned[(size_t)i * FR_FANOUT + f] = b->pivot_count; /* none */
    if (codes->kind == FR_CODE_NONE || !room_make(&room, b->pivot_count, codes->padded, false)) return;
    int64_t guess = INT64_MAX, shift[STRIP];
    uint32_t who[STRIP];
    for (uint32_t i = from; i < to;) {
        uint32_t n = 0;
        for (; i < to && n < STRIP; i++) {
            if (!member_alive(t, b->members[i])) continue;
            who[n] = i;
            shift[n] = query_of(codes, b->members[i], room.queries + (size_t)n * codes->padded);
            n++;
        }
        kernel->dots(room.queries, n, b->pivots, b->pivot_count, codes->padded, room.dots, stride);
        for (uint32_t q = 0; q < n; q++) {
            uint32_t found = nearest(kernel, &room, room.dots + (size_t)q * stride, b->pivot_constants, factor_of(t), b->pivot_count,
                                     FR_FANOUT, INT32_MAX, shift[q], &guess);
            for (uint32_t f = 0; f < found; f++) b->assigned[(size_t)who[q] * FR_FANOUT + f] = room.places[f];
        }
    }
    room_free(&room);
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

/* The new candidates join the row's own; both are sorted, what is in both is the same pair. */
static void merge(fr_bulk *b, uint32_t place, const fr_near *fresh, uint32_t count)
{
    fr_near *own = b->near + (size_t)place * FR_NEAR_MAX, merged[FR_NEAR_MAX];
    uint32_t n = 0, i = 0, j = 0;
    fr_spin_lock(&b->near_locks[place % 256]);
    uint32_t held = b->near_count[place];
    while (n < FR_NEAR_MAX && (i < held || j < count)) {
        const fr_near *next = j == count || (i < held && (own[i].key < fresh[j].key || (own[i].key == fresh[j].key && own[i].row <= fresh[j].row)))
                                  ? &own[i++] : &fresh[j++];
        if (n == 0 || merged[n - 1].row != next->row || merged[n - 1].key != next->key) merged[n++] = *next;
    }
    memcpy(own, merged, n * sizeof *own);
    b->near_count[place] = (uint8_t)n;
    fr_spin_unlock(&b->near_locks[place % 256]);
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

static void leaf(fr_table *t, fr_bulk *b, const fr_codeset *codes, fr_block_room *room, const uint32_t *places, uint32_t count)
{
    const fr_block_kernel *kernel = fr_simd_block();
    uint32_t columns = 0, padded = codes->padded, factor = factor_of(t);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = b->members[places[i]];
        if (!member_alive(t, row)) continue;
        room->codes[columns] = fr_extent_at(&codes->code, row);
        room->constants[columns] = *(const int32_t *)fr_extent_at(&codes->cst, row);
        room->ids[columns++] = places[i];
    }
    kernel->pack(room->codes, columns, padded, room->packed);
    uint32_t stride = fr_tile_rows(columns), who[STRIP];
    int64_t guess = INT64_MAX, shift[STRIP];
    for (uint32_t i = 0; i < columns;) {
        uint32_t n = 0;
        for (; i < columns && n < STRIP; i++) {
            if (room->ids[i] >= b->count) break; /* fresh rows come first */
            who[n] = i;
            shift[n] = query_of(codes, b->members[room->ids[i]], room->queries + (size_t)n * padded);
            n++;
        }
        if (n == 0) break;
        kernel->dots(room->queries, n, room->packed, columns, padded, room->dots, stride);
        for (uint32_t q = 0; q < n; q++) {
            fr_near found[NEAREST + 1];
            uint32_t own = room->ids[who[q]], kept = 0;
            int32_t cap = cap_of(b, own);
            uint32_t some = nearest(kernel, room, room->dots + (size_t)q * stride, room->constants, factor, columns, NEAREST + 1,
                                    cap, shift[q], &guess);
            for (uint32_t c = 0; c < some; c++) {
                uint32_t member = room->ids[room->places[c]];
                if (member != own) found[kept++] = (fr_near){room->keys[c], b->members[member]};
            }
            for (uint32_t c = 1; c < kept; c++) /* equal keys by row, as the merge expects */
                for (uint32_t j = c; j > 0 && found[j - 1].key == found[j].key && found[j - 1].row > found[j].row; j--) {
                    fr_near swap = found[j];
                    found[j] = found[j - 1], found[j - 1] = swap;
                }
            merge(b, own, found, kept);
        }
    }
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
        room->constants[pivots++] = *(const int32_t *)fr_extent_at(&codes->cst, row);
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
    if (!room_make(&room, max, codes->padded, true)) return; /* fewer candidates */
    if (count <= max) leaf(t, b, codes, &room, places, count);
    else divide(t, b, codes, &room, places, count, max);
    room_free(&room);
}
