//! What a session's settings come to: read once, for all statements until one of them changes.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::client_encoding::ClientEncoding;
use super::semantics::Facts;
use super::settings::Settings;
use super::styles::{ByteaOutput, DateFormat, DateStyle, IntervalStyle};
use super::time_zone::{self, TimeZone};

/// The settings that statements ask for, as values.
#[derive(Debug)]
pub struct InForce {
    /// The deadline of a statement, if one is set.
    pub statement_timeout: Option<Duration>,
    /// How long a lock is waited for, if that is bounded.
    pub lock_timeout: Option<Duration>,
    /// After how long without a statement the session ends.
    pub idle_session_timeout: Option<Duration>,
    /// The same within a transaction.
    pub idle_in_transaction_timeout: Option<Duration>,
    /// The time zone as an IANA name or an offset that counts to the east.
    pub time_zone_name: String,
    /// The same, read.
    pub time_zone: TimeZone,
    /// `DateStyle`.
    pub date_style: DateStyle,
    /// `IntervalStyle`.
    pub interval_style: IntervalStyle,
    /// `bytea_output`.
    pub bytea_output: ByteaOutput,
    /// `extra_float_digits`.
    pub extra_float_digits: i32,
    /// `client_encoding`.
    pub client_encoding: ClientEncoding,
    /// `meshgate.purpose`, if the caller names one.
    pub purpose: Option<String>,
    /// `application_name`.
    pub application_name: String,
    /// `search_path`, as it is shown.
    pub search_path: String,
    /// Whether notices about masks and row limits are sent.
    pub notices: bool,
}

impl InForce {
    /// What these come to.
    pub(super) fn of(settings: &Settings) -> Self {
        let time_zone_name = time_zone::meaning(settings.value("timezone"));
        Self {
            statement_timeout: settings.duration("statement_timeout"),
            lock_timeout: settings.duration("lock_timeout"),
            idle_session_timeout: settings.duration("idle_session_timeout"),
            idle_in_transaction_timeout: settings.duration("idle_in_transaction_session_timeout"),
            time_zone: TimeZone::parse(&time_zone_name).unwrap_or_default(),
            time_zone_name,
            date_style: DateStyle::parse(settings.value("datestyle"), DateStyle::default()).unwrap_or_default(),
            interval_style: IntervalStyle::parse(settings.value("intervalstyle")).unwrap_or_default(),
            bytea_output: ByteaOutput::parse(settings.value("bytea_output")).unwrap_or_default(),
            extra_float_digits: settings.value("extra_float_digits").parse().unwrap_or(1),
            client_encoding: ClientEncoding::named(settings.value("client_encoding"))
                .ok()
                .flatten()
                .map_or_else(ClientEncoding::default, |(encoding, _)| encoding),
            purpose: Some(settings.value("meshgate.purpose")).filter(|purpose| !purpose.is_empty()).map(str::to_owned),
            application_name: settings.value("application_name").to_owned(),
            search_path: settings.value("search_path").to_owned(),
            notices: settings.value("meshgate.notices") == "on",
        }
    }

    /// What expressions may know of a statement that began then.
    pub(super) fn facts(&self, now: DateTime<Utc>) -> Facts {
        Facts {
            now,
            time_zone: self.time_zone,
            date_order: self.date_style.order,
            styled: self.styled(),
            // Whatever is more than none means the same, and drivers ask for 2 or 3.
            float_digits: self.extra_float_digits.min(1),
            lenient: false,
        }
    }

    /// Dates, intervals and bytes are not written by default.
    pub(super) fn styled(&self) -> (bool, bool, bool) {
        (
            self.date_style.format != DateFormat::default(),
            self.interval_style != IntervalStyle::default(),
            self.bytea_output != ByteaOutput::default(),
        )
    }
}
