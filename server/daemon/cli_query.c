/* cli_query.c: the reading verbs: search, export, log. Tables on a terminal, JSON otherwise. */
#include "server/daemon/cli.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* One line; numbers keep the form that they came in. */
static void print_line(const json_t *value, FILE *out)
{
    fr_text line = {0};
    fr_text_json(&line, value);
    fr_text_puts(&line, "\n");
    fwrite(line.data, 1, line.size, out);
    fr_text_free(&line);
}

/* ---- search ---- */

typedef struct search_arguments {
    const char *collection, *text, *vector, *filter, *url;
    int64_t k, ef;
    double recall;
    bool json, explain;
} search_arguments;

static fr_code search_body(const search_arguments *args, fr_text *body, fr_err *err)
{
    json_t *root = json_pack("{s:I,s:[s]}", "k", (json_int_t)args->k, "output", "*");
    if (args->ef) json_object_set_new(root, "ef", json_integer(args->ef));
    if (args->recall > 0) json_object_set_new(root, "recall", json_real(args->recall));
    if (args->filter) json_object_set_new(root, "filter", json_string(args->filter));
    if (args->explain) json_object_set_new(root, "explain", json_true());
    fr_code code = FR_OK;
    if (args->vector) {
        json_error_t where;
        json_t *vector =
            args->vector[0] == '[' ? json_loads(args->vector, 0, &where) : json_load_file(args->vector, 0, &where);
        if (json_is_array(vector)) json_object_set(root, "vector", vector);
        else
            code = fr_fail(err, FR_ERR_INVALID, NULL, "the vector must be a JSON list, or a file that holds one: %s",
                           where.text);
        json_decref(vector);
    } else {
        json_t *text = json_string(args->text);
        if (text) json_object_set_new(root, "text", text);
        else code = fr_fail(err, FR_ERR_INVALID, NULL, "the text is not UTF-8");
    }
    fr_text_json(body, root);
    json_decref(root);
    return code;
}

/* One line per hit: rank, id, score, then its text or its metadata, cut to the terminal. */
static void print_table(const json_t *hits)
{
    struct winsize window = {0};
    int columns = ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 40 ? window.ws_col : 100;
    printf("%3s  %-16s %9s  %s\n", "", "id", "score", "text or metadata");
    size_t index;
    const json_t *hit;
    json_array_foreach(hits, index, hit)
    {
        const json_t *id = json_object_get(hit, "id");
        json_t *metadata = json_object_get(hit, "metadata");
        char id_text[64];
        if (json_is_string(id)) snprintf(id_text, sizeof id_text, "%s", json_string_value(id));
        else snprintf(id_text, sizeof id_text, "%lld", (long long)json_integer_value(id));
        fr_text line = {0};
        const json_t *words = json_object_get(metadata, "words"), *text = json_object_get(metadata, "text");
        size_t at;
        const json_t *word;
        json_array_foreach(words, at, word)
        {
            if (!json_is_string(word)) continue;
            fr_text_puts(&line, at ? ", " : "");
            fr_text_puts(&line, json_string_value(word));
        }
        if (line.size && json_is_string(text)) fr_text_puts(&line, ": ");
        if (json_is_string(text)) fr_text_puts(&line, json_string_value(text));
        else if (line.size == 0 && metadata) fr_text_json(&line, metadata);
        int room = FR_MAX(columns - 34, 10);
        size_t size = line.size;
        if (size > (size_t)room) {
            size = (size_t)room - 3;
            while (size > 0 && ((unsigned char)line.data[size] & 0xC0) == 0x80) size--; /* not inside a character */
        }
        printf("%3zu  %-16s %9.4f  %.*s%s\n", index + 1, id_text, json_number_value(json_object_get(hit, "score")),
               (int)size, line.data ? line.data : "", size < line.size ? "..." : "");
        fr_text_free(&line);
    }
    if (json_array_size(hits) == 0) printf("no hits\n");
}

static int parse_search(int argc, char **argv, search_arguments *args)
{
    static const struct option options[] = {{"vector", required_argument, NULL, 'v'},
                                            {"k", required_argument, NULL, 'k'},
                                            {"ef", required_argument, NULL, 'e'},
                                            {"recall", required_argument, NULL, 'r'},
                                            {"filter", required_argument, NULL, 'f'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"explain", no_argument, NULL, 'x'},
                                            {"collection", required_argument, NULL, 'c'},
                                            FR_CLI_OPTION_URL,
                                            FR_CLI_OPTION_HELP,
                                            {0}};
    *args = (search_arguments){.k = 10};
    for (int option; (option = getopt_long(argc, argv, "k:c:", options, NULL)) != -1;) {
        switch (option) {
        case 'c': args->collection = optarg; break;
        case 'v': args->vector = optarg; break;
        case 'k': args->k = fr_cli_number("search", "k", optarg, 1, FR_K_MAX); break;
        case 'e': args->ef = fr_cli_number("search", "ef", optarg, 1, FR_EF_MAX); break;
        case 'r': args->recall = strtod(optarg, NULL); break;
        case 'f': args->filter = optarg; break;
        case 'j': args->json = true; break;
        case 'x': args->explain = true; break;
        case 'u': args->url = optarg; break;
        case 'h':
            printf("usage: freshet search COLLECTION TEXT [OPTION...]\n"
                   "       freshet search COLLECTION --vector '[0.1, 0.2, ...]' | --vector FILE\n\n"
                   "  -k, --k N       hits (default 10)\n  --ef N          search width\n"
                   "  --recall R      instead of it: the width that reached this recall\n  --filter EXPR   e.g. 'pos "
                   "== \"noun\"'\n"
                   "  --explain       which plan was taken, how many pass the filter, what it cost\n"
                   "  --json          JSON also on a terminal\n  --url URL\n");
            exit(0);
        default: return 2;
        }
    }
    if (!args->collection && optind < argc) args->collection = argv[optind++];
    if (!args->vector && optind < argc) args->text = argv[optind++];
    if (!args->collection) return fr_cli_usage("search", "COLLECTION is missing");
    if (!args->text && !args->vector) return fr_cli_usage("search", "a TEXT or --vector is missing");
    if (optind != argc) return fr_cli_usage("search", "one TEXT expected; quote it");
    return 0;
}

/* GET or POST /v1/collections/NAME<tail>; OK leaves the JSON in *root_out. */
static fr_code ask(fr_client *client, const char *method, const char *collection, const char *tail, const fr_text *body,
                   json_t **root_out, fr_err *err)
{
    fr_text path = {0};
    fr_reply reply = {0};
    *root_out = NULL;
    fr_text_puts(&path, "/v1/collections");
    fr_text_path(&path, collection);
    fr_text_puts(&path, tail);
    fr_text_add(&path, "", 1);
    fr_code code = path.failed ? fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory")
                               : fr_client_call_patiently(client, method, path.data, body, 5000, NULL, &reply, err);
    if (code == FR_OK) {
        *root_out = fr_reply_json(&reply, err);
        if (!*root_out) code = FR_ERR_INTERNAL;
    }
    fr_text_free(&path);
    fr_reply_free(&reply);
    return code;
}

int fr_cli_search_main(int argc, char **argv)
{
    search_arguments args;
    int status = parse_search(argc, argv, &args);
    if (status) return status;
    fr_err err = {0};
    fr_client *client = NULL;
    fr_text body = {0};
    json_t *root = NULL;
    fr_code code = search_body(&args, &body, &err);
    if (code == FR_OK) code = fr_client_open(fr_cli_url(args.url), &client, &err);
    if (code == FR_OK) code = ask(client, "POST", args.collection, "/search", &body, &root, &err);
    if (code != FR_OK) {
        status = fr_cli_fail("search", &err);
    } else if (args.json || !isatty(STDOUT_FILENO)) {
        print_line(root, stdout);
    } else {
        print_table(json_object_get(root, "hits"));
        if (args.explain) print_line(json_object_get(root, "explain"), stdout);
    }
    json_decref(root);
    fr_text_free(&body);
    fr_client_close(client);
    return status;
}

/* ---- export ---- */

/* The members that import reads back; the others (offset) belong to this log and not to the record. */
static void print_record(const json_t *record, FILE *out)
{
    static const char *const members[] = {"id", "vector", "metadata", "timestamp", "model_version"};
    json_t *kept = json_object();
    for (size_t index = 0; index < FR_COUNT_OF(members); index++) {
        json_t *value = json_object_get(record, members[index]);
        if (value && !json_is_null(value)) json_object_set(kept, members[index], value);
    }
    print_line(kept, out);
    json_decref(kept);
}

static fr_code export_all(fr_client *client, const char *collection, const char *filter, int64_t limit, FILE *out,
                          uint64_t *count_out, fr_err *err)
{
    json_t *request = json_pack("{s:I,s:b,s:[s]}", "limit", (json_int_t)limit, "with_vector", 1, "output", "*");
    if (filter) json_object_set_new(request, "filter", json_string(filter));
    fr_code code = FR_OK;
    bool more = true;
    while (code == FR_OK && more) {
        fr_text body = {0};
        json_t *page = NULL;
        fr_text_json(&body, request);
        code = ask(client, "POST", collection, "/scroll", &body, &page, err);
        size_t index;
        const json_t *record;
        json_array_foreach(json_object_get(page, "records"), index, record) print_record(record, out);
        *count_out += json_array_size(json_object_get(page, "records"));
        json_t *cursor = json_object_get(page, "cursor");
        more = json_is_string(cursor) && json_string_length(cursor) > 0;
        if (more) json_object_set(request, "cursor", cursor);
        json_decref(page);
        fr_text_free(&body);
        if (code == FR_OK && ferror(out)) code = fr_fail(err, FR_ERR_IO, NULL, "the output cannot be written");
    }
    json_decref(request);
    return code;
}

int fr_cli_export_main(int argc, char **argv)
{
    static const struct option options[] = {{"filter", required_argument, NULL, 'f'},
                                            {"output", required_argument, NULL, 'o'},
                                            {"batch", required_argument, NULL, 'b'},
                                            {"collection", required_argument, NULL, 'c'},
                                            FR_CLI_OPTION_URL,
                                            FR_CLI_OPTION_HELP,
                                            {0}};
    const char *collection = NULL, *filter = NULL, *output = NULL, *url = NULL;
    int64_t limit = 1000;
    for (int option; (option = getopt_long(argc, argv, "o:c:", options, NULL)) != -1;) {
        switch (option) {
        case 'c': collection = optarg; break;
        case 'f': filter = optarg; break;
        case 'o': output = optarg; break;
        case 'b': limit = fr_cli_number("export", "batch", optarg, 1, FR_RECORDS_MAX); break;
        case 'u': url = optarg; break;
        case 'h':
            printf("usage: freshet export COLLECTION [--output FILE] [--filter EXPR] [--batch N] [--url URL]\n"
                   "Writes every record with its vector as JSON lines, in the order of the keys; freshet import reads "
                   "them back.\n");
            return 0;
        default: return 2;
        }
    }
    if (!collection && optind < argc) collection = argv[optind++];
    if (!collection || optind != argc) return fr_cli_usage("export", "one COLLECTION expected");
    FILE *out = output ? fopen(output, "w") : stdout;
    if (!out) {
        perror(output);
        return 1;
    }
    fr_err err = {0};
    fr_client *client = NULL;
    uint64_t count = 0;
    fr_code code = fr_client_open(fr_cli_url(url), &client, &err);
    if (code == FR_OK) code = export_all(client, collection, filter, limit, out, &count, &err);
    bool closed = output ? fclose(out) == 0 : fflush(out) == 0;
    if (code == FR_OK && !closed) code = fr_fail(&err, FR_ERR_IO, NULL, "the output cannot be written");
    fr_client_close(client);
    if (code != FR_OK) return fr_cli_fail("export", &err);
    if (output) fprintf(stderr, "%llu records\n", (unsigned long long)count);
    return 0;
}

/* ---- log ---- */

typedef struct log_arguments {
    const char *collection, *since, *url;
    int64_t partition, offset, limit;
    bool follow;
} log_arguments;

static int parse_log(int argc, char **argv, log_arguments *args)
{
    static const struct option options[] = {{"partition", required_argument, NULL, 'p'},
                                            {"offset", required_argument, NULL, 'o'},
                                            {"since", required_argument, NULL, 's'},
                                            {"limit", required_argument, NULL, 'l'},
                                            {"follow", no_argument, NULL, 'f'},
                                            {"collection", required_argument, NULL, 'c'},
                                            FR_CLI_OPTION_URL,
                                            FR_CLI_OPTION_HELP,
                                            {0}};
    *args = (log_arguments){.offset = -1, .limit = INT64_MAX};
    for (int option; (option = getopt_long(argc, argv, "fc:", options, NULL)) != -1;) {
        switch (option) {
        case 'c': args->collection = optarg; break;
        case 'p': args->partition = fr_cli_number("log", "partition", optarg, 0, FR_PARTITIONS_MAX - 1); break;
        case 'o': args->offset = fr_cli_number("log", "offset", optarg, 0, INT64_MAX); break;
        case 's': args->since = optarg; break;
        case 'l': args->limit = fr_cli_number("log", "limit", optarg, 1, INT64_MAX); break;
        case 'f': args->follow = true; break;
        case 'u': args->url = optarg; break;
        case 'h':
            printf("usage: freshet log COLLECTION [--partition N] [--offset N | --since TIME] [--limit N] [--follow] "
                   "[--url URL]\n"
                   "Prints the records of the log as JSON lines. TIME: milliseconds since 1970, or RFC 3339. --follow "
                   "waits for more.\n");
            exit(0);
        default: return 2;
        }
    }
    if (!args->collection && optind < argc) args->collection = argv[optind++];
    if (!args->collection || optind != argc) return fr_cli_usage("log", "one COLLECTION expected");
    if (args->since && args->offset >= 0) return fr_cli_usage("log", "--offset or --since, not both");
    return 0;
}

/* Print one page; moves args->offset behind it and lowers args->limit. more: there may be another. */
static fr_code print_page(fr_client *client, log_arguments *args, bool *more_out, fr_err *err)
{
    fr_text tail = {0};
    json_t *page = NULL;
    fr_text_format(&tail, "/log?partition=%lld&limit=%lld", (long long)args->partition,
                   (long long)FR_MIN(args->limit, 1000));
    if (args->offset >= 0) {
        fr_text_format(&tail, "&offset=%lld", (long long)args->offset);
    } else if (args->since) {
        fr_text since = {0};
        fr_text_path(&since, args->since); /* the same escaping; its leading '/' is left out */
        fr_text_puts(&tail, "&timestamp=");
        fr_text_add(&tail, since.data + 1, since.size - 1);
        fr_text_free(&since);
    }
    fr_text_add(&tail, "", 1);
    fr_code code = tail.failed ? fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory")
                               : ask(client, "GET", args->collection, tail.data, NULL, &page, err);
    const json_t *records = json_object_get(page, "records");
    size_t index;
    const json_t *record;
    json_array_foreach(records, index, record)
    {
        print_line(record, stdout);
        args->offset = json_integer_value(json_object_get(record, "offset")) + 1;
    }
    args->limit -= (int64_t)json_array_size(records);
    /* A compacted log has holes: a page may be empty and yet not be the last. */
    const json_t *next = json_object_get(page, "next"), *end = json_object_get(page, "end");
    if (json_is_integer(next)) args->offset = FR_MAX(args->offset, (int64_t)json_integer_value(next));
    *more_out = json_array_size(records) > 0 || json_integer_value(next) < json_integer_value(end);
    json_decref(page);
    fr_text_free(&tail);
    return code;
}

int fr_cli_log_main(int argc, char **argv)
{
    log_arguments args;
    int status = parse_log(argc, argv, &args);
    if (status) return status;
    fr_err err = {0};
    fr_client *client = NULL;
    fr_code code = fr_client_open(fr_cli_url(args.url), &client, &err);
    while (code == FR_OK && args.limit > 0) {
        bool more = false;
        code = print_page(client, &args, &more, &err);
        if (more) continue;
        if (!args.follow || fflush(stdout) != 0) break;
        struct timespec pause = {.tv_nsec = 200000000};
        nanosleep(&pause, NULL);
    }
    fr_client_close(client);
    return code == FR_OK ? 0 : fr_cli_fail("log", &err);
}
