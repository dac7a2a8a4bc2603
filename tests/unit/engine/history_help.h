/* history_help.h: what clients saw of a collection, and whether one order of all writes explains it (strict serializability).
 *
 * Keys come in groups, a write sets or deletes all keys of one group, and its offsets say where it stands among all writes. So the order is
 * known and the check is exact: each read must equal the state after some write c, where c is
 *   - not before a write that was answered when the read began,
 *   - not before what a read saw that ended when this one began,
 *   - before every write that began when the read had ended.
 * The smallest such c is taken, in the order of the reads' ends: a smaller c never forbids what a larger one allows. */
#ifndef FR_HISTORY_HELP_H
#define FR_HISTORY_HELP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/base.h"

#define GROUPS 12u
#define MEMBERS 4u
#define NOT_SEEN (-2)  /* the read did not look at this group, or could not be sure */
#define NOTHING (-1)   /* no key of the group is there */
#define HALF (-3)      /* some keys of one version, some of another or none */

typedef struct history_write {
    uint64_t began, answered; /* tickets */
    int64_t at, other_at;     /* its first offset in partition 0, in partition 1 */
    int32_t group, version;   /* version NOTHING: a delete */
    int32_t existed;          /* deletes: keys that were there, as answered; -1 = not asked */
} history_write;

typedef struct history_read {
    uint64_t began, ended;
    const char *how;
    int32_t saw[GROUPS]; /* version, or one of the above */
} history_read;

typedef struct history {
    history_write *writes;
    history_read *reads;
    uint32_t write_count, read_count;
    char why[240];
} history;

static int by_offset(const void *a, const void *b)
{
    int64_t x = ((const history_write *)a)->at, y = ((const history_write *)b)->at;
    return x < y ? -1 : x > y;
}
static int by_end(const void *a, const void *b)
{
    uint64_t x = ((const history_read *)a)->ended, y = ((const history_read *)b)->ended;
    return x < y ? -1 : x > y;
}

/* Writes in their order: the same in both partitions, and none before one that was answered when it began. */
static bool writes_hold(history *h, int32_t (*states)[GROUPS])
{
    uint64_t latest = 0;
    for (uint32_t g = 0; g < GROUPS; g++) states[0][g] = NOTHING;
    for (uint32_t i = 0; i < h->write_count; i++) {
        const history_write *w = &h->writes[i];
        if (w->answered < latest) {
            snprintf(h->why, sizeof h->why, "write %u stands behind one that began after its answer", i);
            return false;
        }
        latest = FR_MAX(latest, w->began);
        if (i > 0 && (w->at == w[-1].at || w->other_at <= w[-1].other_at)) {
            snprintf(h->why, sizeof h->why, "writes %u and %u have another order in partition 1", i - 1, i);
            return false;
        }
        int32_t before = states[i][w->group];
        if (w->version == NOTHING && w->existed >= 0 && w->existed != (before == NOTHING ? 0 : (int32_t)MEMBERS)) {
            snprintf(h->why, sizeof h->why, "write %u deleted %d keys of group %d, which had version %d", i, w->existed, w->group, before);
            return false;
        }
        memcpy(states[i + 1], states[i], sizeof states[0]);
        states[i + 1][w->group] = w->version;
    }
    return true;
}

static bool equal_where_seen(const history_read *r, const int32_t state[GROUPS])
{
    for (uint32_t g = 0; g < GROUPS; g++)
        if (r->saw[g] != NOT_SEEN && r->saw[g] != state[g]) return false;
    return true;
}

/* Reads, sorted by their ends: how many ended before `ticket`. */
static uint32_t ended_before(const history *h, uint64_t ticket)
{
    uint32_t low = 0, high = h->read_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (h->reads[middle].ended < ticket) low = middle + 1;
        else high = middle;
    }
    return low;
}

static bool reads_hold(history *h, int32_t (*states)[GROUPS])
{
    uint32_t *latest = fr_zalloc(FR_MEM_TEST, (h->read_count + 1) * sizeof *latest); /* the largest c of the first so many reads */
    bool good = true;
    for (uint32_t i = 0; good && i < h->read_count; i++) {
        const history_read *r = &h->reads[i];
        uint32_t low = 0, high = h->write_count;
        for (uint32_t w = 0; w < h->write_count; w++) {
            if (h->writes[w].answered < r->began) low = FR_MAX(low, w + 1);
            if (h->writes[w].began > r->ended) high = FR_MIN(high, w);
        }
        uint32_t answered = low;
        low = FR_MAX(low, latest[ended_before(h, r->began)]);
        uint32_t c = low;
        while (c <= high && !equal_where_seen(r, states[c])) c++;
        latest[i + 1] = FR_MAX(latest[i], c);
        if (c <= high) continue;
        good = false;
        size_t at = (size_t)snprintf(h->why, sizeof h->why, "read %u (%s) is the state after none of the writes %u (answered %u) to %u:", i, r->how, low,
                                     answered, high);
        for (uint32_t g = 0; g < GROUPS && at < sizeof h->why; g++)
            if (r->saw[g] != NOT_SEEN && low <= high && r->saw[g] != states[low][g])
                at += (size_t)snprintf(h->why + at, sizeof h->why - at, " group %u %d, not %d", g, r->saw[g], states[low][g]);
    }
    fr_free(FR_MEM_TEST, latest);
    return good;
}

/* True: one order explains it all. Else h->why. Sorts the history. */
static bool history_holds(history *h, int32_t last_out[GROUPS])
{
    if (h->write_count != 0) qsort(h->writes, h->write_count, sizeof *h->writes, by_offset);
    if (h->read_count != 0) qsort(h->reads, h->read_count, sizeof *h->reads, by_end);
    int32_t(*states)[GROUPS] = fr_zalloc(FR_MEM_TEST, (h->write_count + 1) * sizeof *states);
    bool good = writes_hold(h, states) && reads_hold(h, states);
    if (last_out != NULL) memcpy(last_out, states[h->write_count], sizeof states[0]);
    fr_free(FR_MEM_TEST, states);
    return good;
}

#endif
