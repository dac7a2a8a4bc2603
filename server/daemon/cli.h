/* cli.h: what the verbs of the command line share. Each verb is `int fr_cli_<verb>_main(argc, argv)`, argv[0] its name;
 * it returns the process's exit status: 0 done, 1 failed (the reason is on stderr), 2 wrong usage. */
#ifndef FR_CLI_H
#define FR_CLI_H

#include "api/base.h"
#include "server/daemon/client.h"

#include <getopt.h>
#include <stdio.h>

int fr_cli_import_main(int argc, char **argv);
int fr_cli_export_main(int argc, char **argv);
int fr_cli_search_main(int argc, char **argv);
int fr_cli_collection_main(int argc, char **argv);
int fr_cli_user_main(int argc, char **argv);
int fr_cli_log_main(int argc, char **argv);
int fr_cli_snapshot_main(int argc, char **argv);
int fr_cli_verify_main(int argc, char **argv);
int fr_cli_bench_main(int argc, char **argv);
int fr_cli_replay_main(int argc, char **argv);
int fr_cli_backup_main(int argc, char **argv);
int fr_cli_restore_main(int argc, char **argv);
int fr_cli_dlq_main(int argc, char **argv);
int fr_cli_lag_main(int argc, char **argv);

/* One line "freshet VERB: text" on stderr; returns 1. */
int fr_cli_fail(const char *verb, const fr_err *err);
/* "freshet VERB: text" and where help is; returns 2. */
int fr_cli_usage(const char *verb, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A whole number within [low, high], or exits with status 2 and names the option. */
int64_t fr_cli_number(const char *verb, const char *option, const char *text, int64_t low, int64_t high);
/* --url, else FRESHET_URL, else http://127.0.0.1:19530. */
const char *fr_cli_url(const char *option);
/* Print a reply's JSON on stdout: indented on a terminal, one line otherwise. */
void fr_cli_print(const fr_reply *reply);
int64_t fr_cli_now_us(void); /* monotonic */

#define FR_CLI_OPTION_URL                                                                                              \
    {                                                                                                                  \
        "url", required_argument, NULL, 'u'                                                                            \
    }
#define FR_CLI_OPTION_HELP                                                                                             \
    {                                                                                                                  \
        "help", no_argument, NULL, 'h'                                                                                 \
    }

#endif
