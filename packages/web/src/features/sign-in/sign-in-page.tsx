import { type FormEvent, useEffect, useRef, useState } from 'react'
import { navigate, usePlace } from '../../router/router.ts'
import { Button } from '../../ui/button.tsx'
import { Field } from '../../ui/field.tsx'
import { Mark } from '../../ui/mark.tsx'
import { Notice } from '../../ui/notice.tsx'
import { codeOf, signInByCode, signInByToken, signInProblem } from './sign-in.ts'
import './sign-in-page.css'

/** Uses the code of the link once, and takes it out of the address at once. */
function useLinkCode(onProblem: (problem: string) => void): boolean {
  const place = usePlace()
  const used = useRef(false)
  const code = codeOf(place.hash)
  const [busy, setBusy] = useState(code !== null)
  useEffect(() => {
    if (code === null || used.current) return
    used.current = true
    history.replaceState(null, '', '/sign-in')
    signInByCode(code).then(
      () => navigate('/', { replace: true }),
      (problem) => {
        onProblem(signInProblem(problem, true))
        setBusy(false)
      },
    )
  }, [code, onProblem])
  return busy
}

function TokenForm({ onProblem }: { onProblem: (problem: string) => void }) {
  const [token, setToken] = useState('')
  const [busy, setBusy] = useState(false)
  const submit = async (event: FormEvent) => {
    event.preventDefault()
    setBusy(true)
    try {
      await signInByToken(token.trim())
      if (location.pathname === '/sign-in') navigate('/', { replace: true })
    } catch (error) {
      onProblem(signInProblem(error, false))
      setBusy(false)
    }
  }
  return (
    <form className="sign-in-form" onSubmit={(event) => void submit(event)}>
      <Field
        label="Token"
        type="password"
        mono
        value={token}
        onChange={setToken}
        hint="An access token, such as the administrator’s that the server printed at its first start."
      />
      <Button look="primary" type="submit" isDisabled={busy || token.trim() === ''}>
        Sign in
      </Button>
    </form>
  )
}

export function SignInPage() {
  const [problem, setProblem] = useState<string | null>(null)
  const byLink = useLinkCode(setProblem)
  useEffect(() => {
    document.title = 'Sign in · Holdfast'
  }, [])
  return (
    <main className="sign-in" id="main">
      <div className="sign-in-card">
        <Mark size={48} />
        <h1>Sign in to Holdfast</h1>
        {byLink ? (
          <p className="soft" aria-live="polite">
            Signing in…
          </p>
        ) : (
          <>
            <p className="soft">
              Open the sign-in link that the server printed when it started, or paste a token.
            </p>
            {problem && <Notice tone="bad">{problem}</Notice>}
            <TokenForm onProblem={setProblem} />
          </>
        )}
      </div>
    </main>
  )
}
