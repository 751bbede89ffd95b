#include "cli/manifest.h"

#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/base/say.h"

#define PATH_BYTES 256

/* The kinds that have manifests, as `kind` names them. */
static const struct {
    const char *name;
    enum ha_kind kind;
} manifest_kinds[] = {
    {"vm", HA_VM},           {"host", HA_HOST},         {"device", HA_DEVICE},
    {"storage", HA_STORAGE}, {"settings", HA_SETTINGS},
};

struct reader {
    yaml_parser_t parser;
    yaml_event_t event; /* the one that is looked at */
    struct manifest_document *document;
    enum ha_kind assumed;
    bool has_kind;
    char path[PATH_BYTES];
    struct buf *why;
};

static size_t event_line(const struct reader *r)
{
    return r->event.start_mark.line + 1;
}

static enum err complain_at(struct reader *r, size_t line, const char *what)
{
    say_u64(r->why, line);
    say(r->why, ": ");
    say(r->why, what);
    return ERR_INVALID;
}

static enum err manifest_complain(struct reader *r, const char *what)
{
    return complain_at(r, event_line(r), what);
}

static enum err next_event(struct reader *r)
{
    yaml_event_delete(&r->event);
    memset(&r->event, 0, sizeof r->event);
    if (!yaml_parser_parse(&r->parser, &r->event)) {
        const char *problem = r->parser.problem != NULL ? r->parser.problem : "this is no YAML";
        return complain_at(r, r->parser.problem_mark.line + 1, problem);
    }
    return OK;
}

/* --- paths ------------------------------------------------------------------------------------ */

static void note_field(struct reader *r)
{
    struct manifest_document *d = r->document;

    if (d->n_fields == d->fields_cap) {
        d->fields_cap = d->fields_cap == 0 ? 16 : 2 * d->fields_cap;
        d->fields = mem_realloc_array(d->fields, d->fields_cap, sizeof *d->fields);
    }
    const size_t n = strlen(r->path) + 1;
    struct manifest_field *field = &d->fields[d->n_fields++];
    *field = (struct manifest_field){.path = mem_alloc(n), .line = event_line(r)};
    memcpy(field->path, r->path, n);
}

/* Appends ".name" or "[at]" to the path, and returns how long it was; false: it does not fit. */
static bool path_enter(struct reader *r, const char *name, size_t at, size_t *ret_before)
{
    const size_t before = strlen(r->path);
    const size_t room = sizeof r->path - before;
    int n = 0;

    if (name == NULL) {
        n = snprintf(r->path + before, room, "[%zu]", at);
    } else {
        n = snprintf(r->path + before, room, "%s%s", before > 0 ? "." : "", name);
    }
    *ret_before = before;
    return n >= 0 && (size_t)n < room;
}

static void path_leave(struct reader *r, size_t before)
{
    r->path[before] = '\0';
}

/* --- scalars ---------------------------------------------------------------------------------- */

static void put_string(struct buf *json, const uint8_t *text, size_t n)
{
    static const char digits[] = "0123456789abcdef";

    say(json, "\"");
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '"' || text[i] == '\\') {
            buf_put(json, "\\", 1);
        }
        if (text[i] < ' ') {
            const char escape[] = {'\\', 'u', '0', '0', digits[text[i] >> 4], digits[text[i] & 15]};
            buf_put(json, escape, sizeof escape);
        } else {
            buf_put(json, &text[i], 1);
        }
    }
    say(json, "\"");
}

/* A number as JSON has them: no sign but '-', no zero in front of others. */
static bool looks_like_number(const char *text)
{
    const char *at = text + (text[0] == '-');
    const size_t whole = strspn(at, "0123456789");

    if (whole == 0 || (whole > 1 && at[0] == '0')) {
        return false;
    }
    at += whole;
    if (at[0] == '.') {
        const size_t rest = strspn(at + 1, "0123456789");
        at += rest > 0 ? rest + 1 : 0;
    }
    return at[0] == '\0';
}

static bool word_is_one_of(const char *text, const char *a, const char *b, const char *c)
{
    return strcmp(text, a) == 0 || strcmp(text, b) == 0 || strcmp(text, c) == 0;
}

static void put_scalar(struct reader *r)
{
    struct buf *json = &r->document->json;
    const char *text = (const char *)r->event.data.scalar.value;
    const size_t n = r->event.data.scalar.length;
    const bool is_plain = r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;

    if (!is_plain) {
        put_string(json, r->event.data.scalar.value, n);
    } else if (n == 0 || word_is_one_of(text, "null", "Null", "NULL") || strcmp(text, "~") == 0) {
        say(json, "null");
    } else if (word_is_one_of(text, "true", "True", "TRUE")) {
        say(json, "true");
    } else if (word_is_one_of(text, "false", "False", "FALSE")) {
        say(json, "false");
    } else if (looks_like_number(text)) {
        say(json, text);
    } else {
        put_string(json, r->event.data.scalar.value, n);
    }
}

/* --- values ----------------------------------------------------------------------------------- */

static enum err read_value(struct reader *r, unsigned depth);

static enum err check_tag(struct reader *r, const yaml_char_t *tag, const yaml_char_t *anchor)
{
    if (anchor != NULL) {
        return manifest_complain(r, "a manifest has no anchors (&): write it out");
    }
    if (tag != NULL && strcmp((const char *)tag, "!") != 0) {
        return manifest_complain(r, "a manifest has no tags (!): leave it out");
    }
    return OK;
}

static enum err read_sequence(struct reader *r, unsigned depth)
{
    struct buf *json = &r->document->json;
    size_t before = 0;

    say(json, "[");
    enum err e = next_event(r);
    for (size_t i = 0; e == OK && r->event.type != YAML_SEQUENCE_END_EVENT; i++) {
        say(json, i > 0 ? "," : "");
        if (!path_enter(r, NULL, i, &before)) {
            return manifest_complain(r, "this lies too deep");
        }
        note_field(r);
        e = read_value(r, depth + 1);
        path_leave(r, before);
        e = e == OK ? next_event(r) : e;
    }
    say(json, "]");
    return e;
}

static enum err read_kind(struct reader *r)
{
    const char *said = (const char *)r->event.data.scalar.value;

    for (size_t i = 0; i < COUNT_OF(manifest_kinds) && r->event.type == YAML_SCALAR_EVENT; i++) {
        if (strcmp(said, manifest_kinds[i].name) == 0) {
            if (r->assumed != HA_KINDS && r->assumed != manifest_kinds[i].kind) {
                return manifest_complain(
                    r, "kind: this command takes another kind; `novacron apply` takes "
                       "all");
            }
            r->document->kind = manifest_kinds[i].kind;
            r->has_kind = true;
            return OK;
        }
    }
    return manifest_complain(r, "kind: one of vm, host, device, storage, settings");
}

/* A key and its value. */
static enum err read_pair(struct reader *r, unsigned depth, bool is_first)
{
    struct buf *json = &r->document->json;
    size_t before = 0;

    if (r->event.type != YAML_SCALAR_EVENT) {
        return manifest_complain(r, "a key is a word");
    }
    const char *name = (const char *)r->event.data.scalar.value;
    if (!path_enter(r, name, 0, &before) || strlen(name) != r->event.data.scalar.length) {
        return manifest_complain(r, "this key is too long, or lies too deep");
    }
    if (manifest_has(r->document, r->path)) {
        return manifest_complain(r, "this key was there before");
    }
    note_field(r);
    enum err e = OK;
    if (depth == 1 && strcmp(name, "kind") == 0) {
        e = next_event(r);
        e = e == OK ? read_kind(r) : e;
    } else {
        say(json, is_first ? "" : ",");
        put_string(json, r->event.data.scalar.value, r->event.data.scalar.length);
        say(json, ":");
        e = next_event(r);
        e = e == OK ? read_value(r, depth) : e;
    }
    path_leave(r, before);
    return e;
}

static enum err read_mapping(struct reader *r, unsigned depth)
{
    struct buf *json = &r->document->json;

    say(json, "{");
    enum err e = next_event(r);
    while (e == OK && r->event.type != YAML_MAPPING_END_EVENT) {
        e = read_pair(r, depth + 1, json->data[json->len - 1] == '{');
        e = e == OK ? next_event(r) : e;
    }
    say(json, "}");
    return e;
}

static enum err read_value(struct reader *r, unsigned depth)
{
    enum err e = OK;

    if (depth > MANIFEST_DEPTH_MAX) {
        return manifest_complain(r, "this lies too deep");
    }
    switch ((int)r->event.type) {
    case YAML_SCALAR_EVENT:
        e = check_tag(r, r->event.data.scalar.tag, r->event.data.scalar.anchor);
        if (e == OK && memchr(r->event.data.scalar.value, '\0', r->event.data.scalar.length)) {
            return manifest_complain(r, "a text has no zero byte");
        }
        if (e == OK) {
            put_scalar(r);
        }
        return e;
    case YAML_SEQUENCE_START_EVENT:
        e = check_tag(r, r->event.data.sequence_start.tag, r->event.data.sequence_start.anchor);
        return e == OK ? read_sequence(r, depth) : e;
    case YAML_MAPPING_START_EVENT:
        e = check_tag(r, r->event.data.mapping_start.tag, r->event.data.mapping_start.anchor);
        return e == OK ? read_mapping(r, depth) : e;
    case YAML_ALIAS_EVENT:
        return manifest_complain(r, "a manifest has no aliases (*): write it out");
    default:
        return manifest_complain(r, "there is a value missing");
    }
}

/* --- documents -------------------------------------------------------------------------------- */

static enum err read_document(struct reader *r)
{
    enum err e = next_event(r);

    r->document->line = event_line(r);
    if (e == OK && r->event.type != YAML_MAPPING_START_EVENT) {
        return manifest_complain(r, "a document is a mapping: `name: ...` and so on");
    }
    e = e == OK ? read_value(r, 0) : e;
    e = e == OK ? next_event(r) : e; /* its end */
    if (e == OK && !r->has_kind && r->assumed == HA_KINDS) {
        return complain_at(r, r->document->line,
                           "kind is missing: one of vm, host, device, storage, settings");
    }
    return e;
}

static enum err read_all(struct reader *r, struct manifest *m)
{
    enum err e = next_event(r); /* the stream's beginning */

    e = e == OK ? next_event(r) : e;
    while (e == OK && r->event.type != YAML_STREAM_END_EVENT) {
        if (m->n == MANIFEST_DOCUMENTS_MAX) {
            return manifest_complain(r, "a file has 256 documents at most");
        }
        m->documents = mem_realloc_array(m->documents, m->n + 1, sizeof *m->documents);
        r->document = &m->documents[m->n++];
        *r->document = (struct manifest_document){.kind = r->assumed};
        buf_init(&r->document->json);
        r->has_kind = false;
        e = read_document(r);
        e = e == OK ? next_event(r) : e;
    }
    if (e == OK && m->n == 0) {
        return manifest_complain(r, "there is nothing in it");
    }
    return e;
}

enum err manifest_read(struct bytes text, enum ha_kind assumed, struct manifest *ret,
                       struct buf *why)
{
    struct reader r = {.assumed = assumed, .why = why};
    struct manifest m = {0};

    if (text.len > MANIFEST_BYTES_MAX || text.len == 0) {
        say(why, text.len == 0 ? "1: there is nothing in it" : "1: a manifest has 1 MiB at most");
        return ERR_INVALID;
    }
    CHECK(yaml_parser_initialize(&r.parser));
    yaml_parser_set_input_string(&r.parser, text.data, text.len);
    enum err e = read_all(&r, &m);
    yaml_event_delete(&r.event);
    yaml_parser_delete(&r.parser);
    if (e != OK) {
        manifest_free(&m);
        return e;
    }
    *ret = m;
    return OK;
}

void manifest_free(struct manifest *m)
{
    for (size_t i = 0; i < m->n; i++) {
        struct manifest_document *d = &m->documents[i];
        for (size_t k = 0; k < d->n_fields; k++) {
            mem_free(d->fields[k].path);
        }
        mem_free(d->fields);
        buf_deinit(&d->json);
    }
    mem_free(m->documents);
    *m = (struct manifest){0};
}

static const struct manifest_field *manifest_field_find(const struct manifest_document *d,
                                                        const char *path, size_t n)
{
    for (size_t i = 0; i < d->n_fields; i++) {
        if (strlen(d->fields[i].path) == n && memcmp(d->fields[i].path, path, n) == 0) {
            return &d->fields[i];
        }
    }
    return NULL;
}

bool manifest_has(const struct manifest_document *d, const char *path)
{
    return manifest_field_find(d, path, strlen(path)) != NULL;
}

size_t manifest_line(const struct manifest_document *d, const char *complaint)
{
    for (size_t n = strcspn(complaint, ": "); n > 0; n--) {
        const struct manifest_field *field = NULL;
        if (n == strcspn(complaint, ": ") || complaint[n] == '.' || complaint[n] == '[') {
            field = manifest_field_find(d, complaint, n);
        }
        if (field != NULL) {
            return field->line;
        }
    }
    return d->line;
}
