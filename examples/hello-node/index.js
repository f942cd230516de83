/** Greets whom the event names; called by a route, it takes the name from the query. */
exports.handler = async (event, context) => {
  const name = event?.name ?? event?.queryStringParameters?.name ?? 'World';
  console.log('greeting', name);
  return { message: `${process.env.GREETING}, ${name}!`, requestId: context.awsRequestId };
};
