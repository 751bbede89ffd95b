/*
 * drivers/qemu: virtual machines as QEMU processes of this host, behind world_vm_ops of
 * core/world/world.h.
 *
 * What lives here: the driver (qemu.c: requests; qemu_start.c: how a machine comes to life;
 * qemu_machine.c: what lives, and how it ends; qemu_adopt.c: what an earlier process of ours left),
 * what it speaks with QEMU (qmp.h), what a machine is (qemu_definition.h, qemu_args.h), its place
 * on the disk (qemu_place.h), and which accelerator works here (qemu_probe.h). Who may call it: the
 * daemon, tools and tests, on the thread of the loop that they hand over.
 *
 * A MACHINE is one QEMU process, in a session of its own, that needs nothing of ours to go on. It
 * works in its directory `run_dir`/NAME:
 *
 *     starting     what is being started; renamed when its guest is about to run, to
 *     machine      what runs: name, epoch, volume, process (qemu_place.h has the format)
 *     qmp          the socket of its monitor
 *     agent        that of the guest's agent, where the definition has one
 *     console.log  what the guest writes to its serial line; console.log.1: what was before
 *     qemu.log     what QEMU itself has to say; qemu.log.1: likewise
 *
 * The logs outlive it: those of the last `places_max` machines are kept. `run_dir` is of one driver
 * at a time, and better on a tmpfs: nothing in it is worth anything after a reboot, so nothing in
 * it is ever synced.
 *
 * HOW IT STARTS. Whatever may block (images are looked for, files are written, a process is made)
 * is a thread's work, one a START. The process waits behind a gate, a socket, until `starting` says
 * which it is: so that there is none, at any moment at which we may die, that the next process of
 * ours would not find. Then QEMU, with its guest still paused, takes the lock of its image, and
 * greets over QMP; the guard takes it, if it is to be guarded; and only then its guest runs. What
 * is found in `starting` by a later process of ours has never run, and is killed.
 *
 * A START that is not through at its deadline is ERR_TIMEOUT, and killed in the background: it is
 * listed until it is gone. A START that fails leaves no process and no files behind, and `told`
 * (and the answer) what QEMU had to say about it.
 *
 * HOW IT ENDS. Its process is watched by a pidfd. QEMU runs with -no-shutdown: when its guest has
 * shut down, it stays until we have seen it, and end it; so WORLD_VM_SHUT_DOWN is told apart from a
 * crash also when it happened while no process of ours was there. A guest that panicked, or a
 * processor that KVM could not run on, is a crash, whose process is killed. An image that fails, or
 * has no room left (io-error), stops its guest, which hears nothing of it: a pause, and QUERY says
 * why.
 *
 * HOW IT IS MOVED. The machine that waits is a QEMU with -incoming and -S: when all has arrived, it
 * stands still until RESUME, which takes the image's lock (late-block-activate). The one that sends
 * is through when the other has confirmed that it has all (return-path); it has given its lock
 * back by then. So between the two nobody has it, and RESUME at either end is refused once the
 * other has taken it. The stream bears the guest's memory in the clear: `move_bind` is an address
 * of a network that is trusted.
 *
 * ADOPTION. qemu_open looks through `run_dir`. Who lives there, by its pid and the time it was
 * started, within this boot, is ours. What has ended meanwhile is told as an exit by the first
 * LIST, before its `done`.
 */
#ifndef NOVACRON_DRIVERS_QEMU_QEMU_H
#define NOVACRON_DRIVERS_QEMU_QEMU_H

#include "core/base/err.h"
#include "core/world/world.h"

struct qemu_driver; /* opaque */
struct uv_loop_s;

#define QEMU_BINARY        "/usr/bin/qemu-system-x86_64"
#define QEMU_FOLDERS_MAX   8
#define QEMU_LOG_MAX_BYTES ((uint64_t)1024 * 1024)
#define QEMU_PLACES_MAX    64
#define QEMU_MACHINES_MAX  1024

/* How long LIST waits for machines that do not answer. */
#define QEMU_LIST_PATIENCE NANOS_PER_S

/* A machine that lives, and that the guard did not take, is handed to it again after so long. */
#define QEMU_HOLD_AGAIN NANOS_PER_S

/* A machine that is to be held by the guard before its guest runs. The driver's; `held` is called
 * once, never within the call of `hold`, and until then `pidfd` stays open. */
struct qemu_hold {
    void (*held)(struct qemu_hold *hold, enum err result);
    const char *name;
    uint64_t epoch;
    int pidfd;
    void *owner;
};

struct qemu_guard {
    /* NULL: there is no guard, and machines that are to be guarded are refused (ERR_DENIED). Those
     * that are adopted are handed over, too: the guard may have been started anew meanwhile, and
     * has nothing to do where it holds them; what it does not take is handed over again, until it
     * does. Answers also when its guard is gone, or the driver is.
     */
    void (*hold)(void *ctx, struct qemu_hold *hold);
    void *ctx;
};

enum qemu_accel {
    QEMU_ACCEL_AUTO, /* KVM where it was seen to run a guest since this boot, TCG elsewhere */
    QEMU_ACCEL_KVM,
    QEMU_ACCEL_TCG
};

/* Borrowed for the call of qemu_open, but what `told` and `guard` point to. */
struct qemu_config {
    const char *run_dir; /* its parent exists */
    /* Directories in, or below, which images, kernels and firmware may be. A volume of a relative
     * name is in the first. */
    const char *folders[QEMU_FOLDERS_MAX];
    size_t folder_count;
    const char *binary;     /* NULL: QEMU_BINARY */
    uint64_t log_bytes_max; /* 0: QEMU_LOG_MAX_BYTES; of each log twice so much is kept */
    size_t places_max;      /* 0: QEMU_PLACES_MAX */
    enum qemu_accel accel;
    const char *move_bind; /* the numeric address at which machines wait; NULL: "127.0.0.1" */
    /* What a person should know: why a start failed, what was adopted. `machine` may be NULL; both
     * are borrowed for the call. May be NULL itself. */
    void (*told)(void *ctx, const char *machine, const char *text);
    void *ctx;
    struct qemu_guard guard;
};

/* `w` is the world whose loop it is; of it time alone is used. ERR_BUSY, after a second: another
 * driver has `run_dir`. ERR_INVALID: a path is not from the root, or no UTF-8; `move_bind` is no
 * address. */
MUST_USE enum err qemu_open(struct uv_loop_s *loop, const struct world *w,
                            const struct qemu_config *config, struct qemu_driver **ret);

/* Machines live on. Waits for what the threads of STARTs are at; requests are forgotten. Not from a
 * callback of the driver's. */
void qemu_close(struct qemu_driver *driver);

extern const struct world_vm_ops qemu_vm_ops;

#endif
