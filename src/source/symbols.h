/* Symbols: BTC-USDT here, BTCUSDT (and btcusdt in stream names) at exchanges that write base and quote without a
 * mark.  A table of quote assets tells where to split; the longest that fits wins. */
#ifndef SOURCE_SYMBOLS_H
#define SOURCE_SYMBOLS_H

#include "base/bytes.h"

enum { SYMBOL_LENGTH_MAX = 64 }; /* of either form */

/* BTCUSDT or btcusdt to BTC-USDT: writes at most SYMBOL_LENGTH_MAX bytes and returns their number; 0 if the text is too
 * long, has characters that no symbol has, or ends with no known quote asset. */
size_t symbol_split(struct bytes text, char *out);

/* BTC-USDT to BTCUSDT, or in lower case for stream names; 0 if it is no BASE-QUOTE. */
size_t symbol_join(struct bytes symbol, bool lower_case, char *out);

#endif
