#include "core/chaos/simpower.h"

#include <string.h>

#include "core/chaos/simcall_int.h"

/* Label of the generators of devices; the number of the device is added. */
#define DEVICE_CHILDREN 2000000

struct simdevice {
    struct simdevice *next; /* in the order they were made */
    struct simhost *host;   /* whose switch it works */
    struct prng prng;
    char name[WORLD_NAME_MAX_BYTES];
    struct simdevice_faults faults;
    bool is_told_off;
    uint64_t offs;
};

struct simpower {
    struct simpower_owner owner;
    struct simcall *calls; /* owned */
    uint64_t luck_num;
    uint64_t luck_den;
    bool is_unplugged;
    bool is_cut_off; /* from the management network */
};

/* --- the host -------------------------------------------------------------------------------- */

void simpower_init(struct simhost *host)
{
    host->power = mem_alloc_zero(sizeof *host->power);
    host->power->luck_num = 1;
    host->power->luck_den = 2;
    simdevice_new(host, host->name);
}

void simpower_forget(struct simhost *host)
{
    simcall_forget(&host->power->calls);
}

void simpower_deinit(struct simworld *sim)
{
    for (size_t i = 0; i < sim->host_count; i++) {
        mem_free(sim->hosts[i]->power);
    }
    while (sim->devices != NULL) {
        struct simdevice *device = sim->devices;
        sim->devices = device->next;
        mem_free(device);
    }
}

void simpower_set_owner(struct simhost *host, const struct simpower_owner *owner)
{
    host->power->owner = *owner;
}

enum simhost_power simhost_power(const struct simhost *host)
{
    if (host->power->is_unplugged) {
        return SIMHOST_UNPLUGGED;
    }
    return simhost_is_on(host) ? SIMHOST_ON : SIMHOST_OFF;
}

void simhost_set_luck(struct simhost *host, uint64_t num, uint64_t den)
{
    CHECK(den > 0 && num <= den);
    host->power->luck_num = num;
    host->power->luck_den = den;
}

void simhost_switch_off(struct simhost *host)
{
    struct simpower *power = host->power;

    if (simhost_power(host) != SIMHOST_ON) {
        return;
    }
    if (power->owner.goes_off != NULL) {
        power->owner.goes_off(power->owner.ctx, host);
    }
    simhost_cut_power(host, power->luck_num, power->luck_den);
    if (power->owner.went_off != NULL) {
        power->owner.went_off(power->owner.ctx, host);
    }
}

void simhost_switch_on(struct simhost *host)
{
    struct simpower *power = host->power;

    if (simhost_power(host) != SIMHOST_OFF) {
        return;
    }
    simhost_power_on(host);
    if (power->owner.came_on != NULL) {
        power->owner.came_on(power->owner.ctx, host);
    }
}

void simhost_unplug(struct simhost *host)
{
    simhost_switch_off(host);
    host->power->is_unplugged = true;
}

void simhost_plug_in(struct simhost *host, bool comes_on)
{
    host->power->is_unplugged = false;
    if (comes_on) {
        simhost_switch_on(host);
    }
}

void simhost_cut_management(struct simhost *host, bool is_cut)
{
    host->power->is_cut_off = is_cut;
}

/* --- devices --------------------------------------------------------------------------------- */

struct simdevice_faults simdevice_faults_none(void)
{
    return (struct simdevice_faults){.switch_time = SIMPOWER_SWITCH_TIME};
}

static struct simdevice *device_find(const struct simworld *sim, const char *name)
{
    struct simdevice *device = sim->devices;

    while (device != NULL && strcmp(device->name, name) != 0) {
        device = device->next;
    }
    return device;
}

void simdevice_new(struct simhost *host, const char *name)
{
    struct simworld *sim = host->sim;
    struct simdevice *device = mem_alloc_zero(sizeof *device);
    struct simdevice **at = &sim->devices;
    uint64_t number = 0;

    CHECK(strlen(name) < sizeof device->name && device_find(sim, name) == NULL);
    while (*at != NULL) {
        at = &(*at)->next;
        number++;
    }
    *at = device;
    device->host = host;
    device->prng = prng_fork(&sim->prng, DEVICE_CHILDREN + number);
    device->faults = simdevice_faults_none();
    memcpy(device->name, name, strlen(name) + 1);
}

static struct simdevice *device_get(const struct simworld *sim, const char *name)
{
    struct simdevice *device = device_find(sim, name);
    CHECK(device != NULL);
    return device;
}

void simdevice_set_faults(struct simworld *sim, const char *name,
                          const struct simdevice_faults *faults)
{
    device_get(sim, name)->faults = faults != NULL ? *faults : simdevice_faults_none();
}

void simdevice_wire(struct simworld *sim, const char *name, struct simhost *host)
{
    device_get(sim, name)->host = host;
}

uint64_t simdevice_offs(const struct simworld *sim, const char *name)
{
    return device_get(sim, name)->offs;
}

/* --- what a device does, whatever becomes of who asked for it ----------------------------------
 */

static void device_switches_on(void *arg)
{
    struct simdevice *device = arg;
    simhost_switch_on(device->host);
}

static void device_switches_off(void *arg)
{
    struct simdevice *device = arg;
    struct simworld *sim = device->host->sim;

    simhost_switch_off(device->host);
    if (device->faults.returns_after > 0) {
        simworld_schedule(sim, NULL, sim->now + device->faults.returns_after, device_switches_on,
                          NULL, device);
    }
}

/* --- requests -------------------------------------------------------------------------------- */

static void begin_calls(struct simhost *host);

static void answer_power(struct simcall *call, enum err result, enum world_power_state state)
{
    struct simhost *host = call->host;
    struct world_power_request *request = call->request;

    request->result = result;
    request->state = result == OK ? state : WORLD_POWER_UNKNOWN;
    simworld_mix(host->sim, (uint64_t)result << 32 | request->state);
    simcall_close(call);
    begin_calls(host);
    request->done(request);
}

static void power_expired(struct simcall *call)
{
    answer_power(call, ERR_TIMEOUT, WORLD_POWER_UNKNOWN);
}

/* What was decided when the command arrived, and is told later. */
static void tell_power(struct simcall *call)
{
    const struct world_power_request *request = call->request;
    answer_power(call, request->result, request->state);
}

static void tell_later(struct simcall *call, nanos span, enum err result,
                       enum world_power_state state)
{
    struct world_power_request *request = call->request;

    request->result = result;
    request->state = state;
    simcall_after(call, span, tell_power);
}

static nanos device_latency(struct simdevice *device)
{
    return SIMPOWER_LATENCY + prng_range(&device->prng, 0, SIMPOWER_JITTER);
}

static void take_status(struct simcall *call, struct simdevice *device)
{
    bool is_off = simhost_power(device->host) != SIMHOST_ON;

    if (device->faults.tells_order) {
        is_off = device->is_told_off;
    }
    enum world_power_state state = is_off ? WORLD_POWER_IS_OFF : WORLD_POWER_IS_ON;
    tell_later(call, device_latency(device), OK,
               device->faults.cannot_tell ? WORLD_POWER_UNKNOWN : state);
}

static void take_switch(struct simcall *call, struct simdevice *device, bool is_off)
{
    const struct simdevice_faults *faults = &device->faults;
    struct simworld *sim = call->host->sim;
    bool is_unplugged = simhost_power(device->host) == SIMHOST_UNPLUGGED;
    bool fails = faults->says_failed || (is_unplugged && !is_off);

    device->is_told_off = is_off;
    device->offs += is_off;
    simworld_tell(sim, device->host, SIMTRACE_FENCE, call->host, is_off ? 0 : 1);
    if (!faults->only_says_ok) {
        simworld_schedule(sim, NULL, sim->now + faults->switch_time,
                          is_off ? device_switches_off : device_switches_on, NULL, device);
    }
    if (!faults->loses_answers) {
        nanos span = device_latency(device) + (faults->answers_early ? 0 : faults->switch_time);
        tell_later(call, span, fails ? ERR_IO : OK, WORLD_POWER_UNKNOWN);
    }
}

/* The command reaches the device, or does not. */
static void reach_device(struct simcall *call)
{
    const struct world_power_request *request = call->request;
    struct simdevice *device = device_find(call->host->sim, request->device);

    if (device == NULL) {
        answer_power(call, ERR_NOT_FOUND, WORLD_POWER_UNKNOWN);
        return;
    }
    bool is_dark =
        simhost_power(device->host) == SIMHOST_UNPLUGGED && !device->faults.has_own_mains;
    if (call->host->power->is_cut_off || device->faults.is_unreachable || is_dark) {
        tell_later(call, SIMPOWER_UNREACHED, ERR_CLOSED, WORLD_POWER_UNKNOWN);
    } else if (device->faults.denies) {
        tell_later(call, device_latency(device), ERR_DENIED, WORLD_POWER_UNKNOWN);
    } else if (device->faults.is_hung) {
        return; /* the deadline answers */
    } else if (request->op != WORLD_POWER_STATUS) {
        take_switch(call, device, request->op == WORLD_POWER_OFF);
    } else if (!device->faults.loses_answers) {
        take_status(call, device);
    }
}

/* Is an earlier request for the same device under way? */
static bool has_to_wait(const struct simhost *host, const struct simcall *call)
{
    const struct world_power_request *request = call->request;

    for (const struct simcall *at = host->power->calls; at != call; at = at->next) {
        const struct world_power_request *earlier = at->request;
        if (strcmp(earlier->device, request->device) == 0) {
            return true;
        }
    }
    return false;
}

static void begin_calls(struct simhost *host)
{
    for (struct simcall *call = host->power->calls; call != NULL; call = call->next) {
        if (!call->is_begun && !has_to_wait(host, call)) {
            call->is_begun = true;
            simcall_after(call, SIMPOWER_LATENCY, reach_device);
        }
    }
}

static void power_submit(void *self, struct world_power_request *request)
{
    struct simhost *host = self;

    CHECK(request->op < WORLD_POWER_OPS && request->done != NULL);
    CHECK(strlen(request->device) < WORLD_NAME_MAX_BYTES);
    (void)simcall_open(&host->power->calls, host, request, request->deadline, power_expired);
    begin_calls(host);
}

const struct world_power_ops simpower_ops = {power_submit};
