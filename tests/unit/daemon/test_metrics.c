/* test_metrics.c: counters and histograms add up over loops and appear as Prometheus text. */
#include "api/milvus/milvus_rest.h"
#include "server/daemon/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static fr_counters first, second;

static double sample(const fr_out *out, const char *name)
{
    size_t size = strlen(name);
    for (const char *at = out->data, *end = out->data + out->size; at < end; at++) {
        if ((size_t)(end - at) > size + 1 && memcmp(at, name, size) == 0 && at[size] == ' ') return strtod(at + size, NULL);
        at = memchr(at, '\n', (size_t)(end - at));
        if (!at) break;
    }
    return -1;
}

static size_t op_named(const char *name)
{
    size_t op = 0;
    while (strcmp(fr_http_route_op(op), name) != 0) op++;
    return op;
}

static void loops_add_up(void **state)
{
    (void)state;
    size_t op = op_named("search");
    fr_counters_reply(&first, op, 200, 100000, 10, 20);    /* 0.1 ms */
    fr_counters_reply(&second, op, 200, 1500000, 10, 20);  /* 1.5 ms */
    fr_counters_reply(&second, op, 418, 20000000000, 1, 2); /* 20 s: over the last bucket */
    fr_counters_reply(&first, fr_http_route_count(), 404, 0, 0, 5);
    fr_counters_rpc(&first.grpc, 0, fr_milvus_answer_milvus(0), 100000, 3, 4);
    fr_counters_rpc(&second.grpc, 0, fr_milvus_answer_milvus(0), 100000, 3, 4);
    fr_counters_rpc(&second.grpc, fr_milvus_rpc_count(), fr_milvus_answer_grpc(FR_GRPC_UNIMPLEMENTED), 0, 0, 0);
    fr_counters_rpc(&second.rest, 0, fr_milvus_answer_milvus(12345), 100000, 5, 6);
    const fr_counters *all[] = {&first, &second};
    fr_metrics_source source = {.counters = all, .counter_count = 2, .connections = 3, .started_ms = 1500};
    fr_out out = {0};
    fr_metrics_write(&source, &out);
    assert_int_equal(out.code, FR_OK);
    fr_out_raw(&out, "\n", 1);
    assert_true(sample(&out, "freshet_requests_total{proto=\"http\",op=\"search\",code=\"200\"}") == 2);
    assert_true(sample(&out, "freshet_requests_total{proto=\"http\",op=\"search\",code=\"other\"}") == 1);
    assert_true(sample(&out, "freshet_requests_total{proto=\"http\",op=\"other\",code=\"404\"}") == 1);
    assert_true(sample(&out, "freshet_request_duration_seconds_bucket{proto=\"http\",op=\"search\",le=\"0.00025\"}") == 1);
    assert_true(sample(&out, "freshet_request_duration_seconds_bucket{proto=\"http\",op=\"search\",le=\"0.002\"}") == 2);
    assert_true(sample(&out, "freshet_request_duration_seconds_bucket{proto=\"http\",op=\"search\",le=\"8.192\"}") == 2);
    assert_true(sample(&out, "freshet_request_duration_seconds_bucket{proto=\"http\",op=\"search\",le=\"+Inf\"}") == 3);
    assert_true(sample(&out, "freshet_request_duration_seconds_count{proto=\"http\",op=\"search\"}") == 3);
    assert_true(sample(&out, "freshet_request_bytes_total{proto=\"http\",direction=\"in\"}") == 21);
    assert_true(sample(&out, "freshet_requests_total{proto=\"grpc\",op=\"Connect\",code=\"0\"}") == 2);
    assert_true(sample(&out, "freshet_requests_total{proto=\"grpc\",op=\"other\",code=\"UNIMPLEMENTED\"}") == 1);
    assert_true(sample(&out, "freshet_requests_total{proto=\"rest\",op=\"collections/list\",code=\"other\"}") == 1);
    assert_true(sample(&out, "freshet_request_duration_seconds_count{proto=\"grpc\",op=\"Connect\"}") == 2);
    assert_true(sample(&out, "freshet_request_bytes_total{proto=\"grpc\",direction=\"out\"}") == 8);
    assert_true(sample(&out, "freshet_connections{proto=\"http\"}") == 3);
    assert_true(sample(&out, "freshet_state{state=\"recovering\"}") == 1);
    assert_true(sample(&out, "freshet_start_time_seconds") == 1.5);
    fr_out_free(&out);
}

static void every_route_has_a_label(void **state)
{
    (void)state;
    assert_true(fr_http_route_count() + 1 <= FR_METRICS_OPS_MAX);
    assert_string_equal(fr_http_route_op(fr_http_route_count()), "other");
    assert_true(fr_milvus_rpc_count() + 1 <= FR_METRICS_RPCS_MAX && fr_milvus_rest_count() + 1 <= FR_METRICS_RPCS_MAX);
    assert_true(fr_milvus_answer_count() <= FR_METRICS_ANSWERS_MAX);
    assert_string_equal(fr_milvus_rpc_name(fr_milvus_rpc_count()), "other");
    assert_string_equal(fr_milvus_rest_name(fr_milvus_rest_count()), "other");
    assert_string_equal(fr_milvus_answer_name(fr_milvus_answer_milvus(100)), "100");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(loops_add_up), cmocka_unit_test(every_route_has_a_label)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
