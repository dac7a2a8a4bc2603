/* number_map.c: see number_map.h. Removal shifts back what follows (Knuth 6.4, algorithm R), so there are no graves. */
#include "log/number_map.h"

static uint32_t home(const fr_number_map *map, uint64_t key) { return (uint32_t)fr_mix64(key) & map->mask; }

static uint32_t find(const fr_number_map *map, uint64_t key)
{
    uint32_t at = home(map, key);
    while (map->slots[at].value != 0 && map->slots[at].key != key) at = (at + 1) & map->mask;
    return at;
}

uint32_t fr_number_map_get(const fr_number_map *map, uint64_t key)
{
    return map->slots == NULL ? FR_NUMBER_NONE : map->slots[find(map, key)].value - 1;
}

fr_code fr_number_map_reserve(fr_number_map *map, uint32_t more)
{
    uint32_t size = map->slots != NULL ? map->mask + 1 : 0;
    uint64_t need = ((uint64_t)map->count + more) * 2; /* at most half full */
    if (need <= size) return FR_OK;
    uint64_t wanted = FR_MAX(size, 8u);
    while (wanted < need) wanted *= 2;
    if (wanted > (1u << 31)) return FR_ERR_TOO_LARGE;
    fr_number_map grown = {.mask = (uint32_t)wanted - 1};
    grown.slots = fr_zalloc(FR_MEM_LOG, wanted * sizeof *grown.slots);
    if (grown.slots == NULL) return FR_ERR_NO_MEMORY;
    for (uint32_t i = 0; i < size; i++)
        if (map->slots[i].value != 0) grown.slots[find(&grown, map->slots[i].key)] = map->slots[i];
    grown.count = map->count;
    fr_free(FR_MEM_LOG, map->slots);
    *map = grown;
    return FR_OK;
}

void fr_number_map_put(fr_number_map *map, uint64_t key, uint32_t value)
{
    struct fr_number_slot *slot = &map->slots[find(map, key)];
    if (slot->value == 0) map->count++;
    *slot = (struct fr_number_slot){key, value + 1};
}

void fr_number_map_remove(fr_number_map *map, uint64_t key)
{
    if (map->slots == NULL) return;
    uint32_t hole = find(map, key);
    if (map->slots[hole].value == 0) return;
    map->count--;
    for (uint32_t at = (hole + 1) & map->mask; map->slots[at].value != 0; at = (at + 1) & map->mask) {
        uint32_t from = home(map, map->slots[at].key);
        if (((at - from) & map->mask) < ((at - hole) & map->mask)) continue; /* its home lies behind the hole */
        map->slots[hole] = map->slots[at];
        hole = at;
    }
    map->slots[hole].value = 0;
}

void fr_number_map_free(fr_number_map *map)
{
    fr_free(FR_MEM_LOG, map->slots);
    *map = (fr_number_map){.slots = NULL};
}
