/*
 * Manifests: what an operator wants of machines, hosts, fence devices, storages and settings, as
 * YAML. Each document of a file is one record (core/ha/ha_record.h) with a field `kind` more:
 *
 *     kind: vm
 *     name: web-1
 *     memory_mib: 512
 *     ---
 *     kind: host
 *     ...
 *
 * A document becomes the record's JSON object, which the record's own decoder then checks: there is
 * one schema. What it complains of by the path of a field is found again as a line of the file.
 *
 * Of YAML there are mappings, sequences and scalars, as its core schema has them; no anchors, no
 * tags, no mapping twice under a key. Plain `true`, `false`, `null` and numbers are what they look
 * like; whatever is quoted is a text.
 */
#ifndef NOVACRON_CLI_MANIFEST_H
#define NOVACRON_CLI_MANIFEST_H

#include "core/base/buf.h"
#include "core/ha/ha_record.h"

/* More is refused, before it is read as YAML. */
#define MANIFEST_BYTES_MAX     (1024 * 1024)
#define MANIFEST_DOCUMENTS_MAX 256

/* How deep mappings and sequences may lie in each other. */
#define MANIFEST_DEPTH_MAX 16

/* A field, by its path: "restart.delay_ms", "levels[1]". Sorted by nothing: the order of the file.
 */
struct manifest_field {
    char *path; /* owned */
    size_t line;
};

struct manifest_document {
    enum ha_kind kind;
    size_t line;                   /* where it begins */
    struct buf json;               /* owned: one object, without `kind` */
    struct manifest_field *fields; /* owned */
    size_t n_fields;
    size_t fields_cap;
};

struct manifest {
    struct manifest_document *documents; /* owned */
    size_t n;
};

/* Reads `text`. `assumed`: the kind of documents that do not say one, and the only one that is
 * taken; HA_KINDS: each must say its own. ERR_INVALID: `why` has "12: what is wrong". */
MUST_USE enum err manifest_read(struct bytes text, enum ha_kind assumed, struct manifest *ret,
                                struct buf *why);
void manifest_free(struct manifest *m);

/* Does the document have this field, by its path? */
bool manifest_has(const struct manifest_document *d, const char *path);

/* The line that a complaint is about which begins with the path of a field; that of the nearest
 * field around it, or of the document, where the field is not there. */
size_t manifest_line(const struct manifest_document *d, const char *complaint);

#endif
