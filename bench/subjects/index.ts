import type { Subject } from './host.js';
import { hasNotes, notes } from './notes.js';
import { quickjs } from './quickjs.js';
import { argon2, brotli, wasmboy } from './small.js';
import { bareInserts, inserts, queries } from './sqljs.js';
import { wasmoon } from './wasmoon.js';

export type { Running, Source, Subject } from './host.js';

/** Every program that is measured. */
export const subjects: readonly Subject[] = [
  inserts,
  bareInserts,
  queries,
  quickjs,
  wasmoon,
  wasmboy,
  argon2,
  brotli,
  ...(hasNotes() ? [notes] : []),
];

export function subjectNamed(name: string): Subject {
  const found = subjects.find((subject) => subject.name === name);
  if (!found) throw new Error(`there is no subject '${name}'`);
  return found;
}
