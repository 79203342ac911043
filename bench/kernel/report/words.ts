/** Names and numbers as the report writes them. */
import { figure } from '../../report/markdown.js';

/** Instructions: 812 · 34.1 k · 1.85 M. */
export function count(instructions: number): string {
  if (!Number.isFinite(instructions)) return '–';
  if (Math.abs(instructions) < 1e3) return String(Math.round(instructions));
  if (Math.abs(instructions) < 1e6) return `${figure(instructions / 1e3)} k`;
  return `${figure(instructions / 1e6)} M`;
}

/** 44.9 % · 181 % · −13.9 % */
export function percent(share: number): string {
  if (!Number.isFinite(share)) return '–';
  const size = Math.abs(100 * share);
  const digits = size < 99.95 ? size.toFixed(1) : Math.round(size).toLocaleString('en-US');
  return `${share < 0 ? '−' : ''}${digits} %`;
}

export const times = (ratio: number): string => (Number.isFinite(ratio) ? figure(ratio) : '–');

/** What each mechanism is, in a few words. */
export const MEANING: Record<string, string> = {
  eager: 'memcpy in user space of the pages that will be written',
  'full-copy': 'memcpy in user space of everything',
  fork: 'a child holds the checkpoint',
  mprotect: 'SIGSEGV, copied in the handler',
  'uffd-sigbus': 'userfaultfd, copied in a SIGBUS handler',
  'uffd-thread': 'userfaultfd, copied in another thread',
  'soft-dirty': 'soft-dirty bits, a second image of everything',
  smc: 'the module, copy-on-write alone',
  'smc-active-rnd': 'the module, Active-RND',
  'smc-active-cks': 'the module, Active-CKS',
  'smc-gspec': 'the module, GSpec',
  'smc-oracle': 'the module, told what will be written',
  agent: "libsmc's agent, no policy",
  'agent:gspec': "libsmc's agent, GSpec",
};

const COLOURS: Record<string, string> = {
  eager: '#111111',
  'full-copy': '#4a5568',
  fork: '#6b46c1',
  mprotect: '#b7791f',
  'uffd-sigbus': '#c53030',
  'uffd-thread': '#97266d',
  'soft-dirty': '#2c7a7b',
  smc: '#2b6cb0',
};

/** One colour for each mechanism, and dashes for what is added to it. */
export function style(name: string): { name: string; colour: string; dash?: string } {
  const colour = COLOURS[name] ?? COLOURS.smc!;
  if (name === 'smc-oracle') return { name, colour, dash: '7,3' };
  if (name === 'smc-gspec') return { name, colour: '#2f855a' };
  if (name === 'smc-active-rnd') return { name, colour: '#2f855a', dash: '7,3' };
  if (name === 'smc-active-cks') return { name, colour: '#2f855a', dash: '2,3' };
  return { name, colour };
}
