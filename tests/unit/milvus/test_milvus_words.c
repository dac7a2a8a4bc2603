/* The words in which Milvus refuses things: clients' tests look for them, and users search the web for them. */
#include "tests/unit/milvus/milvus_help.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static carried one;

typedef struct said {
    const char *path, *body, *words;
} said;

static void each(const said *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *answer = carried_rest(&one, cases[i].path, cases[i].body);
        if (!strstr(answer, cases[i].words)) print_error("%s %s\n want %s\n got  %s\n", cases[i].path, cases[i].body, cases[i].words, answer);
        assert_non_null(strstr(answer, cases[i].words));
    }
}

static void fine(const char *path, const char *body)
{
    const char *answer = carried_rest(&one, path, body);
    if (strncmp(answer, "{\"code\":0", 9) != 0) print_error("%s %s\n got %s\n", path, body, answer);
    assert_int_equal(strncmp(answer, "{\"code\":0", 9), 0);
}

static char *with_long_name(const char *format)
{
    static char body[1024], name[301];
    memset(name, 'a', sizeof name - 1);
    snprintf(body, sizeof body, format, name);
    return body;
}

static void names(void **state)
{
    (void)state;
    fine("collections/create", "{\"collectionName\":\"c\",\"dimension\":4,\"metricType\":\"L2\"}");
    fine("collections/create", "{\"collectionName\":\"other\",\"dimension\":4,\"metricType\":\"L2\"}");
    fine("aliases/create", "{\"collectionName\":\"c\",\"aliasName\":\"al\"}");
    static const said cases[] = {
        {"collections/create", "{\"collectionName\":\"1c\",\"dimension\":4}",
         "Invalid collection name: 1c. the first character of a collection name must be an underscore or letter: invalid parameter"},
        {"collections/create", "{\"collectionName\":\"c d\",\"dimension\":4}", "collection name can only contain numbers, letters and underscores"},
        {"collections/describe", "{\"collectionName\":\"none\"}", "can't find collection[database=default][collection=none]"},
        {"collections/describe", "{\"collectionName\":\"%$#\"}", "Invalid collection name: %$#. the first character"},
        {"collections/load", "{\"collectionName\":\"none\"}", "collection not found[database=default][collection=none]"},
        {"collections/drop", "{\"collectionName\":\"c-d\"}", "Invalid collection name: c-d. collection name can only"},
        {"collections/drop", "{\"collectionName\":\"al\"}", "cannot drop the collection via alias = al"},
        {"collections/drop", "{\"collectionName\":\"c\"}", "unable to drop the collection [c] because it has associated aliases [al]"},
        {"collections/create", "{\"collectionName\":\"al\",\"dimension\":4}", "alias and collection name conflict[database=default][alias=al]"},
        {"aliases/alter", "{\"collectionName\":\"none\",\"aliasName\":\"al\"}", "collection not found[collection=none]"},
        {"collections/rename", "{\"collectionName\":\"other\",\"newCollectionName\":\"al\"}", "alias and collection name conflict[database=default][alias=al]"},
        {"collections/rename", "{\"collectionName\":\"other\",\"newCollectionName\":\"c\"}",
         "duplicated new collection name default:c with other collection name or alias"},
        {"collections/rename", "{\"collectionName\":\"al\",\"newCollectionName\":\"x\"}", "unsupported use an alias to rename collection, alias:al"},
        {"aliases/create", "{\"collectionName\":\"c\",\"aliasName\":\"12-s\"}", "Invalid collection alias: 12-s. the first character of a collection alias"},
        {"aliases/create", "{\"collectionName\":\"12-s\",\"aliasName\":\"b\"}", "Invalid collection name: 12-s."},
        {"aliases/create", "{\"collectionName\":\"c\",\"aliasName\":\"other\"}", "alias and collection name conflict[database=default][alias=other]"},
        {"aliases/alter", "{\"collectionName\":\"c\",\"aliasName\":\"other\"}", "alias and collection name conflict[database=default][alias=other]"},
        {"aliases/alter", "{\"collectionName\":\"none\",\"aliasName\":\"new\"}", "collection not found"},
        {"aliases/alter", "{\"collectionName\":\"c\",\"aliasName\":\"new\"}", "alias not found[database=default][alias=new]"},
        {"databases/create", "{\"dbName\":\"1x\"}",
         "the first character of a database name must be an underscore or letter: invalid database name[database=1x]"},
        {"databases/drop", "{\"dbName\":\"a b\"}", "database name can only contain numbers, letters and underscores: invalid database name[database=a b]"},
        {"partitions/create", "{\"collectionName\":\"c\",\"partitionName\":\"(mn)\"}",
         "Invalid partition name: (mn). The first character of a partition name must be an underscore or letter."},
        {"partitions/has", "{\"collectionName\":\"c\",\"partitionName\":\"a b\"}", "Partition name can only contain numbers, letters and underscores."},
        {"users/create", "{\"userName\":\"1x\",\"password\":\"secret1\"}", "invalid user name 1x, the first character must be a letter"},
        {"users/create", "{\"userName\":\"ann\",\"password\":\"short\"}", "invalid password"},
        {"users/grant_role", "{\"userName\":\"nobody\",\"roleName\":\"admin\"}", "not found the user, maybe the user isn't existed or internal system error"},
        {"users/grant_role", "{\"userName\":\"root\",\"roleName\":\"none\"}", "not found the role, maybe the role isn't existed or internal system error"},
        {"roles/grant_privilege", "{\"roleName\":\"admin\",\"objectType\":\"Thing\",\"objectName\":\"*\",\"privilege\":\"Search\"}",
         "the object entity in the request is nil or invalid"},
        {"roles/create", "{\"roleName\":\"1x\"}", "the first character of role name must be an underscore or letter"}};
    each(cases, FR_COUNT_OF(cases));
    each(&(said){"collections/create", with_long_name("{\"collectionName\":\"%s\",\"dimension\":4}"), "the length of a collection name must be less than 255"}, 1);
    each(&(said){"aliases/create", with_long_name("{\"collectionName\":\"c\",\"aliasName\":\"%s\"}"), "the length of a collection alias must be less than 255"}, 1);
    fine("databases/create", "{\"dbName\":\"d\"}");
    fine("collections/create", "{\"dbName\":\"d\",\"collectionName\":\"c\",\"dimension\":4}");
    each(&(said){"databases/drop", "{\"dbName\":\"d\"}", "database:d not empty, must drop all collections before drop database"}, 1);
    fine("collections/drop", "{\"dbName\":\"d\",\"collectionName\":\"c\"}");
    fine("databases/drop", "{\"dbName\":\"d\"}");
}

#define VECTOR "{\"fieldName\":\"v\",\"dataType\":\"FloatVector\",\"elementTypeParams\":{\"dim\":4}}"
#define KEY "{\"fieldName\":\"k\",\"dataType\":\"Int64\",\"isPrimary\":true}"
#define SCHEMA(fields) "collections/create", "{\"collectionName\":\"bad\",\"schema\":{\"fields\":[" fields "]}}"

static void schemas(void **state)
{
    (void)state;
    static const said cases[] = {
        {SCHEMA(KEY), "schema does not contain vector field: invalid parameter"},
        {SCHEMA(VECTOR), "primary key is not specified"},
        {SCHEMA(KEY "," VECTOR ",{\"fieldName\":\"m\",\"dataType\":\"Int64\",\"isPrimary\":true}"),
         "there are more than one primary key, field name = k, m"},
        {SCHEMA(VECTOR ",{\"fieldName\":\"k\",\"dataType\":\"Float\",\"isPrimary\":true}"), "the data type of primary key should be Int64 or VarChar"},
        {SCHEMA(VECTOR ",{\"fieldName\":\"k\",\"dataType\":\"VarChar\",\"isPrimary\":true}"),
         "type param(max_length) should be specified for the field(k)"},
        {SCHEMA(KEY "," VECTOR ",{\"fieldName\":\"s\",\"dataType\":\"VarChar\",\"elementTypeParams\":{\"max_length\":65536}}"),
         "the maximum length specified for the field(s) should be in (0, 65535], but got 65536 instead"},
        {SCHEMA(KEY "," VECTOR ",{\"fieldName\":\"a\",\"dataType\":\"Array\",\"elementDataType\":\"Int64\"}"),
         "type param(max_capacity) should be specified for array field a of collection bad"},
        {SCHEMA(KEY "," VECTOR ",{\"fieldName\":\"a\",\"dataType\":\"Array\",\"elementDataType\":\"Int64\",\"elementTypeParams\":{\"max_capacity\":4097}}"),
         "the maximum capacity specified for a Array should be in (0, 4096]"},
        {SCHEMA(KEY ",{\"fieldName\":\"v\",\"dataType\":\"FloatVector\",\"elementTypeParams\":{\"dim\":0}}"),
         "invalid dimension: 0. should be in range 2 ~ 32768"},
        {SCHEMA(KEY ",{\"fieldName\":\"v\",\"dataType\":\"FloatVector\",\"elementTypeParams\":{\"dim\":32769}}"),
         "invalid dimension: 32769 of field v. float vector dimension should be in range 2 ~ 32768"},
        {SCHEMA(KEY ",{\"fieldName\":\"v\",\"dataType\":\"BinaryVector\",\"elementTypeParams\":{\"dim\":9}}"),
         "invalid dimension: 9 of field v. binary vector dimension should be multiple of 8."},
        {SCHEMA(KEY ",{\"fieldName\":\"v\",\"dataType\":\"FloatVector\"}"), "dimension is not defined in field type params of field v"},
        {SCHEMA(KEY "," VECTOR "," VECTOR), "duplicated field name v found"},
        {SCHEMA(KEY "," VECTOR ",{\"fieldName\":\"and\",\"dataType\":\"Int64\"}"), "and is keyword in milvus"},
        {SCHEMA(KEY "," VECTOR ",{\"fieldName\":\"1\",\"dataType\":\"Int64\"}"),
         "Invalid field name: 1. The first character of a field name must be an underscore or letter.: field name invalid[field=1]"},
        {SCHEMA(KEY "," VECTOR ",{\"fieldName\":\"p\",\"dataType\":\"Float\",\"isPartitionKey\":true}"),
         "the data type of partition key should be Int64 or VarChar"},
        {SCHEMA(KEY "," VECTOR ",{\"fieldName\":\"p\",\"dataType\":\"Int8\",\"defaultValue\":300}"), "default value out of range"},
        {SCHEMA(KEY "," VECTOR ",{\"fieldName\":\"p\",\"dataType\":\"JSON\",\"defaultValue\":\"x\"}"), "type not support default_value, type:JSON, name:p"}};
    each(cases, FR_COUNT_OF(cases));
}

#define INDEX(rest) "indexes/create", "{\"collectionName\":\"x\",\"indexParams\":[{" rest "}]}"

static void indexes(void **state)
{
    (void)state;
    fine("collections/create",
         "{\"collectionName\":\"x\",\"schema\":{\"enableDynamicField\":true,\"fields\":[" KEY "," VECTOR
         ",{\"fieldName\":\"i\",\"dataType\":\"Int8Vector\",\"elementTypeParams\":{\"dim\":4}},{\"fieldName\":\"j\",\"dataType\":\"JSON\"},"
         "{\"fieldName\":\"f\",\"dataType\":\"Float\"},{\"fieldName\":\"s\",\"dataType\":\"VarChar\",\"elementTypeParams\":{\"max_length\":64}}]}}");
    static const said before[] = {{"collections/load", "{\"collectionName\":\"x\"}", "index not found[collection=x]"}};
    each(before, 1);
    fine(INDEX("\"fieldName\":\"v\",\"indexName\":\"vi\",\"metricType\":\"L2\",\"indexType\":\"HNSW\",\"params\":{\"M\":\"16\",\"efConstruction\":null}"));
    static const said cases[] = {
        {INDEX("\"fieldName\":\"zz\",\"indexType\":\"INVERTED\""), "json index must specify cast type: missing parameter"},
        {INDEX("\"fieldName\":\"i\",\"indexType\":\"NONSENSE\",\"metricType\":\"L2\""),
         "invalid parameter[expected=valid index][actual=invalid index type: NONSENSE]"},
        {INDEX("\"fieldName\":\"i\",\"indexType\":\"IVF_FLAT\",\"metricType\":\"L2\""), "data type Int8Vector can't build with this index IVF_FLAT"},
        {INDEX("\"fieldName\":\"i\",\"indexType\":\"HNSW\",\"metricType\":\"JACCARD\""), "int vector index does not support metric type: JACCARD"},
        {INDEX("\"fieldName\":\"v\",\"indexType\":\"HNSW\",\"metricType\":\"BM25\""), "float vector index does not support metric type: BM25"},
        {INDEX("\"fieldName\":\"v\",\"indexType\":\"HNSW\",\"metricType\":\"L2\",\"params\":{\"M\":2049}"), "param 'M' (2049) should be in range [2, 2048]"},
        {INDEX("\"fieldName\":\"v\",\"indexType\":\"HNSW\",\"metricType\":\"L2\",\"params\":{\"M\":16.5}"), "wrong data type in json, key: 'M'"},
        {INDEX("\"fieldName\":\"v\",\"indexType\":\"HNSW\",\"metricType\":\"L2\",\"params\":{\"M\":\"True\"}"), "invalid integer value, key: 'M', value: 'True'"},
        {INDEX("\"fieldName\":\"v\",\"indexType\":\"IVF_SQ8\",\"metricType\":\"L2\",\"params\":{\"nlist\":-1}"),
         "param 'nlist' (-1) should be in range [1, 65536]"},
        {INDEX("\"fieldName\":\"v\",\"indexName\":\"other\",\"metricType\":\"L2\",\"indexType\":\"FLAT\""),
         "creating multiple indexes on same field is not supported"},
        {INDEX("\"fieldName\":\"v\",\"indexName\":\"vi\",\"metricType\":\"COSINE\",\"indexType\":\"FLAT\""), "at most one distinct index is allowed per field"},
        {INDEX("\"fieldName\":\"k\",\"indexType\":\"BITMAP\""), "create bitmap index on primary key not supported"},
        {INDEX("\"fieldName\":\"f\",\"indexType\":\"BITMAP\""), "bitmap index are only supported on bool, int, string and array field"},
        {INDEX("\"fieldName\":\"f\",\"indexType\":\"TRIE\""), "TRIE are only supported on varchar field"},
        {INDEX("\"fieldName\":\"s\",\"indexType\":\"NGRAM\""), "Ngram index must specify both min_gram and max_gram"},
        {INDEX("\"fieldName\":\"s\",\"indexType\":\"NGRAM\",\"params\":{\"min_gram\":3,\"max_gram\":2}"), "invalid min_gram or max_gram value for Ngram index"},
        {INDEX("\"fieldName\":\"j\",\"indexType\":\"INVERTED\",\"params\":{\"json_cast_type\":\"nothing\"}"), "json_cast_type nothing is not supported"},
        {"collections/load", "{\"collectionName\":\"x\"}", "there is no vector index on field: [i], please create index firstly"},
        {"indexes/describe", "{\"collectionName\":\"x\",\"indexName\":\"none\"}", "index not found[indexName=none]"}};
    each(cases, FR_COUNT_OF(cases));
    /* several of a JSON field, each for a path; and of a key of the dynamic field */
    fine(INDEX("\"fieldName\":\"j\",\"indexName\":\"ja\",\"indexType\":\"INVERTED\",\"params\":{\"json_cast_type\":\"double\",\"json_path\":\"j['a']\"}"));
    fine(INDEX("\"fieldName\":\"j\",\"indexType\":\"INVERTED\",\"params\":{\"json_cast_type\":\"varchar\",\"json_path\":\"j['b'][0]\"}"));
    fine(INDEX("\"fieldName\":\"age\",\"indexName\":\"da\",\"indexType\":\"INVERTED\",\"params\":{\"json_cast_type\":\"double\"}"));
    fine(INDEX("\"fieldName\":\"i\",\"indexType\":\"HNSW\",\"metricType\":\"COSINE\""));
    static const said after[] = {
        {INDEX("\"fieldName\":\"j\",\"indexName\":\"jb\",\"indexType\":\"INVERTED\",\"params\":{\"json_cast_type\":\"double\",\"json_path\":\"j['a']\"}"),
         "creating multiple indexes on same field"},
        {"indexes/list", "{\"collectionName\":\"x\"}", "[\"vi\",\"ja\",\"j/b/0\",\"da\",\"i\"]"},
        {"indexes/describe", "{\"collectionName\":\"x\",\"indexName\":\"da\"}", "\"fieldName\":\"age\""},
        {"collections/describe", "{\"collectionName\":\"x\"}", "\"indexName\":\"da\",\"fieldName\":\"age\""}};
    each(after, FR_COUNT_OF(after));
    fine("collections/load", "{\"collectionName\":\"x\"}");
    static const said loaded[] = {{"indexes/drop", "{\"collectionName\":\"x\",\"indexName\":\"vi\"}", "vector index cannot be dropped on loaded collection"}};
    each(loaded, FR_COUNT_OF(loaded));
    fine("indexes/drop", "{\"collectionName\":\"x\",\"indexName\":\"da\"}");
}

#define FIND(rest) "entities/search", "{\"collectionName\":\"c\",\"data\":[[1,0,0,0]]," rest "}"
#define ASK(rest) "entities/query", "{\"collectionName\":\"c\"," rest "}"

static void reading(void **state)
{
    (void)state;
    fine("entities/insert", "{\"collectionName\":\"c\",\"data\":[{\"id\":1,\"vector\":[1,0,0,0]},{\"id\":2,\"vector\":[0,1,0,0]}]}");
    fine("partitions/create", "{\"collectionName\":\"c\",\"partitionName\":\"p\"}");
    fine("entities/insert", "{\"collectionName\":\"c\",\"partitionName\":\"p\",\"data\":[{\"id\":3,\"vector\":[0,0,1,0]}]}");
    static const said cases[] = {
        {FIND("\"annsField\":\"vector\",\"limit\":0"), "topk [0] is invalid, it should be in range [1, 16384], but got 0"},
        {FIND("\"annsField\":\"vector\",\"limit\":16385"), "topk [16385] is invalid, it should be in range [1, 16384]"},
        {FIND("\"annsField\":\"vector\",\"limit\":10,\"offset\":-1"), "offset [-1] is invalid"},
        {FIND("\"annsField\":\"vector\",\"limit\":10,\"offset\":16380"), "offset+topk [16390] is invalid"},
        {FIND("\"annsField\":\"none\",\"limit\":1"), "annsField none is no vector field"},
        {FIND("\"annsField\":\"vector\",\"limit\":1,\"partitionNames\":[\"none\"]"), "partition name none not found"},
        {FIND("\"annsField\":\"vector\",\"limit\":1,\"searchParams\":{\"metricType\":\"IP\"}"), "metric type not match: invalid parameter[expected=L2][actual=IP]"},
        {FIND("\"annsField\":\"vector\",\"limit\":1,\"searchParams\":{\"params\":{\"range_filter\":1.0}}"), "range_filter requires radius to be set"},
        {FIND("\"annsField\":\"vector\",\"limit\":1,\"searchParams\":{\"params\":{\"ef\":true}}"),
         "Type conflict in json: param 'ef' (true) should be integer"},
        {FIND("\"annsField\":\"vector\",\"limit\":1,\"searchParams\":{\"params\":{\"ef\":-1}}"), "param 'ef' (-1) should be in range [1, 2147483647]"},
        {ASK("\"filter\":\"id > 0\",\"limit\":10,\"offset\":-1"), "invalid max query result window, offset [-1] is invalid, should be gte than 0"},
        {ASK("\"filter\":\"id > 0\",\"limit\":16385"), "invalid max query result window, (offset+limit) should be in range [1, 16384], but got 16385"},
        {ASK("\"filter\":\" colour \",\"limit\":10"), "predicate is not a boolean expression: colour, data type: JSON"},
        {ASK("\"filter\":\"id\",\"limit\":10"), "predicate is not a boolean expression: id, data type: Int64"},
        {ASK("\"filter\":\"id >> <\",\"limit\":10"), "failed to create query plan: cannot parse expression: id >> <"},
        {"entities/delete", "{\"collectionName\":\"c\",\"filter\":\"id >> <\"}", "failed to create delete plan: cannot parse expression: id >> <"}};
    each(cases, FR_COUNT_OF(cases));
    fine(FIND("\"annsField\":\"vector\",\"limit\":1,\"searchParams\":{\"params\":{\"ef\":\"32\"}}"));
}

/* Rows as text, more than a document may have elsewhere. */
static void many_rows(void **state)
{
    (void)state;
    size_t room = 1u << 20, used = 0;
    char *body = fr_alloc(FR_MEM_TEST, room);
    fine("collections/create", "{\"collectionName\":\"many\",\"dimension\":4,\"metricType\":\"L2\"}");
    used += (size_t)snprintf(body, room, "{\"collectionName\":\"many\",\"data\":[");
    for (int i = 0; i < 9000; i++) used += (size_t)snprintf(body + used, room - used, "%s{\"id\":%d,\"vector\":[1,2,3,4.5]}", i ? "," : "", i);
    snprintf(body + used, room - used, "]}");
    const char *answer = carried_rest(&one, "entities/insert", body);
    assert_non_null(strstr(answer, "\"insertCount\":9000"));
    fr_free(FR_MEM_TEST, body);
}

/* Only what is loaded is read; what is not and is named says so. */
static void loading(void **state)
{
    (void)state;
    static const said all[] = {{ASK("\"filter\":\"\",\"limit\":9,\"outputFields\":[\"id\"]"), "[{\"id\":\"1\"},{\"id\":\"2\"},{\"id\":\"3\"}]"}};
    each(all, 1);
    fine("partitions/release", "{\"collectionName\":\"c\",\"partitionNames\":[\"p\"]}");
    static const said part[] = {{ASK("\"filter\":\"\",\"limit\":9,\"outputFields\":[\"id\"]"), "[{\"id\":\"1\"},{\"id\":\"2\"}]"},
                                {ASK("\"filter\":\"\",\"limit\":9,\"partitionNames\":[\"p\"]"), "partition not loaded[partition=p]"},
                                {"partitions/release", "{\"collectionName\":\"c\",\"partitionNames\":[\"none\"]}", "partition not found[partition=none]"}};
    each(part, FR_COUNT_OF(part));
    fine("collections/release", "{\"collectionName\":\"c\"}");
    static const said none[] = {{ASK("\"filter\":\"\",\"limit\":9"), "failed to query: collection not loaded[collection=c]"},
                                {FIND("\"annsField\":\"vector\",\"limit\":1"), "failed to search: collection not loaded[collection=c]"}};
    each(none, FR_COUNT_OF(none));
    fine("collections/load", "{\"collectionName\":\"c\"}");
    each(all, 1);
}

static int open_all(void **state)
{
    (void)state;
    carried_open(&one);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    carried_close(&one);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names), cmocka_unit_test(schemas), cmocka_unit_test(indexes), cmocka_unit_test(reading), cmocka_unit_test(many_rows),
                                       cmocka_unit_test(loading)};
    return cmocka_run_group_tests(tests, open_all, close_all);
}
