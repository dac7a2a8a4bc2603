/* routers.h: ways into the graph: a random sample of linked rows with copies of their codes, in lists around leaders, so that the
 * nearest few are found by reading two streams. A map is immutable; the applier makes it anew when the table has changed by an eighth, and
 * the old one is retired by epoch. Its rows are hints: a slot may be another row's by now. */
#ifndef FR_ROUTERS_H
#define FR_ROUTERS_H

#include "index/codes.h"

#define FR_ROUTERS_MAX      4096u
#define FR_ROUTER_BYTES_MAX ((size_t)1 << 20) /* of codes: what a query may stream from the second cache */
#define FR_ROUTERS_PLAIN    128u  /* of a table without codes: their originals are read where they lie */
#define FR_ROUTERS_FROM     256u  /* linked rows; below, walks begin at the entry point */
#define FR_STARTS           4u    /* so many of the nearest begin a walk */

typedef struct fr_router_map {
    const fr_codeset *codes; /* whose copies these are: of no use with others */
    uint64_t rows_then, changes_then, measured_then; /* the last: the changes when growth was measured */
    _Atomic float growth;    /* of distances with rank: (rank / rank') ^ growth; 0: not known. Measured by walks from this map */
    _Atomic float longest;   /* inner products: of the rows that growth was measured on; before growth */
    uint32_t count, leaders;
    uint32_t *rows;          /* [count], list by list */
    uint32_t *from;          /* [leaders + 1] */
    int32_t *constants;      /* [leaders], then [count] */
    uint8_t *code;           /* [leaders], then [count]: padded bytes each */
    size_t code_size;
} fr_router_map;

#define FR_REACH_PLACE 10u /* distances are seen from here, or from the k-th where that is farther: who is nearer differs too much */
#define FR_REACH_MORE  2u  /* a pool has ef / so many places more than ef: as many as a hard query may keep */

struct fr_table;
void fr_reach_measure(const struct fr_table *t, fr_router_map *map, uint32_t rows); /* applier; growth 0: it cannot be told */
void fr_reach_keep(fr_router_map *map, const fr_router_map *old);                   /* what was measured with the map before */
void fr_routers_step(struct fr_table *t);             /* applier: makes the map anew when it is due */
void fr_routers_drop(struct fr_table *t);             /* applier, a place in `retired` is reserved: its codes are replaced */
bool fr_routers_wait(const struct fr_table *t);       /* it is */
void fr_router_map_free(fr_router_map *map);
uint64_t fr_routers_bytes(const struct fr_table *t);

#endif
