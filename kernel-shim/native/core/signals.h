// The handlers of SIGSEGV and SIGBUS, which the process shares with V8 and others.
//
//     fault ---> ours ---> is it a write to a protected page of a watched memory? open the page, return
//                     \--> anything else: to the handler that was there before
//
// V8 turns faults of Wasm code outside its memory into a RuntimeError in a SIGSEGV handler of its own, which was
// there first. It gets every fault that is not ours, with the same arguments, signal mask and errno.
//
// - A signal that someone sent (si_code <= 0) is never ours, whatever its address says.
// - Where the earlier handler was the default, the process must die of the signal: the default is put back, and
//   the faulting instruction runs again. A sent signal is raised again, for nothing would run into it.
// - Where it was to be ignored: the kernel does not let real faults be ignored, and neither do we.
// - Handlers are installed once, and never taken out: someone who came later may be calling ours.
//
// Not handled: someone who replaces our handler later and does not call it (process.on('SIGBUS') does that).
#pragma once

#include "outcome.h"

namespace belay {

// Installs our handler of SIGSEGV or SIGBUS, unless it is there.
Outcome installHandler(int signal);

}  // namespace belay
