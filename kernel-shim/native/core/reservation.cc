#include "reservation.h"

#include <sys/mman.h>

namespace belay {

Reservation::~Reservation() {
  if (data_) munmap(data_, bytes_);
}

bool Reservation::grow(size_t bytes) {
  bytes = (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
  if (bytes <= bytes_) return true;
  void* at;
  if (data_) {
    at = mremap(data_, bytes_, bytes, MREMAP_MAYMOVE);
  } else {
    at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  }
  if (at == MAP_FAILED) return false;
  // A child process has no use for it, and copying its page tables would make fork() slow. V8 does the same.
  if (!data_) madvise(at, bytes, MADV_DONTFORK);
  data_ = static_cast<uint8_t*>(at);
  bytes_ = bytes;
  return true;
}

void Reservation::giveBack(size_t from, size_t to) {
  from = (from + kPageBytes - 1) / kPageBytes * kPageBytes;
  to = to / kPageBytes * kPageBytes;
  if (from < to) madvise(data_ + from, to - from, MADV_DONTNEED);
}

}  // namespace belay
