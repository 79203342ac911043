#include "uffd_async.h"

#include <cerrno>
#include <cstring>

#include "pagemap.h"

namespace belay {

Outcome UffdAsyncMemory::start() {
  if (!reserve(pages_)) return {ENOMEM, "reserving room for a second image"};
  return watchRange(base_, bytes());
}

Outcome UffdAsyncMemory::watchRange(uint8_t* base, size_t bytes) {
  // Closed where another memory has come to lie where this one was before it moved.
  if (!uffd_.isOpen()) {
    if (Outcome outcome = uffd_.open(kFeatures); outcome.failed()) return outcome;
  }
  return uffd_.watch(base, bytes);
}

void UffdAsyncMemory::copyToImage(size_t first, size_t end) {
  memcpy(image_.data() + first * kPageBytes, at(first), (end - first) * kPageBytes);
  stats_.pagesSaved += end - first;
  for (size_t page = first; page < end; page++) {
    if (inImage_.has(page)) continue;
    inImage_.add(page);
    imagePages_++;
  }
}

void UffdAsyncMemory::copyBack(size_t first, size_t end) {
  memcpy(at(first), image_.data() + first * kPageBytes, (end - first) * kPageBytes);
}

// Calls each(first, end) for the runs of written pages, which are protected before or after it. An errno where
// the kernel gave up in the middle.
template <class Each>
int UffdAsyncMemory::forEachWritten(bool protectFirst, bool protectAfter, Each each) {
  constexpr size_t kRoom = 256;
  PageRange ranges[kRoom];
  const auto begin = reinterpret_cast<uint64_t>(base_);
  for (uint64_t from = begin; from < begin + bytes();) {
    const long count = scanWritten(&from, begin + bytes(), protectFirst, ranges, kRoom);
    if (count < 0) return static_cast<int>(-count);
    for (long i = 0; i < count; i++) {
      each((ranges[i].start - begin) / kPageBytes, (ranges[i].end - begin) / kPageBytes);
    }
    if (!protectAfter || count == 0) continue;
    // Where this fails the pages still count as written, which is harmless.
    for (uint64_t again = ranges[0].start; again < ranges[count - 1].end;) {
      if (scanWritten(&again, ranges[count - 1].end, true, nullptr, 0) < 0) break;
    }
  }
  return 0;
}

Outcome UffdAsyncMemory::checkpoint(const uint32_t*, size_t) {
  // Protected first and copied then: what the kernel writes in between counts for the epoch that begins.
  if (armed_) {
    const int error = forEachWritten(true, false, [this](size_t first, size_t end) { copyToImage(first, end); });
    if (error == 0) return {};
    stats_.openedWhole++;
    copyToImage(0, pages_);
    return {};
  }
  // The image is empty. Pages that hold memory now, or by the time that they are protected, go into it.
  PageSet filled;
  if (!filled.grow(pages_)) return {ENOMEM, "reserving room for a second image"};
  const auto mark = [&](size_t first, size_t end) {
    for (size_t page = first; page < end; page++) filled.add(page);
  };
  forEachPopulated(base_, {0, pages_}, Which::populated, mark);
  if (const int error = uffd_.setWritable(base_, bytes(), false)) return {error, "protecting pages"};
  forEachPopulated(base_, {0, pages_}, Which::present, mark);
  forEachRun({0, pages_}, [&](size_t w) { return filled.word(w); },
             [this](size_t first, size_t end) {
               for (size_t page = first; page < end; page++) {
                 if (!isZero(at(page))) copyToImage(page, page + 1);
               }
               return true;
             });
  armed_ = true;
  return {};
}

Outcome UffdAsyncMemory::rollback(size_t* restored) {
  size_t count = 0;
  const int error = forEachWritten(false, true, [&](size_t first, size_t end) {
    copyBack(first, end);
    count += end - first;
  });
  if (error != 0) {
    stats_.openedWhole++;
    copyBack(0, pages_);
    count = pages_;
  }
  *restored = count;
  return {};
}

Outcome UffdAsyncMemory::resized(uint8_t* base, size_t bytes) {
  const size_t oldPages = pages_, newPages = bytes / kPageBytes;
  const bool moved = base != base_;
  if (!reserve(newPages)) return {ENOMEM, "reserving room for a second image"};
  if (Outcome outcome = watchRange(base, bytes); outcome.failed()) return outcome;
  base_ = base;
  pages_ = newPages;
  if (!armed_) return {};
  // Everything that stays unprotected counts as written.
  size_t next = moved ? 0 : oldPages;
  const auto protect = [&](size_t first, size_t end) {
    if (first < end) uffd_.setWritable(at(first), (end - first) * kPageBytes, false);
  };
  forEachPopulated(base_, {next, newPages}, Which::populated, [&](size_t first, size_t end) {
    protect(next, first);
    next = end;
  });
  protect(next, newPages);
  return {};
}

Outcome UffdAsyncMemory::faulted(uint32_t* out, size_t room, size_t* count) {
  *count = 0;
  if (!armed_) return {};
  const int error = forEachWritten(false, false, [&](size_t first, size_t end) {
    for (size_t page = first; page < end; page++, ++*count) {
      if (*count < room) out[*count] = static_cast<uint32_t>(page);
    }
  });
  return {error, "scanning for written pages"};
}

Outcome UffdAsyncMemory::written(uint32_t* out, size_t room, size_t* count) {
  if (Outcome outcome = faulted(out, room, count); !outcome.failed()) return outcome;
  // As at a checkpoint: all pages are taken for written.
  *count = pages_;
  for (size_t page = 0; page < pages_ && page < room; page++) out[page] = static_cast<uint32_t>(page);
  return {};
}

bool UffdAsyncMemory::changed(size_t page) {
  return armed_ && memcmp(image_.data() + page * kPageBytes, at(page), kPageBytes) != 0;
}

Stats UffdAsyncMemory::stats() {
  Stats now = stats_;
  now.supportBytes = imagePages_ * kPageBytes;
  return now;
}

}  // namespace belay
