/* test_routes.c: the door over memory, with a real database in a temporary directory. A small carrier steps calls: no sockets. */
#include "api/http/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <dirent.h>
#include <jansson.h>
#include <semaphore.h>
#include <time.h>

static char directory[] = "/tmp/freshet-routes-XXXXXX";
static fr_db *db;
static fr_http door;
static fr_http_worker worker, loop_worker;
static fr_http_call call;
static sem_t woken;

static void wake(fr_http_call *c)
{
    (void)c;
    sem_post(&woken);
}

static void must_open(void)
{
    fr_err err = {0};
    fr_options options = {0};
    fr_code code = fr_open(directory, &options, &db, &err);
    if (code != FR_OK) print_error("open: %s %s\n", fr_strcode(code), err.text);
    assert_int_equal(code, FR_OK);
    assert_int_equal(fr_searcher_create(db, &worker.searcher), FR_OK);
    atomic_store(&door.db, db);
    atomic_store(&door.state, FR_HTTP_SERVING);
}

static void must_close(void)
{
    atomic_store(&door.db, NULL);
    fr_searcher_free(worker.searcher);
    fr_close(db);
}

static int open_all(void **state)
{
    (void)state;
    if (!mkdtemp(directory)) return -1;
    sem_init(&woken, 0, 0);
    worker.dom = fr_json_dom_create();
    loop_worker.dom = fr_json_dom_create();
    loop_worker.loop = true;
    fr_http_call_init(&call);
    call.wake = wake;
    must_open();
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    must_close();
    fr_http_call_free(&call);
    fr_json_dom_free(worker.dom);
    fr_json_dom_free(loop_worker.dom);
    char command[80];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

/* ---- the carrier ---- */

static void wait_woken(int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000, until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
    while (sem_timedwait(&woken, &until) != 0) {
        if (fr_http_expire(&door, &call) == FR_HTTP_REPLY) return;
        sem_wait(&woken);
        return;
    }
}

static int request(const char *method, const char *target, const char *body)
{
    fr_http_call_reset(&call);
    const char *mark = strchr(target, '?');
    size_t size = mark ? (size_t)(mark - target) : strlen(target);
    call.method = fr_span_text(method);
    call.path = fr_span_of(target, size);
    call.query = mark ? fr_span_text(mark + 1) : fr_span_of("", 0);
    call.body = (fr_json_body){fr_span_text(body ? body : ""), body ? strlen(body) : 0};
    fr_http_next next = fr_http_begin(&door, &call, &loop_worker);
    while (next != FR_HTTP_REPLY) {
        if (next == FR_HTTP_SUBMITTED) {
            sem_wait(&woken);
            next = fr_http_step(&door, &call, &loop_worker);
        } else if (next == FR_HTTP_WAIT) {
            next = fr_http_arm(&door, &call);
            if (next == FR_HTTP_REPLY) break;
            wait_woken(call.wait_ms);
            if (call.status) break;
            next = fr_http_step(&door, &call, &loop_worker);
        } else {
            next = fr_http_step(&door, &call, &worker);
        }
    }
    assert_true(call.status >= 200 && call.status < 600);
    assert_non_null(call.content_type);
    return call.status;
}

/* The answer, read by jansson; the caller frees. */
static json_t *answer(int status, const char *method, const char *target, const char *body)
{
    int got = request(method, target, body);
    if (got != status) print_error("%s %s %s\n -> %d %.*s\n", method, target, body ? body : "", got, (int)call.out.size, call.out.data);
    assert_int_equal(got, status);
    json_error_t error;
    json_t *root = json_loadb(call.out.data, call.out.size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (!root) print_error("%s\n%.*s\n", error.text, (int)call.out.size, call.out.data);
    assert_non_null(root);
    return root;
}

static void done(int status, const char *method, const char *target, const char *body) { json_decref(answer(status, method, target, body)); }

static void refused(int status, const char *field, const char *method, const char *target, const char *body)
{
    json_t *root = answer(status, method, target, body);
    json_t *error = json_object_get(root, "error");
    const char *named = json_string_value(json_object_get(error, "field"));
    if ((field != NULL) != (named != NULL) || (field && strcmp(field, named) != 0))
        print_error("%s %s %s\n -> field %s, wanted %s: %s\n", method, target, body ? body : "", named ? named : "null", field ? field : "null",
                    json_string_value(json_object_get(error, "message")));
    if (field) assert_string_equal(named, field);
    else assert_null(named);
    assert_true(json_string_length(json_object_get(error, "message")) > 0);
    assert_true(json_string_length(json_object_get(error, "code")) > 0);
    if (status == 429 || status == 503) assert_true(call.retry_after_s > 0);
    json_decref(root);
}

static json_int_t number(json_t *root, const char *name) { return json_integer_value(json_object_get(root, name)); }

/* ---- tests ---- */

static void collection_life(void **state)
{
    (void)state;
    json_t *root = answer(200, "POST", "/v1/collections", "{\"name\":\"life\",\"dimension\":3,\"metric\":\"l2\"}");
    assert_int_equal(number(root, "dimension"), 3);
    assert_int_equal(number(root, "count"), 0);
    assert_string_equal(json_string_value(json_object_get(root, "metric")), "l2");
    json_decref(root);
    refused(409, "name", "POST", "/v1/collections", "{\"name\":\"life\",\"dimension\":3,\"metric\":\"l2\"}");
    root = answer(200, "GET", "/v1/collections", NULL);
    assert_int_equal(json_array_size(json_object_get(root, "collections")), 1);
    json_decref(root);
    done(200, "DELETE", "/v1/collections/life", NULL);
    refused(404, "collection", "GET", "/v1/collections/life", NULL);
    refused(404, "collection", "DELETE", "/v1/collections/life", NULL);
}

static void bad_creations(void **state)
{
    (void)state;
    static const struct { const char *field, *body; } rows[] = {
        {"name", "{\"dimension\":3}"},
        {"name", "{\"name\":\"\",\"dimension\":3}"},
        {"name", "{\"name\":\"..\",\"dimension\":3}"},
        {"name", "{\"name\":\"a/b\",\"dimension\":3}"},
        {"name", "{\"name\":\"__x\",\"dimension\":3}"},
        {"name", "{\"name\":7,\"dimension\":3}"},
        {"dimension", "{\"name\":\"x\"}"},
        {"dimension", "{\"name\":\"x\",\"dimension\":0}"},
        {"dimension", "{\"name\":\"x\",\"dimension\":32769}"},
        {"dimension", "{\"name\":\"x\",\"dimension\":-1}"},
        {"dimension", "{\"name\":\"x\",\"dimension\":1.5}"},
        {"dimension", "{\"name\":\"x\",\"dimension\":\"3\"}"},
        {"metric", "{\"name\":\"x\",\"dimension\":3,\"metric\":\"hamming\"}"},
        {"metric", "{\"name\":\"x\",\"dimension\":8,\"vector_type\":\"binary\",\"metric\":\"l2\"}"},
        {"dimension", "{\"name\":\"x\",\"dimension\":9,\"vector_type\":\"binary\"}"},
        {"dimension", "{\"name\":\"x\",\"dimension\":262152,\"vector_type\":\"binary\"}"},
        {"partitions", "{\"name\":\"x\",\"dimension\":3,\"partitions\":65}"},
        {"partitions", "{\"name\":\"x\",\"dimension\":3,\"partitions\":0}"},
        {"codes", "{\"name\":\"x\",\"dimension\":3,\"codes\":\"pq\"}"},
        {"id_type", "{\"name\":\"x\",\"dimension\":3,\"id_type\":\"uuid\"}"},
        {"embedder.type", "{\"name\":\"x\",\"dimension\":3,\"embedder\":{\"type\":\"openai\"}}"},
        {"embedder.dimension", "{\"name\":\"x\",\"dimension\":3,\"embedder\":{\"type\":\"hash\",\"dimension\":4}}"},
        {"color", "{\"name\":\"x\",\"dimension\":3,\"color\":1}"},
        {"body", "{\"name\":\"x\",\"dimension\":3"},
        {"body", "[]"},
        {"body", ""},
    };
    for (size_t i = 0; i < FR_COUNT_OF(rows); i++) refused(400, rows[i].field, "POST", "/v1/collections", rows[i].body);
}

static void write_search_read(void **state)
{
    (void)state;
    done(200, "POST", "/v1/collections", "{\"name\":\"c\",\"dimension\":2,\"metric\":\"l2\"}");
    json_t *root = answer(200, "POST", "/v1/collections/c/upsert",
                          "{\"records\":[{\"id\":\"a\",\"vector\":[0,0],\"metadata\":{\"color\":\"red\",\"n\":1}},"
                          "{\"id\":7,\"vector\":[1,0],\"metadata\":{\"color\":\"blue\"},\"timestamp\":1000,\"model_version\":\"m1\"},"
                          "{\"id\":\"b\",\"vector\":[5,5]}]}");
    assert_int_equal(number(root, "upserted"), 3);
    assert_int_equal(number(root, "duplicates"), 0);
    json_t *offsets = json_object_get(json_object_get(root, "offsets"), "0");
    assert_int_equal(number(offsets, "first"), 0);
    assert_int_equal(number(offsets, "last"), 2);
    json_decref(root);

    root = answer(200, "POST", "/v1/collections/c/search", "{\"vector\":[0,0],\"k\":2,\"explain\":true}");
    json_t *hits = json_object_get(root, "hits");
    assert_int_equal(json_array_size(hits), 2);
    json_t *first = json_array_get(hits, 0), *second = json_array_get(hits, 1);
    assert_string_equal(json_string_value(json_object_get(first, "id")), "a");
    assert_int_equal(number(second, "id"), 7);
    assert_true(json_number_value(json_object_get(second, "distance")) == 1.0);
    assert_true(json_number_value(json_object_get(second, "score")) == -1.0);
    assert_int_equal(number(second, "offset"), 1);
    assert_int_equal(number(second, "timestamp"), 1000);
    assert_string_equal(json_string_value(json_object_get(json_object_get(first, "metadata"), "color")), "red");
    assert_non_null(json_object_get(json_object_get(root, "explain"), "plan"));
    assert_null(json_object_get(first, "vector"));
    json_decref(root);

    root = answer(200, "POST", "/v1/collections/c/search",
                  "{\"vectors\":[[0,0],[5,5]],\"k\":1,\"filter\":\"color == \\\"red\\\" or id == \\\"b\\\"\",\"output\":[\"n\"],\"with_vector\":true}");
    hits = json_object_get(root, "hits");
    assert_int_equal(json_array_size(hits), 2);
    first = json_array_get(json_array_get(hits, 0), 0);
    assert_int_equal(json_array_size(json_object_get(first, "vector")), 2);
    assert_int_equal(json_object_size(json_object_get(first, "metadata")), 1);
    json_decref(root);

    root = answer(200, "POST", "/v1/collections/c/get", "{\"ids\":[\"b\",\"missing\",\"7\",\"a\"],\"with_vector\":true}");
    json_t *records = json_object_get(root, "records");
    assert_int_equal(json_array_size(records), 3);
    assert_string_equal(json_string_value(json_object_get(json_array_get(records, 0), "id")), "b");
    json_decref(root);

    root = answer(200, "POST", "/v1/collections/c/count", "{}");
    assert_int_equal(number(root, "count"), 3);
    json_decref(root);
    root = answer(200, "POST", "/v1/collections/c/count", "{\"filter\":\"n == 1\"}");
    assert_int_equal(number(root, "count"), 1);
    json_decref(root);
    root = answer(200, "POST", "/v1/collections/c/count", "{\"filter\":\"n in {l}\",\"params\":{\"l\":[1,99]}}");
    assert_int_equal(number(root, "count"), 1);
    json_decref(root);
    root = answer(200, "POST", "/v1/collections/c/scroll", "{\"filter\":\"id in {l} and n is null\",\"params\":{\"l\":[\"b\",\"zz\"]}}");
    assert_int_equal(json_array_size(json_object_get(root, "records")), 1);
    json_decref(root);
    root = answer(200, "POST", "/v1/collections/c/delete", "{\"filter\":\"color == {c}\",\"params\":{\"c\":\"none such\"}}");
    assert_int_equal(number(root, "deleted"), 0);
    json_decref(root);

    root = answer(200, "POST", "/v1/collections/c/delete", "{\"ids\":[\"a\",\"never\"]}");
    assert_int_equal(number(root, "deleted"), 1);
    json_decref(root);
    root = answer(200, "POST", "/v1/collections/c/delete", "{\"filter\":\"color == \\\"blue\\\"\"}");
    assert_int_equal(number(root, "deleted"), 1);
    json_decref(root);
    root = answer(200, "POST", "/v1/collections/c/count", NULL);
    assert_int_equal(number(root, "count"), 1);
    json_decref(root);
}

static void bad_searches_and_writes(void **state)
{
    (void)state;
    done(200, "POST", "/v1/collections", "{\"name\":\"bad\",\"dimension\":2,\"metric\":\"cosine\",\"partitions\":2}");
    static const struct { const char *field, *verb, *body; } rows[] = {
        {"vector", "search", "{}"},
        {"vector", "search", "{\"vector\":[1]}"},
        {"vector", "search", "{\"vector\":[0,0]}"},
        {"vector[0]", "search", "{\"vector\":[1e39,0]}"},
        {"k", "search", "{\"vector\":[1,0],\"k\":0}"},
        {"k", "search", "{\"vector\":[1,0],\"k\":1000000000}"},
        {"k", "search", "{\"vector\":[1,0],\"k\":16000,\"offset\":1000}"},
        {"ef", "search", "{\"vector\":[1,0],\"ef\":9223372036854775807}"},
        {"ef", "search", "{\"vector\":[1,0],\"ef\":99999999999999999999}"},
        {"filter", "search", "{\"vector\":[1,0],\"filter\":\"a ==\"}"},
        {"filter", "search", "{\"vector\":[1,0],\"filter\":7}"},
        {"filter", "count", "{\"filter\":\"(((\"}"},
        {"filter", "search", "{\"vector\":[1,0],\"filter\":\"a == {x}\",\"params\":{\"y\":1}}"},
        {"filter", "scroll", "{\"filter\":\"a = 1\"}"},
        {"filter", "delete", "{\"filter\":\"a = 1\"}"},
        {"filter", "delete", "{\"filter\":\"  \"}"},
        {"ids", "delete", "{}"},
        {"filter", "delete", "{\"ids\":[1],\"filter\":\"a == 1\"}"},
        {"ids", "delete", "{\"ids\":[]}"},
        {"ids[1]", "delete", "{\"ids\":[1,2.5]}"},
        {"ids[0]", "get", "{\"ids\":[\"\"]}"},
        {"ids", "get", "{}"},
        {"min_offset", "search", "{\"vector\":[1,0],\"min_offset\":1}"},
        {"min_offset", "search", "{\"vector\":[1,0],\"min_offset\":{\"2\":1}}"},
        {"min_offset", "search", "{\"vector\":[1,0],\"min_offset\":{\"x\":1}}"},
        {"output", "search", "{\"vector\":[1,0],\"output\":[1]}"},
        {"text", "search", "{\"text\":\"hello\"}"},
        {"radius", "search", "{\"vector\":[1,0],\"radius\":1e39}"},
        {"group_size", "search", "{\"vector\":[1,0],\"group_size\":2}"},
        {"knn", "search", "{\"vector\":[1,0],\"knn\":2}"},
        {"limit", "scroll", "{\"limit\":0}"},
        {"cursor", "scroll", "{\"cursor\":\"***\"}"},
        {"ack", "upsert", "{\"records\":[{\"id\":1,\"vector\":[1,0]}],\"ack\":\"now\"}"},
        {"records[0].vector", "upsert", "{\"records\":[{\"id\":1,\"vector\":[0,0]}]}"},
        {"records[0].text", "upsert", "{\"records\":[{\"id\":1,\"text\":\"x\"}]}"},
    };
    for (size_t i = 0; i < FR_COUNT_OF(rows); i++) {
        char target[64];
        snprintf(target, sizeof target, "/v1/collections/bad/%s", rows[i].verb);
        /* An integer beyond 64 bits is no JSON that we take at all: the body is named. */
        refused(400, strstr(rows[i].body, "99999999999999999999") ? "body" : rows[i].field, "POST", target, rows[i].body);
    }
    json_t *root = answer(200, "POST", "/v1/collections/bad/count", NULL);
    assert_int_equal(number(root, "count"), 0);
    json_decref(root);
}

static void paths_and_methods(void **state)
{
    (void)state;
    refused(404, "path", "GET", "/", NULL);
    refused(404, "path", "GET", "/v1", NULL);
    refused(404, "path", "GET", "/v1/collections/", NULL);
    refused(404, "path", "GET", "/v1/collections/a/b/c", NULL);
    refused(404, "path", "POST", "/v1/collections/a/nonsense", NULL);
    refused(405, NULL, "PUT", "/v1/collections", NULL);
    assert_string_equal(call.allow, "GET, HEAD, POST");
    refused(405, NULL, "GET", "/v1/collections/a/upsert", NULL);
    assert_string_equal(call.allow, "POST");
    refused(405, NULL, "POST", "/v1/aliases/a", NULL);
    assert_string_equal(call.allow, "PUT, GET, HEAD, DELETE");
    refused(405, NULL, "POST", "/v1/collections/a", NULL);
    assert_string_equal(call.allow, "GET, HEAD, DELETE");
    refused(405, NULL, "DELETE", "/readyz", NULL);
    assert_string_equal(call.allow, "GET, HEAD");
    static const char *const tricks[] = {"..", ".", "%2e%2e", "a%2fb", "a%00b", "%", "%zz", "a%20b", "__x", "%ff", "caf\xc3\xa9"};
    for (size_t i = 0; i < FR_COUNT_OF(tricks); i++) {
        char target[64];
        snprintf(target, sizeof target, "/v1/collections/%s", tricks[i]);
        refused(400, "collection", "GET", target, NULL);
    }
    char target[400];
    snprintf(target, sizeof target, "/v1/aliases/%0300d", 7);
    refused(400, "alias", "GET", target, NULL);
    assert_int_equal(request("HEAD", "/livez", NULL), 200);
    assert_true(call.head);
}

static void aliases_switch(void **state)
{
    (void)state;
    done(200, "POST", "/v1/collections", "{\"name\":\"one\",\"dimension\":2}");
    done(200, "POST", "/v1/collections", "{\"name\":\"two\",\"dimension\":2}");
    refused(404, "alias", "GET", "/v1/aliases/current", NULL);
    done(200, "PUT", "/v1/aliases/current", "{\"collection\":\"one\"}");
    done(200, "PUT", "/v1/aliases/current", "{\"collection\":\"two\"}");
    json_t *root = answer(200, "GET", "/v1/aliases/current", NULL);
    assert_string_equal(json_string_value(json_object_get(root, "collection")), "two");
    json_decref(root);
    root = answer(200, "GET", "/v1/collections/current", NULL);
    assert_string_equal(json_string_value(json_object_get(root, "name")), "two");
    json_decref(root);
    refused(400, "collection", "DELETE", "/v1/collections/current", NULL);
    assert_int_equal(request("PUT", "/v1/aliases/current", "{\"collection\":\"nope\"}"), 404);
    refused(400, "collection", "PUT", "/v1/aliases/current", "{}");
    root = answer(200, "GET", "/v1/aliases", NULL);
    assert_int_equal(json_array_size(json_object_get(root, "aliases")), 1);
    json_decref(root);
    done(200, "DELETE", "/v1/aliases/current", NULL);
    assert_int_equal(request("DELETE", "/v1/aliases/current", NULL), 404);
}

static void scroll_sees_each_once(void **state)
{
    (void)state;
    done(200, "POST", "/v1/collections", "{\"name\":\"pages\",\"dimension\":1,\"metric\":\"l2\"}");
    char *body = fr_alloc(FR_MEM_TEST, 100000);
    int size = snprintf(body, 100000, "{\"records\":[");
    for (int i = 0; i < 1000; i++) size += snprintf(body + size, 64, "%s{\"id\":\"k%04d\",\"vector\":[%d]}", i ? "," : "", i, i);
    snprintf(body + size, 8, "]}");
    done(200, "POST", "/v1/collections/pages/upsert", body);
    fr_free(FR_MEM_TEST, body);
    char page[200] = "{\"limit\":70}", last[16] = "";
    int seen = 0;
    for (int pages = 0; pages < 20; pages++) {
        json_t *root = answer(200, "POST", "/v1/collections/pages/scroll", page), *record;
        size_t i;
        json_array_foreach(json_object_get(root, "records"), i, record) {
            const char *id = json_string_value(json_object_get(record, "id"));
            assert_true(strcmp(id, last) > 0);
            snprintf(last, sizeof last, "%s", id);
            seen++;
        }
        const char *cursor = json_string_value(json_object_get(root, "cursor"));
        if (cursor) snprintf(page, sizeof page, "{\"limit\":70,\"cursor\":\"%s\"}", cursor);
        json_decref(root);
        if (!cursor) break;
    }
    assert_int_equal(seen, 1000);
}

/* In as bits, bytes and base64; out as bytes, from search, get and log. */
static void binary_vectors_over_http(void **state)
{
    (void)state;
    json_t *root = answer(200, "POST", "/v1/collections", "{\"name\":\"bits\",\"dimension\":16,\"vector_type\":\"binary\"}");
    assert_string_equal(json_string_value(json_object_get(root, "metric")), "hamming");
    assert_string_equal(json_string_value(json_object_get(root, "vector_type")), "binary");
    json_decref(root);
    done(200, "POST", "/v1/collections/bits/upsert", "{\"records\":[{\"id\":1,\"vector\":[255,0]},{\"id\":2,\"vector\":\"AP8=\"},"
         "{\"id\":3,\"vector\":[1,1,1,1,1,1,1,1,0,0,0,0,0,0,0,1]}]}");
    root = answer(200, "POST", "/v1/collections/bits/search", "{\"vectors\":[\"_wA\",[0,255]],\"k\":2,\"with_vector\":true}");
    json_t *lists = json_object_get(root, "hits"), *hit = json_array_get(json_array_get(lists, 0), 1);
    assert_int_equal(number(hit, "id"), 3);
    assert_int_equal(number(hit, "distance"), 1);
    assert_int_equal(json_integer_value(json_array_get(json_object_get(hit, "vector"), 1)), 1);
    assert_int_equal(number(json_array_get(json_array_get(lists, 1), 0), "id"), 2);
    json_decref(root);
    root = answer(200, "POST", "/v1/collections/bits/get", "{\"ids\":[1],\"with_vector\":true}");
    hit = json_array_get(json_object_get(root, "records"), 0);
    assert_int_equal(json_array_size(json_object_get(hit, "vector")), 2);
    assert_int_equal(json_integer_value(json_array_get(json_object_get(hit, "vector"), 0)), 255);
    json_decref(root);
    root = answer(200, "GET", "/v1/collections/bits/log?offset=2&limit=1", NULL);
    hit = json_array_get(json_object_get(root, "records"), 0);
    assert_int_equal(json_integer_value(json_array_get(json_object_get(hit, "vector"), 1)), 1);
    json_decref(root);
    refused(400, "records[0].vector", "POST", "/v1/collections/bits/upsert", "{\"records\":[{\"id\":1,\"vector\":[255]}]}");
    refused(400, "vector", "POST", "/v1/collections/bits/search", "{\"vector\":\"?\"}");
}

static void log_is_read_as_json(void **state)
{
    (void)state;
    done(200, "POST", "/v1/collections", "{\"name\":\"logged\",\"dimension\":2,\"metric\":\"l2\"}");
    for (int i = 0; i < 5; i++) {
        char body[160];
        snprintf(body, sizeof body, "{\"records\":[{\"id\":%d,\"vector\":[%d,1.5],\"metadata\":{\"n\":%d},\"event_id\":\"e%d\"}]}", i, i, i, i);
        done(200, "POST", "/v1/collections/logged/upsert", body);
    }
    done(200, "POST", "/v1/collections/logged/delete", "{\"ids\":[3]}");
    json_t *root = answer(200, "GET", "/v1/collections/logged/log?offset=2&limit=3", NULL);
    json_t *records = json_object_get(root, "records");
    assert_int_equal(json_array_size(records), 3);
    json_t *record = json_array_get(records, 0);
    assert_int_equal(number(record, "offset"), 2);
    assert_int_equal(number(record, "key"), 2);
    assert_string_equal(json_string_value(json_object_get(record, "op")), "upsert");
    assert_string_equal(json_string_value(json_object_get(record, "event_id")), "e2");
    assert_int_equal(json_array_size(json_object_get(record, "vector")), 2);
    assert_int_equal(number(json_object_get(record, "metadata"), "n"), 2);
    assert_true(number(record, "timestamp") > 1000000000000);
    assert_int_equal(number(root, "next"), 5);
    assert_int_equal(number(root, "end"), 6);
    json_decref(root);
    root = answer(200, "GET", "/v1/collections/logged/log?offset=5", NULL);
    record = json_array_get(json_object_get(root, "records"), 0);
    assert_string_equal(json_string_value(json_object_get(record, "op")), "delete");
    json_decref(root);
    root = answer(200, "GET", "/v1/collections/logged/log?offset=6", NULL);
    assert_int_equal(json_array_size(json_object_get(root, "records")), 0);
    assert_int_equal(number(root, "next"), 6);
    json_decref(root);
    root = answer(200, "GET", "/v1/collections/logged/log?timestamp=2020-01-01T00:00:00Z", NULL);
    assert_int_equal(json_array_size(json_object_get(root, "records")), 6);
    json_decref(root);
    refused(400, "offset", "GET", "/v1/collections/logged/log?offset=7", NULL);
    refused(400, "offset", "GET", "/v1/collections/logged/log?offset=x", NULL);
    refused(400, "limit", "GET", "/v1/collections/logged/log?limit=0", NULL);
    refused(400, "partition", "GET", "/v1/collections/logged/log?partition=1", NULL);
    refused(400, "colour", "GET", "/v1/collections/logged/log?colour=1", NULL);
    refused(400, "query", "GET", "/v1/collections/logged/log?limit=%zz", NULL);
    refused(400, "timestamp", "GET", "/v1/collections/logged/log?timestamp=soon", NULL);
}

static void text_in_text_out(void **state)
{
    (void)state;
    done(200, "POST", "/v1/collections", "{\"name\":\"texts\",\"embedder\":{\"type\":\"hash\",\"dimension\":64}}");
    done(200, "POST", "/v1/collections/texts/upsert",
         "{\"records\":[{\"id\":\"sea\",\"text\":\"a large body of salt water\"},{\"id\":\"dog\",\"text\":\"a domestic animal that barks\"}]}");
    json_t *root = answer(200, "POST", "/v1/collections/texts/search", "{\"text\":\"salt water body\",\"k\":1}");
    json_t *hit = json_array_get(json_object_get(root, "hits"), 0);
    assert_string_equal(json_string_value(json_object_get(hit, "id")), "sea");
    assert_string_equal(json_string_value(json_object_get(json_object_get(hit, "metadata"), "text")), "a large body of salt water");
    json_decref(root);
}

static void min_offset_waits_then_gives_up(void **state)
{
    (void)state;
    done(200, "POST", "/v1/collections", "{\"name\":\"fresh\",\"dimension\":1,\"metric\":\"l2\"}");
    done(200, "POST", "/v1/collections/fresh/upsert", "{\"records\":[{\"id\":1,\"vector\":[1]}]}");
    done(200, "POST", "/v1/collections/fresh/search", "{\"vector\":[1],\"min_offset\":0}");
    done(200, "POST", "/v1/collections/fresh/search", "{\"vector\":[1],\"min_offset\":{\"0\":0}}");
    refused(503, "min_offset", "POST", "/v1/collections/fresh/search", "{\"vector\":[1],\"min_offset\":1,\"timeout_ms\":0}");
    refused(503, "min_offset", "POST", "/v1/collections/fresh/search", "{\"vector\":[1],\"min_offset\":1,\"timeout_ms\":60}");
}

static void event_ids_make_retries_harmless(void **state)
{
    (void)state;
    done(200, "POST", "/v1/collections", "{\"name\":\"idem\",\"dimension\":1,\"metric\":\"l2\"}");
    const char *body = "{\"records\":[{\"id\":1,\"vector\":[1],\"event_id\":\"x\"}]}";
    done(200, "POST", "/v1/collections/idem/upsert", body);
    json_t *root = answer(200, "POST", "/v1/collections/idem/upsert", body);
    assert_int_equal(number(root, "upserted"), 0);
    assert_int_equal(number(root, "duplicates"), 1);
    json_decref(root);
}

static void openapi_has_every_route(void **state)
{
    (void)state;
    json_t *root = answer(200, "GET", "/openapi.json", NULL);
    json_t *paths = json_object_get(root, "paths"), *path, *operation;
    const char *name, *method;
    size_t operations = 0;
    json_object_foreach(paths, name, path) json_object_foreach(path, method, operation) {
        operations++;
        const char *op = json_string_value(json_object_get(operation, "operationId"));
        bool known = false;
        for (size_t i = 0; i < fr_http_route_count(); i++) known |= strcmp(fr_http_route_op(i), op) == 0;
        assert_true(known);
    }
    assert_int_equal(operations, fr_http_route_count());
    json_decref(root);
}

/* Bodies too long for a loop are parsed elsewhere, on every route that reads one. */
static void long_bodies_leave_the_loop(void **state)
{
    (void)state;
    size_t size = 200000;
    char *body = fr_alloc(FR_MEM_TEST, size + 1);
    memset(body, ' ', size);
    body[size] = 0;
    static const char *const tails[][2] = {{"search", "{\"vector\":[1]}"}, {"get", "{\"ids\":[1]}"}, {"count", "{}"}, {"scroll", "{}"},
                                           {"upsert", "{\"records\":[{\"id\":1,\"vector\":[1]}]}"}, {"delete", "{\"ids\":[1]}"}};
    done(200, "POST", "/v1/collections", "{\"name\":\"long\",\"dimension\":1,\"metric\":\"l2\"}");
    for (size_t i = 0; i < FR_COUNT_OF(tails); i++) {
        char target[64];
        snprintf(target, sizeof target, "/v1/collections/long/%s", tails[i][0]);
        memset(body, ' ', size);
        memcpy(body + size - strlen(tails[i][1]), tails[i][1], strlen(tails[i][1]));
        fr_http_call_reset(&call);
        call.method = fr_span_text("POST"), call.path = fr_span_text(target), call.query = fr_span_of("", 0);
        call.body = (fr_json_body){{body, size}, size};
        fr_http_next next = fr_http_begin(&door, &call, &loop_worker);
        assert_true(next == FR_HTTP_SEARCHER || next == FR_HTTP_WORKER);
        done(200, "POST", target, body);
    }
    fr_free(FR_MEM_TEST, body);
}

/* Any failing allocation of ours ends in a 503, never in a wrong answer. */
static void memory_failures_are_answered(void **state)
{
    (void)state;
    static const char *const rows[][3] = {{"GET", "/openapi.json", NULL}, {"GET", "/v1/collections/long", NULL}, {"GET", "/metrics", NULL},
                                          {"POST", "/v1/collections", "{\"name\":7}"}};
    for (size_t i = 0; i < FR_COUNT_OF(rows); i++) {
        int status = 503;
        for (uint64_t nth = 1; status == 503 && nth < 200; nth++) {
            fr_http_call_free(&call);
            fr_http_call_init(&call);
            call.wake = wake;
            fr_mem_fail_at(nth);
            status = request(rows[i][0], rows[i][1], rows[i][2]);
            fr_mem_fail_at(0);
            assert_true(status == 200 || status == 400 || status == 503);
        }
        assert_int_not_equal(status, 503);
    }
}

static void health_and_starting(void **state)
{
    (void)state;
    done(200, "GET", "/livez", NULL);
    done(200, "GET", "/readyz", NULL);
    done(200, "POST", "/v1/snapshots", NULL);
    atomic_store(&door.db, NULL);
    atomic_store(&door.state, FR_HTTP_STARTING);
    atomic_store(&door.phase, "replay");
    atomic_store(&door.phase_total, 100);
    done(200, "GET", "/livez", NULL);
    json_t *root = answer(503, "GET", "/readyz", NULL);
    assert_string_equal(json_string_value(json_object_get(root, "reason")), "recovering");
    assert_string_equal(json_string_value(json_object_get(root, "phase")), "replay");
    assert_int_equal(number(root, "total"), 100);
    json_decref(root);
    refused(503, NULL, "GET", "/v1/collections", NULL);
    assert_int_equal(request("GET", "/metrics", NULL), 200);
    atomic_store(&door.db, db);
    atomic_store(&door.state, FR_HTTP_DRAINING);
    done(503, "GET", "/readyz", NULL);
    atomic_store(&door.state, FR_HTTP_SERVING);
}

static void all_is_there_after_reopening(void **state)
{
    (void)state;
    must_close();
    must_open();
    json_t *root = answer(200, "POST", "/v1/collections/pages/count", NULL);
    assert_int_equal(number(root, "count"), 1000);
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(collection_life),
        cmocka_unit_test(bad_creations),
        cmocka_unit_test(write_search_read),
        cmocka_unit_test(bad_searches_and_writes),
        cmocka_unit_test(paths_and_methods),
        cmocka_unit_test(aliases_switch),
        cmocka_unit_test(scroll_sees_each_once),
        cmocka_unit_test(binary_vectors_over_http),
        cmocka_unit_test(log_is_read_as_json),
        cmocka_unit_test(text_in_text_out),
        cmocka_unit_test(min_offset_waits_then_gives_up),
        cmocka_unit_test(event_ids_make_retries_harmless),
        cmocka_unit_test(openapi_has_every_route),
        cmocka_unit_test(long_bodies_leave_the_loop),
        cmocka_unit_test(memory_failures_are_answered),
        cmocka_unit_test(health_and_starting),
        cmocka_unit_test(all_is_there_after_reopening),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
