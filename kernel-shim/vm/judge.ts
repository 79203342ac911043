/**
 * Reads what a guest says on its two serial lines and judges it. Nothing counts as passed unless it was said in
 * full: a program needs its begin and end markers and a plan that its tests fulfil, the machine needs its verdict
 * and an end of its own, and the kernel must not have complained.
 *
 *     @@begin NAME                 a program starts
 *     ok 1 - what was tested       TAP between the markers
 *     @@end NAME rc=0 taint=0      its exit code, and what the kernel thinks of itself
 *     @@late why                   it was ended for taking too long
 *     @@problem why                something else went wrong
 *     @@verdict rc=0               all programs have run
 */
import type { MachineEnd, Source } from './machine.js';

/** What became of one test of a program. */
export interface TestResult {
  program: string;
  name: string;
  outcome: 'passed' | 'failed' | 'skipped';
  /** Of a skip. */
  why?: string;
}

/** The judgement of one machine. */
export interface Judgement {
  tests: TestResult[];
  /** What went wrong apart from failed tests, each with the program that ran then. */
  problems: string[];
}

/** Lines of a kernel that is not well. */
const COMPLAINTS =
  /\bBUG\b|\bWARNING:|\bOops\b|Call Trace:|Bad page|Bad rss-counter|rcu: INFO:.*(stall|self-detected)|Kernel panic|general protection fault|unable to handle|soft lockup|hard LOCKUP|blocked for more than|refcount_t:|list_(add|del) corruption|Out of memory|segfault at .* in smc/;

/** A line of the kernel has its time in front; on a shared line it can begin in the middle of another's. */
const KERNEL_LINE = /\[ *\d+\.\d{6}\] .*/;

interface OpenProgram {
  name: string;
  plan?: number;
  /** Why nothing is planned. */
  skipAll?: string;
  seen: number;
  failed: number;
  /** Whether the kernel complained while it ran. */
  complained: boolean;
}

/** Judges the lines of one machine, in the order in which they come. */
export class Judge {
  readonly #expected: readonly string[];
  readonly #tests: TestResult[] = [];
  readonly #problems: string[] = [];
  readonly #ran: string[] = [];
  readonly #machine = { complained: false };
  #open: OpenProgram | undefined;
  #verdict: number | undefined;

  /** @param expected names of the programs that must run, in this order. */
  constructor(expected: readonly string[]) {
    this.#expected = expected;
  }

  /** Hears a line. What the programs' line carries of the kernel's messages is taken for the kernel's. */
  hear(line: string, from: Source): void {
    const kernel = from === 'kernel' ? line : KERNEL_LINE.exec(line)?.[0];
    if (kernel !== undefined && COMPLAINTS.test(kernel)) this.#complaint(kernel);
    if (from === 'kernel') return;
    const own = kernel === undefined ? line : line.slice(0, line.length - kernel.length);
    if (own.startsWith('@@')) this.#marker(own);
    else this.#tap(own);
  }

  /** The judgement, when the machine has ended. */
  end(machine: MachineEnd): Judgement {
    if (machine.problem) this.#problem(`the machine: ${machine.problem}`);
    if (this.#open) {
      this.#problem('it did not end');
      this.#close();
    }
    for (const name of this.#expected.filter((program) => !this.#ran.includes(program))) {
      this.#problems.push(`${name}: it did not run`);
    }
    if (this.#verdict === undefined) this.#problems.push('the guest gave no verdict');
    else if (this.#verdict !== 0 && this.#problems.length === 0 && !this.#tests.some(isFailed)) {
      this.#problems.push(`the guest's verdict is rc=${this.#verdict}`);
    }
    return { tests: this.#tests, problems: this.#problems };
  }

  #marker(line: string): void {
    const [, word, rest] = /^@@(\w+) ?(.*)$/.exec(line) ?? [];
    if (this.#verdict !== undefined) this.#problem(`after the verdict: ${line}`);
    if (word === 'begin') this.#begin(rest!);
    else if (word === 'end') this.#end(rest!);
    else if (word === 'problem') this.#problem(rest!);
    else if (word === 'late') {
      this.#problem(rest!);
      // The traces that come now were asked for.
      if (this.#open) this.#open.complained = true;
    } else if (word === 'verdict' && /^rc=\d+$/.test(rest!)) this.#verdict = Number(rest!.slice(3));
    else this.#problem(`a marker that nobody knows: ${line}`);
  }

  #begin(name: string): void {
    if (this.#open) {
      this.#problem('it did not end');
      this.#close();
    }
    if (this.#ran.includes(name)) this.#problem(`${name} ran twice`);
    this.#ran.push(name);
    this.#open = { name, seen: 0, failed: 0, complained: false };
  }

  #end(rest: string): void {
    const [, name, rc, taint] = /^(.*) rc=(\d+) taint=(\d+)$/.exec(rest) ?? [];
    const open = this.#open;
    if (!open || name !== open.name) {
      this.#problem(`an end that has no beginning: @@end ${rest}`);
      return;
    }
    if (Number(taint) !== 0) this.#problem(`the kernel is tainted: ${taint}`);
    // Failed tests speak for themselves.
    if (Number(rc) !== 0 && open.failed === 0) this.#problem(`exit code ${rc}`);
    this.#close();
  }

  #close(): void {
    const open = this.#open!;
    if (open.plan === undefined) this.#problem('it has no plan (a line `1..N`)');
    else if (open.plan !== open.seen) this.#problem(`${open.plan} tests are planned, and ${open.seen} ran`);
    else if (open.plan === 0) {
      const outcome = open.skipAll === undefined ? 'failed' : 'skipped';
      this.#tests.push({
        program: open.name,
        name: 'all',
        outcome,
        why: open.skipAll ?? 'no test is planned',
      });
    }
    this.#open = undefined;
  }

  #tap(line: string): void {
    const open = this.#open;
    const plan = /^1\.\.(\d+)\s*(?:# *SKIP\S*\s*(.*))?$/i.exec(line);
    const test = /^(not )?ok\b(?: +(\d+))?(?: +(?:- *)?)?(.*)$/.exec(line);
    if (!plan && !test && !line.startsWith('Bail out!')) return;
    if (!open) this.#problem(`outside of a program: ${line}`);
    else if (plan) {
      if (open.plan !== undefined) this.#problem('it has two plans');
      open.plan = Number(plan[1]);
      if (plan[2] !== undefined) open.skipAll = plan[2];
    } else if (test) this.#test(open, test[1] !== undefined, test[2], test[3]!);
    else this.#problem(line);
  }

  #test(open: OpenProgram, failed: boolean, number: string | undefined, text: string): void {
    open.seen++;
    if (number !== undefined && Number(number) !== open.seen) {
      this.#problem(`test ${number} comes where ${open.seen} should`);
    }
    const [, name, why] = /^(.*?)\s*# *SKIP\S*\s*(.*)$/i.exec(text) ?? [undefined, text.trim()];
    if (failed) open.failed++;
    const outcome = failed ? 'failed' : why === undefined ? 'passed' : 'skipped';
    this.#tests.push({
      program: open.name,
      name: name || `test ${open.seen}`,
      outcome,
      ...(why !== undefined && { why: why || 'it gives no reason' }),
    });
  }

  /** The first complaint tells most: those that follow in the same program are only in the transcript. */
  #complaint(kernel: string): void {
    const during = this.#open ?? this.#machine;
    if (!during.complained) this.#problem(`the kernel says: ${kernel.trim()}`);
    during.complained = true;
  }

  #problem(why: string): void {
    this.#problems.push(this.#open ? `${this.#open.name}: ${why}` : why);
  }
}

const isFailed = (test: TestResult) => test.outcome === 'failed';
