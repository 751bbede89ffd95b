#include "cli/hint.h"

#include <stddef.h>
#include <string.h>

static const struct {
    const char *text; /* part of the answer; the first that fits counts */
    const char *hint;
} hints[] = {
    {"cannot be reached", "does a member run there? --endpoints names others"},
    {"does not answer", "is it up, and is nothing in between? --endpoints names others"},
    {"name of the server is not known", "is the endpoint written right?"},
    {"certificate was refused",
     "--cacert names the authority of the servers, and --cert and --key a certificate that they "
     "trust"},
    {"TLS failed", "does it speak TLS there? An endpoint without it begins with http://"},
    {"does not speak HTTP/2",
     "is that the port for clients? With TLS an endpoint begins with https://, and --cacert is "
     "needed"},
    {"connection was lost", "with TLS an endpoint begins with https://; else whether it was done "
                            "is not known: look before "
                            "you try again"},
    {"no leader", "`novacron cluster status` shows who is up; see docs/runbooks/quorum-lost.md"},
    {"no answer in time", "there may be no quorum: `novacron cluster status` shows who is up; see "
                          "docs/runbooks/quorum-lost.md"},
    {"request timed out",
     "whether it was done is not known; `novacron cluster status` shows who is up"},
    {"context deadline exceeded",
     "whether it was done is not known; `novacron cluster status` shows who is up"},
    {"server stopped", "it is starting or stopping; ask another of --endpoints"},
    {"unhealthy cluster", "`novacron cluster status` shows who is not well"},
    {"not enough started members", "start those that were added, or remove them, first"},
    {"in sync with leader",
     "it has not caught up yet; `novacron top` shows how much it lacks; try again later"},
    {"only promote a learner", "it votes already; `novacron member list` shows who does"},
    {"too many learner", "promote or remove one first; `novacron member list` shows them"},
    {"member not found", "`novacron member list` shows the ids"},
    {"Peer URLs already exists", "another member has this URL; `novacron member list` shows whose"},
    {"given member URLs are invalid", "write it as in https://HOST:2380"},
    {"database space exceeded",
     "delete keys and compact, or make room on the disk; see docs/runbooks/no-space.md"},
    {"corrupt cluster", "see docs/runbooks/diverged.md"},
    {"too many requests", "it is overloaded; try again later"},
    {"has been compacted", "older revisions are gone; ask for a later one"},
    {"future revision", "there is no such revision yet; leave --rev away for the newest"},
    {"lease not found", "it has ended, or was never granted"},
    {"invalid user ID or password", "--user NAME:PASSWORD says who you are"},
    {"user name is empty", "the cluster wants to know who you are: --user NAME:PASSWORD"},
    {"invalid auth token", "say anew who you are: --user NAME:PASSWORD"},
    {"permission denied", "a role of this user must grant it; who has the role root may"},
    {"authentication is not enabled", "leave --user away"},
};

const char *hint_for(const char *text)
{
    for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++) {
        if (strstr(text, hints[i].text) != NULL) {
            return hints[i].hint;
        }
    }
    return NULL;
}
