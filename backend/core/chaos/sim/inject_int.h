/* Private to the injector: inject.c is its schedule, inject_net.c the links, inject_host.c
 * processes, clocks and disks that keep what they promised, inject_loss.c disks that do not,
 * inject_member.c what operators do, inject_vm.c machines, fence devices, guards and mains. */
#ifndef NOVACRON_CHAOS_SIM_INJECT_INT_H
#define NOVACRON_CHAOS_SIM_INJECT_INT_H

#include "core/chaos/sim/inject.h"

/* Begins what the row says; `a->at` is resolved. Anything but INJECT_DONE: nothing happened. */
enum inject_outcome inject_begin_net(struct inject_active *a);
enum inject_outcome inject_begin_host(struct inject_active *a);
enum inject_outcome inject_begin_loss(struct inject_active *a);
enum inject_outcome inject_begin_member(struct inject_active *a);
enum inject_outcome inject_begin_vm(struct inject_active *a);

/* The ways in which a fence device fails, one a mode. */
#define INJECT_DEVICE_FAULTS 9
#define INJECT_AGENT_FAULTS  4

/* Ends it. */
void inject_end_net(struct inject_active *a);
void inject_end_host(struct inject_active *a);
void inject_end_loss(struct inject_active *a);
void inject_end_member(struct inject_active *a);
void inject_end_vm(struct inject_active *a);

/* What waits for an operation of this host's disk does not happen any more. */
void inject_end_tricks(struct simmember *m);

/* A row that goes on in steps: the next one is due. */
void inject_step_net(struct inject_active *a);
void inject_step_host(struct inject_active *a);
void inject_step_member(struct inject_active *a);

/* Puts every link together anew from the rows that are active. */
void inject_links(struct inject *inject);

/* The process of a host is ended and started, with all who must know. */
void inject_kill(struct inject *inject, struct simmember *m, bool power, uint64_t num);
void inject_restart(struct inject *inject, struct simmember *m);

/* Comes back to this row after `span`. */
void inject_wait(struct inject_active *a, nanos span);

/* While a disk is damaged: after an event on this host, does its leader's log change who takes
 * part, or who is in sync? Then the atlas judges anew. */
void inject_follow_group(struct inject *inject, const struct simmember *m);

bool inject_is_up(const struct simmember *m);
bool inject_serves(const struct simmember *m);

#endif
