#include "userfaultfd.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace belay {

namespace {

constexpr int kUserModeOnly = 1;
constexpr unsigned long kNewFromDevice = _IO(0xAA, 0x00);  // USERFAULTFD_IOC_NEW, Linux 6.1

// The system call, or the device where that is refused. -1 and errno.
int create() {
  const int flags = O_CLOEXEC | O_NONBLOCK | kUserModeOnly;
  const int fd = static_cast<int>(syscall(SYS_userfaultfd, flags));
  if (fd >= 0) return fd;
  const int error = errno;
  const int device = ::open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
  if (device < 0) {
    errno = error;
    return -1;
  }
  const int other = ioctl(device, kNewFromDevice, flags);
  ::close(device);
  if (other < 0) errno = error;
  return other;
}

}  // namespace

void Userfaultfd::close() {
  const int fd = fd_.exchange(-1);
  if (fd >= 0) ::close(fd);
}

Outcome Userfaultfd::open(uint64_t features) {
  fd_ = create();
  if (fd_ < 0) return {errno, "creating a userfaultfd"};
  struct uffdio_api api = {};
  api.api = UFFD_API;
  api.features = features;
  if (ioctl(fd_, UFFDIO_API, &api) == 0) return {};
  return {errno, "asking userfaultfd for its features"};
}

uint64_t Userfaultfd::missing(uint64_t features) {
  const int fd = create();
  if (fd < 0) return features;
  struct uffdio_api api = {};
  api.api = UFFD_API;
  const bool known = ioctl(fd, UFFDIO_API, &api) == 0;
  ::close(fd);
  return known ? features & ~api.features : features;
}

Outcome Userfaultfd::watch(uint8_t* base, size_t bytes) {
  struct uffdio_register range = {};
  range.range.start = reinterpret_cast<uintptr_t>(base);
  range.range.len = bytes;
  range.mode = UFFDIO_REGISTER_MODE_WP;
  if (ioctl(fd_, UFFDIO_REGISTER, &range) == 0) return {};
  return {errno, "registering memory with userfaultfd"};
}

int Userfaultfd::setWritable(uint8_t* base, size_t bytes, bool writable) {
  struct uffdio_writeprotect range = {};
  range.range.start = reinterpret_cast<uintptr_t>(base);
  range.range.len = bytes;
  range.mode = writable ? 0 : UFFDIO_WRITEPROTECT_MODE_WP;
  while (ioctl(fd_, UFFDIO_WRITEPROTECT, &range) != 0) {
    // The address space was changing: another try will do.
    if (errno != EAGAIN) return errno;
  }
  return 0;
}

Outcome Userfaultfd::unwatch(uint8_t* base, size_t bytes) {
  // Explicitly: kernels before 6.9 leave marks in the page tables.
  if (int error = setWritable(base, bytes, true)) return {error, "making memory writable"};
  struct uffdio_range range = {};
  range.start = reinterpret_cast<uintptr_t>(base);
  range.len = bytes;
  if (ioctl(fd_, UFFDIO_UNREGISTER, &range) == 0) return {};
  return {errno, "taking memory from userfaultfd"};
}

}  // namespace belay
