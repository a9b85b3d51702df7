/* dataflow docs configuration: the generated page, for `docs/configuration.md`. */
#include "app/command.h"
#include "app/documentation.h"

enum { PAGE_MAX = 1024 * 1024 };

int command_docs(const struct command_context *context)
{
    struct error error;
    if (strcmp(context->argv[0], "configuration") != 0) {
        error_set(&error, "%.60s is not a generated page (configuration)", context->argv[0]);
        command_failed(context, &error);
        return COMMAND_USAGE;
    }
    struct buffer page;
    buffer_init(&page, PAGE_MAX);
    documentation_configuration(&page);
    fwrite(page.at, 1, page.length, stdout);
    buffer_release(&page);
    return COMMAND_DONE;
}
