/* Making QEMU processes. These calls block; they are for threads. */
#ifndef NOVACRON_DRIVERS_QEMU_QEMU_PROCESS_H
#define NOVACRON_DRIVERS_QEMU_QEMU_PROCESS_H

#include <sys/types.h>

#include "core/base/err.h"

/* A process behind a gate: it is there, has its descriptors, and becomes its program when the gate
 * is opened. It ends without having been it when the gate is closed, and so when we die. */
struct qemu_process {
    pid_t pid;
    int pidfd;
    int gate; /* written to opens it; closing it alone keeps it shut */
};

/* In a session of its own, in the directory `dir`, with `out` as its output and `handed` (or -1:
 * not) as its descriptor QEMU_FD_QMP, and nothing else of ours. */
MUST_USE enum err qemu_process_make(char *const *words, int dir, int out, int handed,
                                    struct qemu_process *ret);

/* Opens the gate, and closes our end of it. */
void qemu_process_release(struct qemu_process *process);

/* A socket that listens as the file `name` in the directory. */
MUST_USE enum err qemu_socket_listen(int dir, const char *name, int *ret);

#endif
