// node-pg: parameters, prepared statements, cursors, errors, catalog.
const assert = require("node:assert/strict");
const { Client } = require("pg");
const Cursor = require("pg-cursor");

const port = Number(process.env.MESHGATE_PORT);
const options = { host: process.env.MESHGATE_HOST ?? "127.0.0.1", port, user: "steward", password: "steward", database: "mesh" };

const checks = {
  "values have their types": async (client) => {
    const { rows, fields } = await client.query("SELECT customer_id, tier, marketing_consent, created_at FROM customer.customer_360 WHERE customer_id > $1 ORDER BY 1 LIMIT 1", [1]);
    assert.equal(rows.length, 1);
    assert.equal(typeof rows[0].marketing_consent, "boolean");
    assert.ok(rows[0].created_at instanceof Date);
    assert.deepEqual(fields.map((field) => field.dataTypeID), [20, 25, 16, 1184]);
  },
  "a named statement is used again": async (client) => {
    for (const number of [1, 2, 3]) {
      const { rows } = await client.query({ name: "sum", text: "SELECT $1::int + 1 AS sum", values: [number] });
      assert.equal(rows[0].sum, number + 1);
    }
  },
  "a cursor reads in parts": async (client) => {
    const cursor = client.query(new Cursor("SELECT customer_id FROM customer.customer_360 ORDER BY 1"));
    assert.equal((await cursor.read(10)).length, 10);
    assert.equal((await cursor.read(10)).length, 10);
    await cursor.close();
  },
  "an array is a parameter": async (client) => {
    const { rows } = await client.query("SELECT count(*)::int AS n FROM customer.customer_360 WHERE tier = ANY($1)", [["gold", "silver"]]);
    assert.ok(rows[0].n > 0);
  },
  "a parameter is of the type that its place tells": async (client) => {
    const answers = [
      ["SELECT $1 || $2 AS x", ["a", "b"], "ab"],
      ["SELECT substr($1, $2, $3) AS x", ["abc", 1, 2], "ab"],
      ["SELECT lpad($1, $2, '0') AS x", ["7", 3], "007"],
      ["SELECT $1 + 1 AS x", [1], 2],
      ["SELECT NOT $1 AS x", [true], false],
      ["SELECT power($1, 2) AS x", [3], 9],
      ["SELECT $1 = ANY (ARRAY[1, 2]) AS x", [2], true],
      ["SELECT encode($1, 'hex') AS x", [Buffer.from("ab")], "6162"],
      ["SELECT (created_at + $1 > created_at) AS x FROM customer.customer_360 LIMIT 1", ["1 day"], true],
      ["SELECT to_timestamp($1) AS x", [0], new Date(0)],
    ];
    for (const [text, values, expected] of answers) {
      const { rows } = await client.query(text, values);
      assert.deepEqual(rows[0].x, expected, text);
    }
  },
  "several statements answer several results": async (client) => {
    const results = await client.query("SELECT 1 AS a; SELECT 2 AS b");
    assert.deepEqual(results.map((result) => result.rows), [[{ a: 1 }], [{ b: 2 }]]);
  },
  "an error has its SQLSTATE": async (client) => {
    await assert.rejects(client.query("SELECT nothing FROM customer.customer_360"), { code: "42703" });
    await assert.rejects(client.query("DELETE FROM customer.customer_360"), { code: "25006" });
  },
  "the catalog answers with parameters": async (client) => {
    const { rows } = await client.query(
      "SELECT a.attname, format_type(a.atttypid, a.atttypmod) AS type, (SELECT d.description FROM pg_description d WHERE d.objoid = a.attrelid AND d.objsubid = a.attnum) AS comment FROM pg_attribute a WHERE a.attrelid = $1::regclass AND a.attnum > 0 ORDER BY a.attnum",
      ["customer.customer_360"],
    );
    assert.equal(rows.length, 12);
    assert.equal(rows[7].type, "numeric(12,2)");
    assert.match(rows[1].comment, /personal data/);
  },
};

(async () => {
  let failed = 0;
  for (const [name, check] of Object.entries(checks)) {
    const client = new Client(options);
    try {
      await client.connect();
      await check(client);
      console.log(`ok    node-pg: ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAIL  node-pg: ${name}: ${error.message}`);
    } finally {
      await client.end().catch(() => {});
    }
  }
  process.exit(failed ? 1 : 0);
})();
