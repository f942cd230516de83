const base = {
  rootDir: __dirname,
  testEnvironment: 'node',
  transform: {
    '^.+\\.[cm]?[tj]sx?$': ['@swc/jest', { jsc: { parser: { syntax: 'typescript' }, target: 'es2022' }, module: { type: 'commonjs' } }],
  },
  // Sources import each other as they will run ('./x.js'); here the same name is the TypeScript file.
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  // Some libraries ship ES modules only; they are transformed like our own code.
  transformIgnorePatterns: ['/node_modules/(?!(chokidar|readdirp|big\\.js)/)', '/dist/'],
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/.fns/'],
  setupFiles: ['<rootDir>/test/seed.ts'],
};
const project = (displayName, extra = {}) => ({
  ...base,
  displayName,
  testMatch: [`<rootDir>/test/${displayName}/**/*.spec.ts`],
  ...extra,
});

const again = { setupFilesAfterEnv: ['<rootDir>/test/retry.ts'] };

module.exports = {
  testTimeout: 60_000,
  maxWorkers: 2,
  projects: [project('unit'), project('contract', again), project('e2e', again), project('chaos', again)],
};
