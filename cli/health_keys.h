/*
 * The keys by which hosts watch each other, as files: made by `novacron cluster init`, copied to
 * each member by it and by `join`. They are the cluster's secret like the authority's key, and lie
 * beside it: in the authority's folder, or where there is none in the folder of all members.
 */
#ifndef NOVACRON_CLI_HEALTH_KEYS_H
#define NOVACRON_CLI_HEALTH_KEYS_H

#include <stdbool.h>

#include "cli/member_file.h"
#include "core/base/err.h"

#define HEALTH_KEYS_FILE "health.keys"

/* Where a cluster's keys lie: below `ca`, or where that is NULL below `dir`. */
void health_keys_place(const char *ca, const char *dir, char path[MEMBER_PATH_BYTES]);

/* Makes a file with one new key, which its owner alone reads. ERR_EXISTS: there is one. */
MUST_USE enum err health_keys_make(const char *path, char why[DAEMON_WHY_BYTES]);

/* Copies it to DIR/NAME, which exists. ERR_EXISTS: other keys are there. */
MUST_USE enum err health_keys_copy(const char *path, const char *dir, const char *name,
                                   char why[DAEMON_WHY_BYTES]);

/* Is one of its keys the one that a member tells of by this print? ERR_REFUSED: none is. */
MUST_USE enum err health_keys_check(const char *path, const char *print,
                                    char why[DAEMON_WHY_BYTES]);

bool health_keys_exist(const char *path);

#endif
