/* What the parts of this program share. */
#ifndef NOTES_H
#define NOTES_H

#include "http.h"

/* The export that the host calls: reads one request, writes one response. */
void handle(void);

/* Stores a note. Returns its id, or -1 when the database is full. */
long long add_note(const char *text, size_t length);

/* The routes that fail on purpose (crash.c). */
void crash_null(const struct request *request);
void crash_stack(const struct request *request);
void crash_loop(const struct request *request);
void crash_scribble(const struct request *request);
void crash_memory(const struct request *request);
void crash_exit(const struct request *request);

#endif
