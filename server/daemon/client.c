/* client.c: the command line's side of HTTP. Every answer becomes a fr_code by the names in api/status.c, so a verb
 * handles a remote error as it would handle a local one. */
#include "server/daemon/client.h"

#include <curl/curl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define REPLY_BYTES_MAX ((size_t)1 << 30)

struct fr_client {
    CURL *curl;
    struct curl_slist *headers;
    char url[512];
    char detail[CURL_ERROR_SIZE];
};

/* ---- text ---- */

void fr_text_add(fr_text *text, const void *data, size_t size)
{
    if (text->failed || size == 0) return;
    if (text->size + size > text->capacity) {
        size_t capacity = FR_MAX(text->capacity * 2, text->size + size + 256);
        char *grown = fr_realloc(FR_MEM_DAEMON, text->data, capacity);
        if (!grown) {
            text->failed = true;
            return;
        }
        text->data = grown;
        text->capacity = capacity;
    }
    memcpy(text->data + text->size, data, size);
    text->size += size;
}

void fr_text_puts(fr_text *text, const char *string) { fr_text_add(text, string, strlen(string)); }

void fr_text_format(fr_text *text, const char *format, ...)
{
    char small[512];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(small, sizeof small, format, arguments);
    va_end(arguments);
    if (size < 0 || (size_t)size >= sizeof small) {
        text->failed = true; /* formats are short by design; long values go through fr_text_add */
        return;
    }
    fr_text_add(text, small, (size_t)size);
}

void fr_text_json_string(fr_text *text, const void *data, size_t size)
{
    static const char hex[] = "0123456789abcdef";
    const unsigned char *bytes = data;
    fr_text_add(text, "\"", 1);
    size_t plain = 0;
    for (size_t at = 0; at < size; at++) {
        unsigned char byte = bytes[at];
        if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
        fr_text_add(text, bytes + plain, at - plain);
        plain = at + 1;
        if (byte == '"' || byte == '\\') {
            char pair[2] = {'\\', (char)byte};
            fr_text_add(text, pair, 2);
        } else {
            char escape[6] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]};
            fr_text_add(text, escape, 6);
        }
    }
    fr_text_add(text, bytes + plain, size - plain);
    fr_text_add(text, "\"", 1);
}

/* The shortest digits that read back as the same number: 0.1 stays 0.1. */
static void put_real(fr_text *text, double value)
{
    char digits[40];
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value) break;
    }
    fr_text_puts(text, digits);
    if (!strpbrk(digits, ".e")) fr_text_puts(text, ".0"); /* stays a real number, not an integer */
}

void fr_text_json(fr_text *text, const json_t *value)
{
    size_t index;
    const json_t *element;
    json_t *object = (json_t *)(uintptr_t)value;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        fr_text_puts(text, "{");
        for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at)) {
            const char *key = json_object_iter_key(at);
            if (at != json_object_iter(object)) fr_text_puts(text, ",");
            fr_text_json_string(text, key, strlen(key));
            fr_text_puts(text, ":");
            fr_text_json(text, json_object_iter_value(at));
        }
        fr_text_puts(text, "}");
        break;
    case JSON_ARRAY:
        fr_text_puts(text, "[");
        json_array_foreach(value, index, element)
        {
            if (index) fr_text_puts(text, ",");
            fr_text_json(text, element);
        }
        fr_text_puts(text, "]");
        break;
    case JSON_STRING: fr_text_json_string(text, json_string_value(value), json_string_length(value)); break;
    case JSON_INTEGER: fr_text_format(text, "%lld", (long long)json_integer_value(value)); break;
    case JSON_REAL: put_real(text, json_real_value(value)); break;
    case JSON_TRUE: fr_text_puts(text, "true"); break;
    case JSON_FALSE: fr_text_puts(text, "false"); break;
    default: fr_text_puts(text, "null"); break;
    }
}

void fr_text_float(fr_text *text, float value)
{
    char digits[32];
    int size;
    if (fabsf(value) < 1e7f && value == (float)(int32_t)value) {
        size = snprintf(digits, sizeof digits, "%d", (int)value);
    } else {
        size = snprintf(digits, sizeof digits, "%.9g", (double)value); /* 9 digits name every float32 */
    }
    fr_text_add(text, digits, (size_t)size);
}

void fr_text_path(fr_text *text, const char *segment)
{
    fr_text_add(text, "/", 1);
    for (const char *at = segment; *at; at++) {
        unsigned char byte = (unsigned char)*at;
        bool plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
                     byte == '.' || byte == '_' || byte == '-' || byte == '~';
        if (plain) fr_text_add(text, at, 1);
        else fr_text_format(text, "%%%02X", byte);
    }
}

void fr_text_reset(fr_text *text)
{
    text->size = 0;
    text->failed = false;
}

void fr_text_free(fr_text *text)
{
    fr_free(FR_MEM_DAEMON, text->data);
    *text = (fr_text){0};
}

/* ---- client ---- */

static size_t take_body(char *data, size_t one, size_t size, void *user)
{
    fr_reply *reply = user;
    (void)one; /* always 1 */
    if (reply->body.size + size > REPLY_BYTES_MAX) return 0;
    fr_text_add(&reply->body, data, size);
    return reply->body.failed ? 0 : size;
}

static struct {
    char user[128], password[512], header[256]; /* header: "Authorization: Bearer KEY"; empty = none */
} login;

fr_code fr_client_login(const char *user, const char *password_file, const char *api_key, fr_err *err)
{
    if (!api_key && !user) api_key = getenv("FRESHET_API_KEY");
    if (!user && !(api_key && *api_key)) user = getenv("FRESHET_USER");
    if (api_key && *api_key) snprintf(login.header, sizeof login.header, "Authorization: Bearer %s", api_key);
    if (!user || !*user) return FR_OK;
    snprintf(login.user, sizeof login.user, "%s", user);
    const char *given = getenv("FRESHET_PASSWORD");
    if (!password_file) {
        snprintf(login.password, sizeof login.password, "%s", given ? given : "");
        return FR_OK;
    }
    FILE *file = fopen(password_file, "re");
    bool fine = file && fgets(login.password, sizeof login.password, file);
    if (file) fclose(file);
    if (!fine) return fr_fail(err, FR_ERR_IO, NULL, "--password-file: %.150s cannot be read", password_file);
    login.password[strcspn(login.password, "\r\n")] = 0;
    return FR_OK;
}

static bool login_set(fr_client *client)
{
    const char *ca = getenv("FRESHET_CA");
    if (ca && *ca) curl_easy_setopt(client->curl, CURLOPT_CAINFO, ca);
    if (login.user[0]) {
        curl_easy_setopt(client->curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        curl_easy_setopt(client->curl, CURLOPT_USERNAME, login.user);
        curl_easy_setopt(client->curl, CURLOPT_PASSWORD, login.password);
    } else if (login.header[0]) {
        struct curl_slist *more = curl_slist_append(client->headers, login.header);
        if (!more) return false;
        client->headers = more;
    }
    return true;
}

fr_code fr_client_open(const char *url, fr_client **client_out, fr_err *err)
{
    *client_out = NULL;
    fr_client *client = fr_zalloc(FR_MEM_DAEMON, sizeof *client);
    if (!client) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a client");
    size_t size = strlen(url);
    while (size > 0 && url[size - 1] == '/') size--;
    if (size == 0 || size >= sizeof client->url) {
        fr_client_close(client);
        return fr_fail(err, FR_ERR_INVALID, "url", "the URL must have 1 to %zu bytes", sizeof client->url - 1);
    }
    memcpy(client->url, url, size);
    client->curl = curl_easy_init();
    client->headers = curl_slist_append(NULL, "Content-Type: application/json");
    struct curl_slist *more = client->headers ? curl_slist_append(client->headers, "Expect:") : NULL;
    if (!client->curl || !more) {
        fr_client_close(client);
        return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a client");
    }
    client->headers = more;
    if (!login_set(client)) {
        fr_client_close(client);
        return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a client");
    }
    curl_easy_setopt(client->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(client->curl, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, client->headers);
    curl_easy_setopt(client->curl, CURLOPT_ERRORBUFFER, client->detail);
    curl_easy_setopt(client->curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(client->curl, CURLOPT_CONNECTTIMEOUT_MS, 5000L);
    curl_easy_setopt(client->curl, CURLOPT_TIMEOUT_MS, 300000L);
    curl_easy_setopt(client->curl, CURLOPT_NOPROXY, "127.0.0.1,localhost,::1");
    *client_out = client;
    return FR_OK;
}

void fr_client_close(fr_client *client)
{
    if (!client) return;
    if (client->curl) curl_easy_cleanup(client->curl);
    curl_slist_free_all(client->headers);
    fr_free(FR_MEM_DAEMON, client);
}

static fr_code code_named(const char *name)
{
    for (int code = FR_OK + 1; code < FR_CODE_COUNT; code++) {
        if (strcmp(name, fr_strcode((fr_code)code)) == 0) return (fr_code)code;
    }
    return FR_ERR_INTERNAL;
}

/* {"error":{"code","message","field"}} -> err. A body of another form (a proxy's page) still gives the status. */
static fr_code error_of(const fr_reply *reply, fr_err *err)
{
    json_t *root = json_loadb(reply->body.data ? reply->body.data : "", reply->body.size, 0, NULL);
    const json_t *error = json_object_get(root, "error");
    const char *name = json_string_value(json_object_get(error, "code"));
    const char *message = json_string_value(json_object_get(error, "message"));
    const char *field = json_string_value(json_object_get(error, "field"));
    fr_code code = name ? code_named(name) : reply->status == 404 ? FR_ERR_NOT_FOUND : FR_ERR_INTERNAL;
    if (!name && (reply->status == 429 || reply->status == 503)) code = FR_ERR_BUSY;
    if (message) fr_fail(err, code, field, "%s%s%s", field ? field : "", field ? ": " : "", message);
    else fr_fail(err, code, NULL, "the server answered with status %ld", reply->status);
    json_decref(root);
    return code;
}

fr_code fr_client_call(fr_client *client, const char *method, const char *path, const fr_text *body, fr_reply *reply,
                       fr_err *err)
{
    if (body && body->failed) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for the request");
    char url[4096];
    int size = snprintf(url, sizeof url, "%s%s", client->url, path);
    if (size < 0 || (size_t)size >= sizeof url)
        return fr_fail(err, FR_ERR_INVALID, "url", "the URL is longer than %zu bytes", sizeof url - 1);
    fr_text_reset(&reply->body);
    reply->status = 0;
    reply->retry_after_ms = 0;
    client->detail[0] = 0;
    CURL *curl = client->curl;
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply);
    if (body || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0) {
        curl_easy_setopt(curl, CURLOPT_POST, 1L);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body && body->data ? body->data : "");
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(body ? body->size : 0));
    } else {
        curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
    }
    CURLcode code = curl_easy_perform(curl);
    if (code != CURLE_OK) {
        return fr_fail(err, FR_ERR_IO, NULL, "%s: %s", client->url,
                       client->detail[0] ? client->detail : curl_easy_strerror(code));
    }
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply->status);
    curl_off_t retry_after_s = 0;
    curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &retry_after_s);
    reply->retry_after_ms = (int64_t)FR_MIN(retry_after_s, 60) * 1000;
    if (reply->status >= 200 && reply->status < 300) return FR_OK;
    return error_of(reply, err);
}

fr_code fr_client_call_patiently(fr_client *client, const char *method, const char *path, const fr_text *body,
                                 int64_t patience_ms, const atomic_bool *stop, fr_reply *reply, fr_err *err)
{
    int64_t waited_ms = 0, pause_ms = 20;
    for (;;) {
        fr_code code = fr_client_call(client, method, path, body, reply, err);
        bool again = (code == FR_ERR_IO && reply->status == 0) || fr_code_retriable(code);
        if (!again || waited_ms >= patience_ms || (stop && atomic_load_explicit(stop, memory_order_relaxed)))
            return code;
        /* Retry-After counts whole seconds; a queue is usually free long before, so begin shorter and grow. */
        int64_t most_ms = reply->retry_after_ms ? reply->retry_after_ms : 2000;
        int64_t now_ms = FR_MIN(pause_ms, most_ms);
        struct timespec pause = {.tv_sec = now_ms / 1000, .tv_nsec = (now_ms % 1000) * 1000000};
        nanosleep(&pause, NULL);
        waited_ms += now_ms;
        pause_ms = FR_MIN(pause_ms * 2, 4000);
    }
}

json_t *fr_reply_json(const fr_reply *reply, fr_err *err)
{
    json_error_t where;
    json_t *root = json_loadb(reply->body.data ? reply->body.data : "", reply->body.size, JSON_DECODE_ANY, &where);
    if (!root) fr_fail(err, FR_ERR_INTERNAL, NULL, "the server's answer is not JSON: %s", where.text);
    return root;
}

void fr_reply_free(fr_reply *reply)
{
    fr_text_free(&reply->body);
    *reply = (fr_reply){0};
}
