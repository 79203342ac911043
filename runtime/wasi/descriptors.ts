/**
 * What the descriptors of a guest on real files are, as far as the calls tell: node:wasi has no way to ask.
 *
 * Files and offsets belong to the operating system and cannot be saved. What can be is which of the first descriptors
 * (three null devices under the standard streams, then the preopened directories) the guest has closed; as soon as it
 * has others, saving is refused. A rollback changes nothing here, as it closes no descriptor.
 */
import type { Companion, Guest } from '../types.js';
import type { HostFunction } from './preview1.js';
import { damaged, type Fields, fieldsOf, isIndex, isPair, listOf, saved, stateError } from './saved.js';

type Functions = Readonly<Record<string, HostFunction>>;

/** What a descriptor stands for: a null device, the preopened directory that had this number, or what was opened. */
type Target = 'null' | number | 'opened';

interface Namespace {
  functions: Functions;
  open: Map<number, { target: Target; altered: boolean }>;
}

const STREAMS = 3;
/** Which argument points to the new descriptor. */
const OPENING: Readonly<Record<string, number>> = { path_open: 8, sock_accept: 2 };
const ALTERING = ['fd_fdstat_set_flags', 'fd_fdstat_set_rights'];

export class Descriptors implements Companion {
  readonly #preopens: readonly string[];
  readonly #namespaces = new Map<string, Namespace>();
  #changed = true;

  /** @param preopens the guest's names of its directories */
  constructor(preopens: readonly string[]) {
    this.#preopens = preopens;
  }

  /** The functions of a namespace, watched. */
  watch(guest: Guest, namespace: string, functions: Functions): Record<string, HostFunction> {
    const open: Namespace['open'] = new Map();
    for (let fd = 0; fd < STREAMS + this.#preopens.length; fd++) {
      open.set(fd, { target: fd < STREAMS ? 'null' : fd, altered: false });
    }
    this.#namespaces.set(namespace, { functions, open });
    const watched: Record<string, HostFunction> = { ...functions };
    const after = (name: string, note: (args: number[]) => void) => {
      const call = functions[name];
      if (!call) return;
      watched[name] = (...args) => {
        const errno = call(...args);
        if (errno === 0) {
          note(args.map((arg) => Number(arg) >>> 0));
          this.#changed = true;
        }
        return errno;
      };
    };
    for (const [name, result] of Object.entries(OPENING)) {
      after(name, (args) => {
        const fd = new DataView(guest.memory.buffer).getUint32(args[result]!, true);
        open.set(fd, { target: 'opened', altered: false });
      });
    }
    after('fd_close', ([fd]) => open.delete(fd!));
    after('fd_renumber', ([from, to]) => {
      const moved = open.get(from!);
      open.delete(from!);
      if (moved) open.set(to!, moved);
    });
    for (const name of ALTERING) {
      after(name, ([fd]) => {
        const entry = open.get(fd!);
        if (entry) entry.altered = true;
      });
    }
    return watched;
  }

  checkpoint(): void {
    this.#changed = false;
  }

  rollback(): void {}

  get changed(): boolean {
    return this.#changed;
  }

  /** @throws ERR_BELAY_STATE where the guest has other descriptors than it was given */
  save(): Fields {
    const closed: [string, number[]][] = [];
    for (const [namespace, { open }] of this.#namespaces) {
      for (const fd of open.keys()) {
        if (!this.#asGiven(open, fd)) {
          throw stateError(
            `descriptor ${fd} of the guest is a real file, or not what it was given: close it before the state is saved, or use createWasi(), with files in memory`,
          );
        }
      }
      const missing = this.#given.filter((fd) => !open.has(fd));
      if (missing.length > 0) closed.push([namespace, missing]);
    }
    return saved('real files', {
      preopens: this.#preopens.length ? this.#preopens : undefined,
      closed: closed.length ? closed : undefined,
    });
  }

  load(state: unknown): void {
    const fields = fieldsOf(state, 'real files', ['preopens', 'closed']);
    const preopens = listOf(fields, 'preopens', 'real files', isText);
    if (JSON.stringify(preopens) !== JSON.stringify(this.#preopens)) {
      throw stateError(
        `the state is of a guest whose directories are named ${preopens.join(', ') || '(none)'}, and here they are ${this.#preopens.join(', ') || '(none)'}: give it the same`,
      );
    }
    const closed = new Map(listOf(fields, 'closed', 'real files', isClosed));
    for (const [namespace, missing] of closed) {
      if (!this.#namespaces.has(namespace) || missing.some((fd) => !this.#given.includes(fd))) {
        throw damaged('real files', 'a descriptor that it says closed was never open');
      }
    }
    const excess: [Namespace, number][] = [];
    for (const [namespace, here] of this.#namespaces) {
      const wanted = this.#given.filter((fd) => !closed.get(namespace)?.includes(fd));
      const lost = wanted.find((fd) => !this.#asGiven(here.open, fd));
      if (lost !== undefined) {
        throw stateError(
          `the guest has closed or changed descriptor ${lost}, which is open in the state to be loaded: load it into a new guest and WASI`,
        );
      }
      for (const fd of here.open.keys()) if (!wanted.includes(fd)) excess.push([here, fd]);
    }
    for (const [{ functions, open }, fd] of excess) {
      functions.fd_close!(fd);
      open.delete(fd);
    }
    this.#changed = true;
  }

  get #given(): number[] {
    return Array.from({ length: STREAMS + this.#preopens.length }, (_, fd) => fd);
  }

  /** Whether a descriptor is what the guest was given under this number. */
  #asGiven(open: Namespace['open'], fd: number): boolean {
    const entry = open.get(fd);
    return entry !== undefined && !entry.altered && entry.target === (fd < STREAMS ? 'null' : fd);
  }
}

const isText = (value: unknown): value is string => typeof value === 'string';
const isClosed = (value: unknown): value is [string, number[]] =>
  isPair(value) && Array.isArray(value[1]) && value[1].every((fd) => isIndex(fd));
