/* bulk_graph.c: the second look at who is near whom. Rows near each other are taken together, and who is near those that are near any
 * of them is compared with all of them, by blocks: the neighbourhoods overlap, so that a block of codes serves 64 rows,
 * where 64 walks would read most of it 64 times. It is done before links are chosen, so that they are chosen once. */
#include "index/bulk.h"

#define NEAR_FIRST   24u /* of each row of the piece */
#define NEAR_SECOND  16u /* of each of those */
#define TAKEN        FR_PLACE_TAKEN

/* From a row not yet taken its neighbours are followed until a piece is full. */
static uint32_t fill_piece(fr_bulk *b, uint32_t *out, uint32_t begin, uint32_t n, uint32_t seed)
{
    uint32_t head = n;
    out[n++] = seed;
    while (head < n && n - begin < b->look_rows) {
        uint32_t rows[NEAR_SECOND], count = fr_bulk_near_of(b, out[head++], NEAR_SECOND, rows);
        for (uint32_t i = 0; i < count; i++) __builtin_prefetch((const void *)&b->back_head[rows[i]]);
        for (uint32_t i = 0; i < count && n - begin < b->look_rows; i++) {
            uint32_t place = atomic_load_explicit(&b->back_head[rows[i]], memory_order_relaxed);
            if (place == 0 || place & TAKEN) continue;
            atomic_store_explicit(&b->back_head[rows[i]], place | TAKEN, memory_order_relaxed);
            out[n++] = place - 1;
            __builtin_prefetch(b->near + (size_t)(place - 1) * FR_NEAR_MAX);
            __builtin_prefetch(b->near + (size_t)(place - 1) * FR_NEAR_MAX + 8);
        }
    }
    return n;
}

/* Of order only the fresh rows stay. No chains of links back hang from back_head now: it says meanwhile at which place a fresh row
 * stands. */
void fr_bulk_order(fr_bulk *b)
{
    uint32_t n = 0, *out = b->group;
    for (uint32_t i = 0; i < b->member_count; i++)
        if (b->order[i] < b->count) b->order[n++] = b->order[i];
    for (uint32_t i = 0; i < b->count; i++) atomic_store_explicit(&b->back_head[b->members[i]], i + 1, memory_order_relaxed);
    n = 0;
    for (uint32_t i = 0, begin = 0; i < b->count; i++) {
        uint32_t place = b->order[i];
        _Atomic uint32_t *held = &b->back_head[b->members[place]];
        if (atomic_load_explicit(held, memory_order_relaxed) & TAKEN) continue;
        atomic_store_explicit(held, (place + 1) | TAKEN, memory_order_relaxed);
        n = fill_piece(b, out, begin, n, place);
        if (n - begin == b->look_rows) begin = n;
    }
    FR_ASSERT(n == b->count);
    memcpy(b->order, out, n * sizeof *out);
}

void fr_bulk_ordered(fr_bulk *b)
{
    for (uint32_t i = 0; i < b->count; i++) atomic_store_explicit(&b->back_head[b->members[i]], 0, memory_order_relaxed);
}

static bool take(const fr_table *t, fr_scratch *s, fr_block_room *room, uint32_t *columns, uint32_t row)
{
    if (row >= s->row_limit || !fr_visit(s, row) || !fr_row_alive(fr_row_at(t, row))) return false;
    room->rows[(*columns)++] = row;
    return true;
}

/* Who is near a row: of a fresh one its candidates, of a linked one where it leads to. */
static uint32_t near_of(const fr_table *t, fr_bulk *b, uint32_t row, uint32_t max, uint32_t *rows)
{
    uint32_t place = row < b->row_limit ? atomic_load_explicit(&b->back_head[row], memory_order_relaxed) & ~TAKEN : 0;
    return place != 0 ? fr_bulk_near_of(b, place - 1, max, rows) : fr_level0_lanes(t, row, rows);
}

/* What near_of will read of the rows behind this one: whose they are, then their candidates or lanes. */
static void send_for(const fr_table *t, const fr_bulk *b, const uint32_t *rows, uint32_t at, uint32_t end)
{
    if (at + 16 < end && rows[at + 16] < b->row_limit) __builtin_prefetch((const void *)&b->back_head[rows[at + 16]]);
    if (at + 8 >= end) return;
    uint32_t row = rows[at + 8], place = row < b->row_limit ? atomic_load_explicit(&b->back_head[row], memory_order_relaxed) & ~TAKEN : 0;
    if (place == 0) {
        fr_links_prefetch(t, row);
        return;
    }
    __builtin_prefetch(b->near_count + place - 1);
    __builtin_prefetch(b->near + (size_t)(place - 1) * FR_NEAR_MAX);
    __builtin_prefetch(b->near + (size_t)(place - 1) * FR_NEAR_MAX + 8);
}

void fr_bulk_around(fr_table *t, fr_scratch *s, fr_bulk *b, uint32_t piece)
{
    const fr_codeset *codes = fr_codes_of(t);
    uint32_t from = piece * b->look_rows, to = FR_MIN(from + b->look_rows, b->count), places[FR_PIECE_ROWS], count = 0, columns = 0;
    if (codes->kind == FR_CODE_NONE || codes->kind == FR_CODE_BIT) return;
    fr_block_room *room = fr_bulk_room_take(t, b, codes->padded);
    if (room == NULL) return; /* the candidates of before will do */
    uint32_t max = room->capacity;
    fr_visited_clear(s);
    for (uint32_t i = from; i < to; i++)
        if (take(t, s, room, &columns, b->members[b->order[i]])) places[count++] = b->order[i];
    for (uint32_t at = 0, step = 0; step < 2 && columns < max; step++) {
        uint32_t end = columns;
        for (; at < end && columns < max; at++) {
            uint32_t rows[FR_LANES_MAX];
            send_for(t, b, room->rows, at, end);
            uint32_t n = near_of(t, b, room->rows[at], step == 0 ? NEAR_FIRST : NEAR_SECOND, rows);
            for (uint32_t j = 0; j < n; j++) __builtin_prefetch(fr_row_at(t, rows[j]));
            for (uint32_t j = 0; j < n && columns < max; j++) take(t, s, room, &columns, rows[j]);
        }
    }
    fr_visited_clear(s);
    fr_bulk_meet(t, b, codes, room, columns, places, count, FR_NEAR_MAX);
    fr_bulk_room_return(t, b, room);
}
