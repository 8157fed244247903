// @ts-check
import { engine } from '../lib/smalt.js'

// Who is connected is another answer for each request.
export const dynamic = 'force-dynamic'

export default async function Page() {
  const account = (await engine()).account('customer-42')
  await account.ensure()
  const applications = await account.listApps()
  return (
    <ul>
      {applications.map(({ slug, name, status }) => (
        <li key={slug}>{`${name}: ${status}`}</li>
      ))}
    </ul>
  )
}
