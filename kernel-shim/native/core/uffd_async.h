// `uffd-async`: the kernel opens written pages by itself (UFFD_FEATURE_WP_ASYNC) and only remembers which they were;
// PAGEMAP_SCAN lists them. No write faults into user code, and the kernel's own writes are seen, too.
//
//     memory  | page | page | page* | page | page* |      * written since the checkpoint, says the kernel
//     image   | page | page | page  | page | page  |      what memory was at the checkpoint
//
//     checkpoint()   scan for written pages, protecting them in the same step; copy them into the image
//     rollback()     scan for written pages; copy them back from the image; protect them
//
// The price is a second image of all memory, as far as it was ever touched, made at the first checkpoint. Nobody can
// copy a page ahead here, and nothing would be gained.
//
// Why a checkpoint never fails half-way: a page that counts as written without need is merely copied once more.
// Where a scan fails, all pages are taken for written.
//
// Growth: new pages hold zeros in the image. Those that the guest has written before we hear of the growth stay
// unprotected, so they count as written. Where memory moved, nothing is protected any more: all of it counts.
#pragma once

#include "page_set.h"
#include "userfaultfd.h"
#include "watched.h"

namespace belay {

class UffdAsyncMemory final : public Watched {
 public:
  static constexpr uint64_t kFeatures = kFeatureProtect | kFeatureUnpopulated | kFeatureAsync;

  using Watched::Watched;

  Outcome start() override;
  Outcome checkpoint(const uint32_t* ahead, size_t count) override;
  Outcome rollback(size_t* restored) override;
  Outcome touch(size_t, size_t) override { return {}; }
  Outcome resized(uint8_t* base, size_t bytes) override;
  Outcome faulted(uint32_t* out, size_t room, size_t* count) override;
  Outcome written(uint32_t* out, size_t room, size_t* count) override;
  bool changed(size_t page) override;
  Stats stats() override;
  Outcome open() override { return uffd_.unwatch(base_, bytes()); }
  void letGo() override { uffd_.close(); }

 private:
  Outcome watchRange(uint8_t* base, size_t bytes);
  bool reserve(size_t pages) { return image_.grow(pages * kPageBytes) && inImage_.grow(pages); }
  void copyToImage(size_t first, size_t end);
  void copyBack(size_t first, size_t end);
  template <class Each>
  int forEachWritten(bool protectFirst, bool protectAfter, Each each);

  Userfaultfd uffd_;
  Reservation image_;
  PageSet inImage_;  // pages of the image that hold memory, for stats()
  uint64_t imagePages_ = 0;
  Stats stats_;
};

}  // namespace belay
