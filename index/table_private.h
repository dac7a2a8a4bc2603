/* table_private.h: what the files of index/ share about a table. Invariants are numbered in index/README.md. */
#ifndef FR_TABLE_PRIVATE_H
#define FR_TABLE_PRIVATE_H

#include "index/cells.h"
#include "index/codes.h"
#include "index/fresh.h"
#include "index/column.h"
#include "index/heap.h"
#include "index/kept.h"
#include "index/keymap.h"
#include "index/routers.h"
#include "index/sparse.h"
#include "index/table.h"
#include "index/vectors.h"

#include <pthread.h>

#define FR_LANES_MAX 64u
#define FR_NEVER UINT64_MAX
#define FR_CHUNK_ROWS 4096u          /* rows of a saved chunk */
#define FR_TRAIN_ROWS 256u           /* SQ8 is trained from so many rows on */
#define FR_SCAN_CODE_BYTES (384u << 10) /* up to so many code bytes a plain scan beats the walk */

typedef struct fr_row {
    _Atomic uint64_t birth, death; /* commit numbers: visible iff birth <= visible < death */
    _Atomic int64_t made;          /* log offset of its record; -1 = free slot */
    _Atomic uint64_t blob;         /* heap reference */
    _Atomic uint32_t parent;       /* in the tree (tree.c); FR_ROW_NONE: the root, or not linked */
    uint8_t zero;                  /* was the level, while there were more than one */
    _Atomic uint8_t linked;        /* fr_link_state */
} fr_row;
_Static_assert(sizeof(fr_row) == 40, "40 bytes a row");

/* What only rows with a past need; zero until then, so that a table without deletes and replaces never touches these pages. */
typedef struct fr_past {
    _Atomic int64_t ended;  /* 1 + the log offset that ended the row; 0 = alive */
    _Atomic uint32_t prev;  /* 1 + the version this row replaced; 0 = none */
    uint32_t next;          /* in one of the table's lists; list lock */
} fr_past;
_Static_assert(sizeof(fr_past) == 16, "16 bytes");

enum fr_link_state {
    FR_UNLINKED = 0,
    FR_LINKED = 1,
    FR_SKIPPED = 2, /* died before it was linked */
    FR_MENDING = 3,  /* dead, its children are being given away: adopts no more */
    FR_REPAIRED = 4, /* dead, its neighbourhood mended: links to it may be dropped */
    FR_BARE = 5      /* has no vector, or a sparse one: never in the ring or the graph */
};

typedef struct fr_list { /* rows chained by next */
    uint32_t head, tail, count;
} fr_list;

typedef struct fr_ring { /* rows that are not linked yet, in order */
    uint32_t mask;
    _Atomic uint32_t rows[]; /* FR_RING_DONE is set once linked or skipped */
} fr_ring;
#define FR_RING_DONE 0x80000000u

typedef enum fr_chunk_kind {
    FR_CHUNK_HEADER, FR_CHUNK_ROWS_OF, FR_CHUNK_LINKS, FR_CHUNK_CODES, FR_CHUNK_CST,
    FR_CHUNK_HEAP = 7, /* 5 and 6: upper levels, of versions 1 and 2 */ FR_CHUNK_VECTORS, FR_CHUNK_CODEBOOK, FR_CHUNK_FINE, FR_CHUNK_KINDS
} fr_chunk_kind;

struct fr_table {
    fr_table_options options;
    uint32_t m, lanes, ef_construction;
    /* rows */
    fr_extents rows, past, links;
    _Atomic uint32_t row_count;   /* slots handed out */
    _Atomic uint64_t live, bare;  /* bare: those of live that have no vector */
    bool past_used;               /* applier: a row has ended */
    fr_vectors vectors;
    fr_heap heap;
    fr_keymap keys;
    fr_retired retired;           /* applier */
    fr_columns columns;
    fr_posting_lists sparse;      /* VECTOR_SPARSE */
    fr_extents taken;             /* words of a bit a slot: it holds a row that was published and is not free again */
    fr_extents changes;           /* per FR_SIEVE_BLOCK rows a number that moves when one of `taken` does: kept.h */
    _Atomic(fr_cells *) cells;
    fr_cells *cells_building;     /* applier */
    uint32_t cells_from;          /* FR_CELLS_FROM; tests: fewer */
    _Atomic bool cells_wished;
    fr_wish declared[FR_INDEXED_MAX]; /* paths of options.indexed */
    bool all_i8;                  /* every vector so far */
    bool any_vector;              /* there was one */
    uint32_t retrain_failures, retrain_pause; /* applier: in a row; calls of maintain until the next attempt */
    /* codes */
    _Atomic(fr_codeset *) codes;
    float *encode_scratch;
    /* fresh rows */
    _Atomic(fr_ring *) ring;
    _Atomic uint64_t ring_low, ring_head, ring_tail;
    fr_fresh fresh;
    /* the graph */
    _Atomic uint32_t entry;       /* row + 1; 0 = empty */
    _Atomic uint32_t root;        /* of the tree: row + 1; 0 = empty */
    _Atomic uint32_t row_locks[1024 / 4];
    _Atomic(fr_router_map *) routers; /* more ways into the graph */
    uint64_t ended_ever;          /* applier: rows */
    uint64_t serial;              /* of the table in this process: copies in scratches know whose they are */
    _Atomic uint64_t born;        /* commit of the newest row */
    _Atomic uint64_t linked_ever;
    struct fr_recall *recall;     /* recall.h */
    /* lists and the sweep */
    _Atomic uint32_t list_lock, tree_lock;
    fr_list dead, pending, sweeping, swept, free;
    uint64_t sweep_stamp, swept_stamp, swept_death, sweeping_death, pending_death;
    uint32_t sweep_cursor;
    bool sweep_busy, swept_untaken; /* untaken: the bits of `taken` are cleared, swept_stamp is of after that */
    _Atomic uint32_t step_turn;
    /* bulk linking (bulk.h) */
    _Atomic uint32_t bulk_lock;
    struct fr_bulk *bulk;
    bool bulk_beginning;
    uint32_t bulk_min; /* fresh rows that make a bulk; 0: never */
    /* saving */
    _Atomic bool saving;
    fr_offset save_at;
    bool save_full;
    fr_extents dirty[FR_CHUNK_KINDS]; /* u8 per chunk: 0 clean, 1 dirty, 2 written by the running save */
    uint64_t code_generation, saved_code_generation;
    struct fr_save *save; /* persist.c: what save_begin fixed */
    /* after a load (settle.c) */
    _Atomic bool keyed;    /* key map, links and tree are whole */
    _Atomic bool settling; /* writers come through the gate */
    pthread_rwlock_t gate;
    struct fr_loaded *loaded;
};

/* Scratch of one searching or linking thread: everything the walk needs, sized before it starts. */
#define FR_CHECKED 0x80000000u /* of a candidate's row: it was expanded */
#define FR_READ_ROOM ((size_t)256 << 10) /* at least one row of FR_DIMENSION_MAX floats */
_Static_assert(FR_READ_ROOM >= 4u * FR_DIMENSION_MAX, "a row fits");

struct fr_scratch {
    uint32_t epoch_slot;
    uint64_t *visited; /* bit per row */
    uint32_t visited_rows;
    uint32_t row_limit; /* rows that existed before the codes were taken: later ones are not followed */
    uint32_t *touched; /* words of visited to clear */
    uint32_t touched_count;
    fr_candidate *pool;
    uint32_t pool_capacity;
    float *vector, *rotated, *decoded;
    int8_t *q, *q2;
    uint8_t *read_room; /* FR_READ_ROOM bytes of originals from disk */
    fr_read_ring *read_ring;
    uint32_t dimension_capacity;
    fr_row_hit *found;
    /* filters: index/plan.c */
    struct fr_sieve *sieve;
    uint64_t *match;  /* rows that the sieve lets pass; a bit each; of an entry of `kept` */
    fr_kept kept[FR_KEPT_MAX];
    uint64_t kept_clock;
    uint8_t *sieve_image;
    size_t sieve_image_room;
    uint64_t *judged; /* pairs of words: this row's document was looked at; it passed */
    uint64_t *opened; /* failing rows that the filtered walk has gone through */
    uint32_t *judged_at, *opened_at; /* words to clear */
    uint32_t judged_count, opened_count, match_rows;
    fr_postings_room *sparse;
    /* linking */
    fr_candidate *expanded;
    uint32_t expanded_count, expanded_capacity;
    struct fr_scratch *next_free;
};

static inline bool fr_table_is_sparse(const fr_table_options *o) { return o->type == FR_TYPE_VECTOR_SPARSE; }
static inline uint32_t fr_table_m(const fr_table_options *o)
{
    if (fr_table_is_sparse(o)) return 2; /* there is no graph: as few lanes as can be */
    return o->m != 0 ? o->m : o->profile == FR_PROFILE_COMPACT ? FR_M_COMPACT : FR_M_DEFAULT;
}
static inline bool fr_table_is_binary(const fr_table_options *o) { return o->type == FR_TYPE_VECTOR_BINARY; }
/* Elements of a vector as they lie in a row: numbers, or bytes of bits. */
static inline uint32_t fr_table_width(const fr_table_options *o)
{
    return fr_table_is_sparse(o) ? 1 : fr_table_is_binary(o) ? o->dimension / 8 : o->dimension;
}
/* Do originals go to the store? Without codes the walk reads them: then never. */
static inline bool fr_table_on_disk(const fr_table_options *o)
{
    return o->store != NULL && o->codes != FR_CODES_NONE && !fr_table_is_binary(o) && !fr_table_is_sparse(o) &&
           (o->vectors == FR_VECTORS_DISK || (o->vectors == FR_VECTORS_AUTO && o->profile != FR_PROFILE_SPEED));
}
static inline bool fr_table_wants_fine(const fr_table_options *o) { return fr_table_on_disk(o) && o->profile != FR_PROFILE_COMPACT; }
static inline fr_row *fr_row_at(const fr_table *t, uint32_t row) { return fr_extent_at(&t->rows, row); }
static inline fr_past *fr_past_at(const fr_table *t, uint32_t row) { return fr_extent_at(&t->past, row); }
static inline _Atomic uint32_t *fr_links_at(const fr_table *t, uint32_t row) { return fr_extent_at(&t->links, row); }
static inline fr_codeset *fr_codes_of(const fr_table *t) { return atomic_load_explicit(&t->codes, memory_order_acquire); }
static inline bool fr_row_alive(const fr_row *r) { return atomic_load_explicit(&r->death, memory_order_acquire) == FR_NEVER; }
static inline bool fr_row_visible(const fr_row *r, uint64_t visible)
{
    return atomic_load_explicit(&r->birth, memory_order_acquire) <= visible &&
           atomic_load_explicit(&r->death, memory_order_acquire) > visible;
}
static inline bool fr_row_bare(const fr_row *r) { return atomic_load_explicit(&r->linked, memory_order_relaxed) == FR_BARE; }
/* In the graph, to be linked to. */
static inline bool fr_row_linked(const fr_row *r)
{
    return fr_row_alive(r) && atomic_load_explicit(&r->linked, memory_order_acquire) == FR_LINKED;
}
/* What a search may find. A row is bare for all of its life: where it is visible, relaxed is enough. */
static inline bool fr_row_findable(const fr_row *r, uint64_t visible) { return fr_row_visible(r, visible) && !fr_row_bare(r); }
/* Mark the chunk of a row as changed, after the change. An exchange, not a test: the change must not pass the mark, or a
 * save could take the old bytes and a clean mark. */
static inline void fr_mark(fr_table *t, fr_chunk_kind kind, uint32_t row)
{
    atomic_exchange((_Atomic uint8_t *)fr_extent_at(&t->dirty[kind], row / FR_CHUNK_ROWS), 1);
}

/* A search that sees the bit, inside its epoch, may read the slot's code: it is not written until the search has left. */
static inline void fr_taken_set(fr_table *t, uint32_t row, bool taken)
{
    _Atomic uint64_t *word = fr_extent_at(&t->taken, row >> 6);
    uint64_t bit = 1ull << (row & 63), was = atomic_load_explicit(word, memory_order_relaxed);
    atomic_store_explicit(word, taken ? was | bit : was & ~bit, memory_order_release); /* the applier's alone */
    _Atomic uint64_t *number = fr_extent_at(&t->changes, row / FR_SIEVE_BLOCK);
    atomic_store_explicit(number, atomic_load_explicit(number, memory_order_relaxed) + 1, memory_order_release);
}

static inline bool fr_taken(const fr_table *t, uint32_t row)
{
    return atomic_load_explicit((const _Atomic uint64_t *)fr_extent_at(&t->taken, row >> 6), memory_order_acquire) >> (row & 63) & 1;
}

/* spin locks: held for a handful of stores; never two row locks at once; list lock innermost */
void fr_spin_lock(_Atomic uint32_t *lock);
void fr_spin_unlock(_Atomic uint32_t *lock);
static inline _Atomic uint32_t *fr_row_lock(fr_table *t, uint32_t row) { return &t->row_locks[row % (1024 / 4)]; }
uint32_t fr_table_dead(const fr_table *t); /* rows that wait for repair */
void fr_list_push(fr_table *t, fr_list *list, uint32_t row);
uint32_t fr_list_pop(fr_table *t, fr_list *list); /* FR_ROW_NONE when empty */

/* rows.c */
void fr_row_blob(const fr_table *t, uint32_t row, fr_blob *blob_out);
void fr_row_send_for(const fr_table *t, uint32_t row); /* its blob is on its way; a visible row, whose header is here */
bool fr_row_has_key(const void *table, uint32_t row, fr_span key); /* a fr_keymap_same */
bool fr_row_original(const fr_table *t, const fr_codeset *codes, uint32_t row, void *out); /* a bare row: zeros */
bool fr_table_reserve(fr_table *t, uint32_t rows);
fr_code fr_table_recode(fr_table *t, fr_code_kind kind, fr_err *err); /* new code set for all rows, published */
bool fr_ring_push(fr_table *t, uint32_t row); /* room was reserved */
bool fr_ring_reserve(fr_table *t);
void fr_ring_shrink(fr_table *t); /* applier */

void fr_row_kill(fr_table *t, uint32_t row, fr_offset offset, uint64_t commit);

/* settle.c */
void fr_gate_init(fr_table *t);
bool fr_gate_enter(fr_table *t); /* writers; true: leave again. Does not nest */
void fr_gate_leave(fr_table *t);
void fr_settle_keys(const fr_table *t); /* any thread, before the key map is used; cheap when all is whole */
void fr_loaded_free(struct fr_loaded *loaded); /* load.c */

/* distance.c: distances from a query to rows, on codes or (kind NONE) on originals */
typedef struct fr_space {
    const fr_table *table;
    const fr_codeset *codes;
    fr_code_query code_query;
    const void *vector; /* the query as given; NULL when the query is a row of coded kind */
    const fr_kernel *mixed[FR_SCALAR_BIT];
} fr_space;
void fr_space_of_vector(fr_space *space, const fr_table *t, const fr_codeset *codes, const void *vector, int8_t *q, float *rotated);
void fr_space_of_row(fr_space *space, const fr_table *t, const fr_codeset *codes, uint32_t row, int8_t *q, float *vector_room, float *rotated);
void fr_space_distances(const fr_space *space, const uint32_t *ids, uint32_t count, float *out);
float fr_space_exact(const fr_space *space, uint32_t row, float *decoded); /* on originals; space->vector is set; NAN: read failed */
/* The same for many, into their distances. False: a read failed. */
bool fr_space_exact_many(const fr_space *space, fr_scratch *s, fr_candidate *candidates, uint32_t count);
/* How many of the first (they are sorted) must be compared exactly to find k. Second-level codes, where there are any, order them anew. */
uint32_t fr_fine_refine(const fr_space *space, fr_scratch *s, fr_candidate *candidates, uint32_t count, uint32_t k);
/* On codes: whoever is farther than this is not among the k nearest, when the k-th is at this distance. INFINITY: codes cannot tell. */
float fr_fine_limit(const fr_space *space, float kth);
void fr_space_exact_touch(const fr_space *space, uint32_t row); /* what exact distances read of memory is on its way */
/* Prefetch a code row: a few lines are enough, the hardware streams the rest of a long one. */
static inline const uint8_t *fr_code_touch(const fr_codeset *codes, uint32_t row, bool constant)
{
    if (codes->kind == FR_CODE_NONE) return NULL;
    const uint8_t *at = fr_extent_at(&codes->code, row);
    __builtin_prefetch(at);
    __builtin_prefetch(at + 64);
    if (codes->padded > 128) __builtin_prefetch(at + 128), __builtin_prefetch(at + 192);
    if (constant) __builtin_prefetch(fr_extent_at(&codes->cst, row));
    return at;
}
static inline const uint8_t *fr_space_touch(const fr_codeset *codes, uint32_t row)
{
    return fr_code_touch(codes, row, fr_codeset_constant_read(codes));
}
static inline void fr_links_prefetch(const fr_table *t, uint32_t row)
{
    const char *at = (const char *)fr_links_at(t, row);
    __builtin_prefetch(at);
    if (t->lanes > 16) __builtin_prefetch(at + 64);
}

/* columns.c */
fr_code fr_columns_declare(fr_table *t, fr_err *err);
bool fr_columns_reserve(fr_table *t, uint32_t rows);
void fr_columns_put(fr_table *t, uint32_t row, fr_span metadata); /* before the row is published */
void fr_columns_end(fr_table *t, uint32_t row);
void fr_columns_step(fr_table *t); /* applier */
void fr_columns_free(fr_table *t);
uint64_t fr_columns_bytes(const fr_table *t);

/* scratch.c */
bool fr_scratch_fit_filter(fr_scratch *s); /* after fr_scratch_fit */
/* Call before taking the codes: it fixes row_limit, and every row below it is encoded in the codes taken afterwards. */
bool fr_scratch_fit(fr_scratch *s, const fr_table *t, uint32_t ef);
fr_scratch *fr_scratch_borrow(void); /* for linking threads */
void fr_scratch_return(fr_scratch *s);
static inline bool fr_visit(fr_scratch *s, uint32_t row) /* true: first time */
{
    uint64_t *word = &s->visited[row >> 6], bit = 1ull << (row & 63);
    if (*word & bit) return false;
    if (*word == 0) s->touched[s->touched_count++] = row >> 6; /* never more words than rows / 64: capacity fits */
    *word |= bit;
    return true;
}
void fr_visited_clear(fr_scratch *s);

/* walk.c */
/* Fills the pool with where a walk begins: the nearest routers or, without any, the entry point; marks them visited. In two steps (`size` goes
 * from one to the other), between which what the second one reads is on its way; or both. */
uint32_t fr_walk_seek(const fr_table *t, fr_scratch *s, const fr_space *space, uint32_t ef);
uint32_t fr_walk_enter(const fr_table *t, fr_scratch *s, const fr_space *space, uint32_t size, uint64_t *distances);
uint32_t fr_walk_start(const fr_table *t, fr_scratch *s, const fr_space *space, uint32_t ef, uint64_t *distances);
/* routers.c: about the `starts` nearest linked routers, at most FR_STARTS, into the pool; count. 0: there is no map, or all of them went. */
uint32_t fr_routers_nearest(const fr_table *t, const fr_scratch *s, const fr_space *space, uint32_t starts);
uint32_t fr_routers_seek(const fr_table *t, const fr_scratch *s, const fr_space *space, uint32_t starts); /* the same in two steps */
uint32_t fr_routers_keep(const fr_table *t, const fr_scratch *s, const fr_space *space, uint32_t size);
/* A walk, hop by hop, so that several can be in flight on one thread: expand reads the lanes of the nearest
 * candidate that was not expanded and prefetches its new neighbours (false: there is none left), weigh takes them in. */
typedef struct fr_walk {
    const fr_table *table;
    fr_scratch *scratch;
    const fr_space *space;
    uint32_t size, ef, next, count; /* count: neighbours that wait for weigh */
    uint32_t place;    /* the walk ends beyond (1 + reach) x the distance at this place, blur added to both; */
    float reach, blur; /* UINT32_MAX: at the pool's end */
    float keep;        /* neighbours beyond so many times the reach do not enter the pool: 1, or more where it may have to look farther later */
    bool record;                           /* keep what was expanded, in scratch->expanded */
    uint64_t hops, distances;
    uint32_t (*merge)(fr_candidate *, uint32_t, uint32_t, float, const float *, const uint32_t *, uint32_t, uint32_t *); /* of fr_simd_pool */
    uint32_t ids[FR_LANES_MAX];
    const uint8_t *rows[FR_LANES_MAX];
} fr_walk;
void fr_walk_begin(fr_walk *w, const fr_table *t, fr_scratch *s, const fr_space *space, uint32_t size, uint32_t ef);
/* reach.c: ends it by the distance at a place (counted from 1) of the pool, which has fr_reach_room(ef) entries. False, and left as it is, where
 * the table has not measured how distances grow. */
bool fr_walk_reach(fr_walk *w, uint32_t place, uint32_t ef);
bool fr_reach_known(const fr_table *t, const fr_space *space); /* it has */
uint32_t fr_reach_room(uint32_t ef);
bool fr_walk_expand(fr_walk *w);
bool fr_walk_next(fr_walk *w); /* what expand will read is on its way; false: there is nothing left to expand */
void fr_walk_weigh(fr_walk *w);
uint32_t fr_walk_end(fr_walk *w, uint64_t *hops, uint64_t *distances); /* size of the pool */
/* Expands the pool (size entries, sorted, visited) to the ef nearest. record: keeps what was expanded. */
uint32_t fr_walk_whole(const fr_table *t, fr_scratch *s, const fr_space *space, uint32_t size, uint32_t ef, bool record,
                       uint64_t *hops, uint64_t *distances);
/* The entry point and its distance; FR_ROW_NONE: nothing is linked yet. */
uint32_t fr_walk_entry(const fr_table *t, const fr_scratch *s, const fr_space *space, float *distance_out);
bool fr_leads_to(const fr_table *t, uint32_t row, uint32_t to);
uint32_t fr_row_lanes(const fr_table *t, uint32_t row, uint32_t *ids);

/* choose.c, link.c, repair.c */
void fr_link_row(fr_table *t, fr_scratch *s, uint32_t row);
/* Under the row's lock. */
void fr_store_lanes(fr_table *t, uint32_t row, const uint32_t *ids, uint32_t count);
uint32_t fr_keep_alive(const fr_table *t, fr_candidate *pool, uint32_t size); /* the rest is dropped; count */
void fr_ring_finish(fr_table *t, uint64_t place, uint32_t count); /* linked or skipped: out of the fresh scan */
/* tree.c */
static inline bool fr_tree_link(const fr_table *t, uint32_t a, uint32_t b)
{
    return atomic_load_explicit(&fr_row_at(t, a)->parent, memory_order_relaxed) == b ||
           atomic_load_explicit(&fr_row_at(t, b)->parent, memory_order_relaxed) == a;
}
bool fr_tree_adopt(fr_table *t, fr_scratch *s, const fr_codeset *codes, uint32_t parent, uint32_t child);
void fr_tree_adopt_below(fr_table *t, fr_scratch *s, const fr_codeset *codes, uint32_t ancestor, uint32_t child);
void fr_tree_settle(fr_table *t, fr_scratch *s, const fr_codeset *codes, uint32_t row); /* a linked row without a parent */
void fr_tree_bury(fr_table *t, fr_scratch *s, const fr_codeset *codes, uint32_t dead);
void fr_repair_row(fr_table *t, fr_scratch *s, uint32_t row);
bool fr_sweep_step(fr_table *t);
/* Choose up to `max` diverse neighbours of `owner` out of candidates sorted by distance; its tree links always stay. */
uint32_t fr_select(const fr_table *t, fr_scratch *s, const fr_codeset *codes, uint32_t owner, const fr_candidate *candidates, uint32_t count,
                   uint32_t max, uint32_t *chosen);
void fr_link_back(fr_table *t, fr_scratch *s, const fr_codeset *codes, uint32_t row, uint32_t to);
bool fr_force_lane(fr_table *t, uint32_t row, uint32_t to); /* at the cost of a lane that is no tree link */
void fr_add_lane(fr_table *t, fr_scratch *s, const fr_codeset *codes, uint32_t row, uint32_t to); /* under the row's lock */
bool fr_unlink_lane(fr_table *t, uint32_t row, uint32_t to); /* true: it was there */
void fr_sort_candidates(fr_candidate *candidates, uint32_t count);

#endif
