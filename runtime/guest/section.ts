import { CONTRACT_VERSION, type Contract, SECTION } from '../../contract/contract.js';
import { BelayError } from '../../contract/errors.js';

/**
 * Decodes the part of MessagePack (github.com/msgpack/msgpack/blob/master/spec.md) that the section uses:
 * maps, arrays, strings, booleans, nil and unsigned integers. A whole library would not fit into an edge
 * bundle.
 */
function decode(view: DataView): unknown {
  let at = 0;
  const text = new TextDecoder();
  const uint = (bytes: 1 | 2 | 4): number => {
    const value = bytes === 1 ? view.getUint8(at) : bytes === 2 ? view.getUint16(at) : view.getUint32(at);
    at += bytes;
    return value;
  };
  const string = (length: number): string => {
    at += length;
    return text.decode(new Uint8Array(view.buffer, view.byteOffset + at - length, length));
  };
  const array = (length: number): unknown[] => Array.from({ length }, value);
  const map = (length: number): Record<string, unknown> => {
    const result: Record<string, unknown> = {};
    for (; length > 0; length--) result[value() as string] = value();
    return result;
  };
  function value(): unknown {
    const tag = uint(1);
    if (tag < 0x80) return tag;
    if (tag < 0x90) return map(tag & 15);
    if (tag < 0xa0) return array(tag & 15);
    if (tag < 0xc0) return string(tag & 31);
    switch (tag) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xcc:
        return uint(1);
      case 0xcd:
        return uint(2);
      case 0xce:
        return uint(4);
      case 0xd9:
        return string(uint(1));
      case 0xda:
        return string(uint(2));
      case 0xdc:
        return array(uint(2));
      case 0xde:
        return map(uint(2));
      case 0xdf:
        return map(uint(4));
      default:
        throw new RangeError(`unexpected byte 0x${tag.toString(16)}`);
    }
  }
  return value();
}

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
    contract = decode(new DataView(section)) as Contract;
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
