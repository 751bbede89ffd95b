/* Records from JSON. The text is scanned as a whole first (core/base/json.h); what is taken from it
 * here is checked for shape and size, and the whole record at the end for sense
 * (ha_record_check.c). Nothing is touched in the caller's struct before all of it is well. */
#include "core/ha/ha_record_int.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/json.h"
#include "core/base/mem.h"
#include "core/base/say.h"

/* What is looked at of a key; no field has a longer name. */
#define KEY_BYTES (2 * HA_NAME_BYTES)

/* What is being decoded, and whose mistakes it may have. */
struct intake {
    struct ha_fault fault;
    bool is_operators;
};

static void put_defaults(const struct ha_table *table, void *record)
{
    memset(record, 0, table->size);
    for (size_t i = 0; i < table->n; i++) {
        const struct ha_field *field = &table->fields[i];
        void *at = (char *)record + field->offset;
        if (field->type == HA_TYPE_U32 || field->type == HA_TYPE_ENUM) {
            *(uint32_t *)at = (uint32_t)field->preset;
        } else if (field->type == HA_TYPE_U64) {
            *(uint64_t *)at = field->preset;
        } else if (field->type == HA_TYPE_BOOL || field->type == HA_TYPE_WANTED) {
            *(bool *)at = field->preset != 0;
        } else if (field->type == HA_TYPE_OBJECT) {
            put_defaults(field->table, at);
        }
    }
}

void ha_record_defaults(enum ha_kind kind, void *record)
{
    put_defaults(ha_table_of(kind), record);
}

/* --- one value -------------------------------------------------------------------------------- */

static enum err intake_expects(struct intake *in, const char *field, struct bytes value,
                               enum json_shape shape)
{
    struct buf what;

    if (json_shape_of(value) == shape) {
        return OK;
    }
    buf_init(&what);
    say(&what, json_shape_name(shape));
    say(&what, " was expected");
    return ha_fault_say(&in->fault, field, &what);
}

/* A string into a field of `size` bytes. What a program wrote may be cut. */
static enum err intake_chars(struct intake *in, const char *field, struct bytes value,
                             enum ha_type type, char *ret, size_t size)
{
    TRY(intake_expects(in, field, value, JSON_IS_STRING));
    bool may_be_cut = type == HA_TYPE_TEXT && !in->is_operators;
    if (json_read_string(value, ret, size) >= size && !may_be_cut) {
        struct buf what;
        buf_init(&what);
        say(&what, "it is too long; at most ");
        say_u64(&what, size - 1);
        say(&what, " bytes are allowed");
        return ha_fault_say(&in->fault, field, &what);
    }
    if (type == HA_TYPE_TEXT) {
        /* Somebody may have written it by hand, and it goes to terminals: what those obey is '?'.
         */
        char text[HA_TEXT_BYTES];
        CHECK(size <= sizeof(text));
        memcpy(text, ret, size);
        ha_text_set(ret, size, text);
    }
    return OK;
}

static enum err intake_number(struct intake *in, const struct ha_field *field, struct bytes value,
                              uint64_t most, uint64_t *ret)
{
    uint64_t number = 0;

    TRY(intake_expects(in, field->name, value, JSON_IS_NUMBER));
    enum err error = json_read_u64(value, &number);
    if (error == ERR_INVALID) {
        return ha_fault_tell(&in->fault, field->name,
                             "a whole number was expected, not negative, without fraction");
    }
    if (error != OK || number > most) {
        return ha_fault_range(&in->fault, field, error != OK ? UINT64_MAX : number);
    }
    *ret = number;
    return OK;
}

static enum err intake_id(struct intake *in, const char *field, struct bytes value, uint64_t *ret)
{
    char text[32];
    uint64_t id = 0;

    TRY(intake_chars(in, field, value, HA_TYPE_WORD, text, sizeof text));
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++) {
        const char *digits = "0123456789abcdef";
        const char *digit = memchr(digits, text[i], 16);
        if (digit == NULL || n > 16) {
            return ha_fault_tell(&in->fault, field,
                                 "up to sixteen hexadecimal digits were expected");
        }
        id = id << 4 | (uint64_t)(digit - digits);
    }
    *ret = id;
    return OK;
}

static enum err intake_enum(struct intake *in, const struct ha_field *field, struct bytes value,
                            uint32_t *ret)
{
    char name[HA_NAME_BYTES];

    TRY(intake_expects(in, field->name, value, JSON_IS_STRING));
    (void)json_read_string(value, name, sizeof name);
    for (uint32_t i = 0; i < field->values; i++) {
        if (strcmp(field->name_of(i), name) == 0) {
            *ret = i;
            return OK;
        }
    }
    struct buf what;
    buf_init(&what);
    json_put_string(&what, name);
    say(&what, " is none of: ");
    ha_fault_names(&what, field->name_of, field->values);
    return ha_fault_say(&in->fault, field->name, &what);
}

static const char *wanted_name_at(uint32_t value)
{
    return value == 0 ? "stopped" : "running";
}

static enum err intake_wanted(struct intake *in, const struct ha_field *field, struct bytes value,
                              bool *ret)
{
    struct ha_field words = *field;
    uint32_t word = 0;

    words.name_of = wanted_name_at;
    words.values = 2;
    TRY(intake_enum(in, &words, value, &word));
    *ret = word == 1;
    return OK;
}

/* --- lists ------------------------------------------------------------------------------------ */

static enum err intake_list_full(struct intake *in, const char *field, uint32_t most)
{
    struct buf what;

    buf_init(&what);
    say(&what, "too many; at most ");
    say_u64(&what, most);
    say(&what, " are allowed");
    return ha_fault_say(&in->fault, field, &what);
}

static enum err intake_names(struct intake *in, const char *field, struct bytes value,
                             char (*ret)[HA_NAME_BYTES], uint32_t most, uint32_t *n)
{
    struct json_walk walk;
    struct bytes key;
    struct bytes item;

    TRY(intake_expects(in, field, value, JSON_IS_ARRAY));
    json_walk_begin(&walk, value);
    while (json_walk_next(&walk, &key, &item)) {
        if (*n == most) {
            return intake_list_full(in, field, most);
        }
        char path[HA_PATH_BYTES];
        ha_path_in_list(path, field, *n);
        TRY(intake_chars(in, path, item, HA_TYPE_NAME, ret[*n], HA_NAME_BYTES));
        (*n)++;
    }
    return OK;
}

static enum err intake_levels(struct intake *in, struct bytes value, struct ha_host *host)
{
    struct json_walk walk;
    struct bytes key;
    struct bytes item;

    TRY(intake_expects(in, "levels", value, JSON_IS_ARRAY));
    json_walk_begin(&walk, value);
    while (json_walk_next(&walk, &key, &item)) {
        if (host->n_levels == HA_FENCE_LEVELS_MAX) {
            return intake_list_full(in, "levels", HA_FENCE_LEVELS_MAX);
        }
        struct ha_fence_level *level = &host->levels[host->n_levels];
        char path[HA_PATH_BYTES];
        ha_path_in_list(path, "levels", host->n_levels);
        TRY(intake_names(in, path, item, level->device, HA_FENCE_DEVICES_MAX, &level->n));
        host->n_levels++;
    }
    return OK;
}

static enum err intake_parameters(struct intake *in, struct bytes value, struct ha_device *device)
{
    struct json_walk walk;
    struct bytes key;
    struct bytes item;

    struct intake inner = *in;

    TRY(intake_expects(in, "parameters", value, JSON_IS_OBJECT));
    inner.fault.outer = "parameters";
    json_walk_begin(&walk, value);
    while (json_walk_next(&walk, &key, &item)) {
        uint32_t n = device->n_parameters;
        if (n == HA_PARAMETERS_MAX) {
            return intake_list_full(in, "parameters", HA_PARAMETERS_MAX);
        }
        TRY(intake_chars(in, "parameters", key, HA_TYPE_NAME, device->parameters[n].key,
                         sizeof device->parameters[n].key));
        TRY(intake_chars(&inner, device->parameters[n].key, item, HA_TYPE_WORD,
                         device->parameters[n].value, sizeof device->parameters[n].value));
        device->n_parameters++;
    }
    return OK;
}

static enum err intake_command(struct intake *in, struct bytes value, struct ha_check *check)
{
    struct json_walk walk;
    struct bytes key;
    struct bytes item;

    TRY(intake_expects(in, "command", value, JSON_IS_ARRAY));
    json_walk_begin(&walk, value);
    while (json_walk_next(&walk, &key, &item)) {
        uint32_t n = check->command.n;
        if (n == HA_COMMAND_WORDS_MAX) {
            return intake_list_full(in, "command", HA_COMMAND_WORDS_MAX);
        }
        TRY(intake_chars(in, "command", item, HA_TYPE_WORD, check->command.word[n],
                         sizeof check->command.word[n]));
        check->command.n++;
    }
    return OK;
}

/* --- structs ---------------------------------------------------------------------------------- */

static enum err intake_fields(struct intake *in, const struct ha_table *table, struct bytes value,
                              void *record);

static enum err intake_steps(struct intake *in, const struct ha_field *field, struct bytes value,
                             struct ha_incident *incident)
{
    struct json_walk walk;
    struct bytes key;
    struct bytes item;

    TRY(intake_expects(in, field->name, value, JSON_IS_ARRAY));
    json_walk_begin(&walk, value);
    while (json_walk_next(&walk, &key, &item)) {
        if (incident->n_steps == HA_STEPS_MAX) {
            return intake_list_full(in, field->name, HA_STEPS_MAX);
        }
        TRY(intake_fields(in, field->table, item, &incident->steps[incident->n_steps]));
        incident->n_steps++;
    }
    return OK;
}

/* The fields of a struct inside of a record: their faults are told below its name. */
static enum err intake_inner(struct intake *in, const struct ha_field *field, struct bytes value,
                             void *at)
{
    struct intake inner = *in;

    TRY(intake_expects(in, field->name, value, JSON_IS_OBJECT));
    inner.fault.outer = field->name;
    return intake_fields(&inner, field->table, value, at);
}

static enum err intake_field(struct intake *in, const struct ha_field *field, struct bytes value,
                             void *record)
{
    void *at = (char *)record + field->offset;
    uint64_t number = 0;

    switch (field->type) {
    case HA_TYPE_NAME:
    case HA_TYPE_WORD:
    case HA_TYPE_TEXT:
        return intake_chars(in, field->name, value, field->type, at, field->size);
    case HA_TYPE_U32:
        TRY(intake_number(in, field, value, UINT32_MAX, &number));
        *(uint32_t *)at = (uint32_t)number;
        return OK;
    case HA_TYPE_U64:
        return intake_number(in, field, value, UINT64_MAX, at);
    case HA_TYPE_ID:
        return intake_id(in, field->name, value, at);
    case HA_TYPE_BOOL:
        TRY(intake_expects(in, field->name, value, JSON_IS_BOOL));
        *(bool *)at = json_read_bool(value);
        return OK;
    case HA_TYPE_ENUM:
        return intake_enum(in, field, value, at);
    case HA_TYPE_WANTED:
        return intake_wanted(in, field, value, at);
    case HA_TYPE_NAMES:
        return intake_names(in, field->name, value, ((struct ha_names *)at)->name, HA_LIST_MAX,
                            &((struct ha_names *)at)->n);
    case HA_TYPE_OBJECT:
        return intake_inner(in, field, value, at);
    case HA_TYPE_RAW:
        TRY(intake_expects(in, field->name, value, JSON_IS_OBJECT));
        *(struct bytes *)at = value;
        return OK;
    case HA_TYPE_LEVELS:
        return intake_levels(in, value, record);
    case HA_TYPE_PARAMETERS:
        return intake_parameters(in, value, record);
    case HA_TYPE_STEPS:
        return intake_steps(in, field, value, record);
    case HA_TYPE_COMMAND:
        return intake_command(in, value, record);
    }
    CHECK_UNREACHABLE("a type of field");
}

static enum err intake_unknown(struct intake *in, const struct ha_table *table, const char *name)
{
    struct buf what;

    buf_init(&what);
    say(&what, "there is no such field; there are: ");
    for (size_t i = 0; i < table->n; i++) {
        say(&what, i > 0 ? ", " : "");
        say(&what, table->fields[i].name);
    }
    return ha_fault_say(&in->fault, name, &what);
}

static enum err intake_member(struct intake *in, const struct ha_table *table, struct bytes key,
                              struct bytes value, void *record, uint64_t *seen)
{
    char name[KEY_BYTES];

    (void)json_read_string(key, name, sizeof name);
    for (size_t i = 0; i < table->n; i++) {
        if (strcmp(table->fields[i].name, name) == 0) {
            if ((*seen >> i & 1) != 0) {
                return ha_fault_tell(&in->fault, name, "it is there twice");
            }
            *seen |= (uint64_t)1 << i;
            return intake_field(in, &table->fields[i], value, record);
        }
    }
    return table->is_operators ? intake_unknown(in, table, name) : OK;
}

/* Into a struct that has its defaults. */
static enum err intake_fields(struct intake *in, const struct ha_table *table, struct bytes value,
                              void *record)
{
    struct json_walk walk;
    struct bytes key;
    struct bytes member;
    uint64_t seen = 0;

    CHECK(table->n <= 64);
    TRY(intake_expects(in, "the value", value, JSON_IS_OBJECT));
    json_walk_begin(&walk, value);
    while (json_walk_next(&walk, &key, &member)) {
        TRY(intake_member(in, table, key, member, record, &seen));
    }
    for (size_t i = 0; i < table->n; i++) {
        if (table->fields[i].is_required && (seen >> i & 1) == 0) {
            return ha_fault_tell(&in->fault, table->fields[i].name, "it is missing");
        }
    }
    return OK;
}

enum err ha_record_decode(enum ha_kind kind, struct bytes json, void *record, struct buf *why)
{
    const struct ha_table *table = ha_table_of(kind);
    struct intake in = {.fault = {.why = why, .outer = NULL}, .is_operators = table->is_operators};
    struct json_fault fault;
    struct bytes value;

    if (json.len > HA_RECORD_BYTES_MAX) {
        (void)ha_fault_tell(&in.fault, "the record", "it is longer than 65536 bytes");
        return ERR_TOO_LARGE;
    }
    if (json_scan(json, &value, &fault) != OK) {
        struct buf what;
        buf_init(&what);
        say(&what, "malformed JSON at byte ");
        say_u64(&what, fault.at);
        (void)ha_fault_tell(&in.fault, say_end(&what), fault.what);
        buf_deinit(&what);
        return ERR_INVALID;
    }
    void *read = mem_alloc(table->size);
    put_defaults(table, read);
    enum err error = intake_fields(&in, table, value, read);
    if (error == OK) {
        error = ha_record_check(kind, read, why);
    }
    if (error == OK) {
        memcpy(record, read, table->size);
    }
    mem_free(read);
    return error;
}
