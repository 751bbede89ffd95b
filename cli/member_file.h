/*
 * The configuration of a member as `novacron cluster init` and `join` write it: composed from a few
 * words, and checked with the daemon's own eyes before it is written. Nothing that exists is
 * replaced, but for the certificate of an attempt that ended before the configuration was there.
 *
 *     DIR/NAME/novacrond.yaml
 *     DIR/NAME/ca.crt, NAME.crt, NAME.key     where it has certificates
 *     DIR/NAME/health.keys                    where hosts watch each other with keys
 * (health_keys.h)
 *
 * What lies in DIR/NAME belongs into `etc` on the member's host, as the file says.
 */
#ifndef NOVACRON_CLI_MEMBER_FILE_H
#define NOVACRON_CLI_MEMBER_FILE_H

#include "core/base/buf.h"
#include "core/consensus/raft/raft_membership.h"
#include "core/world/world.h"
#include "novacrond/daemon_config.h"

#define MEMBER_PATH_BYTES 1024

#define MEMBER_ETC      "/etc/novacron"
#define MEMBER_DATA_DIR "/var/lib/novacron"

/* Where a host that runs machines has them, its images, and its guard. */
#define MEMBER_RUN_DIR "/run/novacron-machines"
#define MEMBER_IMAGES  "/var/lib/novacron/images"
#define MEMBER_GUARD   "/run/novacron/guard.sock"

/* What the certificate of whoever runs `novacron` is called. */
#define MEMBER_ADMIN "admin"

#define MEMBER_PEER_PORT   2380
#define MEMBER_CLIENT_PORT 2379

/* One that is written about. */
struct member_words {
    char name[WORLD_HOST_MAX_BYTES];
    struct world_endpoint peer;
    uint16_t client_port;
    uint64_t id;  /* 0: made of the names */
    int priority; /* -1: as usual */
    bool is_witness;
};

struct member_file {
    const char *cluster_name; /* NULL: the id alone */
    uint64_t cluster_id;      /* 0: made of the name */
    bool is_new;
    bool is_agent; /* of a host that runs machines and does not vote */
    const struct member_words *own;
    const struct member_words *members; /* all founders, or those that run */
    size_t count;
    bool has_certificates;
    bool has_health_keys; /* health.keys beside it */
    const char *etc;
    const char *data_dir;
    const char *timing; /* NULL: as usual */
};

/* "NAME=HOST[:PEER_PORT[:CLIENT_PORT]]", or with `name` the part behind the "=". False: it is not.
 */
bool member_words_parse(const char *text, const char *name, struct member_words *ret);

/* Composes the file's text, and has the daemon check it, and where it has certificates, what makes
 * them. On failure `why` says what is wrong. */
MUST_USE enum err member_file_compose(const struct member_file *f, struct buf *text,
                                      char why[DAEMON_WHY_BYTES]);

/* Makes DIR/NAME and writes the file there, durably. ERR_EXISTS: it is there already. */
MUST_USE enum err member_file_write(const char *dir, const char *name, struct bytes text,
                                    char why[DAEMON_WHY_BYTES]);

/* Makes DIR/NAME. */
MUST_USE enum err member_dir_make(const char *dir, const char *name, char why[DAEMON_WHY_BYTES]);

/* Issues a certificate for `name` and `host` from the authority in `ca`, and moves it to DIR/NAME,
 * with a copy of ca.crt; in place of what an attempt before has left. ERR_EXISTS: there is another
 * authority's ca.crt. */
MUST_USE enum err member_certify(const char *ca, const char *dir, const char *name,
                                 const char *host, char why[DAEMON_WHY_BYTES]);

#endif
