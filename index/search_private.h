/* search_private.h: what the files of one query share: search.c (scans, the walk's frame), plan.c (which way to go),
 * filter_walk.c (the walk among rows that pass), flight.c (several at once). */
#ifndef FR_SEARCH_PRIVATE_H
#define FR_SEARCH_PRIVATE_H

#include "index/sieve.h"
#include "index/table_private.h"

#define FR_SCAN_BATCH 64u

typedef struct fr_run {
    const fr_table *t;
    fr_scratch *s;
    const fr_table_query *query;
    fr_search_info *info;
    fr_space space;
    uint32_t ef, rerank;
    uint32_t asked; /* the ef of the query, as of a search without a filter */
    uint32_t place; /* of the pool, counted from 1: there the k-th that passes is expected. 0: no matter */
    uint32_t found; /* in s->found */
    bool again;     /* the walk before this one found fewer than k, or its ef was no good */
    bool failed;    /* an original on disk could not be read */
    bool beyond;    /* something that passes lies beyond the radius: there is no need to look further */
    bool sieved;    /* s->sieve says something about the filter */
    bool in_cells;  /* they were looked into */
    bool cut;       /* the walk among passing rows was given up */
    bool matched;   /* s->match holds the sieve's verdicts of all rows; else a row is judged when it is met */
    bool certain;         /* what the sieve says of a row is final: no document is asked */
    bool deferred;        /* documents are asked when the nearest are known, of cells */
    float passing;        /* the share of the rows left at MAYBE whose documents pass; 0: not known */
    uint32_t bridges;     /* failing rows that a step of the filtered walk is likely to go through */
    uint64_t match_count; /* bits of s->match, or about as many */
    fr_kept *verdicts;    /* where they are */
    /* a walk under way */
    fr_walk walk;
    fr_fresh_view fresh;  /* as it was before the walk */
    uint32_t kept, taken; /* fresh rows that wait for its end, in s->expanded */
    uint32_t starts;      /* where it may begin, in the pool */
} fr_run;

bool fr_run_judge(fr_run *run, uint32_t row); /* by the document, at most once a row and query; false when not visible */
/* Does the row pass the filter? The row is visible, or its verdict is certain, or the answer is false. */
static inline bool fr_run_passes(fr_run *run, uint32_t row)
{
    if (row + 1 == run->query->except) return false;
    if (run->query->filter == NULL) return true;
    if (!run->sieved) return fr_run_judge(run, row);
    fr_verdict verdict = fr_sieve_test(run->s->sieve, row);
    return verdict == FR_VERDICT_MAYBE ? fr_run_judge(run, row) : verdict == FR_VERDICT_YES;
}
static inline bool fr_run_matches(const fr_run *run, uint32_t row) { return run->s->match[row >> 6] >> (row & 63) & 1; }

void fr_run_offer(fr_run *run, uint32_t row, float distance); /* keep the k best */
float fr_run_exact(fr_run *run, uint32_t row);
void fr_run_scan_originals(fr_run *run);
void fr_run_scan_codes(fr_run *run);
void fr_run_scan_matches(fr_run *run); /* the rows of s->match */
/* What says whether a row passes is on its way: its header and codes; then, where codes leave it open, its document. */
void fr_run_send_for(const fr_run *run, uint32_t row);
void fr_run_send_for_document(const fr_run *run, uint32_t row);
/* Rows of s->match into the pool; at most 2 * FR_SCAN_BATCH. */
void fr_run_measure(fr_run *run, const uint32_t *ids, uint32_t count, uint32_t *size);
void fr_run_take(fr_run *run, uint32_t size); /* the pool's nearest, exactly */
/* cell_scan.c */
typedef struct fr_cell_view { /* cells, as a sieve sees them */
    const fr_cells *cells;    /* NULL: there are none */
    const fr_cell_column *columns[FR_SIEVE_LEAVES_MAX]; /* one a leaf */
    uint32_t missing;                                   /* places of columns that have no copy in them, a bit each */
    uint64_t may[FR_CELLS_MAX / 64];                    /* a bit each: it may hold a row that passes */
    uint32_t may_count;
} fr_cell_view;
bool fr_run_look_at_cells(const fr_run *run, fr_cell_view *view); /* false: there are none yet, or not with copies of all columns */
/* True: they have what it takes, sketches as well if asked for, and can be scanned. Else that is wished for. */
bool fr_run_wish_cells(const fr_run *run, const fr_cell_view *view, bool sketches);
/* About how many rows pass, from a sample of cells and, where columns do not know, of documents. */
double fr_run_estimate(fr_run *run, const fr_cell_view *view);
/* cell_part.c: the share of all rows, and of those that pass, that is looked at. */
double fr_cells_part(const fr_table *t, double share, uint32_t ef);
void fr_run_scan_cells(fr_run *run, const fr_cell_view *view, double part);
void fr_run_scan_keys(fr_run *run, const fr_span *keys, uint32_t count);
void fr_run_walk(fr_run *run, bool filtered); /* the whole of it; or, without a filter, in this order: */
void fr_run_walk_seek(fr_run *run);           /* what begin reads is on its way */
void fr_run_walk_begin(fr_run *run);
void fr_run_walk_foresee(const fr_run *run); /* after the steps of run->walk: what end reads is on its way */
void fr_run_walk_end(fr_run *run);
/* plan.c */
uint32_t fr_ef_deep(const fr_run *run, uint32_t place); /* how wide a walk must be whose k-th result stands at this place */
fr_code fr_run_fit(fr_run *run, uint32_t ef, fr_err *err);
bool fr_run_scan_is_cheaper(const fr_run *run);
/* filter_walk.c: the walk among the rows that pass. False: it grew dearer than a scan of the matches. */
bool fr_run_walk_filtered(fr_run *run, uint32_t *size_out);

#endif
