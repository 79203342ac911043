/** Small programs in WebAssembly text, each route of which fails in its own way. */
import wabt from 'wabt';
import { instrument } from '../../../rewriter/index.js';
import type { InstrumentOptions } from '../../../rewriter/types.js';

const WASI = `
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ_get (param i32 i32) (result i32)))
`;

/** 0: an iovec, 8: a result, 16: a counter, 4096: input, 32768: other. The second counter is a global. */
const COMMON = `
  (memory (export "memory") 1 20)
  (global $count (mut i32) (i32.const 0))

  (func $write (param $fd i32) (param $from i32) (param $length i32)
    (i32.store (i32.const 0) (local.get $from))
    (i32.store (i32.const 4) (local.get $length))
    (drop (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))

  ;; Reads standard input to its end; returns its length, at most 16 KiB.
  (func $input (result i32) (local $length i32)
    (loop $more
      (i32.store (i32.const 0) (i32.add (i32.const 4096) (local.get $length)))
      (i32.store (i32.const 4) (i32.sub (i32.const 16384) (local.get $length)))
      (i32.store (i32.const 8) (i32.const 0))
      (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
      (local.set $length (i32.add (local.get $length) (i32.load (i32.const 8))))
      (br_if $more (i32.load (i32.const 8))))
    (local.get $length))

  ;; Counts, in memory and in a global, and writes four digits of the sum at the address.
  (func $count_at (param $at i32) (local $n i32) (local $i i32)
    (global.set $count (i32.add (global.get $count) (i32.const 1)))
    (i32.store (i32.const 16) (i32.add (i32.load (i32.const 16)) (i32.const 1)))
    (local.set $n (i32.add (global.get $count) (i32.load (i32.const 16))))
    (local.set $i (i32.const 4))
    (loop $digit
      (local.set $i (i32.sub (local.get $i) (i32.const 1)))
      (i32.store8 (i32.add (local.get $at) (local.get $i))
        (i32.add (i32.const 48) (i32.rem_u (local.get $n) (i32.const 10))))
      (local.set $n (i32.div_u (local.get $n) (i32.const 10)))
      (br_if $digit (local.get $i))))

  (func $recurse (param i32) (result i32)
    (i32.add (call $recurse (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))

  ;; Fails in the way that a letter names; returns when it names none.
  (func $fail (param $how i32)
    (if (i32.eq (local.get $how) (i32.const 116 (; t ;))) (then (unreachable)))
    (if (i32.eq (local.get $how) (i32.const 108 (; l ;))) (then (loop $ever (br $ever))))
    (if (i32.eq (local.get $how) (i32.const 120 (; x ;))) (then (call $proc_exit (i32.const 3))))
    (if (i32.eq (local.get $how) (i32.const 122 (; z ;))) (then (call $proc_exit (i32.const 0))))
    (if (i32.eq (local.get $how) (i32.const 111 (; o ;))) (then (drop (call $recurse (i32.const 0)))))
    (if (i32.eq (local.get $how) (i32.const 115 (; s ;)))
      (then
        (memory.fill (i32.const 0) (i32.const 255) (i32.const 65536))
        (drop (i32.load (i32.const -4)))))
    (if (i32.eq (local.get $how) (i32.const 109 (; m ;)))
      (then
        (loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
        (memory.fill (i32.const 65536) (i32.const 1) (i32.const 65536))
        (unreachable)))
    (if (i32.eq (local.get $how) (i32.const 98 (; b ;))) (then (call $write (i32.const 1) (i32.const 64) (i32.const 9)))))
`;

/**
 * A reactor. `/c` answers how often it was counted, twice; the other routes count and fail: `/t` trap, `/l` endless
 * loop, `/x` exit(3), `/z` exit(0), `/o` stack overflow, `/s` scribble, `/m` memory, `/b` half an answer. `/e` writes
 * to standard error. `/p` answers with the request itself.
 */
const REACTOR = `(module ${WASI} ${COMMON}
  (data (i32.const 64) "HTTP/1.1 200 OK\\0d\\0aContent-Length: 4\\0d\\0a\\0d\\0a0000")
  (data (i32.const 256) "HTTP/1.1 200 OK\\0d\\0aContent-Type: text/plain\\0d\\0a\\0d\\0a")
  (data (i32.const 512) "a warning\\0a")
  (func (export "_initialize")
    (i32.store (i32.const 16) (i32.const 100)))
  (func (export "handle") (local $length i32) (local $at i32)
    (local.set $length (call $input))
    (local.set $at (i32.const 4096))
    (loop $slash
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $slash (i32.ne (i32.load8_u (local.get $at)) (i32.const 47))))
    (local.set $at (i32.load8_u offset=1 (local.get $at)))
    (call $count_at (i32.const 102))
    (if (i32.eq (local.get $at) (i32.const 101 (; e ;)))
      (then (call $write (i32.const 2) (i32.const 512) (i32.const 10))))
    (if (i32.eq (local.get $at) (i32.const 112 (; p ;)))
      (then
        (call $write (i32.const 1) (i32.const 256) (i32.const 45))
        (call $write (i32.const 1) (i32.const 4096) (local.get $length))
        (return)))
    (call $fail (local.get $at))
    (if (i32.ne (local.get $at) (i32.const 98))
      (then (call $write (i32.const 1) (i32.const 64) (i32.const 42))))))`;

/**
 * A command. The first letter of the body says what it does: as the reactor's routes, and `e` answers with the
 * environment (NUL-terminated strings), `r` redirects to /redirected, `i` to the client, `n` sets a status,
 * `p` answers with the body.
 */
const COMMAND = `(module ${WASI} ${COMMON}
  (data (i32.const 64) "Content-Type: text/plain\\0a\\0a0000")
  (data (i32.const 256) "Location: /redirected\\0a\\0a")
  (data (i32.const 320) "Status: 404 Not Found\\0aContent-Type: text/plain\\0a\\0ano")
  (func (export "_start") (local $length i32) (local $how i32)
    (local.set $length (call $input))
    (if (local.get $length) (then (local.set $how (i32.load8_u (i32.const 4096)))))
    (call $count_at (i32.const 90))
    (if (i32.eq (local.get $how) (i32.const 114 (; r ;)))
      (then (call $write (i32.const 1) (i32.const 256) (i32.const 23)) (return)))
    (if (i32.eq (local.get $how) (i32.const 110 (; n ;)))
      (then (call $write (i32.const 1) (i32.const 320) (i32.const 50)) (return)))
    (if (i32.eq (local.get $how) (i32.const 112 (; p ;)))
      (then
        (call $write (i32.const 1) (i32.const 64) (i32.const 26))
        (call $write (i32.const 1) (i32.const 4096) (local.get $length))
        (return)))
    (if (i32.eq (local.get $how) (i32.const 101 (; e ;)))
      (then
        (drop (call $environ_sizes_get (i32.const 24) (i32.const 28)))
        (drop (call $environ_get (i32.const 32768) (i32.const 36864)))
        (call $write (i32.const 1) (i32.const 64) (i32.const 26))
        (call $write (i32.const 1) (i32.const 36864) (i32.load (i32.const 28)))
        (return)))
    (call $fail (local.get $how))
    (if (i32.ne (local.get $how) (i32.const 98))
      (then (call $write (i32.const 1) (i32.const 64) (i32.const 30))))))`;

/** A module's text as a binary. */
export async function assemble(text: string): Promise<Uint8Array> {
  const { parseWat } = await wabt();
  const module = parseWat('guest.wat', text, { bulk_memory: true });
  try {
    return module.toBinary({}).buffer;
  } finally {
    module.destroy();
  }
}

async function instrumented(text: string, options: InstrumentOptions): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(instrument(await assemble(text), { steps: true, ...options }).wasm);
}

export const plainReactor = (): Promise<Uint8Array> => assemble(REACTOR);
export const plainCommand = (): Promise<Uint8Array> => assemble(COMMAND);
export const reactor = (options: InstrumentOptions = {}) => instrumented(REACTOR, options);
export const command = (options: InstrumentOptions = {}) => instrumented(COMMAND, options);
