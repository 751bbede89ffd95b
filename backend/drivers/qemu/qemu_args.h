/* The command line of a machine's QEMU. */
#ifndef NOVACRON_DRIVERS_QEMU_QEMU_ARGS_H
#define NOVACRON_DRIVERS_QEMU_QEMU_ARGS_H

#include "drivers/qemu/qemu_definition.h"

/* Descriptors that it inherits: the QMP socket, which listens. */
#define QEMU_FD_QMP 3

#define QEMU_WORDS_MAX 192

/* What is not in the definition. Paths of the machine's own files are relative to its directory,
 * in which QEMU runs. */
struct qemu_launch {
    const char *binary;
    const char *name;
    const char *accel;
    const char *image; /* a path */
    bool is_block;     /* the image is a block device */
    bool is_incoming;  /* it waits for a guest */
};

struct qemu_args {
    char *words[QEMU_WORDS_MAX + 1]; /* owned; NULL behind the last */
    size_t count;
};

void qemu_args_make(struct qemu_args *args, const struct qemu_launch *launch,
                    const struct qemu_definition *definition);
void qemu_args_deinit(struct qemu_args *args);

#endif
