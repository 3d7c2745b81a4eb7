//! The session's settings as the catalog's functions see them (`current_setting`, `set_config`, `pg_settings`).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::catalog;
use crate::error::ClientMessage;

use super::settings::Settings;

/// The settings, shared with the functions of a running statement.
#[derive(Debug)]
pub(super) struct SharedSettings {
    settings: Arc<Mutex<Settings>>,
}

impl SharedSettings {
    pub(super) fn new(settings: Arc<Mutex<Settings>>) -> Self {
        Self { settings }
    }

    fn locked(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl catalog::Settings for SharedSettings {
    fn value(&self, name: &str) -> Option<String> {
        self.locked().show(name).ok()
    }

    fn all(&self) -> Vec<catalog::Setting> {
        self.locked().described()
    }

    fn set(&self, name: &str, value: &str, local: bool) -> Result<String, ClientMessage> {
        let mut settings = self.locked();
        settings.set(&name.to_ascii_lowercase(), Some(value), local)?;
        settings.show(name)
    }
}
