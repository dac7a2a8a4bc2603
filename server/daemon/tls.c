/* tls.c: TLS 1.2 and 1.3, forward-secret ciphers with authenticated encryption only, no renegotiation, no compression. */
#include "server/daemon/tls.h"

#include <openssl/err.h>
#include <pthread.h>
#include <stdio.h>

struct fr_tls {
    char cert[1024], key[1024], client_ca[1024];
    pthread_mutex_t lock;
    SSL_CTX *context;
};

static fr_code wrong(fr_err *err, const char *field, const char *path)
{
    char reason[120];
    ERR_error_string_n(ERR_get_error(), reason, sizeof reason);
    ERR_clear_error();
    return fr_fail(err, FR_ERR_INVALID, field, "%.100s: %s", path, reason);
}

/* Who speaks both gets HTTP/1.1: HTTP/2 here is gRPC's, and gRPC's clients offer nothing else. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *size_out, const unsigned char *offered, unsigned size, void *user)
{
    static const char *const known[] = {"http/1.1", "h2"};
    (void)ssl, (void)user;
    for (size_t k = 0; k < 2; k++)
        for (unsigned at = 0; at < size && at + 1 + offered[at] <= size; at += 1u + offered[at]) {
            if (offered[at] != strlen(known[k]) || memcmp(offered + at + 1, known[k], offered[at]) != 0) continue;
            *out = offered + at + 1;
            *size_out = offered[at];
            return SSL_TLSEXT_ERR_OK;
        }
    return SSL_TLSEXT_ERR_NOACK;
}

static fr_code configure(const fr_tls *self, SSL_CTX *context, fr_err *err)
{
    static const uint8_t session[] = "freshet";
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_TICKET);
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_session_id_context(context, session, sizeof session - 1);
    if (SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1) return wrong(err, "tls-cert", "ciphers");
    if (SSL_CTX_use_certificate_chain_file(context, self->cert) != 1) return wrong(err, "tls-cert", self->cert);
    if (SSL_CTX_use_PrivateKey_file(context, self->key, SSL_FILETYPE_PEM) != 1) return wrong(err, "tls-key", self->key);
    if (SSL_CTX_check_private_key(context) != 1) return wrong(err, "tls-key", self->key);
    if (!self->client_ca[0]) return FR_OK;
    if (SSL_CTX_load_verify_locations(context, self->client_ca, NULL) != 1) return wrong(err, "tls-client-ca", self->client_ca);
    SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(self->client_ca));
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return FR_OK;
}

fr_code fr_tls_reload(fr_tls *self, fr_err *err)
{
    SSL_CTX *fresh = SSL_CTX_new(TLS_server_method());
    fr_code code = fresh ? configure(self, fresh, err) : fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for TLS");
    if (code != FR_OK) {
        SSL_CTX_free(fresh);
        return code;
    }
    pthread_mutex_lock(&self->lock);
    SSL_CTX *old = self->context;
    self->context = fresh;
    pthread_mutex_unlock(&self->lock);
    SSL_CTX_free(old); /* connections hold their own */
    return FR_OK;
}

fr_code fr_tls_create(const char *cert, const char *key, const char *client_ca, fr_tls **tls_out, fr_err *err)
{
    if (!*key) return fr_fail(err, FR_ERR_INVALID, "tls-key", "is missing: --tls-cert needs its key");
    fr_tls *self = fr_zalloc(FR_MEM_DAEMON, sizeof *self);
    if (!self) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for TLS");
    snprintf(self->cert, sizeof self->cert, "%s", cert);
    snprintf(self->key, sizeof self->key, "%s", key);
    snprintf(self->client_ca, sizeof self->client_ca, "%s", client_ca ? client_ca : "");
    pthread_mutex_init(&self->lock, NULL);
    fr_code code = fr_tls_reload(self, err);
    if (code == FR_OK) *tls_out = self;
    else fr_tls_free(self);
    return code;
}

SSL_CTX *fr_tls_take(fr_tls *self)
{
    pthread_mutex_lock(&self->lock);
    SSL_CTX *context = self->context;
    SSL_CTX_up_ref(context);
    pthread_mutex_unlock(&self->lock);
    return context;
}

void fr_tls_free(fr_tls *self)
{
    if (!self) return;
    SSL_CTX_free(self->context);
    pthread_mutex_destroy(&self->lock);
    fr_free(FR_MEM_DAEMON, self);
}
