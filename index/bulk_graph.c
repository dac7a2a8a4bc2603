/* bulk_graph.c: the second look at who is near whom. Rows near each other are taken together, and who is near those that are near any
 * of them is compared with all of them, by blocks: the neighbourhoods overlap, so that a block of codes serves 64 rows,
 * where 64 walks would read most of it 64 times. It is done before links are chosen, so that they are chosen once. */
#include "index/bulk.h"

#define NEAR_FIRST   24u /* of each row of the piece */
#define TAKEN        FR_PLACE_TAKEN

/* From a row not yet taken its neighbours are followed until a piece is full. */
static uint32_t fill_piece(fr_bulk *b, uint32_t *out, uint32_t begin, uint32_t n, uint32_t seed)
{
    uint32_t head = n;
    out[n++] = seed;
    while (head < n && n - begin < b->look_rows) {
        const uint32_t *rows = b->around + (size_t)out[head++] * FR_AROUND;
        for (uint32_t i = 0; i < FR_AROUND && rows[i] < b->row_limit; i++) __builtin_prefetch((const void *)&b->back_head[rows[i]]);
        for (uint32_t i = 0; i < FR_AROUND && rows[i] < b->row_limit && n - begin < b->look_rows; i++) {
            uint32_t place = atomic_load_explicit(&b->back_head[rows[i]], memory_order_relaxed);
            if (place == 0 || place & TAKEN) continue;
            atomic_store_explicit(&b->back_head[rows[i]], place | TAKEN, memory_order_relaxed);
            out[n++] = place - 1;
            __builtin_prefetch(b->around + (size_t)(place - 1) * FR_AROUND);
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
    for (uint32_t i = 0; i < b->count; i++) {
        uint32_t *rows = b->around + (size_t)i * FR_AROUND, held = fr_bulk_candidates(b, i, FR_SPREAD, FR_AROUND, rows);
        for (; held < FR_AROUND; held++) rows[held] = FR_ROW_NONE;
        atomic_store_explicit(&b->back_head[b->members[i]], i + 1, memory_order_relaxed);
    }
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

/* Who is near a row: of a fresh one its candidates, of a linked one where it leads to. */
static const uint32_t *near_of(const fr_table *t, const fr_bulk *b, uint32_t row, uint32_t *lanes, uint32_t *count_out)
{
    uint32_t place = fr_bulk_place(b, row);
    *count_out = place != 0 ? FR_AROUND : fr_row_lanes(t, row, lanes);
    return place != 0 ? b->around + (size_t)(place - 1) * FR_AROUND : lanes;
}

/* What near_of will read of the rows behind this one: whose they are, then their candidates or lanes. */
static void send_for(const fr_table *t, const fr_bulk *b, const uint32_t *rows, uint32_t at, uint32_t end)
{
    if (at + 16 < end && rows[at + 16] < b->row_limit) __builtin_prefetch((const void *)&b->back_head[rows[at + 16]]);
    if (at + 8 >= end) return;
    uint32_t place = fr_bulk_place(b, rows[at + 8]);
    if (place != 0) __builtin_prefetch(b->around + (size_t)(place - 1) * FR_AROUND);
    else fr_links_prefetch(t, rows[at + 8]);
}

/* Those that were not met before; their lives are on the way. */
static void take(const fr_table *t, fr_scratch *s, fr_block_room *room, const uint32_t *rows, uint32_t count)
{
    for (uint32_t i = 0; i < count && room->columns < room->capacity; i++) {
        if (rows[i] >= s->row_limit || !fr_visit(s, rows[i])) continue;
        __builtin_prefetch(fr_row_at(t, rows[i]));
        room->rows[room->columns++] = rows[i];
    }
}

/* Of the columns from this one on. */
static void keep_alive(const fr_table *t, fr_block_room *room, uint32_t from)
{
    uint32_t kept = from;
    for (uint32_t i = from; i < room->columns; i++) {
        uint32_t row = room->rows[i];
        room->rows[kept] = row;
        kept += fr_row_alive(fr_row_at(t, row));
    }
    room->columns = kept;
}

void fr_bulk_around(fr_table *t, fr_scratch *s, fr_bulk *b, uint32_t piece)
{
    const fr_codeset *codes = fr_codes_of(t);
    uint32_t from = piece * b->look_rows, to = FR_MIN(from + b->look_rows, b->count), places[FR_PIECE_ROWS], count = 0;
    fr_block_room *room = fr_codeset_dots(codes) ? fr_bulk_room_take(t, b, codes) : NULL;
    if (room == NULL) return; /* the candidates of before will do */
    fr_visited_clear(s);
    for (uint32_t i = from; i < to; i++) {
        uint32_t row = b->members[b->order[i]];
        if (b->near_count[b->order[i]] & FR_NEAR_ROWS || !fr_row_alive(fr_row_at(t, row)) || !fr_visit(s, row)) continue;
        room->rows[count] = row;
        places[count++] = b->order[i];
        fr_near_touch(b, b->order[i]);
    }
    uint32_t rows[FR_LANES_MAX], n, end;
    room->columns = count;
    for (uint32_t i = 0; i < count; i++) take(t, s, room, rows, fr_bulk_candidates(b, places[i], FR_SPREAD, NEAR_FIRST, rows));
    keep_alive(t, room, count);
    end = room->columns;
    for (uint32_t at = count; at < end && room->columns < room->capacity; at++) {
        send_for(t, b, room->rows, at, end);
        const uint32_t *next = near_of(t, b, room->rows[at], rows, &n);
        take(t, s, room, next, n);
    }
    keep_alive(t, room, end);
    fr_visited_clear(s);
    fr_bulk_meet(b, room, places, count, FR_WIDE_MAX);
    fr_bulk_room_return(t, b, room);
}
