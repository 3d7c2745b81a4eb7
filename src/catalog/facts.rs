//! What one session knows when it looks at the catalog: who, where, and what it may discover.
//!
//! INVARIANT: a table that the principal may not discover is in none of these lists, so no relation and no function tells of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use crate::error::ClientMessage;
use crate::identity::Principal;
use crate::locator::{Snapshot, TableEntry};
use crate::product::{Field, OWN_SCHEMA, OutputPort, OwnRows, PortFormat, Product};

use super::oids::{Oids, name_oid};
use super::{PgType, acl, relations, statics};

/// The role that owns what belongs to the system.
pub(crate) const SYSTEM_ROLE: &str = "meshgate";
/// Its OID, as PostgreSQL's first role.
pub(crate) const SYSTEM_ROLE_OID: u32 = 10;

/// A session setting as `SHOW ALL` lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its name in lower case, but for `DateStyle`, `TimeZone`, `IntervalStyle`.
    pub name: String,
    /// Its value now, in its unit.
    pub value: String,
    /// One sentence.
    pub description: String,
    /// `bool`, `integer`, `real`, `enum`, `string`.
    pub kind: &'static str,
    /// What its number counts.
    pub unit: Option<&'static str>,
    /// The least and the most that it may be.
    pub bounds: Option<(String, String)>,
    /// What it may be, of an `enum`.
    pub words: Vec<String>,
    /// When it can be changed.
    pub context: &'static str,
    /// Where its value comes from: `default`, `client`, `session`.
    pub source: &'static str,
    /// What it is if nobody sets it.
    pub default: String,
    /// What RESET makes it.
    pub reset: String,
}

/// A cursor that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenCursor {
    /// Its name.
    pub name: String,
    /// The statement that made it.
    pub statement: String,
    /// WITH HOLD.
    pub hold: bool,
    /// BINARY.
    pub binary: bool,
    /// Whether it can go back.
    pub scroll: bool,
    /// When it was made, microseconds since 1970.
    pub made_micros: i64,
}

/// A statement that is prepared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedStatement {
    /// Its name.
    pub name: String,
    /// Its text.
    pub statement: String,
    /// The OIDs of its parameters' types.
    pub parameters: Vec<u32>,
    /// By PREPARE, not by the protocol.
    pub by_sql: bool,
    /// When it was made, microseconds since 1970.
    pub made_micros: i64,
}

/// What a session holds from one statement to the next.
pub trait Held: Send + Sync {
    /// Its cursors.
    fn cursors(&self) -> Vec<OpenCursor>;

    /// Its prepared statements.
    fn prepared(&self) -> Vec<PreparedStatement>;
}

/// The session's settings.
pub trait Settings: std::fmt::Debug + Send + Sync {
    /// The value of a setting; names differ not by case.
    fn value(&self, name: &str) -> Option<String>;

    /// All settings, sorted by name.
    fn all(&self) -> Vec<Setting>;

    /// Sets a value, until the transaction's end if `local`; answers the value as it now reads.
    fn set(&self, name: &str, value: &str, local: bool) -> Result<String, ClientMessage>;
}

/// The gateway's side of a session's connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Connection {
    /// The address that the client has reached.
    pub server_address: Option<SocketAddr>,
    /// How it is encrypted, if it is.
    pub encryption: Option<Encryption>,
}

/// How a connection is encrypted, in OpenSSL's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encryption {
    /// The protocol, for example `TLSv1.3`.
    pub protocol: &'static str,
    /// The cipher suite.
    pub cipher: String,
    /// The length of the cipher's key.
    pub bits: i32,
}

/// Whether the session's principal may know of a product.
pub type Discover = Arc<dyn Fn(&Product) -> bool + Send + Sync>;

/// Everything that the system relations and functions answer from.
pub struct SessionFacts {
    /// The one database.
    pub database: String,
    /// Who asks.
    pub principal: Arc<Principal>,
    /// The names that the statement sees.
    pub snapshot: Arc<Snapshot>,
    /// Which products the principal may know of.
    pub discover: Discover,
    /// The session's number.
    pub backend_pid: i32,
    /// As `server_version` says, for example `15.8`.
    pub server_version: String,
    /// When the gateway started, microseconds since 1970.
    pub server_started_micros: i64,
    /// When the session started.
    pub session_started_micros: i64,
    /// When the statement started.
    pub statement_started_micros: i64,
    /// Its text, or the beginning of it.
    pub statement: String,
    /// The client's address.
    pub client_address: Option<SocketAddr>,
    /// What the session's connection is.
    pub connection: Arc<Connection>,
    /// The session's settings.
    pub settings: Arc<dyn Settings>,
    /// What the session holds.
    pub held: Arc<dyn Held>,
    /// What the snapshot means to this principal, found when first asked for.
    pub view: OnceLock<View>,
}

impl std::fmt::Debug for SessionFacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionFacts")
            .field("principal", &self.principal.name)
            .field("backend_pid", &self.backend_pid)
            .finish_non_exhaustive()
    }
}

/// What the principal may know of a snapshot.
#[derive(Debug)]
pub struct View {
    pub(crate) tables: Vec<Table>,
    pub(crate) schemas: Vec<Schema>,
    pub(crate) roles: Vec<Role>,
}

/// A listed table.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) oid: u32,
    pub(crate) schema_oid: u32,
    pub(crate) type_oid: u32,
    pub(crate) array_type_oid: u32,
    pub(crate) index_oid: u32,
    pub(crate) constraint_oid: u32,
    pub(crate) owner_oid: u32,
    pub(crate) product: Arc<Product>,
    pub(crate) port: Option<String>,
}

impl Table {
    /// The columns of the contract; none if the contract names none.
    pub(crate) fn fields(&self) -> &[Field] {
        self.product.schema.as_deref().unwrap_or_default()
    }

    /// What it is: `v` for a view of the gateway's own, else `r`.
    pub(crate) fn kind(&self) -> &'static str {
        let view = |port: &OutputPort| port.format == PortFormat::Own(OwnRows::View);
        if self.product.output_ports.iter().any(view) { "v" } else { "r" }
    }

    /// The text of the view that it is.
    pub(crate) fn definition(&self) -> Option<&'static str> {
        if self.kind() == "v" { super::mesh::view(self.product.reference.name.as_str()) } else { None }
    }

    /// The primary key: column number and field.
    pub(crate) fn key(&self) -> Vec<(i64, &Field)> {
        (1..).zip(self.fields()).filter(|(_, field)| field.primary_key).collect()
    }

    /// The name of the primary key and of its index.
    pub(crate) fn key_name(&self) -> String {
        format!("{}_pkey", self.name)
    }
}

/// A schema.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) name: String,
    pub(crate) oid: u32,
    pub(crate) owner_oid: u32,
    pub(crate) comment: Option<String>,
}

/// A role: the principal, the system, or a team that owns something.
#[derive(Debug)]
pub(crate) struct Role {
    pub(crate) name: String,
    pub(crate) oid: u32,
    pub(crate) login: bool,
}

impl SessionFacts {
    /// What the principal may know of the snapshot.
    pub(crate) fn view(&self) -> &View {
        self.view.get_or_init(|| View::new(&self.snapshot, &self.principal, self.discover.as_ref()))
    }

    /// The schemas that names without one are looked up in, without `pg_catalog`; only those that exist.
    pub(crate) fn search_path(&self) -> Vec<String> {
        let text = self.settings.value("search_path").unwrap_or_else(|| "\"$user\", public".to_owned());
        let names = text.split(',').map(|part| match part.trim() {
            quoted if quoted.starts_with('"') => quoted.trim_matches('"').to_owned(),
            plain => plain.to_lowercase(),
        });
        let names = names.map(|name| if name == "$user" { self.principal.name.clone() } else { name });
        names.filter(|name| self.schema_exists(name)).collect()
    }

    /// Whether there is a schema of that name; asks no policy.
    pub(crate) fn schema_exists(&self, name: &str) -> bool {
        relations::is_system_schema(name) || name == "public" || self.snapshot.domains().any(|domain| domain.schema == name)
    }

    /// A schema's OID.
    pub(crate) fn schema_oid(&self, name: &str) -> Option<u32> {
        self.view().schemas.iter().find(|schema| schema.name == name).map(|schema| schema.oid)
    }

    /// The OID that a table of the snapshot has.
    pub fn table_oid(&self, entry: &TableEntry) -> u32 {
        Oids::of(&self.snapshot).table(&self.snapshot, entry)
    }

    /// The listed table with that OID.
    pub(crate) fn table(&self, oid: u32) -> Option<&Table> {
        self.view().tables.iter().find(|table| table.oid == oid)
    }

    /// The table whose primary key's index or constraint has that OID.
    pub(crate) fn table_of_key(&self, oid: u32) -> Option<&Table> {
        self.view().tables.iter().find(|table| (table.index_oid == oid || table.constraint_oid == oid) && !table.key().is_empty())
    }

    /// Schema and name of the relation with that OID.
    pub(crate) fn relation_name(&self, oid: u32) -> Option<(String, String)> {
        if let Some(table) = self.table(oid) {
            return Some((table.schema.clone(), table.name.clone()));
        }
        if let Some(table) = self.view().tables.iter().find(|table| table.index_oid == oid && !table.key().is_empty()) {
            return Some((table.schema.clone(), table.key_name()));
        }
        relations::all().find(|relation| relation.oid == oid).map(|relation| (relation.schema.to_owned(), relation.name.to_owned()))
    }

    /// The OID of the relation of that name; without a schema along the search path.
    pub(crate) fn relation_oid(&self, schema: Option<&str>, name: &str) -> Option<u32> {
        let Some(schema) = schema else {
            let path = self.search_path();
            return std::iter::once("pg_catalog")
                .chain(path.iter().map(String::as_str))
                .find_map(|schema| self.relation_oid(Some(schema), name));
        };
        if let Some(relation) = relations::find(schema, name) {
            return Some(relation.oid);
        }
        let tables = &self.view().tables;
        if let Some(table) = tables.iter().find(|table| table.schema == schema && table.name == name) {
            return Some(table.oid);
        }
        if let Some(entry) = self.snapshot.resolve(schema, name).filter(|entry| (self.discover)(&entry.located.product)) {
            return Some(self.table_oid(entry));
        }
        tables
            .iter()
            .find(|table| table.schema == schema && !table.key().is_empty() && table.key_name() == name)
            .map(|table| table.index_oid)
    }

    /// The columns of a data product that the principal may discover, by its name; without a schema along the search path. Only it is asked
    /// about.
    pub(crate) fn product_columns(&self, schema: Option<&str>, name: &str) -> Option<Vec<(String, PgType)>> {
        let path = match schema {
            Some(schema) => vec![schema.to_owned()],
            None => std::iter::once("pg_catalog".to_owned()).chain(self.search_path()).collect(),
        };
        for schema in path {
            if relations::find(&schema, name).is_some() {
                return None;
            }
            let entry = self.snapshot.resolve(&schema, name).filter(|entry| (self.discover)(&entry.located.product));
            if let Some(entry) = entry {
                let fields = entry.located.product.schema.as_deref()?;
                return Some(fields.iter().map(|field| (field.name.as_str().to_owned(), PgType::of_contract(&field.data_type))).collect());
            }
        }
        None
    }

    /// Whether a relation is found by its bare name.
    pub(crate) fn relation_visible(&self, oid: u32) -> Option<bool> {
        let (_, name) = self.relation_name(oid)?;
        Some(self.relation_oid(None, &name) == Some(oid))
    }

    /// The number of a column of a relation by its name.
    pub(crate) fn column_number(&self, relation: u32, column: &str) -> Option<i64> {
        let numbered = (1..).find_map(|number| match self.column_name(relation, number) {
            Some(name) => (name == column).then_some(Some(number)),
            None => Some(None),
        });
        numbered.flatten()
    }

    /// The name of a column of a relation by its number.
    pub(crate) fn column_name(&self, relation: u32, number: i64) -> Option<String> {
        let at = usize::try_from(number.checked_sub(1)?).ok()?;
        if let Some(table) = self.table(relation) {
            return table.fields().get(at).map(|field| field.name.as_str().to_owned());
        }
        if let Some(table) = self.table_of_key(relation) {
            return table.key().get(at).map(|(_, field)| field.name.as_str().to_owned());
        }
        let columns = &relations::all().find(|found| found.oid == relation)?.columns;
        columns.get(at).map(|column| column.name.to_owned())
    }

    /// The OID of a type by name, with or without `pg_catalog`; either may be quoted.
    pub(crate) fn type_oid(&self, name: &str) -> Option<u32> {
        self.builtin_type_oid(name).or_else(|| self.row_type_oid(name))
    }

    fn builtin_type_oid(&self, name: &str) -> Option<u32> {
        let name = name.trim();
        let name = ["pg_catalog.", "\"pg_catalog\"."].iter().find_map(|schema| name.strip_prefix(schema)).unwrap_or(name);
        let plain = name.split('(').next().unwrap_or(name).trim().trim_matches('"');
        PgType::named(plain).map(|found| found.oid).or_else(|| statics::type_oid(plain))
    }

    /// The role with that OID.
    pub(crate) fn role_name(&self, oid: u32) -> Option<&str> {
        self.view().roles.iter().find(|role| role.oid == oid).map(|role| role.name.as_str())
    }

    /// The role of that name.
    pub(crate) fn role(&self, name: &str) -> Option<u32> {
        self.view().roles.iter().find(|role| role.name == name).map(|role| role.oid)
    }

    /// What the principal is granted on what that role owns, as `pg_class.relacl` and its like write it.
    pub(crate) fn granted(&self, letters: &str, owner: u32) -> Vec<String> {
        let owner = self.role_name(owner).unwrap_or(SYSTEM_ROLE);
        vec![acl::item(&self.principal.name, letters, owner)]
    }

    /// The principal's own role.
    pub(crate) fn own_role_oid(&self) -> u32 {
        role_oid(&self.principal.name)
    }

    /// The one database's OID.
    pub(crate) fn database_oid(&self) -> u32 {
        name_oid("database", "", &self.database)
    }
}

fn role_oid(name: &str) -> u32 {
    if name == SYSTEM_ROLE { SYSTEM_ROLE_OID } else { name_oid("role", "", name) }
}

impl View {
    fn new(snapshot: &Arc<Snapshot>, principal: &Principal, discover: &dyn Fn(&Product) -> bool) -> Self {
        let oids = Oids::of(snapshot);
        let mut known = BTreeMap::new();
        let mut may_discover = |product: &Arc<Product>| *known.entry(product.reference.clone()).or_insert_with(|| discover(product));
        let listed = snapshot.tables().filter(|entry| entry.listed && may_discover(&entry.located.product));
        let tables: Vec<Table> = listed.map(|entry| table(snapshot, &oids, entry)).collect();
        let mut teams: BTreeSet<&str> = snapshot.domains().map(|domain| domain.owner_team.as_str()).collect();
        teams.extend(tables.iter().map(|table| table.product.owner.as_str()));
        teams.retain(|team| !team.is_empty() && *team != principal.name && *team != SYSTEM_ROLE);
        let team_roles =
            teams.into_iter().map(|team| Role { name: team.to_owned(), oid: role_oid(team), login: false }).collect::<Vec<_>>();
        let mut roles = vec![
            Role { name: SYSTEM_ROLE.to_owned(), oid: SYSTEM_ROLE_OID, login: false },
            Role { name: principal.name.clone(), oid: role_oid(&principal.name), login: true },
        ];
        roles.extend(team_roles);
        View { tables, schemas: schemas(snapshot, &oids), roles }
    }
}

fn table(snapshot: &Snapshot, oids: &Oids, entry: &TableEntry) -> Table {
    let product = Arc::clone(&entry.located.product);
    Table {
        schema: entry.schema.clone(),
        name: entry.table.clone(),
        oid: oids.table(snapshot, entry),
        schema_oid: oids.schema(&entry.schema),
        type_oid: oids.row_type(&entry.schema, &entry.table),
        array_type_oid: oids.array_type(&entry.schema, &entry.table),
        index_oid: oids.index(&entry.schema, &entry.table),
        constraint_oid: oids.constraint(&entry.schema, &entry.table),
        owner_oid: if product.owner.is_empty() { SYSTEM_ROLE_OID } else { role_oid(&product.owner) },
        port: entry.located.port.as_ref().map(|port| port.as_str().to_owned()),
        product,
    }
}

fn schemas(snapshot: &Snapshot, oids: &Oids) -> Vec<Schema> {
    let system = |name: &str, oid, comment: &str| Schema {
        name: name.to_owned(),
        oid,
        owner_oid: SYSTEM_ROLE_OID,
        comment: (!comment.is_empty()).then(|| comment.to_owned()),
    };
    let mut schemas: Vec<Schema> = vec![
        system("pg_catalog", 11, "system catalog schema"),
        system("information_schema", 13_212, ""),
        system("public", 2200, "standard public schema"),
    ];
    schemas.extend(snapshot.domains().map(|domain| Schema {
        name: domain.schema.clone(),
        oid: oids.schema(&domain.schema),
        owner_oid: if domain.owner_team.is_empty() { SYSTEM_ROLE_OID } else { role_oid(&domain.owner_team) },
        comment: Some(domain_comment(domain)),
    }));
    schemas
}

fn domain_comment(domain: &crate::locator::Domain) -> String {
    if domain.name.as_str() == OWN_SCHEMA {
        return "what was asked, decided and read, and what the contracts say".to_owned();
    }
    let oncall = domain.oncall.as_deref().map(|oncall| format!(", on call: {oncall}")).unwrap_or_default();
    format!("domain {}, owner: {}{oncall}", domain.name, domain.owner_team)
}
