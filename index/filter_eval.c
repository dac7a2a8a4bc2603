/* filter_eval.c: a compiled filter and one row -> true, false or unknown. No allocation; recursion is bounded by the
 * tree's depth. Arithmetic: integers as in C, but overflow, division by zero and a result that is not finite are
 * unknown. */
#include "index/filter_private.h"

#include <math.h>

/* ==== paths ==== */

fr_doc fr_filter_walk(const fr_steps *steps, fr_doc value)
{
    for (uint32_t i = 0; i < steps->count && value.data != NULL; i++) {
        const fr_step *step = &steps->at[i];
        value = step->key.data != NULL ? fr_doc_get(value, step->key) : fr_doc_at(value, step->index);
    }
    return value;
}

fr_doc fr_path_get(const fr_path *path, fr_doc metadata)
{
    return fr_filter_walk(&path->steps, metadata);
}

fr_operand fr_filter_operand(fr_doc value)
{
    if (value.data == NULL) return (fr_operand){.kind = FR_VALUE_NONE};
    switch (fr_doc_type(value)) {
    case FR_DOC_NULL: return (fr_operand){.kind = FR_VALUE_NULL};
    case FR_DOC_FALSE: return (fr_operand){.kind = FR_VALUE_BOOL, .boolean = false};
    case FR_DOC_TRUE: return (fr_operand){.kind = FR_VALUE_BOOL, .boolean = true};
    case FR_DOC_INT: return (fr_operand){.kind = FR_VALUE_INT, .integer = fr_doc_int(value)};
    case FR_DOC_FLOAT: return (fr_operand){.kind = FR_VALUE_FLOAT, .number = fr_doc_number(value)};
    case FR_DOC_STRING: return (fr_operand){.kind = FR_VALUE_STRING, .string = fr_doc_string(value)};
    case FR_DOC_ARRAY:
    case FR_DOC_OBJECT: break;
    }
    return (fr_operand){.kind = FR_VALUE_DOC, .doc = value};
}

/* ==== values ==== */

static fr_operand none(void)
{
    return (fr_operand){.kind = FR_VALUE_NONE};
}

static fr_operand integer_of(int64_t value)
{
    return (fr_operand){.kind = FR_VALUE_INT, .integer = value};
}

static fr_operand float_of(double value)
{
    return isfinite(value) ? (fr_operand){.kind = FR_VALUE_FLOAT, .number = value} : none();
}

/* The key in its own type: canonical decimal as an integer, else text. */
static fr_operand key_value(const fr_filter_row *row)
{
    if (!row->key_is_int) return (fr_operand){.kind = FR_VALUE_STRING, .string = row->key};
    const char *digits = row->key.data;
    bool negative = row->key.size > 0 && digits[0] == '-';
    int64_t value = 0;
    for (size_t i = negative; i < row->key.size; i++) { /* downwards: INT64_MIN has no positive twin */
        if (digits[i] < '0' || digits[i] > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, digits[i] - '0', &value))
            return none();
    }
    if (!negative && __builtin_sub_overflow((int64_t)0, value, &value)) return none();
    return integer_of(value);
}

static fr_operand integer_power(int64_t base, int64_t exponent)
{
    if (exponent < 0) return float_of(pow((double)base, (double)exponent));
    int64_t result = 1;
    while (exponent > 0) {
        if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) return none();
        exponent >>= 1;
        if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) return none();
    }
    return integer_of(result);
}

static fr_operand shift_left(int64_t value, int64_t count)
{
    if (count < 0 || count > 63) return none();
    int64_t result = (int64_t)((uint64_t)value << count);
    return result >> count == value ? integer_of(result) : none();
}

static fr_operand calculate_integers(fr_node_kind kind, int64_t a, int64_t b)
{
    int64_t result;
    switch (kind) {
    case FR_NODE_ADD: return __builtin_add_overflow(a, b, &result) ? none() : integer_of(result);
    case FR_NODE_SUBTRACT: return __builtin_sub_overflow(a, b, &result) ? none() : integer_of(result);
    case FR_NODE_MULTIPLY: return __builtin_mul_overflow(a, b, &result) ? none() : integer_of(result);
    case FR_NODE_DIVIDE: return b == 0 || (a == INT64_MIN && b == -1) ? none() : integer_of(a / b);
    case FR_NODE_REMAINDER: return b == 0 ? none() : integer_of(b == -1 ? 0 : a % b);
    case FR_NODE_POWER: return integer_power(a, b);
    case FR_NODE_BIT_AND: return integer_of(a & b);
    case FR_NODE_BIT_OR: return integer_of(a | b);
    case FR_NODE_BIT_XOR: return integer_of(a ^ b);
    case FR_NODE_SHIFT_LEFT: return shift_left(a, b);
    case FR_NODE_SHIFT_RIGHT: return b < 0 || b > 63 ? none() : integer_of(a >> b);
    default: return none();
    }
}

static fr_operand calculate_floats(fr_node_kind kind, double a, double b)
{
    switch (kind) {
    case FR_NODE_ADD: return float_of(a + b);
    case FR_NODE_SUBTRACT: return float_of(a - b);
    case FR_NODE_MULTIPLY: return float_of(a * b);
    case FR_NODE_DIVIDE: return float_of(a / b);
    case FR_NODE_REMAINDER: return float_of(fmod(a, b));
    case FR_NODE_POWER: return float_of(pow(a, b));
    default: return none(); /* bits of a float have no meaning here */
    }
}

static bool is_number(const fr_operand *value)
{
    return value->kind == FR_VALUE_INT || value->kind == FR_VALUE_FLOAT;
}

static double as_float(const fr_operand *value)
{
    return value->kind == FR_VALUE_INT ? (double)value->integer : value->number;
}

static fr_operand calculate(const fr_node *node, const fr_filter_row *row)
{
    fr_operand a = fr_filter_value(node->left, row);
    if (!is_number(&a)) return none();
    fr_operand b = fr_filter_value(node->right, row);
    if (!is_number(&b)) return none();
    if (a.kind == FR_VALUE_INT && b.kind == FR_VALUE_INT) return calculate_integers(node->kind, a.integer, b.integer);
    return calculate_floats(node->kind, as_float(&a), as_float(&b));
}

static fr_operand negate(fr_operand value)
{
    if (value.kind == FR_VALUE_INT) return calculate_integers(FR_NODE_SUBTRACT, 0, value.integer);
    return value.kind == FR_VALUE_FLOAT ? float_of(-value.number) : none();
}

fr_operand fr_filter_value(const fr_node *node, const fr_filter_row *row)
{
    fr_operand value;
    switch (node->kind) {
    case FR_NODE_CONST: return node->value;
    case FR_NODE_PATH: return fr_filter_operand(fr_filter_walk(&node->steps, row->metadata));
    case FR_NODE_KEY: return key_value(row);
    case FR_NODE_ARRAY_LENGTH:
        value = fr_filter_value(node->left, row);
        if (value.kind != FR_VALUE_DOC || fr_doc_type(value.doc) != FR_DOC_ARRAY) return none();
        return integer_of(fr_doc_count(value.doc));
    case FR_NODE_NEGATE: return negate(fr_filter_value(node->left, row));
    case FR_NODE_BIT_NOT:
        value = fr_filter_value(node->left, row);
        return value.kind == FR_VALUE_INT ? integer_of(~value.integer) : none();
    default: return calculate(node, row);
    }
}

/* ==== conditions ==== */

static fr_tri tri(bool condition)
{
    return condition ? FR_TRI_TRUE : FR_TRI_FALSE;
}

static fr_tri judge(fr_compare compare, int order) /* order: the sign of left - right */
{
    switch (compare) {
    case FR_COMPARE_EQUAL: return tri(order == 0);
    case FR_COMPARE_NOT_EQUAL: return tri(order != 0);
    case FR_COMPARE_LESS: return tri(order < 0);
    case FR_COMPARE_LESS_EQUAL: return tri(order <= 0);
    case FR_COMPARE_GREATER: return tri(order > 0);
    case FR_COMPARE_GREATER_EQUAL: return tri(order >= 0);
    }
    return FR_TRI_UNKNOWN;
}

static int compare_numbers(const fr_operand *a, const fr_operand *b)
{
    if (a->kind == FR_VALUE_INT && b->kind == FR_VALUE_INT)
        return (a->integer > b->integer) - (a->integer < b->integer);
    if (a->kind == FR_VALUE_INT) return fr_doc_compare_mixed(a->integer, b->number);
    if (b->kind == FR_VALUE_INT) return -fr_doc_compare_mixed(b->integer, a->number);
    return (a->number > b->number) - (a->number < b->number);
}

static fr_tri compare_strings(fr_compare compare, fr_span a, fr_span b)
{
    if (compare == FR_COMPARE_EQUAL) return tri(fr_span_equal(a, b));
    if (compare == FR_COMPARE_NOT_EQUAL) return tri(!fr_span_equal(a, b));
    return judge(compare, fr_span_compare(a, b));
}

/* Arrays are equal element by element. `constant` says that one side is a list of the filter: two fields are not
 * compared that way, for objects inside them could make it slow. */
static fr_tri compare_arrays(fr_compare compare, fr_doc a, fr_doc b, bool constant)
{
    if (!constant || fr_doc_type(a) != FR_DOC_ARRAY || fr_doc_type(b) != FR_DOC_ARRAY) return FR_TRI_UNKNOWN;
    return tri(fr_doc_equal(a, b) == (compare == FR_COMPARE_EQUAL));
}

static fr_tri compare_operands(fr_compare compare, const fr_operand *a, const fr_operand *b, bool constant)
{
    if (is_number(a) && is_number(b)) return judge(compare, compare_numbers(a, b));
    if (a->kind != b->kind) return FR_TRI_UNKNOWN;
    if (a->kind == FR_VALUE_STRING) return compare_strings(compare, a->string, b->string);
    if (compare > FR_COMPARE_NOT_EQUAL) return FR_TRI_UNKNOWN;
    if (a->kind == FR_VALUE_BOOL) return tri((a->boolean == b->boolean) == (compare == FR_COMPARE_EQUAL));
    return a->kind == FR_VALUE_DOC ? compare_arrays(compare, a->doc, b->doc, constant) : FR_TRI_UNKNOWN;
}

/* An array and the elements asked for. */
static fr_tri contains(const fr_node *node, const fr_filter_row *row)
{
    const fr_filter_set *set = &node->set;
    fr_operand array = fr_filter_value(node->left, row), element;
    if (array.kind != FR_VALUE_DOC || fr_doc_type(array.doc) != FR_DOC_ARRAY) return FR_TRI_UNKNOWN;
    uint64_t seen[FR_FILTER_LIST_MAX / 64];
    bool all = node->kind == FR_NODE_CONTAINS_ALL;
    if (all) memset(seen, 0, (set->count + 63) / 64 * sizeof seen[0]);
    uint32_t missing = set->count;
    if (all && missing == 0) return FR_TRI_TRUE;
    fr_doc_iter iter = fr_doc_begin(array.doc);
    for (fr_doc value; fr_doc_next(&iter, NULL, &value);) {
        element = fr_filter_operand(value);
        uint32_t found = fr_filter_set_find(set, &element);
        if (found == FR_SET_MISSING) continue;
        if (!all) return FR_TRI_TRUE;
        uint64_t bit = (uint64_t)1 << (found & 63);
        if ((seen[found / 64] & bit) == 0 && --missing == 0) return FR_TRI_TRUE;
        seen[found / 64] |= bit;
    }
    return FR_TRI_FALSE;
}

static fr_tri in_keys(const fr_key_set *set, fr_span key)
{
    uint32_t low = 0, high = set->count;
    if (!set->comparable) return FR_TRI_UNKNOWN;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (fr_span_compare(set->keys[middle], key) < 0) low = middle + 1;
        else high = middle;
    }
    return tri(low < set->count && fr_span_equal(set->keys[low], key));
}

static fr_tri join(const fr_node *node, const fr_filter_row *row)
{
    bool all = node->kind == FR_NODE_AND;
    fr_tri result = all ? FR_TRI_TRUE : FR_TRI_FALSE, decided = all ? FR_TRI_FALSE : FR_TRI_TRUE;
    for (const fr_node *term = node->left; term != NULL; term = term->next) {
        fr_tri value = fr_filter_test(term, row);
        if (value == decided) return value;
        if (value == FR_TRI_UNKNOWN) result = value;
    }
    return result;
}

static fr_tri compare_path(const fr_node *node, const fr_filter_row *row)
{
    fr_operand value = fr_filter_operand(fr_filter_walk(&node->steps, row->metadata));
    if (value.kind == FR_VALUE_INT && node->value.kind == FR_VALUE_INT)
        return judge(node->compare, (value.integer > node->value.integer) - (value.integer < node->value.integer));
    return compare_operands(node->compare, &value, &node->value, true);
}

fr_tri fr_filter_test(const fr_node *node, const fr_filter_row *row)
{
    fr_operand a, b;
    switch (node->kind) {
    case FR_NODE_AND:
    case FR_NODE_OR: return join(node, row);
    case FR_NODE_NOT: return (fr_tri)(FR_TRI_TRUE - fr_filter_test(node->left, row));
    case FR_NODE_COMPARE_PATH: return compare_path(node, row);
    case FR_NODE_COMPARE:
        a = fr_filter_value(node->left, row), b = fr_filter_value(node->right, row);
        return compare_operands(node->compare, &a, &b,
                                node->left->kind == FR_NODE_CONST || node->right->kind == FR_NODE_CONST);
    case FR_NODE_IN:
        a = fr_filter_value(node->left, row);
        if (fr_filter_set_find(&node->set, &a) != FR_SET_MISSING) return FR_TRI_TRUE;
        return fr_filter_set_comparable(&node->set, &a) ? FR_TRI_FALSE : FR_TRI_UNKNOWN;
    case FR_NODE_KEY_IN: return in_keys(&node->keys, row->key);
    case FR_NODE_LIKE:
        a = fr_filter_value(node->left, row);
        return a.kind == FR_VALUE_STRING ? tri(fr_filter_like_match(&node->like, a.string)) : FR_TRI_UNKNOWN;
    case FR_NODE_IS_NULL:
        a = fr_filter_value(node->left, row);
        return tri(a.kind == FR_VALUE_NONE || a.kind == FR_VALUE_NULL);
    case FR_NODE_CONTAINS_ANY:
    case FR_NODE_CONTAINS_ALL: return contains(node, row);
    case FR_NODE_TRUTH:
        a = fr_filter_operand(fr_filter_walk(&node->steps, row->metadata));
        return a.kind == FR_VALUE_BOOL ? tri(a.boolean) : FR_TRI_UNKNOWN;
    case FR_NODE_TEXT_MATCH:
    case FR_NODE_PHRASE_MATCH:
        a = fr_filter_value(node->left, row);
        if (a.kind != FR_VALUE_STRING) return FR_TRI_UNKNOWN;
        return node->kind == FR_NODE_TEXT_MATCH ? fr_filter_text_match(&node->text, a.string) : fr_filter_phrase_match(&node->text, a.string);
    case FR_NODE_SAMPLE: return tri(fr_mix64(fr_hash(row->key.data, row->key.size, 0)) < node->sample);
    default: break;
    }
    return node->kind == FR_NODE_CONST && node->value.kind == FR_VALUE_BOOL ? tri(node->value.boolean) : FR_TRI_UNKNOWN;
}
