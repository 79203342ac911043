/** The side of a task's process: `node child.js FILE`, where FILE holds the job as JSON. */
import { readFileSync } from 'node:fs';
import { CLOCK } from './clock.js';
import type { Answer } from './suite.js';

/** Carries out the job; the last line is the result as JSON, together with what ran it. Ends the process. */
export async function answer<J, R>(carryOut: (job: J) => R | Promise<R>): Promise<void> {
  const job = JSON.parse(readFileSync(process.argv[2]!, 'utf8')) as J;
  const result = await carryOut(job);
  const said: Answer<R> = { result, node: process.version, v8: process.versions.v8, clock: CLOCK };
  // What programs print (SQLite, Lua) ends before this line.
  process.stdout.write(`\n${JSON.stringify(said)}\n`, () => process.exit(0));
}
