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

static const struct script_verb *env_find_verb(const struct script_verbs *tables, size_t n,
                                               const char *name)
{
    for (size_t t = 0; t < n; t++) {
        for (size_t i = 0; i < tables[t].n; i++) {
            if (strcmp(tables[t].verbs[i].name, name) == 0) {
                return &tables[t].verbs[i];
            }
        }
    }
    return NULL;
}

void script_env_run(struct script_env *env, const struct script_verbs *tables, size_t n,
                    const struct script_command *c, struct buf *out)
{
    buf_clear(&env->error);
    const struct script_verb *verb = env_find_verb(tables, n, c->name);
    if (verb) {
        verb->run(env, c, out);
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

/* Is the network cut between the two? */
static bool env_is_cut(const struct script_env *env, node_id a, node_id b)
{
    bool known = a >= 1 && a <= SCRIPT_NODES_MAX && b >= 1 && b <= SCRIPT_NODES_MAX;
    return known && ((env->cut >> (a - 1)) & 1) != ((env->cut >> (b - 1)) & 1);
}

typedef bool env_loses(const struct script_env *env, const struct script_message *m, node_id id);

/* Loses the messages that `loses` says. */
static void env_lose_messages(struct script_env *env, env_loses *loses, node_id id)
{
    struct script_queue rest = {0};
    for (struct script_message *m; (m = script_queue_shift(&env->network)) != NULL;) {
        if (loses(env, m, id)) {
            script_message_free(m);
        } else {
            script_queue_push(&rest, m);
        }
    }
    script_queue_append(&env->network, &rest);
    script_queue_deinit(&rest);
}

static bool message_crosses_cut(const struct script_env *env, const struct script_message *m,
                                node_id id)
{
    (void)id;
    return env_is_cut(env, m->shown.from, m->shown.to);
}

static bool message_is_own(const struct script_env *env, const struct script_message *m, node_id id)
{
    (void)env;
    return m->shown.to == id && message_is_local(m);
}

void script_env_forget_local(struct script_env *env, node_id id)
{
    env_lose_messages(env, message_is_own, id);
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
    if (env->cut != 0) {
        env_lose_messages(env, message_crosses_cut, NODE_NONE);
    }
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

/* All the work of one kind. */
static bool stabilize_work(struct script_env *env, struct script_node *n, const char *title,
                           struct script_queue *work,
                           void (*part_of)(struct script_node *, struct script_queue *,
                                           struct buf *),
                           struct buf *part, struct buf *out)
{
    if (work->n == 0) {
        return false;
    }
    text_add(out, "> %" PRIu64 " processing %s thread\n", n->id, title);
    while (work->n > 0) {
        part_of(n, &env->network, part);
        print_part(out, part);
    }
    return true;
}

static bool stabilize_storage(struct script_env *env, const struct script_node_list *list,
                              struct buf *part, struct buf *out)
{
    bool busy = false;
    for (size_t i = 0; i < list->n; i++) {
        struct script_node *n = list->nodes[i];
        if (n->disk_stalled == 0) {
            busy |= stabilize_work(env, n, "append", &n->append_work, script_node_append_thread,
                                   part, out);
        }
    }
    for (size_t i = 0; i < list->n; i++) {
        struct script_node *n = list->nodes[i];
        if (!n->apply_stalled) {
            busy |= stabilize_work(env, n, "apply", &n->apply_work, script_node_apply_thread, part,
                                   out);
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
        busy |= stabilize_storage(env, list, &part, out);
    }
    if (rounds == SCRIPT_ROUNDS_MAX) {
        script_env_fail(env, "no rest after %u rounds", rounds);
    }
    buf_deinit(&part);
}
