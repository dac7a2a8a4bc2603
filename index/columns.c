/* columns.c: the columns of one table: kept by the applier with every row, built and rebuilt in small steps beside its work.
 * A column that is being built gets every new row at once and the old ones by and by; it is published when it has all. */
#include "index/table_private.h"

#define FILL_ROWS 16384u     /* of one step: a few milliseconds of the applier */
#define BUILD_ROWS_MIN 256u  /* smaller tables are scanned anyway */
#define BUSIEST_SHARE 64u    /* a dictionary is made anew when one gap between its values holds more than this part of the rows */

static fr_column *place(const fr_table *t, uint32_t i) { return atomic_load_explicit(&t->columns.at[i], memory_order_relaxed); }

static fr_doc metadata_of(const fr_table *t, uint32_t row)
{
    fr_blob blob;
    fr_row_blob(t, row, &blob);
    return fr_doc_root(blob.metadata);
}

fr_code fr_columns_declare(fr_table *t, fr_err *err)
{
    const fr_table_options *o = &t->options;
    for (uint32_t i = 0; i < o->indexed_count; i++) {
        fr_path *path;
        uint8_t bytes[FR_COLUMN_PATH_BYTES_MAX];
        FR_TRY(fr_path_compile(fr_span_text(o->indexed[i]), &path, err));
        uint32_t size = fr_column_path(&path->steps, bytes);
        fr_path_free(path);
        fr_wish *wish = &t->declared[i];
        wish->path_size = size;
        memcpy(wish->path, bytes, size);
    }
    return FR_OK;
}

bool fr_columns_reserve(fr_table *t, uint32_t rows)
{
    bool fine = true;
    for (uint32_t i = 0; i < FR_COLUMNS_MAX && fine; i++)
        if (place(t, i) != NULL) fine = fr_extents_reserve(&place(t, i)->codes, rows);
    if (t->columns.building != NULL && fine) fine = fr_extents_reserve(&t->columns.building->codes, rows);
    return fine;
}

static void write_row(fr_column *c, uint32_t row, fr_doc metadata)
{
    if (c == NULL || row > c->filled) return;
    fr_column_write(c, row, metadata);
    fr_column_count(c, row, true);
    if (row == c->filled) c->filled++;
}

void fr_columns_put(fr_table *t, uint32_t row, fr_span metadata)
{
    for (uint32_t i = 0; i < FR_COLUMNS_MAX; i++) write_row(place(t, i), row, fr_doc_root(metadata));
    fr_column *c = t->columns.building;
    if (c != NULL && row < c->filled) write_row(c, row, fr_doc_root(metadata)); /* later ones come with the filling */
}

void fr_columns_end(fr_table *t, uint32_t row)
{
    for (uint32_t i = 0; i < FR_COLUMNS_MAX; i++)
        if (place(t, i) != NULL) fr_column_count(place(t, i), row, false);
    fr_column *c = t->columns.building;
    if (c != NULL && row < c->filled) fr_column_count(c, row, false);
}

void fr_columns_free(fr_table *t)
{
    for (uint32_t i = 0; i < FR_COLUMNS_MAX; i++) fr_column_free(place(t, i));
    fr_column_free(t->columns.building);
}

uint64_t fr_columns_bytes(const fr_table *t)
{
    uint64_t bytes = t->columns.building != NULL ? fr_column_bytes(t->columns.building) : 0;
    for (uint32_t i = 0; i < FR_COLUMNS_MAX; i++)
        if (place(t, i) != NULL) bytes += fr_column_bytes(place(t, i));
    return bytes;
}

/* ==== building ==== */

typedef struct sample {
    const fr_table *t;
    const fr_column *column;
    uint64_t want, rows;
} sample;

static fr_doc sample_value(void *user, uint32_t i)
{
    const sample *s = user;
    uint32_t row = (uint32_t)(i * s->rows / s->want);
    if (!fr_row_alive(fr_row_at(s->t, row))) return (fr_doc){NULL};
    return fr_filter_walk(&s->column->steps, metadata_of(s->t, row));
}

static void begin(fr_table *t, const uint8_t *path, uint32_t size, bool declared, uint32_t at)
{
    uint32_t rows = atomic_load_explicit(&t->row_count, memory_order_relaxed);
    fr_column *c = fr_column_create(path, size, declared);
    if (c == NULL) return;
    sample s = {t, c, FR_MIN(rows, FR_COLUMN_SAMPLE_MAX), rows};
    if (!fr_column_train(c, sample_value, &s, (uint32_t)s.want, t->live) || !fr_extents_reserve(&c->codes, rows)) {
        fr_column_free(c); /* no memory: filters read the documents, as before */
        return;
    }
    t->columns.building = c;
    t->columns.replaces = at;
}

static void destroy_column(void *column) { fr_column_free(column); }

static void fill(fr_table *t)
{
    fr_column *c = t->columns.building;
    uint32_t rows = atomic_load_explicit(&t->row_count, memory_order_relaxed), stop = FR_MIN(rows, c->filled + FILL_ROWS);
    if (!fr_extents_reserve(&c->codes, rows)) return;
    for (; c->filled < stop; c->filled++) {
        const fr_row *r = fr_row_at(t, c->filled);
        if (atomic_load_explicit(&r->birth, memory_order_relaxed) == FR_NEVER) continue; /* a free slot */
        fr_column_write(c, c->filled, metadata_of(t, c->filled)); /* the dead ones, too: somebody may still see them */
        if (fr_row_alive(r)) fr_column_count(c, c->filled, true);
    }
    if (c->filled < rows || !fr_retired_reserve(&t->retired, 1)) return;
    c->strays = 0;
    fr_column *old = place(t, t->columns.replaces);
    atomic_store_explicit(&t->columns.at[t->columns.replaces], c, memory_order_release); /* pairs with fr_columns_find */
    t->columns.building = NULL;
    if (old != NULL) fr_retired_push_object(&t->retired, old, destroy_column);
}

/* Has the data left the dictionary? */
static bool outgrown(const fr_table *t, fr_column *c)
{
    uint64_t live = t->live, most = 0;
    if (c->trained < FR_COLUMN_SAMPLE_MAX && live >= c->trained * 4) return true;
    if (c->strays < c->trained / 2 + 4096) return false;
    c->strays = 0;
    for (uint32_t code = FR_CODE_VALUES; code < c->code_count; code++) {
        bool gap = ((code < fr_column_strings(c) ? code - FR_CODE_VALUES : code - fr_column_strings(c)) & 1) == 0;
        if (gap) most = FR_MAX(most, atomic_load_explicit(&c->counts[code], memory_order_relaxed));
    }
    return most > 1024 && most > live / BUSIEST_SHARE;
}

static uint32_t free_place(const fr_table *t)
{
    uint32_t i = 0;
    while (i < FR_COLUMNS_MAX && place(t, i) != NULL) i++;
    return i;
}

/* Where a noticed column may go: a free place, or that of one that no filter has named lately. */
static uint32_t noticed_place(fr_table *t)
{
    uint32_t noticed = 0, idle = FR_COLUMNS_MAX;
    uint64_t bytes = 2 * (uint64_t)t->row_count;
    for (uint32_t i = 0; i < FR_COLUMNS_MAX; i++) {
        if (place(t, i) == NULL || place(t, i)->declared) continue;
        noticed++;
        bytes += fr_column_bytes(place(t, i));
        if (atomic_exchange_explicit(&place(t, i)->uses, 0, memory_order_relaxed) == 0) idle = i;
    }
    if (noticed < FR_COLUMNS_NOTICED_MAX && bytes <= FR_COLUMN_NOTICED_BYTES_MAX) return free_place(t);
    return idle;
}

static void grant_wishes(fr_table *t)
{
    for (uint32_t i = 0; i < FR_WISHES_MAX; i++) {
        fr_wish *wish = &t->columns.wishes[i];
        uint32_t state = atomic_load_explicit(&wish->state, memory_order_acquire);
        if (state == 3 && fr_epoch_passed(wish->stamp)) atomic_store_explicit(&wish->state, 0, memory_order_release);
        if (state != 2 || atomic_load_explicit(&wish->uses, memory_order_relaxed) < FR_WISH_USES) continue;
        uint32_t at = fr_columns_find(&t->columns, wish->path, wish->path_size) == NULL ? noticed_place(t) : FR_COLUMNS_MAX;
        bool declared = false;
        for (uint32_t d = 0; d < t->options.indexed_count; d++)
            declared |= t->declared[d].path_size == wish->path_size && memcmp(t->declared[d].path, wish->path, wish->path_size) == 0;
        if (at < FR_COLUMNS_MAX && !declared) begin(t, wish->path, wish->path_size, false, at);
        atomic_store_explicit(&wish->state, 3, memory_order_release);
        wish->stamp = fr_epoch_stamp();
        if (t->columns.building != NULL) return;
    }
    atomic_store_explicit(&t->columns.wished, false, memory_order_relaxed);
}

static bool declared_waits(const fr_table *t)
{
    if (t->live < BUILD_ROWS_MIN) return false;
    for (uint32_t i = 0; i < t->options.indexed_count; i++)
        if (t->declared[i].path_size != 0 && fr_columns_find(&t->columns, t->declared[i].path, t->declared[i].path_size) == NULL) return true;
    return false;
}

bool fr_table_columns_wait(const fr_table *t)
{
    bool columns = t->columns.building != NULL || declared_waits(t) || atomic_load_explicit(&t->columns.wished, memory_order_relaxed);
    return columns || fr_cells_wait(t) || fr_routers_wait(t);
}

void fr_columns_step(fr_table *t)
{
    if (t->columns.building != NULL) {
        fill(t);
        return;
    }
    if (t->live < BUILD_ROWS_MIN) return;
    for (uint32_t i = 0; i < t->options.indexed_count; i++) {
        const fr_wish *wish = &t->declared[i];
        uint32_t at = free_place(t);
        if (wish->path_size == 0 || at == FR_COLUMNS_MAX || fr_columns_find(&t->columns, wish->path, wish->path_size) != NULL) continue;
        begin(t, wish->path, wish->path_size, true, at);
        return;
    }
    if (atomic_load_explicit(&t->columns.wished, memory_order_acquire)) {
        grant_wishes(t);
        return;
    }
    fr_column *c = place(t, t->columns.looks++ % FR_COLUMNS_MAX);
    if (c != NULL && outgrown(t, c)) begin(t, c->path, c->path_size, c->declared, (t->columns.looks - 1) % FR_COLUMNS_MAX);
}
