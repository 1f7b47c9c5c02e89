import assert from "node:assert/strict";
import { test } from "node:test";

import { Orama, OramaError } from "./index.js";

const json = (status, body) => new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json" } });

test("many requests with an expired token share one refresh", async () => {
  let refreshes = 0;
  const fetch = async (url, { headers }) => {
    if (url.endsWith("/v1/auth/refresh")) {
      refreshes += 1;
      return json(200, { access_token: "new", refresh_token: "next", namespace: "default" });
    }
    return headers.get("Authorization") === "Bearer new" ? json(200, { items: [{ id: 1 }] }) : json(401, { error: "expired" });
  };
  const orama = new Orama({ url: "http://server/", tokens: { accessToken: "old", refreshToken: "first" }, fetch });
  const all = await Promise.all([orama.auth.refresh(), ...[1, 2, 3].map(() => orama.db.query("SELECT 1"))]);
  assert.deepEqual(all.slice(1), [[{ id: 1 }], [{ id: 1 }], [{ id: 1 }]]);
  assert.equal(refreshes, 1);
  assert.equal(orama.tokens.refreshToken, "next");
});

test("a refusal tells its code in either form", async () => {
  const answers = [
    json(403, { error: "no", code: "SQL_NOT_ALLOWED", message: "no" }),
    json(404, { ok: false, code: "NOT_FOUND", message: "gone", error: { code: "NOT_FOUND", message: "gone", request_id: "r" } }),
  ];
  const orama = new Orama({ url: "http://server", apiKey: "ak_x:default", fetch: async () => answers.shift() });
  const refused = async (call) => call.then(() => assert.fail("refused"), (error) => error);
  const sql = await refused(orama.db.exec("ATTACH 'x' AS y"));
  assert.ok(sql instanceof OramaError);
  assert.deepEqual([sql.status, sql.code, sql.message], [403, "SQL_NOT_ALLOWED", "no"]);
  const gone = await refused(orama.functions.invoke("f"));
  assert.deepEqual([gone.code, gone.message, gone.requestId], ["NOT_FOUND", "gone", "r"]);
});

test("a cache miss is undefined, and a key goes as it is", async () => {
  const seen = [];
  const fetch = async (url, { headers, body }) => {
    seen.push([url, headers.get("X-API-Key"), body]);
    return json(404, { error: "key not found" });
  };
  const orama = new Orama({ url: "http://server", apiKey: "ak_x:default", fetch });
  assert.equal(await orama.cache.get("m", "k"), undefined);
  assert.deepEqual(seen, [["http://server/v1/cache/get", "ak_x:default", '{"dmap":"m","key":"k"}']]);
});
