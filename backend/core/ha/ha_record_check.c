/* What makes sense in a record, beyond the shapes of its fields. */
#include "core/ha/ha_record_int.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/base/say.h"

_Static_assert(HA_RECORD_BYTES_MAX == 65536, "ha_record_decode says this number");

/* The least of mute_ms: some questions' worth. */
#define HA_MUTE_LEAST_MS 10000U
_Static_assert(HA_MUTE_LEAST_MS == 10000, "record_check_vm says this number");

/* --- faults ----------------------------------------------------------------------------------- */

enum err ha_fault_tell(const struct ha_fault *fault, const char *field, const char *what)
{
    if (fault->why != NULL) {
        say(fault->why, fault->outer != NULL ? fault->outer : "");
        say(fault->why, fault->outer != NULL ? "." : "");
        say(fault->why, field);
        say(fault->why, ": ");
        say(fault->why, what);
    }
    return ERR_INVALID;
}

enum err ha_fault_say(const struct ha_fault *fault, const char *field, struct buf *what)
{
    enum err error = ha_fault_tell(fault, field, say_end(what));

    buf_deinit(what);
    return error;
}

enum err ha_fault_tell_at(const struct ha_fault *fault, const char *list, uint32_t at,
                          const char *what)
{
    char path[HA_PATH_BYTES];

    ha_path_in_list(path, list, at);
    return ha_fault_tell(fault, path, what);
}

enum err ha_fault_range(const struct ha_fault *fault, const struct ha_field *field, uint64_t value)
{
    struct buf what;

    buf_init(&what);
    say_u64(&what, value);
    say(&what, value > field->most ? " is too large; " : " is too small; ");
    say_u64(&what, field->least);
    say(&what, " to ");
    say_u64(&what, field->most);
    say(&what, " is allowed");
    return ha_fault_say(fault, field->name, &what);
}

void ha_fault_names(struct buf *text, const char *(*name_of)(uint32_t value), uint32_t values)
{
    for (uint32_t i = 0; i < values; i++) {
        say(text, i > 0 ? ", " : "");
        say(text, name_of(i));
    }
}

/* --- fields ----------------------------------------------------------------------------------- */

#define NAME_RULE                                                                                  \
    "it is no name: letters a to z, digits, '-', '_' and '.', at most 63, a letter or digit first"

/* Closed by a zero within its size, and of nothing but what a person can read. */
static bool record_chars_end(const char *at, size_t size)
{
    return memchr(at, '\0', size) != NULL;
}

static bool record_is_printable(const char *at)
{
    for (; *at != '\0'; at++) {
        if (*at < ' ' || *at > '~') {
            return false;
        }
    }
    return true;
}

static bool record_is_word(const char *at)
{
    for (; *at != '\0'; at++) {
        if (*at <= ' ' || *at > '~') {
            return false;
        }
    }
    return true;
}

static bool record_is_name(const char *at)
{
    return record_chars_end(at, HA_NAME_BYTES) &&
           ha_name_is_valid((struct bytes){(const uint8_t *)at, strlen(at)});
}

static enum err record_check_chars(const struct ha_fault *fault, const struct ha_field *field,
                                   const char *at)
{
    if (!record_chars_end(at, field->size)) {
        return ha_fault_tell(fault, field->name, "it has no end");
    }
    if (at[0] == '\0') {
        return field->is_required ? ha_fault_tell(fault, field->name, "it is empty") : OK;
    }
    if (field->type == HA_TYPE_NAME && !record_is_name(at)) {
        return ha_fault_tell(fault, field->name, NAME_RULE);
    }
    if (field->type == HA_TYPE_WORD && !record_is_word(at)) {
        return ha_fault_tell(fault, field->name, "printable ASCII without blanks was expected");
    }
    return OK;
}

static enum err record_check_number(const struct ha_fault *fault, const struct ha_field *field,
                                    uint64_t value)
{
    bool is_in = value >= field->least && value <= field->most;

    return is_in ? OK : ha_fault_range(fault, field, value);
}

static enum err record_check_names(const struct ha_fault *fault, const char *field,
                                   const char (*name)[HA_NAME_BYTES], uint32_t n, uint32_t most)
{
    if (n > most) {
        return ha_fault_tell(fault, field, "too many");
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!record_is_name(name[i])) {
            return ha_fault_tell_at(fault, field, i, NAME_RULE);
        }
        for (uint32_t j = 0; j < i; j++) {
            if (strcmp(name[i], name[j]) == 0) {
                return ha_fault_tell_at(fault, field, i, "it is there twice");
            }
        }
    }
    return OK;
}

static enum err record_check_levels(const struct ha_fault *fault, const struct ha_host *host)
{
    if (host->n_levels > HA_FENCE_LEVELS_MAX) {
        return ha_fault_tell(fault, "levels", "too many");
    }
    for (uint32_t i = 0; i < host->n_levels; i++) {
        const struct ha_fence_level *level = &host->levels[i];
        char path[HA_PATH_BYTES];

        ha_path_in_list(path, "levels", i);
        if (level->n == 0) {
            return ha_fault_tell(fault, path, "a level without devices would prove nothing");
        }
        TRY(record_check_names(fault, path, level->device, level->n, HA_FENCE_DEVICES_MAX));
    }
    return OK;
}

/* Parameters go to the agent as lines "key=value": a value with a newline would be two of them, and
 * what the agent is to do is for the driver to say. */
static enum err record_check_parameters(const struct ha_fault *fault,
                                        const struct ha_device *device)
{
    const struct ha_fault inner = {.why = fault->why, .outer = "parameters"};

    if (device->n_parameters > HA_PARAMETERS_MAX) {
        return ha_fault_tell(fault, "parameters", "too many");
    }
    for (uint32_t i = 0; i < device->n_parameters; i++) {
        const char *key = device->parameters[i].key;
        const char *value = device->parameters[i].value;
        if (!record_is_name(key)) {
            return ha_fault_tell(fault, "parameters", NAME_RULE);
        }
        if (strcmp(key, "action") == 0 || strcmp(key, "option") == 0) {
            return ha_fault_tell(&inner, key,
                                 "what the agent does is not a parameter; leave it out");
        }
        if (!record_chars_end(value, HA_VALUE_BYTES) || !record_is_printable(value)) {
            return ha_fault_tell(&inner, key, "printable ASCII was expected");
        }
        for (uint32_t j = 0; j < i; j++) {
            if (strcmp(key, device->parameters[j].key) == 0) {
                return ha_fault_tell(&inner, key, "it is there twice");
            }
        }
    }
    return OK;
}

static enum err record_check_command(const struct ha_fault *fault, const struct ha_check *check)
{
    if (check->command.n > HA_COMMAND_WORDS_MAX) {
        return ha_fault_tell(fault, "command", "too many");
    }
    for (uint32_t i = 0; i < check->command.n; i++) {
        const char *word = check->command.word[i];
        if (!record_chars_end(word, HA_VALUE_BYTES) || !record_is_printable(word)) {
            return ha_fault_tell(fault, "command", "printable ASCII was expected");
        }
    }
    return OK;
}

static enum err record_check_fields(const struct ha_fault *fault, const struct ha_table *table,
                                    const void *record);

static enum err record_check_steps(const struct ha_fault *fault, const struct ha_field *field,
                                   const struct ha_incident *incident)
{
    if (incident->n_steps > HA_STEPS_MAX) {
        return ha_fault_tell(fault, field->name, "too many");
    }
    for (uint32_t i = 0; i < incident->n_steps; i++) {
        TRY(record_check_fields(fault, field->table, &incident->steps[i]));
    }
    return OK;
}

static enum err record_check_inner(const struct ha_fault *fault, const struct ha_field *field,
                                   const void *at)
{
    struct ha_fault inner = {.why = fault->why, .outer = field->name};

    return record_check_fields(&inner, field->table, at);
}

static enum err record_check_field(const struct ha_fault *fault, const struct ha_field *field,
                                   const void *record)
{
    const void *at = (const char *)record + field->offset;

    if (field->applies != NULL && !field->applies(record)) {
        return OK;
    }
    switch (field->type) {
    case HA_TYPE_NAME:
    case HA_TYPE_WORD:
    case HA_TYPE_TEXT:
        return record_check_chars(fault, field, at);
    case HA_TYPE_U32:
        return record_check_number(fault, field, *(const uint32_t *)at);
    case HA_TYPE_U64:
        return record_check_number(fault, field, *(const uint64_t *)at);
    case HA_TYPE_ENUM:
        return *(const uint32_t *)at < field->values
                   ? OK
                   : ha_fault_tell(fault, field->name, "it has no such value");
    case HA_TYPE_ID:
        return *(const uint64_t *)at != 0 ? OK : ha_fault_tell(fault, field->name, "it is 0");
    case HA_TYPE_NAMES:
        return record_check_names(fault, field->name, ((const struct ha_names *)at)->name,
                                  ((const struct ha_names *)at)->n, HA_LIST_MAX);
    case HA_TYPE_OBJECT:
        return record_check_inner(fault, field, at);
    case HA_TYPE_LEVELS:
        return record_check_levels(fault, record);
    case HA_TYPE_PARAMETERS:
        return record_check_parameters(fault, record);
    case HA_TYPE_STEPS:
        return record_check_steps(fault, field, record);
    case HA_TYPE_COMMAND:
        return record_check_command(fault, record);
    case HA_TYPE_BOOL:
    case HA_TYPE_WANTED:
    case HA_TYPE_RAW:
        return OK;
    }
    CHECK_UNREACHABLE("a type of field");
}

static enum err record_check_fields(const struct ha_fault *fault, const struct ha_table *table,
                                    const void *record)
{
    for (size_t i = 0; i < table->n; i++) {
        TRY(record_check_field(fault, &table->fields[i], record));
    }
    return OK;
}

/* --- records ---------------------------------------------------------------------------------- */

static enum err record_check_restart(const struct ha_fault *fault,
                                     const struct ha_restart_rule *rule)
{
    if (rule->delay_max_ms < rule->delay_ms) {
        return ha_fault_tell(fault, "restart.delay_max_ms",
                             "it is less than restart.delay_ms, which it is to bound");
    }
    return OK;
}

/* Is nothing said of it? */
static bool record_is_untouched(const struct ha_check *check)
{
    const struct ha_table *table = ha_table_of(HA_VM);
    struct ha_vm *vm = mem_alloc_zero(table->size);

    ha_record_defaults(HA_VM, vm);
    const struct ha_check *given = &vm->startup;
    bool is_same = check->command.n == 0 && check->address[0] == '\0' && check->port == 0 &&
                   check->path[0] == '\0' && check->status == 0 &&
                   check->delay_ms == given->delay_ms && check->period_ms == given->period_ms &&
                   check->timeout_ms == given->timeout_ms && check->failures == given->failures &&
                   check->successes == given->successes;
    mem_free(vm);
    return is_same;
}

/* What a check asks must be whole; what of it does not belong to its question is refused, for
 * somebody has meant something by it. */
static enum err record_check_check(const struct ha_fault *outer, const char *name,
                                   const struct ha_check *check)
{
    const struct ha_fault fault = {.why = outer->why, .outer = name};
    bool is_call = check->ask == HA_ASK_TCP || check->ask == HA_ASK_HTTP;

    if (check->ask == HA_ASK_NOTHING && !record_is_untouched(check)) {
        return ha_fault_tell(&fault, "ask", "it is missing, or nothing: agent, exec, tcp, http");
    }
    if ((check->ask == HA_ASK_EXEC) != (check->command.n > 0)) {
        return ha_fault_tell(&fault, "command", "exec, and nothing else, has one");
    }
    if (check->command.n > 0 && check->command.word[0][0] != '/') {
        return ha_fault_tell(&fault, "command", "the absolute path of the program comes first");
    }
    if (is_call != (check->address[0] != '\0') || is_call != (check->port != 0)) {
        return ha_fault_tell(&fault, check->port != 0 ? "address" : "port",
                             "tcp and http, and nothing else, have an address and a port");
    }
    if (check->ask != HA_ASK_HTTP && (check->path[0] != '\0' || check->status != 0)) {
        return ha_fault_tell(&fault, check->path[0] != '\0' ? "path" : "status",
                             "http alone has one");
    }
    if (check->path[0] != '\0' && check->path[0] != '/') {
        return ha_fault_tell(&fault, "path", "it begins with \"/\"");
    }
    if (check->status != 0 && check->status < 100) {
        return ha_fault_tell(&fault, "status", "statuses are from 100 to 599");
    }
    return OK;
}

static enum err record_check_vm(const struct ha_fault *fault, const struct ha_vm *vm)
{
    const struct {
        const char *field;
        const struct ha_names *names;
    } others[] = {{"with", &vm->with}, {"apart", &vm->apart}, {"after", &vm->after}};

    for (size_t i = 0; i < COUNT_OF(others); i++) {
        if (ha_names_have(others[i].names, vm->name)) {
            return ha_fault_tell(fault, others[i].field, "it names the machine itself");
        }
    }
    for (uint32_t i = 0; i < vm->apart.n; i++) {
        if (ha_names_have(&vm->with, vm->apart.name[i])) {
            return ha_fault_tell_at(fault, "apart", i, "`with` names this machine, too");
        }
    }
    for (uint32_t i = 0; i < vm->preferred.n; i++) {
        if (vm->allowed.n > 0 && !ha_names_have(&vm->allowed, vm->preferred.name[i])) {
            return ha_fault_tell_at(fault, "preferred", i, "`allowed` does not have this host");
        }
    }
    if (vm->move_to[0] != '\0' && vm->allowed.n > 0 && !ha_names_have(&vm->allowed, vm->move_to)) {
        return ha_fault_tell(fault, "move_to", "`allowed` does not have this host");
    }
    if (vm->storage[0] == '\0' && vm->allowed.n != 1) {
        return ha_fault_tell(fault, "storage",
                             "name the shared storage; or, for a disk that one host has, give "
                             "that host alone in `allowed`: the machine is not protected then");
    }
    for (enum ha_rung rung = HA_RUNG_STARTUP; rung < HA_RUNGS; rung++) {
        TRY(record_check_check(fault, ha_rung_name(rung), ha_vm_check(vm, rung)));
    }
    if (vm->mute_ms != 0 && vm->mute_ms < HA_MUTE_LEAST_MS) {
        return ha_fault_tell(fault, "mute_ms",
                             "below 10000 a busy machine would be taken for one that hangs; 0 "
                             "waits for ever");
    }
    return record_check_restart(fault, &vm->restart);
}

/* A machine that is being moved has two hosts and two epochs, and no other has. */
static enum err record_check_move(const struct ha_fault *fault, const struct ha_owner *owner)
{
    bool is_moving = owner->phase == HA_MOVING;

    if (is_moving == (owner->to[0] == '\0')) {
        return ha_fault_tell(fault, "to", "a machine that is moving, and no other, has one");
    }
    if (is_moving && strcmp(owner->to, owner->host) == 0) {
        return ha_fault_tell(fault, "to", "it is the host that the machine is on");
    }
    if (is_moving && owner->issued <= owner->epoch) {
        return ha_fault_tell(fault, "issued", "it is not above the epoch of the machine that runs");
    }
    if ((owner->port != 0) != (owner->address[0] != '\0') || (!is_moving && owner->port != 0)) {
        return ha_fault_tell(fault, "port",
                             "where a machine waits for its guest is told whole, and of one that "
                             "is moving");
    }
    return OK;
}

static enum err record_check_owner(const struct ha_fault *fault, const struct ha_owner *owner)
{
    if (owner->epoch > INT64_MAX || owner->issued > INT64_MAX) {
        return ha_fault_tell(fault, owner->epoch > INT64_MAX ? "epoch" : "issued",
                             "it is above any revision, and there must be one above it");
    }
    if (ha_phase_has_host(owner->phase) && owner->host[0] == '\0') {
        return ha_fault_tell(fault, "host", "it is missing in a phase that has one");
    }
    if (ha_phase_has_host(owner->phase) && owner->epoch == 0) {
        return ha_fault_tell(fault, "epoch", "it is 0 in a phase that has one");
    }
    if (owner->phase == HA_WAITING && owner->host[0] != '\0') {
        return ha_fault_tell(fault, "host", "nobody owns a machine that is waiting");
    }
    return record_check_move(fault, owner);
}

static enum err record_check_fate(const struct ha_fault *fault, const struct ha_fate *fate)
{
    bool is_gone = fate->phase == HA_HOST_GONE;

    if (is_gone == (fate->proof == HA_PROOF_NONE) || fate->proof == HA_PROOF_STOPPED ||
        fate->proof == HA_PROOF_MOVED) {
        return ha_fault_tell(
            fault, "proof",
            "a host that is gone, and no other, has one: fenced, expired, confirmed");
    }
    return OK;
}

/* Where a machine waits goes into its owner's record, which has it whole or not at all. */
static enum err record_check_report(const struct ha_fault *fault, const struct ha_report *report)
{
    if (report->state == HA_REPORT_WAITS && (report->port != 0) != (report->address[0] != '\0')) {
        return ha_fault_tell(fault, "port", "a port has an address, and an address a port");
    }
    return OK;
}

enum err ha_record_check(enum ha_kind kind, const void *record, struct buf *why)
{
    struct ha_fault fault = {.why = why, .outer = NULL};

    TRY(record_check_fields(&fault, ha_table_of(kind), record));
    switch (kind) {
    case HA_VM:
        return record_check_vm(&fault, record);
    case HA_OWNER:
        return record_check_owner(&fault, record);
    case HA_FATE:
        return record_check_fate(&fault, record);
    case HA_REPORT:
        return record_check_report(&fault, record);
    case HA_HOST:
    case HA_DEVICE:
    case HA_STORAGE:
    case HA_SETTINGS:
    case HA_CONFIRMED:
    case HA_AGENT:
    case HA_INCIDENT:
    case HA_EVENT:
    case HA_SIGHT:
    case HA_KINDS:
        return OK;
    }
    CHECK_UNREACHABLE("a kind");
}
