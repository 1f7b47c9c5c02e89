// Prints the CIDs of files of the given sizes, as `ipfs add --cid-version=1 --raw-leaves` computes them:
// {"<size>": "<cid>"}. The judge of xtask/tests/it/cid.rs, which makes the same bytes.

import { BlackHoleBlockstore } from "blockstore-core/black-hole";
import { fixedSize } from "ipfs-unixfs-importer/chunker";
import { balanced } from "ipfs-unixfs-importer/layout";
import { importer } from "ipfs-unixfs-importer";

const sizes = process.argv.slice(2).map(Number);
const longest = new Uint8Array(Math.max(...sizes));
for (let i = 0; i < longest.length; i++) longest[i] = i ^ (i >> 8) ^ (i >> 18);

const options = {
  cidVersion: 1,
  rawLeaves: true,
  chunker: fixedSize({ chunkSize: 262_144 }),
  layout: balanced({ maxChildrenPerNode: 174 }),
};
const cids = {};
for (const size of sizes) {
  for await (const { cid } of importer([{ content: longest.subarray(0, size) }], new BlackHoleBlockstore(), options)) {
    cids[size] = cid.toString();
  }
}
console.log(JSON.stringify(cids));
