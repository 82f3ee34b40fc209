import { writeFile } from 'node:fs/promises'
import { argv, stdout } from 'node:process'
import { LocalPool } from './local.ts'

// Publishes objects without end and says each one, until it is killed.
const [, , root = '', prefix = ''] = argv
const pool = new LocalPool({ id: 'local', root })
const content = Buffer.alloc(64 * 1024, 'x')

for (let index = 0; ; index += 1) {
  const name = `${prefix}-${index}`
  await writeFile(await pool.stage(name), content)
  await pool.publish(name, `${prefix}/${index}`)
  stdout.write(`${prefix}/${index}\n`)
}
