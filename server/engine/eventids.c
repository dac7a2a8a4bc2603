/* eventids.c: the idempotency window of one partition: the last FR_EVENT_IDS_KEPT event ids, or FR_EVENT_ID_MS_KEPT,
 * the shorter. Invariants
 *  1. ring[head..tail) holds ids in the order of their offsets; slots is an open-addressing table of ring positions
 * over it.
 *  2. Added by the writer before the append, undone when the append fails; on recovery added by apply.
 *  3. An id is known by a 128-bit hash of its bytes: 32 bytes an id instead of up to 256. */
#include "server/engine/engine.h"

static void hash_id(fr_span id, uint64_t hash[2])
{
    hash[0] = fr_hash(id.data, id.size, 0x66726573u);
    hash[1] = fr_hash(id.data, id.size, 0x68657421u);
}

void fr_event_ids_init(fr_event_ids *ids)
{
    *ids = (fr_event_ids){0};
    pthread_mutex_init(&ids->lock, NULL);
}

void fr_event_ids_free(fr_event_ids *ids)
{
    fr_free(FR_MEM_ENGINE, ids->ring);
    fr_free(FR_MEM_ENGINE, ids->slots);
    pthread_mutex_destroy(&ids->lock);
}

static fr_event_id *at(const fr_event_ids *ids, uint64_t position)
{
    return &ids->ring[position & (ids->ring_size - 1)];
}

/* The slot that holds this hash, or the empty one where it belongs. Positions are kept modulo the ring, + 1. */
static uint32_t seek(const fr_event_ids *ids, const uint64_t hash[2])
{
    uint32_t slot = (uint32_t)hash[0] & ids->slot_mask;
    while (ids->slots[slot] != 0) {
        const fr_event_id *entry = &ids->ring[ids->slots[slot] - 1];
        if (entry->hash[0] == hash[0] && entry->hash[1] == hash[1]) break;
        slot = (slot + 1) & ids->slot_mask;
    }
    return slot;
}

static void slot_set(fr_event_ids *ids, uint64_t position)
{
    ids->slots[seek(ids, at(ids, position)->hash)] = (uint32_t)(position & (ids->ring_size - 1)) + 1;
}

static void slot_clear(fr_event_ids *ids, uint64_t position)
{
    uint32_t hole = seek(ids, at(ids, position)->hash);
    if (ids->slots[hole] != (uint32_t)(position & (ids->ring_size - 1)) + 1)
        return; /* a later entry of the same id owns it */
    for (uint32_t next = (hole + 1) & ids->slot_mask; ids->slots[next] != 0; next = (next + 1) & ids->slot_mask) {
        uint32_t home = (uint32_t)ids->ring[ids->slots[next] - 1].hash[0] & ids->slot_mask;
        if (((next - home) & ids->slot_mask) < ((next - hole) & ids->slot_mask))
            continue; /* it must not move before its home */
        ids->slots[hole] = ids->slots[next];
        hole = next;
    }
    ids->slots[hole] = 0;
}

static fr_code grow(fr_event_ids *ids)
{
    uint32_t size = ids->ring_size == 0 ? 256 : ids->ring_size * 2;
    fr_event_id *ring = fr_alloc(FR_MEM_ENGINE, size * sizeof *ring);
    uint32_t *slots = fr_zalloc(FR_MEM_ENGINE, (size_t)size * 2 * sizeof *slots);
    if (ring == NULL || slots == NULL) {
        fr_free(FR_MEM_ENGINE, ring);
        fr_free(FR_MEM_ENGINE, slots);
        return FR_ERR_NO_MEMORY;
    }
    for (uint64_t p = ids->head; p < ids->tail; p++) ring[p & (size - 1)] = *at(ids, p);
    fr_free(FR_MEM_ENGINE, ids->ring);
    fr_free(FR_MEM_ENGINE, ids->slots);
    ids->ring = ring;
    ids->slots = slots;
    ids->ring_size = size;
    ids->slot_mask = size * 2 - 1;
    for (uint64_t p = ids->head; p < ids->tail; p++) slot_set(ids, p);
    return FR_OK;
}

static void drop_oldest(fr_event_ids *ids)
{
    slot_clear(ids, ids->head);
    ids->head++;
}

static fr_code add(fr_event_ids *ids, const fr_event_id *entry)
{
    while (ids->tail > ids->head && entry->time_ms - at(ids, ids->head)->time_ms >= FR_EVENT_ID_MS_KEPT)
        drop_oldest(ids);
    if (ids->tail - ids->head == FR_EVENT_IDS_KEPT) drop_oldest(ids);
    if (ids->tail - ids->head == ids->ring_size) FR_TRY(grow(ids));
    *at(ids, ids->tail) = *entry;
    uint32_t slot = seek(ids, entry->hash);
    ids->slots[slot] = (uint32_t)(ids->tail & (ids->ring_size - 1)) + 1; /* the newer entry of an id answers */
    ids->tail++;
    return FR_OK;
}
_Static_assert((FR_EVENT_IDS_KEPT & (FR_EVENT_IDS_KEPT - 1)) == 0, "the ring grows by doubling to exactly the window");

bool fr_event_ids_find(fr_event_ids *ids, fr_span id, int64_t now_ms, fr_offset *offset_out)
{
    uint64_t hash[2];
    bool found = false;
    hash_id(id, hash);
    pthread_mutex_lock(&ids->lock);
    if (ids->ring_size != 0) {
        uint32_t slot = ids->slots[seek(ids, hash)];
        if (slot != 0 && now_ms - ids->ring[slot - 1].time_ms < FR_EVENT_ID_MS_KEPT) {
            *offset_out = ids->ring[slot - 1].offset;
            found = true;
        }
    }
    pthread_mutex_unlock(&ids->lock);
    return found;
}

fr_code fr_event_ids_add(fr_event_ids *ids, fr_span id, fr_offset offset, int64_t time_ms)
{
    fr_event_id entry = {.offset = offset, .time_ms = time_ms};
    hash_id(id, entry.hash);
    pthread_mutex_lock(&ids->lock);
    fr_code code = add(ids, &entry);
    pthread_mutex_unlock(&ids->lock);
    return code;
}

void fr_event_ids_undo(fr_event_ids *ids, fr_offset from)
{
    pthread_mutex_lock(&ids->lock);
    while (ids->tail > ids->head && at(ids, ids->tail - 1)->offset >= from) {
        slot_clear(ids, ids->tail - 1);
        ids->tail--;
    }
    pthread_mutex_unlock(&ids->lock);
}

fr_code fr_event_ids_copy(fr_event_ids *ids, fr_offset until, fr_event_id **out, uint32_t *count_out)
{
    *out = NULL;
    *count_out = 0;
    pthread_mutex_lock(&ids->lock);
    uint64_t count = ids->tail - ids->head;
    fr_code code = FR_OK;
    if (count != 0) {
        *out = fr_alloc(FR_MEM_ENGINE, count * sizeof **out);
        if (*out == NULL) code = FR_ERR_NO_MEMORY;
        for (uint64_t p = ids->head; *out != NULL && p < ids->tail && at(ids, p)->offset <= until; p++)
            (*out)[(*count_out)++] = *at(ids, p);
    }
    pthread_mutex_unlock(&ids->lock);
    return code;
}

fr_code fr_event_ids_load(fr_event_ids *ids, const fr_event_id *entries, uint32_t count)
{
    pthread_mutex_lock(&ids->lock);
    fr_code code = FR_OK;
    for (uint32_t i = 0; i < count && code == FR_OK; i++) code = add(ids, &entries[i]);
    pthread_mutex_unlock(&ids->lock);
    return code;
}
