/* test_sasl.c: Kafka's mechanisms, message by message: who knows the password comes in, whatever else a stranger sends does not. The right
 * messages are also cut at every byte and changed at random: this is read before anybody has logged in. */
#include "server/daemon/sasl.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define CHANGES 3000

static char directory[] = "/tmp/freshet-sasl-XXXXXX";
static fr_db *db;
static fr_door_access access_of;
static fr_kafka_sasl sasl;

static int open_all(void **state)
{
    (void)state;
    fr_err err = {0};
    fr_access ann = {.kind = FR_ACCESS_USER, .name = "ann"};
    fr_write write = {.kind = FR_WRITE_ACCESS_PUT, .access = &ann};
    if (!mkdtemp(directory) || fr_open(directory, NULL, &db, &err) != FR_OK || fr_door_access_init(&access_of, true, false, &err) != FR_OK) return -1;
    if (fr_auth_verifiers(fr_span_text("sesame-77"), &ann, &err) != FR_OK || fr_submit_wait(db, &write, &err) != FR_OK) return -1;
    fr_sasl_init(&sasl, &access_of);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    char command[64];
    fr_close(db);
    fr_door_access_free(&access_of);
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    return system(command);
}

/* The bytes in a block of their own size, so that reading beyond them is seen. */
static fr_code step(fr_kafka_peer *peer, const void *data, size_t size, fr_kafka_out *out, bool *done)
{
    fr_err err = {0};
    void *copy = malloc(size ? size : 1);
    if (size) memcpy(copy, data, size);
    *done = false;
    fr_code code = sasl.step(sasl.user, db, peer, fr_span_of(copy, size), out, done, &err);
    free(copy);
    assert_true(code == FR_OK || err.text[0]);
    return code;
}

static fr_code plain(const char *data, size_t size)
{
    fr_kafka_peer peer = {.mechanism = 1};
    fr_kafka_out out = {0};
    bool done;
    fr_code code = step(&peer, data, size, &out, &done);
    assert_true(code != FR_OK || (done && strcmp(peer.principal.user, "ann") == 0 && !peer.principal.trusted));
    sasl.end(sasl.user, &peer);
    fr_kafka_out_free(&out);
    return code;
}
#define PLAIN(text) plain(text, sizeof text - 1)

static void plain_messages(void **state)
{
    (void)state;
    assert_int_equal(PLAIN("\0ann\0sesame-77"), FR_OK);
    assert_int_equal(PLAIN("ann\0ann\0sesame-77"), FR_OK);
    assert_int_equal(PLAIN("bob\0ann\0sesame-77"), FR_ERR_UNAUTHENTICATED); /* for another */
    assert_int_equal(PLAIN("\0ann\0sesame-78"), FR_ERR_UNAUTHENTICATED);
    assert_int_equal(PLAIN("\0ann\0sesame-77\0"), FR_ERR_UNAUTHENTICATED);
    assert_int_equal(PLAIN("\0ann\0frk_0011223344556677_1"), FR_ERR_UNAUTHENTICATED);
    static const char *const bad[] = {"", "a", "ann", "\0", "\0ann"};
    for (size_t i = 0; i < FR_COUNT_OF(bad); i++) assert_int_equal(plain(bad[i], i < 3 ? strlen(bad[i]) : i - 2), FR_ERR_UNAUTHENTICATED);
    char long_one[700];
    memset(long_one, 'x', sizeof long_one);
    long_one[0] = long_one[300] = 0;
    assert_int_equal(plain(long_one, sizeof long_one), FR_ERR_UNAUTHENTICATED);
    static const char whole[] = "\0ann\0sesame-77";
    for (size_t size = 0; size < sizeof whole - 1; size++) assert_int_equal(plain(whole, size), FR_ERR_UNAUTHENTICATED);
}

/* ---- SCRAM ---- */

static size_t hash_bytes(uint32_t mechanism) { return mechanism == 2 ? 32 : 64; }
static const EVP_MD *hash_of(uint32_t mechanism) { return mechanism == 2 ? EVP_sha256() : EVP_sha512(); }

static const char bare[] = "n=ann,r=fyko+d2lbb";

/* What a client answers to the server's first message. */
static size_t final_message(uint32_t mechanism, const char *password, const char *first, size_t first_size, char *out, size_t room, uint8_t server_sign[64])
{
    char text[1024], salt_text[64] = "", nonce[256] = "", auth[2048], proof_text[128];
    uint8_t salt[64], salted[64], client[64], stored[64], sign[64], server[64];
    unsigned iterations = 0, length;
    size_t bytes = hash_bytes(mechanism), salt_size = 0;
    snprintf(text, sizeof text, "%.*s", (int)first_size, first);
    assert_int_equal(sscanf(text, "r=%255[^,],s=%63[^,],i=%u", nonce, salt_text, &iterations), 3);
    assert_true(strncmp(nonce, "fyko+d2lbb", 10) == 0 && iterations == FR_SCRAM_ITERATIONS);
    assert_true(fr_base64_in(fr_span_text(salt_text), salt, sizeof salt, &salt_size));
    const EVP_MD *hash = hash_of(mechanism);
    PKCS5_PBKDF2_HMAC(password, (int)strlen(password), salt, (int)salt_size, (int)iterations, hash, (int)bytes, salted);
    HMAC(hash, salted, (int)bytes, (const uint8_t *)"Client Key", 10, client, &length);
    HMAC(hash, salted, (int)bytes, (const uint8_t *)"Server Key", 10, server, &length);
    EVP_Digest(client, bytes, stored, NULL, hash, NULL);
    snprintf(auth, sizeof auth, "%s,%s,c=biws,r=%s", bare, text, nonce);
    HMAC(hash, stored, (int)bytes, (const uint8_t *)auth, strlen(auth), sign, &length);
    HMAC(hash, server, (int)bytes, (const uint8_t *)auth, strlen(auth), server_sign, &length);
    for (size_t i = 0; i < bytes; i++) sign[i] ^= client[i];
    fr_base64_out(sign, bytes, proof_text);
    int size = snprintf(out, room, "c=biws,r=%s,p=%s", nonce, proof_text);
    return (size_t)size;
}

/* One exchange; edit() changes the last message before it is sent. */
static fr_code exchange(uint32_t mechanism, const char *password, size_t (*edit)(char *text, size_t size, uint64_t seed), uint64_t seed)
{
    fr_kafka_peer peer = {.mechanism = mechanism};
    fr_kafka_out out = {0};
    bool done;
    char first[128], last[1024], wanted[160] = "v=";
    uint8_t sign[64];
    int size = snprintf(first, sizeof first, "n,,%s", bare);
    fr_code code = step(&peer, first, (size_t)size, &out, &done);
    assert_int_equal(code, FR_OK);
    assert_false(done);
    size_t last_size = final_message(mechanism, password, (const char *)out.data, out.size, last, sizeof last, sign);
    if (edit) last_size = edit(last, last_size, seed);
    fr_kafka_out_reset(&out);
    code = step(&peer, last, last_size, &out, &done);
    assert_true((code == FR_OK) == done);
    if (code == FR_OK) {
        size_t used = 2 + fr_base64_out(sign, hash_bytes(mechanism), wanted + 2);
        assert_int_equal(out.size, used);
        assert_memory_equal(out.data, wanted, used);
        assert_string_equal(peer.principal.user, "ann");
    } else {
        assert_int_equal(code, FR_ERR_UNAUTHENTICATED);
        assert_int_equal(peer.principal.user[0], 0);
    }
    sasl.end(sasl.user, &peer);
    assert_null(peer.exchange);
    fr_kafka_out_free(&out);
    return code;
}

static size_t cut(char *text, size_t size, uint64_t seed)
{
    (void)text;
    return (size_t)(seed % size);
}

static size_t longer(char *text, size_t size, uint64_t seed)
{
    (void)seed;
    memcpy(text + size, ",x=1", 4);
    return size + 4;
}

static void scram_messages(void **state)
{
    (void)state;
    for (uint32_t mechanism = 2; mechanism <= 3; mechanism++) {
        assert_int_equal(exchange(mechanism, "sesame-77", NULL, 0), FR_OK);
        assert_int_equal(exchange(mechanism, "sesame-78", NULL, 0), FR_ERR_UNAUTHENTICATED);
        for (uint64_t size = 0; size < 20; size++) assert_int_equal(exchange(mechanism, "sesame-77", cut, size * 7), FR_ERR_UNAUTHENTICATED);
        assert_int_equal(exchange(mechanism, "sesame-77", longer, 0), FR_ERR_UNAUTHENTICATED);
    }
}

static void first_messages(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "n", "n,", "n,,", "n,,n=ann", "n,,r=x", "n,,n=,r=x", "n,,n=ann,r=", "p=tls-unique,,n=ann,r=x", "n,a=bob,n=ann,r=x",
                                      "n,,n=a=2,r=x", "n,,n=a=41,r=x", "x,,n=ann,r=x", "n,,m=1,n=ann,r=x"};
    char long_one[3000];
    bool done;
    fr_kafka_out out = {0};
    for (size_t i = 0; i <= FR_COUNT_OF(bad); i++) {
        fr_kafka_peer peer = {.mechanism = 2};
        int size = snprintf(long_one, sizeof long_one, "n,,n=ann,r=%02900d", 1);
        const char *text = i < FR_COUNT_OF(bad) ? bad[i] : long_one;
        assert_int_equal(step(&peer, text, i < FR_COUNT_OF(bad) ? strlen(text) : (size_t)size, &out, &done), FR_ERR_UNAUTHENTICATED);
        sasl.end(sasl.user, &peer);
    }
    for (int round = 0; round < 2; round++) { /* who is not there gets a salt, the same each time, and no more */
        static char salts[2][64];
        fr_kafka_peer peer = {.mechanism = 3};
        fr_kafka_out_reset(&out);
        assert_int_equal(step(&peer, "n,,n=ghost,r=x", 14, &out, &done), FR_OK);
        fr_kafka_out_byte(&out, 0);
        assert_int_equal(sscanf((const char *)out.data, "r=%*[^,],s=%63[^,]", salts[round]), 1);
        if (round) assert_string_equal(salts[0], salts[1]);
        sasl.end(sasl.user, &peer);
    }
    fr_kafka_out_free(&out);
}

/* Random bytes in all three messages, under the sanitizers: nobody comes in but by the right bytes. */
static void changed_messages(void **state)
{
    (void)state;
    static const char plain_one[] = "\0ann\0sesame-77";
    uint64_t seed = 11;
    for (uint32_t i = 0; i < CHANGES; i++) {
        char text[128];
        bool done;
        fr_kafka_out out = {0};
        fr_kafka_peer peer = {.mechanism = 2 + i % 2};
        int size = snprintf(text, sizeof text, "n,,%s", bare);
        for (uint32_t change = 0; change <= i % 4; change++) {
            seed = fr_mix64(seed + i);
            text[seed % (uint64_t)size] = (char)(seed >> 32);
        }
        if (step(&peer, text, (size_t)size - seed % 3, &out, &done) == FR_OK) {
            assert_false(done);
            int last = snprintf(text, sizeof text, "c=biws,r=%.*s,p=AAAA", (int)FR_MIN(out.size - 2, (size_t)80), (const char *)out.data + 2);
            seed = fr_mix64(seed);
            text[seed % (uint64_t)FR_MIN(last, 100)] = (char)(seed >> 32);
            fr_kafka_out_reset(&out);
            assert_int_equal(step(&peer, text, (size_t)FR_MIN(last, 127), &out, &done), FR_ERR_UNAUTHENTICATED);
        }
        sasl.end(sasl.user, &peer);
        fr_kafka_out_free(&out);
        if (i % 50 != 0) continue; /* a password takes milliseconds */
        memcpy(text, plain_one, sizeof plain_one);
        text[seed % (sizeof plain_one - 1)] ^= (char)(1 + seed % 100);
        assert_int_equal(plain(text, sizeof plain_one - 1), FR_ERR_UNAUTHENTICATED);
    }
}

int main(void)
{
    fr_note_level(FR_NOTE_ERROR);
    const struct CMUnitTest tests[] = {cmocka_unit_test(plain_messages), cmocka_unit_test(scram_messages), cmocka_unit_test(first_messages),
                                       cmocka_unit_test(changed_messages)};
    return cmocka_run_group_tests(tests, open_all, close_all);
}
