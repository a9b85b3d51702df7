/* One symbol of the Binance adapter: what was seen of it, and the events that its frames make. */
#ifndef SOURCE_BINANCE_SYMBOL_H
#define SOURCE_BINANCE_SYMBOL_H

#include "source/binance_frame.h"
#include "source/source_internal.h"

struct binance_symbol;

/* name: BTC-USDT, at most SYMBOL_LENGTH_MAX bytes.  NULL when out of memory. */
struct binance_symbol *binance_symbol_create(struct bytes name);
void binance_symbol_destroy(struct binance_symbol *symbol); /* NULL: nothing */

/* Takes note of an event that it made before a restart (source_resume). */
void binance_symbol_resume(struct binance_symbol *symbol, const struct event *event);

/* Takes a trade, candle or quote of this symbol and accounts for the open frame: emits its events, a gap before them
 * where ids were skipped, or counts it as duplicate or filtered.  Otherwise the reason, and the caller rejects. */
enum reject_reason binance_symbol_take(struct binance_symbol *symbol, struct source *source, const struct binance_frame *frame,
                                       int64_t received_us, struct source_output *output);

#endif
