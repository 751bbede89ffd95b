/*
 * The pages that etcd serves beside its API, for scripts and load balancers: /version, whose
 * numbers clients take apart, and /health, which is a linearizable read, or with ?serializable=true
 * only what this member knows.
 */
#include <stdio.h>
#include <string.h>

#include "api/etcd/etcd_int.h"

#define PAGE_JSON "application/json"

struct health_page {
    struct etcd_api *api;
    struct rpc_call *call;
    struct etcd_wait wait;
};

static void page_answer(struct rpc_call *call, int status, const char *body)
{
    rpc_page_send(call, status, PAGE_JSON, (struct bytes){(const uint8_t *)body, strlen(body)});
}

/* The minor version's first release is the cluster's. */
static void page_version(struct rpc_call *call)
{
    const struct etcd_api *api = rpc_ctx(call);
    const char *version = api->cfg.version;
    const char *last = strrchr(version, '.');
    int minor = last ? (int)(last - version) : (int)strlen(version);
    char body[128];
    (void)snprintf(body, sizeof(body), "{\"etcdserver\":\"%s\",\"etcdcluster\":\"%.*s.0\"}",
                   version, minor, version);
    page_answer(call, 200, body);
}

/* Health and reason are etcd's; what is missing of a quorum is said behind them. */
static void health_say(const struct etcd_api *api, struct rpc_call *call, const char *reason)
{
    bool is_well = reason[0] == '\0';
    char begin[96];
    (void)snprintf(begin, sizeof(begin), "{\"health\":\"%s\",\"reason\":\"%s\"",
                   is_well ? "true" : "false", reason);
    struct buf body;
    buf_init(&body);
    buf_put(&body, begin, strlen(begin));
    if (api->leader == NODE_NONE) {
        static const char DETAIL[] = ",\"detail\":\"";
        buf_put(&body, DETAIL, sizeof(DETAIL) - 1);
        etcd_reason(api, &body);
        buf_put(&body, "\"", 1);
    }
    buf_put(&body, "}", 2); /* with its end */
    page_answer(call, is_well ? 200 : 503, (const char *)body.data);
    buf_deinit(&body);
}

static const char *health_reason(struct etcd_api *api, enum err result)
{
    enum etcd_error ignored;
    const struct store *store = etcd_store(api, &ignored);
    if (!store) {
        return "SERVER STOPPED";
    }
    if (store_has_alarm(store, STORE_ALARM_NO_SPACE)) {
        return "ALARM NOSPACE";
    }
    if (store_has_alarm(store, STORE_ALARM_CORRUPT)) {
        return "ALARM CORRUPT";
    }
    return result == OK ? "" : "RANGE ERROR";
}

static void health_on_read(struct etcd_wait *wait, enum err result)
{
    struct health_page *page = wait->owner;
    struct rpc_call *call = page->call;
    rpc_set_state(call, NULL);
    health_say(page->api, call, health_reason(page->api, result));
    mem_free(page);
}

static void page_health(struct rpc_call *call)
{
    struct etcd_api *api = rpc_ctx(call);
    if (strstr(rpc_page_query(call), "serializable=true")) {
        health_say(api, call, health_reason(api, OK));
        return;
    }
    if (api->leader == NODE_NONE) {
        health_say(api, call, "RAFT NO LEADER");
        return;
    }
    struct health_page *page = mem_alloc_zero(sizeof(*page));
    page->api = api;
    page->call = call;
    page->wait.done = health_on_read;
    page->wait.owner = page;
    rpc_set_state(call, page);
    etcd_wait_begin(api, &page->wait);
}

static void page_health_gone(struct rpc_call *call)
{
    struct health_page *page = rpc_state(call);
    if (page) {
        etcd_wait_cancel(&page->wait);
        mem_free(page);
        rpc_set_state(call, NULL);
    }
}

const struct rpc_page *etcd_api_pages(size_t *ret_count)
{
    static const struct rpc_page pages[] = {
        {.path = "/version", .serve = page_version},
        {.path = "/health", .serve = page_health, .gone = page_health_gone},
    };
    *ret_count = COUNT_OF(pages);
    return pages;
}
