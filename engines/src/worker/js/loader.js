// A process that waits for code: the engine hands over that of one function version, once, and then its requests.
let code;

const load = (env) => env.loader.get("author", () => code);

async function take(request, env) {
  const { modules, main, compatibilityDate, compatibilityFlags, variables } = await request.json();
  code = {
    compatibilityDate,
    compatibilityFlags,
    mainModule: main,
    modules,
    env: { host: env.host, variables },
    globalOutbound: env.outside,
  };
  try {
    return await load(env).getEntrypoint("seen").fetch("http://orama/");
  } catch (error) {
    return Response.json({ refused: error.stack ?? String(error) });
  }
}

export default {
  fetch(request, env) {
    return code === undefined ? take(request, env) : load(env).getEntrypoint().fetch(request);
  },
};
