/* epoch.h: when is memory that was unlinked safe to reuse? Readers announce the epoch in which they started; what was
 * retired in epoch e may go once no reader of an epoch <= e is left. One domain for the whole process.
 * Source: K. Fraser, Practical lock-freedom, 2004, section 5.2.3; slot table in the manner of LMDB's readers. */
#ifndef FR_EPOCH_H
#define FR_EPOCH_H

#include "api/base.h"

#define FR_EPOCH_READERS_MAX 1024u

uint32_t fr_epoch_claim(void); /* a reader slot; FR_EPOCH_READERS_MAX when none is free */
void fr_epoch_release(uint32_t slot);
void fr_epoch_enter(uint32_t slot);
void fr_epoch_leave(uint32_t slot);
uint64_t fr_epoch_stamp(void);          /* after unlinking: what readers from now on cannot see */
bool fr_epoch_passed(uint64_t stamp);   /* no reader that entered before the stamp is left */

/* Blocks waiting for their epoch. Owner: one thread at a time. */
typedef struct fr_retired {
    struct fr_retired_block {
        uint64_t stamp;
        void *memory;
        size_t pages; /* > 0: from fr_alloc_pages */
        fr_mem tag;
        void (*destroy)(void *memory); /* instead of a plain free */
    } *blocks;
    uint32_t count, capacity;
} fr_retired;
bool fr_retired_reserve(fr_retired *list, uint32_t more); /* so that a later push cannot fail */
void fr_retired_push(fr_retired *list, fr_mem tag, void *memory, size_t pages);
void fr_retired_push_object(fr_retired *list, void *object, void (*destroy)(void *object));
void fr_retired_free(fr_retired *list, bool all); /* all: nobody else is there */

#endif
