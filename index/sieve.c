/* sieve.c: see sieve.h. `not` is pushed down to the conditions, so that what is left is and, or over "is true": unknown and
 * false are the same then, and a row's verdict is a minimum or maximum of verdicts. */
#include "index/sieve.h"

#include "simd/simd.h"

void fr_sieve_free(fr_sieve *s)
{
    if (s == NULL) return;
    fr_free(FR_MEM_SEARCH, s->tables);
    fr_free(FR_MEM_SEARCH, s);
}

/* ==== one condition: the verdict of each code ==== */

static void paint(fr_sieve_leaf *leaf, uint8_t *table, uint32_t low, uint32_t high, fr_verdict verdict)
{
    if (low > high) return;
    if (table != NULL) {
        for (uint32_t c = low; c <= high; c++) table[c] = FR_MAX(table[c], (uint8_t)verdict);
        return;
    }
    fr_code_range *last = leaf->range_count != 0 ? &leaf->ranges[leaf->range_count - 1] : NULL;
    if (last != NULL && last->high + 1u == low && last->verdict == verdict) last->high = (uint16_t)high;
    else leaf->ranges[leaf->range_count++] = (fr_code_range){(uint16_t)low, (uint16_t)high, (uint8_t)verdict};
}

/* value `compare` constant, ranges ascending. True says the condition, false its negation (unknown in neither). */
static void paint_compare(fr_sieve_leaf *leaf, uint8_t *table, fr_compare compare, const fr_operand *value)
{
    const fr_column *c = leaf->column;
    bool point;
    uint32_t code = fr_column_code_of(c, value, &point), first, last;
    fr_verdict at = point ? FR_VERDICT_YES : FR_VERDICT_MAYBE;
    if (value->kind == FR_VALUE_BOOL) first = FR_CODE_FALSE, last = FR_CODE_TRUE;
    else if (value->kind == FR_VALUE_DOC) first = last = FR_CODE_NESTED;
    else if (value->kind == FR_VALUE_STRING) first = fr_column_strings(c), last = c->code_count - 1;
    else first = FR_CODE_VALUES, last = fr_column_strings(c) - 1;
    bool below = compare == FR_COMPARE_LESS || compare == FR_COMPARE_LESS_EQUAL || compare == FR_COMPARE_NOT_EQUAL;
    bool above = compare == FR_COMPARE_GREATER || compare == FR_COMPARE_GREATER_EQUAL || compare == FR_COMPARE_NOT_EQUAL;
    bool equal = compare == FR_COMPARE_EQUAL || compare == FR_COMPARE_LESS_EQUAL || compare == FR_COMPARE_GREATER_EQUAL;
    if (below && code > first) paint(leaf, table, first, code - 1, FR_VERDICT_YES);
    if (equal || !point) paint(leaf, table, code, code, at);
    if (above) paint(leaf, table, code + 1, last, FR_VERDICT_YES);
}

static fr_compare opposite(fr_compare compare)
{
    static const fr_compare of[] = {
        [FR_COMPARE_EQUAL] = FR_COMPARE_NOT_EQUAL,       [FR_COMPARE_NOT_EQUAL] = FR_COMPARE_EQUAL,
        [FR_COMPARE_LESS] = FR_COMPARE_GREATER_EQUAL,    [FR_COMPARE_LESS_EQUAL] = FR_COMPARE_GREATER,
        [FR_COMPARE_GREATER] = FR_COMPARE_LESS_EQUAL,    [FR_COMPARE_GREATER_EQUAL] = FR_COMPARE_LESS,
    };
    return of[compare];
}

static uint8_t *table_for(fr_sieve *s, uint32_t codes)
{
    if (s->tables_size - s->tables_used < codes) return NULL; /* grown after this query: fr_sieve_make */
    uint8_t *table = s->tables + s->tables_used;
    memset(table, 0, codes);
    s->tables_used += codes;
    return table;
}

/* Members of a list: painted into a table. */
static void paint_members(const fr_column *c, uint8_t *table, const fr_filter_set *set, bool negated)
{
    bool numbers = set->integer_count + set->float_count != 0, any = set->count == 0, point;
    if (negated) { /* all of the list's types, then its members taken out */
        if (numbers || any) memset(table + FR_CODE_VALUES, FR_VERDICT_YES, fr_column_strings(c) - FR_CODE_VALUES);
        if (set->string_count != 0 || any) memset(table + fr_column_strings(c), FR_VERDICT_YES, c->code_count - fr_column_strings(c));
        if (set->has_true || set->has_false || any) table[FR_CODE_TRUE] = table[FR_CODE_FALSE] = FR_VERDICT_YES;
    }
    if (set->list_count != 0 || (negated && any)) table[FR_CODE_NESTED] = FR_VERDICT_MAYBE;
    uint8_t member = negated ? FR_VERDICT_NO : FR_VERDICT_YES;
    if (set->has_true) table[FR_CODE_TRUE] = member;
    if (set->has_false) table[FR_CODE_FALSE] = member;
    uint32_t all = set->integer_count + set->float_count + set->string_count;
    for (uint32_t i = 0; i < all; i++) {
        fr_operand v = {.kind = FR_VALUE_STRING};
        uint32_t at = i;
        if (at < set->integer_count) v.kind = FR_VALUE_INT, v.integer = set->integers[at];
        else if ((at -= set->integer_count) < set->float_count) v.kind = FR_VALUE_FLOAT, v.number = set->floats[at];
        else v.string = set->strings[at - set->float_count];
        uint32_t code = fr_column_code_of(c, &v, &point);
        table[code] = point ? member : FR_VERDICT_MAYBE;
    }
}

/* What every text that a pattern matches begins with. */
static fr_span prefix_of(const fr_like *like)
{
    if (like->open_start || like->count == 0) return (fr_span){NULL, 0};
    fr_span whole = like->parts[0].bytes;
    const uint8_t *wild = like->parts[0].wild ? memchr(whole.data, 0xff, whole.size) : NULL;
    return (fr_span){whole.data, wild != NULL ? (size_t)(wild - (const uint8_t *)whole.data) : whole.size};
}

/* Can a string between two neighbours (NULL: there is none) begin so? */
static bool prefix_between(fr_span prefix, const fr_span *below, const fr_span *above)
{
    if (above != NULL && fr_span_compare(*above, prefix) <= 0) return false;
    return below == NULL || fr_span_compare((fr_span){below->data, FR_MIN(below->size, prefix.size)}, prefix) <= 0;
}

/* A pattern: the dictionary's strings are tried; of what lies between them only its prefix is known. */
static void paint_like(fr_sieve_leaf *leaf, uint8_t *table, const fr_like *like, bool negated)
{
    const fr_column *c = leaf->column;
    uint32_t first = fr_column_strings(c);
    fr_span prefix = prefix_of(like);
    for (uint32_t i = 0; i <= c->string_count; i++) {
        bool may = prefix_between(prefix, i != 0 ? &c->strings[i - 1] : NULL, i < c->string_count ? &c->strings[i] : NULL);
        table[first + 2 * i] = may ? FR_VERDICT_MAYBE : negated ? FR_VERDICT_YES : FR_VERDICT_NO;
        if (i < c->string_count) table[first + 2 * i + 1] = fr_filter_like_match(like, c->strings[i]) != negated ? FR_VERDICT_YES : FR_VERDICT_NO;
    }
}

/* A table with few ranges is dropped for them: they are tested faster, and found by wide compares. */
static void shorten(fr_sieve *s, fr_sieve_leaf *leaf, uint8_t *table)
{
    uint32_t codes = leaf->column->code_count;
    leaf->table = table;
    for (uint32_t low = 0, high; low < codes; low = high) {
        for (high = low + 1; high < codes && table[high] == table[low];) high++;
        if (table[low] == FR_VERDICT_NO) continue;
        if (leaf->range_count == FR_SIEVE_RANGES_MAX) {
            leaf->range_count = 0;
            return;
        }
        leaf->ranges[leaf->range_count++] = (fr_code_range){(uint16_t)low, (uint16_t)(high - 1), table[low]};
    }
    leaf->table = NULL;
    s->tables_used -= codes;
}

#define LIKE_STRINGS_MAX 512u /* a larger dictionary is not tried string by string */

/* False: the columns cannot say anything about this condition. */
static bool make_leaf(fr_sieve *s, fr_sieve_leaf *leaf, const fr_node *node, bool negated)
{
    const fr_column *c = leaf->column;
    uint8_t *table = NULL;
    leaf->table = NULL;
    leaf->range_count = 0;
    switch (node->kind) {
    case FR_NODE_COMPARE_PATH:
        paint_compare(leaf, NULL, negated ? opposite(node->compare) : node->compare, &node->value);
        return true;
    case FR_NODE_TRUTH: paint(leaf, NULL, negated ? FR_CODE_FALSE : FR_CODE_TRUE, negated ? FR_CODE_FALSE : FR_CODE_TRUE, FR_VERDICT_YES); return true;
    case FR_NODE_IS_NULL:
        if (!negated) paint(leaf, NULL, FR_CODE_MISSING, FR_CODE_MISSING, FR_VERDICT_YES);
        else paint(leaf, NULL, FR_CODE_MISSING + 1, c->code_count - 1, FR_VERDICT_YES);
        return true;
    case FR_NODE_CONTAINS_ANY:
    case FR_NODE_CONTAINS_ALL: paint(leaf, NULL, FR_CODE_NESTED, FR_CODE_NESTED, FR_VERDICT_MAYBE); return true;
    case FR_NODE_IN:
        if ((table = table_for(s, c->code_count)) == NULL) return false;
        paint_members(c, table, &node->set, negated);
        break;
    case FR_NODE_LIKE:
        if (c->string_count > LIKE_STRINGS_MAX) {
            paint(leaf, NULL, fr_column_strings(c), c->code_count - 1, FR_VERDICT_MAYBE);
            return true;
        }
        if ((table = table_for(s, c->code_count)) == NULL) return false;
        paint_like(leaf, table, &node->like, negated);
        break;
    default: return false;
    }
    shorten(s, leaf, table);
    return true;
}

static const fr_steps *field_of(const fr_node *node)
{
    switch (node->kind) {
    case FR_NODE_COMPARE_PATH:
    case FR_NODE_TRUTH: return &node->steps;
    case FR_NODE_IN:
    case FR_NODE_LIKE:
    case FR_NODE_IS_NULL:
    case FR_NODE_CONTAINS_ANY:
    case FR_NODE_CONTAINS_ALL: return node->left->kind == FR_NODE_PATH ? &node->left->steps : NULL;
    default: return NULL;
    }
}

/* ==== the tree ==== */

typedef struct builder {
    fr_sieve *sieve;
    fr_columns *columns;
    bool wish;
    size_t wanted; /* bytes of tables */
} builder;

static uint8_t add_node(fr_sieve *s, fr_sieve_node node)
{
    if (s->node_count == FR_SIEVE_NODES_MAX) return 0;
    s->nodes[s->node_count] = node;
    return (uint8_t)s->node_count++;
}

static uint8_t add_const(fr_sieve *s, fr_verdict verdict)
{
    return add_node(s, (fr_sieve_node){.kind = FR_SIEVE_CONST, .verdict = (uint8_t)verdict});
}

static uint8_t verdict_of(const fr_sieve_leaf *leaf, uint32_t code)
{
    for (uint32_t i = 0; i < leaf->range_count; i++)
        if (code <= leaf->ranges[i].high) return code >= leaf->ranges[i].low ? leaf->ranges[i].verdict : FR_VERDICT_NO;
    return FR_VERDICT_NO;
}

/* Two conditions on one field become one: `price >= 10 and price < 20` is one range, counted exactly. */
static bool melt(fr_sieve_leaf *into, const fr_sieve_leaf *other, bool all)
{
    if (into->column != other->column || into->table != NULL || other->table != NULL) return false;
    fr_sieve_leaf sum = {.column = into->column};
    for (uint32_t at = 0, end; at < into->column->code_count; at = end) { /* stretches in which neither changes */
        end = into->column->code_count;
        for (uint32_t i = 0; i < into->range_count + other->range_count; i++) {
            const fr_code_range *r = i < into->range_count ? &into->ranges[i] : &other->ranges[i - into->range_count];
            if (r->low > at) end = FR_MIN(end, r->low);
            if (r->high >= at) end = FR_MIN(end, r->high + 1u);
        }
        uint8_t a = verdict_of(into, at), b = verdict_of(other, at), both = all ? FR_MIN(a, b) : FR_MAX(a, b);
        if (both == FR_VERDICT_NO) continue;
        if (sum.range_count == FR_SIEVE_RANGES_MAX) return false;
        paint(&sum, NULL, at, end - 1, (fr_verdict)both);
    }
    *into = sum;
    return true;
}

static uint8_t build(builder *b, const fr_node *node, bool negated);

static uint8_t build_list(builder *b, const fr_node *node, bool negated)
{
    fr_sieve *s = b->sieve;
    bool all = (node->kind == FR_NODE_AND) != negated;
    uint8_t list = add_node(s, (fr_sieve_node){.kind = all ? FR_SIEVE_AND : FR_SIEVE_OR});
    if (list == 0) return 0;
    for (const fr_node *term = node->left; term != NULL; term = term->next) {
        uint8_t one = build(b, term, negated);
        if (one == 0) return 0;
        bool melted = false;
        for (uint8_t at = s->nodes[list].first; at != 0 && !melted && s->nodes[one].kind == FR_SIEVE_LEAF; at = s->nodes[at].next)
            melted = s->nodes[at].kind == FR_SIEVE_LEAF && melt(&s->leaves[s->nodes[at].leaf], &s->leaves[s->nodes[one].leaf], all);
        if (melted) { /* both stood last */
            s->node_count--;
            s->leaf_count--;
            continue;
        }
        s->nodes[one].next = s->nodes[list].first;
        s->nodes[list].first = one;
    }
    if (s->nodes[s->nodes[list].first].next == 0) return s->nodes[list].first; /* one term */
    return list;
}

/* 0: no room, the whole is MAYBE. */
static uint8_t build(builder *b, const fr_node *node, bool negated)
{
    fr_sieve *s = b->sieve;
    if (node->kind == FR_NODE_AND || node->kind == FR_NODE_OR) return build_list(b, node, negated);
    if (node->kind == FR_NODE_NOT) return build(b, node->left, !negated);
    if (node->kind == FR_NODE_CONST)
        return add_const(s, node->value.kind == FR_VALUE_BOOL && node->value.boolean != negated ? FR_VERDICT_YES : FR_VERDICT_NO);
    const fr_steps *steps = field_of(node);
    uint8_t path[FR_COLUMN_PATH_BYTES_MAX];
    uint32_t size = steps != NULL ? fr_column_path(steps, path) : 0;
    const fr_column *column = size != 0 ? fr_columns_find(b->columns, path, size) : NULL;
    if (column == NULL) {
        if (size != 0 && b->wish) fr_columns_wish(b->columns, path, size);
        return add_const(s, FR_VERDICT_MAYBE);
    }
    atomic_fetch_add_explicit(&((fr_column *)(uintptr_t)column)->uses, 1, memory_order_relaxed);
    if (s->leaf_count == FR_SIEVE_LEAVES_MAX) return add_const(s, FR_VERDICT_MAYBE);
    fr_sieve_leaf *leaf = &s->leaves[s->leaf_count];
    leaf->column = column;
    if (node->kind == FR_NODE_IN || node->kind == FR_NODE_LIKE) b->wanted += column->code_count;
    if (!make_leaf(s, leaf, node, negated)) return add_const(s, FR_VERDICT_MAYBE);
    return add_node(s, (fr_sieve_node){.kind = FR_SIEVE_LEAF, .leaf = (uint8_t)s->leaf_count++});
}

/* Verdict of a row about which nothing is known: NO codes in no way. */
static bool says_something(const fr_sieve *s, uint8_t at)
{
    const fr_sieve_node *n = &s->nodes[at];
    if (n->kind == FR_SIEVE_LEAF) return true;
    if (n->kind == FR_SIEVE_CONST) return n->verdict != FR_VERDICT_MAYBE;
    bool any = false, each = true;
    for (uint8_t i = n->first; i != 0; i = s->nodes[i].next) {
        bool one = says_something(s, i);
        any |= one;
        each &= one;
    }
    return n->kind == FR_SIEVE_AND ? any : each;
}

bool fr_sieve_make(fr_sieve *s, fr_columns *columns, const fr_filter *filter, bool wish)
{
    for (uint32_t round = 0;; round++) {
        builder b = {.sieve = s, .columns = columns, .wish = wish && round == 0};
        s->node_count = 1; /* 0 is none */
        s->leaf_count = 0;
        s->tables_used = 0;
        s->root = build(&b, filter->root, false);
        if (b.wanted <= s->tables_size || round != 0) break;
        uint8_t *grown = fr_realloc(FR_MEM_SEARCH, s->tables, b.wanted); /* once: it stays with the scratch */
        if (grown == NULL) break;
        s->tables = grown;
        s->tables_size = b.wanted;
    }
    return s->root != 0 && says_something(s, s->root);
}

bool fr_sieve_certain(const fr_sieve *s)
{
    bool certain = true;
    for (uint32_t i = 1; i < s->node_count; i++) certain &= s->nodes[i].kind != FR_SIEVE_CONST || s->nodes[i].verdict != FR_VERDICT_MAYBE;
    for (uint32_t l = 0; l < s->leaf_count && certain; l++) {
        const fr_sieve_leaf *leaf = &s->leaves[l];
        certain = leaf->table == NULL || memchr(leaf->table, FR_VERDICT_MAYBE, leaf->column->code_count) == NULL;
        for (uint32_t i = 0; i < leaf->range_count; i++) certain &= leaf->ranges[i].verdict == FR_VERDICT_YES;
    }
    return certain;
}

/* ==== testing ==== */

#define MARKED_CODES_MAX 4096u /* of a table: beyond it every mark is taken to pass */

fr_verdict fr_sieve_test_node(const fr_sieve *s, uint8_t at, uint32_t row)
{
    const fr_sieve_node *n = &s->nodes[at];
    if (n->kind == FR_SIEVE_LEAF) {
        const fr_sieve_leaf *leaf = &s->leaves[n->leaf];
        uint32_t code = fr_column_code(leaf->column, row);
        return (fr_verdict)(leaf->table != NULL ? leaf->table[code] : verdict_of(leaf, code));
    }
    if (n->kind == FR_SIEVE_CONST) return (fr_verdict)n->verdict;
    bool all = n->kind == FR_SIEVE_AND;
    fr_verdict result = all ? FR_VERDICT_YES : FR_VERDICT_NO, decided = all ? FR_VERDICT_NO : FR_VERDICT_YES;
    for (uint8_t i = n->first; i != 0 && result != decided; i = s->nodes[i].next) {
        fr_verdict one = fr_sieve_test_node(s, i, row);
        result = all ? FR_MIN(result, one) : FR_MAX(result, one);
    }
    return result;
}

/* Bits of up to 64 codes. */
static uint64_t table_word(const uint8_t *table, const void *codes, bool wide, uint32_t first, uint32_t count)
{
    uint64_t word = 0;
    if (wide)
        for (uint32_t i = 0; i < count; i++) word |= (uint64_t)(table[fr_code_at(codes, true, first + i)] != FR_VERDICT_NO) << i;
    else
        for (uint32_t i = 0; i < count; i++) word |= (uint64_t)(table[fr_code_at(codes, false, first + i)] != FR_VERDICT_NO) << i;
    return word;
}

/* codes: of the leaf's column, of the rows or entries that are asked about, side by side. */
static void leaf_block(const fr_sieve_leaf *leaf, const void *codes, uint32_t count, uint64_t *bits)
{
    bool wide = leaf->column->wide;
    if (leaf->table != NULL) {
        for (uint32_t i = 0; i < count; i += 64) bits[i / 64] = table_word(leaf->table, codes, wide, i, FR_MIN(64u, count - i));
        return;
    }
    memset(bits, 0, (count + 63) / 64 * sizeof *bits);
    for (uint32_t r = 0, end; r < leaf->range_count; r = end) { /* neighbours with different verdicts are one stretch */
        for (end = r + 1; end < leaf->range_count && leaf->ranges[end].low == leaf->ranges[end - 1].high + 1u;) end++;
        fr_simd_in_range(codes, wide, count, leaf->ranges[r].low, leaf->ranges[end - 1].high, bits);
    }
}

static void node_block(const fr_sieve *s, uint8_t at, const void *const *codes, uint32_t count, uint64_t *bits)
{
    const fr_sieve_node *n = &s->nodes[at];
    uint32_t words = (count + 63) / 64;
    if (n->kind == FR_SIEVE_LEAF) {
        leaf_block(&s->leaves[n->leaf], codes[n->leaf], count, bits);
        return;
    }
    if (n->kind == FR_SIEVE_CONST) {
        memset(bits, n->verdict != FR_VERDICT_NO ? 0xff : 0, words * sizeof *bits);
        return;
    }
    uint64_t term[FR_SIEVE_BLOCK / 64] = {0};
    for (uint8_t i = n->first; i != 0; i = s->nodes[i].next) {
        bool begins = i == n->first;
        node_block(s, i, codes, count, begins ? bits : term);
        for (uint32_t w = 0; w < words && !begins; w++) bits[w] = n->kind == FR_SIEVE_AND ? bits[w] & term[w] : bits[w] | term[w];
    }
}

void fr_sieve_list(const fr_sieve *s, const void *const *codes, uint32_t count, uint64_t *bits)
{
    node_block(s, s->root, codes, count, bits);
    if (count % 64 != 0) bits[count / 64] &= (1ull << count % 64) - 1;
}

void fr_sieve_block(const fr_sieve *s, uint32_t first, uint32_t count, uint64_t *bits)
{
    const void *codes[FR_SIEVE_LEAVES_MAX];
    while (count != 0) { /* an extent at a time: codes lie together only within one */
        uint32_t extent = fr_extent_of(first), end = fr_extent_start(extent) + fr_extent_rows(extent);
        uint32_t n = FR_MIN(count, end - first);
        for (uint32_t l = 0; l < s->leaf_count; l++) codes[l] = fr_extent_at(&s->leaves[l].column->codes, first);
        fr_sieve_list(s, codes, n, bits);
        first += n, count -= n, bits += n / 64;
    }
}

bool fr_sieve_leaf_marks(const fr_sieve_leaf *leaf, uint64_t marks[FR_MARKS / 64])
{
    bool wide = leaf->column->wide;
    if (leaf->table != NULL && leaf->column->code_count > MARKED_CODES_MAX) return false;
    for (uint32_t i = 0; leaf->table == NULL && i < leaf->range_count; i++)
        if ((uint32_t)(leaf->ranges[i].high - leaf->ranges[i].low) >= (FR_MARKS - 1) << wide) return false;
    memset(marks, 0, FR_MARKS / 8);
    for (uint32_t code = 0; leaf->table != NULL && code < leaf->column->code_count; code++) {
        uint32_t mark = fr_code_mark(wide, code);
        marks[mark / 64] |= (uint64_t)(leaf->table[code] != FR_VERDICT_NO) << mark % 64;
    }
    for (uint32_t i = 0; leaf->table == NULL && i < leaf->range_count; i++)
        for (uint32_t code = leaf->ranges[i].low; code <= leaf->ranges[i].high; code++) {
            uint32_t mark = fr_code_mark(wide, code);
            marks[mark / 64] |= 1ull << mark % 64;
        }
    return true;
}

uint64_t fr_sieve_may_pass(const fr_sieve *s, uint8_t at, const uint64_t *leaves)
{
    const fr_sieve_node *n = &s->nodes[at];
    if (n->kind == FR_SIEVE_LEAF) return leaves[n->leaf];
    if (n->kind == FR_SIEVE_CONST) return n->verdict != FR_VERDICT_NO ? UINT64_MAX : 0;
    bool all = n->kind == FR_SIEVE_AND;
    uint64_t result = all ? UINT64_MAX : 0;
    for (uint8_t i = n->first; i != 0; i = s->nodes[i].next) {
        uint64_t one = fr_sieve_may_pass(s, i, leaves);
        result = all ? result & one : result | one;
    }
    return result;
}

/* ==== counting ==== */

static void count_leaf(const fr_sieve_leaf *leaf, uint64_t *least, uint64_t *most)
{
    *least = *most = 0;
    for (uint32_t code = 0; leaf->table != NULL && code < leaf->column->code_count; code++) {
        if (leaf->table[code] == FR_VERDICT_NO) continue;
        uint64_t rows = fr_column_live(leaf->column, code, code);
        *most += rows;
        if (leaf->table[code] == FR_VERDICT_YES) *least += rows;
    }
    for (uint32_t i = 0; leaf->table == NULL && i < leaf->range_count; i++) {
        uint64_t rows = fr_column_live(leaf->column, leaf->ranges[i].low, leaf->ranges[i].high);
        *most += rows;
        if (leaf->ranges[i].verdict == FR_VERDICT_YES) *least += rows;
    }
}

static void count_node(const fr_sieve *s, uint8_t at, uint64_t live, uint64_t *least, uint64_t *most)
{
    const fr_sieve_node *n = &s->nodes[at];
    if (n->kind == FR_SIEVE_LEAF) {
        count_leaf(&s->leaves[n->leaf], least, most);
    } else if (n->kind == FR_SIEVE_CONST) {
        *least = n->verdict == FR_VERDICT_YES ? live : 0;
        *most = n->verdict != FR_VERDICT_NO ? live : 0;
    } else {
        bool all = n->kind == FR_SIEVE_AND;
        uint64_t others = 0; /* rows that some term of an `and` leaves out, together */
        *least = 0, *most = all ? live : 0;
        for (uint8_t i = n->first; i != 0; i = s->nodes[i].next) {
            uint64_t low, high;
            count_node(s, i, live, &low, &high);
            others += live - FR_MIN(live, low);
            *least = all ? 0 : FR_MAX(*least, low);
            *most = all ? FR_MIN(*most, high) : *most + high;
        }
        if (all) *least = live - FR_MIN(live, others);
    }
    *most = FR_MIN(*most, live);
    *least = FR_MIN(*least, *most);
}

void fr_sieve_count(const fr_sieve *s, uint64_t live, uint64_t *least, uint64_t *most) { count_node(s, s->root, live, least, most); }
