#include "trapping.h"

#include <cerrno>
#include <cstring>

#include "pagemap.h"
#include "signals.h"

namespace belay {

namespace {

// Protecting a page that is protected costs about 1/256 of a system call.
constexpr size_t kGap = 256;

}  // namespace

Outcome TrappingMemory::start() {
  if (!log_.grow(pages_) || !next_.grow(pages_)) return {ENOMEM, "reserving room for pre-images"};
  if (Outcome outcome = installHandler(signal()); outcome.failed()) return outcome;
  return watchRange(base_, bytes());
}

void TrappingMemory::save(size_t page) {
  log_.save(page, at(page));
  stats_.pagesSaved++;
}

bool TrappingMemory::openAndSave(size_t page) {
  const int error = setWritable(page, page + 1, true);
  if (error == ENOENT) return false;
  stats_.faults++;
  if (armed_ && !log_.has(page)) save(page);
  return error == 0 || saveAndOpenWhole();
}

bool TrappingMemory::saveAndOpenWhole() {
  if (armed_) {
    log_.endFaulted();
    for (size_t page = 0; page < pages_; page++) {
      if (!log_.has(page)) save(page);
    }
  }
  stats_.openedWhole++;
  doubtful_ = setWritable(0, pages_, true) != 0;
  return !doubtful_;
}

// Protects the pages that are open and not ahead. `reopen` tells that pages ahead within the span were protected.
int TrappingMemory::protectLeaving(Span leaving, bool* reopen) {
  const auto word = [this](size_t w) { return (armed_ ? log_.word(w) : ~uint64_t{0}) & ~next_.word(w); };
  const auto isAhead = [this](size_t w) { return next_.word(w); };
  // May a call reach from one run to the next? Between them are pages ahead, and pages protected already.
  const auto joins = [&](size_t from, size_t to) {
    return to - from <= kGap && forEachRun({from, to}, isAhead, [](size_t, size_t) { return false; });
  };
  const auto forEachCall = [&](auto call) {
    Span run;
    const bool through = forEachRun(leaving, word, [&](size_t first, size_t end) {
      if (!run.empty() && joins(run.end, first)) {
        run.end = end;
        return true;
      }
      if (!run.empty() && !call(run.first, run.end)) return false;
      run = {first, end};
      return true;
    });
    return through && (run.empty() || call(run.first, run.end));
  };
  size_t calls = 0, runsAhead = 0;
  forEachCall([&](size_t, size_t) { return ++calls; });
  if (calls > 2) {
    forEachRun(leaving, isAhead, [&](size_t, size_t) { return ++runsAhead; });
    // One call over everything, and the pages ahead opened again?
    if (1 + runsAhead + (leaving.end - leaving.first) / kGap < calls) {
      *reopen = true;
      return setWritable(leaving.first, leaving.end, false);
    }
  }
  int error = 0;
  forEachCall([&](size_t first, size_t end) {
    error = setWritable(first, end, false);
    return error == 0;
  });
  if (error == 0) return 0;
  // Out of mappings in the middle. All of memory protected is a single one.
  doubtful_ = true;
  *reopen = true;
  return setWritable(0, pages_, false);
}

// Opens the pages ahead that are not open: all of them, or those that were not saved before. Where the kernel
// refuses they stay protected, and the fault that follows opens them.
void TrappingMemory::openEntering(Span entering, bool all) {
  if (entering.empty()) return;
  const auto word = [&](size_t w) { return next_.word(w) & (all ? ~uint64_t{0} : ~log_.word(w)); };
  const bool opened = forEachRun(
      entering, word, [this](size_t first, size_t end) { return setWritable(first, end, true) == 0; });
  if (!opened) doubtful_ = true;
}

Outcome TrappingMemory::checkpoint(const uint32_t* ahead, size_t count) {
  if (armed_ && !doubtful_ && log_.isAhead(ahead, count)) {
    // A working set that stays as it is: nothing to open, to protect or to enter.
    for (size_t i = 0; i < count; i++) log_.renew(i, at(ahead[i]));
    log_.age();
    stats_.pagesSaved += count;
    stats_.copiedAhead += count;
    return {};
  }
  Span all, entering, leaving;
  for (size_t i = 0; i < count; i++) {
    next_.add(ahead[i]);
    all.include(ahead[i]);
    if (armed_ && !log_.has(ahead[i])) entering.include(ahead[i]);
  }
  if (!armed_) {
    leaving = {0, pages_};
  } else {
    for (size_t i = 0; i < log_.count(); i++) {
      if (!next_.has(log_.page(i))) leaving.include(log_.page(i));
    }
  }
  bool reopen = !armed_ && doubtful_;
  const int error = leaving.empty() ? 0 : protectLeaving(leaving, &reopen);
  if (error == 0) {
    // Nothing fails from here on. Pages are opened before they are copied, which no one can see.
    openEntering(reopen ? all : entering, reopen);
    log_.forget();
  } else {
    // The old epoch goes on: its saved pages may be protected now, which the handler mends.
    doubtful_ = true;
    if (!armed_) setWritable(0, pages_, true);
  }
  for (size_t i = 0; i < count; i++) {
    if (!next_.has(ahead[i])) continue;  // named twice
    next_.remove(ahead[i]);
    if (error == 0) save(ahead[i]);
  }
  if (error != 0) return {error, "protecting pages"};
  log_.endAhead();
  stats_.copiedAhead += log_.count();
  armed_ = true;
  return {};
}

Outcome TrappingMemory::rollback(size_t* restored) {
  // Pages that the handler adds meanwhile are as they were.
  const size_t count = log_.count();
  for (size_t i = 0; i < count; i++) memcpy(at(log_.page(i)), log_.preImageAt(i), kPageBytes);
  *restored = count;
  return {};
}

Outcome TrappingMemory::touch(size_t first, size_t end) {
  if (!armed_) return {};
  const auto unsaved = [this](size_t w) { return ~log_.word(w); };
  int error = 0;
  const auto openRun = [&](size_t from, size_t to) {
    error = setWritable(from, to, true);
    return error == 0;
  };
  // The words of the log change under the walk, but only behind it.
  forEachRun({first, end}, unsaved, [&](size_t from, size_t to) {
    for (size_t page = from; page < to; page++) save(page);
    return openRun(from, to);
  });
  if (error == 0 && doubtful_) openRun(first, end);
  if (error == 0 || saveAndOpenWhole()) return {};
  return {error, "opening pages"};
}

int TrappingMemory::protectUnsaved(Span span) {
  int error = 0;
  forEachRun(span, [this](size_t w) { return ~log_.word(w); },
             [&](size_t first, size_t end) {
               error = setWritable(first, end, false);
               return error == 0;
             });
  return error;
}

Outcome TrappingMemory::resized(uint8_t* base, size_t bytes) {
  const size_t oldPages = pages_, newPages = bytes / kPageBytes;
  const bool moved = base != base_;
  if (!log_.grow(newPages) || !next_.grow(newPages)) return {ENOMEM, "reserving room for pre-images"};
  if (Outcome outcome = watchRange(base, bytes); outcome.failed()) return outcome;
  base_ = base;
  pages_ = newPages;
  if (!armed_) return {};
  // What is new was zeros at the checkpoint, whatever it is by now.
  forEachPopulated(base_, {oldPages, newPages}, Which::populated, [this](size_t first, size_t end) {
    for (size_t page = first; page < end; page++) {
      if (isZero(at(page))) continue;
      log_.saveZeros(page);
      stats_.pagesSaved++;
    }
  });
  const bool kept = !moved && growthKeepsProtection();
  if (protectUnsaved({kept ? oldPages : 0, newPages}) != 0) {
    doubtful_ = true;
    saveAndOpenWhole();
  }
  return {};
}

Outcome TrappingMemory::faulted(uint32_t* out, size_t room, size_t* count) {
  const size_t first = log_.faultedFirst(), end = log_.faultedEnd();
  *count = end - first;
  for (size_t i = first; i < end && i - first < room; i++) out[i - first] = static_cast<uint32_t>(log_.page(i));
  return {};
}

Outcome TrappingMemory::written(uint32_t* out, size_t room, size_t* count) {
  // What is open is saved, and what is not saved is protected.
  *count = log_.count();
  for (size_t i = 0; i < *count && i < room; i++) out[i] = static_cast<uint32_t>(log_.page(i));
  return {};
}

bool TrappingMemory::changed(size_t page) {
  return armed_ && log_.has(page) && memcmp(log_.preImage(page), at(page), kPageBytes) != 0;
}

Stats TrappingMemory::stats() {
  Stats now = stats_;
  now.supportBytes = log_.bytes();
  return now;
}

}  // namespace belay
