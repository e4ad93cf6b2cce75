// The version of the library; a test holds it equal to package.json.
export const version = '0.4.0'
