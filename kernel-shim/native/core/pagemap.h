// What the kernel knows of pages: which hold memory, and (since Linux 6.7) which were written.
#pragma once

#include "page_set.h"

namespace belay {

// Pages that may differ from zeros, because memory was given to them. Where the kernel does not tell, all.
// Protecting a page that was never touched by userfaultfd makes it look like one in swap; so before that, `populated`
// is right, and after it only `present` tells such pages from others.
enum class Which { populated, present };

// Calls each(first, end) for runs of such pages of `span`.
template <class Each>
void forEachPopulated(const uint8_t* base, Span span, Which which, Each each);

// For each page of [first, first + count), is it one? count <= 512.
void readPopulated(const uint8_t* base, size_t first, size_t count, Which which, bool* populated);

struct PageRange {
  uint64_t start, end, categories;
};

// One PAGEMAP_SCAN of [*from, to) for written pages of a memory that userfaultfd tracks by WP_ASYNC; with `protect`
// they are protected again in the same step. Fills `ranges` (or none, when `room` is 0), advances *from to where
// the scan stopped, and returns how many, or -errno.
long scanWritten(uint64_t* from, uint64_t to, bool protect, PageRange* ranges, size_t room);

template <class Each>
void forEachPopulated(const uint8_t* base, Span span, Which which, Each each) {
  bool populated[512];
  bool open = false;
  size_t start = 0;
  for (size_t first = span.first; first < span.end; first += 512) {
    const size_t count = span.end - first < 512 ? span.end - first : 512;
    readPopulated(base, first, count, which, populated);
    for (size_t i = 0; i < count; i++) {
      if (populated[i] == open) continue;
      if (open) each(start, first + i);
      start = first + i;
      open = !open;
    }
  }
  if (open) each(start, span.end);
}

}  // namespace belay
