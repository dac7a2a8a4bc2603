/* waiters.c: waiting for an offset (fr_when).
 * A waiter counts itself before it looks at the offset; who publishes looks at the count after the offset: one of them
 * sees the other (both sequentially consistent). */
#include "server/engine/engine.h"

typedef struct __attribute__((may_alias)) waiter_node {
    fr_waiter *next, **link; /* link NULL: not in the list */
    fr_collection *collection; /* a reference */
} waiter_node;
_Static_assert(sizeof(waiter_node) <= sizeof(((fr_waiter *)0)->opaque), "a node fits in fr_waiter.opaque");

static waiter_node *node_of(fr_waiter *waiter) { return (waiter_node *)(void *)waiter->opaque; }

static void list_in(fr_collection *collection, fr_waiter *waiter)
{
    waiter_node *node = node_of(waiter);
    node->next = collection->waiters;
    node->link = &collection->waiters;
    if (node->next != NULL) node_of(node->next)->link = &node->next;
    collection->waiters = waiter;
}

static void list_out(fr_waiter *waiter)
{
    waiter_node *node = node_of(waiter);
    *node->link = node->next;
    if (node->next != NULL) node_of(node->next)->link = node->link;
    node->link = NULL;
}

static bool reached(const fr_collection *collection, const fr_waiter *waiter)
{
    const fr_shard *shard = &collection->shards[waiter->partition];
    fr_offset at = waiter->durable_only ? fr_engine_durable(shard) : atomic_load(&shard->applied);
    return at >= waiter->offset;
}

static void fire(fr_waiter *waiter, fr_code code)
{
    fr_collection *collection = node_of(waiter)->collection;
    waiter->code = code;
    waiter->done(waiter); /* it may be gone afterwards */
    fr_engine_unref(collection);
}

fr_code fr_when(fr_db *db, fr_waiter *waiter)
{
    fr_collection *collection = fr_engine_topic_ref(db, waiter->id);
    if (collection == NULL) return FR_ERR_NOT_FOUND;
    if (waiter->partition < 0 || (uint32_t)waiter->partition >= collection->shard_count) {
        fr_engine_unref(collection);
        return FR_ERR_INVALID;
    }
    *node_of(waiter) = (waiter_node){.next = NULL, .collection = collection};
    pthread_mutex_lock(&collection->waiters_lock);
    atomic_fetch_add(&collection->waiter_count, 1);
    bool gone = atomic_load(&collection->dropped) || atomic_load(&db->stopping);
    bool now = reached(collection, waiter);
    if (!now && !gone) list_in(collection, waiter);
    else atomic_fetch_sub(&collection->waiter_count, 1);
    pthread_mutex_unlock(&collection->waiters_lock);
    if (now) {
        fire(waiter, FR_OK);
    } else if (gone) {
        fr_engine_unref(collection);
        return atomic_load(&db->stopping) ? FR_ERR_CLOSED : FR_ERR_NOT_FOUND;
    }
    return FR_OK;
}

bool fr_when_cancel(fr_db *db, fr_waiter *waiter)
{
    fr_collection *collection =
        fr_engine_topic_ref(db, waiter->id); /* the waiter's own reference may be gone already */
    bool found = false;
    if (collection == NULL) return false; /* dropped: every waiter is being answered */
    pthread_mutex_lock(&collection->waiters_lock);
    if (node_of(waiter)->link != NULL) {
        list_out(waiter);
        atomic_fetch_sub(&collection->waiter_count, 1);
        found = true;
    }
    pthread_mutex_unlock(&collection->waiters_lock);
    fr_engine_unref(collection);
    if (found) fr_engine_unref(collection);
    return found;
}

void fr_engine_waiters_fire(fr_collection *collection, fr_code closing)
{
    if (atomic_load(&collection->waiter_count) == 0) return;
    fr_waiter *fired = NULL;
    pthread_mutex_lock(&collection->waiters_lock);
    for (fr_waiter *waiter = collection->waiters, *after; waiter != NULL; waiter = after) {
        after = node_of(waiter)->next;
        if (closing == FR_OK && !reached(collection, waiter)) continue;
        list_out(waiter);
        node_of(waiter)->next = fired;
        fired = waiter;
        atomic_fetch_sub(&collection->waiter_count, 1);
    }
    pthread_mutex_unlock(&collection->waiters_lock);
    while (fired != NULL) {
        fr_waiter *next = node_of(fired)->next;
        fire(fired, closing);
        fired = next;
    }
}
