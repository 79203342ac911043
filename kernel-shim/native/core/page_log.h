// The pages that an epoch has saved, and their pre-images.
//
//     list    | 7 | 3 | 12 | 900 | 4 |            page numbers, in the order in which they were saved
//     pool    |###|###|####|#####|###|            their pre-images, in the same order
//              \______/ \____________/
//               ahead     faulted or touched
//     saved   one bit a page: is it in the list?
//     slot    page -> its place in the list (only right where `saved` says so)
//
// A page is in the list once at most, so a pool as long as the memory always suffices. Everything is reserved
// beforehand: save() neither allocates nor locks, so the fault handler may call it.
//
// An epoch with many pages leaves a pool that later epochs do not need. forget() watches the largest use of the
// last 64 epochs and gives back what lies far beyond it.
#pragma once

#include "page_set.h"

namespace belay {

class PageLog {
 public:
  bool grow(size_t pages);

  bool has(size_t page) const { return saved_.has(page); }
  uint64_t word(size_t index) const { return saved_.word(index); }
  size_t count() const { return count_; }
  size_t page(size_t index) const { return list_.as<uint32_t>()[index]; }

  // The page must not be in the log yet.
  void save(size_t page, const uint8_t* bytes);
  void saveZeros(size_t page);

  const uint8_t* preImageAt(size_t index) const { return pool_.data() + index * kPageBytes; }
  const uint8_t* preImage(size_t page) const { return preImageAt(slot_.as<uint32_t>()[page]); }

  // Whether the log holds these pages in this order, all of them saved ahead, and nothing else.
  bool isAhead(const uint32_t* pages, size_t count) const;
  // A new pre-image for the page at a place in the list.
  void renew(size_t index, const uint8_t* bytes);

  void forget();
  // Counts an epoch that ends without forget(), for what is given back.
  void age();
  // What is in the log now was saved ahead, not on a fault.
  void endAhead() { ahead_ = count_; }
  // What comes after this was saved because all of memory had to be opened, not on a fault.
  void endFaulted() {
    if (faultedEnd_ > count_) faultedEnd_ = count_;
  }
  size_t faultedFirst() const { return ahead_; }
  size_t faultedEnd() const { return faultedEnd_ < count_ ? faultedEnd_ : count_; }

  // Bytes of the pool and of the list that were touched and not given back.
  size_t bytes() const { return touched_ * (kPageBytes + sizeof(uint32_t)); }

 private:
  uint8_t* enter(size_t page);

  Reservation pool_, list_, slot_;
  PageSet saved_;
  size_t count_ = 0;
  size_t ahead_ = 0;
  size_t faultedEnd_ = SIZE_MAX;
  size_t touched_ = 0;      // pages of the pool that hold memory
  size_t largest_ = 0;      // largest count_ of the last epochs
  unsigned epochs_ = 0;     // epochs since largest_ began anew
};

}  // namespace belay
