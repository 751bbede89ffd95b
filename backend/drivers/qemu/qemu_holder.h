/*
 * Who of this host has an image open, told to a person when QEMU could not lock it. By /proc, and
 * so as far as we may see: QEMU's own programs alone, since they are who locks images. The locks
 * themselves name no process.
 */
#ifndef NOVACRON_DRIVERS_QEMU_QEMU_HOLDER_H
#define NOVACRON_DRIVERS_QEMU_QEMU_HOLDER_H

#include "drivers/qemu/qemu_int.h"

/* `image`: behind all links. "machine web of this host (process 12)", or "process 12 of this host
 * (qemu-img)"; false: nobody was found. Touches no file but those of /proc. */
bool qemu_holder_find(const struct qemu_driver *driver, const char *image, char *ret, size_t cap);

#endif
