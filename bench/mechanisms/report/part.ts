/** Folder of the pictures, beside the report. */
export const PICTURES = 'mechanisms';

export const picture = (name: string, words: string): string => `![${words}](${PICTURES}/${name}.svg)`;
