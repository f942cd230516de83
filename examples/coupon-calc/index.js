const { faultOf, price } = require('./coupons.js');

/** Prices a cart with coupons: called with the cart itself, or by its route with the cart as the body. */
exports.handler = async (event) => {
  const isHttp = event?.requestContext?.http !== undefined;
  const cart = isHttp ? parsed(event) : event;
  const fault = faultOf(cart);
  if (fault) return isHttp ? { statusCode: 422, body: JSON.stringify({ error: fault }) } : { error: fault };
  const answer = price(cart.items, cart.coupons ?? []);
  console.log(`priced ${cart.items.length} items: ${answer.subtotalCents} -> ${answer.totalCents}`);
  return answer;
};

function parsed({ body, isBase64Encoded }) {
  try {
    return JSON.parse(isBase64Encoded ? Buffer.from(body, 'base64').toString('utf8') : body);
  } catch {
    return undefined;
  }
}
