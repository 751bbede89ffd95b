/* Records as JSON: the fields of their tables in order. Texts, lists and objects that are empty are
 * left out; numbers, flags and enums are always there, so that nobody has to know a default to
 * read a record. */
#include "core/ha/ha_record_int.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/json.h"
#include "core/base/say.h"

static void record_put_names(struct buf *json, const char (*name)[HA_NAME_BYTES], uint32_t n)
{
    say(json, "[");
    for (uint32_t i = 0; i < n; i++) {
        say(json, i > 0 ? "," : "");
        json_put_string(json, name[i]);
    }
    say(json, "]");
}

static void record_put_levels(struct buf *json, const struct ha_host *host)
{
    say(json, "[");
    for (uint32_t i = 0; i < host->n_levels; i++) {
        say(json, i > 0 ? "," : "");
        record_put_names(json, host->levels[i].device, host->levels[i].n);
    }
    say(json, "]");
}

static void record_put_command(struct buf *json, const struct ha_check *check)
{
    say(json, "[");
    for (uint32_t i = 0; i < check->command.n; i++) {
        say(json, i > 0 ? "," : "");
        json_put_string(json, check->command.word[i]);
    }
    say(json, "]");
}

static void record_put_parameters(struct buf *json, const struct ha_device *device)
{
    say(json, "{");
    for (uint32_t i = 0; i < device->n_parameters; i++) {
        say(json, i > 0 ? "," : "");
        json_put_string(json, device->parameters[i].key);
        say(json, ":");
        json_put_string(json, device->parameters[i].value);
    }
    say(json, "}");
}

static bool record_field_is_empty(const struct ha_field *field, const void *record)
{
    const char *at = (const char *)record + field->offset;

    switch (field->type) {
    case HA_TYPE_NAME:
    case HA_TYPE_WORD:
    case HA_TYPE_TEXT:
        return at[0] == '\0';
    case HA_TYPE_NAMES:
        return ((const struct ha_names *)(const void *)at)->n == 0;
    case HA_TYPE_RAW:
        return ((const struct bytes *)(const void *)at)->len == 0;
    case HA_TYPE_LEVELS:
    case HA_TYPE_PARAMETERS:
    case HA_TYPE_STEPS:
    case HA_TYPE_COMMAND:
        return *(const uint32_t *)(const void *)at == 0;
    case HA_TYPE_U32:
    case HA_TYPE_U64:
    case HA_TYPE_ID:
    case HA_TYPE_BOOL:
    case HA_TYPE_ENUM:
    case HA_TYPE_WANTED:
    case HA_TYPE_OBJECT:
        return field->applies != NULL && !field->applies(record);
    }
    CHECK_UNREACHABLE("a type of field");
}

/* One number, flag or enum. */
static void record_put_scalar(struct buf *json, const struct ha_field *field, const void *at)
{
    if (field->type == HA_TYPE_U32) {
        say_u64(json, *(const uint32_t *)at);
    } else if (field->type == HA_TYPE_U64) {
        say_u64(json, *(const uint64_t *)at);
    } else if (field->type == HA_TYPE_ENUM) {
        json_put_string(json, field->name_of(*(const uint32_t *)at));
    } else if (field->type == HA_TYPE_BOOL) {
        say(json, *(const bool *)at ? "true" : "false");
    } else if (field->type == HA_TYPE_WANTED) {
        say(json, *(const bool *)at ? "\"running\"" : "\"stopped\"");
    } else {
        CHECK(field->type == HA_TYPE_ID);
        say(json, "\"");
        say_hex(json, *(const uint64_t *)at);
        say(json, "\"");
    }
}

static void record_put_steps(struct buf *json, const struct ha_incident *incident,
                             const struct ha_table *table);

static void record_put_field(struct buf *json, const struct ha_field *field, const void *record);

/* The fields of one struct, as an object. */
static void record_put_fields(struct buf *json, const struct ha_table *table, const void *record)
{
    const char *comma = "";

    say(json, "{");
    for (size_t i = 0; i < table->n; i++) {
        const struct ha_field *field = &table->fields[i];
        if (record_field_is_empty(field, record)) {
            continue;
        }
        say(json, comma);
        comma = ",";
        json_put_string(json, field->name);
        say(json, ":");
        record_put_field(json, field, record);
    }
    say(json, "}");
}

static void record_put_steps(struct buf *json, const struct ha_incident *incident,
                             const struct ha_table *table)
{
    say(json, "[");
    for (uint32_t i = 0; i < incident->n_steps; i++) {
        say(json, i > 0 ? "," : "");
        record_put_fields(json, table, &incident->steps[i]);
    }
    say(json, "]");
}

/* Tables nest two deep: a record, and the structs in it. */
static void record_put_field(struct buf *json, const struct ha_field *field, const void *record)
{
    const void *at = (const char *)record + field->offset;

    switch (field->type) {
    case HA_TYPE_NAME:
    case HA_TYPE_WORD:
    case HA_TYPE_TEXT:
        json_put_string(json, at);
        break;
    case HA_TYPE_NAMES:
        record_put_names(json, ((const struct ha_names *)at)->name,
                         ((const struct ha_names *)at)->n);
        break;
    case HA_TYPE_OBJECT:
        record_put_fields(json, field->table, at);
        break;
    case HA_TYPE_RAW:
        buf_put(json, ((const struct bytes *)at)->data, ((const struct bytes *)at)->len);
        break;
    case HA_TYPE_LEVELS:
        record_put_levels(json, record);
        break;
    case HA_TYPE_PARAMETERS:
        record_put_parameters(json, record);
        break;
    case HA_TYPE_STEPS:
        record_put_steps(json, record, field->table);
        break;
    case HA_TYPE_COMMAND:
        record_put_command(json, record);
        break;
    case HA_TYPE_U32:
    case HA_TYPE_U64:
    case HA_TYPE_ID:
    case HA_TYPE_BOOL:
    case HA_TYPE_ENUM:
    case HA_TYPE_WANTED:
        record_put_scalar(json, field, at);
        break;
    }
}

void ha_record_encode(enum ha_kind kind, const void *record, struct buf *json)
{
    record_put_fields(json, ha_table_of(kind), record);
}
