#include "drivers/fence/fence_params.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/base/check.h"

/* --- words about what is wrong, gathered in one line -------------------------------------------
 */

struct complaint {
    char *why;
    size_t room;
    size_t at;
    bool is_any;
};

__attribute__((format(printf, 2, 3))) static void param_complain(struct complaint *c,
                                                                 const char *format, ...)
{
    va_list args;

    c->is_any = true;
    if (c->at > 0 && c->at + 2 < c->room) {
        memcpy(c->why + c->at, "; ", 3);
        c->at += 2;
    }
    va_start(args, format);
    int n = vsnprintf(c->why + c->at, c->room - c->at, format, args);
    va_end(args);
    c->at = n < 0 ? c->at : u64_min(c->at + (size_t)n, c->room - 1);
}

static enum err complaint_verdict(const struct complaint *c)
{
    return c->is_any ? ERR_INVALID : OK;
}

/* --- without knowing the agent ---------------------------------------------------------------- */

static const char *reason_not_to_take(const char *name)
{
    static const struct {
        const char *name;
        const char *reason;
    } refused[] = {
        {"action", "is the driver's to say"},
        {"debug", "would write secrets into a file"},
        {"debug_file", "would write secrets into a file"},
        {"help", "would turn a request into a page of help"},
        {"missing_as_off", "would take a machine that is not known for one that is off"},
        {"version", "would turn a request into a version number"},
    };

    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        if (strcmp(name, refused[i].name) == 0) {
            return refused[i].reason;
        }
    }
    return NULL;
}

static bool is_parameter_name(const char *name)
{
    for (const char *at = name; *at != '\0'; at++) {
        bool is_alphanumeric =
            (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || (*at >= '0' && *at <= '9');
        if (!is_alphanumeric && strchr("_-.", *at) == NULL) {
            return false;
        }
    }
    return name[0] != '\0' && strlen(name) < FENCE_WORD_MAX_BYTES;
}

/* What agents would read otherwise: they cut lines at control characters, take spaces off a line's
 * end and quotes off a value. NULL: nothing is wrong. */
static const char *flaw_of_value(const char *value)
{
    size_t n = strlen(value);

    if (n >= FENCE_VALUE_MAX_BYTES) {
        return "is too long";
    }
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)value[i] < ' ' || value[i] == 0x7f) {
            return "holds a control character";
        }
    }
    if (n > 0 && value[n - 1] == ' ') {
        return "ends with a space, which agents take off";
    }
    if (n > 1 && value[0] == '"' && value[n - 1] == '"') {
        return "is in quotes, which agents take off";
    }
    return NULL;
}

enum err fence_params_check(const struct fence_param *params, size_t count, char *why,
                            size_t why_bytes)
{
    struct complaint c = {.why = why, .room = why_bytes};

    if (count > FENCE_PARAMS_MAX) {
        param_complain(&c, "there are more than %d parameters", FENCE_PARAMS_MAX);
        return ERR_INVALID;
    }
    for (size_t i = 0; i < count; i++) {
        const char *name = params[i].name;
        if (!is_parameter_name(name)) {
            param_complain(&c, "parameter %zu has a name that cannot be sent", i + 1);
            continue;
        }
        const char *flaw = reason_not_to_take(name);
        if (flaw == NULL) {
            flaw = flaw_of_value(params[i].value);
        }
        for (size_t j = 0; flaw == NULL && j < i; j++) {
            flaw = strcmp(params[j].name, name) == 0 ? "is given twice" : NULL;
        }
        if (flaw != NULL) {
            param_complain(&c, "%s %s", name, flaw);
        }
    }
    return complaint_verdict(&c);
}

/* --- against the metadata --------------------------------------------------------------------- */

static bool is_number(const char *value)
{
    size_t digits = strspn(value, "0123456789");
    return digits > 0 && digits < 10 && value[digits] == '\0';
}

static bool is_boolean(const char *value)
{
    static const char *const words[] = {"1", "0", "yes", "no", "on", "off", "true", "false"};

    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (strcasecmp(value, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_option(const struct fence_parameter *p, const char *value)
{
    for (uint32_t i = 0; i < p->option_count; i++) {
        if (strcmp(p->options[i], value) == 0) {
            return true;
        }
    }
    return p->option_count == 0;
}

static void check_value(struct complaint *c, const struct fence_parameter *p, const char *value)
{
    switch (p->content) {
    case FENCE_STRING:
        break;
    case FENCE_INTEGER:
        if (!is_number(value[0] == '-' ? value + 1 : value)) {
            param_complain(c, "%s is not a number", p->name);
        }
        break;
    case FENCE_SECOND:
        if (!is_number(value)) {
            param_complain(c, "%s is not a number of seconds", p->name);
        }
        break;
    case FENCE_BOOLEAN:
        if (!is_boolean(value)) {
            param_complain(c, "%s is neither 1 nor 0", p->name);
        }
        break;
    case FENCE_SELECT:
        if (!is_option(p, value)) {
            param_complain(c, "%s is not one of the %u values that the agent knows", p->name,
                           p->option_count);
        }
        break;
    }
}

/* Is the parameter, under any of its names, among the first `count`? */
static const struct fence_param *find_given(const struct fence_metadata *m,
                                            const struct fence_parameter *p,
                                            const struct fence_param *params, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct fence_parameter *given = fence_metadata_find(m, params[i].name);
        if (given != NULL && fence_parameters_are_one(p, given)) {
            return &params[i];
        }
    }
    return NULL;
}

static void check_given(struct complaint *c, const struct fence_metadata *m,
                        const struct fence_param *params, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct fence_parameter *p = fence_metadata_find(m, params[i].name);
        if (p == NULL) {
            param_complain(c, "the agent knows no parameter %s", params[i].name);
            continue;
        }
        const struct fence_param *other = find_given(m, p, params, i);
        if (other != NULL) {
            param_complain(c, "%s and %s are the same parameter", other->name, p->name);
        }
        check_value(c, p, params[i].value);
    }
}

/* A required parameter with several names is asked for once, under its newest name. */
static bool is_asked_elsewhere(const struct fence_metadata *m, const struct fence_parameter *p)
{
    for (uint32_t i = 0; i < m->parameter_count; i++) {
        const struct fence_parameter *other = &m->parameters[i];
        bool is_newer = p->is_deprecated && !other->is_deprecated;
        if (other != p && other->is_required && is_newer && fence_parameters_are_one(other, p)) {
            return true;
        }
    }
    return false;
}

static void check_required(struct complaint *c, const struct fence_metadata *m,
                           const struct fence_param *params, size_t count)
{
    for (uint32_t i = 0; i < m->parameter_count; i++) {
        const struct fence_parameter *p = &m->parameters[i];
        bool is_wanted = p->is_required && strcmp(p->name, "action") != 0;
        if (is_wanted && !is_asked_elsewhere(m, p) && find_given(m, p, params, count) == NULL) {
            param_complain(c, "%s is required", p->name);
        }
    }
}

enum err fence_params_fit(const struct fence_metadata *m, const struct fence_param *params,
                          size_t count, char *why, size_t why_bytes)
{
    struct complaint c = {.why = why, .room = why_bytes};

    if ((m->actions & FENCE_ACTION_OFF) == 0) {
        param_complain(&c, "the agent cannot switch off");
    }
    if ((m->actions & FENCE_ACTION_STATUS) == 0) {
        param_complain(&c, "the agent cannot tell whether a machine is off");
    }
    /* What the API says of agents that cut off storage or network: they have no `reboot`. */
    if ((m->actions & FENCE_ACTION_REBOOT) == 0) {
        param_complain(&c, "the agent cannot reboot: it cuts something else than the power");
    }
    check_given(&c, m, params, count);
    check_required(&c, m, params, count);
    return complaint_verdict(&c);
}

/* --- writing ---------------------------------------------------------------------------------- */

static void write_line(struct buf *out, const char *name, const char *value)
{
    buf_put(out, name, strlen(name));
    buf_put_u8(out, '=');
    buf_put(out, value, strlen(value));
    buf_put_u8(out, '\n');
}

void fence_params_write(const struct fence_metadata *m, const struct fence_param *params,
                        size_t count, enum fence_action action, struct buf *out)
{
    static const char *const names[] = {"status", "off", "on", "metadata"};

    write_line(out, "action", names[action]);
    if (action == FENCE_METADATA) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        write_line(out, params[i].name, params[i].value);
    }
    const struct fence_parameter *wait = fence_metadata_find(m, "power_wait");
    if (wait != NULL && find_given(m, wait, params, count) == NULL) {
        write_line(out, wait->name, "0");
    }
}

/* --- secrets ---------------------------------------------------------------------------------- */

bool fence_param_is_secret(const char *name)
{
    static const char *const parts[] = {"pass", "secret", "key", "token", "kg", "community"};

    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        if (strcasestr(name, parts[i]) != NULL) {
            return true;
        }
    }
    return false;
}

void fence_params_hide(const struct fence_param *params, size_t count, char *text)
{
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(params[i].value);
        if (n == 0 || !fence_param_is_secret(params[i].name)) {
            continue;
        }
        for (char *at = strstr(text, params[i].value); at != NULL;
             at = strstr(at + n, params[i].value)) {
            memset(at, '*', n);
        }
    }
}
