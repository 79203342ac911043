/** The mechanisms, by name. */
import type { MechanismName } from '../../contract/contract.js';
import { cards } from './cards.js';
import { lmc } from './lmc.js';
import type { StoreMechanism } from './mechanism.js';
import { outside } from './outside.js';
import { pageCow } from './page-cow.js';
import { undolog } from './undolog.js';

const all = [lmc, cards, undolog, pageCow, outside];

export const storeMechanism = (name: MechanismName): StoreMechanism =>
  all.find(({ names }) => names.includes(name))!;
