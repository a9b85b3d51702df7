/* docs/configuration.md, made from the option table. */
#ifndef APP_DOCUMENTATION_H
#define APP_DOCUMENTATION_H

#include "base/buffer.h"

void documentation_configuration(struct buffer *out);

#endif
