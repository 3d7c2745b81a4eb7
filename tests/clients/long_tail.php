<?php
// PHP's PDO and pgsql: what their users do first.
declare(strict_types=1);

function equal(mixed $found, mixed $wanted): void
{
    if ($found !== $wanted) {
        throw new Exception(json_encode($found) . ' is not ' . json_encode($wanted));
    }
}

[, $port] = $argv;
$mesh = new PDO("pgsql:host=127.0.0.1;port=$port;dbname=mesh", 'steward', 'steward', [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);

$query = 'SELECT customer_id FROM customer.customer_360 WHERE tier = :tier AND customer_id > :after ORDER BY 1 LIMIT 3';
foreach ([false, true] as $emulated) {
    $gold = $mesh->prepare($query, [PDO::ATTR_EMULATE_PREPARES => $emulated]);
    $gold->execute(['tier' => 'gold', 'after' => 1000]);
    equal(count($gold->fetchAll(PDO::FETCH_ASSOC)), 3);
}
$typed = $mesh->query("SELECT 1::int, true, 1.50::numeric(5,2), '\\x00ff'::bytea");
$row = $typed->fetch(PDO::FETCH_NUM);
equal([$row[0], $row[1], $row[2], bin2hex(stream_get_contents($row[3]))], [1, true, '1.50', '00ff']);
$meta = $mesh->query('SELECT * FROM customer.customer_360 LIMIT 1');
equal($meta->getColumnMeta(0)['table'], 'customer_360');
equal($meta->getColumnMeta(6)['precision'], 6);

$mesh->beginTransaction();
$scrolled = $mesh->prepare('SELECT customer_id FROM customer.customer_360 ORDER BY 1 LIMIT 10', [PDO::ATTR_CURSOR => PDO::CURSOR_SCROLL]);
$scrolled->execute();
$places = [[PDO::FETCH_ORI_LAST, 0], [PDO::FETCH_ORI_PRIOR, 0], [PDO::FETCH_ORI_ABS, 3]];
equal(array_map(fn ($place) => $scrolled->fetch(PDO::FETCH_NUM, ...$place)[0], $places), [1010, 1009, 1003]);
$mesh->commit();

try {
    $mesh->query('SELECT 1/0');
    throw new Exception('no error');
} catch (PDOException $error) {
    equal($error->getCode(), '22012');
}
equal(count($mesh->pgsqlCopyToArray('(SELECT customer_id FROM customer.customer_360 LIMIT 2)')), 2);

$connection = pg_connect("host=127.0.0.1 port=$port dbname=mesh user=steward password=steward");
$counted = pg_query_params($connection, 'SELECT tier, count(*) FROM customer.customer_360 WHERE customer_id < $1 GROUP BY 1', [2000]);
equal(pg_num_rows($counted), 4);
equal(pg_field_type($counted, 1), 'int8');
equal(count(pg_meta_data($connection, 'customer.customer_360')), 12);
pg_prepare($connection, 'one', 'SELECT $1::int + 1');
equal(pg_fetch_row(pg_execute($connection, 'one', [41])), ['42']);
