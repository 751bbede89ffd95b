/*
 * The part of the stage (stage.h) that is about machines: hosts with agents, guards and fence
 * devices, the manager on the leader, and the operator who has declared everything
 * (core/chaos/sim/simmachines.h).
 *
 * Machines are numbered from 0; of four, by their numbers, the first two have the policy `stop`,
 * the third `pause`, the fourth `keep`. What simvm.h and sim_ha.c find broken ends the run, after
 * every event: two that write, a start while another lives, counters that go back, a host that was
 * switched off without a record. So a script only says what must happen besides.
 */
#ifndef NOVACRON_CHAOS_SCENARIO_STAGE_MACHINES_H
#define NOVACRON_CHAOS_SCENARIO_STAGE_MACHINES_H

#include "core/chaos/scenario/stage.h"
#include "core/chaos/simguard.h"
#include "core/chaos/simpower.h"

/* By which a machine runs again: detection, a fence by a controller that works, a start; the same
 * where its controller is dead and its outlet is not; and P, from the last renewal. */
#define STAGE_FENCED_WITHIN  (15 * NANOS_PER_S)
#define STAGE_OUTLET_WITHIN  (75 * NANOS_PER_S)
#define STAGE_EXPIRED_WITHIN (30 * NANOS_PER_S)

/* A round of commands that nobody answers is waited for before the host is taken back. */
#define STAGE_GIVEN_UP_WITHIN (60 * NANOS_PER_S)

/* P of the settings that nobody has changed: 9 s of lease, the watchdog, what is in flight. */
#define STAGE_EXPIRED_NOT_BEFORE (9 * NANOS_PER_S + SIM_WATCHDOG_TIMEOUT + SIM_FLIGHT)

struct sim_settings stage_hosts(uint32_t founders, uint32_t machines);

/* As stage_found; then all machines run. */
void stage_found_hosts(struct stage *st, const struct sim_settings *settings);
void stage_await_machines(struct stage *st, nanos bound, const char *text);

/* What befell devices, guards, mains, volumes and wall clocks is over. stage_heal does it. */
void stage_mend_hosts(struct stage *st);

/* --- looking ---------------------------------------------------------------------------------- */

/* The newest view of all that serve; NULL: nobody does. */
const struct ha_view *stage_view(struct stage *st);

/* Its record; one without a host in WAITING, where there is none yet. */
const struct ha_owner *stage_owner(struct stage *st, uint32_t machine);
bool stage_is_in(struct stage *st, uint32_t machine, enum ha_phase phase);
enum ha_fate_phase stage_fate(struct stage *st, const struct simmember *m);

/* The host on which it truly lives; NULL: on none. */
const struct simmember *stage_home(struct stage *st, uint32_t machine);

/* It runs where its record says, on a host that is up. */
bool stage_runs(struct stage *st, uint32_t machine);

/* ... and not on this host. */
bool stage_runs_off(struct stage *st, uint32_t machine, const struct simmember *m);
bool stage_all_run(struct stage *st);

/* How often its devices were told to switch it off; all hosts' together. */
uint64_t stage_offs(struct stage *st, const struct simmember *m);
uint64_t stage_offs_all(struct stage *st);

/* Events of that name in the record, of this host or machine; "": of any. */
uint32_t stage_told(struct stage *st, const char *what, const char *subject);

/* --- doing ------------------------------------------------------------------------------------ */

/* The k-th host that serves and does not lead, and now has these machines: bits. */
struct simmember *stage_host_of(struct stage *st, uint32_t k, uint32_t machines);

/* An operator moves it there, in good order. */
void stage_move(struct stage *st, uint32_t machine, const struct simmember *to);

/* The operator's records: written when it returns. */
void stage_apply(struct stage *st, enum ha_kind kind, const void *record);
void stage_delete(struct stage *st, enum ha_kind kind, const void *record);
#define STAGE_APPLY(st, record) stage_apply(st, HA_KIND_OF(record), record)

struct ha_vm stage_machine(struct stage *st, uint32_t machine);
struct ha_settings stage_settings(struct stage *st);
void stage_wish(struct stage *st, uint32_t machine, bool is_wanted);

/* "It is off, I have seen it", for the host's present incident. */
void stage_confirm_off(struct stage *st, const struct simmember *m);

/* Its controller; its outlet; both. */
void stage_controller(struct stage *st, const struct simmember *m, struct simdevice_faults faults);
void stage_outlet(struct stage *st, const struct simmember *m, struct simdevice_faults faults);
void stage_no_devices(struct stage *st, const struct simmember *m);

/* Somebody else switches it off; its mains go. It stays so until stage_mend_hosts. */
void stage_switch_off(struct stage *st, struct simmember *m);
void stage_unplug(struct stage *st, struct simmember *m);

/* It is switched on, and its process with it. */
void stage_switch_on(struct stage *st, struct simmember *m);

#endif
