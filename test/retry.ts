// Tests of real processes share two cores with each other in CI, where a stall of the machine is no fault of the code. A test that
// failed there is run again, and what it said is shown: a flake is seen, and a fault fails each time.
if (process.env.CI) jest.retryTimes(2, { logErrorsBeforeRetry: true });
