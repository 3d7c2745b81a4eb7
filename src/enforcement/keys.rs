//! Which servers may be sent what a join finds out: the keys of its other side, of which only those rows are asked for that have one.
//!
//! INVARIANT: a value of a personal column, or of a classified one, is sent to no server but its own: it would stand in a statement there, before
//! people and in logs that no contract of its product names.

use crate::policy::{FieldUse, RequestedField};
use crate::product::{OutputPort, PortFormat, Product};

use super::usage::ProductUse;

/// Classifications of a column whose values may be in another server's statements; any other word is as good as the strictest.
const OPEN: [&str; 2] = ["public", "internal"];
/// The same of a product, for columns of which nothing is said: the numbers of orders are not confidential because their amounts are.
const OPEN_PRODUCTS: [&str; 3] = ["public", "internal", "confidential"];

/// Whether what joins find out in a statement that reads all of these is kept from the server of one of them.
///
/// Told by which columns the statement compares: which of them meet in which join, only the plan would tell that runs.
pub(super) fn kept_from(asked: &ProductUse, all: &[ProductUse]) -> bool {
    let Some(port) = asked.product.output_port(&asked.port).filter(|port| port.format == PortFormat::Postgres) else { return false };
    let mut elsewhere = all.iter().filter(|other| other.product.output_port(&other.port).is_none_or(|other| !share_a_server(port, other)));
    let mut beside = elsewhere.clone();
    beside.next().is_some() && (compares_guarded(asked) || elsewhere.any(compares_guarded))
}

/// Whether two ports are of one server, and asked by one login.
fn share_a_server(one: &OutputPort, other: &OutputPort) -> bool {
    let server = |port: &OutputPort| {
        let (scheme, rest) = port.location.split_once("://")?;
        Some((scheme.to_owned(), rest.split('/').next().unwrap_or_default().to_owned()))
    };
    other.format == PortFormat::Postgres && server(one) == server(other) && one.credentials == other.credentials
}

fn compares_guarded(used: &ProductUse) -> bool {
    let compared = |field: &&RequestedField| field.uses.iter().any(|found| matches!(found, FieldUse::Joined | FieldUse::Filtered));
    used.fields.iter().filter(compared).any(|field| is_guarded(&used.product, field))
}

/// Whether a column is personal, or classified as confidential or above, or of a product that is more than confidential.
fn is_guarded(product: &Product, field: &RequestedField) -> bool {
    let governance = &product.governance;
    let own = product.schema.iter().flat_map(|fields| fields.iter()).find(|known| known.name == field.name);
    let (classification, open) = match own.and_then(|known| known.classification.as_deref()) {
        Some(own) => (own, &OPEN[..]),
        None => (governance.data_classification.as_str(), &OPEN_PRODUCTS[..]),
    };
    governance.pii_fields.contains(&field.name) || !open.iter().any(|open| classification.eq_ignore_ascii_case(open))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::testing::{Place, World};
    use super::super::usage::observe;
    use super::*;
    use crate::ports::tests::field;
    use crate::product::{CredentialsRef, DataType, Field, FieldName, PortAccess, PortKind, PortName, ServerTls, Sla};

    fn port(name: PortName, server: &str) -> OutputPort {
        OutputPort {
            name,
            kind: PortKind::Table,
            format: PortFormat::Postgres,
            location: format!("postgres://{server}:5432/db/public/t"),
            partitioning: None,
            credentials: None,
            tls: ServerTls::default(),
            encryption: None,
            access: PortAccess::Open,
            sla: Sla::default(),
        }
    }

    /// What a statement reads, of servers with these names.
    async fn uses(sql: &str, servers: [&str; 2]) -> Vec<ProductUse> {
        let world = World::new(Place::Memory, &[], 1).await;
        let mut uses = observe(&world.analyzed(sql).await.unwrap()).unwrap();
        assert_eq!(uses.len(), 2);
        for (used, server) in uses.iter_mut().zip(servers) {
            let mut product = used.product.as_ref().clone();
            product.output_ports = vec![port(used.port.clone(), server)];
            product.governance.data_classification = "internal".to_owned();
            product.governance.pii_fields = vec![FieldName::parse("full_name").unwrap()];
            let plain = |field: &Field| Field { classification: None, ..field.clone() };
            product.schema = product.schema.as_deref().map(|fields| fields.iter().map(plain).collect());
            used.product = Arc::new(product);
        }
        uses
    }

    async fn kept(sql: &str, servers: [&str; 2]) -> Vec<bool> {
        let uses = uses(sql, servers).await;
        uses.iter().map(|used| kept_from(used, &uses)).collect()
    }

    const BY_NAME: &str = "SELECT p.id FROM people p JOIN colleagues c ON p.full_name = c.full_name";

    #[tokio::test]
    async fn personal_keys_stay_with_their_server() {
        assert_eq!(kept(BY_NAME, ["a", "b"]).await, [true, true]);
        assert_eq!(kept(BY_NAME, ["a", "a"]).await, [false, false]);
        for sql in [
            "SELECT p.id FROM people p WHERE p.full_name IN (SELECT c.dept FROM colleagues c)",
            "SELECT p.id FROM people p JOIN (SELECT lower(full_name) x FROM colleagues GROUP BY 1) c ON p.dept = c.x",
            "SELECT p.id FROM people p JOIN colleagues c ON p.dept = c.dept WHERE c.full_name > 'm'",
        ] {
            assert_eq!(kept(sql, ["a", "b"]).await, [true, true], "{sql}");
        }
    }

    #[tokio::test]
    async fn other_keys_are_sent() {
        let sql = "SELECT p.full_name FROM people p JOIN colleagues c ON p.id = c.id AND p.dept = c.dept";
        assert_eq!(kept(sql, ["a", "b"]).await, [false, false]);
    }

    #[tokio::test]
    async fn classified_keys_stay_whatever_the_word() {
        let sql = "SELECT p.id FROM people p JOIN colleagues c ON p.id = c.id";
        for (word, stays) in [("Confidential", false), ("Restricted", true), ("top-secret", true), ("PUBLIC", false)] {
            let mut uses = uses(sql, ["a", "b"]).await;
            let mut product = uses[0].product.as_ref().clone();
            product.governance.data_classification = word.to_owned();
            uses[0].product = Arc::new(product.clone());
            assert_eq!(kept_from(&uses[1], &uses), stays, "{word}");
            product.governance.data_classification = "internal".to_owned();
            product.schema = Some(vec![Field { classification: Some(word.to_owned()), ..field("id", DataType::Int64) }].into());
            uses[0].product = Arc::new(product);
            assert_eq!(kept_from(&uses[1], &uses), word != "PUBLIC", "{word} of a column");
        }
    }

    #[tokio::test]
    async fn another_login_of_the_server_is_elsewhere() {
        let mut uses = uses(BY_NAME, ["a", "a"]).await;
        let mut product = uses[0].product.as_ref().clone();
        product.output_ports[0].credentials = Some(CredentialsRef::Env("OTHER".to_owned()));
        uses[0].product = Arc::new(product);
        assert!(kept_from(&uses[1], &uses));
    }
}
