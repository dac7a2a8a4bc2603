/* table.h: the row table of one shard: rows (key, birth, death, columns) shared by its vector indexes. One dense f32 field now.
 *
 * Threads
 *   applier   one thread at a time: put, remove, commit, maintain, save, load, free
 *   linker    any number: link_step (graph insertion and repair)
 *   searcher  any number, each with its own fr_scratch: search, get, count, scroll. No lock, no allocation, no system call.
 * Time: `commit` is the collection's commit number, given by the engine; rows carry birth and death as commit numbers, and the
 *   offsets of the records that made and ended them. A search takes `visible` once and sees exactly the rows with
 *   birth <= visible < death.
 * The table never touches files, clocks, sockets or the log.
 */
#ifndef FR_TABLE_H
#define FR_TABLE_H

#include "index/filter.h"
#include "index/vector_store.h"

typedef struct fr_table fr_table;
typedef struct fr_scratch fr_scratch;

#define FR_ROW_NONE UINT32_MAX
#define FR_EF_DEFAULT 96u
#define FR_VISIBLE_ALL (UINT64_MAX - 1)
#define FR_M_DEFAULT 16u
#define FR_M_COMPACT 10u

typedef struct fr_table_options {
    uint32_t dimension;
    fr_metric metric;
    fr_codes codes;
    uint32_t m;               /* 0 = FR_M_DEFAULT, or FR_M_COMPACT: a row has 2m lanes (m <= 32) */
    uint32_t ef_construction; /* 0 = 100 */
    uint64_t seed;
    fr_id_type id_type;
    bool drop_stale;
    fr_profile profile;
    fr_vectors_at vectors;
    fr_type type;             /* every vector is exact in it, and originals are kept in it; 0, VECTOR_F32: the narrowest, chunk by chunk;
                               * VECTOR_BINARY: dimension counts bits, vectors are bytes (HAMMING and JACCARD);
                               * VECTOR_SPARSE: pairs, no dimension (IP and BM25) */
    float bm25_k1, bm25_b;    /* 0 = 1.2, 0.75 */
    fr_vector_store *store;   /* where originals go on disk; NULL: they stay in memory. Borrowed until the table is freed */
    uint64_t spill_from;      /* 0 = FR_SPILL_FROM */
    uint32_t indexed_count; /* metadata fields that have a column from the start: paths as in filters */
    char indexed[FR_INDEXED_MAX][FR_INDEXED_BYTES_MAX + 1];
} fr_table_options;

fr_code fr_table_create(const fr_table_options *options, fr_table **table_out, fr_err *err);
void fr_table_free(fr_table *table); /* no other thread inside */
const fr_table_options *fr_table_settings(const fr_table *table);

/* What apply hands over. Already validated: vector has `dimension` finite floats (COSINE: not zero), or dimension / 8 bytes where the
 * type is VECTOR_BINARY; metadata passed fr_doc_check. vector NULL: a row that no search finds, but get, scan and count do. */
typedef struct fr_row_data {
    fr_span key;
    bool key_is_int;
    const void *vector;
    size_t vector_size;    /* of a sparse one: bytes; fr_vector_sparse_check passed; an empty one has a vector that is not NULL */
    fr_span metadata;      /* binary document or empty */
    int64_t source_time_ms;
    fr_span model_version;
    fr_offset offset;      /* of its record */
} fr_row_data;

typedef enum fr_put_result { FR_PUT_NEW, FR_PUT_REPLACED, FR_PUT_STALE /* dropped: older offset, or older source time under the rule */ } fr_put_result;

/* commit: all puts of one request carry the same number, greater than any published `visible`. NO_MEMORY leaves the table as it was.
 * Not visible to searches until the engine publishes visible >= commit. */
fr_code fr_table_put(fr_table *table, const fr_row_data *row, uint64_t commit, fr_put_result *result_out, fr_err *err);
fr_code fr_table_remove(fr_table *table, fr_span key, fr_offset offset, uint64_t commit, bool *existed_out);
/* The newest version's log offset, -1 when the key is not live (the compaction's keep; the writer's look-ups). Any thread. */
fr_offset fr_table_offset_of(const fr_table *table, fr_span key);

/* Background work. link_step does at most about one row's work (link one fresh row, or repair around one dead row, or sweep a
 * stretch) and says whether there may be more. budget_us is a hint. Linker threads, or the applier to help. */
bool fr_table_link_step(fr_table *table);
/* The same for the applier's own thread while linkers run: one row, or with `pieces` also 64 rows of a bulk (up to about 10 ms). About
 * how many rows' work was done; 0 = there is none. */
uint32_t fr_table_help_step(fr_table *table, bool pieces);
/* Applier: frees slots and memory that no reader can see any more; retrains codes when due. oldest_visible = the smallest
 * `visible` that a running or later search may use. Cheap when there is nothing to do. */
void fr_table_maintain(fr_table *table, uint64_t oldest_visible);
bool fr_table_columns_wait(const fr_table *table); /* columns are to be built: maintain does it, a few thousand rows a call */

typedef struct fr_table_stats {
    uint64_t live, unlinked, dead, free_slots, rows; /* rows = slots ever handed out */
    uint64_t bare; /* of live: rows without a vector */
    uint64_t bytes; /* all memory */
    uint64_t bytes_on_disk; /* originals */
    uint64_t bytes_postings; /* of sparse vectors */
    uint64_t bytes_vectors, bytes_codes, bytes_links, bytes_rows, bytes_heap, bytes_columns;
    uint32_t columns; /* metadata fields with a column */
    const char *code_kind; /* "none", "sq8", "u8", "i8", "bit" */
    const char *vector_kind; /* of the newest chunk: "u8", "i8", "f16", "bf16", "f32" */
} fr_table_stats;
/* Applier's thread only. */
void fr_table_stats_get(const fr_table *table, fr_table_stats *stats_out);

/* ---- searching ---- */
fr_code fr_scratch_create(fr_scratch **scratch_out); /* grows on demand outside the walk; one thread at a time; any table */
void fr_scratch_free(fr_scratch *scratch);
void fr_scratch_forget(fr_scratch *scratch); /* tests and benches: what is kept of filters */

typedef struct fr_table_query {
    const void *vector; /* floats, bytes or pairs: as in fr_row_data */
    size_t vector_size; /* of a sparse one */
    uint32_t k; /* >= 1; the caller adds offset */
    uint32_t ef; /* 0 = default */
    const fr_filter *filter;
    uint64_t visible;
    bool exact;
    enum { FR_PLAN_ANY, FR_PLAN_SCAN, FR_PLAN_FILTERED_WALK, FR_PLAN_WALK, FR_PLAN_CELLS } plan; /* tests and benches: this way, where it is possible */
    uint32_t except; /* row + 1 that is not there for this query; 0: none */
    bool has_low, has_high; /* on distance: low <= d < high (engine translates radius/range_filter); bounds: */
    float low, high;
    bool low_open, high_closed; /* IP/COSINE: low < d, d <= high */
} fr_table_query;

typedef struct fr_row_hit {
    uint32_t row;
    float distance; /* squared L2 | -dot | 1 - cos, exact (on originals) */
} fr_row_hit;

typedef struct fr_search_info {
    const char *plan;
    uint64_t fresh, visited, distances, reranked, filter_checked, filter_passed;
    uint32_t columns;       /* of the filter's conditions, so many are answered by columns */
    bool matches_exact;     /* matches is a count, else an estimate */
    uint64_t matches;       /* rows that pass the filter */
    double cost_scan, cost_walk; /* estimates in microseconds, of the plans that were weighed; 0 = not weighed */
} fr_search_info;

/* Between enter and leave the rows that were seen stay readable. Enter before reading `visible` from the engine. Keep it short
 * (under 10 ms): slots and memory are not reclaimed meanwhile. May not nest. */
void fr_table_enter(const fr_table *table, fr_scratch *scratch);
void fr_table_leave(const fr_table *table, fr_scratch *scratch);

/* hits: room for k; nearest first, ties by key bytes. Only between enter and leave. Always k hits when k rows match. */
fr_code fr_table_search(const fr_table *table, fr_scratch *scratch, const fr_table_query *query, fr_row_hit *hits, uint32_t *count_out,
                        fr_search_info *info, fr_err *err);
#define FR_FLIGHT_MAX 4u
#define FR_FLIGHT 2u /* lanes that serve a list of queries best */
#define FR_TABLE_LISTS 128u
/* Which of the table's lists of routers a query is nearest to, below FR_TABLE_LISTS: queries of one list walk through the same rows, and find them
 * in the cache one after the other. Between enter and leave. Cost: a part of a microsecond to a few, by the dimension. */
uint32_t fr_table_list(const fr_table *table, fr_scratch *scratch, const void *vector);
/* Several queries of one k, `lanes` of them at a time: while one waits for memory the others compute. Between enter and leave of
 * scratches[0]; one scratch a lane. hits: k a query. */
fr_code fr_table_search_many(const fr_table *table, fr_scratch *const *scratches, uint32_t lanes, const fr_table_query *queries,
                             uint32_t count, fr_row_hit *hits, uint32_t *counts_out, fr_err *err);
/* The smallest ef that reaches this recall@10 (k > 10: in proportion) with a margin, by the table's own measure: taken at the first
 * call and when a tenth of the rows has changed, in about a second for a million rows; others use the old one, or a guess,
 * meanwhile. Not between enter and leave. *measured_out: the recall measured there, 0 when it is a guess. */
fr_code fr_table_ef_for(const fr_table *table, fr_scratch *scratch, uint64_t visible, float recall, uint32_t k, uint32_t *ef_out,
                        float *measured_out, fr_err *err);
/* Recall@10 measured at this ef, with a tolerance of 1e-3 and of 1e-6; false: never measured. Any thread. */
bool fr_table_recall_measured(const fr_table *table, uint32_t ef, float *near_out, float *strict_out);
/* Key look-up at `visible`: FR_ROW_NONE when absent. */
uint32_t fr_table_find(const fr_table *table, fr_span key, uint64_t visible);
/* Which table of this process it is, never given twice; and the commit of the newest row put into it since it was made or loaded. Read behind
 * `visible`: when it is not above an older `visible`, the rows of then are the rows of now but for those that died. */
uint64_t fr_table_serial(const fr_table *table);
uint64_t fr_table_born(const fr_table *table);

typedef struct fr_row_view {
    fr_span key;
    bool key_is_int;
    fr_span metadata;
    int64_t source_time_ms;
    fr_span model_version;
    fr_offset offset;
} fr_row_view;
void fr_table_row(const fr_table *table, uint32_t row, fr_row_view *view_out); /* spans valid until leave */
bool fr_table_vector(const fr_table *table, uint32_t row, void *out);         /* as it was given (COSINE: also); false: a read failed */
bool fr_table_has_vector(const fr_table *table, uint32_t row);
fr_span fr_table_sparse(const fr_table *table, uint32_t row); /* its pairs, valid until leave; data NULL: it has none */
/* Calls each() for every row visible in slot order from *row_io on; returns false when each() did or the end was not reached,
 * with *row_io set to continue (enter/leave between stretches). at most max_rows slots are looked at. */
bool fr_table_scan(const fr_table *table, uint32_t *row_io, uint32_t max_rows, uint64_t visible,
                   bool (*each)(void *user, uint32_t row, const fr_row_view *view), void *user);

/* ---- persistence: chunk images ---- */
/* A table is saved as numbered chunks (kind << 32 | index). Chunks not changed since the last successful save are only named. */
typedef struct fr_sink {
    fr_code (*chunk)(struct fr_sink *sink, uint64_t id, const void *data, size_t size, fr_err *err); /* changed: write */
    fr_code (*keep)(struct fr_sink *sink, uint64_t id, fr_err *err); /* as in the last successful save */
    void *user;
} fr_sink;
/* save may run on the keeper's thread beside applier, linkers and searchers.
 *   save_begin  applier: fixes the moment; from now on nothing alive is reused or freed until save_end. S = the offset given.
 *   save        any one thread: writes the chunks, a state exactly "at S" once opened with load
 *   save_end    applier: ok = the manifest is on disk (dirty marks are dropped), else they are kept.
 * full: write all chunks. */
fr_code fr_table_save_begin(fr_table *table, fr_offset at, bool full, fr_err *err);
fr_code fr_table_save(fr_table *table, fr_sink *sink, fr_err *err);
void fr_table_save_end(fr_table *table, bool ok);

typedef struct fr_source {
    /* A private, writable image of chunk id, 64-byte aligned, whose bytes the engine has checked; stays valid until release is
     * called on table free. NOT_FOUND when there is none. */
    fr_code (*chunk)(struct fr_source *source, uint64_t id, void **data_out, size_t *size_out, fr_err *err);
    /* May be NULL. Where the chunk's bytes lie in the files of options.store, if they can be read there as long as the table lives. */
    bool (*place)(struct fr_source *source, uint64_t id, uint32_t *file_out, uint64_t *at_out);
    /* May be NULL. Makes the chunks first, first + 1, ... of `size` bytes each stand at `to`, private pages of the table, as images of
     * the file: as many of `count` as lie side by side there, checked. *done_out 0: none, the table copies. Any size for a single one. */
    fr_code (*over)(struct fr_source *source, uint64_t first, uint32_t count, void *to, size_t size, uint32_t *done_out, fr_err *err);
    /* May be NULL. Called once, before a search: CORRUPT where a chunk that `over` gave is damaged. A source that has it may leave
     * the check of codes, their constants and links until then, and take it beside the load. */
    fr_code (*check)(struct fr_source *source, fr_err *err);
    void *user;
} fr_source;
/* at = the offset the save was fixed at: rows made after it are dropped, rows ended after it live again. CORRUPT when chunks
 * disagree (everything read is bounds-checked). Memory of chunks is copied or kept: *keeps_source_out tells that the source's
 * memory must outlive the table. */
fr_code fr_table_load(const fr_table_options *options, fr_source *source, fr_offset at, fr_table **table_out, bool *keeps_source_out, fr_err *err);

/* After a load: the key map, scrubbed links, then pages of files that become memory, a huge page a step. False: nothing is left. Any
 * thread; link_step does it, too. Searches do not wait for it, whoever needs a key or writes does. */
bool fr_table_settle_step(fr_table *table);

/* Graph and row invariants (index/README.md, numbered). Quiescent table: no other thread. */
fr_code fr_table_check(const fr_table *table, fr_err *err);
/* Linked rows not reachable from the entry point; quiescent. */
uint64_t fr_table_unreachable(const fr_table *table);

#endif
