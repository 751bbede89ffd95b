/*
 * A host that runs machines and does not vote, as a process: no log, no store, no Raft. It keeps a
 * session with one of the members (core/ha/ha_session.h), watches hosts as members do, and shows
 * what it knows at its client port: pages and novacronpb.Health, and nothing of etcd's.
 *
 * Everything else of the daemon is as it is on a member, but that `node` is NULL, and nobody
 * attaches one to the API, which is only there as the context that calls have.
 */
#ifndef NOVACRON_NOVACROND_DAEMON_AGENT_H
#define NOVACRON_NOVACROND_DAEMON_AGENT_H

#include "api/rpc.h"

struct daemon;

/* Opens the session; it calls nobody before daemon_ha_attach. */
void daemon_agent_prepare(struct daemon *d);

/* It is open: says so. */
void daemon_agent_ready(struct daemon *d);

/* The pages that stand for etcd's: /health says whether a member serves this host. */
const struct rpc_page *daemon_agent_pages(size_t *ret_count);

#endif
