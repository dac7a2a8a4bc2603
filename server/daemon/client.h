/* client.h: a small HTTP client for the command line (libcurl) and a growing text buffer. One thread per fr_client. */
#ifndef FR_CLIENT_H
#define FR_CLIENT_H

#include "api/base.h"

#include <jansson.h>

/* ---- text: grows as needed; a failed allocation is sticky and reported by whoever sends or prints the text ---- */
typedef struct fr_text {
    char *data; /* not terminated */
    size_t size, capacity;
    bool failed;
} fr_text; /* zero-initialise; fr_text_free when done */
void fr_text_add(fr_text *text, const void *data, size_t size);
void fr_text_puts(fr_text *text, const char *string);
void fr_text_format(fr_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void fr_text_json_string(fr_text *text, const void *data, size_t size); /* quoted and escaped; bytes must be UTF-8 */
void fr_text_json(fr_text *text, const json_t *value);                  /* compact; not NULL */
void fr_text_float(fr_text *text, float value);                         /* finite; reads back as the same float */
void fr_text_path(fr_text *text, const char *segment);                  /* "/" and the percent-encoded segment */
void fr_text_reset(fr_text *text);
void fr_text_free(fr_text *text);

/* ---- client ---- */
typedef struct fr_client fr_client;
typedef struct fr_reply {
    long status; /* 0: no answer */
    int64_t retry_after_ms;
    fr_text body;
} fr_reply; /* zero-initialise; fr_reply_free when done; reused by every call */

/* Who the clients of this process are: an API key, or a user and the file of his password (its first line). NULL: FRESHET_API_KEY, or
 * FRESHET_USER and FRESHET_PASSWORD. A server's certificate is checked against FRESHET_CA (a PEM file) when it is set. Before threads. */
fr_code fr_client_login(const char *user, const char *password_file, const char *api_key, fr_err *err) FR_MUST_CHECK;
fr_code fr_client_open(const char *url, fr_client **client_out, fr_err *err) FR_MUST_CHECK;
void fr_client_close(fr_client *client);

/* One request. OK for 2xx; otherwise the server's own code, field and message, or IO when there was no answer.
 *   path  starts with '/'; body may be NULL (no body)                                                       */
fr_code fr_client_call(fr_client *client, const char *method, const char *path, const fr_text *body, fr_reply *reply,
                       fr_err *err) FR_MUST_CHECK;
/* The same, again while the answer is retriable or missing, until patience_ms is over or *stop is set (stop may be
 * NULL). */
fr_code fr_client_call_patiently(fr_client *client, const char *method, const char *path, const fr_text *body,
                                 int64_t patience_ms, const atomic_bool *stop, fr_reply *reply,
                                 fr_err *err) FR_MUST_CHECK;
/* The reply's body as JSON, or NULL and err. The caller owns it (json_decref). */
json_t *fr_reply_json(const fr_reply *reply, fr_err *err);
void fr_reply_free(fr_reply *reply);

#endif
