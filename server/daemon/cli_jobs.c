/* cli_jobs.c: freshet replay, freshet dlq, freshet lag. */
#include "server/daemon/cli.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

typedef struct job_arguments {
    const char *url, *to, *since, *model_version;
    int64_t offset, rate, limit;
    bool follow, wait, keep, json;
    char *const *rest;
    int rest_count;
} job_arguments;

static const struct option job_options[] = {{"to", required_argument, NULL, 't'},
                                            {"offset", required_argument, NULL, 'o'},
                                            {"since", required_argument, NULL, 's'},
                                            {"model-version", required_argument, NULL, 'm'},
                                            {"rate", required_argument, NULL, 'r'},
                                            {"limit", required_argument, NULL, 'l'},
                                            {"follow", no_argument, NULL, 'f'},
                                            {"wait", no_argument, NULL, 'w'},
                                            {"keep", no_argument, NULL, 'k'},
                                            {"json", no_argument, NULL, 'j'},
                                            FR_CLI_OPTION_URL,
                                            FR_CLI_OPTION_HELP,
                                            {0}};

static int parse(const char *verb, const char *help, int argc, char **argv, job_arguments *args)
{
    *args = (job_arguments){.offset = -1};
    for (int option; (option = getopt_long(argc, argv, "", job_options, NULL)) != -1;) {
        switch (option) {
        case 't': args->to = optarg; break;
        case 'o': args->offset = fr_cli_number(verb, "offset", optarg, 0, INT64_MAX); break;
        case 's': args->since = optarg; break;
        case 'm': args->model_version = optarg; break;
        case 'r': args->rate = fr_cli_number(verb, "rate", optarg, 1, 1000000); break;
        case 'l': args->limit = fr_cli_number(verb, "limit", optarg, 1, FR_RECORDS_MAX); break;
        case 'f': args->follow = true; break;
        case 'w': args->wait = true; break;
        case 'k': args->keep = true; break;
        case 'j': args->json = true; break;
        case 'u': args->url = optarg; break;
        case 'h':
            fputs(help, stdout);
            exit(0);
        default: return 2;
        }
    }
    args->rest = argv + optind;
    args->rest_count = argc - optind;
    return 0;
}

/* folder + "/" + name (escaped, NULL = none) + tail. */
static fr_code call(const job_arguments *args, const char *method, const char *folder, const char *name, const char *tail, const json_t *body,
                    fr_reply *reply, fr_err *err)
{
    fr_client *client = NULL;
    fr_text path = {0}, text = {0};
    fr_text_puts(&path, folder);
    if (name) fr_text_path(&path, name);
    fr_text_puts(&path, tail);
    fr_text_add(&path, "", 1);
    if (body) fr_text_json(&text, body);
    fr_code code = path.failed || text.failed ? fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory") : fr_client_open(fr_cli_url(args->url), &client, err);
    if (code == FR_OK) code = fr_client_call(client, method, path.data, body ? &text : NULL, reply, err);
    fr_client_close(client);
    fr_text_free(&path);
    fr_text_free(&text);
    return code;
}

static int64_t int_of(const json_t *object, const char *key) { return (int64_t)json_integer_value(json_object_get(object, key)); }
static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* ---- replay ---- */

static const char replay_help[] =
    "usage: freshet replay COLLECTION [--to OTHER] [--offset N | --since TIME | --model-version V] [--rate N] [--follow] [--wait]\n"
    "       freshet replay list\n"
    "       freshet replay show|pause|resume|cancel|forget ID\n"
    "Applies the collection's log again: into OTHER, which is made like it when it is not there, or in place, where only what is still an\n"
    "entity's newest record is written. At most --rate records a second (default 5000); goes on after a restart of the server. --follow goes\n"
    "on with what is written meanwhile; --wait stays until it has ended.\n"
    "each also: --url URL, --json\n";

static void replay_line(const json_t *job)
{
    printf("%5lld  %-9s %5.1f %%  %12lld records  %s -> %s%s%s\n", (long long)int_of(job, "id"), text_of(job, "state"),
           json_number_value(json_object_get(job, "progress")) * 100, (long long)int_of(job, "replayed"), text_of(job, "source"),
           text_of(job, "target"), text_of(job, "error")[0] ? ": " : "", text_of(job, "error"));
}

static int replay_print(const job_arguments *args, const fr_reply *reply)
{
    json_t *root = fr_reply_json(reply, NULL);
    const json_t *list = json_object_get(root, "replays"), *one;
    size_t index;
    if (args->json || !root) {
        fr_cli_print(reply);
    } else if (!list) {
        replay_line(root);
    } else {
        json_array_foreach(list, index, one) replay_line(one);
    }
    json_decref(root);
    return 0;
}

static json_t *replay_body(const job_arguments *args)
{
    json_t *body = json_object();
    if (args->to) json_object_set_new(body, "target", json_string(args->to));
    if (args->offset >= 0) json_object_set_new(body, "offset", json_integer(args->offset));
    char *end = NULL;
    long long since = args->since ? strtoll(args->since, &end, 10) : 0;
    if (args->since) json_object_set_new(body, "timestamp", *end ? json_string(args->since) : json_integer(since));
    if (args->model_version) json_object_set_new(body, "model_version", json_string(args->model_version));
    if (args->rate) json_object_set_new(body, "rate", json_integer(args->rate));
    if (args->follow) json_object_set_new(body, "follow", json_true());
    return body;
}

/* Until it has ended: 0 done, 1 otherwise. */
static int replay_wait(const job_arguments *args, int64_t id)
{
    const struct timespec pause = {.tv_nsec = 200000000};
    for (;;) {
        char name[24];
        fr_reply reply = {0};
        fr_err err = {0};
        snprintf(name, sizeof name, "%lld", (long long)id);
        if (call(args, "GET", "/v1/replays", name, "", NULL, &reply, &err) != FR_OK) {
            fr_reply_free(&reply);
            return fr_cli_fail("replay", &err);
        }
        json_t *job = fr_reply_json(&reply, NULL);
        const char *state = text_of(job, "state");
        bool ended = strcmp(state, "running") != 0, done = strcmp(state, "done") == 0;
        if (ended) replay_print(args, &reply);
        json_decref(job);
        fr_reply_free(&reply);
        if (ended) return done ? 0 : 1;
        nanosleep(&pause, NULL);
    }
}

static int replay_start(const job_arguments *args)
{
    fr_reply reply = {0};
    fr_err err = {0};
    json_t *body = replay_body(args);
    fr_code code = call(args, "POST", "/v1/collections", args->rest[0], "/replay", body, &reply, &err);
    json_decref(body);
    int status = code == FR_OK ? 0 : fr_cli_fail("replay", &err);
    if (code == FR_OK && args->wait) {
        json_t *job = fr_reply_json(&reply, NULL);
        status = replay_wait(args, int_of(job, "id"));
        json_decref(job);
    } else if (code == FR_OK) {
        replay_print(args, &reply);
    }
    fr_reply_free(&reply);
    return status;
}

int fr_cli_replay_main(int argc, char **argv)
{
    static const char *const orders[] = {"show", "pause", "resume", "cancel", "forget"};
    job_arguments args;
    int status = parse("replay", replay_help, argc, argv, &args);
    if (status) return status;
    if (args.rest_count == 1 && strcmp(args.rest[0], "list") != 0) return replay_start(&args);
    bool list = args.rest_count == 1;
    const char *order = args.rest_count ? args.rest[0] : "";
    for (size_t i = 0; i < FR_COUNT_OF(orders) && args.rest_count == 2; i++) list = list || strcmp(order, orders[i]) == 0;
    if (!list) return fr_cli_usage("replay", "a COLLECTION, or an order and the ID of a replay expected");
    fr_reply reply = {0};
    fr_err err = {0};
    char tail[16] = "";
    bool show = args.rest_count == 1 || strcmp(order, "show") == 0, forget = strcmp(order, "forget") == 0;
    if (!show && !forget) snprintf(tail, sizeof tail, "/%s", order);
    const char *method = show ? "GET" : forget ? "DELETE" : "POST";
    fr_code code = call(&args, method, "/v1/replays", args.rest_count == 2 ? args.rest[1] : NULL, tail, NULL, &reply, &err);
    status = code == FR_OK ? replay_print(&args, &reply) : fr_cli_fail("replay", &err);
    fr_reply_free(&reply);
    return status;
}

/* ---- dlq ---- */

static const char dlq_help[] =
    "usage: freshet dlq list COLLECTION [--offset N] [--limit N]\n"
    "       freshet dlq replay COLLECTION [--offset N] [--keep]\n"
    "Records that producers sent and the collection could not use, as JSON lines with the reason; and trying them again, after mending. What\n"
    "has a newer record by now is left alone. Letters that are done are removed, up to the first that is still unusable, unless --keep.\n"
    "each also: --url URL\n";

static int letters_list(job_arguments *args)
{
    fr_err err = {0};
    int64_t left = args->limit ? args->limit : INT64_MAX, next = FR_MAX(args->offset, 0), end = 1;
    while (next < end && left > 0) {
        char tail[80];
        fr_reply reply = {0};
        snprintf(tail, sizeof tail, "/dlq?offset=%lld&limit=%lld", (long long)next, (long long)FR_MIN(left, 1000));
        if (call(args, "GET", "/v1/collections", args->rest[1], tail, NULL, &reply, &err) != FR_OK) {
            fr_reply_free(&reply);
            return fr_cli_fail("dlq", &err);
        }
        json_t *page = fr_reply_json(&reply, NULL);
        const json_t *letters = json_object_get(page, "letters"), *one;
        size_t index;
        json_array_foreach(letters, index, one)
        {
            json_dumpf(one, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
            putchar('\n');
        }
        left -= (int64_t)json_array_size(letters);
        next = int_of(page, "next"), end = json_array_size(letters) ? int_of(page, "end") : next;
        json_decref(page);
        fr_reply_free(&reply);
    }
    return 0;
}

int fr_cli_dlq_main(int argc, char **argv)
{
    job_arguments args;
    int status = parse("dlq", dlq_help, argc, argv, &args);
    if (status) return status;
    if (args.rest_count == 2 && strcmp(args.rest[0], "list") == 0) return letters_list(&args);
    if (args.rest_count != 2 || strcmp(args.rest[0], "replay") != 0) return fr_cli_usage("dlq", "list COLLECTION or replay COLLECTION expected");
    fr_reply reply = {0};
    fr_err err = {0};
    json_t *body = json_object();
    if (args.offset >= 0) json_object_set_new(body, "offset", json_integer(args.offset));
    if (args.keep) json_object_set_new(body, "keep", json_true());
    fr_code code = call(&args, "POST", "/v1/collections", args.rest[1], "/dlq/replay", body, &reply, &err);
    json_decref(body);
    if (code == FR_OK) fr_cli_print(&reply);
    else status = fr_cli_fail("dlq", &err);
    fr_reply_free(&reply);
    return status;
}

/* ---- lag ---- */

static const char lag_help[] = "usage: freshet lag [GROUP] [--json] [--url URL]\n"
                               "How far consumer groups are behind, by topic and partition.\n";

static void lag_print(const fr_reply *reply)
{
    json_t *root = fr_reply_json(reply, NULL);
    const json_t *group, *part;
    size_t i, j;
    printf("%-32s %-32s %5s %12s %12s %10s\n", "group", "topic", "part", "committed", "end", "lag");
    json_array_foreach(json_object_get(root, "groups"), i, group)
    {
        const json_t *parts = json_object_get(group, "partitions");
        if (json_array_size(parts) == 0) printf("%-32s (no offsets, %s)\n", text_of(group, "group"), text_of(group, "state"));
        json_array_foreach(parts, j, part)
            printf("%-32s %-32s %5lld %12lld %12lld %10lld\n", text_of(group, "group"), text_of(part, "topic"), (long long)int_of(part, "partition"),
                   (long long)int_of(part, "committed"), (long long)int_of(part, "end"), (long long)int_of(part, "lag"));
    }
    json_decref(root);
}

int fr_cli_lag_main(int argc, char **argv)
{
    job_arguments args;
    int status = parse("lag", lag_help, argc, argv, &args);
    if (status) return status;
    if (args.rest_count > 1) return fr_cli_usage("lag", "at most one GROUP expected");
    fr_reply reply = {0};
    fr_err err = {0};
    fr_text tail = {0}, name = {0};
    if (args.rest_count) {
        fr_text_path(&name, args.rest[0]); /* the same escaping; its leading '/' is left out */
        fr_text_puts(&tail, "?group=");
        fr_text_add(&tail, name.data + 1, name.size - 1);
    }
    fr_text_add(&tail, "", 1);
    fr_code code = tail.failed || name.failed ? fr_fail(&err, FR_ERR_NO_MEMORY, NULL, "no memory")
                                              : call(&args, "GET", "/v1/lag", NULL, tail.data, NULL, &reply, &err);
    if (code != FR_OK) status = fr_cli_fail("lag", &err);
    else if (args.json || !isatty(STDOUT_FILENO)) fr_cli_print(&reply);
    else lag_print(&reply);
    fr_text_free(&tail);
    fr_text_free(&name);
    fr_reply_free(&reply);
    return status;
}
