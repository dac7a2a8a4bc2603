/* sieve.h: a filter over the columns of one table: what a row's codes alone say about it. NO is certain, YES is certain,
 * MAYBE asks for the row's document. Built per query in memory of the scratch; index/FILTERS.md, section Columns. */
#ifndef FR_SIEVE_H
#define FR_SIEVE_H

#include "index/column.h"

#define FR_SIEVE_LEAVES_MAX 16u /* what a larger filter says beyond is left to the documents */
#define FR_SIEVE_NODES_MAX 48u
#define FR_SIEVE_RANGES_MAX 6u
#define FR_SIEVE_BLOCK 4096u    /* rows of fr_sieve_block */

typedef enum fr_verdict { FR_VERDICT_NO = 0, FR_VERDICT_MAYBE = 1, FR_VERDICT_YES = 2 } fr_verdict; /* AND is min, OR is max */

typedef struct fr_code_range {
    uint16_t low, high; /* both in */
    uint8_t verdict;    /* MAYBE or YES; codes in no range: NO */
} fr_code_range;

typedef struct fr_sieve_leaf {
    const fr_column *column;
    const uint8_t *table; /* verdict per code; NULL: the ranges say it */
    uint32_t range_count;
    fr_code_range ranges[FR_SIEVE_RANGES_MAX]; /* ascending, disjoint */
} fr_sieve_leaf;

typedef struct fr_sieve_node {
    enum { FR_SIEVE_AND, FR_SIEVE_OR, FR_SIEVE_LEAF, FR_SIEVE_CONST } kind;
    uint8_t first, next; /* terms; next 0 = none: node 0 is nobody's term */
    uint8_t leaf;
    uint8_t verdict;     /* CONST */
} fr_sieve_node;

typedef struct fr_sieve {
    fr_sieve_node nodes[FR_SIEVE_NODES_MAX];
    fr_sieve_leaf leaves[FR_SIEVE_LEAVES_MAX];
    uint32_t node_count, leaf_count;
    uint8_t root;
    uint8_t *tables; /* of leaves with many ranges */
    size_t tables_used, tables_size;
} fr_sieve;

/* True: the columns say something about the filter. wish: fields without a column are noted. */
bool fr_sieve_make(fr_sieve *sieve, fr_columns *columns, const fr_filter *filter, bool wish);
bool fr_sieve_certain(const fr_sieve *sieve); /* no code leaves it at MAYBE */
void fr_sieve_free(fr_sieve *sieve);
fr_verdict fr_sieve_test_node(const fr_sieve *sieve, uint8_t node, uint32_t row);
static inline fr_verdict fr_sieve_test(const fr_sieve *sieve, uint32_t row) { return fr_sieve_test_node(sieve, sieve->root, row); }
/* Bits of the rows first..first + count - 1 whose verdict is not NO; first is a multiple of 64, count at most FR_SIEVE_BLOCK. */
void fr_sieve_block(const fr_sieve *sieve, uint32_t first, uint32_t count, uint64_t *bits);
/* The same for entries of a list: codes[l] are those of leaf l's column, side by side, readable up to a multiple of 64. */
void fr_sieve_list(const fr_sieve *sieve, const void *const *codes, uint32_t count, uint64_t *bits);
/* The marks (fr_code_mark) of the codes that a leaf lets pass, a bit each. False: all of them, and nothing is written. */
bool fr_sieve_leaf_marks(const fr_sieve_leaf *leaf, uint64_t marks[FR_MARKS / 64]);
/* For 64 things at once, a bit each: may the node pass where its leaves do (a word each)? */
uint64_t fr_sieve_may_pass(const fr_sieve *sieve, uint8_t node, const uint64_t *leaves);
/* Live rows that pass: at least, at most. Exact when the filter is about one field and its dictionary holds the constants. */
void fr_sieve_count(const fr_sieve *sieve, uint64_t live, uint64_t *least_out, uint64_t *most_out);

#endif
