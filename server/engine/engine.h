/* engine.h: the inside of libfreshet: THE write path, THE apply path, recovery, snapshots, catalog. Design:
 * server/engine/README.md.
 *
 * Owners of state, by the thread that writes it: writer (numbers, rounds, barriers, event ids), syncer (durable),
 * applier (tables, catalog, applied, visible), keeper (snapshots, compaction, what nobody uses any more). Each thread
 * is a loop around a step function that never waits for another thread; tests/sim calls the steps itself. Locks: one
 * small mutex per queue, list or bell; never two at once, never across I/O or a callback.
 */
#ifndef FR_ENGINE_H
#define FR_ENGINE_H

#include "index/table.h"
#include "log/log.h"
#include "server/engine/schema.h"
#include "server/engine/topic.h"
#include "server/engine/txn.h"

#include <pthread.h>

#define FR_CATALOG_ID          1u
#define FR_FIRST_ID            16u /* below: internal topics */
#define FR_PATH_MAX            512u
#define FR_SCHEMA_VERSION      1u
#define FR_EF_CONSTRUCTION_MAX 4096u
#define FR_M_MAX               32u
/* A vector's squared length: (a - b)^2 <= 4 x this stays below FLT_MAX, so no distance is ever infinite or not a
 * number. */
#define FR_NORM_SQUARED_MAX 8e37
/* Writes accepted and not applied yet: over either, BUSY. */
#define FR_QUEUE_WRITES_MAX  16384u
#define FR_QUEUE_BYTES_MAX   (256ull << 20)
#define FR_ROUND_BYTES_MAX   (64ull << 20) /* the writer prepares at most so much while the last round is synced */
#define FR_ROUND_WRITES_MAX  4096u
#define FR_UNLINKED_MAX      16384u /* above: the applier helps linking; linkers link from 8,192 on in bulk */
#define FR_UNLINKED_FAR      24576u /* above: before it answers anything else */
#define FR_UNSEARCHED_FACTOR 8u     /* as many where nobody has searched lately: then no one pays for their scan. Fewer from 128 dimensions on */
#define FR_UNSEARCHED_US     2000000 /* lately */
#define FR_DEAD_MAX          4096u  /* the same for dead rows that wait for repair */
#define FR_ERASE_CHUNK       FR_RECORDS_MAX
#define FR_SEGMENT_BYTES     (128ull << 20)
#define FR_SEGMENT_BYTES_LEAST (16u << 10)
#define FR_INTERNAL_SEGMENT_BYTES (16ull << 20)
#define FR_COMPACT_BYTES_MIN (16ull << 20)
/* With more changed shards than this, closing snapshots only those whose replay costs more than the snapshot's five
 * syncs. */
#define FR_CLOSE_MANY      64u
#define FR_CLOSE_BYTES_MIN (256u << 10)
#define FR_ROUTE_SKIP      0xFFu

typedef struct fr_collection fr_collection;
typedef struct fr_shard fr_shard;
typedef struct fr_commit fr_commit;
typedef struct fr_map fr_map;

/* ---- bells: how threads wake each other, outside of the steps ---- */
typedef struct fr_bell {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    uint64_t rings;
} fr_bell;
void fr_bell_init(fr_bell *bell);
void fr_bell_free(fr_bell *bell);
void fr_bell_ring(fr_bell *bell);
uint64_t fr_bell_read(fr_bell *bell);
void fr_bell_wait(fr_bell *bell, uint64_t seen, int64_t timeout_ms); /* until rings != seen */

/* ---- figures.c: histograms with fixed buckets, four per doubling ---- */
#define FR_HISTOGRAM_BUCKETS 128u
typedef struct fr_histogram {
    _Atomic uint32_t buckets[2][FR_HISTOGRAM_BUCKETS]; /* this window and the one before */
    _Atomic uint32_t active;
} fr_histogram;
void fr_histogram_add(fr_histogram *histogram, int64_t us);
void fr_histogram_rotate(fr_histogram *histogram);
double fr_histogram_ms(const fr_histogram *histogram, double quantile);

/* ---- eventids.c: the idempotency window of one partition ---- */
typedef struct fr_event_id {
    uint64_t hash[2];
    int64_t offset, time_ms;
} fr_event_id;
typedef struct fr_event_ids { /* lock: everything; writer adds, keeper copies */
    pthread_mutex_t lock;
    fr_event_id *ring;
    uint32_t *slots;     /* ring position + 1; 0 = empty */
    uint64_t head, tail; /* ring positions, growing */
    uint32_t ring_size, slot_mask;
} fr_event_ids;
void fr_event_ids_init(fr_event_ids *ids);
void fr_event_ids_free(fr_event_ids *ids);
bool fr_event_ids_find(fr_event_ids *ids, fr_span id, int64_t now_ms, fr_offset *offset_out);
fr_code fr_event_ids_add(fr_event_ids *ids, fr_span id, fr_offset offset, int64_t time_ms);
void fr_event_ids_undo(fr_event_ids *ids, fr_offset from); /* forget those at or after this offset */
/* The entries up to an offset, allocated with FR_MEM_ENGINE; and back. */
fr_code fr_event_ids_copy(fr_event_ids *ids, fr_offset until, fr_event_id **out, uint32_t *count_out);
fr_code fr_event_ids_load(fr_event_ids *ids, const fr_event_id *entries, uint32_t count);

/* ---- a snapshot's manifest in memory (manifest.c) ---- */
typedef struct fr_chunk_ref {
    uint64_t id, generation, position, size;
    uint32_t crc32c;
} fr_chunk_ref;
#define FR_CHUNK_EVENT_IDS 0xFFFFFFFF00000000ull
#define FR_CHUNK_INDEX_SHIFT 56 /* of the vector field's number, above a table's own chunk id */
typedef struct fr_manifest {
    uint64_t generation;
    fr_offset at; /* S: the last offset included */
    int64_t created_ms;
    uint64_t log_records, compacted_bytes;
    uint32_t dimension; /* of the first vector field */
    uint8_t builds[FR_VECTOR_FIELDS_MAX];
    uint32_t count, capacity;
    fr_chunk_ref *chunks; /* by id */
} fr_manifest;
void fr_manifest_free(fr_manifest *manifest);
const fr_chunk_ref *fr_manifest_find(const fr_manifest *manifest, uint64_t id);
fr_code fr_manifest_write(fr_io *io, const char *dir, const fr_manifest *manifest, fr_err *err);
fr_code fr_manifest_read(fr_io *io, const char *path, fr_manifest **out, fr_err *err); /* checks everything */
/* The valid ones, newest first; *bad_out: slots that exist and are not valid. */
fr_code fr_manifest_load_all(fr_io *io, const char *dir, fr_manifest *found[2], uint32_t *count_out, uint32_t *bad_out,
                             fr_err *err);

typedef struct fr_snapshot_source { /* mapped chunk files that a table lives on */
    fr_io *io;
    uint32_t map_count;
    struct fr_snapshot_run {
        uint64_t generation, position, size;
        fr_io_map map;
    } * maps;
    fr_manifest *manifest;
    uint8_t *checked; /* of each chunk of the manifest: its checksum was right */
    struct fr_shard *shard;
} fr_snapshot_source;
void fr_snapshot_source_free(fr_snapshot_source *source);

/* ---- original vectors on disk ---- */
typedef struct fr_originals fr_originals;
fr_originals *fr_originals_create(fr_shard *shard, uint32_t index, uint8_t build); /* opens nothing yet; NULL: no memory */
fr_vector_store *fr_originals_store(fr_originals *originals);
/* A chunk file of the shard's snapshots, to read from: its number in fr_vector_read. False: read the chunk another way. */
bool fr_originals_attach(fr_originals *originals, const char *path, uint64_t generation, uint32_t *number_out);
void fr_originals_free(fr_originals *originals); /* after the table; accepts NULL; closes, removes */

/* ---- shards and collections ---- */
typedef struct fr_shard_index { /* of one vector field: its table has every row of the shard, those without its vector, too */
    _Atomic(fr_table *) table; /* NULL until the first row; the first field's is made last */
    fr_originals *originals;   /* as long as the table */
    uint8_t build;             /* applier: of the schema that the table was made by */
    struct {                   /* the table that will take its place, while it is made (reshape.c): takes every write, too */
        _Atomic(fr_table *) table; /* linkers link it; NULL: none is made */
        fr_originals *originals;
        uint32_t row; /* of the table in place: before it all is copied */
        bool copied;
        uint8_t build;
    } next;
} fr_shard_index;
typedef struct fr_retired { /* a table that was made anew: readers may be inside */
    struct fr_retired *next;
    fr_table *table;
    fr_originals *originals;
} fr_retired;

struct fr_shard {
    fr_collection *collection;
    int32_t partition;
    _Atomic(fr_log *) log;     /* NULL until the first append */
    fr_shard_index *indexes;   /* by vector field; none without rows */
    uint32_t index_count;
    _Atomic int64_t applied;   /* last offset applied; -1 */
    _Atomic int64_t snapshot;  /* last offset in the newest snapshot; -1 */
    _Atomic uint64_t skipped;  /* records that apply could not read */
    _Atomic bool links;        /* there may be work for linkers */
    fr_event_ids ids;
    _Atomic uint64_t log_records; /* records in the log, as far as known */
    _Atomic int64_t changed_ms;   /* first change since the snapshot; 0 = none */
    /* topics: NULL until the first producer with an id; DeleteRecords moved the start here */
    _Atomic(fr_producers *) producers;
    _Atomic int64_t kept_from;
    /* keeper: the producer state that is on disk reaches to here */
    fr_offset producers_saved;
    uint64_t producers_saved_bytes;
    uint32_t producers_slot;
    fr_offset cleaned_to; /* before it a plain topic's keys are there once */
    int64_t cleaned_ms, cared_ms;
    /* writer */
    bool touched;
    /* applier: transactions whose records wait aside for their marker */
    struct fr_waiting_txn {
        int64_t producer_id;
        fr_offset first;
    } * waiting;
    uint32_t waiting_count, waiting_capacity;
    uint32_t rows_since_stats;
    uint64_t help_owed; /* rows that the applier has still to link or repair */
    bool hot; /* written to, linked or swept lately: its figures change */
    void *vector_scratch;
    uint32_t vector_scratch_size; /* numbers, twice */
    /* figures of the table, by the applier for everybody: the table itself may only be asked by its owner */
    _Atomic uint64_t live, unlinked, dead, index_bytes;
    /* keeper, after recovery */
    fr_manifest *newest;
    fr_offset oldest_at; /* S of the older manifest slot; FR_NO_MANIFEST */
    uint64_t generation; /* newest used */
    bool save_full;
    _Atomic uint64_t snapshot_bytes;
    uint64_t log_bytes_at_snapshot, compacted_bytes;
    fr_snapshot_source *source;
    _Atomic bool reshaped; /* a table was made anew: the newest snapshot is of another shape */
};
#define FR_NO_MANIFEST INT64_MAX

struct fr_collection {
    fr_id id;
    struct fr_db *db;
    _Atomic uint32_t refs; /* map (until the grace period is over), tickets, commits, sweeps */
    _Atomic bool dropped;
    _Atomic(fr_schema *) schema; /* swapped by the applier */
    int64_t created_ms;
    fr_offset catalog_offset;
    _Atomic uint64_t visible; /* commit number; applier releases, searches acquire */
    _Atomic int64_t count;    /* live entities at visible */
    uint64_t commit_last;     /* writer */
    _Atomic int state;        /* fr_code: why writes are refused */
    _Atomic bool unreadable;  /* a partition is damaged: no searches */
    _Atomic bool searched;    /* set by searches, cleared by the applier ... */
    int64_t searched_us;      /* ... which notes when it saw it; 0: never */
    char state_text[192];     /* set before state */
    /* writer: the barrier of delete-by-filter */
    bool barrier;
    fr_write *parked_head, *parked_tail;
    bool letters_wanted, letters_refused; /* writer: its topic of dead letters is being made; cannot be */
    fr_collection *letters_next;
    /* waiters */
    pthread_mutex_t waiters_lock;
    fr_waiter *waiters;
    _Atomic uint32_t waiter_count;
    fr_histogram freshness;
    struct fr_collection *garbage_next;
    fr_topic_kind kind;
    uint8_t uuid[16];
    _Atomic int durability;      /* fr_durability, of limits */
    pthread_mutex_t config_lock; /* configs, limits: the applier changes them */
    fr_configs configs;
    fr_topic_limits limits;
    uint32_t shard_capacity;
    _Atomic uint32_t shard_count; /* plain topics may get more */
    fr_shard shards[];
};

/* ---- the catalog as readers see it: immutable, swapped whole ---- */
typedef struct fr_alias {
    char database[FR_NAME_BYTES_MAX + 1], name[FR_NAME_BYTES_MAX + 1];
    fr_id id;
    fr_offset catalog_offset;
} fr_alias;
/* ---- access.c: one entry per record, shared by the maps that hold it ---- */
typedef struct fr_access_entry {
    _Atomic uint32_t refs;
    fr_access body;
    char key[]; /* of its record */
} fr_access_entry;
typedef struct fr_access_map {
    _Atomic uint32_t refs;
    uint32_t count, limits;
    fr_access_entry *entries[]; /* by key */
} fr_access_map;
typedef struct fr_database {
    fr_id id;
    char name[FR_NAME_BYTES_MAX + 1];
    fr_span attributes; /* the map's or the applier's own */
    fr_offset catalog_offset;
} fr_database;
typedef struct fr_named { /* as they were when the map was made: a rename makes a new one */
    fr_collection *collection;
    const fr_schema *schema;
} fr_named;
struct fr_map {
    fr_access_map *access; /* NULL: there is nothing */
    uint64_t next_id;
    uint32_t count, alias_count, database_count;
    fr_collection **by_id;
    fr_named *by_name; /* by the topic's name */
    fr_alias *aliases; /* by database and name; copies */
    fr_database *databases; /* by name; copies */
    fr_offset next_id_offset, clock_offset;
    fr_map *garbage_next;
};
fr_collection *fr_map_by_id(const fr_map *map, fr_id id);
fr_collection *fr_map_by_topic(const fr_map *map, const char *topic);
fr_collection *fr_map_by_name(const fr_map *map, const char *database, const char *name); /* a collection; its schema may be newer */
const fr_alias *fr_map_alias(const fr_map *map, const char *database, const char *name);
const fr_database *fr_map_database(const fr_map *map, const char *name); /* not of "default" */

/* ---- commits: what a write became ---- */
typedef struct fr_erasure { /* one write behind a barrier of its collection: delete by filter, truncate, a change, events; writer */
    struct fr_erasure *next;
    fr_write *write;
    fr_collection *collection;
    fr_filter *filter; /* NULL: all */
    fr_batch batch;
    uint64_t wait_for; /* commit number to be visible before going on */
    uint32_t shard, row;
    uint32_t key_next;
    bool scanned, in_flight;  /* in_flight: the batch belongs to a commit */
    _Atomic uint32_t existed; /* applier adds */
    _Atomic int failed;       /* fr_code */
    _Atomic bool changed;     /* the catalog's record is applied */
} fr_erasure;

struct fr_commit {
    fr_commit *next;
    fr_collection *collection; /* a reference */
    fr_write *write;           /* NULL: nobody to answer (any more) */
    const fr_batch *events;    /* NULL: read it back from the log */
    fr_erasure *erasure;
    uint64_t number, bytes;
    int64_t submitted_us;
    struct fr_join *join; /* one of several commits of one write; NULL: alone */
    uint32_t existed, event_next;
    int64_t count_delta;
    bool counted;    /* holds a place in the queue limits */
    uint8_t *routes; /* partition per event, FR_ROUTE_SKIP; NULL: all to parts[0] */
    uint32_t part_count;
    fr_written parts[];
};

typedef struct fr_join { /* several commits with one end: the last of them answers */
    _Atomic uint32_t left;
    _Atomic int code;           /* the first failure */
    fr_write *write;            /* NULL: nobody */
    struct fr_txn_entry *entry; /* its Prepare record, or with `told` its markers; NULL = no */
    bool told, commits;         /* told: a transaction ends here */
    int16_t epoch;
    int64_t producer_id;
} fr_join;

typedef struct fr_commit_list {
    fr_commit *head, *tail;
    uint32_t count;
    uint64_t bytes;
} fr_commit_list;
void fr_commits_push(fr_commit_list *list, fr_commit *commit);
fr_commit *fr_commits_pop(fr_commit_list *list);

typedef struct fr_round { /* what one sync makes durable */
    fr_commit_list commits;
    struct fr_touched {
        fr_shard *shard; /* held by a commit's collection */
        fr_offset end;
        bool published; /* not to be synced */
    } * touched;
    uint32_t touched_count, touched_capacity;
    bool forced; /* ends a transaction: all of it is synced, whatever the topics ask for */
} fr_round;

/* Overlay of fr_write.opaque. */
typedef struct __attribute__((may_alias)) fr_ticket {
    fr_write *next;
    fr_collection *collection;
    fr_filter *filter;
    int64_t submitted_us;
    uint64_t bytes;
    uint64_t version; /* of the schema that it was judged by */
    uint64_t limits_version; /* BATCHES: of the topic's limits */
    fr_batch found;   /* BATCHES to a collection: its records as events, so that apply need not read them again */
    bool partial;     /* some of its events are */
} fr_ticket;
_Static_assert(sizeof(fr_ticket) <= sizeof(((fr_write *)0)->opaque), "a ticket fits in fr_write.opaque");
static inline fr_ticket *fr_ticket_of(fr_write *write) { return (fr_ticket *)(void *)write->opaque; }

typedef enum fr_role {
    FR_ROLE_WRITER,
    FR_ROLE_SYNCER,
    FR_ROLE_APPLIER,
    FR_ROLE_LINKER,
    FR_ROLE_KEEPER,
    FR_ROLE_COUNT
} fr_role;

/* ---- keeper's work ---- */
typedef enum fr_save_state {
    FR_SAVE_IDLE,
    FR_SAVE_WANTED,
    FR_SAVE_BEGUN,
    FR_SAVE_WRITTEN,
    FR_SAVE_ENDED
} fr_save_state;
typedef struct fr_sweep { /* a list of collections to snapshot and compact */
    fr_collection **list;
    uint32_t count, at, shard;
    enum { FR_SWEEP_NEXT, FR_SWEEP_SAVING, FR_SWEEP_ROLLING } phase;
    bool active, forced, compact;
    fr_id only;
    uint64_t request; /* newest request that this sweep answers */
    fr_code code;
    fr_err err;
} fr_sweep;

#define FR_PIN_STRIPES 16u

typedef struct fr_db {
    fr_io *io;
    fr_options options;
    char dir[FR_PATH_MAX];
    fr_file *lock_file;
    int64_t opened_ms;
    uint64_t memory_limit;

    /* catalog: the applier's own; readers take `map` */
    fr_collection *catalog;
    struct {
        fr_collection **collections;
        fr_alias *aliases;
        fr_database *databases;
        uint32_t count, capacity, alias_count, alias_capacity, database_count, database_capacity;
        uint64_t next_id;
        fr_offset next_id_offset, clock_offset;
        bool changed;
        fr_collection *dropped; /* to retire with the next map */
        fr_access_entry **access; /* by key */
        uint32_t access_count, access_capacity;
        bool access_changed;
        fr_schema *replaced;    /* the same */
    } names;
    struct { /* clock.c: stamps below `until` may be given */
        _Atomic uint64_t last, until;
        _Atomic bool wanted; /* the writer is to move `until` on */
        bool open;           /* recovery is over: stamps of this run */
    } clock;
    _Atomic(fr_map *) map;
    fr_collection *txn_topic; /* internal topic 2, not in the map */
    fr_txns txns;
    struct {
        _Alignas(64) _Atomic uint64_t readers[2];
    } pins[FR_PIN_STRIPES];
    _Atomic uint32_t pin_phase;

    /* intake: any thread -> writer */
    pthread_mutex_t intake_lock;
    fr_write *intake_head, *intake_tail;
    bool closed;
    _Atomic uint32_t queue_count, queue_max;
    _Atomic uint64_t queue_bytes;

    /* writer */
    fr_write *ready_head, *ready_tail; /* parked writes whose barrier is gone; before the intake */
    fr_write *ddl_head, *ddl_tail;     /* parked: one catalog change at a time */
    _Atomic bool ddl_busy;
    fr_batch ddl_batch;
    fr_erasure *erasures;
    struct { /* dead_letters.c: collections whose topic is to be made; the first one's is under way */
        fr_collection *waiting;
        bool asked;
        _Atomic bool done;
        fr_write write;
        fr_topic_change change;
        char name[FR_TOPIC_NAME_SIZE + 8];
    } letters;
    fr_batch_writer encoder;
    uint8_t *routes;
    fr_scratch *writer_scratch;
    fr_round *prepared;
    _Atomic(fr_shard *) roll; /* keeper asks, writer answers with NULL */
    _Atomic int roll_code;

    /* writer -> syncer -> applier; the first two are one thread */
    fr_round *flight;
    fr_round rounds[2];
    pthread_mutex_t apply_lock;
    fr_commit_list to_apply;
    fr_commit *stalled; /* applier: out of memory in the middle of this one */
    fr_batch_reader *apply_reader;
    fr_batch json_event; /* applier, recovery: of one JSON record */
    int64_t refreshed_us; /* applier: last look at the hot shards */

    /* applier <-> keeper */
    struct {
        _Atomic int state;
        fr_shard *shard;
        fr_offset at;
        uint64_t log_records;
        bool full, ok;
        fr_code code;
        fr_err err;
    } save;

    /* keeper */
    pthread_mutex_t keeper_lock;
    uint64_t requests, request_done;
    bool request_snapshot, request_compact;
    fr_id request_only;
    fr_code request_code;
    fr_err request_err;
    fr_sweep sweep;
    int64_t last_look_ms, last_rotate_ms;
    bool closing_many;
    pthread_mutex_t garbage_lock;
    fr_map *garbage_maps;
    fr_collection *garbage_collections;
    fr_schema *garbage_schemas;
    fr_retired *garbage_tables, *leaving_tables;
    _Atomic bool reshape; /* applier: a definition asks for another index */
    struct fr_reshape_room { /* applier: what copying rows needs */
        struct fr_scratch *scratch;
        void *vector;
        uint32_t dimension;
    } reshape_room;
    fr_map *leaving_maps; /* keeper: waiting for the grace period */
    fr_collection *leaving_collections, *left_collections;
    fr_schema *leaving_schemas;
    uint32_t leaving_phase;

    /* linkers */
    _Atomic uint32_t link_cursor;

    /* threads */
    fr_bell bells[FR_ROLE_COUNT], done_bell;
    _Atomic bool stopping;
    pthread_t *threads;
    uint32_t thread_count;

    /* state and figures */
    _Atomic int state; /* OK, DISK_FULL, READ_ONLY */
    pthread_mutex_t state_lock;
    char state_text[128];
    _Atomic uint64_t appended_records, appended_bytes, sync_rounds, sync_errors, applied_records, searches, distances,
        snapshots, snapshot_failures, snapshot_fallbacks, compactions, duplicates, dead_letters;
    _Atomic int64_t last_snapshot_time_ms;
    _Atomic uint64_t last_snapshot_us;
    fr_histogram sync_time;
    _Atomic bool intervals; /* a topic asks for durability = interval */
    int64_t flushed_ms;     /* syncer */
    double recovery_ms;
    struct fr_reserve {
        pthread_mutex_t lock;
        fr_file *file;
        uint64_t bytes;
        atomic_bool held;
        int64_t looked_us;
    } reserve;
} fr_db;
typedef struct fr_reserve fr_reserve;

/* ---- reserve.c: space that a full disk leaves for what gives space back ---- */
void fr_engine_reserve_init(fr_db *db);
void fr_engine_reserve_open(fr_db *db);
void fr_engine_reserve_close(fr_db *db);
bool fr_engine_reserve_release(fr_db *db);             /* true: there is space now that was not there before */
fr_code fr_engine_reserve_gate(fr_db *db, fr_err *err); /* before anything grows: DISK_FULL while the reserve is not held */

/* ---- db.c ---- */
bool fr_engine_step(fr_db *db, fr_role role); /* true: it did something */
void fr_engine_drain(fr_db *db);              /* no_threads: steps until nothing is left to do */
void fr_engine_wake(fr_db *db, fr_role role);
void fr_engine_step_all(fr_db *db); /* no_threads: one step of each */
/* Free everything without writing a byte: the simulation's power cut. Pending writes answer CLOSED. */
void fr_engine_abandon(fr_db *db);
uint32_t fr_engine_pin(fr_db *db);
void fr_engine_unpin(fr_db *db, uint32_t token);
fr_collection *fr_engine_collection_ref(fr_db *db, fr_id id); /* NULL: not there; unref when done */
fr_collection *fr_engine_topic_ref(fr_db *db, fr_id id);      /* the same for topics of every kind */
void fr_engine_ref(fr_collection *collection);
void fr_engine_unref(fr_collection *collection);
void fr_engine_set_state(fr_db *db, fr_code code, const char *text); /* READ_ONLY is final */
fr_code fr_engine_state_fail(fr_db *db, fr_err *err);                /* answers the state as an error */
void fr_engine_release(fr_db *db, uint64_t bytes);                   /* a place in the queue limits */

/* ---- events.c: the caller's list of events, and the record value ---- */
enum { FR_EVENT_REMOVE = 1, FR_EVENT_KEY_IS_INT = 2, FR_EVENT_PARTIAL = 4 };
#define FR_FOUND_BYTES_MAX (16u << 20) /* what a write's records take as events; a larger write is read again by apply */
typedef struct fr_stored_event {
    uint8_t flags;
    fr_span key, event_id, value;
} fr_stored_event;
/* The event at [start, end) of another batch. */
fr_code fr_engine_batch_copy(fr_batch *batch, const fr_batch *from, size_t start, size_t end, fr_err *err);
/* A record whose value is binary v1 already; value.data NULL: a delete. */
fr_code fr_engine_batch_put_value(fr_batch *batch, fr_span key, fr_span value, fr_err *err);
bool fr_engine_event_next(const fr_batch *batch, size_t *at_io,
                          fr_stored_event *event_out); /* false: end, or not well formed */

typedef struct fr_decoded {
    uint32_t schema_version;
    bool key_is_int;
    int64_t source_time_ms;
    fr_span model_version, metadata, attributes;
    uint8_t metadata_type;
    uint32_t value_count, vector_count; /* fields of the schema; of them vectors */
    fr_value vectors[FR_VECTOR_FIELDS_MAX];
} fr_decoded;
bool fr_decoded_vector(const fr_decoded *decoded, uint16_t field, fr_type *type_out, fr_span *bytes_out); /* false: none, or null */
typedef struct fr_place { /* of a record that is judged: index names it in errors; offset FR_PLACE_NEW: not written yet */
    uint32_t index, partition;
    fr_offset offset;
} fr_place;
#define FR_PLACE_NEW INT64_MAX
/* Record value binary v1. values: NULL or FR_FIELDS_MAX. INVALID: not such a value; UNSUPPORTED: JSON. */
fr_code fr_engine_decode(fr_span value, fr_decoded *out, fr_value *values, fr_err *err);
void fr_engine_record(const fr_log_record *from, fr_record *out); /* what it cannot read has no values */
/* judge.c: is this row one of the collection's? The verdict depends on the record, its place and the schema only. */
fr_code fr_engine_judge_key(const fr_collection_def *def, fr_span key, bool key_is_int, uint32_t index, fr_err *err);
fr_code fr_engine_judge(const fr_schema *schema, const fr_decoded *decoded, fr_place place, fr_err *err);
/* Of a partial record: what does not depend on the rest of it. */
fr_code fr_engine_judge_part(const fr_schema *schema, const fr_decoded *decoded, uint32_t index, fr_err *err);

#define FR_HEADER_EVENT_ID   "freshet.event_id"
#define FR_HEADER_KEY_IS_INT "freshet.key_is_int" /* tombstones: they have no fields */
#define FR_HEADER_PARTS      "freshet.parts"      /* first record of each batch of a request over several partitions */

/* ---- submit.c ---- */
fr_code fr_engine_judge_again(fr_db *db, fr_write *write, fr_err *err); /* writer: the schema is another one by now */
fr_code fr_engine_check_events(fr_db *db, const fr_schema *schema, const fr_batch *batch, fr_err *err);
fr_code fr_engine_room(const fr_db *db, fr_err *err); /* NO_MEMORY above memory_limit; deletes are not asked */
void fr_engine_finish(fr_db *db, fr_write *write, fr_code code, const fr_err *err); /* calls done() */

/* ---- writer.c, erase.c, syncer.c, applier.c, linker.c, keeper.c: the steps ---- */
bool fr_engine_writer_step(fr_db *db);
bool fr_engine_syncer_step(fr_db *db);
void fr_engine_flush(fr_db *db, bool all); /* syncer, or nobody else runs: topics with durability = interval, or all */
void fr_engine_set_durability(fr_collection *topic, fr_durability durability);
bool fr_engine_applier_step(fr_db *db);
bool fr_engine_linker_step(fr_db *db);
bool fr_engine_keeper_step(fr_db *db);
fr_code fr_engine_append(fr_db *db, fr_collection *collection, const fr_batch *batch, fr_write *write,
                         fr_commit **commit_out, fr_err *err);
/* What the encoder holds, as one batch of partition 0; the commit is not in the round yet. */
fr_code fr_engine_append_encoded(fr_db *db, fr_collection *topic, uint32_t records, fr_commit **commit_out, fr_err *err);
void fr_engine_round_add(fr_db *db, fr_commit *commit);
void fr_engine_refuse(fr_db *db, fr_commit *commit, fr_code code, const fr_err *err);
void fr_engine_commit_free(fr_db *db, fr_commit *commit);
bool fr_engine_erase_step(fr_db *db);
fr_code fr_engine_erase_begin(fr_db *db, fr_write *write);
/* partial.c: the events of e->write as whole ones, into e->batch. */
fr_code fr_engine_merge(fr_db *db, fr_erasure *e, fr_err *err);
void fr_engine_erase_end(fr_db *db, fr_erasure *erasure, fr_code code, const fr_err *err);
void fr_engine_ddl(fr_db *db, fr_write *write); /* catalog.c; writer thread */
fr_code fr_engine_ddl_append(fr_db *db, fr_write *write, fr_erasure *erasure, fr_err *err);
/* A new name: not too long, not taken, its database there. */
fr_code fr_engine_name_free(const fr_map *map, const char *database, const char *name, fr_err *err);

/* ---- apply.c ---- */
typedef enum fr_apply_mode { FR_APPLY_LIVE, FR_APPLY_REPLAY } fr_apply_mode;
typedef struct fr_apply_tally {
    uint32_t existed, rows;
    int64_t count_delta;
} fr_apply_tally;
typedef struct fr_apply_record {
    fr_offset offset;
    int64_t timestamp_ms;
    fr_span key, value, event_id; /* value.data == NULL: tombstone */
    bool judged;                  /* by fr_submit; what producers wrote is judged here, live and in replay alike */
} fr_apply_record;
/* One record into one shard: live and replay. NO_MEMORY leaves the shard as it was; what cannot be read is skipped and
 * counted. */
fr_code fr_engine_apply_record(fr_shard *shard, const fr_apply_record *record, uint64_t commit, fr_apply_mode mode,
                               fr_apply_tally *tally);
/* Whole batches as the log gives them; records outside [from, to] are left alone. */
fr_code fr_engine_apply(fr_shard *shard, const fr_view *view, fr_offset from, fr_offset to, uint64_t commit,
                        fr_apply_mode mode, fr_apply_tally *tally, fr_err *err);
fr_code fr_engine_table_options(fr_shard *shard, uint32_t index, fr_table_options *out); /* by the schema; makes the originals */
/* reshape.c: applier: a vector field's index that was ordered anew is made from the rows. */
/* apply.c: under cosine a vector without direction is found by nobody; only an index that was ordered anew meets one. */
bool fr_engine_lacks_direction(const fr_table_options *options, const void *vector);
bool fr_engine_reshape_step(fr_db *db); /* about 2 ms of it; whether there was something to do */
void fr_engine_reshape_room_free(fr_db *db);
void fr_engine_retired_free(fr_retired *list);

/* What apply makes of a producer's record: OK, or why it is skipped. NO_MEMORY is no verdict. scratch: holds the event of a JSON record
 * afterwards, else nothing. */
fr_code fr_engine_judge_produced(const fr_collection *c, const fr_json_map *map, fr_span key, fr_span value,
                                 fr_batch *scratch, fr_err *err);

/* ---- applier.c ---- */
bool fr_engine_needs_no_applier(const fr_db *db, const fr_commit *commit);
void fr_engine_publish(fr_db *db, fr_commit *commit); /* visible, applied, answered; the commit is freed. Syncer: of topics without rows only */
void fr_engine_refresh(fr_shard *shard); /* reclaims and takes the figures; applier, recovery */

/* ---- catalog.c ---- */
fr_code fr_engine_catalog_apply(fr_db *db, const fr_apply_record *record, bool live);
fr_code fr_engine_catalog_publish(fr_db *db); /* a new map, when something changed */
bool fr_engine_catalog_keep(fr_db *db, fr_span key, fr_offset offset, bool tombstone); /* under a pin */
/* collection.c. schema: taken, also on failure; NULL = an empty one. spec: NULL = a collection without configs of its own; copied. */
fr_collection *fr_engine_collection_new(fr_db *db, fr_id id, fr_schema *schema, const fr_topic_spec *spec, int64_t created_ms);
void fr_engine_collection_free(fr_collection *collection, bool remove_files);
fr_code fr_engine_shard_path(const fr_shard *shard, const char *kind, char path[FR_PATH_MAX]);
fr_code fr_engine_shard_open_log(fr_shard *shard, fr_err *err);
fr_code fr_engine_remove_dir(fr_io *io, const char *path, fr_err *err);
fr_offset fr_engine_durable(const fr_shard *shard); /* last durable offset, -1 */
/* A copy: the caller need not pin. */
const char *fr_engine_topic_name(const fr_collection *c, char out[FR_TOPIC_NAME_SIZE]);
static inline fr_schema *fr_schema_of(const fr_collection *c) { return atomic_load_explicit(&c->schema, memory_order_acquire); }
static inline fr_log *fr_shard_log(const fr_shard *s) { return atomic_load_explicit(&s->log, memory_order_acquire); }
static inline fr_table *fr_shard_table_of(const fr_shard *s, uint32_t index)
{
    return index < s->index_count ? atomic_load_explicit(&s->indexes[index].table, memory_order_acquire) : NULL;
}
/* The one that will take its place: NULL but while the index is ordered anew. */
static inline fr_table *fr_shard_next_of(const fr_shard *s, uint32_t index)
{
    return atomic_load_explicit(&s->indexes[index].next.table, memory_order_acquire);
}
static inline fr_table *fr_shard_table(const fr_shard *s) { return fr_shard_table_of(s, 0); } /* get, count, scroll */

static inline fr_producers *fr_shard_producers(const fr_shard *s)
{
    return atomic_load_explicit(&s->producers, memory_order_acquire);
}

fr_code fr_engine_document(fr_span value, fr_doc *doc_out, fr_err *err);
fr_code fr_engine_put_document(fr_batch *batch, const char *key, fr_doc_builder *b, fr_err *err);
void fr_engine_map_free(fr_map *map);

/* ---- access.c ---- */
bool fr_engine_access_is(fr_span key); /* a record of it? */
fr_code fr_engine_access_apply(fr_db *db, const fr_apply_record *record, fr_err *err);
fr_code fr_engine_access_publish(fr_db *db, const fr_map *old, fr_map *map);
void fr_engine_access_map_drop(fr_access_map *map); /* accepts NULL */
void fr_engine_access_free(fr_db *db);
bool fr_engine_access_keep(const fr_map *map, fr_span key, fr_offset offset);
fr_code fr_engine_access_valid(const fr_write *write, fr_err *err); /* any thread */
fr_code fr_engine_access_plan(fr_db *db, const fr_map *map, const fr_write *write, fr_batch *batch, fr_err *err);

/* ---- topics.c, topic_change.c ---- */
void fr_engine_limits(fr_collection *topic, fr_topic_limits *out);
fr_offset fr_engine_start(const fr_shard *shard); /* first offset that consumers may read */
fr_code fr_engine_plan_topic(fr_db *db, const fr_map *map, fr_write *write, fr_batch *batch, fr_err *err);
fr_code fr_engine_put_topic(fr_batch *batch, fr_id id, const fr_schema *schema, const fr_topic_spec *spec,
                            uint32_t partitions, int64_t created_ms, fr_err *err);
fr_code fr_engine_put_again(fr_batch *batch, const fr_collection *c, const fr_schema *schema, const fr_configs *configs,
                            uint32_t partitions, fr_err *err);
/* alter.c: what the writer plans */
fr_code fr_engine_plan_alter(fr_db *db, const fr_map *map, fr_write *write, fr_batch *batch, fr_err *err);
fr_code fr_engine_plan_database(const fr_map *map, fr_write *write, fr_batch *batch, fr_err *err);
fr_code fr_engine_put_attributed(fr_batch *batch, const char *key, fr_doc_builder *b, fr_span attributes, fr_err *err);
fr_code fr_engine_put_end(fr_batch *batch, const char *key, fr_err *err);
fr_code fr_engine_put_clock(fr_batch *batch, uint64_t until_ms, fr_err *err);
void fr_engine_clock_ask(fr_db *db);
bool fr_engine_clock_step(fr_db *db); /* clock.c; writer */
void fr_engine_clock_set(fr_db *db, uint64_t until_ms); /* it is durable */
fr_code fr_engine_first_configs(fr_write *write, fr_topic_spec *spec, fr_err *err); /* of a collection that is made */
void fr_engine_log_options(fr_shard *shard, fr_log_options *out);
fr_code fr_engine_put_start(fr_batch *batch, fr_id id, uint32_t partition, fr_offset start, fr_err *err);
fr_code fr_engine_put_next_id(fr_batch *batch, uint64_t next, fr_err *err);
void fr_engine_new_uuid(fr_db *db, uint8_t uuid[16]);

/* ---- produce.c ---- */
fr_code fr_engine_check_batches(fr_db *db, fr_collection *topic, fr_write *write, uint64_t *bytes_out, fr_err *err);
fr_code fr_engine_append_batches(fr_db *db, fr_collection *topic, fr_write *write, fr_err *err); /* adds its commits to the round */
fr_code fr_engine_append_records(fr_db *db, fr_collection *topic, fr_write *write, fr_commit **commit_out, fr_err *err);
fr_code fr_engine_check_record_list(fr_collection *topic, fr_write *write, uint64_t *bytes_out, fr_err *err);
fr_commit *fr_engine_commit_new(fr_db *db, fr_collection *c, uint32_t parts); /* room in the round is reserved */
bool fr_engine_round_reserve(fr_db *db, uint32_t parts);
void fr_engine_append_failed(fr_db *db, fr_shard *shard, fr_code code, const fr_err *err);
fr_code fr_engine_producers_of(fr_shard *shard, fr_producers **out);

/* ---- dead_letters.c: writer ---- */
bool fr_engine_letters_wait(fr_db *db, fr_write *write); /* its topic is to be made first: park the write */
bool fr_engine_letters_step(fr_db *db);
void fr_engine_letters(fr_db *db, fr_collection *c, const fr_write *write); /* after its batches were appended */
void fr_engine_letters_stop(fr_db *db);
void fr_engine_unpark(fr_db *db, fr_collection *c); /* what waited behind a barrier is next */

/* ---- producer_state.c: what a partition knows of its producers, across restarts ---- */
/* The newest state on disk that checks, then the log's batch headers behind it. */
fr_code fr_engine_load_producers(fr_shard *shard, bool has_state, fr_err *err);
fr_code fr_engine_marker(const uint8_t *batch, size_t size, fr_batch_reader **reader_io, bool *marker_out,
                         bool *commit_out, fr_err *err);
bool fr_engine_wants_producers(const fr_shard *shard, bool forced);
fr_code fr_engine_save_producers(fr_shard *shard, fr_err *err); /* keeper; BUSY: the log is not durable that far yet */

/* ---- topic_care.c: retention and compaction of logs without rows; keeper ---- */
bool fr_engine_wants_care(fr_shard *shard, int64_t now_ms);
bool fr_engine_care_needs_roll(fr_shard *shard, int64_t now_ms, bool compacting); /* the open segment may go, too */
fr_code fr_engine_care(fr_shard *shard, int64_t now_ms, bool compacting, fr_err *err);

/* ---- txn.c: the coordinator of producer ids and transactions; writer thread ---- */
fr_code fr_txns_init(fr_db *db);
void fr_txns_free(fr_db *db);
fr_code fr_txns_recover(fr_db *db, fr_err *err);
void fr_engine_txn(fr_db *db, fr_write *write);
bool fr_engine_txn_step(fr_db *db);
void fr_engine_join_done(fr_db *db, fr_join *join, fr_code code); /* any thread */
fr_code fr_engine_scan_shard(fr_shard *shard, fr_offset from, bool (*each)(void *user, const fr_scanned *record), void *user,
                             fr_err *err);
fr_reason fr_txn_check(fr_db *db, const fr_shard *shard, const fr_batch_header *header); /* may this batch be appended? */

/* ---- recover.c, snapshot.c ---- */
fr_code fr_engine_recover(fr_db *db, fr_err *err);
fr_code fr_snapshot_load(fr_shard *shard, fr_event_ids *ids,
                         fr_err *err);                              /* sets table, applied, snapshot when one is good */
fr_code fr_snapshot_write(fr_db *db, fr_shard *shard, fr_err *err); /* keeper, between save_begin and save_end */
void fr_snapshot_tidy(fr_shard *shard);                             /* removes files that no manifest names */
fr_code fr_snapshot_equalise(fr_shard *shard, fr_err *err); /* the older manifest slot says the same as the newer */
bool fr_engine_wants_snapshot(const fr_shard *shard, int64_t now_ms);

/* ---- waiters.c ---- */
void fr_engine_waiters_fire(fr_collection *collection,
                            fr_code closing); /* OK: those whose offset is reached; else all with this code */

/* ---- embed.c ---- */
fr_code fr_engine_embed_hash(fr_span text, uint32_t dimension, float *out, fr_err *err);

#endif
