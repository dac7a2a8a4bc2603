/* cli.c: what the verbs share, and the two shortest of them: snapshot and verify. */
#include "server/daemon/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int fr_cli_fail(const char *verb, const fr_err *err)
{
    fflush(stdout);
    fprintf(stderr, "freshet %s: %s\n", verb, err->text[0] ? err->text : fr_strcode(err->code));
    return 1;
}

int fr_cli_usage(const char *verb, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "freshet %s: ", verb);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "; freshet %s --help\n", verb);
    va_end(arguments);
    return 2;
}

int64_t fr_cli_number(const char *verb, const char *option, const char *text, int64_t low, int64_t high)
{
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end || value < low || value > high) {
        fprintf(stderr, "freshet %s: --%s wants a whole number from %lld to %lld, not %s\n", verb, option,
                (long long)low, (long long)high, text);
        exit(2);
    }
    return value;
}

const char *fr_cli_url(const char *option)
{
    const char *environment = getenv("FRESHET_URL");
    if (option) return option;
    return environment && *environment ? environment : "http://127.0.0.1:19530";
}

void fr_cli_print(const fr_reply *reply)
{
    json_t *root = isatty(STDOUT_FILENO) ? fr_reply_json(reply, NULL) : NULL;
    if (root) json_dumpf(root, stdout, JSON_ENCODE_ANY | JSON_INDENT(2));
    else fwrite(reply->body.data, 1, reply->body.size, stdout); /* as it came: no number changes its form */
    json_decref(root);
    fputc('\n', stdout);
}

int64_t fr_cli_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int fr_cli_snapshot_main(int argc, char **argv)
{
    static const struct option options[] = {FR_CLI_OPTION_URL, FR_CLI_OPTION_HELP, {0}};
    const char *url = NULL;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'u': url = optarg; break;
        case 'h':
            printf("usage: freshet snapshot [--url URL]\nWrites a snapshot now and answers when it is on disk.\n");
            return 0;
        default: return 2;
        }
    }
    if (optind != argc) return fr_cli_usage("snapshot", "no argument expected");
    fr_err err = {0};
    fr_client *client;
    fr_reply reply = {0};
    if (fr_client_open(fr_cli_url(url), &client, &err) != FR_OK) return fr_cli_fail("snapshot", &err);
    int status = 0;
    if (fr_client_call(client, "POST", "/v1/snapshots", NULL, &reply, &err) == FR_OK) fr_cli_print(&reply);
    else status = fr_cli_fail("snapshot", &err);
    fr_reply_free(&reply);
    fr_client_close(client);
    return status;
}

/* ---- verify ---- */

typedef struct findings {
    uint64_t good, bad;
    bool quiet;
} findings;

static void take_finding(void *user, bool bad, const char *line)
{
    findings *seen = user;
    if (bad) seen->bad++;
    else seen->good++;
    if (bad || !seen->quiet) printf("%s  %s\n", bad ? "BAD" : "ok ", line);
}

int fr_cli_verify_main(int argc, char **argv)
{
    static const struct option options[] = {{"quiet", no_argument, NULL, 'q'}, FR_CLI_OPTION_HELP, {0}};
    findings seen = {0};
    for (int option; (option = getopt_long(argc, argv, "q", options, NULL)) != -1;) {
        switch (option) {
        case 'q': seen.quiet = true; break;
        case 'h':
            printf("usage: freshet verify [--quiet] DIR\n"
                   "Checks every checksum of a data directory that no server has open, and prints one line per file or "
                   "finding.\n"
                   "Exit status: 0 whole, 1 damaged or unreadable. --quiet prints only what is bad.\n");
            return 0;
        default: return 2;
        }
    }
    if (optind + 1 != argc) return fr_cli_usage("verify", "one data directory expected");
    fr_err err = {0};
    fr_code code = fr_verify(argv[optind], take_finding, &seen, &err);
    printf("%s: %llu good, %llu bad\n", argv[optind], (unsigned long long)seen.good, (unsigned long long)seen.bad);
    if (code != FR_OK) {
        err.code = code;
        return fr_cli_fail("verify", &err);
    }
    return seen.bad ? 1 : 0;
}

/* ---- backup, restore ---- */

static int copy(const char *verb, const char *from, const char *to)
{
    fr_err err = {0};
    uint64_t files = 0, bytes = 0;
    findings seen = {.quiet = true};
    fr_code code = fr_backup(from, to, &files, &bytes, &err);
    if (code == FR_OK) code = fr_verify(to, take_finding, &seen, &err);
    if (code != FR_OK) {
        err.code = code;
        return fr_cli_fail(verb, &err);
    }
    printf("%s: %llu files, %llu bytes, every checksum is right\n", to, (unsigned long long)files, (unsigned long long)bytes);
    return 0;
}

static int two_directories(const char *verb, int argc, char **argv, const char *help)
{
    static const struct option options[] = {FR_CLI_OPTION_HELP, {0}};
    int option = getopt_long(argc, argv, "", options, NULL);
    if (option == 'h') {
        printf("%s", help);
        return 0;
    }
    if (option != -1) return 2;
    return optind + 2 == argc ? -1 : fr_cli_usage(verb, "two directories expected");
}

int fr_cli_backup_main(int argc, char **argv)
{
    int status = two_directories("backup", argc, argv,
                                 "usage: freshet backup DIR DEST\n"
                                 "Copies the data directory DIR into DEST, which must be new or empty, and checks the copy.\n"
                                 "A server may have DIR open: what was answered before is in the copy.\n");
    return status >= 0 ? status : copy("backup", argv[optind], argv[optind + 1]);
}

int fr_cli_restore_main(int argc, char **argv)
{
    int status = two_directories("restore", argc, argv,
                                 "usage: freshet restore BACKUP DIR\n"
                                 "Checks a copy made by freshet backup, copies it into the new or empty DIR, and checks that.\n"
                                 "Then: freshet serve --data DIR\n");
    if (status >= 0) return status;
    findings seen = {.quiet = true};
    fr_err err = {0};
    if (fr_verify(argv[optind], take_finding, &seen, &err) != FR_OK) return fr_cli_fail("restore", &err);
    return copy("restore", argv[optind], argv[optind + 1]);
}
