/* audit.h: refusals and admin acts as records of the topic __audit. Any thread; never blocks. */
#ifndef FR_AUDIT_H
#define FR_AUDIT_H

#include "api/http/json_out.h"

#define FR_AUDIT_PER_SECOND 10u /* records of one principal; the rest is counted */
#define FR_AUDIT_BURST 100u

typedef struct fr_audit fr_audit;
/* Makes the topic when it is missing (30 days of retention); blocks. A database that refuses writes: records are dropped and counted. */
fr_code fr_audit_open(fr_db *db, fr_audit **audit_out, fr_err *err);
void fr_audit_free(fr_audit *audit); /* after fr_close; accepts NULL */

typedef struct fr_audit_entry {
    const fr_principal *principal;
    const char *door, *action, *object, *verdict, *reason; /* verdict: "refused", "done", "failed"; "admitted": let in, the door does not tell the end */
} fr_audit_entry;
void fr_audit_put(fr_audit *audit, const fr_audit_entry *entry);
void fr_audit_metrics(const fr_audit *audit, fr_out *out);

#endif
