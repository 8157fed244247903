// @ts-check
/** @type {import('next').NextConfig} */
export default {
  // A native file cannot be bundled.
  serverExternalPackages: ['smalt'],
}
