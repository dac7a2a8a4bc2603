/* check.c: the invariants of index/README.md, for a table that nobody else touches. */
#include "index/table_private.h"

static fr_code broken(fr_err *err, int number, uint32_t row, const char *what)
{
    return fr_fail(err, FR_ERR_INTERNAL, NULL, "invariant %d broken at row %u: %s", number, row, what);
}

static fr_code check_lanes(const fr_table *t, uint32_t row, fr_err *err)
{
    uint32_t ids[FR_LANES_MAX], count = fr_row_lanes(t, row, ids);
    for (uint32_t i = 0; i < count; i++) {
        if (ids[i] >= t->row_count) return broken(err, 1, row, "a lane leads to no row");
        if (ids[i] == row) return broken(err, 2, row, "a lane leads to the row itself");
        if (atomic_load(&fr_row_at(t, ids[i])->birth) == FR_NEVER) return broken(err, 3, row, "a lane leads to a free slot");
        for (uint32_t j = 0; j < i; j++)
            if (ids[i] == ids[j]) return broken(err, 5, row, "a lane stands twice");
    }
    return FR_OK;
}

static fr_code check_parent(const fr_table *t, uint32_t row, fr_err *err)
{
    uint32_t parent = atomic_load(&fr_row_at(t, row)->parent);
    if (parent == FR_ROW_NONE) return t->root == row + 1 ? FR_OK : broken(err, 10, row, "no parent, and not the root");
    if (parent >= t->row_count || atomic_load(&fr_row_at(t, parent)->linked) != FR_LINKED) return broken(err, 10, row, "its parent is not linked");
    if (!fr_leads_to(t, row, parent) || !fr_leads_to(t, parent, row)) return broken(err, 10, row, "parent and child do not lead to each other");
    return FR_OK;
}

fr_code fr_table_check(const fr_table *t, fr_err *err)
{
    uint64_t live = 0, fresh = 0, bare = 0;
    fr_settle_keys(t);
    for (uint32_t row = 0; row < t->row_count; row++) {
        const fr_row *r = fr_row_at(t, row);
        if (atomic_load(&r->birth) == FR_NEVER) continue;
        if (!fr_row_alive(r)) { /* walks still come by until it is swept */
            uint32_t ids[FR_LANES_MAX], count = fr_row_lanes(t, row, ids);
            for (uint32_t i = 0; i < count; i++)
                if (atomic_load(&fr_row_at(t, ids[i])->birth) == FR_NEVER) return broken(err, 3, row, "a lane of a dead row leads to a free slot");
            continue;
        }
        live++;
        fr_blob blob;
        fr_row_blob(t, row, &blob);
        if (fr_table_find(t, blob.key, FR_VISIBLE_ALL) != row) return broken(err, 6, row, "its key leads elsewhere");
        if (fr_row_bare(r)) {
            uint32_t ids[FR_LANES_MAX];
            if (fr_row_lanes(t, row, ids) != 0) return broken(err, 11, row, "a row without a vector has links");
            bare++;
            continue;
        }
        if (atomic_load(&r->linked) != FR_LINKED) {
            fresh++;
            continue;
        }
        FR_TRY(check_lanes(t, row, err));
        FR_TRY(check_parent(t, row, err));
    }
    if (live != t->live || bare != t->bare) return broken(err, 7, 0, "the live count is wrong");
    uint32_t entry = t->entry;
    bool holds = entry != 0 && atomic_load(&fr_row_at(t, entry - 1)->linked) == FR_LINKED;
    if (live > fresh + bare && !holds) return broken(err, 8, 0, "no linked entry point");
    if (fr_table_is_sparse(&t->options)) FR_TRY(fr_postings_verify(t, err));
    uint64_t waiting = t->ring_tail - t->ring_low;
    if (waiting < fresh) return broken(err, 9, 0, "an unlinked row is not in the fresh ring");
    return FR_OK;
}

uint64_t fr_table_unreachable(const fr_table *t)
{
    uint32_t rows = t->row_count, ids[FR_LANES_MAX], head = 0, tail = 0;
    fr_settle_keys(t);
    if (rows == 0 || t->entry == 0) return 0;
    uint32_t *queue = fr_alloc(FR_MEM_TEST, rows * sizeof *queue);
    uint8_t *seen = fr_zalloc(FR_MEM_TEST, rows);
    if (queue == NULL || seen == NULL) {
        fr_free(FR_MEM_TEST, queue);
        fr_free(FR_MEM_TEST, seen);
        return UINT64_MAX;
    }
    queue[tail++] = t->entry - 1;
    seen[queue[0]] = 1;
    while (head < tail) {
        uint32_t row = queue[head++];
        uint32_t count = fr_row_lanes(t, row, ids);
        for (uint32_t i = 0; i < count; i++)
            if (!seen[ids[i]]) seen[ids[i]] = 1, queue[tail++] = ids[i];
    }
    uint64_t lost = 0;
    for (uint32_t row = 0; row < rows; row++)
        lost += !seen[row] && fr_row_alive(fr_row_at(t, row)) && atomic_load(&fr_row_at(t, row)->linked) == FR_LINKED &&
                atomic_load(&fr_row_at(t, row)->birth) != FR_NEVER;
    fr_free(FR_MEM_TEST, queue);
    fr_free(FR_MEM_TEST, seen);
    return lost;
}
