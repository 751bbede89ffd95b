/* What novacronpb.Health answers. */
#include <stdio.h>
#include <string.h>

#include <novacronpb.pb-c.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "novacrond/daemon.h"
#include "novacrond/daemon_health_int.h"
#include "novacrond/daemon_probes.h"

static void health_send_packed(struct rpc_call *call, const ProtobufCMessage *message)
{
    struct buf b;

    buf_init(&b);
    protobuf_c_message_pack(message, buf_extend(&b, protobuf_c_message_get_packed_size(message)));
    (void)rpc_send(call, (struct bytes){NULL, 0}, buf_view(&b));
    buf_deinit(&b);
    rpc_finish(call, RPC_OK, NULL);
}

static const struct daemon *health_daemon_of(struct rpc_call *call)
{
    const struct daemon *d = etcd_api_owner(rpc_ctx(call));

    if (d->health.host == NULL) {
        rpc_finish(call, RPC_FAILED_PRECONDITION,
                   "this member does not watch other hosts; see health in docs/novacrond.md");
        return NULL;
    }
    return d;
}

/* Protobuf's strings are not const, and nobody writes to these. */
static char *health_words(const char *text)
{
    return (char *)(uintptr_t)text;
}

/* One member in protobuf's words, and the texts that it points to. */
struct health_told {
    Novacronpb__HostMember member;
    struct health_ladder ladder;
    char address[WORLD_HOST_MAX_BYTES + 8];
    char reason[HEALTH_REASON_BYTES];
};

static char *health_view_of(const struct cut_member *m)
{
    static char in[] = "in";
    static char out[] = "out";
    static char gray[] = "gray";
    static char none[] = "";

    if (m == NULL) {
        return none;
    }
    return m->is_gray ? gray : m->is_in ? in : out;
}

/* Which application it is that is not ready, only its own host knows. */
static void health_why(const struct daemon *d, const struct health_ladder *l, enum rung rung,
                       char text[HEALTH_REASON_BYTES])
{
    if (rung != RUNG_APPLICATION || l->id != d->config->id ||
        !daemon_probes_say(d, text, HEALTH_REASON_BYTES)) {
        health_rung_text(daemon_health_agent(d), l, rung, text);
    }
}

static void health_tell(const struct daemon *d, const struct swim_member *m, struct health_told *t)
{
    const struct health_agent *agent = daemon_health_agent(d);
    const struct swim *s = health_agent_swim(agent);
    const struct cut *cut = health_agent_cut(agent);
    const struct cut_member *counted = cut != NULL ? cut_find(cut, m->id) : NULL;

    CHECK(health_host_ladder(d->health.host, m->id, &t->ladder));
    novacronpb__host_member__init(&t->member);
    (void)snprintf(t->address, sizeof t->address, "%s:%u", m->at.host, m->at.port);
    t->reason[0] = '\0';
    if (t->ladder.score.reason_count > 0) {
        health_why(d, &t->ladder, t->ladder.score.reasons[0].rung, t->reason);
    }
    t->member.id = m->id;
    t->member.name = t->ladder.name;
    t->member.address = t->address;
    t->member.state = health_words(swim_state_name((enum swim_state)m->state));
    t->member.seconds = (health_agent_now(agent) - m->since) / NANOS_PER_S;
    t->member.instance = swim_instance_of(m->incarnation);
    t->member.refutations = (uint32_t)(m->incarnation & ((1U << SWIM_REFUTATION_BITS) - 1));
    t->member.neighbour = swim_edge_of(s, m->id) != NULL;
    t->member.view = health_view_of(counted);
    t->member.reach = health_words(swim_reach_name(swim_reach(s, m->id)));
    t->member.reports = counted != NULL ? counted->n_reporters : 0;
    t->member.condition = health_words(host_condition_name(t->ladder.score.condition));
    t->member.reason = t->reason;
    t->member.score = t->ladder.score.points;
}

static void health_on_members(struct rpc_call *call, struct bytes message)
{
    const struct daemon *d = health_daemon_of(call);
    Novacronpb__MembersResponse response;
    struct health_told *told = NULL;
    Novacronpb__HostMember **members = NULL;

    (void)message;
    if (d == NULL) {
        return;
    }
    const struct swim *s = health_agent_swim(daemon_health_agent(d));
    const struct cut *cut = health_agent_cut(daemon_health_agent(d));

    novacronpb__members_response__init(&response);
    told = mem_alloc_zero(s->n_members * sizeof *told);
    members = mem_alloc_zero(s->n_members * sizeof *members);
    for (uint32_t i = 0; i < s->n_members; i++) {
        health_tell(d, &s->members[i], &told[i]);
        members[i] = &told[i].member;
    }
    response.self = s->config.self;
    response.leader = s->leader;
    response.view = cut != NULL ? cut->view : 0;
    response.braked = cut != NULL && cut->is_braked;
    response.awareness = s->awareness;
    response.n_members = s->n_members;
    response.members = members;
    response.key = health_words(d->health.key);
    health_send_packed(call, &response.base);
    mem_free(members);
    mem_free(told);
}

/* By name, else by id. */
static const struct swim_member *health_look_up(const struct swim *s, const char *host)
{
    char name[HOST_NAME_MAX_BYTES];
    char id[24];

    for (uint32_t i = 0; i < s->n_members; i++) {
        (void)snprintf(id, sizeof id, "%llx", (unsigned long long)s->members[i].id);
        if (strcmp(daemon_health_name(&s->members[i], name), host) == 0 || strcmp(id, host) == 0) {
            return &s->members[i];
        }
    }
    return NULL;
}

/* --- One host ------------------------------------------------------------------------------------
 */

/* What a HostResponse points to. */
struct health_answer {
    struct health_told told;
    Novacronpb__HostRung rungs[RUNGS];
    Novacronpb__HostRung *rung_list[RUNGS];
    char rung_reasons[RUNGS][HEALTH_REASON_BYTES];
    Novacronpb__HostObserver observers[SWIM_OBSERVERS_MAX];
    Novacronpb__HostObserver *observer_list[SWIM_OBSERVERS_MAX];
    char observer_reasons[SWIM_OBSERVERS_MAX][HEALTH_REASON_BYTES];
    char observer_names[SWIM_OBSERVERS_MAX][HOST_NAME_MAX_BYTES];
    Novacronpb__HostBeats beats;
    float phi[HEALTH_CURVE_POINTS];
};

static void health_answer_rungs(const struct daemon *d, struct health_answer *a)
{
    const struct health_ladder *l = &a->told.ladder;

    for (enum rung i = 0; i < RUNGS; i++) {
        Novacronpb__HostRung *r = &a->rungs[i];

        novacronpb__host_rung__init(r);
        health_why(d, l, i, a->rung_reasons[i]);
        r->name = health_words(rung_name(i));
        r->state = health_words(rung_state_name(l->rungs[i].state));
        r->reason = a->rung_reasons[i];
        r->since = l->rungs[i].since;
        r->bad = l->rungs[i].bad;
        r->asked = l->rungs[i].asked;
        a->rung_list[i] = r;
    }
    for (uint32_t i = 0; i < l->score.reason_count; i++) {
        a->rungs[l->score.reasons[i].rung].points = l->score.reasons[i].points;
    }
}

static void health_answer_observers(const struct daemon *d, struct health_answer *a)
{
    const struct swim *s = health_agent_swim(daemon_health_agent(d));
    const struct health_ladder *l = &a->told.ladder;

    for (uint32_t i = 0; i < l->n_opinions; i++) {
        Novacronpb__HostObserver *o = &a->observers[i];
        const struct swim_member *m = swim_find(s, l->opinions[i].observer);

        novacronpb__host_observer__init(o);
        if (m != NULL) {
            (void)daemon_health_name(m, a->observer_names[i]);
        }
        if (l->opinions[i].is_bad) {
            health_opinion_text(&l->opinions[i], a->observer_reasons[i]);
        }
        o->id = l->opinions[i].observer;
        o->name = a->observer_names[i];
        o->badly = l->opinions[i].is_bad;
        o->reason = a->observer_reasons[i];
        o->since = l->opinions[i].told.since;
        a->observer_list[i] = o;
    }
}

/* What this host itself can tell, as a neighbour: both directions of the network. */
static bool health_answer_beats(const struct daemon *d, node_id id, struct health_answer *a)
{
    const struct health_agent *agent = daemon_health_agent(d);
    const struct swim_edge *edge = swim_edge_of(health_agent_swim(agent), id);
    const struct health_look_peer *p = health_look_find(health_host_look(d->health.host), id);

    novacronpb__host_beats__init(&a->beats);
    if (edge == NULL || edge->theirs == 0) {
        return false;
    }
    a->beats.from_it = (uint32_t)__builtin_popcount(edge->history & 0xFFFF);
    a->beats.to_it = edge->received;
    a->beats.round_trip_us = p != NULL ? (uint32_t)(p->rtt.smoothed / NANOS_PER_US) : 0;
    a->beats.phi = health_agent_phi(agent, id);
    return true;
}

static void health_answer_host(struct rpc_call *call, const struct daemon *d,
                               const struct swim_member *m)
{
    Novacronpb__HostResponse response = NOVACRONPB__HOST_RESPONSE__INIT;
    struct health_answer *a = mem_alloc_zero(sizeof *a);

    health_tell(d, m, &a->told);
    health_answer_rungs(d, a);
    health_answer_observers(d, a);
    response.member = &a->told.member;
    response.n_rungs = RUNGS;
    response.rungs = a->rung_list;
    response.score = a->told.ladder.score.points;
    response.n_observers = a->told.ladder.n_opinions;
    response.observers = a->observer_list;
    response.beats = health_answer_beats(d, m->id, a) ? &a->beats : NULL;
    response.n_phi = health_agent_curve(daemon_health_agent(d), m->id, a->phi);
    response.phi = a->phi;
    health_send_packed(call, &response.base);
    mem_free(a);
}

static void health_on_host(struct rpc_call *call, struct bytes message)
{
    const struct daemon *d = health_daemon_of(call);
    Novacronpb__HostRequest *request =
        d != NULL ? novacronpb__host_request__unpack(NULL, message.len, message.data) : NULL;

    if (d == NULL) {
        return;
    }
    if (request == NULL) {
        rpc_finish(call, RPC_INVALID_ARGUMENT, "not a HostRequest");
        return;
    }
    const struct swim_member *m =
        health_look_up(health_agent_swim(daemon_health_agent(d)), request->host);

    novacronpb__host_request__free_unpacked(request, NULL);
    if (m == NULL) {
        rpc_finish(call, RPC_NOT_FOUND, "no host of this name or id is known");
        return;
    }
    health_answer_host(call, d, m);
}

static const struct rpc_method health_members_method = {
    .path = "/novacronpb.Health/Members",
    .shape = RPC_UNARY,
    .json_paths = {"/v3/novacron/health/members"},
    .request = &novacronpb__members_request__descriptor,
    .response = &novacronpb__members_response__descriptor,
    .message = health_on_members,
};

static const struct rpc_method health_host_method = {
    .path = "/novacronpb.Health/Host",
    .shape = RPC_UNARY,
    .json_paths = {"/v3/novacron/health/host"},
    .request = &novacronpb__host_request__descriptor,
    .response = &novacronpb__host_response__descriptor,
    .message = health_on_host,
};

/* An agent holds no store, and answers for its host alone. */
const struct rpc_method *const *daemon_health_methods(struct daemon *d, size_t *ret_count)
{
    size_t n = 0;
    const struct rpc_method *const *etcd = etcd_api_methods(&n);

    n = d->config->is_agent ? 0 : n;
    CHECK(n + 2 <= DAEMON_METHODS_MAX);
    memcpy(d->health.methods, etcd, n * sizeof(d->health.methods[0]));
    d->health.methods[n++] = &health_members_method;
    d->health.methods[n++] = &health_host_method;
    *ret_count = n;
    return d->health.methods;
}
