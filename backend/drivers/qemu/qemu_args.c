#include "drivers/qemu/qemu_args.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"

/* The longest word: paths and command lines of kernels go in whole. */
#define WORD_MAX_BYTES (2 * QEMU_APPEND_MAX_BYTES)

__attribute__((format(printf, 2, 3))) static void word_add(struct qemu_args *args,
                                                           const char *format, ...)
{
    va_list list;
    char word[WORD_MAX_BYTES];

    va_start(list, format);
    const int n = vsnprintf(word, sizeof word, format, list);
    va_end(list);
    CHECK(n >= 0 && (size_t)n < sizeof word);
    CHECK(args->count < QEMU_WORDS_MAX);
    char *copy = mem_alloc((size_t)n + 1);
    memcpy(copy, word, (size_t)n + 1);
    args->words[args->count++] = copy;
}

/* An option with its value. */
#define ADD(args, option, ...)                                                                     \
    do {                                                                                           \
        word_add(args, "%s", option);                                                              \
        word_add(args, __VA_ARGS__);                                                               \
    } while (0)

static void add_machine(struct qemu_args *args, const struct qemu_definition *d)
{
    const bool is_micro = strcmp(d->machine, "microvm") == 0;

    ADD(args, "-machine", "%s,graphics=off%s", d->machine,
        is_micro ? ",isa-serial=on,pit=on,pic=on,rtc=on,acpi=on" : "");
    ADD(args, "-m", "%uM", d->memory_mib);
    ADD(args, "-smp", "%u", d->cpus);
    if (d->firmware != NULL) {
        ADD(args, "-bios", "%s", d->firmware);
    }
    if (d->uuid != NULL) {
        ADD(args, "-uuid", "%s", d->uuid);
    }
    if (d->kernel != NULL) {
        ADD(args, "-kernel", "%s", d->kernel);
        ADD(args, "-append", "%s", d->append);
    }
    if (d->initrd != NULL) {
        ADD(args, "-initrd", "%s", d->initrd);
    }
    if (d->watchdog != NULL) {
        ADD(args, "-device", "ib700");
        ADD(args, "-action", "watchdog=%s", d->watchdog);
    }
}

/* As JSON, in which a path may hold any character. Locking is QEMU's own, which keeps a second
 * writer out; it is never off. */
static void add_image(struct qemu_args *args, const struct qemu_launch *launch,
                      const struct qemu_definition *d)
{
    const bool is_direct = d->cache != QEMU_CACHE_WRITEBACK;
    json_t *node = json_pack("{s:s, s:s, s:s, s:{s:b, s:b}, s:{s:s, s:s, s:s, s:{s:b, s:b}}}",
                             "node-name", "disk0", "driver", d->disk_format, "discard", "unmap",
                             "cache", "direct", is_direct, "no-flush", 0, "file", "driver",
                             launch->is_block ? "host_device" : "file", "filename", launch->image,
                             "locking", "on", "cache", "direct", is_direct, "no-flush", 0);
    CHECK(node != NULL);
    char text[WORD_MAX_BYTES];
    const size_t n = json_dumpb(node, text, sizeof text - 1, JSON_COMPACT);
    CHECK(n > 0 && n < sizeof text);
    text[n] = '\0';
    ADD(args, "-blockdev", "%s", text);
    json_decref(node);
}

/* A write or read that fails stops the guest, which hears nothing of it, and goes on at RESUME. */
#define STOPS_ON_ERRORS ",werror=stop,rerror=stop"

static void add_disk(struct qemu_args *args, const struct qemu_definition *d)
{
    const char *write_cache = d->cache == QEMU_CACHE_DIRECTSYNC ? "off" : "on";
    const bool is_micro = strcmp(d->machine, "microvm") == 0;

    switch (d->bus) {
    case QEMU_BUS_IDE:
        ADD(args, "-device",
            "ide-hd,id=ide0,drive=disk0,bus=ide.0,unit=0,write-cache=%s" STOPS_ON_ERRORS,
            write_cache);
        break;
    case QEMU_BUS_SCSI:
        ADD(args, "-device", "virtio-scsi-%s,id=scsi", is_micro ? "device" : "pci");
        ADD(args, "-device",
            "scsi-hd,id=scsi0,drive=disk0,bus=scsi.0,write-cache=%s" STOPS_ON_ERRORS, write_cache);
        break;
    case QEMU_BUS_VIRTIO:
        ADD(args, "-device", "virtio-blk-%s,id=virtio0,drive=disk0,write-cache=%s" STOPS_ON_ERRORS,
            is_micro ? "device" : "pci", write_cache);
        break;
    }
}

static void add_nics(struct qemu_args *args, const struct qemu_definition *d)
{
    for (size_t i = 0; i < d->nic_count; i++) {
        const struct qemu_nic *nic = &d->nics[i];
        if (nic->kind == QEMU_NIC_TAP) {
            ADD(args, "-netdev", "tap,id=net%zu,ifname=%s,script=no,downscript=no", i, nic->device);
        } else {
            ADD(args, "-netdev", "user,id=net%zu", i);
        }
        ADD(args, "-device", "%s,netdev=net%zu%s%s", nic->model, i, nic->mac != NULL ? ",mac=" : "",
            nic->mac != NULL ? nic->mac : "");
    }
}

static void add_agent(struct qemu_args *args, const struct qemu_definition *d)
{
    if (!d->has_agent) {
        return;
    }
    ADD(args, "-chardev", "socket,id=agent,path=agent,server=on,wait=off");
    if (d->agent_is_serial) {
        ADD(args, "-serial", "chardev:agent");
    } else {
        ADD(args, "-device", "virtio-serial-%s",
            strcmp(d->machine, "microvm") == 0 ? "device" : "pci");
        ADD(args, "-device", "virtserialport,chardev=agent,name=" QEMU_AGENT_PORT);
    }
}

void qemu_args_make(struct qemu_args *args, const struct qemu_launch *launch,
                    const struct qemu_definition *d)
{
    *args = (struct qemu_args){.count = 0};
    word_add(args, "%s", launch->binary);
    ADD(args, "-name", "guest=%s,debug-threads=on", launch->name);
    /* The guest waits until we have seen that all is well; and when it shuts down, its process
     * waits until we have seen that, too, which may be after a restart of ours. */
    word_add(args, "-S");
    word_add(args, "-no-shutdown");
    if (launch->is_incoming) {
        ADD(args, "-incoming", "defer");
    }
    word_add(args, "-nodefaults");
    word_add(args, "-no-user-config");
    ADD(args, "-display", "none");
    ADD(args, "-msg", "timestamp=on");
    ADD(args, "-sandbox",
        "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
    ADD(args, "-accel", "%s", launch->accel);
    add_machine(args, d);
    ADD(args, "-chardev", "socket,id=qmp,fd=%d,server=on,wait=off", QEMU_FD_QMP);
    ADD(args, "-mon", "chardev=qmp,mode=control");
    ADD(args, "-chardev", "file,id=console,path=console.log,append=on");
    ADD(args, "-serial", "chardev:console");
    add_image(args, launch, d);
    add_disk(args, d);
    add_nics(args, d);
    add_agent(args, d);
    for (size_t i = 0; i < d->arg_count; i++) {
        ADD(args, d->args[i].option, "%s", d->args[i].value);
    }
}

void qemu_args_deinit(struct qemu_args *args)
{
    for (size_t i = 0; i < args->count; i++) {
        mem_free(args->words[i]);
    }
    args->count = 0;
}
