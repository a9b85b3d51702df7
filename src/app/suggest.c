/* Did-you-mean: the candidate with the least edit distance, if no more than a third of the word is different. */
#include "app/options.h"

void suggestion_init(struct suggestion *suggestion, struct bytes word)
{
    *suggestion = (struct suggestion){.word = word, .distance = (unsigned)word.length / 3 + 2};
}

void suggestion_offer(struct suggestion *suggestion, const char *candidate)
{
    if (!candidate)
        return;
    struct bytes text = bytes_of_string(candidate);
    unsigned distance = bytes_distance(suggestion->word, text);
    /* What was cut short counts as near: `--source` for `--sources`, `norm` for `normalize`. */
    if (suggestion->word.length >= 3 && bytes_start_with(text, suggestion->word) && distance > 1)
        distance = 1;
    if (distance < suggestion->distance && distance < text.length) {
        suggestion->distance = distance;
        suggestion->best = candidate;
    }
}

const char *suggestion_text(const struct suggestion *suggestion, const char *prefix, char *space, size_t size)
{
    if (!suggestion->best)
        return "";
    snprintf(space, size, "; did you mean %s%s?", prefix, suggestion->best);
    return space;
}
