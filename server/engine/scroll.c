/* scroll.c: counting and walking through a collection.
 * A scan stays inside one epoch from its first row to its last, and so sees one moment of the collection: "each entity
 * that stays exactly once" cannot be had otherwise, because an entity that is replaced meanwhile moves to another slot.
 * What was freed during a scan is reused after it: a scan of a million rows takes some tens of milliseconds.
 * Delete-by-filter, behind its barrier, re-enters. */
#include "server/engine/query.h"

/* ==== count ==== */

typedef struct counting {
    const fr_filter *filter;
    uint64_t count;
} counting;

static bool matches(const fr_filter *filter, const fr_row_view *view)
{
    fr_filter_row row = {.key = view->key, .key_is_int = view->key_is_int, .metadata = fr_doc_root(view->metadata)};
    return fr_filter_match(filter, &row);
}

static bool count_row(void *user, uint32_t row, const fr_row_view *view)
{
    (void)row;
    counting *state = user;
    if (matches(state->filter, view)) state->count++;
    return true;
}

static uint64_t count_keys(const fr_searcher *s, const fr_collection *c, const fr_filter *filter, const fr_span *keys, uint32_t key_count,
                           uint64_t visible)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < key_count; i++) { /* each once: fr_filter_keys */
        const fr_table *table = s->tables[c->shard_count == 1 ? 0 : fr_murmur2(keys[i].data, keys[i].size) % c->shard_count];
        uint32_t row = table != NULL ? fr_table_find(table, keys[i], visible) : FR_ROW_NONE;
        if (row == FR_ROW_NONE) continue;
        fr_row_view view;
        fr_table_row(table, row, &view);
        if (matches(filter, &view)) count++;
    }
    return count;
}

fr_code fr_count(fr_searcher *s, fr_id id, const fr_condition *condition, uint64_t *count_out, fr_err *err)
{
    fr_collection *c;
    fr_filter *filter = NULL;
    *count_out = 0;
    FR_TRY(fr_query_begin(s, id, &c, err));
    fr_code code = fr_query_filter(c, condition != NULL ? condition->filter : NULL, condition != NULL ? condition->params : (fr_span){NULL, 0}, &filter,
                                   err);
    if (code == FR_OK && filter == NULL) {
        *count_out = (uint64_t)FR_MAX(atomic_load_explicit(&c->count, memory_order_relaxed), 0);
    } else if (code == FR_OK) {
        counting state = {.filter = filter};
        uint64_t visible = fr_query_enter(s, c, 0);
        const fr_span *keys;
        uint32_t key_count = fr_filter_keys(filter, &keys);
        if (key_count != 0) {
            state.count = count_keys(s, c, filter, keys, key_count, visible);
        } else {
            for (uint32_t i = 0; i < c->shard_count; i++) {
                const fr_table *table = s->tables[i];
                uint32_t row = 0;
                if (table != NULL) (void)!fr_table_scan(table, &row, UINT32_MAX, visible, count_row, &state);
            }
        }
        fr_query_leave(s);
        *count_out = state.count;
    }
    fr_filter_free(filter);
    fr_query_end(s);
    return code;
}

/* ==== scroll: the smallest keys behind `after`, in a heap with the largest on top ==== */

typedef struct scroll_item {
    uint64_t rank; /* in the order of keys; where two are the same, texts are compared */
    fr_span key;   /* inside the table, valid until leave */
    uint32_t row, shard;
} scroll_item;

typedef struct scroll_state {
    const fr_filter *filter;
    bool numbers;
    bool bounded; /* only keys behind `after` */
    scroll_item after;
    scroll_item *heap;
    uint32_t count, room, shard;
} scroll_state;

/* A canonical decimal as its number, a text as its first eight bytes. */
static uint64_t rank_of(bool numbers, fr_span key)
{
    const uint8_t *bytes = key.data;
    uint64_t rank = 0;
    if (numbers) {
        bool minus = key.size != 0 && bytes[0] == '-';
        for (size_t i = minus; i < key.size; i++) rank = rank * 10 + (uint64_t)(bytes[i] - '0');
        return (minus ? 0 - rank : rank) ^ (1ull << 63);
    }
    for (size_t i = 0; i < 8; i++) rank = rank << 8 | (i < key.size ? bytes[i] : 0);
    return rank;
}

static int order(bool numbers, const scroll_item *a, const scroll_item *b)
{
    if (a->rank != b->rank) return a->rank < b->rank ? -1 : 1;
    return numbers ? 0 : fr_span_compare(a->key, b->key);
}

static void sift_down(bool numbers, scroll_item *heap, uint32_t at, uint32_t count)
{
    scroll_item item = heap[at];
    for (uint32_t child; (child = at * 2 + 1) < count; at = child) {
        if (child + 1 < count && order(numbers, &heap[child + 1], &heap[child]) > 0) child++;
        if (order(numbers, &heap[child], &item) <= 0) break;
        heap[at] = heap[child];
    }
    heap[at] = item;
}

static void sift_up(bool numbers, scroll_item *heap, uint32_t at)
{
    scroll_item item = heap[at];
    for (; at > 0 && order(numbers, &heap[(at - 1) / 2], &item) < 0; at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = item;
}

static bool scroll_row(void *user, uint32_t row, const fr_row_view *view)
{
    scroll_state *state = user;
    scroll_item item = {rank_of(state->numbers, view->key), view->key, row, state->shard};
    if (state->bounded && order(state->numbers, &item, &state->after) <= 0) return true;
    bool full = state->count == state->room;
    if (full && order(state->numbers, &item, &state->heap[0]) >= 0) return true;
    if (!matches(state->filter, view)) return true;
    if (full) {
        state->heap[0] = item;
        sift_down(state->numbers, state->heap, 0, state->count);
    } else {
        state->heap[state->count++] = item;
        sift_up(state->numbers, state->heap, state->count - 1);
    }
    return true;
}

static uint32_t shard_of(const fr_collection *c, fr_span key)
{
    return c->shard_count == 1 ? 0 : fr_murmur2(key.data, key.size) % c->shard_count;
}

/* The filter names the keys: they are looked up. */
static void scroll_keys(const fr_searcher *s, const fr_collection *c, const fr_span *keys, uint32_t key_count, uint64_t visible, scroll_state *state)
{
    for (uint32_t i = 0; i < key_count; i++) {
        state->shard = shard_of(c, keys[i]);
        const fr_table *table = s->tables[state->shard];
        uint32_t row = table != NULL ? fr_table_find(table, keys[i], visible) : FR_ROW_NONE;
        if (row == FR_ROW_NONE) continue;
        fr_row_view view;
        fr_table_row(table, row, &view);
        scroll_row(state, row, &view);
    }
}

static void scroll_tables(const fr_searcher *s, const fr_collection *c, uint64_t visible, scroll_state *state)
{
    for (state->shard = 0; state->shard < c->shard_count; state->shard++) {
        const fr_table *table = s->tables[state->shard];
        uint32_t row = 0;
        if (table != NULL) (void)!fr_table_scan(table, &row, UINT32_MAX, visible, scroll_row, state);
    }
}

static void heap_sort(scroll_state *state) /* smallest first */
{
    for (uint32_t left = state->count; left > 1;) {
        scroll_item top = state->heap[0];
        state->heap[0] = state->heap[--left];
        state->heap[left] = top;
        sift_down(state->numbers, state->heap, 0, left);
    }
}

/* ==== runs: a page that goes on looks at every row, too, but keeps what stands behind it for the next ones ==== */

#define RUN_KEYS_MAX 65536u
#define RUN_PAGES 64u                  /* a run is for so many pages at most */
#define RUN_CONDITION_BYTES_MAX 4096u  /* longer filters are not remembered */
#define RUN_UNSERVED_MAX 4u            /* after so many runs for nothing (the collection is being written) ... */
#define RUN_PAUSE 16u                  /* ... so many pages make none */

static void run_drop(fr_scroll_run *run)
{
    fr_free(FR_MEM_SEARCH, run->condition);
    fr_free(FR_MEM_SEARCH, run->keys);
    fr_free(FR_MEM_SEARCH, run->ends);
    uint32_t unserved = run->served != 0 || run->id == 0 ? run->unserved : run->unserved + 1;
    *run = (fr_scroll_run){.unserved = run->served != 0 ? 0 : unserved};
}

void fr_scroll_run_free(fr_scroll_run *run) { run_drop(run); }

static fr_span run_key(const fr_scroll_run *run, uint32_t i)
{
    uint32_t begin = i == 0 ? 0 : run->ends[i - 1];
    return fr_span_of(run->keys + begin, run->ends[i] - begin);
}

/* Filter, NUL, params; then the key that the run begins behind. */
static size_t condition_bytes(const fr_condition *condition, char *out)
{
    size_t size = 1, filter = condition != NULL && condition->filter != NULL ? strlen(condition->filter) : 0;
    size_t params = condition != NULL ? condition->params.size : 0;
    if (filter > RUN_CONDITION_BYTES_MAX || params > RUN_CONDITION_BYTES_MAX - filter) return SIZE_MAX;
    if (out != NULL) {
        if (filter != 0) memcpy(out, condition->filter, filter);
        out[filter] = 0;
        if (params != 0) memcpy(out + filter + 1, condition->params.data, params);
    }
    return size + filter + params;
}

static bool run_fits(const fr_searcher *s, const fr_collection *c, const fr_condition *condition, const scroll_state *state)
{
    const fr_scroll_run *run = &s->run;
    char bytes[RUN_CONDITION_BYTES_MAX + 1];
    if (run->id != c->id || run->schema_version != fr_schema_of(c)->version || !state->bounded) return false;
    for (uint32_t i = 0; i < c->shard_count; i++) {
        const fr_table *table = s->tables[i];
        if (run->serials[i] != (table != NULL ? fr_table_serial(table) : 0)) return false;
        if (table != NULL && fr_table_born(table) > run->visible) return false; /* read behind s->visible */
    }
    size_t size = condition_bytes(condition, NULL);
    if (size == SIZE_MAX || size != run->condition_size) return false;
    condition_bytes(condition, bytes);
    if (memcmp(bytes, run->condition, size) != 0) return false;
    scroll_item from = {.rank = rank_of(state->numbers, run->from), .key = run->from};
    return order(state->numbers, &state->after, &from) >= 0;
}

/* A page out of the run; false: it does not reach so far. What was born since would be missing: there is nothing such (run_fits). */
static bool run_page(fr_searcher *s, const fr_collection *c, uint64_t visible, uint32_t limit, scroll_state *state)
{
    fr_scroll_run *run = &s->run;
    uint32_t low = 0, high = run->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        fr_span key = run_key(run, middle);
        scroll_item item = {.rank = rank_of(state->numbers, key), .key = key};
        if (order(state->numbers, &item, &state->after) <= 0) low = middle + 1;
        else high = middle;
    }
    state->count = 0;
    for (; low < run->count && state->count < limit; low++) {
        fr_span key = run_key(run, low);
        uint32_t shard = shard_of(c, key), row = s->tables[shard] != NULL ? fr_table_find(s->tables[shard], key, visible) : FR_ROW_NONE;
        if (row != FR_ROW_NONE) state->heap[state->count++] = (scroll_item){.row = row, .shard = shard};
    }
    if (state->count < limit && !run->whole) return false;
    run->served++;
    return true;
}

/* What stands behind the page, for the next ones. Without memory there is no run. */
static void run_keep(fr_searcher *s, const fr_collection *c, const fr_condition *condition, uint64_t visible, const scroll_state *state)
{
    fr_scroll_run *run = &s->run;
    size_t condition_size = condition_bytes(condition, NULL), bytes = 0;
    for (uint32_t i = 0; i < state->count; i++) bytes += state->heap[i].key.size;
    run->condition = fr_alloc(FR_MEM_SEARCH, condition_size + state->after.key.size);
    run->keys = fr_alloc(FR_MEM_SEARCH, FR_MAX(bytes, (size_t)1));
    run->ends = fr_alloc(FR_MEM_SEARCH, FR_MAX(state->count, 1u) * sizeof *run->ends);
    if (run->condition == NULL || run->keys == NULL || run->ends == NULL) {
        run_drop(run);
        return;
    }
    condition_bytes(condition, run->condition);
    memcpy(run->condition + condition_size, state->after.key.data, state->after.key.size);
    run->from = fr_span_of(run->condition + condition_size, state->after.key.size);
    run->condition_size = condition_size;
    uint32_t end = 0;
    for (uint32_t i = 0; i < state->count; i++) {
        memcpy(run->keys + end, state->heap[i].key.data, state->heap[i].key.size);
        run->ends[i] = end += (uint32_t)state->heap[i].key.size; /* at most RUN_KEYS_MAX * FR_KEY_BYTES_MAX */
    }
    for (uint32_t i = 0; i < c->shard_count; i++) run->serials[i] = s->tables[i] != NULL ? fr_table_serial(s->tables[i]) : 0;
    run->id = c->id, run->schema_version = fr_schema_of(c)->version, run->visible = visible;
    run->count = state->count;
    run->whole = state->count < state->room;
}

/* How many keys to look for: the page alone, or a run. */
static uint32_t run_room(fr_scroll_run *run, const fr_condition *condition, bool bounded, uint32_t limit)
{
    if (!bounded || condition_bytes(condition, NULL) == SIZE_MAX) return limit;
    if (run->unserved >= RUN_UNSERVED_MAX) {
        if (++run->unserved <= RUN_UNSERVED_MAX + RUN_PAUSE) return limit;
        run->unserved = RUN_UNSERVED_MAX - 1; /* one more try */
    }
    return FR_MAX(FR_MIN(RUN_KEYS_MAX, limit * RUN_PAGES), limit);
}

static fr_code scroll_page(fr_searcher *s, const fr_collection *c, const fr_condition *condition, uint32_t limit, scroll_state *state, fr_err *err)
{
    uint64_t visible = fr_query_enter(s, c, 0);
    const fr_span *keys;
    uint32_t key_count = fr_filter_keys(state->filter, &keys);
    bool served = key_count == 0 && run_fits(s, c, condition, state);
    state->room = limit;
    state->heap = fr_alloc(FR_MEM_SEARCH, limit * sizeof *state->heap);
    if (served && state->heap != NULL) served = run_page(s, c, visible, limit, state);
    if (served || state->heap == NULL) return state->heap != NULL ? FR_OK : fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory");
    state->count = 0;
    if (key_count != 0) {
        scroll_keys(s, c, keys, key_count, visible, state);
        heap_sort(state);
        return FR_OK;
    }
    run_drop(&s->run);
    uint32_t room = run_room(&s->run, condition, state->bounded, limit);
    scroll_item *more = room > limit ? fr_alloc(FR_MEM_SEARCH, room * sizeof *more) : NULL;
    if (more != NULL) {
        fr_free(FR_MEM_SEARCH, state->heap);
        state->heap = more, state->room = room;
    }
    scroll_tables(s, c, visible, state);
    heap_sort(state);
    if (state->count > limit) run_keep(s, c, condition, visible, state);
    return FR_OK;
}

fr_code fr_scroll(fr_searcher *s, fr_id id, const fr_condition *condition, fr_span after, uint32_t limit,
                  const fr_wanted *wanted, fr_hit *hits, uint32_t *hit_count, fr_err *err)
{
    fr_collection *c;
    fr_filter *filter = NULL;
    *hit_count = 0;
    if (limit == 0 || limit > FR_K_MAX)
        return fr_fail(err, FR_ERR_INVALID, "limit", "limit must be 1 to %u, got %u", FR_K_MAX, limit);
    FR_TRY(fr_query_begin(s, id, &c, err));
    fr_code code = fr_query_filter(c, condition != NULL ? condition->filter : NULL, condition != NULL ? condition->params : (fr_span){NULL, 0}, &filter,
                                   err);
    if (code == FR_OK) {
        scroll_state state = {.filter = filter, .numbers = fr_schema_of(c)->def.id_type == FR_ID_INT64, .bounded = after.size != 0};
        state.after = (scroll_item){.rank = rank_of(state.numbers, after), .key = after};
        code = scroll_page(s, c, condition, limit, &state, err);
        uint32_t count = FR_MIN(state.count, limit);
        for (uint32_t i = 0; i < count && code == FR_OK; i++)
            if (fr_query_copy(s, c, state.heap[i].shard, state.heap[i].row, true, wanted, &hits[i]) != FR_OK)
                code = fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for the answer");
        fr_query_leave(s);
        if (code == FR_OK) *hit_count = count;
        fr_free(FR_MEM_SEARCH, state.heap);
    }
    fr_filter_free(filter);
    fr_query_end(s);
    return code;
}
