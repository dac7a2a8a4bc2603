/* Collections, indexes, partitions, aliases, databases through REST, which runs the handlers of gRPC, over a real database. */
#include "tests/unit/milvus/milvus_help.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static carried one;
static const char done[] = "{\"code\":0,\"data\":{}}";

#define ANSWERS(path, body, text) assert_string_equal(carried_rest(&one, path, body), text)
#define HAS(path, body, text) assert_non_null(strstr(carried_rest(&one, path, body), text))

static const char things[] =
    "{\"collectionName\":\"things\",\"description\":\"of all kinds\",\"schema\":{\"enableDynamicField\":true,\"fields\":["
    "{\"fieldName\":\"v\",\"dataType\":\"FloatVector\",\"elementTypeParams\":{\"dim\":4}},"
    "{\"fieldName\":\"key\",\"dataType\":\"VarChar\",\"isPrimary\":true,\"elementTypeParams\":{\"max_length\":64}},"
    "{\"fieldName\":\"b\",\"dataType\":\"BinaryVector\",\"elementTypeParams\":{\"dim\":16}},"
    "{\"fieldName\":\"n\",\"dataType\":\"Int32\",\"defaultValue\":7},"
    "{\"fieldName\":\"t\",\"dataType\":\"VarChar\",\"nullable\":true,\"elementTypeParams\":{\"max_length\":9}},"
    "{\"fieldName\":\"a\",\"dataType\":\"Array\",\"elementDataType\":\"Int64\",\"elementTypeParams\":{\"max_capacity\":4}}]}}";

static void schema_back(void **state)
{
    (void)state;
    ANSWERS("collections/create", things, done);
    ANSWERS("collections/create", things, done);
    HAS("collections/create", "{\"collectionName\":\"things\",\"dimension\":3}", "\"code\":65535");
    const char *shape = carried_rest(&one, "collections/describe", "{\"collectionName\":\"things\"}");
    static const char *const parts[] = {
        "\"name\":\"v\",\"type\":\"FloatVector\"", "\"id\":100,\"params\":[{\"key\":\"dim\",\"value\":\"4\"}]",
        "\"name\":\"key\",\"type\":\"VarChar\",\"primaryKey\":true", "\"id\":105,\"elementType\":\"Int64\"",
        "\"name\":\"t\",\"type\":\"VarChar\",\"primaryKey\":false,\"partitionKey\":false,\"clusteringKey\":false,\"autoId\":false,\"nullable\":true",
        "\"load\":\"LoadStateNotLoad\"", "\"enableDynamicField\":true", "\"indexes\":[]", "\"consistencyLevel\":\"Bounded\""};
    for (size_t i = 0; i < FR_COUNT_OF(parts); i++) assert_non_null(strstr(shape, parts[i]));
    fr_milvus_schema *schema = NULL;
    assert_int_equal(fr_milvus_schema_load(one.db, "default", "things", &schema, NULL), FR_OK);
    assert_int_equal(schema->fields[0].vector, 0);
    assert_int_equal(schema->fields[2].vector, 1);
    assert_int_equal(schema->fields[1].engine_field, FR_FIELD_KEY);
    assert_int_equal(fr_doc_int(schema->fields[3].default_value), 7);
    assert_int_equal(schema->fields[2].metric, FR_METRIC_HAMMING);
    fr_milvus_schema_free(schema);
}

#define WHOLE "{\"fieldName\":\"k\",\"dataType\":\"Int64\",\"isPrimary\":true},{\"fieldName\":\"v\",\"dataType\":\"FloatVector\",\"elementTypeParams\":{\"dim\":4}},"

/* Which words Milvus has for them: test_milvus_words.c. */
static void refused_schemas(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        const char *code;
    } cases[] = {{"{\"fieldName\":\"k\",\"dataType\":\"Int64\",\"isPrimary\":true}", "1100"},
                 {"{\"fieldName\":\"v\",\"dataType\":\"FloatVector\",\"elementTypeParams\":{\"dim\":4}}", "1100"},
                 {WHOLE "{\"fieldName\":\"s\",\"dataType\":\"VarChar\"}", "1101"},
                 {WHOLE "{\"fieldName\":\"k\",\"dataType\":\"Int64\"}", "1100"},
                 {WHOLE "{\"fieldName\":\"9\",\"dataType\":\"Int64\"}", "1701"},
                 {WHOLE "{\"fieldName\":\"x\",\"dataType\":\"Nothing\"}", "1100"},
                 {WHOLE "{\"fieldName\":\"x\",\"dataType\":\"Int8\",\"defaultValue\":\"text\"}", "1100"}};
    for (size_t i = 0; i < FR_COUNT_OF(cases); i++) {
        char body[512], code[32];
        snprintf(body, sizeof body, "{\"collectionName\":\"bad\",\"schema\":{\"fields\":[%s]}}", cases[i].fields);
        snprintf(code, sizeof code, "{\"code\":%s,", cases[i].code);
        assert_non_null(strstr(carried_rest(&one, "collections/create", body), code));
    }
    ANSWERS("collections/has", "{\"collectionName\":\"bad\"}", "{\"code\":0,\"data\":{\"has\":false}}");
}

static void indexes_and_loading(void **state)
{
    (void)state;
    HAS("collections/load", "{\"collectionName\":\"things\"}", "\"code\":700");
    ANSWERS("indexes/list", "{\"collectionName\":\"things\"}", "{\"code\":0,\"data\":[]}");
    ANSWERS("indexes/create",
            "{\"collectionName\":\"things\",\"indexParams\":[{\"fieldName\":\"v\",\"indexName\":\"vi\",\"metricType\":\"L2\",\"indexType\":\"HNSW\","
            "\"params\":{\"M\":24,\"efConstruction\":40}},{\"fieldName\":\"b\",\"indexType\":\"BIN_FLAT\",\"metricType\":\"JACCARD\"}]}",
            done);
    ANSWERS("indexes/list", "{\"collectionName\":\"things\"}", "{\"code\":0,\"data\":[\"vi\",\"b\"]}");
    HAS("indexes/describe", "{\"collectionName\":\"things\",\"indexName\":\"vi\"}", "\"indexType\":\"HNSW\",\"metricType\":\"L2\",\"totalRows\":0");
    fr_collection_info *info = fr_alloc(FR_MEM_TEST, sizeof *info);
    fr_id id;
    assert_int_equal(fr_resolve(one.db, "things", &id), FR_OK);
    assert_int_equal(fr_collection_get(one.db, id, info), FR_OK);
    for (uint32_t i = 0; i < info->def.field_count; i++) {
        if (strcmp(info->def.fields[i].name, "b") == 0) assert_int_equal(info->def.fields[i].metric, FR_METRIC_JACCARD);
        if (strcmp(info->def.fields[i].name, "v") != 0) continue;
        assert_int_equal(info->def.fields[i].metric, FR_METRIC_L2);
        assert_int_equal(info->def.fields[i].m, 24);
        assert_int_equal(info->def.fields[i].ef_construction, 40);
    }
    fr_free(FR_MEM_TEST, info);
    static const struct {
        const char *param, *code;
    } refused[] = {{"{\"fieldName\":\"v\",\"indexName\":\"other\",\"metricType\":\"L2\"}", "65535"},
                   {"{\"fieldName\":\"n\",\"indexType\":\"HNSW\"}", "1100"},
                   {"{\"fieldName\":\"n\",\"indexType\":\"NONSENSE\"}", "1100"},
                   {"{\"fieldName\":\"b\",\"metricType\":\"L2\"}", "1100"},
                   {"{\"fieldName\":\"none\",\"indexType\":\"HNSW\"}", "1100"}};
    for (size_t i = 0; i < FR_COUNT_OF(refused); i++) {
        char body[256], code[16];
        snprintf(body, sizeof body, "{\"collectionName\":\"things\",\"indexParams\":[%s]}", refused[i].param);
        snprintf(code, sizeof code, "\"code\":%s", refused[i].code);
        HAS("indexes/create", body, code);
    }
    ANSWERS("collections/load", "{\"collectionName\":\"things\"}", done);
    ANSWERS("collections/get_load_state", "{\"collectionName\":\"things\"}", "{\"code\":0,\"data\":{\"loadState\":\"LoadStateLoaded\",\"loadProgress\":100}}");
    HAS("indexes/drop", "{\"collectionName\":\"things\",\"indexName\":\"vi\"}", "\"code\":1100");
    ANSWERS("collections/release", "{\"collectionName\":\"things\"}", done);
    ANSWERS("indexes/drop", "{\"collectionName\":\"things\",\"indexName\":\"b\"}", done);
    ANSWERS("indexes/drop", "{\"collectionName\":\"things\",\"indexName\":\"b\"}", done);
    HAS("collections/get_load_state", "{\"collectionName\":\"none\"}", "\"code\":100");
}

static void partitions(void **state)
{
    (void)state;
    ANSWERS("partitions/create", "{\"collectionName\":\"things\",\"partitionName\":\"p\"}", done);
    ANSWERS("partitions/has", "{\"collectionName\":\"things\",\"partitionName\":\"p\"}", "{\"code\":0,\"data\":{\"has\":true}}");
    ANSWERS("partitions/get_stats", "{\"collectionName\":\"things\",\"partitionName\":\"p\"}", "{\"code\":0,\"data\":{\"rowCount\":0}}");
    HAS("partitions/get_stats", "{\"collectionName\":\"things\",\"partitionName\":\"q\"}", "\"code\":200");
    HAS("partitions/drop", "{\"collectionName\":\"things\",\"partitionName\":\"_default\"}", "\"code\":1100");
    ANSWERS("partitions/drop", "{\"collectionName\":\"things\",\"partitionName\":\"p\"}", done);
    ANSWERS("partitions/create", "{\"collectionName\":\"things\",\"partitionName\":\"p\"}", done);
    fr_milvus_schema *schema = NULL;
    assert_int_equal(fr_milvus_schema_load(one.db, "default", "things", &schema, NULL), FR_OK);
    assert_int_equal(schema->partitions[1].id, 2); /* 1 is not given again */
    fr_milvus_schema_free(schema);
    ANSWERS("collections/create",
            "{\"collectionName\":\"keyed\",\"params\":{\"partitionsNum\":3},\"schema\":{\"fields\":[{\"fieldName\":\"k\",\"dataType\":\"Int64\","
            "\"isPrimary\":true},{\"fieldName\":\"v\",\"dataType\":\"FloatVector\",\"elementTypeParams\":{\"dim\":2}},{\"fieldName\":\"g\","
            "\"dataType\":\"Int64\",\"isPartitionKey\":true}]}}",
            done);
    ANSWERS("partitions/list", "{\"collectionName\":\"keyed\"}", "{\"code\":0,\"data\":[\"_default_0\",\"_default_1\",\"_default_2\"]}");
    HAS("partitions/create", "{\"collectionName\":\"keyed\",\"partitionName\":\"p\"}", "\"code\":1100");
    ANSWERS("collections/drop", "{\"collectionName\":\"keyed\"}", done);
}

static void fields_and_properties(void **state)
{
    (void)state;
    ANSWERS("collections/fields/add", "{\"collectionName\":\"things\",\"schema\":{\"fieldName\":\"w\",\"dataType\":\"Double\",\"nullable\":true}}", done);
    HAS("collections/fields/add", "{\"collectionName\":\"things\",\"schema\":{\"fieldName\":\"x\",\"dataType\":\"Double\"}}", "must be nullable");
    HAS("collections/describe", "{\"collectionName\":\"things\"}", "\"name\":\"w\",\"type\":\"Double\"");
    HAS("collections/describe", "{\"collectionName\":\"things\"}", "\"id\":106}");
    ANSWERS("collections/fields/alter_properties", "{\"collectionName\":\"things\",\"fieldName\":\"t\",\"fieldParams\":{\"max_length\":20}}", done);
    HAS("collections/describe", "{\"collectionName\":\"things\"}", "{\"key\":\"max_length\",\"value\":\"20\"}");
    HAS("collections/fields/alter_properties", "{\"collectionName\":\"things\",\"fieldName\":\"t\",\"fieldParams\":{\"nullable\":false}}", "does not allow update");
    HAS("collections/fields/alter_properties", "{\"collectionName\":\"things\",\"fieldName\":\"n\",\"fieldParams\":{\"max_length\":2}}",
        "n can not modify the maxlength for non-string types");
    HAS("collections/fields/alter_properties", "{\"collectionName\":\"things\",\"fieldName\":\"none\",\"fieldParams\":{\"max_length\":2}}",
        "field none does not exist in collection things");
    ANSWERS("collections/fields/alter_properties",
            "{\"collectionName\":\"things\",\"fieldName\":\"t\",\"fieldParams\":{\"max_length\":2,\"field.description\":\"short\"}}", done);
    HAS("collections/describe", "{\"collectionName\":\"things\"}", "{\"key\":\"max_length\",\"value\":\"2\"}");
    HAS("collections/describe", "{\"collectionName\":\"things\"}", "\"description\":\"short\"");
    ANSWERS("collections/alter_properties", "{\"collectionName\":\"things\",\"properties\":{\"collection.description\":\"of some\"}}", done);
    HAS("collections/describe", "{\"collectionName\":\"things\"}", "\"description\":\"of some\"");
    ANSWERS("collections/alter_properties", "{\"collectionName\":\"things\",\"properties\":{\"collection.ttl.seconds\":5}}", done);
    HAS("collections/describe", "{\"collectionName\":\"things\"}", "{\"key\":\"collection.ttl.seconds\",\"value\":\"5\"}");
    ANSWERS("collections/drop_properties", "{\"collectionName\":\"things\",\"propertyKeys\":[\"collection.ttl.seconds\"]}", done);
    HAS("collections/describe", "{\"collectionName\":\"things\"}", "\"properties\":[]");
}

static void names(void **state)
{
    (void)state;
    ANSWERS("aliases/create", "{\"collectionName\":\"things\",\"aliasName\":\"stuff\"}", done);
    HAS("aliases/create", "{\"collectionName\":\"things\",\"aliasName\":\"things\"}", "\"code\":1601");
    ANSWERS("aliases/list", "{\"collectionName\":\"things\"}", "{\"code\":0,\"data\":[\"stuff\"]}");
    HAS("aliases/describe", "{\"aliasName\":\"none\"}", "\"code\":1600");
    HAS("collections/describe", "{\"collectionName\":\"stuff\"}", "\"collectionName\":\"things\"");
    HAS("collections/drop", "{\"collectionName\":\"things\"}", "\"code\":65535");
    ANSWERS("aliases/drop", "{\"aliasName\":\"stuff\"}", done);
    ANSWERS("collections/rename", "{\"collectionName\":\"things\",\"newCollectionName\":\"objects\"}", done);
    ANSWERS("collections/list", "{}", "{\"code\":0,\"data\":[\"objects\"]}");
    ANSWERS("collections/list", "null", "{\"code\":0,\"data\":[\"objects\"]}");
    HAS("collections/describe", "{\"collectionName\":\"objects\"}", "\"indexName\":\"vi\"");
    ANSWERS("databases/create", "{\"dbName\":\"d2\"}", done);
    HAS("databases/create", "{\"dbName\":\"d2\"}", "\"code\":65535");
    ANSWERS("databases/alter", "{\"dbName\":\"d2\",\"properties\":{\"k\":\"v\"}}", done);
    HAS("databases/describe", "{\"dbName\":\"d2\"}", "\"properties\":[{\"key\":\"k\",\"value\":\"v\"}]");
    ANSWERS("collections/create", "{\"dbName\":\"d2\",\"collectionName\":\"objects\",\"dimension\":2}", done);
    ANSWERS("collections/list", "{\"dbName\":\"d2\"}", "{\"code\":0,\"data\":[\"objects\"]}");
    HAS("databases/drop", "{\"dbName\":\"d2\"}", "\"code\":65535");
    ANSWERS("collections/drop", "{\"dbName\":\"d2\",\"collectionName\":\"objects\"}", done);
    ANSWERS("databases/drop", "{\"dbName\":\"d2\"}", done);
    HAS("collections/list", "{\"dbName\":\"d2\"}", "\"code\":800");
}

/* What another door made is seen, and what is said of it here is kept. */
static void other_doors(void **state)
{
    (void)state;
    fr_err err = {0};
    fr_collection_def def = {.name = "native", .dimension = 3, .metric = FR_METRIC_IP};
    fr_write write = {.kind = FR_WRITE_COLLECTION_CREATE, .def = &def};
    assert_int_equal(fr_submit_wait(one.db, &write, &err), FR_OK);
    const char *shape = carried_rest(&one, "collections/describe", "{\"collectionName\":\"native\"}");
    assert_non_null(strstr(shape, "\"name\":\"id\",\"type\":\"VarChar\",\"primaryKey\":true"));
    assert_non_null(strstr(shape, "\"load\":\"LoadStateLoaded\""));
    HAS("indexes/describe", "{\"collectionName\":\"native\",\"indexName\":\"vector\"}", "\"indexType\":\"AUTOINDEX\",\"metricType\":\"IP\"");
    ANSWERS("collections/release", "{\"collectionName\":\"native\"}", done);
    HAS("collections/describe", "{\"collectionName\":\"native\"}", "\"load\":\"LoadStateNotLoad\"");
    ANSWERS("collections/load", "{\"collectionName\":\"native\"}", done);
    ANSWERS("collections/drop", "{\"collectionName\":\"native\"}", done);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(schema_back), cmocka_unit_test(refused_schemas), cmocka_unit_test(indexes_and_loading),
                                       cmocka_unit_test(partitions),  cmocka_unit_test(fields_and_properties),
                                       cmocka_unit_test(names),       cmocka_unit_test(other_doors)};
    carried_open(&one);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    carried_close(&one);
    return failed;
}
