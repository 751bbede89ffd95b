/*
 * What a fence agent says of itself: the XML that its action `metadata` prints, as the fence
 * agents' API defines it (lib/metadata.rng of the fence-agents project), and what of it a driver
 * needs.
 *
 *     <resource-agent name="fence_x">
 *       <parameters>
 *         <parameter name="ip" required="1" obsoletes="ipaddr">
 *           <getopt mixed="-a, --ip=[ip]" />
 *           <content type="string|integer|second|boolean|select" default="..."> <option value=""/>
 *       <actions>
 *         <action name="off" />
 *
 * Everything else is skipped. An agent is a program of somebody else's, so its bytes are untrusted:
 * a document type (and with it every entity) is refused, and all counts and lengths are bounded.
 *
 * SYNONYMS. Agents keep the names that a parameter had before: `ipaddr` and `ip`, which `obsoletes`
 * it, `login` and `username`, which share an option of the command line. Names that are linked in
 * either way are one parameter, which is given once.
 */
#ifndef NOVACRON_DRIVERS_FENCE_FENCE_METADATA_H
#define NOVACRON_DRIVERS_FENCE_FENCE_METADATA_H

#include "core/base/err.h"
#include "core/base/types.h"

/* The largest metadata of fence-agents 4.12 is 11 KB, with 44 parameters. */
#define FENCE_METADATA_MAX_BYTES (64 * 1024)
#define FENCE_PARAMETERS_MAX     256
#define FENCE_OPTIONS_MAX        64

/* The longest name of a parameter and value of an option, and the longest text of `getopt`, each
 * with its final zero. */
#define FENCE_WORD_MAX_BYTES   64
#define FENCE_GETOPT_MAX_BYTES 128

/* Room for what is wrong, in words. */
#define FENCE_WHY_MAX_BYTES 512

enum fence_content {
    FENCE_STRING, /* also what no type is said of, and types that we do not know */
    FENCE_INTEGER,
    FENCE_SECOND,
    FENCE_BOOLEAN,
    FENCE_SELECT
};

struct fence_parameter {
    char name[FENCE_WORD_MAX_BYTES];
    char obsoletes[FENCE_WORD_MAX_BYTES]; /* empty: none */
    char getopt[FENCE_GETOPT_MAX_BYTES];  /* empty: none */
    enum fence_content content;
    bool is_required;
    bool is_deprecated;
    uint32_t option_count;                 /* of SELECT */
    char (*options)[FENCE_WORD_MAX_BYTES]; /* owned; NULL: none */
};

/* Bits of `actions`. */
#define FENCE_ACTION_ON     0x1U
#define FENCE_ACTION_OFF    0x2U
#define FENCE_ACTION_REBOOT 0x4U
#define FENCE_ACTION_STATUS 0x8U

struct fence_metadata {
    uint32_t actions;
    uint32_t parameter_count;
    struct fence_parameter *parameters; /* owned, with room for FENCE_PARAMETERS_MAX */
};

/* Of ERR_CORRUPT (it is not well-formed, or not this kind of document) and ERR_TOO_LARGE (it is
 * beyond a limit), `why` tells more. */
MUST_USE enum err fence_metadata_decode(struct bytes xml, struct fence_metadata *ret, char *why,
                                        size_t why_bytes);
void fence_metadata_deinit(struct fence_metadata *m);

/* NULL: there is none of that name. */
const struct fence_parameter *fence_metadata_find(const struct fence_metadata *m, const char *name);

/* Two names of one parameter, or the same name. */
bool fence_parameters_are_one(const struct fence_parameter *a, const struct fence_parameter *b);

#endif
