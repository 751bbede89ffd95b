#include "guard/guard_core.h"

#include <string.h>

#include "core/base/check.h"

void guard_init(struct guard *g, const struct guard_config *config)
{
    memset(g, 0, sizeof *g);
    g->config = *config;
}

static void doom_all(struct guard *g)
{
    for (uint32_t i = 0; i < GUARD_MACHINES_MAX; i++) {
        struct guard_machine *m = &g->machines[i];
        if (m->is_held && !m->is_doomed) {
            m->is_doomed = true;
            g->doomed++;
            g->killed_at = 0;
        }
    }
}

/* A lease that has ended is over, also where nobody has looked since: a new one saves nothing. */
enum err guard_lease(struct guard *g, nanos now, nanos until)
{
    if (now >= g->lease_until) {
        doom_all(g);
    }
    if (until <= now || until < g->lease_until || until - now > g->config.lease_max) {
        return ERR_INVALID;
    }
    g->lease_until = until;
    return OK;
}

uint32_t guard_find(const struct guard *g, const char *name)
{
    for (uint32_t i = 0; i < GUARD_MACHINES_MAX; i++) {
        if (g->machines[i].is_held && strcmp(g->machines[i].name, name) == 0) {
            return i;
        }
    }
    return GUARD_SLOT_NONE;
}

static uint32_t find_free(const struct guard *g)
{
    for (uint32_t i = 0; i < GUARD_MACHINES_MAX; i++) {
        if (!g->machines[i].is_held) {
            return i;
        }
    }
    return GUARD_SLOT_NONE;
}

enum err guard_hold(struct guard *g, nanos now, const char *name, uint64_t epoch, uint32_t pid,
                    uint32_t *ret, bool *is_new)
{
    size_t n = strlen(name);
    uint32_t slot = guard_find(g, name);

    if (n == 0 || n >= WORLD_NAME_MAX_BYTES) {
        return ERR_INVALID;
    }
    if (slot != GUARD_SLOT_NONE) {
        const struct guard_machine *m = &g->machines[slot];
        if (m->epoch != epoch || m->pid != pid) {
            return ERR_EXISTS;
        }
        *ret = slot;
        *is_new = false;
        return OK;
    }
    if (now >= g->lease_until || g->is_stopping) {
        return ERR_REFUSED;
    }
    slot = find_free(g);
    if (slot == GUARD_SLOT_NONE) {
        return ERR_BUSY;
    }
    struct guard_machine *m = &g->machines[slot];
    *m = (struct guard_machine){.is_held = true, .epoch = epoch, .pid = pid};
    memcpy(m->name, name, n + 1);
    g->count++;
    *ret = slot;
    *is_new = true;
    return OK;
}

void guard_gone(struct guard *g, uint32_t slot)
{
    struct guard_machine *m = &g->machines[slot];

    CHECK(slot < GUARD_MACHINES_MAX && m->is_held);
    g->doomed -= m->is_doomed;
    g->count--;
    *m = (struct guard_machine){0};
    if (g->doomed == 0) {
        g->killed_at = 0;
    }
}

void guard_stop(struct guard *g)
{
    g->is_stopping = true;
}

void guard_release(struct guard *g)
{
    doom_all(g);
}

void guard_armed(struct guard *g, bool is_armed)
{
    g->is_armed = is_armed;
}

/* Arming, feeding or disarming, and when next. */
static void due_of_watchdog(struct guard *g, nanos now, struct guard_todo *todo)
{
    bool may_feed = g->count > 0 && g->doomed == 0 && now < g->lease_until;

    if (!g->config.has_watchdog) {
        return;
    }
    if (g->count == 0) {
        todo->disarm = g->is_armed;
        g->is_armed = false;
        g->fed_at = 0;
        return;
    }
    if (!may_feed) {
        return;
    }
    nanos every = g->is_armed ? g->config.feed_every : GUARD_AGAIN;
    if (g->fed_at == 0 || now >= g->fed_at + every) {
        todo->arm = !g->is_armed;
        todo->feed = g->is_armed;
        g->fed_at = now;
    }
    todo->wake = u64_min(todo->wake, g->fed_at + every);
}

struct guard_todo guard_due(struct guard *g, nanos now)
{
    struct guard_todo todo = {.wake = NANOS_FOREVER};

    if (now >= g->lease_until) {
        doom_all(g);
    }
    if (g->doomed > 0 && (g->killed_at == 0 || now >= g->killed_at + GUARD_AGAIN)) {
        todo.kill = true;
        g->killed_at = now;
    }
    if (g->doomed > 0) {
        todo.wake = g->killed_at + GUARD_AGAIN;
    }
    if (g->count > g->doomed) {
        todo.wake = u64_min(todo.wake, g->lease_until);
    }
    due_of_watchdog(g, now, &todo);
    todo.ends = g->is_stopping && g->count == 0;
    return todo;
}

nanos guard_bound(nanos watchdog_timeout)
{
    return 2 * watchdog_timeout + GUARD_WATCHDOG_TOLERANCE;
}

void guard_check(const struct guard *g)
{
    uint32_t count = 0;
    uint32_t doomed = 0;

    for (uint32_t i = 0; i < GUARD_MACHINES_MAX; i++) {
        const struct guard_machine *m = &g->machines[i];
        count += m->is_held;
        doomed += m->is_doomed;
        CHECK(m->is_held || !m->is_doomed);
        CHECK(!m->is_held || m->name[0] != '\0');
    }
    CHECK(count == g->count && doomed == g->doomed && doomed <= count);
    CHECK(!g->is_armed || g->config.has_watchdog);
    CHECK(g->doomed > 0 || g->killed_at == 0);
}
