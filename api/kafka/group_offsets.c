/* group_offsets.c: see group_offsets.h. */
#include "api/kafka/group_offsets.h"

static bool place(const fr_offsets *set, fr_id topic, int32_t partition, uint32_t *at_out)
{
    uint32_t low = 0, high = set->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const fr_committed *one = &set->list[middle];
        if (one->topic < topic || (one->topic == topic && one->partition < partition)) low = middle + 1;
        else high = middle;
    }
    *at_out = low;
    return low < set->count && set->list[low].topic == topic && set->list[low].partition == partition;
}

static fr_code insert(fr_offsets *set, uint32_t at, fr_id topic, int32_t partition)
{
    if (set->count == set->capacity) {
        uint32_t capacity = FR_MAX(4u, set->capacity * 2);
        fr_committed *list = fr_alloc(FR_MEM_DOOR, capacity * sizeof *list);
        if (!list) return FR_ERR_NO_MEMORY;
        if (set->count) memcpy(list, set->list, set->count * sizeof *list);
        fr_free(FR_MEM_DOOR, set->list);
        set->list = list;
        set->capacity = capacity;
    }
    memmove(set->list + at + 1, set->list + at, (set->count - at) * sizeof *set->list);
    set->list[at] = (fr_committed){.topic = topic, .partition = partition, .at = -1, .offset = -1};
    set->count++;
    return FR_OK;
}

fr_code fr_offsets_put(fr_offsets *set, const fr_committed *one)
{
    uint32_t at;
    char *metadata = NULL;
    bool there = place(set, one->topic, one->partition, &at);
    if (there && set->list[at].at >= one->at) return FR_OK;
    if (one->metadata_size) {
        metadata = fr_alloc(FR_MEM_DOOR, one->metadata_size);
        if (!metadata) return FR_ERR_NO_MEMORY;
        memcpy(metadata, one->metadata, one->metadata_size);
    }
    if (!there && insert(set, at, one->topic, one->partition) != FR_OK) {
        fr_free(FR_MEM_DOOR, metadata);
        return FR_ERR_NO_MEMORY;
    }
    if (set->list[at].gone) set->gone--;
    fr_free(FR_MEM_DOOR, set->list[at].metadata);
    set->list[at] = *one;
    set->list[at].metadata = metadata;
    set->list[at].gone = false;
    return FR_OK;
}

void fr_offsets_remove(fr_offsets *set, fr_id topic, int32_t partition, fr_offset at_offset)
{
    uint32_t at;
    bool there = place(set, topic, partition, &at);
    if (there && set->list[at].at > at_offset) return;
    if (!there && insert(set, at, topic, partition) != FR_OK) return; /* no memory: the next start reads the tombstone */
    set->list[at].at = at_offset;
    if (!set->list[at].gone) set->gone++;
    set->list[at].gone = true;
}

const fr_committed *fr_offsets_find(const fr_offsets *set, fr_id topic, int32_t partition)
{
    uint32_t at;
    return place(set, topic, partition, &at) && !set->list[at].gone ? &set->list[at] : NULL;
}

void fr_offsets_purge(fr_offsets *set)
{
    uint32_t kept = 0;
    if (!set->gone) return;
    for (uint32_t i = 0; i < set->count; i++) {
        if (set->list[i].gone) fr_free(FR_MEM_DOOR, set->list[i].metadata);
        else set->list[kept++] = set->list[i];
    }
    set->count = kept;
    set->gone = 0;
}

void fr_offsets_free(fr_offsets *set)
{
    for (uint32_t i = 0; i < set->count; i++) fr_free(FR_MEM_DOOR, set->list[i].metadata);
    fr_free(FR_MEM_DOOR, set->list);
    *set = (fr_offsets){0};
}

/* ---- records ---- */

void fr_offset_key_write(uint8_t *to, fr_span group, fr_id topic, int32_t partition)
{
    to[0] = 'o', to[1] = 1;
    fr_store_le16(to + 2, (uint16_t)group.size);
    memcpy(to + 4, group.data, group.size);
    fr_store_le64(to + 4 + group.size, topic);
    fr_store_le32(to + 12 + group.size, (uint32_t)partition);
}

void fr_offset_value_write(uint8_t *to, const fr_committed *one)
{
    to[0] = 1;
    fr_store_le64(to + 1, (uint64_t)one->offset);
    fr_store_le32(to + 9, (uint32_t)one->leader_epoch);
    fr_store_le64(to + 13, (uint64_t)one->time_ms);
    fr_store_le16(to + 21, (uint16_t)one->metadata_size);
    if (one->metadata_size) memcpy(to + 23, one->metadata, one->metadata_size);
}

bool fr_offset_key_read(fr_span key, fr_span *group_out, fr_id *topic_out, int32_t *partition_out)
{
    const uint8_t *at = key.data;
    if (!at || key.size < FR_OFFSET_KEY_BYTES(1u) || at[0] != 'o' || at[1] != 1) return false;
    size_t size = fr_load_le16(at + 2);
    if (key.size != FR_OFFSET_KEY_BYTES(size)) return false;
    *group_out = fr_span_of(at + 4, size);
    *topic_out = fr_load_le64(at + 4 + size);
    *partition_out = (int32_t)fr_load_le32(at + 12 + size);
    return size > 0;
}

bool fr_offset_value_read(fr_span value, fr_committed *one_out)
{
    const uint8_t *at = value.data;
    if (!at || value.size < FR_OFFSET_VALUE_BYTES(0u) || at[0] != 1) return false;
    size_t size = fr_load_le16(at + 21);
    if (value.size != FR_OFFSET_VALUE_BYTES(size)) return false;
    one_out->offset = (fr_offset)fr_load_le64(at + 1);
    one_out->leader_epoch = (int32_t)fr_load_le32(at + 9);
    one_out->time_ms = (int64_t)fr_load_le64(at + 13);
    one_out->metadata_size = (uint32_t)size;
    one_out->metadata = size ? (char *)(uintptr_t)(at + 23) : NULL;
    return true;
}
