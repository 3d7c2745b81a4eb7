//! Types in PostgreSQL's terms: of the contract, of Arrow, and their names.
//!
//! INVARIANT: a field's declared PostgreSQL type travels as Arrow metadata (`pg.type`, `pg.typmod`); without it the Arrow type decides.

use arrow::datatypes::{DataType as ArrowType, Field as ArrowField};

use crate::product::DataType;

/// Metadata key of an Arrow field: the PostgreSQL type's name.
pub const TYPE_KEY: &str = "pg.type";
/// Metadata key of an Arrow field: the PostgreSQL type modifier.
pub const TYPMOD_KEY: &str = "pg.typmod";

/// Metadata key of an Arrow field: the OID of the system relation that it is a column of, and its number there.
pub(in crate::catalog) const ORIGIN_KEY: &str = "pg.origin";

/// The system relation that a field is an unchanged column of, by its OID, and the column's number.
pub fn catalog_origin(field: &ArrowField) -> Option<(u32, i16)> {
    let (relation, number) = field.metadata().get(ORIGIN_KEY)?.split_once('.')?;
    Some((relation.parse().ok()?, number.parse().ok()?))
}

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
    /// xid[]
    XID_ARRAY = 1011, -1;
    /// character(n)[]
    BPCHAR_ARRAY = 1014, -1;
    /// int2vector
    INT2VECTOR = 22, -1;
    /// oidvector
    OIDVECTOR = 30, -1;
    /// pg_node_tree
    PG_NODE_TREE = 194, -1;
    /// pg_lsn
    PG_LSN = 3220, 8;
    /// inet
    INET = 869, -1;
    /// cidr
    CIDR = 650, -1;
    /// macaddr
    MACADDR = 829, 6;
    /// int4range
    INT4RANGE = 3904, -1;
    /// numrange
    NUMRANGE = 3906, -1;
    /// tsrange
    TSRANGE = 3908, -1;
    /// tstzrange
    TSTZRANGE = 3910, -1;
    /// daterange
    DATERANGE = 3912, -1;
    /// int8range
    INT8RANGE = 3926, -1;
    /// aclitem[]
    ACLITEM_ARRAY = 1034, -1;
    /// anyarray
    ANYARRAY = 2277, -1;
    /// json[]
    JSON_ARRAY = 199, -1;
    /// jsonb[]
    JSONB_ARRAY = 3807, -1;
    /// cid
    CID = 29, 4;
    /// tid
    TID = 27, 6;
    /// xid8
    XID8 = 5069, 8;
    /// pg_snapshot
    PG_SNAPSHOT = 5038, -1;
    /// regprocedure
    REGPROCEDURE = 2202, 4;
    /// regoper
    REGOPER = 2203, 4;
    /// regoperator
    REGOPERATOR = 2204, 4;
    /// regnamespace
    REGNAMESPACE = 4089, 4;
    /// regrole
    REGROLE = 4096, 4;
    /// regcollation
    REGCOLLATION = 4191, 4;
    /// regconfig
    REGCONFIG = 3734, 4;
    /// regdictionary
    REGDICTIONARY = 3769, 4;
    /// aclitem
    ACLITEM = 1033, 12;
    /// cstring
    CSTRING = 2275, -2;
    /// void
    VOID = 2278, 4;
    /// money
    MONEY = 790, 8;
    /// xml
    XML = 142, -1;
    /// bit
    BIT = 1560, -1;
    /// bit varying
    VARBIT = 1562, -1;
    /// time with time zone
    TIMETZ = 1266, 12;
}

/// Builtin types that clients meet: OID, `typname`, the name `format_type` gives, the array's OID.
const NAMED: &[(PgType, &str, &str, u32)] = &[
    (PgType::BOOL, "bool", "boolean", 1000),
    (PgType::BYTEA, "bytea", "bytea", 1001),
    (PgType::CHAR, "char", "\"char\"", 1002),
    (PgType::NAME, "name", "name", 1003),
    (PgType::INT8, "int8", "bigint", 1016),
    (PgType::INT2, "int2", "smallint", 1005),
    (PgType::INT4, "int4", "integer", 1007),
    (PgType::TEXT, "text", "text", 1009),
    (PgType::OID, "oid", "oid", 1028),
    (PgType::XID, "xid", "xid", 1011),
    (PgType::JSON, "json", "json", 199),
    (PgType::FLOAT4, "float4", "real", 1021),
    (PgType::FLOAT8, "float8", "double precision", 1022),
    (PgType::UNKNOWN, "unknown", "unknown", 0),
    (PgType::BPCHAR, "bpchar", "character", 1014),
    (PgType::VARCHAR, "varchar", "character varying", 1015),
    (PgType::DATE, "date", "date", 1182),
    (PgType::TIME, "time", "time without time zone", 1183),
    (PgType::TIMESTAMP, "timestamp", "timestamp without time zone", 1115),
    (PgType::TIMESTAMPTZ, "timestamptz", "timestamp with time zone", 1185),
    (PgType::INTERVAL, "interval", "interval", 1187),
    (PgType::NUMERIC, "numeric", "numeric", 1231),
    (PgType::REGPROC, "regproc", "regproc", 1008),
    (PgType::REGCLASS, "regclass", "regclass", 2210),
    (PgType::REGTYPE, "regtype", "regtype", 2211),
    (PgType::UUID, "uuid", "uuid", 2951),
    (PgType::JSONB, "jsonb", "jsonb", 3807),
    (PgType::RECORD, "record", "record", 2287),
    (PgType::INT2VECTOR, "int2vector", "int2vector", 1006),
    (PgType::OIDVECTOR, "oidvector", "oidvector", 1013),
    (PgType::PG_NODE_TREE, "pg_node_tree", "pg_node_tree", 0),
    (PgType::PG_LSN, "pg_lsn", "pg_lsn", 3221),
    (PgType::INET, "inet", "inet", 1041),
    (PgType::CIDR, "cidr", "cidr", 651),
    (PgType::MACADDR, "macaddr", "macaddr", 1040),
    (PgType::INT4RANGE, "int4range", "int4range", 3905),
    (PgType::NUMRANGE, "numrange", "numrange", 3907),
    (PgType::TSRANGE, "tsrange", "tsrange", 3909),
    (PgType::TSTZRANGE, "tstzrange", "tstzrange", 3911),
    (PgType::DATERANGE, "daterange", "daterange", 3913),
    (PgType::INT8RANGE, "int8range", "int8range", 3927),
    (PgType::CID, "cid", "cid", 1012),
    (PgType::TID, "tid", "tid", 1010),
    (PgType::XID8, "xid8", "xid8", 271),
    (PgType::PG_SNAPSHOT, "pg_snapshot", "pg_snapshot", 5039),
    (PgType::REGPROCEDURE, "regprocedure", "regprocedure", 2207),
    (PgType::REGOPER, "regoper", "regoper", 2208),
    (PgType::REGOPERATOR, "regoperator", "regoperator", 2209),
    (PgType::REGNAMESPACE, "regnamespace", "regnamespace", 4090),
    (PgType::REGROLE, "regrole", "regrole", 4097),
    (PgType::REGCOLLATION, "regcollation", "regcollation", 4192),
    (PgType::REGCONFIG, "regconfig", "regconfig", 3735),
    (PgType::REGDICTIONARY, "regdictionary", "regdictionary", 3770),
    (PgType::CSTRING, "cstring", "cstring", 1263),
    (PgType::VOID, "void", "void", 0),
    (PgType::MONEY, "money", "money", 791),
    (PgType::XML, "xml", "xml", 143),
    (PgType::BIT, "bit", "bit", 1561),
    (PgType::VARBIT, "varbit", "bit varying", 1563),
    (PgType::TIMETZ, "timetz", "time with time zone", 1270),
    (PgType::ACLITEM, "aclitem", "aclitem", 1034),
    (PgType::ANYARRAY, "anyarray", "anyarray", 0),
];

impl PgType {
    /// Whether the binary form of its values is their text, a byte of ASCII before it or not.
    pub fn is_text(self) -> bool {
        let texts = [
            PgType::TEXT,
            PgType::VARCHAR,
            PgType::BPCHAR,
            PgType::NAME,
            PgType::CHAR,
            PgType::UNKNOWN,
            PgType::JSON,
            PgType::JSONB,
            PgType::XML,
        ];
        texts.iter().any(|text| text.oid == self.oid)
    }

    /// The type of a contract's field.
    pub fn of_contract(data_type: &DataType) -> PgType {
        match data_type {
            DataType::String => PgType::TEXT,
            DataType::Varchar(length) => PgType::VARCHAR.with_typmod(i32::try_from(*length).map_or(-1, |length| length.saturating_add(4))),
            DataType::Boolean => PgType::BOOL,
            DataType::Int16 => PgType::INT2,
            DataType::Int32 => PgType::INT4,
            DataType::Int64 => PgType::INT8,
            DataType::Float32 => PgType::FLOAT4,
            DataType::Float64 => PgType::FLOAT8,
            DataType::Decimal { precision, scale } => PgType::NUMERIC.with_typmod(numeric_typmod((*precision).into(), (*scale).into())),
            DataType::Date => PgType::DATE,
            DataType::Time => PgType::TIME,
            DataType::Timestamp => PgType::TIMESTAMP,
            DataType::TimestampTz => PgType::TIMESTAMPTZ,
            DataType::Interval => PgType::INTERVAL,
            DataType::Uuid => PgType::UUID,
            DataType::Json => PgType::JSON,
            DataType::Bytes => PgType::BYTEA,
            DataType::List(element) => PgType::of_contract(element).array(),
        }
    }

    /// The type of an Arrow field: what its metadata declares, else what its Arrow type means.
    pub fn of_arrow(field: &ArrowField) -> PgType {
        let typmod = field.metadata().get(TYPMOD_KEY).and_then(|text| text.parse().ok());
        let named = field.metadata().get(TYPE_KEY).and_then(|name| PgType::named(name));
        let base = named.unwrap_or_else(|| PgType::of_arrow_type(field.data_type()));
        typmod.map_or(base, |typmod| base.with_typmod(typmod))
    }

    /// What an Arrow type means without metadata.
    pub fn of_arrow_type(data_type: &ArrowType) -> PgType {
        match data_type {
            ArrowType::Boolean => PgType::BOOL,
            ArrowType::Int8 | ArrowType::UInt8 | ArrowType::Int16 => PgType::INT2,
            ArrowType::UInt16 | ArrowType::Int32 => PgType::INT4,
            ArrowType::Int64 | ArrowType::UInt64 => PgType::INT8,
            ArrowType::UInt32 => PgType::OID,
            ArrowType::Float16 | ArrowType::Float32 => PgType::FLOAT4,
            ArrowType::Float64 => PgType::FLOAT8,
            ArrowType::Decimal32(precision, scale)
            | ArrowType::Decimal64(precision, scale)
            | ArrowType::Decimal128(precision, scale)
            | ArrowType::Decimal256(precision, scale) => PgType::NUMERIC.with_typmod(numeric_typmod((*precision).into(), (*scale).into())),
            ArrowType::Date32 | ArrowType::Date64 => PgType::DATE,
            ArrowType::Time32(_) | ArrowType::Time64(_) => PgType::TIME,
            ArrowType::Timestamp(_, None) => PgType::TIMESTAMP,
            ArrowType::Timestamp(_, Some(_)) => PgType::TIMESTAMPTZ,
            ArrowType::Interval(_) | ArrowType::Duration(_) => PgType::INTERVAL,
            ArrowType::Binary | ArrowType::LargeBinary | ArrowType::BinaryView | ArrowType::FixedSizeBinary(_) => PgType::BYTEA,
            ArrowType::List(field)
            | ArrowType::LargeList(field)
            | ArrowType::ListView(field)
            | ArrowType::LargeListView(field)
            | ArrowType::FixedSizeList(field, _) => PgType::of_arrow(field).array(),
            ArrowType::Dictionary(_, value) => PgType::of_arrow_type(value),
            ArrowType::RunEndEncoded(_, value) => PgType::of_arrow(value),
            ArrowType::Struct(_) | ArrowType::Map(_, _) | ArrowType::Union(_, _) => PgType::RECORD,
            ArrowType::Null | ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View => PgType::TEXT,
        }
    }

    /// The builtin type with this `typname`, or with the name that `format_type` gives; `x[]` and `_x` name arrays.
    pub fn named(name: &str) -> Option<PgType> {
        if let Some((found, ..)) = NAMED.iter().find(|(_, typname, shown, _)| *typname == name || *shown == name) {
            return Some(*found);
        }
        match name {
            "int" | "serial" => return Some(PgType::INT4),
            "decimal" => return Some(PgType::NUMERIC),
            "float" => return Some(PgType::FLOAT8),
            _ => {}
        }
        let element = name.strip_suffix("[]").or_else(|| name.strip_prefix('_'))?;
        let element = PgType::named(element)?;
        (element.array() != element).then(|| element.array())
    }

    /// The builtin type with this OID.
    pub fn of_oid(oid: u32) -> Option<PgType> {
        NAMED.iter().find_map(|(base, _, _, array)| {
            if base.oid == oid { Some(*base) } else { (*array == oid && oid != 0).then_some(PgType { oid, len: -1, typmod: -1 }) }
        })
    }

    /// `pg_type.typname` of a builtin type.
    pub fn typname(self) -> Option<String> {
        NAMED.iter().find_map(|(base, typname, _, array)| {
            if base.oid == self.oid { Some((*typname).to_owned()) } else { (*array == self.oid).then(|| format!("_{typname}")) }
        })
    }

    /// The array type over this type; an array is its own array type, as in PostgreSQL.
    #[must_use]
    pub fn array(self) -> PgType {
        match NAMED.iter().find(|(base, ..)| base.oid == self.oid) {
            Some((_, _, _, array)) if *array != 0 => PgType { oid: *array, len: -1, typmod: self.typmod },
            _ => self,
        }
    }

    /// The element type of an array type.
    pub fn element(self) -> Option<PgType> {
        let named = NAMED.iter().find(|(_, _, _, array)| *array != 0 && *array == self.oid);
        named.map(|(base, ..)| base.with_typmod(self.typmod))
    }

    /// The same type with a modifier.
    #[must_use]
    pub fn with_typmod(self, typmod: i32) -> PgType {
        PgType { typmod, ..self }
    }

    /// The type's name as `format_type` words it, with its modifier.
    pub fn format(self) -> Option<String> {
        if let Some((_, _, shown, _)) = NAMED.iter().find(|(base, ..)| base.oid == self.oid) {
            return Some(with_modifier(self, shown));
        }
        let (base, _, shown, _) = NAMED.iter().find(|(_, _, _, array)| *array != 0 && *array == self.oid)?;
        Some(format!("{}[]", with_modifier(base.with_typmod(self.typmod), shown)))
    }
}

/// PostgreSQL packs precision and scale above a header of four.
pub(crate) fn numeric_typmod(precision: u16, scale: i16) -> i32 {
    ((i32::from(precision) << 16) | (i32::from(scale) & 0x7ff)) + 4
}

fn with_modifier(pg_type: PgType, shown: &str) -> String {
    let modifier = pg_type.typmod;
    if modifier < 0 {
        // The name without a modifier: `character(1)` would be the SQL reading of a bare `character`.
        return if pg_type.oid == PgType::BPCHAR.oid && modifier == -1 { "bpchar".to_owned() } else { shown.to_owned() };
    }
    match pg_type.oid {
        1042 | 1043 => format!("{shown}({})", modifier - 4),
        1700 => format!("{shown}({},{})", ((modifier - 4) >> 16) & 0xffff, ((modifier - 4) & 0x7ff ^ 1024) - 1024),
        1083 | 1114 | 1184 => match shown.split_once(' ') {
            Some((word, rest)) => format!("{word}({modifier}) {rest}"),
            None => shown.to_owned(),
        },
        _ => shown.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_shows_its_precision_and_scale() {
        let pg_type = PgType::of_contract(&DataType::Decimal { precision: 12, scale: 2 });
        assert_eq!(pg_type.typmod, 786_438);
        assert_eq!(pg_type.format().as_deref(), Some("numeric(12,2)"));
    }

    #[test]
    fn a_varchar_shows_its_length() {
        assert_eq!(PgType::of_contract(&DataType::Varchar(120)).format().as_deref(), Some("character varying(120)"));
    }

    #[test]
    fn an_element_is_found_from_its_array() {
        assert_eq!(PgType::INT4.array().element(), Some(PgType::INT4));
        assert_eq!(PgType::INT4.element(), None);
    }

    #[test]
    fn a_list_is_the_array_of_its_element() {
        let pg_type = PgType::of_contract(&DataType::List(Box::new(DataType::Int32)));
        assert_eq!((pg_type.oid, pg_type.format().as_deref()), (1007, Some("integer[]")));
    }

    #[test]
    fn metadata_overrides_the_arrow_type() {
        let field = ArrowField::new("id", ArrowType::Utf8View, true).with_metadata([(TYPE_KEY.to_owned(), "uuid".to_owned())].into());
        assert_eq!(PgType::of_arrow(&field), PgType::UUID);
    }

    #[test]
    fn names_are_found_in_both_spellings() {
        for name in ["bigint", "int8"] {
            assert_eq!(PgType::named(name), Some(PgType::INT8));
        }
        assert_eq!(PgType::named("text[]").map(|found| found.oid), Some(1009));
        assert_eq!(PgType::named("no_such_type"), None);
    }
}
