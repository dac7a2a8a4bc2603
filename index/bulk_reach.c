/* bulk_reach.c: who of the linked rows is near the fresh rows of a bulk, found through the graph: beams in step. The rows of a piece, which
 * are near each other, walk the graph together: in each turn every row names the nearest of its candidates that nobody of the piece
 * has expanded yet, and whoever they lead to and the piece has not met is one block, compared with all rows of the piece. What one row
 * meets serves the others, and distances come by blocks; the linked rows need no groups, however many they are.
 * Where the beams begin: a few of the rows walk by themselves, a little. */
#include "index/bulk.h"

#define WALK_EACH 8u  /* one of so many rows of a piece walks first */
#define WALK_EF   16u
#define BEAM      12u /* candidates of a row that are expanded */
#define TURNS     12u
#define AHEAD     8u  /* rows whose lanes are on their way */
#define EXPANDED  4096u /* places of a table of rows, at most half full */

typedef struct reach {
    fr_table *t;
    fr_scratch *s;
    fr_bulk *b;
    fr_block_room *room;
    uint32_t places[FR_PIECE_ROWS], count; /* the piece's rows: the first columns of every block */
    bool some_dead;                        /* they are no candidates, but lead on */
    uint32_t next[EXPANDED / 2], next_count; /* rows to be expanded in the next turn */
    uint32_t expanded[EXPANDED], expanded_count; /* row + 1 */
} reach;

/* In the next turn, unless it was before. */
static void expand(reach *r, uint32_t row)
{
    uint32_t at = (uint32_t)fr_mix64(row) % EXPANDED;
    if (r->expanded_count >= EXPANDED / 2) return;
    while (r->expanded[at] != 0 && r->expanded[at] != row + 1) at = (at + 1) % EXPANDED;
    if (r->expanded[at] != 0) return;
    r->expanded[at] = row + 1;
    r->expanded_count++;
    r->next[r->next_count++] = row;
}

/* A column of the next block. A lane leads to no free slot, and the code of one that is left meanwhile is not written in this epoch. */
static void meet_row(reach *r, uint32_t row)
{
    fr_block_room *room = r->room;
    if (room->columns == room->capacity || row >= r->s->row_limit || !fr_visit(r->s, row)) return;
    if (r->some_dead && !fr_row_alive(fr_row_at(r->t, row))) expand(r, row);
    else room->rows[room->columns++] = row;
}

static uint32_t walk(reach *r, uint32_t row, uint32_t *rows)
{
    fr_scratch *s = r->s;
    fr_space space;
    uint64_t hops = 0, seen = 0;
    fr_space_of_row(&space, r->t, r->room->codeset, row, s->q, s->vector, s->rotated);
    fr_visited_clear(s);
    fr_visit(s, row);
    uint32_t size = fr_walk_start(r->t, s, &space, WALK_EF, &seen);
    size = fr_walk_whole(r->t, s, &space, size, WALK_EF, false, &hops, &seen);
    for (uint32_t i = 0; i < size; i++) rows[i] = s->pool[i].row;
    return size;
}

static void begin_piece(reach *r, uint32_t from, uint32_t to)
{
    uint32_t starts[FR_PIECE_ROWS / WALK_EACH * WALK_EF], n = 0;
    for (uint32_t i = from; i < to; i++) {
        uint32_t place = r->b->order[i], row = r->b->members[place];
        if (!fr_row_alive(fr_row_at(r->t, row))) continue;
        if (r->count % WALK_EACH == 0) n += walk(r, row, starts + n);
        r->places[r->count++] = place;
    }
    fr_visited_clear(r->s);
    for (uint32_t i = 0; i < r->count; i++) {
        uint32_t row = r->b->members[r->places[i]];
        fr_visit(r->s, row);
        r->room->rows[r->room->columns++] = row;
    }
    for (uint32_t i = 0; i < n; i++) meet_row(r, starts[i]);
}

/* Of each row of the piece the nearest. */
static void choose_next(reach *r)
{
    for (uint32_t i = 0; i < r->count; i++) {
        uint32_t near[BEAM], count = fr_bulk_candidates(r->b, r->places[i], FR_NEAREST, BEAM, near);
        for (uint32_t j = 0; j < count; j++)
            if (near[j] < r->s->row_limit) expand(r, near[j]);
    }
}

/* What `leads` reads of a row. */
static void send_for(const reach *r, uint32_t row)
{
    if (row < r->b->row_limit) __builtin_prefetch(&r->b->back_head[row]);
    fr_links_prefetch(r->t, row);
}

/* Of a fresh row its candidates, of a linked one where it leads to. */
static uint32_t leads(const reach *r, uint32_t row, uint32_t *rows)
{
    uint32_t place = fr_bulk_place(r->b, row);
    return place != 0 ? fr_bulk_candidates(r->b, place - 1, FR_SPREAD, BEAM, rows) : fr_row_lanes(r->t, row, rows);
}

void fr_bulk_reach(fr_table *t, fr_scratch *s, fr_bulk *b, uint32_t piece)
{
    uint32_t from = piece * b->look_rows, to = FR_MIN(from + b->look_rows, b->count), ids[FR_LANES_MAX], next[EXPANDED / 2];
    const fr_codeset *codes = fr_codes_of(t);
    fr_block_room *room = fr_codeset_dots(codes) ? fr_bulk_room_take(t, b, codes) : NULL;
    if (room == NULL) return; /* the candidates of before will do, or a walk of the row's own */
    reach r = {.t = t, .s = s, .b = b, .room = room, .some_dead = atomic_load_explicit(&t->live, memory_order_relaxed) != s->row_limit};
    begin_piece(&r, from, to);
    for (uint32_t turn = 0; turn < TURNS && (room->columns > r.count || r.next_count != 0); turn++) {
        if (room->columns > r.count) fr_bulk_meet(b, room, r.places, r.count, FR_NEAR_MAX);
        room->columns = r.count;
        choose_next(&r);
        uint32_t n = r.next_count;
        memcpy(next, r.next, n * sizeof *next);
        r.next_count = 0;
        for (uint32_t i = 0; i < FR_MIN(AHEAD, n); i++) send_for(&r, next[i]);
        for (uint32_t i = 0; i < n; i++) {
            if (i + AHEAD < n) send_for(&r, next[i + AHEAD]);
            uint32_t count = leads(&r, next[i], ids);
            for (uint32_t j = 0; j < count && r.some_dead; j++) __builtin_prefetch(fr_row_at(t, ids[j]));
            for (uint32_t j = 0; j < count; j++) meet_row(&r, ids[j]);
        }
    }
    fr_visited_clear(s);
    fr_bulk_room_return(t, b, room);
}
