/** Numbers as the report writes them. */
import { figure } from '../../report/markdown.js';
import type { Timed } from '../results.js';

export const count = (n: number): string => Math.round(n).toLocaleString('en-US');

/** Bytes, in the unit that fits, from single ones on. */
export function size(bytes: number): string {
  if (bytes < 1024) return `${bytes < 100 ? figure(bytes) : Math.round(bytes)} B`;
  if (bytes < 2 ** 20) return `${figure(bytes / 2 ** 10)} KiB`;
  if (bytes < 2 ** 30) return `${figure(bytes / 2 ** 20)} MiB`;
  return `${figure(bytes / 2 ** 30)} GiB`;
}

/** Milliseconds, in the unit that fits. */
export function time(milliseconds: number): string {
  if (!Number.isFinite(milliseconds)) return '–';
  if (milliseconds < 1) return `${figure(milliseconds * 1000)} µs`;
  if (milliseconds < 1000) return `${figure(milliseconds)} ms`;
  return `${figure(milliseconds / 1000)} s`;
}

export const took = ({ median, most }: Timed): string => `${time(median)} <sub>${time(most)}</sub>`;

/** 99.97 %: what is near 100 has the digits that tell it from it. */
export function percent(share: number): string {
  if (!Number.isFinite(share)) return '–';
  const value = 100 * share;
  const near = value >= 99 && value < 100 ? 2 : value >= 90 && value < 99 ? 1 : undefined;
  const digits = near ?? (Math.abs(value) < 10 ? 1 : 0);
  return `${value < 0 ? '−' : ''}${Math.abs(value).toFixed(digits)} %`;
}

export const yes = (met: boolean): string => (met ? 'yes' : '**no**');
