/*
 * Simulated applications: what listens at a port of a host beside the node, and what a probe's
 * plain connection reaches there. They fill world_plain_ops of core/world/world.h; nothing else can
 * be reached by a plain connection, the node's own ports included.
 *
 * An application is a process of its own: it lives on when the node dies or stands still, is gone
 * with the host's power and there again with it. What it is given to say it says, in pieces, when
 * something was sent to it, and then it ends the connection.
 *
 * A host is reached under its name, and by itself as 127.0.0.1, ::1 and localhost too. From another
 * host the links between them decide, as they are at the call: where they do not pass, nobody
 * answers.
 */
#ifndef NOVACRON_CHAOS_SIMAPP_H
#define NOVACRON_CHAOS_SIMAPP_H

#include "core/chaos/simworld.h"

/* From the call to the answer of the kernel, and from what is sent to what comes back, at least. */
#define SIMAPP_LATENCY (100 * NANOS_PER_US)

/* The longest babble, in bytes. */
#define SIMAPP_BABBLE_BYTES 512

enum simapp_manner {
    SIMAPP_ANSWERS,
    SIMAPP_REFUSES,   /* it does not run: nobody listens, and what was open has ended */
    SIMAPP_IS_MUTE,   /* its kernel does not answer calls: its queue of them is full */
    SIMAPP_HANGS,     /* takes calls and what is sent, and says nothing */
    SIMAPP_BABBLES,   /* says bytes by chance */
    SIMAPP_BREAKS_OFF /* ends in the middle of its answer */
};

struct simapp_conduct {
    enum simapp_manner manner;
    nanos delay; /* before it answers what was sent */
};

/* An application at this port, which answers with these bytes (copied); or another answer of the
 * one that is there. */
void simapp_run(struct simhost *host, uint16_t port, struct bytes answer);

/* From now on. NULL: it answers, without delay. The application is there. */
void simapp_behave(struct simhost *host, uint16_t port, const struct simapp_conduct *conduct);

/* How many calls it has taken. */
uint64_t simapp_calls(const struct simhost *host, uint16_t port);

#endif
