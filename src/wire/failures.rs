//! Slows down who guesses passwords.
//!
//! Failures are counted for each login name at each address, and for each address over all names. Beyond a number that honest mistakes
//! do not reach, whoever proves wrong at such a place is told so one after another, each after a wait. Proofs are looked at before that, so a
//! right one waits for none of these; but for how many are looked at in a second, for silence would tell a guesser, too, that he was wrong.
//!
//! INVARIANT: nobody is locked out: a right password is only ever late, only at the address that guesses, and by no more than it takes to look
//! at what came before it and still waits. What is kept is bounded, whatever names and addresses are tried.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How many places are remembered.
const PLACES_MAX: usize = 10_000;
/// Failures of one address over all names, for each failure that one name has free.
const NAMES_AT_AN_ADDRESS: u32 = 5;

/// Proofs of a place that are looked at while one wrong proof waits to be told.
const LOOKS_A_WAIT: u32 = 10;
/// Those that are looked at at once, where none have been for a while.
const LOOKS_AT_ONCE: u32 = 100;

/// How logins that fail are slowed down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedLogins {
    /// Failures of a name at an address that cost nothing.
    pub free: u32,
    /// How long each further one waits before it is told, one after another.
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
    gates: Arc<Gates>,
}

/// Where those of a place stand in line whose failures are no longer free.
#[derive(Debug, Default)]
struct Gates {
    /// Before their proofs are looked at: since when the looks so far would have had their time, one after another.
    looks: tokio::sync::Mutex<Option<Instant>>,
    /// Before they are told that they were wrong.
    refusals: tokio::sync::Mutex<()>,
}

impl Gates {
    /// Waits until a proof may be looked at, behind those that came before and still wait.
    async fn look(&self, wait: Duration) {
        let each = wait / LOOKS_A_WAIT;
        let mut looked = self.looks.lock().await;
        let due = looked.unwrap_or_else(Instant::now);
        if let Some(ahead) = due.checked_sub(each.saturating_mul(LOOKS_AT_ONCE)) {
            tokio::time::sleep_until(ahead).await;
        }
        *looked = Some(due.max(Instant::now()) + each);
    }
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
}

impl Failures {
    pub(super) fn new(options: FailedLogins) -> Self {
        Self { options, hasher: RandomState::new(), table: Mutex::default() }
    }

    /// Waits until a proof may be looked at.
    pub(super) async fn turn(&self, address: IpAddr, user: &str) -> Turn<'_> {
        let address = network(address);
        let places = [Place { address, user: Some(self.hasher.hash_one(user)) }, Place { address, user: None }];
        for place in places {
            if let Some(gates) = self.gates(place, Instant::now()) {
                gates.look(self.options.wait).await;
            }
        }
        Turn { failures: self, places }
    }

    /// The gates of a place whose failures are no longer free.
    fn gates(&self, place: Place, now: Instant) -> Option<Arc<Gates>> {
        let mut table = self.locked();
        let entry = table.get_mut(&place)?;
        self.forget_some(entry, now);
        if entry.count == 0 {
            table.remove(&place);
            return None;
        }
        (entry.count >= self.free(place)).then(|| Arc::clone(&entry.gates))
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

    /// Counts a failure; answers the gates of its place if it is no longer free.
    fn count(&self, place: Place, now: Instant) -> Option<Arc<Gates>> {
        let mut table = self.locked();
        if table.len() >= PLACES_MAX && !table.contains_key(&place) {
            make_room(&mut table);
        }
        let entry = table.entry(place).or_insert_with(|| Entry { count: 0, last: now, gates: Arc::default() });
        self.forget_some(entry, now);
        if entry.count == 0 {
            entry.last = now;
        }
        // The count has a ceiling, so that a long attack is not held against its place for longer than it takes to forget the ceiling.
        entry.count = entry.count.saturating_add(1).min(self.free(place).saturating_mul(2));
        (entry.count > self.free(place)).then(|| Arc::clone(&entry.gates))
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
        let mut held = Vec::new();
        for gates in beyond.iter().flatten() {
            held.push(gates.refusals.lock().await);
        }
        if !held.is_empty() {
            // The gates that are held stay shut meanwhile.
            tokio::time::sleep(self.failures.options.wait).await;
        }
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
        let costs = |place| [0; 5].map(|_| failures.count(place, now).is_some());
        assert_eq!(costs(NAME), [false, false, false, true, true]);
        assert_eq!(costs(Place { user: Some(2), ..NAME }), [false, false, false, true, true]);
        assert!(failures.gates(NAME, now).is_some());
        assert!(failures.gates(Place { user: Some(3), ..NAME }, now).is_none());
    }

    #[test]
    fn an_address_that_tries_many_names_is_slowed_too() {
        let (failures, now) = (failures(), Instant::now());
        assert_eq!((0..20).filter(|_| failures.count(ADDRESS, now).is_some()).count(), 5);
    }

    #[test]
    fn time_makes_mistakes_forgotten_however_many_there_were() {
        let (failures, now) = (failures(), Instant::now());
        (0..500).for_each(|_| _ = failures.count(NAME, now));
        assert!(failures.gates(NAME, now + Duration::from_secs(30)).is_some());
        assert!(failures.gates(NAME, now + Duration::from_secs(40)).is_none());
        assert!(failures.count(NAME, now + Duration::from_secs(40)).is_none());
        assert!(failures.gates(NAME, now + Duration::from_secs(100)).is_none());
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
        assert_eq!(failures.locked().len(), 2);
        failures.turn(HERE, "alice").await.succeeded();
        assert!(failures.locked().keys().all(|place| place.user.is_none()));
    }

    #[tokio::test]
    async fn a_right_password_waits_for_no_wrong_one() {
        let (failures, told) = (failures(), std::cell::Cell::new(0));
        let wrong = || async {
            failures.turn(HERE, "alice").await.failed().await;
            told.set(told.get() + 1);
        };
        for _ in 0..3 {
            wrong().await;
        }
        let right = async {
            failures.turn(HERE, "alice").await.succeeded();
            told.get()
        };
        let guesses = futures::future::join_all((0..60).map(|_| wrong()));
        let (_, before) = futures::join!(guesses, right);
        assert_eq!((before, told.get()), (3, 63));
    }

    #[tokio::test]
    async fn so_many_proofs_are_looked_at_in_a_while() {
        let failures = failures();
        for _ in 0..3 {
            failures.turn(HERE, "alice").await.failed().await;
        }
        let started = Instant::now();
        let looks = (0..141).map(|_| async {
            let _turn = failures.turn(HERE, "alice").await;
            started.elapsed()
        });
        let looks = futures::future::join_all(looks).await;
        assert!(looks.iter().max().is_some_and(|last| *last >= Duration::from_millis(80)));
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
