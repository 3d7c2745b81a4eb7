//! The session's settings: PostgreSQL's names, canonical values, transaction semantics.
//!
//! INVARIANT: no setting changes who the principal is or what a policy decides; `meshgate.purpose` is a claim and is recorded as one.

mod definitions;
mod numbers;
mod room;
mod units;

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::catalog::Setting;
use crate::error::{ClientMessage, SqlState};

pub use definitions::SERVER_VERSION;
use definitions::{DEFINITIONS, Definition, MESSAGES, Shape, definition, shown_name};

use super::client_encoding::ClientEncoding;
use super::in_force::InForce;
use super::styles::DateStyle;
use super::time_zone;

/// Values and custom settings.
type Saved = (Arc<BTreeMap<&'static str, String>>, Arc<BTreeMap<String, String>>);

/// What ROLLBACK TO goes back to.
#[derive(Debug, Clone)]
struct Savepoint {
    saved: Saved,
    local: BTreeMap<&'static str, String>,
    /// The bytes of what is kept for it and those before it.
    bytes: usize,
}

/// The settings of one session. Every statement runs in a transaction, so saving them is cheap: maps are copied when they change.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What RESET goes back to: the defaults and what the client asked for at start-up.
    base: Arc<BTreeMap<&'static str, String>>,
    values: Arc<BTreeMap<&'static str, String>>,
    /// Settings of a class that we do not know (`myapp.user`): kept as PostgreSQL keeps them.
    custom: Arc<BTreeMap<String, String>>,
    /// Values until the end of the transaction.
    local: BTreeMap<&'static str, String>,
    /// What ROLLBACK goes back to.
    saved: Option<Saved>,
    /// What ROLLBACK TO goes back to, for each savepoint.
    savepoints: Vec<Savepoint>,
    reported: BTreeMap<&'static str, String>,
    /// The values of which all changes have been reported. While it is held nobody changes it in place.
    told: Option<Arc<BTreeMap<&'static str, String>>>,
    /// What they come to; found anew when one has changed.
    in_force: OnceLock<Arc<InForce>>,
}

impl Settings {
    /// The settings of a session that starts: `facts` fill the fixed ones, `requested` comes from the client.
    pub fn new(facts: &[(&'static str, String)], requested: &[(String, String)]) -> Result<Self, ClientMessage> {
        let mut base: BTreeMap<&'static str, String> =
            DEFINITIONS.iter().map(|definition| (definition.name, definition.default.to_owned())).collect();
        base.extend(facts.iter().map(|(name, value)| (*name, value.clone())));
        let base = Arc::new(base);
        let values = Arc::clone(&base);
        let mut settings = Self {
            values,
            base,
            custom: Arc::default(),
            local: BTreeMap::new(),
            saved: None,
            savepoints: Vec::new(),
            reported: BTreeMap::new(),
            told: None,
            in_force: OnceLock::new(),
        };
        for (name, value) in requested {
            settings.set(&name.to_ascii_lowercase(), Some(value), false)?;
        }
        settings.follow_defaults();
        settings.base.clone_from(&settings.values);
        Ok(settings)
    }

    /// SET. `None` is DEFAULT.
    pub fn set(&mut self, name: &str, value: Option<&str>, local: bool) -> Result<(), ClientMessage> {
        if name.contains('.') && !name.starts_with("meshgate.") {
            let value = value.unwrap_or_default();
            room::check_custom(&self.custom, name, value)?;
            // What was set once stays known, as empty.
            Arc::make_mut(&mut self.custom).insert(name.to_owned(), value.to_owned());
            return Ok(());
        }
        let definition = definition(name)?;
        room::check_value(value.unwrap_or_default())?;
        // One may become whom one is: what pools and drivers send when they hand a connection on.
        let own = matches!(name, "role" | "session_authorization") && value == self.base.get("session_authorization").map(String::as_str);
        let value = match value {
            Some(value) if own => value.to_owned(),
            Some(value) => canonical(definition, value, self.value(definition.name))?,
            None if matches!(definition.shape, Shape::Fixed) && !matches!(name, "role" | "session_authorization") => fixed(definition, "")?,
            None => self.base.get(definition.name).cloned().unwrap_or_else(|| definition.default.to_owned()),
        };
        self.in_force = OnceLock::new();
        if local {
            if self.saved.is_some() {
                self.local.insert(definition.name, value);
            }
        } else {
            self.local.remove(definition.name);
            Arc::make_mut(&mut self.values).insert(definition.name, value);
        }
        Ok(())
    }

    /// RESET. `None` is ALL.
    pub fn reset(&mut self, name: Option<&str>) -> Result<(), ClientMessage> {
        match name {
            Some(name) => self.set(name, None, false),
            None => {
                self.in_force = OnceLock::new();
                self.values.clone_from(&self.base);
                Arc::make_mut(&mut self.custom).values_mut().for_each(String::clear);
                self.local.clear();
                Ok(())
            }
        }
    }

    /// The current value; the error is PostgreSQL's for an unknown name.
    pub fn show(&self, name: &str) -> Result<String, ClientMessage> {
        let name = name.to_ascii_lowercase();
        if let Some(value) = self.custom.get(&name) {
            return Ok(value.clone());
        }
        let definition = definition(&name)?;
        let value = self.value(definition.name);
        Ok(definition.shown(value))
    }

    /// The column label of SHOW.
    pub fn shown_name(name: &str) -> String {
        shown_name(name).to_owned()
    }

    /// Every setting as SHOW ALL lists it: name, value, description.
    pub fn all(&self) -> Vec<(String, String, String)> {
        definitions::all()
            .map(|definition| {
                (shown_name(definition.name).to_owned(), self.show(definition.name).unwrap_or_default(), definition.description.to_owned())
            })
            .collect()
    }

    /// Every setting as `pg_settings` has it.
    pub fn described(&self) -> Vec<Setting> {
        definitions::all().map(|definition| self.described_one(definition)).collect()
    }

    fn described_one(&self, definition: &'static Definition) -> Setting {
        let words: &[&str] = if let Shape::Enum(words) = definition.shape { words } else { &[] };
        let (kind, unit) = definition.kind_and_unit();
        let value = self.value(definition.name);
        let reset = self.base.get(definition.name).map_or(definition.default, String::as_str);
        let source = match value {
            _ if value != reset => "session",
            _ if reset != definition.default => "client",
            _ => "default",
        };
        Setting {
            name: shown_name(definition.name).to_owned(),
            value: definition.bare(value),
            description: definition.description.to_owned(),
            kind,
            unit,
            bounds: definition.bounds(),
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            context: definition.context,
            source,
            default: definition.default.to_owned(),
            reset: reset.to_owned(),
        }
    }

    /// The text of a value.
    pub(super) fn value(&self, name: &str) -> &str {
        let set = self.local.get(name).or_else(|| self.values.get(name));
        set.map_or_else(|| definition(name).map_or("", |definition| definition.default), String::as_str)
    }

    /// What they come to for statements.
    pub fn in_force(&self) -> &Arc<InForce> {
        self.in_force.get_or_init(|| Arc::new(InForce::of(self)))
    }

    /// A setting of time; 0 is none.
    pub(super) fn duration(&self, name: &str) -> Option<Duration> {
        match self.value(name).parse::<u64>() {
            Ok(0) | Err(_) => None,
            Ok(millis) => Some(Duration::from_millis(millis)),
        }
    }

    /// Whether messages of this severity are sent, by `client_min_messages`. INFO always is.
    pub fn tells(&self, severity: &str) -> bool {
        let level = |name: &str| MESSAGES.iter().position(|word| word.eq_ignore_ascii_case(name));
        match severity {
            "INFO" => true,
            severity => level(severity) >= level(self.value("client_min_messages")),
        }
    }

    /// The schemas that unqualified names are looked for in, in order.
    pub fn search_path(&self) -> Vec<String> {
        split_path(self.value("search_path"))
    }

    /// A transaction starts, if none runs.
    pub fn begin(&mut self) {
        if self.saved.is_none() {
            self.saved = Some((Arc::clone(&self.values), Arc::clone(&self.custom)));
        }
    }

    /// A savepoint is set.
    pub fn set_savepoint(&mut self) {
        let bytes = self.bytes_with_savepoint();
        self.savepoints.push(Savepoint { saved: (Arc::clone(&self.values), Arc::clone(&self.custom)), local: self.local.clone(), bytes });
    }

    /// Whether there is room for one more savepoint, of this name.
    pub fn check_room(&self, name: &str) -> Result<(), ClientMessage> {
        room::check_savepoints(self.bytes_with_savepoint().saturating_add(name.len()))
    }

    /// What savepoints keep if there is one more: maps that have not changed since the last one are its own.
    fn bytes_with_savepoint(&self) -> usize {
        let last = self.savepoints.last();
        let values = last.filter(|last| Arc::ptr_eq(&last.saved.0, &self.values)).map_or_else(|| room::of(self.values.iter()), |_| 0);
        let custom = last.filter(|last| Arc::ptr_eq(&last.saved.1, &self.custom)).map_or_else(|| room::of(self.custom.iter()), |_| 0);
        let before = last.map_or(0, |last| last.bytes);
        before.saturating_add(values).saturating_add(custom).saturating_add(room::of(self.local.iter())).saturating_add(room::ENTRY_BYTES)
    }

    /// Savepoints are released but for the first ones.
    pub fn release_savepoints(&mut self, left: usize) {
        self.savepoints.truncate(left);
    }

    /// Goes back to a savepoint, which stays.
    pub fn roll_back_to(&mut self, savepoint: usize) {
        self.savepoints.truncate(savepoint + 1);
        if let Some(Savepoint { saved: (values, custom), local, .. }) = self.savepoints.last() {
            self.in_force = OnceLock::new();
            self.values.clone_from(values);
            self.custom.clone_from(custom);
            self.local.clone_from(local);
        }
    }

    /// A transaction ends.
    pub fn end(&mut self, committed: bool) {
        self.savepoints.clear();
        let saved = self.saved.take();
        if self.local.is_empty() && saved.as_ref().is_some_and(|saved| self.unchanged_since(saved)) {
            return;
        }
        self.in_force = OnceLock::new();
        if let Some(saved) = saved
            && !committed
        {
            (self.values, self.custom) = saved;
        }
        self.local.clear();
        self.follow_defaults();
    }

    /// Maps that were saved are copied when they change.
    fn unchanged_since(&self, (values, custom): &Saved) -> bool {
        Arc::ptr_eq(values, &self.values) && Arc::ptr_eq(custom, &self.custom)
    }

    /// The next transaction is what the session's defaults say.
    fn follow_defaults(&mut self) {
        for (name, default) in
            [("transaction_isolation", "default_transaction_isolation"), ("transaction_deferrable", "default_transaction_deferrable")]
        {
            let default = self.value(default);
            if self.values.get(name).is_none_or(|value| value != default) {
                let default = default.to_owned();
                Arc::make_mut(&mut self.values).insert(name, default);
            }
        }
    }

    /// The reported settings that have changed since the last call, with the names that clients expect.
    pub fn take_changes(&mut self) -> Vec<(String, String)> {
        if self.local.is_empty() && self.told.as_ref().is_some_and(|told| Arc::ptr_eq(told, &self.values)) {
            return Vec::new();
        }
        let mut changes = Vec::new();
        for definition in DEFINITIONS.iter().filter(|definition| definition.reported) {
            let value = self.value(definition.name).to_owned();
            if self.reported.get(definition.name) != Some(&value) {
                changes.push((shown_name(definition.name).to_owned(), value.clone()));
                self.reported.insert(definition.name, value);
            }
        }
        self.told = self.local.is_empty().then(|| Arc::clone(&self.values));
        changes
    }
}

fn invalid(name: &str, value: &str) -> ClientMessage {
    ClientMessage::new(SqlState::INVALID_PARAMETER_VALUE, format!("invalid value for parameter \"{}\": \"{value}\"", shown_name(name)))
}

/// A name as PostgreSQL keeps it where programs show it: cut, and with a question mark for each byte that is no printable letter of ASCII.
fn plain_name(value: &str) -> String {
    let kept = value.get(..value.floor_char_boundary(NAME_BYTES_MAX)).unwrap_or_default();
    kept.bytes().map(|byte| if matches!(byte, b' '..=b'~') { char::from(byte) } else { '?' }).collect()
}

/// The longest name.
const NAME_BYTES_MAX: usize = 63;

/// The canonical form of a value, or why it is none.
fn canonical(definition: &Definition, value: &str, before: &str) -> Result<String, ClientMessage> {
    let name = definition.name;
    let trimmed = value.trim();
    match definition.shape {
        Shape::Text if name == "application_name" => Ok(plain_name(value)),
        Shape::Text => Ok(value.to_owned()),
        Shape::Path if names_of(value).is_none() => Err(invalid(name, trimmed).with_detail("List syntax is invalid.")),
        Shape::Path => Ok(value.to_owned()),
        Shape::Fixed => fixed(definition, trimmed),
        Shape::Privileged => Err(denied(name)),
        Shape::Bool => {
            let on = parse_bool(trimmed).ok_or_else(|| {
                ClientMessage::new(SqlState::INVALID_PARAMETER_VALUE, format!("parameter \"{name}\" requires a Boolean value"))
            })?;
            match (name, on) {
                ("standard_conforming_strings", false) => {
                    Err(ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, "standard_conforming_strings cannot be turned off"))
                }
                // The default may be set, as on a standby; each transaction reads only all the same.
                ("transaction_read_only", false) => Err(ClientMessage::new(
                    SqlState::READ_ONLY_SQL_TRANSACTION,
                    "cannot set transaction read-write mode: meshgate is read-only",
                )),
                (_, on) => Ok(if on { "on" } else { "off" }.to_owned()),
            }
        }
        Shape::Int(..) | Shape::Size(..) | Shape::Millis => definition.whole(value).map(|number| number.to_string()),
        Shape::Float => trimmed.parse::<f64>().map(|_| trimmed.to_owned()).map_err(|_| invalid(name, trimmed)),
        Shape::Enum(words) => {
            let lower = trimmed.to_ascii_lowercase();
            words
                .iter()
                .find(|word| **word == lower)
                .map(|word| (*word).to_owned())
                .ok_or_else(|| invalid(name, trimmed).with_hint(format!("Available values: {}.", words.join(", "))))
        }
        Shape::TimeZone => time_zone::canonical(trimmed).ok_or_else(|| invalid(name, trimmed)),
        Shape::DateStyle => {
            let before = DateStyle::parse(before, DateStyle::default()).unwrap_or_default();
            DateStyle::read(trimmed, before).map(DateStyle::to_text).map_err(|detail| invalid(name, trimmed).with_detail(detail))
        }
        Shape::Encoding => match ClientEncoding::named(trimmed)? {
            Some((_, shown)) => Ok(shown.to_owned()),
            None => Err(invalid(name, trimmed)),
        },
    }
}

fn fixed(definition: &Definition, value: &str) -> Result<String, ClientMessage> {
    let name = definition.name;
    if name == "role" && value.eq_ignore_ascii_case("none") {
        return Ok(definition.default.to_owned());
    }
    let identity = match name {
        "role" => format!("permission denied to set role \"{value}\""),
        "session_authorization" => "permission denied to set session authorization".to_owned(),
        "is_superuser" => return Err(denied(name)),
        _ => String::new(),
    };
    if !identity.is_empty() {
        return Err(ClientMessage::new(SqlState::INSUFFICIENT_PRIVILEGE, identity)
            .with_hint("Log in as the principal whose rights you want to use."));
    }
    let why = match definition.context {
        "postmaster" => " without restarting the server",
        "sighup" => " now",
        _ => "",
    };
    Err(ClientMessage::new(SqlState::CANT_CHANGE_RUNTIME_PARAM, format!("parameter \"{name}\" cannot be changed{why}")))
}

fn denied(name: &str) -> ClientMessage {
    ClientMessage::new(SqlState::INSUFFICIENT_PRIVILEGE, format!("permission denied to set parameter \"{name}\""))
}

fn parse_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "1" => Some(true),
        "of" | "off" | "0" => Some(false),
        // The beginning of a word is enough where it is that of one alone.
        "" => None,
        word if "true".starts_with(word) || "yes".starts_with(word) => Some(true),
        word if "false".starts_with(word) || "no".starts_with(word) => Some(false),
        _ => None,
    }
}

/// The names of a search path; none of a text that is no list of names.
fn split_path(text: &str) -> Vec<String> {
    names_of(text).unwrap_or_default().into_iter().filter(|name| !name.is_empty()).collect()
}

/// The names of a list: quoted ones as they are, others in lower case. `None` if the text is no such list.
fn names_of(text: &str) -> Option<Vec<String>> {
    let (mut names, mut letters) = (Vec::new(), text.trim().chars().peekable());
    if letters.peek().is_none() {
        return Some(names);
    }
    loop {
        while letters.next_if(|letter| letter.is_whitespace()).is_some() {}
        names.push(name_of(&mut letters)?);
        while letters.next_if(|letter| letter.is_whitespace()).is_some() {}
        match letters.next() {
            None => return Some(names),
            Some(',') => {}
            Some(_) => return None,
        }
    }
}

/// The next name of a list.
fn name_of(letters: &mut Peekable<Chars<'_>>) -> Option<String> {
    let mut name = String::new();
    if letters.next_if_eq(&'"').is_some() {
        loop {
            match letters.next()? {
                '"' if letters.next_if_eq(&'"').is_none() => return Some(name),
                letter => name.push(letter),
            }
        }
    }
    while let Some(letter) = letters.next_if(|letter| !letter.is_whitespace() && *letter != ',') {
        name.extend(letter.to_lowercase());
    }
    (!name.is_empty() && !name.contains('"')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings::new(&[("session_authorization", "analyst".to_owned())], &[]).unwrap()
    }

    #[test]
    fn rollback_undoes_set_and_the_end_undoes_set_local() {
        let mut settings = settings();
        settings.begin();
        settings.set("statement_timeout", Some("5s"), false).unwrap();
        settings.set("timezone", Some("Europe/Berlin"), true).unwrap();
        assert_eq!(settings.show("timezone").unwrap(), "Europe/Berlin");
        settings.end(false);
        assert_eq!(settings.show("statement_timeout").unwrap(), "0");
        assert_eq!(settings.show("timezone").unwrap(), "UTC");
    }

    #[test]
    fn what_is_in_force_follows_each_change() {
        let mut settings = settings();
        let zone = |settings: &Settings| settings.in_force().time_zone_name.clone();
        let first = Arc::clone(settings.in_force());
        settings.begin();
        settings.end(true);
        assert!(Arc::ptr_eq(&first, settings.in_force()), "nothing has changed");
        settings.begin();
        settings.set("timezone", Some("Europe/Berlin"), true).unwrap();
        assert_eq!(zone(&settings), "Europe/Berlin");
        settings.end(true);
        assert_eq!(zone(&settings), "UTC");
        settings.begin();
        settings.set("timezone", Some("Europe/Paris"), false).unwrap();
        assert_eq!(zone(&settings), "Europe/Paris");
        settings.end(false);
        assert_eq!(zone(&settings), "UTC");
        settings.set("meshgate.purpose", Some("audit"), false).unwrap();
        assert_eq!(settings.in_force().purpose.as_deref(), Some("audit"));
        settings.reset(None).unwrap();
        assert_eq!(settings.in_force().purpose, None);
    }

    #[test]
    fn what_is_in_force_goes_back_to_a_savepoint() {
        let mut settings = settings();
        settings.begin();
        settings.set_savepoint();
        for local in [true, false] {
            settings.set("timezone", Some("Europe/Paris"), local).unwrap();
            assert_eq!(settings.in_force().time_zone_name, "Europe/Paris");
            settings.roll_back_to(0);
            assert_eq!(settings.in_force().time_zone_name, "UTC");
        }
    }

    #[test]
    fn one_may_become_whom_one_is_and_nobody_else() {
        let mut settings = settings();
        for (name, value, shown) in [
            ("role", Some("analyst"), "analyst"),
            ("role", Some("none"), "none"),
            ("role", Some("analyst"), "analyst"),
            ("role", None, "none"),
            ("session_authorization", Some("analyst"), "analyst"),
            ("session_authorization", None, "analyst"),
        ] {
            settings.set(name, value, false).unwrap();
            assert_eq!(settings.show(name).unwrap(), shown);
        }
        for name in ["role", "session_authorization"] {
            assert_eq!(settings.set(name, Some("steward"), false).unwrap_err().sqlstate, SqlState::INSUFFICIENT_PRIVILEGE);
        }
        settings.set("role", Some("analyst"), false).unwrap();
        settings.reset(Some("role")).unwrap();
        assert_eq!(settings.show("role").unwrap(), "none");
        let asked = ("role".to_owned(), "steward".to_owned());
        let own = [("session_authorization", "analyst".to_owned())];
        assert!(Settings::new(&own, &[asked]).is_err());
        assert!(Settings::new(&own, &[("role".to_owned(), "analyst".to_owned())]).is_ok());
    }

    #[test]
    fn a_session_begins_with_the_isolation_that_it_asked_for() {
        let asked = ("default_transaction_isolation".to_owned(), "serializable".to_owned());
        let mut settings = Settings::new(&[], &[asked]).unwrap();
        assert_eq!(settings.show("transaction_isolation").unwrap(), "serializable");
        settings.begin();
        settings.set("default_transaction_isolation", Some("read committed"), false).unwrap();
        settings.end(true);
        assert_eq!(settings.show("transaction_isolation").unwrap(), "read committed");
    }

    #[test]
    fn values_are_made_canonical() {
        let mut settings = settings();
        settings.set("statement_timeout", Some("90000"), false).unwrap();
        assert_eq!(settings.show("statement_timeout").unwrap(), "90s");
        settings.set("datestyle", Some("iso, dmy"), false).unwrap();
        assert_eq!(settings.show("DateStyle").unwrap(), "ISO, DMY");
        for encoding in ["'utf-8'", "UTF_8", "unicode"] {
            settings.set("client_encoding", Some(encoding), false).unwrap();
            assert_eq!(settings.show("client_encoding").unwrap(), "UTF8");
        }
        settings.set("timezone", Some("-5"), false).unwrap();
        assert_eq!(settings.show("timezone").unwrap(), "<-05>+05");
        assert_eq!(settings.in_force().time_zone_name, "-05:00");
    }

    #[test]
    fn settings_of_postgres_are_kept_and_shown() {
        let mut settings = settings();
        for (name, value, shown) in [
            ("enable_hashagg", "off", "off"),
            ("work_mem", "65536", "64MB"),
            ("work_mem", "64MB", "64MB"),
            ("effective_cache_size", "1GB", "1GB"),
            ("default_statistics_target", "500", "500"),
            ("seq_page_cost", "1.5", "1.5"),
            ("xmlbinary", "hex", "hex"),
        ] {
            settings.set(name, Some(value), false).unwrap();
            assert_eq!(settings.show(name).unwrap(), shown, "{name}");
        }
        settings.set("work_mem", None, false).unwrap();
        assert_eq!(settings.show("work_mem").unwrap(), "4MB");
        assert_eq!(settings.show("temp_buffers").unwrap(), "8MB");
        let described = settings.described();
        for (name, shown, value, unit, least) in [
            ("deadlock_timeout", "1s", "1000", Some("ms"), "1"),
            ("max_stack_depth", "2MB", "2048", Some("kB"), "100"),
            ("autovacuum_vacuum_cost_delay", "2ms", "2", Some("ms"), "-1"),
            ("log_file_mode", "0600", "0600", None, "0"),
            ("shared_buffers", "128MB", "16384", Some("8kB"), "16"),
        ] {
            let found = described.iter().find(|setting| setting.name == name).unwrap();
            let least_found = found.bounds.as_ref().map(|(least, _)| least.as_str());
            assert_eq!((found.value.as_str(), found.unit, least_found), (value, unit, Some(least)), "{name}");
            assert_eq!(settings.show(name).unwrap(), shown, "{name}");
        }
        for (name, sqlstate) in [
            ("shared_buffers", SqlState::CANT_CHANGE_RUNTIME_PARAM),
            ("autovacuum", SqlState::CANT_CHANGE_RUNTIME_PARAM),
            ("log_statement", SqlState::INSUFFICIENT_PRIVILEGE),
            ("work_mem", SqlState::INVALID_PARAMETER_VALUE),
        ] {
            assert_eq!(settings.set(name, Some("1"), false).unwrap_err().sqlstate, sqlstate, "{name}");
        }
    }

    #[test]
    fn who_one_is_cannot_be_set() {
        for name in ["role", "session_authorization", "is_superuser"] {
            assert_eq!(settings().set(name, Some("steward"), false).unwrap_err().sqlstate, SqlState::INSUFFICIENT_PRIVILEGE);
        }
        assert!(Settings::new(&[], &[("session_authorization".to_owned(), "steward".to_owned())]).is_err());
    }

    #[test]
    fn unknown_names_and_bad_values_are_errors() {
        assert_eq!(settings().set("no_such", Some("1"), false).unwrap_err().sqlstate, SqlState::UNDEFINED_OBJECT);
        for (name, value) in [("extra_float_digits", "99"), ("statement_timeout", "x"), ("timezone", "Mars"), ("row_security", "maybe")] {
            assert_eq!(settings().set(name, Some(value), false).unwrap_err().sqlstate, SqlState::INVALID_PARAMETER_VALUE, "{name}");
        }
    }

    #[test]
    fn a_savepoint_keeps_what_was_set_before_it() {
        let mut settings = settings();
        settings.begin();
        settings.set("timezone", Some("Asia/Tokyo"), false).unwrap();
        settings.set_savepoint();
        settings.set("timezone", Some("Europe/Paris"), false).unwrap();
        settings.set("statement_timeout", Some("5s"), true).unwrap();
        settings.roll_back_to(0);
        assert_eq!(
            (settings.show("timezone").unwrap().as_str(), settings.show("statement_timeout").unwrap().as_str()),
            ("Asia/Tokyo", "0")
        );
        settings.end(true);
        assert_eq!(settings.show("timezone").unwrap(), "Asia/Tokyo");
    }

    #[test]
    fn messages_below_the_least_severity_are_not_told() {
        let mut settings = settings();
        assert!(settings.tells("NOTICE") && settings.tells("WARNING"));
        settings.set("client_min_messages", Some("warning"), false).unwrap();
        assert!(!settings.tells("NOTICE") && settings.tells("WARNING") && settings.tells("INFO"));
    }

    #[test]
    fn changes_are_reported_once() {
        let mut settings = settings();
        assert!(settings.take_changes().iter().any(|(name, value)| name == "server_version" && value == SERVER_VERSION));
        assert!(settings.take_changes().is_empty());
        settings.set("application_name", Some("psql"), false).unwrap();
        assert_eq!(settings.take_changes(), [("application_name".to_owned(), "psql".to_owned())]);
        // What was set for a transaction is reported when it begins to hold, and when it ends.
        settings.begin();
        settings.set("application_name", Some("job"), true).unwrap();
        assert_eq!(settings.take_changes(), [("application_name".to_owned(), "job".to_owned())]);
        assert!(settings.take_changes().is_empty());
        settings.end(false);
        assert_eq!(settings.take_changes(), [("application_name".to_owned(), "psql".to_owned())]);
        assert!(settings.take_changes().is_empty());
    }
}
