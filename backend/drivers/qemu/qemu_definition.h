/*
 * The definition of a machine for QEMU: JSON, as docs/formats/vm-definition.md lists it, checked
 * once, here. What passes is safe to be put into a command line: it names no file outside of the
 * directories that it may, and no option but those on our list.
 */
#ifndef NOVACRON_DRIVERS_QEMU_QEMU_DEFINITION_H
#define NOVACRON_DRIVERS_QEMU_QEMU_DEFINITION_H

#include <jansson.h>

#include "core/base/err.h"
#include "core/base/types.h"

#define QEMU_DEFINITION_MAX_BYTES (64 * 1024)
#define QEMU_MEMORY_MAX_MIB       (16U * 1024 * 1024)
#define QEMU_CPUS_MAX             255U
#define QEMU_NICS_MAX             8
#define QEMU_ARGS_MAX             16
#define QEMU_TEXT_MAX_BYTES       256
#define QEMU_PATH_MAX_BYTES       1024
#define QEMU_APPEND_MAX_BYTES     2048
#define QEMU_AGENT_PORT           "org.qemu.guest_agent.0"

enum qemu_bus { QEMU_BUS_VIRTIO, QEMU_BUS_IDE, QEMU_BUS_SCSI };

/* How the host's page cache is used. All of them honour the guest's flushes. */
enum qemu_cache { QEMU_CACHE_NONE, QEMU_CACHE_WRITEBACK, QEMU_CACHE_DIRECTSYNC };

enum qemu_nic_kind { QEMU_NIC_USER, QEMU_NIC_TAP };

struct qemu_nic {
    enum qemu_nic_kind kind;
    const char *device; /* TAP: the interface */
    const char *model;
    const char *mac; /* NULL: QEMU's choice */
};

struct qemu_extra {
    const char *option;
    const char *value;
};

/* Strings are borrowed from `root`. */
struct qemu_definition {
    uint32_t memory_mib;
    uint32_t cpus;
    const char *machine;
    const char *firmware; /* a path; NULL: QEMU's own */
    const char *uuid;     /* NULL: none */
    const char *kernel;   /* a path; NULL: boots from its disk */
    const char *initrd;   /* a path, or NULL */
    const char *append;
    const char *disk_path; /* NULL: the volume's name below the first directory that is allowed */
    const char *disk_format;
    enum qemu_bus bus;
    enum qemu_cache cache;
    struct qemu_nic nics[QEMU_NICS_MAX];
    size_t nic_count;
    struct qemu_extra args[QEMU_ARGS_MAX];
    size_t arg_count;
    const char *watchdog; /* what happens when it runs out; NULL: no watchdog */
    bool has_agent;
    bool agent_is_serial; /* on the second serial line */
    json_t *root;         /* owned */
};

/* ERR_INVALID with the reason in `why`, QEMU_TEXT_MAX_BYTES of room. */
MUST_USE enum err qemu_definition_decode(struct bytes json, struct qemu_definition *ret, char *why);
void qemu_definition_deinit(struct qemu_definition *definition);

#endif
