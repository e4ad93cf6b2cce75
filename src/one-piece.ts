// Texts that are kept to be put into many others.

/**
 * The same well-formed text, in one piece. V8 keeps what was put together as a tree of its parts, and each text that it becomes
 * a part of is a tree with all of these in it: to write that costs as much for each part as for a hundred bytes.
 */
export const inOnePiece = (text: string): string => Buffer.from(text, 'utf8').toString('utf8')
