/* milvus_analyzer.c: RunAnalyzer: the terms of texts, by parameters or as a collection's field has them. */
#include "api/analyze.h"
#include "api/milvus/milvus_private.h"

#define TOKENS_MAX (1u << 20)

typedef struct terms {
    fr_milvus_call *call;
    Milvus__AnalyzerResult *out;
    size_t capacity;
    bool detail, hash, failed;
} terms;

static bool term_add(void *user, const fr_term *term)
{
    terms *self = user;
    Milvus__AnalyzerResult *out = self->out;
    if (out->n_tokens == self->capacity) {
        size_t capacity = FR_MAX(self->capacity * 2, (size_t)16);
        Milvus__AnalyzerToken **tokens = capacity > TOKENS_MAX ? NULL : fr_milvus_alloc(self->call, capacity * sizeof *tokens);
        if (!tokens) return !(self->failed = true);
        if (out->n_tokens) memcpy(tokens, out->tokens, out->n_tokens * sizeof *tokens);
        out->tokens = tokens, self->capacity = capacity;
    }
    Milvus__AnalyzerToken *token = fr_milvus_message(&self->call->arena, &milvus__analyzer_token__descriptor);
    if (!token || !(token->token = fr_milvus_text(self->call, "%.*s", (int)term->text.size, (const char *)term->text.data)))
        return !(self->failed = true);
    if (self->detail) {
        token->start_offset = (int64_t)term->start, token->end_offset = (int64_t)term->end;
        token->position = term->position, token->position_length = 1;
    }
    if (self->hash) token->hash = fr_term_hash(term->text);
    out->tokens[out->n_tokens++] = token;
    return true;
}

/* The parameters' JSON; NULL: the reply says why not. */
static const char *params_of(fr_milvus *door, fr_milvus_call *call)
{
    const Milvus__RunAnalyzerRequest *in = call->request;
    if (!in->collection_name[0]) return in->analyzer_params;
    if (!fr_milvus_may(door, call, FR_ACTION_READ, in->collection_name)) return NULL;
    const fr_milvus_schema *schema = fr_milvus_schema_in(door, call, in->collection_name);
    const fr_milvus_field *field = schema ? fr_milvus_field_of(schema, in->field_name) : NULL;
    if (!field) {
        if (schema) fr_milvus_fail(call, MILVUS_FIELD_NOT_FOUND, "field not found[field=%s]", in->field_name);
        return NULL;
    }
    const char *params = fr_milvus_pairs_get(&field->params, "analyzer_params");
    return params ? params : "";
}

static fr_code analyzer_make(fr_milvus_call *call, fr_milvus_worker *worker, const char *params, fr_analyzer **out)
{
    fr_doc_builder b = {0};
    fr_span bytes = {0};
    fr_code code = FR_OK;
    if (*params) code = fr_milvus_json_in(worker, fr_span_text(params), &call->arena, &b, &call->err);
    if (code == FR_OK && *params && fr_doc_finish(&b, &bytes) != FR_OK) code = fr_fail(&call->err, FR_ERR_INVALID, "analyzer_params", "cannot be read");
    if (code == FR_OK) code = fr_analyzer_create(fr_doc_root(bytes), out, &call->err);
    fr_doc_free(&b);
    return code;
}

fr_milvus_next fr_milvus_on_run_analyzer(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    const Milvus__RunAnalyzerRequest *in = call->request;
    fr_analyzer *analyzer = NULL;
    const char *params = params_of(door, call);
    if (!params) return FR_MILVUS_REPLY;
    fr_code code = analyzer_make(call, worker, params, &analyzer);
    if (code != FR_OK) return fr_milvus_fail_fr(call, FR_ERR_INVALID, &call->err, NULL, in->collection_name);
    Milvus__RunAnalyzerResponse *out = fr_milvus_message(&call->arena, call->rpc->reply);
    bool fine = out && (out->results = fr_milvus_alloc(call, in->n_placeholder * sizeof *out->results));
    for (size_t i = 0; fine && i < in->n_placeholder; i++) {
        terms self = {.call = call, .out = fr_milvus_message(&call->arena, &milvus__analyzer_result__descriptor),
                      .detail = in->with_detail, .hash = in->with_hash};
        if (!(fine = self.out != NULL)) break;
        fr_analyze(analyzer, fr_span_of(in->placeholder[i].data, in->placeholder[i].len), term_add, &self);
        fine = !self.failed;
        out->results[out->n_results++] = self.out;
    }
    fr_analyzer_free(analyzer);
    if (!fine) return fr_milvus_fail(call, MILVUS_MEMORY, "no memory for the terms");
    call->reply = out;
    return fr_milvus_done(call);
}
