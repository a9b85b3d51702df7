/* dataflow version, and dataflow --version. */
#include "app/command.h"

int command_version(const struct command_context *context)
{
    printf(context->json ? "{\"version\":\"%s\"}\n" : "dataflow %s\n", DATAFLOW_VERSION);
    return COMMAND_DONE;
}
