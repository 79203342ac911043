# Sourced by the build scripts of the C samples: the compiler they share, and how they end.
# shellcheck shell=sh
#
# Debian 12 (bookworm): clang 14 with wasi-libc, all from the distribution. As root, missing packages are
# installed; otherwise the command to do so is printed. Another clang can be named in CC; the bytes that come
# out are the committed ones only with the compiler and libc versions named in README.md.

PACKAGES='clang-14 lld-14 wasi-libc libclang-rt-14-dev-wasm32'
CC=${CC:-clang-14}

# One target for all: WebAssembly 1.0 plus sign extension and bulk memory, which every engine has.
# Without -g and with relative paths nothing of the build folder gets into the module.
TARGET="--target=wasm32-wasi -msign-ext -mbulk-memory"
CFLAGS="$TARGET -std=c11 -O2 -ffunction-sections -fdata-sections"
STRICT='-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Werror'

# --stack-first: the C stack lies below all data, so that overflowing it traps and overwrites nothing.
# --strip-debug keeps the name section, for readable traps. Not optimised while linking: clang would then run
# any wasm-opt it finds on PATH, and the result would depend on that.
LDFLAGS="$TARGET -Wl,--gc-sections,--strip-debug,--stack-first"

need_toolchain() {
  command -v "$CC" >/dev/null && [ -e /usr/lib/wasm32-wasi/libc.a ] && return
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    # shellcheck disable=SC2086
    apt-get update -qq && apt-get install -qq -y --no-install-recommends $PACKAGES >&2
  else
    echo "build.sh: no $CC with wasi-libc here; run: sudo apt-get install $PACKAGES" >&2
    exit 1
  fi
}

# finish NEW FILE: puts the module in its place and says whether its bytes changed.
finish() {
  if cmp -s "$1" "$2"; then note='the same bytes as before'; else note='changed'; fi
  chmod 644 "$1" # the linker calls it a program
  mv "$1" "$2"
  echo "$2: $(wc -c <"$2") bytes, sha256 $(sha256sum "$2" | cut -d' ' -f1) ($note)"
}
