#include "drivers/qemu/qemu_definition.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What is being read: the first thing wrong with it is told, by `why`. */
struct reading {
    struct qemu_definition *d;
    char *why;
    bool is_wrong;
};

__attribute__((format(printf, 2, 3))) static void reading_fails(struct reading *r,
                                                                const char *format, ...)
{
    va_list args;

    if (!r->is_wrong) {
        va_start(args, format);
        (void)vsnprintf(r->why, QEMU_TEXT_MAX_BYTES, format, args);
        va_end(args);
    }
    r->is_wrong = true;
}

/* --- words ------------------------------------------------------------------------------------ */

static bool word_is_of(const char *text, const char *more)
{
    for (; *text != '\0'; text++) {
        const bool is_alnum = (*text >= '0' && *text <= '9') || (*text >= 'a' && *text <= 'z') ||
                              (*text >= 'A' && *text <= 'Z');
        if (!is_alnum && strchr(more, *text) == NULL) {
            return false;
        }
    }
    return true;
}

static bool word_is_printable(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool word_is_among(const char *text, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(text, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* A machine type, or one of its versions, which live migration wants. */
static bool machine_is_known(const char *machine)
{
    static const char *const types[] = {"pc", "q35", "microvm"};
    static const char *const versioned[] = {"pc-i440fx-", "pc-q35-"};

    if (word_is_among(machine, types, COUNT_OF(types))) {
        return true;
    }
    for (size_t i = 0; i < COUNT_OF(versioned); i++) {
        const size_t n = strlen(versioned[i]);
        const char *version = strncmp(machine, versioned[i], n) == 0 ? machine + n : "";
        if (strlen(version) > 0 && strlen(version) < 8 &&
            strspn(version, "0123456789.") == strlen(version)) {
            return true;
        }
    }
    return false;
}

static bool mac_is_one(const char *mac)
{
    if (strlen(mac) != 17) {
        return false;
    }
    for (size_t i = 0; i < 17; i++) {
        if (strchr(i % 3 == 2 ? ":" : "0123456789abcdefABCDEF", mac[i]) == NULL) {
            return false;
        }
    }
    /* A group's address is no station's. */
    return strchr("02468aceACE", mac[1]) != NULL;
}

static bool uuid_is_one(const char *uuid)
{
    if (strlen(uuid) != 36) {
        return false;
    }
    for (size_t i = 0; i < 36; i++) {
        const bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (strchr(is_dash ? "-" : "0123456789abcdefABCDEF", uuid[i]) == NULL) {
            return false;
        }
    }
    return true;
}

/* --- members ---------------------------------------------------------------------------------- */

static void read_keys(struct reading *r, const json_t *object, const char *what,
                      const char *const *keys, size_t count)
{
    const char *key = NULL;
    json_t *value = NULL;

    if (!json_is_object(object)) {
        reading_fails(r, "%s is no object", what);
        return;
    }
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        if (!word_is_among(key, keys, count)) {
            reading_fails(r, "%s: no member is called \"%.64s\"", what, key);
        }
    }
}

static uint32_t read_count(struct reading *r, const json_t *object, const char *key, uint32_t max,
                           uint32_t otherwise)
{
    const json_t *value = json_object_get(object, key);

    if (value == NULL && otherwise != 0) {
        return otherwise;
    }
    if (!json_is_integer(value) || json_integer_value(value) < 1 ||
        json_integer_value(value) > (json_int_t)max) {
        reading_fails(r, "%s is to be a number from 1 to %u", key, max);
        return 1;
    }
    return (uint32_t)json_integer_value(value);
}

static const char *read_word(struct reading *r, const json_t *object, const char *key, size_t max,
                             const char *otherwise)
{
    const json_t *value = json_object_get(object, key);
    const char *text = json_string_value(value);

    if (value == NULL) {
        return otherwise;
    }
    /* A zero in the middle never comes: jansson refuses it. */
    if (text == NULL || strlen(text) >= max || !word_is_printable(text)) {
        reading_fails(r, "%s is to be a text of less than %zu printable bytes", key, max);
        return otherwise;
    }
    return text;
}

static const char *read_choice(struct reading *r, const json_t *object, const char *key,
                               const char *const *words, size_t count)
{
    const char *text = read_word(r, object, key, 64, words[0]);

    if (!word_is_among(text, words, count)) {
        reading_fails(r, "%s cannot be \"%s\"", key, text);
        return words[0];
    }
    return text;
}

static void read_agent(struct reading *r, const json_t *root)
{
    const json_t *value = json_object_get(root, "guest_agent");
    const char *word = json_string_value(value);

    r->d->agent_is_serial = word != NULL && strcmp(word, "serial") == 0;
    r->d->has_agent = r->d->agent_is_serial || json_is_true(value);
    if (value != NULL && !json_is_boolean(value) && !r->d->agent_is_serial) {
        reading_fails(r, "guest_agent is to be true, false or \"serial\"");
    }
}

static const char *read_path(struct reading *r, const json_t *object, const char *key)
{
    const char *path = read_word(r, object, key, QEMU_PATH_MAX_BYTES, NULL);

    if (path != NULL && path[0] != '/') {
        reading_fails(r, "%s is to be a path from the root", key);
    }
    return path;
}

/* --- parts ------------------------------------------------------------------------------------ */

static void read_boot(struct reading *r, const json_t *boot)
{
    static const char *const keys[] = {"kernel", "initrd", "append"};

    read_keys(r, boot, "boot", keys, COUNT_OF(keys));
    r->d->kernel = read_path(r, boot, "kernel");
    r->d->initrd = read_path(r, boot, "initrd");
    r->d->append = read_word(r, boot, "append", QEMU_APPEND_MAX_BYTES, "");
    if (r->d->kernel == NULL) {
        reading_fails(r, "boot wants a kernel; to boot from the disk, leave it out");
    }
}

static void read_disk(struct reading *r, const json_t *disk)
{
    static const char *const keys[] = {"path", "format", "bus", "cache"};
    static const char *const formats[] = {"raw", "qcow2"};
    static const char *const buses[] = {"virtio", "ide", "scsi"};
    static const char *const caches[] = {"none", "writeback", "directsync"};

    if (disk != NULL) {
        read_keys(r, disk, "disk", keys, COUNT_OF(keys));
    }
    r->d->disk_path = read_path(r, disk, "path");
    r->d->disk_format = read_choice(r, disk, "format", formats, COUNT_OF(formats));
    const char *bus = read_choice(r, disk, "bus", buses, COUNT_OF(buses));
    const char *cache = read_choice(r, disk, "cache", caches, COUNT_OF(caches));
    r->d->bus = strcmp(bus, "ide") == 0    ? QEMU_BUS_IDE
                : strcmp(bus, "scsi") == 0 ? QEMU_BUS_SCSI
                                           : QEMU_BUS_VIRTIO;
    r->d->cache = strcmp(cache, "none") == 0        ? QEMU_CACHE_NONE
                  : strcmp(cache, "writeback") == 0 ? QEMU_CACHE_WRITEBACK
                                                    : QEMU_CACHE_DIRECTSYNC;
}

static void read_nic(struct reading *r, const json_t *value)
{
    static const char *const keys[] = {"kind", "device", "model", "mac"};
    static const char *const kinds[] = {"user", "tap"};
    static const char *const models[] = {"virtio-net-pci", "e1000", "e1000e", "rtl8139"};
    struct qemu_nic *nic = &r->d->nics[r->d->nic_count++];

    read_keys(r, value, "a nic", keys, COUNT_OF(keys));
    const char *kind = read_choice(r, value, "kind", kinds, COUNT_OF(kinds));
    nic->kind = strcmp(kind, "tap") == 0 ? QEMU_NIC_TAP : QEMU_NIC_USER;
    nic->model = read_choice(r, value, "model", models, COUNT_OF(models));
    nic->device = read_word(r, value, "device", 16, NULL);
    nic->mac = read_word(r, value, "mac", 18, NULL);
    if ((nic->kind == QEMU_NIC_TAP) != (nic->device != NULL)) {
        reading_fails(r, "a nic of kind tap, and no other, names its device");
    } else if (nic->device != NULL && (nic->device[0] == '\0' || !word_is_of(nic->device, "-_."))) {
        reading_fails(r, "a nic's device cannot be \"%s\"", nic->device);
    } else if (nic->mac != NULL && !mac_is_one(nic->mac)) {
        reading_fails(r, "\"%s\" is no station's mac", nic->mac);
    }
}

static void read_nics(struct reading *r, const json_t *nics)
{
    if (nics == NULL) {
        return;
    }
    if (!json_is_array(nics) || json_array_size(nics) > QEMU_NICS_MAX) {
        reading_fails(r, "nics is to be a list of at most %d", QEMU_NICS_MAX);
        return;
    }
    for (size_t i = 0; i < json_array_size(nics); i++) {
        read_nic(r, json_array_get(nics, i));
    }
}

/* Options that touch no file and no socket of the host, whatever their value says within these
 * bytes. A device is one of the list, which all live within the guest's machine. */
static bool extra_is_allowed(const char *option, const char *value)
{
    static const char *const devices[] = {
        "virtio-rng-pci", "virtio-balloon-pci", "pvpanic", "pvpanic-pci", "usb-tablet",
        "qemu-xhci",      "isa-debug-exit",     "VGA",     "virtio-vga",
    };
    char device[64];
    const size_t n = strcspn(value, ",");

    if (!word_is_of(value, "-_.,=+:") || n == 0 || n >= sizeof device) {
        return false;
    }
    if (strcmp(option, "-cpu") == 0 || strcmp(option, "-rtc") == 0) {
        return true;
    }
    memcpy(device, value, n);
    device[n] = '\0';
    return strcmp(option, "-device") == 0 && word_is_among(device, devices, COUNT_OF(devices));
}

static void read_args(struct reading *r, const json_t *args)
{
    if (args == NULL) {
        return;
    }
    if (!json_is_array(args) || json_array_size(args) % 2 != 0 ||
        json_array_size(args) > 2 * QEMU_ARGS_MAX) {
        reading_fails(r, "args is to be a list of at most %d options, each with its value",
                      QEMU_ARGS_MAX);
        return;
    }
    for (size_t i = 0; i < json_array_size(args); i += 2) {
        const char *option = json_string_value(json_array_get(args, i));
        const char *value = json_string_value(json_array_get(args, i + 1));
        if (option == NULL || value == NULL || strlen(value) >= QEMU_TEXT_MAX_BYTES ||
            !extra_is_allowed(option, value)) {
            reading_fails(r, "args: \"%.32s\" \"%.96s\" is not on the list of what is allowed",
                          option != NULL ? option : "?", value != NULL ? value : "?");
            return;
        }
        r->d->args[r->d->arg_count++] = (struct qemu_extra){option, value};
    }
}

static void read_machine(struct reading *r, const json_t *root)
{
    static const char *const keys[] = {
        "memory_mib", "cpus", "machine",  "firmware",    "uuid", "boot",
        "disk",       "nics", "watchdog", "guest_agent", "args",
    };
    static const char *const endings[] = {"reset", "pause", "none"};
    struct qemu_definition *d = r->d;

    read_keys(r, root, "the definition", keys, COUNT_OF(keys));
    d->memory_mib = read_count(r, root, "memory_mib", QEMU_MEMORY_MAX_MIB, 0);
    d->cpus = read_count(r, root, "cpus", QEMU_CPUS_MAX, 1);
    d->machine = read_word(r, root, "machine", 32, "pc");
    if (!machine_is_known(d->machine)) {
        reading_fails(r, "machine cannot be \"%s\"", d->machine);
    }
    d->firmware = read_path(r, root, "firmware");
    d->uuid = read_word(r, root, "uuid", 37, NULL);
    if (d->uuid != NULL && !uuid_is_one(d->uuid)) {
        reading_fails(r, "uuid is to look like 01234567-89ab-cdef-0123-456789abcdef");
    }
    if (json_object_get(root, "watchdog") != NULL) {
        d->watchdog = read_choice(r, root, "watchdog", endings, COUNT_OF(endings));
    }
    read_agent(r, root);
}

enum err qemu_definition_decode(struct bytes json, struct qemu_definition *ret, char *why)
{
    struct qemu_definition d = {.append = ""};
    struct reading r = {.d = &d, .why = why};
    json_error_t error;

    if (json.len > QEMU_DEFINITION_MAX_BYTES) {
        reading_fails(&r, "it has %zu bytes, more than %d", json.len, QEMU_DEFINITION_MAX_BYTES);
        return ERR_INVALID;
    }
    d.root = json_loadb((const char *)json.data, json.len, JSON_REJECT_DUPLICATES, &error);
    if (d.root == NULL) {
        reading_fails(&r, "line %d: %s", error.line, error.text);
        return ERR_INVALID;
    }
    read_machine(&r, d.root);
    if (json_object_get(d.root, "boot") != NULL) {
        read_boot(&r, json_object_get(d.root, "boot"));
    }
    read_disk(&r, json_object_get(d.root, "disk"));
    read_nics(&r, json_object_get(d.root, "nics"));
    read_args(&r, json_object_get(d.root, "args"));
    if (r.is_wrong) {
        json_decref(d.root);
        return ERR_INVALID;
    }
    *ret = d;
    return OK;
}

void qemu_definition_deinit(struct qemu_definition *definition)
{
    json_decref(definition->root);
    definition->root = NULL;
}
