/* milvus_change.c: what changes of collections share: read, edit, write if nobody was faster; and texts and pairs of messages. */
#include "api/milvus/milvus_private.h"

#include <sched.h>
#include <stdio.h>

#define TRIES_MAX 200

bool fr_milvus_write(fr_milvus_call *call, const char *name)
{
    fr_code code = fr_submit_wait(call->db, &call->write, &call->err);
    if (code == FR_OK) return true;
    fr_milvus_fail_fr(call, code, &call->err, fr_milvus_database(call), name);
    return false;
}

/* BUSY: another version by now, or a full queue. */
static fr_code change_once(fr_milvus_call *call, fr_milvus_schema *schema, fr_milvus_edit *edit, void *user, bool *failed)
{
    fr_doc_builder b = {0};
    fr_collection_change change = {.if_version = schema->version, .set_attributes = true};
    if (!edit(call, schema, &change, user)) {
        *failed = true;
        return FR_OK;
    }
    bool more = change.name || change.database || change.add_count || change.set_count || change.drop;
    if (!change.set_attributes && !more) return FR_OK;
    fr_code code = change.set_attributes ? fr_milvus_schema_write(schema, &b, &change.attributes) : FR_OK;
    if (code != FR_OK) {
        code = fr_fail(&call->err, code, NULL, "the collection's attributes cannot be written");
    } else {
        call->write = (fr_write){.kind = FR_WRITE_COLLECTION_ALTER, .id = schema->id, .change = &change};
        code = fr_submit_wait(call->db, &call->write, &call->err);
    }
    fr_doc_free(&b);
    return code;
}

bool fr_milvus_change(fr_milvus_call *call, const char *name, fr_milvus_edit *edit, void *user)
{
    const char *database = fr_milvus_database(call);
    fr_code code = FR_ERR_BUSY;
    bool failed = false;
    for (int i = 0; i < TRIES_MAX && code == FR_ERR_BUSY; i++) {
        fr_milvus_schema *schema = NULL;
        if (i) sched_yield();
        code = fr_milvus_schema_load(call->db, database, name, &schema, &call->err);
        if (code == FR_OK) code = change_once(call, schema, edit, user, &failed);
        fr_milvus_schema_free(schema);
    }
    if (failed) return false;
    if (code == FR_OK) return true;
    fr_milvus_fail_missing(call, code, database, name);
    return false;
}

fr_code fr_milvus_pairs_in(fr_milvus_schema *schema, fr_milvus_pairs *pairs, Milvus__KeyValuePair *const *items, size_t count)
{
    for (size_t i = 0; i < count; i++) FR_TRY(fr_milvus_pairs_set(schema, pairs, items[i]->key, items[i]->value));
    return FR_OK;
}

Milvus__KeyValuePair **fr_milvus_pairs_out(fr_milvus_call *call, const fr_milvus_pairs *pairs, size_t *count_out)
{
    Milvus__KeyValuePair **list = fr_milvus_alloc(call, pairs->count * sizeof *list);
    *count_out = 0;
    for (uint32_t i = 0; list && i < pairs->count; i++) {
        Milvus__KeyValuePair *one = fr_milvus_message(&call->arena, &milvus__key_value_pair__descriptor);
        if (!one) break;
        one->key = fr_milvus_mut(pairs->items[i].key);
        one->value = fr_milvus_mut(pairs->items[i].value);
        list[(*count_out)++] = one;
    }
    return list;
}

/* ---- aliases and databases ---- */

typedef struct aliases {
    fr_milvus_call *call;
    fr_id id;
    char **names;
    size_t count, capacity;
    bool failed;
} aliases;

static void alias_add(void *user, const char *alias, fr_id collection)
{
    aliases *self = user;
    if (self->id && collection != self->id) return;
    if (self->count == self->capacity) {
        size_t capacity = FR_MAX(self->capacity * 2, (size_t)8);
        char **names = fr_milvus_alloc(self->call, capacity * sizeof *names);
        if (!names) {
            self->failed = true;
            return;
        }
        if (self->count) memcpy(names, self->names, self->count * sizeof *names);
        self->names = names, self->capacity = capacity;
    }
    char *name = fr_milvus_text(self->call, "%s", alias);
    if (name) self->names[self->count++] = name;
    else self->failed = true;
}

char **fr_milvus_aliases(fr_milvus_call *call, const char *database, fr_id id, size_t *count_out)
{
    aliases found = {.call = call, .id = id};
    fr_alias_list_in(call->db, database, alias_add, &found);
    *count_out = found.count;
    if (found.failed) return NULL;
    return found.names ? found.names : fr_milvus_alloc(call, sizeof *found.names);
}

typedef struct wanted {
    const char *name;
    bool found;
} wanted;

static void database_look(void *user, const char *name, fr_id id, fr_span attributes)
{
    wanted *self = user;
    (void)id, (void)attributes;
    if (strcmp(name, self->name) == 0) self->found = true;
}

bool fr_milvus_database_there(fr_milvus_call *call, const char *name)
{
    wanted one = {.name = name, .found = strcmp(name, "default") == 0};
    if (!one.found) fr_database_list(call->db, database_look, &one);
    if (!one.found) fr_milvus_fail(call, MILVUS_DATABASE_NOT_FOUND, "database not found[database=%s]", name);
    return one.found;
}
