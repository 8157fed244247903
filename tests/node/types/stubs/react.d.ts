// As much of React's types as the examples' pages need: the tests of the package do not install React.
declare module 'react' {
  export type ReactNode = object | string | number | boolean | null | undefined
}

declare namespace JSX {
  type Element = object
  interface IntrinsicElements {
    [element: string]: Readonly<Record<string, unknown>>
  }
  interface ElementChildrenAttribute {
    children: unknown
  }
}
