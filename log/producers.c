/* producers.c: see producers.h. Open transactions stay in the list until their marker is durable: a reader of committed
 * records must not pass a transaction whose end could still be lost. */
#include "log/producers.h"
#include "log/number_map.h"
#include "simd/simd.h"

#include <pthread.h>
#include <stdlib.h>

#define STATE_MAGIC   0x636475646f727066ull /* "fproducr" little endian, as bytes */
#define STATE_VERSION 1u
#define STATE_HEAD    40u
#define ENTRY_BYTES   (32u + FR_PRODUCER_BATCHES * 24u)
#define OPEN_BYTES    24u
#define ABORTED_BYTES 24u

typedef struct kept_batch {
    int32_t first_sequence, last_sequence;
    fr_offset base, last;
} kept_batch;

typedef struct producer {
    int64_t id, timestamp_ms;
    fr_offset last; /* newest offset it has written, markers included */
    int16_t epoch;
    uint16_t count; /* of batches, newest last */
    kept_batch batches[FR_PRODUCER_BATCHES];
} producer;

typedef struct open_txn {
    int64_t producer;
    fr_offset first, marker; /* marker -1: not decided */
} open_txn;

typedef struct aborted_txn {
    int64_t producer;
    fr_offset first, last; /* last: the marker's */
} aborted_txn;

struct fr_producers {
    pthread_mutex_t lock;
    fr_number_map by_id;
    producer *list;
    uint32_t count, capacity;
    open_txn *open;
    uint32_t open_count, open_capacity;
    aborted_txn *aborted; /* by last */
    uint32_t aborted_count, aborted_capacity;
};

fr_code fr_producers_create(fr_producers **out)
{
    *out = fr_zalloc(FR_MEM_LOG, sizeof **out);
    if (*out == NULL) return FR_ERR_NO_MEMORY;
    pthread_mutex_init(&(*out)->lock, NULL);
    return FR_OK;
}

void fr_producers_free(fr_producers *p)
{
    if (p == NULL) return;
    fr_number_map_free(&p->by_id);
    fr_free(FR_MEM_LOG, p->list);
    fr_free(FR_MEM_LOG, p->open);
    fr_free(FR_MEM_LOG, p->aborted);
    pthread_mutex_destroy(&p->lock);
    fr_free(FR_MEM_LOG, p);
}

uint32_t fr_producers_count(fr_producers *p)
{
    pthread_mutex_lock(&p->lock);
    uint32_t count = p->count;
    pthread_mutex_unlock(&p->lock);
    return count;
}

static producer *find(fr_producers *p, int64_t id)
{
    uint32_t at = fr_number_map_get(&p->by_id, (uint64_t)id);
    return at != FR_NUMBER_NONE ? &p->list[at] : NULL;
}

static open_txn *find_open(fr_producers *p, int64_t id)
{
    for (uint32_t i = 0; i < p->open_count; i++)
        if (p->open[i].producer == id && p->open[i].marker < 0) return &p->open[i];
    return NULL;
}

static int32_t sequence_after(int32_t sequence, int32_t more)
{
    return (int32_t)(((uint32_t)sequence + (uint32_t)more) & 0x7fffffffu); /* wraps to 0 */
}

void fr_producers_list(fr_producers *p, void (*each)(void *user, const fr_producer_info *producer), void *user)
{
    pthread_mutex_lock(&p->lock);
    for (uint32_t i = 0; i < p->count; i++) {
        const producer *one = &p->list[i];
        const open_txn *open = find_open(p, one->id);
        fr_producer_info info = {.producer_id = one->id, .epoch = one->epoch, .last_sequence = -1, .timestamp_ms = one->timestamp_ms,
                                 .txn_first = open != NULL ? open->first : -1};
        if (one->count != 0) info.last_sequence = one->batches[one->count - 1].last_sequence;
        each(user, &info);
    }
    pthread_mutex_unlock(&p->lock);
}

/* ==== the rules ==== */

static fr_producer_verdict judge(fr_producers *p, const fr_batch_header *h, fr_offset *original_out)
{
    const producer *known = find(p, h->producerId);
    if (known == NULL) return FR_PRODUCER_OK; /* KIP-360: any sequence of one that is not known */
    if (h->producerEpoch < known->epoch) return FR_PRODUCER_OLD_EPOCH;
    int32_t last_sequence = sequence_after(h->baseSequence, h->lastOffsetDelta);
    bool same_epoch = h->producerEpoch == known->epoch;
    for (uint32_t i = 0; same_epoch && h->baseSequence >= 0 && i < known->count; i++)
        if (known->batches[i].first_sequence == h->baseSequence && known->batches[i].last_sequence == last_sequence) {
            *original_out = known->batches[i].base;
            return FR_PRODUCER_DUPLICATE;
        }
    if (h->baseSequence < 0) { /* our own records of a transaction carry none */
    } else if (same_epoch && known->count != 0) {
        if (h->baseSequence != sequence_after(known->batches[known->count - 1].last_sequence, 1))
            return FR_PRODUCER_OUT_OF_ORDER;
    } else if (!same_epoch && h->baseSequence != 0) {
        return FR_PRODUCER_OUT_OF_ORDER;
    } /* else: only markers are known of this epoch: any sequence */
    if (!(h->attributes & 0x10) && find_open(p, h->producerId) != NULL) return FR_PRODUCER_TXN_STATE;
    return FR_PRODUCER_OK;
}

fr_producer_verdict fr_producers_check(fr_producers *p, const fr_batch_header *h, fr_offset *original_out)
{
    *original_out = -1;
    pthread_mutex_lock(&p->lock);
    fr_producer_verdict verdict = judge(p, h, original_out);
    pthread_mutex_unlock(&p->lock);
    return verdict;
}

/* ==== following the log ==== */

static bool grow(void **items, uint32_t *capacity, uint32_t need, size_t size)
{
    if (need <= *capacity) return true;
    uint32_t wanted = FR_MAX(need, FR_MAX(4u, *capacity * 2));
    void *grown = fr_realloc(FR_MEM_LOG, *items, wanted * size);
    if (grown == NULL) return false;
    *items = grown;
    *capacity = wanted;
    return true;
}

fr_code fr_producers_reserve(fr_producers *p, uint32_t batches)
{
    pthread_mutex_lock(&p->lock);
    bool fine = fr_number_map_reserve(&p->by_id, batches) == FR_OK &&
                grow((void **)&p->list, &p->capacity, p->count + batches, sizeof *p->list) &&
                grow((void **)&p->open, &p->open_capacity, p->open_count + batches, sizeof *p->open) &&
                grow((void **)&p->aborted, &p->aborted_capacity, p->aborted_count + batches, sizeof *p->aborted);
    pthread_mutex_unlock(&p->lock);
    return fine ? FR_OK : FR_ERR_NO_MEMORY;
}

static producer *find_or_add(fr_producers *p, int64_t id)
{
    producer *known = find(p, id);
    if (known != NULL) return known;
    FR_ASSERT(p->count < p->capacity); /* reserved */
    fr_number_map_put(&p->by_id, (uint64_t)id, p->count);
    known = &p->list[p->count++];
    *known = (producer){.id = id, .epoch = -1, .last = -1};
    return known;
}

static void add_locked(fr_producers *p, const fr_batch_header *h, int64_t now_ms)
{
    fr_offset last = h->baseOffset + h->lastOffsetDelta;
    producer *known = find_or_add(p, h->producerId);
    if (last <= known->last) return;
    if (h->producerEpoch != known->epoch) known->count = 0;
    known->epoch = h->producerEpoch;
    known->last = last;
    known->timestamp_ms = now_ms; /* not the record's: that may be years old */
    if (h->baseSequence >= 0) {
        if (known->count == FR_PRODUCER_BATCHES) {
            memmove(known->batches, known->batches + 1, (FR_PRODUCER_BATCHES - 1) * sizeof *known->batches);
            known->count--;
        }
        known->batches[known->count++] = (kept_batch){.first_sequence = h->baseSequence,
                                                      .last_sequence = sequence_after(h->baseSequence, h->lastOffsetDelta),
                                                      .base = h->baseOffset,
                                                      .last = last};
    }
    if ((h->attributes & 0x10) && find_open(p, h->producerId) == NULL) {
        FR_ASSERT(p->open_count < p->open_capacity);
        p->open[p->open_count++] = (open_txn){h->producerId, h->baseOffset, -1};
    }
}

void fr_producers_add(fr_producers *p, const fr_batch_header *h, int64_t now_ms)
{
    if (h->producerId < 0) return;
    pthread_mutex_lock(&p->lock);
    add_locked(p, h, now_ms);
    pthread_mutex_unlock(&p->lock);
}

static void end_locked(fr_producers *p, const fr_batch_header *h, bool commit, int64_t now_ms)
{
    producer *known = find_or_add(p, h->producerId);
    if (h->baseOffset <= known->last) return;
    if (h->producerEpoch != known->epoch) known->count = 0;
    known->epoch = h->producerEpoch;
    known->last = h->baseOffset;
    known->timestamp_ms = now_ms; /* not the record's: that may be years old */
    open_txn *open = find_open(p, h->producerId);
    if (open == NULL) return;
    open->marker = h->baseOffset;
    if (commit) return;
    FR_ASSERT(p->aborted_count < p->aborted_capacity);
    p->aborted[p->aborted_count++] = (aborted_txn){h->producerId, open->first, h->baseOffset};
}

void fr_producers_end(fr_producers *p, const fr_batch_header *h, bool commit, int64_t now_ms)
{
    if (h->producerId < 0) return;
    pthread_mutex_lock(&p->lock);
    end_locked(p, h, commit, now_ms);
    pthread_mutex_unlock(&p->lock);
}

bool fr_producers_open(fr_producers *p, int64_t id, fr_offset *first_out)
{
    pthread_mutex_lock(&p->lock);
    const open_txn *open = find_open(p, id);
    if (first_out != NULL) *first_out = open != NULL ? open->first : -1;
    pthread_mutex_unlock(&p->lock);
    return open != NULL;
}

int16_t fr_producers_epoch(fr_producers *p, int64_t id)
{
    pthread_mutex_lock(&p->lock);
    const producer *known = find(p, id);
    int16_t epoch = known != NULL ? known->epoch : -1;
    pthread_mutex_unlock(&p->lock);
    return epoch;
}

/* ==== what readers may see ==== */

fr_offset fr_producers_first_open(fr_producers *p, fr_offset durable)
{
    fr_offset first = INT64_MAX;
    pthread_mutex_lock(&p->lock);
    for (uint32_t i = 0; i < p->open_count;) {
        if (p->open[i].marker >= 0 && p->open[i].marker < durable) {
            p->open[i] = p->open[--p->open_count];
            continue;
        }
        first = FR_MIN(first, p->open[i].first);
        i++;
    }
    pthread_mutex_unlock(&p->lock);
    return first;
}

fr_offset fr_producers_stable(fr_producers *p, fr_offset durable) { return FR_MIN(durable, fr_producers_first_open(p, durable)); }



static uint32_t aborted_from(const fr_producers *p, fr_offset from) /* the first that ends at or behind it */
{
    uint32_t low = 0, high = p->aborted_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (p->aborted[middle].last < from) low = middle + 1;
        else high = middle;
    }
    return low;
}

static int by_first(const void *a, const void *b)
{
    fr_offset x = ((const fr_aborted *)a)->first_offset, y = ((const fr_aborted *)b)->first_offset;
    return (x > y) - (x < y);
}

fr_code fr_producers_aborted(fr_producers *p, fr_offset from, fr_offset to, fr_aborted **out, uint32_t *count_out)
{
    *out = NULL;
    *count_out = 0;
    pthread_mutex_lock(&p->lock);
    uint32_t start = aborted_from(p, from), count = 0;
    for (uint32_t i = start; i < p->aborted_count; i++) count += p->aborted[i].first < to;
    if (count != 0) *out = fr_alloc(FR_MEM_LOG, count * sizeof **out);
    for (uint32_t i = start; i < p->aborted_count && *out != NULL; i++)
        if (p->aborted[i].first < to)
            (*out)[(*count_out)++] = (fr_aborted){p->aborted[i].producer, p->aborted[i].first};
    pthread_mutex_unlock(&p->lock);
    if (*out == NULL && count != 0) return FR_ERR_NO_MEMORY;
    if (*count_out > 1) qsort(*out, *count_out, sizeof **out, by_first);
    return FR_OK;
}

bool fr_producers_is_aborted(fr_producers *p, int64_t id, fr_offset offset)
{
    bool found = false;
    pthread_mutex_lock(&p->lock);
    for (uint32_t i = aborted_from(p, offset); i < p->aborted_count && !found; i++)
        found = p->aborted[i].producer == id && p->aborted[i].first <= offset;
    pthread_mutex_unlock(&p->lock);
    return found;
}

bool fr_producers_is_last(fr_producers *p, int64_t id, fr_offset last_offset)
{
    pthread_mutex_lock(&p->lock);
    const producer *known = find(p, id);
    bool last = known != NULL && known->count != 0 && known->batches[known->count - 1].last == last_offset;
    pthread_mutex_unlock(&p->lock);
    return last;
}

void fr_producers_expire(fr_producers *p, fr_offset log_start, int64_t older_than_ms)
{
    pthread_mutex_lock(&p->lock);
    uint32_t gone = aborted_from(p, log_start);
    if (gone != 0) {
        memmove(p->aborted, p->aborted + gone, (p->aborted_count - gone) * sizeof *p->aborted);
        p->aborted_count -= gone;
    }
    for (uint32_t i = 0; i < p->count;) {
        if (p->list[i].timestamp_ms >= older_than_ms || find_open(p, p->list[i].id) != NULL) {
            i++;
            continue;
        }
        fr_number_map_remove(&p->by_id, (uint64_t)p->list[i].id);
        p->list[i] = p->list[--p->count];
        if (i < p->count) fr_number_map_put(&p->by_id, (uint64_t)p->list[i].id, i);
    }
    pthread_mutex_unlock(&p->lock);
}

/* ==== as bytes: README.md, "Producer state" ==== */

static uint8_t *put_producer(uint8_t *at, const producer *known)
{
    memset(at, 0, ENTRY_BYTES);
    fr_store_le64(at, (uint64_t)known->id);
    fr_store_le64(at + 8, (uint64_t)known->timestamp_ms);
    fr_store_le64(at + 16, (uint64_t)known->last);
    fr_store_le16(at + 24, (uint16_t)known->epoch);
    fr_store_le16(at + 26, known->count);
    for (uint32_t i = 0; i < known->count; i++) {
        uint8_t *batch = at + 32 + i * 24u;
        fr_store_le32(batch, (uint32_t)known->batches[i].first_sequence);
        fr_store_le32(batch + 4, (uint32_t)known->batches[i].last_sequence);
        fr_store_le64(batch + 8, (uint64_t)known->batches[i].base);
        fr_store_le64(batch + 16, (uint64_t)known->batches[i].last);
    }
    return at + ENTRY_BYTES;
}

static uint8_t *put_three(uint8_t *at, int64_t a, int64_t b, int64_t c)
{
    fr_store_le64(at, (uint64_t)a);
    fr_store_le64(at + 8, (uint64_t)b);
    fr_store_le64(at + 16, (uint64_t)c);
    return at + 24;
}

fr_code fr_producers_save(fr_producers *p, fr_offset at_offset, uint8_t **data_out, size_t *size_out)
{
    pthread_mutex_lock(&p->lock);
    size_t size = STATE_HEAD + (size_t)p->count * ENTRY_BYTES + (size_t)p->open_count * OPEN_BYTES +
                  (size_t)p->aborted_count * ABORTED_BYTES + 4;
    uint8_t *data = fr_alloc(FR_MEM_LOG, size), *at = data;
    if (data != NULL) {
        memset(at, 0, STATE_HEAD);
        fr_store_le64(at, STATE_MAGIC);
        fr_store_le32(at + 8, STATE_VERSION);
        fr_store_le64(at + 16, (uint64_t)at_offset);
        fr_store_le32(at + 24, p->count);
        fr_store_le32(at + 28, p->open_count);
        fr_store_le32(at + 32, p->aborted_count);
        at += STATE_HEAD;
        for (uint32_t i = 0; i < p->count; i++) at = put_producer(at, &p->list[i]);
        for (uint32_t i = 0; i < p->open_count; i++)
            at = put_three(at, p->open[i].producer, p->open[i].first, p->open[i].marker);
        for (uint32_t i = 0; i < p->aborted_count; i++)
            at = put_three(at, p->aborted[i].producer, p->aborted[i].first, p->aborted[i].last);
        fr_store_le32(at, fr_simd_crc32c(0, data, size - 4));
    }
    pthread_mutex_unlock(&p->lock);
    *data_out = data;
    *size_out = size;
    return data != NULL ? FR_OK : FR_ERR_NO_MEMORY;
}

static bool take_producer(fr_producers *p, const uint8_t *at)
{
    producer *known = &p->list[p->count];
    *known = (producer){.id = (int64_t)fr_load_le64(at),
                        .timestamp_ms = (int64_t)fr_load_le64(at + 8),
                        .last = (int64_t)fr_load_le64(at + 16),
                        .epoch = (int16_t)fr_load_le16(at + 24),
                        .count = fr_load_le16(at + 26)};
    if (known->id < 0 || known->count > FR_PRODUCER_BATCHES || find(p, known->id) != NULL) return false;
    for (uint32_t i = 0; i < known->count; i++) {
        const uint8_t *batch = at + 32 + i * 24u;
        known->batches[i] = (kept_batch){.first_sequence = (int32_t)fr_load_le32(batch),
                                         .last_sequence = (int32_t)fr_load_le32(batch + 4),
                                         .base = (int64_t)fr_load_le64(batch + 8),
                                         .last = (int64_t)fr_load_le64(batch + 16)};
    }
    fr_number_map_put(&p->by_id, (uint64_t)known->id, p->count++);
    return true;
}

static fr_code take_all(fr_producers *p, const uint8_t *data, fr_err *err)
{
    const uint8_t *at = data + STATE_HEAD;
    uint32_t count = fr_load_le32(data + 24), open = fr_load_le32(data + 28), aborted = fr_load_le32(data + 32);
    bool room = fr_number_map_reserve(&p->by_id, count) == FR_OK &&
                grow((void **)&p->list, &p->capacity, count, sizeof *p->list) &&
                grow((void **)&p->open, &p->open_capacity, open, sizeof *p->open) &&
                grow((void **)&p->aborted, &p->aborted_capacity, aborted, sizeof *p->aborted);
    if (!room) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "producer state");
    for (uint32_t i = 0; i < count; i++, at += ENTRY_BYTES)
        if (!take_producer(p, at)) return fr_fail(err, FR_ERR_CORRUPT, NULL, "producer state: entry %u", i);
    for (uint32_t i = 0; i < open; i++, at += OPEN_BYTES)
        p->open[p->open_count++] = (open_txn){(int64_t)fr_load_le64(at), (int64_t)fr_load_le64(at + 8),
                                              (int64_t)fr_load_le64(at + 16)};
    for (uint32_t i = 0; i < aborted; i++, at += ABORTED_BYTES)
        p->aborted[p->aborted_count++] = (aborted_txn){(int64_t)fr_load_le64(at), (int64_t)fr_load_le64(at + 8),
                                                       (int64_t)fr_load_le64(at + 16)};
    return FR_OK;
}

fr_code fr_producers_load(const uint8_t *data, size_t size, fr_producers **out, fr_offset *at_out, fr_err *err)
{
    *out = NULL;
    if (size < STATE_HEAD + 4 || fr_load_le64(data) != STATE_MAGIC ||
        fr_simd_crc32c(0, data, size - 4) != fr_load_le32(data + size - 4))
        return fr_fail(err, FR_ERR_CORRUPT, NULL, "producer state: bad magic or checksum");
    if (fr_load_le32(data + 8) != STATE_VERSION)
        return fr_fail(err, FR_ERR_VERSION, NULL, "producer state of version %u, this program reads %u",
                       fr_load_le32(data + 8), STATE_VERSION);
    uint64_t need = STATE_HEAD + 4 + (uint64_t)fr_load_le32(data + 24) * ENTRY_BYTES +
                    (uint64_t)fr_load_le32(data + 28) * OPEN_BYTES + (uint64_t)fr_load_le32(data + 32) * ABORTED_BYTES;
    if (need != size) return fr_fail(err, FR_ERR_CORRUPT, NULL, "producer state: %zu bytes, not %llu", size,
                                     (unsigned long long)need);
    if (fr_producers_create(out) != FR_OK) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "producer state");
    *at_out = (fr_offset)fr_load_le64(data + 16);
    fr_code code = take_all(*out, data, err);
    if (code == FR_OK) return FR_OK;
    fr_producers_free(*out);
    *out = NULL;
    return code;
}
