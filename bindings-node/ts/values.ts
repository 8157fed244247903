/** A JSON value. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json }

/** Milliseconds as the core's seconds. @internal */
export const seconds = (millis: number | undefined): number | undefined => (millis === undefined ? undefined : millis / 1000)
