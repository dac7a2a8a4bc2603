/* group.c: see group.h. Invariants
 *   1. A parked join makes its member `joined`; the round is over when all members are, and nobody is pending, or the time is up.
 *   2. generation grows with every round; a waiter is told once.
 *   3. A static member keeps its place while it is away, until its session ends. */
#include "api/kafka/group.h"

#include "api/kafka/kafka_private.h"

#include <stdio.h>

const char *fr_group_state_name(fr_group_state state)
{
    static const char *const names[] = {"Empty", "PreparingRebalance", "CompletingRebalance", "Stable"};
    return names[state];
}

/* ---- members ---- */

static fr_group_member *find(const fr_group *group, fr_span id)
{
    for (fr_group_member *m = group->members; m; m = m->next)
        if (fr_span_equal(fr_span_text(m->id), id)) return m;
    return NULL;
}

static fr_group_member *find_instance(const fr_group *group, fr_span instance)
{
    if (!instance.data) return NULL;
    for (fr_group_member *m = group->members; m; m = m->next)
        if (m->instance && fr_span_equal(fr_span_text(m->instance), instance)) return m;
    return NULL;
}

fr_group_member *fr_group_member_of(const fr_group *group, fr_span member_id)
{
    fr_group_member *m = find(group, member_id);
    return m && !m->pending ? m : NULL;
}

static void text_put(char *to, size_t size, fr_span from)
{
    size_t kept = FR_MIN(from.size, size - 1);
    if (kept) memcpy(to, from.data, kept);
    to[kept] = 0;
}

static char *text_copy(fr_span from)
{
    char *copy = fr_alloc(FR_MEM_DOOR, from.size + 1);
    if (copy) text_put(copy, from.size + 1, from);
    return copy;
}

static void tell(fr_group_waiter **slot, int16_t error, int32_t generation)
{
    fr_group_waiter *waiter = *slot;
    if (!waiter) return;
    *slot = NULL;
    waiter->error = error;
    waiter->generation = generation;
    waiter->done = true;
    waiter->parked = false;
    waiter->group = NULL;
    waiter->ready(waiter);
}

static void finish(fr_group_waiter *waiter, int16_t error, int32_t generation)
{
    waiter->error = error;
    waiter->generation = generation;
    waiter->done = true;
}

/* What a member takes counts against the budget of all groups. */
static bool spend(fr_group *group, size_t size)
{
    fr_group_budget *budget = group->budget;
    if (!budget) return true;
    if (size > budget->max - FR_MIN(budget->used, budget->max)) return false;
    budget->used += size;
    return true;
}

static void refund(fr_group *group, size_t size)
{
    if (group->budget) group->budget->used -= size;
}

static void member_free(fr_group *group, fr_group_member *m)
{
    refund(group, sizeof *m + m->protocols_size + m->assignment_size);
    fr_free(FR_MEM_DOOR, m->instance);
    fr_free(FR_MEM_DOOR, m->protocols);
    fr_free(FR_MEM_DOOR, m->assignment);
    fr_free(FR_MEM_DOOR, m);
}

static void member_drop(fr_group *group, fr_group_member *gone, int16_t error)
{
    for (fr_group_member **at = &group->members; *at; at = &(*at)->next) {
        if (*at != gone) continue;
        *at = gone->next;
        break;
    }
    if (!gone->pending) group->member_count--;
    tell(&gone->join, error, -1);
    tell(&gone->sync, error, -1);
    if (!gone->pending && strcmp(group->leader, gone->id) == 0) {
        group->leader[0] = 0;
        for (fr_group_member *m = group->members; m; m = m->next)
            if (!m->pending && (!group->leader[0] || m->join)) {
                snprintf(group->leader, sizeof group->leader, "%s", m->id);
                if (m->join) break;
            }
    }
    member_free(group, gone);
}

/* NONE, or the error: the budget, or no memory. */
static int16_t protocols_take(fr_group *group, fr_group_member *m, const fr_group_join_request *request)
{
    size_t size = request->protocol_count * sizeof(fr_group_protocol);
    for (uint32_t i = 0; i < request->protocol_count; i++) size += request->protocols[i].name.size + request->protocols[i].metadata.size;
    if (!spend(group, size)) return KAFKA_GROUP_MAX_SIZE_REACHED;
    fr_group_protocol *list = fr_alloc(FR_MEM_DOOR, FR_MAX(size, 1u));
    if (!list) {
        refund(group, size);
        return KAFKA_COORDINATOR_NOT_AVAILABLE;
    }
    refund(group, m->protocols_size);
    m->protocols_size = size;
    char *at = (char *)(list + request->protocol_count);
    for (uint32_t i = 0; i < request->protocol_count; i++) {
        const fr_group_protocol *from = &request->protocols[i];
        list[i].name = fr_span_of(at, from->name.size);
        if (from->name.size) memcpy(at, from->name.data, from->name.size);
        at += from->name.size;
        list[i].metadata = fr_span_of(at, from->metadata.size);
        if (from->metadata.size) memcpy(at, from->metadata.data, from->metadata.size);
        at += from->metadata.size;
    }
    fr_free(FR_MEM_DOOR, m->protocols);
    m->protocols = list;
    m->protocol_count = request->protocol_count;
    return KAFKA_NONE;
}

static bool protocols_same(const fr_group_member *m, const fr_group_join_request *request)
{
    if (m->protocol_count != request->protocol_count) return false;
    for (uint32_t i = 0; i < m->protocol_count; i++)
        if (!fr_span_equal(m->protocols[i].name, request->protocols[i].name) ||
            !fr_span_equal(m->protocols[i].metadata, request->protocols[i].metadata))
            return false;
    return true;
}

static bool supports(const fr_group_member *m, fr_span name)
{
    for (uint32_t i = 0; i < m->protocol_count; i++)
        if (fr_span_equal(m->protocols[i].name, name)) return true;
    return false;
}

static const fr_group_member *first_member(const fr_group *group)
{
    const fr_group_member *first = group->members;
    while (first && first->pending) first = first->next;
    return first;
}

/* Which of the first member's protocols all support, as bits: one pass over the members, whatever is asked of it afterwards. */
_Static_assert(FR_GROUP_PROTOCOLS_MAX <= 64, "a bit for each protocol");
static uint64_t common(const fr_group *group)
{
    const fr_group_member *first = first_member(group);
    uint64_t bits = 0;
    for (uint32_t i = 0; first && i < first->protocol_count; i++) bits |= 1ull << i;
    for (const fr_group_member *m = first ? first->next : NULL; m && bits; m = m->next)
        for (uint32_t i = 0; !m->pending && i < first->protocol_count; i++)
            if ((bits >> i & 1) && !supports(m, first->protocols[i].name)) bits &= ~(1ull << i);
    return bits;
}

static bool consistent(const fr_group *group, const fr_group_join_request *request)
{
    if (group->member_count == 0) return true;
    if (group->protocol_type && !fr_span_equal(fr_span_text(group->protocol_type), request->protocol_type)) return false;
    const fr_group_member *first = first_member(group);
    uint64_t bits = common(group);
    for (uint32_t i = 0; i < first->protocol_count; i++)
        for (uint32_t j = 0; (bits >> i & 1) && j < request->protocol_count; j++)
            if (fr_span_equal(first->protocols[i].name, request->protocols[j].name)) return true;
    return false;
}

/* The protocol with the most votes: each member is for the first of its own that all support. */
static fr_span vote(const fr_group *group)
{
    const fr_group_member *first = first_member(group);
    uint64_t bits = common(group);
    uint32_t votes[FR_GROUP_PROTOCOLS_MAX] = {0}, best = 0;
    if (!first || !bits) return fr_span_of("", 0);
    for (const fr_group_member *m = first; m; m = m->next) {
        bool voted = m->pending;
        for (uint32_t j = 0; j < m->protocol_count && !voted; j++)
            for (uint32_t i = 0; i < first->protocol_count && !voted; i++)
                if ((bits >> i & 1) && fr_span_equal(first->protocols[i].name, m->protocols[j].name)) votes[i]++, voted = true;
    }
    for (uint32_t i = 1; i < first->protocol_count; i++)
        if (votes[i] > votes[best]) best = i;
    return first->protocols[best].name;
}

fr_span fr_group_metadata(const fr_group *group, const fr_group_member *member)
{
    fr_span name = fr_span_text(group->protocol);
    for (uint32_t i = 0; i < member->protocol_count; i++)
        if (fr_span_equal(member->protocols[i].name, name)) return member->protocols[i].metadata;
    return fr_span_of("", 0);
}

/* Subscription: i16 version, then an array of topic names. */
static bool names_topic(fr_span metadata, fr_span topic)
{
    const uint8_t *at = metadata.data, *end = at ? at + metadata.size : NULL;
    if (!at || metadata.size < 6) return false;
    uint32_t count = fr_load_be32(at + 2);
    at += 6;
    for (uint32_t i = 0; i < count && end - at >= 2; i++) {
        size_t size = fr_load_be16(at);
        if ((size_t)(end - at) < 2 + size) return false;
        if (fr_span_equal(fr_span_of(at + 2, size), topic)) return true;
        at += 2 + size;
    }
    return false;
}

bool fr_group_subscribed(const fr_group *group, fr_span topic)
{
    if (!group->protocol_type || strcmp(group->protocol_type, "consumer") != 0) return false;
    for (const fr_group_member *m = group->members; m; m = m->next)
        for (uint32_t i = 0; i < m->protocol_count; i++)
            if (names_topic(m->protocols[i].metadata, topic)) return true;
    return false;
}

/* ---- rounds ---- */

static void joined_answer(fr_group *group, const fr_group_member *m, fr_group_waiter *waiter)
{
    snprintf(waiter->member_id, sizeof waiter->member_id, "%s", m->id);
    snprintf(waiter->leader, sizeof waiter->leader, "%s", group->leader);
}

static void empty(fr_group *group)
{
    group->state = FR_GROUP_EMPTY;
    group->generation++;
    group->protocol[0] = group->leader[0] = 0; /* the protocol type stays, as Apache Kafka lists it */
}

static int32_t longest_rebalance(const fr_group *group)
{
    int32_t longest = 0;
    for (const fr_group_member *m = group->members; m; m = m->next)
        if (!m->pending) longest = FR_MAX(longest, m->rebalance_ms);
    return longest;
}

static void round_complete(fr_group *group, int64_t now_ms)
{
    bool leads = false;
    for (fr_group_member *m = group->members; m; m = m->next) leads = leads || (m->join && strcmp(m->id, group->leader) == 0);
    for (fr_group_member *m = group->members; m && !leads; m = m->next) {
        if (!m->join) continue;
        snprintf(group->leader, sizeof group->leader, "%s", m->id);
        leads = true;
    }
    group->generation++;
    text_put(group->protocol, sizeof group->protocol, vote(group));
    group->state = FR_GROUP_COMPLETING;
    group->sync_deadline_ms = now_ms + longest_rebalance(group);
    for (fr_group_member *m = group->members; m; m = m->next) {
        if (m->pending) continue;
        m->synced = false;
        m->in_round = m->join != NULL;
        if (!m->join) continue; /* static and away: its session goes on */
        m->deadline_ms = now_ms + m->session_ms;
        joined_answer(group, m, m->join);
        tell(&m->join, KAFKA_NONE, group->generation);
    }
}

static void try_complete(fr_group *group, int64_t now_ms)
{
    if (group->state != FR_GROUP_PREPARING) return;
    bool all = true, some = false;
    for (const fr_group_member *m = group->members; m; m = m->next) {
        all = all && m->join;
        some = some || m->join;
    }
    if (group->member_count == 0) {
        empty(group);
    } else if (all) {
        round_complete(group, now_ms);
    } else if (now_ms >= group->rebalance_deadline_ms) {
        for (fr_group_member *m = group->members, *next; m; m = next) {
            next = m->next;
            if (!m->join && (m->pending || !m->instance)) member_drop(group, m, KAFKA_UNKNOWN_MEMBER_ID);
        }
        if (group->member_count == 0) empty(group);
        else if (some) round_complete(group, now_ms);
        else group->rebalance_deadline_ms = now_ms + longest_rebalance(group); /* only static ones, all away */
    }
}

static void rebalance(fr_group *group, int64_t now_ms)
{
    if (group->state == FR_GROUP_PREPARING) {
        try_complete(group, now_ms);
        return;
    }
    for (fr_group_member *m = group->members; m; m = m->next) {
        fr_free(FR_MEM_DOOR, m->assignment);
        refund(group, m->assignment_size);
        m->assignment = NULL;
        m->assignment_size = 0;
        if (!m->sync) continue;
        m->deadline_ms = now_ms + m->session_ms;
        tell(&m->sync, KAFKA_REBALANCE_IN_PROGRESS, -1);
    }
    group->state = FR_GROUP_PREPARING;
    group->rebalance_deadline_ms = now_ms + longest_rebalance(group);
    try_complete(group, now_ms);
}

static void park_join(fr_group *group, int64_t now_ms, fr_group_member *m, fr_group_waiter *waiter)
{
    tell(&m->join, KAFKA_UNKNOWN_MEMBER_ID, -1); /* an older join of the same member: its client gave up on it */
    m->deadline_ms = now_ms + m->session_ms;
    m->join = waiter;
    waiter->parked = true;
    waiter->group = group;
    rebalance(group, now_ms);
}

/* ---- join ---- */

static void id_make(const fr_group_join_request *request, char *id, size_t size)
{
    fr_span prefix = request->instance.data ? request->instance : request->client_id;
    char text[FR_NAME_BYTES_MAX + 1];
    text_put(text, 200, prefix);
    snprintf(id, size, "%s-%08x-%04x-%04x-%04x-%012llx", text, (unsigned)(request->random[0] >> 32),
             (unsigned)(request->random[0] >> 16) & 0xffff, (unsigned)(request->random[0] & 0xfff) | 0x4000,
             (unsigned)(request->random[1] >> 48 & 0x3fff) | 0x8000, (unsigned long long)(request->random[1] & 0xffffffffffffu));
}

static void member_update(fr_group_member *m, int64_t now_ms, const fr_group_join_request *request)
{
    m->session_ms = request->session_ms;
    m->rebalance_ms = FR_MIN(request->rebalance_ms > 0 ? request->rebalance_ms : request->session_ms, FR_GROUP_REBALANCE_MS_MAX);
    m->deadline_ms = now_ms + m->session_ms;
    text_put(m->client_id, sizeof m->client_id, request->client_id);
    text_put(m->client_host, sizeof m->client_host, request->client_host);
}

static fr_group_member *member_add(fr_group *group, int64_t now_ms, const fr_group_join_request *request, int16_t *error_out)
{
    fr_group_member **end = &group->members;
    if (!spend(group, sizeof **end)) {
        *error_out = KAFKA_GROUP_MAX_SIZE_REACHED;
        return NULL;
    }
    fr_group_member *m = fr_zalloc(FR_MEM_DOOR, sizeof *m);
    *error_out = m ? KAFKA_NONE : KAFKA_COORDINATOR_NOT_AVAILABLE;
    if (!m) {
        refund(group, sizeof *m);
        return NULL;
    }
    id_make(request, m->id, sizeof m->id);
    if (request->instance.data) m->instance = text_copy(request->instance);
    *error_out = request->instance.data && !m->instance ? KAFKA_COORDINATOR_NOT_AVAILABLE : protocols_take(group, m, request);
    if (*error_out) {
        member_free(group, m);
        return NULL;
    }
    member_update(m, now_ms, request);
    while (*end) end = &(*end)->next;
    *end = m;
    return m;
}

/* The first member says the type: not one that was only told its id. */
static bool type_take(fr_group *group, fr_span type)
{
    if (group->protocol_type && group->member_count) return true;
    char *copy = text_copy(type);
    if (!copy) return false;
    fr_free(FR_MEM_DOOR, group->protocol_type);
    group->protocol_type = copy;
    return true;
}

static void admit(fr_group *group, int64_t now_ms, fr_group_member *m, fr_span type, fr_group_waiter *waiter)
{
    if (!type_take(group, type)) {
        member_drop(group, m, KAFKA_NONE);
        finish(waiter, KAFKA_COORDINATOR_NOT_AVAILABLE, -1);
        return;
    }
    m->pending = false;
    group->member_count++;
    if (!group->leader[0]) snprintf(group->leader, sizeof group->leader, "%s", m->id);
    park_join(group, now_ms, m, waiter);
}

static void join_new(fr_group *group, int64_t now_ms, const fr_group_join_request *request, fr_group_waiter *waiter)
{
    uint32_t count = 0;
    for (const fr_group_member *m = group->members; m; m = m->next) count++;
    if (count >= FR_GROUP_MEMBERS_MAX) {
        finish(waiter, KAFKA_GROUP_MAX_SIZE_REACHED, -1);
        return;
    }
    int16_t error;
    fr_group_member *m = member_add(group, now_ms, request, &error);
    if (!m) {
        finish(waiter, error, -1);
        return;
    }
    m->pending = true;
    if (request->id_required && !m->instance) {
        snprintf(waiter->member_id, sizeof waiter->member_id, "%s", m->id);
        finish(waiter, KAFKA_MEMBER_ID_REQUIRED, -1);
    } else {
        admit(group, now_ms, m, request->protocol_type, waiter);
    }
}

/* KIP-345: the same instance in a new process: a new id in the old place; the old id is fenced. */
static void join_again_static(fr_group *group, int64_t now_ms, fr_group_member *m, const fr_group_join_request *request,
                              fr_group_waiter *waiter)
{
    bool leads = strcmp(group->leader, m->id) == 0;
    char before[sizeof group->leader];
    int16_t error = protocols_take(group, m, request);
    if (error) {
        finish(waiter, error, -1);
        return;
    }
    snprintf(before, sizeof before, "%s", group->leader);
    tell(&m->join, KAFKA_FENCED_INSTANCE_ID, -1);
    tell(&m->sync, KAFKA_FENCED_INSTANCE_ID, -1);
    id_make(request, m->id, sizeof m->id);
    member_update(m, now_ms, request);
    if (leads) snprintf(group->leader, sizeof group->leader, "%s", m->id);
    if (group->state != FR_GROUP_STABLE || !fr_span_equal(vote(group), fr_span_text(group->protocol))) {
        park_join(group, now_ms, m, waiter);
        return;
    }
    joined_answer(group, m, waiter);
    waiter->skip_assignment = leads && request->can_skip;
    if (leads && !request->can_skip) snprintf(waiter->leader, sizeof waiter->leader, "%s", before); /* not told that it leads */
    finish(waiter, KAFKA_NONE, group->generation);
}

static void join_known(fr_group *group, int64_t now_ms, fr_group_member *m, const fr_group_join_request *request,
                       fr_group_waiter *waiter)
{
    bool same = protocols_same(m, request), leads = strcmp(group->leader, m->id) == 0;
    bool answers = same && (group->state == FR_GROUP_COMPLETING || (group->state == FR_GROUP_STABLE && !leads));
    int16_t error = same ? KAFKA_NONE : protocols_take(group, m, request);
    if (error) {
        finish(waiter, error, -1);
        return;
    }
    member_update(m, now_ms, request);
    if (!answers) {
        park_join(group, now_ms, m, waiter);
        return;
    }
    joined_answer(group, m, waiter);
    finish(waiter, KAFKA_NONE, group->generation);
}

static int16_t join_check(const fr_group_join_request *request)
{
    size_t bytes = 0;
    if (request->session_ms < FR_GROUP_SESSION_MS_MIN || request->session_ms > FR_GROUP_SESSION_MS_MAX) return KAFKA_INVALID_SESSION_TIMEOUT;
    if (request->instance.data && (request->instance.size == 0 || request->instance.size > FR_NAME_BYTES_MAX)) return KAFKA_INVALID_REQUEST;
    if (request->protocol_count == 0 || request->protocol_count > FR_GROUP_PROTOCOLS_MAX || request->protocol_type.size == 0)
        return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    for (uint32_t i = 0; i < request->protocol_count; i++) {
        if (request->protocols[i].name.size == 0 || request->protocols[i].name.size > FR_NAME_BYTES_MAX) return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
        bytes += request->protocols[i].metadata.size;
    }
    return bytes > FR_GROUP_METADATA_BYTES_MAX ? KAFKA_INVALID_REQUEST : KAFKA_NONE;
}

void fr_group_join(fr_group *group, int64_t now_ms, const fr_group_join_request *request, fr_group_waiter *waiter)
{
    fr_group_tick(group, now_ms);
    int16_t error = join_check(request);
    if (!error && !consistent(group, request)) error = KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    fr_group_member *m = request->member_id.size ? find(group, request->member_id) : NULL;
    fr_group_member *placed = find_instance(group, request->instance);
    text_put(waiter->member_id, sizeof waiter->member_id, request->member_id);
    if (!error && request->member_id.size && placed && placed != m) error = KAFKA_FENCED_INSTANCE_ID;
    if (!error && request->member_id.size && (!m || (request->instance.data && !placed))) error = KAFKA_UNKNOWN_MEMBER_ID;
    if (error) {
        finish(waiter, error, -1);
    } else if (m && m->pending) {
        error = protocols_take(group, m, request);
        if (error) {
            finish(waiter, error, -1);
            return;
        }
        member_update(m, now_ms, request);
        admit(group, now_ms, m, request->protocol_type, waiter);
    } else if (m) {
        join_known(group, now_ms, m, request, waiter);
    } else if (placed) {
        join_again_static(group, now_ms, placed, request, waiter);
    } else {
        join_new(group, now_ms, request, waiter);
    }
}

/* ---- sync, heartbeat, leave ---- */

static int16_t member_check(const fr_group *group, fr_span member_id, fr_span instance, fr_group_member **member_out)
{
    fr_group_member *m = fr_group_member_of(group, member_id), *placed = find_instance(group, instance);
    *member_out = m;
    if (instance.data && placed && placed != m) return KAFKA_FENCED_INSTANCE_ID;
    return !m || (instance.data && !placed) ? KAFKA_UNKNOWN_MEMBER_ID : KAFKA_NONE;
}

/* All of them or none: one over the limit is refused aloud. */
static int16_t assign(fr_group *group, const fr_group_assigned *assigned, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (assigned[i].assignment.size > FR_GROUP_METADATA_BYTES_MAX) return KAFKA_INVALID_REQUEST;
    for (uint32_t i = 0; i < count; i++) {
        fr_group_member *m = fr_group_member_of(group, assigned[i].member_id);
        size_t size = assigned[i].assignment.size;
        if (!m) continue;
        if (!spend(group, size)) return KAFKA_GROUP_MAX_SIZE_REACHED;
        void *copy = fr_alloc(FR_MEM_DOOR, FR_MAX(size, 1u));
        if (!copy) {
            refund(group, size);
            return KAFKA_COORDINATOR_NOT_AVAILABLE;
        }
        refund(group, m->assignment_size);
        if (size) memcpy(copy, assigned[i].assignment.data, size);
        fr_free(FR_MEM_DOOR, m->assignment);
        m->assignment = copy;
        m->assignment_size = size;
    }
    return KAFKA_NONE;
}

static void assigned_tell(fr_group *group, int64_t now_ms)
{
    group->state = FR_GROUP_STABLE;
    for (fr_group_member *m = group->members; m; m = m->next) {
        if (!m->sync) continue;
        m->deadline_ms = now_ms + m->session_ms;
        tell(&m->sync, KAFKA_NONE, group->generation);
    }
}

void fr_group_sync(fr_group *group, int64_t now_ms, fr_span member_id, fr_span instance, int32_t generation, fr_span protocol_type,
                   fr_span protocol, const fr_group_assigned *assigned, uint32_t count, fr_group_waiter *waiter)
{
    fr_group_member *m;
    fr_group_tick(group, now_ms);
    int16_t error = member_check(group, member_id, instance, &m);
    if (!error && generation != group->generation) error = KAFKA_ILLEGAL_GENERATION;
    if (!error && ((protocol_type.data && group->protocol_type && !fr_span_equal(protocol_type, fr_span_text(group->protocol_type))) ||
                   (protocol.data && !fr_span_equal(protocol, fr_span_text(group->protocol)))))
        error = KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    if (!error && group->state == FR_GROUP_PREPARING) error = KAFKA_REBALANCE_IN_PROGRESS;
    if (!error && group->state == FR_GROUP_EMPTY) error = KAFKA_UNKNOWN_MEMBER_ID;
    bool leads = !error && strcmp(group->leader, m->id) == 0 && group->state == FR_GROUP_COMPLETING;
    if (leads) error = assign(group, assigned, count);
    if (!error) text_put(waiter->member_id, sizeof waiter->member_id, member_id);
    if (error) {
        finish(waiter, error, -1);
        return;
    }
    m->deadline_ms = now_ms + m->session_ms;
    m->synced = true;
    if (leads) assigned_tell(group, now_ms);
    if (group->state == FR_GROUP_STABLE) {
        finish(waiter, KAFKA_NONE, group->generation);
        return;
    }
    tell(&m->sync, KAFKA_UNKNOWN_MEMBER_ID, -1);
    m->sync = waiter;
    waiter->parked = true;
    waiter->group = group;
}

int16_t fr_group_heartbeat(fr_group *group, int64_t now_ms, fr_span member_id, fr_span instance, int32_t generation)
{
    fr_group_member *m;
    fr_group_tick(group, now_ms);
    int16_t error = member_check(group, member_id, instance, &m);
    if (error) return error;
    if (generation != group->generation) return KAFKA_ILLEGAL_GENERATION;
    m->deadline_ms = now_ms + m->session_ms;
    return group->state == FR_GROUP_PREPARING ? KAFKA_REBALANCE_IN_PROGRESS : KAFKA_NONE;
}

int16_t fr_group_leave(fr_group *group, int64_t now_ms, fr_span member_id, fr_span instance)
{
    fr_group_tick(group, now_ms);
    fr_group_member *placed = find_instance(group, instance), *m = instance.data && !member_id.size ? placed : find(group, member_id);
    if (instance.data && placed && m != placed) return KAFKA_FENCED_INSTANCE_ID;
    if (!m || (instance.data && !placed)) return KAFKA_UNKNOWN_MEMBER_ID;
    bool pending = m->pending;
    member_drop(group, m, KAFKA_UNKNOWN_MEMBER_ID);
    if (pending) try_complete(group, now_ms);
    else rebalance(group, now_ms);
    return KAFKA_NONE;
}

int16_t fr_group_may_commit(fr_group *group, int64_t now_ms, fr_span member_id, fr_span instance, int32_t generation, bool transactional)
{
    fr_group_tick(group, now_ms);
    bool named = generation >= 0 || member_id.size || instance.data;
    if (generation < 0 && group->state == FR_GROUP_EMPTY) return KAFKA_NONE;
    if (!named) return transactional ? KAFKA_NONE : KAFKA_UNKNOWN_MEMBER_ID;
    if (group->state == FR_GROUP_EMPTY && !group->members && group->generation == 0) return KAFKA_ILLEGAL_GENERATION; /* never was */
    fr_group_member *m;
    int16_t error = member_check(group, member_id, instance, &m);
    if (error) return error;
    if (generation != group->generation) return KAFKA_ILLEGAL_GENERATION;
    if (!transactional && group->state == FR_GROUP_COMPLETING) return KAFKA_REBALANCE_IN_PROGRESS;
    m->deadline_ms = now_ms + m->session_ms;
    return KAFKA_NONE;
}

/* ---- time ---- */

void fr_group_forget(int64_t now_ms, fr_group_waiter *waiter)
{
    fr_group *group = waiter->group;
    for (fr_group_member *m = group ? group->members : NULL; m; m = m->next) {
        if (m->join != waiter && m->sync != waiter) continue;
        if (m->join == waiter) m->join = NULL;
        else m->sync = NULL;
        m->deadline_ms = now_ms + m->session_ms;
    }
    waiter->parked = false;
    waiter->group = NULL;
}

/* Who joined this round must sync; a static member that is away keeps its place until its session ends. */
static bool owes_sync(const fr_group *group, const fr_group_member *m)
{
    return group->state == FR_GROUP_COMPLETING && !m->pending && !m->synced && (!m->instance || m->in_round);
}

/* A parked request keeps its member: the coordinator is who lets it wait. */
static bool over(const fr_group *group, const fr_group_member *m, int64_t now_ms)
{
    if (m->join || m->sync) return false;
    if (owes_sync(group, m) && now_ms >= group->sync_deadline_ms) return true;
    return now_ms >= m->deadline_ms;
}

void fr_group_tick(fr_group *group, int64_t now_ms)
{
    bool left = false;
    if (now_ms < fr_group_deadline(group)) return;
    for (fr_group_member *m = group->members, *next; m; m = next) {
        next = m->next;
        if (!over(group, m, now_ms)) continue;
        left = left || !m->pending;
        member_drop(group, m, KAFKA_UNKNOWN_MEMBER_ID);
    }
    if (left) rebalance(group, now_ms);
    else try_complete(group, now_ms);
}

int64_t fr_group_deadline(const fr_group *group)
{
    int64_t first = INT64_MAX;
    for (const fr_group_member *m = group->members; m; m = m->next) {
        if (m->join || m->sync) continue;
        first = FR_MIN(first, m->deadline_ms);
        if (owes_sync(group, m)) first = FR_MIN(first, group->sync_deadline_ms);
    }
    return group->state == FR_GROUP_PREPARING ? FR_MIN(first, group->rebalance_deadline_ms) : first;
}

void fr_group_free(fr_group *group)
{
    while (group->members) {
        fr_group_member *m = group->members;
        group->members = m->next;
        member_free(group, m);
    }
    fr_free(FR_MEM_DOOR, group->protocol_type);
    *group = (fr_group){0};
}
