// A set of page numbers, as a bitmap, and the runs in such bitmaps.
#pragma once

#include <cstring>

#include "reservation.h"

namespace belay {

inline bool isZero(const uint8_t* page) { return page[0] == 0 && memcmp(page, page + 1, kPageBytes - 1) == 0; }

class PageSet {
 public:
  bool grow(size_t pages) { return bits_.grow((pages + 63) / 64 * sizeof(uint64_t)); }

  bool has(size_t page) const { return words()[page / 64] >> (page % 64) & 1; }
  void add(size_t page) { words()[page / 64] |= uint64_t{1} << (page % 64); }
  void remove(size_t page) { words()[page / 64] &= ~(uint64_t{1} << (page % 64)); }
  uint64_t word(size_t index) const { return words()[index]; }

 private:
  uint64_t* words() const { return bits_.as<uint64_t>(); }

  Reservation bits_;
};

// The smallest range of pages that holds all that were included.
struct Span {
  size_t first = SIZE_MAX;
  size_t end = 0;

  bool empty() const { return first >= end; }
  void include(size_t page) {
    if (page < first) first = page;
    if (page >= end) end = page + 1;
  }
};

// Calls each(first, end) for every run of ones in [span.first, span.end), where word(i) gives bits 64i to 64i + 63.
// Stops when `each` returns false; returns whether it went through.
template <class Word, class Each>
bool forEachRun(Span span, Word word, Each each) {
  bool open = false;
  size_t start = 0;
  for (size_t w = span.first / 64; w * 64 < span.end; w++) {
    uint64_t bits = word(w);
    if (w == span.first / 64) bits &= ~uint64_t{0} << (span.first % 64);
    if (span.end - w * 64 < 64) bits &= ~(~uint64_t{0} << (span.end % 64));
    size_t bit = 0;
    while (bit < 64) {
      const uint64_t rest = (open ? ~bits : bits) >> bit;
      if (rest == 0) break;
      bit += static_cast<size_t>(__builtin_ctzll(rest));
      if (!open) {
        start = w * 64 + bit;
      } else if (!each(start, w * 64 + bit)) {
        return false;
      }
      open = !open;
    }
  }
  return !open || each(start, span.end);
}

}  // namespace belay
