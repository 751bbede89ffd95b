#include "tests/core/consensus/script_env.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "core/base/mem.h"
#include "tests/support/text.h"

struct script_env *script_env_new(void)
{
    return mem_alloc_zero(sizeof(struct script_env));
}

void script_env_free(struct script_env *env)
{
    for (size_t i = 0; i < env->n; i++) {
        script_node_free(env->nodes[i]);
    }
    script_queue_deinit(&env->network);
    buf_deinit(&env->error);
    mem_free(env);
}

/* --- commands -------------------------------------------------------------------------------- */

void script_env_fail(struct script_env *env, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    text_add(&env->error, "%s", text);
}

void script_env_run(struct script_env *env, const struct script_verb *verbs, size_t n,
                    const struct script_command *c, struct buf *out)
{
    buf_clear(&env->error);
    size_t i = 0;
    while (i < n && strcmp(verbs[i].name, c->name) != 0) {
        i++;
    }
    if (i < n) {
        verbs[i].run(env, c, out);
    } else {
        script_env_fail(env, "unknown command");
    }
    if (env->log_level == SCRIPT_LOG_NONE) {
        buf_clear(out);
    }
    buf_put(out, env->error.data, env->error.len);
    if (out->len == 0) {
        text_add(out, "ok");
    }
}

static struct script_node *env_node_named(struct script_env *env, const char *name)
{
    uint64_t id = 0;
    if (!script_number(name, &id) || id == 0 || id > env->n) {
        script_env_fail(env, "there is no node %s", name);
        return NULL;
    }
    return env->nodes[id - 1];
}

struct script_node *script_env_node(struct script_env *env, const struct script_command *c,
                                    size_t i)
{
    if (i >= c->arg_count) {
        script_env_fail(env, "which node?");
        return NULL;
    }
    return env_node_named(env, c->args[i].key);
}

bool script_env_nodes(struct script_env *env, const struct script_command *c,
                      struct script_node_list *ret)
{
    ret->n = 0;
    for (size_t i = 0; i < c->arg_count; i++) {
        if (c->args[i].n > 0) {
            continue;
        }
        struct script_node *node = env_node_named(env, c->args[i].key);
        if (!node || ret->n == SCRIPT_NODES_MAX) {
            return false;
        }
        ret->nodes[ret->n++] = node;
    }
    return true;
}

/* --- messages -------------------------------------------------------------------------------- */

/* A node's messages to itself, and between it and its storage, are never lost. */
static bool message_is_local(const struct script_message *m)
{
    return m->shown.from == m->shown.to || m->shown.from >= ETCD_APPLY_THREAD;
}

static bool message_is_for(const struct script_message *m, node_id to, const char *type, bool drop)
{
    return m->shown.to == to && !(drop && message_is_local(m)) &&
           (!type || strcmp(m->shown.type, type) == 0);
}

static bool env_has_message_for(const struct script_env *env, node_id to)
{
    for (size_t i = 0; i < env->network.n; i++) {
        if (message_is_for(env->network.items[i], to, NULL, false)) {
            return true;
        }
    }
    return false;
}

/* What etcd-raft's RawNode answers. A change that is refused is no error there: an empty entry
 * takes its place. */
static const char *delivery_error(enum err e)
{
    if (e == ERR_NOT_FOUND) {
        return "raft: cannot step as peer not found";
    }
    if (e == ERR_DROPPED || e == ERR_BUSY) {
        return "raft proposal dropped";
    }
    return e == ERR_PROTOCOL ? err_text(e) : NULL;
}

size_t script_env_deliver(struct script_env *env, node_id to, const char *type, bool drop,
                          struct buf *out)
{
    struct script_queue taken = {0};
    struct script_queue rest = {0};
    for (struct script_message *m; (m = script_queue_shift(&env->network)) != NULL;) {
        script_queue_push(message_is_for(m, to, type, drop) ? &taken : &rest, m);
    }
    script_queue_append(&env->network, &rest);
    script_queue_deinit(&rest);
    size_t n = taken.n;
    for (struct script_message *m; (m = script_queue_shift(&taken)) != NULL;) {
        text_add(out, "%s", drop ? "dropped: " : "");
        script_message_print(m, out);
        if (drop) {
            script_message_free(m);
            continue;
        }
        const char *error = delivery_error(script_node_receive(env->nodes[to - 1], m));
        if (error) {
            text_add(out, "%s\n", error);
        }
    }
    script_queue_deinit(&taken);
    return n;
}

/* --- stabilize ------------------------------------------------------------------------------- */

/* Prints what `part` holds two spaces further in, and empties it. */
static void print_part(struct buf *out, struct buf *part)
{
    text_add_indented(out, "  ", buf_view(part));
    buf_clear(part);
}

static bool stabilize_ready(struct script_env *env, const struct script_node_list *list,
                            struct buf *part, struct buf *out)
{
    bool busy = false;
    for (size_t i = 0; i < list->n; i++) {
        struct script_node *n = list->nodes[i];
        if (raft_has_update(n->raft)) {
            text_add(out, "> %" PRIu64 " handling Ready\n", n->id);
            script_node_ready(n, &env->network, part);
            print_part(out, part);
            busy = true;
        }
    }
    return busy;
}

static bool stabilize_deliver(struct script_env *env, const struct script_node_list *list,
                              struct buf *part, struct buf *out)
{
    bool busy = false;
    for (size_t i = 0; i < list->n; i++) {
        node_id id = list->nodes[i]->id;
        if (env_has_message_for(env, id)) {
            text_add(out, "> %" PRIu64 " receiving messages\n", id);
            (void)script_env_deliver(env, id, NULL, false, part);
            print_part(out, part);
            busy = true;
        }
    }
    return busy;
}

static bool stabilize_work(struct script_env *env, const struct script_node_list *list,
                           struct buf *part, struct buf *out)
{
    bool busy = false;
    for (size_t i = 0; i < list->n; i++) {
        struct script_node *n = list->nodes[i];
        if (n->append_work.n > 0) {
            text_add(out, "> %" PRIu64 " processing append thread\n", n->id);
            busy = true;
        }
        while (n->append_work.n > 0) {
            script_node_append_thread(n, &env->network, part);
            print_part(out, part);
        }
    }
    for (size_t i = 0; i < list->n; i++) {
        struct script_node *n = list->nodes[i];
        if (n->apply_work.n > 0) {
            text_add(out, "> %" PRIu64 " processing apply thread\n", n->id);
            busy = true;
        }
        while (n->apply_work.n > 0) {
            script_node_apply_thread(n, &env->network, part);
            print_part(out, part);
        }
    }
    return busy;
}

void script_env_stabilize(struct script_env *env, const struct script_node_list *list,
                          struct buf *out)
{
    struct buf part;
    buf_init(&part);
    unsigned rounds = 0;
    for (bool busy = true; busy && rounds < SCRIPT_ROUNDS_MAX; rounds++) {
        busy = stabilize_ready(env, list, &part, out);
        busy |= stabilize_deliver(env, list, &part, out);
        busy |= stabilize_work(env, list, &part, out);
    }
    if (rounds == SCRIPT_ROUNDS_MAX) {
        script_env_fail(env, "no rest after %u rounds", rounds);
    }
    buf_deinit(&part);
}
