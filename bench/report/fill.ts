/** Documents of which a script writes parts: what stands between two marks. */

export const begin = (script: string, name: string): string =>
  `<!-- npm run ${script} writes "${name}" from here -->`;
export const END = '<!-- to here -->';

/**
 * The document with new texts between its marks.
 *
 * @param script whose marks they are: bench:kernel, …
 * @param texts by name. What the document has no marks for is left out.
 * @throws where a mark has no text, or no end.
 */
export function fill(document: string, script: string, texts: Readonly<Record<string, string>>): string {
  const mark = begin(script, '([^"]*)');
  return document.replace(
    new RegExp(`(${mark})([\\s\\S]*?)(${END}|(?=<!-- npm run)|$)`, 'g'),
    (_, mark: string, name: string, _old: string, end: string) => {
      const text = texts[name];
      if (text === undefined)
        throw new Error(`nothing is called "${name}": ${Object.keys(texts).join(', ')}`);
      if (end !== END) throw new Error(`"${name}" has no end: ${END}`);
      return `${mark}\n\n${text}\n\n${END}`;
    },
  );
}
