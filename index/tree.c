/* tree.c: why no row is ever lost. Every linked row but one (the root) has a parent: parent and child lead to each other, and
 * no prune drops such a link. Parents form a tree, so every row is reachable from every other, whatever the diversity rule does to
 * the rest: thousands of equal vectors, clusters far apart, hubs under inner product.
 *
 * New rows come in as leaves (their parent is the nearest neighbour chosen that has room), which cannot make a cycle. When a row dies
 * its children go to its nearest ancestor, or below it; that happens under one lock, so two such moves cannot cross. */
#include "index/table_private.h"

#define DESCENT_MAX 256u

static uint32_t children_max(const fr_table *t) { return t->lanes * 3 / 4; }

static uint32_t parent_of(const fr_table *t, uint32_t row) { return atomic_load_explicit(&fr_row_at(t, row)->parent, memory_order_acquire); }

/* Under the row's lock, or for a hint. */
static uint32_t children_of(const fr_table *t, uint32_t row, uint32_t *children)
{
    uint32_t ids[FR_LANES_MAX], count = fr_row_lanes(t, row, ids), n = 0;
    for (uint32_t i = 0; i < count; i++)
        if (parent_of(t, ids[i]) == row) children[n++] = ids[i];
    return n;
}

/* Only a row with many lanes has its children counted: each is a row to be read. */
static bool may_adopt(const fr_table *t, uint32_t parent)
{
    uint32_t children[FR_LANES_MAX];
    return fr_row_lanes(t, parent, children) < children_max(t) || children_of(t, parent, children) < children_max(t);
}

bool fr_tree_adopt(fr_table *t, fr_scratch *s, const fr_codeset *codes, uint32_t parent, uint32_t child)
{
    if (parent == child) return false;
    fr_spin_lock(fr_row_lock(t, parent));
    /* A dead row may still adopt until its burial begins, for that passes its children on. */
    uint8_t state = atomic_load_explicit(&fr_row_at(t, parent)->linked, memory_order_acquire);
    bool in_tree = state == FR_LINKED || (state == FR_UNLINKED && parent_of(t, parent) != FR_ROW_NONE) ||
                   (uint32_t)atomic_load_explicit(&t->root, memory_order_acquire) == parent + 1;
    bool fine = in_tree && state != FR_MENDING && state != FR_REPAIRED && may_adopt(t, parent);
    if (fine) {
        atomic_store_explicit(&fr_row_at(t, child)->parent, parent, memory_order_release);
        fr_add_lane(t, s, codes, parent, child);
    }
    fr_spin_unlock(fr_row_lock(t, parent));
    if (fine) fr_force_lane(t, child, parent);
    return fine;
}

void fr_tree_adopt_below(fr_table *t, fr_scratch *s, const fr_codeset *codes, uint32_t ancestor, uint32_t child)
{
    uint32_t children[FR_LANES_MAX], at = ancestor;
    for (uint32_t depth = 0; depth < DESCENT_MAX; depth++) {
        if (fr_tree_adopt(t, s, codes, at, child)) return;
        uint32_t count = children_of(t, at, children), next = FR_ROW_NONE;
        for (uint32_t i = 0; i < count && next == FR_ROW_NONE; i++) { /* spread over the subtrees */
            uint32_t pick = children[(i + (uint32_t)fr_mix64(child + depth)) % count];
            if (pick != child) next = pick;
        }
        at = next != FR_ROW_NONE ? next : parent_of(t, at);
        if (at == FR_ROW_NONE) break;
    }
}

/* The last resort of linking: the first row is the root; a row whose neighbours could not take it in goes below the root. */
void fr_tree_settle(fr_table *t, fr_scratch *s, const fr_codeset *codes, uint32_t row)
{
    if (parent_of(t, row) != FR_ROW_NONE) return;
    fr_spin_lock(&t->tree_lock);
    uint32_t root = atomic_load_explicit(&t->root, memory_order_acquire);
    if (root == 0) atomic_store_explicit(&t->root, row + 1, memory_order_release);
    else if (root != row + 1) fr_tree_adopt_below(t, s, codes, root - 1, row);
    fr_spin_unlock(&t->tree_lock);
}

/* The dead row's children get a living ancestor; a dead root makes one of its children the root. */
void fr_tree_bury(fr_table *t, fr_scratch *s, const fr_codeset *codes, uint32_t dead)
{
    uint32_t children[FR_LANES_MAX];
    fr_spin_lock(&t->tree_lock);
    fr_spin_lock(fr_row_lock(t, dead));
    atomic_store_explicit(&fr_row_at(t, dead)->linked, FR_MENDING, memory_order_release);
    uint32_t count = children_of(t, dead, children);
    fr_spin_unlock(fr_row_lock(t, dead));
    uint32_t ancestor = parent_of(t, dead), first = 0;
    if (ancestor == FR_ROW_NONE && (uint32_t)atomic_load_explicit(&t->root, memory_order_acquire) == dead + 1) {
        for (uint32_t i = 0; i < count; i++) /* a living child if there is one */
            if (fr_row_alive(fr_row_at(t, children[i]))) {
                uint32_t swap = children[0];
                children[0] = children[i], children[i] = swap;
                break;
            }
        if (count != 0) atomic_store_explicit(&fr_row_at(t, children[0])->parent, FR_ROW_NONE, memory_order_release);
        atomic_store_explicit(&t->root, count != 0 ? children[0] + 1 : 0, memory_order_release);
        ancestor = count != 0 ? children[0] : FR_ROW_NONE;
        first = 1;
    } else if (ancestor != FR_ROW_NONE) {
        fr_unlink_lane(t, ancestor, dead); /* makes room, and keeps the descent out of this branch */
    }
    atomic_store_explicit(&fr_row_at(t, dead)->parent, FR_ROW_NONE, memory_order_release);
    for (uint32_t i = first; i < count && ancestor != FR_ROW_NONE; i++) {
        fr_unlink_lane(t, children[i], dead);
        atomic_store_explicit(&fr_row_at(t, children[i])->parent, FR_ROW_NONE, memory_order_release);
        fr_tree_adopt_below(t, s, codes, ancestor, children[i]);
    }
    fr_spin_unlock(&t->tree_lock);
}
