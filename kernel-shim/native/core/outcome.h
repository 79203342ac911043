// How an operation of the core ended: well, or with an errno and what was being attempted.
#pragma once

namespace belay {

struct [[nodiscard]] Outcome {
  int error = 0;
  const char* attempted = nullptr;

  bool failed() const { return error != 0; }
};

}  // namespace belay
