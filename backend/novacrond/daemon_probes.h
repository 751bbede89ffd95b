/*
 * The probes of this host's applications in the daemon: those of health.probes, asked through the
 * Linux world; each change is a line of the log, all of it is at /metrics and in the answer of
 * `novacron health`.
 */
#ifndef NOVACRON_NOVACROND_DAEMON_PROBES_H
#define NOVACRON_NOVACROND_DAEMON_PROBES_H

#include "core/base/buf.h"
#include "core/monitoring/health/health_apps.h"

struct daemon;

/* After the host's health. Where that is off, the log says that nothing is probed. */
void daemon_probes_open(struct daemon *d);
/* Before the host's health is stopped; and after the world was closed. */
void daemon_probes_stop(struct daemon *d);
void daemon_probes_free(struct daemon *d);

void daemon_probes_metrics(struct buf *b, const struct daemon *d);

/* "shop: 503 instead of 200-399", of the first one that is not ready; or how many there are, and
 * are. False: nothing is probed. */
bool daemon_probes_say(const struct daemon *d, char *text, size_t n);

#endif
