/* filter_node.c: the tree's nodes and the rules of types, checked while the tree is built: a condition is not a value,
 * arithmetic is for numbers, lists and booleans have no order. What cannot be known before a row is seen is left to
 * evaluation, where a mismatch is unknown. */
#include "index/filter_private.h"

#include <stdio.h>

fr_code fr_filter_no_memory(fr_parser *parser)
{
    fr_lexer *lexer = &parser->lexer;
    if (lexer->code != FR_OK) return lexer->code;
    return lexer->code = fr_fail(lexer->err, FR_ERR_NO_MEMORY, "filter", "no memory to compile the filter");
}

fr_code fr_filter_too_large(fr_parser *parser, size_t at, const char *what)
{
    fr_lexer *lexer = &parser->lexer;
    if (lexer->code != FR_OK) return lexer->code;
    return lexer->code = fr_fail(lexer->err, FR_ERR_TOO_LARGE, "filter", "byte %zu: %s", at + 1, what);
}

fr_node *fr_filter_node(fr_parser *parser, fr_node_kind kind, size_t at, fr_node *left, fr_node *right)
{
    if (parser->lexer.code != FR_OK) return NULL;
    uint32_t depth = FR_MAX(left != NULL ? left->depth : 0, right != NULL ? right->depth : 0) + 1;
    if (depth > FR_FILTER_DEPTH_MAX) {
        fr_filter_too_large(parser, at, "the filter is nested deeper than 64 levels");
        return NULL;
    }
    fr_node *node = fr_arena_alloc(parser->lexer.arena, sizeof *node);
    if (node == NULL) {
        fr_filter_no_memory(parser);
        return NULL;
    }
    *node = (fr_node){.kind = kind, .depth = depth, .at = at, .left = left, .right = right};
    return node;
}

fr_node *fr_filter_node_const(fr_parser *parser, size_t at, fr_operand value)
{
    fr_node *node = fr_filter_node(parser, FR_NODE_CONST, at, NULL, NULL);
    if (node != NULL) node->value = value;
    return node;
}

/* ==== rules ==== */

static const char *name_of(const fr_node *node)
{
    if (node->kind >= FR_NODE_FIRST_CONDITION) return node->kind == FR_NODE_NOT ? "a negated condition" : "a condition";
    if (node->kind == FR_NODE_KEY) return "the primary key";
    if (node->kind == FR_NODE_PATH) return "a field";
    if (node->kind != FR_NODE_CONST) return "a calculation";
    switch (node->value.kind) {
    case FR_VALUE_BOOL: return "true or false";
    case FR_VALUE_STRING: return "a string";
    case FR_VALUE_DOC: return "a list";
    default: return "a number";
    }
}

static bool is_const(const fr_node *node, fr_value_kind kind)
{
    return node->kind == FR_NODE_CONST && node->value.kind == kind;
}

static bool need_value(fr_parser *parser, const fr_node *node, size_t at)
{
    if (node->kind < FR_NODE_FIRST_CONDITION) return true;
    fr_filter_invalid(&parser->lexer, at, "expected a value on both sides of the operator, found %s at byte %zu%s",
                      name_of(node), node->at + 1,
                      node->kind == FR_NODE_NOT ? " (not binds tighter: write not (...))" : "");
    return false;
}

fr_node *fr_filter_node_condition(fr_parser *parser, fr_node *node)
{
    if (node == NULL || node->kind >= FR_NODE_FIRST_CONDITION || is_const(node, FR_VALUE_BOOL)) return node;
    if (node->kind == FR_NODE_PATH) {
        if (!fr_filter_types_are(parser, node, FR_VALUE_BOOL, NULL, node->at)) return NULL;
        fr_node *truth = fr_filter_node(parser, FR_NODE_TRUTH, node->at, NULL, NULL);
        if (truth != NULL) truth->steps = node->steps;
        return truth;
    }
    fr_filter_invalid(&parser->lexer, node->at, "expected a condition (a comparison, say), found %s", name_of(node));
    return NULL;
}

fr_node *fr_filter_node_join(fr_parser *parser, fr_node_kind kind, size_t at, fr_node *left, fr_node *right)
{
    left = fr_filter_node_condition(parser, left);
    right = fr_filter_node_condition(parser, right);
    if (left == NULL || right == NULL) return NULL;
    if (left->kind != kind) {
        fr_node *first = left;
        left = fr_filter_node(parser, kind, at, first, NULL);
        if (left == NULL) return NULL;
        left->last = first;
    }
    if (right->kind == kind) { /* (a and b) and (c and d) is one list of four */
        left->last->next = right->left;
        left->last = right->last;
        left->depth = FR_MAX(left->depth, right->depth);
        return left;
    }
    left->last->next = right;
    left->last = right;
    left->depth = FR_MAX(left->depth, right->depth + 1);
    if (left->depth <= FR_FILTER_DEPTH_MAX) return left;
    fr_filter_too_large(parser, at, "the filter is nested deeper than 64 levels");
    return NULL;
}

fr_node *fr_filter_node_not(fr_parser *parser, size_t at, fr_node *node)
{
    node = fr_filter_node_condition(parser, node);
    return node != NULL ? fr_filter_node(parser, FR_NODE_NOT, at, node, NULL) : NULL;
}

/* ==== the primary key ==== */

static bool whole_number(double number, int64_t *integer_out)
{
    if (!(number >= -0x1p63 && number < 0x1p63)) return false;
    *integer_out = (int64_t)number;
    return fr_doc_compare_mixed(*integer_out, number) == 0;
}

/* Adds the key that the constant means, if a key of this schema can equal it. False: no memory. */
static bool add_key(fr_parser *parser, fr_key_set *set, fr_operand value)
{
    bool any = parser->schema.id_type == FR_ID_ANY;
    if (value.kind == FR_VALUE_STRING && (any || parser->schema.id_type == FR_ID_STRING)) {
        set->comparable = true;
        if (value.string.size > 0 && value.string.size <= FR_KEY_BYTES_MAX) set->keys[set->count++] = value.string;
        return true;
    }
    bool number = value.kind == FR_VALUE_INT || value.kind == FR_VALUE_FLOAT;
    if (!number || parser->schema.id_type == FR_ID_STRING) return true;
    set->comparable = true;
    int64_t integer = value.integer;
    if (value.kind == FR_VALUE_FLOAT && !whole_number(value.number, &integer)) return true;
    char digits[24];
    int size = snprintf(digits, sizeof digits, "%lld", (long long)integer);
    void *copy = fr_arena_copy(parser->lexer.arena, digits, (size_t)size);
    if (copy != NULL) set->keys[set->count++] = (fr_span){copy, (size_t)size};
    return copy != NULL;
}

/* list NULL: the one value. */
static fr_node *key_in(fr_parser *parser, size_t at, const fr_operand *one, fr_doc list)
{
    fr_node *node = fr_filter_node(parser, FR_NODE_KEY_IN, at, NULL, NULL);
    if (node == NULL) return NULL;
    uint32_t count = one != NULL ? 1 : fr_doc_count(list);
    fr_key_set set = {.keys = fr_arena_alloc(parser->lexer.arena, count * sizeof *set.keys), .comparable = count == 0};
    bool fine = set.keys != NULL && (one == NULL || add_key(parser, &set, *one));
    fr_doc_iter iter = fr_doc_begin(list);
    for (fr_doc value; fine && one == NULL && fr_doc_next(&iter, NULL, &value);)
        fine = add_key(parser, &set, fr_filter_operand(value));
    if (!fine) {
        fr_filter_no_memory(parser);
        return NULL;
    }
    fr_filter_sort_spans(set.keys, &set.count);
    node->keys = set;
    return node;
}

/* ==== comparisons ==== */

static fr_compare mirrored(fr_compare compare)
{
    switch (compare) {
    case FR_COMPARE_LESS: return FR_COMPARE_GREATER;
    case FR_COMPARE_LESS_EQUAL: return FR_COMPARE_GREATER_EQUAL;
    case FR_COMPARE_GREATER: return FR_COMPARE_LESS;
    case FR_COMPARE_GREATER_EQUAL: return FR_COMPARE_LESS_EQUAL;
    case FR_COMPARE_EQUAL:
    case FR_COMPARE_NOT_EQUAL: break;
    }
    return compare;
}

fr_node *fr_filter_node_compare(fr_parser *parser, fr_compare compare, size_t at, fr_node *left, fr_node *right)
{
    if (left == NULL || right == NULL || !need_value(parser, left, at) || !need_value(parser, right, at)) return NULL;
    if (left->kind == FR_NODE_CONST && right->kind != FR_NODE_CONST) {
        fr_node *swap = left;
        left = right, right = swap;
        compare = mirrored(compare);
    }
    bool ordered = compare != FR_COMPARE_EQUAL && compare != FR_COMPARE_NOT_EQUAL;
    if (ordered && right->kind == FR_NODE_CONST && (is_const(right, FR_VALUE_BOOL) || is_const(right, FR_VALUE_DOC))) {
        fr_filter_invalid(&parser->lexer, at, "%s has no order: only == and != compare it", name_of(right));
        return NULL;
    }
    if (!fr_filter_types_compare(parser, left, right, at)) return NULL;
    if (left->kind == FR_NODE_KEY && right->kind == FR_NODE_CONST && !ordered) {
        fr_node *same = key_in(parser, at, &right->value, (fr_doc){NULL});
        return compare == FR_COMPARE_EQUAL || same == NULL ? same : fr_filter_node_not(parser, at, same);
    }
    bool quick = left->kind == FR_NODE_PATH && right->kind == FR_NODE_CONST;
    fr_node *node = quick ? fr_filter_node(parser, FR_NODE_COMPARE_PATH, at, NULL, NULL)
                          : fr_filter_node(parser, FR_NODE_COMPARE, at, left, right);
    if (node == NULL) return NULL;
    node->compare = compare;
    if (quick) node->steps = left->steps, node->value = right->value;
    return node;
}

static bool prepare_set(fr_parser *parser, fr_node *node, fr_doc list)
{
    fr_code code = fr_filter_set_make(parser->lexer.arena, list, &node->set);
    if (code == FR_ERR_TOO_LARGE)
        fr_filter_too_large(parser, node->at, "a list holds at most 64 lists");
    else if (code != FR_OK)
        fr_filter_no_memory(parser);
    return code == FR_OK;
}

fr_node *fr_filter_node_in(fr_parser *parser, size_t at, fr_node *value, fr_node *list)
{
    if (value == NULL || list == NULL || !need_value(parser, value, at)) return NULL;
    if (!is_const(list, FR_VALUE_DOC)) {
        fr_filter_invalid(&parser->lexer, list->at, "expected a list after in: [1, 2, 3], found %s%s", name_of(list),
                          list->kind == FR_NODE_PATH ? " (json_contains(array, value) looks into a field)" : "");
        return NULL;
    }
    if (value->kind == FR_NODE_KEY && parser->schema.fields == NULL) return key_in(parser, at, NULL, list->value.doc);
    if (value->kind == FR_NODE_KEY) {
        fr_node probe = {.at = at};
        if (!prepare_set(parser, &probe, list->value.doc) || !fr_filter_types_list(parser, value, &probe.set, at)) return NULL;
        return key_in(parser, at, NULL, list->value.doc);
    }
    fr_node *node = fr_filter_node(parser, FR_NODE_IN, at, value, NULL);
    if (node == NULL || !prepare_set(parser, node, list->value.doc)) return NULL;
    return fr_filter_types_list(parser, value, &node->set, at) ? node : NULL;
}

fr_node *fr_filter_node_like(fr_parser *parser, size_t at, fr_node *value, fr_node *pattern)
{
    if (value == NULL || pattern == NULL || !need_value(parser, value, at)) return NULL;
    if (!is_const(pattern, FR_VALUE_STRING)) {
        fr_filter_invalid(&parser->lexer, pattern->at, "expected a string after like: \"abc%%\", found %s",
                          name_of(pattern));
        return NULL;
    }
    if (!fr_filter_types_are(parser, value, FR_VALUE_STRING, "like", at)) return NULL;
    fr_node *node = fr_filter_node(parser, FR_NODE_LIKE, at, value, NULL);
    if (node == NULL) return NULL;
    const char *why;
    fr_code code = fr_filter_like_make(parser->lexer.arena, pattern->value.string, &node->like, &why);
    if (code == FR_OK) return node;
    if (code == FR_ERR_TOO_LARGE) fr_filter_too_large(parser, pattern->at, why);
    else if (code == FR_ERR_INVALID) fr_filter_invalid(&parser->lexer, pattern->at, "%s", why);
    else fr_filter_no_memory(parser);
    return NULL;
}

/* A list of one constant: the elements of json_contains(array, value). */
static bool wrap(fr_parser *parser, const fr_operand *value, fr_doc *list_out)
{
    fr_doc_builder builder = {.data = NULL};
    fr_span bytes;
    fr_doc_begin_array(&builder);
    if (value->kind == FR_VALUE_BOOL) fr_doc_put_bool(&builder, value->boolean);
    else if (value->kind == FR_VALUE_INT) fr_doc_put_int(&builder, value->integer);
    else if (value->kind == FR_VALUE_FLOAT) fr_doc_put_float(&builder, value->number);
    else if (value->kind == FR_VALUE_STRING) fr_doc_put_string(&builder, value->string.data, value->string.size);
    else fr_doc_put_value(&builder, value->doc);
    fr_doc_end_array(&builder);
    fr_code code = fr_doc_finish(&builder, &bytes);
    const uint8_t *copy = code == FR_OK ? fr_arena_copy(parser->lexer.arena, bytes.data, bytes.size) : NULL;
    fr_doc_free(&builder);
    *list_out = (fr_doc){copy};
    return copy != NULL;
}

fr_node *fr_filter_node_contains(fr_parser *parser, fr_node_kind kind, size_t at, fr_node *array, fr_node *list,
                                 bool one)
{
    if (array == NULL || list == NULL) return NULL;
    if (array->kind != FR_NODE_PATH) {
        fr_filter_invalid(&parser->lexer, array->at, "expected a field as first argument, found %s", name_of(array));
        return NULL;
    }
    if (list->kind != FR_NODE_CONST || (!one && list->value.kind != FR_VALUE_DOC)) {
        fr_filter_invalid(&parser->lexer, list->at, "expected a %s as second argument, found %s",
                          one ? "constant" : "list", name_of(list));
        return NULL;
    }
    if (!fr_filter_types_are(parser, array, FR_VALUE_DOC, "contains", at)) return NULL;
    if (!one && fr_doc_count(list->value.doc) > FR_FILTER_LIST_MAX) {
        fr_filter_too_large(parser, list->at, "a list has at most 16,384 elements");
        return NULL;
    }
    fr_doc elements = list->value.doc;
    if (one && !wrap(parser, &list->value, &elements)) {
        fr_filter_no_memory(parser);
        return NULL;
    }
    fr_node *node = fr_filter_node(parser, kind, at, array, NULL);
    return node != NULL && prepare_set(parser, node, elements) ? node : NULL;
}

/* ==== arithmetic ==== */

static bool need_number(fr_parser *parser, const fr_node *node, size_t at)
{
    if (!need_value(parser, node, at)) return false;
    if (node->kind == FR_NODE_PATH) return fr_filter_types_are(parser, node, FR_VALUE_INT, "arithmetic", at);
    if (node->kind != FR_NODE_CONST || is_const(node, FR_VALUE_INT) || is_const(node, FR_VALUE_FLOAT)) return true;
    fr_filter_invalid(&parser->lexer, node->at, "expected a number next to the operator at byte %zu, found %s", at + 1,
                      name_of(node));
    return false;
}

fr_node *fr_filter_node_calculate(fr_parser *parser, fr_node_kind kind, size_t at, fr_node *left, fr_node *right)
{
    bool binary = kind != FR_NODE_NEGATE && kind != FR_NODE_BIT_NOT;
    if (left == NULL || (binary && right == NULL) || !need_number(parser, left, at)) return NULL;
    if (binary && !need_number(parser, right, at)) return NULL;
    fr_node *node = fr_filter_node(parser, kind, at, left, right);
    if (node == NULL || left->kind != FR_NODE_CONST || (binary && right->kind != FR_NODE_CONST)) return node;
    fr_operand value = fr_filter_value(node, NULL); /* constants: known now, no row needed */
    if (value.kind != FR_VALUE_NONE) return fr_filter_node_const(parser, at, value);
    fr_filter_invalid(&parser->lexer, at,
                      "the constant calculation has no result (overflow, division by zero, bits of a float)");
    return NULL;
}
