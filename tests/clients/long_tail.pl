# DBI with DBD::Pg: what its users do first.
use strict;
use warnings;
use DBI;

my $port = shift;
my %options = (RaiseError => 1, AutoCommit => 1, PrintError => 0, PrintWarn => 0);
my $mesh = DBI->connect("dbi:Pg:dbname=mesh;host=127.0.0.1;port=$port", "steward", "steward", \%options);

sub equal { my ($found, $wanted) = @_; die "$found is not $wanted" unless $found eq $wanted }

my $gold = $mesh->prepare("SELECT customer_id, tier FROM customer.customer_360 WHERE tier = ? AND customer_id > ? ORDER BY 1 LIMIT 3");
$gold->execute("gold", 1000);
equal(scalar @{$gold->fetchall_arrayref}, 3);
equal(scalar @{$mesh->selectall_arrayref("SELECT customer_id FROM customer.customer_360 WHERE customer_id = ANY (?)", {}, [1001, 1002])}, 2);
equal(scalar @{$mesh->table_info(undef, "customer", "%", "TABLE")->fetchall_arrayref}, 3);
equal(scalar @{$mesh->column_info(undef, "customer", "customer_360", "%")->fetchall_arrayref}, 12);
equal(join(",", $mesh->primary_key(undef, "customer", "customer_360")), "customer_id");

$mesh->begin_work;
$mesh->do("DECLARE c CURSOR FOR SELECT * FROM customer.customer_360");
equal(scalar @{$mesh->selectall_arrayref("FETCH 10 FROM c")}, 10);
$mesh->pg_savepoint("before");
eval { $mesh->do("SELECT 1/0") };
equal($mesh->state, "22012");
$mesh->pg_rollback_to("before");
$mesh->commit;

$mesh->do("COPY (SELECT customer_id FROM customer.customer_360 ORDER BY 1 LIMIT 2) TO STDOUT");
my ($line, $lines) = ("", 0);
$lines++ while $mesh->pg_getcopydata($line) >= 0;
equal($lines, 2);
my ($list) = $mesh->selectrow_array("SELECT ARRAY[1, 2, 3]");
equal("@$list", "1 2 3");
