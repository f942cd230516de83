import fc from 'fast-check';

// The same cases in every run, so that a red suite is red for everybody; FNS_SEED=<number> draws others, FNS_SEED=random new ones each time.
const asked = process.env.FNS_SEED ?? '20261120';
fc.configureGlobal({ seed: asked === 'random' ? Date.now() : Number(asked) });
