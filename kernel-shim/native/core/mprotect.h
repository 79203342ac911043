// `mprotect`: the page table says read-only, and a write raises SIGSEGV.
//
// Needs nothing but Linux. Every alternation of open and protected pages is a mapping of its own, and the kernel
// allows vm.max_map_count of them (65,530): at 32,700 scattered pages trapping.cc opens all of memory.
//
// The handler has to tell our faults from those of an access outside of memory, which are V8's. Inside the range
// that was attached and still is memory, only writes fault. A record may be stale, though: its memory is gone, its
// finalizer has not run, and V8 has put a reserved, inaccessible range there. Then the page is not in the page
// tables; a read of one byte, made by the kernel, tells without a fault. (A fresh page that was never touched is
// not there either, but can be read.)
#pragma once

#include "trapping.h"

namespace belay {

class MprotectMemory final : public TrappingMemory {
 public:
  using TrappingMemory::TrappingMemory;

  Outcome open() override;
  int signal() const override;
  bool onFault(const Fault& fault) override;

 protected:
  bool growthKeepsProtection() const override { return false; }
  Outcome watchRange(uint8_t* base, size_t bytes) override;
  int setWritable(size_t first, size_t end, bool writable) override;
};

}  // namespace belay
