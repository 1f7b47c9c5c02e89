import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";

import { orama } from "../../engines/src/worker/js/orama.js";

const here = new URL("./", import.meta.url);
const compiler = new URL("../../tools/node_modules/typescript/bin/tsc", here);

test("the definitions are those of a worker", { skip: !existsSync(compiler) && "run `cargo xtask setup`" }, () => {
  const options = ["--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom", "--types", ""];
  const read = () => execFileSync(process.execPath, [compiler.pathname, ...options, "worker.check.ts"], { cwd: here, encoding: "utf8" });
  assert.doesNotThrow(read, "the compiler accepts them");
});

test("every service and method of `env.ORAMA` is defined", () => {
  const definitions = readFileSync(new URL("worker.d.ts", here), "utf8");
  const services = orama({}, { token: "", caller: {}, requestId: "r", socket: null, log: () => {} });
  for (const [name, service] of Object.entries(services)) {
    assert.match(definitions, new RegExp(`\\b${name}\\b`), name);
    for (const method of typeof service === "object" && service ? Object.keys(service) : []) {
      assert.match(definitions, new RegExp(`^  ${method}[(<]`, "m"), `${name}.${method}`);
    }
  }
});
