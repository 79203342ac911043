/* HTTP/1.1 as this program needs it: one request on standard input, one response on standard output. */
#ifndef HTTP_H
#define HTTP_H

#include <stdbool.h>
#include <stddef.h>

/* Limits in bytes. A longer head is answered with 431, a longer request with 413. */
#define MAX_HEAD 32768
#define MAX_REQUEST 65536

/* Strings end in 0 and live until the next request is read. */
struct request {
  const char *method;
  const char *path;         /* as sent: not percent-decoded */
  const char *query;        /* what follows the '?', or "" */
  const char *content_type; /* or "" */
  const char *body;         /* ends in 0, too, but may hold others */
  size_t body_length;
};

/* Reads standard input to its end. Returns 0, or the status (400, 413, ...) that the request deserves. */
int read_request(struct request *request);

/* Writes a whole response. `headers` are further header lines, each with its CRLF, or "". */
void respond(int status, const char *type, const char *headers, const char *body, size_t length);

/* Writes {"error": message}; the message must need no JSON escapes. */
void respond_error(int status, const char *headers, const char *message);

/* From now on responses have no body (the request was a HEAD), or have one again. */
void omit_body(bool omit);

/* Writes to standard output, for those that know no better than to answer by hand. */
void write_all(const char *bytes, size_t length);

/* Finds `name` in a query string and decodes its value in place into `out` (which holds `size` bytes).
   Returns its length, or -1 if it is absent, malformed or too long. */
long query_value(const char *query, const char *name, char *out, size_t size);

/* Whether these bytes are UTF-8 without U+0000. */
bool is_text(const char *bytes, size_t length);

#endif
