/* bulk_graph.c: the second look at who is near whom. Rows that lead to each other are taken together, and what one or two links
 * lead to from any of them is compared with all of them, by blocks: the neighbourhoods overlap, so that a block of codes serves
 * 64 rows, where 64 walks would read most of it 64 times. */
#include "index/bulk.h"

#define AROUND_ROWS  4096u
#define AROUND_BYTES (2u << 20)

/* From a row not yet taken the links are followed until a piece is full. */
static uint32_t fill_piece(const fr_table *t, fr_bulk *b, uint32_t *out, uint32_t begin, uint32_t n, uint32_t seed)
{
    uint32_t head = n;
    out[n++] = seed;
    while (head < n && n - begin < FR_PIECE_ROWS) {
        uint32_t ids[FR_LANES_MAX], count = fr_level0_lanes(t, b->members[out[head++]], ids);
        for (uint32_t i = 0; i < count && n - begin < FR_PIECE_ROWS; i++) {
            uint32_t place = ids[i] < b->row_limit ? atomic_load_explicit(&b->back_head[ids[i]], memory_order_relaxed) : 0;
            if (place == 0) continue;
            atomic_store_explicit(&b->back_head[ids[i]], 0, memory_order_relaxed);
            out[n++] = place - 1;
        }
    }
    return n;
}

/* No chains of links back hang from back_head now: it says meanwhile at which place a row waits to be taken. */
void fr_bulk_order(fr_table *t, fr_bulk *b)
{
    uint32_t n = 0, *out = b->group;
    for (uint32_t i = 0; i < b->count; i++)
        if (atomic_load_explicit(&fr_row_at(t, b->members[i])->linked, memory_order_acquire) == FR_LINKED)
            atomic_store_explicit(&b->back_head[b->members[i]], i + 1, memory_order_relaxed);
    for (uint32_t i = 0, begin = 0; i < b->member_count; i++) {
        uint32_t place = b->order[i], row = b->members[place];
        if (place >= b->count || atomic_load_explicit(&b->back_head[row], memory_order_relaxed) == 0) continue;
        atomic_store_explicit(&b->back_head[row], 0, memory_order_relaxed);
        n = fill_piece(t, b, out, begin, n, place);
        if (n - begin == FR_PIECE_ROWS) begin = n;
    }
    memcpy(b->order, out, n * sizeof *out);
    b->refined = n;
}

static void take(const fr_table *t, fr_scratch *s, const fr_codeset *codes, fr_block_room *room, uint32_t *columns, uint32_t row)
{
    if (row >= s->row_limit || !fr_visit(s, row) || !fr_row_alive(fr_row_at(t, row))) return;
    fr_bulk_take(room, codes, (*columns)++, row);
}

uint64_t fr_bulk_around(fr_table *t, fr_scratch *s, fr_bulk *b, const fr_codeset *codes, const uint32_t *places, uint32_t count)
{
    uint32_t max = FR_MIN(AROUND_ROWS, FR_MAX(512u, AROUND_BYTES / codes->padded / 32 * 32)), columns = 0;
    fr_block_room room;
    if (!fr_block_room_make(&room, max, codes->padded, true)) return 0; /* the links of before will do */
    fr_visited_clear(s);
    for (uint32_t i = 0; i < count; i++) take(t, s, codes, &room, &columns, b->members[places[i]]);
    for (uint32_t from = 0, step = 0; step < 2 && columns < max; step++) {
        uint32_t to = columns;
        for (uint32_t i = from; i < to && columns < max; i++) {
            uint32_t ids[FR_LANES_MAX], n = fr_level0_lanes(t, room.rows[i], ids);
            if (i + 4 < to) fr_links_prefetch(t, room.rows[i + 4]);
            for (uint32_t j = 0; j < n; j++) __builtin_prefetch(fr_row_at(t, ids[j]));
            for (uint32_t j = 0; j < n && columns < max; j++) take(t, s, codes, &room, &columns, ids[j]);
        }
        from = to;
    }
    fr_visited_clear(s);
    uint64_t changed = fr_bulk_meet(t, b, codes, &room, columns, places, count, FR_NEAR_MAX);
    fr_block_room_free(&room);
    return changed;
}
