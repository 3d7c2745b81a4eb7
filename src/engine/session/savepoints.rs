//! What failures and savepoints leave of what a transaction has made: cursors, portals, locks.

use super::Session;

impl Session {
    /// Ends what was made while so many savepoints stood, or more.
    pub(super) fn abandon_behind(&mut self, savepoints: usize) {
        self.cursors.retain(|_, cursor| cursor.settled() || cursor.options().level < savepoints);
        self.portals.retain(|_, portal| portal.level < savepoints);
        self.advisory.end_transaction(savepoints);
    }

    /// Savepoints are released but for the first ones: what was made behind them belongs to these.
    pub(super) fn keep_behind(&mut self, savepoints: usize) {
        self.cursors.values_mut().for_each(|cursor| cursor.belong_to(savepoints));
        for portal in self.portals.values_mut() {
            portal.level = portal.level.min(savepoints);
        }
    }

    /// Whether a portal of this name is bound, or a cursor declared.
    pub fn has_portal(&self, name: &str) -> bool {
        self.portals.contains_key(name) || self.cursors.contains_key(name)
    }
}
