/** The coupons that are valid, and what each does to a cart in cents. */
const COUPONS = {
  TEN: { what: '10 % off', discount: (cents) => Math.floor(cents / 10) },
  FIVER: { what: '5.00 off from 20.00 on', discount: (cents) => (cents >= 2000 ? 500 : 0) },
  THIRD: {
    what: 'each third piece is free',
    discount: (_, items) => items.reduce((sum, item) => sum + Math.floor(item.quantity / 3) * item.priceCents, 0),
  },
};

/** Prices are whole cents: a sum of floating point prices is off by a cent sooner or later. */
exports.price = (items, codes) => {
  const subtotalCents = items.reduce((sum, { priceCents, quantity }) => sum + priceCents * quantity, 0);
  let totalCents = subtotalCents;
  const applied = [];
  for (const code of new Set(codes)) {
    const coupon = Object.hasOwn(COUPONS, code) ? COUPONS[code] : undefined;
    const discountCents = coupon ? Math.min(totalCents, coupon.discount(totalCents, items)) : 0;
    totalCents -= discountCents;
    applied.push({ code, what: coupon?.what ?? 'unknown', discountCents });
  }
  return { subtotalCents, totalCents, applied };
};

/** What is wrong with a cart, or nothing. */
exports.faultOf = (cart) => {
  if (!Array.isArray(cart?.items) || cart.items.length === 0) return 'items must be a list with at least one item';
  const isCount = (value) => Number.isSafeInteger(value) && value >= 0;
  if (!cart.items.every((item) => isCount(item?.priceCents) && isCount(item?.quantity)))
    return 'each item needs priceCents and quantity, whole numbers';
  if (cart.coupons !== undefined && !Array.isArray(cart.coupons)) return 'coupons must be a list of codes';
  return undefined;
};
