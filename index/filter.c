/* filter.c: the doors of the filter: compile, match, keys; and a path alone. */
#include "index/filter_private.h"

static bool blank(fr_span text)
{
    const char *at = text.data;
    for (size_t i = 0; i < text.size; i++)
        if (at[i] != ' ' && at[i] != '\t' && at[i] != '\n' && at[i] != '\r') return false;
    return true;
}

static fr_code check_text(fr_span text, fr_err *err)
{
    if (text.size > FR_FILTER_BYTES_MAX)
        return fr_fail(err, FR_ERR_TOO_LARGE, "filter", "the filter has %zu bytes; the limit is %u", text.size,
                       FR_FILTER_BYTES_MAX);
    if (!fr_utf8_valid(text.data, text.size)) return fr_fail(err, FR_ERR_INVALID, "filter", "the filter is not UTF-8");
    return FR_OK;
}

/* The smallest set of keys that every match is in; NULL when there is none. */
static const fr_key_set *restriction(const fr_node *node)
{
    if (node->kind == FR_NODE_KEY_IN) return node->keys.comparable && node->keys.count > 0 ? &node->keys : NULL;
    if (node->kind != FR_NODE_AND) return NULL;
    const fr_key_set *best = NULL;
    for (const fr_node *term = node->left; term != NULL; term = term->next) {
        const fr_key_set *keys = restriction(term);
        if (keys != NULL && (best == NULL || keys->count < best->count)) best = keys;
    }
    return best;
}

static void free_analyzers(fr_filter_analyzer *one)
{
    for (; one != NULL; one = one->next) fr_analyzer_free(one->analyzer);
}

fr_code fr_filter_compile(fr_span text, const fr_filter_schema *schema, fr_span params, fr_filter **filter_out, fr_err *err)
{
    *filter_out = NULL;
    FR_TRY(check_text(text, err));
    if (params.size != 0) FR_TRY(fr_doc_check(params, err));
    if (blank(text)) return FR_OK;
    fr_arena arena;
    fr_arena_init(&arena, FR_MEM_SEARCH, 0); /* the limits of text and values bound it */
    fr_parser parser = {.lexer = {.text = text.data, .size = text.size, .arena = &arena, .err = err}, .params = fr_doc_root(params)};
    if (schema != NULL) parser.schema = *schema;
    fr_node *root = NULL;
    fr_code code = fr_filter_parse(&parser, &root);
    fr_filter *filter = code == FR_OK ? fr_arena_alloc(&arena, sizeof *filter) : NULL;
    if (filter == NULL) {
        if (code == FR_OK) code = fr_filter_no_memory(&parser);
        free_analyzers(parser.analyzers);
        fr_arena_free(&arena);
        return code;
    }
    const fr_key_set *keys = restriction(root);
    *filter = (fr_filter){.arena = arena, .root = root, .analyzers = parser.analyzers};
    if (keys != NULL) filter->keys = keys->keys, filter->key_count = keys->count;
    *filter_out = filter;
    return FR_OK;
}

void fr_filter_free(fr_filter *filter)
{
    if (filter == NULL) return;
    free_analyzers(filter->analyzers);
    fr_arena arena = filter->arena; /* the filter lies in it */
    fr_arena_free(&arena);
}

bool fr_filter_match(const fr_filter *filter, const fr_filter_row *row)
{
    return filter == NULL || fr_filter_test(filter->root, row) == FR_TRI_TRUE;
}

uint32_t fr_filter_keys(const fr_filter *filter, const fr_span **keys_out)
{
    *keys_out = filter != NULL ? filter->keys : NULL;
    return filter != NULL ? filter->key_count : 0;
}

fr_code fr_path_compile(fr_span text, fr_path **path_out, fr_err *err)
{
    *path_out = NULL;
    FR_TRY(check_text(text, err));
    fr_arena arena;
    fr_arena_init(&arena, FR_MEM_SEARCH, 0);
    fr_parser parser = {.lexer = {.text = text.data, .size = text.size, .arena = &arena, .err = err}};
    fr_steps steps = {.at = NULL};
    fr_code code = fr_filter_parse_path(&parser, &steps);
    fr_path *path = code == FR_OK ? fr_arena_alloc(&arena, sizeof *path) : NULL;
    if (path == NULL) {
        if (code == FR_OK) code = fr_filter_no_memory(&parser);
        fr_arena_free(&arena);
        return code;
    }
    *path = (fr_path){.arena = arena, .steps = steps};
    *path_out = path;
    return FR_OK;
}

void fr_path_free(fr_path *path)
{
    if (path == NULL) return;
    fr_arena arena = path->arena;
    fr_arena_free(&arena);
}
