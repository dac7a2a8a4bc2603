/* cli_user.c: freshet user ...: users, roles, grants, API keys, limits over HTTP. */
#include "server/daemon/cli.h"

#include <stdlib.h>

typedef struct user_arguments {
    const char *url, *on, *roles, *actions, *client, *password_file;
    int64_t requests, bytes_in, bytes_out;
    bool superuser, role, none;
    char *const *rest;
    int rest_count;
} user_arguments;

static void print_help(void)
{
    printf("usage: freshet user list\n"
           "       freshet user put NAME [--set-password-file FILE] [--superuser] [--roles A,B]   make or change; FILE - = standard input\n"
           "       freshet user show NAME\n"
           "       freshet user drop NAME                     and his keys, grants and limits\n"
           "       freshet user roles                         list the roles\n"
           "       freshet user role NAME [--none]            make a role, or drop it\n"
           "       freshet user grants\n"
           "       freshet user grant WHOSE ACTIONS [OBJECT]  ACTIONS: read,write,admin; OBJECT: a name, or the beginning of names and *\n"
           "       freshet user revoke WHOSE [OBJECT]\n"
           "           [--role]   WHOSE is a role             [--on collection|topic|group|transactional_id|database|everything]\n"
           "       freshet user keys\n"
           "       freshet user key NAME [--actions read]     a new API key; its secret is shown this once\n"
           "       freshet user revoke-key ID\n"
           "       freshet user limits\n"
           "       freshet user limit NAME [--client ID] [--requests N] [--bytes-in N] [--bytes-out N] [--none]   a second; NAME * = the rest\n"
           "each also: --url URL, --user NAME --password-file FILE, --api-key KEY\n");
}

static json_t *words(const char *text)
{
    json_t *list = json_array();
    for (const char *at = text; *at;) {
        size_t size = strcspn(at, ",");
        if (size) json_array_append_new(list, json_stringn(at, size));
        at += size + (at[size] == ',');
    }
    return list;
}

static fr_code call(const user_arguments *args, const char *method, const char *folder, const char *name, const char *query, json_t *body,
                    fr_reply *reply, fr_err *err)
{
    fr_client *client = NULL;
    fr_text path = {0}, text = {0};
    fr_text_puts(&path, folder);
    if (name) fr_text_path(&path, name);
    if (query) {
        fr_text encoded = {0};
        fr_text_path(&encoded, query);
        fr_text_puts(&path, "?client=");
        if (encoded.size) fr_text_add(&path, encoded.data + 1, encoded.size - 1); /* without its slash */
        fr_text_free(&encoded);
    }
    fr_text_add(&path, "", 1);
    if (body) fr_text_json(&text, body);
    fr_code code = path.failed ? fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory") : fr_client_open(fr_cli_url(args->url), &client, err);
    if (code == FR_OK) code = fr_client_call_patiently(client, method, path.data, body ? &text : NULL, 5000, NULL, reply, err);
    fr_client_close(client);
    fr_text_free(&path);
    fr_text_free(&text);
    json_decref(body);
    return code;
}

static fr_code put_user(const user_arguments *args, const char *name, fr_reply *reply, fr_err *err)
{
    json_t *body = json_object();
    if (args->password_file) {
        char line[512] = "";
        FILE *file = strcmp(args->password_file, "-") == 0 ? stdin : fopen(args->password_file, "re");
        bool fine = file && fgets(line, sizeof line, file);
        if (file && file != stdin) fclose(file);
        if (!fine) {
            json_decref(body);
            return fr_fail(err, FR_ERR_IO, NULL, "%.150s cannot be read", args->password_file);
        }
        line[strcspn(line, "\r\n")] = 0;
        json_object_set_new(body, "password", json_string(line));
        memset(line, 0, sizeof line);
    }
    if (args->superuser) json_object_set_new(body, "superuser", json_true());
    if (args->roles) json_object_set_new(body, "roles", words(args->roles));
    return call(args, "PUT", "/v1/users", name, NULL, body, reply, err);
}

static json_t *grant_body(const user_arguments *args, const char *whose, const char *actions, const char *object)
{
    json_t *body = json_object();
    json_object_set_new(body, args->role ? "role" : "user", json_string(whose));
    if (actions) json_object_set_new(body, "actions", words(actions));
    if (args->on) json_object_set_new(body, "on", json_string(args->on));
    if (object) json_object_set_new(body, "name", json_string(object));
    return body;
}

static fr_code limit(const user_arguments *args, const char *name, fr_reply *reply, fr_err *err)
{
    if (args->none) return call(args, "DELETE", "/v1/limits", name, args->client, NULL, reply, err);
    json_t *body = json_pack("{s:I,s:I,s:I}", "requests", (json_int_t)args->requests, "bytes_in", (json_int_t)args->bytes_in, "bytes_out",
                             (json_int_t)args->bytes_out);
    if (args->client) json_object_set_new(body, "client", json_string(args->client));
    return call(args, "PUT", "/v1/limits", name, NULL, body, reply, err);
}

static fr_code key(const user_arguments *args, const char *name, fr_reply *reply, fr_err *err)
{
    json_t *body = json_pack("{s:s}", "user", name);
    if (args->actions) json_object_set_new(body, "actions", words(args->actions));
    return call(args, "POST", "/v1/keys", NULL, NULL, body, reply, err);
}

static fr_code run(const user_arguments *args, const char *verb, fr_reply *reply, fr_err *err)
{
    const char *name = args->rest_count > 0 ? args->rest[0] : NULL, *second = args->rest_count > 1 ? args->rest[1] : NULL,
               *third = args->rest_count > 2 ? args->rest[2] : NULL;
    if (strcmp(verb, "list") == 0) return call(args, "GET", "/v1/users", NULL, NULL, NULL, reply, err);
    if (strcmp(verb, "roles") == 0) return call(args, "GET", "/v1/roles", NULL, NULL, NULL, reply, err);
    if (strcmp(verb, "grants") == 0) return call(args, "GET", "/v1/grants", NULL, NULL, NULL, reply, err);
    if (strcmp(verb, "keys") == 0) return call(args, "GET", "/v1/keys", NULL, NULL, NULL, reply, err);
    if (strcmp(verb, "limits") == 0) return call(args, "GET", "/v1/limits", NULL, NULL, NULL, reply, err);
    if (!name) return fr_fail(err, FR_ERR_INVALID, NULL, "%.40s wants a name; freshet user --help", verb);
    if (strcmp(verb, "put") == 0) return put_user(args, name, reply, err);
    if (strcmp(verb, "show") == 0) return call(args, "GET", "/v1/users", name, NULL, NULL, reply, err);
    if (strcmp(verb, "drop") == 0) return call(args, "DELETE", "/v1/users", name, NULL, NULL, reply, err);
    if (strcmp(verb, "role") == 0) return call(args, args->none ? "DELETE" : "PUT", "/v1/roles", name, NULL, NULL, reply, err);
    if (strcmp(verb, "key") == 0) return key(args, name, reply, err);
    if (strcmp(verb, "revoke-key") == 0) return call(args, "DELETE", "/v1/keys", name, NULL, NULL, reply, err);
    if (strcmp(verb, "limit") == 0) return limit(args, name, reply, err);
    if (strcmp(verb, "revoke") == 0) return call(args, "POST", "/v1/grants/revoke", NULL, NULL, grant_body(args, name, NULL, second), reply, err);
    if (strcmp(verb, "grant") == 0 && second) return call(args, "POST", "/v1/grants", NULL, NULL, grant_body(args, name, second, third), reply, err);
    return fr_fail(err, FR_ERR_INVALID, NULL, "no verb %.40s, or a name is missing; freshet user --help", verb);
}

int fr_cli_user_main(int argc, char **argv)
{
    enum { ON = 256, ROLES, ACTIONS, CLIENT, PASSWORD, REQUESTS, BYTES_IN, BYTES_OUT, SUPERUSER, ROLE, NONE };
    static const struct option options[] = {{"on", required_argument, NULL, ON},
                                            {"roles", required_argument, NULL, ROLES},
                                            {"actions", required_argument, NULL, ACTIONS},
                                            {"client", required_argument, NULL, CLIENT},
                                            {"set-password-file", required_argument, NULL, PASSWORD},
                                            {"requests", required_argument, NULL, REQUESTS},
                                            {"bytes-in", required_argument, NULL, BYTES_IN},
                                            {"bytes-out", required_argument, NULL, BYTES_OUT},
                                            {"superuser", no_argument, NULL, SUPERUSER},
                                            {"role", no_argument, NULL, ROLE},
                                            {"none", no_argument, NULL, NONE},
                                            FR_CLI_OPTION_URL,
                                            FR_CLI_OPTION_HELP,
                                            {0}};
    user_arguments args = {0};
    if (argc < 2 || argv[1][0] == '-') {
        print_help();
        return argc < 2 ? 2 : 0;
    }
    for (int option; (option = getopt_long(argc - 1, argv + 1, "", options, NULL)) != -1;) {
        switch (option) {
        case ON: args.on = optarg; break;
        case ROLES: args.roles = optarg; break;
        case ACTIONS: args.actions = optarg; break;
        case CLIENT: args.client = optarg; break;
        case PASSWORD: args.password_file = optarg; break;
        case REQUESTS: args.requests = fr_cli_number("user", "requests", optarg, 0, INT64_MAX); break;
        case BYTES_IN: args.bytes_in = fr_cli_number("user", "bytes-in", optarg, 0, INT64_MAX); break;
        case BYTES_OUT: args.bytes_out = fr_cli_number("user", "bytes-out", optarg, 0, INT64_MAX); break;
        case SUPERUSER: args.superuser = true; break;
        case ROLE: args.role = true; break;
        case NONE: args.none = true; break;
        case 'u': args.url = optarg; break;
        case 'h': print_help(); return 0;
        default: return 2;
        }
    }
    args.rest = argv + 1 + optind;
    args.rest_count = argc - 1 - optind;
    fr_err err = {0};
    fr_reply reply = {0};
    int status = 0;
    if (run(&args, argv[1], &reply, &err) != FR_OK) status = fr_cli_fail("user", &err);
    else fr_cli_print(&reply);
    fr_reply_free(&reply);
    return status;
}
