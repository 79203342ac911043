// Random operations on the core, without Node, against a plain copy of what memory must hold.
//
//     fuzz <mprotect|uffd|uffd-async> <operations> <seed> [threads] [inject]
//
// A guest behaves as V8's memories do: a reserved range of which the beginning is accessible; growing makes all of it
// writable, or moves it. With `inject` the kernel seems to refuse some of the core's calls, as it does when it is out
// of mappings. Every thread has guests of its own. Exit code 1 and a line with seed and operation on a mismatch;
// exit code 2 and a reason where the mechanism cannot be used.
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "../core/mechanisms.h"

using belay::kPageBytes;
using belay::Mechanism;

namespace {

constexpr size_t kMaxPages = 384;
constexpr size_t kReserved = 1024 * kPageBytes;

thread_local unsigned injectPercent = 0;   // how many calls of the core fail now
thread_local size_t wholeBytes = 0;        // opening as much as this is never refused
thread_local uint32_t injectState = 1;
thread_local long calls = 0;               // how many calls the core made
thread_local sigjmp_buf beyond;
thread_local bool expectBeyond = false;

bool refuse(size_t bytes, bool opens) {
  calls++;
  if (injectPercent == 0 || (opens && bytes >= wholeBytes)) return false;
  injectState = injectState * 1664525 + 1013904223;
  return (injectState >> 8) % 100 < injectPercent;
}

// Stands for V8's handler, which was there first: it gets what the core passes on.
void earlierHandler(int, siginfo_t*, void*) {
  if (expectBeyond) siglongjmp(beyond, 1);
  signal(SIGSEGV, SIG_DFL);
}

}  // namespace

// The linker puts these in the place of the core's calls (-Wl,--wrap).
extern "C" {
int __real_mprotect(void*, size_t, int);
int __wrap_mprotect(void* at, size_t bytes, int protection) {
  if (refuse(bytes, protection & PROT_WRITE)) {
    errno = ENOMEM;
    return -1;
  }
  return __real_mprotect(at, bytes, protection);
}
int __real_ioctl(int, unsigned long, ...);
int __wrap_ioctl(int fd, unsigned long request, ...) {
  va_list list;
  va_start(list, request);
  void* argument = va_arg(list, void*);
  va_end(list);
  const unsigned type = _IOC_TYPE(request), number = _IOC_NR(request);
  const bool isProtect = type == 0xAA && number == 6, isScan = type == 'f' && number == 16;
  // The second word of UFFDIO_WRITEPROTECT's argument is the length, the third tells whether to protect.
  const auto* words = static_cast<uint64_t*>(argument);
  if ((isProtect && refuse(words[1], words[2] == 0)) || (isScan && refuse(0, false))) {
    errno = ENOMEM;
    return -1;
  }
  return __real_ioctl(fd, request, argument);
}
}

namespace {

class Fuzz {
 public:
  Fuzz(Mechanism mechanism, unsigned seed, bool inject)
      : mechanism_(mechanism), seed_(seed), inject_(inject), random_(seed) {
    injectState = seed * 2 + 1;
    begin(nullptr);
  }

  ~Fuzz() {
    injectPercent = 0;
    belay::abandon(memory_);
    munmap(base_, kReserved);
  }

  void run(long operations) {
    for (operation_ = 0; operation_ < operations; operation_++) {
      injectPercent = inject_ && below(4) == 0 ? 30 : 0;
      wholeBytes = pages_ * kPageBytes;
      step();
    }
    injectPercent = 0;
    rollback();
    check(belay::unwatch(memory_).error == 0, "unwatch failed");
    compare("after unwatch");
    memset(base_, 1, pages_ * kPageBytes);
    check(belay::watch(mechanism_, base_, pages_ * kPageBytes, &memory_).error == 0, "watch failed");
  }

 private:
  size_t below(size_t end) { return std::uniform_int_distribution<size_t>(0, end - 1)(random_); }
  bool isAsync() const { return mechanism_ == Mechanism::uffdAsync; }

  void check(bool good, const char* what) {
    if (good) return;
    printf("MISMATCH: %s (seed %u, operation %ld, last kind %d)\n", what, seed_, operation_, kind_);
    fflush(stdout);
    _exit(1);
  }

  void compare(const char* when) {
    if (memcmp(base_, now_.data(), pages_ * kPageBytes) == 0) return;
    size_t at = 0;
    while (base_[at] == now_[at]) at++;
    printf("byte %zu (page %zu of %zu) is %u, should be %u\n", at, at / kPageBytes, pages_, base_[at], now_[at]);
    check(false, when);
  }

  // A new guest, at a given address or any.
  void begin(void* where) {
    void* at = mmap(where, kReserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (where ? MAP_FIXED : 0),
                    -1, 0);
    check(at != MAP_FAILED, "mmap failed");
    base_ = static_cast<uint8_t*>(at);
    pages_ = 16 + 16 * below(5);
    const unsigned percent = std::exchange(injectPercent, 0);
    check(mprotect(base_, pages_ * kPageBytes, PROT_READ | PROT_WRITE) == 0, "mprotect failed");
    now_.assign(kMaxPages * kPageBytes, 0);
    for (size_t page = 0; page < pages_; page++) {
      if (below(2)) now_[page * kPageBytes + below(kPageBytes)] = base_[page * kPageBytes] = 1;
    }
    memcpy(base_, now_.data(), pages_ * kPageBytes);
    hasCheckpoint_ = false;
    dirty_.clear();
    ahead_.clear();
    check(belay::watch(mechanism_, base_, pages_ * kPageBytes, &memory_).error == 0, "watch failed");
    injectPercent = percent;
  }

  // The guest, or the kernel for it, has written [offset, offset + length).
  void wrote(size_t offset, size_t length) {
    for (size_t page = offset / kPageBytes; length > 0 && page <= (offset + length - 1) / kPageBytes; page++) {
      if (hasCheckpoint_ && !dirty_.count(page) && !ahead_.count(page)) dirty_[page] = operation_;
    }
  }

  std::pair<size_t, size_t> range() {
    static const size_t lengths[] = {1, 8, 100, 4096, 5000, 40000};
    size_t length = 1 + below(lengths[below(6)]);
    const size_t offset = below(pages_ * kPageBytes);
    if (offset + length > pages_ * kPageBytes) length = pages_ * kPageBytes - offset;
    return {offset, length};
  }

  void write() {
    const auto [offset, length] = range();
    switch (below(4)) {
      case 0: {
        const auto value = static_cast<int>(below(256));
        memset(base_ + offset, value, length);
        memset(now_.data() + offset, value, length);
        break;
      }
      case 1: {  // within the guest
        const size_t from = below(pages_ * kPageBytes - length + 1);
        memmove(base_ + offset, base_ + from, length);
        memmove(now_.data() + offset, now_.data() + from, length);
        break;
      }
      default:
        for (size_t i = 0; i < length; i += 1 + below(3000)) {
          base_[offset + i] = now_[offset + i] = static_cast<uint8_t>(below(256));
          wrote(offset + i, 1);
        }
        return;
    }
    wrote(offset, length);
  }

  void kernelWrite() {
    const auto [offset, length] = range();
    if (belay::Outcome outcome = memory_->touch(offset / kPageBytes, (offset + length - 1) / kPageBytes + 1);
        outcome.failed()) {
      check(inject_, "touch failed");
      return;
    }
    if (below(2)) {
      const int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
      check(read(fd, base_ + offset, length) == static_cast<ssize_t>(length), "read() was cut short");
      close(fd);
    } else {
      check(getrandom(base_ + offset, length, 0) == static_cast<ssize_t>(length), "getrandom() was cut short");
    }
    memcpy(now_.data() + offset, base_ + offset, length);
    wrote(offset, length);
  }

  void checkpoint() {
    std::vector<uint32_t> ahead;
    if (!isAsync()) {
      switch (below(4)) {
        case 0:
          break;
        case 1:  // the same again
          for (const auto& [page, unused] : ahead_) ahead.push_back(static_cast<uint32_t>(page));
          break;
        case 2:  // a run, and what was written
          for (size_t page = below(pages_), n = below(40); n > 0 && page < pages_; n--, page++) {
            ahead.push_back(static_cast<uint32_t>(page));
          }
          for (const auto& [page, unused] : dirty_) ahead.push_back(static_cast<uint32_t>(page));
          break;
        default:
          for (size_t n = below(pages_); n > 0; n--) ahead.push_back(static_cast<uint32_t>(below(pages_)));
      }
    }
    bool same = !inject_ && !isAsync() && hasCheckpoint_ && dirty_.empty();
    for (const uint32_t page : ahead) same = same && ahead_.count(page);
    for (const auto& [page, unused] : ahead_) {
      same = same && std::find(ahead.begin(), ahead.end(), page) != ahead.end();
    }
    calls = 0;
    if (memory_->checkpoint(ahead.data(), ahead.size()).failed()) {
      check(inject_, "checkpoint failed");
      return;
    }
    check(!same || calls == 0, "a checkpoint of the pages that are open already made system calls");
    then_ = now_;
    hasCheckpoint_ = true;
    dirty_.clear();
    ahead_.clear();
    for (const uint32_t page : ahead) ahead_[page] = 1;
    opened_ = memory_->stats().openedWhole;
    if (!ahead.empty() && below(3) == 0) steady(ahead);
  }

  // A working set that stays as it is: writes to pages ahead alone, and the same list again.
  void steady(const std::vector<uint32_t>& ahead) {
    for (size_t epochs = 1 + below(3); epochs > 0; epochs--) {
      for (size_t n = below(5); n > 0; n--) {
        const size_t offset = ahead[below(ahead.size())] * kPageBytes + below(kPageBytes);
        base_[offset] ^= 0x5a;
        now_[offset] = base_[offset];
      }
      if (memory_->checkpoint(ahead.data(), ahead.size()).failed()) {
        check(inject_, "checkpoint failed");
        return;
      }
      then_ = now_;
    }
  }

  void rollback() {
    if (!hasCheckpoint_) return;
    size_t restored;
    check(memory_->rollback(&restored).error == 0, "rollback failed");
    now_ = then_;
    if (!inject_ && !unknown_ && memory_->stats().openedWhole == opened_) {
      check(restored == dirty_.size() + ahead_.size(), "rollback() counts wrongly");
    }
    if (isAsync()) dirty_.clear();  // protected again
    compare("after rollback");
  }

  void grow() {
    const size_t oldPages = pages_;
    const size_t newPages = pages_ + 16 * below(4);
    if (newPages > kMaxPages) return again();
    const bool moves = below(4) == 0;
    const unsigned percent = std::exchange(injectPercent, 0);
    uint8_t* old = nullptr;
    if (moves) {
      void* at = mmap(nullptr, kReserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      check(at != MAP_FAILED, "mmap failed");
      old = base_;
      base_ = static_cast<uint8_t*>(at);
    }
    check(mprotect(base_, newPages * kPageBytes, PROT_READ | PROT_WRITE) == 0, "mprotect failed");
    if (moves) {
      memcpy(base_, old, pages_ * kPageBytes);
      munmap(old, kReserved);
    }
    pages_ = newPages;
    // Writes before the core hears of it: to new pages always, to old ones where the mechanism allows it.
    for (size_t n = below(4); n > 0; n--) {
      const bool anywhere = isAsync() || (mechanism_ == Mechanism::uffd && !moves);
      const size_t first = anywhere ? 0 : oldPages;
      if (first == newPages) break;
      const size_t at = first * kPageBytes + below((newPages - first) * kPageBytes);
      base_[at] = now_[at] = 77;
      wrote(at, 1);
    }
    wholeBytes = pages_ * kPageBytes;
    injectPercent = percent;
    check(belay::rewatch(memory_, base_, pages_ * kPageBytes).error == 0, "rewatch failed");
    if (moves && isAsync() && hasCheckpoint_) {
      // Nothing is known of the pages then: what holds memory counts as written.
      unknown_ = true;
    }
  }

  // Another guest, often where this one was, and sometimes before the record of the old one is gone.
  void again() {
    uint8_t* where = base_;
    belay::Watched* old = memory_;
    const bool stale = below(2);
    if (!stale && below(2)) {
      injectPercent = 0;
      check(belay::unwatch(old).error == 0, "unwatch failed");
      old = nullptr;
    }
    if (stale && below(2)) {
      // Reserved, but no memory any more: faults there are not the record's.
      mmap(base_, kReserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
      mustNotWrite(below(pages_ * kPageBytes));
    }
    // Over the old one in one step, or another thread's guest may slip in.
    if (below(2)) {
      munmap(where, kReserved);
      where = nullptr;
    }
    if (!stale && old) belay::abandon(old);
    begin(where);
    if (stale) {
      // Overlapped or not: the new guest must not be the worse for it.
      write();
      belay::abandon(old);
    }
    unknown_ = false;
  }

  void mustNotWrite(size_t offset) {
    expectBeyond = true;
    if (sigsetjmp(beyond, 1) == 0) {
      const_cast<volatile uint8_t*>(base_)[offset] = 1;
      check(false, "a write outside of memory did not fault");
    }
    expectBeyond = false;
  }

  void outside() { mustNotWrite(pages_ * kPageBytes + below(kReserved - pages_ * kPageBytes)); }

  void askChanged() {
    const size_t page = below(pages_);
    const bool expected =
        hasCheckpoint_ && memcmp(&now_[page * kPageBytes], &then_[page * kPageBytes], kPageBytes) != 0;
    check(memory_->changed(page) == expected, "changed()");
  }

  void askFaulted() {
    if (inject_ || unknown_ || memory_->stats().openedWhole != opened_) return;
    std::vector<uint32_t> pages(kMaxPages);
    size_t count;
    check(memory_->faulted(pages.data(), pages.size(), &count).error == 0, "faulted failed");
    check(count == dirty_.size(), "faulted() counts wrongly");
    long last = 0;
    for (size_t i = 0; i < count; i++) {
      const auto found = dirty_.find(pages[i]);
      check(found != dirty_.end(), "faulted() names a page that was not written");
      check(isAsync() || found->second >= last, "faulted() is out of order");
      last = found->second;
    }
  }

  void askWritten() {
    std::vector<uint32_t> pages(kMaxPages);
    size_t count;
    check(memory_->written(pages.data(), pages.size(), &count).error == 0, "written failed");
    check(hasCheckpoint_ || count == 0, "written() names pages before the first checkpoint");
    std::vector<bool> named(pages_);
    for (size_t i = 0; i < count; i++) {
      check(pages[i] < pages_, "written() names a page beyond memory");
      check(!named[pages[i]], "written() names a page twice");
      named[pages[i]] = true;
    }
    for (size_t page = 0; hasCheckpoint_ && page < pages_; page++) {
      const bool differs = memcmp(&now_[page * kPageBytes], &then_[page * kPageBytes], kPageBytes) != 0;
      check(!differs || named[page], "written() misses a page");
    }
  }

  void step() {
    kind_ = static_cast<int>(below(100));
    if (kind_ < 45) return write();
    if (kind_ < 55) return kernelWrite();
    if (kind_ < 68) {
      checkpoint();
      unknown_ = unknown_ && !hasCheckpoint_;
      return;
    }
    if (kind_ < 80) {
      for (size_t n = 1 + below(2); n > 0; n--) rollback();
      if (isAsync()) unknown_ = false;
      return;
    }
    if (kind_ < 83) return grow();
    if (kind_ < 84) return outside();
    if (kind_ < 92) return askChanged();
    if (kind_ < 98) {
      askFaulted();
      return askWritten();
    }
    if (kind_ < 99) return compare("in between");
    if (below(20) == 0) return again();
  }

  const Mechanism mechanism_;
  const unsigned seed_;
  const bool inject_;
  std::mt19937 random_;
  long operation_ = 0;
  int kind_ = 0;
  uint8_t* base_ = nullptr;
  size_t pages_ = 0;
  belay::Watched* memory_ = nullptr;
  bool hasCheckpoint_ = false;
  bool unknown_ = false;
  uint64_t opened_ = 0;
  std::vector<uint8_t> now_, then_;   // what memory holds; what it held at the checkpoint
  std::map<size_t, long> dirty_;      // pages written since the checkpoint that were not ahead, and when
  std::map<size_t, long> ahead_;
};

}  // namespace

int main(int count, char** values) {
  if (count < 4) {
    fprintf(stderr, "fuzz <mprotect|uffd|uffd-async> <operations> <seed> [threads] [inject]\n");
    return 3;
  }
  const std::string name = values[1];
  const Mechanism mechanism =
      name == "uffd" ? Mechanism::uffd : name == "uffd-async" ? Mechanism::uffdAsync : Mechanism::mprotect;
  const long operations = atol(values[2]);
  const auto seed = static_cast<unsigned>(atol(values[3]));
  const int threads = count > 4 ? atoi(values[4]) : 1;
  const bool inject = count > 5 && std::string(values[5]) == "inject";
  char why[256];
  if (belay::unavailable(mechanism, why, sizeof why)) {
    printf("UNAVAILABLE: %s\n", why);
    return 2;
  }
  struct sigaction earlier = {};
  earlier.sa_sigaction = earlierHandler;
  earlier.sa_flags = SA_SIGINFO;
  sigaction(SIGSEGV, &earlier, nullptr);
  std::vector<std::thread> all;
  for (int i = 0; i < threads; i++) {
    all.emplace_back([=] { Fuzz(mechanism, seed + static_cast<unsigned>(i) * 1000, inject).run(operations / threads); });
  }
  for (std::thread& one : all) one.join();
  printf("ok %s: %ld operations, seed %u, %d threads%s\n", values[1], operations, seed, threads,
         inject ? ", refusing kernel" : "");
  return 0;
}
