/* linker.c: graph insertion and repair in the background: a few rows of one shard per step, shards in turn. */
#include "server/engine/engine.h"

#define ROWS_PER_STEP 32u

static bool link_tables(fr_shard *shard)
{
    bool worked = false;
    for (uint32_t i = 0; i < shard->index_count; i++) {
        fr_table *tables[] = {fr_shard_table_of(shard, i), fr_shard_next_of(shard, i)};
        for (uint32_t t = 0; t < FR_COUNT_OF(tables); t++)
            if (tables[t] != NULL && fr_table_link_step(tables[t])) worked = true;
    }
    return worked;
}

static bool link_shard(fr_shard *shard, uint32_t rows)
{
    if (fr_shard_table(shard) == NULL || !atomic_load(&shard->links)) return false;
    for (uint32_t i = 0; i < rows; i++) {
        if (link_tables(shard)) continue;
        /* The applier sets the flag after its puts: clear it, and look once more, so that no row is forgotten. */
        atomic_store(&shard->links, false);
        if (!link_tables(shard)) return i != 0;
        atomic_store(&shard->links, true);
    }
    return true;
}

bool fr_engine_linker_step(fr_db *db)
{
    uint32_t pin = fr_engine_pin(db);
    const fr_map *map = atomic_load(&db->map);
    bool worked = false;
    uint32_t start = atomic_load_explicit(&db->link_cursor, memory_order_relaxed);
    for (uint32_t i = 0; i < map->count && !worked; i++) {
        uint32_t at = (start + i) % map->count;
        fr_collection *c = map->by_id[at];
        for (uint32_t s = 0; s < c->shard_count; s++)
            if (link_shard(&c->shards[s], db->options.no_threads ? 1 : ROWS_PER_STEP)) worked = true;
        if (worked) atomic_store_explicit(&db->link_cursor, at + 1, memory_order_relaxed);
    }
    fr_engine_unpin(db, pin);
    return worked;
}
