/* filter_parse.c: tokens -> tree, by precedence climbing. Recursion is bounded: parentheses, prefix operators and lists
 * are counted (FR_FILTER_DEPTH_MAX), and between two of them there are at most as many calls as levels of precedence.
 * Source of the grammar and its precedence: Milvus' Plan.g4; see index/FILTERS.md. */
#include "index/filter_private.h"

/* Levels, loosest first; a prefix operator takes what binds tighter than itself. */
enum {
    LEVEL_OR = 1, LEVEL_AND, LEVEL_BIT_OR, LEVEL_BIT_XOR, LEVEL_BIT_AND, LEVEL_EQUALITY, LEVEL_ORDER, LEVEL_IN,
    LEVEL_SHIFT, LEVEL_SUM, LEVEL_PRODUCT, LEVEL_PREFIX, LEVEL_POWER, LEVEL_LIKE, LEVEL_PRIMARY
};

static fr_node *parse_binary(fr_parser *parser, int level);
static fr_node *parse_primary(fr_parser *parser);

static void advance(fr_parser *parser)
{
    parser->token = fr_filter_next(&parser->lexer);
}

static bool failed(const fr_parser *parser)
{
    return parser->lexer.code != FR_OK;
}

static bool expect(fr_parser *parser, fr_token_kind kind, const char *what)
{
    if (failed(parser)) return false;
    if (parser->token.kind != kind) {
        fr_filter_expected(&parser->lexer, &parser->token, what);
        return false;
    }
    advance(parser);
    return !failed(parser);
}

static bool enter(fr_parser *parser)
{
    if (failed(parser)) return false;
    if (++parser->depth <= FR_FILTER_DEPTH_MAX) return true;
    fr_filter_too_large(parser, parser->token.at, "the filter is nested deeper than 64 levels");
    return false;
}

static bool token_is(const fr_parser *parser, const fr_token *token, const char *lower, const char *upper)
{
    fr_span text = {parser->lexer.text + token->at, token->size};
    return token->word && (fr_span_equal(text, fr_span_text(lower)) || fr_span_equal(text, fr_span_text(upper)));
}

/* ==== paths ==== */

static bool add_step(fr_parser *parser, fr_step *steps, uint32_t *count, fr_step step)
{
    if (failed(parser)) return false;
    if (*count == FR_DOC_DEPTH_MAX) {
        fr_filter_too_large(parser, parser->token.at, "a path has at most 64 steps");
        return false;
    }
    steps[(*count)++] = step;
    return true;
}

/* The bytes of a key; a copy, for the text is the caller's. Never NULL, also when empty: NULL marks an index. */
static fr_span copy_key(fr_parser *parser, const void *data, size_t size)
{
    void *copy = fr_arena_alloc(parser->lexer.arena, size + 1);
    if (copy == NULL) fr_filter_no_memory(parser);
    else if (size != 0) memcpy(copy, data, size);
    return (fr_span){copy, size};
}

static bool bracket_step(fr_parser *parser, fr_step *step_out)
{
    advance(parser);
    fr_token token = parser->token;
    if (token.kind == FR_TOKEN_STRING) {
        *step_out = (fr_step){.key = copy_key(parser, token.string.data, token.string.size)};
    } else if (token.kind == FR_TOKEN_INT) {
        if (token.integer > UINT32_MAX) fr_filter_invalid(&parser->lexer, token.at, "the array index is too large");
        *step_out = (fr_step){.index = (uint32_t)token.integer};
    } else if (!failed(parser)) {
        fr_filter_expected(&parser->lexer, &token, "a string or an index");
    }
    if (failed(parser)) return false;
    advance(parser);
    return expect(parser, FR_TOKEN_RIGHT_BRACKET, "']'");
}

/* What follows a name: ["key"], [0], .key */
static bool parse_steps(fr_parser *parser, fr_step *steps, uint32_t *count)
{
    for (;;) {
        fr_step step = {.index = 0};
        if (failed(parser)) return false;
        if (parser->token.kind == FR_TOKEN_LEFT_BRACKET) {
            if (!bracket_step(parser, &step)) return false;
        } else if (parser->token.kind == FR_TOKEN_DOT) {
            advance(parser);
            fr_token token = parser->token;
            if (!failed(parser) && !token.word) fr_filter_expected(&parser->lexer, &token, "a name after '.'");
            if (failed(parser)) return false;
            step.key = copy_key(parser, parser->lexer.text + token.at, token.size);
            advance(parser);
        } else {
            return true;
        }
        if (!add_step(parser, steps, count, step)) return false;
    }
}

/* At a name or $meta. `metadata` followed by a step means the root, as $meta does. */
static bool parse_field(fr_parser *parser, fr_steps *steps_out, bool *root_out)
{
    fr_step steps[FR_DOC_DEPTH_MAX];
    uint32_t count = 0;
    fr_token name = parser->token;
    bool root = name.kind == FR_TOKEN_META;
    advance(parser);
    bool more = parser->token.kind == FR_TOKEN_LEFT_BRACKET || parser->token.kind == FR_TOKEN_DOT;
    root = root || (more && token_is(parser, &name, "metadata", "metadata"));
    if (!root)
        add_step(parser, steps, &count, (fr_step){.key = copy_key(parser, parser->lexer.text + name.at, name.size)});
    if (failed(parser) || !parse_steps(parser, steps, &count)) return false;
    steps_out->at = fr_arena_copy(parser->lexer.arena, steps, count * sizeof steps[0]);
    steps_out->count = count;
    *root_out = root;
    if (steps_out->at == NULL) fr_filter_no_memory(parser);
    return !failed(parser);
}

/* ==== lists ==== */

/* At '{': the value that the request gives for the name. */
static fr_doc parse_param(fr_parser *parser)
{
    size_t at = parser->token.at;
    advance(parser);
    fr_token name = parser->token;
    if (!failed(parser) && !name.word) fr_filter_expected(&parser->lexer, &name, "a name after '{'");
    if (failed(parser)) return (fr_doc){NULL};
    advance(parser);
    if (!expect(parser, FR_TOKEN_RIGHT_BRACE, "'}'")) return (fr_doc){NULL};
    fr_doc value = {NULL};
    if (parser->params.data != NULL) value = fr_doc_get(parser->params, (fr_span){parser->lexer.text + name.at, name.size});
    if (value.data == NULL)
        fr_filter_invalid(&parser->lexer, at, "the value of expression template variable name {%.*s} is not found",
                          (int)FR_MIN(name.size, (size_t)64), parser->lexer.text + name.at);
    else if (fr_doc_type(value) == FR_DOC_NULL || fr_doc_type(value) == FR_DOC_OBJECT)
        fr_filter_invalid(&parser->lexer, at, "the value of {%.*s} must be a number, a string, true, false or a list",
                          (int)FR_MIN(name.size, (size_t)64), parser->lexer.text + name.at);
    return failed(parser) ? (fr_doc){NULL} : value;
}

static void put_list(fr_parser *parser, fr_doc_builder *builder);

/* 300/2, (100+200)*2: folded when it is parsed. */
static void put_calculation(fr_parser *parser, fr_doc_builder *builder)
{
    size_t at = parser->token.at;
    const fr_node *node = parse_binary(parser, LEVEL_SHIFT);
    if (failed(parser) || node == NULL) return;
    bool number = node->kind == FR_NODE_CONST && (node->value.kind == FR_VALUE_INT || node->value.kind == FR_VALUE_FLOAT);
    if (!number) fr_filter_invalid(&parser->lexer, at, "a value in a list cannot be a non-const expression");
    else if (node->value.kind == FR_VALUE_INT) fr_doc_put_int(builder, node->value.integer);
    else fr_doc_put_float(builder, node->value.number);
}

/* A number alone, the usual case, makes no node. False: it is the beginning of a calculation. */
static bool put_number(fr_parser *parser, fr_doc_builder *builder)
{
    fr_token token = parser->token;
    bool negative = token.kind == FR_TOKEN_MINUS;
    if (negative || token.kind == FR_TOKEN_PLUS) advance(parser);
    token = parser->token;
    if (failed(parser) || (token.kind != FR_TOKEN_INT && token.kind != FR_TOKEN_FLOAT)) return failed(parser);
    advance(parser);
    if (failed(parser)) return true;
    if (parser->token.kind != FR_TOKEN_COMMA && parser->token.kind != FR_TOKEN_RIGHT_BRACKET) return false;
    if (token.kind == FR_TOKEN_FLOAT) fr_doc_put_float(builder, negative ? -token.number : token.number);
    else if (token.integer > INT64_MAX && !negative)
        fr_filter_invalid(&parser->lexer, token.at, "the integer does not fit 64 bits (write it as a float: 1e19)");
    else fr_doc_put_int(builder, negative ? (int64_t)(0 - token.integer) : (int64_t)token.integer);
    return true;
}

static void put_element(fr_parser *parser, fr_doc_builder *builder)
{
    fr_token token = parser->token;
    size_t behind = parser->lexer.at;
    if (failed(parser)) return;
    switch (token.kind) {
    case FR_TOKEN_LEFT_BRACKET: put_list(parser, builder); return;
    case FR_TOKEN_LEFT_BRACE: {
        fr_doc value = parse_param(parser);
        if (value.data != NULL) fr_doc_put_value(builder, value);
        return;
    }
    case FR_TOKEN_PLUS:
    case FR_TOKEN_MINUS:
    case FR_TOKEN_INT:
    case FR_TOKEN_FLOAT:
        if (put_number(parser, builder)) return;
        parser->token = token, parser->lexer.at = behind;
        put_calculation(parser, builder);
        return;
    case FR_TOKEN_LEFT: put_calculation(parser, builder); return;
    case FR_TOKEN_STRING: fr_doc_put_string(builder, token.string.data, token.string.size); break;
    case FR_TOKEN_TRUE:
    case FR_TOKEN_FALSE: fr_doc_put_bool(builder, token.kind == FR_TOKEN_TRUE); break;
    default: fr_filter_expected(&parser->lexer, &token, "a constant or ']'"); return;
    }
    advance(parser);
}

/* At '['. A comma before the ']' is allowed, as in Milvus. */
static void put_list(fr_parser *parser, fr_doc_builder *builder)
{
    if (!enter(parser)) return;
    size_t at = parser->token.at;
    advance(parser);
    fr_doc_begin_array(builder);
    for (uint32_t count = 0; !failed(parser) && parser->token.kind != FR_TOKEN_RIGHT_BRACKET; count++) {
        if (count == FR_FILTER_LIST_MAX) fr_filter_too_large(parser, at, "a list has at most 16,384 elements");
        if (failed(parser)) return;
        put_element(parser, builder);
        if (failed(parser) || parser->token.kind == FR_TOKEN_RIGHT_BRACKET) continue;
        expect(parser, FR_TOKEN_COMMA, "',' or ']'");
    }
    fr_doc_end_array(builder);
    parser->depth--;
    if (!failed(parser)) advance(parser);
}

static fr_node *parse_list(fr_parser *parser)
{
    size_t at = parser->token.at;
    fr_doc_builder builder = {.data = NULL};
    fr_span bytes;
    put_list(parser, &builder);
    fr_code code = fr_doc_finish(&builder, &bytes);
    fr_operand value = {.kind = FR_VALUE_DOC};
    if (!failed(parser) && code == FR_ERR_TOO_LARGE) fr_filter_too_large(parser, at, "the list is larger than 256 KiB");
    if (!failed(parser) && code == FR_OK) value.doc.data = fr_arena_copy(parser->lexer.arena, bytes.data, bytes.size);
    fr_doc_free(&builder);
    if (!failed(parser) && value.doc.data == NULL) fr_filter_no_memory(parser);
    return failed(parser) ? NULL : fr_filter_node_const(parser, at, value);
}

/* ==== functions ==== */

static const struct {
    const char *lower, *upper;
    fr_node_kind kind;
    bool one;
} functions[] = {
    {"json_contains", "JSON_CONTAINS", FR_NODE_CONTAINS_ANY, true},
    {"json_contains_any", "JSON_CONTAINS_ANY", FR_NODE_CONTAINS_ANY, false},
    {"json_contains_all", "JSON_CONTAINS_ALL", FR_NODE_CONTAINS_ALL, false},
    {"array_contains", "ARRAY_CONTAINS", FR_NODE_CONTAINS_ANY, true},
    {"array_contains_any", "ARRAY_CONTAINS_ANY", FR_NODE_CONTAINS_ANY, false},
    {"array_contains_all", "ARRAY_CONTAINS_ALL", FR_NODE_CONTAINS_ALL, false},
    {"array_length", "ARRAY_LENGTH", FR_NODE_ARRAY_LENGTH, false},
    {"text_match", "TEXT_MATCH", FR_NODE_TEXT_MATCH, false},
    {"phrase_match", "PHRASE_MATCH", FR_NODE_PHRASE_MATCH, false},
    {"random_sample", "RANDOM_SAMPLE", FR_NODE_SAMPLE, false},
};

static const char *const not_built[][2] = {
    {"element_filter", "ELEMENT_FILTER"}, {"match_any", "MATCH_ANY"},   {"match_all", "MATCH_ALL"},
    {"match_least", "MATCH_LEAST"},       {"match_most", "MATCH_MOST"}, {"match_exact", "MATCH_EXACT"},
};

static fr_node *refuse_function(fr_parser *parser, const fr_token *name)
{
    const char *text = parser->lexer.text + name->at;
    bool known = name->size > 3 && (memcmp(text, "st_", 3) == 0 || memcmp(text, "ST_", 3) == 0);
    for (size_t i = 0; i < FR_COUNT_OF(not_built); i++)
        known = known || token_is(parser, name, not_built[i][0], not_built[i][1]);
    fr_filter_invalid(&parser->lexer, name->at, known ? "%.*s is not supported yet" : "unknown function '%.*s'",
                      (int)FR_MIN(name->size, (size_t)64), text);
    return NULL;
}

/* `random_sample(0.01)`, at '('. Which rows is decided by their keys: the same ones each time. */
static fr_node *parse_sample(fr_parser *parser, const fr_token *name)
{
    if (!enter(parser)) return NULL;
    advance(parser);
    fr_node *share = parse_binary(parser, LEVEL_OR);
    if (share == NULL || !expect(parser, FR_TOKEN_RIGHT, "')'")) return NULL;
    parser->depth--;
    bool given = share->kind == FR_NODE_CONST && share->value.kind == FR_VALUE_FLOAT;
    if (!given || !(share->value.number > 0 && share->value.number < 1)) {
        fr_filter_invalid(&parser->lexer, share->at, "the sample factor should be between 0 and 1 and not too close to 0 or 1");
        return NULL;
    }
    fr_node *node = fr_filter_node(parser, FR_NODE_SAMPLE, name->at, NULL, NULL);
    if (node != NULL) node->sample = (uint64_t)(share->value.number * 0x1p64);
    return node;
}

/* What follows the text of text_match and phrase_match: `, minimum_should_match=2`, `, 2`. */
static bool parse_text_number(fr_parser *parser, bool phrase, uint32_t *number_out)
{
    *number_out = phrase ? 0 : 1;
    if (failed(parser) || parser->token.kind != FR_TOKEN_COMMA) return !failed(parser);
    advance(parser);
    fr_token token = parser->token;
    if (!phrase && !failed(parser) && token_is(parser, &token, "minimum_should_match", "MINIMUM_SHOULD_MATCH")) {
        advance(parser);
        if (!expect(parser, FR_TOKEN_ASSIGN, "'='")) return false;
    }
    fr_node *number = failed(parser) ? NULL : parse_primary(parser);
    if (number == NULL) return false;
    bool whole = number->kind == FR_NODE_CONST && number->value.kind == FR_VALUE_INT;
    if (!whole || number->value.integer < (phrase ? 0 : 1) || number->value.integer > 1000) {
        fr_filter_invalid(&parser->lexer, number->at, "%s must be an integer from %d to 1000", phrase ? "slop" : "minimum_should_match", phrase ? 0 : 1);
        return false;
    }
    *number_out = (uint32_t)number->value.integer;
    return true;
}

static fr_node *parse_text(fr_parser *parser, const fr_token *name, fr_node_kind kind)
{
    if (!enter(parser)) return NULL;
    advance(parser);
    uint32_t number;
    fr_node *field = parse_binary(parser, LEVEL_OR), *text = NULL;
    if (field != NULL && expect(parser, FR_TOKEN_COMMA, "','")) text = parse_binary(parser, LEVEL_OR);
    if (text == NULL || !parse_text_number(parser, kind == FR_NODE_PHRASE_MATCH, &number)) return NULL;
    if (!expect(parser, FR_TOKEN_RIGHT, "')'")) return NULL;
    parser->depth--;
    return fr_filter_node_text(parser, kind, name->at, field, text, number);
}

/* After the name, at '('. */
static fr_node *parse_call(fr_parser *parser, const fr_token *name)
{
    size_t i = 0;
    while (i < FR_COUNT_OF(functions) && !token_is(parser, name, functions[i].lower, functions[i].upper)) i++;
    if (i == FR_COUNT_OF(functions)) return refuse_function(parser, name);
    if (functions[i].kind == FR_NODE_SAMPLE) return parse_sample(parser, name);
    if (functions[i].kind == FR_NODE_TEXT_MATCH || functions[i].kind == FR_NODE_PHRASE_MATCH) return parse_text(parser, name, functions[i].kind);
    if (!enter(parser)) return NULL;
    advance(parser);
    fr_node *array = parse_binary(parser, LEVEL_OR), *list = NULL;
    bool length = functions[i].kind == FR_NODE_ARRAY_LENGTH;
    if (array == NULL) return NULL;
    if (!length) {
        if (!expect(parser, FR_TOKEN_COMMA, "','")) return NULL;
        list = parse_binary(parser, LEVEL_OR);
    }
    if (!expect(parser, FR_TOKEN_RIGHT, "')'")) return NULL;
    parser->depth--;
    if (!length) return fr_filter_node_contains(parser, functions[i].kind, name->at, array, list, functions[i].one);
    if (array->kind == FR_NODE_PATH)
        return fr_filter_types_are(parser, array, FR_VALUE_DOC, "array_length", name->at)
                   ? fr_filter_node(parser, FR_NODE_ARRAY_LENGTH, name->at, array, NULL)
                   : NULL;
    fr_filter_invalid(&parser->lexer, array->at, "array_length needs a field");
    return NULL;
}

/* ==== primaries ==== */

/* `x is null`, `x is not null`; the rest of a field. A key is never null. */
static fr_node *parse_is(fr_parser *parser, fr_node *field)
{
    if (field == NULL || failed(parser) || !token_is(parser, &parser->token, "is", "IS")) return field;
    size_t at = parser->token.at;
    advance(parser);
    bool negated = parser->token.kind == FR_TOKEN_NOT && parser->token.word;
    if (negated) advance(parser);
    if (!expect(parser, FR_TOKEN_NULL, negated ? "null" : "null or not null")) return NULL;
    fr_node *node = fr_filter_node(parser, FR_NODE_IS_NULL, at, field, NULL);
    return node != NULL && negated ? fr_filter_node_not(parser, at, node) : node;
}

static fr_node *parse_name(fr_parser *parser)
{
    fr_token name = parser->token;
    fr_lexer ahead = parser->lexer;
    ahead.err = NULL; /* a look: what is wrong there is reported when we come to it */
    fr_token next = name.word ? fr_filter_next(&ahead) : (fr_token){.kind = FR_TOKEN_END};
    if (next.kind == FR_TOKEN_LEFT) {
        advance(parser);
        return parse_call(parser, &name);
    }
    const char *key_name = parser->schema.key_name;
    if (key_name != NULL && token_is(parser, &name, key_name, key_name)) {
        advance(parser);
        if (parser->token.kind != FR_TOKEN_LEFT_BRACKET && parser->token.kind != FR_TOKEN_DOT)
            return parse_is(parser, fr_filter_node(parser, FR_NODE_KEY, name.at, NULL, NULL));
        fr_filter_invalid(&parser->lexer, name.at, "the primary key has no parts ($meta[\"%.64s\"] is the metadata's)",
                          key_name);
        return NULL;
    }
    fr_steps steps;
    bool root;
    if (!parse_field(parser, &steps, &root)) return NULL;
    return parse_is(parser, fr_filter_node_path(parser, name.at, steps, root));
}

static fr_node *parse_exists(fr_parser *parser)
{
    size_t at = parser->token.at;
    if (!enter(parser)) return NULL;
    advance(parser);
    fr_node *field = failed(parser) ? NULL : parse_primary(parser);
    if (field == NULL) return NULL;
    parser->depth--;
    if (field->kind != FR_NODE_PATH && field->kind != FR_NODE_KEY) {
        fr_filter_invalid(&parser->lexer, field->at, "expected a field after exists");
        return NULL;
    }
    return fr_filter_node_not(parser, at, fr_filter_node(parser, FR_NODE_IS_NULL, at, field, NULL));
}

static fr_node *parse_literal(fr_parser *parser)
{
    fr_token token = parser->token;
    fr_operand value = {.kind = FR_VALUE_BOOL, .boolean = token.kind == FR_TOKEN_TRUE};
    if (token.kind == FR_TOKEN_INT) {
        if (token.integer > INT64_MAX) {
            fr_filter_invalid(&parser->lexer, token.at, "the integer does not fit 64 bits (write it as a float: 1e19)");
            return NULL;
        }
        value = (fr_operand){.kind = FR_VALUE_INT, .integer = (int64_t)token.integer};
    }
    if (token.kind == FR_TOKEN_FLOAT) value = (fr_operand){.kind = FR_VALUE_FLOAT, .number = token.number};
    if (token.kind == FR_TOKEN_STRING) value = (fr_operand){.kind = FR_VALUE_STRING, .string = token.string};
    advance(parser);
    return fr_filter_node_const(parser, token.at, value);
}

/* `{name}`: a constant. Lists stay as they are; they lie in the request. */
static fr_node *parse_value(fr_parser *parser)
{
    size_t at = parser->token.at;
    fr_doc value = parse_param(parser);
    if (value.data == NULL) return NULL;
    if (fr_doc_count(value) > FR_FILTER_VALUES_MAX) {
        fr_filter_too_large(parser, at, "a list given as a value has at most 1,048,576 elements");
        return NULL;
    }
    fr_doc copy = {fr_arena_copy(parser->lexer.arena, value.data, fr_doc_size(value))};
    if (copy.data != NULL) return fr_filter_node_const(parser, at, fr_filter_operand(copy));
    fr_filter_no_memory(parser);
    return NULL;
}

static fr_node *parse_primary(fr_parser *parser)
{
    if (failed(parser)) return NULL;
    fr_node *node;
    switch (parser->token.kind) {
    case FR_TOKEN_INT:
    case FR_TOKEN_FLOAT:
    case FR_TOKEN_STRING:
    case FR_TOKEN_TRUE:
    case FR_TOKEN_FALSE: return parse_literal(parser);
    case FR_TOKEN_WORD:
    case FR_TOKEN_META: return parse_name(parser);
    case FR_TOKEN_EXISTS: return parse_exists(parser);
    case FR_TOKEN_LEFT_BRACKET: return parse_list(parser);
    case FR_TOKEN_LEFT:
        if (!enter(parser)) return NULL;
        advance(parser);
        node = parse_binary(parser, LEVEL_OR);
        if (node == NULL || !expect(parser, FR_TOKEN_RIGHT, "')' or an operator")) return NULL;
        parser->depth--;
        return node;
    case FR_TOKEN_LEFT_BRACE: return parse_value(parser);
    case FR_TOKEN_NULL:
        fr_filter_invalid(&parser->lexer, parser->token.at, "null is no value: write `field is null` or `is not null`");
        return NULL;
    default:
        fr_filter_expected(&parser->lexer, &parser->token, "a value or a condition");
        return NULL;
    }
}

/* ==== operators ==== */

static fr_node *parse_prefix(fr_parser *parser)
{
    fr_token token = parser->token;
    bool negated = token.kind == FR_TOKEN_NOT, minus = token.kind == FR_TOKEN_MINUS;
    bool prefix = negated || minus || token.kind == FR_TOKEN_PLUS || token.kind == FR_TOKEN_BIT_NOT;
    if (!prefix) return parse_primary(parser);
    if (!enter(parser)) return NULL;
    advance(parser);
    if (minus && parser->token.kind == FR_TOKEN_INT && parser->token.integer > INT64_MAX) { /* INT64_MIN */
        advance(parser);
        parser->depth--;
        return fr_filter_node_const(parser, token.at, (fr_operand){.kind = FR_VALUE_INT, .integer = INT64_MIN});
    }
    fr_node *node = parse_binary(parser, LEVEL_PREFIX);
    if (node == NULL) return NULL;
    parser->depth--;
    if (negated) return fr_filter_node_not(parser, token.at, node);
    if (token.kind == FR_TOKEN_BIT_NOT) return fr_filter_node_calculate(parser, FR_NODE_BIT_NOT, token.at, node, NULL);
    if (minus) return fr_filter_node_calculate(parser, FR_NODE_NEGATE, token.at, node, NULL);
    fr_node *zero = fr_filter_node_const(parser, token.at, (fr_operand){.kind = FR_VALUE_INT, .integer = 0});
    return fr_filter_node_calculate(parser, FR_NODE_ADD, token.at, zero, node); /* +x: x, and only a number */
}

static int level_of(const fr_token *token)
{
    switch (token->kind) {
    case FR_TOKEN_OR: return LEVEL_OR;
    case FR_TOKEN_AND: return LEVEL_AND;
    case FR_TOKEN_BIT_OR: return LEVEL_BIT_OR;
    case FR_TOKEN_BIT_XOR: return LEVEL_BIT_XOR;
    case FR_TOKEN_BIT_AND: return LEVEL_BIT_AND;
    case FR_TOKEN_EQUAL:
    case FR_TOKEN_NOT_EQUAL: return LEVEL_EQUALITY;
    case FR_TOKEN_LESS:
    case FR_TOKEN_LESS_EQUAL:
    case FR_TOKEN_GREATER:
    case FR_TOKEN_GREATER_EQUAL: return LEVEL_ORDER;
    case FR_TOKEN_IN: return LEVEL_IN;
    case FR_TOKEN_NOT: return token->word ? LEVEL_IN : 0; /* the not of `not in` */
    case FR_TOKEN_SHIFT_LEFT:
    case FR_TOKEN_SHIFT_RIGHT: return LEVEL_SHIFT;
    case FR_TOKEN_PLUS:
    case FR_TOKEN_MINUS: return LEVEL_SUM;
    case FR_TOKEN_STAR:
    case FR_TOKEN_SLASH:
    case FR_TOKEN_PERCENT: return LEVEL_PRODUCT;
    case FR_TOKEN_POWER: return LEVEL_POWER;
    case FR_TOKEN_REGEX:
    case FR_TOKEN_LIKE: return LEVEL_LIKE;
    default: return 0;
    }
}

static fr_compare compare_of(fr_token_kind kind)
{
    return (fr_compare)(FR_COMPARE_EQUAL + (kind - FR_TOKEN_EQUAL)); /* both enumerations have the same order */
}
_Static_assert(FR_TOKEN_GREATER_EQUAL - FR_TOKEN_EQUAL == FR_COMPARE_GREATER_EQUAL, "comparisons in one order");

/* left < middle < right: two comparisons that share their middle. */
static fr_node *parse_order(fr_parser *parser, const fr_token *operator_token, fr_node *left)
{
    fr_node *middle = parse_binary(parser, LEVEL_ORDER + 1);
    fr_node *first = fr_filter_node_compare(parser, compare_of(operator_token->kind), operator_token->at, left, middle);
    fr_token second = parser->token;
    if (first == NULL || failed(parser) || level_of(&second) != LEVEL_ORDER) return first;
    bool up = operator_token->kind <= FR_TOKEN_LESS_EQUAL;
    if (up != (second.kind <= FR_TOKEN_LESS_EQUAL)) {
        fr_filter_invalid(&parser->lexer, second.at, "a chain of comparisons goes one way: a < b <= c or a > b >= c");
        return NULL;
    }
    advance(parser);
    fr_node *right = parse_binary(parser, LEVEL_ORDER + 1);
    fr_node *last = fr_filter_node_compare(parser, compare_of(second.kind), second.at, middle, right);
    return fr_filter_node_join(parser, FR_NODE_AND, operator_token->at, first, last);
}

static fr_node *parse_in(fr_parser *parser, const fr_token *operator_token, fr_node *left)
{
    bool negated = operator_token->kind == FR_TOKEN_NOT;
    if (negated && !expect(parser, FR_TOKEN_IN, "in after not")) return NULL;
    fr_node *node = fr_filter_node_in(parser, operator_token->at, left, parse_binary(parser, LEVEL_IN + 1));
    return negated ? fr_filter_node_not(parser, operator_token->at, node) : node;
}

static fr_node *parse_operator(fr_parser *parser, const fr_token *token, int level, fr_node *left)
{
    static const fr_node_kind calculations[] = {
        [FR_TOKEN_PLUS] = FR_NODE_ADD,
        [FR_TOKEN_MINUS] = FR_NODE_SUBTRACT,
        [FR_TOKEN_STAR] = FR_NODE_MULTIPLY,
        [FR_TOKEN_SLASH] = FR_NODE_DIVIDE,
        [FR_TOKEN_PERCENT] = FR_NODE_REMAINDER,
        [FR_TOKEN_POWER] = FR_NODE_POWER,
        [FR_TOKEN_BIT_AND] = FR_NODE_BIT_AND,
        [FR_TOKEN_BIT_OR] = FR_NODE_BIT_OR,
        [FR_TOKEN_BIT_XOR] = FR_NODE_BIT_XOR,
        [FR_TOKEN_SHIFT_LEFT] = FR_NODE_SHIFT_LEFT,
        [FR_TOKEN_SHIFT_RIGHT] = FR_NODE_SHIFT_RIGHT,
    };
    if (token->kind == FR_TOKEN_REGEX) {
        fr_filter_invalid(&parser->lexer, token->at, "regular expressions (=~, !~) are not supported yet; like is");
        return NULL;
    }
    advance(parser);
    if (failed(parser)) return NULL;
    if (level == LEVEL_ORDER) return parse_order(parser, token, left);
    if (level == LEVEL_IN) return parse_in(parser, token, left);
    fr_node *right = parse_binary(parser, level + 1);
    if (level == LEVEL_OR) return fr_filter_node_join(parser, FR_NODE_OR, token->at, left, right);
    if (level == LEVEL_AND) return fr_filter_node_join(parser, FR_NODE_AND, token->at, left, right);
    if (level == LEVEL_EQUALITY) return fr_filter_node_compare(parser, compare_of(token->kind), token->at, left, right);
    if (level == LEVEL_LIKE) return fr_filter_node_like(parser, token->at, left, right);
    return fr_filter_node_calculate(parser, calculations[token->kind], token->at, left, right);
}

/* Everything that binds at least as tightly as `level`; operators of one level group to the left. */
static fr_node *parse_binary(fr_parser *parser, int level)
{
    fr_node *left = parse_prefix(parser);
    while (left != NULL && !failed(parser)) {
        fr_token token = parser->token;
        int found = level_of(&token);
        if (found == 0 || found < level) return left;
        left = parse_operator(parser, &token, found, left);
    }
    return failed(parser) ? NULL : left;
}

/* ==== doors ==== */

fr_code fr_filter_parse(fr_parser *parser, fr_node **root_out)
{
    advance(parser);
    fr_node *root = parse_binary(parser, LEVEL_OR);
    if (!failed(parser) && parser->token.kind != FR_TOKEN_END)
        fr_filter_expected(&parser->lexer, &parser->token, "an operator or the end");
    *root_out = failed(parser) ? NULL : fr_filter_node_condition(parser, root);
    return parser->lexer.code;
}

fr_code fr_filter_parse_path(fr_parser *parser, fr_steps *steps_out)
{
    advance(parser);
    if (!failed(parser) && !parser->token.word && parser->token.kind != FR_TOKEN_META)
        fr_filter_expected(&parser->lexer, &parser->token, "a field");
    bool root;
    if (!failed(parser)) parse_field(parser, steps_out, &root);
    if (!failed(parser) && parser->token.kind != FR_TOKEN_END)
        fr_filter_expected(&parser->lexer, &parser->token, "the end of the path");
    return parser->lexer.code;
}
