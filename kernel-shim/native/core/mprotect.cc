#include "mprotect.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

namespace belay {

namespace {

// Can a byte be read there? Without a fault, and async-signal-safe.
bool isReadable(uintptr_t address) {
  char byte;
  struct iovec to = {&byte, 1}, from = {reinterpret_cast<void*>(address), 1};
  if (process_vm_readv(getpid(), &to, 1, &from, 1, 0) == 1) return true;
  if (errno == EFAULT) return false;
  // Forbidden, by seccomp for example. This call reads 8 bytes before it finds that ~0 is no way to change a mask.
  syscall(SYS_rt_sigprocmask, ~0, address & ~uintptr_t{7}, nullptr, 8);
  return errno != EFAULT;
}

}  // namespace

int MprotectMemory::signal() const { return SIGSEGV; }

Outcome MprotectMemory::watchRange(uint8_t* base, size_t bytes) {
  // An older record of this memory may have left pages protected.
  if (armed_ || mprotect(base, bytes, PROT_READ | PROT_WRITE) == 0) return {};
  return {errno, "making memory writable"};
}

int MprotectMemory::setWritable(size_t first, size_t end, bool writable) {
  const int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  return mprotect(at(first), (end - first) * kPageBytes, protection) == 0 ? 0 : errno;
}

bool MprotectMemory::onFault(const Fault& fault) {
  if (fault.code != SEGV_ACCERR || fault.isRead) return false;
  if (fault.maybeAbsent && !isReadable(fault.address)) return false;
  return openAndSave((fault.address - reinterpret_cast<uintptr_t>(base_)) / kPageBytes);
}

Outcome MprotectMemory::open() {
  const int error = setWritable(0, pages_, true);
  return {error, "making memory writable"};
}

}  // namespace belay
