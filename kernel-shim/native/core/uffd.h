// `uffd`: userfaultfd marks pages as write-protected, and a write raises SIGBUS (UFFD_FEATURE_SIGBUS).
//
// Cheaper than mprotect: a protected page is a bit in its page table entry, not a mapping of its own. So there is no
// limit on how pages alternate, and nothing is split or joined. V8's mprotect when a memory grows leaves the bits
// alone. Pages that were never touched need WP_UNPOPULATED: without it they are not protected, and a write is lost.
//
// A stale record does no harm: the memory that it had is no longer registered with its userfaultfd, so opening the
// page fails before anything is read, and the signal goes on. That is why the page is opened before it is saved; the
// thread that could write to it is the one in the handler.
#pragma once

#include "trapping.h"
#include "userfaultfd.h"

namespace belay {

class UffdMemory final : public TrappingMemory {
 public:
  static constexpr uint64_t kFeatures = kFeatureProtect | kFeatureSigbus | kFeatureUnpopulated;

  using TrappingMemory::TrappingMemory;

  Outcome open() override;
  void letGo() override { uffd_.close(); }
  int signal() const override;
  bool onFault(const Fault& fault) override;

 protected:
  bool growthKeepsProtection() const override { return true; }
  Outcome watchRange(uint8_t* base, size_t bytes) override;
  int setWritable(size_t first, size_t end, bool writable) override {
    return uffd_.setWritable(at(first), (end - first) * kPageBytes, writable);
  }

 private:
  Userfaultfd uffd_;
};

}  // namespace belay
