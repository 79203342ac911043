#include "uffd.h"

#include <signal.h>

namespace belay {

int UffdMemory::signal() const { return SIGBUS; }

Outcome UffdMemory::start() {
  if (Outcome outcome = uffd_.open(kFeatures); outcome.failed()) return outcome;
  return TrappingMemory::start();
}

bool UffdMemory::onFault(const Fault& fault) {
  if (fault.code != BUS_ADRERR || fault.isRead) return false;
  return openAndSave((fault.address - reinterpret_cast<uintptr_t>(base_)) / kPageBytes);
}

Outcome UffdMemory::open() { return uffd_.unwatch(base_, bytes()); }

}  // namespace belay
