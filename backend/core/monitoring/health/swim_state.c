#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/monitoring/health/swim_int.h"

/* More patience than this many deaths in vain buy, nobody gets. */
#define SWIM_FLAPS_MAX 7

/* How long one whom others hold for dead has to say that it is not. */
#define SWIM_DOUBT_DEADLINE (10 * NANOS_PER_S)

/* --- Suspicions ----------------------------------------------------------------------------------
 */

void swim_drop_suspicion(struct swim *s, uint32_t at)
{
    uint32_t place = s->members[at].place;

    if (place == 0) {
        return;
    }
    s->members[at].place = 0;
    s->suspicions[place - 1] = s->suspicions[--s->n_suspicions];
    if (place - 1 < s->n_suspicions) {
        s->members[s->suspicions[place - 1].member].place = (uint16_t)place;
    }
}

nanos swim_suspicions_due(const struct swim *s)
{
    nanos due = NANOS_FOREVER;

    for (size_t i = 0; i < s->n_suspicions; i++) {
        due = u64_min(due, s->suspicions[i].deadline);
    }
    return due;
}

static void swim_suspicion_open(struct swim *s, uint32_t at, node_id by)
{
    struct swim_suspicion *suspicion = NULL;

    /* The place has 16 bits. Whoever suspects more than that many suspects itself instead. */
    if (s->n_suspicions >= UINT16_MAX) {
        return;
    }
    mem_grow((void **)&s->suspicions, &s->suspicions_cap, s->n_suspicions + 1,
             sizeof(*s->suspicions));
    suspicion = &s->suspicions[s->n_suspicions++];
    *suspicion = (struct swim_suspicion){.member = at, .n_accusers = 1, .began = s->now};
    suspicion->accusers[0] = by;
    suspicion->said_at[0] = s->now;
    suspicion->deadline = s->now + swim_suspicion_span(&s->config, s->n_live, 0);
    s->members[at].place = (uint16_t)s->n_suspicions;
}

/* Another one says so too. True: it is news, and worth being told on. */
static bool swim_suspicion_confirm(struct swim *s, struct swim_suspicion *suspicion, node_id by)
{
    uint32_t most = (uint32_t)u64_min(s->config.confirmations + 1, SWIM_ACCUSERS_MAX);

    if (suspicion->n_accusers >= most) {
        return false;
    }
    for (uint32_t i = 0; i < suspicion->n_accusers; i++) {
        if (suspicion->accusers[i] == by) {
            return false;
        }
    }
    suspicion->accusers[suspicion->n_accusers++] = by;
    suspicion->deadline =
        suspicion->began + swim_suspicion_span(&s->config, s->n_live, suspicion->n_accusers - 1);
    return true;
}

struct swim_suspicion *swim_accused(struct swim *s, uint32_t at, node_id by, struct swim_update *u)
{
    struct swim_member *m = &s->members[at];

    if (m->state == SWIM_ALIVE) {
        swim_table_set_state(s, at, SWIM_SUSPECT);
        swim_change_push(u, SWIM_SUSPECTED, m, by, by == s->config.self);
    }
    if (m->place == 0) {
        swim_suspicion_open(s, at, by);
        if (m->place != 0) {
            s->suspicions[m->place - 1].deadline = NANOS_FOREVER;
            s->suspicions[m->place - 1].n_accusers = 0;
        }
    }
    return m->place == 0 ? NULL : &s->suspicions[m->place - 1];
}

uint32_t swim_flaps(const struct swim *s, uint32_t at)
{
    nanos faded = (s->now - s->members[at].since) / (60 * NANOS_PER_S);

    return (uint32_t)u64_sub_sat(s->members[at].flaps, faded);
}

void swim_acquit(struct swim *s, uint32_t at, struct swim_update *u)
{
    struct swim_member *m = &s->members[at];

    swim_drop_suspicion(s, at);
    if (m->state == SWIM_SUSPECT) {
        swim_table_set_state(s, at, SWIM_ALIVE);
        swim_change_push(u, SWIM_REFUTED, m, NODE_NONE, false);
    }
}

/* --- Statements ----------------------------------------------------------------------------------
 */

void swim_incarnation_raise(struct swim *s, uint64_t above)
{
    struct swim_member *self = &s->members[0];

    self->incarnation = u64_max(above, self->incarnation) + 1;
    if (swim_instance_of(self->incarnation) != s->sender.instance) {
        /* So many contradictions that they ran into the instance: it is a new one. */
        s->sender.instance = swim_instance_of(self->incarnation);
        s->sender.counter = 0;
    }
    swim_rumor_put(s, 0, NODE_NONE);
}

/* We live, whatever is said. */
static void swim_refute(struct swim *s, uint64_t said)
{
    if (s->is_leaving || s->is_displaced) {
        return;
    }
    s->counters[SWIM_REFUTATIONS]++;
    swim_awareness_add(s, 1);
    swim_incarnation_raise(s, said);
}

/* Somebody says something about us. */
static void swim_hear_of_self(struct swim *s, uint64_t incarnation, enum swim_state state,
                              struct swim_update *u)
{
    struct swim_member *self = &s->members[0];

    if (swim_instance_of(incarnation) > s->sender.instance && state == SWIM_ALIVE) {
        if (!s->is_displaced) {
            s->is_displaced = true;
            s->displaced_by = incarnation;
            swim_change_push(u, SWIM_DISPLACED, self, NODE_NONE, false);
        }
        return;
    }
    if (swim_instance_of(incarnation) != s->sender.instance) {
        return;
    }
    s->was_accused = s->was_accused || state != SWIM_ALIVE;
    if (incarnation > self->incarnation ||
        (incarnation == self->incarnation && state != SWIM_ALIVE)) {
        swim_refute(s, incarnation);
    }
}

static void swim_store_member(struct swim *s, uint32_t at, const struct swim_message *m)
{
    struct swim_member *member = &s->members[at];

    member->incarnation = m->incarnation;
    member->at = m->at;
    member->version = m->version;
    member->by_stream = m->by_stream;
    memcpy(member->site, m->site, sizeof(member->site));
    if (m->meta.len != member->meta_len) {
        member->meta = m->meta.len > 0 ? mem_realloc(member->meta, m->meta.len)
                                       : (mem_free(member->meta), NULL);
        member->meta_len = (uint16_t)m->meta.len;
    }
    if (m->meta.len > 0) {
        memcpy(member->meta, m->meta.data, m->meta.len);
    }
}

/* What somebody tells us who is not known yet. A tombstone is taken over only where there is room.
 */
static void swim_hear_of_stranger(struct swim *s, const struct swim_message *m,
                                  struct swim_update *u)
{
    bool is_dead = m->state == SWIM_DEAD || m->state == SWIM_LEFT;
    uint32_t at = SWIM_NOBODY;

    if (!is_dead || s->n_members < s->config.members_max / 2) {
        at = swim_table_add(s, m->id);
    }
    if (at == SWIM_NOBODY) {
        s->counters[SWIM_REFUSED_FULL]++;
        return;
    }
    swim_store_member(s, at, m);
    if (is_dead) {
        swim_table_set_state(s, at, (enum swim_state)m->state);
        return;
    }
    swim_table_set_state(s, at, SWIM_ALIVE);
    swim_rumor_put(s, at, NODE_NONE);
    swim_change_push(u, SWIM_JOINED, &s->members[at], NODE_NONE, false);
}

static bool swim_differs(const struct swim_member *member, const struct swim_message *m)
{
    return member->at.port != m->at.port || strcmp(member->at.host, m->at.host) != 0 ||
           member->meta_len != m->meta.len || member->version != m->version ||
           memcmp(member->site, m->site, sizeof(member->site)) != 0 ||
           (m->meta.len > 0 && memcmp(member->meta, m->meta.data, m->meta.len) != 0);
}

/* A member that is known is said to be alive, by a statement that is news. */
static void swim_hear_alive(struct swim *s, uint32_t at, const struct swim_message *m,
                            struct swim_update *u)
{
    struct swim_member *member = &s->members[at];
    enum swim_state before = (enum swim_state)member->state;
    bool restarted = swim_instance_of(m->incarnation) != swim_instance_of(member->incarnation);
    bool differs = swim_differs(member, m);
    uint32_t flaps = restarted ? 0 : swim_flaps(s, at);

    if (before == SWIM_DEAD && !restarted && flaps < SWIM_FLAPS_MAX) {
        flaps++;
    }
    member->flaps = (uint8_t)flaps;
    swim_drop_suspicion(s, at);
    swim_store_member(s, at, m);
    swim_table_set_state(s, at, SWIM_ALIVE);
    swim_rumor_put(s, at, NODE_NONE);
    if (before == SWIM_DEAD || before == SWIM_LEFT) {
        swim_change_push(u, SWIM_JOINED, member, NODE_NONE, false);
        return;
    }
    if (restarted) {
        swim_change_push(u, SWIM_RESTARTED, member, NODE_NONE, false);
    } else if (before == SWIM_SUSPECT) {
        swim_change_push(u, SWIM_REFUTED, member, NODE_NONE, false);
    }
    if (differs && !restarted) {
        swim_change_push(u, SWIM_UPDATED, member, NODE_NONE, false);
    }
}

/* Another table holds for dead whom we hold for alive: after a partition, or because a rumor did
 * not reach us. The member is told, and has its time to contradict. */
static void swim_doubt(struct swim *s, uint32_t at, const struct swim_message *m,
                       struct swim_update *u)
{
    struct swim_suspicion *doubt = NULL;

    if (!swim_is_live(&s->members[at]) || m->incarnation != s->members[at].incarnation) {
        return;
    }
    doubt = swim_accused(s, at, NODE_NONE, u);
    if (doubt != NULL && doubt->deadline == NANOS_FOREVER) {
        doubt->deadline = s->now + SWIM_DOUBT_DEADLINE;
        swim_send_greeting(s, at, 0, u);
    }
}

void swim_hear_member(struct swim *s, const struct swim_message *m, struct swim_update *u)
{
    uint32_t at = swim_index(s, m->id);
    enum swim_state state = (enum swim_state)m->state;

    if (at == 0) {
        swim_hear_of_self(s, m->incarnation, state, u);
        return;
    }
    if (at == SWIM_NOBODY) {
        swim_hear_of_stranger(s, m, u);
        return;
    }
    if (m->incarnation > s->members[at].incarnation) {
        swim_hear_alive(s, at, m, u);
    }
    if (state == SWIM_LEFT) {
        swim_hear_dead(s, m->id, m->incarnation, m->id, u);
    } else if (state == SWIM_SUSPECT) {
        swim_hear_suspect(s, m->id, m->incarnation, m->by, u);
    } else if (state == SWIM_DEAD && s->config.rings == 0) {
        /* Another's tombstone is a suspicion, which the member gets the time to contradict. */
        swim_hear_suspect(s, m->id, m->incarnation, m->by, u);
    } else if (state == SWIM_DEAD) {
        swim_doubt(s, at, m, u);
    }
}

/* Is a statement against a member of this incarnation to be heard at all? Only of the instance that
 * is known: else one could be buried that nobody has heard of. */
static bool swim_is_current(const struct swim_member *m, uint64_t incarnation)
{
    return incarnation >= m->incarnation &&
           swim_instance_of(incarnation) == swim_instance_of(m->incarnation);
}

void swim_hear_suspect(struct swim *s, node_id id, uint64_t incarnation, node_id by,
                       struct swim_update *u)
{
    uint32_t at = swim_index(s, id);
    struct swim_member *m = at == SWIM_NOBODY ? NULL : &s->members[at];

    if (at == 0) {
        swim_hear_of_self(s, incarnation, SWIM_SUSPECT, u);
        return;
    }
    if (m == NULL || !swim_is_current(m, incarnation)) {
        return;
    }
    if (m->state == SWIM_SUSPECT) {
        m->incarnation = incarnation;
        if (m->place != 0 && swim_suspicion_confirm(s, &s->suspicions[m->place - 1], by)) {
            swim_rumor_put(s, at, by);
        }
        return;
    }
    if (m->state != SWIM_ALIVE) {
        return;
    }
    m->incarnation = incarnation;
    swim_table_set_state(s, at, SWIM_SUSPECT);
    swim_suspicion_open(s, at, by);
    swim_rumor_put(s, at, by);
    swim_change_push(u, SWIM_SUSPECTED, m, by, by == s->config.self);
}

void swim_hear_dead(struct swim *s, node_id id, uint64_t incarnation, node_id by,
                    struct swim_update *u)
{
    uint32_t at = swim_index(s, id);
    struct swim_member *m = at == SWIM_NOBODY ? NULL : &s->members[at];
    bool left = by == id;

    if (at == 0) {
        swim_hear_of_self(s, incarnation, SWIM_DEAD, u);
        return;
    }
    if (m == NULL || !swim_is_current(m, incarnation)) {
        return;
    }
    if (m->state == SWIM_LEFT || (m->state == SWIM_DEAD && !left)) {
        m->incarnation = incarnation;
        return;
    }
    m->incarnation = incarnation;
    swim_drop_suspicion(s, at);
    swim_table_set_state(s, at, left ? SWIM_LEFT : SWIM_DEAD);
    swim_rumor_put(s, at, by);
    swim_change_push(u, left ? SWIM_WENT : SWIM_DIED, m, by, by == s->config.self);
}

void swim_expire_suspicions(struct swim *s, struct swim_update *u)
{
    for (size_t i = s->n_suspicions; i > 0; i--) {
        if (i <= s->n_suspicions && s->suspicions[i - 1].deadline <= s->now) {
            const struct swim_member *m = &s->members[s->suspicions[i - 1].member];

            swim_hear_dead(s, m->id, m->incarnation, s->config.self, u);
        }
    }
}

void swim_describe(const struct swim *s, uint32_t at, struct swim_message *ret)
{
    const struct swim_member *m = &s->members[at];

    *ret = (struct swim_message){
        .type = SWIM_MEMBER,
        .id = m->id,
        .incarnation = m->incarnation,
        .state = m->state,
        .version = m->version,
        .by_stream = m->by_stream,
        .at = m->at,
        .meta = {m->meta, m->meta_len},
    };
    /* With observers, a suspicion is between them until they agree. */
    if (m->state == SWIM_SUSPECT && s->config.rings > 0) {
        ret->state = SWIM_ALIVE;
    }
    memcpy(ret->site, m->site, sizeof(ret->site));
}
