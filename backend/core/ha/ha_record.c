#include "core/ha/ha_record.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/json.h"
#include "core/base/say.h"
#include "core/ha/ha_record_int.h"

/* --- names ------------------------------------------------------------------------------------ */

/* The name at `value`, or "?" for a value that no version of this program has. */
#define NAME_AT(names, value) ((size_t)(value) < COUNT_OF(names) ? (names)[value] : "?")

const char *ha_kind_name(enum ha_kind kind)
{
    static const char *const names[] = {
        [HA_VM] = "vms",           [HA_HOST] = "hosts",         [HA_DEVICE] = "devices",
        [HA_STORAGE] = "storages", [HA_SETTINGS] = "settings",  [HA_CONFIRMED] = "confirmed",
        [HA_OWNER] = "owners",     [HA_FATE] = "fates",         [HA_AGENT] = "agents",
        [HA_REPORT] = "reports",   [HA_INCIDENT] = "incidents", [HA_EVENT] = "events",
        [HA_SIGHT] = "sights",
    };
    _Static_assert(COUNT_OF(names) == HA_KINDS, "each kind has a folder");

    return NAME_AT(names, kind);
}

const char *ha_kind_word(enum ha_kind kind)
{
    static const char *const words[] = {
        [HA_VM] = "machine",      [HA_HOST] = "host",         [HA_DEVICE] = "fence device",
        [HA_STORAGE] = "storage", [HA_SETTINGS] = "settings", [HA_CONFIRMED] = "confirmation",
        [HA_OWNER] = "owner",     [HA_FATE] = "fate",         [HA_AGENT] = "agent",
        [HA_REPORT] = "report",   [HA_INCIDENT] = "incident", [HA_EVENT] = "event",
        [HA_SIGHT] = "sight",
    };
    _Static_assert(COUNT_OF(words) == HA_KINDS, "each kind has a word");

    return NAME_AT(words, kind);
}

const char *ha_policy_name(enum ha_policy policy)
{
    static const char *const names[] = {"stop", "pause", "keep"};

    return NAME_AT(names, policy);
}

const char *ha_loss_name(enum ha_loss loss)
{
    static const char *const names[] = {"restart", "keep"};

    return NAME_AT(names, loss);
}

const char *ha_phase_name(enum ha_phase phase)
{
    static const char *const names[] = {"waiting", "starting",   "running",    "moving", "stopping",
                                        "stopped", "restarting", "recovering", "failed"};
    _Static_assert(COUNT_OF(names) == HA_PHASES, "each phase has a name");

    return NAME_AT(names, phase);
}

const char *ha_proof_name(enum ha_proof proof)
{
    static const char *const names[] = {"none",      "fenced",  "expired",
                                        "confirmed", "stopped", "moved"};
    _Static_assert(COUNT_OF(names) == HA_PROOFS, "each proof has a name");

    return NAME_AT(names, proof);
}

const char *ha_fate_phase_name(enum ha_fate_phase phase)
{
    static const char *const names[] = {"up", "lost", "fencing", "gone"};
    _Static_assert(COUNT_OF(names) == HA_HOST_PHASES, "each phase has a name");

    return NAME_AT(names, phase);
}

const char *ha_report_state_name(enum ha_report_state state)
{
    static const char *const names[] = {"runs", "stopped", "waits", "moved"};
    _Static_assert(COUNT_OF(names) == HA_REPORT_STATES, "each state has a name");

    return NAME_AT(names, state);
}

const char *ha_vm_end_name(enum world_vm_end end)
{
    static const char *const names[] = {"shut-down", "killed", "crashed"};

    return NAME_AT(names, end);
}

const char *ha_watchdog_name(enum world_watchdog watchdog)
{
    static const char *const names[] = {"none", "soft", "ready", "armed"};
    _Static_assert(COUNT_OF(names) == WORLD_WATCHDOG_STATES, "each state has a name");

    return NAME_AT(names, watchdog);
}

const char *ha_ask_name(enum ha_ask ask)
{
    static const char *const names[] = {"nothing", "agent", "exec", "tcp", "http"};
    _Static_assert(COUNT_OF(names) == HA_ASKS, "each question has a name");

    return NAME_AT(names, ask);
}

const char *ha_rung_name(enum ha_rung rung)
{
    static const char *const names[] = {"qmp", "agent", "startup", "liveness", "readiness"};
    _Static_assert(COUNT_OF(names) == HA_RUNGS, "each rung has a name");

    return NAME_AT(names, rung);
}

const char *ha_rung_state_name(enum ha_rung_state state)
{
    static const char *const names[] = {"unasked", "waiting", "well", "bad"};
    _Static_assert(COUNT_OF(names) == HA_RUNG_STATES, "each state has a name");

    return NAME_AT(names, state);
}

const struct ha_check *ha_vm_check(const struct ha_vm *vm, enum ha_rung rung)
{
    switch (rung) {
    case HA_RUNG_STARTUP:
        return &vm->startup;
    case HA_RUNG_LIVENESS:
        return &vm->liveness;
    case HA_RUNG_READINESS:
        return &vm->readiness;
    case HA_RUNG_QMP:
    case HA_RUNG_AGENT:
    case HA_RUNGS:
    default:
        return NULL;
    }
}

void ha_check_say(struct buf *text, const struct ha_check *check)
{
    bool is_v6 = strchr(check->address, ':') != NULL;

    switch (check->ask) {
    case HA_ASK_AGENT:
        say(text, "ping its guest agent");
        break;
    case HA_ASK_EXEC:
        say(text, "run");
        for (uint32_t i = 0; i < check->command.n; i++) {
            say(text, " ");
            say(text, check->command.word[i]);
        }
        break;
    case HA_ASK_TCP:
    case HA_ASK_HTTP:
        say(text, check->ask == HA_ASK_TCP ? "connect to " : "GET http://");
        say(text, is_v6 ? "[" : "");
        say(text, check->address);
        say(text, is_v6 ? "]:" : ":");
        say_u64(text, check->port);
        if (check->ask == HA_ASK_HTTP) {
            say(text, check->path[0] != '\0' ? check->path : "/");
        }
        break;
    case HA_ASK_NOTHING:
    case HA_ASKS:
    default:
        say(text, "nothing");
        break;
    }
}

static bool is_letter_or_digit(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool ha_name_is_valid(struct bytes name)
{
    if (name.len == 0 || name.len >= HA_NAME_BYTES || !is_letter_or_digit(name.data[0])) {
        return false;
    }
    for (size_t i = 1; i < name.len; i++) {
        uint8_t c = name.data[i];
        if (!is_letter_or_digit(c) && c != '-' && c != '_' && c != '.') {
            return false;
        }
    }
    return true;
}

void ha_text_set_bytes(char *field, size_t size, struct bytes text)
{
    size_t kept = 0;

    CHECK(size > 0);
    for (size_t i = 0; i < text.len;) {
        uint8_t c = text.data[i];
        size_t n = utf8_length(text.data + i, text.len - i);
        size_t taken = n == 0 ? 1 : n;
        size_t put = taken;
        if (kept + taken >= size) {
            break;
        }
        if (c == '\n' || c == '\t' || c == '\r') {
            field[kept] = ' ';
        } else if (n == 0 || c < 0x20 || c == 0x7F || (c == 0xC2 && text.data[i + 1] < 0xA0)) {
            field[kept] = '?'; /* the last: control characters of eight bits */
            put = 1;
        } else {
            memcpy(field + kept, text.data + i, n);
        }
        kept += put;
        i += taken;
    }
    memset(field + kept, 0, size - kept);
}

void ha_text_set(char *field, size_t size, const char *text)
{
    ha_text_set_bytes(field, size, (struct bytes){(const uint8_t *)text, strlen(text)});
}

bool ha_names_have(const struct ha_names *names, const char *name)
{
    for (uint32_t i = 0; i < names->n; i++) {
        if (strcmp(names->name[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* --- disks --------------------------------------------------------------------------------------
 */

void ha_owner_set_disk(struct ha_owner *owner, const struct ha_vm *vm,
                       const struct ha_storage *storage)
{
    ha_text_set(owner->volume, sizeof(owner->volume), vm->volume);
    ha_text_set(owner->storage, sizeof(owner->storage), vm->storage);
    ha_text_set(owner->path, sizeof(owner->path), storage != NULL ? storage->path : "");
}

bool ha_owner_disk_differs(const struct ha_owner *owner, const struct ha_vm *vm,
                           const struct ha_storage *storage)
{
    const char *path = storage != NULL ? storage->path : "";

    return owner->volume[0] != '\0' &&
           (strcmp(owner->volume, vm->volume) != 0 || strcmp(owner->storage, vm->storage) != 0 ||
            strcmp(owner->path, path) != 0);
}

void ha_path_in_list(char ret[HA_PATH_BYTES], const char *list, uint32_t at)
{
    char index[16];
    size_t from = sizeof index;

    index[--from] = '\0';
    index[--from] = ']';
    do {
        index[--from] = (char)('0' + at % 10);
        at /= 10;
    } while (at > 0);
    index[--from] = '[';
    const size_t n = strlen(list);
    CHECK(n + sizeof index - from <= HA_PATH_BYTES);
    memmove(ret, list, n);
    memcpy(ret + n, index + from, sizeof index - from);
}

/* --- keys ------------------------------------------------------------------------------------- */

_Static_assert(sizeof HA_PREFIX + sizeof "incidents/" + 2 * HA_NAME_BYTES <= HA_KEY_BYTES,
               "every key fits");

/* Appends to a string with room for it. */
static void key_append(char *key, const char *part)
{
    size_t at = strlen(key);
    size_t n = strlen(part);

    CHECK(at + n < HA_KEY_BYTES);
    memcpy(key + at, part, n + 1);
}

void ha_key_folder(enum ha_kind kind, char ret[HA_KEY_BYTES])
{
    ret[0] = '\0';
    key_append(ret, HA_PREFIX);
    key_append(ret, ha_kind_name(kind));
    if (kind != HA_SETTINGS) {
        key_append(ret, "/");
    }
}

void ha_key_format(enum ha_kind kind, const char *name, const char *vm, char ret[HA_KEY_BYTES])
{
    ha_key_folder(kind, ret);
    key_append(ret, name != NULL ? name : "");
    if (kind == HA_REPORT) {
        key_append(ret, "/");
        key_append(ret, vm != NULL ? vm : "");
    }
}

void ha_event_name(uint64_t number, char ret[HA_NAME_BYTES])
{
    memset(ret, 0, HA_NAME_BYTES);
    for (size_t i = 20; i > 0; i--) {
        ret[i - 1] = (char)('0' + number % 10);
        number /= 10;
    }
}

/* Twenty digits that are a number of 64 bits. */
static bool event_name_is_valid(struct bytes name)
{
    char again[HA_NAME_BYTES];
    uint64_t number = 0;

    if (name.len != 20 || json_read_u64(name, &number) != OK) {
        return false;
    }
    ha_event_name(number, again);
    return memcmp(again, name.data, name.len) == 0;
}

/* Takes off `text` what is before the first '/', or all. */
static struct bytes take_part(struct bytes *text)
{
    const uint8_t *slash = text->len > 0 ? memchr(text->data, '/', text->len) : NULL;
    size_t n = slash != NULL ? (size_t)(slash - text->data) : text->len;
    size_t skipped = slash != NULL ? n + 1 : n;
    struct bytes part = {text->data, n};

    *text = (struct bytes){text->data + skipped, text->len - skipped};
    return part;
}

static enum err key_parse_names(enum ha_kind kind, struct bytes rest, struct ha_key *ret)
{
    struct ha_key key = {.kind = kind};
    struct bytes name = kind == HA_REPORT ? take_part(&rest) : rest;
    struct bytes vm = kind == HA_REPORT ? rest : (struct bytes){NULL, 0};

    if (!ha_name_is_valid(name) || (kind == HA_REPORT && !ha_name_is_valid(vm)) ||
        (kind == HA_EVENT && !event_name_is_valid(name))) {
        return ERR_INVALID;
    }
    memcpy(key.name, name.data, name.len);
    if (vm.len > 0) {
        memcpy(key.vm, vm.data, vm.len);
    }
    *ret = key;
    return OK;
}

enum err ha_key_parse(struct bytes key, struct ha_key *ret)
{
    for (enum ha_kind kind = 0; kind < HA_KINDS; kind++) {
        char folder[HA_KEY_BYTES];
        ha_key_folder(kind, folder);
        size_t n = strlen(folder);
        bool is_whole = kind == HA_SETTINGS;
        if (key.len < n || (is_whole && key.len != n) || memcmp(key.data, folder, n) != 0) {
            continue;
        }
        if (is_whole) {
            *ret = (struct ha_key){.kind = kind};
            return OK;
        }
        return key_parse_names(kind, (struct bytes){key.data + n, key.len - n}, ret);
    }
    return ERR_NOT_FOUND;
}

/* The names that are in the record, and make its key. */
void ha_record_key(enum ha_kind kind, const void *record, struct ha_key *ret)
{
    const struct ha_table *table = ha_table_of(kind);

    *ret = (struct ha_key){.kind = kind};
    if (kind == HA_EVENT) {
        ha_event_name(((const struct ha_event *)record)->number, ret->name);
        return;
    }
    if (kind != HA_SETTINGS) {
        memcpy(ret->name, (const char *)record + table->fields[0].offset, HA_NAME_BYTES);
    }
    if (kind == HA_REPORT) {
        memcpy(ret->vm, ((const struct ha_report *)record)->vm, HA_NAME_BYTES);
    }
}
