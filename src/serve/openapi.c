/* /openapi.json: OpenAPI 3.1, made from the table of routes. */
#include "serve/serve_internal.h"

static const struct {
    enum serve_parameter bit;
    const char *name, *description, *schema;
} parameter_table[] = {
    {SERVE_TOPIC, "topic", "chat_stream, market_stream or analytics_stream", "{\"type\":\"string\"}"},
    {SERVE_KEY, "key", "The topic's key: a channel, exchange:symbol, a query or an incident",
     "{\"type\":\"string\",\"maxLength\":256}"},
    {SERVE_LIMIT, "limit", "How many at most", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000,\"default\":100}"},
    {SERVE_FROM, "from", "Event time from which on, inclusive, RFC 3339", "{\"type\":\"string\",\"format\":\"date-time\"}"},
    {SERVE_TO, "to", "Event time up to which, inclusive, RFC 3339", "{\"type\":\"string\",\"format\":\"date-time\"}"},
    {SERVE_BEFORE, "before",
     "Cursor, the next or previous of any answer to the same question: what lies before it, newest first; not together with "
     "after",
     "{\"type\":\"string\"}"},
    {SERVE_AFTER, "after",
     "Cursor, the next or previous of any answer to the same question: what lies after it, oldest first; not together with "
     "before",
     "{\"type\":\"string\"}"},
};

static const char schemas[] =
    "\"Error\":{\"type\":\"object\",\"required\":[\"error\"],\"properties\":{\"error\":{\"type\":\"object\","
    "\"required\":[\"code\",\"message\"],\"properties\":{\"code\":{\"type\":\"string\"},\"message\":{\"type\":\"string\"}}}}},"
    "\"Erased\":{\"type\":\"object\",\"required\":[\"erased\"],\"properties\":{\"erased\":{\"type\":\"integer\","
    "\"description\":\"Events\"}}},"
    "\"Probe\":{\"type\":\"object\",\"properties\":{\"live\":{\"type\":\"boolean\"},\"ready\":{\"type\":\"boolean\"}}},"
    "\"Document\":{\"type\":\"object\",\"description\":\"An OpenAPI 3.1 document\"},"
    "\"LiveFrame\":{\"type\":\"object\",\"properties\":{\"topic\":{\"type\":\"string\"},\"event\":{},"
    "\"dropped\":{\"type\":\"integer\",\"minimum\":1},\"error\":{\"type\":\"string\"}}},"
    "\"Event\":{\"type\":\"object\",\"required\":[\"schema\",\"id\",\"source\",\"timestamp\",\"payload\"],\"properties\":{"
    "\"schema\":{\"const\":1},\"id\":{\"type\":\"string\"},\"source\":{\"enum\":[\"twitch\",\"market\",\"analytics\"]},"
    "\"timestamp\":{\"type\":\"string\",\"format\":\"date-time\"},\"received\":{\"type\":\"string\",\"format\":\"date-time\"},"
    "\"payload\":{\"type\":\"object\",\"required\":[\"kind\"],\"properties\":{\"kind\":{\"type\":\"string\"}}},"
    "\"moderation\":{\"type\":\"object\",\"description\":\"What a moderator took down; not in the live feed\",\"required\":"
    "[\"state\",\"at\",\"by\"],\"properties\":{\"state\":{\"enum\":[\"deleted\",\"timed_out\",\"banned\",\"cleared\"]},"
    "\"at\":{\"type\":\"string\",\"format\":\"date-time\"},\"by\":{\"type\":\"string\"}}},"
    "\"toxicity\":{\"type\":\"object\"},\"sentiment\":{\"type\":\"number\",\"minimum\":-1,\"maximum\":1},"
    "\"anomaly\":{\"type\":\"object\",\"required\":[\"isAnomaly\"],\"properties\":{\"isAnomaly\":{\"type\":\"boolean\"}}}}},"
    "\"Events\":{\"type\":\"object\",\"required\":[\"events\",\"next\"],\"properties\":{\"events\":{\"type\":\"array\","
    "\"items\":{\"$ref\":\"#/components/schemas/Event\"}},\"next\":{\"type\":[\"string\",\"null\"],"
    "\"description\":\"Cursor of the last event here: after= it the following page begins; without "
    "events the after= that was given, or null\"},\"previous\":{\"type\":[\"string\",\"null\"],"
    "\"description\":\"Cursor of the first event here: before= it the preceding page ends; without events the before= "
    "that was given, or null\"}}},"
    "\"Source\":{\"type\":\"object\",\"required\":[\"name\",\"kind\",\"state\",\"since\",\"last_event\",\"age_seconds\","
    "\"events\",\"rejected\",\"duplicates\",\"gaps\",\"missing\",\"reconnects\",\"rate\"],\"properties\":{"
    "\"name\":{\"type\":\"string\"},\"kind\":{\"type\":\"string\"},"
    "\"state\":{\"enum\":[\"connecting\",\"live\",\"stale\",\"backing_off\",\"failed\",\"ended\"]},"
    "\"since\":{\"type\":[\"string\",\"null\"]},\"last_event\":{\"type\":[\"string\",\"null\"]},"
    "\"age_seconds\":{\"type\":[\"number\",\"null\"]},\"events\":{\"type\":\"integer\"},\"rejected\":{\"type\":\"integer\"},"
    "\"duplicates\":{\"type\":\"integer\"},\"gaps\":{\"type\":\"integer\"},\"missing\":{\"type\":\"integer\"},"
    "\"reconnects\":{\"type\":\"integer\"},\"rate\":{\"type\":\"number\"}}},"
    "\"Sources\":{\"type\":\"object\",\"required\":[\"sources\"],\"properties\":{\"sources\":{\"type\":\"array\","
    "\"items\":{\"$ref\":\"#/components/schemas/Source\"}}}},"
    "\"Stage\":{\"type\":\"object\",\"description\":\"in + created = out + rejected + duplicate + filtered + late + dropped + "
    "pending\",\"required\":[\"name\",\"in\",\"created\",\"out\",\"rejected\",\"duplicate\",\"filtered\",\"late\",\"dropped\","
    "\"pending\"],\"properties\":{\"name\":{\"type\":\"string\"},\"in\":{\"type\":\"integer\"},\"created\":{\"type\":\"integer\"}"
    ","
    "\"out\":{\"type\":\"integer\"},\"rejected\":{\"type\":\"integer\"},\"duplicate\":{\"type\":\"integer\"},"
    "\"filtered\":{\"type\":\"integer\"},\"late\":{\"type\":\"integer\"},\"dropped\":{\"type\":\"integer\"},"
    "\"pending\":{\"type\":\"integer\"}}},"
    "\"Status\":{\"type\":\"object\",\"required\":[\"version\",\"ready\",\"uptime_seconds\",\"stages\"],\"properties\":{"
    "\"version\":{\"type\":\"string\"},\"ready\":{\"type\":\"boolean\"},\"uptime_seconds\":{\"type\":\"number\"},"
    "\"stages\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/components/schemas/Stage\"}}}}";

static void write_parameter(struct buffer *out, size_t i, bool required, bool *first)
{
    buffer_printf(out, "%s{\"name\":\"%s\",\"in\":\"query\",\"required\":%s,\"description\":\"%s\",\"schema\":%s}",
                  *first ? "" : ",", parameter_table[i].name, required ? "true" : "false", parameter_table[i].description,
                  parameter_table[i].schema);
    *first = false;
}

static void write_parameters(struct buffer *out, const struct serve_route *route)
{
    bool first = true;
    BUFFER_LITERAL(out, "\"parameters\":[");
    if (strchr(route->label, '{')) {
        buffer_printf(out, "{\"name\":\"%s\",\"in\":\"path\",\"required\":true,\"description\":\"The name of a %s\",",
                      route->deletes ? "name" : "query", route->deletes ? "user: the login" : "query");
        BUFFER_LITERAL(out, "\"schema\":{\"type\":\"string\"}}");
        first = false;
    }
    for (size_t i = 0; i < sizeof parameter_table / sizeof parameter_table[0]; i++)
        if (route->parameters & parameter_table[i].bit)
            write_parameter(out, i, parameter_table[i].bit == SERVE_TOPIC && (route->parameters & SERVE_LIMIT), &first);
    if (route->query_token)
        buffer_printf(
            out,
            "%s{\"name\":\"token\",\"in\":\"query\",\"required\":false,\"description\":\"The token, where no header can "
            "be set\",\"schema\":{\"type\":\"string\"}}",
            first ? "" : ",");
    BUFFER_LITERAL(out, "],");
}

static void write_error_response(struct buffer *out, const char *status, const char *description)
{
    buffer_printf(out,
                  ",\"%s\":{\"description\":\"%s\",\"content\":{\"application/json\":{\"schema\":{\"$ref\":"
                  "\"#/components/schemas/Error\"}}}}",
                  status, description);
}

static void write_responses(struct buffer *out, const struct serve_route *route)
{
    bool live = route->answer == serve_api_live;
    buffer_printf(out, "\"responses\":{\"%s\":{\"description\":\"%s\"", live ? "101" : "200",
                  live ? "The WebSocket" : "The answer");
    if (!live) {
        buffer_printf(out, ",\"content\":{\"%s\":{\"schema\":", route->content_type);
        if (route->schema)
            buffer_printf(out, "{\"$ref\":\"#/components/schemas/%s\"}", route->schema);
        else
            BUFFER_LITERAL(out, "{\"type\":\"string\"}");
        BUFFER_LITERAL(out, "}}");
    }
    buffer_byte(out, '}');
    if (route->parameters)
        write_error_response(out, "400", "A parameter is wrong; the message names it");
    if (!route->open) {
        write_error_response(out, "401", "The token is missing or wrong");
        write_error_response(out, "403", "Host or Origin is not allowed");
    }
    if (route->deletes) {
        write_error_response(out, "400", "No user can be called so");
        write_error_response(out, "404", "Nothing is known of that user");
        write_error_response(out, "503", "Too many erasures wait, or this one could not be ended");
    }
    if (route->answer == serve_api_documents)
        write_error_response(out, "404", "There is no such collection");
    if (live)
        write_error_response(out, "426", "Asked without Upgrade");
    if (route->answer == serve_api_readyz)
        BUFFER_LITERAL(out, ",\"503\":{\"description\":\"Not ready\",\"content\":{\"application/json\":{\"schema\":{\"$ref\":"
                            "\"#/components/schemas/Probe\"}}}}");
    buffer_byte(out, '}');
}

static void write_operation_id(struct buffer *out, const struct serve_route *route)
{
    buffer_printf(out, "\"operationId\":\"%s", route->deletes ? "delete" : "get");
    for (const char *at = route->label; *at; at++)
        buffer_byte(out, *at == '/' || *at == '.' || *at == '{' || *at == '}' ? '_' : *at);
    BUFFER_LITERAL(out, "\",");
}

void serve_openapi_write(struct buffer *out)
{
    size_t count;
    const struct serve_route *routes = serve_routes(&count);
    BUFFER_LITERAL(out,
                   "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"DataFlow Stream\",\"version\":\"" DATAFLOW_VERSION
                   "\",\"description\":\"Live chat and market events: what is stored, and what comes now\",\"license\":{\"name\":"
                   "\"Apache-2.0\",\"identifier\":\"Apache-2.0\"}},\"paths\":{");
    for (size_t i = 0; i < count; i++) {
        buffer_printf(out, "%s\"%s\":{\"%s\":{", i > 0 ? "," : "", routes[i].label, routes[i].deletes ? "delete" : "get");
        write_operation_id(out, &routes[i]);
        buffer_printf(out, "\"summary\":\"%s\",", routes[i].summary);
        write_parameters(out, &routes[i]);
        if (routes[i].open)
            BUFFER_LITERAL(out, "\"security\":[],");
        write_responses(out, &routes[i]);
        BUFFER_LITERAL(out, "}}");
    }
    BUFFER_LITERAL(out, "},\"security\":[{},{\"token\":[]}],\"components\":{\"securitySchemes\":{\"token\":{\"type\":\"http\","
                        "\"scheme\":\"bearer\"}},\"schemas\":{");
    buffer_append(out, bytes_of(schemas, sizeof schemas - 1));
    BUFFER_LITERAL(out, "}}}");
}
