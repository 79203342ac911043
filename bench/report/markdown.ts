/** Markdown, as small as a report needs it. */

/** A table; columns after the first are right-aligned, but those of words. @param words indices of columns */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  words: readonly number[] = [0],
): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map((_, i) => (words.includes(i) ? '---' : '---:'))), ...rows.map(line)].join(
    '\n',
  );
}

/** 1.37 · 12.3 · 812 · 6,400: what can be told from noise. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '–';
  if (value < 10) return value.toFixed(2);
  if (value < 100) return value.toFixed(1);
  return Math.round(value).toLocaleString('en-US');
}

/** Nanoseconds, in the unit that fits. */
export function duration(nanoseconds: number): string {
  if (!Number.isFinite(nanoseconds)) return '–';
  if (nanoseconds < 1e3) return `${Math.round(nanoseconds)} ns`;
  if (nanoseconds < 1e6) return `${figure(nanoseconds / 1e3)} µs`;
  return `${figure(nanoseconds / 1e6)} ms`;
}

/** Bytes, in the unit that fits. */
export function bytes(count: number): string {
  if (count < 2 ** 20) return `${figure(count / 2 ** 10)} KiB`;
  if (count < 2 ** 30) return `${figure(count / 2 ** 20)} MiB`;
  return `${figure(count / 2 ** 30)} GiB`;
}

/** A ratio with its quartiles. */
export const ratio = (value: { ratio: number; low: number; high: number } | undefined): string =>
  value ? `${figure(value.ratio)} <sub>${figure(value.low)}–${figure(value.high)}</sub>` : '–';
