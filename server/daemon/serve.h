/* serve.h: the verb "serve": open the data directory, listen, run until a signal. Source: serve.c. */
#ifndef FR_SERVE_H
#define FR_SERVE_H

/* argv[0] is "serve". Returns the process's exit status. */
int fr_serve_main(int argc, char **argv);

#endif
