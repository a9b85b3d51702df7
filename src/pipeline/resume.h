/* After a restart: tells sources what they had made, so that they go on from there (source_resume). */
#ifndef PIPELINE_RESUME_H
#define PIPELINE_RESUME_H

#include "bus/bus.h"
#include "source/source.h"

/* The records at the end of the log that are told: enough for the last trade of every symbol that trades now and then, few
 * enough for a start within a fraction of a second. */
enum { RESUME_RECORDS = 100000 };

/* Reads the log's end and tells each event in it to the sources that can resume. */
int resume_sources(struct bus *bus, struct source *const *sources, size_t count, struct error *error);

#endif
