#include "core/chaos/scenario/stage_machines.h"

#include <string.h>

#include "core/base/say.h"

/* What an operator's write may take, and how often it is tried. */
#define OPERATOR_BOUND (20 * NANOS_PER_S)
#define OPERATOR_AGAIN (20 * NANOS_PER_MS)

/* An ordered stop, and a start. */
#define MOVE_BOUND (40 * NANOS_PER_S)

struct sim_settings stage_hosts(uint32_t founders, uint32_t machines)
{
    struct sim_settings s = stage_plain(founders);

    s.machines = machines;
    s.watches_hosts = true;
    return s;
}

void stage_await_machines(struct stage *st, nanos bound, const char *text)
{
    STAGE_UNTIL(st, bound, stage_all_run(st), text);
}

void stage_found_hosts(struct stage *st, const struct sim_settings *settings)
{
    stage_found(st, settings);
    stage_await_machines(st, 20 * NANOS_PER_S, "all machines are placed, and run");
}

void stage_mend_hosts(struct stage *st)
{
    for (uint32_t i = 0; i < st->sim.cluster.n && st->sim.cluster.n_machines > 0; i++) {
        struct simmember *m = stage_member(st, i);
        stage_controller(st, m, simdevice_faults_none());
        stage_outlet(st, m, simdevice_faults_none());
        simhost_cut_management(m->host, false);
        simguard_stall(m->host, 0);
        simhost_set_wall(m->host, 0);
        simcluster_cut_volumes(&st->sim.cluster, m, false);
        m->stays_down = false;
        if (simhost_power(m->host) == SIMHOST_UNPLUGGED) {
            simhost_plug_in(m->host, false);
        }
    }
}

/* --- looking ---------------------------------------------------------------------------------- */

const struct ha_view *stage_view(struct stage *st)
{
    const struct simmember *m = sim_ha_newest(&st->sim);

    return m != NULL ? ha_member_view(m->ha) : NULL;
}

const struct ha_owner *stage_owner(struct stage *st, uint32_t machine)
{
    static const struct ha_owner none = {.phase = HA_WAITING};
    const struct ha_view *view = stage_view(st);
    const struct ha_owner *owner =
        view != NULL ? ha_view_owner(view, simcluster_machine_name(machine)) : NULL;

    return owner != NULL ? owner : &none;
}

bool stage_is_in(struct stage *st, uint32_t machine, enum ha_phase phase)
{
    return stage_owner(st, machine)->phase == phase;
}

enum ha_fate_phase stage_fate(struct stage *st, const struct simmember *m)
{
    const struct ha_view *view = stage_view(st);
    const struct ha_fate *fate = view != NULL ? ha_view_fate(view, m->name) : NULL;

    return fate != NULL ? fate->phase : HA_HOST_UP;
}

const struct simmember *stage_home(struct stage *st, uint32_t machine)
{
    const struct simmember *at = NULL;

    (void)sim_ha_lives(&st->sim, simcluster_machine_name(machine), &at);
    return at;
}

bool stage_runs(struct stage *st, uint32_t machine)
{
    const struct ha_view *view = stage_view(st);

    return view != NULL && sim_ha_is_well(&st->sim, view, machine);
}

bool stage_runs_off(struct stage *st, uint32_t machine, const struct simmember *m)
{
    return stage_runs(st, machine) && stage_home(st, machine) != m;
}

bool stage_all_run(struct stage *st)
{
    for (uint32_t i = 0; i < st->sim.cluster.n_machines; i++) {
        if (!stage_runs(st, i)) {
            return false;
        }
    }
    return true;
}

uint64_t stage_offs(struct stage *st, const struct simmember *m)
{
    return simdevice_offs(st->sim.world, m->name) + simdevice_offs(st->sim.world, m->outlet);
}

uint64_t stage_offs_all(struct stage *st)
{
    uint64_t offs = 0;

    for (uint32_t i = 0; i < st->sim.cluster.n; i++) {
        offs += stage_offs(st, stage_member(st, i));
    }
    return offs;
}

uint32_t stage_told(struct stage *st, const char *what, const char *subject)
{
    const struct ha_view *view = stage_view(st);
    uint32_t n = 0;

    for (size_t i = 0; view != NULL && i < ha_view_count(view, HA_EVENT); i++) {
        const struct ha_event *e = ha_view_at(view, HA_EVENT, i)->record;
        n += e != NULL && strcmp(e->what, what) == 0 &&
             (subject[0] == '\0' || strcmp(e->host, subject) == 0 || strcmp(e->vm, subject) == 0);
    }
    return n;
}

/* --- doing ------------------------------------------------------------------------------------ */

/* Whom it has asked lives, and has not answered. */
static bool operator_waits(const struct simoperator *o)
{
    return o->through != NULL && o->through->state == MEMBER_UP && o->through->life == o->life;
}

static void stage_write_record(struct stage *st, enum ha_kind kind, const void *record,
                               bool is_deleted)
{
    struct simoperator *o = &st->sim.operator;
    const nanos until = stage_now(st) + OPERATOR_BOUND;
    bool is_written = false;

    while (!is_written && !stage_is_over(st) && stage_now(st) < until) {
        if (simoperator_write(o, kind, record, is_deleted)) {
            while (operator_waits(o) && stage_step(st, until)) {
            }
            is_written = o->through == NULL && o->is_applied;
        }
        if (!is_written) {
            stage_pass(st, OPERATOR_AGAIN);
        }
    }
    stage_expect(st, is_written, "what an operator writes is written");
}

void stage_apply(struct stage *st, enum ha_kind kind, const void *record)
{
    stage_write_record(st, kind, record, false);
}

void stage_delete(struct stage *st, enum ha_kind kind, const void *record)
{
    stage_write_record(st, kind, record, true);
}

struct ha_vm stage_machine(struct stage *st, uint32_t machine)
{
    struct ha_vm vm;

    simoperator_machine(&st->sim.operator, machine, &vm);
    return vm;
}

struct ha_settings stage_settings(struct stage *st)
{
    const struct ha_view *view = stage_view(st);
    struct ha_settings settings;

    ha_record_defaults(HA_SETTINGS, &settings);
    return view != NULL && ha_view_settings(view) != NULL ? *ha_view_settings(view) : settings;
}

void stage_wish(struct stage *st, uint32_t machine, bool is_wanted)
{
    struct ha_vm vm = stage_machine(st, machine);

    stage_say(st, is_wanted ? "an operator wants the machine" : "an operator wants it stopped");
    vm.is_wanted = is_wanted;
    STAGE_APPLY(st, &vm);
}

void stage_move(struct stage *st, uint32_t machine, const struct simmember *to)
{
    struct ha_vm vm = stage_machine(st, machine);

    if (stage_is_over(st) || stage_home(st, machine) == to) {
        return;
    }
    ha_text_set(vm.move_to, sizeof vm.move_to, to->name);
    STAGE_APPLY(st, &vm);
    STAGE_UNTIL(st, MOVE_BOUND, stage_home(st, machine) == to && stage_runs(st, machine),
                "the machine moves to where an operator wants it");
}

struct simmember *stage_host_of(struct stage *st, uint32_t k, uint32_t machines)
{
    struct simmember *m = stage_follower(st, k);

    for (uint32_t i = 0; i < st->sim.cluster.n_machines; i++) {
        if ((machines >> i & 1) != 0) {
            stage_move(st, i, m);
        }
    }
    return m;
}

void stage_confirm_off(struct stage *st, const struct simmember *m)
{
    const struct ha_view *view = stage_view(st);
    const struct ha_fate *fate = view != NULL ? ha_view_fate(view, m->name) : NULL;
    struct ha_confirmed confirmed;

    stage_expect(st, fate != NULL && fate->incident[0] != '\0', "there is an incident to confirm");
    if (stage_is_over(st)) {
        return;
    }
    ha_record_defaults(HA_CONFIRMED, &confirmed);
    ha_text_set(confirmed.host, sizeof confirmed.host, m->name);
    ha_text_set(confirmed.incident, sizeof confirmed.incident, fate->incident);
    ha_text_set(confirmed.by, sizeof confirmed.by, "operator");
    ha_text_set(confirmed.reason, sizeof confirmed.reason, "its plug is out, I hold it");
    STAGE_APPLY(st, &confirmed);
}

void stage_controller(struct stage *st, const struct simmember *m, struct simdevice_faults faults)
{
    simdevice_set_faults(st->sim.world, m->name, &faults);
}

void stage_outlet(struct stage *st, const struct simmember *m, struct simdevice_faults faults)
{
    simdevice_set_faults(st->sim.world, m->outlet, &faults);
}

void stage_no_devices(struct stage *st, const struct simmember *m)
{
    struct simdevice_faults faults = simdevice_faults_none();

    faults.is_unreachable = true;
    stage_say(st, "nobody reaches the host's fence devices");
    stage_controller(st, m, faults);
    stage_outlet(st, m, faults);
}

void stage_switch_off(struct stage *st, struct simmember *m)
{
    if (!stage_is_over(st)) {
        stage_say(st, "somebody switches the host off");
        m->stays_down = true;
        simhost_switch_off(m->host);
        st->sim.touched |= 1U << m->i;
    }
}

void stage_unplug(struct stage *st, struct simmember *m)
{
    if (!stage_is_over(st)) {
        stage_say(st, "the host's mains go");
        m->stays_down = true;
        simhost_unplug(m->host);
        st->sim.touched |= 1U << m->i;
    }
}

void stage_switch_on(struct stage *st, struct simmember *m)
{
    if (!stage_is_over(st)) {
        m->stays_down = false;
        if (simhost_power(m->host) == SIMHOST_UNPLUGGED) {
            simhost_plug_in(m->host, false);
        }
        (void)simmember_switch_on(m);
        st->sim.touched |= 1U << m->i;
    }
}
