/*
 * What becomes of hosts. Each function that begins with fate_ is one arrow of the diagram in
 * ha_keeper.h, as a transaction.
 */
#include <string.h>

#include "core/base/mutant.h"
#include "core/base/say.h"
#include "core/ha/ha_keeper_int.h"

/* A record that cannot be read is of a host that is not up. */
enum ha_fate_phase ha_keeper_fate(const struct ha_keeper *m, const char *host)
{
    const struct ha_entry *entry = ha_view_find(m->view, HA_FATE, host, NULL);
    const struct ha_fate *fate = entry != NULL ? entry->record : NULL;

    if (entry == NULL) {
        return HA_HOST_UP;
    }
    return fate != NULL ? fate->phase : HA_HOST_LOST;
}

/* --- what a host owns ---------------------------------------------------------------------------
 */

static bool owner_may_run(const struct ha_owner *owner)
{
    return owner->epoch > 0 && owner->host[0] != '\0' && ha_phase_may_run(owner->phase);
}

/* A machine whose record cannot be read is left as it is, and keeps nobody waiting. */
static void count_one(struct ha_keeper *m, const struct ha_owner *owner)
{
    struct ha_soft_host *h = ha_soft_host_get(m, owner->host);
    const struct ha_entry *spec = ha_view_find(m->view, HA_VM, owner->vm, NULL);
    const struct ha_vm *vm = spec != NULL ? spec->record : NULL;
    const struct ha_storage *storage = NULL;

    h->is_alive = true;
    h->owned++;
    h->blocked += spec == NULL || vm != NULL;
    if (vm == NULL) {
        return;
    }
    if (vm->storage[0] != '\0') {
        storage = ha_view_storage(m->view, vm->storage);
        h->movable += vm->is_wanted;
        h->weight += vm->is_wanted ? vm->priority : 0;
    }
    if (storage != NULL) {
        h->flight = u64_max(h->flight, (nanos)storage->flight_ms * NANOS_PER_MS);
    }
}

void ha_keeper_count_owned(struct ha_keeper *m)
{
    for (size_t i = 0; i < m->n_hosts; i++) {
        m->hosts[i]->owned = 0;
        m->hosts[i]->movable = 0;
        m->hosts[i]->weight = 0;
        m->hosts[i]->blocked = 0;
        m->hosts[i]->flight = 0;
    }
    for (size_t i = 0; i < ha_view_count(m->view, HA_OWNER); i++) {
        const struct ha_owner *owner = ha_view_at(m->view, HA_OWNER, i)->record;
        if (owner != NULL && owner_may_run(owner)) {
            count_one(m, owner);
        }
    }
}

/* --- evidence -----------------------------------------------------------------------------------
 */

static bool rule_is_hardware(enum world_watchdog watchdog)
{
    return watchdog == WORLD_WATCHDOG_READY || watchdog == WORLD_WATCHDOG_ARMED;
}

/* What the host attests: by its record, and by the last renewal that was granted in this term, if
 * there was one. Both must say so: the record is committed before an agent starts anything without
 * a watchdog, and the renewal is newer. One that is READY holds no machine, and is armed before the
 * first runs: that is the guard's promise, and the same as ARMED. */
static void rule_attest(const struct ha_keeper *m, const char *host, struct ha_evidence *e)
{
    const struct ha_agent_record *agent = ha_view_agent(m->view, host);
    const struct ha_lease_row *row = ha_lessor_find(m->lessor, host);
    bool has_row = row != NULL && row->grants > 0;

    e->watchdog = WORLD_WATCHDOG_NONE;
    if (agent != NULL && rule_is_hardware(agent->watchdog) &&
        (!has_row || rule_is_hardware(row->watchdog))) {
        e->watchdog = WORLD_WATCHDOG_ARMED;
        e->watchdog_timeout = (nanos)agent->watchdog_ms * NANOS_PER_MS;
        if (has_row) {
            e->watchdog_timeout = u64_max(e->watchdog_timeout, row->watchdog_timeout);
        }
    }
}

/* Since the renewal that was granted last. */
static nanos rule_since_renewal(const struct ha_keeper *m, const char *host)
{
    nanos now = MUTANT(HA_WALL_LEASE) ? world_wall(m->world) - m->wall_ahead : m->now;

    return u64_sub_sat(now, ha_lessor_granted(m->lessor, host));
}

/* The longest lease that the host may have, from rule_since_renewal on: as this leader has granted
 * it, and as those before may have, before this term began. A shorter grant ends no longer one. */
static nanos rule_lease(const struct ha_keeper *m, const char *host)
{
    const struct ha_lease_row *row = ha_lessor_find(m->lessor, host);

    if (!m->has_settings) {
        return 0; /* out of range: nothing is proved by time */
    }
    if (row != NULL && row->grants > 0) {
        const nanos passed = u64_sub_sat(row->granted_at, m->lessor->since);
        return u64_max(row->lease,
                       ha_proof_lease_left(m->inherited_lease, passed, m->settings.drift_ppm));
    }
    return u64_max((nanos)m->settings.lease_ms * NANOS_PER_MS, m->inherited_lease);
}

/* The storage of a machine; NULL: it is on a host's own disk, or nobody can tell. */
static const struct ha_entry *rule_storage(const struct ha_keeper *m, const char *name)
{
    const struct ha_vm *vm = ha_view_vm(m->view, name);

    return vm != NULL && vm->storage[0] != '\0'
               ? ha_view_find(m->view, HA_STORAGE, vm->storage, NULL)
               : NULL;
}

/* Of a machine that was deleted nobody knows where its disk was: the longest D there is. */
static nanos rule_flight_longest(const struct ha_keeper *m)
{
    nanos longest = 0;

    for (size_t i = 0; i < ha_view_count(m->view, HA_STORAGE); i++) {
        const struct ha_storage *storage = ha_view_at(m->view, HA_STORAGE, i)->record;
        longest = u64_max(longest, storage != NULL ? (nanos)storage->flight_ms * NANOS_PER_MS
                                                   : NANOS_FOREVER);
    }
    return longest;
}

/* D; where the record of a storage is missing, or one cannot be read, it is unknown, and out of
 * range. */
static nanos rule_flight(const struct ha_keeper *m, const char *name)
{
    const struct ha_vm *vm = ha_view_vm(m->view, name);
    const struct ha_entry *entry = rule_storage(m, name);
    const struct ha_storage *storage = entry != NULL ? entry->record : NULL;

    if (ha_view_find(m->view, HA_VM, name, NULL) == NULL) {
        return rule_flight_longest(m);
    }
    if (vm != NULL && vm->storage[0] == '\0') {
        return 0; /* nobody else opens it */
    }
    return storage != NULL ? (nanos)storage->flight_ms * NANOS_PER_MS : NANOS_FOREVER;
}

/* The fence of a host has waited for D (ha_fence.h, FLIGHT) before it was told: of the storages as
 * they were then. What was written of them since counts from when this leader saw it told, as does
 * what is not known any more. */
static bool rule_flight_is_older(const struct ha_keeper *m, const struct ha_owner *owner)
{
    const struct ha_entry *fate = ha_view_find(m->view, HA_FATE, owner->host, NULL);
    const struct ha_entry *vm = ha_view_find(m->view, HA_VM, owner->vm, NULL);
    const struct ha_entry *storage = rule_storage(m, owner->vm);

    return fate != NULL && vm != NULL && vm->mod_revision < fate->mod_revision &&
           (storage == NULL || storage->mod_revision < fate->mod_revision);
}

void ha_keeper_rule(const struct ha_keeper *m, const struct ha_owner *owner, struct ha_ruling *ret)
{
    const struct ha_fate *fate = ha_view_fate(m->view, owner->host);
    const struct ha_host *host = ha_view_host(m->view, owner->host);
    const struct ha_report *report = ha_view_report(m->view, owner->host, owner->vm);
    const struct ha_soft_host *h = ha_soft_host_find(m, owner->host);
    struct ha_evidence e = {.is_bare_metal = host != NULL && host->is_bare_metal};
    struct ha_claim claim = {.policy = owner->policy,
                             .epoch = owner->epoch,
                             .lease = rule_lease(m, owner->host),
                             .flight = rule_flight(m, owner->vm),
                             .drift_ppm = m->settings.drift_ppm};

    if (fate != NULL && fate->phase == HA_HOST_GONE) {
        e.is_read_back_off = fate->proof == HA_PROOF_FENCED;
        const bool is_older = claim.flight != NANOS_FOREVER && rule_flight_is_older(m, owner);
        e.since_off = is_older                   ? NANOS_FOREVER
                      : h != NULL && h->was_seen ? m->now - h->phase_at
                                                 : 0;
        e.is_confirmed = fate->proof == HA_PROOF_CONFIRMED;
    }
    e.is_barred = fate != NULL && fate->phase != HA_HOST_UP;
    e.since_renewal = rule_since_renewal(m, owner->host);
    rule_attest(m, owner->host, &e);
    if (report != NULL && report->state == HA_REPORT_STOPPED) {
        e.stopped_epoch = report->epoch;
    }
    ha_proof_rule(&e, &claim, ret);
}

/* --- transactions about a fate ------------------------------------------------------------------
 */

static void fate_copy(const struct ha_keeper *m, const char *host, struct ha_fate *ret)
{
    const struct ha_fate *fate = ha_view_fate(m->view, host);

    if (fate != NULL) {
        *ret = *fate;
    } else {
        ha_record_defaults(HA_FATE, ret);
        ha_text_set(ret->host, sizeof(ret->host), host);
    }
    ret->term = m->term;
}

/* What operators have asked for by the host's record is being done. A host that was declared anew
 * counts anew, and its fate does not. */
static void fate_obey(struct ha_fate *fate, const struct ha_host *host)
{
    if (host != NULL && host->fence_count > fate->fence_count) {
        fate->fence_count = host->fence_count;
    }
}

static struct ha_deed *fate_deed(struct ha_keeper *m, struct ha_soft_host *h)
{
    struct ha_deed *d = ha_deed_new(m);

    ha_deed_guard(d, HA_FATE, h->name, NULL);
    ha_deed_hold(d, &h->hold);
    h->is_mistrusted = false;
    h->is_spared = false;
    return d;
}

static void fate_send(struct ha_deed *d, const struct ha_fate *fate, const char *what,
                      const char *detail)
{
    ha_deed_put(d, HA_FATE, fate);
    if (what[0] != '\0') {
        ha_event_put(d, what, fate->host, "", fate->incident, detail);
    }
    ha_deed_submit(d);
}

/* What a host in quarantine is told to people by, once it is back. */
static void quarantine_tell(const struct ha_keeper *m, const struct ha_fate *fate, struct buf *text)
{
    say(text, "quarantined: it was lost ");
    say_u64(text, fate->losses);
    say(text, " times of late, and gets no machine until it was up for ");
    say_u64(text, m->settings.quarantine_s);
    say(text, " s");
}

#define TRIPPED_TEXT                                                                               \
    "machines could not be started there, one after another: nothing is placed there for a while"

/* The reason of a host that is up: why it gets no machine all the same; "". */
static void fate_tell_up(const struct ha_keeper *m, struct ha_fate *fate)
{
    struct buf text;

    buf_init(&text);
    if (fate->is_quarantined) {
        quarantine_tell(m, fate, &text);
    } else if (fate->is_tripped) {
        say(&text, TRIPPED_TEXT);
    }
    ha_text_set(fate->reason, sizeof(fate->reason), say_end(&text));
    buf_deinit(&text);
}

static bool host_is_set_aside(const struct ha_keeper *m, const struct ha_soft_host *h)
{
    const struct ha_fate *fate = ha_view_fate(m->view, h->name);
    const bool is_about_to_be = h->is_mistrusted && ha_hold_is_open(m, &h->hold);

    return is_about_to_be || (fate != NULL && fate->is_quarantined) || ha_trip_is_open(m, h->name);
}

bool ha_host_may_be_set_aside(const struct ha_keeper *m, const struct ha_soft_host *one)
{
    uint32_t hosts = 0;
    uint32_t others = 0;

    for (size_t i = 0; i < m->n_hosts; i++) {
        const struct ha_soft_host *h = m->hosts[i];
        const bool is_there =
            ha_view_host(m->view, h->name) != NULL && ha_view_agent(m->view, h->name) != NULL;
        hosts += is_there;
        others += is_there && h != one && host_is_set_aside(m, h);
    }
    return 2 * (others + 1) <= hosts;
}

/* A host that is lost so often gets no machine for a while; its incident says when that began. */
static void fate_mistrust(struct ha_keeper *m, struct ha_soft_host *h, struct ha_fate *fate)
{
    struct buf text;

    if (fate->is_quarantined || m->settings.quarantine_losses == 0 ||
        fate->losses < m->settings.quarantine_losses || MUTANT(HA_NO_QUARANTINE)) {
        return;
    }
    if (!ha_host_may_be_set_aside(m, h)) {
        ha_incident_step(m, fate->incident, "trusted", h->name,
                         "no more than half of the hosts are set aside: this one is not, though "
                         "it was lost as often");
        return;
    }
    fate->is_quarantined = true;
    h->is_mistrusted = true;
    buf_init(&text);
    quarantine_tell(m, fate, &text);
    ha_incident_step(m, fate->incident, "quarantined", h->name, say_end(&text));
    buf_deinit(&text);
}

static void fate_lose(struct ha_keeper *m, struct ha_soft_host *h, enum ha_fate_phase phase,
                      const char *why)
{
    const struct ha_agent_record *agent = ha_view_agent(m->view, h->name);
    const struct ha_host *host = ha_view_host(m->view, h->name);
    struct ha_deed *d = fate_deed(m, h);
    struct ha_fate fate;

    fate_copy(m, h->name, &fate);
    const struct ha_lease_row *row = ha_lessor_find(m->lessor, h->name);
    nanos unheard = phase == HA_HOST_LOST && row != NULL && row->heard_at > 0
                        ? u64_sub_sat(m->now, row->heard_at)
                        : 0; /* an operator's wish is heard at once */
    struct ha_soft_incident *incident = ha_incident_open(d, h->name, unheard);
    fate.phase = phase;
    fate.proof = HA_PROOF_NONE;
    fate.is_asked = phase == HA_HOST_FENCING;
    fate.attempts = 0;
    fate.boot = agent != NULL ? agent->boot : 0;
    fate_obey(&fate, host);
    memcpy(fate.incident, incident->record.id, sizeof(fate.incident));
    fate.losses++;
    ha_text_set(fate.reason, sizeof(fate.reason), why);
    ha_incident_step(m, fate.incident, "detected", h->name, why);
    fate_mistrust(m, h, &fate);
    fate_send(d, &fate, phase == HA_HOST_LOST ? "host-lost" : "host-fence-asked", why);
}

static void fate_up(struct ha_keeper *m, struct ha_soft_host *h, const char *why)
{
    const struct ha_agent_record *agent = ha_view_agent(m->view, h->name);
    struct ha_deed *d = fate_deed(m, h);
    struct ha_fate fate;
    struct buf text;

    fate_copy(m, h->name, &fate);
    ha_incident_step(m, fate.incident, "back", h->name, why);
    fate.phase = HA_HOST_UP;
    fate.proof = HA_PROOF_NONE;
    fate.is_asked = false;
    fate.boot = agent != NULL ? agent->boot : fate.boot;
    fate_tell_up(m, &fate);
    buf_init(&text);
    say(&text, fate.reason);
    say(&text, text.len > 0 ? "; " : "");
    say(&text, why);
    fate_send(d, &fate, "host-back", say_end(&text));
    buf_deinit(&text);
}

/* `is_asked`: by an operator, who is obeyed once for each time. */
static void fate_fence(struct ha_keeper *m, struct ha_soft_host *h, const char *why, bool is_asked)
{
    const struct ha_host *host = ha_view_host(m->view, h->name);
    struct ha_deed *d = fate_deed(m, h);
    struct ha_fate fate;

    fate_copy(m, h->name, &fate);
    fate.phase = HA_HOST_FENCING;
    fate.proof = HA_PROOF_NONE;
    fate.is_asked = is_asked;
    fate.attempts = h->has_fence ? h->fence.round : 0;
    fate_obey(&fate, is_asked ? host : NULL);
    ha_text_set(fate.reason, sizeof(fate.reason), why);
    ha_incident_step(m, fate.incident, "fence", h->name, why);
    m->figures.fences_begun++;
    fate_send(d, &fate, "host-fencing", why);
}

/* Its devices are those of the host still, and are what they were. */
static void fate_guard_fence(struct ha_deed *d, const struct ha_fence *f)
{
    ha_deed_guard(d, HA_HOST, f->host, NULL);
    for (uint32_t i = 0; i < f->n_slots; i++) {
        if (f->slots[i].is_member) {
            ha_deed_guard(d, HA_DEVICE, f->slots[i].device, NULL);
        }
    }
}

static void fate_gone(struct ha_keeper *m, struct ha_soft_host *h, enum ha_proof proof,
                      const char *why)
{
    const struct ha_confirmed *confirmed = ha_view_confirmed(m->view, h->name);
    struct ha_deed *d = fate_deed(m, h);
    struct ha_fate fate;

    fate_copy(m, h->name, &fate);
    fate.phase = HA_HOST_GONE;
    fate.proof = proof;
    fate.attempts = h->has_fence ? h->fence.round : fate.attempts;
    ha_text_set(fate.reason, sizeof(fate.reason), why);
    ha_incident_step(m, fate.incident, ha_proof_name(proof), h->name, why);
    if (proof == HA_PROOF_CONFIRMED && confirmed != NULL) {
        ha_deed_guard(d, HA_CONFIRMED, h->name, NULL);
        ha_deed_delete(d, HA_CONFIRMED, h->name, NULL);
    }
    if (proof == HA_PROOF_FENCED) {
        fate_guard_fence(d, &h->fence);
    }
    fate_send(d, &fate, "host-gone", why);
}

/* The same phase, with something that people see, or the term, brought up to date. `told`: what the
 * fence has told by then. */
static void fate_tell(struct ha_keeper *m, struct ha_soft_host *h, const char *reason,
                      const char *what, const struct ha_fence_told *told)
{
    struct ha_deed *d = fate_deed(m, h);
    struct ha_fate fate;

    d->teller = h;
    d->teller_life = h->fence_life;
    d->told = h->told;
    h->told = *told;
    fate_copy(m, h->name, &fate);
    fate.attempts = h->has_fence ? h->fence.round : 0;
    ha_text_set(fate.reason, sizeof(fate.reason), reason);
    fate_send(d, &fate, what, reason);
}

static void fate_note(struct ha_keeper *m, struct ha_soft_host *h, const char *reason,
                      const char *what)
{
    const struct ha_fence_told told = h->told;

    fate_tell(m, h, reason, what, &told);
}

/* Writes the reason if it is not what the record says; true: a transaction is under way. */
static bool fate_explain(struct ha_keeper *m, struct ha_soft_host *h, const char *reason)
{
    const struct ha_fate *fate = ha_view_fate(m->view, h->name);
    char text[HA_TEXT_BYTES];

    ha_text_set(text, sizeof(text), reason);
    if (fate == NULL || strcmp(fate->reason, text) == 0) {
        return false;
    }
    fate_note(m, h, reason, "");
    return true;
}

/* --- observations -------------------------------------------------------------------------------
 */

/* What health has said of it last, if that is that it is cut; NULL. */
static const struct ha_soft_member *host_cut(const struct ha_keeper *m, const char *host)
{
    const struct ha_agent_record *agent = ha_view_agent(m->view, host);
    const struct ha_soft_member *member =
        agent != NULL ? ha_soft_member_find(m, agent->member) : NULL;

    return member != NULL && member->is_cut ? member : NULL;
}

/* Since when nothing was heard of it, and how long that may be. */
static nanos host_silent_after(const struct ha_keeper *m, const char *host)
{
    const struct ha_lease_row *row = ha_lessor_find(m->lessor, host);
    const struct ha_soft_member *cut = host_cut(m, host);

    if (row == NULL || row->heard_at == 0) {
        return m->lessor->since + HA_SILENCE_NEW;
    }
    return row->heard_at +
           (cut != NULL && row->heard_at > cut->cut_at ? HA_SILENCE_BACK : HA_SILENCE);
}

static nanos host_lease_over(const struct ha_keeper *m, const char *host)
{
    nanos lease = u64_max((nanos)m->settings.lease_ms * NANOS_PER_MS, m->inherited_lease);

    return u64_add_sat(ha_lessor_heard(m->lessor, host), lease + HA_LEASE_GRACE);
}

/* Was it heard since its fate is what it is, and just now? */
bool ha_keeper_is_heard(const struct ha_keeper *m, const struct ha_soft_host *h)
{
    const struct ha_lease_row *row = ha_lessor_find(m->lessor, h->name);

    return row != NULL && row->heard_at >= h->heard_from && m->now < row->heard_at + HA_SILENCE;
}

/* Has P passed for the host as such, so that whatever it ran has ended? */
static bool host_is_expired(struct ha_keeper *m, const struct ha_soft_host *h)
{
    const struct ha_host *host = ha_view_host(m->view, h->name);
    const struct ha_claim claim = {.policy = HA_POLICY_STOP,
                                   .epoch = 1,
                                   .lease = rule_lease(m, h->name),
                                   .flight = h->flight,
                                   .drift_ppm = m->settings.drift_ppm};
    struct ha_evidence e = {.is_bare_metal = host != NULL && host->is_bare_metal,
                            .is_barred = true,
                            .since_renewal = rule_since_renewal(m, h->name)};
    struct ha_ruling ruling;

    rule_attest(m, h->name, &e);
    ha_proof_rule(&e, &claim, &ruling);
    if (!ruling.may_start && ruling.left != NANOS_FOREVER) {
        ha_keeper_want(m, u64_add_sat(m->now, ruling.left));
    }
    return ruling.may_start;
}

/* --- UP -----------------------------------------------------------------------------------------
 */

static void host_forgive(struct ha_keeper *m, struct ha_soft_host *h, const struct ha_fate *fate)
{
    nanos due = h->phase_at + (nanos)m->settings.quarantine_s * NANOS_PER_S;

    if (fate == NULL || (fate->losses == 0 && !fate->is_quarantined)) {
        return;
    }
    if (m->now < due) {
        ha_keeper_want(m, due);
        return;
    }
    struct ha_deed *d = fate_deed(m, h);
    struct ha_fate copy;
    fate_copy(m, h->name, &copy);
    copy.losses = 0;
    copy.is_quarantined = false;
    fate_tell_up(m, &copy);
    fate_send(d, &copy, fate->is_quarantined ? "host-trusted" : "",
              "it was up for as long as the quarantine asks");
}

static void host_trip(struct ha_keeper *m, struct ha_soft_host *h, bool is_open)
{
    struct ha_deed *d = fate_deed(m, h);
    struct ha_fate copy;

    fate_copy(m, h->name, &copy);
    copy.is_tripped = is_open;
    fate_tell_up(m, &copy);
    fate_send(d, &copy, is_open ? "host-tripped" : "host-tried-again",
              is_open ? TRIPPED_TEXT : "its next start says whether machines can be started there");
}

static bool host_is_fence_asked(const struct ha_keeper *m, const char *name)
{
    const struct ha_host *host = ha_view_host(m->view, name);
    const struct ha_fate *fate = ha_view_fate(m->view, name);

    return host != NULL && host->fence_count > (fate != NULL ? fate->fence_count : 0);
}

static void host_up(struct ha_keeper *m, struct ha_soft_host *h, const struct ha_fate *fate)
{
    bool is_known = ha_view_agent(m->view, h->name) != NULL || h->owned > 0;
    nanos silent = host_silent_after(m, h->name);
    nanos over = host_lease_over(m, h->name);
    bool is_open = false;

    if (host_is_fence_asked(m, h->name)) {
        fate_lose(m, h, HA_HOST_FENCING, "asked by an operator");
        return;
    }
    if (!is_known) {
        return;
    }
    if (host_cut(m, h->name) != NULL && m->now >= silent) {
        fate_lose(m, h, HA_HOST_LOST, "its observers, and the leader, do not hear it any more");
    } else if (m->now >= over) {
        fate_lose(m, h, HA_HOST_LOST, "its lease has ended, and the leader does not hear it");
    } else {
        ha_keeper_want(m, host_cut(m, h->name) != NULL ? silent : over);
        if (ha_trip_is_news(m, h, fate, &is_open)) {
            host_trip(m, h, is_open);
        } else {
            host_forgive(m, h, fate);
        }
    }
}

/* --- LOST ---------------------------------------------------------------------------------------
 */

/* An operator's word is for one incident. */
static bool host_is_confirmed(const struct ha_keeper *m, const struct ha_fate *fate)
{
    const struct ha_confirmed *confirmed = ha_view_confirmed(m->view, fate->host);

    return confirmed != NULL && fate->incident[0] != '\0' &&
           strcmp(confirmed->incident, fate->incident) == 0;
}

static void host_confirm(struct ha_keeper *m, struct ha_soft_host *h)
{
    const struct ha_confirmed *confirmed = ha_view_confirmed(m->view, h->name);
    struct buf why;

    buf_init(&why);
    say(&why, "off, by the word of ");
    say(&why, confirmed->by);
    say(&why, ": ");
    say(&why, confirmed->reason);
    fate_gone(m, h, HA_PROOF_CONFIRMED, say_end(&why));
    h->is_spared = true;
    buf_deinit(&why);
}

static void host_lost(struct ha_keeper *m, struct ha_soft_host *h, const struct ha_fate *fate)
{
    const struct ha_host *host = ha_view_host(m->view, h->name);
    struct buf why;

    if (host_is_confirmed(m, fate)) {
        host_confirm(m, h);
        return;
    }
    if (ha_keeper_is_heard(m, h)) {
        fate_up(m, h, "it is heard again, and nothing was done to it");
        return;
    }
    if (host_is_fence_asked(m, h->name)) {
        fate_fence(m, h, "asked by an operator", true);
        return;
    }
    if (h->owned == 0 && host_is_expired(m, h)) {
        fate_gone(m, h, HA_PROOF_EXPIRED, "its lease and its watchdog have run out");
        return;
    }
    buf_init(&why);
    if (h->movable == 0) {
        (void)fate_explain(m, h,
                           "it owns no machine that another host may start: it is left alone");
    } else if (host == NULL || host->n_levels == 0) {
        (void)fate_explain(m, h,
                           "it has no fence device: its machines wait for the end of its lease and "
                           "watchdog, or for an operator's confirmation");
    } else if (ha_turn_of_lost(m, h, &why)) {
        fate_fence(m, h, "its machines are to run elsewhere", false);
    } else {
        (void)fate_explain(m, h, say_end(&why));
        ha_keeper_want(m, m->now + NANOS_PER_S);
    }
    buf_deinit(&why);
}

/* --- FENCING ------------------------------------------------------------------------------------
 */

/* Whoever is heard is not switched off, unless an operator has asked for it: nothing of it was
 * proved gone, and its machines are where they were, or are reported as stopped. A command that an
 * earlier leader has sent may strike it yet; that is another loss. A new leader gives it the time
 * to be heard. */
static bool fence_may_rest(struct ha_keeper *m, struct ha_soft_host *h)
{
    nanos silent = host_silent_after(m, h->name);

    if ((!h->has_fence || ha_fence_is_idle(&h->fence)) && ha_keeper_is_heard(m, h)) {
        if (!h->has_fence) {
            ha_turn_spared(m, h->name);
        }
        fate_up(m, h, "it is heard again: it is not fenced any further");
        h->is_spared = true;
        return true;
    }
    if (!h->has_fence && m->now < silent) {
        ha_keeper_want(m, silent);
        return true;
    }
    return false;
}

/* Silent devices are given up after minutes, over all their levels. Whoever may have to go and look
 * is told sooner: once a level has failed, for the first round, and once it has lasted too long. */
static void fence_tell_early(struct ha_keeper *m, struct ha_soft_host *h)
{
    const nanos slow = u64_add_sat(h->phase_at, HA_FENCE_QUIET);
    struct ha_fence_told told = {.is_slow = h->told.is_slow, .failures = h->fence.levels_failed};
    const char *what = NULL;
    struct buf text;

    buf_init(&text);
    if (h->fence.round > 0 || ha_fence_is_done(&h->fence)) {
        h->told = told;
    } else if (h->fence.levels_failed != h->told.failures) {
        what = "host-fence-level-failed";
        ha_fence_tell_failure(&h->fence, &text);
        say(&text, "; ");
        ha_fence_tell(&h->fence, &text);
    } else if (!told.is_slow && m->now >= slow && h->fence.phase != HA_FENCE_FLIGHT) {
        told.is_slow = true;
        what = "host-fence-slow";
        say(&text, "nothing has proved it off yet, and it is tried on: ");
        ha_fence_tell(&h->fence, &text);
    } else if (!told.is_slow && m->now < slow) {
        ha_keeper_want(m, slow);
    }
    if (what != NULL) {
        fate_tell(m, h, say_end(&text), what, &told);
    }
    buf_deinit(&text);
}

/* The fence's next step, if it is due: what has changed in the records since its last one counts
 * first. One that waits is woken by the end of the transaction, or by a host that falls silent. */
static void fence_go_on(struct ha_keeper *m, struct ha_soft_host *h)
{
    const struct ha_lease_row *row = ha_lessor_find(m->lessor, h->name);

    ha_fence_raise_flight(&h->fence, h->flight, m->settings.drift_ppm);
    if (m->now >= ha_fence_deadline(&h->fence) || ha_fence_is_outdated(&h->fence, m->view)) {
        ha_keeper_fence_step(m, h, NULL);
    }
    if (!ha_keeper_fence_waits(m, h)) {
        ha_keeper_want(m, ha_fence_deadline(&h->fence));
    } else if (row != NULL && m->now < row->heard_at + HA_SILENCE) {
        ha_keeper_want(m, row->heard_at + HA_SILENCE);
    }
}

/* Has time proved it gone, where nothing can be tried, or nothing has worked? */
static bool fence_is_overtaken(struct ha_keeper *m, const struct ha_soft_host *h)
{
    return (h->fence.round > 0 || h->fence.n_levels == 0) && h->owned == 0 &&
           ha_fence_is_idle(&h->fence) && host_is_expired(m, h);
}

static void host_fencing(struct ha_keeper *m, struct ha_soft_host *h, const struct ha_fate *fate)
{
    struct buf text;

    if (host_is_confirmed(m, fate)) {
        host_confirm(m, h);
        return;
    }
    if (fate->term != m->term) {
        fate_note(m, h, "taken over from the leader before", "host-fencing");
        return;
    }
    if (host_is_fence_asked(m, h->name)) {
        fate_fence(m, h, "asked by an operator", true);
        if (h->has_fence) {
            fence_go_on(m, h);
        }
        return;
    }
    if (!fate->is_asked && fence_may_rest(m, h)) {
        return;
    }
    buf_init(&text);
    if (!h->has_fence && !fate->is_asked && !ha_turn_of_taken_over(m, h, &text)) {
        if (h->owned == 0 && host_is_expired(m, h)) {
            fate_gone(m, h, HA_PROOF_EXPIRED,
                      "it was not fenced any further; its lease and its watchdog have run out, and "
                      "it owns nothing any more");
        } else {
            (void)fate_explain(m, h, say_end(&text));
            ha_keeper_want(m, m->now + NANOS_PER_S);
        }
        buf_deinit(&text);
        return;
    }
    if (!h->has_fence) {
        ha_keeper_fence_begin(m, h);
    }
    if (!fate->is_asked && fence_is_overtaken(m, h)) {
        fate_gone(m, h, HA_PROOF_EXPIRED,
                  "it could not be fenced; its lease and its watchdog have "
                  "run out, and it owns nothing any more");
        h->is_spared = true;
        buf_deinit(&text);
        return;
    }
    fence_go_on(m, h);
    if (ha_fence_is_done(&h->fence)) {
        say(&text, "switched off and read back by ");
        ha_fence_tell_devices(&h->fence, &text);
        m->figures.fences_done++;
        fate_gone(m, h, HA_PROOF_FENCED, say_end(&text));
    } else if (h->fence.round != fate->attempts) {
        ha_fence_tell(&h->fence, &text);
        fate_note(m, h, say_end(&text), "host-fence-failed");
    } else {
        fence_tell_early(m, h);
    }
    buf_deinit(&text);
}

/* --- GONE ---------------------------------------------------------------------------------------
 */

static void host_gone(struct ha_keeper *m, struct ha_soft_host *h)
{
    if (host_is_fence_asked(m, h->name)) {
        fate_fence(m, h, "asked by an operator", true);
    } else if (h->blocked == 0 && ha_keeper_is_heard(m, h)) {
        fate_up(m, h, "it is heard, and owns nothing any more");
    }
}

/* --- all of them --------------------------------------------------------------------------------
 */

static void host_pass(struct ha_keeper *m, struct ha_soft_host *h)
{
    const struct ha_entry *entry = ha_view_find(m->view, HA_FATE, h->name, NULL);
    const struct ha_fate *fate = entry != NULL ? entry->record : NULL;

    if (entry != NULL && fate == NULL) {
        return; /* an alarm, by whoever reads the view; the host is as good as lost */
    }
    enum ha_fate_phase phase = fate != NULL ? fate->phase : HA_HOST_UP;
    if (!h->was_seen || h->seen_phase != phase) {
        /* What this term finds was written before it began, and so before all that it has heard. */
        if (!h->was_seen) {
            ha_trip_inherit(m, h, fate);
        }
        h->heard_from = h->was_seen ? m->now + 1 : m->lessor->since;
        h->was_seen = true;
        h->seen_phase = phase;
        h->phase_at = m->now;
    }
    if (h->has_fence && (phase != HA_HOST_FENCING || fate->term != m->term)) {
        ha_keeper_fence_end(h);
    }
    if (!ha_hold_is_free(m, &h->hold)) {
        if (h->has_fence) {
            fence_go_on(m, h);
        }
        return;
    }
    switch (phase) {
    case HA_HOST_UP:
        host_up(m, h, fate);
        break;
    case HA_HOST_LOST:
        host_lost(m, h, fate);
        break;
    case HA_HOST_FENCING:
        host_fencing(m, h, fate);
        break;
    case HA_HOST_GONE:
    case HA_HOST_PHASES:
    default:
        host_gone(m, h);
        break;
    }
}

void ha_keeper_hosts(struct ha_keeper *m)
{
    for (size_t i = 0; i < m->n_hosts; i++) {
        if (m->hosts[i]->is_alive) {
            host_pass(m, m->hosts[i]);
        }
    }
}
