/* column.h: one metadata field of every row as a small number (its code), so that a filter is judged without reading
 * documents: one or two bytes a row beside the rows, in slot order. Declared at creation, or noticed when filters keep
 * naming a field. Codes divide a field's values in order; index/FILTERS.md says how.
 *
 * Threads: written by the applier before its row is published, never changed while the row may be seen; read by searchers
 * in an epoch. A published column is complete. A new dictionary is a new column, swapped whole. */
#ifndef FR_COLUMN_H
#define FR_COLUMN_H

#include "index/epoch.h"
#include "index/extent.h"
#include "index/filter_private.h"

#define FR_COLUMNS_MAX 24u           /* of one table: declared and noticed */
#define FR_COLUMNS_NOTICED_MAX 8u    /* of them noticed */
#define FR_COLUMN_PATH_BYTES_MAX 256u /* longer paths have no column */
#define FR_COLUMN_STEPS_MAX 8u
#define FR_COLUMN_STRING_BYTES_MAX 128u /* longer strings lie between the dictionary's */
#define FR_COLUMN_SAMPLE_MAX 65536u  /* rows a dictionary is made from */
#define FR_COLUMN_BOUNDS_MAX 30000u  /* values in a dictionary */
#define FR_COLUMN_NOTICED_BYTES_MAX ((uint64_t)256 << 20) /* all noticed columns of a table */

enum { /* codes below FR_CODE_VALUES; then the numbers', then the strings' */
    FR_CODE_MISSING = 0, /* or null */
    FR_CODE_NESTED = 1,  /* an array or object */
    FR_CODE_FALSE = 2,
    FR_CODE_TRUE = 3,
    FR_CODE_VALUES = 4
};

/* count values divide a class into 2 count + 1 codes: odd = exactly value i, even = between two of them. */
typedef struct fr_column {
    uint8_t path[FR_COLUMN_PATH_BYTES_MAX];
    uint32_t path_size;
    uint64_t serial; /* in this process: kept verdicts know whose they are */
    fr_step step_at[FR_COLUMN_STEPS_MAX]; /* keys lie in path */
    fr_steps steps;
    bool declared, wide; /* wide: two bytes a code */
    fr_arena arena;      /* the dictionary */
    fr_operand *numbers;
    fr_span *strings;
    uint32_t number_count, string_count, code_count;
    fr_extents codes;
    _Atomic uint32_t *counts; /* live rows per code, then per 256 codes */
    uint32_t filled;          /* rows that have a code; applier */
    uint64_t trained;         /* live rows when the dictionary was made */
    uint64_t strays;          /* rows written since that lie between its values; applier */
    _Atomic uint64_t uses;    /* filters that asked since the last look */
} fr_column;

static inline uint32_t fr_column_strings(const fr_column *c) { return FR_CODE_VALUES + 2 * c->number_count + 1; }
static inline uint32_t fr_column_code(const fr_column *c, uint32_t row)
{
    if (c->wide) return atomic_load_explicit((const _Atomic uint16_t *)fr_extent_at(&c->codes, row), memory_order_relaxed);
    return atomic_load_explicit((const _Atomic uint8_t *)fr_extent_at(&c->codes, row), memory_order_relaxed);
}

static inline uint32_t fr_code_at(const void *codes, bool wide, uint32_t i)
{
    if (wide) return atomic_load_explicit((const _Atomic uint16_t *)codes + i, memory_order_relaxed);
    return atomic_load_explicit((const _Atomic uint8_t *)codes + i, memory_order_relaxed);
}
/* A mark is a set of codes: of one byte a code's own, of two roughly (a value's own code and the one between it and its neighbour share it). */
#define FR_MARKS 256u
static inline uint32_t fr_code_mark(bool wide, uint32_t code) { return (wide ? code >> 1 : code) & (FR_MARKS - 1); }

/* The steps of a path as bytes: equal paths have equal bytes. 0: too long for a column. */
uint32_t fr_column_path(const fr_steps *steps, uint8_t out[FR_COLUMN_PATH_BYTES_MAX]);
fr_column *fr_column_create(const uint8_t *path, uint32_t size, bool declared);
void fr_column_free(fr_column *column);
/* Makes the dictionary. value(user, i): the i-th sampled value; rows: how many the table has. */
bool fr_column_train(fr_column *column, fr_doc (*value)(void *user, uint32_t i), void *user, uint32_t count, uint64_t rows);
/* A value's code; *point_out: every value of this code is equal to it. */
uint32_t fr_column_code_of(const fr_column *column, const fr_operand *value, bool *point_out);
void fr_column_write(fr_column *column, uint32_t row, fr_doc metadata); /* room was reserved */
void fr_column_count(fr_column *column, uint32_t row, bool alive);      /* the row begins or ends to live */
uint64_t fr_column_live(const fr_column *column, uint32_t low, uint32_t high); /* live rows with codes low..high */
uint64_t fr_column_bytes(const fr_column *column);

/* ---- the columns of a table ---- */
#define FR_WISHES_MAX 16u
#define FR_WISH_USES 24u /* filters that name a field before it gets a column */

typedef struct fr_wish { /* a field that filters name and that has no column */
    _Atomic uint32_t state; /* 0 free, 1 being written, 2 set, 3 free once its readers have left */
    _Atomic uint32_t uses;
    uint64_t stamp;         /* of state 3; applier */
    uint32_t path_size;
    uint8_t path[FR_COLUMN_PATH_BYTES_MAX];
} fr_wish;

typedef struct fr_columns {
    _Atomic(fr_column *) at[FR_COLUMNS_MAX]; /* published; NULL = none */
    fr_column *building;                     /* applier */
    uint32_t replaces;                       /* place that `building` will take */
    uint32_t looks;                          /* applier: of fr_columns_step */
    _Atomic bool wished;                     /* a wish has enough uses */
    fr_wish wishes[FR_WISHES_MAX];
} fr_columns;

const fr_column *fr_columns_find(const fr_columns *columns, const uint8_t *path, uint32_t size);
void fr_columns_wish(fr_columns *columns, const uint8_t *path, uint32_t size); /* searchers */

#endif
