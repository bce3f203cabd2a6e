// node.js' pg, driven by lines of JSON: the login first, then {"ask": SQL} and {"cancel": true}.
// Each login and each question is answered by one line: {"value": text} or {"sqlstate": text, "message": text}.

const fs = require("fs");
const readline = require("readline");
const { Client } = require("pg");

const say = (answer) => process.stdout.write(JSON.stringify(answer) + "\n");
const tell = (error) => say({ sqlstate: error.code || "", message: error.message });

let client;

async function login(way) {
  const ssl = { ca: fs.readFileSync(way.ca) };
  client = new Client({ ...way, ssl });
  client.on("error", () => {}); // told by the question that is open, if there is one
  await client.connect();
  say({ value: "" });
}

function ask(sql) {
  client.query({ text: sql, rowMode: "array" }).then((result) => say({ value: String(result.rows[0][0]) }), tell);
}

// pg cancels over a client of its own that has not connected; with TLS it would never get to it. How that connection
// ends is nobody's business but ours: an error there has no listener and ends the process, as it would an application's.
function cancel() {
  new Client({ host: client.host, port: client.port }).cancel(client, client._getActiveQuery());
}

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const told = JSON.parse(line);
  if (told.login) login(told.login).catch(tell);
  else if (told.ask) ask(told.ask);
  else if (told.cancel) cancel();
}).on("close", () => client.end());
