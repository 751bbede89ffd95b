/*
 * The recovery from the loss of a quorum, as the daemon carries it out. What starts it is a file in
 * the data directory, which `novacron cluster recover` leaves there while the daemon is stopped:
 *
 *     DATA_DIR/recovery           one line: cluster=HEX member=HEX term=N last=N
 *     DATA_DIR/recovery.done      that line, once it was carried out ...
 *     DATA_DIR/recovery.refused   ... or refused: the log says why
 *
 * The file is for one disk in one state: it names where the log ended when an operator looked at
 * it. So one that was forgotten, or copied elsewhere, does nothing. And it is carried out only once
 * the member, running, has heard too few others for long enough (node_recover_quorum).
 *
 *   NONE --file found at the start--> WAITING --no quorum heard--> FORCED --durable--> RECORDING
 *                                        |                                                |
 *                                        +--> refused, NONE <-- leader, another log       |
 *                                                                       done, NONE <------+
 *
 * | state     | what is true                                                                      |
 * |-----------|-----------------------------------------------------------------------------------|
 * | NONE      | there is nothing to do                                                            |
 * | WAITING   | an operator asked; nothing has changed                                            |
 * | FORCED    | Raft was told; the entry that says so may not be durable                          |
 * | RECORDING | it is the only voter; the store forgets the others, and gets DAEMON_RECOVERY_KEY  |
 */
#ifndef NOVACRON_NOVACROND_DAEMON_RECOVERY_H
#define NOVACRON_NOVACROND_DAEMON_RECOVERY_H

#include <uv.h>

#include "core/base/buf.h"
#include "core/node/node.h"
#include "novacrond/daemon_config.h"

/* The key of the event in the store; the number of the recovery, in decimal, follows. */
#define DAEMON_RECOVERY_KEY "novacron/recovery/"

/* What the file says. */
struct daemon_recovery_order {
    uint64_t cluster;
    node_id member;
    uint64_t term;
    uint64_t last;
};

enum daemon_recovery_state {
    DAEMON_RECOVERY_NONE,
    DAEMON_RECOVERY_WAITING,
    DAEMON_RECOVERY_FORCED,
    DAEMON_RECOVERY_RECORDING
};

struct daemon_recovery {
    enum daemon_recovery_state state;
    struct daemon_recovery_order order;
    nanos since; /* in WAITING */
    uv_timer_t timer;
    struct node_request request; /* of RECORDING */
    struct buf body;
    bool is_proposed;
    bool is_event; /* what is proposed is the event, and not yet a member to forget */
};

/* Writes the order, durably. On failure `why` says what is the matter. */
MUST_USE enum err daemon_recovery_write(const char *dir, const struct daemon_recovery_order *order,
                                        char why[DAEMON_WHY_BYTES]);

/* ERR_NOT_FOUND: there is none. ERR_CORRUPT: it is no order. */
MUST_USE enum err daemon_recovery_read(const char *dir, struct daemon_recovery_order *ret);

struct daemon;

/* The life of it in the daemon: at its start, when the node is ready, at its end. */
void daemon_recovery_open(struct daemon *d);
void daemon_recovery_ready(struct daemon *d);
void daemon_recovery_close(struct daemon *d);

#endif
