// features.js in node.js, driven by lines of JSON as features.py is.

const readline = require("readline");
const neo4j = require("neo4j-driver");
require("./features.js");

const clients = {};
let last = Promise.resolve(); // one after the other

const say = (told) => process.stdout.write(JSON.stringify(told) + "\n");
const work = (line) => globalThis.answer(neo4j, clients, JSON.parse(line)).then(say);
const end = () => Promise.all(Object.values(clients).map((client) => client.driver.close()));

readline.createInterface({ input: process.stdin })
  .on("line", (line) => (last = last.then(() => work(line))))
  .on("close", () => last.then(end));
