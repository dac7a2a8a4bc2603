/* milvus_index_rules.c: what Milvus refuses of an index: a type that does not fit the field, a metric, a parameter out of range. What is
 * refused here would be kept and described back without a meaning; clients' tests look for the words. */
#include "api/milvus/milvus_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* The form that names what was expected. */
static bool invalid(fr_milvus_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool invalid(fr_milvus_call *call, const char *format, ...)
{
    char words[512];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "%s: invalid parameter[expected=valid index params][actual=invalid index params]", words);
    return false;
}

/* ==== types ==== */

/* On what kinds of fields a type of index may stand. */
enum { FLOATS = 1, BITS = 2, SPARSE = 4, BYTES = 8, SCALAR = 16, DENSE = FLOATS | BYTES, ANY = 31 };
static const struct {
    const char *name;
    int kinds;
} types[] = {{"AUTOINDEX", ANY},
             {"FLAT", FLOATS},
             {"IVF_FLAT", FLOATS},
             {"IVF_SQ8", FLOATS},
             {"IVF_PQ", FLOATS},
             {"IVF_RABITQ", FLOATS},
             {"IVF_SQ_CC", FLOATS},
             {"IVF_FLAT_CC", FLOATS},
             {"HNSW", DENSE | BITS},
             {"HNSW_SQ", DENSE},
             {"HNSW_PQ", DENSE},
             {"HNSW_PRQ", DENSE},
             {"DISKANN", FLOATS},
             {"SCANN", FLOATS},
             {"GPU_CAGRA", FLOATS},
             {"GPU_IVF_FLAT", FLOATS},
             {"GPU_IVF_PQ", FLOATS},
             {"GPU_BRUTE_FORCE", FLOATS},
             {"BIN_FLAT", BITS},
             {"BIN_IVF_FLAT", BITS},
             {"MINHASH_LSH", BITS},
             {"SPARSE_INVERTED_INDEX", SPARSE},
             {"SPARSE_WAND", SPARSE},
             {"INVERTED", SCALAR},
             {"BITMAP", SCALAR},
             {"STL_SORT", SCALAR},
             {"TRIE", SCALAR},
             {"marisa-trie", SCALAR},
             {"NGRAM", SCALAR},
             {"RTREE", SCALAR}};

static int kind_of(const fr_milvus_field *field)
{
    switch (field->type) {
    case FR_TYPE_VECTOR_BINARY: return BITS;
    case FR_TYPE_VECTOR_SPARSE: return SPARSE;
    case FR_TYPE_VECTOR_I8: return BYTES;
    default: return field->type >= FR_TYPE_VECTOR_BINARY ? FLOATS : SCALAR;
    }
}

static bool type_ok(fr_milvus_call *call, const fr_milvus_field *field, const char *type)
{
    int kind = kind_of(field);
    for (size_t i = 0; i < FR_COUNT_OF(types); i++) {
        if (strcasecmp(types[i].name, type) != 0) continue;
        if (types[i].kinds & kind) return true;
        if (strncasecmp(type, "GPU_", 4) == 0) break; /* Milvus without a GPU knows none; on floats we are kinder */
        if (kind == SCALAR) return fr_milvus_bad(call, "index %s only supports vector data type", type);
        return fr_milvus_bad(call, "data type %s can't build with this index %s", fr_milvus_type_name(field->type), type);
    }
    fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "invalid parameter[expected=valid index][actual=invalid index type: %.100s]", type);
    return false;
}

/* ==== indexes of scalars ==== */

static bool among(const char *word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcasecmp(word, words[i]) == 0) return true;
    return false;
}

static bool whole(int32_t type) { return type == FR_TYPE_BOOL || (type >= FR_TYPE_INT8 && type <= FR_TYPE_INT64) || type == FR_TYPE_VARCHAR; }
static bool ordered(int32_t type) { return (whole(type) && type != FR_TYPE_BOOL) || type == FR_TYPE_FLOAT || type == FR_TYPE_DOUBLE; }

static bool ngram_ok(fr_milvus_call *call, const fr_milvus_field *field, const fr_milvus_pairs *pairs)
{
    const char *least = fr_milvus_pairs_get(pairs, "min_gram"), *most = fr_milvus_pairs_get(pairs, "max_gram");
    const char *cast = fr_milvus_pairs_get(pairs, "json_cast_type");
    int64_t low, high;
    if (field->type != FR_TYPE_VARCHAR && field->type != FR_TYPE_JSON) return fr_milvus_bad(call, "ngram index can only be created on VARCHAR or JSON field");
    if (field->type == FR_TYPE_JSON && !cast) return fr_milvus_bad(call, "JSON field with ngram index must specify json_cast_type");
    if (field->type == FR_TYPE_JSON && strcasecmp(cast, "VARCHAR") != 0)
        return fr_milvus_bad(call, "JSON field with ngram index only supports VARCHAR cast type, got: %.60s", cast);
    if (!least || !most) return fr_milvus_bad(call, "Ngram index must specify both min_gram and max_gram");
    if (!fr_milvus_int(least, &low)) return fr_milvus_bad(call, "min_gram for Ngram index must be an integer, got: %.60s", least);
    if (!fr_milvus_int(most, &high)) return fr_milvus_bad(call, "max_gram for Ngram index must be an integer, got: %.60s", most);
    if (low > 0 && low <= high) return true;
    return fr_milvus_bad(call, "invalid min_gram or max_gram value for Ngram index, min_gram: %lld, max_gram: %lld", (long long)low, (long long)high);
}

static bool json_ok(fr_milvus_call *call, const char *type, const fr_milvus_pairs *pairs)
{
    static const char *const casts[] = {"BOOL", "DOUBLE", "VARCHAR", "ARRAY_BOOL", "ARRAY_DOUBLE", "ARRAY_VARCHAR", "JSON"};
    static const char *const bitmap[] = {"BOOL", "VARCHAR"}, *const sorted[] = {"DOUBLE", "VARCHAR"};
    const char *cast = fr_milvus_pairs_get(pairs, "json_cast_type"), *function = fr_milvus_pairs_get(pairs, "json_cast_function");
    if (!cast) {
        fr_milvus_fail(call, MILVUS_MISSING_PARAMETER, "json index must specify cast type: missing parameter[missing_param=json_cast_type]");
        return false;
    }
    if (!among(cast, casts, FR_COUNT_OF(casts))) return fr_milvus_bad(call, "json_cast_type %.60s is not supported", cast);
    if (strcasecmp(type, "BITMAP") == 0 && !among(cast, bitmap, FR_COUNT_OF(bitmap)))
        return fr_milvus_bad(call, "json_cast_type %.60s is not supported for BITMAP index", cast);
    if (strcasecmp(type, "STL_SORT") == 0 && !among(cast, sorted, FR_COUNT_OF(sorted)))
        return fr_milvus_bad(call, "json_cast_type %.60s is not supported for STL_SORT index", cast);
    if (!function) return true;
    if (strcasecmp(function, "STRING_TO_DOUBLE") != 0) return fr_milvus_bad(call, "json_cast_function %.60s is not supported", function);
    if (strcasecmp(cast, "DOUBLE") == 0) return true;
    return fr_milvus_bad(call, "json_cast_function %.60s is not supported for json_cast_type %.60s", function, cast);
}

static bool scalar_ok(fr_milvus_call *call, const fr_milvus_field *field, const char *type, const fr_milvus_pairs *pairs)
{
    bool array = field->type == FR_TYPE_ARRAY, json = field->type == FR_TYPE_JSON;
    if (strcasecmp(type, "NGRAM") == 0) return ngram_ok(call, field, pairs);
    if (strcasecmp(type, "RTREE") == 0) return fr_milvus_bad(call, "RTREE index can only be built on geometry field");
    if (strcasecmp(type, "BITMAP") == 0) {
        if (field->primary) return fr_milvus_bad(call, "create bitmap index on primary key not supported");
        if (!json && !array && !whole(field->type)) return fr_milvus_bad(call, "bitmap index are only supported on bool, int, string and array field");
        if (array && !whole(field->element_type)) return fr_milvus_bad(call, "bitmap index are only supported on bool, int, string for array field");
    }
    bool trie = strcasecmp(type, "TRIE") == 0 || strcasecmp(type, "marisa-trie") == 0;
    if (trie && field->type != FR_TYPE_VARCHAR) return fr_milvus_bad(call, "TRIE are only supported on varchar field");
    if (strcasecmp(type, "STL_SORT") == 0 && !json && !ordered(field->type))
        return fr_milvus_bad(call, "STL_SORT are only supported on numeric, varchar or timestamptz field, got %s", fr_milvus_type_name(field->type));
    return !json || json_ok(call, type, pairs);
}

/* ==== parameters of indexes of vectors ==== */

static bool number_ok(fr_milvus_call *call, const char *key, const char *text, bool whole_number, double least, double most)
{
    char *end;
    if (!*text || strcmp(text, "None") == 0 || strcmp(text, "null") == 0) return true; /* as if it were not given */
    errno = 0;
    double number = strtod(text, &end);
    bool is_number = end != text && !*end;
    int64_t integer;
    if (!whole_number && !is_number) return fr_milvus_bad(call, "invalid float value, key: '%s', value: '%.60s'", key, text);
    if (whole_number && !fr_milvus_int(text, &integer)) {
        if (is_number) return fr_milvus_bad(call, "wrong data type in json, key: '%s', value: '%.60s'", key, text);
        return fr_milvus_bad(call, "invalid integer value, key: '%s', value: '%.60s'", key, text);
    }
    if (number >= least && number <= most) return true;
    if (whole_number) return fr_milvus_bad(call, "Out of range in json: param '%s' (%s) should be in range [%.0f, %.0f]", key, text, least, most);
    return fr_milvus_bad(call, "Out of range in json: param '%s' (%s) should be in range [%f, %f]", key, text, least, most);
}

static bool numbers_ok(fr_milvus_call *call, const char *type, const fr_milvus_pairs *pairs)
{
    static const struct {
        const char *type, *key; /* how a type's name begins */
        bool whole_number;
        double least, most;
    } known[] = {{"HNSW", "M", true, 2, 2048},           {"HNSW", "efConstruction", true, 1, INT32_MAX}, {"IVF_", "nlist", true, 1, 65536},
                 {"BIN_IVF", "nlist", true, 1, 65536},   {"SCANN", "nlist", true, 1, 65536},            {"HNSW_PQ", "nbits", true, 1, 24},
                 {"HNSW_PRQ", "nbits", true, 1, 24},     {"HNSW_PQ", "m", true, 1, 65536},              {"HNSW_PRQ", "m", true, 1, 65536},
                 {"HNSW_PRQ", "nrq", true, 1, 16},       {"IVF_PQ", "m", true, 1, 65536},               {"IVF_PQ", "nbits", true, 1, 64},
                 {"SPARSE_", "drop_ratio_build", false, 0, 1}, {"SPARSE_", "bm25_k1", false, 0, 3},     {"SPARSE_", "bm25_b", false, 0, 1}};
    for (size_t i = 0; i < FR_COUNT_OF(known); i++) {
        const char *text = fr_milvus_pairs_get(pairs, known[i].key);
        if (!text || strncasecmp(type, known[i].type, strlen(known[i].type)) != 0) continue;
        if (!number_ok(call, known[i].key, text, known[i].whole_number, known[i].least, known[i].most)) return false;
    }
    return true;
}

/* How HNSW_SQ and its kin keep and refine rows. */
static bool codes_ok(fr_milvus_call *call, const char *type, const fr_milvus_pairs *pairs)
{
    static const char *const sq[] = {"SQ4U", "SQ6", "SQ8", "FP16", "BF16"};
    static const char *const refine[] = {"SQ4U", "SQ6", "SQ8", "FP16", "BF16", "FP32", "FLAT"};
    const char *sq_type = fr_milvus_pairs_get(pairs, "sq_type"), *refine_type = fr_milvus_pairs_get(pairs, "refine_type");
    bool hnsw = strncasecmp(type, "HNSW_", 5) == 0 || strcasecmp(type, "IVF_RABITQ") == 0;
    if (strcasecmp(type, "HNSW_SQ") == 0 && sq_type && strcmp(sq_type, "None") != 0 && !among(sq_type, sq, FR_COUNT_OF(sq)))
        return fr_milvus_bad(call, "invalid scalar quantizer type");
    if (hnsw && refine_type && strcmp(refine_type, "None") != 0 && !among(refine_type, refine, FR_COUNT_OF(refine)))
        return fr_milvus_bad(call, "invalid refine type : %.60s, optional types are [sq4u, sq6, sq8, fp16, bf16, fp32, flat]", refine_type);
    static const char *const algorithms[] = {"TAAT_NAIVE", "DAAT_WAND", "DAAT_MAXSCORE", "BLOCK_MAX_WAND", "BLOCK_MAX_MAXSCORE"};
    const char *algorithm = fr_milvus_pairs_get(pairs, "inverted_index_algo");
    if (strncasecmp(type, "SPARSE_", 7) == 0 && algorithm && !among(algorithm, algorithms, FR_COUNT_OF(algorithms)))
        return fr_milvus_bad(call, "sparse inverted index algo %.60s not found or not supported, supported: [TAAT_NAIVE DAAT_WAND DAAT_MAXSCORE]", algorithm);
    return true;
}

static bool metric_ok(fr_milvus_call *call, const fr_milvus_field *field, const char *metric)
{
    fr_metric found;
    if (fr_milvus_metric_of(field, metric, &found)) return true;
    switch (kind_of(field)) {
    case FLOATS: return invalid(call, "float vector index does not support metric type: %.60s", metric);
    case BITS:
        if (strcasecmp(metric, "SUBSTRUCTURE") == 0 || strcasecmp(metric, "SUPERSTRUCTURE") == 0) /* Milvus has them for BIN_FLAT only */
            return fr_milvus_bad(call, "metric type %s not found or not supported, supported: [HAMMING JACCARD]", metric);
        return invalid(call, "binary vector index does not support metric type: %.60s", metric);
    case BYTES: return invalid(call, "int vector index does not support metric type: %.60s", metric);
    default: break;
    }
    if (field->function_output) return fr_milvus_bad(call, "index metric type of BM25 function output field must be BM25, got %.60s", metric);
    if (strcasecmp(metric, "BM25") == 0) return invalid(call, "only BM25 Function output field support BM25 metric type");
    return invalid(call, "only IP&BM25 is the supported metric type for sparse index");
}

/* ==== the whole ==== */

bool fr_milvus_index_ok(fr_milvus_call *call, const fr_milvus_field *field, const fr_milvus_pairs *pairs)
{
    const char *type = fr_milvus_pairs_get(pairs, "index_type"), *metric = fr_milvus_pairs_get(pairs, "metric_type");
    bool automatic = !type || !*type || strcasecmp(type, "AUTOINDEX") == 0;
    if (!automatic && !type_ok(call, field, type)) return false;
    if (kind_of(field) == SCALAR) return scalar_ok(call, field, automatic ? "INVERTED" : type, pairs);
    if (automatic) {
        for (uint32_t i = 0; i < pairs->count; i++) {
            const char *key = pairs->items[i].key;
            if (strcmp(key, "index_type") == 0 || strcmp(key, "metric_type") == 0) continue;
            if (!field->function_output) return fr_milvus_bad(call, "only metric type can be passed when use AutoIndex");
        }
    } else if ((!metric || !*metric) && !field->function_output) {
        return invalid(call, "metric type not set for vector index");
    }
    if (metric && *metric && !metric_ok(call, field, metric)) return false;
    return automatic || (numbers_ok(call, type, pairs) && codes_ok(call, type, pairs));
}

bool fr_milvus_index_name_ok(fr_milvus_call *call, const char *name)
{
    const char *why = NULL;
    if (strlen(name) > 255) why = "The length of a index name must be less than 255 characters.";
    bool letter = (name[0] >= 'A' && name[0] <= 'Z') || (name[0] >= 'a' && name[0] <= 'z');
    if (!why && name[0] && name[0] != '_' && !letter) why = "The first character of a index name must be an underscore or letter.";
    if (!why && name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_[]")])
        why = "Index name can only contain numbers, letters, and underscores.";
    return !why || fr_milvus_bad(call, "Invalid index name: %.255s. %s", name, why);
}
