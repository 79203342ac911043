/**
 * Imports a module of Node's where there is one. The name is not written out in an `import()`, so that
 * bundlers for browsers do not look for it.
 */
export function importBuiltin<T>(name: `node:${string}`): Promise<T> {
  return import(/* @vite-ignore */ /* webpackIgnore: true */ name) as Promise<T>;
}
