#include "core/ha/ha_view.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/base/say.h"

/* An entry with what it owns: one block each, so that an entry that moves in its list moves as a
 * pointer. */
struct view_slot {
    struct ha_entry entry; /* first: a pointer to it is one to this */
    char *text;
    uint8_t *value; /* the bytes that the record's `definition` points into */
    void *record;
    char *why;
};

static struct view_slot *slot_of(struct ha_entry *entry)
{
    return (struct view_slot *)entry;
}

/* --- what an entry holds ---------------------------------------------------------------------- */

static char *view_copy(struct bytes text)
{
    char *copy = mem_alloc(text.len + 1);

    if (text.len > 0) {
        memcpy(copy, text.data, text.len);
    }
    copy[text.len] = '\0';
    return copy;
}

/* Frees what the last value left. */
static void slot_empty(struct view_slot *slot)
{
    mem_free(slot->value);
    mem_free(slot->record);
    mem_free(slot->why);
    slot->value = NULL;
    slot->record = NULL;
    slot->why = NULL;
    slot->entry.record = NULL;
    slot->entry.why = "";
}

static void slot_free(struct view_slot *slot)
{
    slot_empty(slot);
    mem_free(slot->text);
    mem_free(slot);
}

/* Is the record the one that its key says it is? If not, `why` says so. */
static bool name_is_that_of_key(const struct ha_entry *entry, const void *record, struct buf *why)
{
    struct ha_key key;

    ha_record_key(entry->kind, record, &key);
    if (strcmp(key.name, entry->key.name) == 0 && strcmp(key.vm, entry->key.vm) == 0) {
        return true;
    }
    say(why, "the record is that of ");
    say(why, key.name);
    say(why, key.vm[0] != '\0' ? "/" : "");
    say(why, key.vm);
    say(why, ", which its key is not");
    return false;
}

/* The value as a record, or as the reason why it is none. */
static void slot_fill(struct view_slot *slot, struct bytes value)
{
    struct ha_entry *entry = &slot->entry;
    struct buf why;

    slot_empty(slot);
    buf_init(&why);
    bool is_read = false;
    if (entry->kind == HA_KINDS) {
        say(&why, "there is no such key; docs/formats/ha-records.md has those that there are");
    } else if (value.len > HA_RECORD_BYTES_MAX) {
        say(&why, "the record is too long");
    } else {
        slot->value = (uint8_t *)view_copy(value);
        slot->record = mem_alloc(ha_record_size(entry->kind));
        struct bytes kept = {slot->value, value.len};
        is_read = ha_record_decode(entry->kind, kept, slot->record, &why) == OK &&
                  name_is_that_of_key(entry, slot->record, &why);
    }
    if (is_read) {
        entry->record = slot->record;
        if (entry->kind != HA_VM) { /* nothing else points into its bytes */
            mem_free(slot->value);
            slot->value = NULL;
        }
    } else {
        slot_empty(slot);
        slot->why = view_copy(buf_view(&why));
        entry->why = slot->why;
    }
    buf_deinit(&why);
}

/* --- lists ------------------------------------------------------------------------------------ */

/* The place of `text` in the list: of the entry, or where it would be. */
static size_t view_list_place(const struct ha_view_list *list, const char *text, bool *is_there)
{
    size_t low = 0;
    size_t high = list->n;

    *is_there = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(list->entries[middle]->text, text);
        if (order == 0) {
            *is_there = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct ha_entry *view_list_find(const struct ha_view_list *list, const char *text)
{
    bool is_there;
    size_t at = view_list_place(list, text, &is_there);

    return is_there ? list->entries[at] : NULL;
}

static void view_list_insert(struct ha_view_list *list, size_t at, struct ha_entry *entry)
{
    mem_grow((void **)&list->entries, &list->cap, list->n + 1, sizeof(struct ha_entry *));
    memmove(list->entries + at + 1, list->entries + at, (list->n - at) * sizeof(struct ha_entry *));
    list->entries[at] = entry;
    list->n++;
}

static void view_list_count(struct ha_view_list *list, const struct ha_entry *entry, bool is_added)
{
    if (entry->record == NULL) {
        list->unreadable = is_added ? list->unreadable + 1 : list->unreadable - 1;
    }
}

/* --- feeding ---------------------------------------------------------------------------------- */

void ha_view_init(struct ha_view *v)
{
    memset(v, 0, sizeof *v);
    ha_record_defaults(HA_SETTINGS, &v->defaults);
}

void ha_view_clear(struct ha_view *v)
{
    ha_view_deinit(v);
    ha_view_init(v);
}

void ha_view_deinit(struct ha_view *v)
{
    for (size_t kind = 0; kind <= HA_KINDS; kind++) {
        struct ha_view_list *list = &v->lists[kind];
        for (size_t i = 0; i < list->n; i++) {
            slot_free(slot_of(list->entries[i]));
        }
        mem_free((void *)list->entries);
        *list = (struct ha_view_list){.entries = NULL};
    }
    v->n = 0;
}

void ha_view_advance(struct ha_view *v, uint64_t revision)
{
    v->revision = u64_max(v->revision, revision);
}

/* A key that is to be an entry: under our prefix, and not the one by which leaders exclude each
 * other (ha_keeper.h), which is no record. */
static bool view_key_is_ours(struct bytes key)
{
    static const char leader[] = HA_PREFIX "leader";
    size_t n = sizeof HA_PREFIX - 1;
    bool is_leader = key.len == sizeof leader - 1 && memcmp(key.data, leader, key.len) == 0;

    return key.len >= n && memcmp(key.data, HA_PREFIX, n) == 0 && !is_leader;
}

/* The key as a string; a zero in it, or what no terminal should see, becomes '?'. */
static char *view_key_text(struct bytes key)
{
    char *text = view_copy(key);

    for (size_t i = 0; i < key.len; i++) {
        if (text[i] < ' ' || text[i] > '~') {
            text[i] = '?';
        }
    }
    return text;
}

static enum ha_kind view_kind_of(struct bytes key, struct ha_key *ret)
{
    *ret = (struct ha_key){.kind = HA_VM};
    if (ha_key_parse(key, ret) == OK) {
        return ret->kind;
    }
    memset(ret, 0, sizeof *ret);
    return HA_KINDS;
}

static struct ha_entry *view_insert(struct ha_view *v, struct ha_view_list *list, size_t at,
                                    enum ha_kind kind, const struct ha_key *key, char *text)
{
    struct view_slot *slot = mem_alloc_zero(sizeof *slot);

    slot->text = text;
    slot->entry = (struct ha_entry){.kind = kind, .key = *key, .text = text, .why = ""};
    view_list_insert(list, at, &slot->entry);
    v->n++;
    return &slot->entry;
}

/* Room for one more of the kind; if there is none, what that means is noted. */
static bool view_takes(struct ha_view *v, enum ha_kind kind)
{
    const size_t strangers = v->lists[HA_KINDS].n;

    if (kind == HA_KINDS) {
        v->strangers_passed += strangers == HA_VIEW_STRANGERS_MAX;
        return strangers < HA_VIEW_STRANGERS_MAX;
    }
    if (v->n - strangers == HA_VIEW_ENTRIES_MAX) {
        v->is_incomplete = true;
        return false;
    }
    return true;
}

void ha_view_put(struct ha_view *v, struct bytes key, struct bytes value, uint64_t create_revision,
                 uint64_t mod_revision)
{
    struct ha_key parsed;
    bool is_there;

    ha_view_advance(v, mod_revision);
    if (!view_key_is_ours(key)) {
        return;
    }
    enum ha_kind kind = view_kind_of(key, &parsed);
    struct ha_view_list *list = &v->lists[kind];
    char *text = view_key_text(key);
    size_t at = view_list_place(list, text, &is_there);
    if (!is_there && !view_takes(v, kind)) {
        mem_free(text);
        return;
    }
    struct ha_entry *entry = NULL;
    if (is_there) {
        entry = list->entries[at];
        mem_free(text);
        if (entry->mod_revision >= mod_revision) {
            return;
        }
        view_list_count(list, entry, false);
    } else {
        entry = view_insert(v, list, at, kind, &parsed, text);
    }
    if (entry->create_revision != create_revision) {
        entry->create_revision = create_revision;
        entry->mark = 0;
    }
    entry->mod_revision = mod_revision;
    slot_fill(slot_of(entry), value);
    view_list_count(list, entry, true);
}

void ha_view_delete(struct ha_view *v, struct bytes key, uint64_t revision)
{
    struct ha_key parsed;
    bool is_there;

    ha_view_advance(v, revision);
    if (!view_key_is_ours(key)) {
        return;
    }
    enum ha_kind kind = view_kind_of(key, &parsed);
    struct ha_view_list *list = &v->lists[kind];
    /* It may be one that was not kept. */
    v->has_room = v->has_room || (v->is_incomplete && kind != HA_KINDS);
    char *text = view_key_text(key);
    size_t at = view_list_place(list, text, &is_there);
    mem_free(text);
    if (!is_there || list->entries[at]->mod_revision >= revision) {
        return;
    }
    view_list_count(list, list->entries[at], false);
    slot_free(slot_of(list->entries[at]));
    memmove(list->entries + at, list->entries + at + 1,
            (list->n - at - 1) * sizeof(struct ha_entry *));
    list->n--;
    v->n--;
}

/* --- looking ---------------------------------------------------------------------------------- */

struct ha_entry *ha_view_at(const struct ha_view *v, enum ha_kind kind, size_t i)
{
    CHECK(i < v->lists[kind].n);
    return v->lists[kind].entries[i];
}

struct ha_entry *ha_view_find(const struct ha_view *v, enum ha_kind kind, const char *name,
                              const char *vm)
{
    char key[HA_KEY_BYTES];

    if (strnlen(name, HA_NAME_BYTES) == HA_NAME_BYTES) {
        return NULL;
    }
    ha_key_format(kind, name, vm, key);
    return view_list_find(&v->lists[kind], key);
}

uint64_t ha_view_mod_revision(const struct ha_view *v, enum ha_kind kind, const char *name,
                              const char *vm)
{
    const struct ha_entry *entry = ha_view_find(v, kind, name, vm);

    return entry != NULL ? entry->mod_revision : 0;
}

static const void *view_record(const struct ha_view *v, enum ha_kind kind, const char *name,
                               const char *vm)
{
    const struct ha_entry *entry = ha_view_find(v, kind, name, vm);

    return entry != NULL ? entry->record : NULL;
}

const struct ha_vm *ha_view_vm(const struct ha_view *v, const char *name)
{
    return view_record(v, HA_VM, name, NULL);
}

const struct ha_host *ha_view_host(const struct ha_view *v, const char *name)
{
    return view_record(v, HA_HOST, name, NULL);
}

const struct ha_device *ha_view_device(const struct ha_view *v, const char *name)
{
    return view_record(v, HA_DEVICE, name, NULL);
}

const struct ha_storage *ha_view_storage(const struct ha_view *v, const char *name)
{
    return view_record(v, HA_STORAGE, name, NULL);
}

const struct ha_confirmed *ha_view_confirmed(const struct ha_view *v, const char *host)
{
    return view_record(v, HA_CONFIRMED, host, NULL);
}

const struct ha_owner *ha_view_owner(const struct ha_view *v, const char *vm)
{
    return view_record(v, HA_OWNER, vm, NULL);
}

const struct ha_fate *ha_view_fate(const struct ha_view *v, const char *host)
{
    return view_record(v, HA_FATE, host, NULL);
}

const struct ha_agent_record *ha_view_agent(const struct ha_view *v, const char *host)
{
    return view_record(v, HA_AGENT, host, NULL);
}

const struct ha_report *ha_view_report(const struct ha_view *v, const char *host, const char *vm)
{
    return view_record(v, HA_REPORT, host, vm);
}

const struct ha_incident *ha_view_incident(const struct ha_view *v, const char *id)
{
    return view_record(v, HA_INCIDENT, id, NULL);
}

const struct ha_sight *ha_view_sight(const struct ha_view *v, const char *device)
{
    return view_record(v, HA_SIGHT, device, NULL);
}

const struct ha_settings *ha_view_settings(const struct ha_view *v)
{
    const struct ha_entry *entry = ha_view_find(v, HA_SETTINGS, "", NULL);

    return entry != NULL ? entry->record : &v->defaults;
}

/* --- checking --------------------------------------------------------------------------------- */

void ha_view_check(const struct ha_view *v)
{
    size_t n = 0;

    for (size_t kind = 0; kind <= HA_KINDS; kind++) {
        const struct ha_view_list *list = &v->lists[kind];
        size_t unreadable = 0;
        for (size_t i = 0; i < list->n; i++) {
            const struct ha_entry *entry = list->entries[i];
            CHECK(i == 0 || strcmp(list->entries[i - 1]->text, entry->text) < 0);
            CHECK(entry->kind == kind && entry->mod_revision <= v->revision);
            CHECK((entry->record == NULL) == (entry->why[0] != '\0'));
            CHECK(kind < HA_KINDS || entry->record == NULL);
            unreadable += entry->record == NULL ? 1 : 0;
        }
        CHECK(unreadable == list->unreadable);
        n += list->n;
    }
    const size_t strangers = v->lists[HA_KINDS].n;
    CHECK(n == v->n && strangers <= HA_VIEW_STRANGERS_MAX);
    CHECK(n - strangers <= HA_VIEW_ENTRIES_MAX && (v->is_incomplete || !v->has_room));
}
