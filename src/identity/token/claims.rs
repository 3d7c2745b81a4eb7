//! From the claims of a verified token to a principal.
//!
//! INVARIANT: a claim of another shape than it must have refuses the token: a role or a group that is left out in silence could mean more
//! rights as well as fewer. A claim that is not there gives nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::super::Principal;
use super::super::directory::{is_name, parse_product};
use super::TokenError;

/// Claims that OAuth defines as one text with spaces between the values.
const SPACED: &[&str] = &["scope", "scp"];

/// Where a claim is: the names from the outermost object to the claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPath(pub Vec<String>);

impl ClaimPath {
    /// The claim of that name.
    pub fn of(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }

    fn shown(&self) -> String {
        self.0.join("/")
    }

    fn last(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }

    fn find<'c>(&self, claims: &'c Map<String, Value>) -> Result<Option<&'c Value>, TokenError> {
        let (first, rest) = self.0.split_first().ok_or_else(|| TokenError::claim("", "has no name"))?;
        // A provider that found a claim too long says where it is to be asked for instead.
        let elsewhere = claims.get("_claim_names").is_some_and(|names| names.get(first).is_some());
        if elsewhere {
            return Err(TokenError::claim(&self.shown(), "was left out of the token because it is too long"));
        }
        let Some(mut value) = claims.get(first) else { return Ok(None) };
        for name in rest {
            match value {
                Value::Object(fields) => match fields.get(name) {
                    Some(field) => value = field,
                    None => return Ok(None),
                },
                Value::Null => return Ok(None),
                _ => return Err(TokenError::claim(&self.shown(), "lies in something that is no object")),
            }
        }
        Ok((!value.is_null()).then_some(value))
    }
}

/// Which claims say who one is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimMapping {
    /// The login's name.
    pub user: ClaimPath,
    /// Roles.
    pub roles: Vec<ClaimPath>,
    /// Groups.
    pub groups: Vec<ClaimPath>,
    /// Whether one is a data steward.
    pub is_data_steward: Option<ClaimPath>,
    /// Further facts, by their names for the rules.
    pub attributes: BTreeMap<String, ClaimPath>,
    /// The data product in whose name one reads.
    pub product: Option<ClaimPath>,
}

impl ClaimMapping {
    /// The principal that the claims describe.
    pub(super) fn principal(&self, claims: &Map<String, Value>) -> Result<Principal, TokenError> {
        let mut attributes = BTreeMap::new();
        for (name, path) in &self.attributes {
            if let Some(value) = path.find(claims)? {
                attributes.insert(name.clone(), value.clone());
            }
        }
        Ok(Principal {
            product: self.product(claims)?,
            name: self.user_name(claims)?,
            roles: all_names(&self.roles, claims)?,
            groups: all_names(&self.groups, claims)?,
            is_data_steward: match &self.is_data_steward {
                None => false,
                Some(path) => match path.find(claims)? {
                    None => false,
                    Some(value) => value.as_bool().ok_or_else(|| TokenError::claim(&path.shown(), "is neither true nor false"))?,
                },
            },
            attributes,
        })
    }

    fn product(&self, claims: &Map<String, Value>) -> Result<Option<String>, TokenError> {
        let Some(path) = &self.product else { return Ok(None) };
        let Some(value) = path.find(claims)? else { return Ok(None) };
        let product = value.as_str().and_then(parse_product);
        product.map(Some).ok_or_else(|| TokenError::claim(&path.shown(), "names no data product (domain/product)"))
    }

    fn user_name(&self, claims: &Map<String, Value>) -> Result<String, TokenError> {
        let fault = |fault| TokenError::claim(&self.user.shown(), fault);
        let name = self.user.find(claims)?.ok_or_else(|| fault("is missing"))?;
        let name = name.as_str().ok_or_else(|| fault("is no text"))?;
        if !is_name(name) {
            return Err(fault("is no name of a login (1 to 63 bytes without control characters)"));
        }
        // Providers let people write down any address before they have shown that it is theirs.
        let unverified = self.user.0 == ["email"] && claims.get("email_verified").is_some_and(|verified| verified != &Value::Bool(true));
        if unverified { Err(fault("is not verified")) } else { Ok(name.to_owned()) }
    }
}

fn all_names(paths: &[ClaimPath], claims: &Map<String, Value>) -> Result<BTreeSet<String>, TokenError> {
    let mut names = BTreeSet::new();
    for path in paths {
        if let Some(value) = path.find(claims)? {
            for name in texts(path, value)? {
                let fits = !name.is_empty() && name.trim() == name && !name.chars().any(char::is_control);
                if !fits {
                    return Err(TokenError::claim(&path.shown(), "has a name that is empty or has space around it"));
                }
                names.insert(name.to_owned());
            }
        }
    }
    Ok(names)
}

fn texts<'c>(path: &ClaimPath, value: &'c Value) -> Result<Vec<&'c str>, TokenError> {
    let fault = || TokenError::claim(&path.shown(), "is neither a text nor a list of texts");
    match value {
        Value::String(text) if SPACED.contains(&path.last()) => Ok(text.split(' ').filter(|word| !word.is_empty()).collect()),
        Value::String(text) => Ok(vec![text]),
        Value::Array(all) => all.iter().map(|one| one.as_str().ok_or_else(fault)).collect(),
        _ => Err(fault()),
    }
}
