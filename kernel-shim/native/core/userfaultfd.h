// A userfaultfd that write-protects pages, and what the kernel must offer for it.
//
// UFFD_USER_MODE_ONLY always: an ordinary user is allowed no other, and writes of the kernel into a protected page
// end in EFAULT or a short count with either.
#pragma once

#include <atomic>

#include "outcome.h"
#include "reservation.h"

namespace belay {

// Features, of <linux/userfaultfd.h>; the headers of the machine may be older than its kernel.
constexpr uint64_t kFeatureProtect = 1u << 0;        // Linux 5.7
constexpr uint64_t kFeatureSigbus = 1u << 7;         // Linux 4.14
constexpr uint64_t kFeatureUnpopulated = 1u << 13;   // Linux 6.4: protects pages that were never touched, too
constexpr uint64_t kFeatureAsync = 1u << 15;         // Linux 6.7

class Userfaultfd {
 public:
  Userfaultfd() = default;
  ~Userfaultfd() { close(); }
  Userfaultfd(const Userfaultfd&) = delete;
  Userfaultfd& operator=(const Userfaultfd&) = delete;

  Outcome open(uint64_t features);
  bool isOpen() const { return fd_ >= 0; }
  // What is still registered becomes ordinary, writable memory. From any thread; more than once.
  void close();
  // Registers a range; also one that is registered already, in part or whole.
  Outcome watch(uint8_t* base, size_t bytes);
  // 0 or an errno. Async-signal-safe. ENOENT: the range is not registered here, for example because it is gone.
  int setWritable(uint8_t* base, size_t bytes, bool writable);
  // Makes the range writable and gives it back to the kernel.
  Outcome unwatch(uint8_t* base, size_t bytes);

  // The features that the kernel lacks of `features`; all of them where it gives no userfaultfd (see open()).
  static uint64_t missing(uint64_t features);

 private:
  std::atomic<int> fd_{-1};
};

}  // namespace belay
