/* number_map.h: 64-bit number -> 32-bit number, open addressing, linear probing. One owner at a time. */
#ifndef FR_NUMBER_MAP_H
#define FR_NUMBER_MAP_H

#include "api/base.h"

typedef struct fr_number_map { /* zero-initialise */
    struct fr_number_slot {
        uint64_t key;
        uint32_t value; /* + 1; 0 = empty */
    } * slots;
    uint32_t count, mask;
} fr_number_map;

#define FR_NUMBER_NONE UINT32_MAX
uint32_t fr_number_map_get(const fr_number_map *map, uint64_t key);                 /* FR_NUMBER_NONE: not there */
fr_code fr_number_map_reserve(fr_number_map *map, uint32_t more);                   /* the next `more` puts cannot fail */
void fr_number_map_put(fr_number_map *map, uint64_t key, uint32_t value);           /* adds or replaces; reserved before */
void fr_number_map_remove(fr_number_map *map, uint64_t key);
void fr_number_map_free(fr_number_map *map);

#endif
