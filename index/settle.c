/* settle.c: what a loaded table does behind its first searches: the key map, links without lanes that lead to rows that are not there,
 * the tree; then pages that lie over a file become memory of our own, a huge page at a time.
 *
 * Until all is done, writers (put, remove, link, maintain) come through a gate. Whoever comes first does the key map, links and tree;
 * pages change place while no writer is inside. Searchers come and go as ever: they see the same bytes before, during and after. */
#include "index/persist.h"

#include <sys/mman.h>

#define KEYS_AT_ONCE 32u

static bool bit(const uint64_t *bits, uint32_t row) { return bits[row >> 6] >> (row & 63) & 1; }
static uint32_t parent_of(const fr_table *t, uint32_t row) { return atomic_load_explicit(&fr_row_at(t, row)->parent, memory_order_relaxed); }

static void orphan(fr_table *t, uint32_t row)
{
    atomic_store_explicit(&fr_row_at(t, row)->parent, FR_ROW_NONE, memory_order_relaxed);
    fr_mark(t, FR_CHUNK_ROWS_OF, row);
}

/* ==== the key map ==== */

/* No correct snapshot holds two live rows of one key. The newer one is the key's; the older one ends with it. */
static void end_older(fr_table *t, uint32_t row, uint32_t other)
{
    bool newer = atomic_load(&fr_row_at(t, row)->made) > atomic_load(&fr_row_at(t, other)->made);
    uint32_t old = newer ? other : row, kept = newer ? row : other;
    fr_note(FR_NOTE_WARN, "index=load event=two_rows_of_one_key rows=%u,%u", row, other);
    fr_row_kill(t, old, atomic_load(&fr_row_at(t, kept)->made), 0);
}

/* Places are on their way before the first is looked at. */
static void fill_keys(fr_table *t, uint32_t rows)
{
    for (uint32_t first = 0; first < rows; first += KEYS_AT_ONCE) {
        uint32_t count = FR_MIN(KEYS_AT_ONCE, rows - first), n = 0, of[KEYS_AT_ONCE];
        fr_span keys[KEYS_AT_ONCE];
        for (uint32_t i = 0; i < count; i++) {
            fr_blob blob;
            if (!fr_row_alive(fr_row_at(t, first + i))) continue;
            fr_row_blob(t, first + i, &blob);
            keys[n] = blob.key;
            of[n++] = first + i;
            fr_keymap_prefetch(&t->keys, blob.key);
        }
        for (uint32_t i = 0; i < n; i++) {
            uint32_t other = fr_keymap_find(&t->keys, keys[i], fr_row_has_key, t);
            if (other != FR_KEYMAP_NONE) end_older(t, of[i], other);
            if (fr_row_alive(fr_row_at(t, of[i]))) fr_keymap_set(&t->keys, keys[i], of[i], fr_row_has_key, t);
        }
    }
}

/* ==== links ==== */

/* Lanes keep those that lead to linked rows, without a gap. Searchers may read beside: each lane is a row or empty. */
static void scrub_lanes(const uint64_t *linked, uint32_t rows, _Atomic uint32_t *lanes, uint32_t max)
{
    uint32_t kept = 0, seen = 0;
    for (; seen < max; seen++) {
        uint32_t id = atomic_load_explicit(&lanes[seen], memory_order_relaxed);
        if (id == 0) break;
        if (id - 1 >= rows || !bit(linked, id - 1)) continue;
        if (kept != seen) atomic_store_explicit(&lanes[kept], id, memory_order_relaxed);
        kept++;
    }
    for (uint32_t i = kept; i < max; i++)
        if (atomic_load_explicit(&lanes[i], memory_order_relaxed) != 0) atomic_store_explicit(&lanes[i], 0, memory_order_relaxed);
}

/* ==== the tree ==== */

/* A parent of the image holds if both are linked and lead to each other. */
static bool parent_holds(const fr_table *t, const uint64_t *linked, uint32_t row)
{
    uint32_t parent = parent_of(t, row);
    return parent < t->row_count && bit(linked, parent) && fr_leads_to(t, row, parent) && fr_leads_to(t, parent, row);
}

/* Climbs to a row that is known to hang on the root; what was climbed over is known then, too. FR_ROW_NONE: it is good; else the row
 * without a parent where the climb ended. A circle is cut at the row where the climb is found to be longer than the table. */
static uint32_t climb(fr_table *t, uint64_t *good, uint32_t row, uint32_t root)
{
    uint32_t at = row, last = row, steps = 0;
    while (at != root && !bit(good, at)) {
        last = at;
        at = parent_of(t, at);
        if (at == FR_ROW_NONE) break;
        if (steps++ <= t->row_count) continue;
        orphan(t, last); /* a circle: every row of it has a parent */
        at = FR_ROW_NONE;
        break;
    }
    if (at == FR_ROW_NONE) return last;
    for (uint32_t back = row; back != at; back = parent_of(t, back)) good[back >> 6] |= 1ull << (back & 63);
    return FR_ROW_NONE;
}

/* Parents that hold are kept, the root is the row above the entry point; whatever hangs elsewhere is hung below the root by its topmost row. */
static void mend_tree(fr_table *t, const uint64_t *linked, uint64_t *good)
{
    uint32_t rows = t->row_count, root = FR_ROW_NONE, hung = 0;
    for (uint32_t row = 0; row < rows; row++) {
        if (row + 16 < rows && parent_of(t, row + 16) < rows) fr_links_prefetch(t, parent_of(t, row + 16));
        if (parent_of(t, row) != FR_ROW_NONE && !(bit(linked, row) && parent_holds(t, linked, row))) orphan(t, row);
    }
    for (uint32_t at = t->entry, steps = 0; at != 0 && steps < rows; steps++) {
        root = at - 1;
        at = parent_of(t, root) + 1; /* FR_ROW_NONE + 1 = 0 */
    }
    if (root != FR_ROW_NONE && parent_of(t, root) != FR_ROW_NONE) orphan(t, root);
    atomic_store(&t->root, root + 1);
    fr_scratch *s = NULL;
    for (uint32_t row = 0; row < rows; row++) {
        if (!bit(linked, row) || row == root) continue;
        for (uint32_t top; (top = climb(t, good, row, root)) != FR_ROW_NONE;) {
            if (s == NULL) s = fr_scratch_borrow();
            if (s == NULL || !fr_scratch_fit(s, t, FR_MAX(t->ef_construction, 128u))) break;
            fr_epoch_enter(s->epoch_slot);
            fr_tree_settle(t, s, fr_codes_of(t), top);
            fr_epoch_leave(s->epoch_slot);
            hung++;
            if (parent_of(t, top) == FR_ROW_NONE) break;
        }
    }
    if (s != NULL) fr_scratch_return(s);
    if (hung != 0) fr_note(FR_NOTE_INFO, "index=load event=tree_mended rows=%u", hung);
}

static void settle_links(fr_table *t)
{
    struct fr_loaded *l = t->loaded;
    uint32_t rows = t->row_count;
    fill_keys(t, rows);
    for (uint32_t row = 0; row < rows; row++) {
        _Atomic uint32_t *lanes = fr_links_at(t, row);
        if (bit(l->linked, row)) {
            scrub_lanes(l->linked, rows, lanes, t->lanes);
            continue;
        }
        for (uint32_t i = 0; i < t->lanes; i++)
            if (atomic_load_explicit(&lanes[i], memory_order_relaxed) != 0) atomic_store_explicit(&lanes[i], 0, memory_order_relaxed);
    }
    mend_tree(t, l->linked, l->good);
    fr_free(FR_MEM_LINKS, l->linked);
    l->linked = l->good = NULL;
}

/* ==== the gate ==== */

void fr_settle_keys(const fr_table *table)
{
    fr_table *t = (fr_table *)(uintptr_t)table; /* the caches of a table that is only read otherwise */
    if (atomic_load_explicit(&t->keyed, memory_order_acquire)) return;
    pthread_rwlock_wrlock(&t->gate);
    if (!atomic_load_explicit(&t->keyed, memory_order_relaxed)) {
        settle_links(t);
        atomic_store_explicit(&t->keyed, true, memory_order_release);
    }
    pthread_rwlock_unlock(&t->gate);
}

void fr_gate_init(fr_table *t)
{
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP); /* a stream of writers must not starve settling */
    pthread_rwlock_init(&t->gate, &attributes);
    pthread_rwlockattr_destroy(&attributes);
}

bool fr_gate_enter(fr_table *t)
{
    if (!atomic_load_explicit(&t->settling, memory_order_acquire)) return false;
    fr_settle_keys(t);
    pthread_rwlock_rdlock(&t->gate);
    return true;
}

void fr_gate_leave(fr_table *t) { pthread_rwlock_unlock(&t->gate); }

/* Under the gate: the next piece that lies over a file. False: there is none. */
static bool own_piece(fr_table *t)
{
    struct fr_loaded *l = t->loaded;
    while (l->range_count != 0) {
        fr_load_range *r = &l->ranges[l->range_count - 1];
        if (l->range_done < r->size && (r->codes == NULL || r->codes == fr_codes_of(t))) {
            uint8_t *at = r->at + l->range_done, *page = at - ((uintptr_t)at & (FR_HUGE_PAGE - 1)); /* arrays begin on one */
            if (!fr_pages_own(page)) return false; /* without memory they stay where they are */
            l->range_done += (size_t)(page + FR_HUGE_PAGE - at);
            return true;
        }
        l->range_count--;
        l->range_done = 0;
    }
    return false;
}

/* Originals on disk because the owner said so: there may be less memory than codes need. They stay mapped, so that the kernel can take
 * their pages away and read them again. */
static bool stays_mapped(fr_table *t)
{
    if (t->options.vectors != FR_VECTORS_DISK) return false;
    for (uint32_t i = 0; i < t->loaded->range_count; i++) { /* a row is wanted, not what follows it */
        const fr_load_range *r = &t->loaded->ranges[i];
        size_t before = (uintptr_t)r->at & 4095;
        (void)madvise(r->at - before, r->size + before, MADV_RANDOM);
    }
    return true;
}

bool fr_table_settle_step(fr_table *t)
{
    if (!atomic_load_explicit(&t->settling, memory_order_acquire)) return false;
    if (!atomic_load_explicit(&t->keyed, memory_order_acquire)) {
        fr_settle_keys(t);
        return true;
    }
    pthread_rwlock_wrlock(&t->gate);
    bool more = atomic_load_explicit(&t->settling, memory_order_relaxed);
    if (more && (stays_mapped(t) || !own_piece(t))) {
        fr_loaded_free(t->loaded);
        t->loaded = NULL;
        atomic_store_explicit(&t->settling, false, memory_order_release);
        more = false;
    }
    pthread_rwlock_unlock(&t->gate);
    return more;
}
