/* Events as CSV (RFC 4180, lines end with LF), for spreadsheets: a text cell that would be taken for a formula begins with an
 * apostrophe; numbers stay the digits that the exchange sent. */
#ifndef APP_CSV_H
#define APP_CSV_H

#include "event/event.h"

/* topics: bits 1 << enum event_source; columns that none of them fills are left out. */
void csv_write_header(unsigned topics, struct buffer *out);
void csv_write_event(const struct event *event, unsigned topics, struct buffer *out);

/* One text cell, quoted where needed. */
void csv_write_text(struct buffer *out, struct bytes text);

#endif
