/** The native addon, without a guest around it. */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { NativeAddon } from '../../runtime/mechanisms/addon.js';
import { ROOT } from '../subjects/host.js';

/** @throws where it was not built */
export const nativeAddon = (): NativeAddon =>
  createRequire(import.meta.url)(
    join(ROOT, 'kernel-shim', 'native', 'build', 'Release', 'belay.node'),
  ) as NativeAddon;
