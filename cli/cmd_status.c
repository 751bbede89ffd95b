/* `novacron status`: one screen that says whether anything needs a person, and what. */
#include <stdio.h>
#include <string.h>

#include <etcdserverpb.pb-c.h>

#include "cli/records.h"
#include "core/base/say.h"
#include "core/ha/ha_explain.h"

/* Placements that may be tried to find what losses are survived. */
#define STATUS_BUDGET 1000000

struct situation {
    uint32_t hosts;
    uint32_t hosts_up;
    uint32_t agents;    /* hosts that do not vote */
    uint32_t agents_up; /* of those */
    uint32_t machines;
    uint32_t wanted;
    uint32_t running; /* of those that are wanted */
    uint32_t incidents;
    size_t unreadable;
    struct buf
        notes; /* owned: what cannot be read, or kept, or is named and not there; a line each */
    struct ha_losses losses; /* for which there is room */
    uint32_t spare_voters;   /* that may still be lost, and there is a quorum */
    uint32_t survived;       /* losses of hosts: the smaller of the two */
};

/* Voters that may be lost beside the hosts that are, which count as voters to be on the safe side,
 * unless it is known that they do not vote. */
static enum cli_exit count_voters(struct remote *r, struct situation *s)
{
    uint32_t voters = 0;

    buf_clear(&r->request);
    enum cli_exit e = remote_call(r, "/etcdserverpb.Cluster/MemberList");
    if (e != CLI_OK) {
        return e;
    }
    Etcdserverpb__MemberListResponse *list =
        etcdserverpb__member_list_response__unpack(NULL, r->response.len, r->response.data);
    if (list == NULL || list->n_members == 0) {
        return remote_failed(r, "the answer makes no sense");
    }
    for (size_t i = 0; i < list->n_members; i++) {
        voters += !list->members[i]->islearner;
    }
    etcdserverpb__member_list_response__free_unpacked(list, NULL);
    const uint32_t down = (s->hosts - s->agents) - (s->hosts_up - s->agents_up);
    s->spare_voters = voters > 0 ? (uint32_t)u64_sub_sat((voters - 1) / 2, down) : 0;
    s->survived = s->losses.survived < s->spare_voters ? s->losses.survived : s->spare_voters;
    return CLI_OK;
}

static void situation_count_hosts(const struct remote *r, const struct ha_view *view,
                                  struct situation *s)
{
    s->hosts = (uint32_t)ha_view_count(view, HA_HOST);
    for (size_t i = 0; i < s->hosts; i++) {
        const char *name = ha_view_at(view, HA_HOST, i)->key.name;
        const struct ha_fate *fate = ha_view_fate(view, name);
        const struct ha_agent_record *agent = ha_view_agent(view, name);
        const bool is_up = agent != NULL && (fate == NULL || fate->phase == HA_HOST_UP);
        const bool is_agent = agent != NULL && !records_host_votes(r, agent);
        s->hosts_up += is_up;
        s->agents += is_agent;
        s->agents_up += is_agent && is_up;
    }
}

static void situation_count(const struct remote *r, const struct ha_view *view, struct situation *s)
{
    struct ha_ledger ledger;

    memset(s, 0, sizeof *s);
    buf_init(&s->notes);
    ha_explain_unreadable(view, &s->notes);
    ha_explain_settings(view, &s->notes);
    ha_explain_references(view, &s->notes);
    situation_count_hosts(r, view, s);
    s->machines = (uint32_t)ha_view_count(view, HA_VM);
    for (size_t i = 0; i < s->machines; i++) {
        const struct ha_vm *vm = ha_view_at(view, HA_VM, i)->record;
        const struct ha_owner *owner = vm != NULL ? ha_view_owner(view, vm->name) : NULL;
        s->wanted += vm != NULL && vm->is_wanted;
        s->running += vm != NULL && vm->is_wanted && owner != NULL && owner->phase == HA_RUNNING;
    }
    for (size_t i = 0; i < ha_view_count(view, HA_INCIDENT); i++) {
        const struct ha_incident *incident = ha_view_at(view, HA_INCIDENT, i)->record;
        s->incidents += incident != NULL && !incident->is_closed;
    }
    for (size_t kind = 0; kind <= HA_KINDS; kind++) {
        s->unreadable += view->lists[kind].unreadable;
    }
    ha_ledger_init(&ledger, view, NULL, 0);
    ha_place_losses_survived(&ledger, STATUS_BUDGET, &s->losses);
    ha_ledger_deinit(&ledger);
}

static bool status_is_well(const struct situation *s)
{
    return s->hosts_up == s->hosts && s->running == s->wanted && s->incidents == 0 &&
           s->notes.len == 0 && (s->hosts == 0 || s->survived > 0);
}

static void status_print_losses(const struct situation *s)
{
    if (s->hosts == 0) {
        return;
    }
    (void)printf("survives   the loss of %u host%s: there is a quorum without %u, and room without "
                 "%s%u",
                 s->survived, s->survived == 1 ? "" : "s", s->spare_voters,
                 s->losses.is_at_least ? "at least " : "", s->losses.survived);
    if (s->losses.vm != NULL && s->losses.survived <= s->spare_voters) {
        (void)printf("; without");
        for (size_t i = 0; i < HA_LOSSES_MAX && s->losses.hosts[i] != NULL; i++) {
            (void)printf(" %s", s->losses.hosts[i]);
        }
        (void)printf(", %s would find no place", s->losses.vm);
    }
    (void)printf("\n");
}

/* What is not as it should be, a line each. */
static void status_print_troubles(const struct ha_view *view)
{
    for (size_t i = 0; i < ha_view_count(view, HA_HOST); i++) {
        const char *name = ha_view_at(view, HA_HOST, i)->key.name;
        const struct ha_fate *fate = ha_view_fate(view, name);
        if (fate != NULL && fate->phase != HA_HOST_UP) {
            (void)printf("  host %-16s %-10s %s\n", name, ha_fate_phase_name(fate->phase),
                         fate->reason);
        } else if (fate != NULL && fate->is_quarantined) {
            (void)printf("  host %-16s quarantined, after %u losses of late\n", name, fate->losses);
        } else if (fate != NULL && fate->is_tripped) {
            (void)printf("  host %-16s tripped    %s\n", name, fate->reason);
        } else if (ha_view_agent(view, name) == NULL) {
            (void)printf("  host %-16s unheard    its agent has never written\n", name);
        }
    }
    for (size_t i = 0; i < ha_view_count(view, HA_VM); i++) {
        const struct ha_vm *vm = ha_view_at(view, HA_VM, i)->record;
        const struct ha_owner *owner = vm != NULL ? ha_view_owner(view, vm->name) : NULL;
        if (vm == NULL || !vm->is_wanted || (owner != NULL && owner->phase == HA_RUNNING)) {
            continue;
        }
        (void)printf("  vm   %-16s %-10s %s\n", vm->name,
                     owner != NULL ? ha_phase_name(owner->phase) : "new",
                     owner != NULL ? owner->reason : "the manager has not looked at it yet");
    }
    for (size_t i = 0; i < ha_view_count(view, HA_INCIDENT); i++) {
        const struct ha_incident *incident = ha_view_at(view, HA_INCIDENT, i)->record;
        if (incident != NULL && !incident->is_closed) {
            (void)printf("  open %s: `novacron incident show %s`\n", incident->id, incident->id);
        }
    }
}

static void situation_print(const struct ha_view *view, struct situation *s)
{
    (void)printf("hosts      %u of %u up", s->hosts_up, s->hosts);
    if (s->agents > 0) {
        (void)printf("; %u of them do not vote", s->agents);
    }
    (void)printf("\n");
    (void)printf("machines   %u of %u wanted ones run; %u more are not wanted\n", s->running,
                 s->wanted, s->machines - s->wanted);
    status_print_losses(s);
    (void)printf("incidents  %u open\n", s->incidents);
    (void)printf("%s\n", status_is_well(s) ? "All is well." : "Needs attention:");
    status_print_troubles(view);
    (void)fputs(say_end(&s->notes), stdout);
}

static void situation_print_json(const struct situation *s)
{
    (void)printf("{\"hosts\":%u,\"hosts_up\":%u,\"hosts_not_voting\":%u,\"machines\":%u,\"machines_"
                 "wanted\":%u,"
                 "\"machines_running\":%u,\"losses_survived\":%u,\"incidents_open\":%u,"
                 "\"unreadable\":%zu,\"is_well\":%s}\n",
                 s->hosts, s->hosts_up, s->agents, s->machines, s->wanted, s->running, s->survived,
                 s->incidents, s->unreadable, status_is_well(s) ? "true" : "false");
}

enum cli_exit cmd_status(const struct cli_call *call)
{
    struct remote r;
    struct ha_view view;
    struct situation s;
    enum cli_exit e = records_open(&r, &view, "status", call);

    if (e != CLI_OK) {
        return e;
    }
    situation_count(&r, &view, &s);
    e = count_voters(&r, &s);
    if (e == CLI_OK && r.json) {
        situation_print_json(&s);
    } else if (e == CLI_OK) {
        situation_print(&view, &s);
    }
    records_close(&r, &view);
    if (e == CLI_OK && !status_is_well(&s)) {
        e = CLI_DAMAGED;
    }
    buf_deinit(&s.notes);
    return e;
}
