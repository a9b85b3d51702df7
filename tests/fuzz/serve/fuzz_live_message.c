/* What a live client may send.  A message changes the subscription or leaves it as it was; whatever it says, topics and
 * filters stay within their limits. */
#include "serve/serve_internal.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct serve_subscription subscription = {0};
    struct error error = {""};
    if (serve_subscription_parse(&subscription, BYTES("{\"subscribe\":[\"alerts\"],\"filter\":{\"key\":\"k\"}}"), &error) != 0)
        __builtin_trap();
    struct serve_subscription before = subscription;
    int status = serve_subscription_parse(&subscription, bytes_of((const char *)data, size), &error);
    if (status != 0 && (subscription.topics != before.topics || subscription.key.values != before.key.values || !error.text[0]))
        __builtin_trap();
    if (subscription.window_count > SERVE_WINDOW_NAMES_MAX || subscription.key.count > SERVE_FILTER_MAX ||
        subscription.topics >> SERVE_TOPIC_COUNT)
        __builtin_trap();
    for (size_t i = 0; i < subscription.window_count; i++)
        if (!memchr(subscription.windows[i], 0, SERVE_WINDOW_NAME_SIZE) || subscription.windows[i][0] == '\0')
            __builtin_trap();
    serve_subscription_matches(&subscription, SERVE_MARKET_STREAM, BYTES("binance:BTC-USDT"));
    serve_subscription_matches(&subscription, SERVE_CHAT_STREAM, bytes_of((const char *)data, size));
    serve_subscription_release(&subscription);
    return 0;
}
