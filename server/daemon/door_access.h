/* door_access.h: what the doors ask: who somebody is, what he may cost, what is written down. One per process. */
#ifndef FR_DOOR_ACCESS_H
#define FR_DOOR_ACCESS_H

#include "api/http/http.h"
#include "api/milvus/milvus.h"
#include "server/daemon/audit.h"
#include "server/daemon/auth.h"
#include "server/daemon/limits.h"

typedef struct fr_door_access {
    fr_auth *auth;
    fr_limits *limits;
    _Atomic(fr_audit *) audit; /* NULL until the database is open, or nobody is asked */
    fr_http_access http;       /* for fr_http.access */
    fr_milvus_access milvus;   /* for fr_milvus.access */
} fr_door_access;

fr_code fr_door_access_init(fr_door_access *self, bool on, bool metrics_open, fr_err *err);
/* The database is open. asked: some listener asks who comes: then user root must be there. root_password_file: NULL or a path. A new
 * root without any password given gets a random one, printed once on standard error. */
fr_code fr_door_access_open(fr_door_access *self, fr_db *db, bool asked, const char *root_password_file, fr_err *err);
void fr_door_access_free(fr_door_access *self); /* after fr_close */

/* A refusal or an admin's act of any door. verdict: "refused", "done", "failed". */
void fr_door_access_told(fr_door_access *self, const char *door, const fr_principal *principal, const char *action, const char *object,
                         const char *verdict, const char *reason);
void fr_door_access_metrics(fr_door_access *self, fr_out *out);

#endif
