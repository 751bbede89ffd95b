#include "cli/records.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <etcdserverpb.pb-c.h>

#include "api/pb_wire.h"
#include "core/base/check.h"
#include "core/base/json.h"
#include "core/base/say.h"
#include "core/ha/ha_session.h"

/* Keys of one answer. */
#define PAGE_KEYS 500

/* What one member has to say what it knows by itself. */
#define STALE_TIMEOUT NANOS_PER_S

/* An election is over within this. */
#define QUORUM_TIMEOUT (2 * NANOS_PER_S)

/* Fields of etcd's messages. */
enum { RANGE_KEY = 1, RANGE_END, RANGE_LIMIT, RANGE_REVISION, RANGE_SERIALIZABLE = 7 };
enum { TXN_COMPARE = 1, TXN_SUCCESS };
enum { COMPARE_RESULT = 1, COMPARE_TARGET, COMPARE_KEY, COMPARE_MOD_REVISION = 6 };
enum { OP_PUT = 2, OP_DELETE = 3 };
enum { PUT_KEY = 1, PUT_VALUE };
enum { DELETE_KEY = 1 };

#define COMPARE_TARGET_MOD 2

/* --- reading ---------------------------------------------------------------------------------- */

/* The manager's token: {"term":3,"member":"8745653e46ac16b","lease_ms":9000}. */
static void head_take_token(struct records_head *head, const Mvccpb__KeyValue *kv)
{
    json_t *token = json_loadb((const char *)kv->value.data, kv->value.len, 0, NULL);
    const char *member = json_string_value(json_object_get(token, "member"));

    head->token_term = (uint64_t)json_integer_value(json_object_get(token, "term"));
    if (member == NULL || !remote_id(member, &head->token_member)) {
        head->token_member = 0;
    }
    json_decref(token);
}

static void view_take(struct ha_view *view, struct records_head *head,
                      const Etcdserverpb__RangeResponse *page)
{
    static const char leader[] = HA_PREFIX "leader";

    for (size_t i = 0; i < page->n_kvs; i++) {
        const Mvccpb__KeyValue *kv = page->kvs[i];

        ha_view_put(view, (struct bytes){kv->key.data, kv->key.len},
                    (struct bytes){kv->value.data, kv->value.len}, (uint64_t)kv->create_revision,
                    (uint64_t)kv->mod_revision);
        if (kv->key.len == sizeof leader - 1 && memcmp(kv->key.data, leader, kv->key.len) == 0) {
            head_take_token(head, kv);
        }
    }
    head->term = page->header->raft_term;
    ha_view_advance(view, (uint64_t)page->header->revision);
}

struct load {
    struct buf from;  /* the next page's first key */
    int64_t revision; /* 0: the newest, which is told */
    bool has_more;
    bool is_stale; /* what this one member knows */
    nanos share;   /* of each member, to answer; 0: as usual */
};

static enum cli_exit load_take(struct remote *r, struct ha_view *view, struct records_head *head,
                               struct load *l)
{
    Etcdserverpb__RangeResponse *page =
        etcdserverpb__range_response__unpack(NULL, r->response.len, r->response.data);

    if (page == NULL || page->header == NULL) {
        etcdserverpb__range_response__free_unpacked(page, NULL);
        return remote_failed(r, "the answer makes no sense");
    }
    view_take(view, head, page);
    r->cluster = page->header->cluster_id;
    l->revision = l->revision == 0 ? page->header->revision : l->revision;
    l->has_more = page->more && page->n_kvs > 0;
    if (l->has_more) {
        const Mvccpb__KeyValue *last = page->kvs[page->n_kvs - 1];
        buf_clear(&l->from);
        buf_put(&l->from, last->key.data, last->key.len);
        buf_put(&l->from, "\0", 1);
    }
    etcdserverpb__range_response__free_unpacked(page, NULL);
    return CLI_OK;
}

static enum cli_exit load_page(struct remote *r, struct ha_view *view, struct records_head *head,
                               struct load *l)
{
    static const char end[] = "/novacron0"; /* behind all that begins with HA_PREFIX */
    static const char path[] = "/etcdserverpb.KV/Range";
    char why[512];

    buf_clear(&r->request);
    pb_put_bytes(&r->request, RANGE_KEY, buf_view(&l->from));
    pb_put_text(&r->request, RANGE_END, end);
    pb_put_varint(&r->request, RANGE_LIMIT, PAGE_KEYS);
    pb_put_varint(&r->request, RANGE_REVISION, (uint64_t)l->revision);
    if (l->is_stale) {
        pb_put_varint(&r->request, RANGE_SERIALIZABLE, 1);
        return remote_try_for(r, path, STALE_TIMEOUT, why, sizeof why) ? load_take(r, view, head, l)
                                                                       : CLI_UNREADABLE;
    }
    const enum cli_exit e = remote_read(r, path, l->share);
    return e == CLI_OK ? load_take(r, view, head, l) : e;
}

static enum cli_exit load_all(struct remote *r, struct ha_view *view, struct records_head *head,
                              bool is_stale, nanos share)
{
    struct load l = {.has_more = true, .is_stale = is_stale, .share = share};
    enum cli_exit e = CLI_OK;

    buf_init(&l.from);
    buf_put(&l.from, HA_PREFIX, strlen(HA_PREFIX));
    while (e == CLI_OK && l.has_more) {
        e = load_page(r, view, head, &l);
    }
    buf_deinit(&l.from);
    if (e == CLI_OK && view->is_incomplete) {
        return remote_failed(r, "there are more records than this program can look at");
    }
    return e;
}

enum cli_exit records_load(struct remote *r, struct ha_view *view)
{
    struct records_head head = {0};
    return load_all(r, view, &head, false, 0);
}

enum cli_exit records_load_any(struct remote *r, struct ha_view *view, struct records_head *head)
{
    *head = (struct records_head){0};
    r->is_quiet = true;
    enum cli_exit e = load_all(r, view, head, false, r->endpoint_count > 1 ? QUORUM_TIMEOUT : 0);
    const bool has_no_quorum =
        e != CLI_OK && (r->status == RPC_DEADLINE_EXCEEDED || r->status == RPC_UNAVAILABLE);

    for (size_t i = 0; has_no_quorum && e != CLI_OK && i < r->endpoint_count; i++) {
        *head = (struct records_head){.endpoint = r->endpoints[i]};
        ha_view_clear(view);
        e = remote_aim(r, i);
        e = e == CLI_OK ? load_all(r, view, head, true, 0) : e;
    }
    r->is_quiet = false;
    return e == CLI_OK ? e : remote_failed(r, r->kept);
}

enum cli_exit records_open(struct remote *r, struct ha_view *view, const char *command,
                           const struct cli_call *call)
{
    enum cli_exit e = remote_open(r, command, call);

    if (e != CLI_OK) {
        return e;
    }
    ha_view_init(view);
    e = records_load(r, view);
    if (e != CLI_OK) {
        records_close(r, view);
    }
    return e;
}

bool records_host_votes(const struct remote *r, const struct ha_agent_record *agent)
{
    return agent->member != ha_session_id(r->cluster, agent->host);
}

void records_close(struct remote *r, struct ha_view *view)
{
    ha_view_deinit(view);
    remote_close(r);
}

const struct ha_entry *records_get(const struct remote *r, const struct ha_view *view,
                                   enum ha_kind kind, const char *name)
{
    const struct ha_entry *entry = ha_view_find(view, kind, name, NULL);
    char what[128];

    if (entry == NULL) {
        (void)snprintf(what, sizeof what, "there is no %s", ha_kind_word(kind));
        (void)remote_wrong(r, what, name);
        return NULL;
    }
    if (entry->record == NULL) {
        (void)fprintf(stderr, "novacron %s: the record of %s %s cannot be read: %s\n", r->command,
                      ha_kind_word(kind), name, entry->why);
        return NULL;
    }
    return entry;
}

/* --- writing ---------------------------------------------------------------------------------- */

static void put_guard(struct buf *txn, const char *key, uint64_t mod_revision)
{
    const size_t begun = pb_begin(txn, TXN_COMPARE);

    pb_put_varint(txn, COMPARE_TARGET, COMPARE_TARGET_MOD);
    pb_put_text(txn, COMPARE_KEY, key);
    /* Zero, too, must be said: that is a key which is not there. */
    buf_put(txn, (const uint8_t[]){COMPARE_MOD_REVISION << 3 | PB_VARINT}, 1);
    do {
        const uint8_t byte = (uint8_t)((mod_revision & 0x7F) | (mod_revision > 0x7F ? 0x80 : 0));
        buf_put(txn, &byte, 1);
        mod_revision >>= 7;
    } while (mod_revision > 0);
    pb_end(txn, begun);
}

static void txn_put_change(struct buf *txn, const char *key, const struct records_change *change)
{
    const size_t op = pb_begin(txn, TXN_SUCCESS);
    const size_t begun = pb_begin(txn, change->record != NULL ? OP_PUT : OP_DELETE);

    if (change->record != NULL) {
        struct buf json;
        buf_init(&json);
        ha_record_encode(change->kind, change->record, &json);
        pb_put_text(txn, PUT_KEY, key);
        pb_put_bytes(txn, PUT_VALUE, buf_view(&json));
        buf_deinit(&json);
    } else {
        pb_put_text(txn, DELETE_KEY, key);
    }
    pb_end(txn, begun);
    pb_end(txn, op);
}

enum cli_exit records_write(struct remote *r, const struct records_change *changes, size_t n)
{
    char key[HA_KEY_BYTES];
    struct buf why;

    buf_init(&why);
    for (size_t i = 0; i < n; i++) {
        if (changes[i].record != NULL &&
            ha_record_check(changes[i].kind, changes[i].record, &why) != OK) {
            enum cli_exit refused = remote_wrong(r, "nobody could read that record", say_end(&why));
            buf_deinit(&why);
            return refused;
        }
    }
    buf_deinit(&why);
    buf_clear(&r->request);
    for (size_t i = 0; i < n; i++) {
        ha_key_format(changes[i].kind, changes[i].name, NULL, key);
        put_guard(&r->request, key, changes[i].mod_revision);
    }
    for (size_t i = 0; i < n; i++) {
        ha_key_format(changes[i].kind, changes[i].name, NULL, key);
        txn_put_change(&r->request, key, &changes[i]);
    }
    enum cli_exit e = remote_call(r, "/etcdserverpb.KV/Txn");
    if (e != CLI_OK) {
        return e;
    }
    Etcdserverpb__TxnResponse *answer =
        etcdserverpb__txn_response__unpack(NULL, r->response.len, r->response.data);
    if (answer == NULL) {
        return remote_failed(r, "the answer makes no sense");
    }
    const bool succeeded = answer->succeeded;
    etcdserverpb__txn_response__free_unpacked(answer, NULL);
    if (!succeeded) {
        return remote_failed(r, "somebody else has changed it at this moment, and nothing was "
                                "written; look at it, and try again");
    }
    return CLI_OK;
}

/* --- showing ---------------------------------------------------------------------------------- */

void records_print(enum ha_kind kind, const void *record, bool in_one_line)
{
    struct buf json;

    buf_init(&json);
    ha_record_encode(kind, record, &json);
    json_t *tree = json_loadb((const char *)json.data, json.len, 0, NULL);
    char *text =
        tree != NULL ? json_dumps(tree, in_one_line ? JSON_COMPACT : JSON_INDENT(2)) : NULL;
    if (text != NULL) {
        (void)puts(text);
    }
    free(text);
    json_decref(tree);
    buf_deinit(&json);
}

void records_print_unreadable(const struct ha_entry *entry)
{
    struct buf json;

    buf_init(&json);
    say(&json, "{\"key\":");
    json_put_string(&json, entry->text);
    say(&json, ",\"unreadable\":");
    json_put_string(&json, entry->why);
    say(&json, "}");
    (void)puts(say_end(&json));
    buf_deinit(&json);
}
