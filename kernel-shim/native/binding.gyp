{
  "targets": [
    {
      "target_name": "belay",
      "sources": [
        "binding.cc",
        "core/mechanisms.cc",
        "core/mprotect.cc",
        "core/page_log.cc",
        "core/pagemap.cc",
        "core/registry.cc",
        "core/reservation.cc",
        "core/signals.cc",
        "core/trapping.cc",
        "core/uffd.cc",
        "core/uffd_async.cc",
        "core/userfaultfd.cc"
      ],
      "defines": ["NAPI_VERSION=8"],
      "cflags": ["-O2", "-Wall", "-Wextra", "-fvisibility=hidden"],
      "cflags_cc!": ["-std=gnu++17", "-std=gnu++20", "-std=c++20"],
      "cflags_cc": ["-std=c++17"],
      # A worker that ends would unload the addon, and with it the signal handlers that the process still uses.
      "ldflags": ["-Wl,-z,nodelete"]
    }
  ]
}
