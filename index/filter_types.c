/* filter_types.c: what a collection declares, against what a filter does with it. Only where it is sure: a JSON field, a dynamic key and a
 * calculation may have any type, and are left to evaluation. Messages have Milvus' forms. */
#include "index/filter_private.h"

static const char *type_name(fr_type type)
{
    switch (type) {
    case FR_TYPE_BOOL: return "Bool";
    case FR_TYPE_INT8: return "Int8";
    case FR_TYPE_INT16: return "Int16";
    case FR_TYPE_INT32: return "Int32";
    case FR_TYPE_INT64: return "Int64";
    case FR_TYPE_FLOAT: return "Float";
    case FR_TYPE_DOUBLE: return "Double";
    case FR_TYPE_VARCHAR: return "VarChar";
    case FR_TYPE_ARRAY: return "Array";
    case FR_TYPE_JSON: return "JSON";
    case FR_TYPE_VECTOR_BINARY: return "BinaryVector";
    case FR_TYPE_VECTOR_F32: return "FloatVector";
    case FR_TYPE_VECTOR_F16: return "Float16Vector";
    case FR_TYPE_VECTOR_BF16: return "BFloat16Vector";
    case FR_TYPE_VECTOR_SPARSE: return "SparseFloatVector";
    case FR_TYPE_VECTOR_I8: return "Int8Vector";
    case FR_TYPE_NONE: break;
    }
    return "None";
}

static const fr_field_def *declared(const fr_parser *parser, fr_span name)
{
    for (uint32_t i = 0; i < parser->schema.field_count; i++)
        if (fr_span_equal(name, fr_span_text(parser->schema.fields[i].name))) return &parser->schema.fields[i];
    return NULL;
}

fr_node *fr_filter_node_path(fr_parser *parser, size_t at, fr_steps steps, bool root)
{
    fr_node *node = fr_filter_node(parser, FR_NODE_PATH, at, NULL, NULL);
    if (node == NULL) return NULL;
    node->steps = steps;
    if (parser->schema.fields == NULL || root || steps.count == 0) return node;
    fr_span name = steps.at[0].key;
    int shown = (int)FR_MIN(name.size, (size_t)64);
    const fr_field_def *field = declared(parser, name);
    if (field == NULL && parser->schema.no_dynamic)
        fr_filter_invalid(&parser->lexer, at, "field %.*s not exist", shown, (const char *)name.data);
    if (field == NULL) return parser->lexer.code == FR_OK ? node : NULL;
    node->field = field;
    node->type = field->type;
    if (field->type >= FR_TYPE_VECTOR_BINARY)
        fr_filter_invalid(&parser->lexer, at, "field %.*s is a %s: comparisons and IsNull/IsNotNull operations are not supported on vector fields",
                          shown, (const char *)name.data, type_name(field->type));
    if (steps.count > 1 && field->type == FR_TYPE_JSON) {
        node->type = FR_TYPE_NONE;
    } else if (steps.count > 1) {
        node->type = field->element_type;
        bool element = field->type == FR_TYPE_ARRAY && steps.count == 2 && steps.at[1].key.data == NULL;
        if (!element) fr_filter_invalid(&parser->lexer, at, "%s data type not supported accessed with []", type_name(field->type));
    } else if (field->type == FR_TYPE_JSON) {
        node->type = FR_TYPE_NONE;
    }
    return parser->lexer.code == FR_OK ? node : NULL;
}

/* What a value of the type is when a row has it; NONE: any. INT stands for every number. */
static fr_value_kind kind_of_type(fr_type type)
{
    switch (type) {
    case FR_TYPE_BOOL: return FR_VALUE_BOOL;
    case FR_TYPE_INT8:
    case FR_TYPE_INT16:
    case FR_TYPE_INT32:
    case FR_TYPE_INT64:
    case FR_TYPE_FLOAT:
    case FR_TYPE_DOUBLE: return FR_VALUE_INT;
    case FR_TYPE_VARCHAR: return FR_VALUE_STRING;
    case FR_TYPE_ARRAY: return FR_VALUE_DOC;
    default: return FR_VALUE_NONE;
    }
}

static bool is_declared(const fr_parser *parser, const fr_node *node)
{
    if (node->kind == FR_NODE_KEY) return parser->schema.fields != NULL && parser->schema.id_type != FR_ID_ANY;
    return node->kind == FR_NODE_PATH && kind_of_type(node->type) != FR_VALUE_NONE;
}

static fr_value_kind kind_of(const fr_parser *parser, const fr_node *node, const char **name_out)
{
    static const char *const constants[] = {[FR_VALUE_BOOL] = "Bool", [FR_VALUE_INT] = "Int64", [FR_VALUE_FLOAT] = "Double",
                                            [FR_VALUE_STRING] = "VarChar", [FR_VALUE_DOC] = "Array"};
    *name_out = "None";
    if (node->kind == FR_NODE_CONST) {
        *name_out = constants[node->value.kind];
        return node->value.kind == FR_VALUE_FLOAT ? FR_VALUE_INT : node->value.kind;
    }
    if (!is_declared(parser, node)) return FR_VALUE_NONE;
    fr_type type = node->kind == FR_NODE_PATH ? node->type : parser->schema.id_type == FR_ID_INT64 ? FR_TYPE_INT64 : FR_TYPE_VARCHAR;
    *name_out = type_name(type);
    return kind_of_type(type);
}

bool fr_filter_types_compare(fr_parser *parser, const fr_node *left, const fr_node *right, size_t at)
{
    const char *left_name, *right_name;
    fr_value_kind a = kind_of(parser, left, &left_name), b = kind_of(parser, right, &right_name);
    if (a == FR_VALUE_NONE || b == FR_VALUE_NONE || a == b || (!is_declared(parser, left) && !is_declared(parser, right))) return true;
    fr_filter_invalid(&parser->lexer, at, "comparisons between %s and %s are not supported", left_name, right_name);
    return false;
}

bool fr_filter_types_list(fr_parser *parser, const fr_node *value, const fr_filter_set *set, size_t at)
{
    const char *name;
    if (!is_declared(parser, value)) return true;
    fr_value_kind kind = kind_of(parser, value, &name);
    bool numbers = set->integer_count + set->float_count != 0, bools = set->has_true || set->has_false;
    const char *wrong = set->string_count != 0 && kind != FR_VALUE_STRING ? "a string"
                        : numbers && kind != FR_VALUE_INT                 ? "a number"
                        : bools && kind != FR_VALUE_BOOL                  ? "a bool"
                        : set->list_count != 0 && kind != FR_VALUE_DOC    ? "a list"
                                                                          : NULL;
    if (wrong == NULL) return true;
    fr_filter_invalid(&parser->lexer, at, "%s in the list cannot be casted to %s", wrong, name);
    return false;
}

/* operation NULL: the field alone is the condition. */
bool fr_filter_types_are(fr_parser *parser, const fr_node *value, fr_value_kind kind, const char *operation, size_t at)
{
    const char *name;
    if (!is_declared(parser, value) || kind_of(parser, value, &name) == kind) return true;
    if (operation == NULL) fr_filter_invalid(&parser->lexer, at, "predicate is not a boolean expression, data type: %s", name);
    else fr_filter_invalid(&parser->lexer, at, "%s operation on a field of type %s is not supported", operation, name);
    return false;
}
