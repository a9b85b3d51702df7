/* The tag emotes: "25:0-4,12-16/1902:6-10" says which code points of the text are which emote, ends included.  Ranges can exceed
 * the text: they are cut to it, and those wholly beyond it are left out. */
#ifndef SOURCE_TWITCH_IRC_EMOTES_H
#define SOURCE_TWITCH_IRC_EMOTES_H

#include "base/buffer.h"

/* Appends [{"id":"25","name":"Kappa","begin":0,"end":4},…] in the order of the tag.  False, and something may have been appended,
 * when no emote is left.  message: valid UTF-8. */
bool twitch_emotes_write(struct buffer *out, struct bytes emotes, struct bytes message);

#endif
