/*
 * A page of what somebody wants to know, in one of two forms that say the same: JSON for programs,
 * and YAML, which is what people like to read; `?format=text` asks for it. Keys are static and
 * plain.
 */
#ifndef NOVACRON_NOVACROND_DAEMON_PAGE_H
#define NOVACRON_NOVACROND_DAEMON_PAGE_H

#include "api/rpc.h"
#include "core/base/buf.h"

#define PAGE_DEPTH_MAX 8

struct daemon_page {
    struct buf text;
    bool is_yaml;
    size_t depth;
    bool is_list[PAGE_DEPTH_MAX];
    bool has_some[PAGE_DEPTH_MAX]; /* at this depth, something was written */
};

/* In the form that the call asks for. */
void daemon_page_begin(struct daemon_page *p, struct rpc_call *call);
/* Sends it, and frees what it holds. */
void daemon_page_send(struct daemon_page *p, struct rpc_call *call);

/* Objects and lists: of a key, or with NULL the next of a list. */
void page_object(struct daemon_page *p, const char *key);
void page_list(struct daemon_page *p, const char *key);
void page_end(struct daemon_page *p);

/* Values: of a key, or with NULL the next of a list. */
void page_number(struct daemon_page *p, const char *key, uint64_t number);
void page_flag(struct daemon_page *p, const char *key, bool flag); /* 0 or 1 */
void page_text(struct daemon_page *p, const char *key, const char *text);
/* Hexadecimal, as a string: JSON's numbers lose their last digits. */
void page_id(struct daemon_page *p, const char *key, uint64_t id);
/* Seconds, to the microsecond. */
void page_seconds(struct daemon_page *p, const char *key, nanos span);

#endif
