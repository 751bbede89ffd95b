/*
 * Simulated power: the mains and the switch of each host, and the fence devices that work the
 * switch. They fill world_power_ops of core/world/world.h.
 *
 * Each host has a management controller of its own, a device under the host's name; further ones
 * can be added for it, as a switched outlet is. All are on a management network that does not fail
 * unless a device is said to be unreachable, or a host cut off from it.
 *
 *            simhost_switch_off, a device           simhost_unplug
 *     ON  ------------------------------->  OFF  ------------------>  UNPLUGGED
 *         <-------------------------------       <------------------
 *            simhost_switch_on, a device            simhost_plug_in
 *
 * Whoever loses power loses all that simhost_cut_power takes, its virtual machines with it. The
 * node on a host belongs to somebody else, who is told (struct simpower_owner) when it is gone and
 * when one may be started again. A command that reached a device takes effect whatever becomes of
 * the process that sent it.
 */
#ifndef NOVACRON_CHAOS_SIMPOWER_H
#define NOVACRON_CHAOS_SIMPOWER_H

#include "core/chaos/simworld.h"

/* What was measured of management controllers: an answer, and a switch-off (fence_ipmilan, 0.23 s
 * and 2.25 s); and how long it takes to find that nobody is there (21 s). */
#define SIMPOWER_LATENCY     (200 * NANOS_PER_MS)
#define SIMPOWER_JITTER      (100 * NANOS_PER_MS)
#define SIMPOWER_SWITCH_TIME (2 * NANOS_PER_S)
#define SIMPOWER_UNREACHED   (21 * NANOS_PER_S)

enum simhost_power { SIMHOST_ON, SIMHOST_OFF, SIMHOST_UNPLUGGED };

/* Who runs the nodes. `goes_off`: power is about to go, and the node's process with it; may be
 * NULL. `went_off`: it is gone, and is to be freed. `came_on`: one can be started. None is called
 * inside an event of a node. */
struct simpower_owner {
    void (*goes_off)(void *ctx, struct simhost *host);
    void (*went_off)(void *ctx, struct simhost *host);
    void (*came_on)(void *ctx, struct simhost *host);
    void *ctx;
};

void simpower_set_owner(struct simhost *host, const struct simpower_owner *owner);

enum simhost_power simhost_power(const struct simhost *host);

/* Of what a power loss finds undurable, each unit survives in `num` of `den` cases; 1 of 2 unless
 * told otherwise. */
void simhost_set_luck(struct simhost *host, uint64_t num, uint64_t den);

/* Nothing happens where it is so already, or where there are no mains to switch on. */
void simhost_switch_off(struct simhost *host);
void simhost_switch_on(struct simhost *host);

/* The mains go; and come back, with the host on or off as its firmware is set. */
void simhost_unplug(struct simhost *host);
void simhost_plug_in(struct simhost *host, bool comes_on);

/* This host reaches no fence device. */
void simhost_cut_management(struct simhost *host, bool is_cut);

/* How a device fails. Zeroed, but for the times: it works. */
struct simdevice_faults {
    bool is_unreachable; /* ERR_CLOSED, after a long while */
    bool is_hung;        /* takes a command, and neither does anything nor answers */
    bool loses_answers;  /* does what it is told, and does not answer */
    bool denies;         /* ERR_DENIED */
    bool only_says_ok;   /* says that it switched, and did not */
    bool says_failed;    /* switches, and says ERR_IO */
    bool cannot_tell;    /* STATUS is UNKNOWN */
    bool tells_order;    /* STATUS is what it was last told to do */
    bool answers_early;  /* says that it switched before it does */
    bool has_own_mains;  /* answers while its host is unplugged: then OFF is true, and ON fails */
    nanos switch_time;   /* from command to power */
    nanos returns_after; /* what it switched off comes on again so much later; 0: it does not */
};

struct simdevice_faults simdevice_faults_none(void);

/* A further device for the host. Its name is not taken. */
void simdevice_new(struct simhost *host, const char *name);

/* NULL ends all faults. The device exists. */
void simdevice_set_faults(struct simworld *sim, const char *name,
                          const struct simdevice_faults *faults);

/* Somebody plugged the cable into the wrong machine: the device works the switch of that one. */
void simdevice_wire(struct simworld *sim, const char *name, struct simhost *host);

/* How often the device was told to switch off, whatever it did then. */
uint64_t simdevice_offs(const struct simworld *sim, const char *name);

#endif
