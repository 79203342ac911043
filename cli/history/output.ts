/** What questions about a history print: however much it is, it comes piece by piece, and `| head` ends it. */
import { type Progress, startProgress } from '../progress.js';

const ENOUGH = 1 << 15;
/** Milliseconds after which what there is is shown. */
const SOON = 200;

/** Standard output. On a terminal, a progress bar makes way for the first of it. */
export class Output {
  private text = '';
  private shown = performance.now();

  constructor(private readonly watch?: Watch) {}

  async write(text: string): Promise<void> {
    this.text += text;
    if (this.text.length > ENOUGH || performance.now() - this.shown > SOON) await this.flush();
  }

  line(text: string): Promise<void> {
    return this.write(`${text.trimEnd()}\n`);
  }

  async flush(): Promise<void> {
    const { text } = this;
    this.text = '';
    if (text !== '') {
      if (process.stdout.isTTY) this.watch?.stop();
      // Errors (whoever reads has gone) are the stream's: cli/main.ts hears them.
      await new Promise<void>((done) => process.stdout.write(text, () => done()));
    }
    this.shown = performance.now();
  }
}

/** A progress bar that can be told to stay away. */
export class Watch {
  private readonly progress: Progress;
  private stopped = false;

  constructor(title: string) {
    this.progress = startProgress(title);
  }

  readonly report = (share: number): void => {
    if (!this.stopped) this.progress.onProgress?.(share);
  };

  stop(): void {
    if (!this.stopped) this.progress.stop();
    this.stopped = true;
  }
}

/** Labels, routes and strings of guests may have anything in them, and a terminal does what some of that says. */
export const printable = (text: string): string =>
  text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (c) => `\\u{${c.codePointAt(0)!.toString(16)}}`);

export interface Column {
  head: string;
  right?: boolean;
}

/** Rows whose widths are found before the first is shown. */
const LOOK = 256;

/** A table whose rows come one by one. Columns that have nothing in them are left out. */
export class Columns {
  private rows: string[][] | undefined = [];
  private widths: number[] = [];

  constructor(
    private readonly out: Output,
    private readonly columns: readonly Column[],
  ) {}

  async add(cells: string[]): Promise<void> {
    if (!this.rows) {
      if (!cells.some((cell, i) => cell !== '' && this.widths[i] === 0)) return this.show(cells);
      // One that was left out is needed after all: the table begins anew.
      this.rows = [];
      await this.out.line('');
    }
    this.rows.push(cells);
    if (this.rows.length >= LOOK) await this.end();
  }

  /** Shows what is left. */
  async end(): Promise<void> {
    const { rows } = this;
    if (!rows) return;
    this.rows = undefined;
    if (rows.length === 0) return;
    this.widths = this.columns.map(({ head }, i) => {
      const width = Math.max(...rows.map((row) => length(row[i]!)));
      return width === 0 ? 0 : Math.max(width, head.length);
    });
    await this.show(this.columns.map(({ head }) => head));
    for (const row of rows) await this.show(row);
  }

  private show(cells: readonly string[]): Promise<void> {
    const shown = cells.map((cell, i) => {
      const fill = ' '.repeat(Math.max(0, this.widths[i]! - length(cell)));
      return this.columns[i]!.right ? fill + cell : cell + fill;
    });
    return this.out.line(`  ${shown.filter((_, i) => this.widths[i] !== 0).join('  ')}`);
  }
}

const length = (text: string): number => [...text].length;

/** What JSON cannot say of values, said: bytes in hexadecimal, long integers and what is no number as strings. */
function replacer(_: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  return value;
}

const toJson = (value: unknown): string => JSON.stringify(value, replacer);

/** One JSON document, with lists as members, whose items come one by one, a line each. */
export class Document {
  private members = 0;

  constructor(private readonly out: Output) {}

  async member(name: string, value: unknown): Promise<void> {
    if (value === undefined) return;
    await this.begin(name);
    await this.out.write(toJson(value));
  }

  async all(values: object): Promise<void> {
    for (const [name, value] of Object.entries(values)) await this.member(name, value);
  }

  async list(name: string, items: Iterable<unknown>): Promise<void> {
    await this.begin(name);
    let before = '[';
    for (const item of items) {
      await this.out.write(`${before}\n    ${toJson(item)}`);
      before = ',';
    }
    await this.out.write(before === '[' ? '[]' : '\n  ]');
  }

  private begin(name: string): Promise<void> {
    return this.out.write(`${this.members++ === 0 ? '{' : ','}\n  ${JSON.stringify(name)}: `);
  }

  async end(): Promise<void> {
    await this.out.write('\n}\n');
    await this.out.flush();
  }
}
