#include "signals.h"

#include <pthread.h>
#include <signal.h>
#include <ucontext.h>

#include <atomic>
#include <cerrno>
#include <mutex>

#include "registry.h"

namespace belay {

namespace {

struct Slot {
  struct sigaction earlier;
  // An earlier SA_RESETHAND handler is called once; after that the default holds.
  std::atomic<bool> used{false};
  bool installed = false;
};
Slot segv, bus;
std::mutex mutex;

Slot& slotOf(int signal) { return signal == SIGSEGV ? segv : bus; }

bool isSent(const siginfo_t* info) {
  if (info->si_code <= 0) return true;
  // A memory error that nobody ran into yet.
  return info->si_signo == SIGBUS && info->si_code == BUS_MCEERR_AO;
}

void byDefault(int signal, const siginfo_t* info) {
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  sigaction(signal, &action, nullptr);
  // Blocked until our handler returns; then it ends the process.
  if (isSent(info)) raise(signal);
}

void forward(int signal, siginfo_t* info, void* context) {
  Slot& slot = slotOf(signal);
  const struct sigaction& earlier = slot.earlier;
  const bool takesInfo = (earlier.sa_flags & SA_SIGINFO) != 0;
  if (!takesInfo && earlier.sa_handler == SIG_IGN) {
    if (!isSent(info)) byDefault(signal, info);
    return;
  }
  const bool isDefault = !takesInfo && earlier.sa_handler == SIG_DFL;
  if (isDefault || ((earlier.sa_flags & SA_RESETHAND) && slot.used.exchange(true))) {
    byDefault(signal, info);
    return;
  }
  if (earlier.sa_flags & SA_NODEFER) {
    sigset_t own;
    sigemptyset(&own);
    sigaddset(&own, signal);
    pthread_sigmask(SIG_UNBLOCK, &own, nullptr);
  }
  if (takesInfo) {
    earlier.sa_sigaction(signal, info, context);
  } else {
    earlier.sa_handler(signal);
  }
}

Fault faultOf(int signal, const siginfo_t* info, const void* context) {
  Fault fault{signal, info->si_code, reinterpret_cast<uintptr_t>(info->si_addr), false, true};
#if defined(__x86_64__)
  const auto error = static_cast<const ucontext_t*>(context)->uc_mcontext.gregs[REG_ERR];
  fault.isRead = (error & 2) == 0;
  fault.maybeAbsent = (error & 1) == 0;
#else
  (void)context;
#endif
  return fault;
}

void handler(int signal, siginfo_t* info, void* context) {
  const int error = errno;
  const bool ours = !isSent(info) && registry().dispatch(faultOf(signal, info, context));
  errno = error;
  if (!ours) forward(signal, info, context);
}

}  // namespace

Outcome installHandler(int signal) {
  std::lock_guard<std::mutex> lock(mutex);
  Slot& slot = slotOf(signal);
  if (slot.installed) return {};
  registry();  // so that the handler does not have to make it
  // Known before ours can be called.
  if (sigaction(signal, nullptr, &slot.earlier) != 0) return {errno, "reading the signal handler"};
  struct sigaction ours = {};
  ours.sa_sigaction = handler;
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK | (slot.earlier.sa_flags & SA_RESTART);
  ours.sa_mask = slot.earlier.sa_mask;
  if (sigaction(signal, &ours, nullptr) != 0) return {errno, "installing the signal handler"};
  slot.installed = true;
  return {};
}

}  // namespace belay
