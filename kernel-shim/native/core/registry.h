// Which watched memory lies at an address? The signal handler asks, so the answer takes no lock.
//
//     current -> | [begin, end) memory | [begin, end) memory | ...      sorted, disjoint, never changed
//
// A snapshot is immutable but for one thing: `memory` becomes null when the memory is removed. Adding builds a new
// snapshot and publishes it by one atomic store. Old snapshots and removed memories are retired: they are freed once
// no handler is inside, for one that comes later cannot see them any more.
//
// Any number of memories of any number of threads. A new range throws out older ones that overlap it: two live
// memories never overlap, so the older record is of a memory that is gone and whose finalizer has not run yet, or of
// this memory before it grew and nobody told. It must not take the faults of the memory that lies there now. A memory
// that has moved comes back when put() learns where it lies.
#pragma once

#include <atomic>
#include <mutex>

#include "watched.h"

namespace belay {

class Registry {
 public:
  // Enters the memory, or moves it to where it lies now. False when there is no memory for a snapshot.
  bool put(Watched* memory, uint8_t* base, size_t bytes);
  // Throws out what overlaps a range, before another memory is watched there.
  void purge(uint8_t* base, size_t bytes);
  // Takes the memory out and deletes it as soon as no handler can be using it.
  void drop(Watched* memory);

  // Hands a fault to the memory it belongs to. In the signal handler. False: it belongs to none.
  bool dispatch(const Fault& fault);

 private:
  struct Entry {
    uintptr_t begin, end;
    std::atomic<Watched*> memory;
  };
  struct Snapshot {
    Snapshot* nextRetired;
    size_t count;
    Entry entries[1];
  };

  static void throwOut(Watched* memory);
  void freeRetired();

  std::mutex mutex_;
  std::atomic<Snapshot*> current_{nullptr};
  std::atomic<int> inside_{0};
  Snapshot* retiredSnapshots_ = nullptr;
  Watched* retiredMemories_ = nullptr;
};

// The registry of the process. It is never destroyed: handlers may run until the very end.
Registry& registry();

}  // namespace belay
