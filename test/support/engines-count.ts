/** Reads uvu's summary out of what a test file printed. */

export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** Removes colours and cursor movement. */
export function plain(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with one
  return text.replace(/\u001b\[[0-9;?]*[A-Za-z]/g, '');
}

/**
 * What uvu counted, or undefined where it printed no summary: the file crashed, ended early, or ran no suite.
 * Failures are what is missing from the total: uvu's exit code forgets a `before` hook that throws.
 */
export function countsOf(output: string): Counts | undefined {
  // In a browser each part is a line of its own, with empty ones between.
  const summary = /^ {2}Total: +(\d+)\s+Passed: +(\d+)\s+Skipped: +(\d+)\s/gm;
  const summaries = [...plain(output).matchAll(summary)];
  if (summaries.length === 0) return undefined;
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const [, total, passed, skipped] of summaries) {
    counts.passed += Number(passed);
    counts.failed += Number(total) - Number(passed);
    counts.skipped += Number(skipped);
  }
  return counts;
}

/** A test that was skipped, and why. */
export interface Skip {
  name: string;
  why: string;
}

/** What a file said that it skips (see engines-skip.ts). */
export function skipsOf(output: string): Skip[] {
  return [...plain(output).matchAll(/^SKIP (.*)\t(.+)$/gm)].map(([, name, why]) => ({
    name: name!,
    why: why!,
  }));
}

/** One line for each reason: how many tests, or which one. */
export function skipLines(skips: readonly Skip[], skipped: number): string[] {
  const byReason = new Map<string, string[]>();
  for (const { name, why } of skips) byReason.set(why, [...(byReason.get(why) ?? []), name]);
  const lines = [...byReason].map(([why, names]) =>
    names.length === 1 ? `skipped "${names[0]}": ${why}` : `skipped ${names.length} tests: ${why}`,
  );
  if (skipped > skips.length) lines.push(`skipped ${skipped - skips.length} tests that give no reason`);
  return lines;
}
