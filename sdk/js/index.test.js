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

test("a signature goes with what was signed", async () => {
  const proofs = [];
  const fetch = async (url, { body }) => {
    if (url.endsWith("/v1/auth/challenge")) return json(200, { nonce: "n1", message: "host wants you to sign in" });
    proofs.push(JSON.parse(body));
    return json(200, { access_token: "a", refresh_token: "r", namespace: "default" });
  };
  const orama = new Orama({ url: "http://server", fetch });
  await orama.auth.signIn({ wallet: "0xa", signMessage: async (message) => `signed ${message}` });
  await orama.auth.signIn({ wallet: "0xa", sign: (nonce) => `signed ${nonce}` });
  assert.deepEqual(proofs, [
    { wallet: "0xa", namespace: "default", nonce: "n1", message: "host wants you to sign in", signature: "signed host wants you to sign in" },
    { wallet: "0xa", namespace: "default", nonce: "n1", signature: "signed n1" },
  ]);
  assert.equal(orama.tokens.accessToken, "a");
  await assert.rejects(orama.auth.signIn({ wallet: "0xa" }), TypeError);
});

class FakeWebSocket {
  static all = [];
  readyState = 0;
  sent = [];

  constructor(url) {
    this.url = new URL(url);
    FakeWebSocket.all.push(this);
  }

  open() {
    this.readyState = 1;
    this.onopen();
  }

  say(frame) {
    this.onmessage({ data: JSON.stringify(frame) });
  }

  send(data) {
    this.sent.push(data);
  }

  close(code, reason = "") {
    this.readyState = 3;
    this.onclose({ code, reason });
  }
}

test("a message is published as base64, whatever it is", async () => {
  const sent = [];
  const fetch = async (url, { body }) => {
    sent.push(JSON.parse(body));
    return json(200, { status: "ok", position: "7-1", positions: ["7-2"] });
  };
  const orama = new Orama({ url: "http://server", apiKey: "ak_x:default", fetch });
  assert.equal(await orama.pubsub.publish("t", "grüße"), "7-1");
  await orama.pubsub.publish("t", { a: 1 });
  await orama.pubsub.publish("t", new Uint8Array([255, 0]).subarray(0, 1));
  await orama.pubsub.publishBatch([{ topic: "t", data: new ArrayBuffer(20_000) }], { bestEffort: true });
  assert.deepEqual(sent.slice(0, 3).map(({ data_base64 }) => Buffer.from(data_base64, "base64").toString("latin1")), [
    Buffer.from("grüße").toString("latin1"),
    '{"a":1}',
    "\xff",
  ]);
  assert.equal(Buffer.from(sent[3].messages[0].data_base64, "base64").length, 20_000);
  assert.equal(sent[3].best_effort, true);
});

test("a topic is followed over a lost connection, behind the last message", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  FakeWebSocket.all = [];
  const orama = new Orama({ url: "http://server/", apiKey: "ak_x:default", WebSocket: FakeWebSocket });
  const seen = [];
  let missed = 0;
  const subscription = orama.pubsub.subscribe("room 1", (message) => seen.push(message), {
    presence: { memberId: "ada", meta: { colour: "red" } },
    onMissed: () => (missed += 1),
  });
  const [first] = FakeWebSocket.all;
  assert.equal(first.url.href.split("?")[0], "ws://server/v1/pubsub/ws");
  assert.deepEqual(Object.fromEntries(first.url.searchParams), {
    topic: "room 1",
    presence: "true",
    member_id: "ada",
    member_meta: '{"colour":"red"}',
    api_key: "ak_x:default",
  });
  assert.throws(() => subscription.send("too early"));
  first.open();
  subscription.send({ typing: true });
  assert.deepEqual(first.sent, ['{"typing":true}']);
  first.say({ data: btoa('{"type":"x"}'), timestamp: 5, topic: "room 1", position: "7-1" });
  const join = { type: "presence.join", member_id: "bob", timestamp: 1 };
  first.say({ ...join, data: btoa(JSON.stringify(join)), topic: "room 1", position: "7-2" });
  first.say({ data: "", timestamp: 6, topic: "room 1", position: "7-3" });
  assert.deepEqual(seen.map(({ position, event }) => [position, event?.type]), [["7-1", undefined], ["7-2", "presence.join"], ["7-3", undefined]]);
  assert.deepEqual([seen[0].json(), seen[2].text()], [{ type: "x" }, ""]);

  first.close(1012);
  await Promise.resolve();
  t.mock.timers.tick(60_000);
  const second = FakeWebSocket.all[1];
  assert.equal(second.url.searchParams.get("after"), "7-3");
  second.open();
  second.say({ type: "cannot_resume", topic: "room 1" });
  assert.equal(missed, 1);
  subscription.close();
  t.mock.timers.tick(60_000);
  assert.equal(FakeWebSocket.all.length, 2, "who closes does not come back");
});

test("an expired token is replaced before a socket is opened again", async () => {
  FakeWebSocket.all = [];
  const fetch = async () => json(200, { access_token: "new", refresh_token: "next", namespace: "default" });
  const tokens = { accessToken: "old", refreshToken: "first" };
  const orama = new Orama({ url: "https://server", tokens, fetch, WebSocket: FakeWebSocket });
  const again = new Promise((resolve) => {
    FakeWebSocket.all.push = function (socket) {
      Array.prototype.push.call(this, socket);
      if (this.length === 2) resolve(socket);
    };
  });
  const subscription = orama.pubsub.subscribe("t", () => {});
  assert.equal(FakeWebSocket.all[0].url.searchParams.get("token"), "old");
  FakeWebSocket.all[0].close(1006);
  assert.equal((await again).url.searchParams.get("token"), "new");
  assert.equal((await again).url.protocol, "wss:");
  subscription.close();
});
