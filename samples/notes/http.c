/* HTTP/1.1 messages (RFC 9112), strictly: whatever is malformed is answered with 400 and never guessed at.
   Only read(2) and write(2) are used: stdio would keep "end of file" and buffers from one request to the next. */
#include "http.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static char buffer[MAX_REQUEST + 1];
static bool bodiless;

/* Bytes of a token: method and header names. */
static bool is_token(const char *text) {
  const char *end = text;
  while (*end && (strchr("!#$%&'*+-.^_`|~", *end) || (*end >= '0' && *end <= '9') ||
                  ((*end | 32) >= 'a' && (*end | 32) <= 'z')))
    end++;
  return end > text && *end == 0;
}

/* Cuts the string at the first `mark` and returns what follows it, or NULL. */
static char *cut(char *text, const char *mark) {
  char *found = strstr(text, mark);
  if (!found) return NULL;
  *found = 0;
  return found + strlen(mark);
}

/* Reads a decimal number of 1 to 9 digits and nothing else, or returns -1. */
static long parse_length(const char *text) {
  size_t digits = strspn(text, "0123456789");
  if (digits == 0 || digits > 9 || text[digits]) return -1;
  long value = 0;
  while (*text) value = value * 10 + (*text++ - '0');
  return value;
}

static int parse_request_line(char *line, struct request *request) {
  char *target = cut(line, " ");
  char *version = target ? cut(target, " ") : NULL;
  if (!version || !is_token(line) || target[0] != '/') return 400;
  if (strncmp(version, "HTTP/", 5) != 0) return 400;
  if (strcmp(version, "HTTP/1.1") != 0 && strcmp(version, "HTTP/1.0") != 0) return 505;
  for (const char *byte = target; *byte; byte++)
    if (*byte <= ' ' || *byte == 127) return 400; /* `char` is signed: this refuses bytes over 127 as well */
  char *query = cut(target, "?");
  request->method = line;
  request->path = target;
  request->query = query ? query : "";
  return 0;
}

/* `length` becomes the Content-Length, and stays as it is without one. */
static int parse_header(char *line, struct request *request, long *length) {
  char *value = cut(line, ":");
  if (!value || !is_token(line)) return 400;
  value += strspn(value, " \t");
  for (char *end = value + strlen(value); end > value && (end[-1] == ' ' || end[-1] == '\t');) *--end = 0;
  if (strpbrk(value, "\r\n")) return 400;

  if (strcasecmp(line, "content-length") == 0) {
    long given = parse_length(value);
    if (given < 0 || (*length >= 0 && *length != given)) return 400;
    *length = given;
  } else if (strcasecmp(line, "transfer-encoding") == 0) {
    return 501; /* standard input has an end: there is nothing to frame */
  } else if (strcasecmp(line, "content-type") == 0) {
    request->content_type = value;
  }
  return 0;
}

int read_request(struct request *request) {
  *request = (struct request){.method = "", .path = "", .query = "", .content_type = "", .body = ""};
  bodiless = false;

  size_t size = 0;
  ssize_t got;
  while (size < sizeof buffer && (got = read(STDIN_FILENO, buffer + size, sizeof buffer - size)) > 0) size += got;
  if (size == sizeof buffer) {
    /* What is left must not become the beginning of the next request. */
    char rest[1024];
    while (read(STDIN_FILENO, rest, sizeof rest) > 0) continue;
    return 413;
  }
  buffer[size] = 0;

  char *end = strstr(buffer, "\r\n\r\n"); /* a zero byte before it ends the search: malformed */
  if (!end) return size > MAX_HEAD ? 431 : 400;
  if (end - buffer > MAX_HEAD) return 431;
  char *body = end + 4;
  *end = 0;

  char *line = buffer;
  char *next = cut(line, "\r\n");
  int status = parse_request_line(line, request);
  long length = -1;
  while (status == 0 && (line = next)) {
    next = cut(line, "\r\n");
    status = parse_header(line, request, &length);
  }
  if (status) return status;

  /* The body ends where the input does, and a Content-Length has to agree. */
  request->body = body;
  request->body_length = buffer + size - body;
  return length >= 0 && (size_t)length != request->body_length ? 400 : 0;
}

static const char *reason(int status) {
  switch (status) {
  case 200: return "OK";
  case 201: return "Created";
  case 400: return "Bad Request";
  case 404: return "Not Found";
  case 405: return "Method Not Allowed";
  case 413: return "Content Too Large";
  case 431: return "Request Header Fields Too Large";
  case 501: return "Not Implemented";
  case 505: return "HTTP Version Not Supported";
  case 507: return "Insufficient Storage";
  default: return "Internal Server Error";
  }
}

void write_all(const char *bytes, size_t length) {
  while (length > 0) {
    ssize_t written = write(STDOUT_FILENO, bytes, length);
    if (written <= 0) return; /* nobody is left to tell */
    bytes += written;
    length -= written;
  }
}

void omit_body(bool omit) { bodiless = omit; }

void respond(int status, const char *type, const char *headers, const char *body, size_t length) {
  char head[512];
  int size = snprintf(head, sizeof head, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s\r\n", status,
                      reason(status), type, length, headers);
  write_all(head, size);
  if (!bodiless) write_all(body, length);
}

void respond_error(int status, const char *headers, const char *message) {
  char body[256];
  int size = snprintf(body, sizeof body, "{\"error\":\"%s\"}\n", message);
  respond(status, "application/json", headers, body, size);
}

static int hex(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  digit |= 32;
  return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

long query_value(const char *query, const char *name, char *out, size_t size) {
  size_t name_length = strlen(name);
  while (strncmp(query, name, name_length) != 0 || query[name_length] != '=') {
    query = strchr(query, '&');
    if (!query) return -1;
    query++;
  }
  query += name_length + 1;

  size_t length = 0;
  while (*query && *query != '&') {
    char byte = *query++;
    if (byte == '+') byte = ' ';
    if (byte == '%') {
      int high = hex(query[0]);
      int low = high < 0 ? -1 : hex(query[1]);
      if (low < 0) return -1;
      byte = (char)(high * 16 + low);
      query += 2;
    }
    if (length + 1 >= size) return -1;
    out[length++] = byte;
  }
  out[length] = 0;
  return (long)length;
}

bool is_text(const char *bytes, size_t length) {
  const unsigned char *at = (const unsigned char *)bytes;
  const unsigned char *end = at + length;
  while (at < end) {
    unsigned lead = *at++;
    if (lead == 0) return false;
    if (lead < 0x80) continue;
    int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    if (lead < 0xc2 || lead > 0xf4 || end - at < more) return false;
    unsigned code = lead & (0x3f >> more);
    for (int i = 0; i < more; i++) {
      if ((*at & 0xc0) != 0x80) return false;
      code = code << 6 | (*at++ & 0x3f);
    }
    bool overlong = (more == 2 && code < 0x800) || (more == 3 && code < 0x10000);
    if (overlong || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return false;
  }
  return true;
}
