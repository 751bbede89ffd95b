/* Private to backend/pki: files that appear whole, or not at all. */
#ifndef NOVACRON_PKI_PKI_FILE_H
#define NOVACRON_PKI_PKI_FILE_H

#include <stdarg.h>

#include "pki/pki.h"

struct pki_file {
    char path[PKI_PATH_BYTES];
};

/* Puts a reason into words; returns `e`. */
__attribute__((format(printf, 3, 4))) enum err pki_refuse(char why[PKI_WHY_BYTES], enum err e,
                                                          const char *format, ...);

/* The path of `name``suffix` in the directory. */
MUST_USE enum err pki_file_name(struct pki_file *file, const char *dir, const char *name,
                                const char *suffix, char why[PKI_WHY_BYTES]);

/* ERR_EXISTS if there is one. */
MUST_USE enum err pki_file_check_absent(const struct pki_file *file, char why[PKI_WHY_BYTES]);

/* Writes it durably, under its name only once it is whole; ERR_EXISTS if the name is taken. */
MUST_USE enum err pki_file_create(const struct pki_file *file, struct bytes content, unsigned mode,
                                  char why[PKI_WHY_BYTES]);

void pki_file_remove(const struct pki_file *file);

#endif
