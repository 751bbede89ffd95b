/*
 * Who makes a call: by the token that it shows, or by the name in its certificate. Nobody, while
 * authentication is not enabled.
 */
#include <string.h>

#include "api/etcd/etcd_int.h"

/* The index behind the point of a token: the entry that made it. 0: there is none. */
static uint64_t token_index(struct bytes token)
{
    uint64_t index = 0;
    size_t at = token.len;
    while (at > 0 && token.data[at - 1] != '.') {
        at--;
    }
    for (size_t i = at; at > 0 && i < token.len; i++) {
        uint8_t c = token.data[i];
        if (c < '0' || c > '9' || index > UINT64_MAX / 100) {
            return 0;
        }
        index = index * 10 + (uint64_t)(c - '0');
    }
    return index;
}

enum etcd_identity etcd_identify(struct etcd_api *api, const struct rpc_call *call,
                                 struct buf *ret_user)
{
    struct store *store = api->node ? node_store(api->node) : NULL;
    struct bytes token;
    struct bytes user;
    if (!store || !store_auth_is_enabled(store)) {
        return ETCD_IDENTITY_KNOWN;
    }
    if (!rpc_metadata(call, "token", &token) && !rpc_metadata(call, "authorization", &token)) {
        const char *name = rpc_is_json(call) ? NULL : rpc_certificate_name(call);
        if (name) {
            buf_put(ret_user, name, strlen(name));
        }
        return ETCD_IDENTITY_KNOWN;
    }
    if (store_token_user(store, token, etcd_now(api), &user)) {
        buf_put(ret_user, user.data, user.len);
        return ETCD_IDENTITY_KNOWN;
    }
    return token_index(token) > store_applied_index(store) ? ETCD_IDENTITY_LATER
                                                           : ETCD_IDENTITY_WRONG;
}
