# Ruby's pg: what its users do first.
require "pg"

def equal(found, wanted) = found == wanted || raise("#{found.inspect} is not #{wanted.inspect}")

mesh = PG.connect(ARGV.fetch(0))
mesh.set_notice_receiver { |_| }
mesh.type_map_for_results = PG::BasicTypeMapForResults.new(mesh)
mesh.type_map_for_queries = PG::BasicTypeMapForQueries.new(mesh)

query = "SELECT customer_id, tier FROM customer.customer_360 WHERE tier = $1 AND customer_id > $2 ORDER BY 1 LIMIT 3"
equal(mesh.exec_params(query, ["gold", 1000]).map { |row| row["tier"] }, ["gold"] * 3)
equal(mesh.exec_params("SELECT $1::int[], $2::numeric, $3::bool", [[1, nil], BigDecimal("1.50"), true]).values, [[[1, nil], BigDecimal("1.5"), true]])
mesh.prepare("one", query)
equal(mesh.describe_prepared("one").fields, %w[customer_id tier])
equal(mesh.exec_prepared("one", ["silver", 1000]).ntuples, 3)

mesh.send_query("SELECT customer_id FROM customer.customer_360 ORDER BY 1 LIMIT 500")
mesh.set_single_row_mode
rows = 0
while (result = mesh.get_result)
  result.each { rows += 1 }
end
equal(rows, 500)

lines = []
mesh.copy_data("COPY (SELECT customer_id FROM customer.customer_360 ORDER BY 1 LIMIT 2) TO STDOUT") do
  while (line = mesh.get_copy_data)
    lines << line
  end
end
equal(lines, ["1001\n", "1002\n"])

mesh.transaction { |inner| equal(inner.exec("SELECT 1 AS one").to_a, [{ "one" => 1 }]) }
begin
  mesh.exec("SELECT 1/0")
  raise "no error"
rescue PG::DivisionByZero
  equal(mesh.transaction_status, PG::PQTRANS_IDLE)
end

mesh.enter_pipeline_mode
3.times { |number| mesh.send_query_params("SELECT $1::int AS n", [number]) }
mesh.pipeline_sync
numbers = Array.new(3) { mesh.get_result.tap { mesh.get_result }.getvalue(0, 0) }
equal(numbers, [0, 1, 2])
