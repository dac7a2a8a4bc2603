/* milvus_rest_out.c: what REST's answers and requests are made of more than once. */
#include "api/milvus/milvus_rest_private.h"

void fr_milvus_rest_text_out(fr_milvus_rest *rest, const char *key, const char *text)
{
    fr_out_key(&rest->out, key);
    fr_out_cstring(&rest->out, text);
}

void fr_milvus_rest_int_out(fr_milvus_rest *rest, const char *key, int64_t value)
{
    fr_out_key(&rest->out, key);
    fr_out_int(&rest->out, value);
}

void fr_milvus_rest_flag_out(fr_milvus_rest *rest, const char *key, bool value)
{
    fr_out_key(&rest->out, key);
    fr_out_bool(&rest->out, value);
}

fr_milvus_next fr_milvus_rest_list_out(fr_milvus_rest *rest, char *const *items, size_t count)
{
    fr_milvus_rest_begin(rest);
    fr_out_begin(&rest->out, '[');
    for (size_t i = 0; i < count; i++) fr_out_cstring(&rest->out, items[i]);
    fr_out_end(&rest->out, ']');
    return fr_milvus_rest_end(rest);
}

void fr_milvus_rest_pairs_out(fr_milvus_rest *rest, Milvus__KeyValuePair *const *pairs, size_t count)
{
    fr_out_begin(&rest->out, '[');
    for (size_t i = 0; i < count; i++) {
        fr_out_begin(&rest->out, '{');
        fr_milvus_rest_text_out(rest, "key", pairs[i]->key);
        fr_milvus_rest_text_out(rest, "value", pairs[i]->value);
        fr_out_end(&rest->out, '}');
    }
    fr_out_end(&rest->out, ']');
}

fr_milvus_next fr_milvus_rest_one_flag(fr_milvus_rest *rest, const char *key, bool value)
{
    fr_milvus_rest_begin(rest);
    fr_out_begin(&rest->out, '{');
    fr_milvus_rest_flag_out(rest, key, value);
    fr_out_end(&rest->out, '}');
    return fr_milvus_rest_end(rest);
}

void fr_milvus_rest_names_out(fr_milvus_rest *rest, const char *key, char *const *names, size_t count)
{
    fr_out_key(&rest->out, key);
    fr_out_begin(&rest->out, '[');
    for (size_t i = 0; i < count; i++) fr_out_cstring(&rest->out, names[i]);
    fr_out_end(&rest->out, ']');
}

fr_milvus_next fr_milvus_rest_count_out(fr_milvus_rest *rest, Milvus__KeyValuePair *const *stats, size_t count)
{
    int64_t rows = 0;
    const char *text = fr_milvus_param(stats, count, "row_count");
    if (!text || !fr_milvus_int(text, &rows)) rows = 0;
    fr_milvus_rest_begin(rest);
    fr_out_begin(&rest->out, '{');
    fr_milvus_rest_int_out(rest, "rowCount", rows);
    fr_out_end(&rest->out, '}');
    return fr_milvus_rest_end(rest);
}

Milvus__KeyValuePair *fr_milvus_rest_pair_of(fr_milvus_rest *rest, const char *key, char *value)
{
    Milvus__KeyValuePair *pair = fr_milvus_message(&rest->call.arena, &milvus__key_value_pair__descriptor);
    if (pair) pair->key = fr_milvus_mut(key), pair->value = value;
    return pair;
}
