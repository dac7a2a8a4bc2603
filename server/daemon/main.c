/* main.c: the binary's verbs. One table; everything else lives behind the verb's own file. */
#include "server/daemon/cli.h"
#include "server/daemon/serve.h"

#include <curl/curl.h>
#include <stdlib.h>

static const struct verb {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
} verbs[] = {
    {"serve", "open a data directory and answer requests until SIGTERM", fr_serve_main},
    {"import", "load a file (jsonl, npy, fvecs, bvecs, u8bin, fbin, csv, wordnet) into a collection",
     fr_cli_import_main},
    {"export", "write a collection as JSON lines", fr_cli_export_main},
    {"search", "find the nearest records of a text or a vector", fr_cli_search_main},
    {"collection", "list, create, show, drop collections; set aliases", fr_cli_collection_main},
    {"user", "users, roles, grants, API keys, limits", fr_cli_user_main},
    {"log", "print the records of a collection's log", fr_cli_log_main},
    {"replay", "apply a collection's log again, into another collection or in place; a job of the server", fr_cli_replay_main},
    {"dlq", "list and retry records that a collection could not use", fr_cli_dlq_main},
    {"lag", "how far consumer groups are behind", fr_cli_lag_main},
    {"snapshot", "write a snapshot now", fr_cli_snapshot_main},
    {"backup", "copy a data directory into a new one, also while a server has it open", fr_cli_backup_main},
    {"restore", "check a copy, and make a data directory of it", fr_cli_restore_main},
    {"verify", "check every checksum of a data directory that no server has open", fr_cli_verify_main},
    {"bench", "load a running server over HTTP and print what it reached", fr_cli_bench_main},
};

static void print_usage(FILE *out)
{
    fprintf(out, "usage: freshet VERB [OPTION...]\n\n");
    for (size_t index = 0; index < FR_COUNT_OF(verbs); index++)
        fprintf(out, "  %-11s %s\n", verbs[index].name, verbs[index].summary);
    fprintf(out, "\n  freshet VERB --help    options of a verb\n  freshet --version\n\n"
                 "Verbs other than serve, backup, restore and verify talk to --url, else FRESHET_URL, else http://127.0.0.1:19530, and log in with\n"
                 "--user NAME --password-file FILE or --api-key KEY, else FRESHET_API_KEY, else FRESHET_USER and FRESHET_PASSWORD.\n");
}

/* --user NAME, --password-file FILE, --api-key KEY, of every verb that talks to a server: taken out of the arguments. */
static int login(int *argc_io, char **argv)
{
    static const char *const names[] = {"--user", "--password-file", "--api-key"};
    const char *values[3] = {NULL, NULL, NULL};
    fr_err err = {0};
    int kept = 2;
    for (int i = 2; i < *argc_io; i++) {
        int found = -1;
        size_t size = strcspn(argv[i], "=");
        for (int k = 0; k < 3; k++)
            if (strlen(names[k]) == size && memcmp(argv[i], names[k], size) == 0) found = k;
        if (found < 0) argv[kept++] = argv[i];
        else if (argv[i][size] == '=') values[found] = argv[i] + size + 1;
        else if (i + 1 < *argc_io) values[found] = argv[++i];
    }
    argv[kept] = NULL;
    *argc_io = kept;
    if (fr_client_login(values[0], values[1], values[2], &err) == FR_OK) return 0;
    fprintf(stderr, "freshet: %s\n", err.text);
    return 1;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_usage(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_usage(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("freshet %s\n", FR_VERSION);
        return 0;
    }
    for (size_t index = 0; index < FR_COUNT_OF(verbs); index++) {
        if (strcmp(argv[1], verbs[index].name) != 0) continue;
        if (verbs[index].run != fr_serve_main && login(&argc, argv) != 0) return 1;
        curl_global_init(CURL_GLOBAL_DEFAULT); /* not safe once there are threads, so here */
        int status = verbs[index].run(argc - 1, argv + 1);
        curl_global_cleanup();
        if (fflush(stdout) != 0 && status == 0) status = 1;
        return status;
    }
    fprintf(stderr, "freshet: no verb named %s; freshet --help lists them\n", argv[1]);
    return 2;
}
