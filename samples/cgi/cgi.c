/* One page of CGI/1.1 (RFC 3875), as a WASI command. The request comes in environment variables and on standard
   input; the answer goes to standard output: header lines, an empty line, the body. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

/* A variable of the request, or "". */
static const char *variable(const char *name) {
  const char *value = getenv(name);
  return value ? value : "";
}

int main(void) {
  /* A process of its own for each request would see 1 every time. So does one instance that is rolled back to its
     beginning for every request. Entered again without that, it would count on. */
  static unsigned long requests;
  requests++;

  const char *path = variable("PATH_INFO");
  if (strcmp(path, "/crash") == 0) abort();
  if (strcmp(path, "/exit") == 0) exit(3);
  if (strcmp(path, "/loop") == 0)
    for (volatile unsigned turns = 0;; turns++) continue;

  /* Standard input is only asked for what CONTENT_LENGTH promises: a CGI host need not end it there. */
  static char body[65536];
  unsigned long length = strtoul(variable("CONTENT_LENGTH"), NULL, 10);
  if (length > sizeof body) {
    printf("Status: 413 Content Too Large\r\nContent-Type: text/plain\r\n\r\n");
    printf("At most %zu bytes, please.\n", sizeof body);
    return 0;
  }
  length = fread(body, 1, length, stdin);

  const char *name = "world";
  if (strncmp(path, "/hello/", 7) == 0 && path[7])
    name = path + 7;
  else if (*path && strcmp(path, "/") != 0)
    printf("Status: 404 Not Found\r\n");

  printf("Content-Type: text/plain; charset=utf-8\r\n\r\n");
  printf("Hello, %s! This is request number %lu of this instance.\n\n", name, requests);
  printf("method  %s\npath    %s\nquery   %s\n", variable("REQUEST_METHOD"), path, variable("QUERY_STRING"));
  for (char **entry = environ; *entry; entry++)
    if (strncmp(*entry, "HTTP_", 5) == 0) printf("header  %s\n", *entry);
  printf("body    %lu bytes\n", length);
  fwrite(body, 1, length, stdout);
  if (length > 0 && body[length - 1] != '\n') putchar('\n');
  return 0;
}
