/* group_offsets.h: the committed offsets of one group, and how they stand in records. Ordered by (topic, partition). What is newer in
 * the log wins, in whatever order the answers come. The owner's lock. */
#ifndef FR_KAFKA_GROUP_OFFSETS_H
#define FR_KAFKA_GROUP_OFFSETS_H

#include "api/base.h"

#define FR_OFFSET_METADATA_BYTES_MAX 4096u /* offset.metadata.max.bytes */

typedef struct fr_committed {
    fr_id topic;
    int32_t partition;
    int32_t leader_epoch;
    fr_offset offset;
    fr_offset at; /* of its record in the log */
    int64_t time_ms;
    char *metadata; /* owned in a set; NULL = empty */
    uint32_t metadata_size;
    bool gone; /* deleted; kept while an older commit may still be answered */
} fr_committed;

typedef struct fr_offsets {
    fr_committed *list;
    uint32_t count, capacity, gone;
} fr_offsets; /* zero-initialise */

fr_code fr_offsets_put(fr_offsets *set, const fr_committed *one); /* metadata is copied; older than what is there: nothing */
void fr_offsets_remove(fr_offsets *set, fr_id topic, int32_t partition, fr_offset at);
const fr_committed *fr_offsets_find(const fr_offsets *set, fr_id topic, int32_t partition); /* NULL: none, or gone */
void fr_offsets_purge(fr_offsets *set); /* no write is under way */
void fr_offsets_free(fr_offsets *set);

/* Record key: u8 'o', u8 1, u16 size and bytes of the group, u64 topic, i32 partition. Value: u8 1, i64 offset, i32 leader epoch,
 * i64 time ms, u16 size and bytes of the metadata. Little endian. */
#define FR_OFFSET_KEY_BYTES(group_size) ((group_size) + 16u)
#define FR_OFFSET_VALUE_BYTES(metadata_size) ((metadata_size) + 23u)
void fr_offset_key_write(uint8_t *to, fr_span group, fr_id topic, int32_t partition);
void fr_offset_value_write(uint8_t *to, const fr_committed *one);
bool fr_offset_key_read(fr_span key, fr_span *group_out, fr_id *topic_out, int32_t *partition_out);
bool fr_offset_value_read(fr_span value, fr_committed *one_out); /* metadata borrowed from value */

#endif
