/* Keeps what sources refused, for inspection: JSON lines {"time","source","reason","frame"} in DATA/rejects.jsonl; at 4 MiB
 * the file becomes rejects.jsonl.1 and a new one begins.  One thread. */
#ifndef PIPELINE_REJECTS_H
#define PIPELINE_REJECTS_H

#include "base/error.h"
#include "event/event.h"

struct rejects;

struct rejects *rejects_open(const char *directory, struct error *error);
void rejects_keep(struct rejects *rejects, int64_t now_us, struct bytes source, enum reject_reason reason, struct bytes frame);
void rejects_close(struct rejects *rejects);

#endif
