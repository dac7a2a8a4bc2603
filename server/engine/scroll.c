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

static uint64_t count_keys(const fr_collection *c, const fr_filter *filter, const fr_span *keys, uint32_t key_count,
                           uint64_t visible)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < key_count; i++) { /* each once: fr_filter_keys */
        const fr_table *table = fr_shard_table(
            &c->shards[c->shard_count == 1 ? 0 : fr_murmur2(keys[i].data, keys[i].size) % c->shard_count]);
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
        uint64_t visible = fr_query_enter(s, c);
        const fr_span *keys;
        uint32_t key_count = fr_filter_keys(filter, &keys);
        if (key_count != 0) {
            state.count = count_keys(c, filter, keys, key_count, visible);
        } else {
            for (uint32_t i = 0; i < c->shard_count; i++) {
                const fr_table *table = fr_shard_table(&c->shards[i]);
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

/* ==== scroll: the `limit` smallest keys behind `after`, in a heap with the largest on top ==== */

typedef struct scroll_item {
    fr_span key; /* inside the table, valid until leave */
    uint32_t row, shard;
} scroll_item;

typedef int (*key_order)(fr_span a, fr_span b);

/* Canonical decimals as numbers. */
static int compare_numbers(fr_span a, fr_span b)
{
    bool minus_a = a.size != 0 && *(const char *)a.data == '-', minus_b = b.size != 0 && *(const char *)b.data == '-';
    if (minus_a != minus_b) return minus_a ? -1 : 1;
    int order = a.size != b.size ? (a.size > b.size ? 1 : -1) : fr_span_compare(a, b);
    return minus_a ? -order : order;
}

typedef struct scroll_state {
    const fr_filter *filter;
    key_order order;
    fr_span after;
    scroll_item *heap;
    uint32_t count, limit, shard;
} scroll_state;

static void sift_down(key_order order, scroll_item *heap, uint32_t at, uint32_t count)
{
    scroll_item item = heap[at];
    for (uint32_t child; (child = at * 2 + 1) < count; at = child) {
        if (child + 1 < count && order(heap[child + 1].key, heap[child].key) > 0) child++;
        if (order(heap[child].key, item.key) <= 0) break;
        heap[at] = heap[child];
    }
    heap[at] = item;
}

static void sift_up(key_order order, scroll_item *heap, uint32_t at)
{
    scroll_item item = heap[at];
    for (; at > 0 && order(heap[(at - 1) / 2].key, item.key) < 0; at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = item;
}

static bool scroll_row(void *user, uint32_t row, const fr_row_view *view)
{
    scroll_state *state = user;
    if (state->after.size != 0 && state->order(view->key, state->after) <= 0) return true;
    bool full = state->count == state->limit;
    if (full && state->order(view->key, state->heap[0].key) >= 0) return true;
    if (!matches(state->filter, view)) return true;
    scroll_item item = {view->key, row, state->shard};
    if (full) {
        state->heap[0] = item;
        sift_down(state->order, state->heap, 0, state->count);
    } else {
        state->heap[state->count++] = item;
        sift_up(state->order, state->heap, state->count - 1);
    }
    return true;
}

/* The filter names the keys: they are looked up. */
static void scroll_keys(const fr_collection *c, const fr_span *keys, uint32_t key_count, uint64_t visible, scroll_state *state)
{
    for (uint32_t i = 0; i < key_count; i++) {
        state->shard = c->shard_count == 1 ? 0 : fr_murmur2(keys[i].data, keys[i].size) % c->shard_count;
        const fr_table *table = fr_shard_table(&c->shards[state->shard]);
        uint32_t row = table != NULL ? fr_table_find(table, keys[i], visible) : FR_ROW_NONE;
        if (row == FR_ROW_NONE) continue;
        fr_row_view view;
        fr_table_row(table, row, &view);
        scroll_row(state, row, &view);
    }
}

static fr_code copy_page(fr_searcher *s, const fr_collection *c, scroll_state *state, bool with_vector, fr_hit *hits,
                         fr_err *err)
{
    for (uint32_t left = state->count; left > 1;) { /* heap sort: smallest first */
        scroll_item top = state->heap[0];
        state->heap[0] = state->heap[--left];
        state->heap[left] = top;
        sift_down(state->order, state->heap, 0, left);
    }
    for (uint32_t i = 0; i < state->count; i++) {
        const scroll_item *item = &state->heap[i];
        if (fr_query_copy(s, c, fr_shard_table(&c->shards[item->shard]), item->shard, item->row, true, with_vector,
                          &hits[i]) != FR_OK)
            return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for the answer");
    }
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
        scroll_state state = {.filter = filter, .limit = limit, .after = after};
        state.order = fr_schema_of(c)->def.id_type == FR_ID_INT64 ? compare_numbers : fr_span_compare;
        state.heap = fr_alloc(FR_MEM_SEARCH, limit * sizeof *state.heap);
        if (state.heap == NULL) code = fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory");
        uint64_t visible = fr_query_enter(s, c);
        const fr_span *keys;
        uint32_t key_count = fr_filter_keys(filter, &keys);
        if (state.heap != NULL && key_count != 0) scroll_keys(c, keys, key_count, visible, &state);
        for (; state.heap != NULL && key_count == 0 && state.shard < c->shard_count; state.shard++) {
            const fr_table *table = fr_shard_table(&c->shards[state.shard]);
            uint32_t row = 0;
            if (table != NULL) (void)!fr_table_scan(table, &row, UINT32_MAX, visible, scroll_row, &state);
        }
        if (code == FR_OK) code = copy_page(s, c, &state, wanted != NULL && wanted->vector, hits, err);
        fr_query_leave(s);
        if (code == FR_OK) *hit_count = state.count;
        fr_free(FR_MEM_SEARCH, state.heap);
    }
    fr_filter_free(filter);
    fr_query_end(s);
    return code;
}
