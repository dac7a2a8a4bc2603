/* fuzz_http_body.c: the first byte chooses who reads the rest: upsert, search, any body, or a request head. Whatever it is, it is
 * answered; what is taken as JSON is written out and read again with the same result. */
#include "api/http/json_in.h"
#include "api/http/json_out.h"
#include "server/daemon/headscan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static fr_json_dom *dom;
static fr_arena arena;
static fr_doc_builder rest, scratch[2];
static fr_batch batch;

static fr_code embed(void *user, fr_span text, float *out, fr_err *err)
{
    (void)user, (void)err;
    out[0] = (float)text.size, out[1] = 1;
    return FR_OK;
}

static void upsert(fr_json_body body)
{
    fr_err err = {.code = FR_OK};
    fr_json_schema schema = {.field_count = 3,
                             .fields = {{.name = "v", .id = FR_FIELD_VECTOR, .form = {FR_TYPE_VECTOR_F32, FR_METRIC_COSINE, 2}},
                                        {.name = "s", .id = 3, .nullable = true, .form = {.type = FR_TYPE_VECTOR_SPARSE, .metric = FR_METRIC_IP}},
                                        {.name = "b", .id = 4, .nullable = true, .form = {FR_TYPE_VECTOR_BINARY, FR_METRIC_HAMMING, 16}}},
                             .embed = embed};
    fr_code code = fr_json_in_upsert(dom, body, &schema, &arena, &rest, scratch, &batch, &err);
    FR_ASSERT(code == FR_OK ? batch.count > 0 : err.text[0] != 0);
}

static void any(fr_json_body body, fr_json_vectors *vectors)
{
    fr_err err = {.code = FR_OK};
    fr_span bytes, again_bytes;
    if (fr_json_in_body(dom, body, &arena, &rest, vectors, &err) != FR_OK) {
        FR_ASSERT(err.text[0] != 0);
        return;
    }
    FR_ASSERT(fr_doc_finish(&rest, &bytes) == FR_OK && fr_doc_check(bytes, &err) == FR_OK);
    if (vectors) return;
    fr_out out = {0};
    fr_doc_builder again = {0};
    fr_out_doc(&out, fr_doc_root(bytes));
    FR_ASSERT(out.code == FR_OK);
    FR_ASSERT(fr_json_in_body(dom, (fr_json_body){{out.data, out.size}, out.size}, &arena, &again, NULL, &err) == FR_OK);
    FR_ASSERT(fr_doc_finish(&again, &again_bytes) == FR_OK && fr_span_equal(bytes, again_bytes));
    fr_doc_free(&again);
    fr_out_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!dom) {
        dom = fr_json_dom_create();
        FR_ASSERT(dom != NULL);
        fr_arena_init(&arena, FR_MEM_TEST, 0);
    }
    if (!size) return 0;
    fr_arena_reset(&arena);
    fr_doc_reset(&rest);
    fr_batch_reset(&batch);
    fr_json_body body = {{data + 1, size - 1}, size - 1};
    fr_json_vectors vectors = {.form = {FR_TYPE_VECTOR_F32, FR_METRIC_L2, 2}};
    if (data[0] & 4) vectors.form = (fr_json_form){.type = FR_TYPE_VECTOR_SPARSE, .metric = FR_METRIC_IP};
    switch (data[0] & 3) {
    case 0: upsert(body); break;
    case 1: any(body, &vectors); break;
    case 2: any(body, NULL); break;
    default: (void)fr_head_scan((const char *)data + 1, size - 1); break;
    }
    return 0;
}
