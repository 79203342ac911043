#include "page_log.h"

#include <cstring>

namespace belay {

namespace {
constexpr unsigned kWindow = 64;          // epochs
constexpr size_t kAlwaysKept = 1024;      // pages: 4 MiB are not worth a system call
}  // namespace

bool PageLog::grow(size_t pages) {
  return pool_.grow(pages * kPageBytes) && list_.grow(pages * sizeof(uint32_t)) &&
         slot_.grow(pages * sizeof(uint32_t)) && saved_.grow(pages);
}

uint8_t* PageLog::enter(size_t page) {
  const size_t index = count_;
  list_.as<uint32_t>()[index] = static_cast<uint32_t>(page);
  slot_.as<uint32_t>()[page] = static_cast<uint32_t>(index);
  saved_.add(page);
  count_ = index + 1;
  if (count_ > touched_) touched_ = count_;
  return pool_.data() + index * kPageBytes;
}

void PageLog::save(size_t page, const uint8_t* bytes) { memcpy(enter(page), bytes, kPageBytes); }

void PageLog::saveZeros(size_t page) { memset(enter(page), 0, kPageBytes); }

bool PageLog::isAhead(const uint32_t* pages, size_t count) const {
  if (count != count_ || count != ahead_) return false;
  return count == 0 || memcmp(list_.as<uint32_t>(), pages, count * sizeof(uint32_t)) == 0;
}

void PageLog::renew(size_t index, const uint8_t* bytes) {
  memcpy(pool_.data() + index * kPageBytes, bytes, kPageBytes);
}

void PageLog::forget() {
  age();
  for (size_t i = 0; i < count_; i++) saved_.remove(page(i));
  count_ = 0;
  ahead_ = 0;
  faultedEnd_ = SIZE_MAX;
}

void PageLog::age() {
  if (count_ > largest_) largest_ = count_;
  if (++epochs_ < kWindow) return;
  const size_t kept = largest_ * 2 > kAlwaysKept ? largest_ * 2 : kAlwaysKept;
  if (touched_ > kept * 2) {
    pool_.giveBack(kept * kPageBytes, touched_ * kPageBytes);
    touched_ = kept;
  }
  largest_ = 0;
  epochs_ = 0;
}

}  // namespace belay
