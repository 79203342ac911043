// What becomes of signals that are not ours, for every kind of handler that was there before. Each case is a process
// of its own, because the handlers are installed once in a process and most cases end it.
//
// Prints a line for each case that went wrong; exit code 1 if there was one.
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "../core/mechanisms.h"

using belay::kPageBytes;
using belay::Mechanism;

namespace {

constexpr int kGood = 42;   // the exit code of a case that lives to its end
uint8_t* memory;
uint8_t* readOnly;          // a page that nobody watches
volatile sig_atomic_t calls = 0;
sigjmp_buf again;

bool watchSomething() {
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
  memory = static_cast<uint8_t*>(mmap(nullptr, 4 * kPageBytes, PROT_READ | PROT_WRITE, flags, -1, 0));
  readOnly = static_cast<uint8_t*>(mmap(nullptr, kPageBytes, PROT_READ, flags, -1, 0));
  belay::Watched* watched;
  if (belay::watch(Mechanism::mprotect, memory, 4 * kPageBytes, &watched).failed()) return false;
  if (watched->checkpoint(nullptr, 0).failed()) return false;
  memory[0] = 1;  // ours
  size_t restored;
  return !watched->rollback(&restored).failed() && restored == 1 && memory[0] == 0;
}

void earlier(void (*handler)(int), int flags = 0) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  sigaction(SIGSEGV, &action, nullptr);
}

void earlierWithInfo(void (*handler)(int, siginfo_t*, void*), int flags = 0) {
  struct sigaction action = {};
  action.sa_sigaction = handler;
  action.sa_flags = flags | SA_SIGINFO;
  sigaddset(&action.sa_mask, SIGUSR1);
  sigaction(SIGSEGV, &action, nullptr);
}

int fault() {
  *const_cast<volatile uint8_t*>(readOnly) = 1;
  return kGood;
}

void count(int) { calls = calls + 1; }

void makeWritable(int, siginfo_t* info, void*) {
  calls = calls + 1;
  sigset_t mask;
  pthread_sigmask(SIG_BLOCK, nullptr, &mask);
  if (info->si_addr != readOnly || info->si_code != SEGV_ACCERR || !sigismember(&mask, SIGUSR1)) _exit(2);
  mprotect(readOnly, kPageBytes, PROT_READ | PROT_WRITE);
}

// 1 where a signal is delivered inside its own handler, as SA_NODEFER promises.
void raiseInside(int) {
  calls = calls + 1;
  if (calls == 1) {
    raise(SIGSEGV);
    if (calls != 2) _exit(3);
  }
}

void jumpOut(int) { siglongjmp(again, 1); }

struct Case {
  const char* name;
  int exit;    // its exit code, or
  int signal;  // the signal that ends it
  int (*body)();
};

const Case cases[] = {
    {"default, real fault", 0, SIGSEGV, [] { return watchSomething() ? fault() : 1; }},
    {"default, sent", 0, SIGSEGV, [] { return watchSomething() ? (raise(SIGSEGV), kGood) : 1; }},
    {"ignored, real fault", 0, SIGSEGV,
     [] {
       earlier(SIG_IGN);
       return watchSomething() ? fault() : 1;
     }},
    {"ignored, sent", kGood, 0,
     [] {
       earlier(SIG_IGN);
       if (!watchSomething()) return 1;
       raise(SIGSEGV);
       memory[kPageBytes] = 1;  // still ours
       return kGood;
     }},
    {"a plain handler, sent", kGood, 0,
     [] {
       earlier(count);
       if (!watchSomething()) return 1;
       raise(SIGSEGV);
       kill(getpid(), SIGSEGV);
       return calls == 2 ? kGood : 1;
     }},
    {"a handler that mends the fault", kGood, 0,
     [] {
       earlierWithInfo(makeWritable);
       return watchSomething() && fault() == kGood && calls == 1 ? kGood : 1;
     }},
    {"a handler that jumps out, many times", kGood, 0,
     [] {
       earlier(jumpOut);
       if (!watchSomething()) return 1;
       for (volatile int n = 0; n < 1000; n = n + 1) {
         if (sigsetjmp(again, 1) == 0) fault();
       }
       memory[kPageBytes] = 1;
       return kGood;
     }},
    {"SA_RESETHAND: called once, then the default", 0, SIGSEGV,
     [] {
       earlier(count, static_cast<int>(SA_RESETHAND));
       if (!watchSomething()) return 1;
       raise(SIGSEGV);
       if (calls != 1) return 1;
       raise(SIGSEGV);
       return kGood;
     }},
    {"SA_NODEFER", kGood, 0,
     [] {
       earlier(raiseInside, SA_NODEFER);
       if (!watchSomething()) return 1;
       raise(SIGSEGV);
       return calls == 2 ? kGood : 1;
     }},
    {"a sent signal that claims an address of ours", kGood, 0,
     [] {
       earlier(count);
       if (!watchSomething()) return 1;
       siginfo_t info = {};
       info.si_signo = SIGSEGV;
       info.si_code = SI_QUEUE;
       info.si_addr = memory + kPageBytes;
       if (syscall(SYS_rt_sigqueueinfo, getpid(), SIGSEGV, &info) != 0) return 1;
       return calls == 1 ? kGood : 1;
     }},
    {"errno survives a fault of ours", kGood, 0,
     [] {
       if (!watchSomething()) return 1;
       errno = 77;
       memory[2 * kPageBytes] = 1;
       return errno == 77 ? kGood : 1;
     }},
};

}  // namespace

int main() {
  int wrong = 0;
  for (const Case& one : cases) {
    const pid_t child = fork();
    if (child == 0) {
      alarm(20);
      _exit(one.body());
    }
    int status = 0;
    waitpid(child, &status, 0);
    const bool good = one.signal ? WIFSIGNALED(status) && WTERMSIG(status) == one.signal
                                 : WIFEXITED(status) && WEXITSTATUS(status) == one.exit;
    if (good) continue;
    printf("WRONG: %s: exit code %d, signal %d\n", one.name, WIFEXITED(status) ? WEXITSTATUS(status) : -1,
           WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    wrong = 1;
  }
  if (!wrong) printf("ok: %zu cases\n", sizeof cases / sizeof *cases);
  return wrong;
}
