/*
 * Virtual machines in the daemon: HA's member beside the node, and the drivers behind its world:
 * fence agents on every member, since any of them may come to lead; QEMU and the guard where the
 * configuration has a section `machines`.
 *
 *     daemon_ha_prepare   before the node: drivers are plugged into the world
 *     daemon_ha_attach    once there is a node
 *     daemon_ha_close     before the world is closed, and the node
 *
 * FENCE DEVICES are records in the store. One is configured at the moment at which it is asked for
 * anything, by its newest record: so none is asked by an old one.
 *
 * STORAGES are probed by a file that is written, synced, read back and removed, on another thread:
 * storage that hangs hangs that one alone.
 */
#ifndef NOVACRON_NOVACROND_DAEMON_HA_H
#define NOVACRON_NOVACROND_DAEMON_HA_H

#include "core/base/buf.h"
#include "core/ha/ha_member.h"
#include "core/ha/ha_session.h"
#include "core/node/node_ha.h"
#include "core/node/node_session.h"
#include "core/world/world.h"

struct cut_change; /* monitoring/health/cut.h */
struct daemon;
struct fence_driver;
struct guard_client;
struct linux_commands;
struct qemu_driver;
struct rpc_call;

struct daemon_ha {
    struct node_ha *store;          /* of a member */
    struct node_sessions *sessions; /* likewise: the agents that it serves */
    struct ha_session *session;     /* of an agent (daemon_agent.h) */
    struct ha_member *member;
    struct linux_commands *commands; /* of fence agents alone */
    struct fence_driver *fence;
    struct qemu_driver *qemu;   /* NULL: this host runs no machines */
    struct guard_client *guard; /* NULL: it has no guard */
    uint32_t probes;            /* of storages, on other threads */
    uint64_t fence_failed;
};

/* False: `why` says what is wrong. */
bool daemon_ha_prepare(struct daemon *d, char *why, size_t n);
void daemon_ha_attach(struct daemon *d);
void daemon_ha_close(struct daemon *d);

/* Takes the streams of agents from the node. */
struct world_listener *daemon_ha_agents(struct daemon *d);

/* What the node and health tell. */
void daemon_ha_ready(struct daemon *d);
void daemon_ha_advanced(struct daemon *d);
void daemon_ha_leader_changed(struct daemon *d);
bool daemon_ha_note(struct daemon *d, node_id from, struct bytes note);
void daemon_ha_cut(struct daemon *d, const struct cut_change *change);

/* The page /debug/ha, and the metrics. */
void daemon_page_ha(struct rpc_call *call);
void daemon_ha_metrics(struct buf *b, const struct daemon *d);

/* daemon_storage.c: the probes of storages. */
extern const struct ha_probe_ops daemon_probe_ops; /* with the daemon as `self` */

#endif
