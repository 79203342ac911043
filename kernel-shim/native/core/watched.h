// A memory whose writes are seen, whatever sees them. One mechanism is one subclass.
//
// A memory belongs to one thread. Everything here is called by that thread; onFault() by the signal handler on that
// thread, possibly in the middle of any other instruction of the guest, but never while another method changes the
// log: those methods write into guest memory only where that is said.
//
// The registry may purge a memory from any thread, see registry.h. A purged memory only waits to be deleted, or to be
// told by resized() where it lies now.
#pragma once

#include <atomic>

#include "outcome.h"
#include "reservation.h"

namespace belay {

struct Stats {
  uint64_t faults = 0;
  uint64_t copiedAhead = 0;
  uint64_t pagesSaved = 0;
  uint64_t openedWhole = 0;
  uint64_t supportBytes = 0;
};

// A fault as the signal handler got it.
struct Fault {
  int signal;
  int code;          // si_code
  uintptr_t address;
  // The processor says that the access was a read. Not all processors say so.
  bool isRead;
  // The processor may not have found the page in the page tables: reading there could fault again.
  bool maybeAbsent;
};

class Watched {
 public:
  Watched(uint8_t* base, size_t bytes) : base_(base), pages_(bytes / kPageBytes) {}
  virtual ~Watched() = default;
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;

  // Begins to watch, with all pages writable.
  virtual Outcome start() = 0;
  // A failure leaves the epoch before as it was, unless it was the first: then there is still no checkpoint.
  virtual Outcome checkpoint(const uint32_t* ahead, size_t count) = 0;
  // Only after a checkpoint. `restored` becomes the number of pages put back.
  virtual Outcome rollback(size_t* restored) = 0;
  virtual Outcome touch(size_t first, size_t end) = 0;
  // After a failure only detach() makes sense.
  virtual Outcome resized(uint8_t* base, size_t bytes) = 0;
  virtual Outcome faulted(uint32_t* out, size_t room, size_t* count) = 0;
  // Every page that may differ from the checkpoint, each once. Before the first checkpoint none.
  virtual Outcome written(uint32_t* out, size_t room, size_t* count) = 0;
  virtual bool changed(size_t page) = 0;
  virtual Stats stats() = 0;
  // Makes all pages writable and stops watching. Must not be called when the memory may be gone.
  virtual Outcome open() = 0;

  // Gives up what the kernel holds for it, without touching its range. From any thread, when it is purged.
  virtual void letGo() {}

  // The signal that writes raise; 0 where they raise none.
  virtual int signal() const { return 0; }
  // In the signal handler. False: this fault is not for us.
  virtual bool onFault(const Fault&) { return false; }

  uint8_t* base() const { return base_; }
  size_t pages() const { return pages_; }
  size_t bytes() const { return pages_ * kPageBytes; }
  bool hasCheckpoint() const { return armed_; }

  bool purged() const { return purged_.load(std::memory_order_acquire); }

 protected:
  uint8_t* at(size_t page) const { return base_ + page * kPageBytes; }

  uint8_t* base_;
  size_t pages_;
  bool armed_ = false;

 private:
  friend class Registry;
  std::atomic<bool> purged_{false};
  Watched* nextRetired_ = nullptr;
};

}  // namespace belay
