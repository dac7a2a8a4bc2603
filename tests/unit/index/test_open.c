/* Opening: searches on a table that has not settled yet, writers and searchers while it settles, images of version 1, damaged
 * trees and keys, damaged files. */
#include "tests/unit/index/table_store.h"

#include "api/freshet.h"
#include "index/persist.h"

#include <pthread.h>
#include <unistd.h>

#define ROWS 13000u /* links of 64 lanes and codes of 256 bytes: chunks 1 and 2 lie in extents of 2 MiB */
#define D    256u

static const fr_table_options options = {.dimension = D, .metric = FR_METRIC_L2, .m = 32, .ef_construction = 40, .seed = 5};
static uint32_t mapped;

/* Chunks of memory_store, as if they lay side by side in a file. */
static fr_code store_over(fr_source *source, uint64_t first, uint32_t count, void *to, size_t size, uint32_t *done_out, fr_err *err)
{
    *done_out = 0;
    for (uint32_t i = 0; i < count; i++) {
        void *data;
        size_t has;
        if (store_get(source, first + i, &data, &has, err) != FR_OK || has != size) break;
        memcpy((uint8_t *)to + i * size, data, size);
        ++*done_out;
    }
    mapped += *done_out;
    return FR_OK;
}

static fr_table *open_over(memory_store *store)
{
    fr_source source = {.chunk = store_get, .over = store_over, .user = store};
    fr_table *t = NULL;
    bool keeps;
    mapped = 0;
    assert_int_equal(fr_table_load(&options, &source, ROWS - 1, &t, &keeps, NULL), FR_OK);
    assert_true(mapped >= 2);
    return t;
}

typedef struct fixture {
    model *model;
    memory_store *store;
    fr_scratch *scratch;
} fixture;

/* Whole numbers of six degrees of freedom: among uniform ones of 256 every neighbour is worth a link, and linking takes minutes under TSan. */
static void place(rng *r, float *v)
{
    int32_t along[6];
    for (uint32_t k = 0; k < FR_COUNT_OF(along); k++) along[k] = (int32_t)rng_below(r, 41) - 20;
    for (uint32_t j = 0; j < D; j++) {
        int32_t sum = 128;
        for (uint32_t k = 0; k < FR_COUNT_OF(along); k++) sum += fr_mix64(j) >> k & 1 ? along[k] : -along[k];
        v[j] = (float)sum;
    }
}

static int build(void **state)
{
    fixture *f = fr_zalloc(FR_MEM_TEST, sizeof *f);
    fr_table *t;
    rng r = {11};
    f->model = model_create(D);
    f->store = fr_zalloc(FR_MEM_TEST, sizeof *f->store);
    assert_int_equal(fr_scratch_create(&f->scratch), FR_OK);
    assert_int_equal(fr_table_create(&options, &t, NULL), FR_OK);
    for (uint32_t key = 0; key < ROWS; key++) {
        place(&r, model_vector(f->model, key));
        assert_int_equal(table_put(t, f->model, key, key, key + 1), FR_OK);
    }
    while (fr_table_link_step(t)) {}
    assert_int_equal(save_table(t, f->store, ROWS - 1, true), FR_OK);
    fr_table_free(t);
    *state = f;
    return 0;
}

static int clear(void **state)
{
    fixture *f = *state;
    store_clear(f->store);
    fr_free(FR_MEM_TEST, f->store);
    fr_scratch_free(f->scratch);
    model_free(f->model);
    fr_free(FR_MEM_TEST, f);
    return 0;
}

static void finds_itself(const fixture *f, const fr_table *t, uint32_t key)
{
    fr_row_hit hit;
    uint32_t count;
    fr_table_query q = {.vector = model_vector(f->model, key), .k = 1, .visible = FR_VISIBLE_ALL};
    fr_table_enter(t, f->scratch);
    assert_int_equal(fr_table_search(t, f->scratch, &q, &hit, &count, NULL, NULL), FR_OK);
    assert_int_equal(count, 1);
    assert_int_equal(hit.distance, 0);
    fr_table_leave(t, f->scratch);
}

static void check_whole(fr_table *t)
{
    fr_err err = {0};
    while (fr_table_settle_step(t)) {}
    fr_code code = fr_table_check(t, &err);
    if (code != FR_OK) print_error("%s\n", err.text);
    assert_int_equal(code, FR_OK);
    assert_int_equal(fr_table_unreachable(t), 0);
}

static void searches_come_first(void **state)
{
    fixture *f = *state;
    fr_table *t = open_over(f->store);
    char room[24];
    for (uint32_t key = 0; key < ROWS; key += 397) finds_itself(f, t, key);
    assert_false(atomic_load(&t->keyed)); /* none of it waited for the key map */
    assert_int_not_equal(fr_table_find(t, key_span(ROWS - 1, room), FR_VISIBLE_ALL), FR_ROW_NONE);
    assert_true(atomic_load(&t->keyed) && atomic_load(&t->settling));
    for (uint32_t i = 0; i < 2; i++) assert_true(fr_table_settle_step(t)); /* codes and links, a huge page each at least */
    for (uint32_t key = 0; key < ROWS; key += 397) finds_itself(f, t, key);
    check_whole(t);
    assert_false(atomic_load(&t->settling));
    for (uint32_t key = 0; key < ROWS; key += 397) finds_itself(f, t, key);
    fr_table_free(t);
}

typedef struct beside {
    const fixture *fixture;
    fr_table *table;
    _Atomic bool stop;
} beside;

static void *search_beside(void *argument)
{
    beside *b = argument;
    for (uint32_t key = 0; !atomic_load(&b->stop); key = (key + 797) % 10000) finds_itself(b->fixture, b->table, key);
    return NULL;
}

static void *settle_beside(void *argument)
{
    beside *b = argument;
    while (!atomic_load(&b->stop)) fr_table_link_step(b->table);
    return NULL;
}

/* Keys from 10,000 on change while the table settles; a save in the middle must hold what is there then. */
static void writers_while_it_settles(void **state)
{
    fixture *f = *state;
    beside b = {.fixture = f, .table = open_over(f->store)};
    memory_store *later = fr_zalloc(FR_MEM_TEST, sizeof *later);
    model *m = model_create(D);
    memcpy(m->vectors, f->model->vectors, (size_t)MODEL_KEYS * D * sizeof(float));
    memcpy(m->live, f->model->live, sizeof m->live);
    m->live_count = f->model->live_count;
    pthread_t searcher, settler;
    assert_int_equal(pthread_create(&searcher, NULL, search_beside, &b), 0);
    assert_int_equal(pthread_create(&settler, NULL, settle_beside, &b), 0);
    rng r = {23};
    fr_offset offset = ROWS;
    for (uint32_t i = 0; i < 1200; i++, offset++) {
        uint32_t key = 10000 + rng_below(&r, 3500);
        if (i % 3 == 0) {
            table_remove(b.table, m, key, offset, (uint64_t)offset);
        } else {
            place(&r, model_vector(m, key));
            assert_int_equal(table_put(b.table, m, key, offset, (uint64_t)offset), FR_OK);
        }
        if (i % 64 == 0) fr_table_maintain(b.table, 0);
        if (i == 600) assert_int_equal(save_table(b.table, later, offset, true), FR_OK);
    }
    atomic_store(&b.stop, true);
    pthread_join(searcher, NULL);
    pthread_join(settler, NULL);
    while (fr_table_link_step(b.table)) {}
    check_whole(b.table);
    for (uint32_t key = 10000; key < 13500; key++) {
        char room[24];
        assert_int_equal(fr_table_find(b.table, key_span(key, room), FR_VISIBLE_ALL) != FR_ROW_NONE, m->live[key]);
    }
    fr_table *again = load_table(&options, later, ROWS + 600);
    check_whole(again);
    fr_table_free(again);
    fr_table_free(b.table);
    store_clear(later);
    fr_free(FR_MEM_TEST, later);
    model_free(m);
}

static uint8_t *chunk_of(memory_store *store, fr_chunk_kind kind, uint32_t index)
{
    uint32_t i = store_find(store, fr_chunk_id(kind, index));
    assert_true(i < store->count);
    return store->chunks[i].data;
}

static void version_1_is_read(void **state)
{
    fixture *f = *state;
    static const uint32_t rows_of_nothing[64] = {0xffffffff, 7};
    memory_store *old = fr_zalloc(FR_MEM_TEST, sizeof *old);
    fr_sink sink = {.chunk = store_chunk, .user = old};
    for (uint32_t i = 0; i < f->store->count; i++) {
        if (f->store->chunks[i].id >> 32 != FR_CHUNK_ROWS_OF) {
            assert_int_equal(store_chunk(&sink, f->store->chunks[i].id, f->store->chunks[i].data, f->store->chunks[i].size, NULL), FR_OK);
            continue;
        }
        fr_chunk_row_1 rows[FR_CHUNK_ROWS] = {0};
        size_t count = f->store->chunks[i].size / sizeof(fr_row);
        const fr_row *from = f->store->chunks[i].data;
        for (size_t j = 0; j < count; j++)
            rows[j] = (fr_chunk_row_1){.made = from[j].made, .ended = from[j].death == FR_NEVER ? -1 : (int64_t)from[j].death, .blob = from[j].blob,
                                       .level = j % 7 == 0, .linked = from[j].linked, .parent = from[j].parent};
        assert_int_equal(store_chunk(&sink, f->store->chunks[i].id, rows, count * sizeof *rows, NULL), FR_OK);
    }
    /* upper levels, which that version had: an entry point of one, and two kinds of chunks */
    fr_chunk_header *header = (fr_chunk_header *)(void *)chunk_of(old, FR_CHUNK_HEADER, 0);
    header->version = 1;
    header->zero = 3;
    header->entry |= 2ull << 32;
    assert_int_equal(store_chunk(&sink, fr_chunk_id((fr_chunk_kind)5, 0), rows_of_nothing, sizeof rows_of_nothing, NULL), FR_OK);
    assert_int_equal(store_chunk(&sink, fr_chunk_id((fr_chunk_kind)6, 0), rows_of_nothing, sizeof rows_of_nothing, NULL), FR_OK);
    fr_table *t = load_table(&options, old, ROWS - 1);
    finds_itself(f, t, 77);
    check_whole(t);
    /* the next snapshot is of one version throughout: all rows are written again */
    for (uint32_t i = 0; i < old->count; i++)
        if (old->chunks[i].id >> 32 == FR_CHUNK_ROWS_OF) old->chunks[i].size = 0;
    assert_int_equal(save_table(t, old, ROWS - 1, false), FR_OK);
    fr_table_free(t);
    t = load_table(&options, old, ROWS - 1);
    check_whole(t);
    fr_table_free(t);
    store_clear(old);
    fr_free(FR_MEM_TEST, old);
}

/* Parents in a circle, parents that are not there, lanes beyond the table: harmless before it has settled, mended after. */
static void bad_links_are_mended(void **state)
{
    fixture *f = *state;
    fr_row *rows = (fr_row *)(void *)chunk_of(f->store, FR_CHUNK_ROWS_OF, 1);
    _Atomic uint32_t *lanes = (_Atomic uint32_t *)(void *)chunk_of(f->store, FR_CHUNK_LINKS, 1);
    uint32_t lanes_kept[64], kept[3] = {rows[10].parent, rows[20].parent, rows[30].parent}, neighbour = lanes[0] - 1;
    memcpy(lanes_kept, (void *)lanes, sizeof lanes_kept);
    for (uint32_t i = 0; i < 32; i++) lanes[i] = 0x40000000u + i; /* no such row */
    rows[10].parent = 12345678;
    rows[20].parent = FR_ROW_NONE;
    rows[30].parent = lanes[64 * 30] - 1; /* a neighbour, perhaps a child of it */
    fr_table *t = open_over(f->store);
    for (uint32_t key = 4000; key < 4200; key++) finds_itself(f, t, key);
    finds_itself(f, t, neighbour);
    check_whole(t);
    fr_table_free(t);
    rows[10].parent = kept[0];
    rows[20].parent = kept[1];
    rows[30].parent = kept[2];
    memcpy((void *)lanes, lanes_kept, sizeof lanes_kept);
    /* a real circle: child and parent, each the other's */
    uint32_t child = FR_CHUNK_ROWS + 40, parent = rows[40].parent;
    if (parent / FR_CHUNK_ROWS == 1) {
        uint32_t was = rows[parent - FR_CHUNK_ROWS].parent;
        rows[parent - FR_CHUNK_ROWS].parent = child;
        t = open_over(f->store);
        check_whole(t);
        fr_table_free(t);
        rows[parent - FR_CHUNK_ROWS].parent = was;
    }
}

static void the_newer_of_two_rows_holds_the_key(void **state)
{
    fixture *f = *state;
    fr_row *rows = (fr_row *)(void *)chunk_of(f->store, FR_CHUNK_ROWS_OF, 1);
    fr_blob a, b;
    uint8_t *first = chunk_of(f->store, FR_CHUNK_HEAP, (uint32_t)(rows[5].blob >> 32)) + (uint32_t)rows[5].blob;
    uint8_t *second = chunk_of(f->store, FR_CHUNK_HEAP, (uint32_t)(rows[9].blob >> 32)) + (uint32_t)rows[9].blob;
    fr_blob_read(first, &a);
    fr_blob_read(second, &b);
    uint8_t kept[24];
    assert_true(a.key.size == b.key.size && a.key.size < sizeof kept);
    memcpy(kept, a.key.data, a.key.size);
    memcpy((uint8_t *)(uintptr_t)a.key.data, b.key.data, b.key.size);
    fr_table *t = open_over(f->store);
    assert_int_equal(fr_table_find(t, b.key, FR_VISIBLE_ALL), FR_CHUNK_ROWS + 9);
    while (fr_table_link_step(t)) {}
    check_whole(t);
    assert_int_equal(t->live, ROWS - 1);
    fr_table_free(t);
    memcpy((uint8_t *)(uintptr_t)a.key.data, kept, a.key.size);
}

/* Every byte of a file that matters is under a checksum: a damaged file is refused, or gives the answer of the whole one. */
static void damaged_files(void **state)
{
    (void)state;
    enum { COUNT = 3000, DIM = 64, K = 5 };
    fr_err err;
    fr_index *index = NULL;
    fr_index_options o = {.dimension = DIM, .metric = FR_METRIC_L2};
    int64_t ids[COUNT], before[K], after[K];
    float *vectors = fr_alloc(FR_MEM_TEST, COUNT * DIM * sizeof *vectors), distances[K];
    rng r = {3};
    for (uint32_t i = 0; i < COUNT; i++) ids[i] = i, rng_vector(&r, KIND_F32, DIM, vectors + i * DIM);
    assert_int_equal(fr_index_create(&o, &index, &err), FR_OK);
    assert_int_equal(fr_index_add(index, ids, vectors, COUNT, 1, &err), FR_OK);
    assert_int_equal(fr_index_search_many(index, vectors, 1, K, 64, 1, before, distances, &err), FR_OK);
    char path[] = "/tmp/fr-open-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(fr_index_save_file(index, path, &err), FR_OK);
    fr_index_free(index);
    close(fd);
    uint32_t refused = 0;
    for (uint32_t i = 0; i < 240 / LESS; i++) {
        FILE *file = fopen(path, "r+b");
        assert_non_null(file);
        assert_int_equal(fseek(file, 0, SEEK_END), 0);
        long size = ftell(file), at = i == 0 ? size - 1 : (long)rng_below(&r, (uint32_t)size);
        assert_int_equal(fseek(file, at, SEEK_SET), 0);
        int byte = fgetc(file);
        assert_int_equal(fseek(file, at, SEEK_SET), 0);
        fputc(byte ^ 0x55, file);
        fclose(file);
        fr_code code = fr_index_open_file(path, &index, &err);
        if (code == FR_OK) {
            assert_int_equal(fr_index_search_many(index, vectors, 1, K, 64, 1, after, distances, &err), FR_OK);
            assert_memory_equal(before, after, sizeof before);
            fr_index_free(index);
        } else {
            assert_true(code == FR_ERR_CORRUPT || code == FR_ERR_VERSION);
            refused++;
        }
        file = fopen(path, "r+b");
        assert_int_equal(fseek(file, at, SEEK_SET), 0);
        fputc(byte, file);
        fclose(file);
    }
    assert_true(refused > 40 / LESS);
    assert_int_equal(truncate(path, 5000), 0);
    assert_int_equal(fr_index_open_file(path, &index, &err), FR_ERR_CORRUPT);
    unlink(path);
    fr_free(FR_MEM_TEST, vectors);
}

static void refused(const char *path, fr_code code, const char *reason)
{
    fr_index *index = NULL;
    fr_err err = {0};
    assert_int_equal(fr_index_open_file(path, &index, &err), code);
    if (strstr(err.text, path + (strlen(path) > 100 ? strlen(path) - 100 : 0)) == NULL || strstr(err.text, reason) == NULL) fail_msg("%s", err.text);
    assert_string_equal(err.field, "path");
}

/* Every refusal names the path, a long one by its end, and the reason. */
static void refusals_say_why(void **state)
{
    (void)state;
    char folder[] = "/tmp/fr-open-XXXXXX", path[64], none[1200];
    uint32_t header[12] = {0x46525446u, 0x58444946u, 9, 8};
    fr_index *index = NULL;
    fr_err err = {0};
    fr_index_options o = {.dimension = 8, .metric = FR_METRIC_L2};
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/file", folder);
    snprintf(none, sizeof none, "%s/%01000d", folder, 0);
    refused(folder, FR_ERR_IO, "it is a directory");
    refused("/dev/null", FR_ERR_IO, "it is not a regular file");
    refused(path, FR_ERR_NOT_FOUND, "No such file");
    refused(none, FR_ERR_IO, "File name too long");
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    refused(path, FR_ERR_CORRUPT, "the file is empty");
    header[10] = fr_simd_crc32c(0, header, 40);
    assert_int_equal(fwrite(header, sizeof header, 1, file), 1);
    fclose(file);
    refused(path, FR_ERR_VERSION, "it has format 9, this freshet reads up to 2");
    assert_int_equal(fr_index_create(&o, &index, &err), FR_OK);
    assert_int_equal(fr_index_save_file(index, folder, &err), FR_ERR_IO);
    if (strstr(err.text, folder) == NULL || strstr(err.text, "it is a directory") == NULL) fail_msg("%s", err.text);
    assert_int_equal(fr_index_save_file(index, "/dev/null", &err), FR_ERR_IO);
    assert_non_null(strstr(err.text, "cannot replace /dev/null: it is not a regular file"));
    assert_int_equal(fr_index_save_file(index, none, &err), FR_ERR_IO);
    assert_non_null(strstr(err.text, "File name too long"));
    assert_int_equal(fr_index_save_file(index, path, &err), FR_OK);
    fr_index_free(index);
    assert_int_equal(fr_index_open_file(path, &index, &err), FR_OK);
    fr_index_free(index);
    unlink(path);
    assert_int_equal(rmdir(folder), 0);
}

typedef struct saving {
    fr_index *index;
    const char *path;
} saving;

static void *save_often(void *user)
{
    const saving *s = user;
    fr_err err = {0};
    for (int i = 0; i < 30; i++)
        if (fr_index_save_file(s->index, s->path, &err) != FR_OK) return (void *)"a save failed";
    return NULL;
}

/* Two indexes saved to one path at once: what stands there is one of them, whole. */
static void two_saves_to_one_path(void **state)
{
    (void)state;
    char folder[] = "/tmp/fr-saves-XXXXXX", path[64];
    fr_index *index[2], *opened;
    fr_err err = {0};
    pthread_t thread[2];
    saving s[2];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/file", folder);
    for (uint32_t i = 0; i < 2; i++) {
        fr_index_options o = {.dimension = 8, .metric = FR_METRIC_L2};
        assert_int_equal(fr_index_create(&o, &index[i], &err), FR_OK);
        for (int64_t id = 0; id < 50 + 400 * (int64_t)i; id++) {
            float v[8] = {(float)id, (float)i};
            assert_int_equal(fr_index_add(index[i], &id, v, 1, 1, &err), FR_OK);
        }
        s[i] = (saving){index[i], path};
    }
    for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&thread[i], NULL, save_often, &s[i]), 0);
    for (int i = 0; i < 2; i++) {
        void *failed;
        pthread_join(thread[i], &failed);
        assert_null(failed);
    }
    if (fr_index_open_file(path, &opened, &err) != FR_OK) fail_msg("%s", err.text);
    assert_true(fr_index_size(opened) == 50 || fr_index_size(opened) == 450);
    fr_index_free(opened);
    for (int i = 0; i < 2; i++) fr_index_free(index[i]);
    unlink(path);
    assert_int_equal(rmdir(folder), 0); /* nothing is left beside it */
}

static void turn_byte(FILE *file, uint64_t at)
{
    assert_int_equal(fseek(file, (long)at, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, (long)at, SEEK_SET), 0);
    assert_int_equal(fputc(byte ^ 1, file), byte ^ 1);
    assert_int_equal(fflush(file), 0);
}

/* One bit of any chunk: also of those that are mapped, and checked last, by whichever thread. */
static void every_chunk_is_checked(void **state)
{
    (void)state;
    enum { COUNT = ROWS, DIM = 256 };
    if (LESS > 1) return; /* too many rows to link there; damaged_files has two threads, too */
    fr_err err;
    fr_index *index = NULL;
    fr_index_options o = {.dimension = DIM, .metric = FR_METRIC_L2, .m = 32, .ef_construction = 40};
    int64_t *ids = fr_alloc(FR_MEM_TEST, COUNT * sizeof *ids);
    float *vectors = fr_alloc(FR_MEM_TEST, (size_t)COUNT * DIM * sizeof *vectors);
    rng r = {4};
    for (uint32_t i = 0; i < COUNT; i++) ids[i] = i, rng_vector(&r, KIND_U8, DIM, vectors + (size_t)i * DIM);
    assert_int_equal(fr_index_create(&o, &index, &err), FR_OK);
    assert_int_equal(fr_index_add(index, ids, vectors, COUNT, 2, &err), FR_OK);
    char path[] = "/tmp/fr-open-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(fr_index_save_file(index, path, &err), FR_OK);
    fr_index_free(index);
    close(fd);
    FILE *file = fopen(path, "r+b");
    uint64_t end[4], place[4], kinds = 0; /* of the end: magic, where the list is, its length; of a place: id, at, size */
    assert_non_null(file);
    assert_true(fseek(file, -32, SEEK_END) == 0 && fread(end, sizeof end, 1, file) == 1);
    for (uint64_t i = 0; i < end[2]; i++) {
        assert_true(fseek(file, (long)(end[1] + i * sizeof place), SEEK_SET) == 0 && fread(place, sizeof place, 1, file) == 1);
        kinds |= 1ull << (place[0] >> 32);
        turn_byte(file, place[1] + place[2] / 2);
        assert_int_equal(fr_index_open_file(path, &index, &err), FR_ERR_CORRUPT);
        turn_byte(file, place[1] + place[2] / 2);
    }
    assert_true(kinds >> FR_CHUNK_CODES & kinds >> FR_CHUNK_LINKS & kinds >> FR_CHUNK_ROWS_OF & 1);
    assert_int_equal(fr_index_open_file(path, &index, &err), FR_OK);
    fr_index_free(index);
    fclose(file);
    unlink(path);
    fr_free(FR_MEM_TEST, vectors);
    fr_free(FR_MEM_TEST, ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(searches_come_first),   cmocka_unit_test(writers_while_it_settles),
        cmocka_unit_test(version_1_is_read),     cmocka_unit_test(bad_links_are_mended),
        cmocka_unit_test(the_newer_of_two_rows_holds_the_key), cmocka_unit_test(damaged_files), cmocka_unit_test(refusals_say_why), cmocka_unit_test(two_saves_to_one_path),
        cmocka_unit_test(every_chunk_is_checked),
    };
    return cmocka_run_group_tests(tests, build, clear);
}
