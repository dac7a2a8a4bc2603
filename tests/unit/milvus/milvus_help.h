/* milvus_help.h: a door over a database in a fresh directory, and calls carried without sockets. */
#ifndef FR_MILVUS_HELP_H
#define FR_MILVUS_HELP_H

#include "api/http/json_dom.h"
#include "api/milvus/milvus_rest_private.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct carried {
    fr_milvus door;
    fr_db *db;
    fr_milvus_worker worker;
    fr_milvus_call call;
    fr_milvus_rest rest;
    sem_t woken;
    char dir[128];
    uint8_t *bytes; /* of the last request, in a block of its own size */
} carried;

static void carried_wake(fr_milvus_call *call) { sem_post(&((carried *)call->carrier)->woken); }

/* Passwords are taken as they are. */
static fr_code plain_password(void *user, fr_span password, fr_access *out, fr_err *err)
{
    (void)user;
    if (password.size < 6) return fr_fail(err, FR_ERR_INVALID, "password", "must have 6 to 256 characters");
    memset(out->sha256.salt, 1, sizeof out->sha256.salt);
    out->sha256.iterations = out->sha512.iterations = 4096;
    memcpy(out->sha256.stored_key, password.data, FR_MIN(password.size, sizeof out->sha256.stored_key));
    return FR_OK;
}

static fr_code nobody(void *user, fr_db *db, fr_span authorization, bool may_block, fr_principal *principal_out, fr_err *err)
{
    (void)user, (void)db, (void)may_block;
    if (!fr_span_equal(authorization, fr_span_text("cm9vdDpNaWx2dXM="))) /* root:Milvus */
        return fr_fail(err, FR_ERR_UNAUTHENTICATED, NULL, "not authenticated");
    *principal_out = (fr_principal){.user = "root"};
    return FR_OK;
}

static fr_milvus_access plain_access = {.who = nobody, .password = plain_password};

static inline void carried_open(carried *self)
{
    const char *root = getenv("TMPDIR");
    fr_options options = {.linkers = 1, .no_snapshot_on_close = true};
    fr_err err = {0};
    memset(self, 0, sizeof *self);
    snprintf(self->dir, sizeof self->dir, "%s/fr_milvus_XXXXXX", root ? root : "/tmp");
    FR_ASSERT(mkdtemp(self->dir) != NULL);
    FR_ASSERT(fr_open(self->dir, &options, &self->db, &err) == FR_OK);
    FR_ASSERT(fr_milvus_init(&self->door) == FR_OK);
    self->door.access = &plain_access;
    atomic_store(&self->door.db, self->db);
    FR_ASSERT(fr_searcher_create(self->db, &self->worker.searcher) == FR_OK);
    self->worker.dom = fr_json_dom_create();
    fr_milvus_call_init(&self->call);
    fr_milvus_rest_init(&self->rest);
    self->call.carrier = self->rest.call.carrier = self;
    self->call.wake = self->rest.call.wake = carried_wake;
    sem_init(&self->woken, 0, 0);
}

static inline void carried_close(carried *self)
{
    char command[192];
    fr_milvus_call_free(&self->door, &self->call);
    fr_milvus_rest_free(&self->door, &self->rest);
    fr_free(FR_MEM_TEST, self->bytes);
    fr_searcher_free(self->worker.searcher);
    fr_json_dom_free(self->worker.dom);
    fr_milvus_free(&self->door);
    fr_close(self->db);
    sem_destroy(&self->woken);
    snprintf(command, sizeof command, "rm -rf '%s'", self->dir);
    FR_ASSERT(system(command) == 0);
}

static inline void carried_wait(carried *self)
{
    while (sem_wait(&self->woken) != 0) continue;
}

/* Bytes of a request to the end. */
static inline void carried_bytes(carried *self, const char *path, const void *data, size_t size)
{
    fr_milvus_call_reset(&self->door, &self->call);
    fr_free(FR_MEM_TEST, self->bytes);
    self->bytes = fr_alloc(FR_MEM_TEST, FR_MAX(size, (size_t)1));
    if (size) memcpy(self->bytes, data, size);
    self->call.path = fr_span_text(path);
    self->call.message = fr_span_of(self->bytes, size);
    fr_milvus_next next = fr_milvus_begin(&self->door, &self->call, &self->worker);
    while (next != FR_MILVUS_REPLY) {
        if (next == FR_MILVUS_SUBMITTED) carried_wait(self);
        next = fr_milvus_step(&self->door, &self->call, &self->worker);
    }
}

/* A message to a method of Milvus's; the reply is call.reply. */
static inline void *carried_call(carried *self, const char *method, const void *message)
{
    char path[96];
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = fr_alloc(FR_MEM_TEST, FR_MAX(size, (size_t)1));
    protobuf_c_message_pack(message, bytes);
    snprintf(path, sizeof path, "/milvus.proto.milvus.MilvusService/%s", method);
    carried_bytes(self, path, bytes, size);
    fr_free(FR_MEM_TEST, bytes);
    return self->call.reply;
}

/* The code in the reply's Status. */
static inline int carried_code(carried *self)
{
    FR_ASSERT(self->call.status == FR_GRPC_OK && self->call.reply);
    return fr_milvus_status_of(&self->call)->code;
}

/* REST: the answer's text, ended by NUL. */
static inline const char *carried_rest(carried *self, const char *path, const char *body)
{
    char whole[256];
    snprintf(whole, sizeof whole, FR_MILVUS_REST_PREFIX "%s", path);
    fr_milvus_rest_reset(&self->door, &self->rest);
    self->rest.path = fr_span_text(whole);
    self->rest.body = fr_span_text(body);
    fr_milvus_next next;
    while ((next = fr_milvus_rest_step(&self->door, &self->rest, &self->worker)) != FR_MILVUS_REPLY)
        if (next == FR_MILVUS_SUBMITTED) carried_wait(self);
    self->rest.path = (fr_span){0};
    fr_out_raw(&self->rest.out, "", 1);
    return self->rest.out.data;
}

#endif
