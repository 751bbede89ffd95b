/*
 * The simulated network, as yet a plain one: every datagram and every byte of a stream arrives, in
 * order, after a latency with jitter; a host that is down answers nothing, and its peers' streams
 * close. It fills the network part of core/world/world.h (simnet_ops); this header is for what
 * tests do to it.
 *
 * An endpoint's host is the name of a simulated host. The far end of a stream sees the caller's
 * name and port 0.
 */
#ifndef NOVACRON_CHAOS_SIMNET_H
#define NOVACRON_CHAOS_SIMNET_H

#include "core/chaos/simworld.h"

/* Nothing passes between the two hosts while cut, in either direction: datagrams vanish, bytes of
 * streams wait. */
void simnet_cut(struct simhost *a, struct simhost *b, bool is_cut);

#endif
