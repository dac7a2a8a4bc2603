/* auth.c: passwords, API keys and who they belong to. Sources: RFC 5802 (SCRAM's keys), RFC 7617 (Basic), RFC 6750 (Bearer). */
#include "server/daemon/auth.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdio.h>

#define PROVED_SLOTS 4096u
#define KEY_HEAD "frk_"
#define KEY_ID_BYTES 8u

struct fr_auth {
    uint8_t secret[32]; /* of this process: what is remembered is worth nothing elsewhere */
    pthread_mutex_t lock;
    uint8_t proved[PROVED_SLOTS][32];
};

fr_code fr_auth_create(fr_auth **auth_out, fr_err *err)
{
    fr_auth *auth = fr_zalloc(FR_MEM_DAEMON, sizeof *auth);
    if (!auth || RAND_bytes(auth->secret, sizeof auth->secret) != 1) {
        fr_free(FR_MEM_DAEMON, auth);
        return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory or no random numbers for passwords");
    }
    pthread_mutex_init(&auth->lock, NULL);
    *auth_out = auth;
    return FR_OK;
}

void fr_auth_free(fr_auth *auth)
{
    if (!auth) return;
    pthread_mutex_destroy(&auth->lock);
    OPENSSL_cleanse(auth, sizeof *auth);
    fr_free(FR_MEM_DAEMON, auth);
}

bool fr_auth_digest(const fr_auth *auth, const char *text, uint8_t digest[32])
{
    unsigned length = 0;
    return HMAC(EVP_sha256(), auth->secret, sizeof auth->secret, (const uint8_t *)text, strlen(text), digest, &length) != NULL;
}

/* ---- base64 ---- */

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool fr_base64_in(fr_span text, uint8_t *out, size_t room, size_t *size_out)
{
    const char *at = text.data;
    size_t size = text.size;
    if (size % 4 != 0) return false;
    while (size && at[size - 1] == '=' && text.size - size < 2) size--;
    uint32_t bits = 0, count = 0;
    *size_out = 0;
    for (size_t i = 0; i < size; i++) {
        int value = base64_digit(at[i]);
        if (value < 0) return false;
        bits = bits << 6 | (uint32_t)value;
        count += 6;
        if (count < 8) continue;
        count -= 8;
        if (*size_out == room) return false;
        out[(*size_out)++] = (uint8_t)(bits >> count);
        bits &= (1u << count) - 1;
    }
    return bits == 0; /* what is left over must be zeros: one text per value */
}

size_t fr_base64_out(const uint8_t *data, size_t size, char *out) { return (size_t)EVP_EncodeBlock((unsigned char *)out, data, (int)size); }

/* ---- verifiers ---- */

static const EVP_MD *hash_of(size_t bytes) { return bytes == 32 ? EVP_sha256() : EVP_sha512(); }

static bool salted_keys(fr_span password, const fr_verifier *v, size_t bytes, uint8_t *stored_out, uint8_t *server_out)
{
    uint8_t salted[64], client[64];
    unsigned length = 0;
    const EVP_MD *hash = hash_of(bytes);
    bool fine = PKCS5_PBKDF2_HMAC(password.data, (int)password.size, v->salt, sizeof v->salt, (int)v->iterations, hash, (int)bytes, salted) == 1 &&
                HMAC(hash, salted, (int)bytes, (const uint8_t *)"Client Key", 10, client, &length) != NULL &&
                EVP_Digest(client, bytes, stored_out, NULL, hash, NULL) == 1 &&
                (!server_out || HMAC(hash, salted, (int)bytes, (const uint8_t *)"Server Key", 10, server_out, &length) != NULL);
    OPENSSL_cleanse(salted, sizeof salted);
    OPENSSL_cleanse(client, sizeof client);
    return fine;
}

fr_code fr_auth_verifiers(fr_span password, fr_access *user, fr_err *err)
{
    if (password.size < FR_PASSWORD_BYTES_MIN || password.size > FR_PASSWORD_BYTES_MAX || memchr(password.data, 0, password.size))
        return fr_fail(err, FR_ERR_INVALID, "password", "must have %u to %u bytes without NUL", FR_PASSWORD_BYTES_MIN, FR_PASSWORD_BYTES_MAX);
    fr_verifier *const verifiers[2] = {&user->sha256, &user->sha512};
    for (size_t i = 0; i < 2; i++) {
        fr_verifier *v = verifiers[i];
        *v = (fr_verifier){.iterations = FR_SCRAM_ITERATIONS};
        if (RAND_bytes(v->salt, sizeof v->salt) != 1 || !salted_keys(password, v, i ? 64 : 32, v->stored_key, v->server_key))
            return fr_fail(err, FR_ERR_INTERNAL, NULL, "the password's verifier cannot be made");
    }
    return FR_OK;
}

/* ---- passwords ---- */

static fr_code nobody(fr_err *err, const char *why) { return fr_fail(err, FR_ERR_UNAUTHENTICATED, NULL, "%s", why); }

/* A keyed hash of user, verifier and password. */
static bool proof_of(const fr_auth *auth, const fr_access *user, fr_span password, uint8_t out[32])
{
    uint8_t text[FR_USER_BYTES_MAX + 1 + 32 + FR_PASSWORD_BYTES_MAX];
    unsigned length = 0;
    memcpy(text, user->name, FR_USER_BYTES_MAX + 1);
    memcpy(text + FR_USER_BYTES_MAX + 1, user->sha256.stored_key, 32);
    memcpy(text + FR_USER_BYTES_MAX + 33, password.data, password.size);
    bool fine = HMAC(EVP_sha256(), auth->secret, sizeof auth->secret, text, FR_USER_BYTES_MAX + 33 + password.size, out, &length) != NULL;
    OPENSSL_cleanse(text, sizeof text);
    return fine;
}

static uint8_t *slot_of(fr_auth *auth, const uint8_t proof[32]) { return auth->proved[fr_load_le32(proof) % PROVED_SLOTS]; }

static bool known(fr_auth *auth, const uint8_t proof[32])
{
    pthread_mutex_lock(&auth->lock);
    bool same = CRYPTO_memcmp(slot_of(auth, proof), proof, 32) == 0;
    pthread_mutex_unlock(&auth->lock);
    return same;
}

static void remember(fr_auth *auth, const uint8_t proof[32])
{
    pthread_mutex_lock(&auth->lock);
    memcpy(slot_of(auth, proof), proof, 32);
    pthread_mutex_unlock(&auth->lock);
}

fr_code fr_auth_password(fr_auth *auth, fr_db *db, fr_span user, fr_span password, bool may_block, fr_principal *out, fr_err *err)
{
    static const char wrong[] = "wrong user or password";
    uint8_t proof[32], stored[64];
    fr_access one = {.kind = FR_ACCESS_USER};
    *out = (fr_principal){.trusted = false};
    if (user.size == 0 || user.size > FR_USER_BYTES_MAX || memchr(user.data, 0, user.size) || password.size > FR_PASSWORD_BYTES_MAX ||
        (password.size && memchr(password.data, 0, password.size))) /* HMAC takes a key and the same key with NULs behind it for one */
        return nobody(err, wrong);
    memcpy(one.name, user.data, user.size);
    fr_span name = fr_span_of(user.data, user.size);
    bool there = fr_access_get(db, &one) == FR_OK && one.sha256.iterations != 0;
    if (there) {
        if (!proof_of(auth, &one, password, proof)) return fr_fail(err, FR_ERR_INTERNAL, NULL, "the password cannot be checked");
        if (known(auth, proof)) {
            memcpy(out->user, name.data, name.size);
            return FR_OK;
        }
    }
    if (!may_block) return fr_fail(err, FR_ERR_BUSY, NULL, "the password is to be checked elsewhere");
    if (!there) { /* who is not there takes as long as who is */
        memset(&one.sha256, 0, sizeof one.sha256);
        one.sha256.iterations = FR_SCRAM_ITERATIONS;
    }
    bool fine = salted_keys(password, &one.sha256, 32, stored, NULL);
    fine = CRYPTO_memcmp(stored, one.sha256.stored_key, 32) == 0 && fine && there;
    if (!fine) return nobody(err, wrong);
    remember(auth, proof);
    memcpy(out->user, name.data, name.size);
    return FR_OK;
}

/* ---- keys: frk_<id>_<secret> ---- */

static void hex_out(const uint8_t *data, size_t size, char *out)
{
    for (size_t i = 0; i < size; i++) snprintf(out + 2 * i, 3, "%02x", data[i]);
}

fr_code fr_auth_new_key(fr_access *key, char text[FR_API_KEY_BYTES], fr_err *err)
{
    uint8_t id[KEY_ID_BYTES], secret[24];
    char id_text[2 * KEY_ID_BYTES + 1], secret_text[2 * sizeof secret + 1];
    if (RAND_bytes(id, sizeof id) != 1 || RAND_bytes(secret, sizeof secret) != 1) return fr_fail(err, FR_ERR_INTERNAL, NULL, "no random numbers");
    hex_out(id, sizeof id, id_text);
    hex_out(secret, sizeof secret, secret_text);
    snprintf(key->name, sizeof key->name, "%s", id_text);
    snprintf(text, FR_API_KEY_BYTES, KEY_HEAD "%s_%s", id_text, secret_text);
    SHA256((const uint8_t *)text, strlen(text), key->digest);
    OPENSSL_cleanse(secret, sizeof secret);
    return FR_OK;
}

fr_code fr_auth_key(fr_db *db, fr_span text, fr_principal *out, fr_err *err)
{
    static const char wrong[] = "unknown API key";
    uint8_t digest[32];
    fr_access key = {.kind = FR_ACCESS_KEY};
    size_t head = sizeof KEY_HEAD - 1, id = 2 * KEY_ID_BYTES;
    const char *at = text.data;
    *out = (fr_principal){.trusted = false};
    if (text.size <= head + id + 1 || text.size >= FR_API_KEY_BYTES || memcmp(at, KEY_HEAD, head) != 0 || at[head + id] != '_' ||
        memchr(at, 0, text.size))
        return nobody(err, wrong);
    memcpy(key.name, at + head, id);
    if (fr_access_get(db, &key) != FR_OK) return nobody(err, wrong);
    SHA256((const uint8_t *)at, text.size, digest);
    if (CRYPTO_memcmp(digest, key.digest, sizeof digest) != 0) return nobody(err, wrong);
    memcpy(out->user, key.user, sizeof out->user);
    memcpy(out->key, key.name, sizeof out->key);
    return FR_OK;
}

/* ---- headers ---- */

/* "user:password" or a key. */
static fr_code token(fr_auth *auth, fr_db *db, fr_span text, bool may_block, fr_principal *out, fr_err *err)
{
    const char *colon = text.size ? memchr(text.data, ':', text.size) : NULL;
    if (!colon) return fr_auth_key(db, text, out, err);
    size_t size = (size_t)(colon - (const char *)text.data);
    return fr_auth_password(auth, db, fr_span_of(text.data, size), fr_span_of(colon + 1, text.size - size - 1), may_block, out, err);
}

static bool scheme(fr_span *text, const char *word)
{
    size_t size = strlen(word);
    const char *at = text->data;
    if (text->size <= size || at[size] != ' ') return false;
    for (size_t i = 0; i < size; i++)
        if ((at[i] | 32) != word[i]) return false;
    while (size < text->size && at[size] == ' ') size++;
    *text = fr_span_of(at + size, text->size - size);
    return true;
}

fr_code fr_auth_grpc(fr_auth *auth, fr_db *db, fr_span value, bool may_block, fr_principal *out, fr_err *err)
{
    uint8_t plain[FR_USER_BYTES_MAX + 1 + FR_PASSWORD_BYTES_MAX];
    size_t size = 0;
    *out = (fr_principal){.trusted = false};
    if (value.size == 0) return nobody(err, "a user and a password, or an API key, are needed");
    if (!fr_base64_in(value, plain, sizeof plain, &size)) return nobody(err, "the authorization is not base64, or too long");
    fr_code code = token(auth, db, fr_span_of(plain, size), may_block, out, err);
    OPENSSL_cleanse(plain, sizeof plain);
    return code;
}

fr_code fr_auth_http(fr_auth *auth, fr_db *db, fr_span value, bool may_block, fr_principal *out, fr_err *err)
{
    *out = (fr_principal){.trusted = false};
    if (value.size == 0) return nobody(err, "a user and a password, or an API key, are needed: the header Authorization");
    if (scheme(&value, "basic")) return fr_auth_grpc(auth, db, value, may_block, out, err);
    if (scheme(&value, "bearer")) return token(auth, db, value, may_block, out, err);
    return nobody(err, "Authorization must be Basic or Bearer");
}

fr_code fr_auth_random_text(char text[25], fr_err *err)
{
    uint8_t bytes[18];
    if (RAND_bytes(bytes, sizeof bytes) != 1) return fr_fail(err, FR_ERR_INTERNAL, NULL, "no random numbers");
    fr_base64_out(bytes, sizeof bytes, text);
    for (size_t i = 0; i < 24; i++) text[i] = text[i] == '+' ? 'p' : text[i] == '/' ? 's' : text[i]; /* easy to paste */
    return FR_OK;
}
