/* limits.c: token buckets. A bucket holds one second's worth; a request that finds something in it is served and may leave it in debt, so
 * a request larger than the limit is slow, not impossible. Without limits in the catalog nothing is locked. */
#include "server/daemon/limits.h"

#include "server/daemon/pool.h"

#include <pthread.h>
#include <stdio.h>

#define SLOTS 8192u
#define PROBES 8u
#define USERS_COUNTED_MAX 256u
#define WAIT_MS_MAX 30000

enum { REQUESTS, BYTES_IN, BYTES_OUT, KINDS };

typedef struct bucket {
    uint64_t hash; /* 0 = free */
    int64_t at_ns;
    double left[KINDS];
} bucket;

struct fr_limits {
    pthread_mutex_t lock;
    bucket buckets[SLOTS];
    struct {
        char user[FR_USER_BYTES_MAX + 1];
        uint64_t count;
    } refused[USERS_COUNTED_MAX];
    uint32_t refused_users;
    uint64_t refused_others;
};

fr_code fr_limits_create(fr_limits **limits_out, fr_err *err)
{
    *limits_out = fr_zalloc(FR_MEM_DAEMON, sizeof **limits_out);
    if (!*limits_out) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for limits");
    pthread_mutex_init(&(*limits_out)->lock, NULL);
    return FR_OK;
}

void fr_limits_free(fr_limits *limits)
{
    if (limits) pthread_mutex_destroy(&limits->lock);
    fr_free(FR_MEM_DAEMON, limits);
}

/* Of the places that a name may have, its own, a free one, or the one that was not used for longest: that begins anew, full. */
static bucket *find(fr_limits *limits, const char *user, const char *client, const double rates[KINDS], int64_t now_ns)
{
    uint64_t hash = fr_hash(client, strlen(client), fr_hash(user, strlen(user), 1)) | 1;
    bucket *best = NULL;
    for (uint32_t i = 0; i < PROBES; i++) {
        bucket *one = &limits->buckets[(hash + i) % SLOTS];
        if (one->hash == hash) return one;
        if (!best || one->hash == 0 || (best->hash != 0 && one->at_ns < best->at_ns)) best = one;
    }
    *best = (bucket){.hash = hash, .at_ns = now_ns, .left = {rates[0], rates[1], rates[2]}};
    return best;
}

static bucket *filled(fr_limits *limits, const fr_access *limit, const char *user, const char *client, double rates[KINDS])
{
    int64_t now_ns = fr_now_ns();
    rates[REQUESTS] = (double)limit->requests, rates[BYTES_IN] = (double)limit->bytes_in, rates[BYTES_OUT] = (double)limit->bytes_out;
    bucket *one = find(limits, user, limit->client[0] ? client : "", rates, now_ns);
    double seconds = (double)(now_ns - one->at_ns) / 1e9;
    for (int i = 0; i < KINDS; i++) one->left[i] = FR_MIN(rates[i], one->left[i] + rates[i] * seconds);
    one->at_ns = now_ns;
    return one;
}

/* What is not limited leaves no debt to a limit that is set later. */
static void take(bucket *one, const double rates[KINDS], int kind, double amount)
{
    if (rates[kind] > 0) one->left[kind] -= amount;
}

static int64_t wait_of(const bucket *one, const double rates[KINDS], double least)
{
    double wait_ms = 0;
    for (int i = 0; i < KINDS; i++) {
        if (rates[i] <= 0) continue;
        double floor = FR_MIN(least, rates[i]);
        if (one->left[i] < floor) wait_ms = FR_MAX(wait_ms, (floor - one->left[i]) / rates[i] * 1000 + 1);
    }
    return (int64_t)FR_MIN(wait_ms, (double)WAIT_MS_MAX);
}

static void count_refusal(fr_limits *limits, const char *user)
{
    uint32_t at = 0;
    while (at < limits->refused_users && strcmp(limits->refused[at].user, user) != 0) at++;
    if (at == USERS_COUNTED_MAX) {
        limits->refused_others++;
        return;
    }
    if (at == limits->refused_users) snprintf(limits->refused[limits->refused_users++].user, sizeof limits->refused[0].user, "%s", user);
    limits->refused[at].count++;
}

int64_t fr_limits_admit(fr_limits *limits, fr_db *db, const char *user, const char *client, uint64_t bytes_in)
{
    fr_access limit;
    double rates[KINDS];
    if (!fr_access_limit(db, user, client, &limit)) return 0;
    pthread_mutex_lock(&limits->lock);
    bucket *one = filled(limits, &limit, user, client, rates);
    int64_t wait_ms = wait_of(one, rates, 1);
    if (wait_ms) {
        count_refusal(limits, user);
    } else {
        take(one, rates, REQUESTS, 1);
        take(one, rates, BYTES_IN, (double)bytes_in);
    }
    pthread_mutex_unlock(&limits->lock);
    return wait_ms;
}

int64_t fr_limits_charge(fr_limits *limits, fr_db *db, const char *user, const char *client, uint64_t requests, uint64_t bytes_in,
                         uint64_t bytes_out)
{
    fr_access limit;
    double rates[KINDS];
    if (!fr_access_limit(db, user, client, &limit)) return 0;
    pthread_mutex_lock(&limits->lock);
    bucket *one = filled(limits, &limit, user, client, rates);
    take(one, rates, REQUESTS, (double)requests);
    take(one, rates, BYTES_IN, (double)bytes_in);
    take(one, rates, BYTES_OUT, (double)bytes_out);
    int64_t wait_ms = wait_of(one, rates, 0);
    if (wait_ms && requests) count_refusal(limits, user);
    pthread_mutex_unlock(&limits->lock);
    return wait_ms;
}

void fr_limits_metrics(fr_limits *limits, fr_out *out)
{
    char line[160];
    fr_out_text(out, "# HELP freshet_limit_refusals_total Requests refused or slowed down by a user's limit.\n"
                     "# TYPE freshet_limit_refusals_total counter\n");
    pthread_mutex_lock(&limits->lock);
    for (uint32_t i = 0; i < limits->refused_users; i++) { /* names hold nothing that is to be escaped */
        snprintf(line, sizeof line, "freshet_limit_refusals_total{user=\"%s\"} %llu\n", limits->refused[i].user,
                 (unsigned long long)limits->refused[i].count);
        fr_out_text(out, line);
    }
    snprintf(line, sizeof line, "freshet_limit_refusals_total{user=\"\"} %llu\n", (unsigned long long)limits->refused_others);
    fr_out_text(out, line);
    pthread_mutex_unlock(&limits->lock);
}
