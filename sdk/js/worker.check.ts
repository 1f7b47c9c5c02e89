// Read by the compiler alone: what stands here must be as the definitions say, and what is marked must be a mistake.
import type { OramaEnv, OramaError, OramaServices } from "./worker.js";

export default {
  async fetch(request: Request, env: OramaEnv<"GREETING">): Promise<Response> {
    const { ORAMA } = env;
    const greeting: string = env.GREETING;
    const rows = await ORAMA.database.query<{ n: number }>("SELECT n FROM t WHERE a = ? AND b = ?", 1n, new Uint8Array([1]));
    const sum: number = rows.reduce((all, row) => all + row.n, 0);
    const { rowsAffected } = await ORAMA.database.execute("DELETE FROM t");
    await ORAMA.cache.set("key", { sum, rowsAffected }, { ttl: 60 });
    const cached: string | null = await ORAMA.cache.get("key");
    const count: number | bigint = await ORAMA.cache.increment("count");
    const { cid } = await ORAMA.storage.put("name", new Uint8Array([1]));
    const bytes: Uint8Array | null = await ORAMA.storage.get(cid);
    const published: boolean = await ORAMA.pubsub.publish("topic", { cached, bytes, published: greeting });
    const output = await ORAMA.invoke("other@2", { published });
    const notified = await ORAMA.notify(ORAMA.caller.wallet, { title: "hello", priority: "high" });
    if (notified.via === "inbox") ORAMA.log.info(notified.expires_at);
    await ORAMA.jobs.schedule("other", "in", new Date());
    return new Response(`${output.text()} ${count} ${request.url}`);
  },
};

export async function mistakes(ORAMA: OramaServices): Promise<void> {
  // @ts-expect-error a statement is a text
  await ORAMA.database.query(1);
  // @ts-expect-error nothing can be set
  ORAMA.requestId = "other";
  // @ts-expect-error a value may be missing
  const value: string = await ORAMA.cache.get("key");
  // @ts-expect-error there is no such priority
  await ORAMA.push("user", { priority: "urgent" });
  // @ts-expect-error there is no such service
  await ORAMA.mail.send(value);
}

export const code = (error: OramaError): string => error.code;
