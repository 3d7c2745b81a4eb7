//! What is noted of logins that are refused before anybody has tried to prove who he is.
//!
//! INVARIANT: whoever can open a connection fills no log: of each network so many refusals are noted a minute, and of all others their number.
//! A wrong proof is always noted: `failures` slows those down.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::backend::{Backend, LoginRefused};
use super::start_ups::network;

/// Refusals of one network that are noted in a minute.
const NOTED_MAX: u32 = 20;
/// How long a network's refusals are counted together.
const MINUTE: Duration = Duration::from_secs(60);
/// Networks that are told apart; all others are one.
const NETWORKS_MAX: usize = 1_000;
const OTHERS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// The refusals of this minute.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    networks: Arc<Mutex<HashMap<IpAddr, Counted>>>,
}

#[derive(Debug, Default)]
struct Counted {
    noted: u32,
    /// The last of those that were not noted, and how many they are.
    left_out: Option<(LoginRefused, u64)>,
}

impl Refusals {
    /// Notes a refusal, or counts it.
    pub(super) fn note<B: Backend>(&self, backend: &Arc<B>, refused: LoginRefused) {
        if let Some(refused) = self.counted(backend, refused) {
            backend.login_refused(&refused);
        }
    }

    /// The refusal, if it is one that is noted.
    fn counted<B: Backend>(&self, backend: &Arc<B>, refused: LoginRefused) -> Option<LoginRefused> {
        let mut networks = locked(&self.networks);
        let network = network(refused.client_address.ip());
        let network = if networks.len() < NETWORKS_MAX || networks.contains_key(&network) { network } else { OTHERS };
        let counted = networks.entry(network).or_insert_with(|| {
            self.forget_later(backend, network);
            Counted::default()
        });
        if counted.noted < NOTED_MAX {
            counted.noted += 1;
            return Some(refused);
        }
        let before = counted.left_out.as_ref().map_or(0, |(_, count)| *count);
        counted.left_out = Some((refused, before.saturating_add(1)));
        None
    }

    /// Tells after a minute how many were left out.
    fn forget_later<B: Backend>(&self, backend: &Arc<B>, network: IpAddr) {
        let (networks, backend) = (Arc::clone(&self.networks), Arc::clone(backend));
        tokio::spawn(async move {
            tokio::time::sleep(MINUTE).await;
            let counted = locked(&networks).remove(&network);
            if let Some((last, count)) = counted.and_then(|counted| counted.left_out) {
                let reason = format!("{count} more connections of its network were refused within a minute; of the last: {}", last.reason);
                backend.login_refused(&LoginRefused { reason, ..last });
            }
        });
    }
}

fn locked(networks: &Mutex<HashMap<IpAddr, Counted>>) -> MutexGuard<'_, HashMap<IpAddr, Counted>> {
    networks.lock().unwrap_or_else(PoisonError::into_inner)
}
