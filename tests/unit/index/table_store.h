/* table_store.h: the chunks of one table in memory, as an engine would keep them: save into it, load from it. */
#ifndef FR_TABLE_STORE_H
#define FR_TABLE_STORE_H

#include "tests/unit/index/table_model.h"

typedef struct memory_store { /* chunks of one table, as an engine would keep them */
    struct {
        uint64_t id;
        void *data;
        size_t size;
        bool named;
    } chunks[4096];
    uint32_t count, written, kept;
} memory_store;

static inline uint32_t store_find(const memory_store *store, uint64_t id)
{
    uint32_t i = 0;
    while (i < store->count && store->chunks[i].id != id) i++;
    return i;
}

static inline fr_code store_chunk(fr_sink *sink, uint64_t id, const void *data, size_t size, fr_err *err)
{
    (void)err;
    memory_store *store = sink->user;
    uint32_t i = store_find(store, id);
    if (i == store->count) store->count++;
    assert_true(store->count < 4096);
    fr_free(FR_MEM_TEST, store->chunks[i].data);
    store->chunks[i].id = id;
    store->chunks[i].data = fr_alloc_aligned(FR_MEM_TEST, 64, size);
    store->chunks[i].size = size;
    store->chunks[i].named = true;
    memcpy(store->chunks[i].data, data, size);
    store->written++;
    return FR_OK;
}

static inline fr_code store_keep(fr_sink *sink, uint64_t id, fr_err *err)
{
    (void)err;
    memory_store *store = sink->user;
    uint32_t i = store_find(store, id);
    assert_true(i < store->count); /* only what an earlier save wrote may be kept */
    store->chunks[i].named = true;
    store->kept++;
    return FR_OK;
}

static inline fr_code store_get(fr_source *source, uint64_t id, void **data_out, size_t *size_out, fr_err *err)
{
    (void)err;
    memory_store *store = source->user;
    uint32_t i = store_find(store, id);
    if (i == store->count || !store->chunks[i].named) return FR_ERR_NOT_FOUND;
    *data_out = store->chunks[i].data;
    *size_out = store->chunks[i].size;
    return FR_OK;
}

static inline void store_clear(memory_store *store)
{
    for (uint32_t i = 0; i < store->count; i++) fr_free(FR_MEM_TEST, store->chunks[i].data);
    memset(store, 0, sizeof *store);
}

static inline fr_code save_table(fr_table *t, memory_store *store, fr_offset at, bool full)
{
    fr_sink sink = {.chunk = store_chunk, .keep = store_keep, .user = store};
    for (uint32_t i = 0; i < store->count; i++) store->chunks[i].named = false;
    fr_code code = fr_table_save_begin(t, at, full, NULL);
    if (code != FR_OK) return code;
    code = fr_table_save(t, &sink, NULL);
    fr_table_save_end(t, code == FR_OK);
    return code;
}

static inline fr_table *load_table(const fr_table_options *options, memory_store *store, fr_offset at)
{
    fr_source source = {.chunk = store_get, .user = store};
    fr_table *t = NULL;
    bool keeps;
    fr_err err = {0};
    fr_code code = fr_table_load(options, &source, at, &t, &keeps, &err);
    if (code != FR_OK) print_error("load: %s %s\n", fr_strcode(code), err.text);
    assert_int_equal(code, FR_OK);
    return t;
}

#endif
