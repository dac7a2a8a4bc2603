/* milvus_rules.c: Milvus's rules for names, and the words in which it says that one is broken. Clients and their tests look for these words. */
#include "api/milvus/milvus_private.h"

#include <ctype.h>

/* ---- types by name ---- */

const char *fr_milvus_type_name(int32_t type)
{
    static const struct {
        int32_t type;
        const char *name;
    } types[] = {{0, "None"},
                 {FR_TYPE_BOOL, "Bool"},
                 {FR_TYPE_INT8, "Int8"},
                 {FR_TYPE_INT16, "Int16"},
                 {FR_TYPE_INT32, "Int32"},
                 {FR_TYPE_INT64, "Int64"},
                 {FR_TYPE_FLOAT, "Float"},
                 {FR_TYPE_DOUBLE, "Double"},
                 {MILVUS_TYPE_STRING, "String"},
                 {FR_TYPE_VARCHAR, "VarChar"},
                 {FR_TYPE_ARRAY, "Array"},
                 {FR_TYPE_JSON, "JSON"},
                 {MILVUS_TYPE_GEOMETRY, "Geometry"},
                 {MILVUS_TYPE_TEXT, "Text"},
                 {MILVUS_TYPE_TIMESTAMPTZ, "Timestamptz"},
                 {FR_TYPE_VECTOR_BINARY, "BinaryVector"},
                 {FR_TYPE_VECTOR_F32, "FloatVector"},
                 {FR_TYPE_VECTOR_F16, "Float16Vector"},
                 {FR_TYPE_VECTOR_BF16, "BFloat16Vector"},
                 {FR_TYPE_VECTOR_SPARSE, "SparseFloatVector"},
                 {FR_TYPE_VECTOR_I8, "Int8Vector"},
                 {MILVUS_TYPE_ARRAY_OF_VECTOR, "ArrayOfVector"},
                 {MILVUS_TYPE_ARRAY_OF_STRUCT, "ArrayOfStruct"},
                 {MILVUS_TYPE_STRUCT, "Struct"}};
    for (size_t i = 0; i < FR_COUNT_OF(types); i++)
        if (types[i].type == type) return types[i].name;
    return "unknown";
}

/* ---- names ---- */

enum { FIRST = 1, REST = 2, EMPTY = 3, LONG = 4 }; /* what is wrong */

/* Milvus's longest name, and the engine's: the message says the one that was passed. */
#define MILVUS_NAME_BYTES_MAX 255u

static bool alpha(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

static int wrong(const char *name, const char *also_first, const char *also, size_t most)
{
    size_t size = strlen(name);
    if (size == 0) return EMPTY;
    if (size > most) return LONG;
    if (!alpha(name[0]) && !strchr(also_first, name[0])) return FIRST;
    for (size_t i = 1; i < size; i++)
        if (!alpha(name[i]) && !isdigit((unsigned char)name[i]) && !strchr(also, name[i])) return REST;
    return 0;
}

static bool collection_ok(fr_milvus_call *call, const char *what, const char *name)
{
    unsigned most = strlen(name) > MILVUS_NAME_BYTES_MAX ? MILVUS_NAME_BYTES_MAX : FR_NAME_BYTES_MAX + 1;
    switch (wrong(name, "_", "_", FR_NAME_BYTES_MAX)) {
    case 0: return true;
    case EMPTY: fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "collection %s should not be empty: invalid parameter", what); break;
    case LONG:
        fr_milvus_fail(call, MILVUS_INVALID_PARAMETER,
                       "Invalid collection %s: %.550s. the length of a collection %s must be less than %u characters: invalid parameter", what, name, what,
                       most);
        break;
    case FIRST:
        fr_milvus_fail(call, MILVUS_INVALID_PARAMETER,
                       "Invalid collection %s: %s. the first character of a collection %s must be an underscore or letter: invalid parameter", what, name,
                       what);
        break;
    default:
        fr_milvus_fail(call, MILVUS_INVALID_PARAMETER,
                       "Invalid collection %s: %s. collection %s can only contain numbers, letters and underscores: invalid parameter", what, name, what);
    }
    return false;
}

static bool database_ok(fr_milvus_call *call, const char *name)
{
    static const char *const why[] = {[FIRST] = "the first character of a database name must be an underscore or letter",
                                      [REST] = "database name can only contain numbers, letters and underscores",
                                      [EMPTY] = "database name couldn't be empty"};
    int fault = wrong(name, "_", "_", FR_NAME_BYTES_MAX);
    unsigned most = strlen(name) > MILVUS_NAME_BYTES_MAX ? MILVUS_NAME_BYTES_MAX : FR_NAME_BYTES_MAX + 1;
    if (!fault) return true;
    if (fault == LONG)
        fr_milvus_fail(call, MILVUS_DATABASE_INVALID_NAME,
                       "the length of a database name must be less than %u characters: invalid database name[database=%.550s]", most, name);
    else fr_milvus_fail(call, MILVUS_DATABASE_INVALID_NAME, "%s: invalid database name[database=%s]", why[fault], name);
    return false;
}

static bool partition_ok(fr_milvus_call *call, const char *name)
{
    static const char *const why[] = {[FIRST] = "The first character of a partition name must be an underscore or letter.",
                                      [REST] = "Partition name can only contain numbers, letters and underscores.",
                                      [EMPTY] = "Partition name should not be empty.",
                                      [LONG] = "The length of a partition name must be less than 255 characters."};
    int fault = wrong(name, "_0123456789", "_-", MILVUS_NAME_BYTES_MAX);
    if (fault) fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "Invalid partition name: %.550s. %s: invalid parameter", name, why[fault]);
    return !fault;
}

/* Words of Milvus's filter language. */
static bool keyword(const char *name)
{
    static const char *const words[] = {"$meta", "like", "exists", "EXISTS", "and", "or", "not", "in", "json_contains", "JSON_CONTAINS", "json_contains_all",
                                        "JSON_CONTAINS_ALL", "json_contains_any", "JSON_CONTAINS_ANY", "array_contains", "ARRAY_CONTAINS",
                                        "array_contains_all", "ARRAY_CONTAINS_ALL", "array_contains_any", "ARRAY_CONTAINS_ANY", "array_length",
                                        "ARRAY_LENGTH", "true", "True", "TRUE", "false", "False", "FALSE", "text_match", "TEXT_MATCH", "phrase_match",
                                        "PHRASE_MATCH", "random_sample", "RANDOM_SAMPLE"};
    for (size_t i = 0; i < FR_COUNT_OF(words); i++)
        if (strcmp(words[i], name) == 0) return true;
    return strcasecmp(name, "null") == 0;
}

static bool field_ok(fr_milvus_call *call, const char *name)
{
    static const char *const why[] = {[FIRST] = "The first character of a field name must be an underscore or letter.",
                                      [REST] = "Field name can only contain numbers, letters, and underscores.",
                                      [LONG] = "The length of a field name must be less than"};
    int fault = wrong(name, "_", "_", sizeof ((fr_field_def *)0)->name - 1);
    unsigned most = strlen(name) > MILVUS_NAME_BYTES_MAX ? MILVUS_NAME_BYTES_MAX : (unsigned)sizeof ((fr_field_def *)0)->name;
    if (!fault && !keyword(name)) return true;
    if (!fault)
        fr_milvus_fail(call, MILVUS_FIELD_INVALID_NAME, "Invalid field name: %s. %s is keyword in milvus.: field name invalid[field=%s]", name, name, name);
    else if (fault == EMPTY) fr_milvus_fail(call, MILVUS_FIELD_INVALID_NAME, "field name should not be empty: field name invalid[field=]");
    else if (fault == LONG)
        fr_milvus_fail(call, MILVUS_FIELD_INVALID_NAME, "Invalid field name: %.300s. %s %u characters.: field name invalid[field=%.300s]", name, why[fault],
                       most, name);
    else fr_milvus_fail(call, MILVUS_FIELD_INVALID_NAME, "Invalid field name: %s. %s: field name invalid[field=%s]", name, why[fault], name);
    return false;
}

static bool user_ok(fr_milvus_call *call, const char *name)
{
    int fault = wrong(name, "", "_-.", FR_USER_BYTES_MAX);
    if (fault == EMPTY) fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "username must be not empty: invalid parameter");
    if (fault == LONG)
        fr_milvus_fail(call, MILVUS_INVALID_PARAMETER,
                       "invalid username %.550s with length %zu, the length of username must be less than %u: invalid parameter", name, strlen(name),
                       FR_USER_BYTES_MAX);
    if (fault == FIRST)
        fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "invalid user name %s, the first character must be a letter: invalid parameter", name);
    if (fault == REST)
        fr_milvus_fail(call, MILVUS_INVALID_PARAMETER,
                       "invalid user name %s, username must contain only numbers, letters, underscores, dots, and hyphens: invalid parameter", name);
    return !fault;
}

static bool role_ok(fr_milvus_call *call, const char *name)
{
    int fault = wrong(name, "_", "_-.", FR_USER_BYTES_MAX);
    if (fault == EMPTY) fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "role name should be not empty: invalid parameter[expected=not empty][actual=]");
    if (fault == LONG)
        fr_milvus_fail(call, MILVUS_INVALID_PARAMETER,
                       "the length of role name must be not greater than limit: invalid parameter[%zu out of range 0 <= value <= %u]", strlen(name),
                       FR_USER_BYTES_MAX);
    if (fault == FIRST)
        fr_milvus_fail(call, MILVUS_INVALID_PARAMETER,
                       "the first character of role name must be an underscore or letter: invalid parameter[expected=95][actual=%u]", (unsigned char)name[0]);
    if (fault == REST)
        fr_milvus_fail(call, MILVUS_INVALID_PARAMETER,
                       "role name can only contain numbers, letters, underscores, and allowed characters (-.): invalid parameter");
    return !fault;
}

bool fr_milvus_name_ok(fr_milvus_call *call, fr_milvus_named what, const char *name)
{
    switch (what) {
    case MILVUS_NAMED_COLLECTION: return collection_ok(call, "name", name);
    case MILVUS_NAMED_ALIAS: return collection_ok(call, "alias", name);
    case MILVUS_NAMED_DATABASE: return database_ok(call, name);
    case MILVUS_NAMED_PARTITION: return partition_ok(call, name);
    case MILVUS_NAMED_FIELD: return field_ok(call, name);
    case MILVUS_NAMED_USER: return user_ok(call, name);
    case MILVUS_NAMED_ROLE: return role_ok(call, name);
    }
    return false;
}
