// How the demo prints: headings, lines and amounts, with colour where somebody can see it.
const coloured = process.stdout.isTTY === true && process.env.NO_COLOR === undefined
const paint = (code) => (text) => (coloured ? `\x1b[${code}m${text}\x1b[0m` : String(text))

export const bold = paint(1)
export const dim = paint(2)
export const red = paint(31)
export const green = paint(32)

export const say = (text = '') => process.stdout.write(`${text}\n`)
export const heading = (text) => say(`\n${bold(text)}`)
export const item = (text) => say(`  ${text}`)

export const plural = (n, word) => `${n.toLocaleString('en')} ${n === 1 ? word : `${word}s`}`
export const seconds = (us) => `${(us / 1e6).toFixed(2)} s`
