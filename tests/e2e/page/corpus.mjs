// Texts that would run, break the layout or bring the page down if anything took them for more than text.
export const hostileTexts = [
  "<script>window.pwned = 1</script>",
  '<img src=x onerror="window.pwned = 2">',
  '"><svg onload=window.pwned=3>',
  "</span></div><iframe srcdoc=\"<script>parent.pwned=4</script>\"></iframe>",
  "javascript:window.pwned=5//",
  "' onmouseover='window.pwned=6",
  "{{constructor.constructor('window.pwned=7')()}}",
  "${window.pwned=8}",
  "<style>*{display:none}</style>",
  "<a href=\"javascript:window.pwned=9\">click</a>",
  "<math><mtext></form><form><mglyph><style></math><img src onerror=window.pwned=10>",
  "\u202eright to left override\u202c and \u2066isolates\u2069",
  "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334\u0319\u0324\u031e\u0349\u035a\u032f\u031e\u0320\u034dA\u036b\u0357\u0334\u0362\u0335\u031c\u0330\u0354L\u0368\u0367\u0369\u0358\u0320G\u0311\u0357\u030e\u0305\u035b\u0341\u0334\u033b\u0348\u034d\u0354\u0339O",
  "a".repeat(5000),
  "\u0000\u0007\u001b[31mred",
  "__proto__", "constructor", "toString",
  "😀".repeat(500),
];

export function hostileEvents(nowMs) {
  const timestamp = (offset) => new Date(nowMs + offset).toISOString().replace("Z", "000Z");
  return hostileTexts.flatMap((text, index) => [
    {
      schema: 1, id: `twitch:hostile-${index}`, source: "twitch", timestamp: timestamp(index), received: timestamp(index),
      payload: {kind: "message", channel: text, username: text, display_name: text, user_id: text, message: text, metadata: {color: text, badges: [text, `moderator/${text}`]}},
      anomaly: {isAnomaly: false},
    },
    {
      schema: 1, id: `twitch:hostile-raid-${index}`, source: "twitch", timestamp: timestamp(index), received: timestamp(index),
      payload: {kind: index % 2 ? "subscription" : "announcement", channel: "hostile", username: text, display_name: text, user_id: "1", message: text, metadata: {}},
      anomaly: {isAnomaly: false},
    },
    {
      schema: 1, id: `simulated:hostile:agg:${index}`, source: "market", timestamp: timestamp(index), received: timestamp(index),
      payload: {kind: "trade", exchange: text, symbol: text, price: 100 + index, volume: 1, side: "buy", direction: "up", trade_id: index + 1},
      anomaly: {isAnomaly: false},
    },
  ]);
}
