//! How much a session may set: what its client names itself, and what its savepoints keep of that.

use std::collections::BTreeMap;

use crate::error::{ClientMessage, SqlState};

/// Settings that a client has named itself.
const CUSTOM_MAX: usize = 1_000;
/// Bytes of one value.
const VALUE_BYTES_MAX: usize = 64 << 10;
/// Bytes of all that a client has named itself.
const CUSTOM_BYTES_MAX: usize = 1 << 20;
/// Bytes that the savepoints of a transaction keep.
const SAVEPOINTS_BYTES_MAX: usize = 16 << 20;
/// What a setting, or a savepoint, takes beside its texts.
pub(super) const ENTRY_BYTES: usize = 128;

/// The bytes of settings.
pub(super) fn of<N: AsRef<str>>(settings: impl Iterator<Item = (N, impl AsRef<str>)>) -> usize {
    settings.map(|(name, value)| name.as_ref().len().saturating_add(value.as_ref().len()).saturating_add(ENTRY_BYTES)).sum()
}

/// Refuses a value that is too long.
pub(super) fn check_value(value: &str) -> Result<(), ClientMessage> {
    if value.len() > VALUE_BYTES_MAX {
        return Err(too_much("the value of a setting is too long").with_detail("A value may have 64 kB."));
    }
    Ok(())
}

/// Refuses a setting for which there is no room among those of the session.
pub(super) fn check_custom(custom: &BTreeMap<String, String>, name: &str, value: &str) -> Result<(), ClientMessage> {
    check_value(value)?;
    let before = custom.get(name);
    let other = before.map_or(0, String::len);
    let bytes = of(custom.iter()).saturating_sub(other).saturating_add(name.len()).saturating_add(value.len());
    if bytes > CUSTOM_BYTES_MAX || (before.is_none() && custom.len() >= CUSTOM_MAX) {
        let detail = "A session may have 1,000 settings of its own, with 1 MiB in all.";
        return Err(too_much("too many settings").with_detail(detail));
    }
    Ok(())
}

/// Refuses a savepoint for which there is no room.
pub(super) fn check_savepoints(bytes: usize) -> Result<(), ClientMessage> {
    if bytes > SAVEPOINTS_BYTES_MAX {
        return Err(too_much("too many savepoints").with_hint("Release savepoints that are no longer needed."));
    }
    Ok(())
}

fn too_much(message: &str) -> ClientMessage {
    ClientMessage::new(SqlState::CONFIGURATION_LIMIT_EXCEEDED, message)
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;

    fn limited(outcome: Result<(), ClientMessage>) -> bool {
        outcome.is_err_and(|message| message.sqlstate == SqlState::CONFIGURATION_LIMIT_EXCEEDED)
    }

    #[test]
    fn a_session_has_room_for_so_many_settings_of_its_own() {
        let mut settings = Settings::new(&[], &[]).unwrap();
        let long = "x".repeat(VALUE_BYTES_MAX);
        assert!(limited(settings.set("a.b", Some(&format!("{long}x")), false)));
        assert!(limited(settings.set("search_path", Some(&format!("{long}x")), false)));
        let set = (0..100).take_while(|at| settings.set(&format!("a.b{at}"), Some(&long), false).is_ok()).count();
        assert_eq!(set, CUSTOM_BYTES_MAX / VALUE_BYTES_MAX - 1);
        // What is there can be set again, and to less.
        assert!(settings.set("a.b1", Some(&long), false).is_ok() && settings.set("a.b1", Some(""), false).is_ok());
        let mut settings = Settings::new(&[], &[]).unwrap();
        assert!((0..CUSTOM_MAX).all(|at| settings.set(&format!("a.b{at}"), Some("x"), false).is_ok()));
        assert!(limited(settings.set("a.c", Some("x"), false)) && settings.set("a.b1", Some("y"), false).is_ok());
    }

    #[test]
    fn savepoints_have_room_for_what_changes_between_them() {
        let mut settings = Settings::new(&[], &[]).unwrap();
        settings.set("a.b", Some(&"x".repeat(VALUE_BYTES_MAX)), false).unwrap();
        settings.begin();
        let stand = |settings: &mut Settings, changes: bool| {
            (0..20_000)
                .take_while(|at| {
                    let room = settings.check_room("s").is_ok();
                    settings.set_savepoint();
                    if changes {
                        settings.set("a.c", Some(&at.to_string()), false).unwrap();
                    }
                    room
                })
                .count()
        };
        let changed = stand(&mut settings, true);
        assert!((100..=300).contains(&changed), "{changed}");
        settings.release_savepoints(0);
        assert_eq!(stand(&mut settings, false), 20_000);
    }
}
