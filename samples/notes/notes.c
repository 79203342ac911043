/* Notes, kept in a SQLite database in linear memory: a service in the form of a WASI reactor.
   `_initialize` opens the database; each call of `handle` reads one HTTP request from standard input and writes
   the response to standard output. State lives from one request to the next and nowhere but in memory. */
#include "notes.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of a note; notes in one answer; pages of 4096 bytes in the database (the rest is for answering). */
#define MAX_TEXT 2048
#define MAX_LIST "1000"
#define MAX_PAGES "4096"

static const char HELP[] =
    "Notes, in a SQLite database that lives in this program's memory.\n"
    "\n"
    "  curl HOST/notes                             list (1000 at most; ?after=ID goes on)\n"
    "  curl HOST/notes -d 'buy milk'               add; JSON {\"text\": \"...\"} works too\n"
    "  curl HOST/notes/1                           read\n"
    "  curl 'HOST/search?q=milk'                   search: notes with words that begin like these\n"
    "  curl HOST/notes/1 -X DELETE                 delete\n"
    "\n"
    "These store a note and then fail. If the failed request is undone, the note is gone again:\n"
    "\n"
    "  curl HOST/crash/null -X POST                calls a null function pointer\n"
    "  curl HOST/crash/stack -X POST               recursion without end\n"
    "  curl HOST/crash/loop -X POST                a loop without end\n"
    "  curl HOST/crash/scribble -X POST            overwrites the heap with junk, then traps\n"
    "  curl HOST/crash/memory -X POST              takes all memory, then aborts\n"
    "  curl HOST/crash/exit -X POST                exit(1) in the middle of an answer\n"
    "\n"
    "HOST is where you asked for this page, http://127.0.0.1:8080 by default.\n";

/* The index holds no text of its own: triggers keep it in step with the table. */
static const char SCHEMA[] =
    "PRAGMA max_page_count = " MAX_PAGES ";"
    "CREATE TABLE notes (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL);"
    "CREATE VIRTUAL TABLE words USING fts5(text, content='notes', content_rowid='id');"
    "CREATE TRIGGER added AFTER INSERT ON notes BEGIN"
    "  INSERT INTO words(rowid, text) VALUES (new.id, new.text);"
    "END;"
    "CREATE TRIGGER deleted AFTER DELETE ON notes BEGIN"
    "  INSERT INTO words(words, rowid, text) VALUES ('delete', old.id, old.text);"
    "END;";

enum { ADD, READ, LIST, SEARCH, DELETE, TEXT_OF_JSON, STATEMENTS };

static const char *const SQL[STATEMENTS] = {
    [ADD] = "INSERT INTO notes(text) VALUES (?1)",
    [READ] = "SELECT json_object('id', id, 'text', text) FROM notes WHERE id = ?1",
    [LIST] = "SELECT json_group_array(json_object('id', id, 'text', text) ORDER BY id)"
             " FROM (SELECT id, text FROM notes WHERE id > ?1 ORDER BY id LIMIT " MAX_LIST ")",
    [SEARCH] = "SELECT json_group_array(json_object('id', id, 'text', text) ORDER BY place, id)"
               " FROM (SELECT id, notes.text AS text, rank AS place FROM words JOIN notes ON id = words.rowid"
               "       WHERE words MATCH ?1 ORDER BY rank LIMIT " MAX_LIST ")",
    [DELETE] = "DELETE FROM notes WHERE id = ?1 RETURNING json_object('deleted', id)",
    [TEXT_OF_JSON] = "SELECT ?1 ->> '$.text' WHERE json_valid(?1) AND json_type(?1, '$.text') = 'text'",
};

static sqlite3 *database;
static sqlite3_stmt *statements[STATEMENTS];

/* Runs in `_initialize`. */
__attribute__((constructor)) static void start(void) {
  int failed = sqlite3_open(":memory:", &database) || sqlite3_exec(database, SCHEMA, NULL, NULL, NULL);
  for (int i = 0; i < STATEMENTS && !failed; i++)
    failed = sqlite3_prepare_v3(database, SQL[i], -1, SQLITE_PREPARE_PERSISTENT, &statements[i], NULL);
  if (failed) {
    fprintf(stderr, "notes: %s\n", sqlite3_errmsg(database));
    abort();
  }
}

/* ---- answers ---- */

/* Runs a statement that yields one row with one JSON text, and answers with it; with 404 if there is no row. */
static void answer_with(int status, sqlite3_stmt *statement) {
  int result = sqlite3_step(statement);
  if (result == SQLITE_ROW) {
    const char *json = (const char *)sqlite3_column_text(statement, 0);
    if (json)
      respond(status, "application/json", "", json, sqlite3_column_bytes(statement, 0));
    else
      respond_error(507, "", "out of memory");
  } else if (result == SQLITE_DONE) {
    respond_error(404, "", "no such note");
  } else if (result == SQLITE_NOMEM || result == SQLITE_FULL || result == SQLITE_TOOBIG) {
    respond_error(507, "", "no room left");
  } else {
    fprintf(stderr, "notes: %s\n", sqlite3_errmsg(database));
    respond_error(500, "", "the database failed");
  }
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
}

static sqlite3_stmt *with_id(int which, long long id) {
  sqlite3_bind_int64(statements[which], 1, id);
  return statements[which];
}

/* The number that ends the path /notes/ID. */
static long long id_of(const struct request *request) { return atoll(request->path + strlen("/notes/")); }

/* ---- routes ---- */

static void help(const struct request *request) {
  (void)request;
  respond(200, "text/plain; charset=utf-8", "", HELP, sizeof HELP - 1);
}

static void list(const struct request *request) {
  char after[20] = "";
  if (query_value(request->query, "after", after, sizeof after) >= 0 && strspn(after, "0123456789") != strlen(after))
    respond_error(400, "", "after must be the number of a note");
  else
    answer_with(200, with_id(LIST, atoll(after)));
}

long long add_note(const char *text, size_t length) {
  sqlite3_stmt *statement = statements[ADD];
  sqlite3_bind_text(statement, 1, text, (int)length, SQLITE_STATIC);
  int result = sqlite3_step(statement);
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  return result == SQLITE_DONE ? sqlite3_last_insert_rowid(database) : -1;
}

/* The body is the text, unless it is a JSON object with a "text". curl calls every body a form, so its type says
   little; only if it says JSON must it be that. */
static void add(const struct request *request) {
  const char *text = request->body;
  size_t length = request->body_length;
  sqlite3_stmt *json = statements[TEXT_OF_JSON];
  bool must_be_json = strncmp(request->content_type, "application/json", 16) == 0;

  if (!is_text(text, length)) {
    respond_error(400, "", "a note is text in UTF-8");
    return;
  }
  if (must_be_json || text[strspn(text, " \t\r\n")] == '{') {
    sqlite3_bind_text(json, 1, text, (int)length, SQLITE_STATIC);
    if (sqlite3_step(json) == SQLITE_ROW) {
      text = (const char *)sqlite3_column_text(json, 0);
      length = sqlite3_column_bytes(json, 0);
      if (!text || !is_text(text, length)) length = 0; /* "\u0000" or half a surrogate pair */
    } else if (must_be_json) {
      length = 0;
    }
  }

  if (length == 0) {
    respond_error(400, "", "send the text of the note, or JSON with a text");
  } else if (length > MAX_TEXT) {
    respond_error(413, "", "a note has at most 2048 bytes");
  } else {
    long long id = add_note(text, length);
    if (id < 0)
      respond_error(507, "", "no room left");
    else
      answer_with(201, with_id(READ, id));
  }
  sqlite3_reset(json); /* `text` was alive until here */
  sqlite3_clear_bindings(json);
}

static void read_one(const struct request *request) { answer_with(200, with_id(READ, id_of(request))); }

static void delete_one(const struct request *request) { answer_with(200, with_id(DELETE, id_of(request))); }

/* Every word of the question becomes "word"* for FTS5: in quotes nothing is an operator, and the star lets it match
   the beginning of longer words. All words must match. */
static void search(const struct request *request) {
  char question[512];
  char match[4 * sizeof question];
  size_t size = 0;
  long length = query_value(request->query, "q", question, sizeof question);
  if (length < 0 || !is_text(question, length)) {
    respond_error(400, "", "ask with ?q=words, in at most 511 bytes of UTF-8");
    return;
  }
  for (char *word = strtok(question, " \t\r\n"); word; word = strtok(NULL, " \t\r\n")) {
    match[size++] = '"';
    for (; *word; word++) {
      if (*word == '"') match[size++] = '"';
      match[size++] = *word;
    }
    memcpy(match + size, "\"* ", 3);
    size += 3;
  }
  if (size == 0) {
    respond_error(400, "", "ask for at least one word");
    return;
  }
  sqlite3_bind_text(statements[SEARCH], 1, match, (int)size, SQLITE_STATIC);
  answer_with(200, statements[SEARCH]);
}

/* In a path, # stands for a number. */
static const struct route {
  const char *method, *path;
  void (*run)(const struct request *request);
} ROUTES[] = {
    {"GET", "/", help},
    {"GET", "/notes", list},
    {"POST", "/notes", add},
    {"GET", "/notes/#", read_one},
    {"DELETE", "/notes/#", delete_one},
    {"GET", "/search", search},
    {"POST", "/crash/null", crash_null},
    {"POST", "/crash/stack", crash_stack},
    {"POST", "/crash/loop", crash_loop},
    {"POST", "/crash/scribble", crash_scribble},
    {"POST", "/crash/memory", crash_memory},
    {"POST", "/crash/exit", crash_exit},
};

static bool path_fits(const char *pattern, const char *path) {
  size_t fixed = strcspn(pattern, "#");
  if (strncmp(pattern, path, fixed) != 0) return false;
  if (!pattern[fixed]) return !path[fixed];
  size_t digits = strspn(path + fixed, "0123456789");
  return digits > 0 && digits < 19 && !path[fixed + digits];
}

static void answer(const struct request *request) {
  bool head = strcmp(request->method, "HEAD") == 0;
  const char *method = head ? "GET" : request->method;
  char allow[64] = "Allow: ";
  size_t start_of_list = strlen(allow);
  size_t size = start_of_list;

  omit_body(head);
  for (size_t i = 0; i < sizeof ROUTES / sizeof *ROUTES; i++) {
    const struct route *route = &ROUTES[i];
    if (!path_fits(route->path, request->path)) continue;
    if (strcmp(route->method, method) == 0) {
      route->run(request);
      return;
    }
    size += snprintf(allow + size, sizeof allow - size, "%s%s", size > start_of_list ? ", " : "",
                     strcmp(route->method, "GET") == 0 ? "GET, HEAD" : route->method);
  }
  if (size == start_of_list) {
    respond_error(404, "", "no such page; GET / lists what there is");
  } else {
    snprintf(allow + size, sizeof allow - size, "\r\n");
    respond_error(405, allow, "this page does not take that method");
  }
}

__attribute__((export_name("handle"))) void handle(void) {
  struct request request;
  int status = read_request(&request);
  if (status)
    respond_error(status, "", "this is not a request that can be answered");
  else
    answer(&request);
}
