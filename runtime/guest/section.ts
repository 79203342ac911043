import { CONTRACT_VERSION, type Contract, SECTION } from '../../contract/contract.js';
import { BelayError } from '../../contract/errors.js';
import { decode } from './msgpack.js';

/**
 * Reads what an instrumented module says of itself.
 * @throws ERR_BELAY_NOT_INSTRUMENTED, ERR_BELAY_CONTRACT_VERSION, ERR_BELAY_INVALID_MODULE
 */
export function readContract(module: WebAssembly.Module): Contract {
  const [section] = WebAssembly.Module.customSections(module, SECTION);
  if (!section) {
    throw new BelayError(
      'ERR_BELAY_NOT_INSTRUMENTED',
      'the module is not instrumented: run it through `belay instrument`, or instrument() of wasm-belay/rewriter',
    );
  }
  let contract: Contract;
  try {
    contract = decode(new Uint8Array(section)) as Contract;
  } catch (cause) {
    throw new BelayError(
      'ERR_BELAY_INVALID_MODULE',
      `the module's section '${SECTION}' is damaged: instrument the original again`,
      { cause },
    );
  }
  if (contract.version !== CONTRACT_VERSION) {
    throw new BelayError(
      'ERR_BELAY_CONTRACT_VERSION',
      `the module was instrumented for contract version ${contract.version}, and this runtime knows version ${CONTRACT_VERSION}: instrument it with the same version of wasm-belay`,
    );
  }
  return contract;
}
