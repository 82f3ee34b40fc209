import { AppError } from '../../../core/errors.ts'
import type { AssertAllowedPath, EngineTask } from '../../engine.ts'

/**
 * A path that was asked for may lead elsewhere by the time of a run. What the
 * operation holds against others, and what its account was allowed, is the
 * place that it led to then: any other one is refused.
 */
export async function assertHeldPlace(
  task: EngineTask,
  place: { readonly realPath: string; readonly given: string },
  assertAllowedPath: AssertAllowedPath | undefined,
): Promise<void> {
  const { realPath, given } = place
  if (task.subjects !== undefined && !task.subjects.includes(`path:${realPath}`)) {
    const what = `${given} leads to another folder than when this was asked for`
    throw new AppError('conflict', `${what}: nothing was changed there; ask for it again`)
  }
  await assertAllowedPath?.(task, realPath, given)
}
