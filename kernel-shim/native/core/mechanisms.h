// The three mechanisms by name, and the life of a watched memory.
#pragma once

#include "watched.h"

namespace belay {

enum class Mechanism { mprotect, uffd, uffdAsync };

// Writes what is missing for a mechanism into `why`, and returns true; false where it can be used.
bool unavailable(Mechanism mechanism, char* why, size_t room);

// Begins to watch [base, base + bytes), both multiples of a page.
Outcome watch(Mechanism mechanism, uint8_t* base, size_t bytes, Watched** memory);
// The memory has grown, and may have moved.
Outcome rewatch(Watched* memory, uint8_t* base, size_t bytes);
// Makes all pages writable, then forgets the memory and deletes it. After a failure it is still watched.
Outcome unwatch(Watched* memory);
// Forgets and deletes a memory that may be gone: its range is not touched.
void abandon(Watched* memory);

}  // namespace belay
