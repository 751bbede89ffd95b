/*
 * Does KVM run a guest here? That /dev/kvm can be opened proves nothing: nested virtualization, and
 * what emulates it, may create machines and fail at their first IRET. So a guest of our own is run
 * (qemu_probe_guest.S) that does what an operating system does first. What it showed holds for this
 * boot of the host and this QEMU, and is noted in the file "accel" of the run directory:
 * "BOOT_ID yes PATH\n" or "BOOT_ID no PATH\n".
 */
#ifndef NOVACRON_DRIVERS_QEMU_QEMU_PROBE_H
#define NOVACRON_DRIVERS_QEMU_QEMU_PROBE_H

#include <stdbool.h>

#define QEMU_FILE_ACCEL "accel"

/* How long the guest may take: a hundredth of a second where it works, and much more on a host that
 * is busy. */
#define QEMU_PROBE_SECONDS 10

enum qemu_probe_verdict {
    QEMU_PROBE_RUNS,
    QEMU_PROBE_FAILS,
    QEMU_PROBE_UNSURE /* it took too long, or could not be tried: not noted, tried again */
};

/* Runs the guest under the accelerator. Blocks; for threads. */
enum qemu_probe_verdict qemu_probe_run(const char *binary, const char *accel, int dir);

/* The same for KVM, by what is noted, if there is something. */
enum qemu_probe_verdict qemu_probe_kvm(const char *binary, int run);

#endif
