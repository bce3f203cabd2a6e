// What the JavaScript driver of Neo4j does, feature by feature, in node.js and in a browser: features.py's, in the same
// words and with the same values. A script of its own, since a page has no modules of ours to import.

const MEGABYTE = 1 << 20;
const FEATURES = {};

function authOf(neo4j, auth) {
  return auth.user ? neo4j.auth.basic(auth.user, auth.password) : neo4j.auth.bearer(auth.token);
}

// A driver and what it was made of.
class Client {
  constructor(neo4j, way) {
    Object.assign(this, { neo4j, way, driver: null });
    this.driver = this.another(way.auth);
  }

  another(auth) {
    return this.neo4j.driver(this.way.uri, authOf(this.neo4j, auth), { ...this.way.options }); // it fills in more
  }

  async within(options, work) {
    const session = this.driver.session({ database: this.way.database, ...options });
    try {
      return await work(session);
    } finally {
      await session.close();
    }
  }

  // The one value of the one record, in a session of its own.
  ask(query, parameters) {
    return this.within({}, (session) => one(session, query, parameters));
  }

  plain(value) {
    if (this.neo4j.isInt(value)) return value.inSafeRange() ? value.toNumber() : value.toString();
    if (Array.isArray(value)) return value.map((it) => this.plain(it));
    if (value && value.constructor === Object) {
      return Object.fromEntries(Object.entries(value).map(([name, it]) => [name, this.plain(it)]));
    }
    return value;
  }

}

async function answer(neo4j, clients, { as, open, by, do: name, ...asked }) {
  try {
    if (clients[as]) await clients[as].driver.close();
    if (open) clients[as] = new Client(neo4j, open);
    return { value: open ? null : clients[by].plain(await FEATURES[name](clients[by], asked)) };
  } catch (error) {
    return { error: error.name, code: error.code || null, message: error.message };
  }
}

async function one(runner, query, parameters) {
  return (await runner.run(query, parameters)).records[0].get(0);
}

async function codeOf(promise) {
  try {
    await promise;
  } catch (error) {
    return error.code || error.name;
  }
  return "nothing refused";
}

FEATURES["ask"] = (client, { query }) => client.ask(query || "RETURN 6 * 7");

FEATURES["connect as"] = async (client, { auth }) => {
  const driver = client.another(auth);
  try {
    const session = driver.session({ database: client.way.database });
    return await one(session, "RETURN 'connected'");
  } finally {
    await driver.close();
  }
};

FEATURES["routing table"] = async (client) => {
  await client.ask("RETURN 1");
  const [table] = client.driver._connectionProvider._routingTableRegistry._tables.values();
  table.expirationTime = client.neo4j.int(0); // so that it asks anew
  return [table.routers, table.readers, table.writers].map((kind) => kind.map((it) => it.asHostPort()));
};

FEATURES["auto-commit queries"] = (client) => client.within({}, async (session) => {
  await session.run("CREATE (:Kept {n: 1})");
  const found = (await session.run("MATCH (k:Kept) RETURN k.n AS n")).records.map((it) => it.get("n"));
  await session.run("MATCH (k:Kept) DELETE k");
  return found;
});

FEATURES["plain values, as parameters and back"] = async (client) => {
  const { int } = client.neo4j;
  const told = [null, true, int(1), int(-(2 ** 31)), 1.5, "Zoë 🎈", [int(1), [int(2), "x"]], { a: { b: [null] } }];
  const alike = async (it) => JSON.stringify(await client.ask("RETURN $it", { it })) === JSON.stringify(it);
  const found = [];
  for (const it of told) found.push(await alike(it));
  return found;
};

FEATURES["integers of 64 bits"] = async (client) => {
  const found = [];
  for (const it of ["9223372036854775807", "-9223372036854775808", "9007199254740993"]) {
    found.push(String(await client.ask("RETURN $it", { it: client.neo4j.int(it) })));
  }
  return found;
};

FEATURES["bytes"] = async (client) => {
  const found = await client.ask("RETURN $it", { it: Int8Array.from({ length: 256 }, (_, number) => number) });
  return [...Uint8Array.from(found)].every((it, number) => it === number) && found.length === 256;
};

FEATURES["dates, as parameters and back"] = async (client) => {
  const found = await client.ask("RETURN $it", { it: new client.neo4j.types.Date(2026, 11, 22) });
  return [client.neo4j.isDate(found), String(found)];
};

FEATURES["dates and durations that the server makes"] = async (client) => {
  const { isDate, isDuration } = client.neo4j;
  const day = await client.ask("RETURN date('2026-11-22')");
  const lasting = await client.ask("RETURN duration('P1DT2H')");
  return [isDate(day), isDuration(lasting), String(day), [lasting.months, lasting.days, lasting.seconds]];
};

FEATURES["points, as parameters and back"] = async (client) => {
  const found = await client.ask("RETURN $it", { it: new client.neo4j.types.Point(client.neo4j.int(4326), 1.5, 2.5) });
  return [found.srid, [found.x, found.y]];
};

FEATURES["nodes, relationships and paths"] = (client) => client.within({}, async (session) => {
  await session.run("CREATE (:Town {name: 'a'})-[:ROAD {km: 7}]->(:Town {name: 'b'})");
  const found = (await session.run("MATCH p = (a:Town {name: 'a'})-[r]->(b) RETURN a, r, p")).records[0];
  await session.run("MATCH (t:Town) DETACH DELETE t");
  const [a, r, p] = ["a", "r", "p"].map((name) => found.get(name));
  const names = [p.start, ...p.segments.map((it) => it.end)].map((node) => node.properties.name);
  return [a.labels, a.properties, r.type, r.properties, names, p.length, p.start.elementId === a.elementId];
});

const draft = (end) => async (client) => {
  const inside = await client.within({}, async (session) => {
    const transaction = await session.beginTransaction();
    await transaction.run("CREATE (:Draft)");
    const found = await one(transaction, "MATCH (d:Draft) RETURN count(d)");
    await transaction[end]();
    return found;
  });
  const after = await client.ask("MATCH (d:Draft) RETURN count(d)");
  if (end === "commit") await client.within({}, (session) => session.run("MATCH (d:Draft) DELETE d"));
  return [inside, after];
};
FEATURES["explicit transactions: commit"] = draft("commit");
FEATURES["explicit transactions: rollback"] = draft("rollback");

FEATURES["two results open in one transaction"] = (client) => client.within({ fetchSize: 10 }, async (session) => {
  const transaction = await session.beginTransaction();
  const results = [0, 100].map((low) => transaction.run(`UNWIND range(${low}, ${low + 99}) AS n RETURN n`));
  const [low, high] = results.map((result) => result[Symbol.asyncIterator]());
  const pairs = [];
  for (let a = await low.next(), b = await high.next(); !a.done; a = await low.next(), b = await high.next()) {
    pairs.push(a.value.get("n").toNumber() + b.value.get("n").toNumber());
  }
  await transaction.commit();
  return [pairs.length, pairs.reduce((sum, it) => sum + it, 0)];
});

FEATURES["managed transactions"] = (client) => client.within({}, async (session) => {
  await session.executeWrite((work) => work.run("CREATE (:Managed)"));
  const found = await session.executeRead((work) => one(work, "MATCH (m:Managed) RETURN count(m)"));
  await session.executeWrite((work) => work.run("MATCH (m:Managed) DELETE m"));
  return found;
});

FEATURES["execute_query"] = async (client) => {
  const { database } = client.way;
  const { records } = await client.driver.executeQuery("UNWIND [1, 2] AS n RETURN n", {}, { database });
  return records.map((record) => record.get("n"));
};

FEATURES["a session as somebody else, who may only read"] = async (client, { auth }) => {
  const found = await client.within({ auth: authOf(client.neo4j, auth) }, async (session) => [
    await one(session, "RETURN 1"),
    await codeOf(session.run("CREATE (:Draft)")),
  ]);
  return [...found, await client.ask("MATCH (d:Draft) RETURN count(d)")];
};

FEATURES["a constraint, which is kept"] = (client) => client.within({}, async (session) => {
  await session.run("CREATE CONSTRAINT IF NOT EXISTS FOR (u:Unique) REQUIRE u.n IS UNIQUE");
  const codes = [];
  for (let time = 0; time < 2; time++) codes.push(await codeOf(session.run("CREATE (:Unique {n: 1})")));
  await session.run("MATCH (u:Unique) DELETE u");
  return codes;
});

FEATURES["a syntax error, and the session goes on"] = (client) => client.within({}, async (session) => [
  await codeOf(session.run("RETRUN 1")),
  await one(session, "RETURN 1"),
]);

FEATURES["a failure within a transaction, and the session goes on"] = (client) => client.within({}, async (session) => {
  const transaction = await session.beginTransaction();
  await transaction.run("CREATE (:Draft)");
  const code = await codeOf(transaction.run("RETURN $missing.x.y + "));
  await transaction.close();
  return [code, await one(session, "MATCH (d:Draft) RETURN count(d)")];
});

FEATURES["a result of many records"] = (client, { records: n }) => client.within({}, async (session) => {
  const { records } = await session.run("UNWIND range(1, $n) AS n RETURN n", { n: client.neo4j.int(n) });
  return [records.length, records.reduce((sum, record) => sum + record.get("n").toNumber(), 0)];
});

FEATURES["a result given up in its midst"] = (client) => client.within({ fetchSize: 50 }, async (session) => {
  const result = session.run("UNWIND range(1, 10000) AS n RETURN n")[Symbol.asyncIterator]();
  const first = (await result.next()).value.get("n");
  await result.return();
  return [first, await one(session, "RETURN 2")];
});

FEATURES["a parameter of a megabyte"] = (client) => client.ask("RETURN size($it)", { it: "x".repeat(MEGABYTE) });

FEATURES["a value of a megabyte"] = async (client) =>
  (await client.ask("RETURN $it", { it: "x".repeat(MEGABYTE) })).length;

FEATURES["eight sessions at once"] = async (client) => {
  const all = Array.from({ length: 8 }, (_, number) => number);
  let missing = all.length;
  let open;
  const everybodyIsIn = new Promise((resolve) => (open = resolve));
  return Promise.all(all.map((number) => client.within({}, async (session) => {
    const transaction = await session.beginTransaction();
    await transaction.run("RETURN 1");
    if (--missing === 0) open();
    await everybodyIsIn;
    const found = await one(transaction, "RETURN $n", { n: client.neo4j.int(number) });
    await transaction.commit();
    return found;
  })));
};

const summary = (query, show, after) => (client) => client.within({}, async (session) => {
  const told = (await session.run(query)).summary;
  if (after) await session.run(after);
  return show(told);
});
FEATURES["counters of what was written"] = summary("CREATE (:Counted {n: 1})", ({ counters }) => {
  const made = counters.updates();
  return [made.nodesCreated, made.propertiesSet, made.labelsAdded];
}, "MATCH (c:Counted) DELETE c");
FEATURES["the kind of a query"] = summary("RETURN 1", (told) => told.queryType);
FEATURES["EXPLAIN shows a plan"] = summary("EXPLAIN MATCH (n) RETURN n", (told) => Boolean(told.plan));
FEATURES["the newest version of Bolt"] = summary("RETURN 1", ({ server }) => {
  const { protocolVersion: version } = server; // a number in older drivers, 5.4; then an object
  return typeof version === "object" ? `${version.major}.${version.minor}` : String(version);
});

FEATURES["bookmarks"] = async (client) => {
  const told = await client.within({}, async (session) => {
    await session.run("RETURN 1");
    return session.lastBookmarks();
  });
  if (told.length === 0) return "none given";
  return client.within({ bookmarks: told }, (session) => one(session, "RETURN 1"));
};

FEATURES["metadata and time limit of a transaction"] = (client) => client.within({}, async (session) => {
  const transaction = await session.beginTransaction({ metadata: { of: "a test" }, timeout: 20_000 });
  const found = await one(transaction, "RETURN 1");
  await transaction.commit();
  return found;
});

FEATURES["a time limit ends a query"] = (client) => client.within({}, (session) =>
  codeOf(session.run("UNWIND range(1, 300000) AS n RETURN max(n) AS n", {}, { timeout: 1 })));

const code = (options, query, after) => (client) => client.within(options, async (session) => {
  const found = await codeOf(session.run(query));
  if (after) await session.run(after);
  return found;
});
FEATURES["procedures"] = code({}, "CALL db.labels()");
FEATURES["CALL … IN TRANSACTIONS"] = code(
  {}, "UNWIND range(1, 4) AS n CALL { WITH n CREATE (:Batch) } IN TRANSACTIONS OF 2 ROWS", "MATCH (b:Batch) DELETE b");
FEATURES["SHOW DATABASES"] = code({}, "SHOW DATABASES");
FEATURES["the databases `neo4j` and `system`"] = async (client) => [
  await client.within({ database: "neo4j" }, (session) => one(session, "RETURN 1")),
  await client.within({ database: "system" }, (session) => one(session, "RETURN 1")),
];
FEATURES["a database of another name that is not there"] = code({ database: "nowhere" }, "RETURN 1");
FEATURES["acting for somebody else (impersonation)"] = code({ impersonatedUser: "nobody_here" }, "RETURN 1");
FEATURES["no database named"] = (client) => client.within({ database: "" }, (session) => one(session, "RETURN 1"));

globalThis.answer = answer;
