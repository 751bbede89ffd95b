/*
 * The world of a script: its nodes, and the messages between them. Commands are in tables, so that
 * one program speaks etcd-raft's language and another speaks that and more.
 */
#ifndef NOVACRON_TESTS_SCRIPT_ENV_H
#define NOVACRON_TESTS_SCRIPT_ENV_H

#include "tests/core/consensus/script_node.h"
#include "tests/support/datadriven.h"

#define SCRIPT_NODES_MAX RAFT_MEMBERS_MAX

/* Rounds in which `stabilize` must come to rest. */
#define SCRIPT_ROUNDS_MAX 1000

/* What etcd-raft's log prints from. Only the last matters here: it silences the commands, too. */
enum script_log_level {
    SCRIPT_LOG_DEBUG,
    SCRIPT_LOG_INFO,
    SCRIPT_LOG_WARN,
    SCRIPT_LOG_ERROR,
    SCRIPT_LOG_FATAL,
    SCRIPT_LOG_NONE,
    SCRIPT_LOG_LEVELS
};

struct script_env {
    struct script_node *nodes[SCRIPT_NODES_MAX]; /* owned; node `id` is at id - 1 */
    size_t n;
    struct script_queue network;
    uint32_t cut; /* the nodes, bit id - 1, that no message passes to or from the others */
    uint64_t reads;
    bool asks_at_once; /* of the nodes' plans */
    enum script_log_level log_level;
    struct buf error; /* of the present command */
};

struct script_verb {
    const char *name;
    void (*run)(struct script_env *env, const struct script_command *c, struct buf *out);
};

/* A table of them. */
struct script_verbs {
    const struct script_verb *verbs;
    size_t n;
};

struct script_env *script_env_new(void);
void script_env_free(struct script_env *env);

/* Carries out a command by the verb of that name, in the manner of etcd-raft: nothing printed is
 * "ok", an error stands behind what was printed, and NONE silences all but errors. */
void script_env_run(struct script_env *env, const struct script_verbs *tables, size_t n,
                    const struct script_command *c, struct buf *out);

/* Says why the present command failed. */
__attribute__((format(printf, 2, 3))) void script_env_fail(struct script_env *env,
                                                           const char *format, ...);

/* The node that argument `i` names, or NULL, which fails the command. */
struct script_node *script_env_node(struct script_env *env, const struct script_command *c,
                                    size_t i);

/* The nodes named by the arguments that are words, in their order. False fails the command. */
struct script_node_list {
    struct script_node *nodes[SCRIPT_NODES_MAX];
    size_t n;
};
bool script_env_nodes(struct script_env *env, const struct script_command *c,
                      struct script_node_list *ret);

/* Delivers, or drops, the messages to `to`; of all types, or of the named one. Returns how many. */
size_t script_env_deliver(struct script_env *env, node_id to, const char *type, bool drop,
                          struct buf *out);

/* Loses what a node that restarts had told itself. */
void script_env_forget_local(struct script_env *env, node_id id);

/* Lets the nodes work and talk until nothing is left to do but what stands still. */
void script_env_stabilize(struct script_env *env, const struct script_node_list *list,
                          struct buf *out);

#endif
