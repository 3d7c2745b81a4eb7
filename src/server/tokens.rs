//! Whose tokens prove a login: finds the issuer of a token and the keys to check it with.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::config;
use crate::engine::Clock;
use crate::identity::token::{self, TokenError, TokenIdentity, TokenRules, UnverifiedToken};

use super::keys::{Keys, Note};
use super::options;

/// Those who issue tokens.
pub(super) struct Issuers {
    all: Vec<Issuer>,
}

struct Issuer {
    rules: TokenRules,
    keys: Arc<Keys>,
}

impl Issuers {
    /// Opens the issuers' keys; those that have an address are asked for in the background.
    ///
    /// # Errors
    /// A file of keys cannot be used.
    pub(super) fn open(tokens: &config::Tokens, note: &Note) -> anyhow::Result<Self> {
        let open = |issuer: &config::Issuer| {
            Ok(Issuer { rules: options::token_rules(issuer), keys: Arc::new(Keys::open(issuer, Arc::clone(note))?) })
        };
        Ok(Self { all: tokens.issuers.iter().map(open).collect::<anyhow::Result<_>>()? })
    }

    /// Keeps the keys fresh until the shutdown.
    pub(super) fn keep_fresh(&self, shutdown: &CancellationToken) {
        for issuer in &self.all {
            tokio::spawn(Arc::clone(&issuer.keys).keep_fresh(shutdown.clone()));
        }
    }

    /// Who the bearer of that token is; if nobody, why.
    pub(super) async fn check(&self, token: &str, clock: &Clock) -> Result<TokenIdentity, String> {
        let told = |error: TokenError| error.to_string();
        let token = UnverifiedToken::parse(token).map_err(told)?;
        let issuer = token.claimed_issuer().and_then(|claimed| self.all.iter().find(|issuer| issuer.rules.issuer == claimed));
        let issuer = issuer.ok_or_else(|| told(TokenError::Issuer))?;
        let keys = issuer.keys.current();
        match token::check(&token, &keys, &issuer.rules, clock()) {
            // An issuer that has changed its keys signs with one that is not known yet.
            Err(TokenError::UnknownKey) => {
                let newer = issuer.keys.newer_than(&keys).await.ok_or_else(|| told(TokenError::UnknownKey))?;
                token::check(&token, &newer, &issuer.rules, clock()).map_err(told)
            }
            checked => checked.map_err(told),
        }
    }
}

/// Where an issuer describes itself (OpenID Connect Discovery).
pub(super) fn openid_configuration(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
}
