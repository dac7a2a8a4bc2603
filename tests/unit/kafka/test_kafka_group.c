/* One group, its clock passed in: rounds, sessions, static members, what may be committed. No threads, no door. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "api/kafka/group.h"
#include "api/kafka/kafka_private.h"

#include <stdio.h>
#include <time.h>

#define SESSION 10000
#define REBALANCE 30000
#define NONE ((fr_span){NULL, 0})

static fr_group group;
static uint64_t seed;
static int told;

static void on_ready(fr_group_waiter *waiter)
{
    assert_true(waiter->done);
    told++;
}

static int set_up(void **state)
{
    (void)state;
    group = (fr_group){0};
    told = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fr_group_free(&group);
    return 0;
}

static void join_with(int64_t now, const char *id, const char *instance, const char *protocols, bool required, fr_group_waiter *waiter)
{
    fr_group_protocol list[4];
    uint32_t count = 0;
    char own[320]; /* id may be the waiter's */
    snprintf(own, sizeof own, "%s", id);
    for (const char *at = protocols; *at; at++) list[count++] = (fr_group_protocol){fr_span_of(at, 1), fr_span_text("about")};
    fr_group_join_request request = {.member_id = fr_span_text(own),
                                     .instance = instance ? fr_span_text(instance) : NONE,
                                     .client_id = fr_span_text("client"),
                                     .session_ms = SESSION,
                                     .rebalance_ms = REBALANCE,
                                     .protocol_type = fr_span_text("consumer"),
                                     .protocols = list,
                                     .protocol_count = count,
                                     .id_required = required,
                                     .can_skip = true,
                                     .random = {fr_mix64(++seed), fr_mix64(~seed)}};
    *waiter = (fr_group_waiter){.ready = on_ready};
    fr_group_join(&group, now, &request, waiter);
}

static void join(int64_t now, const char *id, fr_group_waiter *waiter) { join_with(now, id, NULL, "ab", false, waiter); }

static void sync(int64_t now, const char *id, int32_t generation, const fr_group_assigned *assigned, uint32_t count, fr_group_waiter *waiter)
{
    *waiter = (fr_group_waiter){.ready = on_ready};
    fr_group_sync(&group, now, fr_span_text(id), NONE, generation, NONE, NONE, assigned, count, waiter);
}

static int16_t beat(int64_t now, const char *id, int32_t generation)
{
    return fr_group_heartbeat(&group, now, fr_span_text(id), NONE, generation);
}

/* Two members, stable, at time 0. The first leads. */
static void two(fr_group_waiter *a, fr_group_waiter *b)
{
    fr_group_waiter first, sa, sb;
    join(0, "", &first);
    assert_true(first.done && !first.error);
    assert_int_equal(first.generation, 1);
    assert_string_equal(first.leader, first.member_id);
    join(0, "", b);
    assert_true(b->parked);
    assert_int_equal(beat(0, first.member_id, 1), KAFKA_REBALANCE_IN_PROGRESS);
    join(0, first.member_id, a);
    assert_true(a->done && b->done && !a->error && !b->error);
    assert_int_equal(told, 3);
    assert_int_equal(b->generation, 2);
    sync(0, b->member_id, 2, NULL, 0, &sb);
    assert_true(sb.parked);
    fr_group_assigned list[] = {{fr_span_text(a->member_id), fr_span_text("A")}, {fr_span_text(b->member_id), fr_span_text("B")}};
    sync(0, a->member_id, 2, list, 2, &sa);
    assert_true(sa.done && sb.done && !sa.error && !sb.error);
    assert_int_equal(group.state, FR_GROUP_STABLE);
    fr_group_member *m = fr_group_member_of(&group, fr_span_text(b->member_id));
    assert_memory_equal(m->assignment, "B", 1);
}

static void test_rounds(void **state)
{
    (void)state;
    fr_group_waiter a, b, c;
    two(&a, &b);
    assert_int_equal(beat(1, a.member_id, 2), KAFKA_NONE);
    assert_int_equal(beat(1, a.member_id, 1), KAFKA_ILLEGAL_GENERATION);
    assert_int_equal(beat(1, "who", 2), KAFKA_UNKNOWN_MEMBER_ID);
    join(2, b.member_id, &c); /* a follower with nothing new: answered as it is */
    assert_true(c.done);
    assert_int_equal(c.generation, 2);
    join(2, a.member_id, &c); /* the leader asks for a new round */
    assert_true(c.parked);
    assert_int_equal(group.state, FR_GROUP_PREPARING);
    assert_int_equal(fr_group_leave(&group, 3, fr_span_text(b.member_id), NONE), KAFKA_NONE);
    assert_true(c.done);
    assert_int_equal(c.generation, 3);
    assert_int_equal(fr_group_leave(&group, 3, fr_span_text(b.member_id), NONE), KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(fr_group_leave(&group, 3, fr_span_text(a.member_id), NONE), KAFKA_NONE);
    assert_string_equal(group.protocol_type, "consumer"); /* also without members */
    assert_int_equal(group.state, FR_GROUP_EMPTY);
    assert_int_equal(group.member_count, 0);
}

static void test_session_ends(void **state)
{
    (void)state;
    fr_group_waiter a, b;
    two(&a, &b);
    assert_int_equal(fr_group_deadline(&group), SESSION);
    assert_int_equal(beat(SESSION - 1, a.member_id, 2), KAFKA_NONE);
    assert_int_equal(beat(SESSION, a.member_id, 2), KAFKA_REBALANCE_IN_PROGRESS); /* b is out */
    assert_int_equal(group.member_count, 1);
    join(SESSION + 1, a.member_id, &b);
    assert_true(b.done && !b.error);
    assert_int_equal(b.generation, 3);
    fr_group_tick(&group, 10 * SESSION);
    assert_int_equal(group.state, FR_GROUP_EMPTY);
}

static void test_rebalance_ends(void **state)
{
    (void)state;
    fr_group_waiter a, b, c;
    two(&a, &b);
    join(0, "", &c);
    for (int64_t now = 0; now < REBALANCE; now += 5000) { /* b beats, and never joins */
        assert_int_equal(beat(now, b.member_id, 2), KAFKA_REBALANCE_IN_PROGRESS);
        if (now == 5000) {
            join(now, a.member_id, &a);
            assert_true(a.parked);
        }
    }
    fr_group_tick(&group, REBALANCE - 1);
    assert_false(a.done || c.done);
    fr_group_tick(&group, REBALANCE);
    assert_true(a.done && c.done && !a.error && !c.error);
    assert_int_equal(group.member_count, 2);
    assert_int_equal(beat(REBALANCE, b.member_id, 3), KAFKA_UNKNOWN_MEMBER_ID);
    assert_string_equal(a.leader, a.member_id);
}

static void test_leader_never_syncs(void **state)
{
    (void)state;
    fr_group_waiter first, a, b, s;
    join(0, "", &first);
    join(0, "", &b);
    join(0, first.member_id, &a);
    sync(0, b.member_id, 2, NULL, 0, &s);
    assert_true(s.parked);
    for (int64_t now = 0; now < REBALANCE; now += 5000) assert_int_equal(beat(now, a.member_id, 2), KAFKA_NONE);
    fr_group_tick(&group, REBALANCE);
    assert_true(s.done);
    assert_int_equal(s.error, KAFKA_REBALANCE_IN_PROGRESS);
    assert_int_equal(group.member_count, 1);
    assert_string_equal(group.leader, b.member_id);
}

static void test_id_required(void **state)
{
    (void)state;
    fr_group_waiter a, b;
    join_with(0, "", NULL, "a", true, &a);
    assert_true(a.done);
    assert_int_equal(a.error, KAFKA_MEMBER_ID_REQUIRED);
    assert_int_equal(group.member_count, 0);
    join_with(1, a.member_id, NULL, "a", true, &b);
    assert_true(b.done && !b.error);
    assert_string_equal(a.member_id, b.member_id);
    join_with(1, "", NULL, "a", true, &a); /* told its id, and gone */
    join_with(2, b.member_id, NULL, "ab", true, &b);
    assert_true(b.parked); /* the round waits for it, as long as its session */
    fr_group_tick(&group, 1 + SESSION);
    assert_true(b.done && !b.error);
    join_with(1 + SESSION, a.member_id, NULL, "a", true, &a);
    assert_int_equal(a.error, KAFKA_UNKNOWN_MEMBER_ID);
}

static void test_static_member(void **state)
{
    (void)state;
    fr_group_waiter a, again, s;
    join_with(0, "", "i1", "a", true, &a);
    assert_true(a.done && !a.error);
    fr_group_assigned list[] = {{fr_span_text(a.member_id), fr_span_text("mine")}};
    s = (fr_group_waiter){.ready = on_ready};
    fr_group_sync(&group, 0, fr_span_text(a.member_id), fr_span_text("i1"), 1, NONE, NONE, list, 1, &s);
    assert_true(s.done && !s.error);
    join_with(5, "", "i1", "a", true, &again);
    assert_true(again.done && !again.error);
    assert_int_equal(again.generation, 1);
    assert_true(again.skip_assignment);
    assert_string_not_equal(again.member_id, a.member_id);
    assert_memory_equal(fr_group_member_of(&group, fr_span_text(again.member_id))->assignment, "mine", 4);
    assert_int_equal(fr_group_heartbeat(&group, 6, fr_span_text(a.member_id), fr_span_text("i1"), 1), KAFKA_FENCED_INSTANCE_ID);
    assert_int_equal(fr_group_may_commit(&group, 6, fr_span_text(a.member_id), fr_span_text("i1"), 1, false), KAFKA_FENCED_INSTANCE_ID);
    assert_int_equal(fr_group_heartbeat(&group, 6, fr_span_text(again.member_id), fr_span_text("i1"), 1), KAFKA_NONE);
    join_with(7, a.member_id, "i1", "a", true, &a);
    assert_int_equal(a.error, KAFKA_FENCED_INSTANCE_ID);
    join_with(7, "who", "i2", "a", true, &a);
    assert_int_equal(a.error, KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(fr_group_leave(&group, 8, fr_span_of("", 0), fr_span_text("i1")), KAFKA_NONE);
    assert_int_equal(group.state, FR_GROUP_EMPTY);
}

static void test_protocols(void **state)
{
    (void)state;
    fr_group_waiter a, b, c;
    join_with(0, "", NULL, "abc", false, &a);
    assert_string_equal(group.protocol, "a");
    join_with(0, "", NULL, "x", false, &c);
    assert_int_equal(c.error, KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    join_with(0, "", NULL, "cb", false, &b);
    join_with(0, a.member_id, NULL, "abc", false, &a);
    assert_true(a.done && b.done);
    assert_string_equal(group.protocol, "b"); /* both vote: a's first common one is b, b's is c; the first of equals */
    join_with(0, "", NULL, "", false, &c);
    assert_int_equal(c.error, KAFKA_INCONSISTENT_GROUP_PROTOCOL);
}

static void test_gone_connection(void **state)
{
    (void)state;
    fr_group_waiter a, b, c;
    two(&a, &b);
    join(0, "", &c);
    assert_true(c.parked);
    fr_group_forget(100, &c);
    assert_false(c.parked);
    join(200, a.member_id, &a);
    join(200, b.member_id, &b);
    assert_true(a.parked && b.parked);
    fr_group_tick(&group, 100 + SESSION); /* a and b wait at us: they live; c does not */
    assert_true(a.done && b.done && !a.error && !b.error);
    assert_int_equal(group.member_count, 2);
}

static void test_commits(void **state)
{
    (void)state;
    fr_group_waiter a, b;
    fr_span nobody = fr_span_of("", 0);
    assert_int_equal(fr_group_may_commit(&group, 0, nobody, NONE, -1, false), KAFKA_NONE); /* a simple consumer */
    assert_int_equal(fr_group_may_commit(&group, 0, nobody, NONE, 3, false), KAFKA_ILLEGAL_GENERATION);
    two(&a, &b);
    assert_int_equal(fr_group_may_commit(&group, 0, nobody, NONE, -1, false), KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(fr_group_may_commit(&group, 0, nobody, NONE, -1, true), KAFKA_NONE);
    assert_int_equal(fr_group_may_commit(&group, 0, fr_span_text(a.member_id), NONE, 2, false), KAFKA_NONE);
    assert_int_equal(fr_group_may_commit(&group, 0, fr_span_text(a.member_id), NONE, 1, false), KAFKA_ILLEGAL_GENERATION);
    assert_int_equal(fr_group_may_commit(&group, 0, fr_span_text("who"), NONE, 2, true), KAFKA_UNKNOWN_MEMBER_ID);
}

static void test_limits(void **state)
{
    (void)state;
    fr_group_waiter a = {.ready = on_ready};
    fr_group_protocol protocol = {fr_span_text("a"), fr_span_text("")};
    fr_group_join_request request = {.session_ms = FR_GROUP_SESSION_MS_MIN - 1, .protocol_type = fr_span_text("consumer"), .protocols = &protocol,
                                     .protocol_count = 1, .instance = NONE};
    fr_group_join(&group, 0, &request, &a);
    assert_int_equal(a.error, KAFKA_INVALID_SESSION_TIMEOUT);
    request.session_ms = FR_GROUP_SESSION_MS_MIN;
    request.id_required = true;
    for (uint32_t i = 0; i <= FR_GROUP_MEMBERS_MAX; i++) {
        a = (fr_group_waiter){.ready = on_ready};
        request.random[0] = i;
        request.random[1] = fr_mix64(i);
        fr_group_join(&group, 0, &request, &a);
        assert_int_equal(a.error, i < FR_GROUP_MEMBERS_MAX ? KAFKA_MEMBER_ID_REQUIRED : KAFKA_GROUP_MAX_SIZE_REACHED);
    }
}

static void test_subscribed(void **state)
{
    (void)state;
    static const uint8_t about[] = {0, 1, 0, 0, 0, 2, 0, 1, 'x', 0, 2, 'y', 'z', 0, 0};
    fr_group_waiter a = {.ready = on_ready};
    for (size_t size = 0; size <= sizeof about; size++) { /* also cut short */
        fr_group_free(&group);
        a = (fr_group_waiter){.ready = on_ready};
        fr_group_protocol protocol = {fr_span_text("a"), fr_span_of(about, size)};
        fr_group_join_request request = {.session_ms = SESSION, .protocol_type = fr_span_text("consumer"), .protocols = &protocol,
                                         .protocol_count = 1, .instance = NONE};
        fr_group_join(&group, 0, &request, &a);
        assert_int_equal(fr_group_subscribed(&group, fr_span_text("x")), size >= 9);
        assert_int_equal(fr_group_subscribed(&group, fr_span_text("yz")), size >= 13);
        assert_false(fr_group_subscribed(&group, fr_span_text("z")));
    }
}

/* Who was told its id only leaves nothing behind. */
static void test_type_of_the_first(void **state)
{
    (void)state;
    fr_group_waiter a, b;
    fr_group_protocol protocol = {fr_span_text("a"), fr_span_text("")};
    join_with(0, "", NULL, "a", true, &a);
    assert_int_equal(a.error, KAFKA_MEMBER_ID_REQUIRED);
    fr_group_join_request request = {.session_ms = SESSION, .protocol_type = fr_span_text("connect"), .protocols = &protocol,
                                     .protocol_count = 1, .instance = NONE, .random = {1, 2}};
    b = (fr_group_waiter){.ready = on_ready};
    fr_group_join(&group, 1, &request, &b);
    assert_true(b.parked); /* for the one that is pending */
    assert_string_equal(group.protocol_type, "connect");
    join_with(2, a.member_id, NULL, "a", true, &a);
    assert_int_equal(a.error, KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    fr_group_forget(3, &b);
}

static void test_assignments_too_large(void **state)
{
    (void)state;
    fr_group_waiter a, s;
    join(0, "", &a);
    void *large = fr_zalloc(FR_MEM_TEST, FR_GROUP_METADATA_BYTES_MAX + 1);
    fr_group_assigned list = {fr_span_text(a.member_id), fr_span_of(large, FR_GROUP_METADATA_BYTES_MAX + 1)};
    sync(1, a.member_id, 1, &list, 1, &s);
    assert_int_equal(s.error, KAFKA_INVALID_REQUEST);
    assert_int_equal(group.state, FR_GROUP_COMPLETING);
    list.assignment.size--;
    sync(2, a.member_id, 1, &list, 1, &s);
    assert_true(s.done && !s.error);
    fr_free(FR_MEM_TEST, large);
}

static void test_static_never_syncs(void **state)
{
    (void)state;
    fr_group_waiter a;
    join_with(0, "", "i1", "a", true, &a);
    assert_true(a.done && !a.error);
    for (int64_t now = 0; now < REBALANCE; now += SESSION / 2)
        assert_int_equal(fr_group_heartbeat(&group, now, fr_span_text(a.member_id), fr_span_text("i1"), 1), KAFKA_NONE);
    fr_group_tick(&group, REBALANCE); /* its heart beats, but it holds the group */
    assert_int_equal(group.member_count, 0);
    assert_int_equal(group.state, FR_GROUP_EMPTY);
}

static void test_budget(void **state)
{
    (void)state;
    fr_group_waiter a = {.ready = on_ready};
    fr_group_budget budget = {.max = 8192};
    uint8_t about[6000] = {0};
    fr_group_protocol protocol = {fr_span_text("a"), fr_span_of(about, sizeof about)};
    fr_group_join_request request = {.session_ms = SESSION, .protocol_type = fr_span_text("consumer"), .protocols = &protocol,
                                     .protocol_count = 1, .instance = NONE};
    group.budget = &budget;
    fr_group_join(&group, 0, &request, &a);
    assert_true(a.done && !a.error);
    assert_true(budget.used > sizeof about && budget.used <= budget.max);
    fr_group_waiter b = {.ready = on_ready};
    fr_group_join(&group, 0, &request, &b);
    assert_int_equal(b.error, KAFKA_GROUP_MAX_SIZE_REACHED);
    fr_group_assigned list = {fr_span_text(a.member_id), fr_span_of(about, 2500)};
    fr_group_waiter s;
    sync(0, a.member_id, 1, &list, 1, &s);
    assert_int_equal(s.error, KAFKA_GROUP_MAX_SIZE_REACHED);
    assert_int_equal(fr_group_leave(&group, 1, fr_span_text(a.member_id), NONE), KAFKA_NONE);
    assert_int_equal(budget.used, 0);
}

/* 1,000 members with 64 protocols each, all but the last in common: the vote is one pass, not one for each member. */
static void test_vote_is_cheap(void **state)
{
    (void)state;
    static char names[FR_GROUP_PROTOCOLS_MAX][8];
    static fr_group_waiter waiters[FR_GROUP_MEMBERS_MAX];
    fr_group_protocol list[FR_GROUP_PROTOCOLS_MAX];
    for (uint32_t i = 0; i < FR_GROUP_PROTOCOLS_MAX; i++) {
        snprintf(names[i], sizeof names[i], "p%05u", i);
        list[i] = (fr_group_protocol){fr_span_text(names[i]), fr_span_text("")};
    }
    fr_group_join_request request = {.session_ms = SESSION, .rebalance_ms = REBALANCE, .protocol_type = fr_span_text("consumer"),
                                     .protocols = list, .protocol_count = FR_GROUP_PROTOCOLS_MAX, .instance = NONE};
    clock_t begin = clock();
    for (uint32_t i = 0; i < 200; i++) {
        waiters[i] = (fr_group_waiter){.ready = on_ready};
        request.random[0] = i, request.random[1] = fr_mix64(i);
        fr_group_join(&group, 0, &request, &waiters[i]);
    }
    fr_group_tick(&group, REBALANCE); /* the first, who never came again, is over: the others make the round */
    assert_int_equal(group.state, FR_GROUP_COMPLETING);
    assert_string_equal(group.protocol, "p00000");
    assert_true((clock() - begin) / CLOCKS_PER_SEC < 20); /* under sanitizers, too; a pass for each member took minutes */
}

#define one(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {one(test_rounds),        one(test_session_ends),  one(test_rebalance_ends), one(test_leader_never_syncs),
                                       one(test_id_required),   one(test_static_member), one(test_protocols),      one(test_gone_connection),
                                       one(test_commits),       one(test_limits),        one(test_subscribed),
                                       one(test_type_of_the_first), one(test_assignments_too_large), one(test_static_never_syncs),
                                       one(test_budget),        one(test_vote_is_cheap)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
