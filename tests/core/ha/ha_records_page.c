/*
 * ha-records-page PAGE: does docs/formats/ha-records.md say what the tables of records say? Each
 * field stands in the section of its record; a number that operators write with its range and its
 * default, each choice by its name. Ends with 1 and a line for each that does not.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/ha/ha_record_int.h"

#define PAGE_BYTES_MAX (256 * 1024)

static unsigned page_faults;

static void page_fault(enum ha_kind kind, const char *field, const char *what)
{
    printf("%s.%s: %s\n", ha_kind_name(kind), field, what);
    page_faults++;
}

/* The section of a kind, as a string of its own; freed by the caller. NULL: there is none. */
static char *page_section(const char *page, enum ha_kind kind)
{
    char title[64];

    snprintf(title, sizeof title, "\n## %s\n", ha_kind_name(kind));
    const char *begin = strstr(page, title);
    if (begin == NULL) {
        return NULL;
    }
    const char *end = strstr(begin + strlen(title), "\n## ");
    return strndup(begin, end != NULL ? (size_t)(end - begin) : strlen(begin));
}

/* The row of "`name`", or else the first line that has it; NULL: none has. Freed by the caller. */
static char *page_line(const char *section, const char *name)
{
    char quoted[80];

    snprintf(quoted, sizeof quoted, "\n| `%s`", name);
    const char *row = strstr(section, quoted);
    const char *at = row != NULL ? row + 1 : strstr(section, quoted + 3);
    if (at == NULL) {
        return NULL;
    }
    while (at > section && at[-1] != '\n') {
        at--;
    }
    return strndup(at, strcspn(at, "\n"));
}

static void page_check_number(enum ha_kind kind, const struct ha_field *field, const char *line)
{
    char range[64];
    char preset[32];

    snprintf(range, sizeof range, "| %llu to %llu |", (unsigned long long)field->least,
             (unsigned long long)field->most);
    snprintf(preset, sizeof preset, "| %llu |", (unsigned long long)field->preset);
    if (field->most != UINT64_MAX && strstr(line, range) == NULL) {
        page_fault(kind, field->name, "its range is another one");
    }
    if (!field->is_required && strstr(line, preset) == NULL) {
        page_fault(kind, field->name, "its default is another one");
    }
}

static void page_check_choice(enum ha_kind kind, const struct ha_field *field, const char *line)
{
    for (uint32_t i = 0; i < field->values; i++) {
        char *found = page_line(line, field->name_of(i));
        if (found == NULL) {
            page_fault(kind, field->name, "one of its choices is missing");
        }
        free(found);
    }
}

static void page_check_fields(enum ha_kind kind, const struct ha_table *table, const char *outer,
                              const char *section)
{
    for (size_t i = 0; i < table->n; i++) {
        const struct ha_field *field = &table->fields[i];
        char name[64];
        snprintf(name, sizeof name, "%s%s", outer, field->name);
        char *line = page_line(section, name);
        bool is_number = field->type == HA_TYPE_U32 || field->type == HA_TYPE_U64;
        if (line == NULL) {
            page_fault(kind, name, "it is missing");
        } else if (is_number && ha_table_of(kind)->is_operators) {
            page_check_number(kind, field, line);
        } else if (field->type == HA_TYPE_ENUM && strcmp(field->name, "error") != 0) {
            page_check_choice(kind, field, line);
        }
        bool was_told = i > 0 && field->table == table->fields[i - 1].table;
        if (field->type == HA_TYPE_OBJECT && !was_told) {
            snprintf(name, sizeof name, "%s.", field->name);
            page_check_fields(kind, field->table, name, section);
        }
        free(line);
    }
}

int main(int argc, char **argv)
{
    FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
    char *page = calloc(1, PAGE_BYTES_MAX);

    if (file == NULL || page == NULL || fread(page, 1, PAGE_BYTES_MAX - 1, file) == 0) {
        printf("usage: ha-records-page PAGE\n");
        return 2;
    }
    fclose(file);
    for (enum ha_kind kind = 0; kind < HA_KINDS; kind++) {
        char *section = page_section(page, kind);
        if (section == NULL) {
            page_fault(kind, "", "it has no section");
        } else {
            page_check_fields(kind, ha_table_of(kind), "", section);
        }
        free(section);
    }
    free(page);
    return page_faults > 0 ? 1 : 0;
}
