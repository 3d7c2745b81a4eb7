//! The time zones that a session may be in: `pg_timezone_names` and `pg_timezone_abbrevs`.

use std::collections::BTreeMap;

use chrono::{DateTime, Offset as _, TimeZone as _};
use chrono_tz::{OffsetComponents as _, OffsetName as _};

use crate::catalog::facts::SessionFacts;
use crate::catalog::rows::Value;

use super::Row;

pub(super) fn rows(relation: &str, facts: &SessionFacts) -> Option<Vec<Row>> {
    match relation {
        "pg_timezone_names" => Some(zones(facts).map(Zone::named).collect()),
        "pg_timezone_abbrevs" => {
            let abbreviated = zones(facts).filter(|zone| zone.abbreviation.chars().all(|letter| letter.is_ascii_alphabetic()));
            let first: BTreeMap<String, Zone> = abbreviated.map(|zone| (zone.abbreviation.clone(), zone)).collect();
            Some(first.into_values().map(Zone::abbreviated).collect())
        }
        _ => None,
    }
}

/// A zone at the moment of the statement.
struct Zone {
    name: &'static str,
    abbreviation: String,
    offset_seconds: i64,
    summer: bool,
}

fn zones(facts: &SessionFacts) -> impl Iterator<Item = Zone> {
    let now = DateTime::from_timestamp_micros(facts.statement_started_micros).unwrap_or_default().naive_utc();
    chrono_tz::TZ_VARIANTS.iter().map(move |zone| {
        let offset = zone.offset_from_utc_datetime(&now);
        let seconds = offset.fix().local_minus_utc();
        Zone {
            name: zone.name(),
            abbreviation: offset.abbreviation().map_or_else(|| offset.fix().to_string(), str::to_owned),
            offset_seconds: i64::from(seconds),
            summer: !offset.dst_offset().is_zero(),
        }
    })
}

impl Zone {
    fn named(self) -> Row {
        let name = self.name;
        let mut row = self.abbreviated();
        row.push(("name", name.into()));
        row
    }

    fn abbreviated(self) -> Row {
        vec![("abbrev", self.abbreviation.into()), ("utc_offset", Value::Seconds(self.offset_seconds)), ("is_dst", self.summer.into())]
    }
}
