// A request in, a response out. `env.ORAMA` reaches the services of Orama: database, cache, storage, secrets, topics and more.
export default {
  async fetch(request, env) {
    const input = request.method === "POST" ? await request.json() : {};
    return Response.json({ result: `Hello, ${input.name ?? "World"}!` });
  },
};
