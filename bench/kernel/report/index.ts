import type { Results } from '../results.js';
export function writeReport(_results: Results, _folder: string): string[] {
  return [];
}
