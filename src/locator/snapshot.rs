//! One consistent view of all contracts. Never changes; a reload makes a new one.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::product::{DomainName, PortName, Product, ProductRef};

use super::Origin;

/// A domain of the map.
#[derive(Debug, Clone, PartialEq)]
pub struct Domain {
    /// Its name.
    pub name: DomainName,
    /// The schema's name in SQL: `name.to_sql()`.
    pub schema: String,
    /// The team that owns it.
    pub owner_team: String,
    /// Whom to call.
    pub oncall: Option<String>,
    /// `defaults.retention_days`.
    pub retention_days: Option<u32>,
}

/// A name in SQL and what answers it.
#[derive(Debug, Clone)]
pub struct TableEntry {
    /// Schema in SQL.
    pub schema: String,
    /// Table in SQL.
    pub table: String,
    /// What answers.
    pub located: Located,
    /// Whether it is listed (`\dt`): the product's own name, or a further port. Aliases (quoted spelling, pinned version) resolve and are not listed.
    pub listed: bool,
}

/// A product and one of its ports.
#[derive(Debug, Clone)]
pub struct Located {
    /// The product.
    pub product: Arc<Product>,
    /// The port that answers; `None` if the product has only streams, or is proposed or retired (described, not queryable).
    pub port: Option<PortName>,
}

/// A promise that a product cannot keep with what its inputs promise: reported, no fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The product that promises.
    pub product: ProductRef,
    /// Its contract's file.
    pub file: String,
    /// The input's line.
    pub line: usize,
    /// What is missing.
    pub message: String,
}

/// All domains and products at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    revision: String,
    domains: BTreeMap<String, Domain>,
    tables: BTreeMap<(String, String), TableEntry>,
    gaps: Vec<Gap>,
    origins: BTreeMap<ProductRef, Origin>,
}

impl Snapshot {
    /// A view of these domains and names.
    pub fn new(revision: String, domains: impl IntoIterator<Item = Domain>, tables: impl IntoIterator<Item = TableEntry>) -> Self {
        Self {
            revision,
            domains: domains.into_iter().map(|domain| (domain.schema.clone(), domain)).collect(),
            tables: tables.into_iter().map(|entry| ((entry.schema.clone(), entry.table.clone()), entry)).collect(),
            gaps: Vec::new(),
            origins: BTreeMap::new(),
        }
    }

    /// The same view with what was found missing in promises.
    #[must_use]
    pub fn with_gaps(mut self, gaps: Vec<Gap>) -> Self {
        self.gaps = gaps;
        self
    }

    /// The same view, which knows where the governance of these contracts stands.
    #[must_use]
    pub fn with_origins(mut self, origins: impl IntoIterator<Item = (ProductRef, Origin)>) -> Self {
        self.origins = origins.into_iter().collect();
        self
    }

    /// Where the governance of a product's contract stands.
    pub fn origin(&self, product: &ProductRef) -> Option<&Origin> {
        self.origins.get(product)
    }

    /// The same view with relations of the gateway's own in a schema of theirs, which no domain can be called.
    #[must_use]
    pub fn with_own(mut self, schema: Domain, tables: impl IntoIterator<Item = TableEntry>) -> Self {
        self.domains.insert(schema.schema.clone(), schema);
        self.tables.extend(tables.into_iter().map(|entry| ((entry.schema.clone(), entry.table.clone()), entry)));
        self
    }

    /// The domain that owns a product.
    pub fn domain_of(&self, product: &ProductRef) -> Option<&Domain> {
        self.domains.get(&product.domain.to_sql())
    }

    /// Promises that inputs do not support.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// Identifies the content: equal texts, equal revisions.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The domains by schema name, and the schema of the gateway's own relations.
    pub fn domains(&self) -> impl Iterator<Item = &Domain> {
        self.domains.values()
    }

    /// Every name that resolves, aliases included, sorted.
    pub fn tables(&self) -> impl Iterator<Item = &TableEntry> {
        self.tables.values()
    }

    /// What answers a name in SQL.
    pub fn resolve(&self, schema: &str, table: &str) -> Option<&TableEntry> {
        self.tables.get(&(schema.to_owned(), table.to_owned()))
    }

    /// Every product of the domains, each version once.
    pub fn products(&self) -> Vec<Arc<Product>> {
        let of_domains = self.tables.values().map(|entry| &entry.located.product).filter(|product| !product.is_own());
        let mut products: Vec<Arc<Product>> = of_domains.map(Arc::clone).collect();
        products.sort_by(|a, b| a.reference.cmp(&b.reference));
        products.dedup_by(|a, b| a.reference == b.reference);
        products
    }
}
