WITH declared AS (SELECT i.* FROM mesh.inputs i JOIN mesh.products p ON p.domain = i.domain AND p.product = i.product AND p.version = i.version
 WHERE p.status NOT IN ('proposed', 'retired')),
inputs AS (SELECT domain, product, input_domain, input_product, input_major,
 bool_or(promised_seconds IS NOT NULL AND (given_seconds IS NULL OR given_seconds > promised_seconds)) AS looser
 FROM declared GROUP BY domain, product, input_domain, input_product, input_major),
named AS (SELECT domain, product, array_agg(DISTINCT input_domain || '/' || input_product || '/' || coalesce(input_major, '*')) AS inputs,
 array_agg(DISTINCT input_domain || '/' || input_product || '/' || coalesce(input_major, '*') || '/' || coalesce(column_name, '*')) AS fields
 FROM declared GROUP BY domain, product),
reads AS (SELECT split_part(stands_for, '/', 1) AS domain, split_part(stands_for, '/', 2) AS product, domain AS input_domain,
 product AS input_product, domain || '/' || product || '/*' AS any_major, domain || '/' || product || '/' || split_part(version, '.', 1) AS one_major,
 split_part(version, '.', 1) AS major, column_name, query_id, at FROM mesh.lineage
 WHERE stands_for IS NOT NULL AND allowed AND domain <> 'mesh' AND stands_for <> domain || '/' || product
 AND statement_class NOT IN ('explain', 'explain_policy')),
judged AS (SELECT r.*, CASE
 WHEN n.inputs IS NULL OR NOT (r.any_major = ANY (n.inputs) OR r.one_major = ANY (n.inputs)) THEN 'undeclared_read'
 WHEN r.column_name IS NULL OR r.any_major || '/*' = ANY (n.fields) OR r.any_major || '/' || r.column_name = ANY (n.fields)
 OR r.one_major || '/*' = ANY (n.fields) OR r.one_major || '/' || r.column_name = ANY (n.fields) THEN 'declared'
 ELSE 'undeclared_field' END AS gap FROM reads r LEFT JOIN named n ON n.domain = r.domain AND n.product = r.product),
told AS (SELECT domain, product, input_domain, input_product, gap, CASE WHEN gap = 'undeclared_field' THEN column_name END AS field,
 major, query_id, at FROM judged),
seen AS (SELECT domain, product, input_domain, input_product, gap, field, array_agg(DISTINCT major) AS majors,
 count(DISTINCT query_id) AS statements, min(at) AS first_read, max(at) AS last_read FROM told
 GROUP BY domain, product, input_domain, input_product, gap, field),
beside AS (SELECT coalesce(s.domain, i.domain) AS domain, coalesce(s.product, i.product) AS product,
 coalesce(s.input_domain, i.input_domain) AS input_domain, coalesce(s.input_product, i.input_product) AS input_product,
 s.gap, s.field, s.statements, s.first_read, s.last_read, i.looser,
 count(s.gap) OVER (PARTITION BY coalesce(s.domain, i.domain), coalesce(s.product, i.product)) AS reads
 FROM seen s FULL OUTER JOIN inputs i ON i.domain = s.domain AND i.product = s.product AND i.input_domain = s.input_domain
 AND i.input_product = s.input_product AND (i.input_major IS NULL OR i.input_major = ANY (s.majors)))
SELECT DISTINCT k.gap, b.domain, b.product, b.input_domain, b.input_product, CASE WHEN k.gap = b.gap THEN b.field END AS column_name,
 CASE WHEN k.gap = b.gap THEN b.statements ELSE 0 END AS statements, CASE WHEN k.gap = b.gap THEN b.first_read END AS first_read,
 CASE WHEN k.gap = b.gap THEN b.last_read END AS last_read
 FROM beside b CROSS JOIN (VALUES ('undeclared_read'), ('undeclared_field'), ('dead_input'), ('looser_freshness')) AS k (gap)
 WHERE k.gap = b.gap OR (k.gap = 'dead_input' AND b.gap IS NULL AND b.reads > 0) OR (k.gap = 'looser_freshness' AND b.looser)
