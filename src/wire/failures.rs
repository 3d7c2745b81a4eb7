//! Slows down who guesses passwords.
//!
//! Failures are counted for each login name at each address, and for each address over all names. Beyond a number that honest mistakes
//! do not reach, the proofs of such a place are looked at one after another, and each wrong one makes the next wait.
//!
//! INVARIANT: nobody is locked out: a right password is only ever late, and only at the address that guesses. What is kept is
//! bounded, whatever names and addresses are tried.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

/// How many places are remembered.
const PLACES_MAX: usize = 10_000;
/// Failures of one address over all names, for each failure that one name has free.
const NAMES_AT_AN_ADDRESS: u32 = 5;

/// How logins that fail are slowed down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedLogins {
    /// Failures of a name at an address that cost nothing.
    pub free: u32,
    /// How long each further one makes the next proof wait.
    pub wait: Duration,
    /// After how long one failure is forgotten.
    pub forgotten_after: Duration,
}

impl Default for FailedLogins {
    fn default() -> Self {
        Self { free: 20, wait: Duration::from_millis(500), forgotten_after: Duration::from_secs(6) }
    }
}

/// An address, and there a name or all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Place {
    address: IpAddr,
    /// The hash of the name, for a name may be long.
    user: Option<u64>,
}

#[derive(Debug)]
struct Entry {
    count: u32,
    last: Instant,
    gate: Arc<tokio::sync::Mutex<()>>,
}

/// Logins that failed of late.
#[derive(Debug)]
pub(super) struct Failures {
    options: FailedLogins,
    hasher: RandomState,
    table: Mutex<HashMap<Place, Entry>>,
}

/// A login's turn to prove itself.
pub(super) struct Turn<'a> {
    failures: &'a Failures,
    places: [Place; 2],
    held: Vec<OwnedMutexGuard<()>>,
}

impl Failures {
    pub(super) fn new(options: FailedLogins) -> Self {
        Self { options, hasher: RandomState::new(), table: Mutex::default() }
    }

    /// Waits for the others of a place at which too many have failed.
    pub(super) async fn turn(&self, address: IpAddr, user: &str) -> Turn<'_> {
        let address = network(address);
        let places = [Place { address, user: Some(self.hasher.hash_one(user)) }, Place { address, user: None }];
        let mut held = Vec::new();
        for place in places {
            if let Some(gate) = self.gate(place, Instant::now()) {
                held.push(gate.lock_owned().await);
            }
        }
        Turn { failures: self, places, held }
    }

    /// The gate of a place whose failures are no longer free.
    fn gate(&self, place: Place, now: Instant) -> Option<Arc<tokio::sync::Mutex<()>>> {
        let mut table = self.locked();
        let entry = table.get_mut(&place)?;
        self.forget_some(entry, now);
        if entry.count == 0 {
            table.remove(&place);
            return None;
        }
        (entry.count >= self.free(place)).then(|| Arc::clone(&entry.gate))
    }

    fn free(&self, place: Place) -> u32 {
        if place.user.is_some() { self.options.free } else { self.options.free.saturating_mul(NAMES_AT_AN_ADDRESS) }
    }

    fn forget_some(&self, entry: &mut Entry, now: Instant) {
        let step = self.options.forgotten_after.max(Duration::from_millis(1));
        let steps = u32::try_from(now.saturating_duration_since(entry.last).as_millis() / step.as_millis()).unwrap_or(u32::MAX);
        if steps > 0 {
            entry.count = entry.count.saturating_sub(steps);
            entry.last += step.saturating_mul(steps);
        }
    }

    /// Counts a failure; true if it is no longer free.
    fn count(&self, place: Place, now: Instant) -> bool {
        let mut table = self.locked();
        if table.len() >= PLACES_MAX && !table.contains_key(&place) {
            make_room(&mut table);
        }
        let entry = table.entry(place).or_insert_with(|| Entry { count: 0, last: now, gate: Arc::default() });
        self.forget_some(entry, now);
        if entry.count == 0 {
            entry.last = now;
        }
        // The count has a ceiling, so that a long attack is not held against its place for longer than it takes to forget the ceiling.
        entry.count = entry.count.saturating_add(1).min(self.free(place).saturating_mul(2));
        entry.count > self.free(place)
    }

    fn forget(&self, place: Place) {
        self.locked().remove(&place);
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, HashMap<Place, Entry>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets the half that has been quiet for longest.
fn make_room(table: &mut HashMap<Place, Entry>) {
    let mut times: Vec<Instant> = table.values().map(|entry| entry.last).collect();
    let middle = times.len() / 2;
    let (_, median, _) = times.select_nth_unstable(middle);
    let median = *median;
    table.retain(|_, entry| entry.last > median);
}

impl Turn<'_> {
    /// The proof was right.
    pub(super) fn succeeded(self) {
        let [name, _] = self.places;
        self.failures.forget(name);
    }

    /// The proof was wrong. Returns when the client may be told.
    pub(super) async fn failed(self) {
        let beyond = self.places.map(|place| self.failures.count(place, Instant::now()));
        if beyond.contains(&true) {
            // The gates that are held stay shut meanwhile.
            tokio::time::sleep(self.failures.options.wait).await;
        }
        drop(self.held);
    }
}

/// Whoever has one address of a network of IPv6 has all of it.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const NAME: Place = Place { address: HERE, user: Some(1) };
    const ADDRESS: Place = Place { address: HERE, user: None };

    fn failures() -> Failures {
        Failures::new(FailedLogins { free: 3, wait: Duration::from_millis(20), forgotten_after: Duration::from_secs(10) })
    }

    #[test]
    fn a_few_mistakes_cost_nothing_and_many_do() {
        let (failures, now) = (failures(), Instant::now());
        let costs = |place| [0; 5].map(|_| failures.count(place, now));
        assert_eq!(costs(NAME), [false, false, false, true, true]);
        assert_eq!(costs(Place { user: Some(2), ..NAME }), [false, false, false, true, true]);
        assert!(failures.gate(NAME, now).is_some());
        assert!(failures.gate(Place { user: Some(3), ..NAME }, now).is_none());
    }

    #[test]
    fn an_address_that_tries_many_names_is_slowed_too() {
        let (failures, now) = (failures(), Instant::now());
        assert_eq!((0..20).filter(|_| failures.count(ADDRESS, now)).count(), 5);
    }

    #[test]
    fn time_makes_mistakes_forgotten_however_many_there_were() {
        let (failures, now) = (failures(), Instant::now());
        (0..500).for_each(|_| _ = failures.count(NAME, now));
        assert!(failures.gate(NAME, now + Duration::from_secs(30)).is_some());
        assert!(failures.gate(NAME, now + Duration::from_secs(40)).is_none());
        assert!(!failures.count(NAME, now + Duration::from_secs(40)));
        assert!(failures.gate(NAME, now + Duration::from_secs(100)).is_none());
        assert!(failures.locked().is_empty());
    }

    #[tokio::test]
    async fn guesses_side_by_side_wait_for_each_other() {
        let failures = failures();
        for _ in 0..3 {
            failures.turn(HERE, "alice").await.failed().await;
        }
        let started = Instant::now();
        let guess = || async { failures.turn(HERE, "alice").await.failed().await };
        futures::join!(guess(), guess(), guess(), guess());
        assert!(started.elapsed() >= Duration::from_millis(80));
    }

    #[tokio::test]
    async fn a_right_password_makes_mistakes_forgotten() {
        let failures = failures();
        for _ in 0..3 {
            failures.turn(HERE, "alice").await.failed().await;
        }
        let turn = failures.turn(HERE, "alice").await;
        assert_eq!(turn.held.len(), 1);
        turn.succeeded();
        assert!(failures.turn(HERE, "alice").await.held.is_empty());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let failures = failures();
        let now = Instant::now();
        for number in 0..25_000 {
            failures.count(Place { address: HERE, user: Some(number) }, now + Duration::from_micros(number));
        }
        assert!(failures.locked().len() <= PLACES_MAX);
    }

    #[test]
    fn the_addresses_of_one_network_are_one_place() {
        let parse = |text: &str| network(text.parse().unwrap());
        assert_eq!(parse("2001:db8::1"), parse("2001:db8::ffff:1"));
        assert_ne!(parse("2001:db8::1"), parse("2001:db8:0:1::1"));
        assert_eq!(parse("::ffff:192.0.2.1"), HERE);
    }
}
