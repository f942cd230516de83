// The same handler for Google's functions-framework.
exports.hello = (req, res) => {
  res.json({ greeting: `hello ${req.body.name}` });
};
