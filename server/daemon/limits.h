/* limits.h: what users may cost a second: token buckets of one second's worth, by user and client id. Any thread. */
#ifndef FR_LIMITS_H
#define FR_LIMITS_H

#include "api/http/json_out.h"

typedef struct fr_limits fr_limits;
fr_code fr_limits_create(fr_limits **limits_out, fr_err *err);
void fr_limits_free(fr_limits *limits); /* accepts NULL */

/* A request may begin: 0, and it is charged; else the ms after which to come back, and the refusal is counted. */
int64_t fr_limits_admit(fr_limits *limits, fr_db *db, const char *user, const char *client, uint64_t bytes_in);
/* What has been done is charged; the ms until the user is out of debt (0 = he is not in it). */
int64_t fr_limits_charge(fr_limits *limits, fr_db *db, const char *user, const char *client, uint64_t requests, uint64_t bytes_in,
                         uint64_t bytes_out);
void fr_limits_metrics(fr_limits *limits, fr_out *out); /* freshet_limit_refusals_total{user} */

#endif
