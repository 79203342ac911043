/* The ways to fail. Each has first stored a note, so that it can be seen whether the failed request was undone:
   after a rollback no note of these is in the list. */
#include "notes.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void store_half(const char *text) { add_note(text, strlen(text)); }

/* Address 0 is ordinary memory in WebAssembly: reading or writing through a null pointer succeeds. A null
   *function* pointer is an index of the table's one empty element, though, and calling it traps. */
void crash_null(const struct request *request) {
  void (*volatile nothing)(const struct request *) = NULL;
  store_half("left behind by /crash/null");
  nothing(request);
}

/* Each frame takes a piece of the C stack, which lies at the bottom of memory (--stack-first): the trap comes when
   the stack pointer has passed below address 0. The global that holds it then is as wrong as it can be. */
static unsigned recurse(unsigned depth, const volatile bool *enough) {
  volatile char frame[256];
  if (*enough) return depth;
  frame[depth % sizeof frame] = (char)depth;
  return recurse(depth + 1, enough) + frame[depth % sizeof frame];
}

void crash_stack(const struct request *request) {
  (void)request;
  volatile bool never = false;
  store_half("left behind by /crash/stack");
  recurse(0, &never);
}

/* Runs until someone ends it. */
void crash_loop(const struct request *request) {
  (void)request;
  static volatile unsigned turns;
  store_half("left behind by /crash/loop");
  for (;;) turns++;
}

/* The heap, to its last byte, becomes junk: every page of the database, the free lists of malloc, and what
   SQLite keeps for itself. */
void crash_scribble(const struct request *request) {
  (void)request;
  extern unsigned char __heap_base; /* defined by the linker */
  store_half("left behind by /crash/scribble");
  volatile uint32_t *at = (volatile uint32_t *)(((uintptr_t)&__heap_base + 3) & ~(uintptr_t)3);
  volatile uint32_t *end = (volatile uint32_t *)(__builtin_wasm_memory_size(0) * 65536);
  for (uint32_t junk = 0x9e3779b9; at < end; at++) {
    junk ^= junk << 13, junk ^= junk >> 17, junk ^= junk << 5;
    *at = junk;
  }
  __builtin_trap();
}

/* Memory grows to its limit (build.sh: 64 MiB), is used to the last page, and stays as large as that unless
   the rollback undoes the growth too. */
void crash_memory(const struct request *request) {
  (void)request;
  store_half("left behind by /crash/memory");
  for (size_t size = 1 << 20; size >= 1 << 12; size /= 2)
    for (char *volatile block; (block = malloc(size));) memset(block, 0xaa, size);
  abort();
}

/* Ends the whole program in the middle of an answer. */
void crash_exit(const struct request *request) {
  (void)request;
  static const char half[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\nhalf an ans";
  store_half("left behind by /crash/exit");
  write_all(half, sizeof half - 1);
  exit(1);
}
