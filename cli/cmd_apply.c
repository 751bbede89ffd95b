/* `novacron apply`, `vm apply`, `host apply`: manifests become records. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/manifest.h"
#include "cli/records.h"
#include "core/base/mem.h"
#include "core/base/say.h"
#include "core/ha/ha_explain.h"

enum { APPLY_FILE = REMOTE_OPTIONS, APPLY_DRY };

/* Records of any kind that has manifests. */
union applied {
    struct ha_vm vm;
    struct ha_host host;
    struct ha_device device;
    struct ha_storage storage;
    struct ha_settings settings;
};

struct application {
    const char *command;
    struct remote r;
    struct ha_view view;
    struct manifest manifest;
    const char *file;
    union applied *records; /* owned, as all of these: one a document */
    struct ha_key *keys;
    struct records_change *changes;
    size_t n;
    struct buf why;
};

/* The whole file; false: it has complained. "-" is the standard input. */
static bool read_whole_file(const char *command, const char *path, struct buf *ret)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    uint8_t block[4096];
    size_t n = 0;

    if (file == NULL) {
        (void)fprintf(stderr, "novacron %s: %s: %s\n", command, path, strerror(errno));
        return false;
    }
    do {
        n = fread(block, 1, sizeof block, file);
        buf_put(ret, block, n);
    } while (n > 0 && ret->len <= MANIFEST_BYTES_MAX);
    const bool failed = ferror(file) != 0;
    const int error = errno;
    if (file != stdin) {
        (void)fclose(file);
    }
    if (failed) {
        (void)fprintf(stderr, "novacron %s: %s: %s\n", command, path, strerror(error));
    }
    return !failed;
}

static enum cli_exit complain_of(const struct application *a, size_t line, const char *what)
{
    (void)fprintf(stderr, "novacron %s: %s:%zu: %s\n", a->command, a->file, line, what);
    return CLI_USAGE;
}

/* --- what a manifest does not say ------------------------------------------------------------- */

/* What commands write into a record, and no manifest: it stays as it was. */
static const char *const of_commands[] = {"start_count", "move_to", "move_offline", "fence_count"};

static void keep_vm(const struct manifest_document *d, struct ha_vm *vm, const struct ha_vm *before)
{
    if (before == NULL) {
        return;
    }
    vm->start_count = before->start_count;
    /* A move that the manifest no longer allows is over: its word is the newer one. */
    if (vm->allowed.n == 0 || ha_names_have(&vm->allowed, before->move_to)) {
        memcpy(vm->move_to, before->move_to, sizeof vm->move_to);
        vm->moves_offline = before->moves_offline;
    }
    if (!manifest_has(d, "desired")) {
        vm->is_wanted = before->is_wanted;
    }
}

static void keep_host(struct ha_host *host, const struct ha_host *before)
{
    if (before != NULL) {
        host->fence_count = before->fence_count;
    }
}

/* Each record follows the one that is there, if any. */
static void keep_of_commands(struct application *a)
{
    for (size_t i = 0; i < a->n; i++) {
        const struct manifest_document *d = &a->manifest.documents[i];
        struct records_change *change = &a->changes[i];
        const struct ha_entry *before = ha_view_find(&a->view, change->kind, change->name, NULL);
        const void *record = before != NULL ? before->record : NULL;
        if (d->kind == HA_VM) {
            keep_vm(d, &a->records[i].vm, record);
        } else if (d->kind == HA_HOST) {
            keep_host(&a->records[i].host, record);
        }
        change->mod_revision = before != NULL ? before->mod_revision : 0;
    }
}

/* --- what a record speaks of ------------------------------------------------------------------ */

/* What the view would be, or is, with the records of this file. */
static void view_take_changes(struct application *a)
{
    char key[HA_KEY_BYTES];
    struct buf json;

    buf_init(&json);
    for (size_t i = 0; i < a->n; i++) {
        const struct records_change *change = &a->changes[i];
        buf_clear(&json);
        ha_record_encode(change->kind, change->record, &json);
        ha_key_format(change->kind, change->name, NULL, key);
        const uint64_t revision = a->view.revision + 1;
        ha_view_put(&a->view, (struct bytes){(const uint8_t *)key, strlen(key)}, buf_view(&json),
                    revision, revision);
        ha_view_advance(&a->view, revision);
    }
    buf_deinit(&json);
}

/* Of the records of this file alone: `novacron status` tells of all. */
static void note_missing_name(void *context, const struct ha_missing_name *m)
{
    struct application *a = context;

    for (size_t i = 0; i < a->n; i++) {
        if (a->changes[i].kind == m->by_kind && strcmp(a->changes[i].name, m->by) == 0) {
            buf_clear(&a->why);
            ha_missing_name_tell(m, &a->why);
            const char *what = say_end(&a->why);
            (void)fprintf(stderr, "novacron %s: %s:%zu: note: %s yet\n", a->command, a->file,
                          manifest_line(&a->manifest.documents[i], what), what);
        }
    }
}

/* --- the way of a file ------------------------------------------------------------------------ */

static enum cli_exit take_document(struct application *a, const struct manifest_document *d)
{
    union applied *record = &a->records[a->n];
    struct ha_key *key = &a->keys[a->n];

    for (size_t i = 0; i < COUNT_OF(of_commands); i++) {
        if (manifest_has(d, of_commands[i])) {
            buf_clear(&a->why);
            say(&a->why, of_commands[i]);
            say(&a->why, ": commands write it (vm start, vm migrate, host fence); leave it out");
            return complain_of(a, manifest_line(d, of_commands[i]), say_end(&a->why));
        }
    }
    buf_clear(&a->why);
    ha_record_defaults(d->kind, record);
    if (ha_record_decode(d->kind, buf_view(&d->json), record, &a->why) != OK) {
        const char *why = say_end(&a->why);
        return complain_of(a, manifest_line(d, why), why);
    }
    ha_record_key(d->kind, record, key);
    for (size_t i = 0; i < a->n; i++) {
        if (a->changes[i].kind == d->kind && strcmp(a->changes[i].name, key->name) == 0) {
            return complain_of(a, d->line, "name: an earlier document of this file has it, too");
        }
    }
    a->changes[a->n++] =
        (struct records_change){.kind = d->kind, .name = key->name, .record = record};
    return CLI_OK;
}

static void tell_applied(struct application *a, bool is_dry)
{
    view_take_changes(a);
    ha_missing_names(&a->view, note_missing_name, a);
    for (size_t i = 0; i < a->n; i++) {
        const struct records_change *change = &a->changes[i];
        if (a->r.json) {
            records_print(change->kind, change->record, true);
        } else {
            (void)printf("%s%s%s %s%s\n", ha_kind_name(change->kind),
                         change->name[0] != '\0' ? "/" : "", change->name,
                         change->mod_revision != 0 ? "changed" : "created",
                         is_dry ? " (not written: --dry-run)" : "");
        }
    }
}

/* What is wrong with the file is told whether or not a server can be reached. */
static enum cli_exit read_documents(struct application *a, enum ha_kind assumed)
{
    struct buf text;
    enum cli_exit e = CLI_OK;

    buf_init(&text);
    if (!read_whole_file(a->command, a->file, &text)) {
        e = CLI_UNREADABLE;
    } else if (manifest_read(buf_view(&text), assumed, &a->manifest, &a->why) != OK) {
        (void)fprintf(stderr, "novacron %s: %s:%s\n", a->command, a->file, say_end(&a->why));
        e = CLI_USAGE;
    }
    buf_deinit(&text);
    if (e != CLI_OK) {
        return e;
    }
    a->records = mem_alloc_zero(a->manifest.n * sizeof *a->records);
    a->keys = mem_alloc_zero(a->manifest.n * sizeof *a->keys);
    a->changes = mem_alloc_zero(a->manifest.n * sizeof *a->changes);
    for (size_t i = 0; e == CLI_OK && i < a->manifest.n; i++) {
        e = take_document(a, &a->manifest.documents[i]);
    }
    return e;
}

static enum cli_exit apply_documents(struct application *a, const struct cli_call *call)
{
    const bool is_dry = call->options[APPLY_DRY] != NULL;
    enum cli_exit e = records_open(&a->r, &a->view, a->command, call);

    if (e != CLI_OK) {
        return e;
    }
    keep_of_commands(a);
    if (!is_dry) {
        e = records_write(&a->r, a->changes, a->n);
    }
    if (e == CLI_OK) {
        tell_applied(a, is_dry);
    }
    records_close(&a->r, &a->view);
    return e;
}

static enum cli_exit apply_manifest(const struct cli_call *call, const char *command,
                                    enum ha_kind assumed)
{
    struct application a = {.command = command, .file = call->options[APPLY_FILE]};

    if (a.file == NULL) {
        (void)fprintf(stderr, "novacron %s: -f FILE is missing; - is the standard input\n",
                      command);
        return CLI_USAGE;
    }
    buf_init(&a.why);
    enum cli_exit e = read_documents(&a, assumed);
    e = e == CLI_OK ? apply_documents(&a, call) : e;
    mem_free(a.changes);
    mem_free(a.keys);
    mem_free(a.records);
    manifest_free(&a.manifest);
    buf_deinit(&a.why);
    return e;
}

enum cli_exit cmd_apply(const struct cli_call *call)
{
    return apply_manifest(call, "apply", HA_KINDS);
}

enum cli_exit cmd_vm_apply(const struct cli_call *call)
{
    return apply_manifest(call, "vm apply", HA_VM);
}

enum cli_exit cmd_host_apply(const struct cli_call *call)
{
    return apply_manifest(call, "host apply", HA_HOST);
}
