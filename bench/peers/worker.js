// The same handler for workerd.
export default {
  async fetch(request) {
    const { name } = await request.json();
    return Response.json({ greeting: `hello ${name}` });
  },
};
