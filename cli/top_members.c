#include "cli/top_members.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <etcdserverpb.pb-c.h>

void top_members_watch(struct top_members *t, const char *url)
{
    for (size_t i = 0; i < t->target_count; i++) {
        if (strcmp(t->targets[i].url, url) == 0) {
            return;
        }
    }
    if (t->target_count < TOP_TARGETS_MAX && strlen(url) < TOP_URL_BYTES) {
        struct top_target *target = &t->targets[t->target_count++];
        memset(target, 0, sizeof *target);
        (void)snprintf(target->url, sizeof target->url, "%s", url);
    }
}

/* --- the list -------------------------------------------------------------------------------- */

static int listed_compare(const void *a, const void *b)
{
    const struct top_listed *x = a;
    const struct top_listed *y = b;
    int by_name = strcmp(x->name, y->name);
    return by_name != 0 ? by_name : (x->id > y->id) - (x->id < y->id);
}

static void listed_take(struct top_members *t, const Etcdserverpb__Member *m)
{
    struct top_listed *l = &t->listed[t->listed_count++];
    memset(l, 0, sizeof *l);
    l->id = m->id;
    l->is_learner = m->islearner;
    (void)snprintf(l->name, sizeof l->name, "%s", m->name);
    if (l->name[0] == '\0') {
        (void)snprintf(l->name, sizeof l->name, "%llx", (unsigned long long)m->id);
    }
    for (size_t i = 0; i < m->n_clienturls && l->url_count < TOP_URLS_MAX; i++) {
        if (strlen(m->clienturls[i]) < TOP_URL_BYTES) {
            (void)snprintf(l->urls[l->url_count++], TOP_URL_BYTES, "%s", m->clienturls[i]);
            top_members_watch(t, m->clienturls[i]);
        }
    }
}

void top_members_list(struct top_members *t, struct bytes response)
{
    Etcdserverpb__MemberListResponse *list =
        etcdserverpb__member_list_response__unpack(NULL, response.len, response.data);
    if (list == NULL) {
        top_members_no_list(t, "the list cannot be read");
        return;
    }
    t->listed_count = 0;
    t->list_why[0] = '\0';
    for (size_t i = 0; i < list->n_members && t->listed_count < TOP_MEMBERS_MAX; i++) {
        listed_take(t, list->members[i]);
    }
    qsort(t->listed, t->listed_count, sizeof t->listed[0], listed_compare);
    etcdserverpb__member_list_response__free_unpacked(list, NULL);
}

void top_members_no_list(struct top_members *t, const char *why)
{
    (void)snprintf(t->list_why, sizeof t->list_why, "%s", why);
}

/* --- pages ----------------------------------------------------------------------------------- */

void top_members_page(struct top_target *target, struct bytes page, nanos at)
{
    target->before = target->now;
    target->before.is_there = target->answers && target->now.is_there;
    target->now.at = at;
    top_sample_parse(page, &target->now);
    target->answers = true;
    target->was_asked = true;
    target->silent_since = 0;
    target->why[0] = '\0';
}

void top_members_no_page(struct top_target *target, const char *why, int64_t unix_time)
{
    if (target->answers || !target->was_asked) {
        target->silent_since = unix_time;
    }
    target->answers = false;
    target->was_asked = true;
    (void)snprintf(target->why, sizeof target->why, "%s", why);
}

/* --- the view -------------------------------------------------------------------------------- */

static bool listed_has_url(const struct top_listed *l, const char *url)
{
    for (size_t i = 0; i < l->url_count; i++) {
        if (strcmp(l->urls[i], url) == 0) {
            return true;
        }
    }
    return false;
}

/* Is this the way to that member, as far as is known? */
static bool target_leads_to(const struct top_target *target, const struct top_listed *l)
{
    return target->now.id != 0 ? target->now.id == l->id : listed_has_url(l, target->url);
}

/* The best way to it: one that answers, else any; NULL: there is none. */
static const struct top_target *top_target_of(const struct top_members *t,
                                              const struct top_listed *l)
{
    const struct top_target *found = NULL;
    for (size_t i = 0; i < t->target_count; i++) {
        const struct top_target *target = &t->targets[i];
        if (target_leads_to(target, l) && (found == NULL || (target->answers && !found->answers))) {
            found = target;
        }
    }
    return found;
}

static bool is_listed(const struct top_members *t, const struct top_target *target)
{
    for (size_t i = 0; i < t->listed_count; i++) {
        if (target_leads_to(target, &t->listed[i])) {
            return true;
        }
    }
    return false;
}

/* Was the same member seen by an earlier target? */
static bool is_alias(const struct top_members *t, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (t->targets[i].now.id != 0 && t->targets[i].now.id == t->targets[at].now.id) {
            return true;
        }
    }
    return false;
}

static void member_fill(struct top_member *m, const struct top_target *target)
{
    (void)snprintf(m->url, sizeof m->url, "%s", target->url);
    (void)snprintf(m->why, sizeof m->why, "%s", target->was_asked ? target->why : "not asked yet");
    m->answers = target->answers;
    m->silent_since = target->silent_since;
    m->now = target->now;
    m->before = target->before;
}

struct top_view top_members_view(struct top_members *t)
{
    struct top_view view = {.members = t->view};
    (void)snprintf(view.list_why, sizeof view.list_why, "%s", t->list_why);
    for (size_t i = 0; i < t->listed_count; i++) {
        const struct top_listed *l = &t->listed[i];
        const struct top_target *target = top_target_of(t, l);
        struct top_member *m = &t->view[view.count++];
        memset(m, 0, sizeof *m);
        (void)snprintf(m->why, sizeof m->why, "it was not started yet");
        if (target != NULL) {
            member_fill(m, target);
        }
        (void)snprintf(m->name, sizeof m->name, "%s", l->name);
        m->id = l->id;
        m->is_learner = l->is_learner;
    }
    for (size_t i = 0; i < t->target_count && view.count < TOP_MEMBERS_MAX; i++) {
        const struct top_target *target = &t->targets[i];
        /* With a list, an endpoint that never answered is another way to one of the members. */
        bool is_known = target->now.id != 0 || t->listed_count == 0;
        if (!is_known || is_listed(t, target) || is_alias(t, i)) {
            continue;
        }
        struct top_member *m = &t->view[view.count++];
        memset(m, 0, sizeof *m);
        member_fill(m, target);
        (void)snprintf(m->name, sizeof m->name, "%.63s", target->url);
        m->id = target->now.id;
    }
    return view;
}
