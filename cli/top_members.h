/*
 * Who is watched by `novacron top`: the members that the cluster names, and the endpoints that were
 * given. Pure: lists, pages and failures go in, a view comes out. A member is known by its id,
 * which its page tells, or by an address that the list gives it; an endpoint may be another way to
 * one of them.
 */
#ifndef NOVACRON_CLI_TOP_MEMBERS_H
#define NOVACRON_CLI_TOP_MEMBERS_H

#include "cli/top_frame.h"

#define TOP_TARGETS_MAX 64
#define TOP_URLS_MAX    4 /* of one member */

/* Where a page is asked for. */
struct top_target {
    char url[TOP_URL_BYTES];
    bool was_asked; /* once at least, with an outcome */
    bool answers;
    char why[TOP_WHY_BYTES];
    int64_t silent_since;
    struct top_sample now;
    struct top_sample before;
};

struct top_listed {
    node_id id;
    char name[TOP_NAME_BYTES];
    bool is_learner;
    char urls[TOP_URLS_MAX][TOP_URL_BYTES];
    size_t url_count;
};

struct top_members {
    struct top_target targets[TOP_TARGETS_MAX];
    size_t target_count;
    struct top_listed listed[TOP_MEMBERS_MAX];
    size_t listed_count;
    char list_why[TOP_WHY_BYTES];
    struct top_member view[TOP_MEMBERS_MAX];
};

/* Adds a place to ask, unless it is there. */
void top_members_watch(struct top_members *t, const char *url);

/* A MemberListResponse of etcd's, or why there is none. */
void top_members_list(struct top_members *t, struct bytes response);
void top_members_no_list(struct top_members *t, const char *why);

/* A target's page, or why there is none. */
void top_members_page(struct top_target *target, struct bytes page, nanos at);
void top_members_no_page(struct top_target *target, const char *why, int64_t unix_time);

/* What is known now; points into `t`. */
struct top_view top_members_view(struct top_members *t);

#endif
