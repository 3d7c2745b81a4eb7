// pgjdbc: metadata, server-side prepared statements, fetch sizes, binary transfer.

import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

public class Jdbc {
    interface Check {
        void run(Connection connection) throws Exception;
    }

    static final Map<String, Check> CHECKS = new LinkedHashMap<>();

    static List<String> column(ResultSet rows, String name) throws SQLException {
        List<String> found = new ArrayList<>();
        while (rows.next()) {
            found.add(rows.getString(name));
        }
        return found;
    }

    static void equal(Object found, Object wanted) {
        if (!wanted.equals(found)) {
            throw new AssertionError(found + " instead of " + wanted);
        }
    }

    static void metadata() {
        CHECKS.put("schemas, tables and their kinds are listed", connection -> {
            DatabaseMetaData meta = connection.getMetaData();
            if (!column(meta.getSchemas(), "TABLE_SCHEM").containsAll(List.of("customer", "logistics", "payments"))) {
                throw new AssertionError("a schema is missing");
            }
            ResultSet tables = meta.getTables(null, "customer", "customer\\_360", new String[] {"TABLE", "VIEW"});
            equal(tables.next(), true);
            equal(tables.getString("TABLE_TYPE"), "TABLE");
            if (!tables.getString("REMARKS").contains("owner: customer-platform")) {
                throw new AssertionError(tables.getString("REMARKS"));
            }
            equal(column(meta.getCatalogs(), "TABLE_CAT"), List.of("mesh"));
            if (!column(meta.getTableTypes(), "TABLE_TYPE").contains("TABLE")) {
                throw new AssertionError("TABLE is missing");
            }
        });
        CHECKS.put("columns have types, sizes and comments", connection -> {
            ResultSet columns = connection.getMetaData().getColumns(null, "customer", "customer_360", "%");
            int count = 0;
            while (columns.next()) {
                count++;
                equal(columns.getInt("ORDINAL_POSITION"), count);
                if (columns.getString("COLUMN_NAME").equals("lifetime_value_usd")) {
                    equal(columns.getInt("DATA_TYPE"), java.sql.Types.NUMERIC);
                    equal(columns.getInt("COLUMN_SIZE") * 100 + columns.getInt("DECIMAL_DIGITS"), 1202);
                    equal(columns.getString("IS_NULLABLE"), "NO");
                }
            }
            equal(count, 12);
        });
        CHECKS.put("keys and indexes are told", connection -> {
            DatabaseMetaData meta = connection.getMetaData();
            equal(column(meta.getPrimaryKeys(null, "customer", "customer_360"), "COLUMN_NAME"), List.of("customer_id"));
            equal(column(meta.getIndexInfo(null, "customer", "customer_360", true, true), "INDEX_NAME"), List.of("customer_360_pkey"));
            equal(meta.getImportedKeys(null, "customer", "customer_360").next(), false);
            equal(meta.getExportedKeys(null, "customer", "customer_360").next(), false);
            equal(meta.getCrossReference(null, "customer", "customer_360", null, "payments", "revenue_daily_summary").next(), false);
            equal(column(meta.getBestRowIdentifier(null, "customer", "customer_360", 0, false), "COLUMN_NAME"), List.of("customer_id"));
        });
        CHECKS.put("types, functions and privileges are told", connection -> {
            DatabaseMetaData meta = connection.getMetaData();
            if (!column(meta.getTypeInfo(), "TYPE_NAME").containsAll(List.of("int4", "numeric", "timestamptz", "_text"))) {
                throw new AssertionError("a type is missing");
            }
            equal(meta.getFunctions(null, "pg_catalog", "lower").next(), true);
            meta.getProcedures(null, null, "%").close();
            meta.getFunctionColumns(null, "pg_catalog", "lower", "%").close();
            meta.getUDTs(null, null, "%", null).close();
            meta.getTablePrivileges(null, "customer", "customer_360").close();
            meta.getColumnPrivileges(null, "customer", "customer_360", "%").close();
            meta.getClientInfoProperties().close();
            equal(meta.getDatabaseProductName(), "PostgreSQL");
            equal(meta.getDatabaseMajorVersion(), 15);
        });
    }

    static void rows() {
        CHECKS.put("a prepared statement passes its threshold", connection -> {
            long id;
            try (Statement statement = connection.createStatement()) {
                ResultSet least = statement.executeQuery("SELECT min(customer_id) FROM customer.customer_360");
                least.next();
                id = least.getLong(1);
            }
            try (PreparedStatement statement = connection.prepareStatement(
                    "SELECT customer_id, tier, lifetime_value_usd, created_at FROM customer.customer_360 WHERE customer_id = ?")) {
                for (int number = 1; number < 12; number++) {
                    statement.setLong(1, id);
                    ResultSet row = statement.executeQuery();
                    equal(row.next(), true);
                    equal(row.getLong(1), id);
                    equal(row.getBigDecimal(3).scale(), 2);
                    row.getTimestamp(4);
                }
            }
        });
        CHECKS.put("a fetch size reads in parts", connection -> {
            connection.setAutoCommit(false);
            try (Statement statement = connection.createStatement()) {
                statement.setFetchSize(100);
                ResultSet rows = statement.executeQuery("SELECT customer_id FROM customer.customer_360 ORDER BY 1");
                equal(column(rows, "customer_id").size() > 1000, true);
            }
            connection.commit();
        });
        CHECKS.put("rows are limited and arrays are passed", connection -> {
            try (PreparedStatement statement = connection.prepareStatement("SELECT tier FROM customer.customer_360 WHERE tier = ANY(?)")) {
                statement.setMaxRows(connection.unwrap(org.postgresql.PGConnection.class).getPreferQueryMode() == org.postgresql.jdbc.PreferQueryMode.SIMPLE ? 0 : 5);
                statement.setArray(1, connection.createArrayOf("text", new String[] {"gold", "silver"}));
                int found = column(statement.executeQuery(), "tier").size();
                equal(statement.getMaxRows() == 0 ? found > 5 : found == 5, true);
            }
        });
        CHECKS.put("a result knows its table", connection -> {
            try (Statement statement = connection.createStatement()) {
                var meta = statement.executeQuery("SELECT customer_id, tier FROM customer.customer_360 LIMIT 1").getMetaData();
                equal(((org.postgresql.PGResultSetMetaData) meta).getBaseTableName(1), "customer_360");
                equal(((org.postgresql.PGResultSetMetaData) meta).getBaseSchemaName(1), "customer");
                equal(meta.isNullable(1), java.sql.ResultSetMetaData.columnNoNulls);
            }
        });
        CHECKS.put("a write is refused", connection -> {
            try (Statement statement = connection.createStatement()) {
                statement.executeUpdate("DELETE FROM customer.customer_360");
                throw new AssertionError("it was done");
            } catch (SQLException error) {
                equal(error.getSQLState(), "25006");
            }
        });
    }

    public static void main(String[] arguments) throws Exception {
        metadata();
        rows();
        String host = System.getenv().getOrDefault("MESHGATE_HOST", "127.0.0.1");
        String url = "jdbc:postgresql://" + host + ":" + System.getenv("MESHGATE_PORT") + "/mesh?user=steward&password=steward";
        boolean failed = false;
        for (String mode : List.of("", "&binaryTransfer=false", "&preferQueryMode=simple")) {
            for (Map.Entry<String, Check> check : CHECKS.entrySet()) {
                String name = "pgjdbc" + mode + ": " + check.getKey();
                try (Connection connection = DriverManager.getConnection(url + mode)) {
                    check.getValue().run(connection);
                    System.out.println("ok    " + name);
                } catch (Throwable error) {
                    failed = true;
                    System.out.println("FAIL  " + name + ": " + error);
                }
            }
        }
        System.exit(failed ? 1 : 0);
    }
}
