/** A JSON value. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json }

/** Milliseconds as the core's seconds. What is no number stays as it is, for the core to refuse. @internal */
export const seconds = (millis: number | undefined): number | undefined => (typeof millis === 'number' ? millis / 1000 : millis)
