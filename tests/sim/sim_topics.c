/* sim_topics.c: what must hold for producers and transactions, over every power cut, kill and full disk
 *   1. an acknowledged batch is there once, also when it was sent again; one that was not is there at most once, as a whole;
 *   2. a compacted topic has the newest record of each key;
 *   3. a committed transaction is seen whole, in the topic and in the collection; an aborted one never; one whose commit was not
 *      answered in both or in neither. */
#include "tests/sim/sim_topics.h"

#include <stdio.h>
#include <stdlib.h>

#define TOPIC_DIM  4u
#define NUMBERS    4096u
#define PLAIN_KEYS 5u

enum { PLAIN, COMPACTED, FED, TOPICS }; /* FED: a collection written to by producers */
enum { WAITS, SEEN, NOT_SEEN };         /* a transaction's outcome; WAITS: not known yet */

typedef struct source { /* an idempotent producer of one topic, one batch at a time */
    int64_t id;
    int32_t sequence;
    uint32_t next; /* number of its next record; all before are there */
    bool unsure;   /* `next` was sent, the answer is not known */
} source;

struct sim_topics {
    sim_host host;
    fr_id ids[TOPICS];
    source sources[TOPICS];
    bool forgotten;
    /* the transactional producer */
    int64_t producer_id;
    int16_t epoch;
    int32_t sequences[TOPICS];
    enum { NEEDS_INIT, IDLE, OPEN, WRITTEN } state;
    uint32_t number; /* of the transaction */
    uint8_t outcome[NUMBERS];
};

static void broken(sim_topics *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void broken(sim_topics *t, const char *format, ...)
{
    char text[300];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    t->host.broken(t->host.world, text);
}

static uint32_t below(sim_topics *t, uint32_t bound) { return t->host.below(t->host.world, bound); }

/* ==== batches ==== */

/* Key and value say who wrote it and the how-manieth it is; in the collection the vector does. */
static fr_reason produce(sim_topics *t, fr_db *db, int topic, char who, uint32_t number, int64_t id, int16_t epoch,
                         int32_t sequence, bool transactional)
{
    fr_batch_writer w = {0};
    char key[32], text[32];
    uint8_t value[12 + TOPIC_DIM * 4] = {1, FR_SCHEMA_VERSION}, *data;
    size_t size;
    float vector[TOPIC_DIM] = {(float)number, 1, 2, 3};
    snprintf(key, sizeof key, "%c%u", who, number % PLAIN_KEYS);
    int text_size = snprintf(text, sizeof text, "%c %u", who, number);
    fr_store_le16(value + 5, FR_FIELD_VECTOR);
    value[7] = FR_TYPE_VECTOR_F32;
    fr_store_le32(value + 8, sizeof vector);
    memcpy(value + 12, vector, sizeof vector);
    fr_batch_writer_begin(&w, FR_CODEC_NONE);
    fr_batch_writer_add(&w, db->io->now_ms(db->io), fr_span_text(key),
                        topic == FED ? fr_span_of(value, sizeof value) : fr_span_of(text, (size_t)text_size), NULL, 0);
    if (fr_batch_writer_end(&w, &data, &size) != FR_OK) broken(t, "no batch");
    fr_batch_own(data, size, id, epoch, sequence, transactional ? 0x10 : 0);
    fr_produce part = {.data = data, .size = size};
    fr_write write = {.kind = FR_WRITE_BATCHES, .id = t->ids[topic], .produce = &part, .produce_count = 1};
    fr_code code = fr_submit_wait(db, &write, NULL);
    fr_batch_writer_free(&w);
    return code != FR_OK ? FR_REASON_STORAGE : part.reason;
}

static void feed(sim_topics *t, fr_db *db, int topic)
{
    source *s = &t->sources[topic];
    if (s->next == NUMBERS - 1) return;
    bool again = s->unsure;
    fr_reason reason = produce(t, db, topic, 's', s->next, s->id, 0, s->sequence, false);
    if (reason == FR_REASON_NONE || (again && reason == FR_REASON_DUPLICATE)) {
        s->next++;
        s->sequence++;
        s->unsure = false;
    } else if (reason == FR_REASON_STORAGE) {
        s->unsure = true;
    } else {
        broken(t, "topic %d: record %u was refused with reason %d", topic, s->next, (int)reason);
    }
}

/* ==== transactions ==== */

static bool init(sim_topics *t, fr_db *db)
{
    for (uint32_t i = 0; i < 200; i++) {
        fr_txn txn = {.transactional_id = "sim", .producer_id = -1, .producer_epoch = -1, .timeout_ms = 900000};
        fr_write w = {.kind = FR_WRITE_PRODUCER_INIT, .txn = &txn};
        if (fr_submit_wait(db, &w, NULL) == FR_OK) {
            if (t->producer_id != txn.producer_id || t->epoch != txn.producer_epoch) memset(t->sequences, 0, sizeof t->sequences);
            t->producer_id = txn.producer_id;
            t->epoch = txn.producer_epoch;
            t->state = IDLE;
            return true;
        }
        if (w.reason != FR_REASON_CONCURRENT_TRANSACTIONS) return false;
        fr_engine_step_all(db);
    }
    if (!io_sim_is_down(t->host.sim)) broken(t, "the last transaction never ends");
    return false;
}

static bool begin(sim_topics *t, fr_db *db)
{
    struct fr_txn_part parts[TOPICS];
    for (uint32_t i = 0; i < TOPICS; i++) parts[i] = (struct fr_txn_part){t->ids[i], 0};
    fr_txn txn = {.transactional_id = "sim", .producer_id = t->producer_id, .producer_epoch = t->epoch, .parts = parts, .part_count = TOPICS};
    fr_write w = {.kind = FR_WRITE_TXN_PARTITIONS, .txn = &txn};
    return fr_submit_wait(db, &w, NULL) == FR_OK;
}

static void lose(sim_topics *t, uint8_t outcome)
{
    t->outcome[t->number] = outcome;
    t->state = NEEDS_INIT;
}

static void end(sim_topics *t, fr_db *db)
{
    bool commit = below(t, 100) < 60;
    fr_txn txn = {.transactional_id = "sim", .producer_id = t->producer_id, .producer_epoch = t->epoch, .commit = commit};
    fr_write w = {.kind = FR_WRITE_TXN_END, .txn = &txn};
    fr_code code = fr_submit_wait(db, &w, NULL);
    if (code == FR_OK) {
        t->outcome[t->number] = commit ? SEEN : NOT_SEEN;
        t->state = IDLE;
    } else {
        lose(t, commit ? WAITS : NOT_SEEN);
    }
}

static void transact(sim_topics *t, fr_db *db)
{
    switch (t->state) {
    case NEEDS_INIT: (void)init(t, db); break;
    case IDLE:
        if (t->number == NUMBERS - 1) break;
        t->outcome[++t->number] = NOT_SEEN; /* as long as nobody asked for more */
        if (begin(t, db)) t->state = OPEN;
        else lose(t, NOT_SEEN);
        break;
    case OPEN:
        for (int i = 0; i < TOPICS; i++) {
            fr_reason reason = produce(t, db, i, 't', t->number, t->producer_id, t->epoch, t->sequences[i], true);
            if (reason == FR_REASON_NONE) t->sequences[i]++;
            else if (reason == FR_REASON_STORAGE || reason == FR_REASON_INVALID_TXN_STATE ||
                     reason == FR_REASON_INVALID_PRODUCER_EPOCH) { /* timed out */
                lose(t, NOT_SEEN);
                return;
            } else broken(t, "transaction %u: reason %d", t->number, (int)reason);
        }
        t->state = WRITTEN;
        break;
    default: end(t, db); break;
    }
}

void sim_topics_step(sim_topics *t, fr_db *db)
{
    uint32_t dice = below(t, 2 * TOPICS);
    if (dice < TOPICS) feed(t, db, (int)dice);
    else transact(t, db);
}

void sim_topics_forget(sim_topics *t) { t->forgotten = true; }

/* ==== what is there ==== */

typedef struct seen {
    uint8_t sources[NUMBERS], transactions[NUMBERS];
    uint32_t newest[PLAIN_KEYS], newest_transaction[PLAIN_KEYS]; /* number + 1 */
} seen;

static void read_topic(sim_topics *t, fr_db *db, int topic, seen *out)
{
    memset(out, 0, sizeof *out);
    fr_batch_reader *reader = NULL;
    for (fr_offset at = 0;;) {
        fr_fetch f = {.id = t->ids[topic], .from = at, .bytes_max = 1 << 20, .committed = true};
        fr_err err = {0};
        if (fr_fetch_get(db, &f, &err) != FR_OK) broken(t, "fetch: %s", err.text);
        if (f.state.stable != f.state.end) broken(t, "topic %d: a transaction stayed open", topic);
        for (size_t place = 0, size; place < f.view.size; place += size) {
            fr_batch_header h;
            fr_log_record record;
            bool dropped = false;
            if (fr_batch_check(f.view.data + place, f.view.size - place, &h, &size, &err) != FR_OK) broken(t, "%s", err.text);
            for (uint32_t i = 0; i < f.aborted_count; i++) {
                bool of_it = f.aborted[i].producer_id == h.producerId && f.aborted[i].first_offset <= h.baseOffset;
                dropped = dropped || (of_it && (h.attributes & 0x10));
                if (of_it && (h.attributes & 0x20)) f.aborted[i].producer_id = -1;
            }
            if (dropped || (h.attributes & 0x20)) continue;
            if (fr_batch_reader_open(f.view.data + place, size, &reader, &err) != FR_OK) broken(t, "%s", err.text);
            while (fr_batch_reader_next(reader, &record)) {
                char text[32] = "", who;
                unsigned number;
                memcpy(text, record.value.data, FR_MIN(record.value.size, sizeof text - 1));
                if (sscanf(text, "%c %u", &who, &number) != 2 || number >= NUMBERS) broken(t, "a foreign record");
                else {
                    uint32_t *newest = who == 's' ? out->newest : out->newest_transaction;
                    (who == 's' ? out->sources : out->transactions)[number]++;
                    newest[number % PLAIN_KEYS] = FR_MAX(newest[number % PLAIN_KEYS], number + 1);
                }
            }
        }
        bool last = f.view.next == at;
        at = f.view.next;
        fr_fetch_release(&f);
        if (last) break;
    }
    fr_batch_reader_close(reader);
}

/* number + 1 of what the collection has for a key, 0 = nothing. */
static uint32_t fed_with(sim_topics *t, fr_db *db, char who, uint32_t key)
{
    fr_searcher *s;
    fr_hit hit;
    char text[16];
    uint32_t count = 0;
    snprintf(text, sizeof text, "%c%u", who, key);
    fr_span span = fr_span_text(text);
    if (fr_searcher_create(db, &s) != FR_OK || fr_get(s, t->ids[FED], &span, 1, &(fr_wanted){.vector = true}, &hit, &count, NULL) != FR_OK)
        broken(t, "no answer");
    uint32_t number = count == 1 ? (uint32_t)hit.vector[0] + 1 : 0;
    fr_searcher_free(s);
    return number;
}

static uint32_t newest_below(uint32_t end, uint32_t key) /* number + 1 of the newest one of this key */
{
    for (uint32_t n = end; n > 0; n--)
        if ((n - 1) % PLAIN_KEYS == key) return n;
    return 0;
}

static void check_sources(sim_topics *t, fr_db *db, const seen *plain, const seen *compacted)
{
    const source *s = t->sources;
    for (uint32_t n = 0; n < NUMBERS; n++) {
        bool due = n < s[PLAIN].next, may = n == s[PLAIN].next && s[PLAIN].unsure;
        if (plain->sources[n] > 1 || (due && plain->sources[n] == 0) || (!due && !may && plain->sources[n] != 0))
            broken(t, "record %u of %u is there %u times", n, s[PLAIN].next, plain->sources[n]);
        if (compacted->sources[n] > 1) broken(t, "compacted: record %u is there %u times", n, compacted->sources[n]);
    }
    for (uint32_t k = 0; k < PLAIN_KEYS; k++) {
        uint32_t low = newest_below(s[COMPACTED].next, k), high = newest_below(s[COMPACTED].next + s[COMPACTED].unsure, k);
        if (compacted->newest[k] != low && compacted->newest[k] != high)
            broken(t, "compacted: key %u has %u, not %u", k, compacted->newest[k], low);
        low = newest_below(s[FED].next, k), high = newest_below(s[FED].next + s[FED].unsure, k);
        uint32_t have = fed_with(t, db, 's', k);
        if (have != low && have != high) broken(t, "collection: key s%u has %u, not %u", k, have, low);
    }
}

static void check_transactions(sim_topics *t, fr_db *db, const seen *plain, const seen *compacted)
{
    for (uint32_t n = 1; n <= t->number; n++) {
        if (t->outcome[n] == WAITS) t->outcome[n] = plain->transactions[n] != 0 ? SEEN : NOT_SEEN;
        if (plain->transactions[n] != (t->outcome[n] == SEEN))
            broken(t, "transaction %u is there %u times, should be %d", n, plain->transactions[n], t->outcome[n] == SEEN);
        if (compacted->transactions[n] > (t->outcome[n] == SEEN)) broken(t, "compacted: transaction %u is back", n);
    }
    for (uint32_t k = 0; k < PLAIN_KEYS; k++) {
        uint32_t newest = t->number + 1;
        while (newest > 1 && (t->outcome[newest - 1] != SEEN || (newest - 1) % PLAIN_KEYS != k)) newest--;
        if (newest <= 1) newest = 0;
        if (compacted->newest_transaction[k] != newest)
            broken(t, "compacted: key t%u has %u, not %u", k, compacted->newest_transaction[k], newest);
        uint32_t have = fed_with(t, db, 't', k);
        if (have != newest) broken(t, "collection: key t%u has %u, not %u", k, have, newest);
    }
}

/* Nothing may be under way: the coordinator has decided, and what it decided is applied. */
void sim_topics_check(sim_topics *t, fr_db *db)
{
    seen *plain = calloc(1, sizeof *plain), *compacted = calloc(1, sizeof *compacted);
    if (t->state == OPEN || t->state == WRITTEN) lose(t, NOT_SEEN);
    bool ready = init(t, db);
    fr_engine_drain(db);
    if (ready && !io_sim_is_down(t->host.sim)) {
        read_topic(t, db, PLAIN, plain);
        read_topic(t, db, COMPACTED, compacted);
        check_sources(t, db, plain, compacted);
        check_transactions(t, db, plain, compacted);
    }
    free(plain);
    free(compacted);
}

/* Is the record there whose answer never came? */
static bool is_there(sim_topics *t, fr_db *db, int topic)
{
    uint32_t next = t->sources[topic].next;
    if (topic == FED) return fed_with(t, db, 's', next % PLAIN_KEYS) == next + 1;
    seen *all = calloc(1, sizeof *all);
    read_topic(t, db, topic, all);
    bool there = all->sources[next] != 0;
    free(all);
    return there;
}

void sim_topics_recover(sim_topics *t, fr_db *db)
{
    lose(t, t->state == OPEN || t->state == WRITTEN ? NOT_SEEN : t->outcome[t->number]);
    sim_topics_check(t, db);
    if (io_sim_is_down(t->host.sim)) return;
    for (int i = 0; i < TOPICS; i++) {
        source *s = &t->sources[i];
        if (t->forgotten) { /* as a client that lost its id: what it sent last may be there */
            if (s->unsure) s->next += is_there(t, db, i);
            *s = (source){.id = s->id + TOPICS, .next = s->next};
        } else if (s->unsure && !io_sim_is_down(t->host.sim)) {
            feed(t, db, i);
        }
    }
    t->forgotten = false;
}

/* ==== beginning and end ==== */

static void create_topic(sim_topics *t, fr_db *db, int topic, const char *name, const fr_topic_config *configs, uint32_t count)
{
    fr_topic_change change = {.name = name, .kind = FR_TOPIC_PLAIN, .partitions = 1, .configs = configs, .config_count = count};
    fr_write w = {.kind = FR_WRITE_TOPIC_CREATE, .topic = &change};
    fr_err err = {0};
    if (fr_submit_wait(db, &w, &err) != FR_OK) broken(t, "create %s: %s", name, err.text);
    t->ids[topic] = w.id;
}

sim_topics *sim_topics_create(const sim_host *host, fr_db *db)
{
    static const fr_topic_config plain[] = {{"retention.ms", "-1"}, {"segment.bytes", "16384"}};
    static const fr_topic_config compacted[] = {{"cleanup.policy", "compact"}, {"segment.bytes", "16384"}};
    sim_topics *t = calloc(1, sizeof *t);
    t->host = *host;
    create_topic(t, db, PLAIN, "plain", plain, 2);
    create_topic(t, db, COMPACTED, "compacted", compacted, 2);
    fr_collection_def *def = calloc(1, sizeof *def);
    snprintf(def->name, sizeof def->name, "fed");
    def->dimension = TOPIC_DIM;
    fr_write w = {.kind = FR_WRITE_COLLECTION_CREATE, .def = def};
    if (fr_submit_wait(db, &w, NULL) != FR_OK) broken(t, "create fed");
    t->ids[FED] = w.id;
    free(def);
    for (int i = 0; i < TOPICS; i++) t->sources[i].id = 1000000 + i; /* far from what the coordinator gives */
    t->producer_id = -1;
    return t;
}

void sim_topics_free(sim_topics *t) { free(t); }
