/** Colours: one for each mechanism, in every picture; a policy changes the dashes. */
import type { Line } from '../../report/labelled.js';
import { COPYING, NOTHING } from '../plan.js';

const COLOURS: Record<string, string> = {
  lmc: '#2b6cb0',
  cards: '#2c7a7b',
  undolog: '#6b46c1',
  'page-cow': '#4299e1',
  'full-copy': '#4a5568',
  mprotect: '#b7791f',
  uffd: '#c53030',
  'uffd-async': '#97266d',
  [NOTHING]: '#8a94a3',
  [COPYING]: '#111111',
};

/** @param name of a variant: its mechanism, and perhaps `+ policy` */
export function styled(name: string, points: Line['points']): Line {
  const [mechanism, policy] = name.split(' + ') as [string, string?];
  const colour = COLOURS[mechanism] ?? '#111111';
  const dash = policy === 'oracle' ? '7,3' : policy ? '2,3' : name === COPYING ? '7,3' : undefined;
  return { name, colour, points, ...(dash && { dash }) };
}
