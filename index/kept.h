/* kept.h: the verdicts of filters that come again, kept in a scratch: a bit a row, judged anew only for blocks of rows that were written
 * since; and which entries of which cell pass (cells.h).
 *
 * Why it is right. The key is all that the bits depend on: the table, the sieve, the serials of its columns. The applier moves a block's
 * number (table.changes) after it wrote codes and before it publishes the row, and when a slot is about to be free; a search reads
 * the number, inside its epoch, before the codes. So bits of an unmoved number are what it would have computed itself. */
#ifndef FR_KEPT_H
#define FR_KEPT_H

#include "index/sieve.h"

#define FR_KEPT_MAX 8u                       /* filters of a scratch */
#define FR_KEPT_BYTES_MAX ((size_t)8 << 20)  /* bits of all of them; one filter is always kept */
#define FR_KEPT_IMAGE_MAX ((size_t)128 << 10) /* a larger sieve (long lists over wide columns) is judged each time */

/* The entries of a cell whose codes pass. An entry's code never changes: what was found stays right, later entries are judged behind it. */
typedef struct fr_kept_cell {
    uint32_t at, count; /* in ids */
    uint32_t upto;      /* entries of the cell that were judged; 0: none */
} fr_kept_cell;

typedef struct fr_kept {
    uint64_t table, used; /* serial, 0: holds nothing; the scratch's clock when it was used last */
    uint8_t *image;       /* the sieve */
    size_t image_size, image_room;
    uint64_t *match, *seen; /* a bit a row; per block its number + 1, 0: not judged */
    uint32_t *counts;       /* bits per block */
    uint32_t rows;          /* there is room for */
    uint32_t limit;         /* rows that were judged; a block across it is whole no more when there are more */
    uint64_t count;         /* bits, at its last use */
    bool judged;            /* count is of an earlier query */
    uint32_t uses;          /* queries that brought the filter, this one included: lists are kept from the second on */
    uint64_t cells;         /* serial; 0: none */
    fr_kept_cell *of;
    uint32_t *ids;
    uint32_t of_room, ids_room, ids_used;
} fr_kept;

struct fr_table;
struct fr_scratch;
/* The sieve's entry, or an empty one in the place of the one used longest ago. NULL: no memory. */
fr_kept *fr_kept_of(struct fr_scratch *s, const struct fr_table *t, const fr_sieve *sieve);
/* Brings the bits up to date, for rows below s->row_limit. */
void fr_kept_match(fr_kept *kept, const struct fr_table *t, const struct fr_scratch *s, const fr_sieve *sieve);
/* Readies the lists of cells; matches: about how many rows pass. False: no memory, or too many to be worth it. */
bool fr_kept_fit_cells(fr_kept *kept, uint64_t cells, uint32_t count, uint64_t matches);
void fr_kept_free(fr_kept *kept);

#endif
