/* Bits that turn on a disk at rest, anywhere in any file: what is damaged is named, or it did not matter. A wrong answer never.
 * FRESHET_FLIPS=10000 tries longer, FRESHET_SEED begins elsewhere. */
#include "keys_help.h"
#include "topic_help.h"

typedef struct file_set {
    char paths[64][128];
    uint64_t sizes[64];
    uint32_t count;
} file_set;

static void note_file(void *user, const char *path, uint64_t size)
{
    file_set *set = user;
    if (size == 0 || set->count == FR_COUNT_OF(set->paths)) return;
    snprintf(set->paths[set->count], sizeof set->paths[0], "%.127s", path);
    set->sizes[set->count++] = size;
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static uint64_t random_state;
static uint64_t some(uint64_t bound) { return fr_mix64(random_state += 0x9e3779b97f4a7c15u) % bound; }

/* All records of the log, read as they stand: right, or an error. */
static bool log_is_readable(fr_db *db, fr_id id)
{
    fr_collection_info *info = calloc(1, sizeof *info);
    bool good = fr_collection_get(db, id, info) == FR_OK;
    for (uint32_t p = 0; good && p < info->partition_count; p++) {
        for (fr_offset at = 0; good && at < info->partitions[p].end;) {
            fr_view view;
            good = fr_read(db, id, (int32_t)p, at, 1u << 20, &view, NULL) == FR_OK;
            if (!good) break;
            if (view.size == 0) at = info->partitions[p].end;
            else at = view.next;
            fr_view_release(&view);
        }
    }
    free(info);
    return good;
}

enum { REFUSED, CLOSED, FELL_BACK, UNREADABLE, HARMLESS, OUTCOMES };

static int flip_once(io_sim *base, const file_set *files, const state_of_keys *wanted, char *what, size_t what_size)
{
    io_sim *sim = io_sim_clone(base);
    uint32_t file = (uint32_t)some(files->count);
    uint64_t byte = some(files->sizes[file]), bits = 1 + some(8);
    for (uint32_t i = 0; i < 100 && io_sim_byte(sim, files->paths[file], byte) == 0; i++) byte = some(files->sizes[file]);
    for (uint64_t i = 0; i < bits; i++) {
        uint64_t at = byte + some(16);
        if (at >= files->sizes[file]) at = byte;
        if (!io_sim_flip(sim, files->paths[file], at, (unsigned)some(8))) fail_msg("no byte %llu in %s", (unsigned long long)at, files->paths[file]);
    }
    snprintf(what, what_size, "%s byte %llu, %llu bits", files->paths[file], (unsigned long long)byte, (unsigned long long)bits);
    fr_db *db = NULL;
    fr_err why = {0};
    int outcome = REFUSED;
    fr_code code = fr_open("/d", options_of(sim), &db, &why);
    if (code == FR_OK) {
        fr_stats stats;
        state_of_keys seen;
        fr_stats_get(db, &stats);
        fr_id id;
        outcome = stats.snapshot_fallbacks != 0 ? FELL_BACK : HARMLESS;
        if (fr_resolve(db, "c", &id) != FR_OK || id != the_id) fail_msg("%s: the collection is gone", what);
        if (closed_by_recovery(db)) outcome = CLOSED;
        else {
            read_state(db, &seen);
            if (!same(&seen, wanted)) fail_msg("%s: wrong answers (FRESHET_SEED %llu)", what, (unsigned long long)number_of("FRESHET_SEED", 1));
            if (!log_is_readable(db, the_id)) outcome = UNREADABLE;
        }
        fr_engine_abandon(db);
        io_sim_kill(sim);
    } else if (code != FR_ERR_CORRUPT && code != FR_ERR_VERSION) {
        fail_msg("%s: %s: %s", what, fr_strcode(code), why.text);
    }
    io_sim_free(sim);
    return outcome;
}

static void wrong_answers_never(void **state)
{
    (void)state;
    fr_note_level((fr_level)-1);
    state_of_keys wanted;
    io_sim *base = prepare(&wanted);
    fr_db *db;
    must(fr_open("/d", options_of(base), &db, err)); /* a clean end: no round is ambiguous any more (log/README.md) */
    fr_close(db);
    file_set files = {.count = 0};
    io_sim_list(base, "/d", note_file, &files);
    assert_true(files.count > 8);
    uint64_t counts[OUTCOMES] = {0}, flips = number_of("FRESHET_FLIPS", 500);
    char what[256];
    random_state = number_of("FRESHET_SEED", 1) * 1000003;
    for (uint64_t i = 0; i < flips; i++) counts[flip_once(base, &files, &wanted, what, sizeof what)]++;
    print_message("%llu flips in %u files: %llu refused at the start, %llu closed a collection, %llu fell back to an older state, "
                  "%llu unreadable in the log, %llu harmless, 0 wrong\n",
                  (unsigned long long)flips, files.count, (unsigned long long)counts[REFUSED], (unsigned long long)counts[CLOSED],
                  (unsigned long long)counts[FELL_BACK], (unsigned long long)counts[UNREADABLE], (unsigned long long)counts[HARMLESS]);
    io_sim_free(base);
}

/* ==== producers' state ==== */

#define PRODUCERS 6

typedef struct known_producer {
    producer who;
    int32_t last, next; /* sequences: of its last batch, of what follows */
    fr_offset at;       /* of its last batch */
} known_producer;

static void note_state_file(void *user, const char *path, uint64_t size)
{
    if (strstr(path, "/PRODUCERS-") != NULL) note_file(user, path, size);
}

static void feed_all(fr_db *db, fr_id id, known_producer *all, uint32_t rounds)
{
    for (uint32_t r = 0; r < rounds; r++)
        for (int i = 0; i < PRODUCERS; i++) {
            known_producer *p = &all[i];
            uint32_t count = 1 + (r + (uint32_t)i) % 3;
            fr_produce part = produce(db, id, 0, &p->who, p->next, count, "v");
            assert_int_equal(part.reason, FR_REASON_NONE);
            p->at = part.base_offset, p->last = p->next, p->next += (int32_t)count;
        }
}

/* A topic with idempotent producers, both slots of their state written, and batches behind them. */
static io_sim *prepare_producers(known_producer *all, fr_id *id_out)
{
    io_sim *sim = io_sim_create(6);
    fr_db *db;
    must(fr_open("/d", options_of(sim), &db, err));
    must(make_topic(db, "p", 1, NULL, 0, id_out, NULL));
    for (int i = 0; i < PRODUCERS; i++) all[i] = (known_producer){.who = {.id = 1000 + i}};
    for (uint32_t round = 0; round < 3; round++) {
        feed_all(db, *id_out, all, 2 + round);
        if (round < 2) must(fr_snapshot(db, err));
    }
    fr_close(db);
    return sim;
}

/* What a producer sent last is known as a duplicate of itself, a gap is refused, and what follows is taken. */
static void check_producers(fr_db *db, fr_id id, const known_producer *all, const char *what)
{
    for (int i = 0; i < PRODUCERS; i++) {
        const known_producer *p = &all[i];
        fr_produce again = produce(db, id, 0, &p->who, p->last, (uint32_t)(p->next - p->last), "v");
        if (again.reason != FR_REASON_DUPLICATE || again.base_offset != p->at)
            fail_msg("%s: producer %d: reason %d, offset %lld, not %lld", what, i, (int)again.reason, (long long)again.base_offset, (long long)p->at);
        assert_int_equal(produce(db, id, 0, &p->who, p->next + 1, 1, "v").reason, FR_REASON_OUT_OF_ORDER_SEQUENCE);
        assert_int_equal(produce(db, id, 0, &p->who, p->next, 1, "v").reason, FR_REASON_NONE);
    }
}

static void producers_are_known_or_read_again(void **state)
{
    (void)state;
    fr_note_level((fr_level)-1);
    known_producer all[PRODUCERS];
    fr_id id;
    io_sim *base = prepare_producers(all, &id);
    file_set files = {.count = 0};
    io_sim_list(base, "/d", note_state_file, &files);
    assert_int_equal(files.count, 2);
    uint64_t flips = number_of("FRESHET_FLIPS", 500) / 2, fell_back = 0;
    random_state = number_of("FRESHET_SEED", 1) * 2000003;
    for (uint64_t n = 0; n < flips; n++) {
        io_sim *sim = io_sim_clone(base);
        char what[160];
        uint32_t file = (uint32_t)some(2);
        uint64_t byte = some(files.sizes[file]);
        for (uint64_t bits = 1 + some(8); bits > 0; bits--) {
            uint64_t at = byte + some(16);
            if (at >= files.sizes[file]) at = byte;
            assert_true(io_sim_flip(sim, files.paths[file], at, (unsigned)some(8)));
        }
        snprintf(what, sizeof what, "%s byte %llu", files.paths[file], (unsigned long long)byte);
        fr_db *db;
        fr_stats stats;
        must(fr_open("/d", options_of(sim), &db, err)); /* the log tells all of it, too: nothing is refused */
        fr_stats_get(db, &stats);
        fell_back += stats.snapshot_fallbacks != 0;
        check_producers(db, id, all, what);
        fr_engine_abandon(db);
        io_sim_kill(sim);
        io_sim_free(sim);
    }
    print_message("%llu flips in producers' state: %llu fell back, 0 wrong\n", (unsigned long long)flips, (unsigned long long)fell_back);
    assert_true(fell_back > flips / 2);
    io_sim_free(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(wrong_answers_never), cmocka_unit_test(producers_are_known_or_read_again)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
