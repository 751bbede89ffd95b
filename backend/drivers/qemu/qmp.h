/*
 * A connection to one QEMU's QMP socket; or to the agent within its guest, which speaks the same
 * language but does not greet. It may answer what was asked long ago, by somebody else: so it is
 * first asked for a number of ours (guest-sync-delimited), and all that comes before it, is thrown
 * away.
 *
 * Commands wait in a queue while there is no connection, or QEMU has not greeted yet, and leave in
 * order. A connection that ends fails those that had left, whose outcome is unknown then; those
 * that had not, wait for the next one. Whatever QEMU says, or does not say, a command is the
 * caller's to give up: qmp_cancel.
 *
 *     CLOSED --qmp_connect--> GREETING --greeting--> NEGOTIATING --answer--> READY
 *        ^________________________|______________________|_____________________|   lost
 */
#ifndef NOVACRON_DRIVERS_QEMU_QMP_H
#define NOVACRON_DRIVERS_QEMU_QMP_H

#include <jansson.h>

#include "core/base/buf.h"
#include "core/base/err.h"

struct qemu_watch;
struct uv_loop_s;

/* What may wait to be sent, in bytes: a QEMU that stands still makes it grow. */
#define QMP_QUEUE_MAX_BYTES (256 * 1024)

/* One command; the caller's, in place until `done` was entered or it was canceled. */
struct qmp_command {
    /* `body` is the value returned, borrowed; NULL with an error. `text` is QEMU's word on it, or
     * NULL. ERR_REFUSED: QEMU says no. ERR_CLOSED: the connection was lost before it answered. */
    void (*done)(struct qmp_command *command, enum err result, const json_t *body,
                 const char *text);
    void *owner;
    struct qmp_command *next; /* the connection's from here on */
    char *text;               /* owned: the bytes to send; NULL once they have left */
    uint64_t id;              /* 0: not under way */
};

enum qmp_state { QMP_CLOSED, QMP_GREETS, QMP_NEGOTIATES, QMP_READY };

struct qmp {
    struct uv_loop_s *loop;
    void (*event)(void *owner, const char *name, const json_t *data); /* data: borrowed, or NULL */
    void (*lost)(void *owner); /* QEMU ended it, or broke the protocol; may connect anew */
    void *owner;
    bool is_agent; /* set before the first connection */
    uint64_t sync; /* the number that an agent was asked for */
    enum qmp_state state;
    struct qemu_watch *watch;     /* NULL: CLOSED */
    int fd;                       /* the watch's */
    struct qmp_command *commands; /* oldest first */
    uint64_t last_id;
    struct buf in;
    struct buf out;
    size_t out_at;
    uint64_t connection; /* counts them: a callback may have begun another one */
};

void qmp_init(struct qmp *qmp, struct uv_loop_s *loop);

/* Connects to the socket `name` in the directory. ERR_CLOSED: nobody listens there (yet). */
MUST_USE enum err qmp_connect(struct qmp *qmp, int dir, const char *name);

/* `arguments` is taken over; NULL: none. */
void qmp_send(struct qmp *qmp, struct qmp_command *command, const char *execute, json_t *arguments);

/* Its `done` is not called any more. QEMU may carry it out all the same. */
void qmp_cancel(struct qmp *qmp, struct qmp_command *command);

/* Ends the connection, as if it had been lost, but tells nobody; those that had left fail. For an
 * agent that has stopped to answer: another connection begins anew. */
void qmp_drop(struct qmp *qmp);

/* Commands under way are forgotten. */
void qmp_deinit(struct qmp *qmp);

#endif
