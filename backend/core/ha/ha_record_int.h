/*
 * The fields of records as tables: encoder, decoder, defaults and checks go through these, so that
 * a field is described once. docs/formats/ha-records.md is the same for people.
 */
#ifndef NOVACRON_HA_RECORD_INT_H
#define NOVACRON_HA_RECORD_INT_H

#include "core/ha/ha_record.h"

enum ha_type {
    HA_TYPE_NAME,       /* char[]: as ha_name_is_valid has it */
    HA_TYPE_WORD,       /* char[]: printable ASCII without blanks */
    HA_TYPE_TEXT,       /* char[]: for people */
    HA_TYPE_U32,        /* uint32_t, a number */
    HA_TYPE_U64,        /* uint64_t, a number */
    HA_TYPE_ID,         /* uint64_t, hexadecimal in a string, as etcd shows members */
    HA_TYPE_BOOL,       /* bool */
    HA_TYPE_ENUM,       /* an enum, by its name */
    HA_TYPE_WANTED,     /* bool, "running" or "stopped" */
    HA_TYPE_NAMES,      /* struct ha_names, an array */
    HA_TYPE_OBJECT,     /* a struct with a table of its own */
    HA_TYPE_RAW,        /* struct bytes, any object */
    HA_TYPE_LEVELS,     /* n_levels and levels of a host, an array of arrays of names */
    HA_TYPE_PARAMETERS, /* n_parameters and parameters of a device, an object of strings */
    HA_TYPE_STEPS,      /* n_steps and steps of an incident, an array of objects */
    HA_TYPE_COMMAND     /* the command of a check, an array of strings */
};

struct ha_field {
    const char *name;
    enum ha_type type;
    bool is_required; /* it has no default */
    size_t offset;    /* in the struct */
    size_t size;      /* of a char[], with its zero */
    uint64_t least;   /* of numbers */
    uint64_t most;
    uint64_t preset;                        /* the default of numbers, enums and bools */
    const char *(*name_of)(uint32_t value); /* ENUM */
    uint32_t values;                        /* ENUM: how many there are */
    const struct ha_table *table;           /* OBJECT, STEPS */
    bool (*applies)(const void *record);    /* NULL: always; else it is left out where it says no */
};

struct ha_table {
    const struct ha_field *fields;
    size_t n; /* at most 64: a bit each says what was seen */
    size_t size;
    bool is_operators; /* unknown fields are errors, and so are texts that are too long */
};

const struct ha_table *ha_table_of(enum ha_kind kind);

/* Where in the record a value is, in words, and what is wrong with it. */
struct ha_fault {
    struct buf *why;   /* NULL: nobody asks */
    const char *outer; /* the field whose struct it is in; NULL: the record itself */
};

/* Appends "outer.field: what" to `why`. ERR_INVALID, always. */
enum err ha_fault_tell(const struct ha_fault *fault, const char *field, const char *what);

/* The same of one item of a list: "apart[1]: what". */
enum err ha_fault_tell_at(const struct ha_fault *fault, const char *list, uint32_t at,
                          const char *what);

/* The same with a text that was put together; `what` is freed. */
enum err ha_fault_say(const struct ha_fault *fault, const char *field, struct buf *what);

/* "0 is not allowed, 1 to 64 is". */
enum err ha_fault_range(const struct ha_fault *fault, const struct ha_field *field, uint64_t value);

/* Appends what is allowed for an enum, "running, stopped": `values` names. */
void ha_fault_names(struct buf *text, const char *(*name_of)(uint32_t value), uint32_t values);

#endif
