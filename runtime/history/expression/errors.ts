/** Errors that point at what they are about. */
import { BelayError } from '../../../contract/errors.js';

/** From the first character to behind the last, in UTF-16 units of the text. */
export interface Span {
  from: number;
  to: number;
}

/** Characters of a line that a message shows at most. */
const WIDTH = 100;

/** Names may have anything in them; a message has three lines. */
const printable = (text: string): string =>
  text.replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, (c) => `\\u{${c.codePointAt(0)!.toString(16)}}`);

/**
 * An expression that is none, or makes no sense. The message has a second and third line: the text, and carets below
 * what is meant.
 */
export class ExpressionError extends BelayError {
  /** Where in the text, both from 1 on; columns are counted in characters (code points). */
  readonly line: number;
  readonly column: number;

  constructor(text: string, at: Span, problem: string) {
    const from = Math.max(0, Math.min(at.from, text.length));
    const before = text.slice(0, from).split('\n');
    const start = from - before.at(-1)!.length;
    const end = text.indexOf('\n', from);
    const content = [...text.slice(start, end < 0 ? undefined : end)];
    const column = [...before.at(-1)!].length;
    const length = [...text.slice(from, Math.max(at.to, from))].length;
    // Of a long line, what is around the place.
    const cut =
      content.length <= WIDTH ? 0 : Math.max(0, Math.min(column - WIDTH / 2, content.length - WIDTH));
    const shown = content.slice(cut, cut + WIDTH).map((c) => (/[\p{Cc}\p{Zl}\p{Zp}]/u.test(c) ? ' ' : c));
    const carets = Math.max(1, Math.min(length, shown.length - (column - cut)));
    const where = before.length > 1 ? `line ${before.length}, column ${column + 1}` : `column ${column + 1}`;
    super(
      'ERR_BELAY_EXPRESSION',
      `${where}: ${printable(problem)}\n  ${shown.join('')}\n  ${' '.repeat(column - cut)}${'^'.repeat(carets)}`,
    );
    this.line = before.length;
    this.column = column + 1;
  }
}
