#include "drivers/fence/fence_metadata.h"

#include <expat.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"

/* Elements that may be open at once: the format has five, a page in a `longdesc` a few more. */
#define DEPTH_MAX 16

struct reading {
    XML_Parser parser;
    struct fence_metadata *metadata;
    struct fence_parameter *parameter; /* the one that is open; NULL: none */
    uint32_t depth;
    bool has_root;
    enum err result; /* of the handlers */
    char *why;
    size_t why_bytes;
};

__attribute__((format(printf, 3, 4))) static void read_fail(struct reading *r, enum err e,
                                                            const char *format, ...)
{
    va_list args;

    if (r->result != OK) {
        return;
    }
    r->result = e;
    va_start(args, format);
    (void)vsnprintf(r->why, r->why_bytes, format, args);
    va_end(args);
    (void)XML_StopParser(r->parser, XML_FALSE);
}

/* Empty where the attribute is missing. */
static const char *attribute_of(const XML_Char **attributes, const char *name)
{
    for (size_t i = 0; attributes[i] != NULL; i += 2) {
        if (strcmp(attributes[i], name) == 0) {
            return attributes[i + 1];
        }
    }
    return "";
}

/* Words are printable ASCII without spaces, so that they can stand in a message. */
static bool is_word(const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        if (*at <= ' ' || *at > '~') {
            return false;
        }
    }
    return text[0] != '\0';
}

static void copy_word(struct reading *r, const char *text, char *ret, size_t room)
{
    size_t n = strlen(text);

    if (n >= room) {
        read_fail(r, ERR_TOO_LARGE, "a name is longer than %zu bytes", room - 1);
        return;
    }
    memcpy(ret, text, n + 1);
}

static void begin_parameter(struct reading *r, const XML_Char **attributes)
{
    struct fence_metadata *m = r->metadata;
    const char *name = attribute_of(attributes, "name");
    const char *required = attribute_of(attributes, "required");

    if (r->parameter != NULL) {
        read_fail(r, ERR_CORRUPT, "a parameter is inside another");
        return;
    }
    if (!is_word(name) || strchr(name, '=') != NULL || name[0] == '#') {
        read_fail(r, ERR_CORRUPT, "a parameter has no name that can be sent");
        return;
    }
    if (m->parameter_count == FENCE_PARAMETERS_MAX) {
        read_fail(r, ERR_TOO_LARGE, "it has more than %d parameters", FENCE_PARAMETERS_MAX);
        return;
    }
    if (strlen(name) < FENCE_WORD_MAX_BYTES && fence_metadata_find(m, name) != NULL) {
        read_fail(r, ERR_CORRUPT, "the parameter %s is there twice", name);
        return;
    }
    r->parameter = &m->parameters[m->parameter_count++];
    memset(r->parameter, 0, sizeof *r->parameter);
    r->parameter->is_required = strcmp(required, "1") == 0 || strcmp(required, "true") == 0;
    r->parameter->is_deprecated = strcmp(attribute_of(attributes, "deprecated"), "1") == 0;
    copy_word(r, name, r->parameter->name, sizeof r->parameter->name);
    copy_word(r, attribute_of(attributes, "obsoletes"), r->parameter->obsoletes,
              sizeof r->parameter->obsoletes);
}

static enum fence_content content_of(const char *type)
{
    static const struct {
        const char *type;
        enum fence_content content;
    } known[] = {
        {"integer", FENCE_INTEGER},
        {"second", FENCE_SECOND},
        {"boolean", FENCE_BOOLEAN},
        {"select", FENCE_SELECT},
    };

    for (size_t i = 0; i < COUNT_OF(known); i++) {
        if (strcmp(type, known[i].type) == 0) {
            return known[i].content;
        }
    }
    return FENCE_STRING;
}

static void add_option(struct reading *r, const char *value)
{
    struct fence_parameter *p = r->parameter;

    if (p->option_count == FENCE_OPTIONS_MAX) {
        read_fail(r, ERR_TOO_LARGE, "%s has more than %d options", p->name, FENCE_OPTIONS_MAX);
        return;
    }
    p->options = mem_realloc_array(p->options, p->option_count + 1, sizeof *p->options);
    memset(p->options[p->option_count], 0, sizeof *p->options);
    copy_word(r, value, p->options[p->option_count++], sizeof *p->options);
}

static void add_action(struct reading *r, const char *name)
{
    static const char *const names[] = {"on", "off", "reboot", "status"};

    for (uint32_t i = 0; i < COUNT_OF(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            r->metadata->actions |= 1U << i;
        }
    }
}

static void begin_element(void *ctx, const XML_Char *name, const XML_Char **attributes)
{
    struct reading *r = ctx;
    bool is_root = r->depth == 0;

    if (++r->depth > DEPTH_MAX) {
        read_fail(r, ERR_TOO_LARGE, "elements are nested deeper than %d", DEPTH_MAX);
    } else if (is_root) {
        r->has_root = strcmp(name, "resource-agent") == 0;
        if (!r->has_root) {
            read_fail(r, ERR_CORRUPT, "it is no resource-agent");
        }
    } else if (strcmp(name, "parameter") == 0) {
        begin_parameter(r, attributes);
    } else if (strcmp(name, "action") == 0) {
        add_action(r, attribute_of(attributes, "name"));
    } else if (r->parameter == NULL) {
        return;
    } else if (strcmp(name, "getopt") == 0) {
        copy_word(r, attribute_of(attributes, "mixed"), r->parameter->getopt,
                  sizeof r->parameter->getopt);
    } else if (strcmp(name, "content") == 0) {
        r->parameter->content = content_of(attribute_of(attributes, "type"));
    } else if (strcmp(name, "option") == 0) {
        add_option(r, attribute_of(attributes, "value"));
    }
}

static void end_element(void *ctx, const XML_Char *name)
{
    struct reading *r = ctx;

    r->depth--;
    if (strcmp(name, "parameter") == 0) {
        r->parameter = NULL;
    }
}

static void begin_doctype(void *ctx, const XML_Char *name, const XML_Char *system_id,
                          const XML_Char *public_id, int has_internal_subset)
{
    (void)name;
    (void)system_id;
    (void)public_id;
    (void)has_internal_subset;
    read_fail(ctx, ERR_CORRUPT, "it declares a document type");
}

static enum err read_xml(struct reading *r, struct bytes xml)
{
    XML_SetUserData(r->parser, r);
    XML_SetElementHandler(r->parser, begin_element, end_element);
    XML_SetStartDoctypeDeclHandler(r->parser, begin_doctype);
    enum XML_Status status = XML_Parse(r->parser, (const char *)xml.data, (int)xml.len, XML_TRUE);
    if (r->result == OK && status != XML_STATUS_OK) {
        r->result = ERR_CORRUPT;
        (void)snprintf(r->why, r->why_bytes, "line %lu: %s", XML_GetCurrentLineNumber(r->parser),
                       XML_ErrorString(XML_GetErrorCode(r->parser)));
    }
    return r->result;
}

enum err fence_metadata_decode(struct bytes xml, struct fence_metadata *ret, char *why,
                               size_t why_bytes)
{
    struct fence_metadata m = {0};
    struct reading r = {.metadata = &m, .why = why, .why_bytes = why_bytes};

    if (xml.len > FENCE_METADATA_MAX_BYTES) {
        (void)snprintf(why, why_bytes, "it is longer than %d bytes", FENCE_METADATA_MAX_BYTES);
        return ERR_TOO_LARGE;
    }
    m.parameters = mem_alloc(FENCE_PARAMETERS_MAX * sizeof *m.parameters);
    r.parser = XML_ParserCreate(NULL);
    CHECK(r.parser != NULL);
    enum err e = read_xml(&r, xml);
    XML_ParserFree(r.parser);
    if (e != OK) {
        fence_metadata_deinit(&m);
        return e;
    }
    *ret = m;
    return OK;
}

void fence_metadata_deinit(struct fence_metadata *m)
{
    for (uint32_t i = 0; i < m->parameter_count; i++) {
        mem_free(m->parameters[i].options);
    }
    mem_free(m->parameters);
    *m = (struct fence_metadata){0};
}

const struct fence_parameter *fence_metadata_find(const struct fence_metadata *m, const char *name)
{
    for (uint32_t i = 0; i < m->parameter_count; i++) {
        if (strcmp(m->parameters[i].name, name) == 0) {
            return &m->parameters[i];
        }
    }
    return NULL;
}

bool fence_parameters_are_one(const struct fence_parameter *a, const struct fence_parameter *b)
{
    return strcmp(a->name, b->name) == 0 || strcmp(a->obsoletes, b->name) == 0 ||
           strcmp(b->obsoletes, a->name) == 0 ||
           (a->getopt[0] != '\0' && strcmp(a->getopt, b->getopt) == 0);
}
