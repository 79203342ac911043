/** Documents of which the script writes parts: what stands between two marks. */

export const begin = (name: string): string => `<!-- npm run bench:kernel writes "${name}" from here -->`;
export const END = '<!-- to here -->';

/**
 * The document with new texts between its marks.
 *
 * @param texts by name. What the document has no marks for is left out.
 * @throws where a mark has no text, or no end.
 */
export function fill(document: string, texts: Readonly<Record<string, string>>): string {
  return document.replace(
    /(<!-- npm run bench:kernel writes "([^"]*)" from here -->)([\s\S]*?)(<!-- to here -->|(?=<!-- npm run)|$)/g,
    (_, mark: string, name: string, _old: string, end: string) => {
      const text = texts[name];
      if (text === undefined)
        throw new Error(`nothing is called "${name}": ${Object.keys(texts).join(', ')}`);
      if (end !== END) throw new Error(`"${name}" has no end: ${END}`);
      return `${mark}\n\n${text}\n\n${END}`;
    },
  );
}
