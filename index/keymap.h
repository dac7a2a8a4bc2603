/* keymap.h: key bytes -> row, open addressing. One writer (the applier); readers without locks, inside an epoch.
 * A slot is one 64-bit word {hash 32 | row + 1}: readers see a whole entry or none. */
#ifndef FR_KEYMAP_H
#define FR_KEYMAP_H

#include "index/epoch.h"

typedef struct fr_keymap {
    _Atomic(struct fr_keymap_table *) table;
    uint64_t live, filled; /* filled counts tombstones too; writer only */
    uint64_t seed;
} fr_keymap;

/* Does row hold this key? */
typedef bool (*fr_keymap_same)(const void *context, uint32_t row, fr_span key);

#define FR_KEYMAP_NONE UINT32_MAX

void fr_keymap_init(fr_keymap *map, uint64_t seed);
void fr_keymap_free(fr_keymap *map);
uint32_t fr_keymap_find(const fr_keymap *map, fr_span key, fr_keymap_same same, const void *context);
bool fr_keymap_reserve(fr_keymap *map, fr_retired *retired); /* room for one more key */
bool fr_keymap_fill(fr_keymap *map, uint64_t keys, fr_retired *retired); /* room for so many keys in all, at once */
void fr_keymap_prefetch(const fr_keymap *map, fr_span key);
/* After reserve: insert a key, or point it at another row. */
void fr_keymap_set(fr_keymap *map, fr_span key, uint32_t row, fr_keymap_same same, const void *context);
/* Remove the key if it still points at row. */
void fr_keymap_remove(fr_keymap *map, fr_span key, uint32_t row);
uint64_t fr_keymap_bytes(const fr_keymap *map);

#endif
