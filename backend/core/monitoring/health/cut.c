#include "core/monitoring/health/cut.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"

/* A member that was cut so long ago begins with a clean record. */
#define CUT_MEMORY (3600 * NANOS_PER_S)

/* A report of the only observer that comes later than that behind the last one begins anew. Reports
 * come every two seconds; one who stood still has observed nothing. */
#define CUT_ALONE_GAP (6 * NANOS_PER_S)

/* Probation doubles at most so often. */
#define CUT_DOUBLINGS_MAX 5

void cut_config_default(struct cut_config *config)
{
    *config = (struct cut_config){
        .high_percent = 75,
        .low_percent = 25,
        .settle = NANOS_PER_S,
        .hold = 200 * NANOS_PER_MS,
        .settle_max = 10 * NANOS_PER_S,
        .patience = 10 * NANOS_PER_S,
        .report_span = 30 * NANOS_PER_S,
        .alive_span = 20 * NANOS_PER_S,
        .probation = 60 * NANOS_PER_S,
        .probation_reborn = 10 * NANOS_PER_S,
        .alone_span = 15 * NANOS_PER_S,
    };
}

void cut_init(struct cut *c, const struct cut_config *config, nanos now)
{
    CHECK(config->low_percent <= config->high_percent && config->high_percent <= 100);
    memset(c, 0, sizeof(*c));
    c->config = *config;
    c->now = now;
}

void cut_deinit(struct cut *c)
{
    mem_free(c->members);
}

void cut_update_init(struct cut_update *u)
{
    memset(u, 0, sizeof(*u));
}

void cut_update_deinit(struct cut_update *u)
{
    mem_free(u->changes);
}

/* --- Members -------------------------------------------------------------------------------------
 */

/* Where `id` is, or belongs. */
static size_t cut_place(const struct cut *c, node_id id)
{
    size_t low = 0;
    size_t high = c->n_members;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (c->members[middle].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct cut_member *cut_member_find(const struct cut *c, node_id id)
{
    size_t at = cut_place(c, id);

    return at < c->n_members && c->members[at].id == id ? &c->members[at] : NULL;
}

const struct cut_member *cut_find(const struct cut *c, node_id id)
{
    return cut_member_find(c, id);
}

static struct cut_member *cut_member_add(struct cut *c, node_id id)
{
    size_t at = cut_place(c, id);

    mem_grow((void **)&c->members, &c->members_cap, c->n_members + 1, sizeof(*c->members));
    memmove(&c->members[at + 1], &c->members[at], (c->n_members - at) * sizeof(*c->members));
    c->n_members++;
    c->members[at] = (struct cut_member){
        .id = id,
        .quiet_at = NANOS_FOREVER,
        .stable_at = NANOS_FOREVER,
        .low_at = NANOS_FOREVER,
        .dead_at = NANOS_FOREVER,
        .alone_at = NANOS_FOREVER,
    };
    return &c->members[at];
}

static void cut_change_push(struct cut_update *u, enum cut_change_kind kind,
                            const struct cut_member *m, uint32_t reports)
{
    mem_grow((void **)&u->changes, &u->changes_cap, u->n_changes + 1, sizeof(*u->changes));
    u->changes[u->n_changes++] = (struct cut_change){
        .kind = kind,
        .id = m->id,
        .incarnation = m->incarnation,
        .reports = reports,
        .observers = m->n_observers,
    };
}

/* --- Counting ------------------------------------------------------------------------------------
 */

static uint32_t cut_share(uint32_t percent, uint32_t of)
{
    return (uint32_t)u64_max(2, (percent * of + 99) / 100);
}

static uint32_t cut_high(const struct cut *c, const struct cut_member *m)
{
    return cut_share(c->config.high_percent, m->n_observers);
}

static uint32_t cut_low(const struct cut *c, const struct cut_member *m)
{
    return (uint32_t)u64_min(cut_high(c, m), cut_share(c->config.low_percent, m->n_observers));
}

static bool cut_reports(const struct cut_member *m, node_id observer)
{
    for (uint32_t i = 0; i < m->n_reporters; i++) {
        if (m->reporters[i].observer == observer) {
            return true;
        }
    }
    return false;
}

/* When a report of a member counts no longer. */
static nanos cut_expiry(const struct cut *c, const struct cut_member *m, uint32_t reporter)
{
    nanos span = m->is_alive ? c->config.alive_span : c->config.report_span;

    return m->reporters[reporter].said_at + span;
}

static bool cut_reports_now(const struct cut *c, const struct cut_member *m, node_id observer)
{
    for (uint32_t i = 0; i < m->n_reporters; i++) {
        if (m->reporters[i].observer == observer) {
            return cut_expiry(c, m, i) > c->now;
        }
    }
    return false;
}

static uint32_t cut_fresh(const struct cut *c, const struct cut_member *m)
{
    uint32_t fresh = 0;

    for (uint32_t i = 0; i < m->n_reporters; i++) {
        fresh += cut_expiry(c, m, i) > c->now ? 1 : 0;
    }
    return fresh;
}

/* Observers that report it, and those of them that are as badly reported themselves, or out: they
 * can say nothing. The latter count only where somebody who can speak has spoken. */
static uint32_t cut_count(const struct cut *c, const struct cut_member *m)
{
    uint32_t count = cut_fresh(c, m);

    if (count == 0) {
        return 0;
    }
    for (uint32_t i = 0; i < m->n_observers; i++) {
        const struct cut_member *observer = cut_member_find(c, m->observers[i]);

        if (observer != NULL && !cut_reports(m, m->observers[i]) &&
            (cut_fresh(c, observer) >= cut_low(c, observer) ||
             (!observer->is_in && !observer->is_alive))) {
            count++;
        }
    }
    return count;
}

/* Has its only observer reported it for long enough? */
static bool cut_is_alone(const struct cut *c, const struct cut_member *m)
{
    return c->n_in == 2 && m->is_in && !m->is_alive && m->n_observers == 1 &&
           m->alone_at != NANOS_FOREVER && m->alone_said_at + CUT_ALONE_GAP > c->now &&
           m->alone_at + c->config.alone_span <= m->alone_said_at && cut_fresh(c, m) > 0;
}

/* --- Events --------------------------------------------------------------------------------------
 */

static void cut_forget_reports(struct cut_member *m)
{
    m->n_reporters = 0;
    m->stable_at = NANOS_FOREVER;
    m->low_at = NANOS_FOREVER;
    m->alone_at = NANOS_FOREVER;
}

static void cut_hear_alive(struct cut *c, const struct cut_event *event)
{
    struct cut_member *m = cut_member_find(c, event->id);

    if (m == NULL) {
        m = cut_member_add(c, event->id);
        m->is_in = true;
        c->n_in++;
        c->view++;
    } else if (swim_instance_of(event->incarnation) != swim_instance_of(m->incarnation)) {
        /* Another life: what was said of the earlier one says nothing of it. */
        cut_forget_reports(m);
    }
    m->incarnation = u64_max(m->incarnation, event->incarnation);
    if (!m->is_alive || m->quiet_at == NANOS_FOREVER) {
        m->quiet_at = m->n_reporters == 0 ? c->now : NANOS_FOREVER;
    }
    m->is_alive = true;
    m->dead_at = NANOS_FOREVER;
    m->alone_at = NANOS_FOREVER;
}

static void cut_hear_left(struct cut *c, node_id id)
{
    size_t at = cut_place(c, id);

    if (at < c->n_members && c->members[at].id == id) {
        if (c->members[at].is_in) {
            c->n_in--;
            c->view++;
        }
        c->n_members--;
        memmove(&c->members[at], &c->members[at + 1], (c->n_members - at) * sizeof(*c->members));
    }
}

static void cut_take_back(struct cut_member *m, node_id observer)
{
    for (uint32_t i = 0; i < m->n_reporters; i++) {
        if (m->reporters[i].observer == observer) {
            m->reporters[i] = m->reporters[--m->n_reporters];
            return;
        }
    }
}

static bool cut_report_counts(const struct cut_member *m, const struct swim_report *report)
{
    if (m == NULL || report->observer == report->subject ||
        swim_instance_of(report->incarnation) != swim_instance_of(m->incarnation) ||
        (report->down && m->is_alive && report->incarnation < m->incarnation)) {
        return false;
    }
    for (uint32_t i = 0; i < report->n_observers; i++) {
        if (report->observers[i] == report->observer) {
            return true;
        }
    }
    return false;
}

static void cut_hear_report(struct cut *c, const struct swim_report *report)
{
    struct cut_member *m = cut_member_find(c, report->subject);
    uint32_t place = 0;
    nanos said_at = u64_sub_sat(c->now, report->age);

    CHECK(report->n_observers <= SWIM_OBSERVERS_MAX);
    if (!cut_report_counts(m, report)) {
        return;
    }
    if (!report->down) {
        cut_take_back(m, report->observer);
        m->alone_at = NANOS_FOREVER;
        return;
    }
    if (m->is_alive || report->n_observers != 1) {
        m->alone_at = NANOS_FOREVER;
    } else if (m->alone_at == NANOS_FOREVER || m->alone_said_at + CUT_ALONE_GAP < c->now) {
        m->alone_at = c->now;
    }
    m->alone_said_at = c->now;
    m->n_observers = report->n_observers;
    memcpy(m->observers, report->observers, report->n_observers * sizeof(m->observers[0]));
    m->quiet_at = NANOS_FOREVER;
    while (place < m->n_reporters && m->reporters[place].observer != report->observer) {
        place++;
    }
    if (place == SWIM_OBSERVERS_MAX) {
        return;
    }
    if (place == m->n_reporters) {
        m->reporters[m->n_reporters++].said_at = 0;
        if (m->is_in) {
            c->news_at = c->now;
        }
    }
    m->reporters[place].observer = report->observer;
    m->reporters[place].said_at = u64_max(said_at, m->reporters[place].said_at);
}

/* --- The cut -------------------------------------------------------------------------------------
 */

/* Whom gossip holds for dead was condemned by a quorum of its observers, which is evidence of its
 * own beside what was reported here: then L will do. */
static bool cut_is_enough(const struct cut *c, const struct cut_member *m, uint32_t count)
{
    return count > 0 && (count >= cut_high(c, m) || (!m->is_alive && count >= cut_low(c, m)) ||
                         cut_is_alone(c, m));
}

/* What a member's count means by now. */
static void cut_weigh(struct cut *c, struct cut_member *m, struct cut_update *u)
{
    uint32_t count = 0;

    for (uint32_t i = m->n_reporters; i > 0; i--) {
        if (m->reporters[i - 1].said_at + c->config.report_span <= c->now) {
            m->reporters[i - 1] = m->reporters[--m->n_reporters];
        }
    }
    count = cut_count(c, m);
    if (m->n_reporters == 0 && m->is_alive && m->quiet_at == NANOS_FOREVER) {
        m->quiet_at = c->now;
    }
    if (count == 0 || (count < cut_low(c, m) && !cut_is_alone(c, m))) {
        m->low_at = NANOS_FOREVER;
    } else if (m->low_at == NANOS_FOREVER) {
        m->low_at = c->now;
    }
    if (!cut_is_enough(c, m, count)) {
        m->stable_at = NANOS_FOREVER;
    } else if (m->stable_at == NANOS_FOREVER) {
        m->stable_at = c->now;
    }
    if (m->is_in && !m->is_gray && m->low_at != NANOS_FOREVER && m->stable_at == NANOS_FOREVER &&
        m->low_at + c->config.patience <= c->now) {
        m->is_gray = true;
        cut_change_push(u, CUT_GRAY, m, count);
    } else if (m->is_gray && m->low_at == NANOS_FOREVER) {
        m->is_gray = false;
        cut_change_push(u, CUT_NOT_GRAY, m, count);
    }
}

static bool cut_is_unstable(const struct cut_member *m)
{
    return m->is_in && m->low_at != NANOS_FOREVER && m->stable_at == NANOS_FOREVER && !m->is_gray;
}

static void cut_remove(struct cut *c, struct cut_member *m, struct cut_update *u)
{
    cut_change_push(u, CUT_LOST, m, cut_count(c, m));
    if (m->cut_at + CUT_MEMORY < c->now) {
        m->cuts = 0;
    }
    if (m->cuts <= CUT_DOUBLINGS_MAX) {
        m->cuts++;
    }
    m->cut_at = c->now;
    m->cut_incarnation = m->incarnation;
    m->is_gray = false;
}

static bool cut_is_stable(const struct cut_member *m)
{
    return m->is_in && m->stable_at != NANOS_FOREVER;
}

/* Is the member, which is stable, reported by all others in the view that are not? */
static bool cut_is_told_by_all(const struct cut *c, const struct cut_member *m)
{
    for (size_t i = 0; i < c->n_members; i++) {
        const struct cut_member *other = &c->members[i];

        if (other->is_in && other != m && !cut_is_stable(other) &&
            !cut_reports_now(c, m, other->id)) {
            return false;
        }
    }
    return cut_fresh(c, m) > 0;
}

/* Until when the cut waits for company: for a while after the last news; or, where whoever could
 * add to it has spoken, until all of it was held for dead for long enough. */
static nanos cut_settled_at(const struct cut *c)
{
    nanos whole_at = 0;

    for (size_t i = 0; i < c->n_members; i++) {
        const struct cut_member *m = &c->members[i];

        if (cut_is_stable(m) && (m->is_alive || !cut_is_told_by_all(c, m))) {
            return c->news_at + c->config.settle;
        }
        if (cut_is_stable(m)) {
            whole_at = u64_max(whole_at, m->dead_at + c->config.hold);
        }
    }
    return u64_min(whole_at, c->news_at + c->config.settle);
}

/* The brake weighs the cut against the view, and against those who are on probation: they are
 * heard, which nobody is by a leader that is lost. */
static uint32_t cut_company(const struct cut *c)
{
    uint32_t company = c->n_in;

    for (size_t i = 0; i < c->n_members; i++) {
        const struct cut_member *m = &c->members[i];

        company += !m->is_in && m->is_alive && m->quiet_at != NANOS_FOREVER ? 1 : 0;
    }
    return company;
}

/* All that is stable, if it is time. The members stay IN until all were counted, for each counts
 * with the others. */
static void cut_make(struct cut *c, struct cut_update *u)
{
    uint32_t stable = 0;
    bool unstable = false;
    bool alone = false;
    nanos first = NANOS_FOREVER;

    for (size_t i = 0; i < c->n_members; i++) {
        const struct cut_member *m = &c->members[i];

        if (cut_is_stable(m)) {
            stable++;
            first = u64_min(first, m->stable_at);
            alone = alone || cut_is_alone(c, m);
        }
        unstable = unstable || cut_is_unstable(m);
    }
    c->is_braked = stable > 0 && 2 * stable >= cut_company(c) && !(alone && stable == 1);
    if (stable == 0 || c->is_braked) {
        return;
    }
    if ((unstable || c->now < cut_settled_at(c)) && c->now < first + c->config.settle_max) {
        return;
    }
    for (size_t i = 0; i < c->n_members; i++) {
        if (cut_is_stable(&c->members[i])) {
            cut_remove(c, &c->members[i], u);
        }
    }
    for (size_t i = 0; i < c->n_members; i++) {
        if (cut_is_stable(&c->members[i])) {
            c->members[i].is_in = false;
            c->n_in--;
        }
    }
    c->view++;
}

static nanos cut_probation(const struct cut *c, const struct cut_member *m)
{
    bool is_reborn = swim_instance_of(m->incarnation) != swim_instance_of(m->cut_incarnation);

    return m->cuts <= 1 && is_reborn ? c->config.probation_reborn
                                     : c->config.probation << (m->cuts > 0 ? m->cuts - 1 : 0);
}

static void cut_readmit(struct cut *c, struct cut_update *u)
{
    bool any = false;

    for (size_t i = 0; i < c->n_members; i++) {
        struct cut_member *m = &c->members[i];

        if (!m->is_in && m->is_alive && m->quiet_at != NANOS_FOREVER &&
            m->quiet_at + cut_probation(c, m) <= c->now) {
            m->is_in = true;
            c->n_in++;
            any = true;
            cut_change_push(u, CUT_BACK, m, 0);
        }
    }
    c->view += any ? 1 : 0;
}

static nanos cut_due(const struct cut *c)
{
    nanos due = NANOS_FOREVER;
    nanos settled_at = cut_settled_at(c);

    for (size_t i = 0; i < c->n_members; i++) {
        const struct cut_member *m = &c->members[i];

        for (uint32_t k = 0; k < m->n_reporters; k++) {
            nanos expiry = cut_expiry(c, m, k);

            /* It counts no longer, and later it is forgotten, from when on a member is quiet. */
            due = u64_min(due, expiry > c->now ? expiry
                                               : m->reporters[k].said_at + c->config.report_span);
        }
        if (cut_is_stable(m) && !c->is_braked) {
            due = u64_min(due,
                          settled_at > c->now ? settled_at : m->stable_at + c->config.settle_max);
        }
        if (cut_is_unstable(m)) {
            due = u64_min(due, m->low_at + c->config.patience);
        }
        if (!m->is_in && m->is_alive && m->quiet_at != NANOS_FOREVER) {
            due = u64_min(due, m->quiet_at + cut_probation(c, m));
        }
    }
    return due;
}

void cut_step(struct cut *c, const struct cut_event *event, struct cut_update *u)
{
    struct cut_member *m = NULL;

    CHECK(event->now >= c->now);
    c->now = event->now;
    u->n_changes = 0;
    switch (event->kind) {
    case CUT_EVENT_TIME:
        break;
    case CUT_EVENT_ALIVE:
        cut_hear_alive(c, event);
        break;
    case CUT_EVENT_DEAD:
        m = cut_member_find(c, event->id);
        if (m != NULL) {
            m->dead_at = m->is_alive ? u64_min(event->since, c->now) : m->dead_at;
            m->is_alive = false;
            m->quiet_at = NANOS_FOREVER;
        }
        break;
    case CUT_EVENT_LEFT:
        cut_hear_left(c, event->id);
        break;
    case CUT_EVENT_HEARD:
        m = cut_member_find(c, event->id);
        if (m != NULL) {
            m->alone_at = NANOS_FOREVER;
        }
        break;
    case CUT_EVENT_REPORT:
        cut_hear_report(c, &event->report);
        break;
    }
    for (size_t i = 0; i < c->n_members; i++) {
        cut_weigh(c, &c->members[i], u);
    }
    cut_make(c, u);
    cut_readmit(c, u);
    u->view = c->view;
    u->is_braked = c->is_braked;
    u->deadline = cut_due(c);
}

void cut_check(const struct cut *c)
{
    uint32_t in = 0;

    for (size_t i = 0; i < c->n_members; i++) {
        const struct cut_member *m = &c->members[i];

        CHECK(i == 0 || c->members[i - 1].id < m->id);
        CHECK(m->n_reporters <= SWIM_OBSERVERS_MAX && m->n_observers <= SWIM_OBSERVERS_MAX);
        CHECK(m->stable_at == NANOS_FOREVER || m->low_at != NANOS_FOREVER);
        in += m->is_in ? 1 : 0;
    }
    CHECK(in == c->n_in);
}
