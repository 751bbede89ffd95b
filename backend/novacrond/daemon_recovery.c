#include "novacrond/daemon_recovery.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/check.h"
#include "core/store/store.h"
#include "novacrond/daemon.h"
#include "world/linux/linux_world.h"

#define ORDER_BYTES  160
#define ORDER_FORMAT "cluster=%" PRIx64 " member=%" PRIx64 " term=%" PRIu64 " last=%" PRIu64 "\n"
#define PATH_BYTES   1200

/* How often it is looked whether the next step can be taken. */
#define RECOVERY_LOOK_MS 50

/* Where a quorum is heard, and no leader comes of it, for so long, it is refused. */
#define RECOVERY_PATIENCE (60 * NANOS_PER_S)

/* Of the requests with which it is recorded. */
enum { FORGET_MEMBER = 1 };

/* --- the file -------------------------------------------------------------------------------- */

static void order_path(const char *dir, const char *suffix, char path[PATH_BYTES])
{
    (void)snprintf(path, PATH_BYTES, "%s/recovery%s", dir, suffix);
}

static bool order_sync_dir(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is_durable = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return is_durable;
}

enum err daemon_recovery_write(const char *dir, const struct daemon_recovery_order *order,
                               char why[DAEMON_WHY_BYTES])
{
    char path[PATH_BYTES];
    char beside[PATH_BYTES];
    char text[ORDER_BYTES];
    order_path(dir, "", path);
    order_path(dir, ".new", beside);
    int n = snprintf(text, sizeof text, ORDER_FORMAT, order->cluster, order->member, order->term,
                     order->last);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool is_whole = fd >= 0 && write(fd, text, (size_t)n) == (ssize_t)n && fsync(fd) == 0;
    if (fd >= 0) {
        is_whole = close(fd) == 0 && is_whole;
    }
    if (!is_whole || rename(beside, path) != 0 || !order_sync_dir(dir)) {
        (void)snprintf(why, DAEMON_WHY_BYTES, "cannot write %.300s: %.100s", path, strerror(errno));
        return linux_err(errno);
    }
    return OK;
}

enum err daemon_recovery_read(const char *dir, struct daemon_recovery_order *ret)
{
    char path[PATH_BYTES];
    char text[ORDER_BYTES] = "";
    char again[ORDER_BYTES];
    struct daemon_recovery_order order;
    order_path(dir, "", path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? ERR_NOT_FOUND : linux_err(errno);
    }
    ssize_t n = read(fd, text, sizeof text - 1);
    (void)close(fd);
    /* What it takes for numbers is written again and compared. */
    if (n <= 0 ||
        sscanf(text, "cluster=%" SCNx64 " member=%" SCNx64 " term=%" SCNu64 " last=%" SCNu64,
               &order.cluster, &order.member, &order.term, &order.last) != 4) {
        return ERR_CORRUPT;
    }
    (void)snprintf(again, sizeof again, ORDER_FORMAT, order.cluster, order.member, order.term,
                   order.last);
    if (strcmp(text, again) != 0) {
        return ERR_CORRUPT;
    }
    *ret = order;
    return OK;
}

static void recovery_put_away(struct daemon *d, const char *suffix)
{
    char path[PATH_BYTES];
    char away[PATH_BYTES];
    order_path(d->disk.dir, "", path);
    order_path(d->disk.dir, suffix, away);
    if (rename(path, away) != 0 || !order_sync_dir(d->disk.dir)) {
        LOG_SAY(&d->log, DAEMON_ERROR, "cannot put the order to recover away",
                log_text("path", path), log_text("error", strerror(errno)));
    }
    d->recovery.state = DAEMON_RECOVERY_NONE;
    CHECK(uv_timer_stop(&d->recovery.timer) == 0);
}

static void recovery_refuse(struct daemon *d, const char *why)
{
    LOG_SAY(&d->log, DAEMON_ERROR, "refused to recover without a quorum", log_text("why", why),
            log_text("see", "docs/runbooks/quorum-lost.md"));
    recovery_put_away(d, ".refused");
}

/* --- recording it ---------------------------------------------------------------------------- */

static void recovery_on_done(struct node_request *request)
{
    struct daemon *d = request->owner;
    struct daemon_recovery *r = &d->recovery;
    bool is_well = request->result == OK && request->status == STORE_OK;
    r->is_proposed = false;
    buf_deinit(&r->body);
    if (is_well && r->is_event) {
        LOG_SAY(&d->log, DAEMON_WARN, "recovered without a quorum: it is recorded in the store",
                log_text("key", DAEMON_RECOVERY_KEY),
                log_u64("revision", (uint64_t)request->revision));
        recovery_put_away(d, ".done");
    } else if (request->result == OK && !is_well && r->is_event) {
        LOG_SAY(&d->log, DAEMON_ERROR, "the recovery could not be recorded in the store",
                log_u64("status", (uint64_t)request->status));
        recovery_put_away(d, ".done");
    }
}

static void recovery_propose(struct daemon *d, enum store_kind kind, bool is_event)
{
    struct daemon_recovery *r = &d->recovery;
    const struct store *store = node_store(d->node);
    r->is_event = is_event;
    r->request = (struct node_request){
        .kind = kind, .body = buf_view(&r->body), .done = recovery_on_done, .owner = d};
    if (store_auth_is_enabled(store)) {
        static const char root[] = "root";
        r->request.user = (struct bytes){(const uint8_t *)root, sizeof root - 1};
        r->request.auth_revision = store_auth_revision(store);
    }
    r->is_proposed = node_propose(d->node, &r->request) == OK;
    if (!r->is_proposed) {
        buf_deinit(&r->body); /* tried again with the next look */
    }
}

/* A member of the store that is none of the group any more; NODE_NONE: there is none. */
static node_id recovery_lost_member(const struct daemon *d)
{
    const struct store *store = node_store(d->node);
    const struct raft_membership *ms = node_status(d->node).membership;
    for (size_t i = 0; i < store_member_count(store); i++) {
        node_id id = store_member_at(store, i).id;
        if (raft_membership_lookup(ms, id) == NULL) {
            return id;
        }
    }
    return NODE_NONE;
}

static void recovery_record(struct daemon *d)
{
    struct daemon_recovery *r = &d->recovery;
    struct raft_status status = node_status(d->node);
    char key[64];
    char value[256];
    node_id lost = recovery_lost_member(d);
    buf_init(&r->body);
    if (lost != NODE_NONE) {
        buf_put_u8(&r->body, FORGET_MEMBER << 3);
        buf_put_varint(&r->body, lost);
        recovery_propose(d, STORE_KIND_MEMBER_FORGET, false);
        return;
    }
    (void)snprintf(key, sizeof key, DAEMON_RECOVERY_KEY "%u",
                   RAFT_LINEAGE_COUNT(status.membership->lineage));
    int n = snprintf(value, sizeof value,
                     "{\"member\":\"%" PRIx64 "\",\"lineage\":\"%" PRIx32
                     "\",\"kept_up_to\":%" PRIu64 ",\"of_term\":%" PRIu64 "}",
                     d->config->id, status.membership->lineage, r->order.last, r->order.term);
    struct store_put_request put = {.key = {(const uint8_t *)key, strlen(key)},
                                    .value = {(const uint8_t *)value, (size_t)n}};
    store_put_encode(&r->body, &put);
    recovery_propose(d, STORE_KIND_PUT, true);
}

/* --- its steps ------------------------------------------------------------------------------- */

static bool recovery_was_forced(const struct daemon *d, const struct raft_status *status)
{
    return status->membership->n == 1 && status->membership->member[0].id == d->config->id &&
           status->membership->lineage != 0 && status->term > d->recovery.order.term;
}

static void recovery_wait(struct daemon *d, const struct raft_status *status)
{
    struct daemon_recovery *r = &d->recovery;
    if (recovery_was_forced(d, status)) {
        r->state = DAEMON_RECOVERY_FORCED; /* by an earlier life, which died before it said so */
        return;
    }
    if (status->leader != NODE_NONE) {
        recovery_refuse(d, "a leader is there: the cluster has a quorum");
        return;
    }
    if (status->last != r->order.last) {
        recovery_refuse(d, "the log has changed since the order was given: look at it again");
        return;
    }
    enum err e = node_recover_quorum(d->node);
    if (e == OK) {
        LOG_SAY(&d->log, DAEMON_ERROR,
                "recovers without a quorum: what the lost members acknowledged alone is lost",
                log_u64("kept_up_to", r->order.last), log_u64("of_term", r->order.term),
                log_hex("lineage", node_status(d->node).membership->lineage));
        r->state = DAEMON_RECOVERY_FORCED;
    } else if (e == ERR_BUSY && daemon_now(d) - r->since >= RECOVERY_PATIENCE) {
        recovery_refuse(d, "enough members are heard to elect a leader");
    } else if (e != ERR_BUSY) {
        recovery_refuse(d, "this member holds no whole data: a witness, a learner, or damaged");
    }
}

static void recovery_look(uv_timer_t *timer)
{
    struct daemon *d = timer->data;
    struct daemon_recovery *r = &d->recovery;
    if (!node_is_ready(d->node) || d->life == DAEMON_STOPPING) {
        return;
    }
    struct raft_status status = node_status(d->node);
    switch (r->state) {
    case DAEMON_RECOVERY_NONE:
        break;
    case DAEMON_RECOVERY_WAITING:
        recovery_wait(d, &status);
        break;
    case DAEMON_RECOVERY_FORCED:
        if (status.role == RAFT_LEADER && node_applied(d->node) > r->order.last &&
            status.membership->n == 1) {
            r->state = DAEMON_RECOVERY_RECORDING;
        }
        break;
    case DAEMON_RECOVERY_RECORDING:
        if (!r->is_proposed) {
            recovery_record(d);
        }
        break;
    }
}

void daemon_recovery_open(struct daemon *d)
{
    CHECK(uv_timer_init(linux_world_loop(d->lw), &d->recovery.timer) == 0);
    d->recovery.timer.data = d;
}

void daemon_recovery_ready(struct daemon *d)
{
    struct daemon_recovery *r = &d->recovery;
    enum err e = daemon_recovery_read(d->disk.dir, &r->order);
    if (e == ERR_NOT_FOUND) {
        return;
    }
    if (e != OK || r->order.cluster != d->config->cluster || r->order.member != d->config->id) {
        recovery_refuse(d, "the file \"recovery\" in data_dir is no order for this member");
        return;
    }
    LOG_SAY(&d->log, DAEMON_WARN, "told to recover without a quorum: waits whether there is one",
            log_u64("last", r->order.last), log_u64("term", r->order.term));
    r->state = DAEMON_RECOVERY_WAITING;
    r->since = daemon_now(d);
    CHECK(uv_timer_start(&r->timer, recovery_look, RECOVERY_LOOK_MS, RECOVERY_LOOK_MS) == 0);
}

void daemon_recovery_close(struct daemon *d)
{
    uv_close((uv_handle_t *)&d->recovery.timer, NULL);
    if (d->recovery.is_proposed) {
        buf_deinit(&d->recovery.body);
    }
}
