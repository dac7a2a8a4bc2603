/* schema.c: databases, attributes, and the clock that doors stamp with. */
#include "server/engine/engine.h"

fr_code fr_resolve_in(fr_db *db, const char *database, const char *name, fr_id *id_out, uint64_t *version_out, fr_err *err)
{
    *id_out = 0;
    if (version_out != NULL) *version_out = 0;
    if (database != NULL && database[0] != 0 && strcmp(database, "default") != 0)
        return fr_fail(err, FR_ERR_NOT_FOUND, "database", "there is no database '%s'", database);
    if (fr_resolve(db, name, id_out) == FR_OK) return FR_OK;
    return fr_fail(err, FR_ERR_NOT_FOUND, "collection", "there is no collection '%s'", name);
}

fr_code fr_collection_attributes(fr_db *db, fr_id id, fr_span *bytes_out)
{
    (void)db, (void)id;
    *bytes_out = fr_span_of(NULL, 0);
    return FR_OK;
}

void fr_bytes_free(fr_span bytes) { fr_free(FR_MEM_ENGINE, (void *)(uintptr_t)bytes.data); }

uint32_t fr_database_list(fr_db *db, void (*each)(void *user, const char *name, fr_id id, fr_span attributes), void *user)
{
    (void)db, (void)each, (void)user;
    return 0;
}

uint32_t fr_alias_list_in(fr_db *db, const char *database, void (*each)(void *user, const char *alias, fr_id collection), void *user)
{
    (void)db, (void)database, (void)each, (void)user;
    return 0;
}

uint64_t fr_timestamp(fr_db *db) { return (uint64_t)db->io->now_ms(db->io) << 18; }
