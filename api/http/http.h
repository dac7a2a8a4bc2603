/* http.h: the HTTP door: requests in, replies out, over memory. No sockets, no h2o, no threads of its own.
 *
 * A carrier (server/daemon, or a test) fills a call and steps it:
 *     next = fr_http_begin(door, call)          on a loop thread
 *     next = fr_http_step(door, call, worker)   wherever `next` asked for
 * until next is FR_HTTP_REPLY: status, headers and `out` are then the answer.
 *
 * Invariants
 *   1. A call is stepped by one thread at a time; after FR_HTTP_SUBMITTED nobody touches it until call->wake() was called.
 *   2. wake() is called at most once per SUBMITTED or armed wait, on an engine thread, and must not block.
 *   3. method, path, query and body stay valid until the reply is sent. */
#ifndef FR_HTTP_H
#define FR_HTTP_H

#include "api/http/json_in.h"
#include "api/http/json_out.h"

#define FR_HTTP_RESPONSE_BYTES_MAX ((size_t)16 << 20)
#define FR_HTTP_COST_SLOTS 1024u
#define FR_HTTP_WAIT_MS 5000 /* default of timeout_ms */
#define FR_HTTP_WAIT_MS_MAX 600000

typedef enum fr_http_next {
    FR_HTTP_REPLY,     /* the answer is complete */
    FR_HTTP_SEARCHER,  /* step again on a thread with a searcher */
    FR_HTTP_WORKER,    /* step again on a thread for long parsing, embedding, reading the log */
    FR_HTTP_CHORE,     /* step again on the thread for what takes seconds: snapshots */
    FR_HTTP_SUBMITTED, /* wake() comes; step again then, on the loop */
    FR_HTTP_LOOP,      /* step again on the call's own loop: whoever asks is known now */
    FR_HTTP_WAIT       /* fr_http_arm on the loop, then wake() and step again, or fr_http_expire after wait_ms */
} fr_http_next;

typedef enum fr_http_state { FR_HTTP_STARTING, FR_HTTP_SERVING, FR_HTTP_DRAINING } fr_http_state;

/* What one thread has for stepping calls. */
typedef struct fr_http_worker {
    fr_searcher *searcher; /* NULL: none (the loop thread then sends searches away) */
    fr_json_dom *dom;
    bool loop; /* must not take long */
} fr_http_worker;

#define FR_HTTP_KEY_BYTES 128 /* of a new API key's text, with its NUL */

/* Who asks, and what a user may cost: server/daemon has the cryptography, so it stands behind these. Functions may be called by
 * several threads. */
typedef struct fr_http_access {
    bool on;           /* false: every request may do everything (--auth off) */
    bool metrics_open; /* /metrics asks nobody */
    void *user;
    /* The value of Authorization (size 0: none). BUSY: only a thread that may block can tell. */
    fr_code (*who)(void *user, fr_db *db, fr_span authorization, bool may_block, fr_principal *principal_out, fr_err *err);
    fr_code (*password)(void *user, fr_span password, fr_access *user_io, fr_err *err);      /* sets its verifiers; takes milliseconds */
    fr_code (*key)(void *user, fr_access *key_io, char text_out[FR_HTTP_KEY_BYTES], fr_err *err); /* a new one: name, digest, text */
    int64_t (*admit)(void *user, fr_db *db, const fr_principal *principal, size_t bytes_in);   /* ms to come back after; 0 = come in */
    void (*sent)(void *user, fr_db *db, const fr_principal *principal, size_t bytes_out);
    /* A refusal, or an admin's act. Must not block. */
    void (*told)(void *user, fr_db *db, const fr_principal *principal, const char *action, const char *object, int status, const char *reason);
} fr_http_access;

struct fr_http_call;
/* Another door that comes over HTTP: paths with its prefix are its own, from the body to the answer. */
typedef struct fr_http_guest {
    const char *prefix;
    void *user;
    fr_http_next (*step)(void *user, struct fr_http_call *call, fr_http_worker *worker); /* also the first */
    void (*reset)(void *user, struct fr_http_call *call);
} fr_http_guest;

/* Jobs and consumer groups, which live beside the door: the daemon's. Each writes its JSON; any may block; NULL = 501. */
typedef struct fr_http_replay {
    const char *source, *target; /* target NULL: in place */
    fr_offset offset;            /* -1 = not said */
    int64_t since_ms;            /* FR_TIME_NONE = not said */
    const char *model_version;
    uint32_t rate;
    bool follow;
} fr_http_replay;
typedef struct fr_http_jobs {
    void *user;
    fr_code (*replay_start)(void *user, const fr_http_replay *replay, fr_out *out, fr_err *err);
    fr_code (*replay_order)(void *user, uint64_t id, const char *order, fr_out *out, fr_err *err); /* show, pause, resume, cancel, forget */
    fr_code (*replay_list)(void *user, fr_out *out, fr_err *err);
    fr_code (*lag)(void *user, const char *group, fr_out *out, fr_err *err); /* group NULL = all */
    /* As fr_options.parse_json. */
    fr_code (*parse_json)(const fr_json_map *map, fr_span key, fr_span value, fr_batch *event_out, fr_err *err);
} fr_http_jobs;

/* One per process. */
typedef struct fr_http {
    const fr_http_access *access; /* NULL: as if off, and users cannot be changed */
    _Atomic(fr_db *) db;     /* NULL until recovery has ended */
    _Atomic int state;       /* fr_http_state */
    _Atomic(const char *) phase; /* of recovery: static text */
    _Atomic uint64_t phase_done, phase_total;
    _Atomic uint32_t search_cost_ns[FR_HTTP_COST_SLOTS]; /* recent plain searches, by collection; 0 = not known */
    fr_http_jobs jobs;       /* set before db */
    void (*metrics)(void *user, fr_out *out); /* Prometheus text */
    void *metrics_user;
    const fr_http_guest *guest; /* NULL = none */
} fr_http;

typedef struct fr_http_route fr_http_route;
#define FR_HTTP_PARAMS_MAX 2

typedef struct fr_http_call {
    /* in */
    fr_span authorization;       /* the header's value; size 0 = none */
    fr_span method, path, query; /* path: as sent, without '?' and what follows */
    fr_json_body body;
    void (*wake)(struct fr_http_call *call);
    void *carrier;
    /* out */
    int status;
    const char *content_type;
    const char *authenticate; /* 401: the WWW-Authenticate header; static */
    const char *allow;   /* 405: the Allow header; static */
    int retry_after_s;   /* 0 = no header */
    fr_out out;
    int64_t wait_ms;     /* FR_HTTP_WAIT */
    const fr_http_route *route; /* NULL: none matched */
    /* the door's */
    char params[FR_HTTP_PARAMS_MAX][FR_NAME_BYTES_MAX + 1];
    bool head; /* HEAD: the carrier sends no body */
    uint8_t stage;
    enum { FR_HTTP_NEW, FR_HTTP_ASKED, FR_HTTP_ADMITTED } gate;
    fr_principal principal;
    const char *object; /* what an admin's act was about, when it is not the path's name; in the arena */
    bool expired;
    fr_db *db;
    fr_arena arena;
    fr_doc_builder builders[3];
    fr_doc rest;
    fr_json_vectors vectors;
    fr_batch batch;
    fr_write write;
    fr_waiter waiter;
    fr_collection_info *info; /* in the arena */
    fr_query query_in;
    void *scratch; /* a handler's own, in the arena */
    const fr_http_guest *guest; /* whose call it is; NULL = ours */
    void *guest_call;
    bool int64_numbers;         /* in: the header Accept-Type-Allow-Int64, for the guest */
    fr_err err;
} fr_http_call;

void fr_http_call_init(fr_http_call *call);  /* once; then reset between uses */
void fr_http_call_reset(fr_http_call *call); /* gives back what is large, keeps the rest */
void fr_http_call_free(fr_http_call *call);

fr_http_next fr_http_begin(fr_http *door, fr_http_call *call, fr_http_worker *worker);
fr_http_next fr_http_step(fr_http *door, fr_http_call *call, fr_http_worker *worker);
/* After FR_HTTP_WAIT. SUBMITTED: wake() comes (or came); REPLY: refused. */
fr_http_next fr_http_arm(fr_http *door, fr_http_call *call);
/* The wait is over its time. REPLY: the answer is complete; SUBMITTED: too late, wake() comes. */
fr_http_next fr_http_expire(fr_http *door, fr_http_call *call);

/* The answer goes out: it is counted, and written down when it is a refusal or an admin's act. Once per call. */
void fr_http_account(fr_http *door, fr_http_call *call);

/* Answers that a carrier gives by itself. code: a stable word. field may be NULL. */
void fr_http_refuse(fr_http_call *call, int status, const char *code, const char *field, const char *message);
int fr_http_status(fr_code code); /* the door's column of the status table */

/* The route table, for metrics and /openapi.json. */
size_t fr_http_route_count(void);
const char *fr_http_route_op(size_t index);                       /* "upsert": the metrics label */
size_t fr_http_route_index(const fr_http_route *route);           /* fr_http_route_count() for NULL */

#endif
