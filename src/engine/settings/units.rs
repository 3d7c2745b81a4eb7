//! Values of settings as SHOW writes them, and what `pg_settings` says of their kinds, units and bounds.
//!
//! A value is kept as a bare number of its setting's unit; only what is shown has the unit.

use super::definitions::{Definition, Shape};

/// What a setting's value is, beside its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Measure {
    /// `bool`, `integer`, `real`, `enum`, `string`.
    pub(super) kind: &'static str,
    /// What its number counts; empty if nothing.
    pub(super) unit: &'static str,
    /// The least and the most that it may be; empty if it has no bounds.
    pub(super) bounds: (&'static str, &'static str),
}

impl Definition {
    /// Its kind and unit.
    pub(super) fn kind_and_unit(&self) -> (&'static str, Option<&'static str>) {
        if let Some(Measure { kind, unit, .. }) = self.measure {
            return (kind, (!unit.is_empty()).then_some(unit));
        }
        match self.shape {
            Shape::Bool => ("bool", None),
            Shape::Int(..) => ("integer", None),
            Shape::Millis => ("integer", Some("ms")),
            Shape::Size(1, ..) => ("integer", Some("B")),
            Shape::Size(1024, ..) => ("integer", Some("kB")),
            Shape::Size(..) => ("integer", Some("8kB")),
            Shape::Float => ("real", None),
            Shape::Enum(_) => ("enum", None),
            _ => ("string", None),
        }
    }

    /// The least and the most that it may be.
    pub(super) fn bounds(&self) -> Option<(String, String)> {
        if let Some(Measure { bounds: (least, most), .. }) = self.measure {
            return (!least.is_empty()).then(|| (least.to_owned(), most.to_owned()));
        }
        match self.shape {
            Shape::Int(least, most) | Shape::Size(_, least, most) => Some((least.to_string(), most.to_string())),
            Shape::Millis => Some(("0".to_owned(), i32::MAX.to_string())),
            _ => None,
        }
    }

    /// A value as SHOW writes it.
    pub(super) fn shown(&self, value: &str) -> String {
        if let Some(bits) = self.permissions(value) {
            return bits;
        }
        match self.kind_and_unit() {
            ("integer" | "real", Some(unit)) => with_unit(value, unit),
            _ => value.to_owned(),
        }
    }

    /// A value as `pg_settings` has it.
    pub(super) fn bare(&self, value: &str) -> String {
        self.permissions(value).unwrap_or_else(|| value.to_owned())
    }

    /// Permissions of files are octal.
    fn permissions(&self, value: &str) -> Option<String> {
        let octal = matches!(self.name, "data_directory_mode" | "log_file_mode" | "unix_socket_permissions");
        value.parse::<u32>().ok().filter(|_| octal).map(|bits| format!("{bits:04o}"))
    }
}

/// Units of time in microseconds, and of memory in bytes, the largest first.
pub(super) const TIMES: [(&str, i64); 6] =
    [("d", 86_400_000_000), ("h", 3_600_000_000), ("min", 60_000_000), ("s", 1_000_000), ("ms", 1_000), ("us", 1)];
pub(super) const SIZES: [(&str, i64); 5] = [("TB", 1 << 40), ("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10), ("B", 1)];

/// The number with the largest unit that divides it. What is 0 or less means something else than a length, and has none.
fn with_unit(value: &str, unit: &str) -> String {
    let (units, one) = match unit {
        "8kB" => (&SIZES[..], 8 << 10),
        unit => match [&TIMES[..], &SIZES[..]].into_iter().find_map(|units| Some((units, size_of_unit(units, unit)?))) {
            Some(found) => found,
            None => return value.to_owned(),
        },
    };
    let Some(count) = in_least(value, one).filter(|count| *count > 0) else { return value.to_owned() };
    let largest = units.iter().find(|(_, size)| count % size == 0);
    largest.map_or_else(|| value.to_owned(), |(name, size)| format!("{}{name}", count / size))
}

pub(super) fn size_of_unit(units: &[(&str, i64)], unit: &str) -> Option<i64> {
    units.iter().find(|(name, _)| *name == unit).map(|(_, size)| *size)
}

/// How many of the least unit a number of units of that size is.
fn in_least(value: &str, size: i64) -> Option<i64> {
    match value.split_once('.') {
        None => value.parse::<i64>().ok()?.checked_mul(size),
        Some(_) => {
            let count = value.parse::<f64>().ok()? * size as f64;
            format!("{:.0}", count.round()).parse().ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::definitions::definition;
    use super::*;

    #[test]
    fn a_number_is_shown_with_the_largest_unit_that_divides_it() {
        for (value, unit, shown) in [
            ("1000", "ms", "1s"),
            ("200", "ms", "200ms"),
            ("0", "ms", "0"),
            ("-1", "ms", "-1"),
            ("2", "ms", "2ms"),
            ("0.5", "ms", "500us"),
            ("1440", "min", "1d"),
            ("60", "s", "1min"),
            ("2048", "kB", "2MB"),
            ("100", "kB", "100kB"),
            ("16384", "8kB", "128MB"),
            ("1024", "MB", "1GB"),
            ("1000", "B", "1000B"),
        ] {
            assert_eq!(with_unit(value, unit), shown, "{value} {unit}");
        }
    }

    #[test]
    fn permissions_are_octal() {
        let mode = definition("log_file_mode").unwrap();
        assert_eq!((mode.default, mode.shown("384"), mode.bare("384")), ("384", "0600".to_owned(), "0600".to_owned()));
    }
}
