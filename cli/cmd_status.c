/* `novacron status`: one screen that says whether anything needs a person, and what. */
#include <stdio.h>
#include <string.h>

#include <etcdserverpb.pb-c.h>

#include "cli/records.h"
#include "cli/status_screen.h"
#include "core/base/say.h"
#include "core/ha/ha_explain.h"

/* Placements that may be tried to find what losses are survived. */
#define STATUS_BUDGET 1000000

/* Voters that may be lost beside the hosts that are, which count as voters to be on the safe side,
 * unless it is known that they do not vote; and the name of the manager. Nothing is known where
 * nobody says who the members are. */
static void situation_take_members(struct remote *r, struct situation *s)
{
    uint32_t voters = 0;
    char why[512];

    buf_clear(&r->request);
    r->is_quiet = true;
    if (!remote_try_for(r, "/etcdserverpb.Cluster/MemberList", 2 * NANOS_PER_S, why, sizeof why)) {
        return;
    }
    Etcdserverpb__MemberListResponse *list =
        etcdserverpb__member_list_response__unpack(NULL, r->response.len, r->response.data);
    if (list == NULL) {
        return;
    }
    for (size_t i = 0; i < list->n_members; i++) {
        const Etcdserverpb__Member *member = list->members[i];
        voters += !member->islearner;
        if (member->id == s->head.token_member && member->name != NULL) {
            ha_text_set(s->manager, sizeof s->manager, member->name);
        }
    }
    etcdserverpb__member_list_response__free_unpacked(list, NULL);
    const uint32_t lost = (s->hosts - s->agents) - (s->hosts_up - s->agents_up);
    s->spare_voters = voters > 0 ? (uint32_t)u64_sub_sat((voters - 1) / 2, lost) : 0;
}

static void situation_count_machines(const struct ha_view *view, struct situation *s)
{
    char why[STATUS_WHY_BYTES];

    s->machines = (uint32_t)ha_view_count(view, HA_VM);
    for (size_t i = 0; i < s->machines; i++) {
        const struct ha_vm *vm = ha_view_at(view, HA_VM, i)->record;
        const struct ha_owner *owner = vm != NULL ? ha_view_owner(view, vm->name) : NULL;
        s->unknown += vm == NULL;
        s->wanted += vm != NULL && vm->is_wanted;
        s->running += vm != NULL && vm->is_wanted && owner != NULL && status_is_running(owner);
        s->impeded += owner != NULL && vm->is_wanted && status_impediment(view, vm, owner, why);
    }
}

static void situation_count(const struct remote *r, const struct ha_view *view, struct situation *s)
{
    struct ha_ledger ledger;

    ha_explain_unreadable(view, &s->notes);
    ha_explain_settings(view, &s->notes);
    ha_explain_references(view, &s->notes);
    status_explain_devices(view, &s->notes);
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
        s->avoided += fate != NULL && (fate->is_quarantined || fate->is_tripped);
    }
    situation_count_machines(view, s);
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

/* Nobody manages where there is nothing to manage. */
static bool situation_is_managed(const struct situation *s)
{
    return (s->hosts == 0 && s->machines == 0) ||
           (s->head.token_term != 0 && s->head.token_term == s->head.term);
}

/* Is there a line for it? */
static bool situation_has_troubles(const struct situation *s)
{
    return s->hosts_up != s->hosts || s->avoided > 0 || s->running != s->wanted || s->unknown > 0 ||
           s->impeded > 0 || s->incidents > 0 || s->notes.len > 0;
}

static void situation_judge(struct situation *s)
{
    s->has_quorum = s->head.endpoint == NULL;
    s->is_managed = situation_is_managed(s);
    s->survived = s->losses.survived < s->spare_voters ? s->losses.survived : s->spare_voters;
    s->survived = s->has_quorum ? s->survived : 0;
    s->has_troubles = situation_has_troubles(s);
    s->is_well =
        s->has_quorum && s->is_managed && !s->has_troubles && (s->hosts == 0 || s->survived > 0);
}

static void situation_print_json(const struct situation *s)
{
    (void)printf("{\"hosts\":%u,\"hosts_up\":%u,\"hosts_not_voting\":%u,\"machines\":%u,"
                 "\"machines_wanted\":%u,"
                 "\"machines_running\":%u,\"losses_survived\":%u,\"incidents_open\":%u,"
                 "\"unreadable\":%zu,\"has_quorum\":%s,\"manager\":\"%s\",\"is_well\":%s}\n",
                 s->hosts, s->hosts_up, s->agents, s->machines, s->wanted, s->running, s->survived,
                 s->incidents, s->unreadable, s->has_quorum ? "true" : "false",
                 s->has_quorum && s->is_managed ? s->manager : "", s->is_well ? "true" : "false");
}

enum cli_exit cmd_status(const struct cli_call *call)
{
    struct remote r;
    struct ha_view view;
    struct situation s = {0};
    enum cli_exit e = remote_open(&r, "status", call);

    if (e != CLI_OK) {
        return e;
    }
    ha_view_init(&view);
    buf_init(&s.notes);
    e = records_load_any(&r, &view, &s.head);
    if (e == CLI_OK) {
        situation_count(&r, &view, &s);
        situation_take_members(&r, &s);
        situation_judge(&s);
        if (r.json) {
            situation_print_json(&s);
        } else {
            status_show(&view, &s);
        }
        e = s.is_well ? CLI_OK : CLI_DAMAGED;
    }
    buf_deinit(&s.notes);
    records_close(&r, &view);
    return e;
}
