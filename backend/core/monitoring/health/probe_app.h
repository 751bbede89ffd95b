/*
 * The application rung: is what this host is for still there? One of three questions is asked,
 * again and again, through the world:
 *
 *   tcp      does anybody take a connection at an endpoint?
 *   http     is the answer to a GET as expected (probe_http.h)?
 *   command  does a program, which knows better than we do, exit with 0?
 *
 * Each has one deadline for all of it, at which it is given up. Whatever comes of it is told with
 * a reason for people: "connection refused", "503 instead of 200-399", "exit 1: no route to
 * database". Where this host itself had no room to ask, the outcome is PROBE_NOT_ASKED: that says
 * nothing of the application.
 *
 * When to ask is the business of probe_set.h.
 */
#ifndef NOVACRON_HEALTH_PROBE_APP_H
#define NOVACRON_HEALTH_PROBE_APP_H

#include "core/base/err.h"
#include "core/base/types.h"
#include "core/monitoring/health/probe_http.h"
#include "core/monitoring/health/probe_set.h"
#include "core/world/world.h"

/* kind, name */
#define APP_KIND_TABLE(X)                                                                          \
    X(APP_TCP, "tcp")                                                                              \
    X(APP_HTTP, "http")                                                                            \
    X(APP_COMMAND, "command")

enum app_kind {
#define APP_KIND_ENUM(kind, name) kind,
    APP_KIND_TABLE(APP_KIND_ENUM)
#undef APP_KIND_ENUM
        APP_KINDS
};

/* The longest reason, with its final zero: a line for people. */
#define APP_REASON_MAX_BYTES 160

/* What is looked at of what a command says, on each of its outputs. */
#define APP_SAYS_BYTES 4096

struct app_config {
    enum app_kind kind;
    struct world_endpoint at;       /* tcp, http */
    struct http_expect http;        /* http */
    const char *const *arguments;   /* command: up to a NULL, the program's path first; borrowed */
    const char *const *environment; /* likewise; NULL: none */
};

struct app_verdict {
    enum probe_outcome outcome;
    nanos took;
    char reason[APP_REASON_MAX_BYTES]; /* printable ASCII */
};

struct app_probe {
    const struct world *world; /* borrowed */
    struct app_config config;
    /* One call for each app_probe_ask that said OK, never within it. `verdict` is borrowed for the
     * call, in which the probe may be asked again. */
    void (*answered)(struct app_probe *probe, const struct app_verdict *verdict);
    void *owner; /* for `answered` */

    /* Its own. */
    nanos began;
    nanos deadline;
    bool is_busy;
    bool is_open;
    struct world_plain *plain; /* NULL: none */
    struct world_plain_sink sink;
    struct http_answer *answer; /* owned; NULL: none is awaited */
    struct world_command_request command;
    uint8_t output[APP_SAYS_BYTES];
    uint8_t errors[APP_SAYS_BYTES];
};

/* ERR_INVALID: `*why` says what is wrong, a static text. */
enum err app_config_check(const struct app_config *config, const char **why) MUST_USE;

/* The configuration was checked. */
void app_probe_init(struct app_probe *probe, const struct world *world,
                    const struct app_config *config,
                    void (*answered)(struct app_probe *probe, const struct app_verdict *verdict),
                    void *owner);

/* ERR_PENDING: the last answer is still awaited, and nobody is called. */
enum err app_probe_ask(struct app_probe *probe, nanos deadline) MUST_USE;

/* Nobody is called any more. A command that is under way still uses the probe, until its world has
 * called or forgotten it. */
void app_probe_stop(struct app_probe *probe);

/* Frees what it has, and leaves the world alone, which was torn down: instead of app_probe_stop. */
void app_probe_free(struct app_probe *probe);

const char *app_kind_name(enum app_kind kind);

#endif
