import { stdout } from 'node:process'
import { addDevice, addEvent } from './database.test-records.ts'
import { openSqlite } from './sqlite.ts'

// Writes until it is killed, and prints the id of each unit that was acknowledged.

const [file = '', name = ''] = process.argv.slice(2)
const database = await openSqlite({ file })

async function write(writer: number): Promise<void> {
  for (let round = 0; ; round += 1) {
    const id = `${name}-${writer}-${round}`
    await database.write(async (tx) => {
      await addDevice(tx, id)
      addEvent(tx, id)
    })
    stdout.write(`${id}\n`)
  }
}

await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map(write))
