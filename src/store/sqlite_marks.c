/* Moderators' marks.  A message is asked about once for each scope that could have taken it down; each question is one look
 * into the table's order. */
#include "store/sqlite_internal.h"

static enum sqlite_scope scope_of(enum store_mark_kind kind)
{
    switch (kind) {
    case STORE_MARK_DELETED:
        return SQLITE_SCOPE_MESSAGE;
    case STORE_MARK_CLEARED:
        return SQLITE_SCOPE_CHANNEL;
    default:
        return SQLITE_SCOPE_USER;
    }
}

int sqlite_add_mark(struct sqlite_store *sqlite, const struct store_mark *mark, struct error *error)
{
    sqlite3_stmt *add = sqlite->statements[SQL_MARK_ADD];
    sqlite_bind_text(add, 1, mark->channel);
    sqlite3_bind_int64(add, 2, scope_of(mark->kind));
    sqlite_bind_text(add, 3, mark->target);
    sqlite3_bind_int64(add, 4, mark->timestamp_us);
    sqlite3_bind_int64(add, 5, sqlite_offset_of(mark->offset));
    sqlite3_bind_int64(add, 6, mark->kind);
    sqlite_bind_text(add, 7, mark->by);
    return sqlite_run(add) == 0 ? 0 : sqlite_fail(sqlite, sqlite->writer, error, "storing a moderator's mark");
}

static bool copy_text(sqlite3_stmt *row, int column, struct arena *arena, struct bytes *text)
{
    const char *at = (const char *)sqlite3_column_text(row, column);
    *text = arena_copy(arena, bytes_of(at, at ? (size_t)sqlite3_column_bytes(row, column) : 0));
    return text->at != NULL;
}

/* The row as a mark.  False when out of memory. */
static bool copy_mark(sqlite3_stmt *row, struct arena *arena, struct store_mark *mark)
{
    *mark = (struct store_mark){.kind = (enum store_mark_kind)sqlite3_column_int64(row, 0),
                                .timestamp_us = sqlite3_column_int64(row, 3),
                                .offset = (uint64_t)sqlite3_column_int64(row, 4)};
    return copy_text(row, 1, arena, &mark->channel) && copy_text(row, 2, arena, &mark->target) &&
           copy_text(row, 5, arena, &mark->by);
}

static int out_of_memory(const struct sqlite_store *sqlite, struct error *error)
{
    return error_set(error, "store %s: out of memory for moderators' marks", sqlite->path);
}

/* Replaces *mark by the first of the scope that holds for the message, if that is earlier. */
static int find_earlier(struct sqlite_store *sqlite, const struct store_message *message, enum sqlite_scope scope,
                        struct bytes target, struct arena *arena, struct store_mark *mark, struct error *error)
{
    sqlite3_stmt *find = sqlite->queries[SQL_MARK_FIND];
    sqlite_bind_text(find, 1, message->channel);
    sqlite3_bind_int64(find, 2, scope);
    sqlite_bind_text(find, 3, target);
    sqlite3_bind_int64(find, 4, scope == SQLITE_SCOPE_MESSAGE ? INT64_MIN : message->timestamp_us);
    sqlite3_bind_int64(find, 5, scope == SQLITE_SCOPE_MESSAGE ? INT64_MIN : sqlite_offset_of(message->offset));
    int code = sqlite3_step(find);
    bool earlier =
        code == SQLITE_ROW &&
        (mark->kind == STORE_MARK_NONE || sqlite3_column_int64(find, 3) < mark->timestamp_us ||
         (sqlite3_column_int64(find, 3) == mark->timestamp_us && (uint64_t)sqlite3_column_int64(find, 4) < mark->offset));
    int result = 0;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        result = sqlite_fail(sqlite, sqlite->reader, error, "looking for moderators' marks");
    else if (earlier && !copy_mark(find, arena, mark))
        result = out_of_memory(sqlite, error);
    sqlite3_reset(find);
    return result;
}

int sqlite_find_marks(struct store *store, const struct store_message *messages, size_t count, struct arena *arena,
                      struct store_mark *marks, struct error *error)
{
    struct sqlite_store *sqlite = sqlite_of(store);
    int result = 0;
    pthread_mutex_lock(&sqlite->read_lock);
    for (size_t i = 0; i < count && result == 0; i++) {
        const struct store_message *message = &messages[i];
        marks[i] = (struct store_mark){.kind = STORE_MARK_NONE};
        result = find_earlier(sqlite, message, SQLITE_SCOPE_MESSAGE, message->id, arena, &marks[i], error);
        if (result == 0 && message->user.length > 0)
            result = find_earlier(sqlite, message, SQLITE_SCOPE_USER, message->user, arena, &marks[i], error);
        if (result == 0)
            result = find_earlier(sqlite, message, SQLITE_SCOPE_CHANNEL, BYTES(""), arena, &marks[i], error);
    }
    pthread_mutex_unlock(&sqlite->read_lock);
    return result;
}

int sqlite_list_marks(struct store *store, uint64_t from_offset, struct arena *arena, struct store_mark *marks, size_t *count,
                      struct error *error)
{
    struct sqlite_store *sqlite = sqlite_of(store);
    size_t found = 0;
    int result = 0, code = SQLITE_DONE;
    pthread_mutex_lock(&sqlite->read_lock);
    sqlite3_stmt *list = sqlite->queries[SQL_MARK_LIST];
    sqlite3_bind_int64(list, 1, sqlite_offset_of(from_offset));
    sqlite3_bind_int64(list, 2, *count > INT64_MAX ? INT64_MAX : (int64_t)*count);
    while (result == 0 && (code = sqlite3_step(list)) == SQLITE_ROW) {
        if (copy_mark(list, arena, &marks[found]))
            found++;
        else
            result = out_of_memory(sqlite, error);
    }
    if (result == 0 && code != SQLITE_DONE)
        result = sqlite_fail(sqlite, sqlite->reader, error, "listing moderators' marks");
    sqlite3_reset(list);
    pthread_mutex_unlock(&sqlite->read_lock);
    *count = found;
    return result;
}
