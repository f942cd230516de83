/** Import borders: core <- slots, http <- embedded, aws <- bin, cli (DESIGN: one domain, two engines). */
const outside = (layers) => `^lib/(${layers.join('|')})/`;

module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'core-knows-nobody',
      severity: 'error',
      from: { path: '^lib/core/' },
      to: { path: outside(['slots', 'http', 'embedded', 'aws', 'cli']) },
    },
    {
      name: 'core-has-no-io',
      severity: 'error',
      comment: 'No I/O, no cloud, no store in core; big.js (decimals) is pure.',
      from: { path: '^lib/core/' },
      to: { dependencyTypes: ['core', 'npm'], pathNot: ['node_modules/(big\\.js|@types/big\\.js)'] },
    },
    {
      name: 'slots-and-http-stand-on-core',
      severity: 'error',
      from: { path: '^lib/(slots|http)/' },
      to: { path: outside(['embedded', 'aws', 'cli']) },
    },
    { name: 'slots-without-http', severity: 'error', from: { path: '^lib/slots/' }, to: { path: '^lib/http/' } },
    { name: 'http-without-slots', severity: 'error', from: { path: '^lib/http/' }, to: { path: '^lib/slots/' } },
    { name: 'engines-apart', severity: 'error', from: { path: '^lib/embedded/' }, to: { path: '^lib/(aws|cli)/' } },
    { name: 'engines-apart-too', severity: 'error', from: { path: '^lib/aws/' }, to: { path: '^lib/(embedded|cli)/' } },
    {
      name: 'cli-is-a-client',
      severity: 'error',
      comment: 'the CLI speaks HTTP',
      from: { path: '^lib/cli/' },
      to: { path: outside(['slots', 'http', 'embedded', 'aws']) },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { extensions: ['.ts', '.js', '.json'] },
  },
};
