/*
 * Whose turn it is to be fenced: the cap against storms, and the order of those that wait for it.
 *
 * Two kinds of hosts wait: those that are LOST, and those that an earlier leader had begun to
 * fence, which this one takes over. An earlier leader may have had reasons for more of them than
 * the cap of today (a cap that was changed since, fences that nobody answered for as long as a
 * storm is counted), and they are not begun at once for that. Of those that wait the first is the
 * one whose machines have the most priority together; of equals, the first by name.
 *
 * What an operator asks for waits for nobody.
 *
 * RACES. One leader fences, so two sides can only fence each other where the lead changes in the
 * middle: A has committed that B is to be switched off, and told its device; B, which is not off
 * yet, wins the next term with others, finds A lost, and has it switched off. Then both are off,
 * and one should have lived. Three things prevent that.
 *
 *   1. No OFF leaves a leader later than HA_OFF_FRESH after a quorum has confirmed its term
 *      (ha_keeper_power.c). So whoever leads next knows when the last command of the one before
 *      can still take effect.
 *   2. A new leader that spares a host which the one before had begun to fence, itself or another
 *      that it hears, fences nobody who is lost until then: who lives to see that time has won.
 *   3. fence_delay_ms, by chance, and fence_priority_delay_ms, for the host with the more important
 *      machines: who waits may be deposed meanwhile, and by (1) sends nothing then.
 */
#include <string.h>

#include "core/base/mutant.h"
#include "core/base/say.h"
#include "core/ha/ha_keeper_int.h"

/* Its fate has not changed for as long as a storm is counted. */
static bool turn_is_settled(void *ctx, const char *host)
{
    const struct ha_keeper *m = ctx;
    const struct ha_soft_host *h = ha_soft_host_find(m, host);

    return h != NULL && h->was_seen &&
           m->now >= h->phase_at + (nanos)m->settings.storm_s * NANOS_PER_S;
}

static bool turn_goes_before(const struct ha_soft_host *a, const struct ha_soft_host *b)
{
    return a->weight != b->weight ? a->weight > b->weight : strcmp(a->name, b->name) < 0;
}

static bool turn_is_tabled(const struct ha_keeper *m, const struct ha_soft_host *h)
{
    const struct ha_host *host = ha_view_host(m->view, h->name);

    return h->movable > 0 && host != NULL && host->n_levels > 0;
}

/* LOST, and nothing but the cap is between it and its fence. */
static bool turn_waits_lost(const struct ha_keeper *m, const struct ha_soft_host *h)
{
    return ha_keeper_fate(m, h->name) == HA_HOST_LOST && !ha_hold_is_open(m, &h->hold) &&
           turn_is_tabled(m, h) && !ha_keeper_is_heard(m, h);
}

/* To be fenced, says the record; and no fence is at work. */
static bool turn_waits_taken_over(const struct ha_keeper *m, const struct ha_soft_host *h)
{
    const struct ha_fate *fate = ha_view_fate(m->view, h->name);

    return fate != NULL && fate->phase == HA_HOST_FENCING && !fate->is_asked && !h->has_fence &&
           !ha_keeper_is_heard(m, h);
}

static uint32_t turn_ahead(const struct ha_keeper *m, const struct ha_soft_host *h,
                           bool (*waits)(const struct ha_keeper *m, const struct ha_soft_host *h))
{
    uint32_t ahead = 0;

    for (size_t i = 0; i < m->n_hosts; i++) {
        const struct ha_soft_host *other = m->hosts[i];
        ahead += other != h && other->is_alive && turn_goes_before(other, h) && waits(m, other);
    }
    return ahead;
}

static bool turn_is_now(const struct ha_storm *storm, uint32_t before, struct buf *why)
{
    if (before < storm->cap || MUTANT(HA_STORM_UNCAPPED)) {
        return true;
    }
    say(why, "not fenced: ");
    say_u64(why, before);
    say(why, " of ");
    say_u64(why, storm->hosts);
    say(why, " hosts are fenced already, or come first, and no more than ");
    say_u64(why, storm->cap);
    say(why, " may be at a time: look for what they have in common (a switch, a power feed), or "
             "confirm that it is off");
    return false;
}

/* --- races ------------------------------------------------------------------------------------ */

static bool race_is_own(const struct ha_keeper *m, const char *host)
{
    const struct ha_agent_record *agent = ha_view_agent(m->view, host);

    return agent != NULL && agent->member == m->config.member;
}

/* The longest that one command to a device of the host may take. */
static nanos race_command_time(const struct ha_keeper *m, const char *name)
{
    const struct ha_host *host = ha_view_host(m->view, name);
    nanos longest = 0;

    for (uint32_t k = 0; host != NULL && k < host->n_levels; k++) {
        for (uint32_t j = 0; j < host->levels[k].n; j++) {
            const struct ha_device *device = ha_view_device(m->view, host->levels[k].device[j]);
            if (device != NULL) {
                longest = u64_max(longest, (nanos)device->timeout_ms * NANOS_PER_MS);
            }
        }
    }
    return longest;
}

void ha_turn_spared(struct ha_keeper *m, const char *host)
{
    const nanos until =
        u64_add_sat(m->began, race_command_time(m, host) + HA_OFF_FRESH + HA_FENCE_GRACE);

    if (until <= m->race_until || m->now >= until || MUTANT(HA_RACE_IGNORED)) {
        return;
    }
    m->race_until = until;
    m->events.said(m->events.ctx, "fence-race", host,
                   "the leader before had begun to switch it off: nobody who is lost is fenced "
                   "while its command may still take effect");
}

/* Those that it does not spare are silent for long enough by the end of the wait that begins here.
 */
void ha_turn_begin(struct ha_keeper *m)
{
    m->race_until = 0;
    for (size_t i = 0; i < ha_view_count(m->view, HA_FATE); i++) {
        const struct ha_fate *fate = ha_view_at(m->view, HA_FATE, i)->record;
        if (fate == NULL || fate->phase != HA_HOST_FENCING || fate->term >= m->term) {
            continue;
        }
        m->race_until = u64_max(m->race_until, m->lessor->since + 2 * HA_SILENCE_NEW);
        if (race_is_own(m, fate->host)) {
            ha_turn_spared(m, fate->host);
        }
    }
}

static bool turn_is_raced(struct ha_keeper *m, struct buf *why)
{
    if (m->now >= m->race_until) {
        return false;
    }
    ha_keeper_want(m, m->race_until);
    say(why, "not fenced yet: the leader before had begun to switch off another host, and its "
             "command may still take effect there");
    return true;
}

nanos ha_turn_delay(const struct ha_keeper *m, const struct ha_soft_host *h)
{
    uint64_t heaviest = 0;
    uint32_t hosts = 0;
    uint32_t here = 0;

    for (size_t i = 0; i < m->n_hosts; i++) {
        const struct ha_soft_host *other = m->hosts[i];
        const struct ha_host *host = ha_view_host(m->view, other->name);
        if (host == NULL || !host->is_enabled || ha_view_agent(m->view, other->name) == NULL) {
            continue; /* it runs no machines: it is on nobody's side */
        }
        hosts++;
        if (other != h && ha_keeper_fate(m, other->name) == HA_HOST_UP) {
            here++;
            heaviest = u64_max(heaviest, other->weight);
        }
    }
    return 2 * here <= hosts && h->weight > heaviest
               ? (nanos)m->settings.fence_priority_delay_ms * NANOS_PER_MS
               : 0;
}

/* --- turns ------------------------------------------------------------------------------------ */

/* Those that this step has just begun to fence are not in the view yet. */
bool ha_turn_of_lost(struct ha_keeper *m, const struct ha_soft_host *h, struct buf *why)
{
    struct ha_storm storm;
    uint32_t begun = 0;

    if (turn_is_raced(m, why)) {
        return false;
    }
    ha_storm_of(m->view, turn_is_settled, m, &storm);
    for (size_t i = 0; i < m->n_hosts; i++) {
        begun += ha_hold_is_open(m, &m->hosts[i]->hold) &&
                 ha_keeper_fate(m, m->hosts[i]->name) == HA_HOST_LOST;
    }
    return turn_is_now(&storm, storm.fenced + begun + turn_ahead(m, h, turn_waits_lost), why);
}

/* Those that wait, too, are not fenced yet, whatever their records say. */
bool ha_turn_of_taken_over(struct ha_keeper *m, const struct ha_soft_host *h, struct buf *why)
{
    struct ha_storm storm;
    uint32_t before = turn_ahead(m, h, turn_waits_taken_over);

    ha_storm_of(m->view, turn_is_settled, m, &storm);
    for (size_t i = 0; i < m->n_hosts; i++) {
        const struct ha_soft_host *other = m->hosts[i];
        const struct ha_fate *fate = ha_view_fate(m->view, other->name);
        if (fate == NULL || other == h || turn_is_settled(m, other->name)) {
            continue;
        }
        before += (fate->phase == HA_HOST_FENCING && other->has_fence) ||
                  (fate->phase == HA_HOST_GONE && fate->proof == HA_PROOF_FENCED);
    }
    return MUTANT(HA_TAKEN_OVER_AT_ONCE) || turn_is_now(&storm, before, why);
}
