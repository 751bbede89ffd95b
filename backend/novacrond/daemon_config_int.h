/* What the files of the configuration share. */
#ifndef NOVACRON_NOVACROND_DAEMON_CONFIG_INT_H
#define NOVACRON_NOVACROND_DAEMON_CONFIG_INT_H

#include "novacrond/daemon_config.h"

/* Parsing and freeing by libcyaml (daemon_schema.c). */
MUST_USE enum err daemon_schema_load(const char *name, struct bytes text,
                                     char why[DAEMON_WHY_BYTES], struct daemon_settings **ret);
void daemon_schema_free(struct daemon_settings *settings);

/* Takes what NOVACRON_... variables say over what the file said (daemon_environment.c). */
MUST_USE enum err daemon_environment_apply(char *const *env, struct daemon_settings *settings,
                                           char why[DAEMON_WHY_BYTES]);

/* Checks health.probes and says what they mean; `name` and `text` are the file's, for complaints
 * (daemon_config_probes.c). */
MUST_USE enum err daemon_config_check_probes(const char *name, struct bytes text,
                                             char why[DAEMON_WHY_BYTES],
                                             struct daemon_config *config);

/* A string as libcyaml allocates and frees them. */
char *daemon_string(const char *text, size_t len);

/* Of enums; NULL ends. */
extern const char *const daemon_role_names[];
extern const char *const daemon_state_names[];
extern const char *const daemon_timing_names[];
extern const char *const daemon_level_names[];
extern const char *const daemon_format_names[];

#endif
