/* map.c: the catalog as readers see it: an immutable map, made anew by the applier and swapped whole. */
#include "server/engine/engine.h"

#include <stdlib.h>

fr_collection *fr_map_by_id(const fr_map *map, fr_id id)
{
    uint32_t low = 0, high = map->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (map->by_id[middle]->id < id) low = middle + 1;
        else high = middle;
    }
    return low < map->count && map->by_id[low]->id == id ? map->by_id[low] : NULL;
}

static const fr_named *find_topic(const fr_map *map, const char *topic)
{
    uint32_t low = 0, high = map->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = strcmp(map->by_name[middle].schema->topic, topic);
        if (order == 0) return &map->by_name[middle];
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return NULL;
}

fr_collection *fr_map_by_topic(const fr_map *map, const char *topic)
{
    const fr_named *found = find_topic(map, topic);
    return found != NULL ? found->collection : NULL;
}

/* The pair is compared, not taken apart: "a.b" may be b of a, or a name of the default database. */
fr_collection *fr_map_by_name(const fr_map *map, const char *database, const char *name)
{
    char topic[FR_TOPIC_NAME_SIZE];
    fr_schema_topic(database, name, topic);
    const fr_named *found = find_topic(map, topic);
    if (found == NULL || found->collection->kind != FR_TOPIC_COLLECTION || strcmp(found->schema->def.name, name) != 0 ||
        strcmp(found->schema->def.database, fr_database_name(database)) != 0)
        return NULL;
    return found->collection;
}

static int compare_pairs(const char *database_a, const char *name_a, const char *database_b, const char *name_b)
{
    int order = strcmp(database_a, database_b);
    return order != 0 ? order : strcmp(name_a, name_b);
}

const fr_alias *fr_map_alias(const fr_map *map, const char *database, const char *name)
{
    uint32_t low = 0, high = map->alias_count;
    database = fr_database_name(database);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const fr_alias *alias = &map->aliases[middle];
        int order = compare_pairs(alias->database, alias->name, database, name);
        if (order == 0) return alias;
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return NULL;
}

const fr_database *fr_map_database(const fr_map *map, const char *name)
{
    for (uint32_t i = 0; i < map->database_count; i++)
        if (strcmp(map->databases[i].name, name) == 0) return &map->databases[i];
    return NULL;
}

static int order_by_id(const void *a, const void *b)
{
    fr_id x = (*(fr_collection *const *)a)->id, y = (*(fr_collection *const *)b)->id;
    return (x > y) - (x < y);
}

static int order_by_name(const void *a, const void *b)
{
    return strcmp(((const fr_named *)a)->schema->topic, ((const fr_named *)b)->schema->topic);
}

static int order_aliases(const void *a, const void *b)
{
    const fr_alias *x = a, *y = b;
    return compare_pairs(x->database, x->name, y->database, y->name);
}

static int order_databases(const void *a, const void *b)
{
    return strcmp(((const fr_database *)a)->name, ((const fr_database *)b)->name);
}

/* The map's own copies stand behind its lists. */
static void fill_databases(const fr_db *db, fr_map *map, uint8_t *bytes)
{
    for (uint32_t i = 0; i < map->database_count; i++) {
        fr_database *to = &map->databases[i];
        *to = db->names.databases[i];
        if (to->attributes.size == 0) continue;
        memcpy(bytes, to->attributes.data, to->attributes.size);
        to->attributes.data = bytes;
        bytes += to->attributes.size;
    }
    if (map->database_count != 0) qsort(map->databases, map->database_count, sizeof(fr_database), order_databases);
}

static fr_map *make_map(const fr_db *db)
{
    uint32_t count = db->names.count, aliases = db->names.alias_count, databases = db->names.database_count;
    size_t bytes = 0;
    for (uint32_t i = 0; i < databases; i++) bytes += db->names.databases[i].attributes.size;
    fr_map *map = fr_zalloc(FR_MEM_ENGINE, sizeof *map + count * (sizeof(fr_collection *) + sizeof(fr_named)) +
                                               aliases * sizeof(fr_alias) + databases * sizeof(fr_database) + bytes);
    if (map == NULL) return NULL;
    map->next_id = db->names.next_id;
    map->next_id_offset = db->names.next_id_offset;
    map->clock_offset = db->names.clock_offset;
    map->count = count;
    map->alias_count = aliases;
    map->database_count = databases;
    map->by_id = (fr_collection **)(void *)(map + 1);
    map->by_name = (fr_named *)(void *)(map->by_id + count);
    map->databases = (fr_database *)(void *)(map->by_name + count);
    map->aliases = (fr_alias *)(void *)(map->databases + databases);
    for (uint32_t i = 0; i < count; i++) {
        map->by_id[i] = db->names.collections[i];
        map->by_name[i] = (fr_named){db->names.collections[i], fr_schema_of(db->names.collections[i])};
    }
    if (aliases != 0) memcpy(map->aliases, db->names.aliases, aliases * sizeof(fr_alias));
    if (count != 0) qsort(map->by_id, count, sizeof(fr_collection *), order_by_id);
    if (count != 0) qsort(map->by_name, count, sizeof(fr_named), order_by_name);
    if (aliases != 0) qsort(map->aliases, aliases, sizeof(fr_alias), order_aliases);
    fill_databases(db, map, (uint8_t *)(map->aliases + aliases));
    return map;
}

void fr_engine_map_free(fr_map *map)
{
    if (map != NULL) fr_engine_access_map_drop(map->access);
    fr_free(FR_MEM_ENGINE, map);
}

fr_code fr_engine_catalog_publish(fr_db *db)
{
    fr_map *old = atomic_load(&db->map);
    if (old != NULL && !db->names.changed) return FR_OK;
    fr_map *map = make_map(db);
    if (map == NULL) return FR_ERR_NO_MEMORY;
    if (fr_engine_access_publish(db, old, map) != FR_OK) {
        fr_free(FR_MEM_ENGINE, map);
        return FR_ERR_NO_MEMORY;
    }
    atomic_store(&db->map, map); /* pairs with the load after fr_engine_pin */
    db->names.changed = false;
    pthread_mutex_lock(&db->garbage_lock);
    if (old != NULL) {
        old->garbage_next = db->garbage_maps;
        db->garbage_maps = old;
    }
    fr_collection *dropped = db->names.dropped;
    db->names.dropped = NULL;
    for (fr_collection *c = dropped, *next; c != NULL; c = next) {
        next = c->garbage_next;
        atomic_store(&c->dropped, true);
        fr_engine_ref(c); /* for the line below: the keeper may be fast */
        c->garbage_next = db->garbage_collections;
        db->garbage_collections = c;
        pthread_mutex_unlock(&db->garbage_lock);
        fr_engine_waiters_fire(c, FR_ERR_NOT_FOUND);
        pthread_mutex_lock(&db->garbage_lock);
        fr_engine_unref(c);
    }
    while (db->names.replaced != NULL) {
        fr_schema *schema = db->names.replaced;
        db->names.replaced = schema->garbage_next;
        schema->garbage_next = db->garbage_schemas;
        db->garbage_schemas = schema;
    }
    pthread_mutex_unlock(&db->garbage_lock);
    fr_engine_wake(db, FR_ROLE_KEEPER);
    return FR_OK;
}
