#include "core/ha/ha_member.h"

#include <string.h>

#include "core/base/mem.h"

/* Renewals are gathered for so long before a quorum is asked: one question for all hosts. What that
 * costs is of the lease's length only. */
#define HA_GATHER (5 * NANOS_PER_MS)

#define HA_CONFIRM_AGAIN (50 * NANOS_PER_MS)

/* A view that was full is read anew at most so often: that is all records, in one go. */
#define HA_ANEW_EVERY (10 * NANOS_PER_S)

struct ha_member {
    const struct world *world; /* borrowed, as is the store */
    const struct ha_store *store;
    struct ha_member_config config;
    struct ha_member_events events;
    struct ha_feed feed;
    struct ha_view view;
    struct ha_lessor lessor;
    struct ha_keeper *keeper; /* owned */
    struct ha_agent *agent;   /* owned; NULL: none */

    struct world_timer turn; /* the next pass */
    nanos turn_at;           /* NANOS_FOREVER: not set */
    bool is_in_turn;

    /* Leading. */
    struct ha_confirm confirm; /* one at a time: of the term, or of renewals */
    bool is_confirming;
    bool is_for_renewals;
    uint64_t confirm_term;
    nanos confirm_again;
    bool was_leader;
    uint64_t term;      /* that the manager was told of; 0: none */
    nanos gather_until; /* 0: no renewal waits */

    nanos anew_from; /* everything is asked for no sooner */

    uint64_t unreadable_told; /* a hash of what cannot be read, as it was told */
};

/* --- turns --------------------------------------------------------------------------------------
 */

static void member_turn_at(struct ha_member *h, nanos at)
{
    if (at < h->turn_at) {
        h->turn_at = at;
        world_timer_set(h->world, &h->turn, at);
    }
}

/* A deadline that has passed and was not served is looked at again after this: no fault of ours may
 * keep the loop from everything else. */
#define HA_DEADLINE_LEAST NANOS_PER_MS

static void member_wake_at(struct ha_member *h, nanos deadline)
{
    member_turn_at(h, u64_max(deadline, u64_add_sat(world_now(h->world), HA_DEADLINE_LEAST)));
}

static void member_due(void *ctx)
{
    struct ha_member *h = ctx;

    member_turn_at(h, world_now(h->world));
}

/* --- leading ------------------------------------------------------------------------------------
 */

static bool court_judge(void *ctx, node_id from, const struct ha_renew *renew,
                        enum ha_refusal *refusal)
{
    const struct ha_member *h = ctx;

    return ha_keeper_judge(h->keeper, from, renew, refusal);
}

static void court_answer(void *ctx, node_id to, const struct ha_note *note)
{
    struct ha_member *h = ctx;
    struct buf bytes;

    buf_init(&bytes);
    ha_note_encode(note, &bytes);
    h->store->ops->note(h->store->self, to, buf_view(&bytes));
    buf_deinit(&bytes);
}

/* Leases are granted by the view as the confirmation has it, if the token in it is still ours. */
static void member_renewals_confirmed(struct ha_member *h, bool is_leader)
{
    const struct ha_lessor_court court = {.ctx = h,
                                          .judge = court_judge,
                                          .answer = court_answer,
                                          .revision = h->view.revision,
                                          .lease = ha_keeper_lease(h->keeper),
                                          .drift_ppm = ha_keeper_drift(h->keeper)};
    bool may_grant = is_leader && h->confirm.term == h->lessor.term && ha_keeper_leads(h->keeper) &&
                     !h->view.is_incomplete;

    ha_lessor_confirm_over(&h->lessor, may_grant, &court);
}

static void member_on_confirmed(struct ha_confirm *confirm)
{
    struct ha_member *h = confirm->owner;
    bool is_leader = confirm->result == OK && confirm->is_leader;

    h->is_confirming = false;
    if (h->is_for_renewals) {
        member_renewals_confirmed(h, is_leader);
    } else if (is_leader && confirm->term == h->confirm_term) {
        h->term = confirm->term;
        ha_keeper_begin(h->keeper, confirm->term);
    }
    if (!is_leader) {
        h->confirm_again = world_now(h->world) + HA_CONFIRM_AGAIN;
    }
    member_due(h);
}

static void member_ask_quorum(struct ha_member *h, bool is_for_renewals, uint64_t term)
{
    h->confirm = (struct ha_confirm){.done = member_on_confirmed, .owner = h};
    h->is_confirming = true;
    h->is_for_renewals = is_for_renewals;
    h->confirm_term = term;
    h->store->ops->confirm(h->store->self, &h->confirm);
}

static void member_leads_no_more(struct ha_member *h)
{
    h->term = 0;
    ha_lessor_end(&h->lessor);
    ha_keeper_end(h->keeper);
}

/* The manager begins once a read in this term was confirmed, and the lessor once its token is in
 * the view: whatever an older leader granted was granted before that. */
static void member_lead(struct ha_member *h, nanos now)
{
    struct ha_leader leader = h->store->ops->leads(h->store->self);

    if (!leader.is_self) {
        if (h->was_leader) {
            member_leads_no_more(h);
        }
        h->was_leader = false;
        return;
    }
    h->was_leader = true;
    if (h->term != 0 && (h->term != leader.term || ha_keeper_is_displaced(h->keeper))) {
        member_leads_no_more(h);
    }
    if (h->is_confirming) {
        return;
    }
    if (now < h->confirm_again) {
        member_turn_at(h, h->confirm_again);
        return;
    }
    if (h->term == 0) {
        member_ask_quorum(h, false, leader.term);
    } else if (ha_lessor_wants_confirmation(&h->lessor)) {
        if (h->gather_until == 0) {
            h->gather_until = now + HA_GATHER;
        }
        if (now < h->gather_until) {
            member_turn_at(h, h->gather_until);
            return;
        }
        h->gather_until = 0;
        ha_lessor_confirm_begun(&h->lessor);
        member_ask_quorum(h, true, h->lessor.term);
    }
}

static void member_keep(struct ha_member *h)
{
    ha_keeper_step(h->keeper);
    if (ha_keeper_leads(h->keeper) && (!h->lessor.leads || h->lessor.term != h->term)) {
        ha_lessor_begin(&h->lessor, h->term, world_now(h->world));
        ha_keeper_step(h->keeper);
    }
    member_wake_at(h, ha_keeper_deadline(h->keeper));
}

/* What a full view has not kept is told again by nobody: once something was deleted, all is. */
static void member_read_anew(struct ha_member *h, nanos now)
{
    if (!h->view.has_room) {
        return;
    }
    if (now < h->anew_from) {
        member_turn_at(h, h->anew_from);
        return;
    }
    h->anew_from = now + HA_ANEW_EVERY;
    h->store->ops->anew(h->store->self);
}

static void member_on_turn(struct world_timer *timer)
{
    struct ha_member *h = timer->owner;

    h->turn_at = NANOS_FOREVER;
    member_read_anew(h, world_now(h->world));
    member_lead(h, world_now(h->world));
    if (h->agent != NULL) {
        ha_agent_pass(h->agent);
        member_wake_at(h, ha_agent_deadline(h->agent));
    }
    if (h->term != 0) {
        member_keep(h);
    }
}

/* --- the feed -----------------------------------------------------------------------------------
 */

static void feed_on_began(void *ctx)
{
    struct ha_member *h = ctx;

    ha_view_clear(&h->view);
    ha_keeper_token_seen(h->keeper, 0, (struct bytes){0});
    member_due(h);
}

static bool feed_is_token(struct bytes key)
{
    return key.len == sizeof(HA_LEADER_KEY) - 1 && memcmp(key.data, HA_LEADER_KEY, key.len) == 0;
}

static void feed_on_changed(void *ctx, const struct ha_change *change)
{
    struct ha_member *h = ctx;

    if (feed_is_token(change->key)) {
        ha_keeper_token_seen(h->keeper, change->is_delete ? 0 : change->mod_revision,
                             change->value);
    } else if (change->is_delete) {
        ha_view_delete(&h->view, change->key, (uint64_t)change->mod_revision);
    } else {
        ha_view_put(&h->view, change->key, change->value, (uint64_t)change->create_revision,
                    (uint64_t)change->mod_revision);
    }
}

/* What cannot be read is said once, until it is another. */
static void member_tell_unreadable(struct ha_member *h)
{
    uint64_t told = 0;

    for (uint32_t kind = 0; kind <= HA_KINDS; kind++) {
        for (size_t i = 0; h->view.lists[kind].unreadable > 0 && i < h->view.lists[kind].n; i++) {
            const struct ha_entry *e = h->view.lists[kind].entries[i];
            if (e->record == NULL) {
                told = told * 31 + e->mod_revision;
            }
        }
    }
    if (told == h->unreadable_told) {
        return;
    }
    h->unreadable_told = told;
    for (uint32_t kind = 0; kind <= HA_KINDS && h->events.said != NULL; kind++) {
        for (size_t i = 0; i < h->view.lists[kind].n; i++) {
            const struct ha_entry *e = h->view.lists[kind].entries[i];
            if (e->record == NULL) {
                h->events.said(h->events.ctx, HA_SAYS_RECORD, "unreadable", e->text, e->why);
            }
        }
    }
}

static void feed_on_reached(void *ctx, int64_t revision)
{
    struct ha_member *h = ctx;

    ha_view_advance(&h->view, (uint64_t)revision);
    member_tell_unreadable(h);
    member_due(h);
}

static void feed_on_leader_changed(void *ctx)
{
    struct ha_member *h = ctx;

    if (h->agent != NULL) {
        ha_agent_leader_changed(h->agent);
    }
    h->confirm_again = 0;
    member_due(h);
}

/* A renewal counts as heard of a host whose agent's record says that it is this member's. */
static void member_renewal(struct ha_member *h, node_id from, const struct ha_renew *renew)
{
    const struct ha_agent_record *agent = ha_view_agent(&h->view, renew->host);

    if (agent == NULL || agent->member != from || agent->boot != renew->boot) {
        return;
    }
    ha_lessor_arrived(&h->lessor, world_now(h->world), from, renew);
    member_due(h);
}

static void feed_on_noted(void *ctx, node_id from, struct bytes bytes)
{
    struct ha_member *h = ctx;
    struct ha_note note;

    if (ha_note_decode(bytes, &note) != OK) {
        return; /* of a member of another release */
    }
    if (note.kind == HA_NOTE_RENEW) {
        member_renewal(h, from, &note.as.renew);
    } else if (h->agent != NULL) {
        ha_agent_note(h->agent, &note);
    }
}

/* --- what is said -------------------------------------------------------------------------------
 */

static void member_agent_said(void *ctx, const char *what, const char *vm, const char *detail)
{
    struct ha_member *h = ctx;

    if (h->events.said != NULL) {
        h->events.said(h->events.ctx, HA_SAYS_AGENT, what, vm, detail);
    }
}

static void member_keeper_said(void *ctx, const char *what, const char *subject, const char *detail)
{
    struct ha_member *h = ctx;

    if (h->events.said != NULL) {
        h->events.said(h->events.ctx, HA_SAYS_MANAGER, what, subject, detail);
    }
}

static void member_incident(void *ctx, const struct ha_incident *incident)
{
    struct ha_member *h = ctx;

    if (h->events.incident != NULL) {
        h->events.incident(h->events.ctx, incident);
    }
}

/* --- life ---------------------------------------------------------------------------------------
 */

static uint64_t member_seed(const struct world *world, const struct ha_member_config *config)
{
    uint8_t bytes[8];
    uint64_t seed = config->seed;

    if (seed == 0) {
        world->random->fill(world->self, bytes, sizeof(bytes));
        memcpy(&seed, bytes, sizeof(seed));
    }
    return seed;
}

struct ha_member *ha_member_open(const struct world *world, const struct ha_store *store,
                                 const struct ha_member_config *config,
                                 const struct ha_member_events *events)
{
    struct ha_member *h = mem_alloc_zero(sizeof(*h));
    const struct ha_keeper_config manager = {.member = store->member,
                                             .seed = member_seed(world, config)};
    const struct ha_keeper_events told = {
        .ctx = h, .said = member_keeper_said, .incident = member_incident, .due = member_due};
    const struct ha_agent_events heard = {.ctx = h, .said = member_agent_said, .due = member_due};

    h->world = world;
    h->store = store;
    h->config = *config;
    h->events = *events;
    h->turn_at = NANOS_FOREVER;
    h->turn.fire = member_on_turn;
    h->turn.owner = h;
    ha_view_init(&h->view);
    ha_lessor_init(&h->lessor);
    h->keeper = ha_keeper_open(world, store, &h->view, &h->lessor, &manager, &told);
    if (config->agent.host[0] != '\0') {
        h->agent = ha_agent_open(world, store, &h->view, &config->agent, &heard);
    }
    h->feed = (struct ha_feed){.ctx = h,
                               .began = feed_on_began,
                               .changed = feed_on_changed,
                               .reached = feed_on_reached,
                               .leader_changed = feed_on_leader_changed,
                               .noted = feed_on_noted};
    store->ops->feed(store->self, &h->feed);
    member_due(h);
    return h;
}

void ha_member_stop(struct ha_member *h)
{
    if (h->agent != NULL) {
        ha_agent_stop(h->agent);
    }
}

void ha_member_close(struct ha_member *h)
{
    h->store->ops->feed(h->store->self, NULL);
    world_timer_cancel(h->world, &h->turn);
    if (h->agent != NULL) {
        ha_agent_close(h->agent);
    }
    ha_keeper_close(h->keeper);
    ha_lessor_deinit(&h->lessor);
    ha_view_deinit(&h->view);
    mem_free(h);
}

void ha_member_cut(struct ha_member *h, node_id member, bool is_lost)
{
    ha_keeper_cut(h->keeper, member, is_lost);
}

void ha_member_degraded(struct ha_member *h, node_id member, bool is_degraded)
{
    ha_keeper_degraded(h->keeper, member, is_degraded);
}

/* --- looking in ---------------------------------------------------------------------------------
 */

const struct ha_view *ha_member_view(const struct ha_member *h)
{
    return &h->view;
}

const struct ha_lessor *ha_member_lessor(const struct ha_member *h)
{
    return &h->lessor;
}

const struct ha_keeper *ha_member_keeper(const struct ha_member *h)
{
    return h->keeper;
}

const struct ha_agent *ha_member_agent(const struct ha_member *h)
{
    return h->agent;
}

static void status_count(const struct ha_view *v, struct ha_member_status *ret)
{
    for (size_t i = 0; i < ha_view_count(v, HA_OWNER); i++) {
        const struct ha_owner *owner = ha_view_at(v, HA_OWNER, i)->record;
        if (owner != NULL) {
            ret->owners[owner->phase]++;
            ret->unproven += owner->phase == HA_RECOVERING &&
                             strncmp(owner->reason, "unproven", sizeof("unproven") - 1) == 0;
        }
    }
    for (size_t i = 0; i < ha_view_count(v, HA_FATE); i++) {
        const struct ha_fate *fate = ha_view_at(v, HA_FATE, i)->record;
        if (fate != NULL) {
            ret->fates[fate->phase]++;
            ret->tripped += fate->is_tripped;
        }
    }
    /* A host has a fate from its first loss on; one that was never lost is up, once it was heard.
     */
    for (size_t i = 0; i < ha_view_count(v, HA_AGENT); i++) {
        const char *host = ha_view_at(v, HA_AGENT, i)->key.name;
        ret->fates[HA_HOST_UP] += ha_view_find(v, HA_FATE, host, NULL) == NULL;
    }
    for (size_t i = 0; i < ha_view_count(v, HA_INCIDENT); i++) {
        const struct ha_incident *incident = ha_view_at(v, HA_INCIDENT, i)->record;
        ret->incidents_open += incident != NULL && !incident->is_closed;
    }
    for (uint32_t kind = 0; kind <= HA_KINDS; kind++) {
        ret->unreadable += (uint32_t)v->lists[kind].unreadable;
    }
}

void ha_member_status(const struct ha_member *h, struct ha_member_status *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->leads = ha_keeper_leads(h->keeper) && !h->view.is_incomplete;
    ret->term = h->term;
    ret->revision = h->view.revision;
    ret->has_agent = h->agent != NULL;
    if (h->agent != NULL) {
        ha_agent_status(h->agent, &ret->agent);
    }
    status_count(&h->view, ret);
    ha_keeper_figures(h->keeper, &ret->keeper);
}
