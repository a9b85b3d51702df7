/* Decimals as text: prices and volumes keep the digits that the exchange sent, of any length. */
#ifndef EVENT_DECIMAL_H
#define EVENT_DECIMAL_H

#include "base/bytes.h"

/* True for a JSON number (RFC 8259 section 6): what may stand unquoted in an event. */
bool decimal_is_valid(struct bytes text);

/* The calls below take valid texts only.  Exponents beyond ±2^60 count as that. */

/* <0, 0, >0 by numeric value, exactly: 1.0 equals 1.00 and 1e0. */
int decimal_compare(struct bytes a, struct bytes b);

bool decimal_is_positive(struct bytes text);

/* The nearest double; for statistics only. */
double decimal_to_double(struct bytes text);

#endif
