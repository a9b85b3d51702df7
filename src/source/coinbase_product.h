/* One product of the Coinbase adapter: what was seen of it, and the events that its frames make. */
#ifndef SOURCE_COINBASE_PRODUCT_H
#define SOURCE_COINBASE_PRODUCT_H

#include "source/coinbase_frame.h"
#include "source/source_internal.h"

#define COINBASE_EXCHANGE "coinbase"

struct coinbase_product;

/* name: BTC-USD, at most SYMBOL_LENGTH_MAX bytes.  NULL when out of memory. */
struct coinbase_product *coinbase_product_create(struct bytes name);
void coinbase_product_destroy(struct coinbase_product *product); /* NULL: nothing */

/* Takes note of an event that it made before a restart (source_resume). */
void coinbase_product_resume(struct coinbase_product *product, const struct event *event);

/* Takes a match, ticker or heartbeat of this product and accounts for the open frame: emits its event, a gap before it
 * where trades are missing, or counts it as duplicate.  Otherwise the reason, and the caller rejects. */
enum reject_reason coinbase_product_take(struct coinbase_product *product, struct source *source,
                                         const struct coinbase_frame *frame, int64_t received_us, struct source_output *output);

#endif
