// @ts-check
// Each thread opens an engine of its own; on a file, they share the store and refresh a token once.
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { Smalt } from 'smalt'

if (isMainThread) {
  const [path, key] = process.argv.slice(2)
  const smalt = await Smalt.embedded({ path, key, sandbox: true, presenter: { consents: 'ada' } })
  const account = smalt.account('customer-42')
  await account.ensure()
  await account.connect('sandbox-oauth')
  const answers = await Promise.all(
    [1, 2, 3].map((number) => {
      const worker = new Worker(new URL(import.meta.url), { workerData: { path, key, number } })
      return new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
    }),
  )
  console.log(answers.join('\n'))
  await smalt.close()
} else {
  const { path, key, number } = workerData
  // The sandbox of the main thread is known from the project's store only to it: threads read, and do not call.
  const smalt = await Smalt.embedded({ path, key, sandbox: true })
  const { accessToken } = await smalt.account('customer-42').credential('sandbox-oauth')
  parentPort?.postMessage(`thread ${number} has a token: ${accessToken !== null}`)
  await smalt.close()
}
