/* access.c: who may do what: users, API keys, roles, grants and limits as records of the catalog, and THE check that every door
 * asks. Entries are immutable and counted; a map of the catalog holds the list by key, so a check takes no lock. Passwords are
 * SCRAM verifiers and keys are digests that a door has made: nothing here knows cryptography.
 *
 * Keys: "u/<user>", "k/<key id>", "r/<role>", "g/<u or r>/<whose>/<object>/<database>/<door>/<name>", "q/<user>/<client>": what may
 * hold a slash comes last. A user's grants, keys apart, stand together, so the check walks one short range per user and role. */
#include "server/engine/engine.h"

#include <stdio.h>

#define KEY_BYTES 512u
#define ROLES_MAX 32u
static const char letters[FR_ACCESS_KIND_COUNT] = {'u', 'k', 'r', 'g', 'q'};
static const char object_letters[FR_OBJECT_COUNT] = {'t', 'g', 'x', 'd', 'a'};

bool fr_engine_access_is(fr_span key)
{
    const char *text = key.data;
    return key.size > 2 && text[1] == '/' && memchr(letters, text[0], sizeof letters) != NULL;
}

static void key_of(const fr_access *a, char out[KEY_BYTES])
{
    switch (a->kind) {
    case FR_ACCESS_GRANT:
        snprintf(out, KEY_BYTES, "g/%c/%s/%c/%s/%s/%s", a->to_role ? 'r' : 'u', a->name, object_letters[a->object], a->database, a->door,
                 a->object_name);
        break;
    case FR_ACCESS_LIMIT: snprintf(out, KEY_BYTES, "q/%s/%s", a->name, a->client); break;
    default: snprintf(out, KEY_BYTES, "%c/%s", letters[a->kind], a->name); break;
    }
}

/* ==== the list by key ==== */

static uint32_t lower_bound(fr_access_entry *const *entries, uint32_t count, const char *key)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (strcmp(entries[middle]->key, key) < 0) low = middle + 1;
        else high = middle;
    }
    return low;
}

static const fr_access_entry *find(const fr_access_map *map, const char *key)
{
    if (map == NULL) return NULL;
    uint32_t at = lower_bound(map->entries, map->count, key);
    return at < map->count && strcmp(map->entries[at]->key, key) == 0 ? map->entries[at] : NULL;
}

static const fr_access_entry *find_named(const fr_access_map *map, char letter, const char *name)
{
    char key[KEY_BYTES];
    snprintf(key, sizeof key, "%c/%s", letter, name);
    return find(map, key);
}

static void entry_drop(fr_access_entry *entry)
{
    if (entry != NULL && atomic_fetch_sub_explicit(&entry->refs, 1, memory_order_acq_rel) == 1) fr_free(FR_MEM_ENGINE, entry);
}

void fr_engine_access_map_drop(fr_access_map *map)
{
    if (map == NULL || atomic_fetch_sub_explicit(&map->refs, 1, memory_order_acq_rel) != 1) return;
    for (uint32_t i = 0; i < map->count; i++) entry_drop(map->entries[i]);
    fr_free(FR_MEM_ENGINE, map);
}

void fr_engine_access_free(fr_db *db)
{
    for (uint32_t i = 0; i < db->names.access_count; i++) entry_drop(db->names.access[i]);
    fr_free(FR_MEM_ENGINE, db->names.access);
}

/* The new map's list: the old one's, unless something changed. */
fr_code fr_engine_access_publish(fr_db *db, const fr_map *old, fr_map *map)
{
    if (old != NULL && !db->names.access_changed) {
        map->access = old->access;
        if (map->access != NULL) atomic_fetch_add_explicit(&map->access->refs, 1, memory_order_relaxed);
        return FR_OK;
    }
    uint32_t count = db->names.access_count;
    fr_access_map *fresh = fr_zalloc(FR_MEM_ENGINE, sizeof *fresh + count * sizeof(fr_access_entry *));
    if (fresh == NULL) return FR_ERR_NO_MEMORY;
    atomic_init(&fresh->refs, 1);
    fresh->count = count;
    for (uint32_t i = 0; i < count; i++) {
        fresh->entries[i] = db->names.access[i];
        atomic_fetch_add_explicit(&fresh->entries[i]->refs, 1, memory_order_relaxed);
        fresh->limits += fresh->entries[i]->body.kind == FR_ACCESS_LIMIT;
    }
    map->access = fresh;
    db->names.access_changed = false;
    return FR_OK;
}

/* ==== records ==== */

static void put_text(fr_doc_builder *b, const char *key, const char *text)
{
    fr_doc_put_key(b, key, strlen(key));
    fr_doc_put_string(b, text, strlen(text));
}

static void put_int(fr_doc_builder *b, const char *key, int64_t value)
{
    fr_doc_put_key(b, key, strlen(key));
    fr_doc_put_int(b, value);
}

static void put_hex(fr_doc_builder *b, const char *key, const uint8_t *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    char text[2 * 64];
    for (size_t i = 0; i < size; i++) text[2 * i] = digits[bytes[i] >> 4], text[2 * i + 1] = digits[bytes[i] & 15];
    fr_doc_put_key(b, key, strlen(key));
    fr_doc_put_string(b, text, 2 * size);
}

static void put_verifier(fr_doc_builder *b, const char *key, const fr_verifier *v)
{
    if (v->iterations == 0) return;
    fr_doc_put_key(b, key, strlen(key));
    fr_doc_begin_object(b);
    put_int(b, "iterations", v->iterations);
    put_hex(b, "salt", v->salt, sizeof v->salt);
    put_hex(b, "stored", v->stored_key, sizeof v->stored_key);
    put_hex(b, "server", v->server_key, sizeof v->server_key);
    fr_doc_end_object(b);
}

static void encode(fr_doc_builder *b, const fr_access *a, int64_t created_ms)
{
    fr_doc_begin_object(b);
    put_text(b, "name", a->name);
    put_int(b, "created_ms", created_ms);
    switch (a->kind) {
    case FR_ACCESS_USER:
        put_int(b, "superuser", a->superuser);
        put_text(b, "roles", a->roles);
        put_verifier(b, "sha256", &a->sha256);
        put_verifier(b, "sha512", &a->sha512);
        break;
    case FR_ACCESS_KEY:
        put_text(b, "user", a->user);
        put_hex(b, "digest", a->digest, sizeof a->digest);
        put_int(b, "expires_ms", a->expires_ms);
        put_int(b, "actions", a->actions);
        break;
    case FR_ACCESS_GRANT:
        put_int(b, "to_role", a->to_role);
        put_int(b, "object", a->object);
        put_text(b, "database", a->database);
        put_text(b, "object_name", a->object_name);
        put_text(b, "door", a->door);
        put_int(b, "actions", a->actions);
        break;
    case FR_ACCESS_LIMIT:
        put_text(b, "client", a->client);
        put_int(b, "requests", a->requests);
        put_int(b, "bytes_in", a->bytes_in);
        put_int(b, "bytes_out", a->bytes_out);
        break;
    default: break;
    }
    fr_doc_end_object(b);
}

static bool get_int(fr_doc object, const char *key, int64_t low, int64_t high, int64_t *out)
{
    fr_doc value = fr_doc_get(object, fr_span_text(key));
    if (value.data == NULL || fr_doc_type(value) != FR_DOC_INT) return false;
    *out = fr_doc_int(value);
    return *out >= low && *out <= high;
}

static bool get_text(fr_doc object, const char *key, char *out, size_t size)
{
    fr_doc value = fr_doc_get(object, fr_span_text(key));
    if (value.data == NULL || fr_doc_type(value) != FR_DOC_STRING) return false;
    fr_span text = fr_doc_string(value);
    if (text.size >= size || memchr(text.data, 0, text.size) != NULL) return false;
    memcpy(out, text.data, text.size);
    out[text.size] = 0;
    return true;
}

static int digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

static bool get_hex(fr_doc object, const char *key, uint8_t *out, size_t size)
{
    char text[2 * 64 + 1];
    if (!get_text(object, key, text, sizeof text) || strlen(text) != 2 * size) return false;
    for (size_t i = 0; i < size; i++) {
        int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool get_verifier(fr_doc root, const char *key, fr_verifier *out)
{
    fr_doc object = fr_doc_get(root, fr_span_text(key));
    int64_t iterations;
    if (object.data == NULL) return true; /* none */
    if (!get_int(object, "iterations", 1, 100000000, &iterations) || !get_hex(object, "salt", out->salt, sizeof out->salt) ||
        !get_hex(object, "stored", out->stored_key, sizeof out->stored_key) ||
        !get_hex(object, "server", out->server_key, sizeof out->server_key))
        return false;
    out->iterations = (uint32_t)iterations;
    return true;
}

static bool decode_kind(fr_doc root, fr_access *a)
{
    int64_t superuser = 0, actions = 0, to_role = 0, object = 0;
    bool fine = true;
    switch (a->kind) {
    case FR_ACCESS_USER:
        fine = get_int(root, "superuser", 0, 1, &superuser) && get_text(root, "roles", a->roles, sizeof a->roles) &&
               get_verifier(root, "sha256", &a->sha256) && get_verifier(root, "sha512", &a->sha512);
        a->superuser = superuser != 0;
        break;
    case FR_ACCESS_KEY:
        fine = get_text(root, "user", a->user, sizeof a->user) && get_hex(root, "digest", a->digest, sizeof a->digest) &&
               get_int(root, "expires_ms", 0, INT64_MAX, &a->expires_ms) && get_int(root, "actions", 1, FR_ACTIONS_ALL, &actions);
        break;
    case FR_ACCESS_GRANT:
        fine = get_int(root, "to_role", 0, 1, &to_role) && get_int(root, "object", 0, FR_OBJECT_COUNT - 1, &object) &&
               get_text(root, "database", a->database, sizeof a->database) &&
               get_text(root, "object_name", a->object_name, sizeof a->object_name) && get_text(root, "door", a->door, sizeof a->door) &&
               get_int(root, "actions", 1, FR_ACTIONS_ALL, &actions);
        a->to_role = to_role != 0;
        a->object = (fr_object)object;
        break;
    case FR_ACCESS_LIMIT:
        fine = get_text(root, "client", a->client, sizeof a->client) && get_int(root, "requests", 0, INT64_MAX, &a->requests) &&
               get_int(root, "bytes_in", 0, INT64_MAX, &a->bytes_in) && get_int(root, "bytes_out", 0, INT64_MAX, &a->bytes_out);
        break;
    default: break;
    }
    a->actions = (uint32_t)actions;
    return fine;
}

static fr_code decode(const fr_apply_record *record, fr_access *a, fr_err *err)
{
    fr_doc root;
    const char *letter = memchr(letters, *(const char *)record->key.data, sizeof letters);
    *a = (fr_access){.kind = (fr_access_kind)(letter - letters), .offset = record->offset};
    FR_TRY(fr_engine_document(record->value, &root, err));
    if (!get_text(root, "name", a->name, sizeof a->name) || !get_int(root, "created_ms", INT64_MIN, INT64_MAX, &a->created_ms) ||
        !decode_kind(root, a))
        return fr_fail(err, FR_ERR_CORRUPT, "catalog", "an access record of the catalog lacks a field or has a wrong one");
    return FR_OK;
}

static fr_code insert(fr_db *db, uint32_t at, fr_access_entry *entry)
{
    if (db->names.access_count == db->names.access_capacity) {
        uint32_t capacity = FR_MAX(16u, db->names.access_capacity * 2);
        fr_access_entry **grown = fr_realloc(FR_MEM_ENGINE, db->names.access, capacity * sizeof *grown);
        if (grown == NULL) return FR_ERR_NO_MEMORY;
        db->names.access = grown;
        db->names.access_capacity = capacity;
    }
    fr_access_entry **slot = db->names.access + at;
    memmove(slot + 1, slot, (db->names.access_count - at) * sizeof *slot);
    *slot = entry;
    db->names.access_count++;
    return FR_OK;
}

fr_code fr_engine_access_apply(fr_db *db, const fr_apply_record *record, fr_err *err)
{
    char key[KEY_BYTES];
    fr_access body;
    if (record->key.size >= sizeof key) return fr_fail(err, FR_ERR_CORRUPT, "catalog", "the key of an access record is too long");
    memcpy(key, record->key.data, record->key.size);
    key[record->key.size] = 0;
    uint32_t at = lower_bound(db->names.access, db->names.access_count, key);
    bool there = at < db->names.access_count && strcmp(db->names.access[at]->key, key) == 0;
    db->names.access_changed = true;
    if (record->value.data == NULL) {
        if (!there) return FR_OK;
        entry_drop(db->names.access[at]);
        db->names.access_count--;
        memmove(db->names.access + at, db->names.access + at + 1, (db->names.access_count - at) * sizeof *db->names.access);
        return FR_OK;
    }
    FR_TRY(decode(record, &body, err));
    fr_access_entry *entry = fr_alloc(FR_MEM_ENGINE, sizeof *entry + record->key.size + 1);
    if (entry == NULL) return FR_ERR_NO_MEMORY;
    atomic_init(&entry->refs, 1);
    entry->body = body;
    memcpy(entry->key, key, record->key.size + 1);
    if (there) {
        entry_drop(db->names.access[at]);
        db->names.access[at] = entry;
        return FR_OK;
    }
    fr_code code = insert(db, at, entry);
    if (code != FR_OK) fr_free(FR_MEM_ENGINE, entry);
    return code;
}

bool fr_engine_access_keep(const fr_map *map, fr_span key, fr_offset offset)
{
    char text[KEY_BYTES];
    if (key.size >= sizeof text) return true;
    memcpy(text, key.data, key.size);
    text[key.size] = 0;
    const fr_access_entry *entry = find(map->access, text);
    return entry != NULL && entry->body.offset == offset;
}

/* ==== changes ==== */

static fr_code check_word(const char *field, const char *text, size_t room, fr_err *err)
{
    size_t size = strnlen(text, room);
    bool fine = size >= 1 && size <= FR_USER_BYTES_MAX;
    for (size_t i = 0; fine && i < size; i++)
        fine = (text[i] >= '0' && text[i] <= '9') || ((text[i] | 32) >= 'a' && (text[i] | 32) <= 'z') || strchr("._@+-", text[i]) != NULL;
    return fine ? FR_OK : fr_fail(err, FR_ERR_INVALID, field, "must have 1 to %u of A-Z a-z 0-9 . _ @ + -", FR_USER_BYTES_MAX);
}

/* A name in a grant: any text that ends, without what would break a line. */
static fr_code check_pattern(const fr_access *a, fr_err *err)
{
    size_t size = strnlen(a->object_name, sizeof a->object_name);
    if (size > FR_NAME_BYTES_MAX || !fr_utf8_valid(a->object_name, size))
        return fr_fail(err, FR_ERR_INVALID, "object_name", "must be UTF-8 of at most %u bytes", FR_NAME_BYTES_MAX);
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)a->object_name[i] < 0x20) return fr_fail(err, FR_ERR_INVALID, "object_name", "must not hold control characters");
    if (a->object == FR_OBJECT_ALL || a->object == FR_OBJECT_DATABASE) {
        if (size != 0) return fr_fail(err, FR_ERR_INVALID, "object_name", "a grant on everything or on a database has none");
    } else if (size == 0) {
        return fr_fail(err, FR_ERR_INVALID, "object_name", "a name, the beginning of names with *, or * is needed");
    }
    return FR_OK;
}

static fr_code check_roles(const char *roles, fr_err *err)
{
    uint32_t count = 0;
    if (strnlen(roles, FR_ROLES_BYTES_MAX + 1) > FR_ROLES_BYTES_MAX)
        return fr_fail(err, FR_ERR_INVALID, "roles", "the roles of a user have at most %u bytes", FR_ROLES_BYTES_MAX);
    for (const char *at = roles; *at != 0;) {
        char one[FR_USER_BYTES_MAX + 2];
        size_t size = strcspn(at, ",");
        if (size == 0 || size > FR_USER_BYTES_MAX || ++count > ROLES_MAX)
            return fr_fail(err, FR_ERR_INVALID, "roles", "a user has at most %u roles, with names of 1 to %u bytes", ROLES_MAX, FR_USER_BYTES_MAX);
        memcpy(one, at, size);
        one[size] = 0;
        FR_TRY(check_word("roles", one, sizeof one, err));
        at += size + (at[size] == ',');
    }
    return FR_OK;
}

static bool ended(const char *text, size_t room) { return memchr(text, 0, room) != NULL; }

static fr_code valid_grant(const fr_access *a, fr_err *err)
{
    if ((unsigned)a->object >= FR_OBJECT_COUNT) return fr_fail(err, FR_ERR_INVALID, "object", "no such kind of object");
    if (!ended(a->database, sizeof a->database) || !ended(a->door, sizeof a->door))
        return fr_fail(err, FR_ERR_INVALID, "database", "is too long");
    if (a->database[0] != 0) FR_TRY(check_word("database", a->database, sizeof a->database, err));
    if (a->door[0] != 0) FR_TRY(check_word("door", a->door, sizeof a->door, err));
    return check_pattern(a, err);
}

fr_code fr_engine_access_valid(const fr_write *write, fr_err *err)
{
    const fr_access *a = write->access;
    bool put = write->kind == FR_WRITE_ACCESS_PUT;
    if (a == NULL || (unsigned)a->kind >= FR_ACCESS_KIND_COUNT) return fr_fail(err, FR_ERR_INVALID, "access", "what is needed");
    if (a->kind != FR_ACCESS_LIMIT || strcmp(a->name, "*") != 0) FR_TRY(check_word("name", a->name, sizeof a->name, err));
    if (a->kind == FR_ACCESS_GRANT) FR_TRY(valid_grant(a, err));
    if (a->kind == FR_ACCESS_LIMIT) {
        if (!ended(a->client, sizeof a->client) || !fr_utf8_valid(a->client, strlen(a->client)))
            return fr_fail(err, FR_ERR_INVALID, "client", "must be UTF-8 of at most %u bytes", FR_USER_BYTES_MAX);
        if (put && (a->requests < 0 || a->bytes_in < 0 || a->bytes_out < 0 || (a->requests | a->bytes_in | a->bytes_out) == 0))
            return fr_fail(err, FR_ERR_INVALID, "requests", "a limit needs requests, bytes_in or bytes_out, above 0");
    }
    if (!put) return FR_OK;
    if (a->kind == FR_ACCESS_USER) FR_TRY(check_roles(a->roles, err));
    if (a->kind == FR_ACCESS_KEY) FR_TRY(check_word("user", a->user, sizeof a->user, err));
    bool acts = a->kind == FR_ACCESS_GRANT || a->kind == FR_ACCESS_KEY;
    if (acts && (a->actions == 0 || a->actions > FR_ACTIONS_ALL))
        return fr_fail(err, FR_ERR_INVALID, "actions", "read, write or admin is needed");
    if (a->kind == FR_ACCESS_KEY && a->expires_ms < 0) return fr_fail(err, FR_ERR_INVALID, "expires", "must not be negative");
    return FR_OK;
}

static bool has_role(const fr_access *user, const char *role)
{
    size_t wanted = strlen(role);
    for (const char *at = user->roles; *at != 0;) {
        size_t size = strcspn(at, ",");
        if (size == wanted && memcmp(at, role, size) == 0) return true;
        at += size + (at[size] == ',');
    }
    return false;
}

static bool built_in(const char *role) { return strcmp(role, FR_ROLE_ADMIN) == 0 || strcmp(role, FR_ROLE_PUBLIC) == 0; }

/* Whom it speaks of must be there. */
static fr_code check_known(const fr_access_map *map, const fr_access *a, fr_err *err)
{
    const char *user = a->kind == FR_ACCESS_KEY ? a->user : a->name;
    if (a->kind == FR_ACCESS_GRANT && a->to_role) {
        if (!built_in(a->name) && find_named(map, 'r', a->name) == NULL)
            return fr_fail(err, FR_ERR_NOT_FOUND, "role", "there is no role '%s'", a->name);
    } else if (a->kind != FR_ACCESS_USER && a->kind != FR_ACCESS_ROLE && strcmp(user, "*") != 0) {
        if (find_named(map, 'u', user) == NULL) return fr_fail(err, FR_ERR_NOT_FOUND, "user", "there is no user '%s'", user);
    }
    if (a->kind == FR_ACCESS_ROLE && built_in(a->name)) return fr_fail(err, FR_ERR_EXISTS, "role", "role '%s' is built in", a->name);
    if (a->kind != FR_ACCESS_USER) return FR_OK;
    if (strcmp(a->name, FR_USER_ROOT) == 0 && !a->superuser)
        return fr_fail(err, FR_ERR_INVALID, "superuser", "'" FR_USER_ROOT "' stays a superuser");
    for (const char *at = a->roles; *at != 0;) {
        char one[FR_USER_BYTES_MAX + 1];
        size_t size = FR_MIN(strcspn(at, ","), sizeof one - 1);
        memcpy(one, at, size);
        one[size] = 0;
        if (!built_in(one) && find_named(map, 'r', one) == NULL)
            return fr_fail(err, FR_ERR_NOT_FOUND, "roles", "there is no role '%s'", one);
        at += size + (at[size] == ',');
    }
    return FR_OK;
}

static fr_code plan_put(fr_db *db, const fr_access_map *map, const fr_access *a, fr_batch *batch, fr_err *err)
{
    char key[KEY_BYTES];
    key_of(a, key);
    const fr_access_entry *before = find(map, key);
    if (before != NULL && a->must == FR_ACCESS_NEW) return fr_fail(err, FR_ERR_EXISTS, "name", "'%s' exists already", a->name);
    if (before == NULL && a->must == FR_ACCESS_OLD) return fr_fail(err, FR_ERR_NOT_FOUND, "name", "there is no '%s'", a->name);
    if (a->offset != 0 && (before == NULL || before->body.offset != a->offset))
        return fr_fail(err, FR_ERR_BUSY, "name", "'%s' was changed meanwhile: read it again", a->name);
    if (before == NULL && map != NULL && map->count >= FR_ACCESS_MAX)
        return fr_fail(err, FR_ERR_TOO_LARGE, "name", "there are %u users, keys, roles, grants and limits: the limit", FR_ACCESS_MAX);
    FR_TRY(check_known(map, a, err));
    fr_doc_builder b = {0};
    encode(&b, a, before != NULL ? before->body.created_ms : db->io->now_ms(db->io));
    fr_code code = fr_engine_put_document(batch, key, &b, err);
    fr_doc_free(&b);
    return code;
}

/* Tombstones for every record whose key begins so. */
static fr_code drop_range(const fr_access_map *map, fr_batch *batch, const char *prefix, fr_err *err)
{
    size_t size = strlen(prefix);
    for (uint32_t i = lower_bound(map->entries, map->count, prefix); i < map->count; i++) {
        if (strncmp(map->entries[i]->key, prefix, size) != 0) break;
        FR_TRY(fr_engine_put_end(batch, map->entries[i]->key, err));
    }
    return FR_OK;
}

static fr_code plan_drop(const fr_access_map *map, const fr_access *a, fr_batch *batch, fr_err *err)
{
    char key[KEY_BYTES], prefix[KEY_BYTES];
    key_of(a, key);
    if (find(map, key) == NULL) {
        static const char *const words[] = {"user", "key", "role", "grant", "limit"};
        if (a->kind == FR_ACCESS_ROLE && built_in(a->name)) return fr_fail(err, FR_ERR_INVALID, "role", "role '%s' is built in", a->name);
        return fr_fail(err, FR_ERR_NOT_FOUND, words[a->kind], "there is no such %s of '%s'", words[a->kind], a->name);
    }
    if (a->kind == FR_ACCESS_USER) {
        if (strcmp(a->name, FR_USER_ROOT) == 0) return fr_fail(err, FR_ERR_INVALID, "user", "'" FR_USER_ROOT "' stays");
        snprintf(prefix, sizeof prefix, "g/u/%s/", a->name);
        FR_TRY(drop_range(map, batch, prefix, err));
        snprintf(prefix, sizeof prefix, "q/%s/", a->name);
        FR_TRY(drop_range(map, batch, prefix, err));
        for (uint32_t i = lower_bound(map->entries, map->count, "k/"); i < map->count && map->entries[i]->body.kind == FR_ACCESS_KEY; i++)
            if (strcmp(map->entries[i]->body.user, a->name) == 0) FR_TRY(fr_engine_put_end(batch, map->entries[i]->key, err));
    }
    if (a->kind == FR_ACCESS_ROLE) {
        for (uint32_t i = lower_bound(map->entries, map->count, "u/"); i < map->count && map->entries[i]->body.kind == FR_ACCESS_USER; i++)
            if (has_role(&map->entries[i]->body, a->name))
                return fr_fail(err, FR_ERR_EXISTS, "role", "user '%s' has the role '%s': take it away first", map->entries[i]->body.name, a->name);
        snprintf(prefix, sizeof prefix, "g/r/%s/", a->name);
        FR_TRY(drop_range(map, batch, prefix, err));
    }
    return fr_engine_put_end(batch, key, err);
}

fr_code fr_engine_access_plan(fr_db *db, const fr_map *map, const fr_write *write, fr_batch *batch, fr_err *err)
{
    if (write->kind == FR_WRITE_ACCESS_PUT) return plan_put(db, map->access, write->access, batch, err);
    return plan_drop(map->access, write->access, batch, err);
}

/* ==== THE check ==== */

typedef struct question {
    const fr_access_map *map;
    fr_action action;
    fr_object object;
    const char *database, *name;
    bool hidden; /* "__...": only who may do everything */
} question;

static bool name_fits(const char *pattern, const char *name)
{
    size_t size = strlen(pattern);
    if (size != 0 && pattern[size - 1] == '*') return strncmp(pattern, name, size - 1) == 0;
    return strcmp(pattern, name) == 0;
}

static const char *database_of(const char *database) { return database == NULL || database[0] == 0 ? "default" : database; }

static bool covers(const fr_access *grant, const question *q)
{
    if ((grant->actions & ((uint32_t)q->action | FR_ACTION_ADMIN)) == 0) return false;
    if (grant->object == FR_OBJECT_ALL) return !q->hidden || (grant->actions & FR_ACTION_ADMIN) != 0;
    if (q->object == FR_OBJECT_ALL || q->hidden) return false;
    bool same_database = strcmp(database_of(grant->database), q->database) == 0;
    if (grant->object == FR_OBJECT_DATABASE) return same_database && (q->object == FR_OBJECT_DATABASE || q->object == FR_OBJECT_TOPIC);
    if (grant->object != q->object) return false;
    return (q->object != FR_OBJECT_TOPIC || same_database) && name_fits(grant->object_name, q->name);
}

static bool granted(const question *q, char letter, const char *whose)
{
    char prefix[KEY_BYTES];
    int size = snprintf(prefix, sizeof prefix, "g/%c/%s/", letter, whose);
    for (uint32_t i = lower_bound(q->map->entries, q->map->count, prefix); i < q->map->count; i++) {
        if (strncmp(q->map->entries[i]->key, prefix, (size_t)size) != 0) return false;
        if (covers(&q->map->entries[i]->body, q)) return true;
    }
    return false;
}

static bool role_granted(const question *q, const fr_access *user)
{
    for (const char *at = user->roles; *at != 0;) {
        char one[FR_USER_BYTES_MAX + 1];
        size_t size = FR_MIN(strcspn(at, ","), sizeof one - 1);
        memcpy(one, at, size);
        one[size] = 0;
        if (strcmp(one, FR_ROLE_ADMIN) == 0 || granted(q, 'r', one)) return true;
        at += size + (at[size] == ',');
    }
    return granted(q, 'r', FR_ROLE_PUBLIC);
}

static fr_code missing(const question *q, const fr_principal *p, const char *why, fr_err *err)
{
    static const char *const objects[] = {"", "group ", "transactional id ", "database ", ""};
    const char *action = q->action == FR_ACTION_READ ? "read" : q->action == FR_ACTION_WRITE ? "write" : "admin";
    if (p->user[0] == 0) return fr_fail(err, FR_ERR_DENIED, NULL, "nobody has logged in");
    if (q->object == FR_OBJECT_ALL) return fr_fail(err, FR_ERR_DENIED, NULL, "user '%s' needs %s on everything%s", p->user, action, why);
    return fr_fail(err, FR_ERR_DENIED, NULL, "user '%s' needs %s on %s'%.100s'%s", p->user, action, objects[q->object],
                   q->object == FR_OBJECT_DATABASE ? q->database : q->name, why);
}

static fr_code check_map(fr_db *db, const fr_map *map, const fr_principal *p, question *q, fr_err *err)
{
    const fr_access_entry *user = p->user[0] != 0 ? find_named(map->access, 'u', p->user) : NULL;
    if (user == NULL) return missing(q, p, ": the user was dropped", err);
    if (p->key[0] != 0) {
        const fr_access_entry *key = find_named(map->access, 'k', p->key);
        if (key == NULL || strcmp(key->body.user, p->user) != 0) return missing(q, p, ": the key was dropped", err);
        if (key->body.expires_ms != 0 && key->body.expires_ms <= db->io->now_ms(db->io)) return missing(q, p, ": the key is over", err);
        if ((key->body.actions & ((uint32_t)q->action | FR_ACTION_ADMIN)) == 0) return missing(q, p, "; the key has less", err);
    }
    if (q->object == FR_OBJECT_TOPIC && fr_map_by_name(map, q->database, q->name) == NULL) {
        const fr_alias *alias = fr_map_alias(map, q->database, q->name);
        const fr_collection *c = alias != NULL ? fr_map_by_id(map, alias->id) : NULL;
        if (c == NULL && fr_database_name(q->database)[0] == 0) c = fr_map_by_topic(map, q->name); /* as Kafka calls it */
        if (c != NULL) q->name = fr_schema_of(c)->def.name, q->database = database_of(fr_schema_of(c)->def.database);
    }
    q->hidden = q->object == FR_OBJECT_TOPIC && strncmp(q->name, "__", 2) == 0;
    if (q->hidden && q->action != FR_ACTION_READ) return missing(q, p, ": only the server changes it", err);
    q->map = map->access;
    if (user->body.superuser || granted(q, 'u', p->user) || role_granted(q, &user->body)) return FR_OK;
    return missing(q, p, "", err);
}

fr_code fr_access_check(fr_db *db, const fr_principal *principal, fr_action action, fr_object object, const char *database,
                        const char *name, fr_err *err)
{
    if (principal->trusted) return FR_OK;
    question q = {.action = action, .object = object, .database = database_of(database), .name = name != NULL ? name : ""};
    uint32_t pin = fr_engine_pin(db);
    fr_code code = check_map(db, atomic_load(&db->map), principal, &q, err);
    fr_engine_unpin(db, pin);
    return code;
}

/* ==== reading ==== */

fr_code fr_access_get(fr_db *db, fr_access *access_io)
{
    char key[KEY_BYTES];
    if ((unsigned)access_io->kind >= FR_ACCESS_KIND_COUNT || (unsigned)access_io->object >= FR_OBJECT_COUNT) return FR_ERR_NOT_FOUND;
    key_of(access_io, key);
    uint32_t pin = fr_engine_pin(db);
    const fr_access_entry *entry = find(atomic_load(&db->map)->access, key);
    if (entry != NULL) *access_io = entry->body;
    fr_engine_unpin(db, pin);
    return entry != NULL ? FR_OK : FR_ERR_NOT_FOUND;
}

uint32_t fr_access_list(fr_db *db, fr_access_kind kind, const char *owner, void (*each)(void *user, const fr_access *access), void *user)
{
    char prefix[3] = {letters[kind], '/', 0};
    uint32_t count = 0;
    uint32_t pin = fr_engine_pin(db);
    const fr_access_map *map = atomic_load(&db->map)->access;
    for (uint32_t i = map != NULL ? lower_bound(map->entries, map->count, prefix) : 0; map != NULL && i < map->count; i++) {
        const fr_access *body = &map->entries[i]->body;
        if (body->kind != kind) break;
        if (owner != NULL && strcmp(kind == FR_ACCESS_KEY ? body->user : body->name, owner) != 0) continue;
        count++;
        if (each != NULL) each(user, body);
    }
    fr_engine_unpin(db, pin);
    return count;
}

bool fr_access_limit(fr_db *db, const char *user, const char *client, fr_access *limit_out)
{
    const char *const tries[4][2] = {{user, client}, {user, ""}, {"*", client}, {"*", ""}};
    const fr_access_entry *found = NULL;
    uint32_t pin = fr_engine_pin(db);
    const fr_access_map *map = atomic_load(&db->map)->access;
    for (uint32_t i = 0; map != NULL && map->limits != 0 && found == NULL && i < FR_COUNT_OF(tries); i++) {
        char key[KEY_BYTES];
        snprintf(key, sizeof key, "q/%.*s/%.*s", (int)FR_USER_BYTES_MAX, tries[i][0], (int)FR_USER_BYTES_MAX, tries[i][1]);
        found = find(map, key);
    }
    if (found != NULL) *limit_out = found->body;
    fr_engine_unpin(db, pin);
    return found != NULL;
}
