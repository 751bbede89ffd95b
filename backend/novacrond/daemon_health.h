/*
 * The hosts' health in the daemon: membership on the world's datagrams with its keys, this host's
 * own rungs, and what is shown of all that. It uses the UDP port of the same number as the peers'
 * TCP port, so peers are its seeds without further ado.
 */
#ifndef NOVACRON_NOVACROND_DAEMON_HEALTH_H
#define NOVACRON_NOVACROND_DAEMON_HEALTH_H

#include "api/rpc.h"
#include "core/base/buf.h"
#include "core/monitoring/health/health_apps.h"
#include "core/monitoring/health/health_host.h"
#include "world/linux/linux_seal.h"

struct daemon;

#define DAEMON_METHODS_MAX 96

struct daemon_health {
    struct health_host *host; /* NULL: off */
    struct health_apps *apps; /* NULL: none (daemon_probes.h) */
    struct linux_seal *seal;
    struct world_listener listener; /* for streams to the peers' port that are the agent's */
    const struct rpc_method *methods[DAEMON_METHODS_MAX]; /* etcd's, and ours behind them */
    char key[LINUX_SEAL_PRINT_BYTES]; /* what seals, as it may be told; "": everybody knows it */
    uint64_t changes[SWIM_CHANGES];
    uint64_t conditions[HOST_FAILING + 1]; /* how often a host came into each */
    uint64_t lost;
    nanos took_part_at; /* this member, last */
};

/* Who takes the agent's streams from the node, which listens at the peers' port. */
struct world_listener *daemon_health_listener(struct daemon *d);

/* Off where the peers' streams are encrypted and no keys are configured: what travels must be
 * sealed at least as well. False: `why` says what is wrong. */
bool daemon_health_open(struct daemon *d, char *why, size_t n);

/* Ends it, before the world is closed; and gives back what the world may use until then. */
void daemon_health_stop(struct daemon *d);
void daemon_health_free(struct daemon *d);

/* Membership; NULL: off. */
struct health_agent *daemon_health_agent(const struct daemon *d);

/* Reads the keys again. False: they stay as they were, and the log says why. */
bool daemon_health_reload(struct daemon *d);

/* All methods that the server has. */
const struct rpc_method *const *daemon_health_methods(struct daemon *d, size_t *ret_count);

void daemon_health_metrics(struct buf *b, const struct daemon *d);

#endif
