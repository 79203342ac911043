// What mprotect and uffd share: a write to a protected page raises a signal; the handler saves the page and opens it.
//
//     page        0      1      2      3      4      5
//               +------+------+------+------+------+------+
//     memory    | open | prot | prot | open | prot | open |
//               +------+------+------+------+------+------+
//     saved        1      0      0      1      0      1
//
//                      checkpoint(ahead)
//     not in ahead  --------------------------->  protected, not saved
//     in ahead      --------------------------->  open, saved
//     protected     -- write faults, touch() -->  open, saved
//     open, saved   -- rollback() ------------->  open, saved   (the pre-image is copied back)
//
// Before the first checkpoint everything is open and nothing is saved. After it, open means saved; the reverse may
// fail to hold after the kernel refused to open a page, and is made good on the next fault ("doubtful").
//
// The cost is in system calls, so checkpoint() makes as few as it can: it touches only pages that change their
// state, joins runs, reaches over gaps of pages that are protected anyway, and makes no call at all when the pages
// ahead are those that are open already.
//
// When the kernel cannot open one page (mprotect runs into vm.max_map_count), every page that is not saved yet is
// saved and all of memory is opened in one call. That is slow, right, and counted.
//
// Not handled: writes between a memory.grow and resized(). V8 makes all of memory writable when it grows, so
// `mprotect` sees none of them; `uffd` misses them only when the memory moved.
#pragma once

#include "page_log.h"
#include "watched.h"

namespace belay {

class TrappingMemory : public Watched {
 public:
  using Watched::Watched;

  Outcome start() override;
  Outcome checkpoint(const uint32_t* ahead, size_t count) override;
  Outcome rollback(size_t* restored) override;
  Outcome touch(size_t first, size_t end) override;
  Outcome resized(uint8_t* base, size_t bytes) override;
  Outcome faulted(uint32_t* out, size_t room, size_t* count) override;
  Outcome written(uint32_t* out, size_t room, size_t* count) override;
  bool changed(size_t page) override;
  Stats stats() override;

 protected:
  // Whether growing in place leaves the protection of pages as it was.
  virtual bool growthKeepsProtection() const = 0;
  // Tells the kernel of memory's range, where it has to know it.
  virtual Outcome watchRange(uint8_t* base, size_t bytes) = 0;
  // Opens or protects pages [first, end): 0, or an errno. Async-signal-safe.
  virtual int setWritable(size_t first, size_t end, bool writable) = 0;

  // For the handler: opens the page, and saves it where this epoch has not. False: it could not be opened.
  bool openAndSave(size_t page);

 private:
  void save(size_t page);
  bool saveAndOpenWhole();
  int protectLeaving(Span leaving, bool* reopen);
  void openEntering(Span entering, bool all);
  int protectUnsaved(Span span);

  PageLog log_;
  PageSet next_;          // the pages ahead, while checkpoint() works; empty otherwise
  bool doubtful_ = false; // some saved pages may be protected
  Stats stats_;
};

}  // namespace belay
