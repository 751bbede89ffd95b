/* Tokens of clients: what a member remembers of whom it let in, and for how long. */
#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/store/store_auth.h"
#include "core/store/store_limits.h"

static int token_compare(const void *key, const struct store_avl_node *node)
{
    const struct bytes *text = key;
    const struct store_token *token = (const void *)node;
    return store_bytes_cmp(*text, buf_view(&token->text));
}

void store_tokens_init(struct store_tokens *t)
{
    *t = (struct store_tokens){.by_text = {.compare = token_compare}};
    store_link_init(&t->used);
}

static void token_free(struct store_tokens *t, struct store_token *token)
{
    struct bytes text = buf_view(&token->text);
    CHECK(store_avl_remove(&t->by_text, &text) == &token->node);
    store_link_remove(&token->used);
    buf_deinit(&token->text);
    buf_deinit(&token->user);
    mem_free(token);
}

static struct store_token *token_oldest(const struct store_tokens *t)
{
    return STORE_LINK_OWNER(t->used.next, struct store_token, used);
}

void store_tokens_deinit(struct store_tokens *t)
{
    while (!store_link_is_alone(&t->used)) {
        token_free(t, token_oldest(t));
    }
}

static void tokens_expire(struct store_tokens *t, nanos now)
{
    while (!store_link_is_alone(&t->used) &&
           (token_oldest(t)->expires <= now || t->by_text.count >= STORE_TOKENS_MAX)) {
        token_free(t, token_oldest(t));
    }
}

void store_tokens_add(struct store_tokens *t, struct bytes text, struct bytes user, nanos now)
{
    tokens_expire(t, now);
    struct store_token *old = (void *)store_avl_find(&t->by_text, &text);
    if (old != NULL) {
        token_free(t, old);
    }
    struct store_token *token = mem_alloc_zero(sizeof *token);
    buf_put(&token->text, text.data, text.len);
    buf_put(&token->user, user.data, user.len);
    token->expires = u64_add_sat(now, STORE_TOKEN_TTL);
    store_link_init(&token->used);
    store_link_append(&t->used, &token->used);
    text = buf_view(&token->text);
    store_avl_insert(&t->by_text, &text, &token->node);
}

const struct store_token *store_tokens_use(struct store_tokens *t, struct bytes text, nanos now)
{
    struct store_token *token = (void *)store_avl_find(&t->by_text, &text);
    if (token == NULL) {
        return NULL;
    }
    if (token->expires <= now) {
        token_free(t, token);
        return NULL;
    }
    token->expires = u64_max(token->expires, u64_add_sat(now, STORE_TOKEN_TTL));
    store_link_remove(&token->used);
    store_link_append(&t->used, &token->used);
    return token;
}

void store_tokens_drop(struct store_tokens *t, struct bytes user)
{
    for (struct store_link *l = t->used.next; l != &t->used;) {
        struct store_token *token = STORE_LINK_OWNER(l, struct store_token, used);
        l = l->next;
        if (user.len == 0 || store_bytes_cmp(buf_view(&token->user), user) == 0) {
            token_free(t, token);
        }
    }
}
