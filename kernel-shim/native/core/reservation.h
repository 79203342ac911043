// Address space that costs memory only where it is touched.
//
// Pre-images, page lists and bitmaps all live in reservations: each is as large as the worst case needs, so that
// the fault handler never has to allocate. Pages never touched cost nothing, and read as zeros.
//
// A reservation grows only outside the handler, and may move when it does.
#pragma once

#include <cstddef>
#include <cstdint>

namespace belay {

constexpr size_t kPageBytes = 4096;

class Reservation {
 public:
  Reservation() = default;
  ~Reservation();
  Reservation(const Reservation&) = delete;
  Reservation& operator=(const Reservation&) = delete;

  // Makes it at least `bytes` long. False when there is no address space; then nothing has changed.
  bool grow(size_t bytes);

  // Gives the memory of [from, to) back to the kernel; it reads as zeros again.
  void giveBack(size_t from, size_t to);

  uint8_t* data() const { return data_; }
  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(data_);
  }

 private:
  uint8_t* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace belay
