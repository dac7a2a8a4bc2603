/* kafka_sasl.c: SaslHandshake, SaslAuthenticate, and what every handler asks about the caller. The mechanisms themselves are
 * server/daemon's. A listener that asks for no login lets everything through, as before. */
#include "api/kafka/groups.h"
#include "api/kafka/kafka_private.h"

/* ---- may he? ---- */

static bool asked(const fr_kafka *door, const fr_kafka_call *call) { return door->sasl && call->peer && call->peer->asks; }

static void told(fr_kafka *door, fr_kafka_call *call, const char *object, const char *verdict, const char *reason)
{
    door->sasl->told(door->sasl->user, &call->peer->principal, call->api ? call->api->name : "login", object, verdict, reason);
}

void fr_kafka_refused(fr_kafka *door, fr_kafka_call *call, const char *reason) { told(door, call, "", "refused", reason); }

typedef struct fr_kafka_verdict {
    struct fr_kafka_verdict *next;
    const char *object, *reason; /* reason NULL: an admin's act was let in */
} fr_kafka_verdict;

/* Handlers ask with the coordinator's lock held, under which nothing may be written. Without memory the record is lost, the verdict not. */
static void keep(fr_kafka_call *call, const char *object, const char *reason)
{
    fr_kafka_verdict *one = fr_arena_alloc(&call->arena, sizeof *one);
    if (!one) return;
    *one = (fr_kafka_verdict){.object = object, .reason = reason ? fr_arena_copy(&call->arena, reason, strlen(reason) + 1) : NULL};
    if (reason && !one->reason) return;
    *(call->verdicts ? call->verdicts_end : &call->verdicts) = one;
    call->verdicts_end = &one->next;
}

void fr_kafka_tell(fr_kafka *door, fr_kafka_call *call)
{
    for (const fr_kafka_verdict *one = call->verdicts; one; one = one->next)
        told(door, call, one->object, one->reason ? "refused" : "allowed", one->reason ? one->reason : "");
    call->verdicts = NULL;
}

bool fr_kafka_may(fr_kafka *door, fr_kafka_call *call, fr_action action, fr_object object, fr_span name, bool quiet)
{
    fr_err err = {0};
    if (!asked(door, call)) return true;
    const char *text = name.data ? fr_kafka_text(call, name) : "";
    if (!text) return false;
    bool fine = fr_access_check(door->db, &call->peer->principal, action, object, NULL, text, &err) == FR_OK;
    if (!quiet && !fine) keep(call, text, err.text);
    if (!quiet && fine && action == FR_ACTION_ADMIN) keep(call, text, NULL);
    return fine;
}

bool fr_kafka_may_topic(fr_kafka *door, fr_kafka_call *call, fr_span name)
{
    if (!asked(door, call)) return true;
    unsigned asks = call->api->asks;
    bool reads = asks & FR_KAFKA_ASKS_TOPIC_READ, writes = asks & FR_KAFKA_ASKS_TOPIC_WRITE;
    if (reads && writes && fr_kafka_may(door, call, FR_ACTION_READ, FR_OBJECT_TOPIC, name, true)) return true;
    /* An API that names a topic and does not say what it does to it needs admin. */
    return fr_kafka_may(door, call, writes ? FR_ACTION_WRITE : reads ? FR_ACTION_READ : FR_ACTION_ADMIN, FR_OBJECT_TOPIC, name, false);
}

int16_t fr_kafka_group_error(fr_kafka *door, fr_kafka_call *call, fr_action action, fr_span group)
{
    if (!group.data || !group.size || group.size > FR_GROUP_ID_BYTES_MAX || memchr(group.data, 0, group.size)) return KAFKA_INVALID_GROUP_ID;
    return fr_kafka_may(door, call, action, FR_OBJECT_GROUP, group, false) ? KAFKA_NONE : KAFKA_GROUP_AUTHORIZATION_FAILED;
}

int16_t fr_kafka_txn_error(fr_kafka *door, fr_kafka_call *call, fr_span id)
{
    if (!id.data || !id.size) return KAFKA_NONE; /* no transaction */
    return fr_kafka_may(door, call, FR_ACTION_WRITE, FR_OBJECT_TXN, id, false) ? KAFKA_NONE : KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
}

void fr_kafka_charge(fr_kafka_call *call, uint32_t requests, uint64_t bytes_in, uint64_t bytes_out)
{
    const fr_kafka *door = call->door;
    if (!door || !asked(door, call) || !call->peer->authenticated) return;
    int64_t ms = door->sasl->charge(door->sasl->user, door->db, &call->peer->principal, call->header.client_id, requests, bytes_in, bytes_out);
    call->throttle_ms = (int32_t)FR_MIN(ms, (int64_t)INT32_MAX);
}

/* ---- logging in ---- */

static bool login_step(fr_kafka *door, fr_kafka_call *call, fr_span message, fr_kafka_out *out, fr_err *err)
{
    fr_kafka_peer *peer = call->peer;
    bool done = false;
    fr_code code = door->sasl->step(door->sasl->user, door->db, peer, message, out, &done, err);
    peer->authenticated = code == FR_OK && done;
    if (code == FR_OK && !done) return true;
    door->sasl->end(door->sasl->user, peer);
    if (code == FR_OK) return true;
    peer->closing = true;
    told(door, call, "", "refused", err->text);
    peer->principal = (fr_principal){.trusted = false};
    return false;
}

fr_kafka_next fr_kafka_sasl_handshake(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_SaslHandshakeRequest *request = call->request;
    fr_kafka_SaslHandshakeResponse *response = FR_KAFKA_RESPONSE(call, SaslHandshakeResponse);
    fr_kafka_peer *peer = call->peer;
    if (!response) return FR_KAFKA_CLOSE;
    uint32_t count = door->sasl->mechanism_count;
    response->mechanisms.items = fr_arena_alloc(&call->arena, count * sizeof *response->mechanisms.items);
    if (!response->mechanisms.items) return FR_KAFKA_CLOSE;
    response->mechanisms.count = (int32_t)count;
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++) {
        response->mechanisms.items[i] = fr_span_text(door->sasl->mechanisms[i]);
        if (fr_span_equal(request->mechanism, response->mechanisms.items[i])) found = i + 1;
    }
    if (!peer->asks || peer->authenticated || peer->mechanism) response->errorCode = KAFKA_ILLEGAL_SASL_STATE;
    else if (!found) response->errorCode = KAFKA_UNSUPPORTED_SASL_MECHANISM;
    else peer->mechanism = found, peer->raw = call->header.version == 0;
    return fr_kafka_reply(call, response);
}

static fr_kafka_next authenticate(fr_kafka *door, fr_kafka_call *call)
{
    const fr_kafka_SaslAuthenticateRequest *request = call->request;
    fr_kafka_SaslAuthenticateResponse *response = FR_KAFKA_RESPONSE(call, SaslAuthenticateResponse);
    fr_kafka_out out = {0};
    fr_err err = {0};
    if (!response) return FR_KAFKA_CLOSE;
    response->authBytes = fr_span_of("", 0);
    if (!call->peer->asks || call->peer->authenticated || !call->peer->mechanism || call->peer->raw) {
        response->errorCode = KAFKA_ILLEGAL_SASL_STATE;
        response->errorMessage = fr_span_text("SaslHandshake comes first, once");
        return fr_kafka_reply(call, response);
    }
    if (!login_step(door, call, request->authBytes, &out, &err)) {
        response->errorCode = KAFKA_SASL_AUTHENTICATION_FAILED;
        response->errorMessage = fr_kafka_words(call, "%s", err.text);
    } else if (out.size) {
        response->authBytes = fr_span_of(fr_arena_copy(&call->arena, out.data, out.size), out.size);
    }
    fr_kafka_out_free(&out);
    return fr_kafka_reply(call, response);
}

/* A password takes milliseconds: not on a loop. */
fr_kafka_next fr_kafka_sasl_authenticate(fr_kafka *door, fr_kafka_call *call)
{
    (void)door;
    call->resume = authenticate;
    return FR_KAFKA_WORKER;
}

static fr_kafka_next raw_step(fr_kafka *door, fr_kafka_call *call)
{
    fr_err err = {0};
    fr_kafka_out_reset(&call->out);
    fr_kafka_out_be32(&call->out, 0);
    if (!login_step(door, call, call->frame, &call->out, &err) || call->out.code != FR_OK) return FR_KAFKA_CLOSE; /* as Kafka does */
    fr_store_be32(call->out.data, (uint32_t)(call->out.size - 4));
    return FR_KAFKA_REPLY;
}

fr_kafka_next fr_kafka_raw_login(fr_kafka *door, fr_kafka_call *call)
{
    (void)door;
    call->resume = raw_step;
    return FR_KAFKA_WORKER;
}
