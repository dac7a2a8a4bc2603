/* cells.h: the rows of a table in cells around pivots, for filters that few rows pass: the rows of the cells nearest to a query are
 * judged by their codes in the filter's columns, of which each cell holds a copy side by side, and only those that pass are measured.
 * Made when such filters are asked for, the copy of a column as well.
 *
 * A cell is a list of row numbers; a row that comes (applier, before it is published) is added to the cell of the nearest pivot. A slot that
 * is used again may stand in two lists: the later entry is the right one, the other a look in vain. Searchers read without a lock:
 * the count is published after the number, a list that grew is swapped and the old one retired by epoch. */
#ifndef FR_CELLS_H
#define FR_CELLS_H

#include "index/codes.h"
#include "index/column.h"
#include "index/epoch.h"
#include "index/sketch.h"

#define FR_CELLS_MAX 2048u
#define FR_CELL_ROWS 768u        /* rows of a cell, on average, when they are made */
#define FR_CELL_LEVELS 4u        /* of shares: cell_part.c */
#define FR_CELL_BINS 256u
#define FR_CELLS_FROM 50000u     /* rows of a table: smaller ones are scanned or walked */

typedef struct fr_cell {
    _Atomic(uint32_t *) rows;
    _Atomic uint32_t count;
    uint32_t capacity; /* applier */
    _Atomic(fr_sketch *) sketch; /* of the first entries; NULL: none */
} fr_cell;

/* A column's codes of a cell's entries, in their order. Entries behind `count` are younger than whoever sees it. */
typedef struct fr_cell_codes {
    _Atomic(uint8_t *) codes; /* readable up to a multiple of 64 */
    _Atomic uint32_t count;
    uint32_t capacity;      /* applier */
} fr_cell_codes;

typedef struct fr_cell_column {
    uint64_t serial;      /* of the column */
    _Atomic bool broken;  /* a code could not be added, or the column was made anew: entries are missing */
    bool wide;
    uint32_t cells, filled; /* filled: of them (applier) */
    uint32_t words;         /* of a mark */
    _Atomic uint64_t *marks; /* of each fr_code_mark the cells, a bit each, that hold or held one of its codes: `words` of them side by side */
    fr_cell_codes of[];
} fr_cell_column;

typedef struct fr_cells {
    uint64_t serial;         /* in this process */
    const fr_codeset *codes; /* they are of no use with others */
    uint32_t count, covered; /* pivots; rows below are in a list (applier) */
    uint64_t rows_then;
    uint32_t round, sampled; /* applier: of their training, and rows of the round */
    uint32_t *sums, *members; /* of the round: of each pivot's rows the codes added up, and how many */
    uint64_t entries;        /* applier */
    _Atomic bool broken;     /* a row could not be added: no memory */
    _Atomic(fr_cell_column *) columns[FR_COLUMNS_MAX]; /* of the table's column in the same place */
    fr_cell_column *filling; /* applier: will be columns[filling_at] */
    uint32_t filling_at;
    _Atomic uint32_t wished; /* places of columns that a filter wanted, a bit each */
    _Atomic bool sketches_wished;
    _Atomic uint32_t sketched; /* cells that have one */
    uint32_t measured;       /* applier: queries of the measurement below, and how often a neighbour lay so deep in the order of cells */
    uint32_t seen[FR_CELL_LEVELS][FR_CELL_BINS];
    float part[FR_CELL_LEVELS]; /* of all rows, that holds enough of the neighbours; fixed when they are published */
    int8_t *signs;           /* of their rotation */
    float *room;             /* applier */
    uint8_t *pivots;         /* padded bytes each */
    size_t pivots_size;
    int32_t *constants;
    float *halves;           /* inner products: half of each pivot's square; rows go to the pivot that is nearest in space */
    fr_cell cells[];
} fr_cells;

static inline fr_sketch *fr_cell_sketch(const fr_cell *cell) { return atomic_load_explicit(&cell->sketch, memory_order_acquire); }
static inline fr_cell_column *fr_cells_column(const fr_cells *c, uint32_t i) { return atomic_load_explicit(&c->columns[i], memory_order_acquire); }

struct fr_table;
void fr_cells_put(struct fr_table *t, uint32_t row); /* applier: the row's code is written, the row is not published */
void fr_cells_step(struct fr_table *t);              /* applier: makes them, a few thousand rows a call, once they are wished for */
bool fr_cells_wait(const struct fr_table *t);        /* there is something to do for step */
bool fr_cells_measure(const struct fr_table *t, fr_cells *cells); /* applier: a query a call; true: done (cell_part.c) */
void fr_cells_free(fr_cells *cells);
uint64_t fr_cells_bytes(const struct fr_table *t);

#endif
