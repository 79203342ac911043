#include "registry.h"

#include <cstdlib>
#include <new>

namespace belay {

Registry& registry() {
  alignas(Registry) static unsigned char room[sizeof(Registry)];
  static Registry* one = new (room) Registry;
  return *one;
}

bool Registry::put(Watched* memory, uint8_t* base, size_t bytes) {
  const auto begin = reinterpret_cast<uintptr_t>(base);
  const uintptr_t end = begin + bytes;
  std::lock_guard<std::mutex> lock(mutex_);
  Snapshot* old = current_.load(std::memory_order_relaxed);
  const size_t oldCount = old ? old->count : 0;
  auto* fresh = static_cast<Snapshot*>(malloc(sizeof(Snapshot) + oldCount * sizeof(Entry)));
  if (!fresh) return false;
  fresh->count = 0;
  const auto append = [&](uintptr_t from, uintptr_t to, Watched* what) {
    Entry* entry = &fresh->entries[fresh->count++];
    entry->begin = from;
    entry->end = to;
    new (&entry->memory) std::atomic<Watched*>(what);
  };
  bool placed = false;
  for (size_t i = 0; i < oldCount; i++) {
    Entry& entry = old->entries[i];
    Watched* other = entry.memory.load(std::memory_order_relaxed);
    if (!other || other == memory) continue;
    if (entry.begin < end && begin < entry.end) {
      throwOut(other);
      continue;
    }
    if (!placed && entry.begin >= end) {
      append(begin, end, memory);
      placed = true;
    }
    append(entry.begin, entry.end, other);
  }
  if (!placed) append(begin, end, memory);
  memory->purged_.store(false, std::memory_order_release);
  current_.store(fresh, std::memory_order_seq_cst);
  if (old) {
    old->nextRetired = retiredSnapshots_;
    retiredSnapshots_ = old;
  }
  freeRetired();
  return true;
}

void Registry::throwOut(Watched* memory) {
  memory->purged_.store(true, std::memory_order_release);
  memory->letGo();
}

void Registry::purge(uint8_t* base, size_t bytes) {
  const auto begin = reinterpret_cast<uintptr_t>(base);
  std::lock_guard<std::mutex> lock(mutex_);
  Snapshot* now = current_.load(std::memory_order_relaxed);
  for (size_t i = 0; now && i < now->count; i++) {
    Entry& entry = now->entries[i];
    Watched* memory = entry.memory.load(std::memory_order_relaxed);
    if (!memory || entry.end <= begin || begin + bytes <= entry.begin) continue;
    entry.memory.store(nullptr, std::memory_order_seq_cst);
    throwOut(memory);
  }
}

void Registry::drop(Watched* memory) {
  std::lock_guard<std::mutex> lock(mutex_);
  Snapshot* now = current_.load(std::memory_order_relaxed);
  for (size_t i = 0; now && i < now->count; i++) {
    Entry& entry = now->entries[i];
    if (entry.memory.load(std::memory_order_relaxed) == memory) {
      // In place: this neither needs memory nor can fail. The next put() closes the gap.
      entry.memory.store(nullptr, std::memory_order_seq_cst);
    }
  }
  memory->nextRetired_ = retiredMemories_;
  retiredMemories_ = memory;
  freeRetired();
}

// A handler counts itself before it reads `current_`. So when none is inside now, every later one reads what was
// published before this point, and nothing retired is reachable from there.
void Registry::freeRetired() {
  if (inside_.load(std::memory_order_seq_cst) != 0) return;
  while (Snapshot* snapshot = retiredSnapshots_) {
    retiredSnapshots_ = snapshot->nextRetired;
    free(snapshot);
  }
  while (Watched* memory = retiredMemories_) {
    retiredMemories_ = memory->nextRetired_;
    delete memory;
  }
}

bool Registry::dispatch(const Fault& fault) {
  inside_.fetch_add(1, std::memory_order_seq_cst);
  bool handled = false;
  if (Snapshot* now = current_.load(std::memory_order_seq_cst)) {
    size_t low = 0, high = now->count;
    while (low < high) {
      const size_t middle = (low + high) / 2;
      if (now->entries[middle].end <= fault.address) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    if (low < now->count && now->entries[low].begin <= fault.address) {
      Watched* memory = now->entries[low].memory.load(std::memory_order_seq_cst);
      handled = memory && memory->signal() == fault.signal && memory->onFault(fault);
    }
  }
  inside_.fetch_sub(1, std::memory_order_seq_cst);
  return handled;
}

}  // namespace belay
