/* auth.h: from what a client sends to who he is. The only place with passwords and keys; records hold verifiers and digests.
 *
 *   Basic base64(user:password) | Bearer user:password | Bearer API-KEY      HTTP
 *   base64(user:password) | base64(API-KEY)                                  Milvus' gRPC metadata "authorization"
 *   PLAIN, SCRAM-SHA-256, SCRAM-SHA-512                                      Kafka (sasl.c)
 *
 * A password costs 4,096 rounds of HMAC, about 2 ms: a thread that must not block gets BUSY and asks again on one that may. What was
 * proved lately is remembered as a keyed hash that includes the user's verifier, so a changed password is asked for at once. */
#ifndef FR_AUTH_H
#define FR_AUTH_H

#include "api/base.h"

#define FR_PASSWORD_BYTES_MIN 6u
#define FR_PASSWORD_BYTES_MAX 256u
#define FR_SCRAM_ITERATIONS 4096u
#define FR_API_KEY_BYTES 128u /* room for the text of one, with its NUL */

typedef struct fr_auth fr_auth;
fr_code fr_auth_create(fr_auth **auth_out, fr_err *err);
void fr_auth_free(fr_auth *auth); /* accepts NULL */

/* All: OK fills principal_out; UNAUTHENTICATED says why without telling users from passwords; BUSY: only with may_block false. */
fr_code fr_auth_http(fr_auth *auth, fr_db *db, fr_span authorization, bool may_block, fr_principal *principal_out, fr_err *err);
/* The value of gRPC's metadata "authorization", as Milvus' clients send it. Thread: any. */
fr_code fr_auth_grpc(fr_auth *auth, fr_db *db, fr_span value, bool may_block, fr_principal *principal_out, fr_err *err);
fr_code fr_auth_password(fr_auth *auth, fr_db *db, fr_span user, fr_span password, bool may_block, fr_principal *principal_out, fr_err *err);
fr_code fr_auth_key(fr_db *db, fr_span text, fr_principal *principal_out, fr_err *err);

/* Both verifiers of a password, with fresh salts: milliseconds. INVALID: its size. */
fr_code fr_auth_verifiers(fr_span password, fr_access *user_io, fr_err *err);
/* A new key: id and digest go into key_io, the text (shown once) to text_out. */
fr_code fr_auth_new_key(fr_access *key_io, char text_out[FR_API_KEY_BYTES], fr_err *err);
/* Printable random text of 24 characters: a first password. */
fr_code fr_auth_random_text(char text_out[25], fr_err *err);

/* A keyed digest of this process: the same text gives the same 32 bytes until it ends. */
bool fr_auth_digest(const fr_auth *auth, const char *text, uint8_t digest_out[32]);
bool fr_base64_in(fr_span text, uint8_t *out, size_t room, size_t *size_out); /* RFC 4648, padded */
size_t fr_base64_out(const uint8_t *data, size_t size, char *out);             /* needs 4 * ((size + 2) / 3) + 1 */

#endif
