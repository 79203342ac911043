#include "mechanisms.h"

#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>

#include "mprotect.h"
#include "pagemap.h"
#include "registry.h"
#include "uffd.h"
#include "uffd_async.h"

namespace belay {

namespace {

Watched* make(Mechanism mechanism, uint8_t* base, size_t bytes) {
  switch (mechanism) {
    case Mechanism::mprotect:
      return new (std::nothrow) MprotectMemory(base, bytes);
    case Mechanism::uffd:
      return new (std::nothrow) UffdMemory(base, bytes);
    case Mechanism::uffdAsync:
      return new (std::nothrow) UffdAsyncMemory(base, bytes);
  }
  return nullptr;
}

const char* release() {
  static struct utsname name;
  return uname(&name) == 0 ? name.release : "?";
}

struct Feature {
  uint64_t bit;
  const char* name;
  const char* since;
};
constexpr Feature kFeatureNames[] = {
    {kFeatureProtect, "UFFD_FEATURE_PAGEFAULT_FLAG_WP", "5.7"},
    {kFeatureSigbus, "UFFD_FEATURE_SIGBUS", "4.14"},
    {kFeatureUnpopulated, "UFFD_FEATURE_WP_UNPOPULATED", "6.4"},
    {kFeatureAsync, "UFFD_FEATURE_WP_ASYNC", "6.7"},
};

// Tries the mechanism's system calls on a page of its own: a container may forbid any of them.
Outcome tryUserfaultfd(uint64_t features) {
  Userfaultfd uffd;
  if (Outcome outcome = uffd.open(features); outcome.failed()) return outcome;
  void* page = mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return {errno, "mapping a page"};
  auto* base = static_cast<uint8_t*>(page);
  Outcome outcome = uffd.watch(base, kPageBytes);
  if (!outcome.failed()) outcome = {uffd.setWritable(base, kPageBytes, false), "protecting a page"};
  if (!outcome.failed() && (features & kFeatureAsync)) {
    auto from = reinterpret_cast<uint64_t>(base);
    PageRange range;
    const long found = scanWritten(&from, from + kPageBytes, true, &range, 1);
    if (found < 0) outcome = {static_cast<int>(-found), "the ioctl PAGEMAP_SCAN (Linux 6.7) on /proc/self/pagemap"};
  }
  munmap(page, kPageBytes);
  return outcome;
}

}  // namespace

bool unavailable(Mechanism mechanism, char* why, size_t room) {
  const long page = sysconf(_SC_PAGESIZE);
  if (page != static_cast<long>(kPageBytes)) {
    snprintf(why, room, "the machine's pages have %ld bytes; the native mechanisms are made for %zu", page, kPageBytes);
    return true;
  }
  if (mechanism == Mechanism::mprotect) return false;
  const uint64_t features = mechanism == Mechanism::uffd ? UffdMemory::kFeatures : UffdAsyncMemory::kFeatures;
  const Outcome outcome = tryUserfaultfd(features);
  if (!outcome.failed()) return false;
  if (outcome.error == ENOSYS) {
    snprintf(why, room, "this kernel (%s) has no userfaultfd (CONFIG_USERFAULTFD), or seccomp hides it", release());
    return true;
  }
  const uint64_t missing = Userfaultfd::missing(features);
  for (const Feature& feature : kFeatureNames) {
    if (outcome.error != EINVAL || !(missing & feature.bit)) continue;
    snprintf(why, room, "this kernel (%s) lacks %s, which Linux has since %s", release(), feature.name, feature.since);
    return true;
  }
  const bool refused = outcome.error == EPERM || outcome.error == EACCES;
  snprintf(why, room, "%s failed: %s%s (Linux %s)", outcome.attempted, strerror(outcome.error),
           refused ? "; a seccomp filter or a container's policy forbids it" : "", release());
  return true;
}

Outcome watch(Mechanism mechanism, uint8_t* base, size_t bytes, Watched** memory) {
  if (sysconf(_SC_PAGESIZE) != static_cast<long>(kPageBytes)) return {ENOTSUP, "using pages of 4096 bytes"};
  Watched* made = make(mechanism, base, bytes);
  if (!made) return {ENOMEM, "allocating the record of a memory"};
  // First: a userfaultfd that still holds the range would be in the way.
  registry().purge(base, bytes);
  Outcome outcome = made->start();
  if (!outcome.failed() && !registry().put(made, base, bytes)) outcome = {ENOMEM, "entering the memory in the registry"};
  if (outcome.failed()) {
    delete made;
    return outcome;
  }
  *memory = made;
  return {};
}

Outcome rewatch(Watched* memory, uint8_t* base, size_t bytes) {
  // The memory itself is watched by another record now; only one that has moved can come back.
  if (memory->purged() && base == memory->base()) return {EBUSY, "watching the memory again"};
  // First, so that writes to pages that resized() protects find their way.
  if (!registry().put(memory, base, bytes)) return {ENOMEM, "entering the memory in the registry"};
  return memory->resized(base, bytes);
}

Outcome unwatch(Watched* memory) {
  if (Outcome outcome = memory->open(); outcome.failed()) return outcome;
  registry().drop(memory);
  return {};
}

void abandon(Watched* memory) { registry().drop(memory); }

}  // namespace belay
