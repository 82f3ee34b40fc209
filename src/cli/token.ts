import { noPositionals, parseArguments, parseExpiry } from './arguments.ts'
import { type Command, withSession } from './command.ts'
import { EXIT } from './exit-codes.ts'
import { formatTime } from './format.ts'

export const token: Command = {
  usage: 'token [--name NAME] [--account ID] [--permissions LIST] [--expires WHEN]',
  summary: 'make an access token; it is shown once',
  options: [
    ['--name NAME', 'what it is for; command line'],
    ['--account ID', 'whose it is; your own'],
    ['--permissions LIST', 'names with commas between; * is everything but administration'],
    ['--expires WHEN', 'such as 12h, 30d or a time; never when left out'],
  ],
  async run(args, context) {
    const { values, positionals } = parseArguments(args, {
      name: { type: 'string' },
      account: { type: 'string' },
      permissions: { type: 'string' },
      expires: { type: 'string' },
    })
    noPositionals(positionals)
    const permissions = (values.permissions ?? '*').split(',').map((name) => name.trim())
    const request = {
      name: values.name ?? 'command line',
      permissions: permissions.filter((name) => name !== ''),
      expiresAt: values.expires === undefined ? null : parseExpiry(values.expires, context.nowMs()),
      accountId: values.account ?? null,
    }
    return await withSession(context, { create: true, work: false }, async (session) => {
      const made = await session.createToken(request)
      const { terminal } = context
      if (terminal.json) {
        terminal.object(made)
        return EXIT.done
      }
      terminal.line(made.token)
      const end =
        made.expiresAt === null ? 'never expires' : `expires ${formatTime(made.expiresAt)}`
      terminal.note(
        `For ${made.accountId}, ${made.permissions.join(', ')}; ${end}. Shown this once.`,
      )
      return EXIT.done
    })
  },
}
