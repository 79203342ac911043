#!/bin/sh
# Builds notes.wasm from our sources and the SQLite amalgamation. See README.md.
set -eu
cd "$(dirname "$0")"
. ../toolchain.sh
need_toolchain

# SQLite's amalgamation (sqlite3.c and sqlite3.h) is 10 MB and in the public domain. It is not committed but
# taken, unchanged, from an npm package that carries it; the checksums pin it.
PACKAGE=better-sqlite3@12.11.1 # SQLite 3.53.2
SQLITE=.cache/sqlite-3.53.2
if [ ! -e "$SQLITE/sqlite3.c" ]; then
  mkdir -p "$SQLITE/package"
  (cd "$SQLITE/package" && npm pack --silent "$PACKAGE" >/dev/null && tar xzf better-sqlite3-*.tgz)
  mv "$SQLITE"/package/package/deps/sqlite3/sqlite3.[ch] "$SQLITE"
  rm -r "$SQLITE/package"
fi
sha256sum --check --quiet <<EOF
60d2f39a3726cd6b9021da6f4e868608d66fbb6528a9f513dc8ffcc640493422  $SQLITE/sqlite3.c
9e69a1353a4288450b0d5239ede11fc7f1f4c8e5eb07491fc8317eacb5b7de7e  $SQLITE/sqlite3.h
EOF

# One thread, no files, no operating system: vfs.c stands in for it. FTS5 is the full-text search.
SQLITE_OPTIONS='
  -DSQLITE_OS_OTHER=1 -DSQLITE_THREADSAFE=0 -DSQLITE_TEMP_STORE=3 -DSQLITE_DQS=0
  -DSQLITE_DEFAULT_MEMSTATUS=0 -DSQLITE_LIKE_DOESNT_MATCH_BLOBS -DSQLITE_ENABLE_FTS5
  -DSQLITE_OMIT_DEPRECATED -DSQLITE_OMIT_DESERIALIZE -DSQLITE_OMIT_LOAD_EXTENSION
  -DSQLITE_OMIT_PROGRESS_CALLBACK -DSQLITE_OMIT_SHARED_CACHE -DSQLITE_OMIT_WAL'

mkdir -p .cache/obj
# shellcheck disable=SC2086
{
  "$CC" $CFLAGS $SQLITE_OPTIONS -w -c "$SQLITE/sqlite3.c" -o .cache/obj/sqlite3.o
  for source in notes http crash vfs; do
    "$CC" $CFLAGS $STRICT -isystem "$SQLITE" -c "$source.c" -o ".cache/obj/$source.o"
  done
  # Memory ends at 64 MiB: /crash/memory gets there.
  "$CC" $LDFLAGS -mexec-model=reactor -Wl,-z,stack-size=262144 -Wl,--max-memory=67108864 \
    .cache/obj/notes.o .cache/obj/http.o .cache/obj/crash.o .cache/obj/vfs.o .cache/obj/sqlite3.o \
    -o .cache/notes.wasm
}
finish .cache/notes.wasm notes.wasm
