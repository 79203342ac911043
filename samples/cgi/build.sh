#!/bin/sh
# Builds cgi.wasm. See README.md.
set -eu
cd "$(dirname "$0")"
. ../toolchain.sh
need_toolchain
mkdir -p .cache
# shellcheck disable=SC2086
"$CC" $CFLAGS $STRICT -c cgi.c -o .cache/cgi.o
# shellcheck disable=SC2086
"$CC" $LDFLAGS -Wl,-z,stack-size=65536 .cache/cgi.o -o .cache/cgi.wasm
finish .cache/cgi.wasm cgi.wasm
