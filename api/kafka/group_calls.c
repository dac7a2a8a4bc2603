/* group_calls.c: JoinGroup, SyncGroup, Heartbeat, LeaveGroup, DescribeGroups, ListGroups. A join or sync that must wait is parked: the
 * group's ready() fires the call as an engine's waiter would, on whatever thread decided it. Everything of a group is touched under the
 * coordinator's lock, encoding included: replies borrow from it. */
#include "api/kafka/groups.h"
#include "api/kafka/kafka_private.h"

#include <stdio.h>

#define LOOK_MS_MIN 20
#define LOOK_MS_MAX 5000

typedef struct parked {
    fr_group_waiter waiter;
    fr_kafka_call *call;
} parked;

static bool group_id_ok(fr_span id) { return id.data && id.size && id.size <= FR_GROUP_ID_BYTES_MAX && !memchr(id.data, 0, id.size); }

/* With the lock held, as tell() is. */
static void on_ready(fr_group_waiter *waiter)
{
    fr_kafka_call *call = ((parked *)waiter)->call;
    if (!atomic_exchange(&call->fired, true)) call->wake(call);
}

static void on_release(fr_kafka *door, fr_kafka_call *call)
{
    parked *self = call->state;
    pthread_mutex_lock(&door->groups->lock);
    if (self->waiter.parked) fr_group_forget(door->groups->now_ms(), &self->waiter);
    pthread_mutex_unlock(&door->groups->lock);
}

static parked *park(fr_kafka_call *call)
{
    parked *self = fr_arena_alloc(&call->arena, sizeof *self);
    if (!self) return NULL;
    *self = (parked){.waiter = {.ready = on_ready, .generation = -1}, .call = call};
    call->state = self;
    call->release = on_release;
    return self;
}

/* Wait until the group decides, or its clock has something to do. */
static fr_kafka_next wait_for(fr_kafka *door, fr_kafka_call *call, const fr_group *group,
                              fr_kafka_next (*resume)(fr_kafka *door, fr_kafka_call *call))
{
    int64_t deadline = fr_group_deadline(group), now_ms = door->groups->now_ms();
    int64_t left = deadline > now_ms + LOOK_MS_MAX ? LOOK_MS_MAX : FR_MAX(deadline - now_ms, LOOK_MS_MIN);
    call->wait_count = 0;
    return fr_kafka_arm(door, call, (int32_t)left, resume);
}

typedef fr_kafka_next answer_of(fr_kafka_call *call, const fr_group *group, const fr_group_waiter *waiter);

/* A parked call wakes: answered when the group has decided, or when it knows nothing of the call any more; else it waits on. */
static fr_kafka_next look(fr_kafka *door, fr_kafka_call *call, fr_span group_id, answer_of *answer,
                          fr_kafka_next (*again)(fr_kafka *door, fr_kafka_call *call))
{
    parked *self = call->state;
    fr_kafka_groups *groups = door->groups;
    pthread_mutex_lock(&groups->lock);
    fr_group_row *row = fr_groups_find(groups, group_id);
    if (!self->waiter.done && row) fr_group_tick(&row->group, groups->now_ms());
    if (!self->waiter.done && !self->waiter.parked) self->waiter.done = true, self->waiter.error = KAFKA_UNKNOWN_MEMBER_ID;
    fr_kafka_next next = self->waiter.done ? answer(call, row ? &row->group : NULL, &self->waiter) : wait_for(door, call, &row->group, again);
    pthread_mutex_unlock(&groups->lock);
    return next;
}

/* ---- JoinGroup ---- */

static bool members_list(fr_kafka_call *call, const fr_group *group, fr_kafka_JoinGroupResponse *response)
{
    int32_t at = 0;
    if (!FR_KAFKA_ITEMS(&call->arena, &response->members, JoinGroupResponseMember, (int32_t)group->member_count)) return false;
    for (const fr_group_member *m = group->members; m; m = m->next) {
        if (m->pending) continue;
        fr_kafka_JoinGroupResponseMember *row = &response->members.items[at++];
        row->memberId = fr_span_text(m->id);
        row->groupInstanceId = m->instance ? fr_span_text(m->instance) : (fr_span){NULL, 0};
        row->metadata = fr_group_metadata(group, m);
    }
    return true;
}

static fr_kafka_next join_answer(fr_kafka_call *call, const fr_group *group, const fr_group_waiter *waiter)
{
    fr_kafka_JoinGroupResponse *response = FR_KAFKA_RESPONSE(call, JoinGroupResponse);
    if (!response) return FR_KAFKA_CLOSE;
    int16_t error = waiter->error;
    /* Between the decision and this answer the group may have moved on: join again. */
    if (!error && (!group || group->generation != waiter->generation || !fr_group_member_of(group, fr_span_text(waiter->member_id))))
        error = KAFKA_REBALANCE_IN_PROGRESS;
    response->errorCode = error;
    response->memberId = fr_span_text(waiter->member_id);
    response->generationId = -1;
    response->leader = fr_span_of("", 0);
    response->protocolType = (fr_span){NULL, 0};
    response->protocolName = call->header.version >= 7 ? (fr_span){NULL, 0} : fr_span_of("", 0);
    if (!error) {
        response->generationId = waiter->generation;
        response->protocolType = fr_span_text(group->protocol_type ? group->protocol_type : "");
        response->protocolName = fr_span_text(group->protocol);
        response->leader = fr_span_text(waiter->leader);
        response->skipAssignment = waiter->skip_assignment;
        if (strcmp(waiter->leader, waiter->member_id) == 0 && !members_list(call, group, response)) return FR_KAFKA_CLOSE;
    }
    return fr_kafka_reply(call, response);
}

static fr_kafka_next join_look(fr_kafka *door, fr_kafka_call *call)
{
    return look(door, call, ((const fr_kafka_JoinGroupRequest *)call->request)->groupId, join_answer, join_look);
}

static bool join_fill(fr_kafka_groups *groups, fr_kafka_call *call, const fr_kafka_JoinGroupRequest *request, fr_group_join_request *out)
{
    int32_t count = FR_MAX(request->protocols.count, 0);
    fr_group_protocol *list = fr_arena_alloc(&call->arena, FR_MAX((size_t)count, 1u) * sizeof *list);
    if (!list) return false;
    for (int32_t i = 0; i < count; i++)
        list[i] = (fr_group_protocol){.name = request->protocols.items[i].name, .metadata = request->protocols.items[i].metadata};
    uint64_t number = groups->seed + ++groups->made * 0x9e3779b97f4a7c15u;
    *out = (fr_group_join_request){
        .member_id = request->memberId,
        .instance = request->groupInstanceId,
        .client_id = call->header.client_id,
        .client_host = fr_kafka_words(call, "/%s", call->peer->remote),
        .session_ms = request->sessionTimeoutMs,
        .rebalance_ms = request->rebalanceTimeoutMs,
        .protocol_type = request->protocolType,
        .protocols = list,
        .protocol_count = (uint32_t)count,
        .id_required = call->header.version >= 4,
        .can_skip = call->header.version >= 9,
        .random = {fr_mix64(number), fr_mix64(number ^ ~groups->seed)},
    };
    return true;
}

fr_kafka_next fr_kafka_join_group(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_JoinGroupRequest *request = call->request;
    fr_kafka_groups *groups = door->groups;
    fr_group_join_request join;
    parked *self = park(call);
    if (!self) return FR_KAFKA_CLOSE;
    int16_t denied = fr_kafka_group_error(door, call, FR_ACTION_READ, request->groupId);
    pthread_mutex_lock(&groups->lock);
    bool named = !denied;
    fr_group_row *row = named ? fr_groups_find(groups, request->groupId) : NULL;
    if (named && !row && request->memberId.size == 0) row = fr_groups_make(groups, request->groupId);
    fr_kafka_next next = FR_KAFKA_CLOSE;
    if (!row) {
        self->waiter.done = true;
        self->waiter.error = !named                   ? denied
                             : request->memberId.size ? KAFKA_UNKNOWN_MEMBER_ID
                                                      : KAFKA_COORDINATOR_NOT_AVAILABLE;
        next = join_answer(call, NULL, &self->waiter);
    } else if (join_fill(groups, call, request, &join)) {
        atomic_store(&call->fired, true); /* decided inside of this call: nobody is woken */
        fr_group_join(&row->group, groups->now_ms(), &join, &self->waiter);
        next = self->waiter.done ? join_answer(call, &row->group, &self->waiter) : wait_for(door, call, &row->group, join_look);
    }
    pthread_mutex_unlock(&groups->lock);
    return next;
}

/* ---- SyncGroup ---- */

static fr_kafka_next sync_answer(fr_kafka_call *call, const fr_group *group, const fr_group_waiter *waiter)
{
    fr_kafka_SyncGroupResponse *response = FR_KAFKA_RESPONSE(call, SyncGroupResponse);
    if (!response) return FR_KAFKA_CLOSE;
    const fr_group_member *m = group ? fr_group_member_of(group, fr_span_text(waiter->member_id)) : NULL;
    response->errorCode = waiter->error;
    if (!waiter->error && (!m || group->generation != waiter->generation || group->state != FR_GROUP_STABLE))
        response->errorCode = KAFKA_REBALANCE_IN_PROGRESS;
    response->assignment = fr_span_of("", 0);
    response->protocolType = response->protocolName = (fr_span){NULL, 0};
    if (!response->errorCode && group && m) { /* without an error both are there */
        response->protocolType = fr_span_text(group->protocol_type ? group->protocol_type : "");
        response->protocolName = fr_span_text(group->protocol);
        if (m->assignment) response->assignment = fr_span_of(m->assignment, m->assignment_size);
    }
    return fr_kafka_reply(call, response);
}

static fr_kafka_next sync_look(fr_kafka *door, fr_kafka_call *call)
{
    return look(door, call, ((const fr_kafka_SyncGroupRequest *)call->request)->groupId, sync_answer, sync_look);
}

fr_kafka_next fr_kafka_sync_group(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_SyncGroupRequest *request = call->request;
    fr_kafka_groups *groups = door->groups;
    int32_t count = FR_MAX(request->assignments.count, 0);
    parked *self = park(call);
    fr_group_assigned *list = fr_arena_alloc(&call->arena, FR_MAX((size_t)count, 1u) * sizeof *list);
    if (!self || !list) return FR_KAFKA_CLOSE;
    for (int32_t i = 0; i < count; i++)
        list[i] = (fr_group_assigned){.member_id = request->assignments.items[i].memberId, .assignment = request->assignments.items[i].assignment};
    int16_t denied = fr_kafka_group_error(door, call, FR_ACTION_READ, request->groupId);
    pthread_mutex_lock(&groups->lock);
    fr_group_row *row = denied ? NULL : fr_groups_find(groups, request->groupId);
    fr_kafka_next next;
    if (!row) {
        self->waiter.done = true;
        self->waiter.error = denied ? denied : KAFKA_UNKNOWN_MEMBER_ID;
        next = sync_answer(call, NULL, &self->waiter);
    } else {
        atomic_store(&call->fired, true);
        fr_group_sync(&row->group, groups->now_ms(), request->memberId, request->groupInstanceId, request->generationId,
                      request->protocolType, request->protocolName, list, (uint32_t)count, &self->waiter);
        next = self->waiter.done ? sync_answer(call, &row->group, &self->waiter) : wait_for(door, call, &row->group, sync_look);
    }
    pthread_mutex_unlock(&groups->lock);
    return next;
}

/* ---- Heartbeat, LeaveGroup ---- */

fr_kafka_next fr_kafka_heartbeat(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_HeartbeatRequest *request = call->request;
    fr_kafka_HeartbeatResponse *response = FR_KAFKA_RESPONSE(call, HeartbeatResponse);
    if (!response) return FR_KAFKA_CLOSE;
    int16_t denied = fr_kafka_group_error(door, call, FR_ACTION_READ, request->groupId);
    pthread_mutex_lock(&door->groups->lock);
    fr_group_row *row = fr_groups_find(door->groups, request->groupId);
    response->errorCode = denied ? denied
                          : !row ? KAFKA_UNKNOWN_MEMBER_ID
                                 : fr_group_heartbeat(&row->group, door->groups->now_ms(), request->memberId, request->groupInstanceId,
                                                      request->generationId);
    pthread_mutex_unlock(&door->groups->lock);
    return fr_kafka_reply(call, response);
}

fr_kafka_next fr_kafka_leave_group(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_LeaveGroupRequest *request = call->request;
    fr_kafka_LeaveGroupResponse *response = FR_KAFKA_RESPONSE(call, LeaveGroupResponse);
    int16_t denied = fr_kafka_group_error(door, call, FR_ACTION_READ, request->groupId);
    bool many = call->header.version >= 3, named = !denied;
    int32_t count = many && named ? FR_MAX(request->members.count, 0) : 0;
    if (!response || !FR_KAFKA_ITEMS(&call->arena, &response->members, MemberResponse, count)) return FR_KAFKA_CLOSE;
    pthread_mutex_lock(&door->groups->lock);
    int64_t now_ms = door->groups->now_ms();
    fr_group_row *row = fr_groups_find(door->groups, request->groupId);
    if (!named) response->errorCode = denied;
    else if (!many)
        response->errorCode = row ? fr_group_leave(&row->group, now_ms, request->memberId, (fr_span){NULL, 0}) : KAFKA_UNKNOWN_MEMBER_ID;
    for (int32_t i = 0; i < count; i++) {
        const fr_kafka_MemberIdentity *who = &request->members.items[i];
        fr_kafka_MemberResponse *one = &response->members.items[i];
        one->memberId = who->memberId;
        one->groupInstanceId = who->groupInstanceId;
        one->errorCode = row ? fr_group_leave(&row->group, now_ms, who->memberId, who->groupInstanceId) : KAFKA_UNKNOWN_MEMBER_ID;
    }
    pthread_mutex_unlock(&door->groups->lock);
    return fr_kafka_reply(call, response);
}

/* ---- DescribeGroups, ListGroups ---- */

static bool describe(fr_kafka_call *call, const fr_group *group, fr_kafka_DescribedGroup *row)
{
    bool stable = group->state == FR_GROUP_STABLE;
    int32_t at = 0;
    row->groupState = fr_span_text(fr_group_state_name(group->state));
    if (group->protocol_type) row->protocolType = fr_span_text(group->protocol_type);
    if (stable) row->protocolData = fr_span_text(group->protocol);
    if (!FR_KAFKA_ITEMS(&call->arena, &row->members, DescribedGroupMember, (int32_t)group->member_count)) return false;
    for (const fr_group_member *m = group->members; m; m = m->next) {
        if (m->pending) continue;
        fr_kafka_DescribedGroupMember *one = &row->members.items[at++];
        one->memberId = fr_span_text(m->id);
        one->groupInstanceId = m->instance ? fr_span_text(m->instance) : (fr_span){NULL, 0};
        one->clientId = fr_span_text(m->client_id);
        one->clientHost = fr_span_text(m->client_host);
        one->memberMetadata = stable ? fr_group_metadata(group, m) : fr_span_of("", 0);
        one->memberAssignment = stable && m->assignment ? fr_span_of(m->assignment, m->assignment_size) : fr_span_of("", 0);
    }
    return true;
}

fr_kafka_next fr_kafka_describe_groups(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_DescribeGroupsRequest *request = call->request;
    fr_kafka_DescribeGroupsResponse *response = FR_KAFKA_RESPONSE(call, DescribeGroupsResponse);
    int32_t count = FR_MAX(request->groups.count, 0);
    if (count > (int32_t)FR_GROUPS_MAX) return FR_KAFKA_CLOSE;
    if (!response || !FR_KAFKA_ITEMS(&call->arena, &response->groups, DescribedGroup, count)) return FR_KAFKA_CLOSE;
    bool enough = true;
    pthread_mutex_lock(&door->groups->lock);
    for (int32_t i = 0; i < count && enough; i++) {
        fr_kafka_DescribedGroup *one = &response->groups.items[i];
        fr_group_row *row = fr_groups_find(door->groups, request->groups.items[i]);
        one->groupId = request->groups.items[i];
        one->groupState = fr_span_text("Dead");
        one->protocolType = one->protocolData = fr_span_of("", 0);
        one->authorizedOperations = INT32_MIN;
        if (!group_id_ok(one->groupId)) one->errorCode = KAFKA_INVALID_GROUP_ID;
        else if (!fr_kafka_may(door, call, FR_ACTION_READ, FR_OBJECT_GROUP, one->groupId, false)) one->errorCode = KAFKA_GROUP_AUTHORIZATION_FAILED;
        if (!row || one->errorCode) continue;
        fr_group_tick(&row->group, door->groups->now_ms());
        if (fr_groups_known(row)) enough = describe(call, &row->group, one);
    }
    fr_kafka_next next = enough ? fr_kafka_reply(call, response) : FR_KAFKA_CLOSE;
    pthread_mutex_unlock(&door->groups->lock);
    return next;
}

#define GROUP_TYPE "classic" /* there is no other (KIP-848 is not built) */

static bool wanted(const fr_kafka_ListGroupsRequest *request, const char *state)
{
    bool of_type = request->typesFilter.count <= 0;
    for (int32_t i = 0; i < request->typesFilter.count && !of_type; i++) {
        fr_span type = request->typesFilter.items[i];
        of_type = type.size == strlen(GROUP_TYPE) && strncasecmp(type.data, GROUP_TYPE, type.size) == 0;
    }
    if (!of_type) return false;
    if (request->statesFilter.count <= 0) return true;
    for (int32_t i = 0; i < request->statesFilter.count; i++)
        if (fr_span_equal(request->statesFilter.items[i], fr_span_text(state))) return true;
    return false;
}

fr_kafka_next fr_kafka_list_groups(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_ListGroupsRequest *request = call->request;
    fr_kafka_groups *groups = door->groups;
    fr_kafka_ListGroupsResponse *response = FR_KAFKA_RESPONSE(call, ListGroupsResponse);
    if (!response) return FR_KAFKA_CLOSE;
    fr_kafka_next next = FR_KAFKA_CLOSE;
    pthread_mutex_lock(&groups->lock);
    fr_groups_sweep(groups, true);
    if (FR_KAFKA_ITEMS(&call->arena, &response->groups, ListedGroup, (int32_t)groups->count)) {
        int32_t count = 0;
        for (size_t i = 0; i < FR_COUNT_OF(groups->buckets); i++)
            for (const fr_group_row *row = groups->buckets[i]; row; row = row->next) {
                const char *state = fr_group_state_name(row->group.state);
                if (!fr_groups_known(row) || !wanted(request, state)) continue;
                if (!fr_kafka_may(door, call, FR_ACTION_READ, FR_OBJECT_GROUP, fr_span_text(row->name), true)) continue;
                fr_kafka_ListedGroup *one = &response->groups.items[count++];
                one->groupId = fr_span_text(row->name);
                one->protocolType = fr_span_text(row->group.protocol_type ? row->group.protocol_type : "");
                one->groupState = fr_span_text(state);
                one->groupType = fr_span_text(GROUP_TYPE);
            }
        response->groups.count = count;
        next = fr_kafka_reply(call, response);
    }
    pthread_mutex_unlock(&groups->lock);
    return next;
}
