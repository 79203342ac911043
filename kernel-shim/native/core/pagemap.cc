#include "pagemap.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>

namespace belay {

namespace {

// Of <linux/fs.h> since 6.7; the headers of the machine may be older than its kernel.
struct ScanArgument {
  uint64_t size, flags, start, end, walkEnd, vec, vecLength, maxPages;
  uint64_t categoryInverted, categoryMask, categoryAnyOf, returnMask;
};
constexpr unsigned long kPagemapScan = _IOWR('f', 16, ScanArgument);
constexpr uint64_t kProtectMatching = 1, kCheckAsync = 2;
constexpr uint64_t kIsWritten = 2;

constexpr uint64_t kPresent = uint64_t{1} << 63, kSwapped = uint64_t{1} << 62;

int pagemap() {
  static const int fd = ::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  return fd;
}

}  // namespace

void readPopulated(const uint8_t* base, size_t first, size_t count, Which which, bool* populated) {
  uint64_t entries[512];
  const size_t page = reinterpret_cast<uintptr_t>(base) / kPageBytes + first;
  const auto bytes = static_cast<ssize_t>(count * sizeof(uint64_t));
  const bool known =
      pagemap() >= 0 && pread(pagemap(), entries, static_cast<size_t>(bytes),
                              static_cast<off_t>(page * sizeof(uint64_t))) == bytes;
  const uint64_t mask = which == Which::present ? kPresent : kPresent | kSwapped;
  for (size_t i = 0; i < count; i++) populated[i] = !known || (entries[i] & mask) != 0;
}

long scanWritten(uint64_t* from, uint64_t to, bool protect, PageRange* ranges, size_t room) {
  ScanArgument scan = {};
  scan.size = sizeof scan;
  scan.flags = kCheckAsync | (protect ? kProtectMatching : 0);
  scan.start = *from;
  scan.end = to;
  scan.vec = reinterpret_cast<uintptr_t>(ranges);
  scan.vecLength = room;
  scan.categoryMask = kIsWritten;
  scan.returnMask = room ? kIsWritten : 0;
  if (pagemap() < 0) return -EACCES;
  const long count = ioctl(pagemap(), kPagemapScan, &scan);
  if (count < 0) return -errno;
  // A scan that stood still would be repeated for ever.
  if (scan.walkEnd <= *from) return -EIO;
  *from = scan.walkEnd;
  return count;
}

}  // namespace belay
