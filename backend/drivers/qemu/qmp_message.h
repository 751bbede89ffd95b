/*
 * What QEMU says over QMP, a line of JSON each: its greeting, answers to commands, events. The
 * bytes are untrusted (a guest that broke out of its QEMU writes them) and are decoded here once.
 */
#ifndef NOVACRON_DRIVERS_QEMU_QMP_MESSAGE_H
#define NOVACRON_DRIVERS_QEMU_QMP_MESSAGE_H

#include <jansson.h>

#include "core/base/err.h"
#include "core/base/types.h"

/* The longest line, in bytes: answers to what we ask have a few hundred, but for what a program in
 * a guest said, twice 64 KiB in base64. Whoever says more is cut off. */
#define QMP_LINE_MAX_BYTES (256 * 1024)

enum qmp_kind { QMP_GREETING, QMP_RETURN, QMP_ERROR, QMP_EVENT };

struct qmp_message {
    enum qmp_kind kind;
    uint64_t id;        /* RETURN, ERROR: of the command; 0: it named none */
    const char *name;   /* EVENT: which; ERROR: its class */
    const char *text;   /* ERROR: for people; never NULL there */
    const json_t *body; /* RETURN: the value; EVENT: its data, or NULL */
    json_t *root;       /* owned; what the others point into */
};

/* ERR_PROTOCOL: it is none of these. */
MUST_USE enum err qmp_message_decode(struct bytes line, struct qmp_message *ret);
void qmp_message_deinit(struct qmp_message *message);

#endif
