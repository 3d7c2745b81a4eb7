//! Types whose values are carried as texts, each in the one form that PostgreSQL writes it in: network addresses, times with a zone, ranges.
//!
//! Such values are read, shown, sent in binary and compared for equality. INVARIANT: nothing else computes with them, for the order of
//! the texts is not that of the values.

mod cast;
mod clock;
mod network;
mod range;

use crate::engine::{PgType, TimeZone};
use crate::error::{ClientMessage, SqlState};

pub(super) use cast::{allowed, beside, known, ordered, written};
pub use range::{RangeParts, range_parts};

/// A type whose values are carried as texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carried {
    /// inet
    Inet,
    /// cidr
    Cidr,
    /// macaddr
    MacAddr,
    /// time with time zone
    TimeTz,
    /// A range of values of that type.
    Range(PgType),
}

/// The types by their names.
const TYPES: [(PgType, &str, Carried); 10] = [
    (PgType::INET, "inet", Carried::Inet),
    (PgType::CIDR, "cidr", Carried::Cidr),
    (PgType::MACADDR, "macaddr", Carried::MacAddr),
    (PgType::TIMETZ, "timetz", Carried::TimeTz),
    (PgType::INT4RANGE, "int4range", Carried::Range(PgType::INT4)),
    (PgType::INT8RANGE, "int8range", Carried::Range(PgType::INT8)),
    (PgType::NUMRANGE, "numrange", Carried::Range(PgType::NUMERIC)),
    (PgType::DATERANGE, "daterange", Carried::Range(PgType::DATE)),
    (PgType::TSRANGE, "tsrange", Carried::Range(PgType::TIMESTAMP)),
    (PgType::TSTZRANGE, "tstzrange", Carried::Range(PgType::TIMESTAMPTZ)),
];

impl Carried {
    /// What carries a type's values, if they are carried.
    pub fn of(pg_type: PgType) -> Option<Self> {
        TYPES.iter().find(|(known, ..)| known.oid == pg_type.oid).map(|(.., carried)| *carried)
    }

    /// The same by the type's name, with that name.
    pub(super) fn named(name: &str) -> Option<(&'static str, Self)> {
        TYPES.iter().find(|(_, known, _)| *known == name).map(|(_, name, carried)| (*name, *carried))
    }

    /// The names of all.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        TYPES.iter().map(|(_, name, _)| *name)
    }

    /// A text in the form that the value is carried in. What a text does not say of zones, the session's tells.
    pub(in crate::engine) fn read(self, text: &str, time_zone: &TimeZone) -> Result<String, ClientMessage> {
        match self {
            Self::Inet => network::address(text, false),
            Self::Cidr => network::address(text, true),
            Self::MacAddr => network::hardware(text),
            Self::TimeTz => clock::read(text, time_zone),
            Self::Range(element) => range::read(text, element, time_zone),
        }
    }

    /// The value that a client has sent in binary.
    pub(in crate::engine) fn of_binary(self, value: &[u8], time_zone: &TimeZone) -> Result<String, ClientMessage> {
        let read = match self {
            Self::Inet => network::of_binary(value, false),
            Self::Cidr => network::of_binary(value, true),
            Self::MacAddr => network::hardware_of_binary(value),
            Self::TimeTz => clock::of_binary(value),
            Self::Range(element) => return range::of_binary(value, element, time_zone),
        };
        read.ok_or_else(incorrect)
    }

    /// The binary form of a value that is not made of others; `None` of ranges.
    pub fn to_binary(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Inet => network::to_binary(text, false),
            Self::Cidr => network::to_binary(text, true),
            Self::MacAddr => network::hardware_bytes(text).map(|bytes| bytes.to_vec()),
            Self::TimeTz => clock::to_binary(text),
            Self::Range(_) => None,
        }
    }
}

fn incorrect() -> ClientMessage {
    ClientMessage::new(SqlState::INVALID_BINARY_REPRESENTATION, "incorrect binary data format in bind parameter")
}

/// A text that is no value of the type.
fn invalid(name: &str, text: &str) -> ClientMessage {
    ClientMessage::new(SqlState::INVALID_TEXT_REPRESENTATION, format!("invalid input syntax for type {name}: \"{text}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(carried: Carried, text: &str) -> Result<String, ClientMessage> {
        carried.read(text, &TimeZone::default())
    }

    /// As PostgreSQL 15 answers.
    #[test]
    fn texts_become_the_form_that_postgres_writes() {
        let int4 = Carried::Range(PgType::INT4);
        for (carried, text, written) in [
            (Carried::Inet, "::5", "::5"),
            (Carried::Inet, "::102:304", "::1.2.3.4"),
            (Carried::Inet, "::ffff:0:0", "::ffff:0.0.0.0"),
            (Carried::Inet, "2001:DB8::/32", "2001:db8::/32"),
            (Carried::Inet, "1.2.3.4/32", "1.2.3.4"),
            (Carried::Inet, "1.2.3.4/24", "1.2.3.4/24"),
            (Carried::Cidr, "10", "10.0.0.0/8"),
            (Carried::Cidr, "192.168", "192.168.0.0/24"),
            (Carried::Cidr, "128", "128.0.0.0/16"),
            (Carried::Cidr, "224", "224.0.0.0/4"),
            (Carried::Cidr, "10.1.2.3", "10.1.2.3/32"),
            (Carried::Cidr, "10.1/16", "10.1.0.0/16"),
            (Carried::Cidr, "::/0", "::/0"),
            (Carried::MacAddr, "08-00-2B-1-2-3", "08:00:2b:01:02:03"),
            (Carried::MacAddr, "0800.2b01.0203", "08:00:2b:01:02:03"),
            (Carried::TimeTz, "12:00:00.5-03:30", "12:00:00.5-03:30"),
            (Carried::TimeTz, "12:00 UTC", "12:00:00+00"),
            (Carried::TimeTz, "12:00", "12:00:00+00"),
            (Carried::TimeTz, "24:00+02:30:15", "24:00:00+02:30:15"),
            (int4, "[1,5]", "[1,6)"),
            (int4, " ( 1 , 5 ) ", "[2,5)"),
            (int4, "(,5]", "(,6)"),
            (int4, "(1,2)", "empty"),
            (int4, "EMPTY", "empty"),
            (Carried::Range(PgType::NUMERIC), "[1.5,2.50]", "[1.5,2.50]"),
            (Carried::Range(PgType::DATE), "[2026-01-01,2026-02-01]", "[2026-01-01,2026-02-02)"),
            (Carried::Range(PgType::TIMESTAMP), "[2026-01-01 10:00,)", "[\"2026-01-01 10:00:00\",)"),
            (Carried::Range(PgType::TIMESTAMPTZ), "[2026-01-01 10:00+02,)", "[\"2026-01-01 08:00:00+00\",)"),
        ] {
            assert_eq!(read(carried, text).as_deref(), Ok(written), "{text}");
            assert_eq!(read(carried, written).as_deref(), Ok(written), "{written}");
        }
    }

    #[test]
    fn what_is_no_value_is_refused_as_postgres_refuses_it() {
        let int4 = Carried::Range(PgType::INT4);
        for (carried, text, sqlstate, message) in [
            (Carried::Inet, "10.1", "22P02", "invalid input syntax for type inet: \"10.1\""),
            (Carried::Inet, "1.2.3.4/33", "22P02", "invalid input syntax for type inet: \"1.2.3.4/33\""),
            (Carried::Inet, "1.2.3.256", "22P02", "invalid input syntax for type inet: \"1.2.3.256\""),
            (Carried::Cidr, "10.1.2.3/8", "22P02", "invalid cidr value: \"10.1.2.3/8\""),
            (Carried::Cidr, "x", "22P02", "invalid input syntax for type cidr: \"x\""),
            (Carried::MacAddr, "08:00:2b", "22P02", "invalid input syntax for type macaddr: \"08:00:2b\""),
            (Carried::TimeTz, "x", "22007", "invalid input syntax for type time with time zone: \"x\""),
            (Carried::TimeTz, "12:00 Europe/Berlin", "22007", "invalid input syntax for type time with time zone: \"12:00 Europe/Berlin\""),
            (Carried::TimeTz, "25:00+02", "22008", "date/time field value out of range: \"25:00+02\""),
            (int4, "[5,1]", "22000", "range lower bound must be less than or equal to range upper bound"),
            (int4, "[1,5", "22P02", "malformed range literal: \"[1,5\""),
            (int4, "[x,5]", "22P02", "invalid input syntax for type integer: \"x\""),
            (int4, "[2147483647,2147483647]", "22003", "integer out of range"),
        ] {
            let fault = read(carried, text).unwrap_err();
            assert_eq!((fault.sqlstate.as_str(), fault.message.as_str()), (sqlstate, message), "{text}");
        }
    }

    #[test]
    fn binary_forms_are_read_as_they_are_written() {
        for (carried, text) in [
            (Carried::Inet, "1.2.3.4/24"),
            (Carried::Cidr, "2001:db8::/32"),
            (Carried::MacAddr, "08:00:2b:01:02:03"),
            (Carried::TimeTz, "12:00:00.5-03:30"),
        ] {
            let bytes = carried.to_binary(text).unwrap();
            assert_eq!(carried.of_binary(&bytes, &TimeZone::default()).as_deref(), Ok(text));
            assert!(carried.of_binary(&bytes[1..], &TimeZone::default()).is_err());
        }
        assert_eq!(Carried::Inet.to_binary("127.0.0.1").unwrap(), [2, 32, 0, 4, 127, 0, 0, 1]);
        assert_eq!(Carried::Cidr.to_binary("10.0.0.0/8").unwrap(), [2, 8, 1, 4, 10, 0, 0, 0]);
        assert_eq!(Carried::TimeTz.to_binary("00:00:00.000001+01").unwrap(), [0, 0, 0, 0, 0, 0, 0, 1, 255, 255, 241, 240]);
        let range = [2, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 6];
        assert_eq!(Carried::Range(PgType::INT4).of_binary(&range, &TimeZone::default()).as_deref(), Ok("[1,6)"));
        assert!(Carried::Range(PgType::INT4).of_binary(&range[..9], &TimeZone::default()).is_err());
    }
}
