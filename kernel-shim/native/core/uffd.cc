#include "uffd.h"

#include <signal.h>

namespace belay {

int UffdMemory::signal() const { return SIGBUS; }

Outcome UffdMemory::watchRange(uint8_t* base, size_t bytes) {
  // Closed where another memory has come to lie where this one was before it moved.
  if (!uffd_.isOpen()) {
    if (Outcome outcome = uffd_.open(kFeatures); outcome.failed()) return outcome;
  }
  return uffd_.watch(base, bytes);
}

bool UffdMemory::onFault(const Fault& fault) {
  if (fault.code != BUS_ADRERR || fault.isRead) return false;
  return openAndSave((fault.address - reinterpret_cast<uintptr_t>(base_)) / kPageBytes);
}

Outcome UffdMemory::open() { return uffd_.unwatch(base_, bytes()); }

}  // namespace belay
