/* tls.h: the server's certificate for its listeners. Contexts are counted: a reload gives new connections the new one. */
#ifndef FR_TLS_H
#define FR_TLS_H

#include "api/base.h"

#include <openssl/ssl.h>

typedef struct fr_tls fr_tls;
/* client_ca: NULL or "" = clients need no certificate. INVALID names the setting whose file is wrong. */
fr_code fr_tls_create(const char *cert, const char *key, const char *client_ca, fr_tls **tls_out, fr_err *err);
fr_code fr_tls_reload(fr_tls *tls, fr_err *err); /* the same files again; on failure the old ones stay. Any thread */
SSL_CTX *fr_tls_take(fr_tls *tls);               /* SSL_CTX_free it. Any thread */
void fr_tls_free(fr_tls *tls);                   /* accepts NULL */

#endif
