/** Runs when its schedule says so. `scheduledTime` is the instant that was due, whenever it really ran. */
exports.handler = async ({ scheduledTime, input }) => {
  console.log(`report ${input?.report} for ${scheduledTime}`);
  return { report: input?.report, scheduledTime };
};
