/**
 * Works orders off. Those that can't be handled are named in batchItemFailures: they alone come again, and after
 * the retries of fns.yaml they are dead letters, while the others of their batch are done.
 */
exports.handler = async (event) => {
  const batchItemFailures = [];
  for (const { messageId, body } of event.Records) {
    try {
      await handle(JSON.parse(body));
      console.log('handled', body);
    } catch (error) {
      console.error(`order ${messageId} failed: ${error.message}`);
      batchItemFailures.push({ itemIdentifier: messageId });
    }
  }
  return { batchItemFailures };
};

async function handle(order) {
  if (!(order.quantity > 0)) throw new Error('quantity must be above 0');
}
