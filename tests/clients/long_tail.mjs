// The long tail of JavaScript: each function does with one client what its users do first.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const [client, url] = process.argv.slice(2);
const require = createRequire(`${process.env.NODE_PATH}/`);
const QUERY = "SELECT * FROM customer.customer_360";

const clients = {
  async postgres_js() {
    const sql = require("postgres")(url, { onnotice() {} });
    const gold = await sql`SELECT customer_id, created_at FROM customer.customer_360 WHERE tier = ${"gold"} AND customer_id > ${1000} ORDER BY 1 LIMIT ${3}`;
    assert.equal(gold.length, 3);
    assert.ok(gold[0].created_at instanceof Date);
    assert.equal((await sql`SELECT customer_id FROM customer.customer_360 WHERE customer_id IN ${sql([1001, 1002])}`).length, 2);
    const [values] = await sql`SELECT ${sql.json({ a: 1 })}::jsonb AS j, ${[1, 2]}::int[] AS list, ${true}::bool AS truth, ${1.5}::float8 AS number`;
    assert.deepEqual(values, { j: { a: 1 }, list: [1, 2], truth: true, number: 1.5 });
    let rows = 0;
    for await (const part of sql`SELECT * FROM customer.customer_360`.cursor(500)) rows += part.length;
    assert.ok(rows > 1000);
    await sql.begin("read only", async (transaction) => {
      await transaction.savepoint((inner) => inner`SELECT 1`);
    });
    await assert.rejects(sql`SELECT * FROM nothing_like_it`, { code: "42P01" });
    await Promise.all([...Array(30).keys()].map((number) => sql`SELECT ${number}::int AS n`));
    await sql.end();
  },
  async knex() {
    const knex = require("knex")({ client: "pg", connection: url, searchPath: ["customer", "public"] });
    assert.equal((await knex("customer_360").where("tier", "gold").orderBy("customer_id").limit(2)).length, 2);
    assert.equal(Object.keys(await knex("customer_360").columnInfo()).length, 12);
    assert.ok(await knex.schema.withSchema("customer").hasTable("customer_360"));
    let rows = 0;
    for await (const _ of knex("customer_360").select("customer_id").stream()) rows += 1;
    assert.ok(rows > 1000);
    await knex.transaction((transaction) => transaction.raw("SELECT 1"), { readOnly: true });
    await knex.destroy();
  },
  async sequelize() {
    const { Sequelize, DataTypes } = require("sequelize");
    const sequelize = new Sequelize(url, { logging: false });
    const table = { tableName: "customer_360", schema: "customer" };
    const columns = await sequelize.getQueryInterface().describeTable(table);
    assert.ok(Object.keys(columns).length === 12 && columns.customer_id.primaryKey);
    await sequelize.getQueryInterface().showIndex(table);
    const options = { schema: "customer", tableName: "customer_360", timestamps: false };
    const Customer = sequelize.define("customer", { customer_id: { type: DataTypes.BIGINT, primaryKey: true }, tier: DataTypes.TEXT }, options);
    assert.equal((await Customer.findAll({ where: { tier: ["gold", "silver"] }, limit: 3, order: [["customer_id", "DESC"]] })).length, 3);
    assert.ok((await Customer.findAndCountAll({ where: { tier: "gold" }, limit: 2 })).count > 2);
    await sequelize.transaction({ isolationLevel: "REPEATABLE READ" }, (transaction) => Customer.findOne({ transaction }));
    await sequelize.close();
  },
  async typeorm() {
    require("reflect-metadata");
    const { DataSource, EntitySchema } = require("typeorm");
    const columns = { customer_id: { type: "bigint", primary: true }, tier: { type: "text" }, created_at: { type: "timestamptz" } };
    const Customer = new EntitySchema({ name: "Customer", schema: "customer", tableName: "customer_360", columns });
    const source = await new DataSource({ type: "postgres", url, entities: [Customer], installExtensions: false }).initialize();
    const [rows, count] = await source.getRepository("Customer").findAndCount({ take: 3, order: { customer_id: "ASC" }, where: { tier: "gold" } });
    assert.ok(rows.length === 3 && count > 3);
    const table = await source.createQueryRunner().getTable("customer.customer_360");
    assert.equal(table.columns.length, 12);
    await source.destroy();
  },
  async pg_query_stream() {
    const { Client } = require("pg");
    const connection = new Client(url);
    await connection.connect();
    let rows = 0;
    const QueryStream = require("pg-query-stream");
    for await (const _ of connection.query(new QueryStream(`${QUERY} WHERE tier <> $1`, ["gold"], { batchSize: 200 }))) rows += 1;
    assert.ok(rows > 1000);
    await connection.end();
  },
  async kysely() {
    const { Kysely, PostgresDialect } = require("kysely");
    const { Pool } = require("pg");
    const mesh = new Kysely({ dialect: new PostgresDialect({ pool: new Pool({ connectionString: url, max: 2 }), cursor: require("pg-cursor") }) });
    const customers = () => mesh.selectFrom("customer.customer_360 as c");
    const counted = await customers().select(["c.tier", mesh.fn.countAll().as("n")]).where("c.country", "in", ["DE", "FR"]).groupBy("c.tier").execute();
    assert.equal(counted.length, 4);
    const table = (await mesh.introspection.getTables()).find((table) => table.schema === "customer" && table.name === "customer_360");
    assert.equal(table.columns.length, 12);
    let rows = 0;
    for await (const _ of customers().selectAll().stream(100)) rows += 1;
    assert.ok(rows > 1000);
    await mesh.destroy();
  },
};

await clients[client]();
process.exit(0);
