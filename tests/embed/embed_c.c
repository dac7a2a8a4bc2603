/* embed_c.c: the example of the library in C. It opens a data directory, writes, searches, reads the log, closes, opens
 * again and finds everything; then an index alone, in memory. usage: embed_c DIR (made new; must not hold anything yours)
 *
 *     cc embed_c.c $(pkg-config --cflags --libs freshet)                                                        */
#include <freshet.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIMENSION 3u

static void must(fr_code code, const fr_err *err, const char *what)
{
    if (code == FR_OK) return;
    fprintf(stderr, "%s: %s: %s %s\n", what, fr_strcode(code), err ? err->field : "", err ? err->text : "");
    exit(1);
}

static void demand(int condition, const char *what)
{
    if (condition) return;
    fprintf(stderr, "expected: %s\n", what);
    exit(1);
}

static fr_id create(fr_db *db)
{
    fr_err err = {0};
    fr_collection_def def = {.dimension = DIMENSION, .metric = FR_METRIC_L2};
    snprintf(def.name, sizeof def.name, "colours");
    fr_write write = {.kind = FR_WRITE_COLLECTION_CREATE, .def = &def};
    must(fr_submit_wait(db, &write, &err), &err, "create");
    return write.id;
}

static void put(fr_batch *batch, const char *name, float red, float green, float blue)
{
    fr_err err = {0};
    float vector[DIMENSION] = {red, green, blue};
    fr_value value = {.field = FR_FIELD_VECTOR, .type = FR_TYPE_VECTOR_F32, .bytes = {vector, sizeof vector}};
    fr_event event = {.key = {name, strlen(name)}, .source_time_ms = FR_TIME_NONE, .values = &value, .value_count = 1};
    must(fr_batch_put(batch, &event, &err), &err, "put");
}

static void write_colours(fr_db *db, fr_id id)
{
    fr_err err = {0};
    fr_batch batch = {0};
    put(&batch, "red", 1, 0, 0);
    put(&batch, "green", 0, 1, 0);
    put(&batch, "blue", 0, 0, 1);
    put(&batch, "orange", 1, 0.6f, 0);
    fr_write write = {.kind = FR_WRITE_EVENTS, .id = id, .batch = &batch};
    must(fr_submit_wait(db, &write, &err), &err, "write");
    demand(write.records == 4, "four records written");

    fr_batch_reset(&batch);
    fr_event gone = {.key = {"blue", 4}, .remove = true, .source_time_ms = FR_TIME_NONE};
    must(fr_batch_put(&batch, &gone, &err), &err, "put a delete");
    fr_write second = {.kind = FR_WRITE_EVENTS, .id = id, .batch = &batch};
    must(fr_submit_wait(db, &second, &err), &err, "delete");
    demand(second.existed == 1, "the deleted record existed");
    fr_batch_free(&batch);
}

static void search(fr_db *db, fr_id id)
{
    fr_err err = {0};
    fr_searcher *searcher;
    must(fr_searcher_create(db, &searcher), NULL, "searcher");
    float amber[DIMENSION] = {1, 0.7f, 0};
    fr_query query = {.id = id, .vectors = amber, .query_count = 1, .dimension = DIMENSION, .k = 10};
    fr_hit hits[10];
    uint32_t count = 0;
    must(fr_search(searcher, &query, hits, &count, NULL, &err), &err, "search");
    for (uint32_t index = 0; index < count; index++) {
        printf("%-8.*s %.3f\n", (int)hits[index].key.size, (const char *)hits[index].key.data, (double)hits[index].distance);
    }
    demand(count == 3, "three live records");
    demand(hits[0].key.size == 6 && memcmp(hits[0].key.data, "orange", 6) == 0, "orange is nearest to amber");
    uint64_t live = 0;
    must(fr_count(searcher, id, NULL, &live, &err), &err, "count");
    demand(live == 3, "count is three");
    fr_searcher_free(searcher);
}

static void read_log(fr_db *db, fr_id id)
{
    fr_err err = {0};
    fr_view view;
    fr_record_iter *iter;
    unsigned updates = 0, deletes = 0;
    for (fr_offset from = 0; from < 5; from = view.next, fr_view_release(&view)) {
        must(fr_read(db, id, 0, from, 1 << 20, &view, &err), &err, "read the log");
        must(fr_records_begin(&view, &iter), NULL, "records");
        static fr_record record;
        while (fr_records_next(iter, &record)) {
            if (record.event.remove) deletes++;
            else updates++;
        }
        fr_records_end(iter);
    }
    demand(updates == 4 && deletes == 1, "the log holds four updates and one delete");
}

static void index_alone(void)
{
    fr_err err = {0};
    fr_index *index;
    fr_index_options options = {.dimension = DIMENSION, .metric = FR_METRIC_L2};
    must(fr_index_create(&options, &index, &err), &err, "index");
    enum { COUNT = 1000 };
    static int64_t ids[COUNT];
    static float vectors[COUNT * DIMENSION];
    for (int row = 0; row < COUNT; row++) {
        ids[row] = row;
        for (unsigned at = 0; at < DIMENSION; at++) vectors[(unsigned)row * DIMENSION + at] = (float)((row * 7919 + (int)at * 104729) % 1009);
    }
    must(fr_index_add(index, ids, vectors, COUNT, 1, &err), &err, "add");
    int64_t found[5];
    float distances[5];
    must(fr_index_search_many(index, &vectors[42 * DIMENSION], 1, 5, 0, 1, found, distances, &err), &err, "index search");
    demand(found[0] == 42 && distances[0] == 0.0f, "row 42 finds itself");
    uint64_t removed = 0;
    must(fr_index_remove(index, &ids[42], 1, &removed), NULL, "remove");
    must(fr_index_search_many(index, &vectors[42 * DIMENSION], 1, 5, 0, 1, found, distances, &err), &err, "index search");
    demand(removed == 1 && found[0] != 42, "row 42 is gone");
    printf("%" PRIu64 " rows, %" PRIu64 " bytes\n", fr_index_size(index), fr_index_memory(index));
    fr_index_free(index);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIR\n", argv[0]);
        return 2;
    }
    char command[4200];
    snprintf(command, sizeof command, "rm -rf -- '%s'", argv[1]);
    if (system(command) != 0) return 1;
    fr_err err = {0};
    fr_db *db;
    must(fr_open(argv[1], NULL, &db, &err), &err, "open");
    fr_id id = create(db);
    write_colours(db, id);
    search(db, id);
    read_log(db, id);
    fr_close(db);

    must(fr_open(argv[1], NULL, &db, &err), &err, "open again");
    must(fr_resolve(db, "colours", &id), NULL, "resolve");
    search(db, id);
    read_log(db, id);
    fr_close(db);
    index_alone();
    return 0;
}
