/* sasl.c: PLAIN (RFC 4616), SCRAM-SHA-256 (RFC 7677) and SCRAM-SHA-512 (the same with another hash), server side. Who is not there is
 * answered like who is, with a salt that stays the same, so that names cannot be told from passwords. PLAIN takes an API key for a
 * password, too. */
#include "server/daemon/sasl.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdio.h>

enum { PLAIN, SCRAM_256, SCRAM_512, MECHANISMS };
static const char *const mechanisms[MECHANISMS] = {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"};

#define MESSAGE_BYTES_MAX 2048u
#define NONCE_BYTES_MAX 512u

typedef struct exchange {
    bool there;
    fr_verifier verifier;
    char user[FR_USER_BYTES_MAX + 1];
    char nonce[NONCE_BYTES_MAX + 40]; /* the client's and ours */
    char header[8];                   /* base64 of the GS2 header: what channel binding must repeat */
    char auth[2 * MESSAGE_BYTES_MAX + 512]; /* client-first-bare "," server-first */
} exchange;

static fr_code refuse(fr_err *err) { return fr_fail(err, FR_ERR_UNAUTHENTICATED, NULL, "wrong user or password"); }
static fr_code malformed(fr_err *err) { return fr_fail(err, FR_ERR_UNAUTHENTICATED, NULL, "the message is not one of its mechanism"); }

/* ---- PLAIN ---- */

static fr_code plain_step(fr_door_access *access, fr_db *db, fr_kafka_peer *peer, fr_span message, fr_err *err)
{
    const char *at = message.data, *end = at + message.size;
    const char *first = message.size ? memchr(at, 0, message.size) : NULL;
    const char *second = first ? memchr(first + 1, 0, (size_t)(end - first - 1)) : NULL;
    if (!second) return malformed(err);
    fr_span authorize = fr_span_of(at, (size_t)(first - at)), user = fr_span_of(first + 1, (size_t)(second - first - 1)),
            password = fr_span_of(second + 1, (size_t)(end - second - 1));
    if (authorize.size && !fr_span_equal(authorize, user)) return fr_fail(err, FR_ERR_UNAUTHENTICATED, NULL, "nobody may act for another user");
    if (password.size > 4 && memcmp(password.data, "frk_", 4) == 0) {
        fr_code code = fr_auth_key(db, password, &peer->principal, err);
        return code == FR_OK && !fr_span_equal(user, fr_span_text(peer->principal.user)) ? refuse(err) : code;
    }
    return fr_auth_password(access->auth, db, user, password, true, &peer->principal, err);
}

/* ---- SCRAM ---- */

static const EVP_MD *hash_of(const fr_kafka_peer *peer) { return peer->mechanism == SCRAM_256 + 1 ? EVP_sha256() : EVP_sha512(); }
static size_t hash_bytes(const fr_kafka_peer *peer) { return peer->mechanism == SCRAM_256 + 1 ? 32 : 64; }

/* The value of "x=" at the beginning of an attribute list; *rest_io moves behind its comma. */
static bool attribute(fr_span *rest_io, char letter, fr_span *value_out)
{
    const char *at = rest_io->data;
    if (rest_io->size < 2 || at[0] != letter || at[1] != '=') return false;
    const char *comma = memchr(at, ',', rest_io->size);
    size_t size = comma ? (size_t)(comma - at) : rest_io->size;
    *value_out = fr_span_of(at + 2, size - 2);
    size_t used = FR_MIN(size + 1, rest_io->size);
    *rest_io = fr_span_of(at + used, rest_io->size - used);
    return true;
}

/* =2C and =3D stand for a comma and an equals sign. */
static bool user_name(fr_span text, char out[FR_USER_BYTES_MAX + 1])
{
    const char *at = text.data;
    size_t used = 0;
    for (size_t i = 0; i < text.size; i++) {
        char c = at[i];
        if (used == FR_USER_BYTES_MAX || c == 0) return false;
        if (c == '=') {
            if (i + 2 >= text.size) return false;
            if (memcmp(at + i, "=2C", 3) == 0) c = ',';
            else if (memcmp(at + i, "=3D", 3) != 0) return false;
            i += 2;
        }
        out[used++] = c;
    }
    out[used] = 0;
    return used != 0;
}

/* The same salt for a name that is not there, each time. */
static void made_up(fr_auth *auth, exchange *self)
{
    uint8_t digest[32] = {0};
    char text[FR_USER_BYTES_MAX + 8];
    snprintf(text, sizeof text, "salt %s", self->user);
    (void)fr_auth_digest(auth, text, digest);
    self->verifier = (fr_verifier){.iterations = FR_SCRAM_ITERATIONS};
    memcpy(self->verifier.salt, digest, sizeof self->verifier.salt);
}

static fr_code scram_first(fr_door_access *access, fr_db *db, fr_kafka_peer *peer, fr_span message, fr_kafka_out *out, fr_err *err)
{
    const char *text = message.data;
    if (message.size < 3 || message.size > MESSAGE_BYTES_MAX || (text[0] != 'n' && text[0] != 'y') || text[1] != ',' || memchr(text, 0, message.size))
        return malformed(err);
    const char *comma = memchr(text + 2, ',', message.size - 2);
    if (comma != text + 2) return fr_fail(err, FR_ERR_UNAUTHENTICATED, NULL, "nobody may act for another user");
    fr_span bare = fr_span_of(text + 3, message.size - 3), rest = bare, user, nonce;
    exchange *self = fr_zalloc(FR_MEM_DAEMON, sizeof *self);
    if (!self) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory");
    peer->exchange = self;
    if (!attribute(&rest, 'n', &user) || !attribute(&rest, 'r', &nonce) || !user_name(user, self->user) || nonce.size == 0 ||
        nonce.size > NONCE_BYTES_MAX)
        return malformed(err);
    uint8_t random[18];
    char ours[25], salt[25];
    if (RAND_bytes(random, sizeof random) != 1) return fr_fail(err, FR_ERR_INTERNAL, NULL, "no random numbers");
    fr_base64_out(random, sizeof random, ours);
    snprintf(self->header, sizeof self->header, "%s", text[0] == 'n' ? "biws" : "eSws");
    snprintf(self->nonce, sizeof self->nonce, "%.*s%s", (int)nonce.size, (const char *)nonce.data, ours);
    fr_access one = {.kind = FR_ACCESS_USER};
    snprintf(one.name, sizeof one.name, "%s", self->user);
    self->there = fr_access_get(db, &one) == FR_OK;
    if (self->there) self->verifier = peer->mechanism == SCRAM_256 + 1 ? one.sha256 : one.sha512;
    if (!self->there || self->verifier.iterations == 0) {
        self->there = false;
        made_up(access->auth, self);
    }
    fr_base64_out(self->verifier.salt, sizeof self->verifier.salt, salt);
    char reply[NONCE_BYTES_MAX + 128];
    int size = snprintf(reply, sizeof reply, "r=%s,s=%s,i=%u", self->nonce, salt, self->verifier.iterations);
    snprintf(self->auth, sizeof self->auth, "%.*s,%s", (int)bare.size, (const char *)bare.data, reply);
    fr_kafka_out_put(out, reply, (size_t)size);
    return FR_OK;
}

static fr_code scram_final(fr_kafka_peer *peer, fr_span message, fr_kafka_out *out, bool *done, fr_err *err)
{
    exchange *self = peer->exchange;
    fr_span rest = message, binding, nonce, proof_text = {NULL, 0};
    size_t bytes = hash_bytes(peer), proof_size = 0;
    uint8_t proof[64], signature[64], stored[64];
    char auth[sizeof self->auth + MESSAGE_BYTES_MAX], text[96];
    unsigned length = 0;
    if (message.size > MESSAGE_BYTES_MAX || !message.size || memchr(message.data, 0, message.size)) return malformed(err);
    if (!attribute(&rest, 'c', &binding) || !attribute(&rest, 'r', &nonce)) return malformed(err);
    size_t before;
    while (rest.size && !attribute(&rest, 'p', &proof_text)) { /* extensions are passed over */
        const char *comma = memchr(rest.data, ',', rest.size);
        if (!comma) return malformed(err);
        size_t used = (size_t)(comma - (const char *)rest.data) + 1;
        rest = fr_span_of(comma + 1, rest.size - used);
    }
    if (!proof_text.data || rest.size) return malformed(err);
    before = (size_t)((const char *)proof_text.data - (const char *)message.data) - 3; /* ",p=" */
    if (!fr_span_equal(binding, fr_span_text(self->header)) || !fr_span_equal(nonce, fr_span_text(self->nonce))) return refuse(err);
    if (!fr_base64_in(proof_text, proof, sizeof proof, &proof_size) || proof_size != bytes) return refuse(err);
    int size = snprintf(auth, sizeof auth, "%s,%.*s", self->auth, (int)before, (const char *)message.data);
    if (size < 0 || (size_t)size >= sizeof auth) return malformed(err);
    if (!HMAC(hash_of(peer), self->verifier.stored_key, (int)bytes, (const uint8_t *)auth, (size_t)size, signature, &length)) return refuse(err);
    for (size_t i = 0; i < bytes; i++) proof[i] ^= signature[i]; /* the client's key */
    if (EVP_Digest(proof, bytes, stored, NULL, hash_of(peer), NULL) != 1) return refuse(err);
    bool same = CRYPTO_memcmp(stored, self->verifier.stored_key, bytes) == 0;
    OPENSSL_cleanse(proof, sizeof proof);
    if (!same || !self->there) return refuse(err);
    if (!HMAC(hash_of(peer), self->verifier.server_key, (int)bytes, (const uint8_t *)auth, (size_t)size, signature, &length)) return refuse(err);
    text[0] = 'v', text[1] = '=';
    size_t used = 2 + fr_base64_out(signature, bytes, text + 2);
    fr_kafka_out_put(out, text, used);
    peer->principal = (fr_principal){.trusted = false};
    snprintf(peer->principal.user, sizeof peer->principal.user, "%s", self->user);
    *done = true;
    return FR_OK;
}

/* ---- what the door asks ---- */

static fr_code step(void *user, fr_db *db, fr_kafka_peer *peer, fr_span message, fr_kafka_out *out, bool *done, fr_err *err)
{
    fr_door_access *access = user;
    *done = peer->mechanism == PLAIN + 1;
    if (*done) return plain_step(access, db, peer, message, err);
    if (peer->exchange) return scram_final(peer, message, out, done, err);
    return scram_first(access, db, peer, message, out, err);
}

static void end(void *user, fr_kafka_peer *peer)
{
    (void)user;
    if (peer->exchange) OPENSSL_cleanse(peer->exchange, sizeof(exchange));
    fr_free(FR_MEM_DAEMON, peer->exchange);
    peer->exchange = NULL;
}

static int64_t charge(void *user, fr_db *db, const fr_principal *principal, fr_span client, uint32_t requests, uint64_t bytes_in, uint64_t bytes_out)
{
    char text[FR_USER_BYTES_MAX + 1];
    snprintf(text, sizeof text, "%.*s", (int)FR_MIN(client.size, (size_t)FR_USER_BYTES_MAX), client.data ? (const char *)client.data : "");
    return fr_limits_charge(((fr_door_access *)user)->limits, db, principal->user, text, requests, bytes_in, bytes_out);
}

static void told(void *user, const fr_principal *principal, const char *action, const char *object, const char *verdict, const char *reason)
{
    fr_door_access_told(user, "kafka", principal, action, object, verdict, reason);
}

void fr_sasl_init(fr_kafka_sasl *sasl, fr_door_access *access)
{
    *sasl = (fr_kafka_sasl){.user = access, .mechanisms = mechanisms, .mechanism_count = MECHANISMS, .step = step, .end = end, .charge = charge,
                            .told = told};
}
