/* cli_collection.c: freshet collection list | create | show | drop | alias. */
#include "server/daemon/cli.h"

#include <stdlib.h>
#include <unistd.h>

typedef struct collection_arguments {
    const char *url, *metric, *codes, *profile, *vectors, *vector_type, *embedder, *id_type, *indexed;
    int64_t dimension, partitions, m, ef_construction;
    bool drop_stale, remove, json;
    char *const *rest;
    int rest_count;
} collection_arguments;

static void print_help(void)
{
    printf("usage: freshet collection list\n"
           "       freshet collection create NAME --dimension N [--metric l2|ip|cosine|hamming|jaccard] [--partitions N] [--codes "
           "sq8|none]\n"
           "                                 [--profile balanced|speed|compact] [--vectors memory|disk]\n"
           "                                 [--vector-type f32|f16|bf16|int8|binary]\n"
           "                                 [--m N] [--ef-construction N] [--embedder hash] [--id-type int64|string] "
           "[--drop-stale]\n"
           "                                 [--indexed FIELD,FIELD...]\n"
           "       freshet collection show NAME\n"
           "       freshet collection drop NAME\n"
           "       freshet collection alias              list the aliases\n"
           "       freshet collection alias ALIAS NAME   point ALIAS at NAME, at once for every reader\n"
           "       freshet collection alias ALIAS --remove\n"
           "each also: --url URL, --json\n");
}

static fr_code call(const collection_arguments *args, const char *method, const char *folder, const char *name,
                    const json_t *body, fr_reply *reply, fr_err *err)
{
    fr_client *client = NULL;
    fr_text path = {0}, text = {0};
    fr_text_puts(&path, folder);
    if (name) fr_text_path(&path, name);
    fr_text_add(&path, "", 1);
    if (body) fr_text_json(&text, body);
    fr_code code = path.failed ? fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory")
                               : fr_client_open(fr_cli_url(args->url), &client, err);
    if (code == FR_OK)
        code = fr_client_call_patiently(client, method, path.data, body ? &text : NULL, 5000, NULL, reply, err);
    fr_client_close(client);
    fr_text_free(&path);
    fr_text_free(&text);
    return code;
}

static void print_list(const fr_reply *reply)
{
    json_t *root = fr_reply_json(reply, NULL);
    size_t index;
    const json_t *one;
    printf("%-32s %10s %9s %-7s %14s\n", "name", "records", "dimension", "metric", "index bytes");
    json_array_foreach(json_object_get(root, "collections"), index, one)
    {
        const char *name = json_string_value(json_object_get(one, "name")),
                   *metric = json_string_value(json_object_get(one, "metric"));
        printf("%-32s %10lld %9lld %-7s %14lld\n", name ? name : "?",
               (long long)json_integer_value(json_object_get(one, "count")),
               (long long)json_integer_value(json_object_get(one, "dimension")), metric ? metric : "?",
               (long long)json_integer_value(json_object_get(one, "index_bytes")));
    }
    json_decref(root);
}

static json_t *create_body(const collection_arguments *args)
{
    json_t *body = json_pack("{s:s,s:I}", "name", args->rest[0], "dimension", (json_int_t)args->dimension);
    if (args->metric) json_object_set_new(body, "metric", json_string(args->metric));
    if (args->codes) json_object_set_new(body, "codes", json_string(args->codes));
    if (args->profile) json_object_set_new(body, "profile", json_string(args->profile));
    if (args->vectors) json_object_set_new(body, "vectors", json_string(args->vectors));
    if (args->vector_type) json_object_set_new(body, "vector_type", json_string(args->vector_type));
    if (args->id_type) json_object_set_new(body, "id_type", json_string(args->id_type));
    if (args->partitions) json_object_set_new(body, "partitions", json_integer(args->partitions));
    if (args->m) json_object_set_new(body, "m", json_integer(args->m));
    if (args->ef_construction) json_object_set_new(body, "ef_construction", json_integer(args->ef_construction));
    if (args->indexed) {
        json_t *list = json_array();
        for (const char *at = args->indexed; *at;) {
            size_t size = strcspn(at, ",");
            if (size) json_array_append_new(list, json_stringn(at, size));
            at += size + (at[size] == ',');
        }
        json_object_set_new(body, "indexed", list);
    }
    if (args->drop_stale) json_object_set_new(body, "drop_stale", json_true());
    if (args->embedder) {
        json_object_set_new(body, "embedder",
                            json_pack("{s:s,s:I}", "type", args->embedder, "dimension", (json_int_t)args->dimension));
    }
    return body;
}

static int parse(int argc, char **argv, collection_arguments *args)
{
    enum { DIMENSION = 256, METRIC, CODES, EMBEDDER, ID_TYPE, PARTITIONS, M, EF, STALE, INDEXED, REMOVE, PROFILE, VECTORS, VECTOR_TYPE };
    static const struct option options[] = {{"dimension", required_argument, NULL, DIMENSION},
                                            {"metric", required_argument, NULL, METRIC},
                                            {"codes", required_argument, NULL, CODES},
                                            {"profile", required_argument, NULL, PROFILE},
                                            {"vectors", required_argument, NULL, VECTORS},
                                            {"vector-type", required_argument, NULL, VECTOR_TYPE},
                                            {"embedder", required_argument, NULL, EMBEDDER},
                                            {"id-type", required_argument, NULL, ID_TYPE},
                                            {"partitions", required_argument, NULL, PARTITIONS},
                                            {"m", required_argument, NULL, M},
                                            {"ef-construction", required_argument, NULL, EF},
                                            {"drop-stale", no_argument, NULL, STALE},
                                            {"indexed", required_argument, NULL, INDEXED},
                                            {"remove", no_argument, NULL, REMOVE},
                                            {"json", no_argument, NULL, 'j'},
                                            FR_CLI_OPTION_URL,
                                            FR_CLI_OPTION_HELP,
                                            {0}};
    *args = (collection_arguments){0};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case DIMENSION: args->dimension = fr_cli_number("collection", "dimension", optarg, 1, FR_DIMENSION_BITS_MAX); break;
        case PARTITIONS:
            args->partitions = fr_cli_number("collection", "partitions", optarg, 1, FR_PARTITIONS_MAX);
            break;
        case M: args->m = fr_cli_number("collection", "m", optarg, 2, 512); break;
        case EF: args->ef_construction = fr_cli_number("collection", "ef-construction", optarg, 1, FR_EF_MAX); break;
        case METRIC: args->metric = optarg; break;
        case CODES: args->codes = optarg; break;
        case PROFILE: args->profile = optarg; break;
        case VECTORS: args->vectors = optarg; break;
        case VECTOR_TYPE: args->vector_type = optarg; break;
        case EMBEDDER: args->embedder = optarg; break;
        case ID_TYPE: args->id_type = optarg; break;
        case STALE: args->drop_stale = true; break;
        case INDEXED: args->indexed = optarg; break;
        case REMOVE: args->remove = true; break;
        case 'j': args->json = true; break;
        case 'u': args->url = optarg; break;
        case 'h': print_help(); exit(0);
        default: return 2;
        }
    }
    args->rest = argv + optind;
    args->rest_count = argc - optind;
    return 0;
}

static fr_code run_alias(const collection_arguments *args, fr_reply *reply, fr_err *err)
{
    if (args->rest_count == 0) return call(args, "GET", "/v1/aliases", NULL, NULL, reply, err);
    if (args->remove) return call(args, "DELETE", "/v1/aliases", args->rest[0], NULL, reply, err);
    if (args->rest_count == 1) return call(args, "GET", "/v1/aliases", args->rest[0], NULL, reply, err);
    json_t *body = json_pack("{s:s}", "collection", args->rest[1]);
    fr_code code = call(args, "PUT", "/v1/aliases", args->rest[0], body, reply, err);
    json_decref(body);
    return code;
}

int fr_cli_collection_main(int argc, char **argv)
{
    if (argc < 2 || argv[1][0] == '-') {
        print_help();
        return argc < 2 ? 2 : 0;
    }
    const char *verb = argv[1];
    collection_arguments args;
    int status = parse(argc - 1, argv + 1, &args);
    if (status) return status;
    bool is_list = strcmp(verb, "list") == 0, is_alias = strcmp(verb, "alias") == 0;
    if (is_list ? args.rest_count != 0 : is_alias ? args.rest_count > 2 : args.rest_count != 1) {
        return fr_cli_usage("collection", "wrong number of names for %s", verb);
    }
    fr_err err = {0};
    fr_reply reply = {0};
    fr_code code;
    if (is_list) {
        code = call(&args, "GET", "/v1/collections", NULL, NULL, &reply, &err);
    } else if (strcmp(verb, "create") == 0) {
        if (!args.dimension) return fr_cli_usage("collection", "create wants --dimension");
        json_t *body = create_body(&args);
        code = call(&args, "POST", "/v1/collections", NULL, body, &reply, &err);
        json_decref(body);
    } else if (strcmp(verb, "show") == 0) {
        code = call(&args, "GET", "/v1/collections", args.rest[0], NULL, &reply, &err);
    } else if (strcmp(verb, "drop") == 0) {
        code = call(&args, "DELETE", "/v1/collections", args.rest[0], NULL, &reply, &err);
    } else if (is_alias) {
        code = run_alias(&args, &reply, &err);
    } else {
        return fr_cli_usage("collection", "no verb %s", verb);
    }
    if (code != FR_OK) status = fr_cli_fail("collection", &err);
    else if (is_list && !args.json && isatty(STDOUT_FILENO)) print_list(&reply);
    else fr_cli_print(&reply);
    fr_reply_free(&reply);
    return status;
}
