#include "core/chaos/simguard.h"

#include "core/chaos/simcall_int.h"
#include "core/chaos/simpower.h"
#include "core/chaos/simvm_int.h"

struct simguard {
    struct simcall *calls; /* owned */
    enum world_watchdog kind;
    nanos timeout;
    nanos lease_until; /* on the host's clock; 0: none yet */
    nanos stalled_until;
    nanos fed_at; /* in virtual time, less what the host has slept since */
    bool is_installed;
    bool is_armed;
    bool beats;    /* its next look is scheduled */
    uint64_t life; /* counts losses of power: a look that was scheduled before is void */
    uint64_t resets;
};

void simguard_init(struct simhost *host)
{
    host->guard = mem_alloc_zero(sizeof *host->guard);
}

void simguard_deinit(struct simhost *host)
{
    mem_free(host->guard);
}

void simguard_forget(struct simhost *host)
{
    simcall_forget(&host->guard->calls);
}

void simguard_lose_power(struct simhost *host)
{
    struct simguard *guard = host->guard;

    guard->lease_until = 0;
    guard->stalled_until = 0;
    guard->is_armed = false;
    guard->beats = false;
    guard->life++;
}

void simguard_install(struct simhost *host, enum world_watchdog watchdog, nanos timeout)
{
    CHECK(watchdog != WORLD_WATCHDOG_ARMED);
    host->guard->is_installed = true;
    host->guard->kind = watchdog;
    host->guard->timeout = watchdog == WORLD_WATCHDOG_NONE ? 0 : timeout;
}

void simguard_stall(struct simhost *host, nanos until)
{
    host->guard->stalled_until = until;
}

nanos simguard_lease(const struct simhost *host)
{
    return host->guard->lease_until;
}

bool simguard_is_armed(const struct simhost *host)
{
    return host->guard->is_armed;
}

uint64_t simguard_resets(const struct simhost *host)
{
    return host->guard->resets;
}

static bool guard_runs(const struct simhost *host)
{
    return host->guard->is_installed && host->guard->stalled_until <= host->sim->now &&
           !host->is_asleep && !host->is_off;
}

static bool guard_lease_holds(const struct simhost *host)
{
    return simhost_clock(host) < host->guard->lease_until;
}

static uint32_t held_machines(const struct simhost *host)
{
    uint32_t held = 0;

    for (const struct simvm *vm = host->vms->machines; vm != NULL; vm = vm->next) {
        held += vm->is_held;
    }
    return held;
}

/* --- its looks -------------------------------------------------------------------------------- */

/* A look that is scheduled. */
struct look {
    struct simhost *host;
    uint64_t life;
};

static void guard_looks(void *arg);

static void schedule_look(struct simhost *host)
{
    struct simguard *guard = host->guard;
    struct look *look = mem_alloc_zero(sizeof *look);
    nanos left = u64_sub_sat(guard->lease_until, simhost_clock(host));
    nanos span = left > 0 && left < SIMGUARD_PERIOD ? left : SIMGUARD_PERIOD;

    *look = (struct look){host, guard->life};
    guard->beats = true;
    simworld_schedule(host->sim, NULL, host->sim->now + span, guard_looks, mem_free, look);
}

static void watchdog_switches_on(void *arg)
{
    simhost_switch_on(arg);
}

static void watchdog_resets(struct simhost *host)
{
    host->guard->resets++;
    simhost_switch_off(host);
    simworld_schedule(host->sim, NULL, host->sim->now + SIMGUARD_RESET_TIME, watchdog_switches_on,
                      NULL, host);
}

static void guard_kills_held(struct simhost *host)
{
    struct simvm *next = NULL;

    for (struct simvm *vm = host->vms->machines; vm != NULL; vm = next) {
        next = vm->next;
        if (vm->is_held && !vm->faults.is_unkillable) {
            simvm_end(vm, WORLD_VM_CRASHED);
        }
    }
}

static void guard_acts(struct simhost *host)
{
    struct simguard *guard = host->guard;
    const bool holds = guard_lease_holds(host);

    if (!holds) {
        guard_kills_held(host);
    }
    if (guard->kind != WORLD_WATCHDOG_READY) {
        return;
    }
    if (held_machines(host) == 0) {
        guard->is_armed = false;
    } else if (holds) {
        guard->is_armed = true;
        guard->fed_at = host->sim->now;
    }
}

static void guard_looks(void *arg)
{
    const struct look look = *(struct look *)arg;
    struct simhost *host = look.host;
    struct simguard *guard = host->guard;

    mem_free(arg);
    if (guard->life != look.life) {
        return;
    }
    guard->beats = false;
    if (host->is_asleep) {
        guard->fed_at += SIMGUARD_PERIOD;
    }
    if (guard_runs(host)) {
        guard_acts(host);
    }
    if (guard->is_armed && host->sim->now >= guard->fed_at + guard->timeout) {
        watchdog_resets(host);
        return;
    }
    if (guard->is_armed || held_machines(host) > 0) {
        schedule_look(host);
    }
}

enum err simguard_takes(struct simhost *host)
{
    if (!host->guard->is_installed || (guard_runs(host) && !guard_lease_holds(host))) {
        return ERR_DENIED;
    }
    return guard_runs(host) ? OK : ERR_PENDING;
}

void simguard_holds(struct simhost *host)
{
    guard_acts(host);
    if (!host->guard->beats) {
        schedule_look(host);
    }
}

void simguard_set_held(struct simhost *host, const char *name, bool is_held)
{
    struct simvm *vm = simvm_find(host, name);

    if (vm != NULL) {
        vm->is_held = is_held;
        simguard_holds(host);
    }
}

/* --- requests --------------------------------------------------------------------------------- */

static void answer_guard(struct simcall *call, enum err result)
{
    struct simhost *host = call->host;
    struct world_guard_request *request = call->request;
    const struct simguard *guard = host->guard;

    request->result = result;
    request->watchdog = WORLD_WATCHDOG_NONE;
    request->watchdog_timeout = 0;
    request->lease_until = 0;
    request->machines = 0;
    if (result == OK || result == ERR_INVALID) {
        request->watchdog = guard->is_armed ? WORLD_WATCHDOG_ARMED : guard->kind;
        request->watchdog_timeout = guard->timeout;
        request->lease_until = guard->lease_until;
        request->machines = held_machines(host);
    }
    simworld_mix(host->sim, (uint64_t)request->op << 32 | (uint64_t)result);
    simcall_close(call);
    request->done(request);
}

static void guard_expired(struct simcall *call)
{
    answer_guard(call, ERR_TIMEOUT);
}

/* It gets the message, as soon as it runs. */
static void guard_reads(struct simcall *call)
{
    const struct world_guard_request *request = call->request;
    struct simhost *host = call->host;
    struct simguard *guard = host->guard;

    if (!guard->is_installed) {
        answer_guard(call, ERR_CLOSED);
    } else if (!guard_runs(host)) {
        simcall_after(call, SIMGUARD_PERIOD, guard_reads);
    } else if (request->op == WORLD_GUARD_STATUS) {
        answer_guard(call, OK);
    } else if (request->until < guard->lease_until || request->until <= simhost_clock(host)) {
        answer_guard(call, ERR_INVALID);
    } else {
        /* Whoever was late has lost what it held: a lease that has ended does not live again. */
        guard_acts(host);
        guard->lease_until = request->until;
        guard_acts(host);
        answer_guard(call, OK);
    }
}

static void simguard_submit(void *self, struct world_guard_request *request)
{
    struct simhost *host = self;

    CHECK(request->op < WORLD_GUARD_OPS && request->done != NULL);
    struct simcall *call =
        simcall_open(&host->guard->calls, host, request, request->deadline, guard_expired);
    simcall_after(call, SIMGUARD_LATENCY, guard_reads);
}

const struct world_guard_ops simguard_ops = {simguard_submit};
