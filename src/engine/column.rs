//! Result columns in PostgreSQL's terms.

/// A PostgreSQL type by its OID, as a row description names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PgType {
    /// `pg_type.oid`
    pub oid: u32,
    /// `pg_type.typlen`: bytes, or −1 for variable length.
    pub len: i16,
    /// Type modifier, or −1.
    pub typmod: i32,
}

macro_rules! types {
    ($($(#[$doc:meta])* $name:ident = $oid:literal, $len:literal;)*) => {
        impl PgType {
            $($(#[$doc])* pub const $name: PgType = PgType { oid: $oid, len: $len, typmod: -1 };)*
        }
    };
}

types! {
    /// boolean
    BOOL = 16, 1;
    /// bytea
    BYTEA = 17, -1;
    /// "char"
    CHAR = 18, 1;
    /// name
    NAME = 19, 64;
    /// bigint
    INT8 = 20, 8;
    /// smallint
    INT2 = 21, 2;
    /// integer
    INT4 = 23, 4;
    /// regproc
    REGPROC = 24, 4;
    /// text
    TEXT = 25, -1;
    /// oid
    OID = 26, 4;
    /// json
    JSON = 114, -1;
    /// xid
    XID = 28, 4;
    /// real
    FLOAT4 = 700, 4;
    /// double precision
    FLOAT8 = 701, 8;
    /// unknown
    UNKNOWN = 705, -2;
    /// character(n)
    BPCHAR = 1042, -1;
    /// character varying
    VARCHAR = 1043, -1;
    /// date
    DATE = 1082, 4;
    /// time without time zone
    TIME = 1083, 8;
    /// timestamp without time zone
    TIMESTAMP = 1114, 8;
    /// timestamp with time zone
    TIMESTAMPTZ = 1184, 8;
    /// interval
    INTERVAL = 1186, 16;
    /// numeric
    NUMERIC = 1700, -1;
    /// regclass
    REGCLASS = 2205, 4;
    /// regtype
    REGTYPE = 2206, 4;
    /// uuid
    UUID = 2950, 16;
    /// jsonb
    JSONB = 3802, -1;
    /// record
    RECORD = 2249, -1;
    /// boolean[]
    BOOL_ARRAY = 1000, -1;
    /// bytea[]
    BYTEA_ARRAY = 1001, -1;
    /// "char"[]
    CHAR_ARRAY = 1002, -1;
    /// name[]
    NAME_ARRAY = 1003, -1;
    /// smallint[]
    INT2_ARRAY = 1005, -1;
    /// integer[]
    INT4_ARRAY = 1007, -1;
    /// text[]
    TEXT_ARRAY = 1009, -1;
    /// bigint[]
    INT8_ARRAY = 1016, -1;
    /// real[]
    FLOAT4_ARRAY = 1021, -1;
    /// double precision[]
    FLOAT8_ARRAY = 1022, -1;
    /// oid[]
    OID_ARRAY = 1028, -1;
    /// varchar[]
    VARCHAR_ARRAY = 1015, -1;
    /// timestamp[]
    TIMESTAMP_ARRAY = 1115, -1;
    /// date[]
    DATE_ARRAY = 1182, -1;
    /// time[]
    TIME_ARRAY = 1183, -1;
    /// timestamptz[]
    TIMESTAMPTZ_ARRAY = 1185, -1;
    /// interval[]
    INTERVAL_ARRAY = 1187, -1;
    /// numeric[]
    NUMERIC_ARRAY = 1231, -1;
    /// uuid[]
    UUID_ARRAY = 2951, -1;
    /// json[]
    JSON_ARRAY = 199, -1;
    /// jsonb[]
    JSONB_ARRAY = 3807, -1;
}

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its label.
    pub name: String,
    /// Its type.
    pub pg_type: PgType,
    /// OID of the table it comes from unchanged, or 0.
    pub table_oid: u32,
    /// Its number in that table from 1, or 0.
    pub number: i16,
}
