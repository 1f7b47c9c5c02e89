// A process that waits for code: the engine hands over that of one function version, once, and then its requests.
let code;

const load = (env) => env.loader.get("author", () => code);

async function take(request, env) {
  const { modules, main, compatibilityDate, variables } = await request.json();
  code = {
    compatibilityDate,
    compatibilityFlags: ["nodejs_als"],
    mainModule: main,
    modules,
    env: { host: env.host, variables },
    globalOutbound: env.outside,
  };
  try {
    return await load(env).getEntrypoint().fetch("http://orama/", { cf: { probe: true } });
  } catch (error) {
    return Response.json({ refused: error.stack ?? String(error) });
  }
}

export default {
  fetch(request, env) {
    return request.cf?.load ? take(request, env) : load(env).getEntrypoint().fetch(request);
  },
};
