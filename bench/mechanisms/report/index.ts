import type { Results } from '../results.js';
export const REPORT = 'mechanisms-measured.md';
export const writeReport = (_: Results, __: string): string[] => [];
