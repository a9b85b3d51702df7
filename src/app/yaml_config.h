/* Reads dataflow.yaml: mappings of scalars and lists of scalars, up to a small depth.  What configuration has no use for is
 * refused with its line: anchors and aliases (so nothing can be made to expand), tags, several documents, lists in lists. */
#ifndef APP_YAML_CONFIG_H
#define APP_YAML_CONFIG_H

#include "base/bytes.h"

struct yaml_entry {
    struct bytes path; /* "retention.age" */
    struct bytes value;
    unsigned line;
    bool in_list;
    bool empty; /* null: `key:`, `~` or null, unquoted */
};

struct yaml_reader {
    void (*entry)(void *context, const struct yaml_entry *entry);
    void (*problem)(void *context, unsigned line, const char *text);
    void *context;
};

/* Calls `entry` for each scalar in order; stops at the first problem. */
void yaml_config_parse(struct bytes text, const struct yaml_reader *reader);

#endif
