/*
 * What the files of the hosts' health share: daemon_health.c runs it, daemon_health_text.c says it
 * in words, daemon_health_methods.c answers clients, daemon_health_metrics.c tells Prometheus.
 */
#ifndef NOVACRON_NOVACROND_DAEMON_HEALTH_INT_H
#define NOVACRON_NOVACROND_DAEMON_HEALTH_INT_H

#include "core/monitoring/health/health_host.h"

/* The longest reason, with its final zero. */
#define HEALTH_REASON_BYTES 192

/* What a member tells that it is called; may be anything, as long as it is short. */
const char *daemon_health_name(const struct swim_member *m, char text[HOST_NAME_MAX_BYTES]);

/* Why a rung of a host is as it is. */
void health_rung_text(const struct health_agent *agent, const struct health_ladder *ladder,
                      enum rung rung, char text[HEALTH_REASON_BYTES]);

/* How a neighbour sees a host, where that is badly. */
void health_opinion_text(const struct health_opinion *opinion, char text[HEALTH_REASON_BYTES]);

#endif
