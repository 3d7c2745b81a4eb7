-- Makes the tables of TPC-H and fills them from CSV files of tpchgen-cli.
--   cd /where/the/csv/files/are && psql -f load.sql
-- Schema `reference` has all eight, for comparison; schema `mesh` has what the gateway reads from Postgres.
-- Texts sort by bytes (COLLATE "C"), as they do in the gateway.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS reference CASCADE;
DROP SCHEMA IF EXISTS mesh CASCADE;
CREATE SCHEMA reference;
CREATE SCHEMA mesh;

CREATE TABLE reference.region (
    r_regionkey bigint NOT NULL,
    r_name varchar(25) COLLATE "C" NOT NULL,
    r_comment varchar(152) COLLATE "C" NOT NULL
);
\copy reference.region FROM 'region.csv' WITH (FORMAT csv, HEADER)
ALTER TABLE reference.region ADD PRIMARY KEY (r_regionkey);

CREATE TABLE reference.nation (
    n_nationkey bigint NOT NULL,
    n_name varchar(25) COLLATE "C" NOT NULL,
    n_regionkey bigint NOT NULL,
    n_comment varchar(152) COLLATE "C" NOT NULL
);
\copy reference.nation FROM 'nation.csv' WITH (FORMAT csv, HEADER)
ALTER TABLE reference.nation ADD PRIMARY KEY (n_nationkey);
CREATE INDEX ON reference.nation (n_regionkey);

CREATE TABLE reference.supplier (
    s_suppkey bigint NOT NULL,
    s_name varchar(25) COLLATE "C" NOT NULL,
    s_address varchar(40) COLLATE "C" NOT NULL,
    s_nationkey bigint NOT NULL,
    s_phone varchar(15) COLLATE "C" NOT NULL,
    s_acctbal numeric(15,2) NOT NULL,
    s_comment varchar(101) COLLATE "C" NOT NULL
);
\copy reference.supplier FROM 'supplier.csv' WITH (FORMAT csv, HEADER)
ALTER TABLE reference.supplier ADD PRIMARY KEY (s_suppkey);
CREATE INDEX ON reference.supplier (s_nationkey);

CREATE TABLE reference.part (
    p_partkey bigint NOT NULL,
    p_name varchar(55) COLLATE "C" NOT NULL,
    p_mfgr varchar(25) COLLATE "C" NOT NULL,
    p_brand varchar(10) COLLATE "C" NOT NULL,
    p_type varchar(25) COLLATE "C" NOT NULL,
    p_size integer NOT NULL,
    p_container varchar(10) COLLATE "C" NOT NULL,
    p_retailprice numeric(15,2) NOT NULL,
    p_comment varchar(23) COLLATE "C" NOT NULL
);
\copy reference.part FROM 'part.csv' WITH (FORMAT csv, HEADER)
ALTER TABLE reference.part ADD PRIMARY KEY (p_partkey);

CREATE TABLE reference.partsupp (
    ps_partkey bigint NOT NULL,
    ps_suppkey bigint NOT NULL,
    ps_availqty integer NOT NULL,
    ps_supplycost numeric(15,2) NOT NULL,
    ps_comment varchar(199) COLLATE "C" NOT NULL
);
\copy reference.partsupp FROM 'partsupp.csv' WITH (FORMAT csv, HEADER)
ALTER TABLE reference.partsupp ADD PRIMARY KEY (ps_partkey, ps_suppkey);
CREATE INDEX ON reference.partsupp (ps_suppkey);

CREATE TABLE reference.customer (
    c_custkey bigint NOT NULL,
    c_name varchar(25) COLLATE "C" NOT NULL,
    c_address varchar(40) COLLATE "C" NOT NULL,
    c_nationkey bigint NOT NULL,
    c_phone varchar(15) COLLATE "C" NOT NULL,
    c_acctbal numeric(15,2) NOT NULL,
    c_mktsegment varchar(10) COLLATE "C" NOT NULL,
    c_comment varchar(117) COLLATE "C" NOT NULL
);
\copy reference.customer FROM 'customer.csv' WITH (FORMAT csv, HEADER)
ALTER TABLE reference.customer ADD PRIMARY KEY (c_custkey);
CREATE INDEX ON reference.customer (c_nationkey);

CREATE TABLE reference.orders (
    o_orderkey bigint NOT NULL,
    o_custkey bigint NOT NULL,
    o_orderstatus varchar(1) COLLATE "C" NOT NULL,
    o_totalprice numeric(15,2) NOT NULL,
    o_orderdate date NOT NULL,
    o_orderpriority varchar(15) COLLATE "C" NOT NULL,
    o_clerk varchar(15) COLLATE "C" NOT NULL,
    o_shippriority integer NOT NULL,
    o_comment varchar(79) COLLATE "C" NOT NULL
);
\copy reference.orders FROM 'orders.csv' WITH (FORMAT csv, HEADER)
ALTER TABLE reference.orders ADD PRIMARY KEY (o_orderkey);
CREATE INDEX ON reference.orders (o_custkey);
CREATE INDEX ON reference.orders (o_orderdate);

CREATE TABLE reference.lineitem (
    l_orderkey bigint NOT NULL,
    l_partkey bigint NOT NULL,
    l_suppkey bigint NOT NULL,
    l_linenumber integer NOT NULL,
    l_quantity numeric(15,2) NOT NULL,
    l_extendedprice numeric(15,2) NOT NULL,
    l_discount numeric(15,2) NOT NULL,
    l_tax numeric(15,2) NOT NULL,
    l_returnflag varchar(1) COLLATE "C" NOT NULL,
    l_linestatus varchar(1) COLLATE "C" NOT NULL,
    l_shipdate date NOT NULL,
    l_commitdate date NOT NULL,
    l_receiptdate date NOT NULL,
    l_shipinstruct varchar(25) COLLATE "C" NOT NULL,
    l_shipmode varchar(10) COLLATE "C" NOT NULL,
    l_comment varchar(44) COLLATE "C" NOT NULL
);
\copy reference.lineitem FROM 'lineitem.csv' WITH (FORMAT csv, HEADER)
ALTER TABLE reference.lineitem ADD PRIMARY KEY (l_orderkey, l_linenumber);
CREATE INDEX ON reference.lineitem (l_partkey, l_suppkey);
CREATE INDEX ON reference.lineitem (l_suppkey);
CREATE INDEX ON reference.lineitem (l_shipdate);

CREATE TABLE mesh.customer (LIKE reference.customer);
INSERT INTO mesh.customer SELECT * FROM reference.customer;
ALTER TABLE mesh.customer ADD PRIMARY KEY (c_custkey);
CREATE INDEX ON mesh.customer (c_nationkey);
CREATE TABLE mesh.orders (LIKE reference.orders);
INSERT INTO mesh.orders SELECT * FROM reference.orders;
ALTER TABLE mesh.orders ADD PRIMARY KEY (o_orderkey);
CREATE INDEX ON mesh.orders (o_custkey);
CREATE INDEX ON mesh.orders (o_orderdate);

ANALYZE;
