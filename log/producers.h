/* producers.h: what a partition knows of its producers: the last five batches of each (so that a repeated one is answered,
 * not written again), which transactions are open, which were aborted. A pure function of the log's batch headers.
 *
 * Threads: any; one small lock inside. Order of updates: the writer, in the order of the log. Source of the rules:
 * org.apache.kafka.storage.internals.log.ProducerAppendInfo, ProducerStateEntry (KIP-98, KIP-360). */
#ifndef FR_PRODUCERS_H
#define FR_PRODUCERS_H

#include "log/batch.h"

#define FR_PRODUCER_BATCHES 5u /* Kafka's NUM_BATCHES_TO_RETAIN */

typedef struct fr_producers fr_producers;
typedef enum fr_producer_verdict {
    FR_PRODUCER_OK,
    FR_PRODUCER_DUPLICATE,    /* *original_out: the base offset it has already */
    FR_PRODUCER_OUT_OF_ORDER, /* a gap, older than the window, or a new epoch that does not begin at 0 */
    FR_PRODUCER_OLD_EPOCH,
    FR_PRODUCER_TXN_STATE     /* outside of a transaction while the producer's is open */
} fr_producer_verdict;

fr_code fr_producers_create(fr_producers **out);
void fr_producers_free(fr_producers *producers); /* accepts NULL */
uint32_t fr_producers_count(fr_producers *producers);

/* May this batch (producerId >= 0) be appended? */
fr_producer_verdict fr_producers_check(fr_producers *producers, const fr_batch_header *header, fr_offset *original_out);
fr_code fr_producers_reserve(fr_producers *producers, uint32_t batches); /* the next `batches` adds cannot fail */
/* A batch that stands in the log, header->baseOffset its place; control batches too (key: its record's). Batches at or below
 * what the producer is known for change nothing, so a scan may overlap a loaded state. */
void fr_producers_add(fr_producers *producers, const fr_batch_header *header, int64_t now_ms);
void fr_producers_end(fr_producers *producers, const fr_batch_header *header, bool commit, int64_t now_ms);
bool fr_producers_open(fr_producers *producers, int64_t producer_id, fr_offset *first_out); /* has it an open transaction here? */
int16_t fr_producers_epoch(fr_producers *producers, int64_t producer_id);                    /* -1: not known */

/* First offset of the oldest transaction that is not decided below `durable`; `durable` when there is none. */
fr_offset fr_producers_stable(fr_producers *producers, fr_offset durable);
/* The same, INT64_MAX when there is none: nothing from here on may be compacted. */
fr_offset fr_producers_first_open(fr_producers *producers, fr_offset durable);
/* Aborted transactions that touch [from, to), by first offset; FR_MEM_LOG, the caller's. */
fr_code fr_producers_aborted(fr_producers *producers, fr_offset from, fr_offset to, fr_aborted **out, uint32_t *count_out);
/* Was this offset written by a transaction that was aborted? */
bool fr_producers_is_aborted(fr_producers *producers, int64_t producer_id, fr_offset offset);
/* Is this the last batch of its producer (compaction keeps it, even without records)? */
bool fr_producers_is_last(fr_producers *producers, int64_t producer_id, fr_offset last_offset);

/* Under the lock, by no order. */
void fr_producers_list(fr_producers *producers, void (*each)(void *user, const fr_producer_info *producer), void *user);
void fr_producers_expire(fr_producers *producers, fr_offset log_start, int64_t older_than_ms); /* producers not heard of since; aborted entries */

/* The whole state as bytes (FR_MEM_LOG, the caller's), valid for a log that reaches `at` (exclusive); and back. */
fr_code fr_producers_save(fr_producers *producers, fr_offset at, uint8_t **data_out, size_t *size_out);
fr_code fr_producers_load(const uint8_t *data, size_t size, fr_producers **out, fr_offset *at_out, fr_err *err);

#endif
