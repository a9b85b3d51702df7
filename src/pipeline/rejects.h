/* Keeps what sources refused, for inspection: JSON lines {"time","source","reason","frame"} in DATA/rejects.jsonl; at 4 MiB
 * the file becomes rejects.jsonl.1 and a new one begins.  Thread-safe. */
#ifndef PIPELINE_REJECTS_H
#define PIPELINE_REJECTS_H

#include "base/error.h"
#include "event/event.h"

struct rejects;

struct rejects *rejects_open(const char *directory, struct error *error);
void rejects_keep(struct rejects *rejects, int64_t now_us, struct bytes source, enum reject_reason reason, struct bytes frame);
/* Empties the frames of lines that have the text in any case, in both files; each file is then the old one or the new one,
 * whatever happens.  Adds to *lines. */
int rejects_erase(struct rejects *rejects, struct bytes text, uint64_t *lines, struct error *error);
void rejects_close(struct rejects *rejects);

#endif
