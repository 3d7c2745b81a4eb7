//! Connections at their start-up: nobody has proved yet who they are.
//!
//! INVARIANT: clients that stall at their start-up keep no one else out. So many may stand there; where one more comes, another goes: of the
//! address that has most of them there, the one that has stood there for longest.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// The bits of an IPv6 address that one machine cannot choose.
const IPV6_NETWORK: u128 = !0 << 64;

/// Those of one listener.
pub(super) struct StartUps {
    max: usize,
    standing: Mutex<Standing>,
}

/// In the order in which they came.
#[derive(Default)]
struct Standing {
    next: u64,
    places: BTreeMap<u64, (IpAddr, CancellationToken)>,
}

/// The place of one connection, until it is dropped.
pub(super) struct StartUpPlace<'a> {
    start_ups: &'a StartUps,
    number: u64,
    lost: CancellationToken,
}

impl StartUps {
    /// For so many at a time, at least one.
    pub(super) fn new(max: usize) -> Self {
        Self { max: max.max(1), standing: Mutex::default() }
    }

    /// A place for a connection of that address; another loses its own if there are too many.
    pub(super) fn enter(&self, address: IpAddr) -> StartUpPlace<'_> {
        let mut standing = self.standing();
        let (number, lost) = (standing.next, CancellationToken::new());
        standing.next = standing.next.wrapping_add(1);
        standing.places.insert(number, (network(address), lost.clone()));
        if standing.places.len() > self.max
            && let Some((_, other)) = standing.least_entitled().and_then(|number| standing.places.remove(&number))
        {
            other.cancel();
        }
        StartUpPlace { start_ups: self, number, lost }
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Standing {
    /// The oldest place of the address that has most.
    fn least_entitled(&self) -> Option<u64> {
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for (address, _) in self.places.values() {
            let count = counts.entry(*address).or_default();
            *count = count.saturating_add(1);
        }
        let most = counts.values().max()?;
        let oldest = self.places.iter().find(|(_, (address, _))| counts.get(address) == Some(most));
        oldest.map(|(number, _)| *number)
    }
}

impl StartUpPlace<'_> {
    /// Ends when the place is another's.
    pub(super) async fn lost(&self) {
        self.lost.cancelled().await;
    }
}

impl Drop for StartUpPlace<'_> {
    fn drop(&mut self) {
        self.start_ups.standing().places.remove(&self.number);
    }
}

/// What stands for all addresses of one machine.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & IPV6_NETWORK)),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn lost(places: &[StartUpPlace<'_>]) -> Vec<usize> {
        places.iter().enumerate().filter(|(_, place)| place.lost.is_cancelled()).map(|(index, _)| index).collect()
    }

    #[test]
    fn who_has_most_places_loses_the_oldest() {
        let start_ups = StartUps::new(4);
        let mut places: Vec<_> = ["10.0.0.1", "10.0.0.2", "10.0.0.2", "10.0.0.1"].map(|text| start_ups.enter(address(text))).into();
        assert!(lost(&places).is_empty());
        places.push(start_ups.enter(address("10.0.0.3")));
        assert_eq!(lost(&places), [0]);
        // Two of one address and one each of two others are left.
        places.push(start_ups.enter(address("10.0.0.4")));
        assert_eq!(lost(&places), [0, 1]);
        places.push(start_ups.enter(address("::ffff:10.0.0.4")));
        assert_eq!(lost(&places), [0, 1, 5]);
    }

    #[test]
    fn a_place_that_is_left_is_free() {
        let start_ups = StartUps::new(1);
        for _ in 0..3 {
            let place = start_ups.enter(address("10.0.0.1"));
            assert!(!place.lost.is_cancelled());
        }
        let (one, other) = (start_ups.enter(address("::1")), start_ups.enter(address("::1")));
        assert!(one.lost.is_cancelled() && !other.lost.is_cancelled());
        // Whose place was lost does not take away another's.
        drop(one);
        assert_eq!(start_ups.standing().places.len(), 1);
    }

    #[test]
    fn all_addresses_of_a_network_are_one_machines() {
        assert_eq!(network(address("2001:db8:1:2:3:4:5:6")), network(address("2001:db8:1:2::9")));
        assert_ne!(network(address("2001:db8:1:2::9")), network(address("2001:db8:1:3::9")));
    }
}
