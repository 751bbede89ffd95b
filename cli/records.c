#include "cli/records.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <etcdserverpb.pb-c.h>

#include "api/pb_wire.h"
#include "core/base/check.h"
#include "core/ha/ha_session.h"
#include "core/base/say.h"

/* Keys of one answer. */
#define PAGE_KEYS 500

/* Fields of etcd's messages. */
enum { RANGE_KEY = 1, RANGE_END, RANGE_LIMIT, RANGE_REVISION };
enum { TXN_COMPARE = 1, TXN_SUCCESS };
enum { COMPARE_RESULT = 1, COMPARE_TARGET, COMPARE_KEY, COMPARE_MOD_REVISION = 6 };
enum { OP_PUT = 2, OP_DELETE = 3 };
enum { PUT_KEY = 1, PUT_VALUE };
enum { DELETE_KEY = 1 };

#define COMPARE_TARGET_MOD 2

/* --- reading ---------------------------------------------------------------------------------- */

static void view_take(struct ha_view *view, const Etcdserverpb__RangeResponse *page)
{
    for (size_t i = 0; i < page->n_kvs; i++) {
        const Mvccpb__KeyValue *kv = page->kvs[i];

        ha_view_put(view, (struct bytes){kv->key.data, kv->key.len},
                    (struct bytes){kv->value.data, kv->value.len}, (uint64_t)kv->create_revision,
                    (uint64_t)kv->mod_revision);
    }
    ha_view_advance(view, (uint64_t)page->header->revision);
}

/* The keys from `from` on, at `revision`; 0: the newest, which is told. */
static enum cli_exit load_page(struct remote *r, struct ha_view *view, struct buf *from,
                               int64_t *revision, bool *has_more)
{
    static const char end[] = "/novacron0"; /* behind all that begins with HA_PREFIX */

    buf_clear(&r->request);
    pb_put_bytes(&r->request, RANGE_KEY, buf_view(from));
    pb_put_text(&r->request, RANGE_END, end);
    pb_put_varint(&r->request, RANGE_LIMIT, PAGE_KEYS);
    pb_put_varint(&r->request, RANGE_REVISION, (uint64_t)*revision);
    enum cli_exit e = remote_call(r, "/etcdserverpb.KV/Range");
    if (e != CLI_OK) {
        return e;
    }
    Etcdserverpb__RangeResponse *page =
        etcdserverpb__range_response__unpack(NULL, r->response.len, r->response.data);
    if (page == NULL || page->header == NULL) {
        return remote_failed(r, "the answer makes no sense");
    }
    view_take(view, page);
    r->cluster = page->header->cluster_id;
    *revision = *revision == 0 ? page->header->revision : *revision;
    *has_more = page->more && page->n_kvs > 0;
    if (*has_more) {
        const Mvccpb__KeyValue *last = page->kvs[page->n_kvs - 1];
        buf_clear(from);
        buf_put(from, last->key.data, last->key.len);
        buf_put(from, "\0", 1);
    }
    etcdserverpb__range_response__free_unpacked(page, NULL);
    return CLI_OK;
}

enum cli_exit records_load(struct remote *r, struct ha_view *view)
{
    struct buf from;
    int64_t revision = 0;
    bool has_more = true;
    enum cli_exit e = CLI_OK;

    buf_init(&from);
    buf_put(&from, HA_PREFIX, strlen(HA_PREFIX));
    while (e == CLI_OK && has_more) {
        e = load_page(r, view, &from, &revision, &has_more);
    }
    buf_deinit(&from);
    if (e == CLI_OK && view->is_incomplete) {
        return remote_failed(r, "there are more records than this program can look at");
    }
    return e;
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
