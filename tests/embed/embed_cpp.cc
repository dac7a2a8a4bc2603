// embed_cpp.cc: freshet.h is usable from C++, and its handles fit a deleter. usage: embed_cpp DIR (made new)
#include <freshet.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace
{
struct Close {
    void operator()(fr_db *db) const { fr_close(db); }
    void operator()(fr_searcher *searcher) const { fr_searcher_free(searcher); }
};
void must(fr_code code, const fr_err &err, const char *what)
{
    if (code == FR_OK) return;
    std::fprintf(stderr, "%s: %s: %s\n", what, fr_strcode(code), err.text);
    std::exit(1);
}
} // namespace

int main(int argc, char **argv)
{
    if (argc != 2) return 2;
    std::filesystem::remove_all(argv[1]);
    fr_err err{};
    fr_db *opened = nullptr;
    must(fr_open(argv[1], nullptr, &opened, &err), err, "open");
    std::unique_ptr<fr_db, Close> db(opened);

    fr_collection_def def{};
    std::snprintf(def.name, sizeof def.name, "numbers");
    def.dimension = 2;
    def.metric = FR_METRIC_L2;
    fr_write create{};
    create.kind = FR_WRITE_COLLECTION_CREATE;
    create.def = &def;
    must(fr_submit_wait(db.get(), &create, &err), err, "create");

    fr_batch batch{};
    for (int number = 0; number < 100; number++) {
        const std::string key = std::to_string(number);
        const std::vector<float> vector{static_cast<float>(number), 0};
        fr_value value{FR_FIELD_VECTOR, FR_TYPE_VECTOR_F32, {vector.data(), vector.size() * sizeof(float)}};
        fr_event event{};
        event.key = {key.data(), key.size()};
        event.key_is_int = true;
        event.source_time_ms = FR_TIME_NONE;
        event.values = &value;
        event.value_count = 1;
        must(fr_batch_put(&batch, &event, &err), err, "put");
    }
    fr_write write{};
    write.id = create.id;
    write.batch = &batch;
    must(fr_submit_wait(db.get(), &write, &err), err, "write");
    fr_batch_free(&batch);

    fr_searcher *made = nullptr;
    must(fr_searcher_create(db.get(), &made), err, "searcher");
    std::unique_ptr<fr_searcher, Close> searcher(made);
    const float wanted[2] = {41.8f, 0};
    fr_query query{};
    query.id = create.id;
    query.vectors = wanted;
    query.query_count = 1;
    query.dimension = 2;
    query.k = 1;
    fr_hit hit{};
    uint32_t count = 0;
    must(fr_search(searcher.get(), &query, &hit, &count, nullptr, &err), err, "search");
    if (count != 1 || std::string(static_cast<const char *>(hit.key.data), hit.key.size) != "42") {
        std::fprintf(stderr, "42 is nearest to 41.8\n");
        return 1;
    }
    return 0;
}
